/* In place of the rooms `repo` and `sandbox`, what the agent calls of them: trees of a workspace are copies in memory,
 * and commands run without a sandbox. */
#pragma once
#include "agent/work.h"
#include "base/text.h"
#include "crypt/hash.h"
#include "os/path.h"
#include "os/proc.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Files are handed over at every turn when this is set; the hands must be the right ones for what is done. */
static bool hands_over;
static enum { OURS, THEIRS } hands;
static int quiets; /* since the last command */

/* --- workspace: trees are lists of files, named by their hash --- */

struct file {
    const char *path;
    struct str contents;
    mode_t mode;
    bool link;
    struct file *next;
};
struct tree {
    char name[HASH_SHA256_HEX];
    struct file *first, *last;
    struct tree *next;
};
struct look {
    mem *ctx;
    int root;
    struct tree *tree;
    struct buf all;
};
static mem *trees_ctx;
static struct tree *trees;

static int look_visit(void *arg, const char *path, enum path_kind kind, const struct stat *st)
{
    struct look *l = arg;
    if (kind != PATH_FILE && kind != PATH_LINK)
        return 0;
    struct file *f = mem_new(l->ctx, struct file);
    f->path = mem_str(l->ctx, path);
    f->mode = st->st_mode & 0777;
    f->link = kind == PATH_LINK;
    int64_t size;
    if (f->link) {
        char target[4096];
        ssize_t n = readlinkat(l->root, path, target, sizeof target);
        ck_assert_int_ge(n, 0);
        f->contents = str_of(mem_strn(l->ctx, target, (size_t)n));
    } else {
        ck_assert_int_eq(path_read(l->ctx, l->root, path, 64 << 20, &f->contents, &size, NULL), RC_OK);
    }
    if (l->tree->last)
        l->tree->last->next = f;
    else
        l->tree->first = f;
    l->tree->last = f;
    buf_printf(&l->all, "%s\n%o %d %zu\n", path, (unsigned)f->mode & (f->link ? 0 : 0100), f->link, f->contents.n);
    buf_str(&l->all, f->contents);
    return 0;
}

static struct tree *tree_look(const char *dir)
{
    if (!trees_ctx)
        trees_ctx = mem_root();
    CLEANUP_FD int root = -1;
    ck_assert_int_eq(path_open_root(dir, &root, NULL), RC_OK);
    struct look l = {.ctx = trees_ctx, .root = root, .tree = mem_new(trees_ctx, struct tree)};
    buf_init(&l.all, trees_ctx, 200 << 20);
    ck_assert_int_eq(path_walk(root, "", look_visit, &l, NULL), RC_OK);
    hash_sha256_hex(buf_view(&l.all), l.tree->name);
    buf_done(&l.all);
    l.tree->next = trees;
    return trees = l.tree;
}

enum rc workspace_tree(mem *ctx, const struct workspace *w, const char **ret_tree, struct buf *notes, struct err *err)
{
    (void)notes, (void)err;
    ck_assert(!hands_over || hands == OURS);
    *ret_tree = mem_str(ctx, tree_look(w->dir)->name);
    return RC_OK;
}

static int restores;
enum rc workspace_restore(const struct workspace *w, const char *name, struct err *err)
{
    struct tree *t = trees;
    while (t && strcmp(t->name, name) != 0)
        t = t->next;
    if (!t)
        return err_set(err, RC_NOT_FOUND, "no tree %s", name);
    restores++;
    ck_assert(!hands_over || hands == OURS);
    ck_assert_int_eq(path_remove_tree(w->dir, NULL), RC_OK);
    ck_assert_int_eq(mkdir(w->dir, 0755), 0);
    CLEANUP_FD int root = -1;
    ck_assert_int_eq(path_open_root(w->dir, &root, NULL), RC_OK);
    for (struct file *f = t->first; f; f = f->next) {
        ck_assert_int_eq(path_write(root, f->path, f->contents, f->mode, (uid_t)-1, (gid_t)-1, NULL), RC_OK);
        if (f->link) {
            ck_assert_int_eq(unlinkat(root, f->path, 0), 0);
            ck_assert_int_eq(symlinkat(f->contents.p, root, f->path), 0);
        }
    }
    return RC_OK;
}

/* --- sandbox: plain commands in the folder --- */

struct sandbox {
    const char *dir;
    int runs;
    int fail_from; /* runs from this number on fail as if the sandbox had ended; 0: never */
};

enum rc sandbox_run(mem *ctx, struct sandbox *sb, const struct sandbox_command *cmd, struct sandbox_result *ret,
                    struct err *err)
{
    sb->runs++;
    quiets = 0;
    ck_assert(!hands_over || hands == THEIRS);
    const char *argv[] = {"/bin/sh", "-c", cmd->shell, NULL}, *env[] = {"PATH=/usr/bin:/bin", NULL};
    struct proc_spec spec = {
        .argv = argv, .env = env, .cwd = sb->dir, .fds = {-1, -1, -1}, .fd_count = 3, .new_session = true};
    struct proc_result r;
    *ret = (struct sandbox_result){0};
    enum rc rc = proc_run(ctx, &spec, STR(""), 1 << 20, cmd->timeout_ms, cmd->cancel_fd, &r, err);
    if (rc)
        return rc;
    if (sb->fail_from && sb->runs >= sb->fail_from) /* after it had its effects */
        return err_set(err, RC_UNAVAILABLE, "The sandbox ended");
    if (r.cancelled)
        return err_set(err, RC_CANCELLED, "cancelled");
    struct buf out;
    buf_init(&out, ctx, 4 << 20);
    buf_str(&out, r.out);
    buf_str(&out, r.err);
    ret->exit_code = r.exit_code;
    ret->signal = r.signal;
    ret->timed_out = r.timed_out;
    ret->out_bytes = (int64_t)out.n;
    if (cmd->out_fd >= 0)
        ck_assert_int_eq(write(cmd->out_fd, out.p ? out.p : "", out.n), (ssize_t)out.n);
    ret->out = str_of(text_middle(ctx, buf_view(&out), cmd->keep));
    return RC_OK;
}

enum rc sandbox_quiet(struct sandbox *sb, struct err *err)
{
    (void)sb, (void)err;
    quiets++;
    return RC_OK;
}

bool sandbox_hands_over(const struct sandbox *sb)
{
    (void)sb;
    return hands_over;
}

enum rc sandbox_give(const char *dir, enum sandbox_user user, struct err *err)
{
    (void)dir, (void)user, (void)err;
    hands = THEIRS;
    return RC_OK;
}

enum rc sandbox_take(const char *dir, struct err *err)
{
    (void)dir, (void)err;
    hands = OURS;
    return RC_OK;
}

/* A world whose commands run in its folder. */
static void rooms_open(struct agent_spec *spec, mem *ctx, const char *dir)
{
    struct sandbox *sb = mem_new(ctx, struct sandbox);
    sb->dir = dir;
    spec->sandbox = sb;
}

static void rooms_close(void)
{
    trees = NULL;
    trees_ctx = mem_free(trees_ctx);
}
