/* Which paths an agent may not decide with: what the runners list, CI, the project's own file, what defines a check,
 * and the operator's globs. Only names are judged here; tree.c looks at what changed. */
#include "base/text.h"
#include "verify/private.h"

static const char *const ci[] = {".github/",
                                 ".gitlab-ci.yml",
                                 ".gitlab/",
                                 ".ci/",
                                 "/ci/",
                                 ".circleci/",
                                 ".travis.yml",
                                 "azure-pipelines*.yml",
                                 "Jenkinsfile*",
                                 ".buildkite/",
                                 ".drone.yml",
                                 ".woodpecker*",
                                 ".woodpecker/",
                                 "appveyor.yml",
                                 ".appveyor.yml",
                                 "bitbucket-pipelines.yml",
                                 ".gitea/",
                                 ".forgejo/",
                                 ".pre-commit-config.yaml",
                                 "cloudbuild.yaml",
                                 ".cirrus.yml",
                                 ".teamcity/",
                                 NULL};
static const char *const project[] = {"/nightmill.yaml", "/nightmill.yml", "/.nightmill/", NULL};

static const char *const names[] = {
    [PROTECTED_NO] = "",          [PROTECTED_TEST] = "test",       [PROTECTED_RUNNER] = "runner",
    [PROTECTED_CI] = "ci",        [PROTECTED_PROJECT] = "project", [PROTECTED_EXTRA] = "extra",
    [PROTECTED_SHADOW] = "shadow"};

const char *protected_name(enum protected_kind k)
{
    return names[k];
}

/* A list that protects a folder protects the name of the folder too: a link could stand in its place. */
static bool list_has(const char *const *globs, const char *path, const char *as_folder)
{
    return globs_match(globs, path) || globs_match(globs, as_folder);
}

/* Words before the program of a shell command, and shells that take a script. */
static bool word_skipped(struct str word)
{
    static const char *const skipped[] = {"exec", "env", "time", "sh", "bash", "dash", "ksh", "zsh", "nice"};
    for (size_t i = 0; i < sizeof skipped / sizeof skipped[0]; i++)
        if (str_eqz(word, skipped[i]))
            return true;
    return word.p[0] == '-' || memchr(word.p, '=', word.n);
}

/* "./run-checks.sh --fast" is defined by that script. Only names that speak of checking count: "./app --selftest" runs
 * the very program that is being changed. */
const char *check_script(mem *ctx, const char *command)
{
    static const char *const speak[] = {"test", "check", "verify", "ci", ".sh", ".bash"};
    struct str rest = str_of(command), word;
    while (str_next(&rest, ' ', &word)) {
        if (!word.n || word_skipped(word))
            continue;
        bool here = scan_z(&word, "./");
        if ((!here && !memchr(word.p, '/', word.n) && !str_ends(word, STR(".sh"))) || !word.n || word.p[0] == '/')
            return NULL;
        for (size_t i = 0; i < sizeof speak / sizeof speak[0]; i++)
            if (str_ifind(word, str_of(speak[i])) >= 0)
                return str_dup(ctx, word);
        return NULL;
    }
    return NULL;
}

static bool defines_check(mem *tmp, const struct verify_spec *spec, const char *path)
{
    for (size_t i = 0; i < spec->check_count; i++) {
        const struct check *c = &spec->checks[i];
        const char *script = check_script(tmp, c->command);
        if ((c->defined_in && strcmp(c->defined_in, path) == 0) || (script && strcmp(script, path) == 0))
            return true;
    }
    return false;
}

enum protected_kind path_protected(const struct verify_spec *spec, const char *path)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *as_folder = mem_printf(tmp, "%s/.", path);
    if (list_has(project, path, as_folder))
        return PROTECTED_PROJECT;
    if (list_has(ci, path, as_folder))
        return PROTECTED_CI;
    if (defines_check(tmp, spec, path))
        return PROTECTED_RUNNER;
    for (size_t i = 0; runners[i]; i++)
        if (list_has(runners[i]->config, path, as_folder))
            return PROTECTED_RUNNER;
    if (list_has(spec->protect, path, as_folder))
        return PROTECTED_EXTRA;
    for (size_t i = 0; runners[i]; i++)
        if (list_has(runners[i]->tests, path, as_folder))
            return PROTECTED_TEST;
    for (size_t i = 0; runners[i]; i++)
        if (runners[i]->shadows && runners[i]->shadows(path))
            return PROTECTED_SHADOW;
    return PROTECTED_NO;
}

enum protected_kind change_protected(const struct verify_spec *spec, const char *path, bool exists_at_base)
{
    enum protected_kind kind = path_protected(spec, path);
    if (kind == PROTECTED_TEST && !exists_at_base)
        for (size_t i = 0; runners[i]; i++)
            if (runners[i]->shadows && runners[i]->shadows(path))
                return PROTECTED_SHADOW;
    if ((kind == PROTECTED_TEST && !exists_at_base) || (kind == PROTECTED_SHADOW && exists_at_base))
        return PROTECTED_NO;
    return kind;
}
