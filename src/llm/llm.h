/* Model dialects: what requests and answers look like on the wire, one descriptor per dialect.
 *
 * A conversation is kept in our own neutral shape; a dialect writes it as a request body and reads the answer back into
 * it. Five dialects in four families (those of one family share the shape of their bodies and answers):
 *   "chat"       OpenAI Chat Completions as compatible servers speak it (llama-server, vLLM, Ollama and others): the
 *                output cap is max_tokens, which all of them know
 *   "openai"     the same family, with the cap as max_completion_tokens: OpenAI itself, whose reasoning models refuse
 *                max_tokens
 *   "responses"  OpenAI Responses
 *   "messages"   Anthropic Messages
 *   "gemini"     Google's generateContent and streamGenerateContent (the model and the wish to stream stand in the
 * path) Sources: the providers' API references. Nothing here does I/O, reads a clock or draws random numbers: the same
 * input gives the same bytes. Threads: one conversation, one parser, one thread.
 *
 * Beside this header: llm/request.h (a request read from one dialect and written in another), llm/bridge.h (the answer
 * on its way back, errors and model lists in the client's dialect), llm/endpoint.h (paths), llm/embed.h (embeddings).
 *
 * Reasoning. What a provider seals (Anthropic's signatures and redacted blocks, OpenAI's encrypted reasoning, Gemini's
 * thought signatures) is handed back only to the family that made it: `origin` of a part. On the way to a client of
 * another family a seal travels inside the client's own place for seals, marked with its origin ("nm1." in front),
 * where there is one: Anthropic `signature` and `data`, Responses `encrypted_content`, Gemini `thoughtSignature`. Chat
 * Completions have none: seals are dropped there, but for Gemini's on calls, which Google's own compatible endpoint
 * puts into `extra_content`. Reasoning text without a seal of the receiver's family is not sent to a provider at all.
 */
#pragma once
#include "base/json.h"
#include "money/money.h"

/* LLM_SYSTEM: an instruction amid the conversation; the ones before it are llm_conversation.system. */
enum llm_role { LLM_USER, LLM_ASSISTANT, LLM_SYSTEM };
enum llm_part_kind { LLM_TEXT, LLM_TOOL_CALL, LLM_TOOL_RESULT, LLM_REASONING, LLM_MEDIA };
/* A mark "keep what stands up to here in the prompt cache", in dialects that have marks (Anthropic). */
enum llm_cache { LLM_CACHE_NONE, LLM_CACHE_5M, LLM_CACHE_1H };
struct llm_part {
    enum llm_part_kind kind;
    struct str text;      /* text, reasoning, or a result's text */
    const char *id;       /* call id of a call or a result */
    const char *name;     /* tool name of a call; a block type of the provider for reasoning that is sealed */
    struct str arguments; /* call: JSON text as the model sent it (may be malformed: then bad_arguments); "{}" when the
                             model sent none */
    bool bad_arguments;   /* not a JSON object */
    bool is_error;        /* result */
    struct str opaque;    /* provider bytes to hand back as they are (reasoning signatures); empty: none */
    const char *origin;   /* dialect that made `opaque`; NULL: the one that is written */
    /* LLM_MEDIA: an image, a PDF or sound, as base64 `data` of type `media`, or at `url` (media may then be NULL). In
     * a result they are children of it: */
    const char *media, *url;
    struct str data;
    const char *detail; /* of an image: "low", "high", "auto"; file name of another; or NULL */
    struct llm_part *inner;
    enum llm_cache cache;
    struct llm_part *next;
};
struct llm_message {
    enum llm_role role;
    struct llm_part *first, *last;
    struct llm_message *next;
};
struct llm_tool {
    const char *name, *description;
    const char *schema; /* JSON Schema text of the arguments object */
    bool strict;        /* arguments must keep to the schema */
    enum llm_cache cache;
};
struct llm_conversation {
    mem *ctx; /* owner of all below */
    const char *system;
    struct llm_message *first, *last;
    const struct llm_tool *tools;
    size_t tool_count;
    enum llm_cache system_cache;
    bool own_marks; /* cache marks stand where the client put them; false: set by us where they do most */
};
struct llm_conversation *llm_conversation_new(mem *ctx, const char *system);
struct llm_message *llm_add_message(struct llm_conversation *c, enum llm_role role);
/* The text is copied. */
struct llm_part *llm_add_part(struct llm_conversation *c, struct llm_message *m, enum llm_part_kind kind,
                              struct str text);
/* Appends a copy of a message (an answer's, which belongs to its parser). */
struct llm_message *llm_add_copy(struct llm_conversation *c, const struct llm_message *m);

enum llm_stop { LLM_STOP_NONE, LLM_STOP_END, LLM_STOP_TOOLS, LLM_STOP_LENGTH, LLM_STOP_REFUSED, LLM_STOP_OTHER };
const char *llm_stop_name(enum llm_stop s); /* "end", "tools", ... */
/* What a streamed (or whole) answer came to. Texts belong to the parser. */
struct llm_answer {
    struct llm_message *message; /* parts in order; NULL when nothing came */
    enum llm_stop stop;
    struct usage usage;     /* what was reported so far; output -1 when nothing was */
    bool usage_known;       /* final figures, by which the provider bills; false: keep the hold */
    const char *model;      /* as the provider named it, may differ from the one asked for */
    const char *request_id; /* response id in the body, or NULL */
    bool complete;          /* the dialect's end of stream was seen */
    bool failed;            /* an error event inside a stream of status 200 */
    const char *error_type, *error_message;
};

