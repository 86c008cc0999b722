/* Contract of requests across dialects (llm/request.h): what is read from one dialect and written in another says the
 * same; what would be lost and matters is refused by name, what does not matter is listed. */
#include "llm/embed.h"
#include "llm/endpoint.h"
#include "llm/request.h"
#include <check.h>

static const char *const dialects[] = {"chat", "openai", "responses", "messages", "gemini"};
enum { DIALECTS = 5 };

static struct llm_request *read_request(mem *ctx, const char *dialect, const char *body)
{
    struct llm_request *r = NULL;
    struct err err = {0};
    enum rc rc = llm_request_decode(ctx, llm_dialect_find(dialect), "m", true, str_of(body), &r, &err);
    ck_assert_msg(rc == RC_OK, "%s: %s in %s", dialect, err.sentence, body);
    return r;
}

static char *written(mem *ctx, struct llm_request *r, const char *dialect, const char *model)
{
    struct buf b;
    struct err err = {0};
    buf_init(&b, ctx, 1 << 20);
    enum rc rc = llm_request_encode(r, llm_dialect_find(dialect), model, 4096, true, &b, &err);
    ck_assert_msg(rc == RC_OK, "%s: %s", dialect, err.sentence);
    return b.p;
}

static void part_show(struct buf *b, const struct llm_part *p, bool seals)
{
    static const char *const kinds[] = {"text", "call", "result", "reason", "media"};
    bool sealed = p->opaque.n && p->origin;
    if (p->kind == LLM_REASONING && !seals)
        return;
    buf_printf(b, "%s<%.*s", kinds[p->kind], STR_FMT(p->text));
    if (p->kind == LLM_TOOL_CALL || p->kind == LLM_TOOL_RESULT)
        buf_printf(b, "%s %s %.*s%s%s", p->id, p->name ? p->name : "", STR_FMT(p->arguments),
                   p->bad_arguments ? " bad" : "", p->is_error ? " error" : "");
    if (p->kind == LLM_MEDIA)
        buf_printf(b, "%s %.*s", p->url ? p->url : p->media, STR_FMT(p->data)); /* of an address the type is a guess */
    if (sealed && seals)
        buf_printf(b, " +%s:%.*s", p->origin, STR_FMT(p->opaque));
    for (const struct llm_part *inner = p->inner; inner; inner = inner->next)
        part_show(b, inner, seals);
    buf_z(b, "> ");
}

/* Everything but what `seals` (reasoning, which only its own family carries) and marks say. */
static char *show(mem *ctx, const struct llm_request *r, bool seals)
{
    static const char *const roles[] = {"user", "assistant", "system"};
    const struct llm_conversation *c = r->conversation;
    struct buf b;
    buf_init(&b, ctx, 1 << 20);
    buf_printf(&b, "[%s] ", c->system ? c->system : "");
    for (const struct llm_message *m = c->first; m; m = m->next) {
        buf_printf(&b, "%s: ", roles[m->role]);
        for (const struct llm_part *p = m->first; p; p = p->next)
            part_show(&b, p, seals);
    }
    for (size_t i = 0; i < c->tool_count; i++)
        buf_printf(&b, "tool %s (%s) %s%s; ", c->tools[i].name, c->tools[i].description, c->tools[i].schema,
                   c->tools[i].strict ? " strict" : "");
    buf_printf(&b, "choice=%d %s format=%d %s T=%.*s P=%.*s", r->choice, r->choice_name ? r->choice_name : "",
               r->format, r->format_schema ? r->format_schema : "", STR_FMT(r->temperature), STR_FMT(r->top_p));
    return buf_take(&b, ctx);
}

/* A request that every dialect can carry whole. */
#define COMMON                                                                                                                  \
    "{\"model\":\"m\",\"max_completion_tokens\":100,\"stream\":true,\"temperature\":0.5,\"tool_choice\":\"required\","          \
    "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"answer\",\"schema\":{\"type\":\"object\"}}},"    \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"read\",\"description\":\"Reads.\",\"parameters\":"              \
    "{\"type\":\"object\",\"properties\":{\"path\":{\"type\":\"string\"}}}}},{\"type\":\"function\",\"function\":{\"name\":"    \
    "\"run\",\"description\":\"Runs.\",\"parameters\":{\"type\":\"object\"}}}],\"messages\":["                                  \
    "{\"role\":\"system\",\"content\":\"Be good.\"},{\"role\":\"developer\",\"content\":[{\"type\":\"text\",\"text\":\"Be "     \
    "brief.\"}]},"                                                                                                              \
    "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Look\\n\\u00e9\"},{\"type\":\"image_url\",\"image_url\":"    \
    "{\"url\":\"data:image/png;base64,iVBO\"}},{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://x.example/a.jpg\"}}]}," \
    "{\"role\":\"assistant\",\"content\":\"I look.\",\"tool_calls\":["                                                          \
    "{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"read\",\"arguments\":\"{\\\"path\\\": \\\"x\\\"}\"}},"        \
    "{\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"run\",\"arguments\":\"\"}}]},"                                \
    "{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"int x;\"},"                                                        \
    "{\"role\":\"tool\",\"tool_call_id\":\"b\",\"content\":[{\"type\":\"text\",\"text\":\"ok\"}]},"                             \
    "{\"role\":\"user\",\"content\":\"And?\"}]}"

