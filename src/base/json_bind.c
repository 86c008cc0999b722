/* Binding tables: a struct from an object. null counts as a missing member (but BIND_JSON takes it as it is). */
#include "base/json.h"
#include "base/text.h"

/* How a bad member is spoken of: only ASCII of bounded size, for it comes from outside. */
static const char *key_shown(mem *ctx, struct str key)
{
    return text_terminal_line(ctx, key, 60);
}

static enum rc bind_str(mem *ctx, struct json v, const struct json_bind *field, void *at, struct err *err)
{
    const char *z = json_z(ctx, v, NULL);
    if (!z)
        return err_set(err, RC_INVALID, "\"%s\" must be a string without NUL", field->key);
    if (field->max > 0 && strlen(z) > (size_t)field->max)
        return err_set(err, RC_INVALID, "\"%s\" must have at most %lld bytes", field->key, (long long)field->max);
    memcpy(at, &z, sizeof z);
    return RC_OK;
}

static enum rc bind_int(struct json v, const struct json_bind *field, void *at, struct err *err)
{
    bool ranged = field->min || field->max;
    int64_t low = ranged ? field->min : INT64_MIN, high = ranged ? field->max : INT64_MAX;
    int64_t n = json_int(v, 0);
    if (json_type(v) != JSON_NUMBER || json_int(v, 1) != n)
        return err_set(err, RC_INVALID, "\"%s\" must be a whole number", field->key);
    if (n < low || n > high)
        return err_set(err, RC_INVALID, "\"%s\" must be from %lld to %lld", field->key, (long long)low,
                       (long long)high);
    memcpy(at, &n, sizeof n);
    return RC_OK;
}

static enum rc bind_bool(struct json v, const struct json_bind *field, void *at, struct err *err)
{
    bool yes = json_bool(v, false);
    if (json_bool(v, true) != yes)
        return err_set(err, RC_INVALID, "\"%s\" must be true or false", field->key);
    memcpy(at, &yes, sizeof yes);
    return RC_OK;
}

static enum rc bind_strv(mem *ctx, struct json v, const struct json_bind *field, void *at, struct err *err)
{
    if (json_type(v) != JSON_ARRAY)
        return err_set(err, RC_INVALID, "\"%s\" must be an array of strings", field->key);
    const char **list = mem_array(ctx, const char *, json_len(v) + 1);
    size_t n = 0;
    for (struct json_iter it = json_iter(v); json_next(&it);) {
        enum rc rc = bind_str(list, it.value, field, &list[n++], err);
        if (rc)
            return err_context(err, "element %zu", n - 1);
    }
    memcpy(at, &list, sizeof list);
    return RC_OK;
}

static enum rc bind_field(mem *ctx, struct json v, const struct json_bind *field, void *at, struct err *err)
{
    switch (field->type) {
    case BIND_STR:
        return bind_str(ctx, v, field, at, err);
    case BIND_INT:
        return bind_int(v, field, at, err);
    case BIND_BOOL:
        return bind_bool(v, field, at, err);
    case BIND_STRV:
        return bind_strv(ctx, v, field, at, err);
    case BIND_JSON:
        memcpy(at, &v, sizeof v);
        return RC_OK;
    }
    return err_set(err, RC_BUG, "The field table has an unknown type for \"%s\"", field->key);
}

static enum rc unknown_refuse(struct json obj, const struct json_bind *table, size_t n, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    for (struct json_iter it = json_iter(obj); json_next(&it);) {
        struct str key = json_iter_key(tmp, &it);
        size_t i = 0;
        while (i < n && !str_eqz(key, table[i].key))
            i++;
        if (i < n)
            continue;
        err_set(err, RC_INVALID, "Unknown member \"%s\"", key_shown(tmp, key));
        const char **names = mem_array(tmp, const char *, n + 1);
        for (i = 0; i < n; i++)
            names[i] = table[i].key;
        const char *near = text_nearest(key, names, n);
        if (near)
            err_hint(err, "Did you mean \"%s\"?", near);
        return RC_INVALID;
    }
    return RC_OK;
}

enum rc json_bind(mem *ctx, struct json obj, const struct json_bind *table, size_t n, bool strict, void *ret,
                  struct err *err)
{
    if (json_type(obj) != JSON_OBJECT)
        return err_set(err, RC_INVALID, "Expected a JSON object");
    enum rc rc = strict ? unknown_refuse(obj, table, n, err) : RC_OK;
    for (size_t i = 0; i < n && !rc; i++) {
        struct json v = json_get(obj, table[i].key);
        if (json_is(v) || (v.doc && table[i].type == BIND_JSON))
            rc = bind_field(ctx, v, &table[i], (char *)ret + table[i].offset, err);
        else if (table[i].required)
            rc = err_set(err, RC_INVALID, "\"%s\" is missing", table[i].key);
    }
    return rc;
}
