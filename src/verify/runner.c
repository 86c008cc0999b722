/* The list of runners, and what they share: tallies, globs and reading lines. */
#include "verify/runner.h"
#include "base/text.h"

#define RUNNER(name) extern const struct runner runner_##name;
#include "verify/runners.def"
#undef RUNNER

const struct runner *const runners[] = {
#define RUNNER(name) &runner_##name,
#include "verify/runners.def"
#undef RUNNER
    NULL};

_Static_assert(sizeof runners / sizeof runners[0] <= 33, "test_counts.seen has a bit for each runner");

const struct runner *runner_find(const char *name)
{
    for (const struct runner *const *r = runners; name && *r; r++)
        if (strcmp((*r)->name, name) == 0)
            return *r;
    return NULL;
}

/* Most globs are a plain name ("Makefile") or a plain folder ("tests/"), which hundreds of paths are held against. */
static bool glob_plain(struct str glob, struct str path, bool *ret)
{
    bool folder = str_ends(glob, STR("/"));
    glob.n -= folder;
    for (size_t i = 0; i < glob.n; i++)
        if (strchr("*?[\\/", glob.p[i]))
            return false;
    *ret = false;
    for (struct str name; str_next(&path, '/', &name);)
        *ret |= str_eq(name, glob) && (path.n > 0) == folder;
    return true;
}

/* Most others end in some letters ("*_test.go"): a path with another end is none of theirs. */
static bool glob_end_fits(struct str glob, struct str path)
{
    size_t from;
    scan_z(&glob, "/");
    for (from = glob.n; from && !strchr("*?[]\\", glob.p[from - 1]);)
        from--;
    struct str end = str_sub(glob, from, glob.n);
    return str_ends(glob, STR("/")) || str_ends(path, end);
}

bool globs_match(const char *const *globs, const char *path)
{
    for (; globs && *globs; globs++) {
        bool match;
        if (!glob_plain(str_of(*globs), str_of(path), &match))
            match = glob_end_fits(str_of(*globs), str_of(path)) && text_glob(str_of(*globs), str_of(path));
        if (match)
            return true;
    }
    return false;
}

/* ---- tallies ---- */

static void sum_add(struct tally *t, int64_t *sum, int64_t n)
{
    if (n < 0 || n > RUNNER_COUNT_MAX || *sum > RUNNER_COUNT_MAX - n)
        t->broken = true;
    else
        *sum += n;
}

void tally_add(struct tally *t, int64_t passed, int64_t failed, int64_t skipped)
{
    t->seen = true;
    sum_add(t, &t->passed, passed);
    sum_add(t, &t->failed, failed);
    sum_add(t, &t->skipped, skipped);
}

void tally_add_total(struct tally *t, int64_t total, int64_t passed, int64_t failed, int64_t skipped)
{
    tally_add(t, passed, failed, skipped);
    if (!t->broken && total != passed + failed + skipped)
        t->broken = true;
}

/* ---- reading lines ---- */

bool scan_z(struct str *s, const char *z)
{
    if (!str_starts(*s, str_of(z)))
        return false;
    *s = str_sub(*s, strlen(z), s->n);
    return true;
}

void scan_blank(struct str *s)
{
    while (s->n && (s->p[0] == ' ' || s->p[0] == '\t'))
        *s = str_sub(*s, 1, s->n);
}

static size_t digits(struct str s)
{
    size_t n = 0;
    while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
        n++;
    return n;
}

bool scan_count(struct str *s, int64_t *ret)
{
    size_t n = digits(*s);
    if (!str_int(str_sub(*s, 0, n), 0, RUNNER_COUNT_MAX, ret))
        return false;
    *s = str_sub(*s, n, s->n);
    return true;
}

bool scan_decimal(struct str *s)
{
    size_t n = digits(*s);
    if (!n)
        return false;
    struct str rest = str_sub(*s, n, s->n), tail = rest;
    if (scan_z(&tail, ".") && digits(tail))
        rest = str_sub(tail, digits(tail), tail.n);
    *s = rest;
    return true;
}

bool scan_word(struct str *s, struct str *ret)
{
    size_t n = 0;
    while (n < s->n && ((s->p[n] | 0x20) >= 'a' && (s->p[n] | 0x20) <= 'z'))
        n++;
    if (!n)
        return false;
    *ret = str_sub(*s, 0, n);
    *s = str_sub(*s, n, s->n);
    return true;
}

/* ---- places in a text ---- */

bool text_has_line(struct str text, const char *start)
{
    for (struct str line; str_line(&text, &line);) {
        scan_blank(&line);
        if (str_starts(line, str_of(start)))
            return true;
    }
    return false;
}

size_t text_line_at(struct str text, const char *start)
{
    struct str rest = text;
    for (struct str line; str_line(&rest, &line);)
        if (str_starts(line, str_of(start)))
            return (size_t)(line.p - text.p);
    return text.n;
}
