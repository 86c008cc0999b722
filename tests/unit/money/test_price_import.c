/* Contract: decimal text becomes exact integers; each format gives the rates that stand in it, with what it leaves out
 * filled in so that nothing is billed too low; what cannot be billed by is left out with its reason; absurd prices are
 * told. */
#include "money/price_import.h"
#include <check.h>

static mem *ctx;
static void setup(void)
{
    ctx = mem_root();
}
static void teardown(void)
{
    mem_free(ctx);
}

START_TEST(decimals_are_exact)
{
    static const struct {
        const char *text;
        int scale;
        pico v;
    } rows[] = {{"3e-06", 0, 3000000},
                {"3E-6", 0, 3000000},
                {"0.00000375", 0, 3750000},
                {"1.5e-07", 0, 150000},
                {"7.5e-08", 0, 75000},
                {"1e-12", 0, 1},
                {"1e-13", 0, 1}, /* finer than the unit: up */
                {"1.0000000000001e-6", 0, 1000001},
                {"0", 0, 0},
                {"0.0", -6, 0},
                {"0e99", 0, 0},
                {"15", -6, 15000000},
                {"0.075", -6, 75000},
                {"12.5", -6, 12500000},
                {"1e3", -6, 1000000000},
                {"1.25e+1", -6, 12500000},
                {"9.223372036854775806e-12", 18, 9223372036854775806},
                {"0.00000000000000000000000000000000000000000000000000000001", 0, 1},
                {"100000000000000000000e-20", 0, 1000000000000}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        pico v = -1;
        struct err err = {0};
        ck_assert_msg(price_decimal(str_of(rows[i].text), rows[i].scale, &v, &err) == RC_OK, "%s: %s", rows[i].text,
                      err.sentence);
        ck_assert_msg(v == rows[i].v, "%s: %lld", rows[i].text, (long long)v);
    }
}
END_TEST

START_TEST(other_texts_are_no_prices)
{
    static const char *const wrong[] = {"",      "-1",
                                        "+1",    ".5",
                                        "1.",    "1e",
                                        "1e+",   "1e+-5",
                                        "1e401", "0x1",
                                        "1 ",    "NaN",
                                        "1e5x",  "11111111111111111111111111111111111111111111111111111111111111111"};
    static const char *const large[] = {"1e7", "9223373", "99999999999999999999999999999999999999999999", "1e400"};
    pico v;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(price_decimal(str_of(wrong[i]), 0, &v, NULL) == RC_INVALID, "%s", wrong[i]);
    for (size_t i = 0; i < sizeof large / sizeof *large; i++)
        ck_assert_msg(price_decimal(str_of(large[i]), 0, &v, NULL) == RC_LIMIT, "%s", large[i]);
}
END_TEST

static struct price_file read_file(const char *text)
{
    struct price_file f;
    struct err err = {0};
    ck_assert_msg(price_file_read(ctx, str_of(text), &f, &err) == RC_OK, "%s", err.sentence);
    return f;
}

static const struct price *find(const struct price_file *f, const char *model)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->prices[i].model, model) == 0)
            return &f->prices[i];
    return NULL;
}

static const char *reason(const struct price_file *f, const char *model)
{
    for (size_t i = 0; i < f->skipped_n; i++)
        if (strcmp(f->skipped[i].model, model) == 0)
            return f->skipped[i].reason;
    return "";
}

