/* Contract of the answer parser (llm/llm.h): whatever pieces the bytes of a stream come in, the answer is the same; a
 * cut or damaged stream never crashes and is never taken for a complete one; usage ends up in five disjoint buckets.
 * The streams in tests/data/llm were written by hand after the providers' references and the faults of servers in the
 * field. */
#include "base/buf.h"
#include "llm/llm.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

struct sample {
    const char *file, *expected;
    enum rc rc; /* of the end */
};
#define CHAT_U   "usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gpt-5-2025-08-07 chatcmpl-1; complete"
#define CLAUDE   "claude-sonnet-4-5-20250929 msg_1"
#define CLAUDE_U "usage in=25 read=3000 write=200 1h=500 out="
static const struct sample samples[] = {
    {"chat-text", "text<Hello, wörld ☃> stop=end; " CHAT_U, RC_OK},
    {"chat-calls",
     "call<call_a read {\"path\":\"x.c\"}> call<call_b run {\"command\":\"a \\\"b\\\"\"}> stop=tools; " CHAT_U, RC_OK},
    {"chat-crlf", "text<ab> stop=end; " CHAT_U, RC_OK},
    {"chat-cr", "text<ab> stop=length; " CHAT_U, RC_OK},
    {"chat-lines", "text<ab> stop=end; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; m x; complete", RC_OK},
    {"chat-index0", "call<a read {\"path\":\"1\"}> call<b read {\"path\":\"2\"}> stop=tools; " CHAT_U, RC_OK},
    {"chat-newids", "call<a1 read {\"path\":\"1\"}> stop=tools; " CHAT_U, RC_OK},
    {"chat-noids", "call<call_1 read {\"path\":\"1\"}> call<call_2 list {}> stop=tools; " CHAT_U, RC_OK},
    {"chat-sameids", "call<a read BAD {\"path\":> call<a_2 read BAD [1]> stop=tools; " CHAT_U, RC_OK},
    {"chat-lastmessage",
     "text<done> call<a read {\"path\":\"1\"}> stop=tools; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; "
     "gpt-5-2025-08-07 chatcmpl-1; complete",
     RC_OK},
    {"chat-repeated", "call<a read {\"path\":\"1\"}> stop=tools; " CHAT_U, RC_OK},
    {"chat-cumulative",
     "text<ab> stop=end; usage in=50 read=0 write=0 1h=0 out=3 reason=0 known; gpt-5-2025-08-07 chatcmpl-1; complete",
     RC_OK},
    {"chat-beside",
     "reason<hm> text<a> stop=end; usage in=10 read=0 write=0 1h=0 out=30 reason=25 known; gpt-5-2025-08-07 chatcmpl-1; "
     "complete",
     RC_OK},
    {"chat-excluded",
     "text<a> stop=end; usage in=10 read=90 write=0 1h=0 out=5 reason=0 known; gpt-5-2025-08-07 chatcmpl-1; complete",
     RC_OK},
    {"chat-nullusage",
     "text<a> stop=end; usage in=0 read=0 write=0 1h=0 out=-1 reason=0; gpt-5-2025-08-07 chatcmpl-1; complete", RC_OK},
    {"chat-error",
     "text<a> stop=none; usage in=0 read=0 write=0 1h=0 out=-1 reason=0; gpt-5-2025-08-07 chatcmpl-1; "
     "failed<server_error: The server had an error>",
     RC_OK},
    {"chat-errorfirst",
     "nothing stop=none; usage in=0 read=0 write=0 1h=0 out=-1 reason=0; - -; "
     "failed<rate_limit_exceeded: Rate limit reached. Please try again in 1.5s.>",
     RC_OK},
    {"chat-errorcode",
     "nothing stop=other; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gpt-5-2025-08-07 chatcmpl-1; "
     "failed<502: Provider returned error>",
     RC_OK},
    {"chat-refusal", "text<I cannot.> stop=refused; " CHAT_U, RC_OK},
    {"chat-filter", "text<a> stop=refused; " CHAT_U, RC_OK},
    {"chat-legacy", "call<call_1 read {\"path\":\"1\"}> stop=tools; " CHAT_U, RC_OK},
    {"chat-parts", "reason<hm> text<ab> stop=end; " CHAT_U, RC_OK},
    {"chat-extra", "call<a read {} +{\"google\":{\"thought_signature\":\"c2ln\"}}> stop=tools; " CHAT_U, RC_OK},
    {"chat-cutcharacter", "text<é\xef\xbf\xbd\xef\xbf\xbd> stop=end; " CHAT_U, RC_OK},
    {"chat-document",
     "text<Hi> call<a read {\"path\":\"1\"}> call<b read {\"path\":\"2\"}> stop=tools; usage in=40 read=60 write=0 1h=0 "
     "out=30 reason=20 known; m c1; complete",
     RC_OK},
    {"chat-documenterror",
     "nothing stop=none; usage in=0 read=0 write=0 1h=0 out=-1 reason=0; - -; failed<context_length_exceeded: nope>",
     RC_OK},
    {"messages-text", "text<Hello ☃> stop=end; " CLAUDE_U "5 reason=0 known; " CLAUDE "; complete", RC_OK},
    {"messages-calls",
     "text<I look.> call<toolu_1 read {\"path\":\"x.c\"}> call<toolu_2 run {\"command\":\"ls\"}> stop=tools; " CLAUDE_U
     "89 reason=0 known; " CLAUDE "; complete",
     RC_OK},
    {"messages-thinking",
     "reason<let me see +c2lnbmF0dXJl> reason< +c2VhbGVk> call<toolu_1 list {}> stop=tools; " CLAUDE_U
     "40 reason=12 known; " CLAUDE "; complete",
     RC_OK},
    {"messages-zerostart",
     "text<a> stop=end; usage in=120 read=30 write=0 1h=0 out=7 reason=0 known; " CLAUDE "; complete", RC_OK},
    {"messages-nosplit",
     "text<a> stop=length; usage in=10 read=0 write=50 1h=0 out=9 reason=0 known; " CLAUDE "; complete", RC_OK},
    {"messages-repeated",
     "text<a> stop=end; usage in=10 read=0 write=0 1h=0 out=4 reason=0 known; " CLAUDE "; complete", RC_OK},
    {"messages-nulls", "text<a> stop=end; usage in=0 read=0 write=0 1h=0 out=0 reason=0; " CLAUDE "; complete", RC_OK},
    {"messages-nodelta", "text<abc> stop=none; " CLAUDE_U "8 reason=0; " CLAUDE "; complete", RC_OK},
    {"messages-unknown", "text<a> stop=end; " CLAUDE_U "5 reason=0 known; " CLAUDE "; complete", RC_OK},
    {"messages-error", "text<a> stop=none; " CLAUDE_U "8 reason=0; " CLAUDE "; failed<overloaded_error: Overloaded>",
     RC_OK},
    {"messages-errorfirst",
     "nothing stop=none; usage in=0 read=0 write=0 1h=0 out=-1 reason=0; - -; failed<invalid_request_error: prompt is too "
     "long: 210000 tokens > 200000 maximum>",
     RC_OK},
    {"messages-whole-input",
     "call<toolu_1 read {\"path\":\"x\"}> stop=tools; " CLAUDE_U "5 reason=0 known; " CLAUDE "; complete", RC_OK},
    {"messages-input-at-stop",
     "call<t read {\"path\":\"y\"}> stop=tools; " CLAUDE_U "5 reason=0 known; " CLAUDE "; complete", RC_OK},
    {"messages-nonames", "text<a> stop=refused; " CLAUDE_U "5 reason=0 known; " CLAUDE "; complete", RC_OK},
    {"messages-document",
     "reason<t +sig> text<Hi> call<u read {\"path\": \"z\"}> stop=tools; " CLAUDE_U
     "33 reason=0 known; m msg_9; complete",
     RC_OK},
    {"chat-interleaved",
     "call<call_a read {\"path\":\"x.c\"}> call<call_b run {\"command\":\"ls\"}> stop=tools; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gpt-5-2025-08-07 chatcmpl-1; complete",
     RC_OK},
    {"chat-reasoning",
     "reason<let me see> text<ok> stop=end; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gpt-5-2025-08-07 chatcmpl-1; complete",
     RC_OK},
    {"chat-usagetwice",
     "text<a> stop=end; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gpt-5-2025-08-07 chatcmpl-1; complete",
     RC_OK},
    {"chat-nousage",
     "text<a> stop=end; usage in=0 read=0 write=0 1h=0 out=-1 reason=0; gpt-5-2025-08-07 chatcmpl-1; complete", RC_OK},
    {"chat-length",
     "text<ab> stop=length; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gpt-5-2025-08-07 chatcmpl-1; complete",
     RC_OK},
    {"chat-empty",
     "nothing stop=end; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gpt-5-2025-08-07 chatcmpl-1; complete",
     RC_OK},
    {"responses-text",
     "text<Hello, wörld ☃> stop=end; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gpt-5-2025-08-07 resp_1; complete",
     RC_OK},
    {"responses-calls",
     "call<call_a read {\"path\":\"x.c\"}> call<call_b run {\"command\":\"ls\"}> stop=tools; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gpt-5-2025-08-07 resp_1; complete",
     RC_OK},
    {"responses-interleaved",
     "call<call_a read {\"path\":\"x.c\"}> call<call_b run {\"command\":\"ls\"}> stop=tools; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gpt-5-2025-08-07 resp_1; complete",
     RC_OK},
    {"responses-argumentsdone",
     "call<call_a read {\"path\":\"x.c\"}> stop=tools; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gpt-5-2025-08-07 resp_1; complete",
     RC_OK},
    {"responses-onlylast",
     "text<late> call<call_b run {\"command\":\"ls\"}> stop=tools; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gpt-5-2025-08-07 resp_1; complete",
     RC_OK},
    {"responses-reasoning",
     "reason<let me\n\nsee +c2VhbA==> text<ok> stop=end; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gpt-5-2025-08-07 resp_1; complete",
     RC_OK},
    {"responses-length",
     "text<ab> stop=length; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gpt-5-2025-08-07 resp_1; complete",
     RC_OK},
    {"responses-refusal",
     "text<I cannot.> stop=refused; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gpt-5-2025-08-07 resp_1; complete",
     RC_OK},
    {"responses-nousage",
     "text<a> stop=end; usage in=0 read=0 write=0 1h=0 out=-1 reason=0; gpt-5-2025-08-07 resp_1; complete", RC_OK},
    {"responses-unknown",
     "text<a> stop=end; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gpt-5-2025-08-07 resp_1; complete",
     RC_OK},
    {"responses-error",
     "text<a> stop=none; usage in=0 read=0 write=0 1h=0 out=-1 reason=0; gpt-5-2025-08-07 resp_1; failed<server_error: The model failed>",
     RC_OK},
    {"responses-errorfirst",
     "nothing stop=none; usage in=0 read=0 write=0 1h=0 out=-1 reason=0; - -; failed<rate_limit_exceeded: Slow down. Please try again in 2s.>",
     RC_OK},
    {"responses-document",
     "reason<let me\n\nsee +c2VhbA==> text<Hi> call<call_a read {\"path\":\"x.c\"}> call<call_b run {\"command\":\"ls\"}> stop=tools; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gpt-5-2025-08-07 resp_1; complete",
     RC_OK},
    {"responses-documenterror",
     "nothing stop=none; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gpt-5-2025-08-07 resp_1; failed<server_error: The model failed>",
     RC_OK},
    {"gemini-text",
     "text<Hello, wörld ☃> stop=end; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gemini-2.5-pro g1; complete",
     RC_OK},
    {"gemini-calls",
     "call<call_1 read {\"path\":\"x.c\"} +c2ln> call<call_2 run {\"command\":\"ls\"}> stop=tools; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gemini-2.5-pro g1; complete",
     RC_OK},
    {"gemini-reasoning",
     "reason<let me see> text<ok +c2VhbA==> stop=end; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gemini-2.5-pro g1; complete",
     RC_OK},
    {"gemini-length",
     "text<ab> stop=length; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gemini-2.5-pro g1; complete",
     RC_OK},
    {"gemini-refusal",
     "text<a> stop=refused; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gemini-2.5-pro g1; complete",
     RC_OK},
    {"gemini-blocked",
     "nothing stop=refused; usage in=100 read=0 write=0 1h=0 out=0 reason=0 known; gemini-2.5-pro g1; complete", RC_OK},
    {"gemini-nousage", "text<a> stop=end; usage in=0 read=0 write=0 1h=0 out=-1 reason=0; gemini-2.5-pro g1; complete",
     RC_OK},
    {"gemini-lateusage",
     "text<a> stop=end; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gemini-2.5-pro g1; complete", RC_OK},
    {"gemini-tooluse",
     "text<a> stop=end; usage in=47 read=0 write=0 1h=0 out=13 reason=3 known; gemini-2.5-pro g1; complete", RC_OK},
    {"gemini-error",
     "text<a> stop=none; usage in=40 read=60 write=0 1h=0 out=0 reason=0; gemini-2.5-pro g1; failed<503: The model is overloaded.>",
     RC_OK},
    {"gemini-errorfirst",
     "nothing stop=none; usage in=0 read=0 write=0 1h=0 out=-1 reason=0; - -; failed<503: The model is overloaded.>",
     RC_OK},
    {"gemini-document",
     "reason<t> text<Hi> call<x1 read {\"path\": \"x.c\"}> call<call_2 run {\"command\": \"ls\"}> stop=tools; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gemini-2.5-pro g1; complete",
     RC_OK},
    {"gemini-array",
     "text<Hello, wörld ☃> stop=end; usage in=40 read=60 write=0 1h=0 out=30 reason=20 known; gemini-2.5-pro g1; complete",
     RC_OK},
    {"gemini-arrayerror",
     "nothing stop=none; usage in=0 read=0 write=0 1h=0 out=-1 reason=0; - -; failed<503: The model is overloaded.>",
     RC_OK},
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

static const struct llm_dialect *dialect_of(const char *file)
{
    char name[16];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(file, "-"), file);
    return llm_dialect_find(name);
}

