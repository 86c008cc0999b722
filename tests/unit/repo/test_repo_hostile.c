/* No program that a repository, a workspace, an environment or a configuration names is ever run, by any function of
 * the room. Every sink that git has is armed with a canary; a control first shows that plain git does set it off. */
#include "fixture.h"

static struct repo_facts facts;
static struct workspace w;
static struct buf notes;

/* Settings that name a program, or lead to one. %s is the canary with the setting's name as its argument. */
static const char *const sinks[] = {
    "core.fsmonitor",
    "core.pager",
    "core.editor",
    "core.sshCommand",
    "core.gitProxy",
    "core.askPass",
    "core.alternateRefsCommand",
    "sequence.editor",
    "pager.status",
    "pager.diff",
    "pager.config",
    "pager.log",
    "diff.external",
    "diff.evil.command",
    "diff.evil.textconv",
    "filter.evil.clean",
    "filter.evil.smudge",
    "filter.proc.process",
    "filter.a.b c.clean",
    "filter.a.b c.smudge",
    "filter.eq=l.clean",
    "filter.eq=l.smudge",
    "merge.evil.driver",
    "gpg.program",
    "gpg.ssh.program",
    "gpg.x509.program",
    "gpg.ssh.defaultKeyCommand",
    "credential.helper",
    "alias.update-ref",
    "alias.hello",
    "interactive.diffFilter",
    "uploadpack.packObjectsHook",
    "remote.origin.uploadpack",
    "remote.origin.receivepack",
    "trailer.sign.command",
    "trailer.sign.cmd",
    "difftool.x.cmd",
    "mergetool.x.cmd",
    "web.browser",
    "gc.recentObjectsHook",
    "sendemail.toCmd",
    "imap.tunnel",
    "core.virtualFilesystem",
    "submodule.sub.update",
};
/* Settings that make git want one of them. */
static const char *const lures[][2] = {
    {"commit.gpgSign", "true"},
    {"tag.gpgSign", "true"},
    {"log.showSignature", "true"},
    {"submodule.recurse", "true"},
    {"fetch.recurseSubmodules", "true"},
    {"protocol.allow", "always"},
    {"protocol.ext.allow", "always"},
    {"remote.origin.promisor", "true"},
    {"extensions.partialClone", "origin"},
    {"core.repositoryFormatVersion", "1"},
    {"gc.auto", "1"},
    {"filter.evil.required", "true"},
    {"diff.evil.cachetextconv", "true"},
    {"status.submoduleSummary", "true"},
    {"core.untrackedCache", "true"},
    {"merge.tool", "x"},
    {"diff.tool", "x"},
    {"feature.manyFiles", "true"},
    {"core.preloadIndex", "true"},
    {"color.ui", "always"},
    {"diff.noprefix", "true"},
};
static const char *const hooks[] = {
    "applypatch-msg",     "commit-msg",
    "fsmonitor-watchman", "post-applypatch",
    "post-checkout",      "post-commit",
    "post-index-change",  "post-merge",
    "post-receive",       "post-rewrite",
    "post-update",        "pre-applypatch",
    "pre-auto-gc",        "pre-commit",
    "pre-merge-commit",   "pre-push",
    "pre-rebase",         "pre-receive",
    "prepare-commit-msg", "proc-receive",
    "push-to-checkout",   "reference-transaction",
    "sendemail-validate", "update",
};

/* The canary writes down who woke it and hands its input on. */
static void canary_make(void)
{
    put("canary", mem_printf(ctx, "#!/bin/sh\necho \"$1\" >>%s/fired\ncat 2>/dev/null\nexit 0\n", top));
    sh("chmod 755 canary");
}

static void no_canary(const char *what)
{
    if (exists("fired"))
        ck_abort_msg("%s woke: %s", what, slurp("fired"));
}

/* One setting as lines of a configuration file. */
static void config_add(struct buf *b, const char *key, const char *value)
{
    const char *first = strchr(key, '.'), *last = strrchr(key, '.');
    if (first == last)
        buf_printf(b, "[%.*s]\n\t%s = \"%s\"\n", (int)(first - key), key, last + 1, value);
    else
        buf_printf(b, "[%.*s \"%.*s\"]\n\t%s = \"%s\"\n", (int)(first - key), key, (int)(last - first - 1), first + 1,
                   last + 1, value);
}

