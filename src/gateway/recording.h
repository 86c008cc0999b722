/* Recordings: the model exchanges of a task as a file, and such a file answered from instead of a provider.
 *
 * The file is JSON lines. The first line says what it is: {"nightmill":"recording","version":1,...}. Each further line
 * is one exchange: {"request":HASH,"dialect","status","content_type","body"} or, where the body is not UTF-8,
 * {"body_base64"}. HASH is that of the request's body (recording_hash). Replay answers the n-th request of a hash with
 * the n-th line of that hash, byte for byte, the last one again and again; a request that the recording does not have
 * is an error, never a request to a provider.
 *
 * A request's hash does not cover what differs between two runs of the same task: the task's id and the folder of its
 * workspace are replaced first. Threads: a player is used by one thread at a time; the rest has no state. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include <stdint.h>

#define RECORDING_MAX  (256u << 20) /* bytes of a file */
#define RECORDING_HASH 65           /* hexadecimal digits and the NUL */

/* Parts of a request that differ between runs of the same task, each replaced by its place in the list. */
struct recording_names {
    const char *task_id, *workspace; /* NULL: none */
};
void recording_hash(struct str body, const struct recording_names *names, char ret[RECORDING_HASH]);

struct recorded { /* one exchange */
    const char *hash, *dialect, *content_type;
    int status;
    struct str body;
};
/* Appends lines; in the order of the exchanges. false: the cap of the buffer. */
bool recording_write_head(struct buf *out, const char *task_id, const char *when);
bool recording_write(struct buf *out, const struct recorded *r);

struct player;
/* Reads a recording; *ret in ctx with a copy of all it needs. RC_INVALID with the line; RC_LIMIT beyond RECORDING_MAX.
 */
MUST_USE enum rc player_read(mem *ctx, struct str file, struct player **ret, struct err *err);
/* The answer of the next request with this hash; borrowed from the player. RC_NOT_FOUND with words. */
MUST_USE enum rc player_next(struct player *p, const char *hash, struct recorded *ret, struct err *err);
