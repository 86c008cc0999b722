/* Contract: the record of a request is kept whole, found by its id and under every filter, newest first; bodies come
 * back as they were from any pieces; what a crash left open is marked; days are those of the project's policy. */
#include "base/clock.h"
#include "store/exchange.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define DAY INT64_C(86400000000000)

static char folder[64];
static mem *root;
static struct store *s;
static struct err err;

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/test_exchange_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    root = mem_root();
    ck_assert_msg(store_open(root, folder, &s, &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
}

static void teardown(void)
{
    char command[128];
    s = store_close(s);
    root = mem_free(root);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

#define FINE(call)     ck_assert_msg((call) == RC_OK, "%s (%s)", err.sentence, err.detail)
#define WRITE(fn, arg) FINE(store_write(s, fn, arg, &err))

static enum rc put(struct store_tx *tx, void *arg, struct err *e)
{
    return exchange_put(tx, arg, e);
}

static struct exchange sample(const char *id)
{
    return (struct exchange){
        .id = id,
        .time_ns = 1000,
        .spender = {.organisation = "o", .project = "p", .task = "abcdef1", .agent = "a", .key = "k", .user = "u"},
        .dialect = "chat",
        .endpoint = "generate",
        .model = "tier-a",
        .client = "127.0.0.1",
        .stream = true,
        .state = "done",
        .status = 200,
        .outcome = "served",
        .provider = "anthropic",
        .model_served = "claude",
        .content_type = "text/event-stream",
        .usage_known = true,
        .usage = {1, 2, 3, 4, 5, 6},
        .cost = 7,
        .currency = "USD",
        .cache_hit = true,
        .first_byte_ms = 8,
        .ms = 9,
        .words = "w",
        .attempts = "[{}]",
        .request_hash = "00ff",
        .request_bytes = 10,
        .answer_bytes = 11,
        .request_body = "whole",
        .answer_body = "cut"};
}

START_TEST(a_record_is_kept_whole)
{
    struct exchange in = sample("r1"), out;
    WRITE(put, &in);
    ck_assert_int_gt(in.number, 0);
    FINE(exchange_find(root, s, "r1", &out, &err));
    ck_assert_int_eq(out.number, in.number);
    ck_assert_str_eq(out.spender.user, "u");
    ck_assert_str_eq(out.spender.organisation, "o");
    ck_assert_str_eq(out.model, "tier-a");
    ck_assert_str_eq(out.model_served, "claude");
    ck_assert(out.stream && out.usage_known && out.cache_hit);
    ck_assert_int_eq(out.usage.cache_write_1h, 4);
    ck_assert_int_eq(out.usage.reasoning, 6);
    ck_assert_int_eq(out.cost, 7);
    ck_assert_int_eq(out.first_byte_ms, 8);
    ck_assert_str_eq(out.attempts, "[{}]");
    ck_assert_str_eq(out.request_hash, "00ff");
    ck_assert_int_eq(out.answer_bytes, 11);
    ck_assert_str_eq(out.answer_body, "cut");
    in.status = 502;
    in.words = "again";
    WRITE(put, &in);
    FINE(exchange_find(root, s, "r1", &out, &err));
    ck_assert_int_eq(out.status, 502);
    ck_assert_str_eq(out.words, "again");
    struct exchange same = sample("r1");
    ck_assert_int_eq(store_write(s, put, &same, &err), RC_CONFLICT);
    ck_assert_int_eq(exchange_find(root, s, "r2", &out, &err), RC_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.hint, "nightmill request ls"));
}
END_TEST

static size_t count(const struct exchange_filter *f)
{
    struct exchange *rows;
    size_t n;
    FINE(exchange_list(root, s, f, &rows, &n, &err));
    for (size_t i = 1; i < n; i++)
        ck_assert_int_eq(rows[i - 1].number > rows[i].number, !f->oldest_first);
    return n;
}
#define COUNT(...) count(&(struct exchange_filter){__VA_ARGS__})

START_TEST(lists_keep_to_their_filters)
{
    for (int i = 0; i < 12; i++) {
        struct exchange x = sample(mem_printf(root, "r%d", i));
        x.time_ns = i;
        x.spender.task = i % 2 ? "abcdef1" : "";
        x.spender.key = i % 3 ? "k" : NULL;
        x.spender.project = i % 4 ? "p" : "";
        x.status = i < 6 ? 200 : 429;
        x.provider = i ? "anthropic" : "";
        x.model = i < 3 ? "other" : "tier-a";
        x.outcome = i < 6 ? "served" : "refused";
        WRITE(put, &x);
    }
    ck_assert_uint_eq(COUNT(.limit = 5), 5);
    ck_assert_uint_eq(COUNT(0), 12);
    ck_assert_uint_eq(COUNT(.task = "abcdef1"), 6);
    ck_assert_uint_eq(COUNT(.task = "nothere"), 0);
    ck_assert_uint_eq(COUNT(.key = "k"), 8);
    ck_assert_uint_eq(COUNT(.project = "p"), 9);
    ck_assert_uint_eq(COUNT(.project = "p", .key = "k"), 6);
    ck_assert_uint_eq(COUNT(.task = "abcdef1", .key = "k"), 4);
    ck_assert_uint_eq(COUNT(.status = 429), 6);
    ck_assert_uint_eq(COUNT(.status = 4), 6);
    ck_assert_uint_eq(COUNT(.status = 5), 0);
    ck_assert_uint_eq(COUNT(.provider = "anthropic"), 11);
    ck_assert_uint_eq(COUNT(.model = "other"), 3);
    ck_assert_uint_eq(COUNT(.model = "claude"), 12);
    ck_assert_uint_eq(COUNT(.outcome = "refused"), 6);
    ck_assert_uint_eq(COUNT(.state = "open"), 0);
    ck_assert_uint_eq(COUNT(.since_ns = 3, .until_ns = 5), 2);
    ck_assert_uint_eq(COUNT(.before = 4), 3);
    ck_assert_uint_eq(COUNT(.before = 4, .oldest_first = true), 8);
    ck_assert_uint_eq(COUNT(.task = "abcdef1", .before = 4, .oldest_first = true), 4);
}
END_TEST

struct pieces {
    int64_t number, piece;
    struct str bytes;
};
static enum rc piece_put(struct store_tx *tx, void *arg, struct err *e)
{
    struct pieces *p = arg;
    struct str packed = exchange_pack(root, p->bytes);
    return exchange_piece_put(tx, p->number, EXCHANGE_ANSWER, ++p->piece, (int64_t)p->bytes.n, packed, e);
}

START_TEST(bodies_come_back_from_their_pieces)
{
    struct exchange x = sample("r1");
    WRITE(put, &x);
    struct pieces p = {.number = x.number};
    struct buf want;
    buf_init(&want, root, 1u << 20);
    for (int i = 0; i < 5; i++) {
        char *bytes = mem_zalloc(root, 30000);
        for (size_t k = 0; k < 30000; k++)
            bytes[k] = (char)(k * (size_t)(i + 3) >> (k % 5));
        p.bytes = str_n(bytes, i == 2 ? 1 : 30000);
        buf_str(&want, p.bytes);
        WRITE(piece_put, &p);
    }
    struct str body;
    bool cut;
    FINE(exchange_body(root, s, x.number, EXCHANGE_ANSWER, 1u << 20, &body, &cut, &err));
    ck_assert(str_eq(body, buf_view(&want)));
    ck_assert(!cut);
    FINE(exchange_body(root, s, x.number, EXCHANGE_ANSWER, 50000, &body, &cut, &err));
    ck_assert_uint_eq(body.n, 50000);
    ck_assert(cut);
    FINE(exchange_body(root, s, x.number, EXCHANGE_REQUEST, 50000, &body, &cut, &err));
    ck_assert_uint_eq(body.n, 0);
    ck_assert(!cut);
}
END_TEST

static enum rc piece_damage(struct store_tx *tx, void *arg, struct err *e)
{
    return exchange_piece_put(tx, *(int64_t *)arg, EXCHANGE_ANSWER, 1, 5, STR("no zlib"), e);
}

START_TEST(a_damaged_piece_is_an_error)
{
    struct exchange x = sample("r1");
    struct str body;
    WRITE(put, &x);
    WRITE(piece_damage, &x.number);
    ck_assert_int_eq(exchange_body(root, s, x.number, EXCHANGE_ANSWER, 100, &body, NULL, &err), RC_IO);
}
END_TEST

static enum rc mark(struct store_tx *tx, void *arg, struct err *e)
{
    return exchange_mark_incomplete(tx, arg, e);
}

START_TEST(what_a_crash_left_open_is_incomplete)
{
    struct exchange open = sample("r1"), done = sample("r2"), out;
    int64_t n;
    open.state = "open";
    open.answer_body = "whole";
    WRITE(put, &open);
    WRITE(put, &done);
    WRITE(mark, &n);
    ck_assert_int_eq(n, 1);
    FINE(exchange_find(root, s, "r1", &out, &err));
    ck_assert_str_eq(out.state, "incomplete");
    ck_assert_str_eq(out.request_body, "whole"); /* it was there before anything was answered */
    ck_assert_str_eq(out.answer_body, "cut");
    FINE(exchange_find(root, s, "r2", &out, &err));
    ck_assert_str_eq(out.state, "done");
    ck_assert_str_eq(out.request_body, "whole");
}
END_TEST

static enum rc policy_set(struct store_tx *tx, void *arg, struct err *e)
{
    return record_policy_set(tx, arg, e);
}
static enum rc policy_remove(struct store_tx *tx, void *arg, struct err *e)
{
    return record_policy_remove(tx, arg, e);
}

START_TEST(policies_of_projects)
{
    struct record_policy a = {"beta", RECORD_FULL, 1, 2, 3}, b = {"alpha", RECORD_NONE, 4, 5, 6}, *rows;
    struct record_policy nameless = {"", RECORD_NONE, 0, 0, 0}, negative = {"x", RECORD_NONE, -1, 0, 0};
    size_t n;
    WRITE(policy_set, &a);
    WRITE(policy_set, &b);
    a.days_bodies = 7;
    WRITE(policy_set, &a);
    FINE(record_policy_list(root, s, &rows, &n, &err));
    ck_assert_uint_eq(n, 2);
    ck_assert_str_eq(rows[0].project, "alpha");
    ck_assert_int_eq(rows[1].keep, RECORD_FULL);
    ck_assert_int_eq(rows[1].days_bodies, 7);
    ck_assert_int_eq(rows[1].body_max, 3);
    ck_assert_int_eq(store_write(s, policy_set, &nameless, &err), RC_INVALID);
    ck_assert_int_eq(store_write(s, policy_set, &negative, &err), RC_INVALID);
    WRITE(policy_remove, (void *)"alpha");
    ck_assert_int_eq(store_write(s, policy_remove, (void *)"alpha", &err), RC_NOT_FOUND);
    enum record_keep keep;
    ck_assert(record_keep_find("full", &keep) && keep == RECORD_FULL);
    ck_assert(!record_keep_find("all", &keep));
}
END_TEST

struct expiry {
    struct record_policy policy;
    int64_t now, most, n;
};
static enum rc expire(struct store_tx *tx, void *arg, struct err *e)
{
    struct expiry *x = arg;
    return exchange_expire(tx, &x->policy, x->now, x->most, &x->n, e);
}

static void put_aged(const char *id, const char *project, int64_t days)
{
    struct exchange x = sample(id);
    x.time_ns = (100 - days) * DAY;
    x.spender.project = project;
    WRITE(put, &x);
    struct pieces p = {.number = x.number, .bytes = STR("body")};
    WRITE(piece_put, &p);
}

START_TEST(bodies_go_before_metadata)
{
    struct record_policy own = {"own", RECORD_FULL, 0, 50, 0};
    struct exchange out;
    struct str body;
    WRITE(policy_set, &own);
    put_aged("old", "", 40);
    put_aged("older", "p", 30);
    put_aged("middle", "", 20);
    put_aged("new", "", 1);
    put_aged("kept", "own", 40);
    put_aged("oldest", "own", 60);
    struct expiry x = {.policy = {"", RECORD_FULL, 25, 10, 0}, .now = 100 * DAY, .most = 2};
    int64_t total = 0, rounds = 0;
    do {
        WRITE(expire, &x);
        total += x.n;
        rounds++;
    } while (x.n);
    ck_assert_int_eq(total, 3 + 2); /* three bodies, then two rows */
    ck_assert_int_eq(rounds, 3);
    ck_assert_int_eq(exchange_find(root, s, "old", &out, &err), RC_NOT_FOUND);
    ck_assert_int_eq(exchange_find(root, s, "older", &out, &err), RC_NOT_FOUND);
    FINE(exchange_find(root, s, "middle", &out, &err));
    ck_assert_str_eq(out.request_body, "expired");
    FINE(exchange_body(root, s, out.number, EXCHANGE_ANSWER, 100, &body, NULL, &err));
    ck_assert_uint_eq(body.n, 0);
    FINE(exchange_find(root, s, "new", &out, &err));
    FINE(exchange_body(root, s, out.number, EXCHANGE_ANSWER, 100, &body, NULL, &err));
    ck_assert(str_eqz(body, "body"));
    x = (struct expiry){.policy = own, .now = 100 * DAY, .most = 100};
    WRITE(expire, &x);
    ck_assert_int_eq(x.n, 1);
    FINE(exchange_find(root, s, "oldest", &out, &err));
    ck_assert_str_eq(out.answer_body, "expired");
    FINE(exchange_find(root, s, "kept", &out, &err));
    ck_assert_str_eq(out.answer_body, "cut");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exchange");
    TCase *c = tcase_create("exchange");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, a_record_is_kept_whole);
    tcase_add_test(c, lists_keep_to_their_filters);
    tcase_add_test(c, bodies_come_back_from_their_pieces);
    tcase_add_test(c, a_damaged_piece_is_an_error);
    tcase_add_test(c, what_a_crash_left_open_is_incomplete);
    tcase_add_test(c, policies_of_projects);
    tcase_add_test(c, bodies_go_before_metadata);
    suite_add_tcase(suite, c);
    SRunner *run = srunner_create(suite);
    srunner_run_all(run, CK_NORMAL);
    int failed = srunner_ntests_failed(run);
    srunner_free(run);
    return failed ? 1 : 0;
}
