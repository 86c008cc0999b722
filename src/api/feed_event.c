/* The message of an event in the live stream: its number, its topics, the word that the product has for it. */
#include "api/feed_room.h"
#include "base/clock.h"

/* By the beginning of a type; the first that fits. */
static const struct kind {
    const char *type, *event;
    unsigned topics;
} kinds[] = {
    {"agent.text", "message", 0},
    {"agent.note", "message", 0},
    {"hint.", "message", FEED_TASKS},
    {"agent.finished", "agent_update", FEED_TASKS},
    {"agent.", "agent_update", 0},
    {"tool.", "agent_update", 0},
    {"model.", "agent_update", FEED_MONEY},
    {"context.", "agent_update", 0},
    {"backoff", "agent_update", FEED_TASKS},
    {"iteration.", "build_progress", FEED_TASKS},
    {"check.", "build_progress", FEED_TASKS},
    {"verdict", "build_progress", FEED_TASKS},
    {"setup.", "build_progress", 0},
    {"hook.", "build_progress", 0},
    {"delivered", "build_progress", FEED_TASKS},
    {"gate.", "notification", FEED_TASKS | FEED_APPROVALS},
    {"budget.", "notification", FEED_TASKS | FEED_MONEY},
    {"undo.", "notification", FEED_TASKS},
    {"task.", "task_update", FEED_TASKS},
    {"control", "task_update", FEED_TASKS},
    {"runner.", "task_update", FEED_TASKS},
    {"", "task_update", FEED_TASKS},
};
/* What changed in the installation, as routes tell it (struct route, tells): the type is "THING.changed". Who sees it
 * has the access that the route of its list needs: in the project of the thing where it has one, else everywhere. */
static const struct thing {
    const char *type, *topic, *event;
    unsigned topics;
    enum access needed;
    enum feed_reach reach;
} things[] = {
    {"user.changed", "access", "access_update", FEED_ACCESS, ACCESS_ADMIN, FEED_WHOLE},
    {"session.changed", "access", "access_update", FEED_ACCESS, ACCESS_ADMIN, FEED_OWN},
    {"key.changed", "access", "access_update", FEED_ACCESS, ACCESS_ADMIN, FEED_PROJECT},
    {"provider.changed", "models", "model_update", FEED_MODELS, ACCESS_ADMIN, FEED_WHOLE},
    {"model.changed", "models", "model_update", FEED_MODELS, ACCESS_READ, FEED_SHARED},
    {"tier.changed", "models", "model_update", FEED_MODELS, ACCESS_READ, FEED_SHARED},
    {"agent.changed", "models", "model_update", FEED_MODELS, ACCESS_OWNER, FEED_WHOLE},
    {"price.changed", "money", "money_update", FEED_MONEY, ACCESS_READ, FEED_SHARED},
    {"rate.changed", "money", "money_update", FEED_MONEY, ACCESS_READ, FEED_SHARED},
    {"budget.changed", "money", "money_update", FEED_MONEY, ACCESS_READ, FEED_PROJECT},
    {"hold.changed", "money", "money_update", FEED_MONEY, ACCESS_READ, FEED_PROJECT},
    {"channel.changed", "notifications", "notification_update", FEED_NOTIFICATIONS, ACCESS_READ, FEED_WHOLE},
    {"notice.changed", "notifications", "notification_update", FEED_NOTIFICATIONS, ACCESS_READ, FEED_WHOLE},
    {"egress_host.changed", "system", "system_update", FEED_SYSTEM, ACCESS_READ, FEED_PROJECT},
    {"record_policy.changed", "system", "system_update", FEED_SYSTEM, ACCESS_READ, FEED_PROJECT},
};
static const struct topic {
    const char *name, *event;
    unsigned bit;
} topics[] = {
    {"approvals", "notification", FEED_APPROVALS},
    {"money", "money_update", FEED_MONEY},
    {"settings", "setting_update", FEED_SETTINGS},
    {"system", "system_update", FEED_SYSTEM},
};
static const struct {
    const char *name;
    unsigned bit;
} also[] = {{"tasks", FEED_TASKS}, {"approvals", FEED_APPROVALS}, {"money", FEED_MONEY}};

uint64_t feed_task_bits(struct str id)
{
    uint64_t bits = 0;
    if (id.n != 7)
        return 0;
    memcpy(&bits, id.p, 7);
    return bits;
}

static const struct kind *kind_of(const char *type)
{
    const struct kind *k = kinds;
    while (strncmp(type, k->type, strlen(k->type)) != 0)
        k++;
    return k;
}

