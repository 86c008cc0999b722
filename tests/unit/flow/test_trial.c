/* Contracts of trials: nothing is made unless all of it can be; limits are of all together and shares never come to
 * more; one winner, decided once, whoever passes when and however often it is looked for; losers are told or stopped;
 * cheapest is by the ledger, and what has no price does not win over what has one. */
#include "base/clock.h"
#include "flow/trial.h"
#include "os/path.h"
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static char dir[64];
static mem *ctx;
static struct board board;
static struct err err;

#define SPEC(model, limits)                                                                                            \
    "{\"text\":\"Add a flag\",\"repo\":\"/r\",\"git_dir\":\"/r/.git\",\"base\":\"abc\","                               \
    "\"checks\":[{\"name\":\"c\",\"command\":\"true\"}],\"limits\":" limits ",\"model\":{\"name\":\"" model            \
    "\",\"url\":\"http://127.0.0.1:1\",\"wire\":\"chat\"}}"
#define LIMITS "{\"iterations\":5,\"money\":\"1.00\",\"tokens\":100,\"currency\":\"USD\"}"
#define FREE   "{\"iterations\":5,\"currency\":\"USD\"}"

static struct json parsed(const char *text)
{
    struct json v;
    ck_assert_int_eq(json_parse(ctx, str_of(text), &v, NULL), RC_OK);
    return v;
}

