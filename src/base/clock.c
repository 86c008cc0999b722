/* Time from the kernel's two clocks. */
#include "base/clock.h"
#include "base/err.h"
#include <time.h>

static int64_t clock_read(clockid_t id)
{
    struct timespec ts;
    BUG_ON(clock_gettime(id, &ts) != 0);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t clock_mono_ns(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

int64_t clock_wall_ns(void)
{
    return clock_read(CLOCK_REALTIME);
}

char *clock_rfc3339(mem *ctx, int64_t wall_ns)
{
    int64_t seconds = wall_ns / 1000000000, rest = wall_ns % 1000000000;
    if (rest < 0) { /* before 1970: the fraction still counts forward */
        seconds--;
        rest += 1000000000;
    }
    struct tm tm;
    time_t t = (time_t)seconds;
    BUG_ON(!gmtime_r(&t, &tm));
    return mem_printf(ctx, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                      tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(rest / 1000000));
}
