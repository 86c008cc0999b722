/* Contract of requests (llm/llm.h): a conversation becomes exactly these bytes, again and again; what the gateway reads
 * of a body is right; a splice changes the cap and the wish for usage and not one other byte. */
#include "llm/llm.h"
#include <check.h>

static const struct llm_tool tools[] = {
    {"read", "Reads a file.", "{\"type\":\"object\",\"properties\":{\"path\":{\"type\":\"string\"}}}"},
    {"run", "Runs a command.", "{\"type\":\"object\"}"},
};

static struct llm_part *call(struct llm_conversation *c, struct llm_message *m, const char *id, const char *name,
                             const char *arguments)
{
    struct llm_part *p = llm_add_part(c, m, LLM_TOOL_CALL, STR(""));
    p->id = id;
    p->name = name;
    p->arguments = str_of(arguments);
    return p;
}

static struct llm_part *result(struct llm_conversation *c, struct llm_message *m, const char *id, const char *text)
{
    struct llm_part *p = llm_add_part(c, m, LLM_TOOL_RESULT, str_of(text));
    p->id = id;
    return p;
}

/* Everything that a conversation can hold, also what no provider takes as it is. */
static struct llm_conversation *conversation(mem *ctx)
{
    struct llm_conversation *c = llm_conversation_new(ctx, "Be \"good\".");
    c->tools = tools;
    c->tool_count = 2;
    llm_add_part(c, llm_add_message(c, LLM_USER), LLM_TEXT, STR("Do it\n\xff"));
    struct llm_message *m = llm_add_message(c, LLM_ASSISTANT);
    llm_add_part(c, m, LLM_REASONING, STR("hm"))->opaque = STR("c2ln");
    llm_add_part(c, m, LLM_REASONING, STR("no seal"));
    struct llm_part *sealed = llm_add_part(c, m, LLM_REASONING, STR(""));
    sealed->opaque = STR("c2VhbA==");
    sealed->name = "redacted_thinking";
    llm_add_part(c, m, LLM_TEXT, STR("I look."));
    llm_add_part(c, m, LLM_TEXT, STR(" \n"));
    call(c, m, "a", "read", "{\"path\": \"x\"}");
    call(c, m, "b", "re ad/\xc3\xa9", "{\"pa")->bad_arguments = true;
    call(c, m, "c", "", "")->opaque = STR("{\"k\":1}");
    m = llm_add_message(c, LLM_USER);
    llm_add_part(c, m, LLM_TEXT, STR("Go on."));
    result(c, m, "a", "1\tint x;");
    result(c, m, "b", "no")->is_error = true;
    result(c, m, "c", "");
    llm_add_message(c, LLM_ASSISTANT);
    llm_add_part(c, llm_add_message(c, LLM_USER), LLM_TEXT, STR("And?"));
    return c;
}

#define TAIL                                                                                                                       \
    "\"stream\":true,\"stream_options\":{\"include_usage\":true},\"tools\":["                                                      \
    "{\"type\":\"function\",\"function\":{\"name\":\"read\",\"description\":\"Reads a file.\",\"parameters\":"                     \
    "{\"type\":\"object\",\"properties\":{\"path\":{\"type\":\"string\"}}}}},"                                                     \
    "{\"type\":\"function\",\"function\":{\"name\":\"run\",\"description\":\"Runs a command.\",\"parameters\":"                    \
    "{\"type\":\"object\"}}}],\"messages\":["                                                                                      \
    "{\"role\":\"system\",\"content\":\"Be \\\"good\\\".\"},"                                                                      \
    "{\"role\":\"user\",\"content\":\"Do it\\n\xef\xbf\xbd\"},"                                                                    \
    "{\"role\":\"assistant\",\"content\":\"I look.\",\"tool_calls\":["                                                             \
    "{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"read\",\"arguments\":\"{\\\"path\\\": \\\"x\\\"}\"}},"           \
    "{\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"re_ad___\",\"arguments\":"                                       \
    "\"{\\\"malformed_arguments\\\":\\\"{\\\\\\\"pa\\\"}\"}},"                                                                     \
    "{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"unknown\",\"arguments\":\"{}\"},\"extra_content\":{\"k\":1}}]}," \
    "{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"1\\tint x;\"},"                                                       \
    "{\"role\":\"tool\",\"tool_call_id\":\"b\",\"content\":\"no\"},"                                                               \
    "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"\"},"                                                                 \
    "{\"role\":\"user\",\"content\":\"Go on.\"},"                                                                                  \
    "{\"role\":\"assistant\",\"content\":\"\"},"                                                                                   \
    "{\"role\":\"user\",\"content\":\"And?\"}]}"

