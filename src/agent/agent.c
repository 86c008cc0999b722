/* The conversation of an iteration: ask, take the answer, make its calls, ask again. Every way that an answer can be
 * useless ends in a bounded number of tries or in an end that names its reason. Waiting and trying again after the
 * machine's or the provider's faults is the caller's. */
#include "agent/work.h"
#include "base/clock.h"
#include "os/path.h"
#include <unistd.h>

enum {
    BODY_MOST = 64 << 20,
    ASKS_MOST = 3,        /* of the same request, while its answers break off */
    COMPACTIONS_MOST = 4, /* in a row because the model refused the length */
    USELESS_MOST = 3,     /* answers in a row that are empty or cut before a call */
    REFUSALS_MOST = 2,
    TEXT_KEPT = 20000, /* of an answer's text, in the journal */
    SUMMARY_MOST = 8000,
};

/* What a step of the loop came to. */
enum step_end {
    STEP_ON,
    STEP_END,   /* a->ret->end is set */
    STEP_ERROR, /* err: nothing that an end of the iteration could name */
};

static enum step_end end_set(struct agent *a, enum agent_end end)
{
    a->ret->end = end;
    return STEP_END;
}

/* Sorts what went wrong outside the model: the journal's failures are the caller's, the rest is infrastructure. */
static enum step_end fault(struct agent *a, enum rc rc)
{
    if (rc == RC_CANCELLED)
        return end_set(a, AGENT_CANCELLED);
    return a->journal_broken ? STEP_ERROR : end_set(a, AGENT_FAILED);
}

static bool stopping(const struct agent *a)
{
    return a->road->stopping && a->road->stopping(a->road->arg);
}

/* Words for the model, at the end of what it is told next. */
static void nudge(struct agent *a, const char *words)
{
    struct llm_message *m = a->talk->last;
    if (m->role != LLM_USER)
        m = llm_add_message(a->talk, LLM_USER);
    llm_add_part(a->talk, m, LLM_TEXT, str_of(words));
}

/* --- room --- */

/* Tokens of a request of so many bytes: by what the last one came to, else three bytes a token, which code rarely
 * exceeds. */
static int64_t tokens_estimate(const struct agent *a, size_t bytes)
{
    if (a->prompt_tokens <= 0 || a->prompt_bytes == 0)
        return (int64_t)bytes / 3 + 1;
    double ratio = (double)a->prompt_tokens / (double)a->prompt_bytes;
    ratio = ratio < 0.1 ? 0.1 : ratio > 1 ? 1 : ratio;
    return (int64_t)((double)bytes * ratio) + 1;
}

/* Tokens that a prompt may have; 0: unknown. */
static int64_t prompt_room(const struct agent *a)
{
    int64_t context = a->spec->context_tokens;
    int64_t output = a->spec->max_output < context / 2 ? a->spec->max_output : context / 2;
    return context > 0 ? context - output - context / 32 : 0;
}

static struct str body_write(struct agent *a, mem *ctx)
{
    struct buf b;
    buf_init(&b, ctx, BODY_MOST);
    a->spec->dialect->write_request(a->talk, a->spec->model, a->spec->max_output, &b);
    return b.overflow ? STR("") : buf_view(&b);
}

static const struct step *compaction_find(const struct agent *a, int64_t turn, int64_t attempt, const char *reason)
{
    for (const struct step *s = a->memory.first[MEMORY_COMPACTED]; s; s = s->next)
        if (s->turn == turn && s->attempt == attempt && strcmp(s->reason, reason) == 0)
            return s;
    return NULL;
}

