/* Google's generateContent and streamGenerateContent (Gemini API and Vertex AI).
 *
 * Model and the wish to stream stand in the path. A stream has one whole response object an event and no end mark: the
 * event with a finish reason is the last that counts. Calls come whole. Usage is on every event, cumulative: the prompt
 * with cached tokens, thoughts beside the candidates. Without alt=sse the stream is one JSON array, which is read as a
 * document. Results name their function, not the call; calls of one name are answered in order. */
#include "llm/wire.h"

enum { THINKING_MOST = 24576 };

/* --- requests --- */

static enum rc media_write(struct writing *w, const struct llm_part *media, struct err *err)
{
    struct json_out *o = &w->o;
    const char *type = media->media ? media->media : "image/jpeg"; /* of an address without a type */
    bool known = str_starts(str_of(type), STR("image/")) || str_starts(str_of(type), STR("audio/")) ||
                 str_starts(str_of(type), STR("video/")) || str_eqz(str_of(type), "application/pdf");
    if (!known)
        return write_uncarried(w, mem_printf(w->tmp, "a part of type %s", type), err);
    jo_obj(o);
    jo_key(o, media->url ? "fileData" : "inlineData");
    jo_obj(o);
    jo_kz(o, "mimeType", type);
    if (media->url)
        jo_kz(o, "fileUri", media->url);
    else
        jo_ks(o, "data", media->data);
    jo_end_obj(o);
    jo_end_obj(o);
    return RC_OK;
}

/* The name of the function that a result answers. */
static const char *call_name(const struct llm_conversation *c, const struct llm_message *before, const char *id)
{
    const char *name = NULL;
    for (const struct llm_message *m = c->first; m != before; m = m->next)
        for (const struct llm_part *part = m->first; part; part = part->next)
            if (part->kind == LLM_TOOL_CALL && part->id && id && strcmp(part->id, id) == 0)
                name = part->name;
    return name;
}

static bool is_object(mem *tmp, struct str text)
{
    struct json root;
    return text.n && text.p[0] == '{' && !json_parse(tmp, text, &root, NULL) && json_type(root) == JSON_OBJECT;
}

static enum rc result_write(struct writing *w, const struct llm_message *m, const struct llm_part *part,
                            struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json_out *o = &w->o;
    const char *name = call_name(w->c, m, part->id);
    if (!name)
        return err_set(err, RC_INVALID, "the tool result %s of the model request answers no call before it", part->id);
    jo_obj(o);
    jo_key(o, "functionResponse");
    jo_obj(o);
    jo_kz(o, "name", wire_tool_name(tmp, name));
    if (!part->is_error && is_object(tmp, part->text)) {
        jo_kraw(o, "response", part->text);
    } else {
        jo_key(o, "response");
        jo_obj(o);
        jo_ks(o, part->is_error ? "error" : "output", part->text);
        jo_end_obj(o);
    }
    jo_end_obj(o);
    jo_end_obj(o);
    return RC_OK;
}

/* The seal of a call: Gemini's own, or the one that its compatible endpoint put into a chat call. */
static struct str call_seal(mem *ctx, const struct llm_part *call)
{
    struct json root;
    if (!call->opaque.n)
        return STR("");
    if (call->origin && strcmp(call->origin, "gemini") == 0)
        return call->opaque;
    if (call->origin && strcmp(call->origin, "chat") == 0 && !json_parse(ctx, call->opaque, &root, NULL))
        return json_str(ctx, json_path(root, "google.thought_signature"));
    return STR("");
}

/* Models from 3 on refuse a turn whose first call has no signature. */
static bool needs_seal(const char *model)
{
    return strstr(model, "gemini-") && !strstr(model, "gemini-1") && !strstr(model, "gemini-2");
}

static void call_write(struct writing *w, const struct llm_part *call, bool first)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json_out *o = &w->o;
    struct str seal = call_seal(tmp, call);
    if (!seal.n && first && needs_seal(w->model))
        seal = STR(GEMINI_NO_SEAL);
    jo_obj(o);
    jo_key(o, "functionCall");
    jo_obj(o);
    jo_kz(o, "name", wire_tool_name(tmp, call->name));
    jo_kraw(o, "args", wire_arguments(tmp, call));
    jo_end_obj(o);
    if (seal.n)
        jo_ks(o, "thoughtSignature", seal);
    jo_end_obj(o);
}

static void text_write(struct writing *w, const struct llm_part *part)
{
    struct json_out *o = &w->o;
    bool own = part->opaque.n && part->origin && strcmp(part->origin, "gemini") == 0;
    jo_obj(o);
    jo_ks(o, "text", part->text);
    if (part->kind == LLM_REASONING)
        jo_kb(o, "thought", true);
    if (own)
        jo_ks(o, "thoughtSignature", part->opaque);
    jo_end_obj(o);
}

