/* Answers for clients: what each dialect writes of an answer, as a stream and as a whole. The bridge calls a stream's
 * functions in this order: begin, then for each part open, delta (any number), close, then end; or fail at any point
 * after begin. One part is open at a time. Private to this room. */
#pragma once
#include "llm/wire.h"

struct llm_bridge {
    struct llm_bridge_spec spec;
    struct llm_parser *p;
    bool pass;         /* the upstream's own bytes go to the client */
    bool begun;        /* something was written */
    bool over;         /* an end or an error was written, or must not be */
    bool good;         /* the upstream said something that is no failure */
    struct buf held;   /* pass: bytes that wait for the end of their line or event */
    size_t scanned;    /* of `held`: where its first line that is not whole begins */
    size_t looked;     /* of `held`: bytes in which the end of that line was looked for */
    struct sse frames; /* pass to a client that wants a JSON array */
    struct draft *at;  /* the part under way, or the last one that was */
    bool open;
    bool failed; /* by the caller's word */
    struct llm_failure failure;
    /* State of the client's stream: */
    int64_t sequence, index; /* events; blocks or items */
    int64_t calls;
    struct buf items; /* Responses: finished items, for the last event */
};
struct face {
    void (*begin)(struct llm_bridge *b, struct buf *out);
    void (*open)(struct llm_bridge *b, struct draft *d, struct buf *out);
    void (*delta)(struct llm_bridge *b, struct draft *d, struct str piece, struct buf *out);
    void (*close)(struct llm_bridge *b, struct draft *d, struct buf *out);
    void (*end)(struct llm_bridge *b, struct buf *out);
    void (*fail)(struct llm_bridge *b, int status, const struct err *err, struct buf *out);
    void (*whole)(struct llm_bridge *b, struct buf *out);
};

/* An event: name (NULL: none), then the JSON that is written to *o, then event_end. */
void event_begin(struct json_out *o, struct buf *out, const char *name);
void event_end(struct buf *out);
const char *face_model(const struct llm_bridge *b);
struct str draft_seal(const struct draft *d);
/* The mark under which a seal travels through the client's dialect; its bare bytes when the client speaks the dialect
 * that made it. */
struct str face_seal(mem *ctx, const struct llm_bridge *b, const struct draft *d, const char *name, const char *id,
                     bool base64);
bool face_own(const struct llm_bridge *b); /* client and upstream are of one family */
/* Arguments of a finished call: its pieces, or what came whole, or "{}". */
struct str face_arguments(const struct draft *d);
/* The same as a JSON object, wrapped when they are none. */
struct str face_arguments_object(mem *ctx, const struct draft *d);
int64_t usage_input(const struct usage *u); /* all of the input, from the cache and into it, too */
