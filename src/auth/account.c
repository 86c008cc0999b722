/* Links, logins, passwords. */
#include "auth/account.h"
#include "base/clock.h"
#include "base/id.h"
#include "crypt/password.h"

enum rc account_setup_needed(struct accounts *a, bool *ret, struct err *err)
{
    int64_t owners = 0;
    enum rc rc = user_owners(a->store, NULL, &owners, err);
    *ret = owners == 0;
    return rc;
}

/* ---- links ---- */

struct ticket_job {
    struct ticket row;
    int64_t owners;
};

static enum rc ticket_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct ticket_job *j = arg;
    bool setup = strcmp(j->row.kind, "setup") == 0;
    enum rc rc = user_owners_tx(tx, NULL, &j->owners, err);
    if (rc == RC_OK && setup && j->owners) {
        err_set(err, RC_CONFLICT, "there is an owner already");
        err_hint(err, "nightmill user reset NAME makes a link that sets a user's password");
        return RC_CONFLICT;
    }
    return rc ? rc : ticket_insert(tx, &j->row, err);
}

enum rc account_ticket(struct accounts *a, const char *kind, const char *user_id, int64_t now_ns, struct opaque *ret,
                       struct err *err)
{
    opaque_new(TICKET_WORD, ret);
    struct ticket_job job = {.row = {.hash = str_n((const char *)ret->hash, HASH_SHA256),
                                     .kind = kind,
                                     .user_id = user_id,
                                     .created_ns = now_ns,
                                     .expires_ns = now_ns + TICKET_HOLDS}};
    return store_write(a->store, ticket_tx, &job, err);
}

static enum rc ticket_refused(struct err *err)
{
    err_set(err, RC_DENIED, "this link was used already, is older than 30 minutes, or is none");
    return err_hint(err, "a fresh one: nightmill setup-link, or for a user: nightmill user reset NAME");
}

struct setup_job {
    mem *ctx;
    struct accounts *a;
    struct opaque ticket;
    const char *name, *hash;
    const struct session_place *place;
    int64_t now_ns;
    struct login *login;
};

static enum rc owner_make(struct setup_job *j, struct store_tx *tx, struct user *ret, struct err *err)
{
    int64_t owners = 0;
    enum rc rc = user_owners_tx(tx, NULL, &owners, err);
    if (rc == RC_OK && owners)
        rc = ticket_refused(err);
    *ret = (struct user){.id = id_new(j->ctx, 7),
                         .name = j->name,
                         .kind = "person",
                         .role = "owner",
                         .password = j->hash,
                         .subject = "",
                         .created_ns = j->now_ns,
                         .changed_ns = j->now_ns,
                         .seen_ns = j->now_ns};
    return rc ? rc : user_insert(tx, ret, err);
}

static enum rc password_set(struct setup_job *j, struct store_tx *tx, const char *user_id, struct user *ret,
                            struct err *err)
{
    enum rc rc = user_find_tx(j->ctx, tx, user_id, ret, err);
    if (rc == RC_OK && ret->disabled_ns)
        rc = ticket_refused(err);
    if (rc == RC_OK) {
        ret->password = j->hash;
        ret->changed_ns = ret->seen_ns = j->now_ns;
        rc = user_update(tx, ret, err);
    }
    return rc ? rc : session_remove_of(tx, user_id, "", err);
}

static enum rc setup_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct setup_job *j = arg;
    struct ticket t;
    struct user u;
    enum rc rc = ticket_take(j->ctx, tx, j->ticket.hash, &t, err);
    if (rc == RC_NOT_FOUND || (rc == RC_OK && j->now_ns >= t.expires_ns))
        rc = ticket_refused(err);
    if (rc == RC_OK)
        rc = strcmp(t.kind, "setup") == 0 ? owner_make(j, tx, &u, err) : password_set(j, tx, t.user_id, &u, err);
    if (rc == RC_OK)
        rc = session_begin_tx(j->ctx, j->a->sessions, tx, u.id, j->place, j->now_ns, &j->login->token,
                              &j->login->session_id, err);
    if (rc == RC_OK) {
        j->login->user_id = u.id;
        j->login->name = u.name;
    }
    return rc;
}

