/* The sandbox's system call filter, built with libseccomp. */
#include "os/seccomp.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

enum { ALWAYS, UNLESS_DEBUG, UNLESS_NAMESPACES };
/* number: for libraries older than the call; since Linux 5.1 new calls have the same number everywhere. 0: by name
 * only. */
struct denied {
    const char *name;
    int number;
    int errnum;
    int when;
};
static const struct denied denied[] = {
    /* other processes */
    {"ptrace", 0, EPERM, UNLESS_DEBUG},
    {"process_vm_readv", 0, EPERM, UNLESS_DEBUG},
    {"process_vm_writev", 0, EPERM, ALWAYS},
    {"process_madvise", 440, EPERM, ALWAYS},
    {"pidfd_getfd", 438, EPERM, ALWAYS},
    {"kcmp", 0, EPERM, ALWAYS},
    {"move_pages", 0, EPERM, ALWAYS},
    {"migrate_pages", 0, EPERM, ALWAYS},
    /* mounts and file handles */
    {"mount", 0, EPERM, UNLESS_NAMESPACES},
    {"umount", 0, EPERM, UNLESS_NAMESPACES},
    {"umount2", 0, EPERM, UNLESS_NAMESPACES},
    {"pivot_root", 0, EPERM, UNLESS_NAMESPACES},
    {"chroot", 0, EPERM, UNLESS_NAMESPACES},
    {"open_tree", 428, ENOSYS, ALWAYS},
    {"open_tree_attr", 467, ENOSYS, ALWAYS},
    {"move_mount", 429, ENOSYS, ALWAYS},
    {"fsopen", 430, ENOSYS, ALWAYS},
    {"fsconfig", 431, ENOSYS, ALWAYS},
    {"fsmount", 432, ENOSYS, ALWAYS},
    {"fspick", 433, ENOSYS, ALWAYS},
    {"mount_setattr", 442, ENOSYS, ALWAYS},
    {"open_by_handle_at", 0, EPERM, ALWAYS},
    {"name_to_handle_at", 0, EOPNOTSUPP, ALWAYS},
    {"fanotify_init", 0, EPERM, ALWAYS},
    {"quotactl", 0, EPERM, ALWAYS},
    {"quotactl_fd", 443, ENOSYS, ALWAYS},
    {"swapon", 0, EPERM, ALWAYS},
    {"swapoff", 0, EPERM, ALWAYS},
    {"uselib", 0, ENOSYS, ALWAYS},
    {"sysfs", 0, ENOSYS, ALWAYS},
    {"ustat", 0, ENOSYS, ALWAYS},
    {"nfsservctl", 0, ENOSYS, ALWAYS},
    /* namespaces; clone and unshare are judged by their flags below */
    {"setns", 0, EPERM, UNLESS_NAMESPACES},
    {"clone3", 435, ENOSYS, ALWAYS}, /* its flags lie in memory, out of a filter's sight; libc falls back to clone */
    /* the kernel itself */
    {"bpf", 0, EPERM, ALWAYS},
    {"perf_event_open", 0, EPERM, ALWAYS},
    {"userfaultfd", 0, ENOSYS, ALWAYS},
    {"io_uring_setup", 425, ENOSYS, ALWAYS},
    {"io_uring_enter", 426, ENOSYS, ALWAYS},
    {"io_uring_register", 427, ENOSYS, ALWAYS},
    {"kexec_load", 0, EPERM, ALWAYS},
    {"kexec_file_load", 0, EPERM, ALWAYS},
    {"init_module", 0, EPERM, ALWAYS},
    {"finit_module", 0, EPERM, ALWAYS},
    {"delete_module", 0, EPERM, ALWAYS},
    {"create_module", 0, ENOSYS, ALWAYS},
    {"get_kernel_syms", 0, ENOSYS, ALWAYS},
    {"query_module", 0, ENOSYS, ALWAYS},
    {"lookup_dcookie", 0, ENOSYS, ALWAYS},
    {"add_key", 0, EPERM, ALWAYS},
    {"request_key", 0, EPERM, ALWAYS},
    {"keyctl", 0, EPERM, ALWAYS},
    {"syslog", 0, EPERM, ALWAYS},
    {"acct", 0, EPERM, ALWAYS},
    {"reboot", 0, EPERM, ALWAYS},
    {"sethostname", 0, EPERM, UNLESS_NAMESPACES},
    {"setdomainname", 0, EPERM, UNLESS_NAMESPACES},
    {"settimeofday", 0, EPERM, ALWAYS},
    {"clock_settime", 0, EPERM, ALWAYS},
    {"stime", 0, EPERM, ALWAYS},
    {"vhangup", 0, EPERM, ALWAYS},
    {"iopl", 0, EPERM, ALWAYS},
    {"ioperm", 0, EPERM, ALWAYS},
    {"vm86", 0, ENOSYS, ALWAYS},
    {"vm86old", 0, ENOSYS, ALWAYS},
};
enum { DENIED_COUNT = sizeof denied / sizeof denied[0] };

/* Any of these makes a namespace. CLONE_NEWTIME is part of clone's exit signal and so only unshare's. */
static const unsigned clone_flags[] = {CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                       CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};

