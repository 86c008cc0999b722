/* Requests in Google's generateContent. Every member may be written in camel case or with underscores. */
#include "llm/wire.h"

static const struct field fields[] = {
    {"model", FIELD_READ},           {"contents", FIELD_READ},   {"systemInstruction", FIELD_READ},
    {"tools", FIELD_READ},           {"toolConfig", FIELD_READ}, {"generationConfig", FIELD_READ},
    {"cachedContent", FIELD_REFUSE},
};
static const struct field generation_fields[] = {
    {"maxOutputTokens", FIELD_READ},
    {"candidateCount", FIELD_READ},
    {"temperature", FIELD_READ},
    {"topP", FIELD_READ},
    {"topK", FIELD_READ},
    {"seed", FIELD_READ},
    {"frequencyPenalty", FIELD_READ},
    {"presencePenalty", FIELD_READ},
    {"stopSequences", FIELD_READ},
    {"responseMimeType", FIELD_READ},
    {"responseSchema", FIELD_READ},
    {"responseJsonSchema", FIELD_READ},
    {"_responseJsonSchema", FIELD_READ},
    {"thinkingConfig", FIELD_READ},
    {"responseModalities", FIELD_READ},
    {"responseLogprobs", FIELD_REFUSE},
    {"logprobs", FIELD_REFUSE},
    {"speechConfig", FIELD_REFUSE},
    {"imageConfig", FIELD_REFUSE},
};

/* Google's Schema has JSON Schema's names with types in upper case, and `nullable`. */
static void schema_write(struct json_out *o, struct json v)
{
    CLEANUP_MEM mem *tmp = mem_root();
    if (json_type(v) == JSON_ARRAY) {
        jo_arr(o);
        for (struct json_iter it = json_iter(v); json_next(&it);)
            schema_write(o, it.value);
        jo_end_arr(o);
        return;
    }
    if (json_type(v) != JSON_OBJECT) {
        jo_raw(o, json_raw(v));
        return;
    }
    bool nullable = json_bool(json_get(v, "nullable"), false);
    jo_obj(o);
    for (struct json_iter it = json_iter(v); json_next(&it);) {
        struct str key = json_iter_key(tmp, &it);
        bool values = str_eqz(key, "enum") || str_eqz(key, "example") || str_eqz(key, "default");
        if (str_eqz(key, "nullable") && json_type(it.value) != JSON_OBJECT)
            continue;
        jo_keyn(o, wire_named(key, "anyOf") ? STR("anyOf") : key);
        if (str_eqz(key, "type") && json_type(it.value) == JSON_STRING) {
            char *type = str_dup(tmp, json_str(tmp, it.value));
            for (char *c = type; *c; c++)
                *c = (char)(*c >= 'A' && *c <= 'Z' ? *c | 0x20 : *c);
            if (nullable)
                jo_arr(o);
            jo_z(o, type);
            if (nullable) {
                jo_z(o, "null");
                jo_end_arr(o);
            }
        } else if (values) {
            jo_raw(o, json_raw(it.value));
        } else {
            schema_write(o, it.value);
        }
    }
    jo_end_obj(o);
}

static const char *schema_text(struct reading *rd, struct json schema)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, rd->r->ctx, 4 * json_raw(schema).n + 256);
    json_out_init(&o, &b);
    schema_write(&o, schema);
    return b.p;
}

static enum rc tools_read(struct reading *rd, struct json tools, struct err *err)
{
    for (struct json_iter tool = json_iter(tools); json_type(tools) == JSON_ARRAY && json_next(&tool);) {
        for (struct json_iter it = json_iter(tool.value); json_type(tool.value) == JSON_OBJECT && json_next(&it);)
            if (!wire_key(&it, "functionDeclarations") && json_is(it.value))
                return read_uncarried(err,
                                      mem_printf(rd->tmp, "tools: %s", str_dup(rd->tmp, json_iter_key(rd->tmp, &it))));
        struct json list = wire_get(tool.value, "functionDeclarations");
        for (struct json_iter it = json_iter(list); json_type(list) == JSON_ARRAY && json_next(&it);) {
            struct json plain = wire_get(it.value, "parametersJsonSchema"), schema = wire_get(it.value, "parameters");
            struct llm_tool *t;
            READ_CHECK(
                read_tool(rd, json_get(it.value, "name"), json_get(it.value, "description"), plain, false, &t, err));
            if (!json_is(plain) && json_type(schema) == JSON_OBJECT)
                t->schema = schema_text(rd, schema);
        }
    }
    return RC_OK;
}