static void arm_config(const char *file)
{
    struct buf b;
    buf_init(&b, ctx, 1 << 20);
    for (size_t i = 0; i < sizeof sinks / sizeof *sinks; i++) {
        bool shell = strncmp(sinks[i], "alias", 5) == 0 || strncmp(sinks[i], "submodule", 9) == 0;
        config_add(&b, sinks[i], mem_printf(ctx, "%s%s/canary %s", shell ? "!" : "", top, sinks[i]));
    }
    for (size_t i = 0; i < sizeof lures / sizeof *lures; i++)
        config_add(&b, lures[i][0], lures[i][1]);
    FILE *f = fopen(at(file), "a");
    ck_assert(f && fwrite(b.p, 1, b.n, f) == b.n && fclose(f) == 0);
}

static void arm_hooks(const char *dir)
{
    if (!exists("hooks"))
        sh("mkdir hooks");
    for (size_t i = 0; i < sizeof hooks / sizeof *hooks && !exists("hooks/update"); i++)
        put(mem_printf(ctx, "hooks/%s", hooks[i]),
            mem_printf(ctx, "#!/bin/sh\nexec %s/canary hook-%s </dev/null\n", top, hooks[i]));
    sh("chmod 755 hooks/*; mkdir -p %s; cp hooks/* %s", dir, dir);
}

