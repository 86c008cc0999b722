/* nightmill.yaml into a struct. Each map has a table of its keys, from which errors, suggestions and docs follow. */
#include "conf/project.h"
#include "base/buf.h"
#include "base/text.h"
#include "conf/yaml.h"
#include "money/money.h"

enum {
    PROJECT_ITEMS = 100,     /* checks, hooks of one moment, entries of a list */
    PROJECT_NAME = 64,       /* bytes of a check's name */
    PROJECT_COMMAND = 8192,  /* bytes of a command */
    PROJECT_GLOB = 1024,     /* bytes of a glob */
    PROJECT_TEXT = 32 << 10, /* bytes of the instructions */
    PROJECT_TIMEOUT = 86400, /* seconds */
    PROJECT_TIME = 31536000, /* seconds */
};

struct parser {
    mem *ctx;
    const char *name;
    struct err *err;
};

/* One key of a map; `take` reads its value into `into`. */
struct key {
    const char *name;
    enum rc (*take)(struct parser *ps, const struct yaml *node, void *into);
    const char *help;
};

static enum rc unknown_key(struct parser *ps, const struct yaml *node, const struct key *keys, size_t n,
                           const char *where)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char **names = mem_array(tmp, const char *, n);
    for (size_t i = 0; i < n; i++)
        names[i] = keys[i].name;
    const char *near = text_nearest(str_of(node->key), names, n);
    const char *all = names[0];
    for (size_t i = 1; i < n; i++)
        all = mem_printf(tmp, "%s, %s", all, names[i]);
    const char *next = near ? mem_printf(tmp, "did you mean \"%s\"?", near) : mem_printf(tmp, "known are %s.", all);
    return yaml_fail(ps->err, ps->name, node, true, "Unknown key \"%s\"%s; %s",
                     text_terminal_line(tmp, str_of(node->key), 60), where, next);
}

static enum rc map_take(struct parser *ps, const struct yaml *map, const struct key *keys, size_t n, const char *where,
                        void *into)
{
    enum rc rc = RC_OK;
    for (const struct yaml *node = map->first; node && !rc; node = node->next) {
        size_t i = 0;
        while (i < n && strcmp(keys[i].name, node->key))
            i++;
        if (i == n)
            return unknown_key(ps, node, keys, n, where);
        rc = keys[i].take(ps, node, into);
    }
    return rc;
}

static enum rc must_be(struct parser *ps, const struct yaml *node, const char *words)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *key = node->key ? text_terminal_line(tmp, str_of(node->key), 60) : "An entry";
    bool quoted = node->key != NULL;
    return yaml_fail(ps->err, ps->name, node, false, "%s%s%s must be %s.", quoted ? "\"" : "", key, quoted ? "\"" : "",
                     words);
}

/* A text that is given, of at most `max` bytes; only what spans lines on purpose may hold control characters. */
static enum rc text_take(struct parser *ps, const struct yaml *node, size_t max, const char *what, const char **ret)
{
    if (node->kind != YAML_TEXT || yaml_absent(node) || !str_trim(str_of(node->text)).n)
        return must_be(ps, node, what);
    if (strlen(node->text) > max) {
        CLEANUP_MEM mem *tmp = mem_root();
        return must_be(ps, node, mem_printf(tmp, "%s of at most %zu bytes", what, max));
    }
    *ret = mem_str(ps->ctx, node->text);
    return RC_OK;
}

static enum rc int_take(struct parser *ps, const struct yaml *node, int64_t max, int64_t *ret)
{
    if (node->kind == YAML_TEXT && str_int(str_of(node->text), 1, max, ret))
        return RC_OK;
    CLEANUP_MEM mem *tmp = mem_root();
    return must_be(ps, node, mem_printf(tmp, "a whole number from 1 to %lld", (long long)max));
}

static enum rc duration_take(struct parser *ps, const struct yaml *node, int64_t max, int64_t *ret)
{
    int64_t seconds;
    if (node->kind != YAML_TEXT || !text_duration_parse(str_of(node->text), &seconds) || seconds < 1)
        return must_be(ps, node, "a duration such as 90, 15m or 1h30m");
    if (seconds > max) {
        CLEANUP_MEM mem *tmp = mem_root();
        return must_be(ps, node, mem_printf(tmp, "a duration of at most %s", text_duration(tmp, max)));
    }
    *ret = seconds;
    return RC_OK;
}

/* --- checks ------------------------------------------------------------------------------------------------------ */

