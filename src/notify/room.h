/* What the files of this room share. Private to it. */
#pragma once
#include "net/hostname.h"
#include "notify/notify.h"
#include <pthread.h>
#include <stdatomic.h>

struct notifier {
    struct notifier_spec spec;
    pthread_mutex_t lock;
    pthread_cond_t poked;
    pthread_t threads[NOTIFY_THREADS];
    size_t thread_count;
    char busy[NOTIFY_THREADS][16]; /* channels that are being served; "": none */
    bool poke;
    atomic_bool stopping;
    int stop_fd; /* readable when it stops */
    pthread_mutex_t key_lock;
};

/* What is sent, beside the channel. */
struct message {
    const struct notice *what;
    const char *title; /* of the task; "" */
    int64_t now_ns;
};
typedef void (*sender)(struct notifier *n, const struct channel *c, const struct message *m, struct notify_result *ret);
void webhook_send(struct notifier *n, const struct channel *c, const struct message *m, struct notify_result *ret);
void push_send(struct notifier *n, const struct channel *c, const struct message *m, struct notify_result *ret);
void email_send(struct notifier *n, const struct channel *c, const struct message *m, struct notify_result *ret);

/* A POST that keeps to the rules of webhooks. */
struct post {
    const char *url;
    const char *const *headers; /* NULL-terminated */
    struct str body;
};
/* Fills status, words and retry_after_s; outcome by status: 2xx sent, 408, 425, 429 and 5xx failed, others refused. */
void post_send(struct notifier *n, const struct post *p, struct notify_result *ret);
void result_error(struct notify_result *ret, enum notify_outcome outcome, const struct err *err);
