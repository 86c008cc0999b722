/* Counts from the output of a run: each line is offered to every runner, then the tallies that hold are summed.
 *
 * The output is hostile: it may hold colours, progress bars that overwrite themselves, lines of megabytes, summaries
 * that a program wrote to look like a framework. Nothing here decides that a run was good; numbers only ever make a
 * verdict worse. */
#include "verify/runner.h"

enum { TEXT_BAD_TENTH = 10, TEXT_BAD_MIN = 64 };

/* Length of the terminal sequence that begins with the ESC at p[0]: CSI, OSC (ended by BEL or ESC \), or two bytes. */
static size_t escape_length(struct str s)
{
    size_t i = 2;
    if (s.n < 2)
        return s.n;
    if (s.p[1] == '[') {
        while (i < s.n && (s.p[i] < 0x40 || s.p[i] > 0x7e))
            i++;
        return i < s.n ? i + 1 : s.n;
    }
    if (s.p[1] == ']') {
        for (; i < s.n; i++) {
            if (s.p[i] == '\a')
                return i + 1;
            if (s.p[i] == '\033')
                return i + 1 < s.n ? i + 2 : s.n;
        }
        return s.n;
    }
    return 2;
}

/* The line without colours, in `room` (RUNNER_LINE_MAX bytes) when it had any. */
static struct str line_plain(struct str line, char *room)
{
    if (!memchr(line.p, '\033', line.n))
        return line;
    size_t n = 0;
    while (line.n) {
        size_t skip = line.p[0] == '\033' ? escape_length(line) : 0;
        if (!skip) {
            room[n++] = line.p[0];
            skip = 1;
        }
        line = str_sub(line, skip, line.n);
    }
    return str_n(room, n);
}

static void line_offer(void **states, struct str line, char *room)
{
    line = line_plain(line, room);
    for (size_t i = 0; runners[i]; i++)
        if (runners[i]->line)
            runners[i]->line(states[i], line);
}

/* Lines end at LF, and at CR too: a progress bar that writes over itself is many short lines. */
static void lines_offer(void **states, struct str output, char *room)
{
    for (struct str line; str_line(&output, &line);)
        for (struct str piece; str_next(&line, '\r', &piece);)
            if (piece.n <= RUNNER_LINE_MAX)
                line_offer(states, piece, room);
}

static bool covered(const struct tally *tallies, size_t at)
{
    for (size_t i = 0; runners[i]; i++)
        for (const char *const *c = runners[i]->covers; c && *c; c++)
            if (i != at && tallies[i].seen && strcmp(*c, runners[at]->name) == 0)
                return true;
    return false;
}

static bool tallies_sum(const struct tally *tallies, struct test_counts *ret)
{
    int64_t most = -1;
    *ret = (struct test_counts){0};
    for (size_t i = 0; runners[i]; i++) {
        const struct tally *t = &tallies[i];
        if (!t->seen || t->broken || covered(tallies, i))
            continue;
        int64_t total = t->passed + t->failed + t->skipped;
        ret->passed += t->passed;
        ret->failed += t->failed;
        ret->skipped += t->skipped;
        ret->errors += t->errors;
        ret->total += total;
        ret->coarse |= t->coarse;
        ret->seen |= 1u << i;
        if (total > most) {
            most = total;
            ret->framework = runners[i]->name;
        }
    }
    return ret->framework != NULL;
}

bool counts_read(struct str output, struct test_counts *ret)
{
    CLEANUP_MEM mem *tmp = mem_root();
    void *states[33];
    struct tally tallies[33];
    memset(tallies, 0, sizeof tallies);
    for (size_t i = 0; runners[i]; i++)
        states[i] = runners[i]->state ? mem_zalloc(tmp, runners[i]->state) : NULL;
    lines_offer(states, output, mem_array(tmp, char, RUNNER_LINE_MAX));
    for (size_t i = 0; runners[i]; i++) {
        if (runners[i]->end)
            runners[i]->end(states[i]);
        if (states[i])
            tallies[i] = *(struct tally *)states[i];
        if (runners[i]->whole)
            runners[i]->whole(&tallies[i], output);
    }
    return tallies_sum(tallies, ret);
}

bool counts_text(struct str output)
{
    size_t bad = 0;
    for (size_t i = 0; i < output.n;) {
        struct str rest = str_sub(output, i, 4);
        unsigned char c = (unsigned char)rest.p[0];
        size_t step = 1;
        if (c < 0x20) {
            bad += !strchr("\t\n\v\f\r\b\a\033", c) || !c;
        } else if (c >= 0x80) {
            while (step <= rest.n && !str_utf8(str_sub(rest, 0, step)))
                step++;
            if (step > rest.n) {
                bad++;
                step = 1;
            }
        }
        i += step;
    }
    return bad < TEXT_BAD_MIN || bad < output.n / TEXT_BAD_TENTH;
}
