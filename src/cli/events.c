/* Reading the event stream without following it. */
#include "cli/events.h"
#include "net/client.h"
#include "ops/place.h"

enum { PAGE = 1000, PAGE_BYTES = 256 << 20, READ_MS = 120000 };

static enum rc page_read(struct cli *cli, mem *ctx, const char *id, int64_t after, struct str *ret, struct err *err)
{
    char *query = mem_printf(ctx, "/events?after=%lld&limit=%d", (long long)after, PAGE);
    struct client_spec spec = {.unix_socket = place_socket(ctx, cli->settings),
                               .method = "GET",
                               .url = mem_printf(ctx, "http://localhost%s", task_path(cli, id, query)),
                               .max_body = PAGE_BYTES,
                               .timeout_ms = READ_MS,
                               .cancel_fd = -1};
    struct client_answer answer;
    enum rc rc = client_call(ctx, &spec, &answer, err);
    if (rc)
        return rc;
    *ret = answer.body;
    return answer.status == 200 ? RC_OK : problem_read(answer.status, answer.body, err);
}

enum rc events_each(struct cli *cli, const char *id, int64_t after,
                    bool (*each)(void *arg, struct json event, struct str raw), void *arg, struct err *err)
{
    enum rc rc = cli_reach(cli, err);
    for (int seen = PAGE; !rc && seen == PAGE;) {
        CLEANUP_MEM mem *tmp = mem_root();
        struct str rest, line;
        rc = page_read(cli, tmp, id, after, &rest, err);
        seen = 0;
        while (!rc && str_line(&rest, &line)) {
            CLEANUP_MEM mem *one = mem_root();
            struct json event;
            if (!line.n)
                continue;
            rc = json_parse(one, line, &event, err);
            if (rc)
                return err_context(err, "An event of task %s", id);
            after = json_int(json_get(event, "number"), after);
            seen++;
            if (!each(arg, event, line))
                return RC_OK;
        }
    }
    return rc;
}
