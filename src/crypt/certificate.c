/* Making, keeping and using the authority; promises in certificate.h. Not here: TLS itself (net/tls.c). */
#include "crypt/certificate.h"
#include "base/buf.h"
#include "crypt/seal.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY            86400
#define AUTHORITY_DAYS 3650
#define LEAF_DAYS      30
#define BUNDLE_MOST    (8u << 20)

struct authority {
    X509 *certificate;
    EVP_PKEY *key, *leaf_key;
};

static enum rc fail(struct err *err, const char *sentence)
{
    unsigned long code = ERR_peek_last_error();
    const char *why = code ? ERR_reason_error_string(code) : NULL;
    err_set(err, RC_INVALID, "%s", sentence);
    ERR_clear_error();
    return err_detail(err, "%s", why ? why : "no reason given");
}

static int authority_free(struct authority *a)
{
    X509_free(a->certificate);
    EVP_PKEY_free(a->key);
    EVP_PKEY_free(a->leaf_key);
    return 0;
}

char *authority_path(mem *ctx, const char *dir)
{
    return mem_printf(ctx, "%s/ca.pem", dir);
}

X509 *authority_certificate(struct authority *a)
{
    return a->certificate;
}

EVP_PKEY *authority_leaf_key(struct authority *a)
{
    return a->leaf_key;
}

/* ---- making ---- */

static bool extension_add(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool fine = e && X509_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    return fine;
}

/* Random, positive, 64 bits: what RFC 5280 and clients ask of a serial number. */
static bool serial_set(X509 *x)
{
    unsigned char bytes[8];
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return false;
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    BIGNUM *n = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool fine = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
    BN_free(n);
    return fine;
}

static X509 *certificate_begin(const char *name, EVP_PKEY *key, long days)
{
    X509 *x = X509_new();
    bool fine = x && X509_set_version(x, 2) == 1 && serial_set(x) && X509_gmtime_adj(X509_getm_notBefore(x), -3600) &&
                X509_gmtime_adj(X509_getm_notAfter(x), days * DAY) && X509_set_pubkey(x, key) == 1 &&
                X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8, (const unsigned char *)name,
                                           -1, -1, 0) == 1;
    if (fine)
        return x;
    X509_free(x);
    return NULL;
}

static bool authority_make(struct authority *a)
{
    unsigned char tag[3];
    char name[64];
    if (RAND_bytes(tag, sizeof tag) != 1)
        return false;
    snprintf(name, sizeof name, "Nightmill egress proxy %02x%02x%02x", tag[0], tag[1], tag[2]);
    a->key = EVP_EC_gen("P-256");
    a->certificate = a->key ? certificate_begin(name, a->key, AUTHORITY_DAYS) : NULL;
    X509 *x = a->certificate;
    return x && X509_set_issuer_name(x, X509_get_subject_name(x)) == 1 &&
           extension_add(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           extension_add(x, x, NID_key_usage, "critical,keyCertSign,cRLSign") &&
           extension_add(x, x, NID_subject_key_identifier, "hash") && X509_sign(x, a->key, EVP_sha256()) > 0;
}

enum rc authority_sign(struct authority *a, const char *host, bool numeric, X509 **ret, struct err *err)
{
    char alternative[300];
    /* A common name has at most 64 bytes (RFC 5280); nobody looks at it where there is an alternative name. */
    X509 *x = certificate_begin(strlen(host) <= 64 ? host : "a host", a->leaf_key, LEAF_DAYS);
    snprintf(alternative, sizeof alternative, "%s:%s", numeric ? "IP" : "DNS", host);
    bool fine = x && X509_set_issuer_name(x, X509_get_subject_name(a->certificate)) == 1 &&
                extension_add(x, a->certificate, NID_basic_constraints, "critical,CA:FALSE") &&
                extension_add(x, a->certificate, NID_key_usage, "critical,digitalSignature") &&
                extension_add(x, a->certificate, NID_ext_key_usage, "serverAuth") &&
                extension_add(x, a->certificate, NID_authority_key_identifier, "keyid") &&
                extension_add(x, a->certificate, NID_subject_alt_name, alternative) &&
                X509_sign(x, a->key, EVP_sha256()) > 0;
    if (fine) {
        *ret = x;
        return RC_OK;
    }
    X509_free(x);
    return fail(err, "a certificate could not be made");
}

/* ---- keeping ---- */

#define KEY_PURPOSE "egress authority"
#define KEY_MOST    16384

/* Where things are, and what opens the key. Lives while the authority is looked for. */
struct place {
    const char *certificate, *sealed, *plain; /* plain: as versions before sealing left it */
    struct seal_key seal;
};

static enum rc file_get(mem *ctx, const char *path, struct str *ret, struct err *err)
{
    char text[KEY_MOST];
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (n < 0)
        return err_sys(err, errno, "cannot read %s", path);
    *ret = str_n(mem_strn(ctx, text, (size_t)n), (size_t)n);
    explicit_bzero(text, sizeof text);
    return RC_OK;
}

static void *pem_parse(struct str text, bool key)
{
    BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
    void *found = !bio  ? NULL
                  : key ? (void *)PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL)
                        : (void *)PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return found;
}

