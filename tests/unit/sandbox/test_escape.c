/* Contract: what runs inside a sandbox reaches nothing of the machine outside it, nor its own init. The attacker is
 * this program, run inside as a command: each attack of the table must be refused in the way that the table says. */
#include "rig.h"
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

/* ---- inside ---- */

/* 0 when the call was refused with the error that is expected. */
static int refused(const char *what, long got, int expected)
{
    if (got == -1 && errno == expected)
        return 0;
    printf("%s: %ld, errno %d (%s), expected %d\n", what, got, got < 0 ? errno : 0,
           got < 0 ? strerror(errno) : "succeeded", expected);
    return 1;
}

/* By number, with arguments that would be harmless. */
static const struct {
    const char *name;
    long number;
    int errnum;
} calls[] = {
    {"ptrace", SYS_ptrace, EPERM},
    {"process_vm_readv", SYS_process_vm_readv, EPERM},
    {"process_vm_writev", SYS_process_vm_writev, EPERM},
    {"process_madvise", 440, EPERM},
    {"pidfd_getfd", 438, EPERM},
    {"kcmp", SYS_kcmp, EPERM},
    {"move_pages", SYS_move_pages, EPERM},
    {"migrate_pages", SYS_migrate_pages, EPERM},
    {"mount", SYS_mount, EPERM},
    {"umount2", SYS_umount2, EPERM},
    {"pivot_root", SYS_pivot_root, EPERM},
    {"chroot", SYS_chroot, EPERM},
    {"open_tree", 428, ENOSYS},
    {"move_mount", 429, ENOSYS},
    {"fsopen", 430, ENOSYS},
    {"fsconfig", 431, ENOSYS},
    {"fsmount", 432, ENOSYS},
    {"fspick", 433, ENOSYS},
    {"mount_setattr", 442, ENOSYS},
    {"open_tree_attr", 467, ENOSYS},
    {"open_by_handle_at", SYS_open_by_handle_at, EPERM},
    {"name_to_handle_at", SYS_name_to_handle_at, EOPNOTSUPP},
    {"fanotify_init", SYS_fanotify_init, EPERM},
    {"quotactl", SYS_quotactl, EPERM},
    {"quotactl_fd", 443, ENOSYS},
    {"swapon", SYS_swapon, EPERM},
    {"swapoff", SYS_swapoff, EPERM},
    {"setns", SYS_setns, EPERM},
    {"clone3", 435, ENOSYS},
    {"bpf", SYS_bpf, EPERM},
    {"perf_event_open", SYS_perf_event_open, EPERM},
    {"userfaultfd", SYS_userfaultfd, ENOSYS},
    {"io_uring_setup", 425, ENOSYS},
    {"io_uring_enter", 426, ENOSYS},
    {"io_uring_register", 427, ENOSYS},
    {"kexec_load", SYS_kexec_load, EPERM},
    {"init_module", SYS_init_module, EPERM},
    {"finit_module", SYS_finit_module, EPERM},
    {"delete_module", SYS_delete_module, EPERM},
    {"add_key", SYS_add_key, EPERM},
    {"request_key", SYS_request_key, EPERM},
    {"keyctl", SYS_keyctl, EPERM},
    {"syslog", SYS_syslog, EPERM},
    {"acct", SYS_acct, EPERM},
    {"reboot", SYS_reboot, EPERM},
    {"sethostname", SYS_sethostname, EPERM},
    {"setdomainname", SYS_setdomainname, EPERM},
    {"settimeofday", SYS_settimeofday, EPERM},
    {"clock_settime", SYS_clock_settime, EPERM},
    {"vhangup", SYS_vhangup, EPERM},
#ifdef __x86_64__
    {"kexec_file_load", SYS_kexec_file_load, EPERM},
    {"iopl", SYS_iopl, EPERM},
    {"ioperm", SYS_ioperm, EPERM},
    {"uselib", SYS_uselib, ENOSYS},
    {"ustat", SYS_ustat, ENOSYS},
    {"sysfs", SYS_sysfs, ENOSYS},
#endif
};

static int attack_calls(void)
{
    int bad = 0;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        bad += refused(calls[i].name, syscall(calls[i].number, 0L, 0L, 0L, 0L, 0L, 0L), calls[i].errnum);
    return bad;
}

