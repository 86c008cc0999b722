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

static bool defines_check(mem *tmp, const struct verify_spec *spec, const char *path)
{
    for (size_t i = 0; i < spec->check_count; i++)
        if (spec->checks[i].defined_in && strcmp(spec->checks[i].defined_in, path) == 0)
            return true;
    for (const char *const *script = command_scripts(tmp, spec); *script; script++)
        if (strcmp(*script, path) == 0)
            return true;
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
