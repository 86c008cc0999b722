/* Writing the files of a tree. See export.h for the idea. Not here: filters, line ends, anything that changes a byte.
 */
#include "repo/export.h"
#include "base/clock.h"
#include "repo/git.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    DEPTH_MAX = 256, /* folders within each other; each holds a descriptor while we are in it */
    WRITERS_MAX = 4,
    QUEUE_JOBS = 64,       /* each may hold a folder open */
    QUEUE_BYTES = 8 << 20, /* waiting for one writer */
    WHOLE_MAX = 2 << 20,   /* larger blobs are streamed by the reader */
    READ_BUFFER = 256 * 1024,
    PIPE_BYTES = 1 << 20,
};

/* ---- Folders ---- */

/* An open folder, shared by the reader and the files that wait to be written into it. */
struct folder {
    int fd;
    unsigned writer; /* which writer makes its files: two writers in one folder wait for each other */
    atomic_int refs;
};

static void folder_unref(struct folder *f)
{
    if (f && atomic_fetch_sub(&f->refs, 1) == 1) {
        close(f->fd);
        free(f);
    }
}

static struct folder *folder_new(int fd, unsigned writer)
{
    struct folder *f = calloc(1, sizeof *f);
    BUG_ON(!f);
    f->fd = fd;
    f->writer = writer;
    atomic_init(&f->refs, 1);
    return f;
}

/* ---- Jobs and writers ---- */

struct job {
    struct job *next;
    struct folder *folder;
    const char *name; /* of the entry, which outlives the job */
    size_t index;
    unsigned mode;
    size_t n;
    char data[];
};

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct job *first, **last;
    size_t bytes, jobs;
    bool closed;
    pthread_t thread;
};

struct export
{
    uid_t uid;
    gid_t gid;
    bool give;      /* the owner differs from ours */
    bool must_give; /* and we have the power */
    struct file_stamp *stamps;
    const struct repo_entry *entries;
    unsigned writers, next_writer;
    struct queue queues[WRITERS_MAX];
    /* First failure of a writer; index of its entry. */
    pthread_mutex_t lock;
    int failed;
    size_t failed_at;
    atomic_bool stop;
};

static void export_fail(struct export *x, int errnum, size_t index)
{
    pthread_mutex_lock(&x->lock);
    if (!x->failed) {
        x->failed = errnum;
        x->failed_at = index;
    }
    pthread_mutex_unlock(&x->lock);
    atomic_store(&x->stop, true);
}

static void stamp_set(struct export *x, size_t index, const struct stat *st)
{
    if (!x->stamps)
        return;
    x->stamps[index] = (struct file_stamp){
        .ctime_s = (uint32_t)st->st_ctim.tv_sec,
        .ctime_ns = (uint32_t)st->st_ctim.tv_nsec,
        .mtime_s = (uint32_t)st->st_mtim.tv_sec,
        .mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
        .dev = (uint32_t)st->st_dev,
        .ino = (uint32_t)st->st_ino,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .size = (uint32_t)st->st_size,
    };
}

static bool write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        p += done;
        n -= (size_t)done;
    }
    return true;
}

/* An unprivileged process cannot give files away: they stay ours then. */
static bool gave(const struct export *x, int result)
{
    return result == 0 || (errno == EPERM && !x->must_give);
}

static int file_create(struct folder *f, const char *name, unsigned mode)
{
    return openat(f->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode & 0111 ? 0755 : 0644);
}

/* Owner and stamp of a file whose contents are complete. */
static bool file_finish(struct export *x, int fd, size_t index)
{
    struct stat st;
    if (x->give && !gave(x, fchown(fd, x->uid, x->gid)))
        return false;
    if (x->stamps && fstat(fd, &st) < 0)
        return false;
    if (x->stamps)
        stamp_set(x, index, &st);
    return true;
}

