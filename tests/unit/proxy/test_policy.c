/* Contract: the first rule that speaks of a host decides; nothing is allowed that no rule allows; addresses inside are
 * not dialled unless they are named; a person's word stands before all rules. */
#include "base/mem.h"
#include "proxy/policy.h"
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>

static mem *ctx;
static struct policy policy;

static const char open_text[] =
    "{\"rules\":["
    "{\"host\":\"refused.example.org\",\"verdict\":\"deny\"},"
    "{\"host\":\"*.example.org\",\"methods\":[\"GET\",\"HEAD\"],\"verdict\":\"allow\"},"
    "{\"host\":\"example.org\",\"verdict\":\"allow\"},"
    "{\"host\":\"put.example.org\",\"methods\":[\"PUT\"],\"verdict\":\"allow\"},"
    "{\"host\":\"pinned.test\",\"verdict\":\"tunnel\"},"
    "{\"host\":\"asked.test\",\"methods\":[\"GET\"],\"verdict\":\"ask\"},"
    "{\"host\":\"port.test\",\"port\":8443,\"verdict\":\"allow\"},"
    "{\"host\":\"10.1.2.3\",\"verdict\":\"allow\"}],"
    "\"unknown\":\"refuse\",\"private\":[\"10.1.2.0/24\"],\"resolve\":[{\"host\":\"inside.test\",\"address\":\"127.0.0.1\"}],"
    "\"secrets\":[{\"name\":\"TOKEN\",\"placeholder\":\"nmph_0123456789\",\"value\":\"secret\",\"host\":\"example.org\",\"places\":1}]}";

static void begin(void)
{
    struct json open;
    struct err err = {0};
    ctx = mem_root();
    ck_assert_int_eq(json_parse(ctx, str_of(open_text), &open, &err), RC_OK);
    ck_assert_msg(policy_read(ctx, open, &policy, &err) == RC_OK, "%s", err.sentence);
}

static void finish(void)
{
    ctx = mem_free(ctx);
}

static enum verdict judge(const char *host, uint16_t port, const char *method)
{
    struct hostname h;
    const char *why;
    ck_assert_int_eq(hostname_parse(str_of(host), &h, NULL), RC_OK);
    enum verdict v = policy_judge(ctx, &policy, &h, port, method, &why);
    ck_assert_msg(v != VERDICT_DENY || *why, "a refusal says why");
    return v;
}

static const struct {
    const char *host;
    uint16_t port;
    const char *method;
    enum verdict verdict;
} cases[] = {
    {"example.org", 443, "POST", VERDICT_ALLOW},
    {"example.org", 80, "GET", VERDICT_ALLOW},
    {"example.org", 8080, "GET", VERDICT_DENY},
    {"EXAMPLE.ORG.", 443, "GET", VERDICT_ALLOW},
    {"a.example.org", 443, "GET", VERDICT_ALLOW},
    {"a.b.example.org", 443, "HEAD", VERDICT_ALLOW},
    {"a.example.org", 443, "POST", VERDICT_DENY},
    {"a.example.org", 443, NULL, VERDICT_ALLOW},
    {"put.example.org", 443, "PUT", VERDICT_ALLOW},
    {"put.example.org", 443, "GET", VERDICT_ALLOW},
    {"refused.example.org", 443, "GET", VERDICT_DENY},
    {"badexample.org", 443, "GET", VERDICT_DENY},
    {"example.org.evil.test", 443, "GET", VERDICT_DENY},
    {"pinned.test", 443, NULL, VERDICT_TUNNEL},
    {"asked.test", 443, "GET", VERDICT_ASK},
    {"asked.test", 443, "POST", VERDICT_DENY},
    {"port.test", 8443, "GET", VERDICT_ALLOW},
    {"port.test", 443, "GET", VERDICT_DENY},
    {"10.1.2.3", 80, "GET", VERDICT_ALLOW},
    {"10.1.2.4", 80, "GET", VERDICT_DENY},
    {"[::1]", 80, "GET", VERDICT_DENY},
};

