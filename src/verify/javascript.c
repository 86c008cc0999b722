/* JavaScript and TypeScript test files: what node --test, jest, vitest and mocha share. */
#include "verify/runner.h"

enum style { STYLE_NODE, STYLE_VITEST, STYLE_JEST_IMPORT, STYLE_GLOBALS };

static bool mentions_module(struct str text, const char *module)
{
    CLEANUP_MEM mem *tmp = mem_root();
    return str_find(text, str_of(mem_printf(tmp, "'%s'", module))) >= 0 ||
           str_find(text, str_of(mem_printf(tmp, "\"%s\"", module))) >= 0;
}

static bool is_module(const char *path, struct str text)
{
    struct str p = str_of(path);
    if (str_ends(p, STR(".cjs")) || str_ends(p, STR(".cts")))
        return false;
    return str_ends(p, STR(".mjs")) || str_ends(p, STR(".mts")) || text_has_line(text, "import ") ||
           text_has_line(text, "import{") || text_has_line(text, "export ");
}

/* As with Python, each way to fail has a test of its own. */
static void node_tests(struct buf *out, const char *n)
{
    static const char *const failures[] = {
        "throw new Error()", "A.equal(1, 2)",      "A.strictEqual(1, 2)", "A.deepStrictEqual([1], [2])",
        "A.ok(false)",       "A.throws(() => {})", "A.match('a', /b/)"};
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        buf_printf(out, "%st('%s%c', () => { ", n, n, (char)('a' + i));
        if (failures[i][0] == 'A')
            buf_printf(out, "%sn%s; });\n", n, failures[i] + 1);
        else
            buf_printf(out, "%s; });\n", failures[i]);
    }
}

static void expect_tests(struct buf *out, const char *n, const char *test, const char *expect)
{
    static const char *const failures[] = {"(1).toBe(2)", "([1]).toEqual([2])", "(false).toBeTruthy()",
                                           "(() => {}).toThrow()"};
    buf_printf(out, "%s('%sa', () => { throw new Error(); });\n", test, n);
    for (size_t i = 0; expect && i < sizeof failures / sizeof failures[0]; i++)
        buf_printf(out, "%s('%s%c', () => { %s%s; });\n", test, n, (char)('b' + i), expect, failures[i]);
}

/* Whether a line at the very left begins a test with a literal name. */
static bool begins_test(struct str line)
{
    static const char *const calls[] = {"test('", "test(\"", "test(`", "it('", "it(\"", "it(`"};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (str_starts(line, str_of(calls[i])))
            return true;
    return false;
}

/* Backquotes on a line: an odd number opens or closes a text that spans lines. */
static bool template_flips(struct str line)
{
    bool flips = false;
    for (size_t i = 0; i < line.n; i++)
        flips ^= line.p[i] == '`' && (i == 0 || line.p[i - 1] != '\\');
    return flips;
}

/* The file with a failing statement at the start of those of its tests that are certain. */
static int64_t tests_break(struct str text, const char *framework, const char *statement, struct buf *out)
{
    bool certain = javascript_fewest(text, framework) > 0, template = false;
    int64_t broken = 0;
    struct str rest = text;
    for (struct str line; str_line(&rest, &line);) {
        bool open = str_ends(line, STR("=> {")) || str_ends(line, STR(") {"));
        buf_str(out, str_n(line.p, (size_t)((rest.n ? rest.p : text.p + text.n) - line.p)));
        if (certain && !template && open && begins_test(line) && rest.n) {
            buf_printf(out, "    %s;\n", statement);
            broken++;
        }
        template ^= template_flips(line);
    }
    return broken;
}

/* What makes an existing test fail, through the assertion that such files use. */
static const char *failing(mem *ctx, enum style style, bool module, bool expects, const char *n)
{
    if (style == STYLE_NODE)
        return module ? mem_printf(ctx, "%sn.equal(1, 2)", n) : "require('node:assert').equal(1, 2)";
    if (style == STYLE_GLOBALS)
        return expects ? "expect(1).toBe(2)" : "throw new Error()";
    return mem_printf(ctx, "%sn(1).toBe(2)", n);
}

