/* Reading what settings and nightmill.yaml say about hosts, and what an agent is handed; egress.h has the contract. */
#include "conf/egress.h"
#include "base/id.h"
#include "base/text.h"
#include "conf/setting.h"
#include "net/hostname.h"

#define SECRETS_MOST 32

static const char *const phases[EGRESS_PHASES] = {"setup", "work"};

const char *egress_phase_name(enum egress_phase phase)
{
    return phases[phase];
}

bool egress_phase_find(const char *name, enum egress_phase *ret)
{
    for (size_t i = 0; i < EGRESS_PHASES; i++) {
        if (strcmp(name, phases[i]) == 0) {
            *ret = (enum egress_phase)i;
            return true;
        }
    }
    return false;
}

enum rc egress_rule_parse(mem *ctx, struct str text, struct egress_rule *ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct hostname h;
    uint16_t port = 0;
    text = str_trim(text);
    bool wildcard = str_starts(text, STR("*."));
    struct err why = {0};
    enum rc rc = hostname_parse_port(wildcard ? str_sub(text, 2, text.n) : text, &h, &port, &why);
    if (rc == RC_OK && wildcard && h.kind != HOSTNAME_DNS)
        rc = err_set(&why, RC_INVALID, "addresses have no wildcards");
    if (rc != RC_OK) {
        err_set(err, RC_INVALID, "\"%s\" is no host: %s", text_terminal_line(tmp, text, 80), why.sentence);
        err_hint(err, "write it as example.org, *.example.org or example.org:8443");
        return RC_INVALID;
    }
    *ret = (struct egress_rule){.host = mem_printf(ctx, "%s%s", wildcard ? "*." : "", h.text), .port = port};
    return RC_OK;
}

/* ---- the journey from the runner to the server ---- */

static void rule_json(struct json_out *o, const struct egress_rule *r)
{
    jo_obj(o);
    jo_kz(o, "host", r->host);
    jo_ki(o, "port", r->port);
    if (r->methods) {
        jo_key(o, "methods");
        jo_arr(o);
        for (const char *const *m = r->methods; *m; m++)
            jo_z(o, *m);
        jo_end_arr(o);
    }
    jo_end_obj(o);
}

void egress_json(struct json_out *o, const struct egress *e)
{
    jo_obj(o);
    for (size_t p = 0; p < EGRESS_PHASES; p++) {
        jo_key(o, phases[p]);
        jo_arr(o);
        for (size_t i = 0; i < e->counts[p]; i++)
            rule_json(o, &e->rules[p][i]);
        jo_end_arr(o);
    }
    jo_end_obj(o);
}

static enum rc rule_from_json(mem *ctx, struct json v, struct egress_rule *ret, struct err *err)
{
    struct json methods = json_get(v, "methods");
    const char *host = json_z(ctx, json_get(v, "host"), "");
    int64_t port = json_int(json_get(v, "port"), 0);
    /* Addresses of IPv6 travel without their brackets. */
    enum rc rc =
        egress_rule_parse(ctx, strchr(host, ':') ? str_of(mem_printf(ctx, "[%s]", host)) : str_of(host), ret, err);
    if (rc == RC_OK && (port < 0 || port > 65535))
        rc = err_set(err, RC_INVALID, "the port of %s is no port", ret->host);
    ret->port = port;
    if (rc != RC_OK || json_type(methods) != JSON_ARRAY || !json_len(methods))
        return rc;
    const char **list = mem_array(ctx, const char *, json_len(methods) + 1);
    size_t n = 0;
    for (struct json_iter it = json_iter(methods); json_next(&it);)
        list[n++] = json_z(ctx, it.value, "");
    ret->methods = list;
    return RC_OK;
}

