/* Requests in OpenAI's Chat Completions. */
#include "llm/wire.h"

static const struct field fields[] = {
    {"model", FIELD_READ},
    {"messages", FIELD_READ},
    {"max_tokens", FIELD_READ},
    {"max_completion_tokens", FIELD_READ},
    {"n", FIELD_READ},
    {"stream", FIELD_READ},
    {"stream_options", FIELD_READ},
    {"temperature", FIELD_READ},
    {"top_p", FIELD_READ},
    {"top_k", FIELD_READ},
    {"min_p", FIELD_READ},
    {"seed", FIELD_READ},
    {"frequency_penalty", FIELD_READ},
    {"presence_penalty", FIELD_READ},
    {"stop", FIELD_READ},
    {"tools", FIELD_READ},
    {"tool_choice", FIELD_READ},
    {"parallel_tool_calls", FIELD_READ},
    {"response_format", FIELD_READ},
    {"reasoning_effort", FIELD_READ},
    {"user", FIELD_READ},
    {"modalities", FIELD_READ},
    {"logprobs", FIELD_REFUSE},
    {"top_logprobs", FIELD_REFUSE},
    {"logit_bias", FIELD_REFUSE},
    {"audio", FIELD_REFUSE},
    {"functions", FIELD_REFUSE},
    {"function_call", FIELD_REFUSE},
    {"web_search_options", FIELD_REFUSE},
};

static enum rc tools_read(struct reading *rd, struct json tools, struct err *err)
{
    for (struct json_iter it = json_iter(tools); json_type(tools) == JSON_ARRAY && json_next(&it);) {
        struct json f = json_get(it.value, "function");
        if (!json_eqz(json_get(it.value, "type"), "function"))
            return read_uncarried(err, "tools");
        READ_CHECK(read_tool(rd, json_get(f, "name"), json_get(f, "description"), json_get(f, "parameters"),
                             json_bool(json_get(f, "strict"), false), NULL, err));
    }
    return RC_OK;
}

/* --- messages --- */

static enum rc audio_read(struct reading *rd, struct llm_message *m, struct json audio, struct err *err)
{
    struct llm_part *part = read_media(rd, m, NULL);
    part->data = json_str(rd->r->ctx, json_get(audio, "data"));
    part->media = json_eqz(json_get(audio, "format"), "wav") ? "audio/wav" : "audio/mp3";
    return part->data.n ? RC_OK : read_refuse(err, "messages", "has sound without data");
}

static enum rc file_read(struct reading *rd, struct llm_message *m, struct json file, struct err *err)
{
    struct llm_part *part = read_media(rd, m, NULL);
    if (!json_is(json_get(file, "file_data")))
        return read_uncarried(err, "messages: a file by its id");
    if (!read_url(rd, json_get(file, "file_data"), part))
        return read_refuse(err, "messages", "has a file that is no data URL");
    part->detail = read_z(rd, json_get(file, "filename"));
    return RC_OK;
}

static enum rc content_part_read(struct reading *rd, struct llm_message *m, struct json part, struct err *err)
{
    struct json type = json_get(part, "type");
    if (json_eqz(type, "text") || json_eqz(type, "refusal")) {
        struct json text = json_get(part, json_eqz(type, "text") ? "text" : "refusal");
        if (json_type(text) != JSON_STRING)
            return read_refuse(err, "messages", "has a text part without text");
        read_part(rd, m, LLM_TEXT, text);
        return RC_OK;
    }
    if (json_eqz(type, "image_url")) {
        struct llm_part *media = read_media(rd, m, NULL);
        struct json image = json_get(part, "image_url");
        if (!read_url(rd, json_type(image) == JSON_OBJECT ? json_get(image, "url") : image, media))
            return read_refuse(err, "messages", "has an image that is neither a data URL nor an http(s) URL");
        media->detail = read_z(rd, json_get(image, "detail"));
        return RC_OK;
    }
    if (json_eqz(type, "input_audio"))
        return audio_read(rd, m, json_get(part, "input_audio"), err);
    if (json_eqz(type, "file"))
        return file_read(rd, m, json_get(part, "file"), err);
    CLEANUP_MEM mem *tmp = mem_root();
    return read_uncarried(err, mem_printf(tmp, "messages: a content part of type %s", json_z(tmp, type, "?")));
}

