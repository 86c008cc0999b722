/* Random names. */
#include "base/id.h"
#include "base/clock.h"
#include "base/err.h"
#include <errno.h>
#include <string.h>
#include <sys/random.h>

static const char id_alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

static void random_fill(unsigned char *p, size_t n)
{
    while (n) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        BUG_ON(got <= 0); /* a guessable name would be worse than no process */
        p += got;
        n -= (size_t)got;
    }
}

/* The kernel is asked for many bytes at once; each is used once and wiped. */
static void random_take(unsigned char *p, size_t n)
{
    static __thread unsigned char kept[256];
    static __thread size_t left;
    if (n > sizeof kept) {
        random_fill(p, n);
        return;
    }
    if (n > left) {
        random_fill(kept, sizeof kept);
        left = sizeof kept;
    }
    left -= n;
    memcpy(p, kept + left, n);
    explicit_bzero(kept + left, n);
}

char *id_new(mem *ctx, size_t chars)
{
    char *id = mem_zalloc(ctx, chars + 1);
    random_take((unsigned char *)id, chars);
    for (size_t i = 0; i < chars; i++)
        id[i] = id_alphabet[(unsigned char)id[i] & 31]; /* 32 divides 256: no character is likelier */
    return id;
}

char *id_new_ordered(mem *ctx, size_t chars)
{
    BUG_ON(chars <= ID_TIME);
    char *id = id_new(ctx, chars);
    uint64_t ms = (uint64_t)clock_wall_ns() / 1000000;
    for (size_t i = ID_TIME; i-- > 0; ms >>= 5)
        id[i] = id_alphabet[ms & 31];
    return id;
}

bool id_valid(struct str s, size_t chars)
{
    if (s.n != chars)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!s.p[i] || !strchr(id_alphabet, s.p[i]))
            return false;
    return true;
}
