/* The file of stored settings: {"limits.turns":{"value":"60","by":"ada","at_ns":...},...}. */
#include "conf/stored.h"
#include "base/clock.h"
#include "conf/setting_private.h"
#include "os/path.h"

enum { FILE_MOST = 1 << 20 };

size_t settings_stored_apply(struct settings *set, const struct setting_stored *rows, size_t n)
{
    CLEANUP_MEM mem *tmp = mem_root();
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++) {
        const struct setting_row *row = setting_row_find(rows[i].name);
        if (!row) {
            wrong++;
            continue;
        }
        if (setting_fixed_reason(row) || setting_from(set, row) != SETTING_FROM_DEFAULT)
            continue;
        const char *origin =
            mem_printf(tmp, SETTING_DATABASE "by %s at %s", rows[i].by, clock_rfc3339(tmp, rows[i].at_ns));
        wrong += setting_put(set, row, rows[i].value, origin, NULL) != RC_OK;
    }
    return wrong;
}

char *settings_stored_path(mem *ctx, const char *data_dir)
{
    return mem_printf(ctx, "%s/settings.json", data_dir);
}

enum rc settings_stored_write(const char *path, const struct setting_stored *rows, size_t n, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    struct json_out o;
    buf_init(&b, tmp, FILE_MOST);
    json_out_init(&o, &b);
    jo_obj(&o);
    for (size_t i = 0; i < n; i++) {
        jo_key(&o, rows[i].name);
        jo_obj(&o);
        jo_kz(&o, "value", rows[i].value);
        jo_kz(&o, "by", rows[i].by);
        jo_ki(&o, "at_ns", rows[i].at_ns);
        jo_end_obj(&o);
    }
    jo_end_obj(&o);
    if (b.overflow)
        return err_set(err, RC_LIMIT, "the settings are larger than %d bytes together", FILE_MOST);
    return path_write_durable(path, buf_view(&b), 0600, err);
}

enum rc settings_stored_read(mem *ctx, const char *path, struct setting_stored **ret, size_t *ret_n, struct err *err)
{
    struct str text;
    struct json root;
    *ret = NULL;
    *ret_n = 0;
    enum rc rc = path_slurp(ctx, path, FILE_MOST, &text, err);
    if (rc == RC_NOT_FOUND)
        return RC_OK;
    if (!rc)
        rc = json_parse(ctx, text, &root, err);
    if (!rc && json_type(root) != JSON_OBJECT)
        rc = err_set(err, RC_INVALID, "the file is no JSON object");
    if (rc)
        return rc;
    *ret = mem_array(ctx, struct setting_stored, json_len(root) + 1);
    for (struct json_iter it = json_iter(root); json_next(&it);) {
        struct str name = json_iter_key(ctx, &it);
        const char *value = json_z(ctx, json_get(it.value, "value"), NULL);
        if (value && name.n && !memchr(name.p, '\0', name.n))
            (*ret)[(*ret_n)++] = (struct setting_stored){.name = str_dup(ctx, name),
                                                         .value = value,
                                                         .by = json_z(ctx, json_get(it.value, "by"), ""),
                                                         .at_ns = json_int(json_get(it.value, "at_ns"), 0)};
    }
    return RC_OK;
}
