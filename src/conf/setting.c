/* The register: rows, values, getters, text forms. Where values come from is settings_load.c. */
#include "conf/setting.h"
#include "base/text.h"
#include "conf/setting_private.h"
#include "money/money.h"
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

static const struct setting_row rows[SETTING_COUNT] = {
#define SETTING(name, type, unit, standard, min, max, when, safe, help)                                                \
    {name, SETTING_##type, unit, standard, min, max, SETTING_##when, safe, help},
#include "conf/settings.def"
#undef SETTING
};

const struct setting_row *settings_rows(size_t *ret_n)
{
    *ret_n = SETTING_COUNT;
    return rows;
}

const struct setting_row *setting_row_find(const char *name)
{
    for (size_t i = 0; i < SETTING_COUNT; i++)
        if (!strcmp(rows[i].name, name))
            return &rows[i];
    return NULL;
}

static const struct setting_group groups[] = {
#define GROUP(name, title) {name, title},
#define SECTION(section, group)
#include "conf/groups.def"
#undef GROUP
#undef SECTION
};
static const struct {
    const char *section, *group;
} sections[] = {
#define GROUP(name, title)
#define SECTION(section, group) {section, group},
#include "conf/groups.def"
#undef GROUP
#undef SECTION
};

const struct setting_group *settings_groups(size_t *ret_n)
{
    *ret_n = sizeof groups / sizeof *groups;
    return groups;
}

const char *setting_group_of(const struct setting_row *row)
{
    size_t n = strcspn(row->name, ".");
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (!strncmp(sections[i].section, row->name, n) && !sections[i].section[n])
            return sections[i].group;
    return NULL;
}

/* Values that are needed before the database is open, and those without which nobody could come to put a mistake
 * right over the API. */
const char *setting_fixed_reason(const struct setting_row *row)
{
    static const struct {
        const char *name, *reason;
    } fixed[] = {
        {"data.dir", "it says where the database is, so it cannot be in it"},
        {"seal.key_file", "the key must stand outside of the database that it opens"},
        {"server.address", "the addresses are opened before the database is, and a mistake would lock everybody out"},
        {"server.tls_certificate", "it is needed before the database is open, and a mistake would lock everybody out"},
        {"server.tls_key", "it is needed before the database is open, and a mistake would lock everybody out"},
        {"server.client_ca", "a mistake would lock everybody out"},
    };
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (!strcmp(fixed[i].name, row->name))
            return fixed[i].reason;
    return NULL;
}

const char *setting_type_name(enum setting_type type)
{
    static const char *const names[] = {"number", "yes or no", "text", "choice", "duration",
                                        "size",   "money",     "path", "secret"};
    return names[type];
}

const char *setting_when_words(enum setting_when when)
{
    static const char *const words[] = {"next task", "daemon start", "at once"};
    return words[when];
}

char *setting_env_name(mem *ctx, const struct setting_row *row)
{
    char *name = mem_printf(ctx, "NIGHTMILL_%s", row->name);
    for (char *p = name; *p; p++)
        *p = (char)(*p == '.' ? '_' : *p >= 'a' && *p <= 'z' ? *p & ~0x20 : *p);
    return name;
}

/* --- text forms -------------------------------------------------------------------------------------------------- */

static char *duration_text(mem *ctx, int64_t s)
{
    static const struct {
        int64_t seconds;
        char letter;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    if (!s)
        return mem_str(ctx, "0");
    char *text = mem_str(ctx, "");
    for (size_t i = 0; i < 4; i++) {
        if (s / units[i].seconds)
            text = mem_printf(ctx, "%s%lld%c", text, (long long)(s / units[i].seconds), units[i].letter);
        s %= units[i].seconds;
    }
    return text;
}

static char *size_text(mem *ctx, int64_t bytes)
{
    int unit = 0;
    while (unit < 4 && bytes && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    return mem_printf(ctx, "%lld%.1s", (long long)bytes, &"\0kMGT"[unit]);
}

static char *number_text(mem *ctx, enum setting_type type, int64_t number)
{
    switch (type) {
    case SETTING_BOOL:
        return mem_str(ctx, number ? "true" : "false");
    case SETTING_DURATION:
        return duration_text(ctx, number);
    case SETTING_SIZE:
        return size_text(ctx, number);
    case SETTING_MONEY:
        return money_exact(ctx, number, number ? 2 : 0);
    default:
        return mem_printf(ctx, "%lld", (long long)number);
    }
}

bool setting_type_is_text(enum setting_type type)
{
    return type == SETTING_STRING || type == SETTING_ENUM || type == SETTING_PATH || type == SETTING_SECRET;
}

char *setting_number_words(mem *ctx, const struct setting_row *row, int64_t number)
{
    return number_text(ctx, row->type, number);
}

static char *words_join(mem *ctx, const char *words)
{
    struct str rest = str_of(words), word;
    char *joined = NULL;
    while (str_next(&rest, '|', &word))
        joined = mem_printf(ctx, "%s%s%.*s", joined ? joined : "", joined ? ", " : "", STR_FMT(word));
    return joined;
}

char *setting_range_words(mem *ctx, const struct setting_row *row)
{
    if (row->type == SETTING_ENUM)
        return words_join(ctx, row->unit);
    if (setting_type_is_text(row->type) || row->type == SETTING_BOOL)
        return mem_str(ctx, "");
    if (row->max == INT64_MAX)
        return mem_printf(ctx, "at least %s", number_text(ctx, row->type, row->min));
    return mem_printf(ctx, "%s to %s", number_text(ctx, row->type, row->min), number_text(ctx, row->type, row->max));
}

/* --- values ------------------------------------------------------------------------------------------------------ */

static bool number_parse(enum setting_type type, struct str s, int64_t *ret)
{
    switch (type) {
    case SETTING_BOOL:
        *ret = str_eqz(s, "true") || str_eqz(s, "yes") || str_eqz(s, "on") || str_eqz(s, "1");
        return *ret || str_eqz(s, "false") || str_eqz(s, "no") || str_eqz(s, "off") || str_eqz(s, "0");
    case SETTING_DURATION:
        return text_duration_parse(s, ret);
    case SETTING_SIZE:
        return text_size_parse(s, ret);
    case SETTING_MONEY:
        return money_parse(s, ret, NULL) == RC_OK;
    default:
        return str_int(s, INT64_MIN, INT64_MAX, ret);
    }
}

static const char *example_words(enum setting_type type)
{
    static const char *const words[] = {
        [SETTING_INT] = "a whole number",
        [SETTING_BOOL] = "true or false",
        [SETTING_STRING] = "a text",
        [SETTING_ENUM] = "one of these words",
        [SETTING_DURATION] = "a duration such as 90, 15m, 1h30m or 7d",
        [SETTING_SIZE] = "a size such as 4096, 64k or 4G",
        [SETTING_MONEY] = "an amount such as 2.00",
        [SETTING_PATH] = "an absolute path",
        [SETTING_SECRET] = "env:NAME or file:/PATH",
    };
    return words[type];
}

static bool enum_has(const char *words, const char *value)
{
    struct str rest = str_of(words), word;
    while (str_next(&rest, '|', &word))
        if (str_eqz(word, value))
            return true;
    return false;
}

static enum rc value_fail(const struct setting_row *row, const char *value, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *range = setting_range_words(tmp, row);
    if (row->type == SETTING_SECRET) /* it may be the secret itself */
        return err_set(err, RC_INVALID, "%s must be %s.", row->name, example_words(row->type));
    return err_set(err, RC_INVALID, "%s must be %s%s%s%s, not \"%s\".", row->name, example_words(row->type),
                   *range ? " (" : "", range, *range ? ")" : "", text_terminal_line(tmp, str_of(value), 60));
}

static bool text_allowed(const struct setting_row *row, const char *value)
{
    size_t n = strlen(value);
    if (n < (size_t)row->min || n > (size_t)row->max || !str_utf8(str_of(value)))
        return false;
    for (const char *p = value; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
    if (row->type == SETTING_ENUM)
        return enum_has(row->unit, value);
    if (row->type == SETTING_PATH)
        return !n || value[0] == '/';
    if (row->type == SETTING_SECRET)
        return !n || !strncmp(value, "env:", 4) || !strncmp(value, "file:/", 6) || !strncmp(value, "sealed:", 7);
    if (!strcmp(row->name, "money.currency"))
        return strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == n;
    return true;
}

char *home_folder(mem *ctx, const char *home)
{
    if (home && home[0] == '/')
        return mem_str(ctx, home);
    char words[4096];
    struct passwd pw, *found = NULL;
    bool known = getpwuid_r(geteuid(), &pw, words, sizeof words, &found) == 0 && found && found->pw_dir[0] == '/';
    return mem_str(ctx, known ? found->pw_dir : "/");
}

enum rc setting_put(struct settings *set, const struct setting_row *row, const char *value, const char *origin,
                    struct err *err)
{
    struct setting_value *v = &set->values[row - rows];
    if (setting_type_is_text(row->type)) {
        if (row->type == SETTING_PATH && !strncmp(value, "~/", 2))
            value = mem_printf(set, "%s/%s", strcmp(set->home, "/") ? set->home : "", value + 2);
        if (!text_allowed(row, value))
            return value_fail(row, value, err);
        v->text = mem_str(set, value);
    } else {
        int64_t number;
        if (!number_parse(row->type, str_of(value), &number) || number < row->min || number > row->max)
            return value_fail(row, value, err);
        v->number = number;
    }
    v->origin = mem_str(set, origin);
    return RC_OK;
}

/* The setting that a wrong name was probably meant to be, as a sentence in ctx, or "". */
char *setting_suggestion(mem *ctx, struct str name)
{
    const char *names[SETTING_COUNT];
    for (size_t i = 0; i < SETTING_COUNT; i++)
        names[i] = rows[i].name;
    const char *near = text_nearest(name, names, SETTING_COUNT);
    return near ? mem_printf(ctx, " Did you mean %s?", near) : mem_str(ctx, "");
}

enum rc setting_set(struct settings *set, const char *name, const char *value, const char *origin, struct err *err)
{
    const struct setting_row *row = setting_row_find(name);
    if (row)
        return setting_put(set, row, value, origin, err);
    CLEANUP_MEM mem *tmp = mem_root();
    return err_set(err, RC_INVALID, "There is no setting \"%s\".%s", text_terminal_line(tmp, str_of(name), 60),
                   setting_suggestion(tmp, str_of(name)));
}

static char *data_folder(struct settings *set, const char *xdg_data_home)
{
    if (geteuid() == 0)
        return mem_str(set, "/var/lib/nightmill");
    if (xdg_data_home && xdg_data_home[0] == '/')
        return mem_printf(set, "%s/nightmill", xdg_data_home);
    return mem_printf(set, "%s/.local/share/nightmill", strcmp(set->home, "/") ? set->home : "");
}

struct settings *settings_new(mem *ctx, const char *home, const char *xdg_data_home)
{
    struct settings *set = mem_new(ctx, struct settings);
    set->home = home_folder(set, home);
    set->file = "";
    set->data_dir = data_folder(set, xdg_data_home);
    for (size_t i = 0; i < SETTING_COUNT; i++)
        BUG_ON(setting_put(set, &rows[i], rows[i].standard, "default", NULL) != RC_OK);
    return set;
}

struct settings *settings_copy(mem *ctx, const struct settings *set)
{
    struct settings *copy = mem_new(ctx, struct settings);
    *copy = *set;
    copy->home = mem_str(copy, set->home);
    copy->data_dir = mem_str(copy, set->data_dir);
    copy->file = mem_str(copy, set->file);
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        copy->values[i].text = mem_str(copy, set->values[i].text);
        copy->values[i].origin = mem_str(copy, set->values[i].origin);
    }
    return copy;
}

struct settings *settings_default(mem *ctx)
{
    return settings_new(ctx, getenv("HOME"), getenv("XDG_DATA_HOME"));
}

/* --- getters ----------------------------------------------------------------------------------------------------- */

static const struct setting_value *value_of(const struct settings *set, const char *name, bool text)
{
    const struct setting_row *row = setting_row_find(name);
    if (!row || setting_type_is_text(row->type) != text)
        bug_at(__FILE__, __LINE__, "no %s setting \"%s\"", text ? "text" : "number", name);
    return &set->values[row - rows];
}

int64_t setting_int(const struct settings *set, const char *name)
{
    return value_of(set, name, false)->number;
}

bool setting_bool(const struct settings *set, const char *name)
{
    return value_of(set, name, false)->number != 0;
}

const char *setting_text(const struct settings *set, const char *name)
{
    const struct setting_value *v = value_of(set, name, true);
    return v == &set->values[0] && !*v->text ? set->data_dir : v->text;
}

char *setting_shown(mem *ctx, const struct settings *set, const struct setting_row *row)
{
    if (setting_type_is_text(row->type))
        return mem_str(ctx, setting_text(set, row->name));
    return number_text(ctx, row->type, set->values[row - rows].number);
}

const char *setting_origin(const struct settings *set, const struct setting_row *row)
{
    return set->values[row - rows].origin;
}

static const struct {
    const char *prefix, *name;
} froms[] = {
    [SETTING_FROM_DEFAULT] = {"default", "default"}, [SETTING_FROM_DATABASE] = {SETTING_DATABASE, "set"},
    [SETTING_FROM_FILE] = {"file ", "file"},         [SETTING_FROM_ENVIRONMENT] = {"environment ", "environment"},
    [SETTING_FROM_FLAG] = {"flag ", "flag"},         [SETTING_FROM_TASK] = {"task", "task"},
};

enum setting_from setting_from(const struct settings *set, const struct setting_row *row)
{
    const char *origin = setting_origin(set, row);
    for (size_t i = 0; i < sizeof froms / sizeof *froms; i++)
        if (!strncmp(origin, froms[i].prefix, strlen(froms[i].prefix)))
            return (enum setting_from)i;
    return SETTING_FROM_TASK;
}

const char *setting_from_name(enum setting_from from)
{
    return froms[from].name;
}

const char *setting_origin_place(const struct settings *set, const struct setting_row *row)
{
    const char *blank = strchr(setting_origin(set, row), ' ');
    return blank ? blank + 1 : "";
}

const char *settings_file(const struct settings *set, bool *ret_exists)
{
    if (ret_exists)
        *ret_exists = set->file_exists;
    return set->file;
}

char *settings_seal_file(mem *ctx, const struct settings *set)
{
    const char *own = setting_text(set, "seal.key_file"), *slash = strrchr(set->file, '/');
    if (*own)
        return mem_str(ctx, own);
    return mem_printf(ctx, "%.*s/seal.key", slash ? (int)(slash - set->file) : 1, slash ? set->file : ".");
}

/* --- JSON -------------------------------------------------------------------------------------------------------- */

void settings_json(const struct settings *set, struct json_out *out)
{
    CLEANUP_MEM mem *tmp = mem_root();
    jo_obj(out);
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (rows[i].type == SETTING_SECRET)
            continue;
        jo_key(out, rows[i].name);
        if (setting_type_is_text(rows[i].type) || rows[i].type == SETTING_MONEY)
            jo_z(out, setting_shown(tmp, set, &rows[i]));
        else if (rows[i].type == SETTING_BOOL)
            jo_bool(out, set->values[i].number != 0);
        else
            jo_int(out, set->values[i].number);
    }
    jo_end_obj(out);
}

static enum rc json_overlay(struct settings *set, struct json object, const char *origin, bool strict, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    if (json_type(object) != JSON_OBJECT)
        return err_set(err, RC_INVALID, "Settings must be a JSON object.");
    enum rc rc = RC_OK;
    for (struct json_iter it = json_iter(object); json_next(&it) && !rc;) {
        struct str name = json_iter_key(tmp, &it);
        const struct setting_row *row = memchr(name.p, '\0', name.n) ? NULL : setting_row_find(name.p);
        enum json_type type = json_type(it.value);
        if (!row && !strict)
            continue;
        if (!row)
            return err_set(err, RC_INVALID, "There is no setting \"%s\".%s", text_terminal_line(tmp, name, 60),
                           setting_suggestion(tmp, name));
        const char *text = type == JSON_STRING ? json_z(tmp, it.value, NULL) : str_dup(tmp, json_raw(it.value));
        if (!text || type == JSON_ARRAY || type == JSON_OBJECT || type == JSON_NULL)
            return err_set(err, RC_INVALID, "%s must be %s.", row->name, example_words(row->type));
        rc = setting_put(set, row, text, origin, err);
    }
    return rc;
}

enum rc settings_overlay_json(struct settings *set, struct json object, const char *origin, struct err *err)
{
    return json_overlay(set, object, origin, true, err);
}

enum rc settings_from_json(mem *ctx, struct str json, struct settings **ret, struct err *err)
{
    *ret = NULL;
    struct settings *set = settings_default(ctx);
    if (json.n) {
        struct json root;
        enum rc rc = json_parse(set, json, &root, err);
        if (!rc)
            rc = json_overlay(set, root, "task", false, err);
        if (rc) {
            mem_free(set);
            return rc;
        }
    }
    *ret = set;
    return RC_OK;
}

/* --- docs -------------------------------------------------------------------------------------------------------- */

static void cell_add(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            buf_char(out, '\\');
        buf_char(out, *text);
    }
    buf_z(out, " | ");
}

void settings_markdown(struct buf *out)
{
    CLEANUP_MEM mem *tmp = mem_root();
    buf_z(out, "| setting | default | range | applies | environment | meaning |\n|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting_row *row = &rows[i];
        const char *range = setting_range_words(tmp, row);
        buf_z(out, "| ");
        cell_add(out, mem_printf(tmp, "`%s`", row->name));
        cell_add(out, *row->standard ? mem_printf(tmp, "`%s`", row->standard) : "");
        cell_add(out, *range ? range : setting_type_name(row->type));
        cell_add(out, setting_when_words(row->when));
        cell_add(out, mem_printf(tmp, "`%s`", setting_env_name(tmp, row)));
        cell_add(out, row->help);
        out->n--; /* the last cell's blank */
        buf_advance(out, 0);
        buf_char(out, '\n');
    }
}
