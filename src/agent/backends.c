/* The list of backends, and the names of what they say and how they end. */
#include "agent/backend.h"
#include "base/str.h"

#define BACKEND(name) extern const struct backend backend_##name;
#include "agent/backends.def"
#undef BACKEND

const struct backend *const backends[] = {
#define BACKEND(name) &backend_##name,
#include "agent/backends.def"
#undef BACKEND
    NULL};

const struct backend *backend_find(const char *name)
{
    for (const struct backend *const *b = backends; name && *b; b++)
        if (strcmp((*b)->name, name) == 0)
            return *b;
    return NULL;
}

const char *backend_event_name(enum backend_event_kind kind)
{
    static const char *const names[] = {
        [BACKEND_SESSION_KNOWN] = "session",
        [BACKEND_SAID] = "text",
        [BACKEND_TOOL_STARTED] = "tool.started",
        [BACKEND_TOOL_FINISHED] = "tool.finished",
        [BACKEND_USED] = "usage",
        [BACKEND_TOOL_REFUSED] = "tool.refused",
        [BACKEND_WARNING] = "warning",
        [BACKEND_ERROR] = "error",
        [BACKEND_ENDED] = "end",
    };
    return names[kind];
}

const char *backend_outcome_name(enum backend_outcome outcome)
{
    static const char *const names[] = {
        [BACKEND_DONE] = "done",           [BACKEND_NO_CHANGE] = "no_change", [BACKEND_REFUSED] = "refused",
        [BACKEND_FAILED] = "failed",       [BACKEND_DIED] = "died",           [BACKEND_CANCELLED] = "cancelled",
        [BACKEND_TIMED_OUT] = "timed_out",
    };
    return names[outcome];
}
