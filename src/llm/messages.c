/* Anthropic Messages.
 *
 * Named events; the JSON's `type` says the same and decides. Blocks are numbered; deltas grow them. Usage:
 * message_start has the input and a place holder for the output, message_delta the cumulative figures, some servers all
 * of them. Input counts exclude what was read from or written to the cache. Four cache marks are allowed; they stand on
 * the tools, the system text and the last two messages of the user, so that the mark of the request before is found
 * again however many calls lie between. */
#include "llm/wire.h"
#include <stdlib.h>

/* --- requests --- */

static void mark_write(struct json_out *o, enum llm_cache mark)
{
    if (mark == LLM_CACHE_1H)
        jo_kraw(o, "cache_control", STR("{\"type\":\"ephemeral\",\"ttl\":\"1h\"}"));
    else if (mark != LLM_CACHE_NONE)
        jo_kraw(o, "cache_control", STR("{\"type\":\"ephemeral\"}"));
}

/* Whether the part has a block of its own. Text of blanks alone is refused, and so is reasoning without its seal. */
static bool is_written(const struct llm_part *part)
{
    switch (part->kind) {
    case LLM_TEXT:
        return !wire_blank(part->text);
    case LLM_REASONING:
        return part->opaque.n > 0 && wire_origin_is(part, &llm_messages);
    default:
        return true;
    }
}

static enum rc media_write(struct writing *w, const struct llm_part *media, struct err *err)
{
    struct json_out *o = &w->o;
    bool image = wire_is_image(media), pdf = !image && str_eqz(str_of(media->media), "application/pdf");
    if (!image && !pdf)
        return write_uncarried(w, mem_printf(w->tmp, "a part of type %s", media->media), err);
    jo_kz(o, "type", image ? "image" : "document");
    jo_key(o, "source");
    jo_obj(o);
    if (media->url) {
        jo_kz(o, "type", "url");
        jo_kz(o, "url", media->url);
    } else {
        jo_kz(o, "type", "base64");
        jo_kz(o, "media_type", media->media);
        jo_ks(o, "data", media->data);
    }
    jo_end_obj(o);
    return RC_OK;
}

static enum rc result_write(struct writing *w, const struct llm_part *part, struct err *err)
{
    struct json_out *o = &w->o;
    jo_kz(o, "type", "tool_result");
    jo_kz(o, "tool_use_id", wire_call_id(w->tmp, part->id));
    if (!part->inner) {
        jo_ks(o, "content", part->text);
    } else {
        jo_key(o, "content");
        jo_arr(o);
        if (!wire_blank(part->text)) {
            jo_obj(o);
            jo_kz(o, "type", "text");
            jo_ks(o, "text", part->text);
            jo_end_obj(o);
        }
        for (const struct llm_part *media = part->inner; media; media = media->next) {
            jo_obj(o);
            READ_CHECK(media_write(w, media, err));
            jo_end_obj(o);
        }
        jo_end_arr(o);
    }
    if (part->is_error)
        jo_kb(o, "is_error", true);
    return RC_OK;
}

static enum rc block_write(struct writing *w, const struct llm_part *part, enum llm_cache mark, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json_out *o = &w->o;
    jo_obj(o);
    if (part->kind == LLM_TEXT) {
        jo_kz(o, "type", "text");
        jo_ks(o, "text", part->text);
    } else if (part->kind == LLM_TOOL_CALL) {
        jo_kz(o, "type", "tool_use");
        jo_kz(o, "id", wire_call_id(tmp, part->id));
        jo_kz(o, "name", wire_tool_name(tmp, part->name));
        jo_kraw(o, "input", wire_arguments(tmp, part));
    } else if (part->kind == LLM_TOOL_RESULT) {
        READ_CHECK(result_write(w, part, err));
    } else if (part->kind == LLM_MEDIA) {
        READ_CHECK(media_write(w, part, err));
    } else if (part->name) {
        jo_kz(o, "type", "redacted_thinking");
        jo_ks(o, "data", part->opaque);
    } else {
        jo_kz(o, "type", "thinking");
        jo_ks(o, "thinking", part->text);
        jo_ks(o, "signature", part->opaque);
    }
    mark_write(o, part->kind == LLM_REASONING ? LLM_CACHE_NONE : mark);
    jo_end_obj(o);
    return RC_OK;
}

