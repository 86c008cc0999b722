/* The settings of the running server: read from the database, laid over file and environment, written down for the
 * keeper and the command line. What needs the daemon's start is as it was then in s->settings; everything else asks
 * s->live. */
#include "api/settings_line.h"
#include "base/log.h"
#include "conf/egress.h"
#include "gateway/zone.h"
#include "net/hostname.h"
#include "net/mail.h"
#include "net/tls_client.h"
#include "net/url.h"
#include "notify/notify.h"
#include "store/model.h"
#include "store/setting.h"
#include <unistd.h>

/* ---- what the register cannot know: whether a value means something ---- */

static enum rc zone_judge(mem *ctx, const struct settings *set, const char *name, struct err *err)
{
    struct zone *zone;
    return zone_open(ctx, setting_text(set, name), &zone, err);
}

static enum rc hosts_judge(mem *ctx, const struct settings *set, const char *name, struct err *err)
{
    struct str rest = str_of(setting_text(set, name)), piece;
    enum rc rc = RC_OK;
    while (rc == RC_OK && str_next(&rest, ',', &piece)) {
        struct egress_rule rule;
        if (str_trim(piece).n)
            rc = egress_rule_parse(ctx, piece, &rule, err);
    }
    return rc;
}

static enum rc blocks_judge(mem *ctx, const struct settings *set, const char *name, struct err *err)
{
    struct str rest = str_of(setting_text(set, name)), piece;
    enum rc rc = RC_OK;
    (void)ctx;
    while (rc == RC_OK && str_next(&rest, ',', &piece)) {
        struct address_block block;
        if (str_trim(piece).n)
            rc = address_block_parse(str_trim(piece), &block, err);
    }
    return rc;
}

static enum rc resolve_judge(mem *ctx, const struct settings *set, const char *name, struct err *err)
{
    struct str rest = str_of(setting_text(set, name)), piece, host;
    enum rc rc = RC_OK;
    while (rc == RC_OK && str_next(&rest, ',', &piece)) {
        struct str address = str_trim(piece);
        struct egress_rule rule;
        struct hostname numeric;
        if (!address.n)
            continue;
        if (!str_next(&address, '=', &host) || !str_trim(address).n)
            return err_set(err, RC_INVALID, "it is a list of name=address");
        rc = egress_rule_parse(ctx, str_trim(host), &rule, err);
        if (rc == RC_OK)
            rc = hostname_parse(str_trim(address), &numeric, err);
        if (rc == RC_OK && numeric.kind == HOSTNAME_DNS)
            rc = err_set(err, RC_INVALID, "%s is no address", numeric.text);
    }
    return rc;
}

static enum rc secrets_judge(mem *ctx, const struct settings *set, const char *name, struct err *err)
{
    struct egress_secret *secrets;
    size_t n;
    (void)name;
    return egress_secrets(ctx, set, &secrets, &n, err);
}

static enum rc trust_judge(mem *ctx, const struct settings *set, const char *name, struct err *err)
{
    struct tls_trust *trust;
    return tls_trust_new(ctx, setting_text(set, name), &trust, err);
}

static enum rc url_judge(mem *ctx, const struct settings *set, const char *name, struct err *err)
{
    struct url url;
    const char *text = setting_text(set, name);
    return *text ? url_parse(ctx, text, &url, err) : RC_OK;
}

static enum rc models_judge(mem *ctx, const struct settings *set, const char *name, struct err *err)
{
    struct str rest = str_of(setting_text(set, name)), piece;
    while (str_next(&rest, ',', &piece))
        if (str_trim(piece).n && !model_id_valid(str_dup(ctx, str_trim(piece))))
            return err_set(err, RC_INVALID, "a model's name has 1 to 200 printable characters without blanks");
    return RC_OK;
}

static enum rc folder_judge(mem *ctx, const struct settings *set, const char *name, struct err *err)
{
    const char *path = setting_text(set, name);
    (void)ctx;
    if (!*path || access(path, F_OK) == 0)
        return RC_OK;
    return err_set(err, RC_INVALID, "there is no %s", path);
}

static enum rc zone_or_none_judge(mem *ctx, const struct settings *set, const char *name, struct err *err)
{
    return *setting_text(set, name) ? zone_judge(ctx, set, name, err) : RC_OK;
}

static enum rc clock_judge(mem *ctx, const struct settings *set, const char *name, struct err *err)
{
    int64_t minute;
    (void)ctx;
    if (!*setting_text(set, name) || notify_clock_read(setting_text(set, name), &minute))
        return RC_OK;
    return err_set(err, RC_INVALID, "a time of the day is written as 08:00");
}