static char *show(mem *ctx, const struct llm_answer *a)
{
    struct buf b;
    buf_init(&b, ctx, 1 << 20);
    static const char *const kinds[] = {"text", "call", "result", "reason"};
    for (const struct llm_part *p = a->message ? a->message->first : NULL; p; p = p->next) {
        buf_printf(&b, "%s<", kinds[p->kind]);
        if (p->kind == LLM_TOOL_CALL)
            buf_printf(&b, "%s %s %s%.*s", p->id, p->name, p->bad_arguments ? "BAD " : "", STR_FMT(p->arguments));
        else
            buf_str(&b, p->text);
        if (p->opaque.n)
            buf_printf(&b, " +%.*s", STR_FMT(p->opaque));
        buf_z(&b, "> ");
    }
    if (!a->message)
        buf_z(&b, "nothing ");
    buf_printf(&b, "stop=%s; usage in=%ld read=%ld write=%ld 1h=%ld out=%ld reason=%ld%s; %s %s; %s",
               llm_stop_name(a->stop), (long)a->usage.input, (long)a->usage.cache_read, (long)a->usage.cache_write,
               (long)a->usage.cache_write_1h, (long)a->usage.output, (long)a->usage.reasoning,
               a->usage_known ? " known" : "", a->model ? a->model : "-", a->request_id ? a->request_id : "-",
               a->complete ? "complete" : "");
    if (a->failed)
        buf_printf(&b, "failed<%s: %s>", a->error_type, a->error_message);
    return buf_take(&b, ctx);
}

