/* The log of a task: one text of numbered lines, from what its events say and from the whole output of commands and
 * checks, also while they run.
 *
 * It is made from the events (the truth) and the files that the runner keeps in the task's folder, whenever somebody
 * asks: lines are only ever added, so a number stays that of its line. Beside the text stand an index of lines and the
 * sections (what a line belongs to), so that a window or a search in millions of lines is quick. All of it can be made
 * again: files that are missing or do not fit together are thrown away and written anew. Once the outputs are gone
 * (retention), what the events kept of them is in the log, with a mark.
 *
 * A line is UTF-8 without control bytes but TAB and the colour sequences ESC [ digits m; of a line that was overwritten
 * (carriage return) the last state; at most WORKLOG_LINE bytes. Where bytes were left out, the line has a mark:
 * WORKLOG_CUT, then "[N bytes are left out...]". Threads: any; one task's log is brought up to date by one at a time.
 */
#pragma once
#include "flow/board.h"

#define WORKLOG_LINE 4096
#define WORKLOG_CUT  '\x1e'

/* What stands in a section; its first line says what it is about. */
enum worklog_kind { WORKLOG_TASK, WORKLOG_AGENT, WORKLOG_TOOL, WORKLOG_CHECK, WORKLOG_SETUP, WORKLOG_SYSTEM };
const char *worklog_kind_name(uint8_t kind); /* "task", "agent", ... */
struct worklog_section {                     /* as in its file, in the machine's byte order */
    int64_t line;                            /* its first, 1.. */
    int64_t event;                           /* number in the task */
    int64_t time_ns;
    int64_t ends;      /* the first line of the step that this one ends; 0: of none */
    int64_t took_ms;   /* how long that step took, or this one when it is told after it has ended; -1: not known */
    int32_t iteration; /* 0: before the first */
    int32_t exit_code; /* of the same; WORKLOG_NO_CODE: it has none */
    uint8_t kind, failed;
    uint8_t step;  /* a step begins here: a command, a call of a tool, a check */
    uint8_t ended; /* and it is over */
    uint8_t unused[4];
};
#define WORKLOG_NO_CODE INT32_MIN

/* A command, a call or a check: what is folded in a long log. Its title is its first line. */
struct worklog_step {
    const struct worklog_section *section; /* where it begins */
    int64_t lines;                         /* with the first */
    int64_t took_ms;                       /* -1: not known */
    int32_t exit_code;                     /* WORKLOG_NO_CODE: none, or not yet */
    bool ended, failed;
};

struct worklog { /* a view that does not change any more */
    const char *task_dir;
    struct str text;       /* mapped */
    const uint64_t *index; /* offsets of lines 1, 65, 129, ... */
    const struct worklog_section *sections;
    size_t section_n;
    int64_t lines, event; /* made from events up to this number */
    bool complete;        /* false: there are more events; open it again */
    void *maps[3];
    size_t sizes[3];
};
/* Brings the log up to date, for at most `most_ms`, and opens it. RC_NOT_FOUND: the task's folder is gone. ret is
 * released by worklog_close also when it belongs to ctx. */
MUST_USE enum rc worklog_open(mem *ctx, const struct board *b, const char *task_id, int most_ms, struct worklog *ret,
                              struct err *err);
void worklog_close(struct worklog *w);
/* Line n (1..lines) without its end; an empty one when there is none. */
struct str worklog_line(const struct worklog *w, int64_t n);
/* Offset of a line in the text; n beyond the last: the end. */
size_t worklog_offset(const struct worklog *w, int64_t n);
int64_t worklog_line_at(const struct worklog *w, size_t offset); /* the number of the line there */
/* The section that a line belongs to; its position, or section_n when there is none. */
size_t worklog_section_at(const struct worklog *w, int64_t line);
/* First and last line of an iteration; false: it has none. */
bool worklog_iteration(const struct worklog *w, int64_t iteration, int64_t *ret_first, int64_t *ret_last);
/* All steps in the order of their lines; of an iteration, or of all (0). They belong to ctx and point into w. */
size_t worklog_steps(mem *ctx, const struct worklog *w, int64_t iteration, struct worklog_step **ret);
/* The section that an event is told in, or the one before it; section_n when the log begins later. */
size_t worklog_section_of(const struct worklog *w, int64_t event);
/* The next line that holds `what`, at or after an offset, before `end`: the offset of the match, or `end`. */
size_t worklog_find(const struct worklog *w, struct str what, bool any_case, size_t from, size_t end);

/* Makes a line of raw bytes (without LF) as described above and adds it, with LF. more: bytes of the line beyond raw.
 */
void worklog_clean(struct buf *out, struct str raw, size_t more);
