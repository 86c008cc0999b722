/* The server's end of the line to the proxy process: runs are opened and closed here, and what the proxy reports
 * becomes rows of traffic, questions and alarms.
 *
 * For each run and phase with a way out there is one open tag: a listening socket (made inside the sandbox, so that the
 * listener is the identity of the run) together with what is allowed there. The proxy process is started by the keeper
 * at the first proxy_open and again after a crash; the server keeps a copy of each listener, and hands all of them over
 * again, so that clients see no more than broken connections. After a crash of the server the proxy goes on with what
 * it has; whoever owns a run calls proxy_open again for it (the runner's hello), with the same tag: the newer listener
 * replaces the older. Tags that nobody opened again within PROXY_ORPHAN_MS are closed.
 *
 * Without a proxy process a listener is simply not answered: nothing leaves by any other way. Threads: the loop's. */
#pragma once
#include "base/err.h"
#include "conf/egress.h"

#define PROXY_TAG_MAX   64
#define PROXY_ORPHAN_MS 60000

struct server;
struct proxy_lent { /* a placeholder that this run was given for a secret of the setting egress.secrets */
    const char *name, *placeholder;
};
struct proxy_run {
    const char *tag;     /* names the run and phase: "TASK.work"; letters, digits, '.', '-', '_' */
    const char *task;    /* "" when there is none */
    const char *project; /* as in ledger and requests: the repository's path, or "" */
    const char *agent;   /* "" when unknown */
    enum egress_phase phase;
    const struct egress *egress; /* of nightmill.yaml; NULL: it says nothing */
    const struct proxy_lent *lent;
    size_t lent_count;
    const char *const *canaries; /* NULL-terminated; NULL: none */
};
/* Opens (or replaces) a tag. listener: a listening TCP socket, taken also on failure. Everything else is copied before
 * this returns. RC_INVALID: the tag, the socket or a setting is wrong; RC_LIMIT: too many tags. */
MUST_USE enum rc proxy_open(struct server *s, const struct proxy_run *run, int listener, struct err *err);
/* Ends the tag's listener and all its connections at once; a tag that is not open is no error. */
void proxy_close(struct server *s, const char *tag);

/* A listener of the owner's own, for programs outside of sandboxes: on 127.0.0.1, open to whoever can connect there,
 * with placeholders for the setting's secrets only where `secrets` is set. Tag and address in ctx; environment as of
 * egress_environment, with the placeholders. */
struct proxy_hand {
    const char *tag, *url;
    const char *const *environment; /* NULL-terminated */
};
MUST_USE enum rc proxy_open_hand(mem *ctx, struct server *s, const char *project, const char *task,
                                 enum egress_phase phase, bool secrets, struct proxy_hand *ret, struct err *err);
struct json_out;
void proxy_json(const struct server *s, struct json_out *o); /* the process and what is open */

/* The server's own part: */
void proxy_hosts_changed(struct server *s); /* what people said about hosts is read again, open runs follow it */
MUST_USE enum rc proxy_line_open(struct server *s, struct err *err); /* at start; makes <data>/run/proxy.sock */
void proxy_line_tick(struct server *s);                              /* each second */
void proxy_line_ended(struct server *s, int pid, int status);        /* the keeper's word: the process ended */
