/* Contract: the description of the interface is OpenAPI 3.1, has every route of the register with all that its row
 * says, refers to nothing that it does not have, and names the paths that models are asked at. */
#include "api/openapi.h"
#include "api/route_rows.h"
#include "llm/endpoint.h"
#include <check.h>

static mem *root;
static struct json doc;
static struct str text;

static void setup(void)
{
    struct buf b;
    struct json_out o;
    struct err err;
    root = mem_root();
    buf_init(&b, root, 4u << 20);
    json_out_init(&o, &b);
    openapi_write(&o);
    ck_assert(!b.overflow);
    text = buf_view(&b);
    ck_assert_msg(json_parse(root, text, &doc, &err) == RC_OK, "%s", err.sentence);
}

static void teardown(void)
{
    root = mem_free(root);
}

static const char *path_of(const char *pattern)
{
    const char *at = strstr(pattern, ":id");
    return at ? mem_printf(root, "%.*s{id}%s", (int)(at - pattern), pattern, at + 3) : pattern;
}

static const char *lower(const char *method)
{
    char *z = mem_str(root, method);
    for (char *c = z; *c; c++)
        *c |= 0x20;
    return z;
}

START_TEST(the_frame_is_openapi)
{
    ck_assert(json_eqz(json_get(doc, "openapi"), "3.1.0"));
    ck_assert(json_eqz(json_path(doc, "info.version"), NIGHTMILL_VERSION));
    ck_assert_int_eq(json_type(json_path(doc, "info.title")), JSON_STRING);
    ck_assert_int_eq(json_type(json_path(doc, "components.securitySchemes.key")), JSON_OBJECT);
}
END_TEST

static bool has_parameter(struct json operation, const char *name, const char *in)
{
    for (struct json_iter it = json_iter(json_get(operation, "parameters")); json_next(&it);)
        if (json_eqz(json_get(it.value, "name"), name) && json_eqz(json_get(it.value, "in"), in))
            return json_type(json_path(it.value, "schema.type")) == JSON_STRING;
    return false;
}

static const char *schema_of(struct json content)
{
    return json_z(root, json_get(json_get(json_get(content, "application/json"), "schema"), "$ref"), "");
}

START_TEST(every_route_is_there_with_all_of_its_row)
{
    for (size_t i = 0; i < route_count; i++) {
        const struct route *r = routes[i];
        struct json o = json_get(json_get(json_get(doc, "paths"), path_of(r->pattern)), lower(r->method));
        ck_assert_msg(json_type(o) == JSON_OBJECT, "%s %s", r->method, r->pattern);
        ck_assert(json_eqz(json_get(o, "summary"), r->summary));
        ck_assert(json_eqz(json_get(o, "operationId"), route_names[i]));
        ck_assert_int_eq(has_parameter(o, "id", "path"), strstr(r->pattern, ":id") != NULL);
        struct str names = str_of(r->query), name;
        while (str_next(&names, ' ', &name))
            ck_assert_msg(has_parameter(o, str_dup(root, name), "query"), "%s: %.*s", r->pattern, STR_FMT(name));
        ck_assert_int_eq(json_len(json_get(o, "security")), r->open ? 0 : 1);
        struct json given = json_get(json_get(json_get(o, "responses"), "2XX"), "content");
        if (r->takes)
            ck_assert_str_eq(schema_of(json_path(o, "requestBody.content")),
                             mem_printf(root, "#/components/schemas/%s", r->takes));
        if (r->gives && strchr(r->gives, '/')) {
            struct str schema = str_of(r->gives), type;
            str_next(&schema, ' ', &type);
            struct json named = json_path(json_get(given, str_dup(root, type)), "schema.$ref");
            ck_assert_msg(json_is(json_get(given, str_dup(root, type))), "%s", r->gives);
            ck_assert_int_eq(json_is(named), schema.n > 0);
            ck_assert(!schema.n || str_ends(str_of(json_z(root, named, "")), schema));
        } else if (r->gives)
            ck_assert_str_eq(schema_of(given), mem_printf(root, "#/components/schemas/%s", r->gives));
        ck_assert(r->gives || !json_is(given));
        ck_assert(json_is(json_get(json_get(o, "responses"), "default")));
    }
}
END_TEST

