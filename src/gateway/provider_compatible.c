/* Any server that speaks Chat Completions, at an address that the row gives. */
#include "gateway/provider.h"

const struct provider_kind provider_compatible = {
    .name = "compatible",
    .title = "OpenAI-compatible server",
    .key_variable = "NIGHTMILL_MODEL_KEY",
    .key_optional = true,
    .dialect = "chat",
    .auth = PROVIDER_BEARER,
    .lists = PROVIDER_LISTS_DATA,
    .cancel_stops_bill = true,
};
