/* Contract: over TLS everything is as without, and nobody gets further than the handshake who should not: old
 * versions, other protocols, clients without the certificate that is asked for. Certificates are changed without a
 * restart, and never for worse. */
#include "net/tls.h"
#include "net/ws.h"
#include "peer.h"
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <sys/time.h>

static struct serving *s;
static mem *ctx;
static char dir[64], leaf_pem[96], key_pem[96], ca_pem[96];

/* --- certificates ----------------------------------------------------------------------------------------------------
 */

struct identity {
    EVP_PKEY *key;
    X509 *certificate;
};

static X509 *certificate_make(const char *name, EVP_PKEY *key, const struct identity *issuer)
{
    static long serial = 1;
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer->certificate : x));
    if (!issuer) {
        X509_EXTENSION *ca = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
        X509_add_ext(x, ca, -1);
        X509_EXTENSION_free(ca);
    }
    ck_assert_int_gt(X509_sign(x, issuer ? issuer->key : key, EVP_sha256()), 0);
    return x;
}

static struct identity identity_make(const char *name, const struct identity *issuer)
{
    struct identity i = {.key = EVP_EC_gen("P-256")};
    i.certificate = certificate_make(name, i.key, issuer);
    return i;
}

static void identity_free(struct identity *i)
{
    X509_free(i->certificate);
    EVP_PKEY_free(i->key);
}

static void certificate_write(const char *path, const struct identity *i)
{
    FILE *f = fopen(path, "we");
    ck_assert(f && PEM_write_X509(f, i->certificate) == 1 && fclose(f) == 0);
}

static void key_write(const char *path, const struct identity *i)
{
    FILE *f = fopen(path, "we");
    ck_assert(f && fchmod(fileno(f), 0600) == 0);
    ck_assert(PEM_write_PrivateKey(f, i->key, NULL, NULL, 0, NULL, NULL) == 1 && fclose(f) == 0);
}

static struct identity authority, leaf;

static void begin(void)
{
    s = calloc(1, sizeof *s);
    ctx = mem_root();
    snprintf(dir, sizeof dir, "/tmp/tls-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(leaf_pem, sizeof leaf_pem, "%s/leaf.pem", dir);
    snprintf(key_pem, sizeof key_pem, "%s/key.pem", dir);
    snprintf(ca_pem, sizeof ca_pem, "%s/ca.pem", dir);
    authority = identity_make("authority", NULL);
    leaf = identity_make("leaf", &authority);
    certificate_write(leaf_pem, &leaf);
    certificate_write(ca_pem, &authority);
    key_write(key_pem, &leaf);
}

static void finish(void)
{
    identity_free(&leaf);
    identity_free(&authority);
    unlink(leaf_pem);
    unlink(key_pem);
    unlink(ca_pem);
    rmdir(dir);
    mem_free(ctx);
    free(s);
}

static enum rc place_make(bool with_clients, struct tls_place **ret, struct err *err)
{
    struct tls_spec spec = {.certificate = leaf_pem, .key = key_pem, .client_ca = with_clients ? ca_pem : ""};
    return tls_place_new(ctx, &spec, ret, err);
}

static void start(bool with_clients)
{
    struct err err = {0};
    ck_assert_msg(place_make(with_clients, &s->tls, &err) == RC_OK, "%s: %s", err.sentence, err.detail);
    serving_start(s);
}

/* --- a client over TLS -----------------------------------------------------------------------------------------------
 */

struct client {
    int version;                  /* 0: any */
    const struct identity *shows; /* NULL: no certificate */
    const char *alpn;             /* wire form, or NULL */
    bool dribble;                 /* bytes go out one by one */
};

static ssize_t layer_read(struct peer *p, void *to, size_t most)
{
    return SSL_read(p->layer, to, (int)most);
}

static ssize_t layer_write(struct peer *p, const void *from, size_t n)
{
    return SSL_write(p->layer, from, n > 1 << 20 ? 1 << 20 : (int)n);
}

/* A socket BIO whose writes are split into single bytes. */
static int dribble_write(BIO *b, const char *from, int n)
{
    BIO *next = BIO_next(b);
    for (int i = 0; i < n; i++)
        if (BIO_write(next, from + i, 1) != 1)
            return i ? i : -1;
    return n;
}

static int dribble_read(BIO *b, char *to, int n)
{
    return BIO_read(BIO_next(b), to, n);
}

static long dribble_control(BIO *b, int command, long number, void *pointer)
{
    return BIO_ctrl(BIO_next(b), command, number, pointer);
}

static BIO *dribble_bio(int fd)
{
    static BIO_METHOD *m;
    int one = 1;
    m = BIO_meth_new(BIO_TYPE_FILTER, "dribble");
    setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof one);
    BIO_meth_set_write(m, dribble_write);
    BIO_meth_set_read(m, dribble_read);
    BIO_meth_set_ctrl(m, dribble_control);
    BIO *b = BIO_new(m);
    BIO_set_init(b, 1);
    return BIO_push(b, BIO_new_socket(fd, BIO_NOCLOSE));
}

