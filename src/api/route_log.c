/* The log of a task: windows by line number, sections, steps, search, the whole as a file. Lines are data: what control
 * bytes programs wrote was taken out when they were added (flow/worklog.h), and whoever shows them escapes for the
 * target. */
#include "api/download.h"
#include "api/route_rows.h"
#include "base/clock.h"
#include "flow/worklog.h"

#define LINES_USUAL   200
#define LINES_MOST    5000
#define MATCHES_USUAL 100
#define MATCHES_MOST  1000
#define OPEN_MS       400  /* for a window: what is not in the log yet comes with the next one */
#define SEARCH_MS     8000 /* for what needs all of it */
#define MATCH_BYTES   400  /* of a line that is found */

/* ---- pieces ---- */

static enum rc number_read(struct route_call *c, const char *name, int64_t standard, int64_t least, int64_t most,
                           int64_t *ret)
{
    const char *text = route_query(c, name);
    *ret = standard;
    if (!text || str_int(str_of(text), least, most, ret))
        return RC_OK;
    return err_set(&c->err, RC_INVALID, "%s is a whole number from %lld to %lld", name, (long long)least,
                   (long long)most);
}

/* The line without its mark; *ret_cut: bytes that are left out, -1: none. */
static struct str line_text(struct str line, int64_t *ret_cut)
{
    const char *mark = memchr(line.p, WORKLOG_CUT, line.n);
    *ret_cut = -1;
    if (!mark)
        return line;
    struct str rest = str_n(mark + 1, line.n - (size_t)(mark + 1 - line.p));
    struct str digits = str_sub(rest, 1, 0);
    while (digits.n + 1 < rest.n && digits.p[digits.n] >= '0' && digits.p[digits.n] <= '9')
        digits.n++;
    if (!str_int(digits, 0, INT64_MAX, ret_cut))
        *ret_cut = 0;
    return mark == line.p ? rest : str_n(line.p, (size_t)(mark - line.p));
}

static const char *section_title(struct route_call *c, const struct worklog *w, const struct worklog_section *s)
{
    int64_t cut;
    struct str text = line_text(worklog_line(w, s->line), &cut);
    return str_dup(c->ctx, str_sub(text, 0, str_utf8_cut(text, 200)));
}

static void section_json(struct route_call *c, const struct worklog *w, size_t i)
{
    const struct worklog_section *s = &w->sections[i];
    int64_t end = i + 1 < w->section_n ? w->sections[i + 1].line : w->lines + 1;
    jo_obj(&c->out);
    jo_ki(&c->out, "line", s->line);
    jo_ki(&c->out, "lines", end - s->line);
    jo_kz(&c->out, "time", clock_rfc3339(c->ctx, s->time_ns));
    jo_ki(&c->out, "event", s->event);
    jo_ki(&c->out, "iteration", s->iteration);
    jo_kz(&c->out, "kind", worklog_kind_name(s->kind));
    jo_kb(&c->out, "failed", s->failed);
    jo_kz(&c->out, "title", section_title(c, w, s));
    jo_end_obj(&c->out);
}

/* An iteration's lines, or all of them. */
static enum rc range_read(struct route_call *c, const struct worklog *w, int64_t *ret_iteration, int64_t *ret_first,
                          int64_t *ret_last)
{
    *ret_first = 1;
    *ret_last = w->lines;
    enum rc rc = number_read(c, "iteration", 0, 0, 1000000, ret_iteration);
    if (rc == RC_OK && *ret_iteration > 0 && !worklog_iteration(w, *ret_iteration, ret_first, ret_last))
        return err_set(&c->err, RC_NOT_FOUND, "iteration %lld has nothing in the log", (long long)*ret_iteration);
    return rc;
}

static void head_json(struct route_call *c, const struct worklog *w, int64_t iteration, int64_t first, int64_t last)
{
    jo_ki(&c->out, "total", w->lines);
    jo_kb(&c->out, "complete", w->complete);
    jo_key(&c->out, "iteration_range");
    if (!iteration) {
        jo_null(&c->out);
        return;
    }
    jo_obj(&c->out);
    jo_ki(&c->out, "from", first);
    jo_ki(&c->out, "to", last);
    jo_end_obj(&c->out);
}

/* ---- a window ---- */