/* Read in one dialect, written in every other, read there: the same; and written again, the same bytes. */
START_TEST(test_round_trips)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct llm_request *r = read_request(ctx, "chat", COMMON);
    ck_assert_str_eq(
        show(ctx, r, true),
        "[Be good.\n\nBe brief.] user: text<Look\n\xc3\xa9> media<image/png iVBO> media<https://x.example/a.jpg > "
        "assistant: text<I look.> call<a read {\"path\": \"x\"}> call<b run {}> user: result<int x;a  > result<okb  > "
        "text<And?> tool read (Reads.) {\"type\":\"object\",\"properties\":{\"path\":{\"type\":\"string\"}}}; tool run (Runs.) "
        "{\"type\":\"object\"}; choice=3  format=2 {\"type\":\"object\"} T=0.5 P=");
    ck_assert_str_eq(r->dropped, "");
    const char *first = dialects[_i];
    const char *once = mem_str(ctx, written(ctx, r, first, "m"));
    struct llm_request *again = read_request(ctx, first, once);
    /* Calls and results have no ids in what is written for Gemini: they are numbered anew. */
    bool gemini = strcmp(first, "gemini") == 0;
    if (!gemini)
        ck_assert_str_eq(show(ctx, again, true), show(ctx, r, true));
    ck_assert_str_eq(written(ctx, again, first, "m"), once);
    for (size_t k = 0; k < DIALECTS; k++) {
        struct llm_request *there = read_request(ctx, dialects[k], written(ctx, again, dialects[k], "m"));
        if (strcmp(dialects[k], "gemini") != 0)
            ck_assert_str_eq(show(ctx, there, false), show(ctx, again, false));
        if (gemini || strcmp(dialects[k], "gemini") != 0)
            ck_assert_str_eq(written(ctx, there, first, "m"), once);
        ck_assert_int_eq(there->max_output, 4096);
        ck_assert(there->stream && there->wants_usage);
        ck_assert_str_eq(there->model, "m");
        /* What is written passes the gateway's own reading. */
        struct llm_request_facts f;
        ck_assert_int_eq(llm_request_read(ctx, llm_dialect_find(dialects[k]), "m", true,
                                          str_of(written(ctx, again, dialects[k], "m")), &f, NULL),
                         RC_OK);
        ck_assert_int_eq(f.media, 2);
        ck_assert_pstr_eq(f.unpriced, NULL);
    }
}
END_TEST

#define CHAT(more) "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]," more "}"
#define MESSAGES(more)                                                                                                 \
    "{\"model\":\"m\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]," more "}"
