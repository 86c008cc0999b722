/* OpenAI Responses.
 *
 * A request holds a list of items (messages, calls, results, reasoning); so does an answer. Streams have named events
 * that number their item and its part; texts and arguments come as deltas, sometimes only in the event that ends them,
 * and all of it once more in the last event, which also has the usage: response.completed, .incomplete or .failed.
 * Input counts include cached tokens, output counts include reasoning. Nothing is stored at the provider; reasoning is
 * asked for in its sealed form, so that it can be handed back. */
#include "llm/wire.h"

/* --- requests --- */

static void text_part_write(struct json_out *o, const char *type, struct str text)
{
    jo_obj(o);
    jo_kz(o, "type", type);
    jo_ks(o, "text", text);
    jo_end_obj(o);
}

static enum rc media_write(struct writing *w, const struct llm_part *media, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json_out *o = &w->o;
    bool image = wire_is_image(media);
    if (!image && !str_eqz(str_of(media->media), "application/pdf"))
        return write_uncarried(w, mem_printf(tmp, "a part of type %s", media->media), err);
    jo_obj(o);
    jo_kz(o, "type", image ? "input_image" : "input_file");
    if (image) {
        jo_kz(o, "image_url", wire_data_url(tmp, media));
        jo_kz(o, "detail", media->detail ? media->detail : "auto");
    } else if (media->url) {
        jo_kz(o, "file_url", media->url);
    } else {
        jo_kz(o, "filename", media->detail ? media->detail : "document.pdf");
        jo_kz(o, "file_data", wire_data_url(tmp, media));
    }
    jo_end_obj(o);
    return RC_OK;
}

static enum rc result_write(struct writing *w, const struct llm_part *part, struct err *err)
{
    struct json_out *o = &w->o;
    jo_obj(o);
    jo_kz(o, "type", "function_call_output");
    jo_kz(o, "call_id", part->id);
    if (!part->inner) {
        jo_ks(o, "output", part->text);
    } else {
        jo_key(o, "output");
        jo_arr(o);
        if (part->text.n)
            text_part_write(o, "input_text", part->text);
        for (const struct llm_part *media = part->inner; media; media = media->next)
            READ_CHECK(media_write(w, media, err));
        jo_end_arr(o);
    }
    jo_end_obj(o);
    return RC_OK;
}

static enum rc user_write(struct writing *w, const struct llm_message *m, struct err *err)
{
    struct json_out *o = &w->o;
    bool said = false;
    for (const struct llm_part *part = m->first; part; part = part->next) {
        if (part->kind == LLM_TOOL_RESULT)
            READ_CHECK(result_write(w, part, err));
        said = said || (part->kind == LLM_TEXT && !wire_blank(part->text)) || part->kind == LLM_MEDIA;
    }
    if (!said)
        return RC_OK;
    jo_obj(o);
    jo_kz(o, "type", "message");
    jo_kz(o, "role", m->role == LLM_SYSTEM ? "developer" : "user");
    jo_key(o, "content");
    jo_arr(o);
    for (const struct llm_part *part = m->first; part; part = part->next) {
        if (part->kind == LLM_TEXT && !wire_blank(part->text))
            text_part_write(o, "input_text", part->text);
        else if (part->kind == LLM_MEDIA)
            READ_CHECK(media_write(w, part, err));
    }
    jo_end_arr(o);
    jo_end_obj(o);
    return RC_OK;
}

static void reasoning_write(struct writing *w, const struct llm_part *part)
{
    struct json_out *o = &w->o;
    if (!part->opaque.n || !wire_origin_is(part, w->d))
        return;
    jo_obj(o);
    jo_kz(o, "type", "reasoning");
    if (part->id)
        jo_kz(o, "id", part->id);
    jo_key(o, "summary");
    jo_arr(o);
    if (part->text.n)
        text_part_write(o, "summary_text", part->text);
    jo_end_arr(o);
    jo_ks(o, "encrypted_content", part->opaque);
    jo_end_obj(o);
}

