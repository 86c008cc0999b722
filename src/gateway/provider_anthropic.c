/* Anthropic's own interface (Messages). Every request names the version of the interface. */
#include "gateway/provider.h"

static const char *const prefixes[] = {"claude-", NULL};

const struct provider_kind provider_anthropic = {
    .name = "anthropic",
    .title = "Anthropic",
    .base_url = "https://api.anthropic.com",
    .key_variable = "ANTHROPIC_API_KEY",
    .dialect = "messages",
    .auth = PROVIDER_X_API_KEY,
    .lists = PROVIDER_LISTS_DATA,
    .api_version = "anthropic-version: 2023-06-01",
    .cancel_stops_bill = true,
    .model_prefixes = prefixes,
};
