/* The text of a user key: nm_PREFIX_SECRET_CHECK.
 *
 * PREFIX (8 characters, Crockford base 32) finds the row and may be shown; SECRET holds 260 random bits; CHECK is the
 * CRC-32 (ISO-HDLC) of all before it, so that a mistyped or cut key is told apart from a wrong one without a lookup.
 * The check is no protection: it is computed from what is public. Threads: no state. */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include "crypt/hash.h"

#define TOKEN_PREFIX 8
#define TOKEN_LENGTH (3 + TOKEN_PREFIX + 1 + 52 + 1 + 7)
struct token {
    char text[TOKEN_LENGTH + 1]; /* secret */
    char prefix[TOKEN_PREFIX + 1];
    uint8_t hash[HASH_SHA256]; /* what is stored */
};
void token_new(struct token *ret);
/* Reads a token's parts. RC_DENIED: it is none, or mistyped; the words do not repeat it. */
MUST_USE enum rc token_read(struct str text, struct token *ret, struct err *err);
bool token_is(struct str text); /* begins as user keys do */
