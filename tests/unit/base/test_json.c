/* Contract: the reader takes exactly RFC 8259 (with whole surrogate pairs and well-formed UTF-8), the getters accept
 * missing values, the writer's output is read back as it was meant, a binding table names the field that is wrong. The
 * accept and reject tables follow the idea of JSONTestSuite: one case a rule. */
#include "base/json.h"
#include <check.h>
#include <signal.h>
#include <stdlib.h>

static mem *ctx;
static struct err err;

static void begin(void)
{
    ctx = mem_root();
    err = (struct err){0};
}

static void finish(void)
{
    ctx = mem_free(ctx);
}

/* Parses an exact-size heap copy, so that the sanitizer sees every byte read behind the end. */
static enum rc parse(struct str text, struct json *root)
{
    char *copy = mem_zalloc(ctx, text.n ? text.n : 1);
    memcpy(copy, text.p, text.n);
    return json_parse(ctx, str_n(copy, text.n), root, &err);
}

static struct json doc(const char *text)
{
    struct json root;
    ck_assert_msg(parse(str_of(text), &root) == RC_OK, "%s: %s", text, err.sentence);
    return root;
}

/* As STR, but an initializer of a static table. */
#define TEXT(lit)                                                                                                      \
    {                                                                                                                  \
        "" lit, sizeof(lit) - 1                                                                                        \
    }
static const struct str accepted[] = {
    TEXT("0"),
    TEXT("-0"),
    TEXT("1"),
    TEXT("-1.5e+10"),
    TEXT("0.1"),
    TEXT("1E1"),
    TEXT("0e0"),
    TEXT("1e-999"),
    TEXT("1e999"),
    TEXT("123456789012345678901234567890"),
    TEXT("true"),
    TEXT("false"),
    TEXT("null"),
    TEXT("\"\""),
    TEXT("[]"),
    TEXT("{}"),
    TEXT(" \t\r\n[ ] "),
    TEXT("[[],{}]"),
    TEXT("{\"\":0}"),
    TEXT("{\"a\":1,\"a\":2}"),
    TEXT("[1,2 , 3]"),
    TEXT("[null]"),
    TEXT("{\"a\" : [ ] }"),
    TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
    TEXT("\"\\u0000\""),
    TEXT("\"\\uD834\\uDd1e\""),
    TEXT("\"\\uFFFF\""),
    TEXT("\"\x7f\""),
    TEXT("\"\xc2\x80\xe2\x80\xa8\xf4\x8f\xbf\xbf\""),
    TEXT("\"\\u0022\""),
    TEXT("\"long enough to be skipped by words of eight bytes\""),
    TEXT("\"12345678\\n12345678\\n\""),
};

static const struct str refused[] = {
    TEXT(""),
    TEXT(" "),
    TEXT("["),
    TEXT("]"),
    TEXT("{"),
    TEXT("}"),
    TEXT("[1"),
    TEXT("[1,"),
    TEXT("[1,]"),
    TEXT("[,1]"),
    TEXT("[1,,2]"),
    TEXT("[1 2]"),
    TEXT("[1]]"),
    TEXT("1 2"),
    TEXT("{\"a\"}"),
    TEXT("{\"a\":}"),
    TEXT("{\"a\":1,}"),
    TEXT("{,}"),
    TEXT("{1:1}"),
    TEXT("{a:1}"),
    TEXT("{'a':1}"),
    TEXT("{\"a\" 1}"),
    TEXT("{\"a\":1 \"b\":2}"),
    TEXT("{\"a\":1]"),
    TEXT("[1}"),
    TEXT("{\"a\""),
    TEXT("{\"a\":"),
    TEXT("[\"a\":1]"),
    TEXT("01"),
    TEXT("-"),
    TEXT("-01"),
    TEXT("+1"),
    TEXT(".5"),
    TEXT("1."),
    TEXT("1.e1"),
    TEXT("1e"),
    TEXT("1e+"),
    TEXT("0x1"),
    TEXT("1_0"),
    TEXT("NaN"),
    TEXT("Infinity"),
    TEXT("-Infinity"),
    TEXT("True"),
    TEXT("tru"),
    TEXT("truee"),
    TEXT("nul"),
    TEXT("\""),
    TEXT("\"a"),
    TEXT("\"\\"),
    TEXT("\"\\\""),
    TEXT("\"\\x41\""),
    TEXT("\"\\u12\""),
    TEXT("\"\\u12g4\""),
    TEXT("\"\\ud800\""),
    TEXT("\"\\udc00\""),
    TEXT("\"\\ud800\\u0041\""),
    TEXT("\"\\ud800x\\udc00\""),
    TEXT("\"\\ud834\\udd1"),
    TEXT("\"\n\""),
    TEXT("\"\t\""),
    TEXT("\"\0\""),
    TEXT("\"\x1f\""),
    TEXT("\"\xff\""),
    TEXT("\"\xc0\x80\""),
    TEXT("\"\xed\xa0\x80\""),
    TEXT("\"\xc3\""),
    TEXT("\"12345678\xf4\x90\x80\x80\""),
    TEXT("[1]\0"),
    TEXT("\xef\xbb\xbf[]"),
    TEXT("[1]x"),
    TEXT("/**/1"),
    TEXT("[1]//"),
    TEXT("\xa0"),
    TEXT("[\x0c]"),
    TEXT("\"12345678\x01\""),
    TEXT("['a']"),
    TEXT("[a]"),
    TEXT("\\u0031"),
    TEXT("{\"a\":1,\"b\"}"),
    TEXT("[\"\\n]"),
    TEXT("*"),
};

