/* The gateway: the only road to a model. It takes a request in any dialect, finds who may serve it, holds its bound on
 * every budget, sends it, meters the answer as it streams, and settles.
 *
 * Money is held before anything is sent, in one step over all budgets that apply, and the hold stands in the books
 * (store/books.h) before the first byte leaves; a request whose bound does not fit is refused. It is settled from the
 * usage that the provider reports, a run's in one transaction with the event and the stored answer; when usage stays
 * unknown the hold is kept and counts as spent. Each attempt at a target has a hold of its own.
 *
 * Targets are tried in the order of their chain until the first byte of an answer went to the client; after that a
 * failure is an error event in the client's dialect. Equal targets share the requests by weight and by what they have
 * under way; one that failed rests; one that is full has a bounded queue. Nothing is ever sent to two targets at once.
 *
 * A run's answer is stored under (task, call key): asking again after a crash gets the same bytes and costs nothing,
 * and a run that leaves does not stop its request. Another client that leaves does, where that stops the bill; else the
 * answer is drained to its usage.
 *
 * There is one gateway a loop; what they share is in struct gateway_common, so that limits of keys and providers and
 * the answers kept in memory are the daemon's and not a loop's. Requests of runs are answered by one gateway alone: it
 * finds the same request under way. Threads: the loop's thread, but where it says otherwise. */
#pragma once
#include "auth/auth.h"
#include "auth/credential.h"
#include "gateway/budget.h"
#include "gateway/metrics.h"
#include "gateway/record.h"
#include "gateway/way.h"
#include "llm/endpoint.h"
#include "net/http.h"
#include "net/upstream.h"
#include "os/loop.h"
#include "store/books.h"

struct caller {
    const char *task_id; /* a run; NULL: `who` asks for itself */
    struct principal who;
};
/* A run whose agent asks at a listener of the run's own: whoever connects there is the run, whatever key it shows. Its
 * requests are admitted, metered and recorded as the run's; answers are not stored, since nobody comes back for them,
 * and failures are told in the client's dialect. A model that is not the run's is taken for the run's first one: agents
 * ask for small models by names of their own. */
struct gateway_guest {
    const char *task_id;
    bool key;          /* anybody can connect there: the key shown must be the run's token */
    int64_t iteration; /* that its requests belong to */
    int64_t listening; /* number of the listener, given back at the end */
    int64_t *left; /* requests for answers that may still come, counted down when one is taken in; NULL: any number */
};
struct gateway_guest_end { /* valid during the call */
    const char *task_id;
    int64_t listening;
    int status;    /* that the client got; 0: it left before */
    bool generate; /* not a list of models or a count of tokens */
    bool refused;  /* by the gateway: rc is its reason; else a failure of the provider's, or RC_OK */
    enum rc rc;
    const char *limit; /* as in a refusal's problem document; NULL: none */
    const char *sentence, *hint;
    int64_t retry_after_s; /* -1: not known */
};
struct gateway;
/* Limits of keys, places at providers, answers of equal requests. Must outlive the gateways. cache_ms: how long equal
 * requests are answered from memory; 0: never. */
struct gateway_common;
struct gateway_common *gateway_common_new(mem *ctx, size_t cache_bytes, int64_t cache_ms);

struct gateway_spec {
    struct loop *loop;
    struct gateway_common *common;
    struct store *store;
    struct books *books;
    struct upstream_pool *pool;
    struct budgets *budgets;
    struct catalogs *catalogs;
    struct credentials *credentials;
    struct vertex_tokens *tokens;
    struct recorder *recorder; /* NULL: nothing is recorded */
    struct metrics *metrics;   /* NULL: nothing is counted */
    /* Whose token it is; "" with trusted: the daemon's own user. RC_DENIED; RC_AGAIN: the database would have to be
     * read, and `wait` is false. Any thread. */
    enum rc (*identify)(void *arg, mem *ctx, const char *token, bool trusted, bool wait, struct caller *ret,
                        struct err *err);
    /* A guest's request has come to its end; the loop's thread. NULL: nobody wants to know. */
    void (*guest_ended)(void *arg, const struct gateway_guest_end *e);
    void *arg;
    int first_byte_ms, idle_ms, connect_ms; /* where the provider's row says nothing */
    int drain_ms;                           /* longest time that the answer of a departed client is read on */
    int64_t max_output;                     /* output cap where neither client nor model says one */
    int64_t cache_ms;                       /* as given to gateway_common_new */
    int64_t sync_ms; /* until holds and ledger rows are on the disk; 0: each request waits for that */
};
struct gateway *gateway_new(mem *ctx, const struct gateway_spec *spec);
/* Answers a request that is one of the dialects'. False: it is none of them, and untouched. */
bool gateway_handle(struct gateway *g, struct http_request *r);
bool gateway_handle_guest(struct gateway *g, struct http_request *r, const struct gateway_guest *guest); /* copied */
void gateway_tick(struct gateway *g); /* once a second or so: ends what has been drained for too long */
/* Whether any gateway may answer it: a model request by which a user key is shown, and none of a run. Any thread. */
bool gateway_is_anywhere(const struct http_request *r);
/* What is known of the providers now. In ctx. Any thread. */
struct upstream_health;
void gateway_health(mem *ctx, const struct gateway_common *common, struct upstream_health **ret, size_t *ret_n);
size_t gateway_active(const struct gateway_common *common); /* calls under way, departed clients' too; any thread */
