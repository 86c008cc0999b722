/* Both identities of the proxy: to clients, as the host that they asked for, with a leaf made once and kept; to
 * servers, as an ordinary client that verifies them. Not here: the authority's files (crypt/certificate.c). */
#include "base/log.h"
#include "proxy/room.h"
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <uthash.h>

#define LEAF_LIFE_S (7 * 86400) /* made anew long before it ends */

struct leaf {
    const char *host;
    X509 *certificate;
    int64_t made_s;
    UT_hash_handle hh;
};
/* Hangs on an SSL while a client's handshake is under way. */
struct awaited {
    struct hostname host;
    bool *wrong_name;
};
static int awaited_index = -1;

static enum rc openssl_fail(struct err *err, const char *sentence)
{
    unsigned long code = ERR_peek_last_error();
    const char *why = code ? ERR_reason_error_string(code) : NULL;
    err_set(err, RC_INVALID, "%s", sentence);
    ERR_clear_error();
    return err_detail(err, "%s", why ? why : "no reason given");
}

/* ---- to clients ---- */

static int name_judge(SSL *ssl, int *alert, void *arg)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    struct awaited *a = SSL_get_ex_data(ssl, awaited_index);
    struct hostname said;
    (void)arg;
    if (!name)
        return SSL_TLSEXT_ERR_OK; /* none was sent: the certificate says who we are */
    bool same = a && hostname_parse(str_of(name), &said, NULL) == RC_OK && strcmp(said.text, a->host.text) == 0;
    if (same)
        return SSL_TLSEXT_ERR_OK;
    if (a)
        *a->wrong_name = true;
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* HTTP/1.1 whatever else the client offers; one that offers none of it is refused, for it would speak something else.
 */
