/* The client's side of the Agent Client Protocol, version 1. What the agent says is hostile: lines and open questions
 * have caps, ids are kept as they came and given back, a message that makes no sense is skipped. */
#include "agent/acp.h"
#include "agent/backend_room.h"
#include "base/text.h"

enum { ACP_OUT_MAX = 16 << 20, ACP_QUESTIONS = 64, ACP_TOOLS = 64, ACP_ID_MAX = 200, ACP_OPTIONS = 32 };

/* Our requests, in their order; the id on the wire is the number. */
enum call { CALL_NONE, CALL_INITIALIZE, CALL_SESSION, CALL_LOAD, CALL_MODE, CALL_PROMPT };
enum phase { PHASE_STARTING, PHASE_PROMPTED, PHASE_DONE };

struct question {
    const char *id;                /* JSON text of the request's id; NULL: free */
    const char *allow, *reject;    /* option ids; NULL: none on offer */
    const char *call_id, *summary; /* of the tool, for the event */
    const char *name;
    mem *ctx;
};
/* A call of a tool that is going on. Agents announce it in different ways: tool_call at first without its arguments, or
 * nothing before the question for permission; its start is told once, when it runs, asks or ends. */
struct tool {
    const char *id; /* NULL: free */
    char *name, *summary;
    bool told;
    mem *ctx;
};
struct acp {
    struct acp_spec spec;
    struct backend_parser *parser;
    void (*on_question)(void *arg, const struct acp_question *question);
    void *arg;
    struct buf line, out;
    bool skipping, cancelled;
    enum phase phase;
    enum call waiting; /* the request whose answer is awaited */
    const char *session;
    bool usage_partial; /* the agent's own figures leave requests out */
    struct backend_usage used;
    struct question questions[ACP_QUESTIONS];
    struct tool tools[ACP_TOOLS];
    size_t tool_next; /* the place that is taken when all are in use */
};

/* --- Writing --- */

struct message {
    struct buf b;
    struct json_out o;
    mem *ctx;
};

static void message_begin(struct message *m)
{
    m->ctx = mem_root();
    buf_init(&m->b, m->ctx, ACP_OUT_MAX);
    json_out_init(&m->o, &m->b);
    jo_obj(&m->o);
    jo_kz(&m->o, "jsonrpc", "2.0");
}

static void tell(struct acp *a, enum backend_event_kind kind, struct str text, bool failed)
{
    parser_tell(a->parser, &(struct backend_event){.kind = kind, .text = text, .failed = failed});
}

static void finish(struct acp *a, const char *trouble)
{
    if (a->phase == PHASE_DONE)
        return;
    a->phase = PHASE_DONE;
    tell(a, BACKEND_ENDED, str_of(trouble), trouble != NULL);
}

static void message_send(struct acp *a, struct message *m)
{
    jo_end_obj(&m->o);
    buf_char(&m->b, '\n');
    bool whole = !m->b.overflow && buf_str(&a->out, buf_view(&m->b));
    mem_free(m->ctx);
    if (!whole)
        finish(a, "the agent does not read what it is told");
}

static struct json_out *call_begin(struct acp *a, struct message *m, enum call call, const char *method)
{
    message_begin(m);
    jo_ki(&m->o, "id", call);
    jo_kz(&m->o, "method", method);
    jo_key(&m->o, "params");
    jo_obj(&m->o);
    a->waiting = call;
    return &m->o;
}

static void call_end(struct acp *a, struct message *m)
{
    jo_end_obj(&m->o);
    message_send(a, m);
}

static void call_initialize(struct acp *a)
{
    struct message m;
    struct json_out *o = call_begin(a, &m, CALL_INITIALIZE, "initialize");
    jo_ki(o, "protocolVersion", 1);
    jo_kraw(o, "clientCapabilities",
            STR("{\"fs\":{\"readTextFile\":false,\"writeTextFile\":false},\"terminal\":false}"));
    jo_key(o, "clientInfo");
    jo_obj(o);
    jo_kz(o, "name", "nightmill");
    jo_kz(o, "version", NIGHTMILL_VERSION);
    jo_end_obj(o);
    call_end(a, &m);
}

