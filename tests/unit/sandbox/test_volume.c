/* Contract: cache volumes outlive a sandbox, belong to one project and phase alone, and are kept within their caps,
 * used longest ago first, never while somebody uses them. */
#include "rig.h"
#include "sandbox/volume.h"
#include <sys/time.h>
#include <time.h>

static struct volumes volumes_of(const char *project, enum volume_phase phase)
{
    struct volumes v;
    struct volume_spec spec = {.dir = rig_path("cache"),
                               .project = project,
                               .phase = phase,
                               .user = phase == VOLUME_WORK ? SANDBOX_AGENT : SANDBOX_VERIFIER};
    enum rc rc = volume_open(ctx, &spec, &v, &err);
    ck_assert_msg(rc == RC_OK, "volumes: %s %s", err.sentence, err.detail);
    return v;
}

static struct sandbox *open_with(const struct volumes *v, enum sandbox_user user)
{
    struct sandbox_spec spec = {
        .user = user, .mounts = v->mounts, .mount_count = v->n, .cwd = "/tmp", .env = v->env, .label = "volume"};
    return rig_open_spec(&spec);
}

/* What the shell says in a sandbox of this project and phase. */
static void says(const char *project, enum volume_phase phase, const char *line, const char *expected)
{
    struct volumes v = volumes_of(project, phase);
    struct sandbox *sb = open_with(&v, phase == VOLUME_WORK ? SANDBOX_AGENT : SANDBOX_VERIFIER);
    rig_says(sb, line, expected);
    sandbox_close(sb, NULL);
    volume_close(&v);
}

START_TEST(they_are_one_projects_and_one_phases)
{
    if (!rig_begin(_i))
        return;
    says(
        "one", VOLUME_WORK,
        "for v in $npm_config_cache $PIP_CACHE_DIR $CARGO_HOME $CCACHE_DIR; do echo poison > $v/index; done; ls -d /cache/*",
        "/cache/cargo\n/cache/ccache\n/cache/npm\n/cache/pip\n");
    says("one", VOLUME_WORK, "cat /cache/*/index", "poison\npoison\npoison\npoison\n");
    says("two", VOLUME_WORK, "cat /cache/*/index 2>/dev/null; ls -A /cache/* | grep -v : | tr -d '\\n'", "");
    says("one", VOLUME_SETUP, "cat /cache/*/index 2>/dev/null; ls -A /cache/* | grep -v : | tr -d '\\n'", "");
    /* No way from one to the other by names. */
    says("two", VOLUME_WORK,
         "ln -s ../../../one/work/npm /cache/npm/l; cat /cache/npm/l/index 2>&1 | grep -c 'No such'", "1\n");
    says("two", VOLUME_WORK, "touch /cache/x 2>/dev/null || echo closed", "closed\n");
    rig_end();
}
END_TEST

START_TEST(odd_projects_are_refused)
{
    static const char *const odd[] = {"", ".", "..", "a/b", "/etc"};
    if (!rig_begin(_i))
        return;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        struct volumes v;
        struct volume_spec spec = {.dir = rig_path("cache"), .project = odd[i]};
        ck_assert_int_eq(volume_open(ctx, &spec, &v, &err), RC_INVALID);
    }
    rig_end();
}
END_TEST

static bool filled(const char *project)
{
    return access(mem_printf(ctx, "%s/%s/work/npm", rig_path("cache"), project), F_OK) == 0;
}

static void used_at(const char *project, time_t when)
{
    struct timeval at[2] = {{.tv_sec = when}, {.tv_sec = when}};
    ck_assert_int_eq(utimes(mem_printf(ctx, "%s/%s/work/npm.lock", rig_path("cache"), project), at), 0);
}

START_TEST(caps_hold)
{
    static const char *const fill =
        "mkdir /cache/npm/d && head -c 3M /dev/zero > /cache/npm/d/f && chmod 0 /cache/npm/d";
    struct volume_caps caps = {.each_bytes = 100 << 20, .total_bytes = 100 << 20, .unused_s = 1000};
    int64_t freed;
    if (!rig_begin(_i))
        return;
    says("old", VOLUME_WORK, fill, "");
    says("new", VOLUME_WORK, fill, "");
    says("busy", VOLUME_WORK, fill, "");
    struct volumes busy = volumes_of("busy", VOLUME_WORK);
    time_t now = time(NULL);
    used_at("old", now - 500);
    used_at("busy", now - 600);
    ck_assert_int_eq(volume_trim(rig_path("cache"), &caps, &freed, &err), RC_OK);
    ck_assert(freed == 0 && filled("old") && filled("new") && filled("busy"));
    caps.total_bytes = 7 << 20; /* three of 3 MiB: one too many, and the oldest is in use */
    enum rc rc = volume_trim(rig_path("cache"), &caps, &freed, &err);
    ck_assert_msg(rc == RC_OK, "%s %s", err.sentence, err.detail);
    ck_assert(freed >= 3 << 20 && !filled("old") && filled("new") && filled("busy"));
    volume_close(&busy);
    used_at("busy", now - 2000);
    ck_assert_int_eq(volume_trim(rig_path("cache"), &caps, &freed, &err), RC_OK);
    ck_assert(filled("new") && !filled("busy"));
    caps.each_bytes = 1 << 20;
    ck_assert_int_eq(volume_trim(rig_path("cache"), &caps, &freed, &err), RC_OK);
    ck_assert(!filled("new"));
    says("new", VOLUME_WORK, "ls /cache/npm; echo x > /cache/npm/y && echo z", "z\n");
    used_at("new", 0);
    ck_assert_int_eq(volume_trim(rig_path("cache"), &caps, &freed, &err), RC_OK);
    rig_end();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("volume");
    TCase *t = tcase_create("volume");
    tcase_set_timeout(t, 100);
    RIG(t, they_are_one_projects_and_one_phases);
    RIG(t, odd_projects_are_refused);
    RIG(t, caps_hold);
    suite_add_tcase(s, t);
    return s;
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, suite, NULL);
}
