/* Answers in OpenAI's Chat Completions. Seals of reasoning have no place here and are dropped, but for Gemini's on
 * calls. */
#include "llm/face.h"

static const char *const reasons[] = {[LLM_STOP_NONE] = "stop",
                                      [LLM_STOP_END] = "stop",
                                      [LLM_STOP_TOOLS] = "tool_calls",
                                      [LLM_STOP_LENGTH] = "length",
                                      [LLM_STOP_REFUSED] = "content_filter",
                                      [LLM_STOP_OTHER] = "stop"};

static void usage_write(struct json_out *o, const struct usage *u)
{
    jo_obj(o);
    jo_ki(o, "prompt_tokens", usage_input(u));
    jo_ki(o, "completion_tokens", u->output);
    jo_ki(o, "total_tokens", usage_input(u) + u->output);
    jo_key(o, "prompt_tokens_details");
    jo_obj(o);
    jo_ki(o, "cached_tokens", u->cache_read);
    jo_end_obj(o);
    jo_key(o, "completion_tokens_details");
    jo_obj(o);
    jo_ki(o, "reasoning_tokens", u->reasoning);
    jo_end_obj(o);
    jo_end_obj(o);
}

static void head_write(struct llm_bridge *b, struct json_out *o, const char *object)
{
    CLEANUP_MEM mem *tmp = mem_root();
    jo_obj(o);
    jo_kz(o, "id", mem_printf(tmp, "chatcmpl-%s", b->spec.id));
    jo_kz(o, "object", object);
    jo_ki(o, "created", b->spec.created_s);
    jo_kz(o, "model", face_model(b));
    jo_key(o, "choices");
    jo_arr(o);
}

/* A chunk up to its delta's members. */
static void chunk_begin(struct llm_bridge *b, struct json_out *o, struct buf *out)
{
    event_begin(o, out, NULL);
    head_write(b, o, "chat.completion.chunk");
    jo_obj(o);
    jo_ki(o, "index", 0);
    jo_key(o, "delta");
    jo_obj(o);
}

static void chunk_end(struct llm_bridge *b, struct json_out *o, const char *reason)
{
    jo_end_obj(o);
    jo_kz(o, "finish_reason", reason);
    jo_end_obj(o);
    jo_end_arr(o);
    if (!b->spec.hide_usage)
        jo_kz(o, "usage", NULL);
    jo_end_obj(o);
    event_end(o->b);
}

static void chat_begin(struct llm_bridge *b, struct buf *out)
{
    struct json_out o;
    chunk_begin(b, &o, out);
    jo_kz(&o, "role", "assistant");
    jo_kz(&o, "content", "");
    chunk_end(b, &o, NULL);
}

static void seal_write(const struct llm_bridge *b, struct json_out *o, const struct draft *d)
{
    struct str seal = draft_seal(d);
    if (!seal.n)
        return;
    if (face_own(b)) {
        jo_kraw(o, "extra_content", seal);
    } else if (b->spec.upstream == &llm_gemini) {
        jo_key(o, "extra_content");
        jo_obj(o);
        jo_key(o, "google");
        jo_obj(o);
        jo_ks(o, "thought_signature", seal);
        jo_end_obj(o);
        jo_end_obj(o);
    }
}

static void call_write(const struct llm_bridge *b, struct json_out *o, const struct draft *d, struct str arguments)
{
    jo_kz(o, "id", d->part.id);
    jo_kz(o, "type", "function");
    jo_key(o, "function");
    jo_obj(o);
    jo_kz(o, "name", d->part.name);
    jo_ks(o, "arguments", arguments);
    jo_end_obj(o);
    seal_write(b, o, d);
}

static void chat_open(struct llm_bridge *b, struct draft *d, struct buf *out)
{
    struct json_out o;
    if (d->part.kind != LLM_TOOL_CALL)
        return;
    chunk_begin(b, &o, out);
    jo_key(&o, "tool_calls");
    jo_arr(&o);
    jo_obj(&o);
    jo_ki(&o, "index", b->calls++);
    call_write(b, &o, d, STR(""));
    jo_end_obj(&o);
    jo_end_arr(&o);
    chunk_end(b, &o, NULL);
}

