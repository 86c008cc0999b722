/* Making and reading opaque secrets. */
#include "auth/opaque.h"
#include "base/id.h"

enum { WORD = 4, SECRET = 52 };
_Static_assert(OPAQUE_LENGTH == WORD + SECRET, "length of an opaque secret");

static void opaque_fill(const char *word, const char *secret, struct opaque *ret)
{
    memcpy(ret->text, word, WORD);
    memcpy(ret->text + WORD, secret, SECRET);
    ret->text[OPAQUE_LENGTH] = '\0';
    hash_sha256(str_n(ret->text, OPAQUE_LENGTH), ret->hash);
}

void opaque_new(const char *word, struct opaque *ret)
{
    CLEANUP_MEM mem *tmp = mem_root();
    char *secret = id_new(tmp, SECRET);
    opaque_fill(word, secret, ret);
    explicit_bzero(secret, SECRET);
}

/* Two MACs give the 260 bits; a digit is a byte modulo 32, which is exact. */
void opaque_next(const char *word, const uint8_t key[32], const struct opaque *of, struct opaque *ret)
{
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    uint8_t mac[2][HASH_SHA256];
    char text[OPAQUE_LENGTH + 1], secret[SECRET];
    memcpy(text, of->text, OPAQUE_LENGTH);
    for (int i = 0; i < 2; i++) {
        text[OPAQUE_LENGTH] = (char)('1' + i);
        hash_hmac_sha256(str_n((const char *)key, 32), str_n(text, sizeof text), mac[i]);
    }
    for (int i = 0; i < SECRET; i++)
        secret[i] = digits[mac[i / 26][i % 26] & 31];
    opaque_fill(word, secret, ret);
    explicit_bzero(mac, sizeof mac);
    explicit_bzero(text, sizeof text);
    explicit_bzero(secret, sizeof secret);
}

bool opaque_read(const char *word, struct str text, struct opaque *ret)
{
    if (text.n != OPAQUE_LENGTH || memcmp(text.p, word, WORD) != 0 || !id_valid(str_sub(text, WORD, SECRET), SECRET))
        return false;
    opaque_fill(word, text.p + WORD, ret);
    return true;
}

void opaque_wipe(struct opaque *o)
{
    explicit_bzero(o, sizeof *o);
}
