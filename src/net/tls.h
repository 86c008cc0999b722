/* TLS for listeners (OpenSSL): TLS 1.2 and 1.3, no renegotiation, no compression, HTTP/1.1 as the only ALPN protocol;
 * with authorities for clients every client must show a certificate that they signed.
 *
 * A place is what a listener needs: certificate chain and key from PEM files, read again when a file has changed, at
 * most once a second, or at once after tls_place_reload. A change that cannot be used (half written, key and
 * certificate that do not belong together) is logged once and the former one stays in force. Tickets of resumed
 * sessions end with the certificate that they came from.
 *
 * Use an ECDSA P-256 key: signing with RSA-2048 takes fifteen times as long (0.2 ms) and holds the loop up meanwhile.
 *
 * Records are made from what a turn of the loop collected (conn.h), so many small writes become one. A peer that ends
 * without close_notify counts as departed, as one that closes the connection. Threads: the loop's thread. */
#pragma once
#include "base/err.h"
#include "base/mem.h"

struct tls_place;
struct tls_spec {
    const char *certificate; /* PEM file: the leaf, then the chain */
    const char *key;         /* PEM file, not encrypted */
    const char *client_ca;   /* PEM file of authorities for client certificates; NULL or "": none is asked for */
};
/* RC_NOT_FOUND, RC_DENIED, RC_INVALID with the file's name. Belongs to ctx, which must outlive every listener with it.
 */
MUST_USE enum rc tls_place_new(mem *ctx, const struct tls_spec *spec, struct tls_place **ret, struct err *err);
void tls_place_reload(struct tls_place *p); /* looks at the files at the next handshake, whatever the second */
