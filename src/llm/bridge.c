/* The bridge: feeds the meter, decides what the client gets of what came, and in which order. What bytes that is, the
 * client's dialect says (face.h). */
#include "llm/bridge.h"
#include "llm/face.h"

enum { HELD_MOST = 64 << 20 };

struct llm_bridge *llm_bridge_new(mem *ctx, const struct llm_bridge_spec *spec)
{
    struct llm_bridge *b = mem_new(ctx, struct llm_bridge);
    b->spec = *spec;
    b->spec.model = mem_str(b, spec->model);
    b->spec.id = mem_str(b, spec->id ? spec->id : "0");
    b->spec.hide_usage = spec->hide_usage && spec->client->wire->asks_usage;
    b->p = llm_parser_new(b, spec->upstream, NULL, NULL);
    b->p->call_prefix = mem_printf(b, "call_%s", b->spec.id);
    b->pass = llm_same_family(spec->client, spec->upstream) && spec->client_stream == spec->upstream_stream;
    buf_init(&b->held, b, HELD_MOST);
    buf_init(&b->items, b, HELD_MOST);
    sse_init(&b->frames, b);
    return b;
}

bool llm_bridge_begun(const struct llm_bridge *b)
{
    return b->begun;
}

const struct llm_answer *llm_bridge_answer(const struct llm_bridge *b)
{
    return llm_parser_answer(b->p);
}

const char *llm_bridge_content_type(const struct llm_bridge *b)
{
    return b->spec.client_stream && !b->spec.client_array ? "text/event-stream" : "application/json";
}

/* --- what the faces share --- */

void event_begin(struct json_out *o, struct buf *out, const char *name)
{
    if (name)
        buf_printf(out, "event: %s\n", name);
    buf_z(out, "data: ");
    json_out_init(o, out);
}

void event_end(struct buf *out)
{
    buf_z(out, "\n\n");
}

const char *face_model(const struct llm_bridge *b)
{
    const char *served = b->p->answer.model;
    return b->spec.model ? b->spec.model : served ? served : "unknown";
}

struct str draft_seal(const struct draft *d)
{
    return d->seal.n ? buf_view(&d->seal) : d->part.opaque;
}

bool face_own(const struct llm_bridge *b)
{
    return llm_same_family(b->spec.client, b->spec.upstream);
}

struct str face_seal(mem *ctx, const struct llm_bridge *b, const struct draft *d, const char *name, const char *id,
                     bool base64)
{
    if (face_own(b))
        return draft_seal(d);
    const struct wire_seal seal = {b->spec.upstream->name, name, id, draft_seal(d)};
    return wire_seal_write(ctx, &seal, base64);
}

struct str face_arguments(const struct draft *d)
{
    struct str text = buf_view(&d->text);
    if (wire_blank(text))
        text = d->arguments;
    return wire_blank(text) ? STR("{}") : text;
}

struct str face_arguments_object(mem *ctx, const struct draft *d)
{
    struct llm_part part = d->part;
    wire_call_arguments(&part, face_arguments(d));
    return wire_arguments(ctx, &part);
}

int64_t usage_input(const struct usage *u)
{
    return u->input + u->cache_read + u->cache_write + u->cache_write_1h;
}

/* --- written anew --- */

static const struct face *face_of(const struct llm_bridge *b)
{
    return b->spec.client->wire->face;
}

static void begin(struct llm_bridge *b, struct buf *out)
{
    if (b->begun)
        return;
    b->begun = true;
    face_of(b)->begin(b, out);
}

/* There is something to show of the part. A call shows once its name is known; an id is made when there is none. */
static bool is_shown(const struct draft *d, bool over)
{
    if (d->part.kind == LLM_TOOL_CALL)
        return d->part.name != NULL;
    return d->text.n || (over && d->part.kind == LLM_REASONING && draft_seal(d).n);
}

static struct draft *next_of(const struct llm_bridge *b)
{
    return (struct draft *)(b->at ? b->at->part.next : b->p->message.first);
}

/* Nothing more can come to the part: another one has begun. Calls may grow side by side; one is over when its arguments
 * are whole. */
