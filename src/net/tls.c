/* TLS between a connection and HTTP: OpenSSL on a BIO of our own that reads the bytes just received and writes to the
 * connection's output, so nothing is copied twice and an idle connection keeps no buffers. Promises are in tls.h.
 * Not here: whom a client believes (tls_client.c), making certificates. */
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "net/tls_conn.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <sys/stat.h>

enum {
    FILES = 3,
    LOOK_EVERY_MS = 1000,
    SUBJECT_MOST = 1000,
    READ_PIECE = 16 << 10, /* one record's worth */
};

/* What tells that a file was changed or replaced. */
struct file_mark {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};
struct tls_place {
    const char *files[FILES]; /* certificate, key, authorities; the last may be NULL */
    struct file_mark marks[FILES];
    SSL_CTX *context;
    int64_t looked_ms;
    bool look_now;
};
struct tls {
    SSL *ssl;
    struct str in; /* received and not yet read by OpenSSL */
    bool heard;    /* anything at all */
    const char *subject;
    void (*ready)(struct conn *c); /* NULL: nobody waits for the handshake's end */
    const char *problem;           /* why the handshake failed; NULL: it did not */
};

/* --- the BIO ---------------------------------------------------------------------------------------------------------
 */

static int bio_read(BIO *bio, char *to, int most)
{
    struct conn *c = BIO_get_data(bio);
    struct tls *t = c->filter_data;
    BIO_clear_retry_flags(bio);
    if (t->in.n == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t n = t->in.n < (size_t)most ? t->in.n : (size_t)most;
    memcpy(to, t->in.p, n);
    t->in = str_n(t->in.p + n, t->in.n - n);
    return (int)n;
}

static int bio_write(BIO *bio, const char *from, int n)
{
    BIO_clear_retry_flags(bio);
    conn_put(BIO_get_data(bio), str_n(from, (size_t)n));
    return n;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

/* Made once a process and kept: it is code, not state. */
static BIO_METHOD *method;

static void method_make(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "nightmill connection");
    BUG_ON(!method);
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_ctrl(method, bio_control);
}

static BIO_METHOD *bio_method(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, method_make);
    return method;
}

/* --- the filter ------------------------------------------------------------------------------------------------------
 */

static bool speaks_plain_http(struct str raw)
{
    return raw.n > 0 && raw.p[0] >= 'A' && raw.p[0] <= 'Z'; /* a TLS record begins with 0x16 */
}

static void plain_http_refuse(struct conn *c)
{
    conn_put(c, STR("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 35\r\n"
                    "Connection: close\r\n\r\nThis address speaks https, no http\n"));
}