static int attack_namespaces(void)
{
    static const unsigned long flags[] = {CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                          CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};
    int bad = 0;
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        bad += refused("unshare", syscall(SYS_unshare, flags[i]), EPERM);
        bad += refused("unshare, upper bits", syscall(SYS_unshare, flags[i] | 1UL << 40), EPERM);
        long got = syscall(SYS_clone, flags[i] | SIGCHLD, NULL, NULL, NULL, NULL);
        if (got == 0)
            _exit(0);
        bad += refused("clone", got, EPERM);
    }
    bad += refused("unshare time", syscall(SYS_unshare, 0x80L), EPERM);
    long got = syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNS | SIGCHLD, NULL, NULL, NULL, NULL);
    if (got == 0)
        _exit(0);
    bad += refused("clone user and mount", got, EPERM);
    if (unshare(CLONE_FS) < 0)
        bad += printf("unshare(CLONE_FS) is harmless and must work\n") > 0;
    return bad;
}

static int attack_terminal(void)
{
    int bad = 0, master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
        return printf("no pseudo terminal: %s\n", strerror(errno)) > 0;
    int slave = open(ptsname(master), O_RDWR);
    bad += refused("TIOCSTI", syscall(SYS_ioctl, slave, (unsigned long)TIOCSTI, "x"), EPERM);
    bad += refused("TIOCSTI, upper bits", syscall(SYS_ioctl, slave, TIOCSTI | 1UL << 33, "x"), EPERM);
    bad += refused("TIOCLINUX", syscall(SYS_ioctl, slave, (unsigned long)TIOCLINUX, "x"), EPERM);
    int tty = open("/dev/tty", O_RDWR | O_NOCTTY);
    /* Only our own, from just now. */
    (void)tty;
    return bad;
}

static int attack_personality(void)
{
    static const unsigned long odd[] = {READ_IMPLIES_EXEC,
                                        ADDR_COMPAT_LAYOUT,
                                        MMAP_PAGE_ZERO,
                                        STICKY_TIMEOUTS,
                                        PER_SVR4,
                                        PER_BSD,
                                        READ_IMPLIES_EXEC | 1UL << 31,
                                        0xfffffffeUL};
    int bad = 0;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        bad += refused("personality", syscall(SYS_personality, odd[i]), EPERM);
    if (personality(0xffffffff) < 0 || personality(ADDR_NO_RANDOMIZE) < 0 || personality(PER_LINUX) < 0)
        bad += printf("harmless personalities must work\n") > 0;
    return bad;
}

static int attack_sockets(void)
{
    int bad = 0, fine[][3] = {{AF_UNIX, SOCK_STREAM, 0},
                              {AF_INET, SOCK_STREAM, 0},
                              {AF_INET6, SOCK_DGRAM, 0},
                              {AF_NETLINK, SOCK_RAW, NETLINK_ROUTE}};
    for (int family = 0; family < 64; family++)
        if (family != AF_UNIX && family != AF_INET && family != AF_INET6 && family != AF_NETLINK)
            bad += refused(family == AF_PACKET ? "AF_PACKET" : "socket family",
                           syscall(SYS_socket, family, SOCK_RAW, 0), EAFNOSUPPORT);
    bad += refused("family, upper bits", syscall(SYS_socket, AF_PACKET | 1UL << 32, SOCK_RAW, 0), EAFNOSUPPORT);
    bad += refused("netlink audit", syscall(SYS_socket, AF_NETLINK, SOCK_RAW, NETLINK_AUDIT), EAFNOSUPPORT);
    bad += refused("netlink netfilter", syscall(SYS_socket, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER), EAFNOSUPPORT);
    bad += refused("raw IP", syscall(SYS_socket, AF_INET, SOCK_RAW, IPPROTO_ICMP), EPERM);
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        if (socket(fine[i][0], fine[i][1], fine[i][2]) < 0)
            bad += printf("socket family %d must work: %s\n", fine[i][0], strerror(errno)) > 0;
    return bad;
}

/* How a child of ours ends that does this. */
static int child_signal(void (*act)(void))
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        act();
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

