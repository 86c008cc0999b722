/* Starting a trial. */
#include "cli/race.h"
#include "base/text.h"

/* A model's name may hold colons, an agent's may not. */
static enum rc attempt_read(struct race *r, struct str piece, struct prepare_wish *wish, struct err *err)
{
    mem *ctx = r->cli->ctx;
    struct str rest = str_trim(piece), name;
    if (!str_next(&rest, ':', &name) || !name.n) {
        err_set(err, RC_INVALID, "--race has an empty name");
        return err_hint(err, "such as --race codex,claude,builtin or --race builtin:MODEL,builtin:OTHER");
    }
    bool model = name.n < str_trim(piece).n;
    if (model && !rest.n)
        return err_set(err, RC_INVALID, "--race names no model after \"%s:\"", text_terminal_line(ctx, name, 64));
    wish->agent = str_eqz(name, "native") ? "builtin" : str_dup(ctx, name);
    wish->model = model ? str_dup(ctx, rest) : NULL;
    return RC_OK;
}

enum rc race_prepare(struct race *r, const char *list, const struct prepare_wish *wish, struct err *err)
{
    struct str rest = str_of(list), piece;
    while (str_next(&rest, ',', &piece)) {
        struct prepare_wish own = *wish;
        struct str spec;
        if (r->n == RACE_MOST)
            return err_set(err, RC_LIMIT, "a trial has at most %d attempts", RACE_MOST);
        enum rc rc = attempt_read(r, piece, &own, err);
        if (!rc)
            rc = prepare_task(r->cli->ctx, r->cli->settings, &own, &spec, err);
        if (!rc)
            rc = json_parse(r->cli->ctx, spec, &r->specs[r->n++], err);
        if (rc)
            return rc;
    }
    if (r->n >= 2)
        return RC_OK;
    err_set(err, RC_INVALID, "a race has at least two attempts");
    return err_hint(err, "such as --race codex,claude,builtin or --race builtin:MODEL,builtin:OTHER");
}

enum rc race_post(struct race *r, bool best, struct json *ret_trial, struct err *err)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, r->cli->ctx, 64 << 20);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "rule", best ? "cheapest" : "first");
    jo_key(&o, "attempts");
    jo_arr(&o);
    for (size_t i = 0; i < r->n; i++)
        jo_raw(&o, json_raw(r->specs[i]));
    jo_end_arr(&o);
    jo_end_obj(&o);
    return cli_ask(r->cli, "POST", "/api/v1/trials", buf_view(&b), ret_trial, err);
}
