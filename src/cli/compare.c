/* Track records side by side: on a terminal a column for each agent, elsewhere a line for each, with tabs and a head
 * line. What is shown is what the daemon counted; nothing is judged here. */
#include "cli/compare.h"
#include "base/clock.h"
#include "base/text.h"
#include "cli/bill.h"
#include <stdlib.h>

enum { NAME_MOST = 40, LABEL_WIDTH = 20, GAP = 2 };

static const char *compare_path(struct cli *cli)
{
    mem *ctx = cli->ctx;
    const struct call *call = &cli->call;
    const char *by = call_value(call, "by"), *project = call_value(call, "project"), *agents = "";
    char *path = mem_printf(ctx, "/api/v1/agents/record?by=%s", by ? by : "agent");
    for (size_t i = 1; call_argument(call, i); i++) {
        const char *name = call_argument(call, i);
        name = strcmp(name, "builtin") == 0 ? "nightmill" : name; /* as the ledger calls it */
        agents = mem_printf(ctx, "%s%s%s", agents, *agents ? "," : "", name);
    }
    if (*agents)
        path = mem_printf(ctx, "%s&agent=%s", path, text_url(ctx, str_of(agents)));
    if (project) { /* a folder is named by its whole path; anything else stays as it is */
        char *whole = realpath(project, NULL);
        path = mem_printf(ctx, "%s&project=%s", path, text_url(ctx, str_of(whole ? whole : project)));
        free(whole);
    }
    if (call_has(call, "assigned"))
        path = mem_printf(ctx, "%s&assigned=1", path);
    int64_t back = call_number(call, "last", 0);
    if (back) {
        int64_t since = clock_wall_ns() / 1000000000 - back;
        path = mem_printf(ctx, "%s&since=%lld", path, (long long)(since > 0 ? since : 0));
    }
    return path;
}

/* ---- figures ---- */

static int64_t figure(struct json r, const char *name)
{
    return json_int(json_get(r, name), 0);
}

static const char *ended_shown(mem *ctx, struct json r, const char *name)
{
    (void)name;
    return mem_printf(ctx, "%s of %s", count_shown(ctx, figure(r, "ended")), count_shown(ctx, figure(r, "runs")));
}

static const char *done_shown(mem *ctx, struct json r, const char *name)
{
    const char *undone =
        figure(r, "undone") ? mem_printf(ctx, ", %s undone", count_shown(ctx, figure(r, "undone"))) : "";
    const char *done = count_shown(ctx, figure(r, name));
    if (!figure(r, "ended"))
        return done;
    return mem_printf(ctx, "%s (%lld%%%s)", done, (long long)(figure(r, "done") * 100 / figure(r, "ended")), undone);
}

static const char *number_shown(mem *ctx, struct json r, const char *name)
{
    return count_shown(ctx, figure(r, name));
}

static const char *median_shown(mem *ctx, struct json r, const char *name)
{
    return figure(r, "ended") ? count_shown(ctx, figure(r, name)) : "-";
}

static const char *time_shown(mem *ctx, struct json r, const char *name)
{
    return figure(r, "ended") ? text_duration(ctx, figure(r, name) / 1000000000) : "-";
}

/* Each currency for itself. */
static const char *cost_shown(mem *ctx, struct json r, const char *name)
{
    const char *all = "";
    for (struct json_iter it = json_iter(json_get(r, "costs")); json_next(&it);) {
        const char *one =
            amount_shown(ctx, json_z(ctx, json_get(it.value, name), NULL), shown_line(ctx, it.value, "currency", 10));
        if (one)
            all = mem_printf(ctx, "%s%s%s", all, *all ? " + " : "", one);
    }
    return *all ? all : "-";
}

static const char *input_shown(mem *ctx, struct json r, const char *name)
{
    (void)name;
    return count_shown(ctx, figure(r, "input") + figure(r, "cache_read") + figure(r, "cache_write"));
}

static const struct {
    const char *label, *name;
    const char *(*shown)(mem *ctx, struct json record, const char *name);
    bool rare; /* left out on a terminal where it is 0 for all */
} figures[] = {
    {"ended", "ended", ended_shown, false},
    {"done", "done", done_shown, false},
    {"unproven", "unproven", number_shown, false},
    {"failed", "failed", number_shown, false},
    {"stopped", "stopped", number_shown, false},
    {"at a limit", "limited", number_shown, true},
    {"under way", "open", number_shown, true},
    {"cost, median", "median", cost_shown, false},
    {"cost, total", "total", cost_shown, false},
    {"cost per done", "per_done", cost_shown, false},
    {"time, median", "worked_median_ns", time_shown, false},
    {"iterations, median", "iterations_median", median_shown, false},
    {"requests", "requests", number_shown, false},
    {"without a price", "unpriced", number_shown, true},
    {"usage unknown", "kept", number_shown, true},
    {"tokens in", "input", input_shown, false},
    {"tokens out", "output", number_shown, false},
};
#define FIGURES (sizeof figures / sizeof *figures)