#define INPUT(more)    "{\"model\":\"m\",\"input\":\"a\"," more "}"
#define CONTENTS(more) "{\"contents\":[{\"parts\":[{\"text\":\"a\"}]}]," more "}"
static const struct {
    const char *in, *body, *out, *model, *expected, *dropped;
} golden[] = {
    {"chat",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"stop\":\"X\",\"seed\":7,\"top_p\":0.9,"
     "\"reasoning_effort\":\"low\",\"user\":\"u\",\"parallel_tool_calls\":false,\"store\":true,\"metadata\":{\"a\":\"b\"}}",
     "messages", "claude-sonnet-4-5",
     "{\"model\":\"claude-sonnet-4-5\",\"max_tokens\":4096,\"stream\":true,\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024},"
     "\"stop_sequences\":[\"X\"],\"metadata\":{\"user_id\":\"u\"},\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
     "\"text\":\"a\",\"cache_control\":{\"type\":\"ephemeral\"}}]}]}",
     "store, metadata, top_p, seed"},
    {"chat",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"reasoning_effort\":\"high\",\"temperature\":1.5}",
     "messages", "claude-opus-4-7",
     "{\"model\":\"claude-opus-4-7\",\"max_tokens\":4096,\"stream\":true,\"thinking\":{\"type\":\"adaptive\"},\"output_config\":"
     "{\"effort\":\"high\"},\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\",\"cache_control\":"
     "{\"type\":\"ephemeral\"}}]}]}",
     "temperature"},
    {"messages",
     "{\"model\":\"m\",\"max_tokens\":9,\"system\":[{\"type\":\"text\",\"text\":\"s\",\"cache_control\":{\"type\":\"ephemeral\"}}],"
     "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":5000},\"top_k\":3,\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":"
     "\"object\"}}],\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\",\"disable_parallel_tool_use\":true},\"messages\":["
     "{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"t\","
     "\"signature\":\"sig\"},{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"f\",\"input\":{\"x\":1}}]},{\"role\":\"user\","
     "\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_1\",\"is_error\":true,\"content\":[{\"type\":\"text\",\"text\":"
     "\"no\"},{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"QQ==\"}}]}]}]}",
     "responses", "gpt-5",
     "{\"model\":\"gpt-5\",\"max_output_tokens\":4096,\"stream\":true,\"store\":false,\"reasoning\":{\"effort\":\"medium\","
     "\"summary\":\"auto\"},\"include\":[\"reasoning.encrypted_content\"],\"tool_choice\":{\"type\":\"function\",\"name\":\"f\"},"
     "\"parallel_tool_calls\":false,\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":{\"type\":\"object\"},\"strict\":"
     "false}],\"instructions\":\"s\",\"input\":[{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
     "\"text\":\"a\"}]},{\"type\":\"function_call\",\"call_id\":\"toolu_1\",\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"},"
     "{\"type\":\"function_call_output\",\"call_id\":\"toolu_1\",\"output\":[{\"type\":\"input_text\",\"text\":\"no\"},{\"type\":"
     "\"input_image\",\"image_url\":\"data:image/png;base64,QQ==\",\"detail\":\"auto\"}]}]}",
     "top_k"},
    {"messages",
     "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":["
     "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
     "\"tool_use_id\":\"t\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://x/y\"}}]},{\"type\":"
     "\"document\",\"title\":\"d\",\"source\":{\"type\":\"base64\",\"media_type\":\"application/pdf\",\"data\":\"QQ==\"}}]}]}",
     "openai", "gpt-5",
     "{\"model\":\"gpt-5\",\"max_completion_tokens\":4096,\"stream\":true,\"stream_options\":{\"include_usage\":true},\"messages\":["
     "{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"t\",\"type\":"
     "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"t\",\"content\":\"\"},"
     "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"(what the tool call t showed:)\"},{\"type\":\"image_url\","
     "\"image_url\":{\"url\":\"https://x/y\"}},{\"type\":\"file\",\"file\":{\"filename\":\"d\",\"file_data\":"
     "\"data:application/pdf;base64,QQ==\"}}]}]}",
     ""},
    {"responses",
     "{\"model\":\"m\",\"input\":[{\"role\":\"developer\",\"content\":\"d\"},{\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
     "\"text\":\"a\"}]},{\"type\":\"reasoning\",\"id\":\"rs\",\"summary\":[],\"encrypted_content\":\"nm1.gemini.call.c1.c2ln\"},"
     "{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"},{\"type\":"
     "\"function_call_output\",\"call_id\":\"c1\",\"output\":\"{\\\"y\\\":2}\"}],\"instructions\":\"i\",\"reasoning\":{\"effort\":"
     "\"high\",\"summary\":\"auto\"},\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\",\"schema\":{\"type\":\"object\"}}}}",
     "gemini", "gemini-3-pro",
     "{\"generationConfig\":{\"maxOutputTokens\":4096,\"responseMimeType\":\"application/json\",\"responseJsonSchema\":{\"type\":"
     "\"object\"},\"thinkingConfig\":{\"includeThoughts\":true,\"thinkingLevel\":\"high\"}},\"systemInstruction\":{\"parts\":["
     "{\"text\":\"i\\n\\nd\"}]},\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"a\"}]},{\"role\":\"model\",\"parts\":["
     "{\"functionCall\":{\"name\":\"f\",\"args\":{\"x\":1}},\"thoughtSignature\":\"c2ln\"}]},{\"role\":\"user\",\"parts\":["
     "{\"functionResponse\":{\"name\":\"f\",\"response\":{\"y\":2}}}]}]}",
     ""},
    /* A call that another model made passes the check of Gemini 3. */
    {"chat",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"tool_calls\":["
     "{\"id\":\"1\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},{\"id\":\"2\",\"function\":{\"name\":\"f\",\"arguments\":"
     "\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"1\",\"content\":\"x\"},{\"role\":\"tool\",\"tool_call_id\":\"2\","
     "\"content\":\"y\"}],\"reasoning_effort\":\"minimal\"}",
     "gemini", "gemini-3-flash",
     "{\"generationConfig\":{\"maxOutputTokens\":4096,\"thinkingConfig\":{\"thinkingLevel\":\"low\"}},\"contents\":[{\"role\":"
     "\"user\",\"parts\":[{\"text\":\"a\"}]},{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":{}},"
     "\"thoughtSignature\":\"skip_thought_signature_validator\"},{\"functionCall\":{\"name\":\"f\",\"args\":{}}}]},{\"role\":"
     "\"user\",\"parts\":[{\"functionResponse\":{\"name\":\"f\",\"response\":{\"output\":\"x\"}}},{\"functionResponse\":{\"name\":"
     "\"f\",\"response\":{\"output\":\"y\"}}}]}]}",
     ""},
    /* An answer that is said again, alone in its content, as Gemini CLI does when a session goes on. */
    {"gemini",
     "{\"contents\":[{\"parts\":[{\"text\":\"a\"}]},{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"id\":\"c\",\"name\":\"f\","
     "\"args\":{}}}]},{\"parts\":[{\"functionResponse\":{\"id\":\"c\",\"name\":\"f\",\"response\":{\"output\":\"1\"}}}]},"
     "{\"parts\":[{\"functionResponse\":{\"id\":\"c\",\"name\":\"f\",\"response\":{\"output\":\"1\"}}}]},{\"role\":\"model\","
     "\"parts\":[{\"text\":\"b\"}]},{\"parts\":{\"text\":\"d\"}}]}",
     "chat", "m",
     "{\"model\":\"m\",\"max_tokens\":4096,\"stream\":true,\"stream_options\":{\"include_usage\":true},\"messages\":[{\"role\":"
     "\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\","
     "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"1\"},"
     "{\"role\":\"assistant\",\"content\":\"b\"},{\"role\":\"user\",\"content\":\"d\"}]}",
     ""},
    {"gemini",
     "{\"system_instruction\":{\"parts\":{\"text\":\"s\"}},\"contents\":[{\"parts\":[{\"text\":\"a\"},{\"inline_data\":{\"mime_type\":"
     "\"image/png\",\"data\":\"QQ==\"}}]},{\"role\":\"model\",\"parts\":[{\"text\":\"hm\",\"thought\":true,\"thoughtSignature\":"
     "\"bm0xLm1lc3NhZ2VzLS4tLi0u\"},{\"functionCall\":{\"name\":\"f\",\"args\":{\"x\":1}}},{\"functionCall\":{\"name\":\"f\"}}]},"
     "{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"name\":\"f\",\"response\":{\"output\":\"1\"}}},{\"functionResponse\":"
     "{\"name\":\"f\",\"response\":{\"error\":\"2\"}}}]}],\"tools\":[{\"function_declarations\":[{\"name\":\"f\",\"parameters\":"
     "{\"type\":\"OBJECT\",\"properties\":{\"type\":{\"type\":\"STRING\",\"nullable\":true,\"enum\":[\"A\"]}}}}]}],\"tool_config\":"
     "{\"function_calling_config\":{\"mode\":\"ANY\"}},\"generation_config\":{\"top_k\":5,\"stop_sequences\":[\"X\"],\"seed\":1,"
     "\"thinking_config\":{\"thinking_budget\":0}},\"safetySettings\":[{}]}",
     "chat", "m",
     "{\"model\":\"m\",\"max_tokens\":4096,\"stream\":true,\"stream_options\":{\"include_usage\":true},\"top_k\":5,\"seed\":1,"
     "\"stop\":[\"X\"],\"tool_choice\":\"required\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":"
     "{\"type\":\"object\",\"properties\":{\"type\":{\"type\":[\"string\",\"null\"],\"enum\":[\"A\"]}}}}}],\"messages\":[{\"role\":"
     "\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"image_url\","
     "\"image_url\":{\"url\":\"data:image/png;base64,QQ==\"}}]},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":"
     "\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"}},{\"id\":\"call_2\",\"type\":"
     "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"call_1\",\"content\":"
     "\"1\"},{\"role\":\"tool\",\"tool_call_id\":\"call_2\",\"content\":\"2\"}]}",
     "safetySettings, thinking"},
    /* Sealed reasoning comes back to the family that made it, and to no other. */
    {"responses",
     "{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"content\":\"a\"},{\"type\":\"reasoning\",\"summary\":[{\"type\":"
     "\"summary_text\",\"text\":\"t\"}],\"encrypted_content\":\"nm1.messages.-.-.sig\"},{\"type\":\"reasoning\",\"summary\":[],"
     "\"encrypted_content\":\"nm1.messages.redacted_thinking.-.data\"},{\"type\":\"reasoning\",\"id\":\"rs\",\"summary\":[],"
     "\"encrypted_content\":\"own\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"b\"}]},{\"role\":"
     "\"user\",\"content\":\"c\"}]}",
     "messages", "claude-3",
     "{\"model\":\"claude-3\",\"max_tokens\":4096,\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
     "\"text\":\"a\",\"cache_control\":{\"type\":\"ephemeral\"}}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\","
     "\"thinking\":\"t\",\"signature\":\"sig\"},{\"type\":\"redacted_thinking\",\"data\":\"data\"},{\"type\":\"text\",\"text\":\"b\"}]},"
     "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"c\",\"cache_control\":{\"type\":\"ephemeral\"}}]}]}",
     ""},
    {"messages",
     "{\"model\":\"m\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":["
     "{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"nm1.responses.-.rs_1.enc\"},{\"type\":\"redacted_thinking\",\"data\":"
     "\"own\"},{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":\"user\",\"content\":\"c\"}]}",
     "responses", "gpt-5",
     "{\"model\":\"gpt-5\",\"max_output_tokens\":4096,\"stream\":true,\"store\":false,\"input\":[{\"type\":\"message\",\"role\":"
     "\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"a\"}]},{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[{\"type\":"
     "\"summary_text\",\"text\":\"t\"}],\"encrypted_content\":\"enc\"},{\"type\":\"message\",\"role\":\"assistant\",\"content\":["
     "{\"type\":\"output_text\",\"text\":\"b\"}]},{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
     "\"text\":\"c\"}]}]}",
     ""},
    /* A wish to reason that came as a budget goes to no model that may refuse it. */
    {"messages", MESSAGES("\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":30000}"), "openai", "gpt-4.1",
     "{\"model\":\"gpt-4.1\",\"max_completion_tokens\":4096,\"stream\":true,\"stream_options\":{\"include_usage\":true},"
     "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}",
     "thinking"},
    {"messages", MESSAGES("\"thinking\":{\"type\":\"adaptive\"}"), "responses", "o4-mini",
     "{\"model\":\"o4-mini\",\"max_output_tokens\":4096,\"stream\":true,\"store\":false,\"reasoning\":{\"summary\":\"auto\"},"
     "\"include\":[\"reasoning.encrypted_content\"],\"input\":[{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":"
     "\"input_text\",\"text\":\"a\"}]}]}",
     ""},
    {"messages", MESSAGES("\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":30000}"), "gemini", "gemini-2.5-flash",
     "{\"generationConfig\":{\"maxOutputTokens\":4096,\"thinkingConfig\":{\"includeThoughts\":true,\"thinkingBudget\":24576}},"
     "\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"a\"}]}]}",
     ""},
    {"messages", MESSAGES("\"thinking\":{\"type\":\"disabled\"}"), "gemini", "gemini-2.5-pro",
     "{\"generationConfig\":{\"maxOutputTokens\":4096},\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"a\"}]}]}",
     "thinking"},
    /* An instruction amid the conversation stays there. */
    {"chat",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"system\",\"content\":\"now French\"}]}",
     "gemini", "gemini-2.5-pro",
     "{\"generationConfig\":{\"maxOutputTokens\":4096},\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"a\"}]},{\"role\":"
     "\"user\",\"parts\":[{\"text\":\"now French\"}]}]}",
     "role of a system message amid the conversation"},
    /* Reasoning is left out where the turn under way began without it, and where a call is forced. */
    {"chat",
     "{\"model\":\"m\",\"reasoning_effort\":\"high\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\","
     "\"tool_calls\":[{\"id\":\"functions.f:0\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]},{\"role\":\"tool\","
     "\"tool_call_id\":\"functions.f:0\",\"content\":\"x\"}]}",
     "messages", "claude-opus-4-7",
     "{\"model\":\"claude-opus-4-7\",\"max_tokens\":4096,\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
     "\"text\",\"text\":\"a\",\"cache_control\":{\"type\":\"ephemeral\"}}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\","
     "\"id\":\"functions_f_0\",\"name\":\"f\",\"input\":{\"malformed_arguments\":\"{\"}}]},{\"role\":\"user\",\"content\":[{\"type\":"
     "\"tool_result\",\"tool_use_id\":\"functions_f_0\",\"content\":\"x\",\"cache_control\":{\"type\":\"ephemeral\"}}]}]}",
     "thinking"},
};
enum { GOLDEN = sizeof golden / sizeof golden[0] };

