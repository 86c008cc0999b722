/* Rows: made when an exchange ends, kept in batches until the server has them durably. Not here: the database. */
#include "base/clock.h"
#include "base/json.h"
#include "proxy/room.h"
#include <zlib.h>

#define HEAD_KEPT (16u << 10)
#define ROW_MOST  (4u << 20)
#define TEXT_MOST (8u << 10) /* of a path in the record */

struct row_batch {
    struct row_batch *next;
    int64_t first, last; /* numbers */
    size_t rows;
    struct buf text; /* "[..],[..]" */
};

/* ---- one row ---- */

void row_begin(struct run *run, struct row *x)
{
    size_t most = run->keep == KEEP_FULL ? run->body_max : 0;
    *x = (struct row){.ctx = mem_root(), .time_ns = clock_wall_ns(), .first_byte_ms = -1, .scheme = "http"};
    x->begun_ms = clock_mono_ms();
    x->reason = "";
    x->method = x->path = x->request_coding = x->answer_coding = STR("");
    buf_init(&x->request_head, x->ctx, HEAD_KEPT);
    buf_init(&x->answer_head, x->ctx, HEAD_KEPT);
    buf_init(&x->request_body, x->ctx, most + 1);
    buf_init(&x->answer_body, x->ctx, most + 1);
}

void row_keep(struct run *run, struct row *x, struct buf *side, struct str bytes)
{
    if (run->keep != KEEP_FULL || !x->ctx)
        return;
    size_t room = run->body_max > side->n ? run->body_max - side->n : 0;
    x->cut |= bytes.n > room;
    buf_add(side, bytes.p, bytes.n < room ? bytes.n : room);
}

/* What is kept of a packed body is unpacked as far as it goes; other codings stay as they are. */
static struct str body_unpack(struct run *run, struct row *x, struct str packed, struct str coding)
{
    bool gzip = str_ieq(coding, STR("gzip")) || str_ieq(coding, STR("x-gzip")), zlib = str_ieq(coding, STR("deflate"));
    z_stream z = {0};
    struct buf out;
    if ((!gzip && !zlib) || !packed.n || inflateInit2(&z, 15 + 32) != Z_OK)
        return packed;
    buf_init(&out, x->ctx, run->body_max + 1);
    char *room = buf_reserve(&out, run->body_max);
    z.next_in = (Bytef *)(uintptr_t)packed.p;
    z.avail_in = (uInt)packed.n;
    z.next_out = (Bytef *)room;
    z.avail_out = (uInt)run->body_max;
    int done = inflate(&z, Z_SYNC_FLUSH);
    x->cut |= done == Z_OK && !z.avail_out;
    buf_advance(&out, run->body_max - z.avail_out);
    inflateEnd(&z);
    return out.n ? buf_view(&out) : packed;
}

static struct str redacted(struct run *run, struct row *x, struct str text, size_t most)
{
    return text.n ? str_of(redact_text(x->ctx, run->redactor, text, most)) : STR("");
}

static void row_write(struct run *run, struct row *x, struct json_out *o)
{
    bool heads = run->keep != KEEP_NONE;
    /* One text is redacted, not three: what is taken out depends on what stands before it. */
    struct str path = redacted(run, x, x->path, TEXT_MOST), reason = redacted(run, x, str_of(x->reason), TEXT_MOST);
    struct str request = heads ? redacted(run, x, buf_view(&x->request_head), HEAD_KEPT) : STR("");
    struct str answer = heads ? redacted(run, x, buf_view(&x->answer_head), HEAD_KEPT) : STR("");
    struct str up = body_unpack(run, x, buf_view(&x->request_body), x->request_coding);
    struct str down = body_unpack(run, x, buf_view(&x->answer_body), x->answer_coding);
    jo_arr(o);
    jo_int(o, run->proxy->record.next++);
    jo_z(o, run->task);
    jo_z(o, run->project);
    jo_z(o, run->agent);
    jo_z(o, run->phase);
    jo_int(o, x->time_ns);
    jo_z(o, x->host.text);
    jo_int(o, x->port);
    jo_z(o, x->scheme);
    jo_str(o, x->method);
    jo_str(o, path);
    jo_int(o, x->status);
    jo_int(o, x->up);
    jo_int(o, x->down);
    jo_int(o, x->first_byte_ms);
    jo_int(o, clock_mono_ms() - x->begun_ms);
    jo_z(o, x->verdict ? x->verdict : "failed");
    jo_str(o, reason);
    jo_z(o, x->address);
    jo_str(o, request);
    jo_str(o, answer);
    jo_str(o, redacted(run, x, up, run->body_max));
    jo_str(o, redacted(run, x, down, run->body_max));
    jo_bool(o, x->cut);
    jo_end_arr(o);
}

