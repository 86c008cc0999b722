/* Hashes over whole texts, by OpenSSL's EVP interface. For fingerprints and integrity, not for passwords and not for
 * message authentication. A failure of the library is a broken installation and aborts. Threads: no state. */
#pragma once
#include "base/str.h"

#define HASH_SHA256     32 /* bytes */
#define HASH_SHA256_HEX 65 /* lower-case digits and the NUL */
void hash_sha256(struct str s, uint8_t ret[HASH_SHA256]);
void hash_sha256_hex(struct str s, char ret[HASH_SHA256_HEX]);
