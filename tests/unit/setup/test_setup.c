/* Contract: what setup commands made and git ignores becomes a layer that agents and checks read and nobody writes; a
 * tree whose lock files are the base's gets the base's layer, every other tree one of its own, so that no agent puts
 * anything into a layer that another task or a verdict of other files stands on. */
#include "../sandbox/rig.h"
#include "os/proc.h"
#include "setup/setup.h"
#include <stdlib.h>
#include <time.h>

static const char *git_dir;

__attribute__((format(printf, 1, 2))) static const char *sh(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *script = mem_vprintf(ctx, fmt, ap);
    va_end(ap);
    struct proc_spec spec = {.argv = (const char *const[]){"/bin/sh", "-ec", script, NULL},
                             .env = (const char *const[]){"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/nonexistent",
                                                          "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=A",
                                                          "GIT_AUTHOR_EMAIL=a@a", "GIT_COMMITTER_NAME=A",
                                                          "GIT_COMMITTER_EMAIL=a@a", NULL},
                             .cwd = rig_dir};
    struct proc_result res;
    ck_assert_int_eq(proc_run(ctx, &spec, STR(""), 1 << 20, 60000, -1, &res, &err), RC_OK);
    ck_assert_msg(res.exit_code == 0, "%s\n%.*s", script, STR_FMT(res.err));
    return str_dup(ctx, str_trim(res.out));
}

static const char *commit(const char *script)
{
    return sh("cd r; %s; git add -A; git commit -qm x; git rev-parse HEAD", script);
}

/* A repository and its base commit; false where this machine has no such rung. */
static bool begin(int i, const char **base)
{
    if (!rig_begin(i))
        return false;
    sh("git init -q -b main r");
    *base =
        commit("printf 'node_modules/\\n.venv/\\n*.gen\\n' >.gitignore; echo 1 >package-lock.json; echo code >code.js");
    git_dir = rig_path("r/.git");
    return true;
}

static struct setup_spec spec_of(const char *base, const char *const *commands)
{
    return (struct setup_spec){.git_dir = git_dir,
                               .base = base,
                               .commands = commands,
                               .layers = rig_path("layers/project"),
                               .work_dir = rig_path("scratch"),
                               .timeout_s = 60,
                               .start_deadline_ms = START_MS,
                               .cancel_fd = -1};
}

static struct setup_layer layer_of(const struct setup_spec *spec, const char *tree)
{
    struct setup_layer l;
    enum rc rc = setup_layer(ctx, spec, tree, &l, &err);
    ck_assert_msg(rc == RC_OK, "%s: %s | %s", rc_name(rc), err.sentence, err.detail);
    return l;
}

/* What the agent's shell says with the layer over a workspace. */
static void says(const struct setup_layer *l, enum sandbox_user user, const char *line, const char *expected)
{
    struct sandbox_mount mounts[1 + SETUP_ROOTS] = {{rig_path("work"), "/workspace", true}};
    ck_assert_int_eq(sandbox_give(rig_path("work"), user, &err), RC_OK);
    size_t n = 1;
    while (n <= l->n) {
        mounts[n] = l->mounts[n - 1];
        n++;
    }
    struct sandbox_spec s = {.user = user, .mounts = mounts, .mount_count = n, .cwd = "/workspace", .label = "setup"};
    struct sandbox *sb = rig_open_spec(&s);
    rig_says(sb, line, expected);
    sandbox_close(sb, NULL);
    ck_assert_int_eq(sandbox_take(rig_path("work"), &err), RC_OK);
}

START_TEST(made_once_and_read_only)
{
    static const char *const commands[] = {
        "mkdir -p node_modules/.bin web/node_modules && echo dep >node_modules/dep && cp /bin/true node_modules/.bin/run",
        "echo two >web/node_modules/two; chmod 600 node_modules/dep; chmod 700 node_modules; cp package-lock.json x.gen",
        "echo stray >stray; echo changed >>code.js; mkdir -p p/__pycache__; touch p/__pycache__/x.pyc; chmod 0 node_modules/.bin",
        NULL};
    const char *base;
    if (!begin(_i, &base))
        return;
    struct setup_spec spec = spec_of(base, commands);
    struct setup_layer l = layer_of(&spec, base);
    ck_assert_msg(!l.failed && l.fresh && l.n == 3, "%s %d %zu %s", l.words ? l.words : "", l.fresh, l.n, l.notes);
    ck_assert_str_eq(l.mounts[0].target, "/workspace/node_modules");
    ck_assert(strstr(l.notes, "does not ignore it: stray") && strstr(l.notes, "put back: code.js"));
    for (int user = 0; user < 2; user++)
        says(&l, user ? SANDBOX_VERIFIER : SANDBOX_AGENT,
             "cat node_modules/dep web/node_modules/two x.gen; node_modules/.bin/run && echo ran; "
             "(echo x >node_modules/dep; touch node_modules/new; rm -rf node_modules; rm x.gen; mv web/node_modules y; "
             "chmod 777 node_modules/dep) 2>/dev/null; cat node_modules/dep; ls stray p 2>/dev/null; true",
             "dep\ntwo\n1\nran\ndep\n");
    ck_assert(access(rig_path("scratch/setup"), F_OK) < 0);
    struct setup_layer again = layer_of(&spec, base);
    ck_assert(!again.fresh && again.n == 3);
    ck_assert_str_eq(again.key, l.key);
    rig_end();
}
END_TEST

