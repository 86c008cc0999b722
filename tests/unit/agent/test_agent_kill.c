/* The agent in a real sandbox on a real workspace, killed by SIGKILL at every record, on every rung that the machine
 * has: the files and the requests are those of an agent that nobody killed.
 *
 * The journal is a file; the process of the agent is a fork that kills itself, so that everything it held is gone. */
#include "agent/agent.h"
static void rooms_open(struct agent_spec *spec, mem *owner, const char *dir);
static void rooms_close(void);
#include "world.h"
#include <time.h>

#include "../sandbox/rig.h"

/* The rooms are real: each process opens its own. */
static void rooms_open(struct agent_spec *spec, mem *owner, const char *dir)
{
    (void)spec, (void)owner, (void)dir;
}

static void rooms_close(void)
{
}

static struct repo_facts facts;
static uid_t owner_uid;
static gid_t owner_gid;

static void sh(const char *line)
{
    const char *argv[] = {"/bin/sh", "-ec", line, NULL};
    const char *env[] = {"PATH=/usr/bin:/bin",
                         mem_printf(ctx, "HOME=%s", rig_dir),
                         "GIT_CONFIG_NOSYSTEM=1",
                         "GIT_AUTHOR_NAME=A",
                         "GIT_AUTHOR_EMAIL=a@example.org",
                         "GIT_COMMITTER_NAME=A",
                         "GIT_COMMITTER_EMAIL=a@example.org",
                         NULL};
    struct proc_spec spec = {.argv = argv, .env = env, .cwd = rig_dir, .fds = {-1, -1, -1}, .fd_count = 3};
    struct proc_result r;
    ck_assert_int_eq(proc_run(ctx, &spec, STR(""), 1 << 20, 60000, -1, &r, &err), RC_OK);
    ck_assert_msg(r.exit_code == 0, "%s: %.*s", line, STR_FMT(r.err));
}

static void scene(struct world *w)
{
    SAY(w, "I look.", {"read", "{\"path\":\"a.txt\"}"},
        {"run", "{\"command\":\"git log --format=%s | head -1; ls -A\"}"});
    SAY(w, "", {"write", "{\"path\":\"b/new.sh\",\"content\":\"#!/bin/sh\\necho hi\\n\"}"},
        {"edit", "{\"path\":\"a.txt\",\"old\":\"one\",\"new\":\"one one\"}"});
    /* A loop that it leaves running, and a file that only its owner may read. */
    SAY(w, "",
        {"run",
         "{\"command\":\"id -un; ./b/new.sh; echo line >> log.txt; rm src/x.c; (umask 077; echo s > shut); (while :; do "
         "echo noise >> noise; sleep 0.01; done >/dev/null 2>&1 &)\"}"},
        {"edit", "{\"path\":\"log.txt\",\"old\":\"line\",\"new\":\"line line\"}"}, {"read", "{\"path\":\"shut\"}"});
    SAY(w, "",
        {"run",
         "{\"command\":\"sleep 0.05; rm -f noise; sleep 0.05; echo more >> log.txt; git log --format=%s | head -1\"}"},
        {"finish", "{\"summary\":\"done\"}"});
}

/* --- a journal in a file --- */

static int journal_fd = -1;
static void journal_load(struct world *w, const char *path)
{
    struct str text, line;
    w->records = w->last_record = NULL;
    w->record_count = 0;
    if (path_slurp(w, path, 16 << 20, &text, NULL) == RC_OK)
        while (str_line(&text, &line)) {
            struct str type;
            ck_assert(str_next(&line, '\t', &type));
            struct kept_record *r = mem_new(w, struct kept_record);
            *r = (struct kept_record){str_dup(w, type), str_dup(w, line), NULL};
            if (w->last_record)
                w->last_record->next = r;
            else
                w->records = r;
            w->last_record = r;
            w->record_count++;
        }
    journal_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ck_assert_int_ge(journal_fd, 0);
}

