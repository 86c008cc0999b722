/* One automaton (Aho and Corasick, 1975) over all forms of all secrets and all literals of the shapes; shapes go on
 * from a literal with a few counters each. Findings are intervals of the input; what lies before every finding that may
 * still come is given out.
 *
 * Why the pieces do not matter: every decision is made byte by byte; only giving out happens at the end of a piece, and
 * only up to the earliest byte that an unfinished match or an undecided shape covers. */
#include "redact/redact.h"
#include "base/err.h"
#include "redact/form.h"
#include "redact/spell.h"
#include <stdatomic.h>

#define STATES_MOST (4u << 20)
#define SLICE       16384 /* bytes that are looked at before what is certain is given out */
#define BEFORE      3     /* bytes of the past that tell where a word begins */

/* ---- the automaton ---- */

struct state {        /* in order of depth; children stand side by side */
    uint32_t first;   /* first child */
    uint32_t fail;    /* longest other state that ends alike */
    uint32_t literal; /* list of literals that end here, 1..; 0: none */
    uint32_t link;    /* next state by `fail` with literals; 0: none */
    uint16_t children;
    uint16_t secret; /* length of the longest form of a secret that ends here; 0: none */
    uint16_t name;   /* of that secret */
    uint16_t begun;  /* length of the longest beginning of a form that ends here */
    uint16_t depth;  /* bytes of this state that may become a finding */
    uint8_t label;   /* byte that leads here */
    bool of_secret;  /* beginning of a form */
};
struct literal {
    uint32_t next; /* 0: none */
    uint16_t pattern, length;
};
struct redactor {
    atomic_int refs;
    struct state *states;
    uint8_t *labels; /* of the states, for memchr */
    uint32_t root[256];
    uint32_t ones;                 /* states 1 to this have depth 1; nothing ends at them */
    uint64_t pairs[256][256 / 64]; /* bits: two bytes that a form or literal begins with */
    struct literal *literals;      /* 1.. */
    char (*names)[REDACT_NAME_MAX + 1];
};

/* The trie while it is made. Node 0 is the root. */
struct node {
    uint32_t child, sibling; /* 0: none */
    uint32_t literal;
    uint16_t secret, name, depth;
    uint8_t label;
    bool of_secret;
};
struct maker {
    mem *ctx;
    struct node *nodes;
    uint32_t n, room;
    struct literal *literals;
    uint32_t literal_count;
    uint16_t name;
};

static uint32_t node_child(struct maker *m, uint32_t at, uint8_t c)
{
    uint32_t i;
    for (i = m->nodes[at].child; i && m->nodes[i].label != c;)
        i = m->nodes[i].sibling;
    if (i)
        return i;
    if (m->n == m->room) {
        m->room *= 2;
        m->nodes = mem_grow(m->ctx, m->nodes, m->room * sizeof *m->nodes);
    }
    i = m->n++;
    m->nodes[i] = (struct node){.sibling = m->nodes[at].child, .label = c, .depth = (uint16_t)(m->nodes[at].depth + 1)};
    m->nodes[at].child = i;
    return i;
}

static void form_add(void *arg, struct str form)
{
    struct maker *m = arg;
    if (m->n + form.n > STATES_MOST)
        return;
    uint32_t at = 0;
    for (size_t i = 0; i < form.n; i++) {
        at = node_child(m, at, (uint8_t)form.p[i]);
        m->nodes[at].of_secret = true;
    }
    if (!m->nodes[at].secret) {
        m->nodes[at].secret = (uint16_t)form.n;
        m->nodes[at].name = m->name;
    }
}

static void literals_add(struct maker *m)
{
    size_t n = 0;
    for (size_t p = 0; p < pattern_count; p++)
        for (const char *const *z = patterns[p].literals; *z; z++)
            n++;
    m->literals = mem_array(m->ctx, struct literal, n + 1);
    for (size_t p = 0; p < pattern_count; p++) {
        for (const char *const *z = patterns[p].literals; *z; z++) {
            uint32_t at = 0;
            for (const char *c = *z; *c; c++)
                at = node_child(m, at, (uint8_t)*c);
            m->literals[++m->literal_count] =
                (struct literal){.next = m->nodes[at].literal, .pattern = (uint16_t)p, .length = (uint16_t)strlen(*z)};
            m->nodes[at].literal = m->literal_count;
        }
    }
}

