/* A task's spec, made before the daemon hears of it. */
#include "ops/prepare.h"
#include "base/text.h"
#include "conf/limits.h"
#include "conf/project.h"
#include "money/money.h"
#include "ops/model.h"
#include "repo/repo.h"
#include "verify/verify.h"
#include <stdlib.h>

#define SPEC_MAX (4u << 20)

struct preparation {
    mem *ctx;
    const struct settings *set;
    const struct prepare_wish *wish;
    struct repo_facts repo;
    const char *base;
    struct project project;
    struct check *checks;
    size_t check_count;
    struct model_choice model;
    const char *agent;        /* "" is the built-in one */
    struct agent_named named; /* version 0: it has no name of its own */
    int64_t iterations, time_s, tokens;
    const char *iterations_words;
    pico money; /* -1: no limit */
    struct json_out o, notes;
    struct buf spec, notes_text;
};

static void note(struct preparation *p, const char *words)
{
    jo_z(&p->notes, words);
}

static enum rc read_project(mem *ctx, const char *git_dir, const char *base, struct project *ret, struct err *err)
{
    static const char *const none[] = {NULL};
    struct str text;
    enum rc rc = repo_blob(ctx, git_dir, base, PROJECT_FILE, 256u << 10, &text, err);
    *ret = (struct project){.money = -1, .setup = none, .protect = none, .arguments = none};
    if (rc == RC_NOT_FOUND)
        return RC_OK;
    return rc == RC_OK ? project_parse(ctx, text, PROJECT_FILE, ret, err) : rc;
}

static enum rc checks_given(mem *ctx, const char *const *given, size_t n, int64_t timeout_s, struct check *checks,
                            struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (!str_trim(str_of(given[i])).n)
            return err_set(err, RC_INVALID, "--check needs a command, such as --check 'make test'");
        checks[i] = (struct check){.name = i ? mem_printf(ctx, "check-%zu", i + 1) : "check",
                                   .command = given[i],
                                   .timeout_s = (int)timeout_s,
                                   .required = true,
                                   .origin = "--check"};
    }
    return RC_OK;
}

enum rc prepare_checks(mem *ctx, const struct settings *set, const char *git_dir, const char *base,
                       const char *const *given, struct project *ret_project, struct check **ret, size_t *ret_n,
                       struct err *err)
{
    int64_t standard = setting_int(set, "check.timeout");
    size_t n = 0;
    enum rc rc = read_project(ctx, git_dir, base, ret_project, err);
    if (rc != RC_OK)
        return rc;
    while (given && given[n])
        n++;
    if (n) {
        *ret = mem_array(ctx, struct check, n);
        *ret_n = n;
        return checks_given(ctx, given, n, standard, *ret, err);
    }
    if (ret_project->check_count) {
        *ret_n = ret_project->check_count;
        *ret = mem_array(ctx, struct check, *ret_n);
        for (size_t i = 0; i < *ret_n; i++) {
            const struct project_check *c = &ret_project->checks[i];
            (*ret)[i] = (struct check){.name = c->name,
                                       .command = c->command,
                                       .timeout_s = (int)(c->timeout_s ? c->timeout_s : standard),
                                       .required = c->required,
                                       .origin = PROJECT_FILE,
                                       .defined_in = PROJECT_FILE};
        }
        return RC_OK;
    }
    rc = check_detect(ctx, git_dir, base, ret, &n, err);
    *ret_n = rc == RC_OK && n > 0; /* the best of those found */
    if (*ret_n && (*ret)[0].timeout_s <= 0)
        (*ret)[0].timeout_s = (int)standard;
    return rc;
}

static int64_t first_set(int64_t a, int64_t b, int64_t c)
{
    return a > 0 ? a : b > 0 ? b : c;
}

