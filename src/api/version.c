/* Two people who change the same thing: what lists and answers show has a `version`, and a change with If-Match (RFC
 * 9110, section 13.1.1) is made only while the thing still has it. A version is a hash over what can be changed, so
 * what changes by itself (what is spent, when somebody was seen) does not get into anybody's way. Changes of things
 * with versions are made one after the other, so nothing comes between the look and the change. */
#include "api/server_room.h"
#include "crypt/hash.h"

char *version_of(mem *ctx, const char *text)
{
    char hex[HASH_SHA256_HEX];
    hash_sha256_hex(str_of(text), hex);
    return mem_printf(ctx, "%.16s", hex);
}

static bool is_wanted(const char *if_match, const char *version)
{
    struct str rest = str_of(if_match), one;
    while (str_next(&rest, ',', &one)) {
        one = str_trim(one);
        if (str_eqz(one, "*"))
            return strcmp(version, VERSION_NONE) != 0;
        if (one.n >= 2 && one.p[0] == '"' && one.p[one.n - 1] == '"' && str_eqz(str_sub(one, 1, one.n - 2), version))
            return true;
    }
    return false;
}

static enum rc version_check(struct route_call *c)
{
    const char *version = NULL;
    if (!*c->if_match)
        return RC_OK;
    enum rc rc = c->route->version(c, &version);
    if (rc != RC_OK || is_wanted(c->if_match, version))
        return rc;
    c->failed_status = 412;
    route_line(c, mem_printf(c->ctx, "ETag: \"%s\"", version));
    err_set(&c->err, RC_CONFLICT, "it was changed meanwhile by somebody else, and nothing was changed by you");
    return err_hint(&c->err, "read it again and decide; with If-Match: \"%s\" your change is made", version);
}

enum rc version_handle(struct route_call *c, enum rc (*handle)(struct route_call *c))
{
    if (!c->route->version)
        return handle(c);
    uv_mutex_lock(&c->server->edit_lock);
    enum rc rc = version_check(c);
    if (rc == RC_OK)
        rc = handle(c);
    uv_mutex_unlock(&c->server->edit_lock);
    return rc;
}
