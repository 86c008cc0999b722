/* WebSocket on a connection that HTTP has handed over; promises are in ws.h. libwslay keeps the frames, this file the
 * handshake, the deadlines and the end. Not here: clients, extensions. */
#include "net/ws.h"
#include "net/http_session.h"
#include <openssl/evp.h>
#include <wslay/wslay.h>

enum {
    MESSAGE_MOST = 1 << 20,
    FRAGMENTS_MOST = 4096, /* of one message: each costs memory beyond its bytes */
    PING_MS = 30000,
    CLOSE_MS = 5000, /* for the peer's answer to our close */
    REASON_MOST = 123,
    CODE_NONE = 1005,
    CODE_LEFT = 1006,
};

struct ws {
    struct http_session *session;
    struct ws_spec spec;
    wslay_event_context_ptr frames;
    struct str in;   /* received and not yet read by wslay */
    int fragments;   /* of the message that is coming in */
    int closed_with; /* the code of our own close; 0: none */
    bool pinged;     /* nothing came since our ping */
    bool over;       /* on_gone was called */
};

/* --- the end ---------------------------------------------------------------------------------------------------------
 */

static void ws_over(struct ws *ws, int code)
{
    if (ws->over)
        return;
    ws->over = true;
    ws->spec.on_gone(ws->spec.arg, ws, code);
}

/* The frames are through: who closed first gives the code. */
static int ws_code(const struct ws *ws)
{
    if (wslay_event_get_close_received(ws->frames) && !ws->closed_with) {
        int code = wslay_event_get_status_code_received(ws->frames);
        return code ? code : CODE_NONE;
    }
    return ws->closed_with ? ws->closed_with : wslay_event_get_status_code_sent(ws->frames);
}

static void ws_finish(struct ws *ws, int code)
{
    struct http_session *s = ws->session;
    s->phase = HTTP_CLOSING;
    ws_over(ws, code);
    conn_finish(&s->conn);
}

/* Both have said close, or wslay will read no more because the peer broke the rules. */
static bool ws_is_through(const struct ws *ws)
{
    return wslay_event_get_close_sent(ws->frames) &&
           (wslay_event_get_close_received(ws->frames) || !wslay_event_get_read_enabled(ws->frames));
}

/* --- wslay's callbacks -----------------------------------------------------------------------------------------------
 */