enum rc egress_from_json(mem *ctx, struct json v, struct egress *ret, struct err *err)
{
    *ret = (struct egress){0};
    for (size_t p = 0; p < EGRESS_PHASES; p++) {
        struct json list = json_get(v, phases[p]);
        if (json_len(list) > EGRESS_RULES_MOST)
            return err_set(err, RC_LIMIT, "there are more than %d hosts", EGRESS_RULES_MOST);
        struct egress_rule *rules = mem_array(ctx, struct egress_rule, json_len(list) + 1);
        ret->rules[p] = rules;
        for (struct json_iter it = json_iter(list); json_next(&it);) {
            enum rc rc = rule_from_json(ctx, it.value, &rules[ret->counts[p]++], err);
            if (rc != RC_OK)
                return rc;
        }
    }
    return RC_OK;
}

/* ---- secrets ---- */

static const struct {
    const char *name;
    unsigned place;
} places[] = {{"header", EGRESS_IN_HEADER}, {"query", EGRESS_IN_QUERY}, {"body", EGRESS_IN_BODY}};

static enum rc places_read(struct str words, unsigned *ret, struct err *err)
{
    struct str word;
    *ret = words.n ? 0 : EGRESS_IN_HEADER;
    while (str_next(&words, '+', &word)) {
        unsigned found = 0;
        for (size_t i = 0; i < sizeof places / sizeof *places; i++)
            if (str_eqz(str_trim(word), places[i].name))
                found = places[i].place;
        if (!found)
            return err_set(err, RC_INVALID, "egress.secrets: a secret is put into header, query or body");
        *ret |= found;
    }
    return RC_OK;
}

static bool variable_valid(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        if (!letter && (!i || c < '0' || c > '9'))
            return false;
    }
    return s.n > 0 && s.n <= 100;
}

static enum rc secret_read(mem *ctx, struct str text, struct egress_secret *ret, struct err *err)
{
    struct str rest = str_trim(text), name, host;
    if (!str_next(&rest, '=', &name) || !variable_valid(str_trim(name)) || !str_next(&rest, '/', &host)) {
        err_set(err, RC_INVALID, "egress.secrets: \"%.*s\" is no NAME=host", text.n < 80 ? (int)text.n : 80, text.p);
        err_hint(err, "write it as API_TOKEN=api.example.org, or API_TOKEN=api.example.org/header+body");
        return RC_INVALID;
    }
    ret->name = str_dup(ctx, str_trim(name));
    enum rc rc = egress_rule_parse(ctx, host, &ret->host, err);
    if (rc == RC_OK && ret->host.host[0] == '*')
        rc = err_set(err, RC_INVALID, "egress.secrets: %s is bound to one host, not to all below one", ret->name);
    return rc == RC_OK ? places_read(rest, &ret->places, err) : rc;
}