static SSL *client_ssl(const struct client *how)
{
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());
    X509_STORE_add_cert(SSL_CTX_get_cert_store(c), authority.certificate);
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_security_level(c, 0); /* so that old versions may be asked for */
    SSL_CTX_set_min_proto_version(c, how->version);
    SSL_CTX_set_max_proto_version(c, how->version);
    if (how->shows) {
        ck_assert_int_eq(SSL_CTX_use_certificate(c, how->shows->certificate), 1);
        ck_assert_int_eq(SSL_CTX_use_PrivateKey(c, how->shows->key), 1);
    }
    SSL *ssl = SSL_new(c);
    if (how->alpn)
        SSL_set_alpn_protos(ssl, (const unsigned char *)how->alpn, (unsigned)strlen(how->alpn));
    SSL_CTX_free(c);
    return ssl;
}

/* NULL layer: the handshake failed. With TLS 1.3 a refused certificate shows with the first read only. */
static struct peer tls_open(const struct client *how)
{
    struct peer p = peer_open_tcp(s);
    struct timeval patience = {.tv_sec = 20};
    setsockopt(p.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    SSL *ssl = client_ssl(how);
    if (how->dribble) {
        BIO *b = dribble_bio(p.fd);
        SSL_set_bio(ssl, b, b);
    } else {
        SSL_set_fd(ssl, p.fd);
    }
    if (SSL_connect(ssl) != 1) {
        SSL_free(ssl);
        return p;
    }
    p.layer = ssl;
    p.layer_read = layer_read;
    p.layer_write = layer_write;
    return p;
}

static void tls_close(struct peer *p)
{
    SSL_free(p->layer);
    p->layer = NULL;
    ERR_clear_error();
    peer_close(p);
}

#define GET(path)       "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path, len) "POST " path " HTTP/1.1\r\nHost: a\r\nContent-Length: " len "\r\n\r\n"
static const struct client any;

/* --- everything as without -------------------------------------------------------------------------------------------
 */

static const struct {
    struct client how;
    bool good;
} hands[] = {
    {{0}, true},
    {{.version = TLS1_3_VERSION}, true},
    {{.version = TLS1_2_VERSION}, true},
    {{.version = TLS1_1_VERSION}, false},
    {{.version = TLS1_VERSION}, false},
    {{.alpn = "\x08http/1.1"}, true},
    {{.alpn = "\x02h2\x08http/1.1"}, true},
    {{.alpn = "\x02h2"}, false},
    {{.dribble = true}, true},
    {{.dribble = true, .version = TLS1_2_VERSION}, true},
};

START_TEST(handshakes)
{
    start(false);
    struct peer p = tls_open(&hands[_i].how);
    ck_assert_msg((p.layer != NULL) == hands[_i].good, "%d", _i);
    if (p.layer) {
        struct answer a = peer_ask(&p, POST("/echo", "5") "hello");
        ck_assert(a.status == 200 && str_eqz(a.body, "hello") && s->tls_seen);
        a = peer_ask(&p, GET("/stream?n=3"));
        ck_assert(str_eqz(a.body, "data: 0\n\ndata: 1\n\ndata: 2\n\n"));
        a = peer_ask(&p, GET("/later"));
        ck_assert(str_eqz(a.body, "/later"));
    }
    tls_close(&p);
    EVENTUALLY(serving_connections(s) == 0);
    p = tls_open(&any); /* the server is well */
    ck_assert_int_eq(peer_ask(&p, GET("/none")).status, 404);
    tls_close(&p);
    serving_stop(s);
}
END_TEST

START_TEST(large_bodies_both_ways)
{
    enum { SIZE = 900000 };
    s->flood = 20 << 20;
    start(false);
    struct peer p = tls_open(&any);
    char *block = mem_array(p.ctx, char, SIZE);
    for (size_t i = 0; i < SIZE; i++)
        block[i] = (char)(i * 7 + i / 251);
    peer_send(&p, STR(POST("/echo", "900000")));
    peer_send(&p, str_n(block, SIZE));
    ck_assert(str_eq(peer_answer(&p, false).body, str_n(block, SIZE)));
    peer_send(&p, STR(GET("/flood")));
    EVENTUALLY(s->most_backlog > HTTP_HIGH_WATER); /* the client reads nothing yet */
    struct answer a = peer_answer(&p, false);
    ck_assert_uint_eq(a.body.n, s->flood);
    for (size_t i = 0; i < a.body.n; i++)
        if (a.body.p[i] != 'f')
            ck_abort_msg("byte %zu is wrong", i);
    ck_assert_msg(s->most_backlog < HTTP_HIGH_WATER + 40000, "%zu bytes were waiting", (size_t)s->most_backlog);
    ck_assert_int_eq(peer_ask(&p, GET("/none")).status, 404);
    tls_close(&p);
    serving_stop(s);
}
END_TEST

/* --- a WebSocket on top ---------------------------------------------------------------------------------------------
 */

static atomic_int ws_ended;

static void ws_echo(void *arg, struct ws *ws, bool text, struct str bytes)
{
    (void)arg;
    ws_send(ws, text, bytes);
}

static void ws_gone(void *arg, struct ws *ws, int code)
{
    (void)arg, (void)ws;
    ws_ended = code;
}

static void serve_ws(void *arg, struct http_request *r)
{
    static const struct ws_spec spec = {.on_message = ws_echo, .on_gone = ws_gone};
    struct ws *ws;
    (void)arg;
    ck_assert(r->peer.tls && ws_accept(r, &spec, &ws, NULL) == RC_OK);
}

START_TEST(websockets_over_tls)
{
    struct err err = {0};
    ck_assert_int_eq(place_make(false, &s->tls, &err), RC_OK);
    serving_prepare(s);
    s->spec.on_request = serve_ws;
    serving_go(s);
    struct peer p = tls_open(&any);
    struct answer a = peer_ask(&p, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
    ck_assert_int_eq(a.status, 101);
    peer_send(&p, STR("\x81\x85\0\0\0\0hello")); /* the mask is all zeroes */
    while (p.in.n < 7)
        ck_assert(peer_more(&p));
    ck_assert(str_eqz(buf_view(&p.in), "\x81\x05hello"));
    buf_clear(&p.in);
    peer_send(&p, STR("\x88\x82\0\0\0\0\x03\xe8")); /* close, 1000 */
    ck_assert(str_eq(peer_rest(&p), STR("\x88\x02\x03\xe8")));
    ck_assert_msg(SSL_get_shutdown(p.layer) & SSL_RECEIVED_SHUTDOWN, "the end was not said");
    EVENTUALLY(ws_ended == 1000);
    tls_close(&p);
    EVENTUALLY(serving_connections(s) == 0);
    serving_stop(s);
}
END_TEST

/* What a turn produced becomes one record, so many small events cost little more than their bytes. */
START_TEST(small_writes_are_merged)
{
    start(false);
    struct peer p = tls_open(&any);
    peer_send(&p, STR(GET("/none")));
    (void)peer_answer(&p, false);
    uint64_t before = BIO_number_read(SSL_get_rbio(p.layer));
    struct answer a = peer_ask(&p, GET("/stream?n=500"));
    uint64_t raw = BIO_number_read(SSL_get_rbio(p.layer)) - before;
    ck_assert_msg(raw < a.body.n * 2, "%zu bytes for a body of %zu", (size_t)raw, a.body.n);
    tls_close(&p);
    serving_stop(s);
}
END_TEST

START_TEST(ends_are_told_apart)
{
    start(false);
    struct peer p = tls_open(&any);
    peer_send(&p, STR("GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    (void)peer_rest(&p);
    ck_assert_msg(SSL_get_shutdown(p.layer) & SSL_RECEIVED_SHUTDOWN, "the end was not said");
    tls_close(&p);
    p = tls_open(&any);
    peer_send(&p, STR(GET("/broken")));
    (void)peer_rest(&p);
    ck_assert_msg(!(SSL_get_shutdown(p.layer) & SSL_RECEIVED_SHUTDOWN), "a broken answer looks whole");
    tls_close(&p);
    serving_stop(s);
}
END_TEST

START_TEST(leaving_clients_are_noticed)
{
    start(false);
    for (int polite = 0; polite < 2; polite++) {
        struct peer p = tls_open(&any);
        peer_send(&p, STR(GET("/hold")));
        EVENTUALLY(s->requests == polite + 1);
        if (polite)
            SSL_shutdown(p.layer); /* close_notify; the connection itself stays */
        else
            shutdown(p.fd, SHUT_RDWR);
        EVENTUALLY(s->gone == polite + 1);
        tls_close(&p);
        EVENTUALLY(serving_connections(s) == 0);
    }
    serving_stop(s);
}
END_TEST

/* --- who is not let in -----------------------------------------------------------------------------------------------
 */

START_TEST(handshakes_have_a_deadline)
{
    s->spec.head_ms = 200;
    start(false);
    struct peer silent = peer_open_tcp(s), half = peer_open_tcp(s), slow = peer_open_tcp(s);
    peer_send(&half, STR("\x16\x03\x01"));
    struct pollfd wait = {.fd = slow.fd, .events = POLLIN};
    peer_send(&slow, STR("\x16\x03\x01\x02\x00"));
    int sent = 0;
    for (; sent < 500 && poll(&wait, 1, 20) == 0; sent++)
        peer_send(&slow, STR("\x01"));
    ck_assert_msg(sent < 500, "the server waits as long as bytes come");
    ck_assert_uint_eq(peer_rest(&silent).n, 0);
    ck_assert_uint_eq(peer_rest(&half).n, 0);
    EVENTUALLY(serving_connections(s) == 0);
    peer_close(&silent);
    peer_close(&half);
    peer_close(&slow);
    serving_stop(s);
}
END_TEST

START_TEST(other_protocols_are_refused)
{
    static const char *const others[] = {"\x16\x03\x01\x00\x05hello", "\x80\x2e\x01\x00\x02", "\n", "SSH-2.0-x\r\n"};
    start(false);
    struct peer p = peer_open_tcp(s);
    struct answer a = peer_ask(&p, GET("/none"));
    ck_assert(a.status == 400 && a.closes && str_find(a.body, STR("https")) > 0);
    ck_assert_uint_eq(peer_rest(&p).n, 0);
    peer_close(&p);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        p = peer_open_tcp(s);
        peer_send(&p, str_of(others[i]));
        (void)peer_rest(&p);
        peer_close(&p);
    }
    EVENTUALLY(serving_connections(s) == 0);
    ck_assert_int_eq(s->requests, 0);
    p = tls_open(&any);
    ck_assert_int_eq(peer_ask(&p, GET("/none")).status, 404);
    tls_close(&p);
    serving_stop(s);
}
END_TEST

/* A record that was changed on its way ends the connection, and the request in it is never seen. */
START_TEST(changed_records_are_refused)
{
    start(false);
    struct peer p = tls_open(&any);
    ck_assert_int_eq(peer_ask(&p, GET("/none")).status, 404);
    ck_assert_int_eq(s->requests, 1);
    char record[5 + 64] = {0x17, 0x03, 0x03, 0, 64};
    ck_assert_int_eq(send(p.fd, record, sizeof record, 0), sizeof record);
    (void)peer_rest(&p);
    EVENTUALLY(serving_connections(s) == 0);
    ck_assert_int_eq(s->requests, 1);
    tls_close(&p);
    serving_stop(s);
}
END_TEST

START_TEST(no_renegotiation)
{
    start(false);
    struct peer p = tls_open(&(struct client){.version = TLS1_2_VERSION});
    ck_assert_int_eq(peer_ask(&p, GET("/none")).status, 404);
    SSL_renegotiate(p.layer);
    ck_assert_int_ne(SSL_do_handshake(p.layer), 1);
    tls_close(&p);
    EVENTUALLY(serving_connections(s) == 0);
    serving_stop(s);
}
END_TEST

/* A peer that asks for new keys over and over and reads no answer is not read any more: its own socket fills. */
START_TEST(key_updates_are_held_back)
{
    enum { MOST = 100000 };
    s->socket_buffer = 4096;
    start(false);
    struct peer p = tls_open(&(struct client){.version = TLS1_3_VERSION});
    int small = 4096, sent = 0;
    ck_assert_int_eq(peer_ask(&p, GET("/none")).status, 404);
    setsockopt(p.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    fcntl(p.fd, F_SETFL, O_NONBLOCK);
    struct pollfd wait = {.fd = p.fd, .events = POLLOUT};
    for (; sent < MOST && poll(&wait, 1, 1000) == 1; sent++) {
        SSL_key_update(p.layer, SSL_KEY_UPDATE_REQUESTED);
        (void)SSL_do_handshake(p.layer);
    }
    ck_assert_msg(sent < MOST, "the server reads for ever");
    tls_close(&p);
    EVENTUALLY(serving_connections(s) == 0);
    serving_stop(s);
}
END_TEST

static bool is_let_in(const struct client *how)
{
    struct peer p = tls_open(how);
    bool in = false;
    if (p.layer) {
        peer_send(&p, STR("GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
        in = str_starts(peer_rest(&p), STR("HTTP/1.1 404"));
    }
    tls_close(&p);
    return in;
}

START_TEST(client_certificates)
{
    struct identity friend = identity_make("a friend, of the \"house\"", &authority);
    struct identity rogue = identity_make("authority", NULL), stranger = identity_make("stranger", &rogue);
    start(true);
    for (int i = 0; i < 2; i++) {
        struct client how = {.version = i ? TLS1_3_VERSION : TLS1_2_VERSION};
        ck_assert_msg(!is_let_in(&how), "a client without a certificate was let in");
        how.shows = &stranger;
        ck_assert_msg(!is_let_in(&how), "a client with a stranger's certificate was let in");
        how.shows = &rogue;
        ck_assert(!is_let_in(&how));
        ck_assert_int_eq(s->requests, i);
        how.shows = &friend;
        ck_assert(is_let_in(&how));
        ck_assert_str_eq(s->who, "CN=a friend\\, of the \\\"house\\\"");
    }
    serving_stop(s);
    identity_free(&friend);
    identity_free(&stranger);
    identity_free(&rogue);
}
END_TEST

START_TEST(hosts_are_checked_over_tls_too)
{
    struct http_hosts hosts = {.address = "127.0.0.1", .port = 443};
    s->hosts = &hosts;
    start(false);
    struct peer p = tls_open(&any);
    ck_assert_int_eq(peer_ask(&p, "GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 404);
    struct answer a = peer_ask(&p, "GET /none HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    ck_assert(a.status == 403 && a.closes);
    ck_assert_uint_eq(peer_rest(&p).n, 0);
    ck_assert_int_eq(s->requests, 1);
    tls_close(&p);
    serving_stop(s);
}
END_TEST

/* --- files -----------------------------------------------------------------------------------------------------------
 */

static void file_write(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    ck_assert(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

START_TEST(wrong_files_are_said)
{
    struct tls_place *place;
    struct err err = {0};
    struct identity other = identity_make("other", NULL);
    ck_assert_int_eq(place_make(false, &place, &err), RC_OK);
    chmod(key_pem, 0644);
    ck_assert_int_eq(place_make(false, &place, &err), RC_DENIED);
    ck_assert_msg(strstr(err.sentence, key_pem) && strstr(err.hint, "chmod"), "%s", err.sentence);
    key_write(key_pem, &other);
    ck_assert_int_eq(place_make(false, &place, &err), RC_INVALID);
    file_write(key_pem, "no key\n");
    ck_assert_int_eq(place_make(false, &place, &err), RC_INVALID);
    FILE *f = fopen(key_pem, "we");
    ck_assert_int_eq(PEM_write_PKCS8PrivateKey(f, leaf.key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL), 1);
    fclose(f);
    ck_assert_int_eq(place_make(false, &place, &err), RC_INVALID);
    key_write(key_pem, &leaf);
    file_write(ca_pem, "");
    ck_assert_int_eq(place_make(true, &place, &err), RC_INVALID);
    ck_assert_msg(strstr(err.sentence, ca_pem), "%s", err.sentence);
    file_write(leaf_pem, "");
    ck_assert_int_eq(place_make(false, &place, &err), RC_INVALID);
    ck_assert_msg(strstr(err.sentence, leaf_pem), "%s", err.sentence);
    unlink(leaf_pem);
    ck_assert_int_eq(place_make(false, &place, &err), RC_NOT_FOUND);
    identity_free(&other);
}
END_TEST

static void shown_name(char *ret, size_t room)
{
    struct peer p = tls_open(&any);
    ck_assert(p.layer && peer_ask(&p, GET("/none")).status == 404);
    X509 *x = SSL_get0_peer_certificate(p.layer);
    X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, ret, (int)room);
    tls_close(&p);
}

START_TEST(certificates_are_changed_while_serving)
{
    char name[64];
    struct identity next = identity_make("next", &authority);
    start(false);
    struct peer old = tls_open(&any);
    ck_assert_int_eq(peer_ask(&old, GET("/none")).status, 404);
    certificate_write(leaf_pem, &next); /* half of the change: the former one stays */
    tls_place_reload(s->tls);
    shown_name(name, sizeof name);
    ck_assert_str_eq(name, "leaf");
    key_write(key_pem, &next);
    tls_place_reload(s->tls);
    shown_name(name, sizeof name);
    ck_assert_str_eq(name, "next");
    ck_assert_int_eq(peer_ask(&old, GET("/none")).status, 404); /* what is open stays open */
    tls_close(&old);
    unlink(key_pem);
    tls_place_reload(s->tls);
    shown_name(name, sizeof name);
    ck_assert_str_eq(name, "next");
    key_write(key_pem, &leaf);
    certificate_write(leaf_pem, &leaf);
    EVENTUALLY((shown_name(name, sizeof name), strcmp(name, "leaf") == 0)); /* without being told */
    serving_stop(s);
    identity_free(&next);
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof *(a))

int main(void)
{
    Suite *suite = suite_create("tls");
    TCase *t = tcase_create("all");
    signal(SIGPIPE, SIG_IGN);
    tcase_add_checked_fixture(t, begin, finish);
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, handshakes, 0, COUNT(hands));
    tcase_add_test(t, large_bodies_both_ways);
    tcase_add_test(t, websockets_over_tls);
    tcase_add_test(t, small_writes_are_merged);
    tcase_add_test(t, ends_are_told_apart);
    tcase_add_test(t, leaving_clients_are_noticed);
    tcase_add_test(t, handshakes_have_a_deadline);
    tcase_add_test(t, other_protocols_are_refused);
    tcase_add_test(t, changed_records_are_refused);
    tcase_add_test(t, no_renegotiation);
    tcase_add_test(t, key_updates_are_held_back);
    tcase_add_test(t, client_certificates);
    tcase_add_test(t, hosts_are_checked_over_tls_too);
    tcase_add_test(t, wrong_files_are_said);
    tcase_add_test(t, certificates_are_changed_while_serving);
    suite_add_tcase(suite, t);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
