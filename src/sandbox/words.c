/* Words in a frame. */
#include "sandbox/words.h"

void words_add(struct buf *b, const char *word)
{
    buf_add(b, word, strlen(word) + 1);
}

void words_add_int(struct buf *b, int64_t value)
{
    buf_printf(b, "%lld", (long long)value);
    buf_char(b, '\0');
}

void words_add_list(struct buf *b, const char *const *list)
{
    size_t n = 0;
    while (list[n])
        n++;
    words_add_int(b, (int64_t)n);
    for (size_t i = 0; i < n; i++)
        words_add(b, list[i]);
}

bool words_parse(mem *ctx, struct str text, struct words *ret)
{
    if (text.n == 0 || text.p[text.n - 1] != '\0')
        return false;
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == '\0';
    ret->v = mem_array(ctx, const char *, n + 1);
    ret->n = n;
    const char *p = text.p;
    for (size_t i = 0; i < n; i++) {
        ret->v[i] = p;
        p += strlen(p) + 1;
    }
    return true;
}

bool words_int(const struct words *w, size_t i, int64_t min, int64_t max, int64_t *ret)
{
    return i < w->n && str_int(str_of(w->v[i]), min, max, ret);
}
