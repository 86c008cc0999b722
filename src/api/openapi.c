/* One walk over the register. Media types: JSON, unless a row's `gives` is or begins with a media type (it has a '/').
 */
#include "api/openapi.h"
#include "api/route_rows.h"
#include "llm/endpoint.h"

static const struct schema {
    const char *name, *description, *members;
} schemas[] = {
#define SCHEMA(name, description, members) {#name, description, members},
#define PARAMETER(name, type, description)
#include "api/schemas.def"
#undef SCHEMA
#undef PARAMETER
};
static const struct parameter {
    const char *name, *type, *description;
} parameters[] = {
#define SCHEMA(name, description, members)
#define PARAMETER(name, type, description) {#name, type, description},
#include "api/schemas.def"
#undef SCHEMA
#undef PARAMETER
};

/* What clients of models ask, in the dialects' own shapes. */
static const struct {
    const char *method, *path, *id, *summary;
} model_paths[] = {
    {"POST", "/v1/chat/completions", "openai_chat", "model request as OpenAI Chat Completions"},
    {"POST", "/v1/responses", "openai_responses", "model request as OpenAI Responses"},
    {"POST", "/v1/embeddings", "openai_embeddings", "embeddings as OpenAI"},
    {"GET", "/v1/models", "models", "models as OpenAI, or as Anthropic with the header anthropic-version"},
    {"POST", "/v1/messages", "anthropic_messages", "model request as Anthropic Messages"},
    {"POST", "/v1/messages/count_tokens", "anthropic_count_tokens", "count of tokens as Anthropic"},
    {"GET", "/v1beta/models", "gemini_models", "models as Gemini"},
    {"POST", "/v1beta/models/{model}:generateContent", "gemini_generate", "model request as Gemini"},
    {"POST", "/v1beta/models/{model}:streamGenerateContent", "gemini_stream", "streamed model request as Gemini"},
    {"POST", "/v1beta/models/{model}:countTokens", "gemini_count_tokens", "count of tokens as Gemini"},
};

/* ---- types ---- */

static void kind_write(struct json_out *o, const char *kind, bool nullable)
{
    jo_key(o, "type");
    if (nullable) {
        jo_arr(o);
        jo_z(o, kind);
        jo_z(o, "null");
        jo_end_arr(o);
    } else {
        jo_z(o, kind);
    }
}

static bool type_plain(struct json_out *o, struct str type, bool nullable)
{
    static const struct {
        const char *name, *type, *format;
    } plain[] = {{"string", "string", NULL},
                 {"int", "integer", "int64"},
                 {"bool", "boolean", NULL},
                 {"time", "string", "date-time"},
                 {"money", "string", "decimal"}};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (!str_eqz(type, plain[i].name))
            continue;
        kind_write(o, plain[i].type, nullable);
        if (plain[i].format)
            jo_kz(o, "format", plain[i].format);
        return true;
    }
    return str_eqz(type, "json"); /* an empty schema takes everything */
}

/* One of a few words. */
static void choice_write(struct json_out *o, struct str words, bool nullable)
{
    struct str word;
    jo_key(o, "enum");
    jo_arr(o);
    while (str_next(&words, ',', &word))
        jo_str(o, word);
    if (nullable)
        jo_null(o);
    jo_end_arr(o);
}

static void reference(struct json_out *o, struct str name)
{
    char text[128];
    snprintf(text, sizeof text, "#/components/schemas/%.*s", STR_FMT(name));
    jo_kz(o, "$ref", text);
}

/* Members of a schema object that is open. */
static void type_write(struct json_out *o, struct str type, bool nullable)
{
    struct str inner = str_sub(type, 1, type.n > 2 ? type.n - 2 : 0);
    if (type_plain(o, type, nullable))
        return;
    if (type.n && type.p[0] == '[') {
        kind_write(o, "array", nullable);
        jo_key(o, "items");
        jo_obj(o);
        type_write(o, inner, false);
        jo_end_obj(o);
    } else if (type.n && type.p[0] == '(') {
        kind_write(o, "string", nullable);
        choice_write(o, inner, nullable);
    } else if (type.n && type.p[0] == '{') {
        kind_write(o, "object", nullable);
        jo_key(o, "additionalProperties");
        jo_obj(o);
        type_write(o, inner, false);
        jo_end_obj(o);
    } else if (nullable) {
        jo_key(o, "anyOf");
        jo_arr(o);
        jo_obj(o);
        reference(o, type);
        jo_end_obj(o);
        jo_obj(o);
        jo_kz(o, "type", "null");
        jo_end_obj(o);
        jo_end_arr(o);
    } else {
        reference(o, type);
    }
}

struct member {
    struct str name, type;
    bool optional, nullable; /* what may be missing may be null too */
};

