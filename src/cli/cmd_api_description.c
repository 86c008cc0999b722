/* nightmill api-description: what GET /api/openapi.json gives, without a daemon. The web page's types are made of it.
 */
#include "api/openapi.h"
#include "cli/session.h"

enum { DESCRIPTION_MOST = 4 << 20 };

static const struct example examples[] = {
    {"nightmill api-description > nightmill.json", "for generators of clients and for linters"},
    {0},
};

static int run(struct cli *cli)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, cli->ctx, DESCRIPTION_MOST);
    json_out_init(&o, &b);
    openapi_write(&o);
    if (cli->json)
        cli_document(cli, "api-description", buf_view(&b), -1);
    else
        cli_answerf(cli, "%.*s\n", STR_FMT(buf_view(&b)));
    return EXIT_DONE;
}

const struct command command_api_description = {
    .name = "api-description",
    .summary = "print the description of the HTTP interface as OpenAPI 3.1",
    .details =
        "It is the one of this program, made without a daemon; a running one gives its own at /api/openapi.json.",
    .examples = examples,
    .run = run,
};