static enum rc choose_limits(struct preparation *p, struct err *err)
{
    const struct prepare_wish *w = p->wish;
    struct iteration_limit limit;
    iteration_limit_choose(p->ctx, p->set, str_of(w->text), &limit);
    p->iterations = first_set(w->iterations, p->project.iterations, limit.iterations);
    p->iterations_words =
        w->iterations > 0           ? mem_printf(p->ctx, "%lld iterations: --iterations", (long long)p->iterations)
        : p->project.iterations > 0 ? mem_printf(p->ctx, "%lld iterations: " PROJECT_FILE, (long long)p->iterations)
                                    : limit.words;
    p->time_s = first_set(w->time_s, p->project.time_s, setting_int(p->set, "limits.time"));
    p->tokens = first_set(w->tokens, p->project.tokens, setting_int(p->set, "limits.tokens"));
    pico standard = setting_int(p->set, "limits.money");
    p->money = p->project.money >= 0 ? p->project.money : standard > 0 ? standard : -1;
    if (w->budget && money_parse(str_of(w->budget), &p->money, err) != RC_OK)
        return err_context(err, "--budget");
    if (p->money == 0) {
        err_set(err, RC_INVALID, "a budget of 0 admits no request to a model");
        return err_hint(err, "give an amount, such as --budget 2.00, or leave it away for no limit");
    }
    return RC_OK;
}

static enum rc choose_gates(struct preparation *p, struct err *err)
{
    struct str rest = str_of(p->wish->approve), gate;
    jo_key(&p->o, "approve");
    jo_arr(&p->o);
    while (str_next(&rest, ',', &gate)) {
        gate = str_trim(gate);
        if (!str_eqz(gate, "plan") && !str_eqz(gate, "commit"))
            return err_set(err, RC_INVALID, "--approve takes plan, commit or both: --approve plan,commit");
        jo_str(&p->o, gate);
    }
    jo_end_arr(&p->o);
    return RC_OK;
}

static void note_repository(struct preparation *p)
{
    if (p->repo.dirty)
        note(
            p,
            "the work tree has changes that are not committed: they are not part of this task, and --apply waits until it is clean");
    if (p->repo.submodules)
        note(p, "the repository has submodules: their folders are empty in the workspace");
    if (p->repo.shallow)
        note(p, "the repository is shallow: the agent sees only the history that is here");
    if (!p->repo.branch)
        note(p, "HEAD is detached: the result is delivered as a branch");
    if (!p->repo.user_name || !p->repo.user_email)
        note(
            p,
            "git knows no name and e-mail of yours: commits are by Nightmill; set them with git config user.name and user.email");
}

static void write_strings(struct json_out *o, const char *key, const char *const *v)
{
    jo_key(o, key);
    jo_arr(o);
    for (size_t i = 0; v && v[i]; i++)
        jo_z(o, v[i]);
    jo_end_arr(o);
}

static void write_checks(struct preparation *p)
{
    jo_key(&p->o, "checks");
    jo_arr(&p->o);
    for (size_t i = 0; i < p->check_count; i++) {
        const struct check *c = &p->checks[i];
        jo_obj(&p->o);
        jo_kz(&p->o, "name", c->name);
        jo_kz(&p->o, "command", c->command);
        jo_ki(&p->o, "timeout_s", c->timeout_s);
        jo_kb(&p->o, "required", c->required);
        jo_kz(&p->o, "origin", c->origin);
        jo_kz(&p->o, "defined_in", c->defined_in);
        jo_end_obj(&p->o);
    }
    jo_end_arr(&p->o);
}

static void write_hooks(struct preparation *p)
{
    int64_t standard = setting_int(p->set, "hooks.timeout");
    jo_key(&p->o, "hooks");
    jo_arr(&p->o);
    for (size_t i = 0; i < p->project.hook_count; i++) {
        const struct project_hook *h = &p->project.hooks[i];
        jo_obj(&p->o);
        jo_kz(&p->o, "when", h->when);
        jo_kz(&p->o, "command", h->command);
        jo_ki(&p->o, "timeout_s", h->timeout_s ? h->timeout_s : standard);
        jo_end_obj(&p->o);
    }
    jo_end_arr(&p->o);
}

static void write_limits(struct preparation *p)
{
    struct json_out *o = &p->o;
    jo_key(o, "limits");
    jo_obj(o);
    jo_ki(o, "iterations", p->iterations);
    jo_kz(o, "iterations_words", p->iterations_words);
    jo_ki(o, "time_s", p->time_s);
    jo_ki(o, "tokens", p->tokens);
    jo_kz(o, "money", p->money >= 0 ? money_exact(p->ctx, p->money, 2) : NULL);
    jo_kz(o, "currency", setting_text(p->set, "money.currency"));
    jo_end_obj(o);
}

