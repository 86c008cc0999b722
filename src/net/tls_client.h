/* TLS to servers (OpenSSL): whom we believe. TLS 1.2 and 1.3, server name sent and
 * verified (a name against the certificate's names, a numeric address against its addresses), ALPN "http/1.1" only.
 * Threads: the loop's thread. */
#pragma once
#include "base/err.h"
#include "base/mem.h"

struct tls_trust;
/* The system's authorities (where OpenSSL looks: SSL_CERT_FILE and SSL_CERT_DIR, else its own folder), and those of a
 * PEM file beside them (NULL or "": none). RC_NOT_FOUND, RC_INVALID with the file's name. Belongs to ctx. */
MUST_USE enum rc tls_trust_new(mem *ctx, const char *more_file, struct tls_trust **ret, struct err *err);

struct conn;
/* A filter on c, after conn_connect. host: name or numeric address, sent (a name) and verified. on_ready follows the
 * handshake; one that fails shows as on_gone, and tls_problem says why. */
MUST_USE enum rc tls_attach_client(struct tls_trust *trust, struct conn *c, const char *host, struct err *err);
