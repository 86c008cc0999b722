/* A foreign agent at work: somebody else's program in the iteration's sandbox, whose only way out is the run's own
 * listener, where the gateway answers.
 *
 * What it prints becomes events (hearing.c); what it is worth is judged by the tree and the checks alone. Before it
 * starts, the tree is journaled: when the runner dies, the iteration begins anew from there, and the agent goes on with
 * its session where it can. An end that is the world's and not the agent's (a pause, a budget, a provider that fails)
 * journals the tree once more and loses nothing.
 * Not here: what each agent is told and how its words are read (src/agent/backend.h), its HOME (home.c). */
#include "flow/foreign.h"
#include "agent/install.h"
#include "base/clock.h"
#include "base/text.h"
#include "os/path.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    PROXY_PORT = 18099,
    GATEWAY_PORT = 18098, /* of 127.0.0.1 inside */
    LISTEN_MS = 30000,    /* for the daemon to take the listener */
    UNLISTEN_MS = 5000,   /* for its count */
    FLUSH_MS = 30000,
    KEEP = 32 * 1024, /* of standard error: the words of a failure are at its end */
};
/* Shown to agents that want a key. It opens nothing: who connects is the run. */
#define PLACEHOLDER "nightmill-run"
/* Below HOME: the authority of the egress proxy, alone and with the system's; and what no honest program sends
 * anywhere.
 */
#define CA_FILE     ".nightmill/ca.pem"
#define BUNDLE_FILE ".nightmill/bundle.pem"
#define CANARY_FILE ".config/deploy/credentials"

struct stint { /* one start of the program */
    mem *ctx;
    struct run *run;
    const struct backend *backend;
    struct install_place place;
    const char *home;
    const char *tree; /* of the files before it starts */
    struct str prompt;
    const char *session; /* to resume, or to begin with where the caller chooses; NULL: neither */
    bool resumes;
    bool plain;
    struct sandbox *sb;
    const struct backend_server *servers; /* MCP */
    size_t server_count;
    bool proxied; /* there is a way to the outside */
    struct run_egress egress;
    struct backend_plan plan;
    struct hearing hearing;
    struct backend_parser *parser; /* one of these two reads what it prints */
    struct dialogue *dialogue;
    /* Its end: */
    struct sandbox_result res;
    bool ordered, cut; /* ended by us: an order, a limit */
    bool disk;         /* the limit of disk ended the sandbox */
    int left;          /* processes that it left running */
    struct link_listened gate;
    const char *tree_after;
    const struct backend_result *said;
    enum backend_outcome outcome;
    const char *words;
};

const struct backend *foreign_backend(const struct run *run)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *name = json_z(tmp, json_path(run->spec, "agent.name"), NULL);
    return name ? backend_find(name) : NULL;
}

/* ---- what earlier starts have left ---- */

/* The tree that this iteration's agent starts from, when one has started already; NULL: none has. */
static const char *stint_tree_before(mem *ctx, const struct run *run)
{
    const struct journal_entry *last = NULL;
    for (size_t i = run->start; i < journal_count(run->journal); i++) {
        const struct journal_entry *e = journal_at(run->journal, i);
        if (strcmp(e->type, "agent.started") == 0 || strcmp(e->type, "agent.interrupted") == 0)
            last = e;
    }
    return last ? json_z(ctx, json_get(last->json, "tree"), NULL) : NULL;
}

/* The agent's session, of whichever iteration; an empty one was given up. */
static const char *session_known(mem *ctx, const struct run *run, const struct backend *b)
{
    const char *found = NULL;
    for (size_t i = 0; i < journal_count(run->journal); i++) {
        const struct journal_entry *e = journal_at(run->journal, i);
        if (strcmp(e->type, "agent.session") == 0 && json_eqz(json_get(e->json, "agent"), b->name))
            found = json_z(ctx, json_get(e->json, "session"), "");
    }
    return found && *found ? found : NULL;
}

