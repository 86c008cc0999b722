/* Any bytes as a recording: refused, or every answer of it is given and can be written and read again. */
#include "gateway/recording.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct player *p, *again;
    struct recorded r, same;
    struct err err;
    struct str line, rest = {(const char *)data, size};
    char hash[RECORDING_HASH];
    recording_hash(rest, "abcdef1", hash);
    if (player_read(tmp, rest, &p, &err) != RC_OK)
        return 0;
    while (str_line(&rest, &line)) {
        long at = str_find(line, STR("\"request\":\""));
        if (at < 0 || line.n < (size_t)at + 11 + 64)
            continue;
        memcpy(hash, line.p + at + 11, 64);
        if (player_next(p, hash, &r, &err) != RC_OK)
            continue;
        struct buf b;
        buf_init(&b, tmp, 1u << 24);
        BUG_ON(!recording_write_head(&b, "", "", STR("")) || !recording_write(&b, &r));
        BUG_ON(player_read(tmp, buf_view(&b), &again, &err) != RC_OK);
        BUG_ON(player_next(again, hash, &same, &err) != RC_OK || !str_eq(same.body, r.body));
    }
    return 0;
}