#ifdef __x86_64__
static void call_i386(void)
{
    long number = 20; /* getpid of the other table */
    __asm__ volatile("int $0x80" : "+a"(number) : : "memory");
}
static void call_x32(void)
{
    syscall(0x40000000L | SYS_getpid);
}
static int attack_tables(void)
{
    int bad = 0;
    if (child_signal(call_i386) == 0)
        bad += printf("the i386 table answers\n") > 0;
    if (child_signal(call_x32) != SIGSYS)
        bad += printf("the x32 table answers\n") > 0;
    return bad;
}
#else
static int attack_tables(void)
{
    return 0;
}
#endif

static int attack_init(void)
{
    static const char *const files[] = {"/proc/1/mem",  "/proc/1/fd",   "/proc/1/environ", "/proc/1/maps",
                                        "/proc/1/root", "/proc/1/cwd",  "/proc/1/exe",     "/proc/1/fd/3",
                                        "/proc/1/auxv", "/proc/1/stack"};
    int bad = 0;
    char text[64];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        int fd = open(files[i], O_RDONLY);
        if (fd >= 0 && read(fd, text, sizeof text) >= 0)
            bad += printf("%s can be read\n", files[i]) > 0;
        if (readlink(files[i], text, sizeof text) >= 0)
            bad += printf("%s can be followed\n", files[i]) > 0;
        close(fd);
    }
    if (open("/proc/1/mem", O_RDWR) >= 0)
        bad += printf("init's memory can be written\n") > 0;
    struct rlimit none = {0, 0};
    bad += refused("limit init's files", syscall(SYS_prlimit64, 1, RLIMIT_NOFILE, &none, NULL), EPERM);
    /* Signals without a handler do not reach the first process of a namespace; the test sees that it still answers. */
    for (int sig = 1; sig < 65; sig++)
        kill(1, sig);
    kill(-1, SIGCONT);
    return bad;
}

static int attack_files(void)
{
    static const char *const secrets[] = {"/etc/shadow",
                                          "/etc/gshadow",
                                          "/etc/ssh",
                                          "/etc/sudoers",
                                          "/etc/npmrc",
                                          "/etc/pip.conf",
                                          "/root",
                                          "/home",
                                          "/sys",
                                          "/boot",
                                          "/var/lib",
                                          "/var/run",
                                          "/etc/ssl/private",
                                          "/mnt",
                                          "/srv",
                                          "/proc/kcore",
                                          "/dev/mem",
                                          "/dev/kmsg",
                                          "/dev/kvm",
                                          "/dev/net/tun",
                                          "/dev/fuse",
                                          "/proc/sysrq-trigger"};
    static const char *const closed[] = {"/usr/x",
                                         "/usr/bin/sh",
                                         "/etc/x",
                                         "/etc/passwd",
                                         "/x",
                                         "/dev/x",
                                         "/run/x",
                                         "/run/nightmill/init",
                                         "/var/x",
                                         "/lib/x",
                                         "/proc/sys/kernel/hostname",
                                         "/proc/sys/kernel/core_pattern",
                                         "/etc/alternatives/x",
                                         "/proc/sys/vm/drop_caches"};
    int bad = 0;
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        int fd = open(secrets[i], O_RDONLY);
        char byte;
        if (fd >= 0 && (read(fd, &byte, 1) > 0 || errno == EISDIR))
            bad += printf("%s can be read\n", secrets[i]) > 0;
    }
    for (size_t i = 0; i < sizeof closed / sizeof closed[0]; i++)
        if (open(closed[i], O_WRONLY | O_CREAT, 0666) >= 0)
            bad += printf("%s can be written\n", closed[i]) > 0;
    if (chmod("/", 0777) == 0 || chmod("/etc", 0777) == 0 || rename("/etc/passwd", "/tmp/p") == 0 ||
        unlink("/bin") == 0)
        bad += printf("the root can be changed\n") > 0;
    return bad;
}

static int attack_devices(void)
{
    static const char *const places[] = {"/tmp/dev", "/workspace/dev", "/dev/shm/dev"};
    int bad = 0;
    for (size_t i = 0; i < 3; i++) {
        bad += refused("block device", mknod(places[i], S_IFBLK | 0666, makedev(8, 0)), EPERM);
        bad += refused("memory device", mknod(places[i], S_IFCHR | 0666, makedev(1, 1)), EPERM);
    }
    return bad;
}