static void setup(void)
{
    snprintf(dir, sizeof dir, "/tmp/nightmill-trial-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ctx = mem_root();
    board.data_dir = dir;
    ck_assert_msg(store_open(ctx, dir, &board.store, &err) == RC_OK, "%s", err.sentence);
}

static void teardown(void)
{
    store_close(board.store);
    mem_free(ctx);
    ck_assert_int_eq(path_remove_tree(dir, &err), RC_OK);
}

static struct task *attempts_of(const char *id, size_t n)
{
    struct task *attempts;
    size_t got;
    ck_assert_int_eq(task_attempts(ctx, board.store, id, &attempts, &got, &err), RC_OK);
    ck_assert_uint_eq(got, n);
    return attempts;
}

static struct trial found(const char *id)
{
    struct trial t;
    ck_assert_int_eq(trial_find(ctx, board.store, id, &t, &err), RC_OK);
    return t;
}

static struct trial created(const char *rule, const char *specs)
{
    struct trial t;
    struct json body = parsed(mem_printf(ctx, "{\"rule\":\"%s\",\"attempts\":[%s]}", rule, specs));
    ck_assert_msg(trial_create(ctx, &board, body, &t, &err) == RC_OK, "%s", err.sentence);
    return t;
}

struct applying {
    const char *id, *data;
    int64_t origin;
};
static enum rc apply_tx(struct store_tx *tx, void *arg, struct err *e)
{
    struct applying *a = arg;
    bool final;
    struct json event;
    CLEANUP_MEM mem *tmp = mem_root();
    enum rc rc = json_parse(
        tmp, str_of(mem_printf(tmp, "{\"type\":\"task.state\",\"time\":1,\"actor\":\"system\",\"data\":%s}", a->data)),
        &event, e);
    return rc == RC_OK ? board_apply(tx, a->id, a->origin, event, &final, e) : rc;
}
/* What the runner of an attempt journaled. */
static void said(const char *id, int64_t origin, const char *state, const char *reason)
{
    struct applying a = {id,
                         mem_printf(ctx, "{\"state\":\"%s\",\"reason\":\"%s\",\"words\":\"\",\"iteration\":%lld}",
                                    state, reason, (long long)origin),
                         origin};
    ck_assert_msg(store_write(board.store, apply_tx, &a, &err) == RC_OK, "%s", err.sentence);
}

static struct board_told *settled(size_t n)
{
    struct board_told *told;
    size_t got;
    ck_assert_msg(trials_settle(ctx, &board, NULL, &told, &got, &err) == RC_OK, "%s", err.sentence);
    ck_assert_uint_eq(got, n);
    return told;
}

static size_t events_of(const char *id, const char *type)
{
    struct event *events;
    size_t n, found_n = 0;
    ck_assert_int_eq(event_list(ctx, board.store, id, 0, 1000, &events, &n, &err), RC_OK);
    for (size_t i = 0; i < n; i++)
        found_n += strcmp(events[i].type, type) == 0;
    return found_n;
}

static void holds(const struct task *t, const char *state, const char *reason)
{
    ck_assert_str_eq(t->state, state);
    ck_assert_str_eq(t->reason, reason);
}

START_TEST(all_or_nothing_is_made)
{
    static const char *const bad[] = {
        "{\"rule\":\"first\",\"attempts\":[" SPEC("a", FREE) "]}",
        "{\"rule\":\"best\",\"attempts\":[" SPEC("a", FREE) "," SPEC("b", FREE) "]}",
        "{\"rule\":\"first\",\"attempts\":[" SPEC("a", FREE) "," SPEC("b", LIMITS) "]}",
        "{\"rule\":\"first\",\"attempts\":[" SPEC("a", FREE) ",{}]}",
        "{\"rule\":\"first\",\"attempts\":7}",
        "{\"rule\":\"first\",\"attempts\":[{\"text\":\"x\",\"repo\":\"/r\",\"git_dir\":\"g\",\"base\":\"b\","
        "\"model\":{\"name\":\"m\",\"url\":\"u\"}},{\"text\":\"x\",\"repo\":\"/r\",\"git_dir\":\"g\",\"base\":\"b\","
        "\"model\":{\"name\":\"m\",\"url\":\"u\"}}]}",
        "{\"rule\":\"first\",\"attempts\":[" SPEC("a", "{\"tokens\":1}") "," SPEC("b", "{\"tokens\":1}") "]}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct trial t;
        struct err why = {0};
        ck_assert_msg(trial_create(ctx, &board, parsed(bad[i]), &t, &why) == RC_INVALID, "%zu", i);
        ck_assert_str_ne(why.sentence, "");
    }
    int64_t n;
    ck_assert_int_eq(task_count(board.store, NULL, &n, &err), RC_OK);
    ck_assert_int_eq(n, 0);
}
END_TEST

START_TEST(limits_are_shared)
{
    struct trial t = created("first", SPEC("a", LIMITS) "," SPEC("b", LIMITS) "," SPEC("c", LIMITS));
    struct task *a = attempts_of(t.id, 3);
    ck_assert(found(t.id).limit_money == PICO_PER_UNIT && found(t.id).limit_tokens == 100);
    ck_assert(a[0].limit_money + a[1].limit_money + a[2].limit_money == PICO_PER_UNIT);
    ck_assert_int_eq(a[0].limit_tokens, 34);
    ck_assert_int_eq(a[2].limit_tokens, 33);
    settled(0); /* nobody has ended: nothing moves */
    ck_assert_int_eq(attempts_of(t.id, 3)[0].limit_tokens, 34);
    /* One ends, having used nothing: the others have what it leaves (a limit of 0 tokens would be none). */
    said(a[0].id, 1, "failed", "runner");
    settled(0);
    struct task *b = attempts_of(t.id, 3);
    ck_assert(b[0].limit_money == 0 && b[1].limit_money + b[2].limit_money == PICO_PER_UNIT);
    ck_assert_int_eq(b[0].limit_tokens, 1);
    ck_assert_int_eq(b[0].limit_tokens + b[1].limit_tokens + b[2].limit_tokens, 100);
    ck_assert_uint_eq(events_of(a[1].id, "trial.share"), 1);
    settled(0);
    ck_assert_uint_eq(events_of(a[1].id, "trial.share"), 1);
    /* One that rests at its share goes on when there is more. */
    said(a[1].id, 1, "paused", "limit_money");
    said(a[2].id, 1, "failed", "runner");
    settled(0);
    holds(&attempts_of(t.id, 3)[1], "queued", "");
    ck_assert(attempts_of(t.id, 3)[1].limit_money == PICO_PER_UNIT);
    /* What a person adds to an attempt is added to the trial. */
    struct task after;
    said(a[1].id, 2, "paused", "limit_money");
    ck_assert_int_eq(board_resume(ctx, &board, a[1].id, parsed("{\"money\":\"1.50\"}"), &after, &err), RC_OK);
    ck_assert(found(t.id).limit_money == PICO_PER_UNIT * 3 / 2);
}
END_TEST

START_TEST(first_is_who_passed_first)
{
    struct trial t = created("first", SPEC("a", FREE) "," SPEC("b", FREE) "," SPEC("c", FREE) "," SPEC("d", FREE));
    struct task *a = attempts_of(t.id, 4), after;
    said(a[0].id, 1, "working", "");
    said(a[3].id, 1, "needs_you", "stuck_no_change");
    settled(0);
    ck_assert_ptr_null(found(t.id).winner);
    said(a[2].id, 1, "paused", "trial");
    said(a[1].id, 1, "paused", "trial");
    ck_assert_int_eq(board_resume(ctx, &board, a[1].id, parsed("{}"), &after, &err), RC_CONFLICT);
    struct board_told *told = settled(1); /* the one at work */
    ck_assert_str_eq(told[0].task_id, a[0].id);
    ck_assert_ptr_nonnull(strstr(told[0].frame, "\"verb\":\"yield\""));
    ck_assert_ptr_nonnull(strstr(told[0].frame, a[2].id));
    ck_assert_str_eq(found(t.id).winner, a[2].id);
    struct task *b = attempts_of(t.id, 4);
    holds(&b[0], "working", "");
    holds(&b[1], "stopped", "trial");
    holds(&b[2], "queued", "");
    holds(&b[3], "stopped", "trial");
    ck_assert_uint_eq(events_of(a[2].id, "trial.decided"), 1);
    /* The one at work passes before it heard, or rests for another reason: too late. */
    said(a[0].id, 2, "paused", "trial");
    holds(&attempts_of(t.id, 4)[0], "stopped", "trial");
    settled(0);
    ck_assert_str_eq(found(t.id).winner, a[2].id);
    said(a[2].id, 2, "done", "proven");
    struct trial now = found(t.id);
    ck_assert_str_eq(trial_state_of(ctx, &now, attempts_of(t.id, 4), 4).state, "done");
    ck_assert_int_eq(board_resume(ctx, &board, a[1].id, parsed("{}"), &after, &err), RC_CONFLICT);
}
END_TEST

/* A runner that starts again is told what it missed. */
START_TEST(a_runner_that_was_away_hears_it)
{
    struct trial t = created("first", SPEC("a", FREE) "," SPEC("b", FREE));
    struct task *a = attempts_of(t.id, 2);
    struct str token;
    char *welcome;
    said(a[0].id, 1, "working", "");
    said(a[1].id, 1, "paused", "trial");
    settled(1);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq(path_slurp(ctx, mem_printf(ctx, "%s/tasks/%s/token", dir, a[i].id), 256, &token, &err), RC_OK);
        ck_assert_int_eq(board_welcome(ctx, &board, a[i].id, str_dup(ctx, token), &welcome, &err), RC_OK);
        struct json w = json_get(parsed(welcome), "welcome");
        ck_assert(json_eqz(json_path(w, "inputs.0.type"), "trial.decided"));
        ck_assert(json_bool(json_path(w, "inputs.0.data.won"), !i) == (i == 1));
        ck_assert(i == 0 ? json_eqz(json_get(w, "order"), "yield") : !json_is(json_get(w, "order")));
        ck_assert(json_eqz(json_path(w, "task.trial"), t.id));
    }
}
END_TEST

