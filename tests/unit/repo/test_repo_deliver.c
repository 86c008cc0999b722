/* Delivery, applying and undoing: all or nothing, the same again when called again, and nothing of the user's is lost.
 */
#include "fixture.h"

static struct repo_facts facts;
static struct workspace w;
static const char *commit, *words;

/* A workspace with one commit on the base that changes, adds and removes files. */
static void setup(void)
{
    fixture_setup();
    repo_make("r");
    facts = inspect("r");
    OK(workspace_open(ctx, at("task"), &facts, facts.head, getuid(), getgid(), &w, NULL, &err));
    sh("cd task/work; echo three >>a.txt; rm tool; mkdir new; printf 'new\\r\\n' >new/file; chmod +x src/x.c; "
       "echo odd >\"$(printf 'o\\ndd\\351')\"");
    struct repo_commit c = {.parent = w.base,
                            .message = "Do it\n\nDetails\n",
                            .author_name = "A",
                            .author_email = "a@b",
                            .committer_name = "A",
                            .committer_email = "a@b",
                            .time_s = 1780000000};
    OK(workspace_tree(ctx, &w, &c.tree, NULL, &err));
    OK(repo_commit(ctx, w.git_dir, &c, &commit, &err));
}

static void delivered(void)
{
    OK(repo_deliver(&w, &facts, commit, "nightmill/1-do-it", &err));
}
static void applied(void)
{
    delivered();
    OK(repo_apply(&facts, w.base, commit, &err));
}
static const char *head(void)
{
    return sh("git -C r rev-parse HEAD");
}
static const char *status(void)
{
    return sh("git -C r status --porcelain");
}
static enum rc undo(bool was_applied)
{
    memset(&err, 0, sizeof err);
    return repo_undo(ctx, &facts, "task-1", commit, "nightmill/1-do-it", was_applied, &words, &err);
}
/* Everything of the user's that must not change. */
static const char *state(void)
{
    return sh("cd r; find . -path ./.git/objects -prune -o -type f -print0 | sort -z | grep -zv '\\./\\.git/index$' | "
              "xargs -0 md5sum; git for-each-ref; git ls-files -s");
}

START_TEST(delivers)
{
    delivered();
    SAME(sh("git -C r rev-parse nightmill/1-do-it"), commit);
    SAME(sh("git -C r rev-parse refs/nightmill/kept/%s", commit), commit);
    SAME(head(), w.base);
    SAME(status(), "");
    SAME(sh("git -C r fsck --full --strict 2>&1 | grep -v notice || true"), "");
    SAME(sh("git -C r show -s --format='%%an <%%ae> %%B' nightmill/1-do-it"), "A <a@b> Do it\n\nDetails");
    const char *before = state();
    delivered();
    SAME(state(), before);
    OK(path_remove_tree(at("task"), &err)); /* nothing of it is borrowed from the task */
    sh("git -C r checkout -q nightmill/1-do-it; git -C r fsck --full >/dev/null 2>&1");
    SAME(slurp("r/new/file"), "new\r\n");
}
END_TEST

START_TEST(delivers_many_objects)
{
    sh("cd task/work; for i in $(seq 300); do echo $i >$i; done");
    struct repo_commit c = {.parent = commit, .message = "Many", .time_s = 1780000000};
    OK(workspace_tree(ctx, &w, &c.tree, NULL, &err));
    OK(repo_commit(ctx, w.git_dir, &c, &commit, &err));
    delivered();
    SAME(
        sh("git -C r fsck --full --strict 2>&1 | grep -v notice || true; git -C r rev-list --count main..nightmill/1-do-it"),
        "2");
}
END_TEST

