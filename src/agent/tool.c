/* The table of tools and how one call is made: arguments checked, journal asked first, output capped, result recorded.
 */
#include "agent/work.h"
#include "crypt/hash.h"
#include "os/path.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { OUT_MOST = 4 << 20 };

#define TOOL(name) &tool_##name,
static const struct agent_tool *const tools[] = {
#include "agent/tools.def"
};
#undef TOOL
enum { TOOLS = sizeof tools / sizeof tools[0] };

const struct agent_tool *const *agent_tools(size_t *ret_n)
{
    *ret_n = TOOLS;
    return tools;
}

const struct agent_tool *agent_tool_find(const char *name)
{
    for (size_t i = 0; i < TOOLS; i++)
        if (strcmp(tools[i]->face.name, name) == 0)
            return tools[i];
    return NULL;
}

enum rc tool_bind(mem *ctx, const struct agent_tool *tool, struct str arguments, void **ret_args, struct err *err)
{
    struct json root;
    enum rc rc = json_parse(ctx, arguments, &root, err);
    *ret_args = mem_zalloc(ctx, tool->args_size);
    rc = rc ? rc : json_bind(ctx, root, tool->fields, tool->field_count, false, *ret_args, err);
    return rc ? RC_INVALID : RC_OK;
}

/* --- what tools say --- */

enum rc tool_refuse(struct tool_call *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_z(&c->out, mem_vprintf(c->ctx, fmt, ap));
    va_end(ap);
    c->is_error = true;
    return RC_OK;
}

enum rc tool_refuse_err(struct tool_call *c, const struct err *why)
{
    return tool_refuse(c, "%s.%s%s%s%s", why->sentence, why->detail[0] ? " " : "", why->detail, why->hint[0] ? " " : "",
                       why->hint);
}

static bool is_git_folder(struct str component)
{
    return str_ieq(component, STR(".git"));
}

const char *tool_path(struct tool_call *c, const char *path)
{
    struct str s = str_of(path);
    if (str_eqz(s, "/workspace"))
        s = STR("");
    else if (str_starts(s, STR("/workspace/")))
        s = str_sub(s, 11, s.n);
    while (str_starts(s, STR("./")))
        s = str_sub(s, 2, s.n);
    if (s.n && s.p[0] == '/') {
        tool_refuse(c, "Paths are relative to /workspace, and nothing outside it can be reached with this tool.");
        return NULL;
    }
    if (s.n >= 4096) {
        tool_refuse(c, "The path is too long.");
        return NULL;
    }
    struct str rest = s, component;
    while (str_next(&rest, '/', &component))
        if (is_git_folder(component)) {
            tool_refuse(c, "Git's own folder is not part of the files. Read history with git commands (run).");
            return NULL;
        }
    return s.n ? str_dup(c->ctx, s) : ".";
}

/* --- records --- */

static void common_write(struct tool_call *c, struct record *r)
{
    entry_begin(r, c->ctx, c->turn);
    jo_ki(&r->o, "call", c->number);
    jo_kz(&r->o, "name", c->tool->face.name);
    jo_kz(&r->o, "summary", c->summary);
    jo_kz(&r->o, "digest", c->digest);
}

struct record *tool_intent_begin(struct tool_call *c)
{
    struct record *r = mem_new(c->ctx, struct record);
    common_write(c, r);
    return r;
}

enum rc tool_intent_end(struct tool_call *c, struct record *r, struct err *err)
{
    return c->started ? RC_OK : entry_end(c->agent, r, MEMORY_STARTED, err);
}

const char *tool_log_path(struct tool_call *c)
{
    return mem_printf(c->ctx, "%s/i%lld.t%lld.c%lld.%s.txt", c->agent->spec->log_dir,
                      (long long)c->agent->spec->iteration, (long long)c->turn, (long long)c->number,
                      c->tool->face.name);
}

/* --- one call --- */

/* What the model gets: clean UTF-8 of bounded size, so that the journal gives back the same bytes. The whole is kept in
 * a file when it does not fit. */
static enum rc result_make(struct tool_call *c, struct str *ret, struct err *err)
{
    struct str out = buf_view(&c->out);
    size_t most = c->agent->spec->tool_output_max;
    if (out.n > most && !c->whole) {
        enum rc rc = path_write_durable(tool_log_path(c), out, 0600, err);
        if (rc)
            return rc;
    }
    struct str clean = str_of(str_utf8_clean(c->ctx, out));
    *ret = clean.n > most ? str_of(text_middle(c->ctx, clean, most)) : clean;
    if (!ret->n)
        *ret = STR("(no output)");
    return RC_OK;
}

