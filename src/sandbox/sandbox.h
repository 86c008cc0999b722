/* A sealed room for commands: bubblewrap with new user, mount, pid, net, ipc and uts namespaces, a read-only system,
 * own /tmp, /proc and /dev, no network, no capabilities, a seccomp filter, limits; one long-lived small init inside, so
 * that the process tree of one iteration is one tree and ends as one.
 *
 * sandbox_open starts: launcher (a fork that sets limits and drops to the right uid) -> bwrap -> init
 * (a small program that is part of this one, pid 1, not dumpable, so that nothing inside can touch it). Commands run
 * through init; background children of a command live on until the sandbox is closed. sandbox_close ends everything
 * inside and waits until nothing is left. When the opening process dies, the kernel ends the sandbox (PR_SET_PDEATHSIG
 * through every stage), and init ends itself when its control socket closes. The rung says which user the inside has on
 * this machine: a real uid of its own (daemon runs as root), a subordinate uid (newuidmap), or a namespace uid only.
 * Inside, the users are called agent (1000) and verifier (1001), the system is /usr and the harmless part of /etc, and
 * nothing else of the machine is there but the mounts. Limits count for the whole sandbox unless said otherwise.
 * Threads: main thread of a small process with one thread (the launcher is forked from it). */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include <sys/types.h>

enum sandbox_rung { RUNG_NONE, RUNG_NAMESPACE_UID, RUNG_SUB_UID, RUNG_REAL_UID };
enum sandbox_user { SANDBOX_AGENT, SANDBOX_VERIFIER }; /* two different users wherever the rung allows it */

struct sandbox_mount {
    const char *source; /* absolute path outside; any permissions that the opening process can pass */
    const char *target; /* absolute path inside; made when missing. Inside an earlier writable mount, no part of it may
                           be a link by now: RC_DENIED */
    bool writable;
    bool optional; /* left out where a link, or a file for a folder, stands in the way within an earlier writable mount
                    */
};
/* 0: the default that is given here; callers pass the settings. Without a control group, init looks four times a second
 * at the memory in use and ends the largest process. */
struct sandbox_limits {
    int64_t memory_bytes; /* 4 GiB */
    int64_t processes;    /* 512 */
    int64_t cpu_seconds;  /* 3600; per process (rlimit) */
    int64_t file_bytes;   /* 4 GiB; largest file written, per file */
    int64_t tmp_bytes;    /* 1 GiB; size of /tmp, and of /dev/shm; both are memory */
    /* Disk, of all writable mounts together (blocks in use, a file with several names once); /tmp is memory and has its
     * own limit. The sandbox is ended within moments of passing it: see sandbox_disk_over. 0: no limit. Both are not
     * held with `without`. */
    int64_t disk_bytes;
    int64_t disk_floor; /* ended too when a file system of a writable mount has less than this free; 0: no floor */
};
enum { SANDBOX_LISTENERS = 2 }; /* most listeners of a sandbox */
struct sandbox_spec {
    enum sandbox_user user;
    const struct sandbox_mount *mounts; /* beyond the system; the order counts */
    size_t mount_count;
    const char *cwd; /* inside */
    /* NULL-terminated; PATH, HOME (=/tmp/home), LANG, TERM=dumb, TMPDIR, USER are set unless given here. */
    const char *const *env;
    struct sandbox_limits limits;
    /* Ports of 127.0.0.1 inside at which the outside listens, open before the first command: the only network that
     * there is in a sandbox. The descriptors are handed out (sandbox_listener); whoever connects is inside this
     * sandbox. With `without` the kernel chooses the ports, they are the machine's own, and anybody on it may connect.
     */
    uint16_t listen[SANDBOX_LISTENERS];
    size_t listen_count;
    const char *label; /* for cgroup and log: "task-iteration" */
    bool debug;        /* ptrace is allowed inside: debuggers, strace, the leak sanitizer. init stays out of reach */
    /* User namespaces, and mounts within them, are allowed inside: programs that bring a sandbox of their own. More of
     * the kernel is in reach then. */
    bool user_namespaces;
    /* --no-sandbox: plain processes of the opener's own user, no protection. Paths inside become those of the mounts'
     * sources; what is left running is still ended. */
    bool without;
};
struct sandbox;
/* Ready within deadline_ms (a start that takes longer is ended: RC_TIMEOUT). RC_UNAVAILABLE with a hint that mends it
 * when the machine cannot. */
