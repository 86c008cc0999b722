/* The hardened runner of the git program. See git.h for what it promises. Not here: what the commands mean. */
#include "repo/git.h"
#include "base/text.h"
#include "repo/repo.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

/* The whole environment, but for PATH and what names the repository. */
static const char *const fixed_env[] = {
    "HOME=/nonexistent",
    "XDG_CONFIG_HOME=/nonexistent",
    "LC_ALL=C",
    "TZ=UTC",
    "GIT_CONFIG_NOSYSTEM=1",
    "GIT_CONFIG_SYSTEM=/dev/null",
    "GIT_CONFIG_GLOBAL=/dev/null",
    "GIT_ATTR_NOSYSTEM=1",
    "GIT_TERMINAL_PROMPT=0",
    "GIT_NO_REPLACE_OBJECTS=1",
    "GIT_NO_LAZY_FETCH=1",
    "GIT_ALLOW_PROTOCOL=none", /* wins over protocol.<name>.allow of the repository, which protocol.allow does not */
    "GIT_PROTOCOL_FROM_USER=0",
    "GIT_SSH_COMMAND=false",
    "GIT_PROXY_COMMAND=false",
    "GIT_ASKPASS=false",
    "SSH_ASKPASS=false",
    "GIT_EDITOR=false",
    "GIT_SEQUENCE_EDITOR=false",
    "GIT_PAGER=cat",
    "PAGER=cat",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM=0",
    "GIT_CEILING_DIRECTORIES=/",
    "GIT_ADVICE=0",
};

/* Forced settings. An empty command means "none" to git. */
static const char *const fixed_config[][2] = {
    {"core.hooksPath", "/dev/null"},
    {"core.fsmonitor", "false"},
    {"core.untrackedCache", "false"},
    {"core.pager", "cat"},
    {"core.editor", "false"},
    {"core.askPass", "false"},
    {"core.sshCommand", "false"},
    {"core.gitProxy", "false"},
    {"core.alternateRefsCommand", "false"},
    {"core.attributesFile", "/dev/null"},
    {"core.excludesFile", "/dev/null"},
    {"core.quotePath", "false"},
    {"core.splitIndex", "false"}, /* a temporary index must not leave its other half in the repository */
    {"core.fsync", "committed,reference"},
    {"core.fsyncMethod", "batch"},
    {"diff.external", ""},
    {"interactive.diffFilter", ""},
    {"sequence.editor", "false"},
    {"submodule.recurse", "false"},
    {"fetch.recurseSubmodules", "false"},
    {"diff.submodule", "short"},
    {"credential.helper", ""},
    {"protocol.allow", "never"},
    {"gc.auto", "0"},
    {"maintenance.auto", "false"},
    {"commit.gpgSign", "false"},
    {"tag.gpgSign", "false"},
    {"log.showSignature", "false"},
    {"gpg.program", "false"},
    {"gpg.openpgp.program", "false"},
    {"gpg.x509.program", "false"},
    {"gpg.ssh.program", "false"},
    {"gpg.ssh.defaultKeyCommand", "false"},
    {"uploadpack.packObjectsHook", ""},
    {"i18n.commitEncoding", "UTF-8"},
    {"i18n.logOutputEncoding", "UTF-8"},
    {"safe.directory", "*"}, /* the repository is named by its operator, and nothing of it is run */
};

/* ---- Environment ---- */

struct env {
    mem *ctx;
    const char **v;
    size_t n, room;
    int config; /* settings so far */
};

static void env_add(struct env *e, const char *text)
{
    if (e->n + 1 >= e->room) {
        e->room = e->room ? e->room * 2 : 128;
        e->v = mem_grow(e->ctx, e->v, e->room * sizeof *e->v);
    }
    e->v[e->n++] = text;
    e->v[e->n] = NULL;
}

static void env_config(struct env *e, const char *key, const char *value)
{
    env_add(e, mem_printf(e->ctx, "GIT_CONFIG_KEY_%d=%s", e->config, key));
    env_add(e, mem_printf(e->ctx, "GIT_CONFIG_VALUE_%d=%s", e->config, value));
    e->config++;
}

