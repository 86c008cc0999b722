/* Owning and judging the SQLite file: lock, first creation, foreign files, damage.
 *
 * Nothing here repairs or deletes a database. When all was closed in order, a note beside the file records its size and
 * change time. While it is open, another one does after each checkpoint, with the boot of the kernel: after a kill the
 * kernel still has all that was written, and the log is judged by its own sums. Whatever else is found (no note that
 * fits, another boot with a log that was left over) leads to a check of all pages, which takes seconds for gigabytes.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/sqlite_private.h"
#include "os/path.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define APPLICATION_ID 1313688908 /* "NMIL" in the file's header, where file(1) finds it */

static enum rc folder_failed(const struct db_engine *e, enum rc rc, struct err *err)
{
    if (rc == RC_LIMIT)
        err_hint(err, "Free some space in %s and try again.", e->dir);
    else
        err_hint(err, "Make the folder %s writable for this user, or choose another data folder.", e->dir);
    return rc;
}

static enum rc lock_take(mem *ctx, struct db_engine *e, struct err *err)
{
    pid_t holder = 0;
    const char *path = mem_printf(ctx, "%s.lock", e->path);
    enum rc rc = path_lock(path, &e->lock, &holder, err);
    if (rc == RC_CONFLICT) {
        if (holder > 0)
            err_set(err, rc, "Another Nightmill (process %d) has the data folder %s open.", (int)holder, e->dir);
        else
            err_set(err, rc, "Another Nightmill has the data folder %s open.", e->dir);
        err_hint(err, "Use that one, or end it first, or choose another data folder.");
        return rc;
    }
    return rc ? folder_failed(e, rc, err) : RC_OK;
}

/* Makes the file with the right mode before SQLite does; its companions inherit the mode. */
static enum rc file_make(const struct db_engine *e, struct err *err)
{
    CLEANUP_FD int fd = open(e->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        enum rc rc = err_sys(err, errno, "The database %s cannot be opened for writing.", e->path);
        return folder_failed(e, rc, err);
    }
    if (!S_ISREG(st.st_mode)) {
        err_set(err, RC_INVALID, "The database %s is not a regular file.", e->path);
        err_hint(err, "Move it away, or choose another data folder.");
        return RC_INVALID;
    }
    if ((st.st_mode & 077) != 0 && fchmod(fd, st.st_mode & 0700) != 0)
        log_warn("the database %s can be read by other users and its mode cannot be changed", e->path);
    return RC_OK;
}

/* ---- an orderly end ---- */

static char *note_text(mem *ctx, const struct db_engine *e)
{
    struct stat st;
    if (stat(e->path, &st) != 0)
        return NULL;
    return mem_printf(ctx, "%" PRIdMAX " %" PRIdMAX ".%09ld\n", (intmax_t)st.st_size, (intmax_t)st.st_ctim.tv_sec,
                      st.st_ctim.tv_nsec);
}

/* What is only to outlive this process: not flushed to the disk. */
void sqlite_note(const struct db_engine *e, bool sound)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *now = sound ? note_text(tmp, e) : NULL;
    CLEANUP_FD int fd = now && *e->boot ? open(e->left, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    const char *text = mem_printf(tmp, "%s %s", e->boot, now ? now : "");
    size_t n = strlen(text);
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, text, n, 0) != (ssize_t)n)
        unlink(e->left); /* the next start checks */
}

/* A process of this boot was killed, and nobody has touched the file since. */
static bool was_killed(const struct db_engine *e)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct str note;
    const char *now = note_text(tmp, e);
    return now && *e->boot && path_slurp(tmp, e->left, 256, &note, NULL) == RC_OK &&
           str_eqz(note, mem_printf(tmp, "%s %s", e->boot, now));
}

static const char *boot_id(mem *ctx)
{
    struct str text, line;
    if (path_slurp(ctx, "/proc/sys/kernel/random/boot_id", 64, &text, NULL) != RC_OK || !str_line(&text, &line))
        return "";
    return mem_strn(ctx, line.p, line.n);
}

static bool ended_in_order(const struct db_engine *e)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct stat st;
    if (stat(e->wal, &st) == 0 && st.st_size > 0)
        return false;
    if (stat(e->path, &st) == 0 && st.st_size == 0)
        return true; /* new */
    struct str note;
    const char *now = note_text(tmp, e);
    return now && path_slurp(tmp, e->clean, 128, &note, NULL) == RC_OK && str_eqz(note, now);
}

/* ---- judgement ---- */

static enum rc foreign(const struct db_engine *e, struct err *err)
{
    err_set(err, RC_INVALID, "The file %s is a database of another program.", e->path);
    err_hint(err, "Move it away, or choose another data folder; it was not changed.");
    return RC_INVALID;
}

