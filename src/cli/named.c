/* Named agents are kept by the daemon: this asks it. */
#include "cli/named.h"
#include "agent/backend.h"
#include "base/text.h"
#include "cli/narrate.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { INSTRUCTIONS_MOST = 32 << 10, PEEK_MS = 500 };

static const char *agent_path(struct cli *cli, const char *name, const char *project)
{
    mem *ctx = cli->ctx;
    return mem_printf(ctx, "/api/v1/agents/%s%s%s", text_url(ctx, str_of(name)), *project ? "?project=" : "",
                      text_url(ctx, str_of(project)));
}

static enum rc versions_ask(struct cli *cli, const char *name, struct json *ret, struct err *err)
{
    const char *path = mem_printf(cli->ctx, "/api/v1/agents?name=%s", text_url(cli->ctx, str_of(name)));
    struct json answer;
    enum rc rc = cli_ask(cli, "GET", path, STR(""), &answer, err);
    *ret = rc ? (struct json){0} : json_get(answer, "agents");
    return rc;
}

static void named_read(struct cli *cli, struct json row, struct agent_named *ret)
{
    *ret = (struct agent_named){.name = json_z(cli->ctx, json_get(row, "name"), ""),
                                .project = json_z(cli->ctx, json_get(row, "project"), ""),
                                .version = json_int(json_get(row, "version"), 0),
                                .configuration = json_get(row, "configuration")};
}

/* What the project's file says becomes a version, unless it is the newest one already. */
static enum rc offer_put(struct cli *cli, const char *project, const struct project_agent *a, struct json *ret,
                         struct err *err)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, cli->ctx, 256 << 10);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "agent", a->agent);
    if (a->model)
        jo_kz(&o, "model", a->model);
    if (a->instructions)
        jo_kz(&o, "instructions", a->instructions);
    jo_key(&o, "arguments");
    jo_arr(&o);
    for (const char *const *v = a->arguments; *v; v++)
        jo_z(&o, *v);
    jo_end_arr(&o);
    jo_end_obj(&o);
    return cli_ask(cli, "PUT", agent_path(cli, a->name, project), buf_view(&b), ret, err);
}

enum rc named_find(void *arg, const char *name, const char *project, const struct project_agent *offer,
                   struct agent_named *ret, struct err *err)
{
    struct cli *cli = arg;
    struct json rows, row = {0};
    if (backend_find(name))
        return RC_NOT_FOUND;
    enum rc rc = versions_ask(cli, name, &rows, err);
    if (rc)
        return rc;
    if (json_len(rows) && !json_bool(json_get(json_at(rows, 0), "retired"), false)) /* the operator's own comes first */
        row = json_at(rows, 0);
    else if (offer)
        rc = offer_put(cli, project, offer, &row, err);
    else
        return RC_NOT_FOUND;
    if (!rc)
        named_read(cli, row, ret);
    return rc;
}

/* ---- set ---- */

static enum rc instructions_read(struct cli *cli, const char *path, const char **ret, struct err *err)
{
    struct buf b;
    char bytes[4096];
    size_t n;
    FILE *f = fopen(path, "re");
    if (!f)
        return err_sys(err, errno, "Cannot read %s", path);
    buf_init(&b, cli->ctx, INSTRUCTIONS_MOST);
    bool fits = true;
    while (fits && (n = fread(bytes, 1, sizeof bytes, f)) > 0)
        fits = buf_add(&b, bytes, n);
    bool failed = ferror(f) != 0;
    fclose(f);
    if (failed)
        return err_set(err, RC_IO, "Cannot read %s", path);
    if (!fits || !str_utf8(buf_view(&b)) || memchr(b.p ? b.p : "", 0, b.n))
        return err_set(err, RC_INVALID, "The instructions must be text of at most %d KiB", INSTRUCTIONS_MOST >> 10);
    *ret = buf_take(&b, cli->ctx);
    return RC_OK;
}

static enum rc name_given(struct cli *cli, const char **ret, struct err *err)
{
    *ret = call_argument(&cli->call, 1);
    if (*ret)
        return RC_OK;
    err_set(err, RC_INVALID, "Name the agent");
    return err_hint(err, "nightmill agent %s NAME", call_argument(&cli->call, 0));
}

