/* Secrets that mean nothing in themselves: sessions (nms_), refresh tokens (nmr_), tickets of links (nmt_).
 *
 * 260 random bits in Crockford base 32 behind a word that says what it is. What is stored is the SHA-256, which needs
 * no salt: there is nothing to guess. Threads: no state. */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include "crypt/hash.h"

#define OPAQUE_LENGTH (4 + 52)
struct opaque {
    char text[OPAQUE_LENGTH + 1]; /* secret */
    uint8_t hash[HASH_SHA256];    /* what is stored */
};
void opaque_new(const char *word, struct opaque *ret); /* word: "nms_" */
/* The next one of a chain, always the same for the same key and predecessor. */
void opaque_next(const char *word, const uint8_t key[32], const struct opaque *of, struct opaque *ret);
/* False: it is no such secret. */
bool opaque_read(const char *word, struct str text, struct opaque *ret);
void opaque_wipe(struct opaque *o);
