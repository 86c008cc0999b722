/* Contract: every kind is whole; addresses come out right whatever the base address ends in; keys and extra headers go
 * out as headers or not at all; lists of models are read in each form. */
#include "gateway/provider.h"
#include <check.h>

static mem *ctx;
static void setup(void)
{
    ctx = mem_root();
}
static void teardown(void)
{
    mem_free(ctx);
}

static struct provider_view view(const char *kind, const char *url)
{
    struct provider row = PROVIDER_STANDARD;
    struct provider_view v;
    struct err err = {0};
    row.id = "mine";
    row.kind = kind;
    row.base_url = url;
    ck_assert_msg(provider_view_make(&row, &v, &err) == RC_OK, "%s", err.sentence);
    return v;
}

START_TEST(every_kind_is_whole)
{
    size_t n;
    const struct provider_kind *const *kinds = provider_kinds(&n);
    ck_assert_uint_ge(n, 13);
    for (size_t i = 0; i < n; i++) {
        const struct provider_kind *k = kinds[i];
        ck_assert_uint_eq(strspn(k->name, "abcdefghijklmnopqrstuvwxyz-"), strlen(k->name));
        ck_assert_ptr_eq(provider_kind_find(k->name), k);
        ck_assert_ptr_nonnull(k->title);
        ck_assert_ptr_nonnull(k->dialect);
        ck_assert(k->base_url || strcmp(k->name, "compatible") == 0);
        struct provider row = PROVIDER_STANDARD;
        struct provider_view v;
        row.id = row.kind = k->name;
        ck_assert_int_eq(provider_view_make(&row, &v, NULL), k->base_url ? RC_OK : RC_INVALID);
    }
    const char *variables[PROVIDER_VARIABLES_MAX];
    size_t many = provider_key_variables(variables);
    ck_assert_uint_ge(many, 10);
    ck_assert_str_eq(variables[0], "ANTHROPIC_API_KEY");
    struct err err = {0};
    struct provider row = PROVIDER_STANDARD;
    struct provider_view v;
    row.kind = "openai";
    row.dialect = "esperanto";
    ck_assert_int_eq(provider_view_make(&row, &v, &err), RC_INVALID);
    ck_assert_ptr_nonnull(strstr(err.sentence, "esperanto"));
    row.kind = "antropic";
    ck_assert_int_eq(provider_view_make(&row, &v, &err), RC_INVALID);
    ck_assert_ptr_nonnull(strstr(err.hint, "anthropic"));
}
END_TEST

