/* Whether who follows the live stream still may: a login ends, a key is revoked, a role is taken away while the stream
 * is open. */
#include "api/feed_room.h"
#include "base/clock.h"
#include "store/user.h"

#define EVERY_MS 15000

struct standing {
    mem *ctx;
    struct feed *feed;
    int64_t viewer; /* its id: it may have gone meanwhile */
    struct principal who, now;
    bool gone, fresh; /* fresh: `now` is what it may see */
};

static bool absent(enum rc rc)
{
    return rc == RC_NOT_FOUND || rc == RC_DENIED;
}

static void standing_read(void *arg)
{
    struct standing *s = arg;
    struct store *store = s->feed->server->store;
    int64_t now_ns = clock_wall_ns();
    struct session login;
    struct user_key key;
    enum rc rc = s->who.session_id ? session_find(s->ctx, store, s->who.session_id, &login, NULL) : RC_OK;
    s->gone = absent(rc) || (s->who.session_id && rc == RC_OK && login.expires_ns <= now_ns);
    rc = s->who.key_id ? user_key_find(s->ctx, store, s->who.key_id, &key, NULL) : RC_OK;
    s->gone |= absent(rc) ||
               (s->who.key_id && rc == RC_OK && (key.revoked_ns || (key.expires_ns && key.expires_ns <= now_ns)));
    if (!s->who.user_id || s->who.key_id)
        return;
    rc = principal_of_user(s->ctx, store, s->who.user_id, &s->now, NULL);
    s->gone |= absent(rc);
    s->fresh = rc == RC_OK;
}

static void standing_done(void *arg)
{
    struct standing *s = arg;
    struct feed_viewer *v = s->feed->viewers;
    while (v && v->id != s->viewer)
        v = v->next;
    if (v && s->gone) {
        viewer_end(v, 4401, "the login has ended");
    } else if (v && s->fresh) {
        mem *old = v->principal_ctx;
        s->now.session_id = s->who.session_id;
        s->now.by = s->who.by;
        v->principal_ctx = talloc_new(v->ctx);
        v->principal = principal_copy(v->principal_ctx, &s->now);
        mem_free(old);
    }
    mem_free(s->ctx);
}

void standing_check(struct feed_viewer *v, int64_t now_ms)
{
    const struct principal *p = &v->principal;
    if (v->closing || now_ms - v->checked_ms < EVERY_MS || (!p->session_id && !p->user_id && !p->key_id))
        return;
    v->checked_ms = now_ms;
    mem *ctx = mem_root();
    struct standing *s = mem_new(ctx, struct standing);
    *s = (struct standing){.ctx = ctx, .feed = v->feed, .viewer = v->id, .who = principal_copy(ctx, p)};
    loop_offload(&v->feed->server->loop, standing_read, standing_done, s);
}
