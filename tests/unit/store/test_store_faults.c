/* Contract: what was acknowledged survives kill -9 at any moment; a full disk is one clear refusal, loses nothing, and
 * the store works again when there is room; also while a database is being made. */
#include "db/db.h"
#include "os/path.h"
#include "store/store.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define WRITERS 4
static const char *const ids[WRITERS] = {"aaaaaa1", "aaaaaa2", "aaaaaa3", "aaaaaa4"};
static char folder[64];
static mem *root;
static struct store *s;
static struct err err;

static enum rc try_open(void)
{
    root = mem_root();
    s = NULL;
    return store_open(root, folder, &s, &err);
}

static void open_store(void)
{
    ck_assert_msg(try_open() == RC_OK, "%s (%s)", err.sentence, err.detail);
}

static void close_store(void)
{
    s = store_close(s);
    root = mem_free(root);
}

static enum rc insert_tasks(struct store_tx *tx, void *arg, struct err *e)
{
    (void)arg;
    for (int i = 0; i < WRITERS; i++) {
        struct task t = {.id = ids[i], .title = "t", .text = "t", .repo = "/r", .state = "working", .spec = "{}"};
        enum rc rc = task_insert(tx, &t, e);
        if (rc)
            return rc;
    }
    return RC_OK;
}

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/test_faults_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
    ck_assert_int_eq(path_remove_tree(folder, &err), RC_OK);
}

/* ---- kill -9 ---- */

struct append {
    int writer;
    int64_t origin, number;
    size_t size; /* bytes of data */
};

static enum rc append(struct store_tx *tx, void *arg, struct err *e)
{
    struct append *a = arg;
    CLEANUP_MEM mem *tmp = mem_root();
    char *data = mem_printf(tmp, "{\"%0*d\":1}", (int)a->size, 0);
    struct event event = {.time_ns = 1, .type = "t", .actor = "agent", .data = data, .origin = a->origin};
    bool is_new;
    return event_append(tx, ids[a->writer], &event, &a->number, &is_new, e);
}

struct acknowledged {
    int64_t writer, number;
};
static int pipe_out;

static void *write_events(void *arg)
{
    int writer = *(int *)arg;
    int64_t last = 0;
    if (event_last_origin(s, ids[writer], &last, NULL) != RC_OK)
        _exit(1);
    for (int64_t i = last + 1;; i++) {
        struct append a = {.writer = writer, .origin = i, .size = i % 50 == 0 ? 20000 : 100};
        if (store_write(s, append, &a, NULL) != RC_OK)
            _exit(2);
        struct acknowledged ack = {writer, a.number};
        if (write(pipe_out, &ack, sizeof ack) != sizeof ack)
            _exit(3);
    }
}

static _Noreturn void write_until_killed(int out)
{
    pthread_t threads[WRITERS];
    int writers[WRITERS] = {0, 1, 2, 3};
    pipe_out = out;
    if (try_open() != RC_OK)
        _exit(4);
    for (int i = 0; i < WRITERS; i++)
        if (pthread_create(&threads[i], NULL, write_events, &writers[i]) != 0)
            _exit(5);
    for (;;)
        pause();
}

/* Starts a writer, kills it some events after the first, and raises `ret` to what it was told. */
static void kill_a_writer(int events, int64_t ret[WRITERS])
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        close(fds[0]);
        write_until_killed(fds[1]);
    }
    close(fds[1]);
    struct acknowledged ack;
    for (int n = 0; read(fds[0], &ack, sizeof ack) == sizeof ack; n++) {
        if (ack.number > ret[ack.writer])
            ret[ack.writer] = ack.number;
        if (n == events)
            kill(pid, SIGKILL); /* the pipe may hold more: those count too */
    }
    close(fds[0]);
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