static void delta_add(void *arg, struct str text)
{
    buf_str(arg, text);
}

/* Feeds with a cut where `cut(i)` says so; compares parts, usage and the text that was streamed. */
static enum rc run(mem *ctx, const struct llm_dialect *d, struct str bytes, const size_t *cuts, size_t n,
                   char **ret_shown)
{
    struct buf live;
    buf_init(&live, ctx, 1 << 24);
    struct llm_parser *p = llm_parser_new(ctx, d, delta_add, &live);
    size_t from = 0;
    enum rc fed = RC_OK;
    for (size_t i = 0; i <= n; i++) {
        size_t to = i < n ? cuts[i] : bytes.n;
        char *piece = mem_strn(ctx, bytes.p + from, to - from); /* its own block: reading beyond it is seen */
        enum rc rc = llm_parser_feed(p, piece, to - from, NULL);
        ck_assert(!fed || rc == fed); /* a broken parser stays broken */
        fed = rc;
        from = to;
    }
    const struct llm_answer *a;
    struct err err = {0};
    enum rc rc = llm_parser_end(p, true, &a, &err);
    ck_assert(!fed || rc);
    ck_assert(!rc || (err.rc == rc && err.sentence[0]));
    ck_assert_ptr_eq(a, llm_parser_answer(p));
    const struct llm_answer *again;
    ck_assert_int_eq(llm_parser_end(p, true, &again, NULL), rc);
    if (ret_shown)
        *ret_shown = show(ctx, a);
    /* What was streamed is the text of the answer (damaged streams may grow two texts in turns). */
    struct buf text;
    buf_init(&text, ctx, 1 << 24);
    for (const struct llm_part *part = a->message ? a->message->first : NULL; part; part = part->next)
        if (part->kind == LLM_TEXT)
            buf_str(&text, part->text);
    ck_assert_uint_eq(text.n, live.n);
    ck_assert(rc || n == 0 || str_eq(buf_view(&text), buf_view(&live)));
    ck_assert(!(a->complete && a->failed));
    return rc;
}

