/* Shortening a conversation that does not fit the model any more.
 *
 * The prompt stays whole and the last turns stay longest. What goes, in this order, oldest first: results of tools,
 * long arguments of calls, whole turns, parts of the last results. Everything stands in the journal, so nothing is lost
 * for people. The same conversation gives the same result: requests are made again after a crash, and must be equal. */
#include "agent/work.h"

enum {
    RECENT = 3,         /* turns that keep their results as long as possible */
    RESULT_SMALL = 200, /* not worth dropping */
    ARGUMENTS_SMALL = 400,
    RESULT_REST = 1000, /* what is left of a recent result */
    TURNS_KEPT = 2,
};

struct cut {
    struct agent *a;
    size_t bytes, target;
    struct json_out *dropped;
};

static bool enough(const struct cut *c)
{
    return c->bytes <= c->target;
}

static void dropped_write(struct cut *c, int64_t turn, int64_t call, const char *name, const char *what, size_t bytes)
{
    jo_obj(c->dropped);
    jo_ki(c->dropped, "turn", turn);
    if (call)
        jo_ki(c->dropped, "call", call);
    if (name)
        jo_kz(c->dropped, "name", name);
    jo_kz(c->dropped, "what", what);
    jo_ki(c->dropped, "bytes", (int64_t)bytes);
    jo_end_obj(c->dropped);
}

/* Replaces a text by a shorter one. */
static void shorten(struct cut *c, struct str *text, const char *shorter)
{
    size_t before = text->n;
    *text = str_of(mem_str(c->a->ctx, shorter));
    size_t gone = before > text->n ? before - text->n : 0;
    c->bytes -= gone < c->bytes ? gone : c->bytes;
}

/* The n-th (1..) call of an answer that a result belongs to. */
static int64_t call_number(const struct exchange *x, const char *id, const char **ret_name)
{
    int64_t n = 0;
    for (const struct llm_part *part = x->answer->first; part; part = part->next) {
        if (part->kind != LLM_TOOL_CALL)
            continue;
        n++;
        if (strcmp(part->id, id) == 0) {
            *ret_name = part->name;
            return n;
        }
    }
    *ret_name = NULL;
    return 0;
}

static void results_drop(struct cut *c, struct exchange *x)
{
    for (struct llm_part *part = x->reply->first; part && !enough(c); part = part->next) {
        if (part->kind != LLM_TOOL_RESULT || part->text.n <= RESULT_SMALL)
            continue;
        const char *name;
        int64_t call = call_number(x, part->id, &name);
        dropped_write(c, x->turn, call, name, "result", part->text.n);
        CLEANUP_MEM mem *tmp = mem_root();
        shorten(c, &part->text,
                mem_printf(tmp, "[dropped to save room: %zu bytes; call again if you need it]", part->text.n));
    }
}

/* Arguments stay an object that names the same file or command as far as it is short. */
static void arguments_drop(struct cut *c, struct exchange *x)
{
    int64_t call = 0;
    for (struct llm_part *part = x->answer->first; part && !enough(c); part = part->next) {
        call += part->kind == LLM_TOOL_CALL;
        if (part->kind != LLM_TOOL_CALL || part->arguments.n <= ARGUMENTS_SMALL)
            continue;
        CLEANUP_MEM mem *tmp = mem_root();
        struct json root = {0};
        if (json_parse(tmp, part->arguments, &root, NULL))
            root = (struct json){0};
        struct buf b;
        buf_init(&b, tmp, 4096);
        struct json_out o;
        json_out_init(&o, &b);
        jo_obj(&o);
        struct str path = json_str(tmp, json_get(root, "path"));
        if (path.n && path.n <= 200)
            jo_ks(&o, "path", path);
        jo_ki(&o, "dropped_bytes", (int64_t)part->arguments.n);
        jo_end_obj(&o);
        dropped_write(c, x->turn, call, part->name, "arguments", part->arguments.n);
        shorten(c, &part->arguments, b.p);
        part->bad_arguments = false;
    }
}

static size_t message_bytes(const struct llm_message *m)
{
    size_t n = 0;
    for (const struct llm_part *part = m->first; part; part = part->next)
        n += part->text.n + part->arguments.n + part->opaque.n + 60;
    return n;
}

/* Takes the oldest exchange out of the conversation; the prompt says so. */
static void turn_drop(struct cut *c)
{
    struct agent *a = c->a;
    struct exchange *x = a->first_exchange;
    struct llm_message **link = &a->talk->first;
    while (*link != x->answer)
        link = &(*link)->next;
    *link = x->reply->next;
    if (!*link)
        a->talk->last = a->talk->first;
    a->first_exchange = x->next;
    if (!a->first_exchange)
        a->last_exchange = NULL;
    size_t gone = message_bytes(x->answer) + message_bytes(x->reply);
    dropped_write(c, x->turn, 0, NULL, "turn", gone);
    c->bytes -= gone < c->bytes ? gone : c->bytes;
    a->dropped_turns++;
    if (!a->dropped_mark)
        a->dropped_mark = llm_add_part(a->talk, a->talk->first, LLM_TEXT, STR(""));
    a->dropped_mark->text =
        str_of(mem_printf(a->ctx,
                          "[To save room, %lld earlier turns of this conversation were dropped here. The "
                          "files hold what they did.]",
                          (long long)a->dropped_turns));
}

static void results_cut(struct cut *c, struct exchange *x)
{
    for (struct llm_part *part = x->reply->first; part && !enough(c); part = part->next) {
        if (part->kind != LLM_TOOL_RESULT || part->text.n <= RESULT_REST + 100)
            continue;
        const char *name;
        int64_t call = call_number(x, part->id, &name);
        dropped_write(c, x->turn, call, name, "part of the result", part->text.n - RESULT_REST);
        CLEANUP_MEM mem *tmp = mem_root();
        shorten(c, &part->text, text_middle(tmp, part->text, RESULT_REST));
    }
}

size_t compact(struct agent *a, size_t bytes, size_t target, struct json_out *dropped)
{
    struct cut c = {a, bytes, target, dropped};
    size_t count = 0, at = 0;
    for (struct exchange *x = a->first_exchange; x; x = x->next)
        count++;
    size_t old = count > RECENT ? count - RECENT : 0;
    for (struct exchange *x = a->first_exchange; at < old && !enough(&c); x = x->next, at++)
        results_drop(&c, x);
    at = 0;
    for (struct exchange *x = a->first_exchange; at < old && !enough(&c); x = x->next, at++)
        arguments_drop(&c, x);
    for (; count > TURNS_KEPT && !enough(&c); count--)
        turn_drop(&c);
    for (struct exchange *x = a->first_exchange; x && !enough(&c); x = x->next)
        results_cut(&c, x);
    for (struct exchange *x = a->first_exchange; x && !enough(&c); x = x->next)
        arguments_drop(&c, x);
    return c.bytes;
}
