/* The rows of the pre-flight, each from a real look at the machine. */
#include "ops/preflight.h"
#include "base/text.h"
#include "money/money.h"
#include "net/client.h"
#include "ops/model.h"
#include "ops/place.h"
#include "os/path.h"
#include "repo/repo.h"
#include "sandbox/sandbox.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define DISK_LEAST (512u << 20)
#define DISK_LOW   (2048ull << 20)

static void row(struct preflight *p, const char *name, enum preflight_grade grade, const char *evidence,
                const char *mend)
{
    BUG_ON(p->n == sizeof p->rows / sizeof *p->rows);
    p->rows[p->n++] = (struct preflight_row){name, grade, evidence, mend};
    p->failed |= grade == PREFLIGHT_FAIL;
}

static void row_error(mem *ctx, struct preflight *p, const char *name, const struct err *err)
{
    const char *words =
        err->detail[0] ? mem_printf(ctx, "%s (%s)", err->sentence, err->detail) : mem_str(ctx, err->sentence);
    row(p, name, PREFLIGHT_FAIL, words, err->hint[0] ? mem_str(ctx, err->hint) : NULL);
}

/* ---- machine ---- */

static void look_git(mem *ctx, struct preflight *p)
{
    const char *version;
    struct err err = {0};
    if (repo_git_version(ctx, &version, &err) != RC_OK)
        row_error(ctx, p, "git", &err);
    else
        row(p, "git", PREFLIGHT_OK, version, NULL);
}

static void look_sandbox(mem *ctx, const struct settings *set, struct preflight *p)
{
    sandbox_set_uid_base((uid_t)setting_int(set, "sandbox.uid_base"));
    const struct sandbox_probe *s = sandbox_probe();
    if (!s->works) {
        row_error(ctx, p, "sandbox", &s->problem);
        return;
    }
    const char *words = mem_printf(ctx, "%s, %s", s->bwrap_version, s->rung_words);
    row(p, "sandbox", s->rung == RUNG_NAMESPACE_UID ? PREFLIGHT_NOTE : PREFLIGHT_OK, words,
        s->next_rung[0] ? s->next_rung : NULL);
    bool rlimits = strstr(s->limits_words, "rlimits only") != NULL;
    row(p, "limits", rlimits ? PREFLIGHT_NOTE : PREFLIGHT_OK, s->limits_words,
        rlimits
            ? "memory is limited per process only; a control group that this user may write would limit whole sandboxes"
            : NULL);
}

static void look_folder(mem *ctx, const char *data, struct preflight *p)
{
    struct err err = {0};
    char *probe = mem_printf(ctx, "%s/.probe.%d", data, getpid());
    if (path_mkdirs(data, 0700, &err) != RC_OK || path_write_durable(probe, STR("probe"), 0600, &err) != RC_OK) {
        err_hint(&err, "make %s writable, or choose another: export NIGHTMILL_DATA_DIR=/some/folder", data);
        row_error(ctx, p, "data folder", &err);
        return;
    }
    unlink(probe);
    row(p, "data folder", PREFLIGHT_OK, data, NULL);
    struct statvfs v;
    if (statvfs(data, &v) < 0)
        return;
    unsigned long long left = (unsigned long long)v.f_bavail * v.f_frsize;
    char *words = mem_printf(ctx, "%.1f GiB free", (double)left / (1 << 30));
    char *mend = mem_printf(
        ctx, "make room on the disk of %s, or choose another folder: export NIGHTMILL_DATA_DIR=/some/folder", data);
    row(p, "disk",
        left < DISK_LEAST ? PREFLIGHT_FAIL
        : left < DISK_LOW ? PREFLIGHT_WARN
                          : PREFLIGHT_OK,
        words, left < DISK_LOW ? mend : NULL);
}

void preflight_machine(mem *ctx, const struct settings *set, struct preflight *p)
{
    look_git(ctx, p);
    look_sandbox(ctx, set, p);
    look_folder(ctx, place_data(ctx, set), p);
}

/* ---- one run ---- */

