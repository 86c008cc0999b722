/* JSON reader and getters. The writer is json_out.c, the binding tables are json_bind.c.
 *
 * The tape is one array of 16-byte nodes in document order. An object's members follow it as key node, value subtree,
 * key node, ...; every node knows the index behind its subtree, so that walking a container skips without looking. */
#include "base/json.h"
#include <math.h>
#include <stdlib.h>

enum {
    JSON_DEPTH = 64,
    JSON_TEXT_MOST = 256 << 20,
    JSON_NODES_MOST = (1 << 24) - (1 << 16), /* one block of talloc stays below 256 MiB */
};

struct node {
    uint32_t off, len; /* the value in the text; strings without their quotes */
    uint32_t next;     /* index behind the subtree */
    uint32_t count : 24, type : 7, escaped : 1;
};

struct json_doc {
    const char *text;
    struct node *nodes;
    uint32_t n, cap;
};

struct parser {
    struct json_doc *doc;
    const char *p, *begin, *end;
    const char *fault; /* what was expected where p stands, when the parse fails */
    bool full;
};

static struct node *node_add(struct parser *ps, enum json_type type, const char *from)
{
    struct json_doc *doc = ps->doc;
    if (doc->n == doc->cap) {
        if (doc->cap == JSON_NODES_MOST) {
            ps->full = true;
            return NULL;
        }
        uint32_t cap = doc->cap ? doc->cap * 2 : 32;
        doc->cap = cap < JSON_NODES_MOST ? cap : JSON_NODES_MOST;
        doc->nodes = mem_grow(doc, doc->nodes, doc->cap * sizeof *doc->nodes);
    }
    struct node *node = &doc->nodes[doc->n++];
    *node = (struct node){.off = (uint32_t)(from - ps->begin), .next = doc->n, .type = type};
    return node;
}

static bool fault(struct parser *ps, const char *at, const char *expected)
{
    ps->p = at;
    ps->fault = expected;
    return false;
}

static inline const char *space_skip(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
        p++;
    return p;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hexadecimal digits at p, or -1. */
static int32_t hex4(const char *p, const char *end)
{
    int32_t v = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0)
            return -1;
        v = v << 4 | digit;
    }
    return v;
}

