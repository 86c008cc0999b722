/* The changes that are made to a body that is forwarded. All other bytes go through as they came: providers add members
 * all the time, and caches of prompts compare bytes. */
#include "base/pool.h"
#include "llm/wire.h"

/* One change: `n` bytes at `at` give way to `text`. */
struct change {
    size_t at, n;
    const char *text;
};
struct changes {
    mem *ctx;
    struct str body;
    struct change *list;
    size_t n, room;
};

static void change_add(struct changes *c, size_t at, size_t n, const char *text)
{
    if (c->n == c->room) {
        c->room = c->room ? 2 * c->room : 8;
        c->list = mem_grow(c->ctx, c->list, c->room * sizeof *c->list);
    }
    c->list[c->n++] = (struct change){at, n, text};
}

static size_t offset(const struct changes *c, struct json v)
{
    return (size_t)(json_raw(v).p - c->body.p);
}

static void replace(struct changes *c, struct json v, const char *text)
{
    change_add(c, offset(c, v), json_raw(v).n, text);
}

static void rename_key(struct changes *c, const struct wire_member *m, const char *name)
{
    change_add(c, (size_t)(m->key_raw.p - c->body.p), m->key_raw.n, name);
}

/* Behind the opening bracket of an object, with a comma when more follows. */
static void insert(struct changes *c, struct json object, const char *member)
{
    change_add(c, offset(c, object) + 1, 0, mem_printf(c->ctx, "%s%s", member, json_len(object) ? "," : ""));
}

static int change_order(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return x->n != y->n ? (x->n < y->n ? -1 : 1) : strcmp(x->text, y->text); /* what is inserted stands before */
}

static struct str changes_make(mem *ctx, struct changes *c)
{
    if (c->n)
        qsort(c->list, c->n, sizeof *c->list, change_order);
    size_t size = c->body.n, from = 0;
    for (size_t i = 0; i < c->n; i++)
        size += strlen(c->list[i].text);
    struct buf b;
    buf_init(&b, ctx, size);
    for (size_t i = 0; i < c->n; i++) {
        buf_add(&b, c->body.p + from, c->list[i].at - from);
        buf_z(&b, c->list[i].text);
        from = c->list[i].at + c->list[i].n;
    }
    buf_add(&b, c->body.p + from, c->body.n - from);
    return buf_view(&b);
}

static void usage_change(struct changes *c, const struct wire_members *m)
{
    struct json options = m->options.v, wish = json_get(options, "include_usage");
    if (!json_bool(m->stream.v, false))
        return;
    if (json_type(options) == JSON_NONE)
        insert(c, m->root, "\"stream_options\":{\"include_usage\":true}");
    else if (json_type(options) == JSON_NULL)
        replace(c, options, "{\"include_usage\":true}");
    else if (json_type(wish) == JSON_NONE)
        insert(c, options, "\"include_usage\":true");
    else if (!json_bool(wish, false))
        replace(c, wish, "true");
}

static void cap_change(struct changes *c, const struct llm_wire *w, const struct wire_members *m, int64_t max_output)
{
    const char *number = mem_printf(c->ctx, "%lld", (long long)max_output);
    struct json object = w->group ? m->group.v : m->root;
    if (json_is(m->other_cap.v)) {
        if (json_type(m->cap.v) == JSON_NONE) /* the upstream may know only its own name, and forget the cap */
            rename_key(c, &m->other_cap, w->cap);
        replace(c, m->other_cap.v, number);
    }
    if (json_type(m->cap.v) != JSON_NONE)
        replace(c, m->cap.v, number);
    if (json_type(m->cap.v) != JSON_NONE || json_is(m->other_cap.v))
        return;
    const char *member = mem_printf(c->ctx, "\"%s\":%s", w->cap, number);
    if (json_type(object) == JSON_OBJECT)
        insert(c, object, member);
    else if (json_type(object) == JSON_NULL)
        replace(c, object, mem_printf(c->ctx, "{%s}", member));
    else
        insert(c, m->root, mem_printf(c->ctx, "\"%s\":{%s}", w->group, member));
}

static void model_change(struct changes *c, const struct wire_members *m, const char *model)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, c->ctx, 6 * strlen(model) + 16);
    json_out_init(&o, &b);
    jo_z(&o, model);
    if (json_type(m->model.v) != JSON_NONE)
        replace(c, m->model.v, b.p);
    else
        insert(c, m->root, mem_printf(c->ctx, "\"model\":%s", b.p));
}

