/* Bringing a commit into the user's repository as a branch.
 *
 * The objects travel as a pack from our git to our git: no transport, no remote, no hooks. They are all there and
 * checked before a reference names them. refs/nightmill/kept/<commit> keeps a delivered commit when its branch is
 * deleted. Not here: the user's files (apply.c). */
#include "repo/git.h"
#include "repo/refs.h"
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { LOOSE_MAX = 100 }; /* fewer objects are stored one by one, as git fetch does */

const char *committer_name(const struct repo_facts *repo)
{
    return repo->user_name && repo->user_name[0] ? repo->user_name : "Nightmill";
}

const char *committer_email(const struct repo_facts *repo)
{
    return repo->user_email && repo->user_email[0] ? repo->user_email : "nightmill@localhost";
}

/* ---- References ---- */

enum rc ref_read(mem *ctx, const char *git_dir, const char *ref, const char **ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct git g = {.git_dir = git_dir};
    struct proc_result res;
    enum rc rc = git_run(tmp, &g, GIT_ARGS("rev-parse", "--verify", "--quiet", "--end-of-options", ref), &res, err);
    if (rc != RC_OK)
        return rc;
    const char *oid = str_dup(ctx, str_trim(res.out));
    *ret = res.exit_code == 0 && git_is_oid(oid) ? oid : NULL;
    return RC_OK;
}

enum rc ref_of_branch(mem *ctx, const char *git_dir, const char *branch, const char **ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct git g = {.git_dir = git_dir};
    struct proc_result res;
    const char *ref = mem_printf(ctx, "refs/heads/%s", branch ? branch : "");
    enum rc rc = git_run(tmp, &g, GIT_ARGS("check-ref-format", ref), &res, err);
    if (rc == RC_OK && (res.exit_code != 0 || branch[0] == '-'))
        rc = err_set(err, RC_INVALID, "\"%s\" cannot be the name of a branch", git_show(tmp, branch ? branch : ""));
    *ret = ref;
    return rc;
}

enum rc refs_change(const struct repo_facts *repo, const char *git_dir, const char *reason,
                    const struct ref_change *changes, size_t n, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    buf_init(&b, tmp, GIT_SMALL_OUT);
    for (size_t i = 0; i < n; i++) {
        const struct ref_change *c = &changes[i];
        const char *fields[] = {c->to, c->from};
        const char *verb = !c->to ? "delete" : c->from && !c->from[0] ? "create" : "update";
        buf_printf(&b, "%s %s", verb, c->ref);
        buf_char(&b, '\0');
        for (size_t k = 0; k < 2; k++) {
            if ((k == 0 && !c->to) || (k == 1 && verb[0] == 'c'))
                continue;
            buf_z(&b, fields[k] ? fields[k] : "");
            buf_char(&b, '\0');
        }
    }
    const char *env[] = {mem_printf(tmp, "GIT_COMMITTER_NAME=%s", committer_name(repo)),
                         mem_printf(tmp, "GIT_COMMITTER_EMAIL=%s", committer_email(repo)), NULL};
    struct git g = {.git_dir = git_dir, .env = env, .input = buf_view(&b), .writes = true, .outlives = true};
    return git_do(tmp, &g, "change references of the repository", GIT_ARGS("update-ref", "-m", reason, "-z", "--stdin"),
                  NULL, err);
}

/* ---- Objects ---- */

/* A pack of what `commit` has and `base` has not, in a nameless file of the private repository. */
static enum rc pack_make(const struct workspace *w, const char *commit, int *ret_fd, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *name = mem_printf(tmp, "%s/pack-XXXXXX", w->git_dir);
    CLEANUP_FD int fd = mkostemp((char *)name, O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "Could not make a temporary file in %s", w->git_dir);
    unlink(name);
    struct git g = {.git_dir = w->git_dir,
                    .input = str_of(mem_printf(tmp, "%s\n^%s\n", commit, w->base)),
                    .out_fd = fd,
                    .timeout_ms = GIT_LONG_MS};
    enum rc rc = git_do(tmp, &g, "pack the commit", GIT_ARGS("pack-objects", "-q", "--revs", "--stdout", "--threads=1"),
                        NULL, err);
    if (rc == RC_OK)
        *ret_fd = fd_take(&fd);
    return rc;
}

