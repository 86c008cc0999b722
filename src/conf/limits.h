/* How many iterations a task gets, and why.
 *
 * The text of a task is scored: +2 when it says implement or create, +1 when it is longer than 200 characters, +1 when
 * it speaks of tests. Score 0-1 is a simple task, 2-3 medium, 4 complex; the limit is that class's setting times (1 +
 * score/2), rounded down. With limits.adaptive off it is limits.iterations_medium as it stands. */
#pragma once
#include "conf/setting.h"

enum task_class { TASK_SIMPLE, TASK_MEDIUM, TASK_COMPLEX };
struct iteration_limit {
    int64_t iterations;
    int score; /* 0 to 4 */
    enum task_class task_class;
    const char *words; /* "60 iterations: medium task (30), x2 because it says implement" */
};
const char *task_class_name(enum task_class);
enum task_class task_class_of(struct str text); /* by the score alone, whatever the settings */
void iteration_limit_choose(mem *ctx, const struct settings *set, struct str text, struct iteration_limit *ret);