static void reply_add(struct agent *a, struct llm_message *reply, const char *id, struct str text, bool is_error)
{
    struct llm_part *part = llm_add_part(a->talk, reply, LLM_TOOL_RESULT, text);
    part->id = mem_str(a->ctx, id);
    part->is_error = is_error;
}

/* A call that no tool can take: the model is told, nothing else happens, so there is nothing to make sure of either; it
 * is recorded for people. */
static const struct agent_tool nothing = {.face = {.name = "unknown"}};

static void names_list(struct tool_call *c)
{
    for (size_t i = 0; i < TOOLS; i++)
        buf_printf(&c->out, "%s%s", i ? ", " : "", tools[i]->face.name);
    buf_z(&c->out, ".");
}

/* Checks and runs; refusals are results. */
static enum rc call_run(struct tool_call *c, const struct llm_part *call, struct err *err)
{
    c->tool = agent_tool_find(call->name);
    c->summary = "";
    if (!c->tool) {
        c->tool = &nothing;
        c->summary = text_terminal_line(c->ctx, str_of(call->name), 60);
        tool_refuse(c, "There is no tool of that name. The tools are: ");
        names_list(c);
        common_write(c, &c->rec);
        return RC_OK;
    }
    struct err why = {0};
    void *args = NULL;
    enum rc rc = tool_bind(c->ctx, c->tool, call->arguments, &args, &why);
    if (!rc && c->tool->summary)
        c->summary = text_terminal_line(c->ctx, str_of(c->tool->summary(c->ctx, args)), 200);
    common_write(c, &c->rec);
    if (rc) {
        tool_refuse_err(c, &why);
        if (call->bad_arguments)
            buf_printf(&c->out,
                       " The arguments must be one JSON object. If they were cut off, do it in smaller pieces.");
        return RC_OK;
    }
    rc = files_take(c->agent, err);
    return rc ? rc : c->tool->run(c, args, err);
}

static enum rc call_make(struct tool_call *c, const struct llm_part *call, struct llm_message *reply, struct err *err)
{
    struct agent *a = c->agent;
    enum rc rc = call_run(c, call, err);
    struct str result;
    rc = rc ? rc : result_make(c, &result, err);
    if (rc)
        return rc;
    jo_ks(&c->rec.o, "result", result);
    jo_kb(&c->rec.o, "is_error", c->is_error);
    rc = entry_end(a, &c->rec, MEMORY_FINISHED, err);
    if (!rc)
        reply_add(a, reply, call->id, result, c->is_error);
    return rc;
}

/* The result is in the journal: nothing is done but what only memory holds. */
static enum rc call_replay(struct tool_call *c, const struct llm_part *call, const struct step *done,
                           struct llm_message *reply, struct err *err)
{
    const struct agent_tool *tool = agent_tool_find(call->name);
    void *args;
    c->tool = tool;
    if (tool && tool->remembers && !tool_bind(c->ctx, tool, call->arguments, &args, NULL)) {
        enum rc rc = tool->run(c, args, err);
        if (rc)
            return rc;
    }
    reply_add(c->agent, reply, call->id, json_str(c->ctx, json_get(done->json, "result")),
              json_bool(json_get(done->json, "is_error"), false));
    return RC_OK;
}

enum rc tool_call_make(struct agent *a, int64_t turn, int64_t number, const struct llm_part *call,
                       struct llm_message *reply, struct err *err)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct tool_call *c = mem_new(ctx, struct tool_call);
    c->ctx = ctx;
    c->agent = a;
    c->turn = turn;
    c->number = number;
    buf_init(&c->out, ctx, OUT_MOST);
    struct buf named;
    buf_init(&named, ctx, SIZE_MAX);
    buf_printf(&named, "%s\n%.*s", call->name, STR_FMT(call->arguments));
    hash_sha256_hex(buf_view(&named), c->digest);
    const struct step *done = memory_find(a, MEMORY_FINISHED, turn, number, c->digest);
    if (done)
        return call_replay(c, call, done, reply, err);
    c->started = memory_find(a, MEMORY_STARTED, turn, number, c->digest);
    return call_make(c, call, reply, err);
}
