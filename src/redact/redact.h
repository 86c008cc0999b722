/* Taking secrets out of text that is kept: a filter over bytes that come in any pieces.
 *
 * Two kinds are found in one pass, in time linear in the bytes: known secrets, in every form in which they travel
 * (plain, as a JSON string, percent-encoded, hexadecimal in either case, base64 in both alphabets at each of the three
 * alignments), and shapes: keys of known providers, user keys of Nightmill, JWTs, PEM private keys, values of
 * Authorization, API key and Cookie headers, secret query values. What overlaps is one finding, replaced by
 * "[redacted:NAME]" with the name of the leftmost. The result does not depend on how the bytes were cut into pieces:
 * what may still become a finding is held back, at most REDACT_HOLD_MAX bytes.
 *
 * In a stream of events (SSE) a known secret is also found where a model spells it over several of them: the first part
 * is replaced, the others are left empty. Parts that are further apart than 48 KiB are not put together, nor are the
 * pieces of several answers in one stream.
 *
 * The result may be longer than the input, at most by REDACT_GROWTH times. Not found: a secret that is interrupted by
 * other bytes, compressed or encrypted.
 *
 * Non-goals: personal data, entropy guesses. A redactor is immutable and shared by any threads; a stream belongs to one
 * thread at a time. */
#pragma once
#include "base/buf.h"

#define REDACT_SECRET_MIN  8 /* bytes; shorter texts are no secrets */
#define REDACT_SECRET_MAX  16384
#define REDACT_SECRETS_MAX 256
#define REDACT_HOLD_MAX    65536
#define REDACT_GROWTH      8
#define REDACT_NAME_MAX    32 /* bytes of a name; others than letters, digits, '_', '-' and '.' are left out */

struct redact_secret {
    const char *name;
    struct str secret;
};
struct redactor;
/* Secrets that are too short are skipped, of those that are too long the first REDACT_SECRET_MAX bytes count, of too
 * many the first REDACT_SECRETS_MAX. One reference is the caller's. */
struct redactor *redactor_new(const struct redact_secret *secrets, size_t n);
struct redactor *redactor_ref(struct redactor *r);   /* returns r */
struct redactor *redactor_unref(struct redactor *r); /* NULL is fine; returns NULL */

struct redact; /* one text in pieces */
/* Takes a reference of its own to r. Belongs to ctx. */
struct redact *redact_new(mem *ctx, struct redactor *r);
/* Appends to out what is certain. false: out is at its cap, and the text ends here for good. */
bool redact_feed(struct redact *x, struct str bytes, struct buf *out);
/* The text is whole: appends the rest. A beginning of a known secret at the very end is taken out too. */
bool redact_end(struct redact *x, struct buf *out);
/* More would follow that is not kept: appends the rest but what might be the beginning of a finding. */
bool redact_cut(struct redact *x, struct buf *out);

/* A whole text at once, in ctx; cut at a character when longer than max bytes. */
char *redact_text(mem *ctx, struct redactor *r, struct str text, size_t max);
