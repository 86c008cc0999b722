/* Contract: a WebSocket is opened exactly as RFC 6455 says or not at all, messages pass whole in any pieces, what
 * breaks the rules ends the connection with the right code, the end is said once with a code that tells how it came,
 * and neither a silent peer nor one that does not read costs more than a little. */
#include "net/ws.h"
#include "peer.h"

static struct serving *s;
static atomic_int opened, messages, ended, code, drained;
static struct ws_spec ws_spec; /* what is to differ from the usual */
static struct ws *flooding;
static atomic_size_t most_backlog, flood_left;

static void begin(void)
{
    s = calloc(1, sizeof *s);
    ws_spec = (struct ws_spec){0};
}

static void finish(void)
{
    free(s);
}

/* --- the server's side -----------------------------------------------------------------------------------------------
 */

static void flood(struct ws *ws)
{
    static const char block[10000];
    while (flood_left > 0 && ws_backlog(ws) <= HTTP_HIGH_WATER) {
        ws_send(ws, false, str_n(block, sizeof block));
        flood_left--;
        if (ws_backlog(ws) > most_backlog)
            most_backlog = ws_backlog(ws);
    }
}

static void message(void *arg, struct ws *ws, bool text, struct str bytes)
{
    (void)arg;
    messages++;
    if (str_eqz(bytes, "close"))
        ws_close(ws, 4000, "bye");
    else if (str_eqz(bytes, "flood"))
        flood(flooding = ws);
    else
        ws_send(ws, text, bytes);
}

static void more(void *arg, struct ws *ws)
{
    (void)arg;
    drained++;
    if (ws == flooding)
        flood(ws);
}

static void gone(void *arg, struct ws *ws, int how)
{
    (void)arg, (void)ws;
    code = how;
    ended++;
}

static void serve_ws(void *arg, struct http_request *r)
{
    struct err err = {0};
    struct ws *ws;
    if (!str_eqz(r->path, "/ws")) {
        serve(arg, r);
        return;
    }
    struct ws_spec spec = ws_spec;
    spec.on_message = message;
    spec.on_drained = more;
    spec.on_gone = gone;
    opened++; /* before the client can hear of it */
    if (ws_accept(r, &spec, &ws, &err) != RC_OK) {
        opened--;
        http_answer_whole(r, 400, "text/plain", str_of(err.sentence), NULL);
    }
}

static void start(void)
{
    serving_prepare(s);
    s->spec.on_request = serve_ws;
    serving_go(s);
}

/* --- the client's side -----------------------------------------------------------------------------------------------
 */

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define OPEN                                                                                                           \
    "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " KEY              \
    "\r\nSec-WebSocket-Version: 13\r\n\r\n"