static int attack_privileges(void)
{
    int bad = 0;
    if (geteuid() == 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        bad += printf("privileges are left\n") > 0;
    for (int cap = 0; cap < 41; cap++)
        if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1)
            bad += printf("capability %d is in the bounding set\n", cap) > 0;
    bad += refused("setuid 0", setuid(0), EINVAL); /* not even a number of this namespace */
    bad += refused("setgroups", setgroups(0, NULL), EPERM);
    return bad;
}

/* Only what a command needs: input, output, error (and the folder that we read them from). */
static int attack_descriptors(void)
{
    int bad = 0;
    for (int fd = 3; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            bad += printf("descriptor %d was inherited\n", fd) > 0;
    return bad;
}

static int connect_to(struct sockaddr *to, socklen_t n)
{
    int fd = socket(to->sa_family, SOCK_STREAM, 0);
    int got = connect(fd, to, n);
    close(fd);
    return got;
}

/* argv[3]: a port on which the test listens outside, argv[4]: its abstract socket. */
static int attack_network(char **argv)
{
    int bad = 0;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3]))};
    inet_pton(AF_INET, "127.0.0.1", &in.sin_addr);
    bad += refused("loopback outside", connect_to((struct sockaddr *)&in, sizeof in), ECONNREFUSED);
    inet_pton(AF_INET, "192.0.2.1", &in.sin_addr);
    bad += refused("the world", connect_to((struct sockaddr *)&in, sizeof in), ENETUNREACH);
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = in.sin_port};
    inet_pton(AF_INET6, "2001:db8::1", &in6.sin6_addr);
    bad += refused("the newer world", connect_to((struct sockaddr *)&in6, sizeof in6), ENETUNREACH);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path + 1, sizeof un.sun_path - 1, "%s", argv[4]);
    bad += refused(
        "abstract socket outside",
        connect_to((struct sockaddr *)&un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(argv[4]))),
        ECONNREFUSED);
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    in.sin_port = htons(53);
    bad += refused("a packet out", sendto(udp, "x", 1, 0, (struct sockaddr *)&in, sizeof in), ENETUNREACH);
    return bad;
}

static const struct {
    const char *name;
    int (*run)(void);
} attacks[] = {{"calls", attack_calls},
               {"namespaces", attack_namespaces},
               {"terminal", attack_terminal},
               {"personality", attack_personality},
               {"sockets", attack_sockets},
               {"tables", attack_tables},
               {"init", attack_init},
               {"files", attack_files},
               {"devices", attack_devices},
               {"privileges", attack_privileges},
               {"descriptors", attack_descriptors}};

static int inside(int argc, char **argv)
{
    int bad = -1;
    for (size_t i = 0; argc > 2 && i < sizeof attacks / sizeof attacks[0]; i++)
        if (strcmp(argv[2], attacks[i].name) == 0)
            bad = attacks[i].run();
    if (argc > 4 && strcmp(argv[2], "network") == 0)
        bad = attack_network(argv);
    if (argc > 2 && strcmp(argv[2], "trace") == 0) /* may with spec.debug; init stays out of reach */
        bad = ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 && ptrace(PTRACE_ATTACH, 1, NULL, NULL) < 0 ? 0 : 1;
    fflush(stdout);
    return bad == 0 ? 0 : bad < 0 ? 99 : 1;
}

/* ---- outside ---- */

static void attack(struct sandbox *sb, const char *name)
{
    struct sandbox_result r = rig_shell(sb, mem_printf(ctx, "exec /opt/attack inside %s", name));
    ck_assert_msg(r.exit_code == 0 && r.out.n == 0, "%s on rung %s: exit %d signal %d\n%.*s%.*s", name,
                  rig_rung_names[sandbox_probe()->rung], r.exit_code, r.signal, STR_FMT(r.out), STR_FMT(r.err));
    rig_says(sb, "echo alive", "alive\n");
}

START_TEST(attacks_are_refused)
{
    if (!rig_begin(_i))
        return;
    struct sandbox *sb = rig_open(SANDBOX_AGENT);
    for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++)
        attack(sb, attacks[i].name);
    sandbox_close(sb, NULL);
    rig_end();
}
END_TEST