static void chat_delta(struct llm_bridge *b, struct draft *d, struct str piece, struct buf *out)
{
    struct json_out o;
    chunk_begin(b, &o, out);
    if (d->part.kind == LLM_TOOL_CALL) {
        jo_key(&o, "tool_calls");
        jo_arr(&o);
        jo_obj(&o);
        jo_ki(&o, "index", b->calls - 1);
        jo_key(&o, "function");
        jo_obj(&o);
        jo_ks(&o, "arguments", piece);
        jo_end_obj(&o);
        jo_end_obj(&o);
        jo_end_arr(&o);
    } else {
        jo_ks(&o, d->part.kind == LLM_TEXT ? "content" : "reasoning_content", piece);
    }
    chunk_end(b, &o, NULL);
}

static void chat_close(struct llm_bridge *b, struct draft *d, struct buf *out)
{
    (void)b;
    (void)d;
    (void)out;
}

static void chat_end(struct llm_bridge *b, struct buf *out)
{
    const struct llm_answer *a = &b->p->answer;
    struct json_out o;
    chunk_begin(b, &o, out);
    chunk_end(b, &o, reasons[a->stop]);
    if (!b->spec.hide_usage && a->usage.output >= 0) {
        event_begin(&o, out, NULL);
        head_write(b, &o, "chat.completion.chunk");
        jo_end_arr(&o);
        jo_key(&o, "usage");
        usage_write(&o, &a->usage);
        jo_end_obj(&o);
        event_end(out);
    }
    buf_z(out, "data: [DONE]\n\n");
}

static void chat_fail(struct llm_bridge *b, int status, const struct err *err, struct buf *out)
{
    llm_error_write(b->spec.client, status, err, NULL, -1, LLM_ERROR_EVENT, out);
}

static void texts_write(struct json_out *o, const struct llm_message *m, enum llm_part_kind kind, const char *key,
                        bool null_when_none)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf text;
    buf_init(&text, tmp, SIZE_MAX / 2);
    for (const struct llm_part *part = m ? m->first : NULL; part; part = part->next)
        if (part->kind == kind)
            buf_str(&text, part->text);
    if (text.n)
        jo_ks(o, key, buf_view(&text));
    else if (null_when_none)
        jo_kz(o, key, NULL);
}

static void chat_whole(struct llm_bridge *b, struct buf *out)
{
    const struct llm_answer *a = &b->p->answer;
    struct json_out o;
    json_out_init(&o, out);
    head_write(b, &o, "chat.completion");
    jo_obj(&o);
    jo_ki(&o, "index", 0);
    jo_key(&o, "message");
    jo_obj(&o);
    jo_kz(&o, "role", "assistant");
    texts_write(&o, a->message, LLM_TEXT, "content", true);
    jo_kz(&o, "refusal", NULL);
    texts_write(&o, a->message, LLM_REASONING, "reasoning_content", false);
    bool calls = false;
    for (struct llm_part *part = a->message ? a->message->first : NULL; part; part = part->next) {
        if (part->kind != LLM_TOOL_CALL)
            continue;
        if (!calls) {
            jo_key(&o, "tool_calls");
            jo_arr(&o);
        }
        calls = true;
        jo_obj(&o);
        call_write(b, &o, (struct draft *)part, part->arguments);
        jo_end_obj(&o);
    }
    if (calls)
        jo_end_arr(&o);
    jo_end_obj(&o);
    jo_kz(&o, "logprobs", NULL);
    jo_kz(&o, "finish_reason", reasons[a->stop]);
    jo_end_obj(&o);
    jo_end_arr(&o);
    if (a->usage.output >= 0) {
        jo_key(&o, "usage");
        usage_write(&o, &a->usage);
    }
    jo_end_obj(&o);
}

const struct face chat_face = {chat_begin, chat_open, chat_delta, chat_close, chat_end, chat_fail, chat_whole};