static bool member_next(struct str *rest, struct member *ret)
{
    struct str word;
    do {
        if (!str_next(rest, ' ', &word))
            return false;
    } while (!word.n);
    ret->optional = word.p[word.n - 1] == '?';
    word.n -= ret->optional;
    ret->nullable = ret->optional || str_ends(word, STR("|null"));
    if (ret->nullable && !ret->optional)
        word.n -= strlen("|null");
    ret->type = word;
    str_next(&ret->type, ':', &ret->name);
    if (ret->name.n == word.n)
        ret->type = STR("string");
    return true;
}

static void schema_write(struct json_out *o, const struct schema *s)
{
    struct str rest = str_of(s->members);
    struct member m;
    jo_key(o, s->name);
    jo_obj(o);
    jo_kz(o, "type", "object");
    jo_kz(o, "description", s->description);
    if (rest.n && rest.p[0] == '*') {
        jo_key(o, "additionalProperties");
        jo_obj(o);
        member_next(&rest, &m);
        type_write(o, m.type, m.nullable);
        jo_end_obj(o);
        jo_end_obj(o);
        return;
    }
    jo_key(o, "properties");
    jo_obj(o);
    while (member_next(&rest, &m)) {
        jo_keyn(o, m.name);
        jo_obj(o);
        type_write(o, m.type, m.nullable);
        jo_end_obj(o);
    }
    jo_end_obj(o);
    jo_key(o, "required");
    jo_arr(o);
    for (rest = str_of(s->members); member_next(&rest, &m);)
        if (!m.optional)
            jo_str(o, m.name);
    jo_end_arr(o);
    jo_end_obj(o);
}

/* ---- operations ---- */

/* `what`: a schema, a media type, or "MEDIA-TYPE SCHEMA" where the schema is that of each line or event. */
static void content_write(struct json_out *o, const char *what)
{
    struct str type = STR("application/json"), schema = str_of(what ? what : "");
    if (what && strchr(what, '/'))
        str_next(&schema, ' ', &type);
    jo_key(o, "content");
    jo_obj(o);
    jo_keyn(o, type);
    jo_obj(o);
    if (schema.n || !what) {
        jo_key(o, "schema");
        jo_obj(o);
        if (schema.n)
            reference(o, schema);
        jo_end_obj(o);
    }
    jo_end_obj(o);
    jo_end_obj(o);
}

static void parameter_write(struct json_out *o, const char *name, const char *in, const char *type,
                            const char *description)
{
    jo_obj(o);
    jo_kz(o, "name", name);
    jo_kz(o, "in", in);
    jo_kz(o, "description", description);
    jo_kb(o, "required", strcmp(in, "path") == 0);
    jo_key(o, "schema");
    jo_obj(o);
    type_write(o, str_of(type), false);
    jo_end_obj(o);
    jo_end_obj(o);
}

static void query_write(struct json_out *o, struct str names)
{
    struct str name;
    while (str_next(&names, ' ', &name)) {
        const struct parameter *p = NULL;
        for (size_t i = 0; i < sizeof parameters / sizeof *parameters && !p; i++)
            p = str_eqz(name, parameters[i].name) ? &parameters[i] : NULL;
        if (p)
            parameter_write(o, p->name, "query", p->type, p->description);
    }
}

static void responses_write(struct json_out *o, const char *gives)
{
    jo_key(o, "responses");
    jo_obj(o);
    jo_key(o, "2XX");
    jo_obj(o);
    jo_kz(o, "description", gives ? "done" : "done; there is nothing to say");
    if (gives)
        content_write(o, gives);
    jo_end_obj(o);
    static const char *const problems[] = {"4XX", "default"};
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
        jo_key(o, problems[i]);
        jo_obj(o);
        jo_kz(o, "$ref", "#/components/responses/problem");
        jo_end_obj(o);
    }
    jo_end_obj(o);
}

static void security_write(struct json_out *o, bool open)
{
    jo_key(o, "security");
    jo_arr(o);
    if (!open) {
        jo_obj(o);
        jo_key(o, "key");
        jo_arr(o);
        jo_end_arr(o);
        jo_end_obj(o);
    }
    jo_end_arr(o);
}

static void method_key(struct json_out *o, const char *method)
{
    char text[16] = {0};
    for (size_t i = 0; method[i] && i < sizeof text - 1; i++)
        text[i] = (char)(method[i] | 0x20);
    jo_key(o, text);
}

/* Members of ours: what who asks needs to be, whether asking leaves a row in the audit log, and what the live stream
 * is told. */
static void register_write(struct json_out *o, const struct route *r)
{
    bool changes = strcmp(r->method, "GET") != 0;
    jo_kz(o, "x-access", r->open ? "open" : access_name(r->access ? r->access : ACCESS_OWNER));
    jo_kb(o, "x-audited", changes || r->audited != AUDITED_NOT);
    if (r->tells)
        jo_kz(o, "x-tells", r->tells);
}