static const char litellm[] =
    "{\"sample_spec\":{\"input_cost_per_token\":0.0,\"litellm_provider\":\"one of ...\",\"mode\":\"chat\"},"
    "\"claude-a\":{\"litellm_provider\":\"anthropic\",\"mode\":\"chat\",\"input_cost_per_token\":3e-06,"
    "\"output_cost_per_token\":1.5e-05,\"cache_read_input_token_cost\":3e-07,\"cache_creation_input_token_cost\":3.75e-06,"
    "\"cache_creation_input_token_cost_above_1hr\":6e-06,\"input_cost_per_token_above_200k_tokens\":6e-06,"
    "\"output_cost_per_token_above_200k_tokens\":2.25e-05,\"cache_creation_input_token_cost_above_200k_tokens\":7.5e-06,"
    "\"cache_creation_input_token_cost_above_1hr_above_200k_tokens\":1.2e-05,"
    "\"cache_read_input_token_cost_above_200k_tokens\":6e-07,\"input_cost_per_token_batches\":1.5e-06},"
    "\"claude-b\":{\"litellm_provider\":\"anthropic\",\"mode\":\"chat\",\"input_cost_per_token\":3e-06,"
    "\"output_cost_per_token\":1.5e-05,\"cache_read_input_token_cost\":3e-07,\"cache_creation_input_token_cost\":3.75e-06,"
    "\"input_cost_per_token_above_200k_tokens\":6e-06},"
    "\"gpt-a\":{\"litellm_provider\":\"openai\",\"mode\":\"responses\",\"input_cost_per_token\":1.25e-06,"
    "\"output_cost_per_token\":1e-05,\"output_cost_per_reasoning_token\":1.2e-05},"
    "\"text-embedding-a\":{\"litellm_provider\":\"openai\",\"mode\":\"embedding\",\"input_cost_per_token\":2e-08},"
    "\"gemini/gemini-a\":{\"litellm_provider\":\"gemini\",\"mode\":\"chat\",\"input_cost_per_token\":1.25e-06,"
    "\"output_cost_per_token\":1e-05},"
    "\"gemini-a\":{\"litellm_provider\":\"vertex_ai-language-models\",\"mode\":\"chat\",\"input_cost_per_token\":2e-06,"
    "\"output_cost_per_token\":1e-05},"
    "\"together_ai/meta/llama\":{\"litellm_provider\":\"together_ai\",\"mode\":\"chat\",\"input_cost_per_token\":2e-07,"
    "\"output_cost_per_token\":2e-07},"
    "\"deepseek-x\":{\"litellm_provider\":\"deepseek\",\"mode\":\"chat\",\"input_cost_per_token\":2e-07,"
    "\"output_cost_per_token\":2e-07},"
    "\"deepseek/deepseek-x\":{\"litellm_provider\":\"deepseek\",\"mode\":\"chat\",\"input_cost_per_token\":0.2e-06,"
    "\"output_cost_per_token\":2e-07},"
    "\"mistral-x\":{\"litellm_provider\":\"mistral\",\"mode\":\"chat\",\"input_cost_per_token\":2e-07,"
    "\"output_cost_per_token\":2e-07},"
    "\"mistral/mistral-x\":{\"litellm_provider\":\"mistral\",\"mode\":\"chat\",\"input_cost_per_token\":3e-07,"
    "\"output_cost_per_token\":2e-07},"
    "\"bedrock/x\":{\"litellm_provider\":\"bedrock\",\"mode\":\"chat\",\"input_cost_per_token\":1e-06},"
    "\"dall-e\":{\"litellm_provider\":\"openai\",\"mode\":\"image_generation\"},"
    "\"groq/free\":{\"litellm_provider\":\"groq\",\"mode\":\"chat\",\"input_cost_per_token\":0.0,"
    "\"output_cost_per_token\":0.0},"
    "\"groq/half\":{\"litellm_provider\":\"groq\",\"mode\":\"chat\",\"input_cost_per_token\":1e-06},"
    "\"groq/text\":{\"litellm_provider\":\"groq\",\"mode\":\"chat\",\"input_cost_per_token\":\"1e-06\","
    "\"output_cost_per_token\":1e-06},"
    "\"groq/neg\":{\"litellm_provider\":\"groq\",\"mode\":\"chat\",\"input_cost_per_token\":-1e-06,"
    "\"output_cost_per_token\":1e-06},"
    "\"groq/steps\":{\"litellm_provider\":\"groq\",\"mode\":\"chat\",\"input_cost_per_token\":1e-06,"
    "\"output_cost_per_token\":1e-06,\"input_cost_per_token_above_128k_tokens\":2e-06,"
    "\"output_cost_per_token_above_200k_tokens\":2e-06},"
    "\"groq/list\":{\"litellm_provider\":\"groq\",\"mode\":\"chat\",\"tiered_pricing\":[{}]},"
    "\"groq/request\":{\"litellm_provider\":\"groq\",\"mode\":\"chat\",\"input_cost_per_token\":1e-06,"
    "\"output_cost_per_token\":1e-06,\"input_cost_per_request\":0.005}}";

