/* nightmill user: who may log in, and with which role. */
#include "base/text.h"
#include "cli/link.h"

static const struct argument arguments[] = {
    {.name = "VERB",
     .help = "list users, make one, give a role, change one, make a link for a new password, show logins, end one, "
             "remove a user",
     .choices = "ls|add|role|disable|enable|reset|sessions|logout|rm"},
    {.name = "NAME", .help = "the user; of logout: a session's id", .optional = true},
    {.name = "ROLE", .help = "of role: owner, admin, member, viewer or none", .optional = true},
    {0},
};
static const struct option options[] = {
    {.name = "role",
     .kind = OPTION_CHOICE,
     .argument = "ROLE",
     .choices = "owner|admin|member|viewer",
     .help = "add: what the user may do everywhere; without it: only in projects"},
    {.name = "project",
     .kind = OPTION_TEXT,
     .argument = "FOLDER",
     .help = "role: in this project alone, the top folder of a repository"},
    {.name = "service", .kind = OPTION_SWITCH, .help = "add: a service account, which has keys and no password"},
    {.name = "certificate",
     .kind = OPTION_TEXT,
     .argument = "SUBJECT",
     .help = "add: who shows a client certificate with this subject (RFC 2253) is this user"},
    {0},
};
static const struct example examples[] = {
    {"nightmill user add ada --role admin", "prints the link by which ada sets a password"},
    {"nightmill user role bert member --project /home/ada/shop", "bert works in one project"},
    {"nightmill user add builder --service --role member", "then: nightmill key create builder --account builder"},
    {"nightmill user reset ada", "a link that sets a new password"},
    {0},
};

static const char *path_of(struct cli *cli, const char *name, const char *rest)
{
    return mem_printf(cli->ctx, "/api/v1/users/%s%s", text_url(cli->ctx, str_of(name)), rest);
}

static void user_line(struct cli *cli, struct json u, struct buf *b)
{
    mem *ctx = cli->ctx;
    const char *role = shown_line(ctx, u, "role", 16), *seen = shown_line(ctx, u, "seen_at", 40), *comma = "";
    struct buf roles;
    buf_init(&roles, ctx, 1 << 20);
    for (struct json_iter it = json_iter(json_get(u, "projects")); json_next(&it); comma = ", ")
        buf_printf(&roles, "%s%s in %s", comma, shown_line(ctx, it.value, "role", 16),
                   shown_line(ctx, it.value, "project", 400));
    const char *state = json_bool(json_get(u, "disabled"), false)            ? "disabled"
                        : !strcmp(shown_line(ctx, u, "kind", 16), "service") ? "service"
                        : json_bool(json_get(u, "has_password"), false)      ? "active"
                        : *shown_line(ctx, u, "subject", 400)                ? "certificate"
                                                                             : "invited";
    buf_printf(b, cli->out.live ? "%-8s %-20s %-12s %-8s %-25s %s\n" : "%s\t%s\t%s\t%s\t%s\t%s\n",
               shown_line(ctx, u, "id", 16), shown_line(ctx, u, "name", 64), state, *role ? role : "-",
               *seen ? seen : "never seen", roles.n ? buf_view(&roles).p : "");
}

static enum rc answer_user(struct cli *cli, struct json user)
{
    struct buf b;
    if (cli->json) {
        cli_document(cli, "user", json_raw(user), -1);
        return RC_OK;
    }
    buf_init(&b, cli->ctx, 1 << 20);
    user_line(cli, user, &b);
    cli_answer(cli, buf_view(&b));
    return RC_OK;
}

static enum rc list(struct cli *cli, struct err *err)
{
    struct json answer;
    struct buf b;
    enum rc rc = cli_ask(cli, "GET", "/api/v1/users", STR(""), &answer, err);
    if (rc)
        return rc;
    if (cli->json) {
        cli_document(cli, "users", json_raw(answer), -1);
        return RC_OK;
    }
    buf_init(&b, cli->ctx, 8 << 20);
    for (struct json_iter it = json_iter(json_get(answer, "users")); json_next(&it);)
        user_line(cli, it.value, &b);
    if (!b.n)
        cli_say(cli, "No users. Make the owner: nightmill setup-link");
    cli_answer(cli, buf_view(&b));
    return RC_OK;
}

/* The link alone on standard output, so that it can be sent on. */
static enum rc answer_link(struct cli *cli, struct json ticket, const char *words, struct err *err)
{
    const char *address;
    enum rc rc = link_address(cli, &address, err);
    if (rc)
        return rc;
    cli_answerf(cli, "%s%s\n", address, shown_line(cli->ctx, ticket, "path", 200));
    cli_say(cli, "%s", words);
    link_explain(cli, address);
    return RC_OK;
}

static enum rc add(struct cli *cli, const char *name, struct err *err)
{
    const struct call *call = &cli->call;
    struct json user, setup;
    struct buf b;
    struct json_out o;
    buf_init(&b, cli->ctx, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "name", name);
    jo_kz(&o, "kind", call_has(call, "service") ? "service" : "person");
    if (call_has(call, "role"))
        jo_kz(&o, "role", call_value(call, "role"));
    if (call_has(call, "certificate"))
        jo_kz(&o, "subject", call_value(call, "certificate"));
    jo_end_obj(&o);
    enum rc rc = cli_ask(cli, "POST", "/api/v1/users", buf_view(&b), &user, err);
    setup = rc ? (struct json){0} : json_get(user, "setup");
    if (rc || cli->json || !json_is(setup))
        return rc ? rc : answer_user(cli, user);
    return answer_link(cli, setup,
                       mem_printf(cli->ctx, "By this link %s sets a password and is logged in.",
                                  shown_line(cli->ctx, user, "name", 64)),
                       err);
}

