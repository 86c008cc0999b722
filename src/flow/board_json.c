/* A task as the API shows it. */
#include "base/clock.h"
#include "flow/board_room.h"

void board_task_json(mem *ctx, const struct board *b, const struct task *t, int64_t runner_pid, struct json_out *o)
{
    struct json spec = {0};
    if (t->spec && json_parse(ctx, str_of(t->spec), &spec, NULL) != RC_OK)
        spec = (struct json){0};
    jo_obj(o);
    jo_kz(o, "id", t->id);
    jo_ki(o, "number", t->number);
    jo_kz(o, "title", t->title);
    jo_kz(o, "text", t->text);
    jo_kz(o, "repo", t->repo);
    jo_kz(o, "state", t->state);
    jo_kz(o, "reason", t->reason);
    jo_kz(o, "words", t->words);
    jo_ki(o, "iteration", t->iteration);
    jo_ki(o, "iteration_limit", t->iteration_limit);
    jo_kz(o, "created_at", clock_rfc3339(ctx, t->created_ns));
    jo_kz(o, "changed_at", clock_rfc3339(ctx, t->changed_ns));
    jo_kz(o, "started_at", t->started_ns ? clock_rfc3339(ctx, t->started_ns) : NULL);
    jo_kz(o, "ended_at", t->ended_ns ? clock_rfc3339(ctx, t->ended_ns) : NULL);
    jo_ki(o, "worked_s", t->worked_ns / 1000000000);
    jo_ki(o, "worked_ns", t->worked_ns);
    jo_kz(o, "branch", t->branch);
    jo_kz(o, "commit", t->commit);
    jo_kb(o, "applied", t->applied);
    jo_kz(o, "base", json_z(ctx, json_get(spec, "base"), NULL));
    jo_kz(o, "folder", mem_printf(ctx, "%s/tasks/%s", b->data_dir, t->id));
    jo_ki(o, "limit_time_s", t->limit_time_s);
    jo_key(o, "limits");
    jo_obj(o);
    jo_ki(o, "iterations", t->iteration_limit);
    jo_ki(o, "time_s", t->limit_time_s);
    jo_ki(o, "tokens", t->limit_tokens);
    jo_kz(o, "money", t->limit_money >= 0 ? money_exact(ctx, t->limit_money, 2) : NULL);
    jo_kz(o, "currency", t->currency);
    jo_end_obj(o);
    jo_key(o, "model");
    jo_obj(o);
    jo_kz(o, "name", json_z(ctx, json_path(spec, "model.name"), *t->model ? t->model : NULL));
    jo_kz(o, "url", json_z(ctx, json_path(spec, "model.url"), NULL));
    jo_kz(o, "wire", json_z(ctx, json_path(spec, "model.wire"), NULL));
    jo_end_obj(o);
    jo_kraw(o, "checks", json_is(json_get(spec, "checks")) ? json_raw(json_get(spec, "checks")) : STR("[]"));
    jo_ki(o, "last_event", t->last_event);
    jo_kz(o, "agent", t->agent);
    jo_kz(o, "configuration", t->configuration && *t->configuration ? t->configuration : NULL);
    if (t->trial && *t->trial) {
        jo_kz(o, "trial", t->trial);
        jo_ki(o, "attempt", t->attempt);
    }
    if (runner_pid)
        jo_ki(o, "runner_pid", runner_pid);
    else {
        jo_key(o, "runner_pid");
        jo_null(o);
    }
    jo_end_obj(o);
}
