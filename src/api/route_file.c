/* The files of a task: of its workspace as it is now, or of a commit. Beneath the workspace only, whatever links an
 * agent planted there (os/path.h). */
#include "api/download.h"
#include "api/route_rows.h"
#include "api/task_tree.h"
#include "os/path.h"
#include "repo/repo.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define ENTRIES_MOST 5000
#define TEXT_MOST    (1 << 20)
#define RAW_MOST     (64 << 20)

/* What a query means: a commit, or (NULL) the workspace. */
struct place_asked {
    struct task task;
    const char *path, *commit, *dir;
};

static bool is_commit(const char *s)
{
    size_t n = strspn(s, "0123456789abcdef");
    return !s[n] && n >= 7 && n <= 64;
}

static enum rc asked_read(struct route_call *c, struct place_asked *a)
{
    int64_t iteration, left;
    const char *commit = route_query(c, "commit");
    enum rc rc = query_path(c, &a->path);
    if (rc == RC_OK)
        rc = query_iteration(c, "iteration", &iteration);
    if (rc == RC_OK && commit && !is_commit(commit))
        rc = err_set(&c->err, RC_INVALID, "commit is the id of one, in hexadecimal digits");
    if (rc == RC_OK)
        rc = task_find(c->ctx, c->server->store, c->param, &a->task, &c->err);
    if (rc != RC_OK)
        return rc;
    if (!commit && !iteration)
        return task_work_dir(c, &a->dir);
    rc = task_git_dir(c, &a->dir);
    if (rc == RC_OK && iteration)
        rc = task_commit(c, &a->task, a->dir, iteration, &a->commit, &left);
    else if (rc == RC_OK)
        rc = repo_resolve(c->ctx, a->dir, commit, &a->commit, &c->err);
    return rc;
}

/* ---- a folder ---- */

static const char *kind_word(unsigned mode)
{
    return mode == 0120000 ? "link" : mode == 0160000 ? "submodule" : "file";
}

struct listing {
    struct route_call *c;
    const char *path; /* of the folder */
    size_t n;
    bool cut, found;
};

static void entry_json(struct listing *l, struct str name, const char *kind, int64_t size, unsigned mode)
{
    struct json_out *o = &l->c->out;
    if (l->n == ENTRIES_MOST) {
        l->cut = true;
        return;
    }
    l->n++;
    jo_obj(o);
    jo_ks(o, "name", name);
    jo_kz(o, "kind", kind);
    jo_key(o, "size");
    if (size < 0)
        jo_null(o);
    else
        jo_int(o, size);
    jo_kz(o, "mode", mem_printf(l->c->ctx, "%06o", mode));
    jo_end_obj(o);
}

static int live_entry(void *arg, const char *path, enum path_kind kind, const struct stat *st)
{
    static const char *const kinds[] = {"file", "folder", "link", "other"};
    struct listing *l = arg;
    if (strcmp(path, l->path) == 0) {
        l->found = kind == PATH_DIR;
        return l->found ? 0 : 1;
    }
    const char *slash = strrchr(path, '/');
    entry_json(l, str_of(slash ? slash + 1 : path), kinds[kind], kind == PATH_FILE ? (int64_t)st->st_size : -1,
               st->st_mode & 0177777);
    return l->cut ? -1 : 1;
}

static enum rc live_list(struct listing *l, const char *dir)
{
    CLEANUP_FD int root = -1;
    enum rc rc = path_open_root(dir, &root, &l->c->err);
    if (rc == RC_OK)
        rc = path_walk(root, l->path, live_entry, l, &l->c->err);
    l->found = l->found || !*l->path;
    return rc;
}

/* Entries come in byte order of whole paths, so those of one folder stand together. */
static enum rc commit_list(struct listing *l, const struct place_asked *a)
{
    struct repo_entry *entries;
    size_t n, below = strlen(a->path) + (*a->path != 0);
    struct str last = {0};
    enum rc rc = repo_list(l->c->ctx, a->dir, a->commit, &entries, &n, &l->c->err);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        struct str rest = str_of(entries[i].path), name;
        if (*a->path) {
            if (!str_starts(rest, str_of(a->path)) || rest.n <= below || rest.p[below - 1] != '/')
                continue;
            rest = str_sub(rest, below, SIZE_MAX);
        }
        l->found = true;
        str_next(&rest, '/', &name);
        bool folder = name.p + name.n < entries[i].path + strlen(entries[i].path);
        if (folder && str_eq(name, last))
            continue;
        last = name;
        entry_json(l, name, folder ? "folder" : kind_word(entries[i].mode), -1, folder ? 040000 : entries[i].mode);
    }
    l->found = l->found || !*a->path;
    return rc;
}