static void rates_are(const struct rates *r, pico in, pico read, pico write, pico hour, pico out)
{
    ck_assert_int_eq(r->input, in);
    ck_assert_int_eq(r->cache_read, read);
    ck_assert_int_eq(r->cache_write, write);
    ck_assert_int_eq(r->cache_write_1h, hour);
    ck_assert_int_eq(r->output, out);
}

START_TEST(litellms_file_is_read)
{
    struct price_file f = read_file(litellm);
    const struct price *p = find(&f, "claude-a");
    ck_assert_str_eq(f.format, "litellm");
    ck_assert_ptr_nonnull(p);
    ck_assert_str_eq(p->currency, "USD");
    rates_are(&p->base, 3000000, 300000, 3750000, 6000000, 15000000);
    rates_are(&p->above, 6000000, 600000, 7500000, 12000000, 22500000);
    ck_assert_int_eq(p->above_tokens, 200000);
    p = find(&f, "claude-b"); /* what is not said rises with the input */
    rates_are(&p->base, 3000000, 300000, 3750000, 6000000, 15000000);
    rates_are(&p->above, 6000000, 600000, 7500000, 12000000, 15000000);
    p = find(&f, "gpt-a"); /* dearer reasoning counts for all output; the cache costs as input */
    rates_are(&p->base, 1250000, 1250000, 1250000, 1250000, 12000000);
    ck_assert_int_eq(p->above_tokens, 0);
    rates_are(&find(&f, "text-embedding-a")->base, 20000, 20000, 20000, 20000, 0);
    rates_are(&find(&f, "gemini-a")->base, 1250000, 1250000, 1250000, 1250000, 10000000);
    rates_are(&find(&f, "vertex/gemini-a")->base, 2000000, 2000000, 2000000, 2000000, 10000000);
    ck_assert_ptr_nonnull(find(&f, "together/meta/llama"));
    ck_assert_ptr_nonnull(find(&f, "deepseek-x"));
    ck_assert_uint_eq(f.n, 8);
}
END_TEST

START_TEST(what_litellm_has_that_cannot_be_billed_by_is_left_out)
{
    static const char *const rows[][2] = {{"bedrock/x", "kind"},       {"dall-e", "no chat"},
                                          {"groq/free", "nothing"},    {"groq/half", "by the token"},
                                          {"groq/text", "no number"},  {"groq/neg", "no number"},
                                          {"groq/steps", "steps"},     {"groq/list", "steps"},
                                          {"groq/request", "request"}, {"mistral-x", "two different"}};
    struct price_file f = read_file(litellm);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        ck_assert_msg(strstr(reason(&f, rows[i][0]), rows[i][1]), "%s: %s", rows[i][0], reason(&f, rows[i][0]));
    ck_assert_uint_eq(f.skipped_n, sizeof rows / sizeof *rows);
}
END_TEST

