/* The way to the page (ui/page.h): what is packed is answered on the loop, what must be read or unpacked on the pool.
 */
#include "api/server_room.h"
#include "ui/page.h"

struct page_call {
    mem *ctx;
    const char *dir; /* NULL: the built-in page */
    struct str path;
    bool navigation;
    struct http_request *request; /* NULL once the client is gone; only the loop touches it */
    struct page_answer answer;
};

static void page_work(void *arg)
{
    struct page_call *c = arg;
    page_read(c->ctx, c->dir, c->path, c->navigation, &c->answer);
}

static void page_done(void *arg)
{
    struct page_call *c = arg;
    if (c->request)
        page_send(c->request, &c->answer);
    mem_free(c->ctx);
}

static void page_gone(struct http_request *r)
{
    struct page_call *c = r->user;
    c->request = NULL;
}

bool page_handle(struct server *s, struct http_request *r)
{
    const char *dir = setting_text(s->place->settings, "server.ui_dir");
    if (!page_wanted(r, *dir))
        return false;
    struct page_answer answer;
    if (page_find(r->ctx, r, *dir ? dir : NULL, &answer) == RC_OK) {
        page_send(r, &answer);
        return true;
    }
    mem *ctx = mem_root();
    struct page_call *c = mem_new(ctx, struct page_call);
    c->ctx = ctx;
    c->dir = *dir ? mem_str(ctx, dir) : NULL;
    c->path = str_of(str_dup(ctx, r->path));
    c->navigation = page_navigation(r);
    c->request = r;
    r->user = c;
    http_on_gone(r, page_gone);
    loop_offload(&s->loop, page_work, page_done, c);
    return true;
}
