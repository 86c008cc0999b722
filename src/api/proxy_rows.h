/* Rows of traffic on their way from the proxy's line into the database. Private to this room.
 *
 * Frames are written in the order in which they came, each in one transaction together with how far the process has
 * come, so that what is sent again is written once; a frame is acknowledged when it is durable. Alarms become events of
 * their task in the same transaction. The loop's thread. */
#pragma once
#include "api/server_room.h"

struct line;
struct proxy_rows;
/* For one line and the process (`origin`) behind it. broken(arg): something could not be written; nothing further of
 * this line is, so that a process which connects again and sends anew loses nothing. proxy_rows_free is allowed inside.
 */
struct proxy_rows_spec {
    struct server *server;
    struct line *line;
    const char *origin; /* copied */
    void (*broken)(void *arg);
    void *arg;
};
struct proxy_rows *proxy_rows_new(const struct proxy_rows_spec *spec);
/* Writes under way go on; nothing is acknowledged any more. NULL is fine; returns NULL. */
struct proxy_rows *proxy_rows_free(struct proxy_rows *r);
void proxy_rows_take(struct proxy_rows *r, struct str frame); /* copied */