/* Number of objects that the pack's header tells, or -1. */
static int64_t pack_count(int fd)
{
    unsigned char head[12];
    uint32_t n;
    if (pread(fd, head, sizeof head, 0) != (ssize_t)sizeof head || memcmp(head, "PACK", 4) != 0)
        return -1;
    memcpy(&n, head + 8, sizeof n);
    return be32toh(n);
}

static enum rc objects_bring(const struct workspace *w, const struct repo_facts *repo, const char *commit,
                             struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    CLEANUP_FD int pack = -1;
    enum rc rc = pack_make(w, commit, &pack, err);
    if (rc != RC_OK)
        return rc;
    int64_t n = pack_count(pack);
    if (n < 0 || lseek(pack, 0, SEEK_SET) < 0)
        return err_set(err, RC_IO, "git made no pack of the commit");
    struct git g = {
        .git_dir = repo->git_dir, .in_fd = pack, .writes = true, .outlives = true, .timeout_ms = GIT_LONG_MS};
    if (n > 0)
        rc = git_do(tmp, &g, "store the commit in the repository",
                    n < LOOSE_MAX ? GIT_ARGS("unpack-objects", "-q") : GIT_ARGS("index-pack", "--stdin"), NULL, err);
    if (rc != RC_OK)
        return rc;
    struct git check = {.git_dir = repo->git_dir, .timeout_ms = GIT_LONG_MS};
    return git_do(tmp, &check, "find all of the commit in the repository",
                  GIT_ARGS("rev-list", "--objects", "--quiet", commit, mem_printf(tmp, "^%s", w->base)), NULL, err);
}

/* ---- Delivery ---- */

static enum rc branch_taken(mem *tmp, const char *branch, struct err *err)
{
    err_set(err, RC_CONFLICT, "The branch %s exists already and is at another commit", git_show(tmp, branch));
    err_hint(err, "Rename or delete it: git branch -m %s another-name", git_show(tmp, branch));
    return RC_CONFLICT;
}

enum rc repo_deliver(const struct workspace *w, const struct repo_facts *repo, const char *commit, const char *branch,
                     struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *ref, *now, *found;
    if (!git_is_oid(commit))
        return err_set(err, RC_INVALID, "\"%s\" is not a commit id", git_show(tmp, commit ? commit : ""));
    enum rc rc = ref_of_branch(tmp, repo->git_dir, branch, &ref, err);
    if (rc == RC_OK)
        rc = ref_read(tmp, repo->git_dir, ref, &now, err);
    if (rc != RC_OK)
        return rc;
    if (now && strcmp(now, commit) != 0)
        return branch_taken(tmp, branch, err);
    rc = repo_resolve(tmp, repo->git_dir, w->base, &found, err);
    if (rc == RC_NOT_FOUND) {
        err_set(err, RC_CONFLICT, "The base commit %.12s is no longer in the repository", w->base);
        err_hint(err, "The work is kept as %.12s in %s.", commit, w->git_dir);
        return RC_CONFLICT;
    }
    if (rc == RC_OK && !now) /* a reference names only what is complete */
        rc = objects_bring(w, repo, commit, err);
    if (rc != RC_OK)
        return rc;
    struct ref_change changes[] = {
        {.ref = mem_printf(tmp, "refs/nightmill/kept/%s", commit), .to = commit},
        {.ref = ref, .to = commit, .from = now ? now : ""},
    };
    return refs_change(repo, repo->git_dir, "nightmill: deliver", changes, sizeof changes / sizeof *changes, err);
}