/* Our own PATH without the entries that mean the current folder. */
static const char *env_path(mem *ctx)
{
    struct buf b;
    buf_init(&b, ctx, 32 * 1024);
    const char *path = getenv("PATH");
    struct str rest = str_of(path ? path : "/usr/local/bin:/usr/bin:/bin"), dir;
    while (str_next(&rest, ':', &dir))
        if (dir.n && dir.p[0] == '/')
            buf_printf(&b, "%s%.*s", b.n ? ":" : "PATH=", STR_FMT(dir));
    return b.n ? buf_take(&b, ctx) : "PATH=/usr/bin:/bin";
}

static const char *const *env_make(mem *ctx, const struct git *g)
{
    struct env e = {.ctx = ctx};
    env_add(&e, env_path(ctx));
    for (size_t i = 0; i < sizeof fixed_env / sizeof *fixed_env; i++)
        env_add(&e, fixed_env[i]);
    if (!g->pathspecs)
        env_add(&e, "GIT_LITERAL_PATHSPECS=1");
    if (!g->writes)
        env_add(&e, "GIT_OPTIONAL_LOCKS=0");
    if (g->git_dir)
        env_add(&e, mem_printf(ctx, "GIT_DIR=%s", g->git_dir));
    if (g->work_tree)
        env_add(&e, mem_printf(ctx, "GIT_WORK_TREE=%s", g->work_tree));
    if (g->index)
        env_add(&e, mem_printf(ctx, "GIT_INDEX_FILE=%s", g->index));
    for (const char *const *p = g->env; p && *p; p++)
        env_add(&e, *p);
    for (size_t i = 0; i < sizeof fixed_config / sizeof *fixed_config; i++)
        env_config(&e, fixed_config[i][0], fixed_config[i][1]);
    for (const char *const *p = g->guard; p && *p; p += 2)
        env_config(&e, p[0], p[1]);
    env_add(&e, mem_printf(ctx, "GIT_CONFIG_COUNT=%d", e.config));
    return e.v;
}

/* ---- Running ---- */

void git_spec(mem *ctx, const struct git *g, const char *const *args, struct proc_spec *ret)
{
    *ret = (struct proc_spec){.argv = args,
                              .env = env_make(ctx, g),
                              .cwd = g->work_tree ? g->work_tree : "/",
                              .new_session = true,
                              .die_with_parent = !g->outlives};
}

enum rc git_run(mem *ctx, const struct git *g, const char *const *args, struct proc_result *ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct proc_spec spec;
    struct err local, *e = err ? err : &local;
    git_spec(tmp, g, args, &spec);
    spec.fds[0] = g->in_fd > 0 ? g->in_fd : -1;
    spec.fds[1] = g->out_fd > 0 ? g->out_fd : -1;
    spec.fds[2] = -1;
    spec.fd_count = 3;
    enum rc rc = proc_run(ctx, &spec, g->input, g->max_out ? g->max_out : GIT_SMALL_OUT,
                          g->timeout_ms ? g->timeout_ms : GIT_QUICK_MS, -1, ret, e);
    if (rc == RC_NOT_FOUND) {
        err_set(e, RC_UNAVAILABLE, "The program git was not found");
        err_hint(e, "Install git 2.31 or newer, for example: apt install git");
        return RC_UNAVAILABLE;
    }
    if (rc != RC_OK)
        return rc;
    if (ret->timed_out)
        return err_set(e, RC_TIMEOUT, "git %s took too long and was ended", args[1]);
    if (ret->exit_code < 0)
        return err_set(e, RC_IO, "git %s was ended by signal %d", args[1], ret->signal);
    return RC_OK;
}

