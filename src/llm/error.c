/* Errors and model lists in the client's dialect. */
#include "base/clock.h"
#include "llm/bridge.h"
#include "llm/wire.h"

/* The words of each dialect for a status; the first row that fits. */
static const struct words {
    int low, high;
    const char *openai_type, *openai_code, *anthropic, *google;
} table[] = {
    {401, 401, "invalid_request_error", "invalid_api_key", "authentication_error", "UNAUTHENTICATED"},
    {402, 402, "insufficient_quota", "insufficient_quota", "billing_error", "RESOURCE_EXHAUSTED"},
    {403, 403, "permission_error", "permission_denied", "permission_error", "PERMISSION_DENIED"},
    {404, 404, "invalid_request_error", "model_not_found", "not_found_error", "NOT_FOUND"},
    {408, 408, "server_error", "timeout", "timeout_error", "DEADLINE_EXCEEDED"},
    {409, 409, "invalid_request_error", "conflict", "invalid_request_error", "ABORTED"},
    {413, 413, "invalid_request_error", "request_too_large", "request_too_large", "INVALID_ARGUMENT"},
    {429, 429, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED"},
    {400, 499, "invalid_request_error", NULL, "invalid_request_error", "INVALID_ARGUMENT"},
    {503, 503, "server_error", "server_error", "overloaded_error", "UNAVAILABLE"},
    {504, 504, "server_error", "timeout", "timeout_error", "DEADLINE_EXCEEDED"},
    {529, 529, "server_error", "overloaded", "overloaded_error", "UNAVAILABLE"},
    {INT32_MIN, INT32_MAX, "server_error", "server_error", "api_error", "INTERNAL"},
};

static const struct words *words_find(int status)
{
    const struct words *w = table;
    while (status < w->low || status > w->high)
        w++;
    return w;
}

/* Sentence, detail, hint and the wait in one line. */
static const char *message(mem *ctx, const struct err *err, int64_t retry_after_s)
{
    struct buf b;
    buf_init(&b, ctx, 4096);
    buf_z(&b, err->sentence[0] ? err->sentence : "the request failed");
    if (err->detail[0])
        buf_printf(&b, " (%s)", err->detail);
    if (err->hint[0])
        buf_printf(&b, "; %s", err->hint);
    if (retry_after_s >= 0)
        buf_printf(&b, ". Please try again in %llds", (long long)retry_after_s);
    return b.p;
}

static void openai_error(struct json_out *o, const struct words *w, const char *code, const char *text)
{
    jo_obj(o);
    jo_key(o, "error");
    jo_obj(o);
    jo_kz(o, "message", text);
    jo_kz(o, "type", w->openai_type);
    jo_kz(o, "param", NULL);
    jo_kz(o, "code", code ? code : w->openai_code);
    jo_end_obj(o);
    jo_end_obj(o);
}

/* The event of a failing Responses stream. OpenAI's reference has the members on the event itself, its servers send
 * them in an object, and its SDKs throw by the object: both are here. */
static void responses_event(struct json_out *o, const struct words *w, const char *code, const char *text,
                            int64_t sequence)
{
    code = code ? code : w->openai_code;
    jo_obj(o);
    jo_kz(o, "type", "error");
    jo_ki(o, "sequence_number", sequence);
    jo_kz(o, "code", code);
    jo_kz(o, "message", text);
    jo_kz(o, "param", NULL);
    jo_key(o, "error");
    jo_obj(o);
    jo_kz(o, "type", w->openai_type);
    jo_kz(o, "code", code);
    jo_kz(o, "message", text);
    jo_kz(o, "param", NULL);
    jo_end_obj(o);
    jo_end_obj(o);
}

void error_responses_event(int status, const struct err *err, int64_t sequence, struct buf *ret)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json_out o;
    buf_z(ret, "event: error\ndata: ");
    json_out_init(&o, ret);
    responses_event(&o, words_find(status), NULL, message(tmp, err, -1), sequence);
    buf_z(ret, "\n\n");
}

static void anthropic_error(struct json_out *o, const struct words *w, const char *code, const char *text)
{
    jo_obj(o);
    jo_kz(o, "type", "error");
    jo_key(o, "error");
    jo_obj(o);
    jo_kz(o, "type", w->anthropic);
    jo_kz(o, "message", text);
    if (code)
        jo_kz(o, "code", code);
    jo_end_obj(o);
    jo_end_obj(o);
}

static void google_error(struct json_out *o, int status, const struct words *w, const char *code, const char *text,
                         int64_t retry_after_s)
{
    CLEANUP_MEM mem *tmp = mem_root();
    jo_obj(o);
    jo_key(o, "error");
    jo_obj(o);
    jo_ki(o, "code", status);
    jo_kz(o, "message", text);
    jo_kz(o, "status", w->google);
    if (code || retry_after_s >= 0) {
        jo_key(o, "details");
        jo_arr(o);
        if (code) {
            jo_obj(o);
            jo_kz(o, "@type", "type.googleapis.com/google.rpc.ErrorInfo");
            jo_kz(o, "reason", code);
            jo_kz(o, "domain", "nightmill");
            jo_end_obj(o);
        }
        if (retry_after_s >= 0) {
            jo_obj(o);
            jo_kz(o, "@type", "type.googleapis.com/google.rpc.RetryInfo");
            jo_kz(o, "retryDelay", mem_printf(tmp, "%llds", (long long)retry_after_s));
            jo_end_obj(o);
        }
        jo_end_arr(o);
    }
    jo_end_obj(o);
    jo_end_obj(o);
}