static bool is_over(const struct draft *d)
{
    return d->part.next && (d->part.kind != LLM_TOOL_CALL || d->closed);
}

static void show(struct llm_bridge *b, struct draft *d, struct buf *out, bool final)
{
    struct str rest = str_sub(buf_view(&d->text), d->shown, d->text.n);
    d->shown = d->text.n;
    if (final && d->part.kind == LLM_TOOL_CALL && wire_blank(buf_view(&d->text)))
        rest = face_arguments(d);
    if (rest.n)
        face_of(b)->delta(b, d, rest, out);
}

/* Shows what is new. One part is open at a time; what grows meanwhile waits. */
static void pump(struct llm_bridge *b, struct buf *out, bool final)
{
    for (;;) {
        struct draft *d = b->open ? b->at : next_of(b);
        if (!d)
            return;
        bool over = final || is_over(d);
        if (!b->open && !is_shown(d, over)) {
            if (!over)
                return;
            b->at = d;
            continue;
        }
        if (!b->open) {
            begin(b, out);
            if (d->part.kind == LLM_TOOL_CALL)
                draft_identify(b->p, d);
            face_of(b)->open(b, d, out);
            b->at = d;
            b->open = true;
        }
        show(b, d, out, over);
        if (!over)
            return;
        face_of(b)->close(b, d, out);
        b->open = false;
    }
}

/* --- passed on --- */

static void write_out(struct llm_bridge *b, struct str bytes, struct buf *out)
{
    if (bytes.n)
        b->begun = true;
    buf_str(out, bytes);
}

/* Length of the first whole event in `held` behind `from`, or 0. A line end of CR waits for a LF that may follow it.
 * Each byte is looked at once, however long the line. */
static size_t event_length(struct llm_bridge *b, size_t from, bool final)
{
    const char *p = b->held.p + from;
    size_t n = b->held.n - from, line = b->scanned, i = b->looked > line ? b->looked : line;
    for (; i < n; i++) {
        if (p[i] != '\n' && p[i] != '\r')
            continue;
        bool blank = i == line;
        if (p[i] == '\r' && i + 1 == n && !final)
            break;
        i += p[i] == '\r' && i + 1 < n && p[i + 1] == '\n';
        line = b->scanned = i + 1;
        if (blank) {
            b->scanned = b->looked = 0;
            return line;
        }
    }
    b->looked = i;
    return final ? n : 0;
}

/* The data of an event that has one data line; empty otherwise. */
static struct str event_data(struct str event)
{
    struct str line, data = STR("");
    size_t lines = 0;
    for (const char *c = event.p, *end = event.p + event.n; c < end;) {
        const char *stop = c;
        while (stop < end && *stop != '\n' && *stop != '\r')
            stop++;
        line = str_n(c, (size_t)(stop - c));
        c = stop < end ? stop + 1 : stop;
        if (!str_starts(line, STR("data:")))
            continue;
        lines++;
        data = str_sub(line, 5, line.n);
    }
    return lines == 1 ? data : STR("");
}

/* As most servers write it, the member needs no parser: within a string the quotes would have backslashes. */
static bool null_usage_cut(struct llm_bridge *b, struct str event, struct buf *out)
{
    struct str member = STR("\"usage\":null");
    long found = str_find(event, member);
    if (found <= 0)
        return false;
    size_t from = (size_t)found, to = from + member.n;
    if (event.p[from - 1] == ',')
        from--;
    else if (event.p[from - 1] == '{' && to < event.n && event.p[to] == ',')
        to++;
    else
        return false;
    write_out(b, str_sub(event, 0, from), out);
    write_out(b, str_sub(event, to, event.n), out);
    return true;
}