/* What git's words mean. First match counts. */
static const struct {
    const char *words;
    enum rc rc;
    const char *hint;
} meanings[] = {
    {"No space left on device", RC_LIMIT, "Make room on the disk and try again."},
    {"Disk quota exceeded", RC_LIMIT, "Make room on the disk and try again."},
    {".lock': File exists", RC_CONFLICT, "Another git is at work there; if none is, remove that lock file."},
    {"cannot lock ref", RC_CONFLICT, NULL},
    {"Permission denied", RC_DENIED, NULL},
    {"Read-only file system", RC_DENIED, NULL},
    {"Could not read from remote", RC_NOT_FOUND, "Objects are missing here: fetch them, then try again."},
    {"promisor remote", RC_NOT_FOUND, "Objects are missing here: fetch them, then try again."},
    {"bad object", RC_NOT_FOUND, NULL},
    {"Not a valid object name", RC_NOT_FOUND, NULL},
    {"unknown revision", RC_NOT_FOUND, NULL},
    {"bad revision", RC_NOT_FOUND, NULL},
    {"not a tree object", RC_NOT_FOUND, NULL},
};

enum rc git_failed(struct err *err, const char *purpose, struct str words)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err local, *e = err ? err : &local;
    enum rc rc = RC_IO;
    const char *hint = NULL;
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        if (str_find(words, str_of(meanings[i].words)) < 0)
            continue;
        rc = meanings[i].rc;
        hint = meanings[i].hint;
        break;
    }
    err_set(e, rc, "Could not %s", purpose);
    err_detail(e, "git says: %s", text_terminal_line(tmp, str_trim(words), 800));
    if (hint)
        err_hint(e, "%s", hint);
    return rc;
}

enum rc git_do(mem *ctx, const struct git *g, const char *purpose, const char *const *args, struct str *ret_out,
               struct err *err)
{
    struct proc_result res;
    enum rc rc = git_run(ctx, g, args, &res, err);
    if (rc != RC_OK) {
        err_context(err, "Could not %s", purpose);
        return rc;
    }
    if (res.exit_code != 0)
        return git_failed(err, purpose, res.err);
    if (res.flooded)
        return err_set(err, RC_LIMIT, "Could not %s: git's answer is larger than %zu bytes", purpose,
                       g->max_out ? g->max_out : GIT_SMALL_OUT);
    if (ret_out)
        *ret_out = res.out;
    return RC_OK;
}

enum rc git_line(mem *ctx, const struct git *g, const char *purpose, const char *const *args, const char **ret,
                 struct err *err)
{
    struct str out, line;
    enum rc rc = git_do(ctx, g, purpose, args, &out, err);
    if (rc != RC_OK)
        return rc;
    if (!str_line(&out, &line))
        line = str_n("", 0);
    *ret = str_dup(ctx, line);
    return RC_OK;
}

/* ---- Guard ---- */

/* Variables below a name of the repository's choosing, and what takes their programs away. */
static const struct {
    const char *section, *variable, *value;
} sinks[] = {
    {"filter", "clean", ""},
    {"filter", "smudge", ""},
    {"filter", "process", ""},
    {"filter", "required", "false"},
    {"diff", "command", ""},
    {"diff", "textconv", ""},
    {"diff", "cachetextconv", "false"},
    {"merge", "driver", ""},
    {"remote", "vcs", ""},
    {"remote", "uploadpack", "false"},
    {"remote", "promisor", "false"},
};

static bool section_guarded(struct str section)
{
    for (size_t i = 0; i < sizeof sinks / sizeof *sinks; i++)
        if (str_ieq(section, str_of(sinks[i].section)))
            return true;
    return false;
}

/* Cuts "section.name.with.dots.variable"; false when there is no name. */
static bool key_split(struct str key, struct str *ret_section, struct str *ret_name)
{
    long first = str_find(key, STR("."));
    size_t last = key.n;
    while (last > 0 && key.p[last - 1] != '.')
        last--;
    if (first < 0 || last == 0 || (size_t)first + 1 >= last)
        return false;
    *ret_section = str_sub(key, 0, (size_t)first);
    *ret_name = str_sub(key, (size_t)first + 1, last - 1 - ((size_t)first + 1));
    return true;
}

