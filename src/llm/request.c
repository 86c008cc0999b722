/* A request body in the gateway: what must be known of it, and the two changes that are made to it. All other bytes go
 * through as they came: providers add members all the time, and caches of prompts compare bytes. */
#include "llm/wire.h"

/* Members of the top level that count here. Names with escapes in them are the same names. */
struct members {
    struct json model, stream, options;
    struct json cap, other_cap;
    struct json root;
};

static enum rc member_keep(struct str key, const char *name, struct json v, struct json *slot, bool *matched,
                           struct err *err)
{
    if (*matched || !name || !str_eqz(key, name))
        return RC_OK;
    *matched = true;
    if (json_type(*slot) != JSON_NONE)
        return err_set(err, RC_INVALID, "The model request has \"%s\" twice", name);
    *slot = v;
    return RC_OK;
}

/* Absent, null, or a whole number from 1 up. */
static enum rc cap_check(struct json v, const char *name, struct err *err)
{
    if (json_is(v) && json_int(v, 0) < 1)
        return err_set(err, RC_INVALID, "\"%s\" of the model request must be a whole number from 1 up", name);
    return RC_OK;
}

static enum rc members_read(mem *ctx, const struct llm_wire *w, struct str body, struct members *ret, struct err *err)
{
    *ret = (struct members){0};
    enum rc rc = json_parse(ctx, body, &ret->root, err);
    if (rc) {
        err_context(err, "The model request is not JSON");
        return RC_INVALID;
    }
    if (json_type(ret->root) != JSON_OBJECT)
        return err_set(err, RC_INVALID, "The model request is not a JSON object");
    for (struct json_iter it = json_iter(ret->root); !rc && json_next(&it);) {
        struct str key = json_iter_key(ctx, &it);
        bool matched = false;
        rc = member_keep(key, "model", it.value, &ret->model, &matched, err);
        rc = rc ? rc : member_keep(key, "stream", it.value, &ret->stream, &matched, err);
        rc = rc ? rc : member_keep(key, "stream_options", it.value, &ret->options, &matched, err);
        rc = rc ? rc : member_keep(key, w->cap, it.value, &ret->cap, &matched, err);
        rc = rc ? rc : member_keep(key, w->other_cap, it.value, &ret->other_cap, &matched, err);
    }
    rc = rc ? rc : cap_check(ret->cap, w->cap, err);
    rc = rc ? rc : cap_check(ret->other_cap, w->other_cap, err);
    if (!rc && json_is(ret->stream) && json_type(ret->stream) != JSON_TRUE && json_type(ret->stream) != JSON_FALSE)
        rc = err_set(err, RC_INVALID, "\"stream\" of the model request must be true or false");
    if (!rc && json_is(ret->options) && json_type(ret->options) != JSON_OBJECT)
        rc = err_set(err, RC_INVALID, "\"stream_options\" of the model request must be an object");
    return rc;
}

/* Anthropic's tools without a schema of the caller's run at the provider and are billed by use; those with a schema,
 * and OpenAI's functions, run here. */
static bool tools_are_ours(struct json tools)
{
    for (struct json_iter it = json_iter(tools); json_next(&it);) {
        struct json type = json_get(it.value, "type");
        bool plain = !json_is(type) || json_eqz(type, "custom") || json_eqz(type, "function");
        if (!plain)
            return false;
    }
    return true;
}

/* Whether every block is text, a call or a result: an image or a file is more tokens than its bytes may be. */
static bool blocks_are_text(struct json blocks, int depth)
{
    static const char *const texts[] = {"text",        "input_text", "refusal",           "tool_use",
                                        "tool_result", "thinking",   "redacted_thinking", NULL};
    if (json_type(blocks) != JSON_ARRAY)
        return true;
    for (struct json_iter it = json_iter(blocks); json_next(&it);) {
        struct json type = json_get(it.value, "type");
        const char *const *t = texts;
        while (*t && !json_eqz(type, *t))
            t++;
        if ((!*t && json_is(type)) || depth == 0 || !blocks_are_text(json_get(it.value, "content"), depth - 1))
            return false;
    }
    return true;
}

static bool messages_are_text(struct json messages)
{
    for (struct json_iter it = json_iter(messages); json_next(&it);)
        if (!blocks_are_text(json_get(it.value, "content"), 3))
            return false;
    return true;
}

