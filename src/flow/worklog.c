/* Writing a log: events and outputs become lines (worklog.h). In <task>/log stand `text`, `index` (an offset for every
 * 64th line), `sections`, and `state`, which is replaced after the others have grown: what it does not count is cut off
 * at the next opening. */
#include "flow/worklog.h"
#include "base/clock.h"
#include "os/path.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define STEP        64
#define MAGIC       "NMLOG03"
#define PAGE_EVENTS 200
#define FLUSH_BYTES (1u << 20)
#define PIECE_BYTES (256u << 10)  /* of an output, read at a time */
#define OUTPUT_MOST (64ll << 20)  /* of one output */
#define TEXT_MOST   (512ll << 20) /* of one log */
#define LOCKS       64
#define OPEN_CALLS  8  /* of tools, that are told when they have ended */
#define OPEN_CHECKS 64 /* whose verdict is awaited */

struct state { /* as in its file */
    char magic[8];
    int64_t lines, bytes, sections, event;
    int64_t iteration;
    int64_t follow_at;   /* how much of it is in the log */
    char follow[256];    /* an output that is still written, in the task's folder; "": none */
    int64_t follow_line; /* the step that writes it */
    struct {
        int64_t turn, call, time_ns;
    } calls[OPEN_CALLS]; /* a ring: began, by their numbers */
    struct {
        int64_t line;
        uint64_t name;
    } checks[OPEN_CHECKS]; /* began in this iteration, and their steps */
    int64_t call_n, check_n;
};

struct writing {
    mem *ctx;
    const struct board *board;
    const char *task_id, *task_dir;
    int dir, root; /* <task>/log, <task> */
    int text_fd, index_fd, section_fd;
    struct state s;
    struct buf text, index, sections;
    const struct event *e; /* the one that is put in */
    struct json data;
    mem *tmp; /* of the event */
    enum rc rc;
    struct err err;
};

static pthread_mutex_t locks[LOCKS];
static pthread_once_t locks_once = PTHREAD_ONCE_INIT;

static void locks_init(void)
{
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_init(&locks[i], NULL);
}

static pthread_mutex_t *lock_of(const char *task_id)
{
    unsigned h = 5381;
    pthread_once(&locks_once, locks_init);
    for (const char *p = task_id; *p; p++)
        h = h * 33 + (unsigned char)*p;
    return &locks[h % LOCKS];
}

/* ---- files ---- */

