/* Messages between the opener of a sandbox and its init: one frame (os/frame.h) holds words, each ended by a NUL byte.
 *
 * Not JSON, because arguments, paths and environments are bytes of any encoding, and because the first process of a
 * sandbox should read as simple a format as there is.
 *
 * opener to init: start ID MERGE CWD ARGC ARG.. ENVC ENV..  [descriptor: standard input]
 *                 terminal ID ROWS COLUMNS CWD ARGC ARG.. ENVC ENV..
 *                 signal ID SIGNAL
 *                 count
 *                 quiet
 * init to opener: ready PORT..           first of all, after the byte ROOM_READY  [descriptors: the listeners]
 *                 started ID             [descriptors: standard output, and standard error unless merged]
 *                                        of a terminal: [descriptor: its master]
 *                 failed ID ERRNO SENTENCE
 *                 exited ID CODE SIGNAL MEMORY-KILLS
 *                 count N
 *                 quiet N                the processes that could not be ended
 * launcher to opener: error CODE SENTENCE DETAIL HINT   after the byte ROOM_ERROR, instead of ready */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#define ROOM_READY 'R'
#define ROOM_ERROR 'E'
enum { ROOM_CONTROL_FD = 3 }; /* in the launcher, bubblewrap and init */

struct words {
    const char **v; /* NULL-terminated, point into the parsed text */
    size_t n;
};
void words_add(struct buf *b, const char *word);
void words_add_int(struct buf *b, int64_t value);
void words_add_list(struct buf *b, const char *const *list); /* NULL-terminated: COUNT WORD.. */
/* False when the text does not end with a NUL or holds no word. */
bool words_parse(mem *ctx, struct str text, struct words *ret);
bool words_int(const struct words *w, size_t i, int64_t min, int64_t max, int64_t *ret);
