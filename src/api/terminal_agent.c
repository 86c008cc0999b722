/* What the agent and the checks print, as it comes, for people who watch: headings from the task's events, and between
 * them the bytes of the command or check that runs now, from the file that its output is recorded in.
 *
 * The sanitizer stands between this and every viewer (terminals.c). Not here: the log with its lines and search; this
 * is a look over the shoulder that begins a little before now. */
#include "api/terminals.h"
#include "base/text.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum {
    LOOK_MS = 250,
    EVENTS_BACK = 300, /* shown when somebody begins to look */
    EVENTS_ONCE = 200,
    OUTPUT_ONCE = 256 << 10,
    RESULT_MOST = 4 << 10, /* of what a tool answered, where it has no file */
    TEXT_MOST = 64 << 10,
    ROUND_MOST = 8 << 20,
};

/* Belongs to a look under way, or to the terminal; freed when neither has it. */
struct terminal_agent {
    mem *ctx;
    struct server *server;
    struct terminal *terminal; /* NULL: closed */
    const char *task_id, *task_dir;
    uv_timer_t timer;
    bool looking, timer_closed;
    /* Of the look; the pool's while looking: */
    bool begun;
    int64_t after, iteration;
    char *file; /* whose bytes are shown; NULL: none runs */
    off_t offset;
    bool checking;   /* the newest log of the verifier is the file */
    char commit[13]; /* whose checks run: the verifier's folder is named so */
    mem *round;
    struct buf out;
};

static void output_add(struct terminal_agent *a)
{
    CLEANUP_FD int fd = a->file ? open(a->file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    char *room = fd >= 0 ? buf_reserve(&a->out, OUTPUT_ONCE) : NULL;
    ssize_t n = room ? pread(fd, room, OUTPUT_ONCE, a->offset) : 0;
    if (n <= 0)
        return;
    buf_advance(&a->out, (size_t)n);
    a->offset += n;
}

static void file_end(struct terminal_agent *a)
{
    output_add(a);
    a->file = mem_free(a->file);
    a->offset = 0;
    a->checking = false;
}

/* The verifier names its logs in the order in which it makes them. */
static void check_file_find(struct terminal_agent *a)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *dir = mem_printf(tmp, "%s/verify/%s", a->task_dir, a->commit), *newest = NULL;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        struct str name = str_of(e->d_name);
        if (str_ends(name, STR(".log")) && (!newest || strcmp(e->d_name, newest) > 0))
            newest = mem_str(tmp, e->d_name);
    }
    if (d)
        closedir(d);
    if (!newest || (a->file && str_ends(str_of(a->file), str_of(newest))))
        return;
    output_add(a);
    a->file = mem_printf(a->ctx, "%s/%s", dir, newest);
    a->offset = 0;
}

/* ---- headings ---- */

static void show_text(struct terminal_agent *a, struct json data, const char *member, size_t most)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *text = text_middle(tmp, json_str(tmp, json_get(data, member)), most);
    buf_z(&a->out, text);
    if (*text && text[strlen(text) - 1] != '\n')
        buf_char(&a->out, '\n');
}

static void on_iteration(struct terminal_agent *a, struct json data)
{
    file_end(a);
    a->iteration = json_int(json_get(data, "iteration"), 1);
    buf_printf(&a->out, "\n\x1b[1m== iteration %lld ==\x1b[0m\n", (long long)a->iteration);
}

static void on_text(struct terminal_agent *a, struct json data)
{
    show_text(a, data, "text", TEXT_MOST);
}

static void heading(struct terminal_agent *a, const char *mark, struct json data, const char *member)
{
    CLEANUP_MEM mem *tmp = mem_root();
    buf_printf(&a->out, "\x1b[36m%s %s\x1b[0m\n", mark,
               text_terminal_line(tmp, json_str(tmp, json_get(data, member)), 400));
}

static void on_tool_started(struct terminal_agent *a, struct json data)
{
    file_end(a);
    heading(a, "$", data, "summary");
    a->file =
        mem_printf(a->ctx, "%s/out/i%lld.t%lld.c%lld.run.txt", a->task_dir, (long long)a->iteration,
                   (long long)json_int(json_get(data, "turn"), 0), (long long)json_int(json_get(data, "call"), 0));
    if (!json_eqz(json_get(data, "name"), "run"))
        a->file = mem_free(a->file);
}

