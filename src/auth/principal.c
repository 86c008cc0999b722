/* Principals: what they may do, and where. */
#include "auth/auth.h"
#include "base/text.h"
#include "store/user.h"

static const char *const names[] = {"none", "read", "use", "admin", "owner"};

const char *access_name(enum access a)
{
    return names[a];
}

enum access access_find(const char *name)
{
    for (int i = ACCESS_READ; name && i <= ACCESS_ADMIN; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum access)i;
    return ACCESS_NONE;
}

struct principal principal_owner(void)
{
    return (struct principal){
        .access = ACCESS_OWNER, .by = CAME_BY_SOCKET, .name = "owner", .project = "", .organisation = "", .user = ""};
}

/* ---- users ---- */

static const char *const role_names[] = {"", "viewer", "member", "admin", "owner"};

const char *role_name(enum access a)
{
    return role_names[a];
}

enum access role_access(const char *role)
{
    for (int i = ACCESS_READ; i <= ACCESS_OWNER; i++)
        if (strcmp(role, role_names[i]) == 0)
            return (enum access)i;
    return ACCESS_NONE;
}

const char *principal_by_name(enum principal_by by)
{
    static const char *const ways[] = {"nobody", "socket", "key", "token", "session", "certificate"};
    return ways[by];
}

enum rc principal_of_user(mem *ctx, struct store *s, const char *user_id, struct principal *ret, struct err *err)
{
    struct user u;
    struct user_role *rows;
    size_t n = 0;
    enum rc rc = user_find(ctx, s, user_id, &u, err);
    if (rc == RC_OK && u.disabled_ns)
        rc = err_set(err, RC_DENIED, "the user %s is disabled", u.name);
    if (rc == RC_OK)
        rc = user_role_list(ctx, s, u.id, &rows, &n, err);
    if (rc != RC_OK)
        return rc;
    struct grant *grants = mem_array(ctx, struct grant, n + 1);
    for (size_t i = 0; i < n; i++)
        grants[i] = (struct grant){rows[i].project, role_access(rows[i].role)};
    *ret = (struct principal){.access = role_access(u.role),
                              .name = u.name,
                              .project = "",
                              .organisation = "",
                              .user = u.name,
                              .user_id = u.id,
                              .grants = grants,
                              .grant_n = n};
    return RC_OK;
}

struct principal principal_copy(mem *ctx, const struct principal *p)
{
    struct principal copy = *p;
    const char **texts[] = {&copy.key_id,     &copy.name, &copy.project, &copy.organisation,
                            &copy.session_id, &copy.user, &copy.user_id};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = mem_str(ctx, *texts[i]);
    size_t globs = 0;
    while (p->models && p->models[globs])
        globs++;
    if (p->models) {
        const char **models = mem_array(ctx, const char *, globs + 1);
        for (size_t i = 0; i < globs; i++)
            models[i] = mem_str(ctx, p->models[i]);
        copy.models = models;
    }
    struct grant *grants = mem_array(ctx, struct grant, p->grant_n + 1);
    for (size_t i = 0; i < p->grant_n; i++)
        grants[i] = (struct grant){mem_str(ctx, p->grants[i].project), p->grants[i].access};
    copy.grants = grants;
    return copy;
}

enum access principal_at(const struct principal *p, const char *project)
{
    enum access best = !p->project[0] || strcmp(p->project, project) == 0 ? p->access : ACCESS_NONE;
    for (size_t i = 0; i < p->grant_n; i++)
        if (p->grants[i].access > best && strcmp(p->grants[i].project, project) == 0)
            best = p->grants[i].access;
    return best;
}

enum access principal_most(const struct principal *p)
{
    enum access best = p->access;
    for (size_t i = 0; i < p->grant_n; i++)
        if (p->grants[i].access > best)
            best = p->grants[i].access;
    return best;
}

bool principal_sees(const struct principal *p, const char *project, enum access needed)
{
    return principal_at(p, project ? project : "") >= needed;
}

const char *const *principal_projects(mem *ctx, const struct principal *p, enum access needed)
{
    size_t n = 0;
    if (!p->project[0] && p->access >= needed)
        return NULL;
    const char **list = mem_array(ctx, const char *, p->grant_n + 2);
    if (p->project[0] && p->access >= needed)
        list[n++] = p->project;
    for (size_t i = 0; i < p->grant_n; i++)
        if (p->grants[i].access >= needed && (n == 0 || strcmp(list[0], p->grants[i].project) != 0))
            list[n++] = p->grants[i].project;
    return list;
}

void principal_settle(struct principal *p)
{
    if (p->access == ACCESS_NONE && p->grant_n == 1) {
        p->access = p->grants[0].access;
        p->project = p->grants[0].project;
    }
}

/* ---- what it may ---- */

enum rc principal_may(const struct principal *p, enum access needed, struct err *err)
{
    /* What is the owner's belongs to no project: an admin key that has none, and is no user's, may do it as well. */
    bool whole = p->access == ACCESS_ADMIN && !p->project[0] && !p->user_id;
    if (p->access >= needed || (needed == ACCESS_OWNER && whole))
        return RC_OK;
    if (needed == ACCESS_OWNER) {
        err_set(err, RC_DENIED, "this is for owners and for admin keys without a project");
        err_hint(err, "run it as the user of the daemon, log in as an owner, or use such a key");
        return RC_DENIED;
    }
    if (p->by != CAME_BY_KEY) {
        err_set(err, RC_DENIED, "this needs the role %s; yours is %s", role_names[needed],
                p->access ? role_names[p->access] : "none here");
        err_hint(err, "an admin gives roles: nightmill user role NAME ROLE");
        return RC_DENIED;
    }
    err_set(err, RC_DENIED, "this needs a key with the access %s; this one has %s", names[needed], names[p->access]);
    err_hint(err, "nightmill key create NAME --access %s", names[needed]);
    return RC_DENIED;
}

enum rc principal_project(const struct principal *p, const char *project, struct err *err)
{
    if (principal_at(p, project ? project : "") != ACCESS_NONE)
        return RC_OK;
    return err_set(err, RC_NOT_FOUND, "there is nothing of that name in the project of this key");
}

/* '*' stands for any bytes, everything else for itself; the whole name must match. (Not a path's glob: a pattern must
 * not reach below a provider that it does not name.) */
static bool pattern_match(const char *pattern, const char *name)
{
    const char *star = NULL, *from = NULL;
    while (*name) {
        if (*pattern == '*') {
            star = pattern++;
            from = name;
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star + 1;
            name = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

enum rc principal_model(const struct principal *p, const char *name, struct err *err)
{
    if (!p->models)
        return RC_OK;
    CLEANUP_MEM mem *tmp = mem_root();
    char *list = NULL;
    for (const char *const *g = p->models; *g; g++) {
        if (pattern_match(*g, name))
            return RC_OK;
        list = list ? mem_printf(tmp, "%s, %s", list, *g) : mem_str(tmp, *g);
    }
    err_set(err, RC_DENIED, "this key may not ask the model %s", text_terminal_line(tmp, str_of(name), 100));
    err_hint(err, "it may ask: %s", list ? list : "none");
    return RC_DENIED;
}