START_TEST(operations_have_names_of_their_own)
{
    size_t count = 0;
    struct str rest = text;
    for (long at; (at = str_find(rest, STR("\"operationId\":"))) >= 0; count++) {
        rest = str_sub(rest, (size_t)at + 14, rest.n);
        struct str name = str_sub(rest, 0, (size_t)str_find(str_sub(rest, 1, rest.n), STR("\"")) + 2);
        ck_assert_msg(
            str_find(rest, STR("\"operationId\":")) < 0 ||
                str_find(str_sub(rest, 1, rest.n), str_of(mem_printf(root, "\"operationId\":%.*s", STR_FMT(name)))) < 0,
            "%.*s is there twice", STR_FMT(name));
    }
    ck_assert_uint_gt(count, route_count);
}
END_TEST

START_TEST(references_lead_somewhere)
{
    struct str rest = text;
    for (long at; (at = str_find(rest, STR("\"$ref\":\"#/"))) >= 0;) {
        rest = str_sub(rest, (size_t)at + 10, rest.n);
        struct str path = str_sub(rest, 0, (size_t)str_find(rest, STR("\""))), part;
        struct json v = doc;
        while (str_next(&path, '/', &part))
            v = json_get(v, str_dup(root, part));
        ck_assert_msg(json_type(v) == JSON_OBJECT, "%.60s", rest.p);
    }
}
END_TEST

START_TEST(schemas_have_types_for_all_members)
{
    for (struct json_iter it = json_iter(json_path(doc, "components.schemas")); json_next(&it);) {
        ck_assert(json_eqz(json_get(it.value, "type"), "object"));
        for (struct json_iter need = json_iter(json_get(it.value, "required")); json_next(&need);) {
            const char *name = json_z(root, need.value, "");
            ck_assert_msg(json_type(json_get(json_get(it.value, "properties"), name)) == JSON_OBJECT, "%s", name);
        }
    }
    struct json task = json_path(doc, "components.schemas.Task.properties");
    ck_assert(json_eqz(json_path(task, "limits.$ref"), "#/components/schemas/TaskLimits"));
    ck_assert(json_eqz(json_path(task, "created_at.format"), "date-time"));
    ck_assert(json_eqz(json_path(task, "approvals.items.$ref"), "#/components/schemas/Approval"));
    ck_assert_uint_eq(json_len(json_path(task, "branch.type")), 2);
}
END_TEST

/* The list of the description against what is really recognised. */
START_TEST(models_are_asked_at_the_paths_it_names)
{
    size_t n = 0;
    for (struct json_iter path = json_iter(json_get(doc, "paths")); json_next(&path);) {
        struct str name = json_iter_key(root, &path);
        if (!str_starts(name, STR("/v1")))
            continue;
        long at = str_find(name, STR("{model}"));
        const char *real = at < 0 ? str_dup(root, name)
                                  : mem_printf(root, "%.*sm%s", (int)at, name.p, name.p + at + strlen("{model}"));
        for (struct json_iter method = json_iter(path.value); json_next(&method); n++) {
            struct llm_endpoint found;
            const char *upper = str_eqz(method.key_raw, "get") ? "GET" : "POST";
            ck_assert_msg(llm_endpoint_find(root, upper, str_of(real), STR(""), false, &found), "%s", real);
        }
    }
    ck_assert_uint_ge(n, 10);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("openapi");
    TCase *c = tcase_create("openapi");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, the_frame_is_openapi);
    tcase_add_test(c, every_route_is_there_with_all_of_its_row);
    tcase_add_test(c, operations_have_names_of_their_own);
    tcase_add_test(c, references_lead_somewhere);
    tcase_add_test(c, schemas_have_types_for_all_members);
    tcase_add_test(c, models_are_asked_at_the_paths_it_names);
    suite_add_tcase(suite, c);
    SRunner *run = srunner_create(suite);
    srunner_run_all(run, CK_NORMAL);
    int failed = srunner_ntests_failed(run);
    srunner_free(run);
    return failed ? 1 : 0;
}
