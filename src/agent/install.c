/* Finding and installing agents' programs. Nothing is run here but npm and node (the machine's own); an agent's program
 * runs in a sandbox only. What of the machine is mounted for an agent is as narrow as can be: a folder of modules, a
 * virtual environment, the folder of one program; never a home. */
#include "agent/install.h"
#include "base/json.h"
#include "base/text.h"
#include "os/path.h"
#include "os/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where it is inside the sandbox. */
#define INSIDE "/opt/agents"
/* The Node.js that is put beside a package which needs a newer one than the machine has. It is a plain package with the
 * program in it; the usual one fetches this by an install script, which is not run. */
#define NODE_PACKAGE "node-linux-%a"
#define NODE_VERSION "22.23.3"

enum { NPM_OUTPUT_MAX = 1 << 20, NPM_SECONDS = 1800, VERSION_MAX = 60 };

/* "%a" and "%A" of a place become the machine's names. */
static const char *machine_path(mem *ctx, const char *path)
{
#if defined(__aarch64__)
    static const char *const shorter = "arm64", *const longer = "aarch64";
#else
    static const char *const shorter = "x64", *const longer = "x86_64";
#endif
    struct buf b;
    buf_init(&b, ctx, PATH_MAX);
    for (; *path; path++)
        if (path[0] == '%' && (path[1] == 'a' || path[1] == 'A'))
            buf_z(&b, *++path == 'a' ? shorter : longer);
        else
            buf_char(&b, *path);
    return buf_take(&b, ctx);
}

/* The file behind the path when it is a program, in ctx; NULL otherwise. */
static const char *program_real(mem *ctx, const char *path)
{
    struct stat st;
    char *real = realpath(path, NULL);
    bool ok = real && stat(real, &st) == 0 && S_ISREG(st.st_mode) && access(real, X_OK) == 0;
    const char *ret = ok ? mem_str(ctx, real) : NULL;
    free(real);
    return ret;
}

static const char *package_version(mem *ctx, const char *modules, const char *package)
{
    struct str text;
    struct json root;
    const char *file = mem_printf(ctx, "%s/%s/package.json", modules, package);
    if (path_slurp(ctx, file, 4 << 20, &text, NULL) != RC_OK || json_parse(ctx, text, &root, NULL) != RC_OK)
        return NULL;
    const char *version = json_z(ctx, json_get(root, "version"), NULL);
    return version && strlen(version) <= VERSION_MAX ? text_terminal_line(ctx, str_of(version), VERSION_MAX) : NULL;
}

/* The program below a folder of modules, relative to it; NULL: not there. */
static const char *modules_program(mem *ctx, const char *modules, const struct backend *b)
{
    for (const char *const *p = b->places; p && *p; p++) {
        const char *below = machine_path(ctx, *p);
        if (program_real(ctx, mem_printf(ctx, "%s/%s", modules, below)))
            return below;
    }
    if (b->places)
        return NULL; /* the launcher without its program is of no use */
    const char *below = mem_printf(ctx, ".bin/%s", b->program);
    return program_real(ctx, mem_printf(ctx, "%s/%s", modules, below)) ? below : NULL;
}

static bool find_installed(mem *ctx, const char *folder, const struct backend *b, struct install_place *ret)
{
    const char *modules = mem_printf(ctx, "%s/node_modules", folder);
    const char *below = b->package ? modules_program(ctx, modules, b) : NULL;
    if (!below)
        return false;
    const char *node = machine_path(ctx, NODE_PACKAGE "/bin");
    const char *inside = mem_printf(ctx, INSIDE "/%s", b->name);
    *ret = (struct install_place){.origin = "installed",
                                  .outside = mem_printf(ctx, "%s/%s", modules, below),
                                  .version = package_version(ctx, modules, b->package),
                                  .program = mem_printf(ctx, "%s/node_modules/%s", inside, below),
                                  .mounts = {{folder, inside, false}},
                                  .mount_count = 1};
    if (program_real(ctx, mem_printf(ctx, "%s/%s/node", modules, node)))
        ret->tool_path = mem_printf(ctx, "%s/node_modules/%s", inside, node);
    return true;
}

/* --- On the PATH --- */

static bool below_system(const char *path)
{
    return strncmp(path, "/usr/", 5) == 0 || strncmp(path, "/bin/", 5) == 0;
}

static const char *folder_of(mem *ctx, const char *path)
{
    const char *slash = strrchr(path, '/');
    return mem_strn(ctx, path, slash > path ? (size_t)(slash - path) : 1);
}

