/* What a run may reach: rules over hosts, ports and methods, the addresses that may be dialled, and the secrets that
 * are put in for hosts. Read from an `open` frame; pure decisions, no input or output.
 *
 * Rules are tried in order and the first one that speaks of the host decides, unless its methods leave this one out.
 * What no rule speaks of is refused, or asked for (unknown: "ask"). Threads: no state. */
#pragma once
#include "base/json.h"
#include "net/hostname.h"

enum verdict { VERDICT_DENY, VERDICT_ALLOW, VERDICT_ASK, VERDICT_TUNNEL };
struct rule {
    struct hostname host;       /* DNS names: of a wildcard, what follows "*." */
    bool wildcard;              /* all below the host, not itself */
    uint16_t port;              /* 0: 443 and 80 */
    const char *const *methods; /* NULL-terminated; NULL: all */
    enum verdict verdict;
};
struct pin { /* an address that stands for a host: no lookup */
    struct hostname host;
    struct sockaddr_storage address; /* without a port */
};
enum { SECRET_IN_HEADER = 1, SECRET_IN_QUERY = 2, SECRET_IN_BODY = 4 };
struct bound_secret {
    const char *name;
    struct str placeholder, value;
    struct rule host; /* methods and verdict say nothing */
    unsigned places;
};
struct policy {
    struct rule *rules;
    size_t rule_count, rule_room;
    bool ask_unknown;
    int ask_ms;
    struct address_block *private_blocks; /* reserved addresses that may be dialled all the same */
    size_t private_count;
    struct pin *pins;
    size_t pin_count;
    struct bound_secret *secrets;
    size_t secret_count;
    const char **canaries;
    size_t canary_count;
};
#define POLICY_RULES_MOST 2048
/* From the object of an `open` frame; everything is copied into ctx. RC_INVALID: something in it is no host, address
 * or verdict (a run is then not opened at all). */
MUST_USE enum rc policy_read(mem *ctx, struct json open, struct policy *ret, struct err *err);
/* method NULL: of a CONNECT, when the method is not known yet: a rule with methods then allows. *ret_why: a sentence
 * for a refusal, static or in ctx. */
enum verdict policy_judge(mem *ctx, const struct policy *p, const struct hostname *host, uint16_t port,
                          const char *method, const char **ret_why);
/* What a person said about a host stands before all rules; an `ask` rule's methods stay in force. */
void policy_answer(mem *ctx, struct policy *p, const struct hostname *host, uint16_t port, bool allow);
/* Whether an address may be dialled for this host; *ret_why (static) says what it is reserved for. */
bool policy_address(const struct policy *p, const struct hostname *host, const struct sockaddr *sa,
                    const char **ret_why);
const struct sockaddr *policy_pin(const struct policy *p, const struct hostname *host); /* NULL: look it up */
bool secret_bound(const struct bound_secret *s, const struct hostname *host, uint16_t port);