static const char genai[] =
    "[{\"id\":\"anthropic\",\"models\":["
    "{\"id\":\"claude-a\",\"match\":{\"or\":[{\"starts_with\":\"claude-a\"},{\"equals\":\"claude-a-20250514\"},"
    "{\"equals\":\"claude-a\"}]},\"prices\":{\"input_mtok\":{\"base\":3,\"tiers\":[{\"start\":200000,\"price\":6}]},"
    "\"cache_write_mtok\":{\"base\":3.75,\"tiers\":[{\"start\":200000,\"price\":7.5}]},"
    "\"cache_read_mtok\":{\"base\":0.3,\"tiers\":[{\"start\":200000,\"price\":0.6}]},"
    "\"output_mtok\":{\"base\":15,\"tiers\":[{\"start\":200000,\"price\":22.5}]}}},"
    "{\"id\":\"claude-dated\",\"match\":{\"equals\":\"claude-dated\"},\"prices\":[{\"prices\":{\"input_mtok\":9,"
    "\"output_mtok\":9}},{\"prices\":{\"input_mtok\":5,"
    "\"output_mtok\":25}},{\"constraint\":{\"start_date\":\"2026-03-13\"},\"prices\":{\"input_mtok\":4,"
    "\"output_mtok\":20}}]}]},"
    "{\"id\":\"deepseek\",\"models\":[{\"id\":\"deepseek-night\",\"prices\":[{\"prices\":{\"input_mtok\":0.27,"
    "\"output_mtok\":1.1,\"cache_read_mtok\":0.07}},{\"constraint\":{\"start_time\":\"16:30:00Z\","
    "\"end_time\":\"00:30:00Z\"},\"prices\":{\"input_mtok\":0.135,\"output_mtok\":2.2,\"cache_read_mtok\":0.035}}]}]},"
    "{\"id\":\"openai\",\"models\":[{\"id\":\"thinker\",\"prices\":{\"input_mtok\":1,\"output_mtok\":2,"
    "\"output_reasoning_mtok\":3,\"cache_write_mtok\":1.25,\"cache_write_1h_mtok\":1.9,\"web_searches_kcount\":10}}]},"
    "{\"id\":\"google\",\"models\":[{\"id\":\"gemini-a\",\"prices\":{\"input_mtok\":0.3,\"input_audio_mtok\":1,"
    "\"output_mtok\":2.5}},{\"id\":\"claude-a\",\"prices\":{\"input_mtok\":4,\"output_mtok\":16}},{\"id\":\"embed-a\",\"prices\":{\"input_mtok\":0.15}}]},"
    "{\"id\":\"together\",\"models\":[{\"id\":\"meta/llama\",\"prices\":{\"input_mtok\":0.88,\"output_mtok\":0.88}}]},"
    "{\"id\":\"groq\",\"models\":[{\"id\":\"free\",\"prices\":{\"input_mtok\":0,\"output_mtok\":0}},"
    "{\"id\":\"asks\",\"prices\":{\"input_mtok\":1,\"output_mtok\":1,\"requests_kcount\":5}},"
    "{\"id\":\"odd\",\"prices\":{\"input_mtok\":1,\"output_mtok\":1,\"tool_use_kcount\":5}},"
    "{\"id\":\"none\",\"prices\":{}},{\"id\":\"empty\",\"prices\":[]},"
    "{\"id\":\"tiers\",\"prices\":{\"input_mtok\":{\"base\":1,\"tiers\":[{\"start\":1,\"price\":2},{\"start\":2,"
    "\"price\":3}]},\"output_mtok\":1}}]},"
    "{\"id\":\"avian\",\"models\":[{\"id\":\"other\",\"prices\":{\"input_mtok\":1,\"output_mtok\":1}}]}]";

