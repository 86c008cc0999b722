/* Contract: the first command starts the daemon, many at once start one; its environment holds no keys; what it says
 * when it cannot start reaches the person. This program stands in for the keeper: it is re-executed in that role. */
#include "cli/daemon.h"
#include "os/path.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- the stand-in ------------------------------------------------------------------------------------------------ */

/* Answers any request with a health document, until it is ended. Leaves a file "started-PID" and its environment. */
static int keeper(const char *data)
{
    CLEANUP_MEM mem *tmp = mem_root();
    int lock;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (path_lock(mem_printf(tmp, "%s/run/keeper.lock", data), &lock, NULL, NULL) != RC_OK) {
        fprintf(stderr, "2026-01-01T00:00:00.000Z error keeper a daemon is running already\n");
        return 1;
    }
    if (access(mem_printf(tmp, "%s/broken", data), F_OK) == 0) {
        fprintf(stderr, "2026-01-01T00:00:00.000Z info keeper the daemon starts\n"
                        "2026-01-01T00:00:00.000Z error server the database is damaged Hint: Restore it.\n"
                        "2026-01-01T00:00:00.000Z error keeper the server ended\n");
        return 1;
    }
    if (access(mem_printf(tmp, "%s/newer", data), F_OK) == 0) {
        fprintf(stderr, "2026-01-01T00:00:00.000Z info server cannot start: the database is newer Hint: Update.\n"
                        "2026-01-01T00:00:00.000Z error keeper the server ended\n");
        return 1;
    }
    FILE *f = fopen(mem_printf(tmp, "%s/started-%d", data, getpid()), "w");
    for (char **e = environ; *e; e++)
        fprintf(f, "%s\n", *e);
    fclose(f);
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", daemon_socket(tmp, data));
    unlink(addr.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0 || listen(fd, 64) < 0)
        return 1;
    for (;;) {
        static const char answer[] =
            "HTTP/1.1 200 OK\r\nContent-Length: 15\r\nConnection: close\r\n\r\n{\"status\":\"ok\"}";
        char request[4096];
        int c = accept(fd, NULL, NULL);
        if (read(c, request, sizeof request) > 0 && write(c, answer, sizeof answer - 1) < 0)
            return 1;
        close(c);
    }
}

/* --- tests ------------------------------------------------------------------------------------------------------- */

static mem *ctx;
static struct err err;
static char folder[64];
static const char *data;

