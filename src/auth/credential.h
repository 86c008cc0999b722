/* Keys of providers: references resolved to secrets.
 *
 * Three places: variables (the daemon's environment and what clients handed over), files of mode 0600 that are read and
 * checked at each use, and the sealed store, whose boxes are opened once and kept. All of them may change while
 * requests run; the next request has the new key. Secrets are wiped when they are replaced or dropped, never written in
 * plain and never shown; each is made known to the log's censor. Thread-safe; references to files read the disk, so not
 * on the loop. */
#pragma once
#include "crypt/seal.h"
#include "store/sealed.h"

#define CREDENTIAL_SECRET_MAX 16384 /* a service account's file fits */

struct credentials;
/* key_file: where the sealing key is, or will be made when the first secret is sealed. Freeing ctx wipes all. */
struct credentials *credentials_new(mem *ctx, const char *key_file);
/* Opens what is sealed, or makes the key file where nothing is sealed yet: other processes of the daemon read it too. A
 * box that does not open is told by credential_get, not here; a key file that cannot be made is told in the log. */
MUST_USE enum rc credentials_load(struct credentials *c, struct store *s, struct err *err);

/* Variables. RC_INVALID: name or value; RC_LIMIT: too many names. */
MUST_USE enum rc credential_set(struct credentials *c, const char *name, struct str value, struct err *err);
bool credential_known(struct credentials *c, const char *name);
/* Names in order, NULL-terminated, in ctx. */
const char *const *credential_names(mem *ctx, struct credentials *c);

/* Seals and stores, or replaces. RC_INVALID: empty, too long, control bytes. */
MUST_USE enum rc credential_seal(struct credentials *c, struct store *s, const char *id, struct str secret,
                                 int64_t now_ns, struct err *err);
void credential_forget(struct credentials *c, const char *id); /* a sealed one was removed */

/* The form of a reference alone. RC_INVALID with the three forms. "" is fine: no key. */
MUST_USE enum rc credential_reference_check(const char *reference, struct err *err);
/* The secret, in ctx; wipe it with credential_wipe. NULL for "". RC_DENIED: not known, wrong mode, wrong owner, box
 * does not open; with what to do. */
MUST_USE enum rc credential_get(mem *ctx, struct credentials *c, const char *reference, char **ret, struct err *err);
bool credential_waits(const char *reference); /* credential_get reads the disk for it */
void credential_wipe(char *secret);           /* NULL is fine */
