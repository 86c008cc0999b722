/* Shared by the sandbox's tests: each test is run on every rung that this machine can show.
 *
 * As root the lower rungs are reached by giving up root in the forked test: as user TEST_UID, with and without a range
 * of subordinate ids. For the range the test sees its own /etc/passwd and /etc/subuid, mounted in its own mount
 * namespace. The test program plays the attacker itself: a copy of it lies in the test's folder, where every user can
 * read it, and inside at /opt/attack. */
#pragma once
#include "base/clock.h"
#include "os/path.h"
#include "sandbox/room.h"
#include "sandbox/sandbox.h"
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))
enum { TEST_UID = 64321, TEST_RANGE = 3000000, RUNGS = 4, START_MS = 20000, RUN_MS = 60000 };
/* The last: the real uid where bubblewrap may not make user namespaces and root does. */
static const enum sandbox_rung rig_rungs[RUNGS] = {RUNG_REAL_UID, RUNG_SUB_UID, RUNG_NAMESPACE_UID, RUNG_REAL_UID};
static const char *const rig_rung_names[] = {"none", "namespace uid", "subordinate uid", "real uid"};

static mem *ctx;
static struct err err;
static char rig_base[] = "/tmp/mill-sandbox-XXXXXX"; /* of this program */
static char rig_dir[64];                             /* of this test, below; holds `program` and `work` */

static void rig_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    ck_assert_msg(f && fputs(text, f) >= 0 && fclose(f) == 0, "%s: %s", path, strerror(errno));
}

static char *rig_path(const char *name)
{
    return mem_printf(ctx, "%s/%s", rig_dir, name);
}

static void rig_copy(const char *from, const char *to, mode_t mode)
{
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_EXCL, mode);
    ssize_t n;
    char chunk[65536];
    ck_assert_msg(in >= 0 && out >= 0, "%s to %s: %s", from, to, strerror(errno));
    while ((n = read(in, chunk, sizeof chunk)) > 0)
        ck_assert_int_eq(write(out, chunk, (size_t)n), n);
    fchmod(out, mode);
    close(in);
    close(out);
}

static void rig_range(void)
{
    ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
    ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    rig_text(rig_path("passwd"),
             mem_printf(ctx, "root:x:0:0:root:/root:/bin/sh\nmilltest:x:%d:%d::/tmp:/bin/sh\n", TEST_UID, TEST_UID));
    rig_text(rig_path("ranges"), mem_printf(ctx, "milltest:%d:65536\n", TEST_RANGE));
    ck_assert_int_eq(mount(rig_path("passwd"), "/etc/passwd", NULL, MS_BIND, NULL), 0);
    ck_assert_int_eq(mount(rig_path("ranges"), "/etc/subuid", NULL, MS_BIND, NULL), 0);
    ck_assert_int_eq(mount(rig_path("ranges"), "/etc/subgid", NULL, MS_BIND, NULL), 0);
}

/* Makes the folder, becomes the user of the rung, and probes. False: this machine cannot, said on standard error. */
static bool rig_begin(int i)
{
    enum sandbox_rung rung = rig_rungs[i];
    ctx = mem_root();
    memset(&err, 0, sizeof err);
    snprintf(rig_dir, sizeof rig_dir, "%s/XXXXXX", rig_base);
    ck_assert_ptr_nonnull(mkdtemp(rig_dir));
    chmod(rig_dir, 0755);
    rig_copy("/proc/self/exe", rig_path("program"), 0755);
    mkdir(rig_path("work"), 0755);
    const char *why = NULL;
    if (geteuid() == 0 && rung != RUNG_REAL_UID) {
        if (rung == RUNG_SUB_UID)
            rig_range();
        ck_assert_int_eq(chown(rig_dir, TEST_UID, TEST_UID), 0);
        ck_assert_int_eq(chown(rig_path("work"), TEST_UID, TEST_UID), 0);
        ck_assert(setgroups(0, NULL) == 0 && setgid(TEST_UID) == 0 && setuid(TEST_UID) == 0);
        prctl(PR_SET_DUMPABLE, 1);
    }
    const struct sandbox_probe *p = sandbox_probe();
    if (!p->works)
        why = p->problem.sentence;
    else if (p->rung != rung)
        why = p->next_rung[0] ? p->next_rung : "the machine offers a higher rung";
    const struct room_way *way;
    if (!why && i == RUNGS - 1 && room_way(false, &way, &err) == RC_OK)
        ((struct room_way *)(uintptr_t)way)->own_userns = true;
    if (why)
        fprintf(stderr, "skipped on rung %s: %s\n", rig_rung_names[rung], why);
    return !why;
}

static void rig_end(void)
{
    (void)!sandbox_take(rig_path("work"), NULL); /* so that whoever runs the tests can remove it */
    ctx = mem_free(ctx);
}

