/* Contract of the conversation: every way an answer can be useless is answered or tried again a bounded number of
 * times, failures end the iteration with words and a wait, a conversation is shortened before it overflows and after it
 * did. */
#include "base/text.h"
#include "fake_rooms.h"
#include "world.h"

static struct world *world;
static mem *ctx;

static void set_up(void)
{
    ctx = mem_root();
    world = world_new(ctx, "chat");
}

static void tear_down(void)
{
    world_done(world);
    ctx = mem_free(ctx);
}

static const char *stream(const char *text, const char *stop)
{
    return answer_make(ctx, world->spec.dialect->name, text, NULL, 0, stop, 1000);
}

static const char *body_of(const char *key)
{
    for (struct request *r = world->requests; r; r = r->next)
        if (strcmp(r->key, key) == 0)
            return r->body;
    ck_abort_msg("no request %s", key);
    return NULL;
}

static int requests_count(void)
{
    int n = 0;
    for (struct request *r = world->requests; r; r = r->next)
        n++;
    return n;
}

static void script(const char *text)
{
    world->script[world->script_n++] = text;
}

START_TEST(test_first_request)
{
    world->spec.system_extra = "Indent with tabs.";
    script(stream("I think it is done.", "stop"));
    ck_assert_int_eq(world_run(world), RC_OK);
    ck_assert_int_eq(world->result.end, AGENT_FINISHED); /* it stopped calling tools */
    ck_assert_str_eq(world->result.summary, "I think it is done.");
    ck_assert_int_eq(world->result.turns, 1);
    ck_assert_int_eq(world->result.retry_after_s, -1);
    ck_assert_int_eq(world->err.rc, RC_OK);
    ck_assert_str_eq(str_dup(ctx, buf_view(&world->live)), "I think it is done.");
    const char *body = body_of("i1.t1.a1");
    ck_assert(strstr(body, "Indent with tabs.") && strstr(body, "\"content\":\"Make it so.\""));
    ck_assert(strstr(body, "is not evidence") && strstr(body, "\"name\":\"finish\""));
    ck_assert_str_eq(record_nth(world, "agent.text", 0),
                     "{\"turn\":1,\"text\":\"I think it is done.\",\"stop\":\"end\",\"calls\":0,\"model\":null}");
}
END_TEST

START_TEST(test_turn_limit)
{
    world->spec.max_turns = 3;
    SAY(world, "", {"list", "{}"});
    ck_assert_int_eq(world_run(world), RC_OK);
    ck_assert_int_eq(world->result.end, AGENT_TURNS);
    ck_assert_int_eq(world->result.turns, 3);
    ck_assert_int_eq(world->result.tool_calls, 3);
    /* Ids that a server repeats are made unique, results follow them. */
    ck_assert(strstr(body_of("i1.t3.a1"), "\"tool_call_id\":\"id0\"") != NULL);
    ck_assert(strstr(body_of("i1.t3.a1"), "\"tool_call_id\":\"id0_t2\"") != NULL);
}
END_TEST

START_TEST(test_empty_answers)
{
    script(stream("", "stop"));
    ck_assert_int_eq(world_run(world), RC_OK);
    ck_assert_int_eq(world->result.end, AGENT_FINISHED);
    ck_assert_int_eq(world->asks, 3);
    ck_assert(strstr(body_of("i1.t2.a1"), "Your last answer was empty.") != NULL);
    ck_assert_str_eq(world->result.summary, "The model gave no answer.");
}
END_TEST

START_TEST(test_refusals)
{
    script(stream("I will not.", "content_filter"));
    ck_assert_int_eq(world_run(world), RC_OK);
    ck_assert_int_eq(world->result.end, AGENT_FINISHED);
    ck_assert_int_eq(world->asks, 2);
    ck_assert(strstr(body_of("i1.t2.a1"), "You declined") && !strstr(body_of("i1.t2.a1"), "I will not."));
    ck_assert_str_eq(world->result.summary, "I will not.");
}
END_TEST

START_TEST(test_length_stops)
{
    script(stream("A very long", "length"));
    script(answer_make(ctx, "chat", "", (const struct call[]){{"list", "{}"}, {"write", "{\"path\":\"a\",\"cont"}}, 2,
                       "length", 1000));
    script(stream("done", "stop"));
    ck_assert_int_eq(world_run(world), RC_OK);
    ck_assert_int_eq(world->result.end, AGENT_FINISHED);
    ck_assert_str_eq(world->result.summary, "done");
    ck_assert(strstr(body_of("i1.t2.a1"), "\"content\":\"A very long\"") != NULL);
    ck_assert(strstr(body_of("i1.t2.a1"), "Go on in smaller steps") != NULL);
    bool is_error;
    result_of(world, 2, 1, &is_error);
    ck_assert(!is_error);
    ck_assert(strstr(result_of(world, 2, 2, &is_error), "smaller pieces") && is_error);
    ck_assert(strstr(body_of("i1.t3.a1"), "cut off at the limit of its length") != NULL);
    ck_assert_ptr_null(file_get(world, "a"));
}
END_TEST

