/* OpenRouter: whether a cancelled request stops the bill depends on who serves it, so it counts as no. */
#include "gateway/provider.h"

const struct provider_kind provider_openrouter = {
    .name = "openrouter",
    .title = "OpenRouter",
    .base_url = "https://openrouter.ai/api",
    .key_variable = "OPENROUTER_API_KEY",
    .dialect = "chat",
    .auth = PROVIDER_BEARER,
    .lists = PROVIDER_LISTS_DATA,
};
