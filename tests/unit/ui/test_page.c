/* The page's files: what is for the page and what is for the API, packed or not, and the policy of every document. The
 * built page itself may be missing here (no Node.js): then only what does not need it is tested. */
#include "ui/page.h"
#include "ui/page_table.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct http_field fields[8];

static struct http_request request(mem *ctx, const char *method, const char *path, const char *accept,
                                   const char *encoding, const char *etag)
{
    size_t n = 0;
    if (accept)
        fields[n++] = (struct http_field){STR("Accept"), str_of(accept)};
    if (encoding)
        fields[n++] = (struct http_field){STR("Accept-Encoding"), str_of(encoding)};
    if (etag)
        fields[n++] = (struct http_field){STR("If-None-Match"), str_of(etag)};
    return (struct http_request){
        .ctx = ctx, .method = str_of(method), .path = str_of(path), .fields = fields, .field_count = n};
}

static const char *line(const struct page_answer *a, const char *start)
{
    for (size_t i = 0; a->lines[i]; i++)
        if (!strncmp(a->lines[i], start, strlen(start)))
            return a->lines[i];
    return "";
}

static const char html[] = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8";

START_TEST(test_wanted)
{
    static const struct {
        const char *method, *path, *accept;
        bool wanted;
    } cases[] = {
        {"GET", "/", NULL, true},
        {"HEAD", "/", NULL, true},
        {"POST", "/", html, false},
        {"GET", "/tasks", html, true},
        {"GET", "/tasks/k3p9x2a", html, true},
        {"GET", "/tasks/k3p9x2a", "application/json", false},
        {"GET", "/tasks", NULL, false},
        {"POST", "/tasks", html, false},
        {"GET", "/nothing", NULL, false},
        {"GET", "/api/v1/tasks", html, false},
        {"GET", "/apiary", html, true},
        {"GET", "/v1/models", html, false},
        {"GET", "/health", html, false},
        {"GET", "/ready", html, false},
        {"GET", "/metrics", html, false},
        {"GET", "/x", "text/htmlx, */*", false},
        {"GET", "/x", "*/*", false},
    };
    mem *ctx = mem_root();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_request r = request(ctx, cases[i].method, cases[i].path, cases[i].accept, NULL, NULL);
        ck_assert_msg(page_wanted(&r, false) == cases[i].wanted, "%s %s", cases[i].method, cases[i].path);
    }
    struct http_request worker = request(ctx, "GET", "/sw-of-a-new-page.js", "*/*", NULL, NULL);
    ck_assert(page_wanted(&worker, true));
    ck_assert(!page_wanted(&worker, false));
    struct http_request api = request(ctx, "GET", "/api/openapi.json", "*/*", NULL, NULL);
    ck_assert(!page_wanted(&api, true));
    mem_free(ctx);
}
END_TEST

START_TEST(test_builtin)
{
    mem *ctx = mem_root();
    struct page_answer a;
    struct http_request r = request(ctx, "GET", "/", html, "gzip, deflate, br", NULL);
    ck_assert_int_eq(page_find(ctx, &r, NULL, &a), RC_OK);
    ck_assert(strstr(line(&a, "Content-Security-Policy:"), "default-src 'none'"));
    ck_assert(strstr(line(&a, "Content-Security-Policy:"), "frame-ancestors 'none'"));
    ck_assert(!strstr(line(&a, "Content-Security-Policy:"), "unsafe"));
    ck_assert_str_eq(line(&a, "X-Content-Type-Options:"), "X-Content-Type-Options: nosniff");
    ck_assert_str_eq(line(&a, "Cache-Control:"), "Cache-Control: no-cache");
    if (!page_file_count) {
        ck_assert_int_eq(a.status, 404);
        ck_assert(str_find(a.body, STR("./mill build")) > 0);
        mem_free(ctx);
        return;
    }
    ck_assert_int_eq(a.status, 200);
    ck_assert_str_eq(line(&a, "Content-Encoding:"), "Content-Encoding: gzip");
    ck_assert(a.body.n > 20 && (unsigned char)a.body.p[0] == 0x1f && (unsigned char)a.body.p[1] == 0x8b);
    const char *etag = line(&a, "ETag: ") + 6;
    struct http_request again = request(ctx, "GET", "/tasks", html, "gzip", etag);
    ck_assert_int_eq(page_find(ctx, &again, NULL, &a), RC_OK);
    ck_assert_int_eq(a.status, 304);
    ck_assert_uint_eq(a.body.n, 0);

    static const char *const refusing[] = {NULL, "br", "gzip;q=0", "identity, gzip; q=0.0"};
    for (size_t i = 0; i < sizeof refusing / sizeof *refusing; i++) {
        struct http_request plain = request(ctx, "GET", "/", html, refusing[i], NULL);
        ck_assert_int_eq(page_find(ctx, &plain, NULL, &a), RC_AGAIN);
    }
    page_read(ctx, NULL, STR("/"), true, &a);
    ck_assert_int_eq(a.status, 200);
    ck_assert(str_starts(a.body, STR("<!doctype html>")));
    ck_assert_str_eq(line(&a, "Content-Encoding:"), "");

    for (size_t i = 0; i < page_file_count; i++) {
        struct http_request one = request(ctx, "GET", page_files[i].path, "*/*", "gzip;q=0.5", NULL);
        ck_assert(page_wanted(&one, false));
        ck_assert_int_eq(page_find(ctx, &one, NULL, &a), RC_OK);
        ck_assert_int_eq(a.status, 200);
        ck_assert(!page_files[i].forever == !strstr(line(&a, "Cache-Control:"), "immutable"));
        page_read(ctx, NULL, str_of(page_files[i].path), false, &a);
        ck_assert_uint_eq(a.body.n, page_files[i].size);
    }
    struct http_request none = request(ctx, "GET", "/assets/none.js", html, "gzip", NULL);
    ck_assert_int_eq(page_find(ctx, &none, NULL, &a), RC_OK);
    ck_assert_int_eq(a.status, 404);
    mem_free(ctx);
}
END_TEST

START_TEST(test_folder)
{
    char dir[] = "/tmp/test-page-XXXXXX";
    ck_assert(mkdtemp(dir));
    mem *ctx = mem_root();
    const char *index = mem_printf(ctx, "%s/index.html", dir), *link = mem_printf(ctx, "%s/out.js", dir);
    FILE *f = fopen(index, "w");
    ck_assert(f && fputs("<p>mine</p>", f) >= 0 && !fclose(f));
    ck_assert_int_eq(symlink("/etc/passwd", link), 0);
    struct page_answer a;
    struct http_request r = request(ctx, "GET", "/", html, "gzip", NULL);
    ck_assert_int_eq(page_find(ctx, &r, dir, &a), RC_AGAIN);
    page_read(ctx, dir, STR("/tasks/abc"), true, &a);
    ck_assert_int_eq(a.status, 200);
    ck_assert(str_eqz(a.body, "<p>mine</p>"));
    ck_assert(strstr(line(&a, "Content-Security-Policy:"), "script-src 'self'"));
    page_read(ctx, dir, STR("/out.js"), false, &a);
    ck_assert_int_eq(a.status, 404);
    page_read(ctx, dir, STR("/assets/none.js"), true, &a);
    ck_assert_int_eq(a.status, 404);
    unlink(link);
    unlink(index);
    rmdir(dir);
    mem_free(ctx);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("page");
    TCase *t = tcase_create("page");
    tcase_add_test(t, test_wanted);
    tcase_add_test(t, test_builtin);
    tcase_add_test(t, test_folder);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