/* An event of a chat stream without the usage that the client did not ask for. */
static void event_filter(struct llm_bridge *b, struct str event, struct buf *out)
{
    CLEANUP_MEM mem *tmp = NULL;
    struct json root;
    if (null_usage_cut(b, event, out))
        return;
    struct str data = str_find(event, STR("\"usage\"")) >= 0 ? event_data(event) : STR("");
    tmp = data.n ? mem_root() : NULL;
    if (!data.n || json_parse(tmp, data, &root, NULL) || json_type(root) != JSON_OBJECT) {
        write_out(b, event, out);
        return;
    }
    size_t from = 0, to = 0, after = 0;
    bool seen = false, first = true, only = false;
    for (struct json_iter it = json_iter(root); json_next(&it); first = false) {
        struct str raw = json_raw(it.value);
        size_t at = (size_t)(it.key_raw.p - 1 - event.p), end = (size_t)(raw.p + raw.n - event.p);
        if (seen && !to)
            to = at; /* the first member goes with the comma behind it */
        if (str_eqz(it.key_raw, "usage")) {
            seen = json_type(it.value) == JSON_NULL;
            only = json_is(it.value) && json_len(json_get(root, "choices")) == 0;
            from = first ? at : after;
            to = first ? 0 : end;
        }
        after = end;
    }
    if (only)
        return;
    if (!seen) {
        write_out(b, event, out);
        return;
    }
    write_out(b, str_sub(event, 0, from), out);
    size_t rest = to ? to : after;
    write_out(b, str_sub(event, rest, event.n), out);
}

static void pass_events(struct llm_bridge *b, struct buf *out, bool final)
{
    size_t at = 0;
    for (size_t n; at < b->held.n && (n = event_length(b, at, final)) > 0; at += n) {
        event_filter(b, str_sub(buf_view(&b->held), at, n), out);
        b->scanned = b->looked = 0;
    }
    buf_drop(&b->held, at);
}

/* Whole lines: what an upstream that breaks off leaves of one would make nonsense of the event that says so. */
static size_t lines_length(struct str s)
{
    size_t n = s.n;
    while (n && s.p[n - 1] != '\n' && s.p[n - 1] != '\r')
        n--;
    return n;
}

static void pass_lines(struct llm_bridge *b, struct buf *out, bool final)
{
    struct str held = buf_view(&b->held);
    size_t in_new = lines_length(str_sub(held, b->looked, held.n)); /* what was held before has no line end */
    size_t n = final ? held.n : in_new ? b->looked + in_new : 0;
    write_out(b, str_sub(held, 0, n), out);
    buf_drop(&b->held, n);
    b->looked = b->held.n;
}

/* The usual case without a copy: nothing waits, and only the rest behind the last line end will. */
static bool pass_straight(struct llm_bridge *b, struct str bytes, struct buf *out)
{
    if (!b->good || b->held.n || b->spec.hide_usage || b->spec.client_array)
        return false;
    size_t n = lines_length(bytes);
    write_out(b, str_sub(bytes, 0, n), out);
    return buf_str(&b->held, str_sub(bytes, n, bytes.n));
}

struct framing {
    struct llm_bridge *b;
    struct buf *out;
};

static enum rc frame(void *arg, struct str name, struct str data, struct err *err)
{
    struct framing *f = arg;
    (void)name;
    (void)err;
    write_out(f->b, f->b->begun ? STR(",\r\n") : STR("["), f->out);
    write_out(f->b, data, f->out);
    return RC_OK;
}

static enum rc pass_frames(struct llm_bridge *b, struct buf *out, bool final, struct err *err)
{
    struct framing f = {b, out};
    enum rc rc = sse_feed(&b->frames, buf_view(&b->held), frame, &f, err);
    buf_clear(&b->held);
    return rc || !final ? rc : sse_end(&b->frames, frame, &f, err);
}

static enum rc pass(struct llm_bridge *b, struct buf *out, bool final, struct err *err)
{
    if (b->spec.client_array)
        return pass_frames(b, out, final, err);
    if (b->spec.hide_usage)
        pass_events(b, out, final);
    else
        pass_lines(b, out, final);
    return RC_OK;
}

/* --- the upstream's bytes --- */

/* Streams are told as they come, unless the upstream sends a document after all. */
static bool is_live(const struct llm_bridge *b)
{
    return b->spec.client_stream && b->p->shape != SHAPE_DOCUMENT && !b->over;
}

static bool is_good(const struct llm_bridge *b)
{
    const struct llm_answer *a = &b->p->answer;
    return a->message || a->model || a->request_id || a->usage.output >= 0 || a->complete || b->p->finished;
}