static enum rc part_write(struct writing *w, const struct llm_message *m, const struct llm_part *part, bool *called,
                          struct err *err)
{
    switch (part->kind) {
    case LLM_TEXT:
        if (part->text.n)
            text_write(w, part);
        return RC_OK;
    case LLM_REASONING:
        if (part->opaque.n && wire_origin_is(part, w->d))
            text_write(w, part);
        return RC_OK;
    case LLM_TOOL_CALL:
        call_write(w, part, !*called);
        *called = true;
        return RC_OK;
    case LLM_TOOL_RESULT:
        READ_CHECK(result_write(w, m, part, err));
        for (const struct llm_part *media = part->inner; media; media = media->next)
            READ_CHECK(media_write(w, media, err));
        return RC_OK;
    case LLM_MEDIA:
        return media_write(w, part, err);
    }
    return RC_OK;
}

static enum rc content_write(struct writing *w, const struct llm_message *m, struct err *err)
{
    struct json_out *o = &w->o;
    bool called = false;
    struct buf *b = o->b;
    if (m->role == LLM_SYSTEM)
        write_drop(w, "role of a system message amid the conversation");
    jo_obj(o);
    jo_kz(o, "role", m->role == LLM_ASSISTANT ? "model" : "user");
    jo_key(o, "parts");
    jo_arr(o);
    size_t before = b->n;
    for (const struct llm_part *part = m->first; part; part = part->next)
        READ_CHECK(part_write(w, m, part, &called, err));
    if (b->n == before) /* an empty list is refused */
        jo_raw(o, STR("{\"text\":\"(nothing)\"}"));
    jo_end_arr(o);
    jo_end_obj(o);
    return RC_OK;
}

static void tools_write(struct writing *w)
{
    static const char *const modes[] = {[LLM_CHOICE_UNSET] = "AUTO",
                                        [LLM_CHOICE_AUTO] = "AUTO",
                                        [LLM_CHOICE_NONE] = "NONE",
                                        [LLM_CHOICE_REQUIRED] = "ANY",
                                        [LLM_CHOICE_NAMED] = "ANY"};
    struct json_out *o = &w->o;
    const struct llm_request *r = w->r;
    if (!w->c->tool_count)
        return;
    jo_key(o, "tools");
    jo_arr(o);
    jo_obj(o);
    jo_key(o, "functionDeclarations");
    jo_arr(o);
    for (size_t i = 0; i < w->c->tool_count; i++) {
        const struct llm_tool *t = &w->c->tools[i];
        jo_obj(o);
        jo_kz(o, "name", t->name);
        jo_kz(o, "description", t->description ? t->description : "");
        jo_kraw(o, "parametersJsonSchema", str_of(t->schema));
        if (t->strict)
            write_drop(w, "tools.strict");
        jo_end_obj(o);
    }
    jo_end_arr(o);
    jo_end_obj(o);
    jo_end_arr(o);
    if (r->parallel == LLM_FLAG_OFF)
        write_drop(w, "parallel_tool_calls");
    if (r->choice == LLM_CHOICE_UNSET)
        return;
    jo_key(o, "toolConfig");
    jo_obj(o);
    jo_key(o, "functionCallingConfig");
    jo_obj(o);
    jo_kz(o, "mode", modes[r->choice]);
    if (r->choice == LLM_CHOICE_NAMED) {
        jo_key(o, "allowedFunctionNames");
        jo_arr(o);
        jo_z(o, r->choice_name);
        jo_end_arr(o);
    }
    jo_end_obj(o);
    jo_end_obj(o);
}

/* Google's words for an effort. The first model of 3 knows two only. */
static const char *level(const char *effort, const char *model)
{
    bool two = strstr(model, "gemini-3-pro") != NULL;
    if (!effort || strcmp(effort, "none") == 0 || strcmp(effort, "minimal") == 0 || strcmp(effort, "low") == 0)
        return "low";
    return strcmp(effort, "medium") == 0 && !two ? "medium" : "high";
}

/* Models before 3 take a budget (of at most 24,576 in all of them; the larger ones always think), later ones a level
 * (Google, "Thinking"). */
