/* Pages of traffic into files and bulk requests; traffic_export.h has the contract. */
#include "cli/traffic_export.h"
#include "base/clock.h"
#include "base/text.h"
#include "net/client.h"
#include "os/path.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PAGE         200
#define PATIENCE_MS  600000
#define WAIT_MOST_MS 60000
#define ANSWER_MOST  (16u << 20)
#define SHIP_TIME_MS 60000

/* ---- pages ---- */

/* Memory of a page goes with it: what cli_ask makes is put there too. */
static enum rc page_read(struct cli *cli, mem *ctx, const struct export_spec *spec, int64_t after, struct json *ret,
                         struct err *err)
{
    mem *kept = cli->ctx;
    cli->ctx = ctx;
    const char *path = mem_printf(ctx, "/api/v1/traffic?order=oldest&limit=%d&after=%lld%s%s", PAGE, (long long)after,
                                  spec->texts ? "&texts=true" : "", spec->filter);
    enum rc rc = cli_ask(cli, "GET", path, STR(""), ret, err);
    cli->ctx = kept;
    return rc;
}

/* Calls fn for each page; *ret_n counts the rows. */
static enum rc pages(struct cli *cli, const struct export_spec *spec,
                     enum rc (*fn)(void *arg, mem *ctx, struct json rows, struct err *err), void *arg, size_t *ret_n,
                     struct err *err)
{
    int64_t after = spec->after;
    enum rc rc = RC_OK;
    *ret_n = 0;
    for (bool more = true; more && rc == RC_OK;) {
        CLEANUP_MEM mem *tmp = mem_root();
        struct json page;
        rc = page_read(cli, tmp, spec, after, &page, err);
        if (rc != RC_OK)
            return rc;
        struct json rows = json_get(page, "traffic");
        *ret_n += json_len(rows);
        if (json_len(rows))
            rc = fn(arg, tmp, rows, err);
        after = json_int(json_get(page, "next"), 0);
        more = after > 0;
    }
    return rc;
}

/* ---- HAR ---- */

static void har_fields(struct json_out *o, const char *name, struct str head)
{
    struct str line;
    jo_key(o, name);
    jo_arr(o);
    while (str_line(&head, &line)) {
        const char *colon = memchr(line.p, ':', line.n);
        if (!colon)
            continue;
        size_t n = (size_t)(colon - line.p);
        jo_obj(o);
        jo_ks(o, "name", str_sub(line, 0, n));
        jo_ks(o, "value", str_trim(str_sub(line, n + 1, line.n)));
        jo_end_obj(o);
    }
    jo_end_arr(o);
}

static void har_query(struct json_out *o, struct str path)
{
    long mark = str_find(path, STR("?"));
    struct str rest = mark < 0 ? STR("") : str_sub(path, (size_t)mark + 1, path.n), pair, name;
    jo_key(o, "queryString");
    jo_arr(o);
    while (str_next(&rest, '&', &pair)) {
        struct str value = pair;
        if (!str_next(&value, '=', &name))
            continue;
        jo_obj(o);
        jo_ks(o, "name", name);
        jo_ks(o, "value", value);
        jo_end_obj(o);
    }
    jo_end_arr(o);
}

static void har_request(mem *ctx, struct json row, struct json_out *o)
{
    const char *scheme = json_z(ctx, json_get(row, "scheme"), "https"), *path = json_z(ctx, json_get(row, "path"), "");
    int64_t port = json_int(json_get(row, "port"), 0);
    bool usual = port == (strcmp(scheme, "http") == 0 ? 80 : 443);
    struct str body = json_str(ctx, json_get(row, "request_body"));
    jo_key(o, "request");
    jo_obj(o);
    jo_kz(o, "method", json_z(ctx, json_get(row, "method"), ""));
    const char *host = json_z(ctx, json_get(row, "host"), "");
    const char *at = usual ? host : mem_printf(ctx, "%s:%lld", host, (long long)port);
    jo_kz(o, "url", mem_printf(ctx, "%s://%s%s", scheme, at, path));
    jo_kz(o, "httpVersion", "HTTP/1.1");
    jo_key(o, "cookies");
    jo_arr(o);
    jo_end_arr(o);
    har_fields(o, "headers", json_str(ctx, json_get(row, "request_head")));
    har_query(o, str_of(path));
    if (body.n) {
        jo_key(o, "postData");
        jo_obj(o);
        jo_kz(o, "mimeType", "");
        jo_ks(o, "text", body);
        jo_end_obj(o);
    }
    jo_ki(o, "headersSize", -1);
    jo_ki(o, "bodySize", json_int(json_get(row, "bytes_up"), 0));
    jo_end_obj(o);
}