static enum rc session_record(struct stint *s, const char *session, struct err *err)
{
    struct draft rec;
    draft_begin(&rec);
    jo_ki(&rec.o, "iteration", s->run->iteration);
    jo_kz(&rec.o, "agent", s->backend->name);
    jo_kz(&rec.o, "session", session);
    return draft_end(s->run, &rec, "agent.session", "system", err);
}

/* RFC 9562, version 4. */
static const char *uuid_new(mem *ctx)
{
    unsigned char b[16];
    BUG_ON(getrandom(b, sizeof b, 0) != (ssize_t)sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    return mem_printf(ctx, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
                      b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static void session_choose(struct stint *s)
{
    s->session = s->backend->resumes ? session_known(s->ctx, s->run, s->backend) : NULL;
    s->resumes = s->session != NULL;
    if (!s->session && s->backend->session == BACKEND_SESSION_CHOSEN)
        s->session = uuid_new(s->ctx);
}

/* ---- the files, and in whose hands they are ---- */

/* Ours, so that they can be looked at: nothing runs on them. */
static enum rc files_ours(struct stint *s, bool hand_over, struct err *err)
{
    if (!hand_over)
        return RC_OK;
    enum rc rc = sandbox_take(s->run->work.dir, err);
    return rc == RC_OK ? sandbox_take(s->home, err) : rc;
}

static enum rc files_theirs(struct stint *s, struct err *err)
{
    if (!sandbox_hands_over(s->sb))
        return RC_OK;
    enum rc rc = sandbox_give(s->run->work.dir, SANDBOX_AGENT, err);
    return rc == RC_OK ? sandbox_give(s->home, SANDBOX_AGENT, err) : rc;
}

/* Whether something may have changed the files since the last commit: a hook, or setup commands without a sandbox. */
static bool files_touched(const struct stint *s)
{
    for (struct json_iter it = json_iter(json_get(s->run->spec, "hooks")); json_next(&it);)
        if (json_eqz(json_get(it.value, "when"), "before-iteration"))
            return true;
    return s->plain;
}

static enum rc tree_of_start(struct stint *s, struct err *err)
{
    const struct run *run = s->run;
    const struct journal_entry *last = NULL;
    if (files_touched(s))
        return workspace_tree(s->ctx, &run->work, &s->tree, NULL, err);
    for (size_t i = 0; i < run->start; i++)
        if (strcmp(journal_at(run->journal, i)->type, "iteration.committed") == 0)
            last = journal_at(run->journal, i);
    s->tree = last ? json_z(s->ctx, json_get(last->json, "tree"), NULL) : NULL;
    return s->tree ? RC_OK : repo_tree_of(s->ctx, run->work.git_dir, run->work.base, &s->tree, err);
}

/* The files as they were at the iteration's start. */
static enum rc files_begin(struct stint *s, struct err *err)
{
    enum rc rc = files_ours(s, sandbox_hands_over(s->sb), err);
    s->tree = stint_tree_before(s->ctx, s->run);
    if (rc != RC_OK)
        return rc;
    if (s->tree)
        return workspace_restore(&s->run->work, s->tree, err);
    return tree_of_start(s, err);
}

/* ---- the plan ---- */

static const char *spec_text(struct stint *s, const char *key, const char *otherwise)
{
    return json_z(s->ctx, json_get(json_get(s->run->spec, "agent"), key), otherwise);
}

static const char *const *spec_strings(struct stint *s, const char *key)
{
    struct json list = json_get(json_get(s->run->spec, "agent"), key);
    const char **v = mem_array(s->ctx, const char *, json_len(list) + 1);
    size_t n = 0;
    for (struct json_iter it = json_iter(list); json_next(&it);)
        v[n++] = json_z(s->ctx, it.value, "");
    return v;
}

/* As the program sees it. */
static const char *home_path(struct stint *s, const char *file)
{
    return mem_printf(s->ctx, "%s/%s", s->plain ? s->home : HOME_INSIDE, file);
}

static enum backend_approval approval_read(const char *word)
{
    return strcmp(word, "edits") == 0 ? BACKEND_EDITS : strcmp(word, "ask") == 0 ? BACKEND_ASK : BACKEND_FULL;
}

/* ${NAME} stands for a secret that is lent to the sandbox: its placeholder, which the proxy makes the real one. */
static enum rc secret_placed(struct stint *s, const char *text, const char **ret, struct err *err)
{
    struct buf b;
    buf_init(&b, s->ctx, 1u << 20);
    for (const char *at = text; *at;) {
        const char *end = at[0] == '$' && at[1] == '{' ? strchr(at, '}') : NULL;
        const char *value = NULL;
        if (!end) {
            buf_char(&b, *at++);
            continue;
        }
        for (size_t i = 0; i < s->egress.secret_count && !value; i++)
            if (str_eqz(str_n(at + 2, (size_t)(end - at - 2)), s->egress.secrets[i].name))
                value = s->egress.placeholders[i];
        if (!value) {
            err_set(err, RC_INVALID, "an MCP server of the project wants the secret %.*s, which is not lent to it",
                    (int)(end - at + 1), at);
            return err_hint(err, "lend it with the setting egress.secrets, such as NAME=host");
        }
        buf_z(&b, value);
        at = end + 1;
    }
    *ret = buf_take(&b, s->ctx);
    return RC_OK;
}

/* The MCP servers that the project wants its agents to have. They are started by the agent, in its sandbox. */
static enum rc servers_read(struct stint *s, struct err *err)
{
    struct json list = json_get(s->run->spec, "mcp");
    struct backend_server *servers = mem_array(s->ctx, struct backend_server, json_len(list) + 1);
    enum rc rc = RC_OK;
    s->server_count = 0;
    s->servers = servers;
    for (struct json_iter it = json_iter(list); rc == RC_OK && s->backend->servers && json_next(&it);) {
        struct json argv = json_get(it.value, "argv"), env = json_get(it.value, "env");
        const char **words = mem_array(s->ctx, const char *, json_len(argv) + 1);
        const char **pairs = mem_array(s->ctx, const char *, json_len(env) + 1);
        size_t n = 0;
        for (struct json_iter a = json_iter(argv); json_next(&a);)
            words[n++] = json_z(s->ctx, a.value, "");
        n = 0;
        for (struct json_iter e = json_iter(env); rc == RC_OK && json_next(&e); n++)
            rc = secret_placed(s, json_z(s->ctx, e.value, ""), &pairs[n], err);
        servers[s->server_count++] =
            (struct backend_server){json_z(s->ctx, json_get(it.value, "name"), ""), words, pairs};
    }
    return rc;
}

static enum rc stint_plan(struct stint *s, struct err *err)
{
    enum rc rc = servers_read(s, err);
    if (rc != RC_OK)
        return rc;
    const char *const *program = spec_strings(s, "program");
    struct backend_ask ask = {
        .program = s->plain && s->place.outside ? s->place.outside : s->place.program,
        .tool_path = s->plain ? NULL : s->place.tool_path,
        .prompt = s->prompt,
        .model = run_model(s->run),
        .context_tokens = json_int(json_path(s->run->spec, "model.context"), 0),
        .output_tokens = json_int(json_path(s->run->spec, "model.max_output"), 0),
        .base_url = mem_printf(s->ctx, "http://127.0.0.1:%u", (unsigned)sandbox_listener_port(s->sb, 0)),
        .key = s->plain ? s->run->place->token : PLACEHOLDER, /* plain: anybody on the machine can connect */
        .session = s->session,
        .resume = s->resumes,
        .home = s->plain ? s->home : HOME_INSIDE,
        .workspace = s->plain ? s->run->work.dir : "/workspace",
        .approval = approval_read(spec_text(s, "approval", "full")),
        .servers = s->servers,
        .server_count = s->server_count,
        .extra_arguments = spec_strings(s, "arguments"),
        .extra_env = s->proxied ? run_egress_environment(s->ctx, &s->egress, sandbox_listener_port(s->sb, 1),
                                                         home_path(s, CA_FILE), home_path(s, BUNDLE_FILE))
                                : NULL,
        .iteration = s->run->iteration,
        .custom = {.argv = program[0] ? program : NULL,
                   .input =
                       strcmp(spec_text(s, "input", "stdin"), "argument") == 0 ? BACKEND_BY_ARGUMENT : BACKEND_BY_STDIN,
                   .format = strcmp(spec_text(s, "output", "text"), "lines") == 0 ? BACKEND_LINES : BACKEND_TEXT,
                   .url = spec_text(s, "url", NULL)}};
    return backend_plan(s->ctx, s->backend, &ask, &s->plan, err);
}

/* ---- the run itself ---- */

static enum rc started_record(struct stint *s, struct err *err)
{
    struct draft rec;
    draft_begin(&rec);
    jo_ki(&rec.o, "iteration", s->run->iteration);
    jo_kz(&rec.o, "agent", s->backend->name);
    jo_kz(&rec.o, "version", s->place.version);
    jo_kz(&rec.o, "session", s->plan.session);
    jo_kb(&rec.o, "resumed", s->plan.resumes);
    jo_kz(&rec.o, "tree", s->tree);
    enum rc rc = draft_end(s->run, &rec, "agent.started", "system", err);
    /* Causes stand in the database before their effects: requests come from now on. */
    return rc == RC_OK ? link_flush(s->run->link, (int64_t)journal_count(s->run->journal), FLUSH_MS, err) : rc;
}

static bool stint_heard(void *arg, bool error, struct str bytes)
{
    struct stint *s = arg;
    if (error)
        return true;
    if (s->dialogue)
        return dialogue_heard(s->dialogue, bytes) && s->hearing.rc == RC_OK;
    backend_parser_feed(s->parser, bytes.p, bytes.n);
    return s->hearing.rc == RC_OK; /* without a journal nothing goes on */
}

static void event_heard(void *arg, const struct backend_event *event)
{
    struct stint *s = arg;
    hearing_event(&s->hearing, event);
}

static bool question_heard(void *arg, const struct acp_question *question, bool *ret_goes_on)
{
    struct stint *s = arg;
    bool allowed = false;
    struct err err = {0};
    enum rc rc = question_put(s->run, question, &allowed, &err);
    *ret_goes_on = rc == RC_OK;
    if (rc != RC_OK && rc != RC_CANCELLED && s->hearing.rc == RC_OK) {
        s->hearing.rc = rc; /* without a journal nothing goes on */
        s->hearing.err = err;
    }
    return allowed;
}

static enum rc parser_open(struct stint *s, struct err *err)
{
    hearing_init(&s->hearing, s->ctx, s->run, s->backend->name, s->plan.resumes ? s->plan.session : NULL);
    if (s->plan.format == BACKEND_ACP) {
        struct acp_spec spec = {.cwd = s->plan.cwd,
                                .prompt = s->prompt,
                                .session = s->plan.resumes ? s->plan.session : NULL,
                                .servers = s->servers,
                                .server_count = s->server_count,
                                .approval = approval_read(spec_text(s, "approval", "full"))};
        struct dialogue_heart heart = {event_heard, question_heard, s};
        return dialogue_open(s->ctx, &spec, &heart, &s->dialogue, err);
    }
    s->parser = backend_parser_new(s->ctx, s->backend, s->plan.format, hearing_event, &s->hearing);
    return RC_OK;
}

/* A service that the agent is the client of: started in the background, ended with everything else inside. */
static enum rc service_start(struct stint *s, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    static const char *const shell[] = {"/bin/sh", "-c", "\"$@\" </dev/null >/dev/null 2>&1 &", "sh"};
    const char *const *service = s->plan.service;
    struct sandbox_result res;
    size_t n = 0;
    if (!service)
        return RC_OK;
    while (service[n])
        n++;
    const char **argv = mem_array(tmp, const char *, 4 + n + 1);
    memcpy(argv, shell, sizeof shell);
    memcpy(argv + 4, service, n * sizeof *service);
    struct sandbox_command cmd = {
        .argv = argv, .cwd = s->plan.cwd, .env = s->plan.env, .timeout_ms = 10000, .cancel_fd = -1, .out_fd = -1};
    return sandbox_run(tmp, s->sb, &cmd, &res, err);
}

/* Readable when there is an order, or when a limit is reached. */
static int ends_watch(const struct run *run)
{
    int fds[] = {link_order_fd(run->link), link_cut_fd(run->link)};
    int all = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; all >= 0 && i < 2; i++) {
        struct epoll_event e = {.events = EPOLLIN};
        if (epoll_ctl(all, EPOLL_CTL_ADD, fds[i], &e) < 0) {
            close(all);
            return -1;
        }
    }
    return all;
}

static int log_open(struct stint *s, struct err *err)
{
    const char *dir = mem_printf(s->ctx, "%s/out", s->run->task_dir);
    if (path_mkdirs(dir, 0700, err) != RC_OK)
        return -1;
    const char *path = mem_printf(s->ctx, "%s/agent-%lld.log", dir, (long long)s->run->iteration);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        err_sys(err, errno, "could not write the agent's log %s", path);
    return fd;
}

static enum rc program_run(struct stint *s, struct err *err)
{
    struct run *run = s->run;
    CLEANUP_FD int log = log_open(s, err);
    CLEANUP_FD int ends = log < 0 ? -1 : ends_watch(run);
    if (log < 0)
        return err->rc;
    if (ends < 0)
        return err_sys(err, errno, "could not watch for orders");
    struct sandbox_command cmd = {.argv = s->plan.argv,
                                  .cwd = s->plan.cwd,
                                  .env = s->plan.env,
                                  .input = s->plan.input,
                                  .input_fd = s->dialogue ? dialogue_input(s->dialogue) : -1,
                                  .timeout_ms = (int)setting_int(run->settings, "agent.time") * 1000,
                                  .cancel_fd = ends,
                                  .grace_ms = (int)setting_int(run->settings, "agent.grace") * 1000,
                                  .keep = KEEP,
                                  .out_fd = log,
                                  .out_max = setting_int(run->settings, "agent.log"),
                                  .flood_ends = true,
                                  .on_output = stint_heard,
                                  .arg = s};
    enum rc rc = sandbox_run(s->ctx, s->sb, &cmd, &s->res, err);
    if (s->hearing.rc != RC_OK) {
        *err = s->hearing.err;
        return s->hearing.rc;
    }
    s->ordered = link_order(run->link) != LINK_NONE;
    s->disk = rc == RC_LIMIT && sandbox_disk_over(s->sb, err);
    return rc == RC_CANCELLED ? RC_OK : rc;
}

static void parser_close(struct stint *s)
{
    if (s->dialogue)
        s->said = dialogue_end(s->dialogue);
    if (!s->parser)
        return;
    backend_parser_errors(s->parser, s->res.err);
    s->said = backend_parser_end(s->parser);
}

/* What the agent's HOME holds before it starts: the plan's files, and those for its way to the outside. */
static enum rc home_fill(struct stint *s, bool *ret_anew, struct err *err)
{
    size_t n = s->plan.file_count;
    struct str ca, bundle;
    struct backend_file *files = mem_array(s->ctx, struct backend_file, n + 3);
    for (size_t i = 0; i < n; i++)
        files[i] = s->plan.files[i];
    if (s->proxied) {
        enum rc rc = run_egress_certificates(s->ctx, s->run, &ca, &bundle, err);
        if (rc != RC_OK)
            return rc;
        const char *canary = mem_printf(s->ctx, "[production]\napi_key = %s\n", s->egress.canary);
        files[n++] = (struct backend_file){CA_FILE, ca, 0600};
        files[n++] = (struct backend_file){BUNDLE_FILE, bundle, 0600};
        files[n++] = (struct backend_file){CANARY_FILE, str_of(canary), 0600};
    }
    return home_put(s->ctx, s->run, files, n, ret_anew, err);
}

/* Everything that the program finds when it starts. */
static enum rc stint_prepare(struct stint *s, struct err *err)
{
    bool anew = false;
    enum rc rc = stint_plan(s, err);
    if (rc == RC_OK)
        rc = home_fill(s, &anew, err);
    if (rc == RC_OK && anew && s->resumes) { /* what was to be resumed has gone */
        s->resumes = false;
        s->session = s->backend->session == BACKEND_SESSION_CHOSEN ? uuid_new(s->ctx) : NULL;
        rc = stint_plan(s, err);
        if (rc == RC_OK)
            rc = home_fill(s, &anew, err);
    }
    if (rc == RC_OK)
        rc = started_record(s, err);
    return rc == RC_OK ? files_theirs(s, err) : rc;
}

/* From an open sandbox to the program's end; everything that was opened is closed again. */
static enum rc stint_run(struct stint *s, struct err *err)
{
    struct run *run = s->run;
    struct link_listen listen = {.gateway = sandbox_listener(s->sb, 0),
                                 .proxy = s->proxied ? sandbox_listener(s->sb, 1) : -1,
                                 .iteration = run->iteration,
                                 .requests = setting_int(run->settings, "limits.turns"),
                                 .key = s->plain,
                                 .egress = s->egress.words};
    enum rc rc = files_begin(s, err);
    if (rc == RC_OK)
        rc = link_listen(run->link, &listen, LISTEN_MS, err);
    if (rc != RC_OK)
        return rc;
    rc = stint_prepare(s, err);
    int64_t began = clock_mono_ns(), waited = run->waited_ns;
    if (rc == RC_OK)
        rc = parser_open(s, err);
    if (rc == RC_OK)
        rc = service_start(s, err);
    if (rc == RC_OK)
        rc = program_run(s, err);
    run->outside_ns += clock_mono_ns() - began - (run->waited_ns - waited);
    parser_close(s);
    bool hand_over = sandbox_hands_over(s->sb);
    s->sb = sandbox_close(s->sb, &s->left);
    link_unlisten(run->link, s->ctx, UNLISTEN_MS, &s->gate);
    s->cut = s->gate.limit != NULL;
    struct err later = {0};
    enum rc after = hearing_end(&s->hearing, &later);
    if (after == RC_OK)
        after = files_ours(s, hand_over, &later);
    if (after == RC_OK)
        after = workspace_tree(s->ctx, &run->work, &s->tree_after, NULL, &later);
    if (rc == RC_OK && after != RC_OK)
        *err = later;
    return rc != RC_OK ? rc : after;
}

static enum rc stint_open(struct stint *s, struct err *err)
{
    struct run *run = s->run;
    enum rc rc = home_make(s->ctx, run, &s->home, err);
    s->plain = json_bool(json_get(run->spec, "no_sandbox"), false);
    s->proxied = !s->plain && run_egress_wanted(run, EGRESS_WORK); /* plain: it has the machine's own network */
    if (rc == RC_OK && s->proxied)
        rc = run_egress_make(s->ctx, run, EGRESS_WORK, &s->egress, err);
    if (rc != RC_OK)
        return rc;
    struct sandbox_mount mounts[4] = {{s->home, HOME_INSIDE, true}};
    size_t n = 1;
    for (size_t i = 0; i < s->place.mount_count; i++)
        mounts[n++] = s->place.mounts[i];
    const char *folder = spec_text(s, "folder", NULL);
    if (folder && !s->backend->program) /* of a program that only the settings know */
        mounts[n++] = (struct sandbox_mount){folder, folder, false};
    struct run_room room = {
        .mounts = mounts, .mount_count = n, .ports = {GATEWAY_PORT, PROXY_PORT}, .port_count = s->proxied ? 2 : 1};
    return run_open_room(s->ctx, run, "agent", &room, &s->sb, err);
}

/* ---- its end ---- */

static void stint_judge(struct stint *s)
{
    struct backend_ending e = {.said = s->said,
                               .end_mark = s->backend->end_mark,
                               .exit_code = s->res.exit_code,
                               .signal = s->res.signal,
                               .could_not_start = s->res.could_not_start,
                               .cancelled = s->ordered,
                               .timed_out = s->res.timed_out,
                               .changed = strcmp(s->tree, s->tree_after) != 0,
                               .requests = s->gate.requests};
    if (s->dialogue && dialogue_finished(s->dialogue)) /* it does not end by itself: we ended it */
        e.exit_code = e.signal = 0;
    s->outcome = backend_judge(s->ctx, &e, &s->words);
    if (s->res.flooded)
        s->outcome = BACKEND_FAILED;
    if (s->res.flooded)
        s->words = mem_printf(s->ctx, "it was ended because its output passed %lld MiB",
                              (long long)(setting_int(s->run->settings, "agent.log") >> 20));
    else if (s->res.memory_limit && s->outcome != BACKEND_DONE)
        s->words = mem_printf(s->ctx, "%s; the memory limit of the sandbox was reached", s->words ? s->words : "");
    else if (s->res.process_limit && s->outcome != BACKEND_DONE)
        s->words = mem_printf(s->ctx, "%s; the process limit of the sandbox was reached", s->words ? s->words : "");
}

static void usage_members(struct json_out *o, const struct backend_usage *u)
{
    if (!u->known)
        return;
    jo_key(o, "said_usage"); /* the agent's own figures; the ledger's count */
    jo_obj(o);
    jo_ki(o, "input", u->input);
    jo_ki(o, "cached", u->cached);
    jo_ki(o, "output", u->output);
    jo_end_obj(o);
}

static enum next stint_finished(struct stint *s, const char *end, const char *words, struct err *err)
{
    struct draft rec;
    struct str text = s->said ? s->said->text : STR("");
    draft_begin(&rec);
    jo_ki(&rec.o, "iteration", s->run->iteration);
    jo_kz(&rec.o, "agent", s->backend->name);
    jo_kz(&rec.o, "end", end);
    jo_kz(&rec.o, "words", words);
    jo_ks(&rec.o, "summary", str_of(str_utf8_clean(rec.ctx, str_sub(text, 0, str_utf8_cut(text, 4096)))));
    jo_ki(&rec.o, "turns", s->gate.requests);
    jo_ki(&rec.o, "tool_calls", s->said ? s->said->tools : 0);
    jo_ki(&rec.o, "exit_code", s->res.exit_code);
    jo_ki(&rec.o, "signal", s->res.signal);
    jo_ki(&rec.o, "left", s->left);
    jo_ki(&rec.o, "output_bytes", s->res.out_bytes + s->res.err_bytes);
    if (s->said)
        usage_members(&rec.o, &s->said->usage);
    return draft_end(s->run, &rec, "agent.finished", "agent", err) == RC_OK ? NEXT_GO : NEXT_FAIL;
}

/* Not the agent's end: what it did so far is kept, and it goes on there. */
static enum rc stint_interrupted(struct stint *s, const char *words, struct err *err)
{
    struct draft rec;
    draft_begin(&rec);
    jo_ki(&rec.o, "iteration", s->run->iteration);
    jo_kz(&rec.o, "agent", s->backend->name);
    jo_kz(&rec.o, "words", words);
    jo_kz(&rec.o, "tree", s->tree_after);
    return draft_end(s->run, &rec, "agent.interrupted", "system", err);
}

/* Whether the gateway's last word explains why the agent gave up: then it is not the agent that failed. */
static bool provider_failed(const struct stint *s)
{
    bool gave_up = s->outcome == BACKEND_FAILED || s->outcome == BACKEND_DIED || s->outcome == BACKEND_NO_CHANGE;
    return s->gate.rc != RC_OK && !s->gate.refused && gave_up;
}

/* It was to go on with a session and came to nothing before its first request: the session is not there any more. */
static bool session_lost(const struct stint *s)
{
    return s->plan.resumes && s->gate.requests == 0 && s->outcome == BACKEND_FAILED && !s->res.could_not_start;
}

static enum next gate_failed(struct stint *s, struct err *err)
{
    struct run *run = s->run;
    const char *title = s->gate.title && *s->gate.title ? s->gate.title : "the model did not answer";
    if (stint_interrupted(s, title, err) != RC_OK)
        return NEXT_FAIL;
    *err = (struct err){0};
    err_set(err, s->cut ? RC_LIMIT : s->gate.rc, "%s", title);
    err_hint(err, "%s", s->gate.hint ? s->gate.hint : "");
    run->limit_kind = s->cut ? mem_str(run->ctx, s->gate.limit) : NULL;
    return run_model_failed(run, err->rc, s->gate.retry_after_s, err);
}

/* *ret_done: agent.finished is journaled. Else the program is to be started again, when NEXT_GO. */
static enum next stint_end(struct stint *s, bool *ret_done, struct err *err)
{
    struct run *run = s->run;
    *ret_done = false;
    if (s->ordered) {
        if (stint_interrupted(s, "it was told to end", err) != RC_OK)
            return NEXT_FAIL;
        return run_follow_order(run, err);
    }
    if (s->cut && strcmp(s->gate.limit, "requests") != 0)
        return gate_failed(s, err);
    stint_judge(s);
    if (!s->cut && provider_failed(s))
        return gate_failed(s, err);
    if (session_lost(s))
        return session_record(s, "", err) == RC_OK ? NEXT_GO : NEXT_FAIL;
    /* Chosen by us, or without a name (then the last one of its home): it was used, so it can be resumed. */
    const char *session = s->backend->session == BACKEND_SESSION_NONE ? "last" : s->plan.session;
    if (s->backend->resumes && s->backend->session != BACKEND_SESSION_READ && !s->plan.resumes && !s->hearing.session &&
        s->gate.requests > 0 && session_record(s, session, err) != RC_OK)
        return NEXT_FAIL;
    run->failures = 0;
    *ret_done = true;
    if (s->cut)
        return stint_finished(s, "turns",
                              mem_printf(s->ctx, "it was ended after its %lld model requests of one iteration",
                                         (long long)setting_int(run->settings, "limits.turns")),
                              err);
    return stint_finished(s, backend_outcome_name(s->outcome), s->words, err);
}

static enum next program_missing(struct stint *s, struct err *err)
{
    const char *name = s->backend->name;
    const char *words =
        s->backend->package
            ? mem_printf(s->ctx, "the agent %s is not installed: nightmill agent install %s", name, name)
            : mem_printf(s->ctx, "the agent %s is not on this machine%s%s", name,
                         s->backend->source ? ": it comes from " : "", s->backend->source ? s->backend->source : "");
    return run_state(s->run, "needs_you", "agent_missing", words, err);
}

static enum next stint_whole(mem *ctx, struct run *run, struct str prompt, bool *ret_done, struct err *err)
{
    struct stint s = {.ctx = ctx, .run = run, .backend = foreign_backend(run), .prompt = prompt};
    enum rc rc = install_find(ctx, run->place->data_dir, getenv("PATH"), s.backend, &s.place, err);
    if (rc == RC_OK && !s.place.origin)
        return program_missing(&s, err);
    session_choose(&s);
    if (rc == RC_OK)
        rc = stint_open(&s, err);
    if (rc == RC_OK)
        rc = stint_run(&s, err);
    sandbox_close(s.sb, NULL);
    run_room_closed(ctx, run);
    if (rc == RC_OK)
        return stint_end(&s, ret_done, err);
    enum next next = run_follow_order(run, err);
    if (next != NEXT_GO)
        return next;
    if (s.disk) { /* the files go back to where the iteration began */
        run->limit_kind = "disk";
        return run_model_failed(run, RC_LIMIT, -1, err);
    }
    if (rc == RC_INVALID) /* the agent cannot be asked in this way: a person must change how */
        return run_state(run, "needs_you", "agent",
                         err->hint[0] ? mem_printf(ctx, "%s: %s", err->sentence, err->hint) : err->sentence, err);
    if (rc == RC_BUG || rc == RC_NOT_FOUND)
        return NEXT_FAIL;
    return run_backoff(run, -1, err, err);
}

enum next foreign_iterate(struct run *run, struct str prompt, struct err *err)
{
    for (;;) {
        CLEANUP_MEM mem *ctx = mem_root();
        bool done = false;
        *err = (struct err){0};
        enum next next = stint_whole(ctx, run, prompt, &done, err);
        if (next != NEXT_GO || done)
            return next;
    }
}
