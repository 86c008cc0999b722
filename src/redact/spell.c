/* A small reader of lines and JSON strings. It need not understand what it reads: what is no JSON gives no text. */
#include "redact/spell.h"

enum { AT_LINE, IN_OTHER, IN_JSON, IN_STRING, IN_ESCAPE };

/* Members that carry pieces of text in the events of Chat Completions, Responses, Messages and Gemini. */
static bool key_of_text(const struct spell *s)
{
    static const char *const names[] = {"content",      "text",      "delta",   "arguments",
                                        "partial_json", "thinking",  "refusal", "reasoning_content",
                                        "reasoning",    "transcript"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_eqz(str_n(s->key, s->key_n), names[i]))
            return true;
    return false;
}

static void string_begin(struct spell *s)
{
    s->mode = IN_STRING;
    s->value = s->after_colon;
    s->after_colon = false;
    s->text = s->value && key_of_text(s);
    if (!s->value)
        s->key_n = 0;
}

static bool string_step(struct spell *s, uint8_t c)
{
    if (c == '"') {
        s->mode = IN_JSON;
        return false;
    }
    if (c == '\\')
        s->mode = IN_ESCAPE;
    if (!s->value && s->key_n < sizeof s->key)
        s->key[s->key_n++] = (char)c;
    return s->text;
}

bool spell_step(struct spell *s, uint8_t c)
{
    static const char data[] = "data:";
    if (c == '\n') { /* no line feed is inside of a JSON string */
        *s = (struct spell){0};
        return false;
    }
    switch (s->mode) {
    case AT_LINE:
        s->mode = c != (uint8_t)data[s->prefix] ? IN_OTHER : ++s->prefix == sizeof data - 1 ? IN_JSON : AT_LINE;
        return false;
    case IN_JSON:
        if (c == '"')
            string_begin(s);
        else if (c != ' ')
            s->after_colon = c == ':';
        return false;
    case IN_STRING:
        return string_step(s, c);
    case IN_ESCAPE:
        s->mode = IN_STRING;
        return s->text;
    default:
        return false;
    }
}
