/* Terminals of tasks in the server: sessions, whose shells are processes of their own (flow/shell.h), and the viewers
 * that share them.
 *
 * A session keeps the last bytes of its output; each viewer is a position in them. A viewer that reads slowly is never
 * waited for by others: what it missed by then is told as a gap. The program is slowed for one viewer alone, the one
 * that types (TERMINAL_PATIENCE_MS at most), and else not at all. All output passes the sanitizer (base/escape.h) on
 * its way to a viewer: drawing for those who watch, keyboard modes too for those who may type, questions to the
 * terminal only to the one that typed last. The size is that of the viewer who typed or sized last.
 * Who looks is asked for again every few seconds: a viewer whose login has ended, or who may no more, is sent away.
 * Threads: the loop's. */
#pragma once
#include "api/server_room.h"

enum {
    TERMINAL_PATIENCE_MS = 2000,
    TERMINAL_ROWS_MOST = 500,
    TERMINAL_COLUMNS_MOST = 1000,
};
#define TERMINAL_PROTOCOL "nightmill.terminal.v1"
#define TERMINAL_AGENT    "agent" /* the session that shows what the agent does */

struct terminal;
struct terminals;
struct terminals *terminals_new(struct server *s);

struct terminal_wish {
    const char *task_id, *session; /* "1", ..., TERMINAL_AGENT */
    const char *project;           /* the task's */
    const struct principal *who;   /* looks; copied */
    const struct audit_row *row;   /* that says so; another one is written when it looks no more; copied */
    bool writable;
};
/* Joins the session, which begins with its first viewer, and takes the request's connection. RC_LIMIT: too many
 * sessions; RC_INVALID: the handshake is wrong. r is as before on failure. */
MUST_USE enum rc terminal_join(struct server *s, struct http_request *r, const struct terminal_wish *wish,
                               struct err *err);
void terminals_list(const struct server *s, const char *task_id, struct json_out *o); /* array */

/* From the rest of the server: */
void terminals_arrived(struct server *s, int fd, struct json hello); /* a shell connected; fd is taken */
void terminals_ended(struct server *s, const char *task_id, const char *session, int pid, int status);
void terminals_task_begins(struct server *s, const char *task_id); /* a runner starts: shells give up the files */
void terminals_tick(struct server *s);

/* terminal_agent.c: what the agent and the checks print, as it comes. */
struct terminal_agent;
struct terminal_agent *terminal_agent_open(struct server *s, struct terminal *t, const char *task_id);
void terminal_agent_close(struct terminal_agent *a);      /* NULL is fine */
void terminal_show(struct terminal *t, struct str bytes); /* adds output */