static void assistant_write(struct writing *w, const struct llm_message *m)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json_out *o = &w->o;
    for (const struct llm_part *part = m->first; part; part = part->next) {
        if (part->kind == LLM_REASONING) {
            reasoning_write(w, part);
        } else if (part->kind == LLM_TEXT && !wire_blank(part->text)) {
            jo_obj(o);
            jo_kz(o, "type", "message");
            jo_kz(o, "role", "assistant");
            jo_key(o, "content");
            jo_arr(o);
            text_part_write(o, "output_text", part->text);
            jo_end_arr(o);
            jo_end_obj(o);
        } else if (part->kind == LLM_TOOL_CALL) {
            jo_obj(o);
            jo_kz(o, "type", "function_call");
            jo_kz(o, "call_id", part->id);
            jo_kz(o, "name", wire_tool_name(tmp, part->name));
            jo_ks(o, "arguments", wire_arguments(tmp, part));
            jo_end_obj(o);
        }
    }
}

static void tools_write(struct writing *w)
{
    struct json_out *o = &w->o;
    if (!w->c->tool_count)
        return;
    jo_key(o, "tools");
    jo_arr(o);
    for (size_t i = 0; i < w->c->tool_count; i++) {
        const struct llm_tool *t = &w->c->tools[i];
        jo_obj(o);
        jo_kz(o, "type", "function");
        jo_kz(o, "name", t->name);
        if (t->description)
            jo_kz(o, "description", t->description);
        jo_kraw(o, "parameters", str_of(t->schema));
        jo_kb(o, "strict", t->strict); /* here the default would be strict */
        jo_end_obj(o);
    }
    jo_end_arr(o);
}

static void choice_write(struct writing *w)
{
    static const char *const words[] = {
        [LLM_CHOICE_AUTO] = "auto", [LLM_CHOICE_NONE] = "none", [LLM_CHOICE_REQUIRED] = "required"};
    struct json_out *o = &w->o;
    const struct llm_request *r = w->r;
    if (!w->c->tool_count)
        return;
    if (r->choice == LLM_CHOICE_NAMED) {
        jo_key(o, "tool_choice");
        jo_obj(o);
        jo_kz(o, "type", "function");
        jo_kz(o, "name", r->choice_name);
        jo_end_obj(o);
    } else if (r->choice != LLM_CHOICE_UNSET) {
        jo_kz(o, "tool_choice", words[r->choice]);
    }
    if (r->parallel != LLM_FLAG_UNSET)
        jo_kb(o, "parallel_tool_calls", r->parallel == LLM_FLAG_ON);
}

static void format_write(struct writing *w)
{
    struct json_out *o = &w->o;
    const struct llm_request *r = w->r;
    if (r->format == LLM_FORMAT_TEXT)
        return;
    jo_key(o, "text");
    jo_obj(o);
    jo_key(o, "format");
    jo_obj(o);
    jo_kz(o, "type", r->format == LLM_FORMAT_JSON ? "json_object" : "json_schema");
    if (r->format == LLM_FORMAT_SCHEMA) {
        jo_kz(o, "name", r->format_name ? r->format_name : "answer");
        jo_kraw(o, "schema", str_of(r->format_schema));
        jo_kb(o, "strict", r->format_strict);
    }
    jo_end_obj(o);
    jo_end_obj(o);
}

static void effort_write(struct writing *w)
{
    struct json_out *o = &w->o;
    const char *effort;
    if (!write_openai_effort(w, &effort))
        return;
    jo_key(o, "reasoning");
    jo_obj(o);
    if (effort)
        jo_kz(o, "effort", effort);
    if (w->r->show_thoughts)
        jo_kz(o, "summary", "auto");
    jo_end_obj(o);
    /* Only models that reason know this wish. */
    jo_kraw(o, "include", STR("[\"reasoning.encrypted_content\"]"));
}

static enum rc responses_encode(struct llm_request *r, const struct llm_dialect *d, const char *model,
                                int64_t max_output, bool stream, struct buf *b, struct err *err)
{
    struct writing w;
    write_begin(&w, r, d, model, max_output, stream, b);
    if (r->stop)
        return write_uncarried(&w, "stop sequences", err);
    jo_obj(&w.o);
    jo_kz(&w.o, "model", model);
    jo_ki(&w.o, "max_output_tokens", max_output);
    if (stream)
        jo_kb(&w.o, "stream", true);
    jo_kb(&w.o, "store", false);
    write_number(&w, "temperature", r->temperature);
    write_number(&w, "top_p", r->top_p);
    write_drop_numbers(&w, true, true, true);
    if (r->user)
        jo_kz(&w.o, "user", r->user);
    effort_write(&w);
    format_write(&w);
    choice_write(&w);
    tools_write(&w);
    if (w.c->system && w.c->system[0])
        jo_kz(&w.o, "instructions", w.c->system);
    jo_key(&w.o, "input");
    jo_arr(&w.o);
    for (const struct llm_message *m = w.c->first; m; m = m->next) {
        if (m->role == LLM_ASSISTANT)
            assistant_write(&w, m);
        else
            READ_CHECK(user_write(&w, m, err));
    }
    jo_end_arr(&w.o);
    jo_end_obj(&w.o);
    return RC_OK;
}