/* Lower case, as names are kept. */
static const char *name_fold(mem *ctx, const char *name)
{
    char *folded = mem_str(ctx, name);
    for (char *c = folded; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c |= 0x20;
    return folded;
}

/* Before anything is hashed for a stranger: whether there is such a link, and whose name the password is held against.
 */
static enum rc ticket_look(mem *ctx, struct accounts *a, const struct opaque *ticket, int64_t now_ns, const char **name,
                           struct err *err)
{
    struct ticket t;
    struct user u;
    enum rc rc = ticket_find(ctx, a->store, ticket->hash, &t, err);
    if (rc == RC_NOT_FOUND || (rc == RC_OK && now_ns >= t.expires_ns))
        return ticket_refused(err);
    if (rc != RC_OK)
        return rc;
    if (strcmp(t.kind, "setup") == 0) {
        if (user_name_valid(*name))
            return RC_OK;
        return err_set(
            err, RC_INVALID,
            "a user's name has 1 to %d characters of a-z, 0-9 and . _ - @, and begins with a letter or digit",
            USER_NAME_MAX);
    }
    rc = user_find(ctx, a->store, t.user_id, &u, err);
    if (rc == RC_OK)
        *name = u.name;
    return rc == RC_NOT_FOUND ? ticket_refused(err) : rc;
}

enum rc account_setup(mem *ctx, struct accounts *a, struct str token, const char *name, struct str password,
                      const struct session_place *place, int64_t now_ns, struct login *ret, struct err *err)
{
    char hash[PASSWORD_TEXT];
    struct setup_job job = {
        .ctx = ctx, .a = a, .name = name_fold(ctx, name), .place = place, .now_ns = now_ns, .login = ret};
    *ret = (struct login){0};
    if (!opaque_read(TICKET_WORD, token, &job.ticket))
        return ticket_refused(err);
    enum rc rc = ticket_look(ctx, a, &job.ticket, now_ns, &job.name, err);
    if (rc == RC_OK)
        rc = password_check(password, job.name, err);
    if (rc == RC_OK)
        rc = password_hash(password, hash, err);
    job.hash = hash;
    if (rc == RC_OK)
        rc = store_write(a->store, setup_tx, &job, err);
    sessions_forget(a->sessions);
    opaque_wipe(&job.ticket);
    return rc;
}

/* ---- logins ---- */

static enum rc login_refused(struct err *err)
{
    err_set(err, RC_DENIED, "the name or the password is wrong");
    return err_hint(err, "on the daemon's machine: nightmill user reset NAME makes a link that sets a new password");
}

static enum rc tries_check(struct accounts *a, const char *address, const char *name, struct login *ret,
                           struct err *err)
{
    if (!*address) /* the Unix socket: the owner of everything */
        return RC_OK;
    ret->retry_ns = attempts_wait(a->attempts, address, name, clock_mono_ns());
    if (!ret->retry_ns)
        return RC_OK;
    long long seconds = (long long)((ret->retry_ns + 999999999) / 1000000000);
    err_set(err, RC_LIMIT, "too many failed logins from this address: try again in %lld s", seconds);
    return err_hint(err, "from another address, or on the daemon's machine, it works meanwhile");
}

struct rehash {
    mem *ctx;
    const char *user_id, *from, *to;
};

static enum rc rehash_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct rehash *r = arg;
    struct user u;
    enum rc rc = user_find_tx(r->ctx, tx, r->user_id, &u, err);
    if (rc != RC_OK || strcmp(u.password, r->from) != 0)
        return rc;
    u.password = r->to;
    return user_update(tx, &u, err);
}

