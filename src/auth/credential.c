/* Secrets by reference: variables, files, the sealed store. */
#include "auth/credential.h"
#include "base/log.h"
#include "base/text.h"
#include "store/provider.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

/* All of them fit into one frame of 64 KiB that the keeper holds for the next server. */
enum { NAMES_MOST = 20, NAME_MOST = 100, VARIABLE_MOST = 3000 };

struct secret {
    char *name;  /* of the variable, or id of the box */
    char *value; /* NULL: a box that did not open */
    struct secret *next;
};
struct credentials {
    pthread_mutex_t lock;
    const char *key_file;
    struct secret *variables, *sealed; /* each owned by this object, by name */
    size_t variable_count;
};

void credential_wipe(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    mem_free(secret);
}

static void secret_drop(struct secret **at)
{
    struct secret *s = *at;
    *at = s->next;
    credential_wipe(s->value);
    mem_free(s);
}

static int credentials_destroy(struct credentials *c)
{
    while (c->variables)
        secret_drop(&c->variables);
    while (c->sealed)
        secret_drop(&c->sealed);
    pthread_mutex_destroy(&c->lock);
    return 0;
}

struct credentials *credentials_new(mem *ctx, const char *key_file)
{
    struct credentials *c = mem_new(ctx, struct credentials);
    c->key_file = mem_str(c, key_file);
    pthread_mutex_init(&c->lock, NULL);
    talloc_set_destructor(c, credentials_destroy);
    return c;
}

/* Where the name is, or would stand. */
static struct secret **secret_at(struct secret **list, const char *name)
{
    while (*list && strcmp((*list)->name, name) < 0)
        list = &(*list)->next;
    return list;
}

static struct secret *secret_find(struct secret **list, const char *name)
{
    struct secret *s = *secret_at(list, name);
    return s && strcmp(s->name, name) == 0 ? s : NULL;
}

/* value NULL: known, but not to be had. Under the lock. */
static void secret_put(struct secret **list, const char *name, const char *value)
{
    struct secret **at = secret_at(list, name), *s = *at;
    if (!s || strcmp(s->name, name) != 0) {
        s = mem_new(NULL, struct secret); /* a tree of its own: several threads come here */
        s->name = mem_str(s, name);
        s->next = *at;
        *at = s;
    }
    credential_wipe(s->value);
    s->value = mem_str(s, value);
}

/* A service account is JSON of many lines, which no line of the log can hold; its key has a censor of its own where it
 * is used. */
static enum rc censor(const char *value, struct err *err)
{
    if (strchr(value, '\n') || log_censor(value))
        return RC_OK;
    err_set(err, RC_LIMIT, "too many keys were changed since the daemon began");
    err_hint(err, "stop and start the daemon: nightmill daemon stop, nightmill daemon start");
    return RC_LIMIT;
}

/* ---- variables ---- */

static bool name_valid(const char *name)
{
    size_t n = name ? strlen(name) : 0;
    return n > 0 && n <= NAME_MOST && strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == n;
}

/* What goes into a header is printable ASCII without blanks; a service account is JSON. */
static bool value_valid(struct str v)
{
    bool document = v.n && v.p[0] == '{' && str_utf8(v) && !memchr(v.p, 0, v.n);
    for (size_t i = 0; !document && i < v.n; i++)
        if ((unsigned char)v.p[i] < 0x21 || (unsigned char)v.p[i] > 0x7e)
            return false;
    return v.n > 0 && v.n <= CREDENTIAL_SECRET_MAX;
}

static enum rc value_refused(const char *what, struct err *err)
{
    err_set(err, RC_INVALID, "%s is no key", what);
    err_hint(err,
             "a key is one line of printable characters without blanks, or a service account's JSON; at most %d "
             "bytes",
             CREDENTIAL_SECRET_MAX);
    return RC_INVALID;
}

enum rc credential_set(struct credentials *c, const char *name, struct str value, struct err *err)
{
    if (!name_valid(name))
        return err_set(err, RC_INVALID, "the name of a key variable has capital letters, digits and '_'");
    if (!value_valid(value))
        return value_refused(name, err);
    if (value.n > VARIABLE_MOST)
        return err_set(err, RC_INVALID, "the value of %s is longer than %d bytes: keep it in a file", name,
                       VARIABLE_MOST);
    CLEANUP_MEM mem *tmp = mem_root();
    char *z = mem_strn(tmp, value.p, value.n);
    enum rc rc = censor(z, err);
    pthread_mutex_lock(&c->lock);
    bool known = secret_find(&c->variables, name) != NULL;
    if (!rc && !known && c->variable_count == NAMES_MOST)
        rc = err_set(err, RC_LIMIT, "there is no room for the key %s: %d are known already", name, NAMES_MOST);
    if (!rc) {
        secret_put(&c->variables, name, z);
        c->variable_count += !known;
    }
    pthread_mutex_unlock(&c->lock);
    credential_wipe(z);
    return rc;
}

