/* Events that the server itself makes, and states with theirs. */
#include "base/clock.h"
#include "flow/board_room.h"

void board_note_begin(struct board_note *n, mem *ctx)
{
    buf_init(&n->b, ctx, BOARD_EVENT_MAX);
    json_out_init(&n->o, &n->b);
    jo_obj(&n->o);
}

enum rc board_note_append(struct board_note *n, struct store_tx *tx, const char *task_id, const char *type,
                          const char *actor, struct err *err)
{
    int64_t number;
    bool fresh;
    jo_end_obj(&n->o);
    struct event e = {.time_ns = clock_wall_ns(), .type = type, .actor = actor, .data = n->b.p};
    return event_append(tx, task_id, &e, &number, &fresh, err);
}

bool board_state_is(const struct task *t, const char *state)
{
    return strcmp(t->state, state) == 0;
}

bool board_at_work(const struct task *t)
{
    return board_state_is(t, "working") || board_state_is(t, "checking");
}

enum rc board_state_set(mem *ctx, struct store_tx *tx, struct task *t, const char *state, const char *reason,
                        const char *words, struct err *err)
{
    t->state = state;
    t->reason = reason;
    t->words = words;
    t->changed_ns = clock_wall_ns();
    if (task_state_final(state))
        t->ended_ns = t->changed_ns;
    enum rc rc = task_update(tx, t, err);
    if (rc == RC_OK && task_state_final(state))
        rc = approval_close(tx, t->id, t->changed_ns, err);
    if (rc != RC_OK)
        return rc;
    struct board_note n;
    board_note_begin(&n, ctx);
    jo_kz(&n.o, "state", state);
    jo_kz(&n.o, "reason", reason);
    jo_kz(&n.o, "words", words);
    jo_ki(&n.o, "iteration", t->iteration);
    jo_ki(&n.o, "iteration_limit", t->iteration_limit);
    return board_note_append(&n, tx, t->id, "task.state", "system", err);
}
