/* The canary: tests that must fail, planted under random names into every known test file of an exported tree. A run
 * that stays green with them reports something else than its tests.
 *
 * What it cannot show: a program that compares its test files with what it remembers, and lies only while they are
 * unchanged. The comparison with the counts of the base is what stands against that. */
#include "base/id.h"
#include "os/path.h"
#include "verify/private.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { SITES_MAX = 2000, FILE_MAX = 1 << 20, WALK_MAX = 200000, TOKEN = 14, PATH_SHOWN = 4096 };

typedef bool plant_fn(struct canary_site *site, struct str text, struct buf *out);

/* Runners that share a language share the function that plants. */
static bool seen_plants(uint32_t seen, plant_fn *plant)
{
    for (size_t i = 0; runners[i]; i++)
        if ((seen >> i & 1) && runners[i]->canary == plant)
            return true;
    return false;
}

bool canary_possible(uint32_t seen)
{
    for (size_t i = 0; runners[i]; i++)
        if ((seen >> i & 1) && runners[i]->canary)
            return true;
    return false;
}

/* A letter first, so that it is a name in every language. */
static const char *token_new(mem *ctx)
{
    for (;;) {
        char *token = id_new(ctx, TOKEN);
        if (token[0] > '9')
            return token;
    }
}

struct planter {
    mem *ctx, *tmp;
    int root;
    uid_t uid;
    gid_t gid;
    struct canary *c;
    size_t walked;
    const char **paths; /* to look at, collected first: planting while walking would disturb the walk */
    size_t n;
    enum rc rc;
    struct err *err;
};

static bool is_site(const struct planter *p, const char *path)
{
    for (size_t i = 0; runners[i]; i++)
        if (runners[i]->canary && seen_plants(p->c->seen, runners[i]->canary) &&
            globs_match(runners[i]->canary_files, path))
            return true;
    return false;
}

static int planter_visit(void *arg, const char *path, enum path_kind kind, const struct stat *st)
{
    static const char *const elsewhere[] = {"node_modules", ".git",   "target",      "venv",
                                            ".venv",        "vendor", "__pycache__", NULL};
    struct planter *p = arg;
    if (++p->walked > WALK_MAX || p->n == SITES_MAX)
        return -1;
    if (kind == PATH_DIR)
        return globs_match(elsewhere, path);
    if (kind == PATH_FILE && st->st_size <= FILE_MAX && is_site(p, path))
        p->paths[p->n++] = mem_str(p->tmp, path);
    return 0;
}

/* Of the runners that were seen and could run this file, the one that promises least, and how many tests that is. */
static const char *site_framework(const struct planter *p, plant_fn *plant, struct str text, int64_t *ret_fewest)
{
    const char *name = "";
    *ret_fewest = 0;
    for (size_t i = 0; runners[i]; i++) {
        if (!(p->c->seen >> i & 1) || runners[i]->canary != plant)
            continue;
        int64_t n = runners[i]->fewest ? runners[i]->fewest(text, runners[i]->name) : 0;
        if (!*name || n < *ret_fewest) {
            name = runners[i]->name;
            *ret_fewest = n;
        }
    }
    return name;
}

static void site_plant(struct planter *p, const char *path)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct canary *c = p->c;
    struct str text = {0};
    if (path_read(tmp, p->root, path, FILE_MAX, &text, NULL, p->err) != RC_OK)
        return; /* a link that leads nowhere, for one */
    struct canary_site site = {.path = path, .name = mem_printf(tmp, "%s%zu", c->token, c->sites)};
    plant_fn *tried = NULL;
    for (size_t i = 0; runners[i]; i++) {
        const struct runner *r = runners[i];
        if (r->canary == tried || !r->canary || !seen_plants(c->seen, r->canary) || !globs_match(r->canary_files, path))
            continue;
        tried = r->canary;
        site.framework = site_framework(p, r->canary, text, &c->fewest[c->sites]);
        site.broken = 0;
        struct buf out;
        buf_init(&out, tmp, FILE_MAX + (1 << 16));
        if (!r->canary(&site, text, &out) || out.overflow)
            continue;
        p->rc = path_write(p->root, path, buf_view(&out), 0644, p->uid, p->gid, p->err);
        if (p->rc != RC_OK)
            return;
        c->broken[c->sites] = site.broken;
        c->paths[c->sites++] = mem_str(p->ctx, path);
        return;
    }
}