static const struct {
    const char *dialect, *body;
} golden[] = {
    {"chat", "{\"model\":\"m\",\"max_tokens\":4096," TAIL},
    {"openai", "{\"model\":\"m\",\"max_completion_tokens\":4096," TAIL},
    {"messages",
     "{\"model\":\"m\",\"max_tokens\":4096,\"stream\":true,\"tools\":["
     "{\"name\":\"read\",\"description\":\"Reads a file.\",\"input_schema\":"
     "{\"type\":\"object\",\"properties\":{\"path\":{\"type\":\"string\"}}}},"
     "{\"name\":\"run\",\"description\":\"Runs a command.\",\"input_schema\":{\"type\":\"object\"},"
     "\"cache_control\":{\"type\":\"ephemeral\"}}],"
     "\"system\":[{\"type\":\"text\",\"text\":\"Be \\\"good\\\".\",\"cache_control\":{\"type\":\"ephemeral\"}}],"
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Do it\\n\xef\xbf\xbd\"}]},"
     "{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"c2ln\"},"
     "{\"type\":\"redacted_thinking\",\"data\":\"c2VhbA==\"},{\"type\":\"text\",\"text\":\"I look.\"},"
     "{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"read\",\"input\":{\"path\": \"x\"}},"
     "{\"type\":\"tool_use\",\"id\":\"b\",\"name\":\"re_ad___\",\"input\":{\"malformed_arguments\":\"{\\\"pa\"}},"
     "{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"unknown\",\"input\":{}}]},"
     "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"a\",\"content\":\"1\\tint x;\"},"
     "{\"type\":\"tool_result\",\"tool_use_id\":\"b\",\"content\":\"no\",\"is_error\":true},"
     "{\"type\":\"tool_result\",\"tool_use_id\":\"c\",\"content\":\"\"},"
     "{\"type\":\"text\",\"text\":\"Go on.\",\"cache_control\":{\"type\":\"ephemeral\"}}]},"
     "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"(nothing)\"}]},"
     "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"And?\",\"cache_control\":{\"type\":\"ephemeral\"}}]}]}"},
};

static struct str body_of(mem *ctx, const struct llm_conversation *c, const char *dialect, int64_t max_output)
{
    struct buf b;
    buf_init(&b, ctx, 1 << 20);
    llm_dialect_find(dialect)->write_request(c, "m", max_output, &b);
    ck_assert(!b.overflow);
    return buf_view(&b);
}

START_TEST(test_golden_bodies)
{
    CLEANUP_MEM mem *ctx = mem_root();
    for (int again = 0; again < 2; again++) {
        struct str body = body_of(ctx, conversation(ctx), golden[_i].dialect, 4096);
        ck_assert_str_eq(str_dup(ctx, body), golden[_i].body);
        /* Our own bodies pass our own gateway, and splicing in what is there changes nothing. */
        const struct llm_dialect *d = llm_dialect_find(golden[_i].dialect);
        struct llm_request_facts facts;
        ck_assert_int_eq(llm_request_read(ctx, d, NULL, false, body, &facts, NULL), RC_OK);
        ck_assert_str_eq(facts.model, "m");
        ck_assert_int_eq(facts.max_output, 4096);
        ck_assert(facts.stream && !facts.unpriced);
        struct str same;
        ck_assert_int_eq(
            llm_request_splice(ctx, d, body, &(struct llm_splice){.max_output = 4096, .ask_usage = true}, &same, NULL),
            RC_OK);
        ck_assert(str_eq(same, body));
    }
}
END_TEST

