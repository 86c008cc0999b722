/* What a task changed: the list of files with its counts first, the hunks of one file when they are asked for. */
#include "api/download.h"
#include "api/route_rows.h"
#include "api/task_tree.h"
#include "repo/repo.h"

#define FILES_MOST      5000
#define DIFF_MOST       (2 << 20) /* bytes of one file's difference that are shown as hunks */
#define DIFF_WHOLE_MOST (32 << 20)
#define LINES_MOST      20000
#define LINE_MOST       4096

struct between {
    struct task task;
    const char *git_dir, *base, *commit;
    int64_t iteration;
};

static enum rc between_read(struct route_call *c, struct between *b)
{
    int64_t iteration, from;
    enum rc rc = query_iteration(c, "iteration", &iteration);
    if (rc == RC_OK)
        rc = query_iteration(c, "from", &from);
    if (rc == RC_OK)
        rc = task_find(c->ctx, c->server->store, c->param, &b->task, &c->err);
    if (rc == RC_OK)
        rc = task_git_dir(c, &b->git_dir);
    if (rc == RC_OK)
        rc = task_commit(c, &b->task, b->git_dir, iteration, &b->commit, &b->iteration);
    if (rc != RC_OK)
        return rc;
    if (!from) {
        b->base = task_base(c, &b->task);
        return RC_OK;
    }
    int64_t ignored;
    return task_commit(c, &b->task, b->git_dir, from, &b->base, &ignored);
}

/* Files that tools write: folded where they are shown. */
static bool path_is_lock(const char *path)
{
    static const char *const names[] = {
        "package-lock.json", "npm-shrinkwrap.json", "yarn.lock",   "pnpm-lock.yaml", "bun.lock",
        "bun.lockb",         "Cargo.lock",          "poetry.lock", "uv.lock",        "Pipfile.lock",
        "Gemfile.lock",      "composer.lock",       "go.sum",      "flake.lock",     "mix.lock",
        "pubspec.lock"};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool path_is_generated(const char *path)
{
    static const char *const ends[] = {".min.js", ".min.css", ".map",    ".snap",
                                       ".pb.go",  "_pb2.py",  ".g.dart", ".generated.ts"};
    static const char *const folders[] = {"dist", "node_modules", "vendor", "__generated__", ".next", "target"};
    struct str rest = str_of(path), part;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (str_ends(rest, str_of(ends[i])))
            return true;
    while (str_next(&rest, '/', &part) && rest.n)
        for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
            if (str_eqz(part, folders[i]))
                return true;
    return false;
}

static const char *status_word(char status)
{
    return status == 'A' ? "added" : status == 'D' ? "deleted" : status == 'T' ? "type" : "modified";
}

static void change_members(struct json_out *o, const struct repo_change *f)
{
    jo_kz(o, "path", f->path);
    jo_kz(o, "status", status_word(f->status));
    jo_ki(o, "added", f->added < 0 ? 0 : f->added);
    jo_ki(o, "removed", f->removed < 0 ? 0 : f->removed);
    jo_kb(o, "binary", f->added < 0);
    jo_kb(o, "generated", path_is_generated(f->path));
    jo_kb(o, "lock", path_is_lock(f->path));
}

static void iteration_member(struct json_out *o, int64_t iteration)
{
    jo_key(o, "iteration");
    if (iteration)
        jo_int(o, iteration);
    else
        jo_null(o);
}

static enum rc task_changes(struct route_call *c)
{
    struct between b = {0};
    struct repo_change *files = NULL;
    size_t n = 0;
    int64_t added = 0, removed = 0;
    enum rc rc = between_read(c, &b);
    if (rc == RC_OK)
        rc = repo_changes(c->ctx, b.git_dir, b.base, b.commit, &files, &n, &c->err);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < n; i++) {
        added += files[i].added > 0 ? files[i].added : 0;
        removed += files[i].removed > 0 ? files[i].removed : 0;
    }
    struct json_out *o = &c->out;
    jo_obj(o);
    jo_kz(o, "base", b.base);
    jo_kz(o, "commit", b.commit);
    iteration_member(o, b.iteration);
    jo_ki(o, "files_count", (int64_t)n);
    jo_ki(o, "added", added);
    jo_ki(o, "removed", removed);
    jo_kb(o, "truncated", n > FILES_MOST);
    jo_key(o, "files");
    jo_arr(o);
    for (size_t i = 0; i < n && i < FILES_MOST; i++) {
        jo_obj(o);
        change_members(o, &files[i]);
        jo_end_obj(o);
    }
    jo_end_arr(o);
    jo_end_obj(o);
    return RC_OK;
}