/* Results first: they must stand right behind the calls that they answer. */
static enum rc message_write(struct writing *w, const struct llm_message *m, bool mark, struct err *err)
{
    struct json_out *o = &w->o;
    const struct llm_part *last = NULL;
    for (int others = 0; others < 2; others++)
        for (const struct llm_part *part = m->first; part; part = part->next)
            if (is_written(part) && (part->kind != LLM_TOOL_RESULT) == others)
                last = part;
    jo_obj(o);
    jo_kz(o, "role", m->role == LLM_ASSISTANT ? "assistant" : "user");
    if (m->role == LLM_SYSTEM)
        write_drop(w, "role of a system message amid the conversation");
    jo_key(o, "content");
    jo_arr(o);
    for (int others = 0; others < 2; others++)
        for (const struct llm_part *part = m->first; part; part = part->next)
            if (is_written(part) && (part->kind != LLM_TOOL_RESULT) == others)
                READ_CHECK(block_write(w, part, mark && part == last ? LLM_CACHE_5M : part->cache, err));
    if (!last) {
        const struct llm_part nothing = {.kind = LLM_TEXT, .text = STR("(nothing)")};
        READ_CHECK(block_write(w, &nothing, mark ? LLM_CACHE_5M : LLM_CACHE_NONE, err));
    }
    jo_end_arr(o);
    jo_end_obj(o);
    return RC_OK;
}

static void tools_write(struct writing *w)
{
    struct json_out *o = &w->o;
    const struct llm_conversation *c = w->c;
    if (!c->tool_count)
        return;
    jo_key(o, "tools");
    jo_arr(o);
    for (size_t i = 0; i < c->tool_count; i++) {
        jo_obj(o);
        jo_kz(o, "name", c->tools[i].name);
        if (c->tools[i].description)
            jo_kz(o, "description", c->tools[i].description);
        jo_kraw(o, "input_schema", str_of(c->tools[i].schema));
        if (c->tools[i].strict) /* older models refuse the member */
            write_drop(w, "tools.strict");
        mark_write(o, !c->own_marks && i + 1 == c->tool_count ? LLM_CACHE_5M : c->tools[i].cache);
        jo_end_obj(o);
    }
    jo_end_arr(o);
}

static enum rc system_write(struct writing *w, struct err *err)
{
    const struct llm_conversation *c = w->c;
    if (wire_blank(str_of(c->system)))
        return RC_OK;
    jo_key(&w->o, "system");
    jo_arr(&w->o);
    const struct llm_part text = {.kind = LLM_TEXT, .text = str_of(c->system)};
    READ_CHECK(block_write(w, &text, c->own_marks ? c->system_cache : LLM_CACHE_5M, err));
    jo_end_arr(&w->o);
    return RC_OK;
}

static void choice_write(struct writing *w)
{
    static const char *const words[] = {
        [LLM_CHOICE_UNSET] = "auto",   [LLM_CHOICE_AUTO] = "auto",  [LLM_CHOICE_NONE] = "none",
        [LLM_CHOICE_REQUIRED] = "any", [LLM_CHOICE_NAMED] = "tool",
    };
    const struct llm_request *r = w->r;
    struct json_out *o = &w->o;
    if (!w->c->tool_count || (r->choice == LLM_CHOICE_UNSET && r->parallel != LLM_FLAG_OFF))
        return;
    jo_key(o, "tool_choice");
    jo_obj(o);
    jo_kz(o, "type", words[r->choice]);
    if (r->choice == LLM_CHOICE_NAMED)
        jo_kz(o, "name", r->choice_name);
    if (r->parallel == LLM_FLAG_OFF && r->choice != LLM_CHOICE_NONE)
        jo_kb(o, "disable_parallel_tool_use", true);
    jo_end_obj(o);
}

/* With reasoning on, each assistant message of the turn under way that has calls must begin with sealed reasoning; one
 * that another model wrote has none. */
