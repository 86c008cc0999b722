/* Contract of the bridge (llm/bridge.h): every answer of every upstream dialect reaches a client of every dialect, as a
 * stream and as a whole, in whatever pieces it came, with the same content; each client's stream keeps to the order of
 * events of its dialect; the same dialect gets the same bytes; a failure is told once, in the client's words, and never
 * looks like an end. What the client got is read by the client dialect's own parser. */
#include "base/buf.h"
#include "llm/bridge.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const clients[] = {"chat", "openai", "responses", "messages", "gemini"};
enum { CLIENTS = 5 };
/* What upstreams say. The dialect is the beginning of the name. `whole`: one document. */
static const struct sample {
    const char *file;
    bool whole;
} samples[] = {
    {"chat-text", false},
    {"chat-calls", false},
    {"chat-interleaved", false},
    {"chat-reasoning", false},
    {"chat-usagetwice", false},
    {"chat-nousage", false},
    {"chat-cumulative", false},
    {"chat-length", false},
    {"chat-refusal", false},
    {"chat-empty", false},
    {"chat-noids", false},
    {"chat-newids", false},
    {"chat-index0", false},
    {"chat-sameids", false},
    {"chat-extra", false},
    {"chat-crlf", false},
    {"chat-lastmessage", false},
    {"chat-cutcharacter", false},
    {"chat-nullusage", false},
    {"chat-cr", false},
    {"chat-document", true},
    {"chat-error", false},
    {"chat-errorfirst", false},
    {"chat-documenterror", true},
    {"messages-text", false},
    {"messages-calls", false},
    {"messages-thinking", false},
    {"messages-nodelta", false},
    {"messages-nosplit", false},
    {"messages-repeated", false},
    {"messages-zerostart", false},
    {"messages-whole-input", false},
    {"messages-unknown", false},
    {"messages-error", false},
    {"messages-errorfirst", false},
    {"messages-document", true},
    {"responses-text", false},
    {"responses-calls", false},
    {"responses-interleaved", false},
    {"responses-argumentsdone", false},
    {"responses-onlylast", false},
    {"responses-reasoning", false},
    {"responses-length", false},
    {"responses-refusal", false},
    {"responses-nousage", false},
    {"responses-unknown", false},
    {"responses-error", false},
    {"responses-errorfirst", false},
    {"responses-document", true},
    {"responses-documenterror", true},
    {"gemini-text", false},
    {"gemini-calls", false},
    {"gemini-reasoning", false},
    {"gemini-length", false},
    {"gemini-refusal", false},
    {"gemini-blocked", false},
    {"gemini-nousage", false},
    {"gemini-lateusage", false},
    {"gemini-error", false},
    {"gemini-errorfirst", false},
    {"gemini-document", true},
    {"gemini-array", true},
    {"gemini-arrayerror", true},
};
enum { SAMPLES = sizeof samples / sizeof samples[0] };

static struct str slurp(mem *ctx, const char *file)
{
    const char *source = getenv("NIGHTMILL_SOURCE");
    char *path = mem_printf(ctx, "%s/tests/data/llm/%s.txt", source ? source : ".", file);
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "%s", path);
    struct buf b;
    buf_init(&b, ctx, 1 << 20);
    char piece[4096];
    size_t n;
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        buf_add(&b, piece, n);
    fclose(f);
    return buf_view(&b);
}

static const struct llm_dialect *upstream_of(const char *file)
{
    static const char *const names[] = {"chat", "messages", "responses", "gemini"};
    for (size_t i = 0; i < 4; i++)
        if (strncmp(file, names[i], strlen(names[i])) == 0)
            return llm_dialect_find(names[i]);
    ck_abort_msg("%s", file);
}