static void thinking_write(struct writing *w)
{
    struct json_out *o = &w->o;
    const struct llm_request *r = w->r;
    int64_t budget = write_budget(r);
    if (budget == 0 && strstr(w->model, "pro")) {
        write_drop(w, "thinking");
        budget = LLM_BUDGET_UNSET;
    }
    if (budget == LLM_BUDGET_UNSET && !r->show_thoughts)
        return;
    jo_key(o, "thinkingConfig");
    jo_obj(o);
    if (r->show_thoughts)
        jo_kb(o, "includeThoughts", true);
    if (budget != LLM_BUDGET_UNSET && !needs_seal(w->model))
        jo_ki(o, "thinkingBudget", budget < THINKING_MOST ? budget : THINKING_MOST);
    else if (budget >= 0)
        jo_kz(o, "thinkingLevel", level(write_effort(r), w->model));
    jo_end_obj(o);
}

static void generation_write(struct writing *w)
{
    struct json_out *o = &w->o;
    const struct llm_request *r = w->r;
    jo_key(o, "generationConfig");
    jo_obj(o);
    jo_ki(o, "maxOutputTokens", w->max_output);
    write_number(w, "temperature", r->temperature);
    write_number(w, "topP", r->top_p);
    write_number(w, "topK", r->top_k);
    write_number(w, "seed", r->seed);
    write_number(w, "frequencyPenalty", r->frequency_penalty);
    write_number(w, "presencePenalty", r->presence_penalty);
    if (r->min_p.n)
        write_drop(w, "min_p");
    if (r->user)
        write_drop(w, "user");
    if (r->stop) {
        jo_key(o, "stopSequences");
        jo_arr(o);
        for (const char *const *s = r->stop; *s; s++)
            jo_z(o, *s);
        jo_end_arr(o);
    }
    if (r->format != LLM_FORMAT_TEXT)
        jo_kz(o, "responseMimeType", "application/json");
    if (r->format == LLM_FORMAT_SCHEMA)
        jo_kraw(o, "responseJsonSchema", str_of(r->format_schema));
    thinking_write(w);
    jo_end_obj(o);
}

static enum rc gemini_encode(struct llm_request *r, const struct llm_dialect *d, const char *model, int64_t max_output,
                             bool stream, struct buf *b, struct err *err)
{
    struct writing w;
    write_begin(&w, r, d, model, max_output, stream, b);
    jo_obj(&w.o);
    generation_write(&w);
    tools_write(&w);
    if (w.c->system && w.c->system[0]) {
        jo_key(&w.o, "systemInstruction");
        jo_obj(&w.o);
        jo_key(&w.o, "parts");
        jo_arr(&w.o);
        jo_obj(&w.o);
        jo_kz(&w.o, "text", w.c->system);
        jo_end_obj(&w.o);
        jo_end_arr(&w.o);
        jo_end_obj(&w.o);
    }
    jo_key(&w.o, "contents");
    jo_arr(&w.o);
    for (const struct llm_message *m = w.c->first; m; m = m->next)
        READ_CHECK(content_write(&w, m, err));
    jo_end_arr(&w.o);
    jo_end_obj(&w.o);
    return RC_OK;
}

static void gemini_request(const struct llm_conversation *c, const char *model, int64_t max_output, struct buf *b)
{
    write_conversation(&llm_gemini, c, model, max_output, b);
}

static const char *const *gemini_headers(mem *ctx, const char *key)
{
    const char **lines = mem_array(ctx, const char *, 2);
    lines[0] = wire_key_line(lines, "x-goog-api-key: ", key);
    return lines;
}

/* --- answers --- */

static const struct wire_stop stops[] = {
    {"STOP", LLM_STOP_END},
    {"MAX_TOKENS", LLM_STOP_LENGTH},
    {"SAFETY", LLM_STOP_REFUSED},
    {"RECITATION", LLM_STOP_REFUSED},
    {"LANGUAGE", LLM_STOP_REFUSED},
    {"BLOCKLIST", LLM_STOP_REFUSED},
    {"PROHIBITED_CONTENT", LLM_STOP_REFUSED},
    {"SPII", LLM_STOP_REFUSED},
    {"IMAGE_SAFETY", LLM_STOP_REFUSED},
};

static void usage_take(struct llm_parser *p, struct json usage)
{
    if (json_type(usage) != JSON_OBJECT)
        return;
    struct counts *n = &p->counts;
    count_raise(&n->prompt, json_get(usage, "promptTokenCount"));
    count_raise(&n->beside, json_get(usage, "toolUsePromptTokenCount"));
    count_raise(&n->cached, json_get(usage, "cachedContentTokenCount"));
    count_raise(&n->output, json_get(usage, "candidatesTokenCount"));
    count_raise(&n->reasoning, json_get(usage, "thoughtsTokenCount"));
    count_raise(&n->total, json_get(usage, "totalTokenCount"));
    int64_t prompt = (n->cached > n->prompt ? n->cached : n->prompt) + n->beside, output = n->output + n->reasoning;
    if (prompt + output == 0)
        return;
    if (n->total > prompt + output) /* counts of a kind that is not known here are billed as output */
        output = n->total - prompt;
    p->answer.usage = (struct usage){
        .input = prompt - n->cached, .cache_read = n->cached, .output = output, .reasoning = n->reasoning};
    if (p->finished && json_type(json_get(usage, "promptTokenCount")) == JSON_NUMBER)
        p->answer.usage_known = true;
}

