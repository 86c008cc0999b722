/* Fuzz target: what git prints about trees and their differences. The first byte chooses the list. */
#include "repo/git.h"
#include "repo/parse.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    if (size == 0)
        return 0;
    CLEANUP_MEM mem *ctx = mem_root();
    struct str out = str_n((const char *)data + 1, size - 1);
    struct repo_entry *e;
    struct repo_change *c;
    size_t n;
    if (data[0] % 2 == 0 && entries_parse(ctx, out, &e, &n))
        for (size_t i = 0; i < n; i++)
            BUG_ON(!git_is_oid(e[i].oid) || !e[i].path[0] || e[i].mode > 0777777);
    if (data[0] % 2 == 1 && changes_parse(ctx, out, &c, &n))
        for (size_t i = 0; i < n; i++)
            BUG_ON(!strchr("AMDT", c[i].status) || !c[i].path[0] || c[i].added < -1 || c[i].removed < -1);
    return 0;
}
