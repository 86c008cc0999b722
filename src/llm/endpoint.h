/* Addresses of the dialects: what a client asks for by method and path, and where an upstream is asked for it. */
#pragma once
#include "llm/llm.h"

enum llm_endpoint_kind {
    LLM_GENERATE,
    LLM_COUNT_TOKENS, /* Anthropic, Gemini */
    LLM_EMBEDDINGS,   /* OpenAI's form */
    LLM_MODELS,
    LLM_MODEL, /* one of them */
};
struct llm_endpoint {
    const struct llm_dialect *dialect;
    enum llm_endpoint_kind kind;
    const char *model; /* from the path (Gemini, LLM_MODEL), without "models/"; else NULL */
    bool stream;       /* the path says so (Gemini) */
    bool array;        /* Gemini's stream without alt=sse: one JSON array */
};
/* Chat Completions are told as "chat"; the list of models as "messages" when the request has the header
 * anthropic-version, else as "chat". path: without its query, as sent (percent-escapes are resolved in the model).
 * query: without '?', may be empty. Takes "/v1/..." and "/v1beta/..." alike for Gemini. False when it is none of ours.
 * The model belongs to ctx. */
bool llm_endpoint_find(mem *ctx, const char *method, struct str path, struct str query, bool anthropic_version,
                       struct llm_endpoint *ret);
/* The path (with query) at an upstream: "/v1/messages/count_tokens", "/v1beta/models/M:streamGenerateContent?alt=sse".
 * NULL where the dialect has no such thing. LLM_EMBEDDINGS at gemini is batchEmbedContents. */
char *llm_path(mem *ctx, const struct llm_dialect *d, enum llm_endpoint_kind kind, const char *model, bool stream);
