/* Notifications: what people are told, to which channels it goes, and how each delivery stands.
 *
 * The outbox is filled in the transaction of the event that a notice tells of (event_append calls notice_of_event), so
 * neither is ever there without the other. A delivery is made for each enabled channel that wants the level; it stays
 * `waiting` until the other side has taken it (`sent`), it is given up (`failed`), or there is nobody any more
 * (`dropped`). Delivery is at least once: receivers know repetitions by `uid`. Words hold no content of a task beyond
 * its id. Reads from any thread, writes in a store_fn. */
#pragma once
#include "store/store.h"

enum notice_level { NOTICE_SILENT = 0, NOTICE_NOW = 1, NOTICE_DONE = 2, NOTICE_DIGEST = 4, NOTICE_ALL = 7 };
const char *notice_level_name(int64_t level); /* "now", "done", "digest", "silent" */
int64_t notice_level_find(const char *name);  /* 0 when unknown */

struct notice {
    int64_t id;
    const char *uid, *key;
    int64_t level;
    const char *kind; /* approval question limit budget stuck task_done task_failed digest test */
    const char *task; /* "": none */
    const char *words;
    int64_t time_ns;
};
/* Sets id and uid; deliveries are made. A key that is there already: *ret_new is false and nothing happens. */
MUST_USE enum rc notice_insert(mem *ctx, struct store_tx *tx, struct notice *n, bool *ret_new, struct err *err);
/* The notice of an event, if it is one that people are told of. */
MUST_USE enum rc notice_of_event(struct store_tx *tx, const char *task_id, const struct event *e, int64_t number,
                                 struct err *err);
/* level 0: all but the silent ones; before 0: from the newest. Newest first. */
MUST_USE enum rc notice_list(mem *ctx, struct store *s, int64_t level, int64_t before, int64_t limit,
                             struct notice **ret, size_t *ret_n, struct err *err);
/* Those older than that, with their deliveries; at most `most` at a time. */
MUST_USE enum rc notice_expire(struct store_tx *tx, int64_t before_ns, int64_t most, int64_t *ret_n, struct err *err);
/* When the newest notice of this kind was made; 0: never. */
MUST_USE enum rc notice_last(struct store *s, const char *kind, int64_t *ret_ns, struct err *err);

struct digest { /* what ended in a span, and what waits now */
    int64_t done, unproven, failed, waiting;
};
MUST_USE enum rc notice_digest(struct store *s, int64_t from_ns, int64_t to_ns, struct digest *ret, struct err *err);

struct channel {
    const char *id;   /* 7 characters */
    const char *kind; /* webhook email push */
    const char *name, *target;
    int64_t levels;
    const char *p256dh, *auth;
    bool enabled;
    const char *user; /* who made it */
    int64_t created_ns, last_ok_ns, failures;
    const char *problem; /* why it is not enabled any more, or how the last delivery ended; "" */
};
#define CHANNELS_MOST 200
MUST_USE enum rc channel_insert(struct store_tx *tx, const struct channel *c, struct err *err); /* RC_LIMIT */
MUST_USE enum rc channel_update(struct store_tx *tx, const struct channel *c, struct err *err); /* RC_NOT_FOUND */
/* Its waiting deliveries are dropped. RC_NOT_FOUND. */
MUST_USE enum rc channel_remove(struct store_tx *tx, const char *id, struct err *err);
MUST_USE enum rc channel_list(mem *ctx, struct store *s, struct channel **ret, size_t *ret_n, struct err *err);
MUST_USE enum rc channel_find(mem *ctx, struct store *s, const char *id, struct channel *ret, struct err *err);
/* Of push, by its endpoint. RC_NOT_FOUND. */
MUST_USE enum rc channel_by_target(mem *ctx, struct store *s, const char *target, struct channel *ret, struct err *err);

struct delivery {
    int64_t id, notice;
    const char *channel;
    const char *state; /* waiting sent failed dropped */
    int64_t attempts, next_ns, sent_ns, status;
    const char *words;
};
MUST_USE enum rc delivery_of_notice(mem *ctx, struct store *s, int64_t notice, struct delivery **ret, size_t *ret_n,
                                    struct err *err);
/* One that is due, with its notice and channel; those of the channels in `busy` (NULL-terminated) are left for later.
 * RC_NOT_FOUND: none; *ret_next_ns is then when the next is (INT64_MAX: none waits). */
MUST_USE enum rc delivery_due(mem *ctx, struct store *s, int64_t now_ns, const char *const *busy, struct delivery *ret,
                              struct notice *ret_notice, struct channel *ret_channel, int64_t *ret_next_ns,
                              struct err *err);
/* How a try ended: state, attempts, next_ns, sent_ns, status, words; and of the channel last_ok_ns, failures, enabled,
 * problem. A channel that was removed meanwhile is no error. */
MUST_USE enum rc delivery_tried(struct store_tx *tx, const struct delivery *d, const struct channel *c,
                                struct err *err);
/* After each commit in which a notice was made, on the writer thread. One listener, set before the first write. */
void store_on_notice(struct store *s, void (*fn)(void *arg), void *arg);