START_TEST(test_samples)
{
    CLEANUP_MEM mem *ctx = mem_root();
    const struct sample *s = &samples[_i];
    char *shown;
    ck_assert_int_eq(run(ctx, dialect_of(s->file), slurp(ctx, s->file), NULL, 0, &shown), s->rc);
    ck_assert_str_eq(shown, s->expected);
}
END_TEST

/* Lines may end with LF, CR LF or CR, in streams also where a server mixes them. */
START_TEST(test_line_ends)
{
    const struct sample *s = &samples[_i];
    static const char *const ends[] = {"\r\n", "\r", "\n"};
    CLEANUP_MEM mem *ctx = mem_root();
    struct str bytes = slurp(ctx, s->file);
    if (memchr(bytes.p, '\r', bytes.n))
        return;
    for (int kind = 0; kind < 4; kind++) {
        struct buf b;
        buf_init(&b, ctx, 1 << 20);
        for (size_t i = 0, line = 0; i < bytes.n; i++) {
            if (bytes.p[i] == '\n')
                buf_z(&b, ends[kind < 3 ? (size_t)kind : line++ % 2]);
            else
                buf_char(&b, bytes.p[i]);
        }
        char *shown;
        ck_assert_int_eq(run(ctx, dialect_of(s->file), buf_view(&b), NULL, 0, &shown), s->rc);
        size_t *all = mem_array(ctx, size_t, b.n);
        for (size_t i = 0; i < b.n; i++)
            all[i] = i;
        ck_assert_str_eq(shown, s->expected);
        ck_assert_int_eq(run(ctx, dialect_of(s->file), buf_view(&b), all, b.n, &shown), s->rc);
        ck_assert_str_eq(shown, s->expected);
    }
}
END_TEST

