/* Contract: no form of a known secret and no shape of a key is left in what the redactor gives out, whatever the pieces
 * in which the text came; ordinary text passes as it is; the result is bounded. */
#include "redact/redact.h"
#include <check.h>
#include <stdio.h>

#define CAP (1u << 20)

static struct str whole(mem *ctx, struct redactor *r, struct str text)
{
    struct buf out;
    buf_init(&out, ctx, CAP);
    struct redact *x = redact_new(ctx, r);
    ck_assert(redact_feed(x, text, &out));
    ck_assert(redact_end(x, &out));
    ck_assert_uint_le(out.n, text.n * REDACT_GROWTH + 64);
    return buf_view(&out);
}

/* In pieces of the size, the first one shorter by `shift`. */
static struct str pieces(mem *ctx, struct redactor *r, struct str text, size_t size, size_t shift)
{
    struct buf out;
    buf_init(&out, ctx, CAP);
    struct redact *x = redact_new(ctx, r);
    for (size_t at = 0; at < text.n;) {
        size_t n = at ? size : size - shift;
        ck_assert(redact_feed(x, str_sub(text, at, n), &out));
        at += n;
    }
    ck_assert(redact_end(x, &out));
    return buf_view(&out);
}

static void assert_same(struct str a, struct str b)
{
    ck_assert_msg(str_eq(a, b), "\"%.*s\" is not \"%.*s\"", STR_FMT(a), STR_FMT(b));
}

static void assert_every_split(mem *ctx, struct redactor *r, struct str text)
{
    struct str want = whole(ctx, r, text);
    for (size_t cut = 0; cut <= text.n; cut++) {
        struct buf out;
        buf_init(&out, ctx, CAP);
        struct redact *x = redact_new(ctx, r);
        ck_assert(redact_feed(x, str_sub(text, 0, cut), &out));
        ck_assert(redact_feed(x, str_sub(text, cut, text.n), &out));
        ck_assert(redact_end(x, &out));
        assert_same(buf_view(&out), want);
    }
    for (size_t size = 1; size < 9; size++)
        assert_same(pieces(ctx, r, text, size, size / 2), want);
}

static struct redactor *one(const char *name, struct str secret)
{
    struct redact_secret s = {name, secret};
    return redactor_new(&s, 1);
}

struct example {
    const char *in, *out;
};

START_TEST(shapes_go_and_words_stay)
{
    static const struct example rows[] = {
        {"the key sk-"
         "proj-abcdefghijklmnopqrstuv, then",
         "the key [redacted:api-key], then"},
        {"sk-"
         "ant-api03-abcdefghijklmnopqrstuv",
         "[redacted:anthropic-key]"},
        {"a task-force-of-many-words-and-more here", "a task-force-of-many-words-and-more here"},
        {"sk-short", "sk-short"},
        {"x=AIzaSyA0123456789abcdefghijklmnopqrstu\"", "x=[redacted:google-key]\""},
        {"{\"text\":\"one\\nsk-abcdefghijklmnopqrstuvwx\"}", "{\"text\":\"one\\n[redacted:api-key]\"}"},
        {"?q=key%3Dsk-abcdefghijklmnopqrstuvwx&", "?q=key%3D[redacted:api-key]&"},
        {"ghp_abcdefghijklmnopqrstuvwxyz0123456789.", "[redacted:github-token]."},
        {"AKIAIOSFODNN7EXAMPLE is", "[redacted:aws-key-id] is"},
        {"nm_abcdefgh_0123456789abcdefghjkmnpqrstvwxyz0123456789abcdefghjk_abcdefg", "[redacted:nightmill-key]"},
        {"curl -H 'Authorization: Bearer abcdefgh12345' x",
         "curl -H 'Authorization: Bearer [redacted:authorization]' x"},
        {"{\"authorization\":\"Basic dXNlcjpwYXNz\"}", "{\"authorization\":\"Basic [redacted:authorization]\"}"},
        {"AUTHORIZATION=abcdefghijklmnop", "AUTHORIZATION=[redacted:authorization]"},
        {"the authorization of many things is a matter", "the authorization of many things is a matter"},
        {"x-api-key: 0123456789abcdef0", "x-api-key: [redacted:key]"},
        {"OPENAI_API_KEY=\"0123456789abcdef0\" make", "OPENAI_API_KEY=\"[redacted:key]\" make"},
        {"\\\"apiKey\\\": \\\"0123456789abcdef0\\\"", "\\\"apiKey\\\": \\\"[redacted:key]\\\""},
        {"api_key = os.environ[\"KEY\"]", "api_key = os.environ[\"KEY\"]"},
        {"GET /v1beta/models?key=abcdefghij&alt=sse", "GET /v1beta/models?key=[redacted:query-value]&alt=sse"},
        {"a monkey=business-as-usual-and-more", "a monkey=business-as-usual-and-more"},
        {"X-Amz-Signature=0123456789abcdef", "X-Amz-Signature=[redacted:query-value]"},
        {"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl!", "[redacted:jwt]!"},
        {"eyJhbGciOiJIUzI1NiJ9 alone", "eyJhbGciOiJIUzI1NiJ9 alone"},
        {"Set-Cookie: session=0123456789; Path=/\r\nX: y", "Set-Cookie: [redacted:cookie]\r\nX: y"},
        {"a\n-----BEGIN EC PRIVATE "
         "KEY-----\nMHcCAQEE+/=\n-----END EC PRIVATE "
         "KEY-----\nnext words",
         "a\n[redacted:private-key]\nnext words"},
        {"\"-----BEGIN PRIVATE "
         "KEY-----\\nMHcC\\nQEE=\\n-----END PRIVATE "
         "KEY-----\\n\",\"b\":1",
         "\"[redacted:private-key]\\n\",\"b\":1"},
        {"-----BEGIN PUBLIC KEY-----\nMHcC", "-----BEGIN PUBLIC KEY-----\nMHcC"},
        {"-----BEGIN PRIVATE "
         "KEY-----\nMHcC",
         "[redacted:private-key]"},
        {"", ""},
    };
    struct redactor *r = redactor_new(NULL, 0);
    CLEANUP_MEM mem *tmp = mem_root();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_same(whole(tmp, r, str_of(rows[i].in)), str_of(rows[i].out));
        assert_every_split(tmp, r, str_of(rows[i].in));
    }
    redactor_unref(r);
}
END_TEST

