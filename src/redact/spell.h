/* Which bytes of a stream of events (SSE) are words of the answer: contents of the text members of the JSON behind
 * "data:". A model that says a secret spells it over many events; put together, these bytes have it whole. Private to
 * this room. */
#pragma once
#include "base/str.h"

struct spell {
    uint8_t mode, prefix, key_n;
    bool after_colon, value, text;
    char key[20];
};
/* Takes the next byte, from zero on; true when it is such a byte. */
bool spell_step(struct spell *s, uint8_t c);
