/* One answer under construction: caps, shapes (stream or document), parts, counts. What the bytes mean is the
 * dialect's. */
#include "base/pool.h"
#include "llm/wire.h"
#include <stdlib.h>

enum {
    ANSWER_MOST = 64 << 20,
    PARTS_MOST = 2048,
    SCRATCH = 16 << 10, /* holds a usual event; a larger one takes from the heap */
    NAME_MOST = 256,
    /* Arguments are put into the next request, whose reader allows 64 levels. */
    ARGUMENTS_DEPTH = 32,
};
#define COUNT_MOST INT64_C(1000000000000)

/* Made when it is first wanted: answers that come as one document, and streams of events that are alike, want little.
 */
static void scratch_need(struct llm_parser *p)
{
    if (!p->scratch)
        p->scratch = talloc_pool(p, SCRATCH);
    BUG_ON(!p->scratch);
}

struct llm_parser *llm_parser_new(mem *ctx, const struct llm_dialect *d, void (*on_delta)(void *arg, struct str text),
                                  void *arg)
{
    struct llm_parser *p = mem_new(ctx, struct llm_parser);
    p->dialect = d;
    p->on_delta = on_delta;
    p->arg = arg;
    p->message.role = LLM_ASSISTANT;
    p->answer.usage.output = -1;
    p->foreign = -1;
    p->call_prefix = "call";
    sse_init(&p->sse, p);
    alike_init(&p->alike, p);
    buf_init(&p->document, p, ANSWER_MOST);
    return p;
}

const struct llm_answer *llm_parser_answer(const struct llm_parser *p)
{
    return &p->answer;
}

enum rc wire_nonsense(struct err *err, struct str seen, const char *sentence)
{
    CLEANUP_MEM mem *tmp = mem_root();
    err_set(err, RC_UPSTREAM, "%s", sentence);
    err_detail(err, "It began with: %s", str_utf8_clean(tmp, str_sub(seen, 0, str_utf8_cut(seen, 200))));
    err_hint(err, "Check that the model's URL and its wire format (chat, openai or messages) belong together.");
    return RC_UPSTREAM;
}

enum rc wire_parse(mem *ctx, struct llm_parser *p, struct str data, struct json *ret, struct err *err)
{
    *ret = (struct json){0};
    struct json root;
    if (json_parse(ctx, data, &root, NULL)) {
        /* A server may cut a character in two where it cuts its text. */
        struct str clean = str_of(str_utf8_clean(ctx, data));
        if (str_utf8(data) || json_parse(ctx, clean, &root, NULL)) {
            if (p->at_end)
                return RC_OK;
            return wire_nonsense(err, data, "The model server sent an event that is not JSON");
        }
    }
    if (json_type(root) == JSON_ARRAY) /* some wrap an error into one */
        root = json_at(root, 0);
    if (json_type(root) == JSON_OBJECT)
        *ret = p->root = root;
    return RC_OK;
}

static void broken(struct llm_parser *p, const char *sentence)
{
    if (!p->broken)
        err_set(&p->why, RC_UPSTREAM, "%s", sentence);
    p->broken = true;
}

struct draft *draft_add(struct llm_parser *p, enum llm_part_kind kind, int64_t index)
{
    if (p->part_count == PARTS_MOST) {
        broken(p, "The model server sent an answer of too many parts");
        return NULL;
    }
    p->part_count++;
    struct draft *d = mem_new(p, struct draft);
    d->part.kind = kind;
    d->part.text = d->part.arguments = d->part.opaque = d->arguments = STR("");
    d->index = index;
    buf_init(&d->text, p, ANSWER_MOST);
    buf_init(&d->seal, p, ANSWER_MOST);
    if (p->message.last)
        p->message.last->next = &d->part;
    else
        p->message.first = &d->part;
    p->message.last = &d->part;
    p->answer.message = &p->message;
    return d;
}

struct draft *draft_find(struct llm_parser *p, int kind, int64_t index)
{
    struct draft *found = NULL;
    for (struct llm_part *part = p->message.first; part; part = part->next) {
        struct draft *d = (struct draft *)part;
        if ((kind < 0 || (int)part->kind == kind) && d->index == index)
            found = d;
    }
    return found;
}