/* Independent of the redactor's own encoder: alignment by putting other bytes before. */
static char *base64(mem *ctx, struct str s, const char *alphabet)
{
    struct buf b;
    buf_init(&b, ctx, CAP);
    for (size_t i = 0; i < s.n; i += 3) {
        uint32_t v = 0;
        size_t n = s.n - i < 3 ? s.n - i : 3;
        for (size_t k = 0; k < 3; k++)
            v = v << 8 | (k < n ? (uint8_t)s.p[i + k] : 0);
        for (size_t k = 0; k <= n; k++)
            buf_char(&b, alphabet[v >> (18 - 6 * k) & 63]);
    }
    return buf_take(&b, ctx);
}
#define STANDARD "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
#define URL      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

static void assert_gone(mem *ctx, struct redactor *r, struct str text, struct str want)
{
    assert_same(whole(ctx, r, text), want);
    assert_every_split(ctx, r, text);
}

START_TEST(every_form_of_a_secret_goes)
{
    static const char secret[] = "p\"s\\w/ 0rd\n\xc3\xbf?~+zz";
    struct redactor *r = one("MODEL KEY", str_of(secret));
    CLEANUP_MEM mem *tmp = mem_root();
    assert_gone(tmp, r, str_of(mem_printf(tmp, "<%s>", secret)), STR("<[redacted:MODELKEY]>"));
    assert_gone(tmp, r, STR("{\"p\\\"s\\\\w/ 0rd\\n\xc3\xbf?~+zz\"}"), STR("{\"[redacted:MODELKEY]\"}"));
    assert_gone(tmp, r, STR("{\"p\\\"s\\\\w\\/ 0rd\\n\xc3\xbf?~+zz\"}"), STR("{\"[redacted:MODELKEY]\"}"));
    assert_gone(tmp, r, STR("=p%22s%5Cw%2F%200rd%0A%C3%BF%3F~%2Bzz&"), STR("=[redacted:MODELKEY]&"));
    assert_gone(tmp, r, STR("=p%22s%5cw%2f%200rd%0a%c3%bf%3f~%2bzz&"), STR("=[redacted:MODELKEY]&"));
    assert_gone(tmp, r, STR("=p%22s%5Cw%2F+0rd%0A%C3%BF%3F~%2Bzz&"), STR("=[redacted:MODELKEY]&"));
    assert_gone(tmp, r, STR("x7022735c772f203072640ac3bf3f7e2b7a7ay"), STR("x[redacted:MODELKEY]y"));
    assert_gone(tmp, r, STR("x7022735C772F203072640AC3BF3F7E2B7A7Ay"), STR("x[redacted:MODELKEY]y"));
    for (size_t before = 0; before < 4; before++) {
        for (size_t after = 0; after < 4; after++) {
            const char *text = mem_printf(tmp, "%.*s%s%.*s", (int)before, "abc", secret, (int)after, "xyz");
            struct str out = whole(tmp, r, str_of(base64(tmp, str_of(text), STANDARD)));
            ck_assert_int_ge(str_find(out, STR("[redacted:MODELKEY]")), 0);
            ck_assert_uint_le(out.n, strlen("[redacted:MODELKEY]") + 12); /* characters shared with the neighbours */
            assert_same(whole(tmp, r, str_of(base64(tmp, str_of(text), URL))), out);
            assert_every_split(tmp, r, str_of(base64(tmp, str_of(text), URL)));
        }
    }
    redactor_unref(r);
}
END_TEST

