/* finish: the end of the iteration. It lives in memory only, so a recorded call is made again when an iteration is
 * taken up. */
#include "agent/work.h"

enum { SUMMARY_MOST = 8000 };

struct finish_args {
    const char *summary;
};

static enum rc finish_run(struct tool_call *c, const void *p, struct err *err)
{
    (void)err;
    struct str text = str_of(((const struct finish_args *)p)->summary);
    c->agent->finished = true;
    c->agent->summary = str_utf8_clean(c->agent->ctx, str_sub(text, 0, str_utf8_cut(text, SUMMARY_MOST)));
    buf_z(&c->out, "The iteration ends. The checks decide.");
    return RC_OK;
}

static const char *finish_summary(mem *ctx, const void *p)
{
    const char *text = ((const struct finish_args *)p)->summary;
    return mem_printf(ctx, "finish %s", text ? text : "");
}

static const struct json_bind finish_fields[] = {
    {"summary", BIND_STR, offsetof(struct finish_args, summary), false, 0, 0}};
const struct agent_tool tool_finish = {
    .face =
        {"finish", "Ends the iteration: the change is made, or cannot be made. The checks then decide.",
         "{\"type\":\"object\",\"properties\":{\"summary\":{\"type\":\"string\","
         "\"description\":\"What was changed and why, or why not, in a few sentences\"}},\"required\":[\"summary\"]}"},
    .fields = finish_fields,
    .field_count = 1,
    .args_size = sizeof(struct finish_args),
    .remembers = true,
    .summary = finish_summary,
    .run = finish_run,
};
