/* What a refusal of a model server means: whether waiting helps, how long, whether a shorter request helps, whether
 * somebody must pay. Providers agree on little; what they send is read in the order: error code, words, status. */
#include "base/text.h"
#include "llm/wire.h"
#include <time.h>

enum { WAIT_MOST_S = 31 * 86400 };
#define SECOND INT64_C(1000000000)

/* --- times --- */

/* Whole seconds, rounded up, from 0 to WAIT_MOST_S. */
static int64_t wait_s(int64_t ns)
{
    int64_t s = ns <= 0 ? 0 : (ns - 1) / SECOND + 1;
    return s < WAIT_MOST_S ? s : WAIT_MOST_S;
}

/* Takes digits with an optional fraction off the front, as billionths; false when there are none. */
static bool number_take(struct str *s, int64_t *ret_billionths)
{
    int64_t whole = 0, fraction = 0, place = SECOND;
    size_t i = 0;
    for (; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++)
        whole = whole < INT64_C(1000000000) ? whole * 10 + (s->p[i] - '0') : whole;
    if (i == 0)
        return false;
    if (i + 1 < s->n && s->p[i] == '.' && s->p[i + 1] >= '0' && s->p[i + 1] <= '9')
        for (i++; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++) {
            place /= 10;
            fraction += place * (s->p[i] - '0');
        }
    *s = str_sub(*s, i, s->n);
    *ret_billionths = whole >= INT64_C(9000000000) ? INT64_MAX : whole * SECOND + fraction;
    return true;
}

/* Go's duration: "6m0s", "1h2m3.5s", "120ms". Takes as much as there is off the front. */
static bool duration_take(struct str *s, int64_t *ret_ns)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {{"ms", SECOND / 1000}, {"us", 1000},       {"\xc2\xb5s", 1000}, {"ns", 1},
                 {"s", SECOND},         {"m", 60 * SECOND}, {"h", 3600 * SECOND}};
    struct str rest = *s;
    int64_t total = 0, n;
    bool any = false;
    while (number_take(&rest, &n)) {
        size_t u = 0;
        while (u < 7 && !str_starts(rest, str_of(units[u].name)))
            u++;
        if (u == 7)
            break;
        rest = str_sub(rest, strlen(units[u].name), rest.n);
        const int64_t most = 4 * (int64_t)WAIT_MOST_S * SECOND, unit = units[u].ns;
        int64_t ns = n / SECOND > most / unit ? most : n / SECOND * unit + n % SECOND * (unit / 1000) / (SECOND / 1000);
        total = total + ns < most ? total + ns : most;
        *s = rest;
        any = true;
    }
    *ret_ns = total;
    return any;
}

/* A point in time by one of the patterns; *ret_rest is what follows it. */
static bool time_take(struct str s, const char *pattern, int64_t *ret_s, struct str *ret_rest)
{
    char z[64];
    if (s.n >= sizeof z || memchr(s.p, 0, s.n))
        return false;
    memcpy(z, s.p, s.n);
    z[s.n] = '\0';
    struct tm tm = {0};
    const char *end = strptime(z, pattern, &tm);
    if (!end)
        return false;
    *ret_s = timegm(&tm);
    *ret_rest = str_sub(s, (size_t)(end - z), s.n);
    return *ret_s >= 0 && *ret_s < INT64_C(7258118400); /* 1970 to 2199; nanoseconds of other years may not fit */
}

/* The three dates of HTTP (RFC 9110, 5.6.7). */
static bool http_date(struct str s, int64_t *ret_s)
{
    static const char *const patterns[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
                                           "%a %b %e %H:%M:%S %Y"};
    struct str rest;
    for (size_t i = 0; i < 3; i++)
        if (time_take(s, patterns[i], ret_s, &rest) && !rest.n)
            return true;
    return false;
}

/* RFC 3339, fractions dropped after rounding up. */
static bool rfc3339(struct str s, int64_t *ret_s)
{
    struct str rest;
    int64_t n, offset = 0;
    if (!time_take(s, "%Y-%m-%dT%H:%M:%S", ret_s, &rest))
        return false;
    if (rest.n > 1 && rest.p[0] == '.') {
        rest = str_sub(rest, 1, rest.n);
        if (!number_take(&rest, &n))
            return false;
        *ret_s += n > 0;
    }
    if (rest.n == 6 && (rest.p[0] == '+' || rest.p[0] == '-')) {
        int64_t h, m;
        if (!str_int(str_sub(rest, 1, 2), 0, 23, &h) || rest.p[3] != ':' || !str_int(str_sub(rest, 4, 2), 0, 59, &m))
            return false;
        offset = (h * 60 + m) * 60 * (rest.p[0] == '-' ? -1 : 1);
    } else if (!str_eqz(rest, "Z") && !str_eqz(rest, "z")) {
        return false;
    }
    *ret_s -= offset;
    return true;
}