static enum rc key_read(mem *ctx, const struct place *at, struct str *ret, struct err *err)
{
    struct str box;
    enum rc rc = file_get(ctx, at->sealed, &box, err);
    if (rc == RC_NOT_FOUND)
        return file_get(ctx, at->plain, ret, err);
    if (rc == RC_OK)
        rc = seal_open(ctx, &at->seal, KEY_PURPOSE, box, ret, err);
    if (rc == RC_DENIED) {
        err_set(err, rc, "the key of the egress proxy's authority does not open with this key file");
        err_hint(err, "put the right seal.key back, or remove %s: a new authority is made at the next start",
                 at->sealed);
    }
    return rc;
}

static enum rc authority_read(struct authority *a, const struct place *at, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct str certificate, key;
    enum rc rc = file_get(tmp, at->certificate, &certificate, err);
    if (rc == RC_OK)
        rc = key_read(tmp, at, &key, err);
    if (rc != RC_OK)
        return rc;
    a->certificate = pem_parse(certificate, false);
    a->key = pem_parse(key, true);
    OPENSSL_cleanse((void *)(uintptr_t)key.p, key.n);
    if (!a->certificate || !a->key || X509_check_private_key(a->certificate, a->key) != 1) {
        fail(err, "the egress proxy's certificate and key do not belong together");
        return err_hint(err, "remove %s and %s: new ones are made at the next start", at->certificate, at->sealed);
    }
    return RC_OK;
}

/* Whole or not at all: a new file that takes the place of the old one. */
static enum rc file_put(const char *path, mode_t mode, struct str text, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *fresh = mem_printf(tmp, "%s.new", path);
    unlink(fresh);
    CLEANUP_FD int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return err_sys(err, errno, "could not write %s", path);
    for (size_t done = 0; done < text.n;) {
        ssize_t n = write(fd, text.p + done, text.n - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "could not write %s", path);
        done += (size_t)n;
    }
    if (fchmod(fd, mode) < 0 || fsync(fd) < 0 || rename(fresh, path) < 0)
        return err_sys(err, errno, "could not write %s", path);
    return RC_OK;
}

static enum rc key_write(struct authority *a, const struct place *at, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    if (!bio || PEM_write_bio_PrivateKey(bio, a->key, NULL, NULL, 0, NULL, NULL) != 1) {
        BIO_free(bio);
        return fail(err, "a key could not be written");
    }
    long n = BIO_get_mem_data(bio, &text);
    enum rc rc = file_put(at->sealed, 0600, seal_box(tmp, &at->seal, KEY_PURPOSE, str_n(text, (size_t)n)), err);
    OPENSSL_cleanse(text, (size_t)n);
    BIO_free(bio);
    if (rc == RC_OK && unlink(at->plain) < 0 && errno != ENOENT)
        rc = err_sys(err, errno, "could not remove %s", at->plain);
    return rc;
}

static enum rc certificate_write(struct authority *a, const struct place *at, struct err *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    if (!bio || PEM_write_bio_X509(bio, a->certificate) != 1) {
        BIO_free(bio);
        return fail(err, "a certificate could not be written");
    }
    long n = BIO_get_mem_data(bio, &text);
    enum rc rc = file_put(at->certificate, 0644, str_n(text, (size_t)n), err);
    BIO_free(bio);
    return rc;
}

