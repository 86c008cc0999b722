/* Contract: limits hold and are told. A sandbox that wants everything gets its share, the machine and the opener stay
 * well, and closing ends it in any state. */
#include "rig.h"
#include <sys/mman.h>

static struct sandbox *open_limited(const struct sandbox_limits *limits)
{
    ck_assert_int_eq(sandbox_give(rig_path("work"), SANDBOX_AGENT, &err), RC_OK);
    struct sandbox_mount mounts[] = {{rig_path("work"), "/workspace", true},
                                     {rig_path("program"), "/opt/attack", false}};
    struct sandbox_spec spec = {
        .mounts = mounts, .mount_count = 2, .cwd = "/workspace", .label = "limits", .limits = *limits};
    return rig_open_spec(&spec);
}

/* ---- inside ---- */

/* Forks until it cannot, then for ever tries again; every child does the same. */
static _Noreturn void bomb(void)
{
    signal(SIGTERM, SIG_IGN);
    for (;;) {
        if (fork() < 0)
            usleep(1000);
        setsid(); /* out of the command's group: only the end of the sandbox reaches these */
    }
}

/* Takes memory in small steps and holds it for a while. */
static int hog(size_t mib, unsigned hold_seconds)
{
    for (size_t i = 0; i < mib; i++) {
        char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            return 3;
        memset(p, 1, 1 << 20);
        usleep(2000); /* slow enough for init's watch, where no control group limits */
    }
    sleep(hold_seconds);
    return 0;
}