static void *settles(void *arg)
{
    (void)arg;
    CLEANUP_MEM mem *own = mem_root();
    for (int i = 0; i < 20; i++) {
        struct board_told *told;
        struct err why = {0};
        size_t n;
        ck_assert_int_eq(trials_settle(own, &board, NULL, &told, &n, &why), RC_OK);
    }
    return NULL;
}
struct passing {
    const char *id, *data;
};
static void *passes(void *arg)
{
    struct applying *a = arg;
    struct err why = {0};
    ck_assert_int_eq(store_write(board.store, apply_tx, a, &why), RC_OK);
    return NULL;
}

START_TEST(one_winner_under_concurrency)
{
    for (int round = 0; round < 10; round++) {
        struct trial t = created("first", SPEC("a", FREE) "," SPEC("b", FREE) "," SPEC("c", FREE) "," SPEC("d", FREE));
        struct task *a = attempts_of(t.id, 4);
        struct applying all[4];
        pthread_t threads[8];
        for (int i = 0; i < 4; i++)
            said(a[i].id, 1, "working", "");
        for (int i = 0; i < 4; i++) {
            all[i] = (struct applying){a[i].id, "{\"state\":\"paused\",\"reason\":\"trial\",\"words\":\"\"}", 2};
            ck_assert_int_eq(pthread_create(&threads[i], NULL, passes, &all[i]), 0);
            ck_assert_int_eq(pthread_create(&threads[4 + i], NULL, settles, NULL), 0);
        }
        for (int i = 0; i < 8; i++)
            pthread_join(threads[i], NULL);
        struct board_told *told;
        size_t n, won = 0;
        ck_assert_int_eq(trials_settle(ctx, &board, NULL, &told, &n, &err), RC_OK);
        struct task *b = attempts_of(t.id, 4);
        for (int i = 0; i < 4; i++) {
            bool winner = strcmp(b[i].id, found(t.id).winner) == 0;
            won += winner;
            holds(&b[i], winner ? "queued" : "stopped", winner ? "" : "trial");
        }
        ck_assert_uint_eq(won, 1);
    }
}
END_TEST