static void look_model(mem *ctx, struct json spec, struct preflight *p)
{
    struct json model = json_get(spec, "model");
    struct model_choice m = {.wire = json_z(ctx, json_get(model, "wire"), "chat"),
                             .url = json_z(ctx, json_get(model, "url"), ""),
                             .name = json_z(ctx, json_get(model, "name"), ""),
                             .key = json_z(ctx, json_get(model, "key"), "")};
    const char *value = *m.key ? getenv(m.key) : NULL;
    struct err err = {0};
    int status;
    const char *const *ids;
    if (!*m.url) {
        row(p, "model", PREFLIGHT_OK,
            mem_printf(ctx, "the gateway serves %s", text_terminal_line(ctx, str_of(m.name), 100)), NULL);
        return;
    }
    if (*m.key && (!value || !*value)) {
        row(p, "model", PREFLIGHT_FAIL, mem_printf(ctx, "the key %s is not set", m.key),
            mem_printf(ctx, "export %s=...", m.key));
        return;
    }
    if (model_list(ctx, &m, value, &status, &ids, &err) != RC_OK) {
        err_hint(&err, "is the model server at %s running and reachable from here?", m.url);
        row_error(ctx, p, "model", &err);
        return;
    }
    if (status == 401 || status == 403) {
        row(p, "model", PREFLIGHT_FAIL,
            mem_printf(ctx, "%s refuses the key%s%s (status %d)", m.url, *m.key ? " " : "", m.key, status),
            *m.key ? mem_printf(ctx, "put a valid key into %s", m.key) : "export NIGHTMILL_MODEL_KEY=...");
        return;
    }
    bool listed = !ids[0];
    for (size_t i = 0; ids[i] && !listed; i++)
        listed = strcmp(ids[i], m.name) == 0 || strncmp(ids[i], m.name, strlen(m.name)) == 0;
    const char *words = mem_printf(ctx, "%s at %s answers", text_terminal_line(ctx, str_of(m.name), 100), m.url);
    if (listed)
        row(p, "model", PREFLIGHT_OK, words, NULL);
    else
        row(p, "model", PREFLIGHT_WARN,
            mem_printf(ctx, "%s does not list the model %s", m.url, text_terminal_line(ctx, str_of(m.name), 100)),
            mem_printf(ctx, "it lists %s; choose with --model NAME", text_terminal_line(ctx, str_of(ids[0]), 100)));
}

static bool program_found(const char *name)
{
    static const char *const folders[] = {"/usr/local/bin",  "/usr/bin",  "/bin",
                                          "/usr/local/sbin", "/usr/sbin", "/sbin"};
    char path[512];
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "%s/%s", folders[i], name);
        if (access(path, X_OK) == 0)
            return true;
    }
    return false;
}

/* Only a plain first word can be judged without running the command; everything else is the shell's. */
static void look_checks(mem *ctx, struct json spec, struct preflight *p)
{
    struct json checks = json_get(spec, "checks");
    if (!json_len(checks))
        row(p, "check", PREFLIGHT_WARN, "none given, none found: the task can only end as unproven",
            "name one: --check 'make test'");
    for (struct json_iter it = json_iter(checks); json_next(&it);) {
        const char *command = json_z(ctx, json_get(it.value, "command"), "");
        struct str rest = str_trim(str_of(command)), word = rest;
        str_next(&rest, ' ', &word);
        static const char *const builtins[] = {"cd",  "test",  "[",    "exit", "set",    "export", "if",
                                               "for", "while", "!",    "true", "false",  "(",      "{",
                                               ".",   "exec",  "eval", ":",    "printf", "echo",   "sh"};
        bool plain = word.n > 0 && strcspn(str_dup(ctx, word), "/='\"$`\\;&|<>(){}*?") == word.n;
        for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++)
            plain = plain && !str_eqz(word, builtins[i]);
        const char *words =
            mem_printf(ctx, "%s: %s (%s)", json_z(ctx, json_get(it.value, "name"), ""),
                       text_terminal_line(ctx, str_of(command), 200), json_z(ctx, json_get(it.value, "origin"), ""));
        if (plain && !program_found(str_dup(ctx, word)))
            row(p, "check", PREFLIGHT_FAIL,
                mem_printf(ctx, "%s: there is no program %.*s in the sandbox", words, STR_FMT(word)),
                mem_printf(ctx, "install %.*s for the whole machine, or name another check with --check",
                           STR_FMT(word)));
        else
            row(p, "check", PREFLIGHT_OK, words, NULL);
    }
}

