/* Fuzz target: the JSON reader and writer. Whatever parses is walked, written again and must parse to the same size. */
#include "base/json.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void walk(mem *ctx, struct json v, struct json_out *out)
{
    switch (json_type(v)) {
    case JSON_OBJECT:
        jo_obj(out);
        for (struct json_iter it = json_iter(v); json_next(&it);) {
            jo_keyn(out, json_iter_key(ctx, &it));
            walk(ctx, it.value, out);
        }
        jo_end_obj(out);
        break;
    case JSON_ARRAY:
        jo_arr(out);
        for (struct json_iter it = json_iter(v); json_next(&it);)
            walk(ctx, it.value, out);
        jo_end_arr(out);
        break;
    case JSON_STRING:
        jo_str(out, json_str(ctx, v));
        break;
    default:
        (void)json_int(v, 0);
        (void)json_double(v, 0);
        (void)json_z(ctx, v, NULL);
        jo_raw(out, json_raw(v));
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct err err;
    struct json root, again;
    if (json_parse(ctx, str_n((const char *)data, size), &root, &err) != RC_OK)
        return 0;
    struct buf b;
    struct json_out out;
    buf_init(&b, ctx, 64u << 20);
    json_out_init(&out, &b);
    walk(ctx, root, &out);
    BUG_ON(b.overflow);
    BUG_ON(json_parse(ctx, buf_view(&b), &again, &err) != RC_OK);
    BUG_ON(json_len(root) != json_len(again) || json_type(root) != json_type(again));
    (void)json_path(root, "a.0.b");
    return 0;
}
