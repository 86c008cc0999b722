/* Python test files: what pytest and unittest share. Reading is by line, aware of strings and brackets, no more: a file
 * that is unusual gets no canary and no certain number of tests, which only makes the verdict say less. */
#include "verify/runner.h"

struct scan {
    struct str rest;
    char quote; /* of the triple-quoted string that is open */
    int brackets;
    bool inside; /* the line begins inside a string or brackets */
};

static bool triple_at(struct str line, size_t i, char quote)
{
    return i + 2 < line.n && line.p[i] == quote && line.p[i + 1] == quote && line.p[i + 2] == quote;
}

static void scan_code(struct scan *s, struct str line)
{
    for (size_t i = 0; i < line.n; i++) {
        char c = line.p[i];
        if (s->quote) {
            if (c == '\\') {
                i++;
            } else if (triple_at(line, i, s->quote)) {
                s->quote = 0;
                i += 2;
            }
        } else if (c == '#') {
            return;
        } else if (c == '"' || c == '\'') {
            if (triple_at(line, i, c)) {
                s->quote = c;
                i += 2;
                continue;
            }
            for (i++; i < line.n && line.p[i] != c; i++)
                i += line.p[i] == '\\';
        } else if (strchr("([{", c)) {
            s->brackets++;
        } else if (strchr(")]}", c) && s->brackets) {
            s->brackets--;
        }
    }
}

static bool scan_next(struct scan *s, struct str *ret_line)
{
    if (!str_line(&s->rest, ret_line))
        return false;
    s->inside = s->quote || s->brackets;
    scan_code(s, *ret_line);
    return true;
}

/* Where the file's own tests have been said and nothing has been started yet. */
static bool end_of_tests(struct str text, size_t *ret)
{
    static const char *const starters[] = {"if __name__", "unittest.main(",   "pytest.main(", "sys.exit(",
                                           "exit(",       "raise SystemExit", "main("};
    struct scan s = {.rest = text};
    for (struct str line; scan_next(&s, &line);)
        for (size_t i = 0; !s.inside && i < sizeof starters / sizeof starters[0]; i++)
            if (str_starts(line, str_of(starters[i]))) {
                *ret = (size_t)(line.p - text.p);
                return true;
            }
    *ret = text.n;
    return !s.quote && !s.brackets;
}

/* Every way to fail has a test of its own: one that passes shows that an assertion was replaced. */
bool python_canary(const struct canary_site *site, struct str text, struct buf *out)
{
    static const char *const failures[] = {"raise AssertionError", "self.assertEqual(1, 2)", "self.assertTrue(False)",
                                           "self.assertIn(1, [])", "self.assertIs(1, None)", "self.fail()"};
    size_t at;
    const char *n = site->name;
    if (!end_of_tests(text, &at))
        return false;
    buf_str(out, str_sub(text, 0, at));
    buf_printf(out, "\nimport unittest as %su\n\n\nclass %sx(%su.TestCase):\n", n, n, n);
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
        buf_printf(out, "    def test_%s%c(self):\n        %s\n\n", n, (char)('a' + i), failures[i]);
    buf_printf(out, "    def test_%sk(self):\n        with self.assertRaises(KeyError):\n            pass\n\n", n);
    buf_printf(out, "\ndef test_%sl():\n    assert 1 == 2\n\n\ndef test_%sm():\n    raise AssertionError\n\n\n", n, n);
    if (text_has_line(text, "import pytest"))
        buf_printf(out, "def test_%sn():\n    with pytest.raises(KeyError):\n        pass\n\n\n", n);
    return buf_str(out, str_sub(text, at, text.n));
}

struct scope { /* what is known of the class or module that is being read */
    bool module, counts, unittest;
    size_t indent; /* of its members; 0: not seen yet (classes) */
    struct str *names;
    size_t n;
    bool init;
};

static size_t indent_of(struct str line)
{
    size_t n = 0;
    while (n < line.n && (line.p[n] == ' ' || line.p[n] == '\t'))
        n++;
    return n;
}

/* A name that is said twice is one test: the second hides the first. */
static bool name_new(mem *ctx, struct scope *scope, struct str name)
{
    for (size_t i = 0; i < scope->n; i++)
        if (str_eq(scope->names[i], name))
            return false;
    scope->names = mem_grow(ctx, scope->names, sizeof *scope->names * (scope->n + 1));
    scope->names[scope->n++] = name;
    return true;
}

static struct scope class_scope(struct str line, bool pytest)
{
    struct scope scope = {0};
    long open = str_find(line, STR("(")), test = str_find(line, STR("TestCase"));
    scope.unittest = open > 0 && test > open;
    scope.counts = scope.unittest || (pytest && str_starts(line, STR("class Test")));
    return scope;
}

static bool def_take(struct str line, struct str *ret_name)
{
    scan_blank(&line);
    if (!scan_z(&line, "async def ") && !scan_z(&line, "def "))
        return false;
    size_t n = 0;
    while (n < line.n && line.p[n] != '(' && line.p[n] != ' ')
        n++;
    *ret_name = str_sub(line, 0, n);
    return true;
}

enum { NAMES_MAX = 2000 /* in one scope; comparing them is quadratic */ };

static int64_t scope_count(const struct scope *scope)
{
    return scope->counts && !(scope->init && !scope->unittest) ? (int64_t)scope->n : 0;
}

