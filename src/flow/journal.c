/* The journal file: JSON lines {"o":origin,"t":time,"k":type,"a":actor,"d":{...}}. Not a database: one writer, read
 * once at the start. */
#include "flow/journal.h"
#include "base/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define JOURNAL_MAX (512u << 20) /* bytes of a whole journal; a task that needs more is out of hand */
#define ENTRY_MAX   (16u << 20)

struct journal {
    int fd;
    struct journal_entry **entries;
    size_t n, room;
    off_t length; /* bytes of whole entries */
};

static int journal_destructor(struct journal *j)
{
    if (j->fd >= 0)
        close(j->fd);
    return 0;
}

void crash_point(const char *role)
{
    static int64_t calls;
    const char *want = getenv("NIGHTMILL_TEST_CRASH");
    const char *once = getenv("NIGHTMILL_TEST_CRASH_ONCE");
    if (!want || !once)
        return;
    struct str rest = str_of(want), who;
    int64_t at = 0;
    if (!str_next(&rest, ':', &who) || !str_eqz(who, role) || !str_int(rest, 1, INT64_MAX, &at) || ++calls != at)
        return;
    int fd = open(once, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return; /* it happened already */
    close(fd);
    raise(SIGKILL);
}

static void journal_push(struct journal *j, struct journal_entry *e)
{
    if (j->n == j->room) {
        j->room = j->room ? j->room * 2 : 64;
        j->entries = mem_grow(j, j->entries, j->room * sizeof *j->entries);
    }
    j->entries[j->n++] = e;
}

static enum rc entry_read(struct journal *j, struct str line, struct journal_entry **ret, struct err *err)
{
    struct json root;
    struct journal_entry *e = mem_new(j, struct journal_entry);
    char *text = str_dup(e, line);
    enum rc rc = json_parse(e, str_n(text, line.n), &root, err);
    if (rc != RC_OK) {
        mem_free(e);
        return rc;
    }
    e->origin = json_int(json_get(root, "o"), 0);
    e->time_ns = json_int(json_get(root, "t"), 0);
    e->type = json_z(e, json_get(root, "k"), "");
    e->actor = json_z(e, json_get(root, "a"), "system");
    e->json = json_get(root, "d");
    e->data = json_raw(e->json);
    if (e->origin != (int64_t)j->n + 1 || !*e->type || json_type(e->json) != JSON_OBJECT) {
        int64_t found = e->origin;
        mem_free(e);
        return err_set(err, RC_INVALID, "the journal is damaged: entry %zu has number %lld", j->n + 1,
                       (long long)found);
    }
    *ret = e;
    return RC_OK;
}

static enum rc journal_load(struct journal *j, const char *path, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct stat st;
    if (fstat(j->fd, &st) < 0)
        return err_sys(err, errno, "could not read the journal %s", path);
    if (st.st_size > (off_t)JOURNAL_MAX)
        return err_set(err, RC_LIMIT, "the journal %s is larger than %u MiB", path, JOURNAL_MAX >> 20);
    char *text = mem_array(tmp, char, st.st_size + 1);
    size_t have = 0;
    while (have < (size_t)st.st_size) {
        ssize_t got = pread(j->fd, text + have, (size_t)st.st_size - have, (off_t)have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return err_sys(err, got < 0 ? errno : EIO, "could not read the journal %s", path);
        have += (size_t)got;
    }
    size_t at = 0;
    while (at < have) {
        char *end = memchr(text + at, '\n', have - at);
        if (!end)
            break; /* cut short by a crash: never acknowledged, so it never happened */
        struct journal_entry *e;
        enum rc rc = entry_read(j, str_n(text + at, (size_t)(end - text) - at), &e, err);
        if (rc != RC_OK)
            return err_context(err, "%s", path);
        journal_push(j, e);
        at = (size_t)(end - text) + 1;
    }
    j->length = (off_t)at;
    if (at < have && ftruncate(j->fd, (off_t)at) < 0)
        return err_sys(err, errno, "could not repair the end of the journal %s", path);
    return RC_OK;
}

enum rc journal_open(mem *ctx, const char *path, struct journal **ret, struct err *err)
{
    struct journal *j = mem_new(ctx, struct journal);
    j->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    talloc_set_destructor(j, journal_destructor);
    if (j->fd < 0) {
        err_sys(err, errno, "could not open the journal %s", path);
        mem_free(j);
        return err ? err->rc : RC_IO;
    }
    enum rc rc = journal_load(j, path, err);
    if (rc != RC_OK) {
        mem_free(j);
        return rc;
    }
    *ret = j;
    return RC_OK;
}

enum rc journal_append(struct journal *j, const char *type, const char *actor, struct str data,
                       const struct journal_entry **ret, struct err *err)
{
    struct buf line;
    struct json_out o;
    struct journal_entry *e = NULL;
    CLEANUP_MEM mem *tmp = mem_root();
    buf_init(&line, tmp, ENTRY_MAX);
    json_out_init(&o, &line);
    jo_obj(&o);
    jo_ki(&o, "o", (int64_t)j->n + 1);
    jo_ki(&o, "t", clock_wall_ns());
    jo_kz(&o, "k", type);
    jo_kz(&o, "a", actor);
    jo_kraw(&o, "d", data);
    jo_end_obj(&o);
    if (line.overflow)
        return err_set(err, RC_LIMIT, "a journal entry of type %s is larger than %u MiB", type, ENTRY_MAX >> 20);
    enum rc rc = entry_read(j, buf_view(&line), &e, err); /* what is written can be read: checked before, not after */
    if (rc != RC_OK)
        return err_context(err, "journal entry %s", type);
    buf_char(&line, '\n');
    size_t done = 0;
    while (done < line.n) {
        ssize_t put = pwrite(j->fd, line.p + done, line.n - done, j->length + (off_t)done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0) {
            int why = put < 0 ? errno : ENOSPC;
            if (ftruncate(j->fd, j->length) < 0)
                why = errno;
            mem_free(e);
            return err_sys(err, why, "could not write the journal");
        }
        done += (size_t)put;
    }
    if (fdatasync(j->fd) < 0) {
        mem_free(e);
        return err_sys(err, errno, "could not write the journal to disk");
    }
    j->length += (off_t)line.n;
    journal_push(j, e);
    if (ret)
        *ret = e;
    crash_point("runner");
    return RC_OK;
}

size_t journal_count(const struct journal *j)
{
    return j->n;
}

const struct journal_entry *journal_at(const struct journal *j, size_t i)
{
    return i < j->n ? j->entries[i] : NULL;
}

const struct journal_entry *journal_last(const struct journal *j, const char *type, size_t from, size_t *ret_index)
{
    for (size_t i = j->n; i > from; i--) {
        if (strcmp(j->entries[i - 1]->type, type) != 0)
            continue;
        if (ret_index)
            *ret_index = i - 1;
        return j->entries[i - 1];
    }
    return NULL;
}

const struct journal_entry *journal_nth(const struct journal *j, const char *type, size_t from, size_t n)
{
    for (size_t i = from; i < j->n; i++) {
        if (strcmp(j->entries[i]->type, type) == 0 && n-- == 0)
            return j->entries[i];
    }
    return NULL;
}
