/* The way back: an upstream's answer in one dialect, in any pieces, becomes bytes for the client in another.
 *
 * Same family, and both streams or both whole: the client gets the upstream's own bytes (but see hide_usage); a copy is
 * read for the meter. Otherwise the answer is written anew: a stream event by event as its parts arrive, in the exact
 * order of events that the client's dialect prescribes, or a whole answer at the end. A stream from a whole answer and
 * the reverse work.
 *
 * Nothing is written before the upstream has said something that is no failure. As long as llm_bridge_begun is false, a
 * failure writes nothing either: the caller may try another target, or answer with a status and llm_error_write.
 * Afterwards a failure (an error event, a cut, llm_bridge_fail) becomes one error event in the client's dialect and
 * ends the stream. Whole answers are written by llm_bridge_end alone, and only good ones.
 *
 * Use: llm_bridge_new, llm_bridge_feed for every piece, then llm_bridge_end once, also when feed failed or the upstream
 * broke off (call llm_bridge_fail before it where the caller knows why). */
#pragma once
#include "llm/llm.h"

struct llm_bridge;
struct llm_bridge_spec {
    const struct llm_dialect *client, *upstream;
    bool client_stream, upstream_stream;
    bool client_array; /* gemini without alt=sse: the stream is one JSON array */
    bool hide_usage;   /* chat: the client did not ask for usage in its stream. The chunk that has only usage is taken
                          out, and so are `usage` members that are null; all other bytes stay */
    const char *model; /* shown where the answer is written anew; NULL: the one that the upstream names */
    const char *id;    /* letters and digits, of the request: ids of the client's dialect are made of it */
    int64_t created_s; /* wall clock, seconds since 1970 */
};
/* The strings of the spec are copied. */
struct llm_bridge *llm_bridge_new(mem *ctx, const struct llm_bridge_spec *spec);
/* Appends to *out what must go to the client now. RC_UPSTREAM when the upstream's bytes make no sense (what was good in
 * them is written); RC_LIMIT when *out is full. */
MUST_USE enum rc llm_bridge_feed(struct llm_bridge *b, const void *bytes, size_t n, struct buf *out, struct err *err);
/* Ends the upstream's input. RC_OK: the answer is complete, *out has its end. RC_UPSTREAM (or what the failure was):
 * broken, cut, failed inside; *out has the error event when the client's stream had begun. *ret is the meter's answer
 * in every case and belongs to the bridge. */
MUST_USE enum rc llm_bridge_end(struct llm_bridge *b, struct buf *out, const struct llm_answer **ret, struct err *err);
/* The upstream failed in a way that its bytes do not show (time-out, reset). Nothing more is written after it. */
void llm_bridge_fail(struct llm_bridge *b, const struct llm_failure *f, struct buf *out);
bool llm_bridge_begun(const struct llm_bridge *b);                      /* something was written for the client */
const struct llm_answer *llm_bridge_answer(const struct llm_bridge *b); /* so far */
const char *llm_bridge_content_type(const struct llm_bridge *b);        /* of the client's answer */

/* An error in the client's dialect. `code`: the machine-readable reason ("budget_exceeded"), NULL: by the status.
 * retry_after_s: -1 unknown (the header is the caller's). The place: the body of an answer with that status, an event
 * of a stream that has begun, or (gemini without alt=sse) a body that is an array. */
enum llm_error_place { LLM_ERROR_BODY, LLM_ERROR_EVENT, LLM_ERROR_ARRAY };
void llm_error_write(const struct llm_dialect *client, int status, const struct err *err, const char *code,
                     int64_t retry_after_s, enum llm_error_place place, struct buf *ret);
/* HTTP status that a failure of an upstream has for the client: 429 for a rate, 502 for nonsense, 400, ... */
int llm_failure_status(const struct llm_failure *f);

/* The list of models, in OpenAI's form ("chat", "openai", "responses"), Anthropic's or Gemini's; `one`: a single model
 * as the answer to its own address. */
struct llm_model_row {
    const char *id, *title;                 /* title NULL: the id */
    const char *owner;                      /* provider */
    int64_t created_s, context, max_output; /* 0: unknown */
};
void llm_models_write(const struct llm_dialect *client, const struct llm_model_row *rows, size_t n, struct buf *ret);
void llm_model_write(const struct llm_dialect *client, const struct llm_model_row *row, struct buf *ret);