static void responses_request(const struct llm_conversation *c, const char *model, int64_t max_output, struct buf *b)
{
    write_conversation(&llm_responses, c, model, max_output, b);
}

static const char *const *responses_headers(mem *ctx, const char *key)
{
    return llm_chat.headers(ctx, key);
}

/* --- answers --- */

/* Parts of one item are numbered behind each other. */
enum { PARTS_OF_ITEM = 4096 };

static int64_t place(struct json e, const char *part)
{
    int64_t item = json_int(json_get(e, "output_index"), 0), within = part ? json_int(json_get(e, part), 0) : 0;
    if (item < 0 || item > PARTS_OF_ITEM || within < 0 || within >= PARTS_OF_ITEM)
        return 0;
    return item * PARTS_OF_ITEM + within;
}

static struct draft *draft_get(struct llm_parser *p, enum llm_part_kind kind, int64_t index)
{
    struct draft *d = draft_find(p, (int)kind, index);
    return d ? d : draft_add(p, kind, index);
}

static void usage_take(struct llm_parser *p, struct json usage)
{
    if (json_type(usage) != JSON_OBJECT)
        return;
    struct counts *n = &p->counts;
    count_raise(&n->prompt, json_get(usage, "input_tokens"));
    count_raise(&n->output, json_get(usage, "output_tokens"));
    count_raise(&n->cached, json_path(usage, "input_tokens_details.cached_tokens"));
    count_raise(&n->written, json_path(usage, "input_tokens_details.cache_write_tokens"));
    count_raise(&n->reasoning, json_path(usage, "output_tokens_details.reasoning_tokens"));
    if (n->prompt + n->output == 0)
        return;
    int64_t prompt = n->prompt, inside = n->cached + n->written;
    if (inside > prompt) /* a server that counts the cache beside the input */
        prompt += inside;
    p->answer.usage = (struct usage){
        .input = prompt - inside,
        .cache_read = n->cached,
        .cache_write = n->written,
        .output = n->output,
        .reasoning = n->reasoning < n->output ? n->reasoning : n->output,
    };
    p->answer.usage_known = json_type(json_get(usage, "output_tokens")) == JSON_NUMBER;
}

static void text_take(struct llm_parser *p, int64_t index, struct json text, bool refusal)
{
    mem *tmp = p->scratch;
    struct str s = json_str(tmp, text);
    if (refusal && s.n)
        p->answer.stop = LLM_STOP_REFUSED;
    struct draft *d = s.n ? draft_get(p, LLM_TEXT, index) : NULL;
    if (d && !d->text.n)
        draft_grow(p, d, s);
}

static void message_take(struct llm_parser *p, struct json item, int64_t index)
{
    for (struct json_iter it = json_iter(json_get(item, "content")); json_next(&it); index++) {
        bool refusal = json_eqz(json_get(it.value, "type"), "refusal");
        if (refusal || json_eqz(json_get(it.value, "type"), "output_text"))
            text_take(p, index, json_get(it.value, refusal ? "refusal" : "text"), refusal);
    }
}

static void call_take(struct llm_parser *p, struct json item, int64_t index)
{
    mem *tmp = p->scratch;
    struct draft *d = draft_get(p, LLM_TOOL_CALL, index);
    if (!d)
        return;
    draft_name(p, &d->part.id, json_get(item, "call_id"));
    draft_name(p, &d->part.id, json_get(item, "id"));
    draft_name(p, &d->part.name, json_get(item, "name"));
    if (!d->text.n)
        draft_grow(p, d, json_str(tmp, json_get(item, "arguments")));
}

