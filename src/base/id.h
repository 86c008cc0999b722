/* Random names from getrandom(2). Alphabet: Crockford base 32 in lower case (no i, l, o, u). */
#pragma once
#include "base/mem.h"
#include "base/str.h"
char *id_new(mem *ctx, size_t chars); /* 5 bits a character */
/* The first ID_TIME characters are the milliseconds since 1970, the others are random: ids of rows that are many sort
 * by when they were made, so that an index over them grows at its end. */
#define ID_TIME 9
char *id_new_ordered(mem *ctx, size_t chars);
bool id_valid(struct str s, size_t chars);
