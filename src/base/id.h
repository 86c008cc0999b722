/* Random names from getrandom(2). Alphabet: Crockford base 32 in lower case (no i, l, o, u). */
#pragma once
#include "base/mem.h"
#include "base/str.h"
char *id_new(mem *ctx, size_t chars); /* 5 bits a character */
bool id_valid(struct str s, size_t chars);
