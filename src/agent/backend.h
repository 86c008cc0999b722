/* Agent backends: what Nightmill knows about each coding agent that it can run unchanged, as data.
 *
 * One `const struct backend` per agent (backend_<name>.c and a line in backends.def). Nothing here starts a process,
 * opens a socket or reads a clock: backend_plan says what to start, a parser reads what the program prints, and
 * backend_judge says how the run ended. The driver (flow) does the rest, install.h finds and installs programs, acp.h
 * speaks the Agent Client Protocol.
 *
 * A driver's round:
 *   1. backend_find, install_find (where the program is and what must be mounted), fill a backend_ask, backend_plan.
 *   2. Write plan.files beneath the private HOME (path_write; mode as given; existing ones are replaced).
 *   3. Run plan.argv in the sandbox with exactly plan.env, plan.input as standard input, at plan.cwd. Standard output
 *      goes to backend_parser_feed as it comes; standard error to the log, its tail to backend_parser_errors.
 *   4. backend_parser_end, then backend_judge with what the operating system, the repository and the gateway know.
 *
 * What an agent says is never evidence, an exit status of 0 neither (several agents end with 0 after an error, after
 * their tools were refused, or on a signal).
 * Threads: no state but the parser's; one parser, one thread. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

/* A single argument is limited to 128 KiB with its NUL (MAX_ARG_STRLEN of Linux). */
#define BACKEND_ARGUMENT_MAX (128 * 1024 - 1)
#define BACKEND_LINE_MAX     (8 * 1024 * 1024) /* a longer line of output is skipped with a warning */
#define BACKEND_TEXT_MAX     (256 * 1024)      /* most bytes of one event's text; cut with a mark */

enum backend_format {
    BACKEND_LINES, /* a JSON object a line */
    BACKEND_WHOLE, /* one JSON object at the end */
    BACKEND_TEXT,  /* plain text */
    BACKEND_ACP,   /* Agent Client Protocol: acp.h holds the conversation; standard input stays open */
};
enum backend_input { BACKEND_BY_STDIN, BACKEND_BY_ARGUMENT, BACKEND_BY_FILE };
enum backend_session { BACKEND_SESSION_NONE, BACKEND_SESSION_CHOSEN, BACKEND_SESSION_READ };
/* What the agent may do without asking. BACKEND_ASK needs somebody to ask: ACP only. */
enum backend_approval { BACKEND_FULL, BACKEND_EDITS, BACKEND_ASK };
#define BACKEND_MAY(approval) (1u << (approval))

struct backend_ask;
struct backend_plan;
struct backend_draft; /* plan under construction; private to this room */
struct backend_words; /* how the output is read; private to this room */

struct backend {
    const char *name;    /* "codex": the word of --agent */
    const char *title;   /* "Codex" */
    const char *package; /* npm package, or NULL */
    const char *version; /* pinned version of the package; NULL with package NULL */
    const char *source;  /* package NULL: where it is had, for the hint */
    const char *licence; /* SPDX, "proprietary", or "unknown" */
    int node;            /* least major version of Node.js; 0: it needs none */
    /* Where the program is below node_modules, the first that is there; "%a" stands for the machine (x64, arm64), "%A"
     * for its longer name (x86_64, aarch64). NULL: .bin/<program>. A package's own native program needs neither its
     * launcher nor its install scripts. */
    const char *const *places;
    const char *program;                  /* name of the program; NULL: from the settings (command, http, acp) */
    const char *const *version_arguments; /* NULL-terminated; NULL: no way to ask */
    const char *wire; /* llm dialect that it is told to speak: "chat", "messages", ...; NULL: its own business */
    bool base_v1;     /* its base URL ends in /v1 */
    enum backend_input input;
    enum backend_format format;
    unsigned approvals; /* BACKEND_MAY bits */
    enum backend_session session;
    bool resumes;         /* a later iteration can go on with the session */
    bool servers;         /* takes MCP servers over stdio */
    bool usage_cumulates; /* its figures of a resumed session include those of before */
    bool end_mark;        /* its output has an event that says it came to an end */
    const char *const
        *hosts;              /* names that it asks for by itself, with its switches set; NULL-terminated, may be NULL */
    const char *const *deaf; /* ways of cancelling that it ignores or survives in parts: "SIGINT", "SIGTERM" */
    bool proxy_blind;        /* sends what is for 127.0.0.1 to a proxy too, whatever NO_PROXY says */
    const char *const *scratch; /* folders below HOME that are big and could be shared read-only; may be NULL */
    const struct backend_words *words;
    enum rc (*plan)(struct backend_draft *d, const struct backend_ask *ask, struct err *err);
};
extern const struct backend *const backends[];        /* NULL-terminated */
const struct backend *backend_find(const char *name); /* NULL */