START_TEST(test_copy_is_the_same)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct llm_conversation *c = conversation(ctx), *twin = llm_conversation_new(ctx, c->system);
    twin->tools = c->tools;
    twin->tool_count = c->tool_count;
    for (const struct llm_message *m = c->first; m; m = m->next)
        llm_add_copy(twin, m);
    for (size_t i = 0; i < 3; i++)
        ck_assert_str_eq(str_dup(ctx, body_of(ctx, twin, golden[i].dialect, 4096)), golden[i].body);
}
END_TEST

START_TEST(test_small_conversation)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct llm_conversation *c = llm_conversation_new(ctx, NULL);
    llm_add_part(c, llm_add_message(c, LLM_USER), LLM_TEXT, STR("a"));
    ck_assert_str_eq(str_dup(ctx, body_of(ctx, c, "chat", 1)),
                     "{\"model\":\"m\",\"max_tokens\":1,\"stream\":true,\"stream_options\":{\"include_usage\":true},"
                     "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}");
    ck_assert_str_eq(str_dup(ctx, body_of(ctx, c, "messages", 1)),
                     "{\"model\":\"m\",\"max_tokens\":1,\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":"
                     "[{\"type\":\"text\",\"text\":\"a\",\"cache_control\":{\"type\":\"ephemeral\"}}]}]}");
}
END_TEST

START_TEST(test_overflow_shows)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct buf b;
    buf_init(&b, ctx, 50);
    llm_dialect_find("messages")->write_request(conversation(ctx), "m", 1, &b);
    ck_assert(b.overflow);
}
END_TEST

START_TEST(test_headers)
{
    CLEANUP_MEM mem *ctx = mem_root();
    const char *const *h = llm_dialect_find("chat")->headers(ctx, " k1\n");
    ck_assert_str_eq(h[0], "Authorization: Bearer k1");
    ck_assert_ptr_null(h[1]);
    ck_assert_ptr_null(llm_dialect_find("openai")->headers(ctx, NULL)[0]);
    ck_assert_ptr_null(llm_dialect_find("chat")->headers(ctx, "a\r\nEvil: 1")[0]);
    h = llm_dialect_find("messages")->headers(ctx, "k2");
    ck_assert_str_eq(h[0], "anthropic-version: 2023-06-01");
    ck_assert_str_eq(h[1], "x-api-key: k2");
    ck_assert_ptr_null(h[2]);
    ck_assert_ptr_null(llm_dialect_find("messages")->headers(ctx, "a b")[1]);
    ck_assert_ptr_null(llm_dialect_find("cohere"));
    ck_assert_ptr_null(llm_dialect_find(NULL));
    size_t n;
    llm_dialects(&n);
    ck_assert_uint_eq(n, 5);
}
END_TEST

