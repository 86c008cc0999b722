/* Fuzz target: nightmill.yaml. A refusal has a sentence; what is taken keeps to its ranges. */
#include "conf/project.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct project p;
    struct err err = {0};
    if (project_parse(ctx, str_n((const char *)data, size), PROJECT_FILE, &p, &err) != RC_OK) {
        BUG_ON(!err.sentence[0]);
        return 0;
    }
    BUG_ON(!p.setup || !p.protect);
    for (size_t i = 0; i < p.check_count; i++)
        BUG_ON(!p.checks[i].name[0] || !p.checks[i].command[0] || p.checks[i].timeout_s < 0);
    for (size_t i = 0; i < p.hook_count; i++)
        BUG_ON(!p.hooks[i].command[0] || p.hooks[i].timeout_s < 0);
    return 0;
}
