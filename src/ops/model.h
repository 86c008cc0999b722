/* Which model server a task asks, by settings and by which keys are in the environment. Keys are only looked for, never
 * read into a result. */
#pragma once
#include "conf/setting.h"

struct model_choice {
    const char *wire; /* dialect: "chat", "openai", "messages" */
    const char *url;  /* without a path below the version; "": the gateway finds who serves the name */
    const char *name; /* model */
    const char *key;  /* NAME of the variable with the key, "" for none */
    const char *why;  /* "ANTHROPIC_API_KEY is set" */
    int64_t context, max_output;
    const char *stronger; /* "" none */
};
/* Who knows what there is. A name that the gateway knows (a tier, a model with providers of its own) is asked of it,
 * unless the settings name an address. */
struct model_known {
    bool (*key)(const char *variable);            /* whether a variable with a key is there */
    bool (*gateway)(void *arg, const char *name); /* whether the daemon's gateway serves the name; may be NULL */
    void *arg;
};
/* name (may be NULL) wins over the setting. Without any name, address or key it is tier A. RC_INVALID with what to do
 * when there is no way to a model. May ask the server which models it has (one GET on its models route) when no
 * name is given for an address of one's own. In ctx. */
MUST_USE enum rc model_choose(mem *ctx, const struct settings *set, const char *name, const struct model_known *known,
                              struct model_choice *ret, struct err *err);
/* What the models route of a server answers: its ids, NULL-terminated; *ret_status the HTTP status. key_value may be
 * NULL. */
MUST_USE enum rc model_list(mem *ctx, const struct model_choice *m, const char *key_value, int *ret_status,
                            const char *const **ret_ids, struct err *err);
bool model_key_in_environment(const char *variable);
