/* Making and reading the text of user keys. */
#include "auth/token.h"
#include "base/id.h"

enum { SECRET = 52, CHECK = 7 };
_Static_assert(TOKEN_LENGTH == 3 + TOKEN_PREFIX + 1 + SECRET + 1 + CHECK, "length of a token");
#define PREFIX_AT 3
#define SECRET_AT (PREFIX_AT + TOKEN_PREFIX + 1)
#define CHECK_AT  (SECRET_AT + SECRET + 1)

/* CRC-32 as in ISO-HDLC (zlib, Ethernet): reflected polynomial 0xEDB88320. */
static uint32_t crc32_of(struct str s)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < s.n; i++) {
        crc ^= (unsigned char)s.p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1)));
    }
    return ~crc;
}

/* 32 bits in 7 characters of 5, the highest first. */
static void check_write(struct str of, char ret[CHECK])
{
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    uint32_t crc = crc32_of(of);
    for (int i = CHECK - 1; i >= 0; i--, crc >>= 5)
        ret[i] = digits[crc & 31];
}

static void token_fill(struct token *t)
{
    memcpy(t->prefix, t->text + PREFIX_AT, TOKEN_PREFIX);
    t->prefix[TOKEN_PREFIX] = '\0';
    hash_sha256(str_n(t->text, TOKEN_LENGTH), t->hash);
}

void token_new(struct token *ret)
{
    CLEANUP_MEM mem *tmp = mem_root();
    char *random = id_new(tmp, TOKEN_PREFIX + SECRET);
    memcpy(ret->text, "nm_", 3);
    memcpy(ret->text + PREFIX_AT, random, TOKEN_PREFIX);
    ret->text[SECRET_AT - 1] = ret->text[CHECK_AT - 1] = '_';
    memcpy(ret->text + SECRET_AT, random + TOKEN_PREFIX, SECRET);
    check_write(str_n(ret->text, CHECK_AT - 1), ret->text + CHECK_AT);
    ret->text[TOKEN_LENGTH] = '\0';
    explicit_bzero(random, TOKEN_PREFIX + SECRET);
    token_fill(ret);
}

bool token_is(struct str text)
{
    return str_starts(text, STR("nm_"));
}

enum rc token_read(struct str text, struct token *ret, struct err *err)
{
    char check[CHECK];
    bool shape = text.n == TOKEN_LENGTH && token_is(text) && text.p[SECRET_AT - 1] == '_' &&
                 text.p[CHECK_AT - 1] == '_' && id_valid(str_sub(text, PREFIX_AT, TOKEN_PREFIX), TOKEN_PREFIX) &&
                 id_valid(str_sub(text, SECRET_AT, SECRET), SECRET);
    if (shape)
        check_write(str_n(text.p, CHECK_AT - 1), check);
    if (!shape || memcmp(check, text.p + CHECK_AT, CHECK) != 0) {
        err_set(err, RC_DENIED, shape || token_is(text) ? "the key is mistyped or cut" : "this is no key of Nightmill");
        err_hint(err, "copy all of it, from nm_ to the end (%d characters)", TOKEN_LENGTH);
        return RC_DENIED;
    }
    memcpy(ret->text, text.p, TOKEN_LENGTH);
    ret->text[TOKEN_LENGTH] = '\0';
    token_fill(ret);
    return RC_OK;
}
