/* Mistral. A request whose client left is billed to its end. */
#include "gateway/provider.h"

static const char *const prefixes[] = {"mistral-", "codestral-", "ministral-", "magistral-", "devstral-", NULL};

const struct provider_kind provider_mistral = {
    .name = "mistral",
    .title = "Mistral",
    .base_url = "https://api.mistral.ai",
    .key_variable = "MISTRAL_API_KEY",
    .dialect = "chat",
    .auth = PROVIDER_BEARER,
    .lists = PROVIDER_LISTS_DATA,
    .model_prefixes = prefixes,
};
