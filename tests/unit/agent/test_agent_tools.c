/* Contract of the tools: what each does and answers, that no path leaves the workspace, that nothing is left out
 * without a mark, and that whatever a model sends is answered. */
#include "base/text.h"
#include "fake_rooms.h"
#include "world.h"
#include <sys/socket.h>
#include <sys/un.h>

static struct world *world;
static mem *ctx;

static void set_up(void)
{
    ctx = mem_root();
    world = world_new(ctx, "chat");
    world->spec.max_turns = 1;
}

static void tear_down(void)
{
    world_done(world);
    ctx = mem_free(ctx);
}

/* Makes one call in an iteration of its own; what the model is answered. */
static bool refused;
static const char *call(const char *name, const char *arguments)
{
    world->script_n = 0;
    world->records = world->last_record = NULL;
    world->requests = world->last_request = NULL;
    world->record_count = 0;
    script_add(world, "", &(struct call){name, arguments}, 1);
    ck_assert_int_eq(world_run(world), RC_OK);
    ck_assert(world->result.end == AGENT_TURNS || world->result.end == AGENT_FINISHED);
    return result_of(world, 1, 1, &refused);
}
#define OK(name, arguments, expected)                                                                                  \
    do {                                                                                                               \
        ck_assert_str_eq(call(name, arguments), expected);                                                             \
        ck_assert(!refused);                                                                                           \
    } while (0)
#define HAS(name, arguments, part)                                                                                     \
    do {                                                                                                               \
        const char *seen_ = call(name, arguments);                                                                     \
        ck_assert_msg(strstr(seen_, part) && !refused, "answer: %s", seen_);                                           \
    } while (0)
#define REFUSED(name, arguments, part)                                                                                 \
    do {                                                                                                               \
        const char *seen_ = call(name, arguments);                                                                     \
        ck_assert_msg(strstr(seen_, part) && refused, "answer: %s", seen_);                                            \
    } while (0)

START_TEST(test_read)
{
    file_put(world, "a.txt", "one\ntwo\nthree\nfour\n");
    OK("read", "{\"path\":\"a.txt\"}", "     1\tone\n     2\ttwo\n     3\tthree\n     4\tfour\n");
    OK("read", "{\"path\":\"/workspace/a.txt\"}", "     1\tone\n     2\ttwo\n     3\tthree\n     4\tfour\n");
    OK("read", "{\"path\":\"./a.txt\",\"line\":2,\"lines\":2}",
       "     2\ttwo\n     3\tthree\n[lines 2 to 3 of 4; ask for more with `line`]\n");
    OK("read", "{\"path\":\"a.txt\",\"line\":4}", "     4\tfour\n[lines 4 to 4 of 4]\n");
    REFUSED("read", "{\"path\":\"a.txt\",\"line\":5}", "only 4 lines");
    REFUSED("read", "{\"path\":\"a.txt\",\"line\":0}", "\"line\"");
    file_put(world, "e", "");
    OK("read", "{\"path\":\"e\"}", "(the file is empty)");
    file_put(world, "n", "a\n\nb");
    OK("read", "{\"path\":\"n\"}", "     1\ta\n     2\t\n     3\tb\n[no newline at the end of the file]\n");
    file_put(world, "c", "a\r\nb\r\n");
    OK("read", "{\"path\":\"c\"}", "     1\ta\n     2\tb\n[lines end with CR LF]\n");
    file_put(world, "u", "a\xff\n");
    OK("read", "{\"path\":\"u\"}", "     1\ta\xef\xbf\xbd\n[bytes that are not UTF-8 are shown as U+FFFD]\n");
    REFUSED("read", "{\"path\":\"none\"}", "none");
    REFUSED("read", "{\"path\":\".\"}", "");
    CLEANUP_FD int fd = open(mem_printf(ctx, "%s/bin", world->dir), O_WRONLY | O_CREAT, 0644);
    ck_assert_int_eq(write(fd, "a\0b\n", 4), 4);
    REFUSED("read", "{\"path\":\"bin\"}", "binary file of 4 bytes");
}
END_TEST