static ssize_t frames_read(wslay_event_context_ptr frames, uint8_t *to, size_t most, int flags, void *user)
{
    struct ws *ws = user;
    (void)flags;
    if (ws->in.n == 0) {
        wslay_event_set_error(frames, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    size_t n = ws->in.n < most ? ws->in.n : most;
    memcpy(to, ws->in.p, n);
    ws->in = str_n(ws->in.p + n, ws->in.n - n);
    return (ssize_t)n;
}

static ssize_t frames_write(wslay_event_context_ptr frames, const uint8_t *from, size_t n, int flags, void *user)
{
    struct ws *ws = user;
    (void)frames, (void)flags;
    conn_write(&ws->session->conn, str_n((const char *)from, n));
    return (ssize_t)n;
}

/* The peer has broken a rule that wslay does not know; nothing more of it is read. */
static void ws_break(struct ws *ws, int code)
{
    if (!ws->closed_with)
        ws->closed_with = code;
    wslay_event_queue_close(ws->frames, (uint16_t)code, NULL, 0); /* or one is queued already */
    wslay_event_shutdown_read(ws->frames);
}

static void frame_begun(wslay_event_context_ptr frames, const struct wslay_event_on_frame_recv_start_arg *frame,
                        void *user)
{
    struct ws *ws = user;
    (void)frames;
    if (frame->opcode == WSLAY_CONNECTION_CLOSE && frame->payload_length == 1)
        ws_break(ws, WSLAY_CODE_PROTOCOL_ERROR); /* half a code */
    if (wslay_is_ctrl_frame(frame->opcode))
        return;
    if (frame->opcode != WSLAY_CONTINUATION_FRAME)
        ws->fragments = 0;
    if (++ws->fragments > FRAGMENTS_MOST)
        ws_break(ws, WSLAY_CODE_MESSAGE_TOO_BIG);
}

static void message_whole(wslay_event_context_ptr frames, const struct wslay_event_on_msg_recv_arg *m, void *user)
{
    struct ws *ws = user;
    (void)frames;
    if (wslay_is_ctrl_frame(m->opcode) || ws->closed_with)
        return;
    ws->spec.on_message(ws->spec.arg, ws, m->opcode == WSLAY_TEXT_FRAME, str_n((const char *)m->msg, m->msg_length));
}

static const struct wslay_event_callbacks frame_calls = {
    .recv_callback = frames_read,
    .send_callback = frames_write,
    .on_frame_recv_start_callback = frame_begun,
    .on_msg_recv_callback = message_whole,
};

/* --- the connection's callbacks --------------------------------------------------------------------------------------
 */

static void ws_wait(struct ws *ws)
{
    bool brief = ws->closed_with && ws->spec.ping_ms > CLOSE_MS;
    conn_deadline(&ws->session->conn, brief ? CLOSE_MS : ws->spec.ping_ms);
}

/* A frame that cannot be one. wslay would answer it with a close that gives no code: ours goes out instead. */
static void ws_refuse(struct ws *ws)
{
    static const char close_1002[] = {(char)0x88, 2, 0x03, (char)0xea};
    if (!wslay_event_get_close_sent(ws->frames))
        conn_write(&ws->session->conn, str_n(close_1002, sizeof close_1002));
    ws_finish(ws, ws->closed_with ? ws->closed_with : WSLAY_CODE_PROTOCOL_ERROR);
}

/* A peer that sends and does not read gets no more answers until it has taken some. */
static size_t ws_bytes(void *arg, struct str bytes)
{
    struct ws *ws = arg;
    if (conn_backlog(&ws->session->conn) > CONN_HIGH)
        return 0;
    if (bytes.n > 0 && !ws->closed_with) {
        ws->pinged = false;
        ws_wait(ws);
    }
    ws->in = bytes;
    if (wslay_event_recv(ws->frames) != 0)
        ws_refuse(ws);
    else if (wslay_event_send(ws->frames) != 0)
        ws_finish(ws, CODE_LEFT);
    else if (ws_is_through(ws))
        ws_finish(ws, ws_code(ws));
    return bytes.n;
}

static void ws_deadline(void *arg)
{
    struct ws *ws = arg;
    if (ws->closed_with || ws->pinged) {
        ws_finish(ws, ws->closed_with ? ws->closed_with : CODE_LEFT);
        return;
    }
    ws->pinged = true;
    wslay_event_queue_msg(ws->frames, &(struct wslay_event_msg){.opcode = WSLAY_PING});
    (void)wslay_event_send(ws->frames); /* its only failure would be ours: frames_write has none */
    ws_wait(ws);
}

static void ws_drained(void *arg)
{
    struct ws *ws = arg;
    conn_wake(&ws->session->conn);
    if (ws->spec.on_drained && !ws->closed_with)
        ws->spec.on_drained(ws->spec.arg, ws);
}

static void ws_gone(void *arg)
{
    struct ws *ws = arg;
    ws_over(ws, wslay_event_get_close_received(ws->frames) || ws->closed_with ? ws_code(ws) : CODE_LEFT);
}

static void ws_stop(void *arg)
{
    ws_close(arg, WSLAY_CODE_GOING_AWAY, "");
}

static const struct session_tunnel ws_tunnel = {
    .on_bytes = ws_bytes,
    .on_deadline = ws_deadline,
    .on_drained = ws_drained,
    .on_gone = ws_gone,
    .on_stop = ws_stop,
};

/* --- the handshake (RFC 6455 section 4.2) ----------------------------------------------------------------------------
 */

/* Whether one of the fields of that name, each a list separated by commas, names the word. */
static bool field_lists(const struct http_request *r, const char *name, struct str word, bool any_case)
{
    for (size_t i = 0; i < r->field_count; i++) {
        struct str rest = r->fields[i].value, one;
        if (!str_ieq(r->fields[i].name, str_of(name)))
            continue;
        while (str_next(&rest, ',', &one))
            if (any_case ? str_ieq(str_trim(one), word) : str_eq(str_trim(one), word))
                return true;
    }
    return false;
}

static size_t field_count(const struct http_request *r, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < r->field_count; i++)
        n += str_ieq(r->fields[i].name, str_of(name));
    return n;
}

bool ws_wanted(const struct http_request *r)
{
    return field_lists(r, "upgrade", STR("websocket"), true);
}

/* 16 bytes in base64: 22 letters and "==". */
static bool key_valid(struct str key)
{
    for (size_t i = 0; i < key.n && i < 22; i++) {
        char c = key.p[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/'))
            return false;
    }
    return key.n == 24 && key.p[22] == '=' && key.p[23] == '=';
}

static enum rc handshake_judge(const struct http_request *r, const char *protocol, struct err *err)
{
    if (!str_eqz(r->method, "GET") || r->body.n > 0 || r->answer->delimited)
        return err_set(err, RC_INVALID, "a WebSocket is asked for by GET over HTTP/1.1, without a body");
    if (!ws_wanted(r) || !field_lists(r, "connection", STR("upgrade"), true))
        return err_set(err, RC_INVALID, "the request does not ask for an upgrade to WebSocket");
    if (field_count(r, "sec-websocket-version") != 1 || !str_eqz(http_header(r, "sec-websocket-version"), "13"))
        return err_set(err, RC_INVALID, "only version 13 of WebSocket is spoken");
    if (field_count(r, "sec-websocket-key") != 1 || !key_valid(http_header(r, "sec-websocket-key")))
        return err_set(err, RC_INVALID, "the Sec-WebSocket-Key is malformed");
    if (protocol && !field_lists(r, "sec-websocket-protocol", str_of(protocol), false))
        return err_set(err, RC_INVALID, "the client does not offer the protocol %s", protocol);
    return RC_OK;
}

static void accept_line(struct str key, char ret[64])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 section 1.3 */
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[24 + sizeof guid];
    unsigned int n = 0;
    memcpy(text, key.p, 24);
    memcpy(text + 24, guid, sizeof guid);
    BUG_ON(EVP_Digest(text, sizeof text - 1, digest, &n, EVP_sha1(), NULL) != 1);
    int at = snprintf(ret, 64, "Sec-WebSocket-Accept: ");
    EVP_EncodeBlock((unsigned char *)ret + at, digest, (int)n);
}

static int ws_free(struct ws *ws)
{
    wslay_event_context_free(ws->frames);
    return 0;
}

static struct ws *ws_new(struct http_session *s, const struct ws_spec *spec)
{
    struct ws *ws = mem_new(s, struct ws);
    ws->session = s;
    ws->spec = *spec;
    if (ws->spec.ping_ms <= 0)
        ws->spec.ping_ms = PING_MS;
    BUG_ON(wslay_event_context_server_init(&ws->frames, &frame_calls, ws) !=
           0); /* out of memory is all that can fail */
    wslay_event_config_set_max_recv_msg_length(ws->frames, spec->max_message ? spec->max_message : MESSAGE_MOST);
    talloc_set_destructor(ws, ws_free);
    return ws;
}

enum rc ws_accept(struct http_request *r, const struct ws_spec *spec, struct ws **ret, struct err *err)
{
    struct http_session *s = r->answer->session;
    char accept[64], protocol[128];
    const char *fields[] = {"Upgrade: websocket", "Connection: Upgrade", accept, NULL, NULL};
    enum rc rc = handshake_judge(r, spec->protocol, err);
    if (rc != RC_OK)
        return rc;
    if (!s || s->server->stopping)
        return err_set(err, RC_UNAVAILABLE, "the client is gone, or the server is stopping");
    accept_line(http_header(r, "sec-websocket-key"), accept);
    if (spec->protocol) {
        snprintf(protocol, sizeof protocol, "Sec-WebSocket-Protocol: %s", spec->protocol);
        fields[3] = protocol;
    }
    *ret = ws_new(s, spec);
    session_upgrade(r, fields, &ws_tunnel, *ret);
    ws_wait(*ret);
    return RC_OK;
}

/* --- for handlers ----------------------------------------------------------------------------------------------------
 */

void ws_send(struct ws *ws, bool text, struct str bytes)
{
    struct wslay_event_msg m = {
        .opcode = text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME, .msg = (const uint8_t *)bytes.p, .msg_length = bytes.n};
    if (ws->closed_with || ws->over)
        return;
    if (wslay_event_queue_msg(ws->frames, &m) == 0) /* else a close is queued already */
        (void)wslay_event_send(ws->frames);
}

size_t ws_backlog(const struct ws *ws)
{
    return ws->over || ws->session->conn.broken ? HTTP_HIGH_WATER + 1 : conn_backlog(&ws->session->conn);
}

void ws_close(struct ws *ws, int code, const char *reason)
{
    struct str words = str_of(reason);
    if (ws->closed_with || ws->over)
        return;
    size_t n = str_utf8_cut(words, REASON_MOST);
    ws->closed_with = code;
    if (wslay_event_queue_close(ws->frames, (uint16_t)code, (const uint8_t *)words.p, n) == 0)
        (void)wslay_event_send(ws->frames);
    ws_wait(ws);
    conn_wake(&ws->session->conn); /* the peer's close may have come already */
}
