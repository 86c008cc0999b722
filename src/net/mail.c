/* Building the message, and one blocking libcurl transfer. */
#include "net/mail.h"
#include "base/buf.h"
#include "base/text.h"
#include "net/curl_lib.h"
#include <time.h>

enum { ADDRESS_MOST = 254, TEXT_MOST = 64 << 10, LINE = 76, REPLY_MOST = 400 };

bool mail_address_valid(const char *address)
{
    size_t n = address ? strlen(address) : 0;
    const char *at = n ? strchr(address, '@') : NULL;
    if (!at || at == address || !at[1] || strchr(at + 1, '@') || n > ADDRESS_MOST || address[0] == '-')
        return false;
    for (const char *p = address; *p; p++)
        if (*p <= ' ' || *p > '~' || strchr("<>()[]\\,;:\"", *p))
            return false;
    return true;
}

static bool subject_valid(const char *z)
{
    for (; *z; z++)
        if (*z < ' ' || *z > '~')
            return false;
    return true;
}

struct sending {
    CURL *curl;
    struct buf message;
    size_t sent;
    char reply[REPLY_MOST]; /* the server's last line */
    char words[CURL_ERROR_SIZE];
};

static void message_make(mem *ctx, const struct mail *m, struct buf *b)
{
    char date[64];
    time_t at = (time_t)(m->time_ns / 1000000000);
    struct tm parts;
    gmtime_r(&at, &parts);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", &parts); /* the C locale's names, as RFC 5322 wants */
    const char *domain = strchr(m->from, '@') + 1, *body = text_base64(ctx, str_of(m->text));
    buf_printf(b, "Date: %s\r\nFrom: Nightmill <%s>\r\nTo: <%s>\r\nSubject: %s\r\nMessage-ID: <%s@%s>\r\n", date,
               m->from, m->to, m->subject, m->id, domain);
    buf_z(b, "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
             "Content-Transfer-Encoding: base64\r\n\r\n");
    for (size_t n = strlen(body); n;) {
        size_t part = n < LINE ? n : LINE;
        buf_printf(b, "%.*s\r\n", (int)part, body);
        body += part;
        n -= part;
    }
}

static size_t message_read(char *to, size_t size, size_t n, void *arg)
{
    struct sending *s = arg;
    size_t room = size * n, left = s->message.n - s->sent, part = left < room ? left : room;
    memcpy(to, s->message.p + s->sent, part);
    s->sent += part;
    return part;
}

/* Replies arrive as header lines: "535 5.7.8 authentication failed". */
static size_t reply_line(char *p, size_t size, size_t n, void *arg)
{
    struct sending *s = arg;
    struct str line = str_trim(str_n(p, size * n));
    size_t part = str_utf8_cut(line, sizeof s->reply - 1);
    memcpy(s->reply, line.p, part);
    s->reply[part] = '\0';
    return size * n;
}

static size_t body_drop(char *p, size_t size, size_t n, void *arg)
{
    (void)p, (void)arg;
    return size * n;
}

static int still_wanted(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct mail_server *server = arg;
    (void)a, (void)b, (void)c, (void)d;
    return server->cancelled(server->arg);
}

