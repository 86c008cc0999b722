/* OpenAI Chat Completions, as OpenAI speaks it and as compatible servers do.
 *
 * Data-only events, each a `chat.completion.chunk`; the end is the text [DONE]. Usage comes in one more chunk without
 * choices, when asked for; some servers put it on the last chunk, some on every one (cumulative). Prompt counts include
 * cached tokens, completion counts include reasoning.
 * Reasoning text is read for the operator and never sent back: servers differ in whether they take or refuse it. */
#include "llm/wire.h"

/* --- requests --- */

static bool is_text(const struct llm_part *part)
{
    return part->kind == LLM_TEXT && !wire_blank(part->text);
}

/* All text of a message in one string, or null. */
static void text_write(struct json_out *o, const struct llm_message *m, bool null_when_none)
{
    CLEANUP_MEM mem *tmp = mem_root();
    size_t most = 0;
    for (const struct llm_part *part = m->first; part; part = part->next)
        most += part->text.n + 2;
    struct buf text;
    buf_init(&text, tmp, most);
    for (const struct llm_part *part = m->first; part; part = part->next)
        if (is_text(part)) {
            if (text.n)
                buf_z(&text, "\n\n");
            buf_str(&text, part->text);
        }
    jo_key(o, "content");
    if (text.n || !null_when_none)
        jo_str(o, buf_view(&text));
    else
        jo_null(o);
}

static bool has_kind(const struct llm_message *m, enum llm_part_kind kind)
{
    for (const struct llm_part *part = m->first; part; part = part->next)
        if (part->kind == kind && (kind != LLM_TEXT || is_text(part)))
            return true;
    return false;
}

static void call_write(struct writing *w, const struct llm_part *call)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json_out *o = &w->o;
    jo_obj(o);
    jo_kz(o, "id", call->id);
    jo_kz(o, "type", "function");
    jo_key(o, "function");
    jo_obj(o);
    jo_kz(o, "name", wire_tool_name(tmp, call->name));
    jo_ks(o, "arguments", wire_arguments(tmp, call));
    jo_end_obj(o);
    if (call->opaque.n && wire_origin_is(call, w->d)) /* signatures of thought: who sends them wants them back */
        jo_kraw(o, "extra_content", call->opaque);
    jo_end_obj(o);
}

static void assistant_write(struct writing *w, const struct llm_message *m)
{
    bool calls = has_kind(m, LLM_TOOL_CALL);
    jo_obj(&w->o);
    jo_kz(&w->o, "role", "assistant");
    text_write(&w->o, m, calls);
    if (calls) {
        jo_key(&w->o, "tool_calls");
        jo_arr(&w->o);
        for (const struct llm_part *part = m->first; part; part = part->next)
            if (part->kind == LLM_TOOL_CALL)
                call_write(w, part);
        jo_end_arr(&w->o);
    }
    jo_end_obj(&w->o);
}

static void text_part_write(struct json_out *o, struct str text)
{
    jo_obj(o);
    jo_kz(o, "type", "text");
    jo_ks(o, "text", text);
    jo_end_obj(o);
}

static void image_write(struct json_out *o, const struct llm_part *media, const char *url)
{
    jo_kz(o, "type", "image_url");
    jo_key(o, "image_url");
    jo_obj(o);
    jo_kz(o, "url", url);
    if (media->detail)
        jo_kz(o, "detail", media->detail);
    jo_end_obj(o);
}

static enum rc media_write(struct writing *w, const struct llm_part *media, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json_out *o = &w->o;
    struct str type = str_of(media->media);
    bool sound = str_eqz(type, "audio/wav") || str_eqz(type, "audio/mp3") || str_eqz(type, "audio/mpeg");
    bool image = wire_is_image(media);
    if (!image && (media->url || (!sound && !str_eqz(type, "application/pdf"))))
        return write_uncarried(w, mem_printf(tmp, "a part of type %s", media->media), err);
    jo_obj(o);
    if (image) {
        image_write(o, media, wire_data_url(tmp, media));
    } else if (sound) {
        jo_kz(o, "type", "input_audio");
        jo_key(o, "input_audio");
        jo_obj(o);
        jo_ks(o, "data", media->data);
        jo_kz(o, "format", str_eqz(type, "audio/wav") ? "wav" : "mp3");
        jo_end_obj(o);
    } else {
        jo_kz(o, "type", "file");
        jo_key(o, "file");
        jo_obj(o);
        jo_kz(o, "filename", media->detail ? media->detail : "document.pdf");
        jo_kz(o, "file_data", wire_data_url(tmp, media));
        jo_end_obj(o);
    }
    jo_end_obj(o);
    return RC_OK;
}

