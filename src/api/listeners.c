/* The server's listeners: its Unix socket, and the TCP addresses that the keeper holds. What cannot be used is logged
 * and shown by the status; the daemon works without it. Not here: binding (src/main/listener.c), who may do what
 * (route.c). */
#include "api/server_room.h"
#include "base/log.h"
#include "net/forwarded.h"
#include "net/tls.h"
#include <sys/resource.h>

static const char *const unix_names[] = {"nightmill", NULL};
static const struct http_hosts unix_hosts = {.more = unix_names};

enum {
    CONNECTIONS_MOST = 10000, /* of all loops together */
    CONNECTIONS_LEAST = 64,
    DESCRIPTORS_OWN = 512, /* database, runners, files */
    DESCRIPTORS_WANTED = 65536,
    RESERVE = 64, /* places that only the Unix socket's clients get */
};

struct listener_state {
    char host[46];
    struct http_hosts hosts;
    const char *problem; /* NULL: it is listened at */
};
struct listeners {
    struct listener_state of[ADDRESSES_MOST]; /* as in place->listeners */
    struct forwarded_trust proxies;
    struct tls_place *tls; /* NULL: none is set up */
    const char *tls_problem;
};

static const char *const *names_split(mem *ctx, const char *text)
{
    struct str rest = str_of(text), name;
    size_t n = 0, most = 1;
    for (const char *c = text; *c; c++)
        most += *c == ',';
    const char **names = mem_array(ctx, const char *, most + 1);
    while (str_next(&rest, ',', &name)) {
        name = str_trim(name);
        if (name.n == 0)
            continue;
        names[n] = str_dup(ctx, name);
        if (strpbrk(names[n], "/*@ \t")) /* such as a URL, or a pattern: it would never be asked for */
            log_warn("server.hosts: \"%s\" is no host name and is left out", names[n]);
        else
            n++;
    }
    names[n] = NULL;
    return names;
}

static struct tls_spec tls_wanted(const struct server *s)
{
    const struct settings *set = s->settings;
    return (struct tls_spec){.certificate = setting_text(set, "server.tls_certificate"),
                             .key = setting_text(set, "server.tls_key"),
                             .client_ca = setting_text(set, "server.client_ca")};
}

static void tls_open(struct server *s, struct listeners *l)
{
    struct err err = {0};
    struct tls_spec spec = tls_wanted(s);
    if (*spec.certificate && tls_place_new(l, &spec, &l->tls, &err) != RC_OK) {
        l->tls = NULL;
        l->tls_problem = mem_str(l, err.sentence);
        log_err(&err, "https is off");
    }
}

/* What is wrong in the list makes nobody believed: addresses are then those of the connections, which is safe. */
static void proxies_open(struct server *s, struct listeners *l)
{
    struct err err = {0};
    l->proxies.rfc7239 = strcmp(setting_text(s->settings, "server.proxy_field"), "forwarded") == 0;
    if (forwarded_trust_parse(str_of(setting_text(s->settings, "server.proxies")), &l->proxies, &err) != RC_OK)
        log_err(&err, "server.proxies: no proxy is believed");
}

static bool is_https(const struct server_listener *given)
{
    return str_starts(str_of(given->url), STR("https://"));
}

static enum rc listener_open(struct server *s, struct listeners *l, size_t i, const char *const *names, struct err *err)
{
    const struct server_listener *given = &s->place->listeners[i];
    struct listener_state *state = &l->of[i];
    bool wants_tls = is_https(given);
    struct address a;
    if (given->fds[0] < 0)
        return err_set(err, RC_UNAVAILABLE, "%s", given->problem);
    if (wants_tls && !l->tls)
        return err_set(err, RC_UNAVAILABLE, "%s", l->tls_problem ? l->tls_problem : "no certificate is set");
    enum rc rc = address_of_fd(given->fds[0], &a, err);
    if (rc != RC_OK)
        return rc;
    address_host((struct sockaddr *)&a.sa, state->host);
    state->hosts = (struct http_hosts){
        .more = names, .address = state->host, .port = address_port((struct sockaddr *)&a.sa), .proxies = &l->proxies};
    struct http_listener_spec spec = {.fd = given->fds[0], .tls = wants_tls ? l->tls : NULL, .hosts = &state->hosts};
    return http_server_listen(s->http, &spec, err);
}

size_t listeners_room(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return CONNECTIONS_LEAST;
    rlim_t wanted = limit.rlim_max < DESCRIPTORS_WANTED ? limit.rlim_max : DESCRIPTORS_WANTED;
    if (limit.rlim_cur < wanted) {
        rlim_t before = limit.rlim_cur;
        limit.rlim_cur = wanted;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            limit.rlim_cur = before; /* some containers refuse it even to root */
    }
    /* A client of the gateway may need a second one, to the model server. */
    rlim_t room = limit.rlim_cur > DESCRIPTORS_OWN ? (limit.rlim_cur - DESCRIPTORS_OWN) / 2 : 0;
    return room < CONNECTIONS_LEAST ? CONNECTIONS_LEAST : room < CONNECTIONS_MOST ? (size_t)room : CONNECTIONS_MOST;
}

enum rc listeners_open(struct server *s, struct err *err)
{
    struct listeners *l = mem_new(s->ctx, struct listeners);
    const char *const *names = names_split(l, setting_text(s->settings, "server.hosts"));
    s->listeners = l;
    proxies_open(s, l);
    tls_open(s, l);
    for (size_t i = 0; i < s->place->listener_count; i++) {
        struct err problem = {0};
        if (listener_open(s, l, i, names, &problem) == RC_OK) {
            log_info("listening at %s", s->place->listeners[i].url);
            continue;
        }
        l->of[i].problem = mem_str(l, problem.sentence);
        if (s->place->listeners[i].fds[0] >= 0) /* else the keeper has said it */
            log_warn("not listening at %s: %s", s->place->listeners[i].url, problem.sentence);
    }
    return http_server_listen(
        s->http, &(struct http_listener_spec){.fd = s->place->api_fd, .hosts = &unix_hosts, .reserve = RESERVE}, err);
}

/* A loop has its own place for TLS, which is one thread's; names and addresses are read alone and shared. */
enum rc listeners_open_more(void *server, size_t number, mem *ctx, struct http_server *http, struct tls_place **ret_tls,
                            struct err *err)
{
    struct server *s = server;
    struct tls_spec tls = tls_wanted(s);
    enum rc rc = s->listeners->tls ? tls_place_new(ctx, &tls, ret_tls, err) : RC_OK;
    for (size_t i = 0; rc == RC_OK && i < s->place->listener_count; i++) {
        const struct server_listener *given = &s->place->listeners[i];
        if (s->listeners->of[i].problem)
            continue;
        struct http_listener_spec spec = {
            .fd = given->fds[number], .tls = is_https(given) ? *ret_tls : NULL, .hosts = &s->listeners->of[i].hosts};
        rc = http_server_listen(http, &spec, err);
    }
    return rc;
}

void listeners_reload(struct server *s)
{
    loops_reload(s->loops);
    if (s->listeners->tls)
        tls_place_reload(s->listeners->tls);
}

void listeners_json(const struct server *s, struct json_out *o)
{
    jo_arr(o);
    for (size_t i = 0; i < s->place->listener_count; i++) {
        jo_obj(o);
        jo_kz(o, "url", s->place->listeners[i].url);
        jo_kb(o, "listening", !s->listeners->of[i].problem);
        if (s->listeners->of[i].problem)
            jo_kz(o, "problem", s->listeners->of[i].problem);
        jo_end_obj(o);
    }
    jo_end_arr(o);
}
