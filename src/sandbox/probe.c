/* What this machine offers for sandboxes: tried, not guessed. */
#include "base/log.h"
#include "os/path.h"
#include "os/proc.h"
#include "sandbox/room.h"
#include <errno.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    TRIAL_DEADLINE_MS = 5000,
    VERSION_DEADLINE_MS = 3000,
    DISABLE_USERNS_SINCE = 8, /* bubblewrap 0.8 */
};

static struct {
    bool done, groups_done;
    mem *ctx;
    struct room_way way, plain;
    struct sandbox_probe result;
} probe;

/* ---- evidence ---- */

static int64_t number_in(const char *file, int64_t otherwise)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct str text;
    int64_t value;
    return path_slurp(tmp, file, 64, &text, NULL) == RC_OK && str_int(str_trim(text), 0, INT64_MAX, &value) ? value
                                                                                                            : otherwise;
}

/* Settings of the kernel that forbid user namespaces, with the line that lifts each. */
static const struct {
    const char *file;
    int64_t bad;
    const char *sentence, *hint;
} obstacles[] = {
    {"/proc/sys/user/max_user_namespaces", 0, "user.max_user_namespaces is 0",
     "sudo sysctl -w user.max_user_namespaces=15000   (and the same line in /etc/sysctl.d/90-nightmill.conf)"},
    {"/proc/sys/kernel/unprivileged_userns_clone", 0, "kernel.unprivileged_userns_clone is 0",
     "sudo sysctl -w kernel.unprivileged_userns_clone=1   (and the same line in /etc/sysctl.d/90-nightmill.conf)"},
    {"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", 1,
     "AppArmor keeps bubblewrap from user namespaces (kernel.apparmor_restrict_unprivileged_userns is 1)",
     "printf 'abi <abi/4.0>,\\nprofile bwrap /usr/bin/bwrap flags=(unconfined) {\\n  userns,\\n}\\n' | sudo tee "
     "/etc/apparmor.d/bwrap && sudo apparmor_parser -r /etc/apparmor.d/bwrap"},
};

/* After a trial has failed: the likeliest reason in place of what bubblewrap said, which stays as the detail. */
static void explain(struct err *err)
{
    char said[sizeof err->detail];
    snprintf(said, sizeof said, "%s", err->detail[0] ? err->detail : err->sentence);
    for (size_t i = 0; i < sizeof obstacles / sizeof obstacles[0]; i++)
        if (number_in(obstacles[i].file, !obstacles[i].bad) == obstacles[i].bad) {
            err_set(err, RC_UNAVAILABLE, "This machine does not let a sandbox start: %s", obstacles[i].sentence);
            err_detail(err, "%s", said);
            err_hint(err, "%s", obstacles[i].hint);
            return;
        }
    if (strstr(said, "proc") && strstr(said, "not permitted"))
        err_hint(err, "In a container, /proc must not be masked: docker run --security-opt seccomp=unconfined "
                      "--security-opt apparmor=unconfined --security-opt systempaths=unconfined ...");
    else if (!err->hint[0])
        err_hint(err, "Try by hand: bwrap --unshare-all --ro-bind / / true");
    if (err->rc != RC_TIMEOUT)
        err->rc = RC_UNAVAILABLE;
}

static bool has_capability(int number)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    return syscall(SYS_capget, &head, data) == 0 && (data[number / 32].effective >> (number % 32) & 1);
}

/* ---- bubblewrap ---- */

static enum rc bwrap_find(struct err *err)
{
    static const char *const places[] = {"/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (access(places[i], X_OK) == 0) {
            probe.way.bwrap = places[i];
            return RC_OK;
        }
    err_set(err, RC_UNAVAILABLE, "bubblewrap is not installed");
    err_detail(err, "There is no bwrap in /usr/bin, /usr/local/bin or /bin.");
    return err_hint(err, "sudo apt-get install bubblewrap");
}

