/* What the parts of the proxy process share. Private to this room; everything belongs to the one loop's thread.
 *
 * proxy.c: the process, its line to the server, its runs. identity.c: certificates for clients, trust in servers.
 * flow.c: a client's connection, from the request's head to its end. relay.c: the server's side of it. record.c: rows.
 * question.c: hosts that a person is asked about. */
#pragma once
#include "crypt/certificate.h"
#include "net/conn.h"
#include "net/dial.h"
#include "os/line.h"
#include "proxy/head.h"
#include "proxy/proxy.h"
#include "redact/redact.h"
#include <openssl/types.h>

enum {
    RUNS_MOST = 1024,
    CONNECTIONS_USUAL = 256,
    HEAD_MS = 30000,      /* from a head's first byte to its last */
    REST_MS = 300000,     /* a client that asks for nothing */
    CONNECT_MS = 30000,   /* lookup, connection and TLS of a server */
    ANSWER_MS = 1200000,  /* without a byte from a server that owes an answer */
    HANDSHAKE_MS = 20000, /* of a client */
    STALL_MS = 300000,    /* a peer that takes nothing */
    REFUSED_MS = 5000,    /* to be gone after a refusal */
    SWAP_BODY_MOST = 1 << 20,
    RECORD_QUEUE_MAX = 64 << 20,
    RECORD_BATCH = 128, /* rows */
    RECORD_BATCH_BYTES = 1 << 20,
    RECORD_WAIT_MS = 40,
    QUESTIONS_MOST = 16, /* of one run at a time */
    LEAVES_MOST = 2048,
};

enum keep { KEEP_NONE, KEEP_METADATA, KEEP_FULL };
struct proxy;
struct question;

struct run {
    struct proxy *proxy;
    const char *tag, *task, *project, *agent, *phase;
    struct policy policy;
    struct sentinel *watch; /* placeholders, then canaries; NULL: nothing to watch for */
    struct redactor *redactor;
    enum keep keep;
    size_t body_max;
    size_t connections, most_connections;
    int fd; /* listening; -1: closed */
    uv_poll_t poll;
    bool polling, closing, handle_open;
    struct question *questions;
    size_t question_count;
    struct run *prev, *next;
};

/* ---- record.c ---- */
struct row {  /* one row in the making; lives in its own context */
    mem *ctx; /* NULL: none under way */
    int64_t time_ns, begun_ms;
    struct hostname host;
    uint16_t port;
    const char *scheme;
    struct str method, path;
    int status;
    int64_t up, down, first_byte_ms;
    const char *verdict; /* NULL until it is known */
    const char *reason;
    char address[64];
    struct buf request_head, answer_head, request_body, answer_body;
    struct str request_coding, answer_coding; /* Content-Encoding */
    bool cut;
};
void row_begin(struct run *run, struct row *x);
void row_keep(struct run *run, struct row *x, struct buf *side, struct str bytes); /* keeps what is to be kept */
/* Writes the row and ends the exchange; a second call does nothing. */
void row_end(struct run *run, struct row *x);

struct record {
    struct row_batch *first, *last; /* the last one is open */
    size_t bytes, rows;
    int64_t next; /* number of the next row */
    int64_t sent; /* rows up to here were sent on this line */
    uv_timer_t timer;
    bool armed;
};
void record_open(struct proxy *p);
bool record_full(const struct proxy *p);
void record_connected(struct proxy *p); /* a new line: everything that was not acknowledged goes again */
void record_acked(struct proxy *p, int64_t number);

/* ---- identity.c ---- */
struct identity {
    struct authority *authority;
    SSL_CTX *accept, *connect;
    char *more_file;         /* that `connect` was made with; NULL: not made */
    int64_t more_changed_ns; /* of that file */
    struct leaf *leaves;     /* uthash by host */
    size_t leaf_count;
};
MUST_USE enum rc identity_open(struct proxy *p, const char *dir, const char *seal_file, struct err *err);
/* Believes the authorities of this file too; "" for the system's alone. */
MUST_USE enum rc identity_trust(struct proxy *p, const char *more_file, struct err *err);
/* An SSL to answer a client as `host`; a client that names another one is refused, and *ret_wrong_name (of the flow)
 * says so. */