static enum rc role(struct cli *cli, const char *name, struct err *err)
{
    const char *given = call_argument(&cli->call, 2), *project = call_value(&cli->call, "project");
    struct json user;
    struct buf b;
    struct json_out o;
    if (!given) {
        err_set(err, RC_INVALID, "Which role? owner, admin, member, viewer or none");
        return err_hint(err, "nightmill user role %s member", name);
    }
    buf_init(&b, cli->ctx, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "role", strcmp(given, "none") ? given : "");
    if (project)
        jo_kz(&o, "project", project);
    jo_end_obj(&o);
    enum rc rc = project ? cli_ask(cli, "PUT", path_of(cli, name, "/roles"), buf_view(&b), &user, err)
                         : cli_ask(cli, "PATCH", path_of(cli, name, ""), buf_view(&b), &user, err);
    return rc ? rc : answer_user(cli, user);
}

static enum rc disable(struct cli *cli, const char *name, bool off, struct err *err)
{
    struct json user;
    enum rc rc = cli_ask(cli, "PATCH", path_of(cli, name, ""),
                         off ? STR("{\"disabled\":true}") : STR("{\"disabled\":false}"), &user, err);
    return rc ? rc : answer_user(cli, user);
}

static enum rc reset(struct cli *cli, const char *name, struct err *err)
{
    struct json ticket;
    enum rc rc = cli_ask(cli, "POST", path_of(cli, name, "/reset"), STR("{}"), &ticket, err);
    if (rc)
        return rc;
    if (!cli->json)
        return answer_link(cli, ticket, "The former password holds until the link is used.", err);
    cli_document(cli, "link", json_raw(ticket), -1);
    return RC_OK;
}

static enum rc sessions(struct cli *cli, const char *name, struct err *err)
{
    mem *ctx = cli->ctx;
    struct json user, answer;
    struct buf b;
    enum rc rc = cli_ask(cli, "GET", path_of(cli, name, ""), STR(""), &user, err);
    if (!rc)
        rc = cli_ask(cli, "GET", mem_printf(ctx, "/api/v1/sessions?user=%s", shown_line(ctx, user, "id", 16)), STR(""),
                     &answer, err);
    if (rc)
        return rc;
    if (cli->json) {
        cli_document(cli, "sessions", json_raw(answer), -1);
        return RC_OK;
    }
    buf_init(&b, ctx, 8 << 20);
    for (struct json_iter it = json_iter(json_get(answer, "sessions")); json_next(&it);)
        buf_printf(&b, cli->out.live ? "%-13s %-8s %-25s %-16s %s\n" : "%s\t%s\t%s\t%s\t%s\n",
                   shown_line(ctx, it.value, "id", 16), shown_line(ctx, it.value, "kind", 16),
                   shown_line(ctx, it.value, "seen_at", 40), shown_line(ctx, it.value, "address", 64),
                   shown_line(ctx, it.value, "agent", 100));
    if (!b.n)
        cli_say(cli, "No logins.");
    cli_answer(cli, buf_view(&b));
    return RC_OK;
}

static enum rc removed(struct cli *cli, const char *path, struct err *err)
{
    struct json answer;
    enum rc rc = cli_ask(cli, "DELETE", path, STR(""), &answer, err);
    if (rc)
        return rc;
    if (cli->json)
        cli_document(cli, "removed", json_raw(answer), -1);
    else
        cli_say(cli, "Ended: %s.", shown_line(cli->ctx, answer, "removed", 64));
    return RC_OK;
}

static enum rc dispatch(struct cli *cli, struct err *err)
{
    const char *verb = call_argument(&cli->call, 0), *name = call_argument(&cli->call, 1);
    if (!strcmp(verb, "ls"))
        return list(cli, err);
    if (!name) {
        err_set(err, RC_INVALID, "Which user? Its name");
        return err_hint(err, "nightmill user ls lists them");
    }
    return !strcmp(verb, "add")        ? add(cli, name, err)
           : !strcmp(verb, "role")     ? role(cli, name, err)
           : !strcmp(verb, "disable")  ? disable(cli, name, true, err)
           : !strcmp(verb, "enable")   ? disable(cli, name, false, err)
           : !strcmp(verb, "reset")    ? reset(cli, name, err)
           : !strcmp(verb, "sessions") ? sessions(cli, name, err)
           : !strcmp(verb, "logout")
               ? removed(cli, mem_printf(cli->ctx, "/api/v1/sessions/%s", text_url(cli->ctx, str_of(name))), err)
               : removed(cli, path_of(cli, name, ""), err);
}

static int run(struct cli *cli)
{
    struct err err = {0};
    return dispatch(cli, &err) ? cli_fail(cli, &err) : EXIT_DONE;
}

const struct command command_user = {
    .name = "user",
    .summary = "users, their roles and their logins",
    .details =
        "Roles: viewer (looks), member (works: starts, stops and answers tasks, asks models), admin (keys, budgets, "
        "users, settings), owner (everything). A user has a role everywhere, or in projects alone. A role that is "
        "taken away is gone with the next request.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};
