/* read: a window of a text file, with line numbers. Streams through the file, so that its size does not matter. */
#include "agent/work.h"
#include "os/path.h"
#include <errno.h>
#include <unistd.h>

enum { LINES_DEFAULT = 400, LINES_MOST = 5000, LINE_BYTES = 2000 };
static const int64_t SCAN_MOST = 64 << 20; /* lines beyond are not counted */

struct read_args {
    const char *path;
    int64_t line, lines;
};

struct window {
    struct buf *out;
    size_t room;          /* bytes that the window may take */
    int64_t first, last;  /* wanted */
    int64_t shown;        /* last line that was begun in the window, 0: none */
    int64_t line;         /* the line being read */
    size_t line_bytes;    /* of it, so far */
    size_t cut;           /* bytes of it that were not shown */
    bool full, crlf, odd; /* odd: not UTF-8 */
    char held;            /* a CR whose LF may come next */
};

static void line_begin(struct window *w)
{
    if (w->out->n >= w->room)
        w->full = true;
    if (w->line < w->first || w->line > w->last || w->full)
        return;
    w->shown = w->line;
    buf_printf(w->out, "%6lld\t", (long long)w->line);
}

static void line_bytes(struct window *w, struct str piece)
{
    if (w->line_bytes == 0)
        line_begin(w);
    size_t before = w->line_bytes;
    w->line_bytes += piece.n;
    if (w->shown != w->line)
        return;
    size_t room = before < LINE_BYTES ? LINE_BYTES - before : 0;
    size_t n = piece.n < room ? piece.n : room;
    buf_add(w->out, piece.p, n);
    w->cut += piece.n - n;
}

static void line_end(struct window *w)
{
    if (w->line_bytes == 0)
        line_begin(w);
    if (w->shown == w->line) {
        if (w->out->n && w->out->p[w->out->n - 1] == '\r') { /* the line end, not its text */
            w->out->n--;
            w->crlf = true;
        }
        if (w->cut)
            buf_printf(w->out, " [... %zu bytes of this line left out]", w->cut);
        buf_char(w->out, '\n');
    }
    w->line++;
    w->line_bytes = w->cut = 0;
}

static void window_feed(struct window *w, struct str bytes)
{
    while (bytes.n) {
        const char *lf = memchr(bytes.p, '\n', bytes.n);
        size_t n = lf ? (size_t)(lf - bytes.p) : bytes.n;
        if (n)
            line_bytes(w, str_n(bytes.p, n));
        if (lf)
            line_end(w);
        bytes = str_sub(bytes, n + (lf != NULL), bytes.n);
    }
}

/* What the window does not show of itself. */
static void marks_write(struct tool_call *c, const struct window *w, int64_t total, bool open_end, bool more)
{
    struct buf *out = &c->out;
    if (w->shown < total || w->first > 1 || more)
        buf_printf(out, "[lines %lld to %lld of %s%lld%s]\n", (long long)w->first, (long long)w->shown,
                   more ? "more than " : "", (long long)total, w->shown < total ? "; ask for more with `line`" : "");
    if (w->crlf)
        buf_z(out, "[lines end with CR LF]\n");
    if (open_end && w->shown >= total)
        buf_z(out, "[no newline at the end of the file]\n");
    if (w->odd)
        buf_z(out, "[bytes that are not UTF-8 are shown as U+FFFD]\n");
}

static enum rc file_show(struct tool_call *c, const struct read_args *args, int fd, const struct stat *st)
{
    struct window w = {.out = &c->out,
                       .room = c->agent->spec->tool_output_max > 1024 ? c->agent->spec->tool_output_max - 512 : 512,
                       .first = args->line ? args->line : 1,
                       .line = 1};
    w.last = w.first + (args->lines ? args->lines : LINES_DEFAULT) - 1;
    char *piece = mem_zalloc(c->ctx, 65536);
    int64_t seen = 0;
    for (ssize_t n; seen < SCAN_MOST; seen += n) {
        n = read(fd, piece, 65536);
        if (n < 0 && errno == EINTR) {
            n = 0;
            continue;
        }
        if (n < 0)
            return tool_refuse(c, "%s could not be read: %s.", args->path, strerror(errno));
        if (n == 0)
            break;
        if (seen == 0 && memchr(piece, 0, n < 8192 ? (size_t)n : 8192))
            return tool_refuse(c, "%s is a binary file of %lld bytes; it is not shown.", args->path,
                               (long long)st->st_size);
        window_feed(&w, str_n(piece, (size_t)n));
    }
    if (seen == 0) {
        buf_z(&c->out, "(the file is empty)");
        return RC_OK;
    }
    bool open_end = w.line_bytes > 0;
    if (open_end)
        line_end(&w);
    int64_t total = w.line - 1;
    if (w.first > total)
        return tool_refuse(c, "%s has only %lld lines.", args->path, (long long)total);
    w.odd = !str_utf8(buf_view(&c->out));
    marks_write(c, &w, total, open_end, seen >= SCAN_MOST && seen < st->st_size);
    return RC_OK;
}

static enum rc read_run(struct tool_call *c, const void *p, struct err *err)
{
    (void)err;
    const struct read_args *args = p;
    const char *path = tool_path(c, args->path);
    if (!path)
        return RC_OK;
    CLEANUP_FD int fd = -1;
    struct stat st;
    struct err why = {0};
    if (path_open_file(c->agent->root, path, false, &fd, &st, &why))
        return tool_refuse_err(c, &why);
    return file_show(c, args, fd, &st);
}

static const char *read_summary(mem *ctx, const void *p)
{
    const struct read_args *args = p;
    return args->line > 1 ? mem_printf(ctx, "read %s from line %lld", args->path, (long long)args->line)
                          : mem_printf(ctx, "read %s", args->path);
}

static const struct json_bind read_fields[] = {
    BIND(read_args, path, BIND_STR, true, 0, 4096),
    BIND(read_args, line, BIND_INT, false, 1, INT32_MAX),
    BIND(read_args, lines, BIND_INT, false, 1, LINES_MOST),
};
const struct agent_tool tool_read = {
    .face = {"read",
             "Shows lines of a text file with their numbers. The number and the tab before a line are not part of it.",
             "{\"type\":\"object\",\"properties\":{"
             "\"path\":{\"type\":\"string\",\"description\":\"Path of the file, relative to /workspace\"},"
             "\"line\":{\"type\":\"integer\",\"minimum\":1,\"description\":\"First line to show, 1 when absent\"},"
             "\"lines\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":5000,"
             "\"description\":\"How many lines, 400 when absent\"}},"
             "\"required\":[\"path\"]}"},
    .fields = read_fields,
    .field_count = sizeof read_fields / sizeof read_fields[0],
    .args_size = sizeof(struct read_args),
    .summary = read_summary,
    .run = read_run,
};
