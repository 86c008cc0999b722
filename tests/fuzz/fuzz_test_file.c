/* Fuzz target: test files, which an agent writes and the verifier reads to plant failing tests. Planting only adds,
 * what is found lies inside the text, and every runner's reader bears any bytes. */
#include "verify/runner.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static bool is_subsequence(struct str part, struct str whole)
{
    size_t at = 0;
    for (size_t i = 0; i < whole.n && at < part.n; i++)
        at += whole.p[i] == part.p[at];
    return at == part.n;
}

static void runner_try(const struct runner *r, struct str text)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct canary_site site = {.path = "tests/test_a", .name = "xyz0", .framework = r->name};
    struct buf out;
    buf_init(&out, tmp, 1 << 20);
    int64_t fewest = r->fewest ? r->fewest(text, r->name) : 0;
    BUG_ON(fewest < 0 || fewest > (int64_t)text.n);
    BUG_ON(r->inline_tests && r->inline_tests(text) > text.n);
    if (!r->canary || !r->canary(&site, text, &out))
        return;
    BUG_ON(site.broken < 0 || site.broken > fewest);
    BUG_ON(!out.overflow && !is_subsequence(text, buf_view(&out)));
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    for (size_t i = 0; runners[i]; i++)
        runner_try(runners[i], str_n((const char *)data, size));
    return 0;
}