static uint64_t state = 88172645463325252u;
static size_t any(size_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

START_TEST(test_every_split_gives_the_same)
{
    const struct sample *s = &samples[_i];
    CLEANUP_MEM mem *ctx = mem_root();
    struct str bytes = slurp(ctx, s->file);
    size_t *all = mem_array(ctx, size_t, bytes.n);
    for (size_t i = 0; i < bytes.n; i++)
        all[i] = i;
    char *shown;
    ck_assert_int_eq(run(ctx, dialect_of(s->file), bytes, all, bytes.n, &shown), s->rc);
    ck_assert_str_eq(shown, s->expected);                            /* byte by byte */
    for (size_t cut = 0; cut <= bytes.n; cut += 1 + bytes.n / 400) { /* in two, everywhere (long ones: at 400 places) */
        CLEANUP_MEM mem *tmp = mem_root();
        ck_assert_int_eq(run(tmp, dialect_of(s->file), bytes, &cut, 1, &shown), s->rc);
        ck_assert_str_eq(shown, s->expected);
    }
    for (int round = 0; round < 20; round++) { /* in random pieces */
        CLEANUP_MEM mem *tmp = mem_root();
        size_t n = 0, at = 0;
        while ((at += 1 + any(1 + any(200))) < bytes.n)
            all[n++] = at;
        ck_assert_int_eq(run(tmp, dialect_of(s->file), bytes, all, n, &shown), s->rc);
        ck_assert_str_eq(shown, s->expected);
    }
}
END_TEST

/* A stream that was cut is never complete, wherever: only its last line end may be missing. */
START_TEST(test_cut_streams_are_not_complete)
{
    const struct sample *s = &samples[_i];
    CLEANUP_MEM mem *ctx = mem_root();
    struct str bytes = slurp(ctx, s->file);
    size_t body = bytes.n;
    if (strcmp(s->file, "gemini-lateusage") == 0)
        return; /* it ends by closing: what is cut behind the finish is not missed */
    while (body && strchr("\r\n", bytes.p[body - 1]))
        body--;
    for (size_t n = 0; n < body; n += 1 + any(1 + body / 700)) {
        CLEANUP_MEM mem *tmp = mem_root();
        struct llm_parser *p = llm_parser_new(tmp, dialect_of(s->file), NULL, NULL);
        char *piece = mem_strn(tmp, bytes.p, n);
        (void)!llm_parser_feed(p, piece, n, NULL);
        const struct llm_answer *a;
        (void)!llm_parser_end(p, true, &a, NULL);
        ck_assert_msg(!a->complete, "%s is complete after %zu of %zu bytes", s->file, n, body);
    }
}
END_TEST

/* Any damage ends in an answer or an error, never in a crash; what it says about itself stays consistent. */
START_TEST(test_damage)
{
    const struct sample *s = &samples[_i];
    CLEANUP_MEM mem *ctx = mem_root();
    struct str bytes = slurp(ctx, s->file);
    for (int round = 0; round < 100; round++) {
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
        (void)!run(tmp, dialect_of(s->file), buf_view(&b), NULL, 0, NULL);
    }
}
END_TEST

static enum rc whole(mem *ctx, const char *dialect, const char *text, bool is_stream, char **ret)
{
    struct llm_parser *p = llm_parser_new(ctx, llm_dialect_find(dialect), NULL, NULL);
    const struct llm_answer *a;
    enum rc fed = llm_parser_feed(p, text, strlen(text), NULL), rc = llm_parser_end(p, is_stream, &a, NULL);
    ck_assert(!fed || rc == fed);
    *ret = show(ctx, a);
    return rc;
}

/* Events that are like the one before are read without a parser when they come whole, and by the parser when they come
 * byte by byte: both must see the same, whatever stands in the places that differ, and whatever comes between. '~' is
 * where a piece goes, '^' a number. */
static const struct {
    const char *dialect, *begin;
    const char *events[8];
} alike[] = {
    {"chat",
     "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
     {"data: {\"id\":\"c\",\"created\":^,\"t\":\"~\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"~\"},\"finish_reason\":null}],"
      "\"usage\":null,\"obfuscation\":\"~\"}\n\n",
      "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":null,\"reasoning_content\":\"~\"}}]}\n\n",
      "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"~\",\"reasoning_content\":\"~\"}}]}\r\n\r\n",
      "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":^,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"~\"}}]}}]}\n\n",
      "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"~\"}}],\"content\":\"~\"}}]}\n\n",
      "data: {\"choices\":[{\"delta\":{\"content\":\"~\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":^,\"completion_tokens\":^}}\n\n",
      "event: x\ndata: {\"choices\":[{\"delta\":{\"reasoning\":\"~\",\"content\":\"\"}}],\"model\":\"~\"}\n\n",
      ": ~\n\n"}},
    {"messages",
     "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"i\",\"model\":\"m\",\"usage\":{\"input_tokens\":5}}}\n\n",
     {"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"~\"}}\n\n",
      "data: {\"type\":\"content_block_delta\",\"index\":^,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"~\"}}\n\n",
      "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"partial_json\":\"~\",\"type\":\"input_json_delta\"}}\r\n\r\n",
      "data: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"~\"}}\n\n",
      "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"~\"},\"usage\":{\"output_tokens\":^}}\n\n",
      "event: ~\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"~\"}}\n\n",
      "\n\n"}},
    {"responses",
     "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"model\":\"m\"}}\n\n",
     {"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":^,\"output_index\":0,"
      "\"content_index\":0,\"delta\":\"~\",\"obfuscation\":\"~\"}\n\n",
      "data: {\"type\":\"response.function_call_arguments.delta\",\"sequence_number\":^,\"output_index\":^,\"delta\":\"~\"}\n\n",
      "data: {\"type\":\"response.refusal.delta\",\"output_index\":0,\"delta\":\"~\"}\n\n",
      "data: {\"delta\":\"~\",\"type\":\"response.reasoning_text.delta\",\"output_index\":3,\"sequence_number\":^}\n\n",
      "data: {\"type\":\"response.output_text.done\",\"output_index\":0,\"content_index\":0,\"text\":\"~\"}\n\n"}},
};
static const char *const pieces[] = {"a",
                                     "word",
                                     " two words",
                                     "\\n",
                                     "\\\"q\\\"",
                                     "\\u00e9",
                                     "\\ud83d\\ude00",
                                     "\xc3\xa9",
                                     "\xe2\x98\x83",
                                     "",
                                     "{\\\"a\\\":1}",
                                     "\\\\",
                                     "\\/\\t\\b\\f\\r",
                                     "\"",
                                     "\",\"x\":\"",
                                     "\xc3",
                                     "\x01",
                                     "\\x",
                                     "\\",
                                     "\x7f",
                                     "error",
                                     "content",
                                     "{}",
                                     "12"};
static const char *const numbers[] = {"0",   "1",  "7",   "12", "1700000000",          "01",
                                      "1.5", "-1", "1e3", "",   "99999999999999999999"};

static void alike_event(struct buf *b, const char *event)
{
    bool odd = any(12) == 0; /* most events are in order: else the stream ends at once */
    for (; *event; event++)
        if (*event == '~')
            buf_z(b, pieces[any(odd ? sizeof pieces / sizeof *pieces : 13)]);
        else if (*event == '^')
            buf_z(b, numbers[any(odd ? sizeof numbers / sizeof *numbers : 5)]);
        else
            buf_char(b, *event);
}

START_TEST(test_alike_events)
{
    const struct llm_dialect *d = llm_dialect_find(alike[_i].dialect);
    size_t kinds = 0, whole_ones = 0;
    while (kinds < 8 && alike[_i].events[kinds])
        kinds++;
    for (int round = 0; round < 60; round++) {
        CLEANUP_MEM mem *ctx = mem_root();
        struct buf b;
        buf_init(&b, ctx, 1 << 20);
        buf_z(&b, alike[_i].begin);
        size_t kind = any(kinds);
        for (size_t i = 0; i < 40; i++) {
            kind = any(4) ? kind : any(kinds); /* runs of one kind */
            alike_event(&b, alike[_i].events[kind]);
        }
        size_t *all = mem_array(ctx, size_t, b.n), n = 0;
        for (size_t i = 0; i < b.n; i++)
            all[i] = i;
        char *slow, *fast, *mixed;
        enum rc rc = run(ctx, d, buf_view(&b), all, b.n, &slow);
        ck_assert_int_eq(run(ctx, d, buf_view(&b), NULL, 0, &fast), rc);
        ck_assert_str_eq(fast, slow);
        for (size_t at = 0; (at += 1 + any(300)) < b.n;)
            all[n++] = at;
        ck_assert_int_eq(run(ctx, d, buf_view(&b), all, n, &mixed), rc);
        ck_assert_str_eq(mixed, slow);
        whole_ones += rc == RC_OK;
    }
    ck_assert_msg(whole_ones > 5, "%zu streams in order prove little", whole_ones);
}
END_TEST

START_TEST(test_nonsense)
{
    static const struct {
        const char *text;
        bool is_stream;
        enum rc rc;
    } cases[] = {
        {"", true, RC_OK}, /* cut before anything came */
        {"", false, RC_UPSTREAM},
        {"   \r\n", false, RC_UPSTREAM},
        {"<html>\n<body>Bad gateway</body>\n</html>\n", true, RC_UPSTREAM},
        {"<html>\n", false, RC_UPSTREAM},
        {"data: {\"choices\":\n\n", true, RC_UPSTREAM},
        {"event: message_start\ndata: {\"choices\"\n\ndata: {}\n\n", true, RC_UPSTREAM},
        {"data: {\"choices\":", true, RC_OK}, /* cut */
        {"data: 12\n\ndata: null\n\ndata: []\n\ndata: \"x\"\n\n", true, RC_OK},
        {"data\ndata:\n\n\n\n", true, RC_OK},
        {"{\"choices\":[", true, RC_UPSTREAM},
        {"{}", false, RC_UPSTREAM},
        {"{\"choices\":[]}", false, RC_UPSTREAM},
        {"[]", false, RC_UPSTREAM},
        {"[{\"error\":{\"code\":429,\"message\":\"m\",\"status\":\"RESOURCE_EXHAUSTED\"}}]", false, RC_OK},
        {"{\"choices\":[{}]} x", false, RC_UPSTREAM},
        {": only a comment\n\n", true, RC_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP_MEM mem *ctx = mem_root();
        char *shown;
        ck_assert_msg(whole(ctx, i == 6 ? "messages" : "chat", cases[i].text, cases[i].is_stream, &shown) ==
                          cases[i].rc,
                      "case %zu", i);
        ck_assert_msg(!strstr(shown, "complete"), "case %zu", i);
    }
}
END_TEST

START_TEST(test_caps)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct llm_parser *p = llm_parser_new(ctx, llm_dialect_find("chat"), NULL, NULL);
    size_t n = 1 << 20;
    char *a = mem_zalloc(ctx, n);
    memset(a, 'a', n);
    struct err err = {0};
    enum rc rc = llm_parser_feed(p, "data: ", 6, &err);
    int fed = 0;
    for (; !rc && fed < 32; fed++)
        rc = llm_parser_feed(p, a, n, &err);
    ck_assert_int_eq(rc, RC_UPSTREAM); /* an event of more than 16 MiB */
    ck_assert_int_le(fed, 17);
    p = llm_parser_new(ctx, llm_dialect_find("chat"), NULL, NULL);
    rc = RC_OK;
    for (fed = 0; !rc && fed < 128; fed++) {
        rc = llm_parser_feed(p, ":", 1, &err);
        rc = rc ? rc : llm_parser_feed(p, a, n - 2, &err);
        rc = rc ? rc : llm_parser_feed(p, "\n", 1, &err);
    }
    ck_assert_int_eq(rc, RC_UPSTREAM); /* an answer of more than 64 MiB, be it of comments */
    ck_assert_int_le(fed, 65);
    p = llm_parser_new(ctx, llm_dialect_find("chat"), NULL, NULL);
    rc = RC_OK;
    for (fed = 0; !rc && fed < 100000; fed++) {
        char *e = mem_printf(ctx, "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":%d}]}}]}\n\n", fed);
        rc = llm_parser_feed(p, e, strlen(e), &err);
        mem_free(e);
    }
    ck_assert_int_eq(rc, RC_UPSTREAM); /* calls without end */
    const struct llm_answer *answer;
    ck_assert_int_eq(llm_parser_end(p, true, &answer, &err), RC_UPSTREAM);
    ck_assert(!answer->complete);
}
END_TEST

