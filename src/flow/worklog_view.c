/* Reading a log: windows and search (worklog.h). */
#include "flow/worklog.h"
#include <sys/mman.h>

#define STEP       64 /* lines between two offsets of the index */
#define FIND_PIECE 4096

const char *worklog_kind_name(uint8_t kind)
{
    static const char *const names[] = {"task", "agent", "tool", "check", "setup", "system"};
    return kind < sizeof names / sizeof *names ? names[kind] : "system";
}

void worklog_close(struct worklog *w)
{
    for (size_t i = 0; i < 3; i++)
        if (w->maps[i])
            munmap(w->maps[i], w->sizes[i]);
    memset(w, 0, sizeof *w);
}

static size_t line_end(const struct worklog *w, size_t at)
{
    const char *lf = at < w->text.n ? memchr(w->text.p + at, '\n', w->text.n - at) : NULL;
    return lf ? (size_t)(lf - w->text.p) : w->text.n;
}

size_t worklog_offset(const struct worklog *w, int64_t n)
{
    if (n > w->lines)
        return w->text.n;
    int64_t i = n > 0 ? n - 1 : 0;
    size_t at = w->lines ? (size_t)w->index[i / STEP] : 0;
    for (int64_t k = i % STEP; k > 0; k--)
        at = line_end(w, at) + 1;
    return at;
}

struct str worklog_line(const struct worklog *w, int64_t n)
{
    if (n < 1 || n > w->lines)
        return STR("");
    size_t at = worklog_offset(w, n);
    return str_n(w->text.p + at, line_end(w, at) - at);
}

int64_t worklog_line_at(const struct worklog *w, size_t offset)
{
    size_t low = 0, high = (size_t)((w->lines + STEP - 1) / STEP); /* the last entry that is not behind offset */
    if (!w->lines)
        return 0;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (w->index[mid] <= offset)
            low = mid;
        else
            high = mid;
    }
    int64_t n = (int64_t)low * STEP + 1;
    for (size_t at = (size_t)w->index[low]; n < w->lines; n++) {
        at = line_end(w, at) + 1;
        if (at > offset)
            break;
    }
    return n;
}

size_t worklog_section_at(const struct worklog *w, int64_t line)
{
    size_t low = 0, high = w->section_n;
    if (!high || w->sections[0].line > line)
        return w->section_n;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (w->sections[mid].line <= line)
            low = mid;
        else
            high = mid;
    }
    return low;
}

size_t worklog_section_of(const struct worklog *w, int64_t event)
{
    size_t low = 0, high = w->section_n; /* the first that is of a later event */
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (w->sections[mid].event > event)
            high = mid;
        else
            low = mid + 1;
    }
    return low ? low - 1 : w->section_n;
}

static struct worklog_step *step_at(struct worklog_step *steps, size_t n, int64_t line)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (steps[mid].section->line < line)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n && steps[low].section->line == line ? &steps[low] : NULL;
}

static void step_end(struct worklog_step *step, const struct worklog_section *s)
{
    step->ended = true;
    step->failed |= s->failed;
    step->took_ms = s->took_ms;
    step->exit_code = s->exit_code;
}

size_t worklog_steps(mem *ctx, const struct worklog *w, int64_t iteration, struct worklog_step **ret)
{
    struct worklog_step *steps = mem_array(ctx, struct worklog_step, w->section_n + 1);
    size_t n = 0;
    for (size_t i = 0; i < w->section_n; i++) {
        const struct worklog_section *s = &w->sections[i];
        int64_t end = i + 1 < w->section_n ? w->sections[i + 1].line : w->lines + 1;
        struct worklog_step *ends = s->ends ? step_at(steps, n, s->ends) : NULL;
        if (iteration && s->iteration != iteration)
            continue;
        if (ends) {
            step_end(ends, s);
            if (!s->step && ends->section->line + ends->lines == s->line) /* its last words */
                ends->lines = end - ends->section->line;
        }
        if (!s->step)
            continue;
        steps[n] = (struct worklog_step){
            .section = s, .lines = end - s->line, .took_ms = -1, .exit_code = WORKLOG_NO_CODE, .failed = s->failed};
        if (s->ended)
            step_end(&steps[n], s);
        n++;
    }
    *ret = steps;
    return n;
}

/* Iterations only grow along the log. */
bool worklog_iteration(const struct worklog *w, int64_t iteration, int64_t *ret_first, int64_t *ret_last)
{
    size_t bounds[2];
    for (int b = 0; b < 2; b++) { /* the first section of this iteration, and of a later one */
        size_t low = 0, high = w->section_n;
        while (low < high) {
            size_t mid = low + (high - low) / 2;
            if (w->sections[mid].iteration >= iteration + b)
                high = mid;
            else
                low = mid + 1;
        }
        bounds[b] = low;
    }
    if (bounds[0] == bounds[1])
        return false;
    *ret_first = w->sections[bounds[0]].line;
    *ret_last = bounds[1] < w->section_n ? w->sections[bounds[1]].line - 1 : w->lines;
    return *ret_last >= *ret_first;
}

static unsigned char low_case(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

static const char *piece_end(const char *p, const char *stop)
{
    return stop - p > FIND_PIECE ? p + FIND_PIECE : stop;
}

size_t worklog_find(const struct worklog *w, struct str what, bool any_case, size_t from, size_t end)
{
    if (end > w->text.n)
        end = w->text.n;
    if (!what.n || from >= end || end - from < what.n)
        return end;
    const char *p = w->text.p + from, *stop = w->text.p + end;
    if (!any_case) {
        const char *hit = memmem(p, (size_t)(stop - p), what.p, what.n);
        return hit ? (size_t)(hit - w->text.p) : end;
    }
    /* The next place of each case of the first letter; the nearer one is looked at. By pieces: a letter that comes in
     * one case alone is not sought through the whole log again for each match. */
    char low = (char)low_case(*what.p), high = (char)(low >= 'a' && low <= 'z' ? low - 32 : low);
    for (; (size_t)(stop - p) >= what.n; p = piece_end(p, stop)) {
        const char *piece = piece_end(p, stop);
        const char *a = memchr(p, low, (size_t)(piece - p));
        const char *b = high == low ? NULL : memchr(p, high, (size_t)(piece - p));
        while (a || b) {
            const char *at = a && (!b || a < b) ? a : b;
            size_t i = 1;
            if ((size_t)(stop - at) < what.n)
                return end;
            while (i < what.n && low_case(at[i]) == low_case(what.p[i]))
                i++;
            if (i == what.n)
                return (size_t)(at - w->text.p);
            if (at == a)
                a = memchr(at + 1, low, (size_t)(piece - at - 1));
            else
                b = memchr(at + 1, high, (size_t)(piece - at - 1));
        }
    }
    return end;
}