/* Every line of any file is reached by asking on, and each window says that there is more. */
START_TEST(test_read_long)
{
    struct buf b;
    buf_init(&b, ctx, 16 << 20);
    for (int i = 1; i <= 3000; i++)
        buf_printf(&b, "line %d %s\n", i, i % 7 ? "" : "with some more text so that lengths differ");
    buf_z(&b, "last ");
    for (int i = 0; i < 50000; i++)
        buf_char(&b, 'x');
    file_put(world, "long", b.p);
    int next = 1, windows = 0;
    while (next <= 3001 && ++windows < 100) {
        const char *seen = call("read", mem_printf(ctx, "{\"path\":\"long\",\"line\":%d,\"lines\":5000}", next));
        ck_assert_uint_le(strlen(seen), world->spec.tool_output_max);
        ck_assert_ptr_null(strstr(seen, "bytes left out ...]\n"));
        const char *mark = strstr(seen, "[lines ");
        int from, to, total;
        ck_assert_int_eq(sscanf(mark, "[lines %d to %d of %d", &from, &to, &total), 3);
        ck_assert_int_eq(from, next);
        ck_assert_int_eq(total, 3001);
        ck_assert(strstr(seen, mem_printf(ctx, "%6d\tl", to)) != NULL);
        if (to == 3001)
            ck_assert(strstr(seen, "[... 48005 bytes of this line left out]") != NULL);
        next = to + 1;
    }
    ck_assert_int_eq(next, 3002);
    ck_assert_int_gt(windows, 5);
}
END_TEST

START_TEST(test_paths_stay_inside)
{
    ck_assert_int_eq(path_write_durable(mem_printf(ctx, "%s/secret", world->base), STR("secret"), 0600, NULL), RC_OK);
    file_put(world, "in/a", "inside");
    ck_assert_int_eq(symlink("../secret", mem_printf(ctx, "%s/out", world->dir)), 0);
    ck_assert_int_eq(symlink(world->base, mem_printf(ctx, "%s/up", world->dir)), 0);
    ck_assert_int_eq(symlink("in", mem_printf(ctx, "%s/inner", world->dir)), 0);
    ck_assert_int_eq(symlink("nowhere", mem_printf(ctx, "%s/dangling", world->dir)), 0);
    ck_assert_int_eq(symlink("../new", mem_printf(ctx, "%s/dangling-out", world->dir)), 0);
    ck_assert_int_eq(mkfifo(mem_printf(ctx, "%s/fifo", world->dir), 0644), 0);
    static const char *const outside[] = {
        "../secret", "in/../../secret", "/etc/passwd",  "/workspace/../secret", "/workspacex",
        "out",       "up/secret",       "//etc/passwd", "/proc/self/root",      "up/../secret"};
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        const char *p = outside[i];
        ck_assert_ptr_null(strstr(call("read", mem_printf(ctx, "{\"path\":\"%s\"}", p)), "secret\n"));
        ck_assert_msg(refused, "read %s", p);
        call("write", mem_printf(ctx, "{\"path\":\"%s\",\"content\":\"x\"}", p));
        ck_assert_msg(refused, "write %s", p);
        call("edit", mem_printf(ctx, "{\"path\":\"%s\",\"old\":\"secret\",\"new\":\"x\"}", p));
        ck_assert_msg(refused, "edit %s", p);
        const char *found = call("search", mem_printf(ctx, "{\"text\":\"secret\",\"path\":\"%s\"}", p));
        ck_assert_msg(!strstr(found, ":1:"), "search %s: %s", p, found);
        const char *listed = call("list", mem_printf(ctx, "{\"path\":\"%s\"}", p));
        ck_assert_msg(!strstr(listed, "passwd  ") && !strstr(listed, "secret  "), "list %s: %s", p, listed);
    }
    struct str s;
    ck_assert_int_eq(path_slurp(ctx, mem_printf(ctx, "%s/secret", world->base), 100, &s, NULL), RC_OK);
    ck_assert(str_eqz(s, "secret"));
    ck_assert_int_ne(access(mem_printf(ctx, "%s/new", world->base), F_OK), 0);
    OK("read", "{\"path\":\"inner/a\"}", "     1\tinside\n[no newline at the end of the file]\n");
    REFUSED("read", "{\"path\":\"dangling\"}", "");
    REFUSED("write", "{\"path\":\"dangling-out\",\"content\":\"x\"}", "");
    REFUSED("read", "{\"path\":\"fifo\"}", "");
    REFUSED("write", "{\"path\":\"in\",\"content\":\"x\"}", "");
    REFUSED("write", "{\"path\":\"in/a/b\",\"content\":\"x\"}", "");
    REFUSED("write", "{\"path\":\".git/hooks/pre-commit\",\"content\":\"x\"}", "Git");
    REFUSED("write", "{\"path\":\"sub/.GIT/config\",\"content\":\"x\"}", "Git");
    REFUSED("write", "{\"path\":\"\",\"content\":\"x\"}", "");
    char *longest = mem_zalloc(ctx, 400);
    memset(longest, 'n', 300);
    REFUSED("write", mem_printf(ctx, "{\"path\":\"%s\",\"content\":\"x\"}", longest), "");
    OK("search", "{\"text\":\"inside\"}",
       "in/a:1:inside\n[5 symbolic links not followed]\n[1 special files not read]\n");
    HAS("list", "{}", "dangling  (symbolic link)\n");
    HAS("list", "{}", "fifo  (special file)\n");
}
END_TEST