enum rc named_set(struct cli *cli, struct err *err)
{
    static const char *const texts[] = {"model", "approval", "command", "folder", "input", "output", "url"};
    const struct call *call = &cli->call;
    const char *name, *instructions = NULL, *file = call_value(call, "instructions");
    struct buf b;
    struct json_out o;
    struct json row;
    enum rc rc = name_given(cli, &name, err);
    if (!rc && file)
        rc = instructions_read(cli, file, &instructions, err);
    if (!rc && !call_has(call, "base")) {
        err_set(err, RC_INVALID, "Say which agent %s is", text_terminal_line(cli->ctx, str_of(name), 64));
        rc = err_hint(err, "such as --base codex, or --base builtin");
    }
    if (rc)
        return rc;
    buf_init(&b, cli->ctx, 256 << 10);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "agent", call_value(call, "base"));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (call_has(call, texts[i]))
            jo_kz(&o, texts[i], call_value(call, texts[i]));
    if (instructions)
        jo_kz(&o, "instructions", instructions);
    jo_key(&o, "arguments");
    jo_arr(&o);
    for (const char *const *v = call_values(cli->ctx, call, "arg"); *v; v++)
        jo_z(&o, *v);
    jo_end_arr(&o);
    jo_end_obj(&o);
    rc = cli_ask(cli, "PUT", agent_path(cli, name, ""), buf_view(&b), &row, err);
    if (rc)
        return rc;
    if (cli->json)
        cli_document(cli, "agent", json_raw(row), -1);
    else
        cli_answerf(cli, "%s, version %lld\n", shown_line(cli->ctx, row, "name", 64),
                    (long long)json_int(json_get(row, "version"), 0));
    return RC_OK;
}

/* ---- show, rm, ls ---- */

static void version_lines(struct cli *cli, struct json row, struct buf *out)
{
    mem *ctx = cli->ctx;
    struct json c = json_get(row, "configuration");
    buf_printf(out, "%s, version %lld%s, %s\n", shown_line(ctx, row, "name", 64),
               (long long)json_int(json_get(row, "version"), 0),
               json_bool(json_get(row, "retired"), false) ? " (removed)" : "",
               time_shown(ctx, json_str(ctx, json_get(row, "created_at")), true));
    for (struct json_iter it = json_iter(c); json_next(&it);) {
        const char *words = json_type(it.value) == JSON_STRING ? text_terminal_line(ctx, json_str(ctx, it.value), 400)
                                                               : text_terminal_line(ctx, json_raw(it.value), 400);
        buf_printf(out, "  %-13.*s %s\n", STR_FMT(it.key_raw), words);
    }
}

enum rc named_show(struct cli *cli, struct err *err)
{
    const char *name;
    struct json rows;
    struct buf b;
    enum rc rc = name_given(cli, &name, err);
    if (!rc)
        rc = versions_ask(cli, name, &rows, err);
    if (rc)
        return rc;
    if (!json_len(rows)) {
        err_set(err, RC_NOT_FOUND, "there is no named agent \"%s\"", text_terminal_line(cli->ctx, str_of(name), 64));
        return err_hint(err, "nightmill agent set NAME --base AGENT makes one");
    }
    buf_init(&b, cli->ctx, 4 << 20);
    for (struct json_iter it = json_iter(rows); json_next(&it);)
        version_lines(cli, it.value, &b);
    if (cli->json)
        cli_document(cli, "agent_versions", json_raw(rows), -1);
    else
        cli_answer(cli, buf_view(&b));
    return RC_OK;
}

enum rc named_remove(struct cli *cli, struct err *err)
{
    const char *name;
    enum rc rc = name_given(cli, &name, err);
    if (!rc)
        rc = cli_ask(cli, "DELETE", agent_path(cli, name, ""), STR(""), NULL, err);
    if (!rc && !cli->json)
        cli_answerf(cli, "%s is removed; its versions are kept for the record\n",
                    text_terminal_line(cli->ctx, str_of(name), 64));
    else if (!rc)
        cli_document(cli, "agent_removed", STR("{}"), -1);
    return rc;
}

void named_lines(struct cli *cli, struct buf *out)
{
    struct json answer;
    struct str last = {0};
    mem *ctx = cli->ctx;
    if (cli_peek(cli, "/api/v1/agents", PEEK_MS, &answer, NULL) != RC_OK)
        return;
    for (struct json_iter it = json_iter(json_get(answer, "agents")); json_next(&it);) {
        struct str name = json_str(ctx, json_get(it.value, "name"));
        bool newest = !str_eq(name, last);
        last = name;
        if (!newest || json_bool(json_get(it.value, "retired"), false))
            continue;
        buf_printf(out, cli->out.live ? "%-10s %-10s %-14s %s\n" : "%s\t%s\t%s\t%s\n",
                   text_terminal_line(ctx, name, 64), "named",
                   mem_printf(ctx, "version %lld", (long long)json_int(json_get(it.value, "version"), 0)),
                   shown_line(ctx, json_get(it.value, "configuration"), "agent", 64));
    }
}
