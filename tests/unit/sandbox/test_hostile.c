/* Contract: a program that means harm reaches nothing of the daemon and of other runs, and leaves nothing behind. The
 * attacks are lines for a shell or for Python, as an agent would run them. */
#include "rig.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

/* A listening Unix socket that everybody may connect to, as far as its folders let them. */
static int unix_listen(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(chmod(path, 0777), 0);
    ck_assert_int_eq(listen(fd, 5), 0);
    return fd;
}

static struct sandbox *open_run(const char *home, uint16_t port)
{
    ck_assert_int_eq(sandbox_give(rig_path("work"), SANDBOX_AGENT, &err), RC_OK);
    ck_assert_int_eq(sandbox_give(home, SANDBOX_AGENT, &err), RC_OK);
    const char *env[] = {"HOME=/home/agent", NULL};
    struct sandbox_mount mounts[] = {{rig_path("work"), "/workspace", true},
                                     {home, "/home/agent", true},
                                     {rig_path("program"), "/opt/attack", false}};
    struct sandbox_spec spec = {.mounts = mounts,
                                .mount_count = 3,
                                .cwd = "/workspace",
                                .env = env,
                                .listen = {port},
                                .listen_count = 1,
                                .label = "hostile"};
    return rig_open_spec(&spec);
}

#define PYTHON(code) "python3 -c '" code "'"
#define REACH(where, address)                                                                                          \
    PYTHON("import socket; s=socket.socket(" where "); s.settimeout(3); s.connect(" address "); print(\"reached\")")

