/* Contract: frames arrive whole, in order and with their descriptors; silence, departure and a broken format are told
 * apart; no descriptor is lost or left open; the reader on a loop takes the same bytes in any pieces. */
#include "os/frame.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static mem *ctx;
static struct err err;
static int pair[2];

static void begin(void)
{
    ctx = mem_root();
    memset(&err, 0, sizeof err);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
}

static void finish(void)
{
    close(pair[0]);
    close(pair[1]);
    mem_free(ctx);
}

static int open_count(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static enum rc receive(struct str *ret, int timeout_ms)
{
    return frame_recv(ctx, pair[1], timeout_ms, ret, NULL, NULL, &err);
}

START_TEST(frames_arrive)
{
    struct str got;
    ck_assert_int_eq(frame_send(pair[0], STR("{\"a\":1}"), NULL, 0, &err), RC_OK);
    ck_assert_int_eq(frame_send(pair[0], STR(""), NULL, 0, &err), RC_OK);
    ck_assert_int_eq(frame_send(pair[0], STR("x\0y"), NULL, 0, &err), RC_OK);
    ck_assert(receive(&got, 1000) == RC_OK && str_eqz(got, "{\"a\":1}") && got.p[got.n] == '\0');
    ck_assert(receive(&got, 1000) == RC_OK && got.n == 0);
    ck_assert(receive(&got, 1000) == RC_OK && str_eq(got, STR("x\0y")));
}
END_TEST

START_TEST(descriptors_ride_along)
{
    int before = open_count(), pipes[2], fds[FRAME_FDS], n = -1;
    struct str got;
    ck_assert_int_eq(pipe(pipes), 0);
    const int sent[FRAME_FDS] = {pipes[0], pipes[1], pipes[0], pipes[1]};
    ck_assert_int_eq(frame_send(pair[0], STR("one"), sent, 2, &err), RC_OK);
    ck_assert_int_eq(frame_send(pair[0], STR("none"), NULL, 0, &err), RC_OK);
    ck_assert_int_eq(frame_send(pair[0], STR("four"), sent, FRAME_FDS, &err), RC_OK);
    ck_assert_int_eq(frame_recv(ctx, pair[1], 1000, &got, fds, &n, &err), RC_OK);
    ck_assert(str_eqz(got, "one") && n == 2 && (fcntl(fds[0], F_GETFD) & FD_CLOEXEC));
    ck_assert_int_eq(write(fds[1], "!", 1), 1);
    char c = 0;
    ck_assert(read(pipes[0], &c, 1) == 1 && c == '!');
    close(fds[0]);
    close(fds[1]);
    ck_assert_int_eq(frame_recv(ctx, pair[1], 1000, &got, fds, &n, &err), RC_OK);
    ck_assert(str_eqz(got, "none") && n == 0);
    ck_assert_int_eq(receive(&got, 1000), RC_OK); /* unwanted ones are closed */
    close(pipes[0]);
    close(pipes[1]);
    ck_assert_int_eq(open_count(), before);
}
END_TEST

/* Raw bytes with raw descriptors, as no honest peer sends them. */
static void send_raw(struct str bytes, int fd, size_t count)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int) * 8)];
    } control = {0};
    struct iovec part = {(void *)(uintptr_t)bytes.p, bytes.n};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space};
    m.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * count);
    for (size_t i = 0; i < count; i++)
        memcpy(CMSG_DATA(c) + i * sizeof fd, &fd, sizeof fd);
    ck_assert_int_eq(sendmsg(pair[0], &m, 0), (ssize_t)bytes.n);
}

START_TEST(descriptors_never_leak)
{
    int before = open_count(), fds[FRAME_FDS], n = -1;
    struct str got;
    send_raw(STR("\0\0\0\1a"), pair[0], 8); /* too many */
    ck_assert_int_eq(frame_recv(ctx, pair[1], 1000, &got, fds, &n, &err), RC_INVALID);
    ck_assert_int_eq(n, 0);
    ck_assert_int_eq(open_count(), before);
    finish();
    begin();
    send_raw(STR("\xff\xff\xff\xff"), pair[0], 2); /* on a frame that is refused */
    ck_assert_int_eq(frame_recv(ctx, pair[1], 1000, &got, fds, &n, &err), RC_INVALID);
    ck_assert_int_eq(open_count(), before);
    finish();
    begin();
    ck_assert_int_eq(write(pair[0], "\0\0\0\1", 4), 4);
    send_raw(STR("a"), pair[0], 1); /* not with the first byte */
    ck_assert_int_eq(frame_recv(ctx, pair[1], 1000, &got, fds, &n, &err), RC_OK);
    ck_assert_int_eq(n, 0);
    ck_assert_int_eq(open_count(), before);
}
END_TEST