static struct peer ws_open(void)
{
    struct peer p = peer_open(s);
    struct answer a = peer_ask(&p, OPEN);
    ck_assert_int_eq(a.status, 101);
    ck_assert(str_eqz(answer_field(&a, "Upgrade"), "websocket") && str_eqz(answer_field(&a, "Connection"), "Upgrade"));
    ck_assert(
        str_eqz(answer_field(&a, "Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")); /* the RFC's example */
    return p;
}

enum { CONT = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10, FIN = 0x80, RSV1 = 0x40, UNMASKED = 0x100 };

/* A frame as a client sends it; `first` is its first byte, with UNMASKED for one that breaks the rules. */
static struct str frame(mem *ctx, int first, struct str payload)
{
    static const char mask[4] = {0x12, 0x34, (char)0xab, (char)0xcd};
    struct buf b;
    bool masked = !(first & UNMASKED);
    int bit = masked ? 0x80 : 0;
    buf_init(&b, ctx, 4 << 20);
    buf_char(&b, (char)(first & 0xff));
    if (payload.n < 126) {
        buf_char(&b, (char)(bit | (int)payload.n));
    } else if (payload.n < 65536) {
        buf_char(&b, (char)(bit | 126));
        buf_char(&b, (char)(payload.n >> 8));
        buf_char(&b, (char)payload.n);
    } else {
        buf_char(&b, (char)(bit | 127));
        for (int shift = 56; shift >= 0; shift -= 8)
            buf_char(&b, (char)(payload.n >> shift));
    }
    if (masked)
        buf_add(&b, mask, 4);
    for (size_t i = 0; i < payload.n; i++)
        buf_char(&b, (char)(payload.p[i] ^ (masked ? mask[i % 4] : 0)));
    return buf_view(&b);
}

static void ws_put(struct peer *p, int first, struct str payload)
{
    peer_send(p, frame(p->ctx, first, payload));
}

struct got {
    int opcode; /* -1: the connection ended */
    struct str payload;
};

/* The next frame of the server, which never masks and never fragments. */
static struct got ws_get(struct peer *p)
{
    for (;;) {
        const unsigned char *in = (const unsigned char *)p->in.p;
        size_t n = 0, head = 2;
        if (p->in.n >= 2) {
            ck_assert_msg((in[0] & 0xf0) == FIN && !(in[1] & 0x80), "the server's frame begins %02x %02x", in[0],
                          in[1]);
            n = in[1];
            head = n == 126 ? 4 : n == 127 ? 10 : 2;
        }
        if (head > 2 && p->in.n >= head) {
            n = 0;
            for (size_t i = 2; i < head; i++)
                n = n << 8 | in[i];
        }
        if (p->in.n >= head && p->in.n >= head + n) {
            struct got g = {in[0] & 0x0f, str_n(mem_strn(p->ctx, p->in.p + head, n), n)};
            buf_drop(&p->in, head + n);
            return g;
        }
        if (!peer_more(p))
            return (struct got){.opcode = -1};
    }
}

static int close_code(struct got g)
{
    ck_assert_int_eq(g.opcode, CLOSE);
    return g.payload.n < 2 ? 0 : (unsigned char)g.payload.p[0] << 8 | (unsigned char)g.payload.p[1];
}

static struct str code_bytes(mem *ctx, int number, const char *words)
{
    char *text = mem_printf(ctx, "xx%s", words);
    text[0] = (char)(number >> 8);
    text[1] = (char)number;
    return str_n(text, strlen(words) + 2);
}

static void finished(struct peer *p, int with, int count)
{
    peer_close(p);
    EVENTUALLY(ended == count);
    ck_assert_int_eq(code, with);
    EVENTUALLY(serving_connections(s) == 0);
}

/* --- opening ---------------------------------------------------------------------------------------------------------
 */

#define FIELDS(upgrade, connection, key, version)                                                                      \
    "Host: a\r\nUpgrade: " upgrade "\r\nConnection: " connection "\r\nSec-WebSocket-Key: " key                         \
    "\r\nSec-WebSocket-Version: " version "\r\n"
static const struct {
    const char *in, *protocol;
    int status;
} openings[] = {
    {"GET /ws HTTP/1.1\r\n" FIELDS("websocket", "Upgrade", KEY, "13") "\r\n", NULL, 101},
    {"GET /ws HTTP/1.1\r\n" FIELDS("WebSocket", "keep-alive, upgrade", KEY, "13") "\r\n", NULL, 101},
    {"GET /ws HTTP/1.1\r\n" FIELDS("websocket", "Upgrade", KEY, "13") "Sec-WebSocket-Protocol: a, nm\r\n\r\n", "nm",
     101},
    {"GET /ws HTTP/1.1\r\n" FIELDS("websocket", "Upgrade", KEY, "13") "Sec-WebSocket-Protocol: a, b\r\n\r\n", "nm",
     400},
    {"GET /ws HTTP/1.1\r\n" FIELDS("websocket", "Upgrade", KEY, "13") "\r\n", "nm", 400},
    {"GET /ws HTTP/1.1\r\n" FIELDS("websocket", "Upgrade", KEY, "12") "\r\n", NULL, 400},
    {"GET /ws HTTP/1.1\r\n" FIELDS("websocket", "close", KEY, "13") "\r\n", NULL, 400},
    {"GET /ws HTTP/1.1\r\n" FIELDS("h2c", "Upgrade", KEY, "13") "\r\n", NULL, 400},
    {"GET /ws HTTP/1.1\r\n" FIELDS("websocket", "Upgrade", "c2hvcnQ=", "13") "\r\n", NULL, 400},
    {"GET /ws HTTP/1.1\r\n" FIELDS("websocket", "Upgrade", "dGhlIHNhbXBsZSBub25jZ!==", "13") "\r\n", NULL, 400},
    {"GET /ws HTTP/1.1\r\n" FIELDS("websocket", "Upgrade", KEY, "13") "Sec-WebSocket-Key: " KEY "\r\n\r\n", NULL, 400},
    {"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", NULL, 400},
    {"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n", NULL, 400},
    {"POST /ws HTTP/1.1\r\n" FIELDS("websocket", "Upgrade", KEY, "13") "\r\n", NULL, 400},
    {"GET /ws HTTP/1.1\r\n" FIELDS("websocket", "Upgrade", KEY, "13") "Content-Length: 1\r\n\r\nx", NULL, 400},
    {"GET /ws HTTP/1.0\r\n" FIELDS("websocket", "Upgrade", KEY, "13") "\r\n", NULL, 400},
};

START_TEST(handshakes)
{
    ws_spec.protocol = openings[_i].protocol;
    start();
    struct peer p = peer_open(s);
    struct answer a = peer_ask(&p, openings[_i].in);
    ck_assert_msg(a.status == openings[_i].status, "%d: %d %.*s", _i, a.status, STR_FMT(a.body));
    ck_assert_int_eq(opened, a.status == 101);
    if (a.status == 101)
        ck_assert(str_eq(answer_field(&a, "Sec-WebSocket-Protocol"), str_of(ws_spec.protocol)));
    peer_close(&p);
    EVENTUALLY(serving_connections(s) == 0);
    serving_stop(s);
    ck_assert_int_eq(ended, opened);
}
END_TEST

START_TEST(foreign_pages_are_refused)
{
    struct http_hosts hosts = {.address = "127.0.0.1"};
    static const char *const origins[] = {"http://localhost:%u", "http://evil.example", "null"};
    s->hosts = &hosts;
    serving_prepare(s);
    s->spec.on_request = serve_ws;
    serving_listen_first(s);
    hosts.port = s->port;
    serving_run_now(s);
    for (int i = 0; i < 3; i++) {
        struct peer p = peer_open_tcp(s);
        char *origin = mem_printf(p.ctx, origins[i], s->port);
        struct answer a = peer_ask(&p, mem_printf(p.ctx,
                                                  "GET /ws HTTP/1.1\r\nHost: localhost:%u\r\nOrigin: %s\r\nUpgrade: "
                                                  "websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " KEY
                                                  "\r\nSec-WebSocket-Version: 13\r\n\r\n",
                                                  s->port, origin));
        ck_assert_int_eq(a.status, i == 0 ? 101 : 403);
        peer_close(&p);
    }
    ck_assert_int_eq(opened, 1);
    serving_stop(s);
}
END_TEST

/* --- messages --------------------------------------------------------------------------------------------------------
 */

START_TEST(messages_pass)
{
    static const size_t sizes[] = {0, 1, 125, 126, 4096, 65535, 65536, 1 << 20};
    start();
    struct peer p = ws_open();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *bytes = mem_array(p.ctx, char, sizes[i] + 1);
        for (size_t k = 0; k < sizes[i]; k++)
            bytes[k] = (char)(i % 2 ? k * 7 + k / 251 : 'a' + k % 26);
        ws_put(&p, FIN | (i % 2 ? BINARY : TEXT), str_n(bytes, sizes[i]));
        struct got g = ws_get(&p);
        ck_assert_int_eq(g.opcode, i % 2 ? BINARY : TEXT);
        ck_assert_msg(str_eq(g.payload, str_n(bytes, sizes[i])), "%zu bytes", sizes[i]);
    }
    finished(&p, 1006, 1);
    serving_stop(s);
}
END_TEST

