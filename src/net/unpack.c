/* zlib behind two calls. "deflate" means the zlib format; servers that send bare deflate are understood too. */
#include "net/unpack.h"
#include <zlib.h>

enum { PIECE = 16 << 10, GZIP_OR_ZLIB = 32 + 15, BARE = -15 };

struct unpack {
    z_stream z;
    bool begun, ended, may_be_bare, full;
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
    u->may_be_bare = deflate;
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

enum rc unpack_take(struct unpack *u, struct str *in, struct str *ret_piece, struct err *err)
{
    *ret_piece = STR("");
    if (u->ended)
        in->n = 0; /* what comes after the end says nothing: padding of some servers */
    if (!in->n && !u->full)
        return RC_OK;
    int done = step(u, *in);
    if (done == Z_DATA_ERROR && u->may_be_bare && !u->begun && inflateReset2(&u->z, BARE) == Z_OK)
        done = step(u, *in);
    u->may_be_bare = false;
    u->begun = true;
    if (done != Z_OK && done != Z_STREAM_END && done != Z_BUF_ERROR)
        return err_set(err, RC_INVALID, "the packed bytes are malformed");
    u->ended = done == Z_STREAM_END;
    u->full = !u->ended && u->z.avail_out == 0; /* there may be more of it inside */
    size_t used = (size_t)((const char *)u->z.next_in - in->p);
    *in = str_n(in->p + used, in->n - used);
    *ret_piece = str_n((const char *)u->piece, PIECE - u->z.avail_out);
    return RC_OK;
}

bool unpack_whole(const struct unpack *u)
{
    return u->ended || !u->begun;
}
