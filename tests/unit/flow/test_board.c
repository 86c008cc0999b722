/* Contracts of the board: who may do what to a task in which state; the event and the row change together; a runner's
 * event is taken once; an approval has three outcomes and waiting is none of them; a run token opens its own task only.
 */
#include "base/clock.h"
#include "flow/board.h"
#include "os/path.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static char dir[64];
static mem *ctx;
static struct board board;
static struct err err;

static const char *const SPEC =
    "{\"text\":\"Add a flag\\nmore\",\"repo\":\"/r\",\"git_dir\":\"/r/.git\",\"base\":\"abc\",\"checks\":[],\"allow_check_changes\":[\"a\"],"
    "\"limits\":{\"iterations\":5,\"money\":\"2.00\",\"currency\":\"USD\"},\"model\":{\"name\":\"m\",\"url\":\"http://127.0.0.1:1\",\"wire\":\"chat\"}}";

static struct json parsed(const char *text)
{
    struct json v;
    ck_assert_int_eq(json_parse(ctx, str_of(text), &v, NULL), RC_OK);
    return v;
}

static void setup(void)
{
    snprintf(dir, sizeof dir, "/tmp/nightmill-board-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ctx = mem_root();
    board.data_dir = dir;
    ck_assert_msg(store_open(ctx, dir, &board.store, &err) == RC_OK, "%s", err.sentence);
}

static void teardown(void)
{
    store_close(board.store);
    mem_free(ctx);
    ck_assert_int_eq(path_remove_tree(dir, &err), RC_OK);
}

static struct task created(void)
{
    struct task t;
    ck_assert_msg(board_create(ctx, &board, parsed(SPEC), &t, &err) == RC_OK, "%s", err.sentence);
    return t;
}

static struct task found(const char *id)
{
    struct task t;
    ck_assert_int_eq(task_find(ctx, board.store, id, &t, &err), RC_OK);
    return t;
}

struct applying {
    const char *id;
    int64_t origin;
    struct json event;
    bool final;
};
static enum rc apply_tx(struct store_tx *tx, void *arg, struct err *e)
{
    struct applying *a = arg;
    return board_apply(tx, a->id, a->origin, a->event, &a->final, e);
}
static bool applied(const char *id, int64_t origin, const char *type, const char *data)
{
    struct applying a = {.id = id, .origin = origin};
    a.event = parsed(mem_printf(ctx, "{\"type\":\"%s\",\"time\":1,\"actor\":\"system\",\"data\":%s}", type, data));
    ck_assert_msg(store_write(board.store, apply_tx, &a, &err) == RC_OK, "%s", err.sentence);
    return a.final;
}

static const char *token_of(const char *id)
{
    struct str token;
    ck_assert_int_eq(path_slurp(ctx, mem_printf(ctx, "%s/tasks/%s/token", dir, id), 256, &token, &err), RC_OK);
    return str_dup(ctx, token);
}

START_TEST(create_makes_a_queued_task_with_its_events)
{
    struct task t = created();
    struct event *events;
    size_t n;
    ck_assert_str_eq(found(t.id).state, "queued");
    ck_assert_str_eq(found(t.id).title, "Add a flag");
    ck_assert(found(t.id).limit_money == 2 * PICO_PER_UNIT);
    ck_assert_int_eq(event_list(ctx, board.store, t.id, 0, 10, &events, &n, &err), RC_OK);
    ck_assert_uint_eq(n, 2);
    ck_assert_str_eq(events[0].type, "task.created");
    ck_assert_str_eq(events[1].type, "task.state");
}
END_TEST

START_TEST(create_refuses_what_is_no_task)
{
    static const char *const bad[] = {
        "[]",
        "{}",
        "{\"text\":\" \",\"repo\":\"/r\",\"git_dir\":\"g\",\"base\":\"b\",\"model\":{\"name\":\"m\",\"url\":\"u\"}}",
        "{\"text\":\"x\",\"repo\":\"/r\",\"git_dir\":\"g\",\"base\":\"b\"}",
        "{\"text\":\"x\",\"repo\":\"/r\",\"git_dir\":\"g\",\"base\":\"b\",\"model\":{\"name\":\"m\",\"url\":\"u\"},\"limits\":{\"iterations\":0}}",
        "{\"text\":\"x\",\"repo\":\"/r\",\"git_dir\":\"g\",\"base\":\"b\",\"model\":{\"name\":\"m\",\"url\":\"u\"},\"limits\":{\"money\":\"-1\"}}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct task t;
        ck_assert_int_eq(board_create(ctx, &board, parsed(bad[i]), &t, &err), RC_INVALID);
        ck_assert_str_ne(err.sentence, "");
    }
    int64_t n;
    ck_assert_int_eq(task_count(board.store, "queued", &n, &err), RC_OK);
    ck_assert_int_eq(n, 0);
}
END_TEST

#define DRAWN(of, from, drawn, probability)                                                                            \
    "{\"text\":\"x\",\"repo\":\"/r\",\"git_dir\":\"g\",\"base\":\"b\",\"kind\":\"medium\","                            \
    "\"model\":{\"name\":\"m\",\"url\":\"u\"},\"agent\":{\"name\":\"codex\"},\"assignment\":[{\"of\":\"" of            \
    "\",\"from\":" from ",\"drawn\":\"" drawn "\",\"probability\":\"" probability "\"}]}"

/* Who works stands in the row; a draw is taken as it is true, and ends with the drawn model. */
START_TEST(who_works_is_kept)
{
    static const char *const lies[] = {
        DRAWN("agent", "[\"codex\",\"pi\"]", "pi", "1/2"), DRAWN("agent", "[\"codex\",\"pi\"]", "codex", "1/3"),
        DRAWN("agent", "[\"codex\"]", "codex", "1/1"),     DRAWN("agent", "[\"codex\",\"codex\"]", "codex", "1/2"),
        DRAWN("model", "[\"a\",\"b\"]", "a", "1/2"),       DRAWN("weather", "[\"m\",\"b\"]", "m", "1/2"),
        DRAWN("model", "{\"m\":1,\"b\":2}", "m", "1/2")};
    struct task t, r;
    char *tell;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++)
        ck_assert_int_eq(board_create(ctx, &board, parsed(lies[i]), &t, &err), RC_INVALID);
    ck_assert_str_eq(found(created().id).agent, "nightmill");
    ck_assert(!found(created().id).assigned);
    static const char *const draws[] = {DRAWN("agent", "[\"pi\",\"codex\"]", "codex", "1/2"),
                                        DRAWN("model", "[\"m\",\"a\",\"b\"]", "m", "1/3")};
    for (size_t i = 0; i < 2; i++) {
        ck_assert_msg(board_create(ctx, &board, parsed(draws[i]), &t, &err) == RC_OK, "%s", err.sentence);
        applied(t.id, 1, "agent.started", "{\"agent\":\"codex\",\"version\":\"0.9.1\"}");
        applied(t.id, 2, "agent.started", "{\"agent\":\"codex\",\"version\":null}");
        r = found(t.id);
        ck_assert_str_eq(r.agent, "codex");
        ck_assert_str_eq(r.agent_version, "0.9.1");
        ck_assert_str_eq(r.model, "m");
        ck_assert_str_eq(r.kind, "medium");
        ck_assert(r.assigned && !r.replayed);
        ck_assert_int_eq(board_pause(ctx, &board, t.id, &r, &tell, &err), RC_OK);
        ck_assert_int_eq(board_resume(ctx, &board, t.id, parsed("{\"model\":\"big\"}"), &r, &err), RC_OK);
        r = found(t.id);
        ck_assert_str_eq(r.model, "big");
        ck_assert(r.assigned == (i == 0)); /* the agent is still the drawn one, the model is not */
    }
}
END_TEST