START_TEST(fragments_and_pings_between_them)
{
    start();
    struct peer p = ws_open();
    ws_put(&p, TEXT, STR("gr\xc3")); /* cut in the middle of a letter */
    ws_put(&p, FIN | PING, STR("one"));
    ws_put(&p, CONT, STR("\xbc"));
    ws_put(&p, CONT, STR(""));
    ws_put(&p, FIN | PONG, STR("unasked"));
    ws_put(&p, FIN | CONT, STR("n"));
    struct got g = ws_get(&p);
    ck_assert(g.opcode == PONG && str_eqz(g.payload, "one"));
    g = ws_get(&p);
    ck_assert(g.opcode == TEXT && str_eqz(g.payload, "gr\xc3\xbcn"));
    ck_assert_int_eq(messages, 1);
    finished(&p, 1006, 1);
    serving_stop(s);
}
END_TEST

START_TEST(every_byte_alone)
{
    start();
    struct peer p = ws_open();
    struct str all = frame(p.ctx, TEXT, STR("hel"));
    struct str rest = frame(p.ctx, FIN | CONT, STR("lo"));
    for (size_t i = 0; i < all.n + rest.n; i++) {
        peer_send(&p, i < all.n ? str_sub(all, i, 1) : str_sub(rest, i - all.n, 1));
        peer_settle(&p);
    }
    ck_assert(str_eqz(ws_get(&p).payload, "hello"));
    finished(&p, 1006, 1);
    serving_stop(s);
}
END_TEST

