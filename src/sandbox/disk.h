/* Private to this room: the process that watches what a sandbox writes to disk. */
#pragma once
#include "sandbox/room.h"

/* Starts it where the spec has limits of disk; it ends with the sandbox, or with the opener. */
MUST_USE enum rc disk_watch(struct sandbox *sb, const struct sandbox_spec *spec, const struct room_way *way,
                            struct err *err);
void disk_watch_end(struct sandbox *sb);
/* Bytes in use below a folder, also where only the users of sandboxes may look; -1: it could not be counted, INT64_MAX:
 * folders are nested too deep. */
int64_t disk_usage(const char *dir);
