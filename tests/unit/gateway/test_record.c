/* Contract: what the policy says is kept, redacted, without holding a request up; a record that is under way is on the
 * disk at the next tick; one that was not ended is incomplete; nothing that cannot be written harms the others. */
#include "base/clock.h"
#include "gateway/record.h"
#include "gateway/recording.h"
#include "os/loop.h"
#include "redact/redact.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static char folder[64];
static mem *root;
static struct store *s;
static struct err err;
static uv_loop_t uv;
static struct loop loop;
static struct recorder *r;
static struct recorder_spec spec;
#define FINE(call) ck_assert_msg((call) == RC_OK, "%s (%s)", err.sentence, err.detail)

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/test_record_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    root = mem_root();
    FINE(store_open(root, folder, &s, &err));
    uv_loop_init(&uv);
    loop_open(&loop, &uv);
    spec = (struct recorder_spec){.store = s, .policy = {"", RECORD_FULL, 90, 7, 1 << 20}, .batch_ms = 20};
    r = recorder_new(root, &spec);
}

static void teardown(void)
{
    char command[128];
    r = recorder_free(r);
    loop_close(&loop);
    uv_run(&uv, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&uv), 0);
    s = store_close(s);
    root = mem_free(root);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

/* Runs the loop until the row is as wanted; the time limit of the test ends a wait in vain. */
static struct exchange await(const char *id, const char *state)
{
    struct exchange x;
    for (;;) {
        enum rc rc = exchange_find(root, s, id, &x, &err);
        ck_assert(rc == RC_OK || rc == RC_NOT_FOUND);
        if (rc == RC_OK && strcmp(x.state, state) == 0)
            return x;
        uv_run(&uv, UV_RUN_NOWAIT);
    }
}

static struct record *begin(const char *id, const char *project)
{
    struct spender spender = {.project = project, .task = "abcdef1", .key = "k1"};
    struct record_start start = {.id = id,
                                 .time_ns = 5,
                                 .spender = &spender,
                                 .dialect = "chat",
                                 .endpoint = "generate",
                                 .model = "tier-a",
                                 .client = "run",
                                 .stream = true};
    return record_begin(r, &start);
}

static const struct record_end ended = {.status = 200,
                                        .outcome = "served",
                                        .provider = "openai",
                                        .model = "gpt",
                                        .content_type = "text/event-stream",
                                        .usage_known = true,
                                        .usage = {.input = 10, .output = 20},
                                        .cost = 30,
                                        .currency = "USD",
                                        .first_byte_ms = 4,
                                        .ms = 5,
                                        .words = ""};

static struct str body(const struct exchange *x, enum exchange_side side)
{
    struct str bytes;
    FINE(exchange_body(root, s, x->number, side, 1u << 24, &bytes, NULL, &err));
    return bytes;
}

START_TEST(an_exchange_is_kept_whole_and_without_secrets)
{
    recorder_secret(r, STR("the-provider-key-0123"));
    struct record *rec = begin("r1", NULL);
    record_request(rec, STR("{\"a\":\"the-provider-key-0123\"}"));
    record_attempt(rec, &(struct record_attempt){.provider = "anthropic",
                                                 .upstream = "claude",
                                                 .status = 529,
                                                 .rc = RC_UPSTREAM,
                                                 .first_byte_ms = -1,
                                                 .ms = 7,
                                                 .words = "over the-provider-key-0123"});
    record_attempt(rec, &(struct record_attempt){.provider = "openai", .upstream = "gpt", .status = 200, .ms = 9});
    record_answer(rec, STR("data: the-provider"));
    record_answer(rec, STR("-key-01"));
    record_answer(rec, STR("23 end\n\n"));
    record_end(rec, &ended);
    struct exchange x = await("r1", "done");
    ck_assert(str_eqz(body(&x, EXCHANGE_REQUEST), "{\"a\":\"[redacted:secret]\"}"));
    ck_assert(str_eqz(body(&x, EXCHANGE_ANSWER), "data: [redacted:secret] end\n\n"));
    ck_assert_str_eq(x.request_body, "whole");
    ck_assert_str_eq(x.answer_body, "whole");
    ck_assert_int_eq(x.request_bytes, 29);
    ck_assert_int_eq(x.status, 200);
    ck_assert_str_eq(x.outcome, "served");
    ck_assert_str_eq(x.spender.task, "abcdef1");
    ck_assert_int_eq(x.usage.output, 20);
    ck_assert_int_eq(x.cost, 30);
    char hash[RECORDING_HASH];
    recording_hash(STR("{\"a\":\"the-provider-key-0123\"}"), "abcdef1", hash);
    ck_assert_str_eq(x.request_hash, hash);
    struct json attempts;
    FINE(json_parse(root, str_of(x.attempts), &attempts, &err));
    ck_assert_uint_eq(json_len(attempts), 2);
    ck_assert(json_eqz(json_path(attempts, "0.words"), "over [redacted:secret]"));
    ck_assert(json_eqz(json_path(attempts, "0.code"), "upstream"));
    ck_assert(json_eqz(json_path(attempts, "1.provider"), "openai"));
}
END_TEST

