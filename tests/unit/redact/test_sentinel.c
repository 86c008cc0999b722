/* Contract: a known string is found in every form, wherever the bytes are cut; what is no such string is not. */
#include "base/buf.h"
#include "base/text.h"
#include "redact/sentinel.h"
#include <check.h>
#include <stdio.h>

static mem *ctx;
static const char secret[] = "sk-live-4f7Qa/9+Zx\"Kd01";

static void begin(void)
{
    ctx = mem_root();
}

static void finish(void)
{
    ctx = mem_free(ctx);
}

static char *hex(struct str s, bool upper)
{
    struct buf b;
    buf_init(&b, ctx, 4096);
    for (size_t i = 0; i < s.n; i++)
        buf_printf(&b, upper ? "%02X" : "%02x", (unsigned char)s.p[i]);
    return buf_take(&b, ctx);
}

/* base64 of the secret with `before` bytes in front of it: its own alignment. */
static char *base64_at(size_t before)
{
    return text_base64(ctx, str_of(mem_printf(ctx, "%.*s%s!", (int)before, "abc", secret)));
}

static const struct sentinel *set(void)
{
    struct str strings[] = {STR("another-string-0123"), str_of(secret)};
    return sentinel_new(ctx, strings, 2);
}

START_TEST(every_form)
{
    const struct sentinel *s = set();
    const char *forms[] = {secret,
                           text_url(ctx, str_of(secret)),
                           "sk-live-4f7Qa/9+Zx\\\"Kd01",
                           hex(str_of(secret), false),
                           hex(str_of(secret), true),
                           base64_at(0),
                           base64_at(1),
                           base64_at(2)};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const char *text = mem_printf(ctx, "x=%s&y=1", forms[i]);
        ck_assert_msg(sentinel_find(s, str_of(text)) == 1, "not found: %s", text);
    }
}
END_TEST

START_TEST(every_cut)
{
    const struct sentinel *s = set();
    const char *text = mem_printf(ctx, "sk-live-sk-live-%s--", secret);
    for (size_t cut = 0; cut <= strlen(text); cut++) {
        uint32_t state = 0;
        int a = sentinel_feed(s, &state, str_n(text, cut)), b = sentinel_feed(s, &state, str_of(text + cut));
        ck_assert_int_eq(a >= 0 ? a : b, 1);
    }
}
END_TEST

START_TEST(nothing_else)
{
    const struct sentinel *s = set();
    ck_assert_int_eq(sentinel_find(s, STR("sk-live-4f7Qa/9+Zx\"Kd0 another-string-012")), -1);
    ck_assert_int_eq(sentinel_find(s, STR("")), -1);
    ck_assert_int_eq(sentinel_find(s, STR("x another-string-0123")), 0);
    struct str small[] = {STR("short")};
    ck_assert_ptr_null(sentinel_new(ctx, small, 1));
    ck_assert_int_eq(sentinel_find(NULL, STR("short")), -1);
}
END_TEST

START_TEST(one_inside_another)
{
    struct str strings[] = {STR("abcdefghijklmnop"), STR("cdefghij")};
    const struct sentinel *s = sentinel_new(ctx, strings, 2);
    ck_assert_int_eq(sentinel_find(s, STR("abcdefghijk")), 1);
    ck_assert_int_eq(sentinel_find(s, STR("xcdefghijabc")), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sentinel");
    TCase *t = tcase_create("sentinel");
    tcase_add_checked_fixture(t, begin, finish);
    tcase_add_test(t, every_form);
    tcase_add_test(t, every_cut);
    tcase_add_test(t, nothing_else);
    tcase_add_test(t, one_inside_another);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
