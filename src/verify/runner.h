/* Test frameworks, one `const struct runner` each in runner_<name>.c, listed in runners.def. Private to this room.
 *
 * A runner says how its output is counted, how its test files look, which files steer it, and (where that can be done
 * safely) how a test that must fail is added to a test file. To add one: a file of its own, a line in runners.def, a
 * line in meson.build, and cases in tests/unit/verify/test_counts.c. A runner may leave out any part: "make" counts
 * nothing, but its files are protected. */
#pragma once
#include "verify/verify.h"

/* Sums of what one framework said. A sentence that contradicts itself makes the whole tally broken, and a broken tally
 * is as good as none: numbers that cannot be right are never used. */
struct tally {
    bool seen, broken;
    bool coarse; /* whole programs or packages were counted, not single tests */
    int64_t passed, failed, skipped;
    int64_t errors; /* part of failed: trouble outside of a test, which need not be a test of its own */
};
void tally_add(struct tally *t, int64_t passed, int64_t failed, int64_t skipped);
/* `total` must be the sum of the others, else the tally breaks. */
void tally_add_total(struct tally *t, int64_t total, int64_t passed, int64_t failed, int64_t skipped);

/* A test file that gets failing tests. Every name that is used begins with `name`, which is random and fits all
 * languages (a letter, then letters and digits), so that a program under test has no fixed word to look for. */
struct canary_site {
    const char *path;
    const char *name;
    const char *framework; /* the runner that was seen and will run it */
    int64_t broken;        /* result: tests of the file itself that were made to fail */
};

#define RUNNER_COUNT_MAX 10000000 /* larger numbers are not believed */
#define RUNNER_LINE_MAX  65536    /* longer lines are not read */

struct runner {
    const char *name;
    size_t state; /* bytes of the counting state, which begins with a struct tally; 0: does not count */
    void (*line)(void *state, struct str line);       /* one line, without colours and line end */
    void (*end)(void *state);                         /* may be NULL */
    void (*whole)(struct tally *t, struct str bytes); /* for reports that are one document; may be NULL */
    bool nameless;                                    /* its output may leave out the names of tests that fail */
    const char *const *covers; /* runners whose counts in the same output are the same tests again */
    const char *const *tests;  /* globs of test files and of what they need */
    const char *const *config; /* globs of files that steer the runner */
    /* Whether a file of this name would stand in front of the runner or the interpreter's own parts; may be NULL. */
    bool (*shadows)(const char *path);
    const char *const *canary_files; /* globs of files that may take a failing test */
    /* Writes `text` with tests added that must fail, false when this file cannot take them. */
    bool (*canary)(struct canary_site *site, struct str text, struct buf *out);
    /* Fewest tests that running this whole file reports; 0 when nothing is certain. `framework` is the runner that was
     * seen. */
    int64_t (*fewest)(struct str text, const char *framework);
    /* Where tests at the end of an ordinary source file begin; text.n when there are none. */
    size_t (*inline_tests)(struct str text);
};

extern const struct runner *const runners[]; /* NULL-terminated; at most 32 */
const struct runner *runner_find(const char *name);
bool globs_match(const char *const *globs, const char *path); /* NULL list: false */

/* Reading lines: each takes something off the front of *s, or leaves it and returns false. */
bool scan_z(struct str *s, const char *z);
void scan_blank(struct str *s);                 /* blanks and tabs, may be none */
bool scan_count(struct str *s, int64_t *ret);   /* a whole number up to RUNNER_COUNT_MAX */
bool scan_decimal(struct str *s);               /* 12 or 12.34 */
bool scan_word(struct str *s, struct str *ret); /* letters */

/* Python test files (unittest and pytest share them) and JavaScript ones (node, jest, vitest, mocha). */
bool python_canary(struct canary_site *site, struct str text, struct buf *out);
int64_t python_fewest(struct str text, const char *framework);
bool python_shadows(const char *path);
bool javascript_canary(struct canary_site *site, struct str text, struct buf *out);
int64_t javascript_fewest(struct str text, const char *framework);
bool tap_canary(struct canary_site *site, struct str text, struct buf *out);
bool c_shadows(const char *path);
extern const char *const python_canary_files[], *const javascript_canary_files[], *const tap_canary_files[];
extern const char *const python_tests[], *const javascript_tests[];
extern const char *const python_config[], *const javascript_config[];

/* Places in a file's text. */
bool text_has_line(struct str text, const char *start); /* a line that begins so, after blanks */
size_t text_line_at(struct str text,
                    const char *start); /* offset of the first line that begins exactly so, or text.n */
