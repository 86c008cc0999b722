/* nightmill setup-link: a fresh link that makes the first owner. */
#include "cli/link.h"

static const struct example examples[] = {
    {"nightmill setup-link", "prints the link; open it in a browser"},
    {0},
};

static int run(struct cli *cli)
{
    struct err err = {0};
    const char *address, *link;
    enum rc rc = link_setup(cli, &address, &link, &err);
    if (rc)
        return cli_fail(cli, &err);
    if (cli->json) {
        struct buf b;
        struct json_out o;
        const char *ssh = link_ssh(cli->ctx, address);
        buf_init(&b, cli->ctx, 65536);
        json_out_init(&o, &b);
        jo_obj(&o);
        jo_kz(&o, "link", link);
        jo_kz(&o, "address", address);
        jo_kz(&o, "ssh", ssh);
        jo_end_obj(&o);
        cli_document(cli, "setup_link", buf_view(&b), -1);
        return EXIT_DONE;
    }
    cli_answerf(cli, "%s\n", link);
    link_explain(cli, address);
    return EXIT_DONE;
}

const struct command command_setup_link = {
    .name = "setup-link",
    .summary = "a fresh link that makes the first owner in the browser",
    .details =
        "The link works once and for 30 minutes; a former one ends. When there is an owner, nightmill user reset "
        "makes a link that sets a user's password.",
    .examples = examples,
    .run = run,
};
