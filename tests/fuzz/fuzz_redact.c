/* Any bytes, cut anywhere: the same result as whole, and none of the known secrets in it. The input's first byte seeds
 * the sizes of the pieces, a line the secrets, the rest is the text. */
#include "base/err.h"
#include "redact/redact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 20000)
        return 0;
    CLEANUP_MEM mem *tmp = mem_root();
    struct str text = {(const char *)data + 1, size - 1}, line, rest = {0};
    struct redact_secret secrets[4];
    size_t n = 0;
    if (!str_line(&text, &line))
        return 0;
    for (rest = line; n < 4 && str_next(&rest, ' ', &line);)
        secrets[n++] = (struct redact_secret){"s", line};
    struct redactor *r = redactor_new(secrets, n);
    struct buf one, many;
    buf_init(&one, tmp, 1u << 20);
    buf_init(&many, tmp, 1u << 20);
    struct redact *x = redact_new(tmp, r), *y = redact_new(tmp, r);
    BUG_ON(!redact_feed(x, text, &one) || !redact_end(x, &one));
    BUG_ON(one.n > REDACT_GROWTH * text.n + 64);
    for (uint32_t at = 0, seed = data[0]; at < text.n;) {
        seed = seed * 1103515245 + 12345;
        uint32_t step = 1 + (seed >> 16) % 40;
        BUG_ON(!redact_feed(y, str_sub(text, at, step), &many));
        at += step;
    }
    BUG_ON(!redact_end(y, &many) || !str_eq(buf_view(&one), buf_view(&many)));
    for (size_t i = 0; i < n; i++) /* a mark may complete a secret that looks like one */
        BUG_ON(secrets[i].secret.n >= REDACT_SECRET_MIN && str_find(secrets[i].secret, STR("[")) < 0 &&
               str_find(secrets[i].secret, STR("]")) < 0 && str_find(buf_view(&one), secrets[i].secret) >= 0 &&
               str_find(STR("[redacted:secret]"), secrets[i].secret) < 0);
    redactor_unref(r);
    return 0;
}
