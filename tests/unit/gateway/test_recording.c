/* Contract: what is written is read back byte for byte; answers come in the order of their hash; a run that differs in
 * its task's id or in numbers alone has the same hashes; anything else is refused with the line. */
#include "base/json.h"
#include "gateway/recording.h"
#include <check.h>

static mem *root;
static struct err err;
#define FINE(call) ck_assert_msg((call) == RC_OK, "%s (%s)", err.sentence, err.detail)

static void setup(void)
{
    root = mem_root();
}

static void teardown(void)
{
    root = mem_free(root);
}

static const char *hash_of(const char *body, const char *task)
{
    char hash[RECORDING_HASH];
    recording_hash(str_of(body), task, hash);
    return mem_str(root, hash);
}

START_TEST(hashes_leave_out_what_differs_between_runs)
{
    ck_assert_str_eq(hash_of("Ran 2 tests in 0.012s", ""), hash_of("Ran 11 tests in 1.5s", NULL));
    ck_assert_str_ne(hash_of("Ran 2 tests", ""), hash_of("Ran 2 test", ""));
    ck_assert_str_ne(hash_of("a1", ""), hash_of("a", ""));
    ck_assert_str_eq(hash_of("tasks/abc1def/x", "abc1def"), hash_of("tasks/9zz8yyy/x", "9zz8yyy"));
    ck_assert_str_ne(hash_of("tasks/abc1def/x", "abc1def"), hash_of("tasks/9zz8yyy/x", "abc1def"));
    ck_assert_str_eq(hash_of("abc1de", "abc1def"), hash_of("abc2de", "abc1def"));
}
END_TEST

static struct player *play(struct str file)
{
    struct player *p;
    FINE(player_read(root, file, &p, &err));
    return p;
}

START_TEST(answers_come_back_byte_for_byte_and_in_order)
{
    static const char raw[] = "\x1f\x8b\0\xff\xfe\n";
    struct buf b;
    struct recorded r[] = {
        {hash_of("q1", ""), "chat", "text/event-stream", 200, STR("data: {\"a\":\"\\u00e9 \xc3\xa9\"}\r\n\r\n")},
        {hash_of("x", ""), "messages", "application/json", 529, STR("{}")},
        {hash_of("q2", ""), "chat", "text/event-stream", 200, str_n(raw, sizeof raw - 1)},
        {hash_of("y", ""), "chat", "application/json", 200, STR("")},
    };
    buf_init(&b, root, RECORDING_MAX);
    ck_assert(recording_write_head(&b, "abcdef1", "2026-01-01T00:00:00Z", STR("{\"name\":\"m\"}")));
    for (size_t i = 0; i < 4; i++)
        ck_assert(recording_write(&b, &r[i]));
    struct player *p = play(buf_view(&b));
    ck_assert_uint_eq(player_count(p), 4);
    ck_assert_str_eq(player_model(p), "{\"name\":\"m\"}");
    struct recorded out;
    static const size_t order[] = {1, 0, 2, 2, 3}; /* "q1" and "q2" have one hash; its last is given again and again */
    for (size_t i = 0; i < 5; i++) {
        const struct recorded *want = &r[order[i]];
        FINE(player_next(p, want->hash, &out, &err));
        ck_assert(str_eq(out.body, want->body));
        ck_assert_int_eq(out.status, want->status);
        ck_assert_str_eq(out.content_type, want->content_type);
        ck_assert_str_eq(out.dialect, want->dialect);
    }
    ck_assert_int_eq(player_next(p, hash_of("unknown", ""), &out, &err), RC_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.hint, "--record"));
}
END_TEST

START_TEST(every_length_survives_base64)
{
    char bytes[70];
    for (size_t n = 1; n < sizeof bytes; n++) {
        struct buf b;
        struct recorded out;
        memset(bytes, 0xf0 + (int)(n % 7), n);
        buf_init(&b, root, RECORDING_MAX);
        recording_write_head(&b, "", "", STR(""));
        recording_write(&b, &(struct recorded){hash_of("q", ""), "chat", "x/y", 200, str_n(bytes, n)});
        FINE(player_next(play(buf_view(&b)), hash_of("q", ""), &out, &err));
        ck_assert(str_eq(out.body, str_n(bytes, n)));
    }
}
END_TEST

