/* Files beneath a root. Nothing here follows a path out of its root: openat2(2) with RESOLVE_BENEATH and
 * RESOLVE_NO_MAGICLINKS; symbolic links that stay inside are followed unless `no_links`. Only regular files are opened
 * for reading and writing (a FIFO or device is RC_INVALID and never blocks). Paths are relative, at most PATH_MAX,
 * bytes (no encoding is assumed). A path that leads out of its root is RC_DENIED. Sizes to read are at most 128 MiB
 * (memory of one piece). */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include <sys/stat.h>

/* Names of temporary files begin so; one that a crash left behind may be removed. */
#define PATH_TEMP_PREFIX ".nightmill-tmp-"

MUST_USE enum rc path_open_root(const char *dir, int *ret_fd, struct err *err); /* O_PATH|O_DIRECTORY|O_CLOEXEC */
MUST_USE enum rc path_open_file(int root, const char *path, bool no_links, int *ret_fd, struct stat *ret_st,
                                struct err *err);
/* Reads up to max bytes; *ret_size is the whole size. Contents in ctx. */
MUST_USE enum rc path_read(mem *ctx, int root, const char *path, size_t max, struct str *ret, int64_t *ret_size,
                           struct err *err);
/* Replaces or creates: parents are made, the new contents appear at once (temporary name in the same folder, rename),
 * an existing file's mode is kept, `mode` is given to a new one (permission bits only, no umask); a symbolic link at
 * the end is followed only inside the root and only to what exists (a dangling one is RC_DENIED). uid/gid (uid_t)-1:
 * unchanged. */
MUST_USE enum rc path_write(int root, const char *path, struct str contents, mode_t mode, uid_t uid, gid_t gid,
                            struct err *err);
/* For our own data folder: absolute path, temporary file + fsync + rename + fsync of the folder. */
MUST_USE enum rc path_write_durable(const char *path, struct str contents, mode_t mode, struct err *err);
MUST_USE enum rc path_slurp(mem *ctx, const char *path, size_t max, struct str *ret,
                            struct err *err);                                /* RC_LIMIT when larger */
MUST_USE enum rc path_mkdirs(const char *dir, mode_t mode, struct err *err); /* absolute, with parents */
/* Removes a tree without following links and without crossing into mounts; a missing one is fine; entries with mode 0
 * too. */
MUST_USE enum rc path_remove_tree(const char *path, struct err *err);

enum path_kind { PATH_FILE, PATH_DIR, PATH_LINK, PATH_OTHER };
/* Depth-first in byte order of names, links not followed. `start` "" or ".": what is in the root; else start itself
 * comes first. Folders that may not be read, and what lies deeper than PATH_MAX, are left out. The path given to visit
 * is valid during the call. visit: 0 go on, 1 do not descend, -1 stop. */
MUST_USE enum rc path_walk(int root, const char *start,
                           int (*visit)(void *arg, const char *path, enum path_kind kind, const struct stat *st),
                           void *arg, struct err *err);

/* Advisory lock on a file of ours (created 0600), held until the descriptor is closed or the process ends. RC_CONFLICT
 * when held by another; *ret_holder (may be NULL) is then its process id. */
MUST_USE enum rc path_lock(const char *path, int *ret_fd, pid_t *ret_holder, struct err *err);