START_TEST(test_golden)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct llm_request *r = read_request(ctx, golden[_i].in, golden[_i].body);
    ck_assert_str_eq(written(ctx, r, golden[_i].out, golden[_i].model), golden[_i].expected);
    ck_assert_str_eq(r->dropped, golden[_i].dropped);
    /* Another target afterwards starts anew. */
    (void)written(ctx, r, golden[_i].out, golden[_i].model);
    ck_assert_str_eq(r->dropped, golden[_i].dropped);
}
END_TEST

static const struct {
    const char *in, *body, *names; /* what the sentence names */
} refused[] = {
    {"chat", CHAT("\"logprobs\":true"), "\"logprobs\""},
    {"chat", CHAT("\"logit_bias\":{\"1\":2}"), "\"logit_bias\""},
    {"chat", CHAT("\"functions\":[{}]"), "\"functions\""},
    {"chat", CHAT("\"web_search_options\":{\"a\":1}"), "\"web_search_options\""},
    {"chat", CHAT("\"modalities\":[\"audio\"]"), "\"modalities\""},
    {"chat", CHAT("\"tools\":[{\"type\":\"custom\",\"custom\":{}}]"), "\"tools\""},
    {"chat", CHAT("\"tools\":[{\"type\":\"function\",\"function\":{}}]"), "\"tools\""},
    {"chat", CHAT("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\",\"parameters\":[]}}]"), "\"tools\""},
    {"chat", CHAT("\"tool_choice\":{\"type\":\"allowed_tools\"}"), "\"tool_choice\""},
    {"chat", CHAT("\"response_format\":{\"type\":\"grammar\"}"), "\"response_format\""},
    {"chat", CHAT("\"temperature\":\"hot\""), "\"temperature\""},
    {"chat", CHAT("\"stop\":[1]"), "\"stop\""},
    {"chat", CHAT("\"n\":0"), "\"n\""},
    {"chat", CHAT("\"max_tokens\":-1"), "\"max_tokens\""},
    {"chat", "{\"model\":\"m\",\"messages\":[]}", "no messages"},
    {"chat", "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", "names no model"},
    {"chat", "{\"model\":\"m\",\"messages\":{}}", "\"messages\""},
    {"chat", "{\"model\":\"m\",\"messages\":[{\"role\":\"narrator\",\"content\":\"a\"}]}", "role"},
    {"chat", "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":5}]}", "\"messages\""},
    {"chat", "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"video_url\"}]}]}",
     "video_url"},
    {"chat",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"file:///x\"}}]}]}",
     "image"},
    {"chat",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"file_id\":\"f\"}}]}]}",
     "by its id"},
    {"chat", "{\"model\":\"m\",\"messages\":[{\"role\":\"tool\",\"content\":\"a\"}]}", "no id"},
    {"chat", "{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"x\"}]}]}", "no name"},
    {"messages", MESSAGES("\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}]"),
     "web_search_20250305"},
    {"messages", MESSAGES("\"mcp_servers\":[{}]"), "\"mcp_servers\""},
    {"messages", MESSAGES("\"thinking\":{\"type\":\"enabled\"}"), "\"thinking\""},
    {"messages", MESSAGES("\"tool_choice\":{\"type\":\"maybe\"}"), "\"tool_choice\""},
    {"messages", MESSAGES("\"system\":5"), "\"system\""},
    {"messages", "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"server_tool_use\"}]}]}",
     "server_tool_use"},
    {"messages",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"file\",\"file_id\":\"f\"}}]}]}",
     "by its id"},
    {"responses", INPUT("\"previous_response_id\":\"r\""), "\"previous_response_id\""},
    {"responses", INPUT("\"background\":true"), "\"background\""},
    {"responses", INPUT("\"tools\":[{\"type\":\"web_search\"}]"), "web_search"},
    {"responses", INPUT("\"include\":[\"message.output_text.logprobs\"]"), "include"},
    {"responses", "{\"model\":\"m\",\"input\":[{\"type\":\"item_reference\",\"id\":\"x\"}]}", "item_reference"},
    {"responses", "{\"model\":\"m\",\"input\":5}", "\"input\""},
    {"gemini", CONTENTS("\"cachedContent\":\"x\""), "\"cachedContent\""},
    {"gemini", CONTENTS("\"tools\":[{\"googleSearch\":{}}]"), "googleSearch"},
    {"gemini", CONTENTS("\"generationConfig\":{\"responseModalities\":[\"IMAGE\"]}"), "responseModalities"},
    {"gemini", CONTENTS("\"generationConfig\":{\"responseLogprobs\":true}"), "responseLogprobs"},
    {"gemini", "{\"contents\":[{\"parts\":[{\"fileData\":{\"mimeType\":\"image/png\",\"fileUri\":\"gs://b/x\"}}]}]}",
     "by its id"},
    {"gemini", "{\"contents\":[{\"parts\":[{\"functionResponse\":{\"name\":\"f\",\"response\":{}}}]}]}",
     "answers no functionCall"},
    {"gemini", "{\"contents\":[{\"role\":\"audio\",\"parts\":[{\"text\":\"a\"}]}]}", "role"},
    {"gemini", "{\"contents\":[{\"parts\":[{\"functionCall\":{\"name\":\"f\"}}]}]}", "message of the user"},
    {"messages",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"x\"}]}]}",
     "message of the model"},
    {"gemini", "{\"contents\":5}", "\"contents\""},
};

