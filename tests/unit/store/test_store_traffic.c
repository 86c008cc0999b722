/* Contract: rows of traffic come back as they were, under every filter and by text, newest or oldest first; what a
 * process sent is known; days are kept by field; what was said about a host is one row. */
#include "store/store_private.h"
#include "store/traffic.h"
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
    snprintf(folder, sizeof folder, "/tmp/test_traffic_XXXXXX");
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

struct putting {
    struct traffic row;
    struct traffic_texts texts;
};

static enum rc put(struct store_tx *tx, void *arg, struct err *e)
{
    struct putting *p = arg;
    return traffic_insert(tx, &p->row, &p->texts, e);
}

static struct putting sample(int n)
{
    return (struct putting){.row = {.time_ns = n * DAY,
                                    .task = n % 2 ? "task1" : "",
                                    .project = n % 3 ? "shop" : "other",
                                    .agent = "",
                                    .phase = "work",
                                    .host = n % 2 ? "a.test" : "b.test",
                                    .port = 443,
                                    .scheme = "https",
                                    .method = "GET",
                                    .path = mem_printf(root, "/page%d?q=100%%", n),
                                    .status = n % 2 ? 200 : 403,
                                    .bytes_up = n,
                                    .bytes_down = 2 * n,
                                    .first_byte_ms = -1,
                                    .ms = 7,
                                    .verdict = n % 2 ? "allowed" : "denied",
                                    .reason = n % 2 ? "" : "no rule",
                                    .address = "192.0.2.1"},
                            .texts = {"X-Head: Needle\n", "", n == 5 ? "body of five" : "", "", false, false, n == 5}};
}

static void fill(int n)
{
    for (int i = 1; i <= n; i++) {
        struct putting p = sample(i);
        WRITE(put, &p);
        ck_assert_int_eq(p.row.number, i);
    }
}

static size_t count(struct traffic_filter f)
{
    struct traffic *rows;
    size_t n;
    int64_t next;
    FINE(traffic_list(root, s, &f, &rows, &n, &next, &err));
    return n;
}

START_TEST(kept_whole)
{
    struct traffic t;
    struct traffic_texts texts;
    fill(6);
    FINE(traffic_find(root, s, 5, &t, &err));
    struct putting p = sample(5);
    ck_assert_str_eq(t.path, p.row.path);
    ck_assert_str_eq(t.host, "a.test");
    ck_assert(t.time_ns == 5 * DAY && t.bytes_down == 10 && t.first_byte_ms == -1 && t.status == 200);
    FINE(traffic_texts_get(root, s, 5, &texts, &err));
    ck_assert(texts.has_head && texts.has_body && texts.cut);
    ck_assert_str_eq(texts.request_body, "body of five");
    FINE(traffic_texts_get(root, s, 4, &texts, &err));
    ck_assert(texts.has_head && !texts.has_body);
    ck_assert_int_eq(traffic_find(root, s, 7, &t, &err), RC_NOT_FOUND);
}
END_TEST

START_TEST(found)
{
    struct traffic *rows;
    size_t n;
    int64_t next;
    fill(6);
    ck_assert_uint_eq(count((struct traffic_filter){0}), 6);
    ck_assert_uint_eq(count((struct traffic_filter){.host = "a.test"}), 3);
    ck_assert_uint_eq(count((struct traffic_filter){.task = "task1"}), 3);
    ck_assert_uint_eq(count((struct traffic_filter){.project = "shop"}), 4);
    ck_assert_uint_eq(count((struct traffic_filter){.verdict = "denied"}), 3);
    ck_assert_uint_eq(count((struct traffic_filter){.phase = "setup"}), 0);
    ck_assert_uint_eq(count((struct traffic_filter){.method = "POST"}), 0);
    ck_assert_uint_eq(count((struct traffic_filter){.status = 4}), 3);
    ck_assert_uint_eq(count((struct traffic_filter){.status = 200}), 3);
    ck_assert_uint_eq(count((struct traffic_filter){.since_ns = 5 * DAY}), 2);
    ck_assert_uint_eq(count((struct traffic_filter){.until_ns = 5 * DAY}), 4);
    ck_assert_uint_eq(count((struct traffic_filter){.text = "needle"}), 6);
    ck_assert_uint_eq(count((struct traffic_filter){.text = "of FIVE"}), 1);
    ck_assert_uint_eq(count((struct traffic_filter){.text = "no rule"}), 3);
    ck_assert_uint_eq(count((struct traffic_filter){.text = "page3?q=100%"}), 1);
    ck_assert_uint_eq(count((struct traffic_filter){.text = "page_"}), 0); /* no pattern, a text */
    ck_assert_uint_eq(count((struct traffic_filter){.text = "five", .oldest_first = true}), 1);
    struct traffic_filter pages = {.limit = 2, .before = 5};
    FINE(traffic_list(root, s, &pages, &rows, &n, &next, &err));
    ck_assert(n == 2 && rows[0].number == 4 && rows[1].number == 3);
    pages.oldest_first = true;
    pages.before = 3;
    FINE(traffic_list(root, s, &pages, &rows, &n, &next, &err));
    ck_assert(n == 2 && rows[0].number == 4 && rows[1].number == 5);
    pages.task = "task1";
    FINE(traffic_list(root, s, &pages, &rows, &n, &next, &err));
    ck_assert(n == 1 && rows[0].number == 5 && next == 0);
}
END_TEST

