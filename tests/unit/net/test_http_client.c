/* Contract of what upstream.h does not show of the client: TLS that verifies, a fixed address, streamed requests,
 * interim answers, upgrades, answers that nobody may read in two ways, and what is unpacked or taken apart on the way
 * (url.h, unpack.h, http_answer_head_*). */
#include "net/http_client.h"
#include "net/tls.h"
#include "net/tls_client.h"
#include "net/unpack.h"
#include "net/url.h"
#include "peer.h"
#include <fcntl.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <zlib.h>

static mem *ctx;
static uv_loop_t loop;
static struct http_client *client;
static struct serving *s;
static struct err err;

static void begin(void)
{
    ctx = mem_root();
    memset(&err, 0, sizeof err);
    s = calloc(1, sizeof *s);
    uv_loop_init(&loop);
    ck_assert_int_eq(http_client_new(&loop, &client, &err), RC_OK);
}

static void finish(void)
{
    http_client_close(client);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    if (s->server)
        serving_stop(s);
    free(s);
    mem_free(ctx);
}

struct probe {
    struct http_call *call;
    int heads, interims, ends, status, drained;
    struct buf body;
    char fields[1000];
    enum rc rc;
    char words[2000];
    bool cancel_in_head;
};

static void probe_interim(void *arg, int status, struct str headers)
{
    struct probe *p = arg;
    ck_assert(status >= 100 && status < 200 && p->heads == 0);
    snprintf(p->fields, sizeof p->fields, "%.*s", STR_FMT(headers));
    p->interims++;
}

static void probe_head(void *arg, int status, struct str headers)
{
    struct probe *p = arg;
    p->heads++;
    p->status = status;
    if (!p->interims)
        snprintf(p->fields, sizeof p->fields, "%.*s", STR_FMT(headers));
    if (p->cancel_in_head)
        http_call_cancel(p->call);
}

static bool probe_body(void *arg, struct str bytes)
{
    struct probe *p = arg;
    ck_assert(p->heads == 1 && !p->ends);
    ck_assert(buf_str(&p->body, bytes));
    return true;
}

static void probe_drained(void *arg)
{
    struct probe *p = arg;
    p->drained++;
}

static void probe_end(void *arg, enum rc rc, const struct err *e)
{
    struct probe *p = arg;
    p->ends++;
    p->rc = rc;
    if (e)
        snprintf(p->words, sizeof p->words, "%s %s", e->sentence, e->detail);
}

static struct probe *start(struct http_call_spec spec)
{
    struct probe *p = mem_new(ctx, struct probe);
    buf_init(&p->body, ctx, 64 << 20);
    spec.host = spec.host ? spec.host : "127.0.0.1";
    spec.port = spec.port ? spec.port : s->port;
    spec.method = spec.method ? spec.method : "GET";
    spec.target = spec.target ? spec.target : "/none";
    spec.connect_ms = spec.connect_ms ? spec.connect_ms : 20000;
    spec.head_ms = spec.head_ms ? spec.head_ms : 20000;
    spec.on_interim = probe_interim;
    spec.on_head = probe_head;
    spec.on_body = probe_body;
    spec.on_drained = probe_drained;
    spec.on_end = probe_end;
    spec.arg = p;
    ck_assert_msg(http_call_start(client, &spec, &p->call, &err) == RC_OK, "%s", err.sentence);
    return p;
}

static struct probe *ask(struct http_call_spec spec)
{
    struct probe *p = start(spec);
    while (!p->ends)
        uv_run(&loop, UV_RUN_ONCE);
    return p;
}

#define LINES(...) ((const char *const[]){__VA_ARGS__, NULL})

/* --- TLS -----------------------------------------------------------------------------------------------------------
 */

static char dir[64], leaf_pem[96], key_pem[96], ca_pem[96];

static void pem_write(const char *path, X509 *x, EVP_PKEY *key)
{
    FILE *f = fopen(path, "we");
    ck_assert(f && fchmod(fileno(f), 0600) == 0);
    ck_assert(x ? PEM_write_X509(f, x) : PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL));
    fclose(f);
}

static X509 *certificate(EVP_PKEY *key, const char *names, X509 *issuer, EVP_PKEY *issuer_key, long from, long until)
{
    static long serial = 1;
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
    X509_gmtime_adj(X509_getm_notBefore(x), from);
    X509_gmtime_adj(X509_getm_notAfter(x), until);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                               (const unsigned char *)(issuer ? "server" : "authority"), -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer : x));
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, issuer ? NID_subject_alt_name : NID_basic_constraints,
                                            issuer ? names : "critical,CA:TRUE");
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
    ck_assert_int_gt(X509_sign(x, issuer ? issuer_key : key, EVP_sha256()), 0);
    return x;
}

