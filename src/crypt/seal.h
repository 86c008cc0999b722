/* Sealing of small secrets at rest: XChaCha20-Poly1305 (libsodium), a random 24-byte nonce before each box.
 *
 * What a box is for (`purpose`, authenticated but not hidden) must be given again to open it, so that a box moved to
 * another place does not open there. The key is 32 random bytes that live in a file of mode 0600 outside the database.
 * Threads: no state after the first call. */
#pragma once
#include "base/err.h"
#include "base/str.h"

#define SEAL_KEY      32
#define SEAL_OVERHEAD 40 /* nonce and tag */
struct seal_key {
    uint8_t bytes[SEAL_KEY];
};
/* Reads the key file; RC_DENIED when others than its owner (this user) may read it, RC_NOT_FOUND when there is none,
 * RC_INVALID when it holds no key. */
MUST_USE enum rc seal_key_read(const char *path, struct seal_key *ret, struct err *err);
/* Makes a new one, folders too (0700). RC_CONFLICT when there is one. */
MUST_USE enum rc seal_key_make(const char *path, struct seal_key *ret, struct err *err);
/* Reads it, or makes it where there is none; of two makers at the same time both get the same one. */
MUST_USE enum rc seal_key_take(const char *path, struct seal_key *ret, struct err *err);
void seal_key_wipe(struct seal_key *k);
/* The box, in ctx. */
struct str seal_box(mem *ctx, const struct seal_key *k, const char *purpose, struct str secret);
/* The secret, NUL-terminated, in ctx. RC_DENIED: another key, another purpose, or damaged. */
MUST_USE enum rc seal_open(mem *ctx, const struct seal_key *k, const char *purpose, struct str box, struct str *ret,
                           struct err *err);
