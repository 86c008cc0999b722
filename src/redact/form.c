/* The forms of known secrets and the shapes of unknown ones.
 *
 * Shapes are those that the providers' documents and their own secret scanners describe. A shape must be rare in
 * ordinary text: a prefix that no word has, and enough bytes after it. */
#include "redact/form.h"
#include "base/buf.h"
#include "redact/redact.h"

/* ---- forms ---- */

/* A long secret is looked for in pieces, so that little has to be held back; pieces overlap, so that the characters of
 * base64 at their borders are covered. */
#define PIECE   240
#define OVERLAP 8
/* The longest form of a piece is that of a JSON string: six bytes for one. */
_Static_assert(PIECE * 6 + 64 < REDACT_HOLD_MAX, "what is held back must hold the longest form");

struct maker {
    void (*fn)(void *arg, struct str form);
    void *arg;
    struct buf b;
};

/* Most secrets look the same in several forms. */
static void form_give(struct maker *m)
{
    if (m->b.n >= REDACT_SECRET_MIN)
        m->fn(m->arg, buf_view(&m->b));
    buf_clear(&m->b);
}

static void form_hex(struct maker *m, struct str s, const char *digits)
{
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];
        buf_char(&m->b, digits[c >> 4]);
        buf_char(&m->b, digits[c & 15]);
    }
    form_give(m);
}

static bool unreserved(uint8_t c) /* RFC 3986 */
{
    return (byte_sets[c] & SET_WORD) || c == '.' || c == '~';
}

static void form_percent(struct maker *m, struct str s, const char *digits, bool plus)
{
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];
        if (unreserved(c)) {
            buf_char(&m->b, (char)c);
        } else if (c == ' ' && plus) {
            buf_char(&m->b, '+');
        } else {
            buf_char(&m->b, '%');
            buf_char(&m->b, digits[c >> 4]);
            buf_char(&m->b, digits[c & 15]);
        }
    }
    form_give(m);
}

/* As writers of JSON do it, with '/' plain or escaped (PHP does). */
static void form_json(struct maker *m, struct str s, bool slash)
{
    static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];
        const char *at = c ? strchr(from, c) : NULL;
        if (at) {
            buf_char(&m->b, '\\');
            buf_char(&m->b, to[at - from]);
        } else if (c < 0x20) {
            buf_printf(&m->b, "\\u%04x", c);
        } else {
            if (c == '/' && slash)
                buf_char(&m->b, '\\');
            buf_char(&m->b, (char)c);
        }
    }
    form_give(m);
}

/* Only the characters that depend on nothing but the secret: in a longer text those at both ends also hold bits of its
 * neighbours. */
static void form_base64(struct maker *m, struct str s, size_t shift, const char *alphabet)
{
    size_t first = (8 * shift + 5) / 6, end = 8 * (shift + s.n) / 6;
    for (size_t i = first; i < end; i++) {
        uint32_t bits = 0;
        for (size_t k = 0; k < 2; k++) { /* the two bytes that the six bits at 6 * i touch */
            size_t byte = 6 * i / 8 + k;
            bits = bits << 8 | (byte >= shift && byte < shift + s.n ? (uint8_t)s.p[byte - shift] : 0);
        }
        buf_char(&m->b, alphabet[bits >> (10 - 6 * i % 8) & 63]);
    }
    form_give(m);
}

static void piece_forms(struct maker *m, struct str s)
{
    static const char lower[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";
    static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
                      url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    buf_str(&m->b, s);
    form_give(m);
    form_json(m, s, false);
    form_json(m, s, true);
    form_percent(m, s, upper, false);
    form_percent(m, s, lower, false);
    form_percent(m, s, upper, true);
    form_hex(m, s, lower);
    form_hex(m, s, upper);
    for (size_t shift = 0; shift < 3; shift++) {
        form_base64(m, s, shift, standard);
        form_base64(m, s, shift, url);
    }
}

void redact_forms(struct str secret, void (*fn)(void *arg, struct str form), void *arg)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct maker m = {.fn = fn, .arg = arg};
    buf_init(&m.b, tmp, REDACT_HOLD_MAX);
    secret = str_sub(secret, 0, REDACT_SECRET_MAX);
    size_t at = 0;
    for (; secret.n - at > PIECE; at += PIECE - OVERLAP)
        piece_forms(&m, str_sub(secret, at, PIECE));
    piece_forms(&m, str_sub(secret, at, PIECE));
    explicit_bzero(m.b.p, m.b.cap);
}

/* ---- shapes ---- */

#define LITERALS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define KEY(the_name, most, ...)                                                                                       \
    {                                                                                                                  \
        .name = the_name, .kind = PATTERN_RUN, .at_word = true, .set = SET_WORD, .least = most,                        \
        .literals = LITERALS(__VA_ARGS__)                                                                              \
    }
#define PEM_LINE(end, kind)                                                                                            \
    "-----" end " " kind "PRIVATE "                                                                                    \
    "KEY"
#define PEM(end)                                                                                                       \
    LITERALS(PEM_LINE(end, "") "-----", PEM_LINE(end, "RSA ") "-----", PEM_LINE(end, "EC ") "-----",                   \
             PEM_LINE(end, "DSA ") "-----", PEM_LINE(end, "OPENSSH ") "-----", PEM_LINE(end, "ENCRYPTED ") "-----",    \
             PEM_LINE(end, "PGP ") " BLOCK-----")

