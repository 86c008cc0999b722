/* The insides of struct db, shared by the files of this room. */
#pragma once
#include "base/clock.h"
#include "db/driver.h"
#include <pthread.h>
#include <semaphore.h>

struct db_job {
    struct db_job *next;
    db_job_fn fn;
    void *arg;
    db_done_fn done;
    mem *own;        /* holds an asynchronous job; NULL: the job stands on the stack of a waiting thread */
    struct err *err; /* the waiting thread's record, or a copy in own; NULL */
    enum rc rc;
    sem_t finished; /* posted when acknowledged (own == NULL) */
};

struct db {
    const struct db_driver *driver;
    struct db_engine *engine;

    /* Writer: the queue is a list, newest last. */
    pthread_t writer;
    bool writer_runs;
    pthread_mutex_t lock; /* queue, figures, listener */
    pthread_cond_t work;
    struct db_job *first, **last;
    size_t backlog;
    bool closing;
    struct db_conn *conn; /* the writer's */
    void (*on_group)(void *arg, bool committed);
    void *on_group_arg;
    struct db_figures figures;

    /* Readers. */
    pthread_mutex_t pool_lock;
    pthread_cond_t pool_free;
    struct db_conn *free_readers;
    int readers, readers_max, readers_out;

    /* Upkeep. */
    pthread_t upkeeper;
    bool upkeeper_runs;
    pthread_mutex_t upkeep_lock; /* the fields below */
    pthread_cond_t upkeep_wake;
    pthread_mutex_t upkeep_link; /* whoever uses the upkeep connection */
    struct db_conn *upkeep_conn;
    bool upkeep_stop, dirty;
    int64_t last_commit_ms;
};

/* db.c: a thread that takes no signals; they are for the program's own. */
void thread_start(pthread_t *ret, const char *name, void *(*fn)(void *), void *arg);

/* writer.c */
void writer_start(struct db *db);
void writer_stop(struct db *db); /* runs what is queued */
bool writer_is_me(const struct db *db);

/* upkeep.c */
void upkeep_start(struct db *db);
void upkeep_stop(struct db *db);
void upkeep_touch(struct db *db); /* there was a commit */