static enum rc check_command(struct parser *ps, const struct yaml *node, void *into)
{
    struct project_check *check = into;
    return text_take(ps, node, PROJECT_COMMAND, "a command", &check->command);
}

static enum rc check_timeout(struct parser *ps, const struct yaml *node, void *into)
{
    struct project_check *check = into;
    return duration_take(ps, node, PROJECT_TIMEOUT, &check->timeout_s);
}

static enum rc check_required(struct parser *ps, const struct yaml *node, void *into)
{
    struct project_check *check = into;
    check->required = node->kind == YAML_TEXT && node->plain && !strcmp(node->text, "true");
    bool no = node->kind == YAML_TEXT && node->plain && !strcmp(node->text, "false");
    return check->required || no ? RC_OK : must_be(ps, node, "true or false");
}

static const struct key check_keys[] = {
    {"command", check_command, "command for `/bin/sh -c` in the top folder; exit status 0 passes"},
    {"timeout", check_timeout, "most time of it; else the setting `check.timeout`"},
    {"required", check_required, "whether it must pass; default true"},
};

static bool name_plain(const char *name)
{
    size_t n = strlen(name);
    return n && n <= PROJECT_NAME && name[0] != '-' && name[0] != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == n;
}

static enum rc check_take(struct parser *ps, const struct yaml *node, struct project_check *check)
{
    *check = (struct project_check){.name = mem_str(ps->ctx, node->key), .required = true};
    if (!name_plain(node->key))
        return yaml_fail(ps->err, ps->name, node, true,
                         "The name of a check must be of letters, digits, '-', '_' and '.', at most %d.",
                         (int)PROJECT_NAME);
    if (node->kind != YAML_MAP)
        return text_take(ps, node, PROJECT_COMMAND, "a command, or a map with \"command\"", &check->command);
    enum rc rc = map_take(ps, node, check_keys, sizeof check_keys / sizeof check_keys[0], " of a check", check);
    if (!rc && !check->command)
        rc = yaml_fail(ps->err, ps->name, node, true, "The check \"%s\" has no command.", check->name);
    return rc;
}

static enum rc checks_take(struct parser *ps, const struct yaml *node, void *into)
{
    struct project *project = into;
    if (node->kind != YAML_MAP || !node->count)
        return must_be(ps, node, "a map from name to command");
    if (node->count > PROJECT_ITEMS)
        return must_be(ps, node, "a map of at most 100 checks");
    struct project_check *checks = mem_array(ps->ctx, struct project_check, node->count);
    enum rc rc = RC_OK;
    for (const struct yaml *child = node->first; child && !rc; child = child->next)
        rc = check_take(ps, child, &checks[project->check_count++]);
    project->checks = checks;
    return rc;
}

/* --- lists ------------------------------------------------------------------------------------------------------- */

static enum rc list_take(struct parser *ps, const struct yaml *node, size_t max, const char *of,
                         const char *const **ret)
{
    CLEANUP_MEM mem *tmp = mem_root();
    if (node->kind != YAML_LIST || node->count > PROJECT_ITEMS)
        return must_be(ps, node, mem_printf(tmp, "a list of %ss, at most 100", of));
    const char **list = mem_array(ps->ctx, const char *, node->count + 1);
    enum rc rc = RC_OK;
    size_t n = 0;
    for (const struct yaml *child = node->first; child && !rc; child = child->next)
        rc = text_take(ps, child, max, mem_printf(tmp, "a %s", of), &list[n++]);
    *ret = list;
    return rc;
}

static enum rc setup_take(struct parser *ps, const struct yaml *node, void *into)
{
    struct project *project = into;
    return list_take(ps, node, PROJECT_COMMAND, "command", &project->setup);
}

static enum rc protect_take(struct parser *ps, const struct yaml *node, void *into)
{
    struct project *project = into;
    return list_take(ps, node, PROJECT_GLOB, "glob", &project->protect);
}

/* --- hooks ------------------------------------------------------------------------------------------------------- */

static enum rc hook_command(struct parser *ps, const struct yaml *node, void *into)
{
    struct project_hook *hook = into;
    return text_take(ps, node, PROJECT_COMMAND, "a command", &hook->command);
}

static enum rc hook_timeout(struct parser *ps, const struct yaml *node, void *into)
{
    struct project_hook *hook = into;
    return duration_take(ps, node, PROJECT_TIMEOUT, &hook->timeout_s);
}