/* Whether the arguments are a whole value yet: a call is then over, though nothing says so. */
static void arguments_watch(struct draft *d, struct str piece)
{
    for (size_t i = 0; i < piece.n; i++) {
        char c = piece.p[i];
        if (d->escaped)
            d->escaped = false;
        else if (d->quoted && c == '\\')
            d->escaped = true;
        else if (c == '"')
            d->quoted = !d->quoted;
        else if (!d->quoted && (c == '{' || c == '['))
            d->depth++;
        else if (!d->quoted && (c == '}' || c == ']') && --d->depth == 0)
            d->closed = true;
    }
}

void draft_grow(struct llm_parser *p, struct draft *d, struct str piece)
{
    if (!piece.n)
        return;
    p->grown = d;
    p->grows++;
    if (!buf_str(&d->text, piece)) {
        broken(p, "The model server sent an answer that is too long");
        return;
    }
    if (d->part.kind != LLM_TOOL_CALL)
        d->part.text = buf_view(&d->text);
    else
        arguments_watch(d, piece);
    if (d->part.kind == LLM_TEXT && p->on_delta)
        p->on_delta(p->arg, piece);
}

void draft_append(struct llm_parser *p, enum llm_part_kind kind, struct str piece)
{
    if (!piece.n)
        return;
    struct draft *d = (struct draft *)p->message.last;
    if (!d || d->part.kind != kind)
        d = draft_add(p, kind, -1);
    if (d)
        draft_grow(p, d, piece);
}

void draft_name(struct llm_parser *p, const char **member, struct json v)
{
    if (*member || json_type(v) != JSON_STRING)
        return;
    const char *z = json_z(p->scratch, v, NULL);
    if (z && z[0] && strlen(z) <= NAME_MOST)
        *member = mem_str(p, z);
}

void wire_failed(struct llm_parser *p, struct json error)
{
    p->answer.failed = true;
    if (p->answer.error_type)
        return;
    struct json inner = json_is(json_get(error, "error")) ? json_get(error, "error") : error;
    const char *words = json_z(p, json_get(inner, "message"), json_z(p, inner, ""));
    const char *type = json_z(p, json_get(inner, "code"), NULL);
    int64_t number = json_int(json_get(inner, "code"), -1);
    if (!type)
        type = json_z(p, json_get(inner, "type"), number >= 0 ? mem_printf(p, "%lld", (long long)number) : "");
    p->answer.error_type = type;
    p->answer.error_message = words;
}

void count_raise(int64_t *count, struct json v)
{
    int64_t n = json_int(v, 0);
    if (n > COUNT_MOST)
        n = COUNT_MOST;
    if (n > *count)
        *count = n;
}

void wire_identity(struct llm_parser *p, struct json object)
{
    if (p->answer.model && p->answer.request_id)
        return;
    draft_name(p, &p->answer.model, json_get(object, "model"));
    draft_name(p, &p->answer.request_id, json_get(object, "id"));
}

enum llm_stop wire_stop(const struct wire_stop *table, size_t n, struct json word)
{
    for (size_t i = 0; i < n; i++)
        if (json_eqz(word, table[i].word))
            return table[i].stop;
    return json_type(word) == JSON_STRING ? LLM_STOP_OTHER : LLM_STOP_NONE;
}

/* Most open brackets at a time of a text that is known to be JSON. */
static int depth(struct str json)
{
    int now = 0, most = 0;
    bool quoted = false;
    for (size_t i = 0; i < json.n; i++) {
        char c = json.p[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '[') && ++now > most)
            most = now;
        else if (!quoted && (c == '}' || c == ']'))
            now--;
    }
    return most;
}

static bool is_object(struct str text)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json root;
    return !json_parse(tmp, text, &root, NULL) && json_type(root) == JSON_OBJECT && depth(text) <= ARGUMENTS_DEPTH;
}

void wire_call_arguments(struct llm_part *call, struct str arguments)
{
    call->arguments = wire_blank(arguments) ? STR("{}") : arguments;
    call->bad_arguments = !is_object(call->arguments);
}

