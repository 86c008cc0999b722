/* Control groups: where they can be made, making, watching and ending one. */
#include "os/cgroup.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define GROUP_PREFIX "nightmill-"
#define LEAF_NAME    "nightmill.main" /* not GROUP_PREFIX: no sweep may touch it */
enum {
    FILE_TEXT_MAX = 256 * 1024, /* mountinfo of a machine with a thousand mounts */
    FILE_CHUNK = 4096,
    LEAF_PROCESSES_MAX = 64, /* more processes of ours than this are nobody's runner */
    EMPTY_POLL_MS = 5,
};

struct cgroup {
    enum cgroup_kind kind;
    char *memory, *pids; /* NULL: not there; equal in version 2 */
};

/* ---- small files ---- */

static char *file_text(mem *ctx, const char *path)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    struct buf text; /* kernel files say their size only by ending */
    buf_init(&text, ctx, FILE_TEXT_MAX);
    char *room;
    while ((room = buf_reserve(&text, FILE_CHUNK))) {
        ssize_t got = read(fd, room, FILE_CHUNK);
        if (got <= 0)
            break;
        text.n += (size_t)got;
        text.p[text.n] = '\0';
    }
    return buf_take(&text, ctx);
}

/* 0 or an errno. The kernel judges a value in write(2) itself. */
static int file_put(const char *dir, const char *name, const char *value)
{
    char path[4352];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, name) >= sizeof path)
        return ENAMETOOLONG;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    size_t n = strlen(value);
    int failed = write(fd, value, n) == (ssize_t)n ? 0 : errno ? errno : EIO;
    close(fd);
    return failed;
}

/* The number after `key` and a blank in a file of "key value" lines; 0 when it is not there. */
static int64_t file_number(const char *dir, const char *name, const char *key)
{
    CLEANUP_MEM mem *tmp = mem_root();
    char *text = file_text(tmp, mem_printf(tmp, "%s/%s", dir, name));
    struct str rest = str_of(text), line, head;
    int64_t value;
    while (str_line(&rest, &line))
        if (str_next(&line, ' ', &head) && str_eqz(head, key) && str_int(str_trim(line), 0, INT64_MAX, &value))
            return value;
    return 0;
}

static bool has_word(struct str words, const char *word)
{
    struct str w;
    while (str_next(&words, ' ', &w))
        if (str_eqz(str_trim(w), word))
            return true;
    return false;
}

static bool file_has_words(const char *dir, const char *name, const char *one, const char *two)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct str text = str_of(file_text(tmp, mem_printf(tmp, "%s/%s", dir, name)));
    return has_word(text, one) && has_word(text, two);
}

/* ---- where ---- */

/* One line of mountinfo: "36 35 98:0 /root /mount/point opts tags - type source superopts" (proc(5)). */
struct mount_line {
    struct str root, point, type, options;
};
static bool mount_line_parse(struct str line, struct mount_line *ret)
{
    struct str w;
    for (int i = 0; str_next(&line, ' ', &w); i++) {
        if (i == 3)
            ret->root = w;
        else if (i == 4)
            ret->point = w;
        else if (i > 5 && str_eqz(w, "-"))
            break;
    }
    return str_next(&line, ' ', &ret->type) && str_next(&line, ' ', &w) && (ret->options = line, true);
}

/* Points of interest hold no blanks, so the octal escapes of mountinfo need no undoing: such a mount is passed over. */
static bool list_has(struct str list, const char *name)
{
    struct str w;
    while (str_next(&list, ',', &w))
        if (str_eqz(w, name))
            return true;
    return false;
}

struct hierarchy {
    const char *point; /* mount point; NULL: none */
    const char *own;   /* folder of our own group below it */
};

/* Our own group in a hierarchy. `controller` is "" for version 2 ("0::/path"), else a name in "4:memory:/path". */
static struct str own_group(struct str groups, const char *controller)
{
    struct str line;
    while (str_line(&groups, &line)) {
        struct str number, names;
        if (!str_next(&line, ':', &number) || !str_next(&line, ':', &names))
            continue;
        if (controller[0] ? list_has(names, controller) : (str_eqz(number, "0") && names.n == 0))
            return line;
    }
    return (struct str){0};
}

