/* A call's surroundings: settings, answers, errors, the daemon. */
#include "cli/session.h"
#include "base/text.h"
#include "cli/daemon.h"
#include "cli/trial.h"
#include "gateway/provider.h"
#include "net/client.h"
#include "ops/place.h"
#include <stdlib.h>
#include <unistd.h>

enum { ASK_MS = 120000 };

enum rc cli_settings(struct cli *cli, struct err *err)
{
    if (cli->settings)
        return RC_OK;
    struct settings *set;
    struct settings_source source = {.flags = call_values(cli->ctx, &cli->call, "set")};
    enum rc rc = settings_load(cli->ctx, &source, &set, NULL, err);
    if (rc)
        return rc;
    cli->settings = set;
    if (!call_has(&cli->call, "color")) {
        screen_init(&cli->out, STDOUT_FILENO, setting_text(set, "output.color"));
        screen_init(&cli->err, STDERR_FILENO, setting_text(set, "output.color"));
    }
    return RC_OK;
}

/* --- what people and programs are told --------------------------------------------------------------------------- */

static void problem_print(struct cli *cli, const struct err *err, int status)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, cli->ctx, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "type", "about:blank");
    jo_kz(&o, "title", err->sentence);
    jo_ki(&o, "status", rc_http_status(err->rc));
    if (err->detail[0])
        jo_kz(&o, "detail", err->detail);
    if (err->hint[0])
        jo_kz(&o, "hint", err->hint);
    jo_kz(&o, "code", rc_name(err->rc));
    jo_ki(&o, "exit_code", status);
    jo_end_obj(&o);
    screen_write(&cli->err, str_of(mem_printf(cli->ctx, "%s\n", json_printable(cli->ctx, buf_view(&b)).p)));
}

int cli_fail_as(struct cli *cli, const struct err *err, int status)
{
    screen_status(&cli->err, NULL);
    if (cli->json) {
        problem_print(cli, err, status);
        return status;
    }
    mem *ctx = cli->ctx;
    struct buf b;
    buf_init(&b, ctx, 65536);
    buf_printf(&b, "%s %s\n", screen_paint(ctx, &cli->err, TONE_BAD, "nightmill:"),
               text_terminal(ctx, str_of(err->sentence)));
    if (err->detail[0])
        buf_printf(&b, "  %s\n", text_terminal(ctx, str_of(err->detail)));
    if (err->hint[0])
        buf_printf(&b, "  %s %s\n", screen_paint(ctx, &cli->err, TONE_STRONG, "try:"),
                   text_terminal(ctx, str_of(err->hint)));
    screen_write(&cli->err, buf_view(&b));
    return status;
}

int cli_fail(struct cli *cli, const struct err *err)
{
    return cli_fail_as(cli, err, err->rc ? rc_exit_code(err->rc) : EXIT_FAILED);
}

void cli_say(struct cli *cli, const char *fmt, ...)
{
    if (cli->json)
        return;
    CLEANUP_MEM mem *tmp = mem_root();
    va_list ap;
    va_start(ap, fmt);
    const char *words = mem_vprintf(tmp, fmt, ap);
    va_end(ap);
    screen_write(&cli->err, str_of(mem_printf(tmp, "%s\n", text_terminal(tmp, str_of(words)))));
}

void cli_answer(struct cli *cli, struct str text)
{
    screen_write(&cli->out, text);
}

void cli_answerf(struct cli *cli, const char *fmt, ...)
{
    CLEANUP_MEM mem *tmp = mem_root();
    va_list ap;
    va_start(ap, fmt);
    cli_answer(cli, str_of(mem_vprintf(tmp, fmt, ap)));
    va_end(ap);
}

/* Outside of strings JSON is ASCII, so a character to hide stands inside of one, where an escape may take its place. */
struct str json_printable(mem *ctx, struct str json)
{
    struct buf b;
    buf_init(&b, ctx, SIZE_MAX);
    buf_reserve(&b, json.n);
    while (json.n) {
        uint32_t c;
        size_t len = str_utf8_next(json, &c);
        bool hidden = len && ((c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f || c == 0xfeff ||
                              (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069));
        bool tag = c >= 0xe0000 && c <= 0xe007f;
        if (hidden)
            buf_printf(&b, "\\u%04x", c);
        else if (len && tag)
            buf_printf(&b, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff));
        else if (len && c < 0x20 && c != '\n' && c != '\t')
            buf_char(&b, ' '); /* white space between values: CR */
        else
            buf_add(&b, len ? json.p : "?", len ? len : 1);
        json = str_sub(json, len ? len : 1, json.n);
    }
    size_t n = b.n;
    return str_n(buf_take(&b, ctx), n);
}

