/* Settings: what holds and why, changing with validation before it applies, history, revert.
 *
 * What file, environment or a flag says wins over what is set here, so such a row is locked: a value that is stored
 * and does not count would only confuse. The version in ETag and If-Match is the number of the row's last change. */
#include "api/route_rows.h"
#include "api/settings_line.h"
#include "base/clock.h"
#include "store/setting.h"

#define VALUE_MOST   16384
#define HISTORY_MOST 1000

/* What a row is shown from: three states of the settings and the history. */
struct view {
    struct settings *now;
    const struct settings *started;
    struct setting_change *last;
    size_t n;
};

static enum rc view_read(struct route_call *c, struct view *v)
{
    *v = (struct view){.now = settings_live_take(c->ctx, c->server->live), .started = c->server->settings};
    return setting_last_changes(c->ctx, c->server->store, &v->last, &v->n, &c->err);
}

static const struct setting_change *change_of(const struct view *v, const char *name)
{
    static const struct setting_change none = {.by = ""};
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->last[i].name, name) == 0)
            return &v->last[i];
    return &none;
}

/* ---- showing ---- */

static const char *type_word(enum setting_type type)
{
    static const char *const words[] = {
        [SETTING_INT] = "number",  [SETTING_BOOL] = "bool",         [SETTING_STRING] = "text",
        [SETTING_ENUM] = "choice", [SETTING_DURATION] = "duration", [SETTING_SIZE] = "size",
        [SETTING_MONEY] = "money", [SETTING_PATH] = "path",         [SETTING_SECRET] = "secret"};
    return words[type];
}

static bool has_bounds(const struct setting_row *row)
{
    return !setting_type_is_text(row->type) && row->type != SETTING_BOOL;
}

static void bounds_json(struct route_call *c, const struct view *v, const struct setting_row *row)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct settings *standard = settings_default(tmp);
    bool numbers = has_bounds(row) && row->type != SETTING_MONEY, open = row->max == INT64_MAX;
    jo_kz(&c->out, "least", has_bounds(row) ? setting_number_words(tmp, row, row->min) : NULL);
    jo_kz(&c->out, "most", has_bounds(row) && !open ? setting_number_words(tmp, row, row->max) : NULL);
    if (!numbers)
        return;
    jo_ki(&c->out, "number", setting_int(v->now, row->name));
    jo_ki(&c->out, "default_number", setting_int(standard, row->name));
    jo_ki(&c->out, "least_number", row->min);
    if (!open)
        jo_ki(&c->out, "most_number", row->max);
}

static void choices_json(struct route_call *c, const struct setting_row *row)
{
    struct str rest = str_of(row->type == SETTING_ENUM ? row->unit : ""), word;
    jo_key(&c->out, "choices");
    jo_arr(&c->out);
    while (str_next(&rest, '|', &word))
        jo_str(&c->out, word);
    jo_end_arr(&c->out);
}

/* Why it cannot be changed here, in ctx; NULL: it can. */
static const char *lock_reason(mem *ctx, const struct settings *now, const struct setting_row *row)
{
    enum setting_from from = setting_from(now, row);
    const char *place = setting_origin_place(now, row), *fixed = setting_fixed_reason(row);
    if (from == SETTING_FROM_FILE)
        return mem_printf(ctx, "%s says it, and a file wins over what is set here", place);
    if (from == SETTING_FROM_ENVIRONMENT)
        return mem_printf(ctx, "the daemon's environment has %s, which wins over what is set here", place);
    if (from == SETTING_FROM_FLAG)
        return "a flag of the daemon's start says it, which wins over what is set here";
    return fixed ? mem_printf(ctx, "%s: set it in the file or in the environment", fixed) : NULL;
}

static void origin_json(struct route_call *c, const struct view *v, const struct setting_row *row)
{
    const char *reason = lock_reason(c->ctx, v->now, row);
    jo_kz(&c->out, "origin", setting_from_name(setting_from(v->now, row)));
    jo_kz(&c->out, "origin_place", setting_origin_place(v->now, row));
    jo_kb(&c->out, "locked", reason != NULL);
    jo_kz(&c->out, "locked_reason", reason);
    jo_kz(&c->out, "environment", setting_env_name(c->ctx, row));
}