struct llm_parser; /* state of one answer */
struct llm_wire;   /* how a dialect is read; private to this room */
struct llm_dialect {
    const char *name;   /* "chat", "openai", "responses", "messages", "gemini" */
    const char *family; /* "chat", "responses", "messages", "gemini" */
    const char
        *path; /* "/v1/chat/completions"; for gemini the beginning of it: llm_path() of llm/endpoint.h knows all */
    /* Request body. max_output > 0. Streaming is asked for, with usage. Cache marks are set where the dialect has them.
     * A body beyond the buffer's cap shows as its overflow. */
    void (*write_request)(const struct llm_conversation *c, const char *model, int64_t max_output,
                          struct buf *ret_body);
    /* Header lines that carry the key (and the API version where the dialect has one), NULL-terminated, in ctx; key
     * NULL: without one. Content-Type is the caller's. A key with control bytes counts as none. */
    const char *const *(*headers)(mem *ctx, const char *key);
    const struct llm_wire *wire;
};
const struct llm_dialect *llm_dialect_find(const char *name); /* NULL when unknown */
bool llm_same_family(const struct llm_dialect *a, const struct llm_dialect *b);
const struct llm_dialect *const *llm_dialects(size_t *ret_n);

/* Reads an answer of the dialect. Feed raw body bytes as they come, in any pieces; events are split by the SSE rules of
 * the WHATWG (CRLF, comments, several data lines), except that a missing final blank line is forgiven. `on_delta` (may
 * be NULL) is called with each piece of visible text. Caps: event 16 MiB, answer 64 MiB. */
struct llm_parser *llm_parser_new(mem *ctx, const struct llm_dialect *d, void (*on_delta)(void *arg, struct str text),
                                  void *arg);
/* RC_UPSTREAM when an event makes no sense or a cap is passed; the parser then stays in that state. */
MUST_USE enum rc llm_parser_feed(struct llm_parser *p, const void *bytes, size_t n, struct err *err);
/* Ends the input; fills the answer. is_stream false: the bytes fed were one JSON document. (A server that was asked for
 * the one may send the other: what begins like an object is read as one.) RC_UPSTREAM when it makes no sense. A stream
 * that was cut is no error: the answer is then not `complete`. */
MUST_USE enum rc llm_parser_end(struct llm_parser *p, bool is_stream, const struct llm_answer **ret, struct err *err);
/* The answer so far (usage and model while streaming); valid as long as the parser. */
const struct llm_answer *llm_parser_answer(const struct llm_parser *p);

/* What an HTTP answer other than 200 means: rc RC_UPSTREAM (retry), RC_LIMIT (rate or quota: retry after a wait),
 * RC_INVALID (over-long context or bad request), RC_DENIED (key), RC_NOT_FOUND (model); words with the provider's own
 * message (escaped, without keys). retry_after_s: -1 unknown; from the headers (Retry-After in seconds or HTTP date,
 * retry-after-ms, x-ratelimit-reset-*, anthropic-ratelimit-*-reset) or the body. */
struct llm_failure {
    enum rc rc;
    bool retryable;        /* the same request may succeed later, without anybody doing anything */
    bool context_too_long; /* a shorter request may succeed */
    bool moved;            /* a redirection: the provider's address in our settings is not the final one */
    bool quota;            /* an allowance (credit, spending cap), not a rate, is used up */
    int64_t retry_after_s;
    struct err err;
};
void llm_failure_read(int status, struct str headers, struct str body, int64_t now_wall_ns, struct llm_failure *ret);
/* The same for an answer of status 200 that failed inside (answer->failed). */
void llm_answer_failure(const struct llm_answer *a, struct llm_failure *ret);

/* What the gateway must know of a request body. For a true upper bound of its tokens: input at most input_bytes +
 * media * media_tokens + PRICE_ADDED_TOKENS, output at most n * (the cap that is spliced in). RC_INVALID also for a
 * member that counts and appears twice: readers differ in which of the two they take. (Google's readers take
 * generation_config for generationConfig: both names are read, and together they are twice.) */
struct llm_request_facts {
    const char *model;    /* gemini: from the path, as given */
    int64_t max_output;   /* output cap of one answer, 0: not set */
    int64_t n;            /* answers asked for, from 1 up: each may be as long as the cap */
    int64_t input_bytes;  /* of the body, without base64 of media that `media` counts */
    int64_t media;        /* images */
    int64_t media_tokens; /* most tokens that a provider of this dialect makes of one image */
    bool stream;
    bool wants_usage;     /* usage of a stream reaches the client; false: hide what we ask for ourselves */
    const char *unpriced; /* why prices a token do not bound this request: "service_tier", "tools" (that run at the
                             provider), "files", "audio", "previous_response_id", "cachedContent", ...; or NULL */
};
/* path_model and path_stream: what the path says (gemini); else NULL and false. */
MUST_USE enum rc llm_request_read(mem *ctx, const struct llm_dialect *d, const char *path_model, bool path_stream,
                                  struct str body, struct llm_request_facts *ret, struct err *err);
/* The same bytes with only what must change. `d` is the dialect of the upstream, of the same family as the body: the
 * output cap gets the name that the upstream knows (max_tokens or max_completion_tokens). In ctx. */
struct llm_splice {
    const char *model;             /* NULL: as it is. Of no meaning to gemini, whose model stands in the path */
    int64_t max_output;            /* 0: as it is (embeddings, token counts) */
    bool ask_usage;                /* usage on a stream, where the dialect must be asked */
    const char *anthropic_version; /* Claude at Google: this member is set and `model` taken out; NULL: neither */
};
MUST_USE enum rc llm_request_splice(mem *ctx, const struct llm_dialect *d, struct str body,
                                    const struct llm_splice *change, struct str *ret, struct err *err);
