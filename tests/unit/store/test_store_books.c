/* Contract: what was appended to the books becomes rows exactly once, whatever moment the process ends at; a hold that
 * ended meanwhile becomes what it ended as; what is damaged or another database's is not taken; one entry that cannot
 * be a row does not keep the others from it. */
#include "base/clock.h"
#include "base/id.h"
#include "store/books.h"
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64], file[96];
static mem *root;
static struct store *s;
static struct books *b;
static struct err err;

#define FINE(call) ck_assert_msg((call) == RC_OK, "%s (%s)", err.sentence, err.detail)

/* How many entries the last process left. */
static int64_t begin(void)
{
    int64_t found = -1;
    root = mem_root();
    FINE(store_open(root, folder, &s, &err));
    FINE(books_open(root, s, folder, &b, &found, &err));
    return found;
}

static void end(void)
{
    mem_free(b);
    s = store_close(s);
    root = mem_free(root);
}

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/test_books_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/books", folder);
}

static void teardown(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static struct hold hold(int64_t id)
{
    static char request[32];
    snprintf(request, sizeof request, "req_%lld", (long long)id);
    return (struct hold){.id = id,
                         .spender = {.organisation = "o", .project = "p", .model = "m", .key = "k"},
                         .request = request,
                         .attempt = 1,
                         .provider = "prov",
                         .dialect = "chat",
                         .price_id = 7,
                         .currency = "USD",
                         .amount = 1000,
                         .tokens = 50,
                         .opened_ns = 100 + id};
}

static struct ledger_row row(pico cost)
{
    return (struct ledger_row){
        .provider = "",
        .time_ns = 500,
        .model_served = "served",
        .price_id = 7,
        .currency = "USD",
        .usage = {.input = 1, .cache_read = 2, .cache_write = 3, .cache_write_1h = 4, .output = 5},
        .cost = cost};
}

static void hold_now(int64_t id)
{
    struct hold h = hold(id);
    FINE(books_hold(b, &h, &err));
}

static void settle_now(int64_t id, pico cost)
{
    struct ledger_row r = row(cost);
    FINE(books_end(b, id, "settled", &r, &err));
}

static size_t ledger_count(void)
{
    struct ledger_filter all = {0};
    struct ledger_row *rows;
    size_t n;
    FINE(ledger_rows(root, s, &all, 0, 10000, &rows, &n, &err));
    return n;
}

static const char *state(int64_t id)
{
    struct hold h;
    return hold_find(root, s, id, &h, NULL) == RC_OK ? h.state : "none";
}

/* More pairs of quarter and currency in one batch than are kept at a time; a later batch adds to the same. */
START_TEST(test_quarters_are_those_of_the_rows)
{
    static const char *const currencies[] = {"USD", "EUR", "GBP"};
    ck_assert_int_eq(begin(), 0);
    for (int64_t id = 1; id <= 120; id++) {
        struct hold h = hold(id);
        struct ledger_row r = row(PICO_PER_UNIT / 3 * id);
        h.opened_ns = id % 7 * LEDGER_QUARTER_NS + id;
        h.currency = r.currency = currencies[id % 3];
        FINE(books_hold(b, &h, &err));
        if (id == 60 || id == 61)
            FINE(books_sync(b, &err)); /* 61 is a row before it ends */
        FINE(books_end(b, id, "settled", &r, &err));
    }
    FINE(books_sync(b, &err));
    int64_t requests = 0;
    for (int64_t quarter = 0; quarter < 7; quarter++) {
        struct ledger_tally *sums;
        size_t n;
        FINE(ledger_span(root, s, quarter * LEDGER_QUARTER_NS, (quarter + 1) * LEDGER_QUARTER_NS, &sums, &n, &err));
        ck_assert_uint_eq(n, 3);
        for (size_t i = 0; i < n; i++) {
            int64_t count = 0;
            pico cost = 0;
            for (int64_t id = 1; id <= 120; id++)
                if (id % 7 == quarter && strcmp(currencies[id % 3], sums[i].currency) == 0) {
                    count++;
                    cost += PICO_PER_UNIT / 3 * id;
                }
            ck_assert_int_eq(sums[i].requests, count);
            ck_assert_int_eq(sums[i].unpriced, 0);
            ck_assert_int_eq(sums[i].cost, cost);
            requests += count;
        }
    }
    ck_assert_int_eq(requests, 120);
    end();
}
END_TEST

START_TEST(test_what_ended_becomes_what_it_ended_as)
{
    ck_assert_int_eq(begin(), 0);
    for (int64_t id = 1; id <= 4; id++)
        hold_now(id);
    settle_now(2, 700);
    FINE(books_end(b, 3, "released", NULL, &err));
    FINE(books_end(b, 4, "kept", NULL, &err));
    ck_assert_uint_eq(ledger_count(), 0);
    ck_assert_str_eq(state(1), "none");
    ck_assert_uint_gt(books_pending(b), 0);
    FINE(books_sync(b, &err));
    ck_assert_uint_eq(books_pending(b), 0);
    ck_assert_str_eq(state(1), "open");
    ck_assert_str_eq(state(2), "none");
    ck_assert_str_eq(state(3), "none");
    ck_assert_str_eq(state(4), "kept");
    struct ledger_filter all = {0};
    struct ledger_row *r;
    size_t n;
    FINE(ledger_rows(root, s, &all, 0, 10, &r, &n, &err));
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(r->hold_id, 2);
    ck_assert_str_eq(r->request, "req_2");
    ck_assert_str_eq(r->provider, "prov");
    ck_assert_str_eq(r->model_served, "served");
    ck_assert_str_eq(r->spender.key, "k");
    ck_assert_ptr_null(r->spender.task);
    ck_assert_int_eq(r->opened_ns, 102);
    ck_assert_int_eq(r->cost, 700);
    ck_assert(r->usage.input == 1 && r->usage.cache_write_1h == 4 && r->usage.output == 5);
    int64_t last;
    FINE(hold_last_id(s, &last, &err));
    ck_assert_int_eq(last, 4);
    hold_now(5);
    settle_now(5, 1); /* has no row but that of the ledger: its number is taken all the same */
    FINE(books_sync(b, &err));
    FINE(hold_last_id(s, &last, &err));
    ck_assert_int_eq(last, 5);
    end();
}
END_TEST

START_TEST(test_a_hold_that_is_a_row_ends_later)
{
    begin();
    hold_now(1);
    hold_now(2);
    FINE(books_sync(b, &err));
    settle_now(1, 9);
    FINE(books_end(b, 2, "released", NULL, &err));
    FINE(books_sync(b, &err));
    ck_assert_str_eq(state(1), "settled");
    ck_assert_str_eq(state(2), "released");
    ck_assert_uint_eq(ledger_count(), 1);
    end();
}
END_TEST

START_TEST(test_exchange_rates_stay_with_their_hold)
{
    struct frozen_rate rate = {"USD", "EUR", {9, 10}, 3};
    struct hold h = hold(1);
    begin();
    h.rates = &rate;
    h.rate_count = 1;
    FINE(books_hold(b, &h, &err));
    settle_now(1, 9);
    FINE(books_sync(b, &err));
    ck_assert_str_eq(state(1), "settled");
    end();
}
END_TEST

/* Runs work in a process that is killed at its end. */
static void killed(void (*work)(void))
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        begin();
        work();
        kill(getpid(), SIGKILL);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void work_some(void)
{
    hold_now(1);
    hold_now(2);
    settle_now(1, 40);
}

START_TEST(test_the_end_of_the_process_loses_nothing)
{
    killed(work_some);
    ck_assert_int_eq(begin(), 3);
    ck_assert_uint_eq(ledger_count(), 1);
    ck_assert_str_eq(state(2), "open");
    end();
    ck_assert_int_eq(begin(), 0);
    ck_assert_uint_eq(ledger_count(), 1);
    settle_now(2, 1);
    end(); /* in order: rows are made */
    ck_assert_int_eq(begin(), 0);
    ck_assert_uint_eq(ledger_count(), 2);
    end();
}
END_TEST

static void file_copy(const char *from, const char *to)
{
    char command[256];
    snprintf(command, sizeof command, "cp '%s' '%s'", from, to);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(test_what_is_rows_already_is_not_taken_again)
{
    char before[112];
    snprintf(before, sizeof before, "%s.before", file);
    begin();
    work_some();
    file_copy(file, before);
    FINE(books_end(b, 2, "kept", NULL, &err));
    end();
    file_copy(before, file); /* as if the process had ended between the commit and the emptying of the file */
    ck_assert_int_eq(begin(), 0);
    ck_assert_uint_eq(ledger_count(), 1);
    ck_assert_str_eq(state(2), "kept");
    hold_now(3);
    settle_now(3, 5);
    end();
    begin();
    ck_assert_uint_eq(ledger_count(), 2);
    end();
}
END_TEST

static void byte_change(long at)
{
    int fd = open(file, O_RDWR);
    char c;
    ck_assert_int_eq(pread(fd, &c, 1, at), 1);
    c ^= 1;
    ck_assert_int_eq(pwrite(fd, &c, 1, at), 1);
    close(fd);
}

START_TEST(test_reading_stops_at_what_is_damaged)
{
    killed(work_some);
    byte_change(64 + 200); /* in the second entry: each has some 150 bytes */
    ck_assert_int_eq(begin(), 1);
    ck_assert_str_eq(state(1), "open");
    ck_assert_uint_eq(ledger_count(), 0);
    hold_now(9);
    end();
    ck_assert_int_eq(begin(), 0);
    ck_assert_str_eq(state(9), "open");
    end();
}
END_TEST

START_TEST(test_the_file_of_another_database_is_put_aside)
{
    char command[256], other[80];
    killed(work_some);
    snprintf(other, sizeof other, "%s/nightmill.db*", folder);
    snprintf(command, sizeof command, "rm %s && ls %s", other, folder);
    ck_assert_int_eq(system(command), 0);
    ck_assert_int_eq(begin(), 0);
    ck_assert_uint_eq(ledger_count(), 0);
    end();
    snprintf(command, sizeof command, "test -f %s.[0-9]*", file);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(test_full_books_wait_for_the_database)
{
    begin();
    enum rc rc = RC_OK;
    int64_t id = 0;
    for (int round = 0; round < 3; round++) {
        for (int n = 0; n < 100000 && rc == RC_OK; n++) {
            struct hold h = hold(++id);
            rc = books_hold(b, &h, &err);
        }
        ck_assert_int_eq(rc, RC_AGAIN);
        ck_assert_uint_gt(books_pending(b), BOOKS_HALF); /* both halves */
        id--;
        FINE(books_sync(b, &err));
        rc = RC_OK;
    }
    hold_now(id + 1);
    FINE(books_sync(b, &err));
    struct held *held;
    size_t n;
    FINE(hold_held(root, s, &held, &n, &err));
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(held->holds, id + 1);
    end();
}
END_TEST

START_TEST(test_frozen_nothing_ends)
{
    begin();
    hold_now(1);
    books_freeze(b);
    struct ledger_row r = row(1);
    ck_assert_int_eq(books_end(b, 1, "settled", &r, &err), RC_AGAIN);
    hold_now(2);
    books_thaw(b);
    FINE(books_end(b, 1, "settled", &r, &err));
    end();
}
END_TEST

START_TEST(test_what_can_never_be_a_row_is_refused)
{
    struct hold h = hold(1);
    struct ledger_row r = row(1);
    char longest[300];
    begin();
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    h.spender.model = longest;
    ck_assert_int_eq(books_hold(b, &h, &err), RC_INVALID);
    r.usage.output = -1;
    ck_assert_int_eq(books_end(b, 1, "settled", &r, &err), RC_INVALID);
    r = row(-1);
    ck_assert_int_eq(books_end(b, 1, "settled", &r, &err), RC_INVALID);
    ck_assert_uint_eq(books_pending(b), 0);
    end();
}
END_TEST

START_TEST(test_one_that_cannot_be_a_row_does_not_stop_the_others)
{
    begin();
    struct hold h = hold(1);
    h.spender.task = "0000000"; /* there is none */
    FINE(books_hold(b, &h, &err));
    hold_now(2);
    settle_now(77, 5); /* of no hold */
    settle_now(2, 5);
    FINE(books_sync(b, &err));
    ck_assert_str_eq(state(1), "none");
    ck_assert_uint_eq(ledger_count(), 1);
    ck_assert_uint_eq(books_pending(b), 0);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("books");
    TCase *t = tcase_create("books");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_what_ended_becomes_what_it_ended_as);
    tcase_add_test(t, test_quarters_are_those_of_the_rows);
    tcase_add_test(t, test_a_hold_that_is_a_row_ends_later);
    tcase_add_test(t, test_exchange_rates_stay_with_their_hold);
    tcase_add_test(t, test_the_end_of_the_process_loses_nothing);
    tcase_add_test(t, test_what_is_rows_already_is_not_taken_again);
    tcase_add_test(t, test_reading_stops_at_what_is_damaged);
    tcase_add_test(t, test_the_file_of_another_database_is_put_aside);
    tcase_add_test(t, test_full_books_wait_for_the_database);
    tcase_add_test(t, test_frozen_nothing_ends);
    tcase_add_test(t, test_what_can_never_be_a_row_is_refused);
    tcase_add_test(t, test_one_that_cannot_be_a_row_does_not_stop_the_others);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
