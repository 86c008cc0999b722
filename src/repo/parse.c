/* Reading git's NUL-separated answers. Not here: running git. */
#include "repo/parse.h"
#include "repo/git.h"
/* Up to six octal digits. */
static bool mode_parse(struct str s, unsigned *ret)
{
    *ret = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '7')
            return false;
        *ret = *ret * 8 + (unsigned)(s.p[i] - '0');
    }
    return s.n > 0 && s.n <= 6;
}

/* "100644 blob <oid>\t<path>" */
bool entry_parse(mem *ctx, struct str line, struct repo_entry *ret)
{
    long tab = str_find(line, STR("\t"));
    struct str head = tab < 0 ? line : str_sub(line, 0, (size_t)tab), mode, type, oid;
    if (tab < 0 || !str_next(&head, ' ', &mode) || !str_next(&head, ' ', &type) || !str_next(&head, ' ', &oid))
        return false;
    ret->oid = str_dup(ctx, oid);
    ret->path = str_dup(ctx, str_sub(line, (size_t)tab + 1, line.n));
    return mode_parse(mode, &ret->mode) && git_is_oid(ret->oid) && ret->path[0];
}

static size_t count_records(struct str s)
{
    size_t n = 0;
    for (const char *p = s.p, *end = s.p + s.n; p < end && (p = memchr(p, '\0', (size_t)(end - p))); p++)
        n++;
    return n;
}

/* Every record ends with a NUL, the last one too. */
static bool is_whole(struct str s)
{
    return s.n == 0 || s.p[s.n - 1] == '\0';
}

bool entries_parse(mem *ctx, struct str out, struct repo_entry **ret, size_t *ret_n)
{
    struct str line;
    size_t n = 0, most = count_records(out);
    if (!is_whole(out))
        return false;
    struct repo_entry *v = mem_array(ctx, struct repo_entry, most + 1);
    while (n < most && str_next(&out, '\0', &line))
        if (!entry_parse(v, line, &v[n++])) {
            mem_free(v);
            return false;
        }
    *ret = v;
    *ret_n = n;
    return true;
}

/* ":100644 100755 <oid> <oid> M" and the path that follows. */
static bool change_parse(mem *ctx, struct str head, struct str path, struct repo_change *ret)
{
    struct str piece = {0};
    for (int i = 0; i < 5; i++)
        if (!str_next(&head, ' ', &piece))
            return false;
    if (piece.n != 1 || !strchr("AMDT", piece.p[0]) || path.n == 0)
        return false;
    *ret = (struct repo_change){.path = str_dup(ctx, path), .status = piece.p[0]};
    return true;
}

/* "12\t3\tpath", or "-\t-\tpath" for a binary file. */
static bool numbers_parse(struct str line, int64_t *ret_added, int64_t *ret_removed, struct str *ret_path)
{
    struct str added, removed;
    if (!str_next(&line, '\t', &added) || !str_next(&line, '\t', &removed))
        return false;
    *ret_path = line;
    if (str_eqz(added, "-")) {
        *ret_added = *ret_removed = -1;
        return true;
    }
    return str_int(added, 0, INT64_MAX, ret_added) && str_int(removed, 0, INT64_MAX, ret_removed);
}

/* Raw records come first, then the numbers in the same order (a path may be missing among them). */
static bool changes_fill(mem *ctx, struct str out, struct repo_change *v, size_t *ret_n)
{
    struct str piece, path;
    size_t n = 0, at = 0;
    while (str_next(&out, '\0', &piece) && piece.n) {
        if (piece.p[0] == ':') {
            if (!str_next(&out, '\0', &path) || !change_parse(ctx, piece, path, &v[n++]))
                return false;
            continue;
        }
        int64_t added, removed;
        if (!numbers_parse(piece, &added, &removed, &path))
            return false;
        while (at < n && !str_eqz(path, v[at].path))
            at++;
        if (at == n)
            return false;
        v[at].added = added;
        v[at].removed = removed;
    }
    *ret_n = n;
    return out.n == 0;
}

bool changes_parse(mem *ctx, struct str out, struct repo_change **ret, size_t *ret_n)
{
    if (!is_whole(out))
        return false;
    struct repo_change *v = mem_array(ctx, struct repo_change, count_records(out) + 1);
    if (!changes_fill(v, out, v, ret_n)) {
        mem_free(v);
        return false;
    }
    *ret = v;
    return true;
}
