/* Groq. A request whose client left is billed to its end. */
#include "gateway/provider.h"

const struct provider_kind provider_groq = {
    .name = "groq",
    .title = "Groq",
    .base_url = "https://api.groq.com/openai",
    .key_variable = "GROQ_API_KEY",
    .dialect = "chat",
    .auth = PROVIDER_BEARER,
    .lists = PROVIDER_LISTS_DATA,
};