static void place_mount(struct install_place *p, const char *folder)
{
    for (size_t i = 0; i < p->mount_count; i++)
        if (strcmp(p->mounts[i].source, folder) == 0)
            return;
    if (p->mount_count < sizeof p->mounts / sizeof *p->mounts)
        p->mounts[p->mount_count++] = (struct sandbox_mount){folder, folder, false};
}

/* A folder that holds more than programs is not mounted. */
static bool too_wide(const char *folder)
{
    static const char *const wide[] = {"/", "/root", "/home", "/tmp", "/var", "/opt", "/srv", "/etc"};
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (strcmp(folder, wide[i]) == 0)
            return true;
    const char *home = getenv("HOME");
    if (home && strcmp(folder, home) == 0)
        return true;
    return strncmp(folder, "/home/", 6) == 0 && !strchr(folder + 6, '/');
}

/* What must be mounted for a program outside of the system's folders. Mounted at the same path, because scripts name
 * their interpreters by absolute paths. False: it cannot be done without showing more of the machine. */
static bool place_outside(mem *ctx, const char *found, const char *real, struct install_place *ret)
{
    static const char mark[] = "/node_modules/";
    const char *modules = strstr(real, mark);
    ret->program = real;
    if (modules) {
        place_mount(ret, mem_strn(ctx, real, (size_t)(modules - real) + sizeof mark - 2));
        const char *bin = folder_of(ctx, found);
        const char *node = program_real(ctx, mem_printf(ctx, "%s/node", bin));
        if (node && !below_system(node) && !too_wide(folder_of(ctx, node))) {
            place_mount(ret, folder_of(ctx, node));
            ret->tool_path = folder_of(ctx, node);
        }
        return true;
    }
    const char *folder = folder_of(ctx, real);
    const char *around = folder_of(ctx, folder);
    if (access(mem_printf(ctx, "%s/pyvenv.cfg", around), R_OK) == 0)
        folder = around;
    if (too_wide(folder))
        return false;
    place_mount(ret, folder);
    return true;
}

static bool find_on_path(mem *ctx, const char *path, const struct backend *b, struct install_place *ret)
{
    struct str rest = str_of(path), dir;
    while (str_next(&rest, ':', &dir)) {
        if (!dir.n || dir.p[0] != '/')
            continue;
        const char *found = mem_printf(ctx, "%.*s/%s", STR_FMT(dir), b->program);
        const char *real = program_real(ctx, found);
        if (!real)
            continue;
        *ret = (struct install_place){.origin = "path", .outside = found, .program = found};
        if (below_system(real) || place_outside(ctx, found, real, ret))
            return true;
        *ret = (struct install_place){0};
    }
    return false;
}

static const char *agents_folder(mem *ctx, const char *data_dir)
{
    return mem_printf(ctx, "%s/agents", data_dir);
}

enum rc install_find(mem *ctx, const char *data_dir, const char *path, const struct backend *backend,
                     struct install_place *ret, struct err *err)
{
    (void)err;
    *ret = (struct install_place){0};
    if (!backend->program) {
        ret->origin = "custom";
        return RC_OK;
    }
    const char *folder = mem_printf(ctx, "%s/%s", agents_folder(ctx, data_dir), backend->name);
    if (!find_installed(ctx, folder, backend, ret) && path)
        find_on_path(ctx, path, backend, ret);
    return RC_OK;
}

/* --- Asking for the version --- */

/* The first word that looks like a version: digits, a dot, more. NULL: none. */
static const char *version_in(mem *ctx, struct str text)
{
    static const char *const part = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.+-_";
    const char *z = str_utf8_clean(ctx, text);
    for (const char *p = z; *p; p++) {
        if (*p < '0' || *p > '9' || (p > z && strchr(part, p[-1]) && p[-1] != 'v'))
            continue;
        size_t digits = strspn(p, "0123456789");
        size_t n = strspn(p, part);
        if (p[digits] == '.' && p[digits + 1] >= '0' && p[digits + 1] <= '9' && n <= VERSION_MAX) {
            while (n && strchr(".+-_", p[n - 1]))
                n--;
            return mem_strn(ctx, p, n);
        }
        p += n - 1;
    }
    return NULL;
}

