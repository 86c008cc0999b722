/* What is in a shell's sandbox: the workspace, the private repository (readable, at /git), layers and caches as the
 * agent has them. No listener, so no network. */
#include "flow/shell_room.h"
#include "base/log.h"
#include "conf/setting.h"
#include "os/path.h"
#include "repo/repo.h"
#include "setup/setup.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

enum { ALTERNATES_MOST = 12, JOURNAL_MOST = 64 << 20 };

struct making { /* the spec of the sandbox as it comes together */
    mem *ctx;
    const char *data_dir, *task_dir;
    struct json spec;
    struct settings *settings;
    struct sandbox_mount mounts[2 + ALTERNATES_MOST + VOLUME_KINDS + SETUP_ROOTS];
    size_t n;
    const char *env[24];
    size_t env_n;
};

/* Shells may write together, but not where files change hands (then only one may run on them). */
static int files_lock(const struct making *m)
{
    const struct sandbox_probe *p = sandbox_probe();
    CLEANUP_FD int fd =
        open(mem_printf(m->ctx, "%s/files.lock", m->task_dir), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || flock(fd, (p->rung == RUNG_SUB_UID ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0)
        return -1;
    return fd_take(&fd);
}

static void mount_add(struct making *m, const char *source, const char *target, bool writable)
{
    m->mounts[m->n++] = (struct sandbox_mount){source, target, writable};
}

/* The private repository, with the object folders that it borrows from at their own paths. */
static void git_add(struct making *m)
{
    const char *git = mem_printf(m->ctx, "%s/git", m->task_dir);
    struct str text, line;
    size_t most = m->n + 1 + ALTERNATES_MOST;
    if (access(git, R_OK) < 0)
        return;
    mount_add(m, git, "/git", false);
    if (path_slurp(m->ctx, mem_printf(m->ctx, "%s/objects/info/alternates", git), 65536, &text, NULL) != RC_OK)
        return;
    while (m->n < most && str_line(&text, &line)) {
        const char *folder = str_dup(m->ctx, line);
        if (line.n && line.p[0] == '/' && access(folder, R_OK) == 0)
            mount_add(m, folder, folder, false);
    }
}

/* The key of the layer that the task's sandboxes have now: in the journal, whose last line may be half written. */
static const char *layer_key(const struct making *m)
{
    struct str text, line;
    const char *key = NULL;
    CLEANUP_MEM mem *tmp = mem_root();
    if (path_slurp(tmp, mem_printf(tmp, "%s/journal", m->task_dir), JOURNAL_MOST, &text, NULL) != RC_OK)
        return NULL;
    while (str_line(&text, &line)) {
        struct json entry;
        if (str_find(line, STR("\"k\":\"setup.ready\"")) >= 0 && json_parse(tmp, line, &entry, NULL) == RC_OK &&
            json_eqz(json_get(entry, "k"), "setup.ready"))
            key = json_z(m->ctx, json_path(entry, "d.key"), NULL);
    }
    return key;
}

/* Where a folder of the layer belongs there must be one already when the files are read-only. */
static void layer_add(struct making *m, const char *project, bool writable)
{
    struct setup_layer layer;
    const char *key = layer_key(m);
    const char *layers = mem_printf(m->ctx, "%s/" SETUP_LAYERS "/%s", m->data_dir, project);
    if (!key || setup_layer_find(m->ctx, layers, key, &layer, NULL) != RC_OK)
        return;
    CLEANUP_FD int root = -1;
    if (path_open_root(mem_printf(m->ctx, "%s/work", m->task_dir), &root, NULL) != RC_OK)
        return;
    for (size_t i = 0; i < layer.n; i++) {
        const char *inside = layer.mounts[i].target + strlen("/workspace/");
        if (writable || faccessat(root, inside, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            m->mounts[m->n++] = layer.mounts[i];
    }
}

static void env_add(struct making *m, const char *const *list)
{
    for (; *list && m->env_n + 1 < sizeof m->env / sizeof *m->env; list++)
        m->env[m->env_n++] = *list;
}

/* Caches and layer of the project. A repository that is gone by now has none. */
static enum rc project_add(struct making *m, struct shell_room *room, struct err *err)
{
    struct repo_facts repo;
    struct err unheard = {0};
    if (repo_inspect(m->ctx, json_z(m->ctx, json_get(m->spec, "repo"), ""), &repo, &unheard) != RC_OK)
        return RC_OK;
    const char *project = setup_project(m->ctx, repo.git_dir);
    struct volume_spec spec = {.dir = mem_printf(m->ctx, "%s/cache", m->data_dir),
                               .project = project,
                               .phase = VOLUME_WORK,
                               .user = SANDBOX_AGENT};
    enum rc rc = volume_open(m->ctx, &spec, &room->volumes, err);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < room->volumes.n; i++)
        m->mounts[m->n++] = room->volumes.mounts[i];
    env_add(m, room->volumes.env);
    layer_add(m, project, room->lock >= 0);
    return RC_OK;
}

static struct sandbox_limits limits_of(const struct settings *set)
{
    return (struct sandbox_limits){.memory_bytes = setting_int(set, "sandbox.memory"),
                                   .processes = setting_int(set, "sandbox.processes"),
                                   .cpu_seconds = setting_int(set, "sandbox.cpu"),
                                   .file_bytes = setting_int(set, "sandbox.file_size"),
                                   .tmp_bytes = setting_int(set, "sandbox.tmp_size"),
                                   .disk_bytes = setting_int(set, "sandbox.disk"),
                                   .disk_floor = setting_int(set, "sandbox.disk_floor")};
}

static enum rc room_open(struct making *m, const char *label, struct shell_room *room, struct err *err)
{
    static const char *const base[] = {"GIT_CONFIG_COUNT=1",
                                       "GIT_CONFIG_KEY_0=safe.directory",
                                       "GIT_CONFIG_VALUE_0=*",
                                       "GIT_OPTIONAL_LOCKS=0",
                                       "GIT_WORK_TREE=/workspace",
                                       "GIT_DIR=/git",
                                       "TERM=xterm-256color",
                                       "SHELL=/bin/bash",
                                       "PS1=\\[\\e[36m\\]agent\\[\\e[0m\\]:\\[\\e[1m\\]\\w\\[\\e[0m\\]\\$ ",
                                       NULL};
    env_add(m, base);
    mount_add(m, room->work_dir, "/workspace", room->lock >= 0);
    git_add(m);
    enum rc rc = project_add(m, room, err);
    struct sandbox_spec spec = {.user = SANDBOX_AGENT,
                                .mounts = m->mounts,
                                .mount_count = m->n,
                                .cwd = "/workspace",
                                .env = m->env,
                                .limits = limits_of(m->settings),
                                .user_namespaces = setting_bool(m->settings, "sandbox.user_namespaces"),
                                .label = label};
    if (rc == RC_OK)
        rc = sandbox_open(room->ctx, &spec, (int)setting_int(m->settings, "sandbox.start_deadline") * 1000,
                          &room->sandbox, err);
    if (rc == RC_OK && room->lock >= 0 && sandbox_hands_over(room->sandbox)) {
        rc = sandbox_give(room->work_dir, SANDBOX_AGENT, err);
        room->given = true;
    }
    return rc;
}

enum rc shell_room_open(mem *ctx, const char *data_dir, const char *task_id, const char *session, struct json spec,
                        bool wish_write, struct shell_room *ret, struct err *err)
{
    *ret = (struct shell_room){.ctx = ctx, .lock = -1};
    struct making *m = mem_new(ctx, struct making);
    m->ctx = ctx;
    m->data_dir = data_dir;
    m->task_dir = mem_printf(ctx, "%s/tasks/%s", data_dir, task_id);
    m->spec = spec;
    ret->work_dir = mem_printf(ctx, "%s/work", m->task_dir);
    if (json_bool(json_get(spec, "no_sandbox"), false)) {
        err_set(err, RC_DENIED, "this task works without a sandbox, so a terminal would be a shell of the machine");
        return err_hint(err, "its files are in %s", ret->work_dir);
    }
    if (access(ret->work_dir, X_OK) < 0) {
        err_set(err, RC_NOT_FOUND, "the task has no files here");
        return err_hint(err, "they come with its first iteration, and go some time after its end (log.retention)");
    }
    enum rc rc = settings_from_json(ctx, json_raw(json_get(spec, "settings")), &m->settings, err);
    if (rc != RC_OK)
        return rc;
    sandbox_set_uid_base((uid_t)setting_int(m->settings, "sandbox.uid_base"));
    ret->lock = wish_write ? files_lock(m) : -1;
    rc = room_open(m, mem_printf(ctx, "%s-shell-%s", task_id, session), ret, err);
    if (rc != RC_OK)
        shell_room_close(ret, NULL);
    return rc;
}

void shell_room_close(struct shell_room *room, int *ret_left)
{
    struct err err = {0};
    room->sandbox = sandbox_close(room->sandbox, ret_left);
    if (room->given && sandbox_take(room->work_dir, &err) != RC_OK)
        log_err(&err, "the files of a shell could not be taken back");
    volume_close(&room->volumes);
    if (room->lock >= 0)
        close(fd_take(&room->lock));
    room->given = false;
}
