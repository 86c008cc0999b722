/* One layer on the disk, and how it is made.
 *
 *     <layers>/<key>/files/...   what the commands made, at its own paths; readable by all, written by nobody
 *     <layers>/<key>/about       written before the folder gets its name: the roots, each with its NUL. Its time is the
 *                                last use.
 *     <layers>/<key>.new, .lock  while it is made */
#include "base/text.h"
#include "os/path.h"
#include "setup/private.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    ABOUT_MAX = 1 << 20,
    KEEP = 16 << 10, /* of a command's output */
    NAMED = 20,      /* names of one kind in the notes */
};

/* ---- reading ---- */

enum rc layer_read(mem *ctx, const char *layers, const char *key, struct setup_layer *ret, struct err *err)
{
    const char *folder = mem_printf(ctx, "%s/%s", layers, key), *about = mem_printf(ctx, "%s/about", folder);
    struct str text, root;
    enum rc rc = path_slurp(ctx, about, ABOUT_MAX, &text, err);
    if (rc != RC_OK)
        return rc;
    (void)utimensat(AT_FDCWD, about, NULL, 0); /* used now; not being able to say so only ends its life sooner */
    *ret = (struct setup_layer){.key = mem_str(ctx, key), .notes = ""};
    ret->mounts = mem_array(ctx, struct sandbox_mount, SETUP_ROOTS);
    while (ret->n < SETUP_ROOTS && str_next(&text, '\0', &root) && root.n) {
        root.n -= root.p[root.n - 1] == '/';
        const char *path = str_dup(ctx, root);
        ret->mounts[ret->n++] = (struct sandbox_mount){mem_printf(ctx, "%s/files/%s", folder, path),
                                                       mem_printf(ctx, "/workspace/%s", path), false, true};
    }
    return RC_OK;
}

/* ---- running the commands ---- */

static bool ended_well(const struct sandbox_result *r)
{
    return r->exit_code == 0 && !r->signal && !r->timed_out && !r->flooded && !r->could_not_start;
}

/* What tools say when a name cannot be looked up or nobody can be reached. */
static bool misses_network(struct str output)
{
    static const char *const signs[] = {"EAI_AGAIN",
                                        "ENOTFOUND",
                                        "ENETUNREACH",
                                        "ECONNREFUSED",
                                        "Could not resolve",
                                        "Couldn't resolve host",
                                        "Temporary failure in name resolution",
                                        "Name or service not known",
                                        "Network is unreachable",
                                        "Failed to establish a new connection",
                                        "no such host",
                                        "failed to lookup address",
                                        "Max retries exceeded",
                                        "getaddrinfo"};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (str_find(output, str_of(signs[i])) >= 0)
            return true;
    return false;
}

static void failed_words(mem *ctx, const struct setup_spec *spec, const char *command, const struct sandbox_result *r,
                         const char *limit, struct setup_layer *ret)
{
    const char *how = limit             ? limit
                      : r->timed_out    ? mem_printf(ctx, "did not end within %s", text_duration(ctx, spec->timeout_s))
                      : r->flooded      ? "printed too much"
                      : r->memory_limit ? "reached the memory limit"
                      : r->signal       ? mem_printf(ctx, "was ended by signal %d", r->signal)
                                        : mem_printf(ctx, "ended with exit status %d", r->exit_code);
    ret->failed = true;
    ret->command = mem_str(ctx, command);
    ret->exit_code = r->signal || limit ? -1 : r->exit_code;
    ret->output = str_of(str_utf8_clean(ctx, r->out));
    const char *network = spec->env ? "; it seems that the proxy did not let it through"
                                    : "; it seems to need the network, and this sandbox has none";
    ret->words = mem_printf(ctx, "the setup command \"%s\" %s%s", text_terminal_line(ctx, str_of(command), 200), how,
                            misses_network(r->out) ? network : "");
}

static enum rc command_run(mem *ctx, const struct setup_spec *spec, struct sandbox *sb, const char *command,
                           struct setup_layer *ret, struct err *err)
{
    struct sandbox_result r = {0};
    struct sandbox_command c = {.shell = command,
                                .timeout_ms = spec->timeout_s > INT32_MAX / 1000 ? INT32_MAX : spec->timeout_s * 1000,
                                .cancel_fd = spec->cancel_fd,
                                .keep = KEEP,
                                .out_fd = -1,
                                .merge = true,
                                .flood_ends = true};
    if (spec->on_command)
        spec->on_command(spec->arg, command, NULL);
    enum rc rc = sandbox_run(ctx, sb, &c, &r, err);
    bool disk = rc == RC_LIMIT && sandbox_disk_over(sb, err);
    if (rc != RC_OK && !disk)
        return rc;
    if (disk || !ended_well(&r))
        failed_words(ctx, spec, command, &r, disk ? "filled the disk" : NULL, ret);
    if (spec->on_command)
        spec->on_command(spec->arg, command, &r);
    return RC_OK;
}

