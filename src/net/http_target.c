/* What a request asks for: path and query of its target (RFC 9112 section 3.2, RFC 3986). Routing is not here. */
#include "net/http_parse.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char low = (char)(c | 0x20);
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

bool http_percent_decode(mem *ctx, struct str s, bool plus, struct str *ret)
{
    char *out = mem_strn(ctx, s.p, s.n);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            int high = i + 2 < s.n ? hex_value(s.p[i + 1]) : -1;
            int low = i + 2 < s.n ? hex_value(s.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        out[n++] = c;
    }
    out[n] = '\0';
    *ret = str_n(out, n);
    return true;
}

static bool has_parent_segment(struct str path)
{
    struct str rest = path, segment;
    while (str_next(&rest, '/', &segment))
        if (str_eq(segment, STR("..")))
            return true;
    return false;
}

enum rc http_target_split(mem *ctx, struct str method, struct str target, struct str *ret_path, struct str *ret_query,
                          struct err *err)
{
    *ret_query = STR("");
    if (str_eq(target, STR("*")) && str_eq(method, STR("OPTIONS"))) {
        *ret_path = STR("*");
        return RC_OK;
    }
    /* A target with an authority of its own is for proxies, and would be a second Host to disagree with the first. */
    if (target.n == 0 || target.p[0] != '/' || str_eq(method, STR("CONNECT")))
        return err_set(err, RC_INVALID, "The request's target is not a path: this server is no proxy.");
    const char *mark = target.n ? memchr(target.p, '?', target.n) : NULL;
    struct str raw = mark ? str_n(target.p, (size_t)(mark - target.p)) : target;
    if (mark)
        *ret_query = str_n(mark + 1, target.n - raw.n - 1);
    if (!http_percent_decode(ctx, raw, false, ret_path))
        return err_set(err, RC_INVALID, "The request's path holds a broken escape.");
    if (memchr(ret_path->p, '\0', ret_path->n) || has_parent_segment(*ret_path))
        return err_set(err, RC_INVALID, "The request's path holds a NUL byte or a \"..\" segment.");
    return RC_OK;
}

const char *http_query(const struct http_request *r, const char *name)
{
    struct str rest = r->query, pair, key, value;
    while (str_next(&rest, '&', &pair)) {
        const char *eq = pair.n ? memchr(pair.p, '=', pair.n) : NULL;
        struct str raw_key = eq ? str_n(pair.p, (size_t)(eq - pair.p)) : pair;
        struct str raw_value = eq ? str_n(eq + 1, pair.n - raw_key.n - 1) : STR("");
        if (!http_percent_decode(r->ctx, raw_key, true, &key) || !str_eqz(key, name))
            continue;
        bool good = http_percent_decode(r->ctx, raw_value, true, &value) && !memchr(value.p, '\0', value.n);
        return good ? value.p : NULL;
    }
    return NULL;
}

bool http_block_find(struct str block, const char *name, struct str *ret_value)
{
    struct str line, key;
    while (str_line(&block, &line)) {
        struct str value = line;
        if (str_next(&value, ':', &key) && str_ieq(key, str_of(name))) {
            *ret_value = str_trim(value);
            return true;
        }
    }
    return false;
}

struct str http_credential(const struct http_request *r)
{
    static const char *const names[] = {"x-api-key", "x-goog-api-key"};
    struct str bearer = http_header(r, "authorization"), token = STR("");
    if (bearer.n > 7 && str_ieq(str_sub(bearer, 0, 7), STR("Bearer ")))
        return str_trim(str_sub(bearer, 7, bearer.n));
    for (size_t i = 0; i < sizeof names / sizeof *names && !token.n; i++)
        token = http_header(r, names[i]);
    return token;
}

struct str http_header(const struct http_request *r, const char *name)
{
    for (size_t i = 0; i < r->field_count; i++)
        if (str_ieq(r->fields[i].name, str_of(name)))
            return r->fields[i].value;
    return STR("");
}
