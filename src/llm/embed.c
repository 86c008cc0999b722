/* Embeddings between OpenAI's form and Gemini's. */
#include "llm/embed.h"
#include "llm/wire.h"
#include <stdlib.h>

enum { INPUTS_MOST = 2048 };

static enum rc refuse(struct err *err, const char *field, const char *why)
{
    return err_set(err, RC_INVALID, "\"%s\" of the embeddings request %s", field, why);
}

/* One text, a list of texts, token numbers, or a list of lists of token numbers. */
static enum rc inputs_read(mem *ctx, struct json input, struct llm_embed *ret, struct err *err)
{
    if (json_type(input) == JSON_STRING) {
        struct str *one = mem_array(ctx, struct str, 1);
        *one = json_str(ctx, input);
        ret->inputs = one;
        ret->count = 1;
        return one->n ? RC_OK : refuse(err, "input", "must not be empty");
    }
    size_t n = json_type(input) == JSON_ARRAY ? json_len(input) : 0;
    if (!n)
        return refuse(err, "input", "must be a text or a list of texts");
    enum json_type type = json_type(json_at(input, 0));
    ret->count = type == JSON_NUMBER ? 1 : n;
    if (type == JSON_NUMBER || type == JSON_ARRAY)
        return RC_OK;
    if (n > INPUTS_MOST)
        return refuse(err, "input", "has more than 2048 texts");
    struct str *list = mem_array(ctx, struct str, n), *at = list;
    for (struct json_iter it = json_iter(input); json_next(&it); at++) {
        if (json_type(it.value) != JSON_STRING)
            return refuse(err, "input", "must be a text or a list of texts");
        *at = json_str(ctx, it.value);
    }
    ret->inputs = list;
    return RC_OK;
}

enum rc llm_embed_read(mem *ctx, struct str body, struct llm_embed *ret, struct err *err)
{
    struct json root;
    *ret = (struct llm_embed){.input_bytes = (int64_t)body.n};
    enum rc rc = json_parse(ctx, body, &root, err);
    if (rc) {
        err_context(err, "the embeddings request is not JSON");
        return RC_INVALID;
    }
    if (json_type(root) != JSON_OBJECT)
        return err_set(err, RC_INVALID, "the embeddings request is not a JSON object");
    size_t models = 0, inputs = 0;
    for (struct json_iter it = json_iter(root); json_next(&it);) {
        models += wire_key(&it, "model");
        inputs += wire_key(&it, "input");
    }
    ret->model = json_z(ctx, wire_get(root, "model"), "");
    if (models != 1 || !ret->model[0])
        return refuse(err, "model", "must name one model");
    if (inputs != 1)
        return refuse(err, "input", "must stand there once");
    struct json dimensions = json_get(root, "dimensions"), format = json_get(root, "encoding_format");
    if (json_is(dimensions) && (json_int(dimensions, 0) < 1 || json_int(dimensions, 0) > 65536))
        return refuse(err, "dimensions", "must be a whole number from 1 to 65536");
    ret->dimensions = json_int(dimensions, 0);
    if (json_is(format) && !json_eqz(format, "float") && !json_eqz(format, "base64"))
        return refuse(err, "encoding_format", "must be float or base64");
    ret->base64 = json_eqz(format, "base64");
    return inputs_read(ctx, wire_get(root, "input"), ret, err);
}

enum rc llm_embed_write(const struct llm_embed *e, const char *model, struct buf *ret_body, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json_out o;
    if (!e->inputs)
        return read_uncarried(err, "input: token numbers");
    const char *name = strncmp(model, "models/", 7) == 0 ? model : mem_printf(tmp, "models/%s", model);
    json_out_init(&o, ret_body);
    jo_obj(&o);
    jo_key(&o, "requests");
    jo_arr(&o);
    for (size_t i = 0; i < e->count; i++) {
        jo_obj(&o);
        jo_kz(&o, "model", name);
        jo_key(&o, "content");
        jo_obj(&o);
        jo_key(&o, "parts");
        jo_arr(&o);
        jo_obj(&o);
        jo_ks(&o, "text", e->inputs[i]);
        jo_end_obj(&o);
        jo_end_arr(&o);
        jo_end_obj(&o);
        if (e->dimensions)
            jo_ki(&o, "outputDimensionality", e->dimensions);
        jo_end_obj(&o);
    }
    jo_end_arr(&o);
    jo_end_obj(&o);
    return ret_body->overflow ? err_set(err, RC_LIMIT, "the embeddings request is too large") : RC_OK;
}