static bool id_taken(struct llm_parser *p, const struct llm_part *before, const char *id)
{
    for (const struct llm_part *part = p->message.first; part != before; part = part->next)
        if (part->kind == LLM_TOOL_CALL && part->id && strcmp(part->id, id) == 0)
            return true;
    return false;
}

void draft_identify(struct llm_parser *p, struct draft *d)
{
    struct llm_part *call = &d->part;
    const char *id = call->id;
    int number = 1;
    if (d->identified)
        return;
    d->identified = true;
    for (const struct llm_part *part = p->message.first; part != call; part = part->next)
        number += part->kind == LLM_TOOL_CALL;
    if (!id)
        while (id_taken(p, NULL, mem_printf(p, "%s_%d", p->call_prefix, number)))
            number++;
    if (!id)
        call->id = mem_printf(p, "%s_%d", p->call_prefix, number);
    for (int again = 2; id_taken(p, call, call->id); again++)
        call->id = mem_printf(p, "%s_%d", id ? id : p->call_prefix, again);
}

/* Calls get what a server left out: an id of their own, arguments. Sealing bytes become visible. */
static void parts_finish(struct llm_parser *p)
{
    bool calls = false;
    for (struct llm_part *part = p->message.first; part; part = part->next) {
        struct draft *d = (struct draft *)part;
        if (d->seal.n)
            part->opaque = buf_view(&d->seal);
        if (part->opaque.n && part->kind == LLM_TOOL_CALL && depth(part->opaque) > ARGUMENTS_DEPTH)
            part->opaque = STR("");
        if (part->opaque.n)
            part->origin = p->dialect->name;
        if (part->kind != LLM_TOOL_CALL)
            continue;
        calls = true;
        wire_call_arguments(part, wire_blank(buf_view(&d->text)) ? d->arguments : buf_view(&d->text));
        if (!part->name)
            part->name = "";
        draft_identify(p, d);
    }
    /* Many servers say "stop" where they mean calls. */
    if (calls && p->answer.stop == LLM_STOP_END)
        p->answer.stop = LLM_STOP_TOOLS;
}

static enum rc on_event(void *arg, struct str name, struct str data, struct err *err)
{
    struct llm_parser *p = arg;
    size_t grows = p->grows;
    scratch_need(p);
    p->events++;
    p->root = (struct json){0};
    alike_forget(&p->alike);
    enum rc rc = p->answer.complete ? RC_OK : p->dialect->wire->event(p, name, data, err);
    if (!rc && p->grows == grows + 1 && p->dialect->wire->vary && json_type(p->root) == JSON_OBJECT) {
        p->dialect->wire->vary(&p->alike, p->root);
        alike_event(&p->alike, data);
    }
    talloc_free_children(p->scratch);
    return rc;
}

/* Up to and with the first blank line; all when there is none. */
static size_t event_span(struct str bytes)
{
    const char *p = bytes.p, *end = bytes.p + bytes.n, *lf;
    while ((lf = memchr(p, '\n', (size_t)(end - p)))) {
        p = lf + 1;
        if (p < end && *p == '\r')
            p++;
        if (p < end && *p == '\n')
            return (size_t)(p + 1 - bytes.p);
    }
    return bytes.n;
}

/* The same text twice in a row may be a whole that is repeated: only the dialect can tell. */
static bool piece_fits(const struct draft *d, struct str piece)
{
    return d->part.kind != LLM_TOOL_CALL || piece.n != d->text.n;
}

/* Event by event: those that are like the last one need no parser. */
static enum rc feed_events(struct llm_parser *p, struct str bytes, struct err *err)
{
    enum rc rc = RC_OK;
    while (!rc && bytes.n) {
        struct str piece;
        bool between = sse_is_between(&p->sse);
        size_t events = p->events, n = 0;
        if (between && p->alike.known && !p->answer.complete)
            n = alike_take(&p->alike, bytes, &piece);
        if (n && piece_fits(p->alike.draft, piece)) {
            draft_grow(p, p->alike.draft, piece);
        } else {
            n = event_span(bytes);
            rc = sse_feed(&p->sse, str_sub(bytes, 0, n), on_event, p, err);
            if (!rc && between && p->events == events + 1 && sse_is_between(&p->sse))
                alike_learn(&p->alike, str_sub(bytes, 0, n), p->grown);
        }
        bytes = str_sub(bytes, n, bytes.n);
    }
    return rc;
}

