/* Talking with an agent of the Agent Client Protocol: its standard input stays open as long as there is something to
 * say. Not here: what is said (src/agent/acp.h). */
#include "flow/foreign.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { PIPE_BYTES = 1 << 20 }; /* a prompt that is longer goes in pieces, as the agent reads and answers */

struct dialogue {
    struct acp *acp;
    struct dialogue_heart heart;
    bool over;    /* nothing goes on any more */
    int input[2]; /* a pipe: [0] is the agent's; -1: closed */
};

static int dialogue_destructor(struct dialogue *d)
{
    for (int i = 0; i < 2; i++)
        if (d->input[i] >= 0)
            close(fd_take(&d->input[i]));
    return 0;
}

/* As much as the pipe takes now, the rest at the agent's next sign of life. */
static void dialogue_say(struct dialogue *d)
{
    for (struct str out; d->input[1] >= 0 && (out = acp_output(d->acp)).n > 0;) {
        ssize_t n = write(d->input[1], out.p, out.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        acp_wrote(d->acp, (size_t)n);
    }
    if (acp_finished(d->acp) && d->input[1] >= 0)
        close(fd_take(&d->input[1]));
}

static void event_heard(void *arg, const struct backend_event *event)
{
    struct dialogue *d = arg;
    d->heart.on_event(d->heart.arg, event);
}

static void question_heard(void *arg, const struct acp_question *question)
{
    struct dialogue *d = arg;
    bool goes_on = !d->over;
    dialogue_say(d); /* answers to earlier questions */
    bool allowed = goes_on && d->heart.on_question(d->heart.arg, question, &goes_on);
    if (goes_on)
        acp_answer(d->acp, question->id, allowed);
    d->over = !goes_on; /* then it is ended with its question open */
}

enum rc dialogue_open(mem *ctx, const struct acp_spec *spec, const struct dialogue_heart *heart, struct dialogue **ret,
                      struct err *err)
{
    struct dialogue *d = mem_new(ctx, struct dialogue);
    d->input[0] = d->input[1] = -1;
    talloc_set_destructor(d, dialogue_destructor);
    if (pipe2(d->input, O_CLOEXEC) < 0 || fcntl(d->input[1], F_SETFL, O_NONBLOCK) < 0) {
        mem_free(d);
        return err_sys(err, errno, "could not make the input of the agent");
    }
    (void)fcntl(d->input[1], F_SETPIPE_SZ, PIPE_BYTES); /* where the machine allows it */
    d->heart = *heart;
    d->acp = acp_new(d, spec, event_heard, question_heard, d);
    dialogue_say(d);
    *ret = d;
    return RC_OK;
}

int dialogue_input(const struct dialogue *d)
{
    return d->input[0];
}

bool dialogue_heard(struct dialogue *d, struct str bytes)
{
    acp_feed(d->acp, bytes.p, bytes.n);
    dialogue_say(d);
    return !acp_finished(d->acp) && !d->over;
}

bool dialogue_finished(const struct dialogue *d)
{
    return acp_finished(d->acp);
}

const struct backend_result *dialogue_end(struct dialogue *d)
{
    dialogue_destructor(d);
    return acp_end(d->acp);
}