/* Ours, new, or foreign. Looks before anything is written. */
static enum rc owner_check(const struct db_engine *e, sqlite3 *h, bool *ret_new, struct err *err)
{
    int64_t id = 0, tables = 0;
    enum rc rc = sqlite_number(e, h, "PRAGMA application_id", &id, err);
    if (!rc)
        rc = sqlite_number(e, h, "SELECT count(*) FROM sqlite_schema", &tables, err);
    if (rc)
        return rc;
    *ret_new = id == 0 && tables == 0;
    return id == APPLICATION_ID || *ret_new ? RC_OK : foreign(e, err);
}

static enum rc wal_begin(const struct db_engine *e, sqlite3 *h, bool is_new, struct err *err)
{
    char text[64];
    snprintf(text, sizeof text, "PRAGMA application_id=%d", APPLICATION_ID);
    enum rc rc = is_new ? sqlite_exec(e, h, text, err) : RC_OK;
    sqlite3_stmt *s = NULL;
    if (!rc && sqlite3_prepare_v2(h, "PRAGMA journal_mode=WAL", -1, &s, NULL) != SQLITE_OK)
        rc = sqlite_failed(e, h, sqlite3_extended_errcode(h), "journal_mode", err);
    if (!rc && sqlite3_step(s) != SQLITE_ROW)
        rc = sqlite_failed(e, h, sqlite3_extended_errcode(h), "journal_mode", err);
    const char *mode = rc ? NULL : (const char *)sqlite3_column_text(s, 0);
    if (!rc && (!mode || strcmp(mode, "wal") != 0)) {
        rc = err_set(err, RC_UNAVAILABLE, "The folder %s cannot hold the database.", e->dir);
        err_detail(err, "Write-ahead logging needs shared memory maps, which this file system does not offer.");
        err_hint(err, "Choose a data folder on a local disk.");
    }
    sqlite3_finalize(s);
    return rc;
}

static enum rc pages_check(const struct db_engine *e, sqlite3 *h, struct err *err)
{
    int64_t start = clock_mono_ms();
    enum rc rc = sqlite_check(e, h, "PRAGMA quick_check(1)", err);
    if (!rc)
        log_info("the database was not closed in order; checked in %" PRId64 " ms, no damage", clock_mono_ms() - start);
    return rc;
}

static enum rc file_judge(const struct db_engine *e, bool orderly, struct err *err)
{
    sqlite3 *h = NULL;
    bool is_new = false;
    enum rc rc = sqlite_handle(e, DB_ROLE_WRITER, &h, err);
    if (rc)
        return rc;
    rc = owner_check(e, h, &is_new, err);
    if (!rc && !orderly)
        rc = pages_check(e, h, err);
    if (!rc)
        rc = wal_begin(e, h, is_new, err);
    /* No checkpoint on close: a log that was left over is evidence until the database is open. */
    sqlite3_db_config(h, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(h);
    return rc;
}

/* Memory statistics cost a process-wide lock at every allocation. Refused (harmless) when SQLite is in use already. */
static void library_setup(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

enum rc sqlite_open(mem *ctx, const struct db_config *config, struct db_engine **ret, struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, library_setup);
    struct db_engine *e = mem_new(ctx, struct db_engine);
    e->lock = -1;
    e->dir = mem_str(e, config->dir);
    e->path = mem_printf(e, "%s/%s", config->dir, config->name);
    e->wal = mem_printf(e, "%s-wal", e->path);
    e->clean = mem_printf(e, "%s.clean", e->path);
    e->left = mem_printf(e, "%s.left", e->path);
    e->boot = boot_id(e);
    e->max_pages = config->max_pages;
    enum rc rc = path_mkdirs(e->dir, 0700, err);
    if (rc)
        folder_failed(e, rc, err);
    if (!rc)
        rc = lock_take(e, e, err);
    if (!rc)
        rc = file_make(e, err);
    if (!rc) {
        bool orderly = ended_in_order(e) || was_killed(e);
        rc = file_judge(e, orderly, err);
        if (!rc)
            sqlite_note(e, true);
        if (!rc && unlink(e->clean) != 0 && errno != ENOENT)
            rc = folder_failed(e, err_sys(err, errno, "The file %s cannot be removed.", e->clean), err);
    }
    if (rc) {
        fd_cleanup(&e->lock);
        mem_free(e);
        return rc;
    }
    *ret = e;
    return RC_OK;
}

void sqlite_close_file(struct db_engine *e, bool orderly)
{
    struct stat st;
    const char *note = orderly && !(stat(e->wal, &st) == 0 && st.st_size > 0) ? note_text(e, e) : NULL;
    unlink(e->left);
    if (note && path_write_durable(e->clean, str_of(note), 0600, NULL))
        log_warn("no note of an orderly end could be written beside %s; the next start checks all pages", e->path);
    fd_cleanup(&e->lock);
    mem_free(e);
}
