/* Addresses of the daemon as links. */
#include "cli/link.h"
#include <pwd.h>
#include <unistd.h>

static const char *host_of(mem *ctx, const char *address, const char **ret_port)
{
    const char *host = strstr(address, "://");
    host = host ? host + 3 : address;
    const char *colon = strrchr(host, ':'), *bracket = strrchr(host, ']');
    if (!colon || (bracket && colon < bracket))
        colon = host + strlen(host);
    *ret_port = *colon ? colon + 1 : strncmp(address, "https", 5) == 0 ? "443" : "80";
    return mem_strn(ctx, host, (size_t)(colon - host));
}

enum rc link_address(struct cli *cli, const char **ret, struct err *err)
{
    struct json status;
    const char *port, *problem = "";
    enum rc rc = cli_ask(cli, "GET", "/api/v1/status", STR(""), &status, err);
    if (rc)
        return rc;
    for (struct json_iter it = json_iter(json_get(status, "addresses")); json_next(&it);) {
        const char *url = shown_line(cli->ctx, it.value, "url", 200);
        if (json_is(json_get(it.value, "problem"))) {
            problem = shown_line(cli->ctx, it.value, "problem", 300);
            continue;
        }
        const char *host = host_of(cli->ctx, url, &port); /* all addresses of the machine: this one is among them */
        bool any = !strcmp(host, "0.0.0.0") || !strcmp(host, "[::]");
        *ret = any ? mem_printf(cli->ctx, "%s://localhost:%s", strncmp(url, "https", 5) ? "http" : "https", port) : url;
        return RC_OK;
    }
    err_set(err, RC_UNAVAILABLE, "The daemon listens at no address that a browser could open%s%s", *problem ? ": " : "",
            problem);
    return err_hint(err, "Set one: --set server.address=127.0.0.1:8098, and start the daemon again");
}

const char *link_ssh(mem *ctx, const char *address)
{
    char name[256] = "";
    const char *port, *host = host_of(ctx, address, &port);
    const struct passwd *self = getpwuid(geteuid());
    if (strcmp(host, "localhost") != 0 && strncmp(host, "127.", 4) != 0 && strcmp(host, "[::1]") != 0)
        return NULL;
    if (gethostname(name, sizeof name - 1) != 0 || !name[0])
        memcpy(name, "HOST", 5);
    return mem_printf(ctx, "ssh -L %s:%s:%s %s@%s", port, host, port, self ? self->pw_name : "USER", name);
}

enum rc link_setup(struct cli *cli, const char **ret_address, const char **ret_link, struct err *err)
{
    struct json ticket;
    enum rc rc = link_address(cli, ret_address, err);
    if (!rc)
        rc = cli_ask(cli, "POST", "/api/v1/setup_link", STR("{}"), &ticket, err);
    if (!rc)
        *ret_link = mem_printf(cli->ctx, "%s%s", *ret_address, shown_line(cli->ctx, ticket, "path", 200));
    return rc;
}

void link_explain(struct cli *cli, const char *address)
{
    const char *ssh = link_ssh(cli->ctx, address);
    cli_say(cli, "The link works once, for 30 minutes.");
    if (ssh)
        cli_say(cli, "From another machine, first there: %s", ssh);
}
