/* What a command is: one const descriptor in a file of its own (cmd_NAME.c) plus a line in commands.def. Parser, help,
 * man page, completion, JSON and Markdown follow from it.
 *
 * Exit statuses are part of the interface and never change their meaning:
 *   0 done, 1 failure, 2 usage, 6 checks not green, 7 needs a person, 8 limit reached, 9 daemon unreachable,
 *   78 configuration wrong at the start of a daemon, 130 interrupted.
 * Standard output is the answer, standard error is everything else. With --json the answer is one document
 * {"schema":NAME,"data":...} on one line, an error a problem document (RFC 9457) on standard error. */
#pragma once
#include "conf/setting.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NOT_GREEN = 6, EXIT_NEEDS_YOU = 7, EXIT_LIMIT = 8 };
enum { EXIT_UNREACHABLE = 9, EXIT_CONFIG = 78, EXIT_INTERRUPTED = 130, EXIT_TERMINATED = 143 };

enum option_kind {
    OPTION_SWITCH,
    OPTION_TEXT,
    OPTION_COUNT,    /* whole number, min to max */
    OPTION_MONEY,    /* "2.00" */
    OPTION_DURATION, /* "90", "15m", "1h30m" */
    OPTION_CHOICE,   /* one of `choices` */
    OPTION_CHOICES,  /* some of `choices`, separated by commas */
    OPTION_FACTOR,   /* decimal number above 0 */
};
struct option { /* tables end with a row without name */
    const char *name;
    char letter; /* 0: none */
    enum option_kind kind;
    const char *argument; /* "N"; NULL for switches */
    const char *help;     /* begins small, no full stop */
    int64_t min, max;
    const char *choices; /* "plan|commit" */
    bool repeat;
};
enum complete { COMPLETE_NONE, COMPLETE_TASK, COMPLETE_COMMAND };
struct argument {     /* tables end with a row without name */
    const char *name; /* "TASK" */
    const char *help;
    bool optional;
    bool repeat; /* the last one only */
    const char *choices;
    enum complete complete;
};
struct example {
    const char *line, *words;
};
struct cli;
struct command {
    const char *name;
    const char *summary; /* what it does, begins small, no full stop */
    const char *details; /* more sentences; may be NULL */
    const struct argument *arguments;
    const struct option *options;   /* beyond those that all commands have */
    const struct example *examples; /* tables end with a row without line */
    int (*run)(struct cli *cli);    /* the exit status */
};

const struct command *const *commands_all(size_t *ret_n);
const struct command *command_find(const char *name); /* NULL */
extern const struct option options_common[];          /* --json, --set, ... */

/* A call, taken apart. Everything is checked against the tables before a command runs. */
struct given {
    const struct option *option;
    const char *value; /* NULL for switches */
};
struct call {
    const struct command *command;
    struct given *options;
    size_t option_count;
    const char **arguments; /* NULL-terminated */
    size_t argument_count;
};
/* RC_INVALID with a suggestion. words: what stands behind the command's name. In ctx. */
MUST_USE enum rc call_parse(mem *ctx, const struct command *command, int count, char **words, struct call *ret,
                            struct err *err);
bool call_has(const struct call *call, const char *option);
const char *call_value(const struct call *call, const char *option);                   /* NULL: not given */
const char *const *call_values(mem *ctx, const struct call *call, const char *option); /* NULL-terminated */
int64_t call_number(const struct call *call, const char *option, int64_t otherwise);   /* counts, seconds */
const char *call_argument(const struct call *call, size_t i);                          /* NULL: not given */
char *command_usage(mem *ctx, const struct command *command);                          /* "nightmill run ..." */
/* Did you mean? NULL: nothing is near. */
const char *command_nearest(const char *name);

/* The faces of the table. All append text. */
void help_overview(struct buf *out);
void help_command(struct buf *out, const struct command *command);
void help_man(struct buf *out);
/* Each exit status with its meaning, for pages of other formats. */
void help_statuses(struct buf *out, void (*row)(struct buf *out, int status, const char *words));
void help_markdown(struct buf *out);
void help_settings(struct buf *out); /* settings and nightmill.yaml, as Markdown */
void help_json(struct buf *out);
MUST_USE enum rc help_completion(struct buf *out, const char *shell, struct err *err); /* bash, zsh, fish */
