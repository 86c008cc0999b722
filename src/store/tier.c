/* Rows of tiers and aliases. */
#include "store/tier.h"
#include "store/model.h"
#include "store/store_private.h"

static const struct db_column columns[] = {
    DB_COLUMN(tier, name, DB_TEXT),
    DB_COLUMN(tier, mode, DB_TEXT),
    DB_COLUMN(tier, position, DB_INT64),
    DB_COLUMN(tier, model, DB_TEXT),
};
static const struct db_shape shape = DB_SHAPE(tier, columns);

static enum rc chain_check(const char *name, const char *mode, const char *const *models, size_t n, struct err *err)
{
    if (!model_id_valid(name))
        return err_set(err, RC_INVALID, "a tier's name has 1 to 200 printable characters without blanks and commas");
    if (!mode || (strcmp(mode, "normal") != 0 && strcmp(mode, "thinking") != 0))
        return err_set(err, RC_INVALID, "the mode of a tier is normal or thinking");
    if (n > TIER_CHAIN_MAX)
        return err_set(err, RC_INVALID, "a tier's chain has at most %d models", TIER_CHAIN_MAX);
    for (size_t i = 0; i < n; i++) {
        if (!model_id_valid(models[i]))
            return err_set(err, RC_INVALID, "a chain names models, at most 200 printable characters each");
        if (strcmp(models[i], name) == 0)
            return err_set(err, RC_INVALID, "the tier %s cannot stand in its own chain", name);
        for (size_t j = 0; j < i; j++)
            if (strcmp(models[i], models[j]) == 0)
                return err_set(err, RC_INVALID, "the model %s stands twice in the chain", models[i]);
    }
    return RC_OK;
}

enum rc tier_set(struct store_tx *tx, const char *name, const char *mode, const char *const *models, size_t n,
                 struct err *err)
{
    DB_SQL(sql_drop, "DELETE FROM tier WHERE name = $1 AND mode = $2");
    DB_SQL(sql_add, "INSERT INTO tier (name, mode, position, model) VALUES ($1, $2, $3, $4)");
    enum rc rc = chain_check(name, mode, models, n, err);
    if (!rc)
        rc = db_exec(tx->c, &sql_drop, DB_ARGS(db_text(name), db_text(mode)), NULL, err);
    for (size_t i = 0; !rc && i < n; i++)
        rc = db_exec(tx->c, &sql_add, DB_ARGS(db_text(name), db_text(mode), db_int((int64_t)i), db_text(models[i])),
                     NULL, err);
    return rc;
}

enum rc tier_rows(mem *ctx, struct store *s, struct tier **ret, size_t *ret_n, struct err *err)
{
    DB_SQL(sql, "SELECT name, mode, position, model FROM tier ORDER BY name, mode, position");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_NONE, &shape, ret, ret_n, err);
}