static enum rc choice_read(struct reading *rd, struct json config, struct err *err)
{
    struct llm_request *r = rd->r;
    struct json calling = wire_get(config, "functionCallingConfig"), mode = json_get(calling, "mode");
    struct json names = wire_get(calling, "allowedFunctionNames");
    if (!json_is(mode) || json_eqz(mode, "MODE_UNSPECIFIED"))
        return RC_OK;
    if (json_eqz(mode, "AUTO") || json_eqz(mode, "VALIDATED"))
        r->choice = LLM_CHOICE_AUTO;
    else if (json_eqz(mode, "NONE"))
        r->choice = LLM_CHOICE_NONE;
    else if (json_eqz(mode, "ANY"))
        r->choice = json_len(names) == 1 ? LLM_CHOICE_NAMED : LLM_CHOICE_REQUIRED;
    else
        return read_refuse(err, "toolConfig", "must have a mode of AUTO, ANY, NONE or VALIDATED");
    if (json_len(names) > 1)
        return read_uncarried(err, "toolConfig.allowedFunctionNames");
    if (r->choice == LLM_CHOICE_NAMED)
        r->choice_name = read_z(rd, json_at(names, 0));
    return RC_OK;
}

static enum rc format_read(struct reading *rd, struct json g, struct err *err)
{
    struct llm_request *r = rd->r;
    struct json type = wire_get(g, "responseMimeType"), plain = wire_get(g, "responseJsonSchema");
    struct json schema = wire_get(g, "responseSchema");
    if (!json_is(plain))
        plain = json_get(g, "_responseJsonSchema");
    if (!json_is(type) || json_eqz(type, "text/plain"))
        return RC_OK;
    if (!json_eqz(type, "application/json"))
        return read_uncarried(err, "generationConfig.responseMimeType");
    r->format = LLM_FORMAT_JSON;
    if (json_type(plain) == JSON_OBJECT)
        r->format_schema = str_dup(r->ctx, json_raw(plain));
    else if (json_type(schema) == JSON_OBJECT)
        r->format_schema = schema_text(rd, schema);
    if (r->format_schema)
        r->format = LLM_FORMAT_SCHEMA;
    return RC_OK;
}

static void thinking_read(struct reading *rd, struct json config)
{
    struct llm_request *r = rd->r;
    struct json budget = wire_get(config, "thinkingBudget"), level = wire_get(config, "thinkingLevel");
    if (json_is(budget))
        r->thinking = json_int(budget, -1) < -1 ? -1 : json_int(budget, -1);
    if (json_type(level) == JSON_STRING && !json_eqz(level, "THINKING_LEVEL_UNSPECIFIED")) {
        char *effort = str_dup(r->ctx, json_str(rd->tmp, level));
        for (char *c = effort; *c; c++)
            *c = (char)(*c >= 'A' && *c <= 'Z' ? *c | 0x20 : *c);
        r->effort = effort;
    }
    r->show_thoughts = json_bool(wire_get(config, "includeThoughts"), false);
    if (r->show_thoughts && r->thinking == LLM_BUDGET_UNSET && !r->effort)
        r->thinking = -1;
}

static enum rc generation_read(struct reading *rd, struct json g, struct err *err)
{
    struct llm_request *r = rd->r;
    READ_CHECK(read_fields(rd, g, generation_fields, sizeof generation_fields / sizeof generation_fields[0], err));
    READ_CHECK(read_number(rd, json_get(g, "temperature"), "temperature", &r->temperature, err));
    READ_CHECK(read_number(rd, wire_get(g, "topP"), "topP", &r->top_p, err));
    READ_CHECK(read_number(rd, wire_get(g, "topK"), "topK", &r->top_k, err));
    READ_CHECK(read_number(rd, json_get(g, "seed"), "seed", &r->seed, err));
    READ_CHECK(read_number(rd, wire_get(g, "frequencyPenalty"), "frequencyPenalty", &r->frequency_penalty, err));
    READ_CHECK(read_number(rd, wire_get(g, "presencePenalty"), "presencePenalty", &r->presence_penalty, err));
    READ_CHECK(read_stop(rd, wire_get(g, "stopSequences"), "stopSequences", err));
    struct json modalities = wire_get(g, "responseModalities");
    for (struct json_iter it = json_iter(modalities); json_type(modalities) == JSON_ARRAY && json_next(&it);)
        if (!json_eqz(it.value, "TEXT"))
            return read_uncarried(err, "generationConfig.responseModalities");
    thinking_read(rd, wire_get(g, "thinkingConfig"));
    return format_read(rd, g, err);
}

