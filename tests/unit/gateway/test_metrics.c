/* Contract: figures add up and are shown in Prometheus' text format; labels stay bounded and cannot break the page;
 * money is exact; any threads may count. */
#include "base/err.h"
#include "gateway/metrics.h"
#include <check.h>
#include <pthread.h>

static mem *root;
static struct metrics *m;

static void setup(void)
{
    root = mem_root();
    m = metrics_new(root);
}

static void teardown(void)
{
    root = mem_free(root);
}

static const char *page(void)
{
    struct buf b;
    buf_init(&b, root, 16u << 20);
    metrics_write(m, &b);
    ck_assert(!b.overflow);
    return b.p;
}

static void assert_line(const char *line)
{
    const char *text = page();
    ck_assert_msg(strstr(text, mem_printf(root, "\n%s\n", line)), "%s is not in\n%s", line, text);
}

START_TEST(counters_add_up)
{
    metrics_request(m, "chat", "openai", "gpt", 200);
    metrics_request(m, "chat", "openai", "gpt", 201);
    metrics_request(m, "chat", "openai", "gpt", 429);
    metrics_request(m, "messages", NULL, "", 0);
    metrics_attempt(m, "openai", RC_TIMEOUT);
    metrics_usage(m, "gpt", &(struct usage){.input = 10, .output = 5, .cache_read = -1});
    metrics_usage(m, "gpt", &(struct usage){.input = 1, .output = -1});
    metrics_refusal(m, "money");
    metrics_cache(m, true);
    metrics_cache(m, false);
    metrics_cache(m, false);
    assert_line("nightmill_requests_total{dialect=\"chat\",provider=\"openai\",model=\"gpt\",status=\"2xx\"} 2");
    assert_line("nightmill_requests_total{dialect=\"chat\",provider=\"openai\",model=\"gpt\",status=\"4xx\"} 1");
    assert_line("nightmill_requests_total{dialect=\"messages\",provider=\"none\",model=\"none\",status=\"none\"} 1");
    assert_line("nightmill_attempts_total{provider=\"openai\",code=\"timeout\"} 1");
    assert_line("nightmill_tokens_total{model=\"gpt\",kind=\"input\"} 11");
    assert_line("nightmill_tokens_total{model=\"gpt\",kind=\"output\"} 5");
    ck_assert_ptr_null(strstr(page(), "kind=\"cache_read\""));
    assert_line("nightmill_refusals_total{kind=\"money\"} 1");
    assert_line("nightmill_cache_total{result=\"miss\"} 2");
    assert_line("# TYPE nightmill_requests_total counter");
}
END_TEST

START_TEST(money_is_exact)
{
    for (int i = 0; i < 3; i++)
        metrics_money(m, "USD", 400000000001);
    metrics_money(m, "EUR", INT64_MAX);
    metrics_money(m, "EUR", INT64_MAX);
    metrics_money(m, "EUR", -5);
    metrics_held(m, "USD", 2500000000000);
    metrics_held(m, "USD", 1000000000000);
    assert_line("nightmill_cost_total{currency=\"USD\"} 1.200000000003");
    assert_line("nightmill_cost_total{currency=\"EUR\"} 18446744.073709551614");
    assert_line("nightmill_held{currency=\"USD\"} 1");
    metrics_held_none(m);
    assert_line("nightmill_held{currency=\"USD\"} 0");
}
END_TEST

START_TEST(the_histogram_is_cumulative)
{
    metrics_first_byte(m, "a", 5);
    metrics_first_byte(m, "a", 6);
    metrics_first_byte(m, "a", 500000);
    metrics_first_byte(m, "a", -1);
    assert_line("nightmill_first_byte_seconds_bucket{provider=\"a\",le=\"0.005\"} 1");
    assert_line("nightmill_first_byte_seconds_bucket{provider=\"a\",le=\"0.01\"} 2");
    assert_line("nightmill_first_byte_seconds_bucket{provider=\"a\",le=\"120\"} 2");
    assert_line("nightmill_first_byte_seconds_bucket{provider=\"a\",le=\"+Inf\"} 3");
    assert_line("nightmill_first_byte_seconds_sum{provider=\"a\"} 500.011");
    assert_line("nightmill_first_byte_seconds_count{provider=\"a\"} 3");
}
END_TEST

START_TEST(gauges_say_what_is_now)
{
    metrics_active(m, 7, 3);
    metrics_active(m, 2, 0);
    metrics_upstream(m, "a", false, 4);
    assert_line("nightmill_requests_active 2");
    assert_line("nightmill_requests_queued 0");
    assert_line("nightmill_upstream_up{provider=\"a\"} 0");
    assert_line("nightmill_upstream_active{provider=\"a\"} 4");
}
END_TEST

START_TEST(labels_are_bounded_and_escaped)
{
    for (int i = 0; i < 500; i++)
        metrics_attempt(m, mem_printf(root, "p%d", i), RC_OK);
    assert_line("nightmill_attempts_total{provider=\"p199\",code=\"ok\"} 1");
    assert_line("nightmill_attempts_total{provider=\"other\",code=\"ok\"} 300");
    metrics_refusal(m, "a\"b\\c\nd");
    assert_line("nightmill_refusals_total{kind=\"a\\\"b\\\\c\\nd\"} 1");
    metrics_refusal(m, "\xff\xfe");
    assert_line("nightmill_refusals_total{kind=\"other\"} 1");
    for (int i = 0; i < 20000; i++)
        metrics_request(m, "chat", mem_printf(root, "p%d", i / 150), mem_printf(root, "m%d", i % 150), 200);
    size_t lines = 0;
    for (const char *at = page(); (at = strstr(at, "\nnightmill_requests_total{")); at++)
        lines++;
    ck_assert_uint_eq(lines, 4001);
    assert_line(
        "nightmill_requests_total{dialect=\"other\",provider=\"other\",model=\"other\",status=\"other\"} 16000");
    metrics_request(NULL, "chat", "p", "m", 200); /* all take NULL */
    metrics_money(NULL, "USD", 1);
    metrics_first_byte(NULL, "a", 1);
    metrics_active(NULL, 1, 1);
    metrics_write(NULL, NULL);
}
END_TEST

static void *count(void *arg)
{
    for (int i = 0; i < 2000; i++)
        metrics_request(m, "chat", arg, "m", 200);
    return NULL;
}

START_TEST(any_thread_may_count)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, count, (void *)"p"), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_line("nightmill_requests_total{dialect=\"chat\",provider=\"p\",model=\"m\",status=\"2xx\"} 8000");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("metrics");
    TCase *c = tcase_create("metrics");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, counters_add_up);
    tcase_add_test(c, money_is_exact);
    tcase_add_test(c, the_histogram_is_cumulative);
    tcase_add_test(c, gauges_say_what_is_now);
    tcase_add_test(c, labels_are_bounded_and_escaped);
    tcase_add_test(c, any_thread_may_count);
    suite_add_tcase(suite, c);
    SRunner *run = srunner_create(suite);
    srunner_run_all(run, CK_NORMAL);
    int failed = srunner_ntests_failed(run);
    srunner_free(run);
    return failed ? 1 : 0;
}