/* A wait in any of the shapes in use: seconds, a duration, a date, seconds (or milliseconds) since 1970. -1: none of
 * them. */
static int64_t wait_read(struct str s, int64_t unit_ns, int64_t now_ns)
{
    s = str_trim(s);
    struct str rest = s;
    int64_t n, at;
    if (rfc3339(s, &at) || http_date(s, &at))
        return wait_s((at - now_ns / SECOND) * SECOND - now_ns % SECOND);
    if (duration_take(&rest, &n) && !rest.n)
        return wait_s(n);
    rest = s;
    if (!number_take(&rest, &n) || rest.n)
        return -1;
    if (n == INT64_MAX || n / SECOND >= INT64_C(1000000000)) /* no wait is that long: a point in time */
        return str_int(s, 0, INT64_MAX / SECOND, &at)
                   ? wait_s(at * SECOND - now_ns)
                   : (str_int(s, 0, INT64_MAX / 1000000, &at) ? wait_s(at * 1000000 - now_ns) : -1);
    if (unit_ns < SECOND)
        return wait_s(n / (SECOND / unit_ns));
    return wait_s(n);
}

/* --- headers --- */

static bool header_next(struct str *rest, struct str *ret_name, struct str *ret_value)
{
    struct str line;
    while (str_line(rest, &line)) {
        const char *colon = line.n ? memchr(line.p, ':', line.n) : NULL;
        if (!colon)
            continue;
        *ret_name = str_n(line.p, (size_t)(colon - line.p));
        *ret_value = str_trim(str_sub(line, ret_name->n + 1, line.n));
        return true;
    }
    return false;
}

static struct str header_find(struct str headers, struct str wanted)
{
    struct str name, value;
    while (header_next(&headers, &name, &value))
        if (str_ieq(name, wanted))
            return value;
    return STR("");
}

/* The limits that are used up decide (the longest of their resets); when none says so, the shortest reset of all. */
static int64_t reset_wait(struct str headers, int64_t now_ns)
{
    CLEANUP_MEM mem *tmp = mem_root();
    int64_t used_up = -1, shortest = -1;
    struct str rest = headers, name, value;
    while (header_next(&rest, &name, &value)) {
        long at = str_ifind(name, STR("ratelimit-"));
        long reset = str_ifind(name, STR("reset"));
        if (at < 0 || reset < 0 || name.n > 100)
            continue;
        int64_t wait = wait_read(value, SECOND, now_ns);
        const char *twin = mem_printf(tmp, "%.*sremaining%.*s", (int)reset, name.p, (int)(name.n - (size_t)reset - 5),
                                      name.p + reset + 5);
        struct str left = header_find(headers, str_of(twin));
        bool none_left = left.n && (left.p[0] == '-' || str_eqz(left, "0"));
        if (none_left && wait > used_up)
            used_up = wait;
        if (wait >= 0 && (shortest < 0 || wait < shortest))
            shortest = wait;
    }
    return used_up >= 0 ? used_up : shortest;
}

static int64_t header_wait(struct str headers, int64_t now_ns)
{
    static const struct {
        const char *name;
        int64_t unit_ns;
    } direct[] = {{"retry-after-ms", SECOND / 1000}, {"x-ms-retry-after-ms", SECOND / 1000}, {"retry-after", SECOND}};
    for (size_t i = 0; i < 3; i++) {
        struct str value = header_find(headers, str_of(direct[i].name));
        int64_t wait = value.n ? wait_read(value, direct[i].unit_ns, now_ns) : -1;
        if (wait >= 0)
            return wait;
    }
    return reset_wait(headers, now_ns);
}

/* --- words --- */

/* What the body says. All in the memory of the caller's context. */
struct said {
    struct str code, type, message;
    struct str detail, hint; /* of a problem */
    struct str reason;       /* of a Google ErrorInfo */
    int64_t wait;            /* -1: nothing about it */
    bool problem;            /* RFC 9457, as our own gateway answers */
    bool daily;              /* a quota of a day, not of a minute */
};

static struct str first_string(mem *ctx, struct json root, const char *const *paths)
{
    for (; *paths; paths++) {
        struct str s = json_str(ctx, json_path(root, *paths));
        if (s.n)
            return s;
    }
    return STR("");
}

