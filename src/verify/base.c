/* Runs at the base commit, which are the same in every iteration, so they are kept: one file for a base tree, a check
 * and its setup. The folder is ours and no sandbox sees it. A file that cannot be used is as good as none.
 *
 * The name is a short hash; the whole key stands in the file and is compared, so a collision costs a run and no more.
 */
#include "os/path.h"
#include "verify/private.h"

enum { FILE_MAX = 4 << 20, FORMAT = 2 };

static const char *key_of(mem *ctx, const struct bench *b, const char *tree, const struct check *check,
                          const char *what)
{
    struct buf key;
    buf_init(&key, ctx, 1 << 20);
    buf_printf(&key, "%d\n%s\n%s\n%s\n", FORMAT, what, tree, check->command);
    for (const char *const *s = b->spec->setup; s && *s; s++)
        buf_printf(&key, "%s\n", *s);
    buf_printf(&key, "%s", b->spec->no_sandbox ? "plain" : b->spec->layers ? "layers" : "");
    return key.overflow ? NULL : buf_take(&key, ctx);
}

/* FNV-1a, 64 bits. */
static const char *file_of(mem *ctx, const struct bench *b, const char *key)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (const char *p = key; *p; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001b3u;
    return mem_printf(ctx, "%s/base-%016llx.json", b->spec->cache_dir, (unsigned long long)h);
}

/* The kept object, or a missing value. */
static struct json kept_read(mem *ctx, const struct bench *b, const char *key)
{
    struct str text;
    struct json root = {0};
    if (!b->spec->cache_dir || !key || path_slurp(ctx, file_of(ctx, b, key), FILE_MAX, &text, NULL) != RC_OK ||
        json_parse(ctx, text, &root, NULL) != RC_OK || !json_eqz(json_get(root, "key"), key))
        return (struct json){0};
    return json_get(root, "kept");
}

static void kept_write(mem *ctx, const struct bench *b, const char *key, struct str kept)
{
    struct buf text;
    struct json_out out;
    if (!b->spec->cache_dir || !key)
        return;
    buf_init(&text, ctx, FILE_MAX);
    json_out_init(&out, &text);
    jo_obj(&out);
    jo_kz(&out, "key", key);
    jo_kraw(&out, "kept", kept);
    jo_end_obj(&out);
    /* Not being able to keep it only costs time. */
    if (!text.overflow && path_mkdirs(b->spec->cache_dir, 0700, NULL) == RC_OK &&
        path_write_durable(file_of(ctx, b, key), buf_view(&text), 0600, NULL) != RC_OK)
        return;
}

enum rc base_run(struct bench *b, const char *tree, const struct check *check, struct verdict_run **ret,
                 struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *key = key_of(tmp, b, tree, check, "run");
    struct json kept = kept_read(tmp, b, key);
    if (json_is(kept)) {
        struct verdict_run *run = mem_new(b->ctx, struct verdict_run);
        run_read(b->ctx, kept, run);
        run->kind = "base";
        run->check = check->name;
        run->log = NULL; /* belongs to another verdict and may be gone */
        bench_add(b, run);
        *ret = run;
        return RC_OK;
    }
    enum rc rc = bench_run(b, "base", tree, check, NULL, ret, err);
    if (rc != RC_OK || !run_ended(*ret))
        return rc; /* what did not end by itself may go better next time */
    struct buf text;
    struct json_out out;
    buf_init(&text, tmp, FILE_MAX);
    json_out_init(&out, &text);
    run_json(*ret, &out);
    kept_write(tmp, b, key, buf_view(&text));
    return RC_OK;
}

static void result_json(const struct canary_result *r, struct json_out *out)
{
    jo_obj(out);
    jo_ki(out, "judgement", r->judgement);
    jo_ki(out, "sites", (int64_t)r->sites);
    jo_ki(out, "fewest", r->fewest);
    jo_ki(out, "unbroken", r->unbroken);
    jo_key(out, "paths");
    jo_arr(out);
    for (size_t i = 0; i < r->n; i++)
        jo_z(out, r->paths[i]);
    jo_end_arr(out);
    jo_end_obj(out);
}

static struct canary_result result_read(mem *ctx, struct json v)
{
    struct json paths = json_get(v, "paths");
    struct canary_result r = {.judgement = (enum canary_judgement)json_int(json_get(v, "judgement"), CANARY_UNUSABLE),
                              .sites = (size_t)json_int(json_get(v, "sites"), 0),
                              .fewest = json_int(json_get(v, "fewest"), 0),
                              .unbroken = json_int(json_get(v, "unbroken"), 0),
                              .paths = mem_array(ctx, const char *, json_len(paths) + 1)};
    for (struct json_iter it = json_iter(paths); json_type(paths) == JSON_ARRAY && json_next(&it);)
        r.paths[r.n++] = json_z(ctx, it.value, "");
    return r;
}

enum rc base_canary(struct bench *b, const struct verdict_run *base, const struct check *check, uint32_t seen,
                    struct canary_result *ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *key = key_of(tmp, b, base->tree, check, mem_printf(tmp, "canary %x", seen));
    struct json kept = kept_read(tmp, b, key);
    if (json_is(kept)) {
        *ret = result_read(b->ctx, kept);
        return RC_OK;
    }
    struct canary canary = {.seen = seen};
    struct verdict_run *run;
    enum rc rc = bench_run(b, "base-canary", base->tree, check, &canary, &run, err);
    if (rc != RC_OK)
        return rc;
    *ret = canary_judge(b->ctx, &canary, run, base);
    if (ret->judgement == CANARY_UNUSABLE)
        return RC_OK;
    struct buf text;
    struct json_out out;
    buf_init(&text, tmp, FILE_MAX);
    json_out_init(&out, &text);
    result_json(ret, &out);
    kept_write(tmp, b, key, buf_view(&text));
    return RC_OK;
}
