/* Passwords: argon2id (RFC 9106) by libsodium, with its INTERACTIVE cost: 64 MiB and two passes, about 60 ms.
 *
 * That much memory for each call: the caller bounds how many run at once (os/lane.h) and never calls on a loop. A check
 * against a user that does not exist costs the same as one against a user that does. Threads: no state after the first
 * call. */
#pragma once
#include "base/err.h"
#include "base/str.h"

#define PASSWORD_TEXT  128 /* bytes of a stored hash, with its NUL (crypto_pwhash_STRBYTES) */
#define PASSWORD_LEAST 10
#define PASSWORD_MOST  1024
/* RC_LIMIT: there is no memory for it now. */
MUST_USE enum rc password_hash(struct str password, char ret[PASSWORD_TEXT], struct err *err);
/* hash "" (no such user, no password): false, after as much work. */
bool password_matches(const char *hash, struct str password);
bool password_stale(const char *hash); /* made with other costs than today's: hash it again at the next login */
/* Whether it is good enough for the user of this name: length, not the name, not one character repeated. RC_INVALID. */
MUST_USE enum rc password_check(struct str password, const char *name, struct err *err);
