/* The daemon as commands see it: it is started by the first command that needs it and runs in the background.
 *
 * Starting re-executes this program in the role "keeper" in a session of its own, with standard error going to
 * <data>/log/daemon.log and without model keys in its environment (they are handed over by the socket). Two starters do
 * not start two: a lock decides, and the other waits. */
#pragma once
#include "conf/setting.h"

/* Returns when the daemon answers GET /health. *ret_started (may be NULL): it was not there before. RC_UNAVAILABLE with
 * what the daemon said when it could not start. key_env: a further variable to keep out of its environment, or NULL. */
MUST_USE enum rc daemon_ensure(const char *data_dir, const char *key_env, bool *ret_started, struct err *err);
/* Whether one answers now; *ret_health (may be NULL) its answer, in ctx. timeout_ms covers one that is just starting.
 */
bool daemon_answers(mem *ctx, const char *data_dir, int timeout_ms, struct json *ret_health);
/* Waits until no keeper holds the data folder. RC_TIMEOUT. */
MUST_USE enum rc daemon_wait_end(mem *ctx, const char *data_dir, int timeout_ms, struct err *err);
/* Becomes the daemon in the foreground; returns only when that failed. */
enum rc daemon_become(mem *ctx, const char *data_dir, struct err *err);
char *daemon_socket(mem *ctx, const char *data_dir);
char *daemon_log_path(mem *ctx, const char *data_dir);
