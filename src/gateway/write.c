/* The bytes of a request for one target: the way to it (way.h) and the body in its dialect with the admitted output
 * cap. Runs on a pool thread: keys may be files. Bodies of the same family are the client's own bytes with only what
 * must change; others are written anew. */
#include "gateway/call.h"
#include "gateway/vertex.h"

static enum rc body_write(struct attempt *a)
{
    struct call *c = a->call;
    const struct target *t = a->target;
    int64_t cap = a->reservation.output;
    if (t->max_output > 0 && cap > t->max_output)
        cap = t->max_output;
    struct buf b;
    buf_init(&b, a->ctx, WHOLE_MAX);
    if (c->endpoint.kind == LLM_EMBEDDINGS && strcmp(t->dialect->family, "gemini") == 0) {
        enum rc rc = llm_embed_write(&c->embed, t->upstream, &b, &a->err);
        a->body = buf_view(&b);
        return rc;
    }
    if (llm_same_family(c->endpoint.dialect, t->dialect)) {
        bool generates = c->endpoint.kind == LLM_GENERATE;
        struct llm_splice change = {.model = strcmp(c->facts.model, t->upstream) ? t->upstream : NULL,
                                    .max_output = generates ? cap : 0,
                                    .ask_usage = generates && c->stream};
        return llm_request_splice(a->ctx, t->dialect, c->body, &change, &a->body, &a->err);
    }
    enum rc rc = llm_request_encode(c->neutral, t->dialect, t->upstream, cap, c->stream, &b, &a->err);
    a->body = buf_view(&b);
    return rc;
}

/* The member of an object with its comma, taken out of the bytes. */
static struct str member_cut(mem *ctx, struct str body, const char *name)
{
    struct json root;
    if (json_parse(ctx, body, &root, NULL) != RC_OK)
        return body;
    struct str raw = json_raw(json_get(root, name));
    if (!raw.n)
        return body;
    size_t from = (size_t)(raw.p - body.p), to = from + raw.n;
    while (from > 0 && body.p[from] != ':') /* back over blanks and the colon, then the key */
        from--;
    while (from > 0 && body.p[from] != '"')
        from--;
    for (from = from ? from - 1 : 0; from > 0 && body.p[from] != '"';)
        from--;
    while (to < body.n && strchr(" \t\r\n", body.p[to]))
        to++;
    if (to < body.n && body.p[to] == ',') {
        to++;
    } else { /* the last member: the comma before it goes */
        size_t comma = from;
        while (comma > 0 && strchr(" \t\r\n", body.p[comma - 1]))
            comma--;
        from = comma > 0 && body.p[comma - 1] == ',' ? comma - 1 : from;
    }
    return str_of(mem_printf(ctx, "%.*s%.*s", (int)from, body.p, (int)(body.n - to), body.p + to));
}

/* Vertex AI: the model stands in the address alone; Anthropic's models there name their version in the body. */
static void body_for_account(struct attempt *a)
{
    struct str bare = member_cut(a->ctx, a->body, "model");
    const char *brace = memchr(bare.p, '{', bare.n);
    if (!brace || str_find(bare, STR("\"anthropic_version\"")) >= 0) {
        a->body = bare;
        return;
    }
    size_t at = (size_t)(brace - bare.p) + 1;
    struct str rest = str_sub(bare, at, bare.n);
    a->body = str_of(mem_printf(a->ctx, "{\"anthropic_version\":\"%s\"%s%.*s", VERTEX_ANTHROPIC_VERSION,
                                str_trim(rest).n > 1 ? "," : "", STR_FMT(rest)));
}

enum rc attempt_write(struct attempt *a)
{
    struct call *c = a->call;
    const struct ways ways = {c->g->spec.credentials, c->g->spec.tokens};
    enum rc rc = way_find(a->ctx, &ways, a->target->provider, c->endpoint.kind, a->target->upstream, c->stream, &a->way,
                          &a->err);
    a->elsewhere = rc != RC_OK; /* another provider's key may be there */
    if (rc == RC_OK)
        rc = body_write(a);
    if (rc == RC_OK && a->way.vertex_claude)
        body_for_account(a);
    return rc;
}
