/* Key variables of the server: from its environment, from clients that have them in theirs, from the keeper after a
 * restart. They are kept in memory alone (auth/credential.h), never written anywhere and never shown. */
#include "api/server_room.h"
#include "base/log.h"
#include <stdlib.h>

bool credentials_has(void *server, const char *name)
{
    struct server *s = server;
    return credential_known(s->credentials, name);
}

static void variable_take(struct server *s, const char *name, struct str value)
{
    struct err err = {0};
    if (credential_set(s->credentials, name, value, &err) != RC_OK)
        log_err(&err, "a key is not taken");
}

void credentials_from_environment(struct server *s)
{
    const char *names[PROVIDER_VARIABLES_MAX];
    size_t n = provider_key_variables(names);
    for (size_t i = 0; i < n; i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            variable_take(s, names[i], str_of(value));
    }
}

void credentials_refer(struct server *s, const char *reference)
{
    const char *name = strncmp(reference, "env:", 4) == 0 ? reference + 4 : NULL, *value = name ? getenv(name) : NULL;
    if (value && *value && !credential_known(s->credentials, name))
        variable_take(s, name, str_of(value));
}

void credentials_take(struct server *s, struct json members)
{
    CLEANUP_MEM mem *tmp = mem_root();
    for (struct json_iter it = json_iter(members); json_next(&it);) {
        struct str value = json_str(tmp, it.value);
        if (json_type(it.value) != JSON_STRING)
            continue;
        variable_take(s, str_dup(tmp, json_iter_key(tmp, &it)), value);
        explicit_bzero((char *)(uintptr_t)value.p, value.n);
    }
    if (s->catalogs)
        catalogs_stale(s->catalogs);
}

const char *credentials_find(void *server, const char *name)
{
    struct server *s = server;
    CLEANUP_MEM mem *tmp = mem_root();
    credential_wipe(s->lent);
    s->lent = NULL;
    if (credential_get(s->ctx, s->credentials, mem_printf(tmp, "env:%s", name), &s->lent, NULL) != RC_OK)
        s->lent = NULL;
    return s->lent;
}

struct str credentials_frame(mem *ctx, const struct server *s)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, ctx, 65536);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_key(&o, "credentials");
    jo_obj(&o);
    for (const char *const *name = credential_names(ctx, s->credentials); *name; name++) {
        char *value;
        if (credential_get(ctx, s->credentials, mem_printf(ctx, "env:%s", *name), &value, NULL) != RC_OK)
            continue;
        jo_kz(&o, *name, value);
        credential_wipe(value);
    }
    jo_end_obj(&o);
    jo_end_obj(&o);
    return buf_view(&b);
}

void credentials_wipe(struct server *s)
{
    credential_wipe(s->lent);
    s->lent = NULL;
    s->credentials = mem_free(s->credentials);
}