static bool link_write(struct export *x, struct job *j)
{
    struct stat st;
    if (j->n == 0 || j->n >= PATH_MAX || memchr(j->data, '\0', j->n)) {
        errno = EINVAL;
        return false;
    }
    j->data[j->n] = '\0'; /* there is room */
    if (symlinkat(j->data, j->folder->fd, j->name) < 0)
        return false;
    if (x->give && !gave(x, fchownat(j->folder->fd, j->name, x->uid, x->gid, AT_SYMLINK_NOFOLLOW)))
        return false;
    if (x->stamps && fstatat(j->folder->fd, j->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    if (x->stamps)
        stamp_set(x, j->index, &st);
    return true;
}

static bool job_write(struct export *x, struct job *j)
{
    if ((j->mode & S_IFMT) == S_IFLNK)
        return link_write(x, j);
    CLEANUP_FD int fd = file_create(j->folder, j->name, j->mode);
    return fd >= 0 && write_all(fd, j->data, j->n) && file_finish(x, fd, j->index);
}

static struct job *queue_take(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    while (!q->first && !q->closed)
        pthread_cond_wait(&q->changed, &q->lock);
    struct job *all = q->first; /* all at once: the lock is taken seldom */
    q->first = NULL;
    q->last = &q->first;
    q->bytes = q->jobs = 0;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
    return all;
}

static void queue_put(struct queue *q, struct job *j)
{
    pthread_mutex_lock(&q->lock);
    while (q->bytes > QUEUE_BYTES || q->jobs == QUEUE_JOBS)
        pthread_cond_wait(&q->changed, &q->lock);
    bool wake = !q->first;
    *q->last = j;
    q->last = &j->next;
    q->bytes += j->n + sizeof *j;
    q->jobs++;
    if (wake)
        pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
}

struct writer_arg {
    struct export *x;
    struct queue *q;
};

static void *writer_main(void *p)
{
    struct writer_arg a = *(struct writer_arg *)p;
    free(p);
    for (struct job *j; (j = queue_take(a.q));) {
        while (j) {
            struct job *next = j->next;
            if (!atomic_load(&a.x->stop) && !job_write(a.x, j))
                export_fail(a.x, errno, j->index);
            folder_unref(j->folder);
            free(j);
            j = next;
        }
    }
    return NULL;
}

static void writers_start(struct export *x, size_t files)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned want = files < 64 || cpus < 2 ? 1 : cpus > WRITERS_MAX ? WRITERS_MAX : (unsigned)cpus;
    pthread_mutex_init(&x->lock, NULL);
    sigset_t all, before; /* signals are the main thread's business */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 0; i < want; i++) {
        struct queue *q = &x->queues[i];
        struct writer_arg *a = malloc(sizeof *a);
        BUG_ON(!a);
        *a = (struct writer_arg){x, q};
        pthread_mutex_init(&q->lock, NULL);
        pthread_cond_init(&q->changed, NULL);
        q->last = &q->first;
        if (pthread_create(&q->thread, NULL, writer_main, a) != 0) {
            free(a);
            pthread_mutex_destroy(&q->lock);
            pthread_cond_destroy(&q->changed);
            break;
        }
        x->writers++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void writers_end(struct export *x)
{
    for (unsigned i = 0; i < x->writers; i++) {
        struct queue *q = &x->queues[i];
        pthread_mutex_lock(&q->lock);
        q->closed = true;
        pthread_cond_broadcast(&q->changed);
        pthread_mutex_unlock(&q->lock);
        pthread_join(q->thread, NULL);
        pthread_mutex_destroy(&q->lock);
        pthread_cond_destroy(&q->changed);
    }
    pthread_mutex_destroy(&x->lock);
}

/* ---- Where we are in the tree ---- */

/* The folders from the top to the current one. */
struct trail {
    struct export *x;
    struct folder *folders[DEPTH_MAX];
    const char *path;      /* current folder: the first `len[depth]` bytes */
    size_t len[DEPTH_MAX]; /* folders[i] is named by that many bytes of path */
    int depth;             /* 0: the top */
};

static void trail_up(struct trail *t, int depth)
{
    while (t->depth > depth)
        folder_unref(t->folders[t->depth--]);
}

/* Enters the folder called by n bytes at p, making it when it is not there. Returns 0 or an errno. */
static int trail_down(struct trail *t, const char *path, size_t from, size_t to)
{
    char name[NAME_MAX + 1];
    struct export *x = t->x;
    if (!git_part_allowed(str_n(path + from, to - from)) || t->depth + 1 == DEPTH_MAX)
        return EINVAL;
    memcpy(name, path + from, to - from);
    name[to - from] = '\0';
    int above = t->folders[t->depth]->fd;
    bool made = mkdirat(above, name, 0755) == 0;
    if (!made && errno != EEXIST)
        return errno;
    CLEANUP_FD int fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno;
    if (made && x->give && !gave(x, fchown(fd, x->uid, x->gid)))
        return errno;
    unsigned writer = x->writers ? x->next_writer++ % x->writers : 0;
    t->depth++;
    t->folders[t->depth] = folder_new(fd_take(&fd), writer);
    t->len[t->depth] = to;
    return 0;
}

/* Goes to the folder of `path`; *ret_name is its last part. Returns 0 or an errno. */
static int trail_go(struct trail *t, const char *path, const char **ret_name)
{
    int keep = 0;
    while (keep < t->depth && strncmp(path, t->path, t->len[keep + 1]) == 0 && path[t->len[keep + 1]] == '/')
        keep++;
    trail_up(t, keep);
    t->path = path;
    size_t from = keep ? t->len[keep] + 1 : 0;
    for (const char *slash; (slash = strchr(path + from, '/')); from = (size_t)(slash - path) + 1) {
        int failed = trail_down(t, path, from, (size_t)(slash - path));
        if (failed)
            return failed;
    }
    *ret_name = path + from;
    return git_part_allowed(str_of(path + from)) ? 0 : EINVAL;
}

/* ---- Blobs from git ---- */

struct source {
    pid_t pid;
    int fd, words_fd;
    int64_t deadline_ms;
    char *buffer;
    size_t at, end;
};

/* More bytes into the buffer; false at the end, on failure or when git takes too long (errno says). */
static bool source_fill(struct source *s)
{
    for (;;) {
        int64_t left = s->deadline_ms - clock_mono_ms();
        struct pollfd p = {.fd = s->fd, .events = POLLIN};
        int ready = left > 0 ? poll(&p, 1, left > INT_MAX ? INT_MAX : (int)left) : 0;
        if (ready == 0) {
            errno = ETIMEDOUT;
            return false;
        }
        ssize_t n = ready < 0 ? -1 : read(s->fd, s->buffer, READ_BUFFER);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = EPIPE;
        s->at = 0;
        s->end = n > 0 ? (size_t)n : 0;
        return n > 0;
    }
}

static bool source_read(struct source *s, char *to, size_t n)
{
    while (n > 0) {
        if (s->at == s->end && !source_fill(s))
            return false;
        size_t some = n < s->end - s->at ? n : s->end - s->at;
        memcpy(to, s->buffer + s->at, some);
        s->at += some;
        to += some;
        n -= some;
    }
    return true;
}

/* "<oid> blob <size>\n"; EPROTO when git says anything else (a missing object). */
static bool source_header(struct source *s, const char *oid, int64_t *ret_size)
{
    char line[160];
    size_t n = 0;
    do {
        if (n == sizeof line || !source_read(s, &line[n], 1))
            return false;
    } while (line[n++] != '\n');
    struct str rest = str_n(line, n - 1), word;
    bool good = str_next(&rest, ' ', &word) && str_eqz(word, oid) && str_next(&rest, ' ', &word) &&
                str_eqz(word, "blob") && str_next(&rest, ' ', &word) && str_int(word, 0, INT64_MAX, ret_size);
    if (!good)
        errno = EPROTO;
    return good;
}

static int memfd_of(mem *ctx, const struct repo_entry *entries, size_t n, const char *name)
{
    struct buf b;
    buf_init(&b, ctx, GIT_BIG_OUT);
    for (size_t i = 0; i < n; i++)
        if (entries[i].mode != 0160000)
            buf_printf(&b, "%s\n", entries[i].oid);
    CLEANUP_FD int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0 || b.overflow || !write_all(fd, b.p ? b.p : "", b.n) || lseek(fd, 0, SEEK_SET) < 0)
        return -1;
    return fd_take(&fd);
}

static enum rc source_open(mem *ctx, const char *git_dir, const struct repo_entry *entries, size_t n,
                           struct source *ret, struct err *err)
{
    struct git g = {.git_dir = git_dir};
    struct proc_spec spec;
    int p[2];
    git_spec(ctx, &g, GIT_ARGS("cat-file", "--batch", "--buffer"), &spec);
    CLEANUP_FD int names = memfd_of(ctx, entries, n, "nightmill-names");
    CLEANUP_FD int words = memfd_create("nightmill-words", MFD_CLOEXEC);
    if (names < 0 || words < 0 || pipe2(p, O_CLOEXEC) < 0)
        return err_sys(err, errno, "Could not prepare to read files from the repository");
    CLEANUP_FD int out = p[1];
    ret->fd = p[0];
    fcntl(ret->fd, F_SETPIPE_SZ, PIPE_BYTES); /* fewer turns; a smaller one works too */
    spec.fds[0] = names;
    spec.fds[1] = out;
    spec.fds[2] = words;
    spec.fd_count = 3;
    enum rc rc = proc_start(&spec, &ret->pid, NULL, err);
    if (rc != RC_OK)
        return rc;
    ret->words_fd = fd_take(&words);
    ret->buffer = mem_zalloc(ctx, READ_BUFFER);
    ret->deadline_ms = clock_mono_ms() + GIT_LONG_MS;
    return RC_OK;
}

/* Ends git (which dies of the closed pipe when it has more to say); its words in ctx. */
static struct str source_close(mem *ctx, struct source *s, bool good)
{
    fd_cleanup(&s->fd);
    char *words = mem_zalloc(ctx, 2048);
    ssize_t n = 0;
    if (s->pid > 0) {
        if (!good)
            kill(s->pid, SIGKILL);
        while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        n = pread(s->words_fd, words, 2047, 0);
    }
    fd_cleanup(&s->words_fd);
    return str_n(words, n > 0 ? (size_t)n : 0);
}

/* ---- The whole ---- */

/* A blob too large to hold: straight from git into its file. */
static int stream_large(struct export *x, struct source *s, struct folder *f, const char *name, unsigned mode,
                        size_t index, int64_t size)
{
    CLEANUP_FD int fd = file_create(f, name, mode);
    if (fd < 0)
        return errno;
    while (size > 0) {
        if (s->at == s->end && !source_fill(s))
            return errno;
        size_t some = s->end - s->at;
        some = (int64_t)some < size ? some : (size_t)size;
        if (!write_all(fd, s->buffer + s->at, some))
            return errno;
        s->at += some;
        size -= (int64_t)some;
    }
    return file_finish(x, fd, index) ? 0 : errno;
}

static int export_blob(struct export *x, struct source *s, struct trail *t, const struct repo_entry *e, size_t index)
{
    const char *name;
    int64_t size;
    char newline;
    int failed = trail_go(t, e->path, &name);
    if (failed)
        return failed;
    struct folder *f = t->folders[t->depth];
    if (e->mode == 0160000)
        return mkdirat(f->fd, name, 0755) < 0 ||
                       (x->give && !gave(x, fchownat(f->fd, name, x->uid, x->gid, AT_SYMLINK_NOFOLLOW)))
                   ? errno
                   : 0;
    if (!source_header(s, e->oid, &size))
        return errno;
    if (size > WHOLE_MAX && (e->mode & S_IFMT) != S_IFLNK) {
        failed = stream_large(x, s, f, name, e->mode, index, size);
        return failed ? failed : source_read(s, &newline, 1) ? 0 : errno;
    }
    if (size > WHOLE_MAX)
        return EINVAL;
    struct job *j = malloc(sizeof *j + (size_t)size + 1);
    BUG_ON(!j);
    *j = (struct job){.folder = f, .name = name, .index = index, .mode = e->mode, .n = (size_t)size};
    if (!source_read(s, j->data, j->n) || !source_read(s, &newline, 1)) {
        failed = errno;
        free(j);
        return failed;
    }
    atomic_fetch_add(&f->refs, 1);
    queue_put(&x->queues[f->writer], j);
    return 0;
}

static enum rc export_words(struct err *err, int failed, const char *path, struct str words)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *shown = git_show(tmp, path);
    switch (failed) {
    case EINVAL:
    case EEXIST:
    case ELOOP:
    case ENOTDIR:
        err_set(err, RC_INVALID, "The tree holds a file that cannot be written: %s", shown);
        err_detail(err, "Its name is not allowed, stands there twice, or lies too deep.");
        return RC_INVALID;
    case EPROTO:
        err_set(err, RC_NOT_FOUND, "The contents of %s are missing in the repository", shown);
        err_hint(err, "If it is a partial clone, fetch everything: git fetch --refetch --no-filter");
        return RC_NOT_FOUND;
    case EPIPE:
        return git_failed(err, "read files from the repository", words);
    case ETIMEDOUT:
        return err_set(err, RC_TIMEOUT, "git took too long to give the contents of %s", shown);
    }
    return err_sys(err, failed, "Could not write %s", shown);
}

