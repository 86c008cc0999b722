/* Contract: what exists and what a name means, from rows, known keys and settings; a snapshot stays as it was while it
 * is held; a change shows after catalogs_stale. */
#include "gateway/catalog.h"
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static char folder[64];
static mem *root;
static struct store *s;
static struct catalogs *c;
static const char *known; /* "A_KEY B_KEY " */

static bool has_key(void *arg, const char *variable)
{
    (void)arg;
    CLEANUP_MEM mem *tmp = mem_root();
    return strstr(known, mem_printf(tmp, "%s ", variable)) != NULL;
}

static void setup(void)
{
    struct err err = {0};
    known = "ANTHROPIC_API_KEY ";
    snprintf(folder, sizeof folder, "/tmp/test_catalog_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    root = mem_root();
    ck_assert_msg(store_open(root, folder, &s, &err) == RC_OK, "%s (%s)", err.sentence, err.detail);
    struct catalogs_spec spec = {.store = s, .has_key = has_key};
    c = catalogs_new(root, &spec);
}

static void teardown(void)
{
    char command[128];
    mem_free(c);
    s = store_close(s);
    mem_free(root);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static enum rc put_provider(struct store_tx *tx, void *arg, struct err *err)
{
    return provider_put(tx, arg, err);
}
static enum rc put_model(struct store_tx *tx, void *arg, struct err *err)
{
    return model_put(tx, arg, err);
}
struct chain {
    const char *name, *mode;
    const char *models[4];
    size_t n;
};
static enum rc put_tier(struct store_tx *tx, void *arg, struct err *err)
{
    const struct chain *t = arg;
    return tier_set(tx, t->name, t->mode, t->models, t->n, err);
}

static void write(store_fn fn, void *arg)
{
    struct err err = {0};
    ck_assert_msg(store_write(s, fn, arg, &err) == RC_OK, "%s", err.sentence);
    catalogs_stale(c);
}

static void provider(const char *id, const char *kind, const char *url, bool enabled)
{
    struct provider p = PROVIDER_STANDARD;
    p.id = id;
    p.kind = kind;
    p.base_url = url;
    p.enabled = enabled;
    write(put_provider, &p);
}

static void model(const char *id, const char *by, const char *upstream)
{
    struct model m = MODEL_STANDARD;
    m.id = id;
    m.provider = by;
    m.upstream = upstream;
    write(put_model, &m);
}

/* "provider=upstream@step ..." of a name, or the outcome's name. */
static const char *meaning(const char *name, bool thinking)
{
    const struct catalog *cat;
    struct catalog_target *t;
    size_t n;
    char *words = mem_str(root, "");
    ck_assert_int_eq(catalog_ref(c, true, &cat, NULL), RC_OK);
    enum rc rc = catalog_targets(root, cat, name, thinking, &t, &n, NULL);
    for (size_t i = 0; i < n; i++)
        words = mem_printf(root, "%s%s%s=%s@%zu", words, i ? " " : "", t[i].provider->row.id, t[i].model->upstream,
                           t[i].step);
    catalog_unref(cat);
    return rc ? rc_name(rc) : words;
}

START_TEST(a_known_key_makes_a_provider)
{
    const struct catalog *cat;
    ck_assert_str_eq(meaning("claude-sonnet-4-5", false), "anthropic=claude-sonnet-4-5@0");
    ck_assert_str_eq(meaning("anthropic/anything", false), "anthropic=anything@0");
    ck_assert_str_eq(meaning("gpt-5", false), "not_found");
    known = "ANTHROPIC_API_KEY OPENAI_API_KEY ";
    ck_assert_str_eq(meaning("gpt-5", false), "not_found"); /* not before it is said */
    catalogs_stale(c);
    ck_assert_str_eq(meaning("gpt-5", false), "openai=gpt-5@0");
    ck_assert_int_eq(catalog_ref(c, true, &cat, NULL), RC_OK);
    const struct provider_view *p = catalog_provider(cat, "openai");
    ck_assert(p && p->implicit);
    ck_assert_str_eq(p->credential, "env:OPENAI_API_KEY");
    ck_assert_ptr_null(catalog_provider(cat, "gemini"));
    catalog_unref(cat);
}
END_TEST

START_TEST(a_row_takes_the_place_of_what_the_key_made)
{
    const struct catalog *cat;
    provider("anthropic", "anthropic", "http://127.0.0.1:9", true);
    ck_assert_int_eq(catalog_ref(c, true, &cat, NULL), RC_OK);
    ck_assert_uint_eq(cat->provider_count, 1);
    ck_assert_str_eq(cat->providers[0].base_url, "http://127.0.0.1:9");
    ck_assert(!cat->providers[0].implicit);
    catalog_unref(cat);
    provider("anthropic", "anthropic", "", false);
    ck_assert_str_eq(meaning("claude-x", false), "unavailable");
}
END_TEST

START_TEST(a_server_of_ones_own_needs_no_key)
{
    const struct catalog *cat;
    provider("box", "vllm", "http://127.0.0.1:9", true);
    ck_assert_int_eq(catalog_ref(c, true, &cat, NULL), RC_OK);
    ck_assert_str_eq(catalog_provider(cat, "box")->credential, "");
    catalog_unref(cat);
    known = "VLLM_API_KEY ";
    catalogs_stale(c);
    ck_assert_int_eq(catalog_ref(c, true, &cat, NULL), RC_OK);
    ck_assert_str_eq(catalog_provider(cat, "box")->credential, "env:VLLM_API_KEY");
    catalog_unref(cat);
}
END_TEST

START_TEST(rows_of_one_id_are_equal_upstreams)
{
    provider("box", "vllm", "http://127.0.0.1:9", true);
    provider("spare", "vllm", "http://127.0.0.1:10", false);
    model("qwen", "box", "Qwen/Qwen3");
    model("qwen", "spare", "q3");
    model("qwen", "gone", "q3");
    model("claude-x", "box", "imitation");
    ck_assert_str_eq(meaning("qwen", false), "box=Qwen/Qwen3@0");
    ck_assert_str_eq(meaning("claude-x", false), "box=imitation@0"); /* a row before the kind's names */
    provider("spare", "vllm", "http://127.0.0.1:10", true);
    ck_assert_str_eq(meaning("qwen", false), "box=Qwen/Qwen3@0 spare=q3@0");
    ck_assert_str_eq(meaning("box/other/model", false), "box=other/model@0");
    ck_assert_str_eq(meaning("box/", false), "not_found");
}
END_TEST

START_TEST(tiers_are_chains)
{
    provider("box", "vllm", "http://127.0.0.1:9", true);
    model("small", "box", "s");
    write(put_tier, &(struct chain){"A", "normal", {"claude-big", "nothing-like-it", "small"}, 3});
    ck_assert_str_eq(meaning("A", false), "anthropic=claude-big@0 box=s@2");
    ck_assert_str_eq(meaning("A", true), "anthropic=claude-big@0 box=s@2"); /* one chain serves both */
    write(put_tier, &(struct chain){"A", "thinking", {"small"}, 1});
    ck_assert_str_eq(meaning("A", true), "box=s@0");
    ck_assert_str_eq(meaning("A", false), "anthropic=claude-big@0 box=s@2");
    write(put_tier, &(struct chain){"A", "normal", {NULL}, 0});
    ck_assert_str_eq(meaning("A", false), "box=s@0");
    write(put_tier, &(struct chain){"B", "normal", {"A"}, 1}); /* a chain names models, not tiers */
    ck_assert_str_eq(meaning("B", false), "not_found");
}
END_TEST

START_TEST(settings_override_tiers)
{
    struct catalogs_spec spec = {.store = s, .has_key = has_key, .tier_chain = {NULL, " claude-b , claude-c,", ""}};
    write(put_tier, &(struct chain){"B", "thinking", {"claude-row"}, 1});
    write(put_tier, &(struct chain){"C", "normal", {"claude-row"}, 1});
    mem_free(c);
    c = catalogs_new(root, &spec);
    ck_assert_str_eq(meaning("B", true), "anthropic=claude-b@0 anthropic=claude-c@1");
    ck_assert_str_eq(meaning("C", false), "anthropic=claude-row@0");
    ck_assert_str_eq(meaning("A", false), "not_found");
}
END_TEST

START_TEST(a_snapshot_stays_while_it_is_held)
{
    const struct catalog *before, *after;
    ck_assert_int_eq(catalog_ref(c, true, &before, NULL), RC_OK);
    provider("box", "vllm", "http://127.0.0.1:9", true);
    ck_assert_int_eq(catalog_ref(c, true, &after, NULL), RC_OK);
    ck_assert_ptr_ne(before, after);
    ck_assert_ptr_null(catalog_provider(before, "box"));
    ck_assert_ptr_nonnull(catalog_provider(after, "box"));
    catalog_unref(after);
    ck_assert_uint_eq(before->provider_count, 1);
    catalog_unref(before);
    catalog_unref(NULL);
}
END_TEST

START_TEST(an_unknown_name_is_told_with_the_nearest)
{
    const struct catalog *cat;
    struct catalog_target *t;
    size_t n;
    struct err err = {0};
    provider("box", "vllm", "http://127.0.0.1:9", true);
    model("qwen3-coder", "box", "x");
    ck_assert_int_eq(catalog_ref(c, true, &cat, NULL), RC_OK);
    ck_assert_int_eq(catalog_targets(root, cat, "qwen3-codr", false, &t, &n, &err), RC_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.hint, "did you mean qwen3-coder?"));
    ck_assert_uint_eq(n, 0);
    catalog_unref(cat);
}
END_TEST

START_TEST(rows_are_checked)
{
    struct provider good = PROVIDER_STANDARD;
    good.id = "x";
    good.kind = "vllm";
    struct provider p[] = {good, good, good, good, good, good, good};
    p[0].id = "Upper";
    p[1].id = ".x";
    p[2].base_url = "ftp://x";
    p[3].base_url = "http://user:pass@x";
    p[4].headers = "[]";
    p[5].weight = 0;
    p[6].base_url = "http://x/?key=1";
    for (size_t i = 0; i < sizeof p / sizeof *p; i++)
        ck_assert_msg(store_write(s, put_provider, &p[i], NULL) == RC_INVALID, "%zu", i);
    struct model ok = MODEL_STANDARD;
    ok.id = ok.upstream = "m";
    ok.provider = "x";
    struct model m[] = {ok, ok, ok, ok};
    m[0].id = "two words";
    m[1].provider = "";
    m[2].abilities = 16;
    m[3].context = -1;
    for (size_t i = 0; i < sizeof m / sizeof *m; i++)
        ck_assert_msg(store_write(s, put_model, &m[i], NULL) == RC_INVALID, "%zu", i);
    static const struct chain chains[] = {{"A", "fast", {"m"}, 1},
                                          {"A", "normal", {"m", "m"}, 2},
                                          {"A", "normal", {"A"}, 1},
                                          {"a,b", "normal", {"m"}, 1}};
    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++)
        ck_assert_msg(store_write(s, put_tier, (void *)(uintptr_t)&chains[i], NULL) == RC_INVALID, "%zu", i);
}
END_TEST