/* A tool message holds text alone: pictures of a result follow as the user's. */
static bool result_media(const struct llm_message *m)
{
    for (const struct llm_part *part = m->first; part; part = part->next)
        if (part->inner)
            return true;
    return false;
}

static enum rc parts_write(struct writing *w, const struct llm_message *m, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    jo_key(&w->o, "content");
    jo_arr(&w->o);
    for (const struct llm_part *part = m->first; part; part = part->next)
        if (part->inner) {
            text_part_write(&w->o, str_of(mem_printf(tmp, "(what the tool call %s showed:)", part->id)));
            for (const struct llm_part *media = part->inner; media; media = media->next)
                READ_CHECK(media_write(w, media, err));
        }
    for (const struct llm_part *part = m->first; part; part = part->next) {
        if (is_text(part))
            text_part_write(&w->o, part->text);
        else if (part->kind == LLM_MEDIA)
            READ_CHECK(media_write(w, part, err));
    }
    jo_end_arr(&w->o);
    return RC_OK;
}

/* Results are messages of their own and come first: they answer the calls just before. */
static enum rc user_write(struct writing *w, const struct llm_message *m, struct err *err)
{
    struct json_out *o = &w->o;
    for (const struct llm_part *part = m->first; part; part = part->next) {
        if (part->kind != LLM_TOOL_RESULT)
            continue;
        jo_obj(o);
        jo_kz(o, "role", "tool");
        jo_kz(o, "tool_call_id", part->id);
        jo_ks(o, "content", part->text);
        jo_end_obj(o);
    }
    bool media = has_kind(m, LLM_MEDIA) || result_media(m);
    if (!media && !has_kind(m, LLM_TEXT) && has_kind(m, LLM_TOOL_RESULT))
        return RC_OK;
    jo_obj(o);
    jo_kz(o, "role", m->role == LLM_SYSTEM ? "system" : "user");
    if (media)
        READ_CHECK(parts_write(w, m, err));
    else
        text_write(o, m, false);
    jo_end_obj(o);
    return RC_OK;
}

static enum rc messages_write(struct writing *w, struct err *err)
{
    struct json_out *o = &w->o;
    jo_key(o, "messages");
    jo_arr(o);
    if (w->c->system && w->c->system[0]) {
        jo_obj(o);
        jo_kz(o, "role", "system");
        jo_kz(o, "content", w->c->system);
        jo_end_obj(o);
    }
    for (const struct llm_message *m = w->c->first; m; m = m->next) {
        if (m->role == LLM_ASSISTANT)
            assistant_write(w, m);
        else
            READ_CHECK(user_write(w, m, err));
    }
    jo_end_arr(o);
    return RC_OK;
}

static void tools_write(struct writing *w)
{
    struct json_out *o = &w->o;
    if (!w->c->tool_count)
        return;
    jo_key(o, "tools");
    jo_arr(o);
    for (size_t i = 0; i < w->c->tool_count; i++) {
        const struct llm_tool *t = &w->c->tools[i];
        jo_obj(o);
        jo_kz(o, "type", "function");
        jo_key(o, "function");
        jo_obj(o);
        jo_kz(o, "name", t->name);
        if (t->description)
            jo_kz(o, "description", t->description);
        jo_kraw(o, "parameters", str_of(t->schema));
        if (t->strict)
            jo_kb(o, "strict", true);
        jo_end_obj(o);
        jo_end_obj(o);
    }
    jo_end_arr(o);
}