static void write_server(struct json_out *o, const struct backend_server *s)
{
    jo_obj(o);
    jo_kz(o, "name", s->name);
    jo_kz(o, "command", s->argv[0]);
    jo_key(o, "args");
    jo_arr(o);
    for (const char *const *v = s->argv + 1; *v; v++)
        jo_z(o, *v);
    jo_end_arr(o);
    jo_key(o, "env");
    jo_arr(o);
    for (const char *const *e = s->env; e && *e; e++) {
        size_t n = strcspn(*e, "=");
        if (!(*e)[n])
            continue;
        jo_obj(o);
        jo_ks(o, "name", str_n(*e, n));
        jo_kz(o, "value", *e + n + 1);
        jo_end_obj(o);
    }
    jo_end_arr(o);
    jo_end_obj(o);
}

/* session/new, or session/load of the one to go on with. */
static void call_session(struct acp *a, const char *load)
{
    struct message m;
    struct json_out *o = call_begin(a, &m, load ? CALL_LOAD : CALL_SESSION, load ? "session/load" : "session/new");
    if (load)
        jo_kz(o, "sessionId", load);
    jo_kz(o, "cwd", a->spec.cwd);
    jo_key(o, "mcpServers");
    jo_arr(o);
    for (size_t i = 0; i < a->spec.server_count; i++)
        write_server(o, &a->spec.servers[i]);
    jo_end_arr(o);
    call_end(a, &m);
}

static void call_prompt(struct acp *a)
{
    struct message m;
    struct json_out *o = call_begin(a, &m, CALL_PROMPT, "session/prompt");
    a->phase = PHASE_PROMPTED;
    jo_kz(o, "sessionId", a->session);
    jo_key(o, "prompt");
    jo_arr(o);
    jo_obj(o);
    jo_kz(o, "type", "text");
    jo_ks(o, "text", a->spec.prompt);
    jo_end_obj(o);
    jo_end_arr(o);
    call_end(a, &m);
}

/* The mode that lets the agent do what it may, by the names that agents have for it. */
static const char *mode_wanted(const struct acp *a, struct json modes)
{
    static const char *const full[] = {"full-access", "bypassPermissions", "yolo", NULL};
    static const char *const edits[] = {"auto-edit", "autoEdit", "acceptEdits", "auto", NULL};
    static const char *const ask[] = {"auto", "default", NULL};
    const char *const *names = a->spec.approval == BACKEND_FULL    ? full
                               : a->spec.approval == BACKEND_EDITS ? edits
                                                                   : ask;
    struct json current = json_get(modes, "currentModeId");
    if (a->spec.approval == BACKEND_ASK && !json_eqz(current, "read-only"))
        return NULL;
    for (; *names; names++) {
        if (json_eqz(current, *names))
            return NULL;
        for (struct json_iter it = json_iter(json_get(modes, "availableModes")); json_next(&it);)
            if (json_eqz(json_get(it.value, "id"), *names))
                return *names;
    }
    return NULL;
}

static void call_mode_or_prompt(struct acp *a, struct json result)
{
    const char *mode = mode_wanted(a, json_get(result, "modes"));
    struct message m;
    if (!mode) {
        call_prompt(a);
        return;
    }
    struct json_out *o = call_begin(a, &m, CALL_MODE, "session/set_mode");
    jo_kz(o, "sessionId", a->session);
    jo_kz(o, "modeId", mode);
    call_end(a, &m);
}

/* --- Answers to our requests --- */

static void session_known(struct acp *a, mem *tmp, struct json id)
{
    const char *text = json_z(tmp, id, NULL);
    if (!text || !*text || strlen(text) > ACP_ID_MAX)
        return;
    a->session = mem_str(a, text);
    parser_tell(a->parser, &(struct backend_event){.kind = BACKEND_SESSION_KNOWN, .id = a->session});
}