START_TEST(test_refused)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        CLEANUP_MEM mem *ctx = mem_root();
        struct llm_request *r = NULL;
        struct err err = {0};
        enum rc rc =
            llm_request_decode(ctx, llm_dialect_find(refused[i].in), "m", false, str_of(refused[i].body), &r, &err);
        ck_assert_msg(rc == RC_INVALID && !r, "%s", refused[i].body);
        ck_assert_msg(strstr(err.sentence, refused[i].names) != NULL, "%s: %s", refused[i].body, err.sentence);
    }
}
END_TEST

/* What only the receiving dialect cannot say. */
START_TEST(test_uncarried)
{
    static const struct {
        const char *in, *body, *out, *names;
    } cases[] = {
        {"chat", CHAT("\"n\":2"), "messages", "\"n\""},
        {"chat", CHAT("\"stop\":[\"x\"]"), "responses", "stop sequences"},
        {"chat",
         "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\",\"input_audio\":{\"data\":"
         "\"QQ==\",\"format\":\"wav\"}}]}]}",
         "messages", "audio/wav"},
        {"gemini", "{\"contents\":[{\"parts\":[{\"inlineData\":{\"mimeType\":\"video/mp4\",\"data\":\"QQ==\"}}]}]}",
         "chat", "video/mp4"},
        {"chat", "{\"model\":\"m\",\"messages\":[{\"role\":\"tool\",\"tool_call_id\":\"x\",\"content\":\"a\"}]}",
         "gemini", "answers no call"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP_MEM mem *ctx = mem_root();
        struct llm_request *r = read_request(ctx, cases[i].in, cases[i].body);
        struct buf b;
        struct err err = {0};
        buf_init(&b, ctx, 1 << 16);
        enum rc rc = llm_request_encode(r, llm_dialect_find(cases[i].out), "m", 9, false, &b, &err);
        ck_assert_msg(rc == RC_INVALID && strstr(err.sentence, cases[i].names), "%s: %s", cases[i].body, err.sentence);
    }
    CLEANUP_MEM mem *ctx = mem_root();
    struct llm_request *r = read_request(ctx, "chat", COMMON);
    for (size_t k = 0; k < DIALECTS; k++) {
        struct buf b;
        struct err err;
        buf_init(&b, ctx, 700);
        ck_assert_int_eq(llm_request_encode(r, llm_dialect_find(dialects[k]), "m", 9, false, &b, &err), RC_LIMIT);
    }
}
END_TEST

START_TEST(test_counts)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct llm_request *r;
    struct buf b;
    buf_init(&b, ctx, 100);
    ck_assert_int_eq(
        llm_count_decode(ctx, llm_dialect_find("messages"), NULL,
                         STR("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"123456789\"}]}"), &r,
                         NULL),
        RC_OK);
    ck_assert_int_eq(llm_count_estimate(r), 3 + 8);
    llm_count_write(llm_dialect_find("messages"), 11, &b);
    ck_assert_str_eq(b.p, "{\"input_tokens\":11}");
    ck_assert_int_eq(
        llm_count_decode(
            ctx, llm_dialect_find("gemini"), "m",
            STR("{\"generateContentRequest\":{\"model\":\"models/m\",\"contents\":[{\"parts\":[{\"text\":\"123\"},"
                "{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"QQ==\"}}]}]}}"),
            &r, NULL),
        RC_OK);
    ck_assert_int_eq(llm_count_estimate(r), 1 + 8 + 1600);
    buf_clear(&b);
    llm_count_write(llm_dialect_find("gemini"), 11, &b);
    ck_assert_str_eq(b.p, "{\"totalTokens\":11}");
}
END_TEST

