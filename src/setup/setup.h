/* The layer that a project's `setup:` commands make: npm ci, pip install, cargo fetch.
 *
 * The commands run once, in a sandbox of their own, on a fresh export of a commit's files at /workspace. What they made
 * there and git ignores (node_modules, .venv, target) becomes a layer: a folder that is never written again and is
 * mounted read-only at the same places in every sandbox of the agent and of the verifier. What they changed else is
 * thrown away, and named in the notes.
 *
 * A layer's key is the commands, the files that they read by the look of their names (lock files, manifests, files that
 * a command names; all files when there are none of these), and what the machine is (system, architecture, versions).
 * A tree with the same such files as the base gets the base's layer, which was made of the base's own files: so an
 * agent can neither change what a check stands on nor leave something behind for another task. Any other tree gets a
 * layer of its own, made of its own files, without cache volumes, under a key that no other tree has.
 * Layers are kept at <layers>/<key>; one is made by one process while the others wait for it. At most SETUP_ROOTS
 * files and folders are in a layer.
 * Not here: when to do it and what is told about it (src/flow/layer.c). Threads: main thread of a small process. */
#pragma once
#include "repo/repo.h"
#include "sandbox/sandbox.h"
#include "sandbox/volume.h"

enum { SETUP_ROOTS = 64 };
#define SETUP_LAYERS "layers" /* folder below the data folder, by project */
/* One path component that stands for a repository, by its common git directory, wherever its work trees are. In ctx. */
const char *setup_project(mem *ctx, const char *git_dir);

struct setup_spec {
    const char *git_dir;
    const char *base;                  /* commit or tree of the base */
    const char *const *commands;       /* for /bin/sh -c, in order; NULL-terminated */
    const char *layers;                /* folder of layers of this project, absolute */
    const char *work_dir;              /* a fresh export goes below; on the file system of layers */
    const struct volume_spec *volumes; /* cache volumes, for layers of the base; NULL: none */
    struct sandbox_limits limits;
    bool user_namespaces;
    int timeout_s; /* for each command */
    int start_deadline_ms;
    int cancel_fd; /* -1: none */
    /* What the sandbox has beyond the files: the road to package hosts. Both may be NULL, mount_count 0: no network. */
    const struct sandbox_mount *mounts;
    size_t mount_count;
    const char *const *env;
    const uint16_t *listen; /* ports inside, as of struct sandbox_spec; NULL: none */
    size_t listen_count;
    /* The sandbox is open, no command has run: to take its listener, say. May be NULL. */
    enum rc (*on_open)(void *arg, struct sandbox *sb, struct err *err);
    /* A command begins (result NULL) or has ended. May be NULL. */
    void (*on_command)(void *arg, const char *command, const struct sandbox_result *result);
    void *arg;
};
struct setup_layer {
    const char *key; /* hex */
    struct sandbox_mount
        *mounts; /* read-only, optional, below /workspace, byte order; none when the commands made none */
    size_t n;
    bool fresh;        /* made by this call */
    const char *notes; /* lines: what was made and is not in the layer; "" */
    /* The commands did not succeed: nothing is mounted. */
    bool failed;
    const char *words;   /* one sentence: which command, how it ended, and when it seems to miss the network */
    const char *command; /* the one that failed */
    struct str output;   /* its last output, clean UTF-8 */
    int exit_code;       /* -1: ended by a signal or limit */
};
/* The layer for a tree (or commit): found, or made. RC_OK with `failed` when a command does not succeed; errors are the
 * machine's own trouble, RC_CANCELLED through cancel_fd. A layer that is used is marked so that it is not removed for a
 * while. *ret in ctx. */
MUST_USE enum rc setup_layer(mem *ctx, const struct setup_spec *spec, const char *tree, struct setup_layer *ret,
                             struct err *err);
/* The layer with this key, as it stands; nothing is made. RC_NOT_FOUND. layers: as of the spec. */
MUST_USE enum rc setup_layer_find(mem *ctx, const char *layers, const char *key, struct setup_layer *ret,
                                  struct err *err);
/* Removes layers below dir (of all projects: <dir>/<project>/<key>) that nobody used for unused_s. Those are removed
 * that no sandbox has mounted for that long, so it must be longer than any task. *ret_n how many. */
MUST_USE enum rc setup_trim(const char *dir, int64_t now_s, int64_t unused_s, int64_t *ret_n, struct err *err);
