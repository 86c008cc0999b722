/* What to start for an agent: argument vector, environment, files, standard input.
 *
 * The shared half of backend_plan: checks of what is asked, the environment that every agent gets, and the pieces that
 * descriptors are made with. Pure: no I/O. What comes from a project (extra arguments, variables, session ids that an
 * agent printed) is hostile: ids are held against a narrow alphabet, so that none of them is read as an option. */
#include "agent/backend_room.h"
#include "base/text.h"
#include "conf/egress.h"
#include <stdio.h>

enum { PLAN_ENV_MAX = 256 * 1024, PLAN_FILE_MAX = 1024 * 1024, PLAN_ID_MAX = 200 };

struct list {
    const char **v; /* NULL-terminated */
    size_t n;
};
struct backend_draft {
    mem *ctx;
    const struct backend *backend;
    struct list args, env, service;
    size_t fixed[96]; /* indices of variables that stay */
    size_t fixed_count;
    struct backend_file *files;
    size_t file_count;
    struct str input;
    enum backend_format format;
    const char *session;
    bool resumes;
};

static void list_add(mem *ctx, struct list *l, const char *text)
{
    l->v = mem_grow(ctx, l->v, (l->n + 2) * sizeof *l->v);
    l->v[l->n++] = text;
    l->v[l->n] = NULL;
}

mem *plan_mem(const struct backend_draft *d)
{
    return d->ctx;
}

void plan_arg(struct backend_draft *d, const char *arg)
{
    list_add(d->ctx, &d->args, mem_str(d->ctx, arg));
}

void plan_argf(struct backend_draft *d, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    list_add(d->ctx, &d->args, mem_vprintf(d->ctx, fmt, ap));
    va_end(ap);
}

void plan_args(struct backend_draft *d, const char *const *args)
{
    for (; args && *args; args++)
        plan_arg(d, *args);
}

/* Index of the variable, or n. */
static size_t env_find(const struct list *env, struct str name)
{
    size_t i = 0;
    while (i < env->n && !(strncmp(env->v[i], name.p, name.n) == 0 && env->v[i][name.n] == '='))
        i++;
    return i;
}

static size_t env_put(struct backend_draft *d, struct str name, const char *line)
{
    size_t i = env_find(&d->env, name);
    if (i == d->env.n)
        list_add(d->ctx, &d->env, line);
    else
        d->env.v[i] = line;
    return i;
}

void plan_env(struct backend_draft *d, const char *name, const char *value)
{
    env_put(d, str_of(name), mem_printf(d->ctx, "%s=%s", name, value));
}

void plan_env_fixed(struct backend_draft *d, const char *name, const char *value)
{
    size_t at = env_put(d, str_of(name), mem_printf(d->ctx, "%s=%s", name, value));
    BUG_ON(d->fixed_count == sizeof d->fixed / sizeof *d->fixed);
    d->fixed[d->fixed_count++] = at;
}

void plan_switches(struct backend_draft *d, const char *const *pairs)
{
    for (; pairs[0]; pairs += 2)
        plan_env(d, pairs[0], pairs[1]);
}

void plan_file(struct backend_draft *d, const char *path, struct str bytes)
{
    d->files = mem_grow(d->ctx, d->files, (d->file_count + 1) * sizeof *d->files);
    d->files[d->file_count++] =
        (struct backend_file){mem_str(d->ctx, path), str_n(mem_strn(d->ctx, bytes.p, bytes.n), bytes.n), 0600};
}

void plan_service(struct backend_draft *d, const char *const *argv)
{
    for (; argv && *argv; argv++)
        list_add(d->ctx, &d->service, mem_str(d->ctx, *argv));
}

void plan_program(struct backend_draft *d, const char *const *argv)
{
    d->args.n = 0;
    plan_args(d, argv);
}