static struct hierarchy hierarchy_find(mem *ctx, const char *mounts, const char *groups, const char *controller)
{
    struct str rest = str_of(mounts), line;
    while (str_line(&rest, &line)) {
        struct mount_line m = {0};
        bool wanted =
            mount_line_parse(line, &m) && m.point.n > 0 && !memchr(m.point.p, '\\', m.point.n) &&
            (controller[0] ? str_eqz(m.type, "cgroup") && list_has(m.options, controller) : str_eqz(m.type, "cgroup2"));
        struct str own = wanted ? own_group(str_of(groups), controller) : (struct str){0};
        if (own.n == 0)
            continue;
        /* Inside a container only a part of the tree may be mounted: take off what is above its root. */
        if (m.root.n > 1 && str_starts(own, m.root))
            own = str_sub(own, m.root.n, own.n);
        struct hierarchy h = {.point = str_dup(ctx, m.point)};
        char *dir = mem_printf(ctx, "%s%.*s", h.point, own.n == 1 ? 0 : (int)own.n, own.p);
        struct stat st;
        h.own = stat(dir, &st) == 0 && S_ISDIR(st.st_mode) ? dir : h.point;
        return h;
    }
    return (struct hierarchy){0};
}

/* Whether groups can be made in dir: tried, because permissions alone do not tell (read-only mounts, namespaces). */
static bool can_make(const char *dir)
{
    char path[4352];
    if ((size_t)snprintf(path, sizeof path, "%s/nightmill.trial.%d", dir, (int)getpid()) >= sizeof path)
        return false;
    return mkdir(path, 0755) == 0 && rmdir(path) == 0;
}

static bool limits_given_below(const char *dir)
{
    return file_has_words(dir, "cgroup.subtree_control", "memory", "pids");
}

static bool same_program(pid_t pid)
{
    struct stat a, b;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    return stat(path, &a) == 0 && stat("/proc/self/exe", &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static size_t pids_of(const char *dir, pid_t *ret, size_t max)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct str rest = str_of(file_text(tmp, mem_printf(tmp, "%s/cgroup.procs", dir))), line;
    size_t n = 0;
    int64_t pid;
    while (str_line(&rest, &line)) {
        /* 0: a process that our pid namespace does not show. */
        if (!str_int(line, 1, INT32_MAX, &pid))
            continue;
        if (n < max)
            ret[n] = (pid_t)pid;
        n++;
    }
    return n;
}

/* A group with processes cannot limit groups below it. When all processes in a delegated group are this program's, they
 * move into a leaf, and the group is free to have children: what systemd expects of a service with Delegate=yes. */
static bool make_room(const char *own)
{
    pid_t pids[LEAF_PROCESSES_MAX];
    size_t n = pids_of(own, pids, LEAF_PROCESSES_MAX);
    if (n == 0 || n > LEAF_PROCESSES_MAX || !file_has_words(own, "cgroup.controllers", "memory", "pids"))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!same_program(pids[i]))
            return false;
    char leaf[4352], pid[16];
    if ((size_t)snprintf(leaf, sizeof leaf, "%s/%s", own, LEAF_NAME) >= sizeof leaf ||
        (mkdir(leaf, 0755) < 0 && errno != EEXIST))
        return false;
    for (size_t i = 0; i < n; i++) {
        snprintf(pid, sizeof pid, "%d", (int)pids[i]);
        if (file_put(leaf, "cgroup.procs", pid) != 0)
            return false;
    }
    return file_put(own, "cgroup.subtree_control", "+memory +pids") == 0;
}

/* A folder of the version 2 tree in which limits hold. In order: our own group, when it already gives them to its
 * children (a container's root); its parent (a desktop's app.slice; a service that made room before); a folder
 * of ours at the top (root); our own group after making room. */
static const char *place_v2(mem *ctx, const struct hierarchy *h)
{
    if (limits_given_below(h->own) && can_make(h->own))
        return h->own;
    if (strlen(h->own) > strlen(h->point)) {
        char *parent = mem_str(ctx, h->own);
        *strrchr(parent, '/') = '\0';
        if (limits_given_below(parent) && can_make(parent))
            return parent;
    }
    if (geteuid() == 0 && limits_given_below(h->point)) {
        char *top = mem_printf(ctx, "%s/nightmill", h->point);
        if ((mkdir(top, 0755) == 0 || errno == EEXIST) &&
            (limits_given_below(top) || file_put(top, "cgroup.subtree_control", "+memory +pids") == 0) && can_make(top))
            return top;
    }
    return can_make(h->own) && make_room(h->own) ? h->own : NULL;
}

