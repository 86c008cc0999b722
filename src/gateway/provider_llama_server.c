/* llama-server of llama.cpp on this machine; the row says where else. */
#include "gateway/provider.h"

const struct provider_kind provider_llama_server = {
    .name = "llama-server",
    .title = "llama-server",
    .base_url = "http://127.0.0.1:8080",
    .key_variable = "LLAMA_API_KEY",
    .key_optional = true,
    .dialect = "chat",
    .auth = PROVIDER_BEARER,
    .lists = PROVIDER_LISTS_DATA,
    .cancel_stops_bill = true,
};
