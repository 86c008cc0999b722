/* edit: one exact replacement in a file.
 *
 * What it is about to do is recorded first, with the hash of the file before and after. An edit that an earlier process
 * had already made is known by that hash and not made a second time. */
#include "agent/work.h"
#include "crypt/hash.h"
#include "os/path.h"

enum { AROUND = 3 }; /* lines shown before and after the place */

struct edit_args {
    const char *path, *old, *new;
};

static int64_t line_at(struct str text, size_t offset)
{
    return tool_lines(str_sub(text, 0, offset)) + 1;
}

/* Why the text is not there: lines that differ from its first one only in white space around them. */
static void near_misses(struct tool_call *c, struct str text, struct str old)
{
    struct str rest = old, wanted, line;
    if (memchr(text.p, '\r', text.n) && !memchr(old.p, '\r', old.n) && memchr(old.p, '\n', old.n))
        buf_z(&c->out, " The lines of this file end with CR LF.");
    for (wanted = STR(""); !str_trim(wanted).n;)
        if (!str_line(&rest, &wanted))
            return;
    int found = 0;
    for (int64_t n = 1; found < 5 && str_line(&text, &line); n++)
        if (str_eq(str_trim(line), str_trim(wanted)))
            buf_printf(&c->out, "%s %lld", found++ ? "," : " Its first line stands, white space aside, at line",
                       (long long)n);
    if (found)
        buf_z(&c->out, ". Read it again and copy it exactly.");
    else
        buf_z(&c->out, " Read the file again.");
}

/* Offset of the only occurrence; *ret_ok false after a refusal. */
static size_t occurrence_find(struct tool_call *c, const char *path, struct str text, struct str old, bool *ret_ok)
{
    long first = str_find(text, old);
    *ret_ok = false;
    if (first < 0) {
        tool_refuse(c, "`old` does not occur in %s.", path);
        near_misses(c, text, old);
        return 0;
    }
    size_t at = (size_t)first, n = 1;
    struct buf lines;
    buf_init(&lines, c->ctx, 400);
    buf_printf(&lines, "%lld", (long long)line_at(text, at));
    for (size_t from = at + 1;; n++) { /* overlapping ones count */
        long next = str_find(str_sub(text, from, text.n), old);
        if (next < 0)
            break;
        from += (size_t)next + 1;
        if (n < 10)
            buf_printf(&lines, ", %lld", (long long)line_at(text, from - 1));
    }
    *ret_ok = n == 1;
    if (n > 1)
        tool_refuse(c, "`old` occurs %zu times in %s (lines %s%s). It must occur once: take in more lines around it.",
                    n, path, lines.p, n > 10 ? ", ..." : "");
    return at;
}

/* The place after the edit, with numbers, as `read` shows it. */
static void place_show(struct tool_call *c, struct str text, size_t at, size_t n)
{
    int64_t first = line_at(text, at) - AROUND, last = line_at(text, at + n) + AROUND;
    struct str line;
    size_t begin = c->out.n;
    for (int64_t number = 1; number <= last && str_line(&text, &line); number++) {
        if (number < first)
            continue;
        if (c->out.n - begin > 3000) {
            buf_z(&c->out, "[the rest of the place is not shown]\n");
            return;
        }
        buf_printf(&c->out, "%6lld\t%.*s%s\n", (long long)number, (int)str_utf8_cut(line, 300), line.p,
                   line.n > 300 ? "[...]" : "");
    }
}

/* Whether an earlier process recorded this edit and made it. */
static bool already_made(const struct tool_call *c, const char *hash_now)
{
    return c->started && json_eqz(json_get(c->started->json, "after"), hash_now) &&
           !json_eqz(json_get(c->started->json, "before"), hash_now);
}

static enum rc edit_remembered(struct tool_call *c, const char *path, const char *hash)
{
    buf_str(&c->out, json_str(c->ctx, json_get(c->started->json, "result")));
    jo_kz(&c->rec.o, "path", path);
    jo_kz(&c->rec.o, "after", hash);
    return RC_OK;
}

static struct str replace(mem *ctx, struct str text, size_t at, struct str old, struct str new)
{
    struct buf b;
    buf_init(&b, ctx, text.n + new.n);
    buf_add(&b, text.p, at);
    buf_str(&b, new);
    buf_str(&b, str_sub(text, at + old.n, text.n));
    return buf_view(&b);
}

static enum rc edit_make(struct tool_call *c, const char *path, struct str text, const struct edit_args *args,
                         const char *before, struct err *err)
{
    struct str old = str_of(args->old), new = str_of(args->new);
    bool ok;
    size_t at = occurrence_find(c, path, text, old, &ok);
    if (!ok)
        return RC_OK;
    struct str edited = replace(c->ctx, text, at, old, new);
    char after[HASH_SHA256_HEX];
    hash_sha256_hex(edited, after);
    buf_printf(&c->out, "Edited %s. It now reads:\n", path);
    place_show(c, edited, at, new.n);
    struct record *intent = tool_intent_begin(c);
    jo_kz(&intent->o, "path", path);
    jo_kz(&intent->o, "before", before);
    jo_kz(&intent->o, "after", after);
    jo_ks(&intent->o, "result", buf_view(&c->out));
    enum rc rc = tool_intent_end(c, intent, err);
    return rc ? rc : tool_file_put(c, path, edited, after, err);
}

static enum rc edit_run(struct tool_call *c, const void *p, struct err *err)
{
    const struct edit_args *args = p;
    const char *path = tool_path(c, args->path);
    if (!path)
        return RC_OK;
    if (!args->old[0])
        return tool_refuse(c, "`old` is empty. Use write for a new file.");
    if (strcmp(args->old, args->new) == 0)
        return tool_refuse(c, "`old` and `new` are the same.");
    struct str text;
    int64_t size;
    struct err why = {0};
    if (path_read(c->ctx, c->agent->root, path, TOOL_FILE_MOST, &text, &size, &why))
        return tool_refuse_err(c, &why);
    if (size > TOOL_FILE_MOST)
        return tool_refuse(c, "%s is too large to edit (%lld bytes). Change it with a command.", path, (long long)size);
    char before[HASH_SHA256_HEX];
    hash_sha256_hex(text, before);
    if (already_made(c, before))
        return edit_remembered(c, path, before);
    return edit_make(c, path, text, args, before, err);
}

static const char *edit_summary(mem *ctx, const void *p)
{
    return mem_printf(ctx, "edit %s", ((const struct edit_args *)p)->path);
}

static const struct json_bind edit_fields[] = {
    BIND(edit_args, path, BIND_STR, true, 0, 4096),
    BIND(edit_args, old, BIND_STR, true, 0, TOOL_FILE_MOST),
    BIND(edit_args, new, BIND_STR, true, 0, TOOL_FILE_MOST),
};
const struct agent_tool tool_edit = {
    .face =
        {"edit",
         "Replaces a piece of a file by another. `old` must stand in the file exactly so, white space included, and only "
         "once.",
         "{\"type\":\"object\",\"properties\":{"
         "\"path\":{\"type\":\"string\",\"description\":\"Path of the file, relative to /workspace\"},"
         "\"old\":{\"type\":\"string\",\"description\":\"The text to replace, without line numbers\"},"
         "\"new\":{\"type\":\"string\",\"description\":\"What stands there afterwards\"}},"
         "\"required\":[\"path\",\"old\",\"new\"]}"},
    .fields = edit_fields,
    .field_count = sizeof edit_fields / sizeof edit_fields[0],
    .args_size = sizeof(struct edit_args),
    .summary = edit_summary,
    .run = edit_run,
};