static const struct key hook_keys[] = {
    {"command", hook_command, "command for `/bin/sh -c`; exit 0 goes on, 2 blocks, others warn"},
    {"timeout", hook_timeout, "most time of it; else the setting `hooks.timeout`"},
};

static enum rc hook_take(struct parser *ps, const struct yaml *node, struct project_hook *hook)
{
    if (node->kind != YAML_MAP)
        return text_take(ps, node, PROJECT_COMMAND, "a command, or a map with \"command\"", &hook->command);
    enum rc rc = map_take(ps, node, hook_keys, sizeof hook_keys / sizeof hook_keys[0], " of a hook", hook);
    if (!rc && !hook->command)
        rc = yaml_fail(ps->err, ps->name, node, false, "The hook has no command.");
    return rc;
}

/* All moments take the same shape: the key of the node is the moment. */
static enum rc moment_take(struct parser *ps, const struct yaml *node, void *into)
{
    struct project *project = into;
    if (node->kind != YAML_LIST || node->count > PROJECT_ITEMS)
        return must_be(ps, node, "a list of commands, at most 100");
    size_t have = project->hook_count;
    struct project_hook *hooks = mem_array(ps->ctx, struct project_hook, have + node->count);
    if (have)
        memcpy(hooks, project->hooks, have * sizeof *hooks);
    project->hooks = hooks;
    enum rc rc = RC_OK;
    for (const struct yaml *child = node->first; child && !rc; child = child->next) {
        struct project_hook *hook = &hooks[project->hook_count++];
        hook->when = mem_str(ps->ctx, node->key);
        rc = hook_take(ps, child, hook);
    }
    return rc;
}

static const struct key hooks_keys[] = {
    {"before-iteration", moment_take, "list of commands before the agent begins"},
    {"after-iteration", moment_take, "list of commands when the agent has ended"},
    {"before-done", moment_take, "list of commands before a proven task is delivered"},
    {"on-stop", moment_take, "list of commands when the task rests or ends"},
};

static enum rc hooks_take(struct parser *ps, const struct yaml *node, void *into)
{
    if (node->kind != YAML_MAP)
        return must_be(ps, node, "a map from moment to commands");
    return map_take(ps, node, hooks_keys, sizeof hooks_keys / sizeof hooks_keys[0], " of hooks", into);
}

/* --- limits and agent -------------------------------------------------------------------------------------------- */

static enum rc limit_iterations(struct parser *ps, const struct yaml *node, void *into)
{
    struct project *project = into;
    return int_take(ps, node, 1000, &project->iterations);
}

static enum rc limit_time(struct parser *ps, const struct yaml *node, void *into)
{
    struct project *project = into;
    return duration_take(ps, node, PROJECT_TIME, &project->time_s);
}

static enum rc limit_tokens(struct parser *ps, const struct yaml *node, void *into)
{
    struct project *project = into;
    return int_take(ps, node, INT64_C(1000000000000), &project->tokens);
}

static enum rc limit_money(struct parser *ps, const struct yaml *node, void *into)
{
    struct project *project = into;
    pico money;
    if (node->kind != YAML_TEXT || money_parse(str_of(node->text), &money, NULL) != RC_OK)
        return must_be(ps, node, "an amount such as 2.00");
    project->money = money;
    return RC_OK;
}

static const struct key limits_keys[] = {
    {"iterations", limit_iterations, "iterations before the task pauses"},
    {"time", limit_time, "working time before the task pauses"},
    {"tokens", limit_tokens, "tokens before the task pauses"},
    {"money", limit_money, "money before the task pauses, in the currency of the settings"},
};

static enum rc limits_take(struct parser *ps, const struct yaml *node, void *into)
{
    if (node->kind != YAML_MAP)
        return must_be(ps, node, "a map of limits");
    return map_take(ps, node, limits_keys, sizeof limits_keys / sizeof limits_keys[0], " of limits", into);
}

static enum rc agent_name(struct parser *ps, const struct yaml *node, void *into)
{
    struct project *project = into;
    return text_take(ps, node, PROJECT_NAME, "a name", &project->agent);
}

static enum rc agent_model(struct parser *ps, const struct yaml *node, void *into)
{
    struct project *project = into;
    return text_take(ps, node, 200, "a name", &project->model);
}

static enum rc agent_instructions(struct parser *ps, const struct yaml *node, void *into)
{
    struct project *project = into;
    return text_take(ps, node, PROJECT_TEXT, "a text", &project->instructions);
}

static enum rc agent_arguments(struct parser *ps, const struct yaml *node, void *into)
{
    struct project *project = into;
    return list_take(ps, node, PROJECT_GLOB, "argument", &project->arguments);
}