/* What the first byte that is not white space says. */
static void shape_find(struct llm_parser *p, struct str bytes)
{
    for (size_t i = 0; i < bytes.n && p->shape == SHAPE_UNKNOWN; i++) {
        if (strchr(" \t\r\n", bytes.p[i]) && bytes.p[i])
            continue;
        p->shape = bytes.p[i] == '{' || bytes.p[i] == '[' ? SHAPE_DOCUMENT : SHAPE_STREAM;
    }
}

static enum rc feed(struct llm_parser *p, struct str bytes, struct err *err)
{
    p->bytes += bytes.n;
    if (p->bytes > ANSWER_MOST)
        return err_set(err, RC_UPSTREAM, "The model server sent an answer of more than %d MiB", ANSWER_MOST >> 20);
    shape_find(p, bytes);
    if (p->shape == SHAPE_DOCUMENT) /* fits: its cap is the answer's */
        return buf_str(&p->document, bytes) ? RC_OK : RC_BUG;
    return feed_events(p, bytes, err);
}

/* Keeps the first failure: what comes after it is not read. */
static enum rc settle(struct llm_parser *p, enum rc rc, struct err *err)
{
    p->broken = p->broken || rc != RC_OK; /* with its words in p->why */
    if (p->broken && err)
        *err = p->why;
    return p->broken ? p->why.rc : RC_OK;
}

enum rc llm_parser_feed(struct llm_parser *p, const void *bytes, size_t n, struct err *err)
{
    enum rc rc = p->broken || p->ended || !n ? RC_OK : feed(p, str_n(bytes, n), &p->why);
    return settle(p, rc, err);
}

static enum rc whole_take(struct llm_parser *p, struct json root, struct err *err)
{
    struct json error = json_get(root, "error");
    if (!json_is(error))
        return p->dialect->wire->whole(p, root, err);
    wire_failed(p, error);
    (void)!p->dialect->wire->whole(p, root, NULL); /* what it cost may stand beside it */
    p->answer.complete = false;
    return RC_OK;
}

static enum rc document_end(struct llm_parser *p, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_pool(MEM_SCRATCH);
    struct json root;
    struct str text = buf_view(&p->document);
    enum rc rc = RC_OK;
    scratch_need(p);
    if (p->dialect->wire->ends_by_closing && !json_parse(tmp, text, &root, NULL) && json_type(root) == JSON_ARRAY &&
        json_len(root)) {
        for (struct json_iter it = json_iter(root); !rc && json_next(&it);)
            rc = whole_take(p, it.value, err);
        return rc;
    }
    rc = wire_parse(tmp, p, text, &root, NULL);
    if (rc || !json_is(root))
        return wire_nonsense(err, text, "The model server's answer is not JSON");
    return whole_take(p, root, err);
}

enum rc llm_parser_end(struct llm_parser *p, bool is_stream, const struct llm_answer **ret, struct err *err)
{
    enum rc rc = RC_OK;
    if (!p->ended && !p->broken) {
        if (p->shape == SHAPE_DOCUMENT)
            rc = document_end(p, &p->why);
        else if (!is_stream && p->shape == SHAPE_UNKNOWN)
            rc = err_set(&p->why, RC_UPSTREAM, "The model server sent an empty answer");
        else {
            p->at_end = true;
            rc = sse_end(&p->sse, on_event, p, &p->why);
            if (!rc && !p->sse.known && p->sse.foreign)
                rc = wire_nonsense(&p->why, STR("neither an event nor an object"),
                                   "The model server's answer is not a stream of events");
        }
    }
    if (!p->ended && !rc && p->finished && !p->answer.failed)
        p->answer.complete = true;
    if (!p->ended)
        parts_finish(p);
    p->ended = true;
    *ret = &p->answer;
    return settle(p, rc, err);
}
