/* The upkeep thread: keeps the write-ahead log short without a commit ever waiting for it.
 *
 * It sleeps while nothing is committed. What "care" means is the driver's affair. */
#include "db/db_private.h"
#include <time.h>

#define PERIOD_MS 200
#define IDLE_MS   1000

/* Sleeps until there is something to care for, then for one period. False: stop. */
static bool period_wait(struct db *db, bool *ret_idle)
{
    pthread_mutex_lock(&db->upkeep_lock);
    while (!db->upkeep_stop && !db->dirty)
        pthread_cond_wait(&db->upkeep_wake, &db->upkeep_lock);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += PERIOD_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    while (!db->upkeep_stop && pthread_cond_timedwait(&db->upkeep_wake, &db->upkeep_lock, &until) == 0)
        ;
    bool go_on = !db->upkeep_stop;
    *ret_idle = clock_mono_ms() - db->last_commit_ms >= IDLE_MS;
    db->dirty = false; /* a commit from here on sets it again */
    pthread_mutex_unlock(&db->upkeep_lock);
    return go_on;
}

static void *upkeep_main(void *arg)
{
    struct db *db = arg;
    bool idle = false;
    while (period_wait(db, &idle)) {
        bool rest = false;
        pthread_mutex_lock(&db->upkeep_link);
        enum rc rc = conn_ready(db->upkeep_conn, NULL);
        if (!rc)
            rc = db->driver->upkeep(db->upkeep_conn->link, idle, &rest, NULL);
        pthread_mutex_unlock(&db->upkeep_link);
        pthread_mutex_lock(&db->upkeep_lock);
        if (rc || !rest)
            db->dirty = true; /* again after a period: a full disk or a long reader passes */
        pthread_mutex_unlock(&db->upkeep_lock);
        pthread_mutex_lock(&db->lock);
        db->figures.checkpoints += !rc;
        pthread_mutex_unlock(&db->lock);
    }
    return NULL;
}

void upkeep_start(struct db *db)
{
    thread_start(&db->upkeeper, "db-upkeep", upkeep_main, db);
    db->upkeeper_runs = true;
}

void upkeep_stop(struct db *db)
{
    pthread_mutex_lock(&db->upkeep_lock);
    db->upkeep_stop = true;
    pthread_cond_broadcast(&db->upkeep_wake);
    pthread_mutex_unlock(&db->upkeep_lock);
    pthread_join(db->upkeeper, NULL);
    db->upkeeper_runs = false;
}

void upkeep_touch(struct db *db)
{
    pthread_mutex_lock(&db->upkeep_lock);
    db->last_commit_ms = clock_mono_ms();
    if (!db->dirty) {
        db->dirty = true;
        pthread_cond_signal(&db->upkeep_wake);
    }
    pthread_mutex_unlock(&db->upkeep_lock);
}

enum rc db_checkpoint(struct db *db, struct err *err)
{
    pthread_mutex_lock(&db->upkeep_link);
    enum rc rc = conn_ready(db->upkeep_conn, err);
    if (!rc)
        rc = db->driver->checkpoint(db->upkeep_conn->link, err);
    pthread_mutex_unlock(&db->upkeep_link);
    return rc;
}
