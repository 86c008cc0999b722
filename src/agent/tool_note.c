/* note: words for a later iteration. The caller gets them from memory, so a recorded call is made again when an
 * iteration is taken up. */
#include "agent/work.h"

enum { NOTE_MOST = 4000, NOTES_MOST = 100 };

struct note_args {
    const char *text;
};

static enum rc note_record(struct tool_call *c, const char *text, struct err *err)
{
    if (memory_find(c->agent, MEMORY_NOTE, c->turn, c->number, NULL))
        return RC_OK;
    struct record r;
    entry_begin(&r, c->ctx, c->turn);
    jo_ki(&r.o, "call", c->number);
    jo_kz(&r.o, "text", text);
    return entry_end(c->agent, &r, MEMORY_NOTE, err);
}

static enum rc note_run(struct tool_call *c, const void *p, struct err *err)
{
    struct agent *a = c->agent;
    const char *text = str_utf8_clean(c->ctx, str_trim(str_of(((const struct note_args *)p)->text)));
    if (!text[0])
        return tool_refuse(c, "The note is empty.");
    if (a->note_count == NOTES_MOST)
        return tool_refuse(c, "There are %d notes already; no more are taken in this iteration.", NOTES_MOST);
    enum rc rc = note_record(c, text, err);
    if (rc)
        return rc;
    a->notes = mem_grow(a->ctx, a->notes, (a->note_count + 2) * sizeof *a->notes);
    a->notes[a->note_count++] = mem_str(a->ctx, text);
    a->notes[a->note_count] = NULL;
    buf_z(&c->out, "Noted.");
    return RC_OK;
}

static const char *note_summary(mem *ctx, const void *p)
{
    return mem_printf(ctx, "note %s", ((const struct note_args *)p)->text);
}

static const struct json_bind note_fields[] = {
    {"text", BIND_STR, offsetof(struct note_args, text), true, 0, NOTE_MOST}};
const struct agent_tool tool_note = {
    .face = {"note", "Keeps a short text for later iterations of this task: what you found out, what is left to do.",
             "{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\"}},\"required\":[\"text\"]}"},
    .fields = note_fields,
    .field_count = 1,
    .args_size = sizeof(struct note_args),
    .remembers = true,
    .summary = note_summary,
    .run = note_run,
};
