/* Contract: a browser's session ends after a time without use and after its longest time in any case, also for who asks
 * all the time and over a restart; what is no session is none. */
#include "auth/session.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define SECOND  INT64_C(1000000000)
#define MINUTE  (60 * SECOND)
#define IDLE    (30 * MINUTE)
#define LONGEST (120 * MINUTE)
#define NOW     (INT64_C(1700000000) * SECOND)
static char folder[64];
static mem *root;
static struct store *s;
static struct sessions *sessions;
static struct opaque token;
static const struct session_rules rules = {.idle_ns = IDLE, .longest_ns = LONGEST};

static enum rc begin_tx(struct store_tx *tx, void *arg, struct err *err)
{
    static const struct session_place place = {"192.0.2.1", "test"};
    struct user u = {.id = "abcdef1", .name = "ada", .kind = "person", .role = "member", .password = "", .subject = ""};
    const char *id;
    enum rc rc = user_insert(tx, &u, err);
    (void)arg;
    return rc ? rc : session_begin_tx(root, sessions, tx, u.id, &place, NOW, &token, &id, err);
}

static enum rc nothing_tx(struct store_tx *tx, void *arg, struct err *err)
{
    (void)tx, (void)arg, (void)err;
    return RC_OK;
}

/* Another process: nothing is in memory, and what was to be written is. */
static void again(void)
{
    ck_assert_int_eq(store_write(s, nothing_tx, NULL, NULL), RC_OK);
    sessions = mem_free(sessions);
    sessions = sessions_new(root, s, &rules);
}

static void setup(void)
{
    struct err err = {0};
    snprintf(folder, sizeof folder, "/tmp/test_session_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    root = mem_root();
    ck_assert_msg(store_open(root, folder, &s, &err) == RC_OK, "%s", err.sentence);
    sessions = sessions_new(root, s, &rules);
    ck_assert_msg(store_write(s, begin_tx, NULL, &err) == RC_OK, "%s", err.sentence);
}

static void teardown(void)
{
    char command[128];
    sessions = mem_free(sessions);
    s = store_close(s);
    root = mem_free(root);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static enum rc at(int64_t since)
{
    struct principal who;
    struct err err = {0};
    return session_check(root, sessions, str_of(token.text), NOW + since, &who, &err);
}

START_TEST(it_ends_without_use)
{
    ck_assert_int_eq(at(0), RC_OK);
    ck_assert_int_eq(at(IDLE - SECOND), RC_OK); /* a use: it goes on */
    ck_assert_int_eq(at(IDLE + 20 * MINUTE), RC_OK);
    ck_assert_int_eq(at(2 * IDLE + 20 * MINUTE), RC_DENIED);
    again();
    ck_assert_int_eq(at(2 * IDLE + 20 * MINUTE), RC_DENIED);
}
END_TEST

START_TEST(it_ends_after_its_longest_time)
{
    for (int64_t t = 0; t < LONGEST; t += 10 * MINUTE) {
        ck_assert_int_eq(at(t), RC_OK);
        if (t % (30 * MINUTE) == 0)
            again();
    }
    ck_assert_int_eq(at(LONGEST - SECOND), RC_OK);
    ck_assert_int_eq(at(LONGEST), RC_DENIED);
    again();
    ck_assert_int_eq(at(LONGEST), RC_DENIED);
}
END_TEST

START_TEST(what_is_no_session_is_none)
{
    token.text[strlen(token.text) - 1] ^= 1;
    ck_assert_int_eq(at(0), RC_DENIED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session");
    TCase *c = tcase_create("session");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, it_ends_without_use);
    tcase_add_test(c, it_ends_after_its_longest_time);
    tcase_add_test(c, what_is_no_session_is_none);
    suite_add_tcase(suite, c);
    SRunner *run = srunner_create(suite);
    srunner_run_all(run, CK_NORMAL);
    int failed = srunner_ntests_failed(run);
    srunner_free(run);
    return failed ? 1 : 0;
}