START_TEST(stop_pause_resume)
{
    struct task t = created(), r;
    char *tell;
    ck_assert_int_eq(board_pause(ctx, &board, t.id, &r, &tell, &err), RC_OK);
    ck_assert_str_eq(found(t.id).state, "paused");
    ck_assert_int_eq(board_pause(ctx, &board, t.id, &r, &tell, &err), RC_CONFLICT);
    ck_assert_int_eq(
        board_resume(
            ctx, &board, t.id,
            parsed("{\"iterations\":9,\"money\":\"3.5\",\"model\":\"big\",\"allow_check_changes\":[\"b/**\"]}"), &r,
            &err),
        RC_OK);
    r = found(t.id);
    ck_assert_str_eq(r.state, "queued");
    ck_assert_int_eq(r.iteration_limit, 9);
    ck_assert(r.limit_money == 35 * PICO_PER_UNIT / 10);
    struct json spec = parsed(r.spec);
    ck_assert(json_eqz(json_path(spec, "model.name"), "big"));
    ck_assert(json_eqz(json_path(spec, "model.url"), "http://127.0.0.1:1"));
    ck_assert(json_eqz(json_path(spec, "allow_check_changes.0"), "a"));
    ck_assert(json_eqz(json_path(spec, "allow_check_changes.1"), "b/**"));
    applied(t.id, 1, "task.state", "{\"state\":\"working\",\"reason\":\"\",\"words\":\"\",\"iteration\":1}");
    ck_assert_int_eq(board_resume(ctx, &board, t.id, (struct json){0}, &r, &err), RC_CONFLICT);
    ck_assert_int_eq(board_stop(ctx, &board, t.id, &r, &tell, &err), RC_OK);
    ck_assert_str_eq(found(t.id).state, "working"); /* the runner says when it has stopped */
    ck_assert_ptr_nonnull(strstr(tell, "stop"));
    char *welcome;
    ck_assert_int_eq(board_welcome(ctx, &board, t.id, token_of(t.id), &welcome, &err), RC_OK);
    ck_assert(json_eqz(json_path(parsed(welcome), "welcome.order"), "stop")); /* also for one that was not connected */
    ck_assert(applied(t.id, 2, "task.state", "{\"state\":\"stopped\",\"reason\":\"user\",\"words\":\"\"}"));
    ck_assert_int_eq(board_stop(ctx, &board, t.id, &r, &tell, &err), RC_CONFLICT);
    ck_assert_int_eq(board_resume(ctx, &board, t.id, (struct json){0}, &r, &err), RC_CONFLICT);
}
END_TEST