/* Brings the request to at most `target` bytes and records what went. *ret_shorter false: nothing could go. */
static enum rc compact_record(struct agent *a, mem *ctx, int64_t turn, int64_t attempt, const char *reason,
                              size_t bytes, size_t target, bool *ret_shorter, struct err *err)
{
    struct record r;
    entry_begin(&r, ctx, turn);
    jo_ki(&r.o, "attempt", attempt);
    jo_kz(&r.o, "reason", reason);
    jo_ki(&r.o, "before_tokens", tokens_estimate(a, bytes));
    jo_key(&r.o, "dropped");
    jo_arr(&r.o);
    size_t left = compact(a, bytes, target, &r.o);
    jo_end_arr(&r.o);
    jo_ki(&r.o, "after_tokens", tokens_estimate(a, left));
    *ret_shorter = left < bytes;
    if (left == bytes || compaction_find(a, turn, attempt, reason))
        return RC_OK;
    return entry_end(a, &r, MEMORY_COMPACTED, err);
}

/* --- asking --- */

struct asking {
    struct agent *a;
    mem *ctx; /* of this answer */
    struct llm_parser *parser;
    const struct llm_answer *answer;
    bool nonsense; /* the parser gave up */
    struct err why;
};

static bool on_bytes(void *p, struct str bytes)
{
    struct asking *q = p;
    q->nonsense = q->nonsense || llm_parser_feed(q->parser, bytes.p, bytes.n, &q->why) != RC_OK;
    return !q->nonsense;
}

static void on_text(void *p, struct str text)
{
    const struct agent *a = p;
    if (a->road->on_text)
        a->road->on_text(a->road->arg, text);
}

enum asked {
    ASKED_ANSWER,   /* complete */
    ASKED_CUT,      /* came to nothing: the same may be asked again */
    ASKED_TOO_LONG, /* refused for its length */
    ASKED_END,      /* a->ret->end is set, err has the words */
};

static enum asked asked_end(struct agent *a, enum agent_end end)
{
    a->ret->end = end;
    return ASKED_END;
}

static enum asked failure_take(struct agent *a, const struct llm_failure *f, struct err *err)
{
    *err = f->err;
    a->ret->retry_after_s = f->retry_after_s;
    if (f->context_too_long)
        return ASKED_TOO_LONG;
    return asked_end(a, f->quota && !f->retryable ? AGENT_LIMIT : AGENT_FAILED);
}

/* What the road itself said. */
static enum asked road_take(struct asking *q, enum rc rc, struct err *err)
{
    if (q->nonsense) { /* we told it to stop */
        *err = q->why;
        return ASKED_CUT;
    }
    if (rc == RC_CANCELLED)
        return asked_end(q->a, AGENT_CANCELLED);
    if (rc == RC_LIMIT)
        return asked_end(q->a, AGENT_LIMIT);
    if (rc == RC_UPSTREAM && llm_parser_answer(q->parser)->message) /* broke off in the middle of an answer */
        return ASKED_CUT;
    err->rc = rc;
    return asked_end(q->a, AGENT_FAILED);
}

/* Content-Type tells a stream from a document; the parser also sees it. */
static enum asked answer_take(struct asking *q, struct err *err)
{
    enum rc rc = llm_parser_end(q->parser, true, &q->answer, &q->why);
    if (rc) {
        *err = q->why;
        return ASKED_CUT;
    }
    if (q->answer->failed) {
        struct llm_failure f;
        llm_answer_failure(q->answer, &f);
        return failure_take(q->a, &f, err);
    }
    if (q->answer->complete)
        return ASKED_ANSWER;
    err_set(err, RC_UPSTREAM, "The model's answer broke off");
    return ASKED_CUT;
}

static enum asked ask_once(struct asking *q, const char *key, struct str body, struct err *err)
{
    struct agent *a = q->a;
    int status = 0;
    struct str headers = STR(""), error_body = STR("");
    q->nonsense = false;
    q->parser = llm_parser_new(q->ctx, a->spec->dialect, on_text, a);
    enum rc rc = a->road->ask(a->road->arg, q->ctx, key, a->spec->dialect, body, on_bytes, q, &status, &headers,
                              &error_body, err);
    if (rc)
        return road_take(q, rc, err);
    if (status == 200)
        return answer_take(q, err);
    struct llm_failure f;
    llm_failure_read(status, headers, error_body, clock_wall_ns(), &f);
    return failure_take(a, &f, err);
}