/* The library's own codes: all below 0. Keeps the first. */
static void add(int *failed, int got)
{
    if (*failed == 0 && got < 0)
        *failed = got;
}

static void deny_listed(scmp_filter_ctx f, const struct seccomp_choice *choice, int *failed)
{
    for (int i = 0; i < DENIED_COUNT; i++) {
        const struct denied *d = &denied[i];
        if ((d->when == UNLESS_DEBUG && choice->debug) || (d->when == UNLESS_NAMESPACES && choice->namespaces))
            continue;
        int number = seccomp_syscall_resolve_name(d->name);
        if (number < 0) /* unknown to the library, or not on this machine */
            number = d->number;
        if (number > 0)
            add(failed, seccomp_rule_add(f, SCMP_ACT_ERRNO((uint32_t)d->errnum), number, 0));
    }
}

/* Compared in 32 bits where the kernel reads an int or unsigned: the upper half is the caller's to fill. */
static void deny_namespaces(scmp_filter_ctx f, int *failed)
{
    const uint32_t no = SCMP_ACT_ERRNO(EPERM);
    for (size_t i = 0; i < sizeof clone_flags / sizeof clone_flags[0]; i++) {
        unsigned flag = clone_flags[i];
        add(failed, seccomp_rule_add(f, no, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag)));
        add(failed, seccomp_rule_add(f, no, SCMP_SYS(unshare), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag)));
    }
    add(failed,
        seccomp_rule_add(f, no, SCMP_SYS(unshare), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWTIME, CLONE_NEWTIME)));
}

/* Keys pushed into a terminal's input are read by the shell outside. */
static void deny_terminal_input(scmp_filter_ctx f, int *failed)
{
    static const unsigned requests[] = {TIOCSTI, TIOCLINUX};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
        add(failed, seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                                     SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffu, requests[i])));
}

/* Unix, IPv4, IPv6 and the routing kind of netlink (getifaddrs). A family with upper bits set is above all of them. */
static void deny_sockets(scmp_filter_ctx f, int *failed)
{
    const uint32_t no = SCMP_ACT_ERRNO(EAFNOSUPPORT);
    add(failed, seccomp_rule_add(f, no, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_GT, AF_NETLINK)));
    for (unsigned family = 0; family < AF_NETLINK; family++)
        if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
            add(failed, seccomp_rule_add(f, no, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, family)));
    add(failed, seccomp_rule_add(f, no, SCMP_SYS(socket), 2, SCMP_A0(SCMP_CMP_EQ, AF_NETLINK),
                                 SCMP_A2(SCMP_CMP_NE, 0 /* NETLINK_ROUTE */)));
}

/* Only the plain personality, no address randomisation (debuggers, some test runners), 32-bit names in uname, and the
 * question 0xffffffff. A rule compares an argument once, so "not in this set" is said bit by bit: bits that must be
 * clear while the top bit is, and bits that must be set while the top bit is. */
static void deny_personalities(scmp_filter_ctx f, int *failed)
{
    const unsigned top = 0x80000000u, fine = PER_LINUX32 | UNAME26 | ADDR_NO_RANDOMIZE;
    for (unsigned bit = 1; bit != top; bit <<= 1) {
        if (!(bit & fine))
            add(failed, seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(personality), 1,
                                         SCMP_A0(SCMP_CMP_MASKED_EQ, top | bit, bit)));
        add(failed, seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(personality), 1,
                                     SCMP_A0(SCMP_CMP_MASKED_EQ, top | bit, top)));
    }
}

/* A program inside may make its own limits; those of another process (our init) are not its business. */
static void deny_foreign_limits(scmp_filter_ctx f, int *failed)
{
    add(failed, seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 2, SCMP_A0(SCMP_CMP_NE, 0),
                                 SCMP_A2(SCMP_CMP_NE, 0)));
}

static int filter_fill(scmp_filter_ctx f, const struct seccomp_choice *choice)
{
    int failed = 0;
    /* A call by a foreign table (i386 through int 0x80, x32 by its bit) is never an accident in a 64-bit program. */
    add(&failed, seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS));
    add(&failed, seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2)); /* a binary tree over the numbers */
    deny_listed(f, choice, &failed);
    if (!choice->namespaces)
        deny_namespaces(f, &failed);
    deny_terminal_input(f, &failed);
    deny_sockets(f, &failed);
    deny_personalities(f, &failed);
    deny_foreign_limits(f, &failed);
    return failed;
}

enum rc seccomp_build(const struct seccomp_choice *choice, int *ret_fd, struct err *err)
{
    CLEANUP_FD int fd = memfd_create("seccomp", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return err_sys(err, errno, "Could not hold the system call filter in memory");
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    if (!f)
        return err_set(err, RC_UNAVAILABLE, "Could not begin a system call filter");
    int failed = filter_fill(f, choice);
    if (failed == 0)
        failed = seccomp_export_bpf(f, fd);
    seccomp_release(f);
    if (failed < 0)
        return err_sys(err, -failed, "Could not build the system call filter");
    if (lseek(fd, 0, SEEK_SET) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        return err_sys(err, errno, "Could not seal the system call filter");
    *ret_fd = fd_take(&fd);
    return RC_OK;
}
