/* Together. Its list of models is a bare array. */
#include "gateway/provider.h"

const struct provider_kind provider_together = {
    .name = "together",
    .title = "Together",
    .base_url = "https://api.together.xyz",
    .key_variable = "TOGETHER_API_KEY",
    .dialect = "chat",
    .auth = PROVIDER_BEARER,
    .lists = PROVIDER_LISTS_DATA,
    .cancel_stops_bill = true,
};
