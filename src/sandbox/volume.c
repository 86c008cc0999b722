/* Cache volumes: folders by project, phase and kind.
 *
 *     <dir>/<project>/<phase>/<kind>        what is mounted
 *     <dir>/<project>/<phase>/<kind>.lock   shared by users, exclusive while it is emptied; its time is the last use
 *     <dir>/<project>/<phase>/<kind>.old    what was taken away and is being removed */
#include "sandbox/volume.h"
#include "os/path.h"
#include "sandbox/disk.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum { VOLUMES_MAX = 100000 }; /* below one folder */

static const char *const kinds[VOLUME_KINDS] = {"npm", "pip", "cargo", "ccache"};
static const char *const variables[] = {"npm_config_cache=/cache/npm", "PIP_CACHE_DIR=/cache/pip",
                                        "CARGO_HOME=/cache/cargo",     "CCACHE_DIR=/cache/ccache",
                                        "CCACHE_MAXSIZE=2G",           NULL};
static const char *const phases[] = {[VOLUME_WORK] = "work", [VOLUME_SETUP] = "setup"};

/* ---- use ---- */

static enum rc kind_open(mem *ctx, const struct volume_spec *spec, size_t i, struct volumes *v, struct err *err)
{
    const char *folder = mem_printf(ctx, "%s/%s/%s", spec->dir, spec->project, phases[spec->phase]);
    const char *path = mem_printf(ctx, "%s/%s", folder, kinds[i]);
    enum rc rc = path_mkdirs(folder, 0700, err);
    if (rc != RC_OK)
        return rc;
    int lock = open(mem_printf(ctx, "%s.lock", path), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0)
        return err_sys(err, errno, "Could not open the cache volume %s", path);
    v->locks[v->n] = lock;
    v->mounts[v->n++] = (struct sandbox_mount){path, mem_printf(ctx, "/cache/%s", kinds[i]), true};
    if (flock(lock, LOCK_SH) < 0 || futimens(lock, NULL) < 0)
        return err_sys(err, errno, "Could not take the cache volume %s", path);
    struct stat st;
    uid_t uid;
    gid_t gid;
    sandbox_owner(spec->user, &uid, &gid);
    if ((mkdir(path, 0700) < 0 && errno != EEXIST) || lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return err_sys(err, errno ? errno : ENOTDIR, "Could not make the cache volume %s", path);
    return st.st_uid == uid ? RC_OK : sandbox_give(path, spec->user, err); /* empty as yet: made just now */
}

enum rc volume_open(mem *ctx, const struct volume_spec *spec, struct volumes *ret, struct err *err)
{
    enum rc rc = RC_OK;
    *ret = (struct volumes){.env = variables};
    if (!spec->project[0] || strchr(spec->project, '/') || spec->project[0] == '.')
        return err_set(err, RC_INVALID, "\"%s\" cannot name the cache volumes of a project", spec->project);
    for (size_t i = 0; i < VOLUME_KINDS && rc == RC_OK; i++)
        rc = kind_open(ctx, spec, i, ret, err);
    if (rc != RC_OK)
        volume_close(ret);
    return rc;
}

void volume_close(struct volumes *v)
{
    while (v->n > 0)
        close(v->locks[--v->n]);
}

/* ---- keeping them small ---- */

struct volume {
    char *path;
    int64_t used_s, bytes; /* last use; size, -1 unknown */
};
struct census {
    mem *ctx;
    struct volume *v;
    size_t n, room;
};

static void census_add(struct census *c, char *path, const struct stat *lock)
{
    if (c->n == c->room)
        c->v = mem_grow(c->ctx, c->v, (c->room = c->room ? c->room * 2 : 64) * sizeof *c->v);
    c->v[c->n++] = (struct volume){path, lock->st_mtim.tv_sec, -1};
}

static int locks_visit(void *arg, const char *path, enum path_kind kind, const struct stat *st)
{
    struct census *c = arg;
    size_t n = strlen(path), depth = 0;
    for (const char *p = path; *p; p++)
        depth += *p == '/';
    if (kind == PATH_FILE && depth == 2 && n > 5 && strcmp(path + n - 5, ".lock") == 0 && c->n < VOLUMES_MAX)
        census_add(c, mem_strn(c->ctx, path, n - 5), st);
    return kind == PATH_DIR && depth >= 2; /* what is in a volume is not ours to read */
}

/* True when it was in use: then nothing was done. */
static bool volume_empty(mem *ctx, const char *path, enum rc *rc, struct err *err)
{
    const char *old = mem_printf(ctx, "%s.old", path);
    CLEANUP_FD int lock = open(mem_printf(ctx, "%s.lock", path), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0)
        return true;
    /* What an earlier process left goes first, or it would stand in the way. */
    for (int i = 0; i < 2 && *rc == RC_OK; i++) {
        if (i && rename(path, old) < 0) {
            if (errno != ENOENT)
                *rc = err_sys(err, errno, "Could not empty the cache volume %s", path);
            break;
        }
        if (access(old, F_OK) != 0)
            continue;
        *rc = sandbox_take(old, err);
        if (*rc == RC_OK)
            *rc = path_remove_tree(old, err);
    }
    return false;
}

static int by_use(const void *a, const void *b)
{
    const struct volume *x = a, *y = b;
    return x->used_s < y->used_s ? -1 : x->used_s > y->used_s;
}

enum rc volume_trim(const char *dir, const struct volume_caps *caps, int64_t *ret_freed, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    CLEANUP_FD int root = -1;
    struct census c = {.ctx = tmp};
    int64_t now_s = time(NULL), total = 0;
    *ret_freed = 0;
    if (access(dir, F_OK) != 0)
        return RC_OK;
    enum rc rc = path_open_root(dir, &root, err);
    if (rc == RC_OK)
        rc = path_walk(root, "", locks_visit, &c, err);
    for (size_t i = 0; rc == RC_OK && i < c.n; i++) {
        c.v[i].path = mem_printf(tmp, "%s/%s", dir, c.v[i].path);
        c.v[i].bytes = disk_usage(c.v[i].path);
        total += c.v[i].bytes > 0 && c.v[i].bytes < INT64_MAX ? c.v[i].bytes : 0;
    }
    if (c.n)
        qsort(c.v, c.n, sizeof *c.v, by_use);
    for (size_t i = 0; rc == RC_OK && i < c.n; i++) {
        struct volume *v = &c.v[i];
        bool goes = v->bytes > caps->each_bytes || total > caps->total_bytes || now_s - v->used_s > caps->unused_s;
        if (!goes || v->bytes <= 0 || volume_empty(tmp, v->path, &rc, err))
            continue;
        int64_t bytes = v->bytes == INT64_MAX ? 0 : v->bytes;
        total -= bytes;
        *ret_freed += bytes;
    }
    return rc;
}
