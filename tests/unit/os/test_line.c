/* Contract: frames arrive whole and in order, each descriptor with the frame that it was sent with, whatever the socket
 * takes at a time; a peer that leaves or breaks the format is told of once. */
#include "os/line.h"
#include <check.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static mem *ctx;
static uv_loop_t uv;
static struct line *a, *b;
static int pair[2], frames, gone, with_fd;
static size_t bytes;

static void taken(void *arg, struct str text)
{
    struct stat got, want;
    int which;
    (void)arg;
    frames++;
    bytes += text.n;
    if (text.n < 3 || memcmp(text.p, "fd ", 3) != 0)
        return;
    int fd = line_fd_take(b);
    which = text.p[3] - '0';
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &got), 0);
    ck_assert_int_eq(stat(which ? "/dev/zero" : "/dev/null", &want), 0);
    ck_assert(got.st_rdev == want.st_rdev);
    close(fd);
    with_fd++;
}

static void left(void *arg)
{
    (void)arg;
    gone++;
}

static void begin(void)
{
    ctx = mem_root();
    frames = gone = with_fd = 0;
    bytes = 0;
    uv_loop_init(&uv);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    a = line_new(&(struct line_spec){.loop = &uv, .fd = pair[0], .on_frame = taken, .on_gone = left});
    b = line_new(&(struct line_spec){.loop = &uv, .fd = pair[1], .on_frame = taken, .on_gone = left});
}

static void finish(void)
{
    uv_run(&uv, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&uv), 0);
    ctx = mem_free(ctx);
}

static void turns(int until)
{
    for (int i = 0; i < 100000 && frames < until; i++)
        uv_run(&uv, UV_RUN_NOWAIT);
    ck_assert_int_eq(frames, until);
}

START_TEST(right_descriptor)
{
    size_t want = 0;
    char large[70000];
    memset(large, 'x', sizeof large);
    for (int i = 0; i < 40; i++) {
        bool fd = i % 3 == 0;
        FILE *f = fopen(fd ? "/dev/zero" : "/dev/null", "r");
        ck_assert_ptr_nonnull(f);
        ck_assert(line_send(a, str_of(fd ? "fd 1" : "fd 0"), dup(fileno(f))));
        fclose(f);
        ck_assert(line_send(a, str_n(large, sizeof large), -1));
        want += 4 + sizeof large;
    }
    turns(80);
    ck_assert_int_eq(with_fd, 40);
    ck_assert_uint_eq(bytes, want);
    ck_assert_uint_eq(line_backlog(a), 0);
    line_close(a);
    for (int i = 0; i < 1000 && !gone; i++)
        uv_run(&uv, UV_RUN_NOWAIT);
    ck_assert_int_eq(gone, 1); /* b hears of it, a does not */
}
END_TEST

START_TEST(broken_format)
{
    line_close(b); /* b's socket with it: a hears of that */
    for (int i = 0; i < 1000 && !gone; i++)
        uv_run(&uv, UV_RUN_NOWAIT);
    ck_assert_int_eq(gone, 1);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    b = line_new(&(struct line_spec){.loop = &uv, .fd = pair[1], .on_frame = taken, .on_gone = left});
    ck_assert_int_eq(write(pair[0], "\xff\xff\xff\xff....", 8), 8);
    for (int i = 0; i < 1000 && gone < 2; i++)
        uv_run(&uv, UV_RUN_NOWAIT);
    ck_assert_int_eq(gone, 2);
    ck_assert_int_eq(frames, 0);
    close(pair[0]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("line");
    TCase *t = tcase_create("line");
    tcase_add_checked_fixture(t, begin, finish);
    tcase_add_test(t, right_descriptor);
    tcase_add_test(t, broken_format);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
