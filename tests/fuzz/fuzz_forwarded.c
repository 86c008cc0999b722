/* Fuzz target: what a proxy says of its client. The first line is the list of proxies, the second the field; whatever
 * stands there, the answer is a numeric address, and that of the peer when the peer is nobody's proxy. */
#include "net/forwarded.h"
#include <arpa/inet.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct str text = str_n((const char *)data, size), line;
    struct forwarded_trust t = {.rfc7239 = size % 2};
    uint8_t raw[16];
    bool more = str_next(&text, '\n', &line), good = more && forwarded_trust_parse(line, &t, NULL) == RC_OK;
    struct http_field fields[] = {{t.rfc7239 ? STR("forwarded") : STR("x-forwarded-for"), text},
                                  {STR("x-forwarded-proto"), text}};
    struct forwarded f = forwarded_read(&t, "192.0.2.1", fields, 2);
    BUG_ON(inet_pton(AF_INET, f.address, raw) != 1 && inet_pton(AF_INET6, f.address, raw) != 1);
    BUG_ON((!good || t.n == 0) && (strcmp(f.address, "192.0.2.1") != 0 || f.https));
    return 0;
}