START_TEST(test_length_stops_without_end)
{
    script(stream("more and more", "length"));
    ck_assert_int_eq(world_run(world), RC_OK);
    ck_assert_int_eq(world->result.end, AGENT_FINISHED);
    ck_assert_int_eq(world->asks, 3);
}
END_TEST

/* A stream that breaks off is asked for again under its key, three times in all; nothing of it is acted upon. */
START_TEST(test_cut_streams)
{
    const char *whole = answer_make(
        ctx, "chat", "", (const struct call[]){{"write", "{\"path\":\"a\",\"content\":\"x\"}"}}, 1, "tool_calls", 1000);
    script(str_dup(ctx, str_n(whole, strlen(whole) - 20)));
    ck_assert_int_eq(world_run(world), RC_OK);
    ck_assert_int_eq(world->result.end, AGENT_FAILED);
    ck_assert_int_eq(world->err.rc, RC_UPSTREAM);
    ck_assert(rc_retryable(world->err.rc));
    ck_assert_int_eq(world->asks, 3);
    ck_assert_int_eq(requests_count(), 1);
    ck_assert_ptr_null(file_get(world, "a"));
    ck_assert_int_eq(world->record_count, 0);
}
END_TEST

static const char *second_time_lucky(struct world *w, int64_t turn, int64_t attempt, int *ret_status)
{
    (void)turn, (void)attempt, (void)ret_status;
    return w->asks == 1   ? "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"
           : w->asks == 2 ? "data: {\"choices\":[{oops\n\n"
                          : stream("done", "stop");
}
START_TEST(test_cut_then_whole)
{
    world->answer = second_time_lucky;
    ck_assert_int_eq(world_run(world), RC_OK);
    ck_assert_int_eq(world->result.end, AGENT_FINISHED);
    ck_assert_int_eq(world->asks, 3);
    ck_assert_int_eq(requests_count(), 1);
    ck_assert_int_eq(world->err.rc, RC_OK); /* what was made good is not told */
}
END_TEST

START_TEST(test_road_errors)
{
    static const struct {
        enum rc rc;
        enum agent_end end;
    } cases[] = {{RC_CANCELLED, AGENT_CANCELLED},
                 {RC_LIMIT, AGENT_LIMIT},
                 {RC_UNAVAILABLE, AGENT_FAILED},
                 {RC_TIMEOUT, AGENT_FAILED},
                 {RC_UPSTREAM, AGENT_FAILED}};
    script(stream("x", "stop"));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world->ask_rc = cases[i].rc;
        world->asks = 0;
        ck_assert_int_eq(world_run(world), RC_OK);
        ck_assert_int_eq(world->result.end, cases[i].end);
        if (cases[i].end == AGENT_FAILED || cases[i].end == AGENT_LIMIT)
            ck_assert_int_eq(world->err.rc, cases[i].rc);
        ck_assert_int_eq(world->asks, cases[i].rc == RC_UPSTREAM ? 3 : 1); /* it broke off in the middle of an answer */
    }
}
END_TEST

START_TEST(test_statuses)
{
    static const struct {
        int status;
        const char *headers, *body;
        enum agent_end end;
        enum rc rc;
        int64_t wait;
    } cases[] = {
        {429, "retry-after: 17\r\n", "{}", AGENT_FAILED, RC_LIMIT, 17},
        {503, "", "{\"error\":{\"message\":\"Loading model\"}}", AGENT_FAILED, RC_UPSTREAM, -1},
        {529, "", "{}", AGENT_FAILED, RC_UPSTREAM, -1},
        {401, "", "{}", AGENT_FAILED, RC_DENIED, -1},
        {404, "", "{}", AGENT_FAILED, RC_NOT_FOUND, -1},
        {400, "", "{}", AGENT_FAILED, RC_INVALID, -1},
        {429, "", "{\"error\":{\"code\":\"insufficient_quota\"}}", AGENT_LIMIT, RC_LIMIT, -1},
        {402, "", "{\"title\":\"The budget is used up\",\"status\":402,\"code\":\"limit\"}", AGENT_LIMIT, RC_LIMIT, -1},
        {400, "", "{\"error\":{\"code\":\"context_length_exceeded\"}}", AGENT_FAILED, RC_INVALID, -1},
    };
    world->script_n = 1;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world->statuses[0] = cases[i].status;
        world->headers = cases[i].headers;
        world->script[0] = cases[i].body;
        world->asks = 0;
        ck_assert_int_eq(world_run(world), RC_OK);
        ck_assert_msg(world->result.end == cases[i].end, "case %zu: end %d", i, (int)world->result.end);
        ck_assert_msg(world->err.rc == cases[i].rc && world->err.sentence[0], "case %zu: %s", i,
                      rc_name(world->err.rc));
        ck_assert_int_eq(world->result.retry_after_s, cases[i].wait);
        ck_assert_int_eq(world->asks, 1);
        ck_assert_int_eq(world->result.context_too_long, i == 8);
    }
}
END_TEST

