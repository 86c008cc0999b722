/* One check in one tree: a fresh export, a fresh sandbox of the verifier, the layer of the setup commands, the check.
 *
 * The sandbox is closed (everything in it has ended) before anything that the run left behind is read, and that is only
 * done beneath the export, without leaving it. The exit status comes from outside. Not here: what a run means. */
#include "base/clock.h"
#include "base/text.h"
#include "os/path.h"
#include "verify/private.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    OUTPUT_MAX = 64 << 20, /* a check that prints more floods */
    KEEP = 4096,
    TAIL_MAX = 16 << 10,
    TIMEOUT_S = 600,
    OPEN_MS = 20000,
    REPORT_MAX = 16 << 20,
    REPORTS_MAX = 200,
    REPORT_WALK_MAX = 200000,
};

/* ---- reading what a run printed ---- */

struct str output_open(const struct verdict_run *run)
{
    struct stat st;
    CLEANUP_FD int fd = run->log ? open(run->log, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= 0)
        return STR("");
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    return p == MAP_FAILED ? STR("") : str_n(p, (size_t)st.st_size);
}

void output_close(struct str output)
{
    if (output.n)
        munmap((void *)output.p, output.n);
}

/* The last lines, whole ones where that is possible. */
static struct str output_tail(mem *ctx, struct str output)
{
    struct str tail = output.n > TAIL_MAX ? str_sub(output, output.n - TAIL_MAX, TAIL_MAX) : output;
    const char *lf = tail.n < output.n ? memchr(tail.p, '\n', tail.n - 1) : NULL;
    if (lf)
        tail = str_sub(tail, (size_t)(lf - tail.p) + 1, tail.n);
    return str_of(str_utf8_clean(ctx, tail));
}

/* ---- reports ---- */

struct reports {
    mem *tmp;
    const struct repo_entry *files; /* of the tree: what was there before the run is no report of it */
    size_t file_count;
    const char **paths;
    size_t n, walked;
};

static int by_path(const void *key, const void *entry)
{
    return strcmp(key, ((const struct repo_entry *)entry)->path);
}

static int reports_visit(void *arg, const char *path, enum path_kind kind, const struct stat *st)
{
    static const char *const skipped[] = {"node_modules", ".git", ".venv", "venv", NULL};
    static const char *const globs[] = {"junit*.xml",        "*.junit.xml",
                                        "TEST-*.xml",        "/test-results/**/*.xml",
                                        "/reports/**/*.xml", "/test-reports/**/*.xml",
                                        "/results.xml",      "test-results.xml",
                                        "test-report*.xml",  NULL};
    struct reports *r = arg;
    if (++r->walked > REPORT_WALK_MAX || r->n == REPORTS_MAX)
        return -1;
    if (kind == PATH_DIR)
        return globs_match(skipped, path);
    if (kind != PATH_FILE || st->st_size > REPORT_MAX || !globs_match(globs, path))
        return 0;
    if (!r->file_count || !bsearch(path, r->files, r->file_count, sizeof *r->files, by_path))
        r->paths[r->n++] = mem_str(r->tmp, path);
    return 0;
}

/* JUnit reports that the run wrote, where the output itself said nothing. Any trouble means that there is none. */
static void reports_read(const struct bench *b, const char *dir, struct verdict_run *run)
{
    CLEANUP_MEM mem *tmp = mem_root();
    CLEANUP_FD int root = -1;
    struct reports r = {.tmp = tmp, .paths = mem_array(tmp, const char *, REPORTS_MAX)};
    struct repo_entry *files;
    if (repo_list(tmp, b->spec->git_dir, run->tree, &files, &r.file_count, NULL) != RC_OK ||
        path_open_root(dir, &root, NULL) != RC_OK)
        return;
    r.files = files;
    if (path_walk(root, ".", reports_visit, &r, NULL) != RC_OK)
        return;
    struct tally sum = {0};
    for (size_t i = 0; i < r.n; i++) {
        struct str text;
        struct test_counts c;
        CLEANUP_MEM mem *one = mem_root();
        if (path_read(one, root, r.paths[i], REPORT_MAX, &text, NULL, NULL) != RC_OK || !counts_read(text, &c) ||
            strcmp(c.framework, "junit") != 0)
            continue;
        tally_add(&sum, c.passed, c.failed, c.skipped);
    }
    if (sum.seen && !sum.broken)
        run->counts = (struct test_counts){.framework = "junit",
                                           .total = sum.passed + sum.failed + sum.skipped,
                                           .passed = sum.passed,
                                           .failed = sum.failed,
                                           .skipped = sum.skipped};
}

/* ---- running ---- */

struct stage { /* one run in progress */
    struct bench *b;
    const struct check *check;
    struct verdict_run *run;
    const char *dir;   /* the export */
    const char *setup; /* log of the setup commands */
    struct setup_layer layer;
    struct sandbox *sandbox;
};