/* --- contents --- */

/* Calls without an id get one; the results name their function and answer its calls in order. */
static const char *call_id_new(struct reading *rd)
{
    return mem_printf(rd->r->ctx, "call_%d", ++rd->call_number);
}

static bool answered(const struct llm_conversation *c, const char *id)
{
    for (const struct llm_message *m = c->first; m; m = m->next)
        for (const struct llm_part *part = m->first; part; part = part->next)
            if (part->kind == LLM_TOOL_RESULT && part->id && strcmp(part->id, id) == 0)
                return true;
    return false;
}

static const char *call_id_find(struct reading *rd, const char *name)
{
    const struct llm_conversation *c = rd->r->conversation;
    for (const struct llm_message *m = c->first; m; m = m->next)
        for (const struct llm_part *part = m->first; part; part = part->next)
            if (part->kind == LLM_TOOL_CALL && part->name && name && strcmp(part->name, name) == 0 &&
                !answered(c, part->id))
                return part->id;
    return NULL;
}

static enum rc blob_read(struct reading *rd, struct llm_message *m, struct llm_part *result, struct json blob,
                         bool by_uri, struct err *err)
{
    struct llm_part *part = read_media(rd, m, result);
    part->media = read_z(rd, wire_get(blob, "mimeType"));
    if (by_uri) {
        part->url = read_z(rd, wire_get(blob, "fileUri"));
        struct str url = str_of(part->url);
        if (!str_starts(url, STR("https://")) || str_find(url, STR("generativelanguage.googleapis.com")) >= 0)
            return read_uncarried(err, "contents: a file by its id");
    } else {
        part->data = json_str(rd->r->ctx, json_get(blob, "data"));
    }
    if (!part->media || (!part->url && !part->data.n))
        return read_refuse(err, "contents", "has data without mimeType or bytes");
    return RC_OK;
}

static void seal_read(struct reading *rd, struct llm_part *part, struct json seal)
{
    struct wire_seal s;
    if (json_type(seal) != JSON_STRING || json_eqz(seal, GEMINI_NO_SEAL))
        return;
    wire_seal_read(rd->r->ctx, json_str(rd->r->ctx, seal), true, "gemini", &s);
    part->opaque = s.opaque;
    part->origin = s.origin;
    if (part->kind == LLM_REASONING) {
        part->name = s.name;
        part->id = s.id;
    }
}

static enum rc result_read(struct reading *rd, struct llm_message *m, struct json response, struct err *err)
{
    const char *name = read_z(rd, json_get(response, "name")), *id = read_z(rd, json_get(response, "id"));
    struct json body = json_get(response, "response"), output = json_get(body, "output");
    struct json error = json_get(body, "error");
    struct llm_part *part;
    if (!id || !id[0])
        id = call_id_find(rd, name);
    if (!id)
        return read_refuse(err, "contents", "has a functionResponse that answers no functionCall");
    bool only = json_len(body) == 1;
    if (only && json_type(output) == JSON_STRING)
        part = read_part(rd, m, LLM_TOOL_RESULT, output);
    else if (only && json_type(error) == JSON_STRING)
        part = read_part(rd, m, LLM_TOOL_RESULT, error);
    else
        part = llm_add_part(rd->r->conversation, m, LLM_TOOL_RESULT, json_raw(body));
    part->is_error = only && json_type(error) == JSON_STRING;
    part->id = id;
    struct json inner = json_get(response, "parts");
    for (struct json_iter it = json_iter(inner); json_type(inner) == JSON_ARRAY && json_next(&it);)
        READ_CHECK(blob_read(rd, m, part, wire_get(it.value, "inlineData"), false, err));
    return RC_OK;
}

