/* Private to src/repo: writing the files of a tree, byte for byte.
 *
 * One `git cat-file --batch` gives the blobs in order, a few threads of ours write them: making files is what costs,
 * and the kernel makes them in two folders at once. Files get their owner when they are made, and their stat data can
 * be taken along, so that an index needs no second look at them. A tree can be forged (".." or a link and a folder of
 * one name): every name is checked, every folder is entered without following links and every file is created, never
 * opened. */
#pragma once
#include "repo/repo.h"

/* What git's index remembers of a file. */
struct file_stamp {
    uint32_t ctime_s, ctime_ns, mtime_s, mtime_ns, dev, ino, uid, gid, size;
};
/* Entries in git's order. stamps (may be NULL) has room for n; gitlinks become empty folders and get none. */
MUST_USE enum rc export_files(const char *git_dir, const struct repo_entry *entries, size_t n, const char *dir,
                              uid_t uid, gid_t gid, struct file_stamp *stamps, struct err *err);
/* Puts the stamps into an index (version 2) that git wrote for the same entries; it has no checksum then. RC_INVALID:
 * it has another form and is as it was. */
MUST_USE enum rc index_stamp(const char *index, const struct repo_entry *entries, size_t n,
                             const struct file_stamp *stamps, struct err *err);
