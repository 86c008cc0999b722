/* The intercepting egress proxy: a process of its own that answers on the listeners of sandboxes, judges what leaves,
 * passes it on and tells the server of each exchange.
 *
 * What it promises:
 * - Nothing is dialled but what the run's rules allow (policy.h), by the name that was judged, at an address that was
 *   judged. CONNECT's name, the TLS server name and Host are one name, or the request is refused. It follows no
 *   redirections.
 * - TLS on both sides, HTTP/1.1 on both sides (ALPN), WebSocket passed through; certificates of servers are verified
 *   against the system's store. Every byte goes on when it comes: no message is held back but a request body into which
 *   a secret is put. Interim answers and trailers are passed on. Memory is bounded by back-pressure.
 * - Placeholders become secrets for the one host that each is bound to, and raise an alarm elsewhere; so do canaries
 *   everywhere.
 * - Each exchange becomes a row (enum traffic_column), redacted, sent to the server until it is acknowledged. When
 *   RECORD_QUEUE_MAX bytes of rows wait, new requests are refused (503): nothing leaves unseen.
 *
 * The line to the server (<data>/run/proxy.sock, os/line.h, JSON):
 *   to the proxy     open {tag, task, project, agent, phase, rules, unknown, ask_ms, private, resolve, secrets,
 *                    canaries, connections, keep, body_max, upstream_ca} with the listener; close {tag};
 *                    answer {question, allow, words}; ack N
 *   to the server    hello {pid, id, tags}; rows [[number, ...]] in the order of enum traffic_column;
 *                    question {id, tag, host, port, method}
 * Rows are numbered from the process's start, which `id` names; the server acknowledges the highest that is durable.
 * Nothing else leaves the process: no database, no files but the authority's. */
#pragma once
#include "base/err.h"

/* Columns of a row on the line, in order. */
enum traffic_column {
    TRAFFIC_NUMBER, /* of this process, from 1 */
    TRAFFIC_TASK,
    TRAFFIC_PROJECT,
    TRAFFIC_AGENT,
    TRAFFIC_PHASE,
    TRAFFIC_TIME_NS,
    TRAFFIC_HOST,
    TRAFFIC_PORT,
    TRAFFIC_SCHEME, /* "http", "https", "tcp" (a tunnel) */
    TRAFFIC_METHOD,
    TRAFFIC_PATH,     /* with the query, redacted */
    TRAFFIC_STATUS,   /* that the client got; 0: none */
    TRAFFIC_BYTES_UP, /* of bodies, or of the tunnel */
    TRAFFIC_BYTES_DOWN,
    TRAFFIC_FIRST_BYTE_MS, /* until the answer's head; -1: none */
    TRAFFIC_MS,
    TRAFFIC_VERDICT,      /* "allowed", "denied", "tunnelled", "failed", "alarm" */
    TRAFFIC_REASON,       /* a sentence; "" where all went well */
    TRAFFIC_ADDRESS,      /* that was dialled, or "" */
    TRAFFIC_REQUEST_HEAD, /* lines of fields, redacted; "" where they are not kept */
    TRAFFIC_ANSWER_HEAD,
    TRAFFIC_REQUEST_BODY, /* redacted; "" where it is not kept */
    TRAFFIC_ANSWER_BODY,
    TRAFFIC_CUT, /* a kept body is only the beginning */
    TRAFFIC_COLUMNS
};

/* The role: runs until it is told to end or its data folder's server stays away for PROXY_ALONE_S. Exit status. */
#define PROXY_ALONE_S 120
int proxy_main(const char *data_dir, const char *seal_file); /* seal_file: opens the authority's key */