START_TEST(overlapping_secrets_are_one_finding)
{
    struct redact_secret secrets[] = {{"long", STR("abcdefghijklmnop")},
                                      {"inner", STR("defghijk")},
                                      {"next", STR("mnopqrstuvwx")},
                                      {"short", STR("abcdefgh")}};
    struct redactor *r = redactor_new(secrets, 4);
    CLEANUP_MEM mem *tmp = mem_root();
    assert_gone(tmp, r, STR("-abcdefghijklmnopqrstuvwx-"), STR("-[redacted:long]-"));
    assert_gone(tmp, r, STR("-abcdefghijkl-"), STR("-[redacted:short]l-"));
    assert_gone(tmp, r, STR("abcdefghabcdefgh"), STR("[redacted:short][redacted:short]"));
    assert_gone(tmp, r, STR("xdefghijkx"), STR("x[redacted:inner]x"));
    redactor_unref(r);
}
END_TEST

START_TEST(a_secret_is_named_before_its_shape)
{
    struct redactor *r = one("OPENAI_API_KEY", STR("sk-abcdefghijklmnopqrstuvwxyz"));
    CLEANUP_MEM mem *tmp = mem_root();
    assert_gone(tmp, r, STR(" sk-abcdefghijklmnopqrstuvwxyz,"), STR(" [redacted:OPENAI_API_KEY],"));
    assert_gone(tmp, r, STR(" sk-abcdefghijklmnopqrstuvwxyzAB,"), STR(" [redacted:OPENAI_API_KEY],"));
    assert_gone(tmp, r, STR(" sk-otherotherotherotherother,"), STR(" [redacted:api-key],"));
    redactor_unref(r);
}
END_TEST

START_TEST(a_text_that_ends_or_is_cut_within_a_secret_shows_none_of_it)
{
    struct redactor *r = one("k", STR("0123456789abcdef"));
    CLEANUP_MEM mem *tmp = mem_root();
    assert_gone(tmp, r, STR("x 0123456789ab"), STR("x [redacted:secret]"));
    assert_gone(tmp, r, STR("x 0123"), STR("x 0123"));
    struct buf out;
    buf_init(&out, tmp, CAP);
    struct redact *x = redact_new(tmp, r);
    ck_assert(redact_feed(x, STR("x 0123"), &out));
    ck_assert(redact_cut(x, &out));
    assert_same(buf_view(&out), STR("x "));
    ck_assert(!redact_feed(x, STR("more"), &out));
    assert_same(buf_view(&out), STR("x "));
    redactor_unref(r);
}
END_TEST

START_TEST(long_secrets_go_whole)
{
    CLEANUP_MEM mem *tmp = mem_root();
    char *secret = mem_zalloc(tmp, 3000);
    for (size_t i = 0; i < 2999; i++)
        secret[i] = (char)("ABCDEFGHIJKLMNOPQRSTUVWXYZ{}:,\"\\\n"[(i * i + i / 7) % 33]);
    struct redactor *r = one("account", str_of(secret));
    assert_same(pieces(tmp, r, str_of(mem_printf(tmp, "<%s>", secret)), 37, 5), STR("<[redacted:account]>"));
    struct str out = whole(tmp, r, str_of(base64(tmp, str_of(mem_printf(tmp, "ab%scd", secret)), STANDARD)));
    ck_assert_uint_le(out.n, strlen("[redacted:account]") + 12);
    redactor_unref(r);
}
END_TEST

