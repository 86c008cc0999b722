/* Path globs, matched by walking all states of the pattern at once: no backtracking, so time is at most pattern times
 * path, whatever both hold. Not here: expanding a glob to files. */
#include "base/err.h"
#include "base/text.h"

enum glob_kind { GLOB_BYTE, GLOB_ANY, GLOB_CLASS, GLOB_STAR, GLOB_DIRS, GLOB_ALL };
struct glob_token {
    enum glob_kind kind;
    unsigned char byte;
    bool negate;
    struct str set; /* inside of a class, without the brackets and the negation */
};

/* Index of the ']' that closes the class opened at `at`, or 0. A ']' that comes first is a member. */
static size_t class_end(struct str pattern, size_t at)
{
    size_t i = at + 1;
    if (i < pattern.n && (pattern.p[i] == '!' || pattern.p[i] == '^'))
        i++;
    if (i < pattern.n && pattern.p[i] == ']')
        i++;
    while (i < pattern.n && pattern.p[i] != ']')
        i += pattern.p[i] == '\\' ? 2 : 1;
    return i < pattern.n ? i : 0;
}

/* Takes the token at *at, moving *at behind it. */
static struct glob_token token_take(struct str pattern, size_t *at)
{
    size_t i = *at;
    char c = pattern.p[i];
    size_t end;
    if (c == '*') {
        size_t stars = 1;
        while (i + stars < pattern.n && pattern.p[i + stars] == '*')
            stars++;
        *at = i + stars;
        if (stars == 1)
            return (struct glob_token){.kind = GLOB_STAR};
        bool whole = (i == 0 || pattern.p[i - 1] == '/') && *at < pattern.n && pattern.p[*at] == '/';
        if (!whole)
            return (struct glob_token){.kind = GLOB_ALL};
        ++*at; /* takes the '/' too, because it may stand for no folder at all */
        return (struct glob_token){.kind = GLOB_DIRS};
    }
    if (c == '[' && (end = class_end(pattern, i))) {
        bool negate = pattern.p[i + 1] == '!' || pattern.p[i + 1] == '^';
        size_t from = i + 1 + negate;
        *at = end + 1;
        return (struct glob_token){.kind = GLOB_CLASS, .negate = negate, .set = str_n(pattern.p + from, end - from)};
    }
    if (c == '\\' && i + 1 < pattern.n)
        c = pattern.p[++i];
    else if (c == '?') {
        *at = i + 1;
        return (struct glob_token){.kind = GLOB_ANY};
    }
    *at = i + 1;
    return (struct glob_token){.kind = GLOB_BYTE, .byte = (unsigned char)c};
}

static unsigned char set_byte(struct str set, size_t *i)
{
    if (set.p[*i] == '\\' && *i + 1 < set.n)
        ++*i;
    return (unsigned char)set.p[(*i)++];
}

static bool class_has(const struct glob_token *t, unsigned char c)
{
    bool in = false;
    for (size_t i = 0; i < t->set.n;) {
        unsigned char from = set_byte(t->set, &i), to = from;
        if (i + 1 < t->set.n && t->set.p[i] == '-') {
            i++;
            to = set_byte(t->set, &i);
        }
        in |= c >= from && c <= to;
    }
    return in != t->negate;
}

/* Whether the token takes c and is then done. */
static bool token_takes(const struct glob_token *t, unsigned char c)
{
    switch (t->kind) {
    case GLOB_BYTE:
        return t->byte == c;
    case GLOB_ANY:
        return c != '/';
    case GLOB_CLASS:
        return c != '/' && class_has(t, c);
    default:
        return false;
    }
}

/* Whether the token may take c and go on. */
static bool token_stays(const struct glob_token *t, unsigned char c)
{
    return t->kind == GLOB_ALL || t->kind == GLOB_DIRS || (t->kind == GLOB_STAR && c != '/');
}

/* Enters states that need no byte: a star may be over at once, "**" with its '/' only where a name begins. */
static void states_close(const struct glob_token *tokens, size_t n, bool *on, bool name_begins)
{
    for (size_t i = 0; i < n; i++) {
        enum glob_kind kind = tokens[i].kind;
        if (on[i] && (kind == GLOB_STAR || kind == GLOB_ALL || (kind == GLOB_DIRS && name_begins)))
            on[i + 1] = true;
    }
}

static bool tokens_match(const struct glob_token *tokens, size_t n, bool *on, struct str path)
{
    memset(on, 0, n + 1);
    on[0] = true;
    states_close(tokens, n, on, true);
    for (size_t at = 0; at < path.n; at++) {
        unsigned char c = (unsigned char)path.p[at];
        bool any = false;
        on[n] = false;
        for (size_t i = n; i-- > 0;) { /* from the end, so that one array serves as old and new */
            bool was = on[i];
            on[i] = was && token_stays(&tokens[i], c);
            if (was && token_takes(&tokens[i], c))
                on[i + 1] = true;
            any |= on[i] || on[i + 1];
        }
        if (!any)
            return false;
        states_close(tokens, n, on, c == '/');
    }
    return on[n];
}

bool text_glob(struct str pattern, struct str path)
{
    bool below = pattern.n > 1 && pattern.p[pattern.n - 1] == '/';
    struct str inner = str_sub(pattern, 0, pattern.n - below);
    bool rooted = inner.n && memchr(inner.p, '/', inner.n);
    if (inner.n && inner.p[0] == '/')
        inner = str_sub(inner, 1, inner.n);
    if (!inner.n)
        return false;

    CLEANUP_MEM mem *tmp = mem_root();
    struct glob_token *tokens = mem_array(tmp, struct glob_token, inner.n + 3);
    size_t n = 0;
    if (!rooted)
        tokens[n++].kind = GLOB_DIRS;
    for (size_t at = 0; at < inner.n;)
        tokens[n++] = token_take(inner, &at);
    if (below) {
        tokens[n++] = (struct glob_token){.kind = GLOB_BYTE, .byte = '/'};
        tokens[n++] = (struct glob_token){.kind = GLOB_ALL};
    }
    return tokens_match(tokens, n, mem_array(tmp, bool, n + 1), path);
}
