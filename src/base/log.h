/* The process's own log: one line an event on standard error, "time level role message". Not for what a user may care
 * about: that is an event in the database. A failure is logged once, where its purpose is known. */
#pragma once
#include "base/err.h"
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
void log_open(const char *role, enum log_level min);                  /* role must live as long as the process */
void log_at(enum log_level level, const char *fmt, ...) PRINTF(2, 3); /* control bytes escaped, 4 KiB at most */
void log_err(const struct err *err, const char *purpose);             /* level by the table of err.c */
/* A secret that must never be printed: its occurrences are censored in every later line. At most 1024; false: there
 * is no room, and the secret must not be used. Those shorter than 8 bytes are not looked for. */
bool log_censor(const char *secret);
void log_censor_drop(const char *secret); /* it opens nothing any more */
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