static void lines_json(struct route_call *c, const struct worklog *w, int64_t from, int64_t end)
{
    size_t at = worklog_section_at(w, from), offset = worklog_offset(w, from);
    jo_key(&c->out, "lines");
    jo_arr(&c->out);
    for (int64_t n = from; n < end; n++) {
        const char *lf = memchr(w->text.p + offset, '\n', w->text.n - offset);
        struct str line = str_n(w->text.p + offset, lf ? (size_t)(lf - w->text.p) - offset : w->text.n - offset);
        int64_t cut;
        struct str text = line_text(line, &cut);
        while (at + 1 < w->section_n && w->sections[at + 1].line <= n)
            at++;
        jo_obj(&c->out);
        jo_ki(&c->out, "n", n);
        jo_ks(&c->out, "text", text);
        jo_ki(&c->out, "iteration", at < w->section_n ? w->sections[at].iteration : 0);
        jo_kz(&c->out, "kind", worklog_kind_name(at < w->section_n ? w->sections[at].kind : WORKLOG_SYSTEM));
        if (cut >= 0)
            jo_ki(&c->out, "cut", cut);
        jo_end_obj(&c->out);
        offset += line.n + 1;
    }
    jo_end_arr(&c->out);
}

static enum rc window_json(struct route_call *c, const struct worklog *w)
{
    int64_t from, count, iteration, first, last;
    enum rc rc = range_read(c, w, &iteration, &first, &last);
    if (rc == RC_OK)
        rc = number_read(c, "from", first, -INT64_MAX, INT64_MAX, &from);
    if (rc == RC_OK)
        rc = number_read(c, "count", LINES_USUAL, 0, LINES_MOST, &count);
    if (rc != RC_OK)
        return rc;
    if (from < 0)
        from = last + 1 + (from < -last ? -last : from);
    if (from < first)
        from = first;
    int64_t end = from > last ? from : last + 1 - from < count ? last + 1 : from + count;
    jo_obj(&c->out);
    head_json(c, w, iteration, first, last);
    jo_ki(&c->out, "from", from);
    lines_json(c, w, from, end);
    jo_key(&c->out, "sections");
    jo_arr(&c->out);
    for (size_t i = worklog_section_at(w, from); i < w->section_n && w->sections[i].line < end; i++)
        section_json(c, w, i);
    jo_end_arr(&c->out);
    jo_end_obj(&c->out);
    return RC_OK;
}

static enum rc with_log(struct route_call *c, int most_ms,
                        enum rc (*show)(struct route_call *c, const struct worklog *w))
{
    struct worklog w;
    enum rc rc = worklog_open(c->ctx, &c->server->board, c->param, most_ms, &w, &c->err);
    if (rc != RC_OK)
        return rc;
    rc = show(c, &w);
    worklog_close(&w);
    if (rc == RC_OK && c->out_buf.overflow)
        rc = err_set(&c->err, RC_LIMIT, "these lines are too long for one answer; ask for fewer");
    return rc;
}

static enum rc task_there(struct route_call *c)
{
    struct task t;
    return task_find(c->ctx, c->server->store, c->param, &t, &c->err);
}

static enum rc task_log(struct route_call *c)
{
    enum rc rc = task_there(c);
    return rc == RC_OK ? with_log(c, OPEN_MS, window_json) : rc;
}

/* ---- sections ---- */

static enum rc sections_json(struct route_call *c, const struct worklog *w)
{
    int64_t from, count;
    enum rc rc = number_read(c, "from", 0, 0, INT64_MAX, &from);
    if (rc == RC_OK)
        rc = number_read(c, "count", 1000, 0, LINES_MOST, &count);
    if (rc != RC_OK)
        return rc;
    int64_t event;
    rc = number_read(c, "event", 0, 0, INT64_MAX, &event);
    if (rc != RC_OK)
        return rc;
    const char *failed = route_query(c, "failed");
    bool only = failed && strcmp(failed, "1") == 0;
    size_t i = from < (int64_t)w->section_n ? (size_t)from : w->section_n;
    if (event) {
        i = worklog_section_of(w, event);
        i = i < w->section_n ? i : 0; /* before all of them: the first */
    }
    jo_obj(&c->out);
    jo_ki(&c->out, "total", (int64_t)w->section_n);
    jo_ki(&c->out, "lines_total", w->lines);
    jo_kb(&c->out, "complete", w->complete);
    jo_key(&c->out, "sections");
    jo_arr(&c->out);
    for (int64_t n = 0; i < w->section_n && n < count; i++) {
        if (only && !w->sections[i].failed)
            continue;
        section_json(c, w, i);
        n++;
    }
    jo_end_arr(&c->out);
    jo_key(&c->out, "next");
    if (i < w->section_n)
        jo_int(&c->out, (int64_t)i);
    else
        jo_null(&c->out);
    jo_end_obj(&c->out);
    return RC_OK;
}

static enum rc task_log_sections(struct route_call *c)
{
    enum rc rc = task_there(c);
    return rc == RC_OK ? with_log(c, OPEN_MS, sections_json) : rc;
}