static const char *record_name(mem *ctx, struct json r, const char *by)
{
    const char *agent = shown_line(ctx, r, "agent", NAME_MOST), *second = shown_line(ctx, r, by, NAME_MOST);
    agent = *agent ? agent : "unknown";
    if (strcmp(by, "agent") == 0)
        return agent;
    return mem_printf(ctx, "%s %s", agent, *second ? second : "unknown");
}

/* ---- tables ---- */

static void lines_write(struct json records, const char *by, struct buf *b)
{
    buf_z(b, "agent");
    for (size_t f = 0; f < FIGURES; f++)
        buf_printf(b, "\t%s", figures[f].label);
    buf_z(b, "\n");
    for (struct json_iter it = json_iter(records); json_next(&it);) {
        CLEANUP_MEM mem *tmp = mem_root();
        buf_z(b, record_name(tmp, it.value, by));
        for (size_t f = 0; f < FIGURES; f++)
            buf_printf(b, "\t%s", figures[f].shown(tmp, it.value, figures[f].name));
        buf_z(b, "\n");
    }
}

static bool figure_tells(struct json records, size_t f)
{
    for (struct json_iter it = json_iter(records); figures[f].rare && json_next(&it);)
        if (figure(it.value, figures[f].name))
            return true;
    return !figures[f].rare;
}

/* Columns first to end, as wide as the widest cell of the table. */
static void block_write(mem *ctx, struct json records, const char *by, size_t first, size_t end, int width,
                        struct buf *b)
{
    buf_printf(b, "%-*s", LABEL_WIDTH, "");
    for (size_t i = first; i < end; i++)
        buf_printf(b, "%-*s%s", i + 1 < end ? width + GAP : 0, record_name(ctx, json_at(records, i), by),
                   i + 1 < end ? "" : "\n");
    for (size_t f = 0; f < FIGURES; f++) {
        if (!figure_tells(records, f))
            continue;
        buf_printf(b, "%-*s", LABEL_WIDTH, figures[f].label);
        for (size_t i = first; i < end; i++)
            buf_printf(b, "%-*s%s", i + 1 < end ? width + GAP : 0,
                       figures[f].shown(ctx, json_at(records, i), figures[f].name), i + 1 < end ? "" : "\n");
    }
}

static void columns_write(struct cli *cli, struct json records, const char *by, struct buf *b)
{
    CLEANUP_MEM mem *tmp = mem_root();
    size_t n = json_len(records), width = 0, each;
    for (size_t i = 0; i < n; i++) {
        size_t name = strlen(record_name(tmp, json_at(records, i), by));
        width = name > width ? name : width;
        for (size_t f = 0; f < FIGURES; f++) {
            size_t cell = strlen(figures[f].shown(tmp, json_at(records, i), figures[f].name));
            width = cell > width ? cell : width;
        }
    }
    int room = screen_columns(&cli->out) - LABEL_WIDTH;
    each = room > 0 ? (size_t)room / (width + GAP) : 0;
    each = each ? each : 1;
    for (size_t i = 0; i < n; i += each) {
        if (i)
            buf_z(b, "\n");
        block_write(tmp, records, by, i, i + each < n ? i + each : n, (int)width, b);
    }
}

/* Few runs are no reason to choose. */
static void few_say(struct cli *cli, struct json records, const char *by)
{
    const char *names = "";
    for (struct json_iter it = json_iter(records); json_next(&it);)
        if (json_bool(json_get(it.value, "few"), false))
            names = mem_printf(cli->ctx, "%s%s%s (%lld)", names, *names ? ", " : "",
                               record_name(cli->ctx, it.value, by), (long long)figure(it.value, "ended"));
    if (*names)
        cli_say(cli, "Fewer than 5 ended runs say little: %s", names);
}

enum rc compare_run(struct cli *cli, struct err *err)
{
    struct json answer;
    struct buf b;
    const char *by = call_value(&cli->call, "by");
    enum rc rc = cli_ask(cli, "GET", compare_path(cli), STR(""), &answer, err);
    if (rc)
        return rc;
    if (cli->json) {
        cli_document(cli, "agents_record", json_raw(answer), -1);
        return RC_OK;
    }
    struct json records = json_get(answer, "records");
    by = by ? by : "agent";
    if (!json_len(records)) {
        cli_say(cli, "No task was done by such an agent. Start one with: nightmill run --agent NAME");
        return RC_OK;
    }
    buf_init(&b, cli->ctx, SIZE_MAX);
    if (cli->out.live)
        columns_write(cli, records, by, &b);
    else
        lines_write(records, by, &b);
    cli_answer(cli, buf_view(&b));
    few_say(cli, records, by);
    return RC_OK;
}