static void reasoning_take(struct llm_parser *p, struct json item, int64_t index)
{
    mem *tmp = p->scratch;
    struct json summary = json_get(item, "summary"), content = json_get(item, "content");
    struct json texts = json_len(summary) ? summary : content;
    struct str seal = json_str(tmp, json_get(item, "encrypted_content"));
    struct draft *d = draft_find(p, LLM_REASONING, index);
    bool told = d && d->text.n;
    if (!d && !seal.n && !json_len(texts))
        return;
    d = d ? d : draft_add(p, LLM_REASONING, index);
    if (!d)
        return;
    draft_name(p, &d->part.id, json_get(item, "id"));
    for (struct json_iter it = json_iter(texts); !told && json_type(texts) == JSON_ARRAY && json_next(&it);) {
        if (d->text.n)
            draft_grow(p, d, STR("\n\n"));
        draft_grow(p, d, json_str(tmp, json_get(it.value, "text")));
    }
    if (!d->seal.n)
        (void)!buf_str(&d->seal, seal);
}

/* An item as a whole: only what the deltas have not told yet counts. */
static void item_take(struct llm_parser *p, struct json item, int64_t index)
{
    struct json type = json_get(item, "type");
    if (json_eqz(type, "message"))
        message_take(p, item, index);
    else if (json_eqz(type, "function_call"))
        call_take(p, item, index);
    else if (json_eqz(type, "reasoning"))
        reasoning_take(p, item, index);
}

static void output_take(struct llm_parser *p, struct json response)
{
    int64_t at = 0;
    wire_identity(p, response);
    for (struct json_iter it = json_iter(json_get(response, "output")); json_next(&it) && at < PARTS_OF_ITEM; at++)
        item_take(p, it.value, at * PARTS_OF_ITEM);
    usage_take(p, json_get(response, "usage"));
}

static void ended(struct llm_parser *p, struct json response)
{
    struct json reason = json_path(response, "incomplete_details.reason");
    output_take(p, response);
    if (p->answer.stop == LLM_STOP_REFUSED)
        ;
    else if (json_eqz(json_get(response, "status"), "incomplete"))
        p->answer.stop = json_eqz(reason, "max_output_tokens") ? LLM_STOP_LENGTH
                         : json_eqz(reason, "content_filter")  ? LLM_STOP_REFUSED
                                                               : LLM_STOP_OTHER;
    else
        p->answer.stop = LLM_STOP_END;
    p->answer.complete = !p->answer.failed;
}

static void on_created(struct llm_parser *p, struct json e)
{
    wire_identity(p, json_get(e, "response"));
}

static void on_item_added(struct llm_parser *p, struct json e)
{
    struct json item = json_get(e, "item");
    if (json_eqz(json_get(item, "type"), "function_call"))
        call_take(p, item, place(e, NULL));
}

static void on_item_done(struct llm_parser *p, struct json e)
{
    item_take(p, json_get(e, "item"), place(e, NULL));
}

static void delta_take(struct llm_parser *p, enum llm_part_kind kind, int64_t index, struct json delta)
{
    mem *tmp = p->scratch;
    struct str s = json_str(tmp, delta);
    struct draft *d = s.n ? draft_get(p, kind, index) : NULL;
    if (d)
        draft_grow(p, d, s);
}

static void on_text_delta(struct llm_parser *p, struct json e)
{
    delta_take(p, LLM_TEXT, place(e, "content_index"), json_get(e, "delta"));
}

static void on_text_done(struct llm_parser *p, struct json e)
{
    text_take(p, place(e, "content_index"), json_get(e, "text"), false);
}

static void on_refusal_delta(struct llm_parser *p, struct json e)
{
    on_text_delta(p, e);
    p->answer.stop = LLM_STOP_REFUSED;
}

static void on_refusal_done(struct llm_parser *p, struct json e)
{
    text_take(p, place(e, "content_index"), json_get(e, "refusal"), true);
}

static void on_arguments_delta(struct llm_parser *p, struct json e)
{
    delta_take(p, LLM_TOOL_CALL, place(e, NULL), json_get(e, "delta"));
}

static void on_arguments_done(struct llm_parser *p, struct json e)
{
    mem *tmp = p->scratch;
    struct draft *d = draft_find(p, LLM_TOOL_CALL, place(e, NULL));
    if (d && !d->text.n)
        draft_grow(p, d, json_str(tmp, json_get(e, "arguments")));
}