static uint64_t state = 88172645463325252u;
static size_t any(size_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

/* One run through the bridge. */
struct run {
    struct buf out;
    enum rc rc;
    struct err err;
    const struct llm_answer *answer; /* the meter's */
    bool begun;
};
enum pieces { AT_ONCE, BYTEWISE, RANDOM };

static struct llm_bridge_spec spec_of(const char *client, const struct llm_dialect *up, bool client_stream,
                                      bool up_stream)
{
    return (struct llm_bridge_spec){.client = llm_dialect_find(client),
                                    .upstream = up,
                                    .client_stream = client_stream,
                                    .upstream_stream = up_stream,
                                    .id = "q7",
                                    .created_s = 1700000000};
}

static void bridge_run(mem *ctx, const struct llm_bridge_spec *spec, struct str bytes, enum pieces pieces,
                       struct run *ret)
{
    struct llm_bridge *b = llm_bridge_new(ctx, spec);
    *ret = (struct run){0};
    buf_init(&ret->out, ctx, 1 << 24);
    enum rc fed = RC_OK;
    for (size_t at = 0, n; at < bytes.n && !fed; at += n) {
        n = pieces == AT_ONCE ? bytes.n : pieces == BYTEWISE ? 1 : 1 + any(300);
        n = n < bytes.n - at ? n : bytes.n - at;
        char *piece = mem_strn(ctx, bytes.p + at, n); /* its own block: reading beyond it is seen */
        fed = llm_bridge_feed(b, piece, n, &ret->out, &ret->err);
        mem_free(piece);
    }
    ret->rc = llm_bridge_end(b, &ret->out, &ret->answer, &ret->err);
    ck_assert(!fed || ret->rc);
    ck_assert(!ret->rc || (ret->err.rc == ret->rc && ret->err.sentence[0]));
    ret->begun = llm_bridge_begun(b);
    ck_assert(ret->begun == (ret->out.n > 0));
    size_t n = ret->out.n;
    const struct llm_answer *again;
    struct err err;
    if (ret->rc == RC_OK) /* once is enough */
        ck_assert_int_eq(llm_bridge_end(b, &ret->out, &again, &err), RC_OK);
    ck_assert_uint_eq(ret->out.n, n);
}

/* --- content, told in a form that no dialect loses anything of --- */

static void parts_show(struct buf *b, const struct llm_answer *a, enum llm_part_kind kind)
{
    for (const struct llm_part *p = a->message ? a->message->first : NULL; p; p = p->next) {
        if (p->kind != kind || (kind == LLM_REASONING && p->name))
            continue;
        if (kind == LLM_TOOL_CALL)
            buf_printf(b, "<%s %s %.*s>", p->id, p->name, STR_FMT(p->arguments));
        else
            buf_str(b, p->text);
    }
    buf_z(b, " | ");
}

/* Calls whose arguments are no JSON are wrapped where the dialect has only objects; those samples are few. */
static char *show(mem *ctx, const struct llm_answer *a, bool ids, bool reasoning_count)
{
    struct buf b;
    buf_init(&b, ctx, 1 << 20);
    parts_show(&b, a, LLM_REASONING);
    parts_show(&b, a, LLM_TEXT);
    if (ids)
        parts_show(&b, a, LLM_TOOL_CALL);
    int stop = a->stop == LLM_STOP_OTHER || a->stop == LLM_STOP_NONE ? LLM_STOP_END : (int)a->stop;
    const struct usage *u = &a->usage;
    if (u->output < 0)
        buf_printf(&b, "%s no usage", llm_stop_name((enum llm_stop)stop));
    else
        buf_printf(&b, "%s in=%ld read=%ld out=%ld", llm_stop_name((enum llm_stop)stop),
                   (long)(u->input + u->cache_read + u->cache_write + u->cache_write_1h), (long)u->cache_read,
                   (long)u->output);
    if (reasoning_count && u->output >= 0)
        buf_printf(&b, " reason=%ld", (long)u->reasoning);
    return buf_take(&b, ctx);
}

static const struct llm_answer *client_reads(mem *ctx, const char *client, struct str bytes, bool is_stream)
{
    struct llm_parser *p = llm_parser_new(ctx, llm_dialect_find(client), NULL, NULL);
    const struct llm_answer *a;
    struct err err = {0};
    enum rc rc = llm_parser_feed(p, bytes.p, bytes.n, &err);
    rc = rc ? rc : llm_parser_end(p, is_stream, &a, &err);
    ck_assert_msg(rc == RC_OK, "%s: %s (%s) in\n%.*s", client, err.sentence, err.detail, STR_FMT(bytes));
    return a;
}

/* --- the order of events --- */

struct order {
    mem *ctx;
    const char *client;
    struct buf seen; /* the kinds of events, in order: what a grammar is checked on */
    int64_t sequence;
    bool failed;
};

static void event_see(struct order *o, struct str name, struct str data)
{
    struct json root;
    if (str_eqz(data, "[DONE]")) {
        buf_z(&o->seen, "done;");
        return;
    }
    ck_assert_msg(json_parse(o->ctx, data, &root, NULL) == RC_OK, "%.*s", STR_FMT(data));
    const char *type = json_z(o->ctx, json_get(root, "type"), "");
    if (name.n)
        ck_assert_msg(str_eqz(name, type), "%.*s and %s", STR_FMT(name), type);
    if (strcmp(o->client, "messages") == 0) {
        buf_printf(&o->seen, "%s", type);
        if (json_is(json_get(root, "index")))
            buf_printf(&o->seen, "%ld", (long)json_int(json_get(root, "index"), -1));
        if (json_is(json_get(root, "delta")) && json_is(json_get(root, "index")))
            buf_printf(&o->seen, "%s", json_z(o->ctx, json_path(root, "delta.type"), "?"));
        if (json_is(json_get(root, "content_block")))
            buf_printf(&o->seen, "%s", json_z(o->ctx, json_path(root, "content_block.type"), "?"));
        buf_char(&o->seen, ';');
    } else if (strcmp(o->client, "responses") == 0) {
        ck_assert_int_eq(json_int(json_get(root, "sequence_number"), -1), o->sequence++);
        buf_printf(&o->seen, "%s", type);
        if (json_is(json_get(root, "output_index")))
            buf_printf(&o->seen, "%ld", (long)json_int(json_get(root, "output_index"), -1));
        if (json_is(json_get(root, "item")))
            buf_printf(&o->seen, "%s", json_z(o->ctx, json_path(root, "item.type"), "?"));
        buf_char(&o->seen, ';');
    } else if (json_is(json_get(root, "error"))) {
        buf_z(&o->seen, "error;");
    } else {
        struct json choice = json_path(root, "choices.0"), delta = json_get(choice, "delta");
        struct json candidate = json_path(root, "candidates.0");
        ck_assert(json_is(json_get(root, strcmp(o->client, "gemini") == 0 ? "candidates" : "choices")));
        if (json_is(json_get(delta, "role")))
            buf_z(&o->seen, "role;");
        struct json call = json_path(delta, "tool_calls.0");
        if (json_is(call))
            buf_printf(&o->seen, "%s%ld;", json_is(json_get(call, "id")) ? "call" : "args",
                       (long)json_int(json_get(call, "index"), -1));
        if (json_is(json_get(choice, "finish_reason")) || json_is(json_get(candidate, "finishReason")))
            buf_z(&o->seen, "finish;");
        if (json_is(choice) && json_is(json_get(root, "usage")))
            buf_z(&o->seen, "usage beside a choice;");
        if (!json_is(choice) && !json_is(candidate))
            buf_z(&o->seen, json_is(json_get(root, "usage")) ? "usage;" : "nothing;");
    }
}

/* Splits a well-formed stream of ours; anything else fails. */
static struct str order_read(mem *ctx, const char *client, struct str bytes)
{
    struct order o = {.ctx = ctx, .client = strcmp(client, "openai") == 0 ? "chat" : client};
    struct str line, name = STR(""), data = STR("");
    buf_init(&o.seen, ctx, 1 << 20);
    ck_assert(str_ends(bytes, STR("\n\n")));
    while (str_line(&bytes, &line)) {
        if (str_starts(line, STR("event: "))) {
            ck_assert(!name.n && !data.n);
            name = str_sub(line, 7, line.n);
        } else if (str_starts(line, STR("data: "))) {
            ck_assert(!data.n);
            data = str_sub(line, 6, line.n);
        } else {
            ck_assert_msg(!line.n && data.n, "%.*s", STR_FMT(line));
            event_see(&o, name, data);
            name = data = STR("");
        }
    }
    return buf_view(&o.seen);
}

static bool take(struct str *s, const char *z)
{
    if (!str_starts(*s, str_of(z)))
        return false;
    *s = str_sub(*s, strlen(z), s->n);
    return true;
}

/* message_start, blocks numbered from 0 that open, grow and close one after the other, message_delta, message_stop. */
static void messages_order(mem *ctx, struct str s)
{
    static const char *const kinds[][2] = {{"text", "text_delta"},
                                           {"tool_use", "input_json_delta"},
                                           {"thinking", "thinking_delta"},
                                           {"redacted_thinking", "none"}};
    const char *all = str_dup(ctx, s);
    ck_assert_msg(take(&s, "message_start;"), "%s", all);
    for (int i = 0;; i++) {
        size_t k = 0;
        while (k < 4 && !take(&s, mem_printf(ctx, "content_block_start%d%s;", i, kinds[k][0])))
            k++;
        if (k == 4)
            break;
        while (take(&s, mem_printf(ctx, "content_block_delta%d%s;", i, kinds[k][1])))
            ;
        if (k == 2)
            ck_assert_msg(take(&s, mem_printf(ctx, "content_block_delta%dsignature_delta;", i)), "%s", all);
        ck_assert_msg(take(&s, mem_printf(ctx, "content_block_stop%d;", i)), "%s", all);
    }
    ck_assert_msg(str_eqz(s, "message_delta;message_stop;"), "%s", all);
}

static void responses_order(mem *ctx, struct str s)
{
    static const struct {
        const char *item, *part, *text;
    } kinds[] = {{"message", "content_part", "output_text"},
                 {"reasoning", "reasoning_summary_part", "reasoning_summary_text"},
                 {"function_call", NULL, "function_call_arguments"}};
    const char *all = str_dup(ctx, s);
    ck_assert_msg(take(&s, "response.created;response.in_progress;"), "%s", all);
    for (int i = 0;; i++) {
        size_t k = 0;
        while (k < 3 && !take(&s, mem_printf(ctx, "response.output_item.added%d%s;", i, kinds[k].item)))
            k++;
        if (k == 3)
            break;
        bool part = kinds[k].part && take(&s, mem_printf(ctx, "response.%s.added%d;", kinds[k].part, i));
        bool grew = false;
        while (take(&s, mem_printf(ctx, "response.%s.delta%d;", kinds[k].text, i)))
            grew = true;
        ck_assert_msg(grew == part || k == 2, "%s", all);
        if (grew || k == 2)
            ck_assert_msg(take(&s, mem_printf(ctx, "response.%s.done%d;", kinds[k].text, i)), "%s", all);
        if (part)
            ck_assert_msg(take(&s, mem_printf(ctx, "response.%s.done%d;", kinds[k].part, i)), "%s", all);
        ck_assert_msg(take(&s, mem_printf(ctx, "response.output_item.done%d%s;", i, kinds[k].item)), "%s", all);
    }
    ck_assert_msg(str_eqz(s, "response.completed;") || str_eqz(s, "response.incomplete;"), "%s", all);
}

static void chat_order(mem *ctx, struct str s)
{
    const char *all = str_dup(ctx, s);
    ck_assert_msg(take(&s, "role;"), "%s", all);
    for (int i = 0; take(&s, mem_printf(ctx, "call%d;", i)); i++)
        while (take(&s, mem_printf(ctx, "args%d;", i)))
            ;
    ck_assert_msg(take(&s, "finish;"), "%s", all);
    (void)take(&s, "usage;");
    ck_assert_msg(str_eqz(s, "done;"), "%s", all);
}

static void order_check(mem *ctx, const char *client, struct str bytes)
{
    struct str seen = order_read(ctx, client, bytes);
    if (strcmp(client, "messages") == 0)
        messages_order(ctx, seen);
    else if (strcmp(client, "responses") == 0)
        responses_order(ctx, seen);
    else if (strcmp(client, "gemini") == 0)
        ck_assert_msg(str_eqz(seen, "finish;"), "%.*s", STR_FMT(seen));
    else
        chat_order(ctx, seen);
}

/* --- the matrix --- */

static bool has_bad_arguments(const struct llm_answer *a)
{
    for (const struct llm_part *p = a->message ? a->message->first : NULL; p; p = p->next)
        if (p->bad_arguments)
            return true;
    return false;
}

/* `lies`: the upstream sends the shape that it was not asked for. */
static void check(mem *ctx, const struct sample *s, const char *client, bool client_stream, enum pieces pieces,
                  bool lies)
{
    const struct llm_dialect *up = upstream_of(s->file), *d = llm_dialect_find(client);
    struct str bytes = slurp(ctx, s->file);
    struct llm_bridge_spec spec = spec_of(client, up, client_stream, s->whole == lies);
    struct run run;
    bridge_run(ctx, &spec, bytes, pieces, &run);
    const struct llm_answer *a = run.answer, *got = NULL;
    bool failed = a->failed || !a->complete;
    ck_assert_msg(failed == (run.rc != RC_OK), "%s to %s: %s", s->file, client, run.err.sentence);
    if (strstr(s->file, "errorfirst"))
        ck_assert_msg(!run.begun, "%s to %s: another target could still answer", s->file, client);
    if (failed && (!client_stream || !run.begun)) {
        ck_assert_uint_eq(run.out.n, 0);
        return;
    }
    if (llm_same_family(up, d) && client_stream == !s->whole && !lies) {
        ck_assert_msg(str_eq(buf_view(&run.out), bytes), "%s to %s", s->file, client);
        return;
    }
    got = client_reads(ctx, client, buf_view(&run.out), client_stream);
    if (failed) {
        ck_assert_msg(got->failed && !got->complete && got->error_message[0], "%s to %s", s->file, client);
        return;
    }
    ck_assert_msg(got->complete && !got->failed, "%s to %s:\n%s", s->file, client, run.out.p);
    bool ids = !has_bad_arguments(a), count = !llm_same_family(d, llm_dialect_find("messages"));
    bool no_usage = a->usage.output < 0;
    const char *want = show(ctx, a, ids, count && !no_usage), *have = show(ctx, got, ids, count && !no_usage);
    if (no_usage) { /* Anthropic's dialect must show figures */
        want = mem_strn(ctx, want, (size_t)(strrchr(want, '|') - want));
        have = mem_strn(ctx, have, (size_t)(strrchr(have, '|') - have));
    }
    ck_assert_msg(strcmp(want, have) == 0, "%s to %s: want\n%s\nhave\n%s\nin\n%s", s->file, client, want, have,
                  run.out.p);
    if (client_stream)
        order_check(ctx, client, buf_view(&run.out));
}

START_TEST(test_matrix)
{
    for (size_t c = 0; c < CLIENTS; c++)
        for (int stream = 0; stream < 2; stream++)
            for (int pieces = 0; pieces < 6; pieces++) {
                CLEANUP_MEM mem *ctx = mem_root();
                check(ctx, &samples[_i], clients[c], stream, pieces < 2 ? (enum pieces)pieces : RANDOM, pieces == 5);
            }
}
END_TEST

/* A stream that is cut anywhere is told as a failure, never as an end; before anything was said, nothing is written. */
START_TEST(test_cuts)
{
    const struct sample *s = &samples[_i];
    CLEANUP_MEM mem *ctx = mem_root();
    struct str bytes = slurp(ctx, s->file);
    size_t body = bytes.n;
    while (body && strchr("\r\n", bytes.p[body - 1]))
        body--;
    for (size_t c = 0; c < CLIENTS; c++)
        for (size_t n = any(7); n < body; n += 1 + any(13 + body / 50)) {
            CLEANUP_MEM mem *tmp = mem_root();
            struct llm_bridge_spec spec = spec_of(clients[c], upstream_of(s->file), true, !s->whole);
            struct run run;
            if (str_starts(str_of(s->file), STR("gemini")) && n + 400 > body)
                break; /* it ends by closing: what is cut behind its last event is not missed */
            bridge_run(tmp, &spec, str_sub(bytes, 0, n), AT_ONCE, &run);
            ck_assert_msg(run.rc != RC_OK && !run.answer->complete, "%s to %s after %zu", s->file, clients[c], n);
            if (!run.begun)
                continue;
            const struct llm_answer *got = client_reads(tmp, clients[c], buf_view(&run.out), true);
            ck_assert_msg(got->failed && !got->complete, "%s to %s after %zu:\n%s", s->file, clients[c], n, run.out.p);
        }
}
END_TEST

/* Damage never crashes, and what is written can always be read by the client. */
START_TEST(test_damage)
{
    const struct sample *s = &samples[_i];
    CLEANUP_MEM mem *ctx = mem_root();
    struct str bytes = slurp(ctx, s->file);
    for (int round = 0; round < 40; round++) {
        CLEANUP_MEM mem *tmp = mem_root();
        struct buf b;
        buf_init(&b, tmp, 1 << 20);
        buf_str(&b, bytes);
        for (size_t k = 0; k <= any(4); k++) {
            size_t at = any(b.n), n = any(20);
            if (any(3) == 0)
                b.p[at] = (char)any(256);
            else if (any(2) && at + n < b.n)
                memmove(b.p + at, b.p + at + n, b.n - at - n), b.n -= n;
            else if (at + n < b.n)
                memmove(b.p + any(b.n - n), b.p + at, n);
        }
        const char *client = clients[any(CLIENTS)];
        struct llm_bridge_spec spec = spec_of(client, upstream_of(s->file), any(2), !s->whole);
        struct run run;
        bridge_run(tmp, &spec, buf_view(&b), any(2) ? RANDOM : AT_ONCE, &run);
        if (run.begun && !llm_same_family(spec.client, spec.upstream))
            (void)client_reads(tmp, client, buf_view(&run.out), spec.client_stream);
    }
}
END_TEST

/* --- exact bytes, so that nothing changes unseen --- */

static char *bridged(mem *ctx, const char *file, const char *client, bool client_stream, bool hide_usage, bool array)
{
    struct llm_bridge_spec spec = spec_of(client, upstream_of(file), client_stream, true);
    struct run run;
    spec.hide_usage = hide_usage;
    spec.client_array = array;
    spec.model = "shown";
    bridge_run(ctx, &spec, slurp(ctx, file), AT_ONCE, &run);
    ck_assert_int_eq(run.rc, RC_OK);
    return buf_take(&run.out, ctx);
}

START_TEST(test_golden)
{
    CLEANUP_MEM mem *ctx = mem_root();
    ck_assert_str_eq(
        bridged(ctx, "messages-text", "chat", true, true, false),
        "data: {\"id\":\"chatcmpl-q7\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"shown\","
        "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n"
        "data: {\"id\":\"chatcmpl-q7\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"shown\","
        "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello ☃\"},\"finish_reason\":null}]}\n\n"
        "data: {\"id\":\"chatcmpl-q7\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"shown\","
        "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
        "data: [DONE]\n\n");
    ck_assert_str_eq(
        bridged(ctx, "messages-calls", "chat", false, false, false),
        "{\"id\":\"chatcmpl-q7\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"shown\",\"choices\":"
        "[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"I look.\",\"refusal\":null,\"tool_calls\":["
        "{\"id\":\"toolu_1\",\"type\":\"function\",\"function\":{\"name\":\"read\",\"arguments\":\"{\\\"path\\\":\\\"x.c\\\"}\"}},"
        "{\"id\":\"toolu_2\",\"type\":\"function\",\"function\":{\"name\":\"run\",\"arguments\":\"{\\\"command\\\":\\\"ls\\\"}\"}}]},"
        "\"logprobs\":null,\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":3725,\"completion_tokens\":89,"
        "\"total_tokens\":3814,\"prompt_tokens_details\":{\"cached_tokens\":3000},\"completion_tokens_details\":"
        "{\"reasoning_tokens\":0}}}");
    ck_assert_str_eq(
        bridged(ctx, "chat-reasoning", "messages", true, false, false),
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_q7\",\"type\":\"message\",\"role\":"
        "\"assistant\",\"model\":\"shown\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":"
        "{\"input_tokens\":40,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":60,\"output_tokens\":0}}}\n\n"
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":"
        "\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n"
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
        "\"thinking_delta\",\"thinking\":\"let me see\"}}\n\n"
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
        "\"signature_delta\",\"signature\":\"nm1.chat.-.-.\"}}\n\n"
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":"
        "\"text\",\"text\":\"\"}}\n\n"
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":"
        "\"text_delta\",\"text\":\"ok\"}}\n\n"
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n"
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":"
        "null},\"usage\":{\"input_tokens\":40,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":60,"
        "\"output_tokens\":30}}\n\n"
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    ck_assert_str_eq(
        bridged(ctx, "chat-calls", "gemini", true, false, true),
        "[{\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"id\":\"call_a\",\"name\":\"read\",\"args\":{\"path\":"
        "\"x.c\"}}}],\"role\":\"model\"},\"index\":0}],\"modelVersion\":\"shown\",\"responseId\":\"q7\"},\r\n"
        "{\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"id\":\"call_b\",\"name\":\"run\",\"args\":{\"command\":"
        "\"a \\\"b\\\"\"}}}],\"role\":\"model\"},\"index\":0}],\"modelVersion\":\"shown\",\"responseId\":\"q7\"},\r\n"
        "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0}],"
        "\"usageMetadata\":{\"promptTokenCount\":100,\"candidatesTokenCount\":10,\"totalTokenCount\":130,"
        "\"cachedContentTokenCount\":60,\"thoughtsTokenCount\":20},\"modelVersion\":\"shown\",\"responseId\":\"q7\"}]");
    char *responses = bridged(ctx, "gemini-calls", "responses", true, false, false);
    const char *head =
        "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_q7\","
        "\"object\":\"response\",\"created_at\":1700000000,\"status\":\"in_progress\",\"background\":false,\"error\":null,"
        "\"incomplete_details\":null,\"instructions\":null,\"max_output_tokens\":null,\"model\":\"shown\",\"output\":[],"
        "\"parallel_tool_calls\":true,";
    ck_assert_msg(strncmp(responses, head, strlen(head)) == 0, "%s", responses);
    /* The seal of Gemini's call stands before it, marked with whose it is. */
    ck_assert_ptr_nonnull(strstr(responses,
                                 "{\"id\":\"rs_q7_0\",\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":"
                                 "\"nm1.gemini.call.call_q7_1.c2ln\"}"));
    ck_assert_ptr_nonnull(strstr(
        responses,
        "data: {\"type\":\"response.function_call_arguments.delta\",\"sequence_number\":5,\"item_id\":\"fc_q7_1\","
        "\"output_index\":1,\"delta\":\"{\\\"path\\\":\\\"x.c\\\"}\"}\n\n"));
}
END_TEST

/* --- usage that the client did not ask for --- */

START_TEST(test_hidden_usage)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"data: {\"id\":\"x\",\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\n",
         "data: {\"id\":\"x\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"},
        {"data: {\"usage\" : null , \"id\":\"x\",\"choices\":[{}]}\r\n\r\n",
         "data: {\"id\":\"x\",\"choices\":[{}]}\r\n\r\n"},
        {"data:{\"id\":\"x\", \"usage\":null ,\"choices\":[{}],\"obfuscation\":\"abc\"}\r\r",
         "data:{\"id\":\"x\" ,\"choices\":[{}],\"obfuscation\":\"abc\"}\r\r"},
        {"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n", ""},
        {"data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n",
         "data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n"},
        {"data: {\"choices\":[{\"delta\":{\"content\":\"the \\\"usage\\\":null\"}}]}\n\n",
         "data: {\"choices\":[{\"delta\":{\"content\":\"the \\\"usage\\\":null\"}}]}\n\n"},
        {": ping\n\n", ": ping\n\n"},
    };
    const char *begin = "data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n",
               *end = "data: [DONE]\n\n";
    for (int pieces = 0; pieces < 3; pieces++)
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            CLEANUP_MEM mem *ctx = mem_root();
            struct llm_bridge_spec spec = spec_of("openai", llm_dialect_find("chat"), true, true);
            struct run run;
            spec.hide_usage = true;
            bridge_run(ctx, &spec, str_of(mem_printf(ctx, "%s%s%s", begin, cases[i].in, end)), (enum pieces)pieces,
                       &run);
            ck_assert_int_eq(run.rc, RC_OK);
            ck_assert_str_eq(run.out.p, mem_printf(ctx, "%s%s%s", begin, cases[i].out, end));
        }
    /* The meter saw what the client did not. */
    CLEANUP_MEM mem *ctx = mem_root();
    struct llm_bridge_spec spec = spec_of("chat", llm_dialect_find("openai"), true, true);
    struct run run;
    spec.hide_usage = true;
    bridge_run(ctx, &spec, slurp(ctx, "chat-text"), RANDOM, &run);
    ck_assert(run.answer->usage_known && run.answer->usage.output == 30);
    ck_assert_ptr_null(strstr(run.out.p, "\"usage\""));
}
END_TEST

