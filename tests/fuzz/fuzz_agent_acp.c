/* Fuzz target: what an agent says over the Agent Client Protocol. The first byte chooses the approval and whether a
 * session is resumed, the second the size of the pieces; questions are answered by turns. */
#include "agent/acp.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

struct seen {
    char id[512];
    bool asked;
};

static void on_event(void *arg, const struct backend_event *e)
{
    (void)arg;
    if (!str_utf8(e->text) || e->text.n > BACKEND_TEXT_MAX)
        __builtin_trap();
}

static void on_question(void *arg, const struct acp_question *q)
{
    struct seen *seen = arg;
    if (strlen(q->id) >= sizeof seen->id)
        __builtin_trap();
    strcpy(seen->id, q->id);
    seen->asked = true;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    if (size < 2)
        return 0;
    CLEANUP_MEM mem *ctx = mem_root();
    struct seen seen = {0};
    struct acp_spec spec = {.cwd = "/workspace",
                            .prompt = STR("x"),
                            .session = data[0] & 4 ? "old" : NULL,
                            .approval = (enum backend_approval)(data[0] % 3)};
    struct acp *a = acp_new(ctx, &spec, on_event, on_question, &seen);
    size_t piece = 1 + data[1];
    for (size_t i = 2; i < size; i += piece) {
        acp_feed(a, data + i, size - i < piece ? size - i : piece);
        if (seen.asked && !acp_answer(a, seen.id, i & 1) && !acp_finished(a))
            __builtin_trap(); /* an open question can always be answered */
        seen.asked = false;
        acp_wrote(a, acp_output(a).n / 2);
    }
    acp_cancel(a);
    if (acp_end(a)->refused < 0)
        __builtin_trap();
    acp_free(a);
    return 0;
}