/* An MCP server over stdio that the agent shall have. */
struct backend_server {
    const char *name;        /* letters, digits, '-', '_' */
    const char *const *argv; /* NULL-terminated */
    const char *const *env;  /* "NAME=value", NULL-terminated, may be NULL */
};
/* Of the generic backends, from the settings. */
struct backend_custom {
    const char *const *argv; /* command, acp: the program with its arguments; http: the service to start, or NULL */
    enum backend_input input;
    enum backend_format format; /* BACKEND_LINES or BACKEND_TEXT */
    const char *url;            /* http: "http://127.0.0.1:8700"; the path /api/execute is added when it has none */
};
/* What is wanted. All paths are the ones inside the sandbox, absolute. Texts are borrowed until backend_plan returns;
 * the plan holds copies. */
struct backend_ask {
    /* Where the program is below node_modules, the first that is there; "%a" stands for the machine (x64, arm64), "%A"
     * for its longer name (x86_64, aarch64). NULL: .bin/<program>. A package's own native program needs neither its
     * launcher nor its install scripts. */
    const char *const *places;
    const char *program;   /* path of the program; NULL: its name, looked up in PATH */
    const char *tool_path; /* put in front of PATH (a newer node, the package's .bin); may be NULL */
    struct str prompt;     /* not empty */
    const char *model;
    int64_t context_tokens, output_tokens; /* of the model; 0: unknown */
    const char *base_url;                  /* "http://127.0.0.1:PORT" of the run's listener */
    const char *key;                       /* placeholder; never a real one */
    const char *session; /* id to resume, or (chosen by the caller) to start with: a UUID; NULL: none */
    bool resume;
    const char *home, *workspace;
    enum backend_approval approval;
    const struct backend_server *servers;
    size_t server_count;
    const char *const *extra_arguments; /* from the project; NULL-terminated, may be NULL */
    const char *const *extra_env;       /* "NAME=value"; replaces what is set here, but not HOME, the key and the URL */
    int64_t iteration;                  /* from 1 */
    const char *proxy_url;              /* "http://127.0.0.1:PORT" of the egress proxy, or NULL */
    const char *ca_file, *bundle_file;  /* its authority alone, and with the system's store; may be NULL */
    struct backend_custom custom;
};
struct backend_file {
    const char *path; /* below HOME, relative */
    struct str bytes;
    mode_t mode;
};
struct backend_plan {
    const char *const *argv; /* NULL-terminated; never a shell string */
    const char *const *env;  /* NULL-terminated, complete: nothing is inherited */
    const char *cwd;
    const struct backend_file *files;
    size_t file_count;
    struct str input; /* standard input; empty: /dev/null */
    enum backend_format format;
    const char *session; /* known before the start: the one resumed or chosen by the caller; else NULL */
    bool resumes;        /* this start goes on with ask->session */
    /* http with a program: started first, in the background, and ended with the iteration; NULL: none. argv waits for
     * it by itself. */
    const char *const *service;
};
/* Plan in ctx. RC_INVALID: the ask makes no sense for this backend (approval, prompt too long for an argument, ...)
 * with the next step as hint. A resume that the backend cannot do is not an error: the plan then starts anew (resumes
 * false).
 */
MUST_USE enum rc backend_plan(mem *ctx, const struct backend *backend, const struct backend_ask *ask,
                              struct backend_plan *ret, struct err *err);

/* --- What it prints --- */

