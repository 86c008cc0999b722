/* Private to src/repo: one call of the git program, hardened.
 *
 * Every call names its repository (GIT_DIR), so that git looks for none. The environment is made from nothing, the
 * files of system and user configuration are switched off, and everything in a repository's own configuration that can
 * start a program is overridden from the command scope, which wins over every file. What has a name of the repository's
 * choosing (filter.<name>.clean, ...) cannot be listed beforehand: git_guard() reads those names from a repository that
 * is not ours. git reports an object that is missing; it never fetches it. Threads: main thread of a small process. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "os/proc.h"

enum {
    GIT_QUICK_MS = 60 * 1000,        /* reads of names and single objects */
    GIT_LONG_MS = 15 * 60 * 1000,    /* what walks or writes whole trees */
    GIT_SMALL_OUT = 64 * 1024,       /* output of commands that answer in lines */
    GIT_BIG_OUT = 160 * 1024 * 1024, /* lists of whole trees: about a million files */
};

struct git {
    const char *git_dir;      /* NULL: none */
    const char *work_tree;    /* NULL: none; else also the current folder */
    const char *index;        /* NULL: the repository's own */
    const char *const *guard; /* more configuration: key, value, ..., NULL; may be NULL */
    const char *const *env;   /* more environment, NULL-terminated; may be NULL */
    struct str input;         /* standard input */
    int in_fd, out_fd;        /* instead of input and collected output; 0: not */
    size_t max_out;           /* 0: GIT_SMALL_OUT */
    int timeout_ms;           /* 0: GIT_QUICK_MS */
    bool pathspecs;           /* paths may be patterns (a command that cannot do without) */
    bool writes;              /* may take locks that are not necessary (refreshing an index) */
    bool outlives;            /* goes on when we are killed: half of a change of somebody else's files is worse */
};
#define GIT_ARGS(...) ((const char *const[]){"git", __VA_ARGS__, NULL})

/* Runs; RC_OK with any exit status, look at the result. An end by signal, a time limit or cut output is an error. */
MUST_USE enum rc git_run(mem *ctx, const struct git *g, const char *const *args, struct proc_result *ret,
                         struct err *err);
/* As git_run, and any exit status but 0 is an error: "Could not <purpose>", git's own words as detail. *ret_out in ctx
 * (may be NULL). */
MUST_USE enum rc git_do(mem *ctx, const struct git *g, const char *purpose, const char *const *args,
                        struct str *ret_out, struct err *err);
/* As git_do, and the output is one line, without its end. */
MUST_USE enum rc git_line(mem *ctx, const struct git *g, const char *purpose, const char *const *args, const char **ret,
                          struct err *err);
/* Fills a spec for proc_start (argv, env with PATH first, cwd; in ctx), for callers that stream. */
void git_spec(mem *ctx, const struct git *g, const char *const *args, struct proc_spec *ret);
/* Error for a git that ended with `status` words on standard error. Returns its rc. */
enum rc git_failed(struct err *err, const char *purpose, struct str words);

/* Configuration that switches off every program that a repository's own configuration names: for struct git's `guard`.
 */
MUST_USE enum rc git_guard(mem *ctx, const char *git_dir, const char *const **ret, struct err *err);

bool git_is_oid(const char *z); /* 40 or 64 lower-case hex digits */
/* A revision or branch name that cannot be taken for an option and holds no control bytes. RC_INVALID. */
MUST_USE enum rc git_name_check(const char *name, struct err *err);
/* Whether a path (or one part of it) can stand in a tree of git's own making: no empty part, ".", ".." or ".git". */
bool git_path_allowed(const char *path);
bool git_part_allowed(struct str part);
/* A name from a repository made fit for an error or a note: one line, no control bytes, in ctx. */
const char *git_show(mem *ctx, const char *name);
/* A fresh folder of our own for temporary files, in ctx; remove it with path_remove_tree. */
MUST_USE enum rc git_temp_dir(mem *ctx, const char **ret, struct err *err);
