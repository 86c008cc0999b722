/* Contract: a provider takes as many requests as its row allows and lets a bounded number wait, in order; equal ones
 * share by weight, the least busy first; one that failed rests as long as its row or its own word says. */
#include "gateway/upstreams.h"
#include <check.h>
#include <stdlib.h>

static mem *ctx;
static struct upstreams *u;
static struct provider_view view;
static struct err err;
static uv_loop_t uv;
static struct loop loop;

static void setup(void)
{
    uv_loop_init(&uv);
    loop_open(&loop, &uv);
    ctx = mem_root();
    u = upstreams_new(ctx);
    view = (struct provider_view){.row = PROVIDER_STANDARD};
    view.row.id = "one";
}

static void teardown(void)
{
    mem_free(ctx);
    loop_close(&loop);
    uv_run(&uv, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&uv), 0);
}

static void letters(void)
{
    uv_run(&uv, UV_RUN_NOWAIT);
}

static struct upstream_place *place(const char *id, int64_t concurrency, int64_t queue)
{
    view.row.id = id;
    view.row.concurrency = concurrency;
    view.row.queue = queue;
    return upstream_find(u, &view);
}

static int called[4];
static int calls;
static void ready(void *arg)
{
    called[calls++] = *(int *)arg;
}

START_TEST(waiting_is_bounded_and_in_order)
{
    struct upstream_place *s = place("one", 1, 2);
    int names[] = {1, 2, 3};
    struct call_queued q[3];
    for (int i = 0; i < 3; i++)
        q[i] = (struct call_queued){.loop = &loop, .ready = ready, .arg = &names[i]};
    ck_assert(!upstream_full(s));
    upstream_take(s);
    ck_assert(upstream_full(s));
    ck_assert_int_eq(upstream_wait(s, &q[0], &err), RC_OK);
    ck_assert_int_eq(upstream_wait(s, &q[1], &err), RC_OK);
    ck_assert_msg(upstream_wait(s, &q[2], &err) == RC_LIMIT && !q[2].at, "two may wait, not three");
    calls = 0;
    upstream_give(s);
    ck_assert_msg(calls == 0 && !q[0].at && upstream_full(s) && upstream_waits(u, &q[0]), "the place is kept for it");
    letters();
    ck_assert(calls == 1 && called[0] == 1);
    ck_assert_ptr_eq(upstream_turn_take(&q[0]), s);
    ck_assert_msg(!upstream_full(s) && !upstream_waits(u, &q[0]), "now it may choose that place, or another");
    upstream_leave(u, &q[1]); /* its client left */
    upstream_leave(u, &q[1]);
    upstream_take(s);
    upstream_give(s);
    letters();
    ck_assert_msg(calls == 1, "nobody waits any more");
}
END_TEST

START_TEST(whoever_leaves_in_its_turn_hands_it_on)
{
    struct upstream_place *s = place("one", 1, 3);
    int names[] = {1, 2, 3};
    struct call_queued q[3];
    upstream_take(s);
    for (int i = 0; i < 3; i++) {
        q[i] = (struct call_queued){.loop = &loop, .ready = ready, .arg = &names[i]};
        ck_assert_int_eq(upstream_wait(s, &q[i], &err), RC_OK);
    }
    calls = 0;
    upstream_give(s);
    upstream_leave(u, &q[0]); /* before the letter arrived, which finds nobody */
    letters();
    ck_assert_msg(calls == 1 && called[0] == 2, "%d calls, %d", calls, called[0]);
    upstream_next(upstream_turn_take(&q[1])); /* it chose another provider */
    letters();
    ck_assert_msg(calls == 2 && called[1] == 3, "a place that nobody took is not forgotten");
    upstream_leave(u, &q[2]); /* after it */
    ck_assert(!upstream_full(s));
}
END_TEST

START_TEST(a_row_without_bound_is_never_full)
{
    struct upstream_place *s = place("one", 0, 0);
    for (int i = 0; i < 1000; i++)
        upstream_take(s);
    ck_assert(!upstream_full(s));
    ck_assert_msg(upstream_full(place("one", 5, 0)), "a changed row counts at once");
}
END_TEST

START_TEST(equal_ones_share_by_weight)
{
    struct upstream_place *a = place("a", 0, 0), *b = place("b", 0, 0);
    int taken_a = 0, taken_b = 0;
    for (int i = 0; i < 400; i++) { /* one after the other: nobody is ever busy */
        bool to_b = upstream_less_busy(b, 300, a, 100);
        struct upstream_place *s = to_b ? b : a;
        taken_a += !to_b;
        taken_b += to_b;
        upstream_take(s);
        upstream_give(s);
    }
    ck_assert_msg(taken_a == 100 && taken_b == 300, "%d %d", taken_a, taken_b);
    for (int i = 0; i < 3; i++)
        upstream_take(a);
    ck_assert(upstream_less_busy(b, 100, a, 100) && !upstream_less_busy(a, 100, b, 100));
}
END_TEST

START_TEST(failures_make_it_rest)
{
    struct upstream_place *s = place("one", 0, 0);
    struct upstream_health *h;
    size_t n;
    ck_assert(!upstream_rests(s, 1000));
    upstream_failed(s, 1000, -1);
    ck_assert(upstream_rests(s, 1000 + 29999) && !upstream_rests(s, 1000 + 30000));
    upstream_failed(s, 1000, 120);
    ck_assert_msg(upstream_rests(s, 1000 + 119999), "its own word is longer");
    upstream_failed(s, 1000, 1);
    ck_assert_msg(upstream_rests(s, 1000 + 119999), "a shorter rest does not end a longer one");
    upstream_failed(s, 1000, 1000000000);
    ck_assert_msg(!upstream_rests(s, 1000 + 3600 * 1000), "no provider is given up for more than an hour");
    upstreams_list(ctx, u, 2000, &h, &n);
    ck_assert(n == 1 && h[0].failures == 4 && h[0].rests_ms > 0);
    upstream_answered(s);
    ck_assert(!upstream_rests(s, 1000));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("upstreams");
    TCase *t = tcase_create("upstreams");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, waiting_is_bounded_and_in_order);
    tcase_add_test(t, whoever_leaves_in_its_turn_hands_it_on);
    tcase_add_test(t, a_row_without_bound_is_never_full);
    tcase_add_test(t, equal_ones_share_by_weight);
    tcase_add_test(t, failures_make_it_rest);
    suite_add_tcase(suite, t);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
