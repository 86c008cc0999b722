/* Stat data in git's index: the one place that touches the file's bytes (format: gitformat-index(5), version 2).
 *
 * git fills these fields when it checks a file out or has compared its contents. We wrote the files ourselves, from the
 * very blobs that the index names, so what git would find out by reading everything again is known. */
#include "os/path.h"
#include "repo/export.h"
#include <endian.h>
#include <fcntl.h>
#include <sys/stat.h>

enum {
    HEADER_BYTES = 12,
    STAT_BYTES = 40, /* ten 32-bit numbers before the object's name */
    INDEX_MAX = 120 << 20,
};

static void put32(char *at, uint32_t v)
{
    v = htobe32(v);
    memcpy(at, &v, sizeof v);
}

static uint32_t get32(const char *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof v);
    return be32toh(v);
}

static void stamp_put(char *at, const struct file_stamp *s)
{
    put32(at + 0, s->ctime_s);
    put32(at + 4, s->ctime_ns);
    put32(at + 8, s->mtime_s);
    put32(at + 12, s->mtime_ns);
    put32(at + 16, s->dev);
    put32(at + 20, s->ino);
    /* 24: mode, which stays */
    put32(at + 28, s->uid);
    put32(at + 32, s->gid);
    put32(at + 36, s->size);
}

/* Walks the entries beside ours; false when the file is not what we expect. */
static bool stamp_all(char *p, size_t size, const struct repo_entry *entries, size_t n, const struct file_stamp *stamps)
{
    size_t hash = n ? strlen(entries[0].oid) / 2 : 20, at = HEADER_BYTES, fixed = STAT_BYTES + hash + 2;
    if (size < HEADER_BYTES + hash || memcmp(p, "DIRC", 4) != 0 || get32(p + 4) != 2 || get32(p + 8) != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        size_t name = strlen(entries[i].path), whole = (fixed + name + 8) & ~(size_t)7; /* one NUL at least */
        if (whole > size - hash - at || memcmp(p + at + fixed, entries[i].path, name + 1) != 0)
            return false;
        if (entries[i].mode != 0160000)
            stamp_put(p + at, &stamps[i]);
        at += whole;
    }
    /* All zeros: "no checksum" (index.skipHash). git checks it only in fsck, and writes a real one at the next change.
     */
    memset(p + size - hash, 0, hash);
    return true;
}

enum rc index_stamp(const char *index, const struct repo_entry *entries, size_t n, const struct file_stamp *stamps,
                    struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct str text;
    enum rc rc = path_slurp(tmp, index, INDEX_MAX, &text, err);
    if (rc != RC_OK)
        return rc;
    char *bytes = mem_move(tmp, (char *)text.p);
    if (!stamp_all(bytes, text.n, entries, n, stamps))
        return err_set(err, RC_INVALID, "The index %s is not in the form that is expected", index);
    const char *slash = strrchr(index, '/');
    CLEANUP_FD int dir = -1;
    rc = path_open_root(mem_strn(tmp, index, (size_t)(slash - index)), &dir, err);
    return rc == RC_OK ? path_write(dir, slash + 1, text, 0644, (uid_t)-1, (gid_t)-1, err) : rc;
}
