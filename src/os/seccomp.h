/* The filter that every sandbox runs under: system calls that a build or a test has no business with.
 *
 * Everything is allowed but a list: looking into or steering other processes, mounting, new namespaces, kernel modules
 * and the kernel's own programs, keys, io_uring, terminals' input queues, odd socket families, other system call tables
 * (i386, x32). Some answer EPERM, those that programs probe for answer ENOSYS so that they take their other road. The
 * filter is the second wall: namespaces and the missing capabilities are the first. Threads: any. */
#pragma once
#include "base/err.h"

struct seccomp_choice {
    bool namespaces; /* new namespaces, and mounts in them, are allowed: for sandboxes of the programs' own */
    bool debug;      /* ptrace and process_vm_readv are allowed: debuggers, strace, the leak sanitizer */
};
/* Classic BPF program as seccomp(2) takes it, in a sealed memfd (close-on-exec) of its own offset 0. The caller closes
 * it. Every reader moves the offset of the descriptor that it shares: open /proc/self/fd/N anew for each start. */
MUST_USE enum rc seccomp_build(const struct seccomp_choice *choice, int *ret_fd, struct err *err);