START_TEST(accepts)
{
    struct json root;
    ck_assert_msg(parse(accepted[_i], &root) == RC_OK, "%.*s: %s", STR_FMT(accepted[_i]), err.sentence);
    ck_assert_int_ne(json_type(root), JSON_NONE);
}
END_TEST

START_TEST(refuses)
{
    struct json root;
    ck_assert_msg(parse(refused[_i], &root) == RC_INVALID, "case %d: %.*s", _i, STR_FMT(refused[_i]));
    ck_assert_int_eq(json_type(root), JSON_NONE);
    ck_assert_ptr_nonnull(strstr(err.sentence, "at byte"));
}
END_TEST

/* Every prefix of a document is refused and every single byte may be anything: nothing is read behind the end. */
START_TEST(cut_and_changed_documents)
{
    struct str text = STR("{\"k\\u00e9y\":[1,-2.5e3,\"\xc3\xa4\\ud83d\\ude00\",true,false,null,{\"a\":{}}]}");
    struct json root;
    for (size_t n = 0; n < text.n; n++)
        ck_assert_int_eq(parse(str_sub(text, 0, n), &root), RC_INVALID);
    ck_assert_int_eq(parse(text, &root), RC_OK);
    for (size_t at = 0; at < text.n; at++) {
        for (int c = 0; c < 256; c++) {
            char *copy = str_dup(ctx, text);
            copy[at] = (char)c;
            (void)!parse(str_n(copy, text.n), &root);
        }
        mem_free(ctx);
        ctx = mem_root();
    }
}
END_TEST

START_TEST(depth_is_limited)
{
    struct json root;
    char text[200];
    for (int depth = 64; depth <= 65; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        ck_assert_int_eq(parse(str_n(text, 2 * (size_t)depth), &root), depth == 64 ? RC_OK : RC_INVALID);
    }
}
END_TEST

START_TEST(error_names_the_byte)
{
    struct json root;
    ck_assert_int_eq(parse(STR("{\"a\": 1, b: 2}"), &root), RC_INVALID);
    ck_assert_str_eq(err.sentence, "The JSON text is malformed at byte 9: expected a key in double quotes");
}
END_TEST

START_TEST(getters_find)
{
    struct json root = doc("{\"a\":{\"b\":[10,{\"c\":\"x\"}]},\"a\":5,\"n\":null,\"esc\\u0061pe\":true}");
    ck_assert_int_eq(json_int(json_path(root, "a.b.0"), -1), 10);
    ck_assert(json_eqz(json_path(root, "a.b.1.c"), "x"));
    ck_assert_int_eq(json_type(json_path(root, "a.b.2")), JSON_NONE);
    ck_assert_int_eq(json_type(json_path(root, "a.x.y")), JSON_NONE);
    ck_assert_int_eq(json_type(json_get(root, "a")), JSON_OBJECT); /* the first of two */
    ck_assert(json_bool(json_get(root, "escape"), false));
    ck_assert(!json_is(json_get(root, "n")) && json_type(json_get(root, "n")) == JSON_NULL);
    ck_assert_uint_eq(json_len(root), 4);
    ck_assert_uint_eq(json_len(json_path(root, "a.b")), 2);
    ck_assert(str_eqz(json_raw(json_path(root, "a.b")), "[10,{\"c\":\"x\"}]"));
    ck_assert(str_eqz(json_raw(json_path(root, "a.b.1.c")), "\"x\""));
    struct json none = {0};
    ck_assert(!json_is(json_get(json_at(none, 3), "x")) && json_len(none) == 0 && !json_raw(none).n);
    ck_assert_ptr_null(json_str(ctx, none).p);
    ck_assert_str_eq(json_z(ctx, none, "other"), "other");
}
END_TEST

