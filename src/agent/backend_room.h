/* What the backends' descriptors are made with: drafts of a plan, and tables that say how output is read. Private to
 * this room. */
#pragma once
#include "agent/backend.h"

/* --- Plans --- */

/* Each appends a copy. */
void plan_arg(struct backend_draft *d, const char *arg);
void plan_argf(struct backend_draft *d, const char *fmt, ...) PRINTF(2, 3);
/* The program of the settings takes the place of the backend's. */
void plan_program(struct backend_draft *d, const char *const *argv);
/* The run's gateway in the variables that programs read, in all dialects, with the model's name. */
void plan_endpoints(struct backend_draft *d, const struct backend_ask *ask);
void plan_args(struct backend_draft *d, const char *const *args); /* NULL-terminated; NULL: none */
/* A later value replaces an earlier one. plan_env_fixed: the project cannot replace it. */
void plan_env(struct backend_draft *d, const char *name, const char *value);
void plan_env_fixed(struct backend_draft *d, const char *name, const char *value);
void plan_switches(struct backend_draft *d, const char *const *pairs); /* name, value, name, value, NULL */
void plan_file(struct backend_draft *d, const char *path, struct str bytes);
void plan_service(struct backend_draft *d, const char *const *argv);
void plan_format(struct backend_draft *d, enum backend_format format);
void plan_input(struct backend_draft *d, struct str input);
/* The prompt is one argument. RC_INVALID when it is too long for one or holds a NUL byte. */
MUST_USE enum rc plan_prompt_arg(struct backend_draft *d, const struct backend_ask *ask, struct err *err);
/* The session is used: flag and id become arguments, unless there is none. True when it is. */
bool plan_resume(struct backend_draft *d, const struct backend_ask *ask, const char *flag);
bool plan_session(struct backend_draft *d, const struct backend_ask *ask, const char *flag);
bool plan_resumes(const struct backend_ask *ask); /* ask names a session that may be resumed */
void plan_resumed(struct backend_draft *d);       /* by other means than plan_resume */
mem *plan_mem(const struct backend_draft *d);     /* the plan's own */
const char *plan_url(const struct backend_draft *d, const struct backend_ask *ask); /* base URL, with /v1 as wanted */
const char *plan_home(const struct backend_draft *d, const struct backend_ask *ask, const char *below);
/* Of the model, or the usual figures when they are not known. */
int64_t plan_context(const struct backend_ask *ask);
int64_t plan_output(const struct backend_ask *ask);
/* A document under construction, and its text. */
struct json_out *plan_json(struct backend_draft *d);
const char *plan_json_text(struct json_out *o);
/* A JSON (and TOML basic) string, quoted. */
const char *plan_quoted(const struct backend_draft *d, const char *text);
/* {"NAME":{"command":...,"args":[...],"env":{...}}, ...}; type: a member of each, or NULL. */
void plan_servers(struct json_out *o, const struct backend_ask *ask, const char *type);
/* A server's variables as an object. */
void plan_server_env(struct json_out *o, const struct backend_server *server);

/* --- Output --- */

/* One kind of line (or part of one) and the event that it is. Paths are those of json_path; several, separated by '|',
 * are tried in order. Conditions: "path=value", "path=a|b", "path!=value" (also when it is not there), "path^=start",
 * "path!^=start", "path" (is there); several, separated by
 * '&', must all hold. */
struct reading {
    const char *type; /* of the line; NULL: any */
    const char *when;
    const char *each; /* an array: the reading is applied to each of its elements, all below is about the element */
    const char *each_when;
    enum backend_event_kind kind;
    const char *id, *name, *text; /* paths; a name that begins with '=' stands for itself */
    const char *failed;           /* condition of the element; "" is always */
    bool partial;
};
struct counting {
    const char *type, *when;
    const char *input, *cached, *written, *output, *reasoning,
        *total; /* paths; total: output is what is beyond input */
    bool apart; /* cached and written are not part of input */
    bool add;   /* each line is one more; else the line has the sum */
};
struct backend_words {
    const char *type;    /* path of a line's type */
    const char *session; /* path on any line, or NULL */
    const struct reading *readings;
    size_t reading_count;
    const struct counting *countings;
    size_t counting_count;
    const char *const *refusals; /* a failed tool whose text holds one of these was refused; NULL-terminated */
};
#define READINGS(table)  .readings = (table), .reading_count = sizeof(table) / sizeof *(table)
#define COUNTINGS(table) .countings = (table), .counting_count = sizeof(table) / sizeof *(table)
/* Words of Nightmill's own JSON lines, for programs that are written for it. */
extern const struct backend_words backend_own_words;
/* For what is read elsewhere (acp.c): an event goes the way of those that were read from lines, into the result and to
 * on_event. */
void parser_tell(struct backend_parser *p, struct backend_event *e);
void parser_used(struct backend_parser *p, const struct backend_usage *usage);
/* Arguments of a call in a line; texts of a message or a result. In ctx. */
struct str parser_summary(mem *ctx, struct json arguments);
struct str parser_text(mem *ctx, struct json value);