START_TEST(rules)
{
    ck_assert_msg(judge(cases[_i].host, cases[_i].port, cases[_i].method) == cases[_i].verdict, "%s", cases[_i].host);
}
END_TEST

START_TEST(a_person_says)
{
    struct hostname asked, fresh;
    ck_assert_int_eq(hostname_parse(STR("asked.test"), &asked, NULL), RC_OK);
    ck_assert_int_eq(hostname_parse(STR("fresh.test"), &fresh, NULL), RC_OK);
    policy_answer(ctx, &policy, &asked, 443, true);
    ck_assert_int_eq(judge("asked.test", 443, "GET"), VERDICT_ALLOW);
    ck_assert_int_eq(judge("asked.test", 443, "POST"), VERDICT_DENY); /* the rule's methods hold */
    ck_assert_int_eq(judge("asked.test", 80, "GET"), VERDICT_ASK);
    for (int i = 0; i < 100; i++) /* more than there was room for */
        policy_answer(ctx, &policy, &fresh, (uint16_t)(1000 + i), true);
    ck_assert_int_eq(judge("fresh.test", 1099, "POST"), VERDICT_ALLOW);
    policy_answer(ctx, &policy, &fresh, 1099, false);
    ck_assert_int_eq(judge("fresh.test", 1099, "POST"), VERDICT_DENY);
    policy.ask_unknown = true;
    ck_assert_int_eq(judge("unknown.test", 443, "GET"), VERDICT_ASK);
}
END_TEST

START_TEST(addresses)
{
    static const struct {
        const char *host, *address;
        bool allowed;
    } list[] = {{"example.org", "1.1.1.1", true},   {"example.org", "127.0.0.1", false},
                {"example.org", "10.1.2.9", true},  {"example.org", "10.1.3.9", false},
                {"inside.test", "127.0.0.1", true}, {"example.org", "169.254.169.254", false},
                {"example.org", "224.0.0.1", false}};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct hostname h;
        struct sockaddr_in sa = {.sin_family = AF_INET};
        const char *why;
        inet_pton(AF_INET, list[i].address, &sa.sin_addr);
        ck_assert_int_eq(hostname_parse(str_of(list[i].host), &h, NULL), RC_OK);
        ck_assert_msg(policy_address(&policy, &h, (const struct sockaddr *)&sa, &why) == list[i].allowed, "%s %s",
                      list[i].host, list[i].address);
    }
}
END_TEST

START_TEST(nonsense_opens_nothing)
{
    static const char *const texts[] = {
        "{\"rules\":[{\"host\":\"a b\",\"verdict\":\"allow\"}]}",
        "{\"rules\":[{\"host\":\"a.test\"}]}",
        "{\"rules\":[{\"host\":\"*.1.2.3.4\",\"verdict\":\"allow\"}]}",
        "{\"rules\":[{\"host\":\"a.test\",\"port\":70000,\"verdict\":\"allow\"}]}",
        "{\"private\":[\"everything\"]}",
        "{\"resolve\":[{\"host\":\"a.test\",\"address\":\"b.test\"}]}",
        "{\"secrets\":[{\"name\":\"T\",\"placeholder\":\"short\",\"value\":\"v\",\"host\":\"a.test\"}]}",
        "{\"secrets\":[{\"name\":\"T\",\"placeholder\":\"nmph_0123456789\",\"value\":\"v\",\"host\":\"*.a.test\"}]}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct json open;
        struct policy p;
        struct err err = {0};
        ck_assert_int_eq(json_parse(ctx, str_of(texts[i]), &open, &err), RC_OK);
        ck_assert_msg(policy_read(ctx, open, &p, &err) == RC_INVALID, "taken: %s", texts[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("policy");
    TCase *t = tcase_create("policy");
    tcase_add_checked_fixture(t, begin, finish);
    tcase_add_loop_test(t, rules, 0, sizeof cases / sizeof *cases);
    tcase_add_test(t, a_person_says);
    tcase_add_test(t, addresses);
    tcase_add_test(t, nonsense_opens_nothing);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
