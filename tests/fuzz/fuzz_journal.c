/* Fuzz target: the journal that a crash may have cut anywhere. What opens can be appended to and opened again. */
#include "flow/journal.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static char folder[64], path[96];

static void remove_folder(void)
{
    unlink(path);
    rmdir(folder);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct journal *j;
    struct err err;
    if (!path[0]) {
        snprintf(folder, sizeof folder, "/dev/shm/nightmill-fuzz-XXXXXX");
        BUG_ON(!mkdtemp(folder));
        snprintf(path, sizeof path, "%s/journal", folder);
        atexit(remove_folder);
    }
    FILE *f = fopen(path, "w");
    BUG_ON(!f);
    BUG_ON(fwrite(data, 1, size, f) != size);
    fclose(f);
    if (journal_open(ctx, path, &j, &err) != RC_OK)
        return 0;
    size_t n = journal_count(j);
    BUG_ON(journal_append(j, "x", "system", STR("{}"), NULL, &err) != RC_OK);
    BUG_ON(journal_open(ctx, path, &j, &err) != RC_OK);
    BUG_ON(journal_count(j) != n + 1);
    return 0;
}
