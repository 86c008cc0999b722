/* Telling people: takes what the outbox (store/notice.h) holds to webhooks, mailboxes and browsers.
 *
 * Delivery is at least once: a delivery is marked as sent only after the other side took it, so the end of the daemon
 * in between sends it again, with the same id. A failed one is tried again after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and
 * 14 h (notify_delay_s), or later when the other side asks for that; then it is given up. A channel whose last
 * NOTIFY_GIVEN_UP_MOST deliveries were all given up is not used any more until somebody enables it; a subscription of a
 * browser that is gone (404, 410) is removed.
 *
 * Webhooks: POST of a JSON object, signed with HMAC-SHA256 over "id.time.body" in the fields of Standard Webhooks; 10 s
 * for everything; redirects are not followed; private addresses only as far as notify.private allows them, judged where
 * the connection is made. Web push: RFC 8030, 8291 and 8292 (crypt/webpush.h). Mail: net/mail.h.
 *
 * Threads: a notifier has a few of its own, one channel is served by one at a time; every call is for any thread. */
#pragma once
#include "auth/credential.h"
#include "conf/live.h"
#include "crypt/webpush.h"
#include "store/notice.h"

enum { NOTIFY_MS = 10000, NOTIFY_MAIL_MS = 30000, NOTIFY_GIVEN_UP_MOST = 5, NOTIFY_THREADS = 3 };

enum notify_outcome {
    NOTIFY_SENT,    /* the other side took it */
    NOTIFY_FAILED,  /* may work later */
    NOTIFY_REFUSED, /* will not work however often it is tried */
    NOTIFY_GONE     /* nobody is there any more */
};
struct notify_result {
    enum notify_outcome outcome;
    int status;            /* HTTP or SMTP; 0: no answer came */
    int64_t retry_after_s; /* as the other side asked; 0: it did not */
    int64_t ms;
    char words[400]; /* what happened, one sentence */
};

struct notifier;
struct notifier_spec {
    struct store *store;
    struct credentials *credentials;
    struct settings_live *live;
    void (*sent)(void *arg); /* called between the sending and the mark: where a test ends the process; may be NULL */
    void *arg;
};
struct notifier *notifier_new(mem *ctx, const struct notifier_spec *spec);
void notifier_start(struct notifier *n);
void notifier_poke(struct notifier *n); /* something may be due */
void notifier_stop(struct notifier *n); /* waits for what is under way, which is given up; before the store is closed */
/* One due delivery, at this time. False: none was due; *ret_next_ns is when the next is. */
bool notifier_turn(struct notifier *n, int64_t now_ns, int64_t *ret_next_ns);
/* Sends at once, and tells how it went; nothing is marked. */
void notifier_send(struct notifier *n, const struct channel *c, const struct notice *what, int64_t now_ns,
                   struct notify_result *ret);
/* The pair of keys by which push services know this installation; made and sealed at first use. */
MUST_USE enum rc notifier_push_key(struct notifier *n, struct webpush_key *ret, struct err *err);

/* Seconds to wait after so many tries that failed; -1: it is given up. */
int64_t notify_delay_s(int64_t attempts);
/* "08:00" as minutes of the day. */
bool notify_clock_read(const char *text, int64_t *ret_minute);

/* Secrets of webhooks: "whsec_" and base64 of 24 to 64 bytes, sealed under notify_secret_id. */
char *notify_secret_new(mem *ctx);
bool notify_secret_valid(const char *secret);
const char *notify_secret_id(mem *ctx, const char *channel_id);
/* Value of the field webhook-signature. In ctx. RC_INVALID: the secret is none. */
MUST_USE enum rc notify_sign(mem *ctx, const char *secret, const char *id, int64_t time_s, struct str body, char **ret,
                             struct err *err);
/* What a webhook's body is, in ctx. title: of the task, "" for none. */
struct str notify_webhook_body(mem *ctx, const struct notice *what, const char *title);
/* Whether a target of this kind can be one. RC_INVALID. */
MUST_USE enum rc notify_target_check(const char *kind, const char *target, struct err *err);
