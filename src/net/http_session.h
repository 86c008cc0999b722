/* One connection that speaks HTTP/1: what the server (reading) and the answers (writing) share. Private to this room.
 */
#pragma once
#include "net/conn.h"
#include "net/http_parse.h"

struct http_server {
    struct http_server_spec spec;
    struct conn_hub hub;
    struct http_listener *listeners;
    int open_listeners;
    const void *unlisten; /* the tag, while http_server_unlisten goes through the connections */
    size_t bodies;        /* bytes of bodies of clients without a reserve */
    size_t crowd;         /* most connections at once since memory was given back */
    uv_timer_t timer;     /* accepts again after the system was out of descriptors; then the deadline of stopping */
    bool timer_open, stopping, stopped;
    void (*done)(void *arg);
    void *done_arg;
    int64_t date_at; /* second that `date` shows */
    char date[40];
};

/* What a connection speaks after an upgrade. Callbacks as those of struct conn_kind, with the upgrade's own arg. */
struct session_tunnel {
    size_t (*on_bytes)(void *arg, struct str bytes);
    void (*on_deadline)(void *arg);
    void (*on_drained)(void *arg);
    void (*on_gone)(void *arg); /* also when a stopping server waits no longer */
    void (*on_stop)(void *arg); /* the server stops: it should come to an end */
};

enum http_phase { HTTP_HEAD, HTTP_BODY, HTTP_ANSWER, HTTP_TUNNEL, HTTP_CLOSING };
struct http_session {
    struct conn conn; /* first: see conn.h */
    struct http_server *server;
    enum http_phase phase;
    bool handling;   /* on_request is on the stack */
    bool keep_alive; /* of the request at hand */
    bool chunked;
    bool leaving;    /* the next request is another loop's, and so is the connection */
    bool unlistened; /* its listener was ended: it has to end too */
    bool begun;      /* bytes of the request at hand have arrived */
    size_t scanned;  /* bytes searched for the end of the head */
    struct http_peer peer;
    const struct http_hosts *hosts;
    struct http_request *request; /* from its head to the end of its answer */
    const struct session_tunnel *tunnel;
    void *tunnel_arg;
    struct http_chunked decoder;
    struct buf body;
    bool privileged;                 /* its listener has a reserve */
    size_t body_counted;             /* of it in server->bodies */
    int64_t body_left, body_paid_ms; /* paid: the time that arrived bytes have bought already */
};

enum http_answer_state { ANSWER_NONE, ANSWER_STREAMING, ANSWER_ENDED };
struct http_answer {
    struct http_session *session; /* NULL: the client is gone */
    enum http_answer_state state;
    bool head_only;   /* HEAD: fields, no body */
    bool delimited;   /* a stream to HTTP/1.0: its end is the connection's end */
    bool saying_gone; /* the handler's gone is on the stack */
    void (*gone)(struct http_request *r);
    void (*drained)(struct http_request *r);
};

/* The body is not kept any more, or soon. */
void session_body_release(struct http_session *s);
/* The answer to s->request has been written; reads the next request or closes. */
void session_answered(struct http_session *s);
/* Answers a request that never reached the handler, and closes. */
void session_refuse(struct http_session *s, int status, const char *why);
/* Answers 101 with these fields to a client that is there, frees r and hands the connection over. */
void session_upgrade(struct http_request *r, const char *const *fields, const struct session_tunnel *tunnel, void *arg);
