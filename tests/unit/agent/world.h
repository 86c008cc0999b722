/* A world for the agent's tests: a model that follows a script, and a journal in memory that can stop the agent at any
 * record. The including file says before what rooms_open and rooms_close do. */
#pragma once
#include "agent/work.h"
#include "base/text.h"
#include "crypt/hash.h"
#include "os/path.h"
#include "os/proc.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* --- model, journal, world --- */

struct kept_record {
    const char *type, *json;
    struct kept_record *next;
};
struct request {
    const char *key, *body;
    int asked;
    struct request *next;
};
static const char *world_folder = "/tmp";
enum { SCRIPT_MOST = 64 };
struct world {
    mem *ctx;
    char *base; /* folder of all */
    const char *dir;
    const char
        *script[SCRIPT_MOST];  /* answers by turn (1..); NULL: the last again. Streams of the dialect, or an error */
    int statuses[SCRIPT_MOST]; /* 0: 200 */
    size_t script_n;
    /* Called instead of the script when set. */
    const char *(*answer)(struct world *w, int64_t turn, int64_t attempt, int *ret_status);
    const char *headers; /* of an answer that is not 200; NULL: none */
    enum rc ask_rc;      /* when not RC_OK: what ask returns, after having given the answer's bytes */
    struct request *requests, *last_request, *now; /* now: the one that is being asked */
    int asks;
    struct kept_record *records, *last_record;
    int record_count;
    int stop_at;     /* the record of this number (1..) stops the agent; 0: none */
    bool stop_after; /* ... after it was kept, else before */
    int made;        /* records made by this process */
    bool stopped;
    struct buf live;
    struct workspace work;
    struct agent_spec spec;
    struct agent_road road;
    struct agent_result result;
    struct err err;
};

static inline enum rc world_ask(void *arg, mem *ctx, const char *key, const struct llm_dialect *d, struct str body,
                                bool (*on_bytes)(void *p, struct str bytes), void *p, int *ret_status,
                                struct str *ret_headers, struct str *ret_error_body, struct err *err)
{
    struct world *w = arg;
    long long iteration, turn, attempt;
    ck_assert_int_eq(sscanf(key, "i%lld.t%lld.a%lld", &iteration, &turn, &attempt), 3);
    ck_assert_str_eq(d->name, w->spec.dialect->name);
    struct llm_request_facts facts;
    struct err why = {0};
    ck_assert_msg(llm_request_read(ctx, d, NULL, false, body, &facts, &why) == RC_OK, "%s", why.sentence);
    w->asks++;
    struct request *r = w->requests;
    while (r && strcmp(r->key, key) != 0)
        r = r->next;
    if (r) {
        size_t at = 0; /* the same key means the same bytes */
        while (at < body.n && r->body[at] == body.p[at])
            at++;
        ck_assert_msg(at == body.n && !r->body[at], "%s: other bytes at %zu: \"%.200s\", now \"%.200s\"", key, at,
                      r->body + (at > 60 ? at - 60 : 0), str_dup(ctx, body) + (at > 60 ? at - 60 : 0));
        r->asked++;
    } else {
        r = mem_new(w->ctx, struct request);
        *r = (struct request){mem_str(w->ctx, key), str_dup(w->ctx, body), 1, NULL};
        if (w->last_request)
            w->last_request->next = r;
        else
            w->requests = r;
        w->last_request = r;
    }
    w->now = r;
    size_t i = (size_t)turn - 1 < w->script_n ? (size_t)turn - 1 : w->script_n - 1;
    *ret_status = 200;
    const char *text = w->answer ? w->answer(w, turn, attempt, ret_status) : w->script[i];
    if (!w->answer && w->statuses[i])
        *ret_status = w->statuses[i];
    *ret_headers = str_of(w->headers);
    if (*ret_status != 200) {
        *ret_error_body = str_of(text);
        return RC_OK;
    }
    size_t n = strlen(text);
    for (size_t at = 0; at < n; at += 7)
        if (!on_bytes(p, str_n(text + at, n - at < 7 ? n - at : 7)))
            return err_set(err, RC_CANCELLED, "stopped");
    if (w->ask_rc)
        return err_set(err, w->ask_rc, "asked for");
    return RC_OK;
}