static struct row_batch *batch_open(struct proxy *p)
{
    struct record *r = &p->record;
    struct row_batch *b = r->last;
    if (b && b->rows < RECORD_BATCH && b->text.n < RECORD_BATCH_BYTES && b->first > r->sent)
        return b;
    b = mem_new(p->ctx, struct row_batch);
    b->first = r->next;
    buf_init(&b->text, b, RECORD_BATCH_BYTES + ROW_MOST);
    *(r->last ? &r->last->next : &r->first) = b;
    r->last = b;
    return b;
}

static void batches_send(struct proxy *p);

static void timer_fired(uv_timer_t *timer)
{
    struct proxy *p = timer->data;
    p->record.armed = false;
    batches_send(p);
}

void row_end(struct run *run, struct row *x)
{
    struct proxy *p = run->proxy;
    struct json_out o;
    if (!x->ctx)
        return;
    struct row_batch *b = batch_open(p);
    size_t had = b->text.n;
    if (had)
        buf_char(&b->text, ',');
    json_out_init(&o, &b->text);
    row_write(run, x, &o);
    if (b->text.overflow) /* cannot be: every part of a row has a cap */
        bug_at(__FILE__, __LINE__, "a row of %zu bytes", b->text.n - had);
    b->last = p->record.next - 1;
    b->rows++;
    p->record.bytes += b->text.n - had;
    p->record.rows++;
    mem_free(x->ctx);
    *x = (struct row){0};
    if (b->rows >= RECORD_BATCH || b->text.n >= RECORD_BATCH_BYTES)
        batches_send(p);
    else if (!p->record.armed) {
        p->record.armed = true;
        uv_timer_start(&p->record.timer, timer_fired, RECORD_WAIT_MS, 0);
    }
}

/* ---- the journey ---- */

void record_open(struct proxy *p)
{
    p->record.next = 1;
    uv_timer_init(&p->uv, &p->record.timer);
    p->record.timer.data = p;
}

bool record_full(const struct proxy *p)
{
    return p->record.bytes > RECORD_QUEUE_MAX;
}

static void batches_send(struct proxy *p)
{
    struct record *r = &p->record;
    for (struct row_batch *b = r->first; b && p->line; b = b->next) {
        CLEANUP_MEM mem *tmp = mem_root();
        if (b->last <= r->sent || !b->rows)
            continue;
        if (line_backlog(p->line) > LINE_OUT_MAX / 4)
            return; /* goes on when the server acknowledges */
        struct buf frame;
        buf_init(&frame, tmp, FRAME_MAX);
        buf_z(&frame, "{\"rows\":[");
        buf_str(&frame, buf_view(&b->text));
        buf_z(&frame, "]}");
        if (!proxy_send(p, buf_view(&frame)))
            return;
        r->sent = b->last;
    }
}

void record_connected(struct proxy *p)
{
    p->record.sent = p->record.first ? p->record.first->first - 1 : p->record.next - 1;
    batches_send(p);
}

void record_acked(struct proxy *p, int64_t number)
{
    struct record *r = &p->record;
    while (r->first && r->first->rows && r->first->last <= number) {
        struct row_batch *b = r->first;
        r->first = b->next;
        if (!r->first)
            r->last = NULL;
        r->bytes -= b->text.n;
        r->rows -= b->rows;
        mem_free(b);
    }
    batches_send(p);
}