static const struct key agent_keys[] = {
    {"name", agent_name, "which agent works"},
    {"model", agent_model, "which model it asks; a flag or the environment wins"},
    {"instructions", agent_instructions, "what it is told in every iteration"},
    {"arguments", agent_arguments, "list of further arguments for an agent that is a program"},
};

static enum rc agent_take(struct parser *ps, const struct yaml *node, void *into)
{
    if (node->kind != YAML_MAP)
        return must_be(ps, node, "a map");
    return map_take(ps, node, agent_keys, sizeof agent_keys / sizeof agent_keys[0], " of agent", into);
}

/* --- named agents ------------------------------------------------------------------------------------------------ */

static enum rc named_agent(struct parser *ps, const struct yaml *node, void *into)
{
    struct project_agent *agent = into;
    return text_take(ps, node, PROJECT_NAME, "a name", &agent->agent);
}

static enum rc named_model(struct parser *ps, const struct yaml *node, void *into)
{
    struct project_agent *agent = into;
    return text_take(ps, node, 200, "a name", &agent->model);
}

static enum rc named_instructions(struct parser *ps, const struct yaml *node, void *into)
{
    struct project_agent *agent = into;
    return text_take(ps, node, PROJECT_TEXT, "a text", &agent->instructions);
}

static enum rc named_arguments(struct parser *ps, const struct yaml *node, void *into)
{
    struct project_agent *agent = into;
    return list_take(ps, node, PROJECT_GLOB, "argument", &agent->arguments);
}

static const struct key named_keys[] = {
    {"agent", named_agent, "which agent it is: `builtin`, `codex`, ..."},
    {"model", named_model, "which model it asks; a flag wins"},
    {"instructions", named_instructions, "what it is told in every iteration, after `agent.instructions`"},
    {"arguments", named_arguments, "list of further arguments, after `agent.arguments`"},
};

static enum rc name_check(struct parser *ps, const struct yaml *node, const char *what)
{
    if (name_plain(node->key))
        return RC_OK;
    return yaml_fail(ps->err, ps->name, node, true,
                     "The name of %s must be of letters, digits, '-', '_' and '.', at most %d.", what,
                     (int)PROJECT_NAME);
}

static enum rc agents_take(struct parser *ps, const struct yaml *node, void *into)
{
    static const char *const none[] = {NULL};
    struct project *project = into;
    if (node->kind != YAML_MAP || node->count > PROJECT_ITEMS)
        return must_be(ps, node, "a map from name to agent, at most 100");
    struct project_agent *agents = mem_array(ps->ctx, struct project_agent, node->count + 1);
    enum rc rc = RC_OK;
    project->agents = agents;
    for (const struct yaml *child = node->first; child && !rc; child = child->next) {
        struct project_agent *a = &agents[project->agent_count++];
        *a = (struct project_agent){.name = mem_str(ps->ctx, child->key), .arguments = none};
        rc = name_check(ps, child, "an agent");
        if (!rc && child->kind != YAML_MAP)
            rc = must_be(ps, child, "a map");
        if (!rc)
            rc = map_take(ps, child, named_keys, sizeof named_keys / sizeof named_keys[0], " of an agent", a);
        if (!rc && !a->agent)
            rc = yaml_fail(ps->err, ps->name, child, true, "The agent \"%s\" does not say which agent it is.", a->name);
    }
    return rc;
}

/* --- MCP servers ------------------------------------------------------------------------------------------------- */

struct server_parts {
    const char *command;
    const char *const *args, *const *env;
};

static enum rc server_command(struct parser *ps, const struct yaml *node, void *into)
{
    struct server_parts *parts = into;
    return text_take(ps, node, PROJECT_GLOB, "a program", &parts->command);
}

static enum rc server_args(struct parser *ps, const struct yaml *node, void *into)
{
    struct server_parts *parts = into;
    return list_take(ps, node, PROJECT_COMMAND, "argument", &parts->args);
}

static bool variable_plain(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    size_t n = strlen(name);
    return n && n <= PROJECT_NAME && strchr(letters, name[0]) &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789") == n;
}

