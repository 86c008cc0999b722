/* Where values come from: default, database, file, environment, flag. Every problem is collected; what is right counts.
 */
#include "base/log.h"
#include "base/text.h"
#include "conf/setting_private.h"
#include "conf/stored.h"
#include "conf/yaml.h"
#include "os/path.h"
#include <unistd.h>

extern char **environ;

enum { CONFIG_MOST = 256 << 10 };

struct loader {
    struct settings *set;
    mem *ctx;
    const char *const *env;
    struct setting_problem *first, **last;
};

static void problem_add(struct loader *l, const char *sentence)
{
    struct setting_problem *p = mem_new(l->ctx, struct setting_problem);
    p->sentence = mem_str(p, sentence);
    *l->last = p;
    l->last = &p->next;
}

/* Value of an environment variable, or NULL. An empty one counts as not set. */
static const char *env_get(const char *const *env, const char *name)
{
    size_t n = strlen(name);
    for (; *env; env++)
        if (!strncmp(*env, name, n) && (*env)[n] == '=')
            return (*env)[n + 1] ? *env + n + 1 : NULL;
    return NULL;
}

/* --- file -------------------------------------------------------------------------------------------------------- */

static char *file_find(struct loader *l, const struct settings_source *source, bool *ret_must_exist)
{
    const char *named = source->file ? source->file : env_get(l->env, "NIGHTMILL_CONFIG");
    *ret_must_exist = named != NULL;
    if (named)
        return mem_str(l->set, named);
    if (geteuid() == 0)
        return mem_str(l->set, "/etc/nightmill/config.yaml");
    const char *xdg = env_get(l->env, "XDG_CONFIG_HOME");
    if (xdg && xdg[0] == '/')
        return mem_printf(l->set, "%s/nightmill/config.yaml", xdg);
    return mem_printf(l->set, "%s/.config/nightmill/config.yaml", strcmp(l->set->home, "/") ? l->set->home : "");
}

static void file_value(struct loader *l, const char *section, const struct yaml *node)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err err = {0};
    const char *file = l->set->file;
    char *name = mem_printf(tmp, "%s.%s", section, node->key);
    const struct setting_row *row = setting_row_find(name);
    if (!row) {
        yaml_fail(&err, file, node, true, "There is no setting \"%s\".%s", text_terminal_line(tmp, str_of(name), 60),
                  setting_suggestion(tmp, str_of(name)));
    } else if (node->kind != YAML_TEXT) {
        yaml_fail(&err, file, node, false, "%s must be one value, not a %s.", name,
                  node->kind == YAML_MAP ? "map" : "list");
    } else if (yaml_absent(node)) {
        yaml_fail(&err, file, node, false, "%s has no value; leave the line out for the default.", name);
    } else {
        char *origin = mem_printf(tmp, "file %s:%d", file, node->line);
        struct err why = {0};
        if (setting_put(l->set, row, node->text, origin, &why) == RC_OK)
            return;
        yaml_fail(&err, file, node, false, "%s", why.sentence);
    }
    problem_add(l, err.sentence);
}

static bool section_known(struct str section)
{
    size_t n;
    const struct setting_row *rows = settings_rows(&n);
    for (size_t i = 0; i < n; i++)
        if (str_starts(str_of(rows[i].name), section) && rows[i].name[section.n] == '.')
            return true;
    return false;
}

static const char *section_suggestion(mem *ctx, const char *section)
{
    size_t n;
    const struct setting_row *rows = settings_rows(&n);
    const char **names = mem_array(ctx, const char *, n);
    for (size_t i = 0; i < n; i++)
        names[i] = str_dup(ctx, str_sub(str_of(rows[i].name), 0, (size_t)str_find(str_of(rows[i].name), STR("."))));
    const char *near = text_nearest(str_of(section), names, n);
    return near ? mem_printf(ctx, " Did you mean %s?", near) : "";
}

static void file_section(struct loader *l, const struct yaml *node)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err err = {0};
    if (!section_known(str_of(node->key))) {
        const char *dotted = setting_row_find(node->key) ? " Write the part before the dot as a section." : NULL;
        yaml_fail(&err, l->set->file, node, true, "There is no section \"%s\".%s",
                  text_terminal_line(tmp, str_of(node->key), 60), dotted ? dotted : section_suggestion(tmp, node->key));
    } else if (yaml_absent(node)) {
        return; /* a section whose lines are all commented out */
    } else if (node->kind != YAML_MAP) {
        yaml_fail(&err, l->set->file, node, false, "The section \"%s\" must be a map of settings.", node->key);
    } else {
        for (const struct yaml *child = node->first; child; child = child->next)
            file_value(l, node->key, child);
        return;
    }
    problem_add(l, err.sentence);
}

