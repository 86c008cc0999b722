/* How a run of an agent ended, from what is known of it. Pure.
 *
 * What the driver did itself is certain. Then the repository counts before any word, the agent's own end before its
 * single refusals, and the exit status last: several agents end with 0 after an error. Whether the change is right is
 * not judged here; that is the verifier's. */
#include "agent/backend.h"
#include <signal.h>

/* A program killed inside a shell or launcher shows as 128 and the signal's number. Only signals that end programs
 * count: some agents end with an HTTP status modulo 256. */
static int signal_of(const struct backend_ending *e)
{
    static const int ends[] = {SIGHUP, SIGINT,  SIGQUIT, SIGILL,  SIGTRAP, SIGABRT, SIGBUS,
                               SIGFPE, SIGKILL, SIGSEGV, SIGPIPE, SIGTERM, SIGXCPU, SIGXFSZ};
    if (e->signal)
        return e->signal;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (e->exit_code == 128 + ends[i])
            return ends[i];
    return 0;
}

static const char *asked_words(mem *ctx, const struct backend_ending *e)
{
    if (e->requests < 0)
        return "";
    if (e->requests == 0)
        return ", and asked no model";
    return mem_printf(ctx, ", after %lld model request%s", (long long)e->requests, e->requests == 1 ? "" : "s");
}

static enum backend_outcome judge_unchanged(mem *ctx, const struct backend_ending *e, const char **ret_words)
{
    if (e->said && e->said->refused > 0) {
        *ret_words = mem_printf(ctx, "%lld of its tool calls %s refused, and nothing was changed",
                                (long long)e->said->refused, e->said->refused == 1 ? "was" : "were");
        return BACKEND_REFUSED;
    }
    if (e->exit_code != 0) {
        *ret_words =
            mem_printf(ctx, "it ended with status %d without changing anything%s", e->exit_code, asked_words(ctx, e));
        return BACKEND_FAILED;
    }
    if (e->end_mark && !(e->said && e->said->ended)) {
        *ret_words = mem_printf(ctx, "its output broke off, and nothing was changed%s", asked_words(ctx, e));
        return BACKEND_FAILED;
    }
    *ret_words = mem_printf(ctx, "it ended without changing anything%s", asked_words(ctx, e));
    return BACKEND_NO_CHANGE;
}

static enum backend_outcome judge_changed(mem *ctx, const struct backend_ending *e, const char **ret_words)
{
    bool ended = e->said && e->said->ended;
    if (!ended && e->exit_code != 0) {
        *ret_words = mem_printf(ctx, "it changed files, then ended with status %d", e->exit_code);
        return BACKEND_FAILED;
    }
    if (e->end_mark && !ended)
        *ret_words = "it changed files, but never said that it came to its end";
    else if (e->said && e->said->refused > 0)
        *ret_words = mem_printf(ctx, "it changed files; %lld of its tool calls %s refused", (long long)e->said->refused,
                                e->said->refused == 1 ? "was" : "were");
    else
        *ret_words = "it changed files and came to its end";
    return BACKEND_DONE;
}

enum backend_outcome backend_judge(mem *ctx, const struct backend_ending *e, const char **ret_words)
{
    const char *unused;
    ret_words = ret_words ? ret_words : &unused;
    int sig = signal_of(e);
    if (e->cancelled) {
        *ret_words = "it was stopped";
        return BACKEND_CANCELLED;
    }
    if (e->timed_out) {
        *ret_words = "its time was up";
        return BACKEND_TIMED_OUT;
    }
    if (e->could_not_start) {
        *ret_words = "its program could not be started";
        return BACKEND_FAILED;
    }
    bool ended = e->said && e->said->ended;
    if (sig && !(ended && !e->signal)) {
        const char *name = sigabbrev_np(sig);
        *ret_words =
            mem_printf(ctx, "it was ended by signal %d (%s%s)", sig, name ? "SIG" : "", name ? name : "unknown");
        return BACKEND_DIED;
    }
    if (e->said && e->said->failed) {
        *ret_words =
            mem_printf(ctx, "it says that it failed: %s", e->said->error ? e->said->error : "without a reason");
        return BACKEND_FAILED;
    }
    return e->changed ? judge_changed(ctx, e, ret_words) : judge_unchanged(ctx, e, ret_words);
}
