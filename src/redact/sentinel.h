/* Watching a stream for known strings: canaries and placeholders on their way out, in every form in which they may
 * travel (redact/form.h: plain, in JSON, percent-encoded, hexadecimal, base64 at each alignment), across any pieces.
 *
 * A set is made once and shared by all streams of a run; a stream is one number. Linear in the bytes, one table step
 * each. Not found: what is interrupted by other bytes, compressed or encrypted. Threads: a set is read-only once made.
 */
#pragma once
#include "base/str.h"

#define SENTINEL_MOST       64 /* strings of one set */
#define SENTINEL_STRING_MIN 8  /* bytes; shorter ones are not watched for */
struct sentinel;
/* Belongs to ctx; NULL when there is nothing to watch for. The index of a string is what a finding says. */
struct sentinel *sentinel_new(mem *ctx, const struct str *strings, size_t n);
/* *state is 0 at the beginning of a text. The index of the string that was found first in these bytes, or -1. */
int sentinel_feed(const struct sentinel *s, uint32_t *state, struct str bytes);
/* A whole text. NULL: nothing is watched for. */
int sentinel_find(const struct sentinel *s, struct str text);
