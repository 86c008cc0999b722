/* One call of the program: what was given, the settings, where answers go, and the daemon. Commands get this. */
#pragma once
#include "cli/command.h"
#include "cli/screen.h"

struct cli {
    mem *ctx; /* lives as long as the call */
    struct call call;
    bool json;
    struct settings *settings; /* NULL before cli_settings */
    struct screen out, err;    /* standard output and standard error */
};

/* Loads the settings with this call's flags (once). RC_INVALID with the first thing that is wrong. */
MUST_USE enum rc cli_settings(struct cli *cli, struct err *err);

/* Says what failed, on standard error: sentence, detail, hint; a problem document with --json. Returns the exit status
 * of its code. */
int cli_fail(struct cli *cli, const struct err *err);
int cli_fail_as(struct cli *cli, const struct err *err, int status);
/* A line for people on standard error; nothing with --json. The words may hold anything. */
void cli_say(struct cli *cli, const char *fmt, ...) PRINTF(2, 3);

/* The answer, on standard output. */
void cli_answer(struct cli *cli, struct str text);
void cli_answerf(struct cli *cli, const char *fmt, ...) PRINTF(2, 3);
/* {"schema":"nightmill.NAME.v1","data":DATA} on one line. status: the exit status as a member, or -1. */
void cli_document(struct cli *cli, const char *name, struct str data, int status);
/* JSON text in which nothing but printable characters is left: the others are written as \u escapes. In ctx. */
struct str json_printable(mem *ctx, struct str json);

/* One exchange with the daemon, which is started when there is none. A status other than 2xx is an error with the words
 * of the problem document. ret (may be NULL) lives in cli->ctx. */
MUST_USE enum rc cli_ask(struct cli *cli, const char *method, const char *path, struct str body, struct json *ret,
                         struct err *err);
/* The same for reading, but a daemon that is not there stays so: RC_UNAVAILABLE. */
MUST_USE enum rc cli_peek(struct cli *cli, const char *path, int timeout_ms, struct json *ret, struct err *err);
/* The daemon is there, or was started and given the keys, because its tasks may need them at once. */
MUST_USE enum rc cli_reach(struct cli *cli, struct err *err);
/* Reads a problem document into err. */
enum rc problem_read(int status, struct str body, struct err *err);
/* Keys of model servers in this process's environment, handed to the daemon; `name` (may be NULL) beside the usual
 * ones. They are sent over the private socket and stay in memory. */
MUST_USE enum rc cli_hand_over_keys(struct cli *cli, const char *name, struct err *err);
/* Both: for commands that show or use providers, which exist by their keys. */
MUST_USE enum rc cli_reach_with_keys(struct cli *cli, struct err *err);
/* The task named by the call's first argument; of a trial, its winner. RC_NOT_FOUND says how to list them. */
MUST_USE enum rc cli_task(struct cli *cli, struct json *ret, struct err *err);
/* Percent-encoded "/api/v1/tasks/ID" and what follows. In cli->ctx. */
const char *task_path(struct cli *cli, const char *id, const char *rest);
/* Members for people: text without control characters, "" when missing. In ctx. */
const char *shown(mem *ctx, struct json object, const char *member);
const char *shown_line(mem *ctx, struct json object, const char *member, size_t max);
