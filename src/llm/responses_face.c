/* Answers in OpenAI's Responses. Each part is an output item. Sealed reasoning of another family says in
 * encrypted_content whose it is; a call's seal stands in a reasoning item before the call. */
#include "llm/face.h"

/* The response object, in any of its states. `output`: the items between the brackets. */
static void response_write(struct llm_bridge *b, struct json_out *o, const char *status, struct str output,
                           const struct err *failure)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const struct llm_answer *a = &b->p->answer;
    const struct usage *u = &a->usage;
    bool ended = strcmp(status, "in_progress") != 0;
    jo_obj(o);
    jo_kz(o, "id", mem_printf(tmp, "resp_%s", b->spec.id));
    jo_kz(o, "object", "response");
    jo_ki(o, "created_at", b->spec.created_s);
    jo_kz(o, "status", status);
    jo_kb(o, "background", false);
    jo_key(o, "error");
    if (failure) {
        jo_obj(o);
        jo_kz(o, "code", failure->rc == RC_LIMIT ? "rate_limit_exceeded" : "server_error");
        jo_kz(o, "message", failure->sentence);
        jo_end_obj(o);
    } else {
        jo_null(o);
    }
    jo_key(o, "incomplete_details");
    if (strcmp(status, "incomplete") == 0) {
        jo_obj(o);
        jo_kz(o, "reason", a->stop == LLM_STOP_LENGTH ? "max_output_tokens" : "content_filter");
        jo_end_obj(o);
    } else {
        jo_null(o);
    }
    jo_kz(o, "instructions", NULL);
    jo_kz(o, "max_output_tokens", NULL);
    jo_kz(o, "model", face_model(b));
    jo_key(o, "output");
    jo_arr(o);
    if (output.n)
        jo_raw(o, output);
    jo_end_arr(o);
    jo_kb(o, "parallel_tool_calls", true);
    jo_kz(o, "previous_response_id", NULL);
    jo_kraw(o, "reasoning", STR("{\"effort\":null,\"summary\":null}"));
    jo_kb(o, "store", false);
    jo_kz(o, "temperature", NULL);
    jo_kraw(o, "text", STR("{\"format\":{\"type\":\"text\"}}"));
    jo_kz(o, "tool_choice", "auto");
    jo_kraw(o, "tools", STR("[]"));
    jo_kz(o, "top_p", NULL);
    jo_kz(o, "truncation", "disabled");
    jo_key(o, "usage");
    if (ended && u->output >= 0) {
        jo_obj(o);
        jo_ki(o, "input_tokens", usage_input(u));
        jo_key(o, "input_tokens_details");
        jo_obj(o);
        jo_ki(o, "cached_tokens", u->cache_read);
        jo_end_obj(o);
        jo_ki(o, "output_tokens", u->output);
        jo_key(o, "output_tokens_details");
        jo_obj(o);
        jo_ki(o, "reasoning_tokens", u->reasoning);
        jo_end_obj(o);
        jo_ki(o, "total_tokens", usage_input(u) + u->output);
        jo_end_obj(o);
    } else {
        jo_null(o);
    }
    jo_kz(o, "user", NULL);
    jo_kraw(o, "metadata", STR("{}"));
    jo_end_obj(o);
}

/* An event up to its own members. */
static void event_open(struct llm_bridge *b, struct json_out *o, const char *type, struct buf *out)
{
    event_begin(o, out, type);
    jo_obj(o);
    jo_kz(o, "type", type);
    jo_ki(o, "sequence_number", b->sequence++);
}

static void event_close(struct json_out *o)
{
    jo_end_obj(o);
    event_end(o->b);
}

static void response_event(struct llm_bridge *b, const char *type, const char *status, const struct err *failure,
                           struct buf *out)
{
    struct json_out o;
    event_open(b, &o, type, out);
    jo_key(&o, "response");
    response_write(b, &o, status, buf_view(&b->items), failure);
    event_close(&o);
}

static void responses_begin(struct llm_bridge *b, struct buf *out)
{
    response_event(b, "response.created", "in_progress", NULL, out);
    response_event(b, "response.in_progress", "in_progress", NULL, out);
}

/* --- items --- */