static enum rc probe_run(mem *ctx, const struct backend *b, const struct install_place *place, int timeout_ms,
                         struct sandbox *sb, const char **ret_version, struct err *err)
{
    const char *argv[8] = {place->program};
    for (size_t i = 0; b->version_arguments && b->version_arguments[i] && i < 6; i++)
        argv[i + 1] = b->version_arguments[i];
    struct sandbox_command cmd = {
        .argv = argv, .timeout_ms = timeout_ms, .cancel_fd = -1, .keep = 65536, .out_fd = -1, .out_max = 1 << 20};
    struct sandbox_result res;
    enum rc rc = sandbox_run(ctx, sb, &cmd, &res, err);
    if (rc)
        return rc;
    if (res.timed_out) {
        err_set(err, RC_UNAVAILABLE, "%s did not say its version in time", b->title);
        return err_detail(err, "%d ms", timeout_ms);
    }
    const char *version = version_in(ctx, res.out);
    version = version ? version : version_in(ctx, res.err);
    if (res.exit_code != 0 || !version) {
        err_set(err, RC_UNAVAILABLE, "%s does not start in the sandbox", b->title);
        const char *words = text_terminal_line(ctx, str_trim(res.err.n ? res.err : res.out), 400);
        return err_detail(err, "status %d: %s", res.exit_code, *words ? words : "no output");
    }
    *ret_version = version;
    return RC_OK;
}

enum rc install_probe(mem *ctx, const struct backend *backend, const struct install_place *place, int timeout_ms,
                      const char **ret_version, struct err *err)
{
    if (!place->program || !backend->version_arguments) {
        err_set(err, RC_INVALID, "%s has no program of its own that could be asked", backend->title);
        return err_hint(err, "%s", backend->source ? backend->source : "nightmill agent install NAME");
    }
    const char *path = mem_printf(ctx, "PATH=%s%s/usr/local/bin:/usr/bin:/bin",
                                  place->tool_path ? place->tool_path : "", place->tool_path ? ":" : "");
    const char *env[] = {path, "NO_COLOR=1", "DO_NOT_TRACK=1", "DISABLE_AUTOUPDATER=1", NULL};
    struct sandbox_spec spec = {.user = SANDBOX_AGENT,
                                .mounts = place->mounts,
                                .mount_count = place->mount_count,
                                .cwd = "/tmp",
                                .env = env,
                                .label = "agent-probe"};
    struct sandbox *sb;
    enum rc rc = sandbox_open(ctx, &spec, 20000, &sb, err);
    if (rc)
        return rc;
    rc = probe_run(ctx, backend, place, timeout_ms, sb, ret_version, err);
    sandbox_close(sb, NULL);
    return rc;
}

/* --- Installing --- */

/* npm gets what it needs to reach its registry as its user does, and none of the keys in the environment. */
static const char *const *npm_env(mem *ctx, const char *path)
{
    static const char *const names[] = {
        "HOME",        "USER",     "LANG",      "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",      "http_proxy",
        "https_proxy", "no_proxy", "ALL_PROXY", "all_proxy",  "TMPDIR",      "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS",
        NULL};
    extern char **environ;
    size_t n = 0, all = 0;
    while (environ[all])
        all++;
    const char **env = mem_array(ctx, const char *, all + sizeof names / sizeof *names + 2);
    env[n++] = mem_printf(env, "PATH=%s", path);
    for (size_t i = 0; names[i]; i++)
        if (getenv(names[i]))
            env[n++] = mem_printf(env, "%s=%s", names[i], getenv(names[i]));
    for (char **e = environ; *e; e++)
        if (strncasecmp(*e, "npm_config_", 11) == 0)
            env[n++] = *e;
    return env;
}

/* Major version of the machine's Node.js; 0: none. */
static int node_major(mem *ctx, const char *const *env)
{
    const char *argv[] = {"node", "--version", NULL};
    struct proc_spec spec = {.argv = argv, .env = env, .new_session = true, .die_with_parent = true};
    struct proc_result res;
    int major = 0;
    if (proc_run(ctx, &spec, STR(""), 4096, 20000, -1, &res, NULL) == RC_OK && res.exit_code == 0 && res.out.n)
        sscanf(str_dup(ctx, res.out), "v%d", &major);
    return major;
}

static enum rc write_manifest(mem *ctx, const char *folder, const struct backend *b, bool node, struct err *err)
{
    struct buf text;
    struct json_out o;
    buf_init(&text, ctx, 65536);
    json_out_init(&o, &text);
    jo_obj(&o);
    jo_kz(&o, "name", mem_printf(ctx, "nightmill-agent-%s", b->name));
    jo_kb(&o, "private", true);
    jo_key(&o, "dependencies");
    jo_obj(&o);
    jo_kz(&o, b->package, b->version);
    if (node)
        jo_kz(&o, machine_path(ctx, NODE_PACKAGE), NODE_VERSION);
    jo_end_obj(&o);
    jo_end_obj(&o);
    return path_write_durable(mem_printf(ctx, "%s/package.json", folder), buf_view(&text), 0644, err);
}

