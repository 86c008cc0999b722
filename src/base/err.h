/* Outcomes of fallible calls.
 *
 * Every fallible function returns `enum rc` and takes `struct err *err` as its last parameter. The record is touched
 * only on failure, so that a chain of calls shares one; NULL is allowed and means that the words are not wanted.
 * An error has three parts (after PostgreSQL): the sentence says what failed, the detail what was seen, the hint what
 * to do next. All three are plain UTF-8 of bounded size, cut at a character when longer, and hold no secret. One table
 * (err.c) maps each code to its name, HTTP status, process exit code and whether trying again may help. Threads: no
 * state; a record belongs to its caller. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum rc {
    RC_OK = 0,
    RC_AGAIN,   /* would block or must be repeated by the caller */
    RC_INVALID, /* the input is wrong */
    RC_NOT_FOUND,
    RC_CONFLICT, /* the state does not allow it */
    RC_DENIED,
    RC_LIMIT, /* a cap, quota or budget */
    RC_TIMEOUT,
    RC_CANCELLED,
    RC_IO,          /* the operating system said no */
    RC_UPSTREAM,    /* a model server or other peer failed */
    RC_UNAVAILABLE, /* something needed is not there now */
    RC_BUG,         /* must not happen */
};

struct err {
    enum rc rc;
    char sentence[512];
    char detail[1024];
    char hint[512];
};

#define MUST_USE          __attribute__((warn_unused_result))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Starts the record anew with a sentence; clears detail and hint. Returns rc, so that `return err_set(...)` works. */
enum rc err_set(struct err *err, enum rc rc, const char *fmt, ...) PRINTF(3, 4);
/* As err_set, with the text of errnum as detail. RC_NOT_FOUND for ENOENT, RC_DENIED for EACCES and EPERM, RC_LIMIT for
 * ENOSPC and EDQUOT, else RC_IO. */
enum rc err_sys(struct err *err, int errnum, const char *fmt, ...) PRINTF(3, 4);
/* Each returns err->rc (RC_BUG when err is NULL). */
enum rc err_detail(struct err *err, const char *fmt, ...) PRINTF(2, 3);
enum rc err_hint(struct err *err, const char *fmt, ...) PRINTF(2, 3);
/* Puts "words: " before the sentence. */
enum rc err_context(struct err *err, const char *fmt, ...) PRINTF(2, 3);

const char *rc_name(enum rc rc);   /* "not_found"; never NULL */
enum rc rc_find(const char *name); /* RC_BUG when unknown */
int rc_http_status(enum rc rc);    /* 404 */
int rc_exit_code(enum rc rc);      /* 0 done, 1 failure, 2 usage, 8 limit, 9 unavailable, 130 cancelled, ... */
bool rc_retryable(enum rc rc);
int rc_log_level(enum rc rc); /* enum log_level of base/log.h */

/* A broken invariant: prints where and what, aborts (the keeper restarts). */
_Noreturn void bug_at(const char *file, int line, const char *fmt, ...) PRINTF(3, 4);
#define BUG_ON(cond)                                                                                                   \
    do {                                                                                                               \
        if (cond)                                                                                                      \
            bug_at(__FILE__, __LINE__, "%s", #cond);                                                                   \
    } while (0)
