/* Anthropic Messages.
 *
 * Named events; the JSON's `type` says the same and decides. Blocks are numbered; deltas grow them. Usage:
 * message_start has the input and a place holder for the output, message_delta the cumulative figures, some servers all
 * of them. Input counts exclude what was read from or written to the cache. Four cache marks are allowed; they stand on
 * the tools, the system text and the last two messages of the user, so that the mark of the request before is found
 * again however many calls lie between. */
#include "llm/wire.h"

/* --- requests --- */

static void mark_write(struct json_out *o)
{
    jo_kraw(o, "cache_control", STR("{\"type\":\"ephemeral\"}"));
}

/* Whether the part has a block of its own. Text of blanks alone is refused, and so is reasoning without its seal. */
static bool is_written(const struct llm_part *part)
{
    switch (part->kind) {
    case LLM_TEXT:
        return !wire_blank(part->text);
    case LLM_REASONING:
        return part->opaque.n > 0;
    default:
        return true;
    }
}

static void block_write(struct json_out *o, const struct llm_part *part, bool mark)
{
    CLEANUP_MEM mem *tmp = mem_root();
    jo_obj(o);
    if (part->kind == LLM_TEXT) {
        jo_kz(o, "type", "text");
        jo_ks(o, "text", part->text);
    } else if (part->kind == LLM_TOOL_CALL) {
        jo_kz(o, "type", "tool_use");
        jo_kz(o, "id", part->id);
        jo_kz(o, "name", wire_tool_name(tmp, part->name));
        jo_kraw(o, "input", wire_arguments(tmp, part));
    } else if (part->kind == LLM_TOOL_RESULT) {
        jo_kz(o, "type", "tool_result");
        jo_kz(o, "tool_use_id", part->id);
        jo_ks(o, "content", part->text);
        if (part->is_error)
            jo_kb(o, "is_error", true);
    } else if (part->name) {
        jo_kz(o, "type", "redacted_thinking");
        jo_ks(o, "data", part->opaque);
    } else {
        jo_kz(o, "type", "thinking");
        jo_ks(o, "thinking", part->text);
        jo_ks(o, "signature", part->opaque);
    }
    if (mark)
        mark_write(o);
    jo_end_obj(o);
}

/* Results first: they must stand right behind the calls that they answer. */
static void message_write(struct json_out *o, const struct llm_message *m, bool mark)
{
    const struct llm_part *last = NULL;
    for (int others = 0; others < 2; others++)
        for (const struct llm_part *part = m->first; part; part = part->next)
            if (is_written(part) && (part->kind != LLM_TOOL_RESULT) == others)
                last = part;
    jo_obj(o);
    jo_kz(o, "role", m->role == LLM_ASSISTANT ? "assistant" : "user");
    jo_key(o, "content");
    jo_arr(o);
    for (int others = 0; others < 2; others++)
        for (const struct llm_part *part = m->first; part; part = part->next)
            if (is_written(part) && (part->kind != LLM_TOOL_RESULT) == others)
                block_write(o, part, mark && part == last);
    if (!last) {
        const struct llm_part nothing = {.kind = LLM_TEXT, .text = STR("(nothing)")};
        block_write(o, &nothing, mark);
    }
    jo_end_arr(o);
    jo_end_obj(o);
}

static void tools_write(struct json_out *o, const struct llm_conversation *c)
{
    if (!c->tool_count)
        return;
    jo_key(o, "tools");
    jo_arr(o);
    for (size_t i = 0; i < c->tool_count; i++) {
        jo_obj(o);
        jo_kz(o, "name", c->tools[i].name);
        jo_kz(o, "description", c->tools[i].description);
        jo_kraw(o, "input_schema", str_of(c->tools[i].schema));
        if (i + 1 == c->tool_count)
            mark_write(o);
        jo_end_obj(o);
    }
    jo_end_arr(o);
}

static void system_write(struct json_out *o, const struct llm_conversation *c)
{
    if (wire_blank(str_of(c->system)))
        return;
    jo_key(o, "system");
    jo_arr(o);
    const struct llm_part text = {.kind = LLM_TEXT, .text = str_of(c->system)};
    block_write(o, &text, true);
    jo_end_arr(o);
}

static void messages_request(const struct llm_conversation *c, const char *model, int64_t max_output, struct buf *b)
{
    size_t left = 0; /* messages of the user that are still to come */
    for (const struct llm_message *m = c->first; m; m = m->next)
        left += m->role == LLM_USER;
    struct json_out o;
    json_out_init(&o, b);
    jo_obj(&o);
    jo_kz(&o, "model", model);
    jo_ki(&o, "max_tokens", max_output);
    jo_kb(&o, "stream", true);
    tools_write(&o, c);
    system_write(&o, c);
    jo_key(&o, "messages");
    jo_arr(&o);
    for (const struct llm_message *m = c->first; m; m = m->next) {
        message_write(&o, m, m->role == LLM_USER && left <= 2);
        left -= m->role == LLM_USER;
    }
    jo_end_arr(&o);
    jo_end_obj(&o);
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
    CLEANUP_MEM mem *tmp = mem_root();
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
    CLEANUP_MEM mem *tmp = mem_root();
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
    CLEANUP_MEM mem *tmp = mem_root();
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
static const struct llm_wire messages_wire = {
    .event = messages_event, .whole = messages_whole, .cap = "max_tokens", .image_tokens = 5000};
const struct llm_dialect llm_messages = {"messages",       "messages",       "/v1/messages",
                                         messages_request, messages_headers, &messages_wire};