static enum rc content_read(struct reading *rd, struct llm_message *m, struct json content, struct err *err)
{
    if (json_type(content) == JSON_STRING) {
        read_part(rd, m, LLM_TEXT, content);
        return RC_OK;
    }
    if (json_is(content) && json_type(content) != JSON_ARRAY)
        return read_refuse(err, "messages", "has a content that is neither a text nor a list of parts");
    for (struct json_iter it = json_iter(content); json_type(content) == JSON_ARRAY && json_next(&it);)
        READ_CHECK(content_part_read(rd, m, it.value, err));
    return RC_OK;
}

/* The texts of a content in one. */
static enum rc texts_read(struct reading *rd, struct json content, struct buf *ret, struct err *err)
{
    if (json_type(content) != JSON_ARRAY) {
        buf_str(ret, json_str(rd->tmp, content));
        return json_is(content) && json_type(content) != JSON_STRING
                   ? read_refuse(err, "messages", "has a content that is neither a text nor a list of parts")
                   : RC_OK;
    }
    for (struct json_iter it = json_iter(content); json_next(&it);) {
        if (!json_eqz(json_get(it.value, "type"), "text"))
            return read_uncarried(err, "messages: a content part that is no text, where text is expected");
        if (ret->n)
            buf_z(ret, "\n\n");
        buf_str(ret, json_str(rd->tmp, json_get(it.value, "text")));
    }
    return RC_OK;
}

static enum rc call_read(struct reading *rd, struct llm_message *m, struct json call, struct err *err)
{
    if (json_is(json_get(call, "type")) && !json_eqz(json_get(call, "type"), "function"))
        return read_uncarried(err, "messages: a tool call that is no function");
    struct llm_part *part = llm_add_part(rd->r->conversation, m, LLM_TOOL_CALL, STR(""));
    part->id = read_z(rd, json_get(call, "id"));
    part->name = read_z(rd, json_path(call, "function.name"));
    wire_call_arguments(part, json_str(rd->r->ctx, json_path(call, "function.arguments")));
    struct json extra = json_get(call, "extra_content");
    if (json_type(extra) == JSON_OBJECT) {
        part->opaque = str_of(str_dup(rd->r->ctx, json_raw(extra)));
        part->origin = "chat";
    }
    return RC_OK;
}

static enum rc assistant_read(struct reading *rd, struct json message, struct err *err)
{
    struct llm_message *m = read_message(rd, LLM_ASSISTANT, false);
    struct json thought = json_get(message, "reasoning_content"), refusal = json_get(message, "refusal");
    if (json_type(thought) == JSON_STRING && json_str(rd->tmp, thought).n)
        read_part(rd, m, LLM_REASONING, thought)->origin = "chat";
    READ_CHECK(content_read(rd, m, json_get(message, "content"), err));
    if (json_type(refusal) == JSON_STRING)
        read_part(rd, m, LLM_TEXT, refusal);
    if (json_is(json_get(message, "audio")) || json_is(json_get(message, "function_call")))
        return read_uncarried(err, "messages: audio or function_call");
    struct json calls = json_get(message, "tool_calls");
    for (struct json_iter it = json_iter(calls); json_type(calls) == JSON_ARRAY && json_next(&it);)
        READ_CHECK(call_read(rd, m, it.value, err));
    return RC_OK;
}

static enum rc result_read(struct reading *rd, struct json message, bool after_result, struct err *err)
{
    struct llm_message *m = read_message(rd, LLM_USER, after_result);
    struct buf text;
    buf_init(&text, rd->tmp, SIZE_MAX / 2);
    READ_CHECK(texts_read(rd, json_get(message, "content"), &text, err));
    struct llm_part *part = llm_add_part(rd->r->conversation, m, LLM_TOOL_RESULT, buf_view(&text));
    part->id = read_z(rd, json_get(message, "tool_call_id"));
    return RC_OK;
}