START_TEST(test_write)
{
    OK("write", "{\"path\":\"a/b/c.txt\",\"content\":\"x\\ny\\n\"}", "Wrote 4 bytes, 2 lines, to a/b/c.txt.");
    ck_assert_str_eq(file_get(world, "a/b/c.txt"), "x\ny\n");
    OK("write", "{\"path\":\"a/b/c.txt\",\"content\":\"\"}", "Wrote 0 bytes, 0 lines, to a/b/c.txt.");
    ck_assert_str_eq(file_get(world, "a/b/c.txt"), "");
    call("write", "{\"path\":\"s\",\"content\":\"#!/bin/sh\\n\"}");
    ck_assert_int_eq(access(mem_printf(ctx, "%s/s", world->dir), X_OK), 0);
    REFUSED("write", "{\"path\":\"x\",\"content\":\"a\\u0000b\"}", "NUL");
    ck_assert_ptr_null(file_get(world, "x"));
    /* The record says what was written. */
    call("write", "{\"path\":\"a.txt\",\"content\":\"abc\"}");
    ck_assert(strstr(record_nth(world, "tool.started", 0),
                     "\"path\":\"a.txt\",\"after\":"
                     "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\""));
    ck_assert(strstr(record_nth(world, "tool.finished", 0),
                     "\"after\":\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61"
                     "f20015ad\""));
}
END_TEST

