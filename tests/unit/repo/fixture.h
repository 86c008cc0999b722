/* Shared by the tests of src/repo: a temporary folder, a real git to build repositories with, and short checks. */
#pragma once
#include "base/clock.h"
#include "os/path.h"
#include "os/proc.h"
#include "repo/repo.h"
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORK "task/work" /* the files of the workspace of a task called "task" */

static mem *ctx;
static struct err err;
static char *top; /* temporary folder */

#define OK(call)      ck_assert_msg((call) == RC_OK, "%s | %s | %s", err.sentence, err.detail, err.hint)
#define IS(call, rc_) ck_assert_str_eq(rc_name(call), rc_name(rc_))
#define SAME(a, b)    ck_assert_str_eq((a), (b))

static inline const char *at(const char *name)
{
    return mem_printf(ctx, "%s/%s", top, name);
}

/* Runs a script with git's identity and a fixed date, in the temporary folder; its output without the last newline. */
__attribute__((format(printf, 1, 2))) static inline const char *sh(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *script = mem_vprintf(ctx, fmt, ap);
    va_end(ap);
    const char *home = mem_printf(ctx, "HOME=%s/home", top);
    struct proc_spec spec = {.argv = (const char *const[]){"/bin/sh", "-ec", script, NULL},
                             .env = (const char *const[]){"PATH=/usr/local/bin:/usr/bin:/bin", home,
                                                          "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=Ann",
                                                          "GIT_AUTHOR_EMAIL=ann@example.org", "GIT_COMMITTER_NAME=Ann",
                                                          "GIT_COMMITTER_EMAIL=ann@example.org",
                                                          "GIT_AUTHOR_DATE=2026-05-04T03:02:01Z",
                                                          "GIT_COMMITTER_DATE=2026-05-04T03:02:01Z", NULL},
                             .cwd = top};
    struct proc_result res;
    OK(proc_run(ctx, &spec, STR(""), 8 << 20, 100000, -1, &res, &err));
    ck_assert_msg(res.exit_code == 0, "%s\n%.*s", script, STR_FMT(res.err));
    while (res.out.n && res.out.p[res.out.n - 1] == '\n')
        res.out.n--;
    return str_dup(ctx, res.out);
}

static inline void fixture_setup(void)
{
    ctx = mem_root();
    memset(&err, 0, sizeof err);
    top = mem_str(ctx, "/tmp/test_repo.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(top));
    ck_assert_int_eq(chmod(top, 0755), 0);
    /* What a person's own configuration looks like; the room must not see it but for the identity. */
    sh("mkdir home; git config -f home/.gitconfig user.name 'Ann Other'; "
       "git config -f home/.gitconfig user.email ann@example.org; "
       "git config -f home/.gitconfig init.defaultBranch main");
    setenv("HOME", at("home"), 1);
    setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
    unsetenv("XDG_CONFIG_HOME");
}

static inline void fixture_teardown(void)
{
    OK(path_remove_tree(top, &err));
    mem_free(ctx);
}

/* A repository `name` with a few files and two commits on main. */
static inline void repo_make(const char *name)
{
    sh("git init -q -b main %s; cd %s; mkdir -p src/deep; echo one >a.txt; printf 'int x;\\n' >src/x.c; "
       "echo deep >src/deep/d.txt; echo '*.o' >.gitignore; echo run >tool; chmod 755 tool; ln -s a.txt link; "
       "git add -A; git commit -qm First; echo two >>a.txt; git commit -qam 'Second: more'",
       name, name);
}

static inline struct repo_facts inspect(const char *name)
{
    struct repo_facts f;
    OK(repo_inspect(ctx, at(name), &f, &err));
    return f;
}

static inline const char *slurp(const char *name)
{
    struct str s;
    OK(path_slurp(ctx, at(name), 1 << 20, &s, &err));
    return s.p;
}

static inline void put(const char *name, const char *text)
{
    FILE *f = fopen(at(name), "w");
    ck_assert_msg(f && fputs(text, f) >= 0 && fclose(f) == 0, "%s", name);
}

static inline bool exists(const char *name)
{
    struct stat st;
    return lstat(at(name), &st) == 0;
}

static inline int suite_run(Suite *s)
{
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