struct deciding {
    const char *id, *winner;
};
static enum rc decide_tx(struct store_tx *tx, void *arg, struct err *e)
{
    struct deciding *d = arg;
    return trial_decide(tx, d->id, d->winner, 5, e);
}

/* Whoever comes second, for whatever reason, changes nothing. */
START_TEST(decided_once)
{
    struct trial t = created("first", SPEC("a", FREE) "," SPEC("b", FREE));
    struct task *a = attempts_of(t.id, 2);
    struct deciding first = {t.id, a[1].id}, second = {t.id, a[0].id};
    ck_assert_int_eq(store_write(board.store, decide_tx, &first, &err), RC_OK);
    ck_assert_int_eq(store_write(board.store, decide_tx, &second, &err), RC_CONFLICT);
    ck_assert_int_eq(store_write(board.store, decide_tx, &first, &err), RC_CONFLICT);
    ck_assert_str_eq(found(t.id).winner, a[1].id);
}
END_TEST

static struct task row(int64_t attempt, const char *state, const char *reason, int64_t iteration, int64_t changed_ns)
{
    return (struct task){
        .attempt = attempt, .state = state, .reason = reason, .iteration = iteration, .changed_ns = changed_ns};
}

START_TEST(cheapest_by_the_ledger)
{
    struct trial t = {.rule = "cheapest"};
    struct task a[] = {row(1, "paused", "trial", 1, 10), row(2, "paused", "trial", 3, 20),
                       row(3, "paused", "trial", 1, 30), row(4, "paused", "limit_money", 1, 5)};
    struct trial_cost dear = {true, 300, 0, 1}, cheap = {true, 100, 0, 1}, unknown = {false, 0, 0, 1};
    ck_assert_int_eq(trial_winner(&t, a, (struct trial_cost[]){dear, cheap, unknown, cheap}, 4), 1);
    ck_assert_int_eq(trial_winner(&t, a, (struct trial_cost[]){unknown, dear, unknown, cheap}, 4), 1);
    /* Alike: fewer iterations, then the earlier one. */
    ck_assert_int_eq(trial_winner(&t, a, (struct trial_cost[]){cheap, cheap, cheap, cheap}, 4), 0);
    ck_assert_int_eq(trial_winner(&t, a, (struct trial_cost[]){unknown, unknown, unknown, unknown}, 4), 0);
    /* Somebody is under way, or waits for a person that was asked. */
    static const char *const waits[][2] = {
        {"working", ""}, {"queued", ""}, {"needs_you", "approval"}, {"paused", "user"}};
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        a[3] = row(4, waits[i][0], waits[i][1], 1, 5);
        ck_assert_int_eq(trial_winner(&t, a, (struct trial_cost[]){cheap, cheap, cheap, cheap}, 4), -1);
    }
    a[0] = a[1] = a[2] = a[3] = row(1, "failed", "", 1, 1);
    ck_assert_int_eq(trial_winner(&t, a, (struct trial_cost[]){cheap, cheap, cheap, cheap}, 4), -1);
    t.rule = "first";
    a[1] = row(2, "paused", "trial", 3, 20);
    a[2] = row(3, "paused", "trial", 1, 19);
    ck_assert_int_eq(trial_winner(&t, a, (struct trial_cost[]){dear, cheap, dear, cheap}, 4), 2);
}
END_TEST

