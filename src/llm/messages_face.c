/* Answers in Anthropic's Messages. Reasoning of another family gets a signature that says whose it is, so that the
 * client can hand it back; a call's seal stands in a redacted block before the call. */
#include "llm/face.h"

static const char *const reasons[] = {
    [LLM_STOP_NONE] = "end_turn",     [LLM_STOP_END] = "end_turn",    [LLM_STOP_TOOLS] = "tool_use",
    [LLM_STOP_LENGTH] = "max_tokens", [LLM_STOP_REFUSED] = "refusal", [LLM_STOP_OTHER] = "end_turn"};

/* Figures that are not known are 0: the dialect has no other word. */
static void usage_write(struct json_out *o, const struct usage *u, bool start)
{
    jo_obj(o);
    jo_ki(o, "input_tokens", u->input);
    jo_ki(o, "cache_creation_input_tokens", u->cache_write + u->cache_write_1h);
    jo_ki(o, "cache_read_input_tokens", u->cache_read);
    if (u->cache_write_1h) {
        jo_key(o, "cache_creation");
        jo_obj(o);
        jo_ki(o, "ephemeral_5m_input_tokens", u->cache_write);
        jo_ki(o, "ephemeral_1h_input_tokens", u->cache_write_1h);
        jo_end_obj(o);
    }
    jo_ki(o, "output_tokens", start || u->output < 0 ? 0 : u->output);
    jo_end_obj(o);
}

static void head_write(struct llm_bridge *b, struct json_out *o)
{
    CLEANUP_MEM mem *tmp = mem_root();
    jo_obj(o);
    jo_kz(o, "id", mem_printf(tmp, "msg_%s", b->spec.id));
    jo_kz(o, "type", "message");
    jo_kz(o, "role", "assistant");
    jo_kz(o, "model", face_model(b));
    jo_key(o, "content");
    jo_arr(o);
}

static void messages_begin(struct llm_bridge *b, struct buf *out)
{
    struct json_out o;
    event_begin(&o, out, "message_start");
    jo_obj(&o);
    jo_kz(&o, "type", "message_start");
    jo_key(&o, "message");
    head_write(b, &o);
    jo_end_arr(&o);
    jo_kz(&o, "stop_reason", NULL);
    jo_kz(&o, "stop_sequence", NULL);
    jo_key(&o, "usage");
    usage_write(&o, &b->p->answer.usage, true);
    jo_end_obj(&o);
    jo_end_obj(&o);
    event_end(out);
}

/* An event of the block under way up to its second member. */
static void block_event(struct llm_bridge *b, struct json_out *o, const char *type, struct buf *out)
{
    event_begin(o, out, type);
    jo_obj(o);
    jo_kz(o, "type", type);
    jo_ki(o, "index", b->index);
}

static void block_stop(struct llm_bridge *b, struct buf *out)
{
    struct json_out o;
    block_event(b, &o, "content_block_stop", out);
    jo_end_obj(&o);
    event_end(out);
    b->index++;
}

static void redacted_write(struct json_out *o, struct str data)
{
    jo_obj(o);
    jo_kz(o, "type", "redacted_thinking");
    jo_ks(o, "data", data);
    jo_end_obj(o);
}

/* The block as it begins: without what the deltas will tell. */
static void block_open(struct llm_bridge *b, struct draft *d, struct json_out *o)
{
    CLEANUP_MEM mem *tmp = mem_root();
    if (d->part.kind == LLM_REASONING && d->part.name) {
        redacted_write(o, face_seal(tmp, b, d, d->part.name, d->part.id, false));
        return;
    }
    jo_obj(o);
    if (d->part.kind == LLM_TEXT) {
        jo_kz(o, "type", "text");
        jo_kz(o, "text", "");
    } else if (d->part.kind == LLM_TOOL_CALL) {
        jo_kz(o, "type", "tool_use");
        jo_kz(o, "id", d->part.id);
        jo_kz(o, "name", d->part.name);
        jo_kraw(o, "input", STR("{}"));
    } else {
        jo_kz(o, "type", "thinking");
        jo_kz(o, "thinking", "");
        jo_kz(o, "signature", "");
    }
    jo_end_obj(o);
}

static bool call_is_sealed(const struct llm_bridge *b, const struct draft *d)
{
    return d->part.kind == LLM_TOOL_CALL && draft_seal(d).n && !face_own(b);
}

