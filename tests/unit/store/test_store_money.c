/* Contract: a task's settled cost plus its open and kept holds never passes the limit, however many threads ask at
 * once; a hold is settled at most once; what a crash left open counts as spent; sums saturate instead of wrapping. */
#include "store/store.h"
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];
static mem *root;
static struct store *s;
static struct err err;

static void open_store(void)
{
    root = mem_root();
    ck_assert_msg(store_open(root, folder, &s, &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
}

static enum rc insert_tasks(struct store_tx *tx, void *arg, struct err *e)
{
    static const char *const ids[] = {"aaaaaa1", "aaaaaa2"};
    (void)arg;
    for (int i = 0; i < 2; i++) {
        struct task t = {
            .id = ids[i], .title = "t", .text = "t", .repo = "/r", .state = "working", .spec = "{}", .currency = "USD"};
        enum rc rc = task_insert(tx, &t, e);
        if (rc)
            return rc;
    }
    return RC_OK;
}

#define WRITE(fn, arg) ck_assert_msg(store_write(s, fn, arg, &err) == RC_OK, "%s (%s)", err.sentence, err.detail)

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/test_money_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    open_store();
    WRITE(insert_tasks, NULL);
}

static void teardown(void)
{
    char command[128];
    s = store_close(s);
    root = mem_free(root);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

struct asked {
    struct hold h;
    pico limit;
    int64_t limit_tokens;
};

static enum rc open_hold(struct store_tx *tx, void *arg, struct err *e)
{
    struct asked *a = arg;
    return hold_open(tx, &a->h, a->limit, a->limit_tokens, e);
}

static struct asked ask(const char *task, const char *key, pico amount, pico limit)
{
    return (struct asked){.h = {.task_id = task,
                                .key = key,
                                .iteration = 1,
                                .model = "m",
                                .price_id = 1,
                                .currency = "USD",
                                .amount = amount,
                                .tokens = 10},
                          .limit = limit};
}

struct settling {
    int64_t hold;
    struct ledger_row row;
    const char *close; /* "released" or "kept" instead */
    bool is_new;
};

static enum rc settle(struct store_tx *tx, void *arg, struct err *e)
{
    struct settling *x = arg;
    return x->close ? hold_close(tx, x->hold, x->close, e) : hold_settle(tx, x->hold, &x->row, &x->is_new, e);
}

static struct settling settling(const struct hold *h, pico cost)
{
    return (struct settling){.hold = h->id,
                             .row = {.task_id = h->task_id,
                                     .iteration = 1,
                                     .time_ns = 1,
                                     .model = "m",
                                     .model_served = "m-1",
                                     .price_id = 1,
                                     .currency = "USD",
                                     .usage = {.input = 5, .output = 3},
                                     .cost = cost}};
}

static struct spent spent(const char *task)
{
    struct spent sum;
    ck_assert_int_eq(ledger_spent(s, task, &sum, &err), RC_OK);
    return sum;
}

START_TEST(admission_counts_settled_open_and_kept)
{
    struct asked a = ask("aaaaaa1", "k1", 40, 100), b = ask("aaaaaa1", "k2", 40, 100),
                 c = ask("aaaaaa1", "k3", 21, 100);
    WRITE(open_hold, &a);
    WRITE(open_hold, &b);
    ck_assert_int_eq(store_write(s, open_hold, &c, &err), RC_LIMIT); /* 80 + 21 */
    ck_assert_ptr_nonnull(strstr(err.hint, "nightmill resume aaaaaa1"));
    struct settling x = settling(&a.h, 10);
    WRITE(settle, &x);
    ck_assert(x.is_new);
    WRITE(open_hold, &c); /* 10 + 40 + 21 */
    struct settling kept = {.hold = b.h.id, .close = "kept"}, released = {.hold = c.h.id, .close = "released"};
    WRITE(settle, &kept);
    WRITE(settle, &released);
    struct spent sum = spent("aaaaaa1");
    ck_assert(sum.settled == 10 && sum.held == 40 && sum.requests == 1 && sum.kept == 1);
    struct asked d = ask("aaaaaa1", "k4", 51, 100), e = ask("aaaaaa1", "k5", 50, 100),
                 other = ask("aaaaaa2", "k1", 100, 100);
    ck_assert_int_eq(store_write(s, open_hold, &d, &err), RC_LIMIT);
    WRITE(open_hold, &e);     /* exactly the limit */
    WRITE(open_hold, &other); /* another task has its own */
}
END_TEST

START_TEST(hold_is_settled_once)
{
    struct asked a = ask("aaaaaa1", "k1", 40, -1);
    WRITE(open_hold, &a);
    struct settling x = settling(&a.h, 7), again = settling(&a.h, 9), close = {.hold = a.h.id, .close = "kept"};
    WRITE(settle, &x);
    WRITE(settle, &again);
    ck_assert(x.is_new && !again.is_new);
    ck_assert_int_eq(store_write(s, settle, &close, &err), RC_CONFLICT);
    struct ledger_row *rows;
    size_t n;
    ck_assert(ledger_list(root, s, "aaaaaa1", &rows, &n, &err) == RC_OK && n == 1);
    ck_assert(rows[0].cost == 7 && rows[0].hold_id == a.h.id && rows[0].usage.input == 5 && rows[0].usage.output == 3);
    ck_assert_str_eq(rows[0].model_served, "m-1");
    struct asked b = ask("aaaaaa1", "k2", 40, -1);
    WRITE(open_hold, &b);
    close = (struct settling){.hold = b.h.id, .close = "kept"};
    WRITE(settle, &close);
    WRITE(settle, &close); /* the same again is fine */
    x = settling(&b.h, 1);
    ck_assert_int_eq(store_write(s, settle, &x, &err), RC_CONFLICT); /* it counts as spent already */
    x.hold = 12345;
    ck_assert_int_eq(store_write(s, settle, &x, &err), RC_NOT_FOUND);
}
END_TEST

START_TEST(attempts_are_numbered)
{
    struct asked a = ask("aaaaaa1", "k1", 1, -1), b = a, c = a, other = ask("aaaaaa1", "k2", 1, -1);
    WRITE(open_hold, &a);
    WRITE(open_hold, &b);
    WRITE(open_hold, &other);
    ck_assert(a.h.attempt == 1 && b.h.attempt == 2 && other.h.attempt == 1);
    c.h.attempt = 2;
    ck_assert_int_eq(store_write(s, open_hold, &c, &err), RC_CONFLICT);
    c.h.attempt = 3;
    WRITE(open_hold, &c);
}
END_TEST

START_TEST(tokens_are_limited_too)
{
    struct asked a = ask("aaaaaa1", "k1", 0, -1);
    a.limit_tokens = 15; /* each asks for 10 */
    WRITE(open_hold, &a);
    struct asked b = a;
    ck_assert_int_eq(store_write(s, open_hold, &b, &err), RC_LIMIT);
    struct settling x = settling(&a.h, 0); /* 8 were used */
    WRITE(settle, &x);
    ck_assert_int_eq(store_write(s, open_hold, &b, &err), RC_LIMIT);
    b.limit_tokens = 18;
    b.h.attempt = 0;
    WRITE(open_hold, &b);
}
END_TEST

START_TEST(bad_requests_are_refused)
{
    struct asked a = ask("aaaaaa9", "k1", 1, -1);
    ck_assert_int_eq(store_write(s, open_hold, &a, &err), RC_NOT_FOUND);
    a = ask("aaaaaa1", "k1", -1, -1);
    ck_assert_int_eq(store_write(s, open_hold, &a, &err), RC_INVALID);
    a = ask("aaaaaa1", "", 1, -1);
    ck_assert_int_eq(store_write(s, open_hold, &a, &err), RC_INVALID);
    a = ask("aaaaaa1", "k1", 1, 100);
    a.h.currency = "EUR"; /* under a budget in USD */
    ck_assert_int_eq(store_write(s, open_hold, &a, &err), RC_INVALID);
    a.h.amount = 0;
    WRITE(open_hold, &a);
    struct settling x = settling(&a.h, 1);
    x.row.usage.output = -1; /* unknown usage cannot be settled */
    ck_assert_int_eq(store_write(s, settle, &x, &err), RC_INVALID);
    x.row.usage.output = INT64_MAX;
    ck_assert_int_eq(store_write(s, settle, &x, &err), RC_INVALID);
    x = settling(&a.h, 1);
    x.row.task_id = "aaaaaa2";
    ck_assert_int_eq(store_write(s, settle, &x, &err), RC_INVALID);
    ck_assert_int_eq(spent("aaaaaa1").requests, 0);
}
END_TEST

START_TEST(sums_saturate)
{
    struct asked a = ask("aaaaaa1", "k1", INT64_MAX, -1), b = ask("aaaaaa1", "k2", INT64_MAX - 5, -1),
                 c = ask("aaaaaa1", "k3", 1, 1000);
    WRITE(open_hold, &a);
    ck_assert_int_eq(spent("aaaaaa1").held, INT64_MAX);
    WRITE(open_hold, &b);
    ck_assert_int_eq(spent("aaaaaa1").held, INT64_MAX);
    ck_assert_int_eq(store_write(s, open_hold, &c, &err), RC_LIMIT);
    struct settling x = settling(&a.h, INT64_MAX), y = {.hold = b.h.id, .close = "released"};
    WRITE(settle, &x);
    WRITE(settle, &y);
    struct spent sum = spent("aaaaaa1");
    ck_assert(sum.settled == INT64_MAX && sum.held == 0);
    /* Amounts whose parts below a unit add up to more than a unit. */
    struct asked d = ask("aaaaaa2", "k1", PICO_PER_UNIT - 1, -1), e = ask("aaaaaa2", "k2", 3 * PICO_PER_UNIT + 7, -1);
    WRITE(open_hold, &d);
    WRITE(open_hold, &e);
    ck_assert_int_eq(spent("aaaaaa2").held, 4 * PICO_PER_UNIT + 6);
}
END_TEST

/* ---- the property ---- */

#define LIMIT 100000
struct worker {
    pthread_t thread;
    unsigned seed;
    int admitted, refused;
};

/* What counts, as the rows say it. */
static void check_limit(void)
{
    struct spent sum = spent("aaaaaa1");
    ck_assert_int_le(sum.settled + sum.held, LIMIT);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    for (int i = 0; i < 150; i++) {
        struct asked a = ask("aaaaaa1", "k", 1 + rand_r(&w->seed) % (LIMIT / 20), LIMIT);
        enum rc rc = store_write(s, open_hold, &a, NULL);
        ck_assert(rc == RC_OK || rc == RC_LIMIT);
        check_limit();
        w->refused += rc == RC_LIMIT;
        w->admitted += rc == RC_OK;
        if (rc)
            continue;
        struct settling x = settling(&a.h, rand_r(&w->seed) % (a.h.amount / 50 + 1)); /* never above its hold */
        int fate = rand_r(&w->seed) % 20;
        x.close = fate == 0 ? "kept" : fate < 4 ? "released" : NULL;
        if (fate < 19) /* the rest stays open */
            ck_assert_int_eq(store_write(s, settle, &x, NULL), RC_OK);
        check_limit();
    }
    return NULL;
}

START_TEST(limit_holds_under_concurrency)
{
    struct worker workers[12] = {0};
    int admitted = 0, refused = 0;
    for (int i = 0; i < 12; i++) {
        workers[i].seed = 77u + (unsigned)i;
        ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < 12; i++) {
        pthread_join(workers[i].thread, NULL);
        admitted += workers[i].admitted;
        refused += workers[i].refused;
    }
    ck_assert_int_gt(admitted, 0);
    ck_assert_int_gt(refused, 0); /* else nothing was tried */
    struct ledger_row *rows;
    size_t n;
    pico sum = 0;
    ck_assert_int_eq(ledger_list(root, s, "aaaaaa1", &rows, &n, &err), RC_OK);
    for (size_t i = 0; i < n; i++)
        sum += rows[i].cost;
    ck_assert_int_eq(sum, spent("aaaaaa1").settled);
}
END_TEST

/* ---- a crash ---- */

static enum rc keep(struct store_tx *tx, void *arg, struct err *e)
{
    return hold_keep_open_ones(tx, arg, e);
}

START_TEST(open_holds_of_a_crash_are_kept)
{
    s = store_close(s);
    pid_t pid = fork();
    if (pid == 0) { /* opens three, settles one, dies */
        mem *own = mem_root();
        if (store_open(own, folder, &s, NULL) != RC_OK)
            _exit(1);
        struct asked a[3];
        for (int i = 0; i < 3; i++) {
            a[i] = ask("aaaaaa1", "k", 30, 100);
            if (store_write(s, open_hold, &a[i], NULL) != RC_OK)
                _exit(2);
        }
        struct settling x = settling(&a[0].h, 5);
        if (store_write(s, settle, &x, NULL) != RC_OK)
            _exit(3);
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    mem_free(root);
    open_store();
    int64_t kept = -1;
    WRITE(keep, &kept);
    ck_assert_int_eq(kept, 2);
    WRITE(keep, &kept);
    ck_assert_int_eq(kept, 0);
    struct spent sum = spent("aaaaaa1");
    ck_assert(sum.settled == 5 && sum.held == 60 && sum.kept == 2);
    struct asked more = ask("aaaaaa1", "k", 36, 100), fits = ask("aaaaaa1", "k", 35, 100);
    ck_assert_int_eq(store_write(s, open_hold, &more, &err), RC_LIMIT);
    WRITE(open_hold, &fits);
    ck_assert_int_eq(fits.h.attempt, 4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store money");
    TCase *tc = tcase_create("money");
    tcase_set_timeout(tc, 100);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, admission_counts_settled_open_and_kept);
    tcase_add_test(tc, hold_is_settled_once);
    tcase_add_test(tc, attempts_are_numbered);
    tcase_add_test(tc, tokens_are_limited_too);
    tcase_add_test(tc, bad_requests_are_refused);
    tcase_add_test(tc, sums_saturate);
    tcase_add_test(tc, limit_holds_under_concurrency);
    tcase_add_test(tc, open_holds_of_a_crash_are_kept);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