START_TEST(frames_behind_the_handshake)
{
    start();
    struct peer p = peer_open(s);
    struct buf b;
    buf_init(&b, p.ctx, 1 << 16);
    buf_z(&b, OPEN);
    buf_str(&b, frame(p.ctx, FIN | TEXT, STR("early")));
    peer_send(&p, buf_view(&b));
    ck_assert_int_eq(peer_answer(&p, false).status, 101);
    ck_assert(str_eqz(ws_get(&p).payload, "early"));
    finished(&p, 1006, 1);
    serving_stop(s);
}
END_TEST

/* --- what breaks the rules -------------------------------------------------------------------------------------------
 */

#define BAD(answer, ...)                                                                                               \
    {                                                                                                                  \
        answer,                                                                                                        \
        {                                                                                                              \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }
#define F(first, bytes)                                                                                                \
    {                                                                                                                  \
        first,                                                                                                         \
        {                                                                                                              \
            bytes, sizeof(bytes) - 1                                                                                   \
        }                                                                                                              \
    }
static const struct {
    int code;
    struct {
        int first;
        struct str payload;
    } frames[3];
} broken[] = {
    BAD(1002, F(FIN | TEXT | UNMASKED, "hello")),
    BAD(1002, F(FIN | TEXT | RSV1, "hello")),
    BAD(1002, F(FIN | 3, "x")),
    BAD(1002, F(FIN | 11, "x")),
    BAD(1002, F(PING, "x")), /* control frames are whole */
    BAD(1002, F(CONT, "x")),
    BAD(1002, F(FIN | CONT, "x")),
    BAD(1002, F(TEXT, "a"), F(FIN | TEXT, "b")),
    BAD(1007, F(FIN | TEXT, "\xff")),
    BAD(1007, F(FIN | TEXT, "\xed\xa0\x80")), /* a surrogate */
    BAD(1007, F(FIN | TEXT, "gr\xc3")),
    BAD(1007, F(TEXT, "gr\xc3"), F(FIN | CONT, "n")),
    BAD(1002, F(FIN | CLOSE, "\x03")),
    BAD(1002, F(FIN | CLOSE, "\x03\xed")), /* 1005 is never sent */
    BAD(1002, F(FIN | CLOSE, "\x00\x01")),
    BAD(1007, F(FIN | CLOSE, "\x03\xe8\xff")),
};

START_TEST(broken_rules_end_it)
{
    start();
    struct peer p = ws_open();
    for (int i = 0; i < 3 && broken[_i].frames[i].payload.p; i++)
        ws_put(&p, broken[_i].frames[i].first, broken[_i].frames[i].payload);
    struct got g = ws_get(&p);
    ck_assert_msg(close_code(g) == broken[_i].code, "%d: %d", _i, close_code(g));
    ck_assert_int_eq(ws_get(&p).opcode, -1);
    ck_assert_int_eq(messages, 0);
    finished(&p, broken[_i].code, 1);
    serving_stop(s);
}
END_TEST

START_TEST(long_control_frames)
{
    start();
    struct peer p = ws_open();
    char long_ping[126] = {0};
    ws_put(&p, FIN | PING, str_n(long_ping, 125));
    struct got g = ws_get(&p);
    ck_assert(g.opcode == PONG && g.payload.n == 125);
    ws_put(&p, FIN | PING, str_n(long_ping, 126));
    ck_assert_int_eq(close_code(ws_get(&p)), 1002);
    finished(&p, 1002, 1);
    serving_stop(s);
}
END_TEST

START_TEST(messages_are_capped)
{
    ws_spec.max_message = 1000;
    start();
    char bytes[1001] = {0};
    for (int i = 0; i < 4; i++) {
        struct peer p = ws_open();
        ws_put(&p, FIN | BINARY, str_n(bytes, 1000));
        ck_assert_uint_eq(ws_get(&p).payload.n, 1000);
        if (i == 0)
            ws_put(&p, FIN | BINARY, str_n(bytes, 1001));
        if (i == 1) { /* together they are too large */
            ws_put(&p, BINARY, str_n(bytes, 600));
            ws_put(&p, CONT, str_n(bytes, 401));
        }
        if (i == 2) /* only announced: 2^62 bytes */
            peer_send(&p, STR("\x82\xff\x40\x00\x00\x00\x00\x00\x00\x00\x01\x02\x03\x04x"));
        if (i == 3) /* few bytes in very many pieces */
            for (int k = 0; k < 5000; k++)
                ws_put(&p, k ? CONT : BINARY, STR(""));
        ck_assert_int_eq(close_code(ws_get(&p)), 1009);
        ck_assert_int_eq(ws_get(&p).opcode, -1);
        finished(&p, 1009, i + 1);
    }
    ck_assert_int_eq(messages, 4);
    serving_stop(s);
}
END_TEST

/* --- the end ---------------------------------------------------------------------------------------------------------
 */

START_TEST(the_client_closes)
{
    start();
    struct peer p = ws_open();
    ws_put(&p, FIN | TEXT, STR("last"));
    ws_put(&p, FIN | CLOSE, code_bytes(p.ctx, 4321, "so long"));
    ws_put(&p, FIN | TEXT, STR("too late"));
    ck_assert(str_eqz(ws_get(&p).payload, "last"));
    ck_assert_int_eq(close_code(ws_get(&p)), 4321);
    ck_assert_int_eq(ws_get(&p).opcode, -1);
    ck_assert_int_eq(messages, 1);
    finished(&p, 4321, 1);
    p = ws_open();
    ws_put(&p, FIN | CLOSE, STR(""));
    ck_assert_int_eq(close_code(ws_get(&p)), 0);
    ck_assert_int_eq(ws_get(&p).opcode, -1);
    finished(&p, 1005, 2);
    serving_stop(s);
}
END_TEST

START_TEST(the_server_closes)
{
    ws_spec.ping_ms = 300;
    start();
    for (int answers = 0; answers < 2; answers++) {
        struct peer p = ws_open();
        ws_put(&p, FIN | TEXT, STR("close"));
        ws_put(&p, FIN | TEXT, STR("crossing"));
        struct got g = ws_get(&p);
        ck_assert_int_eq(close_code(g), 4000);
        ck_assert(str_eqz(str_sub(g.payload, 2, 10), "bye"));
        if (answers)
            ws_put(&p, FIN | CLOSE, str_sub(g.payload, 0, 2));
        ck_assert_int_eq(ws_get(&p).opcode, -1); /* at once, or when its patience ends */
        finished(&p, 4000, answers + 1);
        ck_assert_int_eq(messages, answers + 1);
    }
    serving_stop(s);
}
END_TEST

START_TEST(silent_peers_are_asked_and_given_up)
{
    ws_spec.ping_ms = 100;
    start();
    struct peer p = ws_open();
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(ws_get(&p).opcode, PING);
        ws_put(&p, FIN | PONG, STR(""));
    }
    ck_assert_int_eq(ended, 0);
    ck_assert_int_eq(ws_get(&p).opcode, PING);
    ck_assert_int_eq(ws_get(&p).opcode, -1);
    finished(&p, 1006, 1);
    serving_stop(s);
}
END_TEST