struct renumbering {
    int64_t from, to;
};

static enum rc renumber(struct store_tx *tx, void *arg, struct err *e)
{
    DB_SQL(sql, "UPDATE traffic SET number = $2 WHERE number = $1");
    struct renumbering *r = arg;
    return db_exec(tx->c, &sql, DB_ARGS(db_int(r->from), db_int(r->to)), NULL, e);
}

/* A search looks at so many rows at once, and says where it goes on until all were looked at, both ways. */
START_TEST(searched_to_the_end)
{
    struct traffic *rows;
    size_t n;
    int64_t next, asked = 0;
    fill(6);
    WRITE(renumber, &((struct renumbering){6, 1000000}));
    struct traffic_filter f = {.text = "page3?"};
    do {
        FINE(traffic_list(root, s, &f, &rows, &n, &next, &err));
        ck_assert_int_lt(++asked, 10);
        ck_assert(n == 0 || rows[0].number == 3);
        f.before = next;
    } while (!n && next);
    ck_assert_uint_eq(n, 1);
    ck_assert_int_gt(asked, 3);
    f = (struct traffic_filter){.text = "page6?", .oldest_first = true};
    for (asked = 0, n = 0; !n; f.before = next) {
        FINE(traffic_list(root, s, &f, &rows, &n, &next, &err));
        ck_assert(n ? rows[0].number == 1000000 : next > f.before);
        ck_assert_int_lt(++asked, 10);
    }
    ck_assert_int_eq(next, 0);
}
END_TEST

static int64_t removed;
static enum rc expire(struct store_tx *tx, void *arg, struct err *e)
{
    (void)arg;
    return traffic_expire(tx, 10 * DAY, 8, 6, 5, 2, &removed, e);
}

START_TEST(days_by_field)
{
    struct traffic_texts texts;
    fill(6);
    for (int i = 0; i < 20; i++) { /* two of each at a time */
        WRITE(expire, NULL);
        if (!removed)
            break;
    }
    ck_assert_int_eq(removed, 0);
    ck_assert_uint_eq(count((struct traffic_filter){0}), 5); /* the first is older than eight days */
    FINE(traffic_texts_get(root, s, 3, &texts, &err));
    ck_assert(!texts.has_head);
    FINE(traffic_texts_get(root, s, 5, &texts, &err));
    ck_assert(texts.has_head && texts.has_body);
    struct putting p = sample(7);
    WRITE(put, &p);
    ck_assert_int_eq(p.row.number, 7); /* numbers are never given twice */
}
END_TEST

static enum rc origin(struct store_tx *tx, void *arg, struct err *e)
{
    int64_t *row = arg, had;
    enum rc rc = traffic_origin_get(tx, "process", &had, e);
    if (rc == RC_OK)
        rc = traffic_origin_put(tx, "process", had + *row, 1, e);
    *row = had;
    return rc;
}

START_TEST(origins)
{
    int64_t row = 5;
    WRITE(origin, &row);
    ck_assert_int_eq(row, 0);
    row = 2;
    WRITE(origin, &row);
    ck_assert_int_eq(row, 5);
    row = 0;
    WRITE(origin, &row);
    ck_assert_int_eq(row, 7);
}
END_TEST

static enum rc say(struct store_tx *tx, void *arg, struct err *e)
{
    return egress_host_put(tx, arg, e);
}

static enum rc forget(struct store_tx *tx, void *arg, struct err *e)
{
    const struct egress_host *h = arg;
    return egress_host_remove(tx, h->project, h->host, h->port, e);
}

START_TEST(hosts)
{
    struct egress_host h = {"shop", "a.test", 443, "allow", "user", 1}, all = {"", "b.test", 0, "deny", "user", 2},
                       *rows;
    size_t n;
    WRITE(say, &h);
    WRITE(say, &all);
    h.verdict = "deny";
    WRITE(say, &h);
    FINE(egress_host_list(root, s, "shop", &rows, &n, &err));
    ck_assert(n == 2 && strcmp(rows[0].verdict, "deny") == 0 && strcmp(rows[0].host, "a.test") == 0);
    FINE(egress_host_list(root, s, "other", &rows, &n, &err));
    ck_assert_uint_eq(n, 1);
    WRITE(forget, &h);
    ck_assert_int_eq(store_write(s, forget, &h, &err), RC_NOT_FOUND);
    FINE(egress_host_list(root, s, NULL, &rows, &n, &err));
    ck_assert_uint_eq(n, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store_traffic");
    TCase *t = tcase_create("store_traffic");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, kept_whole);
    tcase_add_test(t, found);
    tcase_add_test(t, searched_to_the_end);
    tcase_add_test(t, days_by_field);
    tcase_add_test(t, origins);
    tcase_add_test(t, hosts);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
