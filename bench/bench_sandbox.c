/* How long a sandbox takes from sandbox_open to an agent's program and back to nothing, as a run has it (a listener,
 * the watch on the disk), beside plain bubblewrap with the same namespaces: medians of 60, interleaved, so that a busy
 * machine burdens all alike. Lines of name, median, unit and remark, separated by tabs. */
#include "base/clock.h"
#include "base/log.h"
#include "os/proc.h"
#include "sandbox/sandbox.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROUNDS = 60 };
enum { PLAIN, MINIMAL, BARE, OPEN, READY, NEXT, CLOSE, KINDS };
static const char *const names[KINDS] = {
    [PLAIN] = "sandbox_bwrap", [MINIMAL] = "sandbox_exec", [BARE] = "sandbox_open_bare", [OPEN] = "sandbox_open",
    [READY] = "sandbox_ready", [NEXT] = "sandbox_command", [CLOSE] = "sandbox_close"};
static const char *const words[KINDS] = {[PLAIN] = "bwrap, new namespaces, /usr /proc /dev /tmp, to the end of true",
                                         [MINIMAL] = "no sandbox: fork, exec, to the end of true",
                                         [BARE] = "without listener and without the watch on the disk",
                                         [OPEN] = "listener in hand, disk watched",
                                         [READY] =
                                             "from before the fork to the first words of the first program (date)",
                                         [NEXT] = "a further command, to the end of true",
                                         [CLOSE] = "until nothing is left"};
static int64_t took[KINDS][ROUNDS];

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void must(enum rc rc, const struct err *err)
{
    if (rc == RC_OK)
        return;
    fprintf(stderr, "bench_sandbox: %s %s %s\n", err->sentence, err->detail, err->hint);
    exit(1);
}

static int64_t time_of(const char *const *argv)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err err = {0};
    struct proc_spec spec = {.argv = argv, .new_session = true};
    struct proc_result r;
    int64_t start = clock_mono_ns();
    must(proc_run(tmp, &spec, (struct str){0}, 1000, 20000, -1, &r, &err), &err);
    if (r.exit_code != 0)
        must(err_set(&err, RC_IO, "%s failed: %.*s", argv[0], STR_FMT(r.err)), &err);
    return clock_mono_ns() - start;
}

static int64_t run_true(mem *ctx, struct sandbox *sb)
{
    const char *const argv[] = {"/bin/true", NULL};
    struct sandbox_command cmd = {.argv = argv, .timeout_ms = 20000, .cancel_fd = -1, .out_fd = -1};
    struct sandbox_result r;
    struct err err = {0};
    int64_t start = clock_mono_ns();
    must(sandbox_run(ctx, sb, &cmd, &r, &err), &err);
    return clock_mono_ns() - start;
}

/* When the program of a first command has begun, by its own word; ns since 1970. */
static int64_t run_date(mem *ctx, struct sandbox *sb)
{
    const char *const argv[] = {"/bin/date", "+%s%N", NULL};
    struct sandbox_command cmd = {.argv = argv, .timeout_ms = 20000, .cancel_fd = -1, .out_fd = -1, .keep = 100};
    struct sandbox_result r;
    struct err err = {0};
    int64_t at = 0;
    must(sandbox_run(ctx, sb, &cmd, &r, &err), &err);
    if (!str_int(str_trim(r.out), 0, INT64_MAX, &at))
        must(err_set(&err, RC_IO, "date says %.*s", STR_FMT(r.out)), &err);
    return at;
}

static void round_of(int i, const char *dir)
{
    static const char *const bare[] = {"/bin/true", NULL};
    static const char *const plain[] = {"bwrap",         "--unshare-all", "--die-with-parent",
                                        "--new-session", "--as-pid-1",    "--uid",
                                        "1000",          "--ro-bind",     "/usr",
                                        "/usr",          "--symlink",     "usr/lib",
                                        "/lib",          "--symlink",     "usr/lib64",
                                        "/lib64",        "--symlink",     "usr/bin",
                                        "/bin",          "--proc",        "/proc",
                                        "--dev",         "/dev",          "--tmpfs",
                                        "/tmp",          "/bin/true",     NULL};
    CLEANUP_MEM mem *ctx = mem_root();
    struct sandbox_mount mount = {dir, "/workspace", true};
    struct sandbox_spec bare_spec = {.mounts = &mount, .mount_count = 1, .cwd = "/workspace", .label = "bench"};
    struct sandbox_spec spec = bare_spec;
    spec.listen[0] = 4000;
    spec.listen_count = 1;
    spec.limits = (struct sandbox_limits){.disk_bytes = 20LL << 30, .disk_floor = 1 << 20};
    struct sandbox *sb;
    struct err err = {0};
    took[MINIMAL][i] = time_of(bare);
    took[PLAIN][i] = time_of(plain);
    int64_t start = clock_mono_ns();
    must(sandbox_open(ctx, &bare_spec, 20000, &sb, &err), &err);
    took[BARE][i] = clock_mono_ns() - start;
    sandbox_close(sb, NULL);
    int64_t start_wall = clock_wall_ns();
    start = clock_mono_ns();
    must(sandbox_open(ctx, &spec, 20000, &sb, &err), &err);
    took[OPEN][i] = clock_mono_ns() - start;
    took[READY][i] = run_date(ctx, sb) - start_wall;
    took[NEXT][i] = run_true(ctx, sb);
    start = clock_mono_ns();
    sandbox_close(sb, NULL);
    took[CLOSE][i] = clock_mono_ns() - start;
}

int main(void)
{
    char dir[] = "/tmp/bench-sandbox-XXXXXX";
    log_open("bench", LOG_WARN);
    int64_t start = clock_mono_ns();
    const struct sandbox_probe *p = sandbox_probe();
    int64_t probe = clock_mono_ns() - start;
    struct err problem = p->problem;
    must(p->works ? RC_OK : RC_UNAVAILABLE, &problem);
    if (!mkdtemp(dir) || chmod(dir, 0777) < 0)
        return 1;
    for (int i = 0; i < ROUNDS; i++)
        round_of(i, dir);
    rmdir(dir);
    printf("sandbox_probe\t%.2f\tms\tonce a process; %s; %s; bubblewrap %s\n", (double)probe / 1e6, p->rung_words,
           p->limits_words, p->bwrap_version);
    for (int k = 0; k < KINDS; k++) {
        qsort(took[k], ROUNDS, sizeof took[k][0], by_size);
        printf("%s\t%.2f\tms\tp90 %.2f; %.2f of plain bwrap; %s\n", names[k], (double)took[k][ROUNDS / 2] / 1e6,
               (double)took[k][ROUNDS * 9 / 10] / 1e6, (double)took[k][ROUNDS / 2] / (double)took[PLAIN][ROUNDS / 2],
               words[k]);
    }
    return 0;
}
