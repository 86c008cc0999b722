/* Contract: a place for control groups is found where groups can be made and limits hold, in the order that the header
 * gives, and nowhere else; what one group holds ends with it; groups of a maker that is gone are swept, others are left
 * alone. The trees of the first half are plain folders, since a machine has only one kind; the second half uses what is
 * here. */
#include "base/str.h"
#include "os/cgroup.h"
#include "os/path.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static mem *ctx;
static struct err err;
static char dir[] = "/tmp/mill-cgroup-XXXXXX";

static void begin(void)
{
    ctx = mem_root();
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void finish(void)
{
    ck_assert_int_eq(path_remove_tree(dir, &err), RC_OK);
    ctx = mem_free(ctx);
}

static char *in(const char *name)
{
    return mem_printf(ctx, "%s/%s", dir, name);
}

static void put(const char *name, const char *text)
{
    char *path = in(name), *slash = strrchr(path, '/');
    *slash = '\0';
    ck_assert_int_eq(path_mkdirs(path, 0755, &err), RC_OK);
    *slash = '/';
    FILE *f = fopen(path, "we");
    ck_assert(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static bool holds(const char *name, const char *text)
{
    struct str got;
    return path_slurp(ctx, in(name), 10000, &got, NULL) == RC_OK && str_eqz(got, text);
}

static void tables(const char *mountinfo, const char *groups)
{
    put("proc/mountinfo", mountinfo);
    put("proc/cgroup", groups);
}

static struct cgroup_place find(void)
{
    struct cgroup_place place;
    cgroup_place_find(ctx, in("proc"), &place);
    return place;
}

static char *v2_mount(void)
{
    return mem_printf(ctx,
                      "22 1 0:21 / /proc rw,nosuid - proc proc rw\n"
                      "30 1 0:26 / %s/fs rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
                      dir);
}

static void v2_group(const char *name, const char *given)
{
    put(mem_printf(ctx, "fs%s/cgroup.controllers", name), "cpu memory pids\n");
    put(mem_printf(ctx, "fs%s/cgroup.subtree_control", name), given);
    put(mem_printf(ctx, "fs%s/cgroup.procs", name), "");
}

START_TEST(own_group_that_limits_its_children)
{
    tables(v2_mount(), "0::/svc\n");
    v2_group("/svc", "cpu memory pids\n");
    struct cgroup_place p = find();
    ck_assert_int_eq(p.kind, CGROUP_V2);
    ck_assert_str_eq(p.memory, in("fs/svc"));
    ck_assert_str_eq(p.pids, p.memory);
    ck_assert_str_eq(p.words, "cgroup v2 memory, pids");
}
END_TEST

START_TEST(parent_that_limits_us)
{
    tables(v2_mount(), "0::/app.slice/term.scope\n");
    v2_group("/app.slice", "memory pids\n");
    v2_group("/app.slice/term.scope", "");
    ck_assert_str_eq(find().memory, in("fs/app.slice"));
}
END_TEST

START_TEST(root_makes_one_at_the_top)
{
    tables(v2_mount(), "0::/user.slice/session.scope\n");
    v2_group("", "cpu memory pids\n");
    v2_group("/user.slice", "cpu\n");
    v2_group("/user.slice/session.scope", "");
    put("fs/nightmill/cgroup.subtree_control", ""); /* in a real tree the kernel fills the folder */
    struct cgroup_place p = find();
    if (geteuid() == 0) {
        ck_assert_str_eq(p.memory, in("fs/nightmill"));
        ck_assert(holds("fs/nightmill/cgroup.subtree_control", "+memory +pids"));
    } else {
        ck_assert_int_eq(p.kind, CGROUP_NONE);
    }
}
END_TEST

/* A service with Delegate=yes: only this program's processes are in the group, so they may move into a leaf. */
START_TEST(delegated_group_is_cleared_of_our_own)
{
    tables(v2_mount(), "0::/svc\n");
    v2_group("", "cpu\n");
    v2_group("/svc", "");
    put("fs/svc/cgroup.procs", mem_printf(ctx, "%d\n", (int)getpid()));
    put("fs/svc/nightmill.main/cgroup.procs", "");
    ck_assert_str_eq(find().memory, in("fs/svc"));
    ck_assert(holds("fs/svc/nightmill.main/cgroup.procs", mem_printf(ctx, "%d", (int)getpid())));
    ck_assert(holds("fs/svc/cgroup.subtree_control", "+memory +pids"));
}
END_TEST

START_TEST(strangers_are_not_moved)
{
    tables(v2_mount(), "0::/svc\n");
    v2_group("", "cpu\n");
    v2_group("/svc", "");
    pid_t stranger = fork();
    if (stranger == 0) {
        execl("/bin/sleep", "sleep", "100", (char *)NULL);
        _exit(127);
    }
    char exe[64], target[256];
    snprintf(exe, sizeof exe, "/proc/%d/exe", (int)stranger);
    ssize_t n;
    do { /* until the exec is done */
        n = readlink(exe, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
    } while (!strstr(target, "sleep") && !strstr(target, "busybox") && !strstr(target, "coreutils"));
    put("fs/svc/cgroup.procs", mem_printf(ctx, "%d\n%d\n", (int)getpid(), (int)stranger));
    struct cgroup_place p = find();
    kill(stranger, SIGKILL);
    waitpid(stranger, NULL, 0);
    ck_assert_int_eq(p.kind, CGROUP_NONE);
    ck_assert_int_lt(access(in("fs/svc/nightmill.main"), F_OK), 0);
    ck_assert_msg(strstr(p.why, "fs/svc") != NULL, "%s", p.why);
}
END_TEST

/* A container sees a part of the tree: what is above its root does not count. */
START_TEST(part_of_a_tree)
{
    tables(mem_printf(ctx, "30 1 0:26 /docker/abc %s/fs rw - cgroup2 cgroup rw\n", dir), "0::/docker/abc/inner\n");
    v2_group("/inner", "memory pids\n");
    ck_assert_str_eq(find().memory, in("fs/inner"));
}
END_TEST

START_TEST(version_1_where_version_2_has_no_controllers)
{
    tables(mem_printf(
               ctx,
               "30 1 0:26 / %s/unified rw - cgroup2 cgroup2 rw\n31 1 0:27 / %s/memory rw - cgroup cgroup rw,memory\n"
               "32 1 0:28 / %s/pids rw - cgroup cgroup rw,pids\n33 1 0:29 / %s/cpu rw - cgroup cgroup rw,cpu,cpuacct\n",
               dir, dir, dir, dir),
           "9:pids:/gone\n4:memory:/a/b\n3:cpu,cpuacct:/\n0::/\n");
    put("unified/cgroup.controllers", "hugetlb\n");
    put("memory/a/b/x", "");
    put("pids/x", "");
    struct cgroup_place p = find();
    ck_assert_int_eq(p.kind, CGROUP_V1);
    ck_assert_str_eq(p.memory, in("memory/a/b"));
    ck_assert_str_eq(p.pids, in("pids"));
    ck_assert_str_eq(p.words, "cgroup v1 memory, pids");
    if (geteuid() != 0)
        return;
    ck_assert_int_eq(path_remove_tree(in("pids"), &err), RC_OK);
    p = find();
    ck_assert(p.memory && !p.pids);
    ck_assert_str_eq(p.words, "cgroup v1 memory");
}
END_TEST

START_TEST(none_and_why)
{
    ck_assert_int_eq(find().kind, CGROUP_NONE);
    ck_assert(find().why[0]);
    tables("22 1 0:21 / /proc rw,nosuid - proc proc rw\nrubbish\n\n- - -\n", "0::/\nrubbish\n:\n::\n");
    struct cgroup_place p = find();
    ck_assert_int_eq(p.kind, CGROUP_NONE);
    ck_assert_msg(strstr(p.why, "mounted") != NULL, "%s", p.why);
    struct cgroup *cg;
    struct cgroup_limits limits = {0};
    ck_assert_int_eq(cgroup_open(ctx, &p, "x", &limits, &cg, &err), RC_UNAVAILABLE);
    ck_assert_int_eq(cgroup_sweep(&p), 0);
    ck_assert(cgroup_close(NULL, 0));
}
END_TEST

/* ---- on this machine ---- */

static bool here(struct cgroup_place *place)
{
    cgroup_place_find(ctx, "/proc/self", place);
    if (place->kind == CGROUP_NONE)
        fprintf(stderr, "skipped: %s\n", place->why);
    return place->kind != CGROUP_NONE;
}

START_TEST(group_holds_and_ends)
{
    struct cgroup_place place;
    if (!here(&place))
        return;
    struct cgroup_limits limits = {.memory_bytes = 64 << 20, .processes = 5};
    struct cgroup *cg;
    ck_assert_int_eq(cgroup_open(ctx, &place, "a label/..\n", &limits, &cg, &err), RC_OK);
    ck_assert_uint_eq(cgroup_list(cg, NULL, 0), 0);
    int p[2];
    char byte;
    ck_assert_int_eq(pipe(p), 0);
    pid_t child = fork();
    if (child == 0) {
        while (read(p[0], &byte, 1) != 1)
            ;
        for (;;)
            if (fork() < 0) /* into the limit, and on */
                usleep(1000);
    }
    ck_assert_int_eq(cgroup_add(cg, child), 0);
    pid_t inside[2] = {0};
    ck_assert_uint_eq(cgroup_list(cg, inside, 2), 1);
    ck_assert_int_eq(inside[0], child);
    ck_assert_int_eq(write(p[1], "x", 1), 1);
    if (place.pids)
        while (cgroup_events(cg).processes_denied == 0)
            usleep(1000);
    ck_assert_int_le(cgroup_list(cg, NULL, 0), 5);
    ck_assert(cgroup_close(cg, 10000));
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    ck_assert_int_eq(cgroup_open(ctx, &place, "next", &limits, &cg, &err), RC_OK);
    ck_assert_msg(cgroup_add(cg, child) == ESRCH, "a process that has ended");
    ck_assert(cgroup_close(cg, 0));
}
END_TEST

START_TEST(sweep_takes_only_what_is_left)
{
    struct cgroup_place place;
    if (!here(&place))
        return;
    struct cgroup_limits limits = {0};
    struct cgroup *ours;
    ck_assert_int_eq(cgroup_open(ctx, &place, "ours", &limits, &ours, &err), RC_OK);
    int p[2];
    pid_t left;
    ck_assert_int_eq(pipe(p), 0);
    pid_t maker = fork();
    if (maker == 0) {
        struct cgroup *cg;
        if (cgroup_open(ctx, &place, "left", &limits, &cg, &err) != RC_OK)
            _exit(1);
        left = fork();
        if (left == 0)
            for (;;)
                pause();
        if (cgroup_add(cg, left) != 0 || write(p[1], &left, sizeof left) != sizeof left)
            _exit(1);
        _exit(0);
    }
    ck_assert_int_eq(read(p[0], &left, sizeof left), sizeof left);
    waitpid(maker, NULL, 0);
    ck_assert_int_eq(kill(left, 0), 0);
    ck_assert_int_ge(cgroup_sweep(&place), 1);
    while (kill(left, 0) == 0) /* until init has reaped it */
        usleep(1000);
    FILE *f = popen(mem_printf(ctx, "find /sys/fs/cgroup -name 'nightmill-*-%d-*-left' 2>/dev/null", (int)maker), "re");
    ck_assert_msg(f && fgetc(f) == EOF, "the folder is left");
    pclose(f);
    ck_assert_int_eq(cgroup_add(ours, left), ESRCH);
    ck_assert(cgroup_close(ours, 1000));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("cgroup");
    TCase *t = tcase_create("cgroup");
    tcase_set_timeout(t, 30);
    tcase_add_checked_fixture(t, begin, finish);
    tcase_add_test(t, own_group_that_limits_its_children);
    tcase_add_test(t, parent_that_limits_us);
    tcase_add_test(t, root_makes_one_at_the_top);
    tcase_add_test(t, delegated_group_is_cleared_of_our_own);
    tcase_add_test(t, strangers_are_not_moved);
    tcase_add_test(t, part_of_a_tree);
    tcase_add_test(t, version_1_where_version_2_has_no_controllers);
    tcase_add_test(t, none_and_why);
    tcase_add_test(t, group_holds_and_ends);
    tcase_add_test(t, sweep_takes_only_what_is_left);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *sr = srunner_create(suite());
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? 1 : 0;
}
