/* Contract: what a foreign agent prints becomes events of the task with capped numbers and sizes, cleaned to UTF-8; and
 * its HOME is its own: our files get there whatever it has made of it, and nothing outside is touched. */
#include "flow/foreign.h"
#include "os/frame.h"
#include "os/path.h"
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static mem *ctx;
static struct err err;
static char dir[64];
static struct run run;
static int server = -1, conn = -1;
static pthread_t thread;

/* The other end of the line: greets, and takes what comes until it is closed. */
static void *serve(void *arg)
{
    mem *own = mem_root();
    struct str text;
    (void)arg;
    conn = accept4(server, NULL, NULL, SOCK_CLOEXEC);
    (void)!frame_recv(own, conn, 10000, &text, NULL, NULL, NULL);
    (void)!frame_send(conn, STR("{\"welcome\":{\"acked\":0,\"job\":\"run\",\"task\":{},\"spec\":{},\"inputs\":[]}}"),
                      NULL, 0, NULL);
    while (frame_recv(own, conn, 20000, &text, NULL, NULL, NULL) == RC_OK)
        own = mem_free(own), own = mem_root();
    mem_free(own);
    return NULL;
}

static void begin(void)
{
    ctx = mem_root();
    snprintf(dir, sizeof dir, "/tmp/mill-hear-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    const char *path = mem_printf(ctx, "%s/s", dir);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, path, strlen(path) + 1);
    server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert(bind(server, (struct sockaddr *)&a, sizeof a) == 0 && listen(server, 1) == 0);
    pthread_create(&thread, NULL, serve, NULL);
    run = (struct run){.ctx = ctx, .task_dir = dir, .iteration = 1, .uid = geteuid(), .gid = getegid()};
    ck_assert_int_eq(journal_open(ctx, mem_printf(ctx, "%s/journal", dir), &run.journal, &err), RC_OK);
    ck_assert_int_eq(link_open(ctx, path, "t", "token", 10000, &run.link, &run.welcome, &err), RC_OK);
}

static void end(void)
{
    link_close(run.link);
    pthread_join(thread, NULL);
    close(conn);
    close(server);
    ck_assert_int_eq(path_remove_tree(dir, NULL), RC_OK);
    ctx = mem_free(ctx);
}

static void hear(struct hearing *h, struct backend_event e)
{
    if (!e.text.p)
        e.text = STR("");
    hearing_event(h, &e);
}

static struct json entry(size_t i, const char *type)
{
    ck_assert_msg(i < journal_count(run.journal), "there are only %zu entries", journal_count(run.journal));
    const struct journal_entry *e = journal_at(run.journal, i);
    ck_assert_str_eq(e->type, type);
    return e->json;
}

START_TEST(words_become_events)
{
    begin();
    struct hearing h;
    hearing_init(&h, ctx, &run, "codex", NULL);
    hear(&h, (struct backend_event){.kind = BACKEND_SESSION_KNOWN, .id = "s1"});
    hear(&h, (struct backend_event){.kind = BACKEND_SESSION_KNOWN, .id = "s1"}); /* once */
    hear(&h, (struct backend_event){.kind = BACKEND_SAID, .text = STR("I "), .partial = true});
    hear(&h, (struct backend_event){.kind = BACKEND_SAID, .text = STR("look"), .partial = true});
    hear(&h, (struct backend_event){.kind = BACKEND_TOOL_STARTED, .id = "c1", .name = "shell", .text = STR("ls")});
    hear(&h, (struct backend_event){.kind = BACKEND_TOOL_FINISHED, .id = "c1", .text = STR("a\nb"), .failed = true});
    hear(&h, (struct backend_event){.kind = BACKEND_SAID, .text = STR("pie"), .partial = true});
    hear(&h, (struct backend_event){.kind = BACKEND_SAID, .text = STR("pieces")}); /* the whole of them */
    hear(&h, (struct backend_event){.kind = BACKEND_TOOL_REFUSED, .id = "c2", .name = "rm", .text = STR("no")});
    hear(&h, (struct backend_event){.kind = BACKEND_ERROR, .text = STR("bad \xff\x1b[31m")});
    ck_assert_int_eq(hearing_end(&h, &err), RC_OK);
    ck_assert(json_eqz(json_get(entry(0, "agent.session"), "session"), "s1"));
    ck_assert(json_eqz(json_get(entry(1, "agent.text"), "text"), "I look"));
    ck_assert(json_eqz(json_get(entry(2, "tool.started"), "summary"), "ls"));
    struct json tool = entry(3, "tool.finished");
    ck_assert(json_eqz(json_get(tool, "name"), "shell") && json_eqz(json_get(tool, "result"), "a\nb"));
    ck_assert(json_bool(json_get(tool, "is_error"), false));
    ck_assert_int_eq(json_int(json_get(tool, "call"), 0), 1);
    ck_assert(json_eqz(json_get(entry(4, "agent.text"), "text"), "pieces"));
    ck_assert(json_bool(json_get(entry(5, "tool.finished"), "refused"), false));
    ck_assert(str_utf8(json_str(ctx, json_get(entry(6, "agent.error"), "text"))));
    ck_assert_uint_eq(journal_count(run.journal), 7);
    end();
}
END_TEST

START_TEST(an_endless_talker_is_cut)
{
    begin();
    struct hearing h;
    hearing_init(&h, ctx, &run, "codex", NULL);
    char *big = mem_zalloc(ctx, 1 << 20);
    memset(big, 'x', (1 << 20) - 1);
    hear(&h, (struct backend_event){.kind = BACKEND_SAID, .text = str_of(big)});
    for (int i = 0; i < 3000; i++)
        hear(&h, (struct backend_event){.kind = BACKEND_SAID, .text = STR("again")});
    ck_assert_int_eq(hearing_end(&h, &err), RC_OK);
    struct json first = entry(0, "agent.text");
    ck_assert_uint_le(json_str(ctx, json_get(first, "text")).n, 8192);
    ck_assert_int_eq(json_int(json_get(first, "text_bytes"), 0), (1 << 20) - 1);
    ck_assert_uint_eq(journal_count(run.journal), 2001);
    ck_assert(str_find(json_str(ctx, json_get(entry(2000, "agent.warning"), "text")), STR("1001 more")) >= 0);
    end();
}
END_TEST

START_TEST(home_is_the_agents_own)
{
    begin();
    const char *home = NULL;
    struct stat st;
    struct str text;
    bool anew;
    ck_assert_int_eq(home_make(ctx, &run, &home, &err), RC_OK);
    ck_assert(stat(home, &st) == 0 && (st.st_mode & 07777) == 0700);
    struct backend_file files[] = {{".agent/config.json", STR("{}"), 0600}};
    ck_assert_int_eq(home_put(ctx, &run, files, 1, &anew, &err), RC_OK);
    ck_assert(!anew);
    /* It turns its folder into a way out: nothing is written there, HOME is made anew. */
    const char *outside = mem_printf(ctx, "%s/outside", dir);
    ck_assert(mkdir(outside, 0700) == 0);
    ck_assert_int_eq(path_remove_tree(mem_printf(ctx, "%s/.agent", home), &err), RC_OK);
    ck_assert(symlink(outside, mem_printf(ctx, "%s/.agent", home)) == 0);
    ck_assert_int_eq(home_put(ctx, &run, files, 1, &anew, &err), RC_OK);
    ck_assert(anew);
    ck_assert(access(mem_printf(ctx, "%s/config.json", outside), F_OK) != 0);
    ck_assert_int_eq(path_slurp(ctx, mem_printf(ctx, "%s/.agent/config.json", home), 100, &text, &err), RC_OK);
    ck_assert(str_eqz(text, "{}"));
    ck_assert(stat(home, &st) == 0 && (st.st_mode & 07777) == 0700);
    /* HOME itself is a link now: refused, not followed. */
    ck_assert_int_eq(path_remove_tree(home, &err), RC_OK);
    ck_assert(symlink(outside, home) == 0);
    ck_assert_int_eq(home_make(ctx, &run, &home, &err), RC_DENIED);
    ck_assert(unlink(home_dir(ctx, &run)) == 0);
    ck_assert_int_eq(home_make(ctx, &run, &home, &err), RC_OK);
    home_wipe(&run);
    ck_assert(access(home, F_OK) != 0);
    end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("hearing");
    TCase *t = tcase_create("hearing");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, words_become_events);
    tcase_add_test(t, an_endless_talker_is_cut);
    tcase_add_test(t, home_is_the_agents_own);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? 1 : 0;
}
