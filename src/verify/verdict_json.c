/* The verdict as JSON, and back. Outputs and diffs are capped here, so that an event stays small; the logs keep the
 * whole. */
#include "verify/private.h"

enum { TEXT_MAX = 64 << 10, WORDS_MAX = 4096, LIST_MAX = 1000 };

static const char *const reasons[] = {
    [REASON_NONE] = "none",
    [REASON_CHECK_FAILED] = "check_failed",
    [REASON_NO_CHECK] = "no_check",
    [REASON_COULD_NOT_START] = "could_not_start",
    [REASON_TIMED_OUT] = "timed_out",
    [REASON_NO_TESTS] = "no_tests_ran",
    [REASON_FEWER_TESTS] = "fewer_tests",
    [REASON_MORE_SKIPPED] = "more_skipped",
    [REASON_PROTECTED_CHANGED] = "protected_changed",
    [REASON_TREE_UNCHANGED] = "tree_unchanged",
    [REASON_UNREADABLE] = "output_unreadable",
    [REASON_NOT_TRUSTED] = "not_trusted",
    [REASON_NO_PROOF] = "no_proof",
    [REASON_SANDBOX] = "sandbox",
};
static const char *const outcomes[] = {
    [VERDICT_PROVEN] = "proven", [VERDICT_RED] = "red", [VERDICT_NOT_PROVEN] = "not_proven"};

const char *reason_name(enum verdict_reason r)
{
    return reasons[r];
}

/* ---- writing ---- */

static void text_member(struct json_out *out, const char *key, struct str s, size_t max)
{
    jo_ks(out, key, str_sub(s, 0, str_utf8_cut(s, max)));
}

static void list_member(struct json_out *out, const char *key, const char *const *list)
{
    jo_key(out, key);
    jo_arr(out);
    for (size_t i = 0; list && list[i] && i < LIST_MAX; i++)
        jo_z(out, list[i]);
    jo_end_arr(out);
}

static void counts_member(struct json_out *out, const struct test_counts *c)
{
    jo_key(out, "counts");
    if (!c->framework) {
        jo_null(out);
        return;
    }
    jo_obj(out);
    jo_kz(out, "framework", c->framework);
    jo_ki(out, "total", c->total);
    jo_ki(out, "passed", c->passed);
    jo_ki(out, "failed", c->failed);
    jo_ki(out, "skipped", c->skipped);
    jo_ki(out, "errors", c->errors);
    jo_kb(out, "coarse", c->coarse);
    jo_ki(out, "seen", c->seen);
    jo_end_obj(out);
}

void run_json(const struct verdict_run *r, struct json_out *out)
{
    jo_obj(out);
    jo_kz(out, "kind", r->kind);
    jo_kz(out, "check", r->check);
    jo_kz(out, "tree", r->tree);
    jo_ki(out, "exit_code", r->exit_code);
    jo_ki(out, "signal", r->signal);
    jo_kb(out, "timed_out", r->timed_out);
    jo_kb(out, "flooded", r->flooded);
    jo_kb(out, "could_not_start", r->could_not_start);
    jo_kb(out, "memory_limit", r->memory_limit);
    jo_kb(out, "disk_limit", r->disk_limit);
    jo_kb(out, "garbled", r->garbled);
    counts_member(out, &r->counts);
    jo_ki(out, "elapsed_ns", r->elapsed_ns);
    jo_kz(out, "log", r->log);
    text_member(out, "tail", r->tail, TEXT_MAX);
    jo_end_obj(out);
}

void verdict_json(const struct verdict *v, struct json_out *out)
{
    jo_obj(out);
    jo_kz(out, "outcome", outcomes[v->outcome]);
    jo_kz(out, "reason", reason_name(v->reason));
    text_member(out, "words", str_of(v->words), WORDS_MAX);
    jo_key(out, "runs");
    jo_arr(out);
    for (const struct verdict_run *r = v->runs; r; r = r->next)
        run_json(r, out);
    jo_end_arr(out);
    list_member(out, "protected_changed", v->protected_changed);
    text_member(out, "protected_diff", str_of(v->protected_diff), TEXT_MAX);
    list_member(out, "allowed_changed", v->allowed_changed);
    jo_kz(out, "canary", v->canary);
    text_member(out, "canary_words", str_of(v->canary_words), WORDS_MAX);
    jo_kz(out, "proof", v->proof);
    text_member(out, "proof_words", str_of(v->proof_words), WORDS_MAX);
    text_member(out, "feedback", v->feedback, TEXT_MAX);
    jo_kz(out, "user_words", v->user_words);
    jo_end_obj(out);
}

