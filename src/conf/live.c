/* One copy under a lock; a change makes a new one from the base. */
#include "conf/live.h"
#include <pthread.h>

struct settings_live {
    pthread_mutex_t lock;
    struct settings *base; /* never changes */
    struct settings *now;  /* a tree of its own: it is replaced from any thread */
};

static int live_destroy(struct settings_live *live)
{
    mem_free(live->now);
    pthread_mutex_destroy(&live->lock);
    return 0;
}

struct settings_live *settings_live_new(mem *ctx, const struct settings *base)
{
    struct settings_live *live = mem_new(ctx, struct settings_live);
    pthread_mutex_init(&live->lock, NULL);
    live->base = settings_copy(live, base);
    live->now = settings_copy(NULL, base);
    talloc_set_destructor(live, live_destroy);
    return live;
}

size_t settings_live_store(struct settings_live *live, const struct setting_stored *rows, size_t n)
{
    struct settings *fresh = settings_copy(NULL, live->base);
    size_t wrong = settings_stored_apply(fresh, rows, n);
    pthread_mutex_lock(&live->lock);
    struct settings *old = live->now;
    live->now = fresh;
    pthread_mutex_unlock(&live->lock);
    mem_free(old);
    return wrong;
}

struct settings *settings_live_take(mem *ctx, struct settings_live *live)
{
    pthread_mutex_lock(&live->lock);
    struct settings *copy = settings_copy(ctx, live->now);
    pthread_mutex_unlock(&live->lock);
    return copy;
}

int64_t settings_live_int(struct settings_live *live, const char *name)
{
    pthread_mutex_lock(&live->lock);
    int64_t value = setting_int(live->now, name);
    pthread_mutex_unlock(&live->lock);
    return value;
}

bool settings_live_bool(struct settings_live *live, const char *name)
{
    return settings_live_int(live, name) != 0;
}

char *settings_live_text(mem *ctx, struct settings_live *live, const char *name)
{
    pthread_mutex_lock(&live->lock);
    char *value = mem_str(ctx, setting_text(live->now, name));
    pthread_mutex_unlock(&live->lock);
    return value;
}
