/* One mail by SMTP (RFC 5321), submitted to a server that takes it further, through libcurl.
 *
 * Plain text in UTF-8, base64 on the way, so that no line of a text can be read as anything else. Addresses and the
 * subject are refused when they could add a header or a command. Blocking; threads: any, each call is on its own. */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum mail_tls {
    MAIL_STARTTLS, /* port 587: a connection that does not become TLS is given up */
    MAIL_TLS,      /* port 465: TLS from the beginning */
    MAIL_PLAIN     /* port 25: no encryption */
};
struct mail_server {
    const char *host; /* name or address, without a port */
    int port;         /* 0: the usual one */
    enum mail_tls tls;
    const char *user, *password;  /* "": no authentication */
    const char *ca_file;          /* authorities beside the system's; NULL or "": none */
    int timeout_ms;               /* for everything */
    bool (*cancelled)(void *arg); /* asked about once a second: give up; NULL: never */
    void *arg;
};
struct mail {
    const char *from, *to; /* "name@example.org" alone */
    const char *subject;   /* printable ASCII */
    const char *text;
    const char *id;  /* left side of the Message-ID: the same for every try, so that receivers can drop repetitions */
    int64_t time_ns; /* of the Date */
};
bool mail_address_valid(const char *address);
/* *ret_status: the last reply code of the server (250: it took the mail), 0: none came. RC_OK: taken. RC_DENIED: user,
 * password or address refused for good (5xx); RC_UPSTREAM: refused for now (4xx) or broken off; RC_UNAVAILABLE: it
 * cannot be reached; RC_TIMEOUT; RC_INVALID: the mail. What the server said is in the detail. */
MUST_USE enum rc mail_send(const struct mail_server *server, const struct mail *m, int *ret_status, struct err *err);