START_TEST(strings_are_decoded)
{
    struct json root = doc("[\"\\u0041\\n\\u00e4\\u20ac\\ud83d\\ude00\",\"a\\u0000b\",\"plain\"]");
    ck_assert_str_eq(json_z(ctx, json_at(root, 0), ""), "A\n\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
    struct str s = json_str(ctx, json_at(root, 1));
    ck_assert(str_eq(s, STR("a\0b")));
    ck_assert_str_eq(json_z(ctx, json_at(root, 1), "none"), "none");
    ck_assert(json_eqz(json_at(root, 0), "A\n\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"));
    ck_assert(!json_eqz(json_at(root, 0), "A\n") && !json_eqz(json_at(root, 2), "plainer"));
}
END_TEST

START_TEST(numbers)
{
    static const struct {
        const char *text;
        int64_t value; /* -7: not a whole number in range */
    } cases[] = {{"0", 0},
                 {"-0", 0},
                 {"12", 12},
                 {"1e2", 100},
                 {"1.0", 1},
                 {"1.50e1", 15},
                 {"1500e-2", 15},
                 {"1.5", -7},
                 {"1e-1", -7},
                 {"0e99", 0},
                 {"1e19", -7},
                 {"0.000e-5", 0},
                 {"1e99999999999999999999", -7},
                 {"-1.5e1", -15},
                 {"9223372036854775807", INT64_MAX},
                 {"-9223372036854775808", INT64_MIN},
                 {"9223372036854775808", -7},
                 {"9223372036854775807.0", INT64_MAX},
                 {"92233720368547758070e-1", INT64_MAX},
                 {"\"1\"", -7},
                 {"true", -7},
                 {"[1]", -7}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_msg(json_int(doc(cases[i].text), -7) == cases[i].value, "%s", cases[i].text);
    ck_assert_double_eq(json_double(doc("-2.5e-1"), 0), -0.25);
    ck_assert_double_eq(json_double(doc("1e999"), 3), 3);
    ck_assert_double_eq(json_double(doc("\"1\""), 3), 3);
}
END_TEST

START_TEST(iterators_walk)
{
    char *seen = mem_str(ctx, "");
    struct json root = doc("{\"a\":[1,[2]],\"b\\n\":{},\"c\":3}");
    for (struct json_iter it = json_iter(root); json_next(&it);) {
        struct str key = json_iter_key(ctx, &it), raw = json_raw(it.value);
        seen = mem_printf(ctx, "%s%.*s=%.*s;", seen, STR_FMT(key), STR_FMT(raw));
    }
    ck_assert_str_eq(seen, "a=[1,[2]];b\n={};c=3;");
    int n = 0;
    for (struct json_iter it = json_iter(json_get(root, "a")); json_next(&it);)
        n++;
    ck_assert_int_eq(n, 2);
    struct json_iter empty = json_iter(json_get(root, "c")), none = json_iter((struct json){0});
    ck_assert(!json_next(&empty) && !json_next(&none));
}
END_TEST

START_TEST(large_documents)
{
    struct buf b;
    buf_init(&b, ctx, SIZE_MAX);
    struct json_out o;
    json_out_init(&o, &b);
    jo_arr(&o);
    for (int i = 0; i < 100000; i++)
        jo_int(&o, i);
    jo_end_arr(&o);
    struct json root = doc(b.p);
    ck_assert_uint_eq(json_len(root), 100000);
    ck_assert_int_eq(json_int(json_at(root, 99999), 0), 99999);
}
END_TEST

START_TEST(writer_places_commas)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, ctx, 4096);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "z", "a\"\\\n\x01\x7f");
    jo_kz(&o, "nul", NULL);
    jo_ks(&o, "s", STR("\0\xff\xc3\xa4"));
    jo_ki(&o, "min", INT64_MIN);
    jo_kb(&o, "b", false);
    jo_kraw(&o, "raw", STR("[1, 2]"));
    jo_key(&o, "arr");
    jo_arr(&o);
    jo_obj(&o);
    jo_end_obj(&o);
    jo_arr(&o);
    jo_end_arr(&o);
    jo_null(&o);
    jo_end_arr(&o);
    jo_kb(&o, "last", true);
    jo_end_obj(&o);
    ck_assert_str_eq(b.p,
                     "{\"z\":\"a\\\"\\\\\\n\\u0001\x7f\",\"nul\":null,\"s\":\"\\u0000\xef\xbf\xbd\xc3\xa4\","
                     "\"min\":-9223372036854775808,\"b\":false,\"raw\":[1, 2],\"arr\":[{},[],null],\"last\":true}");
    struct json root = doc(b.p);
    ck_assert_int_eq(json_int(json_get(root, "min"), 0), INT64_MIN);
}
END_TEST

