/* What a candidate changed, and the two trees that follow from it: *sealed* (the candidate with protected paths put
 * back to the base) and *red* (the base with the candidate's tests). Everything happens on git objects: no file of the
 * candidate is opened, so a link or a strange name in it leads nowhere. */
#include "verify/private.h"
#include <stdlib.h>

enum { SOURCE_MAX = 1 << 20 };

struct listing { /* of a tree, in byte order */
    struct repo_entry *v;
    size_t n;
};

static size_t listing_from(const struct listing *l, const char *path)
{
    size_t lo = 0, hi = l->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(l->v[mid].path, path) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static const struct repo_entry *listing_find(const struct listing *l, const char *path)
{
    size_t at = listing_from(l, path);
    return at < l->n && strcmp(l->v[at].path, path) == 0 ? &l->v[at] : NULL;
}

static bool is_file(const struct repo_entry *e)
{
    return e && (e->mode & 0170000) == 0100000;
}

/* ---- edits ---- */

struct edits {
    mem *ctx;
    struct repo_edit *v;
    size_t n, room;
};

static void edit_add(struct edits *e, struct repo_edit edit)
{
    if (e->n == e->room) {
        e->room = e->room ? e->room * 2 : 16;
        e->v = mem_grow(e->ctx, e->v, e->room * sizeof *e->v);
    }
    e->v[e->n++] = edit;
}

static void edit_remove(struct edits *e, const char *path)
{
    edit_add(e, (struct repo_edit){.path = path});
}

/* Sets a path in a tree that is listed in `onto`. A file or link where the path needs a folder goes away, and so does a
 * folder where the path is to be. */
static void edit_set(struct edits *e, const struct listing *onto, struct repo_edit edit)
{
    for (const char *slash = strchr(edit.path, '/'); slash; slash = strchr(slash + 1, '/')) {
        const char *above = mem_strn(e->ctx, edit.path, (size_t)(slash - edit.path));
        if (listing_find(onto, above))
            edit_remove(e, above);
    }
    const char *below = mem_printf(e->ctx, "%s/", edit.path);
    for (size_t i = listing_from(onto, below); i < onto->n && str_starts(str_of(onto->v[i].path), str_of(below)); i++)
        edit_remove(e, onto->v[i].path);
    edit_add(e, edit);
}

static int edit_order(const void *a, const void *b)
{
    const struct repo_edit *x = a, *y = b;
    int by_path = strcmp(x->path, y->path);
    return by_path ? by_path : (x->mode == 0) - (y->mode == 0);
}

/* One edit a path; what sets wins over what removes. Removals come first, so that a folder can take the place of a
 * file. */
static enum rc edits_apply(mem *ctx, struct edits *e, const char *git_dir, const char *tree, const char **ret,
                           struct err *err)
{
    size_t n = 0;
    qsort(e->v, e->n, sizeof *e->v, edit_order);
    for (size_t i = 0; i < e->n; i++)
        if (!n || strcmp(e->v[n - 1].path, e->v[i].path) != 0)
            e->v[n++] = e->v[i];
    struct repo_edit *ordered = mem_array(e->ctx, struct repo_edit, n);
    size_t at = 0;
    for (int sets = 0; sets < 2; sets++)
        for (size_t i = 0; i < n; i++)
            if ((e->v[i].mode != 0) == sets)
                ordered[at++] = e->v[i];
    return repo_tree_edit(ctx, git_dir, tree, ordered, n, ret, err);
}

/* ---- building ---- */

struct builder {
    mem *ctx, *tmp;
    const struct verify_spec *spec;
    struct listing base, candidate;
    struct edits sealed, bare, red;
    const char *const *scripts; /* of the checks */
    struct trees *trees;
};

static const struct runner *inline_runner(const char *path)
{
    for (size_t i = 0; runners[i]; i++)
        if (runners[i]->inline_tests && globs_match(runners[i]->canary_files, path))
            return runners[i];
    return NULL;
}

static struct str joined(mem *ctx, struct str code, struct str tests)
{
    struct buf b;
    buf_init(&b, ctx, 2 * SOURCE_MAX + 2);
    buf_str(&b, code);
    if (code.n && code.p[code.n - 1] != '\n')
        buf_char(&b, '\n'); /* the last line may be a comment */
    buf_str(&b, tests);
    return buf_view(&b);
}

/* Some languages keep tests at the end of the source. The code is the agent's to change, those tests are put back like
 * any other, and new ones are tried on the old code. */
static enum rc inline_tests(struct builder *b, struct tree_change *c, struct err *err)
{
    const struct runner *r = inline_runner(c->path);
    const struct repo_entry *old = listing_find(&b->base, c->path), *new = listing_find(&b->candidate, c->path);
    if (!r || !is_file(old) || !is_file(new))
        return RC_OK;
    struct str was = {0}, is = {0};
    enum rc rc = repo_blob(b->tmp, b->spec->git_dir, b->trees->base, c->path, SOURCE_MAX, &was, err);
    if (rc == RC_OK)
        rc = repo_blob(b->tmp, b->spec->git_dir, b->trees->candidate, c->path, SOURCE_MAX, &is, err);
    if (rc == RC_LIMIT)
        return RC_OK; /* no source that a person wrote */
    if (rc != RC_OK)
        return rc;
    size_t was_at = r->inline_tests(was), is_at = r->inline_tests(is);
    struct str was_tests = str_sub(was, was_at, was.n), is_tests = str_sub(is, is_at, is.n);
    if (str_eq(was_tests, is_tests))
        return RC_OK;
    c->is_test = is_tests.n > 0;
    if (was_tests.n)
        c->kind = PROTECTED_TEST;
    c->allowed = was_tests.n && globs_match(b->spec->allow_changes, c->path);
    if (was_tests.n && !c->allowed)
        edit_set(&b->sealed, &b->candidate,
                 (struct repo_edit){
                     .path = c->path, .mode = new->mode, .contents = joined(b->tmp, str_sub(is, 0, is_at), was_tests)});
    if (c->is_test)
        edit_set(&b->red, &b->base,
                 (struct repo_edit){.path = c->path,
                                    .mode = old->mode,
                                    .contents = joined(b->tmp, str_sub(was, 0, was_at), is_tests)});
    return RC_OK;
}

static enum rc change_take(struct builder *b, const struct repo_change *change, struct err *err)
{
    const char *path = mem_str(b->ctx, change->path);
    const struct repo_entry *old = listing_find(&b->base, path), *new = listing_find(&b->candidate, path);
    struct tree_change *c = &b->trees->changes[b->trees->change_count++];
    *c = (struct tree_change){.path = path,
                              .kind = change_protected(b->spec, path, old != NULL),
                              .at_base = old != NULL,
                              .at_candidate = new != NULL};
    for (const char *const *script = b->scripts; c->kind == PROTECTED_NO && *script; script++)
        if (strcmp(*script, path) == 0)
            c->kind = PROTECTED_RUNNER;
    if (c->kind == PROTECTED_NO && old && new)
        return inline_tests(b, c, err);
    c->allowed = c->kind != PROTECTED_NO && globs_match(b->spec->allow_changes, path);
    c->is_test = new &&path_protected(b->spec, path) == PROTECTED_TEST && (c->kind != PROTECTED_SHADOW || c->allowed);
    if (c->kind != PROTECTED_NO && !c->allowed) {
        if (old)
            edit_set(&b->sealed, &b->candidate, (struct repo_edit){.path = path, .mode = old->mode, .oid = old->oid});
        else
            edit_remove(&b->sealed, path);
    }
    if (new && !old && c->is_test && !c->allowed)
        edit_remove(&b->bare, path);
    if (new && (c->is_test || c->allowed))
        edit_set(&b->red, &b->base, (struct repo_edit){.path = path, .mode = new->mode, .oid = new->oid});
    return RC_OK;
}

enum rc trees_build(mem *ctx, const struct verify_spec *spec, struct trees *ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct builder b = {
        .ctx = ctx, .tmp = tmp, .spec = spec, .sealed.ctx = tmp, .bare.ctx = tmp, .red.ctx = tmp, .trees = ret};
    struct repo_change *changes = NULL;
    size_t n = 0;
    *ret = (struct trees){0};
    enum rc rc = repo_tree_of(ctx, spec->git_dir, spec->base, &ret->base, err);
    if (rc == RC_OK)
        rc = repo_tree_of(ctx, spec->git_dir, spec->candidate, &ret->candidate, err);
    if (rc != RC_OK)
        return rc;
    ret->sealed = ret->candidate;
    if (strcmp(ret->base, ret->candidate) == 0)
        return RC_OK;
    rc = repo_list(tmp, spec->git_dir, ret->base, &b.base.v, &b.base.n, err);
    if (rc == RC_OK)
        rc = repo_list(tmp, spec->git_dir, ret->candidate, &b.candidate.v, &b.candidate.n, err);
    if (rc == RC_OK)
        rc = definition_scripts(tmp, spec, ret->base, &b.scripts, err);
    if (rc == RC_OK)
        rc = repo_changes(tmp, spec->git_dir, ret->base, ret->candidate, &changes, &n, err);
    ret->changes = mem_array(ctx, struct tree_change, n + 1);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = change_take(&b, &changes[i], err);
    bool bare = b.sealed.n && b.bare.n;
    for (size_t i = 0; bare && i < b.sealed.n; i++)
        edit_add(&b.bare, b.sealed.v[i]);
    if (rc == RC_OK && bare)
        rc = edits_apply(ctx, &b.bare, spec->git_dir, ret->candidate, &ret->bare, err);
    if (rc == RC_OK && b.sealed.n)
        rc = edits_apply(ctx, &b.sealed, spec->git_dir, ret->candidate, &ret->sealed, err);
    bool tests = false;
    for (size_t i = 0; i < ret->change_count; i++)
        tests |= ret->changes[i].is_test;
    if (rc == RC_OK && tests)
        rc = edits_apply(ctx, &b.red, spec->git_dir, ret->base, &ret->red, err);
    return rc;
}