START_TEST(acknowledged_events_survive_kill)
{
    int64_t told[WRITERS] = {0};
    unsigned seed = (unsigned)_i * 7919u + 1;
    open_store();
    ck_assert_int_eq(store_write(s, insert_tasks, NULL, &err), RC_OK);
    close_store();
    for (int round = 0; round < 6; round++) {
        kill_a_writer(rand_r(&seed) % 1500, told);
        open_store();
        ck_assert_msg(db_check(store_db(s), &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
        for (int w = 0; w < WRITERS; w++) {
            struct event *list;
            size_t n;
            struct task t;
            ck_assert_int_eq(event_list(root, s, ids[w], 0, INT64_MAX, &list, &n, &err), RC_OK);
            ck_assert_int_ge((int64_t)n, told[w]);
            for (size_t i = 0; i < n; i++)
                ck_assert(list[i].number == (int64_t)i + 1 && list[i].origin == (int64_t)i + 1);
            ck_assert(task_find(root, s, ids[w], &t, &err) == RC_OK && t.last_event == (int64_t)n);
        }
        close_store();
    }
}
END_TEST

/* ---- full disk ---- */

/* Writes until it is refused; returns how many were acknowledged. */
static int64_t write_until_full(size_t size)
{
    struct append a = {.writer = 0, .size = size};
    int64_t n = 0;
    enum rc rc;
    while ((rc = store_write(s, append, &a, &err)) == RC_OK && n < 100000)
        n++;
    ck_assert_msg(rc == RC_LIMIT, "%s: %s (%s)", rc_name(rc), err.sentence, err.detail);
    ck_assert_ptr_nonnull(strstr(err.sentence, "no room"));
    ck_assert_ptr_nonnull(strstr(err.hint, "Free some space"));
    return n;
}

static void check_events(int64_t expected)
{
    struct event *list;
    size_t n = 0;
    ck_assert_int_eq(event_list(root, s, ids[0], 0, INT64_MAX, &list, &n, &err), RC_OK);
    ck_assert_int_eq(n, expected);
    ck_assert_msg(db_check(store_db(s), &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
}

START_TEST(file_size_limit_is_a_full_disk)
{
    struct rlimit limit, tight;
    signal(SIGXFSZ, SIG_IGN);
    open_store();
    ck_assert_int_eq(store_write(s, insert_tasks, NULL, &err), RC_OK);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    tight = limit;
    tight.rlim_cur = 600000;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &tight), 0);
    int64_t n = write_until_full(_i ? 300000 : 500);
    check_events(n);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    struct append a = {.writer = 0, .size = 500};
    ck_assert_msg(store_write(s, append, &a, &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
    ck_assert_int_eq(a.number, n + 1); /* no number was lost */
    close_store();
    open_store();
    check_events(n + 1);
    close_store();
}
END_TEST

static bool write_file(const char *path, const char *text)
{
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* Root of a user namespace of one's own, where a mount is allowed. */
static bool become_own_root(void)
{
    char users[64], groups[64];
    snprintf(users, sizeof users, "0 %d 1", (int)geteuid());
    snprintf(groups, sizeof groups, "0 %d 1", (int)getegid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_file("/proc/self/setgroups", "deny") &&
           write_file("/proc/self/uid_map", users) && write_file("/proc/self/gid_map", groups);
}

/* Puts a file system of `kib` on the folder, in a mount namespace of this process. False: not allowed here. */
static bool mount_small(int kib)
{
    char options[64];
    snprintf(options, sizeof options, "size=%dk,mode=777", kib);
    if (unshare(CLONE_NEWNS) != 0 && !become_own_root())
        return false;
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mount("tmpfs", folder, "tmpfs", 0, options) == 0;
}

static void ballast_set(size_t bytes)
{
    char path[128];
    snprintf(path, sizeof path, "%s/ballast", folder);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, 0), 0);
    ck_assert(bytes == 0 || posix_fallocate(fd, 0, (off_t)bytes) == 0);
    close(fd);
}

START_TEST(full_file_system_is_told_and_passes)
{
    if (!mount_small(4096))
        return; /* the limit on file sizes above is the test that runs everywhere */
    ballast_set(1 << 20);
    open_store();
    ck_assert_int_eq(store_write(s, insert_tasks, NULL, &err), RC_OK);
    int64_t n = write_until_full(_i ? 50000 : 300);
    check_events(n);
    write_until_full(_i ? 50000 : 300); /* refused as long as it is full, or little was left */
    ballast_set(0);
    struct append a = {.writer = 0, .size = 300};
    ck_assert_msg(store_write(s, append, &a, &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
    n = a.number;
    check_events(n);
    close_store();
    open_store();
    check_events(n);
    close_store();
    umount(folder);
}
END_TEST

/* However little room there is: opened, or refused in words, and never a broken file. */
START_TEST(making_a_database_on_a_full_disk)
{
    if (!mount_small(2048))
        return;
    int made = 0, refused = 0;
    for (int room = 0; room <= 1440; room += 30) {
        char command[128];
        snprintf(command, sizeof command, "rm -f '%s'/*", folder);
        ck_assert_int_eq(system(command), 0);
        ballast_set((size_t)(2044 - room) * 1024);
        enum rc rc = try_open();
        made += rc == RC_OK;
        refused += rc == RC_LIMIT;
        ck_assert_msg(rc == RC_OK || rc == RC_LIMIT, "%d KiB: %s: %s (%s)", room, rc_name(rc), err.sentence,
                      err.detail);
        ck_assert(rc == RC_OK || (strstr(err.sentence, folder) && err.hint[0]));
        close_store();
        ballast_set(0);
        open_store();
        ck_assert_int_eq(store_write(s, insert_tasks, NULL, &err), RC_OK);
        ck_assert_msg(db_check(store_db(s), &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
        close_store();
    }
    ck_assert_int_gt(made, 0);
    ck_assert_int_gt(refused, 0);
    umount(folder);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store faults");
    TCase *tc = tcase_create("faults");
    tcase_set_timeout(tc, 100);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, acknowledged_events_survive_kill, 0, 3);
    tcase_add_loop_test(tc, file_size_limit_is_a_full_disk, 0, 2);
    tcase_add_loop_test(tc, full_file_system_is_told_and_passes, 0, 2);
    tcase_add_test(tc, making_a_database_on_a_full_disk);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