/* A stream that goes on as a JSON array keeps each response as it was. */
START_TEST(test_array_of_the_same)
{
    for (int pieces = 0; pieces < 3; pieces++) {
        CLEANUP_MEM mem *ctx = mem_root();
        struct llm_bridge_spec spec = spec_of("gemini", llm_dialect_find("gemini"), true, true);
        struct run run;
        struct json root;
        spec.client_array = true;
        bridge_run(ctx, &spec, slurp(ctx, "gemini-calls"), (enum pieces)pieces, &run);
        ck_assert_int_eq(run.rc, RC_OK);
        ck_assert_int_eq(json_parse(ctx, buf_view(&run.out), &root, NULL), RC_OK);
        ck_assert_uint_eq(json_len(root), 1);
        ck_assert(json_eqz(json_path(root, "0.candidates.0.content.parts.0.thoughtSignature"), "c2ln"));
        bridge_run(ctx, &spec, slurp(ctx, "gemini-error"), (enum pieces)pieces, &run);
        ck_assert_int_ne(run.rc, RC_OK);
        ck_assert(pieces == RANDOM ||
                  run.begun == (pieces == BYTEWISE)); /* in one piece the failure is known before anything is written */
        if (!run.begun)
            continue;
        ck_assert_int_eq(json_parse(ctx, buf_view(&run.out), &root, NULL), RC_OK);
        ck_assert_int_eq(json_int(json_path(root, "1.error.code"), 0), 503);
    }
}
END_TEST

