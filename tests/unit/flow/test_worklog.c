/* The log of a task: lines of any bytes, windows, search, and that it is the same text whenever it is made. */
#include "flow/worklog.h"
#include "os/path.h"
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static mem *ctx;
static struct board board;
static struct err err;
static int64_t now_ns = 1000000000;
static char dir[] = "/tmp/nightmill-worklog-XXXXXX";

static enum rc insert_tx(struct store_tx *tx, void *arg, struct err *e)
{
    return task_insert(tx, arg, e);
}

static void setup(void)
{
    ctx = mem_root();
    snprintf(dir, sizeof dir, "/tmp/nightmill-worklog-XXXXXX");
    ck_assert(mkdtemp(dir));
    board.data_dir = dir;
    ck_assert_int_eq(store_open(ctx, dir, &board.store, &err), RC_OK);
    struct task t = {.id = "aaaaaa1",
                     .title = "t",
                     .text = "t",
                     .repo = "/r",
                     .state = "queued",
                     .reason = "",
                     .words = "",
                     .spec = "{}",
                     .limit_money = -1,
                     .currency = "USD",
                     .agent = "",
                     .agent_version = "",
                     .model = "",
                     .kind = ""};
    ck_assert_msg(store_write(board.store, insert_tx, &t, &err) == RC_OK, "%s", err.sentence);
    ck_assert_int_eq(path_mkdirs(mem_printf(ctx, "%s/tasks/aaaaaa1/out", dir), 0700, &err), RC_OK);
    ck_assert_int_eq(path_mkdirs(mem_printf(ctx, "%s/tasks/aaaaaa1/verify/abc", dir), 0700, &err), RC_OK);
}

static void teardown(void)
{
    board.store = store_close(board.store);
    ck_assert_int_eq(path_remove_tree(dir, &err), RC_OK);
    mem_free(ctx);
}

struct append {
    const char *type, *data;
};

static enum rc append_tx(struct store_tx *tx, void *arg, struct err *e)
{
    const struct append *a = arg;
    struct event event = {.time_ns = now_ns, .type = a->type, .actor = "system", .data = a->data};
    int64_t number;
    bool fresh;
    return event_append(tx, "aaaaaa1", &event, &number, &fresh, e);
}

static void happens(const char *type, const char *data)
{
    struct append a = {type, data};
    ck_assert_msg(store_write(board.store, append_tx, &a, &err) == RC_OK, "%s %s", err.sentence, err.detail);
}