static void seal_take(struct draft *d, struct json seal)
{
    CLEANUP_MEM mem *tmp = mem_root();
    if (d && !d->seal.n)
        (void)!buf_str(&d->seal, json_str(tmp, seal));
}

static void part_take(struct llm_parser *p, struct json part)
{
    mem *tmp = p->scratch;
    struct json text = json_get(part, "text"), call = json_get(part, "functionCall");
    struct json seal = json_get(part, "thoughtSignature");
    if (json_type(call) == JSON_OBJECT) {
        struct draft *d = draft_add(p, LLM_TOOL_CALL, -1);
        if (!d)
            return;
        draft_name(p, &d->part.id, json_get(call, "id"));
        draft_name(p, &d->part.name, json_get(call, "name"));
        seal_take(d, seal);
        struct json args = json_get(call, "args");
        draft_grow(p, d, json_is(args) ? json_raw(args) : STR("{}"));
    } else if (json_type(text) == JSON_STRING) {
        bool thought = json_bool(json_get(part, "thought"), false);
        draft_append(p, thought ? LLM_REASONING : LLM_TEXT, json_str(tmp, text));
        struct draft *last = (struct draft *)p->message.last;
        if (last && last->part.kind != LLM_TOOL_CALL)
            seal_take(last, seal);
    }
}

static enum rc object_take(struct llm_parser *p, struct json root)
{
    draft_name(p, &p->answer.model, json_get(root, "modelVersion"));
    draft_name(p, &p->answer.request_id, json_get(root, "responseId"));
    for (struct json_iter it = json_iter(json_get(root, "candidates")); json_next(&it);) {
        if (json_int(json_get(it.value, "index"), 0) != 0)
            continue; /* no other was asked for */
        for (struct json_iter part = json_iter(json_path(it.value, "content.parts")); json_next(&part);)
            part_take(p, part.value);
        enum llm_stop stop = wire_stop(stops, sizeof stops / sizeof stops[0], json_get(it.value, "finishReason"));
        if (stop == LLM_STOP_NONE)
            continue;
        p->answer.stop = stop;
        p->finished = true;
    }
    if (json_is(json_path(root, "promptFeedback.blockReason"))) {
        p->answer.stop = LLM_STOP_REFUSED;
        p->finished = true;
    }
    usage_take(p, json_get(root, "usageMetadata"));
    return RC_OK;
}

static enum rc gemini_event(struct llm_parser *p, struct str name, struct str data, struct err *err)
{
    mem *tmp = p->scratch;
    struct json root;
    data = str_trim(data);
    (void)name;
    if (!data.n || str_eqz(data, "[DONE]"))
        return RC_OK;
    READ_CHECK(wire_parse(tmp, p, data, &root, err));
    if (!json_is(root))
        return RC_OK;
    if (json_is(json_get(root, "error")))
        wire_failed(p, json_get(root, "error"));
    return object_take(p, root);
}

/* One response, or the elements of a stream that is an array. */
static enum rc gemini_whole(struct llm_parser *p, struct json root, struct err *err)
{
    if (!json_is(json_get(root, "candidates")) && !json_is(json_get(root, "promptFeedback")) &&
        !json_is(json_get(root, "usageMetadata")))
        return wire_nonsense(err, json_raw(root), "The model server's answer has no candidates");
    return object_take(p, root);
}

/* An image is cut into tiles of 258 tokens; at most 3072 x 3072 points of it are seen, which is 16 tiles, and twice
 * that with margin (Google, "Token counting", "Media resolution"). */
static const struct llm_wire gemini_wire = {.event = gemini_event,
                                            .whole = gemini_whole,
                                            .ends_by_closing = true,
                                            .cap = "maxOutputTokens",
                                            .count = "candidateCount",
                                            .group = "generationConfig",
                                            .decode = gemini_decode,
                                            .encode = gemini_encode,
                                            .face = &gemini_face,
                                            .image_tokens = 8192};
const struct llm_dialect llm_gemini = {"gemini",       "gemini",       "/v1beta/models",
                                       gemini_request, gemini_headers, &gemini_wire};
