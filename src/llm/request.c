/* What reading and writing requests share over all dialects. */
#include "llm/request.h"
#include "llm/wire.h"

enum { DROPPED_MOST = 4096 };

/* --- reading --- */

static void list_add(struct buf *list, const char *what)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *clean = str_utf8_clean(tmp, str_sub(str_of(what), 0, 64));
    struct str rest = buf_view(list), one;
    while (str_next(&rest, ',', &one))
        if (str_eqz(str_trim(one), clean))
            return;
    if (list->n + strlen(clean) + 2 > DROPPED_MOST)
        return;
    if (list->n)
        buf_z(list, ", ");
    buf_z(list, clean);
}

void read_drop(struct reading *rd, const char *what)
{
    list_add(&rd->dropped, what);
}

enum rc read_refuse(struct err *err, const char *field, const char *why)
{
    return err_set(err, RC_INVALID, "\"%s\" of the model request %s", field, why);
}

enum rc read_uncarried(struct err *err, const char *field)
{
    read_refuse(err, field, "cannot be carried to another provider's wire format");
    err_hint(err, "leave it out, or ask for a model whose provider speaks this wire format");
    return RC_INVALID;
}

static bool is_set(struct json v)
{
    enum json_type type = json_type(v);
    if (type == JSON_ARRAY || type == JSON_OBJECT)
        return json_len(v) > 0;
    return json_is(v) && type != JSON_FALSE && !(type == JSON_NUMBER && json_int(v, 1) == 0);
}

enum rc read_fields(struct reading *rd, struct json object, const struct field *table, size_t n, struct err *err)
{
    if (json_type(object) != JSON_OBJECT)
        return RC_OK;
    for (struct json_iter it = json_iter(object); json_next(&it);) {
        size_t i = 0;
        while (i < n && !wire_key(&it, table[i].name))
            i++;
        if (i < n && table[i].use == FIELD_REFUSE && is_set(it.value))
            return read_uncarried(err, table[i].name);
        if ((i == n || table[i].use == FIELD_DROP) && is_set(it.value))
            read_drop(rd, i < n ? table[i].name : str_dup(rd->tmp, json_iter_key(rd->tmp, &it)));
    }
    return RC_OK;
}

enum rc read_number(struct reading *rd, struct json v, const char *name, struct str *slot, struct err *err)
{
    if (!json_is(v))
        return RC_OK;
    if (json_type(v) != JSON_NUMBER)
        return read_refuse(err, name, "must be a number");
    *slot = str_of(str_dup(rd->r->ctx, json_raw(v)));
    return RC_OK;
}

enum rc read_cap(struct json v, const char *name, int64_t *slot, struct err *err)
{
    if (!json_is(v))
        return RC_OK;
    if (json_int(v, 0) < 1)
        return read_refuse(err, name, "must be a whole number from 1 up");
    *slot = json_int(v, 0);
    return RC_OK;
}

const char *read_z(struct reading *rd, struct json v)
{
    if (json_type(v) != JSON_STRING)
        return NULL;
    struct str s = json_str(rd->r->ctx, v);
    return s.n && memchr(s.p, 0, s.n) ? str_utf8_clean(rd->r->ctx, s) : str_dup(rd->r->ctx, s);
}

enum rc read_stop(struct reading *rd, struct json v, const char *name, struct err *err)
{
    size_t n = json_type(v) == JSON_ARRAY ? json_len(v) : json_is(v) ? 1 : 0, i = 0;
    if (!n)
        return RC_OK;
    const char **list = mem_array(rd->r->ctx, const char *, n + 1);
    for (struct json_iter it = json_iter(v); json_type(v) == JSON_ARRAY && json_next(&it);)
        if (!(list[i++] = read_z(rd, it.value)))
            return read_refuse(err, name, "must be a text or a list of texts");
    if (json_type(v) != JSON_ARRAY && !(list[0] = read_z(rd, v)))
        return read_refuse(err, name, "must be a text or a list of texts");
    rd->r->stop = list;
    return RC_OK;
}

