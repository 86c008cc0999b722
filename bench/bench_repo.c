/* What a workspace costs, beside what git takes for the same: ready from a spare and without one, snapshots of
 * unchanged files, exports.
 *
 *   bench_repo [FOLDER]   works in a new folder below FOLDER (/var/tmp) and removes it
 *
 * Prints one line a figure: name, median of the rounds, unit, and a remark, separated by tabs. What is compared
 * alternates within a round, since the disk and the neighbours change from second to second. Nothing is removed before
 * the end: some file systems are slow to give away what was just freed. */
#include "base/clock.h"
#include "os/path.h"
#include "os/proc.h"
#include "repo/repo.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROUNDS = 7, FOLDERS = 250, FILES_EACH = 20 };

static mem *ctx;
static const char *top;
static struct err err;
static struct repo_facts facts;

static void need(enum rc rc, const char *what)
{
    if (rc == RC_OK)
        return;
    fprintf(stderr, "bench_repo: %s: %s %s\n", what, err.sentence, err.detail);
    exit(1);
}

static const char *at(const char *name)
{
    return mem_printf(ctx, "%s/%s", top, name);
}

static void sh(const char *script)
{
    struct proc_spec spec = {.argv = (const char *const[]){"/bin/sh", "-ec", script, NULL},
                             .env = (const char *const[]){"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/nonexistent",
                                                          "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=b",
                                                          "GIT_AUTHOR_EMAIL=b@b", "GIT_COMMITTER_NAME=b",
                                                          "GIT_COMMITTER_EMAIL=b@b", NULL},
                             .cwd = top};
    struct proc_result res;
    need(proc_run(ctx, &spec, STR(""), 65536, -1, -1, &res, &err), script);
    if (res.exit_code != 0) {
        fprintf(stderr, "bench_repo: %s: %.*s\n", script, STR_FMT(res.err));
        exit(1);
    }
}

static void project_make(void)
{
    char text[16384];
    srand(1);
    sh("git init -q -b main r");
    for (int d = 0; d < FOLDERS; d++) {
        const char *dir = at(mem_printf(ctx, "r/d%d/e%d", d / 25, d));
        need(path_mkdirs(dir, 0755, &err), "folder");
        for (int f = 0; f < FILES_EACH; f++) {
            size_t n = 500 + (size_t)rand() % 11000;
            for (size_t i = 0; i < n; i++)
                text[i] = "abcdefghij \n"[rand() % 12];
            FILE *out = fopen(mem_printf(ctx, "%s/f%d.c", dir, f), "w");
            if (!out || fwrite(text, 1, n, out) != n || fclose(out) != 0)
                exit(1);
        }
    }
    sh("cd r; git add -A; git commit -qm One; git gc -q; echo x >>d0/e0/f0.c; git commit -qam Two");
    need(repo_inspect(ctx, at("r"), &facts, &err), "inspect");
}

static int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v)
{
    qsort(v, ROUNDS, sizeof *v, order);
    return v[ROUNDS / 2];
}

static double since(int64_t start)
{
    return (double)(clock_mono_ns() - start) / 1e6;
}

static void line(const char *name, double *v, double *base, const char *words)
{
    double m = median(v), b = base ? median(base) : 0;
    printf("%s\t%.1f\tms\t%.1f to %.1f", name, m, v[0], v[ROUNDS - 1]);
    if (base)
        printf("; %.2f of %s (%.1f ms)", m / b, words, b);
    printf("\n");
}

int main(int argc, char **argv)
{
    ctx = mem_root();
    char *dir = mem_printf(ctx, "%s/nightmill-bench-repo-XXXXXX", argc > 1 ? argv[1] : "/var/tmp");
    if (!mkdtemp(dir))
        return 1;
    top = dir;
    project_make();
    static double plain[ROUNDS], spare[ROUNDS], moved[ROUNDS], tree[ROUNDS], out[ROUNDS], wt[ROUNDS], clone[ROUNDS],
        status[ROUNDS];
    const char *before;
    need(repo_parent(ctx, facts.git_dir, facts.head, &before, &err), "parent");
    for (int i = 0; i < ROUNDS; i++) {
        struct workspace w;
        const char *id;
        int64_t t;
        workspace_set_cache(NULL);
        t = clock_mono_ns();
        need(workspace_open(ctx, at(mem_printf(ctx, "p%d", i)), &facts, facts.head, getuid(), getgid(), &w, NULL, &err),
             "open");
        plain[i] = since(t);
        t = clock_mono_ns();
        sh(mem_printf(ctx, "git -C r worktree add -q --detach ../w%d", i));
        wt[i] = since(t);
        t = clock_mono_ns();
        sh(mem_printf(ctx, "git clone -q -s r c%d", i));
        clone[i] = since(t);
        workspace_set_cache(at("cache"));
        for (int k = 0; k < 2; k++) {
            need(workspace_stock(&facts, k ? before : facts.head, getuid(), getgid(), &err), "stock");
            t = clock_mono_ns();
            need(workspace_open(ctx, at(mem_printf(ctx, "s%d-%d", i, k)), &facts, facts.head, getuid(), getgid(), &w,
                                NULL, &err),
                 "open");
            (k ? moved : spare)[i] = since(t);
        }
        need(workspace_tree(ctx, &w, &id, NULL, &err), "tree"); /* what is too young for the index is settled here */
        t = clock_mono_ns();
        need(workspace_tree(ctx, &w, &id, NULL, &err), "tree");
        tree[i] = since(t);
        sh(mem_printf(ctx, "git -C w%d status --porcelain", i));
        t = clock_mono_ns();
        sh(mem_printf(ctx, "git -C w%d status --porcelain", i));
        status[i] = since(t);
        t = clock_mono_ns();
        need(repo_export(facts.git_dir, facts.head, at(mem_printf(ctx, "e%d", i)), getuid(), getgid(), &err), "export");
        out[i] = since(t);
    }
    line("workspace_spare", spare, wt, "git worktree add");
    line("workspace_spare_other", moved, wt, "git worktree add");
    line("workspace_made", plain, wt, "git worktree add");
    line("workspace_made_clone", plain, clone, "git clone -s");
    line("snapshot_unchanged", tree, status, "git status");
    line("export", out, wt, "git worktree add");
    need(path_remove_tree(top, &err), "clean up");
    mem_free(ctx);
    return 0;
}