void plan_endpoints(struct backend_draft *d, const struct backend_ask *ask)
{
    const char *v1 = mem_printf(d->ctx, "%s/v1", ask->base_url);
    const char *pairs[] = {"OPENAI_BASE_URL",   v1,       "OPENAI_API_BASE",        v1,
                           "OPENAI_API_KEY",    ask->key, "ANTHROPIC_BASE_URL",     ask->base_url,
                           "ANTHROPIC_API_KEY", ask->key, "GOOGLE_GEMINI_BASE_URL", ask->base_url,
                           "GEMINI_API_KEY",    ask->key, "GOOGLE_API_KEY",         ask->key};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i += 2)
        plan_env_fixed(d, pairs[i], pairs[i + 1]);
    plan_env(d, "NIGHTMILL_MODEL", ask->model);
}

void plan_format(struct backend_draft *d, enum backend_format format)
{
    d->format = format;
}

void plan_input(struct backend_draft *d, struct str input)
{
    d->input = str_n(mem_strn(d->ctx, input.p, input.n), input.n);
}

enum rc plan_prompt_arg(struct backend_draft *d, const struct backend_ask *ask, struct err *err)
{
    if (ask->prompt.n >= BACKEND_ARGUMENT_MAX) {
        err_set(err, RC_INVALID, "the prompt is too long for %s, which takes it as one argument", d->backend->title);
        err_detail(err, "%zu bytes; an argument has at most %d", ask->prompt.n, BACKEND_ARGUMENT_MAX);
        return err_hint(err, "shorten the task, or use an agent that reads its prompt from standard input");
    }
    if (memchr(ask->prompt.p, 0, ask->prompt.n))
        return err_set(err, RC_INVALID, "the prompt holds a NUL byte, which %s cannot be given", d->backend->title);
    /* One that begins like an option would be read as one. */
    list_add(d->ctx, &d->args, mem_printf(d->ctx, "%s%.*s", ask->prompt.p[0] == '-' ? " " : "", STR_FMT(ask->prompt)));
    return RC_OK;
}

static bool is_word(const char *text, size_t max)
{
    if (!text || !*text || *text == '-' || strlen(text) > max)
        return false;
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:") == strlen(text);
}

bool plan_resumes(const struct backend_ask *ask)
{
    return ask->resume && is_word(ask->session, PLAN_ID_MAX);
}

void plan_resumed(struct backend_draft *d)
{
    d->resumes = true;
}

bool plan_resume(struct backend_draft *d, const struct backend_ask *ask, const char *flag)
{
    if (!plan_resumes(ask))
        return false;
    plan_arg(d, flag);
    plan_arg(d, ask->session);
    d->session = mem_str(d->ctx, ask->session);
    return d->resumes = true;
}

bool plan_session(struct backend_draft *d, const struct backend_ask *ask, const char *flag)
{
    if (ask->resume || !is_word(ask->session, PLAN_ID_MAX))
        return false;
    plan_arg(d, flag);
    plan_arg(d, ask->session);
    d->session = mem_str(d->ctx, ask->session);
    return true;
}

const char *plan_url(const struct backend_draft *d, const struct backend_ask *ask)
{
    return mem_printf(d->ctx, "%s%s", ask->base_url, d->backend->base_v1 ? "/v1" : "");
}

const char *plan_home(const struct backend_draft *d, const struct backend_ask *ask, const char *below)
{
    return mem_printf(d->ctx, "%s/%s", ask->home, below);
}

int64_t plan_context(const struct backend_ask *ask)
{
    return ask->context_tokens > 0 ? ask->context_tokens : 128000;
}

int64_t plan_output(const struct backend_ask *ask)
{
    return ask->output_tokens > 0 ? ask->output_tokens : 8192;
}

struct json_out *plan_json(struct backend_draft *d)
{
    struct buf *b = mem_new(d->ctx, struct buf);
    struct json_out *o = mem_new(d->ctx, struct json_out);
    buf_init(b, d->ctx, PLAN_FILE_MAX);
    json_out_init(o, b);
    return o;
}

const char *plan_json_text(struct json_out *o)
{
    return o->b->p;
}

const char *plan_quoted(const struct backend_draft *d, const char *text)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, d->ctx, PLAN_FILE_MAX);
    json_out_init(&o, &b);
    jo_z(&o, text);
    return buf_take(&b, d->ctx);
}