static void file_put(const char *below, const char *text, bool more)
{
    int fd = open(mem_printf(ctx, "%s/tasks/aaaaaa1/%s", dir, below), O_WRONLY | O_CREAT | (more ? O_APPEND : O_TRUNC),
                  0600);
    ck_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static char *log_text(struct worklog *w)
{
    ck_assert_msg(worklog_open(ctx, &board, "aaaaaa1", 10000, w, &err) == RC_OK, "%s", err.sentence);
    ck_assert(w->complete);
    return mem_strn(ctx, w->text.p, w->text.n);
}

START_TEST(lines_are_clean)
{
    static const struct {
        const char *raw, *line;
    } cases[] = {
        {"plain\ttext", "plain\ttext"},
        {"10%\r50%\r100%", "100%"},
        {"windows\r", "windows"},
        {"\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"},
        {"\x1b[38;5;208mx", "\x1b[38;5;208mx"},
        {"\x1b[2Jcleared\x1b[1;1H", "cleared"},
        {"\x1b]0;title\x07"
         "shown",
         "shown"},
        {"\x1b]8;;http://evil\x1b\\link", "link"},
        {"\x1bPq#0\x1b\\"
         "after",
         "after"},
        {"\x1b[?25lhidden", "hidden"},
        {"\x1b(Bcharset", "charset"},
        {"bell"
         "\x07",
         "bell\xE2\x90\x87"},
        {"bad\xff"
         "\xfe",
         "bad"
         "\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"c1\xC2\x9b"
         "31m",
         "c1\xEF\xBF\xBD"
         "31m"},
        {"del\x7f", "del\xE2\x90\xA1"},
        {"\x1b[8mconcealed", "concealed"},
        {"\x1b[1;8;31mred", "\x1b[1;31mred"},
        {"right\xE2\x80\xAEtfel", "right\xEF\xBF\xBDtfel"},
        {"tag\xF3\xA0\x81\x81", "tag\xEF\xBF\xBD"},
        {"\x1b", ""},
        {"\x1b[", ""},
        {"\x1b]never ends", ""},
        {"<script>alert(1)</script>", "<script>alert(1)</script>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b;
        buf_init(&b, ctx, SIZE_MAX);
        worklog_clean(&b, str_of(cases[i].raw), 0);
        ck_assert_str_eq(b.p, mem_printf(ctx, "%s\n", cases[i].line));
    }
    struct buf b;
    buf_init(&b, ctx, SIZE_MAX);
    worklog_clean(&b, str_n("a\0b", 3), 0);
    ck_assert_str_eq(b.p, "a\xE2\x90\x80"
                          "b\n");
    buf_clear(&b);
    char *large = mem_zalloc(ctx, 10 << 20);
    memset(large, 'x', 10 << 20);
    worklog_clean(&b, str_n(large, 10 << 20), 0);
    ck_assert_uint_lt(b.n, WORKLOG_LINE + 100);
    ck_assert_ptr_nonnull(strchr(b.p, WORKLOG_CUT));
}
END_TEST

START_TEST(grows_while_things_run)
{
    struct worklog w;
    happens("task.created", "{\"text\":\"do it\"}");
    happens("iteration.started", "{\"iteration\":1,\"limit\":3}");
    happens("tool.started", "{\"turn\":1,\"call\":1,\"name\":\"run\",\"summary\":\"make\"}");
    file_put("out/i1.t1.c1.run.txt", "one\ntw", false);
    ck_assert_str_eq(log_text(&w), "Task: do it\nIteration 1 of 3\nrun: make\none\n");
    ck_assert_str_eq(worklog_kind_name(w.sections[w.section_n - 1].kind), "tool");
    worklog_close(&w);
    file_put("out/i1.t1.c1.run.txt", "o\nthree", true);
    happens("tool.finished",
            "{\"turn\":1,\"call\":1,\"name\":\"run\",\"summary\":\"make\",\"result\":\"cut\",\"exit_code\":2}");
    happens("check.started",
            mem_printf(ctx,
                       "{\"kind\":\"delivered\",\"check\":\"test\",\"log\":\"%s/tasks/aaaaaa1/verify/abc/01.log\"}",
                       dir));
    file_put("verify/abc/01.log", "ok 1\nok 2\n", false);
    happens(
        "verdict",
        "{\"iteration\":1,\"verdict\":{\"outcome\":\"red\",\"words\":\"no\",\"runs\":[{\"kind\":\"delivered\",\"check\":\"test\",\"exit_code\":1,\"tail\":\"ok 2\"}]}}");
    happens("iteration.finished", "{\"iteration\":1,\"outcome\":\"red\",\"words\":\"the test failed\"}");
    happens("iteration.started", "{\"iteration\":2,\"limit\":3}");
    const char *whole =
        "Task: do it\nIteration 1 of 3\nrun: make\none\ntwo\nthree\nexit code 2\ncheck test (delivered)\nok 1\nok 2\n"
        "check test (delivered): exit status 1\nverdict: red, no\nIteration 1: red, the test failed\nIteration 2 of 3\n";
    ck_assert_str_eq(log_text(&w), whole);
    int64_t first, last;
    ck_assert(worklog_iteration(&w, 1, &first, &last) && first == 2 && last == 13);
    ck_assert(worklog_iteration(&w, 2, &first, &last) && first == 14 && last == 14);
    ck_assert(!worklog_iteration(&w, 3, &first, &last));
    for (int64_t n = 1; n <= w.lines; n++)
        ck_assert_int_eq(worklog_line_at(&w, worklog_offset(&w, n)), n);
    ck_assert(str_eqz(worklog_line(&w, 5), "two"));
    ck_assert_uint_eq(worklog_line(&w, 15).n + worklog_line(&w, 0).n, 0);
    worklog_close(&w);
    /* Made anew it is the same; what a crash left behind the state is cut off. */
    file_put("log/text", "half a li", true);
    ck_assert_str_eq(log_text(&w), whole);
    worklog_close(&w);
    file_put("log/index", "", false);
    ck_assert_str_eq(log_text(&w), whole);
    worklog_close(&w);
    ck_assert_int_eq(path_remove_tree(mem_printf(ctx, "%s/tasks/aaaaaa1/log", dir), &err), RC_OK);
    ck_assert_str_eq(log_text(&w), whole);
    worklog_close(&w);
}
END_TEST

static void step_is(const struct worklog_step *s, int64_t line, int64_t lines, int32_t code, int64_t ms,
                    const char *state)
{
    const char *now = !s->ended ? "open" : s->failed ? "failed" : "passed";
    ck_assert_int_eq(s->section->line, line);
    ck_assert_int_eq(s->lines, lines);
    ck_assert_int_eq(s->exit_code, code);
    ck_assert_int_eq(s->took_ms, ms);
    ck_assert_str_eq(now, state);
}

/* Commands, calls and checks know their lines, how they ended and how long they took, also when that is told later. */
START_TEST(steps_fold)
{
    struct worklog w;
    struct worklog_step *steps;
    happens("task.created", "{\"text\":\"do it\"}");
    happens("setup.finished", "{\"command\":\"make deps\",\"exit_code\":0,\"ms\":1200,\"output\":\"one\\ntwo\"}");
    happens("iteration.started", "{\"iteration\":1,\"limit\":3}");
    happens("agent.text", "{\"text\":\"I look\\naround\"}");
    happens("tool.started", "{\"turn\":1,\"call\":0,\"name\":\"run\",\"summary\":\"make\"}");
    file_put("out/i1.t1.c0.run.txt", "one\ntwo\nthr", false);
    log_text(&w);
    ck_assert_uint_eq(worklog_steps(ctx, &w, 0, &steps), 2);
    step_is(&steps[0], 2, 3, 0, 1200, "passed");
    step_is(&steps[1], 8, 3, WORKLOG_NO_CODE, -1, "open");
    ck_assert_uint_eq(worklog_steps(ctx, &w, 1, &steps), 1);
    ck_assert_int_eq(w.sections[worklog_section_of(&w, 4)].line, 6);
    ck_assert_uint_eq(worklog_section_of(&w, 0), w.section_n);
    worklog_close(&w);
    now_ns += 2500000000;
    happens("tool.finished",
            "{\"turn\":1,\"call\":0,\"name\":\"run\",\"summary\":\"make\",\"result\":\"cut\",\"exit_code\":2}");
    happens("tool.started", "{\"turn\":1,\"call\":1,\"name\":\"read\",\"summary\":\"a.txt\"}");
    now_ns += 40000000;
    happens("tool.finished",
            "{\"turn\":1,\"call\":1,\"name\":\"read\",\"summary\":\"a.txt\",\"result\":\"x\\ny\",\"is_error\":false}");
    happens("tool.started", "{\"turn\":1,\"call\":2,\"name\":\"run\",\"summary\":\"run sleep\"}");
    happens("tool.finished",
            "{\"turn\":1,\"call\":2,\"name\":\"run\",\"summary\":\"sleep\",\"result\":\"too late\",\"is_error\":true}");
    static const char *const kinds[] = {"delivered", "red"};
    for (size_t i = 0; i < 2; i++) {
        happens("check.started",
                mem_printf(ctx, "{\"kind\":\"%s\",\"check\":\"test\",\"log\":\"%s/tasks/aaaaaa1/verify/abc/0%zu.log\"}",
                           kinds[i], dir, i));
        file_put(mem_printf(ctx, "verify/abc/0%zu.log", i), "not ok\n", false);
    }
    happens("verdict", "{\"iteration\":1,\"verdict\":{\"outcome\":\"red\",\"words\":\"no\",\"runs\":["
                       "{\"kind\":\"delivered\",\"check\":\"test\",\"exit_code\":1,\"elapsed_ns\":3000000},"
                       "{\"kind\":\"red\",\"check\":\"test\",\"exit_code\":1,\"elapsed_ns\":4000000},"
                       "{\"kind\":\"red\",\"check\":\"unheard\",\"exit_code\":0}]}}");
    for (int again = 0; again < 2; again++) { /* and the same when the log is made anew */
        log_text(&w);
        ck_assert_uint_eq(worklog_steps(ctx, &w, 0, &steps), 6);
        step_is(&steps[1], 8, 5, 2, 2500, "failed"); /* with "thr" and "exit code 2" */
        step_is(&steps[2], 13, 3, WORKLOG_NO_CODE, 40, "passed");
        step_is(&steps[3], 16, 3, WORKLOG_NO_CODE, 0, "failed");
        step_is(&steps[4], 19, 2, 1, 3, "failed");
        step_is(&steps[5], 21, 2, 1, 4, "passed");              /* must fail, and did */
        ck_assert(str_eqz(worklog_line(&w, 16), "run: sleep")); /* the name once */
        ck_assert(w.sections[w.section_n - 2].failed);          /* must fail, and did not */
        worklog_close(&w);
        ck_assert_int_eq(path_remove_tree(mem_printf(ctx, "%s/tasks/aaaaaa1/log", dir), &err), RC_OK);
    }
}
END_TEST

/* Names in events come from agents: nothing outside of the task's outputs is read. */
START_TEST(reads_its_own_outputs_only)
{
    struct worklog w;
    file_put("secret", "hidden", false);
    happens("iteration.started", "{\"iteration\":1,\"limit\":3}");
    happens("check.started",
            mem_printf(ctx, "{\"kind\":\"d\",\"check\":\"c\",\"log\":\"%s/tasks/aaaaaa1/secret\"}", dir));
    happens("check.started",
            mem_printf(ctx, "{\"kind\":\"d\",\"check\":\"c\",\"log\":\"%s/tasks/aaaaaa1/verify/../secret\"}", dir));
    ck_assert_int_eq(symlink("../secret", mem_printf(ctx, "%s/tasks/aaaaaa1/verify/link", dir)), 0);
    happens("check.started",
            mem_printf(ctx, "{\"kind\":\"d\",\"check\":\"c\",\"log\":\"%s/tasks/aaaaaa1/verify/link\"}", dir));
    happens("tool.finished", "{\"turn\":1,\"call\":1,\"name\":\"../../secret\",\"summary\":\"s\",\"result\":\"r\"}");
    ck_assert_ptr_null(strstr(log_text(&w), "hidden"));
    worklog_close(&w);
}
END_TEST

START_TEST(search_finds_all)
{
    struct worklog w;
    struct buf b;
    buf_init(&b, ctx, SIZE_MAX);
    for (int i = 0; i < 5000; i++)
        buf_printf(&b, i % 10 == 3 ? "line %d has an ERROR in it, an error\n" : "line %d\n", i);
    happens("iteration.started", "{\"iteration\":1,\"limit\":3}");
    happens("tool.started", "{\"turn\":1,\"call\":1,\"name\":\"run\",\"summary\":\"make\"}");
    file_put("out/i1.t1.c1.run.txt", b.p, false);
    log_text(&w);
    int any = 0, exact = 0;
    for (size_t at = 0; (at = worklog_find(&w, STR("error IN"), true, at, w.text.n)) < w.text.n; at++)
        any++;
    for (size_t at = 0; (at = worklog_find(&w, STR("ERROR"), false, at, w.text.n)) < w.text.n; at++)
        exact++;
    ck_assert_int_eq(any, 500);
    ck_assert_int_eq(exact, 500);
    size_t at = worklog_find(&w, STR("line 4999"), true, 0, w.text.n);
    ck_assert_int_eq(worklog_line_at(&w, at), 5002);
    ck_assert_uint_eq(worklog_find(&w, STR("line 5000"), true, 0, w.text.n), w.text.n);
    worklog_close(&w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("worklog");
    TCase *t = tcase_create("worklog");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, lines_are_clean);
    tcase_add_test(t, grows_while_things_run);
    tcase_add_test(t, steps_fold);
    tcase_add_test(t, reads_its_own_outputs_only);
    tcase_add_test(t, search_finds_all);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
