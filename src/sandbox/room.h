/* What the files of this room share about an open sandbox. */
#pragma once
#include "os/cgroup.h"
#include "sandbox/idmap.h"
#include "sandbox/sandbox.h"
#include "sandbox/words.h"

/* Why the disk ended a sandbox, as the watching process tells it. */
enum disk_why { DISK_FINE, DISK_LIMIT, DISK_FLOOR, DISK_FILES, DISK_DEPTH };
struct disk_report {
    enum disk_why why;
    int64_t used, free;
    int64_t limit, floor; /* as they were set */
};

struct sandbox {
    int control;                  /* our end of init's socket; -1 once closed */
    pid_t outer, init;            /* bubblewrap (or a plain init, then equal), init as seen from here */
    int outer_fd, init_fd;        /* pidfds; -1: none */
    struct cgroup *cgroup;        /* NULL: none */
    pid_t disk_pid;               /* the process that watches the disk; 0: none */
    int disk_fd;                  /* what it reports; -1: none */
    struct disk_report disk;      /* once it was read */
    bool plain;                   /* without protection */
    const char *const *env;       /* of every command */
    const char *cwd;              /* inside */
    struct sandbox_mount *mounts; /* plain: for translating paths */
    size_t mount_count;
    char *plain_tmp;                  /* plain: our own temporary folder, removed at the end */
    int listeners[SANDBOX_LISTENERS]; /* those of the spec, made by init */
    uint16_t ports[SANDBOX_LISTENERS];
    size_t listener_count;
    int64_t last_id;
    int64_t memory_kills; /* by init's watch so far */
    bool dead;            /* init broke the format or vanished */
};

enum {
    ROOM_FRAME_MS = 5000, /* an answer of init that needs no work */
    ROOM_TEXT_MAX = 4 << 20,
};

/* One way of starting, found by the probe. */
struct room_way {
    enum sandbox_rung rung;
    const char *bwrap;   /* NULL: none */
    bool disable_userns; /* bubblewrap knows --disable-userns, and it works */
    bool own_userns; /* RUNG_REAL_UID: bubblewrap may not make a user namespace (AppArmor on Ubuntu 24.04), root may */
    struct idmap map;
    struct cgroup_place place;
};
/* The way of this machine, from the probe. Without protection nothing is tried but the control groups. */
MUST_USE enum rc room_way(bool without, const struct room_way **ret, struct err *err);
/* Opens by a given way: the probe's own trial goes through here. */
MUST_USE enum rc room_open(mem *ctx, const struct room_way *way, const struct sandbox_spec *spec, int deadline_ms,
                           struct sandbox **ret, struct err *err);
/* Takes one message of init. RC_TIMEOUT: none came; else the sandbox is dead. */
MUST_USE enum rc room_take(mem *ctx, struct sandbox *sb, int timeout_ms, struct words *ret, int *ret_fds,
                           int *ret_fd_count, struct err *err);
MUST_USE enum rc room_say(struct sandbox *sb, const struct buf *b, const int *fds, int fd_count, struct err *err);
/* Inside path to a path outside (plain only). */
const char *room_path(mem *ctx, const struct sandbox *sb, const char *inside);
/* NULL-terminated environment: the lists in order, later names win. Lists may be NULL. */
const char *const *room_env(mem *ctx, const char *const *const *lists, size_t n);
uid_t room_uid_base(void);