static enum rc remove_provider(struct store_tx *tx, void *arg, struct err *err)
{
    return provider_remove(tx, arg, err);
}
static enum rc remove_model(struct store_tx *tx, void *arg, struct err *err)
{
    return model_remove(tx, arg, "box", err);
}

static void *reader(void *arg)
{
    (void)arg;
    for (int i = 0; i < 300; i++) {
        CLEANUP_MEM mem *tmp = mem_root();
        const struct catalog *cat;
        struct catalog_target *t;
        size_t n = 0;
        if (catalog_ref(c, true, &cat, NULL) != RC_OK)
            return (void *)1;
        bool there = catalog_provider(cat, "box") != NULL;
        enum rc rc = catalog_targets(tmp, cat, "box/x", false, &t, &n, NULL);
        catalog_unref(cat);
        if (there != (rc == RC_OK))
            return (void *)1;
    }
    return NULL;
}

START_TEST(readers_see_whole_snapshots_while_it_changes)
{
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, reader, NULL), 0);
    static char box[] = "box";
    for (int i = 0; i < 10; i++) {
        provider("box", "vllm", "http://127.0.0.1:9", true);
        write(remove_provider, box);
    }
    for (int i = 0; i < 3; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        ck_assert_ptr_null(wrong);
    }
}
END_TEST

