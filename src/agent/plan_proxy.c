/* Variables by which programs of every usual ecosystem find a proxy and trust its authority.
 *
 * Each name stands in its program's own manual; there is no common one. Names of both cases are needed: curl reads only
 * the small http_proxy, others only the large one. Programs that read none of these get nowhere, for the sandbox has no
 * other way out. */
#include "agent/backend.h"

static const char *const proxy_names[] = {
    "HTTP_PROXY",      "HTTPS_PROXY",      "ALL_PROXY",        "http_proxy",
    "https_proxy",     "all_proxy",        "npm_config_proxy", "npm_config_https_proxy",
    "YARN_HTTP_PROXY", "YARN_HTTPS_PROXY", "CARGO_HTTP_PROXY", "PIP_PROXY",
};
static const char *const ca_names[] = {
    "SSL_CERT_FILE",           /* OpenSSL, Go, rustls-native-certs */
    "NODE_EXTRA_CA_CERTS",     /* Node.js, Bun */
    "REQUESTS_CA_BUNDLE",      /* Python requests */
    "CURL_CA_BUNDLE",          /* curl */
    "GIT_SSL_CAINFO",          /* git */
    "PIP_CERT",                /* pip */
    "CARGO_HTTP_CAINFO",       /* cargo */
    "npm_config_cafile",       /* npm */
    "YARN_HTTPS_CA_FILE_PATH", /* yarn */
    "DENO_CERT",               /* deno */
    "AWS_CA_BUNDLE",           /* AWS tools */
    "BUNDLE_SSL_CA_CERT",      /* Ruby's bundler */
    "COMPOSER_CAFILE",         /* PHP's composer */
    "HEX_CACERTS_PATH",        /* Elixir's hex */
    "CODEX_CA_CERTIFICATE",    /* Codex */
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
};

/* "-Dhttp.proxyHost=..." for Java, which reads no variable of its own; its tools take options by these. */
static const char *java_options(mem *ctx, const char *url)
{
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t n = strcspn(host, ":/");
    const char *port = host[n] == ':' ? host + n + 1 : "80";
    int digits = (int)strspn(port, "0123456789");
    return mem_printf(ctx,
                      "-Dhttp.proxyHost=%.*s -Dhttp.proxyPort=%.*s -Dhttps.proxyHost=%.*s -Dhttps.proxyPort=%.*s "
                      "-Dhttp.nonProxyHosts=127.0.0.1|localhost",
                      (int)n, host, digits, port, (int)n, host, digits, port);
}

const char *const *backend_proxy_env(mem *ctx, const char *proxy_url, const char *ca_file)
{
    enum { PROXIES = sizeof proxy_names / sizeof *proxy_names, CAS = sizeof ca_names / sizeof *ca_names, MORE = 6 };
    const char **env = mem_array(ctx, const char *, PROXIES + CAS + MORE);
    size_t n = 0;
    for (size_t i = 0; proxy_url && i < PROXIES; i++)
        env[n++] = mem_printf(env, "%s=%s", proxy_names[i], proxy_url);
    if (proxy_url) {
        const char *java = java_options(env, proxy_url);
        env[n++] = "NO_PROXY=127.0.0.1,localhost,::1";
        env[n++] = "no_proxy=127.0.0.1,localhost,::1";
        env[n++] = "NODE_USE_ENV_PROXY=1"; /* fetch of Node.js from 22.21 and 24 on */
        env[n++] = mem_printf(env, "MAVEN_OPTS=%s", java);
        env[n++] = mem_printf(env, "GRADLE_OPTS=%s", java);
    }
    for (size_t i = 0; ca_file && i < CAS; i++)
        env[n++] = mem_printf(env, "%s=%s", ca_names[i], ca_file);
    return env;
}