static int requests_fd = -1;
static enum rc kill_ask(void *arg, mem *tmp, const char *key, const struct llm_dialect *d, struct str body,
                        bool (*on_bytes)(void *p, struct str bytes), void *p, int *ret_status, struct str *ret_headers,
                        struct str *ret_error_body, struct err *why)
{
    char hash[HASH_SHA256_HEX];
    hash_sha256_hex(body, hash);
    const char *line = mem_printf(tmp, "%s %s\n", key, hash);
    ck_assert_int_eq(write(requests_fd, line, strlen(line)), (ssize_t)strlen(line));
    return world_ask(arg, tmp, key, d, body, on_bytes, p, ret_status, ret_headers, ret_error_body, why);
}

/* The n-th record kills, before or after it is in the file. */
static enum rc kill_record(void *arg, const char *type, struct str json, struct err *why)
{
    struct world *w = arg;
    bool last = ++w->made == w->stop_at;
    (void)why;
    if (last && !w->stop_after)
        raise(SIGKILL);
    const char *line = mem_printf(w, "%s\t%.*s\n", type, STR_FMT(json));
    ck_assert_int_eq(write(journal_fd, line, strlen(line)), (ssize_t)strlen(line));
    if (last)
        raise(SIGKILL);
    return RC_OK;
}

/* --- a task --- */

static const char *workspace_ready(const char *task, struct workspace *ret)
{
    const char *dir = rig_path(task);
    ck_assert(mkdir(dir, 0755) == 0 || errno == EEXIST);
    ck_assert_msg(workspace_open(ctx, dir, &facts, facts.head, owner_uid, owner_gid, ret, NULL, &err) == RC_OK, "%s %s",
                  err.sentence, err.detail);
    return dir;
}

