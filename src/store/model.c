/* Rows of models. Not here: what a name means when there is no row (gateway/catalog). */
#include "store/model.h"
#include "store/provider.h"
#include "store/store_private.h"

const char *const model_ability_names[] = {"tools", "images", "reasoning", "json", NULL};
enum { NAME_MAX_BYTES = 200, TOKENS_MAX = 1000000000 };

#define COLUMNS "id, provider, upstream, context, max_output, abilities, weight, created_ns, changed_ns"
static const struct db_column columns[] = {
    DB_COLUMN(model, id, DB_TEXT),       DB_COLUMN(model, provider, DB_TEXT),    DB_COLUMN(model, upstream, DB_TEXT),
    DB_COLUMN(model, context, DB_INT64), DB_COLUMN(model, max_output, DB_INT64), DB_COLUMN(model, abilities, DB_INT64),
    DB_COLUMN(model, weight, DB_INT64),  DB_COLUMN(model, created_ns, DB_INT64), DB_COLUMN(model, changed_ns, DB_INT64),
};
static const struct db_shape shape = DB_SHAPE(model, columns);

/* A comma would split it in a list of names. */
bool model_id_valid(const char *id)
{
    size_t n = id ? strlen(id) : 0;
    for (size_t i = 0; i < n; i++)
        if (id[i] <= ' ' || id[i] > '~' || id[i] == ',' || id[i] == '"' || id[i] == '\\')
            return false;
    return n > 0 && n <= NAME_MAX_BYTES;
}

static enum rc model_check(const struct model *m, struct err *err)
{
    if (!model_id_valid(m->id) || !model_id_valid(m->upstream))
        return err_set(err, RC_INVALID,
                       "a model's name has 1 to %d printable characters without blanks, commas and quotes",
                       NAME_MAX_BYTES);
    if (!provider_id_valid(m->provider))
        return err_set(err, RC_INVALID, "the model %s names no provider", m->id);
    if (m->context < 0 || m->context > TOKENS_MAX || m->max_output < 0 || m->max_output > TOKENS_MAX)
        return err_set(err, RC_INVALID, "context and max_output of a model are numbers from 0 (unknown) to %d",
                       TOKENS_MAX);
    if (m->abilities < -1 || m->abilities > (MODEL_TOOLS | MODEL_IMAGES | MODEL_REASONING | MODEL_JSON))
        return err_set(err, RC_INVALID, "abilities of a model are some of tools, images, reasoning, json");
    if (m->weight < 1 || m->weight > 1000)
        return err_set(err, RC_INVALID, "weight of a model is a number from 1 to 1000");
    return RC_OK;
}

enum rc model_put(struct store_tx *tx, const struct model *m, struct err *err)
{
    DB_SQL(sql, "INSERT INTO model (" COLUMNS
                ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id, provider, upstream) DO UPDATE SET"
                " context = excluded.context, max_output = excluded.max_output, abilities = excluded.abilities,"
                " weight = excluded.weight, changed_ns = excluded.changed_ns");
    enum rc rc = model_check(m, err);
    return rc ? rc : db_exec(tx->c, &sql, DB_ROW(&shape, m), NULL, err);
}

enum rc model_rows(mem *ctx, struct store *s, const char *id, struct model **ret, size_t *ret_n, struct err *err)
{
    DB_SQL(sql_all, "SELECT " COLUMNS " FROM model ORDER BY id, provider, upstream");
    DB_SQL(sql_one, "SELECT " COLUMNS " FROM model WHERE id = $1 ORDER BY provider, upstream");
    DB_READER struct db_conn *c = db_reader(s->db);
    return id ? db_all(ctx, c, &sql_one, DB_ARGS(db_text(id)), &shape, ret, ret_n, err)
              : db_all(ctx, c, &sql_all, DB_NONE, &shape, ret, ret_n, err);
}

enum rc model_remove(struct store_tx *tx, const char *id, const char *provider, struct err *err)
{
    DB_SQL(sql, "DELETE FROM model WHERE id = $1 AND ($2 = '' OR provider = $2)");
    int64_t changed = 0;
    enum rc rc = db_exec(tx->c, &sql, DB_ARGS(db_text(id), db_text(provider ? provider : "")), &changed, err);
    if (rc || changed)
        return rc;
    err_set(err, RC_NOT_FOUND, "there is no such model row");
    err_hint(err, "nightmill model ls lists them");
    return RC_NOT_FOUND;
}
