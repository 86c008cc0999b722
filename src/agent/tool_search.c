/* search: lines that hold a text, or match a POSIX extended regular expression.
 *
 * Patterns come from a model: their size, their repetitions and the time of the whole search are bounded, and
 * references to groups, by which matching can take forever, are refused. Whatever is not looked at is counted in the
 * result. */
#include "agent/work.h"
#include "base/clock.h"
#include "os/path.h"
#include <regex.h>

enum {
    MATCHES_SHOWN = 200,
    PATTERN_MOST = 300,
    FILE_MOST = 16 << 20,
    LINE_SHOWN = 300,
    REPEATS_MOST = 500,
    LINE_MOST = 16 << 10
};
static const int64_t BYTES_MOST = INT64_C(1) << 30, TIME_MOST_NS = INT64_C(20) * 1000000000;

struct search_args {
    const char *text, *path, *glob;
    bool regex, ignore_case;
};

struct search {
    struct tool_call *c;
    const struct search_args *args;
    regex_t regex;
    size_t room;
    int64_t deadline_ns, bytes;
    int64_t matches, shown, files;
    int64_t binary, large, links, special, unreadable, long_lines;
    bool over;
    mem *tmp; /* of one file */
};

/* Offset of the first match in a line, or -1. */
static long line_match(const struct search *s, struct str line)
{
    if (!s->args->regex)
        return s->args->ignore_case ? str_ifind(line, str_of(s->args->text)) : str_find(line, str_of(s->args->text));
    regmatch_t m = {.rm_so = 0, .rm_eo = (regoff_t)line.n};
    return regexec(&s->regex, line.p, 1, &m, REG_STARTEND) == 0 ? (long)m.rm_so : -1;
}

static void match_show(struct search *s, const char *path, int64_t number, struct str line, size_t at)
{
    s->matches++;
    if (s->shown == MATCHES_SHOWN || s->c->out.n > s->room)
        return;
    s->shown++;
    size_t from = at > LINE_SHOWN / 2 ? at - LINE_SHOWN / 2 : 0;
    while (from && (line.p[from] & 0xc0) == 0x80)
        from--;
    struct str part = str_sub(line, from, line.n);
    size_t n = str_utf8_cut(part, LINE_SHOWN);
    buf_printf(&s->c->out, "%s:%lld:%s%.*s%s\n", text_terminal_line(s->tmp, str_of(path), 1000), (long long)number,
               from ? "[...]" : "", (int)n, part.p, n < part.n ? "[...]" : "");
}

static void contents_search(struct search *s, const char *path, struct str text)
{
    struct str line;
    int64_t before = s->matches;
    for (int64_t number = 1; !s->over && str_line(&text, &line); number++) {
        /* Matching may take the square of a line's length. */
        bool skip = s->args->regex && line.n > LINE_MOST;
        s->long_lines += skip;
        long at = skip ? -1 : line_match(s, line);
        if (at >= 0)
            match_show(s, path, number, line, (size_t)at);
        if (number % 256 == 0 || line.n > 1024)
            s->over = clock_mono_ns() > s->deadline_ns;
    }
    s->files += s->matches > before;
}

static void file_search(struct search *s, const char *path, const struct stat *st)
{
    if (st->st_size > FILE_MOST) {
        s->large++;
        return;
    }
    struct str text;
    int64_t size;
    if (path_read(s->tmp, s->c->agent->root, path, FILE_MOST, &text, &size, NULL)) {
        s->unreadable++;
        return;
    }
    if (memchr(text.p, 0, text.n < 8192 ? text.n : 8192)) {
        s->binary++;
        return;
    }
    s->bytes += size;
    contents_search(s, path, text);
}

static int entry_visit(void *arg, const char *path, enum path_kind kind, const struct stat *st)
{
    struct search *s = arg;
    s->over = s->over || s->bytes > BYTES_MOST || clock_mono_ns() > s->deadline_ns;
    if (s->over)
        return -1;
    const char *slash = strrchr(path, '/');
    if (kind == PATH_DIR)
        return str_ieq(str_of(slash ? slash + 1 : path), STR(".git"));
    if (s->args->glob && !text_glob(str_of(s->args->glob), str_of(path)))
        return 0;
    s->links += kind == PATH_LINK;
    s->special += kind == PATH_OTHER;
    if (kind != PATH_FILE)
        return 0;
    CLEANUP_MEM mem *tmp = mem_root();
    s->tmp = tmp;
    file_search(s, path, st);
    return 0;
}