START_TEST(test_splice)
{
    static const struct {
        const char *dialect, *body, *spliced, *model;
    } cases[] = {
        /* Replaced where it stands, under either name, with every blank and unknown member kept. */
        {"openai", "{ \"model\" : \"m\",\"max_tokens\"\t: 900 , \"x\":{\"max_tokens\":1}}",
         "{ \"model\" : \"m\",\"max_completion_tokens\"\t: 77 , \"x\":{\"max_tokens\":1}}"},
        {"chat", "{\"model\":\"m\",\"max_completion_tokens\":900}", "{\"model\":\"m\",\"max_tokens\":77}"},
        {"chat", "{\"max_tokens\":1,\"max_completion_tokens\":2,\"model\":\"m\"}",
         "{\"max_tokens\":77,\"max_completion_tokens\":77,\"model\":\"m\"}"},
        {"chat", "{\"max_tokens\":null,\"max_completion_tokens\":2}",
         "{\"max_tokens\":77,\"max_completion_tokens\":77}"},
        {"chat", "{\"max_tokens\":null}", "{\"max_tokens\":77}"},
        {"chat", "{\"max\\u005ftokens\":5}", "{\"max\\u005ftokens\":77}"},
        /* Added when absent. */
        {"chat", " {}\n", " {\"max_tokens\":77}\n"},
        {"openai", "{ \"model\":\"m\"}", "{\"max_completion_tokens\":77, \"model\":\"m\"}"},
        {"openai", "{\"max_tokens\":null}", "{\"max_completion_tokens\":77,\"max_tokens\":null}"},
        {"messages", "{\"model\":\"m\",\"max_tokens\":1000,\"stream\":true}",
         "{\"model\":\"m\",\"max_tokens\":77,\"stream\":true}"},
        {"messages", "{\"max_completion_tokens\":1}", "{\"max_tokens\":77,\"max_completion_tokens\":1}"},
        /* Usage is asked for on a stream only. */
        {"chat", "{\"stream\":false,\"max_tokens\":1}", "{\"stream\":false,\"max_tokens\":77}"},
        {"chat", "{\"stream\":null,\"max_tokens\":1}", "{\"stream\":null,\"max_tokens\":77}"},
        {"chat", "{\"stream\":true,\"max_tokens\":1}",
         "{\"stream_options\":{\"include_usage\":true},\"stream\":true,\"max_tokens\":77}"},
        {"chat", "{\"stream\":true,\"stream_options\":null,\"max_tokens\":1}",
         "{\"stream\":true,\"stream_options\":{\"include_usage\":true},\"max_tokens\":77}"},
        {"chat", "{\"stream_options\":{ },\"stream\":true,\"max_tokens\":1}",
         "{\"stream_options\":{\"include_usage\":true },\"stream\":true,\"max_tokens\":77}"},
        {"chat", "{\"stream_options\":{\"include_obfuscation\":false},\"stream\":true,\"max_tokens\":1}",
         "{\"stream_options\":{\"include_usage\":true,\"include_obfuscation\":false},\"stream\":true,\"max_tokens\":77}"},
        {"chat", "{\"stream_options\":{\"include_usage\":false},\"stream\":true,\"max_tokens\":1}",
         "{\"stream_options\":{\"include_usage\":true},\"stream\":true,\"max_tokens\":77}"},
        /* The model that is meant. */
        {"chat", "{\"model\":\"TIER_A\" ,\"max_tokens\":1}", "{\"model\":\"a\\\"b\" ,\"max_tokens\":77}", "a\"b"},
        {"responses", "{\"model\":\"m\",\"max_output_tokens\":1}", "{\"model\":\"x\",\"max_output_tokens\":77}", "x"},
        /* Google's cap stands a level deeper, under either name; its model in the path. */
        {"gemini", "{\"contents\":[]}", "{\"generationConfig\":{\"maxOutputTokens\":77},\"contents\":[]}", "x"},
        {"gemini", "{\"generation_config\":{\"max_output_tokens\":9}}",
         "{\"generation_config\":{\"max_output_tokens\":77}}"},
        {"gemini", "{\"generationConfig\":null}", "{\"generationConfig\":{\"maxOutputTokens\":77}}"},
        {"gemini", "{\"generationConfig\":{\"topK\":1}}", "{\"generationConfig\":{\"maxOutputTokens\":77,\"topK\":1}}"},
        /* Reasoning that another family sealed stays behind, and with it its commas. */
        {"messages",
         "{\"max_tokens\":1,\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"a\","
         "\"signature\":\"nm1.gemini.-.-.x\"}, {\"type\":\"redacted_thinking\",\"data\":\"nm1.\"} , {\"type\":\"text\","
         "\"text\":\"t\"} , {\"type\":\"thinking\",\"thinking\":\"a\",\"signature\":\"nm1.chat.-.-.\"} ]}]}",
         "{\"max_tokens\":77,\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"t\"} ]}]}"},
        {"messages",
         "{\"max_tokens\":1,\"messages\":[{\"content\":[{\"type\":\"thinking\",\"thinking\":\"a\",\"signature\":\"own\"}]},"
         "{\"content\":[{\"type\":\"thinking\",\"thinking\":\"a\",\"signature\":\"nm1.\"}]}]}",
         "{\"max_tokens\":77,\"messages\":[{\"content\":[{\"type\":\"thinking\",\"thinking\":\"a\",\"signature\":\"own\"}]},"
         "{\"content\":[{\"type\":\"text\",\"text\":\"(reasoning of another model)\"}]}]}"},
        {"responses",
         "{\"max_output_tokens\":1,\"input\":[{\"type\":\"message\"},{\"type\":\"reasoning\",\"encrypted_content\":"
         "\"nm1.messages.-.-.s\"},{\"type\":\"reasoning\",\"encrypted_content\":\"own\"}]}",
         "{\"max_output_tokens\":77,\"input\":[{\"type\":\"message\"},{\"type\":\"reasoning\",\"encrypted_content\":\"own\"}]}"},
        {"gemini",
         "{\"generationConfig\":{\"maxOutputTokens\":1},\"contents\":[{\"parts\":[{\"text\":\"x\",\"thought\":true,"
         "\"thoughtSignature\":\"bm0xLm1lc3NhZ2Vz\"},{\"functionCall\":{\"name\":\"f\"},\"thoughtSignature\":\"bm0xLg==\"}]}]}",
         "{\"generationConfig\":{\"maxOutputTokens\":77},\"contents\":[{\"parts\":[{\"functionCall\":{\"name\":\"f\"},"
         "\"thoughtSignature\":\"skip_thought_signature_validator\"}]}]}"},
        {"chat", "{\"stream\":true,\"x\":\"\xc3\xa9\\n\"}",
         "{\"max_tokens\":77,\"stream_options\":{\"include_usage\":true},\"stream\":true,\"x\":\"\xc3\xa9\\n\"}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP_MEM mem *ctx = mem_root();
        const struct llm_splice change = {.model = cases[i].model, .max_output = 77, .ask_usage = true};
        struct str out;
        ck_assert_int_eq(
            llm_request_splice(ctx, llm_dialect_find(cases[i].dialect), str_of(cases[i].body), &change, &out, NULL),
            RC_OK);
        ck_assert_str_eq(str_dup(ctx, out), cases[i].spliced);
    }
}
END_TEST

/* Claude at Google: the version is in the body and the model is not. */
START_TEST(test_splice_for_google)
{
    static const char *const cases[][2] = {
        {"{\"model\":\"m\",\"max_tokens\":1}", "{\"anthropic_version\":\"v\",\"max_tokens\":77}"},
        {"{ \"max_tokens\":1 , \"model\" : \"m\" }", "{\"anthropic_version\":\"v\", \"max_tokens\":77 }"},
        {"{\"max_tokens\":1,\"model\":\"m\",\"x\":[1]}", "{\"anthropic_version\":\"v\",\"max_tokens\":77,\"x\":[1]}"},
        {"{\"model\":\"m\",\"anthropic_version\":\"old\",\"max_tokens\":1}",
         "{\"anthropic_version\":\"v\",\"max_tokens\":77}"},
        {"{\"max_tokens\":1}", "{\"anthropic_version\":\"v\",\"max_tokens\":77}"},
    };
    const struct llm_splice change = {.model = "n", .max_output = 77, .anthropic_version = "v"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP_MEM mem *ctx = mem_root();
        struct str out;
        ck_assert_int_eq(
            llm_request_splice(ctx, llm_dialect_find("messages"), str_of(cases[i][0]), &change, &out, NULL), RC_OK);
        ck_assert_str_eq(str_dup(ctx, out), cases[i][1]);
    }
}
END_TEST

START_TEST(test_facts)
{
    static const struct {
        const char *body, *model;
        int64_t max_output;
        bool stream;
        const char *unpriced;
    } good[] = {
        {"{\"model\":\"a\"}", "a", 0, false, NULL},
        {"{\"model\":\"a\",\"stream\":true,\"max_tokens\":5}", "a", 5, true, NULL},
        {"{\"model\":\"a\",\"max_tokens\":5,\"max_completion_tokens\":9}", "a", 9, false, NULL},
        {"{\"model\":\"a\",\"n\":1,\"service_tier\":\"auto\"}", "a", 0, false, NULL},
        {"{\"model\":\"a\",\"n\":2}", "a", 0, false, NULL},
        {"{\"model\":\"a\",\"best_of\":2}", "a", 0, false, "best_of"},
        {"{\"model\":\"a\",\"service_tier\":\"priority\"}", "a", 0, false, "service_tier"},
        {"{\"model\":\"a\",\"web_search_options\":{}}", "a", 0, false, "web_search_options"},
        {"{\"model\":\"a\",\"tools\":[{\"type\":\"function\"},{\"type\":\"web_search_20250305\"}]}", "a", 0, false,
         "tools"},
        {"{\"model\":\"a\",\"messages\":[{\"content\":[{\"type\":\"text\"},{\"type\":\"image_url\"}]}]}", "a", 0, false,
         NULL},
        {"{\"model\":\"a\",\"messages\":[{\"content\":[{\"type\":\"tool_result\",\"content\":[{\"type\":\"image\"}]}]}]}",
         "a", 0, false, NULL},
        {"{\"model\":\"a\",\"messages\":[{\"content\":\"x\"},{\"content\":null}]}", "a", 0, false, NULL},
    };
    const struct llm_dialect *d = llm_dialect_find("chat");
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CLEANUP_MEM mem *ctx = mem_root();
        struct llm_request_facts f;
        ck_assert_msg(llm_request_read(ctx, d, NULL, false, str_of(good[i].body), &f, NULL) == RC_OK, "%s",
                      good[i].body);
        ck_assert_str_eq(f.model, good[i].model);
        ck_assert_int_eq(f.max_output, good[i].max_output);
        ck_assert(f.stream == good[i].stream);
        ck_assert_pstr_eq(f.unpriced, good[i].unpriced);
    }
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "\"x\"",
        "{}",
        "{\"model\":\"\"}",
        "{\"model\":5}",
        "{\"model\":null}",
        "{\"model\":\"a\",\"model\":\"b\"}",
        "{\"model\":\"a\",\"mod\\u0065l\":\"b\"}",
        "{\"model\":\"a\",\"n\":1,\"n\":8}",
        "{\"model\":\"a\",\"n\":0}",
        "{\"model\":\"a\",\"n\":1000}",
        "{\"model\":\"a\",\"max_tokens\":0}",
        "{\"model\":\"a\",\"max_tokens\":-1}",
        "{\"model\":\"a\",\"max_tokens\":1.5}",
        "{\"model\":\"a\",\"max_tokens\":\"5\"}",
        "{\"model\":\"a\",\"max_tokens\":99999999999999999999}",
        "{\"model\":\"a\",\"max_tokens\":5,\"max_tokens\":500000}",
        "{\"model\":\"a\",\"max_tokens\":null,\"max_tokens\":500000}",
        "{\"model\":\"a\",\"stream\":1}",
        "{\"model\":\"a\",\"stream\":true,\"stream\":false}",
        "{\"model\":\"a\",\"stream_options\":[]}",
        "{\"model\":\"a\\u0000b\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CLEANUP_MEM mem *ctx = mem_root();
        struct llm_request_facts f;
        struct err err = {0};
        ck_assert_msg(llm_request_read(ctx, d, NULL, false, str_of(bad[i]), &f, &err) == RC_INVALID, "%s", bad[i]);
        ck_assert(err.sentence[0]);
    }
}
END_TEST