/* Many texts of secrets, beginnings of secrets, shapes and other bytes: the same result in any pieces, and no secret.
 */
START_TEST(any_split_gives_the_same)
{
    static const char *const parts[] = {"0123456789",
                                        "01234567890123456789X",
                                        "sk-",
                                        "eyJ",
                                        ".eyJ",
                                        "Bearer ",
                                        "abcdefgh",
                                        "aaaaaaaaaaaaaaaaaaaaaaaa",
                                        " ",
                                        "\"",
                                        "\\n",
                                        "-----BEGIN PRIVATE "
                                        "KEY-----",
                                        "-----END PRIVATE "
                                        "KEY-----",
                                        "authorization",
                                        ": ",
                                        "=",
                                        "?key=",
                                        "%3D",
                                        "\n"};
    struct redact_secret secrets[] = {
        {"a", STR("0123456789X")}, {"b", STR("aaaaaaaa")}, {"c", STR("aaaaaaaaaab")}, {"d", STR("X aaaaaaa")}};
    struct redactor *r = redactor_new(secrets, 4);
    uint64_t seed = 7;
    for (int round = 0; round < 3000; round++) {
        CLEANUP_MEM mem *tmp = mem_root();
        struct buf text, out;
        buf_init(&text, tmp, CAP);
        buf_init(&out, tmp, CAP);
        for (size_t i = 0; i < 12; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            struct str part = str_of(parts[(seed >> 33) % (sizeof parts / sizeof *parts)]);
            buf_str(&text, str_sub(part, 0, (seed >> 40) % 3 ? part.n : (seed >> 50) % (part.n + 1)));
        }
        struct str want = whole(tmp, r, buf_view(&text));
        for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
            ck_assert_int_eq(str_find(want, secrets[i].secret), -1);
        struct redact *x = redact_new(tmp, r);
        for (size_t at = 0; at < text.n;) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            size_t n = 1 + (seed >> 33) % 20;
            ck_assert(redact_feed(x, str_sub(buf_view(&text), at, n), &out));
            at += n;
        }
        ck_assert(redact_end(x, &out));
        ck_assert_msg(str_eq(buf_view(&out), want), "%s\n-> %s\nnot %.*s", text.p, out.p, STR_FMT(want));
    }
    redactor_unref(r);
}
END_TEST

/* A stream of events that spells the text in pieces of the size. */
static struct str spelled(mem *ctx, const char *frame, struct str text, size_t size)
{
    struct buf b;
    buf_init(&b, ctx, CAP);
    for (size_t at = 0; at < text.n; at += size)
        buf_printf(&b, frame, (int)str_sub(text, at, size).n, str_sub(text, at, size).p);
    buf_z(&b, "data: [DONE]\n\n");
    return buf_view(&b);
}

/* The words of such a stream, put together again. */
static struct str words(mem *ctx, struct str stream, const char *before)
{
    struct buf b;
    buf_init(&b, ctx, CAP);
    for (long at; (at = str_find(stream, str_of(before))) >= 0;) {
        stream = str_sub(stream, (size_t)at + strlen(before), stream.n);
        struct str piece = str_sub(stream, 0, (size_t)str_find(stream, STR("\"")));
        buf_str(&b, piece);
    }
    return buf_view(&b);
}

START_TEST(a_secret_that_is_spelled_over_events_goes)
{
    static const struct {
        const char *frame, *before;
    } wires[] = {
        {"data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"%.*s\"}}]}\n\n",
         "\"content\":\""},
        {"event: content_block_delta\r\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\","
         "\"text\":\"%.*s\"}}\r\n\r\n",
         "\"text\":\""},
        {"event: x\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":7,\"delta\":\"%.*s\"}\n\n",
         "\"delta\":\""},
        {"data:{\"candidates\": [{\"content\" : {\"parts\": [{\"text\": \"%.*s\"}]}}]}\n\n", "\"text\": \""},
    };
    struct redact_secret secrets[] = {
        {"KEY", STR("sk-0123456789abcdef-XYZ")}, {"INNER", STR("6789abcdef")}, {"OTHER", STR("aabbccddee")}};
    struct redactor *r = redactor_new(secrets, 3);
    static const char text[] =
        "Your key is sk-0123456789abcdef-XYZ, the other aabbccddee! Not sk-0123456789abcd, nor 6789abcdef.";
    static const char want[] =
        "Your key is [redacted:KEY], the other [redacted:OTHER]! Not sk-0123456789abcd, nor [redacted:INNER].";
    CLEANUP_MEM mem *tmp = mem_root();
    for (size_t i = 0; i < sizeof wires / sizeof *wires; i++) {
        for (size_t size = 1; size < 40; size++) {
            struct str stream = spelled(tmp, wires[i].frame, str_of(text), size), out = whole(tmp, r, stream);
            assert_same(words(tmp, out, wires[i].before), str_of(want));
            for (size_t piece = 1; piece < 400; piece += 37)
                assert_same(pieces(tmp, r, stream, piece, piece / 3), out);
        }
    }
    struct str plain = spelled(tmp, wires[0].frame, STR("nothing to hide in these words at all"), 2);
    assert_same(whole(tmp, r, plain), plain);
    redactor_unref(r);
}
END_TEST

