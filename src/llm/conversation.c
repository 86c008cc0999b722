/* The neutral conversation, and what both dialects need to write it. */
#include "llm/wire.h"

struct llm_conversation *llm_conversation_new(mem *ctx, const char *system)
{
    struct llm_conversation *c = mem_new(ctx, struct llm_conversation);
    c->ctx = c;
    c->system = mem_str(c, system);
    return c;
}

struct llm_message *llm_add_message(struct llm_conversation *c, enum llm_role role)
{
    struct llm_message *m = mem_new(c->ctx, struct llm_message);
    m->role = role;
    if (c->last)
        c->last->next = m;
    else
        c->first = m;
    c->last = m;
    return m;
}

static struct str copy(mem *ctx, struct str s)
{
    return s.n ? str_n(mem_strn(ctx, s.p, s.n), s.n) : STR("");
}

struct llm_part *llm_add_part(struct llm_conversation *c, struct llm_message *m, enum llm_part_kind kind,
                              struct str text)
{
    struct llm_part *part = mem_new(c->ctx, struct llm_part);
    part->kind = kind;
    part->text = copy(c->ctx, text);
    part->arguments = part->opaque = STR("");
    if (m->last)
        m->last->next = part;
    else
        m->first = part;
    m->last = part;
    return part;
}

struct llm_message *llm_add_copy(struct llm_conversation *c, const struct llm_message *from)
{
    struct llm_message *m = llm_add_message(c, from->role);
    for (const struct llm_part *part = from->first; part; part = part->next) {
        struct llm_part *twin = llm_add_part(c, m, part->kind, part->text);
        twin->id = mem_str(c->ctx, part->id);
        twin->name = mem_str(c->ctx, part->name);
        twin->arguments = copy(c->ctx, part->arguments);
        twin->opaque = copy(c->ctx, part->opaque);
        twin->bad_arguments = part->bad_arguments;
        twin->is_error = part->is_error;
    }
    return m;
}

bool llm_same_family(const struct llm_dialect *a, const struct llm_dialect *b)
{
    return strcmp(a->family, b->family) == 0;
}

const char *llm_stop_name(enum llm_stop s)
{
    static const char *const names[] = {
        [LLM_STOP_NONE] = "none",     [LLM_STOP_END] = "end",         [LLM_STOP_TOOLS] = "tools",
        [LLM_STOP_LENGTH] = "length", [LLM_STOP_REFUSED] = "refused", [LLM_STOP_OTHER] = "other"};
    return (size_t)s < sizeof names / sizeof names[0] ? names[s] : "other";
}

static const struct llm_dialect *const all[] = {&llm_chat, &llm_openai, &llm_messages, &llm_responses, &llm_gemini};

const struct llm_dialect *const *llm_dialects(size_t *ret_n)
{
    *ret_n = sizeof all / sizeof all[0];
    return all;
}

const struct llm_dialect *llm_dialect_find(const char *name)
{
    for (size_t i = 0; name && i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}

const char *wire_tool_name(mem *ctx, const char *name)
{
    static const char taken[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    if (!name || !name[0])
        return "unknown";
    char *clean = mem_strn(ctx, name, strnlen(name, 64));
    for (char *c = clean; *c; c++)
        if (!strchr(taken, *c))
            *c = '_';
    return clean;
}

struct str wire_arguments(mem *ctx, const struct llm_part *call)
{
    if (!call->bad_arguments)
        return call->arguments.n ? call->arguments : STR("{}");
    struct buf b;
    buf_init(&b, ctx, 6 * call->arguments.n + 64);
    struct json_out o;
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_ks(&o, "malformed_arguments", call->arguments);
    jo_end_obj(&o);
    return buf_view(&b);
}

bool wire_blank(struct str text)
{
    return str_trim(text).n == 0;
}

const char *wire_key_line(mem *ctx, const char *prefix, const char *key)
{
    struct str s = str_trim(str_of(key));
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
            return NULL;
    return s.n ? mem_printf(ctx, "%s%.*s", prefix, STR_FMT(s)) : NULL;
}
