/* nightmill diff: what a task changed. Read from the task's own repository, also before anything is delivered. */
#include "base/text.h"
#include "cli/session.h"
#include "repo/repo.h"
#include <unistd.h>

enum { DIFF_MOST = 32 << 20 };

static const struct argument arguments[] = {
    {.name = "TASK", .help = "the task whose change is shown", .complete = COMPLETE_TASK},
    {0},
};
static const struct option options[] = {
    {.name = "stat", .help = "names of files and numbers of lines alone"},
    {.name = "iteration",
     .kind = OPTION_COUNT,
     .argument = "N",
     .min = 1,
     .max = 100000,
     .help = "as it was after this iteration"},
    {0},
};
static const struct example examples[] = {
    {"nightmill diff 7xk3m2q", "the whole change against its base"},
    {"nightmill diff 7xk3m2q --iteration 2 --stat", "which files differed after the second iteration"},
    {0},
};

/* The commit to show: of an iteration, else what was delivered, else the newest iteration that left one. */
static enum rc commit_find(struct cli *cli, struct json task, const char *git_dir, const char **ret, struct err *err)
{
    int64_t wanted = call_number(&cli->call, "iteration", 0);
    int64_t newest = wanted ? wanted : json_int(json_get(task, "iteration"), 0);
    const char *delivered = json_z(cli->ctx, json_get(task, "commit"), NULL);
    if (!wanted && delivered)
        return repo_resolve(cli->ctx, git_dir, delivered, ret, err);
    for (int64_t i = newest; i > 0 && (!wanted || i == wanted); i--) {
        char *ref = mem_printf(cli->ctx, "refs/nightmill/iteration/%lld", (long long)i);
        if (repo_resolve(cli->ctx, git_dir, ref, ret, NULL) == RC_OK)
            return RC_OK;
    }
    if (wanted)
        return err_set(err, RC_NOT_FOUND, "Iteration %lld of this task has left no commit", (long long)wanted);
    return err_set(err, RC_NOT_FOUND, "The task has not changed anything yet");
}

static void changes_json(struct json_out *o, const struct repo_change *changes, size_t n)
{
    jo_key(o, "files");
    jo_arr(o);
    for (size_t i = 0; i < n; i++) {
        jo_obj(o);
        jo_kz(o, "path", changes[i].path);
        jo_ks(o, "status", str_n(&changes[i].status, 1));
        jo_ki(o, "added", changes[i].added);
        jo_ki(o, "removed", changes[i].removed);
        jo_end_obj(o);
    }
    jo_end_arr(o);
}

static void changes_print(struct cli *cli, const struct repo_change *changes, size_t n)
{
    struct buf b;
    buf_init(&b, cli->ctx, SIZE_MAX);
    for (size_t i = 0; i < n; i++) {
        const char *path = text_terminal_line(cli->ctx, str_of(changes[i].path), 1000);
        if (changes[i].added < 0)
            buf_printf(&b, "%c  binary        %s\n", changes[i].status, path);
        else
            buf_printf(&b, "%c  +%-5lld -%-5lld %s\n", changes[i].status, (long long)changes[i].added,
                       (long long)changes[i].removed, path);
    }
    cli_answer(cli, buf_view(&b));
}

static void diff_print(struct cli *cli, struct str diff)
{
    struct buf b;
    struct str line;
    buf_init(&b, cli->ctx, SIZE_MAX);
    while (str_line(&diff, &line)) {
        CLEANUP_MEM mem *tmp = mem_root();
        enum tone tone = TONE_PLAIN;
        if (str_starts(line, STR("diff --git")) || str_starts(line, STR("+++")) || str_starts(line, STR("---")))
            tone = TONE_STRONG;
        else if (str_starts(line, STR("@@")))
            tone = TONE_FAINT;
        else if (line.n && line.p[0] == '+')
            tone = TONE_GOOD;
        else if (line.n && line.p[0] == '-')
            tone = TONE_BAD;
        buf_printf(&b, "%s\n", screen_paint(tmp, &cli->out, tone, text_terminal(tmp, line)));
    }
    cli_answer(cli, buf_view(&b));
}

static enum rc change_read(struct cli *cli, struct json task, const char **ret_commit, struct repo_change **ret_changes,
                           size_t *ret_n, struct str *ret_diff, struct err *err)
{
    const char *folder = json_z(cli->ctx, json_get(task, "folder"), ""),
               *base = json_z(cli->ctx, json_get(task, "base"), "");
    const char *git_dir = mem_printf(cli->ctx, "%s/git", folder);
    if (access(git_dir, R_OK) < 0)
        return err_set(err, RC_NOT_FOUND,
                       "The task has no workspace: it has not begun, or its files were cleared away");
    enum rc rc = commit_find(cli, task, git_dir, ret_commit, err);
    if (!rc)
        rc = repo_changes(cli->ctx, git_dir, base, *ret_commit, ret_changes, ret_n, err);
    if (!rc && !call_has(&cli->call, "stat"))
        rc = repo_diff(cli->ctx, git_dir, base, *ret_commit, NULL, DIFF_MOST, ret_diff, err);
    return rc;
}

static int run(struct cli *cli)
{
    struct err err = {0};
    struct json task;
    struct repo_change *changes = NULL;
    size_t n = 0;
    struct str diff = {0};
    const char *commit = NULL;
    enum rc rc = cli_task(cli, &task, &err);
    if (!rc)
        rc = change_read(cli, task, &commit, &changes, &n, &diff, &err);
    if (rc)
        return cli_fail(cli, &err);
    if (!cli->json) {
        if (call_has(&cli->call, "stat"))
            changes_print(cli, changes, n);
        else
            diff_print(cli, diff);
        return EXIT_DONE;
    }
    struct buf b;
    struct json_out o;
    buf_init(&b, cli->ctx, SIZE_MAX);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "base", json_z(cli->ctx, json_get(task, "base"), NULL));
    jo_kz(&o, "commit", commit);
    changes_json(&o, changes, n);
    if (diff.p)
        jo_ks(&o, "diff", diff);
    jo_end_obj(&o);
    cli_document(cli, "diff", buf_view(&b), -1);
    return EXIT_DONE;
}

const struct command command_diff = {
    .name = "diff",
    .summary = "show what a task changed",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};
