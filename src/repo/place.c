/* Finding a repository and the object folders that it borrows from. Not here: anything that git itself must say. */
#include "repo/place.h"
#include "os/path.h"
#include "repo/git.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    GITFILE_MAX = 64 * 1024,
    ALTERNATE_DEPTH = 5, /* as git */
    ALTERNATE_MAX = 64,
};

static bool exists(mem *ctx, const char *dir, const char *name)
{
    char *path = mem_printf(ctx, "%s/%s", dir, name);
    bool is = access(path, F_OK) == 0;
    mem_free(path);
    return is;
}

static bool is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* `text` as a path, relative to `base`; real, in ctx; NULL when it is not there. */
static const char *path_real(mem *ctx, const char *base, struct str text)
{
    char *joined = text.n && text.p[0] == '/' ? str_dup(ctx, text) : mem_printf(ctx, "%s/%.*s", base, STR_FMT(text));
    char *real = strlen(joined) == text.n || text.p[0] != '/' ? realpath(joined, NULL) : NULL; /* no NUL inside */
    if (!real)
        return NULL;
    const char *copy = mem_str(ctx, real);
    free(real);
    return copy;
}

/* Folder that `git_dir`/commondir names, else git_dir itself. */
static const char *common_dir(mem *ctx, const char *git_dir)
{
    struct str text;
    if (path_slurp(ctx, mem_printf(ctx, "%s/commondir", git_dir), GITFILE_MAX, &text, NULL) != RC_OK)
        return git_dir;
    const char *real = path_real(ctx, git_dir, str_trim(text));
    return real ? real : git_dir;
}

static bool is_git_dir(mem *ctx, const char *dir)
{
    if (!exists(ctx, dir, "HEAD"))
        return false;
    const char *common = common_dir(ctx, dir);
    return exists(ctx, common, "objects") && exists(ctx, common, "refs");
}

/* The repository that `dir`/.git is or points to; NULL when it is none. */
static const char *git_dir_at(mem *ctx, const char *dir)
{
    const char *dot = mem_printf(ctx, "%s/.git", dir);
    if (is_dir(dot)) {
        const char *real = path_real(ctx, "/", str_of(dot));
        return real && is_git_dir(ctx, real) ? real : NULL;
    }
    struct str text;
    if (path_slurp(ctx, dot, GITFILE_MAX, &text, NULL) != RC_OK || !str_starts(text, STR("gitdir:")))
        return NULL;
    const char *real = path_real(ctx, dir, str_trim(str_sub(text, 7, text.n)));
    return real && is_git_dir(ctx, real) ? real : NULL;
}

enum rc place_find(mem *ctx, const char *dir, struct place *ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    char *real = realpath(dir, NULL);
    if (!real)
        return err_sys(err, errno, "The folder %s cannot be opened", git_show(tmp, dir));
    char *at = mem_str(tmp, real);
    free(real);
    if (!is_dir(at))
        return err_set(err, RC_INVALID, "%s is not a folder", git_show(tmp, dir));
    for (;;) {
        const char *git_dir = git_dir_at(tmp, at);
        if (git_dir) {
            ret->top = mem_str(ctx, at);
            ret->git_dir = mem_str(ctx, git_dir);
            ret->common = mem_str(ctx, common_dir(tmp, git_dir));
            return RC_OK;
        }
        if (is_git_dir(tmp, at)) {
            err_set(err, RC_INVALID, "%s is a bare repository or lies inside a .git folder", git_show(tmp, dir));
            err_hint(err, "Go to a work tree: git clone it, or git worktree add.");
            return RC_INVALID;
        }
        char *slash = strrchr(at, '/');
        if (slash == at && at[1] == '\0')
            break;
        slash[slash == at ? 1 : 0] = '\0';
    }
    err_set(err, RC_INVALID, "%s is not in a git repository", git_show(tmp, dir));
    err_hint(err, "Go to a project's folder, or make one: git init && git add -A && git commit");
    return RC_INVALID;
}

/* ---- Alternates ---- */

/* An entry that stands in double quotes, with backslash escapes, as git writes odd paths. */
static struct str unquote(mem *ctx, struct str s)
{
    if (s.n < 2 || s.p[0] != '"' || s.p[s.n - 1] != '"')
        return s;
    char *out = mem_zalloc(ctx, s.n);
    size_t n = 0;
    for (size_t i = 1; i + 1 < s.n; i++) {
        static const char from[] = "abfnrtv\\\"", to[] = "\a\b\f\n\r\t\v\\\"";
        const char *which;
        if (s.p[i] != '\\') {
            out[n++] = s.p[i];
        } else if (i + 4 < s.n && s.p[i + 1] >= '0' && s.p[i + 1] <= '3') {
            out[n++] = (char)((s.p[i + 1] - '0') * 64 + (s.p[i + 2] - '0') * 8 + (s.p[i + 3] - '0'));
            i += 3;
        } else if (i + 2 < s.n && s.p[i + 1] && (which = strchr(from, s.p[i + 1]))) {
            out[n++] = to[which - from];
            i++;
        }
    }
    return str_n(out, n);
}

struct folders {
    mem *ctx;
    const char **v;
    size_t n;
};

static void folders_add(struct folders *f, const char *dir, int depth)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->v[i], dir) == 0)
            return;
    if (f->n == ALTERNATE_MAX)
        return;
    f->v[f->n++] = dir;
    struct str text, line;
    if (depth == ALTERNATE_DEPTH ||
        path_slurp(f->ctx, mem_printf(f->ctx, "%s/info/alternates", dir), GITFILE_MAX, &text, NULL) != RC_OK)
        return;
    while (str_line(&text, &line)) {
        if (line.n == 0 || line.p[0] == '#')
            continue;
        const char *real = path_real(f->ctx, dir, unquote(f->ctx, line));
        if (real && is_dir(real))
            folders_add(f, real, depth + 1);
    }
}

enum rc place_objects(mem *ctx, const char *common, const char *const **ret, size_t *ret_n, struct err *err)
{
    struct folders f = {.ctx = ctx, .v = mem_array(ctx, const char *, ALTERNATE_MAX)};
    const char *objects = path_real(ctx, common, STR("objects"));
    if (!objects || !is_dir(objects))
        return err_set(err, RC_NOT_FOUND, "The repository's object folder is missing: %s/objects", common);
    folders_add(&f, objects, 0);
    *ret = f.v;
    *ret_n = f.n;
    return RC_OK;
}