static void answered_initialize(struct acp *a, struct json result)
{
    if (json_int(json_get(result, "protocolVersion"), 0) != 1) {
        finish(a, "the agent speaks another version of the Agent Client Protocol");
        return;
    }
    /* opencode reports the last request of a prompt alone. */
    a->usage_partial = json_eqz(json_path(result, "agentInfo.name"), "OpenCode");
    bool loads = json_bool(json_path(result, "agentCapabilities.loadSession"), false);
    call_session(a, loads ? a->spec.session : NULL);
}

static int64_t count(struct json usage, const char *name)
{
    int64_t n = json_int(json_get(usage, name), 0);
    return n >= 0 && n < INT64_C(1) << 50 ? n : 0;
}

/* Of one request (in a message's _meta, as Qwen Code has it) or of the whole prompt. */
static void usage_read(struct acp *a, struct json usage, bool whole)
{
    if (!json_is(usage) || a->usage_partial || (whole && a->used.known))
        return;
    a->used.known = true;
    a->used.input += count(usage, "inputTokens");
    a->used.output += count(usage, "outputTokens");
    a->used.cached += count(usage, "cachedReadTokens");
    parser_used(a->parser, &a->used);
}

static void answered_prompt(struct acp *a, mem *tmp, struct json result)
{
    usage_read(a, json_get(result, "usage"), true);
    const char *stop = json_z(tmp, json_get(result, "stopReason"), "");
    bool fine = strcmp(stop, "end_turn") == 0;
    a->phase = PHASE_DONE;
    const char *words = fine ? stop : mem_printf(tmp, "it stopped with \"%.100s\"", stop);
    tell(a, BACKEND_ENDED, str_of(words), !fine);
}

static void refused(struct acp *a, mem *tmp, enum call call, struct json error)
{
    struct str words = parser_text(tmp, json_get(error, "message"));
    struct json more = json_get(error, "data");
    const char *text = json_is(more) ? mem_printf(tmp, "%.*s: %.*s", STR_FMT(words), STR_FMT(parser_text(tmp, more)))
                                     : mem_printf(tmp, "%.*s", STR_FMT(words));
    if (call == CALL_LOAD) { /* a session that is gone is begun anew */
        tell(a, BACKEND_WARNING, str_of(text), false);
        call_session(a, NULL);
    } else if (call == CALL_MODE) {
        tell(a, BACKEND_WARNING, str_of(text), false);
        call_prompt(a);
    } else {
        finish(a, *text ? text : "the agent refused a request of the protocol");
    }
}

static void answer_read(struct acp *a, mem *tmp, struct json message)
{
    enum call call = a->waiting;
    struct json error = json_get(message, "error"), result = json_get(message, "result");
    if (call == CALL_NONE || json_int(json_get(message, "id"), -1) != (int64_t)call || a->phase == PHASE_DONE)
        return;
    a->waiting = CALL_NONE;
    if (json_is(error)) {
        refused(a, tmp, call, error);
        return;
    }
    if (call == CALL_INITIALIZE) {
        answered_initialize(a, result);
    } else if (call == CALL_PROMPT) {
        answered_prompt(a, tmp, result);
    } else if (call == CALL_MODE) {
        call_prompt(a);
    } else {
        if (call == CALL_LOAD)
            parser_tell(a->parser, &(struct backend_event){.kind = BACKEND_SESSION_KNOWN,
                                                           .id = a->session = mem_str(a, a->spec.session)});
        else
            session_known(a, tmp, json_get(result, "sessionId"));
        if (a->session)
            call_mode_or_prompt(a, result);
        else
            finish(a, "the agent began a session without naming it");
    }
}

/* --- Updates --- */

static struct tool *tool_find(struct acp *a, const char *id)
{
    for (size_t i = 0; i < ACP_TOOLS; i++)
        if (a->tools[i].id && strcmp(a->tools[i].id, id) == 0)
            return &a->tools[i];
    return NULL;
}