static void stored_json(struct route_call *c, const struct setting_row *row, const struct setting_change *last)
{
    bool secret = row->type == SETTING_SECRET;
    jo_kz(&c->out, "set_value", secret ? NULL : last->to);
    jo_kz(&c->out, "set_by", last->id ? last->by : NULL);
    jo_kz(&c->out, "set_at", last->id ? clock_rfc3339(c->ctx, last->at_ns) : NULL);
    jo_ki(&c->out, "version", last->id);
}

static bool is_pending(struct route_call *c, const struct view *v, const struct setting_row *row)
{
    return row->when == SETTING_DAEMON_START &&
           strcmp(setting_shown(c->ctx, v->now, row), setting_shown(c->ctx, v->started, row)) != 0;
}

static void row_json(struct route_call *c, const struct view *v, const struct setting_row *row)
{
    bool secret = row->type == SETTING_SECRET, pending = is_pending(c, v, row);
    const char *value = setting_shown(c->ctx, v->now, row);
    jo_obj(&c->out);
    jo_kz(&c->out, "name", row->name);
    jo_kz(&c->out, "group", setting_group_of(row));
    jo_kz(&c->out, "type", type_word(row->type));
    jo_kz(&c->out, "unit", row->type == SETTING_ENUM ? "" : row->unit);
    jo_kz(&c->out, "help", row->help);
    jo_kz(&c->out, "value", secret ? NULL : value);
    jo_kz(&c->out, "default", row->standard);
    bounds_json(c, v, row);
    choices_json(c, row);
    origin_json(c, v, row);
    stored_json(c, row, change_of(v, row->name));
    jo_kz(&c->out, "applies", setting_when_words(row->when));
    jo_kb(&c->out, "pending", pending);
    jo_kz(&c->out, "running", pending && !secret ? setting_shown(c->ctx, v->started, row) : NULL);
    jo_kb(&c->out, "secret", secret);
    jo_kb(&c->out, "is_set", secret ? *value != '\0' : change_of(v, row->name)->to != NULL);
    jo_end_obj(&c->out);
}

static enum rc row_answer(struct route_call *c, const struct setting_row *row)
{
    struct view v;
    enum rc rc = view_read(c, &v);
    if (rc != RC_OK)
        return rc;
    c->etag = mem_printf(c->ctx, "\"%lld\"", (long long)change_of(&v, row->name)->id);
    row_json(c, &v, row);
    return RC_OK;
}

static enum rc row_named(struct route_call *c, const char *name, const struct setting_row **ret)
{
    struct err why = {0};
    CLEANUP_MEM mem *tmp = mem_root();
    *ret = setting_row_find(name);
    if (*ret)
        return RC_OK;
    if (setting_set(settings_default(tmp), name, "", "", &why) == RC_OK)
        return RC_BUG;
    return err_set(&c->err, RC_NOT_FOUND, "%s", why.sentence);
}

static void groups_json(struct route_call *c)
{
    size_t n;
    const struct setting_group *groups = settings_groups(&n);
    jo_key(&c->out, "groups");
    jo_arr(&c->out);
    for (size_t i = 0; i < n; i++) {
        jo_obj(&c->out);
        jo_kz(&c->out, "name", groups[i].name);
        jo_kz(&c->out, "title", groups[i].title);
        jo_end_obj(&c->out);
    }
    jo_end_arr(&c->out);
}

static enum rc settings_list(struct route_call *c)
{
    size_t n;
    bool exists, restart = false;
    struct view v;
    const struct setting_row *rows = settings_rows(&n);
    const char *group = route_query(c, "group");
    enum rc rc = view_read(c, &v);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < n; i++)
        restart |= is_pending(c, &v, &rows[i]);
    jo_obj(&c->out);
    jo_kz(&c->out, "file", settings_file(v.now, &exists));
    jo_kb(&c->out, "file_exists", exists);
    jo_kb(&c->out, "restart_needed", restart);
    groups_json(c);
    jo_key(&c->out, "settings");
    jo_arr(&c->out);
    for (size_t i = 0; i < n; i++)
        if (!group || strcmp(group, setting_group_of(&rows[i])) == 0)
            row_json(c, &v, &rows[i]);
    jo_end_arr(&c->out);
    jo_end_obj(&c->out);
    return RC_OK;
}

