/* X-Forwarded-For and Forwarded: hostile bytes until a named proxy has written them. */
#include "net/forwarded.h"
#include <arpa/inet.h>
#include <stdio.h>

/* Digits and colons alone: no names, no zones. IPv4 becomes ::ffff:a.b.c.d. */
static bool numeric_read(struct str text, uint8_t ret[16], bool *ret_v4)
{
    char z[INET6_ADDRSTRLEN];
    if (!text.n || text.n >= sizeof z || memchr(text.p, '\0', text.n))
        return false;
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    memset(ret, 0, 10);
    memset(ret + 10, 0xff, 2);
    *ret_v4 = inet_pton(AF_INET, z, ret + 12) == 1;
    return *ret_v4 || inet_pton(AF_INET6, z, ret) == 1;
}

static void numeric_show(const uint8_t address[16], char ret[46])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool v4 = memcmp(address, mapped, sizeof mapped) == 0;
    (void)inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? address + 12 : address, ret, 46);
}

/* ---- who is believed ---- */

static bool range_read(struct str text, struct forwarded_range *ret)
{
    int64_t bits;
    bool v4;
    ptrdiff_t slash = str_find(text, STR("/"));
    if (!numeric_read(slash < 0 ? text : str_sub(text, 0, (size_t)slash), ret->address, &v4))
        return false;
    ret->bits = 128;
    if (slash < 0)
        return true;
    if (!str_int(str_sub(text, (size_t)slash + 1, text.n), 0, v4 ? 32 : 128, &bits))
        return false;
    ret->bits = (int)bits + (v4 ? 96 : 0);
    return true;
}

enum rc forwarded_trust_parse(struct str text, struct forwarded_trust *ret, struct err *err)
{
    struct forwarded_trust t = *ret;
    struct str part;
    while (str_next(&text, ',', &part)) {
        part = str_trim(part);
        if (!part.n)
            continue;
        if (t.n == FORWARDED_RANGES_MOST)
            return err_set(err, RC_LIMIT, "more than %d addresses of proxies", FORWARDED_RANGES_MOST);
        if (!range_read(part, &t.ranges[t.n])) {
            err_set(err, RC_INVALID, "\"%.*s\" is no address of a proxy", (int)(part.n < 60 ? part.n : 60), part.p);
            return err_hint(err, "write 127.0.0.1, 10.0.0.0/8 or ::1, separated by commas; names are not looked up");
        }
        t.n++;
    }
    *ret = t;
    return RC_OK;
}

static bool range_has(const struct forwarded_range *r, const uint8_t address[16])
{
    int bytes = r->bits / 8, rest = r->bits % 8;
    if (memcmp(r->address, address, (size_t)bytes) != 0)
        return false;
    return rest == 0 || ((r->address[bytes] ^ address[bytes]) & (0xff << (8 - rest))) == 0;
}

static bool trusted(const struct forwarded_trust *t, const uint8_t address[16])
{
    for (size_t i = 0; i < t->n; i++)
        if (range_has(&t->ranges[i], address))
            return true;
    return false;
}

/* ---- what is said ---- */

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80". */
static bool node_read(struct str text, uint8_t ret[16])
{
    bool v4;
    int64_t port;
    struct str rest = STR("");
    if (text.n && text.p[0] == '[') {
        ptrdiff_t end = str_find(text, STR("]"));
        if (end < 0)
            return false;
        rest = str_sub(text, (size_t)end + 1, text.n);
        text = str_sub(text, 1, (size_t)end - 1);
        if (rest.n && (rest.p[0] != ':' || !str_int(str_sub(rest, 1, rest.n), 0, 65535, &port)))
            return false;
        return numeric_read(text, ret, &v4) && !v4;
    }
    const char *colon = text.n ? memchr(text.p, ':', text.n) : NULL;
    if (colon && !memchr(colon + 1, ':', (size_t)(text.p + text.n - colon - 1))) {
        size_t at = (size_t)(colon - text.p);
        return str_int(str_sub(text, at + 1, text.n), 0, 65535, &port) &&
               numeric_read(str_sub(text, 0, at), ret, &v4) && v4;
    }
    return numeric_read(text, ret, &v4);
}

