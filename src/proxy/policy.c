/* Reading and applying the rules of a run; policy.h says in which order. Not here: who wrote them (the server). */
#include "proxy/policy.h"
#include <arpa/inet.h>
#include <netinet/in.h>

static const struct {
    const char *name;
    enum verdict verdict;
} verdicts[] = {{"deny", VERDICT_DENY}, {"allow", VERDICT_ALLOW}, {"ask", VERDICT_ASK}, {"tunnel", VERDICT_TUNNEL}};

static bool verdict_find(struct json v, enum verdict *ret)
{
    for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++) {
        if (json_eqz(v, verdicts[i].name)) {
            *ret = verdicts[i].verdict;
            return true;
        }
    }
    return false;
}

/* ---- reading ---- */

static enum rc host_read(mem *ctx, struct json v, struct rule *ret, struct err *err)
{
    struct str text = json_str(ctx, v);
    ret->wildcard = str_starts(text, STR("*."));
    if (ret->wildcard)
        text = str_sub(text, 2, text.n);
    enum rc rc = hostname_parse(text, &ret->host, err);
    if (rc == RC_OK && ret->wildcard && ret->host.kind != HOSTNAME_DNS)
        rc = err_set(err, RC_INVALID, "addresses have no wildcards");
    return rc;
}

static enum rc port_read(struct json v, uint16_t *ret, struct err *err)
{
    int64_t port = json_int(v, 0);
    if (port < 0 || port > 65535)
        return err_set(err, RC_INVALID, "a port is a number up to 65535");
    *ret = (uint16_t)port;
    return RC_OK;
}

static const char *const *methods_read(mem *ctx, struct json v)
{
    if (json_type(v) != JSON_ARRAY || !json_len(v))
        return NULL;
    const char **list = mem_array(ctx, const char *, json_len(v) + 1);
    size_t n = 0;
    for (struct json_iter it = json_iter(v); json_next(&it);)
        list[n++] = json_z(ctx, it.value, "");
    return list;
}

static enum rc rule_read(mem *ctx, struct json v, struct rule *ret, struct err *err)
{
    enum rc rc = host_read(ctx, json_get(v, "host"), ret, err);
    if (rc == RC_OK)
        rc = port_read(json_get(v, "port"), &ret->port, err);
    ret->methods = methods_read(ctx, json_get(v, "methods"));
    if (rc == RC_OK && !verdict_find(json_get(v, "verdict"), &ret->verdict))
        rc = err_set(err, RC_INVALID, "a rule has no verdict");
    return rc;
}

static enum rc rules_read(mem *ctx, struct json list, struct policy *p, struct err *err)
{
    enum rc rc = RC_OK;
    p->rule_room = json_len(list) + 16;
    if (p->rule_room > POLICY_RULES_MOST)
        return err_set(err, RC_LIMIT, "there are too many rules");
    p->rules = mem_array(ctx, struct rule, p->rule_room);
    for (struct json_iter it = json_iter(list); rc == RC_OK && json_next(&it);)
        rc = rule_read(ctx, it.value, &p->rules[p->rule_count++], err);
    return rc;
}

static enum rc private_read(mem *ctx, struct json list, struct policy *p, struct err *err)
{
    enum rc rc = RC_OK;
    p->private_blocks = mem_array(ctx, struct address_block, json_len(list) + 1);
    for (struct json_iter it = json_iter(list); rc == RC_OK && json_next(&it);)
        rc = address_block_parse(json_str(ctx, it.value), &p->private_blocks[p->private_count++], err);
    return rc;
}

static void sockaddr_make(const struct hostname *h, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof *ret);
    if (h->kind == HOSTNAME_IPV6) {
        ret->ss_family = AF_INET6;
        memcpy(&((struct sockaddr_in6 *)ret)->sin6_addr, h->address, 16);
    } else {
        ret->ss_family = AF_INET;
        memcpy(&((struct sockaddr_in *)ret)->sin_addr, h->address, 4);
    }
}

static enum rc pin_read(mem *ctx, struct json v, struct pin *ret, struct err *err)
{
    struct hostname address;
    struct str text = json_str(ctx, json_get(v, "address"));
    enum rc rc = hostname_parse(json_str(ctx, json_get(v, "host")), &ret->host, err);
    if (rc == RC_OK && memchr(text.p ? text.p : "", ':', text.n))
        text = str_of(mem_printf(ctx, "[%.*s]", STR_FMT(text)));
    if (rc == RC_OK)
        rc = hostname_parse(text, &address, err);
    if (rc == RC_OK && address.kind == HOSTNAME_DNS)
        rc = err_set(err, RC_INVALID, "%s is no address", address.text);
    if (rc == RC_OK)
        sockaddr_make(&address, &ret->address);
    return rc;
}

static enum rc pins_read(mem *ctx, struct json list, struct policy *p, struct err *err)
{
    enum rc rc = RC_OK;
    p->pins = mem_array(ctx, struct pin, json_len(list) + 1);
    for (struct json_iter it = json_iter(list); rc == RC_OK && json_next(&it);)
        rc = pin_read(ctx, it.value, &p->pins[p->pin_count++], err);
    return rc;
}

static enum rc secret_read(mem *ctx, struct json v, struct bound_secret *ret, struct err *err)
{
    ret->name = json_z(ctx, json_get(v, "name"), "");
    ret->placeholder = json_str(ctx, json_get(v, "placeholder"));
    ret->value = json_str(ctx, json_get(v, "value"));
    ret->places = (unsigned)json_int(json_get(v, "places"), 0);
    enum rc rc = host_read(ctx, json_get(v, "host"), &ret->host, err);
    if (rc == RC_OK)
        rc = port_read(json_get(v, "port"), &ret->host.port, err);
    if (rc == RC_OK && (ret->placeholder.n < 8 || ret->host.wildcard))
        rc = err_set(err, RC_INVALID, "the secret %.60s has no fit placeholder or no single host", ret->name);
    return rc;
}

