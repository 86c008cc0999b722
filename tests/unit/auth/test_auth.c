/* Contract: a principal is what its key says; a key that was revoked, has expired or is unknown is refused, a revoked
 * one from the next check on even when it was in the cache; a project's key does not reach into another's; patterns of
 * models match whole names. */
#include "auth/auth.h"
#include "auth/token.h"
#include "base/clock.h"
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static char folder[64];
static mem *root;
static struct store *s;
static struct auth *a;
#define NOW INT64_C(1700000000000000000)

static void setup(void)
{
    struct err err = {0};
    snprintf(folder, sizeof folder, "/tmp/test_auth_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    root = mem_root();
    ck_assert_msg(store_open(root, folder, &s, &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
    a = auth_new(root, s);
}

static void teardown(void)
{
    char command[128];
    a = mem_free(a);
    s = store_close(s);
    mem_free(root);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static enum rc insert(struct store_tx *tx, void *arg, struct err *err)
{
    return user_key_insert(tx, arg, err);
}

static enum rc revoke(struct store_tx *tx, void *arg, struct err *err)
{
    return user_key_revoke(tx, arg, NOW, err);
}

static struct user_key sample(const char *id)
{
    return (struct user_key){.id = id,
                             .name = "Ada's laptop",
                             .access = "use",
                             .models = "[]",
                             .project = "mill",
                             .organisation = "",
                             .user = "ada",
                             .requests_per_minute = 60,
                             .created_ns = NOW};
}

static struct token key_add(struct user_key k)
{
    struct token t;
    struct err err = {0};
    token_new(&t);
    k.prefix = t.prefix;
    k.hash = str_n((const char *)t.hash, sizeof t.hash);
    ck_assert_msg(store_write(s, insert, &k, &err) == RC_OK, "%s", err.sentence);
    return t;
}

static enum rc check(const struct token *t, int64_t now, struct principal *p, struct err *err)
{
    return auth_check(root, a, str_of(t->text), true, now, p, err);
}

START_TEST(a_principal_is_what_the_key_says)
{
    struct principal p;
    struct token t = key_add(sample("aaaaaa1"));
    for (int i = 0; i < 2; i++) { /* from the database, then from the cache */
        ck_assert_int_eq(check(&t, NOW, &p, NULL), RC_OK);
        ck_assert_int_eq(p.access, ACCESS_USE);
        ck_assert_str_eq(p.key_id, "aaaaaa1");
        ck_assert_str_eq(p.project, "mill");
        ck_assert_str_eq(p.user, "ada");
        ck_assert_int_eq(p.requests_per_minute, 60);
        ck_assert_ptr_null(p.models);
    }
}
END_TEST

START_TEST(a_wrong_secret_with_a_right_prefix_is_unknown)
{
    struct principal p;
    struct err err = {0};
    struct token t = key_add(sample("aaaaaa1")), other;
    token_new(&other);
    struct user_key k = sample("aaaaaa2");
    k.prefix = other.prefix; /* the row of this prefix has the hash of another token */
    k.hash = str_n((const char *)t.hash, sizeof t.hash);
    ck_assert_int_eq(store_write(s, insert, &k, NULL), RC_OK);
    ck_assert_int_eq(check(&other, NOW, &p, &err), RC_DENIED);
    ck_assert_str_eq(err.sentence, "there is no such key");
    struct token unknown;
    token_new(&unknown);
    ck_assert_int_eq(check(&unknown, NOW, &p, &err), RC_DENIED);
    ck_assert_str_eq(err.sentence, "there is no such key");
    ck_assert_int_eq(auth_check(root, a, STR(""), true, NOW, &p, &err), RC_DENIED);
}
END_TEST

START_TEST(revoking_holds_at_once)
{
    struct principal p;
    struct err err = {0};
    struct token t = key_add(sample("aaaaaa1"));
    ck_assert_int_eq(check(&t, NOW, &p, NULL), RC_OK);
    ck_assert_int_eq(store_write(s, revoke, (void *)(uintptr_t) "aaaaaa1", &err), RC_OK);
    auth_forget(a, "aaaaaa1");
    ck_assert_int_eq(check(&t, NOW, &p, &err), RC_DENIED);
    ck_assert_ptr_nonnull(strstr(err.sentence, "revoked"));
    ck_assert_int_eq(check(&t, NOW, &p, &err), RC_DENIED);
    ck_assert_int_eq(store_write(s, revoke, (void *)(uintptr_t) "aaaaaa9", NULL), RC_NOT_FOUND);
}
END_TEST

START_TEST(a_key_expires)
{
    struct principal p;
    struct err err = {0};
    struct user_key k = sample("aaaaaa1");
    k.expires_ns = NOW + 10;
    struct token t = key_add(k);
    ck_assert_int_eq(check(&t, NOW + 9, &p, NULL), RC_OK);
    ck_assert_int_eq(check(&t, NOW + 10, &p, &err), RC_DENIED);
    ck_assert_ptr_nonnull(strstr(err.sentence, "expired"));
}
END_TEST

START_TEST(last_use_is_written_at_most_once_a_minute)
{
    struct principal p;
    struct user_key k;
    struct token t = key_add(sample("aaaaaa1"));
    const int64_t second = 1000000000;
    ck_assert_int_eq(check(&t, NOW, &p, NULL), RC_OK);
    ck_assert_int_eq(check(&t, NOW + 59 * second, &p, NULL), RC_OK);
    ck_assert_int_eq(store_write(s, revoke, (void *)(uintptr_t) "aaaaaa1", NULL), RC_OK); /* after what was queued */
    ck_assert_int_eq(user_key_find(root, s, "aaaaaa1", &k, NULL), RC_OK);
    ck_assert_int_eq(k.last_used_ns, NOW);
    ck_assert_int_eq(check(&t, NOW + 60 * second, &p, NULL), RC_OK);
    ck_assert_int_eq(store_write(s, revoke, (void *)(uintptr_t) "aaaaaa1", NULL), RC_OK);
    ck_assert_int_eq(user_key_find(root, s, "aaaaaa1", &k, NULL), RC_OK);
    ck_assert_int_eq(k.last_used_ns, NOW + 60 * second);
}
END_TEST

START_TEST(a_full_cache_forgets_the_oldest_and_still_answers)
{
    struct principal p;
    struct token first = {0}, t;
    for (int i = 0; i < 1100; i++) {
        char id[8];
        snprintf(id, sizeof id, "k%06d", i);
        t = key_add(sample(id));
        if (i == 0)
            first = t;
        ck_assert_int_eq(check(&t, NOW, &p, NULL), RC_OK);
    }
    ck_assert_int_eq(check(&first, NOW, &p, NULL), RC_OK);
    ck_assert_str_eq(p.key_id, "k000000");
}
END_TEST

/* Several threads ask with keys that come, are revoked and are forgotten meanwhile: who was told of a revocation is
 * never let in again. */
struct crowd {
    struct token tokens[8];
    char ids[8][8];
    atomic_bool revoked[8];
    atomic_int wrong;
};

static void *crowd_asks(void *arg)
{
    struct crowd *w = arg;
    for (int i = 0; i < 2000; i++) {
        CLEANUP_MEM mem *tmp = mem_root();
        struct principal p;
        int k = i % 8;
        bool before = atomic_load(&w->revoked[k]);
        enum rc rc = auth_check(tmp, a, str_of(w->tokens[k].text), true, NOW + i, &p, NULL);
        if ((before && rc == RC_OK) || (rc != RC_OK && rc != RC_DENIED))
            atomic_fetch_add(&w->wrong, 1);
        if (rc == RC_OK && strcmp(p.key_id, w->ids[k]) != 0)
            atomic_fetch_add(&w->wrong, 1);
    }
    return NULL;
}

START_TEST(threads_see_a_revocation_at_once)
{
    static struct crowd w;
    pthread_t threads[4];
    for (int k = 0; k < 8; k++) {
        snprintf(w.ids[k], sizeof w.ids[k], "thread%d", k);
        w.tokens[k] = key_add(sample(w.ids[k]));
    }
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, crowd_asks, &w), 0);
    for (int k = 0; k < 8; k++) {
        ck_assert_int_eq(store_write(s, revoke, w.ids[k], NULL), RC_OK);
        auth_forget(a, w.ids[k]);
        atomic_store(&w.revoked[k], true);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(atomic_load(&w.wrong), 0);
}
END_TEST

START_TEST(each_access_includes_the_ones_below)
{
    struct principal p = principal_owner();
    for (int have = ACCESS_READ; have <= ACCESS_OWNER; have++) {
        p.access = (enum access)have;
        for (int need = ACCESS_READ; need <= ACCESS_ADMIN; need++)
            ck_assert_int_eq(principal_may(&p, (enum access)need, NULL), have >= need ? RC_OK : RC_DENIED);
    }
    p.access = ACCESS_ADMIN;
    ck_assert_int_eq(principal_may(&p, ACCESS_OWNER, NULL), RC_OK); /* admin of the whole */
    p.project = "mill";
    ck_assert_int_eq(principal_may(&p, ACCESS_OWNER, NULL), RC_DENIED);
    ck_assert_int_eq(access_find("owner"), ACCESS_NONE);
    ck_assert_int_eq(access_find("none"), ACCESS_NONE);
    ck_assert_int_eq(access_find("use"), ACCESS_USE);
}
END_TEST

START_TEST(a_project_does_not_reach_into_another)
{
    struct principal p = principal_owner();
    ck_assert_int_eq(principal_project(&p, "mill", NULL), RC_OK);
    ck_assert_int_eq(principal_project(&p, "", NULL), RC_OK);
    p.project = "mill";
    ck_assert_int_eq(principal_project(&p, "mill", NULL), RC_OK);
    ck_assert_int_eq(principal_project(&p, "other", NULL), RC_NOT_FOUND);
    ck_assert_int_eq(principal_project(&p, "", NULL), RC_NOT_FOUND);
    ck_assert_int_eq(principal_project(&p, NULL, NULL), RC_NOT_FOUND);
}
END_TEST

START_TEST(patterns_match_whole_names)
{
    static const char *const globs[] = {"gpt-5", "claude-*", "*-mini", "a*b*c", NULL}, *const none[] = {NULL};
    static const char *const yes[] = {"gpt-5", "claude-sonnet-4-5", "claude-", "gpt-5-mini", "abc", "a--b--b--c"};
    static const char *const no[] = {"gpt-5.1", "openrouter/gpt-5", "openrouter/claude-x", "mini", "ab", "acb", ""};
    struct principal p = principal_owner();
    struct err err = {0};
    p.models = globs;
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        ck_assert_msg(principal_model(&p, yes[i], NULL) == RC_OK, "%s", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        ck_assert_msg(principal_model(&p, no[i], &err) == RC_DENIED, "%s", no[i]);
    ck_assert_ptr_nonnull(strstr(err.hint, "gpt-5, claude-*"));
    p.models = none;
    ck_assert_int_eq(principal_model(&p, "gpt-5", NULL), RC_DENIED);
    p.models = NULL;
    ck_assert_int_eq(principal_model(&p, "anything", NULL), RC_OK);
}
END_TEST

START_TEST(rows_are_checked)
{
    struct user_key k = sample("aaaaaa1");
    struct token t;
    token_new(&t);
    k.prefix = t.prefix;
    k.hash = str_n((const char *)t.hash, sizeof t.hash);
    struct user_key wrong[] = {k, k, k, k, k, k};
    wrong[0].access = "owner";
    wrong[1].models = "{}";
    wrong[2].models = "[1]";
    wrong[3].name = "";
    wrong[4].project = "line\nfeed";
    wrong[5].hash.n = 31;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(store_write(s, insert, &wrong[i], NULL) == RC_INVALID, "%zu", i);
    ck_assert_int_eq(store_write(s, insert, &k, NULL), RC_OK);
    k.id = "aaaaaa2"; /* the prefix is taken */
    ck_assert_int_eq(store_write(s, insert, &k, NULL), RC_CONFLICT);
    struct user_key *list;
    size_t n;
    ck_assert_int_eq(user_key_list(root, s, "mill", &list, &n, NULL), RC_OK);
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(user_key_list(root, s, "other", &list, &n, NULL), RC_OK);
    ck_assert_uint_eq(n, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("auth");
    TCase *tc = tcase_create("principals");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_principal_is_what_the_key_says);
    tcase_add_test(tc, a_wrong_secret_with_a_right_prefix_is_unknown);
    tcase_add_test(tc, revoking_holds_at_once);
    tcase_add_test(tc, a_key_expires);
    tcase_add_test(tc, last_use_is_written_at_most_once_a_minute);
    tcase_add_test(tc, a_full_cache_forgets_the_oldest_and_still_answers);
    tcase_add_test(tc, threads_see_a_revocation_at_once);
    tcase_add_test(tc, each_access_includes_the_ones_below);
    tcase_add_test(tc, a_project_does_not_reach_into_another);
    tcase_add_test(tc, patterns_match_whole_names);
    tcase_add_test(tc, rows_are_checked);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
