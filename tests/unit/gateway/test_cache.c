/* Contract: only an equal request of the same tenant is answered, until its time is over; the bytes kept are bounded,
 * and those used longest ago go first. */
#include "base/mem.h"
#include "gateway/cache.h"
#include <check.h>
#include <stdlib.h>

static mem *ctx;
static struct str type, body;

static void setup(void)
{
    ctx = mem_root();
}

static void teardown(void)
{
    mem_free(ctx);
}

START_TEST(keys_tell_requests_apart)
{
    const char *one = cache_key(ctx, "a", STR("chat"), STR("body"));
    ck_assert_str_eq(one, cache_key(ctx, "a", STR("chat"), STR("body")));
    ck_assert_str_ne(one, cache_key(ctx, "b", STR("chat"), STR("body")));
    ck_assert_str_ne(one, cache_key(ctx, "a", STR("chatb"), STR("ody")));
    ck_assert_str_ne(cache_key(ctx, "a1:b", STR("c"), STR("")), cache_key(ctx, "a", STR("1:bc"), STR("")));
}
END_TEST

START_TEST(answers_live_for_their_time)
{
    struct cache *c = cache_new(ctx, 1000, 50);
    ck_assert(!cache_find(ctx, c, "k", 0, &type, &body));
    cache_put(c, "k", 100, "text/plain", STR("a\0b"));
    ck_assert(cache_find(ctx, c, "k", 149, &type, &body));
    ck_assert(str_eqz(type, "text/plain") && str_eq(body, STR("a\0b")));
    ck_assert(!cache_find(ctx, c, "k", 150, &type, &body));
    ck_assert_msg(cache_bytes(c) == 0, "what is too old is gone");
}
END_TEST

START_TEST(bytes_are_bounded)
{
    struct cache *c = cache_new(ctx, 2000, 1000);
    char big[600] = {0};
    cache_put(c, "big", 0, "t", str_n(big, sizeof big));
    ck_assert_msg(!cache_find(ctx, c, "big", 0, &type, &body), "one answer may not push all others out");
    for (int i = 0; i < 20; i++) {
        cache_put(c, mem_printf(ctx, "k%d", i), 0, "t", str_n(big, 300));
        ck_assert(cache_bytes(c) <= 2000);
        ck_assert_msg(i == 0 || cache_find(ctx, c, "k0", 0, &type, &body), "what is used stays");
    }
    ck_assert(cache_find(ctx, c, "k19", 0, &type, &body) && !cache_find(ctx, c, "k5", 0, &type, &body));
}
END_TEST

START_TEST(off_keeps_nothing)
{
    struct cache *c = cache_new(ctx, 2000, 0);
    cache_put(c, "k", 0, "t", STR("x"));
    ck_assert(!cache_find(ctx, c, "k", 0, &type, &body) && cache_bytes(c) == 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cache");
    TCase *t = tcase_create("cache");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, keys_tell_requests_apart);
    tcase_add_test(t, answers_live_for_their_time);
    tcase_add_test(t, bytes_are_bounded);
    tcase_add_test(t, off_keeps_nothing);
    suite_add_tcase(suite, t);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
