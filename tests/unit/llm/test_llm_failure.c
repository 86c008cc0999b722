/* Contract of llm_failure_read: which refusals are worth a wait and how long, which need a shorter conversation, which
 * a person; the provider's words reach people without control bytes and without keys. */
#include "llm/llm.h"
#include <check.h>

#define NOW (INT64_C(1763733600) * 1000000000) /* Fri, 21 Nov 2025 14:00:00 GMT */

START_TEST(test_table)
{
    static const struct {
        int status;
        const char *headers, *body;
        enum rc rc;
        int64_t wait;
        bool retryable, too_long, quota;
        const char *says; /* in sentence or detail */
    } cases[] = {
        {400, "", "{\"error\":{\"message\":\"bad value\",\"type\":\"invalid_request_error\"}}", RC_INVALID, -1, false,
         false, false, "bad value"},
        {401, "",
         "{\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"invalid x-api-key\"}}",
         RC_DENIED, -1, false, false, false, "invalid x-api-key"},
        {403, "", "{}", RC_DENIED, -1, false, false, false, "403"},
        {404, "", "{\"error\":{\"message\":\"The model `x` does not exist\",\"code\":\"model_not_found\"}}",
         RC_NOT_FOUND, -1, false, false, false, "does not exist"},
        {408, "", "", RC_UPSTREAM, -1, true, false, false, "408"},
        {409, "", "", RC_UPSTREAM, -1, true, false, false, ""},
        {413, "", "{\"error\":{\"type\":\"request_too_large\",\"message\":\"Request exceeds the maximum size\"}}",
         RC_INVALID, -1, false, true, false, ""},
        {429, "", "", RC_LIMIT, -1, true, false, false, ""},
        {500, "retry-after: 3\r\n", "<html><h1>Oops</h1></html>", RC_UPSTREAM, 3, true, false, false, "Status 500"},
        {501, "", "", RC_INVALID, -1, false, false, false, ""},
        {502, "", "upstream connect error", RC_UPSTREAM, -1, true, false, false, "upstream connect error"},
        {504, "", "", RC_UPSTREAM, -1, true, false, false, ""},
        {529, "", "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}",
         RC_UPSTREAM, -1, true, false, false, "overloaded"},
        {301, "", "", RC_NOT_FOUND, -1, false, false, false, "301"},
        {418, "", "", RC_INVALID, -1, false, false, false, ""},
        {204, "", "", RC_UPSTREAM, -1, true, false, false, ""},
        {0, "", "", RC_UPSTREAM, -1, true, false, false, ""},
        {-2147483647, "", "", RC_UPSTREAM, -1, true, false, false, ""},
        /* A model that is being loaded (llama.cpp). */
        {503, "", "{\"error\":{\"code\":503,\"message\":\"Loading model\",\"type\":\"unavailable_error\"}}",
         RC_UPSTREAM, -1, true, false, false, "still loading"},
        /* Waits: seconds, fractions, dates in three shapes, milliseconds, the past. */
        {429, "Retry-After: 20\r\n", "", RC_LIMIT, 20, true, false, false, ""},
        {429, "content-type: x\r\nRETRY-AFTER:7999\r\n", "", RC_LIMIT, 7999, true, false, false, ""},
        {429, "retry-after: 1.2\r\n", "", RC_LIMIT, 2, true, false, false, ""},
        {429, "retry-after: Fri, 21 Nov 2025 14:00:30 GMT\r\n", "", RC_LIMIT, 30, true, false, false, ""},
        {429, "retry-after: Friday, 21-Nov-25 14:01:00 GMT\r\n", "", RC_LIMIT, 60, true, false, false, ""},
        {429, "retry-after: Fri Nov 21 14:00:05 2025\r\n", "", RC_LIMIT, 5, true, false, false, ""},
        {429, "retry-after: Fri, 21 Nov 2025 13:00:00 GMT\r\n", "", RC_LIMIT, 0, true, false, false, ""},
        {429, "retry-after-ms: 1500\r\nretry-after: 9\r\n", "", RC_LIMIT, 2, true, false, false, ""},
        {429, "x-ms-retry-after-ms: 250\r\n", "", RC_LIMIT, 1, true, false, false, ""},
        {429, "retry-after: soon\r\n", "", RC_LIMIT, -1, true, false, false, ""},
        {429, "retry-after: -5\r\n", "", RC_LIMIT, -1, true, false, false, ""},
        {429, "retry-after: 99999999999999999999999\r\n", "", RC_LIMIT, -1, true, false, false, ""},
        {429, "retry-after: 900000000\r\n", "", RC_LIMIT, 31 * 86400, true, false, false, ""},
        {503, "retry-after: 120\r\n", "", RC_UPSTREAM, 120, true, false, false, ""},
        /* Only reset headers: Go durations and RFC 3339; the limit that is used up decides. */
        {429,
         "x-ratelimit-reset-requests: 120ms\r\nx-ratelimit-reset-tokens: 6m0s\r\nx-ratelimit-remaining-requests: 10\r\nx-ratelimit-remaining-tokens: 0\r\n",
         "", RC_LIMIT, 360, true, false, false, ""},
        {429, "x-ratelimit-reset-requests: 1h0m1.5s\r\nx-ratelimit-reset-tokens: 6m0s\r\n", "", RC_LIMIT, 360, true,
         false, false, ""},
        {429, "x-ratelimit-remaining-tokens: -1\r\nx-ratelimit-reset-tokens: 45\r\n", "", RC_LIMIT, 45, true, false,
         false, ""},
        {429,
         "anthropic-ratelimit-requests-remaining: 5\r\nanthropic-ratelimit-requests-reset: 2025-11-21T14:00:01Z\r\nanthropic-ratelimit-input-tokens-remaining: 0\r\nanthropic-ratelimit-input-tokens-reset: 2025-11-21T14:00:59.5Z\r\n",
         "", RC_LIMIT, 60, true, false, false, ""},
        {429, "anthropic-ratelimit-tokens-reset: 2025-11-21T15:01:00+01:00\r\n", "", RC_LIMIT, 60, true, false, false,
         ""},
        {429, "anthropic-ratelimit-unified-reset: 1763733700\r\n", "", RC_LIMIT, 100, true, false, false, ""},
        {429, "x-ratelimit-reset: 1763733700000\r\n", "", RC_LIMIT, 100, true, false, false, ""},
        {429, "x-ratelimit-reset-tokens: 9999999999999h\r\n", "", RC_LIMIT, 31 * 86400, true, false, false, ""},
        /* In the body only. */
        {429, "",
         "{\"error\":{\"message\":\"Rate limit reached. Please try again in 1m2.5s. Visit us.\",\"code\":\"rate_limit_exceeded\"}}",
         RC_LIMIT, 63, true, false, false, "try again"},
        {429, "",
         "[{\"error\":{\"code\":429,\"message\":\"Quota\",\"status\":\"RESOURCE_EXHAUSTED\",\"details\":[{\"@type\":\"x\"},{\"retryDelay\":\"45.84s\"}]}}]",
         RC_LIMIT, 46, true, false, false, "Quota"},
        /* Google's quota of a day is no matter of waiting, one of a minute is; a wrong key is a 400 there. */
        {429, "",
         "{\"error\":{\"code\":429,\"message\":\"You exceeded it\",\"status\":\"RESOURCE_EXHAUSTED\",\"details\":[{\"@type\":"
         "\"type.googleapis.com/google.rpc.QuotaFailure\",\"violations\":[{\"quotaId\":\"GenerateRequestsPerDayPerProjectPerModel\"}]},"
         "{\"retryDelay\":\"30s\"}]}}",
         RC_LIMIT, -1, false, false, true, "exceeded"},
        {429, "",
         "{\"error\":{\"code\":429,\"message\":\"You exceeded it\",\"details\":[{\"violations\":[{\"quotaId\":"
         "\"GenerateRequestsPerMinutePerProject\"}]},{\"retryDelay\":\"30.2s\"}]}}",
         RC_LIMIT, 31, true, false, false, "exceeded"},
        {400, "",
         "{\"error\":{\"code\":400,\"message\":\"API key not valid. Please pass a valid API key.\",\"status\":"
         "\"INVALID_ARGUMENT\",\"details\":[{\"reason\":\"API_KEY_INVALID\"}]}}",
         RC_DENIED, -1, false, false, false, "not valid"},
        {400, "",
         "{\"error\":{\"code\":400,\"message\":\"The input token count (1200000) exceeds the maximum number of tokens allowed "
         "(1048576).\",\"status\":\"INVALID_ARGUMENT\"}}",
         RC_INVALID, -1, false, true, false, "1048576"},
        /* Responses: the failed response, or an event, as the body. */
        {500, "",
         "{\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"server_error\",\"message\":\"it broke\"}}}",
         RC_UPSTREAM, -1, true, false, false, "it broke"},
        {429, "", "event: error\ndata: {\"type\":\"error\",\"code\":\"insufficient_quota\",\"message\":\"pay\"}\n\n",
         RC_LIMIT, -1, false, false, true, "pay"},
        /* Our own gateway in any dialect. */
        {402, "",
         "{\"type\":\"error\",\"error\":{\"type\":\"billing_error\",\"message\":\"the day's budget is used up\",\"code\":"
         "\"budget_exceeded\"}}",
         RC_LIMIT, -1, false, false, true, "the day's budget"},
        /* Somebody must pay. */
        {429, "retry-after: 5\r\n",
         "{\"error\":{\"message\":\"You exceeded your current quota, please check your plan\",\"type\":\"insufficient_quota\",\"code\":\"insufficient_quota\"}}",
         RC_LIMIT, -1, false, false, true, "current quota"},
        {400, "",
         "{\"error\":{\"type\":\"invalid_request_error\",\"message\":\"Your credit balance is too low to access the Anthropic API.\"}}",
         RC_LIMIT, -1, false, false, true, ""},
        {400, "",
         "{\"error\":{\"type\":\"invalid_request_error\",\"message\":\"You have reached your specified API usage limits. You will regain access on 2025-12-01.\"}}",
         RC_LIMIT, -1, false, false, true, ""},
        {402, "", "{\"error\":{\"message\":\"Insufficient Balance\"}}", RC_LIMIT, -1, false, false, true, ""},
        {429, "", "{\"error\":{\"type\":\"rate_limit_error\",\"message\":\"enforced_spend_limit_reached\"}}", RC_LIMIT,
         -1, false, false, true, ""},
        /* Too long, in the words of OpenAI, Anthropic, llama.cpp, vLLM and others. */
        {400, "",
         "{\"error\":{\"message\":\"This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.\",\"code\":\"context_length_exceeded\"}}",
         RC_INVALID, -1, false, true, false, "130000"},
        {400, "",
         "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"prompt is too long: 210000 tokens > 200000 maximum\"}}",
         RC_INVALID, -1, false, true, false, ""},
        {400, "",
         "{\"error\":{\"message\":\"input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000\"}}",
         RC_INVALID, -1, false, true, false, ""},
        {400, "",
         "{\"error\":{\"code\":400,\"message\":\"the request exceeds the available context size. try increasing it\",\"type\":\"exceed_context_size_error\",\"n_prompt_tokens\":9000,\"n_ctx\":4096}}",
         RC_INVALID, -1, false, true, false, ""},
        {500, "",
         "{\"error\":{\"code\":500,\"message\":\"Context size has been exceeded.\",\"type\":\"server_error\"}}",
         RC_INVALID, -1, false, true, false, ""},
        {400, "",
         "{\"object\":\"error\",\"message\":\"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens\",\"type\":\"BadRequestError\",\"param\":null,\"code\":400}",
         RC_INVALID, -1, false, true, false, "4096"},
        {400, "",
         "{\"error\":{\"message\":\"The decoder prompt (length 5000) is longer than the maximum model length of 4096.\"}}",
         RC_INVALID, -1, false, true, false, ""},
        {429, "retry-after: 1\r\n",
         "{\"error\":{\"message\":\"Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 60000.\",\"type\":\"tokens\",\"code\":\"rate_limit_exceeded\"}}",
         RC_INVALID, -1, false, true, false, ""},
        {401, "", "{\"error\":{\"message\":\"prompt is too long\"}}", RC_DENIED, -1, false, false, false, ""},
        /* Our own gateway refuses in its own words. */
        {402, "",
         "{\"type\":\"about:blank\",\"title\":\"The budget of $2.00 is used up\",\"status\":402,\"detail\":\"d\",\"hint\":\"nightmill resume x --budget 3\",\"code\":\"limit\"}",
         RC_LIMIT, -1, false, false, true, "budget of $2.00"},
        {502, "", "{\"type\":\"about:blank\",\"title\":\"Could not connect\",\"status\":502,\"code\":\"unavailable\"}",
         RC_UPSTREAM, -1, true, false, false, "Could not connect"},
        {404, "",
         "{\"type\":\"about:blank\",\"title\":\"the recording has no answer to this request\",\"status\":404,\"code\":\"not_found\"}",
         RC_NOT_FOUND, -1, false, false, false, "the recording has no answer"},
        /* Bodies of other shapes. */
        {422, "", "{\"detail\":[{\"loc\":[\"body\"],\"msg\":\"field required\"}]}", RC_INVALID, -1, false, false, false,
         "field required"},
        {400, "", "{\"error\":\"model 'x' not found\"}", RC_INVALID, -1, false, false, false, "model 'x'"},
        {500, "", "{\"error\":{\"message\":{\"x\":1}}}", RC_UPSTREAM, -1, true, false, false, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct llm_failure f;
        llm_failure_read(cases[i].status, str_of(cases[i].headers), str_of(cases[i].body), NOW, &f);
        CLEANUP_MEM mem *ctx = mem_root();
        const char *seen =
            mem_printf(ctx, "case %zu: rc %s, wait %ld, %d%d%d, \"%s\" \"%s\"", i, rc_name(f.rc), (long)f.retry_after_s,
                       f.retryable, f.context_too_long, f.quota, f.err.sentence, f.err.detail);
        ck_assert_msg(f.rc == cases[i].rc && f.err.rc == f.rc, "%s", seen);
        ck_assert_msg(f.retry_after_s == cases[i].wait, "%s", seen);
        ck_assert_msg(f.retryable == cases[i].retryable && f.context_too_long == cases[i].too_long &&
                          f.quota == cases[i].quota,
                      "%s", seen);
        ck_assert_msg(strstr(f.err.sentence, cases[i].says) || strstr(f.err.detail, cases[i].says), "%s", seen);
        ck_assert_msg(f.err.sentence[0] != 0, "%s", seen);
    }
}
END_TEST

START_TEST(test_words_are_clean)
{
    static const char *const secrets[] = {"sk-proj-abcdefgh12345678", "AIzaSyA1234567890",
                                          "9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c"};
    CLEANUP_MEM mem *ctx = mem_root();
    for (size_t i = 0; i < 3; i++) {
        struct llm_failure f;
        const char *body = mem_printf(
            ctx,
            "{\"error\":{\"message\":\"Incorrect key provided: %s (see \\\"%s\\\") of this task-force\\u001b[31m\\n\\u202e\"}}",
            secrets[i], secrets[i]);
        llm_failure_read(401, STR(""), str_of(body), NOW, &f);
        ck_assert_msg(!strstr(f.err.detail, secrets[i]), "%s", f.err.detail);
        ck_assert(strstr(f.err.detail, "[key]") && strstr(f.err.detail, "task-force"));
        ck_assert(!strchr(f.err.detail, 0x1b) && !strchr(f.err.detail, '\n') && !strstr(f.err.detail, "\xe2\x80\xae"));
    }
}
END_TEST

START_TEST(test_error_inside_a_stream)
{
    static const struct {
        const char *type, *message;
        enum rc rc;
        bool retryable, too_long, quota;
        int64_t wait;
    } cases[] = {
        {"overloaded_error", "Overloaded", RC_UPSTREAM, true, false, false, -1},
        {"rate_limit_exceeded", "try again in 2s", RC_LIMIT, true, false, false, 2},
        {"server_error", "x", RC_UPSTREAM, true, false, false, -1},
        {"502", "Provider returned error", RC_UPSTREAM, true, false, false, -1},
        {"invalid_request_error", "prompt is too long: 5 > 4", RC_INVALID, false, true, false, -1},
        {"insufficient_quota", "pay", RC_LIMIT, false, false, true, -1},
        {"UNAVAILABLE", "x", RC_UPSTREAM, true, false, false, -1},
        {"RESOURCE_EXHAUSTED", "x", RC_LIMIT, true, false, false, -1},
        {"429", "x", RC_LIMIT, true, false, false, -1},
        {"", "", RC_UPSTREAM, true, false, false, -1},
        {NULL, NULL, RC_UPSTREAM, true, false, false, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct llm_answer a = {.failed = true, .error_type = cases[i].type, .error_message = cases[i].message};
        struct llm_failure f;
        llm_answer_failure(&a, &f);
        ck_assert_msg(f.rc == cases[i].rc && f.retryable == cases[i].retryable &&
                          f.context_too_long == cases[i].too_long && f.quota == cases[i].quota &&
                          f.retry_after_s == cases[i].wait,
                      "case %zu", i);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("failure");
    tcase_add_test(tc, test_table);
    tcase_add_test(tc, test_words_are_clean);
    tcase_add_test(tc, test_error_inside_a_stream);
    Suite *s = suite_create("failure");
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