START_TEST(keys_follow_lock_files)
{
    static const char *const commands[] = {"mkdir -p node_modules; cat package-lock.json *.js >node_modules/dep", NULL};
    const char *base;
    if (!begin(_i, &base))
        return;
    struct setup_spec spec = spec_of(base, commands);
    struct setup_layer of_base = layer_of(&spec, base);
    /* Other code, the same lock: the base's, made of the base's files. */
    const char *code = commit("echo evil >code.js");
    struct setup_layer same = layer_of(&spec, code);
    ck_assert_str_eq(same.key, of_base.key);
    says(&same, SANDBOX_AGENT, "cat node_modules/dep", "1\ncode\n");
    /* Another lock: its own. */
    const char *locked = commit("echo 2 >package-lock.json");
    struct setup_layer own = layer_of(&spec, locked);
    ck_assert_str_ne(own.key, of_base.key);
    says(&own, SANDBOX_AGENT, "cat node_modules/dep", "2\nevil\n");
    /* The same lock and other code than that one: not that one's, which an agent's files have made. */
    const char *third = commit("echo good >code.js");
    struct setup_layer other = layer_of(&spec, third);
    ck_assert_str_ne(other.key, own.key);
    says(&other, SANDBOX_AGENT, "cat node_modules/dep", "2\ngood\n");
    /* A task that begins at that commit has a layer of the base's kind, with a third key. */
    spec.base = third;
    struct setup_layer next = layer_of(&spec, third);
    ck_assert(next.fresh);
    ck_assert_str_ne(next.key, other.key);
    /* A tree that brings files of its own where the layer would be keeps them. */
    spec.base = base;
    const char *brought = commit(
        "git checkout -q HEAD~3 -- .; mkdir node_modules; echo mine >node_modules/mine; git add -f node_modules");
    struct setup_layer mixed = layer_of(&spec, brought);
    ck_assert_str_ne(mixed.key, of_base.key);
    for (size_t i = 0; i < mixed.n; i++)
        ck_assert_str_ne(mixed.mounts[i].target, "/workspace/node_modules");
    rig_end();
}
END_TEST

START_TEST(other_commands_other_layer)
{
    static const char *const one[] = {"mkdir node_modules", NULL}, *const two[] = {"mkdir node_modules", "true", NULL},
                             *const reads[] = {"mkdir node_modules; cat code.js", NULL};
    const char *base;
    if (!begin(_i, &base))
        return;
    struct setup_spec a = spec_of(base, one), b = spec_of(base, two), c = spec_of(base, reads);
    struct setup_layer first = layer_of(&a, base);
    ck_assert_str_ne(first.key, layer_of(&b, base).key);
    struct setup_layer named = layer_of(&c, base);
    const char *code = commit("echo other >code.js");
    ck_assert_str_eq(layer_of(&a, code).key, first.key);
    ck_assert_str_ne(layer_of(&c, code).key, named.key); /* the command names the file */
    rig_end();
}
END_TEST

START_TEST(failures_are_told)
{
    static const struct {
        const char *command, *words;
        int exit_code;
    } cases[] = {
        {"echo oops; exit 3", "ended with exit status 3", 3},
        {"kill -9 $$", "signal 9", -1},
        {"sleep 30", "did not end within", -1},
        {"python3 -c 'import socket; socket.create_connection((\"example.org\", 80))'", "needs? the network", 1},
        {"no-such-program", "exit status 127", 127},
        {"mkdir node_modules; head -c 40M /dev/zero >node_modules/big; sleep 20", "filled the disk", -1},
    };
    const char *base;
    if (!begin(_i, &base))
        return;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const commands[] = {"mkdir -p node_modules", cases[i].command, "touch never", NULL};
        struct setup_spec spec = spec_of(base, commands);
        spec.timeout_s = strstr(cases[i].words, "within") ? 1 : 60;
        spec.limits.disk_bytes = 20 << 20;
        struct setup_layer l = layer_of(&spec, base);
        const char *words = cases[i].words[5] == '?' ? "seems to need the network" : cases[i].words;
        ck_assert_msg(l.failed && l.n == 0 && l.exit_code == cases[i].exit_code && strstr(l.words, words), "%s: %s, %d",
                      cases[i].command, l.words ? l.words : "fine", l.exit_code);
        ck_assert_str_eq(l.command, cases[i].command);
        ck_assert_msg(i > 0 || str_eqz(l.output, "oops\n"), "%.*s", STR_FMT(l.output));
        struct setup_layer again = layer_of(&spec, base);
        ck_assert_msg(i > 0 || again.failed, "a failure was kept as a layer");
        if (i == 0)
            ck_assert_int_eq(atoi(sh("ls layers/project | grep -vc lock || true")), 0);
    }
    rig_end();
}
END_TEST

