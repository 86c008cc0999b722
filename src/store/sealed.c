/* Rows of sealed secrets: bytes by id. */
#include "store/sealed.h"
#include "store/provider.h"
#include "store/store_private.h"

#define BOX_MAX (64 << 10)

static const struct db_column columns[] = {
    DB_COLUMN(sealed, id, DB_TEXT),
    DB_COLUMN(sealed, box, DB_BYTES),
    DB_COLUMN(sealed, created_ns, DB_INT64),
    DB_COLUMN(sealed, changed_ns, DB_INT64),
};
static const struct db_shape shape = DB_SHAPE(sealed, columns);

enum rc sealed_put(struct store_tx *tx, const char *id, struct str box, int64_t now_ns, struct err *err)
{
    DB_SQL(sql, "INSERT INTO sealed (id, box, created_ns, changed_ns) VALUES ($1, $2, $3, $3)"
                " ON CONFLICT (id) DO UPDATE SET box = excluded.box, changed_ns = excluded.changed_ns");
    if (!provider_id_valid(id))
        return err_set(err, RC_INVALID, "a sealed secret is named as a provider is");
    if (!box.n || box.n > BOX_MAX)
        return err_set(err, RC_INVALID, "a sealed secret has at most %d bytes", BOX_MAX);
    return db_exec(tx->c, &sql, DB_ARGS(db_text(id), db_bytes(box), db_int(now_ns)), NULL, err);
}

enum rc sealed_list(mem *ctx, struct store *s, struct sealed **ret, size_t *ret_n, struct err *err)
{
    DB_SQL(sql, "SELECT id, box, created_ns, changed_ns FROM sealed ORDER BY id");
    DB_READER struct db_conn *c = db_reader(s->db);
    return db_all(ctx, c, &sql, DB_NONE, &shape, ret, ret_n, err);
}

enum rc sealed_remove(struct store_tx *tx, const char *id, struct err *err)
{
    DB_SQL(sql, "DELETE FROM sealed WHERE id = $1");
    return db_exec(tx->c, &sql, DB_ARGS(db_text(id)), NULL, err);
}