START_TEST(a_provider_with_models_stays)
{
    static char box[] = "box", qwen[] = "qwen";
    struct err err = {0};
    provider("box", "vllm", "http://127.0.0.1:9", true);
    model("qwen", "box", "q");
    ck_assert_int_eq(store_write(s, remove_provider, box, &err), RC_CONFLICT);
    ck_assert_ptr_nonnull(strstr(err.hint, "model rm"));
    ck_assert_int_eq(store_write(s, remove_model, qwen, NULL), RC_OK);
    ck_assert_int_eq(store_write(s, remove_model, qwen, NULL), RC_NOT_FOUND);
    ck_assert_int_eq(store_write(s, remove_provider, box, NULL), RC_OK);
    ck_assert_int_eq(store_write(s, remove_provider, box, NULL), RC_NOT_FOUND);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("catalogue");
    TCase *tc = tcase_create("names");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_known_key_makes_a_provider);
    tcase_add_test(tc, a_row_takes_the_place_of_what_the_key_made);
    tcase_add_test(tc, a_server_of_ones_own_needs_no_key);
    tcase_add_test(tc, rows_of_one_id_are_equal_upstreams);
    tcase_add_test(tc, tiers_are_chains);
    tcase_add_test(tc, settings_override_tiers);
    tcase_add_test(tc, a_snapshot_stays_while_it_is_held);
    tcase_add_test(tc, an_unknown_name_is_told_with_the_nearest);
    tcase_add_test(tc, rows_are_checked);
    tcase_add_test(tc, readers_see_whole_snapshots_while_it_changes);
    tcase_add_test(tc, a_provider_with_models_stays);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
