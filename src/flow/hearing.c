/* From what a foreign agent prints to the task's events: the same names as those of the built-in agent where they mean
 * the same. An agent may print without end: numbers and sizes are capped, and what was left out is counted. Not here:
 * how its output is read (src/agent/backend.h), what its work is worth. */
#include "flow/foreign.h"

enum {
    ENTRIES_MOST = 2000, /* of one start of the agent */
    TEXT_KEPT = 8192,    /* of one text; the whole output is in the log */
    WORDS_KEPT = 400,    /* of a summary */
    PIECE_MOST = 256 * 1024,
};

void hearing_init(struct hearing *h, mem *ctx, struct run *run, const char *agent, const char *session)
{
    *h = (struct hearing){.ctx = ctx, .run = run, .agent = agent, .session = session};
    buf_init(&h->piece, ctx, PIECE_MOST);
}

static void record_text(struct draft *rec, const char *key, struct str text, size_t most)
{
    struct str clean = str_of(str_utf8_clean(rec->ctx, str_sub(text, 0, text.n < most * 2 ? text.n : most * 2)));
    jo_ks(&rec->o, key, str_sub(clean, 0, str_utf8_cut(clean, most)));
    if (text.n > most)
        jo_ki(&rec->o, mem_printf(rec->ctx, "%s_bytes", key), (int64_t)text.n);
}

/* False: no more of them. */
static bool record_begin(struct hearing *h, struct draft *rec)
{
    if (h->rc != RC_OK)
        return false;
    if (h->entries >= ENTRIES_MOST) {
        h->left_out++;
        return false;
    }
    h->entries++;
    draft_begin(rec);
    jo_ki(&rec->o, "iteration", h->run->iteration);
    return true;
}

static void record_end(struct hearing *h, struct draft *rec, const char *type)
{
    h->rc = draft_end(h->run, rec, type, "agent", &h->err);
}

static void words_record(struct hearing *h, const char *type, struct str text)
{
    struct draft rec;
    if (!str_trim(text).n || !record_begin(h, &rec))
        return;
    record_text(&rec, "text", text, TEXT_KEPT);
    record_end(h, &rec, type);
}

static void piece_flush(struct hearing *h)
{
    words_record(h, "agent.text", buf_view(&h->piece));
    buf_clear(&h->piece);
}

static void session_heard(struct hearing *h, const char *id)
{
    struct draft rec;
    if (!id || !*id || strlen(id) > 200 || (h->session && strcmp(h->session, id) == 0) || !record_begin(h, &rec))
        return;
    h->session = mem_str(h->ctx, id);
    jo_kz(&rec.o, "agent", h->agent);
    jo_kz(&rec.o, "session", str_utf8_clean(rec.ctx, str_of(id)));
    record_end(h, &rec, "agent.session");
}

static void said(struct hearing *h, const struct backend_event *e)
{
    if (e->partial) {
        if (!buf_str(&h->piece, e->text))
            piece_flush(h);
        return;
    }
    buf_clear(&h->piece); /* the whole message follows its pieces */
    words_record(h, "agent.text", e->text);
}

static struct hearing_tool *tool_find(struct hearing *h, const char *id)
{
    for (int i = 0; id && i < HEARING_TOOLS; i++)
        if (h->open[i].id && strcmp(h->open[i].id, id) == 0)
            return &h->open[i];
    return NULL;
}

static struct hearing_tool *tool_begin(struct hearing *h, const struct backend_event *e)
{
    struct hearing_tool *t = &h->open[h->calls % HEARING_TOOLS];
    mem_free((void *)(uintptr_t)t->id);
    mem_free((void *)(uintptr_t)t->name);
    mem_free((void *)(uintptr_t)t->summary);
    *t = (struct hearing_tool){
        .id = mem_str(h->ctx, e->id ? e->id : ""),
        .name = str_utf8_clean(h->ctx, str_of(e->name ? e->name : "tool")),
        .summary = str_utf8_clean(h->ctx, str_sub(e->text, 0, str_utf8_cut(e->text, WORDS_KEPT))),
        .call = ++h->calls,
    };
    return t;
}

static void tool_members(struct draft *rec, const struct hearing_tool *t)
{
    jo_ki(&rec->o, "call", t->call);
    record_text(rec, "name", str_of(t->name), WORDS_KEPT);
    record_text(rec, "summary", str_of(t->summary), WORDS_KEPT);
}

static void tool_started(struct hearing *h, const struct backend_event *e)
{
    struct draft rec;
    struct hearing_tool *t = tool_begin(h, e);
    if (!record_begin(h, &rec))
        return;
    tool_members(&rec, t);
    record_end(h, &rec, "tool.started");
}

static void tool_ended(struct hearing *h, const struct backend_event *e)
{
    struct draft rec;
    struct hearing_tool *t = tool_find(h, e->id);
    struct backend_event unknown = {.id = e->id, .name = e->name};
    if (!t)
        t = tool_begin(h, &unknown);
    if (!record_begin(h, &rec))
        return;
    tool_members(&rec, t);
    record_text(&rec, "result", e->text, TEXT_KEPT);
    jo_kb(&rec.o, "is_error", e->failed || e->kind == BACKEND_TOOL_REFUSED);
    if (e->kind == BACKEND_TOOL_REFUSED)
        jo_kb(&rec.o, "refused", true);
    record_end(h, &rec, "tool.finished");
}

void hearing_event(void *hearing, const struct backend_event *e)
{
    struct hearing *h = hearing;
    if (e->kind != BACKEND_SAID && e->kind != BACKEND_USED)
        piece_flush(h);
    switch (e->kind) {
    case BACKEND_SESSION_KNOWN:
        session_heard(h, e->id);
        break;
    case BACKEND_SAID:
        said(h, e);
        break;
    case BACKEND_TOOL_STARTED:
        tool_started(h, e);
        break;
    case BACKEND_TOOL_FINISHED:
    case BACKEND_TOOL_REFUSED:
        tool_ended(h, e);
        break;
    case BACKEND_USED:
        h->usage = e->usage;
        break;
    case BACKEND_WARNING:
        words_record(h, "agent.warning", e->text);
        break;
    case BACKEND_ERROR:
        words_record(h, "agent.error", e->text);
        break;
    case BACKEND_ENDED:
        break; /* agent.finished tells it, with what is known besides */
    }
}

enum rc hearing_end(struct hearing *h, struct err *err)
{
    piece_flush(h);
    if (h->rc == RC_OK && h->left_out > 0) {
        struct draft rec;
        draft_begin(&rec);
        jo_ki(&rec.o, "iteration", h->run->iteration);
        jo_kz(&rec.o, "text",
              mem_printf(rec.ctx, "%lld more events of the agent are not shown; its whole output is in the log",
                         (long long)h->left_out));
        record_end(h, &rec, "agent.warning");
    }
    if (h->rc != RC_OK)
        *err = h->err;
    return h->rc;
}
