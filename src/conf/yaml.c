/* YAML events of libyaml into a tree. */
#include "conf/yaml.h"
#include "base/text.h"
#include <stdio.h>
#include <yaml.h>

enum { YAML_BYTES = 256 << 10, YAML_DEPTH = 16, YAML_NODES = 10000 };

struct reader {
    mem *ctx;
    const char *name;
    struct yaml *open[YAML_DEPTH]; /* containers from the root down */
    struct yaml *last[YAML_DEPTH]; /* newest child of each */
    int depth;
    int nodes;
    struct yaml *root;
    const char *key; /* of the value that comes next, in a map */
    int key_line, key_column;
    struct err *err;
};

static enum rc fail_at(struct err *err, const char *name, size_t line, size_t column, const char *words)
{
    return err_set(err, RC_INVALID, "%s:%zu:%zu: %s", name, line, column, words);
}

enum rc yaml_fail(struct err *err, const char *name, const struct yaml *node, bool at_key, const char *fmt, ...)
{
    CLEANUP_MEM mem *tmp = mem_root();
    va_list ap;
    va_start(ap, fmt);
    const char *words = mem_vprintf(tmp, fmt, ap);
    va_end(ap);
    bool key = at_key && node->key;
    return fail_at(err, name, (size_t)(key ? node->key_line : node->line),
                   (size_t)(key ? node->key_column : node->column), words);
}

static enum rc event_fail(struct reader *r, const yaml_event_t *ev, const char *words)
{
    return fail_at(r->err, r->name, ev->start_mark.line + 1, ev->start_mark.column + 1, words);
}

/* Hangs a new node into the container that is open, or makes it the root. */
static enum rc node_add(struct reader *r, const yaml_event_t *ev, enum yaml_kind kind, struct yaml **ret)
{
    if (++r->nodes > YAML_NODES)
        return event_fail(r, ev, "The file has more than 10000 entries.");
    struct yaml *node = mem_new(r->ctx, struct yaml);
    node->kind = kind;
    node->line = (int)ev->start_mark.line + 1;
    node->column = (int)ev->start_mark.column + 1;
    node->key = r->key;
    node->key_line = r->key_line;
    node->key_column = r->key_column;
    r->key = NULL;
    if (!r->depth) {
        r->root = node;
    } else {
        struct yaml *parent = r->open[r->depth - 1], **last = &r->last[r->depth - 1];
        *(*last ? &(*last)->next : &parent->first) = node;
        *last = node;
        parent->count++;
    }
    *ret = node;
    return RC_OK;
}

static enum rc container_open(struct reader *r, const yaml_event_t *ev, enum yaml_kind kind)
{
    struct yaml *node = NULL;
    if (r->depth == YAML_DEPTH)
        return event_fail(r, ev, "The file is nested deeper than 16 levels.");
    enum rc rc = node_add(r, ev, kind, &node);
    if (rc)
        return rc;
    r->open[r->depth] = node;
    r->last[r->depth++] = NULL;
    return RC_OK;
}

static bool key_expected(const struct reader *r)
{
    return r->depth && r->open[r->depth - 1]->kind == YAML_MAP && !r->key;
}

static enum rc scalar_add(struct reader *r, const yaml_event_t *ev)
{
    struct str text = str_n((const char *)ev->data.scalar.value, ev->data.scalar.length);
    if (ev->data.scalar.anchor)
        return event_fail(r, ev, "Anchors and aliases are not supported.");
    if (ev->data.scalar.tag)
        return event_fail(r, ev, "Tags are not supported.");
    if (text.n && memchr(text.p, '\0', text.n))
        return event_fail(r, ev, "A text must not contain NUL.");
    if (key_expected(r)) {
        const char *key = str_dup(r->ctx, text);
        if (yaml_get(r->open[r->depth - 1], key)) {
            CLEANUP_MEM mem *tmp = mem_root();
            return event_fail(r, ev,
                              mem_printf(tmp, "The key \"%s\" stands there twice.", text_terminal_line(tmp, text, 60)));
        }
        r->key = key;
        r->key_line = (int)ev->start_mark.line + 1;
        r->key_column = (int)ev->start_mark.column + 1;
        return RC_OK;
    }
    struct yaml *node = NULL;
    enum rc rc = node_add(r, ev, YAML_TEXT, &node);
    if (rc)
        return rc;
    node->text = str_dup(r->ctx, text);
    node->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return RC_OK;
}

