/* Google's Vertex AI: Gemini and Claude under a service account (vertex.h). The location is in the address; this one is
 * global. */
#include "gateway/provider.h"

const struct provider_kind provider_vertex = {
    .name = "vertex",
    .title = "Vertex AI",
    .base_url = "https://aiplatform.googleapis.com",
    .dialect = "gemini",
    .auth = PROVIDER_ACCOUNT,
    .lists = PROVIDER_LISTS_NONE,
};
