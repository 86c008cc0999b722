/* Fuzz target: what an agent prints, read with the words of every backend. The first byte chooses the backend, the
 * second the size of the pieces. */
#include "agent/backend.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void on_event(void *arg, const struct backend_event *e)
{
    (void)arg;
    if (!str_utf8(e->text) || e->text.n > BACKEND_TEXT_MAX)
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t n = 0;
    while (backends[n])
        n++;
    const struct backend *b = backends[data[0] % n];
    size_t piece = 1 + data[1];
    CLEANUP_MEM mem *ctx = mem_root();
    struct backend_parser *p =
        backend_parser_new(ctx, b, b->format == BACKEND_ACP ? BACKEND_LINES : b->format, on_event, NULL);
    for (size_t i = 2; i < size; i += piece)
        backend_parser_feed(p, data + i, size - i < piece ? size - i : piece);
    const struct backend_result *r = backend_parser_end(p);
    const char *words;
    backend_judge(ctx, &(struct backend_ending){.said = r, .end_mark = b->end_mark, .requests = r->tools}, &words);
    if (!words || !str_utf8(r->text) || r->refused < 0 || (r->usage.known && r->usage.input < 0))
        __builtin_trap();
    return 0;
}
