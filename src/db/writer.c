/* The writer thread: a queue of jobs and group commit.
 *
 * A group is one transaction. Each job of it stands in a savepoint, so that a failing job is undone alone.
 * Acknowledgement comes after the commit. While a commit waits for the disk, the next jobs gather: the slower the disk,
 * the larger the groups. */
#include "db/db_private.h"
#include <stdio.h>

#define GROUP_JOBS 256
#define GROUP_NS   2000000

DB_SQL(sql_commit, "COMMIT");
DB_SQL(sql_rollback, "ROLLBACK");
DB_SQL(sql_savepoint, "SAVEPOINT job");
DB_SQL(sql_release, "RELEASE SAVEPOINT job");
DB_SQL(sql_undo, "ROLLBACK TO SAVEPOINT job");

bool writer_is_me(const struct db *db)
{
    return pthread_equal(pthread_self(), db->writer);
}

static void job_push(struct db *db, struct db_job *job)
{
    pthread_mutex_lock(&db->lock);
    BUG_ON(db->closing && !writer_is_me(db)); /* what runs at the end may still add; others have no business */
    *db->last = job;
    db->last = &job->next;
    if (db->backlog++ == 0)
        pthread_cond_signal(&db->work);
    pthread_mutex_unlock(&db->lock);
}

/* The oldest job, or NULL. */
static struct db_job *job_take(struct db *db)
{
    pthread_mutex_lock(&db->lock);
    struct db_job *job = db->first;
    if (job) {
        db->first = job->next;
        if (!db->first)
            db->last = &db->first;
        db->backlog--;
        job->next = NULL;
    }
    pthread_mutex_unlock(&db->lock);
    return job;
}

/* Waits for work; false when there is none and the database closes. */
static bool work_wait(struct db *db)
{
    pthread_mutex_lock(&db->lock);
    while (!db->first && !db->closing)
        pthread_cond_wait(&db->work, &db->lock);
    bool any = db->first != NULL;
    pthread_mutex_unlock(&db->lock);
    return any;
}

static void job_failed(struct db_job *job, enum rc rc, struct err *err)
{
    if (!err->sentence[0])
        err_set(err, rc, "The write was refused (%s).", rc_name(rc));
    err->rc = rc;
    job->rc = rc;
    if (job->own && !job->err)
        job->err = mem_new(job->own, struct err);
    if (job->err)
        *job->err = *err;
}

/* Runs one job in its savepoint. Returns false when the engine gave up the whole transaction; *err then says why. */
static bool job_run(struct db *db, struct db_job *job, struct err *err)
{
    const struct db_driver *d = db->driver;
    struct db_conn *c = db->conn;
    err->sentence[0] = '\0';
    enum rc rc = db_exec(c, &sql_savepoint, DB_NONE, NULL, err);
    if (rc)
        return false;
    rc = job->fn(c, job->arg, err);
    if (!d->in_transaction(c->link)) {
        if (!rc || !err->sentence[0])
            err_set(err, RC_IO, "The database gave up a transaction.");
        return false;
    }
    if (rc) {
        job_failed(job, rc, err);
        rc = db_exec(c, &sql_undo, DB_NONE, NULL, err);
    }
    return !rc && !db_exec(c, &sql_release, DB_NONE, NULL, err);
}

/* Takes and runs jobs until the group is full, old enough or the queue is empty. */
static struct db_job *group_run(struct db *db, bool *ret_kept, struct err *err)
{
    struct db_job *jobs = NULL, **end = &jobs, *job;
    enum rc rc = db_exec(db->conn, db->driver->begin, DB_NONE, NULL, err);
    bool kept = !rc;
    int64_t until = clock_mono_ns() + GROUP_NS;
    for (int n = 0; n < GROUP_JOBS && (job = job_take(db)); n++) {
        *end = job;
        end = &job->next;
        if (kept && !job_run(db, job, err))
            kept = false;
        if (clock_mono_ns() > until || (!kept && !rc))
            break;
    }
    if (kept && db_exec(db->conn, &sql_commit, DB_NONE, NULL, err))
        kept = false;
    if (db->driver->in_transaction(db->conn->link) && db_exec(db->conn, &sql_rollback, DB_NONE, NULL, NULL))
        bug_at(__FILE__, __LINE__, "a transaction can neither be committed nor undone: %s", err->sentence);
    *ret_kept = kept;
    return jobs;
}

