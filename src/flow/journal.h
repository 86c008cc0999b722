/* The journal of a task: what its runner did, one JSON line an entry, appended and synced before the next step is
 * begun.
 *
 * The journal is the runner's memory: a runner that starts reads it and goes on at the first step that has no entry.
 * Its entries are also the task's events: each has a number (`origin`, 1.. without gaps) by which the server takes it
 * exactly once. A last line that a crash cut short is dropped when the file is opened; every other damage is an error,
 * nothing is guessed. Threads: the runner's main thread. */
#pragma once
#include "base/json.h"

struct journal_entry {
    int64_t origin;
    int64_t time_ns; /* wall clock */
    const char *type;
    const char *actor; /* system, agent */
    struct str data;   /* JSON object */
    struct json json;  /* the same, parsed */
};
struct journal;
MUST_USE enum rc journal_open(mem *ctx, const char *path, struct journal **ret, struct err *err);
/* Durable when it returns. data: JSON object text, copied. *ret (may be NULL) stays valid as long as the journal. */
MUST_USE enum rc journal_append(struct journal *j, const char *type, const char *actor, struct str data,
                                const struct journal_entry **ret, struct err *err);
size_t journal_count(const struct journal *j);
const struct journal_entry *journal_at(const struct journal *j, size_t i);
/* Last entry of a type at or after index `from`, or NULL; *ret_index may be NULL. */
const struct journal_entry *journal_last(const struct journal *j, const char *type, size_t from, size_t *ret_index);
/* n-th (0..) entry of a type at or after index `from`, or NULL. */
const struct journal_entry *journal_nth(const struct journal *j, const char *type, size_t from, size_t n);

/* For crash tests: NIGHTMILL_TEST_CRASH="<role>:<n>" makes the process of that role kill itself at its n-th call, once
 * for each file named by NIGHTMILL_TEST_CRASH_ONCE (created before the kill). Nothing happens when the variables are
 * absent. */
void crash_point(const char *role);
