/* Words of scopes and windows, and which member of a spender a scope speaks of. */
#include "store/store_private.h"

static const struct {
    const char *name;
    size_t offset;
} scopes[SCOPES] = {
    [SCOPE_ORGANISATION] = {"organisation", offsetof(struct spender, organisation)},
    [SCOPE_PROJECT] = {"project", offsetof(struct spender, project)},
    [SCOPE_TASK] = {"task", offsetof(struct spender, task)},
    [SCOPE_AGENT] = {"agent", offsetof(struct spender, agent)},
    [SCOPE_MODEL] = {"model", offsetof(struct spender, model)},
    [SCOPE_KEY] = {"key", offsetof(struct spender, key)},
    [SCOPE_USER] = {"user", offsetof(struct spender, user)},
    [SCOPE_ALL] = {"all", 0}, /* no member: spender_id */
};
static const char *const windows[WINDOWS] = {"total", "day", "week", "two_weeks", "month"};

const char *scope_name(enum scope scope)
{
    return scopes[scope].name;
}

bool scope_find(const char *name, enum scope *ret)
{
    for (int i = 0; name && i < SCOPES; i++) {
        if (strcmp(scopes[i].name, name) == 0) {
            *ret = (enum scope)i;
            return true;
        }
    }
    return false;
}

const char *spender_id(const struct spender *s, enum scope scope)
{
    if (scope == SCOPE_ALL)
        return SCOPE_ALL_ID;
    return *(const char *const *)((const char *)s + scopes[scope].offset);
}

const char *window_name(enum window window)
{
    return windows[window];
}

bool window_find(const char *name, enum window *ret)
{
    for (int i = 0; name && i < WINDOWS; i++) {
        if (strcmp(windows[i], name) == 0) {
            *ret = (enum window)i;
            return true;
        }
    }
    return false;
}