static bool authority_ends_soon(const struct authority *a)
{
    time_t soon = time(NULL) + LEAF_DAYS * DAY;
    return X509_cmp_time(X509_get0_notAfter(a->certificate), &soon) < 0;
}

static void authority_clear(struct authority *a)
{
    authority_free(a);
    a->certificate = NULL;
    a->key = NULL;
}

/* Under the folder's lock. */
static enum rc authority_find(struct authority *a, const struct place *at, struct err *err)
{
    if (access(at->certificate, F_OK) == 0 || access(at->sealed, F_OK) == 0 || access(at->plain, F_OK) == 0) {
        enum rc rc = authority_read(a, at, err);
        if (rc == RC_OK && !authority_ends_soon(a))
            return access(at->plain, F_OK) == 0 ? key_write(a, at, err) : RC_OK;
        if (rc != RC_OK && rc != RC_NOT_FOUND) /* not found: half of it, a crash between the two writes */
            return rc;
        authority_clear(a);
    }
    if (!authority_make(a))
        return fail(err, "the egress proxy's certificate authority could not be made");
    enum rc rc = key_write(a, at, err);
    return rc == RC_OK ? certificate_write(a, at, err) : rc;
}

enum rc authority_open(mem *ctx, const char *dir, const char *seal_file, struct authority **ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct place at = {.certificate = authority_path(tmp, dir),
                       .sealed = mem_printf(tmp, "%s/ca.key.sealed", dir),
                       .plain = mem_printf(tmp, "%s/ca.key", dir)};
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return err_sys(err, errno, "could not make the folder %s", dir);
    CLEANUP_FD int lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock < 0 || flock(lock, LOCK_EX) < 0)
        return err_sys(err, errno, "could not lock the folder %s", dir);
    enum rc rc = seal_key_read(seal_file, &at.seal, err);
    if (rc != RC_OK)
        return rc;
    struct authority *a = mem_new(ctx, struct authority);
    talloc_set_destructor(a, authority_free);
    rc = authority_find(a, &at, err);
    seal_key_wipe(&at.seal);
    if (rc == RC_OK && !(a->leaf_key = EVP_EC_gen("P-256")))
        rc = fail(err, "a key could not be made");
    if (rc != RC_OK) {
        mem_free(a);
        return rc;
    }
    *ret = a;
    return RC_OK;
}

static void file_append(struct buf *b, const char *path)
{
    char chunk[16384];
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;
    if (fd < 0)
        return;
    while ((n = read(fd, chunk, sizeof chunk)) > 0)
        buf_add(b, chunk, (size_t)n);
    if (b->n && b->p[b->n - 1] != '\n')
        buf_char(b, '\n');
}

enum rc authority_bundle(struct authority *a, const char *path, const char *const *files, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    char *text;
    BIO *bio = BIO_new(BIO_s_mem());
    buf_init(&b, tmp, BUNDLE_MOST);
    if (!bio || PEM_write_bio_X509(bio, a->certificate) != 1) {
        BIO_free(bio);
        return fail(err, "a certificate could not be written");
    }
    long n = BIO_get_mem_data(bio, &text);
    buf_add(&b, text, (size_t)n);
    BIO_free(bio);
    for (const char *const *f = files; f && *f; f++)
        file_append(&b, *f);
    if (b.overflow)
        return err_set(err, RC_LIMIT, "the system's authorities are more than %u bytes", BUNDLE_MOST);
    return file_put(path, 0644, buf_view(&b), err);
}

enum rc certificate_file_ends(const char *path, int64_t *ret_s, struct err *err)
{
    struct tm ends;
    FILE *f = fopen(path, "re");
    if (!f)
        return err_sys(err, errno, "could not open %s", path);
    X509 *x = PEM_read_X509(f, NULL, NULL, NULL);
    fclose(f);
    bool ok = x && ASN1_TIME_to_tm(X509_get0_notAfter(x), &ends) == 1;
    X509_free(x);
    ERR_clear_error();
    if (!ok)
        return err_set(err, RC_INVALID, "%s holds no certificate", path);
    *ret_s = timegm(&ends);
    return RC_OK;
}