int64_t python_fewest(struct str text, const char *framework)
{
    static const char *const unusual[] = {"load_tests", "__test__", "globals()", "setattr(", "collect_ignore"};
    bool pytest = strcmp(framework, "pytest") == 0;
    if (!pytest && strcmp(framework, "unittest") != 0)
        return 0;
    for (size_t i = 0; i < sizeof unusual / sizeof unusual[0]; i++)
        if (str_find(text, str_of(unusual[i])) >= 0)
            return 0;
    if (text_has_line(text, "del "))
        return 0;

    CLEANUP_MEM mem *tmp = mem_root();
    struct scope module = {.module = true, .counts = pytest}, class = {0};
    struct scan s = {.rest = text};
    bool in_class = false, fixture = false;
    int64_t total = 0;
    for (struct str line, name; scan_next(&s, &line);) {
        size_t indent = indent_of(line);
        if (s.inside || indent == line.n || line.p[indent] == '#')
            continue;
        struct scope *scope = in_class ? &class : &module;
        if (!indent && str_find(line, STR("class ")) == 0) {
            total += scope_count(&class);
            class = class_scope(line, pytest);
            in_class = true;
        } else if (!indent) {
            in_class = false;
            scope = &module;
        } else if (in_class && !class.indent) {
            class.indent = indent;
        }
        if (indent != scope->indent)
            continue;
        if (line.p[indent] == '@') {
            fixture |= str_find(line, STR("fixture")) > 0;
        } else if (def_take(line, &name)) {
            scope->init |= str_eqz(name, "__init__");
            if (!fixture && str_starts(name, STR("test")) && scope->n < NAMES_MAX)
                name_new(tmp, scope, name);
            fixture = false;
        } else {
            fixture = false;
        }
    }
    return total + scope_count(&class) + scope_count(&module);
}

const char *const python_tests[] = {"test_*.py", "*_test.py", "*_tests.py", "tests.py", "test.py", NULL};
const char *const python_canary_files[] = {"test*.py", "*_test.py", "*_tests.py", NULL};

/* Besides settings: what pytest loads by itself (conftest, entry points of installed packages, which lie in *-info
 * folders), and what the interpreter runs before any program (site and user customisation, .pth). */
const char *const python_config[] = {"conftest.py",
                                     "pytest.ini",
                                     ".pytest.ini",
                                     "tox.ini",
                                     "setup.cfg",
                                     "setup.py",
                                     "pyproject.toml",
                                     "noxfile.py",
                                     ".coveragerc",
                                     "pytest.toml",
                                     ".pytest.toml",
                                     "pyvenv.cfg",
                                     "sitecustomize.py",
                                     "usercustomize.py",
                                     "*.pth",
                                     "*.egg-info/",
                                     "*.dist-info/",
                                     "pytest.py",
                                     "pytest/",
                                     "_pytest/",
                                     "pluggy/",
                                     "pluggy.py",
                                     "sitecustomize/",
                                     "usercustomize/",
                                     ".venv/",
                                     "venv/",
                                     "manage.py",
                                     NULL};

/* Parts of the standard library that unittest, pytest or an assertion needs. */
static const char *const library[] = {
    "abc",       "argparse",    "ast",         "asyncio",    "atexit",       "base64",      "bdb",
    "builtins",  "codecs",      "collections", "concurrent", "contextlib",   "copy",        "copyreg",
    "ctypes",    "dataclasses", "datetime",    "decimal",    "difflib",      "dis",         "doctest",
    "email",     "encodings",   "enum",        "errno",      "faulthandler", "fnmatch",     "functools",
    "gc",        "genericpath", "getpass",     "glob",       "hashlib",      "importlib",   "inspect",
    "io",        "iniconfig",   "itertools",   "json",       "keyword",      "linecache",   "locale",
    "logging",   "marshal",     "math",        "numbers",    "opcode",       "operator",    "os",
    "packaging", "pathlib",     "pdb",         "pickle",     "pkgutil",      "platform",    "pluggy",
    "posixpath", "pprint",      "py",          "pytest",     "_pytest",      "queue",       "random",
    "re",        "reprlib",     "runpy",       "select",     "shlex",        "shutil",      "signal",
    "site",      "socket",      "stat",        "string",     "struct",       "subprocess",  "sysconfig",
    "tempfile",  "textwrap",    "threading",   "time",       "timeit",       "token",       "tokenize",
    "tomli",     "tomllib",     "traceback",   "types",      "typing",       "unicodedata", "unittest",
    "uuid",      "warnings",    "weakref",     "xml",        "zipfile",      "zipimport",   NULL};

/* Folders that the interpreter, a runner or the usual settings put first on the module path. */
static const char *const first_folders[] = {"/*", "src/*", "lib/*", "**/test/*", "**/tests/*", NULL};

bool python_shadows(const char *path)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct str p = str_of(path);
    if (str_ends(p, STR("/__init__.py")))
        p.n -= strlen("/__init__.py");
    else if (!str_ends(p, STR(".py")) && !str_ends(p, STR(".pyc")) && !str_ends(p, STR(".so")))
        return false;
    const char *whole = str_dup(tmp, p), *base = strrchr(whole, '/');
    base = base ? base + 1 : whole;
    struct str name = str_n(base, strcspn(base, "."));
    for (const char *const *l = library; *l; l++)
        if (str_eqz(name, *l))
            return globs_match(first_folders, whole);
    return false;
}