bool credential_known(struct credentials *c, const char *name)
{
    pthread_mutex_lock(&c->lock);
    bool known = name && secret_find(&c->variables, name);
    pthread_mutex_unlock(&c->lock);
    return known;
}

const char *const *credential_names(mem *ctx, struct credentials *c)
{
    size_t n = 0;
    pthread_mutex_lock(&c->lock);
    const char **names = mem_array(ctx, const char *, c->variable_count + 1);
    for (struct secret *s = c->variables; s; s = s->next)
        names[n++] = mem_str(names, s->name);
    pthread_mutex_unlock(&c->lock);
    return names;
}

/* ---- the sealed store ---- */

static const char *purpose_of(mem *ctx, const char *id)
{
    return mem_printf(ctx, "nightmill provider key %s", id);
}

enum rc credentials_load(struct credentials *c, struct store *s, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct sealed *rows;
    size_t n;
    struct seal_key key;
    struct err why = {0};
    enum rc rc = sealed_list(tmp, s, &rows, &n, err);
    if (rc)
        return rc;
    bool have_key = (n ? seal_key_read : seal_key_take)(c->key_file, &key, &why) == RC_OK;
    if (!have_key)
        log_err(&why, n ? "sealed keys of providers cannot be used" : "nothing can be sealed");
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < n; i++) {
        struct str secret = {0};
        bool open = have_key &&
                    seal_open(tmp, &key, purpose_of(tmp, rows[i].id), rows[i].box, &secret, NULL) == RC_OK &&
                    censor(secret.p, NULL) == RC_OK;
        secret_put(&c->sealed, rows[i].id, open ? secret.p : NULL);
        if (open)
            explicit_bzero((char *)secret.p, secret.n);
    }
    pthread_mutex_unlock(&c->lock);
    seal_key_wipe(&key);
    return RC_OK;
}

struct sealing {
    const char *id;
    struct str box;
    int64_t now_ns;
};

static enum rc seal_tx(struct store_tx *tx, void *arg, struct err *err)
{
    const struct sealing *s = arg;
    return sealed_put(tx, s->id, s->box, s->now_ns, err);
}

/* A new key file would leave the boxes that are there closed for good. */
static enum rc key_for_sealing(struct credentials *c, struct store *s, struct seal_key *ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct sealed *rows;
    size_t n;
    enum rc rc = sealed_list(tmp, s, &rows, &n, err);
    if (rc)
        return rc;
    if (!n)
        return seal_key_take(c->key_file, ret, err);
    rc = seal_key_read(c->key_file, ret, err);
    if (rc == RC_NOT_FOUND)
        err_hint(err, "put the key file back, or remove the providers whose keys are sealed");
    return rc;
}

enum rc credential_seal(struct credentials *c, struct store *s, const char *id, struct str secret, int64_t now_ns,
                        struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct seal_key key;
    if (!provider_id_valid(id))
        return err_set(err, RC_INVALID, "a sealed key is named as a provider is");
    if (!value_valid(secret))
        return value_refused("what was given", err);
    enum rc rc = key_for_sealing(c, s, &key, err);
    if (rc)
        return rc;
    char *z = mem_strn(tmp, secret.p, secret.n);
    struct sealing job = {.id = id, .box = seal_box(tmp, &key, purpose_of(tmp, id), secret), .now_ns = now_ns};
    seal_key_wipe(&key);
    rc = censor(z, err);
    if (!rc)
        rc = store_write(s, seal_tx, &job, err);
    if (!rc) {
        pthread_mutex_lock(&c->lock);
        secret_put(&c->sealed, id, z);
        pthread_mutex_unlock(&c->lock);
    }
    credential_wipe(z);
    return rc;
}

void credential_forget(struct credentials *c, const char *id)
{
    pthread_mutex_lock(&c->lock);
    struct secret **at = secret_at(&c->sealed, id);
    if (*at && strcmp((*at)->name, id) == 0)
        secret_drop(at);
    pthread_mutex_unlock(&c->lock);
}