static void on_tool_finished(struct terminal_agent *a, struct json data)
{
    bool shown = a->file && access(a->file, F_OK) == 0;
    if (!a->file)
        heading(a, ">", data, "summary");
    file_end(a);
    if (!shown)
        show_text(a, data, "result", RESULT_MOST);
}

static void on_committed(struct terminal_agent *a, struct json data)
{
    CLEANUP_MEM mem *tmp = mem_root();
    snprintf(a->commit, sizeof a->commit, "%s", json_z(tmp, json_get(data, "commit"), ""));
}

static void on_check(struct terminal_agent *a, struct json data)
{
    file_end(a);
    heading(a, "-- check", data, "check");
    a->checking = true;
}

static void on_verdict(struct terminal_agent *a, struct json data)
{
    file_end(a);
    heading(a, "== verdict:", json_get(data, "verdict"), "words");
}

static void on_words(struct terminal_agent *a, struct json data)
{
    file_end(a);
    heading(a, "--", data, "words");
}

static const struct {
    const char *type;
    void (*show)(struct terminal_agent *a, struct json data);
} faces[] = {
    {"iteration.started", on_iteration},
    {"agent.text", on_text},
    {"agent.note", on_text},
    {"agent.error", on_text},
    {"agent.warning", on_text},
    {"tool.started", on_tool_started},
    {"tool.finished", on_tool_finished},
    {"iteration.committed", on_committed},
    {"check.started", on_check},
    {"verdict", on_verdict},
    {"iteration.finished", on_words},
    {"task.state", on_words},
    {"backoff", on_words},
    {"delivered", on_words},
};

static void event_show(struct terminal_agent *a, const struct event *e)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json data;
    for (size_t i = 0; i < sizeof faces / sizeof *faces; i++)
        if (strcmp(faces[i].type, e->type) == 0 && json_parse(tmp, str_of(e->data), &data, NULL) == RC_OK)
            faces[i].show(a, data);
    a->after = e->number;
}

/* ---- looking ---- */

static void look_work(void *arg)
{
    struct terminal_agent *a = arg;
    CLEANUP_MEM mem *tmp = mem_root();
    struct task t;
    struct event *events;
    size_t n = 0;
    if (!a->begun) {
        if (task_find(tmp, a->server->store, a->task_id, &t, NULL) != RC_OK)
            return;
        a->after = t.last_event > EVENTS_BACK ? t.last_event - EVENTS_BACK : 0;
        a->iteration = t.iteration ? t.iteration : 1;
        a->begun = true;
    }
    if (event_list(tmp, a->server->store, a->task_id, a->after, EVENTS_ONCE, &events, &n, NULL) != RC_OK)
        return;
    for (size_t i = 0; i < n; i++)
        event_show(a, &events[i]);
    if (a->checking)
        check_file_find(a);
    output_add(a);
}

static void agent_free(struct terminal_agent *a)
{
    if (!a->terminal && !a->looking && a->timer_closed)
        mem_free(a->ctx);
}

static void look_done(void *arg)
{
    struct terminal_agent *a = arg;
    a->looking = false;
    if (a->terminal && a->out.n)
        terminal_show(a->terminal, buf_view(&a->out));
    mem_free(a->round);
    agent_free(a);
}

static void look(uv_timer_t *timer)
{
    struct terminal_agent *a = timer->data;
    if (a->looking || !a->terminal)
        return;
    a->looking = true;
    a->round = mem_root();
    buf_init(&a->out, a->round, ROUND_MOST);
    loop_offload(&a->server->loop, look_work, look_done, a);
}

struct terminal_agent *terminal_agent_open(struct server *s, struct terminal *t, const char *task_id)
{
    mem *ctx = mem_root();
    struct terminal_agent *a = mem_new(ctx, struct terminal_agent);
    a->ctx = ctx;
    a->server = s;
    a->terminal = t;
    a->task_id = mem_str(ctx, task_id);
    a->task_dir = mem_printf(ctx, "%s/tasks/%s", s->place->data_dir, task_id);
    uv_timer_init(&s->uv, &a->timer);
    a->timer.data = a;
    uv_timer_start(&a->timer, look, 0, LOOK_MS);
    return a;
}

static void timer_closed(uv_handle_t *h)
{
    struct terminal_agent *a = h->data;
    a->timer_closed = true;
    agent_free(a);
}

void terminal_agent_close(struct terminal_agent *a)
{
    if (!a || !a->terminal)
        return;
    a->terminal = NULL;
    uv_close((uv_handle_t *)&a->timer, timer_closed);
}