static uint32_t state_child(const struct redactor *r, uint32_t at, uint8_t c)
{
    const struct state *s = &r->states[at];
    if (at == 0)
        return r->root[c];
    if (s->children == 1)
        return r->labels[s->first] == c ? s->first : 0;
    const uint8_t *hit = s->children ? memchr(r->labels + s->first, c, s->children) : NULL;
    return hit ? (uint32_t)(hit - r->labels) : 0;
}

static uint32_t state_next(const struct redactor *r, uint32_t at, uint8_t c)
{
    for (;;) {
        uint32_t next = state_child(r, at, c);
        if (next || !at)
            return next;
        at = r->states[at].fail;
    }
}

/* Puts the nodes in order of depth, and links each to the longest other state that ends alike. */
static void states_make(struct maker *m, struct redactor *r)
{
    uint32_t *node_of = mem_array(m->ctx, uint32_t, m->n), n = 1;
    r->states = mem_array(r, struct state, m->n);
    r->labels = mem_array(r, uint8_t, m->n);
    for (uint32_t i = 0; i < n; i++) {
        const struct node *node = &m->nodes[node_of[i]];
        struct state *s = &r->states[i];
        s->first = n;
        s->literal = node->literal;
        s->secret = node->secret;
        s->name = node->name;
        s->depth = node->depth;
        s->of_secret = node->of_secret;
        s->label = node->label;
        for (uint32_t child = node->child; child; child = m->nodes[child].sibling) {
            node_of[n] = child;
            r->labels[n] = m->nodes[child].label;
            if (i == 0)
                r->root[r->labels[n]] = r->ones = n;
            else if (s->depth == 1)
                r->pairs[s->label][r->labels[n] / 64] |= UINT64_C(1) << r->labels[n] % 64;
            s->children++;
            n++;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < r->states[i].children; k++) {
            struct state *child = &r->states[r->states[i].first + k];
            child->fail = i ? state_next(r, r->states[i].fail, r->labels[r->states[i].first + k]) : 0;
            const struct state *fail = &r->states[child->fail]; /* less deep, so it is done */
            if (!child->secret) {
                child->secret = fail->secret;
                child->name = fail->name;
            }
            child->begun = child->of_secret ? child->depth : fail->begun;
            child->link = fail->literal ? child->fail : fail->link;
        }
    }
}

static void name_clean(const char *name, char ret[REDACT_NAME_MAX + 1])
{
    size_t n = 0;
    for (const char *c = name ? name : ""; *c && n < REDACT_NAME_MAX; c++)
        if (byte_sets[(uint8_t)*c] & SET_DOTTED)
            ret[n++] = *c;
    ret[n] = '\0';
    if (!n)
        memcpy(ret, "secret", 7);
}

struct redactor *redactor_new(const struct redact_secret *secrets, size_t n)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct redactor *r = mem_new(NULL, struct redactor);
    struct maker m = {.ctx = tmp, .n = 1, .room = 1024};
    atomic_init(&r->refs, 1);
    if (n > REDACT_SECRETS_MAX)
        n = REDACT_SECRETS_MAX;
    m.nodes = mem_array(tmp, struct node, m.room);
    r->names = (char(*)[REDACT_NAME_MAX + 1]) mem_zalloc_array(r, sizeof *r->names, n ? n : 1);
    literals_add(&m);
    for (size_t i = 0; i < n; i++) {
        name_clean(secrets[i].name, r->names[i]);
        m.name = (uint16_t)i;
        if (secrets[i].secret.n >= REDACT_SECRET_MIN)
            redact_forms(secrets[i].secret, form_add, &m);
    }
    states_make(&m, r);
    r->literals = mem_move(r, m.literals);
    explicit_bzero(m.nodes, m.room * sizeof *m.nodes);
    return r;
}

struct redactor *redactor_ref(struct redactor *r)
{
    atomic_fetch_add(&r->refs, 1);
    return r;
}

struct redactor *redactor_unref(struct redactor *r)
{
    if (r && atomic_fetch_sub(&r->refs, 1) == 1) {
        explicit_bzero(r->labels, talloc_get_size(r->labels));
        explicit_bzero(r->states, talloc_get_size(r->states));
        mem_free(r);
    }
    return NULL;
}

/* ---- one text ---- */

