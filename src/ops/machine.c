/* Writing and reading {"at_ns":..., "rows":[{"name","grade","evidence","mend"}]}. */
#include "ops/machine.h"
#include "base/clock.h"
#include "os/path.h"

enum { FILE_MOST = 256 << 10 };

static const char *file_of(mem *ctx, const char *data_dir)
{
    return mem_printf(ctx, "%s/run/machine.json", data_dir);
}

enum rc machine_look(mem *ctx, const char *data_dir, const char *uid_base, struct err *err)
{
    struct settings *set = settings_default(ctx);
    struct preflight p = {0};
    struct buf b;
    struct json_out o;
    enum rc rc = setting_set(set, "data.dir", data_dir, "flag", err);
    if (rc == RC_OK)
        rc = setting_set(set, "sandbox.uid_base", uid_base, "flag", err);
    if (rc != RC_OK)
        return rc;
    preflight_machine(ctx, set, &p);
    buf_init(&b, ctx, FILE_MOST);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_ki(&o, "at_ns", clock_wall_ns());
    jo_key(&o, "found");
    preflight_json(&p, &o);
    jo_end_obj(&o);
    return path_write_durable(file_of(ctx, data_dir), buf_view(&b), 0600, err);
}

enum rc machine_read(mem *ctx, const char *data_dir, struct preflight *p, int64_t *ret_at_ns, struct err *err)
{
    struct str text;
    struct json root;
    enum rc rc = path_slurp(ctx, file_of(ctx, data_dir), FILE_MOST, &text, err);
    if (rc == RC_OK)
        rc = json_parse(ctx, text, &root, err);
    if (rc != RC_OK)
        return rc;
    *ret_at_ns = json_int(json_get(root, "at_ns"), 0);
    for (struct json_iter it = json_iter(json_path(root, "found.rows")); json_next(&it);)
        preflight_add(p, json_z(ctx, json_get(it.value, "name"), ""),
                      preflight_grade_find(json_z(ctx, json_get(it.value, "grade"), "")),
                      json_z(ctx, json_get(it.value, "evidence"), ""), json_z(ctx, json_get(it.value, "mend"), NULL));
    return RC_OK;
}