static enum rc task_files(struct route_call *c)
{
    struct place_asked a = {0};
    enum rc rc = asked_read(c, &a);
    if (rc != RC_OK)
        return rc;
    struct listing l = {.c = c, .path = a.path};
    jo_obj(&c->out);
    jo_kz(&c->out, "path", a.path);
    jo_kz(&c->out, "commit", a.commit);
    jo_key(&c->out, "entries");
    jo_arr(&c->out);
    rc = a.commit ? commit_list(&l, &a) : live_list(&l, a.dir);
    jo_end_arr(&c->out);
    jo_kb(&c->out, "truncated", l.cut);
    jo_end_obj(&c->out);
    if (rc == RC_OK && !l.found)
        rc = err_set(&c->err, RC_NOT_FOUND, "there is no such folder");
    return rc;
}

/* ---- a file ---- */

static enum rc contents(struct route_call *c, const struct place_asked *a, size_t most, struct str *ret,
                        int64_t *ret_size)
{
    if (!*a->path)
        return err_set(&c->err, RC_INVALID, "say which file: path=NAME");
    if (!a->commit) {
        CLEANUP_FD int root = -1;
        enum rc rc = path_open_root(a->dir, &root, &c->err);
        return rc == RC_OK ? path_read(c->ctx, root, a->path, most, ret, ret_size, &c->err) : rc;
    }
    enum rc rc = repo_blob(c->ctx, a->dir, a->commit, a->path, RAW_MOST, ret, &c->err);
    if (rc != RC_OK)
        return rc;
    *ret_size = (int64_t)ret->n;
    if (ret->n > most)
        ret->n = most;
    return RC_OK;
}

static enum rc task_file(struct route_call *c)
{
    struct place_asked a = {0};
    struct str bytes = {0};
    int64_t size = 0;
    enum rc rc = asked_read(c, &a);
    if (rc == RC_OK)
        rc = contents(c, &a, TEXT_MOST, &bytes, &size);
    if (rc != RC_OK)
        return rc;
    bool cut = size > (int64_t)bytes.n;
    if (cut)
        bytes.n = str_utf8_cut(bytes, bytes.n);
    bool binary = memchr(bytes.p, 0, bytes.n) || !str_utf8(bytes);
    jo_obj(&c->out);
    jo_kz(&c->out, "path", a.path);
    jo_kz(&c->out, "commit", a.commit);
    jo_ki(&c->out, "size", size);
    jo_kb(&c->out, "binary", binary);
    jo_key(&c->out, "text");
    if (binary)
        jo_null(&c->out);
    else
        jo_str(&c->out, bytes);
    jo_kb(&c->out, "truncated", cut);
    jo_end_obj(&c->out);
    return RC_OK;
}

/* The bytes as they are: through a nameless file, so that a file that is written meanwhile is sent as it was. */
static enum rc file_open(struct route_call *c, struct download *d)
{
    struct place_asked a = {0};
    struct str bytes = {0};
    int64_t size = 0;
    enum rc rc = asked_read(c, &a);
    if (rc == RC_OK)
        rc = contents(c, &a, RAW_MOST, &bytes, &size);
    if (rc == RC_OK && size > (int64_t)bytes.n)
        rc = err_set(&c->err, RC_LIMIT, "the file is larger than %d MiB", RAW_MOST >> 20);
    if (rc != RC_OK)
        return rc;
    const char *slash = strrchr(a.path, '/');
    d->name = slash ? slash + 1 : a.path;
    d->type = "application/octet-stream";
    return download_bytes(d, bytes, &c->err);
}

static void task_file_raw(struct route_call *c)
{
    download_begin(c, file_open);
}

const struct route route_task_files = {"GET",
                                       "/api/v1/tasks/:id/files",
                                       "a folder of its workspace as it is now, or of a commit",
                                       task_files,
                                       .access = ACCESS_READ,
                                       .narrow = NARROW_TASK,
                                       .query = "path commit iteration",
                                       .gives = "TaskFiles"};
const struct route route_task_file = {"GET",
                                      "/api/v1/tasks/:id/file",
                                      "a file of its workspace as it is now, or of a commit",
                                      task_file,
                                      .access = ACCESS_READ,
                                      .narrow = NARROW_TASK,
                                      .query = "path commit iteration",
                                      .gives = "TaskFile"};
const struct route route_task_file_raw = {"GET",
                                          "/api/v1/tasks/:id/file/raw",
                                          "the bytes of a file as a file",
                                          NULL,
                                          task_file_raw,
                                          .access = ACCESS_READ,
                                          .narrow = NARROW_TASK,
                                          .query = "path commit iteration",
                                          .gives = "application/octet-stream"};