/* --- failures that the gateway knows of --- */

START_TEST(test_fail)
{
    struct llm_failure f = {.rc = RC_UPSTREAM, .retry_after_s = -1};
    err_set(&f.err, RC_UPSTREAM, "the model server was silent for 60 s");
    for (size_t c = 0; c < CLIENTS; c++)
        for (size_t i = 0; i < SAMPLES; i++) {
            CLEANUP_MEM mem *ctx = mem_root();
            struct str bytes = slurp(ctx, samples[i].file);
            struct llm_bridge_spec spec = spec_of(clients[c], upstream_of(samples[i].file), true, true);
            struct llm_bridge *b = llm_bridge_new(ctx, &spec);
            struct buf out;
            struct err err = {0};
            const struct llm_answer *a;
            buf_init(&out, ctx, 1 << 20);
            (void)!llm_bridge_feed(b, bytes.p, bytes.n / 2, &out, &err);
            bool begun = llm_bridge_begun(b);
            llm_bridge_fail(b, &f, &out);
            size_t n = out.n;
            ck_assert(begun ? n > 0 : n == 0);
            llm_bridge_fail(b, &f, &out);
            (void)!llm_bridge_feed(b, bytes.p + bytes.n / 2, 1, &out, NULL); /* what still comes is not shown */
            ck_assert_int_eq(llm_bridge_end(b, &out, &a, &err), RC_UPSTREAM);
            ck_assert_str_eq(err.sentence, f.err.sentence);
            ck_assert_uint_eq(out.n, n); /* told once */
            if (!begun)
                continue;
            const struct llm_answer *got = client_reads(ctx, clients[c], buf_view(&out), true);
            ck_assert(got->failed && !got->complete);
            ck_assert_msg(got->error_message && strstr(got->error_message, "silent"), "%s to %s\n%s", samples[i].file,
                          clients[c], out.p);
        }
}
END_TEST