static enum rc mail_judge(mem *ctx, const struct settings *set, const char *name, struct err *err)
{
    const char *text = setting_text(set, name);
    (void)ctx;
    return !*text || mail_address_valid(text) ? RC_OK
                                              : err_set(err, RC_INVALID, "it is one address, as name@example.org");
}

static enum rc place_judge(mem *ctx, const struct settings *set, const char *name, struct err *err)
{
    struct hostname host;
    uint16_t port;
    (void)ctx;
    return *setting_text(set, name) ? hostname_parse_port(str_of(setting_text(set, name)), &host, &port, err) : RC_OK;
}

static const struct {
    const char *name;
    enum rc (*judge)(mem *ctx, const struct settings *set, const char *name, struct err *err);
} judges[] = {
    {"money.zone", zone_judge},
    {"egress.hosts", hosts_judge},
    {"egress.setup_hosts", hosts_judge},
    {"egress.tunnel", hosts_judge},
    {"egress.private", blocks_judge},
    {"egress.resolve", resolve_judge},
    {"egress.secrets", secrets_judge},
    {"egress.upstream_ca", trust_judge},
    {"model.url", url_judge},
    {"tier.a_model", models_judge},
    {"tier.b_model", models_judge},
    {"tier.c_model", models_judge},
    {"agent.folder", folder_judge},
    {"notify.private", blocks_judge},
    {"notify.digest_zone", zone_or_none_judge},
    {"notify.digest_at", clock_judge},
    {"notify.contact", mail_judge},
    {"notify.smtp_from", mail_judge},
    {"notify.smtp_server", place_judge},
    {"notify.smtp_ca", folder_judge},
};

enum rc setting_judge(const struct settings *set, const char *name, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err why = {0};
    for (size_t i = 0; i < sizeof judges / sizeof *judges; i++) {
        if (strcmp(judges[i].name, name) != 0 || judges[i].judge(tmp, set, name, &why) == RC_OK)
            continue;
        err_set(err, RC_INVALID, "%s: %s", name, why.sentence);
        if (why.hint[0])
            err_hint(err, "%s", why.hint);
        return RC_INVALID;
    }
    return RC_OK;
}

/* ---- the database's values ---- */

/* Those that the program of today takes; a stored value that does not mean anything any more must not keep the daemon
 * from working. */
static size_t stored_sound(mem *ctx, const struct settings *base, const struct setting_change *rows, size_t n,
                           struct setting_stored *ret)
{
    size_t kept = 0;
    struct settings *tried = settings_copy(ctx, base);
    for (size_t i = 0; i < n; i++) {
        struct err err = {0};
        if (!rows[i].to)
            continue;
        if (setting_set(tried, rows[i].name, rows[i].to, "database", &err) == RC_OK &&
            setting_judge(tried, rows[i].name, &err) == RC_OK)
            ret[kept++] = (struct setting_stored){rows[i].name, rows[i].to, rows[i].by, rows[i].at_ns};
        else
            log_warn("the value of %s that was set over the API does not count: %s", rows[i].name, err.sentence);
    }
    return kept;
}

enum rc settings_refresh(struct server *s, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct setting_change *rows;
    size_t n;
    uv_mutex_lock(&s->settings_lock); /* from the reading to the writing: the newest state is written last */
    enum rc rc = setting_last_changes(tmp, s->store, &rows, &n, err);
    if (rc == RC_OK) {
        struct setting_stored *stored = mem_array(tmp, struct setting_stored, n + 1);
        n = stored_sound(tmp, s->place->settings, rows, n, stored);
        settings_live_store(s->live, stored, n);
        struct err why = {0};
        s->settings_unwritten =
            settings_stored_write(settings_stored_path(tmp, s->place->data_dir), stored, n, &why) != RC_OK;
        if (s->settings_unwritten)
            log_err(&why, "the command line does not see what was set over the API");
    }
    uv_mutex_unlock(&s->settings_lock);
    return rc;
}

enum rc settings_open(struct server *s, struct err *err)
{
    uv_mutex_init(&s->settings_lock);
    s->live = settings_live_new(s->ctx, s->place->settings);
    enum rc rc = settings_refresh(s, err);
    s->settings = settings_live_take(s->ctx, s->live);
    return rc;
}

/* Loop. */
void settings_changed(struct server *s)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct settings *set = settings_live_take(tmp, s->live);
    struct egress_secret *secrets;
    size_t n;
    s->parallel = (size_t)setting_int(set, "tasks.parallel");
    if (egress_secrets(tmp, set, &secrets, &n, NULL) == RC_OK)
        for (size_t i = 0; i < n; i++)
            credentials_refer(s, mem_printf(tmp, "env:%s", secrets[i].name));
    runners_schedule(s);
}