/* Length of the escape at p (which is a backslash) and its character; 0 when malformed. */
static size_t escape_read(const char *p, const char *end, uint32_t *ret)
{
    static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (end - p < 2)
        return 0;
    if (p[1] != 'u') {
        const char *at = p[1] ? strchr(letters, p[1]) : NULL;
        if (!at)
            return 0;
        *ret = (unsigned char)values[at - letters];
        return 2;
    }
    int32_t high = hex4(p + 2, end);
    if (high < 0 || (high >= 0xdc00 && high < 0xe000))
        return 0;
    *ret = (uint32_t)high;
    if (high < 0xd800 || high >= 0xe000)
        return 6;
    int32_t low = end - p >= 12 && p[6] == '\\' && p[7] == 'u' ? hex4(p + 8, end) : -1;
    if (low < 0xdc00 || low >= 0xe000)
        return 0; /* half a surrogate pair is no character */
    *ret = 0x10000 + (((uint32_t)high - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
    return 12;
}

/* Skips bytes that need no look: ASCII other than '"', '\\' and controls, eight at a time. */
static inline const char *plain_skip(const char *p, const char *end)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    for (uint64_t w; end - p >= 8; p += 8) {
        memcpy(&w, p, 8);
        uint64_t quote = w ^ (ones * '"'), slash = w ^ (ones * '\\');
        uint64_t hit =
            (w - ones * 0x20) | (quote - ones) | (slash - ones) | w; /* may hit too often, never too seldom */
        if (hit & tops)
            break;
    }
    return p;
}

/* p stands on the opening quote. */
static bool string_parse(struct parser *ps)
{
    const char *p = ps->p + 1, *end = ps->end;
    struct node *node = node_add(ps, JSON_STRING, p);
    if (!node)
        return false;
    for (;;) {
        p = plain_skip(p, end);
        /* At least one byte the slow way: plain_skip may stop for a harmless one. */
        for (;;) {
            if (p == end)
                return fault(ps, p, "the end of the string");
            unsigned char c = (unsigned char)*p;
            if (c == '"') {
                node->len = (uint32_t)(p - ps->begin) - node->off;
                ps->p = p + 1;
                return true;
            }
            if (c == '\\') {
                uint32_t value;
                size_t len = escape_read(p, end, &value);
                if (!len)
                    return fault(ps, p, "a well-formed escape");
                node->escaped = 1;
                p += len;
                break;
            }
            if (c < 0x20)
                return fault(ps, p, "no control character in a string");
            if (c < 0x80) {
                p++;
                if (((uintptr_t)p & 7) == 0)
                    break;
                continue;
            }
            size_t len = str_utf8_next(str_n(p, (size_t)(end - p)), NULL);
            if (!len)
                return fault(ps, p, "well-formed UTF-8");
            p += len;
        }
    }
}

static const char *digits_skip(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

static bool number_parse(struct parser *ps)
{
    const char *p = ps->p, *end = ps->end, *from;
    struct node *node = node_add(ps, JSON_NUMBER, p);
    if (!node)
        return false;
    if (*p == '-')
        p++;
    from = p;
    p = digits_skip(p, end);
    if (p == from || (*from == '0' && p > from + 1))
        return fault(ps, from, "a number without leading zeros");
    if (p < end && *p == '.') {
        from = ++p;
        if ((p = digits_skip(p, end)) == from)
            return fault(ps, p, "a digit after the point");
    }
    if (p < end && (*p | 0x20) == 'e') {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        from = p;
        if ((p = digits_skip(p, end)) == from)
            return fault(ps, p, "a digit in the exponent");
    }
    node->len = (uint32_t)(p - ps->begin) - node->off;
    ps->p = p;
    return true;
}

static bool word_parse(struct parser *ps)
{
    static const struct {
        struct str word;
        enum json_type type;
    } words[] = {{{"true", 4}, JSON_TRUE}, {{"false", 5}, JSON_FALSE}, {{"null", 4}, JSON_NULL}};
    for (size_t i = 0; i < 3; i++) {
        if (!str_starts(str_n(ps->p, (size_t)(ps->end - ps->p)), words[i].word))
            continue;
        struct node *node = node_add(ps, words[i].type, ps->p);
        if (!node)
            return false;
        node->len = (uint32_t)words[i].word.n;
        ps->p += words[i].word.n;
        return true;
    }
    return fault(ps, ps->p, "a value");
}

static bool scalar_parse(struct parser *ps)
{
    if (ps->p == ps->end)
        return fault(ps, ps->p, "a value");
    if (*ps->p == '"')
        return string_parse(ps);
    if (*ps->p == '-' || (*ps->p >= '0' && *ps->p <= '9'))
        return number_parse(ps);
    return word_parse(ps);
}

/* A key and its colon, leaving p at the value. */
static bool key_parse(struct parser *ps)
{
    if (ps->p == ps->end || *ps->p != '"')
        return fault(ps, ps->p, "a key in double quotes");
    if (!string_parse(ps))
        return false;
    ps->p = space_skip(ps->p, ps->end);
    if (ps->p == ps->end || *ps->p != ':')
        return fault(ps, ps->p, "a colon");
    ps->p = space_skip(ps->p + 1, ps->end);
    return true;
}

static void container_close(struct parser *ps, uint32_t at)
{
    struct node *node = &ps->doc->nodes[at];
    ps->p++;
    node->next = ps->doc->n;
    node->len = (uint32_t)(ps->p - ps->begin) - node->off;
}

static bool document_parse(struct parser *ps)
{
    uint32_t stack[JSON_DEPTH]; /* open containers by index */
    int depth = 0;
    ps->p = space_skip(ps->p, ps->end);
    for (;;) {
        /* Here a value begins. */
        char c = ps->p < ps->end ? *ps->p : '\0';
        bool opened = c == '{' || c == '[';
        if (opened) {
            if (depth == JSON_DEPTH)
                return fault(ps, ps->p, "nesting of at most 64 levels");
            stack[depth++] = ps->doc->n;
            if (!node_add(ps, c == '{' ? JSON_OBJECT : JSON_ARRAY, ps->p))
                return false;
            ps->p++;
        } else if (!scalar_parse(ps)) {
            return false;
        }
        /* Close what ends here; then the next member begins or the document is over. */
        for (;;) {
            ps->p = space_skip(ps->p, ps->end);
            if (!depth)
                return ps->p == ps->end || fault(ps, ps->p, "the end of the text");
            struct node *top = &ps->doc->nodes[stack[depth - 1]];
            bool object = top->type == JSON_OBJECT;
            c = ps->p < ps->end ? *ps->p : '\0';
            if (!opened)
                top->count++;
            if (c == (object ? '}' : ']')) {
                container_close(ps, stack[--depth]);
                opened = false;
                continue;
            }
            if (!opened) {
                if (c != ',' || ps->p == ps->end)
                    return fault(ps, ps->p, object ? "a comma or '}'" : "a comma or ']'");
                ps->p = space_skip(ps->p + 1, ps->end);
            }
            if (object && !key_parse(ps))
                return false;
            break;
        }
    }
}

enum rc json_parse(mem *ctx, struct str text, struct json *ret_root, struct err *err)
{
    *ret_root = (struct json){NULL, 0};
    if (text.n > JSON_TEXT_MOST)
        return err_set(err, RC_LIMIT, "The JSON text has %zu bytes, more than %d", text.n, (int)JSON_TEXT_MOST);
    struct json_doc *doc = mem_new(ctx, struct json_doc);
    struct parser ps = {.doc = doc, .p = text.p, .begin = text.p, .end = text.p + text.n};
    doc->text = text.p;
    if (document_parse(&ps)) {
        *ret_root = (struct json){doc, 0};
        return RC_OK;
    }
    mem_free(doc);
    if (ps.full)
        return err_set(err, RC_LIMIT, "The JSON text has more than %d values", (int)JSON_NODES_MOST);
    return err_set(err, RC_INVALID, "The JSON text is malformed at byte %zu: expected %s", (size_t)(ps.p - ps.begin),
                   ps.fault);
}

static const struct node *node_of(struct json v)
{
    return v.doc ? &v.doc->nodes[v.at] : NULL;
}

static struct str node_text(const struct json_doc *doc, const struct node *node)
{
    return str_n(doc->text + node->off, node->len);
}

enum json_type json_type(struct json v)
{
    return v.doc ? (enum json_type)node_of(v)->type : JSON_NONE;
}

bool json_is(struct json v)
{
    return json_type(v) > JSON_NULL;
}

/* Takes one character off *raw, the inside of a string; its UTF-8 goes to out. Returns the length. The text was
 * checked. */
static size_t string_step(struct str *raw, char out[static 4])
{
    if (raw->p[0] != '\\') {
        out[0] = raw->p[0];
        *raw = str_sub(*raw, 1, raw->n);
        return 1;
    }
    uint32_t c = 0;
    size_t len = escape_read(raw->p, raw->p + raw->n, &c);
    *raw = str_sub(*raw, len ? len : raw->n, raw->n);
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};
    out[0] = (char)(lead[more] | c >> (6 * more));
    for (int i = 1; i <= more; i++)
        out[i] = (char)(0x80 | (c >> (6 * (more - i)) & 0x3f));
    return (size_t)more + 1;
}

static struct str string_decode(mem *ctx, struct str raw, bool escaped)
{
    if (!escaped)
        return str_n(mem_strn(ctx, raw.p, raw.n), raw.n);
    struct str out = {mem_strn(ctx, raw.p, raw.n), 0}; /* an escape is never shorter than what it stands for */
    char *to = (char *)out.p;
    while (raw.n) {
        char utf8[4];
        size_t len = string_step(&raw, utf8);
        memcpy(to + out.n, utf8, len);
        out.n += len;
    }
    to[out.n] = '\0';
    return out;
}

static bool string_equals(struct str raw, bool escaped, struct str want)
{
    if (!escaped)
        return str_eq(raw, want);
    while (raw.n) {
        char utf8[4];
        size_t len = string_step(&raw, utf8);
        if (len > want.n || memcmp(utf8, want.p, len))
            return false;
        want = str_sub(want, len, want.n);
    }
    return !want.n;
}

static struct json member_find(struct json obj, struct str key)
{
    const struct node *node = node_of(obj);
    if (!node || node->type != JSON_OBJECT)
        return (struct json){NULL, 0};
    const struct node *nodes = obj.doc->nodes;
    for (uint32_t at = obj.at + 1; at < node->next; at = nodes[at + 1].next)
        if (string_equals(node_text(obj.doc, &nodes[at]), nodes[at].escaped, key))
            return (struct json){obj.doc, at + 1};
    return (struct json){NULL, 0};
}

struct json json_get(struct json obj, const char *key)
{
    return member_find(obj, str_of(key));
}

struct json json_at(struct json arr, size_t i)
{
    const struct node *node = node_of(arr);
    if (!node || node->type != JSON_ARRAY || i >= node->count)
        return (struct json){NULL, 0};
    uint32_t at = arr.at + 1;
    while (i--)
        at = arr.doc->nodes[at].next;
    return (struct json){arr.doc, at};
}

struct json json_path(struct json v, const char *path)
{
    struct str rest = str_of(path), piece;
    while (v.doc && str_next(&rest, '.', &piece)) {
        int64_t i;
        if (json_type(v) != JSON_ARRAY)
            v = member_find(v, piece);
        else
            v = str_int(piece, 0, INT32_MAX, &i) ? json_at(v, (size_t)i) : (struct json){NULL, 0};
    }
    return v;
}

size_t json_len(struct json v)
{
    return v.doc ? node_of(v)->count : 0;
}

struct str json_raw(struct json v)
{
    const struct node *node = node_of(v);
    if (!node)
        return STR("");
    struct str text = node_text(v.doc, node);
    return node->type == JSON_STRING ? str_n(text.p - 1, text.n + 2) : text;
}

struct str json_str(mem *ctx, struct json v)
{
    const struct node *node = node_of(v);
    if (!node || node->type != JSON_STRING)
        return str_n(NULL, 0);
    return string_decode(ctx, node_text(v.doc, node), node->escaped);
}

const char *json_z(mem *ctx, struct json v, const char *otherwise)
{
    struct str s = json_str(ctx, v);
    return s.p && !memchr(s.p, '\0', s.n) ? s.p : otherwise;
}

bool json_eqz(struct json v, const char *z)
{
    const struct node *node = node_of(v);
    return node && node->type == JSON_STRING && string_equals(node_text(v.doc, node), node->escaped, str_of(z));
}

/* A number's text taken apart: value = digits (point left out) times ten to the exponent. */
struct decimal {
    bool negative;
    struct str whole, fraction;
    int64_t exponent; /* as written, saturating */
};

static struct decimal decimal_split(struct str s)
{
    struct decimal d = {.negative = s.p[0] == '-'};
    const char *p = s.p + d.negative, *end = s.p + s.n, *from = p;
    p = digits_skip(p, end);
    d.whole = str_n(from, (size_t)(p - from));
    if (p < end && *p == '.') {
        from = p + 1;
        p = digits_skip(from, end);
        d.fraction = str_n(from, (size_t)(p - from));
    }
    if (p < end) { /* 'e' */
        p++;
        bool minus = *p == '-';
        p += minus || *p == '+';
        for (; p < end; p++)
            if (d.exponent < INT32_MAX)
                d.exponent = d.exponent * 10 + (*p - '0');
        if (minus)
            d.exponent = -d.exponent;
    }
    return d;
}

static char decimal_digit(const struct decimal *d, size_t i)
{
    return i < d->whole.n ? d->whole.p[i] : d->fraction.p[i - d->whole.n];
}

int64_t json_int(struct json v, int64_t otherwise)
{
    if (json_type(v) != JSON_NUMBER)
        return otherwise;
    struct str text = json_raw(v);
    int64_t value;
    if (str_int(text, INT64_MIN, INT64_MAX, &value))
        return value;
    struct decimal d = decimal_split(text);
    size_t first = 0, last = d.whole.n + d.fraction.n; /* significant digits: without zeros at either end */
    while (first < last && decimal_digit(&d, first) == '0')
        first++;
    while (last > first && decimal_digit(&d, last - 1) == '0')
        last--;
    if (first == last)
        return 0;
    int64_t zeros = d.exponent + (int64_t)d.whole.n - (int64_t)last;
    if (zeros < 0 || zeros > 18 || last - first > 19)
        return otherwise;
    value = 0; /* kept negative: the wider side */
    for (size_t i = first; i < last + (size_t)zeros; i++) {
        int digit = i < last ? decimal_digit(&d, i) - '0' : 0;
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, digit, &value))
            return otherwise;
    }
    if (!d.negative && __builtin_sub_overflow(0, value, &value))
        return otherwise;
    return value;
}