MUST_USE enum rc sandbox_open(mem *ctx, const struct sandbox_spec *spec, int deadline_ms, struct sandbox **ret,
                              struct err *err);

/* A listener of the sandbox (spec.listen[i]); stays the sandbox's: duplicate it to keep it. Connections that wait in it
 * end with its last descriptor. */
int sandbox_listener(const struct sandbox *sb, size_t i);
uint16_t sandbox_listener_port(const struct sandbox *sb, size_t i); /* as programs inside see it */

struct sandbox_command {
    const char *const *argv; /* or NULL with `shell` */
    const char *shell;       /* run by /bin/sh -c */
    const char *cwd;         /* inside; NULL: the spec's */
    const char *const *env;  /* added to the sandbox's */
    struct str input;        /* standard input; empty: /dev/null */
    int input_fd;            /* standard input instead: a pipe whose other end the caller feeds; <= 0: none */
    int timeout_ms;          /* < 0: none */
    int cancel_fd;           /* readable: end the command, RC_CANCELLED; -1: none */
    size_t keep;             /* bytes of output kept in memory: the first and the last half (rest is counted) */
    int out_fd;              /* whole output is written here too, up to out_max bytes; -1: nowhere */
    int64_t out_max;         /* 0: 64 MiB */
    bool merge;              /* standard error into standard output */
    bool flood_ends;         /* end the command when out_max is passed */
    /* Called with every piece of output as it arrives, also with what is past out_max; error: of standard error. False:
     * end the command as by cancel_fd. The time that it takes is not the command's. NULL: nobody listens. */
    bool (*on_output)(void *arg, bool error, struct str bytes);
    void *arg;
    int grace_ms; /* between TERM and KILL; 0: 500 */
};
struct sandbox_result {
    int exit_code; /* -1 when ended by a signal */
    int signal;
    bool timed_out, flooded, could_not_start; /* not started: exit_code 127 and the reason in err (out when merged) */
    bool memory_limit, process_limit;         /* reached while this command ran: by it or by something left running */
    struct str out, err;                      /* kept parts in ctx, with a visible mark where bytes were left out */
    int64_t out_bytes, err_bytes;             /* whole lengths */
    int64_t elapsed_ns;
};
/* Runs to the end of the command's main process; when it ends, its process group is not ended (background processes
 * stay until close), but reading stops 200 ms later even when they keep the pipe open. RC_OK whatever the command did.
 * To end a command (timeout, cancel, flood): TERM to its process group, grace_ms, KILL. RC_CANCELLED: ended through
 * cancel_fd, *ret is filled. RC_LIMIT: the disk limit ended the sandbox. RC_UNAVAILABLE: the sandbox is gone. Close it
 * after either. */
MUST_USE enum rc sandbox_run(mem *ctx, struct sandbox *sb, const struct sandbox_command *cmd,
                             struct sandbox_result *ret, struct err *err);

/* A command on a terminal of the sandbox's own, for people. Several may run at once, but none beside sandbox_run. */
struct sandbox_terminal {
    int64_t id;
    int master; /* the caller's to read, write (bytes) and close; non-blocking. At its end reading says EIO */
};
/* argv, cwd and env as of struct sandbox_command. RC_NOT_FOUND, RC_DENIED, ...: the program could not be started.
 * RC_UNAVAILABLE: the sandbox is gone. */