static void har_answer(mem *ctx, struct json row, struct json_out *o)
{
    struct str body = json_str(ctx, json_get(row, "answer_body"));
    int64_t down = json_int(json_get(row, "bytes_down"), 0);
    jo_key(o, "response");
    jo_obj(o);
    jo_ki(o, "status", json_int(json_get(row, "status"), 0));
    jo_kz(o, "statusText", "");
    jo_kz(o, "httpVersion", "HTTP/1.1");
    jo_key(o, "cookies");
    jo_arr(o);
    jo_end_arr(o);
    har_fields(o, "headers", json_str(ctx, json_get(row, "answer_head")));
    jo_key(o, "content");
    jo_obj(o);
    jo_ki(o, "size", down);
    jo_kz(o, "mimeType", "");
    if (body.n)
        jo_ks(o, "text", body);
    jo_end_obj(o);
    jo_kz(o, "redirectURL", "");
    jo_ki(o, "headersSize", -1);
    jo_ki(o, "bodySize", down);
    jo_end_obj(o);
}

/* What a HAR has no member for begins with '_', as the format wants it. */
static void har_entry(mem *ctx, struct json row, struct json_out *o)
{
    int64_t ms = json_int(json_get(row, "ms"), 0), first = json_int(json_get(row, "first_byte_ms"), -1);
    static const char *const own[] = {"number", "verdict", "reason", "task", "project", "phase"};
    const char *address = json_z(ctx, json_get(row, "address"), "");
    jo_obj(o);
    jo_kz(o, "startedDateTime", json_z(ctx, json_get(row, "time"), ""));
    jo_ki(o, "time", ms);
    har_request(ctx, row, o);
    har_answer(ctx, row, o);
    jo_key(o, "cache");
    jo_obj(o);
    jo_end_obj(o);
    jo_key(o, "timings");
    jo_obj(o);
    jo_ki(o, "send", 0);
    jo_ki(o, "wait", first < 0 ? ms : first);
    jo_ki(o, "receive", first < 0 ? 0 : ms - first);
    jo_end_obj(o);
    if (*address)
        jo_kz(o, "serverIPAddress", address);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        jo_kraw(o, mem_printf(ctx, "_%s", own[i]), json_raw(json_get(row, own[i])));
    jo_end_obj(o);
}

/* ---- files ---- */

struct sink {
    int fd;
    enum export_form form;
    bool began;
};

static enum rc sink_write(const struct sink *s, struct str text, struct err *err)
{
    for (size_t done = 0; done < text.n;) {
        ssize_t n = write(s->fd, text.p + done, text.n - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "could not write the export");
        done += (size_t)n;
    }
    return RC_OK;
}

static enum rc sink_page(void *arg, mem *ctx, struct json rows, struct err *err)
{
    struct sink *s = arg;
    struct buf b;
    buf_init(&b, ctx, SIZE_MAX);
    for (struct json_iter it = json_iter(rows); json_next(&it);) {
        struct json_out o;
        if (s->form == EXPORT_JSONL) {
            buf_str(&b, json_printable(ctx, json_raw(it.value)));
            buf_char(&b, '\n');
            continue;
        }
        buf_z(&b, s->began ? ",\n" : "");
        s->began = true;
        json_out_init(&o, &b);
        har_entry(ctx, it.value, &o);
    }
    return sink_write(s, buf_view(&b), err);
}

