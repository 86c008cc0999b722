/* Commands on a terminal of the sandbox's own. Not here: what is typed and shown; the caller has the master. */
#include "base/clock.h"
#include "os/frame.h"
#include "sandbox/room.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 6 << 20 };

static enum rc start_say(mem *tmp, struct sandbox *sb, const struct sandbox_command *cmd, int64_t id, uint16_t rows,
                         uint16_t columns, struct err *err)
{
    const char *const *lists[] = {sb->env, cmd->env};
    const char *cwd = cmd->cwd ? cmd->cwd : sb->cwd;
    struct buf b;
    buf_init(&b, tmp, ARGUMENTS_MAX);
    words_add(&b, "terminal");
    words_add_int(&b, id);
    words_add_int(&b, rows);
    words_add_int(&b, columns);
    words_add(&b, sb->plain ? room_path(tmp, sb, cwd) : cwd);
    words_add_list(&b, cmd->argv);
    words_add_list(&b, room_env(tmp, lists, 2));
    return room_say(sb, &b, NULL, 0, err);
}

static enum rc start_failed(const struct words *w, struct err *err)
{
    static const enum rc codes[] = {RC_NOT_FOUND, RC_DENIED, RC_LIMIT, RC_IO};
    enum rc rc = RC_IO;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (w->n > 2 && strcmp(w->v[2], rc_name(codes[i])) == 0)
            rc = codes[i];
    err_set(err, rc, "%s", w->n > 3 ? w->v[3] : "The terminal could not be started");
    return err_detail(err, "%s", w->n > 4 ? w->v[4] : "");
}

enum rc sandbox_terminal_start(mem *ctx, struct sandbox *sb, const struct sandbox_command *cmd, uint16_t rows,
                               uint16_t columns, struct sandbox_terminal *ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    int64_t until = clock_mono_ms() + ROOM_FRAME_MS, id = ++sb->last_id, said;
    enum rc rc = start_say(tmp, sb, cmd, id, rows, columns, err);
    (void)ctx;
    while (rc == RC_OK) {
        struct words w;
        int fds[FRAME_FDS], n = 0;
        int64_t left = until - clock_mono_ms();
        rc = room_take(tmp, sb, left > 0 ? (int)left : 0, &w, fds, &n, err);
        if (rc != RC_OK)
            break;
        bool ours = words_int(&w, 1, 0, INT64_MAX, &said) && said == id;
        if (ours && strcmp(w.v[0], "started") == 0 && n == 1) {
            *ret = (struct sandbox_terminal){id, fds[0]};
            (void)fcntl(fds[0], F_SETFL, O_RDWR | O_NONBLOCK);
            return RC_OK;
        }
        for (int i = 0; i < n; i++)
            close(fds[i]);
        if (ours && strcmp(w.v[0], "failed") == 0)
            return start_failed(&w, err);
    }
    if (rc == RC_TIMEOUT) {
        sb->dead = true;
        return err_set(err, RC_UNAVAILABLE, "The first process of the sandbox did not answer");
    }
    return rc;
}

void sandbox_terminal_resize(const struct sandbox_terminal *t, uint16_t rows, uint16_t columns)
{
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    (void)ioctl(t->master, TIOCSWINSZ, &size); /* a terminal without programs cannot be told */
}

int sandbox_terminal_fd(const struct sandbox *sb)
{
    return sb->control;
}

enum rc sandbox_terminal_ended(struct sandbox *sb, int64_t *ret_id, int *ret_code, int *ret_signal, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct pollfd p = {.fd = sb->control, .events = POLLIN};
    struct words w;
    int64_t code, sig;
    if (poll(&p, 1, 0) <= 0)
        return RC_AGAIN;
    enum rc rc = room_take(tmp, sb, ROOM_FRAME_MS, &w, NULL, NULL, err);
    if (rc != RC_OK)
        return sandbox_disk_over(sb, err) ? RC_LIMIT : RC_UNAVAILABLE;
    if (strcmp(w.v[0], "exited") != 0 || !words_int(&w, 1, 0, INT64_MAX, ret_id) || !words_int(&w, 2, -1, 255, &code) ||
        !words_int(&w, 3, 0, NSIG, &sig))
        return RC_AGAIN;
    *ret_code = (int)code;
    *ret_signal = (int)sig;
    return RC_OK;
}
