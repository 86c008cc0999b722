/* What the files of the agent share: the iteration, its memory of an earlier process, one call of a tool, and the table
 * of tools. Private to this room. */
#pragma once
#include "agent/agent.h"
#include "base/text.h"

/* A record that an earlier process left, or that this one made. */
struct step {
    int64_t turn, call, attempt;
    const char *digest, *reason; /* "" when the record has none */
    struct json json;
    struct step *next;
};
enum memory_kind {
    MEMORY_TEXT,
    MEMORY_NOTE,
    MEMORY_STARTED,
    MEMORY_AGAIN,
    MEMORY_FINISHED,
    MEMORY_COMPACTED,
    MEMORY_KINDS
};
struct memory {
    struct step *first[MEMORY_KINDS], *last[MEMORY_KINDS];
    bool any;
};

/* An answer with calls and the message of their results; what compaction takes away whole. */
struct exchange {
    int64_t turn;
    struct llm_message *answer, *reply;
    struct exchange *next;
};

struct agent {
    mem *ctx;
    const struct agent_spec *spec;
    const struct agent_road *road;
    struct agent_result *ret;
    int root; /* the workspace, O_PATH */
    struct memory memory;
    struct llm_conversation *talk;
    struct exchange *first_exchange, *last_exchange;
    struct llm_part *dropped_mark; /* says in the prompt how many exchanges are gone */
    int64_t dropped_turns;
    const char **notes;
    size_t note_count;
    bool finished; /* finish was called */
    const char *summary;
    enum { HANDS_UNKNOWN, HANDS_OURS, HANDS_THEIRS } hands; /* whose the files are now */
    bool noisy;                                             /* a command was run and may have left something running */
    const char *tree; /* the workspace as it is known to be; NULL: changed since, or never looked at */
    bool journal_broken;
    /* Of the last answer that told them, to estimate the next request: */
    int64_t prompt_tokens;
    size_t prompt_bytes;
    int silences, refusals, cuts; /* answers in a row that were empty, refused, cut at the output limit */
};

/* --- memory.c --- */
MUST_USE enum rc memory_load(struct agent *a, struct err *err);
/* The record of that place, or NULL. A negative number or NULL matches anything. */
const struct step *memory_find(const struct agent *a, enum memory_kind kind, int64_t turn, int64_t call,
                               const char *digest);
/* A record under construction: an object with turn already in it. */
struct record {
    mem *ctx;
    struct buf b;
    struct json_out o;
};
void entry_begin(struct record *r, mem *ctx, int64_t turn);
/* Closes the object, journals it and remembers it. RC_CANCELLED, or what the journal said. */
MUST_USE enum rc entry_end(struct agent *a, struct record *r, enum memory_kind kind, struct err *err);
/* Puts the workspace where an earlier process left the journal: takes back a command that was not recorded, removes
 * temporary files. */
MUST_USE enum rc memory_recover(struct agent *a, struct err *err);

/* --- hands.c --- */
/* Ends what commands left running and makes the files ours. */
MUST_USE enum rc files_take(struct agent *a, struct err *err);
/* Makes the files those of the commands. */
MUST_USE enum rc files_give(struct agent *a, struct err *err);

/* --- tool.c --- */
struct agent_tool;
struct tool_call {
    mem *ctx; /* freed after the call */
    struct agent *agent;
    const struct agent_tool *tool;
    int64_t turn, number;
    char digest[65];
    const char *summary;
    const struct step *started; /* the intent that an earlier process recorded, or NULL */
    struct buf out;             /* everything there is to say */
    size_t whole;               /* bytes of output that stand in the log file already; 0: none */
    bool is_error;
    struct record rec; /* tool.finished: the tool adds its own members */
};
/* A tool: what the model is told of it, and what it does. `run` fills c->out; it returns an error only when the
 * machine, not the model, is at fault. */
struct agent_tool {
    struct llm_tool face;
    const struct json_bind *fields;
    size_t field_count, args_size;
    bool remembers; /* run again for a recorded call: notes, the end */
    const char *(*summary)(mem *ctx, const void *args);
    enum rc (*run)(struct tool_call *c, const void *args, struct err *err);
};
#define TOOL(name) extern const struct agent_tool tool_##name;
#include "agent/tools.def"
#undef TOOL
const struct agent_tool *const *agent_tools(size_t *ret_n);
const struct agent_tool *agent_tool_find(const char *name); /* NULL when unknown */
/* Arguments as the tool's struct, in ctx. RC_INVALID in words for the model. */
MUST_USE enum rc tool_bind(mem *ctx, const struct agent_tool *tool, struct str arguments, void **ret_args,
                           struct err *err);
/* Makes one call of an answer, or takes its result from the journal; the result goes into `reply`. */
MUST_USE enum rc tool_call_make(struct agent *a, int64_t turn, int64_t number, const struct llm_part *call,
                                struct llm_message *reply, struct err *err);

/* For tools. A refusal is an answer to the model, not a failure: each returns RC_OK. */
enum rc tool_refuse(struct tool_call *c, const char *fmt, ...) PRINTF(2, 3);
enum rc tool_refuse_err(struct tool_call *c, const struct err *why);
/* The path beneath the workspace that the model means, or NULL after a refusal. */
const char *tool_path(struct tool_call *c, const char *path);
/* Records the intent (tool.started), unless an earlier process did. Members beyond the common ones come from `more`. */
struct record *tool_intent_begin(struct tool_call *c);
MUST_USE enum rc tool_intent_end(struct tool_call *c, struct record *r, struct err *err);
const char *tool_log_path(struct tool_call *c);
/* Largest file that write and edit take. */
#define TOOL_FILE_MOST (16 << 20)
/* Writes a file of the workspace and puts path and hash into the record. What the file system refuses is told to the
 * model, except a full disk. */
MUST_USE enum rc tool_file_put(struct tool_call *c, const char *path, struct str contents, const char *hash,
                               struct err *err);
int64_t tool_lines(struct str s); /* newlines */

/* --- compact.c --- */
/* Shortens the conversation, whose request has `bytes`, until it has at most `target`, as far as that goes. What goes
 * is written to `dropped` (an open array). Returns the bytes left; `bytes` when nothing could go. */
size_t compact(struct agent *a, size_t bytes, size_t target, struct json_out *dropped);

/* --- prompt.c --- */
const char *agent_system_text(mem *ctx, const char *extra);