struct finding { /* bytes from start to before end; those of a stream do not overlap and stand in order */
    uint64_t start, end;
    int rank;         /* of the name: a known secret before shapes, later shapes before earlier ones */
    const char *name; /* static or the redactor's; NULL: a further part of one, without a mark of its own */
    bool given;       /* its mark is out already */
};
#define RANK_SECRET  1000
#define SPELLED_RING 2048        /* more than the longest form has bytes */
#define SPELLED_MOST (48u << 10) /* bytes from the first part of a secret to the last */

enum phase { PHASE_NONE, PHASE_GAP, PHASE_SCHEME, PHASE_VALUE };
struct shape { /* a pattern whose literal was seen */
    enum phase phase;
    bool decided;   /* it is a finding */
    bool told;      /* the gap had a ':' or '=' */
    uint32_t count; /* bytes in this phase */
    uint64_t start; /* of what will be taken out */
};
struct redact {
    struct redactor *r;
    uint32_t state;
    struct spell spell;   /* which bytes are words of an answer */
    uint32_t spelled;     /* state over those bytes alone */
    uint64_t spelled_due; /* until this byte the rest of what was begun is waited for */
    uint64_t spelled_n;   /* how many they were */
    uint64_t *spelled_at; /* where the latest of them stand: a ring; NULL before the first */
    uint64_t active;      /* bits: patterns whose shape is not PHASE_NONE */
    struct shape shapes[PATTERNS_MOST];
    struct finding *findings;
    size_t finding_count, finding_room;
    struct buf held;        /* bytes that are not given out yet */
    uint64_t at, pos;       /* of the first of them; of the next byte */
    uint8_t before[BEFORE]; /* bytes before `at`, the last one last */
    bool closed;
};

static int redact_done(struct redact *x)
{
    if (x->held.p)
        explicit_bzero(x->held.p, x->held.cap);
    x->r = redactor_unref(x->r);
    return 0;
}

struct redact *redact_new(mem *ctx, struct redactor *r)
{
    struct redact *x = mem_new(ctx, struct redact);
    x->r = redactor_ref(r);
    x->spelled_due = UINT64_MAX;
    buf_init(&x->held, x, SLICE + 2 * REDACT_HOLD_MAX);
    talloc_set_destructor(x, redact_done);
    return x;
}

/* Takes in those that it overlaps; the leftmost names the whole. Most end at the latest byte, so looking begins at the
 * end. */
static void finding_add(struct redact *x, uint64_t start, uint64_t end, int rank, const char *name)
{
    struct finding new = {.start = start, .end = end, .rank = rank, .name = name};
    size_t to = x->finding_count, from;
    while (to && x->findings[to - 1].start >= end)
        to--;
    for (from = to; from && x->findings[from - 1].end > start; from--) {
        const struct finding *f = &x->findings[from - 1];
        if (f->end > new.end)
            new.end = f->end;
        if (f->given || f->start < new.start || (f->start == new.start && f->rank >= new.rank)) {
            new.start = f->start;
            new.rank = f->rank;
            new.name = f->name;
            new.given = f->given;
        }
    }
    if (x->finding_count == x->finding_room) {
        x->finding_room = x->finding_room ? 2 * x->finding_room : 8;
        x->findings = mem_grow(x, x->findings, x->finding_room * sizeof *x->findings);
    }
    memmove(x->findings + from + 1, x->findings + to, (x->finding_count - to) * sizeof *x->findings);
    x->findings[from] = new;
    x->finding_count = x->finding_count - (to - from) + 1;
}

static void shape_drop(struct redact *x, size_t pattern)
{
    x->shapes[pattern].phase = PHASE_NONE;
    x->active &= ~(UINT64_C(1) << pattern);
}

/* The shape covers what was seen so far. */
static void shape_mark(struct redact *x, size_t pattern, uint64_t end)
{
    finding_add(x, x->shapes[pattern].start, end, (int)pattern, patterns[pattern].name);
}

/* The byte at pos does not belong to the shape. */
static void shape_end(struct redact *x, size_t pattern)
{
    struct shape *s = &x->shapes[pattern];
    bool enough =
        s->phase != PHASE_GAP && patterns[pattern].kind == PATTERN_KEYWORD && s->count >= patterns[pattern].least;
    if (s->decided || enough)
        shape_mark(x, pattern, x->pos);
    shape_drop(x, pattern);
}

