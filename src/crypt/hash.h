/* Hashes over whole texts, by OpenSSL's EVP interface: for fingerprints and integrity, not for passwords; and the MAC
 * that is made of one (HMAC, RFC 2104), for what must come from the holder of a key. A failure of the library is a
 * broken installation and aborts. Threads: no state. */
#pragma once
#include "base/str.h"

#define HASH_SHA256     32 /* bytes */
#define HASH_SHA256_HEX 65 /* lower-case digits and the NUL */
void hash_sha256(struct str s, uint8_t ret[HASH_SHA256]);
void hash_sha256_hex(struct str s, char ret[HASH_SHA256_HEX]);
void hash_hmac_sha256(struct str key, struct str text, uint8_t ret[HASH_SHA256]);
bool hash_same(const uint8_t a[HASH_SHA256], const uint8_t b[HASH_SHA256]); /* in constant time */