/* A buffer that is full is an error, not a shorter answer. */
START_TEST(test_full)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct llm_bridge_spec spec = spec_of("messages", llm_dialect_find("chat"), true, true);
    struct llm_bridge *b = llm_bridge_new(ctx, &spec);
    struct str bytes = slurp(ctx, "chat-text");
    struct buf out;
    struct err err;
    buf_init(&out, ctx, 300);
    ck_assert_int_eq(llm_bridge_feed(b, bytes.p, bytes.n, &out, &err), RC_LIMIT);
}
END_TEST

/* --- errors and lists --- */

START_TEST(test_errors)
{
    static const struct {
        const char *client;
        int status;
        enum llm_error_place place;
        const char *text;
    } cases[] = {
        {"chat", 402, LLM_ERROR_BODY,
         "{\"error\":{\"message\":\"the budget is used up (0.10 of 0.10); raise it. Please try again in 7s\",\"type\":"
         "\"insufficient_quota\",\"param\":null,\"code\":\"budget_exceeded\"}}"},
        {"openai", 429, LLM_ERROR_EVENT,
         "data: {\"error\":{\"message\":\"the budget is used up (0.10 of 0.10); raise it. Please try again in 7s\",\"type\":"
         "\"rate_limit_error\",\"param\":null,\"code\":\"budget_exceeded\"}}\n\n"},
        {"responses", 500, LLM_ERROR_EVENT,
         "event: error\ndata: {\"type\":\"error\",\"sequence_number\":0,\"code\":\"budget_exceeded\",\"message\":\"the budget is "
         "used up (0.10 of 0.10); raise it. Please try again in 7s\",\"param\":null,\"error\":{\"type\":\"server_error\","
         "\"code\":\"budget_exceeded\",\"message\":\"the budget is used up (0.10 of 0.10); raise it. Please try again in "
         "7s\",\"param\":null}}\n\n"},
        {"messages", 402, LLM_ERROR_BODY,
         "{\"type\":\"error\",\"error\":{\"type\":\"billing_error\",\"message\":\"the budget is used up (0.10 of 0.10); raise it. "
         "Please try again in 7s\",\"code\":\"budget_exceeded\"}}"},
        {"messages", 529, LLM_ERROR_EVENT,
         "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"the budget is used up "
         "(0.10 of 0.10); raise it. Please try again in 7s\",\"code\":\"budget_exceeded\"}}\n\n"},
        {"gemini", 429, LLM_ERROR_ARRAY,
         "[{\"error\":{\"code\":429,\"message\":\"the budget is used up (0.10 of 0.10); raise it. Please try again in 7s\","
         "\"status\":\"RESOURCE_EXHAUSTED\",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":"
         "\"budget_exceeded\",\"domain\":\"nightmill\"},{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":"
         "\"7s\"}]}}]"},
    };
    struct err err;
    err_set(&err, RC_LIMIT, "the budget is used up");
    err_detail(&err, "0.10 of 0.10");
    err_hint(&err, "raise it");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP_MEM mem *ctx = mem_root();
        struct buf b;
        buf_init(&b, ctx, 4096);
        llm_error_write(llm_dialect_find(cases[i].client), cases[i].status, &err, "budget_exceeded", 7, cases[i].place,
                        &b);
        ck_assert_str_eq(b.p, cases[i].text);
        if (cases[i].place == LLM_ERROR_EVENT)
            continue;
        /* Our own failures read as what they are. */
        struct llm_failure f;
        llm_failure_read(cases[i].status, STR(""), buf_view(&b), 0, &f);
        ck_assert_int_eq(f.rc, RC_LIMIT);
    }
}
END_TEST