/* --- addresses --- */

START_TEST(test_endpoints)
{
    static const struct {
        const char *method, *path, *query;
        bool anthropic;
        const char *dialect; /* NULL: none of ours */
        enum llm_endpoint_kind kind;
        const char *model;
        bool stream, array;
    } cases[] = {
        {"POST", "/v1/chat/completions", "", false, "chat", LLM_GENERATE, NULL, false, false},
        {"POST", "/v1/responses", "", false, "responses", LLM_GENERATE, NULL, false, false},
        {"POST", "/v1/messages", "beta=true", true, "messages", LLM_GENERATE, NULL, false, false},
        {"POST", "/v1/messages/count_tokens", "", true, "messages", LLM_COUNT_TOKENS, NULL, false, false},
        {"POST", "/v1/embeddings", "", false, "chat", LLM_EMBEDDINGS, NULL, false, false},
        {"GET", "/v1/models", "", false, "chat", LLM_MODELS, NULL, false, false},
        {"GET", "/v1/models", "", true, "messages", LLM_MODELS, NULL, false, false},
        {"GET", "/v1/models/gpt-5", "", false, "chat", LLM_MODEL, "gpt-5", false, false},
        {"GET", "/v1beta/models", "pageSize=5", false, "gemini", LLM_MODELS, NULL, false, false},
        {"GET", "/v1beta/models/gemini-2.5-pro", "", false, "gemini", LLM_MODEL, "gemini-2.5-pro", false, false},
        {"POST", "/v1beta/models/gemini-2.5-pro:generateContent", "", false, "gemini", LLM_GENERATE, "gemini-2.5-pro",
         false, false},
        {"POST", "/v1/models/M:streamGenerateContent", "key=x&alt=sse", false, "gemini", LLM_GENERATE, "M", true,
         false},
        {"POST", "/v1beta/models/org%2Fm%3A7b:streamGenerateContent", "", false, "gemini", LLM_GENERATE, "org/m:7b",
         true, true},
        {"POST", "/v1beta/models/qwen3:8b:countTokens", "", false, "gemini", LLM_COUNT_TOKENS, "qwen3:8b", false,
         false},
        {"POST", "/v1beta/models/:generateContent", "", false, NULL, 0, NULL, false, false},
        {"POST", "/v1beta/models/m:deleteEverything", "", false, NULL, 0, NULL, false, false},
        {"POST", "/v1beta/models/../x:generateContent", "", false, NULL, 0, NULL, false, false},
        {"POST", "/v1beta/models/a%0ab:generateContent", "", false, NULL, 0, NULL, false, false},
        {"POST", "/v1beta/models/a%0", "", false, NULL, 0, NULL, false, false},
        {"GET", "/v1beta/models/a%", "", false, NULL, 0, NULL, false, false},
        {"GET", "/v1/chat/completions", "", false, NULL, 0, NULL, false, false},
        {"POST", "/v1/chat/completions/", "", false, NULL, 0, NULL, false, false},
        {"POST", "/", "", false, NULL, 0, NULL, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP_MEM mem *ctx = mem_root();
        struct llm_endpoint e;
        bool found = llm_endpoint_find(ctx, cases[i].method, str_of(cases[i].path), str_of(cases[i].query),
                                       cases[i].anthropic, &e);
        ck_assert_msg(found == (cases[i].dialect != NULL), "%s", cases[i].path);
        if (!found)
            continue;
        ck_assert_str_eq(e.dialect->name, cases[i].dialect);
        ck_assert_int_eq(e.kind, cases[i].kind);
        ck_assert_pstr_eq(e.model, cases[i].model);
        ck_assert(e.stream == cases[i].stream && e.array == cases[i].array);
    }
    CLEANUP_MEM mem *ctx = mem_root();
    const struct llm_dialect *gemini = llm_dialect_find("gemini"), *messages = llm_dialect_find("messages");
    ck_assert_str_eq(llm_path(ctx, gemini, LLM_GENERATE, "models/a b/c", true),
                     "/v1beta/models/a%20b/c:streamGenerateContent?alt=sse");
    ck_assert_str_eq(llm_path(ctx, gemini, LLM_GENERATE, "m", false), "/v1beta/models/m:generateContent");
    ck_assert_str_eq(llm_path(ctx, gemini, LLM_EMBEDDINGS, "m", false), "/v1beta/models/m:batchEmbedContents");
    ck_assert_str_eq(llm_path(ctx, messages, LLM_COUNT_TOKENS, "m", false), "/v1/messages/count_tokens");
    ck_assert_str_eq(llm_path(ctx, llm_dialect_find("responses"), LLM_GENERATE, "m", true), "/v1/responses");
    ck_assert_ptr_null(llm_path(ctx, messages, LLM_EMBEDDINGS, "m", false));
    ck_assert_ptr_null(llm_path(ctx, llm_dialect_find("chat"), LLM_COUNT_TOKENS, "m", false));
}
END_TEST

/* --- embeddings --- */

START_TEST(test_embeddings)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct llm_embed e;
    struct err err;
    struct usage u;
    struct buf b;
    buf_init(&b, ctx, 4096);
    ck_assert_int_eq(llm_embed_read(ctx, STR("{\"model\":\"m\",\"input\":[\"a\",\"b\"],\"dimensions\":2}"), &e, &err),
                     RC_OK);
    ck_assert_uint_eq(e.count, 2);
    ck_assert_int_eq(llm_embed_write(&e, "g", &b, &err), RC_OK);
    ck_assert_str_eq(
        b.p,
        "{\"requests\":[{\"model\":\"models/g\",\"content\":{\"parts\":[{\"text\":\"a\"}]},\"outputDimensionality\":2},"
        "{\"model\":\"models/g\",\"content\":{\"parts\":[{\"text\":\"b\"}]},\"outputDimensionality\":2}]}");
    buf_clear(&b);
    struct str answer = STR("{\"embeddings\":[{\"values\":[0.5, -1]},{\"values\":[1e-3,2]}]}");
    ck_assert_int_eq(llm_embed_answer(&e, "m", answer, &b, &u, &err), RC_OK);
    ck_assert_str_eq(
        b.p,
        "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":[0.5, -1]},{\"object\":"
        "\"embedding\",\"index\":1,\"embedding\":[1e-3,2]}],\"model\":\"m\",\"usage\":{\"prompt_tokens\":0,"
        "\"total_tokens\":0}}");
    ck_assert_int_eq(u.output, -1); /* Gemini told nothing */
    e.base64 = true;
    buf_clear(&b);
    ck_assert_int_eq(
        llm_embed_answer(&e, "m",
                         STR("{\"embeddings\":[{\"values\":[0.5,-1]},{\"values\":[1,2]}],\"usageMetadata\":"
                             "{\"promptTokenCount\":4}}"),
                         &b, &u, &err),
        RC_OK);
    ck_assert_ptr_nonnull(strstr(b.p, "\"embedding\":\"AAAAPwAAgL8=\"")); /* 0x3f000000, 0xbf800000 */
    ck_assert_int_eq(u.input, 4);
    ck_assert_int_eq(u.output, 0);
    static const char *const nonsense[] = {"", "{}", "{\"embeddings\":[]}",
                                           "{\"embeddings\":[{\"values\":[1]},{\"values\":[]}]}",
                                           "{\"embeddings\":[{\"values\":[1]},{\"values\":[\"x\"]}]}"};
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++)
        ck_assert_int_eq(llm_embed_answer(&e, "m", str_of(nonsense[i]), &b, &u, &err), RC_UPSTREAM);
    ck_assert_int_eq(
        llm_embed_read(ctx, STR("{\"model\":\"m\",\"input\":[[1,2],[3]],\"encoding_format\":\"base64\"}"), &e, &err),
        RC_OK);
    ck_assert(e.count == 2 && !e.inputs && e.base64);
    ck_assert_int_eq(llm_embed_write(&e, "g", &b, &err), RC_INVALID);
    static const char *const bad[] = {"{\"model\":\"m\"}",
                                      "{\"input\":\"a\"}",
                                      "{\"model\":\"m\",\"input\":\"\"}",
                                      "{\"model\":\"m\",\"input\":[]}",
                                      "{\"model\":\"m\",\"input\":[\"a\",1]}",
                                      "{\"model\":\"m\",\"input\":\"a\",\"input\":\"b\"}",
                                      "{\"model\":\"m\",\"model\":\"n\",\"input\":\"a\"}",
                                      "{\"model\":\"m\",\"input\":\"a\",\"dimensions\":0}",
                                      "{\"model\":\"m\",\"input\":\"a\",\"encoding_format\":\"x\"}",
                                      "[]",
                                      "{"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(llm_embed_read(ctx, str_of(bad[i]), &e, &err) == RC_INVALID, "%s", bad[i]);
    ck_assert(llm_embed_usage(STR("{\"data\":[],\"usage\":{\"prompt_tokens\":9,\"total_tokens\":9}}"), &u));
    ck_assert_int_eq(u.input, 9);
    ck_assert(!llm_embed_usage(STR("{\"data\":[]}"), &u));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("translate");
    tcase_add_loop_test(tc, test_round_trips, 0, DIALECTS);
    tcase_add_loop_test(tc, test_golden, 0, GOLDEN);
    tcase_add_test(tc, test_refused);
    tcase_add_test(tc, test_uncarried);
    tcase_add_test(tc, test_counts);
    tcase_add_test(tc, test_endpoints);
    tcase_add_test(tc, test_embeddings);
    Suite *s = suite_create("translate");
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