static void choice_write(struct writing *w)
{
    static const char *const words[] = {
        [LLM_CHOICE_AUTO] = "auto", [LLM_CHOICE_NONE] = "none", [LLM_CHOICE_REQUIRED] = "required"};
    struct json_out *o = &w->o;
    const struct llm_request *r = w->r;
    if (!w->c->tool_count)
        return;
    if (r->choice == LLM_CHOICE_NAMED) {
        jo_key(o, "tool_choice");
        jo_obj(o);
        jo_kz(o, "type", "function");
        jo_key(o, "function");
        jo_obj(o);
        jo_kz(o, "name", r->choice_name);
        jo_end_obj(o);
        jo_end_obj(o);
    } else if (r->choice != LLM_CHOICE_UNSET) {
        jo_kz(o, "tool_choice", words[r->choice]);
    }
    if (r->parallel != LLM_FLAG_UNSET)
        jo_kb(o, "parallel_tool_calls", r->parallel == LLM_FLAG_ON);
}

static void format_write(struct writing *w)
{
    struct json_out *o = &w->o;
    const struct llm_request *r = w->r;
    if (r->format == LLM_FORMAT_TEXT)
        return;
    jo_key(o, "response_format");
    jo_obj(o);
    jo_kz(o, "type", r->format == LLM_FORMAT_JSON ? "json_object" : "json_schema");
    if (r->format == LLM_FORMAT_SCHEMA) {
        jo_key(o, "json_schema");
        jo_obj(o);
        jo_kz(o, "name", r->format_name ? r->format_name : "answer");
        jo_kraw(o, "schema", str_of(r->format_schema));
        if (r->format_strict)
            jo_kb(o, "strict", true);
        jo_end_obj(o);
    }
    jo_end_obj(o);
}

static void sampling_write(struct writing *w)
{
    const struct llm_request *r = w->r;
    bool compatible = w->d == &llm_chat; /* servers of open models know more than OpenAI */
    write_number(w, "temperature", r->temperature);
    write_number(w, "top_p", r->top_p);
    if (compatible) {
        write_number(w, "top_k", r->top_k);
        write_number(w, "min_p", r->min_p);
    }
    write_number(w, "seed", r->seed);
    write_number(w, "frequency_penalty", r->frequency_penalty);
    write_number(w, "presence_penalty", r->presence_penalty);
    write_drop_numbers(w, !compatible, false, false);
    if (r->stop) {
        jo_key(&w->o, "stop");
        jo_arr(&w->o);
        for (const char *const *s = r->stop; *s; s++)
            jo_z(&w->o, *s);
        jo_end_arr(&w->o);
    }
    const char *effort;
    if (write_openai_effort(w, &effort) && effort)
        jo_kz(&w->o, "reasoning_effort", effort);
    if (r->user)
        jo_kz(&w->o, "user", r->user);
}

static enum rc chat_encode(struct llm_request *r, const struct llm_dialect *d, const char *model, int64_t max_output,
                           bool stream, struct buf *b, struct err *err)
{
    struct writing w;
    write_begin(&w, r, d, model, max_output, stream, b);
    jo_obj(&w.o);
    jo_kz(&w.o, "model", model);
    jo_ki(&w.o, d->wire->cap, max_output);
    if (stream) {
        jo_kb(&w.o, "stream", true);
        jo_kraw(&w.o, "stream_options", STR("{\"include_usage\":true}"));
    }
    sampling_write(&w);
    format_write(&w);
    choice_write(&w);
    tools_write(&w); /* tools and system text first: what stays the same between requests is a common beginning */
    READ_CHECK(messages_write(&w, err));
    jo_end_obj(&w.o);
    return RC_OK;
}

static void chat_request(const struct llm_conversation *c, const char *model, int64_t max_output, struct buf *b)
{
    write_conversation(&llm_chat, c, model, max_output, b);
}

static void openai_request(const struct llm_conversation *c, const char *model, int64_t max_output, struct buf *b)
{
    write_conversation(&llm_openai, c, model, max_output, b);
}