static enum rc sink_fill(struct cli *cli, const struct export_spec *spec, struct sink *s, size_t *ret_n,
                         struct err *err)
{
    bool har = s->form == EXPORT_HAR;
    enum rc rc = har ? sink_write(s,
                                  STR("{\"log\":{\"version\":\"1.2\",\"creator\":{\"name\":\"Nightmill\",\"version\":"
                                      "\"" NIGHTMILL_VERSION "\"},\"entries\":[\n"),
                                  err)
                     : RC_OK;
    if (rc == RC_OK)
        rc = pages(cli, spec, sink_page, s, ret_n, err);
    return rc == RC_OK && har ? sink_write(s, STR("\n]}}\n"), err) : rc;
}

enum rc traffic_export(struct cli *cli, const struct export_spec *spec, enum export_form form, const char *file,
                       size_t *ret_n, struct err *err)
{
    if (!file) {
        struct sink out = {.fd = STDOUT_FILENO, .form = form};
        return sink_fill(cli, spec, &out, ret_n, err);
    }
    const char *fresh = mem_printf(cli->ctx, "%s.%d.new", file, (int)getpid());
    CLEANUP_FD int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_sys(err, errno, "could not write the file %s", fresh);
    struct sink s = {.fd = fd, .form = form};
    enum rc rc = sink_fill(cli, spec, &s, ret_n, err);
    if (rc == RC_OK && (fsync(fd) != 0 || rename(fresh, file) != 0))
        rc = err_sys(err, errno, "could not write the file %s", file);
    if (rc != RC_OK)
        unlink(fresh);
    return rc;
}

/* ---- bulk ---- */

struct shipper {
    struct cli *cli;
    const struct ship_spec *ship;
    const char *url;
};

static enum rc cursor_write(const struct ship_spec *ship, int64_t number, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    return ship->cursor_file
               ? path_write_durable(ship->cursor_file, str_of(mem_printf(tmp, "%lld\n", (long long)number)), 0600, err)
               : RC_OK;
}

/* An action and a document for each row; a date in the member that the tools of both servers look for. */
static void bulk_row(mem *ctx, const struct ship_spec *ship, struct json row, struct buf *out)
{
    struct json_out o;
    struct str raw = json_raw(row);
    json_out_init(&o, out);
    jo_obj(&o);
    jo_key(&o, "index");
    jo_obj(&o);
    jo_kz(&o, "_index", ship->index);
    jo_kz(&o, "_id", mem_printf(ctx, "%lld", (long long)json_int(json_get(row, "number"), 0)));
    jo_end_obj(&o);
    jo_end_obj(&o);
    buf_z(out, "\n{\"@timestamp\":");
    buf_str(out, json_raw(json_get(row, "time")));
    buf_char(out, ',');
    buf_str(out, json_printable(ctx, str_sub(raw, 1, raw.n)));
    buf_char(out, '\n');
}

static bool busy(int64_t status)
{
    return status == 429 || status == 503 || status == 502 || status == 504;
}

/* Which rows did not arrive and may be sent again: their positions in `again`. RC_UPSTREAM: one never will. */
static enum rc items_judge(mem *ctx, struct json answer, bool *again, size_t n, struct err *err)
{
    size_t i = 0;
    memset(again, 0, n);
    if (!json_bool(json_get(answer, "errors"), false))
        return RC_OK;
    for (struct json_iter it = json_iter(json_get(answer, "items")); json_next(&it) && i < n; i++) {
        struct json item = json_get(it.value, "index");
        int64_t status = json_int(json_get(item, "status"), 200);
        again[i] = busy(status);
        if (status < 300 || again[i])
            continue;
        err_set(err, RC_UPSTREAM, "the server refused a row with status %lld", (long long)status);
        return err_detail(err, "%s", text_terminal_line(ctx, json_raw(json_get(item, "error")), 300));
    }
    return RC_OK;
}

