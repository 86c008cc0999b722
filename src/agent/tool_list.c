/* list: the files of a folder. What is not shown is counted. */
#include "agent/work.h"
#include "os/path.h"

enum { ENTRIES_SHOWN = 500, ENTRIES_SEEN = 200000, DEPTH_DEFAULT = 2, DEPTH_MOST = 32 };

struct list_args {
    const char *path, *glob;
    int64_t depth;
};

struct listing {
    struct tool_call *c;
    const struct list_args *args;
    size_t prefix; /* bytes of the start path and its slash */
    int64_t depth;
    size_t room;
    int64_t shown, hidden, closed, seen;
    bool over;
};

/* A path, fit for a line of text. */
static const char *name_show(mem *ctx, const char *path)
{
    return text_terminal_line(ctx, str_of(path), 1000);
}

static void entry_show(struct listing *l, const char *path, enum path_kind kind, const struct stat *st,
                       const char *more)
{
    if (l->shown == ENTRIES_SHOWN || l->c->out.n > l->room) {
        l->hidden++;
        return;
    }
    l->shown++;
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf *out = &l->c->out;
    buf_z(out, name_show(tmp, path));
    if (kind == PATH_FILE)
        buf_printf(out, "  %lld\n", (long long)st->st_size);
    else
        buf_printf(out, "%s%s\n",
                   kind == PATH_DIR    ? "/"
                   : kind == PATH_LINK ? "  (symbolic link)"
                                       : "  (special file)",
                   more);
}

static int entry_visit(void *arg, const char *path, enum path_kind kind, const struct stat *st)
{
    struct listing *l = arg;
    if (++l->seen > ENTRIES_SEEN) {
        l->over = true;
        return -1;
    }
    size_t n = strlen(path);
    if (n < l->prefix) /* the folder itself */
        return 0;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    int64_t depth = 1;
    for (const char *p = path + l->prefix; *p; p++)
        depth += *p == '/';
    bool git = kind == PATH_DIR && str_ieq(str_of(name), STR(".git"));
    bool closed = kind == PATH_DIR && (depth >= l->depth || git);
    l->closed += closed && !git;
    if (!l->args->glob || (kind != PATH_DIR && text_glob(str_of(l->args->glob), str_of(path))))
        entry_show(l, path, kind, st, git ? "  (Git's own, see it with git commands)" : closed ? "  (not opened)" : "");
    return closed;
}

static enum rc list_run(struct tool_call *c, const void *p, struct err *err)
{
    (void)err;
    const struct list_args *args = p;
    const char *path = tool_path(c, args->path ? args->path : "");
    if (!path)
        return RC_OK;
    struct listing l = {.c = c,
                        .args = args,
                        .depth = args->depth  ? args->depth
                                 : args->glob ? DEPTH_MOST
                                              : DEPTH_DEFAULT};
    struct str start = str_of(path);
    while (start.n > 1 && start.p[start.n - 1] == '/')
        start.n--;
    path = str_dup(c->ctx, start);
    l.prefix = strcmp(path, ".") == 0 ? 0 : start.n + 1;
    l.room = c->agent->spec->tool_output_max > 1024 ? c->agent->spec->tool_output_max - 512 : 512;
    struct err why = {0};
    if (path_walk(c->agent->root, path, entry_visit, &l, &why))
        return tool_refuse_err(c, &why);
    if (!l.shown && !l.hidden)
        buf_z(&c->out, args->glob ? "(no file matches)\n" : "(empty, or not a folder)\n");
    if (l.hidden)
        buf_printf(&c->out, "[%lld more entries not shown; list a folder below, or give a glob]\n",
                   (long long)l.hidden);
    if (l.closed)
        buf_printf(&c->out, "[%lld folders not opened: deeper than %lld; raise depth or list them]\n",
                   (long long)l.closed, (long long)l.depth);
    if (l.over)
        buf_printf(&c->out, "[stopped after %d entries]\n", ENTRIES_SEEN);
    return RC_OK;
}

static const char *list_summary(mem *ctx, const void *p)
{
    const struct list_args *args = p;
    return mem_printf(ctx, "list %s%s%s", args->path && args->path[0] ? args->path : ".", args->glob ? " " : "",
                      args->glob ? args->glob : "");
}

static const struct json_bind list_fields[] = {
    BIND(list_args, path, BIND_STR, false, 0, 4096),
    BIND(list_args, glob, BIND_STR, false, 0, 1000),
    BIND(list_args, depth, BIND_INT, false, 1, DEPTH_MOST),
};
const struct agent_tool tool_list = {
    .face =
        {"list",
         "Lists files (with their sizes in bytes) and folders below a folder, in order of names. Symbolic links are not "
         "followed.",
         "{\"type\":\"object\",\"properties\":{"
         "\"path\":{\"type\":\"string\",\"description\":\"Folder, relative to /workspace; the whole when absent\"},"
         "\"depth\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":32,"
         "\"description\":\"Levels of folders, 2 when absent\"},"
         "\"glob\":{\"type\":\"string\",\"description\":\"Only files that match, at any depth, such as *.c or "
         "src/**/test_*\"}}}"},
    .fields = list_fields,
    .field_count = sizeof list_fields / sizeof list_fields[0],
    .args_size = sizeof(struct list_args),
    .summary = list_summary,
    .run = list_run,
};