/* ---- hunks (unified format of diff) ---- */

struct hunk {
    int64_t old_start, old_lines, new_start, new_lines;
    struct str heading;
};

static bool span_read(struct str *s, char sign, int64_t *ret_start, int64_t *ret_lines)
{
    size_t n = 1;
    struct str start, whole;
    if (!s->n || s->p[0] != sign)
        return false;
    while (n < s->n && s->p[n] != ' ')
        n++;
    whole = str_n(s->p + 1, n - 1);
    *s = str_sub(*s, n, SIZE_MAX);
    *ret_lines = 1;
    if (!str_next(&whole, ',', &start) || !str_int(start, 0, INT64_MAX, ret_start))
        return false;
    return !whole.n || str_int(whole, 0, INT64_MAX, ret_lines);
}

static bool hunk_read(struct str line, struct hunk *ret)
{
    if (!str_starts(line, STR("@@ ")))
        return false;
    line = str_sub(line, 3, SIZE_MAX);
    if (!span_read(&line, '-', &ret->old_start, &ret->old_lines))
        return false;
    line = str_trim(line);
    if (!span_read(&line, '+', &ret->new_start, &ret->new_lines))
        return false;
    long end = str_find(line, STR("@@"));
    ret->heading = end < 0 ? STR("") : str_trim(str_sub(line, (size_t)end + 2, SIZE_MAX));
    return true;
}

static void hunk_begin(struct json_out *o, const struct hunk *h)
{
    jo_obj(o);
    jo_ki(o, "old_start", h->old_start);
    jo_ki(o, "old_lines", h->old_lines);
    jo_ki(o, "new_start", h->new_start);
    jo_ki(o, "new_lines", h->new_lines);
    jo_ks(o, "heading", h->heading);
    jo_key(o, "lines");
    jo_arr(o);
}

static void hunk_end(struct json_out *o, bool open)
{
    if (!open)
        return;
    jo_end_arr(o);
    jo_end_obj(o);
}

static void hunk_line(struct json_out *o, struct str line)
{
    size_t keep = str_utf8_cut(str_sub(line, 1, SIZE_MAX), LINE_MOST);
    jo_obj(o);
    jo_ks(o, "kind", str_sub(line, 0, 1));
    jo_ks(o, "text", str_sub(line, 1, keep));
    if (keep + 1 < line.n)
        jo_ki(o, "cut", (int64_t)(line.n - 1 - keep));
    jo_end_obj(o);
}

/* The hunks; *ret_cut: there are more lines. */
static void hunks_json(struct json_out *o, struct str diff, bool *ret_cut)
{
    struct str line;
    struct hunk h = {0};
    bool open = false;
    int64_t old_left = 0, new_left = 0, lines = 0;
    jo_key(o, "hunks");
    jo_arr(o);
    while (str_next(&diff, '\n', &line)) {
        if (old_left <= 0 && new_left <= 0) {
            if (!hunk_read(line, &h))
                continue; /* heads of files, and the mark of a last line without an end */
            hunk_end(o, open);
            hunk_begin(o, &h);
            open = true;
            old_left = h.old_lines;
            new_left = h.new_lines;
            continue;
        }
        if (!line.n || !strchr(" +-", line.p[0]))
            continue; /* "\ No newline at end of file" */
        old_left -= line.p[0] != '+';
        new_left -= line.p[0] != '-';
        if (++lines <= LINES_MOST)
            hunk_line(o, line);
    }
    hunk_end(o, open);
    jo_end_arr(o);
    *ret_cut = lines > LINES_MOST || old_left > 0 || new_left > 0;
}