enum rc read_openai_choice(struct reading *rd, struct json choice, struct json name, struct err *err)
{
    struct llm_request *r = rd->r;
    if (!json_is(choice))
        return RC_OK;
    if (json_eqz(choice, "auto"))
        r->choice = LLM_CHOICE_AUTO;
    else if (json_eqz(choice, "none"))
        r->choice = LLM_CHOICE_NONE;
    else if (json_eqz(choice, "required"))
        r->choice = LLM_CHOICE_REQUIRED;
    else if (json_eqz(json_get(choice, "type"), "function")) {
        r->choice = LLM_CHOICE_NAMED;
        r->choice_name = read_z(rd, name);
    } else {
        return read_uncarried(err, "tool_choice");
    }
    return RC_OK;
}

enum rc read_openai_format(struct reading *rd, struct json format, struct json of_schema, const char *field,
                           struct err *err)
{
    struct llm_request *r = rd->r;
    struct json type = json_get(format, "type"), schema = json_get(of_schema, "schema");
    if (!json_is(format) || json_eqz(type, "text"))
        return RC_OK;
    if (json_eqz(type, "json_object")) {
        r->format = LLM_FORMAT_JSON;
        return RC_OK;
    }
    if (!json_eqz(type, "json_schema") || json_type(schema) != JSON_OBJECT)
        return read_refuse(err, field, "must be text, json_object, or json_schema with a schema");
    r->format = LLM_FORMAT_SCHEMA;
    r->format_name = read_z(rd, json_get(of_schema, "name"));
    r->format_schema = str_dup(r->ctx, json_raw(schema));
    r->format_strict = json_bool(json_get(of_schema, "strict"), false);
    return RC_OK;
}

void read_system_add(struct reading *rd, struct str text)
{
    struct llm_conversation *c = rd->r->conversation;
    if (!text.n)
        return;
    const char *clean = memchr(text.p, 0, text.n) ? str_utf8_clean(rd->tmp, text) : str_dup(rd->tmp, text);
    c->system = c->system ? mem_printf(c->ctx, "%s\n\n%s", c->system, clean) : mem_str(c->ctx, clean);
}

struct llm_message *read_message(struct reading *rd, enum llm_role role, bool join)
{
    struct llm_conversation *c = rd->r->conversation;
    return join && c->last && c->last->role == role ? c->last : llm_add_message(c, role);
}

struct llm_part *read_part(struct reading *rd, struct llm_message *m, enum llm_part_kind kind, struct json text)
{
    return llm_add_part(rd->r->conversation, m, kind, json_str(rd->tmp, text));
}

struct llm_part *read_media(struct reading *rd, struct llm_message *m, struct llm_part *result)
{
    struct llm_conversation *c = rd->r->conversation;
    if (!result)
        return llm_add_part(c, m, LLM_MEDIA, STR(""));
    struct llm_part *part = mem_new(c->ctx, struct llm_part), **at = &result->inner;
    *part =
        (struct llm_part){.kind = LLM_MEDIA, .text = STR(""), .arguments = STR(""), .opaque = STR(""), .data = STR("")};
    while (*at)
        at = &(*at)->next;
    *at = part;
    return part;
}

bool read_url(struct reading *rd, struct json v, struct llm_part *media)
{
    struct str url = json_str(rd->r->ctx, v);
    if (!str_starts(url, STR("data:"))) {
        media->url = read_z(rd, v);
        return str_starts(url, STR("http://")) || str_starts(url, STR("https://"));
    }
    long comma = str_find(str_sub(url, 0, 200), STR(";base64,"));
    if (comma < 6)
        return false;
    media->media = str_dup(rd->r->ctx, str_sub(url, 5, (size_t)comma - 5));
    media->data = str_sub(url, (size_t)comma + 8, url.n);
    return media->data.n > 0 && strlen(media->media) == (size_t)comma - 5;
}