void llm_error_write(const struct llm_dialect *client, int status, const struct err *err, const char *code,
                     int64_t retry_after_s, enum llm_error_place place, struct buf *ret)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const struct words *w = words_find(status);
    const char *text = message(tmp, err, retry_after_s);
    bool event = place == LLM_ERROR_EVENT;
    struct json_out o;
    if (event)
        buf_z(ret, client == &llm_messages || client == &llm_responses ? "event: error\ndata: " : "data: ");
    if (place == LLM_ERROR_ARRAY)
        buf_char(ret, '[');
    json_out_init(&o, ret);
    if (client == &llm_messages)
        anthropic_error(&o, w, code, text);
    else if (client == &llm_gemini)
        google_error(&o, status, w, code, text, retry_after_s);
    else if (client == &llm_responses && event)
        responses_event(&o, w, code, text, 0);
    else
        openai_error(&o, w, code, text);
    if (place == LLM_ERROR_ARRAY)
        buf_char(ret, ']');
    if (event)
        buf_z(ret, "\n\n");
}

int llm_failure_status(const struct llm_failure *f)
{
    if (f->rc == RC_LIMIT)
        return f->quota ? 402 : 429;
    if (f->rc == RC_UPSTREAM || f->rc == RC_DENIED || f->moved) /* the gateway's key and address, not the client's */
        return 502;
    return rc_http_status(f->rc);
}

/* --- models --- */

static void openai_model(struct json_out *o, const struct llm_model_row *m)
{
    jo_obj(o);
    jo_kz(o, "id", m->id);
    jo_kz(o, "object", "model");
    jo_ki(o, "created", m->created_s);
    jo_kz(o, "owned_by", m->owner ? m->owner : "nightmill");
    if (m->context)
        jo_ki(o, "context_length", m->context);
    jo_end_obj(o);
}

static void anthropic_model(struct json_out *o, const struct llm_model_row *m)
{
    CLEANUP_MEM mem *tmp = mem_root();
    jo_obj(o);
    jo_kz(o, "type", "model");
    jo_kz(o, "id", m->id);
    jo_kz(o, "display_name", m->title ? m->title : m->id);
    jo_kz(o, "created_at", clock_rfc3339(tmp, m->created_s * INT64_C(1000000000)));
    if (m->context)
        jo_ki(o, "max_input_tokens", m->context);
    if (m->max_output)
        jo_ki(o, "max_tokens", m->max_output);
    jo_end_obj(o);
}

static void google_model(struct json_out *o, const struct llm_model_row *m)
{
    CLEANUP_MEM mem *tmp = mem_root();
    jo_obj(o);
    jo_kz(o, "name", mem_printf(tmp, "models/%s", m->id));
    jo_kz(o, "baseModelId", m->id);
    jo_kz(o, "version", "1");
    jo_kz(o, "displayName", m->title ? m->title : m->id);
    if (m->context)
        jo_ki(o, "inputTokenLimit", m->context);
    if (m->max_output)
        jo_ki(o, "outputTokenLimit", m->max_output);
    jo_kraw(o, "supportedGenerationMethods", STR("[\"generateContent\",\"streamGenerateContent\",\"countTokens\"]"));
    jo_end_obj(o);
}

static void model_write(const struct llm_dialect *client, struct json_out *o, const struct llm_model_row *row)
{
    if (client == &llm_messages)
        anthropic_model(o, row);
    else if (client == &llm_gemini)
        google_model(o, row);
    else
        openai_model(o, row);
}

void llm_model_write(const struct llm_dialect *client, const struct llm_model_row *row, struct buf *ret)
{
    struct json_out o;
    json_out_init(&o, ret);
    model_write(client, &o, row);
}

void llm_models_write(const struct llm_dialect *client, const struct llm_model_row *rows, size_t n, struct buf *ret)
{
    struct json_out o;
    json_out_init(&o, ret);
    jo_obj(&o);
    if (client != &llm_messages && client != &llm_gemini)
        jo_kz(&o, "object", "list");
    jo_key(&o, client == &llm_gemini ? "models" : "data");
    jo_arr(&o);
    for (size_t i = 0; i < n; i++)
        model_write(client, &o, &rows[i]);
    jo_end_arr(&o);
    if (client == &llm_messages) {
        jo_kb(&o, "has_more", false);
        jo_kz(&o, "first_id", n ? rows[0].id : NULL);
        jo_kz(&o, "last_id", n ? rows[n - 1].id : NULL);
    }
    jo_end_obj(&o);
}
