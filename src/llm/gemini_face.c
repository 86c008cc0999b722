/* Answers in Google's generateContent. Calls come whole, when they are. Seals of another family are marked with their
 * origin in thoughtSignature. A stream without alt=sse is one JSON array. */
#include "llm/face.h"

static const char *const reasons[] = {
    [LLM_STOP_NONE] = "STOP",         [LLM_STOP_END] = "STOP",       [LLM_STOP_TOOLS] = "STOP",
    [LLM_STOP_LENGTH] = "MAX_TOKENS", [LLM_STOP_REFUSED] = "SAFETY", [LLM_STOP_OTHER] = "OTHER"};

static void usage_write(struct json_out *o, const struct usage *u)
{
    if (u->output < 0)
        return;
    jo_key(o, "usageMetadata");
    jo_obj(o);
    jo_ki(o, "promptTokenCount", usage_input(u));
    jo_ki(o, "candidatesTokenCount", u->output - u->reasoning);
    jo_ki(o, "totalTokenCount", usage_input(u) + u->output);
    if (u->cache_read)
        jo_ki(o, "cachedContentTokenCount", u->cache_read);
    if (u->reasoning)
        jo_ki(o, "thoughtsTokenCount", u->reasoning);
    jo_end_obj(o);
}

/* A response object up to its parts. */
static void object_begin(struct json_out *o)
{
    jo_obj(o);
    jo_key(o, "candidates");
    jo_arr(o);
    jo_obj(o);
    jo_key(o, "content");
    jo_obj(o);
    jo_key(o, "parts");
    jo_arr(o);
}

static void object_end(struct llm_bridge *b, struct json_out *o, const char *reason)
{
    jo_end_arr(o);
    jo_kz(o, "role", "model");
    jo_end_obj(o);
    if (reason)
        jo_kz(o, "finishReason", reason);
    jo_ki(o, "index", 0);
    jo_end_obj(o);
    jo_end_arr(o);
    if (reason)
        usage_write(o, &b->p->answer.usage);
    jo_kz(o, "modelVersion", face_model(b));
    jo_kz(o, "responseId", b->spec.id);
    jo_end_obj(o);
}

static void chunk_begin(struct llm_bridge *b, struct json_out *o, struct buf *out)
{
    if (b->spec.client_array) {
        buf_z(out, b->sequence ? ",\r\n" : "[");
        json_out_init(o, out);
    } else {
        event_begin(o, out, NULL);
    }
    b->sequence++;
    object_begin(o);
}

static void chunk_end(struct llm_bridge *b, struct json_out *o, const char *reason)
{
    object_end(b, o, reason);
    if (!b->spec.client_array)
        event_end(o->b);
}

static void gemini_begin(struct llm_bridge *b, struct buf *out)
{
    (void)b; /* the first part begins it */
    (void)out;
}

static void gemini_open(struct llm_bridge *b, struct draft *d, struct buf *out)
{
    (void)b;
    (void)d;
    (void)out;
}

static void text_write(struct json_out *o, const struct draft *d, struct str text)
{
    jo_ks(o, "text", text);
    if (d->part.kind == LLM_REASONING)
        jo_kb(o, "thought", true);
}

static void seal_write(struct llm_bridge *b, struct json_out *o, const struct draft *d)
{
    CLEANUP_MEM mem *tmp = mem_root();
    if (draft_seal(d).n)
        jo_ks(o, "thoughtSignature",
              face_seal(tmp, b, d, d->part.kind == LLM_REASONING ? d->part.name : NULL,
                        d->part.kind == LLM_REASONING ? d->part.id : NULL, true));
}

static void call_write(struct llm_bridge *b, struct json_out *o, const struct draft *d)
{
    CLEANUP_MEM mem *tmp = mem_root();
    jo_obj(o);
    jo_key(o, "functionCall");
    jo_obj(o);
    jo_kz(o, "id", d->part.id);
    jo_kz(o, "name", d->part.name);
    jo_kraw(o, "args", face_arguments_object(tmp, d));
    jo_end_obj(o);
    seal_write(b, o, d);
    jo_end_obj(o);
}

static void gemini_delta(struct llm_bridge *b, struct draft *d, struct str piece, struct buf *out)
{
    struct json_out o;
    if (d->part.kind == LLM_TOOL_CALL)
        return;
    chunk_begin(b, &o, out);
    jo_obj(&o);
    text_write(&o, d, piece);
    jo_end_obj(&o);
    chunk_end(b, &o, NULL);
}

static void gemini_close(struct llm_bridge *b, struct draft *d, struct buf *out)
{
    struct json_out o;
    bool call = d->part.kind == LLM_TOOL_CALL;
    if (!call && (d->part.kind != LLM_REASONING || !draft_seal(d).n))
        return;
    chunk_begin(b, &o, out);
    if (call) {
        call_write(b, &o, d);
    } else {
        jo_obj(&o);
        text_write(&o, d, STR(""));
        seal_write(b, &o, d);
        jo_end_obj(&o);
    }
    chunk_end(b, &o, NULL);
}

static void gemini_end(struct llm_bridge *b, struct buf *out)
{
    struct json_out o;
    chunk_begin(b, &o, out);
    jo_obj(&o);
    jo_kz(&o, "text", "");
    jo_end_obj(&o);
    chunk_end(b, &o, reasons[b->p->answer.stop]);
    if (b->spec.client_array)
        buf_z(out, "]");
}

static void gemini_fail(struct llm_bridge *b, int status, const struct err *err, struct buf *out)
{
    if (b->spec.client_array)
        buf_z(out, b->sequence || b->pass ? ",\r\n" : "[");
    llm_error_write(b->spec.client, status, err, NULL, -1, b->spec.client_array ? LLM_ERROR_BODY : LLM_ERROR_EVENT,
                    out);
    if (b->spec.client_array)
        buf_z(out, "]");
}

static void gemini_whole(struct llm_bridge *b, struct buf *out)
{
    const struct llm_answer *a = &b->p->answer;
    struct json_out o;
    json_out_init(&o, out);
    object_begin(&o);
    for (struct llm_part *part = a->message ? a->message->first : NULL; part; part = part->next) {
        struct draft *d = (struct draft *)part;
        if (part->kind == LLM_TOOL_CALL) {
            call_write(b, &o, d);
        } else if (part->text.n || (part->kind == LLM_REASONING && part->opaque.n)) {
            jo_obj(&o);
            text_write(&o, d, part->text);
            if (part->kind == LLM_REASONING || face_own(b))
                seal_write(b, &o, d);
            jo_end_obj(&o);
        }
    }
    object_end(b, &o, reasons[a->stop]);
}

const struct face gemini_face = {gemini_begin, gemini_open, gemini_delta, gemini_close,
                                 gemini_end,   gemini_fail, gemini_whole};
