/* Checks that a project offers by itself, found in the base commit. What is found is shown before the run; nothing here
 * is run, and every file is read as bytes from git. */
#include "base/json.h"
#include "base/text.h"
#include "verify/private.h"

enum { FILE_MAX = 1 << 20, TIMEOUT_S = 600, CHECKS_MAX = 8, SAMPLE_MAX = 20 };

struct finder {
    mem *ctx;
    const char *git_dir, *base;
    struct repo_entry *files;
    size_t file_count;
    struct check *found;
    size_t n;
};

static bool has_file(const struct finder *f, const char *path)
{
    for (size_t i = 0; i < f->file_count; i++)
        if (strcmp(f->files[i].path, path) == 0 && (f->files[i].mode & 0170000) == 0100000)
            return true;
    return false;
}

/* Contents, or an empty view when the file is missing or too large: then it says nothing about checks. */
static struct str file_text(const struct finder *f, const char *path)
{
    struct str text = {0};
    if (has_file(f, path) && repo_blob(f->ctx, f->git_dir, f->base, path, FILE_MAX, &text, NULL) != RC_OK)
        return STR("");
    return text;
}

static void add(struct finder *f, const char *name, const char *command, const char *defined_in, const char *origin)
{
    if (f->n == CHECKS_MAX)
        return;
    f->found[f->n] = (struct check){.name = name,
                                    .command = command,
                                    .timeout_s = TIMEOUT_S,
                                    .required = f->n == 0,
                                    .origin = mem_printf(f->ctx, "found: %s", origin),
                                    .defined_in = defined_in};
    f->n++;
}

/* "test:", "all test: deps" and "test::", but not "test := value". */
static bool makefile_has_target(struct str text, const char *target)
{
    for (struct str line, word; str_line(&text, &line);) {
        long colon = str_find(line, STR(":"));
        if (colon <= 0 || line.p[0] == '\t' || line.p[0] == '#')
            continue;
        struct str after = str_sub(line, (size_t)colon + 1, line.n), names = str_sub(line, 0, (size_t)colon);
        if (str_starts(after, STR("=")) || str_starts(after, STR(":=")) || memchr(names.p, '=', names.n))
            continue;
        while (str_next(&names, ' ', &word))
            if (str_eqz(word, target))
                return true;
    }
    return false;
}

static void find_make(struct finder *f)
{
    static const char *const files[] = {"GNUmakefile", "makefile", "Makefile"}; /* in the order of make itself */
    static const char *const targets[] = {"test", "check"};
    for (size_t i = 0; i < 3; i++) {
        if (!has_file(f, files[i]))
            continue;
        struct str text = file_text(f, files[i]);
        for (size_t t = 0; t < 2; t++)
            if (makefile_has_target(text, targets[t])) {
                add(f, targets[t], mem_printf(f->ctx, "make %s", targets[t]), files[i],
                    mem_printf(f->ctx, "%s has a target %s", files[i], targets[t]));
                return;
            }
        return; /* make reads only the first of them */
    }
}

static void find_npm(struct finder *f)
{
    struct json root;
    struct str text = file_text(f, "package.json");
    if (!text.n || json_parse(f->ctx, text, &root, NULL) != RC_OK)
        return;
    struct str script = json_str(f->ctx, json_path(root, "scripts.test"));
    if (str_trim(script).n && str_find(script, STR("no test specified")) < 0)
        add(f, "npm-test", "npm test", "package.json", "package.json has a script test");
}

/* A folder that is a package is loaded from the top, so that its relative imports work. */
static const char *unittest_command(const struct finder *f, const char *folder)
{
    const char *word = text_shell(f->ctx, str_of(folder));
    const char *top = has_file(f, mem_printf(f->ctx, "%s/__init__.py", folder)) ? " -t ." : "";
    return mem_printf(f->ctx, "python3 -m unittest discover -s %s%s", word, top);
}