enum rc export_files(const char *git_dir, const struct repo_entry *entries, size_t n, const char *dir, uid_t uid,
                     gid_t gid, struct file_stamp *stamps, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct export *x = mem_new(tmp, struct export);
    struct trail *t = mem_new(tmp, struct trail);
    struct source s = {.fd = -1, .words_fd = -1};
    *x = (struct export){.uid = uid, .gid = gid, .stamps = stamps, .entries = entries};
    x->give = (uid != (uid_t)-1 && uid != geteuid()) || (gid != (gid_t)-1 && gid != getegid());
    x->must_give = geteuid() == 0;
    CLEANUP_FD int top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (top < 0)
        return err_sys(err, errno, "Could not open the folder %s", dir);
    if (x->give && !gave(x, fchown(top, uid, gid)))
        return err_sys(err, errno, "Could not hand over the folder %s", dir);
    enum rc rc = source_open(tmp, git_dir, entries, n, &s, err);
    if (rc != RC_OK) {
        source_close(tmp, &s, false);
        return rc;
    }
    mode_t mask = umask(0); /* modes are the tree's */
    writers_start(x, n);
    *t = (struct trail){.x = x, .path = ""};
    t->folders[0] = folder_new(fd_take(&top), 0);
    int failed = x->writers ? 0 : EAGAIN;
    size_t i = 0;
    for (; i < n && !failed && !atomic_load(&x->stop); i++)
        failed = export_blob(x, &s, t, &entries[i], i);
    size_t failed_at = failed && i ? i - 1 : 0;
    trail_up(t, 0);
    folder_unref(t->folders[0]);
    writers_end(x);
    umask(mask);
    struct str words = source_close(tmp, &s, !failed && !x->failed);
    if (x->failed) {
        failed = x->failed;
        failed_at = x->failed_at;
    }
    return failed ? export_words(err, failed, n ? entries[failed_at].path : "", words) : RC_OK;
}

static bool folder_is_empty(const char *dir)
{
    return rmdir(dir) == 0 || errno == ENOENT;
}

enum rc repo_export(const char *git_dir, const char *treeish, const char *dir, uid_t uid, gid_t gid, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct repo_entry *entries;
    size_t n;
    struct stat st;
    mode_t mode = stat(dir, &st) == 0 ? st.st_mode & 07777 : 0755; /* an empty folder keeps its mode */
    enum rc rc = repo_list(tmp, git_dir, treeish, &entries, &n, err);
    if (rc != RC_OK)
        return rc;
    if (!folder_is_empty(dir))
        return errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR
                   ? err_set(err, RC_CONFLICT, "The folder %s is not empty", dir)
                   : err_sys(err, errno, "Could not use the folder %s", dir);
    if (mkdir(dir, 0700) < 0 || chmod(dir, mode) < 0)
        return err_sys(err, errno, "Could not make the folder %s", dir);
    return export_files(git_dir, entries, n, dir, uid, gid, NULL, err);
}
