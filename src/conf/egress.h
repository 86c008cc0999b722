/* What may leave a sandbox: the words of settings and nightmill.yaml about the intercepting egress proxy, and what an
 * agent is handed so that it goes through the proxy. Judging a request is the proxy's business (src/proxy/policy.h);
 * this room only reads and hands on.
 *
 * nightmill.yaml may say what a project needs, by phase:
 *
 *     egress:
 *       setup: [registry.example.org]                     # while setup commands run
 *       work: [docs.example.org, {host: "*.example.net", methods: [GET, HEAD]}, "build.example.org:8443"]
 *
 * Nothing in it widens what the operator allowed: the setting egress.project says whether these hosts are allowed,
 * asked for (the default) or ignored. Secrets, tunnels, private addresses are the operator's alone (settings egress.*).
 *
 * How an agent gets there: the listener made inside the sandbox is an HTTP proxy; egress_environment names it, and the
 * proxy's own certificate authority, in the variables that programs look at. The files (egress_ca_path,
 * egress_bundle_path) exist from the first proxy_open on (src/api/proxy_link.h) and must be visible, read-only, inside
 * the sandbox: pass the paths as they are called THERE. Threads: no state. */
#pragma once
#include "base/json.h"

struct settings;

enum egress_phase { EGRESS_SETUP, EGRESS_WORK, EGRESS_PHASES };
const char *egress_phase_name(enum egress_phase phase); /* "setup", "work" */
bool egress_phase_find(const char *name, enum egress_phase *ret);

/* One host, as written. "example.org" (itself alone), "*.example.org" (all below it, not itself), "203.0.113.7",
 * "[2001:db8::7]"; a port may follow (":8443"), else 443 and 80. */
struct egress_rule {
    const char *host;           /* without the port, lower case; the brackets of an IPv6 address are left out */
    int64_t port;               /* 0: 443 and 80 */
    const char *const *methods; /* upper case, NULL-terminated; NULL: all */
};
#define EGRESS_RULES_MOST 256
struct egress { /* what nightmill.yaml asks for; all zero: nothing */
    const struct egress_rule *rules[EGRESS_PHASES];
    size_t counts[EGRESS_PHASES];
};
/* "host", "host:port" into a rule without methods; texts in ctx. RC_INVALID says what is wrong with it. */
MUST_USE enum rc egress_rule_parse(mem *ctx, struct str text, struct egress_rule *ret, struct err *err);
/* As an object, for the journey from the runner to the server. */
void egress_json(struct json_out *o, const struct egress *e);
MUST_USE enum rc egress_from_json(mem *ctx, struct json v, struct egress *ret, struct err *err);

/* A secret that agents never hold: they get a placeholder, the proxy puts the value in for one host. The setting
 * egress.secrets lists them: "NAME=host" or "NAME=host/header+query+body", separated by commas; NAME is that of a
 * credential the daemon was given (an environment variable). */
enum egress_place { EGRESS_IN_HEADER = 1, EGRESS_IN_QUERY = 2, EGRESS_IN_BODY = 4 };
struct egress_secret {
    const char *name; /* the variable, in the daemon and in the sandbox */
    struct egress_rule host;
    unsigned places; /* of enum egress_place */
};
MUST_USE enum rc egress_secrets(mem *ctx, const struct settings *set, struct egress_secret **ret, size_t *ret_n,
                                struct err *err);
/* A fresh placeholder or canary: random, of a shape that nothing else has; in ctx. A canary looks like a key that is
 * worth stealing. */
char *egress_placeholder_new(mem *ctx);
char *egress_canary_new(mem *ctx);

/* Certificate files of the proxy below the data folder, in ctx: its authority alone, and together with the system's
 * store (for variables that replace a program's store). */
char *egress_ca_path(mem *ctx, const char *data_dir);
char *egress_bundle_path(mem *ctx, const char *data_dir);
/* "NAME=value" strings, NULL-terminated, in ctx: proxy variables in both cases of letters and all those by which curl,
 * git, npm, Node, Python, pip, cargo, Go, Deno and the AWS tools find authorities. proxy_url: "http://127.0.0.1:PORT"
 * as reached inside; direct: hosts that are not to go through the proxy beside 127.0.0.1 and localhost (the gateway's
 * listener), separated by commas, or NULL. ca or bundle NULL: its variables are left out. */
const char *const *egress_environment(mem *ctx, const char *proxy_url, const char *ca, const char *bundle,
                                      const char *direct);
