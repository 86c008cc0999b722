/* Provider keys in the server's memory: from its environment, from clients that have them in theirs, from the keeper
 * after a restart. Never written anywhere, never shown. */
#include "api/server_room.h"
#include "base/log.h"
#include <stdlib.h>

static const char *const names[CREDENTIAL_COUNT] = {
    [CREDENTIAL_ANTHROPIC] = "ANTHROPIC_API_KEY",
    [CREDENTIAL_OPENAI] = "OPENAI_API_KEY",
    [CREDENTIAL_CUSTOM] = "NIGHTMILL_MODEL_KEY",
};
#define SECRET_MAX 4096

static void secret_free(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    mem_free(secret);
}

static void credential_set(struct server *s, size_t i, const char *value)
{
    if (!value || !*value || strlen(value) > SECRET_MAX)
        return;
    for (const char *p = value; *p; p++) {
        if ((unsigned char)*p < 0x21 || (unsigned char)*p > 0x7e)
            return; /* would break the header that carries it */
    }
    secret_free(s->credentials[i]);
    s->credentials[i] = mem_str(s->ctx, value);
    log_censor(s->credentials[i]);
}

void credentials_from_environment(struct server *s)
{
    for (size_t i = 0; i < CREDENTIAL_COUNT; i++)
        credential_set(s, i, getenv(names[i]));
}

void credentials_take(struct server *s, struct json members)
{
    mem *tmp = mem_root();
    for (size_t i = 0; i < CREDENTIAL_COUNT; i++) {
        char *value = (char *)json_z(tmp, json_get(members, names[i]), NULL);
        credential_set(s, i, value);
        if (value)
            explicit_bzero(value, strlen(value));
    }
    mem_free(tmp);
}

const char *credentials_find(void *server, const char *name)
{
    struct server *s = server;
    for (size_t i = 0; i < CREDENTIAL_COUNT; i++) {
        if (strcmp(names[i], name) == 0)
            return s->credentials[i];
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
    for (size_t i = 0; i < CREDENTIAL_COUNT; i++) {
        if (s->credentials[i])
            jo_kz(&o, names[i], s->credentials[i]);
    }
    jo_end_obj(&o);
    jo_end_obj(&o);
    return buf_view(&b);
}

void credentials_wipe(struct server *s)
{
    for (size_t i = 0; i < CREDENTIAL_COUNT; i++) {
        secret_free(s->credentials[i]);
        s->credentials[i] = NULL;
    }
}