enum backend_event_kind {
    BACKEND_SESSION_KNOWN, /* id */
    BACKEND_SAID,          /* text: a whole message, or a piece of one when `partial` */
    BACKEND_TOOL_STARTED,  /* id, name, text: one-line summary of the arguments */
    BACKEND_TOOL_FINISHED, /* id, name (may be NULL), text: its output or result, failed */
    BACKEND_USED,          /* usage: the sums so far */
    BACKEND_TOOL_REFUSED,  /* id, name, text */
    BACKEND_WARNING,       /* text */
    BACKEND_ERROR,         /* text */
    BACKEND_ENDED,         /* the agent's own end; failed, text: its words */
};
const char *backend_event_name(enum backend_event_kind kind); /* "session", "text", "tool.started", ... */

/* The agent's own figures, kept beside the gateway's. */
struct backend_usage {
    bool known;
    int64_t input;  /* with cached */
    int64_t cached; /* part of input */
    int64_t output; /* with reasoning */
};
/* Texts are valid during the call, UTF-8 (malformed bytes replaced) and not escaped. */
struct backend_event {
    enum backend_event_kind kind;
    const char *id, *name; /* may be NULL */
    struct str text;
    bool partial, failed;
    struct backend_usage usage;
};
struct backend_result {
    const char *session; /* NULL: never said */
    struct str text;     /* the last message; capped at BACKEND_TEXT_MAX */
    struct backend_usage usage;
    int64_t tools, refused; /* calls of tools that began; that were refused */
    int64_t lines, skipped; /* lines read; lines that were too long or not JSON */
    const char *error;      /* the last words about an error, one line; NULL: none */
    bool failed;            /* the end event said so, or the last thing said was an error */
    bool ended;             /* an end event was seen (always false without end_mark) */
};
struct backend_parser;
/* on_event may be NULL. format: the plan's (BACKEND_ACP is refused as a bug). The parser and its result belong to ctx.
 */
struct backend_parser *backend_parser_new(mem *ctx, const struct backend *backend, enum backend_format format,
                                          void (*on_event)(void *arg, const struct backend_event *event), void *arg);
/* Any bytes in any pieces. Never fails: what makes no sense is counted and skipped, a first time with a warning. */
void backend_parser_feed(struct backend_parser *p, const void *bytes, size_t n);
/* Standard error's last bytes, for the words of an error; before the end. */
void backend_parser_errors(struct backend_parser *p, struct str tail);
/* No more output. The result is valid as long as the parser. */
const struct backend_result *backend_parser_end(struct backend_parser *p);
/* So far; valid until the next feed. */
const struct backend_result *backend_parser_result(const struct backend_parser *p);
struct backend_parser *backend_parser_free(struct backend_parser *p); /* NULL is fine; returns NULL */

/* --- How it ended --- */

enum backend_outcome {
    BACKEND_DONE,      /* the tree changed and nothing says that it broke off */
    BACKEND_NO_CHANGE, /* came to its end without changing anything */
    BACKEND_REFUSED,   /* its tools were refused and nothing changed */
    BACKEND_FAILED,    /* says so itself, could not be started, or ended with an error */
    BACKEND_DIED,      /* ended by a signal that nobody here sent */
    BACKEND_CANCELLED,
    BACKEND_TIMED_OUT,
};
const char *backend_outcome_name(enum backend_outcome outcome); /* "done", "no_change", ... */

struct backend_ending {
    const struct backend_result *said; /* of the parser or of acp.h */
    bool end_mark;                     /* backend->end_mark */
    int exit_code, signal;             /* exit_code -1 when ended by a signal */
    bool could_not_start, cancelled, timed_out;
    bool changed;     /* the tree is another one than before */
    int64_t requests; /* counted at the gateway in this iteration; -1: unknown */
};
/* Order of trust: what the driver did (cancel, time), the tree, the agent's end event, refused tools, the exit status.
 * *ret_words (in ctx, may be NULL): a sentence that says why, begins small. */
enum backend_outcome backend_judge(mem *ctx, const struct backend_ending *e, const char **ret_words);