enum rc read_tool(struct reading *rd, struct json name, struct json description, struct json schema, bool strict,
                  struct llm_tool **ret, struct err *err)
{
    struct llm_conversation *c = rd->r->conversation;
    const char *z = read_z(rd, name);
    if (!z || !z[0])
        return read_refuse(err, "tools", "has a tool without a name");
    if (json_is(schema) && json_type(schema) != JSON_OBJECT)
        return read_refuse(err, "tools", "has a tool whose parameters are no JSON Schema");
    struct llm_tool *tools = mem_grow(c->ctx, (void *)c->tools, (c->tool_count + 1) * sizeof *tools);
    struct llm_tool *t = &tools[c->tool_count++];
    *t = (struct llm_tool){.name = z, .description = read_z(rd, description), .strict = strict};
    t->schema = json_is(schema) ? str_dup(c->ctx, json_raw(schema)) : "{\"type\":\"object\",\"properties\":{}}";
    c->tools = tools;
    if (ret)
        *ret = t;
    return RC_OK;
}

/* Seals of calls that came in a block of their own go back to their calls. */
static void seals_fold(struct llm_message *m)
{
    struct llm_part **link = &m->first, *last = NULL;
    while (*link) {
        struct llm_part *part = *link;
        bool seal = part->kind == LLM_REASONING && part->name && strcmp(part->name, "call") == 0;
        for (struct llm_part *call = m->first; seal && call; call = call->next)
            if (call->kind == LLM_TOOL_CALL && call->id && part->id && strcmp(call->id, part->id) == 0) {
                call->opaque = part->opaque;
                call->origin = part->origin;
            }
        if (seal) {
            *link = part->next;
        } else {
            last = part;
            link = &part->next;
        }
    }
    m->last = last;
}

/* What makes sense in no dialect. */
static enum rc conversation_check(const struct llm_request *r, struct err *err)
{
    bool any = false;
    for (const struct llm_message *m = r->conversation->first; m; m = m->next)
        for (const struct llm_part *part = m->first; part; part = part->next) {
            any = true;
            bool answers = m->role == LLM_ASSISTANT;
            if ((part->kind == LLM_TOOL_CALL && !answers) || (part->kind == LLM_TOOL_RESULT && answers))
                return err_set(err, RC_INVALID, "a tool %s of the model request stands in a message of the %s",
                               part->kind == LLM_TOOL_CALL ? "call" : "result", answers ? "model" : "user");
            if ((part->kind == LLM_TOOL_CALL || part->kind == LLM_TOOL_RESULT) && (!part->id || !part->id[0]))
                return err_set(err, RC_INVALID, "a tool %s of the model request has no id",
                               part->kind == LLM_TOOL_CALL ? "call" : "result");
            if (part->kind == LLM_TOOL_CALL && (!part->name || !part->name[0]))
                return err_set(err, RC_INVALID, "a tool call of the model request has no name");
        }
    if (!any)
        return err_set(err, RC_INVALID, "the model request has no messages");
    if (r->choice == LLM_CHOICE_NAMED && (!r->choice_name || !r->choice_name[0]))
        return err_set(err, RC_INVALID, "the tool choice of the model request names no tool");
    return RC_OK;
}

static struct llm_request *request_new(mem *ctx)
{
    struct llm_request *r = mem_new(ctx, struct llm_request);
    r->ctx = r;
    r->conversation = llm_conversation_new(r, NULL);
    r->parallel = LLM_FLAG_UNSET;
    r->thinking = LLM_BUDGET_UNSET;
    r->n = 1;
    r->dropped = r->dropped_reading = "";
    r->temperature = r->top_p = r->top_k = r->min_p = r->seed = r->frequency_penalty = r->presence_penalty = STR("");
    return r;
}

static enum rc decode(mem *ctx, const struct llm_dialect *in, const char *path_model, bool path_stream, struct str body,
                      struct llm_request **ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct wire_members m;
    READ_CHECK(wire_members_read(tmp, in->wire, body, &m, err));
    struct llm_request *r = request_new(ctx);
    struct reading rd = {.r = r, .in = in, .tmp = tmp};
    buf_init(&rd.dropped, tmp, DROPPED_MOST);
    bool by_path = in->wire->group != NULL;
    r->model = by_path ? mem_str(r, path_model) : read_z(&rd, m.model.v);
    r->stream = by_path ? path_stream : json_bool(m.stream.v, false);
    r->wants_usage = !in->wire->asks_usage || json_bool(json_get(m.options.v, "include_usage"), false);
    r->n = json_int(m.count.v, 1);
    int64_t cap = json_int(m.cap.v, 0), other = json_int(m.other_cap.v, 0);
    r->max_output = cap > other ? cap : other;
    enum rc rc = in->wire->decode(&rd, m.root, err);
    for (struct llm_message *message = r->conversation->first; message; message = message->next)
        seals_fold(message);
    rc = rc ? rc : conversation_check(r, err);
    r->dropped = r->dropped_reading = mem_str(r, rd.dropped.n ? rd.dropped.p : "");
    if (rc)
        mem_free(r);
    else
        *ret = r;
    return rc;
}

