/* Which scripts belong to the definition of a check: those that its command, the recipes of its Makefile or the scripts
 * of its package.json call by a name that speaks of checking.
 *
 * The name decides on purpose. "./app --selftest" runs the very program that is being changed: were it put back to the
 * base, the sealed run would judge the old program. A script that is missed here is caught by the canary where the
 * framework is known. */
#include "base/json.h"
#include "verify/private.h"

enum { DEFINITION_MAX = 1 << 20, SCRIPTS_MAX = 256 };

struct scripts {
    mem *ctx;
    const char **v;
    size_t n;
};

static bool in_list(struct str word, const char *const *list)
{
    for (; *list; list++)
        if (str_eqz(word, *list))
            return true;
    return false;
}

static bool speaks(struct str path)
{
    static const char *const words[] = {"test", "tests",    "check",     "checks", "verify",
                                        "ci",   "runtests", "selfcheck", "lint",   NULL};
    struct str word;
    while (path.n) {
        if (scan_word(&path, &word)) {
            if (in_list(word, words))
                return true;
        } else {
            path = str_sub(path, 1, path.n);
        }
    }
    return false;
}

/* The script that a simple command runs: behind variables, wrappers and an interpreter with its options. */
static void command_take(struct scripts *s, struct str command)
{
    static const char *const wrappers[] = {"exec", "env",  "time", "nice", "command", "then",
                                           "do",   "else", "if",   "!",    NULL};
    static const char *const interpreters[] = {"sh",      "bash", "dash", "ksh",  "zsh", "python",
                                               "python3", "perl", "ruby", "node", NULL};
    struct str word;
    bool interpreted = false;
    while (str_next(&command, ' ', &word)) {
        word = str_trim(word);
        while (scan_z(&word, "@") || scan_z(&word, "\"") || scan_z(&word, "'") || scan_z(&word, "./"))
            ;
        while (str_ends(word, STR("\"")) || str_ends(word, STR("'")))
            word.n--;
        if (!word.n || word.p[0] == '-' || memchr(word.p, '=', word.n) || (!interpreted && in_list(word, wrappers)))
            continue;
        if (!interpreted && in_list(word, interpreters)) {
            interpreted = true;
            continue;
        }
        if (word.p[0] != '/' && s->n < SCRIPTS_MAX && speaks(word))
            s->v[s->n++] = str_dup(s->ctx, word);
        return;
    }
}

/* Every simple command of a shell text. Quoting is not followed: a piece too many names no file, and does no harm. */
static void commands_take(struct scripts *s, struct str text)
{
    size_t from = 0;
    for (size_t i = 0; i <= text.n; i++)
        if (i == text.n || strchr(";&|()`{}\n\t", text.p[i])) {
            command_take(s, str_sub(text, from, i - from));
            from = i + 1;
        }
}

static void makefile_take(struct scripts *s, struct str text)
{
    for (struct str line; str_line(&text, &line);) {
        long semicolon = str_find(line, STR(";"));
        if (line.n && line.p[0] == '\t')
            commands_take(s, str_sub(line, 1, line.n));
        else if (semicolon > 0 && str_find(line, STR(":")) > 0) /* "target: ; command" */
            commands_take(s, str_sub(line, (size_t)semicolon, line.n));
    }
}

static void package_take(struct scripts *s, struct str text)
{
    struct json root, list;
    if (json_parse(s->ctx, text, &root, NULL) != RC_OK)
        return;
    list = json_get(root, "scripts");
    for (struct json_iter it = json_iter(list); json_type(list) == JSON_OBJECT && json_next(&it);)
        commands_take(s, json_str(s->ctx, it.value));
}

static struct scripts scripts_of(mem *ctx, const struct verify_spec *spec)
{
    struct scripts s = {.ctx = ctx, .v = mem_array(ctx, const char *, SCRIPTS_MAX + 1)};
    for (size_t i = 0; i < spec->check_count; i++)
        commands_take(&s, str_of(spec->checks[i].command));
    return s;
}

const char *const *command_scripts(mem *ctx, const struct verify_spec *spec)
{
    return scripts_of(ctx, spec).v;
}

enum rc definition_scripts(mem *ctx, const struct verify_spec *spec, const char *base, const char *const **ret,
                           struct err *err)
{
    struct scripts s = scripts_of(ctx, spec);
    *ret = s.v;
    for (size_t i = 0; i < spec->check_count; i++) {
        const char *path = spec->checks[i].defined_in, *slash = path ? strrchr(path, '/') : NULL;
        struct str name = str_of(slash ? slash + 1 : path), text;
        bool make = str_ifind(name, STR("makefile")) >= 0, package = str_eqz(name, "package.json");
        if (!make && !package)
            continue;
        enum rc rc = repo_blob(ctx, spec->git_dir, base, path, DEFINITION_MAX, &text, err);
        if (rc == RC_NOT_FOUND || rc == RC_LIMIT || rc == RC_INVALID)
            continue; /* it defines nothing here that could be read */
        if (rc != RC_OK)
            return rc;
        if (make)
            makefile_take(&s, text);
        else
            package_take(&s, text);
    }
    return RC_OK;
}
