/* Requests in OpenAI's Responses. */
#include "llm/wire.h"

static const struct field fields[] = {
    {"model", FIELD_READ},
    {"input", FIELD_READ},
    {"instructions", FIELD_READ},
    {"max_output_tokens", FIELD_READ},
    {"stream", FIELD_READ},
    {"temperature", FIELD_READ},
    {"top_p", FIELD_READ},
    {"tools", FIELD_READ},
    {"tool_choice", FIELD_READ},
    {"parallel_tool_calls", FIELD_READ},
    {"reasoning", FIELD_READ},
    {"text", FIELD_READ},
    {"user", FIELD_READ},
    {"include", FIELD_READ},
    {"previous_response_id", FIELD_REFUSE},
    {"conversation", FIELD_REFUSE},
    {"prompt", FIELD_REFUSE},
    {"background", FIELD_REFUSE},
    {"top_logprobs", FIELD_REFUSE},
};

static enum rc tools_read(struct reading *rd, struct json tools, struct err *err)
{
    for (struct json_iter it = json_iter(tools); json_type(tools) == JSON_ARRAY && json_next(&it);) {
        struct json type = json_get(it.value, "type");
        if (!json_eqz(type, "function"))
            return read_uncarried(err, mem_printf(rd->tmp, "tools: %s", json_z(rd->tmp, type, "?")));
        READ_CHECK(read_tool(rd, json_get(it.value, "name"), json_get(it.value, "description"),
                             json_get(it.value, "parameters"), json_bool(json_get(it.value, "strict"), false), NULL,
                             err));
    }
    return RC_OK;
}

static enum rc include_read(struct reading *rd, struct json include, struct err *err)
{
    for (struct json_iter it = json_iter(include); json_type(include) == JSON_ARRAY && json_next(&it);) {
        if (json_eqz(it.value, "message.output_text.logprobs"))
            return read_uncarried(err, "include: message.output_text.logprobs");
        if (!json_eqz(it.value, "reasoning.encrypted_content"))
            read_drop(rd, "include");
    }
    return RC_OK;
}

/* --- items --- */

static enum rc media_read(struct reading *rd, struct llm_message *m, struct llm_part *result, struct json part,
                          struct err *err)
{
    bool image = json_eqz(json_get(part, "type"), "input_image");
    struct json url = json_get(part, image ? "image_url" : "file_url");
    struct llm_part *media = read_media(rd, m, result);
    if (json_is(json_get(part, "file_id")))
        return read_uncarried(err, "input: a file by its id");
    if (!image && !json_is(url))
        url = json_get(part, "file_data");
    if (!read_url(rd, url, media))
        return read_refuse(err, "input", "has a file or image that is neither a data URL nor an http(s) URL");
    if (!image && media->url)
        media->media = "application/pdf";
    media->detail = read_z(rd, json_get(part, image ? "detail" : "filename"));
    if (image && media->detail && strcmp(media->detail, "auto") == 0)
        media->detail = NULL;
    return RC_OK;
}

static enum rc content_read(struct reading *rd, struct llm_message *m, struct json content, struct err *err)
{
    static const struct {
        const char *type, *member;
    } texts[] = {{"input_text", "text"}, {"output_text", "text"}, {"text", "text"}, {"refusal", "refusal"}};
    if (json_type(content) == JSON_STRING) {
        read_part(rd, m, LLM_TEXT, content);
        return RC_OK;
    }
    if (json_type(content) != JSON_ARRAY)
        return read_refuse(err, "input", "has a content that is neither a text nor a list of parts");
    for (struct json_iter it = json_iter(content); json_next(&it);) {
        struct json type = json_get(it.value, "type");
        size_t i = 0;
        while (i < 4 && !json_eqz(type, texts[i].type))
            i++;
        if (i < 4)
            read_part(rd, m, LLM_TEXT, json_get(it.value, texts[i].member));
        else if (json_eqz(type, "input_image") || json_eqz(type, "input_file"))
            READ_CHECK(media_read(rd, m, NULL, it.value, err));
        else
            return read_uncarried(err,
                                  mem_printf(rd->tmp, "input: a content part of type %s", json_z(rd->tmp, type, "?")));
    }
    return RC_OK;
}

static enum rc message_read(struct reading *rd, struct json item, bool after_result, struct err *err)
{
    struct json role = json_get(item, "role"), content = json_get(item, "content");
    struct llm_conversation *c = rd->r->conversation;
    if (json_eqz(role, "assistant"))
        return content_read(rd, read_message(rd, LLM_ASSISTANT, true), content, err);
    if (json_eqz(role, "user"))
        return content_read(rd, read_message(rd, LLM_USER, after_result), content, err);
    if (!json_eqz(role, "system") && !json_eqz(role, "developer"))
        return read_refuse(err, "input", "has a message of a role that is none of system, developer, user, assistant");
    bool leading = !c->first;
    struct llm_message *m = read_message(rd, LLM_SYSTEM, false);
    READ_CHECK(content_read(rd, m, content, err));
    if (!leading)
        return RC_OK;
    for (const struct llm_part *part = m->first; part; part = part->next)
        read_system_add(rd, part->text);
    c->first = c->last = NULL;
    return RC_OK;
}