START_TEST(none_passes_and_orders_to_all)
{
    struct trial t = created("cheapest", SPEC("a", FREE) "," SPEC("b", FREE)), now;
    struct task *a = attempts_of(t.id, 2), after;
    struct board_told *told;
    size_t n;
    said(a[0].id, 1, "working", "");
    ck_assert_int_eq(trial_order(ctx, &board, t.id, "pause", &told, &n, &err), RC_OK);
    ck_assert_uint_eq(n, 2);
    said(a[0].id, 2, "paused", "user");
    now = found(t.id);
    ck_assert_str_eq(trial_state_of(ctx, &now, attempts_of(t.id, 2), 2).state, "paused");
    ck_assert_int_eq(trial_order(ctx, &board, t.id, "pause", &told, &n, &err), RC_CONFLICT);
    ck_assert_int_eq(trial_resume(ctx, &board, t.id, parsed("{\"iterations\":9}"), &err), RC_OK);
    ck_assert_int_eq(attempts_of(t.id, 2)[1].iteration_limit, 9);
    said(a[0].id, 3, "failed", "x");
    said(a[1].id, 1, "failed", "x");
    settled(0);
    now = found(t.id);
    ck_assert(!now.open && !now.winner);
    ck_assert_str_eq(trial_state_of(ctx, &now, attempts_of(t.id, 2), 2).state, "failed");
    ck_assert_int_eq(trial_order(ctx, &board, t.id, "stop", &told, &n, &err), RC_CONFLICT);
    /* One is tried again, and passes: it is open again. */
    ck_assert_int_eq(board_resume(ctx, &board, a[1].id, parsed("{}"), &after, &err), RC_OK);
    ck_assert(found(t.id).open);
    said(a[1].id, 2, "paused", "trial");
    settled(0);
    ck_assert_str_eq(found(t.id).winner, a[1].id);
    ck_assert_int_eq(board_resume(ctx, &board, a[0].id, parsed("{}"), &after, &err), RC_CONFLICT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trial");
    TCase *c = tcase_create("trial");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, all_or_nothing_is_made);
    tcase_add_test(c, limits_are_shared);
    tcase_add_test(c, first_is_who_passed_first);
    tcase_add_test(c, a_runner_that_was_away_hears_it);
    tcase_add_test(c, one_winner_under_concurrency);
    tcase_add_test(c, decided_once);
    tcase_add_test(c, cheapest_by_the_ledger);
    tcase_add_test(c, none_passes_and_orders_to_all);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
