/* One model request on its way. Private to this room. */
#pragma once
#include "gateway/budget.h"
#include "gateway/gateway.h"

enum call_verdict { CALL_FORWARD, CALL_STORED, CALL_REFUSED };
struct call {
    mem *ctx; /* owner of everything here; its own tree, it visits pool threads */
    struct gateway *g;
    struct http_request *client; /* NULL once gone */
    const struct llm_dialect *dialect;
    const char *task_id, *key;
    int64_t iteration;
    struct str body; /* as the client sent it */
    /* Admission: */
    enum call_verdict verdict;
    struct err err;
    const char *limit; /* why refused: "money", "tokens", "price"; NULL: err alone */
    struct reply stored;
    const char *model, *url, *key_name;
    struct str forward;             /* the bytes to send */
    struct reservation reservation; /* open from a verdict of CALL_FORWARD to call_settle */
    struct hold hold;
    struct price price;
    bool priced;
    pico limit_money;
    const char *currency;
    /* The answer: */
    struct upstream_call *up;
    int status;
    struct str headers;
    const char *content_type;
    struct llm_parser *parser;
    struct buf whole; /* what was received: the stored answer, or the body of a failure */
    bool paused, begun;
    /* Settlement: */
    bool usage_known, answer_whole;
    enum rc end;
    struct usage usage;
    const char *model_served;
    enum rc settle_rc;
    struct call *next; /* of the gateway's active calls */
    struct call_waiter *waiters;
};
struct store *gateway_store(struct gateway *g);
struct budgets *gateway_budgets(struct gateway *g);
/* Pool thread: looks for a stored answer, reads the request, finds the price, opens the hold. Sets verdict. */
void call_admit(struct call *c);
/* Pool thread: settles, keeps or releases the hold; stores the answer; appends the event. Sets settle_rc. */
void call_settle(struct call *c);
