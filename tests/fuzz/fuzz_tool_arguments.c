/* Fuzz target: arguments that a model gives to a tool. The first byte chooses the tool, the rest is JSON text. Tools
 * that change nothing are made as well, in a small folder: whatever they are asked, they answer within their cap, and
 * what lies outside the folder does not come in. */
#include "agent/work.h"
#include "os/path.h"
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static int root = -1;
static char base[] = "/tmp/nightmill-fuzz-XXXXXX";

/* A fuzzer ends without going through exit: a child waits for that and removes the folder. */
static void folder_remove_later(void)
{
    int ends[2];
    BUG_ON(pipe(ends) != 0);
    if (fork() == 0) {
        close(ends[1]);
        (void)!read(ends[0], &(char){0}, 1);
        (void)!path_remove_tree(base, NULL);
        _exit(0);
    }
    close(ends[0]); /* the other end stays open as long as we live */
}

static void folder_make(void)
{
    struct err err;
    BUG_ON(!mkdtemp(base));
    folder_remove_later();
    CLEANUP_MEM mem *ctx = mem_root();
    const char *dir = mem_printf(ctx, "%s/work", base);
    BUG_ON(path_write_durable(mem_printf(ctx, "%s/outside", base), STR("SECRET\n"), 0600, &err) != RC_OK);
    BUG_ON(path_mkdirs(dir, 0700, &err) != RC_OK);
    BUG_ON(path_open_root(dir, &root, &err) != RC_OK);
    BUG_ON(path_write(root, "a.txt", STR("one\ntwo\r\nthree"), 0644, (uid_t)-1, (gid_t)-1, &err) != RC_OK);
    BUG_ON(path_write(root, "b/c.txt", STR("int main(void)\n{\n}\n"), 0644, (uid_t)-1, (gid_t)-1, &err) != RC_OK);
    BUG_ON(symlink("../outside", mem_printf(ctx, "%s/link", dir)) != 0);
}

static bool changes_nothing(const struct agent_tool *t)
{
    return t == &tool_read || t == &tool_list || t == &tool_search;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    if (root < 0)
        folder_make();
    if (!size)
        return 0;
    CLEANUP_MEM mem *ctx = mem_root();
    size_t n;
    const struct agent_tool *tool = agent_tools(&n)[data[0] % 8];
    BUG_ON(n != 8);
    void *args;
    struct err err = {0};
    if (tool_bind(ctx, tool, str_n((const char *)data + 1, size - 1), &args, &err) != RC_OK) {
        BUG_ON(!err.sentence[0]);
        return 0;
    }
    BUG_ON(!str_utf8(str_of(text_terminal_line(ctx, str_of(tool->summary(ctx, args)), 200))));
    if (!changes_nothing(tool))
        return 0;
    struct agent_spec spec = {.tool_output_max = 4096, .log_dir = "/nonexistent"};
    struct agent a = {.ctx = ctx, .spec = &spec, .root = root};
    struct tool_call c = {.ctx = ctx, .agent = &a, .tool = tool, .turn = 1, .number = 1, .summary = ""};
    buf_init(&c.out, ctx, 4 << 20);
    BUG_ON(tool->run(&c, args, &err) != RC_OK);
    BUG_ON(c.out.n == 0);
    BUG_ON(str_find(buf_view(&c.out), STR("SECRET")) >= 0 && !memmem(data, size, "SECRET", 6));
    return 0;
}
