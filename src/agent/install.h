/* Where agents' programs are, and putting them there.
 *
 * A backend with an npm package is installed in its pinned version into <data>/agents/<name>, a folder of its own
 * (package.json, node_modules); nothing global is changed. What is installed there comes first, then the PATH of who
 * asks. Programs only run inside a sandbox, also to ask for their version. A Node.js newer than the machine's, where a
 * package needs it, is one more package (node) in the same folder. Threads: main thread of a small process. */
#pragma once
#include "agent/backend.h"
#include "sandbox/sandbox.h"

struct install_place {
    const char *origin;  /* "installed", "path", "custom" (generic backends); NULL: not found */
    const char *outside; /* the program, absolute; NULL for "custom" */
    const char *version; /* of the package, from its package.json; NULL: unknown until it is asked */
    /* For the sandbox and the ask: */
    const char *program;   /* backend_ask.program */
    const char *tool_path; /* backend_ask.tool_path; may be NULL */
    struct sandbox_mount mounts[2];
    size_t mount_count;
};
/* path: the PATH to look in ("" or NULL: nowhere). Not found is RC_OK with origin NULL. In ctx. */
MUST_USE enum rc install_find(mem *ctx, const char *data_dir, const char *path, const struct backend *backend,
                              struct install_place *ret, struct err *err);
/* The agent with where it is, as an object: name, title, here, origin, path, version, ... (AvailableAgent of the API).
 */
void install_json(struct json_out *o, const struct backend *backend, const struct install_place *place);
void install_list_json(struct json_out *o, const char *key,
                       const char *const *list); /* list: NULL-terminated or NULL */
/* Asks the program for its version, in a sandbox without network. *ret_version in ctx. RC_UNAVAILABLE when it does not
 * start or does not answer in time. */
MUST_USE enum rc install_probe(mem *ctx, const struct backend *backend, const struct install_place *place,
                               int timeout_ms, const char **ret_version, struct err *err);
/* Installs the pinned version beside what is there and puts it in its place at once. on_line gets npm's words (may be
 * NULL). RC_UNAVAILABLE: npm is absent; RC_INVALID: the backend has no package; RC_UPSTREAM: npm failed. */
MUST_USE enum rc install_package(mem *ctx, const char *data_dir, const char *path, const struct backend *backend,
                                 int cancel_fd, void (*on_line)(void *arg, struct str line), void *arg,
                                 struct err *err);
