/* Addresses to listen at; the rules are in address.h. Not here: looking names up, connecting. */
#include "net/address.h"
#include "base/mem.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

static const struct sockaddr_in *in4(const struct sockaddr *sa)
{
    return (const struct sockaddr_in *)(const void *)sa;
}

static const struct sockaddr_in6 *in6(const struct sockaddr *sa)
{
    return (const struct sockaddr_in6 *)(const void *)sa;
}

bool address_is_loopback(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET)
        return ntohl(in4(sa)->sin_addr.s_addr) >> 24 == 127;
    if (sa->sa_family != AF_INET6)
        return false;
    const struct in6_addr *a = &in6(sa)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(a) || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127);
}

uint16_t address_port(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET)
        return ntohs(in4(sa)->sin_port);
    return sa->sa_family == AF_INET6 ? ntohs(in6(sa)->sin6_port) : 0;
}

void address_host(const struct sockaddr *sa, char *ret)
{
    *ret = '\0';
    if (sa->sa_family == AF_INET)
        inet_ntop(AF_INET, &in4(sa)->sin_addr, ret, INET6_ADDRSTRLEN);
    else if (sa->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &in6(sa)->sin6_addr, ret, INET6_ADDRSTRLEN);
}

void address_show(struct address *a)
{
    const struct sockaddr *sa = (const struct sockaddr *)&a->sa;
    char host[INET6_ADDRSTRLEN];
    address_host(sa, host);
    snprintf(a->text, sizeof a->text, sa->sa_family == AF_INET6 ? "[%s]:%u" : "%s:%u", host, address_port(sa));
}

static bool host_read(struct str host, bool bracketed, uint16_t port, struct address *ret)
{
    char text[INET6_ADDRSTRLEN];
    struct sockaddr_in *v4 = (struct sockaddr_in *)&ret->sa;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ret->sa;
    if (str_ieq(host, STR("localhost")))
        host = STR("127.0.0.1");
    if (host.n >= sizeof text || memchr(host.p, '\0', host.n))
        return false;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    ret->sa_length = bracketed ? sizeof *v6 : sizeof *v4;
    if (bracketed) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        return inet_pton(AF_INET6, text, &v6->sin6_addr) == 1;
    }
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    return inet_pton(AF_INET, text, &v4->sin_addr) == 1;
}

static void scheme_take(struct str *text, struct address *ret)
{
    static const struct {
        struct str prefix;
        enum address_scheme scheme;
    } schemes[] = {{{"http://", 7}, ADDRESS_HTTP}, {{"https://", 8}, ADDRESS_HTTPS}};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (!str_ieq(str_sub(*text, 0, schemes[i].prefix.n), schemes[i].prefix))
            continue;
        ret->scheme = schemes[i].scheme;
        *text = str_sub(*text, schemes[i].prefix.n, text->n);
        return;
    }
}

static bool address_read(struct str text, struct address *ret)
{
    int64_t port;
    *ret = (struct address){0};
    scheme_take(&text, ret);
    size_t colon = text.n;
    while (colon > 0 && text.p[colon - 1] != ':')
        colon--;
    struct str host = str_sub(text, 0, colon ? colon - 1 : 0);
    bool bracketed = host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (!colon || !str_int(str_sub(text, colon, text.n), 0, 65535, &port))
        return false;
    if (bracketed)
        host = str_sub(host, 1, host.n - 2);
    if (!host_read(host, bracketed, (uint16_t)port, ret))
        return false;
    address_show(ret);
    return true;
}

enum rc address_list_parse(struct str text, struct address *ret, size_t *ret_n, struct err *err)
{
    struct str rest = text, piece;
    *ret_n = 0;
    if (str_eqz(str_trim(text), "off"))
        return RC_OK;
    while (str_next(&rest, ',', &piece)) {
        piece = str_trim(piece);
        if (*ret_n == ADDRESSES_MOST)
            return err_set(err, RC_INVALID, "there are more than %d addresses to listen at", ADDRESSES_MOST);
        if (!address_read(piece, &ret[*ret_n])) {
            err_set(err, RC_INVALID, "\"%.*s\" is no address to listen at", piece.n > 80 ? 80 : (int)piece.n, piece.p);
            return err_hint(err, "write 127.0.0.1:8098 or [::1]:8098, several separated by commas, or off");
        }
        (*ret_n)++;
    }
    if (*ret_n == 0)
        return err_set(err, RC_INVALID, "no address to listen at is given: write off if none is wanted");
    return RC_OK;
}

enum rc address_of_fd(int fd, struct address *ret, struct err *err)
{
    *ret = (struct address){.sa_length = sizeof ret->sa};
    if (getsockname(fd, (struct sockaddr *)&ret->sa, &ret->sa_length) != 0)
        return err_sys(err, errno, "a listening socket cannot be used");
    if (ret->sa.ss_family != AF_INET && ret->sa.ss_family != AF_INET6)
        return err_set(err, RC_INVALID, "a listening socket is no TCP socket");
    address_show(ret);
    return RC_OK;
}

static enum rc bind_fail(const struct address *a, struct err *err)
{
    if (errno == EADDRINUSE)
        return err_set(err, RC_CONFLICT, "another program listens at %s", a->text);
    return err_sys(err, errno, "cannot listen at %s", a->text);
}

/* The first socket of several asks for the address alone, so that a second daemon of the same user is noticed, and
 * shares it only once it has it. */
static enum rc listen_one(const struct address *a, bool first, bool shared, int *ret_fd, struct err *err)
{
    int one = 1;
    CLEANUP_FD int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_sys(err, errno, "could not make a socket for %s", a->text);
    /* Without this a restart within a minute of open connections would find its own port taken. */
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    /* [::] means IPv6 alone: an address that is not written down is not listened at. */
    if (a->sa.ss_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (shared && !first && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0)
        return err_sys(err, errno, "cannot share %s", a->text);
    if (bind(fd, (const struct sockaddr *)&a->sa, a->sa_length) != 0)
        return bind_fail(a, err);
    if (shared && first && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0)
        return err_sys(err, errno, "cannot share %s", a->text);
    if (listen(fd, BACKLOG) != 0)
        return bind_fail(a, err);
    *ret_fd = fd_take(&fd);
    return RC_OK;
}

enum rc address_listen(struct address *a, size_t n, int *ret_fds, struct err *err)
{
    struct address got = *a;
    size_t i = 0;
    enum rc rc = listen_one(a, true, n > 1, &ret_fds[i], err);
    if (rc != RC_OK)
        return rc;
    rc = address_of_fd(ret_fds[i++], &got, err);
    while (rc == RC_OK && i < n) {
        rc = listen_one(&got, false, true, &ret_fds[i], err);
        i += rc == RC_OK;
    }
    if (rc != RC_OK) {
        while (i > 0) {
            close(ret_fds[--i]);
            ret_fds[i] = -1;
        }
        return rc;
    }
    got.scheme = a->scheme;
    *a = got;
    return RC_OK;
}
