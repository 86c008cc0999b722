/* Lists and counts of tasks. One statement for each combination of filters, so that each has its index; several states
 * are as many lists, merged. Texts are found by their trigrams (task_search), newest first without a sort. */
#include "base/text.h"
#include "store/store_private.h"

#define STATES_MOST   TASK_STATES
#define TRIGRAM_LEAST 3 /* characters: shorter texts have no trigram and are sought in titles and ids alone */

/* Parameters: $1 numbers below, $2 how many, $3 what the index is by (repo or agent), $4 an agent besides ('' for any),
 * $5 state. Those that a statement does not name are not bound. */
#define BRIEF  "SELECT " TASK_READ " FROM task t "
#define WHOLE  "SELECT " TASK_READ ", text, spec FROM task t JOIN task_text x ON x.number = t.number "
#define NEWEST " ORDER BY t.number DESC LIMIT $2"
#define LISTS(name, select)                                                                                            \
    DB_SQL(name##_any, select "WHERE t.number < $1" NEWEST);                                                           \
    DB_SQL(name##_active, select "WHERE t.state NOT IN " TASK_FINAL " AND t.number < $1" NEWEST);                      \
    DB_SQL(name##_state, select "WHERE t.state = $3 AND t.number < $1" NEWEST);                                        \
    DB_SQL(name##_repo, select "WHERE t.repo = $3 AND ($4 = '' OR t.agent = $4) AND t.number < $1" NEWEST);            \
    DB_SQL(name##_repo_active, select "WHERE t.repo = $3 AND ($4 = '' OR t.agent = $4) AND t.state NOT IN " TASK_FINAL \
                                      " AND t.number < $1" NEWEST);                                                    \
    DB_SQL(name##_repo_state,                                                                                          \
           select "WHERE t.repo = $3 AND ($4 = '' OR t.agent = $4) AND t.state = $5 AND t.number < $1" NEWEST);        \
    DB_SQL(name##_agent, select "WHERE t.agent = $3 AND t.number < $1" NEWEST);                                        \
    DB_SQL(name##_agent_active,                                                                                        \
           select "WHERE t.agent = $3 AND t.state NOT IN " TASK_FINAL " AND t.number < $1" NEWEST);                    \
    DB_SQL(name##_agent_state, select "WHERE t.agent = $3 AND t.state = $4 AND t.number < $1" NEWEST)
LISTS(brief, BRIEF);
LISTS(whole, WHOLE);

/* $3 what is sought, $4 repo, $5 agent, $6 ",state,state,": '' for any. */
#define ALSO                                                                                                           \
    " AND ($4 = '' OR t.repo = $4) AND ($5 = '' OR t.agent = $5)"                                                      \
    " AND ($6 = '' OR instr($6, ',' || t.state || ',') > 0)"
#define FOUND "FROM task_search s JOIN task t ON t.number = s.rowid WHERE task_search MATCH $3 AND s.rowid < $1" ALSO
#define SHORT                                                                                                          \
    "FROM task t WHERE (instr(lower(t.title), $3) > 0 OR substr(t.id, 1, length($3)) = $3) AND t.number < $1" ALSO
#define BY_ID "FROM task t WHERE t.id = $3 AND t.number < $1" ALSO

static enum rc states_read(const char *state, const char *ret[STATES_MOST], size_t *ret_n, struct err *err)
{
    struct str rest = str_of(state), word;
    *ret_n = 0;
    while (str_next(&rest, ',', &word)) {
        const char *name = NULL;
        for (size_t i = 0; i < TASK_STATES; i++)
            if (str_eqz(word, task_state_name(i)))
                name = task_state_name(i);
        if (!name)
            return err_set(err, RC_INVALID, "There is no task state '%.*s'.", (int)(word.n < 40 ? word.n : 40), word.p);
        bool twice = false;
        for (size_t i = 0; i < *ret_n; i++)
            twice = twice || ret[i] == name;
        if (!twice)
            ret[(*ret_n)++] = name;
    }
    return RC_OK;
}

static int64_t before_of(const struct task_filter *f)
{
    return f->before > 0 ? f->before : INT64_MAX;
}

/* One state (NULL: any; "active"). */
static enum rc list_one(mem *ctx, struct db_conn *c, const struct task_filter *f, const char *state, struct task **ret,
                        size_t *ret_n, struct err *err)
{
    static const char *const *const statements[2][3][3] = {
        {{&whole_any, &whole_active, &whole_state},
         {&whole_repo, &whole_repo_active, &whole_repo_state},
         {&whole_agent, &whole_agent_active, &whole_agent_state}},
        {{&brief_any, &brief_active, &brief_state},
         {&brief_repo, &brief_repo_active, &brief_repo_state},
         {&brief_agent, &brief_agent_active, &brief_agent_state}},
    };
    struct db_arg args[5];
    size_t n = 0;
    int by_state = !state ? 0 : strcmp(state, "active") == 0 ? 1 : 2, by = f->repo ? 1 : f->agent ? 2 : 0;
    args[n++] = db_int(before_of(f));
    args[n++] = db_int(f->limit > 0 ? f->limit : 0);
    if (by)
        args[n++] = db_text(f->repo ? f->repo : f->agent);
    if (f->repo)
        args[n++] = db_text(f->agent ? f->agent : "");
    if (by_state == 2)
        args[n++] = db_text(state);
    return db_all(ctx, c, statements[f->brief][by][by_state], (struct db_args){.v = args, .n = n},
                  f->brief ? &task_brief_shape : &task_whole_shape, ret, ret_n, err);
}

static int newest_first(const void *a, const void *b)
{
    const struct task *x = a, *y = b;
    return x->number > y->number ? -1 : x->number < y->number;
}

static enum rc list_states(mem *ctx, struct db_conn *c, const struct task_filter *f, const char *const *states,
                           size_t state_n, struct task **ret, size_t *ret_n, struct err *err)
{
    struct task *all = NULL, *some = NULL;
    size_t n = 0, some_n = 0;
    for (size_t i = 0; i < state_n; i++) {
        enum rc rc = list_one(ctx, c, f, states[i], &some, &some_n, err);
        if (rc)
            return rc;
        if (some_n)
            all = mem_grow(ctx, all, (n + some_n) * sizeof *all);
        for (size_t k = 0; k < some_n; k++)
            all[n++] = some[k];
    }
    if (n)
        qsort(all, n, sizeof *all, newest_first);
    *ret = all;
    *ret_n = (int64_t)n > f->limit ? (size_t)(f->limit > 0 ? f->limit : 0) : n;
    return RC_OK;
}

/* A text as FTS5 takes it: one phrase. */
static const char *phrase(mem *ctx, const char *text)
{
    struct buf b;
    buf_init(&b, ctx, SIZE_MAX);
    buf_char(&b, '"');
    for (const char *p = text; *p; p++)
        buf_printf(&b, *p == '"' ? "\"\"" : "%c", *p);
    buf_char(&b, '"');
    return buf_view(&b).p;
}

enum seeking { SEEK_FOUND, SEEK_SHORT, SEEK_ID, SEEKS };
struct sought {
    enum seeking how;
    const char *text;
};

/* How a text is sought. */
static struct sought sought_of(mem *ctx, struct db_conn *c, const char *text)
{
    DB_SQL(sql, "SELECT number FROM task WHERE id = $1");
    size_t characters = 0;
    int64_t number;
    for (const char *p = text; *p; p++)
        characters += ((unsigned char)*p & 0xC0) != 0x80;
    if (db_one_int(c, &sql, DB_ARGS(db_text(text)), &number, NULL) == RC_OK)
        return (struct sought){SEEK_ID, text};
    if (characters >= TRIGRAM_LEAST)
        return (struct sought){SEEK_FOUND, phrase(ctx, text)};
    char *low = mem_str(ctx, text);
    for (char *p = low; *p; p++)
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
    return (struct sought){SEEK_SHORT, low};
}

/* The states of a filter as ",a,b,". */
static const char *states_mark(mem *ctx, const char *state)
{
    if (!state)
        return "";
    return strcmp(state, "active") == 0 ? ",queued,working,checking,needs_you,paused," : mem_printf(ctx, ",%s,", state);
}

static struct db_args search_args(mem *ctx, const struct task_filter *f, const char *text, const char *states)
{
    struct db_arg *args = mem_array(ctx, struct db_arg, 6);
    args[0] = db_int(before_of(f));
    args[1] = db_int(f->limit > 0 ? f->limit : 0);
    args[2] = db_text(text);
    args[3] = db_text(f->repo ? f->repo : "");
    args[4] = db_text(f->agent ? f->agent : "");
    args[5] = db_text(states);
    return (struct db_args){.v = args, .n = 6};
}

static enum rc list_text(mem *ctx, struct db_conn *c, const struct task_filter *f, struct task **ret, size_t *ret_n,
                         struct err *err)
{
    DB_SQL(found, "SELECT " TASK_READ " " FOUND " ORDER BY s.rowid DESC LIMIT $2");
    DB_SQL(brief, "SELECT " TASK_READ " " SHORT NEWEST);
    DB_SQL(by_id, "SELECT " TASK_READ " " BY_ID NEWEST);
    static const char *const *const statements[SEEKS] = {&found, &brief, &by_id};
    struct sought s = sought_of(ctx, c, f->text);
    return db_all(ctx, c, statements[s.how], search_args(ctx, f, s.text, states_mark(ctx, f->state)), &task_brief_shape,
                  ret, ret_n, err);
}

enum rc task_list(mem *ctx, struct store *s, const struct task_filter *f, struct task **ret, size_t *ret_n,
                  struct err *err)
{
    const char *states[STATES_MOST];
    size_t n = 0;
    bool some = f->state && strcmp(f->state, "active") != 0;
    enum rc rc = some ? states_read(f->state, states, &n, err) : RC_OK;
    if (rc)
        return rc;
    if (f->text && *f->text && !f->brief)
        return err_set(err, RC_BUG, "Tasks that are found by their text are listed in brief.");
    DB_READER struct db_conn *c = db_reader(s->db);
    if (f->text && *f->text)
        return list_text(ctx, c, f, ret, ret_n, err);
    if (n > 1)
        return list_states(ctx, c, f, states, n, ret, ret_n, err);
    return list_one(ctx, c, f, some ? states[0] : f->state, ret, ret_n, err);
}

/* ---- counts ----
 * From the tally that is kept with the tasks (migration 0015); what is found by its text is counted as it is found. */

struct tally {
    const char *state;
    int64_t n;
};
static const struct db_column tally_columns[] = {DB_COLUMN(tally, state, DB_TEXT), DB_COLUMN(tally, n, DB_INT64)};
static const struct db_shape tally_shape = DB_SHAPE(tally, tally_columns);

static enum rc count_text(mem *ctx, struct db_conn *c, const struct task_filter *f, struct tally **ret, size_t *ret_n,
                          struct err *err)
{
#define COUNTED "SELECT t.state, count(*) "
    DB_SQL(found, COUNTED FOUND " AND $2 >= 0 GROUP BY t.state");
    DB_SQL(brief, COUNTED SHORT " AND $2 >= 0 GROUP BY t.state");
    DB_SQL(by_id, COUNTED BY_ID " AND $2 >= 0 GROUP BY t.state");
    static const char *const *const statements[SEEKS] = {&found, &brief, &by_id};
    struct sought s = sought_of(ctx, c, f->text);
    struct task_filter all = *f;
    all.before = 0;
    return db_all(ctx, c, statements[s.how], search_args(ctx, &all, s.text, ""), &tally_shape, ret, ret_n, err);
}

enum rc task_counts(mem *ctx, struct store *s, const struct task_filter *f, int64_t ret[TASK_STATES], struct err *err)
{
    DB_SQL(sql, "SELECT state, sum(n) FROM task_tally WHERE ($1 IS NULL OR repo = $1) AND ($2 IS NULL OR agent = $2)"
                " GROUP BY state");
    struct tally *rows = NULL;
    size_t n = 0;
    enum rc rc;
    DB_READER struct db_conn *c = db_reader(s->db);
    if (f->text && *f->text)
        rc = count_text(ctx, c, f, &rows, &n, err);
    else
        rc = db_all(ctx, c, &sql, DB_ARGS(db_text(f->repo), db_text(f->agent)), &tally_shape, &rows, &n, err);
    memset(ret, 0, TASK_STATES * sizeof *ret);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        for (size_t k = 0; k < TASK_STATES; k++)
            if (strcmp(rows[i].state, task_state_name(k)) == 0)
                ret[k] = rows[i].n;
    return rc;
}

enum rc task_count_waiting(struct store *s, int64_t *ret, struct err *err)
{
    DB_SQL(sql, "SELECT count(*) FROM task WHERE state IN ('needs_you', 'paused')"
                " AND (state = 'needs_you' OR reason GLOB 'limit_*')");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_one_int(c, &sql, DB_NONE, ret, err);
}
