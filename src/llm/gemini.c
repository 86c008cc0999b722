/* Google's generateContent. */
#include "llm/wire.h"
static const struct llm_wire gemini_wire = {
    .cap = "maxOutputTokens", .count = "candidateCount", .group = "generationConfig", .image_tokens = 8192};
const struct llm_dialect llm_gemini = {"gemini", "gemini", "/v1beta/models", NULL, NULL, &gemini_wire};