static const char *item_id(mem *ctx, const struct llm_bridge *b, const struct draft *d)
{
    static const char *const prefixes[] = {[LLM_TEXT] = "msg", [LLM_TOOL_CALL] = "fc", [LLM_REASONING] = "rs"};
    return mem_printf(ctx, "%s_%s_%lld", prefixes[d->part.kind], b->spec.id, (long long)b->index);
}

static void text_part(struct json_out *o, const char *type, struct str text)
{
    jo_obj(o);
    jo_kz(o, "type", type);
    jo_ks(o, "text", text);
    if (strcmp(type, "output_text") == 0) {
        jo_kraw(o, "annotations", STR("[]"));
        jo_kraw(o, "logprobs", STR("[]"));
    }
    jo_end_obj(o);
}

static void reasoning_item(struct json_out *o, const char *id, struct str text, struct str seal)
{
    jo_obj(o);
    jo_kz(o, "id", id);
    jo_kz(o, "type", "reasoning");
    jo_key(o, "summary");
    jo_arr(o);
    if (text.n)
        text_part(o, "summary_text", text);
    jo_end_arr(o);
    if (seal.n)
        jo_ks(o, "encrypted_content", seal);
    jo_end_obj(o);
}

/* The item, empty as it begins or finished. */
static void item_write(struct llm_bridge *b, const struct draft *d, bool finished, struct json_out *o)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *id = item_id(tmp, b, d), *status = finished ? "completed" : "in_progress";
    if (d->part.kind == LLM_REASONING) {
        bool sealed = finished && draft_seal(d).n;
        reasoning_item(o, id, finished ? buf_view(&d->text) : STR(""),
                       sealed ? face_seal(tmp, b, d, d->part.name, d->part.id, false) : STR(""));
        return;
    }
    jo_obj(o);
    jo_kz(o, "id", id);
    if (d->part.kind == LLM_TEXT) {
        jo_kz(o, "type", "message");
        jo_kz(o, "status", status);
        jo_kz(o, "role", "assistant");
        jo_key(o, "content");
        jo_arr(o);
        if (finished)
            text_part(o, "output_text", buf_view(&d->text));
        jo_end_arr(o);
    } else {
        jo_kz(o, "type", "function_call");
        jo_kz(o, "status", status);
        jo_kz(o, "call_id", d->part.id);
        jo_kz(o, "name", d->part.name);
        jo_ks(o, "arguments", finished ? face_arguments(d) : STR(""));
    }
    jo_end_obj(o);
}

static bool call_is_sealed(const struct llm_bridge *b, const struct draft *d)
{
    return d->part.kind == LLM_TOOL_CALL && draft_seal(d).n && !face_own(b);
}

static void call_seal_item(struct llm_bridge *b, const struct draft *d, struct json_out *o)
{
    CLEANUP_MEM mem *tmp = mem_root();
    reasoning_item(o, mem_printf(tmp, "rs_%s_%lld", b->spec.id, (long long)b->index), STR(""),
                   face_seal(tmp, b, d, "call", d->part.id, false));
}

/* Keeps a finished item for the last event. */
static void item_keep(struct llm_bridge *b, const struct draft *d, bool seal)
{
    struct json_out o;
    if (b->items.n)
        buf_char(&b->items, ',');
    json_out_init(&o, &b->items);
    if (seal)
        call_seal_item(b, d, &o);
    else
        item_write(b, d, true, &o);
}

static void item_event(struct llm_bridge *b, const struct draft *d, bool finished, bool seal, struct buf *out)
{
    struct json_out o;
    event_open(b, &o, finished ? "response.output_item.done" : "response.output_item.added", out);
    jo_ki(&o, "output_index", b->index);
    jo_key(&o, "item");
    if (seal)
        call_seal_item(b, d, &o);
    else
        item_write(b, d, finished, &o);
    event_close(&o);
}

/* An event of the item under way; `part` names the member that numbers its part, or NULL. */
static void part_event(struct llm_bridge *b, const struct draft *d, const char *type, const char *part,
                       struct json_out *o, struct buf *out)
{
    CLEANUP_MEM mem *tmp = mem_root();
    event_open(b, o, type, out);
    jo_kz(o, "item_id", item_id(tmp, b, d));
    jo_ki(o, "output_index", b->index);
    if (part)
        jo_ki(o, part, 0);
}