/* "Please try again in 1.5s." */
static int64_t message_wait(struct str message)
{
    long at = str_ifind(message, STR("try again in "));
    if (at < 0)
        return -1;
    struct str rest = str_sub(message, (size_t)at + 13, message.n);
    int64_t ns;
    return duration_take(&rest, &ns) ? wait_s(ns) : -1;
}

/* Google tells by details: how long to wait, which quota, why. */
static void details_read(mem *ctx, struct json details, struct said *ret)
{
    for (struct json_iter it = json_iter(details); json_type(details) == JSON_ARRAY && json_next(&it);) {
        struct str delay = json_str(ctx, json_get(it.value, "retryDelay")), rest = delay;
        struct str reason = json_str(ctx, json_get(it.value, "reason"));
        struct json violations = json_get(it.value, "violations");
        int64_t ns;
        if (duration_take(&rest, &ns))
            ret->wait = wait_s(ns);
        if (reason.n && !ret->reason.n)
            ret->reason = reason;
        for (struct json_iter v = json_iter(violations); json_type(violations) == JSON_ARRAY && json_next(&v);) {
            struct str id = json_str(ctx, json_get(v.value, "quotaId"));
            ret->daily = ret->daily || str_ifind(id, STR("perday")) >= 0;
        }
    }
}

/* An error that came as an event although the status says failure: the data of its first event. */
static struct str event_data(struct str body)
{
    struct str rest = body, line;
    if (!str_starts(body, STR("event:")) && !str_starts(body, STR("data:")))
        return body;
    while (str_line(&rest, &line))
        if (str_starts(line, STR("data:")))
            return str_trim(str_sub(line, 5, line.n));
    return body;
}

static void body_read(mem *ctx, struct str body, struct said *ret)
{
    static const char *const messages[] = {"error.message", "response.error.message", "message",     "detail", "title",
                                           "error",         "detail.0.msg",           "error.error", NULL};
    static const char *const problems[] = {"title", NULL};
    static const char *const codes[] = {"error.code", "response.error.code", "code", "error.status", NULL};
    static const char *const types[] = {"error.type", "type", NULL};
    *ret = (struct said){.code = STR(""),
                         .type = STR(""),
                         .message = STR(""),
                         .detail = STR(""),
                         .hint = STR(""),
                         .reason = STR(""),
                         .wait = -1};
    struct json root;
    body = event_data(body);
    if (body.n > (1 << 20) || json_parse(ctx, body, &root, NULL)) {
        /* A page of a proxy says nothing that its status does not. */
        struct str text = str_trim(str_sub(body, 0, 4096)), line;
        if (text.n && text.p[0] != '<' && text.p[0] != '{' && str_line(&text, &line))
            ret->message = line;
        return;
    }
    if (json_type(root) == JSON_ARRAY)
        root = json_at(root, 0);
    ret->problem = json_type(json_get(root, "title")) == JSON_STRING && json_is(json_get(root, "status"));
    ret->code = first_string(ctx, root, codes);
    ret->type = first_string(ctx, root, types);
    if (ret->problem) {
        ret->detail = json_str(ctx, json_get(root, "detail"));
        ret->hint = json_str(ctx, json_get(root, "hint"));
    }
    ret->message = first_string(ctx, root, ret->problem ? problems : messages);
    ret->wait = message_wait(ret->message);
    details_read(ctx, json_path(root, "error.details"), ret);
    struct json wait = json_path(root, "error.retry_after");
    if (json_type(wait) == JSON_NUMBER)
        ret->wait = wait_read(json_raw(wait), SECOND, 0);
}

/* Words that look like keys: providers quote parts of them. */
static bool key_like(struct str word)
{
    static const char *const beginnings[] = {"sk-", "sk_", "gsk_", "xai-", "AIza", "hf_", "r8_", "pplx-", "key-"};
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++) {
        long at = str_find(word, str_of(beginnings[i]));
        if (at == 0 || (at > 0 && strchr("\"'`:=([{<,", word.p[at - 1])))
            return true;
    }
    size_t letters = 0, digits = 0;
    for (size_t i = 0; i < word.n; i++) {
        letters += (word.p[i] | 0x20) >= 'a' && (word.p[i] | 0x20) <= 'z';
        digits += word.p[i] >= '0' && word.p[i] <= '9';
    }
    return word.n >= 32 && digits >= 4 && letters + digits >= word.n - 4 && !memchr(word.p, '.', word.n);
}

