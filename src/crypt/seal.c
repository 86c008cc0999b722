/* Boxes by libsodium's crypto_aead_xchacha20poly1305_ietf, and the file of their key. */
#include "crypt/seal.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#define NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG   crypto_aead_xchacha20poly1305_ietf_ABYTES
_Static_assert(NONCE + TAG == SEAL_OVERHEAD, "overhead of a box");
_Static_assert(crypto_aead_xchacha20poly1305_ietf_KEYBYTES == SEAL_KEY, "length of the key");

/* The file: this word, the key in hexadecimal, a line feed. */
static const char first_word[] = "nightmill-seal-1 ";
#define FILE_LENGTH (sizeof first_word - 1 + 2 * (size_t)SEAL_KEY + 1)

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void library_open(void)
{
    BUG_ON(sodium_init() < 0);
}

/* ---- the key file ---- */

static enum rc file_check(int fd, const char *path, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(err, errno, "cannot look at the key file %s", path);
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077)) {
        err_set(err, RC_DENIED, "the key file %s may be read by others than its owner", path);
        err_hint(err, "chmod 600 %s, and let it belong to the user of the daemon", path);
        return RC_DENIED;
    }
    return RC_OK;
}

static enum rc file_parse(const char *text, size_t n, const char *path, struct seal_key *ret, struct err *err)
{
    const char *hex = text + sizeof first_word - 1;
    size_t len = 0;
    if (n == FILE_LENGTH && memcmp(text, first_word, sizeof first_word - 1) == 0 &&
        sodium_hex2bin(ret->bytes, SEAL_KEY, hex, 2 * (size_t)SEAL_KEY, NULL, &len, NULL) == 0 && len == SEAL_KEY)
        return RC_OK;
    err_set(err, RC_INVALID, "the key file %s holds no key", path);
    err_hint(err, "put the right file back; without it sealed keys must be given anew");
    return RC_INVALID;
}

enum rc seal_key_read(const char *path, struct seal_key *ret, struct err *err)
{
    char text[FILE_LENGTH + 1];
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return err_sys(err, errno, "cannot open the key file %s", path);
    enum rc rc = file_check(fd, path, err);
    if (rc)
        return rc;
    ssize_t n = read(fd, text, sizeof text);
    rc = n < 0 ? err_sys(err, errno, "cannot read the key file %s", path) : file_parse(text, (size_t)n, path, ret, err);
    explicit_bzero(text, sizeof text);
    return rc;
}

static enum rc folders_make(const char *path, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    char *dir = mem_str(tmp, path);
    for (char *p = dir + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (mkdir(dir, 0700) < 0 && errno != EEXIST)
            return err_sys(err, errno, "cannot make the folder %s", dir);
        *p = '/';
    }
    return RC_OK;
}

/* Written whole under another name, then linked: a crash leaves no half of a key, and two makers do not make two. */
enum rc seal_key_make(const char *path, struct seal_key *ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    char text[FILE_LENGTH + 1];
    pthread_once(&once, library_open);
    enum rc rc = folders_make(path, err);
    if (rc)
        return rc;
    const char *part = mem_printf(tmp, "%s.%08x%08x", path, randombytes_random(), randombytes_random());
    CLEANUP_FD int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(err, errno, "cannot write the key file %s", path);
    randombytes_buf(ret->bytes, SEAL_KEY);
    memcpy(text, first_word, sizeof first_word - 1);
    sodium_bin2hex(text + sizeof first_word - 1, 2 * (size_t)SEAL_KEY + 1, ret->bytes, SEAL_KEY);
    text[FILE_LENGTH - 1] = '\n';
    if (write(fd, text, FILE_LENGTH) != (ssize_t)FILE_LENGTH || fsync(fd) < 0)
        rc = err_sys(err, errno, "cannot write the key file %s", path);
    else if (link(part, path) < 0)
        rc = errno == EEXIST ? err_set(err, RC_CONFLICT, "there is a key file already: %s", path)
                             : err_sys(err, errno, "cannot write the key file %s", path);
    explicit_bzero(text, sizeof text);
    unlink(part);
    if (rc)
        seal_key_wipe(ret);
    return rc;
}

enum rc seal_key_take(const char *path, struct seal_key *ret, struct err *err)
{
    enum rc rc = seal_key_read(path, ret, err);
    if (rc != RC_NOT_FOUND)
        return rc;
    rc = seal_key_make(path, ret, err);
    return rc == RC_CONFLICT ? seal_key_read(path, ret, err) : rc;
}

void seal_key_wipe(struct seal_key *k)
{
    explicit_bzero(k, sizeof *k);
}

/* ---- boxes: nonce, then the sealed bytes with their tag ---- */

struct str seal_box(mem *ctx, const struct seal_key *k, const char *purpose, struct str secret)
{
    pthread_once(&once, library_open);
    unsigned char *box = mem_zalloc(ctx, SEAL_OVERHEAD + secret.n);
    unsigned long long n = 0;
    randombytes_buf(box, NONCE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(box + NONCE, &n, (const unsigned char *)secret.p, secret.n,
                                               (const unsigned char *)purpose, strlen(purpose), NULL, box, k->bytes);
    BUG_ON(n != secret.n + TAG);
    return str_n((const char *)box, NONCE + (size_t)n);
}

enum rc seal_open(mem *ctx, const struct seal_key *k, const char *purpose, struct str box, struct str *ret,
                  struct err *err)
{
    pthread_once(&once, library_open);
    const unsigned char *p = (const unsigned char *)box.p;
    unsigned long long n = 0;
    if (box.n < SEAL_OVERHEAD)
        return err_set(err, RC_DENIED, "a sealed secret is damaged");
    char *secret = mem_zalloc(ctx, box.n - SEAL_OVERHEAD + 1);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt((unsigned char *)secret, &n, NULL, p + NONCE, box.n - NONCE,
                                                   (const unsigned char *)purpose, strlen(purpose), p, k->bytes) != 0) {
        mem_free(secret);
        return err_set(err, RC_DENIED, "a sealed secret does not open with this key file");
    }
    *ret = str_n(secret, (size_t)n);
    return RC_OK;
}