/* Acknowledges. Jobs on the stack of a waiting thread vanish as soon as they are posted. */
static void group_finish(struct db *db, struct db_job *jobs, bool kept, struct err *err)
{
    struct db_job *async = NULL, **end = &async, *next;
    pthread_mutex_lock(&db->lock);
    db->figures.groups++;
    db->figures.lost_groups += !kept;
    for (struct db_job *job = jobs; job; job = next) {
        next = job->next;
        if (!kept)
            job_failed(job, err->rc ? err->rc : RC_IO, err);
        db->figures.jobs++;
        db->figures.failed_jobs += job->rc != RC_OK;
        if (job->own) {
            *end = job;
            end = &job->next;
            job->next = NULL;
        } else {
            sem_post(&job->finished);
        }
    }
    pthread_mutex_unlock(&db->lock);
    for (struct db_job *job = async; job; job = next) {
        next = job->next;
        if (job->done)
            job->done(job->arg, job->rc, job->rc ? job->err : NULL);
        mem_free(job->own);
    }
}

static void *writer_main(void *arg)
{
    struct db *db = arg;
    while (work_wait(db)) {
        struct err err = {0};
        bool kept = false;
        struct db_job *jobs = group_run(db, &kept, &err);
        upkeep_touch(db);
        pthread_mutex_lock(&db->lock);
        void (*listener)(void *, bool) = db->on_group;
        void *listener_arg = db->on_group_arg;
        pthread_mutex_unlock(&db->lock);
        if (listener)
            listener(listener_arg, kept);
        group_finish(db, jobs, kept, &err);
    }
    return NULL;
}

void writer_start(struct db *db)
{
    thread_start(&db->writer, "db-writer", writer_main, db);
    db->writer_runs = true;
}

void writer_stop(struct db *db)
{
    pthread_mutex_lock(&db->lock);
    db->closing = true;
    pthread_cond_signal(&db->work);
    pthread_mutex_unlock(&db->lock);
    pthread_join(db->writer, NULL);
    db->writer_runs = false;
}

enum rc db_write(struct db *db, db_job_fn fn, void *arg, struct err *err)
{
    BUG_ON(writer_is_me(db)); /* would wait for itself */
    struct db_job job = {.fn = fn, .arg = arg, .err = err};
    sem_init(&job.finished, 0, 0);
    job_push(db, &job);
    while (sem_wait(&job.finished) != 0)
        ; /* a signal handler ran */
    sem_destroy(&job.finished);
    return job.rc;
}

void db_write_async(struct db *db, db_job_fn fn, void *arg, db_done_fn done)
{
    mem *own = mem_root();
    struct db_job *job = mem_new(own, struct db_job);
    *job = (struct db_job){.fn = fn, .arg = arg, .done = done, .own = own};
    job_push(db, job);
}

size_t db_backlog(struct db *db)
{
    pthread_mutex_lock(&db->lock);
    size_t n = db->backlog;
    pthread_mutex_unlock(&db->lock);
    return n;
}

void db_on_group(struct db *db, void (*fn)(void *arg, bool committed), void *arg)
{
    pthread_mutex_lock(&db->lock);
    db->on_group = fn;
    db->on_group_arg = arg;
    pthread_mutex_unlock(&db->lock);
}

void db_figures(struct db *db, struct db_figures *ret)
{
    pthread_mutex_lock(&db->lock);
    *ret = db->figures;
    pthread_mutex_unlock(&db->lock);
}