/* What the Python tests are written for: a few are read. */
static void find_python(struct finder *f)
{
    static const char *const configs[] = {"pytest.ini", ".pytest.ini", "conftest.py", "tests/conftest.py",
                                          "test/conftest.py"};
    const char *config = NULL, *folder = NULL;
    bool pytest = false, tests = false;
    size_t read = 0;
    for (size_t i = 0; i < sizeof configs / sizeof configs[0] && !config; i++)
        if (has_file(f, configs[i]))
            config = configs[i];
    if (!config && str_find(file_text(f, "pyproject.toml"), STR("[tool.pytest")) >= 0)
        config = "pyproject.toml";
    if (!config && str_find(file_text(f, "setup.cfg"), STR("[tool:pytest]")) >= 0)
        config = "setup.cfg";
    if (!config && str_find(file_text(f, "tox.ini"), STR("[pytest]")) >= 0)
        config = "tox.ini";
    for (size_t i = 0; i < f->file_count && read < SAMPLE_MAX; i++) {
        static const char *const globs[] = {"test_*.py", "*_test.py", NULL};
        const char *path = f->files[i].path;
        if (!globs_match(globs, path))
            continue;
        tests = true;
        read++;
        const char *slash = strrchr(path, '/');
        if (!folder && slash)
            folder = mem_strn(f->ctx, path, (size_t)(slash - path));
        struct str text = file_text(f, path);
        pytest |= text_has_line(text, "import pytest") || text_has_line(text, "from pytest") ||
                  text_line_at(text, "def test") < text.n || str_find(text, STR("unittest")) < 0;
    }
    if (config)
        add(f, "pytest", "python3 -m pytest", config, mem_printf(f->ctx, "%s configures pytest", config));
    else if (tests && pytest)
        add(f, "pytest", "python3 -m pytest", NULL, "there are test files for pytest");
    else if (tests && folder)
        add(f, "unittest", unittest_command(f, folder), NULL,
            mem_printf(f->ctx, "there are unittest files in %s", folder));
    else if (tests)
        add(f, "unittest", "python3 -m unittest", NULL, "there are unittest files");
}

#define BUILD_DIR ".nightmill-build"

static void find_builds(struct finder *f)
{
    if (has_file(f, "Cargo.toml"))
        add(f, "cargo-test", "cargo test", "Cargo.toml", "there is a Cargo.toml");
    if (has_file(f, "go.mod"))
        add(f, "go-test", "go test ./...", "go.mod", "there is a go.mod");
    struct str cmake = file_text(f, "CMakeLists.txt");
    if (text_has_line(cmake, "enable_testing") || text_has_line(cmake, "include(CTest)"))
        add(f, "ctest",
            "cmake -S . -B " BUILD_DIR " && cmake --build " BUILD_DIR " && ctest --test-dir " BUILD_DIR
            " --output-on-failure",
            "CMakeLists.txt", "CMakeLists.txt enables testing");
    struct str meson = file_text(f, "meson.build");
    bool tests = text_has_line(meson, "test(");
    for (size_t i = 0, read = 0; i < f->file_count && meson.n && !tests && read < SAMPLE_MAX; i++)
        if (str_ends(str_of(f->files[i].path), STR("/meson.build"))) {
            tests = text_has_line(file_text(f, f->files[i].path), "test(");
            read++;
        }
    if (tests)
        add(f, "meson-test", "meson setup " BUILD_DIR " && meson test -C " BUILD_DIR " --print-errorlogs",
            "meson.build", "meson.build has tests");
}

enum rc check_detect(mem *ctx, const char *git_dir, const char *base, struct check **ret, size_t *ret_n,
                     struct err *err)
{
    struct finder f = {.ctx = ctx, .git_dir = git_dir, .base = base, .found = mem_array(ctx, struct check, CHECKS_MAX)};
    enum rc rc = repo_list(ctx, git_dir, base, &f.files, &f.file_count, err);
    if (rc != RC_OK)
        return rc;
    find_make(&f);
    find_npm(&f);
    find_python(&f);
    find_builds(&f);
    *ret = f.found;
    *ret_n = f.n;
    return RC_OK;
}