MUST_USE enum rc sandbox_terminal_start(mem *ctx, struct sandbox *sb, const struct sandbox_command *cmd, uint16_t rows,
                                        uint16_t columns, struct sandbox_terminal *ret, struct err *err);
/* Its programs are told (SIGWINCH). */
void sandbox_terminal_resize(const struct sandbox_terminal *t, uint16_t rows, uint16_t columns);
/* Readable when something has ended, or the sandbox is gone. */
int sandbox_terminal_fd(const struct sandbox *sb);
/* Takes what sandbox_terminal_fd shows. RC_OK: a command on a terminal ended, *ret_id which and how; RC_AGAIN: nothing
 * to take; RC_LIMIT: the disk limit ended the sandbox; RC_UNAVAILABLE: the sandbox is gone. */
MUST_USE enum rc sandbox_terminal_ended(struct sandbox *sb, int64_t *ret_id, int *ret_code, int *ret_signal,
                                        struct err *err);
/* Ends every process inside but the sandbox itself, commands and what they left running, and waits until they are gone:
 * afterwards nothing inside changes a file until the next command. RC_UNAVAILABLE when some would not end. */
MUST_USE enum rc sandbox_quiet(struct sandbox *sb, struct err *err);
/* Whether files must be handed over (sandbox_give) before commands can change them, and taken back (sandbox_take)
 * before the opening process can: with subordinate uids, where it is another user without power over them. */
bool sandbox_hands_over(const struct sandbox *sb);
/* Whether the sandbox was ended because its files went over limits.disk_bytes or the disk came down to
 * limits.disk_floor. Then err says which with the figures (RC_LIMIT); sandbox_run answers the same from then on. */
bool sandbox_disk_over(struct sandbox *sb, struct err *err);
/* Ends every process inside; *ret_left (may be NULL) counts what had to be killed. NULL is fine. Returns NULL. */
struct sandbox *sandbox_close(struct sandbox *sb, int *ret_left);
bool sandbox_alive(struct sandbox *sb);
pid_t sandbox_pid(const struct sandbox *sb); /* outer process, for tests */

/* What this machine offers, with evidence and the next step, from real probes (each with a deadline). Cached per
 * process. */
struct sandbox_probe {
    enum sandbox_rung rung;
    char rung_words[160]; /* "real uid 64810/64811 per role" */
    char bwrap_version[32];
    char limits_words[160]; /* "cgroup v1 memory, pids" or "rlimits only" */
    bool works;
    struct err problem;  /* when !works: sentence, detail (evidence), hint (line that mends it) */
    char next_rung[512]; /* how to reach the next rung; empty at the top */
};
const struct sandbox_probe *sandbox_probe(void);
/* uid and gid that files handed to this user must belong to: the real or subordinate uid, else our own. */
void sandbox_owner(enum sandbox_user user, uid_t *ret_uid, gid_t *ret_gid);
/* Base uid of the two real uids (agent, agent+1), from the settings; call before anything else. Default 64810. */
void sandbox_set_uid_base(uid_t base);
/* Hands a tree to a user (owner and group; links themselves, no following). With a subordinate uid this goes through
 * newuidmap. A file that has other names (hard links) is copied first, so that a file elsewhere never changes hands.
 * Nothing may run in a sandbox on the tree meanwhile (sandbox_quiet). */
MUST_USE enum rc sandbox_give(const char *dir, enum sandbox_user user, struct err *err);
/* Takes it back: everything belongs to the opening process, which may read every file and change every folder (files
 * u+r, folders u+rwx); set-user-id bits are gone. */
MUST_USE enum rc sandbox_take(const char *dir, struct err *err);

/* The first process inside. It runs in a small program of its own (init_main.c) whose bytes are part of this room;
 * NIGHTMILL_INIT in the environment names another one by an absolute path, for tests. Returns the exit code. */
int sandbox_init_main(int argc, char **argv);
