/* What the gateway must know of a request body before it holds money for it: model, caps, how many answers, media, and
 * by what a request may cost more than its tokens. Knows the members that count and refuses to guess: a kind of content
 * that it does not know makes the request one without a bound. */
#include "base/pool.h"
#include "llm/wire.h"

bool wire_key(const struct json_iter *it, const char *name)
{
    struct str raw = it->key_raw;
    if (raw.n && memchr(raw.p, '\\', raw.n)) {
        CLEANUP_MEM mem *tmp = mem_root();
        return wire_named(json_iter_key(tmp, it), name);
    }
    return wire_named(raw, name);
}

/* "maxOutputTokens" is also max_output_tokens: readers of protocol buffers take both. A name in lower case with
 * underscores is only itself. */
bool wire_named(struct str key, const char *name)
{
    if (str_eqz(key, name))
        return true;
    size_t i = 0;
    for (; *name; name++) {
        if (*name >= 'A' && *name <= 'Z') {
            if (i + 1 >= key.n || key.p[i] != '_' || key.p[i + 1] != (*name | 0x20))
                return false;
            i += 2;
        } else if (i >= key.n || key.p[i++] != *name) {
            return false;
        }
    }
    return i == key.n;
}

struct json wire_get(struct json object, const char *name)
{
    if (json_type(object) == JSON_OBJECT)
        for (struct json_iter it = json_iter(object); json_next(&it);)
            if (wire_key(&it, name))
                return it.value;
    return (struct json){0};
}

static enum rc member_keep(const struct json_iter *it, const char *name, struct wire_member *slot, bool *matched,
                           struct err *err)
{
    if (*matched || !name || !wire_key(it, name))
        return RC_OK;
    *matched = true;
    if (json_type(slot->v) != JSON_NONE)
        return err_set(err, RC_INVALID, "the model request has \"%s\" twice", name);
    *slot = (struct wire_member){it->value, it->key_raw};
    return RC_OK;
}

/* Absent, null, or a whole number from 1 up. */
static enum rc cap_check(struct json v, const char *name, struct err *err)
{
    if (json_is(v) && json_int(v, 0) < 1)
        return err_set(err, RC_INVALID, "\"%s\" of the model request must be a whole number from 1 up", name);
    return RC_OK;
}

/* The object that holds the cap: the body, or a member of it. */
static enum rc caps_read(const struct llm_wire *w, struct json object, struct wire_members *ret, struct err *err)
{
    enum rc rc = RC_OK;
    for (struct json_iter it = json_iter(object); !rc && json_type(object) == JSON_OBJECT && json_next(&it);) {
        bool matched = false;
        rc = member_keep(&it, w->cap, &ret->cap, &matched, err);
        rc = rc ? rc : member_keep(&it, w->other_cap, &ret->other_cap, &matched, err);
        rc = rc ? rc : member_keep(&it, w->count, &ret->count, &matched, err);
    }
    rc = rc ? rc : cap_check(ret->cap.v, w->cap, err);
    rc = rc ? rc : cap_check(ret->other_cap.v, w->other_cap, err);
    if (!rc && json_is(ret->count.v) && (json_int(ret->count.v, 0) < 1 || json_int(ret->count.v, 0) > 128))
        rc = err_set(err, RC_INVALID, "\"%s\" of the model request must be a whole number from 1 to 128", w->count);
    return rc;
}

static enum rc types_check(const struct wire_members *m, struct err *err)
{
    struct json stream = m->stream.v, options = m->options.v, group = m->group.v;
    if (json_is(stream) && json_type(stream) != JSON_TRUE && json_type(stream) != JSON_FALSE)
        return err_set(err, RC_INVALID, "\"stream\" of the model request must be true or false");
    if (json_is(options) && json_type(options) != JSON_OBJECT)
        return err_set(err, RC_INVALID, "\"stream_options\" of the model request must be an object");
    if (json_is(group) && json_type(group) != JSON_OBJECT)
        return err_set(err, RC_INVALID, "\"generationConfig\" of the model request must be an object");
    return RC_OK;
}

enum rc wire_members_read(mem *ctx, const struct llm_wire *w, struct str body, struct wire_members *ret,
                          struct err *err)
{
    *ret = (struct wire_members){0};
    enum rc rc = json_parse(ctx, body, &ret->root, err);
    if (rc) {
        err_context(err, "the model request is not JSON");
        return RC_INVALID;
    }
    if (json_type(ret->root) != JSON_OBJECT)
        return err_set(err, RC_INVALID, "the model request is not a JSON object");
    for (struct json_iter it = json_iter(ret->root); !rc && json_next(&it);) {
        bool matched = false;
        rc = member_keep(&it, "model", &ret->model, &matched, err);
        if (!w->group)
            rc = rc ? rc : member_keep(&it, "stream", &ret->stream, &matched, err);
        rc = rc ? rc : member_keep(&it, w->asks_usage ? "stream_options" : NULL, &ret->options, &matched, err);
        rc = rc ? rc : member_keep(&it, w->group, &ret->group, &matched, err);
    }
    rc = rc ? rc : types_check(ret, err);
    return rc ? rc : caps_read(w, w->group ? ret->group.v : ret->root, ret, err);
}

