/* What an earlier process of this iteration left in the journal, and making new records. */
#include "agent/work.h"
#include "os/path.h"
#include <errno.h>
#include <unistd.h>

static const char *const types[MEMORY_KINDS] = {
    [MEMORY_TEXT] = "agent.text",  [MEMORY_NOTE] = "agent.note",        [MEMORY_STARTED] = "tool.started",
    [MEMORY_AGAIN] = "tool.again", [MEMORY_FINISHED] = "tool.finished", [MEMORY_COMPACTED] = "context.compacted",
};

static void remember(struct agent *a, enum memory_kind kind, struct json json)
{
    struct step *s = mem_new(a->ctx, struct step);
    *s = (struct step){
        .turn = json_int(json_get(json, "turn"), 0),
        .call = json_int(json_get(json, "call"), 0),
        .attempt = json_int(json_get(json, "attempt"), 0),
        .digest = json_z(a->ctx, json_get(json, "digest"), ""),
        .reason = json_z(a->ctx, json_get(json, "reason"), ""),
        .json = json,
    };
    if (a->memory.last[kind])
        a->memory.last[kind]->next = s;
    else
        a->memory.first[kind] = s;
    a->memory.last[kind] = s;
}

enum rc memory_load(struct agent *a, struct err *err)
{
    for (int kind = 0; kind < MEMORY_KINDS; kind++)
        for (int64_t n = 0;; n++) {
            struct str seen = a->road->recall(a->road->arg, types[kind], n);
            if (!seen.n)
                break;
            struct json json;
            enum rc rc = json_parse(a->ctx, str_of(str_dup(a->ctx, seen)), &json, err);
            if (rc) {
                err_context(err, "The journal holds a damaged record of type %s", types[kind]);
                return rc;
            }
            remember(a, kind, json);
            a->memory.any = true;
        }
    return RC_OK;
}

const struct step *memory_find(const struct agent *a, enum memory_kind kind, int64_t turn, int64_t call,
                               const char *digest)
{
    const struct step *found = NULL;
    for (const struct step *s = a->memory.first[kind]; s; s = s->next)
        if ((turn < 0 || s->turn == turn) && (call < 0 || s->call == call) &&
            (!digest || strcmp(s->digest, digest) == 0))
            found = s;
    return found;
}

void entry_begin(struct record *r, mem *ctx, int64_t turn)
{
    r->ctx = ctx;
    buf_init(&r->b, ctx, 7 << 20); /* below a frame */
    json_out_init(&r->o, &r->b);
    jo_obj(&r->o);
    jo_ki(&r->o, "turn", turn);
}

enum rc entry_end(struct agent *a, struct record *r, enum memory_kind kind, struct err *err)
{
    jo_end_obj(&r->o);
    if (r->b.overflow)
        return err_set(err, RC_LIMIT, "A record of type %s is too large", types[kind]);
    struct str text = str_of(str_dup(a->ctx, buf_view(&r->b)));
    enum rc rc = a->road->record(a->road->arg, types[kind], text, err);
    if (rc) {
        a->journal_broken = rc != RC_CANCELLED;
        return rc;
    }
    struct json json;
    rc = json_parse(a->ctx, text, &json, err);
    if (!rc)
        remember(a, kind, json);
    return rc;
}

/* A command that was begun and has no result: only the last call can be one, calls are made one after the other. */
static const struct step *unfinished_command(const struct agent *a)
{
    const struct step *last = a->memory.last[MEMORY_STARTED];
    if (!last || !json_eqz(json_get(last->json, "name"), "run"))
        return NULL;
    return memory_find(a, MEMORY_FINISHED, last->turn, last->call, last->digest) ? NULL : last;
}

struct sweep {
    int root;
    int failed; /* errno */
};

static int temp_remove(void *arg, const char *path, enum path_kind kind, const struct stat *st)
{
    (void)st;
    struct sweep *s = arg;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (kind == PATH_FILE && strncmp(name, PATH_TEMP_PREFIX, strlen(PATH_TEMP_PREFIX)) == 0 &&
        unlinkat(s->root, path, 0) < 0 && errno != ENOENT)
        s->failed = errno;
    return 0;
}

/* No command of the agent is running yet: nobody can move the folders that are walked here. */
enum rc memory_recover(struct agent *a, struct err *err)
{
    if (!a->memory.any)
        return RC_OK;
    const struct step *command = unfinished_command(a);
    if (command) {
        const char *tree = json_z(a->ctx, json_get(command->json, "tree"), NULL);
        enum rc rc = tree ? workspace_restore(a->spec->work, tree, err) : RC_OK;
        if (rc)
            return rc;
        a->tree = tree;
    }
    CLEANUP_FD int root = -1;
    struct sweep sweep = {.root = -1};
    enum rc rc = path_open_root(a->spec->work->dir, &root, err);
    sweep.root = root;
    rc = rc ? rc : path_walk(root, "", temp_remove, &sweep, err);
    if (!rc && sweep.failed)
        rc = err_sys(err, sweep.failed, "Could not remove a temporary file in %s", a->spec->work->dir);
    return rc;
}
