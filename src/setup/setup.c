/* Layers: found or made, and removed when nobody wants them any more. */
#include "setup/setup.h"
#include "crypt/hash.h"
#include "os/path.h"
#include "setup/private.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCK_LOOK_MS = 100, PROJECT_LENGTH = 16 };

const char *setup_project(mem *ctx, const char *git_dir)
{
    char hex[HASH_SHA256_HEX];
    hash_sha256_hex(str_of(git_dir), hex);
    return mem_strn(ctx, hex, PROJECT_LENGTH);
}

/* Another process may be making the same layer: waits for it. */
static enum rc lock_wait(mem *ctx, const struct setup_spec *spec, const char *key, int *ret_fd, struct err *err)
{
    CLEANUP_FD int fd =
        open(mem_printf(ctx, "%s/%s.lock", spec->layers, key), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_sys(err, errno, "Could not lock the layer %s", key);
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        struct pollfd p = {.fd = spec->cancel_fd, .events = POLLIN};
        if (errno != EWOULDBLOCK && errno != EINTR)
            return err_sys(err, errno, "Could not lock the layer %s", key);
        if (poll(&p, 1, LOCK_LOOK_MS) > 0)
            return err_set(err, RC_CANCELLED, "Waiting for a layer was cancelled");
    }
    *ret_fd = fd_take(&fd);
    return RC_OK;
}

static enum rc layer_get(mem *ctx, const struct setup_spec *spec, const struct layer_key *key, struct setup_layer *ret,
                         struct err *err)
{
    CLEANUP_FD int lock = -1;
    enum rc rc = layer_read(ctx, spec->layers, key->hex, ret, err);
    if (rc != RC_NOT_FOUND)
        return rc;
    rc = path_mkdirs(spec->layers, 0700, err);
    if (rc == RC_OK)
        rc = lock_wait(ctx, spec, key->hex, &lock, err);
    if (rc != RC_OK)
        return rc;
    rc = layer_read(ctx, spec->layers, key->hex, ret, err); /* by whoever held the lock */
    return rc == RC_NOT_FOUND ? layer_make(ctx, spec, key, ret, err) : rc;
}

enum rc setup_layer_find(mem *ctx, const char *layers, const char *key, struct setup_layer *ret, struct err *err)
{
    if (!*key || strspn(key, "0123456789abcdef") != strlen(key))
        return err_set(err, RC_NOT_FOUND, "There is no such layer");
    return layer_read(ctx, layers, key, ret, err);
}

enum rc setup_layer(mem *ctx, const struct setup_spec *spec, const char *tree, struct setup_layer *ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct layer_key key;
    struct repo_entry *files;
    size_t n;
    *ret = (struct setup_layer){.key = "", .notes = ""};
    if (!spec->commands || !spec->commands[0])
        return RC_OK;
    enum rc rc = key_make(tmp, spec, tree, false, &key, &files, &n, err);
    if (rc == RC_OK)
        rc = layer_get(ctx, spec, &key, ret, err);
    if (rc != RC_OK || key.own || ret->failed)
        return rc;
    for (size_t i = 0; i < ret->n; i++)
        if (key_collides(files, n, ret->mounts[i].target + strlen("/workspace/"))) {
            rc = key_make(tmp, spec, tree, true, &key, NULL, NULL, err);
            return rc == RC_OK ? layer_get(ctx, spec, &key, ret, err) : rc;
        }
    return RC_OK;
}

/* ---- removing ---- */

static enum rc layer_remove(mem *ctx, const char *folder, int64_t before_s, bool *ret_gone, struct err *err)
{
    struct stat st;
    const char *gone = mem_printf(ctx, "%s.new", folder);
    /* Without its file it is half removed, or never was finished. */
    if (stat(mem_printf(ctx, "%s/about", folder), &st) == 0 && st.st_mtim.tv_sec >= before_s)
        return RC_OK;
    CLEANUP_FD int lock = open(mem_printf(ctx, "%s.lock", folder), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0)
        return RC_OK; /* somebody makes it right now */
    enum rc rc = path_remove_tree(gone, err);
    if (rc == RC_OK && rename(folder, gone) < 0)
        rc = err_sys(err, errno, "Could not remove the layer %s", folder);
    if (rc == RC_OK)
        rc = path_remove_tree(gone, err);
    *ret_gone = rc == RC_OK;
    return rc;
}

static bool key_plain(const char *name)
{
    return strlen(name) == 64 && strspn(name, "0123456789abcdef") == 64;
}

static enum rc project_trim(const char *dir, int64_t before_s, int64_t *ret_n, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    enum rc rc = RC_OK;
    DIR *d = opendir(dir);
    if (!d)
        return errno == ENOENT || errno == ENOTDIR ? RC_OK : err_sys(err, errno, "Could not read the folder %s", dir);
    for (struct dirent *e; rc == RC_OK && (e = readdir(d));) {
        bool gone = false;
        if (key_plain(e->d_name))
            rc = layer_remove(tmp, mem_printf(tmp, "%s/%s", dir, e->d_name), before_s, &gone, err);
        *ret_n += gone;
    }
    closedir(d);
    return rc;
}

enum rc setup_trim(const char *dir, int64_t now_s, int64_t unused_s, int64_t *ret_n, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    enum rc rc = RC_OK;
    *ret_n = 0;
    DIR *d = opendir(dir);
    if (!d)
        return errno == ENOENT ? RC_OK : err_sys(err, errno, "Could not read the folder %s", dir);
    for (struct dirent *e; rc == RC_OK && (e = readdir(d));)
        if (e->d_name[0] != '.')
            rc = project_trim(mem_printf(tmp, "%s/%s", dir, e->d_name), now_s - unused_s, ret_n, err);
    closedir(d);
    return rc;
}