START_TEST(addresses_come_out_right)
{
    static const struct {
        const char *kind, *base, *model, *whole, *stream, *list;
    } rows[] = {
        {"anthropic", "", "claude-x", "https://api.anthropic.com/v1/messages", "https://api.anthropic.com/v1/messages",
         "https://api.anthropic.com/v1/models?limit=1000"},
        {"openai", "http://127.0.0.1:9/v1/", "gpt-5", "http://127.0.0.1:9/v1/chat/completions",
         "http://127.0.0.1:9/v1/chat/completions", "http://127.0.0.1:9/v1/models"},
        {"groq", "", "x", "https://api.groq.com/openai/v1/chat/completions",
         "https://api.groq.com/openai/v1/chat/completions", "https://api.groq.com/openai/v1/models"},
        {"gemini", "https://generativelanguage.googleapis.com/v1beta", "gemini-2.5-pro",
         "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:generateContent",
         "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
         "https://generativelanguage.googleapis.com/v1beta/models?pageSize=1000"},
        {"compatible", "http://h:1/deep/path", "m", "http://h:1/deep/path/v1/chat/completions",
         "http://h:1/deep/path/v1/chat/completions", "http://h:1/deep/path/v1/models"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct provider_view v = view(rows[i].kind, rows[i].base);
        ck_assert_str_eq(provider_url(ctx, &v, LLM_GENERATE, rows[i].model, false), rows[i].whole);
        ck_assert_str_eq(provider_url(ctx, &v, LLM_GENERATE, rows[i].model, true), rows[i].stream);
        ck_assert_str_eq(provider_list_url(ctx, &v), rows[i].list);
    }
    struct provider_view gemini = view("gemini", "http://h:1");
    ck_assert_ptr_null(provider_url(ctx, &gemini, LLM_GENERATE, "a/../b", false));
    ck_assert_ptr_null(provider_url(ctx, &gemini, LLM_GENERATE, "../b", false));
    ck_assert_ptr_null(strchr(provider_url(ctx, &gemini, LLM_GENERATE, "b?x#y", false), '?'));
}
END_TEST

static bool has_line(const char *const *lines, const char *line)
{
    for (; *lines; lines++)
        if (strcmp(*lines, line) == 0)
            return true;
    return false;
}

START_TEST(headers_carry_the_key_and_the_rows_own)
{
    const char *const *lines;
    struct provider_view v = view("anthropic", "");
    v.row.headers = "{\"anthropic-beta\":\"one,two\",\"X-Team\":\"mill\"}";
    ck_assert_int_eq(provider_headers(ctx, &v, "secret", &lines, NULL), RC_OK);
    ck_assert(has_line(lines, "x-api-key: secret") && has_line(lines, "anthropic-version: 2023-06-01"));
    ck_assert(has_line(lines, "anthropic-beta: one,two") && has_line(lines, "X-Team: mill"));
    ck_assert(has_line(lines, "Content-Type: application/json"));
    v = view("openai", "");
    ck_assert_int_eq(provider_headers(ctx, &v, "secret", &lines, NULL), RC_OK);
    ck_assert(has_line(lines, "Authorization: Bearer secret"));
    v = view("gemini", "");
    ck_assert_int_eq(provider_headers(ctx, &v, "secret", &lines, NULL), RC_OK);
    ck_assert(has_line(lines, "x-goog-api-key: secret"));
    struct provider row = PROVIDER_STANDARD; /* a server of one's own that speaks Anthropic's dialect */
    row.id = row.kind = "compatible";
    row.base_url = "http://h:1";
    row.dialect = "messages";
    ck_assert_int_eq(provider_view_make(&row, &v, NULL), RC_OK);
    ck_assert_int_eq(provider_headers(ctx, &v, "secret", &lines, NULL), RC_OK);
    ck_assert(has_line(lines, "x-api-key: secret") && has_line(lines, "anthropic-version: 2023-06-01"));
    ck_assert_str_eq(provider_url(ctx, &v, LLM_GENERATE, "m", false), "http://h:1/v1/messages");
    row.dialect = "gemini";
    ck_assert_int_eq(provider_view_make(&row, &v, NULL), RC_OK);
    ck_assert_int_eq(provider_headers(ctx, &v, "secret", &lines, NULL), RC_OK);
    ck_assert(has_line(lines, "x-goog-api-key: secret"));
    ck_assert_str_eq(provider_list_url(ctx, &v), "http://h:1/v1beta/models?pageSize=1000");
    v = view("ollama", "");
    ck_assert_int_eq(provider_headers(ctx, &v, NULL, &lines, NULL), RC_OK);
    ck_assert_ptr_null(lines[1]);
}
END_TEST

START_TEST(what_would_break_a_request_is_refused)
{
    static const char *const wrong[] = {"{\"X\":\"a\\r\\nY: b\"}",
                                        "{\"X Y\":\"a\"}",
                                        "{\"\":\"a\"}",
                                        "{\"X\":\"\\u0000\"}",
                                        "{\"Host\":\"evil\"}",
                                        "{\"authorization\":\"x\"}",
                                        "{\"Content-Length\":\"0\"}",
                                        "{\"X\\n\":\"a\"}",
                                        "[",
                                        "{\"X\":1}"};
    const char *const *lines;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct provider_view v = view("openai", "");
        v.row.headers = wrong[i];
        ck_assert_msg(provider_headers(ctx, &v, "k", &lines, NULL) == RC_INVALID, "%s", wrong[i]);
    }
    struct err err = {0};
    struct provider_view v = view("openai", "");
    ck_assert_int_eq(provider_headers(ctx, &v, "a\r\nX: evil", &lines, &err), RC_INVALID);
    ck_assert_ptr_null(strstr(err.sentence, "evil"));
}
END_TEST

START_TEST(lists_of_models_are_read_in_each_form)
{
    const char *const *ids;
    struct provider_view v = view("openai", ""), g = view("gemini", "");
    ck_assert_int_eq(
        provider_list_read(ctx, &v, STR("{\"data\":[{\"id\":\"a\"},{\"x\":1},{\"id\":\"b\"}]}"), &ids, NULL), RC_OK);
    ck_assert_str_eq(ids[0], "a");
    ck_assert_str_eq(ids[1], "b");
    ck_assert_ptr_null(ids[2]);
    ck_assert_int_eq(provider_list_read(ctx, &v, STR("[{\"id\":\"t\"}]"), &ids, NULL), RC_OK);
    ck_assert_str_eq(ids[0], "t");
    ck_assert_int_eq(
        provider_list_read(ctx, &g, STR("{\"models\":[{\"name\":\"models/gemini-x\"},{\"name\":\"y\"}]}"), &ids, NULL),
        RC_OK);
    ck_assert_str_eq(ids[0], "gemini-x");
    ck_assert_str_eq(ids[1], "y");
    ck_assert_int_eq(provider_list_read(ctx, &v, STR("<html>"), &ids, NULL), RC_UPSTREAM);
    ck_assert_int_eq(provider_list_read(ctx, &v, STR("{\"data\":{}}"), &ids, NULL), RC_UPSTREAM);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("providers");
    TCase *tc = tcase_create("kinds");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, every_kind_is_whole);
    tcase_add_test(tc, addresses_come_out_right);
    tcase_add_test(tc, headers_carry_the_key_and_the_rows_own);
    tcase_add_test(tc, what_would_break_a_request_is_refused);
    tcase_add_test(tc, lists_of_models_are_read_in_each_form);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