void cgroup_place_find(mem *ctx, const char *proc, struct cgroup_place *ret)
{
    CLEANUP_MEM mem *tmp = mem_root();
    *ret = (struct cgroup_place){.kind = CGROUP_NONE, .words = "no cgroup"};
    const char *mounts = file_text(tmp, mem_printf(tmp, "%s/mountinfo", proc));
    const char *groups = file_text(tmp, mem_printf(tmp, "%s/cgroup", proc));
    if (!mounts || !groups) {
        snprintf(ret->why, sizeof ret->why, "%s/mountinfo or %s/cgroup cannot be read", proc, proc);
        return;
    }
    struct hierarchy v2 = hierarchy_find(tmp, mounts, groups, "");
    bool v2_useful = v2.point && file_has_words(v2.own, "cgroup.controllers", "memory", "pids");
    const char *dir = v2_useful ? place_v2(tmp, &v2) : NULL;
    if (dir) {
        ret->kind = CGROUP_V2;
        ret->memory = ret->pids = mem_str(ctx, dir);
        snprintf(ret->words, sizeof ret->words, "cgroup v2 memory, pids");
        return;
    }
    struct hierarchy memory = hierarchy_find(tmp, mounts, groups, "memory");
    struct hierarchy pids = hierarchy_find(tmp, mounts, groups, "pids");
    if (memory.point && can_make(memory.own))
        ret->memory = mem_str(ctx, memory.own);
    if (pids.point && can_make(pids.own))
        ret->pids = mem_str(ctx, pids.own);
    if (ret->memory || ret->pids) {
        ret->kind = CGROUP_V1;
        snprintf(ret->words, sizeof ret->words, "cgroup v1 %s%s%s", ret->memory ? "memory" : "",
                 ret->memory && ret->pids ? ", " : "", ret->pids ? "pids" : "");
        return;
    }
    const char *own = v2_useful ? v2.own : memory.point ? memory.own : "";
    if (own[0])
        snprintf(ret->why, sizeof ret->why, "no group can be made in %.200s", own);
    else
        snprintf(ret->why, sizeof ret->why, "neither a cgroup v2 with memory and pids nor a v1 is mounted");
}

/* ---- one group ---- */

/* Start time of a process in clock ticks since boot (field 22 of proc(5) stat), 0 when there is none. */
static uint64_t start_time(pid_t pid)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *text = file_text(tmp, mem_printf(tmp, "/proc/%d/stat", (int)pid));
    const char *after = text ? strrchr(text, ')') : NULL; /* the name may hold anything */
    struct str rest = str_of(after ? after + 1 : ""), w;
    rest = str_trim(rest);
    int64_t ticks = 0;
    for (int field = 3; str_next(&rest, ' ', &w); field++)
        if (field == 22)
            return str_int(w, 0, INT64_MAX, &ticks) ? (uint64_t)ticks : 0;
    return 0;
}

/* A process number means something only in its pid namespace. */
static uint64_t pid_namespace(void)
{
    struct stat st;
    return stat("/proc/self/ns/pid", &st) == 0 ? (uint64_t)st.st_ino : 0;
}

static int number_put(const char *dir, const char *name, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    return file_put(dir, name, text);
}

static enum rc limits_set(const struct cgroup *cg, const struct cgroup_limits *limits, struct err *err)
{
    bool v2 = cg->kind == CGROUP_V2;
    if (cg->memory && limits->memory_bytes > 0) {
        int failed = number_put(cg->memory, v2 ? "memory.max" : "memory.limit_in_bytes", limits->memory_bytes);
        if (failed)
            return err_sys(err, failed, "Could not limit the memory of a control group");
        /* Without this a hog moves to swap instead of ending. Kernels without swap accounting have no such file. */
        if (v2)
            (void)file_put(cg->memory, "memory.swap.max", "0");
        else
            (void)number_put(cg->memory, "memory.memsw.limit_in_bytes", limits->memory_bytes);
    }
    if (cg->pids && limits->processes > 0) {
        int failed = number_put(cg->pids, "pids.max", limits->processes);
        if (failed)
            return err_sys(err, failed, "Could not limit the processes of a control group");
    }
    return RC_OK;
}

static char *group_make(mem *ctx, const char *dir, const char *name)
{
    char *path = mem_printf(ctx, "%s/%s", dir, name);
    return mkdir(path, 0755) == 0 ? path : NULL;
}

