/* vLLM on this machine; the row says where else. */
#include "gateway/provider.h"

const struct provider_kind provider_vllm = {
    .name = "vllm",
    .title = "vLLM",
    .base_url = "http://127.0.0.1:8000",
    .key_variable = "VLLM_API_KEY",
    .key_optional = true,
    .dialect = "chat",
    .auth = PROVIDER_BEARER,
    .lists = PROVIDER_LISTS_DATA,
    .cancel_stops_bill = true,
};