START_TEST(no_network)
{
    if (!rig_begin(_i))
        return;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof in;
    int tcp = socket(AF_INET, SOCK_STREAM, 0), local = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(tcp, (struct sockaddr *)&in, n), 0);
    ck_assert_int_eq(listen(tcp, 5), 0);
    ck_assert_int_eq(getsockname(tcp, (struct sockaddr *)&in, &n), 0);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    const char *name = mem_printf(ctx, "mill-%s", rig_word());
    snprintf(un.sun_path + 1, sizeof un.sun_path - 1, "%s", name);
    n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
    ck_assert_int_eq(bind(local, (struct sockaddr *)&un, n), 0);
    ck_assert_int_eq(listen(local, 5), 0);
    /* From here both answer, so a refusal inside is the sandbox's doing. */
    ck_assert_int_eq(connect_to((struct sockaddr *)&in, sizeof in), 0);
    ck_assert_int_eq(connect_to((struct sockaddr *)&un, n), 0);
    struct sandbox *sb = rig_open(SANDBOX_AGENT);
    attack(sb, mem_printf(ctx, "network %d %s", ntohs(in.sin_port), name));
    /* A loopback of its own is there. */
    rig_says(
        sb,
        "python3 -c 'import socket; s=socket.create_server((\"127.0.0.1\",0)); c=socket.create_connection(s.getsockname()); print(1)'",
        "1\n");
    sandbox_close(sb, NULL);
    close(tcp);
    close(local);
    rig_end();
}
END_TEST

START_TEST(links_lead_nowhere)
{
    if (!rig_begin(_i))
        return;
    rig_text(rig_path("secret"), "secret\n");
    chmod(rig_path("secret"), 0666);
    struct sandbox *sb = rig_open(SANDBOX_AGENT);
    const char *secret = rig_path("secret");
    rig_refuses(sb, mem_printf(ctx, "cat %s", secret));
    rig_refuses(sb, mem_printf(ctx, "ln -s %s link && cat link", secret));
    rig_refuses(sb, mem_printf(ctx, "ln -sf /proc/1/root%s link && cat link", secret));
    rig_refuses(sb, mem_printf(ctx, "ln -sf /proc/self/root%s link && cat link", secret));
    rig_refuses(sb, "cat ../../../../../../../../../../../../root/.profile");
    rig_refuses(sb, "ls /workspace/../secret");
    rig_refuses(sb, "ln /usr/bin/true hard");
    rig_refuses(sb, "ln /etc/passwd /tmp/hard");
    rig_refuses(sb, mem_printf(ctx, "ln -sf %s link; echo changed > link", secret));
    sandbox_close(sb, NULL);
    struct str text;
    ck_assert_int_eq(path_slurp(ctx, secret, 100, &text, &err), RC_OK);
    ck_assert(str_eqz(text, "secret\n"));
    rig_end();
}
END_TEST

/* A set-user-ID program of root in the workspace, put there from outside, gives nothing. */
START_TEST(set_user_id_gives_nothing)
{
    if (geteuid() != 0 || !rig_begin(_i))
        return;
    if (sandbox_probe()->rung != RUNG_REAL_UID) {
        rig_end();
        return;
    }
    struct sandbox *sb = rig_open(SANDBOX_AGENT);
    rig_copy("/usr/bin/id", rig_path("work/id"), 0755);
    ck_assert_int_eq(chown(rig_path("work/id"), 0, 0), 0);
    ck_assert_int_eq(chmod(rig_path("work/id"), 06755), 0);
    rig_says(sb, "./id -u; ./id -g; ./id -ur", "1000\n1000\n1000\n");
    sandbox_close(sb, NULL);
    rig_end();
}
END_TEST

START_TEST(a_sandbox_in_the_sandbox_fails)
{
    if (!rig_begin(_i))
        return;
    struct sandbox *sb = rig_open(SANDBOX_AGENT);
    rig_refuses(sb, "bwrap --ro-bind / / true");
    rig_refuses(sb, "unshare -U true");
    rig_refuses(sb, "nsenter -t 1 -m true");
    rig_refuses(sb, "cat /proc/1/environ");
    rig_refuses(sb, "mount -t tmpfs x /tmp");
    rig_refuses(sb, "mount -o remount,rw /");
    rig_refuses(sb, "kill -9 1; su -c true </dev/null");
    rig_says(sb, "echo alive", "alive\n");
    sandbox_close(sb, NULL);
    rig_end();
}
END_TEST