static void messages_open(struct llm_bridge *b, struct draft *d, struct buf *out)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json_out o;
    if (call_is_sealed(b, d)) {
        block_event(b, &o, "content_block_start", out);
        jo_key(&o, "content_block");
        redacted_write(&o, face_seal(tmp, b, d, "call", d->part.id, false));
        jo_end_obj(&o);
        event_end(out);
        block_stop(b, out);
    }
    block_event(b, &o, "content_block_start", out);
    jo_key(&o, "content_block");
    block_open(b, d, &o);
    jo_end_obj(&o);
    event_end(out);
}

static void delta_write(struct llm_bridge *b, const char *type, const char *member, struct str piece, struct buf *out)
{
    struct json_out o;
    block_event(b, &o, "content_block_delta", out);
    jo_key(&o, "delta");
    jo_obj(&o);
    jo_kz(&o, "type", type);
    jo_ks(&o, member, piece);
    jo_end_obj(&o);
    jo_end_obj(&o);
    event_end(out);
}

static void messages_delta(struct llm_bridge *b, struct draft *d, struct str piece, struct buf *out)
{
    static const char *const types[][2] = {[LLM_TEXT] = {"text_delta", "text"},
                                           [LLM_TOOL_CALL] = {"input_json_delta", "partial_json"},
                                           [LLM_REASONING] = {"thinking_delta", "thinking"}};
    if (d->part.kind == LLM_REASONING && d->part.name)
        return;
    delta_write(b, types[d->part.kind][0], types[d->part.kind][1], piece, out);
}

static void messages_close(struct llm_bridge *b, struct draft *d, struct buf *out)
{
    CLEANUP_MEM mem *tmp = mem_root();
    if (d->part.kind == LLM_REASONING && !d->part.name)
        delta_write(b, "signature_delta", "signature", face_seal(tmp, b, d, NULL, d->part.id, false), out);
    block_stop(b, out);
}

static void messages_end(struct llm_bridge *b, struct buf *out)
{
    const struct llm_answer *a = &b->p->answer;
    struct json_out o;
    event_begin(&o, out, "message_delta");
    jo_obj(&o);
    jo_kz(&o, "type", "message_delta");
    jo_key(&o, "delta");
    jo_obj(&o);
    jo_kz(&o, "stop_reason", reasons[a->stop]);
    jo_kz(&o, "stop_sequence", NULL);
    jo_end_obj(&o);
    jo_key(&o, "usage");
    usage_write(&o, &a->usage, false);
    jo_end_obj(&o);
    event_end(out);
    buf_z(out, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
}

static void messages_fail(struct llm_bridge *b, int status, const struct err *err, struct buf *out)
{
    llm_error_write(b->spec.client, status, err, NULL, -1, LLM_ERROR_EVENT, out);
}

static void block_whole(struct llm_bridge *b, struct draft *d, struct json_out *o)
{
    CLEANUP_MEM mem *tmp = mem_root();
    if (call_is_sealed(b, d))
        redacted_write(o, face_seal(tmp, b, d, "call", d->part.id, false));
    if (d->part.kind == LLM_REASONING && d->part.name) {
        redacted_write(o, face_seal(tmp, b, d, d->part.name, d->part.id, false));
        return;
    }
    jo_obj(o);
    if (d->part.kind == LLM_TEXT) {
        jo_kz(o, "type", "text");
        jo_ks(o, "text", d->part.text);
    } else if (d->part.kind == LLM_TOOL_CALL) {
        jo_kz(o, "type", "tool_use");
        jo_kz(o, "id", d->part.id);
        jo_kz(o, "name", d->part.name);
        jo_kraw(o, "input", face_arguments_object(tmp, d));
    } else {
        jo_kz(o, "type", "thinking");
        jo_ks(o, "thinking", d->part.text);
        jo_ks(o, "signature", face_seal(tmp, b, d, NULL, d->part.id, false));
    }
    jo_end_obj(o);
}

static void messages_whole(struct llm_bridge *b, struct buf *out)
{
    const struct llm_answer *a = &b->p->answer;
    struct json_out o;
    json_out_init(&o, out);
    head_write(b, &o);
    for (struct llm_part *part = a->message ? a->message->first : NULL; part; part = part->next)
        if (part->kind == LLM_TOOL_CALL || part->text.n || part->opaque.n)
            block_whole(b, (struct draft *)part, &o);
    jo_end_arr(&o);
    jo_kz(&o, "stop_reason", reasons[a->stop]);
    jo_kz(&o, "stop_sequence", NULL);
    jo_key(&o, "usage");
    usage_write(&o, &a->usage, false);
    jo_end_obj(&o);
}

const struct face messages_face = {messages_begin, messages_open, messages_delta, messages_close,
                                   messages_end,   messages_fail, messages_whole};
