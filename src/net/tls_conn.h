/* TLS on one connection: a filter of conn.h, for either end of it. Places for listeners are tls.h. */
#pragma once
#include "net/conn.h"
#include "net/tls.h"
#include <openssl/types.h>

/* Before the first byte was read. The handshake's deadline is that of the layer above: until its first bytes. */
MUST_USE enum rc tls_attach(struct tls_place *p, struct conn *c, struct err *err);
/* Of the verified client certificate, escaped, RFC 2253; NULL: none. Lives as long as c. */
const char *tls_subject(const struct conn *c);

/* The filter over an SSL that the caller made: accept or connect state, names, what is verified. ssl is taken, also on
 * failure. A client's first words are sent at once. ready (may be NULL): the handshake is done; nothing may be written
 * before. A handshake that fails shows as on_gone. */
MUST_USE enum rc tls_attach_ssl(struct conn *c, SSL *ssl, void (*ready)(struct conn *c), struct err *err);
/* Why the handshake failed ("certificate has expired"), or NULL; lives as long as c. */
const char *tls_problem(const struct conn *c);
SSL *tls_ssl(const struct conn *c); /* NULL: no TLS there */