/* ---- reading ---- */

static unsigned name_find(struct json v, const char *const *names, size_t n, unsigned otherwise)
{
    for (size_t i = 0; i < n; i++)
        if (json_eqz(v, names[i]))
            return (unsigned)i;
    return otherwise;
}

static const char *const *list_read(mem *ctx, struct json v)
{
    const char **list = mem_array(ctx, const char *, json_len(v) + 1);
    size_t n = 0;
    for (struct json_iter it = json_iter(v); json_type(v) == JSON_ARRAY && json_next(&it);)
        list[n++] = json_z(ctx, it.value, "");
    return list;
}

static struct test_counts counts_member_read(mem *ctx, struct json v)
{
    const char *name = json_z(ctx, json_get(v, "framework"), NULL);
    const struct runner *known = runner_find(name);
    return (struct test_counts){.framework = known ? known->name : name,
                                .total = json_int(json_get(v, "total"), 0),
                                .passed = json_int(json_get(v, "passed"), 0),
                                .failed = json_int(json_get(v, "failed"), 0),
                                .skipped = json_int(json_get(v, "skipped"), 0),
                                .errors = json_int(json_get(v, "errors"), 0),
                                .coarse = json_bool(json_get(v, "coarse"), false),
                                .seen = (uint32_t)json_int(json_get(v, "seen"), 0)};
}

void run_read(mem *ctx, struct json v, struct verdict_run *ret)
{
    *ret = (struct verdict_run){.kind = json_z(ctx, json_get(v, "kind"), ""),
                                .check = json_z(ctx, json_get(v, "check"), ""),
                                .tree = json_z(ctx, json_get(v, "tree"), ""),
                                .exit_code = (int)json_int(json_get(v, "exit_code"), -1),
                                .signal = (int)json_int(json_get(v, "signal"), 0),
                                .timed_out = json_bool(json_get(v, "timed_out"), false),
                                .flooded = json_bool(json_get(v, "flooded"), false),
                                .could_not_start = json_bool(json_get(v, "could_not_start"), false),
                                .memory_limit = json_bool(json_get(v, "memory_limit"), false),
                                .disk_limit = json_bool(json_get(v, "disk_limit"), false),
                                .garbled = json_bool(json_get(v, "garbled"), false),
                                .counts = counts_member_read(ctx, json_get(v, "counts")),
                                .elapsed_ns = json_int(json_get(v, "elapsed_ns"), 0),
                                .log = json_z(ctx, json_get(v, "log"), NULL),
                                .tail = json_str(ctx, json_get(v, "tail"))};
}

enum rc verdict_read(mem *ctx, struct str json, struct verdict *ret, struct err *err)
{
    struct json root;
    enum rc rc = json_parse(ctx, json, &root, err);
    if (rc == RC_OK && json_type(root) != JSON_OBJECT)
        rc = err_set(err, RC_INVALID, "A verdict must be a JSON object");
    if (rc != RC_OK)
        return rc;
    struct json outcome = json_get(root, "outcome"), reason = json_get(root, "reason");
    *ret = (struct verdict){.outcome =
                                name_find(outcome, outcomes, sizeof outcomes / sizeof outcomes[0], VERDICT_NOT_PROVEN),
                            .reason = name_find(reason, reasons, sizeof reasons / sizeof reasons[0], REASON_NONE),
                            .words = json_z(ctx, json_get(root, "words"), ""),
                            .protected_changed = list_read(ctx, json_get(root, "protected_changed")),
                            .protected_diff = json_z(ctx, json_get(root, "protected_diff"), ""),
                            .allowed_changed = list_read(ctx, json_get(root, "allowed_changed")),
                            .canary = json_z(ctx, json_get(root, "canary"), ""),
                            .canary_words = json_z(ctx, json_get(root, "canary_words"), ""),
                            .proof = json_z(ctx, json_get(root, "proof"), ""),
                            .proof_words = json_z(ctx, json_get(root, "proof_words"), ""),
                            .feedback = json_str(ctx, json_get(root, "feedback")),
                            .user_words = json_z(ctx, json_get(root, "user_words"), "")};
    struct bench list = {.ctx = ctx};
    struct json runs = json_get(root, "runs");
    for (struct json_iter it = json_iter(runs); json_type(runs) == JSON_ARRAY && json_next(&it);) {
        struct verdict_run *run = mem_new(ctx, struct verdict_run);
        run_read(ctx, it.value, run);
        bench_add(&list, run);
    }
    ret->runs = list.runs;
    return RC_OK;
}
