/* The times of the newest commits, shared by commit_clock.c, which writes them in the server, and load_stream.c. */
#pragma once
#include <stdatomic.h>
#include <stdint.h>

#define COMMIT_CLOCK_TIMES 1024
struct commit_clock {
    _Atomic uint64_t n; /* how many there were; the last is ns[(n - 1) % COMMIT_CLOCK_TIMES] */
    int64_t ns[COMMIT_CLOCK_TIMES];
};
