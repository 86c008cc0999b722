/* JSON writer. A value in the wrong place is a broken invariant; a full buffer is remembered by the buffer. */
#include "base/json.h"

enum { OUT_DEPTH = 64 };

void json_out_init(struct json_out *o, struct buf *b)
{
    *o = (struct json_out){.b = b};
}

/* Before a value or a key: the comma, where one belongs. At depth 0 values follow each other without any. */
static void element_begin(struct json_out *o)
{
    if (o->after_key) {
        o->after_key = false;
        return;
    }
    if (!o->depth)
        return;
    uint64_t bit = UINT64_C(1) << (o->depth - 1);
    if (o->comma & bit)
        buf_char(o->b, ',');
    o->comma |= bit;
}

static void container_begin(struct json_out *o, char open)
{
    element_begin(o);
    BUG_ON(o->depth == OUT_DEPTH);
    o->depth++;
    o->comma &= ~(UINT64_C(1) << (o->depth - 1));
    buf_char(o->b, open);
}

static void container_end(struct json_out *o, char close)
{
    BUG_ON(!o->depth || o->after_key);
    o->depth--;
    buf_char(o->b, close);
}

void jo_obj(struct json_out *o)
{
    container_begin(o, '{');
}

void jo_end_obj(struct json_out *o)
{
    container_end(o, '}');
}

void jo_arr(struct json_out *o)
{
    container_begin(o, '[');
}

void jo_end_arr(struct json_out *o)
{
    container_end(o, ']');
}

static void escape_add(struct buf *b, unsigned char c)
{
    static const char letters[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    const char *at = c ? strchr(letters, c) : NULL;
    if (at)
        buf_add(b, (char[]){'\\', names[at - letters]}, 2);
    else
        buf_printf(b, "\\u%04x", c);
}

static void string_add(struct buf *b, struct str s)
{
    buf_reserve(b, s.n + 2);
    buf_char(b, '"');
    size_t from = 0, i = 0; /* bytes from..i go out as they are */
    while (i < s.n) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
            i++;
            continue;
        }
        size_t len = c < 0x80 ? 0 : str_utf8_next(str_n(s.p + i, s.n - i), NULL);
        if (len) {
            i += len;
            continue;
        }
        buf_add(b, s.p + from, i - from);
        if (c < 0x80)
            escape_add(b, c);
        else
            buf_str(b, STR("\xef\xbf\xbd"));
        from = ++i;
    }
    if (i > from)
        buf_add(b, s.p + from, i - from);
    buf_char(b, '"');
}

void jo_keyn(struct json_out *o, struct str key)
{
    BUG_ON(!o->depth || o->after_key);
    element_begin(o);
    string_add(o->b, key);
    buf_char(o->b, ':');
    o->after_key = true;
}

void jo_key(struct json_out *o, const char *key)
{
    jo_keyn(o, str_of(key));
}

void jo_str(struct json_out *o, struct str s)
{
    element_begin(o);
    string_add(o->b, s);
}

void jo_z(struct json_out *o, const char *z)
{
    if (z)
        jo_str(o, str_of(z));
    else
        jo_null(o);
}

void jo_int(struct json_out *o, int64_t v)
{
    element_begin(o);
    buf_printf(o->b, "%lld", (long long)v);
}

void jo_bool(struct json_out *o, bool v)
{
    jo_raw(o, v ? STR("true") : STR("false"));
}

void jo_null(struct json_out *o)
{
    jo_raw(o, STR("null"));
}

void jo_raw(struct json_out *o, struct str json)
{
    element_begin(o);
    buf_str(o->b, json.n ? json : STR("null"));
}

void jo_kz(struct json_out *o, const char *key, const char *z)
{
    jo_key(o, key);
    jo_z(o, z);
}

void jo_ks(struct json_out *o, const char *key, struct str s)
{
    jo_key(o, key);
    jo_str(o, s);
}

void jo_ki(struct json_out *o, const char *key, int64_t v)
{
    jo_key(o, key);
    jo_int(o, v);
}

void jo_kb(struct json_out *o, const char *key, bool v)
{
    jo_key(o, key);
    jo_bool(o, v);
}

void jo_kraw(struct json_out *o, const char *key, struct str json)
{
    jo_key(o, key);
    jo_raw(o, json);
}