/* Trouble with the sandbox is told apart from trouble with git and disk: it is not the commit's fault. */
static enum rc sandbox_trouble(enum rc rc, struct err *err)
{
    if (rc == RC_OK || rc == RC_CANCELLED)
        return rc;
    if (err)
        err->rc = RC_UNAVAILABLE;
    return RC_UNAVAILABLE;
}

static enum rc stage_export(struct stage *r, struct canary *canary, struct err *err)
{
    const struct verify_spec *spec = r->b->spec;
    enum rc rc = path_remove_tree(r->dir, err);
    if (rc == RC_OK)
        rc = path_mkdirs(r->dir, 0700, err);
    if (rc == RC_OK)
        rc = repo_export(spec->git_dir, r->run->tree, r->dir, geteuid(), getegid(), err);
    if (rc == RC_OK && canary)
        rc = canary_plant(r->b->ctx, r->dir, (uid_t)-1, (gid_t)-1, canary, err);
    if (rc == RC_OK && !spec->no_sandbox)
        rc = sandbox_trouble(sandbox_give(r->dir, SANDBOX_VERIFIER, err), err);
    return rc;
}

static bool with_layers(const struct verify_spec *spec)
{
    return spec->layers && !spec->no_sandbox && spec->setup && spec->setup[0];
}

/* What the setup commands made of this very tree, or of the base where they read the same. */
static enum rc stage_layer(mem *ctx, struct stage *r, struct err *err)
{
    const struct verify_spec *spec = r->b->spec;
    if (!with_layers(spec))
        return RC_OK;
    struct setup_spec how = *spec->layers;
    how.git_dir = spec->git_dir;
    how.base = spec->base;
    how.commands = spec->setup;
    how.work_dir = r->b->dir;
    how.cancel_fd = spec->cancel_fd;
    how.limits = spec->limits;
    enum rc rc = sandbox_trouble(setup_layer(ctx, &how, r->run->tree, &r->layer, err), err);
    if (rc != RC_OK || !r->layer.failed)
        return rc;
    r->run->could_not_start = true;
    r->run->exit_code = r->layer.exit_code;
    r->run->log = r->setup;
    const char *words = mem_printf(ctx, "%s\n%.*s\n", r->layer.words, STR_FMT(r->layer.output));
    return path_write_durable(r->setup, str_of(words), 0600, err);
}

static enum rc stage_open(mem *ctx, struct stage *r, struct err *err)
{
    static const char *const env[] = {"CI=1", "NO_COLOR=1", NULL};
    const struct verify_spec *spec = r->b->spec;
    struct sandbox_mount mounts[1 + SETUP_ROOTS] = {{.source = r->dir, .target = "/workspace", .writable = true}};
    if (r->layer.n)
        memcpy(mounts + 1, r->layer.mounts, r->layer.n * sizeof *mounts);
    struct sandbox_spec s = {.user = SANDBOX_VERIFIER,
                             .mounts = mounts,
                             .mount_count = 1 + r->layer.n,
                             .cwd = "/workspace",
                             .env = env,
                             .limits = spec->limits,
                             .label = mem_printf(ctx, "verify-%s", r->run->kind),
                             .without = spec->no_sandbox};
    return sandbox_trouble(sandbox_open(ctx, &s, OPEN_MS, &r->sandbox, err), err);
}

static enum rc stage_command(mem *ctx, struct stage *r, const char *command, const char *log,
                             struct sandbox_result *ret, struct err *err)
{
    CLEANUP_FD int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(err, errno, "Could not write %s", log);
    int64_t timeout_s = r->check->timeout_s > 0 ? r->check->timeout_s : TIMEOUT_S;
    struct sandbox_command c = {.shell = command,
                                .timeout_ms = timeout_s > INT32_MAX / 1000 ? INT32_MAX : (int)(timeout_s * 1000),
                                .cancel_fd = r->b->spec->cancel_fd,
                                .keep = KEEP,
                                .out_fd = fd,
                                .out_max = OUTPUT_MAX,
                                .merge = true,
                                .flood_ends = true};
    enum rc rc = sandbox_run(ctx, r->sandbox, &c, ret, err);
    if (rc == RC_LIMIT && sandbox_disk_over(r->sandbox, err)) { /* the commit's own doing, and an end like another */
        r->run->disk_limit = true;
        ret->exit_code = -1;
        ret->signal = SIGKILL;
        return RC_OK;
    }
    return sandbox_trouble(rc, err);
}

/* False when a setup command fails: then the check could not start, and the run shows that command's output. */
static enum rc stage_setup(mem *ctx, struct stage *r, bool *ret_good, struct err *err)
{
    *ret_good = true;
    if (with_layers(r->b->spec))
        return RC_OK;
    for (const char *const *s = r->b->spec->setup; s && *s && *ret_good; s++) {
        struct sandbox_result done = {0};
        enum rc rc = stage_command(ctx, r, *s, r->setup, &done, err);
        if (rc != RC_OK)
            return rc;
        r->run->elapsed_ns += done.elapsed_ns;
        r->run->exit_code = done.exit_code;
        r->run->signal = done.signal;
        r->run->timed_out = done.timed_out;
        r->run->flooded = done.flooded;
        r->run->memory_limit = done.memory_limit;
        *ret_good = done.exit_code == 0 && !done.signal && !done.timed_out && !done.flooded && !done.could_not_start;
    }
    return RC_OK;
}