/* What a true upper bound needs, in every dialect. */
START_TEST(test_bound_facts)
{
    static const struct {
        const char *dialect, *body;
        int64_t n, media, hidden; /* hidden: bytes of base64 that do not count */
        const char *unpriced;
    } cases[] = {
        {"chat", "{\"model\":\"a\",\"n\":3}", 3, 0, 0, NULL},
        {"chat",
         "{\"model\":\"a\",\"messages\":[{\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
         "\"data:image/png;base64,AAAA\"}},{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://x/y\"}}]}]}",
         1, 2, 28, NULL},
        /* The second of two equal names may be the one that is read. */
        {"chat", "{\"model\":\"a\",\"messages\":[{\"content\":\"x\",\"content\":[{\"type\":\"image_url\"}]}]}", 1, 1, 0,
         NULL},
        {"chat", "{\"model\":\"a\",\"messages\":[{\"content\":[{\"type\":\"video_url\"}]}]}", 1, 0, 0, "content"},
        {"chat", "{\"model\":\"a\",\"messages\":[{\"content\":[{\"type\":\"input_audio\"}]}]}", 1, 0, 0, "audio"},
        {"chat", "{\"model\":\"a\",\"messages\":[{\"content\":[{\"type\":\"file\"}]}]}", 1, 0, 0, "files"},
        {"chat", "{\"model\":\"a\",\"modalities\":[\"text\",\"audio\"]}", 1, 0, 0, "modalities"},
        {"chat",
         "{\"model\":\"a\",\"messages\":[{\"tool_calls\":[{\"type\":\"function\",\"function\":{\"arguments\":"
         "\"{}\"}}]}]}",
         1, 0, 0, NULL},
        {"messages",
         "{\"model\":\"a\",\"messages\":[{\"content\":[{\"type\":\"tool_result\",\"content\":[{\"type\":\"image\","
         "\"source\":{\"type\":\"base64\",\"data\":\"AAAA\"}}]},{\"type\":\"tool_use\",\"input\":{\"type\":\"image\"}}]}]}",
         1, 1, 6, NULL},
        {"messages",
         "{\"model\":\"a\",\"messages\":[{\"content\":[{\"type\":\"document\",\"source\":{\"type\":\"text\"}}]}]}", 1,
         0, 0, NULL},
        {"messages",
         "{\"model\":\"a\",\"messages\":[{\"content\":[{\"type\":\"document\",\"source\":{\"type\":\"base64\"}}]}]}", 1,
         0, 0, "files"},
        {"messages",
         "{\"model\":\"a\",\"messages\":[{\"content\":[{\"type\":\"document\",\"source\":{\"type\":\"content\","
         "\"content\":[{\"type\":\"image\"}]}}]}]}",
         1, 1, 0, NULL},
        {"messages",
         "{\"model\":\"a\",\"tools\":[{\"name\":\"x\",\"input_schema\":{}},{\"type\":\"web_search_20250305\"}]}", 1, 0,
         0, "tools"},
        {"messages", "{\"model\":\"a\",\"mcp_servers\":[{}]}", 1, 0, 0, "mcp_servers"},
        {"messages", "{\"model\":\"a\",\"context_management\":{\"edits\":[{\"type\":\"clear_thinking_20251015\"}]}}", 1,
         0, 0, NULL},
        {"responses", "{\"model\":\"a\",\"input\":\"x\",\"previous_response_id\":\"r\"}", 1, 0, 0,
         "previous_response_id"},
        {"responses", "{\"model\":\"a\",\"input\":[{\"type\":\"item_reference\",\"id\":\"r\"}]}", 1, 0, 0,
         "item_reference"},
        {"responses",
         "{\"model\":\"a\",\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"image_url\":"
         "\"data:image/png;base64,AAAA\"}]}]}",
         1, 1, 28, NULL},
        {"responses", "{\"model\":\"a\",\"tools\":[{\"type\":\"image_generation\"}]}", 1, 0, 0, "tools"},
        {"responses", "{\"model\":\"a\",\"background\":true}", 1, 0, 0, "background"},
        {"responses", "{\"model\":\"a\",\"background\":false,\"conversation\":null}", 1, 0, 0, NULL},
        {"gemini", "{\"generationConfig\":{\"candidateCount\":4}}", 4, 0, 0, NULL},
        {"gemini", "{\"generation_config\":{\"candidate_count\":4}}", 4, 0, 0, NULL},
        {"gemini", "{\"contents\":[{\"parts\":[{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"AAAA\"}}]}]}", 1,
         1, 6, NULL},
        {"gemini", "{\"contents\":{\"parts\":{\"inline_data\":{\"mime_type\":\"video/mp4\",\"data\":\"AAAA\"}}}}", 1, 0,
         0, "files"},
        {"gemini", "{\"contents\":[{\"parts\":[{\"fileData\":{\"fileUri\":\"x\"}}]}]}", 1, 0, 0, "files"},
        {"gemini", "{\"tools\":[{\"functionDeclarations\":[]}]}", 1, 0, 0, NULL},
        {"gemini", "{\"tools\":[{\"google_search\":{}}]}", 1, 0, 0, "tools"},
        {"gemini", "{\"cached_content\":\"cachedContents/x\"}", 1, 0, 0, "cachedContent"},
        {"gemini", "{\"generationConfig\":{\"responseModalities\":[\"IMAGE\"]}}", 1, 0, 0, "modalities"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP_MEM mem *ctx = mem_root();
        struct llm_request_facts f;
        struct err err = {0};
        enum rc rc =
            llm_request_read(ctx, llm_dialect_find(cases[i].dialect), "m", true, str_of(cases[i].body), &f, &err);
        ck_assert_msg(rc == RC_OK, "%s: %s", cases[i].body, err.sentence);
        ck_assert_msg(f.n == cases[i].n && f.media == cases[i].media, "%s", cases[i].body);
        ck_assert_msg(f.input_bytes == (int64_t)strlen(cases[i].body) - cases[i].hidden, "%s", cases[i].body);
        ck_assert_pstr_eq(f.unpriced, cases[i].unpriced);
        ck_assert_int_gt(f.media_tokens, 1000);
    }
    static const char *const bad[] = {
        "{\"generationConfig\":{},\"generation_config\":{}}",
        "{\"generationConfig\":{\"maxOutputTokens\":1,\"max_output_tokens\":9}}",
        "{\"generationConfig\":[]}",
        "{\"generationConfig\":{\"candidateCount\":0}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CLEANUP_MEM mem *ctx = mem_root();
        struct llm_request_facts f;
        ck_assert_msg(llm_request_read(ctx, llm_dialect_find("gemini"), "m", false, str_of(bad[i]), &f, NULL) ==
                          RC_INVALID,
                      "%s", bad[i]);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("request");
    tcase_add_loop_test(tc, test_golden_bodies, 0, 3);
    tcase_add_test(tc, test_copy_is_the_same);
    tcase_add_test(tc, test_small_conversation);
    tcase_add_test(tc, test_overflow_shows);
    tcase_add_test(tc, test_headers);
    tcase_add_test(tc, test_splice);
    tcase_add_test(tc, test_splice_for_google);
    tcase_add_test(tc, test_facts);
    tcase_add_test(tc, test_bound_facts);
    Suite *s = suite_create("request");
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
