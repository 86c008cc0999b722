/* Reading what an agent prints: lines of JSON, one document, or plain text, turned into events by the backend's tables.
 *
 * Hostile input is normal: every buffer has a cap, a line that is too long or no JSON is skipped and counted, texts are
 * cleaned to UTF-8, an unknown type means nothing. The parser never fails and never allocates more than the longest
 * line, its tape and the last message. */
#include "agent/backend_room.h"
#include "base/text.h"

enum { READING_SUMMARY_MAX = 300, READING_NAME_MAX = 200, READING_ERROR_MAX = 400, READING_EACH_MAX = 1000 };

struct backend_parser {
    mem *ctx;
    const struct backend_words *words;
    enum backend_format format;
    void (*on_event)(void *arg, const struct backend_event *event);
    void *arg;
    struct buf line;
    bool skipping, warned_long, warned_strange;
    struct backend_result result;
    struct buf text; /* the last message, as far as it came */
    bool text_open;  /* pieces of it still come */
    bool trouble;    /* the last thing heard of was an error */
    struct str errors;
};

/* --- Conditions and values --- */

static struct json path_value(struct json v, struct str path)
{
    char z[128];
    if (path.n >= sizeof z)
        return (struct json){0};
    memcpy(z, path.p, path.n);
    z[path.n] = 0;
    return json_path(v, z);
}

/* A string's contents, else the value as it is written. */
static struct str value_word(mem *ctx, struct json v)
{
    return json_type(v) == JSON_STRING ? json_str(ctx, v) : json_raw(v);
}

static bool word_among(struct str word, struct str words)
{
    struct str one;
    while (str_next(&words, '|', &one))
        if (str_eq(word, one))
            return true;
    return false;
}

static bool term_holds(mem *ctx, struct json v, struct str term)
{
    long eq = str_find(term, STR("="));
    if (eq < 0)
        return json_is(path_value(v, term));
    struct str path = str_sub(term, 0, (size_t)eq), wanted = str_sub(term, (size_t)eq + 1, term.n);
    bool begins = str_ends(path, STR("^"));
    path.n -= begins;
    bool differs = str_ends(path, STR("!"));
    path.n -= differs;
    struct json got = path_value(v, path);
    if (!json_is(got))
        return differs;
    struct str word = value_word(ctx, got);
    return (begins ? str_starts(word, wanted) : word_among(word, wanted)) != differs;
}

/* Alternatives stand between " or ", what must hold together between '&'. */
static bool condition_holds(mem *ctx, struct json v, const char *condition)
{
    struct str rest = str_of(condition);
    while (rest.n) {
        long cut = str_find(rest, STR(" or "));
        struct str all = cut < 0 ? rest : str_sub(rest, 0, (size_t)cut), term;
        rest = cut < 0 ? STR("") : str_sub(rest, (size_t)cut + 4, rest.n);
        bool holds = true;
        while (holds && str_next(&all, '&', &term))
            holds = term_holds(ctx, v, term);
        if (holds)
            return true;
    }
    return !*condition;
}

/* The first of the paths that leads somewhere. */
static struct json first_value(struct json v, const char *paths)
{
    struct str rest = str_of(paths), path;
    while (str_next(&rest, '|', &path)) {
        struct json got = path_value(v, path);
        if (json_is(got))
            return got;
    }
    return (struct json){0};
}

/* Texts of a message: a string, parts that hold one, or the JSON as it stands. */
static void text_add(mem *ctx, struct buf *b, struct json v, int depth)
{
    if (json_type(v) == JSON_STRING) {
        buf_str(b, json_str(ctx, v));
        return;
    }
    if (json_type(v) != JSON_ARRAY || depth > 3) {
        struct json text = json_get(v, "text");
        if (json_type(text) == JSON_STRING)
            buf_str(b, json_str(ctx, text));
        else if (json_is(v) && depth == 0)
            buf_str(b, json_raw(v));
        return;
    }
    for (struct json_iter it = json_iter(v); json_next(&it) && !b->overflow;)
        text_add(ctx, b, it.value, depth + 1);
}

static struct str clean(mem *ctx, struct str s, size_t max)
{
    if (!s.n)
        return STR("");
    if (s.n > max)
        s = str_of(text_middle(ctx, s, max));
    return str_utf8(s) && !memchr(s.p, 0, s.n) ? s : str_of(str_utf8_clean(ctx, s));
}