/* Reserves much and uses little, as runtimes and sanitizers do. */
static int reserve(void)
{
    char *p = mmap(NULL, 1UL << 40, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return 3;
    p[0] = 1;
    return 0;
}

static int inside(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[2] : "";
    if (strcmp(what, "bomb") == 0)
        bomb();
    if (strcmp(what, "hog") == 0)
        return hog((size_t)atoi(argv[3]), argc > 4 ? (unsigned)atoi(argv[4]) : 0);
    return strcmp(what, "reserve") == 0 ? reserve() : 99;
}

/* ---- outside ---- */

START_TEST(fork_bomb_is_held_and_ended)
{
    if (!rig_begin(_i))
        return;
    struct sandbox_limits limits = {.processes = 40};
    struct sandbox *sb = open_limited(&limits);
    struct sandbox_result r =
        rig_do(sb, (struct sandbox_command){.shell = "/opt/attack inside bomb; echo over", .timeout_ms = 1500});
    ck_assert(r.timed_out);
    /* More commands may fail now, but must not hang or harm. */
    struct sandbox_command cmd = {.shell = "true", .timeout_ms = 2000, .cancel_fd = -1, .out_fd = -1};
    (void)!sandbox_run(ctx, sb, &cmd, &r, &err);
    int left = 0;
    sandbox_close(sb, &left);
    ck_assert_msg(left >= 20 && left <= 45, "%d left", left);
    ck_assert_int_eq(rig_processes("inside"), 0);
    rig_end();
}
END_TEST

START_TEST(process_limit_is_told)
{
    if (!rig_begin(_i))
        return;
    struct sandbox_limits limits = {.processes = 20};
    struct sandbox *sb = open_limited(&limits);
    struct sandbox_result r = rig_shell(sb, "for i in $(seq 60); do sleep 60 & done 2>&1; jobs | wc -l");
    ck_assert_msg(memmem(r.out.p, r.out.n, "ork", 3) != NULL, "no complaint: %.*s", STR_FMT(r.out));
    if (strstr(sandbox_probe()->limits_words, "pids"))
        ck_assert(r.process_limit);
    sandbox_close(sb, NULL);
    /* The next one starts with a full share. */
    sb = open_limited(&limits);
    r = rig_shell(sb, "for i in $(seq 10); do sleep 0.1 & done; wait; echo fine");
    ck_assert_msg(str_eqz(r.out, "fine\n") && !r.process_limit, "%.*s %.*s", STR_FMT(r.out), STR_FMT(r.err));
    sandbox_close(sb, NULL);
    rig_end();
}
END_TEST

START_TEST(memory_hog_is_ended_and_told)
{
    if (!rig_begin(_i))
        return;
    struct sandbox_limits limits = {.memory_bytes = 200 << 20, .tmp_bytes = 64 << 20};
    struct sandbox *sb = open_limited(&limits);
    struct sandbox_result r = rig_shell(sb, "exec /opt/attack inside hog 50");
    ck_assert_msg(r.exit_code == 0 && !r.memory_limit, "50 MiB of 200: exit %d signal %d", r.exit_code, r.signal);
    r = rig_shell(sb, "exec /opt/attack inside hog 4000");
    ck_assert_msg(r.signal == SIGKILL && r.memory_limit, "exit %d signal %d told %d", r.exit_code, r.signal,
                  r.memory_limit);
    rig_says(sb, "echo alive", "alive\n");
    /* Three that only together have too much. */
    r = rig_shell(sb, "for i in 1 2 3; do /opt/attack inside hog 90 4 & done; wait");
    ck_assert_msg(r.memory_limit, "270 MiB of 200 in three parts went unnoticed");
    r = rig_shell(sb, "exec /opt/attack inside reserve");
    ck_assert_msg(r.exit_code == 0 && !r.memory_limit, "a reservation is not use: exit %d", r.exit_code);
    sandbox_close(sb, NULL);
    rig_end();
}
END_TEST

START_TEST(files_are_held)
{
    if (!rig_begin(_i))
        return;
    struct sandbox_limits limits = {.file_bytes = 1 << 20, .tmp_bytes = 2 << 20};
    struct sandbox *sb = open_limited(&limits);
    rig_says(sb, "head -c 1000000 /dev/zero > fits; wc -c < fits", "1000000\n");
    struct sandbox_result r = rig_shell(sb, "head -c 5000000 /dev/zero > big");
    ck_assert(r.exit_code != 0 || r.signal == SIGXFSZ);
    rig_says(sb, "wc -c < big", "1048576\n");
    rig_refuses(sb, "for i in 1 2 3 4; do head -c 1000000 /dev/zero > /tmp/$i || exit 1; done");
    rig_refuses(sb, "for i in 1 2 3 4; do head -c 1000000 /dev/zero > /dev/shm/$i || exit 1; done");
    rig_refuses(sb, "ulimit -f unlimited");
    r = rig_shell(sb, "ulimit -c; ulimit -Hc");
    ck_assert_msg(str_eqz(r.out, "0\n0\n"), "%.*s", STR_FMT(r.out));
    sandbox_close(sb, NULL);
    rig_end();
}
END_TEST

START_TEST(cpu_time_is_held)
{
    if (!rig_begin(_i))
        return;
    struct sandbox_limits limits = {.cpu_seconds = 1};
    struct sandbox *sb = open_limited(&limits);
    struct sandbox_result r = rig_shell(sb, "while :; do :; done");
    ck_assert_msg(r.signal == SIGKILL || r.signal == SIGXCPU, "exit %d signal %d", r.exit_code, r.signal);
    ck_assert(!r.timed_out);
    sandbox_close(sb, NULL);
    rig_end();
}
END_TEST

START_TEST(flood_is_ended)
{
    if (!rig_begin(_i))
        return;
    struct sandbox_limits limits = {0};
    struct sandbox *sb = open_limited(&limits);
    int out = open(rig_path("out"), O_RDWR | O_CREAT | O_EXCL, 0600);
    struct sandbox_result r = rig_do(
        sb,
        (struct sandbox_command){.shell = "yes", .out_fd = out, .out_max = 1 << 20, .flood_ends = true, .keep = 1000});
    ck_assert(r.flooded && !r.timed_out && r.signal == SIGTERM);
    ck_assert_int_eq(lseek(out, 0, SEEK_END), 1 << 20);
    ck_assert(r.out.n < 1100 && r.out_bytes > 1 << 20);
    /* Deaf and on both pipes. */
    r = rig_do(sb,
               (struct sandbox_command){.shell = "trap '' TERM; yes >&2 & yes", .out_max = 100000, .flood_ends = true});
    ck_assert(r.flooded && r.signal == SIGKILL);
    /* A background process that floods does not hold the command's end back. */
    r = rig_do(sb, (struct sandbox_command){.shell = "yes & echo end"});
    ck_assert_int_eq(r.exit_code, 0);
    close(out);
    sandbox_close(sb, NULL);
    rig_end();
}
END_TEST

/* Background commands live on; more than init keeps count of are refused, not lost. */
START_TEST(many_small_commands)
{
    if (!rig_begin(_i))
        return;
    struct sandbox_limits limits = {.processes = 400};
    struct sandbox *sb = open_limited(&limits);
    for (int i = 0; i < 100; i++)
        rig_says(sb, "echo x; sleep 100 >/dev/null 2>&1 &", "x\n");
    int left = 0;
    sandbox_close(sb, &left);
    ck_assert_int_eq(left, 100);
    rig_end();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("limits");
    TCase *t = tcase_create("limits");
    tcase_set_timeout(t, 100);
    RIG(t, fork_bomb_is_held_and_ended);
    RIG(t, process_limit_is_told);
    RIG(t, memory_hog_is_ended_and_told);
    RIG(t, files_are_held);
    RIG(t, cpu_time_is_held);
    RIG(t, flood_is_ended);
    RIG(t, many_small_commands);
    suite_add_tcase(s, t);
    return s;
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, suite, inside);
}
