/* The server's side of notifications: the notifier, the daily digest, removing what is old. Private to this room. */
#pragma once
#include "api/server_room.h"
#include "notify/notify.h"

void notify_open(struct server *s);   /* after the database and the credentials */
void notify_start(struct server *s);  /* before the first write of the loop */
void notify_tick(struct server *s);   /* each second, on the loop */
void notify_expire(struct server *s); /* hourly; a pool thread */
void notify_close(struct server *s);  /* before the store is closed */
/* The digest of the day that `now_ns` is in, if it is time for it and it was not made; a pool thread. */
MUST_USE enum rc digest_make(struct server *s, int64_t now_ns, struct err *err);