/* One request until it is answered; a stream that breaks off is asked for again under the same key, by which the
 * gateway knows that the first one came to nothing. */
static enum asked ask(struct asking *q, const char *key, struct str body, struct err *err)
{
    for (int n = 1;; n++) {
        enum asked asked = ask_once(q, key, body, err);
        if (asked != ASKED_CUT)
            return asked;
        if (stopping(q->a))
            return asked_end(q->a, AGENT_CANCELLED);
        if (n == ASKS_MOST)
            return asked_end(q->a, AGENT_FAILED);
    }
}

static enum step_end too_long_end(struct agent *a, struct err *err)
{
    a->ret->context_too_long = true;
    if (err->rc == RC_OK)
        err_set(err, RC_INVALID, "The conversation is too long for the model");
    err_hint(err, "Use a model with a larger context, or make the task smaller.");
    return end_set(a, AGENT_FAILED);
}

/* Asks for the answer of a turn, shortening the conversation before it overflows and after it did. */
static enum step_end turn_ask(struct agent *a, int64_t turn, struct asking *q, struct err *err)
{
    for (int64_t attempt = 1; attempt <= COMPACTIONS_MOST + 1; attempt++) {
        bool shorter = true;
        struct str body = body_write(a, q->ctx);
        int64_t room = prompt_room(a), tokens = tokens_estimate(a, body.n);
        if (room > 0 && body.n && tokens > room) {
            size_t target = (size_t)((double)body.n * 0.6 * (double)room / (double)tokens);
            enum rc rc = compact_record(a, q->ctx, turn, attempt, "estimate", body.n, target, &shorter, err);
            if (rc)
                return fault(a, rc);
            body = body_write(a, q->ctx);
        }
        if (!body.n)
            return too_long_end(a, err);
        const char *key =
            mem_printf(q->ctx, "i%lld.t%lld.a%lld", (long long)a->spec->iteration, (long long)turn, (long long)attempt);
        /* A refusal that stands in the journal is not asked for again. */
        enum asked asked = compaction_find(a, turn, attempt, "refused") ? ASKED_TOO_LONG : ask(q, key, body, err);
        if (asked == ASKED_END)
            return STEP_END;
        if (asked == ASKED_ANSWER) {
            const struct usage *u = &q->answer->usage;
            if (q->answer->usage_known) {
                a->prompt_tokens = u->input + u->cache_read + u->cache_write + u->cache_write_1h;
                a->prompt_bytes = body.n;
            }
            return STEP_ON;
        }
        enum rc rc = compact_record(a, q->ctx, turn, attempt, "refused", body.n, body.n / 2, &shorter, err);
        if (rc)
            return fault(a, rc);
        if (!shorter)
            break;
    }
    return too_long_end(a, err);
}

/* --- answers --- */

/* Visible text of an answer in one piece. */
static struct str answer_text(mem *ctx, const struct llm_answer *answer)
{
    struct buf b;
    buf_init(&b, ctx, SIZE_MAX);
    for (const struct llm_part *part = answer->message ? answer->message->first : NULL; part; part = part->next)
        if (part->kind == LLM_TEXT && str_trim(part->text).n) {
            if (b.n)
                buf_z(&b, "\n\n");
            buf_str(&b, part->text);
        }
    return buf_view(&b);
}

static size_t calls_count(const struct llm_message *m)
{
    size_t n = 0;
    for (const struct llm_part *part = m ? m->first : NULL; part; part = part->next)
        n += part->kind == LLM_TOOL_CALL;
    return n;
}

static const char *summary_cut(struct agent *a, struct str text)
{
    return str_utf8_clean(a->ctx, str_sub(text, 0, str_utf8_cut(text, SUMMARY_MOST)));
}