START_TEST(refuses_to_deliver)
{
    sh("git -C r branch nightmill/1-do-it");
    const char *before = state();
    IS(repo_deliver(&w, &facts, commit, "nightmill/1-do-it", &err), RC_CONFLICT);
    ck_assert(err.hint[0]);
    const char *bad[] = {"", "-x", "a..b", "a b", "x.lock", "/x", "a//b", "@{", "a\nb", "x/"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(repo_deliver(&w, &facts, commit, bad[i], &err) == RC_INVALID, "%s", bad[i]);
    IS(repo_deliver(&w, &facts, "main", "x", &err), RC_INVALID);
    SAME(state(), before);
    sh("git -C r branch -D nightmill/1-do-it; git -C r branch nightmill"); /* a branch where a folder must be */
    before = state();
    IS(repo_deliver(&w, &facts, commit, "nightmill/1-do-it", &err), RC_CONFLICT);
    SAME(state(), before);
}
END_TEST

START_TEST(missing_objects_are_not_delivered)
{
    sh("cd task/git; rm -f objects/$(git --git-dir=. rev-parse %s:new/file | sed 's,..,&/,')", commit);
    ck_assert_int_ne(repo_deliver(&w, &facts, commit, "b", &err), RC_OK);
    SAME(sh("git -C r for-each-ref --format='%%(refname)'"), "refs/heads/main");
}
END_TEST

START_TEST(a_base_that_is_gone)
{
    sh("cd r; git checkout -q --orphan fresh; git commit -qm Fresh; git branch -D main; git reflog expire --expire=now "
       "--all; cp -r .git/objects ../kept; git gc -q --prune=now; echo ../../../kept >../task/git/objects/info/alternates");
    IS(repo_deliver(&w, &facts, commit, "b", &err), RC_CONFLICT);
    ck_assert_ptr_nonnull(strstr(err.hint, "kept as"));
}
END_TEST

START_TEST(applies)
{
    applied();
    SAME(head(), commit);
    SAME(sh("git -C r symbolic-ref HEAD"), "refs/heads/main");
    SAME(status(), "");
    SAME(slurp("r/a.txt"), "one\ntwo\nthree\n");
    ck_assert(!exists("r/tool") && exists("r/new/file"));
    ck_assert_ptr_nonnull(strstr(sh("git -C r reflog -1"), "nightmill: apply"));
    const char *before = state();
    OK(repo_apply(&facts, w.base, commit, &err));
    SAME(state(), before);
}
END_TEST

START_TEST(applies_beside_untracked_files)
{
    delivered();
    sh("cd r; echo mine >untracked; echo obj >x.o; mkdir -p src/more; echo m >src/more/m; touch a.txt");
    OK(repo_apply(&facts, w.base, commit, &err));
    SAME(status(), "?? src/more/\n?? untracked");
    SAME(slurp("r/x.o"), "obj\n");
}
END_TEST

START_TEST(refuses_to_apply)
{
    const char *spoil[] = {
        "echo x >>a.txt",                               /* changed, in the way */
        "echo x >>src/deep/d.txt",                      /* changed, elsewhere */
        "echo x >s; git add s",                         /* staged */
        "rm src/deep/d.txt",                            /* removed */
        "mkdir new; echo mine >new/file",               /* untracked, in the way */
        "echo mine >new",                               /* a file where a folder must be */
        "ln -s src new",                                /* a link there */
        "echo new >>.git/info/exclude; echo mine >new", /* ignored, in the way */
        "echo new/ >>.git/info/exclude; mkdir new; echo m >new/file",
        "mkdir -p new/file; echo mine >new/file/deep", /* a folder where a file must be */
        "git commit -q --allow-empty -m Later",        /* moved on */
        "git checkout -q --detach",                    /* no branch */
        "git checkout -q -b other HEAD~1",             /* another branch */
        "touch .git/index.lock",                       /* another git at work */
    };
    delivered();
    for (size_t i = 0; i < sizeof spoil / sizeof *spoil; i++) {
        sh("cp -a r saved; cd r; %s", spoil[i]);
        const char *before = state();
        memset(&err, 0, sizeof err);
        enum rc rc = repo_apply(&facts, w.base, commit, &err);
        ck_assert_msg(rc == RC_CONFLICT, "%s: %s %s", spoil[i], rc_name(rc), err.sentence);
        ck_assert_msg(err.sentence[0] && (err.hint[0] || err.detail[0]), "%s", spoil[i]);
        SAME(state(), before);
        sh("rm -r r; mv saved r");
    }
    OK(repo_apply(&facts, w.base, commit, &err));
    IS(repo_apply(&facts, commit, w.base, &err), RC_CONFLICT);
}
END_TEST

START_TEST(applies_after_a_crash_between)
{
    delivered();
    sh("cd r; git read-tree -m -u HEAD %s", commit); /* files and index moved, the branch not */
    ck_assert_str_ne(status(), "");
    OK(repo_apply(&facts, w.base, commit, &err));
    SAME(head(), commit);
    SAME(status(), "");
    OK(undo(true));
    sh("cd r; git read-tree -m -u HEAD %s; echo more >>a.txt", commit); /* and then changed by hand */
    IS(repo_apply(&facts, w.base, commit, &err), RC_CONFLICT);
}
END_TEST

START_TEST(killed_while_applying)
{
    delivered();
    srand(3);
    for (int i = 0; i < 20; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            struct err e;
            _exit(repo_apply(&facts, w.base, commit, &e) != RC_OK);
        }
        usleep((useconds_t)(rand() % 80000));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        enum rc rc = RC_CONFLICT; /* the git of the killed one may still be at it */
        for (int k = 0; k < 200 && rc != RC_OK; k++) {
            rc = repo_apply(&facts, w.base, commit, &err);
            if (rc != RC_OK)
                usleep(20000);
        }
        ck_assert_msg(rc == RC_OK, "%s | %s", err.sentence, err.detail);
        SAME(head(), commit);
        SAME(status(), "");
        OK(undo(true));
        SAME(head(), w.base);
        SAME(status(), "");
        delivered();
    }
}
END_TEST