static void options_set(mem *ctx, struct sending *s, const struct mail_server *server, const struct mail *m,
                        struct curl_slist *to)
{
    static const int ports[] = {[MAIL_STARTTLS] = 587, [MAIL_TLS] = 465, [MAIL_PLAIN] = 25};
    CURL *c = s->curl;
    bool bare = strchr(server->host, ':') != NULL;
    const char *at = strchr(m->from, '@') + 1;
    curl.easy_setopt(c, CURLOPT_URL,
                     mem_printf(ctx, "%s://%s%s%s:%d/%s", server->tls == MAIL_TLS ? "smtps" : "smtp", bare ? "[" : "",
                                server->host, bare ? "]" : "", server->port ? server->port : ports[server->tls],
                                text_url(ctx, str_of(at)))); /* the name after EHLO */
    curl.easy_setopt(c, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl.easy_setopt(c, CURLOPT_USE_SSL, (long)(server->tls == MAIL_PLAIN ? CURLUSESSL_NONE : CURLUSESSL_ALL));
    curl.easy_setopt(c, CURLOPT_PROXY, "");
    curl.easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl.easy_setopt(c, CURLOPT_QUICK_EXIT, 1L);
    curl.easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)server->timeout_ms);
    curl.easy_setopt(c, CURLOPT_ERRORBUFFER, s->words);
    curl.easy_setopt(c, CURLOPT_MAIL_FROM, mem_printf(ctx, "<%s>", m->from));
    curl.easy_setopt(c, CURLOPT_MAIL_RCPT, to);
    curl.easy_setopt(c, CURLOPT_UPLOAD, 1L);
    curl.easy_setopt(c, CURLOPT_READFUNCTION, message_read);
    curl.easy_setopt(c, CURLOPT_READDATA, s);
    curl.easy_setopt(c, CURLOPT_HEADERFUNCTION, reply_line);
    curl.easy_setopt(c, CURLOPT_HEADERDATA, s);
    curl.easy_setopt(c, CURLOPT_WRITEFUNCTION, body_drop);
    if (server->cancelled) {
        curl.easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
        curl.easy_setopt(c, CURLOPT_XFERINFOFUNCTION, still_wanted);
        curl.easy_setopt(c, CURLOPT_XFERINFODATA, server);
    }
    if (server->user && *server->user) {
        curl.easy_setopt(c, CURLOPT_USERNAME, server->user);
        curl.easy_setopt(c, CURLOPT_PASSWORD, server->password ? server->password : "");
    }
    if (server->ca_file && *server->ca_file)
        curl.easy_setopt(c, CURLOPT_CAINFO, server->ca_file);
}

static enum rc end_judge(const struct sending *s, const struct mail_server *server, CURLcode code, int status,
                         struct err *err)
{
    enum rc rc;
    if (code == CURLE_OK && status >= 200 && status < 300)
        return RC_OK;
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return err_set(err, RC_CANCELLED, "the mail was given up");
    if (code == CURLE_OPERATION_TIMEDOUT)
        rc = err_set(err, RC_TIMEOUT, "the mail server %s did not take the mail within %d s", server->host,
                     server->timeout_ms / 1000);
    else if (code == CURLE_USE_SSL_FAILED || code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CONNECT_ERROR)
        rc = err_set(err, RC_UPSTREAM, "the mail server %s does not speak TLS that can be trusted", server->host);
    else if (code == CURLE_LOGIN_DENIED)
        rc = err_set(err, RC_DENIED, "the mail server %s refuses user and password", server->host);
    else if (!status)
        rc = err_set(err, RC_UNAVAILABLE, "the mail server %s cannot be reached", server->host);
    else if (status >= 500)
        rc = err_set(err, RC_DENIED, "the mail server %s refuses the mail", server->host);
    else
        rc = err_set(err, RC_UPSTREAM, "the mail server %s did not take the mail", server->host);
    err_detail(err, "%s", status && s->reply[0] ? s->reply : s->words[0] ? s->words : curl.easy_strerror(code));
    return rc;
}

enum rc mail_send(const struct mail_server *server, const struct mail *m, int *ret_status, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct sending s = {0};
    *ret_status = 0;
    if (!mail_address_valid(m->from) || !mail_address_valid(m->to))
        return err_set(err, RC_INVALID, "a mail needs two addresses such as name@example.org");
    if (!subject_valid(m->subject) || strlen(m->text) > TEXT_MOST)
        return err_set(err, RC_INVALID, "a mail's subject is one line of ASCII, its text at most %d bytes", TEXT_MOST);
    if (curl_lib_open(err) != RC_OK)
        return RC_UNAVAILABLE;
    buf_init(&s.message, tmp, 1 << 20);
    message_make(tmp, m, &s.message);
    s.curl = curl.easy_init();
    BUG_ON(!s.curl);
    struct curl_slist *to = curl.slist_append(NULL, mem_printf(tmp, "<%s>", m->to));
    options_set(tmp, &s, server, m, to);
    CURLcode code = curl.easy_perform(s.curl);
    long status = 0;
    curl.easy_getinfo(s.curl, CURLINFO_RESPONSE_CODE, &status);
    curl.easy_cleanup(s.curl);
    curl.slist_free_all(to);
    *ret_status = (int)status;
    return end_judge(&s, server, code, (int)status, err);
}