static enum rc setting_show(struct route_call *c)
{
    const struct setting_row *row;
    enum rc rc = row_named(c, c->param, &row);
    return rc != RC_OK ? rc : row_answer(c, row);
}

/* ---- changing ---- */

/* "12" of If-Match: \"12\"; "*" and none: whatever it is. A weak tag or a list is none of ours. */
static enum rc version_wanted(struct route_call *c, int64_t *ret)
{
    struct str tag = str_trim(str_of(c->if_match));
    *ret = SETTING_ANY_VERSION;
    if (!tag.n || str_eqz(tag, "*"))
        return RC_OK;
    bool quoted = tag.n > 2 && tag.p[0] == '"' && tag.p[tag.n - 1] == '"';
    if (quoted && str_int(str_sub(tag, 1, tag.n - 2), 0, INT64_MAX, ret))
        return RC_OK;
    c->failed_status = 412;
    return err_set(&c->err, RC_CONFLICT, "If-Match is the ETag of the setting as it was read");
}

struct changing {
    mem *ctx;
    struct setting_change change;
    int64_t expected;
    bool secret;
};

static enum rc change_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct changing *job = arg;
    return setting_change_put(job->ctx, tx, &job->change, job->expected, job->secret, err);
}

/* Who was faster, and with what. */
static enum rc change_refused(struct route_call *c, const struct changing *job)
{
    const struct setting_change *last = &job->change;
    c->failed_status = 412;
    if (!last->id)
        return err_set(&c->err, RC_CONFLICT, "the setting was never changed here: read it again");
    err_set(&c->err, RC_CONFLICT, "%s was changed meanwhile: %s%s by %s at %s", last->name,
            last->to ? "set to " : "back to the default",
            job->secret && last->to ? "another secret"
            : last->to              ? last->to
                                    : "",
            last->by, clock_rfc3339(c->ctx, last->at_ns));
    return err_hint(&c->err, "nothing was changed by you; read it again and decide, with If-Match: \"%lld\"",
                    (long long)last->id);
}

/* `to` NULL: the default. It was judged before. */
static enum rc change_make(struct route_call *c, const struct setting_row *row, const char *to, int64_t expected,
                           int64_t reverts)
{
    struct changing job = {
        .ctx = c->ctx,
        .change = {.name = row->name, .to = to, .by = c->principal.name, .at_ns = clock_wall_ns(), .reverts = reverts},
        .expected = expected,
        .secret = row->type == SETTING_SECRET};
    enum rc rc = store_write(c->server->store, change_tx, &job, &c->err);
    if (rc == RC_CONFLICT)
        return change_refused(c, &job);
    if (rc == RC_OK)
        rc = settings_refresh(c->server, &c->err);
    if (rc != RC_OK)
        return rc;
    c->settings_changed = true;
    return row_answer(c, row);
}

/* The value of the body as it would be written in a file, in ctx. */
static enum rc value_read(struct route_call *c, const char **ret)
{
    struct json v = json_get(c->json, "value");
    enum json_type type = json_type(v);
    *ret = type == JSON_STRING                                              ? json_z(c->ctx, v, NULL)
           : type == JSON_NUMBER || type == JSON_TRUE || type == JSON_FALSE ? str_dup(c->ctx, json_raw(v))
                                                                            : NULL;
    if (*ret && strlen(*ret) <= VALUE_MOST)
        return RC_OK;
    return err_set(&c->err, RC_INVALID, "value is a text of at most %d bytes, a number or true or false", VALUE_MOST);
}

/* Names of sealed secrets have no capital letters, which those of settings have not either. */
static const char *sealed_id(mem *ctx, const struct setting_row *row)
{
    return mem_printf(ctx, "setting.%s", row->name);
}