START_TEST(applies_in_a_linked_work_tree)
{
    sh("git -C r worktree add -q ../tree -b side");
    facts = inspect("tree");
    applied();
    SAME(sh("git -C tree rev-parse side"), commit);
    SAME(sh("git -C tree status --porcelain"), "");
    SAME(head(), w.base);
    SAME(status(), "");
    OK(undo(true));
    SAME(sh("git -C tree rev-parse side"), w.base);
}
END_TEST

START_TEST(applies_with_line_ends_of_the_user)
{
    sh("cd r; git config core.autocrlf true; rm a.txt; git checkout -q -- a.txt"); /* the user sees CRLF */
    delivered();
    OK(repo_apply(&facts, w.base, commit, &err));
    SAME(slurp("r/a.txt"), "one\r\ntwo\r\nthree\r\n");
    SAME(sh("git -C r diff-files --quiet && git -C r status --porcelain -uno"), "");
}
END_TEST

START_TEST(undoes_a_branch)
{
    delivered();
    OK(undo(false));
    ck_assert_ptr_nonnull(strstr(words, "removed"));
    SAME(sh("git -C r for-each-ref --format='%%(refname)' refs/heads"), "refs/heads/main");
    SAME(sh("git -C r rev-parse refs/nightmill/undone/task-1"), commit);
    OK(undo(false));
    ck_assert_ptr_nonnull(strstr(words, "before"));
    delivered(); /* and once more */
    OK(undo(false));
    ck_assert_ptr_nonnull(strstr(words, "removed"));
}
END_TEST

