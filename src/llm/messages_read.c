/* Requests in Anthropic's Messages. */
#include "llm/wire.h"

static const struct field fields[] = {
    {"model", FIELD_READ},           {"messages", FIELD_READ},      {"max_tokens", FIELD_READ},
    {"system", FIELD_READ},          {"stream", FIELD_READ},        {"temperature", FIELD_READ},
    {"top_p", FIELD_READ},           {"top_k", FIELD_READ},         {"stop_sequences", FIELD_READ},
    {"tools", FIELD_READ},           {"tool_choice", FIELD_READ},   {"thinking", FIELD_READ},
    {"output_config", FIELD_READ},   {"output_format", FIELD_READ}, {"metadata", FIELD_READ},
    {"cache_control", FIELD_READ},   {"container", FIELD_REFUSE},   {"mcp_servers", FIELD_REFUSE},
    {"inference_geo", FIELD_REFUSE},
};

static enum llm_cache mark_read(struct json object)
{
    struct json mark = json_get(object, "cache_control");
    if (!json_is(mark))
        return LLM_CACHE_NONE;
    return json_eqz(json_get(mark, "ttl"), "1h") ? LLM_CACHE_1H : LLM_CACHE_5M;
}

static enum rc system_read(struct reading *rd, struct json system, struct err *err)
{
    if (json_type(system) != JSON_ARRAY) {
        read_system_add(rd, json_str(rd->tmp, system));
        return json_is(system) && json_type(system) != JSON_STRING
                   ? read_refuse(err, "system", "must be a text or a list of text blocks")
                   : RC_OK;
    }
    for (struct json_iter it = json_iter(system); json_next(&it);) {
        if (!json_eqz(json_get(it.value, "type"), "text"))
            return read_refuse(err, "system", "must be a text or a list of text blocks");
        read_system_add(rd, json_str(rd->tmp, json_get(it.value, "text")));
        if (mark_read(it.value))
            rd->r->conversation->system_cache = mark_read(it.value);
    }
    return RC_OK;
}

static enum rc tools_read(struct reading *rd, struct json tools, struct err *err)
{
    for (struct json_iter it = json_iter(tools); json_type(tools) == JSON_ARRAY && json_next(&it);) {
        struct json type = json_get(it.value, "type");
        struct llm_tool *tool;
        if (json_is(type) && !json_eqz(type, "custom"))
            return read_uncarried(err, mem_printf(rd->tmp, "tools: %s", json_z(rd->tmp, type, "?")));
        READ_CHECK(read_tool(rd, json_get(it.value, "name"), json_get(it.value, "description"),
                             json_get(it.value, "input_schema"), json_bool(json_get(it.value, "strict"), false), &tool,
                             err));
        tool->cache = mark_read(it.value);
    }
    return RC_OK;
}

static enum rc choice_read(struct reading *rd, struct json choice, struct err *err)
{
    static const struct {
        const char *type;
        enum llm_choice choice;
    } types[] = {
        {"auto", LLM_CHOICE_AUTO}, {"any", LLM_CHOICE_REQUIRED}, {"tool", LLM_CHOICE_NAMED}, {"none", LLM_CHOICE_NONE}};
    struct llm_request *r = rd->r;
    if (!json_is(choice))
        return RC_OK;
    for (size_t i = 0; i < 4; i++)
        if (json_eqz(json_get(choice, "type"), types[i].type))
            r->choice = types[i].choice;
    if (r->choice == LLM_CHOICE_UNSET)
        return read_refuse(err, "tool_choice", "must be of type auto, any, tool or none");
    r->choice_name = read_z(rd, json_get(choice, "name"));
    struct json alone = json_get(choice, "disable_parallel_tool_use");
    if (json_is(alone))
        r->parallel = json_bool(alone, false) ? LLM_FLAG_OFF : LLM_FLAG_ON;
    return RC_OK;
}

