/* The gateway: the only road to a model. It admits a request against the task's budget, forwards the original bytes
 * (only the output cap is spliced), meters the answer as it streams, and settles.
 *
 * Money is held before anything is sent: the hold is a true upper bound, and a request whose bound does not fit is
 * refused (402, problem with `limit`), never shrunk silently: only an output cap may be lowered to what is affordable.
 * It is settled from the usage that the provider reports, in one transaction with the event and the stored answer; when
 * usage stays unknown the hold is kept and counts as spent. An answer is stored under (task, call key): asking again
 * after a crash gets the same bytes and costs nothing. A client that leaves does not stop the request: it is drained,
 * settled and stored for whoever asks again. Threads: the loop's thread; database work is offloaded. */
#pragma once
#include "llm/llm.h"
#include "net/http.h"
#include "net/upstream.h"
#include "os/loop.h"
#include "store/store.h"

struct gateway;
struct budgets;
struct gateway_spec {
    struct loop *loop;
    struct store *store;
    struct budgets *budgets;
    struct upstream_pool *pool;
    /* Value of a credential by name, or NULL. Called on the loop. The gateway neither keeps nor shows it. */
    const char *(*credential)(void *arg, const char *name);
    void *arg;
    int first_byte_ms, idle_ms, connect_ms;
};
struct gateway *gateway_new(mem *ctx, const struct gateway_spec *spec);
/* Answers a model request of a run; the caller has checked whose it is. */
void gateway_handle(struct gateway *g, struct http_request *r, const struct llm_dialect *d, const char *task_id,
                    const char *key, int64_t iteration);
size_t gateway_active(const struct gateway *g); /* calls under way, departed clients' too */