static void tool_forget(struct tool *t)
{
    mem_free(t->ctx);
    *t = (struct tool){0};
}

/* What is known of a call (tool_call, tool_call_update and the call in a question have the same shape). NULL: nameless.
 */
static struct tool *tool_note(struct acp *a, mem *tmp, struct json call)
{
    const char *id = json_z(tmp, json_get(call, "toolCallId"), NULL);
    if (!id || !*id || strlen(id) > ACP_ID_MAX)
        return NULL;
    struct tool *t = tool_find(a, id);
    if (!t) {
        for (size_t i = 0; i < ACP_TOOLS && !t; i++)
            t = a->tools[i].id ? NULL : &a->tools[i];
        t = t ? t : &a->tools[a->tool_next++ % ACP_TOOLS];
        tool_forget(t);
        t->ctx = mem_zalloc(a, 1);
        t->id = mem_str(t->ctx, id);
    }
    struct json input = json_get(call, "rawInput"), title = json_get(call, "title"), kind = json_get(call, "kind");
    if (json_is(kind)) {
        mem_free(t->name);
        t->name = mem_str(t->ctx, text_terminal_line(tmp, parser_text(tmp, kind), 60));
    }
    if (!t->told && (json_len(input) || json_is(title))) {
        mem_free(t->summary);
        t->summary = str_dup(t->ctx, parser_summary(tmp, json_len(input) ? input : title));
    }
    return t;
}

static void tool_told(struct acp *a, struct tool *t)
{
    if (t->told)
        return;
    t->told = true;
    parser_tell(a->parser, &(struct backend_event){.kind = BACKEND_TOOL_STARTED,
                                                   .id = t->id,
                                                   .name = t->name ? t->name : "other",
                                                   .text = str_of(t->summary)});
}

static void tool_updated(struct acp *a, mem *tmp, struct json u)
{
    struct tool *t = tool_note(a, tmp, u);
    struct json status = json_get(u, "status");
    bool failed = json_eqz(status, "failed"), ended = failed || json_eqz(status, "completed");
    if (!t || !(ended || json_eqz(status, "in_progress")))
        return;
    tool_told(a, t);
    if (!ended)
        return;
    struct buf text;
    buf_init(&text, tmp, BACKEND_LINE_MAX);
    for (struct json_iter it = json_iter(json_get(u, "content")); json_next(&it);)
        buf_str(&text, parser_text(tmp, json_get(it.value, "content")));
    parser_tell(a->parser,
                &(struct backend_event){.kind = BACKEND_TOOL_FINISHED,
                                        .id = t->id,
                                        .name = t->name,
                                        .text = text.n ? buf_view(&text) : parser_text(tmp, json_get(u, "rawOutput")),
                                        .failed = failed});
    tool_forget(t);
}

static void update_read(struct acp *a, mem *tmp, struct json u)
{
    struct json kind = json_get(u, "sessionUpdate");
    if (a->phase != PHASE_PROMPTED) /* a session that is loaded is told again */
        return;
    if (json_eqz(kind, "agent_message_chunk")) {
        usage_read(a, json_path(u, "_meta.usage"), false);
        parser_tell(a->parser, &(struct backend_event){.kind = BACKEND_SAID,
                                                       .text = parser_text(tmp, json_get(u, "content")),
                                                       .partial = true});
    } else if (json_eqz(kind, "tool_call") || json_eqz(kind, "tool_call_update")) {
        tool_updated(a, tmp, u);
    }
}

/* --- Requests of the agent --- */

static void reply_permission(struct acp *a, const char *id, const char *option)
{
    struct message m;
    message_begin(&m);
    jo_kraw(&m.o, "id", str_of(id));
    jo_key(&m.o, "result");
    jo_obj(&m.o);
    jo_key(&m.o, "outcome");
    jo_obj(&m.o);
    jo_kz(&m.o, "outcome", option ? "selected" : "cancelled");
    if (option)
        jo_kz(&m.o, "optionId", option);
    jo_end_obj(&m.o);
    jo_end_obj(&m.o);
    message_send(a, &m);
}