/* Cuts the last part off at a separator that is in no quotes. A quote that is not closed spoils everything. */
static bool last_part(struct str *text, char separator, struct str *ret)
{
    size_t cut = 0;
    bool quoted = false, found = false;
    if (!text->p)
        return false;
    for (size_t i = 0; i < text->n; i++) {
        char c = text->p[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && c == separator) {
            cut = i;
            found = true;
        }
    }
    if (quoted)
        return false;
    *ret = str_trim(str_sub(*text, found ? cut + 1 : 0, text->n));
    *text = found ? str_sub(*text, 0, cut) : (struct str){NULL, 0};
    return true;
}

/* The value of one parameter of an element of Forwarded, without its quotes; a repeated one counts for none. */
static bool parameter_find(struct str element, const char *name, struct str *ret)
{
    struct str pair;
    bool any = false;
    size_t n = strlen(name);
    while (last_part(&element, ';', &pair)) {
        if (pair.n <= n || pair.p[n] != '=' || !str_ieq(str_sub(pair, 0, n), str_of(name)))
            continue;
        if (any)
            return false;
        any = true;
        *ret = str_sub(pair, n + 1, pair.n);
        if (ret->n >= 2 && ret->p[0] == '"' && ret->p[ret->n - 1] == '"')
            *ret = str_sub(*ret, 1, ret->n - 2);
    }
    return any;
}

struct hop {
    uint8_t address[16];
    bool has_proto, https;
};

static bool hop_of_element(struct str element, struct hop *ret)
{
    struct str node, proto;
    ret->has_proto = parameter_find(element, "proto", &proto);
    ret->https = ret->has_proto && str_ieq(proto, STR("https"));
    return parameter_find(element, "for", &node) && node_read(node, ret->address);
}

/* The walk from the right over all fields of that name, as if they were one list. */
struct walk {
    const struct http_field *fields;
    size_t n; /* of them that are left, below `rest` */
    const char *name;
    struct str rest;
};

static bool walk_next(struct walk *w, struct str *ret)
{
    while (!w->rest.p) {
        if (w->n == 0)
            return false;
        const struct http_field *f = &w->fields[--w->n];
        if (str_ieq(f->name, str_of(w->name)))
            w->rest = f->value.p ? f->value : STR("");
    }
    return last_part(&w->rest, ',', ret);
}

static bool proto_last(const struct http_field *fields, size_t n)
{
    struct walk w = {.fields = fields, .n = n, .name = "x-forwarded-proto"};
    struct str last;
    return walk_next(&w, &last) && str_ieq(last, STR("https"));
}

struct forwarded forwarded_read(const struct forwarded_trust *t, const char *peer, const struct http_field *fields,
                                size_t n)
{
    struct forwarded f = {.https = false};
    struct walk w = {.fields = fields, .n = n, .name = t->rfc7239 ? "forwarded" : "x-forwarded-for"};
    struct hop hop = {0};
    struct str entry;
    uint8_t at[16];
    bool v4;
    snprintf(f.address, sizeof f.address, "%s", peer);
    if (!t->n || !numeric_read(str_of(peer), at, &v4) || !trusted(t, at))
        return f;
    f.https = !t->rfc7239 && proto_last(fields, n);
    for (int i = 0; i < FORWARDED_HOPS_MOST && trusted(t, at) && walk_next(&w, &entry); i++) {
        bool fine = t->rfc7239 ? hop_of_element(entry, &hop) : node_read(entry, hop.address);
        if (t->rfc7239 && hop.has_proto)
            f.https = hop.https;
        if (!fine)
            break;
        memcpy(at, hop.address, sizeof at);
    }
    numeric_show(at, f.address);
    return f;
}
