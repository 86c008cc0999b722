/* OpenAI itself: its reasoning models want the output cap by its newer name, which is the dialect's business. */
#include "gateway/provider.h"

static const char *const prefixes[] = {"gpt-", "o1", "o3", "o4", "chatgpt-", "text-embedding-", NULL};

const struct provider_kind provider_openai = {
    .name = "openai",
    .title = "OpenAI",
    .base_url = "https://api.openai.com",
    .key_variable = "OPENAI_API_KEY",
    .dialect = "openai",
    .auth = PROVIDER_BEARER,
    .lists = PROVIDER_LISTS_DATA,
    .cancel_stops_bill = true,
    .model_prefixes = prefixes,
};