/* ---- steps ---- */

static void step_json(struct route_call *c, const struct worklog_step *s)
{
    jo_obj(&c->out);
    jo_ki(&c->out, "line", s->section->line);
    jo_ki(&c->out, "lines", s->lines);
    jo_kz(&c->out, "time", clock_rfc3339(c->ctx, s->section->time_ns));
    jo_ki(&c->out, "event", s->section->event);
    jo_ki(&c->out, "iteration", s->section->iteration);
    jo_kz(&c->out, "kind", worklog_kind_name(s->section->kind));
    jo_kb(&c->out, "ended", s->ended);
    jo_kb(&c->out, "failed", s->failed);
    jo_key(&c->out, "exit_code");
    if (s->exit_code == WORKLOG_NO_CODE)
        jo_null(&c->out);
    else
        jo_int(&c->out, s->exit_code);
    jo_key(&c->out, "ms");
    if (s->took_ms < 0)
        jo_null(&c->out);
    else
        jo_int(&c->out, s->took_ms);
    jo_end_obj(&c->out);
}

static enum rc steps_json(struct route_call *c, const struct worklog *w)
{
    int64_t from, count, iteration, first, last;
    enum rc rc = range_read(c, w, &iteration, &first, &last);
    if (rc == RC_OK)
        rc = number_read(c, "from", 0, 0, INT64_MAX, &from);
    if (rc == RC_OK)
        rc = number_read(c, "count", 1000, 0, LINES_MOST, &count);
    if (rc != RC_OK)
        return rc;
    struct worklog_step *steps;
    size_t n = worklog_steps(c->ctx, w, iteration, &steps);
    size_t i = from < (int64_t)n ? (size_t)from : n, end = n - i < (size_t)count ? n : i + (size_t)count;
    jo_obj(&c->out);
    jo_ki(&c->out, "total", (int64_t)n);
    jo_ki(&c->out, "lines_total", w->lines);
    jo_kb(&c->out, "complete", w->complete);
    jo_key(&c->out, "steps");
    jo_arr(&c->out);
    for (; i < end; i++)
        step_json(c, &steps[i]);
    jo_end_arr(&c->out);
    jo_key(&c->out, "next");
    if (i < n)
        jo_int(&c->out, (int64_t)i);
    else
        jo_null(&c->out);
    jo_end_obj(&c->out);
    return RC_OK;
}

static enum rc task_log_steps(struct route_call *c)
{
    enum rc rc = task_there(c);
    return rc == RC_OK ? with_log(c, OPEN_MS, steps_json) : rc;
}

/* ---- search ---- */

static void match_json(struct route_call *c, const struct worklog *w, size_t at, struct str what)
{
    int64_t n = worklog_line_at(w, at), cut;
    struct str line = worklog_line(w, n), text = line_text(line, &cut);
    size_t start = worklog_offset(w, n), column = at - start, skip = 0;
    if (column > MATCH_BYTES / 2 && text.n > MATCH_BYTES) { /* its surroundings */
        skip = column - MATCH_BYTES / 2;
        while (skip < column && ((unsigned char)text.p[skip] & 0xC0) == 0x80)
            skip++;
    }
    struct str near = str_sub(text, skip, SIZE_MAX);
    near.n = str_utf8_cut(near, MATCH_BYTES + what.n);
    size_t section = worklog_section_at(w, n);
    jo_obj(&c->out);
    jo_ki(&c->out, "line", n);
    jo_ki(&c->out, "column", (int64_t)column);
    jo_ki(&c->out, "skipped", (int64_t)skip);
    jo_ks(&c->out, "text", near);
    jo_ki(&c->out, "iteration", section < w->section_n ? w->sections[section].iteration : 0);
    jo_end_obj(&c->out);
}

/* Not a line's text but the mark behind it, which is shown apart. */
static bool in_mark(const struct worklog *w, size_t at)
{
    while (at > 0 && w->text.p[at - 1] != '\n')
        if (w->text.p[--at] == WORKLOG_CUT)
            return at > 0 && w->text.p[at - 1] != '\n';
    return false;
}