START_TEST(silence_and_departure)
{
    struct str got;
    ck_assert_int_eq(receive(&got, 0), RC_TIMEOUT);
    ck_assert_int_eq(receive(&got, 20), RC_TIMEOUT);
    ck_assert_int_eq(write(pair[0], "\0\0\0\5he", 6), 6);
    shutdown(pair[0], SHUT_WR);
    ck_assert_int_eq(receive(&got, 1000), RC_UNAVAILABLE); /* in the middle */
    ck_assert_int_eq(receive(&got, 1000), RC_UNAVAILABLE); /* at the border */
    close(pair[1]);
    pair[1] = open("/dev/null", O_RDONLY);
    ck_assert_int_eq(frame_send(pair[0], STR("x"), NULL, 0, &err), RC_UNAVAILABLE); /* and no SIGPIPE */
}
END_TEST

START_TEST(sizes_are_capped)
{
    struct str got;
    char *large = mem_array(ctx, char, FRAME_MAX + 1);
    ck_assert_int_eq(frame_send(pair[0], str_n(large, FRAME_MAX + 1), NULL, 0, &err), RC_LIMIT);
    ck_assert_int_eq(receive(&got, 0), RC_TIMEOUT);
    ck_assert_int_eq(write(pair[0], "\0\x80\0\1", 4), 4);
    ck_assert_int_eq(receive(&got, 1000), RC_INVALID);
}
END_TEST

static void *send_large(void *arg)
{
    static int pipes[2];
    ck_assert_int_eq(pipe(pipes), 0);
    ck_assert_int_eq(frame_send(pair[0], *(struct str *)arg, pipes, 1, NULL), RC_OK);
    close(pipes[0]);
    close(pipes[1]);
    return NULL;
}

/* More than the socket holds: sent and received in pieces, blocking and not. */
START_TEST(large_frames)
{
    char *large = mem_array(ctx, char, FRAME_MAX);
    for (size_t i = 0; i < FRAME_MAX; i++)
        large[i] = (char)(i * 31 + (i >> 12));
    struct str sent = str_n(large, FRAME_MAX), got;
    pthread_t thread;
    int fds[FRAME_FDS], n = 0;
    if (_i)
        ck_assert_int_eq(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, send_large, &sent), 0);
    ck_assert_int_eq(frame_recv(ctx, pair[1], 10000, &got, fds, &n, &err), RC_OK);
    pthread_join(thread, NULL);
    ck_assert(str_eq(got, sent) && n == 1);
    close(fds[0]);
}
END_TEST

START_TEST(reader_takes_any_pieces)
{
    struct buf wire;
    struct str got;
    buf_init(&wire, ctx, 1 << 20);
    static const char *const texts[] = {"one", "", "{\"three\":3}", "4"};
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(frame_write(&wire, str_of(texts[i]), &err), RC_OK);
    for (size_t step = 1; step <= wire.n; step++) {
        struct frame_reader r;
        size_t taken = 0;
        frame_reader_init(&r, ctx);
        ck_assert_int_eq(frame_take(&r, &got, &err), RC_AGAIN);
        for (size_t at = 0; at < wire.n; at += step) {
            struct str part = str_sub(buf_view(&wire), at, step);
            ck_assert_int_eq(frame_feed(&r, part.p, part.n, &err), RC_OK);
            while (frame_take(&r, &got, &err) == RC_OK)
                ck_assert(str_eqz(got, texts[taken++]));
        }
        ck_assert_uint_eq(taken, 4);
        buf_done(&r.in);
    }
}
END_TEST

START_TEST(reader_is_capped)
{
    struct frame_reader r;
    struct str got;
    char *large = mem_array(ctx, char, 1 << 20);
    frame_reader_init(&r, ctx);
    ck_assert_int_eq(frame_feed(&r, "\0\x80\0\1", 4, &err), RC_OK);
    ck_assert_int_eq(frame_take(&r, &got, &err), RC_INVALID);
    frame_reader_init(&r, ctx);
    enum rc rc = frame_feed(&r, "\0\x80\0\0", 4, &err);
    for (int i = 0; i < 8; i++) {
        ck_assert(rc == RC_OK && frame_take(&r, &got, &err) == RC_AGAIN);
        rc = frame_feed(&r, large, 1 << 20, &err);
    }
    ck_assert(rc == RC_OK && frame_take(&r, &got, &err) == RC_OK && got.n == FRAME_MAX);
    frame_reader_init(&r, ctx);
    for (int i = 0; rc == RC_OK && i < 20; i++) /* fed, never taken */
        rc = frame_feed(&r, large, 1 << 20, &err);
    ck_assert_int_eq(rc, RC_INVALID);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("frame");
    TCase *t = tcase_create("frame");
    tcase_add_checked_fixture(t, begin, finish);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, frames_arrive);
    tcase_add_test(t, descriptors_ride_along);
    tcase_add_test(t, descriptors_never_leak);
    tcase_add_test(t, silence_and_departure);
    tcase_add_test(t, sizes_are_capped);
    tcase_add_loop_test(t, large_frames, 0, 2);
    tcase_add_test(t, reader_takes_any_pieces);
    tcase_add_test(t, reader_is_capped);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
