/* cargo test: "running 2 tests" and "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; ...".
 */
#include "verify/runner.h"

struct cargo {
    struct tally t;
    int64_t running; /* -1: not announced */
    bool announced;
};

static void cargo_line(void *state, struct str s)
{
    struct cargo *c = state;
    int64_t n, passed, failed, ignored, measured, filtered;
    struct str begin = s;
    if (scan_z(&begin, "running ") && scan_count(&begin, &n) && (str_eqz(begin, " tests") || str_eqz(begin, " test"))) {
        c->t.broken |= c->announced; /* the first one never ended */
        c->announced = true;
        c->running = n;
        return;
    }
    if (!scan_z(&s, "test result: "))
        return;
    bool ok = scan_z(&s, "ok. ");
    if (!ok && !scan_z(&s, "FAILED. "))
        return;
    if (!scan_count(&s, &passed) || !scan_z(&s, " passed; ") || !scan_count(&s, &failed) || !scan_z(&s, " failed; ") ||
        !scan_count(&s, &ignored) || !scan_z(&s, " ignored; ") || !scan_count(&s, &measured) ||
        !scan_z(&s, " measured; ") || !scan_count(&s, &filtered) || !scan_z(&s, " filtered out"))
        return;
    if (ok && failed)
        c->t.broken = true;
    if (c->announced && c->running != passed + failed + ignored + measured)
        c->t.broken = true;
    c->announced = false;
    tally_add(&c->t, passed + measured, failed, ignored + filtered);
}

static void cargo_end(void *state)
{
    struct cargo *c = state;
    c->t.broken |= c->announced && c->t.seen;
}

static bool cargo_canary(struct canary_site *site, struct str text, struct buf *out)
{
    const char *n = site->name;
    if (!text_has_line(text, "#[test]"))
        return false;
    buf_str(out, text);
    buf_printf(out, "\n#[cfg(test)]\nmod %sm {\n", n);
    buf_printf(out, "    #[test]\n    fn %sa() {\n        panic!();\n    }\n", n);
    buf_printf(out, "    #[test]\n    fn %sb() {\n        assert_eq!(1, 2);\n    }\n", n);
    return buf_printf(out, "    #[test]\n    fn %sc() {\n        assert!(false);\n    }\n}\n", n);
}

static int64_t cargo_fewest(struct str text, const char *framework)
{
    if (strcmp(framework, "cargo") != 0 || text_has_line(text, "#![cfg("))
        return 0;
    int64_t n = 0, depth_unknown = 0;
    for (struct str line; str_line(&text, &line);) {
        line = str_trim(line);
        if (str_eqz(line, "#[test]"))
            n++;
        else if (str_starts(line, STR("#[cfg(")) && !str_eqz(line, "#[cfg(test)]"))
            depth_unknown++; /* what follows may not be compiled here */
        else if (str_starts(line, STR("/*")) || str_find(line, STR("macro_rules!")) >= 0)
            depth_unknown++;
    }
    return depth_unknown ? 0 : n;
}

/* "#[cfg(test)] mod tests { ... }" that runs to the end of the file, as is the custom. Anything else stays one piece.
 */
static size_t cargo_inline_tests(struct str text)
{
    size_t at = text_line_at(text, "#[cfg(test)]");
    struct str rest = str_sub(text, at, text.n), line;
    bool closed = false;
    str_line(&rest, &line);
    if (!str_line(&rest, &line) || (!str_starts(line, STR("mod ")) && !str_starts(line, STR("pub mod "))))
        return text.n;
    while (str_line(&rest, &line)) {
        if (!line.n || line.p[0] == ' ' || line.p[0] == '\t')
            continue;
        if (closed || !str_eqz(line, "}"))
            return text.n;
        closed = true;
    }
    return closed ? at : text.n;
}

static const char *const tests[] = {"*_test.rs", "*_tests.rs", "tests.rs", NULL};
static const char *const canary_files[] = {"*.rs", NULL};
static const char *const config[] = {"Cargo.toml",          ".cargo/", "build.rs", "rust-toolchain",
                                     "rust-toolchain.toml", NULL};

const struct runner runner_cargo = {
    .name = "cargo",
    .state = sizeof(struct cargo),
    .line = cargo_line,
    .end = cargo_end,
    .tests = tests,
    .config = config,
    .canary_files = canary_files,
    .canary = cargo_canary,
    .fewest = cargo_fewest,
    .inline_tests = cargo_inline_tests,
};