static enum rc secrets_read(mem *ctx, struct json list, struct policy *p, struct err *err)
{
    enum rc rc = RC_OK;
    p->secrets = mem_array(ctx, struct bound_secret, json_len(list) + 1);
    for (struct json_iter it = json_iter(list); rc == RC_OK && json_next(&it);)
        rc = secret_read(ctx, it.value, &p->secrets[p->secret_count++], err);
    return rc;
}

static enum rc canaries_read(mem *ctx, struct json list, struct policy *p, struct err *err)
{
    (void)err;
    p->canaries = mem_array(ctx, const char *, json_len(list) + 1);
    for (struct json_iter it = json_iter(list); json_next(&it);)
        p->canaries[p->canary_count++] = json_z(ctx, it.value, "");
    return RC_OK;
}

static const struct {
    const char *key;
    enum rc (*read)(mem *ctx, struct json list, struct policy *p, struct err *err);
} lists[] = {{"rules", rules_read},
             {"private", private_read},
             {"resolve", pins_read},
             {"secrets", secrets_read},
             {"canaries", canaries_read}};

enum rc policy_read(mem *ctx, struct json open, struct policy *ret, struct err *err)
{
    enum rc rc = RC_OK;
    *ret = (struct policy){0};
    ret->ask_unknown = json_eqz(json_get(open, "unknown"), "ask");
    ret->ask_ms = (int)json_int(json_get(open, "ask_ms"), 0);
    for (size_t i = 0; rc == RC_OK && i < sizeof lists / sizeof *lists; i++)
        rc = lists[i].read(ctx, json_get(open, lists[i].key), ret, err);
    return rc;
}

/* ---- judging ---- */

static bool port_matches(uint16_t rule, uint16_t port)
{
    return rule ? rule == port : port == 443 || port == 80;
}

static bool rule_speaks_of(const struct rule *r, const struct hostname *host, uint16_t port)
{
    struct str name = str_of(host->text), own = str_of(r->host.text);
    if (!port_matches(r->port, port) || r->host.kind != host->kind)
        return false;
    if (!r->wildcard)
        return str_eq(name, own);
    return name.n > own.n + 1 && str_ends(name, own) && name.p[name.n - own.n - 1] == '.';
}

static bool method_in(const char *const *methods, const char *method)
{
    for (const char *const *m = methods; *m; m++)
        if (strcmp(*m, method) == 0)
            return true;
    return false;
}

enum verdict policy_judge(mem *ctx, const struct policy *p, const struct hostname *host, uint16_t port,
                          const char *method, const char **ret_why)
{
    bool method_refused = false;
    *ret_why = "";
    for (size_t i = 0; i < p->rule_count; i++) {
        const struct rule *r = &p->rules[i];
        if (!rule_speaks_of(r, host, port))
            continue;
        if (r->methods && method && !method_in(r->methods, method)) {
            method_refused = true;
            continue;
        }
        if (r->verdict == VERDICT_DENY)
            *ret_why = "the host is refused by a rule";
        return r->verdict;
    }
    if (method_refused) {
        *ret_why = mem_printf(ctx, "the rules for the host do not allow %.40s", method);
        return VERDICT_DENY;
    }
    *ret_why = "no rule allows the host";
    return p->ask_unknown ? VERDICT_ASK : VERDICT_DENY;
}

void policy_answer(mem *ctx, struct policy *p, const struct hostname *host, uint16_t port, bool allow)
{
    struct rule fresh = {.host = *host, .port = port, .verdict = allow ? VERDICT_ALLOW : VERDICT_DENY};
    for (size_t i = 0; allow && i < p->rule_count; i++) {
        if (p->rules[i].verdict == VERDICT_ASK && rule_speaks_of(&p->rules[i], host, port)) {
            fresh.methods = p->rules[i].methods;
            break;
        }
    }
    if (p->rule_count == POLICY_RULES_MOST)
        return;
    if (p->rule_count == p->rule_room) {
        p->rule_room = 2 * p->rule_room + 1;
        p->rules = mem_grow(ctx, p->rules, p->rule_room * sizeof *p->rules);
    }
    memmove(p->rules + 1, p->rules, p->rule_count++ * sizeof *p->rules);
    p->rules[0] = fresh;
}

static bool host_same(const struct hostname *a, const struct hostname *b)
{
    return a->kind == b->kind && strcmp(a->text, b->text) == 0;
}

const struct sockaddr *policy_pin(const struct policy *p, const struct hostname *host)
{
    for (size_t i = 0; i < p->pin_count; i++)
        if (host_same(&p->pins[i].host, host))
            return (const struct sockaddr *)&p->pins[i].address;
    return NULL;
}

bool policy_address(const struct policy *p, const struct hostname *host, const struct sockaddr *sa,
                    const char **ret_why)
{
    *ret_why = address_reserved(sa);
    if (!*ret_why || policy_pin(p, host))
        return true;
    for (size_t i = 0; i < p->private_count; i++)
        if (address_block_holds(&p->private_blocks[i], sa))
            return true;
    return false;
}

bool secret_bound(const struct bound_secret *s, const struct hostname *host, uint16_t port)
{
    return rule_speaks_of(&s->host, host, port);
}