#define HEAD "{\"nightmill\":\"recording\",\"version\":1}\n"
#define HASH "0123456789012345678901234567890123456789012345678901234567890123"

START_TEST(what_is_no_recording_is_refused_with_its_line)
{
    static const struct {
        const char *file, *words;
    } rows[] = {
        {"", "line 1"},
        {"\n", "line 1"},
        {"{}\n", "line 1"},
        {"{\"nightmill\":\"recording\",\"version\":2}\n", "line 1"},
        {HEAD "no json\n", "line 2"},
        {HEAD "[]\n", "line 2"},
        {HEAD "\n{\"request\":\"short\",\"status\":200,\"body\":\"\"}\n", "line 3"},
        {HEAD "{\"request\":\"" HASH "\",\"status\":99,\"body\":\"\"}\n", "line 2"},
        {HEAD "{\"request\":\"" HASH "\",\"status\":200}\n", "line 2"},
        {HEAD "{\"request\":\"" HASH "\",\"status\":200,\"body_base64\":\"abc\"}\n", "line 2"},
        {HEAD "{\"request\":\"" HASH "\",\"status\":200,\"body_base64\":\"a===\"}\n", "line 2"},
        {HEAD "{\"request\":\"" HASH "\",\"status\":200,\"body_base64\":\"ab=c\"}\n", "line 2"},
        {HEAD "{\"request\":\"" HASH "\",\"status\":200,\"body_base64\":\"ab==abcd\"}\n", "line 2"},
        {HEAD "{\"request\":\"" HASH "\",\"status\":200,\"body\":\"\",\"content_type\":\"a\\r\\nX: y\"}\n", "line 2"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct player *p;
        ck_assert_msg(player_read(root, str_of(rows[i].file), &p, &err) == RC_INVALID, "%s", rows[i].file);
        ck_assert_msg(strstr(err.sentence, rows[i].words), "%s: %s", rows[i].file, err.sentence);
    }
    struct player *p = play(STR(HEAD));
    ck_assert_uint_eq(player_count(p), 0);
    ck_assert_str_eq(player_model(p), "{}");
}
END_TEST

/* A script: what is asked plays no part, where it stands is said by who plays it. */
START_TEST(a_script_is_given_in_the_order_of_its_lines)
{
#define SCRIPT "{\"nightmill\":\"recording\",\"version\":1,\"order\":true}\n"
    struct recorded r;
    struct player *p = play(STR(SCRIPT "{\"request\":\"" HASH "\",\"status\":200,\"body\":\"a\"}\n"
                                       "{\"request\":\"" HASH "\",\"status\":200,\"body\":\"b\"}\n"));
    ck_assert(player_in_order(p));
    ck_assert(!player_in_order(play(STR(HEAD))));
    for (size_t i = 2; i-- > 0;) {
        ck_assert_int_eq(player_at(p, i, &r, &err), RC_OK);
        ck_assert(str_eqz(r.body, i ? "b" : "a"));
    }
    ck_assert_int_eq(player_at(p, 2, &r, &err), RC_NOT_FOUND);
    ck_assert_int_eq(player_at(play(STR(SCRIPT)), 0, &r, &err), RC_NOT_FOUND);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("recording");
    TCase *c = tcase_create("recording");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, hashes_leave_out_what_differs_between_runs);
    tcase_add_test(c, answers_come_back_byte_for_byte_and_in_order);
    tcase_add_test(c, every_length_survives_base64);
    tcase_add_test(c, what_is_no_recording_is_refused_with_its_line);
    tcase_add_test(c, a_script_is_given_in_the_order_of_its_lines);
    suite_add_tcase(suite, c);
    SRunner *run = srunner_create(suite);
    srunner_run_all(run, CK_NORMAL);
    int failed = srunner_ntests_failed(run);
    srunner_free(run);
    return failed ? 1 : 0;
}
