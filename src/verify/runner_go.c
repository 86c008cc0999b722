/* go test: plain, -v and -json. Without -v only packages are named, so packages are counted (coarse). */
#include "base/json.h"
#include "verify/runner.h"

struct go {
    struct tally fine;
    struct tally packages;
    bool verbose;
    int64_t begun; /* "=== RUN" lines */
    int64_t broken_builds;
};

static void go_json(struct go *g, struct str line)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json v;
    if (json_parse(tmp, line, &v, NULL) != RC_OK || !json_is(json_get(v, "Package")))
        return;
    struct json action = json_get(v, "Action");
    if (!json_str(tmp, json_get(v, "Test")).n) {
        if (json_eqz(action, "start"))
            g->verbose = g->fine.seen = true; /* a run without any test is still a run */
        return;
    }
    g->verbose = true;
    if (json_eqz(action, "pass"))
        tally_add(&g->fine, 1, 0, 0);
    else if (json_eqz(action, "fail"))
        tally_add(&g->fine, 0, 1, 0);
    else if (json_eqz(action, "skip"))
        tally_add(&g->fine, 0, 0, 1);
}

/* "ok  \tname\t0.01s", "FAIL\tname\t0.01s", "FAIL\tname [build failed]", "ok  \tname\t(cached)". */
static void go_package(struct go *g, struct str s)
{
    bool ok = scan_z(&s, "ok  \t");
    if (!ok && !scan_z(&s, "FAIL\t"))
        return;
    struct str name;
    if (!ok && str_ends(s, STR("failed]"))) {
        g->broken_builds++;
        return;
    }
    if (!str_next(&s, '\t', &name) || !name.n || memchr(name.p, ' ', name.n))
        return;
    if (str_find(s, STR("[no tests to run]")) >= 0) {
        g->packages.seen = true;
        return;
    }
    if ((scan_z(&s, "(cached)") || (scan_decimal(&s) && scan_z(&s, "s"))) && (!s.n || s.p[0] == '\t'))
        tally_add(&g->packages, ok, !ok, 0);
}

static void go_line(void *state, struct str line)
{
    struct go *g = state;
    if (str_starts(line, STR("{\"")) && str_find(line, STR("\"Action\"")) > 0) {
        go_json(g, line);
        return;
    }
    if (str_starts(line, STR("=== RUN   "))) {
        g->verbose = g->fine.seen = true;
        g->begun++;
        return;
    }
    go_package(g, line);
    scan_blank(&line); /* subtests are indented */
    if (scan_z(&line, "--- PASS: "))
        tally_add(&g->fine, 1, 0, 0);
    else if (scan_z(&line, "--- FAIL: "))
        tally_add(&g->fine, 0, 1, 0);
    else if (scan_z(&line, "--- SKIP: "))
        tally_add(&g->fine, 0, 0, 1);
}

static void go_end(void *state)
{
    struct go *g = state;
    int64_t ended = g->fine.passed + g->fine.failed + g->fine.skipped;
    if (!g->verbose) {
        g->fine = g->packages;
        g->fine.seen |= g->broken_builds > 0;
        g->fine.coarse = true;
    } else if (g->begun > ended) {
        tally_add(&g->fine, 0, g->begun - ended, 0); /* begun and never heard of again */
    } else if (g->begun && g->begun < ended) {
        g->fine.broken = true; /* a test wrote such lines itself */
    }
    if (g->broken_builds) {
        g->fine.errors += g->broken_builds;
        tally_add(&g->fine, 0, g->broken_builds, 0);
    }
}

static bool go_canary(struct canary_site *site, struct str text, struct buf *out)
{
    if (!text_has_line(text, "\"testing\"") && !text_has_line(text, "import \"testing\""))
        return false;
    buf_str(out, text);
    const char *n = site->name;
    buf_printf(out, "\nfunc Test_%sa(t *testing.T) {\n\tt.Fail()\n}\n", n);
    buf_printf(out, "\nfunc Test_%sb(t *testing.T) {\n\tt.Fatal(\"%sb\")\n}\n", n, n);
    return buf_printf(out, "\nfunc Test_%sc(t *testing.T) {\n\tt.Errorf(\"%sc\")\n}\n", n, n);
}

static int64_t go_fewest(struct str text, const char *framework)
{
    if (strcmp(framework, "go") != 0 || text_has_line(text, "//go:build") || text_has_line(text, "// +build"))
        return 0;
    int64_t n = 0;
    for (struct str line; str_line(&text, &line);) {
        if (!scan_z(&line, "func Test"))
            continue;
        bool name = line.n && (line.p[0] == '_' || (line.p[0] >= 'A' && line.p[0] <= 'Z'));
        long open = str_find(line, STR("("));
        if (name && open > 0 && str_find(line, STR("*testing.T)")) > open)
            n++;
    }
    return n;
}

static const char *const tests[] = {"*_test.go", "testdata/", NULL};
static const char *const canary_files[] = {"*_test.go", NULL};
/* go.mod and vendor can put another test library in the place of the real one. */
static const char *const config[] = {"go.mod", "go.work", "vendor/", ".golangci.*", NULL};

const struct runner runner_go = {
    .name = "go",
    .state = sizeof(struct go),
    .line = go_line,
    .end = go_end,
    .tests = tests,
    .config = config,
    .canary_files = canary_files,
    .canary = go_canary,
    .fewest = go_fewest,
};
