/* Provider keys in the server's memory: from its environment, from clients that have them in theirs, from the keeper
 * after a restart. Never written anywhere, never shown. */
#include "api/server_room.h"
#include "base/log.h"
#include <stdlib.h>

#define NAME_MAX_LENGTH 100
#define SECRET_MAX      3000 /* sixteen of them fit into one frame that the keeper holds */

/* Keys that a daemon finds in the environment that it is started in; others are handed over by clients. */
static const char *const usual[] = {"ANTHROPIC_API_KEY", "OPENAI_API_KEY", "NIGHTMILL_MODEL_KEY"};

static void secret_free(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    mem_free(secret);
}

static bool name_valid(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= NAME_MAX_LENGTH && strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == n;
}

/* Bytes that would break the header which carries the key are refused. */
static bool value_valid(const char *value)
{
    size_t n = strlen(value);
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)value[i] < 0x21 || (unsigned char)value[i] > 0x7e)
            return false;
    }
    return n > 0 && n <= SECRET_MAX;
}

static void credential_set(struct server *s, const char *name, const char *value)
{
    struct credential *at = NULL;
    if (!value || !name_valid(name) || !value_valid(value))
        return;
    for (size_t i = 0; i < CREDENTIALS_MOST; i++) {
        struct credential *c = &s->credentials[i];
        if (c->name && strcmp(c->name, name) == 0) {
            at = c;
            break;
        }
        if (!c->name && !at)
            at = c;
    }
    if (!at) {
        log_warn("no room for the key %s: %d are known already", name, CREDENTIALS_MOST);
        return;
    }
    secret_free(at->value);
    if (!at->name)
        at->name = mem_str(s->ctx, name);
    at->value = mem_str(s->ctx, value);
    log_censor(at->value);
}

void credentials_from_environment(struct server *s)
{
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        credential_set(s, usual[i], getenv(usual[i]));
}

void credentials_take(struct server *s, struct json members)
{
    CLEANUP_MEM mem *tmp = mem_root();
    for (struct json_iter it = json_iter(members); json_next(&it);) {
        struct str value = json_str(tmp, it.value);
        if (json_type(it.value) != JSON_STRING)
            continue;
        credential_set(s, str_dup(tmp, json_iter_key(tmp, &it)), json_z(tmp, it.value, NULL));
        explicit_bzero((char *)value.p, value.n);
    }
}

const char *credentials_find(void *server, const char *name)
{
    struct server *s = server;
    for (size_t i = 0; i < CREDENTIALS_MOST; i++) {
        if (s->credentials[i].name && strcmp(s->credentials[i].name, name) == 0)
            return s->credentials[i].value;
    }
    return NULL;
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
    for (size_t i = 0; i < CREDENTIALS_MOST; i++) {
        if (s->credentials[i].name)
            jo_kz(&o, s->credentials[i].name, s->credentials[i].value);
    }
    jo_end_obj(&o);
    jo_end_obj(&o);
    return buf_view(&b);
}

void credentials_wipe(struct server *s)
{
    for (size_t i = 0; i < CREDENTIALS_MOST; i++) {
        secret_free(s->credentials[i].value);
        s->credentials[i] = (struct credential){0};
    }
}
