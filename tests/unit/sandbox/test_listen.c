/* Contract: a sandbox's listeners are in its own network, open before the first command, accepted outside; two
 * sandboxes with the same port do not meet; there is nothing else to connect to. And: output is told as it arrives, and
 * who hears it can end the command. */
#include "rig.h"
#include <netinet/in.h>
#include <sys/socket.h>

enum { PORT = 8091, SECOND = 8092 };

static struct sandbox *open_listening(size_t n)
{
    ck_assert_int_eq(sandbox_give(rig_path("work"), SANDBOX_AGENT, &err), RC_OK);
    struct sandbox_mount mounts[] = {{rig_path("work"), "/workspace", true}};
    struct sandbox_spec spec = {.mounts = mounts,
                                .mount_count = 1,
                                .cwd = "/workspace",
                                .label = "test",
                                .listen = {PORT, SECOND},
                                .listen_count = n};
    return rig_open_spec(&spec);
}

/* Answers one connection with these words, in a child of its own. */
static pid_t answer_one(int listener, const char *words)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    int fd = accept(listener, NULL, NULL);
    _exit(fd >= 0 && write(fd, words, strlen(words)) == (ssize_t)strlen(words) ? 0 : 1);
}

static const char *connect_line(int port)
{
    return mem_printf(ctx, "bash -c 'exec 3<>/dev/tcp/127.0.0.1/%d && cat <&3' 2>/dev/null", port);
}

static void answered(pid_t pid)
{
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}

START_TEST(the_outside_accepts)
{
    if (!rig_begin(_i))
        return;
    struct sandbox *sb = open_listening(2);
    ck_assert_int_eq(sandbox_listener_port(sb, 0), PORT);
    ck_assert_int_eq(sandbox_listener_port(sb, 1), SECOND);
    pid_t first = answer_one(sandbox_listener(sb, 0), "first\n");
    rig_says(sb, connect_line(PORT), "first\n");
    answered(first);
    pid_t second = answer_one(sandbox_listener(sb, 1), "second\n");
    rig_says(sb, connect_line(SECOND), "second\n");
    answered(second);
    rig_refuses(sb, connect_line(PORT + 2));
    rig_refuses(sb, "bash -c 'exec 3<>/dev/tcp/::1/8091' 2>/dev/null");
    /* Nobody inside takes the place of the listener, and none of them holds it. */
    rig_refuses(sb, "python3 -c 'import socket; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, "
                    "socket.SO_REUSEPORT, 1); s.bind((\"127.0.0.1\", 8091)); s.listen()' 2>/dev/null");
    sandbox_close(sb, NULL);
    rig_end();
}
END_TEST

START_TEST(two_with_the_same_port_do_not_meet)
{
    if (!rig_begin(_i))
        return;
    struct sandbox *a = open_listening(1), *b = open_listening(1);
    pid_t of_a = answer_one(sandbox_listener(a, 0), "a\n"), of_b = answer_one(sandbox_listener(b, 0), "b\n");
    rig_says(b, connect_line(PORT), "b\n");
    rig_says(a, connect_line(PORT), "a\n");
    answered(of_a);
    answered(of_b);
    /* Closed: whoever still holds a copy accepts nobody any more. */
    int copy = dup(sandbox_listener(a, 0));
    sandbox_close(a, NULL);
    struct pollfd p = {.fd = copy, .events = POLLIN};
    ck_assert_int_eq(poll(&p, 1, 0), 0);
    close(copy);
    sandbox_close(b, NULL);
    rig_end();
}
END_TEST

START_TEST(plain_has_ports_of_the_machine)
{
    if (!rig_begin(0))
        return;
    struct sandbox_spec spec = {.cwd = "/tmp", .label = "test", .without = true, .listen = {PORT}, .listen_count = 1};
    struct sandbox *sb = rig_open_spec(&spec);
    ck_assert_int_ne(sandbox_listener_port(sb, 0), 0);
    pid_t pid = answer_one(sandbox_listener(sb, 0), "plain\n");
    rig_says(sb, connect_line(sandbox_listener_port(sb, 0)), "plain\n");
    answered(pid);
    sandbox_close(sb, NULL);
    rig_end();
}
END_TEST

struct heard {
    struct buf out, err;
    size_t stop_at; /* 0: never */
};

static bool hear(void *arg, bool error, struct str bytes)
{
    struct heard *h = arg;
    buf_str(error ? &h->err : &h->out, bytes);
    return !h->stop_at || h->out.n < h->stop_at;
}

START_TEST(output_is_told_as_it_comes)
{
    if (!rig_begin(_i))
        return;
    struct sandbox *sb = rig_open(SANDBOX_AGENT);
    struct heard h = {0};
    struct sandbox_result r;
    buf_init(&h.out, ctx, 1 << 20);
    buf_init(&h.err, ctx, 1 << 20);
    rig_do(sb, (struct sandbox_command){.shell = "echo one; echo two >&2; echo three", .on_output = hear, .arg = &h});
    ck_assert(str_eqz(buf_view(&h.out), "one\nthree\n"));
    ck_assert(str_eqz(buf_view(&h.err), "two\n"));
    /* The listener has had enough: ended as by a cancel, although it ignores TERM. */
    h.stop_at = h.out.n + 1;
    struct sandbox_command endless = {.shell = "trap '' TERM; echo go; while :; do sleep 1; done",
                                      .timeout_ms = RUN_MS,
                                      .cancel_fd = -1,
                                      .out_fd = -1,
                                      .grace_ms = 100,
                                      .on_output = hear,
                                      .arg = &h};
    ck_assert_int_eq(sandbox_run(ctx, sb, &endless, &r, &err), RC_CANCELLED);
    ck_assert_int_eq(r.signal, SIGKILL);
    sandbox_close(sb, NULL);
    rig_end();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("listen");
    TCase *t = tcase_create("listen");
    tcase_set_timeout(t, 120);
    RIG_ALL(t, the_outside_accepts);
    RIG(t, two_with_the_same_port_do_not_meet);
    tcase_add_test(t, plain_has_ports_of_the_machine);
    RIG(t, output_is_told_as_it_comes);
    suite_add_tcase(s, t);
    return s;
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, suite, NULL);
}