static enum rc thinking_read(struct reading *rd, struct json root, struct err *err)
{
    struct llm_request *r = rd->r;
    struct json thinking = json_get(root, "thinking"), type = json_get(thinking, "type");
    struct json budget = json_get(thinking, "budget_tokens");
    r->effort = read_z(rd, json_path(root, "output_config.effort"));
    if (!json_is(thinking))
        return RC_OK;
    if (json_eqz(type, "disabled")) {
        r->thinking = 0;
        r->effort = NULL;
        return RC_OK;
    }
    if (json_eqz(type, "enabled") && json_int(budget, 0) < 1)
        return read_refuse(err, "thinking", "must have budget_tokens from 1 up");
    if (!json_eqz(type, "enabled") && !json_eqz(type, "adaptive"))
        return read_refuse(err, "thinking", "must be of type enabled, adaptive or disabled");
    r->thinking = json_eqz(type, "enabled") ? json_int(budget, 0) : -1;
    r->show_thoughts = !json_eqz(json_get(thinking, "display"), "omitted");
    return RC_OK;
}

static enum rc format_read(struct reading *rd, struct json format, struct err *err)
{
    struct llm_request *r = rd->r;
    struct json schema = json_get(format, "schema");
    if (!json_is(format))
        return RC_OK;
    if (!json_eqz(json_get(format, "type"), "json_schema") || json_type(schema) != JSON_OBJECT)
        return read_refuse(err, "output_config.format", "must be of type json_schema, with a schema");
    r->format = LLM_FORMAT_SCHEMA;
    r->format_schema = str_dup(r->ctx, json_raw(schema));
    return RC_OK;
}

/* --- blocks --- */

static enum rc source_read(struct reading *rd, struct llm_message *m, struct llm_part *result, struct json block,
                           struct err *err)
{
    struct json source = json_get(block, "source"), type = json_get(source, "type");
    bool image = json_eqz(json_get(block, "type"), "image");
    if (!image && json_eqz(type, "text")) {
        read_part(rd, m, LLM_TEXT, json_get(source, "data"));
        return RC_OK;
    }
    struct llm_part *part = read_media(rd, m, result);
    part->cache = mark_read(block);
    part->media = read_z(rd, json_get(source, "media_type"));
    if (!image)
        part->detail = read_z(rd, json_get(block, "title"));
    if (json_eqz(type, "url")) {
        part->url = read_z(rd, json_get(source, "url"));
        if (!image)
            part->media = "application/pdf";
        return part->url ? RC_OK : read_refuse(err, "messages", "has an image source without a URL");
    }
    if (!json_eqz(type, "base64"))
        return read_uncarried(err, "messages: a file by its id");
    part->data = json_str(rd->r->ctx, json_get(source, "data"));
    if (!part->media || !part->data.n)
        return read_refuse(err, "messages", "has an image source without media_type or data");
    return RC_OK;
}

static enum rc result_content_read(struct reading *rd, struct llm_message *m, struct llm_part *part,
                                   struct json content, struct err *err)
{
    struct buf text;
    buf_init(&text, rd->tmp, SIZE_MAX / 2);
    if (json_type(content) == JSON_STRING)
        buf_str(&text, json_str(rd->tmp, content));
    else if (json_is(content) && json_type(content) != JSON_ARRAY)
        return read_refuse(err, "messages", "has a tool_result whose content is neither a text nor a list of blocks");
    for (struct json_iter it = json_iter(content); json_type(content) == JSON_ARRAY && json_next(&it);) {
        struct json type = json_get(it.value, "type");
        if (json_eqz(type, "text")) {
            if (text.n)
                buf_z(&text, "\n\n");
            buf_str(&text, json_str(rd->tmp, json_get(it.value, "text")));
        } else if (json_eqz(type, "image") || json_eqz(type, "document")) {
            READ_CHECK(source_read(rd, m, part, it.value, err));
        } else {
            return read_uncarried(
                err, mem_printf(rd->tmp, "messages: a tool_result of type %s", json_z(rd->tmp, type, "?")));
        }
    }
    part->text = str_of(str_dup(rd->r->ctx, buf_view(&text)));
    part->text.n = text.n;
    return RC_OK;
}

static void reasoning_read(struct reading *rd, struct llm_message *m, struct json block)
{
    bool sealed = json_eqz(json_get(block, "type"), "redacted_thinking");
    struct llm_part *part = read_part(rd, m, LLM_REASONING, json_get(block, "thinking"));
    struct wire_seal seal;
    wire_seal_read(rd->r->ctx, json_str(rd->r->ctx, json_get(block, sealed ? "data" : "signature")), false, "messages",
                   &seal);
    part->opaque = seal.opaque;
    part->origin = seal.origin;
    part->id = seal.id;
    part->name = seal.name ? seal.name : sealed && strcmp(seal.origin, "messages") == 0 ? "redacted_thinking" : NULL;
}

