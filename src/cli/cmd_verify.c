/* nightmill verify: repeats a verdict by hand, for any commit. The user's repository is only read: objects that the
 * verdict needs are written into a private one beside it. */
#include "base/id.h"
#include "base/text.h"
#include "cli/session.h"
#include "conf/project.h"
#include "ops/place.h"
#include "os/path.h"
#include "verify/verify.h"
#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const struct argument arguments[] = {
    {.name = "COMMIT", .help = "the commit to judge: any name that git knows"},
    {0},
};
static const struct option options[] = {
    {.name = "base", .kind = OPTION_TEXT, .argument = "COMMIT", .help = "what it is compared with; else its parent"},
    {.name = "check", .kind = OPTION_TEXT, .argument = "COMMAND", .repeat = true, .help = "command that must pass"},
    {.name = "allow-check-changes",
     .kind = OPTION_TEXT,
     .argument = "GLOB",
     .repeat = true,
     .help = "protected files that the change may touch"},
    {.name = "require-proof", .help = "new tests must be red at the base and green now"},
    {.name = "no-sandbox", .help = "run without any protection"},
    {0},
};
static const struct example examples[] = {
    {"nightmill verify nightmill/7xk3m2q-add-a-json-flag --check 'make test'", "judges that branch again"},
    {"nightmill verify HEAD", "judges the last commit by the checks of the project"},
    {0},
};

struct verification {
    struct cli *cli;
    struct repo_facts repo;
    struct project project;
    struct check *checks;
    size_t check_count;
    const char *base, *candidate;
    const char *dir; /* ours, removed at the end */
    struct verdict verdict;
};

static enum rc commits_find(struct verification *v, struct err *err)
{
    mem *ctx = v->cli->ctx;
    const char *name = call_argument(&v->cli->call, 0), *base = call_value(&v->cli->call, "base");
    enum rc rc = repo_inspect(ctx, ".", &v->repo, err);
    if (!rc)
        rc = repo_resolve(ctx, v->repo.git_dir, name, &v->candidate, err);
    if (rc)
        return rc;
    rc = base ? repo_resolve(ctx, v->repo.git_dir, base, &v->base, err)
              : repo_parent(ctx, v->repo.git_dir, v->candidate, &v->base, err);
    if (!rc && !v->base)
        rc =
            err_set(err, RC_INVALID, "The commit %s has no parent; name what it is compared with: --base COMMIT", name);
    return rc;
}

/* What the base commit says about itself; the commit under judgement has no say in how it is judged. */
static enum rc project_read(struct verification *v, struct err *err)
{
    struct str text;
    mem *ctx = v->cli->ctx;
    enum rc rc = repo_blob(ctx, v->repo.git_dir, v->base, PROJECT_FILE, 256u << 10, &text, err);
    if (rc == RC_NOT_FOUND)
        text = STR("");
    else if (rc)
        return rc;
    return project_parse(ctx, text, PROJECT_FILE, &v->project, err);
}

static enum rc checks_choose(struct verification *v, struct err *err)
{
    mem *ctx = v->cli->ctx;
    int standard = (int)setting_int(v->cli->settings, "check.timeout");
    const char *const *given = call_values(ctx, &v->cli->call, "check");
    size_t n = 0;
    while (given[n])
        n++;
    if (!n && !v->project.check_count) {
        enum rc rc = check_detect(ctx, v->repo.git_dir, v->base, &v->checks, &n, err);
        v->check_count = n ? 1 : 0; /* the best of those found */
        if (v->check_count && v->checks[0].timeout_s <= 0)
            v->checks[0].timeout_s = standard;
        return rc;
    }
    v->check_count = n ? n : v->project.check_count;
    v->checks = mem_array(ctx, struct check, v->check_count);
    for (size_t i = 0; i < v->check_count; i++) {
        const struct project_check *of_project = n ? NULL : &v->project.checks[i];
        v->checks[i] = (struct check){.name = i ? mem_printf(ctx, "check-%zu", i + 1) : "check",
                                      .command = n ? given[i] : of_project->command,
                                      .timeout_s = standard,
                                      .required = true,
                                      .origin = n ? "--check" : PROJECT_FILE};
        if (!of_project)
            continue;
        v->checks[i].name = of_project->name;
        v->checks[i].required = of_project->required;
        v->checks[i].defined_in = PROJECT_FILE;
        if (of_project->timeout_s)
            v->checks[i].timeout_s = (int)of_project->timeout_s;
    }
    return RC_OK;
}

static void progress(void *arg, const char *kind, const char *check)
{
    struct verification *v = arg;
    cli_say(v->cli, "  check     %s, %s", check ? check : "", kind);
}

static struct sandbox_limits limits_of(const struct settings *set)
{
    return (struct sandbox_limits){.memory_bytes = setting_int(set, "sandbox.memory"),
                                   .processes = setting_int(set, "sandbox.processes"),
                                   .cpu_seconds = setting_int(set, "sandbox.cpu"),
                                   .file_bytes = setting_int(set, "sandbox.file_size"),
                                   .tmp_bytes = setting_int(set, "sandbox.tmp_size")};
}

