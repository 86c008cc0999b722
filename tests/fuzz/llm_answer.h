/* What the targets of both model wires share: the first byte says in which pieces the rest is fed, and whether it is
 * one document instead of a stream. Fed in pieces or at once, the answer must be the same. */
#pragma once
#include "llm/llm.h"

static void read_answer(mem *ctx, const struct llm_dialect *d, const unsigned char *data, size_t size, size_t step,
                        bool is_stream, struct buf *seen)
{
    struct llm_parser *p = llm_parser_new(ctx, d, NULL, NULL);
    const struct llm_answer *answer;
    struct err err;
    enum rc rc = RC_OK;
    for (size_t at = 0; rc == RC_OK && at < size; at += step)
        rc = llm_parser_feed(p, data + at, size - at < step ? size - at : step, &err);
    if (rc != RC_OK || llm_parser_end(p, is_stream, &answer, &err) != RC_OK) {
        buf_z(seen, "no sense");
        return;
    }
    buf_printf(seen, "%d %d %d %d %lld %lld %lld\n", answer->stop, answer->usage_known, answer->complete,
               answer->failed, (long long)answer->usage.input, (long long)answer->usage.cache_read,
               (long long)answer->usage.output);
    for (struct llm_part *part = answer->message ? answer->message->first : NULL; part; part = part->next) {
        buf_printf(seen, "%d %s %s %d\n", part->kind, part->name ? part->name : "", part->id ? part->id : "",
                   part->bad_arguments);
        buf_str(seen, part->text);
        buf_str(seen, part->arguments);
    }
}

static int fuzz_answer(const char *dialect, const unsigned char *data, size_t size)
{
    if (!size)
        return 0;
    CLEANUP_MEM mem *ctx = mem_root();
    const struct llm_dialect *d = llm_dialect_find(dialect);
    bool is_stream = !(data[0] & 0x80);
    size_t step = (data[0] & 0x7f) ? (data[0] & 0x7f) : 1;
    struct buf whole, pieces;
    BUG_ON(!d);
    buf_init(&whole, ctx, 64u << 20);
    buf_init(&pieces, ctx, 64u << 20);
    read_answer(ctx, d, data + 1, size - 1, size, is_stream, &whole);
    read_answer(ctx, d, data + 1, size - 1, step, is_stream, &pieces);
    BUG_ON(!str_eq(buf_view(&whole), buf_view(&pieces)));
    return 0;
}
