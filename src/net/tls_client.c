/* Whom we believe when we connect, and the client's end of TLS; the filter itself is tls.c. Not here: certificates of
 * our own towards servers, resumed sessions (connections are kept instead). */
#include "net/tls_client.h"
#include "net/tls_conn.h"
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct tls_trust {
    SSL_CTX *context;
};

static enum rc tls_fail(struct err *err, const char *sentence, const char *path)
{
    unsigned long code = ERR_peek_last_error();
    const char *why = code ? ERR_reason_error_string(code) : NULL;
    err_set(err, RC_INVALID, sentence, path);
    ERR_clear_error();
    return err_detail(err, "%s", why ? why : "no reason given");
}

static int trust_free(struct tls_trust *t)
{
    SSL_CTX_free(t->context);
    return 0;
}

static void context_harden(SSL_CTX *context)
{
    static const unsigned char protocols[] = "\x08http/1.1";
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    (void)SSL_CTX_set_alpn_protos(context, protocols, sizeof protocols - 1);
}

enum rc tls_trust_new(mem *ctx, const char *more_file, struct tls_trust **ret, struct err *err)
{
    struct tls_trust *t = mem_new(ctx, struct tls_trust);
    bool more = more_file && *more_file;
    ERR_clear_error();
    t->context = SSL_CTX_new(TLS_client_method());
    talloc_set_destructor(t, trust_free);
    enum rc rc = RC_OK;
    if (!t->context || SSL_CTX_set_default_verify_paths(t->context) != 1)
        rc = tls_fail(err, "%s", "TLS to servers could not be started");
    else if (more && SSL_CTX_load_verify_file(t->context, more_file) != 1)
        rc = tls_fail(err, "%s holds no certificates of authorities", more_file);
    ERR_clear_error(); /* files of the system's that are not there leave some behind */
    if (rc != RC_OK) {
        mem_free(t);
        return rc;
    }
    context_harden(t->context);
    *ret = t;
    return RC_OK;
}

static bool is_numeric(const char *host)
{
    struct in6_addr any;
    return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

/* RFC 6066 section 3: a numeric address is not sent as a name. RFC 9525 section 6.3: no wildcard within a label. */
static bool host_set(SSL *ssl, const char *host)
{
    if (is_numeric(host))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

enum rc tls_attach_client(struct tls_trust *trust, struct conn *c, const char *host, struct err *err)
{
    SSL *ssl = SSL_new(trust->context);
    if (!ssl || !host_set(ssl, host)) {
        SSL_free(ssl);
        return tls_fail(err, "%s is no name that TLS can verify", host);
    }
    SSL_set_connect_state(ssl);
    return tls_attach_ssl(c, ssl, conn_tell_ready, err);
}