double json_double(struct json v, double otherwise)
{
    if (json_type(v) != JSON_NUMBER)
        return otherwise;
    CLEANUP_MEM mem *tmp = mem_root();
    double d = strtod(str_dup(tmp, json_raw(v)), NULL); /* no role sets LC_NUMERIC */
    return isfinite(d) ? d : otherwise;
}

bool json_bool(struct json v, bool otherwise)
{
    enum json_type type = json_type(v);
    return type == JSON_TRUE || (type != JSON_FALSE && otherwise);
}

struct json_iter json_iter(struct json v)
{
    const struct node *node = node_of(v);
    bool container = node && (node->type == JSON_OBJECT || node->type == JSON_ARRAY);
    return (struct json_iter){
        .container = v, .next = v.at + 1, .end = container ? node->next : v.at + 1, .key_raw = STR("")};
}

bool json_next(struct json_iter *it)
{
    if (it->next >= it->end)
        return false;
    const struct json_doc *doc = it->container.doc;
    if (node_of(it->container)->type == JSON_OBJECT)
        it->key_raw = node_text(doc, &doc->nodes[it->next++]);
    it->value = (struct json){doc, it->next};
    it->next = doc->nodes[it->next].next;
    return true;
}

struct str json_iter_key(mem *ctx, const struct json_iter *it)
{
    bool escaped = it->key_raw.n && memchr(it->key_raw.p, '\\', it->key_raw.n);
    return string_decode(ctx, it->key_raw, escaped);
}