START_TEST(undo_keeps_what_others_did)
{
    delivered();
    sh("git -C r checkout -q nightmill/1-do-it");
    IS(undo(false), RC_CONFLICT);
    ck_assert_ptr_nonnull(strstr(err.sentence, "checked out"));
    sh("cd r; echo more >more; git add more; git commit -qm More; git checkout -q main");
    IS(undo(false), RC_CONFLICT);
    SAME(sh("git -C r rev-list --count main..nightmill/1-do-it"), "2");
    sh("git -C r branch -D nightmill/1-do-it");
    OK(undo(false));
    ck_assert_ptr_nonnull(strstr(words, "gone already"));
    const char *bad[] = {"", "../x", "a b", "-x", "x.lock", "a/b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        IS(repo_undo(ctx, &facts, bad[i], commit, "b", false, &words, &err), RC_INVALID);
}
END_TEST

START_TEST(undoes_an_application)
{
    const char *before =
        sh("cd r; find . -name .git -prune -o -print0 | sort -z | xargs -0 ls -ld --time-style=+ | cut -c1-10");
    applied();
    OK(undo(true));
    SAME(head(), w.base);
    SAME(status(), "");
    SAME(slurp("r/a.txt"), "one\ntwo\n");
    SAME(sh("cd r; find . -name .git -prune -o -print0 | sort -z | xargs -0 ls -ld --time-style=+ | cut -c1-10"),
         before);
    SAME(sh("git -C r rev-parse refs/nightmill/undone/task-1"), commit);
    SAME(sh("git -C r for-each-ref --format='%%(refname)' refs/heads"), "refs/heads/main");
    OK(undo(true));
    ck_assert_ptr_nonnull(strstr(words, "before"));
}
END_TEST

START_TEST(undo_waits_for_a_clean_tree)
{
    applied();
    sh("echo x >>r/a.txt");
    IS(undo(true), RC_CONFLICT);
    SAME(head(), commit);
    sh("cd r; git checkout -q -- a.txt; mkdir tool; echo mine >tool/mine"); /* where a removed file comes back */
    const char *before = state();
    IS(undo(true), RC_CONFLICT);
    SAME(state(), before);
    sh("rm -r r/tool; cd r; git checkout -q -b elsewhere %s", w.base);
    IS(undo(true), RC_CONFLICT);
    sh("cd r; git checkout -q main; git read-tree -m -u HEAD %s", w.base); /* as after a crash between */
    OK(undo(true));
    SAME(head(), w.base);
    SAME(status(), "");
}
END_TEST

START_TEST(undoes_below_later_commits)
{
    sh("cd r; seq 100 >long; git add long; git commit -qm Long");
    facts = inspect("r");
    OK(workspace_open(ctx, at("task2"), &facts, facts.head, getuid(), getgid(), &w, NULL, &err));
    sh("cd task2/work; sed -i 's/^20$/twenty/' long; echo new >n; rm tool");
    struct repo_commit c = {.parent = w.base, .message = "Twenty", .time_s = 1780000000};
    OK(workspace_tree(ctx, &w, &c.tree, NULL, &err));
    OK(repo_commit(ctx, w.git_dir, &c, &commit, &err));
    applied();
    sh("cd r; sed -i 's/^80$/eighty/' long; echo later >later; git add later; git commit -qam Later");
    OK(undo(true));
    ck_assert_ptr_nonnull(strstr(words, "reverses"));
    SAME(sh("cd r; git log -1 --format='%%an|%%s'"), "Ann Other|Undo \"Twenty\"");
    SAME(sh("cd r; sed -n '20p;80p' long | tr '\\n' ' '; ls | tr '\\n' ' '"),
         "20 eighty a.txt later link long src tool ");
    SAME(status(), "");
    const char *after = head();
    OK(undo(true));
    SAME(head(), after);
    ck_assert_ptr_nonnull(strstr(words, "before"));
}
END_TEST

START_TEST(undo_does_not_guess)
{
    applied();
    sh("cd r; echo four >>a.txt; git commit -qam Four"); /* next to the line that the task added */
    const char *before = state();
    IS(undo(true), RC_CONFLICT);
    ck_assert_ptr_nonnull(strstr(err.detail, "a.txt"));
    SAME(state(), before);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("repo_deliver");
    TCase *t = tcase_create("deliver");
    tcase_add_checked_fixture(t, setup, fixture_teardown);
    tcase_set_timeout(t, 110);
    tcase_add_test(t, delivers);
    tcase_add_test(t, delivers_many_objects);
    tcase_add_test(t, refuses_to_deliver);
    tcase_add_test(t, missing_objects_are_not_delivered);
    tcase_add_test(t, a_base_that_is_gone);
    tcase_add_test(t, applies);
    tcase_add_test(t, applies_beside_untracked_files);
    tcase_add_test(t, refuses_to_apply);
    tcase_add_test(t, applies_after_a_crash_between);
    tcase_add_test(t, killed_while_applying);
    tcase_add_test(t, applies_in_a_linked_work_tree);
    tcase_add_test(t, applies_with_line_ends_of_the_user);
    tcase_add_test(t, undoes_a_branch);
    tcase_add_test(t, undo_keeps_what_others_did);
    tcase_add_test(t, undoes_an_application);
    tcase_add_test(t, undo_waits_for_a_clean_tree);
    tcase_add_test(t, undoes_below_later_commits);
    tcase_add_test(t, undo_does_not_guess);
    suite_add_tcase(s, t);
    return suite_run(s);
}