static enum rc text_record(struct agent *a, mem *ctx, int64_t turn, const struct llm_answer *answer, struct str text,
                           struct err *err)
{
    if (!text.n || memory_find(a, MEMORY_TEXT, turn, -1, NULL))
        return RC_OK;
    struct record r;
    entry_begin(&r, ctx, turn);
    jo_ks(&r.o, "text", str_sub(text, 0, str_utf8_cut(text, TEXT_KEPT)));
    if (text.n > TEXT_KEPT)
        jo_ki(&r.o, "text_bytes", (int64_t)text.n);
    jo_kz(&r.o, "stop", llm_stop_name(answer->stop));
    jo_ki(&r.o, "calls", (int64_t)calls_count(answer->message));
    jo_kz(&r.o, "model", answer->model);
    return entry_end(a, &r, MEMORY_TEXT, err);
}

static bool id_known(const struct agent *a, const struct llm_message *before, const char *id)
{
    for (const struct llm_message *m = a->talk->first; m != before; m = m->next)
        for (const struct llm_part *part = m->first; part; part = part->next)
            if (part->kind == LLM_TOOL_CALL && strcmp(part->id, id) == 0)
                return true;
    return false;
}

/* Puts the answer into the conversation. Ids that a server gave before get the turn's number: they must be unique. */
static struct exchange *exchange_add(struct agent *a, int64_t turn, const struct llm_message *message)
{
    struct llm_message *answer = llm_add_copy(a->talk, message);
    for (struct llm_part *part = answer->first; part; part = part->next)
        if (part->kind == LLM_TOOL_CALL && id_known(a, answer, part->id))
            part->id = mem_printf(a->ctx, "%s_t%lld", part->id, (long long)turn);
    struct exchange *x = mem_new(a->ctx, struct exchange);
    *x = (struct exchange){.turn = turn, .answer = answer, .reply = llm_add_message(a->talk, LLM_USER)};
    if (a->last_exchange)
        a->last_exchange->next = x;
    else
        a->first_exchange = x;
    a->last_exchange = x;
    return x;
}

static enum step_end calls_make(struct agent *a, int64_t turn, const struct llm_answer *answer, struct err *err)
{
    struct exchange *x = exchange_add(a, turn, answer->message);
    int64_t number = 0;
    for (const struct llm_part *part = x->answer->first; part; part = part->next) {
        if (part->kind != LLM_TOOL_CALL)
            continue;
        if (stopping(a))
            return end_set(a, AGENT_CANCELLED);
        enum rc rc = tool_call_make(a, turn, ++number, part, x->reply, err);
        if (rc)
            return fault(a, rc);
        a->ret->tool_calls++;
    }
    a->silences = a->refusals = 0;
    if (answer->stop == LLM_STOP_LENGTH && ++a->cuts < USELESS_MOST)
        llm_add_part(a->talk, x->reply, LLM_TEXT,
                     STR("Your last answer was cut off at the limit of its length. Do less in one answer."));
    else if (answer->stop != LLM_STOP_LENGTH)
        a->cuts = 0;
    return a->finished ? end_set(a, AGENT_FINISHED) : STEP_ON;
}

/* An answer without calls: the end, or one that needs a word. */
static enum step_end words_take(struct agent *a, int64_t turn, const struct llm_answer *answer, struct str text)
{
    bool blank = !str_trim(text).n;
    if (answer->stop == LLM_STOP_REFUSED) {
        a->summary = summary_cut(a, blank ? STR("The model refused without words.") : text);
        if (++a->refusals >= REFUSALS_MOST)
            return end_set(a, AGENT_FINISHED);
        nudge(
            a,
            "You declined to go on. If a part of the task can be done, do that part. If not, call `finish` and say why.");
        return STEP_ON;
    }
    if (answer->stop == LLM_STOP_LENGTH) {
        a->summary = summary_cut(a, text);
        if (++a->cuts >= USELESS_MOST)
            return end_set(a, AGENT_FINISHED);
        if (!blank)
            exchange_add(a, turn, answer->message);
        nudge(a, "Your answer was cut off at the limit of its length. Go on in smaller steps, with a call of a tool.");
        return STEP_ON;
    }
    if (blank) {
        a->summary = "The model gave no answer.";
        if (++a->silences >= USELESS_MOST)
            return end_set(a, AGENT_FINISHED);
        nudge(a, "Your last answer was empty. Call a tool, or call `finish`.");
        return STEP_ON;
    }
    a->summary = summary_cut(a, text);
    return end_set(a, AGENT_FINISHED);
}