bool llm_embed_usage(struct str answer, struct usage *ret)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json root;
    *ret = (struct usage){.output = -1};
    if (json_parse(tmp, answer, &root, NULL))
        return false;
    int64_t n = json_int(json_path(root, "usage.prompt_tokens"), json_int(json_path(root, "usage.total_tokens"), -1));
    if (n < 0 || n > INT64_C(1000000000000))
        return false;
    *ret = (struct usage){.input = n};
    return true;
}

/* The numbers as they stand, or as little-endian floats in base64. */
static void vector_write(struct json_out *o, struct json values, bool base64)
{
    CLEANUP_MEM mem *tmp = mem_root();
    if (!base64) {
        jo_raw(o, json_raw(values));
        return;
    }
    size_t n = json_len(values);
    unsigned char *bytes = mem_zalloc(tmp, 4 * n + 4), *at = bytes;
    for (struct json_iter it = json_iter(values); json_next(&it); at += 4) {
        float f = (float)json_double(it.value, 0);
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        for (int i = 0; i < 4; i++)
            at[i] = (unsigned char)(bits >> 8 * i);
    }
    jo_str(o, wire_base64(tmp, str_n((const char *)bytes, 4 * n)));
}

static bool is_vector(struct json values)
{
    if (json_type(values) != JSON_ARRAY || !json_len(values))
        return false;
    for (struct json_iter it = json_iter(values); json_next(&it);)
        if (json_type(it.value) != JSON_NUMBER)
            return false;
    return true;
}

enum rc llm_embed_answer(const struct llm_embed *e, const char *model, struct str answer, struct buf *ret_body,
                         struct usage *ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json root;
    struct json_out o;
    *ret = (struct usage){.output = -1};
    if (json_parse(tmp, answer, &root, NULL))
        return wire_nonsense(err, answer, "the model server's embeddings are not JSON");
    struct json list = json_get(root, "embeddings");
    if (json_type(list) != JSON_ARRAY || json_len(list) != e->count)
        return wire_nonsense(err, answer, "the model server did not send an embedding for every input");
    for (struct json_iter it = json_iter(list); json_next(&it);)
        if (!is_vector(json_get(it.value, "values")))
            return wire_nonsense(err, answer, "the model server sent an embedding that is no list of numbers");
    int64_t tokens = json_int(json_path(root, "usageMetadata.promptTokenCount"), -1);
    if (tokens >= 0 && tokens <= INT64_C(1000000000000))
        *ret = (struct usage){.input = tokens};
    json_out_init(&o, ret_body);
    jo_obj(&o);
    jo_kz(&o, "object", "list");
    jo_key(&o, "data");
    jo_arr(&o);
    int64_t at = 0;
    for (struct json_iter it = json_iter(list); json_next(&it); at++) {
        jo_obj(&o);
        jo_kz(&o, "object", "embedding");
        jo_ki(&o, "index", at);
        jo_key(&o, "embedding");
        vector_write(&o, json_get(it.value, "values"), e->base64);
        jo_end_obj(&o);
    }
    jo_end_arr(&o);
    jo_kz(&o, "model", model);
    jo_key(&o, "usage");
    jo_obj(&o);
    jo_ki(&o, "prompt_tokens", ret->input);
    jo_ki(&o, "total_tokens", ret->input);
    jo_end_obj(&o);
    jo_end_obj(&o);
    return ret_body->overflow ? err_set(err, RC_LIMIT, "the embeddings are too large") : RC_OK;
}
