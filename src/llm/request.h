/* A request on its way from one family of dialects to another: read into a neutral shape, written anew.
 *
 * Reading refuses (RC_INVALID, with the name of the field) what makes no sense and what no other family can say: tools
 * that run at the provider, stored conversations, uploaded files by id, token probabilities. Writing refuses what the
 * receiving family cannot say and what would change the meaning of the request when left out (n above 1, stop sequences
 * for Responses, sound for Anthropic). What may be ignored without changing the meaning is left out and listed in
 * `dropped`. Bodies of the same family are not read this way: they are forwarded (llm_request_splice).
 *
 * Input in any order and shape that the provider's reference allows; a text content may be a string or parts. Round
 * trip: what is written in a family and read again is the same neutral request, but for what was dropped. */
#pragma once
#include "llm/llm.h"

enum llm_choice { LLM_CHOICE_UNSET, LLM_CHOICE_AUTO, LLM_CHOICE_NONE, LLM_CHOICE_REQUIRED, LLM_CHOICE_NAMED };
enum llm_format { LLM_FORMAT_TEXT, LLM_FORMAT_JSON, LLM_FORMAT_SCHEMA };
enum llm_flag { LLM_FLAG_UNSET = -1, LLM_FLAG_OFF, LLM_FLAG_ON };
#define LLM_BUDGET_UNSET (-2) /* of thinking; -1: as the model likes, 0: none, else tokens */

struct llm_request {
    mem *ctx; /* owner of all below */
    struct llm_conversation *conversation;
    const char *model;
    int64_t max_output; /* 0: not set */
    bool stream;
    bool wants_usage; /* the client wants usage in the stream (always in dialects that have no such wish) */
    enum llm_choice choice;
    const char *choice_name; /* LLM_CHOICE_NAMED */
    enum llm_flag parallel;  /* several calls in one answer */
    struct str temperature, top_p, top_k, min_p, seed, frequency_penalty, presence_penalty; /* number text, or empty */
    const char *const *stop; /* NULL-terminated, or NULL */
    enum llm_format format;
    const char *format_name;   /* LLM_FORMAT_SCHEMA */
    const char *format_schema; /* JSON text */
    bool format_strict;
    const char *effort;          /* "none", "minimal", "low", "medium", "high", "xhigh"; NULL: not set */
    int64_t thinking;            /* budget in tokens, LLM_BUDGET_UNSET */
    bool show_thoughts;          /* the client wants to read the reasoning */
    int64_t n;                   /* 1 */
    const char *user;            /* the client's end user, or NULL */
    const char *dropped;         /* "seed, logit_bias": what was left out, or ""; writing sets it anew */
    const char *dropped_reading; /* the part of it that reading left out */
};
/* path_model and path_stream as for llm_request_read. The request belongs to ctx. */
MUST_USE enum rc llm_request_decode(mem *ctx, const struct llm_dialect *in, const char *path_model, bool path_stream,
                                    struct str body, struct llm_request **ret, struct err *err);
/* max_output > 0. A body beyond the buffer's cap is RC_LIMIT. Ask llm_request_read about the written body for its
 * bound. */
MUST_USE enum rc llm_request_encode(struct llm_request *r, const struct llm_dialect *out, const char *model,
                                    int64_t max_output, bool stream, struct buf *ret_body, struct err *err);

/* Token counts. The body of Anthropic's count_tokens and Gemini's countTokens, read as a request (without a cap). */
MUST_USE enum rc llm_count_decode(mem *ctx, const struct llm_dialect *in, const char *path_model, struct str body,
                                  struct llm_request **ret, struct err *err);
/* An estimate for upstreams that cannot count: one token for every 3 bytes of text (English prose has about 4, code and
 * JSON about 3, other scripts 2 to 3), 8 a message, 1,600 an image, 20 a tool. Never for money. */
int64_t llm_count_estimate(const struct llm_request *r);
void llm_count_write(const struct llm_dialect *client, int64_t tokens, struct buf *ret);