/* Arguments that a next request could not carry are bad ones. */
START_TEST(test_deep_arguments)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct buf b;
    buf_init(&b, ctx, 1 << 16);
    buf_z(&b,
          "{\"choices\":[{\"message\":{\"tool_calls\":[{\"id\":\"x\",\"function\":{\"name\":\"f\",\"arguments\":\"");
    buf_z(&b, "{\\\"a\\\":");
    for (int i = 0; i < 40; i++)
        buf_char(&b, '[');
    for (int i = 0; i < 40; i++)
        buf_char(&b, ']');
    buf_z(&b, "}\"}}]}}]}");
    char *shown;
    ck_assert_int_eq(whole(ctx, "chat", b.p, false, &shown), RC_OK);
    ck_assert(strstr(shown, "call<x f BAD ") != NULL);
}
END_TEST

/* Counts that no server can mean neither wrap nor go negative. */
START_TEST(test_absurd_counts)
{
    CLEANUP_MEM mem *ctx = mem_root();
    char *shown;
    ck_assert_int_eq(whole(ctx, "chat",
                           "{\"choices\":[{\"message\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":-5,"
                           "\"completion_tokens\":9223372036854775807,\"total_tokens\":1e400,\"prompt_tokens_details\":"
                           "{\"cached_tokens\":\"many\"}}}",
                           false, &shown),
                     RC_OK);
    ck_assert(strstr(shown, "in=0 read=0 write=0 1h=0 out=1000000000000 reason=0 known") != NULL);
}
END_TEST