static bool write_all(int fd, struct buf *b, int64_t at)
{
    for (size_t done = 0; done < b->n;) {
        ssize_t n = pwrite(fd, b->p + done, b->n - done, (off_t)at + (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    buf_clear(b);
    return true;
}

/* s.bytes and s.lines count what is in the buffers too. */
static void flush(struct writing *w)
{
    int64_t entries = (w->s.lines + STEP - 1) / STEP;
    if (w->rc != RC_OK)
        return;
    if (!write_all(w->text_fd, &w->text, w->s.bytes - (int64_t)w->text.n) ||
        !write_all(w->index_fd, &w->index, entries * 8 - (int64_t)w->index.n) ||
        !write_all(w->section_fd, &w->sections,
                   w->s.sections * (int64_t)sizeof(struct worklog_section) - (int64_t)w->sections.n))
        w->rc = err_sys(&w->err, errno, "could not write the log of task %s", w->task_id);
}

static void state_save(struct writing *w)
{
    flush(w);
    if (w->rc != RC_OK)
        return;
    int fd = openat(w->dir, "state.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    ssize_t n = fd < 0 ? -1 : write(fd, &w->s, sizeof w->s);
    if (fd >= 0)
        close(fd);
    if (n != (ssize_t)sizeof w->s || renameat(w->dir, "state.new", w->dir, "state") < 0)
        w->rc = err_sys(&w->err, errno, "could not write the log of task %s", w->task_id);
}

static int64_t size_of(int fd)
{
    struct stat st;
    return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? (int64_t)st.st_size : -1;
}

static bool cut_to(int fd, int64_t size)
{
    int64_t have = size_of(fd);
    return have >= size && (have == size || ftruncate(fd, (off_t)size) == 0);
}

static bool state_read(struct writing *w)
{
    CLEANUP_FD int fd = openat(w->dir, "state", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char last = 0;
    struct state *s = &w->s;
    if (fd < 0 || read(fd, s, sizeof *s) != (ssize_t)sizeof *s || memcmp(s->magic, MAGIC, sizeof s->magic) != 0 ||
        s->lines < 0 || s->bytes < s->lines || s->sections < 0 || memchr(s->follow, 0, sizeof s->follow) == NULL)
        return false;
    if (!cut_to(w->text_fd, s->bytes) || !cut_to(w->index_fd, (s->lines + STEP - 1) / STEP * 8) ||
        !cut_to(w->section_fd, s->sections * (int64_t)sizeof(struct worklog_section)))
        return false;
    return s->bytes == 0 || (pread(w->text_fd, &last, 1, (off_t)s->bytes - 1) == 1 && last == '\n');
}

static void files_close(struct writing *w)
{
    int *const fds[] = {&w->text_fd, &w->index_fd, &w->section_fd, &w->dir, &w->root};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

static bool files_open(struct writing *w, bool anew)
{
    static const char *const names[] = {"text", "index", "sections"};
    int *const fds[] = {&w->text_fd, &w->index_fd, &w->section_fd};
    for (size_t i = 0; i < 3; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        if (anew) /* not cut short: somebody may be looking at it */
            unlinkat(w->dir, names[i], 0);
        *fds[i] = openat(w->dir, names[i], O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (*fds[i] < 0)
            return false;
    }
    return true;
}

static enum rc writing_begin(struct writing *w, struct err *err)
{
    struct stat st;
    w->dir = w->root = w->text_fd = w->index_fd = w->section_fd = -1;
    if (stat(w->task_dir, &st) < 0)
        return err_set(err, RC_NOT_FOUND, "the folder of task %s is gone", w->task_id);
    enum rc rc = path_mkdirs(mem_printf(w->ctx, "%s/log", w->task_dir), 0700, err);
    if (rc == RC_OK)
        rc = path_open_root(w->task_dir, &w->root, err);
    if (rc != RC_OK)
        return rc;
    w->dir = openat(w->root, "log", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (w->dir < 0 || !files_open(w, false))
        return err_sys(err, errno, "could not open the log of task %s", w->task_id);
    if (state_read(w))
        return RC_OK;
    memset(&w->s, 0, sizeof w->s);
    memcpy(w->s.magic, MAGIC, sizeof w->s.magic);
    return files_open(w, true) ? RC_OK : err_sys(err, errno, "could not write the log of task %s", w->task_id);
}

/* ---- lines ---- */

static void line_add_long(struct writing *w, struct str raw, size_t more)
{
    size_t before = w->text.n;
    if (w->s.lines % STEP == 0)
        buf_add(&w->index, &(uint64_t){(uint64_t)w->s.bytes}, 8);
    worklog_clean(&w->text, raw, more);
    w->s.bytes += (int64_t)(w->text.n - before);
    w->s.lines++;
    if (w->text.n > FLUSH_BYTES)
        flush(w);
}

static void line_add(struct writing *w, struct str raw)
{
    line_add_long(w, raw, 0);
}

static void text_add(struct writing *w, struct str text)
{
    struct str line;
    while (str_line(&text, &line))
        line_add(w, line);
}

static void cut_add(struct writing *w, int64_t bytes, const char *where)
{
    size_t before = w->text.n;
    if (w->s.lines % STEP == 0)
        buf_add(&w->index, &(uint64_t){(uint64_t)w->s.bytes}, 8);
    buf_printf(&w->text, "%c[%lld bytes are left out%s%s]\n", WORKLOG_CUT, (long long)bytes, *where ? "; " : "", where);
    w->s.bytes += (int64_t)(w->text.n - before);
    w->s.lines++;
}

/* A section and its first line. as: what else is known of it. */
static void section_as(struct writing *w, enum worklog_kind kind, bool failed, const char *words,
                       struct worklog_section as)
{
    struct str rest = str_of(words), first = rest;
    as.line = w->s.lines + 1;
    as.event = w->e->number;
    as.time_ns = w->e->time_ns;
    as.iteration = (int32_t)w->s.iteration;
    as.kind = (uint8_t)kind;
    as.failed = failed;
    buf_add(&w->sections, &as, sizeof as);
    w->s.sections++;
    if (!str_line(&rest, &first))
        first = STR("");
    line_add(w, first);
    text_add(w, rest);
}

static void section(struct writing *w, enum worklog_kind kind, bool failed, const char *words)
{
    section_as(w, kind, failed, words, (struct worklog_section){.took_ms = -1, .exit_code = WORKLOG_NO_CODE});
}

/* A step whose end is told later. Returns its line. */
static int64_t step_begin(struct writing *w, enum worklog_kind kind, const char *words)
{
    int64_t line = w->s.lines + 1;
    section_as(w, kind, false, words, (struct worklog_section){.step = 1, .took_ms = -1, .exit_code = WORKLOG_NO_CODE});
    return line;
}

static int32_t code_read(struct json code)
{
    int64_t n = json_int(code, WORKLOG_NO_CODE);
    return json_is(code) && n > INT32_MIN && n <= INT32_MAX ? (int32_t)n : WORKLOG_NO_CODE;
}

static const char *member(struct writing *w, const char *name)
{
    struct json v = json_get(w->data, name);
    return json_type(v) == JSON_STRING ? str_utf8_clean(w->tmp, json_str(w->tmp, v)) : "";
}

static int64_t number(struct writing *w, const char *name)
{
    return json_int(json_get(w->data, name), 0);
}

/* ---- outputs ---- */

/* The part of a path below the task's folder, or NULL. */
static const char *path_below(struct writing *w, const char *path)
{
    const char *mark = mem_printf(w->tmp, "/tasks/%s/", w->task_id), *at = strstr(path, mark);
    at = at ? at + strlen(mark) : NULL;
    return at && strlen(at) < sizeof w->s.follow && !strstr(at, "..") ? at : NULL;
}

/* A line that is longer than a piece, which holds its beginning; false: it has no end yet. */
static bool long_line_add(struct writing *w, int fd, struct str piece, int64_t end, bool ended)
{
    CLEANUP_MEM mem *tmp = mem_root();
    char *further = mem_zalloc(tmp, PIECE_BYTES);
    int64_t at = w->s.follow_at + (int64_t)piece.n;
    const char *lf = NULL;
    while (!lf && at < end) {
        size_t want = (size_t)(end - at) < PIECE_BYTES ? (size_t)(end - at) : PIECE_BYTES;
        ssize_t n = pread(fd, further, want, (off_t)at);
        if (n <= 0)
            break;
        lf = memchr(further, '\n', (size_t)n);
        at += lf ? lf - further : n;
    }
    if (!lf && !ended)
        return false;
    line_add_long(w, piece, (size_t)(at - w->s.follow_at) - piece.n);
    w->s.follow_at = at + (lf != NULL);
    return true;
}

/* Adds what an output has beyond follow_at: whole lines, or all of it when it has ended. */
static void follow_more(struct writing *w, bool ended)
{
    struct stat st;
    CLEANUP_FD int fd = -1;
    if (!*w->s.follow || path_open_file(w->root, w->s.follow, true, &fd, &st, NULL) != RC_OK)
        return;
    char *piece = mem_zalloc(w->tmp, PIECE_BYTES);
    int64_t most = OUTPUT_MOST < TEXT_MOST - w->s.bytes ? OUTPUT_MOST : TEXT_MOST - w->s.bytes;
    int64_t end = st.st_size < most ? st.st_size : most;
    while (w->s.follow_at < end && w->rc == RC_OK) {
        size_t want = (size_t)(end - w->s.follow_at) < PIECE_BYTES ? (size_t)(end - w->s.follow_at) : PIECE_BYTES;
        ssize_t n = pread(fd, piece, want, (off_t)w->s.follow_at);
        if (n <= 0)
            break;
        const char *lf = memrchr(piece, '\n', (size_t)n);
        if (!lf && n == PIECE_BYTES) {
            if (!long_line_add(w, fd, str_n(piece, (size_t)n), end, ended))
                break;
            continue;
        }
        if (!lf && !ended)
            break; /* a line that has no end yet */
        size_t take = lf ? (size_t)(lf + 1 - piece) : (size_t)n;
        text_add(w, str_n(piece, take));
        w->s.follow_at += (int64_t)take;
    }
    if (ended && st.st_size > w->s.follow_at)
        cut_add(w, st.st_size - w->s.follow_at, mem_printf(w->tmp, "the whole is in %s", w->s.follow));
}

static void follow_begin(struct writing *w, const char *below)
{
    snprintf(w->s.follow, sizeof w->s.follow, "%s", below);
    w->s.follow_at = 0;
}

static void follow_end(struct writing *w)
{
    follow_more(w, true);
    *w->s.follow = 0;
    w->s.follow_at = 0;
}

/* Where the built-in agent keeps the whole output of a command (agent/tool.c); NULL: it is none. */
static const char *tool_output(struct writing *w)
{
    if (strcmp(member(w, "name"), "run") != 0 || number(w, "turn") < 1 || number(w, "call") < 0)
        return NULL;
    return mem_printf(w->tmp, "out/i%lld.t%lld.c%lld.run.txt", (long long)w->s.iteration, (long long)number(w, "turn"),
                      (long long)number(w, "call"));
}

static bool there(struct writing *w, const char *below)
{
    struct stat st;
    CLEANUP_FD int fd = -1;
    return below && path_open_file(w->root, below, true, &fd, &st, NULL) == RC_OK;
}

/* ---- one function an event ---- */

static void on_created(struct writing *w)
{
    section(w, WORKLOG_TASK, false, mem_printf(w->tmp, "Task: %s", member(w, "text")));
}

static void on_state(struct writing *w)
{
    const char *state = member(w, "state"), *words = member(w, "words");
    section(w, WORKLOG_TASK, strcmp(state, "failed") == 0,
            mem_printf(w->tmp, "state: %s%s%s", state, *words ? ": " : "", words));
}

static void on_iteration(struct writing *w)
{
    int64_t limit = number(w, "limit");
    w->s.iteration = number(w, "iteration");
    section(w, WORKLOG_TASK, false,
            limit > 0 ? mem_printf(w->tmp, "Iteration %lld of %lld", (long long)w->s.iteration, (long long)limit)
                      : mem_printf(w->tmp, "Iteration %lld", (long long)w->s.iteration));
}

static void on_iteration_end(struct writing *w)
{
    const char *outcome = member(w, "outcome"), *words = member(w, "words");
    bool good = strcmp(outcome, "proven") == 0 || strcmp(outcome, "unproven") == 0;
    section(
        w, WORKLOG_TASK, !good,
        mem_printf(w->tmp, "Iteration %lld: %s%s%s", (long long)w->s.iteration, outcome, *words ? ", " : "", words));
}

static void on_text(struct writing *w)
{
    bool failed = strcmp(w->e->type, "agent.error") == 0;
    section(w, WORKLOG_AGENT, failed, member(w, "text"));
}

/* "name: summary"; a summary that begins with the name says it once. */
static const char *call_title(struct writing *w)
{
    const char *name = member(w, "name"), *summary = member(w, "summary");
    size_t n = strlen(name);
    if (n && strncmp(summary, name, n) == 0 && (summary[n] == ' ' || !summary[n]))
        summary += summary[n] ? n + 1 : n;
    return mem_printf(w->tmp, "%s%s%s", name, *summary ? ": " : "", summary);
}

static void call_begin(struct writing *w)
{
    size_t at = (size_t)(w->s.call_n++ % OPEN_CALLS);
    w->s.calls[at].turn = number(w, "turn");
    w->s.calls[at].call = number(w, "call");
    w->s.calls[at].time_ns = w->e->time_ns;
}

/* How long ago this call of a tool began, in milliseconds; -1: nobody said. */
static int64_t call_took(struct writing *w)
{
    int64_t turn = number(w, "turn"), call = number(w, "call");
    for (int64_t i = w->s.call_n - 1; i >= 0 && i >= w->s.call_n - OPEN_CALLS; i--) {
        size_t at = (size_t)(i % OPEN_CALLS);
        if (w->s.calls[at].turn == turn && w->s.calls[at].call == call && w->s.calls[at].time_ns <= w->e->time_ns)
            return (w->e->time_ns - w->s.calls[at].time_ns) / 1000000;
    }
    return -1;
}

static void on_tool_started(struct writing *w)
{
    const char *output = tool_output(w);
    call_begin(w);
    if (!output)
        return; /* it is told when it has ended */
    follow_end(w);
    w->s.follow_line = step_begin(w, WORKLOG_TOOL, call_title(w));
    follow_begin(w, output);
}

static void on_tool(struct writing *w)
{
    const char *output = tool_output(w);
    struct json code = json_get(w->data, "exit_code");
    bool failed = json_bool(json_get(w->data, "is_error"), false) || json_int(code, 0) != 0;
    bool begun = output && strcmp(output, w->s.follow) == 0, kept = there(w, output);
    struct worklog_section end = {.ends = w->s.follow_line, .took_ms = call_took(w), .exit_code = code_read(code)};
    if (!begun) {
        struct worklog_section whole = {.step = 1, .ended = 1, .took_ms = end.took_ms, .exit_code = end.exit_code};
        follow_end(w);
        end.ends = w->s.lines + 1;
        section_as(w, WORKLOG_TOOL, failed, call_title(w), whole);
        if (kept)
            follow_begin(w, output);
    }
    if (kept) {
        follow_end(w);
    } else {
        *w->s.follow = 0;
        text_add(w, str_of(member(w, "result")));
    }
    if (begun || (kept && json_is(code)))
        section_as(w, WORKLOG_TOOL, failed,
                   json_is(code) ? mem_printf(w->tmp, "exit code %lld", (long long)json_int(code, 0)) : "no exit code",
                   end);
}

/* A check's runs are told by the verdict: which step is which is known by name and kind. */
static uint64_t check_name(const char *check, const char *kind)
{
    uint64_t h = 1469598103934665603u; /* FNV-1a */
    for (const char *p = check; *p; p++)
        h = (h ^ (unsigned char)*p) * 1099511628211u;
    h *= 1099511628211u;
    for (const char *p = kind; *p; p++)
        h = (h ^ (unsigned char)*p) * 1099511628211u;
    return h;
}

static int64_t check_line_take(struct writing *w, uint64_t name)
{
    for (size_t i = 0; i < OPEN_CHECKS; i++) {
        int64_t line = w->s.checks[i].line;
        if (!line || w->s.checks[i].name != name)
            continue;
        w->s.checks[i].line = 0;
        return line;
    }
    return 0;
}

static void on_check(struct writing *w)
{
    const char *below = path_below(w, member(w, "log"));
    size_t at = (size_t)(w->s.check_n++ % OPEN_CHECKS);
    follow_end(w);
    w->s.checks[at].name = check_name(member(w, "check"), member(w, "kind"));
    w->s.checks[at].line =
        step_begin(w, WORKLOG_CHECK, mem_printf(w->tmp, "check %s (%s)", member(w, "check"), member(w, "kind")));
    if (below && strncmp(below, "verify/", 7) == 0)
        follow_begin(w, below);
}

/* Some runs prove something by failing, and how the base does is only compared with (verify.h). */
static bool run_failed(const char *kind, int64_t code)
{
    if (strcmp(kind, "base") == 0)
        return false;
    bool must_fail = strcmp(kind, "red") == 0 || strstr(kind, "canary");
    return (code != 0) != must_fail;
}

/* Ends of the runs, and the outputs that are not in the log yet. */
static void on_verdict(struct writing *w)
{
    struct json verdict = json_get(w->data, "verdict");
    bool followed = *w->s.follow && there(w, w->s.follow);
    follow_end(w);
    for (struct json_iter it = json_iter(json_get(verdict, "runs")); json_next(&it);) {
        const char *check = json_z(w->tmp, json_get(it.value, "check"), ""),
                   *kind = json_z(w->tmp, json_get(it.value, "kind"), "");
        int64_t code = json_int(json_get(it.value, "exit_code"), 0);
        bool late = json_bool(json_get(it.value, "timed_out"), false);
        struct str tail = json_str(w->tmp, json_get(it.value, "tail"));
        struct worklog_section as = {.ends = check_line_take(w, check_name(check, kind)),
                                     .took_ms = json_int(json_get(it.value, "elapsed_ns"), -1000000) / 1000000,
                                     .exit_code = late ? WORKLOG_NO_CODE : code_read(json_get(it.value, "exit_code")),
                                     .step = !followed && tail.n};
        as.ended = as.step;
        section_as(w, WORKLOG_CHECK, late || run_failed(kind, code),
                   mem_printf(w->tmp, "check %s (%s): %s", check, kind,
                              late ? "timed out" : mem_printf(w->tmp, "exit status %lld", (long long)code)),
                   as);
        if (as.step) /* nothing is kept of the whole */
            text_add(w, tail);
    }
    memset(w->s.checks, 0, sizeof w->s.checks);
    section(w, WORKLOG_CHECK, !json_eqz(json_get(verdict, "outcome"), "proven"),
            mem_printf(w->tmp, "verdict: %s%s%s", json_z(w->tmp, json_get(verdict, "outcome"), ""),
                       *json_z(w->tmp, json_get(verdict, "words"), "") ? ", " : "",
                       json_z(w->tmp, json_get(verdict, "words"), "")));
}

static void on_setup(struct writing *w)
{
    int64_t code = number(w, "exit_code");
    section_as(w, WORKLOG_SETUP, code != 0,
               mem_printf(w->tmp, "setup: %s (exit status %lld)", member(w, "command"), (long long)code),
               (struct worklog_section){.step = 1,
                                        .ended = 1,
                                        .took_ms = json_int(json_get(w->data, "ms"), -1),
                                        .exit_code = code_read(json_get(w->data, "exit_code"))});
    text_add(w, str_of(member(w, "output")));
}

static void on_words(struct writing *w)
{
    static const char *const names[] = {"words", "text", "summary", "subject", "outcome", "host"};
    const char *words = "";
    for (size_t i = 0; i < sizeof names / sizeof *names && !*words; i++)
        words = member(w, names[i]);
    section(w, strncmp(w->e->type, "agent.", 6) == 0 ? WORKLOG_AGENT : WORKLOG_SYSTEM, false,
            mem_printf(w->tmp, "%s%s%s", w->e->type, *words ? ": " : "", words));
}

static void on_nothing(struct writing *w)
{
    (void)w;
}

/* By the beginning of a type; the first that fits. */
static const struct {
    const char *type;
    void (*put)(struct writing *w);
} kinds[] = {
    {"task.created", on_created},
    {"task.state", on_state},
    {"iteration.started", on_iteration},
    {"iteration.finished", on_iteration_end},
    {"iteration.committed", on_nothing},
    {"agent.text", on_text},
    {"agent.note", on_text},
    {"agent.warning", on_text},
    {"agent.error", on_text},
    {"tool.started", on_tool_started},
    {"tool.finished", on_tool},
    {"check.started", on_check},
    {"verdict", on_verdict},
    {"setup.finished", on_setup},
    {"setup.started", on_nothing},
    {"model.usage", on_nothing},
    {"agent.session", on_nothing},
    {"", on_words},
};

static void event_put(struct writing *w, const struct event *e)
{
    CLEANUP_MEM mem *tmp = mem_root();
    size_t i = 0;
    w->tmp = tmp;
    w->e = e;
    if (json_parse(tmp, str_of(e->data), &w->data, NULL) != RC_OK)
        w->data = (struct json){0};
    while (strncmp(e->type, kinds[i].type, strlen(kinds[i].type)) != 0)
        i++;
    kinds[i].put(w);
    w->s.event = e->number;
    w->tmp = NULL;
}

/* ---- the whole ---- */

/* False: there is more than the time allowed. */
static bool bring_up(struct writing *w, int64_t until_ms)
{
    for (;;) {
        CLEANUP_MEM mem *page = mem_root();
        struct event *events;
        size_t n;
        w->rc = event_list(page, w->board->store, w->task_id, w->s.event, PAGE_EVENTS, &events, &n, &w->err);
        for (size_t i = 0; w->rc == RC_OK && i < n; i++) {
            event_put(w, &events[i]);
            if (clock_mono_ms() > until_ms && (i + 1 < n || n == PAGE_EVENTS))
                return false;
        }
        if (w->rc != RC_OK || n < PAGE_EVENTS)
            break;
    }
    CLEANUP_MEM mem *tmp = mem_root();
    w->tmp = tmp;
    follow_more(w, false);
    w->tmp = NULL;
    return true;
}

static void *map_of(int fd, size_t size)
{
    void *p = size ? mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0) : NULL;
    return p == MAP_FAILED ? NULL : p;
}

static enum rc view_open(const struct writing *w, struct worklog *ret, struct err *err)
{
    const int fds[] = {w->text_fd, w->index_fd, w->section_fd};
    ret->sizes[0] = (size_t)w->s.bytes;
    ret->sizes[1] = (size_t)((w->s.lines + STEP - 1) / STEP * 8);
    ret->sizes[2] = (size_t)w->s.sections * sizeof(struct worklog_section);
    for (size_t i = 0; i < 3; i++) {
        ret->maps[i] = map_of(fds[i], ret->sizes[i]);
        if (ret->sizes[i] && !ret->maps[i])
            return err_sys(err, errno, "could not read the log of task %s", w->task_id);
    }
    ret->text = str_n(ret->maps[0] ? ret->maps[0] : "", ret->sizes[0]);
    ret->index = ret->maps[1];
    ret->sections = ret->maps[2];
    ret->section_n = (size_t)w->s.sections;
    ret->lines = w->s.lines;
    ret->event = w->s.event;
    return RC_OK;
}

enum rc worklog_open(mem *ctx, const struct board *b, const char *task_id, int most_ms, struct worklog *ret,
                     struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct writing w = {
        .ctx = tmp, .board = b, .task_id = task_id, .task_dir = mem_printf(ctx, "%s/tasks/%s", b->data_dir, task_id)};
    *ret = (struct worklog){.task_dir = w.task_dir};
    buf_init(&w.text, tmp, SIZE_MAX);
    buf_init(&w.index, tmp, SIZE_MAX);
    buf_init(&w.sections, tmp, SIZE_MAX);
    pthread_mutex_t *lock = lock_of(task_id);
    pthread_mutex_lock(lock);
    enum rc rc = writing_begin(&w, err);
    if (rc == RC_OK) {
        struct state before = w.s;
        ret->complete = bring_up(&w, clock_mono_ms() + most_ms);
        if (memcmp(&before, &w.s, sizeof before) != 0)
            state_save(&w);
        rc = w.rc;
        if (rc != RC_OK && err)
            *err = w.err;
    }
    if (rc == RC_OK)
        rc = view_open(&w, ret, err);
    files_close(&w);
    pthread_mutex_unlock(lock);
    if (rc != RC_OK)
        worklog_close(ret);
    return rc;
}