START_TEST(nothing_of_others_is_in_reach)
{
    if (!rig_begin(_i))
        return;
    const char *data = rig_path("data"), *socket_path = rig_path("data/nightmill.sock");
    ck_assert_int_eq(mkdir(data, 0777), 0);
    ck_assert_int_eq(chmod(data, 0777), 0);
    rig_text(rig_path("data/nightmill.db"), "rows");
    ck_assert_int_eq(chmod(rig_path("data/nightmill.db"), 0666), 0);
    int daemon = unix_listen(socket_path);
    ck_assert(mkdir(rig_path("home1"), 0755) == 0 && mkdir(rig_path("home2"), 0755) == 0);
    struct sandbox *one = open_run(rig_path("home1"), 4000), *two = open_run(rig_path("home2"), 4001);
    rig_says(one, "echo secret >$HOME/token; chmod 644 $HOME/token; ls $HOME", "token\n");
    /* Its own listener answers (the kernel takes the connection), the other's port is nobody's here. */
    rig_says(two, REACH("", "(\"127.0.0.1\", 4001)"), "reached\n");
    const char *const lines[] = {
        REACH("", "(\"127.0.0.1\", 4000)"),
        REACH("socket.AF_INET6", "(\"::1\", 4000)"),
        REACH("socket.AF_INET6", "(\"::1\", 4001)"),
        REACH("socket.AF_INET6", "(\"::ffff:127.0.0.1\", 4000)"),
        REACH("", "(\"0.0.0.0\", 4000)"),
        REACH("", "(\"192.0.2.1\", 53)"),
        REACH("socket.AF_INET, socket.SOCK_DGRAM", "(\"192.0.2.1\", 53)"),
        REACH("socket.AF_INET6, socket.SOCK_DGRAM", "(\"2001:db8::1\", 53)"),
        PYTHON("import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)"),
        PYTHON("import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)"),
        "getent hosts localhost.example",
        mem_printf(ctx, REACH("socket.AF_UNIX", "\"%s\""), socket_path),
        mem_printf(ctx, "cat %s/nightmill.db", data),
        mem_printf(ctx, "ls %s", data),
        mem_printf(ctx, "cat %s/token", rig_path("home1")),
        "cat /home/agent/token",
        "cat /home/*/token /proc/*/root/home/agent/token",
        "find / -xdev -name nightmill.db -o -xdev -name token 2>/dev/null | grep .",
        "grep -l hostile /proc/[0-9]*/mountinfo | xargs grep -h home1 /dev/null",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        rig_refuses(two, lines[i]);
    rig_says(one, "cat $HOME/token", "secret\n");
    sandbox_close(one, NULL);
    sandbox_close(two, NULL);
    close(daemon);
    for (int i = 1; i < 3; i++)
        (void)!sandbox_take(rig_path(i == 1 ? "home1" : "home2"), NULL);
    rig_end();
}
END_TEST

START_TEST(large_files_are_refused)
{
    if (!rig_begin(_i))
        return;
    struct sandbox *sb = rig_open(SANDBOX_AGENT); /* with the standard limit of 4 GiB */
    rig_refuses(sb, "truncate -s 5G big");
    rig_refuses(sb, "dd if=/dev/zero of=big bs=1M seek=4096 count=1 2>/dev/null");
    rig_refuses(sb, "fallocate -l 5G big");
    rig_says(sb, "truncate -s 3G big && stat -c %s big; rm big", "3221225472\n");
    sandbox_close(sb, NULL);
    rig_end();
}
END_TEST

/* Daemons of every kind, deaf to signals, under names that a terminal would obey. */
START_TEST(nothing_is_left_behind)
{
    if (!rig_begin(_i))
        return;
    const char *word = rig_word();
    struct sandbox *sb = rig_open(SANDBOX_AGENT);
    rig_shell(
        sb,
        mem_printf(ctx,
                   "trap '' TERM INT HUP; for i in 1 2 3; do (setsid sh -c \"trap '' TERM; (sleep 91%s &); "
                   "exec sleep 92%s\" >/dev/null 2>&1 &); done; "
                   "name=$(printf 'a\\nb\\033]0;x\\007'); mkdir -p \"$name/$name\"; cp /bin/sleep \"$name/$name/sl\"; "
                   "(\"$name/$name/sl\" 93%s >/dev/null 2>&1 &); mkfifo f; (cat f >/dev/null 2>&1 &) ; sleep 0.3",
                   word, word, word));
    ck_assert(rig_becomes(word, 7));
    int left = 0;
    sandbox_close(sb, &left);
    ck_assert_msg(left >= 8, "only %d were counted", left);
    ck_assert_int_eq(rig_processes(word), 0);
    ck_assert_int_eq(sandbox_take(rig_path("work"), &err), RC_OK);
    ck_assert_int_eq(path_remove_tree(rig_path("work"), &err), RC_OK);
    ck_assert_int_eq(mkdir(rig_path("work"), 0755), 0);
    rig_end();
}
END_TEST

/* Whatever is printed as fast as it goes: bytes are counted, little is kept, and the next command is served. */
START_TEST(floods_do_no_harm)
{
    if (!rig_begin(_i))
        return;
    struct sandbox *sb = rig_open(SANDBOX_AGENT);
    struct sandbox_result r =
        rig_do(sb, (struct sandbox_command){.shell = "trap '' TERM; yes \"$(printf '\\033[2J\\007')\" & yes >&2",
                                            .keep = 4096,
                                            .out_max = 256 << 20,
                                            .flood_ends = true});
    ck_assert(r.flooded && r.out.n + r.err.n <= 3 * 4096 && r.out_bytes + r.err_bytes >= 256 << 20);
    rig_says(sb, "pkill -9 yes; echo well", "well\n");
    sandbox_close(sb, NULL);
    rig_end();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("hostile");
    TCase *t = tcase_create("hostile");
    tcase_set_timeout(t, 200);
    RIG_ALL(t, nothing_of_others_is_in_reach);
    RIG(t, large_files_are_refused);
    RIG(t, nothing_is_left_behind);
    RIG(t, floods_do_no_harm);
    suite_add_tcase(s, t);
    return s;
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, suite, NULL);
}