struct npm_run {
    struct buf line, tail;
    void (*on_line)(void *arg, struct str line);
    void *arg;
};

static void npm_line(struct npm_run *r)
{
    struct str line = str_trim(buf_view(&r->line));
    if (line.n) {
        if (r->tail.n + line.n > 8192)
            buf_clear(&r->tail);
        buf_str(&r->tail, line);
        buf_char(&r->tail, '\n');
        if (r->on_line)
            r->on_line(r->arg, line);
    }
    buf_clear(&r->line);
}

static void npm_bytes(struct npm_run *r, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] == '\n')
            npm_line(r);
        else
            buf_char(&r->line, p[i]); /* what is beyond the cap of a line is left out */
}

/* Reads until the end of the output, the cancel or the deadline (milliseconds from now). False: to be ended. */
static bool npm_read(struct npm_run *r, int fd, int cancel_fd)
{
    char bytes[4096];
    for (int64_t left = NPM_SECONDS; left > 0;) {
        struct pollfd p[2] = {{fd, POLLIN, 0}, {cancel_fd, POLLIN, 0}};
        int n = poll(p, 2, 1000);
        if (n < 0 && errno != EINTR)
            return false;
        left -= n == 0;
        if (p[1].revents)
            return false;
        if (!p[0].revents)
            continue;
        ssize_t got = read(fd, bytes, sizeof bytes);
        if (got <= 0)
            return got == 0;
        npm_bytes(r, bytes, (size_t)got);
    }
    return false;
}

static enum rc npm_failed(const struct backend *b, struct npm_run *r, int status, struct err *err)
{
    struct str text = buf_view(&r->tail), line, last = {0};
    while (str_line(&text, &line))
        if (str_starts(line, STR("npm error")) || str_starts(line, STR("npm ERR")))
            last = str_sub(line, 9, 300);
    CLEANUP_MEM mem *tmp = mem_root();
    err_set(err, RC_UPSTREAM, "npm could not install %s %s", b->package, b->version);
    err_detail(err, "status %d%s%s", WIFEXITED(status) ? WEXITSTATUS(status) : -1, last.n ? ": " : "",
               last.n ? text_terminal_line(tmp, str_trim(last), 300) : "");
    return err_hint(err, "see that npm reaches its registry (npm ping), then try again");
}

static enum rc npm_install(const char *folder, const char *const *env, const struct backend *b, int cancel_fd,
                           struct npm_run *r, struct err *err)
{
    const char *argv[] = {"npm",
                          "install",
                          "--prefix",
                          folder,
                          "--ignore-scripts",
                          "--no-audit",
                          "--no-fund",
                          "--no-save",
                          "--omit=dev",
                          "--no-update-notifier",

                          "--loglevel=http",
                          NULL};
    int pipe_fds[2], status = 0;
    pid_t pid;
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_sys(err, errno, "could not make a pipe");
    struct proc_spec spec = {.argv = argv,
                             .env = env,
                             .cwd = folder,
                             .fds = {-1, pipe_fds[1], pipe_fds[1]},
                             .fd_count = 3,
                             .new_session = true,
                             .die_with_parent = true};
    enum rc rc = proc_start(&spec, &pid, NULL, err);
    close(pipe_fds[1]);
    if (rc) {
        close(pipe_fds[0]);
        return rc;
    }
    bool whole = npm_read(r, pipe_fds[0], cancel_fd);
    close(pipe_fds[0]);
    if (!whole)
        kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    npm_line(r);
    if (!whole)
        return err_set(err, RC_CANCELLED, "the installation of %s was stopped", b->title);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? RC_OK : npm_failed(b, r, status, err);
}

/* Puts the new folder in the place of the old one, which is never missing in between. */
static enum rc folder_replace(const char *fresh, const char *folder, struct err *err)
{
    if (renameat2(AT_FDCWD, fresh, AT_FDCWD, folder, RENAME_EXCHANGE) == 0)
        return path_remove_tree(fresh, err);
    if (errno == ENOENT && rename(fresh, folder) == 0)
        return RC_OK;
    return err_sys(err, errno, "could not put %s in its place", folder);
}