START_TEST(a_raised_budget_lets_its_tasks_go_on)
{
    struct task own = created(), shared = created();
    int64_t n;
    applied(own.id, 1, "task.state", "{\"state\":\"paused\",\"reason\":\"limit_money\",\"words\":\"w\"}");
    applied(shared.id, 1, "task.state", "{\"state\":\"paused\",\"reason\":\"limit_budget\",\"words\":\"w\"}");
    ck_assert_msg(board_budgets_changed(&board, &n, &err) == RC_OK && n == 1, "%s", err.sentence);
    ck_assert_str_eq(found(own.id).state, "paused");
    ck_assert_str_eq(found(shared.id).state, "queued");
    ck_assert(board_budgets_changed(&board, &n, &err) == RC_OK && n == 0);
}
END_TEST

START_TEST(events_are_taken_once)
{
    struct task t = created();
    int64_t origin;
    applied(t.id, 1, "task.state", "{\"state\":\"working\",\"reason\":\"\",\"words\":\"a\",\"iteration\":1}");
    applied(t.id, 2, "task.state", "{\"state\":\"paused\",\"reason\":\"user\",\"words\":\"b\"}");
    applied(t.id, 1, "task.state", "{\"state\":\"working\",\"reason\":\"\",\"words\":\"again\",\"iteration\":7}");
    ck_assert_str_eq(found(t.id).state, "paused");
    ck_assert_int_eq(found(t.id).iteration, 1);
    ck_assert_int_eq(event_last_origin(board.store, t.id, &origin, &err), RC_OK);
    ck_assert_int_eq(origin, 2);
    struct applying a = {
        .id = t.id, .origin = 3, .event = parsed("{\"type\":\"task.state\",\"data\":{\"state\":\"glorious\"}}")};
    ck_assert_int_eq(store_write(board.store, apply_tx, &a, &err), RC_INVALID);
    ck_assert_str_eq(found(t.id).state, "paused");
}
END_TEST