/* The provider's words, fit for a terminal and a log: one line, no control bytes, no keys. */
static const char *words_clean(mem *ctx, struct str words)
{
    struct buf b;
    buf_init(&b, ctx, 4096);
    struct str rest = str_sub(words, 0, str_utf8_cut(words, 2000)), word;
    while (str_next(&rest, ' ', &word)) {
        if (b.n)
            buf_char(&b, ' ');
        if (key_like(word))
            buf_z(&b, "[key]");
        else
            buf_str(&b, word);
    }
    return text_terminal_line(ctx, buf_view(&b), 600);
}

/* --- judgement --- */

static const char *const too_long[] = {
    "context_length_exceeded",              /* OpenAI's code */
    "maximum context length",               /* OpenAI, vLLM, DeepSeek */
    "prompt is too long",                   /* Anthropic */
    "exceed context limit",                 /* Anthropic: input length and max_tokens together */
    "exceed_context_size",                  /* llama.cpp's type */
    "exceeds the available context size",   /* llama.cpp */
    "context size has been exceeded",       /* llama.cpp, while it answers */
    "input is too large to process",        /* llama.cpp */
    "longer than the maximum model length", /* vLLM */
    "too large for model with",             /* Mistral */
    "exceeds the maximum number of tokens", /* Google */
    "reduce the length of the messages",    /* OpenAI, Groq */
    "request too large for",                /* OpenAI: one request above the rate limit of a minute */
    "request_too_large",                    /* Anthropic: bytes */
    "input is too long",                    /* Bedrock and others */
    "context window",
};
static const char *const used_up[] = {
    "insufficient_quota",         "billing_error",
    "billing_hard_limit_reached", "billing_not_active",
    "insufficient balance",       "enforced_spend_limit",
    "credit balance is too low",  "reached your specified api usage limits",
    "insufficient_credits",       "insufficient_balance",
};

static bool says(const struct said *said, const char *const *phrases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct str phrase = str_of(phrases[i]);
        if (str_ifind(said->code, phrase) >= 0 || str_ifind(said->type, phrase) >= 0 ||
            str_ifind(said->message, phrase) >= 0)
            return true;
    }
    return false;
}
#define SAYS(said, phrases) says((said), (phrases), sizeof(phrases) / sizeof((phrases)[0]))

struct rule {
    int low, high; /* status */
    enum rc rc;
    bool retryable;
    const char *sentence, *hint;
};
static const struct rule rules[] = {
    /* the first that fits */
    {400, 400, RC_INVALID, false, "The model server refused the request", ""},
    {401, 401, RC_DENIED, false, "The model server refused the key",
     "Set the right key and try again; `nightmill doctor` tests it."},
    {402, 402, RC_LIMIT, false, "The account at the model server has no credit left", "Add credit there, then resume."},
    {403, 403, RC_DENIED, false, "The model server does not allow this request",
     "Check what the key may do, and the region."},
    {404, 404, RC_NOT_FOUND, false, "The model server does not know this model or address",
     "Check the model's name and URL; `nightmill doctor` tests them."},
    {408, 408, RC_UPSTREAM, true, "The model server gave up waiting", ""},
    {409, 409, RC_UPSTREAM, true, "The model server is in conflict with itself", ""},
    {413, 413, RC_INVALID, false, "The request is too large for the model server", ""},
    {425, 425, RC_UPSTREAM, true, "The model server asks to send the request again", ""},
    {429, 429, RC_LIMIT, true, "The model server asks to slow down", ""},
    {499, 499, RC_UPSTREAM, true, "The model server broke off", ""},
    {300, 399, RC_NOT_FOUND, false, "The model server points to another address",
     "Give the final URL; redirections are not followed."},
    {400, 499, RC_INVALID, false, "The model server refused the request", ""},
    {501, 501, RC_INVALID, false, "The model server cannot do what was asked",
     "Check the wire format (chat, openai or messages) of this server."},
    {503, 503, RC_UPSTREAM, true, "The model server is not ready", ""},
    {529, 529, RC_UPSTREAM, true, "The model server is overloaded", ""},
    {500, 599, RC_UPSTREAM, true, "The model server failed", ""},
    {INT32_MIN, INT32_MAX, RC_UPSTREAM, true, "The model server answered what it should not", ""},
};

static const struct rule *rule_find(int status)
{
    const struct rule *r = rules;
    while (status < r->low || status > r->high)
        r++;
    return r;
}

/* The budget speaks, through our own gateway: in its own words. */
static bool is_budget(const struct said *said)
{
    return (said->problem && str_eqz(said->code, "limit")) || str_eqz(said->code, "budget_exceeded") ||
           str_eqz(said->reason, "budget_exceeded");
}