enum rc account_verify(mem *ctx, struct accounts *a, const char *name, struct str password, const char *address,
                       int64_t now_ns, struct login *ret, struct err *err)
{
    struct user u = {.password = "", .kind = ""};
    char hash[PASSWORD_TEXT];
    (void)now_ns;
    *ret = (struct login){0};
    name = name_fold(ctx, name);
    if (strlen(name) > USER_NAME_MAX || password.n > PASSWORD_MOST)
        return login_refused(err);
    enum rc rc = tries_check(a, address, name, ret, err);
    if (rc == RC_OK)
        rc = user_by_name(ctx, a->store, name, &u, err);
    if (rc != RC_OK && rc != RC_NOT_FOUND)
        return rc;
    bool person = rc == RC_OK && !u.disabled_ns && strcmp(u.kind, "person") == 0;
    bool right = password_matches(person ? u.password : "", password);
    if (!right) {
        attempts_failed(a->attempts, address, name, clock_mono_ns());
        return login_refused(err);
    }
    attempts_succeeded(a->attempts, address, name);
    if (password_stale(u.password) && password_hash(password, hash, NULL) == RC_OK)
        rc = store_write(a->store, rehash_tx, &(struct rehash){ctx, u.id, u.password, hash}, err);
    ret->user_id = u.id;
    ret->name = u.name;
    return rc;
}

struct begin_job {
    mem *ctx;
    struct accounts *a;
    const struct session_place *place;
    int64_t now_ns;
    struct login *login;
};

static enum rc begin_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct begin_job *j = arg;
    struct login *l = j->login;
    return session_begin_tx(j->ctx, j->a->sessions, tx, l->user_id, j->place, j->now_ns, &l->token, &l->session_id,
                            err);
}

enum rc account_login(mem *ctx, struct accounts *a, const char *name, struct str password,
                      const struct session_place *place, int64_t now_ns, struct login *ret, struct err *err)
{
    struct begin_job job = {ctx, a, place, now_ns, ret};
    enum rc rc = account_verify(ctx, a, name, password, place->address, now_ns, ret, err);
    return rc ? rc : store_write(a->store, begin_tx, &job, err);
}

static enum rc logout_tx(struct store_tx *tx, void *arg, struct err *err)
{
    return session_remove(tx, arg, err);
}

enum rc account_logout(struct accounts *a, const char *session_id, struct err *err)
{
    enum rc rc = store_write(a->store, logout_tx, (void *)(uintptr_t)session_id, err);
    sessions_forget(a->sessions);
    return rc;
}

struct change_job {
    mem *ctx;
    const struct principal *who;
    const char *from, *hash;
    int64_t now_ns;
};

static enum rc change_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct change_job *j = arg;
    struct user u;
    enum rc rc = user_find_tx(j->ctx, tx, j->who->user_id, &u, err);
    if (rc != RC_OK)
        return rc;
    if (strcmp(u.password, j->from) != 0)
        return err_set(err, RC_CONFLICT, "the password was changed meanwhile");
    u.password = j->hash;
    u.changed_ns = j->now_ns;
    rc = user_update(tx, &u, err);
    return rc ? rc : session_remove_of(tx, u.id, j->who->session_id ? j->who->session_id : "", err);
}

enum rc account_password(mem *ctx, struct accounts *a, const struct principal *who, struct str old, struct str password,
                         const char *address, int64_t now_ns, struct login *ret, struct err *err)
{
    struct user u;
    char hash[PASSWORD_TEXT];
    struct change_job job = {.ctx = ctx, .who = who, .hash = hash, .now_ns = now_ns};
    if (!who->user_id)
        return err_set(err, RC_INVALID, "who asks is no user and has no password");
    enum rc rc = user_find(ctx, a->store, who->user_id, &u, err);
    if (rc == RC_OK)
        rc = password_check(password, u.name, err);
    if (rc == RC_OK)
        rc = account_verify(ctx, a, u.name, old, address, now_ns, ret, err);
    if (rc == RC_DENIED)
        err_set(err, RC_DENIED, "the old password is wrong");
    if (rc == RC_OK)
        rc = user_find(ctx, a->store, who->user_id, &u, err); /* its hash may just have been made anew */
    if (rc == RC_OK)
        rc = password_hash(password, hash, err);
    job.from = u.password;
    if (rc == RC_OK)
        rc = store_write(a->store, change_tx, &job, err);
    sessions_forget(a->sessions);
    return rc;
}