static int protocol_choose(SSL *ssl, const unsigned char **ret, unsigned char *ret_n, const unsigned char *offered,
                           unsigned int n, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1\x08http/1.0";
    unsigned char *chosen;
    (void)ssl, (void)arg;
    if (SSL_select_next_proto(&chosen, ret_n, ours, sizeof ours - 1, offered, n) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static void context_usual(SSL_CTX *c)
{
    SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
    SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
}

/* No tickets: one could carry a session of one host over to another. */
static enum rc accept_make(struct identity *i, struct err *err)
{
    i->accept = SSL_CTX_new(TLS_server_method());
    if (!i->accept)
        return openssl_fail(err, "TLS could not be started");
    context_usual(i->accept);
    SSL_CTX_set_options(i->accept, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(i->accept, 0);
    SSL_CTX_set_alpn_select_cb(i->accept, protocol_choose, NULL);
    SSL_CTX_set_tlsext_servername_callback(i->accept, name_judge);
    return RC_OK;
}

static void leaf_drop(struct identity *i, struct leaf *l)
{
    HASH_DEL(i->leaves, l);
    i->leaf_count--;
    X509_free(l->certificate);
    mem_free(l);
}

static enum rc leaf_find(struct proxy *p, const struct hostname *host, struct leaf **ret, struct err *err)
{
    struct identity *i = &p->identity;
    struct leaf *l;
    int64_t now = (int64_t)time(NULL);
    HASH_FIND_STR(i->leaves, host->text, l);
    if (l && now - l->made_s > LEAF_LIFE_S) {
        leaf_drop(i, l);
        l = NULL;
    }
    if (!l) {
        if (i->leaf_count >= LEAVES_MOST)
            leaf_drop(i, i->leaves); /* the one made first */
        X509 *certificate;
        enum rc rc = authority_sign(i->authority, host->text, host->kind != HOSTNAME_DNS, &certificate, err);
        if (rc != RC_OK)
            return rc;
        l = mem_new(p->ctx, struct leaf);
        l->host = mem_str(l, host->text);
        l->certificate = certificate;
        l->made_s = now;
        HASH_ADD_KEYPTR(hh, i->leaves, l->host, strlen(l->host), l);
        i->leaf_count++;
    }
    *ret = l;
    return RC_OK;
}

static void awaited_free(void *parent, void *p, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
    mem_free(p);
}

enum rc identity_accept(struct proxy *p, const struct hostname *host, bool *wrong_name, SSL **ret, struct err *err)
{
    struct leaf *l;
    enum rc rc = leaf_find(p, host, &l, err);
    if (rc != RC_OK)
        return rc;
    if (awaited_index < 0)
        awaited_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, awaited_free);
    SSL *ssl = SSL_new(p->identity.accept);
    struct awaited *a = mem_new(NULL, struct awaited);
    a->host = *host;
    a->wrong_name = wrong_name;
    if (!ssl || SSL_set_ex_data(ssl, awaited_index, a) != 1) {
        SSL_free(ssl);
        mem_free(a);
        return openssl_fail(err, "TLS could not be started");
    }
    if (SSL_use_certificate(ssl, l->certificate) != 1 ||
        SSL_use_PrivateKey(ssl, authority_leaf_key(p->identity.authority)) != 1) {
        SSL_free(ssl);
        return openssl_fail(err, "TLS could not be started");
    }
    SSL_set_accept_state(ssl);
    *ret = ssl;
    return RC_OK;
}

/* ---- to servers ---- */

static int64_t file_changed_ns(const char *path)
{
    struct stat st;
    return *path && stat(path, &st) == 0 ? (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec : 0;
}

enum rc identity_trust(struct proxy *p, const char *more_file, struct err *err)
{
    static const unsigned char protocols[] = "\x08http/1.1";
    struct identity *i = &p->identity;
    int64_t changed = file_changed_ns(more_file);
    if (i->more_file && strcmp(i->more_file, more_file) == 0 && i->more_changed_ns == changed)
        return RC_OK;
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());
    if (!c || SSL_CTX_set_default_verify_paths(c) != 1 || (*more_file && SSL_CTX_load_verify_file(c, more_file) != 1)) {
        SSL_CTX_free(c);
        openssl_fail(err, "the authorities that servers are verified against could not be read");
        return err_hint(err, "look at the setting egress.upstream_ca: %s", more_file);
    }
    context_usual(c);
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_alpn_protos(c, protocols, sizeof protocols - 1);
    SSL_CTX_free(i->connect);
    i->connect = c;
    mem_free(i->more_file);
    i->more_file = mem_str(p->ctx, more_file);
    i->more_changed_ns = changed;
    return RC_OK;
}

enum rc identity_connect(struct proxy *p, const struct hostname *host, SSL **ret, struct err *err)
{
    SSL *ssl = SSL_new(p->identity.connect);
    bool named = host->kind == HOSTNAME_DNS;
    if (!ssl)
        return openssl_fail(err, "TLS could not be started");
    X509_VERIFY_PARAM *check = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(check, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    int fine = named
                   ? X509_VERIFY_PARAM_set1_host(check, host->text, 0) & (int)SSL_set_tlsext_host_name(ssl, host->text)
                   : X509_VERIFY_PARAM_set1_ip(check, host->address, host->kind == HOSTNAME_IPV4 ? 4 : 16);
    if (fine != 1) {
        SSL_free(ssl);
        return openssl_fail(err, "TLS could not be started");
    }
    SSL_set_connect_state(ssl);
    *ret = ssl;
    return RC_OK;
}

enum rc identity_open(struct proxy *p, const char *dir, const char *seal_file, struct err *err)
{
    /* Where the system's store is, by distribution; OpenSSL looks at its variable first, and so do we. */
    const char *set = getenv("SSL_CERT_FILE");
    const char *const one[] = {set, NULL};
    static const char *const usual[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                        "/etc/ssl/ca-bundle.pem", NULL};
    CLEANUP_MEM mem *tmp = mem_root();
    enum rc rc = authority_open(p->ctx, dir, seal_file, &p->identity.authority, err);
    if (rc == RC_OK)
        rc = authority_bundle(p->identity.authority, mem_printf(tmp, "%s/bundle.pem", dir), set && *set ? one : usual,
                              err);
    if (rc == RC_OK)
        rc = accept_make(&p->identity, err);
    return rc == RC_OK ? identity_trust(p, "", err) : rc;
}