static enum rc install_fresh(mem *ctx, const char *fresh, const char *path, const struct backend *b, int cancel_fd,
                             struct npm_run *r, struct err *err)
{
    const char *const *env = npm_env(ctx, path);
    int major = node_major(ctx, env);
    struct install_place place;
    enum rc rc = path_mkdirs(fresh, 0755, err);
    if (!rc)
        rc = write_manifest(ctx, fresh, b, b->node && major < b->node, err);
    if (!rc)
        rc = npm_install(fresh, env, b, cancel_fd, r, err);
    if (rc)
        return rc;
    if (find_installed(ctx, fresh, b, &place) && place.version && strcmp(place.version, b->version) == 0)
        return RC_OK;
    err_set(err, RC_UPSTREAM, "npm installed %s, but its program is not there", b->package);
    return err_hint(err, "this machine may be one that the package has no program for (%s)",
                    machine_path(ctx, "linux %A"));
}

static enum rc install_locked(mem *ctx, const char *agents, const char *path, const struct backend *b, int cancel_fd,
                              struct npm_run *r, struct err *err)
{
    const char *fresh = mem_printf(ctx, "%s/.%s.new", agents, b->name);
    enum rc rc = path_remove_tree(fresh, err); /* what an earlier try left, or the version before */
    if (!rc)
        rc = install_fresh(ctx, fresh, path, b, cancel_fd, r, err);
    if (!rc)
        rc = folder_replace(fresh, mem_printf(ctx, "%s/%s", agents, b->name), err);
    if (rc && path_remove_tree(fresh, NULL) != RC_OK)
        err_detail(err, "%s is left behind", fresh);
    return rc;
}

static bool npm_there(mem *ctx, const char *path)
{
    struct str rest = str_of(path), dir;
    while (str_next(&rest, ':', &dir))
        if (dir.n && dir.p[0] == '/' && program_real(ctx, mem_printf(ctx, "%.*s/npm", STR_FMT(dir))))
            return true;
    return false;
}

enum rc install_package(mem *ctx, const char *data_dir, const char *path, const struct backend *backend, int cancel_fd,
                        void (*on_line)(void *arg, struct str line), void *arg, struct err *err)
{
    if (!backend->package) {
        err_set(err, RC_INVALID, "%s is not an npm package", backend->title);
        return err_hint(err, "get it elsewhere (%s); Nightmill finds it on the PATH", backend->source);
    }
    if (!path || !npm_there(ctx, path)) {
        err_set(err, RC_UNAVAILABLE, "npm is not on this machine, and %s is installed by it", backend->title);
        return err_hint(err, "install it first: apt-get install npm");
    }
    CLEANUP_FD int lock = -1;
    struct npm_run r = {.on_line = on_line, .arg = arg};
    const char *agents = agents_folder(ctx, data_dir);
    buf_init(&r.line, ctx, 4096);
    buf_init(&r.tail, ctx, NPM_OUTPUT_MAX);
    mode_t before = umask(022); /* another user runs it */
    enum rc rc = path_mkdirs(agents, 0755, err);
    if (!rc) {
        rc = path_lock(mem_printf(ctx, "%s/.lock", agents), &lock, NULL, err);
        if (rc == RC_CONFLICT)
            err_set(err, rc, "another installation of an agent is going on");
    }
    if (!rc)
        rc = install_locked(ctx, agents, path, backend, cancel_fd, &r, err);
    umask(before);
    return rc;
}

/* ---- told ---- */

void install_list_json(struct json_out *o, const char *key, const char *const *list)
{
    jo_key(o, key);
    jo_arr(o);
    for (; list && *list; list++)
        jo_z(o, *list);
    jo_end_arr(o);
}

void install_json(struct json_out *o, const struct backend *b, const struct install_place *p)
{
    static const char *const sessions[] = {
        [BACKEND_SESSION_NONE] = "none", [BACKEND_SESSION_CHOSEN] = "chosen", [BACKEND_SESSION_READ] = "read"};
    jo_obj(o);
    jo_kz(o, "name", b->name);
    jo_kz(o, "title", b->title);
    jo_kb(o, "here", p->origin != NULL);
    jo_kz(o, "origin", p->origin);
    jo_kz(o, "path", p->outside);
    jo_kz(o, "version", p->version);
    jo_kz(o, "package", b->package);
    jo_kz(o, "pinned", b->version);
    jo_kz(o, "source", b->source);
    jo_kz(o, "licence", b->licence);
    jo_ki(o, "node", b->node);
    jo_kz(o, "wire", b->wire);
    jo_kz(o, "session", sessions[b->session]);
    jo_kb(o, "resumes", b->resumes);
    jo_kb(o, "mcp", b->servers);
    install_list_json(o, "hosts", b->hosts);
    install_list_json(o, "ignores", b->deaf);
    jo_end_obj(o);
}