static bool reasoning_is_possible(const struct writing *w)
{
    bool possible = true;
    for (const struct llm_message *m = w->c->first; m; m = m->next) {
        bool results = false, calls = false;
        for (const struct llm_part *part = m->first; part; part = part->next) {
            results = results || part->kind == LLM_TOOL_RESULT;
            calls = calls || part->kind == LLM_TOOL_CALL;
        }
        if (m->role != LLM_ASSISTANT && !results)
            possible = true; /* the user's own words begin a turn */
        else if (calls && !(m->first->kind == LLM_REASONING && is_written(m->first)))
            possible = false;
    }
    return possible;
}

/* Models before 4.6 take a budget, later ones reason as they like and take an effort (Anthropic, "Extended thinking",
 * "Effort"). */
static bool takes_budget(const char *model)
{
    static const char *const parts[] = {"claude-2", "claude-3",  "sonnet-4-0", "opus-4-0", "opus-4-1",  "sonnet-4-5",
                                        "opus-4-5", "haiku-4-5", "sonnet-4-2", "opus-4-2", "sonnet-4@", "opus-4@"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strstr(model, parts[i]))
            return true;
    return false;
}

static void effort_write(struct writing *w, const char *effort)
{
    struct json_out *o = &w->o;
    const struct llm_request *r = w->r;
    if (!effort && r->format != LLM_FORMAT_SCHEMA)
        return;
    jo_key(o, "output_config");
    jo_obj(o);
    if (effort)
        jo_kz(o, "effort", effort);
    if (r->format == LLM_FORMAT_SCHEMA) {
        jo_key(o, "format");
        jo_obj(o);
        jo_kz(o, "type", "json_schema");
        jo_kraw(o, "schema", str_of(r->format_schema));
        jo_end_obj(o);
    }
    jo_end_obj(o);
}

/* Returns whether the model will reason: sampling is then the model's own. */
static bool reasoning_write(struct writing *w)
{
    struct json_out *o = &w->o;
    int64_t budget = write_budget(w->r);
    const char *effort = write_effort(w->r);
    bool forced = w->r->choice == LLM_CHOICE_REQUIRED || w->r->choice == LLM_CHOICE_NAMED; /* excludes reasoning */
    bool wanted = budget > 0 || budget == -1, possible = !forced && reasoning_is_possible(w);
    if (wanted && !possible)
        write_drop(w, "thinking");
    wanted = wanted && possible;
    if (!wanted) {
        effort_write(w, NULL);
        return false;
    }
    jo_key(o, "thinking");
    jo_obj(o);
    if (takes_budget(w->model)) {
        if (budget < 1024)
            budget = 1024;
        if (budget >= w->max_output)
            budget = w->max_output - 1;
        jo_kz(o, "type", budget < 1024 ? "disabled" : "enabled"); /* 1024 is the least, and below the cap */
        if (budget >= 1024)
            jo_ki(o, "budget_tokens", budget);
        effort = NULL;
    } else {
        jo_kz(o, "type", "adaptive");
        if (w->r->show_thoughts)
            jo_kz(o, "display", "summarized");
    }
    jo_end_obj(o);
    if (effort && strcmp(effort, "minimal") == 0)
        effort = "low";
    effort_write(w, effort);
    return true;
}

static void sampling_write(struct writing *w, bool reasons)
{
    const struct llm_request *r = w->r;
    if (reasons) {
        if (r->temperature.n)
            write_drop(w, "temperature");
        if (r->top_k.n)
            write_drop(w, "top_k");
        if (r->top_p.n)
            write_drop(w, "top_p");
    } else {
        bool hot = r->temperature.n && strtod(mem_strn(w->tmp, r->temperature.p, r->temperature.n), NULL) > 1;
        if (hot)
            write_drop(w, "temperature above 1");
        write_number(w, "temperature", hot ? STR("1") : r->temperature);
        if (r->top_p.n && r->temperature.n)
            write_drop(w, "top_p"); /* newer models take one of the two */
        else
            write_number(w, "top_p", r->top_p);
        write_number(w, "top_k", r->top_k);
    }
    if (r->min_p.n)
        write_drop(w, "min_p");
    write_drop_numbers(w, false, true, true);
    if (r->stop) {
        jo_key(&w->o, "stop_sequences");
        jo_arr(&w->o);
        for (const char *const *s = r->stop; *s; s++)
            jo_z(&w->o, *s);
        jo_end_arr(&w->o);
    }
    if (r->format == LLM_FORMAT_JSON) /* who asks for it must ask for it in words, too */
        write_drop(w, "response_format json_object");
    if (r->user) {
        jo_key(&w->o, "metadata");
        jo_obj(&w->o);
        jo_kz(&w->o, "user_id", r->user);
        jo_end_obj(&w->o);
    }
}