static UNUSED struct sandbox *rig_open_spec(const struct sandbox_spec *spec)
{
    struct sandbox *sb = NULL;
    enum rc rc = sandbox_open(ctx, spec, START_MS, &sb, &err);
    ck_assert_msg(rc == RC_OK, "open: %s | %s | %s", err.sentence, err.detail, err.hint);
    return sb;
}

/* A sandbox with the test's work folder, given to the user, at /workspace. */
static UNUSED struct sandbox *rig_open(enum sandbox_user user)
{
    enum rc rc = sandbox_give(rig_path("work"), user, &err);
    ck_assert_msg(rc == RC_OK, "give: %s | %s", err.sentence, err.detail);
    struct sandbox_mount mounts[] = {{rig_path("work"), "/workspace", true},
                                     {rig_path("program"), "/opt/attack", false}};
    struct sandbox_spec spec = {.user = user, .mounts = mounts, .mount_count = 2, .cwd = "/workspace", .label = "test"};
    return rig_open_spec(&spec);
}

static UNUSED struct sandbox_result rig_do(struct sandbox *sb, struct sandbox_command cmd)
{
    struct sandbox_result r;
    cmd.keep = cmd.keep ? cmd.keep : 65536;
    cmd.cancel_fd = cmd.cancel_fd ? cmd.cancel_fd : -1;
    cmd.out_fd = cmd.out_fd ? cmd.out_fd : -1;
    cmd.timeout_ms = cmd.timeout_ms ? cmd.timeout_ms : RUN_MS;
    enum rc rc = sandbox_run(ctx, sb, &cmd, &r, &err);
    ck_assert_msg(rc == RC_OK, "run: %s | %s", err.sentence, err.detail);
    return r;
}

static UNUSED struct sandbox_result rig_shell(struct sandbox *sb, const char *line)
{
    return rig_do(sb, (struct sandbox_command){.shell = line});
}

/* Runs a line that must succeed and print exactly this. */
static UNUSED void rig_says(struct sandbox *sb, const char *line, const char *expected)
{
    struct sandbox_result r = rig_shell(sb, line);
    ck_assert_msg(r.exit_code == 0 && str_eqz(r.out, expected), "%s: exit %d, said '%.*s' '%.*s', expected '%s'", line,
                  r.exit_code, STR_FMT(r.out), STR_FMT(r.err), expected);
}

/* Runs a line that must fail. */
static UNUSED void rig_refuses(struct sandbox *sb, const char *line)
{
    struct sandbox_result r = rig_shell(sb, line);
    ck_assert_msg(r.exit_code != 0, "%s: succeeded, said '%.*s'", line, STR_FMT(r.out));
}

/* Processes of this machine whose command line holds the word. */
static UNUSED int rig_processes(const char *word)
{
    int n = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *e; (e = readdir(d));) {
        char path[300], text[8192];
        snprintf(path, sizeof path, "/proc/%s/cmdline", e->d_name);
        int fd = atoi(e->d_name) > 0 ? open(path, O_RDONLY) : -1;
        ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof text);
        n += got > 0 && memmem(text, (size_t)got, word, strlen(word)) != NULL;
        if (fd >= 0)
            close(fd);
    }
    closedir(d);
    return n;
}

/* Waits for a state that must come. */
static UNUSED bool rig_becomes(const char *word, int processes)
{
    for (int i = 0; i < 2000; i++) {
        if (processes > 0 ? rig_processes(word) >= processes : rig_processes(word) == 0)
            return true;
        usleep(10000);
    }
    return false;
}

/* A word for command lines that no other process has. */
static UNUSED const char *rig_word(void)
{
    return mem_printf(ctx, "%d.%lld", (int)getpid(), (long long)clock_mono_ns() % 1000000000);
}

/* Without protection. */
static UNUSED struct sandbox *rig_open_plain(void)
{
    struct sandbox_mount mounts[] = {{rig_path("work"), "/workspace", true}};
    struct sandbox_spec spec = {
        .mounts = mounts, .mount_count = 1, .cwd = "/workspace", .label = "test", .without = true};
    return rig_open_spec(&spec);
}

/* Registers a test for every rung; RIG_ALL also for the real uid with a namespace that root makes. */
#define RIG(tcase, test)     tcase_add_loop_test(tcase, test, 0, RUNGS - 1)
#define RIG_ALL(tcase, test) tcase_add_loop_test(tcase, test, 0, RUNGS)

static int rig_main(int argc, char **argv, Suite *(*suite)(void), int (*inside)(int argc, char **argv))
{
    if (argc > 1 && inside && strcmp(argv[1], "inside") == 0)
        _exit(inside(argc, argv));
    if (!mkdtemp(rig_base) || chmod(rig_base, 0755) < 0)
        return 2;
    SRunner *sr = srunner_create(suite());
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return path_remove_tree(rig_base, NULL) != RC_OK || failed ? 1 : 0;
}