static const char *const *chat_headers(mem *ctx, const char *key)
{
    const char **lines = mem_array(ctx, const char *, 2);
    lines[0] = wire_key_line(lines, "Authorization: Bearer ", key);
    return lines;
}

/* --- answers --- */

static const struct wire_stop stops[] = {
    {"stop", LLM_STOP_END},
    {"length", LLM_STOP_LENGTH},
    {"tool_calls", LLM_STOP_TOOLS},
    {"function_call", LLM_STOP_TOOLS},
    {"content_filter", LLM_STOP_REFUSED},
    {"eos", LLM_STOP_END},
};

/* The first choice's usage, or that of the whole: five disjoint buckets from counts that overlap. */
static void usage_settle(struct llm_parser *p)
{
    const struct counts *n = &p->counts;
    int64_t prompt = n->prompt, output = n->output, cached = n->cached, written = n->written;
    /* A total that is larger than its parts says that reasoning (or cached input) stands beside them, not inside. */
    int64_t beside = n->total - prompt - output;
    if (cached + written > prompt || (beside > 0 && beside == cached && beside != n->reasoning))
        prompt += cached + written;
    else if (beside > 0)
        output += beside;
    p->answer.usage = (struct usage){
        .input = prompt - cached - written,
        .cache_read = cached,
        .cache_write = written,
        .output = output,
        .reasoning = n->reasoning < output ? n->reasoning : output,
    };
}

static void usage_take(struct llm_parser *p, struct json usage, bool final)
{
    if (json_type(usage) != JSON_OBJECT)
        return;
    struct counts *n = &p->counts;
    count_raise(&n->prompt, json_get(usage, "prompt_tokens"));
    count_raise(&n->output, json_get(usage, "completion_tokens"));
    count_raise(&n->total, json_get(usage, "total_tokens"));
    count_raise(&n->cached, json_path(usage, "prompt_tokens_details.cached_tokens"));
    count_raise(&n->cached, json_get(usage, "prompt_cache_hit_tokens"));
    count_raise(&n->written, json_path(usage, "prompt_tokens_details.cache_write_tokens"));
    count_raise(&n->reasoning, json_path(usage, "completion_tokens_details.reasoning_tokens"));
    if (n->prompt + n->output == 0)
        return; /* a place holder: no request has an empty prompt */
    usage_settle(p);
    if (final && json_type(json_get(usage, "completion_tokens")) == JSON_NUMBER)
        p->answer.usage_known = true;
}

static bool complete_object(struct str text)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json root;
    return text.n > 2 && text.p[0] == '{' && !json_parse(tmp, text, &root, NULL);
}

/* The draft that a piece of a call belongs to. Servers number calls, or name them by id, or do neither; some number all
 * of them 0, so that only the new id and name tell that another call begins; some invent a new id for every piece. */
static struct draft *call_draft(struct llm_parser *p, struct json call, int64_t index)
{
    mem *tmp = p->scratch;
    const char *id = json_z(tmp, json_get(call, "id"), "");
    bool named = json_z(tmp, json_path(call, "function.name"), "")[0];
    struct draft *d = NULL;
    if (index >= 0)
        d = draft_find(p, LLM_TOOL_CALL, index);
    else
        for (struct llm_part *part = p->message.first; part; part = part->next)
            if (part->kind == LLM_TOOL_CALL && (!id[0] ? !named : part->id && strcmp(part->id, id) == 0))
                d = (struct draft *)part;
    if (d && named && id[0] && d->part.id && strcmp(d->part.id, id) != 0)
        d = NULL;
    return d ? d : draft_add(p, LLM_TOOL_CALL, index);
}

