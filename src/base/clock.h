/* Time. Monotonic for durations, wall clock for records (nanoseconds since 1970, UTC, no leap seconds). */
#pragma once
#include "base/mem.h"
#include <stdint.h>
int64_t clock_mono_ns(void);
int64_t clock_wall_ns(void);
static inline int64_t clock_mono_ms(void)
{
    return clock_mono_ns() / 1000000;
}
char *clock_rfc3339(mem *ctx, int64_t wall_ns); /* "2026-05-04T03:02:01.234Z" */
