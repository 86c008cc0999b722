/* Small sample projects in real git repositories, judged in the real sandbox: shared by the tests of verdicts. A test
 * program keeps one folder for all its tests, so that runs at the base are kept between them as they are between
 * iterations. Not a test by itself. */
#pragma once
#include "base/log.h"
#include "base/text.h"
#include "os/path.h"
#include "os/proc.h"
#include "verify/private.h"
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct file { /* text NULL: removed; mode 0: 0644, 0120000: a link to `text` */
    const char *path, *text;
    unsigned mode;
};
struct project {
    const char *name, *command;
    const char *needs; /* program without which the tests are skipped */
    struct file files[12];
};

static char sample_dir[64];

static const char *git_run(mem *ctx, const char *dir, const char *const *args)
{
    static const char *const env[] = {"PATH=/usr/local/bin:/usr/bin:/bin",
                                      "HOME=/nonexistent",
                                      "GIT_CONFIG_GLOBAL=/dev/null",
                                      "GIT_CONFIG_NOSYSTEM=1",
                                      "GIT_AUTHOR_NAME=A",
                                      "GIT_AUTHOR_EMAIL=a@example.org",
                                      "GIT_COMMITTER_NAME=A",
                                      "GIT_COMMITTER_EMAIL=a@example.org",
                                      NULL};
    const char *argv[16] = {"git"};
    for (size_t i = 0; args[i]; i++)
        argv[i + 1] = args[i];
    struct proc_spec spec = {.argv = argv, .env = env, .cwd = dir, .new_session = true};
    struct proc_result r = {0};
    struct err err = {0};
    ck_assert_msg(proc_run(ctx, &spec, STR(""), 1 << 20, 60000, -1, &r, &err) == RC_OK, "%s %s", err.sentence,
                  err.detail);
    ck_assert_msg(r.exit_code == 0, "git %s: %.*s", args[0], STR_FMT(r.err));
    return str_dup(ctx, str_trim(r.out));
}
#define GIT(...) git_run(ctx, dir, (const char *const[]){__VA_ARGS__, NULL})

static void file_put(mem *ctx, const char *dir, const struct file *f)
{
    const char *path = mem_printf(ctx, "%s/%s", dir, f->path), *slash = strrchr(path, '/');
    struct err err = {0};
    if (!f->text || f->mode == 0120000)
        ck_assert_msg(path_remove_tree(path, &err) == RC_OK, "%s", err.sentence);
    if (!f->text)
        return;
    ck_assert(path_mkdirs(mem_strn(ctx, path, (size_t)(slash - path)), 0755, &err) == RC_OK);
    if (f->mode == 0120000) {
        ck_assert_int_eq(symlink(f->text, path), 0);
        return;
    }
    FILE *out = fopen(path, "w");
    ck_assert_ptr_nonnull(out);
    fputs(f->text, out);
    fclose(out);
    chmod(path, f->mode ? f->mode : 0644);
}

struct sample {
    const char *git_dir, *base, *candidate, *work_dir;
};

__attribute__((unused)) static struct sample sample_new(mem *ctx, const struct project *p, const struct file *change)
{
    const char *dir = mem_printf(ctx, "%s/%s-XXXXXX", sample_dir, p->name);
    ck_assert_ptr_nonnull(mkdtemp((char *)dir));
    struct sample s = {.git_dir = mem_printf(ctx, "%s/.git", dir), .work_dir = mem_printf(ctx, "%s.work", dir)};
    GIT("init", "-q", "-b", "main");
    for (const struct file *f = p->files; f->path; f++)
        file_put(ctx, dir, f);
    GIT("add", "-A");
    GIT("commit", "-q", "-m", "base");
    s.base = GIT("rev-parse", "HEAD");
    for (const struct file *f = change; f && f->path; f++)
        file_put(ctx, dir, f);
    GIT("add", "-A");
    GIT("commit", "-q", "--allow-empty", "-m", "change");
    s.candidate = GIT("rev-parse", "HEAD");
    return s;
}

__attribute__((unused)) static struct verify_spec sample_spec(mem *ctx, const struct sample *s,
                                                              const struct check *checks, size_t n)
{
    return (struct verify_spec){.git_dir = s->git_dir,
                                .base = s->base,
                                .candidate = s->candidate,
                                .checks = checks,
                                .check_count = n,
                                .work_dir = s->work_dir,
                                .cache_dir = mem_printf(ctx, "%s/cache", sample_dir),
                                .cancel_fd = -1};
}

__attribute__((unused)) static bool sample_program(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "/usr/bin/%s", name);
    return access(path, X_OK) == 0;
}

__attribute__((unused)) static const char *verdict_text(mem *ctx, const struct verdict *v)
{
    struct buf b;
    struct json_out out;
    buf_init(&b, ctx, 4 << 20);
    json_out_init(&out, &b);
    verdict_json(v, &out);
    return buf_take(&b, ctx);
}

/* What a failing test should tell, in the length that Check bears. */
__attribute__((unused)) static const char *verdict_told(mem *ctx, const struct verdict *v)
{
    return text_middle(ctx, str_of(verdict_text(ctx, v)), 3000);
}

/* Runs the suite of a test program that needs the sandbox. The program serves as the sandbox's init too. */
static int sample_main(int argc, char **argv, Suite *(*suite)(void))
{
    if (argc > 1 && strcmp(argv[1], "init") == 0)
        return sandbox_init_main(argc, argv);
    log_open("test", LOG_ERROR);
    mem *tmp = mem_root();
    setenv("NIGHTMILL_PROGRAM", proc_self(tmp), 1);
    mem_free(tmp); /* the tests are forked from here */
    if (!sandbox_probe()->works) {
        printf("skipped: this machine has no sandbox: %s\n", sandbox_probe()->problem.sentence);
        return 77;
    }
    snprintf(sample_dir, sizeof sample_dir, "/tmp/nightmill-verify-XXXXXX");
    if (!mkdtemp(sample_dir))
        return 1;
    SRunner *r = srunner_create(suite());
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    if (path_remove_tree(sample_dir, NULL) != RC_OK)
        printf("could not remove %s\n", sample_dir);
    return failed ? 1 : 0;
}