START_TEST(a_request_under_way_is_on_the_disk_at_the_next_tick)
{
    struct record *rec = begin("r1", NULL);
    record_request(rec, STR("question"));
    record_answer(rec, STR("first "));
    recorder_tick(r);
    struct exchange x = await("r1", "open");
    ck_assert(str_eqz(body(&x, EXCHANGE_REQUEST), "question"));
    record_answer(rec, STR("second"));
    while (body(&x, EXCHANGE_ANSWER).n < 6) { /* a tick during the writing leaves it to the next */
        recorder_tick(r);
        uv_run(&uv, UV_RUN_NOWAIT);
    }
    record_answer(rec, STR(" third"));
    record_end(rec, &ended);
    x = await("r1", "done");
    ck_assert(str_eqz(body(&x, EXCHANGE_ANSWER), "first second third"));
}
END_TEST

START_TEST(what_was_not_ended_is_incomplete)
{
    struct record *rec = begin("r1", NULL), *young = begin("r2", NULL);
    recorder_secret(r, STR("0123456789abcdef"));
    record_request(rec, STR("question 01234"));
    record_answer(rec, STR("half an answer 0123456789"));
    record_request(young, STR("other"));
    recorder_tick(r);
    r = recorder_free(r); /* while the batch may be anywhere */
    struct exchange x;
    FINE(exchange_find(root, s, "r1", &x, &err));
    ck_assert_str_eq(x.state, "incomplete");
    ck_assert_str_eq(x.request_body, "whole");
    ck_assert_str_eq(x.answer_body, "cut");
    ck_assert(str_eqz(body(&x, EXCHANGE_REQUEST), "question 01234"));
    ck_assert(str_eqz(body(&x, EXCHANGE_ANSWER), "half an answer ")); /* what may be a secret's beginning is not kept */
    FINE(exchange_find(root, s, "r2", &x, &err));
    ck_assert_str_eq(x.state, "incomplete");
    ck_assert_str_eq(x.answer_body, "");
}
END_TEST

START_TEST(what_a_crash_left_is_marked_at_the_next_start)
{
    struct record *rec = begin("r1", NULL);
    recorder_tick(r);
    await("r1", "open");
    struct recorder *second = recorder_new(root, &spec);
    struct exchange x;
    FINE(exchange_find(root, s, "r1", &x, &err));
    ck_assert_str_eq(x.state, "incomplete");
    recorder_free(second);
    record_end(rec, &ended);
}
END_TEST

START_TEST(bodies_are_cut_at_the_cap)
{
    r = recorder_free(r);
    spec.policy.body_max = 10;
    r = recorder_new(root, &spec);
    struct record *rec = begin("r1", NULL);
    record_request(rec, STR("0123456789abcdef"));
    record_answer(rec, STR("12345"));
    record_answer(rec, STR("67890"));
    record_answer(rec, STR("more"));
    record_end(rec, &ended);
    struct exchange x = await("r1", "done");
    ck_assert_str_eq(x.request_body, "cut");
    ck_assert_int_eq(x.request_bytes, 16);
    ck_assert(str_eqz(body(&x, EXCHANGE_REQUEST), "0123456789"));
    ck_assert_str_eq(x.request_hash, "");
    ck_assert_str_eq(x.answer_body, "cut");
    ck_assert_int_eq(x.answer_bytes, 14);
    ck_assert(str_eqz(body(&x, EXCHANGE_ANSWER), "1234567890"));
}
END_TEST

