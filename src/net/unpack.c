/* zlib behind two calls. "deflate" means the zlib format; servers that send bare deflate are understood too. */
#include "net/unpack.h"
#include <zlib.h>

enum { PIECE = 16 << 10, GZIP_OR_ZLIB = 32 + 15, BARE = -15 };

struct unpack {
    z_stream z;
    bool begun, ended, full;
    bool undecided; /* deflate: its first two bytes tell whether it is bare (RFC 1950 section 2.2) */
    unsigned char first[2];
    size_t first_n;
    unsigned char piece[PIECE];
};

static int unpack_done(struct unpack *u)
{
    inflateEnd(&u->z);
    return 0;
}

struct unpack *unpack_new(mem *ctx, struct str encoding)
{
    bool gzip = str_ieq(encoding, STR("gzip")) || str_ieq(encoding, STR("x-gzip"));
    bool deflate = str_ieq(encoding, STR("deflate"));
    if (!gzip && !deflate)
        return NULL;
    struct unpack *u = mem_new(ctx, struct unpack);
    u->undecided = deflate;
    BUG_ON(inflateInit2(&u->z, GZIP_OR_ZLIB) != Z_OK);
    talloc_set_destructor(u, unpack_done);
    return u;
}

static int step(struct unpack *u, struct str in)
{
    u->z.next_in = (unsigned char *)in.p;
    u->z.avail_in = in.n < (1u << 30) ? (unsigned)in.n : 1u << 30;
    u->z.next_out = u->piece;
    u->z.avail_out = PIECE;
    return inflate(&u->z, Z_SYNC_FLUSH);
}

static enum rc take(struct unpack *u, struct str *in, struct str *ret_piece, struct err *err)
{
    int done = step(u, *in);
    if (done != Z_OK && done != Z_STREAM_END && done != Z_BUF_ERROR)
        return err_set(err, RC_INVALID, "the packed bytes are malformed");
    u->ended = done == Z_STREAM_END;
    u->full = !u->ended && u->z.avail_out == 0; /* there may be more of it inside */
    size_t used = (size_t)((const char *)u->z.next_in - in->p);
    *in = u->ended ? STR("") : str_n(in->p + used, in->n - used); /* padding of some servers says nothing */
    *ret_piece = str_n((const char *)u->piece, PIECE - u->z.avail_out);
    return RC_OK;
}

/* Once both are there, they are the first input. */
static enum rc decide(struct unpack *u, struct str *in, struct str *ret_piece, struct err *err)
{
    for (; in->n && u->first_n < sizeof u->first; *in = str_n(in->p + 1, in->n - 1))
        u->first[u->first_n++] = (unsigned char)in->p[0];
    if (u->first_n < sizeof u->first)
        return RC_OK;
    bool zlib = (u->first[0] & 15) == Z_DEFLATED && (u->first[0] << 8 | u->first[1]) % 31 == 0;
    struct str first = str_n((const char *)u->first, sizeof u->first);
    u->undecided = false;
    if (!zlib)
        inflateReset2(&u->z, BARE);
    return take(u, &first, ret_piece, err);
}

enum rc unpack_take(struct unpack *u, struct str *in, struct str *ret_piece, struct err *err)
{
    enum rc rc = RC_OK;
    *ret_piece = STR("");
    u->begun |= in->n > 0;
    if (u->undecided)
        rc = decide(u, in, ret_piece, err);
    if (u->ended)
        *in = STR("");
    if (rc || ret_piece->n || (!in->n && !u->full))
        return rc;
    return take(u, in, ret_piece, err);
}

bool unpack_whole(const struct unpack *u)
{
    return u->ended || !u->begun;
}
