/* JSON (RFC 8259): a strict one-pass tape reader, a streaming writer, tables that fill structs.
 *
 * Reader: json_parse checks the whole text (grammar, numbers, escapes, surrogates, UTF-8, depth, duplicate keys are
 * kept and the first one is found) and builds a tape of nodes that point into the text; nothing is copied and numbers
 * stay text. The text must outlive the document. Values are small and passed by value; a missing value has type
 * JSON_NONE and every getter accepts it, so that chains need no checks between them. Judge: the accept and reject
 * tables of tests/unit/base/test_json.c, after JSONTestSuite. Threads: a parsed document is read-only. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

enum json_type { JSON_NONE, JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_doc;
struct json {
    const struct json_doc *doc;
    uint32_t at; /* index on the tape */
};

/* Limits: depth 64, text 256 MiB, 16.7 million values. The document belongs to ctx; err says the byte offset.
 * RC_INVALID, RC_LIMIT. */
MUST_USE enum rc json_parse(mem *ctx, struct str text, struct json *ret_root, struct err *err);

enum json_type json_type(struct json v);
bool json_is(struct json v);                            /* anything but JSON_NONE and JSON_NULL */
struct json json_get(struct json obj, const char *key); /* member, or JSON_NONE */
struct json json_path(struct json v, const char *path); /* "a.b.0.c" */
struct json json_at(struct json arr, size_t i);
size_t json_len(struct json v);     /* members or elements */
struct str json_raw(struct json v); /* the value's text as it stands in the document */
/* String contents with escapes resolved, in ctx (NUL bytes kept: use the view). NULL or empty view when not a string.
 */
struct str json_str(mem *ctx, struct json v);
const char *json_z(mem *ctx, struct json v, const char *otherwise); /* a string without NUL bytes, else `otherwise` */
bool json_eqz(struct json v, const char *z);                        /* a string equal to z */
int64_t json_int(struct json v,
                 int64_t otherwise); /* whole numbers only ("1e2" and "1.0" count), saturating never: otherwise */
double json_double(struct json v, double otherwise);
bool json_bool(struct json v, bool otherwise);

/* Walks an array: for (struct json_iter it = json_iter(v); json_next(&it);) use it.key (objects) and it.value. */
struct json_iter {
    struct json container, value;
    struct str key_raw; /* key as written, between its quotes */
    uint32_t next, end;
};
struct json_iter json_iter(struct json v);
bool json_next(struct json_iter *it);
struct str json_iter_key(mem *ctx, const struct json_iter *it); /* key with escapes resolved */

/* Writer: appends to a buffer; places commas and colons itself. Depth at most 64. Malformed UTF-8 is replaced by
 * U+FFFD. */
struct json_out {
    struct buf *b;
    uint64_t comma; /* bit per depth: an element was written */
    int depth;
    bool after_key;
};
void json_out_init(struct json_out *o, struct buf *b);
void jo_obj(struct json_out *o);
void jo_end_obj(struct json_out *o);
void jo_arr(struct json_out *o);
void jo_end_arr(struct json_out *o);
void jo_key(struct json_out *o, const char *key);
void jo_keyn(struct json_out *o, struct str key);
void jo_str(struct json_out *o, struct str s);
void jo_z(struct json_out *o, const char *z); /* NULL writes null */
void jo_int(struct json_out *o, int64_t v);
void jo_bool(struct json_out *o, bool v);
void jo_null(struct json_out *o);
void jo_raw(struct json_out *o, struct str json); /* a complete value, as it is */
/* Members in one call. */
void jo_kz(struct json_out *o, const char *key, const char *z);
void jo_ks(struct json_out *o, const char *key, struct str s);
void jo_ki(struct json_out *o, const char *key, int64_t v);
void jo_kb(struct json_out *o, const char *key, bool v);
void jo_kraw(struct json_out *o, const char *key, struct str json);

/* Binding: a table of fields fills a struct from an object and names the field that is wrong. */
enum json_bind_type { BIND_STR, BIND_INT, BIND_BOOL, BIND_JSON, BIND_STRV };
struct json_bind {
    const char *key;
    enum json_bind_type type; /* const char *, int64_t, bool, struct json, const char ** (NULL-terminated) */
    size_t offset;
    bool required;
    int64_t min, max; /* numbers: range, both 0 for any; strings: 0 or largest length in max */
};
#define BIND(st, field, kind, req, lo, hi)                                                                             \
    {                                                                                                                  \
#field, kind, offsetof(struct st, field), req, lo, hi                                                          \
    }
/* Unknown members are refused when `strict`. Strings belong to ctx. Fields without a member, or with
 * null there (BIND_JSON takes null as a value), stay as they are. */
MUST_USE enum rc json_bind(mem *ctx, struct json obj, const struct json_bind *table, size_t n, bool strict, void *ret,
                           struct err *err);
