/* Bodies that a server packed although nobody asked (Content-Encoding: gzip, deflate; RFC 9110 section 8.4), unpacked
 * as they stream, in bounded pieces. Threads: none of its own. */
#pragma once
#include "base/err.h"
#include "base/str.h"

struct unpack;
/* NULL for an encoding that cannot be read. Belongs to ctx. */
struct unpack *unpack_new(mem *ctx, struct str encoding);
/* Takes bytes off *in and returns a piece (borrowed until the next call); empty: all input is used up. RC_INVALID: the
 * bytes are no such encoding. */
MUST_USE enum rc unpack_take(struct unpack *u, struct str *in, struct str *ret_piece, struct err *err);
bool unpack_whole(const struct unpack *u); /* the packed text has ended, or nothing has come at all */
