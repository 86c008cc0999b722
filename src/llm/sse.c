/* Splits bytes into server-sent events. Knows nothing of JSON or models. `id` and `retry` are of no use here: nothing
 * reconnects in the middle of an answer. */
#include "llm/wire.h"

enum { EVENT_MOST = 16 << 20 };

void sse_init(struct sse *s, mem *ctx)
{
    *s = (struct sse){0};
    buf_init(&s->line, ctx, EVENT_MOST);
    buf_init(&s->name, ctx, 256);
    buf_init(&s->data, ctx, EVENT_MOST);
}

static enum rc too_large(struct err *err)
{
    return err_set(err, RC_UPSTREAM, "The model server sent an event of more than %d MiB", EVENT_MOST >> 20);
}

static enum rc event_end(struct sse *s, sse_event_fn fn, void *arg, struct err *err)
{
    enum rc rc = RC_OK;
    if (s->has_data)
        rc = fn(arg, buf_view(&s->name), buf_view(&s->data), err);
    s->has_data = false;
    buf_clear(&s->name);
    buf_clear(&s->data);
    return rc;
}

static enum rc line_take(struct sse *s, struct str line, sse_event_fn fn, void *arg, struct err *err)
{
    if (!s->begun && str_starts(line, STR("\xef\xbb\xbf")))
        line = str_sub(line, 3, line.n);
    s->begun = true;
    if (line.n == 0)
        return event_end(s, fn, arg, err);
    const char *colon = memchr(line.p, ':', line.n);
    struct str field = str_n(line.p, colon ? (size_t)(colon - line.p) : line.n);
    struct str value = colon ? str_sub(line, field.n + 1, line.n) : STR("");
    if (value.n && value.p[0] == ' ')
        value = str_sub(value, 1, value.n);
    bool data = str_eqz(field, "data"), name = str_eqz(field, "event");
    if (data || name || field.n == 0 || str_eqz(field, "id") || str_eqz(field, "retry"))
        s->known = true;
    else if (!s->known)
        s->foreign = true;
    if (name) { /* a name beyond its cap is none that we know */
        buf_clear(&s->name);
        (void)!buf_str(&s->name, value);
    }
    if (data) {
        if ((s->has_data && !buf_char(&s->data, '\n')) || !buf_str(&s->data, value))
            return too_large(err);
        s->has_data = true;
    }
    return RC_OK;
}

/* The first CR or LF, or the end. A CR is looked for only before the LF, which nearly every stream has. */
static const char *line_stop(const char *p, const char *end)
{
    const char *lf = memchr(p, '\n', (size_t)(end - p));
    const char *cr = memchr(p, '\r', (size_t)((lf ? lf : end) - p));
    return cr ? cr : lf ? lf : end;
}

enum rc sse_feed(struct sse *s, struct str bytes, sse_event_fn fn, void *arg, struct err *err)
{
    const char *p = bytes.p, *end = bytes.p + bytes.n;
    if (p < end && s->after_cr && *p == '\n')
        p++;
    if (bytes.n)
        s->after_cr = false;
    while (p < end) {
        const char *stop = line_stop(p, end);
        struct str piece = str_n(p, (size_t)(stop - p));
        if (stop == end) /* goes on in the next read */
            return buf_str(&s->line, piece) ? RC_OK : too_large(err);
        p = stop + 1;
        if (*stop == '\r') {
            s->after_cr = p == end;
            p += p < end && *p == '\n';
        }
        if (s->line.n) {
            if (!buf_str(&s->line, piece))
                return too_large(err);
            piece = buf_view(&s->line);
        }
        enum rc rc = line_take(s, piece, fn, arg, err);
        buf_clear(&s->line);
        if (rc)
            return rc;
    }
    return RC_OK;
}

bool sse_is_between(const struct sse *s)
{
    return s->begun && !s->after_cr && !s->has_data && !s->line.n && !s->name.n;
}

enum rc sse_end(struct sse *s, sse_event_fn fn, void *arg, struct err *err)
{
    enum rc rc = s->line.n ? line_take(s, buf_view(&s->line), fn, arg, err) : RC_OK;
    buf_clear(&s->line);
    return rc ? rc : event_end(s, fn, arg, err);
}
