/* Nothing leaves its root, nothing blocks, and trees of any shape can be removed and walked. */
#include "os/path.h"
#include "os/proc.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static mem *ctx;
static struct err err;
static char *top; /* temporary folder; holds root/ and outside/ */
static int root = -1;
static struct str got;
static int64_t size;

#define OK(call)      ck_assert_msg((call) == RC_OK, "%s (%s)", err.sentence, err.detail)
#define IS(call, rc_) ck_assert_str_eq(rc_name(call), rc_name(rc_))
#define NOBODY        (uid_t) - 1, (gid_t)-1

static char *at(const char *name)
{
    return mem_printf(ctx, "%s/%s", top, name);
}
static void put(const char *name, const char *text)
{
    OK(path_write_durable(at(name), str_of(text), 0644, &err));
}
static void linked(const char *target, const char *name)
{
    ck_assert_int_eq(symlink(target, at(name)), 0);
}
static void holds(const char *name, const char *text)
{
    OK(path_slurp(ctx, at(name), 10000, &got, &err));
    ck_assert_str_eq(got.p, text);
}

static void setup(void)
{
    ctx = mem_root();
    top = mem_str(ctx, "/tmp/test_path.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(top));
    ck_assert_int_eq(chmod(top, 0755), 0);
    OK(path_mkdirs(at("root"), 0755, &err));
    OK(path_mkdirs(at("outside"), 0755, &err));
    put("outside/secret", "secret");
    put("root/file", "inside");
    OK(path_open_root(at("root"), &root, &err));
}
static void teardown(void)
{
    close(root);
    OK(path_remove_tree(top, &err));
    ck_assert_int_eq(access(top, F_OK), -1);
    mem_free(ctx);
}

START_TEST(reads_inside)
{
    OK(path_read(ctx, root, "file", 3, &got, &size, &err));
    ck_assert_str_eq(got.p, "ins");
    ck_assert_int_eq(size, 6);
    linked("file", "root/link");
    OK(path_read(ctx, root, "link", 100, &got, &size, &err));
    ck_assert_str_eq(got.p, "inside");
    int fd;
    IS(path_open_file(root, "link", true, &fd, NULL, &err), RC_DENIED);
}
END_TEST

START_TEST(refuses_what_leads_out)
{
    linked("../outside/secret", "root/up");
    linked(at("outside/secret"), "root/absolute");
    linked("../outside", "root/dir");
    linked("/proc/self/root/etc/passwd", "root/magic");
    linked("loop", "root/loop");
    const char *bad[] = {"../outside/secret",
                         "up",
                         "absolute",
                         "dir/secret",
                         "magic",
                         "loop",
                         "/etc/passwd",
                         "file/../../outside/secret",
                         "./../root/file"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        enum rc rc = path_read(ctx, root, bad[i], 100, &got, &size, &err);
        ck_assert_msg(rc == RC_DENIED || rc == RC_NOT_FOUND, "%s: %s", bad[i], rc_name(rc));
        rc = path_write(root, bad[i], STR("evil"), 0644, NOBODY, &err);
        ck_assert_msg(rc == RC_DENIED || rc == RC_NOT_FOUND, "%s: %s", bad[i], rc_name(rc));
    }
    holds("outside/secret", "secret");
    IS(path_write(root, "dir/new", STR("evil"), 0644, NOBODY, &err), RC_DENIED);
    IS(path_write(root, "dir/new/deep", STR("evil"), 0644, NOBODY, &err), RC_DENIED);
    ck_assert_int_eq(access(at("outside/new"), F_OK), -1);
    IS(path_read(ctx, root, "", 100, &got, &size, &err), RC_INVALID);
    char *longest = mem_zalloc(ctx, PATH_MAX + 10);
    memset(longest, 'a', PATH_MAX + 9);
    IS(path_read(ctx, root, longest, 100, &got, &size, &err), RC_INVALID);
    IS(path_write(root, longest, STR(""), 0644, NOBODY, &err), RC_INVALID);
}
END_TEST

START_TEST(dangling_links_create_nothing)
{
    linked("../outside/born", "root/out");
    linked("unborn", "root/in");
    linked("unborn-dir", "root/folder");
    linked(at("outside/born"), "root/absolute");
    IS(path_write(root, "out", STR("evil"), 0644, NOBODY, &err), RC_DENIED);
    IS(path_write(root, "in", STR("evil"), 0644, NOBODY, &err), RC_DENIED);
    IS(path_write(root, "absolute", STR("evil"), 0644, NOBODY, &err), RC_DENIED);
    ck_assert_int_ne(path_write(root, "folder/x", STR("evil"), 0644, NOBODY, &err), RC_OK);
    ck_assert_int_eq(access(at("outside/born"), F_OK), -1);
    ck_assert_int_eq(access(at("root/unborn"), F_OK), -1);
    ck_assert_int_eq(access(at("root/unborn-dir"), F_OK), -1);
}
END_TEST

START_TEST(special_files_never_block)
{
    ck_assert_int_eq(mkfifo(at("root/fifo"), 0666), 0);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", at("root/sock"));
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(sock, (struct sockaddr *)&sa, sizeof sa), 0);
    linked("fifo", "root/to-fifo");
    const char *bad[] = {"fifo", "sock", "to-fifo", "zero", "."};
    bool device = mknod(at("root/zero"), S_IFCHR | 0666, 0x105) == 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (strcmp(bad[i], "zero") == 0 && !device)
            continue;
        IS(path_read(ctx, root, bad[i], 100, &got, &size, &err), RC_INVALID);
        IS(path_write(root, bad[i], STR("x"), 0644, NOBODY, &err), RC_INVALID);
    }
    IS(path_slurp(ctx, at("root/fifo"), 10, &got, &err), RC_INVALID);
    IS(path_slurp(ctx, "/dev/zero", 10, &got, &err), RC_INVALID);
    close(sock);
}
END_TEST