static enum rc part_read(struct reading *rd, struct llm_message *m, struct json part, struct err *err)
{
    struct json text = json_get(part, "text"), call = wire_get(part, "functionCall");
    struct json seal = wire_get(part, "thoughtSignature");
    if (json_type(text) == JSON_STRING) {
        bool thought = json_bool(json_get(part, "thought"), false);
        struct llm_part *p = read_part(rd, m, thought ? LLM_REASONING : LLM_TEXT, text);
        p->origin = "gemini";
        seal_read(rd, p, seal);
        if (!p->opaque.n && !thought)
            p->origin = NULL;
    } else if (json_type(call) == JSON_OBJECT) {
        struct llm_part *p = llm_add_part(rd->r->conversation, m, LLM_TOOL_CALL, STR(""));
        const char *id = read_z(rd, json_get(call, "id"));
        struct json args = json_get(call, "args");
        p->id = id && id[0] ? id : call_id_new(rd);
        p->name = read_z(rd, json_get(call, "name"));
        wire_call_arguments(p, json_is(args) ? str_of(str_dup(rd->r->ctx, json_raw(args))) : STR("{}"));
        seal_read(rd, p, seal);
    } else if (json_is(wire_get(part, "functionResponse"))) {
        return result_read(rd, m, wire_get(part, "functionResponse"), err);
    } else if (json_is(wire_get(part, "inlineData"))) {
        return blob_read(rd, m, NULL, wire_get(part, "inlineData"), false, err);
    } else if (json_is(wire_get(part, "fileData"))) {
        return blob_read(rd, m, NULL, wire_get(part, "fileData"), true, err);
    } else {
        return read_uncarried(err, "contents: a part that is no text, call, result or data");
    }
    return RC_OK;
}

/* Gemini CLI says an answer again when a session goes on. Other wires take one for each call. */
static bool part_repeats(struct reading *rd, struct json part)
{
    const char *id = read_z(rd, json_get(wire_get(part, "functionResponse"), "id"));
    return id && id[0] && answered(rd->r->conversation, id);
}

static bool content_repeats(struct reading *rd, struct json parts)
{
    for (struct json_iter it = json_iter(parts); json_type(parts) == JSON_ARRAY && json_next(&it);)
        if (!part_repeats(rd, it.value))
            return false;
    return json_type(parts) == JSON_ARRAY && json_len(parts) > 0;
}

static enum rc content_read(struct reading *rd, struct json content, struct err *err)
{
    struct json role = json_get(content, "role"), parts = json_get(content, "parts");
    if (json_type(content) != JSON_OBJECT)
        return read_refuse(err, "contents", "must be a list of objects with role and parts");
    if (json_is(role) && !json_eqz(role, "model") && !json_eqz(role, "user") && !json_eqz(role, "function"))
        return read_refuse(err, "contents", "has a role that is none of user, model, function");
    if (content_repeats(rd, parts))
        return RC_OK;
    struct llm_message *m = read_message(rd, json_eqz(role, "model") ? LLM_ASSISTANT : LLM_USER, false);
    if (json_type(parts) == JSON_OBJECT)
        return part_read(rd, m, parts, err);
    for (struct json_iter it = json_iter(parts); json_type(parts) == JSON_ARRAY && json_next(&it);)
        if (!part_repeats(rd, it.value))
            READ_CHECK(part_read(rd, m, it.value, err));
    return RC_OK;
}

static void system_read(struct reading *rd, struct json instruction)
{
    struct json parts = json_get(instruction, "parts");
    if (json_type(instruction) == JSON_STRING)
        read_system_add(rd, json_str(rd->tmp, instruction));
    if (json_type(parts) == JSON_OBJECT)
        read_system_add(rd, json_str(rd->tmp, json_get(parts, "text")));
    for (struct json_iter it = json_iter(parts); json_type(parts) == JSON_ARRAY && json_next(&it);)
        read_system_add(rd, json_str(rd->tmp, json_get(it.value, "text")));
}

enum rc gemini_decode(struct reading *rd, struct json root, struct err *err)
{
    READ_CHECK(read_fields(rd, root, fields, sizeof fields / sizeof fields[0], err));
    READ_CHECK(tools_read(rd, json_get(root, "tools"), err));
    READ_CHECK(choice_read(rd, wire_get(root, "toolConfig"), err));
    READ_CHECK(generation_read(rd, wire_get(root, "generationConfig"), err));
    system_read(rd, wire_get(root, "systemInstruction"));
    struct json contents = json_get(root, "contents");
    if (json_type(contents) == JSON_OBJECT)
        return content_read(rd, contents, err);
    if (json_type(contents) != JSON_ARRAY)
        return read_refuse(err, "contents", "must be a list");
    for (struct json_iter it = json_iter(contents); json_next(&it);)
        READ_CHECK(content_read(rd, it.value, err));
    return RC_OK;
}