/* A reference stays one; anything else is the secret itself, which is sealed. */
static enum rc secret_keep(struct route_call *c, const struct setting_row *row, const char **value)
{
    if (!**value || strncmp(*value, "env:", 4) == 0 || strncmp(*value, "file:/", 6) == 0)
        return RC_OK;
    c->secret = true;
    enum rc rc = credential_seal(c->server->credentials, c->server->store, sealed_id(c->ctx, row), str_of(*value),
                                 clock_wall_ns(), &c->err);
    if (rc == RC_INVALID && strncmp(c->err.sentence, "what was given", 14) == 0)
        rc = err_set(&c->err, RC_INVALID, "a secret is one line of printable ASCII without blanks");
    *value = mem_printf(c->ctx, "sealed:%s", sealed_id(c->ctx, row));
    return rc;
}

/* Whether it may be changed here, and the value as the register writes it. */
static enum rc value_judge(struct route_call *c, const struct setting_row *row, const char **value)
{
    struct settings *tried = settings_live_take(c->ctx, c->server->live);
    const char *locked = lock_reason(c->ctx, tried, row);
    if (locked) {
        err_set(&c->err, RC_CONFLICT, "%s cannot be changed here: %s", row->name, locked);
        return err_hint(&c->err, "change it there; the daemon reads it at its start");
    }
    if (!*value)
        return RC_OK;
    if (row->type == SETTING_SECRET) {
        enum rc rc = secret_keep(c, row, value);
        if (rc != RC_OK)
            return rc;
    }
    enum rc rc = setting_set(tried, row->name, *value, "here", &c->err);
    if (rc == RC_OK)
        rc = setting_judge(tried, row->name, &c->err);
    if (rc == RC_OK)
        *value = setting_shown(c->ctx, tried, row);
    return rc;
}

static enum rc setting_put_here(struct route_call *c)
{
    const struct setting_row *row;
    const char *value;
    int64_t expected;
    enum rc rc = row_named(c, c->param, &row);
    rc = rc ? rc : version_wanted(c, &expected);
    rc = rc ? rc : value_read(c, &value);
    rc = rc ? rc : value_judge(c, row, &value);
    return rc ? rc : change_make(c, row, value, expected, 0);
}

static enum rc setting_reset(struct route_call *c)
{
    const struct setting_row *row;
    const char *value = NULL;
    int64_t expected;
    enum rc rc = row_named(c, c->param, &row);
    rc = rc ? rc : version_wanted(c, &expected);
    rc = rc ? rc : value_judge(c, row, &value);
    return rc ? rc : change_make(c, row, NULL, expected, 0);
}

/* ---- history ---- */

static const char *shown_of(const struct setting_row *row, const char *value)
{
    return value && (!row || row->type == SETTING_SECRET) ? "(secret)" : value;
}

static void change_json(struct route_call *c, const struct setting_change *h)
{
    const struct setting_row *row = setting_row_find(h->name); /* NULL: of another version of the program */
    jo_obj(&c->out);
    jo_ki(&c->out, "id", h->id);
    jo_kz(&c->out, "name", h->name);
    jo_kz(&c->out, "from", shown_of(row, h->from));
    jo_kz(&c->out, "to", shown_of(row, h->to));
    jo_kz(&c->out, "by", h->by);
    jo_kz(&c->out, "at", clock_rfc3339(c->ctx, h->at_ns));
    if (h->reverts)
        jo_ki(&c->out, "reverts", h->reverts);
    jo_end_obj(&c->out);
}

static enum rc settings_history(struct route_call *c)
{
    struct setting_change *rows;
    size_t n;
    int64_t limit = c->query_limit > 0 && c->query_limit < HISTORY_MOST ? c->query_limit
                    : c->query_limit                                    ? HISTORY_MOST
                                                                        : 50;
    enum rc rc =
        setting_history(c->ctx, c->server->store, route_query(c, "name"), c->query_before, limit, &rows, &n, &c->err);
    if (rc != RC_OK)
        return rc;
    jo_obj(&c->out);
    jo_key(&c->out, "changes");
    jo_arr(&c->out);
    for (size_t i = 0; i < n; i++)
        change_json(c, &rows[i]);
    jo_end_arr(&c->out);
    if ((int64_t)n == limit)
        jo_ki(&c->out, "next", rows[n - 1].id);
    else
        jo_kz(&c->out, "next", NULL);
    jo_end_obj(&c->out);
    return RC_OK;
}

/* Undoing the last change needs no more words; undoing an older one would lose what came after it, so it is only done
 * for somebody who shows that he knows the newest. */
