/* Which Host and Origin a listener answers to; the rules are in http.h. Not here: the grammar of the fields' bytes
 * (http_head.c has checked it), who may do what. */
#include "net/address.h"
#include "net/http.h"
#include <arpa/inet.h>
#include <netinet/in.h>

/* host[:port] or [v6][:port]; no port: *ret_port is `standard`. */
static bool authority_split(struct str text, uint16_t standard, struct str *ret_host, uint16_t *ret_port)
{
    int64_t port = standard;
    const char *bracket = text.n && text.p[0] == '[' ? memchr(text.p, ']', text.n) : NULL;
    size_t end = bracket ? (size_t)(bracket - text.p) + 1 : 0;
    while (end < text.n && text.p[end] != ':')
        end++;
    if (end < text.n && !str_int(str_sub(text, end + 1, text.n), 1, 65535, &port))
        return false;
    *ret_host = str_sub(text, 0, end);
    *ret_port = (uint16_t)port;
    return ret_host->n > 0;
}

/* The address as numbers, or false for a name. Only the usual spelling counts: "127.1" and "0x7f.1" are names here, and
 * no such name is ours. */
static bool host_numeric(struct str host, struct sockaddr_storage *ret)
{
    char text[INET6_ADDRSTRLEN];
    bool bracketed = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (bracketed)
        host = str_sub(host, 1, host.n - 2);
    if (host.n >= sizeof text)
        return false;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    *ret = (struct sockaddr_storage){.ss_family = bracketed ? AF_INET6 : AF_INET};
    void *to =
        bracketed ? (void *)&((struct sockaddr_in6 *)ret)->sin6_addr : (void *)&((struct sockaddr_in *)ret)->sin_addr;
    return inet_pton(ret->ss_family, text, to) == 1;
}

static bool host_is_own(const struct http_hosts *hosts, struct str host)
{
    struct sockaddr_storage sa;
    char shown[INET6_ADDRSTRLEN];
    if (str_ieq(host, STR("localhost")))
        return true;
    if (!host_numeric(host, &sa))
        return false;
    address_host((struct sockaddr *)&sa, shown);
    return address_is_loopback((struct sockaddr *)&sa) || (hosts->address && strcmp(shown, hosts->address) == 0);
}

/* The port that a URL of this scheme means when it names none. */
static uint16_t scheme_port(bool tls)
{
    return tls ? 443 : 80;
}

static bool host_is_listed(const struct http_hosts *hosts, struct str host, uint16_t port, bool has_port)
{
    for (const char *const *m = hosts->more; m && *m; m++) {
        struct str name;
        uint16_t listed;
        if (!authority_split(str_of(*m), 0, &name, &listed) || !str_ieq(name, host))
            continue;
        if (listed ? port == listed : port == hosts->port || !has_port)
            return true;
    }
    return false;
}

static bool authority_allowed(const struct http_hosts *hosts, struct str text, bool tls)
{
    struct str host;
    uint16_t port, named;
    if (!authority_split(text, scheme_port(tls), &host, &port) || !authority_split(text, 0, &host, &named))
        return false;
    bool unix_socket = !hosts->address;
    if (host_is_own(hosts, host) && (port == hosts->port || unix_socket))
        return true;
    return host_is_listed(hosts, host, port, named != 0);
}

static bool origin_allowed(const struct http_hosts *hosts, struct str origin)
{
    if (!hosts->address)
        return false; /* no page can reach a Unix socket: whoever says so is not what it seems */
    if (str_starts(origin, STR("http://")))
        return authority_allowed(hosts, str_sub(origin, 7, origin.n), false);
    return str_starts(origin, STR("https://")) && authority_allowed(hosts, str_sub(origin, 8, origin.n), true);
}

bool http_hosts_allow(const struct http_hosts *hosts, const struct http_request *r, const char **ret_why)
{
    bool has_host = false;
    *ret_why = "the Host of the request is not this daemon's";
    for (size_t i = 0; i < r->field_count; i++) {
        const struct http_field *f = &r->fields[i];
        if (str_ieq(f->name, STR("host"))) {
            if (has_host || !authority_allowed(hosts, f->value, r->peer.tls))
                return false;
            has_host = true;
        } else if (str_ieq(f->name, STR("origin")) && !origin_allowed(hosts, f->value)) {
            *ret_why = "the Origin of the request is not this daemon's";
            return false;
        }
    }
    return has_host;
}
