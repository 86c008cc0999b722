/* Making, keeping and using the authority; promises in certificate.h. Not here: TLS itself (net/tls.c). */
#include "crypt/certificate.h"
#include "base/buf.h"
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

static enum rc pem_read(const char *path, bool secret, FILE **ret, struct err *err)
{
    struct stat st;
    *ret = fopen(path, "re");
    if (!*ret)
        return err_sys(err, errno, "cannot read %s", path);
    if (!secret || (fstat(fileno(*ret), &st) == 0 && !(st.st_mode & (S_IRWXG | S_IRWXO))))
        return RC_OK;
    fclose(*ret);
    err_set(err, RC_DENIED, "others may read the key %s", path);
    return err_hint(err, "chmod 600 %s", path);
}

static enum rc authority_read(struct authority *a, const char *certificate, const char *key, struct err *err)
{
    FILE *f;
    enum rc rc = pem_read(certificate, false, &f, err);
    if (rc != RC_OK)
        return rc;
    a->certificate = PEM_read_X509(f, NULL, NULL, NULL);
    fclose(f);
    rc = pem_read(key, true, &f, err);
    if (rc != RC_OK)
        return rc;
    a->key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
    fclose(f);
    if (!a->certificate || !a->key || X509_check_private_key(a->certificate, a->key) != 1) {
        fail(err, "the egress proxy's certificate and key do not belong together");
        return err_hint(err, "remove %s and %s: new ones are made at the next start", certificate, key);
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

static enum rc bio_put(BIO *bio, const char *path, mode_t mode, struct err *err)
{
    char *text;
    long n = BIO_get_mem_data(bio, &text);
    enum rc rc =
        n > 0 ? file_put(path, mode, str_n(text, (size_t)n), err) : fail(err, "a certificate could not be made");
    if (n > 0)
        OPENSSL_cleanse(text, (size_t)n);
    BIO_free(bio);
    return rc;
}

static enum rc authority_write(struct authority *a, const char *certificate, const char *key, struct err *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    if (!bio || PEM_write_bio_PrivateKey(bio, a->key, NULL, NULL, 0, NULL, NULL) != 1) {
        BIO_free(bio);
        return fail(err, "a key could not be written");
    }
    enum rc rc = bio_put(bio, key, 0600, err);
    if (rc != RC_OK)
        return rc;
    bio = BIO_new(BIO_s_mem());
    if (!bio || PEM_write_bio_X509(bio, a->certificate) != 1) {
        BIO_free(bio);
        return fail(err, "a certificate could not be written");
    }
    return bio_put(bio, certificate, 0644, err);
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
static enum rc authority_find(struct authority *a, const char *dir, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *certificate = authority_path(tmp, dir), *key = mem_printf(tmp, "%s/ca.key", dir);
    if (access(certificate, F_OK) == 0 || access(key, F_OK) == 0) {
        enum rc rc = authority_read(a, certificate, key, err);
        if (rc == RC_NOT_FOUND) /* half of it: a crash between the two writes */
            authority_clear(a);
        else if (rc != RC_OK || !authority_ends_soon(a))
            return rc;
        authority_clear(a);
    }
    if (!authority_make(a))
        return fail(err, "the egress proxy's certificate authority could not be made");
    return authority_write(a, certificate, key, err);
}

enum rc authority_open(mem *ctx, const char *dir, struct authority **ret, struct err *err)
{
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return err_sys(err, errno, "could not make the folder %s", dir);
    CLEANUP_FD int lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock < 0 || flock(lock, LOCK_EX) < 0)
        return err_sys(err, errno, "could not lock the folder %s", dir);
    struct authority *a = mem_new(ctx, struct authority);
    talloc_set_destructor(a, authority_free);
    enum rc rc = authority_find(a, dir, err);
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
