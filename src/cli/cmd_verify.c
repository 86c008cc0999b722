/* nightmill verify: repeats a verdict by hand, for any commit. The user's repository is only read: objects that the
 * verdict needs are written into a private one beside it. */
#include "base/text.h"
#include "cli/session.h"
#include "ops/judge.h"
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

static void progress(void *arg, const char *kind, const char *check, const char *log)
{
    (void)log;
    cli_say(arg, "  check     %s, %s", check ? check : "", kind);
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

static void verdict_print(struct cli *cli, const struct verdict *verdict, const char *commit, const char *base,
                          int status)
{
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
    buf_printf(&b, "%s  %.12s against %.12s: %s\n",
               screen_paint(cli->ctx, &cli->out, proven ? TONE_GOOD : TONE_BAD,
                            proven ? "proven" : reason_name(verdict->reason)),
               commit, base, text_terminal(cli->ctx, str_of(verdict->words)));
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
    struct verdict verdict = {0};
    const char *commit, *base;
    CLEANUP_FD int cancel_fd = -1;
    enum rc rc = cli_settings(cli, &err);
    if (!rc)
        rc = interrupt_open(&cancel_fd, &err);
    struct judge_wish wish = {.dir = ".",
                              .commit = call_argument(&cli->call, 0),
                              .base = call_value(&cli->call, "base"),
                              .checks = call_values(cli->ctx, &cli->call, "check"),
                              .allow_check_changes = call_values(cli->ctx, &cli->call, "allow-check-changes"),
                              .require_proof = call_has(&cli->call, "require-proof"),
                              .no_sandbox = call_has(&cli->call, "no-sandbox"),
                              .cancel_fd = cancel_fd,
                              .on_run = progress,
                              .arg = cli};
    if (!rc)
        rc = judge_commit(cli->ctx, cli->settings, &wish, &verdict, &commit, &base, &err);
    if (rc)
        return cli_fail(cli, &err);
    int status = verdict.outcome == VERDICT_PROVEN ? EXIT_DONE : EXIT_NOT_GREEN;
    verdict_print(cli, &verdict, commit, base, status);
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