static enum rc messages_encode(struct llm_request *r, const struct llm_dialect *d, const char *model,
                               int64_t max_output, bool stream, struct buf *b, struct err *err)
{
    struct writing w;
    write_begin(&w, r, d, model, max_output, stream, b);
    size_t left = 0; /* messages of the user that are still to come */
    for (const struct llm_message *m = w.c->first; m; m = m->next)
        left += m->role == LLM_USER;
    jo_obj(&w.o);
    jo_kz(&w.o, "model", model);
    jo_ki(&w.o, "max_tokens", max_output);
    if (stream)
        jo_kb(&w.o, "stream", true);
    sampling_write(&w, reasoning_write(&w));
    choice_write(&w);
    tools_write(&w);
    READ_CHECK(system_write(&w, err));
    jo_key(&w.o, "messages");
    jo_arr(&w.o);
    for (const struct llm_message *m = w.c->first; m; m = m->next) {
        READ_CHECK(message_write(&w, m, !w.c->own_marks && m->role == LLM_USER && left <= 2, err));
        left -= m->role == LLM_USER;
    }
    jo_end_arr(&w.o);
    jo_end_obj(&w.o);
    return RC_OK;
}

static void messages_request(const struct llm_conversation *c, const char *model, int64_t max_output, struct buf *b)
{
    write_conversation(&llm_messages, c, model, max_output, b);
}

static const char *const *messages_headers(mem *ctx, const char *key)
{
    const char **lines = mem_array(ctx, const char *, 3);
    lines[0] = "anthropic-version: 2023-06-01";
    lines[1] = wire_key_line(lines, "x-api-key: ", key);
    return lines;
}

/* --- answers --- */

static const struct wire_stop stops[] = {
    {"end_turn", LLM_STOP_END},    {"stop_sequence", LLM_STOP_END},
    {"tool_use", LLM_STOP_TOOLS},  {"max_tokens", LLM_STOP_LENGTH},
    {"refusal", LLM_STOP_REFUSED}, {"model_context_window_exceeded", LLM_STOP_LENGTH},
};

/* `final`: figures of message_delta or of a whole answer. The output of message_start is a place holder. */
static void usage_take(struct llm_parser *p, struct json usage, bool final)
{
    if (json_type(usage) != JSON_OBJECT)
        return;
    struct counts *n = &p->counts;
    count_raise(&n->prompt, json_get(usage, "input_tokens"));
    count_raise(&n->cached, json_get(usage, "cache_read_input_tokens"));
    count_raise(&n->written, json_get(usage, "cache_creation_input_tokens"));
    count_raise(&n->written_5m, json_path(usage, "cache_creation.ephemeral_5m_input_tokens"));
    count_raise(&n->written_1h, json_path(usage, "cache_creation.ephemeral_1h_input_tokens"));
    count_raise(&n->reasoning, json_path(usage, "output_tokens_details.reasoning_tokens"));
    count_raise(&n->reasoning, json_path(usage, "output_tokens_details.thinking_tokens"));
    struct json output = json_get(usage, "output_tokens");
    if (final && json_type(output) == JSON_NUMBER) {
        if (!p->answer.usage_known)
            n->output = 0;
        p->answer.usage_known = true;
    }
    count_raise(&n->output, output);
    /* The split of cache writes may be missing or not add up: what it leaves out was written for 5 minutes. */
    int64_t rest = n->written - n->written_5m - n->written_1h;
    p->answer.usage = (struct usage){
        .input = n->prompt,
        .cache_read = n->cached,
        .cache_write = n->written_5m + (rest > 0 ? rest : 0),
        .cache_write_1h = n->written_1h,
        .output = n->output,
        .reasoning = n->reasoning < n->output ? n->reasoning : n->output,
    };
    /* All zero is a place holder, too. */
    if (n->prompt + n->cached + n->written + n->written_5m + n->written_1h + n->output == 0)
        p->answer.usage_known = false;
}