/* With the switch a program may bring its own sandbox; the rest of the wall stands as it does without. */
START_TEST(a_sandbox_in_the_sandbox_when_asked)
{
    static const char *const still[] = {"terminal", "personality", "tables",      "init",
                                        "files",    "devices",     "descriptors", "sockets"};
    if (!rig_begin(_i))
        return;
    ck_assert_int_eq(sandbox_give(rig_path("work"), SANDBOX_AGENT, &err), RC_OK);
    struct sandbox_mount mounts[] = {{rig_path("work"), "/workspace", true},
                                     {rig_path("program"), "/opt/attack", false}};
    struct sandbox_spec spec = {.mounts = mounts, .mount_count = 2, .cwd = "/workspace", .user_namespaces = true};
    struct sandbox *sb = rig_open_spec(&spec);
    rig_says(sb,
             "bwrap --unshare-all --ro-bind / / --proc /proc --dev /dev --tmpfs /tmp sh -c 'echo $$; ls /tmp | wc -l'",
             "2\n0\n");
    rig_says(sb, "unshare -Urm sh -c 'mount -t tmpfs x /mnt && id -u' 2>/dev/null || unshare -Ur id -u", "0\n");
    rig_refuses(sb, "unshare -Urm mount -o remount,rw /");
    rig_refuses(sb, "unshare -Urm sh -c 'mount -o remount,rw,bind /usr && touch /usr/x'");
    rig_refuses(sb, "nsenter -t 1 -m true");
    for (size_t i = 0; i < sizeof still / sizeof *still; i++)
        attack(sb, still[i]);
    sandbox_close(sb, NULL);
    rig_end();
}
END_TEST

/* Two sandboxes at once do not see each other's processes, memory or sockets. */
START_TEST(neighbours_are_strangers)
{
    if (!rig_begin(_i))
        return;
    struct sandbox *one = rig_open(SANDBOX_AGENT), *two = rig_open(SANDBOX_AGENT);
    const char *word = rig_word();
    rig_shell(one, mem_printf(ctx, "sleep 9%s >/dev/null 2>&1 & echo x > /tmp/mine; echo x > /dev/shm/mine", word));
    rig_says(
        two,
        mem_printf(ctx, "grep -l 'sleep[^.]9%s' /proc/[0-9]*/cmdline | grep -v self | wc -l; ls /tmp /dev/shm", word),
        "0\n/dev/shm:\n\n/tmp:\nhome\n");
    rig_shell(two, "kill -9 -1");
    rig_says(one, "pgrep -cx sleep", "1\n");
    sandbox_close(one, NULL);
    sandbox_close(two, NULL);
    rig_end();
}
END_TEST

START_TEST(debuggers_when_asked)
{
    if (!rig_begin(_i))
        return;
    struct sandbox_mount mounts[] = {{rig_path("program"), "/opt/attack", false}};
    struct sandbox_spec spec = {.mounts = mounts, .mount_count = 1, .cwd = "/", .debug = true};
    struct sandbox *sb = rig_open_spec(&spec);
    attack(sb, "trace");
    attack(sb, "init");
    attack(sb, "namespaces");
    sandbox_close(sb, NULL);
    spec.debug = false;
    sb = rig_open_spec(&spec);
    rig_refuses(sb, "/opt/attack inside trace");
    sandbox_close(sb, NULL);
    rig_end();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("escape");
    TCase *t = tcase_create("escape");
    tcase_set_timeout(t, 100);
    RIG_ALL(t, attacks_are_refused);
    RIG_ALL(t, no_network);
    RIG_ALL(t, links_lead_nowhere);
    RIG_ALL(t, set_user_id_gives_nothing);
    RIG_ALL(t, a_sandbox_in_the_sandbox_fails);
    RIG_ALL(t, a_sandbox_in_the_sandbox_when_asked);
    RIG_ALL(t, neighbours_are_strangers);
    RIG_ALL(t, debuggers_when_asked);
    suite_add_tcase(s, t);
    return s;
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, suite, inside);
}