static enum rc server_env(struct parser *ps, const struct yaml *node, void *into)
{
    struct server_parts *parts = into;
    if (node->kind != YAML_MAP || node->count > PROJECT_ITEMS)
        return must_be(ps, node, "a map from variable to value, at most 100");
    const char **env = mem_array(ps->ctx, const char *, node->count + 1);
    size_t n = 0;
    for (const struct yaml *child = node->first; child; child = child->next) {
        const char *value = NULL;
        if (!variable_plain(child->key))
            return yaml_fail(ps->err, ps->name, child, true, "A variable's name is of letters, digits and '_'.");
        enum rc rc = text_take(ps, child, PROJECT_COMMAND, "a text", &value);
        if (rc)
            return rc;
        env[n++] = mem_printf(ps->ctx, "%s=%s", child->key, value);
    }
    parts->env = env;
    return RC_OK;
}

static const struct key server_keys[] = {
    {"command", server_command, "program that is started in the sandbox, as the agent's own"},
    {"args", server_args, "list of its arguments"},
    {"env", server_env, "its variables; `${NAME}` in a value stands for a secret of `egress.secrets`"},
};

static enum rc server_take(struct parser *ps, const struct yaml *node, struct project_server *server)
{
    static const char *const none[] = {NULL};
    struct server_parts parts = {.args = none, .env = none};
    enum rc rc = name_check(ps, node, "an MCP server");
    if (!rc && strchr(node->key, '.'))
        rc = yaml_fail(ps->err, ps->name, node, true, "The name of an MCP server has no '.'.");
    if (!rc && node->kind != YAML_MAP)
        rc = must_be(ps, node, "a map with \"command\"");
    if (!rc)
        rc = map_take(ps, node, server_keys, sizeof server_keys / sizeof server_keys[0], " of an MCP server", &parts);
    if (!rc && !parts.command)
        rc = yaml_fail(ps->err, ps->name, node, true, "The MCP server \"%s\" has no command.", node->key);
    if (rc)
        return rc;
    size_t n = 0;
    while (parts.args[n])
        n++;
    const char **argv = mem_array(ps->ctx, const char *, n + 2);
    argv[0] = parts.command;
    memcpy(argv + 1, parts.args, n * sizeof *argv);
    *server = (struct project_server){mem_str(ps->ctx, node->key), argv, parts.env};
    return RC_OK;
}

static enum rc mcp_take(struct parser *ps, const struct yaml *node, void *into)
{
    struct project *project = into;
    if (node->kind != YAML_MAP || node->count > PROJECT_ITEMS)
        return must_be(ps, node, "a map from name to MCP server, at most 100");
    struct project_server *servers = mem_array(ps->ctx, struct project_server, node->count + 1);
    enum rc rc = RC_OK;
    for (const struct yaml *child = node->first; child && !rc; child = child->next)
        rc = server_take(ps, child, &servers[project->server_count++]);
    project->servers = servers;
    return rc;
}

/* --- egress ------------------------------------------------------------------------------------------------------ */

static enum rc egress_host(struct parser *ps, const struct yaml *node, void *into)
{
    struct egress_rule *rule = into;
    struct err why = {0};
    if (node->kind != YAML_TEXT || yaml_absent(node))
        return must_be(ps, node, "a host");
    if (egress_rule_parse(ps->ctx, str_of(node->text), rule, &why) == RC_OK)
        return RC_OK;
    yaml_fail(ps->err, ps->name, node, false, "%s.", why.sentence);
    return err_hint(ps->err, "%s", why.hint);
}