static enum step_end turn_make(struct agent *a, int64_t turn, struct err *err)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct asking q = {.a = a, .ctx = ctx};
    if (stopping(a))
        return end_set(a, AGENT_CANCELLED);
    enum step_end end = turn_ask(a, turn, &q, err);
    if (end != STEP_ON)
        return end;
    a->ret->turns = turn;
    struct str text = answer_text(ctx, q.answer);
    enum rc rc = text_record(a, ctx, turn, q.answer, text, err);
    if (rc)
        return fault(a, rc);
    /* A refusal may break off in the middle of a call. */
    if (calls_count(q.answer->message) && q.answer->stop != LLM_STOP_REFUSED) {
        if (text.n)
            a->summary = summary_cut(a, text);
        return calls_make(a, turn, q.answer, err);
    }
    return words_take(a, turn, q.answer, text);
}

static void talk_begin(struct agent *a)
{
    size_t n;
    const struct agent_tool *const *tools = agent_tools(&n);
    struct llm_tool *faces = mem_array(a->ctx, struct llm_tool, n);
    for (size_t i = 0; i < n; i++)
        faces[i] = tools[i]->face;
    a->talk = llm_conversation_new(a->ctx, agent_system_text(a->ctx, a->spec->system_extra));
    a->talk->tools = faces;
    a->talk->tool_count = n;
    struct str prompt = str_of(str_utf8_clean(a->ctx, a->spec->prompt));
    llm_add_part(a->talk, llm_add_message(a->talk, LLM_USER), LLM_TEXT, prompt);
}

static void result_fill(mem *ctx, struct agent *a)
{
    a->ret->summary = mem_str(ctx, a->summary ? a->summary : "");
    const char **notes = mem_array(ctx, const char *, a->note_count + 1);
    for (size_t i = 0; i < a->note_count; i++)
        notes[i] = mem_str(notes, a->notes[i]);
    a->ret->notes = notes;
}

static enum rc iterate(mem *ctx, struct agent *a, struct err *err)
{
    enum rc rc = path_mkdirs(a->spec->log_dir, 0700, err);
    rc = rc ? rc : files_take(a, err);
    rc = rc ? rc : memory_load(a, err);
    rc = rc ? rc : memory_recover(a, err);
    CLEANUP_FD int root = -1;
    rc = rc ? rc : path_open_root(a->spec->work->dir, &root, err);
    if (rc)
        return rc;
    a->root = root;
    talk_begin(a);
    enum step_end end = STEP_ON;
    for (int64_t turn = 1; end == STEP_ON; turn++)
        end = a->spec->max_turns > 0 && turn > a->spec->max_turns ? end_set(a, AGENT_TURNS) : turn_make(a, turn, err);
    result_fill(ctx, a);
    /* The caller goes on with the files; nothing inside may still change them. */
    bool good = end == STEP_END && (a->ret->end == AGENT_FINISHED || a->ret->end == AGENT_TURNS);
    if (files_take(a, good ? err : NULL) && good)
        a->ret->end = AGENT_FAILED;
    return end == STEP_ERROR ? err->rc : RC_OK;
}

enum rc agent_iterate(mem *ctx, const struct agent_spec *spec, const struct agent_road *road, struct agent_result *ret,
                      struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err why = {0}; /* words of tries that were made good are nobody's business */
    struct agent *a = mem_new(tmp, struct agent);
    *ret = (struct agent_result){.retry_after_s = -1};
    *a = (struct agent){.ctx = a, .spec = spec, .road = road, .ret = ret, .root = -1};
    enum rc rc = iterate(ctx, a, &why);
    if (err && (rc || ret->end == AGENT_LIMIT || ret->end == AGENT_FAILED))
        *err = why;
    return rc;
}