static enum rc commands_run(mem *ctx, const struct setup_spec *spec, struct sandbox *sb, struct setup_layer *ret,
                            struct err *err)
{
    enum rc rc = spec->on_open ? spec->on_open(spec->arg, sb, err) : RC_OK;
    for (const char *const *c = spec->commands; rc == RC_OK && *c && !ret->failed; c++)
        rc = command_run(ctx, spec, sb, *c, ret, err);
    return rc;
}

static const char *const *env_join(mem *ctx, const char *const *a, const char *const *b)
{
    static const char *const fixed[] = {"CI=1", "NO_COLOR=1", NULL};
    const char *const *lists[] = {fixed, a, b};
    size_t n = 0, room = 1;
    for (size_t i = 0; i < 3; i++)
        for (const char *const *e = lists[i]; e && *e; e++)
            room++;
    const char **v = mem_array(ctx, const char *, room);
    for (size_t i = 0; i < 3; i++)
        for (const char *const *e = lists[i]; e && *e; e++)
            v[n++] = *e;
    return v;
}

/* In its own sandbox, of the verifier's user: no agent was ever here. */
static enum rc sandbox_use(mem *ctx, const struct setup_spec *spec, const struct layer_key *key, const char *tree,
                           struct setup_layer *ret, struct err *err)
{
    struct volumes v = {0};
    struct sandbox *sb = NULL;
    struct sandbox_mount *mounts = mem_array(ctx, struct sandbox_mount, 1 + VOLUME_KINDS + spec->mount_count);
    size_t n = 0;
    enum rc rc = spec->volumes && !key->own ? volume_open(ctx, spec->volumes, &v, err) : RC_OK;
    mounts[n++] = (struct sandbox_mount){tree, "/workspace", true};
    for (size_t i = 0; i < v.n; i++)
        mounts[n++] = v.mounts[i];
    for (size_t i = 0; i < spec->mount_count; i++)
        mounts[n++] = spec->mounts[i];
    struct sandbox_spec s = {.user = SANDBOX_VERIFIER,
                             .mounts = mounts,
                             .mount_count = n,
                             .cwd = "/workspace",
                             .env = env_join(ctx, v.env, spec->env),
                             .limits = spec->limits,
                             .user_namespaces = spec->user_namespaces,
                             .label = "setup"};
    for (; spec->listen && s.listen_count < spec->listen_count; s.listen_count++)
        s.listen[s.listen_count] = spec->listen[s.listen_count];
    if (rc == RC_OK)
        rc = sandbox_open(ctx, &s, spec->start_deadline_ms, &sb, err);
    if (rc == RC_OK)
        rc = commands_run(ctx, spec, sb, ret, err);
    sandbox_close(sb, NULL);
    volume_close(&v);
    return rc;
}

/* ---- taking what was made ---- */

static int beneath(int root, const char *path, int flags)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC | O_NOFOLLOW),
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

/* All may read it, and run what its owner may run. */
static int open_one(void *arg, const char *path, enum path_kind kind, const struct stat *st)
{
    mode_t mode = kind == PATH_DIR ? 0755 : 0444 | (st->st_mode & 0200) | (st->st_mode & 0100 ? 0111 : 0);
    if ((kind != PATH_FILE && kind != PATH_DIR) || (st->st_mode & 07777) == mode)
        return 0;
    CLEANUP_FD int fd = beneath(*(int *)arg, path, O_PATH);
    char self[32];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (fd >= 0)
        (void)!chmod(self, mode); /* a file that stays closed fails where it is needed, and only there */
    return 0;
}

/* Moves a root out of the export; folders are made on the way. The export is still: nothing runs on it. */
static enum rc root_move(mem *ctx, int tree, const char *files, const char *root, struct err *err)
{
    size_t n = strlen(root);
    const char *path = mem_strn(ctx, root, n - (n && root[n - 1] == '/')), *slash = strrchr(path, '/');
    const char *parent = slash ? mem_strn(ctx, path, (size_t)(slash - path)) : "";
    enum rc rc = path_mkdirs(parent[0] ? mem_printf(ctx, "%s/%s", files, parent) : files, 0755, err);
    CLEANUP_FD int from = rc == RC_OK ? beneath(tree, parent[0] ? parent : ".", O_PATH | O_DIRECTORY) : -1;
    if (rc == RC_OK &&
        (from < 0 || renameat(from, slash ? slash + 1 : path, AT_FDCWD, mem_printf(ctx, "%s/%s", files, path)) < 0))
        rc = err_sys(err, errno, "Could not take %s into the layer", text_terminal_line(ctx, str_of(path), 200));
    return rc;
}

static void note_names(struct buf *notes, const char *words, const char *const *names, size_t n)
{
    CLEANUP_MEM mem *tmp = mem_root();
    for (size_t i = 0; i < n && i < NAMED; i++)
        buf_printf(notes, "%s: %s\n", words, text_terminal_line(tmp, str_of(names[i]), 200));
    if (n > NAMED)
        buf_printf(notes, "%s: %zu more\n", words, n - NAMED);
}

/* Interpreters make these anew, and an old one could stand in for a changed source. */
static bool is_bytecode(const char *root)
{
    static const char name[] = "__pycache__/";
    size_t n = strlen(root), k = sizeof name - 1;
    return n >= k && strcmp(root + n - k, name) == 0 && (n == k || root[n - k - 1] == '/');
}