static struct str value_text(mem *ctx, struct json v)
{
    if (json_type(v) == JSON_STRING)
        return clean(ctx, json_str(ctx, v), BACKEND_TEXT_MAX);
    struct buf b;
    buf_init(&b, ctx, BACKEND_LINE_MAX);
    text_add(ctx, &b, v, 0);
    return clean(ctx, buf_view(&b), BACKEND_TEXT_MAX);
}

/* What a call is about, in a line: the argument that people look for, else all of them. */
static struct str value_summary(mem *ctx, struct json v)
{
    static const char *const keys[] = {"command", "cmd",      "file_path",  "filePath", "filepath",
                                       "path",    "commands", "pattern",    "query",    "url",
                                       "prompt",  "changes",  "description"};
    struct json best = v;
    for (size_t i = 0; json_type(v) == JSON_OBJECT && i < sizeof keys / sizeof *keys; i++) {
        struct json one = json_get(v, keys[i]);
        if (json_is(one)) {
            best = one;
            break;
        }
    }
    struct str text = value_text(ctx, best);
    long eol = str_find(text, STR("\n"));
    text = eol >= 0 && str_trim(str_sub(text, (size_t)eol, text.n)).n
               ? str_of(mem_printf(ctx, "%.*s ...", (int)(eol > 2000 ? 2000 : eol), text.p))
               : str_trim(text);
    return str_sub(text, 0, str_utf8_cut(text, READING_SUMMARY_MAX));
}

static const char *value_id(mem *ctx, struct json v)
{
    struct str s = value_word(ctx, v);
    if (!json_is(v) || !s.n || s.n > READING_NAME_MAX || !str_utf8(s) || memchr(s.p, 0, s.n))
        return NULL;
    return str_dup(ctx, s);
}

/* --- Events --- */

static void emit(struct backend_parser *p, struct backend_event *e)
{
    e->usage = p->result.usage;
    if (p->on_event)
        p->on_event(p->arg, e);
}

static void emit_text(struct backend_parser *p, enum backend_event_kind kind, struct str text)
{
    emit(p, &(struct backend_event){.kind = kind, .text = text});
}

static void said(struct backend_parser *p, struct str text, bool partial)
{
    if (!p->text_open)
        buf_clear(&p->text);
    p->text_open = partial;
    size_t room = BACKEND_TEXT_MAX - p->text.n;
    buf_str(&p->text, str_sub(text, 0, str_utf8_cut(text, room)));
    p->trouble = false;
}

static void error_keep(struct backend_parser *p, struct str text)
{
    text = str_trim(text);
    if (text.n)
        p->result.error = text_terminal_line(p->ctx, text, READING_ERROR_MAX);
    p->trouble = true;
}

static bool refusal(const struct backend_parser *p, struct str text)
{
    for (const char *const *r = p->words->refusals; r && *r; r++)
        if (str_find(text, str_of(*r)) >= 0)
            return true;
    return false;
}

/* What an event means for the result. */
static void event_count(struct backend_parser *p, const struct backend_event *e)
{
    switch (e->kind) {
    case BACKEND_SAID:
        said(p, e->text, e->partial);
        break;
    case BACKEND_TOOL_STARTED:
        p->result.tools++;
        p->trouble = p->text_open = false;
        break;
    case BACKEND_TOOL_REFUSED:
        p->result.refused++;
        break;
    case BACKEND_ERROR:
        error_keep(p, e->text);
        break;
    case BACKEND_ENDED:
        p->result.ended = true;
        if (e->failed)
            error_keep(p, e->text);
        break;
    default:
        break;
    }
}

static void event_done(struct backend_parser *p, struct backend_event *e)
{
    if (e->kind == BACKEND_SESSION_KNOWN) {
        if (!e->id || (p->result.session && strcmp(p->result.session, e->id) == 0))
            return;
        p->result.session = mem_str(p->ctx, e->id);
    }
    if (e->kind == BACKEND_SAID && !e->text.n)
        return;
    event_count(p, e);
    emit(p, e);
    if (e->kind == BACKEND_TOOL_FINISHED && e->failed && refusal(p, e->text)) {
        e->kind = BACKEND_TOOL_REFUSED;
        event_count(p, e);
        emit(p, e);
    }
}

