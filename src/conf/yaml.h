/* YAML for people's small files, by libyaml: a tree of maps, lists and texts, each with line and column.
 *
 * Scalars stay text; what they mean is decided by who knows the type ("no" is a text, not false). Refused, because no
 * such file needs them and strangers write these files: anchors and aliases, tags, several documents, keys that are not
 * text, a key twice in a map, NUL, malformed UTF-8, more than 256 KiB, 16 levels or 10,000 nodes.
 * Threads: no state. The tree belongs to ctx. */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum yaml_kind { YAML_TEXT, YAML_LIST, YAML_MAP };
struct yaml {
    enum yaml_kind kind;
    int line, column; /* from 1; of the value */
    const char *key;  /* in a map; else NULL */
    int key_line, key_column;
    const char *text;          /* YAML_TEXT */
    bool plain;                /* text without quotes: an empty one or "~" or "null" means that nothing was given */
    struct yaml *first, *next; /* children, siblings */
    size_t count;              /* children */
};
/* `name` is the file's name in errors: "nightmill.yaml:3:5: sentence". An empty text is an empty map. RC_INVALID. */
MUST_USE enum rc yaml_parse(mem *ctx, struct str text, const char *name, struct yaml **ret, struct err *err);
struct yaml *yaml_get(const struct yaml *map, const char *key); /* NULL when missing */
bool yaml_absent(const struct yaml *node);                      /* NULL, or written as nothing, ~ or null */
/* Sets err to RC_INVALID with the place before the sentence. `at_key`: the place of the node's key. */
enum rc yaml_fail(struct err *err, const char *name, const struct yaml *node, bool at_key, const char *fmt, ...)
    PRINTF(5, 6);