static void judge(mem *ctx, int status, const struct said *said, int64_t header_wait_s, struct llm_failure *ret)
{
    if (status == 400 &&
        (str_eqz(said->reason, "API_KEY_INVALID") || str_ifind(said->message, STR("api key not valid")) >= 0))
        status = 401; /* Google */
    const struct rule *r = rule_find(status);
    const char *sentence = r->sentence, *hint = r->hint;
    *ret = (struct llm_failure){.rc = r->rc, .retryable = r->retryable, .moved = status >= 300 && status < 400};
    bool about_request = status != 401 && status != 403 && status != 404;
    if (is_budget(said)) {
        *ret = (struct llm_failure){.rc = RC_LIMIT, .quota = true, .retry_after_s = -1};
        err_set(&ret->err, RC_LIMIT, "%s", words_clean(ctx, said->message));
        err_detail(&ret->err, "%s", words_clean(ctx, said->detail));
        err_hint(&ret->err, "%s", words_clean(ctx, said->hint));
        return;
    }
    if (said->problem) { /* our own gateway: it knows best what to do */
        ret->retry_after_s = ret->retryable ? header_wait_s : -1;
        err_set(&ret->err, ret->rc, "%s", words_clean(ctx, said->message));
        err_detail(&ret->err, "%s", words_clean(ctx, said->detail));
        err_hint(&ret->err, "%s", words_clean(ctx, said->hint));
        return;
    }
    if (about_request && (SAYS(said, used_up) || status == 402 || said->daily)) {
        *ret = (struct llm_failure){.rc = RC_LIMIT, .quota = true};
        sentence = "The account at the model server has used up its allowance";
        hint = "Add credit or raise the limit there, then resume.";
    } else if (about_request && (SAYS(said, too_long) || status == 413)) {
        *ret = (struct llm_failure){.rc = RC_INVALID, .context_too_long = true};
        sentence = "The conversation is too long for the model";
        hint = "";
    } else if (status == 503 && str_ifind(said->message, STR("loading")) >= 0) {
        sentence = "The model server is still loading the model";
    }
    int64_t wait = header_wait_s >= 0 ? header_wait_s : said->wait;
    ret->retry_after_s = ret->retryable ? wait : -1;
    err_set(&ret->err, ret->rc, "%s", sentence);
    const char *words = words_clean(ctx, said->message);
    if (words[0])
        err_detail(&ret->err, "Status %d: %s", status, words);
    else
        err_detail(&ret->err, "Status %d without words", status);
    if (hint[0])
        err_hint(&ret->err, "%s", hint);
}

void llm_failure_read(int status, struct str headers, struct str body, int64_t now_wall_ns, struct llm_failure *ret)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct said said;
    body_read(tmp, body, &said);
    judge(tmp, status, &said, header_wait(headers, now_wall_ns), ret);
}

/* The status that an error inside a stream would have had. */
static int status_of(struct str type)
{
    static const struct {
        const char *type;
        int status;
    } types[] = {
        {"overloaded_error", 529},
        {"overloaded", 529},
        {"api_error", 500},
        {"rate_limit_error", 429},
        {"rate_limit_exceeded", 429},
        {"authentication_error", 401},
        {"invalid_api_key", 401},
        {"permission_error", 403},
        {"not_found_error", 404},
        {"model_not_found", 404},
        {"invalid_request_error", 400},
        {"request_too_large", 413},
        {"context_length_exceeded", 400},
        {"exceed_context_size_error", 400},
        {"BadRequestError", 400},
        {"timeout_error", 504},
        {"unavailable_error", 503},
        {"insufficient_quota", 429},
        {"billing_error", 402},
        {"UNAVAILABLE", 503},
        {"RESOURCE_EXHAUSTED", 429},
        {"DEADLINE_EXCEEDED", 504},
        {"INVALID_ARGUMENT", 400},
        {"FAILED_PRECONDITION", 400},
        {"UNAUTHENTICATED", 401},
        {"PERMISSION_DENIED", 403},
        {"NOT_FOUND", 404},
        {"vector_store_timeout", 504},
        {"invalid_prompt", 400},
    };
    int64_t number;
    if (str_int(type, 300, 599, &number))
        return (int)number;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (str_eqz(type, types[i].type))
            return types[i].status;
    return 500;
}

void llm_answer_failure(const struct llm_answer *a, struct llm_failure *ret)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct said said = {.code = STR(""),
                        .type = str_of(a->error_type),
                        .message = str_of(a->error_message),
                        .detail = STR(""),
                        .hint = STR(""),
                        .reason = STR("")};
    said.wait = message_wait(said.message);
    judge(tmp, status_of(said.type), &said, -1, ret);
}