enum rc llm_request_decode(mem *ctx, const struct llm_dialect *in, const char *path_model, bool path_stream,
                           struct str body, struct llm_request **ret, struct err *err)
{
    struct llm_request *r;
    READ_CHECK(decode(ctx, in, path_model, path_stream, body, &r, err));
    if (!r->model || !r->model[0]) {
        mem_free(r);
        return err_set(err, RC_INVALID, "the model request names no model");
    }
    *ret = r;
    return RC_OK;
}

/* --- token counts --- */

enum rc llm_count_decode(mem *ctx, const struct llm_dialect *in, const char *path_model, struct str body,
                         struct llm_request **ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json root;
    if (in->wire->group && json_parse(tmp, body, &root, NULL) == RC_OK) {
        struct json inner = wire_get(root, "generateContentRequest"); /* a whole request instead of contents alone */
        if (json_type(inner) == JSON_OBJECT)
            body = json_raw(inner);
    }
    return decode(ctx, in, path_model, false, body, ret, err);
}

static int64_t parts_bytes(const struct llm_part *part, int64_t *media)
{
    int64_t n = 0;
    for (; part; part = part->next) {
        n += (int64_t)(part->text.n + part->arguments.n) + (int64_t)strlen(part->name ? part->name : "");
        *media += part->kind == LLM_MEDIA;
        n += parts_bytes(part->inner, media);
    }
    return n;
}

int64_t llm_count_estimate(const struct llm_request *r)
{
    const struct llm_conversation *c = r->conversation;
    int64_t bytes = (int64_t)str_of(c->system).n, messages = 0, media = 0;
    for (const struct llm_message *m = c->first; m; m = m->next, messages++)
        bytes += parts_bytes(m->first, &media);
    for (size_t i = 0; i < c->tool_count; i++)
        bytes += (int64_t)(strlen(c->tools[i].name) + str_of(c->tools[i].description).n + strlen(c->tools[i].schema));
    return (bytes + 2) / 3 + 8 * messages + 1600 * media + 20 * (int64_t)c->tool_count;
}

void llm_count_write(const struct llm_dialect *client, int64_t tokens, struct buf *ret)
{
    struct json_out o;
    json_out_init(&o, ret);
    jo_obj(&o);
    jo_ki(&o, client->wire->group ? "totalTokens" : "input_tokens", tokens);
    jo_end_obj(&o);
}

/* --- writing --- */

void write_begin(struct writing *w, struct llm_request *r, const struct llm_dialect *d, const char *model,
                 int64_t max_output, bool stream, struct buf *b)
{
    *w = (struct writing){.r = r,
                          .c = r->conversation,
                          .d = d,
                          .model = model,
                          .max_output = max_output,
                          .stream = stream,
                          .tmp = r->ctx};
    json_out_init(&w->o, b);
}

void write_drop(struct writing *w, const char *what)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf list;
    buf_init(&list, tmp, DROPPED_MOST);
    buf_z(&list, w->r->dropped);
    list_add(&list, what);
    w->r->dropped = mem_str(w->r->ctx, list.p);
}

enum rc write_uncarried(struct writing *w, const char *what, struct err *err)
{
    err_set(err, RC_INVALID, "the model request has %s, which the wire format \"%s\" of %s cannot carry", what,
            w->d->name, w->model);
    err_hint(err, "leave it out, or ask for another model");
    return RC_INVALID;
}

void write_number(struct writing *w, const char *name, struct str number)
{
    if (number.n)
        jo_kraw(&w->o, name, number);
}