/* Members by which a request costs more than its tokens at list price. Every occurrence counts, also a repeated one. */
static const char *unpriced_find(mem *ctx, struct json root)
{
    for (struct json_iter it = json_iter(root); json_next(&it);) {
        struct str key = json_iter_key(ctx, &it);
        struct json v = it.value;
        if ((str_eqz(key, "n") || str_eqz(key, "best_of")) && json_is(v) && json_int(v, 2) != 1)
            return "n";
        if (str_eqz(key, "service_tier") && json_is(v) && !json_eqz(v, "auto") && !json_eqz(v, "default") &&
            !json_eqz(v, "standard_only") && !json_eqz(v, "flex"))
            return "service_tier";
        if (str_eqz(key, "inference_geo") && json_is(v))
            return "inference_geo";
        if (str_eqz(key, "speed") && json_is(v) && !json_eqz(v, "standard"))
            return "speed";
        if (str_eqz(key, "web_search_options") && json_is(v))
            return "web_search_options";
        if (str_eqz(key, "mcp_servers") && json_len(v))
            return "mcp_servers";
        if (str_eqz(key, "audio") && json_is(v))
            return "audio";
        if (str_eqz(key, "tools") && !tools_are_ours(v))
            return "tools";
        if (str_eqz(key, "messages") && !messages_are_text(v))
            return "images";
    }
    return NULL;
}

enum rc llm_request_read(mem *ctx, const struct llm_dialect *d, struct str body, struct llm_request_facts *ret,
                         struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct members m;
    enum rc rc = members_read(tmp, d->wire, body, &m, err);
    if (rc)
        return rc;
    const char *model = json_z(tmp, m.model, "");
    if (!model[0])
        return err_set(err, RC_INVALID, "The model request names no model");
    int64_t cap = json_int(m.cap, 0), other = json_int(m.other_cap, 0);
    *ret = (struct llm_request_facts){
        .model = mem_str(ctx, model),
        .max_output = cap > other ? cap : other,
        .stream = json_bool(m.stream, false),
        .unpriced = unpriced_find(tmp, m.root),
    };
    return RC_OK;
}

/* One change: `n` bytes at `at` give way to `text`. */
struct change {
    size_t at, n;
    const char *text;
};

static struct change replacement(struct str body, struct json v, const char *text)
{
    struct str raw = json_raw(v);
    return (struct change){(size_t)(raw.p - body.p), raw.n, text};
}

/* Behind the opening bracket of an object, with a comma when more follows. */
static struct change insertion(mem *ctx, struct str body, struct json object, const char *member)
{
    size_t at = (size_t)(json_raw(object).p - body.p) + 1;
    return (struct change){at, 0, mem_printf(ctx, "%s%s", member, json_len(object) ? "," : "")};
}

static int change_order(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    return x->at != y->at ? (x->at > y->at) - (x->at < y->at) : strcmp(x->text, y->text);
}

static struct str changes_make(mem *ctx, struct str body, struct change *changes, size_t n)
{
    qsort(changes, n, sizeof *changes, change_order);
    size_t size = body.n;
    for (size_t i = 0; i < n; i++)
        size += strlen(changes[i].text);
    struct buf b;
    buf_init(&b, ctx, size);
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
        buf_add(&b, body.p + from, changes[i].at - from);
        buf_z(&b, changes[i].text);
        from = changes[i].at + changes[i].n;
    }
    buf_add(&b, body.p + from, body.n - from);
    return buf_view(&b);
}

static size_t usage_changes(mem *ctx, const struct llm_wire *w, struct str body, const struct members *m,
                            struct change *changes)
{
    if (!w->asks_usage || !json_bool(m->stream, false))
        return 0;
    if (json_type(m->options) == JSON_NONE)
        changes[0] = insertion(ctx, body, m->root, "\"stream_options\":{\"include_usage\":true}");
    else if (json_type(m->options) == JSON_NULL)
        changes[0] = replacement(body, m->options, "{\"include_usage\":true}");
    else if (json_type(json_get(m->options, "include_usage")) == JSON_NONE)
        changes[0] = insertion(ctx, body, m->options, "\"include_usage\":true");
    else if (!json_bool(json_get(m->options, "include_usage"), false))
        changes[0] = replacement(body, json_get(m->options, "include_usage"), "true");
    else
        return 0;
    return 1;
}

enum rc llm_request_splice(mem *ctx, const struct llm_dialect *d, struct str body, int64_t max_output, struct str *ret,
                           struct err *err)
{
    BUG_ON(max_output < 1);
    CLEANUP_MEM mem *tmp = mem_root();
    struct members m;
    enum rc rc = members_read(tmp, d->wire, body, &m, err);
    if (rc)
        return rc;
    const char *number = mem_printf(tmp, "%lld", (long long)max_output);
    struct change changes[3];
    size_t n = 0;
    if (json_is(m.cap))
        changes[n++] = replacement(body, m.cap, number);
    if (json_is(m.other_cap))
        changes[n++] = replacement(body, m.other_cap, number);
    if (n == 0 && json_type(m.cap) == JSON_NULL)
        changes[n++] = replacement(body, m.cap, number);
    else if (n == 0)
        changes[n++] = insertion(tmp, body, m.root, mem_printf(tmp, "\"%s\":%s", d->wire->cap, number));
    n += usage_changes(tmp, d->wire, body, &m, changes + n);
    *ret = changes_make(ctx, body, changes, n);
    return RC_OK;
}
