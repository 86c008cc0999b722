/* The spelling of hosts, and which addresses are of the internet at large. Pure; hostname.h says what is refused.
 * Not here: looking names up (dial.c). */
#include "net/hostname.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#define LABEL_MOST 63
#define NAME_MOST  253

static enum rc refuse(struct err *err, const char *why)
{
    return err_set(err, RC_INVALID, "the host is refused: %s", why);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_label_byte(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
}

/* Four decimal numbers without leading zeros. */
static bool ipv4_read(struct str s, uint8_t ret[4])
{
    struct str rest = s, part;
    int n = 0;
    while (str_next(&rest, '.', &part)) {
        int64_t v;
        if (n == 4 || part.n > 3 || (part.n > 1 && part.p[0] == '0') || !str_int(part, 0, 255, &v))
            return false;
        ret[n++] = (uint8_t)v;
    }
    return n == 4;
}

static enum rc ipv6_read(struct str s, struct hostname *ret, struct err *err)
{
    char text[64];
    struct in6_addr a;
    if (s.n >= sizeof text)
        return refuse(err, "the IPv6 address is malformed");
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '.' || s.p[i] == '%')
            return refuse(err, "an IPv6 address has neither a zone nor an IPv4 address inside");
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    if (memchr(text, '\0', s.n) || inet_pton(AF_INET6, text, &a) != 1)
        return refuse(err, "the IPv6 address is malformed");
    if (IN6_IS_ADDR_V4MAPPED(&a) || IN6_IS_ADDR_V4COMPAT(&a))
        if (!IN6_IS_ADDR_LOOPBACK(&a) && !IN6_IS_ADDR_UNSPECIFIED(&a))
            return refuse(err, "an IPv6 address has neither a zone nor an IPv4 address inside");
    ret->kind = HOSTNAME_IPV6;
    memcpy(ret->address, &a, 16);
    inet_ntop(AF_INET6, &a, ret->text, sizeof ret->text);
    return RC_OK;
}

static enum rc labels_check(struct str s, struct err *err)
{
    struct str rest = s, label;
    while (str_next(&rest, '.', &label)) {
        if (!label.n || label.n > LABEL_MOST)
            return refuse(err, "a part of the name is empty or longer than 63 letters");
        if (label.p[0] == '-' || label.p[label.n - 1] == '-')
            return refuse(err, "a part of the name begins or ends with '-'");
    }
    return RC_OK;
}

/* "1", "0x7f", "017": what other parsers take for a number makes the whole name one to them (WHATWG URL, section 3.5).
 */
static bool last_is_number(struct str s)
{
    size_t at = s.n;
    while (at && s.p[at - 1] != '.')
        at--;
    struct str last = str_sub(s, at, s.n);
    bool digits = last.n > 0;
    for (size_t i = 0; i < last.n; i++)
        digits &= is_digit(last.p[i]);
    return digits || str_starts(last, STR("0x"));
}

enum rc hostname_parse(struct str s, struct hostname *ret, struct err *err)
{
    *ret = (struct hostname){0};
    if (!s.n)
        return refuse(err, "it is empty");
    if (s.p[0] == '[')
        return s.p[s.n - 1] == ']' && s.n > 2 ? ipv6_read(str_n(s.p + 1, s.n - 2), ret, err)
                                              : refuse(err, "the IPv6 address is malformed");
    if (s.n > 1 && s.p[s.n - 1] == '.')
        s.n--; /* the root: the same name */
    if (s.n > NAME_MOST)
        return refuse(err, "it is longer than 253 letters");
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        ret->text[i] = c >= 'A' && c <= 'Z' ? (char)(c | 32) : c;
        if (c != '.' && !is_label_byte(ret->text[i])) {
            ret->text[0] = '\0';
            return refuse(err, (unsigned char)c >= 0x80 ? "names beyond ASCII are written as xn--..."
                                                        : "it holds a byte that no name has");
        }
    }
    ret->text[s.n] = '\0';
    s = str_of(ret->text);
    if (last_is_number(s)) {
        if (!ipv4_read(s, ret->address)) {
            ret->text[0] = '\0';
            return refuse(err, "an IPv4 address is four plain decimal numbers");
        }
        ret->kind = HOSTNAME_IPV4;
        return RC_OK;
    }
    enum rc rc = labels_check(s, err);
    if (rc != RC_OK)
        ret->text[0] = '\0';
    return rc;
}

enum rc hostname_parse_port(struct str s, struct hostname *ret, uint16_t *ret_port, struct err *err)
{
    size_t at = s.n;
    int64_t port;
    *ret = (struct hostname){0};
    while (at && is_digit(s.p[at - 1]))
        at--;
    if (at && s.p[at - 1] == ':') {
        struct str digits = str_sub(s, at, s.n);
        if (!digits.n || digits.n > 5 || digits.p[0] == '0' || !str_int(digits, 1, 65535, &port))
            return refuse(err, "the port is no number from 1 to 65535");
        s.n = at - 1;
        *ret_port = (uint16_t)port;
    }
    return hostname_parse(s, ret, err);
}