/* Prices are in the database, which is the daemon's alone: it is asked when it runs. */
static void look_price(mem *ctx, const struct settings *set, struct json spec, struct preflight *p)
{
    const char *model = json_z(ctx, json_path(spec, "model.name"), ""),
               *budget = json_z(ctx, json_path(spec, "limits.money"), NULL);
    struct client_spec call = {.unix_socket = place_socket(ctx, set),
                               .method = "GET",
                               .url = "http://localhost/api/v1/prices",
                               .max_body = 16u << 20,
                               .timeout_ms = 5000,
                               .cancel_fd = -1};
    struct client_answer answer;
    struct json root;
    if (json_eqz(json_path(spec, "model.url"), ""))
        return; /* each that may serve it has a price of its own: the gateway looks before it sends */
    if (client_call(ctx, &call, &answer, NULL) != RC_OK || answer.status != 200 ||
        json_parse(ctx, answer.body, &root, NULL) != RC_OK)
        return;
    for (struct json_iter it = json_iter(json_get(root, "prices")); json_next(&it);) {
        if (json_eqz(json_get(it.value, "model"), model)) {
            row(p, "price", PREFLIGHT_OK,
                mem_printf(
                    ctx, "%s: %s in, %s out %s a million tokens (%s)", model,
                    json_z(ctx, json_get(it.value, "input"), "?"), json_z(ctx, json_get(it.value, "output"), "?"),
                    json_z(ctx, json_get(it.value, "currency"), ""), json_z(ctx, json_get(it.value, "source"), "")),
                NULL);
            return;
        }
    }
    const char *mend = mem_printf(
        ctx, "nightmill price set %s --input 3.00 --output 15.00 (per million tokens; 0 for a server of your own)",
        text_shell(ctx, str_of(model)));
    if (budget)
        row(p, "price", PREFLIGHT_FAIL,
            mem_printf(ctx, "the price of %s is not known, so a budget cannot be held",
                       text_terminal_line(ctx, str_of(model), 100)),
            mend);
    else
        row(p, "price", PREFLIGHT_NOTE,
            mem_printf(ctx, "the price of %s is not known: costs are shown as unknown",
                       text_terminal_line(ctx, str_of(model), 100)),
            mend);
}

void preflight_run(mem *ctx, const struct settings *set, struct json spec, struct preflight *p)
{
    row(p, "repository", PREFLIGHT_OK,
        mem_printf(ctx, "%s at %.12s", json_z(ctx, json_get(spec, "repo"), ""),
                   json_z(ctx, json_get(spec, "base"), "")),
        NULL);
    look_checks(ctx, spec, p);
    if (json_is(json_get(spec, "replay"))) {
        row(p, "model", PREFLIGHT_OK, mem_printf(ctx, "played back from %s", json_z(ctx, json_get(spec, "replay"), "")),
            NULL);
        return;
    }
    look_model(ctx, spec, p);
    look_price(ctx, set, spec, p);
}

/* ---- results ---- */

static const char *const grades[] = {
    [PREFLIGHT_OK] = "ok", [PREFLIGHT_NOTE] = "note", [PREFLIGHT_WARN] = "warning", [PREFLIGHT_FAIL] = "failed"};

const char *preflight_grade_name(enum preflight_grade grade)
{
    return grades[grade];
}

enum preflight_grade preflight_grade_find(const char *name)
{
    for (size_t i = 0; i < sizeof grades / sizeof *grades; i++)
        if (strcmp(grades[i], name) == 0)
            return (enum preflight_grade)i;
    return PREFLIGHT_WARN;
}

void preflight_add(struct preflight *p, const char *name, enum preflight_grade grade, const char *evidence,
                   const char *mend)
{
    if (p->n < sizeof p->rows / sizeof *p->rows)
        p->rows[p->n++] = (struct preflight_row){name, grade, evidence, mend};
    p->failed |= grade == PREFLIGHT_FAIL;
}

void preflight_json(const struct preflight *p, struct json_out *out)
{
    jo_obj(out);
    jo_kb(out, "ok", !p->failed);
    jo_key(out, "rows");
    jo_arr(out);
    for (size_t i = 0; i < p->n; i++) {
        jo_obj(out);
        jo_kz(out, "name", p->rows[i].name);
        jo_kz(out, "grade", grades[p->rows[i].grade]);
        jo_kz(out, "evidence", p->rows[i].evidence);
        jo_kz(out, "mend", p->rows[i].mend);
        jo_end_obj(out);
    }
    jo_end_arr(out);
    jo_end_obj(out);
}

enum rc preflight_verdict(const struct preflight *p, struct err *err)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->rows[i].grade != PREFLIGHT_FAIL)
            continue;
        err_set(err, RC_INVALID, "%s: %s", p->rows[i].name, p->rows[i].evidence);
        if (p->rows[i].mend)
            err_hint(err, "%s", p->rows[i].mend);
        return RC_INVALID;
    }
    return RC_OK;
}