START_TEST(test_edit)
{
    file_put(world, "a", "1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    OK("edit", "{\"path\":\"a\",\"old\":\"5\\n\",\"new\":\"five\\nfive and a half\\n\"}",
       "Edited a. It now reads:\n     2\t2\n     3\t3\n     4\t4\n     5\tfive\n     6\tfive and a half\n     7\t6\n     8\t7\n"
       "     9\t8\n    10\t9\n");
    ck_assert_str_eq(file_get(world, "a"), "1\n2\n3\n4\nfive\nfive and a half\n6\n7\n8\n9\n");
    REFUSED("edit", "{\"path\":\"a\",\"old\":\"five\",\"new\":\"x\"}", "occurs 2 times in a (lines 5, 6)");
    REFUSED("edit", "{\"path\":\"a\",\"old\":\"55\",\"new\":\"x\"}", "does not occur");
    REFUSED("edit", "{\"path\":\"a\",\"old\":\"  6\\n\",\"new\":\"x\"}", "at line 7");
    REFUSED("edit", "{\"path\":\"a\",\"old\":\"\",\"new\":\"x\"}", "empty");
    REFUSED("edit", "{\"path\":\"a\",\"old\":\"6\",\"new\":\"6\"}", "same");
    REFUSED("edit", "{\"path\":\"none\",\"old\":\"6\",\"new\":\"7\"}", "none");
    ck_assert_str_eq(file_get(world, "a"), "1\n2\n3\n4\nfive\nfive and a half\n6\n7\n8\n9\n");
    file_put(world, "aaa", "aaa"); /* overlapping occurrences are two */
    REFUSED("edit", "{\"path\":\"aaa\",\"old\":\"aa\",\"new\":\"b\"}", "occurs 2 times");
    file_put(world, "crlf", "a\r\nb\r\n");
    REFUSED("edit", "{\"path\":\"crlf\",\"old\":\"a\\nb\",\"new\":\"x\"}", "CR LF");
    call("edit", "{\"path\":\"crlf\",\"old\":\"a\\r\\nb\",\"new\":\"x\"}");
    ck_assert_str_eq(file_get(world, "crlf"), "x\r\n");
    call("edit", "{\"path\":\"crlf\",\"old\":\"x\\r\\n\",\"new\":\"\"}");
    ck_assert_str_eq(file_get(world, "crlf"), "");
    /* Bytes that are no UTF-8 stay what they are. */
    file_put(world, "l1", "caf\xe9 one\n");
    call("edit", "{\"path\":\"l1\",\"old\":\"one\",\"new\":\"two\"}");
    ck_assert(!refused);
    ck_assert_str_eq(file_get(world, "l1"), "caf\xe9 two\n");
    /* The mode stays. */
    file_put(world, "s", "#!/bin/sh\necho 1\n");
    ck_assert_int_eq(chmod(mem_printf(ctx, "%s/s", world->dir), 0750), 0);
    call("edit", "{\"path\":\"s\",\"old\":\"echo 1\",\"new\":\"echo 2\"}");
    struct stat st;
    ck_assert_int_eq(stat(mem_printf(ctx, "%s/s", world->dir), &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0750);
}
END_TEST

START_TEST(test_list)
{
    OK("list", "{}", "(empty, or not a folder)\n");
    file_put(world, "b/c/d/deep.txt", "x");
    file_put(world, "b/two.c", "12");
    file_put(world, "a.txt", "x");
    file_put(world, "odd\nname", "x");
    ck_assert_int_eq(mkdir(mem_printf(ctx, "%s/.git", world->dir), 0755), 0);
    OK("list", "{}",
       ".git/  (Git's own, see it with git commands)\na.txt  1\nb/\nb/c/  (not opened)\nb/two.c  2\nodd\\nname  1\n"
       "[1 folders not opened: deeper than 2; raise depth or list them]\n");
    OK("list", "{\"path\":\"b/\",\"depth\":1}",
       "b/c/  (not opened)\nb/two.c  2\n[1 folders not opened: deeper than 1; raise depth or list them]\n");
    OK("list", "{\"glob\":\"*.txt\"}", "a.txt  1\nb/c/d/deep.txt  1\n");
    OK("list", "{\"glob\":\"*.rs\"}", "(no file matches)\n");
    REFUSED("list", "{\"path\":\"none\"}", "none");
    for (int i = 0; i < 600; i++)
        file_put(world, mem_printf(ctx, "m/f%03d", i), "");
    world->spec.tool_output_max = 100000;
    const char *seen = call("list", "{\"path\":\"m\"}");
    ck_assert(strstr(seen, "m/f499  0\n[100 more entries not shown") != NULL);
    world->spec.tool_output_max = 2048;
    seen = call("list", "{\"path\":\"m\"}");
    ck_assert_uint_le(strlen(seen), 2048);
    int shown = 0, hidden;
    for (const char *p = seen; (p = strstr(p, "  0\n")); p++)
        shown++;
    ck_assert_int_eq(sscanf(strstr(seen, "["), "[%d more entries", &hidden), 1);
    ck_assert_int_eq(shown + hidden, 600);
}
END_TEST

START_TEST(test_search)
{
    file_put(world, "a.c", "int main(void)\n{\n    return foo(1);\n}\n");
    file_put(world, "b/x.h", "int foo(int);\r\nFOO\n");
    OK("search", "{\"text\":\"foo(\"}", "a.c:3:    return foo(1);\nb/x.h:1:int foo(int);\n");
    OK("search", "{\"text\":\"foo\",\"ignore_case\":true,\"path\":\"b\"}", "b/x.h:1:int foo(int);\nb/x.h:2:FOO\n");
    OK("search", "{\"text\":\"^(int|\\\\{) ?[a-z]*\",\"regex\":true,\"glob\":\"*.c\"}",
       "a.c:1:int main(void)\na.c:2:{\n");
    OK("search", "{\"text\":\"FO{2}$\",\"regex\":true}", "b/x.h:2:FOO\n");
    OK("search", "{\"text\":\"absent\"}", "(no match)\n");
    REFUSED("search", "{\"text\":\"a(\",\"regex\":true}", "regular expression");
    REFUSED("search", "{\"text\":\"(a)\\\\1\",\"regex\":true}", "References");
    REFUSED("search", "{\"text\":\"((a{100}){100}){100}\",\"regex\":true}", "repetitions");
    REFUSED("search", "{\"text\":\"a{99999999999999999999}\",\"regex\":true}", "repetitions");
    REFUSED("search", "{\"text\":\"\"}", "empty");
    REFUSED("search", "{\"text\":\"a\\nb\"}", "one line");
    REFUSED("search", "{\"text\":\"x\",\"path\":\"none\"}", "none");
    CLEANUP_FD int fd = open(mem_printf(ctx, "%s/bin", world->dir), O_WRONLY | O_CREAT, 0644);
    ck_assert_int_eq(write(fd, "foo\0b\n", 6), 6);
    OK("search", "{\"text\":\"FOO\"}", "b/x.h:2:FOO\n[1 binary files not searched]\n");
    struct buf b;
    buf_init(&b, ctx, 1 << 20);
    for (int i = 0; i < 20000; i++)
        buf_char(&b, 'a');
    buf_z(&b, "needle and more");
    file_put(world, "long", b.p);
    HAS("search", "{\"text\":\"needle\"}", "long:1:[...]aaa");
    HAS("search", "{\"text\":\"n[e]edle\",\"regex\":true}", "[1 lines of more than 16 KiB not matched]");
    buf_clear(&b);
    for (int i = 0; i < 500; i++)
        buf_z(&b, "hit\n");
    file_put(world, "many", b.p);
    HAS("search", "{\"text\":\"hit\"}", "many:200:hit\n[500 matches in 1 files; the first 200 are shown]\n");
}
END_TEST

START_TEST(test_run)
{
    OK("run", "{\"command\":\"echo out; echo err >&2; exit 3\"}", "exit code 3\nout\nerr\n");
    OK("run", "{\"command\":\"true\"}", "exit code 0\n");
    HAS("run", "{\"command\":\"kill -9 $$\"}", "signal 9 (Killed)");
    REFUSED("run", "{\"command\":\"sleep 20\",\"timeout_s\":1}", "ended after 1 seconds");
    REFUSED("run", "{\"command\":\"  \"}", "empty");
    OK("run", "{\"command\":\"printf '\\\\377'\"}", "exit code 0\n\xef\xbf\xbd");
    const char *seen = call("run", "{\"command\":\"seq 1 20000\"}");
    ck_assert_uint_le(strlen(seen), world->spec.tool_output_max);
    ck_assert(strstr(seen, "exit code 0\n1\n2\n") && strstr(seen, "bytes left out ...]") && strstr(seen, "\n20000\n"));
    struct str whole;
    ck_assert_int_eq(path_slurp(ctx, mem_printf(ctx, "%s/out/i1.t1.c1.run.txt", world->base), 1 << 20, &whole, NULL),
                     RC_OK);
    ck_assert(str_starts(whole, STR("1\n2\n3\n")) && str_ends(whole, STR("\n20000\n")));
    ck_assert(str_find(whole, STR("\n10000\n")) > 0);
    /* The record: how it ended, and the tree before and after. */
    call("run", "{\"command\":\"echo x > made; exit 4\"}");
    const char *started = record_nth(world, "tool.started", 0), *finished = record_nth(world, "tool.finished", 0);
    ck_assert(strstr(finished, "\"exit_code\":4,\"tree\":\"") && strstr(finished, tree_look(world->dir)->name));
    ck_assert(strstr(started, "\"tree\":\"") && !strstr(started, tree_look(world->dir)->name));
}
END_TEST

/* Other outputs that do not fit are kept whole, too. */
START_TEST(test_whole_is_kept)
{
    file_put(world, "f", "x\n");
    world->spec.tool_output_max = 1024;
    struct buf b;
    buf_init(&b, ctx, 1 << 20);
    for (int i = 0; i < 300; i++)
        buf_printf(&b, "line %d\\n", i);
    const char *seen = call("edit", mem_printf(ctx, "{\"path\":\"f\",\"old\":\"x\",\"new\":\"%s\"}", b.p));
    ck_assert_uint_le(strlen(seen), 1024);
    ck_assert(strstr(seen, "bytes left out ...]") != NULL);
    struct str whole;
    ck_assert_int_eq(path_slurp(ctx, mem_printf(ctx, "%s/out/i1.t1.c1.edit.txt", world->base), 1 << 20, &whole, NULL),
                     RC_OK);
    ck_assert_uint_gt(whole.n, 1024);
}
END_TEST

START_TEST(test_note_and_finish)
{
    OK("note", "{\"text\":\" keep this \"}", "Noted.");
    ck_assert_str_eq(world->result.notes[0], "keep this");
    ck_assert_ptr_null(world->result.notes[1]);
    ck_assert(strstr(record_nth(world, "agent.note", 0), "\"text\":\"keep this\"") != NULL);
    REFUSED("note", "{\"text\":\"  \"}", "empty");
    call("finish", "{\"summary\":\"did it\"}");
    ck_assert_int_eq(world->result.end, AGENT_FINISHED);
    ck_assert_str_eq(world->result.summary, "did it");
    call("finish", "{}");
    ck_assert_int_eq(world->result.end, AGENT_FINISHED);
}
END_TEST

START_TEST(test_bad_calls)
{
    REFUSED("fly", "{}",
            "There is no tool of that name. The tools are: read, list, search, write, edit, run, note, finish.");
    REFUSED("", "{}", "no tool of that name");
    REFUSED("read", "{\"path\":", "must be one JSON object");
    REFUSED("read", "[]", "must be one JSON object");
    REFUSED("read", "{\"path\":5}", "\"path\" must be a string");
    REFUSED("read", "{}", "\"path\" is missing");
    REFUSED("read", "{\"path\":\"a\",\"line\":\"two\"}", "\"line\" must be a whole number");
    REFUSED("search", "{\"text\":\"a\",\"regex\":\"yes\"}", "\"regex\" must be true or false");
    REFUSED("run", "{\"command\":[\"ls\"]}", "\"command\" must be a string");
}
END_TEST

/* Schemas are JSON objects, name only members that are read, and every member that is read is named. */
START_TEST(test_schemas)
{
    size_t n;
    const struct agent_tool *const *tools = agent_tools(&n);
    ck_assert_uint_eq(n, 8);
    for (size_t i = 0; i < n; i++) {
        struct json schema;
        ck_assert_int_eq(json_parse(ctx, str_of(tools[i]->face.schema), &schema, NULL), RC_OK);
        ck_assert(json_eqz(json_get(schema, "type"), "object"));
        struct json properties = json_get(schema, "properties");
        ck_assert_uint_eq(json_len(properties), tools[i]->field_count);
        for (size_t f = 0; f < tools[i]->field_count; f++)
            ck_assert_msg(json_is(json_get(properties, tools[i]->fields[f].key)), "%s", tools[i]->fields[f].key);
        ck_assert_str_eq(agent_tool_find(tools[i]->face.name)->face.name, tools[i]->face.name);
        ck_assert(tools[i]->face.description[0] && tools[i]->run);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("tools");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, test_read);
    tcase_add_test(tc, test_read_long);
    tcase_add_test(tc, test_paths_stay_inside);
    tcase_add_test(tc, test_write);
    tcase_add_test(tc, test_edit);
    tcase_add_test(tc, test_list);
    tcase_add_test(tc, test_search);
    tcase_add_test(tc, test_run);
    tcase_add_test(tc, test_whole_is_kept);
    tcase_add_test(tc, test_note_and_finish);
    tcase_add_test(tc, test_bad_calls);
    tcase_add_test(tc, test_schemas);
    Suite *s = suite_create("tools");
    suite_add_tcase(s, tc);
    return suite_run(s);
}