enum rc git_guard(mem *ctx, const char *git_dir, const char *const **ret, struct err *err)
{
    struct git g = {.git_dir = git_dir, .max_out = 4 << 20};
    struct proc_result res;
    struct env guard = {.ctx = ctx};
    enum rc rc = git_run(ctx, &g, GIT_ARGS("config", "--null", "--name-only", "--list"), &res, err);
    if (rc != RC_OK)
        return rc;
    if (res.exit_code != 0)
        return git_failed(err, "read the repository's configuration", res.err);
    if (res.flooded)
        return err_set(err, RC_LIMIT, "The repository's configuration is too large");
    struct str rest = res.out, key, section, name, before = {0};
    while (str_next(&rest, '\0', &key)) {
        if (!key_split(key, &section, &name) || !section_guarded(section))
            continue;
        struct str whole = str_sub(key, 0, section.n + 1 + name.n); /* settings of one name stand together */
        if (before.n && str_eq(whole, before))
            continue;
        before = whole;
        for (size_t i = 0; i < sizeof sinks / sizeof *sinks; i++) {
            if (!str_ieq(section, str_of(sinks[i].section)))
                continue;
            env_add(&guard, mem_printf(ctx, "%.*s.%s", STR_FMT(whole), sinks[i].variable));
            env_add(&guard, sinks[i].value);
        }
    }
    *ret = guard.v;
    return RC_OK;
}

/* ---- Names ---- */

bool git_is_oid(const char *z)
{
    size_t n = z ? strspn(z, "0123456789abcdef") : 0;
    return (n == 40 || n == 64) && z[n] == '\0';
}

enum rc git_name_check(const char *name, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    bool bad = !name || name[0] == '\0' || name[0] == '-' || strlen(name) > 4096;
    for (const char *p = name; !bad && *p; p++)
        bad = (unsigned char)*p < ' ' || *p == 0x7f;
    return bad ? err_set(err, RC_INVALID, "\"%s\" does not name a commit", name ? git_show(tmp, name) : "") : RC_OK;
}

bool git_part_allowed(struct str part)
{
    return part.n > 0 && part.n <= NAME_MAX && !str_eqz(part, ".") && !str_eqz(part, "..") &&
           !str_ieq(part, STR(".git"));
}

bool git_path_allowed(const char *path)
{
    struct str rest = str_of(path), part;
    bool good = rest.n > 0 && rest.n < PATH_MAX;
    while (good && str_next(&rest, '/', &part))
        good = git_part_allowed(part);
    return good;
}

const char *git_show(mem *ctx, const char *name)
{
    return text_terminal_line(ctx, str_of(name), 200);
}

enum rc git_temp_dir(mem *ctx, const char **ret, struct err *err)
{
    const char *base = getenv("TMPDIR");
    char *dir = mem_printf(ctx, "%s/nightmill-XXXXXX", base && base[0] == '/' ? base : "/tmp");
    if (!mkdtemp(dir))
        return err_sys(err, errno, "Could not make a temporary folder %s", dir);
    *ret = dir;
    return RC_OK;
}

enum rc repo_git_version(mem *ctx, const char **ret, struct err *err)
{
    struct git g = {0};
    const char *line;
    enum rc rc = git_line(ctx, &g, "ask git for its version", GIT_ARGS("--version"), &line, err);
    if (rc != RC_OK)
        return rc;
    const char *prefix = "git version ";
    const char *text = strncmp(line, prefix, strlen(prefix)) == 0 ? line + strlen(prefix) : line;
    int major = 0, minor = 0;
    char *end;
    major = (int)strtol(text, &end, 10);
    if (*end == '.')
        minor = (int)strtol(end + 1, NULL, 10);
    if (major < 2 || (major == 2 && minor < 31)) {
        err_set(err, RC_UNAVAILABLE, "git is too old: %s", git_show(ctx, text));
        err_hint(err, "Install git 2.31 or newer.");
        return RC_UNAVAILABLE;
    }
    *ret = text;
    return RC_OK;
}