static void begin(void)
{
    ctx = mem_root();
    err = (struct err){0};
    strcpy(folder, "/tmp/nightmill-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    data = mem_printf(ctx, "%s/data", folder);
}

/* The id in the keeper's lock: a process that this test started. */
static pid_t keeper_pid(void)
{
    struct str text;
    int64_t pid = 0;
    if (path_slurp(ctx, mem_printf(ctx, "%s/run/keeper.lock", data), 64, &text, NULL) == RC_OK)
        str_int(str_trim(text), 1, INT32_MAX, &pid);
    return (pid_t)pid;
}

static void finish(void)
{
    pid_t pid = keeper_pid();
    if (pid > 0) {
        kill(pid, SIGKILL);
        (void)!daemon_wait_end(ctx, data, 5000, &err);
    }
    (void)!path_remove_tree(folder, NULL);
    ctx = mem_free(ctx);
}

static int count_started(const char **ret_one)
{
    int n = 0;
    FILE *list = popen(mem_printf(ctx, "ls %s", data), "r");
    char name[256];
    while (fgets(name, sizeof name, list)) {
        name[strcspn(name, "\n")] = '\0';
        if (strncmp(name, "started-", 8))
            continue;
        n++;
        if (ret_one)
            *ret_one = mem_printf(ctx, "%s/%s", data, name);
    }
    pclose(list);
    return n;
}

START_TEST(starts_and_finds_again)
{
    bool started = false;
    struct json health;
    const char *one = NULL;
    struct str env;
    setenv("OPENAI_API_KEY", "sk-test-one", 1);
    setenv("MY_OWN_KEY", "sk-test-two", 1);
    setenv("OPENAI_API_KEY_OTHER", "kept", 1);
    ck_assert(!daemon_answers(ctx, data, 100, NULL));
    ck_assert_msg(daemon_ensure(data, "MY_OWN_KEY", &started, &err) == RC_OK, "%s", err.sentence);
    ck_assert(started);
    ck_assert(daemon_answers(ctx, data, 1000, &health) && json_eqz(json_get(health, "status"), "ok"));
    ck_assert_int_eq(daemon_ensure(data, "", &started, &err), RC_OK);
    ck_assert(!started);
    ck_assert_int_eq(count_started(&one), 1);
    ck_assert_int_eq(path_slurp(ctx, one, 1 << 20, &env, &err), RC_OK);
    ck_assert_int_lt(str_find(env, STR("sk-test-one")), 0);
    ck_assert_int_lt(str_find(env, STR("sk-test-two")), 0);
    ck_assert_int_ge(str_find(env, STR("OPENAI_API_KEY_OTHER=kept")), 0);
    ck_assert_int_ne(getsid(keeper_pid()), getsid(0)); /* a Ctrl-C here must not reach it */
    struct stat st;
    ck_assert_int_eq(stat(daemon_log_path(ctx, data), &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(stat(data, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0700);
}
END_TEST

START_TEST(many_starters_start_one)
{
    pid_t pids[6];
    for (int i = 0; i < 6; i++) {
        pids[i] = fork();
        ck_assert_int_ge(pids[i], 0);
        if (!pids[i])
            _exit(daemon_ensure(data, NULL, NULL, &err) == RC_OK ? 0 : 1);
    }
    for (int i = 0; i < 6; i++) {
        int status;
        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    ck_assert_int_eq(count_started(NULL), 1);
}
END_TEST

START_TEST(a_killed_one_is_started_again)
{
    bool started;
    ck_assert_int_eq(daemon_ensure(data, NULL, NULL, &err), RC_OK);
    kill(keeper_pid(), SIGKILL);
    ck_assert_int_eq(daemon_wait_end(ctx, data, 5000, &err), RC_OK);
    ck_assert_int_eq(daemon_ensure(data, NULL, &started, &err), RC_OK);
    ck_assert(started);
    ck_assert_int_eq(count_started(NULL), 2);
}
END_TEST

static const struct {
    const char *marker, *sentence, *hint;
} failures[] = {
    {"broken", "The daemon could not start: the database is damaged", "Restore it."},
    {"newer", "The daemon could not start: cannot start: the database is newer", "Update."},
};

START_TEST(its_reason_is_told)
{
    ck_assert_int_eq(path_mkdirs(data, 0700, &err), RC_OK);
    fclose(fopen(mem_printf(ctx, "%s/%s", data, failures[_i].marker), "w"));
    ck_assert_int_eq(daemon_ensure(data, NULL, NULL, &err), RC_UNAVAILABLE);
    ck_assert_str_eq(err.sentence, failures[_i].sentence);
    ck_assert_str_eq(err.hint, failures[_i].hint);
}
END_TEST

START_TEST(folder_that_is_none)
{
    fclose(fopen(data, "w"));
    ck_assert_int_ne(daemon_ensure(data, NULL, NULL, &err), RC_OK);
    ck_assert_msg(strstr(err.sentence, data) || strstr(err.detail, data) || strstr(err.hint, data), "%s", err.sentence);
    ck_assert_ptr_nonnull(strstr(err.hint, "NIGHTMILL_DATA_DIR"));
}
END_TEST

START_TEST(waiting_for_an_end_has_an_end)
{
    ck_assert_int_eq(daemon_ensure(data, NULL, NULL, &err), RC_OK);
    ck_assert_int_eq(daemon_wait_end(ctx, data, 50, &err), RC_TIMEOUT);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "keeper"))
        return keeper(argv[2]);
    Suite *s = suite_create("daemon");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, begin, finish);
    suite_add_tcase(s, t);
    tcase_add_test(t, starts_and_finds_again);
    tcase_add_test(t, many_starters_start_one);
    tcase_add_test(t, a_killed_one_is_started_again);
    tcase_add_loop_test(t, its_reason_is_told, 0, sizeof failures / sizeof *failures);
    tcase_add_test(t, folder_that_is_none);
    tcase_add_test(t, waiting_for_an_end_has_an_end);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