static void operation_write(struct json_out *o, const struct route *r, const char *name)
{
    method_key(o, r->method);
    jo_obj(o);
    jo_kz(o, "operationId", name);
    jo_kz(o, "summary", r->summary);
    jo_key(o, "parameters");
    jo_arr(o);
    if (strstr(r->pattern, ":id"))
        parameter_write(o, "id", "path", "string", "its id");
    query_write(o, str_of(r->query));
    jo_end_arr(o);
    if (r->takes) {
        jo_key(o, "requestBody");
        jo_obj(o);
        content_write(o, r->takes);
        jo_end_obj(o);
    }
    responses_write(o, r->gives);
    security_write(o, r->open);
    register_write(o, r);
    jo_end_obj(o);
}

/* "/api/v1/tasks/:id" as "/api/v1/tasks/{id}". */
static void path_key(struct json_out *o, const char *pattern)
{
    char text[200];
    const char *at = strstr(pattern, ":id");
    if (at)
        snprintf(text, sizeof text, "%.*s{id}%s", (int)(at - pattern), pattern, at + 3);
    else
        snprintf(text, sizeof text, "%s", pattern);
    jo_key(o, text);
}

static void route_paths_write(struct json_out *o)
{
    for (size_t i = 0; i < route_count; i++) {
        size_t first = 0;
        while (strcmp(routes[first]->pattern, routes[i]->pattern) != 0)
            first++;
        if (first != i)
            continue;
        path_key(o, routes[i]->pattern);
        jo_obj(o);
        for (size_t k = i; k < route_count; k++)
            if (strcmp(routes[k]->pattern, routes[i]->pattern) == 0)
                operation_write(o, routes[k], route_names[k]);
        jo_end_obj(o);
    }
}

static void model_paths_write(struct json_out *o)
{
    for (size_t i = 0; i < sizeof model_paths / sizeof *model_paths; i++) {
        jo_key(o, model_paths[i].path);
        jo_obj(o);
        method_key(o, model_paths[i].method);
        jo_obj(o);
        jo_kz(o, "operationId", model_paths[i].id);
        jo_kz(o, "summary", model_paths[i].summary);
        jo_key(o, "parameters");
        jo_arr(o);
        if (strstr(model_paths[i].path, "{model}"))
            parameter_write(o, "model", "path", "string", "a model, a tier or an alias");
        jo_end_arr(o);
        if (strcmp(model_paths[i].method, "POST") == 0) {
            jo_key(o, "requestBody");
            jo_obj(o);
            content_write(o, NULL);
            jo_end_obj(o);
        }
        jo_kraw(
            o, "responses",
            STR("{\"2XX\":{\"description\":\"as the dialect says\"},\"4XX\":{\"description\":\"an error as the dialect says\"},"
                "\"default\":{\"description\":\"an error as the dialect says\"}}"));
        security_write(o, false);
        jo_end_obj(o);
        jo_end_obj(o);
    }
}

static void components_write(struct json_out *o)
{
    jo_key(o, "components");
    jo_obj(o);
    jo_key(o, "schemas");
    jo_obj(o);
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++)
        schema_write(o, &schemas[i]);
    jo_end_obj(o);
    jo_key(o, "responses");
    jo_obj(o);
    jo_key(o, "problem");
    jo_obj(o);
    jo_kz(o, "description", "an error");
    jo_kraw(o, "content",
            STR("{\"application/problem+json\":{\"schema\":{\"$ref\":\"#/components/schemas/Problem\"}}}"));
    jo_end_obj(o);
    jo_end_obj(o);
    jo_kraw(o, "securitySchemes",
            STR("{\"key\":{\"type\":\"http\",\"scheme\":\"bearer\",\"description\":\"a user key; not needed on the "
                "daemon's Unix socket\"}}"));
    jo_end_obj(o);
}

void openapi_write(struct json_out *o)
{
    jo_obj(o);
    jo_kz(o, "openapi", "3.1.0");
    jo_key(o, "info");
    jo_obj(o);
    jo_kz(o, "title", "Nightmill");
    jo_kz(o, "version", NIGHTMILL_VERSION);
    jo_kz(o, "description", "The daemon's HTTP interface: tasks, and the gateway to models.");
    jo_kraw(o, "license", STR("{\"name\":\"Apache 2.0\",\"identifier\":\"Apache-2.0\"}"));
    jo_end_obj(o);
    jo_kraw(o, "servers", STR("[{\"url\":\"/\",\"description\":\"the daemon that gives this\"}]"));
    jo_key(o, "paths");
    jo_obj(o);
    route_paths_write(o);
    model_paths_write(o);
    jo_end_obj(o);
    components_write(o);
    jo_end_obj(o);
}

static void openapi_on_loop(struct route_call *c)
{
    openapi_write(&c->out);
    route_answer(c, RC_OK);
}

const struct route route_openapi = {"GET", "/api/openapi.json", "this description",
                                    NULL,  openapi_on_loop,     .gives = "application/json"};