static void call_take(struct llm_parser *p, struct json call, int64_t index)
{
    mem *tmp = p->scratch;
    struct draft *d = call_draft(p, call, json_int(json_get(call, "index"), index));
    if (!d)
        return;
    draft_name(p, &d->part.id, json_get(call, "id"));
    draft_name(p, &d->part.name, json_path(call, "function.name"));
    struct json extra = json_get(call, "extra_content"), arguments = json_path(call, "function.arguments");
    if (json_type(extra) == JSON_OBJECT && !d->part.opaque.n)
        d->part.opaque = str_of(str_dup(p, json_raw(extra)));
    if (json_type(arguments) == JSON_OBJECT) {
        d->arguments = str_of(str_dup(p, json_raw(arguments)));
        return;
    }
    struct str piece = json_str(tmp, arguments);
    /* The last event may repeat the whole. */
    if (piece.n && str_eq(piece, buf_view(&d->text)) && complete_object(piece))
        return;
    draft_grow(p, d, piece);
}

static void content_take(struct llm_parser *p, struct json content)
{
    mem *tmp = p->scratch;
    draft_append(p, LLM_TEXT, json_str(tmp, content));
    if (json_type(content) != JSON_ARRAY)
        return;
    for (struct json_iter it = json_iter(content); json_next(&it);) {
        draft_append(p, LLM_TEXT, json_str(tmp, json_get(it.value, "text")));
        struct json thinking = json_get(it.value, "thinking");
        draft_append(p, LLM_REASONING,
                     json_str(tmp, json_type(thinking) == JSON_ARRAY ? json_path(thinking, "0.text") : thinking));
    }
}

/* A delta, or a whole message: then only what the deltas have not told yet counts. */
static void delta_take(struct llm_parser *p, struct json delta, bool whole)
{
    mem *tmp = p->scratch;
    bool told = whole && p->answer.message;
    struct str thought = json_str(tmp, json_get(delta, "reasoning_content"));
    if (!thought.n)
        thought = json_str(tmp, json_get(delta, "reasoning"));
    if (!told) {
        draft_append(p, LLM_REASONING, thought);
        content_take(p, json_get(delta, "content"));
        struct str refusal = json_str(tmp, json_get(delta, "refusal"));
        draft_append(p, LLM_TEXT, refusal);
        if (refusal.n)
            p->answer.stop = LLM_STOP_REFUSED;
    }
    int64_t at = 0;
    for (struct json_iter it = json_iter(json_get(delta, "tool_calls")); json_next(&it); at++) {
        int64_t index = json_int(json_get(it.value, "index"), whole ? at : -1);
        struct draft *d = whole ? draft_find(p, LLM_TOOL_CALL, index) : NULL;
        if (!d || !d->text.n)
            call_take(p, it.value, index);
    }
    if (json_type(json_get(delta, "function_call")) == JSON_OBJECT) { /* the shape before tool_calls */
        struct buf b;
        buf_init(&b, tmp, 2 * json_raw(delta).n + 64);
        buf_printf(&b, "{\"function\":%.*s}", STR_FMT(json_raw(json_get(delta, "function_call"))));
        struct json call;
        if (!json_parse(tmp, buf_view(&b), &call, NULL))
            call_take(p, call, 0);
    }
}

static void choice_take(struct llm_parser *p, struct json choice, bool whole)
{
    struct json delta = json_get(choice, "delta"), message = json_get(choice, "message");
    if (json_len(delta))
        delta_take(p, delta, false);
    if (json_type(message) == JSON_OBJECT)
        delta_take(p, message, true);
    enum llm_stop stop = wire_stop(stops, sizeof stops / sizeof stops[0], json_get(choice, "finish_reason"));
    if (stop != LLM_STOP_NONE && p->answer.stop != LLM_STOP_REFUSED)
        p->answer.stop = stop;
    usage_take(p, json_get(choice, "usage"), whole || p->answer.stop != LLM_STOP_NONE);
}

/* A chunk of a stream or a whole answer. Only the first choice counts: no other is asked for. */
static size_t object_take(struct llm_parser *p, struct json root, bool whole)
{
    size_t n = 0;
    wire_identity(p, root);
    for (struct json_iter it = json_iter(json_get(root, "choices")); json_next(&it); n++)
        if (json_int(json_get(it.value, "index"), 0) == 0)
            choice_take(p, it.value, whole);
    usage_take(p, json_get(root, "usage"), whole || n == 0 || p->answer.stop != LLM_STOP_NONE);
    return n;
}

