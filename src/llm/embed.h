/* Embeddings: OpenAI's form on the client's side. Compatible servers get the client's bytes (llm_request_splice with a
 * model and no cap); Gemini gets batchEmbedContents, and its answer is turned back. Not for images or other media. */
#pragma once
#include "llm/llm.h"

struct llm_embed {
    const char *model;
    const struct str *inputs; /* texts; NULL when they were given as token numbers */
    size_t count;             /* inputs */
    int64_t input_bytes;      /* bound of the tokens: bytes of the body */
    int64_t dimensions;       /* 0: not set */
    bool base64;              /* the client wants vectors as base64 of little-endian floats */
};
/* The body of POST /v1/embeddings. RC_INVALID for what makes no sense. All in ctx. */
MUST_USE enum rc llm_embed_read(mem *ctx, struct str body, struct llm_embed *ret, struct err *err);
/* Gemini's batchEmbedContents. RC_INVALID for token numbers. */
MUST_USE enum rc llm_embed_write(const struct llm_embed *e, const char *model, struct buf *ret_body, struct err *err);
/* Usage of an answer in OpenAI's form. False when it has none. */
bool llm_embed_usage(struct str answer, struct usage *ret);
/* Gemini's answer in OpenAI's form. model: the name to show. Gemini may not tell usage: *ret then has output -1, and
 * the answer tells 0 tokens. RC_UPSTREAM when it makes no sense. */
MUST_USE enum rc llm_embed_answer(const struct llm_embed *e, const char *model, struct str answer, struct buf *ret_body,
                                  struct usage *ret, struct err *err);