static enum rc output_read(struct reading *rd, struct json item, bool after_result, struct err *err)
{
    struct llm_message *m = read_message(rd, LLM_USER, after_result);
    struct json output = json_get(item, "output");
    struct llm_part *part = read_part(rd, m, LLM_TOOL_RESULT, output);
    part->id = read_z(rd, json_get(item, "call_id"));
    if (json_type(output) != JSON_ARRAY)
        return RC_OK;
    struct buf text;
    buf_init(&text, rd->r->ctx, SIZE_MAX / 2);
    for (struct json_iter it = json_iter(output); json_next(&it);) {
        struct json type = json_get(it.value, "type");
        if (json_eqz(type, "input_text") || json_eqz(type, "output_text")) {
            if (text.n)
                buf_z(&text, "\n\n");
            buf_str(&text, json_str(rd->tmp, json_get(it.value, "text")));
        } else if (json_eqz(type, "input_image") || json_eqz(type, "input_file")) {
            READ_CHECK(media_read(rd, m, part, it.value, err));
        } else {
            return read_uncarried(err, "input: an output of this type");
        }
    }
    part->text = buf_view(&text);
    return RC_OK;
}

static void reasoning_read(struct reading *rd, struct json item)
{
    struct llm_message *m = read_message(rd, LLM_ASSISTANT, true);
    struct buf text;
    buf_init(&text, rd->tmp, SIZE_MAX / 2);
    struct json summary = json_get(item, "summary"), content = json_get(item, "content");
    struct json texts = json_len(summary) ? summary : content;
    for (struct json_iter it = json_iter(texts); json_type(texts) == JSON_ARRAY && json_next(&it);) {
        if (text.n)
            buf_z(&text, "\n\n");
        buf_str(&text, json_str(rd->tmp, json_get(it.value, "text")));
    }
    struct llm_part *part = llm_add_part(rd->r->conversation, m, LLM_REASONING, buf_view(&text));
    struct wire_seal seal;
    wire_seal_read(rd->r->ctx, json_str(rd->r->ctx, json_get(item, "encrypted_content")), false, "responses", &seal);
    part->opaque = seal.opaque;
    part->origin = seal.origin;
    part->name = seal.name;
    part->id = strcmp(seal.origin, "responses") == 0 && !seal.id ? read_z(rd, json_get(item, "id")) : seal.id;
}

static void call_read(struct reading *rd, struct json item)
{
    struct llm_message *m = read_message(rd, LLM_ASSISTANT, true);
    struct llm_part *part = llm_add_part(rd->r->conversation, m, LLM_TOOL_CALL, STR(""));
    part->id = read_z(rd, json_get(item, "call_id"));
    part->name = read_z(rd, json_get(item, "name"));
    wire_call_arguments(part, json_str(rd->r->ctx, json_get(item, "arguments")));
}

static enum rc input_read(struct reading *rd, struct json input, struct err *err)
{
    bool after_result = false;
    if (json_type(input) == JSON_STRING) {
        read_part(rd, read_message(rd, LLM_USER, false), LLM_TEXT, input);
        return RC_OK;
    }
    if (json_type(input) != JSON_ARRAY)
        return read_refuse(err, "input", "must be a text or a list of items");
    for (struct json_iter it = json_iter(input); json_next(&it);) {
        struct json type = json_get(it.value, "type");
        bool result = json_eqz(type, "function_call_output");
        if (result)
            READ_CHECK(output_read(rd, it.value, after_result, err));
        else if (json_eqz(type, "function_call"))
            call_read(rd, it.value);
        else if (json_eqz(type, "reasoning"))
            reasoning_read(rd, it.value);
        else if (!json_is(type) || json_eqz(type, "message"))
            READ_CHECK(message_read(rd, it.value, after_result, err));
        else
            return read_uncarried(err, mem_printf(rd->tmp, "input: an item of type %s", json_z(rd->tmp, type, "?")));
        after_result = result;
    }
    return RC_OK;
}

enum rc responses_decode(struct reading *rd, struct json root, struct err *err)
{
    struct llm_request *r = rd->r;
    READ_CHECK(read_fields(rd, root, fields, sizeof fields / sizeof fields[0], err));
    READ_CHECK(read_number(rd, json_get(root, "temperature"), "temperature", &r->temperature, err));
    READ_CHECK(read_number(rd, json_get(root, "top_p"), "top_p", &r->top_p, err));
    READ_CHECK(tools_read(rd, json_get(root, "tools"), err));
    struct json choice = json_get(root, "tool_choice"), format = json_path(root, "text.format");
    READ_CHECK(read_openai_choice(rd, choice, json_get(choice, "name"), err));
    READ_CHECK(read_openai_format(rd, format, format, "text.format", err));
    READ_CHECK(include_read(rd, json_get(root, "include"), err));
    struct json parallel = json_get(root, "parallel_tool_calls");
    if (json_is(parallel))
        r->parallel = json_bool(parallel, true) ? LLM_FLAG_ON : LLM_FLAG_OFF;
    r->effort = read_z(rd, json_path(root, "reasoning.effort"));
    r->show_thoughts = json_is(json_path(root, "reasoning.summary"));
    if (r->show_thoughts && !r->effort)
        r->thinking = -1;
    r->user = read_z(rd, json_get(root, "user"));
    struct json instructions = json_get(root, "instructions");
    if (json_is(instructions) && json_type(instructions) != JSON_STRING)
        return read_refuse(err, "instructions", "must be a text");
    read_system_add(rd, json_str(rd->tmp, instructions));
    return input_read(rd, json_get(root, "input"), err);
}
