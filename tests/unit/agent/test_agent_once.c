/* Contract "once only" of agent/agent.h: an agent that is stopped at any record, before or after the record is durable,
 * and called again ends with the same files, has asked with the same bytes under the same keys, and left the same
 * records, as one that was never stopped. */
#include "base/text.h"
#include "fake_rooms.h"
#include "world.h"

/* Calls whose second execution would show. */
static void scene(struct world *w)
{
    file_put(w, "a.txt", "one\ntwo\nthree\n");
    file_put(w, "src/x.c", "int x;\nint y;\n");
    SAY(w, "I look first.", {"read", "{\"path\":\"a.txt\"}"}, {"list", "{}"}, {"search", "{\"text\":\"int\"}"});
    SAY(w, "", {"write", "{\"path\":\"b/new.sh\",\"content\":\"#!/bin/sh\\necho hi\\n\"}"},
        {"edit", "{\"path\":\"a.txt\",\"old\":\"one\",\"new\":\"one one\"}"},
        {"edit", "{\"path\":\"a.txt\",\"old\":\"two\\n\",\"new\":\"\"}"});
    SAY(w, "Now a command.", {"run", "{\"command\":\"echo line >> log.txt; rm src/x.c; cat a.txt\"}"},
        {"note", "{\"text\":\"remember me\"}"},
        {"edit", "{\"path\":\"log.txt\",\"old\":\"line\",\"new\":\"line line\"}"});
    SAY(w, "", {"read", "{\"path\":"}, {"fly", "{}"}, {"read", "{\"path\":\"../secret\"}"},
        {"write", "{\"path\":\"x\"}"});
    SAY(w, "", {"run", "{\"command\":\"echo again >> log.txt; exit 3\"}"},
        {"run", "{\"command\":\"echo more >> log.txt\"}"},
        {"write", "{\"path\":\"a.txt\",\"content\":\"all new\\n\"}"});
    SAY(w, "", {"edit", "{\"path\":\"a.txt\",\"old\":\"all\",\"new\":\"all all\"}"}, {"note", "{\"text\":\"second\"}"},
        {"finish", "{\"summary\":\"done it\"}"});
}

/* A record without what may differ: how long a command took. */
static const char *record_show(mem *ctx, const struct kept_record *r)
{
    struct str s = str_of(r->json);
    long at = str_find(s, STR("\"elapsed_ns\":"));
    if (at < 0)
        return mem_printf(ctx, "%s %s", r->type, r->json);
    size_t end = (size_t)at + 13;
    while (end < s.n && s.p[end] >= '0' && s.p[end] <= '9')
        end++;
    return mem_printf(ctx, "%s %.*s%s", r->type, (int)at, s.p, s.p + end);
}

static void worlds_compare(struct world *plain, struct world *w, bool records_too)
{
    ck_assert_int_eq(w->result.end, AGENT_FINISHED);
    ck_assert_str_eq(tree_look(w->dir)->name, tree_look(plain->dir)->name);
    ck_assert_str_eq(w->result.summary, plain->result.summary);
    ck_assert_int_eq(w->result.turns, plain->result.turns);
    ck_assert_int_eq(w->result.tool_calls, plain->result.tool_calls);
    for (int i = 0; plain->result.notes[i] || w->result.notes[i]; i++)
        ck_assert_pstr_eq(w->result.notes[i], plain->result.notes[i]);
    struct request *a = plain->requests, *b = w->requests;
    for (; a && b; a = a->next, b = b->next) {
        ck_assert_str_eq(a->key, b->key);
        ck_assert_str_eq(a->body, b->body);
    }
    ck_assert(!a && !b);
    struct kept_record *x = plain->records, *y = w->records;
    for (; records_too && x && y; x = x->next, y = y->next) {
        CLEANUP_MEM mem *tmp = mem_root();
        while (y && strcmp(y->type, "tool.again") == 0)
            y = y->next;
        ck_assert(y != NULL);
        ck_assert_str_eq(record_show(tmp, x), record_show(tmp, y));
    }
}

static struct world *plain_run(mem *ctx, const char *dialect)
{
    struct world *plain = world_new(ctx, dialect);
    scene(plain);
    ck_assert_int_eq(world_run(plain), RC_OK);
    ck_assert_int_eq(plain->result.end, AGENT_FINISHED);
    ck_assert_str_eq(file_get(plain, "log.txt"), "line line\nagain\nmore\n");
    ck_assert_str_eq(file_get(plain, "a.txt"), "all all new\n");
    ck_assert_ptr_null(file_get(plain, "src/x.c"));
    ck_assert_str_eq(plain->result.notes[1], "second");
    ck_assert_int_gt(plain->record_count, 25);
    return plain;
}

static const char *const dialects[] = {"chat", "messages"};

START_TEST(test_stop_at_every_record)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct world *plain = plain_run(ctx, dialects[_i / 2 % 2]);
    hands_over = _i >= 4;
    for (int k = 1; k <= plain->record_count; k++) {
        struct world *w = world_new(ctx, dialects[_i / 2 % 2]);
        hands = THEIRS; /* as a crash may leave them */
        scene(w);
        w->stop_at = k;
        w->stop_after = _i % 2;
        ck_assert_int_eq(world_run(w), RC_OK);
        ck_assert_int_eq(w->result.end, AGENT_CANCELLED);
        w->stop_at = 0;
        ck_assert_int_eq(world_run(w), RC_OK);
        worlds_compare(plain, w, true);
        ck_assert(!hands_over || hands == OURS);
        ck_assert_int_gt(quiets, 0);
        ck_assert_int_eq(path_remove_tree(w->base, NULL), RC_OK);
    }
    ck_assert_int_gt(restores, 0);
    world_done(plain);
}
END_TEST