static void reply_unknown(struct acp *a, const char *id)
{
    struct message m;
    message_begin(&m);
    jo_kraw(&m.o, "id", str_of(id));
    jo_kraw(&m.o, "error", STR("{\"code\":-32601,\"message\":\"method not found\"}"));
    message_send(a, &m);
}

/* The option of the first of the two kinds that is on offer. */
static const char *option_of(mem *ctx, struct json options, const char *kind, const char *otherwise)
{
    const char *found = NULL;
    int left = ACP_OPTIONS;
    for (struct json_iter it = json_iter(options); left-- > 0 && json_next(&it);) {
        bool first = json_eqz(json_get(it.value, "kind"), kind);
        if (!first && (found || !json_eqz(json_get(it.value, "kind"), otherwise)))
            continue;
        const char *id = json_z(ctx, json_get(it.value, "optionId"), NULL);
        if (id && strlen(id) <= ACP_ID_MAX)
            found = id;
        if (first && id)
            break;
    }
    return found;
}

static struct question *question_free_place(struct acp *a)
{
    for (size_t i = 0; i < ACP_QUESTIONS; i++)
        if (!a->questions[i].id)
            return &a->questions[i];
    return NULL;
}

static void question_close(struct acp *a, struct question *q, const char *option, bool allowed)
{
    reply_permission(a, q->id, option);
    if (!allowed)
        parser_tell(a->parser,
                    &(struct backend_event){
                        .kind = BACKEND_TOOL_REFUSED, .id = q->call_id, .name = q->name, .text = str_of(q->summary)});
    mem_free(q->ctx);
    *q = (struct question){0};
}

/* What the approval allows without asking anybody. */
static bool allowed_at_once(const struct acp *a, const char *kind)
{
    static const char *const harmless[] = {"edit", "read", "search", "think", "move", NULL};
    if (a->spec.approval != BACKEND_EDITS || !kind)
        return a->spec.approval == BACKEND_FULL;
    for (const char *const *h = harmless; *h; h++)
        if (strcmp(kind, *h) == 0)
            return true;
    return false;
}

static void permission_asked(struct acp *a, mem *tmp, const char *id, struct json params)
{
    struct question *q = question_free_place(a);
    struct json call = json_get(params, "toolCall"), options = json_get(params, "options");
    if (!q || a->cancelled || a->phase != PHASE_PROMPTED) {
        reply_permission(a, id, NULL);
        return;
    }
    bool machine = a->spec.approval == BACKEND_FULL;
    struct tool *t = tool_note(a, tmp, call);
    if (t)
        tool_told(a, t);
    *q = (struct question){.ctx = mem_zalloc(a, 1)};
    q->id = mem_str(q->ctx, id);
    q->allow =
        option_of(q->ctx, options, machine ? "allow_always" : "allow_once", machine ? "allow_once" : "allow_always");
    q->reject = option_of(q->ctx, options, "reject_once", "reject_always");
    q->call_id = json_z(q->ctx, json_get(call, "toolCallId"), NULL);
    q->name = json_z(q->ctx, json_get(call, "kind"), NULL);
    struct json input = json_get(call, "rawInput");
    struct str title = parser_text(q->ctx, json_get(call, "title"));
    q->summary = str_dup(q->ctx, json_len(input) ? parser_summary(q->ctx, input) : title);
    if (allowed_at_once(a, q->name)) {
        question_close(a, q, q->allow, q->allow != NULL);
    } else if (!a->on_question || !q->allow) {
        question_close(a, q, q->reject, false);
    } else {
        struct acp_question shown = {.id = q->id,
                                     .title = title.n ? str_dup(q->ctx, title) : q->summary,
                                     .kind = q->name,
                                     .details = json_raw(call)};
        a->on_question(a->arg, &shown);
    }
}