/* One request. RC_AGAIN: some rows, or all, must be sent again (`again`). */
static enum rc bulk_send(struct shipper *s, mem *ctx, struct str body, bool *again, size_t n, struct err *err)
{
    const char *headers[] = {"Content-Type: application/x-ndjson", s->ship->header, NULL};
    struct client_spec q = {.method = "POST",
                            .url = s->url,
                            .headers = headers,
                            .body = body,
                            .timeout_ms = SHIP_TIME_MS,
                            .max_body = ANSWER_MOST,
                            .cancel_fd = -1};
    struct client_answer a;
    struct json answer;
    enum rc rc = client_call(ctx, &q, &a, err);
    if (rc == RC_UNAVAILABLE || (rc == RC_OK && busy(a.status))) {
        memset(again, true, n);
        return RC_AGAIN;
    }
    if (rc != RC_OK)
        return rc;
    if (a.status / 100 != 2) {
        err_set(err, RC_UPSTREAM, "the server answered with status %d", a.status);
        return err_detail(err, "%s", text_terminal_line(ctx, a.body, 300));
    }
    rc = json_parse(ctx, a.body, &answer, err);
    if (rc == RC_OK)
        rc = items_judge(ctx, answer, again, n, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        if (again[i])
            rc = RC_AGAIN;
    return rc;
}

static enum rc ship_page(void *arg, mem *ctx, struct json rows, struct err *err)
{
    struct shipper *s = arg;
    size_t n = json_len(rows);
    struct json *left = mem_array(ctx, struct json, n);
    bool *again = mem_array(ctx, bool, n);
    int64_t last = json_int(json_get(json_at(rows, n - 1), "number"), 0), wait = 1000, began = clock_mono_ms();
    for (size_t i = 0; i < n; i++)
        left[i] = json_at(rows, i);
    for (;;) {
        CLEANUP_MEM mem *tmp = mem_root();
        struct buf body;
        size_t kept = 0;
        buf_init(&body, tmp, SIZE_MAX);
        for (size_t i = 0; i < n; i++)
            bulk_row(tmp, s->ship, left[i], &body);
        enum rc rc = bulk_send(s, tmp, buf_view(&body), again, n, err);
        if (rc == RC_OK)
            return cursor_write(s->ship, last, err);
        if (rc != RC_AGAIN)
            return rc;
        if (clock_mono_ms() - began > PATIENCE_MS)
            return err_set(err, RC_TIMEOUT, "the server at %s took nothing more for ten minutes", s->ship->url);
        for (size_t i = 0; i < n; i++)
            if (again[i])
                left[kept++] = left[i];
        n = kept;
        usleep((useconds_t)wait * 1000);
        wait = wait * 2 < WAIT_MOST_MS ? wait * 2 : WAIT_MOST_MS;
    }
}

static enum rc cursor_read(mem *ctx, const char *file, int64_t *ret, struct err *err)
{
    struct str text;
    struct err why = {0};
    enum rc rc = file ? path_slurp(ctx, file, 64, &text, &why) : RC_NOT_FOUND;
    if (rc == RC_NOT_FOUND)
        return RC_OK;
    if (rc == RC_OK && !str_int(str_trim(text), 0, INT64_MAX, ret)) {
        err_set(err, RC_INVALID, "%s holds no cursor", file);
        return err_hint(err, "remove it to ship everything again");
    }
    if (rc != RC_OK && err)
        *err = why;
    return rc;
}

enum rc traffic_ship(struct cli *cli, const struct export_spec *spec, const struct ship_spec *ship, size_t *ret_n,
                     struct err *err)
{
    struct export_spec from = *spec;
    struct str url = str_of(ship->url);
    *ret_n = 0;
    while (str_ends(url, STR("/")))
        url.n--;
    struct shipper s = {cli, ship, mem_printf(cli->ctx, "%.*s/_bulk", STR_FMT(url))};
    enum rc rc = cursor_read(cli->ctx, ship->cursor_file, &from.after, err);
    return rc == RC_OK ? pages(cli, &from, ship_page, &s, ret_n, err) : rc;
}