/* Takes a member out of an object, with a comma of its neighbours. */
static void member_cut(struct changes *c, struct json object, const char *name)
{
    size_t before = 0, at = 0, end = 0; /* `before`: where the member before it ends */
    for (struct json_iter it = json_iter(object); json_next(&it);) {
        size_t key = (size_t)(it.key_raw.p - c->body.p) - 1;
        if (end) { /* the next member: a first one goes with the comma behind it */
            if (!before)
                end = key;
            break;
        }
        if (wire_key(&it, name)) {
            at = key;
            end = offset(c, it.value) + json_raw(it.value).n;
        } else {
            before = offset(c, it.value) + json_raw(it.value).n;
        }
    }
    if (end)
        change_add(c, before ? before : at, end - (before ? before : at), "");
}

/* Google's address names the model; its body must not, but tell the version that others send as a header. */
static void version_change(struct changes *c, struct json root, const char *version)
{
    struct json has = wire_get(root, "anthropic_version");
    const char *text = mem_printf(c->ctx, "\"%s\"", version);
    if (json_type(has) != JSON_NONE)
        replace(c, has, text);
    else
        change_add(c, offset(c, root) + 1, 0,
                   mem_printf(c->ctx, "\"anthropic_version\":%s%s", text,
                              json_len(root) > (json_type(wire_get(root, "model")) != JSON_NONE) ? "," : ""));
    member_cut(c, root, "model");
}

/* --- reasoning that another family sealed --- */

/* Takes elements out of an array, with the commas between. When none is left, `filler` stands in (NULL: nothing). */
static void elements_cut(struct changes *c, struct json array, bool (*foreign)(struct json element), const char *filler)
{
    size_t cut = 0, total = json_len(array), i = 0, from = 0, end = 0;
    for (struct json_iter it = json_iter(array); json_next(&it);)
        cut += foreign(it.value);
    if (!cut)
        return;
    if (cut == total && filler) {
        replace(c, array, mem_printf(c->ctx, "[%s]", filler));
        return;
    }
    bool kept = false, open = false; /* open: a cut at the beginning waits for the next element */
    for (struct json_iter it = json_iter(array); json_next(&it); i++) {
        size_t at = offset(c, it.value), after = at + json_raw(it.value).n;
        if (open)
            change_add(c, from, at - from, "");
        open = false;
        if (!foreign(it.value)) {
            kept = true;
        } else if (kept) {
            change_add(c, end, after - end, "");
        } else if (i + 1 < total) {
            from = at;
            open = true;
        } else {
            change_add(c, at, after - at, "");
        }
        end = after;
    }
}

static bool foreign_block(struct json block)
{
    return wire_seal_is_foreign(json_get(block, "signature"), false) ||
           wire_seal_is_foreign(json_get(block, "data"), false);
}

static bool foreign_item(struct json item)
{
    return wire_seal_is_foreign(json_get(item, "encrypted_content"), false);
}

static bool foreign_thought(struct json part)
{
    return json_bool(json_get(part, "thought"), false) &&
           wire_seal_is_foreign(wire_get(part, "thoughtSignature"), true);
}

static void seals_cut(struct changes *c, struct json root)
{
    for (struct json_iter it = json_iter(json_get(root, "messages")); json_next(&it);)
        elements_cut(c, json_get(it.value, "content"), foreign_block,
                     "{\"type\":\"text\",\"text\":\"(reasoning of another model)\"}");
    elements_cut(c, json_get(root, "input"), foreign_item, NULL);
    for (struct json_iter it = json_iter(json_get(root, "contents")); json_next(&it);) {
        elements_cut(c, json_get(it.value, "parts"), foreign_thought, "{\"text\":\"(reasoning of another model)\"}");
        for (struct json_iter part = json_iter(json_get(it.value, "parts")); json_next(&part);) {
            struct json seal = wire_get(part.value, "thoughtSignature");
            if (!foreign_thought(part.value) && wire_seal_is_foreign(seal, true))
                replace(c, seal, "\"" GEMINI_NO_SEAL "\"");
        }
    }
}

enum rc llm_request_splice(mem *ctx, const struct llm_dialect *d, struct str body, const struct llm_splice *change,
                           struct str *ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_pool(MEM_SCRATCH);
    const struct llm_wire *w = d->wire;
    struct wire_members m;
    enum rc rc = wire_members_read(tmp, w, body, &m, err);
    if (rc)
        return rc;
    struct changes c = {.ctx = tmp, .body = body};
    if (change->max_output > 0)
        cap_change(&c, w, &m, change->max_output);
    if (change->anthropic_version)
        version_change(&c, m.root, change->anthropic_version);
    else if (change->model && !w->group)
        model_change(&c, &m, change->model);
    if (change->ask_usage && w->asks_usage)
        usage_change(&c, &m);
    seals_cut(&c, m.root);
    *ret = changes_make(ctx, &c);
    return RC_OK;
}