static const char *gate_opened(const char *id, int64_t origin, int64_t expires_s)
{
    struct approval *rows;
    size_t n;
    applied(id, origin, "gate.waiting",
            mem_printf(ctx, "{\"gate\":\"plan\",\"subject\":\"s\",\"expires_s\":%lld}", (long long)expires_s));
    applied(id, origin + 1, "task.state", "{\"state\":\"needs_you\",\"reason\":\"approval\",\"words\":\"\"}");
    ck_assert_int_eq(approval_of_task(ctx, board.store, id, &rows, &n, &err), RC_OK);
    ck_assert_uint_ge(n, 1);
    for (size_t i = 0; i < n; i++) {
        if (rows[i].sequence == origin)
            return rows[i].id;
    }
    ck_abort_msg("no approval");
}

START_TEST(approvals)
{
    struct task t = created(), r;
    struct approval a;
    const char *id = gate_opened(t.id, 1, 3600);
    ck_assert_int_eq(board_resume(ctx, &board, t.id, (struct json){0}, &r, &err),
                     RC_CONFLICT); /* resuming is not approving */
    ck_assert_int_eq(board_answer(ctx, &board, id, "maybe", NULL, "user", &a, NULL, &err), RC_INVALID);
    ck_assert_int_eq(board_answer(ctx, &board, id, "approved", "fine", "user", &a, NULL, &err), RC_OK);
    ck_assert_str_eq(found(t.id).state, "queued");
    ck_assert_int_eq(board_answer(ctx, &board, id, "refused", NULL, "user", &a, NULL, &err), RC_CONFLICT);
    char *welcome;
    ck_assert_int_eq(board_welcome(ctx, &board, t.id, token_of(t.id), &welcome, &err), RC_OK);
    struct json input = json_path(parsed(welcome), "welcome.inputs.0");
    ck_assert(json_eqz(json_get(input, "type"), "gate.answered"));
    ck_assert(json_eqz(json_path(input, "data.outcome"), "approved"));
    ck_assert_int_eq(json_int(json_path(input, "data.sequence"), 0), 1);
}
END_TEST

START_TEST(expiry_is_never_consent)
{
    struct task t = created();
    struct board_told *told;
    size_t n;
    struct approval a;
    const char *id = gate_opened(t.id, 1, 60);
    ck_assert_int_eq(board_expire(ctx, &board, clock_wall_ns(), &told, &n, &err), RC_OK);
    ck_assert_int_eq(n, 0);
    ck_assert_int_eq(board_expire(ctx, &board, clock_wall_ns() + INT64_C(61000000000), &told, &n, &err), RC_OK);
    ck_assert_int_eq(n, 1);
    ck_assert_int_eq(approval_find(ctx, board.store, id, &a, &err), RC_OK);
    ck_assert_str_eq(a.outcome, "expired");
    ck_assert_str_eq(found(t.id).state, "paused");
    ck_assert_str_eq(found(t.id).reason, "approval_expired");
    ck_assert_int_eq(board_answer(ctx, &board, id, "approved", NULL, "user", &a, NULL, &err), RC_CONFLICT);
}
END_TEST

/* Where the agent itself waits, silence is a refusal that it is told, and a task that has ended asks nobody. */
START_TEST(an_agents_question)
{
    struct task t = created(), r;
    struct board_told *told;
    struct approval *all;
    size_t n;
    applied(t.id, 1, "gate.waiting", "{\"gate\":\"agent\",\"subject\":\"rm\",\"expires_s\":60}");
    applied(t.id, 2, "task.state", "{\"state\":\"needs_you\",\"reason\":\"approval\",\"words\":\"\"}");
    ck_assert_int_eq(board_expire(ctx, &board, clock_wall_ns() + INT64_C(61000000000), &told, &n, &err), RC_OK);
    ck_assert_uint_eq(n, 1);
    ck_assert_str_eq(told[0].task_id, t.id);
    ck_assert(json_eqz(json_path(parsed(told[0].frame), "input.data.outcome"), "expired"));
    ck_assert_str_eq(found(t.id).state, "queued");
    applied(t.id, 3, "gate.waiting", "{\"gate\":\"agent\",\"subject\":\"rm\",\"expires_s\":60}");
    applied(t.id, 4, "task.state", "{\"state\":\"needs_you\",\"reason\":\"approval\",\"words\":\"\"}");
    ck_assert_int_eq(board_stop(ctx, &board, t.id, &r, NULL, &err), RC_OK);
    ck_assert_int_eq(approval_waiting(ctx, board.store, &all, &n, &err), RC_OK);
    ck_assert_uint_eq(n, 0);
}
END_TEST