/* Whatever of the parent's environment git would listen to. */
static void arm_environment(void)
{
    const char *canary = mem_printf(ctx, "%s/canary environment", top);
    const char *names[] = {"GIT_EXTERNAL_DIFF",
                           "GIT_SSH_COMMAND",
                           "GIT_SSH",
                           "GIT_PAGER",
                           "PAGER",
                           "GIT_EDITOR",
                           "EDITOR",
                           "VISUAL",
                           "GIT_ASKPASS",
                           "SSH_ASKPASS",
                           "GIT_PROXY_COMMAND",
                           "GIT_SEQUENCE_EDITOR"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        setenv(names[i], canary, 1);
    setenv("GIT_EXEC_PATH", at("exec"), 1);
    setenv("GIT_TEMPLATE_DIR", at("exec"), 1);
    setenv("GIT_TRACE", at("fired"), 1);
    setenv("GIT_TRACE2", at("fired"), 1);
    setenv("GIT_CONFIG_COUNT", "1", 1);
    setenv("GIT_CONFIG_KEY_0", "core.fsmonitor", 1);
    setenv("GIT_CONFIG_VALUE_0", canary, 1);
    setenv("GIT_DIR", at("evil/.git"), 1);
    setenv("GIT_WORK_TREE", at("evil"), 1);
    setenv("GIT_ATTR_SOURCE", "HEAD", 1);
}

static const char attributes[] = "* filter=evil diff=evil merge=evil ident\n*.p filter=proc\n"
                                 "*.s filter=\"a.b c\"\n*.q filter=eq=l\n[attr]x filter=evil\n";

static void setup(void)
{
    fixture_setup();
    buf_init(&notes, ctx, 65536);
    canary_make();
    repo_make("evil");
    put("evil/.gitattributes", attributes);
    sh("cd evil; echo p >f.p; echo s >f.s; echo q >f.q; git init -q --bare nested.git; "
       "git config -f nested.git/config core.fsmonitor '%s/canary nested'; rm -rf nested.git/refs/tags; "
       "touch nested.git/refs/heads/.keep nested.git/objects/.keep; "
       "printf '[submodule \"sub\"]\\n\\tpath = sub\\n\\turl = ext::%s/canary\\n\\tupdate = !%s/canary\\n' >.gitmodules; "
       "git add -A; git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),sub; mkdir -p sub; "
       "git commit -qm Evil; git branch side HEAD~1",
       top, top, top);
    /* A submodule that is there, with sinks of its own. */
    sh("rmdir evil/sub; git clone -q evil evil/sub 2>/dev/null; mkdir -p evil/.git/modules; "
       "mv evil/sub/.git evil/.git/modules/sub; printf 'gitdir: ../.git/modules/sub\\n' >evil/sub/.git; "
       "git -C evil/.git/modules/sub config core.worktree ../../../sub");
    sh("git -C evil config remote.origin.url 'ext::%s/canary url'", top);
    arm_hooks("evil/.git/hooks");
    arm_hooks("evil/.git/modules/sub/hooks");
    arm_hooks("more-hooks");
    arm_config("evil/.git/modules/sub/config");
    arm_config("evil/.git/evil.inc");
    arm_config("evil/.git/config.worktree");
    arm_config("home/.gitconfig");
    sh("git -C evil config extensions.worktreeConfig true; git -C evil config include.path evil.inc; "
       "git -C evil config includeIf.gitdir:/.path %s/evil/.git/evil.inc; mkdir -p evil/.git/info",
       top);
    arm_config("evil/.git/config");
    put("evil/.git/info/attributes", attributes);
    sh("git -C evil config core.hooksPath %s/more-hooks", top);
    if (exists("fired"))
        unlink(at("fired")); /* git config itself may have woken one of home's */
}

/* Files that look changed, so that git has to read them. */
static void touch_all(const char *dir)
{
    sh("sleep 0.01; find %s -name .git -prune -o -type f -exec touch {} +", dir);
}

START_TEST(control)
{
    sh("cp -a evil plain; cd plain; find . -name .git -prune -o -type f -exec touch {} +; git status >/dev/null 2>&1 || true; "
       "echo x >>a.txt; git diff >/dev/null 2>&1 || true; git add a.txt >/dev/null 2>&1 || true; "
       "git commit -qm x >/dev/null 2>&1 || true; git checkout -q side >/dev/null 2>&1 || true; git hello >/dev/null 2>&1 || true");
    const char *fired = slurp("fired");
    const char *must[] = {"core.fsmonitor", "filter.evil.clean", "hook-pre-commit", "alias.hello"};
    for (size_t i = 0; i < sizeof must / sizeof *must; i++)
        ck_assert_msg(strstr(fired, must[i]), "%s is not armed: %s", must[i], fired);
}
END_TEST

static void inspected(void)
{
    arm_environment();
    facts = inspect("evil");
    no_canary("repo_inspect");
}

START_TEST(reading)
{
    const char *id, *message;
    struct repo_entry *entries;
    struct repo_change *changes;
    struct str text;
    size_t n;
    touch_all("evil");
    inspected();
    touch_all("evil/sub");
    inspected();
    const char *git_dir = facts.git_dir;
    OK(repo_git_version(ctx, &id, &err));
    OK(repo_resolve(ctx, git_dir, "HEAD", &id, &err));
    OK(repo_tree_of(ctx, git_dir, "HEAD", &id, &err));
    OK(repo_parent(ctx, git_dir, "HEAD", &id, &err));
    OK(repo_message(ctx, git_dir, "HEAD", &message, &err));
    OK(repo_list(ctx, git_dir, "HEAD", &entries, &n, &err));
    OK(repo_blob(ctx, git_dir, "HEAD", "f.p", 100, &text, &err));
    OK(repo_changes(ctx, git_dir, "HEAD~1", "HEAD", &changes, &n, &err));
    OK(repo_diff(ctx, git_dir, "HEAD~1", "HEAD", NULL, 1 << 20, &text, &err));
    ck_assert_int_ge(str_find(text, STR("+++ b/f.p")), 0);
    OK(repo_export(git_dir, "HEAD", at("out"), getuid(), getgid(), &err));
    no_canary("reading");
}
END_TEST

START_TEST(missing_objects_are_not_fetched)
{
    const char *id = sh("git -C evil rev-parse HEAD:f.p");
    struct str text;
    struct repo_change *changes;
    size_t n;
    sh("cd evil; rm -f .git/objects/$(echo %s | sed 's,..,&/,'); rm fired || true", id);
    inspected();
    ck_assert_int_ne(repo_blob(ctx, facts.git_dir, "HEAD", "f.p", 100, &text, &err), RC_OK);
    ck_assert_int_ne(repo_changes(ctx, facts.git_dir, "HEAD~1", "HEAD", &changes, &n, &err), RC_OK);
    ck_assert_int_ne(repo_export(facts.git_dir, "HEAD", at("out"), getuid(), getgid(), &err), RC_OK);
    ck_assert_int_ne(workspace_open(ctx, at("task"), &facts, facts.head, getuid(), getgid(), &w, NULL, &err), RC_OK);
    no_canary("a missing object");
}
END_TEST

/* What an agent can put into its folder. */
static void plant(void)
{
    put(WORK "/.gitattributes", attributes);
    sh("cd task/work; echo x >>f.p; echo x >>f.q; mkdir -p sub2 src/.git; cp -a ../../evil/.git/. src/.git/; "
       "git init -q sub2; cp ../../evil/.git/config sub2/.git/config; cp -r ../../more-hooks/. sub2/.git/hooks/; "
       "printf 'gitdir: %s/evil/.git\\n' >src/deep/.git; mkdir -p l; ln -sfn %s/evil/.git l/.git; cp -a ../../evil/.git .GIT; "
       "cp -a ../../evil/.git bare; mkdir -p node_modules/x; cp -a ../../evil/.git node_modules/x/.git; "
       "echo node_modules >.gitignore; cp ../../evil/.git/config .gitconfig; mkdir -p hooks; cp ../../more-hooks/* hooks",
       top, top);
    if (exists("fired"))
        unlink(at("fired")); /* plain git init was at work */
}

START_TEST(working)
{
    struct repo_commit c = {.message = "m", .author_name = "a", .author_email = "b", .time_s = 1};
    const char *commit;
    struct str text;
    struct repo_change *changes;
    size_t n;
    inspected();
    workspace_set_cache(at("cache"));
    OK(workspace_stock(&facts, sh("git --git-dir=evil/.git rev-parse side"), getuid(), getgid(), &err));
    OK(workspace_open(ctx, at("task"), &facts, facts.head, getuid(), getgid(), &w, &notes, &err));
    no_canary("workspace_open");
    plant();
    OK(workspace_tree(ctx, &w, &c.tree, &notes, &err));
    no_canary("workspace_tree");
    c.parent = w.base;
    c.ref = "refs/nightmill/iteration/1";
    OK(repo_commit(ctx, w.git_dir, &c, &commit, &err));
    OK(repo_changes(ctx, w.git_dir, w.base, commit, &changes, &n, &err));
    OK(repo_diff(ctx, w.git_dir, w.base, commit, NULL, 1 << 20, &text, &err));
    OK(repo_export(w.git_dir, commit, at("out"), getuid(), getgid(), &err));
    no_canary("commit");
    plant();
    OK(workspace_restore(&w, w.base, &err));
    OK(workspace_restore(&w, commit, &err));
    OK(workspace_open(ctx, at("task"), &facts, facts.head, getuid(), getgid(), &w, &notes, &err));
    no_canary("workspace_restore");
}
END_TEST

START_TEST(delivering)
{
    struct repo_commit c = {.message = "m", .author_name = "a", .author_email = "b", .time_s = 1};
    const char *commit, *words, *tree;
    inspected();
    ck_assert(!facts.dirty);
    OK(workspace_open(ctx, at("task"), &facts, facts.head, getuid(), getgid(), &w, &notes, &err));
    sh("cd task/work; echo x >>f.p; echo x >>a.txt; echo n >n.p; rm f.s; echo x >>src/x.c");
    OK(workspace_tree(ctx, &w, &c.tree, &notes, &err));
    c.parent = w.base;
    OK(repo_commit(ctx, w.git_dir, &c, &commit, &err));
    OK(repo_deliver(&w, &facts, commit, "nightmill/1", &err));
    no_canary("repo_deliver");
    touch_all("evil");
    OK(repo_apply(&facts, w.base, commit, &err));
    no_canary("repo_apply");
    ck_assert(!inspect("evil").dirty);
    touch_all("evil");
    OK(repo_undo(ctx, &facts, "t", commit, "nightmill/1", true, &words, &err));
    no_canary("repo_undo");
    OK(repo_deliver(&w, &facts, commit, "nightmill/1", &err));
    OK(repo_apply(&facts, w.base, commit, &err));
    /* A commit on top, made without waking anything, so that undo has to reverse and to merge a file. */
    struct repo_edit edits[] = {{.path = "later", .mode = 0100644, .contents = STR("later")}};
    OK(repo_tree_edit(ctx, facts.git_dir, commit, edits, 1, &tree, &err));
    c = (struct repo_commit){.tree = tree, .parent = commit, .message = "Later", .time_s = 2};
    const char *later;
    OK(repo_commit(ctx, facts.git_dir, &c, &later, &err));
    OK(repo_apply(&facts, commit, later, &err));
    touch_all("evil");
    OK(repo_undo(ctx, &facts, "t2", commit, "nightmill/1", true, &words, &err));
    ck_assert_ptr_nonnull(strstr(words, "reverses"));
    OK(repo_deliver(&w, &facts, commit, "nightmill/2", &err));
    OK(repo_undo(ctx, &facts, "t3", commit, "nightmill/2", false, &words, &err));
    no_canary("repo_undo");
}
END_TEST

/* The same with the hostile .git reached through a file and through a link. */
START_TEST(pointed_to)
{
    sh("mkdir a b; printf 'gitdir: %s/evil/.git\\n' >a/.git; ln -s ../evil/.git b/.git", top);
    inspected();
    ck_assert(inspect("a").dirty); /* all its files are missing there */
    ck_assert(inspect("b").dirty);
    SAME(inspect("a/").top, at("a"));
    no_canary("a .git that points elsewhere");
    struct repo_facts f;
    IS(repo_inspect(ctx, at("evil/nested.git"), &f, &err), RC_INVALID); /* a bare repository in the tree */
    no_canary("a bare repository");
}
END_TEST

/* Names and sizes beyond reason in a configuration: an error or nothing, never a program. */
START_TEST(odd_configurations)
{
    const char *odd[] = {"[filter]\n\tclean = canary\n",
                         "[filter \"\"]\n\tclean = canary\n\tsmudge = canary\n",
                         "[filter \"x\\\"y\"]\n\tclean = canary\n",
                         "[FILTER \"Evil\"]\n\tCLEAN = canary\n",
                         "[filter \"a=b.c=d\"]\n\tclean = canary\n",
                         "[filter \"\xff\xfe\"]\n\tclean = canary\n",
                         "[filter.dotted]\n\tclean = canary\n",
                         "[core\n",
                         "[include]\n\tpath = config\n",
                         "\x00\x01",
                         "[core]\n\tfsmonitor\n\thooksPath\n"};
    const char *names[] = {"", "", "x\"y", "Evil", "a=b.c=d", "\xff\xfe", "dotted", "", "", "", ""};
    sh("unset GIT_DIR; cp -a evil clean; cd clean; cp .git/config ../saved; rm .git/info/attributes .git/config.worktree");
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        struct repo_facts f;
        sh("cp -a clean odd");
        put("odd/.git/info/attributes", mem_printf(ctx, "* filter=%s diff=%s\n", names[i], names[i]));
        struct buf b;
        buf_init(&b, ctx, 10000);
        for (const char *p = odd[i]; *p; p++) {
            if (strncmp(p, "canary", 6) == 0) {
                buf_printf(&b, "\"%s/canary odd%zu\"", top, i);
                p += 5;
            } else {
                buf_char(&b, *p);
            }
        }
        put("odd/.git/config", mem_printf(ctx, "[core]\n\trepositoryformatversion = 0\n%s", b.p ? b.p : ""));
        touch_all("odd");
        enum rc rc = repo_inspect(ctx, at("odd"), &f, &err);
        ck_assert_msg(rc == RC_OK || err.sentence[0], "%zu", i);
        no_canary(odd[i]);
        OK(path_remove_tree(at("odd"), &err));
    }
    sh("cp -a clean odd; { for i in $(seq 30000); do printf '[filter \"f%%s\"]\\n\\tclean = x\\n' $i; done; } >odd/.git/config");
    struct repo_facts f;
    ck_assert_int_ne(repo_inspect(ctx, at("odd"), &f, &err), RC_OK); /* more than an environment holds */
    no_canary("a huge configuration");
}
END_TEST

START_TEST(private_repository_names_nothing)
{
    inspected();
    OK(workspace_open(ctx, at("task"), &facts, facts.head, getuid(), getgid(), &w, &notes, &err));
    const char *config = slurp("task/git/config");
    ck_assert_ptr_null(strstr(config, "canary"));
    ck_assert_ptr_null(strstr(config, "filter"));
    ck_assert(!exists("task/git/hooks"));
    SAME(sh("grep -rl canary task/git || true"), "");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("repo_hostile");
    TCase *t = tcase_create("hostile");
    tcase_add_checked_fixture(t, setup, fixture_teardown);
    tcase_set_timeout(t, 110);
    tcase_add_test(t, control);
    tcase_add_test(t, reading);
    tcase_add_test(t, missing_objects_are_not_fetched);
    tcase_add_test(t, working);
    tcase_add_test(t, delivering);
    tcase_add_test(t, pointed_to);
    tcase_add_test(t, odd_configurations);
    tcase_add_test(t, private_repository_names_nothing);
    suite_add_tcase(s, t);
    return suite_run(s);
}