START_TEST(test_models)
{
    static const struct llm_model_row rows[] = {{"a", "Model A", "acme", 1700000000, 1000, 100},
                                                {"TIER_B", NULL, NULL, 0, 0, 0}};
    static const struct {
        const char *client, *list;
    } cases[] = {
        {"chat",
         "{\"object\":\"list\",\"data\":[{\"id\":\"a\",\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"acme\","
         "\"context_length\":1000},{\"id\":\"TIER_B\",\"object\":\"model\",\"created\":0,\"owned_by\":\"nightmill\"}]}"},
        {"messages",
         "{\"data\":[{\"type\":\"model\",\"id\":\"a\",\"display_name\":\"Model A\",\"created_at\":\"2023-11-14T22:13:20.000Z\","
         "\"max_input_tokens\":1000,\"max_tokens\":100},{\"type\":\"model\",\"id\":\"TIER_B\",\"display_name\":\"TIER_B\","
         "\"created_at\":\"1970-01-01T00:00:00.000Z\"}],\"has_more\":false,\"first_id\":\"a\",\"last_id\":\"TIER_B\"}"},
        {"gemini",
         "{\"models\":[{\"name\":\"models/a\",\"baseModelId\":\"a\",\"version\":\"1\",\"displayName\":\"Model A\","
         "\"inputTokenLimit\":1000,\"outputTokenLimit\":100,\"supportedGenerationMethods\":[\"generateContent\","
         "\"streamGenerateContent\",\"countTokens\"]},{\"name\":\"models/TIER_B\",\"baseModelId\":\"TIER_B\",\"version\":\"1\","
         "\"displayName\":\"TIER_B\",\"supportedGenerationMethods\":[\"generateContent\",\"streamGenerateContent\","
         "\"countTokens\"]}]}"},
    };
    for (size_t i = 0; i < 3; i++) {
        CLEANUP_MEM mem *ctx = mem_root();
        struct buf b;
        buf_init(&b, ctx, 4096);
        llm_models_write(llm_dialect_find(cases[i].client), rows, 2, &b);
        ck_assert_str_eq(b.p, cases[i].list);
        buf_clear(&b);
        llm_models_write(llm_dialect_find(cases[i].client), NULL, 0, &b);
        struct json root;
        ck_assert_int_eq(json_parse(ctx, buf_view(&b), &root, NULL), RC_OK);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("bridge");
    tcase_set_timeout(tc, 100);
    tcase_add_loop_test(tc, test_matrix, 0, SAMPLES);
    tcase_add_loop_test(tc, test_cuts, 0, SAMPLES);
    tcase_add_loop_test(tc, test_damage, 0, SAMPLES);
    tcase_add_test(tc, test_golden);
    tcase_add_test(tc, test_hidden_usage);
    tcase_add_test(tc, test_array_of_the_same);
    tcase_add_test(tc, test_fail);
    tcase_add_test(tc, test_full);
    tcase_add_test(tc, test_errors);
    tcase_add_test(tc, test_models);
    Suite *s = suite_create("bridge");
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
