/* Facts, objects, trees and exports, against what git itself says. */
#include "fixture.h"
#include <sys/socket.h>

static const char *git_dir;

static void setup(void)
{
    fixture_setup();
    repo_make("r");
    git_dir = at("r/.git");
}

START_TEST(facts)
{
    struct repo_facts f = inspect("r/src/deep");
    SAME(f.top, at("r"));
    SAME(f.git_dir, at("r/.git"));
    SAME(f.head, sh("git -C r rev-parse HEAD"));
    SAME(f.branch, "main");
    ck_assert(!f.shallow && !f.dirty && !f.submodules);
    SAME(f.user_name, "Ann Other");
    SAME(f.user_email, "ann@example.org");
    sh("echo x >r/new");
    ck_assert(!inspect("r").dirty); /* what is not tracked does not count */
    sh("echo x >>r/a.txt");
    ck_assert(inspect("r").dirty);
    sh("cd r; git checkout -q -- a.txt; touch a.txt");
    ck_assert(!inspect("r").dirty); /* touched, not changed */
    sh("cd r; git config user.name Local; git checkout -q --detach");
    f = inspect("r");
    ck_assert_ptr_null(f.branch);
    SAME(f.user_name, "Local");
    sh("rm home/.gitconfig; git -C r config --unset user.name");
    f = inspect("r");
    ck_assert_ptr_null(f.user_name);
    ck_assert_ptr_null(f.user_email);
}
END_TEST

START_TEST(environment_of_the_caller_does_not_count)
{
    repo_make("other");
    setenv("GIT_DIR", at("other/.git"), 1);
    setenv("GIT_INDEX_FILE", "/nowhere", 1);
    setenv("GIT_CONFIG_PARAMETERS", "'core.bare'='true'", 1);
    setenv("GIT_CONFIG_COUNT", "1", 1);
    setenv("GIT_CONFIG_KEY_0", "core.bare", 1);
    setenv("GIT_CONFIG_VALUE_0", "true", 1);
    SAME(inspect("r").git_dir, at("r/.git"));
}
END_TEST