void parser_tell(struct backend_parser *p, struct backend_event *e)
{
    CLEANUP_MEM mem *tmp = mem_root();
    e->text = clean(tmp, e->text, BACKEND_TEXT_MAX);
    event_done(p, e);
}

void parser_used(struct backend_parser *p, const struct backend_usage *usage)
{
    p->result.usage = *usage;
    emit_text(p, BACKEND_USED, STR(""));
}

struct str parser_summary(mem *ctx, struct json arguments)
{
    return value_summary(ctx, arguments);
}

struct str parser_text(mem *ctx, struct json value)
{
    return value_text(ctx, value);
}

static void read_element(struct backend_parser *p, mem *tmp, const struct reading *r, struct json v)
{
    if (r->each_when && !condition_holds(tmp, v, r->each_when))
        return;
    struct backend_event e = {.kind = r->kind, .partial = r->partial};
    if (r->id)
        e.id = value_id(tmp, first_value(v, r->id));
    if (r->name)
        e.name = *r->name == '=' ? r->name + 1 : value_id(tmp, first_value(v, r->name));
    if (r->text) {
        struct json text = first_value(v, r->text);
        e.text = r->kind == BACKEND_TOOL_STARTED || r->kind == BACKEND_TOOL_REFUSED ? value_summary(tmp, text)
                                                                                    : value_text(tmp, text);
    }
    e.failed = r->failed && condition_holds(tmp, v, r->failed);
    event_done(p, &e);
}

static void read_line(struct backend_parser *p, mem *tmp, const struct reading *r, struct json line)
{
    if (!r->each) {
        read_element(p, tmp, r, line);
        return;
    }
    int64_t left = READING_EACH_MAX;
    for (struct json_iter it = json_iter(json_path(line, r->each)); left-- > 0 && json_next(&it);)
        read_element(p, tmp, r, it.value);
}

/* --- Usage --- */

static int64_t count_of(struct json line, const char *paths)
{
    int64_t n = paths ? json_int(first_value(line, paths), 0) : 0;
    return n < 0 || n > (INT64_C(1) << 50) ? 0 : n;
}

static void read_usage(struct backend_parser *p, const struct counting *c, struct json line)
{
    if (!json_is(first_value(line, c->input)))
        return;
    int64_t cached = count_of(line, c->cached), total = count_of(line, c->total);
    struct backend_usage u = {.known = true, .input = count_of(line, c->input), .cached = cached};
    u.output = count_of(line, c->output) + count_of(line, c->reasoning);
    if (c->total && total > u.input)
        u.output = total - u.input;
    if (c->apart)
        u.input += cached + count_of(line, c->written);
    if (c->add && p->result.usage.known) {
        u.input += p->result.usage.input;
        u.cached += p->result.usage.cached;
        u.output += p->result.usage.output;
    }
    p->result.usage = u;
    emit_text(p, BACKEND_USED, STR(""));
}

/* --- Lines --- */

static bool type_is(struct json type, const char *wanted)
{
    return !wanted || json_eqz(type, wanted);
}

static void strange(struct backend_parser *p, bool *warned, const char *words)
{
    p->result.skipped++;
    if (!*warned)
        emit_text(p, BACKEND_WARNING, str_of(words));
    *warned = true;
}

static void document(struct backend_parser *p, struct str text)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const struct backend_words *w = p->words;
    struct json line;
    if (json_parse(tmp, text, &line, NULL) != RC_OK || json_type(line) != JSON_OBJECT) {
        strange(p, &p->warned_strange, "a line of its output is not JSON; it is in the log, and means nothing here");
        return;
    }
    if (w->session)
        event_done(p, &(struct backend_event){.kind = BACKEND_SESSION_KNOWN,
                                              .id = value_id(tmp, first_value(line, w->session))});
    struct json type = w->type ? json_path(line, w->type) : (struct json){0};
    for (size_t i = 0; i < w->counting_count; i++) {
        const struct counting *c = &w->countings[i];
        if (type_is(type, c->type) && (!c->when || condition_holds(tmp, line, c->when)))
            read_usage(p, c, line);
    }
    for (size_t i = 0; i < w->reading_count; i++) {
        const struct reading *r = &w->readings[i];
        if (type_is(type, r->type) && (!r->when || condition_holds(tmp, line, r->when)))
            read_line(p, tmp, r, line);
    }
}