/* ---- references ---- */

enum rc credential_reference_check(const char *reference, struct err *err)
{
    struct str r = str_of(reference);
    if (!r.n || (str_starts(r, STR("env:")) && name_valid(reference + 4)) ||
        (str_starts(r, STR("file:/")) && r.n < 4096) ||
        (str_starts(r, STR("sealed:")) && provider_id_valid(reference + 7)))
        return RC_OK;
    err_set(err, RC_INVALID, "that is no reference to a key");
    err_hint(err, "env:NAME, file:/PATH of mode 0600, or give the key itself with --key-stdin");
    return RC_INVALID;
}

static enum rc variable_get(mem *ctx, struct credentials *c, const char *name, char **ret, struct err *err)
{
    pthread_mutex_lock(&c->lock);
    struct secret *s = secret_find(&c->variables, name);
    char *value = s ? mem_str(ctx, s->value) : NULL;
    pthread_mutex_unlock(&c->lock);
    if (value) {
        *ret = value;
        return RC_OK;
    }
    err_set(err, RC_DENIED, "the daemon does not have the key %.100s", name);
    err_hint(err,
             "export %.100s=... and run any nightmill command that uses a model, or seal it: nightmill provider "
             "add NAME --key-stdin",
             name);
    return RC_DENIED;
}

static enum rc sealed_get(mem *ctx, struct credentials *c, const char *id, char **ret, struct err *err)
{
    pthread_mutex_lock(&c->lock);
    struct secret *s = secret_find(&c->sealed, id);
    char *value = s ? mem_str(ctx, s->value) : NULL;
    pthread_mutex_unlock(&c->lock);
    if (value) {
        *ret = value;
        return RC_OK;
    }
    err_set(err, RC_DENIED,
            s ? "the sealed key of %.64s does not open with the key file %.200s" : "there is no sealed key of %.64s",
            id, c->key_file);
    err_hint(err, "give it anew: nightmill provider add %.64s --key-stdin", id);
    return RC_DENIED;
}

static enum rc file_open(const char *path, int *ret_fd, struct err *err)
{
    struct stat st;
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0) {
        err_sys(err, errno, "cannot open the key file %s", path);
        if (err)
            err->rc = RC_DENIED;
        return RC_DENIED;
    }
    if (!S_ISREG(st.st_mode) || (st.st_mode & 077) || (st.st_uid != geteuid() && st.st_uid != 0)) {
        err_set(err, RC_DENIED, "the key file %s may be read by others", path);
        err_hint(err, "chmod 600 %s, and let it belong to the user of the daemon", path);
        return RC_DENIED;
    }
    *ret_fd = fd_take(&fd);
    return RC_OK;
}

/* The first line, or a whole JSON document. */
static enum rc file_get(mem *ctx, const char *path, char **ret, struct err *err)
{
    CLEANUP_FD int fd = -1;
    enum rc rc = file_open(path, &fd, err);
    if (rc)
        return rc;
    char *text = mem_zalloc(ctx, CREDENTIAL_SECRET_MAX + 2);
    ssize_t n = read(fd, text, CREDENTIAL_SECRET_MAX + 1);
    struct str all = str_trim(str_n(text, n > 0 ? (size_t)n : 0)), line = all;
    if (all.n && all.p[0] != '{')
        str_line(&all, &line);
    line = str_trim(line);
    char *value = n >= 0 && n <= CREDENTIAL_SECRET_MAX && value_valid(line) ? str_dup(ctx, line) : NULL;
    explicit_bzero(text, CREDENTIAL_SECRET_MAX + 2);
    mem_free(text);
    if (!value)
        return value_refused(path, err);
    rc = censor(value, err);
    if (!rc)
        *ret = value;
    else
        credential_wipe(value);
    return rc;
}

bool credential_waits(const char *reference)
{
    return str_starts(str_of(reference), STR("file:"));
}

enum rc credential_get(mem *ctx, struct credentials *c, const char *reference, char **ret, struct err *err)
{
    *ret = NULL;
    enum rc rc = credential_reference_check(reference, err);
    if (rc || !*reference)
        return rc;
    if (str_starts(str_of(reference), STR("env:")))
        return variable_get(ctx, c, reference + 4, ret, err);
    if (credential_waits(reference))
        return file_get(ctx, reference + 5, ret, err);
    return sealed_get(ctx, c, reference + 7, ret, err);
}