/* RC_OK with problems collected, or a failure to read. */
static enum rc file_load(struct loader *l, const struct settings_source *source, struct err *err)
{
    struct settings *set = l->set;
    bool must_exist;
    struct str text;
    struct yaml *root;
    struct err why = {0};
    CLEANUP_MEM mem *tmp = mem_root();
    set->file = file_find(l, source, &must_exist);
    enum rc rc = path_slurp(tmp, set->file, CONFIG_MOST, &text, err);
    if (rc == RC_NOT_FOUND && !must_exist)
        return RC_OK;
    if (rc == RC_NOT_FOUND && err)
        err_hint(err, "NIGHTMILL_CONFIG or --config names this file: create it, or unset the name.");
    if (rc)
        return rc;
    set->file_exists = true;
    if (yaml_parse(tmp, text, set->file, &root, &why) != RC_OK) {
        problem_add(l, why.sentence);
        return RC_OK;
    }
    if (root->kind != YAML_MAP && !yaml_absent(root)) {
        yaml_fail(&why, set->file, root, false, "The file must be a map of sections.");
        problem_add(l, why.sentence);
        return RC_OK;
    }
    for (const struct yaml *node = root->first; node; node = node->next)
        file_section(l, node);
    return RC_OK;
}

/* --- environment and flags --------------------------------------------------------------------------------------- */

/* A variable that begins like a section's but is no setting is a slip of the pen, except for these. */
static bool env_name_foreign(struct str name)
{
    return str_eqz(name, "NIGHTMILL_MODEL_KEY"); /* a credential */
}

/* Whether NIGHTMILL_X... begins with a section's name. */
static bool env_in_section(struct str name)
{
    struct str rest = str_sub(name, strlen("NIGHTMILL_"), name.n);
    size_t n;
    const struct setting_row *rows = settings_rows(&n);
    for (size_t i = 0; i < n; i++) {
        struct str section = str_sub(str_of(rows[i].name), 0, (size_t)str_find(str_of(rows[i].name), STR(".")));
        if (rest.n > section.n && rest.p[section.n] == '_' && str_ieq(str_sub(rest, 0, section.n), section))
            return true;
    }
    return false;
}

static void env_variable(struct loader *l, struct str name, const char *value)
{
    CLEANUP_MEM mem *tmp = mem_root();
    size_t n;
    const struct setting_row *rows = settings_rows(&n);
    const char **names = mem_array(tmp, const char *, n);
    for (size_t i = 0; i < n; i++) {
        names[i] = setting_env_name(tmp, &rows[i]);
        if (!str_eqz(name, names[i]))
            continue;
        struct err why = {0};
        char *origin = mem_printf(tmp, "environment %s", names[i]);
        if (setting_put(l->set, &rows[i], value, origin, &why) != RC_OK)
            problem_add(l, mem_printf(tmp, "environment %s: %s", names[i], why.sentence));
        return;
    }
    if (!env_in_section(name) || env_name_foreign(name))
        return;
    const char *near = text_nearest(name, names, n);
    problem_add(l, mem_printf(tmp, "environment %s: There is no such setting.%s%s%s", text_terminal_line(tmp, name, 80),
                              near ? " Did you mean " : "", near ? near : "", near ? "?" : ""));
}

static void env_load(struct loader *l)
{
    for (const char *const *e = l->env; *e; e++) {
        struct str entry = str_of(*e);
        long at = str_find(entry, STR("="));
        if (at > 0 && str_starts(entry, STR("NIGHTMILL_")) && (*e)[at + 1])
            env_variable(l, str_sub(entry, 0, (size_t)at), *e + at + 1);
    }
}

static void flags_load(struct loader *l, const char *const *flags)
{
    CLEANUP_MEM mem *tmp = mem_root();
    for (; flags && *flags; flags++) {
        struct err why = {0};
        const char *equals = strchr(*flags, '=');
        if (!equals) {
            problem_add(
                l, mem_printf(tmp, "--set %s: Write it as name=value.", text_terminal_line(tmp, str_of(*flags), 60)));
            continue;
        }
        char *name = mem_strn(tmp, *flags, (size_t)(equals - *flags));
        if (setting_set(l->set, name, equals + 1, "flag --set", &why) != RC_OK)
            problem_add(l, mem_printf(tmp, "--set: %s", why.sentence));
    }
}

/* What the server wrote down of its database, as far as no other source speaks. The folder is known only now. A file
 * that cannot be read must not keep a person from the command that mends it: it is told, and left out. */
static void stored_load(struct loader *l)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct setting_stored *rows;
    size_t n;
    struct err err = {0};
    const char *path = settings_stored_path(tmp, setting_text(l->set, "data.dir"));
    if (settings_stored_read(tmp, path, &rows, &n, &err) == RC_OK)
        settings_stored_apply(l->set, rows, n);
    else
        log_warn("%s cannot be read, so values that were set there do not count here: %s", path, err.sentence);
}

enum rc settings_load(mem *ctx, const struct settings_source *source, struct settings **ret,
                      struct setting_problem **ret_problems, struct err *err)
{
    struct loader l = {.ctx = ctx, .env = source->env ? source->env : (const char *const *)environ};
    l.last = &l.first;
    l.set = settings_new(ctx, env_get(l.env, "HOME"), env_get(l.env, "XDG_DATA_HOME"));
    *ret = NULL;
    if (ret_problems)
        *ret_problems = NULL;
    enum rc rc = file_load(&l, source, err);
    if (rc) {
        mem_free(l.set);
        return rc;
    }
    env_load(&l);
    flags_load(&l, source->flags);
    if (!source->without_stored)
        stored_load(&l);
    *ret = l.set;
    if (ret_problems)
        *ret_problems = l.first;
    if (!l.first)
        return RC_OK;
    err_set(err, RC_INVALID, "%s", l.first->sentence);
    return err ? err_hint(err, "`nightmill config check` lists everything that is wrong.") : RC_INVALID;
}
