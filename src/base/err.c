/* Outcomes: the table of codes and the filling of error records. */
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *name;
    int http, exit;
    bool retryable;
    enum log_level level;
} rc_table[] = {
    [RC_OK] = {"ok", 200, 0, false, LOG_DEBUG},
    [RC_AGAIN] = {"again", 503, 1, true, LOG_INFO},
    [RC_INVALID] = {"invalid", 400, 2, false, LOG_INFO},
    [RC_NOT_FOUND] = {"not_found", 404, 1, false, LOG_INFO},
    [RC_CONFLICT] = {"conflict", 409, 1, false, LOG_INFO},
    [RC_DENIED] = {"denied", 403, 1, false, LOG_WARN},
    [RC_LIMIT] = {"limit", 429, 8, false, LOG_WARN},
    [RC_TIMEOUT] = {"timeout", 504, 1, true, LOG_WARN},
    [RC_CANCELLED] = {"cancelled", 409, 130, false, LOG_INFO},
    [RC_IO] = {"io", 500, 1, false, LOG_ERROR},
    [RC_UPSTREAM] = {"upstream", 502, 1, true, LOG_WARN},
    [RC_UNAVAILABLE] = {"unavailable", 503, 9, true, LOG_WARN},
    [RC_BUG] = {"bug", 500, 1, false, LOG_ERROR},
};
enum { RC_COUNT = sizeof rc_table / sizeof rc_table[0] };

static unsigned rc_index(enum rc rc)
{
    return (unsigned)rc < RC_COUNT ? (unsigned)rc : (unsigned)RC_BUG;
}

const char *rc_name(enum rc rc)
{
    return rc_table[rc_index(rc)].name;
}

enum rc rc_find(const char *name)
{
    for (unsigned i = 0; name && i < RC_COUNT; i++)
        if (!strcmp(rc_table[i].name, name))
            return (enum rc)i;
    return RC_BUG;
}

int rc_http_status(enum rc rc)
{
    return rc_table[rc_index(rc)].http;
}

int rc_exit_code(enum rc rc)
{
    return rc_table[rc_index(rc)].exit;
}

bool rc_retryable(enum rc rc)
{
    return rc_table[rc_index(rc)].retryable;
}

int rc_log_level(enum rc rc)
{
    return (int)rc_table[rc_index(rc)].level;
}

/* Well-formed UTF-8 into a field, cut at a character. */
static void field_copy(char *field, size_t cap, struct str s)
{
    size_t at = 0;
    while (s.n) {
        size_t len = str_utf8_next(s, NULL);
        struct str piece = len ? str_n(s.p, len) : STR("\xef\xbf\xbd");
        if (at + piece.n + 1 > cap)
            break;
        memcpy(field + at, piece.p, piece.n);
        at += piece.n;
        s = str_sub(s, len ? len : 1, s.n);
    }
    field[at] = '\0';
}

/* Formats first and copies then, because the arguments may be fields of the same record. */
static void field_print(char *field, size_t cap, const char *fmt, va_list ap)
{
    char words[2048];
    int n = vsnprintf(words, sizeof words, fmt, ap);
    if (n < 0)
        n = 0;
    size_t used = (size_t)n < sizeof words ? (size_t)n : str_utf8_cut(str_n(words, sizeof words - 1), sizeof words - 1);
    field_copy(field, cap, str_n(words, used));
}

enum rc err_set(struct err *err, enum rc rc, const char *fmt, ...)
{
    if (!err)
        return rc;
    va_list ap;
    va_start(ap, fmt);
    field_print(err->sentence, sizeof err->sentence, fmt, ap);
    va_end(ap);
    err->rc = rc;
    err->detail[0] = err->hint[0] = '\0';
    return rc;
}

static enum rc rc_of_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
        return RC_NOT_FOUND;
    case EACCES:
    case EPERM:
        return RC_DENIED;
    case ENOSPC:
    case EDQUOT:
        return RC_LIMIT;
    default:
        return RC_IO;
    }
}

enum rc err_sys(struct err *err, int errnum, const char *fmt, ...)
{
    enum rc rc = rc_of_errno(errnum);
    if (!err)
        return rc;
    va_list ap;
    va_start(ap, fmt);
    field_print(err->sentence, sizeof err->sentence, fmt, ap);
    va_end(ap);
    err->rc = rc;
    err->hint[0] = '\0';
    char words[128];
    field_copy(err->detail, sizeof err->detail, str_of(strerror_r(errnum, words, sizeof words)));
    return rc;
}

enum rc err_detail(struct err *err, const char *fmt, ...)
{
    if (!err)
        return RC_BUG;
    va_list ap;
    va_start(ap, fmt);
    field_print(err->detail, sizeof err->detail, fmt, ap);
    va_end(ap);
    return err->rc;
}

enum rc err_hint(struct err *err, const char *fmt, ...)
{
    if (!err)
        return RC_BUG;
    va_list ap;
    va_start(ap, fmt);
    field_print(err->hint, sizeof err->hint, fmt, ap);
    va_end(ap);
    return err->rc;
}

enum rc err_context(struct err *err, const char *fmt, ...)
{
    if (!err)
        return RC_BUG;
    char words[sizeof err->sentence], joined[2 * sizeof err->sentence + 2];
    va_list ap;
    va_start(ap, fmt);
    field_print(words, sizeof words, fmt, ap);
    va_end(ap);
    snprintf(joined, sizeof joined, "%s: %s", words, err->sentence);
    field_copy(err->sentence, sizeof err->sentence, str_of(joined));
    return err->rc;
}

void bug_at(const char *file, int line, const char *fmt, ...)
{
    char words[1024];
    va_list ap;
    va_start(ap, fmt);
    field_print(words, sizeof words, fmt, ap);
    va_end(ap);
    log_error("broken invariant at %s:%d: %s", file, line, words);
    abort();
}