void hostname_show(const struct hostname *h, uint16_t port, uint16_t standard, char *ret)
{
    bool brackets = h->kind == HOSTNAME_IPV6;
    int n = snprintf(ret, 300, "%s%s%s", brackets ? "[" : "", h->text, brackets ? "]" : "");
    if (port != standard)
        snprintf(ret + n, 300 - (size_t)n, ":%u", port);
}

/* ---- addresses ---- */

enum rc address_block_parse(struct str text, struct address_block *ret, struct err *err)
{
    struct str rest = str_trim(text), host;
    char z[64];
    int64_t bits;
    *ret = (struct address_block){0};
    if (!str_next(&rest, '/', &host) || !host.n || host.n >= sizeof z)
        return err_set(err, RC_INVALID, "this is no address: %.*s", text.n < 60 ? (int)text.n : 60, text.p);
    bool has_bits = host.n < str_trim(text).n;
    memcpy(z, host.p, host.n);
    z[host.n] = '\0';
    ret->family = strchr(z, ':') ? AF_INET6 : AF_INET;
    int64_t most = ret->family == AF_INET6 ? 128 : 32;
    bits = most;
    if (inet_pton(ret->family, z, ret->bytes) != 1 || (has_bits && !str_int(rest, 0, most, &bits))) {
        err_set(err, RC_INVALID, "this is no block of addresses: %.60s", z);
        err_hint(err, "write it as 192.0.2.1 or 10.0.0.0/8");
        return RC_INVALID;
    }
    ret->bits = (int)bits;
    return RC_OK;
}

static bool bits_equal(const uint8_t *a, const uint8_t *b, int bits)
{
    int whole = bits / 8, rest = bits % 8;
    if (memcmp(a, b, (size_t)whole) != 0)
        return false;
    return !rest || ((a[whole] ^ b[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

static const uint8_t *address_bytes(const struct sockaddr *sa)
{
    return sa->sa_family == AF_INET6 ? (const uint8_t *)&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr
                                     : (const uint8_t *)&((const struct sockaddr_in *)(const void *)sa)->sin_addr;
}

bool address_block_holds(const struct address_block *b, const struct sockaddr *sa)
{
    return sa->sa_family == b->family && bits_equal(b->bytes, address_bytes(sa), b->bits);
}

/* https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry. */
static const struct {
    int family;
    uint8_t bytes[16];
    int bits;
    const char *what;
} reserved[] = {
    {AF_INET, {0}, 8, "this network"},
    {AF_INET, {10}, 8, "private"},
    {AF_INET, {100, 64}, 10, "shared"},
    {AF_INET, {127}, 8, "loopback"},
    {AF_INET, {169, 254}, 16, "link-local"},
    {AF_INET, {172, 16}, 12, "private"},
    {AF_INET, {192, 0, 0}, 24, "reserved"},
    {AF_INET, {192, 0, 2}, 24, "documentation"},
    {AF_INET, {192, 88, 99}, 24, "reserved"},
    {AF_INET, {192, 168}, 16, "private"},
    {AF_INET, {198, 18}, 15, "benchmarking"},
    {AF_INET, {198, 51, 100}, 24, "documentation"},
    {AF_INET, {203, 0, 113}, 24, "documentation"},
    {AF_INET, {224}, 4, "multicast"},
    {AF_INET, {240}, 4, "reserved"},
    {AF_INET6, {0x20, 0x01}, 23, "reserved"}, /* Teredo and others that carry IPv4 addresses */
    {AF_INET6, {0x20, 0x01, 0x0d, 0xb8}, 32, "documentation"},
    {AF_INET6, {0x20, 0x02}, 16, "6to4"},
    {AF_INET6, {0x3f, 0xff}, 20, "documentation"},
    {AF_INET6, {0xfc}, 7, "private"},
    {AF_INET6, {0xfe, 0x80}, 10, "link-local"},
    {AF_INET6, {0xff}, 8, "multicast"},
    {AF_INET6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, "mapped"},
    {AF_INET6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, "loopback"},
};

const char *address_reserved(const struct sockaddr *sa)
{
    if (sa->sa_family != AF_INET && sa->sa_family != AF_INET6)
        return "not of the internet";
    const uint8_t *bytes = address_bytes(sa);
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (reserved[i].family == sa->sa_family && bits_equal(reserved[i].bytes, bytes, reserved[i].bits))
            return reserved[i].what;
    if (sa->sa_family == AF_INET6 && (bytes[0] & 0xe0) != 0x20)
        return "reserved"; /* global unicast is 2000::/3 */
    return NULL;
}