static enum rc policy_set(struct store_tx *tx, void *arg, struct err *e)
{
    return record_policy_set(tx, arg, e);
}

START_TEST(a_project_may_have_a_policy_of_its_own)
{
    struct record_policy none = {"quiet", RECORD_NONE, 0, 0, 0}, some = {"some", RECORD_METADATA, 0, 0, 0};
    FINE(store_write(s, policy_set, &none, &err));
    FINE(store_write(s, policy_set, &some, &err));
    ck_assert_ptr_nonnull(begin("early", "other"));
    recorder_policies_changed(r);
    struct record *rec;
    while ((rec = begin(mem_printf(root, "r%lld", (long long)clock_mono_ns()), "quiet"))) {
        record_end(rec, &ended);
        recorder_tick(r);
        uv_run(&uv, UV_RUN_NOWAIT);
    }
    record_request(NULL, STR("x")); /* all take NULL */
    record_answer(NULL, STR("x"));
    record_attempt(NULL, &(struct record_attempt){0});
    record_end(NULL, &ended);
    rec = begin("meta", "some");
    record_request(rec, STR("question"));
    record_answer(rec, STR("answer"));
    record_end(rec, &ended);
    struct exchange x = await("meta", "done");
    ck_assert_str_eq(x.request_body, "");
    ck_assert_int_eq(x.answer_bytes, 6);
    ck_assert_uint_eq(body(&x, EXCHANGE_REQUEST).n, 0);
    struct spender spender = {.project = "quiet"};
    struct record_start start = {.id = "whole", .spender = &spender, .whole = true};
    rec = record_begin(r, &start);
    record_answer(rec, STR("answer"));
    record_end(rec, &ended);
    x = await("whole", "done");
    ck_assert(str_eqz(body(&x, EXCHANGE_ANSWER), "answer"));
}
END_TEST

#define DAY INT64_C(86400000000000)

static enum rc put(struct store_tx *tx, void *arg, struct err *e)
{
    return exchange_put(tx, arg, e);
}

START_TEST(what_is_past_its_days_goes_by_the_policy_of_its_project)
{
    struct record_policy longer = {"longer", RECORD_FULL, 0, 0, 0}, standard = {"", RECORD_METADATA, 10, 5, 0};
    FINE(store_write(s, policy_set, &longer, &err));
    for (int i = 0; i < 450; i++) { /* more than one transaction of them */
        struct exchange x = {.id = mem_printf(root, "r%d", i),
                             .time_ns = (100 - i % 3 * 8) * DAY,
                             .spender = {.project = i % 2 ? "longer" : "p"},
                             .state = "done",
                             .attempts = "[]",
                             .request_body = "whole"};
        FINE(store_write(s, put, &x, &err));
    }
    int64_t n;
    FINE(record_expire(s, &standard, 101 * DAY, &n, &err));
    ck_assert_int_eq(n, 150 + 75); /* bodies of two thirds and rows of one third, of the project without a policy */
    FINE(record_expire(s, &standard, 101 * DAY, &n, &err));
    ck_assert_int_eq(n, 0);
    struct exchange_filter f = {.project = "p"};
    struct exchange *rows;
    size_t count;
    FINE(exchange_list(root, s, &f, &rows, &count, &err));
    ck_assert_uint_eq(count, 150);
}
END_TEST