/* While it streams, the model and what is known of usage can be seen; figures before the end do not count as final. */
START_TEST(test_progress)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct str bytes = slurp(ctx, "chat-cumulative");
    struct llm_parser *p = llm_parser_new(ctx, llm_dialect_find("openai"), NULL, NULL);
    size_t half = (size_t)str_find(bytes, STR("\"content\":\"\""));
    ck_assert_int_eq(llm_parser_feed(p, bytes.p, half, NULL), RC_OK);
    const struct llm_answer *a = llm_parser_answer(p);
    ck_assert_str_eq(a->model, "gpt-5-2025-08-07");
    ck_assert_int_eq(a->usage.output, 2);
    ck_assert(!a->usage_known);
    ck_assert(!a->complete);
    ck_assert(str_eqz(a->message->first->text, "ab"));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("stream");
    tcase_set_timeout(tc, 100);
    tcase_add_loop_test(tc, test_samples, 0, SAMPLES);
    tcase_add_loop_test(tc, test_line_ends, 0, SAMPLES);
    tcase_add_loop_test(tc, test_every_split_gives_the_same, 0, SAMPLES);
    tcase_add_loop_test(tc, test_cut_streams_are_not_complete, 0, SAMPLES);
    tcase_add_loop_test(tc, test_damage, 0, SAMPLES);
    tcase_add_loop_test(tc, test_alike_events, 0, sizeof alike / sizeof *alike);
    tcase_add_test(tc, test_nonsense);
    tcase_add_test(tc, test_caps);
    tcase_add_test(tc, test_deep_arguments);
    tcase_add_test(tc, test_absurd_counts);
    tcase_add_test(tc, test_progress);
    Suite *s = suite_create("stream");
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