/* Repetitions multiply when they are nested; the product of all is a bound whatever the nesting. */
static const char *pattern_problem(const char *pattern)
{
    int64_t product = 1;
    for (const char *p = pattern; *p; p++) {
        if (*p == '\\') {
            if (p[1] >= '1' && p[1] <= '9')
                return "References to groups are not supported.";
            p += p[1] != 0;
            continue;
        }
        if (*p != '{')
            continue;
        int64_t most = 0;
        for (int64_t n = 0; *p && *p != '}'; p++) {
            n = *p >= '0' && *p <= '9' ? n * 10 + (*p - '0') : 0;
            if (n > most)
                most = n;
            if (most > REPEATS_MOST)
                break;
        }
        product *= most > 1 ? most : 1;
        if (product > REPEATS_MOST)
            return "The repetitions {...} multiply to too many.";
        if (!*p)
            break;
    }
    return NULL;
}

static void counts_write(struct search *s)
{
    const struct {
        int64_t n;
        const char *what;
    } counts[] = {{s->binary, "binary files not searched"},
                  {s->large, "files of more than 16 MiB not searched"},
                  {s->links, "symbolic links not followed"},
                  {s->special, "special files not read"},
                  {s->long_lines, "lines of more than 16 KiB not matched"},
                  {s->unreadable, "files could not be read"}};
    struct buf *out = &s->c->out;
    if (!s->matches)
        buf_z(out, "(no match)\n");
    else if (s->shown < s->matches)
        buf_printf(out, "[%lld matches in %lld files; the first %lld are shown]\n", (long long)s->matches,
                   (long long)s->files, (long long)s->shown);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (counts[i].n)
            buf_printf(out, "[%lld %s]\n", (long long)counts[i].n, counts[i].what);
    if (s->over)
        buf_z(out, "[stopped: the search takes too long; search a smaller part]\n");
}

static enum rc search_run(struct tool_call *c, const void *p, struct err *err)
{
    (void)err;
    const struct search_args *args = p;
    const char *path = tool_path(c, args->path ? args->path : "");
    if (!path)
        return RC_OK;
    struct search s = {.c = c, .args = args, .deadline_ns = clock_mono_ns() + TIME_MOST_NS};
    s.room = c->agent->spec->tool_output_max > 1024 ? c->agent->spec->tool_output_max - 512 : 512;
    if (!args->text[0] || strchr(args->text, '\n'))
        return tool_refuse(c, "`text` must be one line and not empty.");
    const char *problem = args->regex ? pattern_problem(args->text) : NULL;
    if (problem)
        return tool_refuse(c, "%s", problem);
    int flags = REG_EXTENDED | (args->ignore_case ? REG_ICASE : 0);
    int code = args->regex ? regcomp(&s.regex, args->text, flags) : 0;
    if (code) {
        char words[200];
        regerror(code, &s.regex, words, sizeof words);
        return tool_refuse(c, "The regular expression is wrong: %s.", words);
    }
    struct err why = {0};
    enum rc rc = path_walk(c->agent->root, path, entry_visit, &s, &why);
    if (args->regex)
        regfree(&s.regex);
    if (rc)
        return tool_refuse_err(c, &why);
    counts_write(&s);
    return RC_OK;
}

static const char *search_summary(mem *ctx, const void *p)
{
    const struct search_args *args = p;
    return mem_printf(ctx, "search %s%s%s", args->text, args->path ? " in " : "", args->path ? args->path : "");
}

static const struct json_bind search_fields[] = {
    BIND(search_args, text, BIND_STR, true, 0, PATTERN_MOST), BIND(search_args, path, BIND_STR, false, 0, 4096),
    BIND(search_args, glob, BIND_STR, false, 0, 1000),        BIND(search_args, regex, BIND_BOOL, false, 0, 0),
    BIND(search_args, ignore_case, BIND_BOOL, false, 0, 0),
};
const struct agent_tool tool_search = {
    .face =
        {"search",
         "Finds lines in the files: as they stand, or by a POSIX extended regular expression. Answers path:line:text.",
         "{\"type\":\"object\",\"properties\":{"
         "\"text\":{\"type\":\"string\",\"description\":\"What to find, within one line\"},"
         "\"regex\":{\"type\":\"boolean\",\"description\":\"text is a POSIX extended regular expression\"},"
         "\"ignore_case\":{\"type\":\"boolean\"},"
         "\"path\":{\"type\":\"string\",\"description\":\"File or folder to search; everything when absent\"},"
         "\"glob\":{\"type\":\"string\",\"description\":\"Only files that match, such as *.py\"}},"
         "\"required\":[\"text\"]}"},
    .fields = search_fields,
    .field_count = sizeof search_fields / sizeof search_fields[0],
    .args_size = sizeof(struct search_args),
    .summary = search_summary,
    .run = search_run,
};
