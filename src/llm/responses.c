/* OpenAI Responses. */
#include "llm/wire.h"
static const struct llm_wire responses_wire = {.cap = "max_output_tokens", .image_tokens = 49152};
const struct llm_dialect llm_responses = {"responses", "responses", "/v1/responses", NULL, NULL, &responses_wire};