/* A block's own fields: all of it in a whole answer, what is there at its start in a stream. */
static void block_take(struct llm_parser *p, struct json block, int64_t index)
{
    mem *tmp = p->scratch;
    struct json type = json_get(block, "type");
    p->foreign = -1;
    if (json_eqz(type, "text")) {
        struct draft *d = draft_add(p, LLM_TEXT, index);
        if (d)
            draft_grow(p, d, json_str(tmp, json_get(block, "text")));
    } else if (json_eqz(type, "tool_use")) {
        struct draft *d = draft_add(p, LLM_TOOL_CALL, index);
        if (!d)
            return;
        draft_name(p, &d->part.id, json_get(block, "id"));
        draft_name(p, &d->part.name, json_get(block, "name"));
        if (json_is(json_get(block, "input")))
            d->arguments = str_of(str_dup(p, json_raw(json_get(block, "input"))));
    } else if (json_eqz(type, "thinking") || json_eqz(type, "redacted_thinking")) {
        struct draft *d = draft_add(p, LLM_REASONING, index);
        if (!d)
            return;
        bool sealed = json_eqz(type, "redacted_thinking");
        if (sealed)
            d->part.name = "redacted_thinking";
        draft_grow(p, d, json_str(tmp, json_get(block, "thinking")));
        buf_str(&d->seal, json_str(tmp, json_get(block, sealed ? "data" : "signature")));
    } else {
        p->foreign = index;
    }
}

static enum rc on_message_start(struct llm_parser *p, struct json e)
{
    struct json message = json_get(e, "message");
    wire_identity(p, message);
    usage_take(p, json_get(message, "usage"), false);
    int64_t at = 0;
    for (struct json_iter it = json_iter(json_get(message, "content")); json_next(&it);)
        block_take(p, it.value, at++);
    return RC_OK;
}

static enum rc on_block_start(struct llm_parser *p, struct json e)
{
    block_take(p, json_get(e, "content_block"), json_int(json_get(e, "index"), -1));
    return RC_OK;
}

/* Pieces by the kind of their delta. The part is made when a server left out its start. */
static const struct {
    const char *type, *member;
    enum llm_part_kind kind;
    bool seal;
} deltas[] = {
    {"text_delta", "text", LLM_TEXT, false},
    {"input_json_delta", "partial_json", LLM_TOOL_CALL, false},
    {"thinking_delta", "thinking", LLM_REASONING, false},
    {"signature_delta", "signature", LLM_REASONING, true},
};

static enum rc on_block_delta(struct llm_parser *p, struct json e)
{
    mem *tmp = p->scratch;
    struct json delta = json_get(e, "delta");
    int64_t index = json_int(json_get(e, "index"), -1);
    for (size_t i = 0; i < sizeof deltas / sizeof deltas[0]; i++) {
        if (!json_eqz(json_get(delta, "type"), deltas[i].type))
            continue;
        struct str piece = json_str(tmp, json_get(delta, deltas[i].member));
        struct draft *d = draft_find(p, (int)deltas[i].kind, index);
        if (!d && piece.n && (index < 0 || index != p->foreign))
            d = draft_add(p, deltas[i].kind, index);
        if (!d)
            break;
        if (deltas[i].seal)
            buf_str(&d->seal, piece);
        else
            draft_grow(p, d, piece);
    }
    return RC_OK;
}