static void keyword_step(struct redact *x, size_t pattern, uint8_t c)
{
    const struct pattern *p = &patterns[pattern];
    struct shape *s = &x->shapes[pattern];
    uint8_t sets = byte_sets[c];
    if (s->phase == PHASE_GAP) {
        if (sets & SET_GAP) {
            s->told |= c == ':' || c == '=';
            if (++s->count > GAP_MOST)
                shape_drop(x, pattern);
            return;
        }
        if (!s->told || !(sets & p->set)) {
            shape_drop(x, pattern);
            return;
        }
        s->phase = p->scheme ? PHASE_SCHEME : PHASE_VALUE;
        s->count = 0;
        s->start = x->pos;
    }
    if (s->phase == PHASE_SCHEME && (c == ' ' || (c == '+' && s->count)) && s->count <= SCHEME_MOST) {
        s->phase = PHASE_VALUE;
        s->count = 0;
        s->start = x->pos + 1;
        return;
    }
    if (s->phase == PHASE_SCHEME && (!(sets & SET_LETTER) || s->count >= SCHEME_MOST))
        s->phase = PHASE_VALUE;
    if (!(sets & p->set)) {
        shape_end(x, pattern);
        return;
    }
    s->count++;
    s->decided |= s->phase == PHASE_VALUE && s->count >= p->least;
}

/* "eyJ" is how base64 of '{"' begins; a header and a payload are both such objects (RFC 7519). */
static void jwt_step(struct redact *x, size_t pattern, uint8_t c)
{
    static const char second[] = "eyJ";
    struct shape *s = &x->shapes[pattern];
    if (s->phase == PHASE_VALUE) { /* decided */
        if (!(byte_sets[c] & SET_DOTTED))
            shape_end(x, pattern);
    } else if (s->phase == PHASE_SCHEME) { /* the beginning of the second part */
        if (c != (uint8_t)second[s->count])
            shape_drop(x, pattern);
        else if (++s->count == 3) {
            s->phase = PHASE_VALUE;
            s->decided = true;
        }
    } else if (c == '.' && s->count >= patterns[pattern].least) {
        s->phase = PHASE_SCHEME;
        s->count = 0;
    } else if (!(byte_sets[c] & SET_WORD) || ++s->count > JWT_HEAD_MOST) {
        shape_drop(x, pattern);
    }
}

static void shape_step(struct redact *x, size_t pattern, uint8_t c)
{
    const struct pattern *p = &patterns[pattern];
    struct shape *s = &x->shapes[pattern];
    if (p->kind == PATTERN_KEYWORD) {
        keyword_step(x, pattern, c);
    } else if (p->kind == PATTERN_JWT) {
        jwt_step(x, pattern, c);
    } else if (!(byte_sets[c] & p->set) || (p->kind == PATTERN_BLOCK && s->count >= BLOCK_MOST)) {
        shape_end(x, pattern);
    } else {
        s->count++;
        s->decided |= s->count >= p->least;
    }
}

/* The byte `back` places before `start`; 0 where the text has none. */
static uint8_t byte_before(const struct redact *x, uint64_t start, size_t back)
{
    if (start >= x->at + back)
        return (uint8_t)x->held.p[start - x->at - back];
    size_t missing = (size_t)(x->at + back - start); /* 1: the last one before `at` */
    return missing <= BEFORE ? x->before[BEFORE - missing] : 0;
}

/* A word begins there: after no word's byte, or after an escape that ends with one (\n in a JSON string, %3D). */
static bool word_begins(const struct redact *x, uint64_t start)
{
    uint8_t one = byte_before(x, start, 1), two = byte_before(x, start, 2), three = byte_before(x, start, 3);
    return !(byte_sets[one] & SET_WORD) || two == '\\' || three == '%';
}