static enum rc block_read(struct reading *rd, struct llm_message *m, struct json block, struct err *err)
{
    struct json type = json_get(block, "type");
    struct llm_conversation *c = rd->r->conversation;
    struct llm_part *part = NULL;
    if (json_eqz(type, "text")) {
        part = read_part(rd, m, LLM_TEXT, json_get(block, "text"));
    } else if (json_eqz(type, "image") || json_eqz(type, "document")) {
        return source_read(rd, m, NULL, block, err);
    } else if (json_eqz(type, "tool_use")) {
        part = llm_add_part(c, m, LLM_TOOL_CALL, STR(""));
        part->id = read_z(rd, json_get(block, "id"));
        part->name = read_z(rd, json_get(block, "name"));
        wire_call_arguments(part, str_of(str_dup(c->ctx, json_raw(json_get(block, "input")))));
    } else if (json_eqz(type, "tool_result")) {
        part = llm_add_part(c, m, LLM_TOOL_RESULT, STR(""));
        part->id = read_z(rd, json_get(block, "tool_use_id"));
        part->is_error = json_bool(json_get(block, "is_error"), false);
        READ_CHECK(result_content_read(rd, m, part, json_get(block, "content"), err));
    } else if (json_eqz(type, "thinking") || json_eqz(type, "redacted_thinking")) {
        reasoning_read(rd, m, block);
    } else {
        return read_uncarried(err, mem_printf(rd->tmp, "messages: a block of type %s", json_z(rd->tmp, type, "?")));
    }
    if (part)
        part->cache = mark_read(block);
    return RC_OK;
}

static enum rc messages_read(struct reading *rd, struct json messages, struct err *err)
{
    if (json_type(messages) != JSON_ARRAY)
        return read_refuse(err, "messages", "must be a list");
    for (struct json_iter it = json_iter(messages); json_next(&it);) {
        struct json role = json_get(it.value, "role"), content = json_get(it.value, "content");
        bool assistant = json_eqz(role, "assistant"), system = json_eqz(role, "system");
        if (!assistant && !system && !json_eqz(role, "user"))
            return read_refuse(err, "messages", "has a message of a role that is none of user, assistant, system");
        struct llm_message *m = read_message(rd, assistant ? LLM_ASSISTANT : system ? LLM_SYSTEM : LLM_USER, false);
        if (json_type(content) == JSON_STRING)
            read_part(rd, m, LLM_TEXT, content);
        else if (json_type(content) != JSON_ARRAY)
            return read_refuse(err, "messages", "has a content that is neither a text nor a list of blocks");
        for (struct json_iter block = json_iter(content); json_type(content) == JSON_ARRAY && json_next(&block);)
            READ_CHECK(block_read(rd, m, block.value, err));
    }
    return RC_OK;
}

enum rc messages_decode(struct reading *rd, struct json root, struct err *err)
{
    struct llm_request *r = rd->r;
    /* A mark on the whole request leaves the places to the provider. */
    r->conversation->own_marks = !json_is(json_get(root, "cache_control"));
    READ_CHECK(read_fields(rd, root, fields, sizeof fields / sizeof fields[0], err));
    READ_CHECK(read_number(rd, json_get(root, "temperature"), "temperature", &r->temperature, err));
    READ_CHECK(read_number(rd, json_get(root, "top_p"), "top_p", &r->top_p, err));
    READ_CHECK(read_number(rd, json_get(root, "top_k"), "top_k", &r->top_k, err));
    READ_CHECK(read_stop(rd, json_get(root, "stop_sequences"), "stop_sequences", err));
    READ_CHECK(system_read(rd, json_get(root, "system"), err));
    READ_CHECK(tools_read(rd, json_get(root, "tools"), err));
    READ_CHECK(choice_read(rd, json_get(root, "tool_choice"), err));
    READ_CHECK(thinking_read(rd, root, err));
    struct json format = json_path(root, "output_config.format");
    READ_CHECK(format_read(rd, json_is(format) ? format : json_get(root, "output_format"), err));
    r->user = read_z(rd, json_path(root, "metadata.user_id"));
    return messages_read(rd, json_get(root, "messages"), err);
}
