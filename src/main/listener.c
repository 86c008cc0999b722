/* Planning and binding of TCP addresses; see listener.h. Not here: TLS itself, requests. */
#include "main/listener.h"
#include "base/log.h"
#include <string.h>
#include <unistd.h>

static bool is_outside(const struct address *a)
{
    return !address_is_loopback((const struct sockaddr *)&a->sa);
}

static enum rc address_judge(const struct address *a, bool has_tls, struct err *err)
{
    if (a->scheme == ADDRESS_HTTPS && !has_tls) {
        err_set(err, RC_INVALID, "https://%s needs a certificate", a->text);
        return err_hint(err, "set server.tls_certificate and server.tls_key");
    }
    if (a->scheme != ADDRESS_HTTPS && is_outside(a)) {
        err_set(err, RC_INVALID, "%s can be reached from other machines, which is not allowed without TLS", a->text);
        return err_hint(err, "set server.tls_certificate and server.tls_key, or listen at 127.0.0.1 only");
    }
    return RC_OK;
}

enum rc listeners_plan(const struct settings *set, struct listener ret[ADDRESSES_MOST], size_t *ret_n, struct err *err)
{
    struct address list[ADDRESSES_MOST];
    bool has_tls = *setting_text(set, "server.tls_certificate") != '\0';
    size_t n;
    *ret_n = 0;
    if (has_tls != (*setting_text(set, "server.tls_key") != '\0'))
        return err_set(err, RC_INVALID, "server.tls_certificate and server.tls_key belong together: one is not set");
    enum rc rc = address_list_parse(str_of(setting_text(set, "server.address")), list, &n, err);
    if (rc != RC_OK)
        return err_context(err, "server.address");
    for (size_t i = 0; i < n; i++) {
        if (list[i].scheme == ADDRESS_ANY)
            list[i].scheme = has_tls ? ADDRESS_HTTPS : ADDRESS_HTTP;
        rc = address_judge(&list[i], has_tls, err);
        if (rc != RC_OK)
            return rc;
        ret[i] = (struct listener){.address = list[i], .fds = {-1}};
    }
    *ret_n = n;
    return RC_OK;
}

static void problem_keep(struct listener *l, const struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    char *words = err->detail[0] ? mem_printf(tmp, "%s: %s", err->sentence, err->detail) : mem_str(tmp, err->sentence);
    size_t length = str_utf8_cut(str_of(words), sizeof l->problem - 1);
    memcpy(l->problem, words, length);
    l->problem[length] = '\0';
}

size_t listeners_loops(const struct settings *set)
{
    int64_t loops = setting_int(set, "server.loops");
    if (loops == 0)
        loops = sysconf(_SC_NPROCESSORS_ONLN);
    return loops < 1 ? 1 : loops > LOOPS_MOST ? LOOPS_MOST : (size_t)loops;
}

void listeners_bind(struct listener *l, size_t n, size_t loops)
{
    for (struct listener *end = l + n; l < end; l++) {
        struct err err = {0};
        if (l->fds[0] >= 0)
            continue;
        l->problem[0] = '\0';
        if (address_listen(&l->address, loops, l->fds, &err) == RC_OK)
            continue;
        l->fds[0] = -1;
        problem_keep(l, &err);
        log_warn("%s: the daemon works without that address (setting server.address)", l->problem);
    }
}

static const char *scheme_of(const struct listener *l)
{
    return l->address.scheme == ADDRESS_HTTPS ? "https" : "http";
}

char *listener_argument(mem *ctx, const struct listener *l)
{
    return mem_printf(ctx, "%s://%s %s", scheme_of(l), l->address.text, l->problem);
}