/* --- content --- */

enum content { TEXTUAL, IMAGE, DOCUMENT, FILES, AUDIO, STORED };
/* Every `type` that may stand in messages, items and contents. */
static const struct {
    const char *type;
    enum content is;
} contents[] = {
    {"text", TEXTUAL},
    {"input_text", TEXTUAL},
    {"output_text", TEXTUAL},
    {"summary_text", TEXTUAL},
    {"reasoning_text", TEXTUAL},
    {"refusal", TEXTUAL},
    {"thinking", TEXTUAL},
    {"redacted_thinking", TEXTUAL},
    {"tool_use", TEXTUAL},
    {"tool_result", TEXTUAL},
    {"function", TEXTUAL},
    {"function_call", TEXTUAL},
    {"function_call_output", TEXTUAL},
    {"custom", TEXTUAL},
    {"custom_tool_call", TEXTUAL},
    {"custom_tool_call_output", TEXTUAL},
    {"local_shell_call", TEXTUAL},
    {"local_shell_call_output", TEXTUAL},
    {"message", TEXTUAL},
    {"reasoning", TEXTUAL},
    {"search_result", TEXTUAL},
    {"tool_reference", TEXTUAL},
    {"image", IMAGE},
    {"image_url", IMAGE},
    {"input_image", IMAGE},
    {"document", DOCUMENT},
    {"file", FILES},
    {"input_file", FILES},
    {"container_upload", FILES},
    {"input_audio", AUDIO},
    {"audio", AUDIO},
    {"item_reference", STORED},
};

static void unpriced_set(struct llm_request_facts *f, const char *why)
{
    if (!f->unpriced)
        f->unpriced = why;
}

/* Base64 that stands for an image: bounded by the image's tokens, not by its bytes. */
static size_t base64_bytes(struct json v)
{
    struct str raw = json_raw(v);
    return json_type(v) == JSON_STRING ? raw.n : 0;
}

static size_t data_url_bytes(struct json v)
{
    struct str raw = json_raw(v);
    return json_type(v) == JSON_STRING && str_starts(raw, STR("\"data:")) ? raw.n : 0;
}

static void image_take(struct llm_request_facts *f, struct json image)
{
    size_t bytes = base64_bytes(json_path(image, "source.data"));
    struct json url = json_get(image, "image_url");
    bytes += data_url_bytes(json_type(url) == JSON_OBJECT ? json_get(url, "url") : url);
    f->media++;
    f->input_bytes -= (int64_t)bytes;
}

static void document_take(struct llm_request_facts *f, struct json document)
{
    struct json type = json_path(document, "source.type");
    if (!json_eqz(type, "text") && !json_eqz(type, "content"))
        unpriced_set(f, "files");
}

static void content_take(struct llm_request_facts *f, struct json object, struct json type)
{
    size_t i = 0, n = sizeof contents / sizeof contents[0];
    while (i < n && !json_eqz(type, contents[i].type))
        i++;
    if (i == n)
        unpriced_set(f, "content");
    else if (contents[i].is == IMAGE)
        image_take(f, object);
    else if (contents[i].is == DOCUMENT)
        document_take(f, object);
    else if (contents[i].is != TEXTUAL)
        unpriced_set(f, contents[i].is == FILES ? "files" : contents[i].is == AUDIO ? "audio" : "item_reference");
}

/* Google's parts have no `type`: the member says what it is. */
static void blob_take(struct llm_request_facts *f, struct json blob)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct str type = json_str(tmp, wire_get(blob, "mimeType"));
    if (!str_starts(type, STR("image/"))) {
        unpriced_set(f, str_starts(type, STR("audio/")) ? "audio" : "files");
        return;
    }
    f->media++;
    f->input_bytes -= (int64_t)base64_bytes(json_get(blob, "data"));
}