void cli_document(struct cli *cli, const char *name, struct str data, int status)
{
    mem *ctx = cli->ctx;
    struct buf b;
    struct json_out o;
    buf_init(&b, ctx, SIZE_MAX);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "schema", mem_printf(ctx, "nightmill.%s.v1", name));
    jo_kraw(&o, "data", data);
    if (status >= 0)
        jo_ki(&o, "exit_code", status);
    jo_end_obj(&o);
    buf_char(&b, '\n');
    cli_answer(cli, json_printable(ctx, buf_view(&b)));
}

const char *shown(mem *ctx, struct json object, const char *member)
{
    struct str s = json_str(ctx, json_get(object, member));
    return s.p ? text_terminal(ctx, s) : "";
}

const char *shown_line(mem *ctx, struct json object, const char *member, size_t max)
{
    struct str s = json_str(ctx, json_get(object, member));
    return s.p ? text_terminal_line(ctx, str_trim(s), max) : "";
}

/* --- the daemon -------------------------------------------------------------------------------------------------- */

static void member_copy(char *field, size_t cap, struct json problem, const char *member)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct str s = json_str(tmp, json_get(problem, member));
    char *clean = s.p ? str_utf8_clean(tmp, s) : NULL;
    size_t n = clean ? str_utf8_cut(str_of(clean), cap - 1) : 0;
    if (n)
        memcpy(field, clean, n);
    field[n] = '\0';
}

enum rc problem_read(int status, struct str body, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err unheard = {0};
    struct json problem;
    err = err ? err : &unheard; /* NULL: nobody listens to the words */
    if (json_parse(tmp, body, &problem, NULL) != RC_OK || json_type(json_get(problem, "title")) != JSON_STRING)
        return err_set(err, RC_UPSTREAM, "The daemon answered with status %d and no words", status);
    const char *code = json_z(tmp, json_get(problem, "code"), "");
    enum rc rc = rc_find(code);
    err_set(err, rc == RC_OK ? RC_UPSTREAM : rc, "failed");
    member_copy(err->sentence, sizeof err->sentence, problem, "title");
    member_copy(err->detail, sizeof err->detail, problem, "detail");
    member_copy(err->hint, sizeof err->hint, problem, "hint");
    return err->rc;
}

static enum rc exchange_within(struct cli *cli, const char *method, const char *path, struct str body, int timeout_ms,
                               struct json *ret, struct err *err)
{
    mem *ctx = cli->ctx;
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    struct client_spec spec = {.unix_socket = place_socket(ctx, cli->settings),
                               .method = method,
                               .url = mem_printf(ctx, "http://localhost%s", path),
                               .headers = body.n ? headers : NULL,
                               .body = body,
                               .timeout_ms = timeout_ms,
                               .max_body = 200u << 20,
                               .cancel_fd = -1};
    struct client_answer answer;
    enum rc rc = client_call(ctx, &spec, &answer, err);
    if (rc)
        return rc;
    if (answer.status < 200 || answer.status > 299)
        return problem_read(answer.status, answer.body, err);
    if (!ret)
        return RC_OK;
    *ret = (struct json){0};
    rc = answer.body.n ? json_parse(ctx, answer.body, ret, err) : RC_OK;
    return rc ? err_context(err, "The daemon's answer") : RC_OK;
}

static enum rc exchange(struct cli *cli, const char *method, const char *path, struct str body, struct json *ret,
                        struct err *err)
{
    return exchange_within(cli, method, path, body, ASK_MS, ret, err);
}

enum rc cli_peek(struct cli *cli, const char *path, int timeout_ms, struct json *ret, struct err *err)
{
    enum rc rc = cli_settings(cli, err);
    return rc ? rc : exchange_within(cli, "GET", path, STR(""), timeout_ms, ret, err);
}