START_TEST(refused)
{
    struct repo_facts f;
    sh("mkdir plain; git init -q --bare bare.git; git init -q empty; git init -q broken; "
       "echo 0123456789012345678901234567890123456789 >broken/.git/refs/heads/main");
    struct {
        const char *dir, *words;
    } bad[] = {{"plain", "not in a git repository"},    {"bare.git", "bare"},       {"r/.git", "inside a .git folder"},
               {"r/.git/refs", "inside a .git folder"}, {"empty", "no commit yet"}, {"broken", "current commit"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        memset(&err, 0, sizeof err);
        IS(repo_inspect(ctx, at(bad[i].dir), &f, &err), RC_INVALID);
        ck_assert_msg(strstr(err.sentence, bad[i].words), "%s: %s", bad[i].dir, err.sentence);
        ck_assert_msg(err.hint[0], "%s", bad[i].dir);
    }
    sh("git -C r config core.bare true");
    IS(repo_inspect(ctx, at("r"), &f, &err), RC_INVALID);
    IS(repo_inspect(ctx, at("none"), &f, &err), RC_NOT_FOUND);
    IS(repo_inspect(ctx, at("r/a.txt"), &f, NULL), RC_INVALID);
}
END_TEST

START_TEST(shapes)
{
    sh("git clone -q --depth 1 file://$PWD/r shallow; git -C r worktree add -q ../tree -b side; "
       "cd r; git -c protocol.file.allow=always submodule --quiet add ../shallow sub; git commit -qm Sub");
    ck_assert(inspect("shallow").shallow);
    struct repo_facts f = inspect("tree");
    SAME(f.top, at("tree"));
    SAME(f.git_dir, at("r/.git"));
    SAME(f.branch, "side");
    f = inspect("r");
    ck_assert(f.submodules && !f.dirty);
    SAME(inspect("r/sub").top, at("r/sub")); /* a submodule is a repository of its own */
    sh("echo x >>r/sub/a.txt");
    ck_assert(!inspect("r").dirty); /* submodules are not looked into */
}
END_TEST

START_TEST(work_tree_is_where_it_was_found)
{
    sh("mkdir elsewhere; git -C r config core.worktree %s", at("elsewhere"));
    SAME(inspect("r").top, at("r"));
    ck_assert(!inspect("r").dirty);
}
END_TEST

START_TEST(names)
{
    const char *id, *tree, *message;
    OK(repo_resolve(ctx, git_dir, "main", &id, &err));
    SAME(id, sh("git -C r rev-parse main"));
    OK(repo_resolve(ctx, git_dir, "HEAD~1", &id, &err));
    SAME(id, sh("git -C r rev-parse HEAD~1"));
    IS(repo_parent(ctx, git_dir, id, &id, &err), RC_NOT_FOUND);
    OK(repo_parent(ctx, git_dir, "main", &id, &err));
    SAME(id, sh("git -C r rev-parse main~1"));
    OK(repo_tree_of(ctx, git_dir, "main", &tree, &err));
    SAME(tree, sh("git -C r rev-parse main^{tree}"));
    OK(repo_message(ctx, git_dir, "main", &message, &err));
    SAME(message, "Second: more\n");
    IS(repo_resolve(ctx, git_dir, "nothing", &id, &err), RC_NOT_FOUND);
    IS(repo_resolve(ctx, git_dir, "0123456789012345678901234567890123456789", &id, &err), RC_NOT_FOUND);
    const char *bad[] = {"", "-h", "--all", "a\nb", "\x1b[31m"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        IS(repo_resolve(ctx, git_dir, bad[i], &id, &err), RC_INVALID);
    const char *version;
    OK(repo_git_version(ctx, &version, &err));
    ck_assert_ptr_nonnull(strstr(sh("git --version"), version));
}
END_TEST

START_TEST(files)
{
    struct repo_entry *e;
    size_t n;
    struct str text;
    OK(repo_list(ctx, git_dir, "main", &e, &n, &err));
    const char *paths[] = {".gitignore", "a.txt", "link", "src/deep/d.txt", "src/x.c", "tool"};
    ck_assert_uint_eq(n, sizeof paths / sizeof *paths);
    for (size_t i = 0; i < n; i++)
        SAME(e[i].path, paths[i]);
    ck_assert_uint_eq(e[1].mode, 0100644);
    ck_assert_uint_eq(e[2].mode, 0120000);
    ck_assert_uint_eq(e[5].mode, 0100755);
    SAME(e[1].oid, sh("git -C r rev-parse main:a.txt"));
    OK(repo_blob(ctx, git_dir, "main", "a.txt", 8, &text, &err));
    SAME(text.p, "one\ntwo\n");
    OK(repo_blob(ctx, git_dir, "main", "link", 100, &text, &err));
    SAME(text.p, "a.txt");
    IS(repo_blob(ctx, git_dir, "main", "a.txt", 7, &text, &err), RC_LIMIT);
    const char *none[] = {"src", "src/", "none", "", "/a.txt", "../a.txt", "a.tx*", ":(top)a.txt", "a.txt/x"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        ck_assert_msg(repo_blob(ctx, git_dir, "main", none[i], 100, &text, &err) == RC_NOT_FOUND, "%s: %s", none[i],
                      err.sentence);
    IS(repo_list(ctx, git_dir, "nothing", &e, &n, &err), RC_NOT_FOUND);
    IS(repo_list(ctx, git_dir, "--help", &e, &n, &err), RC_INVALID);
}
END_TEST

START_TEST(odd_names)
{
    sh("cd r; printf 1 >\"$(printf 'new\\nline')\"; printf 2 >\"$(printf 'latin\\351')\"; printf 3 >' \"q\\uote'; "
       "printf 4 >-dash; printf 5 >':(glob)x'; git add -A; git commit -qm Odd");
    struct repo_entry *e;
    struct repo_change *c;
    size_t n, changed;
    OK(repo_list(ctx, git_dir, "main", &e, &n, &err));
    OK(repo_changes(ctx, git_dir, "main~1", "main", &c, &changed, &err));
    ck_assert_uint_eq(changed, 5);
    const char *odd[] = {" \"q\\uote", "-dash", ":(glob)x", "latin\351", "new\nline"};
    for (size_t i = 0; i < 5; i++) {
        struct str text;
        SAME(c[i].path, odd[i]);
        ck_assert_int_eq(c[i].status, 'A');
        ck_assert_int_eq(c[i].added, 1);
        OK(repo_blob(ctx, git_dir, "main", odd[i], 10, &text, &err));
        ck_assert_uint_eq(text.n, 1);
        OK(repo_diff(ctx, git_dir, "main~1", "main", (const char *const[]){odd[i], NULL}, 10000, &text, &err));
        ck_assert_int_ge(str_find(text, STR("new file mode")), 0);
    }
    OK(repo_export(git_dir, "main", at("out"), getuid(), getgid(), &err));
    SAME(slurp("out/latin\351"), "2");
    SAME(slurp("out/new\nline"), "1");
}
END_TEST

START_TEST(changes_and_diff)
{
    sh("cd r; rm tool; echo 3 >>a.txt; printf 'a\\0b' >bin; rm link; echo file >link; chmod +x src/x.c; mkdir tool; "
       "echo in >tool/in; git add -A; git commit -qm Third");
    struct repo_change *c;
    size_t n;
    OK(repo_changes(ctx, git_dir, "main~1", "main", &c, &n, &err));
    struct {
        const char *path;
        char status;
        int64_t added, removed;
    } want[] = {{"a.txt", 'M', 1, 0},   {"bin", 'A', -1, -1}, {"link", 'T', 1, 1},
                {"src/x.c", 'M', 0, 0}, {"tool", 'D', 0, 1},  {"tool/in", 'A', 1, 0}};
    ck_assert_uint_eq(n, sizeof want / sizeof *want);
    for (size_t i = 0; i < n; i++) {
        SAME(c[i].path, want[i].path);
        ck_assert_int_eq(c[i].status, want[i].status);
        ck_assert_int_eq(c[i].added, want[i].added);
        ck_assert_int_eq(c[i].removed, want[i].removed);
    }
    struct str text;
    OK(repo_diff(ctx, git_dir, "main~1", "main", NULL, 1 << 20, &text, &err));
    ck_assert_int_ge(str_find(text, STR("+++ b/a.txt")), 0);
    ck_assert_int_ge(str_find(text, STR("+++ b/tool/in")), 0);
    OK(repo_diff(ctx, git_dir, "main~1", "main", (const char *const[]){"a.txt", "bin", NULL}, 1 << 20, &text, &err));
    ck_assert_int_ge(str_find(text, STR("+++ b/a.txt")), 0);
    ck_assert_int_lt(str_find(text, STR("tool/in")), 0);
    OK(repo_diff(ctx, git_dir, "main~1", "main", (const char *const[]){NULL}, 1 << 20, &text, &err));
    ck_assert_uint_eq(text.n, 0);
    OK(repo_diff(ctx, git_dir, "main~1", "main", NULL, 150, &text, &err));
    ck_assert_int_ge(str_find(text, STR("is cut here]")), 0);
    ck_assert_uint_le(text.n, 150 + 80);
    OK(repo_changes(ctx, git_dir, "main", "main", &c, &n, &err));
    ck_assert_uint_eq(n, 0);
    IS(repo_changes(ctx, git_dir, "main", "none", &c, &n, &err), RC_NOT_FOUND);
    /* More paths than one call takes. */
    const char **many = mem_array(ctx, const char *, 3001);
    for (int i = 0; i < 3000; i++)
        many[i] = i == 2999 ? "a.txt" : mem_printf(ctx, "no/such/file/with/a/long/name/%d", i);
    OK(repo_diff(ctx, git_dir, "main~1", "main", many, 1 << 20, &text, &err));
    ck_assert_int_ge(str_find(text, STR("+++ b/a.txt")), 0);
}
END_TEST

START_TEST(commits_are_reproducible)
{
    struct repo_commit c = {.message = "Say it\n\nBody",
                            .author_name = "A <evil>\nfake: header",
                            .author_email = "a@b>",
                            .committer_name = "...",
                            .committer_email = "",
                            .time_s = 86400,
                            .ref = "refs/nightmill/iteration/1"};
    const char *one, *two;
    OK(repo_tree_of(ctx, git_dir, "main", &c.tree, &err));
    OK(repo_commit(ctx, git_dir, &c, &one, &err));
    OK(repo_commit(ctx, git_dir, &c, &two, &err));
    SAME(one, two);
    SAME(sh("git -C r rev-parse refs/nightmill/iteration/1"), one);
    SAME(sh("git -C r cat-file commit %s | sed 1d", one),
         "author A evilfake: header <a@b> 86400 +0000\ncommitter unknown <unknown> 86400 +0000\n\nSay it\n\nBody");
    c.parent = one;
    OK(repo_commit(ctx, git_dir, &c, &two, &err));
    OK(repo_parent(ctx, git_dir, two, &c.parent, &err));
    SAME(c.parent, one);
    c.ref = "HEAD";
    IS(repo_commit(ctx, git_dir, &c, &two, &err), RC_INVALID);
    c.ref = NULL;
    c.tree = "--help";
    IS(repo_commit(ctx, git_dir, &c, &two, &err), RC_INVALID);
    c.tree = "0123456789012345678901234567890123456789";
    ck_assert_int_ne(repo_commit(ctx, git_dir, &c, &two, &err), RC_OK);
}
END_TEST

START_TEST(trees_are_edited)
{
    const char *tree, *same;
    struct repo_edit edits[] = {
        {.path = "a.txt", .mode = 0100644, .contents = STR("replaced\r\n")},
        {.path = "tool", .mode = 0},
        {.path = "src", .mode = 0100755, .contents = STR("")}, /* a file where a folder was */
        {.path = "new\ndir/file", .mode = 0100644, .oid = sh("git -C r rev-parse main:a.txt")},
        {.path = "never", .mode = 0},
    };
    sh("cd r; echo '* text eol=lf' >.git/info/attributes; cp .git/index ../index");
    OK(repo_tree_edit(ctx, git_dir, "main", edits, 5, &tree, &err));
    SAME(sh("git -C r ls-tree -r --name-only %s", tree), ".gitignore\na.txt\nlink\n\"new\\ndir/file\"\nsrc");
    struct str text;
    OK(repo_blob(ctx, git_dir, tree, "a.txt", 100, &text, &err));
    SAME(text.p, "replaced\r\n"); /* no byte is changed */
    OK(repo_tree_edit(ctx, git_dir, "main", NULL, 0, &same, &err));
    SAME(same, sh("git -C r rev-parse main^{tree}"));
    sh("cd r; cmp .git/index ../index"); /* the index of the user is not touched */
    const char *bad[] = {"", "../out", "/abs", "a/../b", ".git/config", "x/.GIT/hooks/pre-commit", "a//b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct repo_edit e = {.path = bad[i], .mode = 0100644, .contents = STR("x")};
        ck_assert_msg(repo_tree_edit(ctx, git_dir, "main", &e, 1, &tree, &err) != RC_OK, "%s", bad[i]);
    }
}
END_TEST

START_TEST(export_is_exact)
{
    sh("cd r; printf 'a\\r\\nb\\n' >crlf; printf '* text=auto eol=crlf\\n*.c ident\\na.txt export-ignore\\n' >.gitattributes; "
       "printf '$Id$' >id.c; ln -s ../../etc/passwd out; ln -s none dangling; : >empty; head -c 5000000 /dev/urandom >big; "
       "git -c core.autocrlf=false add -A; git commit -qm Attr");
    umask(077); /* modes come from the tree */
    OK(repo_export(git_dir, "main", at("out"), getuid(), getgid(), &err));
    SAME(sh("git -C r archive main^{tree} >/dev/null; cd out; find . -name .git; git -C ../r ls-tree -r main | "
            "while read m t o p; do test $m = 120000 && h=$(readlink $p | tr -d '\\n' | git hash-object --stdin) || "
            "h=$(git hash-object --no-filters $p); test $h = $o || echo $p; done; find . ! -type d | wc -l"),
         sh("git -C r ls-tree -r main | wc -l"));
    SAME(sh("stat -c %%a out/tool out/a.txt out/src | tr '\\n' ' '"), "755 644 755 ");
    SAME(sh("readlink out/out"), "../../etc/passwd");
    IS(repo_export(git_dir, "main", at("out"), getuid(), getgid(), &err), RC_CONFLICT);
    IS(repo_export(git_dir, "main", at("r/a.txt"), getuid(), getgid(), &err), RC_CONFLICT);
    sh("mkdir given; chmod 700 given");
    OK(repo_export(git_dir, "main", at("given"), getuid(), getgid(), &err));
    SAME(sh("stat -c %%a given"), "700");
    IS(repo_export(git_dir, "none", at("other"), getuid(), getgid(), &err), RC_NOT_FOUND);
    ck_assert(!exists("other"));
    if (geteuid() == 0) {
        OK(repo_export(git_dir, "main", at("owned"), 4711, 4712, &err));
        SAME(sh("find owned -printf '%%U %%G\\n' | sort -u"), "4711 4712");
    }
}
END_TEST

START_TEST(export_of_submodules_and_many)
{
    sh("git clone -q r s; cd r; git -c protocol.file.allow=always submodule --quiet add ../s sub/in; for i in $(seq 300); do "
       "mkdir -p many/$((i %% 40))/x; echo $i >many/$((i %% 40))/x/$i; done; git add -A; git commit -qm Many");
    OK(repo_export(git_dir, "main", at("out"), getuid(), getgid(), &err));
    SAME(sh("cd out/many; cat $(find . -type f) | sort -n | md5sum"), sh("seq 300 | md5sum"));
    SAME(sh("ls -A out/sub/in; stat -c %%F out/sub/in"), "directory");
}
END_TEST

/* Trees that git would never make but a forged repository may hold. */
static const char *forged(const char *entries)
{
    return sh(
        "cd r; b=$(echo x | git hash-object -w --stdin); l=$(printf %%s ../outside | git hash-object -w --stdin); "
        "t=$(printf '100644 blob %%s\\tf\\n' $b | git mktree); mkdir -p ../outside; %s",
        entries);
}
START_TEST(forged_trees_write_nothing_outside)
{
    const char *raw = "esc() { perl -e 'print pack(\"H*\", shift)' $1; }; ";
    const char *scripts[] = {
        /* a link, and a folder of the same name */
        "{ printf '120000 a\\0'; esc $l; printf '40000 a\\0'; esc $t; } | git hash-object -t tree -w --stdin --literally",
        "{ printf '40000 ..\\0'; esc $t; } | git hash-object -t tree -w --stdin --literally",
        "{ printf '40000 .git\\0'; esc $t; } | git hash-object -t tree -w --stdin --literally",
        "{ printf '40000 .GiT\\0'; esc $t; } | git hash-object -t tree -w --stdin --literally",
        "{ printf '100644 ..\\0'; esc $b; } | git hash-object -t tree -w --stdin --literally",
        "{ printf '100644 x/../../outside/y\\0'; esc $b; } | git hash-object -t tree -w --stdin --literally",
        "{ printf '100644 same\\0'; esc $b; printf '100644 same\\0'; esc $b; } | git hash-object -t tree -w --stdin --literally",
    };
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        const char *tree = forged(mem_printf(ctx, "%s%s", raw, scripts[i]));
        memset(&err, 0, sizeof err);
        enum rc rc = repo_export(git_dir, tree, at(mem_printf(ctx, "out%zu", i)), getuid(), getgid(), &err);
        ck_assert_msg(rc == RC_INVALID, "%zu: %s %s %s", i, rc_name(rc), err.sentence, err.detail);
    }
    SAME(sh("ls -A outside"), "");
    const char *missing =
        forged("printf '100644 blob 0123456789012345678901234567890123456789\\tf\\n' | git mktree --missing");
    IS(repo_export(git_dir, missing, at("missing"), getuid(), getgid(), &err), RC_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.sentence, "missing"));
}
END_TEST

START_TEST(sha256)
{
    sh("git init -q -b main --object-format=sha256 s; cd s; mkdir d; echo a >d/a; git add -A; git commit -qm One");
    struct repo_facts f = inspect("s");
    ck_assert_uint_eq(strlen(f.head), 64);
    struct workspace w;
    const char *tree;
    OK(workspace_open(ctx, at("task"), &f, f.head, getuid(), getgid(), &w, NULL, &err));
    SAME(slurp("task/work/d/a"), "a\n");
    OK(workspace_tree(ctx, &w, &tree, NULL, &err));
    SAME(tree, sh("git -C s rev-parse HEAD^{tree}"));
    struct repo_edit e = {.path = "b", .mode = 0100644, .contents = STR("b")};
    OK(repo_tree_edit(ctx, w.git_dir, f.head, &e, 1, &tree, &err));
    SAME(sh("git -C task/git ls-tree --name-only %s", tree), "b\nd");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("repo_read");
    TCase *t = tcase_create("read");
    tcase_add_checked_fixture(t, setup, fixture_teardown);
    tcase_set_timeout(t, 100);
    tcase_add_test(t, facts);
    tcase_add_test(t, environment_of_the_caller_does_not_count);
    tcase_add_test(t, refused);
    tcase_add_test(t, shapes);
    tcase_add_test(t, work_tree_is_where_it_was_found);
    tcase_add_test(t, names);
    tcase_add_test(t, files);
    tcase_add_test(t, odd_names);
    tcase_add_test(t, changes_and_diff);
    tcase_add_test(t, commits_are_reproducible);
    tcase_add_test(t, trees_are_edited);
    tcase_add_test(t, export_is_exact);
    tcase_add_test(t, export_of_submodules_and_many);
    tcase_add_test(t, forged_trees_write_nothing_outside);
    tcase_add_test(t, sha256);
    suite_add_tcase(s, t);
    return suite_run(s);
}
