/* Creations that are asked for twice and done once (draft-ietf-httpapi-idempotency-key-header-07): a client that got no
 * answer asks again with the same Idempotency-Key and gets the first answer.
 *
 * Where the answer holds a secret it is not kept, and asking again is a conflict.
 *
 * The key is taken before the work and the answer is put beside it afterwards, each durable. When the server dies in
 * between, it cannot be known whether the work was done: asking again is then a conflict, and never done twice. */
#include "api/server_room.h"
#include "base/clock.h"
#include "crypt/hash.h"

#define KEY_MOST 255

static enum rc put_tx(struct store_tx *tx, void *arg, struct err *err)
{
    return idempotency_put(tx, arg, err);
}

static enum rc key_check(struct route_call *c)
{
    size_t n = strlen(c->idempotency_key);
    bool fine = n <= KEY_MOST;
    for (size_t i = 0; i < n; i++)
        fine = fine && c->idempotency_key[i] > ' ' && c->idempotency_key[i] < 0x7F;
    return fine ? RC_OK
                : err_set(&c->err, RC_INVALID, "an Idempotency-Key has at most %d printable characters", KEY_MOST);
}

static const char *asked_hash(struct route_call *c)
{
    char *hex = mem_zalloc(c->ctx, HASH_SHA256_HEX);
    struct buf b;
    buf_init(&b, c->ctx, SIZE_MAX);
    buf_printf(&b, "%s %s %s\n", c->route->method, c->route->pattern, c->param ? c->param : "");
    buf_str(&b, c->body);
    hash_sha256_hex(buf_view(&b), hex);
    buf_done(&b);
    return hex;
}

static enum rc answer_again(struct route_call *c, const struct idempotency *was, const char *hash)
{
    if (strcmp(was->hash, hash) != 0) {
        c->failed_status = 422;
        err_set(&c->err, RC_INVALID, "this Idempotency-Key was used for another request");
        return err_hint(&c->err, "take a new key for each thing that is made");
    }
    if (!was->status) {
        err_set(&c->err, RC_CONFLICT, "a request with this Idempotency-Key is under way, or was when the server ended");
        return err_hint(&c->err, "look whether it was made before you ask with another key");
    }
    if (c->route->shows_secret) {
        err_set(&c->err, RC_CONFLICT,
                "this was made already by a request with this Idempotency-Key; its secret is shown once");
        return err_hint(&c->err,
                        "did the answer get lost? remove what was made and make another one, with another key");
    }
    c->status = (int)was->status;
    buf_str(&c->out_buf, str_of(was->body));
    route_line(c, "Idempotency-Replayed: true");
    return RC_OK;
}

enum rc idempotency_handle(struct route_call *c)
{
    const struct principal *p = &c->principal;
    struct store *store = c->server->store;
    struct idempotency was, mine = {.who = p->user_id  ? p->user_id
                                           : p->key_id ? p->key_id
                                                       : "",
                                    .key = c->idempotency_key,
                                    .hash = asked_hash(c),
                                    .time_ns = clock_wall_ns()};
    bool fresh = false;
    enum rc rc = key_check(c);
    store_ride(NULL); /* the audit log's row goes with the work, not with the key's */
    if (rc == RC_OK)
        rc = idempotency_take(c->ctx, store, &mine, &fresh, &was, &c->err);
    if (rc != RC_OK)
        return rc;
    if (!fresh) {
        c->narrowed = true;
        audit_skip(c); /* nothing is done */
        return answer_again(c, &was, mine.hash);
    }
    audit_ride(&c->rider);
    rc = c->route->handle(c);
    store_ride(NULL);
    if (rc != RC_OK) { /* nothing was made: the key is free again */
        (void)!idempotency_drop(store, &mine, NULL);
        return rc;
    }
    mine.status = c->status;
    mine.body = c->route->shows_secret ? "" : buf_view(&c->out_buf).p;
    (void)!store_write(store, put_tx, &mine, NULL); /* it was made: that is what the client must hear */
    return RC_OK;
}