START_TEST(a_stopping_server_says_so)
{
    start();
    struct peer polite = ws_open(), rude = ws_open();
    serving_stop_begin(s, 1000);
    struct got g = ws_get(&polite);
    ck_assert_int_eq(close_code(g), 1001);
    ws_put(&polite, FIN | CLOSE, g.payload);
    ck_assert_int_eq(ws_get(&polite).opcode, -1);
    serving_stop_end(s);
    ck_assert_int_eq(ended, 2);
    ck_assert_int_eq(code, 1001);
    peer_close(&polite);
    peer_close(&rude);
}
END_TEST

/* --- peers that do not read ------------------------------------------------------------------------------------------
 */

START_TEST(producers_are_held_back)
{
    flood_left = 2000;
    start();
    struct peer p = ws_open();
    ws_put(&p, FIN | TEXT, STR("flood"));
    EVENTUALLY(most_backlog > HTTP_HIGH_WATER);
    ck_assert_int_eq(drained, 0);
    for (int i = 0; i < 2000; i++) {
        struct got g = ws_get(&p);
        ck_assert(g.opcode == BINARY && g.payload.n == 10000);
    }
    ck_assert_uint_lt(most_backlog, HTTP_HIGH_WATER + 20000);
    ck_assert_int_gt(drained, 0);
    ws_put(&p, FIN | TEXT, STR("still there"));
    ck_assert(str_eqz(ws_get(&p).payload, "still there"));
    finished(&p, 1006, 1);
    serving_stop(s);
}
END_TEST

