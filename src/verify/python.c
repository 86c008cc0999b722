/* Python test files: what pytest and unittest share. Reading is by line, aware of strings and brackets, no more: a file
 * that is unusual gets no canary and no certain number of tests, which only makes the verdict say less. */
#include "verify/runner.h"
#include <stdlib.h>

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

/* ---- the tests of a file ---- */

struct test { /* a function that is certain to be run as a test */
    struct str name;
    size_t body; /* offset of its first line of code, 0: not known */
    size_t indent;
    bool method; /* of a unittest class: has self.assertEqual */
};
struct scope { /* what is known of the class or module that is being read */
    bool counts, unittest, init;
    size_t indent; /* of its members; 0: not seen yet (classes) */
    struct test *v;
    size_t n, room;
};
struct reader {
    mem *ctx;
    struct str text;
    struct scope module, class;
    bool in_class, fixture;
    struct test *open; /* its body has not begun */
    struct test *found;
    size_t n, room;
};

enum { NAMES_MAX = 2000 /* in one scope; comparing them is quadratic */ };

static size_t indent_of(struct str line)
{
    size_t n = 0;
    while (n < line.n && (line.p[n] == ' ' || line.p[n] == '\t'))
        n++;
    return n;
}

static struct test *tests_room(mem *ctx, struct test *v, size_t *room, size_t n)
{
    if (n <= *room)
        return v;
    *room = n * 2;
    return mem_grow(ctx, v, *room * sizeof *v);
}

/* A name that is said twice is one test: the second hides the first. */
static struct test *test_add(mem *ctx, struct scope *scope, struct test t)
{
    for (size_t i = 0; i < scope->n; i++)
        if (str_eq(scope->v[i].name, t.name)) {
            scope->v[i] = t;
            return &scope->v[i];
        }
    if (scope->n == NAMES_MAX)
        return NULL;
    scope->v = tests_room(ctx, scope->v, &scope->room, scope->n + 1);
    scope->v[scope->n] = t;
    return &scope->v[scope->n++];
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

/* What a scope that ends leaves behind. pytest passes by classes that have a constructor. */
static void scope_close(struct reader *r, struct scope *scope)
{
    if (scope->counts && !(scope->init && !scope->unittest) && scope->n) {
        r->found = tests_room(r->ctx, r->found, &r->room, r->n + scope->n);
        memcpy(r->found + r->n, scope->v, scope->n * sizeof *scope->v);
        r->n += scope->n;
    }
    mem_free(scope->v);
    *scope = (struct scope){0};
}

/* One line of code, with the scanner behind it. */
static void line_read(struct reader *r, const struct scan *s, struct str line, size_t indent, bool pytest)
{
    struct str name;
    struct scope *scope = r->in_class ? &r->class : &r->module;
    if (r->open) {
        if (indent > r->open->indent)
            r->open->body = (size_t)(line.p - r->text.p);
        r->open = NULL;
    }
    if (!indent && str_starts(line, STR("class "))) {
        scope_close(r, &r->class);
        r->class = class_scope(line, pytest);
        r->in_class = true;
    } else if (!indent) {
        r->in_class = false;
        scope = &r->module;
    } else if (r->in_class && !r->class.indent) {
        r->class.indent = indent;
    }
    if (indent != scope->indent)
        return;
    if (line.p[indent] == '@') {
        r->fixture |= str_find(line, STR("fixture")) > 0;
        return;
    }
    if (def_take(line, &name)) {
        scope->init |= str_eqz(name, "__init__");
        struct test t = {.name = name, .indent = indent, .method = scope->unittest};
        if (!r->fixture && str_starts(name, STR("test"))) {
            struct test *kept = test_add(r->ctx, scope, t);
            r->open = str_ends(str_trim(line), STR(":")) && !s->quote && !s->brackets ? kept : NULL;
        }
    }
    r->fixture = false;
}

/* Tests that the framework is certain to run, in no order. Files that build their tests by themselves have none. */
static size_t tests_find(mem *ctx, struct str text, const char *framework, struct test **ret)
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
    struct reader r = {.ctx = ctx, .text = text, .module.counts = pytest};
    struct scan s = {.rest = text};
    for (struct str line; scan_next(&s, &line);) {
        size_t indent = indent_of(line);
        if (!s.inside && indent < line.n && line.p[indent] != '#')
            line_read(&r, &s, line, indent, pytest);
    }
    scope_close(&r, &r.class);
    scope_close(&r, &r.module);
    *ret = r.found;
    return r.n;
}