static enum rc egress_methods(struct parser *ps, const struct yaml *node, void *into)
{
    struct egress_rule *rule = into;
    enum rc rc = list_take(ps, node, 32, "method", &rule->methods);
    for (const char *const *m = rule->methods; rc == RC_OK && m && *m; m++)
        if (strspn(*m, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != strlen(*m))
            rc = must_be(ps, node, "a list of methods in capital letters such as GET");
    return rc;
}

static const struct key egress_rule_keys[] = {
    {"host", egress_host, "`example.org`, `*.example.org` or `example.org:8443`"},
    {"methods", egress_methods, "list of methods; default all"},
};

static enum rc egress_rule_take(struct parser *ps, const struct yaml *node, struct egress_rule *rule)
{
    if (node->kind != YAML_MAP)
        return egress_host(ps, node, rule);
    enum rc rc =
        map_take(ps, node, egress_rule_keys, sizeof egress_rule_keys / sizeof egress_rule_keys[0], " of a host", rule);
    if (!rc && !rule->host)
        rc = yaml_fail(ps->err, ps->name, node, false, "The entry has no host.");
    return rc;
}

/* Both phases take the same shape: the key of the node is the phase. */
static enum rc egress_phase_take(struct parser *ps, const struct yaml *node, void *into)
{
    struct egress *egress = into;
    enum egress_phase phase = EGRESS_WORK;
    (void)egress_phase_find(node->key, &phase);
    if (node->kind != YAML_LIST || node->count > PROJECT_ITEMS)
        return must_be(ps, node, "a list of hosts, at most 100");
    struct egress_rule *rules = mem_array(ps->ctx, struct egress_rule, node->count + 1);
    enum rc rc = RC_OK;
    egress->rules[phase] = rules;
    for (const struct yaml *child = node->first; child && !rc; child = child->next)
        rc = egress_rule_take(ps, child, &rules[egress->counts[phase]++]);
    return rc;
}

static const struct key egress_keys[] = {
    {"setup", egress_phase_take, "list of hosts that setup commands need"},
    {"work", egress_phase_take, "list of hosts that the agent and the checks need"},
};

static enum rc egress_take(struct parser *ps, const struct yaml *node, void *into)
{
    struct project *project = into;
    if (node->kind != YAML_MAP)
        return must_be(ps, node, "a map from phase to hosts");
    return map_take(ps, node, egress_keys, sizeof egress_keys / sizeof egress_keys[0], " of egress", &project->egress);
}

/* --- the file ---------------------------------------------------------------------------------------------------- */

static const struct key project_keys[] = {
    {"checks", checks_take, "checks by name; all required ones must pass"},
    {"setup", setup_take,
     "list of commands run once, such as `npm ci`; what they make and git ignores is there, read-only, for agent and checks"},
    {"protect", protect_take, "list of globs of protected paths, on top of the built-in ones"},
    {"hooks", hooks_take, "commands at moments of the loop"},
    {"limits", limits_take, "limits of a task"},
    {"agent", agent_take, "the agent and what it is told"},
    {"agents", agents_take, "named agents for `--agent NAME`, each a map; what one says counts as a version of it"},
    {"mcp", mcp_take, "MCP servers by name that agents are given, over stdio, started in the sandbox"},
    {"egress", egress_take, "hosts that the project needs; the setting `egress.project` says what that counts for"},
};

static void project_empty(mem *ctx, struct project *ret)
{
    const char *const *none = mem_array(ctx, const char *, 1);
    *ret = (struct project){.setup = none, .protect = none, .arguments = none, .money = -1};
}

enum rc project_parse(mem *ctx, struct str text, const char *name, struct project *ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct yaml *root;
    struct parser ps = {.ctx = ctx, .name = name, .err = err};
    project_empty(ctx, ret);
    enum rc rc = yaml_parse(tmp, text, name, &root, err);
    if (!rc && root->kind != YAML_MAP && !yaml_absent(root))
        rc = yaml_fail(err, name, root, false, "The file must be a map with keys such as \"checks\".");
    if (!rc && root->kind == YAML_MAP)
        rc = map_take(&ps, root, project_keys, sizeof project_keys / sizeof project_keys[0], "", ret);
    if (rc)
        project_empty(ctx, ret);
    return rc;
}

static void rows_add(struct buf *out, const char *prefix, const struct key *keys, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "| `%s%s` | %s |\n", prefix, keys[i].name, keys[i].help);
}

void project_markdown(struct buf *out)
{
    static const struct {
        const char *prefix;
        const struct key *keys;
        size_t n;
    } tables[] = {
        {"checks.NAME.", check_keys, sizeof check_keys / sizeof check_keys[0]},
        {"hooks.", hooks_keys, sizeof hooks_keys / sizeof hooks_keys[0]},
        {"hooks.MOMENT[].", hook_keys, sizeof hook_keys / sizeof hook_keys[0]},
        {"limits.", limits_keys, sizeof limits_keys / sizeof limits_keys[0]},
        {"agent.", agent_keys, sizeof agent_keys / sizeof agent_keys[0]},
        {"agents.NAME.", named_keys, sizeof named_keys / sizeof named_keys[0]},
        {"mcp.NAME.", server_keys, sizeof server_keys / sizeof server_keys[0]},
        {"egress.", egress_keys, sizeof egress_keys / sizeof egress_keys[0]},
        {"egress.PHASE.", egress_rule_keys, sizeof egress_rule_keys / sizeof egress_rule_keys[0]},
    };
    buf_z(out, "| key | meaning |\n|---|---|\n");
    rows_add(out, "", project_keys, sizeof project_keys / sizeof project_keys[0]);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        rows_add(out, tables[i].prefix, tables[i].keys, tables[i].n);
}