static enum rc bwrap_version(struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *argv[] = {probe.way.bwrap, "--version", NULL};
    struct proc_spec spec = {.argv = argv, .new_session = true, .die_with_parent = true};
    struct proc_result out;
    enum rc rc = proc_run(tmp, &spec, (struct str){0}, 256, VERSION_DEADLINE_MS, -1, &out, err);
    if (rc != RC_OK)
        return rc;
    struct str words = str_trim(out.out), name, first;
    int64_t major = 0, minor = 0;
    if (out.exit_code != 0 || !str_next(&words, ' ', &name) || words.n == 0) {
        err_set(err, RC_UNAVAILABLE, "%s does not say its version", probe.way.bwrap);
        return err_hint(err, "sudo apt-get install --reinstall bubblewrap");
    }
    snprintf(probe.result.bwrap_version, sizeof probe.result.bwrap_version, "%.*s", STR_FMT(words));
    if (str_next(&words, '.', &first))
        (void)str_int(first, 0, 1000, &major);
    if (str_next(&words, '.', &first))
        (void)str_int(first, 0, 1000, &minor);
    probe.way.disable_userns = major > 0 || minor >= DISABLE_USERNS_SINCE;
    return RC_OK;
}

/* ---- rungs ---- */

static enum rc real_possible(struct err *err)
{
    if (geteuid() != 0)
        err_set(err, RC_UNAVAILABLE, "The daemon does not run as root");
    else if (!has_capability(CAP_SETUID) || !has_capability(CAP_SETGID) || !has_capability(CAP_SYS_ADMIN) ||
             !has_capability(CAP_CHOWN))
        err_set(err, RC_UNAVAILABLE, "The daemon runs as root but may not change users or mount");
    else
        return RC_OK;
    return err_hint(err, "Run the daemon as root: each role then has a real user of its own.");
}

static enum rc sub_possible(struct err *err)
{
    if (geteuid() == 0)
        return err_set(err, RC_UNAVAILABLE, "Subordinate ids are for daemons that are not root");
    return idmap_find(&probe.way.map, err);
}

/* Root without a user of its own inside would own files of the machine there (under /proc): refused. */
static enum rc same_possible(struct err *err)
{
    return geteuid() == 0 ? err_set(err, RC_UNAVAILABLE, "A sandbox must not run as root's own user") : RC_OK;
}

static const struct {
    enum sandbox_rung rung;
    enum rc (*possible)(struct err *err);
} rungs[] = {{RUNG_REAL_UID, real_possible}, {RUNG_SUB_UID, sub_possible}, {RUNG_NAMESPACE_UID, same_possible}};

static enum rc trial(struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct sandbox_spec spec = {.user = SANDBOX_AGENT, .label = "probe"};
    struct sandbox *sb;
    const char *argv[] = {"/bin/sh", "-c", "exit 7", NULL};
    struct sandbox_command cmd = {
        .argv = argv, .timeout_ms = TRIAL_DEADLINE_MS, .cancel_fd = -1, .out_fd = -1, .keep = 200};
    struct sandbox_result ret;
    enum rc rc = room_open(tmp, &probe.way, &spec, TRIAL_DEADLINE_MS, &sb, err);
    if (rc != RC_OK)
        return rc;
    rc = sandbox_run(tmp, sb, &cmd, &ret, err);
    if (rc == RC_OK && ret.exit_code != 7) {
        rc = err_set(err, RC_UNAVAILABLE, "A command in a sandbox did not end as it should (%d)", ret.exit_code);
        err_detail(err, "%.*s", STR_FMT(ret.err));
    }
    sandbox_close(sb, NULL);
    return rc;
}

/* --disable-userns is a third wall: machines where it does not work do without. Where bubblewrap may not make a user
 * namespace, root makes it. The first failure is the one that is told. */