/* Ctrl-C ends the check in order, so that nothing of it is left. */
static enum rc interrupt_open(int *ret_fd, struct err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    *ret_fd = signalfd(-1, &set, SFD_CLOEXEC);
    return *ret_fd < 0 ? err_sys(err, errno, "Cannot watch for signals") : RC_OK;
}

static enum rc judge(struct verification *v, int cancel_fd, struct err *err)
{
    mem *ctx = v->cli->ctx;
    struct settings *set = v->cli->settings;
    struct workspace work;
    struct buf notes;
    uid_t uid;
    gid_t gid;
    const char *data = place_data(ctx, set);
    buf_init(&notes, ctx, 65536);
    sandbox_set_uid_base((uid_t)setting_int(set, "sandbox.uid_base"));
    sandbox_owner(SANDBOX_AGENT, &uid, &gid);
    v->dir = mem_printf(ctx, "%s/verify/%s", data, id_new(ctx, 10));
    enum rc rc = path_mkdirs(v->dir, 0711, err);
    if (!rc)
        rc = workspace_open(ctx, v->dir, &v->repo, v->base, uid, gid, &work, &notes, err);
    if (rc)
        return rc;
    struct verify_spec spec = {.git_dir = work.git_dir,
                               .base = v->base,
                               .candidate = v->candidate,
                               .checks = v->checks,
                               .check_count = v->check_count,
                               .setup = v->project.setup,
                               .protect = v->project.protect,
                               .allow_changes = call_values(ctx, &v->cli->call, "allow-check-changes"),
                               .require_proof = call_has(&v->cli->call, "require-proof"),
                               .no_sandbox = call_has(&v->cli->call, "no-sandbox"),
                               .work_dir = mem_printf(ctx, "%s/verify", v->dir),
                               .cache_dir = mem_printf(ctx, "%s/cache", data),
                               .feedback_max = (size_t)setting_int(set, "check.feedback"),
                               .limits = limits_of(set),
                               .cancel_fd = cancel_fd,
                               .on_run = progress,
                               .arg = v};
    return verify_commit(ctx, &spec, &v->verdict, err);
}

static void verdict_print(struct verification *v, int status)
{
    struct cli *cli = v->cli;
    const struct verdict *verdict = &v->verdict;
    struct buf b;
    struct json_out o;
    buf_init(&b, cli->ctx, SIZE_MAX);
    if (cli->json) {
        json_out_init(&o, &b);
        verdict_json(verdict, &o);
        cli_document(cli, "verdict", buf_view(&b), status);
        return;
    }
    bool proven = verdict->outcome == VERDICT_PROVEN;
    const char *lines[] = {verdict->proof_words, verdict->canary_words, verdict->user_words};
    buf_printf(&b, "%s  %.12s: %s\n",
               screen_paint(cli->ctx, &cli->out, proven ? TONE_GOOD : TONE_BAD,
                            proven ? "proven" : reason_name(verdict->reason)),
               v->candidate, text_terminal(cli->ctx, str_of(verdict->words)));
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (lines[i] && *lines[i])
            buf_printf(&b, "  %s\n", text_terminal(cli->ctx, str_of(lines[i])));
    for (const char *const *p = verdict->protected_changed; p && *p; p++)
        buf_printf(&b, "  protected file changed: %s\n", text_terminal_line(cli->ctx, str_of(*p), 400));
    if (!proven && verdict->feedback.n)
        buf_printf(&b, "\n%s\n", text_terminal(cli->ctx, str_trim(verdict->feedback)));
    cli_answer(cli, buf_view(&b));
}

static int run(struct cli *cli)
{
    struct err err = {0};
    struct verification v = {.cli = cli};
    CLEANUP_FD int cancel_fd = -1;
    enum rc rc = cli_settings(cli, &err);
    if (!rc)
        rc = commits_find(&v, &err);
    if (!rc)
        rc = project_read(&v, &err);
    if (!rc)
        rc = checks_choose(&v, &err);
    if (!rc)
        rc = interrupt_open(&cancel_fd, &err);
    if (rc)
        return cli_fail(cli, &err);
    cli_say(cli, "Verdict of %.12s against %.12s", v.candidate, v.base);
    rc = judge(&v, cancel_fd, &err);
    if (v.dir)
        (void)!path_remove_tree(v.dir, NULL);
    if (rc)
        return cli_fail(cli, &err);
    int status = v.verdict.outcome == VERDICT_PROVEN ? EXIT_DONE : EXIT_NOT_GREEN;
    verdict_print(&v, status);
    return status;
}

const struct command command_verify = {
    .name = "verify",
    .summary = "judge a commit by the checks, as a task would be",
    .details =
        "The checks run in fresh sandboxes on exported files. The exit status is 0 when it is proven, 6 otherwise.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};