static void literal_seen(struct redact *x, const struct literal *l, uint64_t end)
{
    const struct pattern *p = &patterns[l->pattern];
    struct shape *s = &x->shapes[l->pattern];
    uint64_t start = end - l->length;
    if (p->at_word && !word_begins(x, start))
        return;
    if (p->kind == PATTERN_BLOCK_END) {
        for (size_t i = 0; i < pattern_count; i++)
            if (patterns[i].kind == PATTERN_BLOCK && x->shapes[i].phase != PHASE_NONE) {
                shape_mark(x, i, end);
                shape_drop(x, i);
            }
        return;
    }
    if (s->phase != PHASE_NONE && (p->kind != PATTERN_KEYWORD || s->decided))
        return; /* the earlier one covers it, or ends where it would */
    *s = (struct shape){.phase = p->kind == PATTERN_KEYWORD || p->kind == PATTERN_JWT ? PHASE_GAP : PHASE_VALUE,
                        .decided = p->kind == PATTERN_BLOCK,
                        .start =
                            p->kind == PATTERN_RUN || p->kind == PATTERN_JWT || p->kind == PATTERN_BLOCK ? start : end};
    x->active |= UINT64_C(1) << l->pattern;
}

/* ---- words over several events ---- */

static uint64_t spelled_place(const struct redact *x, uint64_t back)
{
    return x->spelled_at[(x->spelled_n - back) % SPELLED_RING];
}

/* The latest n bytes of words are a secret; each stretch of them is a finding. */
static void spelled_mark(struct redact *x, uint64_t n, const char *name)
{
    uint64_t start = spelled_place(x, n), end = start + 1;
    int rank = RANK_SECRET + (int)n;
    if (spelled_place(x, 1) - start + 1 == n)
        return; /* in one piece, so it is found as such */
    for (uint64_t back = n - 1; back; back--, end++) {
        uint64_t at = spelled_place(x, back);
        if (at == end)
            continue;
        finding_add(x, start, end, rank, name);
        start = end = at;
        name = NULL;
    }
    finding_add(x, start, end, rank, name);
}

static void spelled_step(struct redact *x, uint8_t c)
{
    if (!x->spelled_at)
        x->spelled_at = mem_array(x, uint64_t, SPELLED_RING);
    x->spelled_at[x->spelled_n++ % SPELLED_RING] = x->pos;
    x->spelled = state_next(x->r, x->spelled, c);
    const struct state *s = &x->r->states[x->spelled];
    if (s->secret)
        spelled_mark(x, s->secret, x->r->names[s->name]);
    x->spelled_due = s->begun ? spelled_place(x, s->begun) + SPELLED_MOST : UINT64_MAX;
}

/* The rest did not come within reach. */
static void spelled_late(struct redact *x)
{
    uint64_t begun = x->r->states[x->spelled].begun;
    if (begun >= REDACT_SECRET_MIN)
        spelled_mark(x, begun, "secret");
    x->spelled = 0;
    x->spelled_due = UINT64_MAX;
}

/* Most bytes of most texts are no second byte of anything: true when the byte was one of them and is done. */
static bool byte_skip(struct redact *x, uint8_t c)
{
    const struct redactor *r = x->r;
    if (x->active || x->state > r->ones)
        return false;
    uint8_t last = r->labels[x->state];
    if (x->state && (r->pairs[last][c / 64] >> c % 64 & 1))
        return false;
    x->state = r->root[c];
    return true;
}

static void byte_step(struct redact *x, uint8_t c)
{
    for (uint64_t left = x->active; left; left &= left - 1)
        shape_step(x, (size_t)__builtin_ctzll(left), c);
    x->state = state_next(x->r, x->state, c);
    const struct state *s = &x->r->states[x->state];
    if (s->secret)
        finding_add(x, x->pos + 1 - s->secret, x->pos + 1, RANK_SECRET + s->secret, x->r->names[s->name]);
    for (uint32_t at = s->literal ? x->state : s->link; at; at = x->r->states[at].link)
        for (uint32_t l = x->r->states[at].literal; l; l = x->r->literals[l].next)
            literal_seen(x, &x->r->literals[l], x->pos + 1);
}

/* ---- giving out ---- */

static bool mark_give(struct finding *f, struct buf *out)
{
    if (f->given || !f->name)
        return true;
    f->given = true;
    return buf_printf(out, "[redacted:%s]", f->name);
}

/* Nothing before this can become part of a finding that is not known yet. */
static uint64_t certain(const struct redact *x)
{
    uint64_t until = x->pos - x->r->states[x->state].depth, begun = x->r->states[x->spelled].begun;
    if (begun && spelled_place(x, begun) < until)
        until = spelled_place(x, begun);
    for (uint64_t left = x->active; left; left &= left - 1) {
        const struct shape *s = &x->shapes[__builtin_ctzll(left)];
        bool keyword_gap = s->phase == PHASE_GAP && patterns[__builtin_ctzll(left)].kind == PATTERN_KEYWORD;
        if (!s->decided && !keyword_gap && s->start < until)
            until = s->start;
    }
    return until;
}