START_TEST(genais_file_is_read)
{
    struct price_file f = read_file(genai);
    const struct price *p = find(&f, "claude-a");
    ck_assert_str_eq(f.format, "genai-prices");
    rates_are(&p->base, 3000000, 300000, 3750000, 6000000, 15000000);
    rates_are(&p->above, 6000000, 600000, 7500000, 12000000, 22500000);
    ck_assert_int_eq(p->above_tokens, 200000);
    ck_assert_ptr_nonnull(find(&f, "claude-a-20250514"));
    p = find(&f, "claude-dated");
    ck_assert_int_eq(p[0].from_ns, 0);
    ck_assert_int_eq(p[0].base.input, 5000000);
    ck_assert_int_eq(p[1].from_ns, INT64_C(1773360000000000000)); /* 2026-03-13 */
    ck_assert_int_eq(p[1].base.input, 4000000);
    rates_are(&find(&f, "deepseek-night")->base, 270000, 70000, 270000, 270000, 2200000);
    rates_are(&find(&f, "gemini-a")->base, 300000, 300000, 300000, 300000, 2500000);
    ck_assert_int_eq(find(&f, "embed-a")->base.output, 0);
    ck_assert_ptr_nonnull(find(&f, "together/meta/llama"));
    ck_assert_int_eq(find(&f, "vertex/claude-a")->base.input, 4000000);
    rates_are(&find(&f, "thinker")->base, 1000000, 1000000, 1250000, 1900000, 3000000);
    ck_assert_uint_eq(f.n, 10);
    static const char *const rows[][2] = {{"free", "nothing"}, {"asks", "request"}, {"odd", "unit"},  {"none", "token"},
                                          {"empty", "token"},  {"tiers", "steps"},  {"other", "kind"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        ck_assert_msg(strstr(reason(&f, rows[i][0]), rows[i][1]), "%s: %s", rows[i][0], reason(&f, rows[i][0]));
    ck_assert_uint_eq(f.skipped_n, sizeof rows / sizeof *rows);
}
END_TEST

START_TEST(other_files_are_refused)
{
    static const char *const wrong[] = {
        "", "{}", "[]", "{\"a\":1}", "[{\"id\":\"x\"}]", "not json", "{\"a\":{\"b\":{}}}", "7"};
    struct price_file f;
    struct err err = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(price_file_read(ctx, str_of(wrong[i]), &f, &err) == RC_INVALID, "%s", wrong[i]);
    ck_assert(err.sentence[0]);
}
END_TEST

static struct price plain(pico in, pico out)
{
    struct rates r = {.input = in, .cache_read = in / 10, .cache_write = in, .cache_write_1h = in, .output = out};
    return (struct price){.model = "m", .currency = "USD", .base = r, .above = r};
}

START_TEST(absurd_prices_are_told)
{
    struct price was = plain(3000000, 15000000), now = was;
    ck_assert_ptr_null(price_absurd(ctx, &now, &was));
    ck_assert_ptr_null(price_absurd(ctx, &now, NULL));
    now = plain(15000000, 75000000);
    ck_assert_ptr_null(price_absurd(ctx, &now, &was)); /* five times is still taken */
    now.base.input++;
    ck_assert_ptr_nonnull(strstr(price_absurd(ctx, &now, &was), "input was 3.00"));
    now = plain(600000, 3000000);
    ck_assert_ptr_null(price_absurd(ctx, &now, &was));
    now.base.output--;
    ck_assert_ptr_nonnull(strstr(price_absurd(ctx, &now, &was), "output was 15.00"));
    now = was;
    now.base.output = 0;
    ck_assert_ptr_nonnull(strstr(price_absurd(ctx, &now, &was), "would be 0"));
    now = was;
    now.base.cache_read = now.base.input + 1;
    ck_assert_ptr_nonnull(strstr(price_absurd(ctx, &now, NULL), "reading the cache"));
    now = was;
    now.base.cache_write_1h = 4 * now.base.input + 1;
    ck_assert_ptr_nonnull(strstr(price_absurd(ctx, &now, NULL), "writing to the cache"));
    now = plain(INT64_C(10000000001), 1);
    ck_assert_ptr_nonnull(strstr(price_absurd(ctx, &now, NULL), "above 10000"));
    now = was;
    now.above_tokens = 200000;
    now.above = plain(2000000, 15000000).base;
    ck_assert_ptr_nonnull(strstr(price_absurd(ctx, &now, NULL), "long prompts"));
    was.base.input = 0; /* from nothing to something is a jump as well */
    now = plain(3000000, 15000000);
    ck_assert_ptr_nonnull(price_absurd(ctx, &now, &was));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("price files");
    TCase *tc = tcase_create("files");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, decimals_are_exact);
    tcase_add_test(tc, other_texts_are_no_prices);
    tcase_add_test(tc, litellms_file_is_read);
    tcase_add_test(tc, what_litellm_has_that_cannot_be_billed_by_is_left_out);
    tcase_add_test(tc, genais_file_is_read);
    tcase_add_test(tc, other_files_are_refused);
    tcase_add_test(tc, absurd_prices_are_told);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