static void key_add(struct json_out *o, const char *name)
{
    const char *value = name && *name ? getenv(name) : NULL;
    if (value && *value)
        jo_kz(o, name, value);
}

enum rc cli_hand_over_keys(struct cli *cli, const char *name, struct err *err)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, cli->ctx, 256 << 10);
    json_out_init(&o, &b);
    jo_obj(&o);
    const char *usual[PROVIDER_VARIABLES_MAX];
    size_t n = provider_key_variables(usual);
    for (size_t i = 0; i < n; i++)
        key_add(&o, usual[i]);
    const char *set = setting_text(cli->settings, "model.key_env");
    key_add(&o, set);
    if (name && strcmp(name, set))
        key_add(&o, name);
    jo_end_obj(&o);
    enum rc rc = b.n > 2 ? exchange(cli, "PUT", "/api/v1/credentials", buf_view(&b), NULL, err) : RC_OK;
    explicit_bzero(b.p, b.n);
    return rc;
}

enum rc cli_reach(struct cli *cli, struct err *err)
{
    bool started;
    enum rc rc = cli_settings(cli, err);
    if (rc)
        return rc;
    rc =
        daemon_ensure(place_data(cli->ctx, cli->settings), setting_text(cli->settings, "model.key_env"), &started, err);
    return !rc && started ? cli_hand_over_keys(cli, NULL, err) : rc;
}

enum rc cli_reach_with_keys(struct cli *cli, struct err *err)
{
    enum rc rc = cli_reach(cli, err);
    return rc ? rc : cli_hand_over_keys(cli, NULL, err);
}

enum rc cli_ask(struct cli *cli, const char *method, const char *path, struct str body, struct json *ret,
                struct err *err)
{
    enum rc rc = cli_settings(cli, err);
    if (rc)
        return rc;
    /* A request that only reads is made at once and again; one that changes something is made once, when the daemon is
     * known to be there: a connection that breaks before an answer may have been heard. */
    bool reads = !strcmp(method, "GET");
    if (reads && (rc = exchange(cli, method, path, body, ret, err)) != RC_UNAVAILABLE)
        return rc;
    rc = cli_reach(cli, err);
    if (rc)
        return rc;
    rc = exchange(cli, method, path, body, ret, err);
    if (!reads && (rc == RC_UNAVAILABLE || rc == RC_UPSTREAM) && err && !err->hint[0])
        err_hint(err, "It may have been done all the same: look (nightmill ls) before you ask again");
    return rc;
}

const char *task_path(struct cli *cli, const char *id, const char *rest)
{
    return mem_printf(cli->ctx, "/api/v1/tasks/%s%s", text_url(cli->ctx, str_of(id)), rest);
}

/* The name may be a trial's: then its winner is meant. */
static enum rc winner_find(struct cli *cli, const char *id, struct json *ret, struct err *err)
{
    struct json trial;
    struct err why = {0};
    const char *list = "";
    if (trial_ask(cli, id, &trial, &why) != RC_OK)
        return RC_NOT_FOUND; /* as was said of the task */
    const char *winner = json_z(cli->ctx, json_get(trial, "winner"), NULL);
    if (winner)
        return cli_ask(cli, "GET", task_path(cli, winner, ""), STR(""), ret, err);
    for (struct json_iter it = json_iter(json_get(trial, "attempts")); json_next(&it);)
        list = mem_printf(cli->ctx, "%s%s%s", list, *list ? ", " : "", shown_line(cli->ctx, it.value, "id", 16));
    *err = (struct err){0};
    err_set(err, RC_CONFLICT, "trial %s has no winner", id);
    return err_hint(err, "name one of its attempts: %s", list);
}

enum rc cli_task(struct cli *cli, struct json *ret, struct err *err)
{
    const char *id = call_argument(&cli->call, 0);
    if (!*id || strlen(id) > 64)
        return err_set(err, RC_INVALID, "\"%s\" is no name of a task", id);
    enum rc rc = cli_ask(cli, "GET", task_path(cli, id, ""), STR(""), ret, err);
    if (rc == RC_NOT_FOUND)
        rc = winner_find(cli, id, ret, err);
    if (rc == RC_NOT_FOUND && !err->hint[0])
        err_hint(err, "nightmill ls lists the tasks.");
    return rc;
}
