/* TAP, the Test Anything Protocol: "1..3", "ok 1 - name", "not ok 2 # todo why", "ok 3 # SKIP why", "Bail out!".
 *
 * Several streams may follow each other or be mixed (make -j), so plans and results are summed. Results that a plan
 * promised and nobody delivered count as failed. Subtests are indented and belong to the result that follows them. */
#include "verify/runner.h"

struct tap {
    struct tally t;
    int64_t planned;
    bool plan, bailed;
};

static bool plan_take(struct str s, int64_t *ret)
{
    if (!scan_z(&s, "1..") || !scan_count(&s, ret))
        return false;
    scan_blank(&s);
    return !s.n || s.p[0] == '#';
}

static bool directive(struct str s, const char *word)
{
    long at = str_find(s, STR("# "));
    if (at < 0)
        return false;
    struct str rest = str_trim(str_sub(s, (size_t)at + 2, s.n));
    return str_ieq(str_sub(rest, 0, strlen(word)), str_of(word));
}

static void tap_line(void *state, struct str s)
{
    struct tap *t = state;
    int64_t n;
    if (plan_take(s, &n)) {
        t->plan = true;
        t->planned += n;
        t->t.broken |= t->planned > RUNNER_COUNT_MAX;
        t->t.seen = true;
        return;
    }
    if (str_starts(s, STR("Bail out!"))) {
        t->bailed = true;
        return;
    }
    bool bad = scan_z(&s, "not ok");
    if (!bad && !scan_z(&s, "ok"))
        return;
    if (s.n && s.p[0] != ' ')
        return;
    struct str rest = s;
    scan_blank(&rest);
    bool numbered = scan_count(&rest, &n);
    if (!numbered && !str_starts(rest, STR("-")) && !(bad && !rest.n))
        return; /* "ok" as a word of prose, and "ok  package" of others */
    if (directive(rest, "SKIP") || directive(rest, "todo"))
        tally_add(&t->t, 0, 0, 1);
    else
        tally_add(&t->t, !bad, bad, 0);
}

static void tap_end(void *state)
{
    struct tap *t = state;
    int64_t results = t->t.passed + t->t.failed + t->t.skipped;
    if (!t->plan && !results)
        return;
    if (t->plan && t->planned > results)
        tally_add(&t->t, 0, t->planned - results, 0);
    if (t->bailed)
        tally_add(&t->t, 0, 1, 0);
}

/* A shell script is its own process and may end anywhere, by traps too. So it is run once by itself, and then reports a
 * failing test, whatever it said. */
static bool shell_canary(struct canary_site *site, struct str text, struct buf *out)
{
    struct str line, rest = text;
    if (!str_line(&rest, &line) || !str_starts(line, STR("#!")) || str_find(line, STR("sh")) < 0)
        return false;
    const char *n = site->name;
    struct str shell = str_find(line, STR("bash")) > 0 ? STR("bash") : STR("sh");
    buf_str(out, str_sub(text, 0, text.n - rest.n));
    buf_printf(out,
               "if [ -z \"${%sv-}\" ]; then\n"
               "    %sv=1\n    export %sv\n    %.*s \"$0\" \"$@\"\n"
               "    echo 'not ok - %sa'\n    exit 1\nfi\n",
               n, n, n, STR_FMT(shell), n);
    return buf_str(out, rest);
}

static bool perl_canary(struct canary_site *site, struct str text, struct buf *out)
{
    if (!text_has_line(text, "use Test::More"))
        return false;
    size_t at = text_line_at(text, "done_testing"), end = text_line_at(text, "__END__");
    size_t data = text_line_at(text, "__DATA__");
    at = at < end ? at : end;
    at = at < data ? at : data;
    buf_str(out, str_sub(text, 0, at));
    buf_printf(out, "\n;Test::More::ok(0, '%sa');\nTest::More::is(1, 2, '%sb');\n", site->name, site->name);
    buf_printf(out, "Test::More::fail('%sc');\n", site->name);
    return buf_str(out, str_sub(text, at, text.n));
}

bool tap_canary(struct canary_site *site, struct str text, struct buf *out)
{
    if (text_has_line(text, "@test ")) { /* bats */
        buf_str(out, text);
        return buf_printf(out, "\n@test \"%sa\" {\n    false\n}\n", site->name);
    }
    return perl_canary(site, text, out) || shell_canary(site, text, out);
}

static const char *const tests[] = {"*.t",        "*.bats",     "test*.sh",  "*_test.sh", "*-test.sh",
                                    "run-tests*", "run_tests*", "runtests*", "/t/",       NULL};
const char *const tap_canary_files[] = {"*.t",          "*.bats",        "test*.sh",  "*_test.sh", "*-test.sh",
                                        "test/**/*.sh", "tests/**/*.sh", "t/**/*.sh", NULL};
static const char *const config[] = {".proverc", NULL};

const struct runner runner_tap = {
    .name = "tap",
    .state = sizeof(struct tap),
    .line = tap_line,
    .end = tap_end,
    .tests = tests,
    .config = config,
    .canary_files = tap_canary_files,
    .canary = tap_canary,
};