/* Some servers tell the arguments only here. */
static enum rc on_block_stop(struct llm_parser *p, struct json e)
{
    struct draft *d = draft_find(p, LLM_TOOL_CALL, json_int(json_get(e, "index"), -1));
    struct json input = json_path(e, "content_block.input");
    if (d && json_len(input))
        d->arguments = str_of(str_dup(p, json_raw(input)));
    return RC_OK;
}

static void stop_take(struct llm_parser *p, struct json reason)
{
    enum llm_stop stop = wire_stop(stops, sizeof stops / sizeof stops[0], reason);
    if (stop != LLM_STOP_NONE)
        p->answer.stop = stop;
}

static enum rc on_message_delta(struct llm_parser *p, struct json e)
{
    stop_take(p, json_path(e, "delta.stop_reason"));
    usage_take(p, json_get(e, "usage"), true);
    return RC_OK;
}

static enum rc on_message_stop(struct llm_parser *p, struct json e)
{
    (void)e;
    p->answer.complete = !p->answer.failed;
    return RC_OK;
}

static enum rc on_error(struct llm_parser *p, struct json e)
{
    wire_failed(p, e);
    return RC_OK;
}

static const struct {
    const char *type;
    enum rc (*take)(struct llm_parser *p, struct json e);
} events[] = {
    {"message_start", on_message_start},
    {"content_block_start", on_block_start},
    {"content_block_delta", on_block_delta},
    {"content_block_stop", on_block_stop},
    {"message_delta", on_message_delta},
    {"message_stop", on_message_stop},
    {"error", on_error},
};
enum { EVENTS = sizeof events / sizeof events[0] };

static size_t event_find(struct str name)
{
    size_t i = 0;
    while (i < EVENTS && !str_eqz(name, events[i].type))
        i++;
    return i;
}

static enum rc messages_event(struct llm_parser *p, struct str name, struct str data, struct err *err)
{
    data = str_trim(data);
    /* The API adds kinds of events without notice, and some servers end as the other dialect does. */
    if (!data.n || str_eqz(data, "[DONE]") || (name.n && event_find(name) == EVENTS))
        return RC_OK;
    mem *tmp = p->scratch;
    struct json e;
    enum rc rc = wire_parse(tmp, p, data, &e, err);
    if (rc || !json_is(e))
        return rc;
    struct str type = json_str(tmp, json_get(e, "type"));
    size_t i = event_find(type.n ? type : name);
    if (i == EVENTS && json_is(json_get(e, "error")))
        i = event_find(STR("error"));
    return i < EVENTS ? events[i].take(p, e) : RC_OK;
}

static void messages_vary(struct alike *a, struct json e)
{
    struct json delta = json_get(e, "delta");
    if (!json_eqz(json_get(e, "type"), "content_block_delta"))
        return;
    for (size_t i = 0; i < sizeof deltas / sizeof deltas[0]; i++)
        if (!deltas[i].seal && json_eqz(json_get(delta, "type"), deltas[i].type))
            alike_vary(a, json_get(delta, deltas[i].member), true);
}

static enum rc messages_whole(struct llm_parser *p, struct json root, struct err *err)
{
    struct json content = json_get(root, "content");
    if (json_type(content) != JSON_ARRAY)
        return wire_nonsense(err, json_raw(root), "The model server's answer has no content");
    wire_identity(p, root);
    int64_t at = 0;
    for (struct json_iter it = json_iter(content); json_next(&it);)
        block_take(p, it.value, at++);
    stop_take(p, json_get(root, "stop_reason"));
    usage_take(p, json_get(root, "usage"), true);
    p->answer.complete = true;
    return RC_OK;
}

/* Images are scaled down to 1,600 tokens, for newer models to 4,784 (Anthropic, "Vision"). */
static const struct llm_wire messages_wire = {.event = messages_event,
                                              .vary = messages_vary,
                                              .whole = messages_whole,
                                              .cap = "max_tokens",
                                              .decode = messages_decode,
                                              .encode = messages_encode,
                                              .face = &messages_face,
                                              .image_tokens = 5000};
const struct llm_dialect llm_messages = {"messages",       "messages",       "/v1/messages",
                                         messages_request, messages_headers, &messages_wire};
