/* The web page: the files of ui/, packed into the program, and how they are answered.
 *
 * They are open to everybody who can connect and whose Host is right (net/http.h): nothing secret is in them, and the
 * page has to come before the login. Every document carries a policy under which only this server's own scripts, styles
 * and connections are possible, so that words of agents could not act even where one was shown wrongly. Names below
 * /assets/ change with their content and are kept for good; everything else is asked for anew and confirmed by its
 * ETag. Files travel as they are stored, gzip; who refuses gzip gets them unpacked.
 *
 * Any path that a browser navigates to (it accepts text/html) and that is not the API's gives the page: its own router
 * knows what is there. Threads: page_route, page_find and page_send are quick and of any thread; page_read is for the
 * pool. */
#pragma once
#include "base/err.h"
#include "net/http.h"

struct page_answer {
    int status;
    const char *type;
    struct str body;
    const char *lines[16]; /* header fields, NULL-terminated */
};

/* Whether this request is for the page: GET or HEAD of a file, of "/", or a navigation outside of the API. */
bool page_wanted(const struct http_request *r, bool from_dir);
/* The packed file, ready to be sent; RC_AGAIN: it has to be read first (page_read). Lines in ctx. */
enum rc page_find(mem *ctx, const struct http_request *r, const char *dir, struct page_answer *ret);
/* From `dir` (NULL: the built-in files, unpacked). `path` is the request's. Never an error: what is missing is a 404.
 */
void page_read(mem *ctx, const char *dir, struct str path, bool navigation, struct page_answer *ret);
/* The request is a browser's going to an address: it wants a document. */
bool page_navigation(const struct http_request *r);
void page_send(struct http_request *r, const struct page_answer *a);