static void plain_line(struct backend_parser *p, struct str line)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct backend_event e = {.kind = BACKEND_SAID, .partial = true};
    e.text = clean(tmp, str_of(mem_printf(tmp, "%.*s\n", STR_FMT(line))), BACKEND_TEXT_MAX);
    /* The end of a long output says more than its beginning. */
    if (p->text.n + e.text.n > BACKEND_TEXT_MAX) {
        buf_drop(&p->text, p->text.n < e.text.n ? p->text.n : p->text.n / 2 + e.text.n / 2);
        while (p->text.n && ((unsigned char)p->text.p[0] & 0xc0) == 0x80)
            buf_drop(&p->text, 1);
    }
    event_done(p, &e);
}

static void line_done(struct backend_parser *p)
{
    struct str line = buf_view(&p->line);
    if (str_ends(line, STR("\r")))
        line.n--;
    p->result.lines++;
    if (p->format == BACKEND_TEXT)
        plain_line(p, line);
    else if (str_trim(line).n)
        document(p, line);
    buf_clear(&p->line);
}

/* Takes a piece without a line end. */
static void line_add(struct backend_parser *p, const char *bytes, size_t n)
{
    if (p->skipping || buf_add(&p->line, bytes, n))
        return;
    p->skipping = true;
    buf_clear(&p->line);
    strange(p, &p->warned_long, "a line of its output is longer than 8 MiB; it is skipped");
}

void backend_parser_feed(struct backend_parser *p, const void *bytes, size_t n)
{
    const char *at = bytes, *end = at + n;
    while (at < end) {
        const char *eol = p->format == BACKEND_WHOLE ? NULL : memchr(at, '\n', (size_t)(end - at));
        line_add(p, at, (size_t)((eol ? eol : end) - at));
        if (!eol)
            return;
        if (!p->skipping)
            line_done(p);
        else
            p->result.lines++;
        p->skipping = false;
        at = eol + 1;
    }
}

void backend_parser_errors(struct backend_parser *p, struct str tail)
{
    if (tail.n > 4096)
        tail = str_sub(tail, tail.n - 4096, 4096);
    p->errors = str_of(str_utf8_clean(p->ctx, tail));
}

/* One document, perhaps behind words that some library printed. */
static void whole(struct backend_parser *p)
{
    struct str text = str_trim(buf_view(&p->line));
    long brace = str_find(text, STR("{"));
    if (text.n)
        document(p, brace > 0 ? str_sub(text, (size_t)brace, text.n) : text);
    buf_clear(&p->line);
}

static const char *last_line(mem *ctx, struct str text)
{
    struct str line, last = {0};
    while (str_line(&text, &line))
        if (str_trim(line).n)
            last = str_trim(line);
    return last.n ? text_terminal_line(ctx, last, READING_ERROR_MAX) : NULL;
}

const struct backend_result *backend_parser_result(const struct backend_parser *p)
{
    struct backend_result *r = (struct backend_result *)&p->result;
    r->text = buf_view(&p->text);
    r->failed = p->trouble;
    return r;
}

const struct backend_result *backend_parser_end(struct backend_parser *p)
{
    if (p->format == BACKEND_WHOLE && !p->skipping)
        whole(p);
    else if (p->line.n)
        line_done(p);
    p->skipping = false;
    if (!p->result.error)
        p->result.error = last_line(p->ctx, p->errors);
    return backend_parser_result(p);
}

struct backend_parser *backend_parser_new(mem *ctx, const struct backend *backend, enum backend_format format,
                                          void (*on_event)(void *arg, const struct backend_event *event), void *arg)
{
    BUG_ON(format == BACKEND_ACP);
    struct backend_parser *p = mem_new(ctx, struct backend_parser);
    p->ctx = p;
    p->words = backend->words ? backend->words : &backend_own_words;
    p->format = format;
    p->on_event = on_event;
    p->arg = arg;
    buf_init(&p->line, p, BACKEND_LINE_MAX);
    buf_init(&p->text, p, BACKEND_TEXT_MAX);
    return p;
}

struct backend_parser *backend_parser_free(struct backend_parser *p)
{
    return mem_free(p);
}