enum rc egress_secrets(mem *ctx, const struct settings *set, struct egress_secret **ret, size_t *ret_n, struct err *err)
{
    struct str rest = str_of(setting_text(set, "egress.secrets")), piece;
    *ret = mem_array(ctx, struct egress_secret, SECRETS_MOST);
    *ret_n = 0;
    while (str_next(&rest, ',', &piece)) {
        if (!str_trim(piece).n)
            continue;
        if (*ret_n == SECRETS_MOST)
            return err_set(err, RC_LIMIT, "egress.secrets: at most %d secrets", SECRETS_MOST);
        enum rc rc = secret_read(ctx, piece, &(*ret)[(*ret_n)++], err);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

char *egress_placeholder_new(mem *ctx)
{
    return mem_printf(ctx, "nmph_%s", id_new(ctx, 26));
}

char *egress_canary_new(mem *ctx)
{
    return mem_printf(ctx, "sk-live-%s", id_new(ctx, 40));
}

/* ---- what an agent is handed ---- */

char *egress_ca_path(mem *ctx, const char *data_dir)
{
    return mem_printf(ctx, "%s/egress/ca.pem", data_dir);
}

char *egress_bundle_path(mem *ctx, const char *data_dir)
{
    return mem_printf(ctx, "%s/egress/bundle.pem", data_dir);
}

/* Which file each variable wants: those that add to a program's store get the authority alone, those that replace it
 * the whole bundle. */
static const struct {
    const char *name;
    enum { WANTS_PROXY, WANTS_DIRECT, WANTS_CA, WANTS_BUNDLE, WANTS_JAVA, WANTS_ONE } wants;
} variables[] = {
    {"HTTP_PROXY", WANTS_PROXY},
    {"HTTPS_PROXY", WANTS_PROXY},
    {"ALL_PROXY", WANTS_PROXY},
    {"http_proxy", WANTS_PROXY},
    {"https_proxy", WANTS_PROXY},
    {"all_proxy", WANTS_PROXY},
    {"NO_PROXY", WANTS_DIRECT},
    {"no_proxy", WANTS_DIRECT},
    {"NODE_USE_ENV_PROXY", WANTS_ONE}, /* Node's own fetch, from 22.21 and 24 on */
    {"NODE_EXTRA_CA_CERTS", WANTS_CA},
    {"SSL_CERT_FILE", WANTS_BUNDLE}, /* OpenSSL, Go, Rust's native roots, Python's ssl */
    {"CURL_CA_BUNDLE", WANTS_BUNDLE},
    {"REQUESTS_CA_BUNDLE", WANTS_BUNDLE},
    {"PIP_CERT", WANTS_BUNDLE},
    {"npm_config_cafile", WANTS_BUNDLE},
    {"GIT_SSL_CAINFO", WANTS_BUNDLE},
    {"CARGO_HTTP_CAINFO", WANTS_BUNDLE},
    {"AWS_CA_BUNDLE", WANTS_BUNDLE},
    {"DENO_CERT", WANTS_CA},
    {"BUNDLE_SSL_CA_CERT", WANTS_BUNDLE},
    {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", WANTS_BUNDLE},
    {"npm_config_proxy", WANTS_PROXY},
    {"npm_config_https_proxy", WANTS_PROXY},
    {"YARN_HTTP_PROXY", WANTS_PROXY},
    {"YARN_HTTPS_PROXY", WANTS_PROXY},
    {"YARN_HTTPS_CA_FILE_PATH", WANTS_BUNDLE},
    {"CARGO_HTTP_PROXY", WANTS_PROXY},
    {"PIP_PROXY", WANTS_PROXY},
    {"MAVEN_OPTS", WANTS_JAVA}, /* Java reads no variable of its own without saying so on standard error */
    {"GRADLE_OPTS", WANTS_JAVA},
    {"COMPOSER_CAFILE", WANTS_BUNDLE},
    {"HEX_CACERTS_PATH", WANTS_BUNDLE},
    {"CODEX_CA_CERTIFICATE", WANTS_BUNDLE},
};

/* "http://127.0.0.1:PORT" as options of a Java program. */
static const char *java_options(mem *ctx, const char *url)
{
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    int n = (int)strcspn(host, ":/");
    const char *port = host[n] == ':' ? host + n + 1 : "80";
    int digits = (int)strspn(port, "0123456789");
    return mem_printf(ctx,
                      "-Dhttp.proxyHost=%.*s -Dhttp.proxyPort=%.*s -Dhttps.proxyHost=%.*s -Dhttps.proxyPort=%.*s "
                      "-Dhttp.nonProxyHosts=127.0.0.1|localhost",
                      n, host, digits, port, n, host, digits, port);
}

const char *const *egress_environment(mem *ctx, const char *proxy_url, const char *ca, const char *bundle,
                                      const char *direct)
{
    const size_t n = sizeof variables / sizeof *variables;
    const char **list = mem_array(ctx, const char *, n + 1);
    const char *near =
        mem_printf(ctx, "127.0.0.1,localhost,::1%s%s", direct && *direct ? "," : "", direct ? direct : "");
    const char *values[] = {[WANTS_PROXY] = proxy_url,
                            [WANTS_DIRECT] = near,
                            [WANTS_CA] = ca,
                            [WANTS_BUNDLE] = bundle,
                            [WANTS_JAVA] = java_options(ctx, proxy_url),
                            [WANTS_ONE] = "1"};
    size_t used = 0;
    for (size_t i = 0; i < n; i++)
        if (values[variables[i].wants])
            list[used++] = mem_printf(ctx, "%s=%s", variables[i].name, values[variables[i].wants]);
    return list;
}