START_TEST(parts_far_apart_are_not_waited_for)
{
    struct redactor *r = one("KEY", STR("0123456789abcdef"));
    CLEANUP_MEM mem *tmp = mem_root();
    static const char frame[] = "data: {\"delta\":{\"content\":\"%s\"}}\n\n";
    for (size_t known = 4; known < 13; known += 8) { /* bytes of the secret before the gap */
        struct buf b, out;
        buf_init(&b, tmp, CAP);
        buf_init(&out, tmp, CAP);
        buf_printf(&b, frame, "0123");
        if (known > 4)
            buf_printf(&b, frame, "456789ab");
        while (b.n < 400000)
            buf_z(&b, ": a comment that keeps the stream alive\n\n");
        buf_printf(&b, frame, "Z");
        struct redact *x = redact_new(tmp, r);
        ck_assert(redact_feed(x, buf_view(&b), &out));
        ck_assert_uint_gt(out.n + 60000, b.n); /* it is not held back for ever */
        ck_assert(redact_end(x, &out));
        assert_same(pieces(tmp, r, buf_view(&b), 1000, 3), buf_view(&out));
        ck_assert_int_eq(str_find(buf_view(&out), STR("456789ab")), -1);
    }
    redactor_unref(r);
}
END_TEST

START_TEST(long_texts_pass_through_a_small_window)
{
    struct redactor *r = one("k", STR("0123456789abcdef"));
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf text, want;
    buf_init(&text, tmp, CAP);
    buf_init(&want, tmp, CAP);
    for (int i = 0; i < 9000; i++) {
        buf_printf(&text, "line %d 0123456789abcdef ", i);
        buf_printf(&want, "line %d [redacted:k] ", i);
    }
    assert_same(whole(tmp, r, buf_view(&text)), buf_view(&want));
    assert_same(pieces(tmp, r, buf_view(&text), 16384, 7), buf_view(&want));
    redactor_unref(r);
}
END_TEST

START_TEST(a_whole_text_is_cut_at_its_cap)
{
    struct redactor *r = one("k", STR("0123456789abcdef"));
    CLEANUP_MEM mem *tmp = mem_root();
    ck_assert_str_eq(redact_text(tmp, r, STR("a 0123456789abcdef b"), 200), "a [redacted:k] b");
    ck_assert_str_eq(redact_text(tmp, r, STR("a 0123456789abcdef b"), 10), "a ");
    ck_assert_str_eq(redact_text(tmp, r, STR("1ZZ\xc3\xa9"), 4), "1ZZ");
    redactor_unref(r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("redact");
    TCase *c = tcase_create("redact");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, shapes_go_and_words_stay);
    tcase_add_test(c, every_form_of_a_secret_goes);
    tcase_add_test(c, overlapping_secrets_are_one_finding);
    tcase_add_test(c, a_secret_is_named_before_its_shape);
    tcase_add_test(c, a_text_that_ends_or_is_cut_within_a_secret_shows_none_of_it);
    tcase_add_test(c, long_secrets_go_whole);
    tcase_add_test(c, any_split_gives_the_same);
    tcase_add_test(c, a_secret_that_is_spelled_over_events_goes);
    tcase_add_test(c, parts_far_apart_are_not_waited_for);
    tcase_add_test(c, long_texts_pass_through_a_small_window);
    tcase_add_test(c, a_whole_text_is_cut_at_its_cap);
    suite_add_tcase(s, c);
    SRunner *run = srunner_create(s);
    srunner_run_all(run, CK_NORMAL);
    int failed = srunner_ntests_failed(run);
    srunner_free(run);
    return failed ? 1 : 0;
}
