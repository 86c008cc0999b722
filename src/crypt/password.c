/* argon2id by libsodium's crypto_pwhash_str. */
#include "crypt/password.h"
#include <pthread.h>
#include <sodium.h>
#include <strings.h>

_Static_assert(PASSWORD_TEXT == crypto_pwhash_STRBYTES, "length of a stored hash");
#define OPS crypto_pwhash_OPSLIMIT_INTERACTIVE
#define MEM crypto_pwhash_MEMLIMIT_INTERACTIVE

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char nobody[PASSWORD_TEXT]; /* the hash of a password that nobody knows */

static void library_open(void)
{
    unsigned char secret[32];
    BUG_ON(sodium_init() < 0);
    randombytes_buf(secret, sizeof secret);
    if (crypto_pwhash_str(nobody, (const char *)secret, sizeof secret, OPS, MEM) != 0)
        nobody[0] = '\0'; /* no memory: checks fail, which they would without it as well */
    explicit_bzero(secret, sizeof secret);
}

enum rc password_hash(struct str password, char ret[PASSWORD_TEXT], struct err *err)
{
    pthread_once(&once, library_open);
    if (crypto_pwhash_str_alg(ret, password.p, password.n, OPS, MEM, crypto_pwhash_ALG_ARGON2ID13) == 0)
        return RC_OK;
    err_set(err, RC_LIMIT, "there is no memory for a password's hash now");
    return err_hint(err, "try again in a moment");
}

bool password_matches(const char *hash, struct str password)
{
    char stored[PASSWORD_TEXT] = {0}; /* libsodium reads all of it */
    pthread_once(&once, library_open);
    bool known = *hash && strlen(hash) < sizeof stored;
    memcpy(stored, known ? hash : nobody, strlen(known ? hash : nobody));
    return crypto_pwhash_str_verify(stored, password.p, password.n) == 0 && known;
}

bool password_stale(const char *hash)
{
    return crypto_pwhash_str_needs_rehash(hash, OPS, MEM) != 0;
}

enum rc password_check(struct str password, const char *name, struct err *err)
{
    size_t same = 0;
    if (password.n < PASSWORD_LEAST || password.n > PASSWORD_MOST) {
        err_set(err, RC_INVALID, "a password has %d to %d bytes", PASSWORD_LEAST, PASSWORD_MOST);
        return err_hint(err, "four words that do not belong together are good and easy to keep in mind");
    }
    while (same < password.n && password.p[same] == password.p[0])
        same++;
    if (same == password.n ||
        (strlen(name) && str_ifind(password, str_of(name)) >= 0 && password.n < 2 * strlen(name))) {
        err_set(err, RC_INVALID, "this password is guessed at the first try");
        return err_hint(err, "four words that do not belong together are good and easy to keep in mind");
    }
    return RC_OK;
}