/* A task that needs somebody, or has ended, is more than progress. */
static bool state_notifies(struct str data)
{
    static const char *const states[] = {"needs_you", "done", "unproven", "failed"};
    CLEANUP_MEM mem *tmp = mem_root();
    struct json v;
    if (json_parse(tmp, data, &v, NULL) != RC_OK)
        return false;
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (json_eqz(json_get(v, "state"), states[i]))
            return true;
    return false;
}

const char *const *feed_things(mem *ctx)
{
    size_t n = sizeof things / sizeof *things;
    const char **names = mem_array(ctx, const char *, n + 1);
    for (size_t i = 0; i < n; i++)
        names[i] = mem_strn(ctx, things[i].type, strlen(things[i].type) - strlen(".changed"));
    names[n] = NULL;
    return names;
}

/* The topic of an event of no task, and who may see it. */
static const char *thing_read(mem *ctx, const struct event_row *t, struct feed_item *ret, const char **ret_event)
{
    struct json data;
    for (size_t i = 0; i < sizeof things / sizeof *things; i++) {
        if (strcmp(things[i].type, t->e.type) != 0)
            continue;
        if (json_parse(ctx, str_of(t->e.data), &data, NULL) != RC_OK)
            break;
        ret->topics = things[i].topics;
        ret->needed = things[i].needed;
        ret->reach = things[i].reach;
        ret->project = json_z(ctx, json_get(data, "project"), "");
        ret->user = json_z(ctx, json_get(data, "user"), "");
        *ret_event = things[i].event;
        return things[i].topic;
    }
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++) {
        if (strcmp(topics[i].name, t->topic) == 0) {
            ret->topics = topics[i].bit;
            *ret_event = strncmp(t->e.type, "budget.", 7) == 0 ? "notification" : topics[i].event;
        }
    }
    return t->topic;
}

static void data_write(struct json_out *o, const struct event_row *t)
{
    if (t->bytes <= FEED_DATA_MOST) {
        jo_kraw(o, "data", str_of(t->e.data));
        return;
    }
    jo_key(o, "data"); /* whole at /tasks/ID/events */
    jo_null(o);
    jo_ki(o, "data_bytes", t->bytes);
}

static void item_make(mem *ctx, const struct event_row *t, struct feed_item *ret)
{
    const char *event = "system_update", *topic = t->topic;
    *ret = (struct feed_item){
        .n = t->n, .task = feed_task_bits(str_of(t->task)), .project = t->project, .user = "", .needed = ACCESS_READ};
    if (ret->task) {
        const struct kind *k = kind_of(t->e.type);
        ret->topics = k->topics;
        event = strcmp(t->e.type, "task.state") == 0 && state_notifies(str_of(t->e.data)) ? "notification" : k->event;
    }
    if (!ret->task)
        topic = thing_read(ctx, t, ret, &event);
    struct buf b;
    struct json_out o;
    buf_init(&b, ctx, SIZE_MAX);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_ki(&o, "n", t->n);
    jo_kz(&o, "topic", ret->task ? mem_printf(ctx, "task:%s", t->task) : topic);
    if (ret->task && ret->topics) {
        jo_key(&o, "also");
        jo_arr(&o);
        for (size_t i = 0; i < sizeof also / sizeof *also; i++)
            if (ret->topics & also[i].bit)
                jo_z(&o, also[i].name);
        jo_end_arr(&o);
    }
    jo_kz(&o, "event", event);
    jo_kz(&o, "type", t->e.type);
    jo_kz(&o, "time", clock_rfc3339(ctx, t->e.time_ns));
    jo_kz(&o, "actor", t->e.actor);
    if (ret->task) {
        jo_kz(&o, "task", t->task);
        jo_ki(&o, "number", t->e.number);
    }
    data_write(&o, t);
    jo_end_obj(&o);
    ret->text = buf_view(&b);
}

enum rc feed_page(mem *ctx, struct store *s, int64_t after, struct feed_item **ret, size_t *ret_n, struct err *err)
{
    struct event_row *rows;
    size_t n;
    enum rc rc = event_all(ctx, s, after, FEED_PAGE, FEED_DATA_MOST, &rows, &n, err);
    if (rc != RC_OK)
        return rc;
    *ret = mem_array(ctx, struct feed_item, n);
    *ret_n = n;
    for (size_t i = 0; i < n; i++)
        item_make(ctx, &rows[i], &(*ret)[i]);
    return RC_OK;
}
