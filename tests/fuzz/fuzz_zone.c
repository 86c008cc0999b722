/* Fuzz target: time zone files. What is read has windows that hold their instant and follow one another. */
#include "gateway/zone.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static const int64_t at[] = {0, INT64_C(1774746000000000000), INT64_C(-2000000000000000000),
                                 INT64_C(4102444800000000000)};
    CLEANUP_MEM mem *ctx = mem_root();
    struct zone *z;
    struct err err;
    if (zone_parse(ctx, str_n((const char *)data, size), &z, &err) != RC_OK)
        return 0;
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        for (enum window w = WINDOW_TOTAL; w < WINDOWS; w++) {
            int64_t start, end, next, last;
            zone_window(z, w, at[i], &start, &end);
            BUG_ON(at[i] < start || at[i] >= end);
            if (w == WINDOW_TOTAL)
                continue;
            zone_window(z, w, end, &next, &last);
            BUG_ON(next != end || last <= end);
        }
    }
    return 0;
}
