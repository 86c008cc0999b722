/* DeepSeek. */
#include "gateway/provider.h"

static const char *const prefixes[] = {"deepseek-", NULL};

const struct provider_kind provider_deepseek = {
    .name = "deepseek",
    .title = "DeepSeek",
    .base_url = "https://api.deepseek.com",
    .key_variable = "DEEPSEEK_API_KEY",
    .dialect = "chat",
    .auth = PROVIDER_BEARER,
    .lists = PROVIDER_LISTS_DATA,
    .cancel_stops_bill = true,
    .model_prefixes = prefixes,
};