static void write_model(struct preparation *p)
{
    struct json_out *o = &p->o;
    const struct model_choice *m = &p->model;
    jo_key(o, "model");
    jo_obj(o);
    jo_kz(o, "wire", m->wire);
    jo_kz(o, "url", m->url);
    jo_kz(o, "name", m->name);
    jo_kz(o, "key", m->key);
    jo_kz(o, "why", m->why);
    jo_ki(o, "context", m->context);
    jo_ki(o, "max_output", m->max_output);
    jo_kz(o, "stronger", m->stronger);
    jo_end_obj(o);
}

/* What the named agent says, or otherwise this. */
static const char *agent_says(struct preparation *p, const char *member, const char *otherwise)
{
    return json_z(p->ctx, json_get(p->named.configuration, member), otherwise);
}

/* The program, word by word. */
static void write_program(struct preparation *p)
{
    struct str rest = str_of(agent_says(p, "command", setting_text(p->set, "agent.command"))), word;
    jo_key(&p->o, "program");
    jo_arr(&p->o);
    while (str_next(&rest, ' ', &word))
        if (word.n)
            jo_str(&p->o, word);
    jo_end_arr(&p->o);
}

static void write_arguments(struct preparation *p)
{
    jo_key(&p->o, "arguments");
    jo_arr(&p->o);
    for (const char *const *v = p->project.arguments; *v; v++)
        jo_z(&p->o, *v);
    for (struct json_iter it = json_iter(json_get(p->named.configuration, "arguments")); json_next(&it);)
        jo_z(&p->o, json_z(p->ctx, it.value, ""));
    jo_end_arr(&p->o);
}

static const char *text_or_null(const char *text)
{
    return *text ? text : NULL;
}

/* Nothing stands there for the built-in agent but by which configuration it is set up. */
static void write_agent(struct preparation *p)
{
    struct json_out *o = &p->o;
    if (p->named.version) {
        jo_key(o, "configuration");
        jo_obj(o);
        jo_kz(o, "name", p->named.name);
        jo_kz(o, "project", p->named.project);
        jo_ki(o, "version", p->named.version);
        jo_end_obj(o);
    }
    if (!*p->agent)
        return; /* the ledger calls it nightmill */
    jo_key(o, "agent");
    jo_obj(o);
    jo_kz(o, "name", p->agent);
    jo_kz(o, "approval", agent_says(p, "approval", setting_text(p->set, "agent.approval")));
    write_program(p);
    write_arguments(p);
    jo_kz(o, "folder", text_or_null(agent_says(p, "folder", setting_text(p->set, "agent.folder"))));
    jo_kz(o, "input", agent_says(p, "input", setting_text(p->set, "agent.input")));
    jo_kz(o, "output", agent_says(p, "output", setting_text(p->set, "agent.output")));
    jo_kz(o, "url", text_or_null(agent_says(p, "url", setting_text(p->set, "agent.url"))));
    jo_end_obj(o);
}

/* ---- which agent, and which model ---- */

/* Which setting says it, for a model of this name. */
static const char *agent_setting(struct preparation *p)
{
    static const struct {
        const char *tier, *setting;
    } tiers[] = {{"A", "agent.tier_a"}, {"B", "agent.tier_b"}, {"C", "agent.tier_c"}};
    for (size_t i = 0; i < sizeof tiers / sizeof *tiers; i++)
        if (strcmp(p->model.name, tiers[i].tier) == 0 && *setting_text(p->set, tiers[i].setting))
            return tiers[i].setting;
    return "agent.name";
}

static bool agent_own(const char *name)
{
    return !*name || strcmp(name, "builtin") == 0 || strcmp(name, "native") == 0 || strcmp(name, "nightmill") == 0;
}