START_TEST(nothing_in_the_way_is_followed)
{
    static const char *const commands[] = {
        "mkdir -p node_modules a/.venv; echo dep >node_modules/dep; echo v >a/.venv/v; ln -s /etc link.gen", NULL};
    const char *base;
    if (!begin(_i, &base))
        return;
    struct setup_spec spec = spec_of(base, commands);
    struct setup_layer l = layer_of(&spec, base);
    ck_assert_uint_eq(l.n, 2); /* a link is no place to mount */
    sh("ln -s /etc work/a; echo file >work/node_modules");
    says(&l, SANDBOX_AGENT, "cat node_modules; ls -d a/.venv 2>/dev/null; true", "file\n");
    sh("rm work/a work/node_modules; mkdir -p work/node_modules; echo x >work/node_modules/mine");
    says(&l, SANDBOX_AGENT, "cat node_modules/* a/.venv/v", "dep\nv\n");
    rig_end();
}
END_TEST

START_TEST(layers_go_when_nobody_uses_them)
{
    static const char *const commands[] = {"mkdir node_modules; echo x >node_modules/x; chmod 555 node_modules", NULL};
    const char *base;
    int64_t n;
    if (!begin(_i, &base))
        return;
    struct setup_spec spec = spec_of(base, commands);
    struct setup_layer l = layer_of(&spec, base);
    int64_t now = time(NULL);
    ck_assert_int_eq(setup_trim(rig_path("layers"), now, 100, &n, &err), RC_OK);
    ck_assert_int_eq(n, 0);
    sh("mkdir layers/project/other; touch layers/project/file");
    ck_assert_int_eq(setup_trim(rig_path("layers"), now + 1000, 100, &n, &err), RC_OK);
    ck_assert_int_eq(n, 1);
    ck_assert(access(mem_printf(ctx, "%s/layers/project/%s", rig_dir, l.key), F_OK) < 0);
    ck_assert(layer_of(&spec, base).fresh);
    ck_assert_int_eq(setup_trim(rig_path("nowhere"), now, 100, &n, &err), RC_OK);
    rig_end();
}
END_TEST

START_TEST(cache_is_the_bases_alone)
{
    static const char *const commands[] = {
        "mkdir node_modules; if test -d /cache/npm; then cat /cache/npm/n >node_modules/n; echo x >>/cache/npm/n; else echo none >node_modules/n; fi; true",
        NULL};
    const char *base;
    if (!begin(_i, &base))
        return;
    struct volume_spec volumes = {
        .dir = rig_path("cache"), .project = "p", .phase = VOLUME_SETUP, .user = SANDBOX_VERIFIER};
    struct setup_spec spec = spec_of(base, commands);
    spec.volumes = &volumes;
    struct setup_layer l = layer_of(&spec, base);
    says(&l, SANDBOX_AGENT, "cat node_modules/n", "");
    const char *next = commit("echo 2 >package-lock.json");
    struct setup_layer own = layer_of(&spec, next);
    says(&own, SANDBOX_AGENT, "cat node_modules/n", "none\n");
    spec.base = next;
    struct setup_layer later = layer_of(&spec, next);
    says(&later, SANDBOX_AGENT, "cat node_modules/n", "x\n");
    rig_end();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("setup");
    TCase *t = tcase_create("setup");
    tcase_set_timeout(t, 200);
    RIG(t, made_once_and_read_only);
    RIG(t, keys_follow_lock_files);
    RIG(t, other_commands_other_layer);
    RIG(t, failures_are_told);
    RIG(t, nothing_in_the_way_is_followed);
    RIG(t, layers_go_when_nobody_uses_them);
    RIG(t, cache_is_the_bases_alone);
    suite_add_tcase(s, t);
    return s;
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, suite, NULL);
}