/* A server whose certificate has these names, and trust in its authority when `believed`. */
static struct tls_trust *tls_serve(const char *names, long from, long until, bool believed)
{
    EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
    X509 *ca = certificate(ca_key, NULL, NULL, NULL, -3600, 86400);
    X509 *leaf = certificate(key, names, ca, ca_key, from, until);
    struct tls_trust *trust;
    snprintf(dir, sizeof dir, "/tmp/client-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(leaf_pem, sizeof leaf_pem, "%s/leaf", dir);
    snprintf(key_pem, sizeof key_pem, "%s/key", dir);
    snprintf(ca_pem, sizeof ca_pem, "%s/ca", dir);
    pem_write(leaf_pem, leaf, NULL);
    pem_write(ca_pem, ca, NULL);
    pem_write(key_pem, NULL, key);
    X509_free(leaf);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
    struct tls_spec spec = {.certificate = leaf_pem, .key = key_pem};
    ck_assert_int_eq(tls_place_new(ctx, &spec, &s->tls, &err), RC_OK);
    ck_assert_msg(tls_trust_new(ctx, believed ? ca_pem : NULL, &trust, &err) == RC_OK, "%s", err.sentence);
    unlink(leaf_pem);
    unlink(key_pem);
    unlink(ca_pem);
    rmdir(dir);
    s->spec.max_body = 8 << 20;
    serving_start(s);
    return trust;
}

static const struct {
    const char *host, *names;
    long from, until;
    bool believed;
    const char *problem; /* NULL: it is let in */
} identities[] = {
    {"model.example", "DNS:model.example", -3600, 86400, true, NULL},
    {"a.model.example", "DNS:*.model.example", -3600, 86400, true, NULL},
    {"127.0.0.1", "IP:127.0.0.1", -3600, 86400, true, NULL},
    {"::1", "IP:::1", -3600, 86400, true, NULL},
    {"other.example", "DNS:model.example", -3600, 86400, true, "mismatch"},
    {"a.b.model.example", "DNS:*.model.example", -3600, 86400, true, "mismatch"},
    {"127.0.0.1", "DNS:127.0.0.1", -3600, 86400, true, "mismatch"},
    {"127.0.0.2", "IP:127.0.0.1", -3600, 86400, true, "mismatch"},
    {"model.example", "DNS:model.example", -7200, -3600, true, "expired"},
    {"model.example", "DNS:model.example", 3600, 86400, true, "not yet valid"},
    {"model.example", "DNS:model.example", -3600, 86400, false, "unable to get local issuer"},
};

START_TEST(servers_are_verified)
{
    struct tls_trust *trust =
        tls_serve(identities[_i].names, identities[_i].from, identities[_i].until, identities[_i].believed);
    struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = htons(s->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct http_call_spec spec = {.host = identities[_i].host,
                                  .trust = trust,
                                  .method = "POST",
                                  .target = "/echo",
                                  .body = STR("secret"),
                                  .address = (struct sockaddr *)&in,
                                  .address_n = sizeof in};
    struct probe *p = ask(spec);
    if (identities[_i].problem) {
        ck_assert_msg(p->rc == RC_UNAVAILABLE && p->heads == 0, "%s %s", rc_name(p->rc), p->words);
        ck_assert_msg(strstr(p->words, identities[_i].problem) != NULL, "%s", p->words);
        ck_assert_int_eq(s->requests, 0);
        return;
    }
    ck_assert_msg(p->rc == RC_OK && str_eq(buf_view(&p->body), STR("secret")), "%s", p->words);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(ask(spec)->rc, RC_OK);
    ck_assert(s->tls_seen && serving_connections(s) == 1);
}
END_TEST

START_TEST(large_bodies_over_tls)
{
    struct tls_trust *trust = tls_serve("IP:127.0.0.1", -3600, 86400, true);
    size_t n = 5 << 20;
    char *large = mem_array(ctx, char, n);
    for (size_t i = 0; i < n; i++)
        large[i] = (char)(i * 7 >> 3);
    struct probe *p =
        ask((struct http_call_spec){.trust = trust, .method = "POST", .target = "/echo", .body = str_n(large, n)});
    ck_assert_msg(p->rc == RC_OK && str_eq(buf_view(&p->body), str_n(large, n)), "%s", p->words);
    p = ask((struct http_call_spec){.trust = trust, .target = "/stream?n=2000"});
    ck_assert(p->rc == RC_OK && str_ends(buf_view(&p->body), STR("data: 1999\n\n")));
}
END_TEST

/* --- streamed requests, interim answers, upgrades ------------------------------------------------------------------
 */

START_TEST(streamed_requests)
{
    s->spec.max_body = 4 << 20;
    serving_start(s);
    struct http_call_spec spec = {
        .method = "POST", .target = "/echo", .headers = LINES("Transfer-Encoding: chunked"), .streamed = true};
    struct probe *p = start(spec);
    http_call_send(p->call, STR("before "));
    for (int i = 0; i < 20; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    char block[10000];
    memset(block, 'b', sizeof block);
    for (int i = 0; i < 200; i++)
        http_call_send(p->call, str_n(block, sizeof block));
    ck_assert_uint_gt(http_call_backlog(p->call), 0);
    http_call_send_end(p->call);
    http_call_send(p->call, STR("never"));
    while (!p->ends)
        uv_run(&loop, UV_RUN_ONCE);
    ck_assert_msg(p->rc == RC_OK, "%s", p->words);
    ck_assert(p->body.n == 7 + 200 * sizeof block && str_starts(buf_view(&p->body), STR("before bbb")));
    spec.headers = LINES("Content-Length: 5");
    p = start(spec);
    http_call_send(p->call, STR("12"));
    http_call_send(p->call, STR("3456789")); /* what is beyond the length would be another request */
    http_call_send_end(p->call);
    while (!p->ends)
        uv_run(&loop, UV_RUN_ONCE);
    ck_assert(p->rc == RC_OK && str_eq(buf_view(&p->body), STR("12345")));
    ck_assert_uint_eq(serving_connections(s), 1);
    struct http_call *call;
    spec.on_end = probe_end;
    spec.host = "127.0.0.1";
    spec.port = s->port;
    spec.headers = LINES("Content-Length: 5", "Transfer-Encoding: chunked");
    ck_assert_int_eq(http_call_start(client, &spec, &call, &err), RC_INVALID);
    spec.headers = NULL;
    ck_assert_int_eq(http_call_start(client, &spec, &call, &err), RC_INVALID);
}
END_TEST

static struct probe *script_ask(struct script *script, const char *const *steps, struct http_call_spec spec)
{
    script_start(script, steps);
    spec.port = (uint16_t)atoi(strrchr(script->url, ':') + 1);
    return ask(spec);
}

START_TEST(interim_answers_are_told)
{
    static const char *const steps[] = {"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
                                        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", NULL};
    struct script script;
    struct probe *p = script_ask(&script, steps, (struct http_call_spec){0});
    ck_assert(p->rc == RC_OK && p->interims == 2 && p->status == 200 && str_eq(buf_view(&p->body), STR("ok")));
    script_stop(&script);
}
END_TEST

START_TEST(upgrades_are_taken_only_when_asked_for)
{
    static const char *const steps[] = {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nraw ", "bytes", NULL};
    struct script script;
    struct probe *p = script_ask(&script, steps, (struct http_call_spec){.upgrade = true});
    ck_assert_msg(p->rc == RC_OK && p->status == 101, "%s %s", rc_name(p->rc), p->words);
    ck_assert_str_eq(buf_view(&p->body).p, "raw bytes");
    script_stop(&script);
    p = script_ask(&script, steps, (struct http_call_spec){0});
    ck_assert(p->rc == RC_UPSTREAM && p->heads == 0);
    script_stop(&script);
}
END_TEST

/* A server that says more than its answer, or an answer before it was asked, does not get another request. */
START_TEST(bytes_that_nobody_asked_for)
{
    static const char *const steps[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "hold", NULL};
    struct script script;
    struct probe *p = script_ask(&script, steps, (struct http_call_spec){0});
    ck_assert(p->rc == RC_OK && str_eq(buf_view(&p->body), STR("ok")));
    script_stop(&script); /* its connection is closed: else this would wait for it */
}
END_TEST

START_TEST(groups_do_not_share_connections)
{
    serving_start(s);
    int a, b;
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(ask((struct http_call_spec){.group = i % 2 ? &a : &b})->rc, RC_OK);
    ck_assert_uint_eq(serving_connections(s), 2);
}
END_TEST

START_TEST(closing_inside_a_callback)
{
    serving_start(s);
    struct probe *p = start((struct http_call_spec){.target = "/hold"});
    p->cancel_in_head = true;
    while (!p->heads)
        uv_run(&loop, UV_RUN_ONCE);
    ck_assert_uint_eq(http_client_calls(client), 0);
    EVENTUALLY((uv_run(&loop, UV_RUN_NOWAIT), s->gone == 1));
    ck_assert_int_eq(p->ends, 0);
}
END_TEST

/* --- heads
 * ------------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *head;
    enum rc rc;
    int64_t length;
    bool chunked, keep_alive;
} heads[] = {
    {"HTTP/1.1 200 OK\r\n\r\n", RC_OK, -1, false, true},
    {"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n", RC_OK, 5, false, true},
    {"HTTP/1.1 200 \r\ntransfer-encoding:  Chunked \r\n\r\n", RC_OK, -1, true, true},
    {"HTTP/1.1 200 OK\r\nConnection: x, Close\r\n\r\n", RC_OK, -1, false, false},
    {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", RC_OK, 1, false, false},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", RC_OK, -1, false, true},
    {"HTTP/1.1 200 OK\n\n", RC_INVALID, 0, false, false},
    {"HTTP/1.1 200 OK\r\nA: b\n\r\n", RC_INVALID, 0, false, false},
    {"HTTP/2 200 OK\r\n\r\n", RC_INVALID, 0, false, false},
    {"HTTP/1.2 200 OK\r\n\r\n", RC_INVALID, 0, false, false},
    {"HTTP/1.1 2000 OK\r\n\r\n", RC_INVALID, 0, false, false},
    {"HTTP/1.1 99 OK\r\n\r\n", RC_INVALID, 0, false, false},
    {"HTTP/1.1  200 OK\r\n\r\n", RC_INVALID, 0, false, false},
    {"http/1.1 200 OK\r\n\r\n", RC_INVALID, 0, false, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", RC_OK, 1, false, true},
    {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", RC_INVALID, 0, false, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", RC_INVALID, 0, false, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n", RC_INVALID, 0, false, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\n", RC_INVALID, 0, false, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", RC_INVALID, 0, false, false},
    {"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", RC_INVALID, 0, false, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", RC_INVALID, 0, false, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", RC_INVALID, 0, false, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", RC_INVALID, 0, false,
     false},
    {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", RC_INVALID, 0, false, false},
    {"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", RC_INVALID, 0, false, false},
    {"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n", RC_INVALID, 0, false, false},
    {"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", RC_INVALID, 0, false, false},
    {"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", RC_INVALID, 0, false, false},
    {"HTTP/1.1 200 OK\r\nA: b\x01\r\n\r\n", RC_INVALID, 0, false, false},
};

START_TEST(heads_are_read_strictly)
{
    struct str all = str_of(heads[_i].head);
    struct http_answer_head h;
    size_t scanned = 0, length = 0;
    enum rc rc = RC_AGAIN;
    for (size_t n = 0; n <= all.n && rc == RC_AGAIN; n++) /* byte by byte */
        rc = http_answer_head_find(str_sub(all, 0, n), &scanned, &length, NULL);
    if (rc == RC_OK)
        rc = http_answer_head_parse(str_sub(all, 0, length), &h, NULL);
    ck_assert_msg(rc == heads[_i].rc, "%s: %s", all.p, rc_name(rc));
    if (rc != RC_OK)
        return;
    ck_assert_uint_eq(length, all.n);
    ck_assert(h.content_length == heads[_i].length && h.chunked == heads[_i].chunked);
    ck_assert(h.keep_alive == heads[_i].keep_alive);
}
END_TEST

/* --- URLs, packed bodies
 * ------------------------------------------------------------------------------------------------ */

static const struct {
    const char *text, *host, *target, *user;
    int port;
    bool tls;
} urls[] = {
    {"http://a", "a", "/", NULL, 80, false},
    {"HTTPS://A.Example/", "a.example", "/", NULL, 443, true},
    {"https://a:8443/v1/x?y=z#f", "a", "/v1/x?y=z", NULL, 8443, true},
    {"http://a?q", "a", "/?q", NULL, 80, false},
    {"http://a:/", "a", "/", NULL, 80, false},
    {"http://[::1]:81/x", "::1", "/x", NULL, 81, false},
    {"http://[2001:db8::1]", "2001:db8::1", "/", NULL, 80, false},
    {"http://u:p%40@a/", "a", "/", "u:p@", 80, false},
    {"http://u@a/", "a", "/", "u:", 80, false},
    {"http://a@b@c/", "c", "/", "a@b:", 80, false},
    {"http://", NULL, NULL, NULL, 0, false},
    {"http:///x", NULL, NULL, NULL, 0, false},
    {"http://a:0/", NULL, NULL, NULL, 0, false},
    {"http://a:65536/", NULL, NULL, NULL, 0, false},
    {"http://a:1x/", NULL, NULL, NULL, 0, false},
    {"http://a b/", NULL, NULL, NULL, 0, false},
    {"http://a/\r\nX: y", NULL, NULL, NULL, 0, false},
    {"http://[::1/", NULL, NULL, NULL, 0, false},
    {"http://[::1]x/", NULL, NULL, NULL, 0, false},
    {"http://a:1:2/", NULL, NULL, NULL, 0, false},
    {"http://a\\b/", NULL, NULL, NULL, 0, false},
    {"http://\xc3\xa9/", NULL, NULL, NULL, 0, false},
    {"ftp://a/", NULL, NULL, NULL, 0, false},
    {"a/b", NULL, NULL, NULL, 0, false},
    {"", NULL, NULL, NULL, 0, false},
};

START_TEST(urls_are_taken_apart)
{
    struct url u;
    enum rc rc = url_parse(ctx, urls[_i].text, &u, &err);
    ck_assert_msg(rc == (urls[_i].host ? RC_OK : RC_INVALID), "%s", urls[_i].text);
    if (rc != RC_OK)
        return;
    ck_assert_str_eq(u.host, urls[_i].host);
    ck_assert_str_eq(u.target, urls[_i].target);
    ck_assert(u.port == urls[_i].port && u.tls == urls[_i].tls);
    ck_assert_pstr_eq(u.user, urls[_i].user);
}
END_TEST

static struct str pack(struct str text, int bits)
{
    z_stream z = {0};
    unsigned char *out = mem_array(ctx, unsigned char, text.n + 1000);
    ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)text.p;
    z.avail_in = (unsigned)text.n;
    z.next_out = out;
    z.avail_out = (unsigned)text.n + 1000;
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return str_n((char *)out, z.total_out);
}

START_TEST(packed_bodies)
{
    static const struct {
        const char *name;
        int bits;
    } forms[] = {{"gzip", 31}, {"X-GZIP", 31}, {"deflate", 15}, {"deflate", -15}};
    size_t n = 1 << 20;
    char *text = mem_array(ctx, char, n); /* zeros pack 1000 to 1: many pieces of one input */
    memset(text + n / 2, 'x', 1000);
    struct str packed = pack(str_n(text, n), forms[_i].bits), piece;
    for (size_t step = 1; step <= packed.n; step = step * 3 + 1) {
        struct unpack *u = unpack_new(ctx, str_of(forms[_i].name));
        struct buf out;
        buf_init(&out, ctx, 2 << 20);
        for (size_t at = 0; at < packed.n; at += step) {
            struct str in = str_sub(packed, at, step);
            do {
                ck_assert_int_eq(unpack_take(u, &in, &piece, &err), RC_OK);
                buf_str(&out, piece);
            } while (piece.n);
            ck_assert_uint_eq(in.n, 0);
            ck_assert(unpack_whole(u) == (at + step >= packed.n));
        }
        ck_assert(str_eq(buf_view(&out), str_n(text, n)));
    }
    ck_assert_ptr_null(unpack_new(ctx, STR("br")));
    struct unpack *u = unpack_new(ctx, str_of(forms[_i].name));
    struct str bad = STR("no packed bytes at all");
    ck_assert_int_eq(unpack_take(u, &bad, &piece, &err), RC_INVALID);
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof *(a))

int main(void)
{
    Suite *suite = suite_create("http_client");
    TCase *t = tcase_create("all");
    signal(SIGPIPE, SIG_IGN);
    tcase_add_checked_fixture(t, begin, finish);
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, servers_are_verified, 0, COUNT(identities));
    tcase_add_test(t, large_bodies_over_tls);
    tcase_add_test(t, streamed_requests);
    tcase_add_test(t, interim_answers_are_told);
    tcase_add_test(t, upgrades_are_taken_only_when_asked_for);
    tcase_add_test(t, bytes_that_nobody_asked_for);
    tcase_add_test(t, groups_do_not_share_connections);
    tcase_add_test(t, closing_inside_a_callback);
    tcase_add_loop_test(t, heads_are_read_strictly, 0, COUNT(heads));
    tcase_add_loop_test(t, urls_are_taken_apart, 0, COUNT(urls));
    tcase_add_loop_test(t, packed_bodies, 0, 4);
    suite_add_tcase(suite, t);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
