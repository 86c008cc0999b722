/* JUnit XML: <testcase> elements with <failure>, <error> or <skipped> inside. One document, not lines.
 *
 * Only tags are looked at; comments, CDATA and processing instructions are stepped over. Cases are counted rather than
 * the sums in attributes, which differ between writers; a suite that says it has tests and shows none is broken. */
#include "verify/runner.h"

struct cursor {
    struct str s;
    size_t at;
};

static bool skip_to(struct cursor *c, const char *end)
{
    long n = str_find(str_sub(c->s, c->at, c->s.n), str_of(end));
    if (n < 0)
        return false;
    c->at += (size_t)n + strlen(end);
    return true;
}

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == ':' || c == '.';
}

/* Next tag: its name, whether it closes, whether it is empty (<a/>), and its attributes as they stand. */
static bool tag_next(struct cursor *c, struct str *ret_name, bool *ret_close, bool *ret_empty, struct str *ret_attrs)
{
    while (skip_to(c, "<")) {
        struct str rest = str_sub(c->s, c->at, c->s.n);
        const char *end = str_starts(rest, STR("!--"))        ? "-->"
                          : str_starts(rest, STR("![CDATA[")) ? "]]>"
                          : str_starts(rest, STR("?"))        ? "?>"
                          : str_starts(rest, STR("!"))        ? ">"
                                                              : NULL;
        if (end) {
            if (!skip_to(c, end))
                return false;
            continue;
        }
        *ret_close = scan_z(&rest, "/");
        size_t n = 0;
        while (n < rest.n && name_char(rest.p[n]))
            n++;
        *ret_name = str_sub(rest, 0, n);
        char quote = 0;
        size_t i = n;
        for (; i < rest.n && (quote || rest.p[i] != '>'); i++) {
            if (quote)
                quote = rest.p[i] == quote ? 0 : quote;
            else if (rest.p[i] == '"' || rest.p[i] == '\'')
                quote = rest.p[i];
        }
        if (i >= rest.n)
            return false;
        *ret_empty = i > n && rest.p[i - 1] == '/';
        *ret_attrs = str_sub(rest, n, i - n);
        c->at = (size_t)(rest.p - c->s.p) + i + 1;
        return true;
    }
    return false;
}

static bool attr_positive(struct str attrs, const char *name)
{
    long at = str_find(attrs, str_of(name));
    int64_t n;
    if (at < 0)
        return false;
    struct str s = str_sub(attrs, (size_t)at + strlen(name), attrs.n);
    return scan_z(&s, "\"") && scan_count(&s, &n) && n > 0;
}

static void junit_whole(struct tally *t, struct str bytes)
{
    struct cursor c = {bytes, 0};
    struct str name, attrs;
    bool close, empty, suites = false, claims = false, open = false, failed = false, skipped = false;
    struct str start = str_trim(bytes);
    if (!str_starts(start, STR("<")))
        return;
    while (tag_next(&c, &name, &close, &empty, &attrs)) {
        if (!suites && !str_eqz(name, "testsuites") && !str_eqz(name, "testsuite"))
            return; /* another kind of XML */
        suites = true;
        t->seen = true;
        if (!close && str_eqz(name, "testsuite"))
            claims |= attr_positive(attrs, " tests=");
        if (str_eqz(name, "testcase")) {
            if (!close) {
                t->broken |= open;
                open = true;
                failed = skipped = false;
            }
            if (close || empty) {
                t->broken |= !open;
                open = false;
                tally_add(t, !failed && !skipped, failed, skipped && !failed);
            }
        } else if (open && !close) {
            failed |= str_eqz(name, "failure") || str_eqz(name, "error");
            skipped |= str_eqz(name, "skipped");
        }
    }
    t->broken |= open || (claims && !(t->passed + t->failed + t->skipped));
}

const struct runner runner_junit = {.name = "junit", .whole = junit_whole};