enum rc cgroup_open(mem *ctx, const struct cgroup_place *place, const char *label, const struct cgroup_limits *limits,
                    struct cgroup **ret, struct err *err)
{
    static unsigned next;
    CLEANUP_MEM mem *tmp = mem_root();
    if (place->kind == CGROUP_NONE)
        return err_set(err, RC_UNAVAILABLE, "This machine offers no control groups");
    struct str rest = str_of(label);
    char *word = str_dup(tmp, str_sub(rest, 0, 64));
    for (char *c = word; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_')
            *c = '-';
    char *name = mem_printf(tmp, GROUP_PREFIX "%llu-%d-%llu-%u-%s", (unsigned long long)pid_namespace(), (int)getpid(),
                            (unsigned long long)start_time(getpid()), ++next, word);
    struct cgroup *cg = mem_new(ctx, struct cgroup);
    cg->kind = place->kind;
    if (place->memory && !(cg->memory = group_make(cg, place->memory, name)))
        goto fail_make;
    if (cg->kind == CGROUP_V2)
        cg->pids = cg->memory;
    else if (place->pids && !(cg->pids = group_make(cg, place->pids, name)))
        goto fail_make;
    enum rc rc = limits_set(cg, limits, err);
    if (rc != RC_OK) {
        cgroup_close(cg, 0);
        mem_free(cg);
        return rc;
    }
    *ret = cg;
    return RC_OK;
fail_make:
    rc = err_sys(err, errno, "Could not make a control group in %s", cg->memory ? place->pids : place->memory);
    cgroup_close(cg, 0);
    mem_free(cg);
    return rc;
}

int cgroup_add(const struct cgroup *cg, pid_t pid)
{
    int failed = cg->memory ? number_put(cg->memory, "cgroup.procs", pid) : 0;
    if (!failed && cg->pids && cg->pids != cg->memory)
        failed = number_put(cg->pids, "cgroup.procs", pid);
    return failed;
}

size_t cgroup_list(const struct cgroup *cg, pid_t *ret_pids, size_t max)
{
    return pids_of(cg->pids ? cg->pids : cg->memory, ret_pids, max);
}

struct cgroup_events cgroup_events(const struct cgroup *cg)
{
    struct cgroup_events e = {0};
    if (cg->memory)
        e.memory_kills =
            file_number(cg->memory, cg->kind == CGROUP_V2 ? "memory.events" : "memory.oom_control", "oom_kill");
    if (cg->pids)
        e.processes_denied = file_number(cg->pids, "pids.events", "max");
    return e;
}

/* One round. True when the group is empty. */
static bool kill_round(const char *dir)
{
    enum { AT_ONCE = 4096 };
    CLEANUP_MEM mem *tmp = mem_root();
    pid_t *pids = mem_array(tmp, pid_t, AT_ONCE);
    size_t n = pids_of(dir, pids, AT_ONCE);
    if (n == 0)
        return true;
    if (file_put(dir, "cgroup.kill", "1") == 0) /* version 2 since Linux 5.14: forks cannot outrun it */
        return false;
    for (size_t i = 0; i < n && i < AT_ONCE; i++)
        if (pids[i] != getpid())
            kill(pids[i], SIGKILL);
    return false;
}

static bool group_end(const char *dir, int64_t until_ms)
{
    for (;;) {
        bool empty = kill_round(dir);
        if (empty && (rmdir(dir) == 0 || errno == ENOENT))
            return true;
        if (clock_mono_ms() >= until_ms)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = EMPTY_POLL_MS * 1000000L}, NULL);
    }
}

bool cgroup_close(struct cgroup *cg, int timeout_ms)
{
    if (!cg)
        return true;
    int64_t until = clock_mono_ms() + timeout_ms;
    bool gone = !cg->pids || group_end(cg->pids, until);
    if (cg->memory && cg->memory != cg->pids)
        gone = group_end(cg->memory, until) && gone;
    mem_free(cg);
    return gone;
}

/* ---- what others left ---- */

/* Whether the maker named in "nightmill-NAMESPACE-PID-START-..." is gone. Names of another shape are nobody's, those of
 * another namespace cannot be judged. */
static bool maker_gone(const char *name)
{
    struct str rest = str_of(name), w;
    int64_t numbers[3];
    if (!str_starts(rest, STR(GROUP_PREFIX)))
        return false;
    rest = str_sub(rest, sizeof GROUP_PREFIX - 1, rest.n);
    for (int i = 0; i < 3; i++)
        if (!str_next(&rest, '-', &w) || !str_int(w, 0, INT64_MAX, &numbers[i]))
            return false;
    return (uint64_t)numbers[0] == pid_namespace() && numbers[1] > 0 && numbers[1] <= INT32_MAX &&
           start_time((pid_t)numbers[1]) != (uint64_t)numbers[2];
}

static int sweep_folder(const char *dir)
{
    DIR *d = opendir(dir);
    if (!d)
        return 0;
    int n = 0;
    char path[4352];
    for (struct dirent *e; (e = readdir(d));)
        if (maker_gone(e->d_name) && (size_t)snprintf(path, sizeof path, "%s/%s", dir, e->d_name) < sizeof path)
            n += group_end(path, clock_mono_ms() + 200);
    closedir(d);
    return n;
}

int cgroup_sweep(const struct cgroup_place *place)
{
    int n = place->memory ? sweep_folder(place->memory) : 0;
    if (place->pids && place->pids != place->memory)
        n += sweep_folder(place->pids);
    return n;
}
