/* Contract: rows of the audit log are chained and signed; a flipped, removed, cut, rebuilt or dropped log is found with
 * the number of the row where it begins; rows that the daemon wrote before it could sign its head are not taken for
 * tampering; a row goes into the transaction of the change that it tells of, or with it. */
#include "auth/audit.h"
#include "base/clock.h"
#include <check.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[64];
static mem *root;
static struct store *s;
static struct account_key *key;
static struct audit *a;

static const char *at(const char *name)
{
    return mem_printf(root, "%s/%s", folder, name);
}

static void log_open_again(void)
{
    struct err err = {0};
    ck_assert_msg(store_open(root, at("data"), &s, &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
    key = account_key_new(root, at("keys/accounts.key"));
    a = audit_open(root, s, key, at("keys/audit/one.head"));
}

static void log_close(void)
{
    a = NULL;
    s = store_close(s);
}

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/test_audit_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    root = mem_root();
    log_open_again();
}

static void teardown(void)
{
    char command[128];
    log_close();
    root = mem_free(root);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static int64_t step_ns; /* between rows; 0: as they come */

static void rows_write(int n)
{
    static int64_t at_ns;
    struct err err = {0};
    at_ns = at_ns ? at_ns : clock_wall_ns();
    for (int i = 0; i < n; i++) {
        struct audit_row r = {.actor = "ada",
                              .actor_kind = "session",
                              .credential = "abc",
                              .address = "192.0.2.1",
                              .action = "key_create",
                              .object = mem_printf(root, "key %d", i),
                              .after = "{\"name\":\"ci\"}",
                              .outcome = "done"};
        if (step_ns)
            r.time_ns = at_ns += step_ns;
        ck_assert_msg(audit_write(a, &r, &err) == RC_OK, "%s", err.sentence);
    }
}

/* As somebody who has the database file and nothing else. */
static void tamper(const char *sql)
{
    sqlite3 *db;
    char *words = NULL;
    log_close();
    ck_assert_int_eq(sqlite3_open(at("data/nightmill.db"), &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, &words) == SQLITE_OK, "%s", words);
    sqlite3_close(db);
    log_open_again();
}

static struct audit_report verify(void)
{
    struct audit_report r;
    struct err err = {0};
    ck_assert_msg(audit_verify(root, a, &r, &err) == RC_OK, "%s", err.sentence);
    return r;
}

static void finds(const char *kind, int64_t number)
{
    struct audit_report r = verify();
    for (size_t i = 0; i < r.n; i++)
        if (strcmp(r.findings[i].kind, kind) == 0 && r.findings[i].number == number)
            return;
    ck_abort_msg("%s of row %d was not found among %zu findings, the first: %s %d", kind, (int)number, r.n,
                 r.n ? r.findings[0].kind : "-", r.n ? (int)r.findings[0].number : 0);
}

START_TEST(a_log_as_it_was_written_has_no_findings)
{
    ck_assert_uint_eq(verify().n, 0);
    rows_write(30);
    struct audit_report r = verify();
    ck_assert_msg(r.n == 0, "%s: %s", r.findings[0].kind, r.findings[0].words);
    ck_assert_int_eq(r.rows, 30);
    ck_assert_int_eq(r.signed_to, 30);
    log_close();
    log_open_again();
    rows_write(3);
    r = verify();
    ck_assert_uint_eq(r.n, 0);
    ck_assert_int_eq(r.signed_to, 33);
}
END_TEST

START_TEST(what_is_done_to_the_file_is_found)
{
    static const struct {
        const char *sql, *kind;
        int64_t number;
    } cases[] = {
        {"UPDATE audit SET object = 'key 99' WHERE number = 12", "changed", 12},
        {"UPDATE audit SET outcome = 'denied' WHERE number = 1", "changed", 1},
        {"UPDATE audit SET hash = zeroblob(32) WHERE number = 7", "changed", 7},
        {"UPDATE audit SET mac = zeroblob(32) WHERE number = 7", "forged", 7},
        {"UPDATE audit SET mac = x'' WHERE number = 7", "unsigned", 7},
        {"DELETE FROM audit WHERE number = 12", "missing", 12},
        {"DELETE FROM audit WHERE number BETWEEN 10 AND 14", "missing", 10},
        {"DELETE FROM audit WHERE number > 25", "cut", 26},
        {"DELETE FROM audit", "cut", 1},
        /* a tail cut off and made longer again with copies */
        {"DELETE FROM audit WHERE number > 28; INSERT INTO audit SELECT 29, time_ns, actor, actor_kind, credential,"
         " address, action, object, text_before, text_after, outcome, hash, mac FROM audit WHERE number = 3",
         "changed", 29},
        /* a row in the middle: the others moved up, or between two numbers there is no room */
        {"CREATE TABLE held AS SELECT * FROM audit WHERE number > 11; DELETE FROM audit WHERE number > 11;"
         " INSERT INTO audit SELECT 12, time_ns, actor, actor_kind, credential, address, action, 'planted', text_before,"
         " text_after, outcome, hash, mac FROM audit WHERE number = 11; UPDATE held SET number = number + 1;"
         " INSERT INTO audit SELECT * FROM held; DROP TABLE held",
         "changed", 12},
        /* two rows that changed places */
        {"UPDATE audit SET number = 1000 WHERE number = 12; UPDATE audit SET number = 12 WHERE number = 13;"
         " UPDATE audit SET number = 13 WHERE number = 1000",
         "changed", 12},
        /* rows moved down over a hole */
        {"DELETE FROM audit WHERE number = 12; UPDATE audit SET number = number - 1 WHERE number > 12", "changed", 12},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (i) {
            teardown();
            setup();
        }
        rows_write(30);
        ck_assert_uint_eq(verify().n, 0);
        tamper(cases[i].sql);
        finds(cases[i].kind, cases[i].number);
    }
}
END_TEST

/* All hashes made anew, as this program does it but without the key: the chain holds, signatures and head do not. */
START_TEST(a_rebuilt_log_is_found)
{
    rows_write(30);
    ck_assert_uint_eq(verify().n, 0);
    const char *keys = at("keys"), *other = at("keys-of-somebody");
    log_close();
    ck_assert_int_eq(rename(keys, other), 0);
    tamper("DELETE FROM audit"); /* opens the log with another key, made by itself */
    rows_write(30);
    ck_assert_uint_eq(verify().n, 0);
    log_close();
    ck_assert_int_eq(rename(keys, at("keys-of-the-forger")), 0);
    ck_assert_int_eq(rename(other, keys), 0);
    log_open_again();
    finds("forged", 1);
    finds("rebuilt", 30);
}
END_TEST

START_TEST(rows_behind_the_head_are_no_tampering)
{
    rows_write(3); /* the very first ones, and the daemon ends before it signs */
    log_close();
    log_open_again();
    struct audit_report r = verify();
    ck_assert_msg(r.n == 0, "%s", r.findings[0].words);
    rows_write(17);
    audit_tick(a);
    rows_write(5); /* and again */
    log_close();
    log_open_again();
    r = verify();
    ck_assert_msg(r.n == 0, "%s", r.findings[0].words);
    ck_assert_int_eq(r.rows, 25);
}
END_TEST

/* Somebody writes into the database while the daemon runs. */
START_TEST(a_tail_that_is_cut_under_the_daemon_is_found)
{
    sqlite3 *db;
    rows_write(20);
    ck_assert_uint_eq(verify().n, 0);
    ck_assert_int_eq(sqlite3_open(at("data/nightmill.db"), &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "DELETE FROM audit WHERE number > 15", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    rows_write(10); /* the chain goes on, with good signatures */
    audit_tick(a);
    finds("rebuilt", 20);
    log_close();
    log_open_again();
    finds("rebuilt", 20);
}
END_TEST

START_TEST(a_head_is_not_signed_over_what_does_not_continue_it)
{
    struct err err = {0};
    rows_write(20);
    ck_assert_uint_eq(verify().n, 0);
    tamper("DELETE FROM audit WHERE number > 10");
    rows_write(15); /* longer than before: the count alone says nothing */
    audit_tick(a);
    finds("rebuilt", 20);
    log_close();
    log_open_again();
    finds("rebuilt", 20);
    ck_assert_int_eq(audit_accept(a, &err), RC_OK);
    ck_assert_uint_eq(verify().n, 0);
}
END_TEST

/* An older head was signed as well: put back, it lets the rows that it counts be held against the log, and what came
 * later has signatures of its own. Together with a cut to exactly that count it is the log of that day: this is what
 * only an export kept elsewhere can tell. */
START_TEST(an_older_head_hides_no_change)
{
    const char *head = at("keys/audit/one.head"), *old = at("old.head");
    char command[300];
    step_ns = 10 * INT64_C(1000000000);
    rows_write(10);
    ck_assert_uint_eq(verify().n, 0);
    snprintf(command, sizeof command, "cp '%s' '%s'", head, old);
    ck_assert_int_eq(system(command), 0);
    rows_write(20);
    ck_assert_uint_eq(verify().n, 0);
    snprintf(command, sizeof command, "cp '%s' '%s'", old, head);
    log_close();
    ck_assert_int_eq(system(command), 0);
    log_open_again();
    finds("head", 11);
    audit_tick(a);
    finds("head", 11); /* it is not signed over */
    tamper("UPDATE audit SET object = 'key 99' WHERE number = 20");
    ck_assert_int_eq(system(command), 0);
    finds("changed", 20);
}
END_TEST

START_TEST(a_head_that_is_gone_or_forged_is_found)
{
    rows_write(5);
    ck_assert_uint_eq(verify().n, 0);
    FILE *f = fopen(at("keys/audit/one.head"), "w");
    fprintf(f, "{\"count\":3,\"hash\":\"%064d\",\"mac\":\"%064d\"}", 0, 0);
    fclose(f);
    log_close();
    log_open_again();
    finds("head", 0);
    unlink(at("keys/audit/one.head"));
    log_close();
    log_open_again();
    finds("head", 0);
}
END_TEST

/* ---- in the transaction of a change ---- */

static enum rc change(struct store_tx *tx, void *arg, struct err *err)
{
    struct ticket_arg {
        bool fail;
    } *t = arg;
    (void)tx;
    return t->fail ? err_set(err, RC_CONFLICT, "no") : RC_OK;
}

START_TEST(a_row_goes_with_the_change)
{
    struct err err = {0};
    bool fail = true;
    struct audit_row row = {.actor = "ada", .action = "user_create", .outcome = "done"};
    struct audit_rider rider = {.audit = a, .row = &row};
    audit_ride(&rider);
    ck_assert_int_eq(store_write(s, change, &fail, &err), RC_CONFLICT);
    ck_assert(!rider.ride.taken);
    ck_assert_int_eq(verify().rows, 0);
    fail = false;
    ck_assert_int_eq(store_write(s, change, &fail, &err), RC_OK);
    ck_assert(rider.ride.taken);
    ck_assert_int_eq(store_write(s, change, &fail, &err), RC_OK);
    ck_assert_int_eq(verify().rows, 1);
    audit_ride(&rider);
    store_ride(NULL);
    ck_assert_int_eq(store_write(s, change, &fail, &err), RC_OK);
    ck_assert_int_eq(verify().rows, 1);
}
END_TEST

START_TEST(long_texts_are_cut_before_they_are_signed)
{
    struct err err = {0};
    char *text = mem_zalloc(root, 100001);
    memset(text, 'x', 100000);
    struct audit_row row = {.actor = text, .action = text, .after = text, .outcome = "done"};
    ck_assert_int_eq(audit_write(a, &row, &err), RC_OK);
    ck_assert_uint_eq(verify().n, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit");
    TCase *c = tcase_create("audit");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, a_log_as_it_was_written_has_no_findings);
    tcase_add_test(c, what_is_done_to_the_file_is_found);
    tcase_add_test(c, a_rebuilt_log_is_found);
    tcase_add_test(c, rows_behind_the_head_are_no_tampering);
    tcase_add_test(c, a_head_is_not_signed_over_what_does_not_continue_it);
    tcase_add_test(c, a_tail_that_is_cut_under_the_daemon_is_found);
    tcase_add_test(c, an_older_head_hides_no_change);
    tcase_add_test(c, a_head_that_is_gone_or_forged_is_found);
    tcase_add_test(c, a_row_goes_with_the_change);
    tcase_add_test(c, long_texts_are_cut_before_they_are_signed);
    suite_add_tcase(suite, c);
    SRunner *run = srunner_create(suite);
    srunner_run_all(run, CK_NORMAL);
    int failed = srunner_ntests_failed(run);
    srunner_free(run);
    return failed ? 1 : 0;
}