static enum rc stage_check(mem *ctx, struct stage *r, struct err *err)
{
    struct sandbox_result done = {0};
    bool good;
    enum rc rc = stage_setup(ctx, r, &good, err);
    if (rc != RC_OK)
        return rc;
    if (!good) {
        r->run->could_not_start = true;
        r->run->log = r->setup;
        return RC_OK;
    }
    rc = stage_command(ctx, r, r->check->command, r->run->log, &done, err);
    r->run->elapsed_ns += done.elapsed_ns;
    r->run->exit_code = done.exit_code;
    r->run->signal = done.signal;
    r->run->timed_out = done.timed_out;
    r->run->flooded = done.flooded;
    r->run->memory_limit = done.memory_limit;
    r->run->could_not_start = done.could_not_start;
    return rc;
}

static void stage_read(struct stage *r)
{
    struct verdict_run *run = r->run;
    struct str output = output_open(run);
    run->tail = output_tail(r->b->ctx, output);
    run->garbled = !counts_text(output);
    if (!run->could_not_start)
        counts_read(output, &run->counts);
    output_close(output);
    if (!run->counts.framework && run_ended(run))
        reports_read(r->b, r->dir, run);
    /* What a shell says when there is no such command, or it may not be executed. */
    if (!run->counts.framework && (run->exit_code == 126 || run->exit_code == 127))
        run->could_not_start = true;
}

static enum rc stage_run(mem *tmp, struct stage *r, struct canary *canary, struct err *err)
{
    enum rc rc = stage_layer(tmp, r, err);
    if (rc == RC_OK && !r->layer.failed)
        rc = stage_export(r, canary, err);
    if (rc == RC_OK && !r->layer.failed)
        rc = stage_open(tmp, r, err);
    if (rc == RC_OK && !r->layer.failed)
        rc = stage_check(tmp, r, err);
    r->sandbox = sandbox_close(r->sandbox, NULL);
    if (!r->b->spec->no_sandbox && !r->layer.failed && sandbox_take(r->dir, NULL) != RC_OK && rc == RC_OK)
        return rc; /* counts stay unknown; the files are not ours to read */
    if (rc == RC_OK)
        stage_read(r);
    return rc;
}

void bench_add(struct bench *b, struct verdict_run *run)
{
    if (b->last)
        b->last->next = run;
    else
        b->runs = run;
    b->last = run;
}

enum rc bench_run(struct bench *b, const char *kind, const char *tree, const struct check *check, struct canary *canary,
                  struct verdict_run **ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct verdict_run *run = mem_new(b->ctx, struct verdict_run);
    const char *name =
        mem_printf(b->ctx, "%s/%02d-%s-%s", b->dir, ++b->number, kind, text_slug(tmp, str_of(check->name), 40));
    *run = (struct verdict_run){
        .kind = kind, .check = check->name, .tree = tree, .log = mem_printf(b->ctx, "%s.log", name)};
    struct stage r = {.b = b,
                      .check = check,
                      .run = run,
                      .dir = mem_printf(tmp, "%s/tree", b->dir),
                      .setup = mem_printf(b->ctx, "%s.setup.log", name)};
    if (b->spec->on_run)
        b->spec->on_run(b->spec->arg, kind, check->name, run->log);
    unlink(run->log); /* of an attempt that a crash cut off */
    unlink(r.setup);
    enum rc rc = stage_run(tmp, &r, canary, err);
    if (path_remove_tree(r.dir, NULL) != RC_OK && rc == RC_OK)
        rc = err_set(err, RC_IO, "Could not remove the export %s", r.dir);
    if (rc != RC_OK)
        return rc;
    bench_add(b, run);
    *ret = run;
    return RC_OK;
}

/* ---- what a run says ---- */

bool run_ended(const struct verdict_run *r)
{
    return !r->signal && !r->timed_out && !r->flooded && !r->could_not_start;
}

bool run_green(const struct verdict_run *r)
{
    return run_ended(r) && r->exit_code == 0 && !r->garbled;
}

const char *run_words(mem *ctx, const struct verdict_run *r)
{
    const char *memory = r->memory_limit ? ", the memory limit was reached"
                         : r->disk_limit ? ", the disk limit was reached"
                                         : "";
    if (r->timed_out)
        return mem_printf(ctx, "timed out after %s", text_duration(ctx, r->elapsed_ns / 1000000000));
    if (r->flooded)
        return "ended because it printed too much";
    if (r->could_not_start)
        return mem_printf(ctx, "could not start (exit status %d)", r->exit_code);
    if (r->garbled && !r->signal && r->exit_code == 0)
        return "printed what is no text";
    if (r->signal)
        return mem_printf(ctx, "ended by signal %d%s", r->signal, memory);
    return mem_printf(ctx, "exit status %d%s", r->exit_code, memory);
}
