/* TLS on one connection: a filter of conn.h. Private to this room; places are tls.h. */
#pragma once
#include "net/conn.h"
#include "net/tls.h"

/* Before the first byte was read. The handshake's deadline is that of the layer above: until its first bytes. */
MUST_USE enum rc tls_attach(struct tls_place *p, struct conn *c, struct err *err);
/* Of the verified client certificate, escaped, RFC 2253; NULL: none. Lives as long as c. */
const char *tls_subject(const struct conn *c);
