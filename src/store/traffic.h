/* Traffic: what left sandboxes through the egress proxy, a row an exchange; and what people said about hosts. Written
 * by the server's end of the proxy's line (api/proxy_link.h), read by faces. Texts were redacted before they get here.
 *
 * Retention is by field: bodies go first, then fields of heads, then rows. Reads: any thread. */
#pragma once
#include "store/store.h"

struct traffic {
    int64_t number; /* order of writing */
    int64_t time_ns;
    const char *task, *project, *agent, *phase;
    const char *host;
    int64_t port;
    const char *scheme; /* http https tcp */
    const char *method, *path;
    int64_t status; /* that the client got; 0: none */
    int64_t bytes_up, bytes_down;
    int64_t first_byte_ms; /* -1: none */
    int64_t ms;
    const char *verdict; /* allowed denied tunnelled failed alarm */
    const char *reason, *address;
};
struct traffic_texts { /* "" where nothing is kept */
    const char *request_head, *answer_head, *request_body, *answer_body;
    bool has_head, has_body, cut;
};
/* Sets t->number. */
MUST_USE enum rc traffic_insert(struct store_tx *tx, struct traffic *t, const struct traffic_texts *texts,
                                struct err *err);
/* Rows of a proxy process up to this one are written; 0: none. */
MUST_USE enum rc traffic_origin_get(struct store_tx *tx, const char *origin, int64_t *ret_row, struct err *err);
MUST_USE enum rc traffic_origin_put(struct store_tx *tx, const char *origin, int64_t row, int64_t now_ns,
                                    struct err *err);

struct traffic_filter { /* NULL: any */
    const char *task, *project, *host, *verdict, *phase, *method;
    const char *text;           /* in host, path, reason, heads or bodies; case of ASCII letters does not count */
    int64_t status;             /* 0: any; 4 and 5 stand for the classes */
    int64_t since_ns, until_ns; /* 0: any; until is not included */
    int64_t before;             /* numbers below; 0: from the newest */
    int64_t limit;              /* at most TRAFFIC_LIST_MAX */
    bool oldest_first;          /* then `before` is `after` */
};
#define TRAFFIC_LIST_MAX    1000
#define TRAFFIC_SEARCH_MOST 200000 /* rows that one search by text looks at; it goes on from *ret_next */
/* *ret_next: what `before` is to be for the rows after these, 0 when there are none. A search may find nothing and
 * still have a next. */
MUST_USE enum rc traffic_list(mem *ctx, struct store *s, const struct traffic_filter *f, struct traffic **ret,
                              size_t *ret_n, int64_t *ret_next, struct err *err);
MUST_USE enum rc traffic_find(mem *ctx, struct store *s, int64_t number, struct traffic *ret, struct err *err);
MUST_USE enum rc traffic_texts_get(mem *ctx, struct store *s, int64_t number, struct traffic_texts *ret,
                                   struct err *err);
/* Removes up to `most` of each that are past their days (0: kept for good). *ret_n: what was removed; call again while
 * it is not 0. */
MUST_USE enum rc traffic_expire(struct store_tx *tx, int64_t now_ns, int64_t days_rows, int64_t days_heads,
                                int64_t days_bodies, int64_t most, int64_t *ret_n, struct err *err);

struct egress_host {
    const char *project; /* "": all projects */
    const char *host;
    int64_t port;        /* 0: 443 and 80 */
    const char *verdict; /* allow deny */
    const char *said_by;
    int64_t said_ns;
};
MUST_USE enum rc egress_host_put(struct store_tx *tx, const struct egress_host *h, struct err *err);
MUST_USE enum rc egress_host_remove(struct store_tx *tx, const char *project, const char *host, int64_t port,
                                    struct err *err); /* RC_NOT_FOUND */
/* Those of a project and of all projects; NULL: everything. */
MUST_USE enum rc egress_host_list(mem *ctx, struct store *s, const char *project, struct egress_host **ret,
                                  size_t *ret_n, struct err *err);
