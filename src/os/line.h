/* Frames with descriptors (os/frame.h) on a loop: the non-blocking end of a line between two of our own processes.
 *
 * A line owns its socket. Frames that are sent wait in memory, at most LINE_OUT_MAX bytes, and go out as the socket
 * takes them; a descriptor rides with the first byte of its frame. Received descriptors are close-on-exec and given in
 * the order of the frames that carried them: line_fd_take inside on_frame for a frame that says it brings one.
 * No callback comes from inside a call of this header. Threads: the loop's. */
#pragma once
#include "os/frame.h"
#include <uv.h>

#define LINE_OUT_MAX (64u << 20)
#define LINE_FDS_MAX 64 /* received and not yet taken; a peer that sends more loses the line */

struct line;
struct line_spec {
    uv_loop_t *loop;
    int fd;                                          /* connected stream socket of the Unix family; taken */
    void (*on_frame)(void *arg, struct str payload); /* valid during the call; line_close is allowed inside */
    void (*on_gone)(void *arg);                      /* once: the peer left or broke the format; not after line_close */
    void *arg;
};
struct line *line_new(const struct line_spec *spec);
void line_close(struct line *l); /* NULL is fine; frees soon; descriptors that nobody took are closed */
/* fd: passed along and closed here when it was sent (or never will be), also on failure; -1: none. false: there is no
 * room or the line is gone. */
bool line_send(struct line *l, struct str payload, int fd);
size_t line_backlog(const struct line *l);
int line_fd_take(struct line *l); /* the oldest received descriptor, the caller's; -1: none */