static enum rc check_room(const struct buf *out, struct err *err)
{
    return out->overflow ? err_set(err, RC_LIMIT, "the answer for the client does not fit %zu bytes", out->max) : RC_OK;
}

enum rc llm_bridge_feed(struct llm_bridge *b, const void *bytes, size_t n, struct buf *out, struct err *err)
{
    enum rc rc = llm_parser_feed(b->p, bytes, n, err);
    if (!is_live(b))
        return rc;
    b->good = b->good || (is_good(b) && !b->p->answer.failed);
    if (!b->pass) {
        if (b->good && !b->p->answer.failed)
            pump(b, out, false);
    } else if (rc || !pass_straight(b, str_n(bytes, n), out)) {
        if (!rc && !buf_add(&b->held, bytes, n))
            rc = err_set(err, RC_UPSTREAM, "the model server sent an event that is too long");
        if (b->good)
            rc = rc ? rc : pass(b, out, false, err);
    }
    return rc ? rc : check_room(out, err);
}

static void fail(struct llm_bridge *b, int status, const struct err *err, struct buf *out)
{
    if (!b->over && b->begun && b->spec.client_stream) {
        if (b->pass &&
            !b->spec.client_array) /* ends the line and the event that were begun; the first may end a CR LF */
            buf_z(out, "\n\n");
        face_of(b)->fail(b, status, err, out);
    }
    b->over = true;
}

void llm_bridge_fail(struct llm_bridge *b, const struct llm_failure *f, struct buf *out)
{
    if (b->failed)
        return;
    fail(b, llm_failure_status(f), &f->err, out);
    b->failed = true;
    b->failure = *f;
}

static enum rc end_whole(struct llm_bridge *b, struct buf *out, struct err *err)
{
    b->begun = true;
    if (b->pass && b->p->shape == SHAPE_DOCUMENT)
        buf_str(out, buf_view(&b->p->document));
    else
        face_of(b)->whole(b, out);
    return b->items.overflow
               ? err_set(err, RC_LIMIT, "the answer for the client is larger than %d MiB", HELD_MOST >> 20)
               : RC_OK;
}

static enum rc end_stream(struct llm_bridge *b, struct buf *out, struct err *err)
{
    if (b->pass && is_live(b)) {
        enum rc rc = pass(b, out, true, err);
        if (b->spec.client_array)
            buf_z(out, b->begun ? "]" : "[]");
        return rc;
    }
    begin(b, out);
    pump(b, out, true);
    if (b->items.overflow) /* they are told once more at the end */
        return err_set(err, RC_LIMIT, "the answer for the client is larger than %d MiB", HELD_MOST >> 20);
    face_of(b)->end(b, out);
    return RC_OK;
}

enum rc llm_bridge_end(struct llm_bridge *b, struct buf *out, const struct llm_answer **ret, struct err *err)
{
    struct llm_failure f; /* written where there is one: it is large */
    enum rc rc = llm_parser_end(b->p, b->spec.upstream_stream, ret, &f.err);
    const struct llm_answer *a = *ret;
    if (!b->failed && !rc && !a->failed && a->complete) {
        rc = b->over ? RC_OK : b->spec.client_stream ? end_stream(b, out, err) : end_whole(b, out, err);
        b->over = true;
        return rc ? rc : check_room(out, err);
    }
    if (b->failed) {
        f = b->failure;
    } else if (!rc && a->failed) {
        llm_answer_failure(a, &f);
    } else {
        if (!rc)
            rc = err_set(&f.err, RC_UPSTREAM, "the model server broke off in the middle of its answer");
        f = (struct llm_failure){.rc = rc, .retryable = true, .retry_after_s = -1, .err = f.err};
    }
    /* An error event of the upstream's own is among the bytes that are passed on. */
    bool told = b->pass && a->failed && b->begun && !b->failed && !b->over;
    if (told && pass(b, out, true, NULL) == RC_OK && b->spec.client_array)
        buf_z(out, "]");
    b->over = b->over || told;
    fail(b, llm_failure_status(&f), &f.err, out);
    if (err)
        *err = f.err;
    return f.rc;
}