START_TEST(test_error_inside_a_stream)
{
    script(
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"error\":{\"code\":\"rate_limit_exceeded\","
        "\"message\":\"try again in 8s\"}}\n\n");
    ck_assert_int_eq(world_run(world), RC_OK);
    ck_assert_int_eq(world->result.end, AGENT_FAILED);
    ck_assert_int_eq(world->err.rc, RC_LIMIT);
    ck_assert_int_eq(world->result.retry_after_s, 8);
}
END_TEST

static bool stop_now(void *arg)
{
    return ((struct world *)arg)->asks >= 1;
}
START_TEST(test_stopping)
{
    SAY(world, "", {"write", "{\"path\":\"a\",\"content\":\"x\"}"});
    world->road.stopping = stop_now;
    ck_assert_int_eq(world_run(world), RC_OK);
    ck_assert_int_eq(world->result.end, AGENT_CANCELLED);
    ck_assert_ptr_null(file_get(world, "a"));
}
END_TEST

/* --- room --- */

/* Reads a large file every turn; the provider counts a token for every four bytes. */
static const char *reads_much(struct world *w, int64_t turn, int64_t attempt, int *ret_status)
{
    (void)attempt, (void)ret_status;
    int64_t tokens = (int64_t)strlen(w->now->body) / 4;
    if (turn > 40)
        return answer_make(w, w->spec.dialect->name, "", (const struct call[]){{"finish", "{\"summary\":\"s\"}"}}, 1,
                           "stop", tokens);
    struct call calls[] = {
        {"read", "{\"path\":\"big\"}"},
        {"write", mem_printf(w, "{\"path\":\"out%lld\",\"content\":\"%01000d\"}", (long long)turn, 7)}};
    return answer_make(w, w->spec.dialect->name, "", calls, 2, "stop", tokens);
}

static void big_file(void)
{
    struct buf b;
    buf_init(&b, ctx, 1 << 20);
    for (int i = 0; i < 150; i++)
        buf_printf(&b, "this is line %d of a file that is rather long for its contents\n", i);
    file_put(world, "big", b.p);
}

static size_t longest_body(void)
{
    size_t n = 0;
    for (struct request *r = world->requests; r; r = r->next)
        n = strlen(r->body) > n ? strlen(r->body) : n;
    return n;
}

static const char *const dialects[] = {"chat", "messages"};

START_TEST(test_compaction_before_overflow)
{
    world->spec.dialect = llm_dialect_find(dialects[_i]);
    world->spec.context_tokens = 30000;
    world->answer = reads_much;
    big_file();
    ck_assert_int_eq(world_run(world), RC_OK);
    ck_assert_int_eq(world->result.end, AGENT_FINISHED);
    ck_assert_uint_le(longest_body() / 4, 30000 - 4096);
    const char *record = record_nth(world, "context.compacted", 0);
    ck_assert(strstr(record, "\"reason\":\"estimate\"") &&
              strstr(record, "\"name\":\"read\",\"what\":\"result\",\"bytes\":"));
    ck_assert(record_nth(world, "context.compacted", 1) != NULL);
    ck_assert_ptr_null(record_nth(world, "context.compacted", 8)); /* rarely: each time much goes */
    /* The prompt and the recent turns are whole, what went is marked. */
    const char *last = body_of("i1.t41.a1");
    ck_assert(strstr(last, "Make it so.") && strstr(last, "dropped to save room") && strstr(last, "this is line 99"));
}
END_TEST

static int compactions(struct world *w)
{
    int n = 0;
    while (record_nth(w, "context.compacted", n))
        n++;
    return n;
}