static void subject_note(struct conn *c, struct tls *t)
{
    X509 *certificate = SSL_get0_peer_certificate(t->ssl);
    BIO *out = certificate && SSL_get_verify_result(t->ssl) == X509_V_OK ? BIO_new(BIO_s_mem()) : NULL;
    char *text;
    if (!out)
        return;
    X509_NAME_print_ex(out, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
    long n = BIO_get_mem_data(out, &text);
    if (n > 0 && n <= SUBJECT_MOST)
        t->subject = mem_strn(c, text, (size_t)n);
    BIO_free(out);
}

/* A certificate that is not believed is said in OpenSSL's words for it, everything else in those of its last error. */
static void problem_note(struct conn *c, struct tls *t)
{
    long verified = SSL_get_verify_result(t->ssl);
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    bool untrusted = !SSL_is_server(t->ssl) && verified != X509_V_OK;
    t->problem = mem_str(c, untrusted ? X509_verify_cert_error_string(verified)
                            : reason  ? reason
                                      : "the peer broke the TLS handshake off");
}

/* 1: done; 0: more input is needed; -1: failed. */
static int handshake(struct conn *c, struct tls *t)
{
    int done = SSL_do_handshake(t->ssl);
    if (done == 1) {
        subject_note(c, t);
        if (t->ready)
            t->ready(c);
        return 1;
    }
    if (SSL_get_error(t->ssl, done) == SSL_ERROR_WANT_READ)
        return 0;
    problem_note(c, t);
    return -1;
}

static enum conn_fed tls_feed(struct conn *c, struct str raw)
{
    struct tls *t = c->filter_data;
    char piece[READ_PIECE];
    if (!t->heard && SSL_is_server(t->ssl) && speaks_plain_http(raw)) {
        plain_http_refuse(c);
        return CONN_FED_BROKEN;
    }
    t->heard = true;
    t->in = raw;
    ERR_clear_error();
    if (!SSL_is_init_finished(t->ssl)) {
        int done = handshake(c, t);
        if (done <= 0)
            return done ? CONN_FED_BROKEN : CONN_FED;
        if (c->state != CONN_OPEN)
            return CONN_FED;
    }
    for (;;) {
        int n = SSL_read(t->ssl, piece, sizeof piece);
        if (n <= 0) {
            int why = SSL_get_error(t->ssl, n);
            return why == SSL_ERROR_WANT_READ     ? CONN_FED
                   : why == SSL_ERROR_ZERO_RETURN ? CONN_FED_END
                                                  : CONN_FED_BROKEN;
        }
        conn_pass(c, str_n(piece, (size_t)n));
        if (c->state != CONN_OPEN)
            return CONN_FED;
    }
}

static bool tls_seal(struct conn *c, struct str plain)
{
    struct tls *t = c->filter_data;
    ERR_clear_error();
    return SSL_is_init_finished(t->ssl) && SSL_write(t->ssl, plain.p, (int)plain.n) == (int)plain.n;
}

static void tls_farewell(struct conn *c)
{
    struct tls *t = c->filter_data;
    ERR_clear_error();
    if (SSL_is_init_finished(t->ssl))
        (void)SSL_shutdown(t->ssl); /* says close_notify; the peer's is not waited for: the linger sees to its bytes */
}

static void tls_free(struct conn *c)
{
    struct tls *t = c->filter_data;
    SSL_free(t->ssl);
    ERR_clear_error();
}

/* All that a connection's TLS has is below its `struct tls` and OpenSSL's object. */
static void tls_leave(struct conn *c, mem *ctx)
{
    struct tls *t = c->filter_data;
    (void)mem_move(ctx, t);
    if (t->subject)
        t->subject = mem_str(t, t->subject);
    if (t->problem)
        t->problem = mem_str(t, t->problem);
    t->in = STR("");
    BIO_set_data(SSL_get_rbio(t->ssl), NULL);
}

static void tls_join(struct conn *c)
{
    struct tls *t = mem_move(c, c->filter_data);
    BIO_set_data(SSL_get_rbio(t->ssl), c);
}

static void tls_drop(const struct conn_parcel *p)
{
    struct tls *t = p->filter_data;
    SSL_free(t->ssl);
    ERR_clear_error();
}

static const struct conn_filter tls_filter = {
    .feed = tls_feed,
    .seal = tls_seal,
    .farewell = tls_farewell,
    .free = tls_free,
    .leave = tls_leave,
    .join = tls_join,
    .drop = tls_drop,
};

/* --- places ----------------------------------------------------------------------------------------------------------
 */

static enum rc file_look(const char *path, bool secret, struct file_mark *ret, struct err *err)
{
    struct stat st;
    *ret = (struct file_mark){0};
    if (!path)
        return RC_OK;
    if (stat(path, &st) != 0)
        return err_sys(err, errno, "cannot read %s", path);
    if (secret && (st.st_mode & S_IRWXO)) {
        err_set(err, RC_DENIED, "everybody on this machine may read the key %s", path);
        return err_hint(err, "chmod 600 %s", path);
    }
    *ret = (struct file_mark){st.st_dev, st.st_ino, st.st_size, st.st_mtim};
    return RC_OK;
}

static enum rc files_look(const struct tls_place *p, struct file_mark ret[FILES], struct err *err)
{
    enum rc rc = RC_OK;
    for (int i = 0; rc == RC_OK && i < FILES; i++)
        rc = file_look(p->files[i], i == 1, &ret[i], err);
    return rc;
}

static bool marks_same(const struct file_mark *a, const struct file_mark *b)
{
    for (int i = 0; i < FILES; i++)
        if (a[i].device != b[i].device || a[i].inode != b[i].inode || a[i].size != b[i].size ||
            a[i].changed.tv_sec != b[i].changed.tv_sec || a[i].changed.tv_nsec != b[i].changed.tv_nsec)
            return false;
    return true;
}

static enum rc openssl_fail(struct err *err, const char *sentence, const char *path)
{
    unsigned long code = ERR_peek_last_error();
    const char *why = code ? ERR_reason_error_string(code) : NULL;
    err_set(err, RC_INVALID, sentence, path);
    ERR_clear_error();
    return err_detail(err, "%s", why ? why : "no reason given");
}

/* A key with a password would be asked for at a terminal that a daemon does not have. */
static int password_refuse(char *to, int most, int writing, void *arg)
{
    (void)to, (void)most, (void)writing, (void)arg;
    return 0;
}

static int protocol_choose(SSL *ssl, const unsigned char **ret, unsigned char *ret_n, const unsigned char *offered,
                           unsigned int n, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;
    (void)ssl, (void)arg;
    if (SSL_select_next_proto(&chosen, ret_n, ours, sizeof ours - 1, offered, n) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static void context_harden(SSL_CTX *context)
{
    static const unsigned char id[] = "nightmill";
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20"); /* of TLS 1.2; those of 1.3 are all good */
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets keep the state with the client */
    SSL_CTX_set_session_id_context(context, id, sizeof id - 1);
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_default_passwd_cb(context, password_refuse);
    SSL_CTX_set_alpn_select_cb(context, protocol_choose, NULL);
}

static enum rc authorities_load(SSL_CTX *context, const char *path, struct err *err)
{
    STACK_OF(X509_NAME) *names = path ? SSL_load_client_CA_file(path) : NULL;
    if (!path)
        return RC_OK;
    if (!names || SSL_CTX_load_verify_file(context, path) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return openssl_fail(err, "%s holds no certificates of authorities", path);
    }
    SSL_CTX_set_client_CA_list(context, names); /* takes them */
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return RC_OK;
}

static enum rc context_fill(SSL_CTX *context, const struct tls_place *p, struct err *err)
{
    context_harden(context);
    if (SSL_CTX_use_certificate_chain_file(context, p->files[0]) != 1)
        return openssl_fail(err, "%s holds no certificate in PEM form", p->files[0]);
    if (SSL_CTX_use_PrivateKey_file(context, p->files[1], SSL_FILETYPE_PEM) != 1)
        return openssl_fail(err, "%s holds no key in PEM form that belongs to the certificate", p->files[1]);
    if (SSL_CTX_check_private_key(context) != 1)
        return openssl_fail(err, "%s does not belong to the certificate", p->files[1]);
    return authorities_load(context, p->files[2], err);
}

/* Replaces the context; connections that were made with the former one keep it. */
static enum rc place_load(struct tls_place *p, struct err *err)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context)
        return openssl_fail(err, "%s", "TLS could not be started");
    enum rc rc = context_fill(context, p, err);
    if (rc != RC_OK) {
        SSL_CTX_free(context);
        return rc;
    }
    SSL_CTX_free(p->context);
    p->context = context;
    return RC_OK;
}

/* The marks are taken before the files are read: a change in between is noticed the next time. */
static void place_look(struct tls_place *p)
{
    struct file_mark marks[FILES];
    struct err err = {0};
    int64_t now = clock_mono_ms();
    if (!p->look_now && now - p->looked_ms < LOOK_EVERY_MS)
        return;
    p->look_now = false;
    p->looked_ms = now;
    if (files_look(p, marks, &err) == RC_OK && marks_same(marks, p->marks))
        return;
    bool said = err.rc != RC_OK && marks_same(marks, p->marks);
    memcpy(p->marks, marks, sizeof marks);
    if (err.rc == RC_OK && place_load(p, &err) == RC_OK)
        log_info("the certificate %s was read again", p->files[0]);
    else if (!said)
        log_warn("the former certificate stays in force: %s%s%s", err.sentence, err.detail[0] ? ": " : "", err.detail);
}

static int place_free(struct tls_place *p)
{
    SSL_CTX_free(p->context);
    return 0;
}

enum rc tls_place_new(mem *ctx, const struct tls_spec *spec, struct tls_place **ret, struct err *err)
{
    struct tls_place *p = mem_new(ctx, struct tls_place);
    bool has_authorities = spec->client_ca && *spec->client_ca;
    p->files[0] = mem_str(p, spec->certificate);
    p->files[1] = mem_str(p, spec->key);
    p->files[2] = has_authorities ? mem_str(p, spec->client_ca) : NULL;
    enum rc rc = files_look(p, p->marks, err);
    if (rc == RC_OK)
        rc = place_load(p, err);
    if (rc != RC_OK) {
        mem_free(p);
        return rc;
    }
    talloc_set_destructor(p, place_free);
    p->looked_ms = clock_mono_ms();
    *ret = p;
    return RC_OK;
}

void tls_place_reload(struct tls_place *p)
{
    p->look_now = true;
}

enum rc tls_attach_ssl(struct conn *c, SSL *ssl, void (*ready)(struct conn *c), struct err *err)
{
    struct tls *t = mem_new(c, struct tls);
    BIO *bio = BIO_new(bio_method());
    t->ssl = ssl;
    t->ready = ready;
    if (!ssl || !bio) {
        SSL_free(ssl);
        BIO_free(bio);
        mem_free(t);
        return openssl_fail(err, "%s", "TLS could not be started on a connection");
    }
    BIO_set_data(bio, c);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    conn_filter_set(c, &tls_filter, t);
    if (SSL_is_server(ssl))
        return RC_OK;
    ERR_clear_error();
    return handshake(c, t) >= 0 ? RC_OK : openssl_fail(err, "%s", "TLS could not be started on a connection");
}

enum rc tls_attach(struct tls_place *p, struct conn *c, struct err *err)
{
    place_look(p);
    SSL *ssl = SSL_new(p->context);
    if (ssl)
        SSL_set_accept_state(ssl);
    return tls_attach_ssl(c, ssl, NULL, err);
}

const char *tls_subject(const struct conn *c)
{
    const struct tls *t = c->filter_data;
    return c->filter == &tls_filter ? t->subject : NULL;
}

const char *tls_problem(const struct conn *c)
{
    const struct tls *t = c->filter_data;
    return c->filter == &tls_filter ? t->problem : NULL;
}

SSL *tls_ssl(const struct conn *c)
{
    const struct tls *t = c->filter_data;
    return c->filter == &tls_filter ? t->ssl : NULL;
}