/* Neither a file nor a folder: nothing that could be mounted. */
static bool is_odd(int tree, const char *root)
{
    struct stat st;
    size_t n = strlen(root);
    CLEANUP_MEM mem *tmp = mem_root();
    const char *path = mem_strn(tmp, root, n - (n && root[n - 1] == '/'));
    return fstatat(tree, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !(S_ISDIR(st.st_mode) || S_ISREG(st.st_mode));
}

static enum rc roots_take(mem *ctx, const char *tree, const char *files, const struct repo_extra *extra,
                          struct buf *about, struct buf *notes, struct err *err)
{
    CLEANUP_FD int from = -1;
    CLEANUP_FD int to = -1;
    size_t taken = 0;
    enum rc rc = path_mkdirs(files, 0755, err);
    if (rc == RC_OK)
        rc = path_open_root(tree, &from, err);
    for (size_t i = 0; rc == RC_OK && i < extra->ignored_count; i++) {
        if (is_bytecode(extra->ignored[i]) || is_odd(from, extra->ignored[i]))
            continue;
        if (taken++ >= SETUP_ROOTS) {
            note_names(notes, "Not in the layer, it is full", extra->ignored + i, 1);
            continue;
        }
        rc = root_move(ctx, from, files, extra->ignored[i], err);
        buf_add(about, extra->ignored[i], strlen(extra->ignored[i]) + 1);
    }
    note_names(notes, "Not in the layer, git does not ignore it", extra->others, extra->other_count);
    note_names(notes, "Changed by the setup commands, put back", extra->changed, extra->changed_count);
    if (rc == RC_OK)
        rc = path_open_root(files, &to, err);
    return rc == RC_OK ? path_walk(to, "", open_one, &to, err) : rc;
}

/* Everything on the disk before the name: after a power loss there is no layer with empty files. */
static enum rc folder_name(mem *ctx, const char *fresh, const char *place, struct err *err)
{
    CLEANUP_FD int fd = open(fresh, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || syncfs(fd) < 0 || rename(fresh, place) < 0)
        return err_sys(err, errno, "Could not put the layer in its place %s", mem_str(ctx, place));
    return RC_OK;
}

static enum rc layer_take(mem *ctx, const struct setup_spec *spec, const struct layer_key *key, const char *tree,
                          struct setup_layer *ret, struct err *err)
{
    const char *place = mem_printf(ctx, "%s/%s", spec->layers, key->hex), *fresh = mem_printf(ctx, "%s.new", place);
    struct repo_extra extra;
    struct buf about, notes;
    buf_init(&about, ctx, ABOUT_MAX);
    buf_init(&notes, ctx, 65536);
    enum rc rc = sandbox_take(tree, err);
    if (rc == RC_OK)
        rc = repo_extra(ctx, spec->git_dir, key->tree, tree, &extra, err);
    if (rc == RC_OK)
        rc = path_remove_tree(fresh, err);
    if (rc == RC_OK)
        rc = roots_take(ctx, tree, mem_printf(ctx, "%s/files", fresh), &extra, &about, &notes, err);
    if (rc == RC_OK && about.overflow)
        rc = err_set(err, RC_LIMIT, "The names in a layer are too long");
    if (rc == RC_OK)
        rc = path_write_durable(mem_printf(ctx, "%s/about", fresh), buf_view(&about), 0644, err);
    if (rc == RC_OK)
        rc = folder_name(ctx, fresh, place, err);
    if (rc == RC_OK)
        rc = layer_read(ctx, spec->layers, key->hex, ret, err);
    if (rc != RC_OK)
        return rc;
    ret->fresh = true;
    ret->notes = buf_take(&notes, ctx);
    return RC_OK;
}

enum rc layer_make(mem *ctx, const struct setup_spec *spec, const struct layer_key *key, struct setup_layer *ret,
                   struct err *err)
{
    const char *tree = mem_printf(ctx, "%s/setup", spec->work_dir);
    *ret = (struct setup_layer){.key = mem_str(ctx, key->hex), .notes = ""};
    mode_t mask = umask(022);
    enum rc rc = path_remove_tree(tree, err);
    if (rc == RC_OK)
        rc = path_mkdirs(tree, 0755, err);
    if (rc == RC_OK)
        rc = repo_export(spec->git_dir, key->tree, tree, geteuid(), getegid(), err);
    if (rc == RC_OK)
        rc = sandbox_give(tree, SANDBOX_VERIFIER, err);
    if (rc == RC_OK)
        rc = sandbox_use(ctx, spec, key, tree, ret, err);
    if (rc == RC_OK && !ret->failed)
        rc = layer_take(ctx, spec, key, tree, ret, err);
    else if (sandbox_take(tree, NULL) != RC_OK && rc == RC_OK)
        rc = err_set(err, RC_IO, "Could not take back %s", tree);
    umask(mask);
    if (path_remove_tree(tree, NULL) != RC_OK && rc == RC_OK)
        rc = err_set(err, RC_IO, "Could not remove %s", tree);
    return rc;
}
