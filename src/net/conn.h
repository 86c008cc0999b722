/* One connected stream socket on the loop: the bottom filter under HTTP/1.1 (and later under TLS and WebSocket).
 *
 * A layer above embeds `struct conn` as the FIRST member of an object of its own (the object is what is freed) and
 * hears of bytes, silence and departure through a `struct conn_kind`. What this layer promises:
 * - All output of one loop turn is collected and written with one system call before the loop waits again, or at once
 *   when CONN_FLUSH bytes have gathered. The memory of an output that has drained is given back.
 * - A departed peer is noticed in every phase: a read is armed for the whole life, and where the layer above takes
 *   nothing more (CONN_IN_MAX kept) the hang-up alone is still watched.
 * - No callback ever comes from inside a call of this header: they come from the loop only.
 * - A peer that takes nothing for `stall_ms` while output waits is treated as gone.
 * All of it holds with a filter (struct conn_filter) in between too.
 *
 * A hub is the set of connections of one server on one loop. Threads: the loop's thread. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include <uv.h>

enum {
    CONN_FLUSH = 64 << 10,   /* output is not collected beyond this */
    CONN_LOW = 64 << 10,     /* on_drained comes when the backlog has fallen to this */
    CONN_HIGH = 256 << 10,   /* ... after it had been above this */
    CONN_OUT_MAX = 64 << 20, /* a producer that ignores the backlog loses its client here */
    CONN_IN_MAX = 128 << 10, /* input kept for the layer above; no more is read then */
    CONN_LINGER_MS = 2000,   /* a peer may go on sending this long after our last word */
};

struct conn;
struct conn_kind {
    /* New or kept input, oldest first. Returns how much was used; the rest is kept and offered again with more. */
    size_t (*on_bytes)(struct conn *c, struct str bytes);
    void (*on_deadline)(struct conn *c); /* the deadline of conn_deadline has passed */
    void (*on_drained)(struct conn *c);
    void (*on_gone)(struct conn *c);  /* the peer left; at most once; never after conn_finish or conn_drop */
    void (*on_ready)(struct conn *c); /* after conn_connect: connected, and the filter's handshake is done */
    void (*on_leave)(struct conn *c); /* see conn_leave */
};

struct conn_parcel;
/* Turns the socket's bytes into those for the layer above, and its output into bytes for the socket: TLS (tls.c). The
 * output of one turn is turned at once, and never more than the socket is about to take. */
enum conn_fed { CONN_FED, CONN_FED_END, CONN_FED_BROKEN };
struct conn_filter {
    /* Takes all of raw and hands on what it holds by conn_pass, as long as the state is CONN_OPEN. CONN_FED_END: the
     * peer says no more. CONN_FED_BROKEN: the peer broke the rules: what was put is still sent. */
    enum conn_fed (*feed)(struct conn *c, struct str raw);
    bool (*seal)(struct conn *c, struct str plain); /* by conn_put; false: the connection is lost */
    void (*farewell)(struct conn *c);               /* after the last output, by conn_put */
    void (*free)(struct conn *c);
    /* For conn_take_apart and conn_adopt: the filter's state goes from c into ctx, and is c's from then on. */
    void (*leave)(struct conn *c, mem *ctx);
    void (*join)(struct conn *c);
    void (*drop)(const struct conn_parcel *p); /* it joins nobody; its memory goes with the parcel */
};

/* Members of a circular list; a list is a link that points at itself when empty. */
struct link {
    struct link *prev, *next;
};

struct conn_hub {
    uv_loop_t *loop;
    uv_idle_t turn;   /* active while `dirty` is not empty: runs before the loop waits, and keeps it from waiting */
    uv_timer_t timer; /* armed for the earliest deadline of all connections */
    struct link all, dirty;
    size_t count;
    int64_t timer_at; /* loop time the timer is armed for; 0: not armed */
    int stall_ms;
    int open_handles;
    void (*on_count)(
        struct conn_hub *hub); /* a connection was closed and freed, or after conn_hub_close the hub itself */
    bool closing, excused;
};

/* A connection between two loops. */
struct conn_parcel {
    mem *ctx; /* a tree of its own */
    int fd;
    struct str in, out, plain; /* read and not taken; to be written; to be seen by the filter and then written */
    const struct conn_filter *filter;
    void *filter_data;
};