/* Names of the events of a part with text. */
static const struct part_words {
    const char *part, *type, *number, *text;
} words[] = {
    [LLM_TEXT] = {"response.content_part", "output_text", "content_index", "response.output_text"},
    [LLM_REASONING] = {"response.reasoning_summary_part", "summary_text", "summary_index",
                       "response.reasoning_summary_text"},
};

static void frame_event(struct llm_bridge *b, const struct draft *d, const char *verb, struct str text, struct buf *out)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const struct part_words *w = &words[d->part.kind];
    struct json_out o;
    part_event(b, d, mem_printf(tmp, "%s.%s", w->part, verb), w->number, &o, out);
    jo_key(&o, "part");
    text_part(&o, w->type, text);
    event_close(&o);
}

static void responses_open(struct llm_bridge *b, struct draft *d, struct buf *out)
{
    if (call_is_sealed(b, d)) {
        item_event(b, d, false, true, out);
        item_event(b, d, true, true, out);
        item_keep(b, d, true);
        b->index++;
    }
    item_event(b, d, false, false, out);
    if (d->part.kind != LLM_TOOL_CALL && d->text.n)
        frame_event(b, d, "added", STR(""), out);
}

static void responses_delta(struct llm_bridge *b, struct draft *d, struct str piece, struct buf *out)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json_out o;
    if (d->part.kind == LLM_TOOL_CALL) {
        part_event(b, d, "response.function_call_arguments.delta", NULL, &o, out);
    } else {
        const struct part_words *w = &words[d->part.kind];
        part_event(b, d, mem_printf(tmp, "%s.delta", w->text), w->number, &o, out);
    }
    jo_ks(&o, "delta", piece);
    if (d->part.kind == LLM_TEXT)
        jo_kraw(&o, "logprobs", STR("[]"));
    event_close(&o);
}

static void responses_close(struct llm_bridge *b, struct draft *d, struct buf *out)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json_out o;
    if (d->part.kind == LLM_TOOL_CALL) {
        part_event(b, d, "response.function_call_arguments.done", NULL, &o, out);
        jo_kz(&o, "name", d->part.name);
        jo_ks(&o, "arguments", face_arguments(d));
        event_close(&o);
    } else if (d->text.n) {
        const struct part_words *w = &words[d->part.kind];
        part_event(b, d, mem_printf(tmp, "%s.done", w->text), w->number, &o, out);
        jo_ks(&o, "text", buf_view(&d->text));
        if (d->part.kind == LLM_TEXT)
            jo_kraw(&o, "logprobs", STR("[]"));
        event_close(&o);
        frame_event(b, d, "done", buf_view(&d->text), out);
    }
    item_event(b, d, true, false, out);
    item_keep(b, d, false);
    b->index++;
}

static const char *status_of(enum llm_stop stop)
{
    return stop == LLM_STOP_LENGTH || stop == LLM_STOP_REFUSED ? "incomplete" : "completed";
}

static void responses_end(struct llm_bridge *b, struct buf *out)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *status = status_of(b->p->answer.stop);
    response_event(b, mem_printf(tmp, "response.%s", status), status, NULL, out);
}

/* The error, then the failed response: OpenAI's order. A passed-on stream has its own response, which is not known
 * here. */
static void responses_fail(struct llm_bridge *b, int status, const struct err *err, struct buf *out)
{
    error_responses_event(status, err, b->sequence++, out);
    if (!b->pass)
        response_event(b, "response.failed", "failed", err, out);
}

static void responses_whole(struct llm_bridge *b, struct buf *out)
{
    const struct llm_answer *a = &b->p->answer;
    struct json_out o;
    for (struct llm_part *part = a->message ? a->message->first : NULL; part; part = part->next) {
        struct draft *d = (struct draft *)part;
        if (part->kind != LLM_TOOL_CALL && !part->text.n && !part->opaque.n)
            continue;
        if (call_is_sealed(b, d)) {
            item_keep(b, d, true);
            b->index++;
        }
        item_keep(b, d, false);
        b->index++;
    }
    json_out_init(&o, out);
    response_write(b, &o, status_of(a->stop), buf_view(&b->items), NULL);
}

const struct face responses_face = {responses_begin, responses_open, responses_delta, responses_close,
                                    responses_end,   responses_fail, responses_whole};