START_TEST(writer_depth_and_lines)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, ctx, 4096);
    json_out_init(&o, &b);
    for (int i = 0; i < 64; i++)
        jo_arr(&o);
    jo_int(&o, 1);
    jo_int(&o, 2);
    for (int i = 0; i < 64; i++)
        jo_end_arr(&o);
    doc(b.p);
    buf_clear(&b);
    jo_int(&o, 1); /* values at the top follow each other: lines of JSON */
    buf_char(&b, '\n');
    jo_int(&o, 2);
    ck_assert_str_eq(b.p, "1\n2");
}
END_TEST

START_TEST(writer_too_deep_is_a_bug)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, ctx, 4096);
    json_out_init(&o, &b);
    for (int i = 0; i < 65; i++)
        jo_arr(&o);
}
END_TEST

struct thing {
    const char *name;
    int64_t count;
    bool on;
    struct json any;
    const char **list;
};
static const struct json_bind thing_table[] = {
    BIND(thing, name, BIND_STR, true, 0, 5),   BIND(thing, count, BIND_INT, false, 1, 9),
    BIND(thing, on, BIND_BOOL, false, 0, 0),   BIND(thing, any, BIND_JSON, false, 0, 0),
    BIND(thing, list, BIND_STRV, false, 0, 3),
};

static enum rc bind(const char *text, bool strict, struct thing *ret)
{
    return json_bind(ctx, doc(text), thing_table, 5, strict, ret, &err);
}

START_TEST(bind_fills)
{
    struct thing t = {.count = 4};
    ck_assert_int_eq(
        bind("{\"name\":\"n\\u0061\",\"on\":true,\"any\":[1],\"list\":[\"a\",\"b\"],\"count\":null}", true, &t), RC_OK);
    ck_assert_str_eq(t.name, "na");
    ck_assert(t.on && t.count == 4 && json_len(t.any) == 1);
    ck_assert_str_eq(t.list[1], "b");
    ck_assert_ptr_null(t.list[2]);
    ck_assert_int_eq(bind("{\"name\":\"n\",\"other\":1}", false, &t), RC_OK);
}
END_TEST

START_TEST(bind_names_the_wrong_field)
{
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {"[]", "Expected a JSON object"},
        {"{}", "\"name\" is missing"},
        {"{\"name\":null}", "\"name\" is missing"},
        {"{\"name\":1}", "\"name\" must be a string without NUL"},
        {"{\"name\":\"a\\u0000\"}", "\"name\" must be a string without NUL"},
        {"{\"name\":\"sixsix\"}", "\"name\" must have at most 5 bytes"},
        {"{\"name\":\"\",\"count\":0}", "\"count\" must be from 1 to 9"},
        {"{\"name\":\"\",\"count\":1.5}", "\"count\" must be a whole number"},
        {"{\"name\":\"\",\"count\":\"1\"}", "\"count\" must be a whole number"},
        {"{\"name\":\"\",\"on\":1}", "\"on\" must be true or false"},
        {"{\"name\":\"\",\"list\":{}}", "\"list\" must be an array of strings"},
        {"{\"name\":\"\",\"list\":[\"a\",1]}", "element 1: \"list\" must be a string without NUL"},
        {"{\"name\":\"\",\"cuont\":1}", "Unknown member \"cuont\""},
        {"{\"name\":\"\",\"\\u001b\":1}", "Unknown member \"\\x1b\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct thing t = {0};
        ck_assert_int_eq(bind(cases[i].text, true, &t), RC_INVALID);
        ck_assert_str_eq(err.sentence, cases[i].sentence);
    }
    struct thing t = {0};
    bind("{\"name\":\"\",\"cuont\":1}", true, &t);
    ck_assert_str_eq(err.hint, "Did you mean \"count\"?");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("json");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, begin, finish);
    suite_add_tcase(s, t);
    tcase_add_loop_test(t, accepts, 0, sizeof accepted / sizeof accepted[0]);
    tcase_add_loop_test(t, refuses, 0, sizeof refused / sizeof refused[0]);
    tcase_add_test(t, cut_and_changed_documents);
    tcase_add_test(t, depth_is_limited);
    tcase_add_test(t, error_names_the_byte);
    tcase_add_test(t, getters_find);
    tcase_add_test(t, strings_are_decoded);
    tcase_add_test(t, numbers);
    tcase_add_test(t, iterators_walk);
    tcase_add_test(t, large_documents);
    tcase_add_test(t, writer_places_commas);
    tcase_add_test(t, writer_depth_and_lines);
    tcase_add_test_raise_signal(t, writer_too_deep_is_a_bug, SIGABRT);
    tcase_add_test(t, bind_fills);
    tcase_add_test(t, bind_names_the_wrong_field);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