void plan_server_env(struct json_out *o, const struct backend_server *server)
{
    jo_obj(o);
    for (const char *const *e = server->env; e && *e; e++) {
        const char *eq = strchr(*e, '=');
        if (!eq)
            continue;
        jo_keyn(o, str_n(*e, (size_t)(eq - *e)));
        jo_z(o, eq + 1);
    }
    jo_end_obj(o);
}

void plan_servers(struct json_out *o, const struct backend_ask *ask, const char *type)
{
    jo_obj(o);
    for (size_t i = 0; i < ask->server_count; i++) {
        const struct backend_server *s = &ask->servers[i];
        jo_key(o, s->name);
        jo_obj(o);
        if (type)
            jo_kz(o, "type", type);
        jo_kz(o, "command", s->argv[0]);
        jo_key(o, "args");
        jo_arr(o);
        for (const char *const *a = s->argv + 1; *a; a++)
            jo_z(o, *a);
        jo_end_arr(o);
        jo_key(o, "env");
        plan_server_env(o, s);
        jo_end_obj(o);
    }
    jo_end_obj(o);
}

/* --- What is asked --- */

static bool plain(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        if (*p < 0x20 || *p == 0x7f)
            return false;
    return true;
}

static enum rc ask_check_approval(const struct backend *b, const struct backend_ask *ask, struct err *err)
{
    static const char *const words[] = {[BACKEND_FULL] = "full", [BACKEND_EDITS] = "edits", [BACKEND_ASK] = "ask"};
    if (b->approvals & BACKEND_MAY(ask->approval))
        return RC_OK;
    err_set(err, RC_INVALID, "%s cannot be run with approval \"%s\"", b->title, words[ask->approval]);
    return ask->approval == BACKEND_ASK
               ? err_hint(err, "only an agent that speaks the Agent Client Protocol (--agent acp) can ask")
               : err_hint(err, "run it with full approval: the sandbox is what holds it");
}

static enum rc ask_check_servers(const struct backend *b, const struct backend_ask *ask, struct err *err)
{
    if (ask->server_count && !b->servers)
        return err_set(err, RC_INVALID, "%s takes no MCP servers", b->title);
    for (size_t i = 0; i < ask->server_count; i++) {
        const struct backend_server *s = &ask->servers[i];
        if (!is_word(s->name, 64) || strpbrk(s->name, ".:"))
            return err_set(err, RC_INVALID, "the MCP server name \"%.64s\" is not letters, digits, '-' and '_'",
                           s->name ? s->name : "");
        if (!s->argv || !s->argv[0])
            return err_set(err, RC_INVALID, "the MCP server \"%s\" has no command", s->name);
    }
    return RC_OK;
}

static enum rc ask_check(const struct backend *b, const struct backend_ask *ask, struct err *err)
{
    if (!str_trim(ask->prompt).n)
        return err_set(err, RC_INVALID, "there is no prompt for %s", b->title);
    if (b->wire && (!ask->model || !*ask->model || !plain(ask->model) || ask->model[0] == '-'))
        return err_set(err, RC_INVALID, "the model's name cannot be given to %s", b->title);
    if (!ask->home || ask->home[0] != '/' || !ask->workspace || ask->workspace[0] != '/')
        return err_set(err, RC_BUG, "an agent needs absolute paths of its home and its workspace");
    if (b->wire && (!ask->base_url || strncmp(ask->base_url, "http://127.0.0.1:", 17) != 0 || !ask->key || !*ask->key))
        return err_set(err, RC_BUG, "an agent needs the address of its run's listener and a placeholder key");
    enum rc rc = ask_check_approval(b, ask, err);
    return rc ? rc : ask_check_servers(b, ask, err);
}

/* --- The environment --- */

/* Whether the variable would take the agent's requests to its model away from the run's listener. The others stay, for
 * what it runs. */
static bool proxy_misleads(const struct backend *b, struct str name)
{
    return b->proxy_blind && (str_ieq(name, STR("HTTP_PROXY")) || str_ieq(name, STR("HTTPS_PROXY")));
}