static enum rc system_read(struct reading *rd, struct json message, struct err *err)
{
    struct buf text;
    buf_init(&text, rd->tmp, SIZE_MAX / 2);
    READ_CHECK(texts_read(rd, json_get(message, "content"), &text, err));
    if (!rd->r->conversation->first)
        read_system_add(rd, buf_view(&text));
    else
        llm_add_part(rd->r->conversation, read_message(rd, LLM_SYSTEM, false), LLM_TEXT, buf_view(&text));
    return RC_OK;
}

/* What the user says right behind results belongs to their message; nothing said stands for itself. */
static enum rc user_read(struct reading *rd, struct json content, bool after_result, struct err *err)
{
    bool says = json_type(content) == JSON_STRING ? !wire_blank(json_str(rd->tmp, content)) : json_len(content) > 0;
    return content_read(rd, read_message(rd, LLM_USER, after_result && says), content, err);
}

static enum rc messages_read(struct reading *rd, struct json messages, struct err *err)
{
    bool after_result = false; /* results and what the user says behind them are one message */
    if (json_type(messages) != JSON_ARRAY)
        return read_refuse(err, "messages", "must be a list");
    for (struct json_iter it = json_iter(messages); json_next(&it);) {
        struct json role = json_get(it.value, "role");
        bool result = json_eqz(role, "tool");
        if (result)
            READ_CHECK(result_read(rd, it.value, after_result, err));
        else if (json_eqz(role, "user"))
            READ_CHECK(user_read(rd, json_get(it.value, "content"), after_result, err));
        else if (json_eqz(role, "assistant"))
            READ_CHECK(assistant_read(rd, it.value, err));
        else if (json_eqz(role, "system") || json_eqz(role, "developer"))
            READ_CHECK(system_read(rd, it.value, err));
        else
            return read_refuse(err, "messages",
                               "has a message of a role that is none of system, user, assistant, tool");
        after_result = result;
    }
    return RC_OK;
}

static enum rc modalities_read(struct json modalities, struct err *err)
{
    for (struct json_iter it = json_iter(modalities); json_type(modalities) == JSON_ARRAY && json_next(&it);)
        if (!json_eqz(it.value, "text"))
            return read_uncarried(err, "modalities");
    return RC_OK;
}

enum rc chat_decode(struct reading *rd, struct json root, struct err *err)
{
    struct llm_request *r = rd->r;
    READ_CHECK(read_fields(rd, root, fields, sizeof fields / sizeof fields[0], err));
    READ_CHECK(read_number(rd, json_get(root, "temperature"), "temperature", &r->temperature, err));
    READ_CHECK(read_number(rd, json_get(root, "top_p"), "top_p", &r->top_p, err));
    READ_CHECK(read_number(rd, json_get(root, "top_k"), "top_k", &r->top_k, err));
    READ_CHECK(read_number(rd, json_get(root, "min_p"), "min_p", &r->min_p, err));
    READ_CHECK(read_number(rd, json_get(root, "seed"), "seed", &r->seed, err));
    READ_CHECK(read_number(rd, json_get(root, "frequency_penalty"), "frequency_penalty", &r->frequency_penalty, err));
    READ_CHECK(read_number(rd, json_get(root, "presence_penalty"), "presence_penalty", &r->presence_penalty, err));
    READ_CHECK(read_stop(rd, json_get(root, "stop"), "stop", err));
    READ_CHECK(modalities_read(json_get(root, "modalities"), err));
    READ_CHECK(tools_read(rd, json_get(root, "tools"), err));
    struct json choice = json_get(root, "tool_choice"), format = json_get(root, "response_format");
    READ_CHECK(read_openai_choice(rd, choice, json_path(choice, "function.name"), err));
    READ_CHECK(read_openai_format(rd, format, json_get(format, "json_schema"), "response_format", err));
    struct json parallel = json_get(root, "parallel_tool_calls");
    if (json_is(parallel))
        r->parallel = json_bool(parallel, true) ? LLM_FLAG_ON : LLM_FLAG_OFF;
    r->effort = read_z(rd, json_get(root, "reasoning_effort"));
    r->user = read_z(rd, json_get(root, "user"));
    return messages_read(rd, json_get(root, "messages"), err);
}