static void on_reasoning_delta(struct llm_parser *p, struct json e)
{
    delta_take(p, LLM_REASONING, place(e, NULL), json_get(e, "delta"));
}

static void on_summary_added(struct llm_parser *p, struct json e)
{
    struct draft *d = draft_find(p, LLM_REASONING, place(e, NULL));
    if (d && d->text.n && json_int(json_get(e, "summary_index"), 0) > 0)
        draft_grow(p, d, STR("\n\n"));
}

static void on_end(struct llm_parser *p, struct json e)
{
    ended(p, json_get(e, "response"));
}

static void on_failed(struct llm_parser *p, struct json e)
{
    struct json response = json_get(e, "response");
    output_take(p, response);
    wire_failed(p, json_is(json_get(response, "error")) ? json_get(response, "error") : response);
}

static void on_error(struct llm_parser *p, struct json e)
{
    wire_failed(p, e);
}

static const struct {
    const char *type;
    void (*take)(struct llm_parser *p, struct json e);
} events[] = {
    {"response.output_text.delta", on_text_delta},
    {"response.function_call_arguments.delta", on_arguments_delta},
    {"response.reasoning_summary_text.delta", on_reasoning_delta},
    {"response.reasoning_text.delta", on_reasoning_delta},
    {"response.created", on_created},
    {"response.in_progress", on_created},
    {"response.output_item.added", on_item_added},
    {"response.output_item.done", on_item_done},
    {"response.output_text.done", on_text_done},
    {"response.refusal.delta", on_refusal_delta},
    {"response.refusal.done", on_refusal_done},
    {"response.function_call_arguments.done", on_arguments_done},
    {"response.reasoning_summary_part.added", on_summary_added},
    {"response.completed", on_end},
    {"response.incomplete", on_end},
    {"response.done", on_end},
    {"response.failed", on_failed},
    {"error", on_error},
};
enum { EVENTS = sizeof events / sizeof events[0] };

static enum rc responses_event(struct llm_parser *p, struct str name, struct str data, struct err *err)
{
    mem *tmp = p->scratch;
    struct json e;
    data = str_trim(data);
    if (!data.n || str_eqz(data, "[DONE]"))
        return RC_OK;
    READ_CHECK(wire_parse(tmp, p, data, &e, err));
    if (!json_is(e))
        return RC_OK;
    struct json type = json_get(e, "type");
    struct str known = json_is(type) ? json_str(tmp, type) : name;
    if (!known.n && json_is(json_get(e, "error")))
        known = STR("error");
    for (size_t i = 0; i < EVENTS; i++)
        if (str_eqz(known, events[i].type)) {
            events[i].take(p, e);
            break;
        }
    return RC_OK;
}

static void responses_vary(struct alike *a, struct json e)
{
    static const char *const types[] = {"response.output_text.delta", "response.function_call_arguments.delta",
                                        "response.reasoning_summary_text.delta", "response.reasoning_text.delta"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (!json_eqz(json_get(e, "type"), types[i]))
            continue;
        alike_vary(a, json_get(e, "delta"), true);
        alike_vary(a, json_get(e, "sequence_number"), false);
        alike_vary(a, json_get(e, "obfuscation"), false);
    }
}

static enum rc responses_whole(struct llm_parser *p, struct json root, struct err *err)
{
    if (json_type(json_get(root, "output")) != JSON_ARRAY)
        return wire_nonsense(err, json_raw(root), "The model server's answer has no output");
    struct json status = json_get(root, "status");
    if (json_eqz(status, "failed") || json_eqz(status, "cancelled") || json_eqz(status, "in_progress") ||
        json_eqz(status, "queued")) {
        output_take(p, root);
        wire_failed(p, root);
        return RC_OK;
    }
    ended(p, root);
    return RC_OK;
}

/* The largest that any of OpenAI's models makes of an image, as for Chat Completions. */
static const struct llm_wire responses_wire = {.event = responses_event,
                                               .vary = responses_vary,
                                               .whole = responses_whole,
                                               .cap = "max_output_tokens",
                                               .decode = responses_decode,
                                               .encode = responses_encode,
                                               .face = &responses_face,
                                               .image_tokens = 49152};
const struct llm_dialect llm_responses = {"responses",       "responses",       "/v1/responses",
                                          responses_request, responses_headers, &responses_wire};
