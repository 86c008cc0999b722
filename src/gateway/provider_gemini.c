/* Google's Gemini interface. A request whose client left is billed to its end. */
#include "gateway/provider.h"

static const char *const prefixes[] = {"gemini-", NULL};

const struct provider_kind provider_gemini = {
    .name = "gemini",
    .title = "Google Gemini",
    .base_url = "https://generativelanguage.googleapis.com",
    .key_variable = "GEMINI_API_KEY",
    .dialect = "gemini",
    .auth = PROVIDER_X_GOOG_API_KEY,
    .lists = PROVIDER_LISTS_MODELS,
    .model_prefixes = prefixes,
};