/* A name is an agent's own, or one that somebody gave. */
static enum rc agent_resolve(struct preparation *p, const char *name, struct err *err)
{
    const struct project_agent *offer = NULL;
    struct err none = {0};
    for (size_t i = 0; i < p->project.agent_count; i++)
        if (strcmp(p->project.agents[i].name, name) == 0)
            offer = &p->project.agents[i];
    p->agent = agent_own(name) ? "" : name;
    if (!*p->agent || !p->wish->named)
        return RC_OK;
    enum rc rc = p->wish->named(p->wish->arg, name, p->repo.top, offer, &p->named, &none);
    if (rc == RC_NOT_FOUND && !offer)
        return RC_OK;
    if (rc != RC_OK) {
        *err = none;
        return rc;
    }
    const char *base = agent_says(p, "agent", "");
    p->agent = agent_own(base) ? "" : base;
    note(p, mem_printf(p->ctx, "agent %s, version %lld%s: %s%s", name, (long long)p->named.version,
                       *p->named.project ? " (" PROJECT_FILE ")" : "", *p->agent ? p->agent : "builtin",
                       offer && !*p->named.project ? "; the one of " PROJECT_FILE " is not used" : ""));
    return RC_OK;
}

static enum rc choose_model(struct preparation *p, const char *wanted, struct err *err)
{
    const struct prepare_wish *w = p->wish;
    const char *name = wanted ? wanted : *setting_text(p->set, "model.name") ? NULL : p->project.model;
    struct model_known known = {.key = model_key_in_environment, .gateway = w->gateway, .arg = w->arg};
    if (w->replay)
        p->model = *w->recorded;
    return w->replay ? RC_OK : model_choose(p->ctx, p->set, name, &known, &p->model, err);
}

/* The agent that is named decides the model, unless a flag does; where none is named, the model's tier may decide the
 * agent. */
static enum rc choose_agent(struct preparation *p, struct err *err)
{
    const struct prepare_wish *w = p->wish;
    const char *name = w->agent ? w->agent : p->project.agent;
    bool by_setting = !name;
    enum rc rc = RC_OK;
    if (by_setting) {
        rc = choose_model(p, w->model, err);
        if (rc != RC_OK)
            return rc;
        const char *setting = agent_setting(p);
        name = setting_text(p->set, setting);
        if (*name)
            note(p, mem_printf(p->ctx, "agent %s: %s (%s)", name, setting,
                               setting_origin(p->set, setting_row_find(setting))));
    } else if (!w->agent) {
        note(p, mem_printf(p->ctx, "agent %s: " PROJECT_FILE, name));
    }
    rc = agent_resolve(p, name, err);
    const char *model = agent_says(p, "model", NULL);
    if (rc == RC_OK && (!by_setting || (model && !w->model)))
        rc = choose_model(p, w->model ? w->model : model, err);
    return rc;
}

/* The project's, and those of the named agent. */
static const char *instructions_of(struct preparation *p)
{
    const char *ours = p->project.instructions, *named = agent_says(p, "instructions", NULL);
    return ours && named ? mem_printf(p->ctx, "%s\n\n%s", ours, named) : named ? named : ours;
}

static void write_servers(struct preparation *p)
{
    if (!p->project.server_count)
        return;
    jo_key(&p->o, "mcp");
    jo_arr(&p->o);
    for (size_t i = 0; i < p->project.server_count; i++) {
        const struct project_server *s = &p->project.servers[i];
        jo_obj(&p->o);
        jo_kz(&p->o, "name", s->name);
        write_strings(&p->o, "argv", s->argv);
        write_strings(&p->o, "env", s->env);
        jo_end_obj(&p->o);
    }
    jo_end_arr(&p->o);
    if (!*p->agent)
        note(p, "the built-in agent has no use for MCP servers: those of " PROJECT_FILE " are not started");
}

/* The probability is exact, as a fraction. */
static void write_assignment(struct preparation *p)
{
    struct json_out *o = &p->o;
    if (!p->wish->draw_count)
        return;
    jo_key(o, "assignment");
    jo_arr(o);
    for (size_t i = 0; i < p->wish->draw_count; i++) {
        const struct draw *d = &p->wish->draws[i];
        size_t n = 0;
        while (d->from[n])
            n++;
        jo_obj(o);
        jo_kz(o, "of", d->of);
        jo_kz(o, "how", "random");
        write_strings(o, "from", d->from);
        jo_kz(o, "drawn", d->drawn);
        jo_kz(o, "probability", mem_printf(p->ctx, "1/%zu", n));
        jo_end_obj(o);
    }
    jo_end_arr(o);
}

