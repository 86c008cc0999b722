/* The process's own log. One write(2) a line, so that lines of several processes do not mix. Not here: files, rotation
 * (whoever started the process owns standard error). */
#include "base/log.h"
#include "base/clock.h"
#include "base/text.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LOG_LINE = 4096, SECRETS = 1024, SECRET_LEAST = 8 };

static const char *log_role = "nightmill";
static atomic_int log_least = LOG_INFO;
static char *secrets[SECRETS];
static unsigned secret_count;
static pthread_mutex_t secret_lock = PTHREAD_MUTEX_INITIALIZER; /* also while a line is censored */

void log_open(const char *role, enum log_level min)
{
    log_role = role;
    atomic_store(&log_least, (int)min);
}

/* Where the secret is, or the count. */
static unsigned secret_find(const char *secret)
{
    unsigned i = 0;
    while (i < secret_count && strcmp(secrets[i], secret))
        i++;
    return i;
}

bool log_censor(const char *secret)
{
    if (!secret || strlen(secret) < SECRET_LEAST)
        return true;
    pthread_mutex_lock(&secret_lock);
    unsigned i = secret_find(secret);
    if (i == secret_count && i < SECRETS) {
        secrets[i] = strdup(secret);
        if (!secrets[i])
            abort();
        secret_count++;
    }
    pthread_mutex_unlock(&secret_lock);
    return i < SECRETS;
}

void log_censor_drop(const char *secret)
{
    pthread_mutex_lock(&secret_lock);
    unsigned i = secret_find(secret);
    if (i < secret_count) {
        explicit_bzero(secrets[i], strlen(secrets[i]));
        free(secrets[i]);
        secrets[i] = secrets[--secret_count];
        secrets[secret_count] = NULL;
    }
    pthread_mutex_unlock(&secret_lock);
}

static void log_censored(struct buf *out, struct str s)
{
    pthread_mutex_lock(&secret_lock);
    while (s.n) {
        size_t first = s.n, len = 0;
        for (unsigned i = 0; i < secret_count; i++) {
            long at = str_find(s, str_of(secrets[i]));
            if (at >= 0 && ((size_t)at < first || ((size_t)at == first && strlen(secrets[i]) > len))) {
                first = (size_t)at;
                len = strlen(secrets[i]);
            }
        }
        buf_str(out, str_sub(s, 0, first));
        if (len)
            buf_str(out, STR("[censored]"));
        s = str_sub(s, first + len, s.n);
    }
    pthread_mutex_unlock(&secret_lock);
}

static void log_write(const char *p, size_t n)
{
    while (n) {
        ssize_t done = write(STDERR_FILENO, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return; /* a log that cannot be written is no reason to stop */
        p += done;
        n -= (size_t)done;
    }
}

void log_at(enum log_level level, const char *fmt, ...)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    if ((int)level < atomic_load(&log_least))
        return;
    int keep = errno;
    CLEANUP_MEM mem *tmp = mem_root();
    va_list ap;
    va_start(ap, fmt);
    char *words = mem_vprintf(tmp, fmt, ap);
    va_end(ap);
    struct buf clean;
    buf_init(&clean, tmp, SIZE_MAX);
    log_censored(&clean, str_of(words)); /* before the cut: half a secret would not be recognised */
    char *shown = text_terminal_line(tmp, buf_view(&clean), LOG_LINE);
    char *line = mem_printf(tmp, "%s %s %s %s", clock_rfc3339(tmp, clock_wall_ns()), names[level & 3], log_role, shown);
    size_t n = str_utf8_cut(str_of(line), LOG_LINE - 1);
    line[n] = '\n'; /* over the NUL or over what is cut off */
    log_write(line, n + 1);
    errno = keep;
}

void log_err(const struct err *err, const char *purpose)
{
    if (!err)
        return;
    bool detail = err->detail[0], hint = err->hint[0];
    log_at((enum log_level)rc_log_level(err->rc), "%s: %s%s%s%s%s%s", purpose, err->sentence, detail ? " (" : "",
           err->detail, detail ? ")" : "", hint ? " Hint: " : "", err->hint);
}