enum rc canary_plant(mem *ctx, const char *dir, uid_t uid, gid_t gid, struct canary *c, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    CLEANUP_FD int root = -1;
    struct planter p = {.ctx = ctx, .tmp = tmp, .uid = uid, .gid = gid, .c = c, .err = err};
    enum rc rc = path_open_root(dir, &root, err);
    if (rc != RC_OK)
        return rc;
    p.root = root;
    p.paths = mem_array(tmp, const char *, SITES_MAX);
    c->token = token_new(ctx);
    c->paths = mem_array(ctx, const char *, SITES_MAX);
    c->fewest = mem_array(ctx, int64_t, SITES_MAX);
    c->broken = mem_array(ctx, int64_t, SITES_MAX);
    c->sites = 0;
    rc = path_walk(root, ".", planter_visit, &p, err);
    for (size_t i = 0; rc == RC_OK && i < p.n; i++) {
        site_plant(&p, p.paths[i]);
        rc = p.rc;
    }
    return rc;
}

/* Marks the sites that the output names: the token, the number of the site, a letter. */
static void sites_named(const struct canary *c, struct str output, bool *named)
{
    struct str token = str_of(c->token);
    for (long at; (at = str_find(output, token)) >= 0;) {
        output = str_sub(output, (size_t)at + token.n, output.n);
        struct str rest = output;
        int64_t site;
        if (scan_count(&rest, &site) && site < (int64_t)c->sites && rest.n && rest.p[0] >= 'a' && rest.p[0] <= 'z')
            named[site] = true;
    }
}

/* Whether a framework was seen that does not print the names of tests that fail. */
static bool names_nothing(uint32_t seen)
{
    for (size_t i = 0; runners[i]; i++)
        if ((seen >> i & 1) && runners[i]->nameless)
            return true;
    return false;
}

static enum canary_judgement judge(const struct canary_result *r, const struct verdict_run *with,
                                   const struct verdict_run *without)
{
    const struct test_counts *now = &with->counts, *then = &without->counts;
    if (!r->sites)
        return CANARY_NONE;
    if (run_green(with))
        return CANARY_GREEN;
    if (!run_ended(with))
        return CANARY_UNUSABLE;
    if (now->framework && now->passed > then->passed)
        return CANARY_PASSED;
    /* A file that could not even be read by its compiler is red too, but proves nothing: tests must have failed, by
     * name. */
    bool more_failed = now->framework && now->failed - now->errors > then->failed - then->errors;
    return more_failed && (r->n || names_nothing(now->seen)) ? CANARY_TRUSTED : CANARY_SILENT;
}

struct canary_result canary_judge(mem *ctx, const struct canary *c, const struct verdict_run *with,
                                  const struct verdict_run *without)
{
    struct canary_result r = {.sites = c->sites, .paths = mem_array(ctx, const char *, c->sites + 1)};
    bool *named = mem_array(ctx, bool, c->sites + 1);
    struct str output = output_open(with);
    sites_named(c, output, named);
    output_close(output);
    int64_t broken = 0;
    for (size_t i = 0; i < c->sites; i++)
        if (named[i]) {
            r.paths[r.n++] = c->paths[i];
            r.fewest += c->fewest[i];
            broken += c->broken[i];
        }
    /* Of those, so many may not have passed before; the others must have gone from passed to failed. */
    int64_t excused = without->counts.skipped + without->counts.failed;
    int64_t most = without->counts.passed - (broken > excused ? broken - excused : 0);
    if (with->counts.framework && !with->counts.coarse && with->counts.passed > most)
        r.unbroken = with->counts.passed - most;
    r.judgement = judge(&r, with, without);
    return r;
}