const struct pattern patterns[] = {
    KEY("api-key", 20, "sk-", "csk-", "rk-", "pk-lf-", "sk-lf-"), /* OpenAI, DeepSeek, OpenRouter and more */
    KEY("anthropic-key", 20, "sk-ant-"),
    KEY("google-key", 30, "AIza"),
    KEY("groq-key", 20, "gsk_"),
    KEY("xai-key", 20, "xai-"),
    KEY("huggingface-token", 20, "hf_"),
    KEY("perplexity-key", 20, "pplx-"),
    KEY("together-key", 20, "tgp_v1_"),
    KEY("replicate-token", 20, "r8_"),
    KEY("nvidia-key", 20, "nvapi-"),
    KEY("fireworks-key", 20, "fw_"),
    KEY("nightmill-key", 40, "nm_"),
    KEY("github-token", 20, "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    KEY("gitlab-token", 16, "glpat-"),
    KEY("npm-token", 30, "npm_"),
    KEY("stripe-key", 16, "sk_live_", "rk_live_", "sk_test_"),
    KEY("slack-token", 10, "xoxb-", "xoxp-", "xoxa-", "xoxr-", "xapp-"),
    {.name = "google-token",
     .kind = PATTERN_RUN,
     .at_word = true,
     .set = SET_DOTTED,
     .least = 20,
     .literals = LITERALS("ya29.")},
    {.name = "aws-key-id",
     .kind = PATTERN_RUN,
     .at_word = true,
     .set = SET_UPPER,
     .least = 16,
     .literals = LITERALS("AKIA", "ASIA")},
    {.name = "jwt", .kind = PATTERN_JWT, .at_word = true, .set = SET_WORD, .least = 8, .literals = LITERALS("eyJ")},
    {.name = "private-key", .kind = PATTERN_BLOCK, .set = SET_BLOCK, .literals = PEM("BEGIN")},
    {.name = "private-key", .kind = PATTERN_BLOCK_END, .literals = PEM("END")},
    {.name = "authorization",
     .kind = PATTERN_KEYWORD,
     .set = SET_VALUE,
     .least = 8,
     .scheme = true,
     .literals = LITERALS("uthorization", "UTHORIZATION")},
    {.name = "bearer",
     .kind = PATTERN_VALUE,
     .at_word = true,
     .set = SET_VALUE,
     .least = 16,
     .literals = LITERALS("Bearer ", "bearer ")},
    {.name = "key",
     .kind = PATTERN_KEYWORD,
     .set = SET_VALUE,
     .least = 16,
     .literals = LITERALS("api-key", "Api-Key", "API-Key", "API-KEY", "api_key", "API_KEY", "apikey", "apiKey",
                          "ApiKey", "private_key", "client_secret", "access_token", "refresh_token", "SECRET_KEY",
                          "secret_access_key", "SECRET_ACCESS_KEY", "ACCESS_TOKEN", "AUTH_TOKEN", "auth_token")},
    {.name = "query-value",
     .kind = PATTERN_VALUE,
     .set = SET_VALUE,
     .least = 8,
     .literals = LITERALS("?key=", "&key=", "u0026key=", "?api_key=", "&api_key=", "?token=", "&token=", "?sig=",
                          "&sig=", "access_token=", "refresh_token=", "client_secret=", "-Signature=", "-Credential=",
                          "-Security-Token=", " Signature=")},
    {.name = "cookie", .kind = PATTERN_KEYWORD, .set = SET_COOKIE, .least = 8, .literals = LITERALS("ookie")},
};
const size_t pattern_count = sizeof patterns / sizeof *patterns;
_Static_assert(sizeof patterns / sizeof *patterns <= PATTERNS_MOST, "active patterns are bits of one word");

#define LETTER  (SET_WORD | SET_VALUE | SET_BLOCK | SET_LETTER | SET_COOKIE | SET_DOTTED)
#define CAPITAL (LETTER | SET_UPPER)
#define DIGIT   (SET_WORD | SET_VALUE | SET_BLOCK | SET_COOKIE | SET_DOTTED | SET_UPPER)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic" /* ranges of designators: gcc and clang both have them */
const uint8_t byte_sets[256] = {
    ['A' ... 'Z'] = CAPITAL,
    ['a' ... 'z'] = LETTER,
    ['0' ... '9'] = DIGIT,
    ['-'] = SET_WORD | SET_VALUE | SET_BLOCK | SET_COOKIE | SET_DOTTED,
    ['_'] = SET_WORD | SET_VALUE | SET_COOKIE | SET_DOTTED,
    ['.'] = SET_VALUE | SET_COOKIE | SET_DOTTED,
    ['~'] = SET_VALUE | SET_COOKIE,
    ['%'] = SET_VALUE | SET_COOKIE,
    ['+'] = SET_VALUE | SET_BLOCK | SET_COOKIE,
    ['/'] = SET_VALUE | SET_BLOCK | SET_COOKIE,
    ['='] = SET_VALUE | SET_BLOCK | SET_COOKIE | SET_GAP,
    [':'] = SET_BLOCK | SET_COOKIE | SET_GAP,
    [','] = SET_BLOCK | SET_COOKIE,
    [';'] = SET_COOKIE,
    [' '] = SET_BLOCK | SET_COOKIE | SET_GAP,
    ['\t'] = SET_GAP,
    ['\n'] = SET_BLOCK,
    ['\r'] = SET_BLOCK,
    ['\\'] = SET_BLOCK | SET_GAP,
    ['"'] = SET_GAP,
    ['\''] = SET_GAP,
    ['>'] = SET_GAP,
};
#pragma GCC diagnostic pop