static enum rc write_spec(struct preparation *p, struct err *err)
{
    struct json_out *o = &p->o;
    const struct prepare_wish *w = p->wish;
    jo_obj(o);
    jo_kz(o, "text", w->text);
    jo_kz(o, "repo", p->repo.top);
    jo_kz(o, "git_dir", p->repo.git_dir);
    jo_kz(o, "base", p->base);
    jo_kz(o, "branch", p->repo.branch);
    jo_kb(o, "shallow", p->repo.shallow);
    jo_key(o, "identity");
    jo_obj(o);
    jo_kz(o, "name", p->repo.user_name);
    jo_kz(o, "email", p->repo.user_email);
    jo_end_obj(o);
    write_checks(p);
    write_strings(o, "setup", p->project.setup);
    write_strings(o, "protect", p->project.protect);
    write_strings(o, "allow_check_changes", w->allow_check_changes);
    write_hooks(p);
    enum rc rc = choose_gates(p, err);
    if (rc != RC_OK)
        return rc;
    jo_kb(o, "apply", w->apply);
    jo_kb(o, "require_proof", w->require_proof);
    jo_kb(o, "no_sandbox", w->no_sandbox);
    if (w->record)
        jo_kb(o, "record", true);
    if (w->replay)
        jo_kz(o, "replay", w->replay);
    jo_kz(o, "instructions", instructions_of(p));
    write_limits(p);
    write_model(p);
    write_agent(p);
    write_servers(p);
    write_assignment(p);
    jo_kz(o, "kind", task_class_name(task_class_of(str_of(w->text))));
    jo_key(o, "egress");
    egress_json(o, &p->project.egress);
    jo_key(o, "settings");
    settings_json(p->set, o);
    note_repository(p);
    jo_end_arr(&p->notes);
    jo_kraw(o, "notes", buf_view(&p->notes_text));
    jo_end_obj(o);
    return p->spec.overflow ? err_set(err, RC_LIMIT, "the task is larger than %u MiB", SPEC_MAX >> 20) : RC_OK;
}

enum rc prepare_task(mem *ctx, const struct settings *set, const struct prepare_wish *wish, struct str *ret_spec,
                     struct err *err)
{
    struct preparation *p = mem_new(ctx, struct preparation);
    p->ctx = ctx;
    p->set = set;
    p->wish = wish;
    buf_init(&p->spec, ctx, SPEC_MAX);
    buf_init(&p->notes_text, ctx, 65536);
    json_out_init(&p->o, &p->spec);
    json_out_init(&p->notes, &p->notes_text);
    jo_arr(&p->notes);
    if (!wish->text || !str_trim(str_of(wish->text)).n) {
        err_set(err, RC_INVALID, "say what is to be changed");
        return err_hint(err, "nightmill run \"Add a --json flag to the report command\" --check 'make test'");
    }
    if (!str_utf8(str_of(wish->text)))
        return err_set(err, RC_INVALID, "the task's text is not UTF-8");
    enum rc rc = repo_inspect(ctx, wish->dir ? wish->dir : ".", &p->repo, err);
    if (rc != RC_OK)
        return rc;
    p->base = p->repo.head;
    rc =
        prepare_checks(ctx, set, p->repo.git_dir, p->base, wish->checks, &p->project, &p->checks, &p->check_count, err);
    if (rc == RC_OK && p->check_count == 0)
        note(p, "no check was given or found: the task can only end as unproven; name one with --check 'make test'");
    if (rc == RC_OK)
        rc = choose_limits(p, err);
    if (rc == RC_OK)
        rc = choose_agent(p, err);
    if (rc == RC_OK)
        rc = write_spec(p, err);
    if (rc == RC_OK)
        *ret_spec = buf_view(&p->spec);
    return rc;
}