/* Asks for answers without end and reads none: it is not served on. */
START_TEST(askers_are_held_back)
{
    enum { MOST = 100000, SIZE = 1000 };
    start();
    struct peer p = ws_open();
    struct str one = frame(p.ctx, FIN | BINARY, str_n(mem_zalloc(p.ctx, SIZE), SIZE));
    struct pollfd wait = {.fd = p.fd, .events = POLLOUT};
    int sent = 0;
    for (; sent < MOST && poll(&wait, 1, 1000) == 1; sent++) {
        ssize_t n = send(p.fd, one.p, one.n, MSG_DONTWAIT);
        if (n != (ssize_t)one.n)
            break;
    }
    ck_assert_msg(sent < MOST, "the server reads for ever");
    ck_assert_int_lt(messages, 5000);
    peer_close(&p);
    EVENTUALLY(ended == 1);
    EVENTUALLY(serving_connections(s) == 0);
    serving_stop(s);
}
END_TEST

START_TEST(many_at_once)
{
    enum { COUNT = 200 };
    struct peer p[COUNT];
    start();
    for (int i = 0; i < COUNT; i++)
        p[i] = ws_open();
    ck_assert_int_eq(opened, COUNT);
    for (int i = 0; i < COUNT; i++)
        ws_put(&p[i], FIN | TEXT, STR("hello"));
    for (int i = 0; i < COUNT; i++)
        ck_assert(str_eqz(ws_get(&p[i]).payload, "hello"));
    for (int i = 0; i < COUNT; i++)
        peer_close(&p[i]);
    EVENTUALLY(ended == COUNT);
    EVENTUALLY(serving_connections(s) == 0);
    serving_stop(s);
}
END_TEST

#define COUNT_OF(a) (int)(sizeof(a) / sizeof *(a))

int main(void)
{
    Suite *suite = suite_create("ws");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, begin, finish);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, handshakes, 0, COUNT_OF(openings));
    tcase_add_test(t, foreign_pages_are_refused);
    tcase_add_test(t, messages_pass);
    tcase_add_test(t, fragments_and_pings_between_them);
    tcase_add_test(t, every_byte_alone);
    tcase_add_test(t, frames_behind_the_handshake);
    tcase_add_loop_test(t, broken_rules_end_it, 0, COUNT_OF(broken));
    tcase_add_test(t, long_control_frames);
    tcase_add_test(t, messages_are_capped);
    tcase_add_test(t, the_client_closes);
    tcase_add_test(t, the_server_closes);
    tcase_add_test(t, silent_peers_are_asked_and_given_up);
    tcase_add_test(t, a_stopping_server_says_so);
    tcase_add_test(t, producers_are_held_back);
    tcase_add_test(t, askers_are_held_back);
    tcase_add_test(t, many_at_once);
    suite_add_tcase(suite, t);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