static void request_read(struct acp *a, mem *tmp, struct json message)
{
    struct json id = json_get(message, "id"), method = json_get(message, "method"),
                params = json_get(message, "params");
    if (!json_is(id)) { /* a notification */
        if (json_eqz(method, "session/update"))
            update_read(a, tmp, json_get(params, "update"));
        return;
    }
    struct str raw = json_raw(id);
    if (raw.n > ACP_ID_MAX || (json_type(id) != JSON_NUMBER && json_type(id) != JSON_STRING))
        return;
    const char *text = str_dup(tmp, raw);
    if (json_eqz(method, "session/request_permission"))
        permission_asked(a, tmp, text, params);
    else
        reply_unknown(a, text);
}

/* --- Lines --- */

static void line_read(struct acp *a)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json message;
    struct str line = str_trim(buf_view(&a->line));
    if (!line.n || json_parse(tmp, line, &message, NULL) != RC_OK || json_type(message) != JSON_OBJECT)
        return; /* some agents print a banner */
    if (json_is(json_get(message, "method")))
        request_read(a, tmp, message);
    else
        answer_read(a, tmp, message);
}

void acp_feed(struct acp *a, const void *bytes, size_t n)
{
    const char *at = bytes, *end = at + n;
    while (at < end) {
        const char *eol = memchr(at, '\n', (size_t)(end - at));
        size_t piece = (size_t)((eol ? eol : end) - at);
        if (!a->skipping && !buf_add(&a->line, at, piece)) {
            a->skipping = true;
            tell(a, BACKEND_WARNING, STR("a message of the agent is longer than 8 MiB; it is skipped"), false);
        }
        if (!eol)
            return;
        if (!a->skipping)
            line_read(a);
        a->skipping = false;
        buf_clear(&a->line);
        at = eol + 1;
    }
}

struct str acp_output(const struct acp *a)
{
    return buf_view(&a->out);
}

void acp_wrote(struct acp *a, size_t n)
{
    buf_drop(&a->out, n < a->out.n ? n : a->out.n);
}

bool acp_answer(struct acp *a, const char *id, bool allow)
{
    for (size_t i = 0; i < ACP_QUESTIONS; i++) {
        struct question *q = &a->questions[i];
        if (q->id && strcmp(q->id, id) == 0) {
            question_close(a, q, allow ? q->allow : q->reject, allow);
            return true;
        }
    }
    return false;
}

void acp_cancel(struct acp *a)
{
    struct message m;
    if (a->cancelled || a->phase == PHASE_DONE)
        return;
    a->cancelled = true;
    for (size_t i = 0; i < ACP_QUESTIONS; i++)
        if (a->questions[i].id)
            question_close(a, &a->questions[i], NULL, false);
    if (!a->session)
        return;
    message_begin(&m);
    jo_kz(&m.o, "method", "session/cancel");
    jo_key(&m.o, "params");
    jo_obj(&m.o);
    jo_kz(&m.o, "sessionId", a->session);
    jo_end_obj(&m.o);
    message_send(a, &m);
}

bool acp_finished(const struct acp *a)
{
    return a->phase == PHASE_DONE;
}

const struct backend_result *acp_end(struct acp *a)
{
    return backend_parser_end(a->parser);
}

struct acp *acp_new(mem *ctx, const struct acp_spec *spec,
                    void (*on_event)(void *arg, const struct backend_event *event),
                    void (*on_question)(void *arg, const struct acp_question *question), void *arg)
{
    struct acp *a = mem_new(ctx, struct acp);
    a->spec = *spec;
    a->on_question = on_question;
    a->arg = arg;
    a->parser = backend_parser_new(a, backend_find("acp"), BACKEND_LINES, on_event, arg);
    buf_init(&a->line, a, BACKEND_LINE_MAX);
    buf_init(&a->out, a, ACP_OUT_MAX);
    call_initialize(a);
    return a;
}

struct acp *acp_free(struct acp *a)
{
    return mem_free(a);
}
