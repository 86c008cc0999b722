/* The sandbox's way to the outside, where there is one: the egress proxy at a second listener of the sandbox. Which
 * hosts are behind it is decided by the server and the proxy; here stands only what a sandbox is given for it. Not
 * here: the listener's journey (link.h), policy (src/proxy/policy.h). */
#include "base/clock.h"
#include "flow/run.h"
#include "os/path.h"
#include <poll.h>

enum { CERTIFICATES_MS = 10000, CERTIFICATES_MAX = 4 << 20 };

bool run_egress_wanted(const struct run *run, enum egress_phase phase)
{
    const char *more = phase == EGRESS_SETUP ? setting_text(run->settings, "egress.setup_hosts") : "";
    struct json asked = json_get(json_get(run->spec, "egress"), egress_phase_name(phase));
    bool ignored = strcmp(setting_text(run->settings, "egress.project"), "ignore") == 0;
    return *setting_text(run->settings, "egress.hosts") || *more ||
           strcmp(setting_text(run->settings, "egress.unknown"), "ask") == 0 || (json_len(asked) > 0 && !ignored);
}

static void words_make(mem *ctx, struct run *run, enum egress_phase phase, struct run_egress *e)
{
    struct buf b;
    struct json_out o;
    struct json asked = json_get(run->spec, "egress");
    buf_init(&b, ctx, 1u << 20);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "phase", egress_phase_name(phase));
    jo_kz(&o, "project", json_z(ctx, json_get(run->spec, "repo"), ""));
    jo_kz(&o, "agent", json_z(ctx, json_path(run->spec, "agent.name"), ""));
    if (json_is(asked))
        jo_kraw(&o, "egress", json_raw(asked));
    jo_key(&o, "lent");
    jo_arr(&o);
    for (size_t i = 0; i < e->secret_count; i++) {
        jo_obj(&o);
        jo_kz(&o, "name", e->secrets[i].name);
        jo_kz(&o, "placeholder", e->placeholders[i]);
        jo_end_obj(&o);
    }
    jo_end_arr(&o);
    jo_key(&o, "canaries");
    jo_arr(&o);
    jo_z(&o, e->canary);
    jo_end_arr(&o);
    jo_end_obj(&o);
    e->words = buf_view(&b);
}

enum rc run_egress_make(mem *ctx, struct run *run, enum egress_phase phase, struct run_egress *ret, struct err *err)
{
    *ret = (struct run_egress){.canary = egress_canary_new(ctx)};
    enum rc rc = egress_secrets(ctx, run->settings, &ret->secrets, &ret->secret_count, err);
    if (rc != RC_OK)
        return rc;
    ret->placeholders = mem_array(ctx, const char *, ret->secret_count + 1);
    for (size_t i = 0; i < ret->secret_count; i++)
        ret->placeholders[i] = egress_placeholder_new(ctx);
    words_make(ctx, run, phase, ret);
    return RC_OK;
}

enum rc run_egress_certificates(mem *ctx, const struct run *run, struct str *ret_ca, struct str *ret_bundle,
                                struct err *err)
{
    const char *ca = egress_ca_path(ctx, run->place->data_dir), *bundle = egress_bundle_path(ctx, run->place->data_dir);
    struct pollfd order = {.fd = link_order_fd(run->link), .events = POLLIN};
    int64_t until = clock_mono_ms() + CERTIFICATES_MS;
    for (;;) {
        enum rc rc = path_slurp(ctx, ca, CERTIFICATES_MAX, ret_ca, err);
        if (rc == RC_OK)
            rc = path_slurp(ctx, bundle, CERTIFICATES_MAX, ret_bundle, err);
        if (rc != RC_NOT_FOUND)
            return rc;
        if (clock_mono_ms() >= until)
            return err_set(err, RC_UNAVAILABLE, "the egress proxy does not come up");
        if (poll(&order, 1, 20) > 0)
            return err_set(err, RC_CANCELLED, "there is an order");
    }
}

const char *const *run_egress_environment(mem *ctx, const struct run_egress *e, uint16_t port, const char *ca,
                                          const char *bundle)
{
    const char *const *ways =
        egress_environment(ctx, mem_printf(ctx, "http://127.0.0.1:%u", (unsigned)port), ca, bundle, NULL);
    size_t n = 0;
    while (ways[n])
        n++;
    const char **env = mem_array(ctx, const char *, n + e->secret_count + 1);
    memcpy(env, ways, n * sizeof *env);
    for (size_t i = 0; i < e->secret_count; i++)
        env[n++] = mem_printf(ctx, "%s=%s", e->secrets[i].name, e->placeholders[i]);
    return env;
}