static void held_drop(struct redact *x, size_t n)
{
    uint8_t before[BEFORE];
    for (size_t i = 0; i < BEFORE; i++)
        before[BEFORE - 1 - i] = byte_before(x, x->at + n, i + 1);
    memcpy(x->before, before, sizeof before);
    buf_drop(&x->held, n);
    x->at += n;
}

/* Gives out all before `until`. */
static bool give(struct redact *x, uint64_t until, struct buf *out)
{
    for (uint64_t left = x->active; left; left &= left - 1) { /* those that go on reach to here at least */
        size_t pattern = (size_t)__builtin_ctzll(left);
        if (x->shapes[pattern].decided)
            shape_mark(x, pattern, x->pos);
    }
    bool fine = true;
    size_t done = 0;
    uint64_t at = x->at;
    for (size_t i = 0; i < x->finding_count && at < until && fine; i++) {
        struct finding *f = &x->findings[i];
        if (f->start >= until)
            break;
        if (f->start > at) {
            fine = buf_add(out, x->held.p + (at - x->at), (size_t)(f->start - at));
            at = f->start;
        }
        fine = fine && mark_give(f, out);
        at = f->end < until ? (f->end > at ? f->end : at) : until;
        done += f->end <= until && f->end < x->pos; /* one that may go on stays: what overlaps it is part of it */
    }
    if (at < until && fine)
        fine = buf_add(out, x->held.p + (at - x->at), (size_t)(until - at));
    if (done) {
        x->finding_count -= done;
        memmove(x->findings, x->findings + done, x->finding_count * sizeof *x->findings);
    }
    held_drop(x, (size_t)(until - x->at));
    x->closed |= !fine;
    return fine;
}

bool redact_feed(struct redact *x, struct str bytes, struct buf *out)
{
    while (bytes.n && !x->closed) {
        struct str slice = str_sub(bytes, 0, SLICE);
        BUG_ON(!buf_str(&x->held, slice)); /* what is held is bounded */
        for (size_t i = 0; i < slice.n; i++, x->pos++) {
            uint8_t c = (uint8_t)slice.p[i];
            if (!byte_skip(x, c))
                byte_step(x, c);
            if (spell_step(&x->spell, c))
                spelled_step(x, c);
            if (x->pos >= x->spelled_due)
                spelled_late(x);
        }
        give(x, certain(x), out);
        bytes = str_sub(bytes, SLICE, bytes.n);
    }
    return !x->closed;
}

bool redact_cut(struct redact *x, struct buf *out)
{
    bool fine = !x->closed && give(x, certain(x), out);
    x->closed = true;
    return fine;
}

bool redact_end(struct redact *x, struct buf *out)
{
    if (x->closed)
        return false;
    for (uint64_t left = x->active; left; left &= left - 1)
        shape_end(x, (size_t)__builtin_ctzll(left));
    for (uint32_t at = x->state; x->r->states[at].depth >= REDACT_SECRET_MIN; at = x->r->states[at].fail) {
        if (!x->r->states[at].of_secret)
            continue;
        finding_add(x, x->pos - x->r->states[at].depth, x->pos, RANK_SECRET, "secret");
        break;
    }
    if (x->r->states[x->spelled].begun >= REDACT_SECRET_MIN)
        spelled_mark(x, x->r->states[x->spelled].begun, "secret");
    bool fine = give(x, x->pos, out);
    x->closed = true;
    return fine;
}

#define TEXT_POOL 3072 /* what a short text needs */

char *redact_text(mem *ctx, struct redactor *r, struct str text, size_t max)
{
    CLEANUP_MEM mem *tmp = mem_pool(TEXT_POOL);
    struct redact *x = redact_new(tmp, r);
    struct buf out;
    bool cut = text.n > max;
    buf_init(&out, tmp, REDACT_GROWTH * max + 64);
    redact_feed(x, str_sub(text, 0, str_utf8_cut(text, max)), &out);
    if (cut)
        redact_cut(x, &out);
    else
        redact_end(x, &out);
    struct str all = buf_view(&out);
    return str_dup(ctx, str_sub(all, 0, str_utf8_cut(all, max)));
}