static enum rc chat_event(struct llm_parser *p, struct str name, struct str data, struct err *err)
{
    data = str_trim(data);
    if (!data.n)
        return RC_OK;
    if (str_eqz(data, "[DONE]")) {
        p->answer.complete = !p->answer.failed;
        return RC_OK;
    }
    mem *tmp = p->scratch;
    struct json root;
    enum rc rc = wire_parse(tmp, p, data, &root, err);
    if (rc || !json_is(root))
        return rc;
    if (json_is(json_get(root, "error")))
        wire_failed(p, json_get(root, "error"));
    else if (str_eqz(name, "error"))
        wire_failed(p, root);
    object_take(p, root, false);
    return RC_OK;
}

/* Members that are read; a key with an escape may be one of them. */
static bool is_read(struct str key)
{
    static const char *const names[] = {"id", "model", "choices", "usage", "error"};
    bool read = memchr(key.p, '\\', key.n) != NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        read = read || str_eqz(key, names[i]);
    return read;
}

/* What an event of the only choice may differ in from the one before: its text, a call's arguments; and members that
 * nobody reads: when it was made, OpenAI's padding. Anything that says more than these goes to the parser each time. */
static void chat_vary(struct alike *a, struct json root)
{
    static const char *const pieces[] = {"content", "reasoning_content", "reasoning"};
    struct json choices = json_get(root, "choices"), choice = json_at(choices, 0), delta = json_get(choice, "delta");
    struct json calls = json_get(delta, "tool_calls"), piece = {0};
    if (json_len(choices) != 1 || json_is(json_get(root, "usage")) || json_is(json_get(choice, "usage")) ||
        json_is(json_get(choice, "message")) || json_is(json_get(choice, "finish_reason")) ||
        json_is(json_get(delta, "refusal")) || json_is(json_get(delta, "function_call")) ||
        json_is(json_get(root, "error")) || json_len(calls) > 1)
        return;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) { /* one that is not empty: what has grown */
        struct json text = json_get(delta, pieces[i]);
        if (json_type(text) == JSON_STRING && !json_is(piece) && json_raw(text).n > 2)
            piece = text;
    }
    if (json_len(calls) == 1)
        piece = json_path(json_at(calls, 0), "function.arguments");
    alike_vary(a, piece, true);
    for (struct json_iter it = json_iter(root); json_next(&it);)
        if (!is_read(it.key_raw))
            alike_vary(a, it.value, false);
}

static enum rc chat_whole(struct llm_parser *p, struct json root, struct err *err)
{
    if (object_take(p, root, true) == 0)
        return wire_nonsense(err, json_raw(root), "The model server's answer has no choices");
    p->answer.complete = true;
    return RC_OK;
}

/* gpt-4o-mini makes 2,833 + 5,667 tokens for each of at most 8 tiles (OpenAI, "Images and vision"); all others make
 * less. */
#define IMAGE_TOKENS 49152
static const struct llm_wire chat_wire = {.event = chat_event,
                                          .vary = chat_vary,
                                          .whole = chat_whole,
                                          .cap = "max_tokens",
                                          .other_cap = "max_completion_tokens",
                                          .count = "n",
                                          .decode = chat_decode,
                                          .encode = chat_encode,
                                          .face = &chat_face,
                                          .asks_usage = true,
                                          .image_tokens = IMAGE_TOKENS};
static const struct llm_wire openai_wire = {.event = chat_event,
                                            .vary = chat_vary,
                                            .whole = chat_whole,
                                            .cap = "max_completion_tokens",
                                            .other_cap = "max_tokens",
                                            .count = "n",
                                            .decode = chat_decode,
                                            .encode = chat_encode,
                                            .face = &chat_face,
                                            .asks_usage = true,
                                            .image_tokens = IMAGE_TOKENS};
const struct llm_dialect llm_chat = {"chat", "chat", "/v1/chat/completions", chat_request, chat_headers, &chat_wire};
const struct llm_dialect llm_openai = {"openai",       "chat",       "/v1/chat/completions",
                                       openai_request, chat_headers, &openai_wire};
