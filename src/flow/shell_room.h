/* The sandbox of a shell. Private to this room (see shell.h). */
#pragma once
#include "base/json.h"
#include "sandbox/sandbox.h"
#include "sandbox/volume.h"

struct shell_room {
    mem *ctx; /* of everything here */
    struct sandbox *sandbox;
    struct volumes volumes;
    const char *work_dir;
    int lock; /* on <task>/files.lock while the files may be written; -1: they are read-only */
    bool given;
};
/* wish_write: the files are to be writable where nobody works on them. RC_NOT_FOUND: the task has no files (yet, or any
 * more); RC_DENIED: it works without a sandbox. *ret is closed on failure. */
MUST_USE enum rc shell_room_open(mem *ctx, const char *data_dir, const char *task_id, const char *session,
                                 struct json spec, bool wish_write, struct shell_room *ret, struct err *err);
void shell_room_close(struct shell_room *room, int *ret_left); /* as sandbox_close */