/* The process of a runner: opens workspace and sandbox, lets the agent work, ends. */
static int task_process(const char *task, int stop_at, bool stop_after)
{
    struct workspace work;
    const char *dir = workspace_ready(task, &work);
    world_folder = dir;
    struct world *w = world_new(ctx, "messages");
    scene(w);
    mkdir(mem_printf(ctx, "%s/.git", work.dir), 0755);
    struct sandbox_mount mounts[] = {{work.dir, "/workspace", true},
                                     {work.git_dir, "/workspace/.git", false},
                                     {rig_path("repo/.git/objects"), rig_path("repo/.git/objects"), false}};
    const char *env[] = {"GIT_DIR=/workspace/.git",         "GIT_WORK_TREE=/workspace", "GIT_CONFIG_COUNT=1",
                         "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",     NULL};
    struct sandbox_spec spec = {
        .user = SANDBOX_AGENT, .mounts = mounts, .mount_count = 3, .cwd = "/workspace", .env = env, .label = "test"};
    struct sandbox *sb = NULL;
    if (sandbox_open(ctx, &spec, START_MS, &sb, &err) != RC_OK) {
        fprintf(stderr, "%s %s\n", err.sentence, err.detail);
        return 3;
    }
    w->spec.work = &work;
    w->spec.sandbox = sb;
    w->spec.log_dir = mem_printf(ctx, "%s/out", dir);
    w->spec.uid = owner_uid;
    w->spec.gid = owner_gid;
    w->stop_at = stop_at;
    w->stop_after = stop_after;
    w->road.record = kill_record;
    w->road.ask = kill_ask;
    journal_load(w, mem_printf(ctx, "%s/journal", dir));
    requests_fd = open(mem_printf(ctx, "%s/requests", dir), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    enum rc rc = world_run(w);
    if (rc != RC_OK || w->result.end != AGENT_FINISHED)
        fprintf(stderr, "%s: %d %s %s\n", rc_name(rc), (int)w->result.end, w->err.sentence, w->err.detail);
    sandbox_close(sb, NULL);
    return rc == RC_OK && w->result.end == AGENT_FINISHED ? 0 : 4;
}

/* Exit status of a run; 128 + 9 when it was killed. */
static int task_run(const char *task, int stop_at, bool stop_after)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        _exit(task_process(task, stop_at, stop_after));
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Starts a run and kills it after so many milliseconds, wherever it is then. */
static void task_kill_after(const char *task, int ms)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        _exit(task_process(task, 0, false));
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static const char *tree_of(const char *task)
{
    struct workspace work;
    workspace_ready(task, &work);
    const char *tree;
    ck_assert_msg(workspace_tree(ctx, &work, &tree, NULL, &err) == RC_OK, "%s %s", err.sentence, err.detail);
    return tree;
}

static const char *slurp(const char *task, const char *name)
{
    struct str s;
    ck_assert_int_eq(path_slurp(ctx, mem_printf(ctx, "%s/%s", rig_path(task), name), 16 << 20, &s, &err), RC_OK);
    return str_dup(ctx, s);
}

/* Requests without repetitions: a process that goes on asks the old ones again. */
static const char *requests_of(const char *task)
{
    struct buf b;
    buf_init(&b, ctx, 1 << 20);
    struct str all = str_of(slurp(task, "requests")), line;
    while (str_line(&all, &line)) {
        struct str with_end = str_n(line.p, line.n + 1);
        if (str_find(buf_view(&b), with_end) < 0)
            buf_str(&b, with_end);
    }
    return buf_take(&b, ctx);
}

START_TEST(killed_at_every_record)
{
    if (!rig_begin(_i))
        return;
    sh("git init -q -b main repo; cd repo; mkdir src; echo one >a.txt; echo 'int x;' >src/x.c; git add -A; git commit -qm First");
    ck_assert_msg(repo_inspect(ctx, rig_path("repo"), &facts, &err) == RC_OK, "%s", err.sentence);
    sandbox_owner(SANDBOX_AGENT, &owner_uid, &owner_gid);
    ck_assert_int_eq(task_run("plain", 0, false), 0);
    const char *tree = tree_of("plain"), *requests = requests_of("plain");
    ck_assert_str_eq(slurp("plain", "work/log.txt"), "line line\nmore\n");
    ck_assert_int_lt(access(rig_path("plain/work/noise"), F_OK), 0); /* its maker was ended before */
    const char *journal = slurp("plain", "journal");
    ck_assert_msg(strstr(journal, "exit code 0\\nagent\\nhi\\n"), "%s", journal);
    ck_assert_msg(strstr(journal, "exit code 0\\nFirst\\n.git\\na.txt"), "%s", journal); /* history, read-only */
    int records = 0;
    for (const char *p = journal; (p = strchr(p, '\n')); p++)
        records++;
    ck_assert_int_gt(records, 15);
    /* What the endless loop of the third turn wrote differs from run to run, so only its absence at the end is
     * compared. */
    for (int k = 1; k <= records; k += _i ? 6 : 1) { /* all of them on the highest rung */
        const char *task = mem_printf(ctx, "t%d", k);
        ck_assert_int_eq(task_run(task, k, k % 2), 128 + SIGKILL);
        ck_assert_int_eq(task_run(task, 0, false), 0);
        ck_assert_msg(strcmp(tree_of(task), tree) == 0, "killed at %d", k);
        ck_assert_msg(strcmp(requests_of(task), requests) == 0, "killed at %d:\n%s\n%s", k, requests_of(task),
                      requests);
    }
    /* At any time: in the middle of a write, a snapshot, a command. */
    for (int ms = 20; !_i && ms < 700; ms += 61)
        task_kill_after("often", ms);
    ck_assert_int_eq(task_run("often", 0, false), 0);
    ck_assert_str_eq(tree_of("often"), tree);
    ck_assert_str_eq(requests_of("often"), requests);
    rig_end();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("kill");
    TCase *t = tcase_create("kill");
    tcase_set_timeout(t, 110);
    tcase_add_loop_test(t, killed_at_every_record, 0, RUNGS);
    suite_add_tcase(s, t);
    return s;
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, suite, NULL);
}