static void env_base(struct backend_draft *d, const struct backend_ask *ask)
{
    static const char *const pairs[] = {"LANG",    "C.UTF-8",      "TERM",      "dumb", "NO_COLOR",
                                        "1",       "SHELL",        "/bin/bash", "USER", "agent",
                                        "LOGNAME", "agent",        "TMPDIR",    "/tmp", "GIT_TERMINAL_PROMPT",
                                        "0",       "DO_NOT_TRACK", "1",         NULL};
    plan_env_fixed(d, "HOME", ask->home);
    plan_env(d, "PATH",
             mem_printf(d->ctx, "%s%s/usr/local/bin:/usr/bin:/bin", ask->tool_path ? ask->tool_path : "",
                        ask->tool_path ? ":" : ""));
    plan_switches(d, pairs);
    if (!ask->proxy_url)
        return;
    for (const char *const *e = egress_environment(d->ctx, ask->proxy_url, ask->ca_file, ask->bundle_file, NULL); *e;
         e++) {
        const char *eq = strchr(*e, '=');
        if (!proxy_misleads(d->backend, str_n(*e, (size_t)(eq - *e))))
            plan_env_fixed(d, mem_strn(d->ctx, *e, (size_t)(eq - *e)), eq + 1);
    }
}

static enum rc env_extra(struct backend_draft *d, const char *line, struct err *err)
{
    const char *eq = strchr(line, '=');
    size_t n = eq ? (size_t)(eq - line) : 0;
    if (!n || (line[0] >= '0' && line[0] <= '9') ||
        strspn(line, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != n)
        return err_set(err, RC_INVALID, "\"%.80s\" is not a variable in the form NAME=value", line);
    if (proxy_misleads(d->backend, str_n(line, n)))
        return RC_OK;
    size_t at = env_find(&d->env, str_n(line, n));
    for (size_t i = 0; i < d->fixed_count; i++)
        if (d->fixed[i] == at)
            return err_set(err, RC_INVALID, "the variable %.*s of %s is Nightmill's own", (int)n, line,
                           d->backend->title);
    env_put(d, str_n(line, n), mem_str(d->ctx, line));
    return RC_OK;
}

static enum rc plan_fill(struct backend_draft *d, const struct backend_ask *ask, struct err *err)
{
    plan_arg(d, ask->program ? ask->program : d->backend->program ? d->backend->program : "");
    env_base(d, ask);
    enum rc rc = d->backend->plan(d, ask, err);
    for (const char *const *e = ask->extra_env; !rc && e && *e; e++)
        rc = env_extra(d, *e, err);
    size_t bytes = 0;
    for (size_t i = 0; i < d->env.n; i++)
        bytes += strlen(d->env.v[i]) + 1;
    if (!rc && bytes > PLAN_ENV_MAX)
        rc = err_set(err, RC_INVALID, "the environment of %s is too large", d->backend->title);
    for (size_t i = 0; !rc && i < d->args.n; i++)
        if (strlen(d->args.v[i]) > BACKEND_ARGUMENT_MAX)
            rc = err_set(err, RC_INVALID, "an argument of %s is longer than 128 KiB", d->backend->title);
    return rc;
}

enum rc backend_plan(mem *ctx, const struct backend *backend, const struct backend_ask *ask, struct backend_plan *ret,
                     struct err *err)
{
    enum rc rc = ask_check(backend, ask, err);
    if (rc)
        return rc;
    struct backend_draft d = {.ctx = mem_zalloc(ctx, 1), .backend = backend, .format = backend->format};
    if (backend->input == BACKEND_BY_STDIN)
        plan_input(&d, ask->prompt);
    rc = plan_fill(&d, ask, err);
    if (rc)
        return rc;
    *ret = (struct backend_plan){.argv = d.args.v,
                                 .env = d.env.v,
                                 .cwd = mem_str(d.ctx, ask->workspace),
                                 .files = d.files,
                                 .file_count = d.file_count,
                                 .input = d.input,
                                 .format = d.format,
                                 .session = d.session,
                                 .resumes = d.resumes,
                                 .service = d.service.v};
    return RC_OK;
}
