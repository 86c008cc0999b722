/* meson test: the closing block "Ok: 1", "Expected Fail: 0", "Fail: 1", ... Programs are counted. */
#include "verify/runner.h"

struct meson {
    struct tally t;
    bool block;
};

static void meson_line(void *state, struct str line)
{
    static const struct {
        const char *key;
        int passed, failed, skipped;
    } keys[] = {
        {"Ok:", 1, 0, 0},      {"Expected Fail:", 0, 0, 1}, {"Fail:", 0, 1, 0},    {"Unexpected Pass:", 0, 1, 0},
        {"Skipped:", 0, 0, 1}, {"Timeout:", 0, 1, 0},       {"Ignored:", 0, 0, 1},
    };
    struct meson *m = state;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct str s = line;
        int64_t n;
        if (!scan_z(&s, keys[i].key) || !s.n || s.p[0] != ' ')
            continue;
        scan_blank(&s);
        if (!scan_count(&s, &n) || str_trim(s).n)
            continue;
        if (i == 0)
            m->block = true;
        if (m->block)
            tally_add(&m->t, n * keys[i].passed, n * keys[i].failed, n * keys[i].skipped);
        return;
    }
    if (m->block && line.n)
        m->block = false;
}

static void meson_end(void *state)
{
    struct meson *m = state;
    m->t.coarse = true;
}

static bool meson_canary(struct canary_site *site, struct str text, struct buf *out)
{
    if (!text_has_line(text, "project("))
        return false;
    buf_str(out, text);
    return buf_printf(out, "\ntest('%sa', find_program('false'))\n", site->name);
}

static const char *const canary_files[] = {"/meson.build", NULL};
static const char *const config[] = {"meson.build", "meson_options.txt", "meson.options", "*.wrap", NULL};

const struct runner runner_meson = {
    .name = "meson",
    .state = sizeof(struct meson),
    .line = meson_line,
    .end = meson_end,
    .config = config,
    .canary_files = canary_files,
    .canary = meson_canary,
};
