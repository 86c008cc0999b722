/* What of the machine's system is shown inside a sandbox.
 *
 * /usr read-only, with the links or folders that lead into it; of /etc what programs look up and no secret: tables are
 * copied, folders bound, the users' file is written anew. Bubblewrap looks at the mount table after each bind, so small
 * files are copied into its own root, which becomes read-only, rather than bound. */
#include "sandbox/launch.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ETC_FILE_MAX = 4 << 20 }; /* a larger table is left out */

static const char *const root_names[] = {"/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin"};

static const char *const etc_files[] = {
    "/etc/ld.so.cache",    "/etc/protocols",      "/etc/services",    "/etc/mime.types", "/etc/magic",
    "/etc/timezone",       "/etc/debian_version", "/etc/lsb-release", "/etc/os-release", "/etc/localtime",
    "/etc/locale.alias",   "/etc/inputrc",        "/etc/host.conf",   "/etc/gai.conf",   "/etc/shells",
    "/etc/redhat-release", "/etc/fpc.cfg",        "/etc/rpc",         "/etc/networks",   "/etc/ssl/openssl.cnf"};

/* Patterns. No private keys, no package managers' settings (they may hold tokens). */
static const char *const etc_folders[] = {"/etc/alternatives",
                                          "/etc/ssl/certs",
                                          "/etc/pki/tls/certs",
                                          "/etc/pki/ca-trust/extracted",
                                          "/etc/java-*",
                                          "/etc/maven",
                                          "/etc/perl",
                                          "/etc/php",
                                          "/etc/fonts",
                                          "/etc/xml",
                                          "/etc/sgml",
                                          "/etc/texmf",
                                          "/etc/R",
                                          "/etc/dotnet",
                                          "/etc/gnucobol",
                                          "/etc/terminfo",
                                          "/etc/crypto-policies"};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

void args_add(struct args *a, ...)
{
    va_list ap;
    va_start(ap, a);
    for (const char *arg; (arg = va_arg(ap, const char *));) {
        if (a->n + 2 > a->room) {
            a->room = a->room ? a->room * 2 : 128;
            a->v = mem_grow(a->ctx, a->v, a->room * sizeof a->v[0]);
        }
        a->v[a->n++] = arg;
        a->v[a->n] = NULL;
    }
    va_end(ap);
}

static void add_fd_file(struct args *a, int fd, const char *target)
{
    args_add(a, "--perms", "0644", "--file", mem_printf(a->ctx, "%d", fd), target, NULL);
}

/* A text of our own as a file inside. */
static enum rc add_text(struct args *a, const char *text, const char *target, struct err *err)
{
    int fd = memfd_create("text", 0);
    size_t n = strlen(text);
    if (fd < 0 || write(fd, text, n) != (ssize_t)n || lseek(fd, 0, SEEK_SET) < 0)
        return err_sys(err, errno, "Could not prepare %s for the sandbox", target);
    add_fd_file(a, fd, target);
    return RC_OK;
}

/* A link stays a link where it leads into what is shown, so that programs find the name behind it (localtime). */
static bool add_link(struct args *a, const char *path)
{
    char target[PATH_MAX];
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n <= 0)
        return false;
    target[n] = '\0';
    if (strncmp(target, "/usr/", 5) != 0 && strncmp(target, "../usr/", 7) != 0)
        return false;
    args_add(a, "--symlink", mem_str(a->ctx, target), path, NULL);
    return true;
}

static void add_file(struct args *a, const char *path)
{
    if (add_link(a, path))
        return;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & S_IROTH) && st.st_size <= ETC_FILE_MAX)
        add_fd_file(a, fd, path);
    else if (fd >= 0)
        close(fd);
}

/* Worth a mount: readable by everybody and not empty. */
static bool is_folder_with_files(const char *path)
{
    struct stat st;
    bool found = false;
    DIR *d = stat(path, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & S_IROTH) ? opendir(path) : NULL;
    for (struct dirent *e; d && !found && (e = readdir(d));)
        found = e->d_name[0] != '.';
    if (d)
        closedir(d);
    return found;
}

static void add_folders(struct args *a, const char *pattern)
{
    glob_t found;
    if (glob(pattern, GLOB_NOSORT, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++) {
            if (!is_folder_with_files(found.gl_pathv[i]))
                continue;
            const char *path = mem_str(a->ctx, found.gl_pathv[i]);
            args_add(a, "--ro-bind", path, path, NULL);
        }
    globfree(&found);
}

static void add_root_names(struct args *a)
{
    for (size_t i = 0; i < COUNT(root_names); i++) {
        struct stat st;
        char target[PATH_MAX];
        if (lstat(root_names[i], &st) < 0)
            continue;
        if (S_ISDIR(st.st_mode)) {
            args_add(a, "--ro-bind", root_names[i], root_names[i], NULL);
        } else if (S_ISLNK(st.st_mode)) {
            ssize_t n = readlink(root_names[i], target, sizeof target - 1);
            if (n > 0) {
                target[n] = '\0';
                args_add(a, "--symlink", mem_str(a->ctx, target), root_names[i], NULL);
            }
        }
    }
}

static enum rc add_users(struct args *a, enum sandbox_user user, struct err *err)
{
    const char *name = user == SANDBOX_VERIFIER ? "verifier" : "agent";
    int uid = user == SANDBOX_VERIFIER ? LAUNCH_VERIFIER_UID : LAUNCH_AGENT_UID;
    enum rc rc = add_text(a,
                          mem_printf(a->ctx,
                                     "root:x:0:0:root:/root:/usr/sbin/nologin\n%s:x:%d:%d:%s:/tmp/home:/bin/sh\n"
                                     "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
                                     name, uid, uid, name),
                          "/etc/passwd", err);
    if (rc == RC_OK)
        rc = add_text(a, mem_printf(a->ctx, "root:x:0:\n%s:x:%d:\nnogroup:x:65534:\n", name, uid), "/etc/group", err);
    if (rc == RC_OK)
        rc =
            add_text(a, "passwd: files\ngroup: files\nshadow: files\nhosts: files\nservices: files\nprotocols: files\n",
                     "/etc/nsswitch.conf", err);
    if (rc == RC_OK)
        rc =
            add_text(a, "127.0.0.1 localhost nightmill\n::1 localhost ip6-localhost ip6-loopback\n", "/etc/hosts", err);
    return rc;
}

enum rc system_args(struct args *a, enum sandbox_user user, int64_t tmp_bytes, struct err *err)
{
    const char *size = mem_printf(a->ctx, "%lld", (long long)tmp_bytes);
    args_add(a, "--ro-bind", "/usr", "/usr", NULL);
    add_root_names(a);
    for (size_t i = 0; i < COUNT(etc_files); i++)
        add_file(a, etc_files[i]);
    for (size_t i = 0; i < COUNT(etc_folders); i++)
        add_folders(a, etc_folders[i]);
    enum rc rc = add_users(a, user, err);
    args_add(a, "--proc", "/proc", "--dev", "/dev", NULL);
    /* Bubblewrap leaves /dev a writable memory of no fixed size: only shared memory stays so, with one. */
    args_add(a, "--perms", "1777", "--size", size, "--tmpfs", "/dev/shm", "--remount-ro", "/dev", NULL);
    args_add(a, "--perms", "1777", "--size", size, "--tmpfs", "/tmp", "--perms", "0700", "--dir", "/tmp/home", NULL);
    args_add(a, "--dir", "/run", "--dir", "/var", "--symlink", "../tmp", "/var/tmp", NULL);
    return rc;
}