START_TEST(an_id_that_is_taken_loses_that_record_alone)
{
    struct record *records[40];
    record_end(begin("same", NULL), &ended);
    await("same", "done");
    for (int i = 0; i < 40; i++)
        records[i] = begin(i == 20 ? "same" : mem_printf(root, "r%d", i), NULL);
    for (int i = 0; i < 40; i++)
        record_end(records[i], &ended);
    for (int i = 0; i < 40; i++)
        await(i == 20 ? "same" : mem_printf(root, "r%d", i), "done");
    struct record *again = begin("same", NULL); /* and one that is under way */
    recorder_tick(r);
    for (int i = 0; i < 50; i++)
        uv_run(&uv, UV_RUN_NOWAIT);
    record_answer(again, STR("more"));
    record_end(again, &ended);
}
END_TEST

START_TEST(long_answers_go_in_pieces)
{
    struct record *rec = begin("r1", NULL);
    struct buf want;
    buf_init(&want, root, 1u << 20);
    for (int i = 0; i < 3000; i++) {
        const char *event = mem_printf(root, "data: {\"n\":%d,\"text\":\"some words that are said\"}\n\n", i * i);
        buf_z(&want, event);
        record_answer(rec, str_of(event));
        if (i % 50 == 0)
            uv_run(&uv, UV_RUN_NOWAIT);
    }
    record_end(rec, &ended);
    struct exchange x = await("r1", "done");
    ck_assert(str_eq(body(&x, EXCHANGE_ANSWER), buf_view(&want)));
}
END_TEST

START_TEST(the_secret_that_was_not_given_for_longest_is_forgotten)
{
    for (int i = 0; i < REDACT_SECRETS_MAX; i++)
        recorder_secret(r, str_of(mem_printf(root, "secret-number-%04d", i)));
    recorder_secret(r, STR("secret-number-0000"));
    recorder_secret(r, STR("secret-number-9999"));
    recorder_secret(r, STR("short"));
    struct record *rec = begin("r1", NULL);
    record_answer(rec, STR("<secret-number-0000><secret-number-0001><secret-number-0002><secret-number-9999> short"));
    record_end(rec, &ended);
    struct exchange x = await("r1", "done");
    struct str kept = body(&x, EXCHANGE_ANSWER);
    ck_assert_msg(str_eqz(kept, "<[redacted:secret]><secret-number-0001><[redacted:secret]><[redacted:secret]> short"),
                  "%.*s", STR_FMT(kept));
}
END_TEST

static void sync_work(void *arg)
{
    (void)arg;
    recorder_sync(r);
}

static void sync_done(void *arg)
{
    ++*(int *)arg;
}

/* More than the pool has threads: nothing that they wait for may need one. */
START_TEST(all_threads_of_the_pool_may_wait_for_the_record)
{
    int done = 0;
    struct exchange x;
    record_end(begin("req1", "p"), &ended);
    for (int i = 0; i < 12; i++)
        loop_offload(&loop, sync_work, sync_done, &done);
    while (done < 12)
        uv_run(&uv, UV_RUN_ONCE);
    FINE(exchange_find(root, s, "req1", &x, &err));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("record");
    TCase *c = tcase_create("record");
    tcase_set_timeout(c, 120);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, an_exchange_is_kept_whole_and_without_secrets);
    tcase_add_test(c, a_request_under_way_is_on_the_disk_at_the_next_tick);
    tcase_add_test(c, all_threads_of_the_pool_may_wait_for_the_record);
    tcase_add_test(c, what_was_not_ended_is_incomplete);
    tcase_add_test(c, what_a_crash_left_is_marked_at_the_next_start);
    tcase_add_test(c, bodies_are_cut_at_the_cap);
    tcase_add_test(c, a_project_may_have_a_policy_of_its_own);
    tcase_add_test(c, what_is_past_its_days_goes_by_the_policy_of_its_project);
    tcase_add_test(c, an_id_that_is_taken_loses_that_record_alone);
    tcase_add_test(c, long_answers_go_in_pieces);
    tcase_add_test(c, the_secret_that_was_not_given_for_longest_is_forgotten);
    suite_add_tcase(suite, c);
    SRunner *run = srunner_create(suite);
    srunner_run_all(run, CK_NORMAL);
    int failed = srunner_ntests_failed(run);
    srunner_free(run);
    return failed ? 1 : 0;
}