void write_drop_numbers(struct writing *w, bool top_k, bool seed, bool penalties)
{
    const struct llm_request *r = w->r;
    if (top_k && r->top_k.n)
        write_drop(w, "top_k");
    if (top_k && r->min_p.n)
        write_drop(w, "min_p");
    if (seed && r->seed.n)
        write_drop(w, "seed");
    if (penalties && r->frequency_penalty.n)
        write_drop(w, "frequency_penalty");
    if (penalties && r->presence_penalty.n)
        write_drop(w, "presence_penalty");
}

/* Budgets that Google's reference gives for the efforts of its compatible endpoint; the largest is Anthropic's for
 * long work. */
static const struct {
    const char *effort;
    int64_t budget;
} efforts[] = {{"none", 0},     {"minimal", 1024}, {"low", 1024}, {"medium", 8192},
               {"high", 24576}, {"xhigh", 32000},  {"max", 32000}};

const char *write_effort(const struct llm_request *r)
{
    if (r->effort || r->thinking <= 0)
        return r->effort;
    return r->thinking <= 2048 ? "low" : r->thinking <= 12288 ? "medium" : "high";
}

/* OpenAI's models that reason: o1, o3, o4-mini, gpt-5, gpt-oss and their kin. */
static bool reasons(const char *model)
{
    const char *slash = strrchr(model, '/'), *name = slash ? slash + 1 : model;
    return (name[0] == 'o' && name[1] >= '1' && name[1] <= '9') || strstr(name, "gpt-5") || strstr(name, "gpt-oss");
}

bool write_openai_effort(struct writing *w, const char **ret_effort)
{
    const struct llm_request *r = w->r;
    *ret_effort = write_effort(r);
    if (r->effort || r->thinking == LLM_BUDGET_UNSET)
        return r->effort != NULL;
    if (r->thinking != 0 && reasons(w->model))
        return true;
    write_drop(w, "thinking");
    return false;
}

int64_t write_budget(const struct llm_request *r)
{
    if (r->thinking != LLM_BUDGET_UNSET || !r->effort)
        return r->thinking;
    for (size_t i = 0; i < sizeof efforts / sizeof efforts[0]; i++)
        if (strcmp(efforts[i].effort, r->effort) == 0)
            return efforts[i].budget;
    return LLM_BUDGET_UNSET;
}

enum rc llm_request_encode(struct llm_request *r, const struct llm_dialect *out, const char *model, int64_t max_output,
                           bool stream, struct buf *ret_body, struct err *err)
{
    BUG_ON(max_output < 1);
    r->dropped = r->dropped_reading;
    if (r->n > 1)
        return read_uncarried(err, "n");
    READ_CHECK(out->wire->encode(r, out, model, max_output, stream, ret_body, err));
    if (ret_body->overflow)
        return err_set(err, RC_LIMIT, "the model request is larger than %zu bytes", ret_body->max);
    return RC_OK;
}

void write_conversation(const struct llm_dialect *d, const struct llm_conversation *c, const char *model,
                        int64_t max_output, struct buf *b)
{
    struct llm_request *r = request_new(NULL);
    struct err err;
    r->conversation = (struct llm_conversation *)c;
    r->wants_usage = true;
    /* What only a client can ask for is not set: there is nothing to refuse, but for media that the agent never has. */
    if (d->wire->encode(r, d, model, max_output, true, b, &err))
        b->overflow = true;
    mem_free(r);
}

const char *wire_call_id(mem *ctx, const char *id)
{
    char *clean = mem_str(ctx, id ? id : "");
    for (char *c = clean; *c; c++)
        if (!((*c | 0x20) >= 'a' && (*c | 0x20) <= 'z') && !(*c >= '0' && *c <= '9') && *c != '_' && *c != '-')
            *c = '_';
    return clean[0] ? clean : "call";
}

bool wire_is_image(const struct llm_part *media)
{
    return !media->media || str_starts(str_of(media->media), STR("image/"));
}

char *wire_data_url(mem *ctx, const struct llm_part *media)
{
    if (media->url)
        return mem_str(ctx, media->url);
    char *head = mem_printf(ctx, "data:%s;base64,", media->media);
    size_t n = strlen(head);
    char *z = mem_grow(ctx, head, n + media->data.n + 1);
    memcpy(z + n, media->data.p, media->data.n);
    z[n + media->data.n] = '\0';
    return z;
}