int64_t python_fewest(struct str text, const char *framework)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct test *tests;
    return (int64_t)tests_find(tmp, text, framework, &tests);
}

/* ---- the canary ---- */

static int by_body(const void *a, const void *b)
{
    const struct test *x = a, *y = b;
    return (x->body > y->body) - (x->body < y->body);
}

/* The file with a failing line at the start of each test, up to `at`. */
static int64_t tests_break(const struct canary_site *site, struct str text, size_t at, struct buf *out)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct test *tests = NULL;
    size_t n = tests_find(tmp, text, site->framework, &tests), from = 0;
    int64_t broken = 0;
    if (n)
        qsort(tests, n, sizeof *tests, by_body);
    for (size_t i = 0; i < n; i++) {
        struct str rest = str_sub(text, tests[i].body, text.n);
        if (!tests[i].body || tests[i].body >= at)
            continue;
        buf_str(out, str_sub(text, from, tests[i].body - from));
        buf_str(out, str_sub(rest, 0, indent_of(rest)));
        buf_z(out, tests[i].method ? "self.assertEqual(1, 2)\n" : "assert 1 == 2\n");
        from = tests[i].body;
        broken++;
    }
    buf_str(out, str_sub(text, from, at - from));
    return broken;
}

/* Two kinds. The file's own tests are made to fail, so that a program which lies only for tests that it knows by name
 * is found out. And new tests are added under names that nobody knows, one for every way to fail, so that a replaced
 * assertion is found out. */
bool python_canary(struct canary_site *site, struct str text, struct buf *out)
{
    static const char *const failures[] = {"raise AssertionError", "self.assertEqual(1, 2)", "self.assertTrue(False)",
                                           "self.assertIn(1, [])", "self.assertIs(1, None)", "self.fail()"};
    size_t at;
    const char *n = site->name;
    if (!end_of_tests(text, &at))
        return false;
    site->broken = tests_break(site, text, at, out);
    buf_printf(out, "\nimport unittest as %su\n\n\nclass %sx(%su.TestCase):\n", n, n, n);
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
        buf_printf(out, "    def test_%s%c(self):\n        %s\n\n", n, (char)('a' + i), failures[i]);
    buf_printf(out, "    def test_%sk(self):\n        with self.assertRaises(KeyError):\n            pass\n\n", n);
    buf_printf(out, "\ndef test_%sl():\n    assert 1 == 2\n\n\ndef test_%sm():\n    raise AssertionError\n\n\n", n, n);
    if (text_has_line(text, "import pytest"))
        buf_printf(out, "def test_%sn():\n    with pytest.raises(KeyError):\n        pass\n\n\n", n);
    return buf_str(out, str_sub(text, at, text.n));
}

/* ---- names ---- */

const char *const python_tests[] = {"test_*.py", "*_test.py", "*_tests.py", "tests.py", "test.py", NULL};
const char *const python_canary_files[] = {"test*.py", "*_test.py", "*_tests.py", NULL};

/* Besides settings: what pytest loads by itself (conftest, entry points of installed packages, which lie in *-info
 * folders), and what the interpreter runs before any program (site and user customisation, .pth) or in the place of a
 * source (compiled files, which may say that they need not be compared with it). */
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
                                     "__pycache__/",
                                     "*.pyc",
                                     "*.pyo",
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
    else if (!str_ends(p, STR(".py")) && !str_ends(p, STR(".so")))
        return false;
    const char *whole = str_dup(tmp, p), *base = strrchr(whole, '/');
    base = base ? base + 1 : whole;
    struct str name = str_n(base, strcspn(base, "."));
    for (const char *const *l = library; *l; l++)
        if (str_eqz(name, *l))
            return globs_match(first_folders, whole);
    return false;
}
