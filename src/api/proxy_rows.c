/* Frames of rows into transactions; proxy_rows.h has the promises. */
#include "api/proxy_rows.h"
#include "base/clock.h"
#include "base/log.h"
#include "os/line.h"
#include "proxy/proxy.h"
#include "store/traffic.h"

struct proxy_rows {
    struct proxy_rows_spec spec; /* line NULL: given up; freed with the last job */
    char *origin;
    size_t under_way;
    bool failed; /* the writer thread's: later frames must not overtake one that was lost */
};
struct rows_job {
    mem *ctx;
    struct proxy_rows *rows;
    const char *origin;
    struct str text;
    int64_t last; /* number of the last row; 0: nothing was there */
    enum rc rc;
    struct err err;
};

struct proxy_rows *proxy_rows_new(const struct proxy_rows_spec *spec)
{
    struct proxy_rows *r = mem_new(NULL, struct proxy_rows);
    r->spec = *spec;
    r->origin = mem_str(r, spec->origin);
    return r;
}

struct proxy_rows *proxy_rows_free(struct proxy_rows *r)
{
    if (!r)
        return NULL;
    r->spec.line = NULL;
    if (!r->under_way)
        mem_free(r);
    return NULL;
}

static const char *text_at(mem *ctx, const struct json *columns, enum traffic_column column)
{
    const char *z = json_z(ctx, columns[column], NULL);
    if (z)
        return z;
    struct str s = json_str(ctx, columns[column]); /* a body may hold NUL bytes */
    return s.n ? str_utf8_clean(ctx, s) : "";
}

static const char *verdict_known(const char *verdict)
{
    static const char *const known[] = {"allowed", "denied", "tunnelled", "failed", "alarm"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(verdict, known[i]) == 0)
            return verdict;
    return "failed";
}

