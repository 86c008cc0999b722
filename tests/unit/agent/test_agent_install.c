/* Contract of finding and installing programs, with an npm of our own: the pinned version appears at once or not at
 * all, what was there stays when it fails, install scripts are not asked for, keys of the environment do not reach npm,
 * and nothing wider than a folder of programs is ever mounted. */
#include "agent/install.h"
#include "os/path.h"
#include <check.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static mem *ctx;
static char dir[] = "/tmp/nightmill-install-XXXXXX";
static const char *data, *bin, *path;

static const char *at(const char *below)
{
    return mem_printf(ctx, "%s/%s", dir, below);
}

static void put(const char *file, const char *text, mode_t mode)
{
    const char *slash = strrchr(file, '/');
    ck_assert_int_eq(path_mkdirs(mem_strn(ctx, file, (size_t)(slash - file)), 0755, NULL), RC_OK);
    ck_assert_int_eq(path_write_durable(file, str_of(text), mode, NULL), RC_OK);
    ck_assert_int_eq(chmod(file, mode), 0);
}

static void set_up(void)
{
    ctx = mem_root();
    strcpy(dir + strlen(dir) - 6, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    data = at("data");
    bin = at("bin");
    path = mem_printf(ctx, "%s:/usr/bin:/bin", bin);
    ck_assert_int_eq(path_mkdirs(data, 0755, NULL), RC_OK);
    ck_assert_int_eq(path_mkdirs(bin, 0755, NULL), RC_OK);
}

static void tear_down(void)
{
    ck_assert_int_eq(path_remove_tree(dir, NULL), RC_OK);
    ctx = mem_free(ctx);
}

/* An npm that lays down what `after` does in its folder; it notes its arguments and environment. */
static void npm_make(const char *after)
{
    const char *script = mem_printf(ctx,
                                    "#!/bin/sh\necho \"$@\" > %s/args\nenv > %s/env\ncp package.json %s/manifest\n"
                                    "echo 'npm http fetch GET 200 something' >&2\n%s\n",
                                    dir, dir, dir, after);
    put(mem_printf(ctx, "%s/npm", bin), script, 0755);
}

#define PI "node_modules/@earendil-works/pi-coding-agent"
static const char *pi_made(const char *version)
{
    return mem_printf(ctx,
                      "mkdir -p " PI " node_modules/.bin\necho '{\"version\":\"%s\"}' > " PI "/package.json\n"
                      "printf '#!/bin/sh\\necho pi version v%s\\n' > " PI "/cli.js\nchmod 755 " PI "/cli.js\n"
                      "ln -s ../@earendil-works/pi-coding-agent/cli.js node_modules/.bin/pi",
                      version, version);
}

static enum rc install(const char *name, struct err *err)
{
    return install_package(ctx, data, path, backend_find(name), -1, NULL, NULL, err);
}

static struct install_place find(const char *name, const char *where)
{
    struct install_place p;
    ck_assert_int_eq(install_find(ctx, data, where, backend_find(name), &p, NULL), RC_OK);
    return p;
}

static const char *text_of(const char *below)
{
    struct str text;
    ck_assert_int_eq(path_slurp(ctx, at(below), 1 << 20, &text, NULL), RC_OK);
    return str_dup(ctx, text);
}

START_TEST(test_install)
{
    struct err err = {0};
    npm_make(pi_made("0.74.2"));
    setenv("ANTHROPIC_API_KEY", "sk-secret", 1);
    setenv("npm_config_registry", "http://127.0.0.1:9/", 1);
    ck_assert_msg(install("pi", &err) == RC_OK, "%s %s", err.sentence, err.detail);
    struct install_place p = find("pi", path);
    ck_assert_str_eq(p.origin, "installed");
    ck_assert_str_eq(p.version, "0.74.2");
    ck_assert_str_eq(p.outside, at("data/agents/pi/node_modules/.bin/pi"));
    ck_assert_str_eq(p.program, "/opt/agents/pi/node_modules/.bin/pi");
    ck_assert_uint_eq(p.mount_count, 1);
    ck_assert(!p.mounts[0].writable);
    ck_assert_ptr_nonnull(strstr(text_of("args"), "--ignore-scripts"));
    ck_assert_ptr_nonnull(strstr(text_of("manifest"), "\"@earendil-works/pi-coding-agent\":\"0.74.2\""));
    ck_assert_ptr_null(strstr(text_of("env"), "sk-secret"));
    ck_assert_ptr_nonnull(strstr(text_of("env"), "npm_config_registry=http://127.0.0.1:9/"));
    /* Again: in the place of the old one, nothing is left beside it. */
    ck_assert_int_eq(install("pi", &err), RC_OK);
    ck_assert_int_ne(access(at("data/agents/.pi.new"), F_OK), 0);
}
END_TEST

START_TEST(test_install_fails)
{
    struct err err = {0};
    npm_make(pi_made("0.74.2"));
    ck_assert_int_eq(install("pi", &err), RC_OK);
    npm_make("echo 'npm error code E404' >&2\necho 'npm error 404 \\033[31mnothing there' >&2\nexit 1");
    ck_assert_int_eq(install("pi", &err), RC_UPSTREAM);
    ck_assert_msg(strstr(err.detail, "nothing there"), "%s", err.detail);
    ck_assert_ptr_null(strchr(err.detail, '\033'));
    npm_make("mkdir node_modules"); /* npm is content, the program is not there */
    ck_assert_int_eq(install("pi", &err), RC_UPSTREAM);
    npm_make(pi_made("9.9.9"));
    ck_assert_int_eq(install("pi", &err), RC_UPSTREAM);
    ck_assert_str_eq(find("pi", NULL).version, "0.74.2");
    ck_assert_int_ne(access(at("data/agents/.pi.new"), F_OK), 0);
    ck_assert_int_eq(unlink(mem_printf(ctx, "%s/npm", bin)), 0);
    ck_assert_int_eq(install_package(ctx, data, bin, backend_find("pi"), -1, NULL, NULL, &err), RC_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(err.hint, "npm"));
    ck_assert_int_eq(install("aider", &err), RC_INVALID);
    ck_assert_ptr_nonnull(strstr(err.hint, "pipx"));
}
END_TEST

START_TEST(test_install_cancelled)
{
    int fds[2];
    struct err err = {0};
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    npm_make("sleep 1000");
    ck_assert_int_eq(install_package(ctx, data, path, backend_find("pi"), fds[0], NULL, NULL, &err), RC_CANCELLED);
    ck_assert_int_ne(access(at("data/agents/.pi.new"), F_OK), 0);
    ck_assert_ptr_null(find("pi", NULL).origin);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

/* A machine whose Node.js is too old gets a newer one beside the package, and that one is used. */
START_TEST(test_install_with_node)
{
    struct err err = {0};
    put(mem_printf(ctx, "%s/node", bin), "#!/bin/sh\necho v18.19.0\n", 0755);
    const char *make = "for a in x64 arm64; do mkdir -p node_modules/node-linux-$a/bin; cp /bin/true "
                       "node_modules/node-linux-$a/bin/node; done";
    npm_make(mem_printf(ctx, "%s\n%s", pi_made("0.74.2"), make));
    ck_assert_msg(install("pi", &err) == RC_OK, "%s", err.sentence);
    ck_assert_ptr_nonnull(strstr(text_of("manifest"), "\"node-linux-"));
    const char *tools = find("pi", NULL).tool_path;
    ck_assert_ptr_nonnull(tools);
    ck_assert_ptr_nonnull(strstr(tools, "/opt/agents/pi/node_modules/node-linux-"));
    put(mem_printf(ctx, "%s/node", bin), "#!/bin/sh\necho v22.1.0\n", 0755);
    npm_make(pi_made("0.74.2"));
    ck_assert_int_eq(install("pi", &err), RC_OK);
    ck_assert_ptr_null(strstr(text_of("manifest"), "\"node-linux-"));
    ck_assert_ptr_null(find("pi", NULL).tool_path);
}
END_TEST

/* Programs on the PATH: what is mounted is never more than programs. */
START_TEST(test_find_on_path)
{
    ck_assert_ptr_null(find("goose", path).origin);
    ck_assert_ptr_null(find("goose", "relative:").origin);
    ck_assert_str_eq(find("http", "/usr/bin").origin, "path");
    ck_assert_uint_eq(find("http", "/usr/bin").mount_count, 0);
    ck_assert_str_eq(find("command", path).origin, "custom");

    put(at("prefix/lib/node_modules/@continuedev/cli/dist/cn.js"), "#!/usr/bin/env node\n", 0755);
    put(at("prefix/bin/node"), "#!/bin/sh\n", 0755);
    ck_assert_int_eq(symlink("../lib/node_modules/@continuedev/cli/dist/cn.js", at("prefix/bin/cn")), 0);
    struct install_place p = find("continue", at("prefix/bin"));
    ck_assert_str_eq(p.origin, "path");
    ck_assert_str_eq(p.program, at("prefix/lib/node_modules/@continuedev/cli/dist/cn.js"));
    ck_assert_uint_eq(p.mount_count, 2);
    ck_assert_str_eq(p.mounts[0].source, at("prefix/lib/node_modules"));
    ck_assert_str_eq(p.mounts[1].source, at("prefix/bin"));
    ck_assert_str_eq(p.tool_path, at("prefix/bin"));

    put(at("venv/pyvenv.cfg"), "home = /usr/bin\n", 0644);
    put(at("venv/bin/aider"), "#!/bin/sh\n", 0755);
    ck_assert_int_eq(symlink(at("venv/bin/aider"), mem_printf(ctx, "%s/aider", bin)), 0);
    p = find("aider", path);
    ck_assert_uint_eq(p.mount_count, 1);
    ck_assert_str_eq(p.mounts[0].source, at("venv"));
    ck_assert(!p.mounts[0].writable);

    put(at("home/goose"), "#!/bin/sh\n", 0755); /* right in somebody's home: to mount it would show all of it */
    setenv("HOME", at("home"), 1);
    ck_assert_ptr_null(find("goose", at("home")).origin);

    put(at("bin/pi"), "not a program", 0644);
    ck_assert_ptr_null(find("pi", path).origin);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("agent_install");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, test_install);
    tcase_add_test(c, test_install_fails);
    tcase_add_test(c, test_install_cancelled);
    tcase_add_test(c, test_install_with_node);
    tcase_add_test(c, test_find_on_path);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