static enum rc revert_allowed(struct route_call *c, const struct setting_change *h, int64_t *expected)
{
    struct view v;
    enum rc rc = version_wanted(c, expected);
    if (rc != RC_OK || *expected != SETTING_ANY_VERSION)
        return rc;
    rc = view_read(c, &v);
    if (rc != RC_OK)
        return rc;
    const struct setting_change *last = change_of(&v, h->name);
    *expected = h->id;
    if (last->id == h->id)
        return RC_OK;
    err_set(&c->err, RC_CONFLICT, "%s was changed again after that, by %s at %s", h->name, last->by,
            clock_rfc3339(c->ctx, last->at_ns));
    return err_hint(&c->err, "revert the change %lld, or send If-Match: \"%lld\" to give it the older value anyway",
                    (long long)last->id, (long long)last->id);
}

static enum rc settings_revert(struct route_call *c)
{
    const struct setting_row *row;
    struct setting_change h;
    int64_t expected;
    int64_t id = json_int(json_get(c->json, "id"), 0);
    if (id <= 0)
        return err_set(&c->err, RC_INVALID, "id is the number of a change in the history");
    enum rc rc = setting_change_find(c->ctx, c->server->store, id, &h, &c->err);
    rc = rc ? rc : row_named(c, h.name, &row);
    if (rc == RC_OK && row->type == SETTING_SECRET)
        rc = err_set(&c->err, RC_CONFLICT, "earlier secrets are not kept: set %s anew", h.name);
    const char *value = rc ? NULL : h.from;
    rc = rc ? rc : revert_allowed(c, &h, &expected);
    rc = rc ? rc : value_judge(c, row, &value);
    return rc ? rc : change_make(c, row, value, expected, h.id);
}

const struct route route_settings_list = {"GET",
                                          "/api/v1/settings",
                                          "every setting with value, origin, range and help",
                                          settings_list,
                                          .access = ACCESS_READ,
                                          .query = "group",
                                          .gives = "Settings"};
const struct route route_setting_show = {"GET",        "/api/v1/settings/:id", "one setting, its version as ETag",
                                         setting_show, .access = ACCESS_READ,  .gives = "Setting"};
const struct route route_setting_put = {"PUT",
                                        "/api/v1/settings/:id",
                                        "set a value; If-Match: the version that was read",
                                        setting_put_here,
                                        .takes = "SettingInput",
                                        .access = ACCESS_ADMIN,
                                        .gives = "Setting"};
const struct route route_setting_reset = {"DELETE",      "/api/v1/settings/:id", "back to the default",
                                          setting_reset, .access = ACCESS_ADMIN, .gives = "Setting"};
/* What the next start would say of the file and the environment, which may have changed since this one. */
static enum rc settings_check(struct route_call *c)
{
    struct settings *set;
    struct setting_problem *problems = NULL;
    struct settings_source source = {.without_stored = true};
    bool exists;
    enum rc rc = settings_load(c->ctx, &source, &set, &problems, &c->err);
    if (rc != RC_OK && !set)
        return rc;
    jo_obj(&c->out);
    jo_kz(&c->out, "file", settings_file(set, &exists));
    jo_kb(&c->out, "file_exists", exists);
    jo_key(&c->out, "problems");
    jo_arr(&c->out);
    for (; problems; problems = problems->next)
        jo_z(&c->out, problems->sentence);
    jo_end_arr(&c->out);
    jo_end_obj(&c->out);
    c->err = (struct err){0};
    return RC_OK;
}

const struct route route_settings_check = {
    "GET",          "/api/v1/settings/check", "what is wrong in the settings file as it is now",
    settings_check, .access = ACCESS_ADMIN,   .gives = "SettingsCheck"};
const struct route route_settings_history = {"GET",
                                             "/api/v1/settings/history",
                                             "who changed what, newest first",
                                             settings_history,
                                             .access = ACCESS_READ,
                                             .query = "name before limit",
                                             .gives = "SettingHistory"};
const struct route route_settings_revert = {"POST",
                                            "/api/v1/settings/revert",
                                            "undo a change",
                                            settings_revert,
                                            .takes = "SettingRevert",
                                            .access = ACCESS_ADMIN,
                                            .gives = "Setting"};