enum conn_state { CONN_OPEN, CONN_FINISHING, CONN_LINGERING, CONN_CLOSED };
struct conn {
    struct link in_all, in_dirty;
    struct conn_hub *hub;
    const struct conn_kind *kind;
    uv_poll_t poll;
    int fd, watched; /* watched: events asked of the poll */
    enum conn_state state;
    struct buf in, out;
    size_t sent;                      /* bytes of `out` already written */
    const struct conn_filter *filter; /* NULL: none */
    void *filter_data;
    struct buf plain; /* output that the filter has not seen yet */
    size_t sealed;    /* bytes of `plain` that it has */
    bool farewell;    /* the filter's was said */
    int64_t deadline; /* loop time, ms; 0: none */
    int64_t stall_at;
    bool full;        /* the socket took no more: the loop says when it does */
    bool broken;      /* a write failed: said on the next turn */
    bool peer_closed; /* the peer's last byte was read */
    bool above;       /* the backlog was over CONN_HIGH */
    bool wake;
    bool leaving;
    /* Of conn_connect: */
    bool outward; /* we connected: what the peer said before a write failed is still read */
    bool connecting, ready;
    bool held;       /* see conn_hold */
    bool end_waits;  /* the peer's end was read while held */
    bool ended_well; /* the peer said its end, through the filter too: nothing was cut off */
    int error;       /* errno of what ended it; 0: none */
    uint64_t taken;  /* bytes of the layer above that were handed to the socket, or to the filter */
};

MUST_USE enum rc conn_hub_open(struct conn_hub *hub, uv_loop_t *loop, int stall_ms, struct err *err);
/* Needs count == 0. on_count is called once more, with open_handles == 0, when the memory may go. */
void conn_hub_close(struct conn_hub *hub);
/* Calls each on every open connection; `each` may finish or drop the one it is given. */
void conn_hub_each(struct conn_hub *hub, void (*each)(struct conn *c));

/* c: zeroed, first member of a talloc object, which is freed by the hub after the connection has closed. Takes a
 * connected, non-blocking descriptor, also when it fails (then the object is still the caller's). */
MUST_USE enum rc conn_open(struct conn *c, struct conn_hub *hub, int fd, const struct conn_kind *kind, struct err *err);
/* As conn_open with a new socket that connects to `to`. on_ready or on_gone comes; what is written before on_ready
 * waits for it. RC_UNAVAILABLE: it cannot even be tried. Set a filter after it at once. */
MUST_USE enum rc conn_connect(struct conn *c, struct conn_hub *hub, const struct sockaddr *to, socklen_t n,
                              const struct conn_kind *kind, struct err *err);
/* The layer above takes nothing now: reading stops, and so does looking out for the peer's departure, so that nothing
 * of what it said is lost. Ended by false, then what was kept is offered again. Only for conn_connect. */
void conn_hold(struct conn *c, bool held);
void conn_write(struct conn *c, struct str bytes); /* copied */
size_t conn_backlog(const struct conn *c);
void conn_wake(struct conn *c);                 /* offers the kept input again, on the next turn */
void conn_deadline(struct conn *c, int64_t ms); /* from now; < 0: none */
/* Says no more: writes what is left, tells the peer, and closes when it has closed too or CONN_LINGER_MS have passed.
 */
void conn_finish(struct conn *c);
void conn_drop(struct conn *c); /* closes now; what was not written is lost */
/* Writes what the socket takes at once, then closes in the middle; reset: a TCP peer sees an error and not an end. */
void conn_abort(struct conn *c, bool reset);

/* The connection changes to another loop. conn_leave: on_leave comes on the next turn, if c is open then; there
 * conn_take_apart moves all of it into a parcel, and c is gone without a further callback. The other loop's thread
 * opens it again by conn_adopt, which offers what was read, or gives it up by conn_parcel_drop. */
void conn_leave(struct conn *c);
void conn_take_apart(struct conn *c, struct conn_parcel *ret);
/* As conn_open; p is taken, also on failure. */
MUST_USE enum rc conn_adopt(struct conn *c, struct conn_hub *hub, struct conn_parcel *p, const struct conn_kind *kind,
                            struct err *err);
void conn_parcel_drop(struct conn_parcel *p);

/* For a filter, which is set before the first byte can have come. */
void conn_filter_set(struct conn *c, const struct conn_filter *filter, void *data);
void conn_pass(struct conn *c, struct str plain);
void conn_tell_ready(struct conn *c); /* after conn_connect: the handshake is done */
void conn_put(struct conn *c, struct str raw);
