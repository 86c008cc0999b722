/* The sandbox's way to the outside, where there is one: the egress proxy at a second listener of the sandbox. Which
 * hosts are behind it is decided by the server and the proxy; here stands only what a sandbox is given for it. Not
 * here: the listener's journey (link.h), policy (src/proxy/policy.h). */
#include "base/clock.h"
#include "flow/run.h"
#include "os/path.h"
#include <errno.h>
#include <poll.h>
#include <sys/stat.h>

enum {
    CERTIFICATES_MS = 10000,
    CERTIFICATES_MAX = 4 << 20,
    LISTEN_MS = 30000,
    LEAVE_MS = 5000,
    SETUP_PORT = 18099, /* of 127.0.0.1 inside */
};
#define SETUP_FOLDER "/run/egress" /* inside: the certificates */

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

/* ---- of setup commands ---- */

/* Their sandbox is open: hands its listener over, and puts the certificates where it sees them. */
static enum rc setup_opened(void *arg, struct sandbox *sb, struct err *err)
{
    struct run *run = arg;
    CLEANUP_MEM mem *tmp = mem_root();
    CLEANUP_FD int root = -1;
    struct str ca, bundle;
    struct link_listen listen = {
        .gateway = -1, .proxy = sandbox_listener(sb, 0), .iteration = run->iteration, .egress = run->way.words};
    run_egress_leave(run); /* of the layer before */
    enum rc rc = link_listen(run->link, &listen, LISTEN_MS, err);
    run->way_open = rc == RC_OK;
    if (rc == RC_OK)
        rc = run_egress_certificates(tmp, run, &ca, &bundle, err);
    if (rc == RC_OK)
        rc = path_open_root(run->way_dir, &root, err);
    if (rc == RC_OK)
        rc = path_write(root, "ca.pem", ca, 0644, (uid_t)-1, (gid_t)-1, err);
    return rc == RC_OK ? path_write(root, "bundle.pem", bundle, 0644, (uid_t)-1, (gid_t)-1, err) : rc;
}

enum rc run_egress_setup(mem *ctx, struct run *run, struct setup_spec *spec, struct err *err)
{
    static const uint16_t ports[] = {SETUP_PORT};
    if (!run_egress_wanted(run, EGRESS_SETUP))
        return RC_OK;
    if (!run->way_dir) { /* once: a later layer finds the same variables */
        enum rc rc = run_egress_make(run->ctx, run, EGRESS_SETUP, &run->way, err);
        if (rc != RC_OK)
            return rc;
        run->way_dir = mem_printf(run->ctx, "%s/egress", run->task_dir);
    }
    if (mkdir(run->way_dir, 0755) < 0 && errno != EEXIST)
        return err_sys(err, errno, "could not make the folder %s", run->way_dir);
    struct sandbox_mount *mount = mem_new(ctx, struct sandbox_mount);
    *mount = (struct sandbox_mount){.source = run->way_dir, .target = SETUP_FOLDER};
    spec->mounts = mount;
    spec->mount_count = 1;
    spec->env = run_egress_environment(ctx, &run->way, SETUP_PORT, SETUP_FOLDER "/ca.pem", SETUP_FOLDER "/bundle.pem");
    spec->listen = ports;
    spec->listen_count = 1;
    spec->on_open = setup_opened;
    return RC_OK;
}

void run_egress_leave(struct run *run)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct link_listened ignored;
    if (run->way_open)
        link_unlisten(run->link, tmp, LEAVE_MS, &ignored);
    run->way_open = false;
}
