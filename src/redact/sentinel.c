/* An automaton (Aho and Corasick, 1975) made whole: a row of next states for each state, over classes of bytes, because
 * few of the 256 bytes occur in the strings at all. Not here: taking anything out (redact.c). */
#include "redact/sentinel.h"
#include "base/err.h"
#include "redact/form.h"

#define STATES_MOST 60000

struct sentinel {
    uint8_t class_of[256]; /* 0: a byte that no form has */
    uint32_t classes;
    uint32_t n;
    uint16_t *next; /* n rows of `classes` */
    uint8_t *found; /* of a state: 0, or 1 + the index of the string that ends there */
};
struct maker {
    struct sentinel *s;
    uint16_t *fail;
    size_t bytes; /* of all forms: a bound of the states */
    uint8_t string;
};

static void bytes_count(void *arg, struct str form)
{
    struct maker *m = arg;
    m->bytes += form.n;
    for (size_t i = 0; i < form.n; i++)
        if (!m->s->class_of[(uint8_t)form.p[i]])
            m->s->class_of[(uint8_t)form.p[i]] = 1;
}

static void form_add(void *arg, struct str form)
{
    struct maker *m = arg;
    struct sentinel *s = m->s;
    uint32_t at = 0;
    if (s->n + form.n > STATES_MOST)
        return;
    for (size_t i = 0; i < form.n; i++) {
        uint16_t *next = &s->next[at * s->classes + s->class_of[(uint8_t)form.p[i]]];
        if (!*next)
            *next = (uint16_t)s->n++;
        at = *next;
    }
    if (!s->found[at])
        s->found[at] = (uint8_t)(m->string + 1);
}

/* Breadth first: a state's missing steps are those of the longest other state that ends alike. */
static void steps_complete(struct maker *m, mem *tmp)
{
    struct sentinel *s = m->s;
    uint16_t *queue = mem_array(tmp, uint16_t, s->n);
    uint32_t head = 0, tail = 0;
    for (uint32_t c = 0; c < s->classes; c++)
        if (s->next[c])
            queue[tail++] = s->next[c];
    while (head < tail) {
        uint32_t at = queue[head++], fail = m->fail[at];
        if (!s->found[at])
            s->found[at] = s->found[fail];
        for (uint32_t c = 0; c < s->classes; c++) {
            uint16_t *next = &s->next[at * s->classes + c], other = s->next[fail * s->classes + c];
            if (*next) {
                m->fail[*next] = other;
                queue[tail++] = *next;
            } else {
                *next = other;
            }
        }
    }
}

struct sentinel *sentinel_new(mem *ctx, const struct str *strings, size_t n)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct sentinel *s = mem_new(ctx, struct sentinel);
    struct maker m = {.s = s};
    if (n > SENTINEL_MOST)
        n = SENTINEL_MOST;
    for (size_t i = 0; i < n; i++)
        if (strings[i].n >= SENTINEL_STRING_MIN)
            redact_forms(strings[i], bytes_count, &m);
    if (!m.bytes) {
        mem_free(s);
        return NULL;
    }
    s->classes = 1;
    for (size_t c = 0; c < 256; c++)
        if (s->class_of[c])
            s->class_of[c] = (uint8_t)s->classes++;
    uint32_t most = m.bytes + 1 < STATES_MOST ? (uint32_t)m.bytes + 1 : STATES_MOST;
    s->n = 1;
    s->next = mem_array(s, uint16_t, (size_t)most * s->classes);
    s->found = mem_array(s, uint8_t, most);
    for (size_t i = 0; i < n; i++) {
        m.string = (uint8_t)i;
        if (strings[i].n >= SENTINEL_STRING_MIN)
            redact_forms(strings[i], form_add, &m);
    }
    m.fail = mem_array(tmp, uint16_t, s->n);
    steps_complete(&m, tmp);
    return s;
}

int sentinel_feed(const struct sentinel *s, uint32_t *state, struct str bytes)
{
    uint32_t at = *state;
    int found = -1;
    for (size_t i = 0; i < bytes.n; i++) {
        at = s->next[at * s->classes + s->class_of[(uint8_t)bytes.p[i]]];
        if (s->found[at] && found < 0)
            found = s->found[at] - 1;
    }
    *state = at;
    return found;
}

int sentinel_find(const struct sentinel *s, struct str text)
{
    uint32_t state = 0;
    return s ? sentinel_feed(s, &state, text) : -1;
}