static enum rc container_add(struct reader *r, const yaml_event_t *ev, enum yaml_kind kind, const yaml_char_t *anchor,
                             const yaml_char_t *tag)
{
    if (anchor)
        return event_fail(r, ev, "Anchors and aliases are not supported.");
    if (tag)
        return event_fail(r, ev, "Tags are not supported.");
    if (key_expected(r))
        return event_fail(r, ev, "A key must be a text.");
    return container_open(r, ev, kind);
}

static enum rc event_take(struct reader *r, const yaml_event_t *ev)
{
    switch (ev->type) {
    case YAML_DOCUMENT_START_EVENT:
        return r->root ? event_fail(r, ev, "The file must hold one document only.") : RC_OK;
    case YAML_ALIAS_EVENT:
        return event_fail(r, ev, "Anchors and aliases are not supported.");
    case YAML_SCALAR_EVENT:
        return scalar_add(r, ev);
    case YAML_SEQUENCE_START_EVENT:
        return container_add(r, ev, YAML_LIST, ev->data.sequence_start.anchor, ev->data.sequence_start.tag);
    case YAML_MAPPING_START_EVENT:
        return container_add(r, ev, YAML_MAP, ev->data.mapping_start.anchor, ev->data.mapping_start.tag);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        r->depth--;
        return RC_OK;
    default:
        return RC_OK;
    }
}

/* libyaml's own words, which may speak of two places; the later one is where the reader should look. */
static enum rc parser_fail(const struct reader *r, const yaml_parser_t *parser)
{
    CLEANUP_MEM mem *tmp = mem_root();
    if (parser->error == YAML_MEMORY_ERROR)
        return err_set(r->err, RC_LIMIT, "%s: not enough memory to read the file", r->name);
    const char *problem = parser->problem ? parser->problem : "malformed";
    const char *context = parser->context ? parser->context : "";
    return fail_at(r->err, r->name, parser->problem_mark.line + 1, parser->problem_mark.column + 1,
                   mem_printf(tmp, "Not well-formed YAML: %s%s%s.", context, *context ? ", " : "", problem));
}

static enum rc events_read(struct reader *r, struct str text)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return err_set(r->err, RC_LIMIT, "%s: not enough memory to read the file", r->name);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.p, text.n);
    enum rc rc = RC_OK;
    for (bool done = false; !done && !rc;) {
        yaml_event_t ev;
        if (!yaml_parser_parse(&parser, &ev)) {
            rc = parser_fail(r, &parser);
            break;
        }
        done = ev.type == YAML_STREAM_END_EVENT;
        rc = event_take(r, &ev);
        yaml_event_delete(&ev);
    }
    yaml_parser_delete(&parser);
    return rc;
}

/* Place of the first byte that is not UTF-8, for the error. */
static enum rc utf8_check(const char *name, struct str text, struct err *err)
{
    size_t line = 1, column = 1;
    for (size_t len; text.n; text = str_sub(text, len, text.n)) {
        if (!(len = str_utf8_next(text, NULL)))
            return fail_at(err, name, line, column, "The file is not UTF-8 here.");
        line += text.p[0] == '\n';
        column = text.p[0] == '\n' ? 1 : column + 1;
    }
    return RC_OK;
}

enum rc yaml_parse(mem *ctx, struct str text, const char *name, struct yaml **ret, struct err *err)
{
    *ret = NULL;
    if (text.n > YAML_BYTES)
        return err_set(err, RC_INVALID, "%s: The file has %zu bytes, more than %d.", name, text.n, (int)YAML_BYTES);
    enum rc rc = utf8_check(name, text, err);
    if (rc)
        return rc;
    struct reader r = {.ctx = mem_root(), .name = name, .err = err};
    rc = events_read(&r, text);
    if (rc) {
        mem_free(r.ctx);
        return rc;
    }
    mem_move(ctx, r.ctx);
    if (!r.root) {
        r.root = mem_new(r.ctx, struct yaml);
        *r.root = (struct yaml){.kind = YAML_MAP, .line = 1, .column = 1};
    }
    *ret = r.root;
    return RC_OK;
}

struct yaml *yaml_get(const struct yaml *map, const char *key)
{
    if (!map || map->kind != YAML_MAP)
        return NULL;
    for (struct yaml *node = map->first; node; node = node->next)
        if (!strcmp(node->key, key))
            return node;
    return NULL;
}

bool yaml_absent(const struct yaml *node)
{
    if (!node)
        return true;
    return node->kind == YAML_TEXT && node->plain &&
           (!*node->text || !strcmp(node->text, "~") || !strcasecmp(node->text, "null"));
}
