/* Mail through the server of the settings. */
#include "base/text.h"
#include "net/mail.h"
#include "notify/room.h"
#include <stdio.h>

enum { TITLE_MOST = 200 };

static bool is_stopping(void *arg)
{
    struct notifier *n = arg;
    return atomic_load(&n->stopping);
}

static enum rc server_read(mem *ctx, struct notifier *n, struct mail_server *ret, const char **ret_from,
                           struct err *err)
{
    static const char *const words[] = {[MAIL_STARTTLS] = "starttls", [MAIL_TLS] = "tls", [MAIL_PLAIN] = "none"};
    struct hostname host;
    uint16_t port = 0;
    struct settings *set = settings_live_take(ctx, n->spec.live);
    const char *place = setting_text(set, "notify.smtp_server"), *tls = setting_text(set, "notify.smtp_tls");
    *ret_from = setting_text(set, "notify.smtp_from");
    if (!*place || !**ret_from) {
        err_set(err, RC_INVALID, "no mail server is set");
        return err_hint(err, "set notify.smtp_server and notify.smtp_from");
    }
    enum rc rc = hostname_parse_port(str_of(place), &host, &port, err);
    if (rc != RC_OK)
        return err_context(err, "notify.smtp_server");
    *ret = (struct mail_server){.host = mem_str(ctx, host.text),
                                .port = port,
                                .user = setting_text(set, "notify.smtp_user"),
                                .ca_file = setting_text(set, "notify.smtp_ca"),
                                .timeout_ms = NOTIFY_MAIL_MS,
                                .cancelled = is_stopping,
                                .arg = n};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i], tls) == 0)
            ret->tls = (enum mail_tls)i;
    char *password = NULL;
    rc = credential_get(ctx, n->spec.credentials, setting_text(set, "notify.smtp_password"), &password, err);
    ret->password = password ? password : "";
    if (rc == RC_DENIED)
        err_hint(err, "set notify.smtp_password: nightmill config set notify.smtp_password -");
    return rc;
}

/* Why it is told, what the task is, and what to do next. */
static const char *text_make(mem *ctx, const struct message *m)
{
    const struct notice *what = m->what;
    const char *title = *m->title ? text_terminal_line(ctx, str_of(m->title), TITLE_MOST) : "";
    if (!*what->task)
        return mem_printf(ctx, "%s\n", what->words);
    return mem_printf(ctx, "%s\n\n%s%s%s\nnightmill show %s\n", what->words, title, *title ? "\n" : "", "", what->task);
}

void email_send(struct notifier *n, const struct channel *c, const struct message *m, struct notify_result *ret)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err err = {0};
    struct mail_server server;
    const char *from;
    enum rc rc = server_read(tmp, n, &server, &from, &err);
    if (rc != RC_OK) {
        result_error(ret, NOTIFY_FAILED, &err); /* a setting away from working */
        return;
    }
    struct mail mail = {.from = from,
                        .to = c->target,
                        .subject =
                            mem_printf(tmp, "Nightmill: %.*s", (int)strcspn(m->what->words, ":"), m->what->words),
                        .text = text_make(tmp, m),
                        .id = m->what->uid,
                        .time_ns = m->what->time_ns};
    rc = mail_send(&server, &mail, &ret->status, &err);
    explicit_bzero((char *)(uintptr_t)server.password, strlen(server.password));
    ret->outcome = NOTIFY_SENT;
    if (rc == RC_OK)
        snprintf(ret->words, sizeof ret->words, "%s took the mail", server.host);
    else
        result_error(ret, rc == RC_DENIED || rc == RC_INVALID ? NOTIFY_REFUSED : NOTIFY_FAILED, &err);
}