static enum rc trial_any(struct err *err)
{
    struct err later;
    enum rc rc = trial(err);
    if (rc != RC_OK && probe.way.disable_userns) {
        probe.way.disable_userns = false;
        rc = trial(&later);
    }
    if (rc != RC_OK && probe.way.rung == RUNG_REAL_UID) {
        probe.way.own_userns = true;
        rc = trial(&later);
        probe.way.own_userns = rc == RC_OK;
    }
    return rc;
}

static void words_set(void)
{
    struct sandbox_probe *r = &probe.result;
    uid_t agent, verifier;
    gid_t gid;
    probe.done = true; /* sandbox_owner asks for the way */
    sandbox_owner(SANDBOX_AGENT, &agent, &gid);
    sandbox_owner(SANDBOX_VERIFIER, &verifier, &gid);
    if (r->rung == RUNG_REAL_UID)
        snprintf(r->rung_words, sizeof r->rung_words, "real uid %u/%u per role", (unsigned)agent, (unsigned)verifier);
    else if (r->rung == RUNG_SUB_UID)
        snprintf(r->rung_words, sizeof r->rung_words, "subordinate uid %u/%u per role", (unsigned)agent,
                 (unsigned)verifier);
    else
        snprintf(r->rung_words, sizeof r->rung_words, "namespace uid only: outside, both roles are user %u",
                 (unsigned)geteuid());
}

/* The reasons that kept higher rungs away, nearest last, become the way to the next one. */
static void rungs_try(void)
{
    struct sandbox_probe *r = &probe.result;
    struct err nearest = {0}, failed = {0};
    for (size_t i = 0; i < sizeof rungs / sizeof rungs[0] && !r->works; i++) {
        struct err err = {0};
        bool disable_userns = probe.way.disable_userns;
        probe.way.rung = rungs[i].rung;
        if (rungs[i].possible(&err) != RC_OK) {
            if (rungs[i].rung != RUNG_SUB_UID || geteuid() != 0)
                nearest = err;
            continue;
        }
        if (trial_any(&err) == RC_OK) {
            r->works = true;
            r->rung = rungs[i].rung;
            continue;
        }
        explain(&err);
        nearest = failed = err;
        probe.way.disable_userns = disable_userns;
    }
    if (!r->works) {
        r->problem = failed.sentence[0] ? failed : nearest;
        return;
    }
    words_set();
    if (nearest.sentence[0])
        snprintf(r->next_rung, sizeof r->next_rung, "%.200s%s%.200s", nearest.sentence, nearest.hint[0] ? ": " : "",
                 nearest.hint);
}

static void groups_look(void)
{
    if (probe.groups_done)
        return;
    probe.groups_done = true;
    probe.ctx = mem_root();
    cgroup_place_find(probe.ctx, "/proc/self", &probe.plain.place);
    probe.way.place = probe.plain.place;
    if (probe.plain.place.kind == CGROUP_NONE)
        probe.ctx = mem_free(probe.ctx);
    cgroup_sweep(&probe.plain.place);
}

const struct sandbox_probe *sandbox_probe(void)
{
    struct sandbox_probe *r = &probe.result;
    if (probe.done)
        return r;
    groups_look();
    if (probe.plain.place.kind == CGROUP_NONE)
        snprintf(r->limits_words, sizeof r->limits_words, "rlimits, memory watched from inside (%.90s)",
                 probe.plain.place.why);
    else
        snprintf(r->limits_words, sizeof r->limits_words, "%s", probe.plain.place.words);
    if (bwrap_find(&r->problem) == RC_OK && bwrap_version(&r->problem) == RC_OK)
        rungs_try();
    probe.done = true;
    return r;
}

enum rc room_way(bool without, const struct room_way **ret, struct err *err)
{
    if (without) {
        groups_look();
        *ret = &probe.plain;
        return RC_OK;
    }
    const struct sandbox_probe *r = sandbox_probe();
    *ret = &probe.way;
    if (!r->works && err)
        *err = r->problem;
    return r->works ? RC_OK : r->problem.rc != RC_OK ? r->problem.rc : RC_UNAVAILABLE;
}