/* All lines that match are counted, those from `from` on are listed. */
static enum rc search_json(struct route_call *c, const struct worklog *w)
{
    const char *q = route_query(c, "q"), *exact = route_query(c, "case");
    int64_t from, limit, iteration, first, last, low, high, total = 0, listed = 0, next = 0;
    enum rc rc = range_read(c, w, &iteration, &first, &last);
    if (rc == RC_OK)
        rc = number_read(c, "first", 1, 1, INT64_MAX, &low);
    if (rc == RC_OK)
        rc = number_read(c, "last", INT64_MAX - 1, 1, INT64_MAX - 1, &high);
    if (rc == RC_OK)
        rc = number_read(c, "from", 1, 1, INT64_MAX, &from);
    if (rc == RC_OK)
        rc = number_read(c, "limit", MATCHES_USUAL, 0, MATCHES_MOST, &limit);
    if (rc != RC_OK)
        return rc;
    first = low > first ? low : first;
    last = high < last ? high : last;
    struct str what = str_of(q);
    bool any_case = !exact || strcmp(exact, "1") != 0;
    size_t end = worklog_offset(w, last + 1), list_from = worklog_offset(w, from);
    jo_obj(&c->out);
    jo_key(&c->out, "matches");
    jo_arr(&c->out);
    for (size_t at = worklog_offset(w, first); (at = worklog_find(w, what, any_case, at, end)) < end;) {
        bool shown = !in_mark(w, at);
        total += shown;
        if (!shown) {
            ;
        } else if (at >= list_from && listed < limit) {
            match_json(c, w, at, what);
            listed++;
        } else if (at >= list_from && !next) {
            next = worklog_line_at(w, at);
        }
        const char *lf = memchr(w->text.p + at, '\n', end - at);
        at = lf ? (size_t)(lf + 1 - w->text.p) : end;
    }
    jo_end_arr(&c->out);
    jo_ki(&c->out, "total", total);
    jo_ki(&c->out, "lines_total", w->lines);
    jo_kb(&c->out, "complete", w->complete);
    jo_key(&c->out, "next");
    if (next)
        jo_int(&c->out, next);
    else
        jo_null(&c->out);
    jo_end_obj(&c->out);
    return RC_OK;
}

static enum rc task_log_search(struct route_call *c)
{
    const char *q = route_query(c, "q");
    enum rc rc = task_there(c);
    if (rc == RC_OK && (!q || !*q || strlen(q) > 500 || strchr(q, '\n')))
        rc = err_set(&c->err, RC_INVALID, "q is what is sought: 1 to 500 bytes of one line");
    return rc == RC_OK ? with_log(c, SEARCH_MS, search_json) : rc;
}

/* ---- the whole ---- */

static enum rc log_file_open(struct route_call *c, struct download *d)
{
    struct worklog w;
    enum rc rc = task_there(c);
    if (rc == RC_OK)
        rc = worklog_open(c->ctx, &c->server->board, c->param, SEARCH_MS, &w, &c->err);
    if (rc != RC_OK)
        return rc;
    d->size = (int64_t)w.text.n;
    d->name = mem_printf(c->ctx, "task-%s.log", c->param);
    d->type = "text/plain; charset=utf-8";
    rc = download_file(d, mem_printf(c->ctx, "%s/log/text", w.task_dir), &c->err);
    worklog_close(&w);
    return rc;
}

static void task_log_raw(struct route_call *c)
{
    download_begin(c, log_file_open);
}

const struct route route_task_log = {"GET",
                                     "/api/v1/tasks/:id/log",
                                     "lines of its log; from below zero counts from the end",
                                     task_log,
                                     .access = ACCESS_READ,
                                     .narrow = NARROW_TASK,
                                     .query = "from count iteration",
                                     .gives = "TaskLog"};
const struct route route_task_log_sections = {"GET",
                                              "/api/v1/tasks/:id/log/sections",
                                              "what its log is made of",
                                              task_log_sections,
                                              .access = ACCESS_READ,
                                              .narrow = NARROW_TASK,
                                              .query = "from count failed event",
                                              .gives = "TaskLogSections"};
const struct route route_task_log_steps = {"GET",
                                           "/api/v1/tasks/:id/log/steps",
                                           "its commands, calls of tools and checks, by their lines",
                                           task_log_steps,
                                           .access = ACCESS_READ,
                                           .narrow = NARROW_TASK,
                                           .query = "from count iteration",
                                           .gives = "TaskLogSteps"};
const struct route route_task_log_search = {"GET",
                                            "/api/v1/tasks/:id/log/search",
                                            "lines of its log that hold a text, and how many there are",
                                            task_log_search,
                                            .access = ACCESS_READ,
                                            .narrow = NARROW_TASK,
                                            .query = "q case from limit iteration first last",
                                            .gives = "TaskLogMatches"};
const struct route route_task_log_raw = {"GET",
                                         "/api/v1/tasks/:id/log/raw",
                                         "its whole log as a file",
                                         NULL,
                                         task_log_raw,
                                         .access = ACCESS_READ,
                                         .narrow = NARROW_TASK,
                                         .gives = "text/plain",
                                         .audited = AUDITED_EACH};