static enum rc task_change_file(struct route_call *c)
{
    struct between b = {0};
    struct repo_change *files = NULL;
    const struct repo_change *f = NULL;
    size_t n = 0;
    const char *path;
    struct str diff = {0};
    enum rc rc = query_path(c, &path);
    if (rc == RC_OK && !*path)
        rc = err_set(&c->err, RC_INVALID, "say which file: path=NAME");
    if (rc == RC_OK)
        rc = between_read(c, &b);
    if (rc == RC_OK)
        rc = repo_changes(c->ctx, b.git_dir, b.base, b.commit, &files, &n, &c->err);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        if (strcmp(files[i].path, path) == 0)
            f = &files[i];
    if (rc == RC_OK && !f)
        rc = err_set(&c->err, RC_NOT_FOUND, "this file was not changed");
    const char *const paths[] = {path, NULL};
    if (rc == RC_OK && f->added >= 0)
        rc = repo_diff(c->ctx, b.git_dir, b.base, b.commit, paths, DIFF_MOST, &diff, &c->err);
    if (rc != RC_OK)
        return rc;
    bool cut = false, large = diff.n >= DIFF_MOST;
    struct json_out *o = &c->out;
    jo_obj(o);
    change_members(o, f);
    jo_kz(o, "base", b.base);
    jo_kz(o, "commit", b.commit);
    iteration_member(o, b.iteration);
    jo_ki(o, "bytes", (int64_t)diff.n);
    hunks_json(o, diff, &cut);
    jo_kb(o, "too_large", large || cut);
    jo_end_obj(o);
    return RC_OK;
}

static enum rc diff_open(struct route_call *c, struct download *d)
{
    struct between b = {0};
    struct str diff = {0};
    enum rc rc = between_read(c, &b);
    if (rc == RC_OK)
        rc = repo_diff(c->ctx, b.git_dir, b.base, b.commit, NULL, DIFF_WHOLE_MOST, &diff, &c->err);
    if (rc == RC_OK && diff.n >= DIFF_WHOLE_MOST) /* a part of it would be no patch */
        rc = err_set(&c->err, RC_LIMIT, "the difference is larger than %d MiB", DIFF_WHOLE_MOST >> 20);
    if (rc != RC_OK)
        return rc;
    d->name = mem_printf(c->ctx, "task-%s.patch", c->param);
    d->type = "text/x-diff; charset=utf-8";
    return download_bytes(d, diff, &c->err);
}

static void task_changes_raw(struct route_call *c)
{
    download_begin(c, diff_open);
}

const struct route route_task_changes = {"GET",
                                         "/api/v1/tasks/:id/changes",
                                         "the files that it changed, with counts",
                                         task_changes,
                                         .access = ACCESS_READ,
                                         .narrow = NARROW_TASK,
                                         .query = "iteration from",
                                         .gives = "TaskChanges"};
const struct route route_task_change_file = {"GET",
                                             "/api/v1/tasks/:id/changes/file",
                                             "how it changed one file, in hunks",
                                             task_change_file,
                                             .access = ACCESS_READ,
                                             .narrow = NARROW_TASK,
                                             .query = "path iteration from",
                                             .gives = "TaskChangedFile"};
const struct route route_task_changes_raw = {"GET",
                                             "/api/v1/tasks/:id/changes/raw",
                                             "the whole difference as a patch file",
                                             NULL,
                                             task_changes_raw,
                                             .access = ACCESS_READ,
                                             .narrow = NARROW_TASK,
                                             .query = "iteration from",
                                             .gives = "text/x-diff"};
