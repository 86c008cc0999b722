/* The register of settings: one row says everything about a setting, and file, environment, flags, `config show`,
 * `config check`, runners and the docs follow from it (settings.def).
 *
 * Precedence, low to high: default, database (what was set over the API or by `config set`, see stored.h), file,
 * environment, flag. The file is $NIGHTMILL_CONFIG (which must then exist),
 * else /etc/nightmill/config.yaml for root, else $XDG_CONFIG_HOME/nightmill/config.yaml (~/.config). It is YAML with
 * one map a section. A setting `limits.turns` is NIGHTMILL_LIMITS_TURNS in the environment and `--set limits.turns=60`
 * as a flag. Unknown names and wrong values are errors that name the place and the nearest right name; nothing is taken
 * silently. Secrets are no settings: one holds a reference to where the secret is, never the secret. Threads: a loaded
 * register is read-only unless setting_set is called. Texts belong to the register. */
#pragma once
#include "base/json.h"

enum setting_type {
    SETTING_INT,
    SETTING_BOOL,
    SETTING_STRING,
    SETTING_ENUM,     /* one of the words in `unit`, separated by '|' */
    SETTING_DURATION, /* seconds; written "90", "15m", "1h30m", "7d" */
    SETTING_SIZE,     /* bytes; written "4096", "64k", "4G" */
    SETTING_MONEY,    /* pico-units of money.currency; written "2.00" */
    SETTING_PATH,     /* absolute; "~/" is the home folder */
    SETTING_SECRET,   /* where it is: env:NAME, file:/PATH or sealed:ID; "" for none. Never shown to people or tasks */
};
enum setting_when { SETTING_NEXT_TASK, SETTING_DAEMON_START, SETTING_AT_ONCE };

struct setting_row {
    const char *name; /* "section.name" */
    enum setting_type type;
    const char *unit;     /* "turns", "tokens"; words of an enum; "" */
    const char *standard; /* the default as it would be written in the file */
    int64_t min, max;     /* numbers: range; texts: bytes */
    enum setting_when when;
    bool project_safe; /* a repository may not widen this: nightmill.yaml has no say in it unless true */
    const char *help;  /* one sentence */
};
const struct setting_row *settings_rows(size_t *ret_n);
const struct setting_row *setting_row_find(const char *name); /* NULL when unknown */
/* Groups of settings in the order of a page; each section belongs to one (groups.def). */
struct setting_group {
    const char *name, *title;
};
const struct setting_group *settings_groups(size_t *ret_n);
const char *setting_group_of(const struct setting_row *row); /* its name; NULL when the section has no line */
/* Why a row can be set by file, environment or flag alone; NULL when it can be stored in the database too. */
const char *setting_fixed_reason(const struct setting_row *row);
const char *setting_type_name(enum setting_type type);
bool setting_type_is_text(enum setting_type type);                  /* has no number */
const char *setting_when_words(enum setting_when when);             /* "next task" */
char *setting_env_name(mem *ctx, const struct setting_row *row);    /* "NIGHTMILL_LIMITS_TURNS" */
char *setting_range_words(mem *ctx, const struct setting_row *row); /* "1 to 10000", "auto, always, never", "" */

struct settings;

/* Everything that was wrong, in the order found. */
struct setting_problem {
    const char *sentence; /* with the place: "config.yaml:3:5: ..." */
    struct setting_problem *next;
};
struct settings_source {
    const char *const *flags; /* "name=value", NULL-terminated; NULL: none */
    const char *const *env;   /* "NAME=value", NULL-terminated; NULL: the process's own */
    const char *file;         /* NULL: found by the rules above */
    bool without_stored;      /* who has the database reads them there */
};
/* RC_INVALID when anything was wrong: err has the first sentence, *ret_problems (may be NULL) all of them, and *ret is
 * filled with what was right, or with the default. *ret is NULL only for other failures (unreadable file). In ctx. */
MUST_USE enum rc settings_load(mem *ctx, const struct settings_source *source, struct settings **ret,
                               struct setting_problem **ret_problems, struct err *err);
struct settings *settings_copy(mem *ctx, const struct settings *set); /* ctx may be NULL */
struct settings *settings_default(mem *ctx); /* defaults alone, nothing is read but the home folder */

/* By name; an unknown name or the wrong kind of getter is a broken invariant. */
int64_t setting_int(const struct settings *set, const char *name); /* int, bool, seconds, bytes, pico-units */
bool setting_bool(const struct settings *set, const char *name);
const char *setting_text(const struct settings *set, const char *name); /* string, enum, path; never NULL, "" unset */
/* As it would be written in the file: "10m", "4G", "2.00". In ctx. */
char *setting_shown(mem *ctx, const struct settings *set, const struct setting_row *row);
/* "default", "database by ada at 2026-05-04T03:02:01Z", "file /etc/nightmill/config.yaml:3", "environment NIGHTMILL_X",
 * "flag --set", "task". */
const char *setting_origin(const struct settings *set, const struct setting_row *row);
#define SETTING_DATABASE "database "
enum setting_from {
    SETTING_FROM_DEFAULT,
    SETTING_FROM_DATABASE,
    SETTING_FROM_FILE,
    SETTING_FROM_ENVIRONMENT,
    SETTING_FROM_FLAG,
    SETTING_FROM_TASK
};
enum setting_from setting_from(const struct settings *set, const struct setting_row *row);
const char *setting_from_name(enum setting_from from); /* "default", "set", "file", "environment", "flag", "task" */
/* What follows the kind in the origin: "by ada at ...", "/etc/nightmill/config.yaml:3", "NIGHTMILL_X", "". */
const char *setting_origin_place(const struct settings *set, const struct setting_row *row);
/* How the number behind a value, or a bound of its range, is written: "10m", "4G". In ctx. */
char *setting_number_words(mem *ctx, const struct setting_row *row, int64_t number);
/* What the file was, or would be; whether it was there. */
const char *settings_file(const struct settings *set, bool *ret_exists);
/* The file of the sealing key (seal.key_file): beside the file of the settings, outside of the data folder, so that a
 * copy of that opens nothing. In ctx. */
char *settings_seal_file(mem *ctx, const struct settings *set);
/* Sets one value from its text; `origin` is copied. RC_INVALID, the sentence without a place. */
MUST_USE enum rc setting_set(struct settings *set, const char *name, const char *value, const char *origin,
                             struct err *err);

/* The effective values as one JSON object {"limits.turns":60,...}: numbers, booleans and strings; money as a decimal
 * string; no secrets. This is what a task takes with it. */
void settings_json(const struct settings *set, struct json_out *out);
/* Defaults overlaid with such an object; empty text: defaults. Names that are no longer known are left out, because a
 * task may be older than the program; a wrong value is RC_INVALID. In ctx. */
MUST_USE enum rc settings_from_json(mem *ctx, struct str json, struct settings **ret, struct err *err);
/* Overlays an object of the same shape, strictly: unknown names are RC_INVALID with a suggestion. */
MUST_USE enum rc settings_overlay_json(struct settings *set, struct json object, const char *origin, struct err *err);

/* The register as a Markdown table, for the docs. */
void settings_markdown(struct buf *out);