/* The same with stops: a shortened conversation comes out the same in the next process, and is recorded once. */
START_TEST(test_compaction_is_repeatable)
{
    world->spec.context_tokens = 30000;
    world->answer = reads_much;
    big_file();
    ck_assert_int_eq(world_run(world), RC_OK);
    int expected = compactions(world);
    ck_assert_int_eq(path_remove_tree(world->base, NULL), RC_OK);
    world = world_new(ctx, "chat");
    world->spec.context_tokens = 30000;
    world->answer = reads_much;
    big_file();
    int stops = 0;
    for (int at = 3;; at += 5) {
        world->stop_at = at;
        world->stop_after = at % 2;
        ck_assert_int_eq(world_run(world), RC_OK); /* the fake compares bodies of the same key */
        if (world->result.end != AGENT_CANCELLED)
            break;
        stops++;
    }
    ck_assert_int_eq(world->result.end, AGENT_FINISHED);
    ck_assert_int_gt(stops, 3);
    ck_assert_int_eq(requests_count(), 41);
    ck_assert_int_eq(compactions(world), expected);
}
END_TEST

/* The model's room is smaller than was said: it refuses, and the conversation is shortened and asked for again. */
static const char *refuses_long(struct world *w, int64_t turn, int64_t attempt, int *ret_status)
{
    if (strlen(w->now->body) > 60000) {
        *ret_status = 400;
        return "{\"error\":{\"code\":\"context_length_exceeded\",\"message\":\"maximum context length is 20000\"}}";
    }
    return reads_much(w, turn, attempt, ret_status);
}
START_TEST(test_compaction_after_refusal)
{
    world->spec.context_tokens = 0; /* unknown */
    world->answer = refuses_long;
    big_file();
    for (int at = 7;; at += 9) { /* also with stops in between: a refusal is not asked for twice once it is recorded */
        world->stop_at = at;
        world->asks = 0;
        ck_assert_int_eq(world_run(world), RC_OK);
        if (world->result.end != AGENT_CANCELLED)
            break;
    }
    ck_assert_int_eq(world->result.end, AGENT_FINISHED);
    const char *record = record_nth(world, "context.compacted", 0);
    ck_assert(strstr(record, "\"attempt\":1,\"reason\":\"refused\"") != NULL);
    int refused = 0;
    for (struct request *r = world->requests; r; r = r->next)
        if (strlen(r->body) > 60000) {
            refused++;
            ck_assert_int_le(r->asked, 2);
        }
    ck_assert_int_gt(refused, 1);
}
END_TEST

/* A prompt alone that is too long cannot be shortened. */
START_TEST(test_prompt_too_long)
{
    char *long_prompt = mem_zalloc(ctx, 70001);
    memset(long_prompt, 'p', 70000);
    world->spec.prompt = str_of(long_prompt);
    world->answer = refuses_long;
    ck_assert_int_eq(world_run(world), RC_OK);
    ck_assert_int_eq(world->result.end, AGENT_FAILED);
    ck_assert(world->result.context_too_long);
    ck_assert_int_eq(world->err.rc, RC_INVALID);
    ck_assert_int_eq(world->asks, 1);
}
END_TEST

/* Hundreds of turns in a small context: whole turns go, the request stays within it. */
START_TEST(test_small_context)
{
    world->spec.context_tokens = 12000;
    world->spec.max_output = 1000;
    world->spec.max_turns = 120;
    SAY(world, "thinking about the next step", {"run", "{\"command\":\"true\"}"}, {"list", "{}"});
    world->script[0] =
        answer_make(ctx, "chat", "thinking about the next step of this rather long task",
                    (const struct call[]){{"list", "{}"}, {"list", "{\"path\":\".\",\"depth\":3}"}}, 2, "stop", 0);
    ck_assert_int_eq(world_run(world), RC_OK);
    ck_assert_int_eq(world->result.end, AGENT_TURNS);
    ck_assert_int_eq(world->result.turns, 120);
    ck_assert_uint_le(longest_body() / 3, 12000);
    const char *last = body_of("i1.t120.a1");
    ck_assert(strstr(last, "earlier turns of this conversation were dropped here") != NULL);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("talk");
    tcase_set_timeout(tc, 100);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, test_first_request);
    tcase_add_test(tc, test_turn_limit);
    tcase_add_test(tc, test_empty_answers);
    tcase_add_test(tc, test_refusals);
    tcase_add_test(tc, test_length_stops);
    tcase_add_test(tc, test_length_stops_without_end);
    tcase_add_test(tc, test_cut_streams);
    tcase_add_test(tc, test_cut_then_whole);
    tcase_add_test(tc, test_road_errors);
    tcase_add_test(tc, test_statuses);
    tcase_add_test(tc, test_error_inside_a_stream);
    tcase_add_test(tc, test_stopping);
    tcase_add_loop_test(tc, test_compaction_before_overflow, 0, 2);
    tcase_add_test(tc, test_compaction_is_repeatable);
    tcase_add_test(tc, test_compaction_after_refusal);
    tcase_add_test(tc, test_prompt_too_long);
    tcase_add_test(tc, test_small_context);
    Suite *s = suite_create("talk");
    suite_add_tcase(s, tc);
    return suite_run(s);
}