bool javascript_canary(struct canary_site *site, struct str text, struct buf *out)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *n = site->name;
    bool module = is_module(site->path, text), expects = str_find(text, STR("expect(")) >= 0;
    enum style style = mentions_module(text, "node:test")       ? STYLE_NODE
                       : mentions_module(text, "vitest")        ? STYLE_VITEST
                       : mentions_module(text, "@jest/globals") ? STYLE_JEST_IMPORT
                                                                : STYLE_GLOBALS;
    bool calls =
        str_find(text, STR("test(")) >= 0 || str_find(text, STR("it(")) >= 0 || str_find(text, STR("test.")) >= 0;
    if (style == STYLE_GLOBALS && !calls)
        return false;
    /* A name that is required at the end of a file is not there yet when its first test begins. */
    bool named = module || style == STYLE_NODE || style == STYLE_GLOBALS;
    if (named)
        site->broken = tests_break(text, site->framework, failing(tmp, style, module, expects, n), out);
    else
        buf_str(out, text);
    buf_z(out, "\n;\n");
    if (style == STYLE_NODE) {
        if (module)
            buf_printf(out, "import { test as %st } from 'node:test';\nimport %sn from 'node:assert';\n", n, n);
        else
            buf_printf(out, "const %st = require('node:test');\nconst %sn = require('node:assert');\n", n, n);
        node_tests(out, n);
    } else if (style == STYLE_GLOBALS) {
        const char *test = str_find(text, STR("test(")) >= 0 ? "test" : "it";
        expect_tests(out, n, test, expects ? "expect" : NULL);
    } else {
        const char *from = style == STYLE_VITEST ? "vitest" : "@jest/globals";
        const char *test = mem_printf(tmp, "%st", n), *expect = mem_printf(tmp, "%sn", n);
        if (module)
            buf_printf(out, "import { test as %s, expect as %s } from '%s';\n", test, expect, from);
        else
            buf_printf(out, "const { test: %s, expect: %s } = require('%s');\n", test, expect, from);
        expect_tests(out, n, test, expect);
    }
    return !out->overflow;
}

/* Calls at the very left with a literal name: each is a test of its own, whatever else there is. */
int64_t javascript_fewest(struct str text, const char *framework)
{
    int64_t n = 0;
    (void)framework;
    if (str_find(text, STR(".only(")) >= 0 || str_find(text, STR("/*")) >= 0)
        return 0;
    bool template = false; /* inside a text between backquotes that spans lines */
    for (struct str line; str_line(&text, &line);) {
        n += !template && begins_test(line);
        template ^= template_flips(line);
    }
    return n;
}

const char *const javascript_tests[] = {
    "*.test.[jt]s", "*.test.[jt]sx",    "*.test.[cm][jt]s", "*.spec.[jt]s",     "*.spec.[jt]sx", "*.spec.[cm][jt]s",
    "test-*.[jt]s", "test-*.[cm][jt]s", "*-test.[jt]s",     "*-test.[cm][jt]s", "*_test.[jt]s",  "*_test.[cm][jt]s",
    "test.[jt]s",   "test.[cm][jt]s",   "__tests__/",       "__snapshots__/",   "*.snap",        NULL};
const char *const javascript_canary_files[] = {"*.test.[jt]s",
                                               "*.test.[jt]sx",
                                               "*.test.[cm][jt]s",
                                               "*.spec.[jt]s",
                                               "*.spec.[jt]sx",
                                               "*.spec.[cm][jt]s",
                                               "test-*.[jt]s",
                                               "test-*.[cm][jt]s",
                                               "*-test.[jt]s",
                                               "*-test.[cm][jt]s",
                                               "*_test.[jt]s",
                                               "*_test.[cm][jt]s",
                                               "test.[jt]s",
                                               "test.[cm][jt]s",
                                               "test/**/*.[jt]s",
                                               "test/**/*.[cm][jt]s",
                                               "tests/**/*.[jt]s",
                                               "tests/**/*.[cm][jt]s",
                                               "**/__tests__/**/*.[jt]s",
                                               "**/__tests__/**/*.[jt]sx",
                                               NULL};

/* package.json names the command, .npmrc can name another shell for it, node_modules/.bin comes first in its PATH, and
 * __mocks__ beside node_modules replaces modules by itself. */
const char *const javascript_config[] = {"package.json",
                                         ".npmrc",
                                         ".yarnrc",
                                         ".yarnrc.yml",
                                         ".yarn/",
                                         ".pnp.*",
                                         ".pnpmfile.cjs",
                                         "pnpm-workspace.yaml",
                                         "node_modules/",
                                         "jest.config.*",
                                         "jest.setup.*",
                                         "jest-*.config.*",
                                         "vitest.config.*",
                                         "vitest.workspace.*",
                                         "vitest.setup.*",
                                         "vite.config.*",
                                         ".mocharc*",
                                         "mocha.opts",
                                         ".nycrc*",
                                         ".c8rc*",
                                         "karma.conf.*",
                                         "ava.config.*",
                                         "babel.config.*",
                                         ".babelrc*",
                                         ".swcrc",
                                         "tsconfig*.json",
                                         "jsconfig.json",
                                         "setupTests.*",
                                         "playwright.config.*",
                                         "cypress.config.*",
                                         "__mocks__/",
                                         "turbo.json",
                                         "nx.json",
                                         "lerna.json",
                                         "bunfig.toml",
                                         "deno.json",
                                         "deno.jsonc",
                                         NULL};
