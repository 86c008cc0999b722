/* Lines and one status line. */
#include "cli/screen.h"
#include "base/text.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LINE_CLEAR STR("\r\x1b[K")

void screen_init(struct screen *s, int fd, const char *when)
{
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    bool able = isatty(fd) && term && *term && strcmp(term, "dumb") != 0;
    *s = (struct screen){.fd = fd, .live = able};
    s->color = !strcmp(when, "always") || (!strcmp(when, "auto") && able && !(no_color && *no_color));
}

const char *screen_paint(mem *ctx, const struct screen *s, enum tone tone, const char *text)
{
    static const char *const codes[] = {
        [TONE_STRONG] = "1", [TONE_FAINT] = "2", [TONE_GOOD] = "32", [TONE_BAD] = "31", [TONE_CARE] = "33"};
    if (!s->color || tone == TONE_PLAIN || !*text)
        return text;
    return mem_printf(ctx, "\x1b[%sm%s\x1b[0m", codes[tone], text);
}

bool write_all(int fd, struct str bytes)
{
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd room = {.fd = fd, .events = POLLOUT};
            poll(&room, 1, -1);
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        bytes = str_sub(bytes, (size_t)n, bytes.n);
    }
    return true;
}

int screen_columns(const struct screen *s)
{
    struct winsize size;
    if (ioctl(s->fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

static void status_draw(struct screen *s, struct buf *b)
{
    if (!s->live || !s->status[0])
        return;
    /* One column stays free: a full line would wrap and could not be taken back. */
    int columns = screen_columns(s) - 1;
    buf_str(b, LINE_CLEAR);
    buf_z(b, text_terminal_line(b->ctx, str_of(s->status), columns > 0 ? (size_t)columns : 1));
    s->shown = true;
}

static void status_erase(struct screen *s, struct buf *b)
{
    if (s->shown)
        buf_str(b, LINE_CLEAR);
    s->shown = false;
}

void screen_write(struct screen *s, struct str text)
{
    if (!text.n)
        return;
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    buf_init(&b, tmp, SIZE_MAX);
    status_erase(s, &b);
    buf_str(&b, text);
    status_draw(s, &b);
    write_all(s->fd, buf_view(&b));
}

void screen_status(struct screen *s, const char *text)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    buf_init(&b, tmp, 4096);
    struct str words = str_of(text);
    size_t n = str_utf8_cut(words, sizeof s->status - 1);
    if (s->shown && str_eqz(words, s->status))
        return;
    memcpy(s->status, words.p, n);
    s->status[n] = '\0';
    if (n)
        status_draw(s, &b);
    else
        status_erase(s, &b);
    write_all(s->fd, buf_view(&b));
}