START_TEST(writes_make_parents_and_keep_modes)
{
    OK(path_write(root, "a/b/c", STR("new"), 0640, NOBODY, &err));
    holds("root/a/b/c", "new");
    struct stat st;
    ck_assert_int_eq(stat(at("root/a/b/c"), &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0640);
    ck_assert_int_eq(chmod(at("root/a/b/c"), 0751), 0);
    OK(path_write(root, "a/b/c", STR("newer"), 0600, NOBODY, &err));
    ck_assert_int_eq(stat(at("root/a/b/c"), &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0751);
    linked("b/c", "root/a/link");
    OK(path_write(root, "a/link", STR("through"), 0600, NOBODY, &err));
    holds("root/a/b/c", "through");
    ck_assert_int_eq(lstat(at("root/a/link"), &st), 0);
    ck_assert(S_ISLNK(st.st_mode));
    IS(path_write(root, "a/b", STR("x"), 0600, NOBODY, &err), RC_INVALID);
    IS(path_write(root, "a/b/", STR("x"), 0600, NOBODY, &err), RC_INVALID);
    IS(path_write(root, "a/..", STR("x"), 0600, NOBODY, &err), RC_INVALID);
    IS(path_write(root, "file/x", STR("x"), 0600, NOBODY, &err), RC_NOT_FOUND);
}
END_TEST

START_TEST(hard_links_are_cut)
{
    ck_assert_int_eq(link(at("outside/secret"), at("root/hard")), 0);
    OK(path_write(root, "hard", STR("mine"), 0600, NOBODY, &err));
    holds("outside/secret", "secret");
    holds("root/hard", "mine");
}
END_TEST

START_TEST(owner_is_given)
{
    if (geteuid() != 0)
        return;
    struct stat st;
    OK(path_write(root, "x/y", STR("z"), 0600, 4711, 4712, &err));
    ck_assert_int_eq(stat(at("root/x/y"), &st), 0);
    ck_assert(st.st_uid == 4711 && st.st_gid == 4712);
    ck_assert_int_eq(stat(at("root/x"), &st), 0);
    ck_assert(st.st_uid == 4711 && st.st_gid == 4712);
    OK(path_write(root, "x/y", STR("again"), 0600, NOBODY, &err));
    ck_assert_int_eq(stat(at("root/x/y"), &st), 0);
    ck_assert(st.st_uid == 4711 && st.st_gid == 4712);
}
END_TEST

/* A thread swaps a folder for a link to the outside and back while we write and read through it. */
static atomic_bool race_over;
static void *swapper(void *arg)
{
    int fd = open(arg, O_PATH | O_DIRECTORY);
    while (!race_over)
        renameat2(fd, "place", fd, "spare", RENAME_EXCHANGE);
    close(fd);
    return NULL;
}
START_TEST(race_never_leaves)
{
    ck_assert_int_eq(mkdir(at("root/place"), 0755), 0);
    linked("../outside", "root/spare");
    put("root/place/secret", "mine");
    race_over = false;
    pthread_t t;
    ck_assert_int_eq(pthread_create(&t, NULL, swapper, at("root")), 0);
    int inside = 0;
    for (int i = 0; i < 4000; i++) {
        mem *step = mem_root();
        if (path_write(root, "place/secret", STR("mine"), 0644, NOBODY, &err) == RC_OK)
            inside++;
        if (path_read(step, root, "place/secret", 100, &got, NULL, &err) == RC_OK)
            ck_assert_str_eq(got.p, "mine");
        (void)!path_write(root, "place/deep/er", STR("x"), 0644, NOBODY, &err);
        mem_free(step);
    }
    race_over = true;
    pthread_join(t, NULL);
    ck_assert_int_gt(inside, 0);
    holds("outside/secret", "secret");
    ck_assert_int_eq(access(at("outside/deep"), F_OK), -1);
}
END_TEST

START_TEST(durable_and_slurp)
{
    OK(path_write_durable(at("one"), STR("1"), 0600, &err));
    OK(path_write_durable(at("one"), STR("two"), 0600, &err));
    holds("one", "two");
    IS(path_slurp(ctx, at("one"), 2, &got, &err), RC_LIMIT);
    OK(path_slurp(ctx, at("one"), 3, &got, &err));
    IS(path_slurp(ctx, at("none"), 3, &got, &err), RC_NOT_FOUND);
    IS(path_write_durable(at("none/x"), STR("1"), 0600, &err), RC_NOT_FOUND);
    OK(path_slurp(ctx, "/proc/self/status", 100000, &got, &err)); /* says size 0 */
    ck_assert_uint_gt(got.n, 0);
    IS(path_slurp(ctx, "/proc/self/status", 10, &got, &err), RC_LIMIT);
}
END_TEST

START_TEST(mkdirs)
{
    OK(path_mkdirs(at("a/b//c/"), 0700, &err));
    OK(path_mkdirs(at("a/b/c"), 0700, &err));
    OK(path_mkdirs("/", 0700, &err));
    IS(path_mkdirs("relative", 0700, &err), RC_INVALID);
    ck_assert_int_ne(path_mkdirs(at("root/file/x"), 0700, &err), RC_OK);
    IS(path_mkdirs(at("root/file"), 0700, &err), RC_CONFLICT);
}
END_TEST

/* As a user without the powers of root. */
static int as_nobody(void (*body)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
            _exit(9);
        body();
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
static void remove_locked(void)
{
    if (mkdir(at("mine/locked"), 0700) < 0 || mkdir(at("mine/locked/in"), 0700) < 0)
        _exit(1);
    int fd = open(at("mine/locked/in/file"), O_WRONLY | O_CREAT, 0);
    close(fd);
    if (fd < 0 || chmod(at("mine/locked/in"), 0) < 0 || chmod(at("mine/locked"), 0) < 0)
        _exit(2);
    if (path_remove_tree(at("mine/locked"), &err) != RC_OK || access(at("mine/locked"), F_OK) == 0)
        _exit(3);
}
START_TEST(remove_closed_folders)
{
    ck_assert_int_eq(mkdir(at("mine"), 0777), 0);
    ck_assert_int_eq(chmod(at("mine"), 0777), 0);
    ck_assert_int_eq(as_nobody(remove_locked), 0);
}
END_TEST

START_TEST(remove_does_not_follow)
{
    linked("../outside", "root/dir");
    linked("../outside/secret", "root/file-link");
    ck_assert_int_eq(mkfifo(at("root/fifo"), 0), 0);
    OK(path_remove_tree(at("root/dir"), &err));
    OK(path_remove_tree(at("root"), &err));
    holds("outside/secret", "secret");
    OK(path_remove_tree(at("root"), &err));
    OK(path_remove_tree(at("none/at/all"), &err));
    OK(path_mkdirs(at("root/"), 0700, &err));
}
END_TEST

START_TEST(remove_deep_and_wide)
{
    /* Deeper than any path and than the descriptors that we may have. */
    int fd = open(at("root"), O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < 5000; i++) {
        ck_assert_int_eq(mkdirat(fd, "d", 0755), 0);
        if (i % 100 == 0)
            close(openat(fd, "f", O_WRONLY | O_CREAT, 0644));
        int next = openat(fd, "d", O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = next;
    }
    close(fd);
    for (int i = 0; i < 1000; i++)
        close(open(mem_printf(ctx, "%s/root/\xff\n%d", top, i), O_WRONLY | O_CREAT, 0644));
    OK(path_remove_tree(at("root"), &err));
    ck_assert_int_eq(access(at("root"), F_OK), -1);
    OK(path_mkdirs(at("root"), 0755, &err));
}
END_TEST

START_TEST(remove_stops_at_mounts)
{
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return; /* may not mount here */
    ck_assert_int_eq(mkdir(at("root/m"), 0755), 0);
    ck_assert_int_eq(mount(at("outside"), at("root/m"), NULL, MS_BIND, NULL), 0); /* same device on purpose */
    IS(path_remove_tree(at("root"), &err), RC_CONFLICT);
    holds("outside/secret", "secret");
    ck_assert_int_eq(umount(at("root/m")), 0);
}
END_TEST

struct seen {
    struct buf b;
    int stop_at, n;
};
static int see(void *arg, const char *path, enum path_kind kind, const struct stat *st)
{
    struct seen *s = arg;
    ck_assert(!S_ISDIR(st->st_mode) == (kind != PATH_DIR));
    buf_printf(&s->b, "%s%c ", path, "fdlo"[kind]);
    if (++s->n == s->stop_at)
        return -1;
    return strstr(path, "skip") ? 1 : 0;
}
static const char *walked(const char *start, int stop_at)
{
    struct seen s = {.stop_at = stop_at};
    buf_init(&s.b, ctx, 10000);
    OK(path_walk(root, start, see, &s, &err));
    return buf_take(&s.b, ctx);
}
START_TEST(walk_order)
{
    put("root/b", "");
    OK(path_write(root, "a/2", STR(""), 0644, NOBODY, &err));
    OK(path_write(root, "a/1", STR(""), 0644, NOBODY, &err));
    OK(path_write(root, "skip/1", STR(""), 0644, NOBODY, &err));
    OK(path_write(root, "Z", STR(""), 0644, NOBODY, &err));
    linked("../outside", "root/out");
    ck_assert_int_eq(mkfifo(at("root/pipe"), 0600), 0);
    ck_assert_str_eq(walked("", 0), "Zf ad a/1f a/2f bf filef outl pipeo skipd ");
    ck_assert_str_eq(walked(".", 3), "Zf ad a/1f ");
    ck_assert_str_eq(walked("a", 0), "ad a/1f a/2f ");
    ck_assert_str_eq(walked("a/", 0), "ad a/1f a/2f ");
    ck_assert_str_eq(walked("a/2", 0), "a/2f ");
    ck_assert_str_eq(walked("out", 0), "outl ");
    IS(path_walk(root, "out/secret", see, NULL, &err), RC_DENIED);
    IS(path_walk(root, "../outside", see, NULL, &err), RC_DENIED);
    IS(path_walk(root, "none", see, NULL, &err), RC_NOT_FOUND);
}
END_TEST

static int count(void *arg, const char *path, enum path_kind kind, const struct stat *st)
{
    (void)path, (void)kind, (void)st;
    ++*(int *)arg;
    return 0;
}
START_TEST(walk_deep)
{
    int fd = open(at("root"), O_RDONLY | O_DIRECTORY), n = 0;
    for (int i = 0; i < 3000; i++) {
        ck_assert_int_eq(mkdirat(fd, "d", 0755), 0);
        int next = openat(fd, "d", O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = next;
    }
    close(fd);
    OK(path_walk(root, "", count, &n, &err));
    ck_assert_int_gt(n, 2000); /* as far as a path can name */
}
END_TEST

START_TEST(lock_excludes)
{
    int fd = -1, second = -1;
    pid_t holder = 0;
    OK(path_lock(at("lock"), &fd, NULL, &err));
    IS(path_lock(at("lock"), &second, &holder, &err), RC_CONFLICT);
    ck_assert_int_eq(holder, getpid());
    struct stat st;
    ck_assert_int_eq(stat(at("lock"), &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    close(fd);
    pid_t child = fork();
    if (child == 0) {
        if (path_lock(at("lock"), &second, NULL, &err) != RC_OK)
            _exit(1);
        pause();
    }
    enum rc rc = RC_OK;
    for (int i = 0; i < 1000 && rc != RC_CONFLICT; i++) {
        usleep(2000);
        rc = path_lock(at("lock"), &second, &holder, &err);
        if (rc == RC_OK)
            close(second);
    }
    kill(child, SIGKILL); /* the lock ends with its process */
    waitpid(child, NULL, 0);
    OK(path_lock(at("lock"), &second, NULL, &err));
    close(second);
    linked("lock", "lock-link");
    ck_assert_int_ne(path_lock(at("lock-link"), &second, NULL, &err), RC_OK);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("path");
    TCase *t = tcase_create("path");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, reads_inside);
    tcase_add_test(t, refuses_what_leads_out);
    tcase_add_test(t, dangling_links_create_nothing);
    tcase_add_test(t, special_files_never_block);
    tcase_add_test(t, writes_make_parents_and_keep_modes);
    tcase_add_test(t, hard_links_are_cut);
    tcase_add_test(t, owner_is_given);
    tcase_add_test(t, race_never_leaves);
    tcase_add_test(t, durable_and_slurp);
    tcase_add_test(t, mkdirs);
    tcase_add_test(t, remove_closed_folders);
    tcase_add_test(t, remove_does_not_follow);
    tcase_add_test(t, remove_deep_and_wide);
    tcase_add_test(t, remove_stops_at_mounts);
    tcase_add_test(t, walk_order);
    tcase_add_test(t, walk_deep);
    tcase_add_test(t, lock_excludes);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
