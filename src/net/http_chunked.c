/* Chunked bodies (RFC 9112 section 7.1): one state a byte, data taken in blocks. Pure; see http_parse.h. */
#include "net/http_parse.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool is_value(char c)
{
    return http_is_value(str_n(&c, 1));
}

static bool is_token(char c)
{
    return http_is_token(str_n(&c, 1));
}

/* 15 digits: far beyond every cap, and no overflow. */
static bool digit_take(struct http_chunked *d, char c)
{
    int v = hex_value(c);
    if (v < 0 || d->digits == 15)
        return false;
    d->left = d->left * 16 + (uint64_t)v;
    d->digits++;
    d->state = CHUNK_DIGITS;
    return true;
}

static bool size_first(struct http_chunked *d, char c)
{
    d->left = 0;
    d->digits = 0;
    return digit_take(d, c);
}

static bool size_more(struct http_chunked *d, char c)
{
    if (c == '\r')
        d->state = CHUNK_SIZE_LF;
    else if (c == ';')
        d->state = CHUNK_EXTENSION;
    else
        return digit_take(d, c);
    return true;
}

static bool extension_more(struct http_chunked *d, char c)
{
    d->framing++;
    if (c == '\r')
        d->state = CHUNK_SIZE_LF;
    return c == '\r' || is_value(c);
}

static bool size_end(struct http_chunked *d, char c)
{
    d->state = d->left ? CHUNK_DATA : CHUNK_TRAILER;
    return c == '\n';
}

static bool data_cr(struct http_chunked *d, char c)
{
    d->state = CHUNK_DATA_LF;
    return c == '\r';
}

static bool data_lf(struct http_chunked *d, char c)
{
    d->state = CHUNK_SIZE;
    return c == '\n';
}

/* Trailers that would say anew where the message ends or whom it is for (RFC 9110 section 6.5.1). Trailers are dropped,
 * but who comes after us might believe them: they are refused. */
static const struct str refused_trailers[] = {{"content-length", 14}, {"transfer-encoding", 17}, {"host", 4}};
enum { REFUSED_TRAILERS = sizeof refused_trailers / sizeof *refused_trailers };

/* Which of them the name may still become. */
static void name_letter(struct http_chunked *d, char c)
{
    for (unsigned i = 0; i < REFUSED_TRAILERS; i++)
        if (d->name_n >= refused_trailers[i].n ||
            refused_trailers[i].p[d->name_n] != (c >= 'A' && c <= 'Z' ? c | 32 : c))
            d->name_may &= ~(1u << i);
    d->name_n++;
}

static bool name_allowed(const struct http_chunked *d)
{
    for (unsigned i = 0; i < REFUSED_TRAILERS; i++)
        if ((d->name_may & 1u << i) && d->name_n == refused_trailers[i].n)
            return false;
    return true;
}

static bool trailer_first(struct http_chunked *d, char c)
{
    d->framing++;
    d->state = c == '\r' ? CHUNK_END_LF : CHUNK_NAME;
    d->name_n = 0;
    d->name_may = (1u << REFUSED_TRAILERS) - 1;
    name_letter(d, c);
    return c == '\r' || is_token(c);
}

static bool name_more(struct http_chunked *d, char c)
{
    d->framing++;
    if (c == ':') {
        d->state = CHUNK_VALUE;
        return name_allowed(d);
    }
    name_letter(d, c);
    return is_token(c);
}

static bool value_more(struct http_chunked *d, char c)
{
    d->framing++;
    if (c == '\r')
        d->state = CHUNK_TRAILER_LF;
    return c == '\r' || is_value(c);
}

static bool trailer_lf(struct http_chunked *d, char c)
{
    d->state = CHUNK_TRAILER;
    return c == '\n';
}

static bool end_lf(struct http_chunked *d, char c)
{
    d->state = CHUNK_END;
    return c == '\n';
}

/* What a byte does in each state; false: it may not stand there. Data is not here: it is taken in blocks. */
static bool (*const steps[])(struct http_chunked *d, char c) = {
    [CHUNK_SIZE] = size_first,       [CHUNK_DIGITS] = size_more, [CHUNK_EXTENSION] = extension_more,
    [CHUNK_SIZE_LF] = size_end,      [CHUNK_DATA_CR] = data_cr,  [CHUNK_DATA_LF] = data_lf,
    [CHUNK_TRAILER] = trailer_first, [CHUNK_NAME] = name_more,   [CHUNK_VALUE] = value_more,
    [CHUNK_TRAILER_LF] = trailer_lf, [CHUNK_END_LF] = end_lf,
};

enum rc http_chunked_take(struct http_chunked *d, struct str *in, struct str *ret_piece, struct err *err)
{
    *ret_piece = (struct str){in->p, 0};
    while (d->state != CHUNK_END) {
        if (in->n == 0)
            return RC_AGAIN;
        if (d->state == CHUNK_DATA) {
            size_t n = d->left < in->n ? (size_t)d->left : in->n;
            *ret_piece = str_n(in->p, n);
            *in = str_n(in->p + n, in->n - n);
            d->left -= n;
            if (d->left == 0)
                d->state = CHUNK_DATA_CR;
            return RC_OK;
        }
        char c = in->p[0];
        *in = str_n(in->p + 1, in->n - 1);
        if (!steps[d->state](d, c))
            return err_set(err, RC_INVALID, "The chunked body is malformed.");
        if (d->framing > HTTP_MAX_FRAMING)
            return err_set(err, RC_LIMIT, "The chunked body has too many extensions or trailers.");
    }
    return RC_OK;
}