/* Stopped after every second record, one process after the other (a command that is taken up needs two). */
START_TEST(test_stop_again_and_again)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct world *plain = plain_run(ctx, dialects[_i]);
    struct world *w = world_new(ctx, dialects[_i]);
    scene(w);
    w->stop_at = 2;
    w->stop_after = true;
    int processes = 0;
    do
        ck_assert_int_eq(world_run(w), RC_OK);
    while (w->result.end == AGENT_CANCELLED && ++processes < 200);
    worlds_compare(plain, w, true);
    ck_assert_int_ge(processes, plain->record_count / 2 - 1);
    ck_assert_int_eq(path_remove_tree(w->base, NULL), RC_OK);
    world_done(plain);
}
END_TEST

/* A file that a killed process left half written goes away. */
START_TEST(test_temporary_files_are_swept)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct world *plain = plain_run(ctx, "chat");
    struct world *w = world_new(ctx, "chat");
    scene(w);
    w->stop_at = 9;
    ck_assert_int_eq(world_run(w), RC_OK);
    file_put(w, "b/" PATH_TEMP_PREFIX "0123456789", "half");
    file_put(w, PATH_TEMP_PREFIX "0123456789", "half");
    w->stop_at = 0;
    ck_assert_int_eq(world_run(w), RC_OK);
    worlds_compare(plain, w, true);
    ck_assert_int_eq(path_remove_tree(w->base, NULL), RC_OK);
    world_done(plain);
}
END_TEST

/* A command that ends the sandbox every time is given up, its effects taken back. */
START_TEST(test_command_that_never_ends_well)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct world *w = world_new(ctx, "chat");
    file_put(w, "a", "1");
    SAY(w, "", {"run", "{\"command\":\"echo bad >> a\"}"});
    SAY(w, "", {"finish", "{\"summary\":\"s\"}"});
    w->spec.sandbox->fail_from = 1;
    int failed = 0;
    do {
        ck_assert_int_eq(world_run(w), RC_OK);
        ck_assert(w->result.end != AGENT_FAILED || w->err.rc == RC_UNAVAILABLE);
    } while (w->result.end == AGENT_FAILED && ++failed < 20);
    ck_assert_int_eq(w->result.end, AGENT_FINISHED);
    ck_assert_int_eq(failed, 6);
    ck_assert_str_eq(file_get(w, "a"), "1");
    bool is_error;
    ck_assert(strstr(result_of(w, 1, 1, &is_error), "6 tries") != NULL);
    ck_assert(is_error);
    world_done(w);
}
END_TEST

/* A journal that cannot be written ends the agent with its error, and nothing was done that the journal would not know.
 */
static enum rc record_fails(void *arg, const char *type, struct str json, struct err *err)
{
    (void)arg, (void)type, (void)json;
    return err_set(err, RC_LIMIT, "disk full");
}
START_TEST(test_broken_journal)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct world *w = world_new(ctx, "chat");
    SAY(w, "", {"write", "{\"path\":\"a\",\"content\":\"x\"}"});
    w->road.record = record_fails;
    ck_assert_int_eq(world_run(w), RC_LIMIT);
    ck_assert_str_eq(w->err.sentence, "disk full");
    ck_assert_ptr_null(file_get(w, "a"));
    world_done(w);
}
END_TEST

/* When the gateway has lost an answer and the model now says something else, records of the old calls are not used. */
START_TEST(test_another_answer)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct world *w = world_new(ctx, "chat");
    SAY(w, "", {"write", "{\"path\":\"a\",\"content\":\"1\"}"}, {"run", "{\"command\":\"echo x >> a\"}"});
    SAY(w, "", {"finish", "{\"summary\":\"s\"}"});
    w->stop_at = 4; /* the command ran and was not recorded */
    ck_assert_int_eq(world_run(w), RC_OK);
    ck_assert_str_eq(file_get(w, "a"), "1x\n");
    w->script_n = 0;
    w->requests = w->last_request = NULL;
    SAY(w, "", {"write", "{\"path\":\"b\",\"content\":\"2\"}"});
    SAY(w, "", {"finish", "{\"summary\":\"s\"}"});
    w->stop_at = 0;
    ck_assert_int_eq(world_run(w), RC_OK);
    ck_assert_int_eq(w->result.end, AGENT_FINISHED);
    ck_assert_str_eq(file_get(w, "a"), "1"); /* the half command was taken back */
    ck_assert_str_eq(file_get(w, "b"), "2");
    world_done(w);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("once");
    tcase_set_timeout(tc, 100);
    tcase_add_loop_test(tc, test_stop_at_every_record, 0, 6);
    tcase_add_loop_test(tc, test_stop_again_and_again, 0, 2);
    tcase_add_test(tc, test_temporary_files_are_swept);
    tcase_add_test(tc, test_command_that_never_ends_well);
    tcase_add_test(tc, test_broken_journal);
    tcase_add_test(tc, test_another_answer);
    Suite *s = suite_create("once");
    suite_add_tcase(s, tc);
    return suite_run(s);
}