/* Members below which nothing is content: arguments and schemas are the caller's own JSON. */
static bool is_opaque(const struct json_iter *it)
{
    static const char *const names[] = {"input",  "args",          "response",  "arguments",
                                        "source", "cache_control", "citations", "annotations",
                                        "caller", "logprobs",      "image_url", "toolUseMetadata"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (wire_key(it, names[i]))
            return true;
    return false;
}

static void content_walk(struct llm_request_facts *f, struct json v)
{
    bool object = json_type(v) == JSON_OBJECT;
    if (!object && json_type(v) != JSON_ARRAY)
        return;
    for (struct json_iter it = json_iter(v); json_next(&it);) {
        if (object && wire_key(&it, "type") && json_is(it.value))
            content_take(f, v, it.value);
        else if (object && (wire_key(&it, "inlineData") || wire_key(&it, "fileData")) && json_is(it.value))
            blob_take(f, it.value);
        else if (object && wire_key(&it, "source") && json_type(json_get(it.value, "content")) == JSON_ARRAY)
            content_walk(f, json_get(it.value, "content"));
        else if (!object || !is_opaque(&it))
            content_walk(f, it.value);
    }
}

/* --- members that cost --- */

/* Tools without a schema of the caller's run at the provider and are billed by use. */
static bool tools_are_ours(struct json tools)
{
    static const char *const ours[] = {"custom", "function", "local_shell", NULL};
    for (struct json_iter it = json_iter(tools); json_next(&it);) {
        struct json type = json_get(it.value, "type");
        const char *const *t = ours;
        while (*t && !json_eqz(type, *t))
            t++;
        if (json_is(type) && !*t)
            return false;
    }
    return true;
}

static bool declarations_only(struct json tools)
{
    for (struct json_iter tool = json_iter(tools); json_next(&tool);) {
        if (json_type(tool.value) != JSON_OBJECT)
            continue;
        for (struct json_iter it = json_iter(tool.value); json_next(&it);)
            if (!wire_key(&it, "functionDeclarations") && json_is(it.value))
                return false;
    }
    return true;
}

static bool default_tier(struct json v)
{
    return json_eqz(v, "auto") || json_eqz(v, "default") || json_eqz(v, "standard_only") || json_eqz(v, "flex") ||
           json_eqz(v, "standard");
}

/* Members by which a request costs more than its tokens at list price, whatever they hold. */
static const char *const costly[] = {
    "inference_geo",        "web_search_options", "audio",  "prediction", "mcp_servers",  "container",
    "previous_response_id", "conversation",       "prompt", "background", "cachedContent"};

static bool is_set(struct json v)
{
    bool container = json_type(v) == JSON_ARRAY || json_type(v) == JSON_OBJECT;
    return json_is(v) && json_type(v) != JSON_FALSE && (!container || json_len(v));
}

/* Every occurrence counts, also a repeated one. */
static void member_judge(struct llm_request_facts *f, const struct llm_wire *w, const struct json_iter *it)
{
    struct json v = it->value;
    for (size_t i = 0; i < sizeof costly / sizeof costly[0]; i++)
        if (wire_key(it, costly[i]) && (is_set(v) || (json_is(v) && strcmp(costly[i], "web_search_options") == 0)))
            unpriced_set(f, costly[i]);
    if (wire_key(it, "best_of") && json_is(v) && json_int(v, 2) != 1)
        unpriced_set(f, "best_of");
    if ((wire_key(it, "serviceTier") || wire_key(it, "service_tier")) && json_is(v) && !default_tier(v))
        unpriced_set(f, "service_tier");
    if (wire_key(it, "speed") && json_is(v) && !json_eqz(v, "standard"))
        unpriced_set(f, "speed");
    /* Edits that clear are free; a summary is a request of its own. */
    if (wire_key(it, "context_management") && str_find(json_raw(v), STR("compact")) >= 0)
        unpriced_set(f, "context_management");
    if (wire_key(it, "tools") && !(w->group ? declarations_only(v) : tools_are_ours(v)))
        unpriced_set(f, "tools");
    if (wire_key(it, "messages") || wire_key(it, "system") || wire_key(it, "contents") || wire_key(it, "input") ||
        wire_key(it, "systemInstruction"))
        content_walk(f, v);
}

/* Sound and pictures as the answer have prices of their own. */
static void modalities_judge(struct llm_request_facts *f, struct json modalities)
{
    for (struct json_iter it = json_iter(modalities); json_next(&it);)
        if (!json_eqz(it.value, "text") && !json_eqz(it.value, "TEXT"))
            unpriced_set(f, "modalities");
}

enum rc llm_request_read(mem *ctx, const struct llm_dialect *d, const char *path_model, bool path_stream,
                         struct str body, struct llm_request_facts *ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_pool(MEM_SCRATCH);
    const struct llm_wire *w = d->wire;
    struct wire_members m;
    enum rc rc = wire_members_read(tmp, w, body, &m, err);
    if (rc)
        return rc;
    const char *model = w->group ? path_model : json_z(tmp, m.model.v, "");
    if (!model || !model[0])
        return err_set(err, RC_INVALID, "the model request names no model");
    int64_t cap = json_int(m.cap.v, 0), other = json_int(m.other_cap.v, 0);
    *ret = (struct llm_request_facts){
        .model = mem_str(ctx, model),
        .max_output = cap > other ? cap : other,
        .n = json_int(m.count.v, 1),
        .input_bytes = (int64_t)body.n,
        .media_tokens = w->image_tokens,
        .stream = w->group ? path_stream : json_bool(m.stream.v, false),
        .wants_usage = !w->asks_usage || json_bool(json_get(m.options.v, "include_usage"), false),
    };
    for (struct json_iter it = json_iter(m.root); json_next(&it);)
        member_judge(ret, w, &it);
    modalities_judge(ret, json_get(m.root, "modalities"));
    modalities_judge(ret, wire_get(m.group.v, "responseModalities"));
    return RC_OK;
}