static inline enum rc world_record(void *arg, const char *type, struct str json, struct err *err)
{
    struct world *w = arg;
    w->made++;
    struct json seen;
    CLEANUP_MEM mem *tmp = mem_root();
    ck_assert_int_eq(json_parse(tmp, json, &seen, NULL), RC_OK);
    if (w->stopped || (w->made == w->stop_at && !w->stop_after)) {
        w->stopped = true;
        return err_set(err, RC_CANCELLED, "stopped");
    }
    struct kept_record *r = mem_new(w->ctx, struct kept_record);
    *r = (struct kept_record){mem_str(w->ctx, type), str_dup(w->ctx, json), NULL};
    if (w->last_record)
        w->last_record->next = r;
    else
        w->records = r;
    w->last_record = r;
    w->record_count++;
    if (w->made == w->stop_at) {
        w->stopped = true;
        return err_set(err, RC_CANCELLED, "stopped");
    }
    return RC_OK;
}

static inline struct str world_recall(void *arg, const char *type, int64_t n)
{
    struct world *w = arg;
    for (struct kept_record *r = w->records; r; r = r->next)
        if (strcmp(r->type, type) == 0 && n-- == 0)
            return str_of(r->json);
    return STR("");
}

static inline void world_text(void *arg, struct str text)
{
    buf_str(&((struct world *)arg)->live, text);
}

static inline struct world *world_new(mem *ctx, const char *dialect)
{
    struct world *w = mem_new(ctx, struct world);
    w->ctx = w;
    w->base = mem_printf(w, "%s/nightmill-agent-XXXXXX", world_folder);
    ck_assert_ptr_nonnull(mkdtemp(w->base));
    w->dir = mem_printf(w, "%s/work", w->base);
    ck_assert_int_eq(mkdir(w->dir, 0755), 0);
    buf_init(&w->live, w, 1 << 20);
    w->work = (struct workspace){.dir = w->dir};
    w->road = (struct agent_road){
        .ask = world_ask, .record = world_record, .recall = world_recall, .on_text = world_text, .arg = w};
    w->spec = (struct agent_spec){
        .dialect = llm_dialect_find(dialect),
        .model = "scripted",
        .context_tokens = 100000,
        .max_output = 4096,
        .max_turns = 50,
        .prompt = STR("Make it so."),
        .work = &w->work,
        .log_dir = mem_printf(w, "%s/out", w->base),
        .uid = (uid_t)-1,
        .gid = (gid_t)-1,
        .cancel_fd = -1,
        .iteration = 1,
        .command_timeout_s = 20,
        .tool_output_max = 8192,
    };
    rooms_open(&w->spec, w, w->dir);
    return w;
}

static inline void world_done(struct world *w)
{
    rooms_close();
    ck_assert_int_eq(path_remove_tree(w->base, NULL), RC_OK);
}

static inline enum rc world_run(struct world *w)
{
    w->made = 0;
    w->stopped = false;
    w->err = (struct err){0};
    return agent_iterate(w, &w->spec, &w->road, &w->result, &w->err);
}

static inline void file_put(struct world *w, const char *path, const char *contents)
{
    CLEANUP_FD int root = -1;
    ck_assert_int_eq(path_open_root(w->dir, &root, NULL), RC_OK);
    ck_assert_int_eq(path_write(root, path, str_of(contents), 0644, (uid_t)-1, (gid_t)-1, NULL), RC_OK);
}

static inline const char *file_get(struct world *w, const char *path)
{
    struct str s;
    if (path_slurp(w, mem_printf(w, "%s/%s", w->dir, path), 64 << 20, &s, NULL))
        return NULL;
    return str_dup(w, s);
}

/* --- writing scripts --- */

/* One call for an answer: name and arguments. */
struct call {
    const char *name, *arguments;
};

/* A stream with a text and calls, in pieces, in either dialect. Ids are the same in every answer, as careless servers
 * have them. */
