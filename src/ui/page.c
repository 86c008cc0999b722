/* The files of the page and how they are answered. Not here: what the page does (ui/), who may use the API. */
#include "ui/page.h"
#include "net/unpack.h"
#include "os/path.h"
#include "ui/page_table.h"
#include <unistd.h>

enum { FILE_MOST = 4 << 20 };

/* trusted-types: scripts are only ever named by ui/src/trusted.ts. */
#define POLICY(style, ancestors)                                                                                       \
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src " style                                 \
    "; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; "            \
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors " ancestors                                \
    "; require-trusted-types-for 'script'; trusted-types nightmill"

static const char policy_strict[] = POLICY("'self'", "'none'");
/* The terminal's library sets styles of its own; it is shown in a frame of the page. */
static const char policy_terminal[] = POLICY("'self' 'unsafe-inline'", "'self'");

static const char *const lines_all[] = {
    "X-Content-Type-Options: nosniff",
    "Referrer-Policy: no-referrer",
    "Cross-Origin-Opener-Policy: same-origin",
    "Cross-Origin-Resource-Policy: same-origin",
    "Permissions-Policy: camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    NULL,
};

static const char missing_page[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Nightmill</title>"
    "<h1>This Nightmill was built without its page</h1>"
    "<p>With Node.js 20 or later and npm installed, <code>./mill build</code> builds the page and puts it into the "
    "program. Until then everything is done by commands (<code>nightmill help</code>) and the API "
    "(<code>/api/openapi.json</code>).</p></html>";

bool page_navigation(const struct http_request *r)
{
    struct str accept = http_header(r, "Accept"), one;
    while (str_next(&accept, ',', &one)) {
        struct str type;
        if (str_next(&one, ';', &type) && str_ieq(str_trim(type), STR("text/html")))
            return true;
    }
    return false;
}

static bool below(struct str path, struct str top)
{
    return str_starts(path, top) && (path.n == top.n || path.p[top.n] == '/');
}

static bool is_api(struct str path)
{
    return below(path, STR("/api")) || below(path, STR("/v1")) || below(path, STR("/health")) ||
           below(path, STR("/ready")) || below(path, STR("/metrics"));
}

static const struct page_file *file_named(struct str path)
{
    for (size_t i = 0; i < page_file_count; i++)
        if (str_eqz(path, page_files[i].path))
            return &page_files[i];
    return NULL;
}

/* A file of its own, rather than an address inside of the page. */
static bool is_asset(struct str path)
{
    return below(path, STR("/assets"));
}

/* "/sw.js": in a folder that is being worked on there may be more files than in the program. */
static bool has_suffix(struct str path)
{
    const char *dot = path.n ? memrchr(path.p, '.', path.n) : NULL;
    return dot && !memchr(dot, '/', (size_t)(path.p + path.n - dot));
}

bool page_wanted(const struct http_request *r, bool from_dir)
{
    if (!str_eqz(r->method, "GET") && !str_eqz(r->method, "HEAD"))
        return false;
    if (is_api(r->path))
        return false;
    if (str_eqz(r->path, "/") || file_named(r->path) || (from_dir && (is_asset(r->path) || has_suffix(r->path))))
        return true;
    return page_navigation(r);
}

/* RFC 9110 section 12.5.3. Clients that do not speak of it (curl) do not unpack either. */
static bool takes_gzip(const struct http_request *r)
{
    struct str all = http_header(r, "Accept-Encoding"), one, name;
    while (str_next(&all, ',', &one)) {
        if (!str_next(&one, ';', &name) || !str_ieq(str_trim(name), STR("gzip")))
            continue;
        struct str weight = str_trim(one);
        return !str_starts(weight, STR("q=0")) || str_find(weight, STR("1")) >= 0 ||
               (weight.n > 4 && weight.p[4] != '0');
    }
    return false;
}

static bool etag_matches(const struct http_request *r, const char *etag)
{
    struct str all = http_header(r, "If-None-Match"), one;
    while (str_next(&all, ',', &one)) {
        one = str_trim(one);
        if (str_starts(one, STR("W/")))
            one = str_sub(one, 2, one.n);
        if (str_eqz(one, etag) || str_eqz(one, "*"))
            return true;
    }
    return false;
}

static void lines_put(mem *ctx, struct page_answer *a, struct str path, const char *etag, bool forever, bool packed)
{
    size_t n = 0;
    for (; lines_all[n]; n++)
        a->lines[n] = lines_all[n];
    if (str_starts(str_of(a->type), STR("text/html"))) {
        bool terminal = str_eqz(path, "/terminal.html");
        a->lines[n++] = terminal ? policy_terminal : policy_strict;
        if (!terminal)
            a->lines[n++] = "X-Frame-Options: DENY";
    }
    a->lines[n++] = forever ? "Cache-Control: public, max-age=31536000, immutable" : "Cache-Control: no-cache";
    a->lines[n++] = "Vary: Accept-Encoding, Accept";
    if (packed)
        a->lines[n++] = "Content-Encoding: gzip";
    if (etag)
        a->lines[n++] = mem_printf(ctx, "ETag: W/%s", etag);
    a->lines[n] = NULL;
}

static void missing(mem *ctx, bool no_page, struct page_answer *ret)
{
    *ret = (struct page_answer){.status = 404,
                                .type = no_page ? "text/html; charset=utf-8" : "text/plain; charset=utf-8",
                                .body = no_page ? str_of(missing_page) : STR("There is no such file.\n")};
    lines_put(ctx, ret, STR(""), NULL, false, false);
}

enum rc page_find(mem *ctx, const struct http_request *r, const char *dir, struct page_answer *ret)
{
    if (dir)
        return RC_AGAIN;
    const struct page_file *file = file_named(r->path);
    if (!file && is_asset(r->path)) {
        missing(ctx, false, ret);
        return RC_OK;
    }
    if (!file)
        file = file_named(STR("/index.html"));
    if (!file) {
        missing(ctx, true, ret);
        return RC_OK;
    }
    bool same = etag_matches(r, file->etag);
    if (!same && !takes_gzip(r))
        return RC_AGAIN;
    *ret = (struct page_answer){.status = same ? 304 : 200, .type = file->type};
    if (!same)
        ret->body = str_n((const char *)page_bytes + file->offset, file->packed);
    lines_put(ctx, ret, str_of(file->path), file->etag, file->forever, !same);
    return RC_OK;
}

static bool unpack_file(mem *ctx, const struct page_file *file, struct str *ret)
{
    struct err err = {0};
    struct buf out;
    struct str in = str_n((const char *)page_bytes + file->offset, file->packed), piece;
    struct unpack *u = unpack_new(ctx, STR("gzip"));
    buf_init(&out, ctx, FILE_MOST);
    do {
        if (unpack_take(u, &in, &piece, &err) != RC_OK)
            return false;
        if (!buf_str(&out, piece))
            return false;
    } while (piece.n);
    *ret = buf_view(&out);
    return ret->n == file->size;
}

static const char *type_of(struct str path)
{
    static const struct {
        const char *end, *type;
    } types[] = {
        {".html", "text/html; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".json", "application/json"},
        {".webmanifest", "application/manifest+json"},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (str_ends(path, str_of(types[i].end)))
            return types[i].type;
    return "application/octet-stream";
}

static bool dir_read(mem *ctx, const char *dir, struct str path, struct page_answer *ret)
{
    struct err err = {0};
    int root = -1;
    int64_t size = 0;
    if (path_open_root(dir, &root, &err) != RC_OK)
        return false;
    const char *name = str_dup(ctx, str_sub(path, 1, path.n));
    bool found =
        *name && path_read(ctx, root, name, FILE_MOST, &ret->body, &size, &err) == RC_OK && (size_t)size == ret->body.n;
    close(root);
    ret->status = 200;
    ret->type = type_of(path);
    return found;
}

void page_read(mem *ctx, const char *dir, struct str path, bool navigation, struct page_answer *ret)
{
    *ret = (struct page_answer){.status = 200};
    bool index = str_eqz(path, "/") || (navigation && !is_asset(path) && !file_named(path));
    if (dir) {
        bool found = !str_eqz(path, "/") && dir_read(ctx, dir, path, ret);
        if (!found && index)
            found = dir_read(ctx, dir, path = STR("/index.html"), ret);
        if (found)
            lines_put(ctx, ret, path, NULL, false, false);
        else
            missing(ctx, index, ret);
        return;
    }
    const struct page_file *file = file_named(path);
    if (!file && index)
        file = file_named(STR("/index.html"));
    if (!file || !unpack_file(ctx, file, &ret->body)) {
        missing(ctx, !page_file_count, ret);
        return;
    }
    ret->type = file->type;
    lines_put(ctx, ret, str_of(file->path), file->etag, file->forever, false);
}

void page_send(struct http_request *r, const struct page_answer *a)
{
    http_answer_whole(r, a->status, a->type, a->body, a->lines);
}