/* The task may have been removed, or there was none: an alarm is a row in any case. */
static enum rc alarm_event(mem *ctx, struct store_tx *tx, const struct traffic *t, struct err *err)
{
    struct task task;
    struct buf b;
    struct json_out o;
    int64_t number;
    bool fresh;
    if (!*t->task || task_find_tx(ctx, tx, t->task, &task, NULL) != RC_OK)
        return RC_OK;
    buf_init(&b, ctx, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_ki(&o, "traffic", t->number);
    jo_kz(&o, "host", t->host);
    jo_ki(&o, "port", t->port);
    jo_kz(&o, "method", t->method);
    jo_kz(&o, "words", t->reason);
    jo_end_obj(&o);
    struct event e = {.time_ns = clock_wall_ns(), .type = "egress.alarm", .actor = "system", .data = b.p};
    return event_append(tx, t->task, &e, &number, &fresh, err);
}

static enum rc row_write(mem *ctx, struct store_tx *tx, const struct json *v, struct err *err)
{
    struct traffic t = {.time_ns = json_int(v[TRAFFIC_TIME_NS], 0),
                        .task = text_at(ctx, v, TRAFFIC_TASK),
                        .project = text_at(ctx, v, TRAFFIC_PROJECT),
                        .agent = text_at(ctx, v, TRAFFIC_AGENT),
                        .phase = text_at(ctx, v, TRAFFIC_PHASE),
                        .host = text_at(ctx, v, TRAFFIC_HOST),
                        .port = json_int(v[TRAFFIC_PORT], 0),
                        .scheme = text_at(ctx, v, TRAFFIC_SCHEME),
                        .method = text_at(ctx, v, TRAFFIC_METHOD),
                        .path = text_at(ctx, v, TRAFFIC_PATH),
                        .status = json_int(v[TRAFFIC_STATUS], 0),
                        .bytes_up = json_int(v[TRAFFIC_BYTES_UP], 0),
                        .bytes_down = json_int(v[TRAFFIC_BYTES_DOWN], 0),
                        .first_byte_ms = json_int(v[TRAFFIC_FIRST_BYTE_MS], -1),
                        .ms = json_int(v[TRAFFIC_MS], 0),
                        .verdict = verdict_known(text_at(ctx, v, TRAFFIC_VERDICT)),
                        .reason = text_at(ctx, v, TRAFFIC_REASON),
                        .address = text_at(ctx, v, TRAFFIC_ADDRESS)};
    struct traffic_texts texts = {.request_head = text_at(ctx, v, TRAFFIC_REQUEST_HEAD),
                                  .answer_head = text_at(ctx, v, TRAFFIC_ANSWER_HEAD),
                                  .request_body = text_at(ctx, v, TRAFFIC_REQUEST_BODY),
                                  .answer_body = text_at(ctx, v, TRAFFIC_ANSWER_BODY),
                                  .cut = json_bool(v[TRAFFIC_CUT], false)};
    enum rc rc = traffic_insert(tx, &t, &texts, err);
    return rc == RC_OK && strcmp(t.verdict, "alarm") == 0 ? alarm_event(ctx, tx, &t, err) : rc;
}

static enum rc rows_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct rows_job *j = arg;
    CLEANUP_MEM mem *tmp = mem_root();
    struct json root, v[TRAFFIC_COLUMNS];
    int64_t done = 0;
    if (j->rows->failed)
        return err_set(err, RC_CANCELLED, "an earlier frame of rows was lost");
    enum rc rc = json_parse(tmp, j->text, &root, err);
    if (rc == RC_OK)
        rc = traffic_origin_get(tx, j->origin, &done, err);
    for (struct json_iter it = json_iter(json_get(root, "rows")); rc == RC_OK && json_next(&it);) {
        size_t n = 0;
        for (struct json_iter col = json_iter(it.value); json_next(&col);) {
            if (n < TRAFFIC_COLUMNS)
                v[n] = col.value;
            n++;
        }
        j->last = n ? json_int(v[TRAFFIC_NUMBER], 0) : j->last;
        if (n != TRAFFIC_COLUMNS) /* of another version of this program: sending it again would not help */
            log_error("a row of traffic has %zu columns instead of %d and is left out", n, TRAFFIC_COLUMNS);
        if (n != TRAFFIC_COLUMNS || j->last <= done)
            continue; /* or it was written before, and not acknowledged then */
        rc = row_write(tmp, tx, v, err);
    }
    return rc == RC_OK && j->last > done ? traffic_origin_put(tx, j->origin, j->last, clock_wall_ns(), err) : rc;
}

static void rows_written(void *arg)
{
    struct rows_job *j = arg;
    struct proxy_rows *r = j->rows;
    char text[64];
    r->under_way--;
    if (j->rc != RC_OK && j->rc != RC_CANCELLED)
        log_err(&j->err, "rows of traffic could not be written");
    if (!r->spec.line) {
        if (!r->under_way)
            mem_free(r);
    } else if (j->rc == RC_OK) {
        int n = snprintf(text, sizeof text, "{\"ack\":%lld}", (long long)j->last);
        line_send(r->spec.line, str_n(text, (size_t)n), -1);
    } else {
        r->spec.broken(r->spec.arg);
    }
    mem_free(j->ctx);
}

static void rows_done(void *arg, enum rc rc, const struct err *err)
{
    struct rows_job *j = arg;
    j->rc = rc;
    j->rows->failed |= rc != RC_OK;
    if (err)
        j->err = *err;
    loop_post(&j->rows->spec.server->loop, rows_written, j);
}

void proxy_rows_take(struct proxy_rows *r, struct str frame)
{
    mem *ctx = mem_root();
    struct rows_job *j = mem_new(ctx, struct rows_job);
    j->ctx = ctx;
    j->rows = r;
    j->origin = mem_str(ctx, r->origin);
    j->text = str_n(mem_strn(ctx, frame.p, frame.n), frame.n);
    r->under_way++;
    store_write_async(r->spec.server->store, rows_tx, j, rows_done);
}
