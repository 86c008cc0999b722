/* The bytes of a request for one target: the way to it (way.h) and the body in its dialect with the admitted output
 * cap. Bodies of the same family are the client's own bytes with only what
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
    const char *version = a->way.vertex_claude ? VERTEX_ANTHROPIC_VERSION : NULL; /* then the address has the model */
    struct buf b;
    buf_init(&b, a->ctx, WHOLE_MAX);
    if (c->endpoint.kind == LLM_EMBEDDINGS && strcmp(t->dialect->family, "gemini") == 0) {
        enum rc rc = llm_embed_write(&c->embed, t->upstream, &b, &a->why.err);
        a->body = buf_view(&b);
        return rc;
    }
    if (llm_same_family(c->endpoint.dialect, t->dialect)) {
        bool generates = c->endpoint.kind == LLM_GENERATE;
        struct llm_splice change = {.model = strcmp(c->facts.model, t->upstream) ? t->upstream : NULL,
                                    .max_output = generates ? cap : 0,
                                    .ask_usage = generates && c->stream,
                                    .anthropic_version = version};
        return llm_request_splice(a->ctx, t->dialect, c->body, &change, &a->body, &a->why.err);
    }
    enum rc rc = llm_request_encode(c->neutral, t->dialect, t->upstream, cap, c->stream, &b, &a->why.err);
    a->body = buf_view(&b);
    struct llm_splice change = {.anthropic_version = version};
    return rc == RC_OK && version ? llm_request_splice(a->ctx, t->dialect, a->body, &change, &a->body, &a->why.err)
                                  : rc;
}

enum rc attempt_write(struct attempt *a)
{
    struct call *c = a->call;
    const struct ways ways = {c->g->spec.credentials, c->g->spec.tokens};
    enum rc rc = way_find(a->ctx, &ways, a->target->provider, c->endpoint.kind, a->target->upstream, c->stream, &a->way,
                          &a->why.err);
    a->elsewhere = rc != RC_OK; /* another provider's key may be there */
    return rc == RC_OK ? body_write(a) : rc;
}