static inline const char *answer_make(mem *ctx, const char *dialect, const char *text, const struct call *calls,
                                      size_t n, const char *stop, int64_t prompt_tokens)
{
    struct buf b;
    buf_init(&b, ctx, 8 << 20);
    struct json_out o;
    bool chat = strcmp(dialect, "messages") != 0;
    if (!chat)
        buf_printf(
            &b,
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"served\","
            "\"usage\":{\"input_tokens\":%lld,\"output_tokens\":1}}}\n\n",
            (long long)prompt_tokens);
    int index = 0;
    if (text[0]) {
        buf_z(&b, "data: ");
        json_out_init(&o, &b);
        jo_obj(&o);
        if (chat) {
            jo_key(&o, "choices");
            jo_arr(&o);
            jo_obj(&o);
            jo_key(&o, "delta");
        } else {
            jo_kz(&o, "type", "content_block_delta");
            jo_ki(&o, "index", index++);
            jo_key(&o, "delta");
        }
        jo_obj(&o);
        if (!chat)
            jo_kz(&o, "type", "text_delta");
        jo_kz(&o, chat ? "content" : "text", text);
        jo_end_obj(&o);
        if (chat) {
            jo_end_obj(&o);
            jo_end_arr(&o);
        }
        jo_end_obj(&o);
        buf_z(&b, "\n\n");
    }
    for (size_t i = 0; i < n; i++) {
        CLEANUP_MEM mem *tmp = mem_root();
        struct buf quoted;
        buf_init(&quoted, tmp, 8 << 20);
        json_out_init(&o, &quoted);
        jo_z(&o, calls[i].arguments);
        if (chat)
            buf_printf(
                &b,
                "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":%zu,\"id\":\"id%zu\",\"function\":{\"name\":"
                "\"%s\",\"arguments\":%s}}]}}]}\n\n",
                i, i, calls[i].name, quoted.p);
        else
            buf_printf(
                &b,
                "data: {\"type\":\"content_block_start\",\"index\":%d,\"content_block\":{\"type\":\"tool_use\",\"id\":"
                "\"id%zu\",\"name\":\"%s\",\"input\":{}}}\n\ndata: {\"type\":\"content_block_delta\",\"index\":%d,"
                "\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":%s}}\n\n",
                index, i, calls[i].name, index, quoted.p);
        index++;
    }
    if (chat)
        buf_printf(&b,
                   "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"%s\"}]}\n\ndata: {\"choices\":[],\"usage\":"
                   "{\"prompt_tokens\":%lld,\"completion_tokens\":20}}\n\ndata: [DONE]\n\n",
                   stop, (long long)prompt_tokens);
    else
        buf_printf(
            &b,
            "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"%s\"},\"usage\":{\"output_tokens\":20}}\n\n"
            "data: {\"type\":\"message_stop\"}\n\n",
            strcmp(stop, "length") == 0           ? "max_tokens"
            : strcmp(stop, "content_filter") == 0 ? "refusal"
                                                  : "tool_use");
    ck_assert(!b.overflow);
    return buf_take(&b, ctx);
}

static inline void script_add(struct world *w, const char *text, const struct call *calls, size_t n)
{
    w->script[w->script_n++] = answer_make(w, w->spec.dialect->name, text, calls, n, "stop", 1000);
}
#define SAY(w, text, ...)                                                                                              \
    script_add(w, text, (const struct call[]){__VA_ARGS__},                                                            \
               sizeof((const struct call[]){__VA_ARGS__}) / sizeof(struct call))

/* The n-th (0..) record of a type, or NULL. */
static inline const char *record_nth(struct world *w, const char *type, int64_t n)
{
    struct str s = world_recall(w, type, n);
    return s.n ? s.p : NULL;
}

/* Text that the model was given for a call; *ret_is_error may be NULL. */
static inline const char *result_of(struct world *w, int64_t turn, int64_t call, bool *ret_is_error)
{
    for (int64_t n = 0; record_nth(w, "tool.finished", n); n++) {
        struct json j;
        ck_assert_int_eq(json_parse(w, str_of(record_nth(w, "tool.finished", n)), &j, NULL), RC_OK);
        if (json_int(json_get(j, "turn"), 0) != turn || json_int(json_get(j, "call"), 0) != call)
            continue;
        if (ret_is_error)
            *ret_is_error = json_bool(json_get(j, "is_error"), false);
        return json_z(w, json_get(j, "result"), NULL);
    }
    ck_abort_msg("no result of turn %d call %d", (int)turn, (int)call);
    return NULL;
}

static inline int suite_run(Suite *s)
{
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
