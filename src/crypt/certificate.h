/* A certificate authority of our own, and certificates that it signs for hosts (X.509v3, ECDSA P-256, SHA-256).
 *
 * The authority is made once: <dir>/ca.pem (0644), and its key sealed in <dir>/ca.key.sealed (0600, in a folder of
 * 0700) by the key of a file elsewhere (crypt/seal.h): a copy of the folder signs nothing. It may sign for hosts only
 * and for no further authority. Two processes that make it at the same time end with the same one. Objects are
 * OpenSSL's, freed by its functions. Threads: an authority is used by one thread at a time. */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include <openssl/types.h>

struct authority;
/* Reads the authority of the folder, or makes it. A certificate that ends within a month is replaced; a key that an
 * earlier version left unsealed (ca.key) is sealed. Belongs to ctx. RC_DENIED: the key does not open, or others may
 * read the file that opens it; RC_NOT_FOUND: there is no such file; RC_INVALID: the files do not belong together. */
MUST_USE enum rc authority_open(mem *ctx, const char *dir, const char *seal_file, struct authority **ret,
                                struct err *err);
/* When the first certificate of a PEM file ends, in seconds since 1970. RC_NOT_FOUND, RC_INVALID. Any thread. */
MUST_USE enum rc certificate_file_ends(const char *path, int64_t *ret_s, struct err *err);
char *authority_path(mem *ctx, const char *dir);  /* <dir>/ca.pem */
X509 *authority_certificate(struct authority *a); /* borrowed */
/* All leaves share one key, made with the authority's start: it never leaves the process. Borrowed. */
EVP_PKEY *authority_leaf_key(struct authority *a);
/* A certificate for one host (a DNS name, or a numeric address), valid for a month, from an hour ago. The caller's. */
MUST_USE enum rc authority_sign(struct authority *a, const char *host, bool numeric, X509 **ret, struct err *err);
/* Writes `path` (0644) anew: the authority's certificate and behind it the text of each of the files (those that are
 * not there are left out). */
MUST_USE enum rc authority_bundle(struct authority *a, const char *path, const char *const *files, struct err *err);