START_TEST(hints)
{
    struct task t = created(), r;
    char *tell;
    ck_assert_int_eq(board_hint(ctx, &board, t.id, STR("  "), &r, &tell, &err), RC_INVALID);
    applied(t.id, 1, "task.state", "{\"state\":\"needs_you\",\"reason\":\"stuck_no_change\",\"words\":\"\"}");
    ck_assert_int_eq(board_hint(ctx, &board, t.id, STR("look at a.c"), &r, &tell, &err), RC_OK);
    ck_assert_str_eq(found(t.id).state, "queued");
    ck_assert(json_eqz(json_path(parsed(tell), "input.data.text"), "look at a.c"));
    applied(t.id, 2, "task.state", "{\"state\":\"paused\",\"reason\":\"limit_money\",\"words\":\"\"}");
    ck_assert_int_eq(board_hint(ctx, &board, t.id, STR("more"), &r, &tell, &err), RC_OK);
    ck_assert_str_eq(found(t.id).state, "paused"); /* a limit is not a question */
}
END_TEST

START_TEST(tokens)
{
    struct task t = created(), other = created();
    const char *task_id;
    char *welcome;
    ck_assert_int_eq(board_token_task(ctx, &board, token_of(t.id), &task_id, &err), RC_OK);
    ck_assert_str_eq(task_id, t.id);
    ck_assert_int_eq(board_welcome(ctx, &board, other.id, token_of(t.id), &welcome, &err), RC_DENIED);
    char *bent = mem_str(ctx, token_of(t.id));
    bent[20] = bent[20] == 'a' ? 'b' : 'a';
    static const char *const bad[] = {"", ".", "x.y", "../../x.0000000000000000000000000000000000000000"};
    ck_assert_int_eq(board_token_task(ctx, &board, bent, &task_id, &err), RC_DENIED);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_int_eq(board_token_task(ctx, &board, bad[i], &task_id, &err), RC_DENIED);
}
END_TEST

START_TEST(delivery_and_undo)
{
    struct task t = created(), r;
    ck_assert_int_eq(board_undo(ctx, &board, t.id, &r, &err), RC_CONFLICT);
    applied(t.id, 1, "delivered", "{\"branch\":\"nightmill/x\",\"commit\":\"c1\",\"applied\":true,\"words\":\"\"}");
    ck_assert(applied(t.id, 2, "task.state", "{\"state\":\"done\",\"reason\":\"proven\",\"words\":\"\"}"));
    ck_assert_str_eq(found(t.id).commit, "c1");
    ck_assert(found(t.id).applied);
    ck_assert_int_eq(board_undo(ctx, &board, t.id, &r, &err), RC_OK);
    char *welcome;
    ck_assert_int_eq(board_welcome(ctx, &board, t.id, token_of(t.id), &welcome, &err), RC_OK);
    ck_assert(json_eqz(json_path(parsed(welcome), "welcome.job"), "undo"));
    applied(t.id, 3, "task.undone", "{\"words\":\"taken back\"}");
    ck_assert_str_eq(found(t.id).reason, "undone");
    ck_assert_int_eq(board_undo(ctx, &board, t.id, &r, &err), RC_CONFLICT);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("board");
    TCase *t = tcase_create("board");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, create_makes_a_queued_task_with_its_events);
    tcase_add_test(t, create_refuses_what_is_no_task);
    tcase_add_test(t, who_works_is_kept);
    tcase_add_test(t, stop_pause_resume);
    tcase_add_test(t, a_raised_budget_lets_its_tasks_go_on);
    tcase_add_test(t, events_are_taken_once);
    tcase_add_test(t, approvals);
    tcase_add_test(t, expiry_is_never_consent);
    tcase_add_test(t, an_agents_question);
    tcase_add_test(t, hints);
    tcase_add_test(t, tokens);
    tcase_add_test(t, delivery_and_undo);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