MUST_USE enum rc identity_accept(struct proxy *p, const struct hostname *host, bool *wrong_name, SSL **ret,
                                 struct err *err);
MUST_USE enum rc identity_connect(struct proxy *p, const struct hostname *host, SSL **ret, struct err *err);

/* ---- flow.c, relay.c ---- */
enum flow_phase {
    FLOW_HEAD,      /* a head is read, or waited for */
    FLOW_ASKING,    /* a person is asked */
    FLOW_DIALLING,  /* a connection to the server is made */
    FLOW_HANDSHAKE, /* the client's TLS */
    FLOW_GATHER,    /* a body is read whole, because secrets go into it */
    FLOW_RELAY,     /* request and answer pass */
    FLOW_RAW,       /* bytes pass: a tunnel, or after an upgrade */
    FLOW_OVER
};
struct server_side {   /* our connection to a server */
    struct conn conn;  /* first */
    struct flow *flow; /* NULL: let go */
    struct hostname host;
    uint16_t port;
    bool tls, ready;
    bool keep;     /* it may be used again */
    int exchanges; /* on it so far, with the one under way */
    char address[64];
};
struct body { /* one direction of a message */
    enum body_way way;
    struct http_chunked chunked;
    int64_t left; /* of BODY_PLAIN; -1: to the end of the connection */
    bool done;
};
struct flow {
    struct conn client; /* first */
    struct run *run;
    enum flow_phase phase;
    bool inside;          /* of an intercepted connection */
    struct hostname host; /* of CONNECT */
    uint16_t port;
    bool wrong_name; /* the client's TLS server name was another */
    bool begun;      /* bytes of a head have come */
    struct server_side *server;
    struct dial *dial;
    struct question *question;
    struct flow *next_asking; /* of the same question */
    /* The exchange under way: */
    struct row x;
    struct http_head head;
    struct ask ask;
    struct body request, answer;
    bool keep_alive, websocket, tunnel;
    bool head_sent;  /* the client has the answer's head */
    bool body_began; /* bytes of the request's body went to the server */
    bool redialled;
    bool anew; /* the request's body was put together anew: `gathered` */
    struct buf gathered, head_out;
    uint32_t watched, watched_framing; /* states over the request's body, and over it with its framing */
};
extern const struct conn_kind flow_kind;
/* The host may be reached: goes on with what waits. allow false: refuses it with these words. */
void flow_answered(struct flow *f, bool allow, const char *why);
/* Says no: an answer of this status where that is still possible, a row, the end of the connection. */
void flow_refuse(struct flow *f, int status, const char *verdict, const char *why);
void flow_server_ready(struct flow *f);
void flow_server_failed(struct flow *f, enum rc rc, const char *why);
void flow_exchange_done(struct flow *f);
void flow_end(struct flow *f); /* the client is gone, or the run is over: everything at once */

/* Makes or uses again the connection to f's host; ends in flow_server_ready or flow_server_failed, from the loop. */
void server_reach(struct flow *f);
void server_let_go(struct flow *f, bool at_once);
/* Passes bytes of the request's body; how many were taken. */
size_t body_pass(struct flow *f, struct body *b, struct conn *to, struct str bytes, bool of_request);

/* ---- question.c ---- */
void question_ask(struct flow *f);
void question_answered(struct run *run, int64_t id, bool allow, const char *words);
void question_leave(struct flow *f); /* f is over */
void questions_end(struct run *run);
void questions_again(struct proxy *p); /* a new line: they are put again */

/* ---- proxy.c ---- */
struct proxy {
    mem *ctx;
    const char *data_dir;
    uv_loop_t uv;
    struct conn_hub hub;
    struct resolver *resolver;
    struct line *line; /* NULL: no server */
    uv_timer_t retry;
    uv_signal_t term, intr;
    int64_t alone_since_ms;
    struct run *runs;
    size_t run_count;
    struct record record;
    struct identity identity;
    int64_t last_question;
    char *id; /* of this process: random */
};
bool proxy_send(struct proxy *p, struct str frame); /* false: no server */
void run_connection_ended(struct run *run);
