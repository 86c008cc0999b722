/* The sample task (ops/sample.h): what a new user can see done before there is a key. */
#include "api/route_rows.h"
#include "ops/prepare.h"
#include "ops/sample.h"

static enum rc sample_begin(struct route_call *c)
{
    struct sample s;
    struct str spec;
    struct json v;
    struct task t;
    enum rc rc = sample_open(c->ctx, c->server->place->data_dir, &s, &c->err);
    if (rc != RC_OK)
        return rc;
    const char *const checks[] = {s.check, NULL};
    struct prepare_wish wish = {.dir = s.repo,
                                .text = s.text,
                                .checks = checks,
                                .agent = "builtin",
                                .replay = s.recording,
                                .recorded = &s.model};
    rc = prepare_task(c->ctx, settings_live_take(c->ctx, c->server->live), &wish, &spec, &c->err);
    if (rc == RC_OK)
        rc = json_parse(c->ctx, spec, &v, &c->err);
    if (rc == RC_OK)
        rc = board_create(c->ctx, &c->server->board, v, &t, &c->err);
    if (rc != RC_OK)
        return rc;
    c->status = 201;
    c->schedule = true;
    board_task_json(c->ctx, &c->server->board, &t, 0, &c->out);
    return RC_OK;
}

const struct route route_sample_begin = {"POST",
                                         "/api/v1/sample",
                                         "begin the sample task: a small project, with a model whose words are canned",
                                         sample_begin,
                                         NULL,
                                         .gives = "Task",
                                         .access = ACCESS_USE,
                                         .narrow = NARROW_WHOLE,
                                         .creates = true};
