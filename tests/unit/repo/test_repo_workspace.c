/* A workspace is exact, survives a kill at any moment, and its snapshot says what the folder holds, whatever an agent
 * put there. */
#include "fixture.h"
#include <dirent.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct repo_facts facts;
static struct workspace w;
static struct buf notes;

static void setup(void)
{
    fixture_setup();
    repo_make("r");
    facts = inspect("r");
    buf_init(&notes, ctx, 65536);
}

static void opened(const char *task)
{
    OK(workspace_open(ctx, at(task), &facts, facts.head, getuid(), getgid(), &w, &notes, &err));
}

static const char *tree_now(void)
{
    const char *tree;
    OK(workspace_tree(ctx, &w, &tree, &notes, &err));
    return tree;
}

/* "mode path" of every file, as git lists a tree. */
static const char *listed(const char *tree)
{
    return sh("git --git-dir=%s ls-tree -r %s | sed 's/ .*\\t/ /' | tr '\\n' ';'", w.git_dir, tree);
}

#define NOTED(words)                                                                                                   \
    ck_assert_msg(str_find(buf_view(&notes), str_of(words)) >= 0, "notes: %.*s", STR_FMT(buf_view(&notes)))
#define NOT_NOTED() ck_assert_msg(notes.n == 0, "notes: %.*s", STR_FMT(buf_view(&notes)))
#define HEAD_TREE   sh("git -C r rev-parse HEAD^{tree}")

START_TEST(opens_exactly)
{
    umask(077); /* others must be able to read it */
    opened("task");
    NOT_NOTED();
    SAME(w.dir, at("task/work"));
    SAME(w.git_dir, at("task/git"));
    SAME(w.base, facts.head);
    SAME(w.source_git_dir, at("r/.git"));
    SAME(sh("cd task/work; find . | sort | tr '\\n' ' '"),
         ". ./.gitignore ./a.txt ./link ./src ./src/deep ./src/deep/d.txt ./src/x.c ./tool ");
    SAME(sh("cd task/work; stat -c %%a . src a.txt tool | tr '\\n' ' '"), "755 755 644 755 ");
    SAME(sh("find task/git ! -perm -004"), "");
    /* Nothing is read again: the index knows the files. */
    SAME(sh("cd task/work; export GIT_DIR=../git GIT_WORK_TREE=.; git diff-files; git log --oneline | wc -l"), "2");
    SAME(tree_now(), HEAD_TREE);
    /* Opening again gives the same, with what was done in it. */
    put(WORK "/new", "n\n");
    sh("touch task/git/index.lock"); /* of a git that was killed */
    opened("task");
    SAME(listed(tree_now()),
         "100644 .gitignore;100644 a.txt;120000 link;100644 new;100644 src/deep/d.txt;100644 src/x.c;100755 tool;");
    const char *other = sh("git -C r rev-parse HEAD~1");
    IS(workspace_open(ctx, at("task"), &facts, other, getuid(), getgid(), &w, NULL, &err), RC_CONFLICT);
    IS(workspace_open(ctx, at("task2"), &facts, "main", getuid(), getgid(), &w, NULL, &err), RC_INVALID);
    IS(workspace_open(ctx, at("task2"), &facts, "0123456789012345678901234567890123456789", getuid(), getgid(), &w,
                      NULL, &err),
       RC_NOT_FOUND);
}
END_TEST

START_TEST(user_repository_is_only_read)
{
    const char *list =
        "cd r; find . -type f -o -type l | sort | xargs -d '\\n' stat -c '%%n %%Y %%s'; git for-each-ref";
    const char *before = sh("%s", mem_printf(ctx, "%s", list)), *tree;
    opened("task");
    put(WORK "/a.txt", "changed\n");
    tree = tree_now();
    struct repo_commit c = {
        .tree = tree, .parent = w.base, .message = "m", .time_s = 1, .ref = "refs/nightmill/iteration/1"};
    const char *commit;
    OK(repo_commit(ctx, w.git_dir, &c, &commit, &err));
    OK(workspace_restore(&w, w.base, &err));
    SAME(sh("%s", mem_printf(ctx, "%s", list)), before);
}
END_TEST

START_TEST(shapes_of_the_source)
{
    sh("git clone -q --depth 1 file://$PWD/r shallow; git clone -q -s r borrowed; git clone -q -s borrowed again; "
       "git -C r worktree add -q ../tree -b side; git clone -q -s r \"$(printf 'odd\\n\"name')\"");
    const char *kinds[] = {"shallow", "borrowed", "again", "tree", "odd\n\"name"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        facts = inspect(kinds[i]);
        opened(mem_printf(ctx, "task%zu", i));
        SAME(tree_now(), HEAD_TREE);
        SAME(sh("git --git-dir=task%zu/git log --oneline | wc -l", i), i == 0 ? "1" : "2");
        SAME(sh("git --git-dir=task%zu/git fsck --connectivity-only 2>&1 | grep -v dangling || true", i), "");
    }
    sh("git -C r checkout -q --detach HEAD~1; echo dirty >>r/a.txt");
    facts = inspect("r");
    opened("detached");
    SAME(slurp("detached/work/a.txt"), "one\n"); /* the commit, not the changes beside it */
}
END_TEST

START_TEST(submodules_are_left_empty)
{
    sh("git clone -q r s; cd r; git -c protocol.file.allow=always submodule --quiet add ../s sub; git commit -qm Sub");
    facts = inspect("r");
    opened("task");
    NOTED("submodule sub is left empty");
    SAME(tree_now(), HEAD_TREE);
    buf_clear(&notes);
    put(WORK "/sub/file", "x");
    SAME(tree_now(), HEAD_TREE);
    NOTED("files in a submodule: sub");
    sh("rm -r " WORK "/sub");
    ck_assert_int_lt(str_find(str_of(listed(tree_now())), STR("160000")), 0); /* taken away on purpose */
    OK(workspace_restore(&w, w.base, &err));
    SAME(tree_now(), HEAD_TREE);
}
END_TEST

START_TEST(bytes_are_not_changed)
{
    sh("cd r; printf 'a\\r\\nb\\n' >crlf; printf '* text=auto eol=crlf working-tree-encoding=UTF-16\\n*.c ident\\n"
       "*.l filter=lfs\\n' >.gitattributes; printf '$Id$' >id.c; printf 'x' >p.l; "
       "git update-index --add --cacheinfo "
       "100644,$(git hash-object -w --no-filters crlf),crlf --cacheinfo 100644,$(git hash-object -w --no-filters "
       ".gitattributes),.gitattributes --cacheinfo 100644,$(git hash-object -w --no-filters id.c),id.c; git commit -qm Attr");
    facts = inspect("r");
    opened("task");
    SAME(slurp(WORK "/crlf"), "a\r\nb\n");
    SAME(slurp(WORK "/id.c"), "$Id$");
    SAME(tree_now(), HEAD_TREE);
    put(WORK "/crlf", "a\r\nc\r\n");
    put(WORK "/id.c", "$Id: 12345 $");
    const char *tree = tree_now();
    struct str text;
    OK(repo_blob(ctx, w.git_dir, tree, "crlf", 100, &text, &err));
    SAME(text.p, "a\r\nc\r\n");
    OK(repo_blob(ctx, w.git_dir, tree, "id.c", 100, &text, &err));
    SAME(text.p, "$Id: 12345 $");
}
END_TEST

START_TEST(all_kinds_of_changes)
{
    opened("task");
    sh("cd task/work; rm tool; echo x >>a.txt; chmod +x a.txt; rm link; mkdir link; echo in >link/in; rm -r src/deep; "
       "ln -s ../../outside src/deep; ln -s none dangling; printf 1 >\"$(printf 'new\\nline')\"; "
       "printf 2 >\"$(printf 'latin\\351')\"; echo obj >ignored.o; mkdir empty; printf 'x\\n' >' leading'; printf 3 >-dash; "
       "printf 4 >:glob");
    SAME(listed(tree_now()),
         "100644  leading;100644 -dash;100644 .gitignore;100644 :glob;100755 a.txt;120000 dangling;100644 "
         "\"latin\\351\";100644 link/in;100644 \"new\\nline\";120000 src/deep;100644 src/x.c;");
    NOT_NOTED();
    OK(workspace_restore(&w, w.base, &err));
    SAME(tree_now(), HEAD_TREE);
    SAME(sh("cd task/work; find . | sort | tr '\\n' ' '"),
         ". ./.gitignore ./a.txt ./ignored.o ./link ./src ./src/deep ./src/deep/d.txt ./src/x.c ./tool ");
}
END_TEST

START_TEST(temporary_files_of_ours_stay_out)
{
    opened("task");
    put(WORK "/" PATH_TEMP_PREFIX "abc", "half written");
    SAME(tree_now(), HEAD_TREE);
    sh("echo 'local*' >>r/.git/info/exclude");
    opened("task2");
    put("task2/work/local-file", "x");
    SAME(tree_now(), HEAD_TREE);
}
END_TEST

START_TEST(nested_repositories_are_moved)
{
    opened("task");
    sh("cd task/work; mkdir -p new/deep build.o/dep src/.GIT; git init -q new/deep; echo f >new/deep/f; "
       "git -C new/deep add f; git -C new/deep commit -qm x; git init -q .; git init -q src/deep; "
       "printf 'gitdir: /etc\\n' >link.d; mkdir files; mv link.d files/.git; mkdir lnk; ln -s /nonexistent lnk/.git; "
       "echo x >src/.GIT/config; git init -q build.o/dep; mkdir -p \"$(printf 'new/o\\ndd/.giT/x')\"; "
       "mkdir -p ':(top)x.o/y' '**/z'; git init -q ':(top)x.o/y'; git init -q '**/z'; mkdir -p bare; git init -q --bare bare/b; mkdir src/empty; mkdir src/empty/.git");
    const char *tree = tree_now();
    const char *files = listed(tree);
    ck_assert_msg(strstr(files, "100644 new/deep/f;"), "%s", files);
    ck_assert_msg(strstr(files, "100644 bare/b/HEAD;"), "%s", files); /* only files */
    ck_assert_ptr_null(strstr(files, "160000"));
    ck_assert_ptr_null(strstr(files, "build.o"));
    const char *moved[] = {": .git\n", "new/deep/.git", "src/deep/.git",  "files/.git",
                           "lnk/.git", "src/.GIT",      "new/o\\ndd/.giT"};
    for (size_t i = 0; i < sizeof moved / sizeof *moved; i++)
        NOTED(moved[i]);
    ck_assert_int_lt(str_find(buf_view(&notes), STR("src/empty")), 0);
    ck_assert(!exists(WORK "/.git") && !exists(WORK "/src/.GIT") && !exists(WORK "/lnk/.git"));
    ck_assert(exists(WORK "/build.o/dep/.git")); /* below an ignored folder it is nobody's business */
    NOTED("**/z/.git");
    ck_assert(exists(WORK "/:(top)x.o/y/.git"));
    SAME(sh("ls task/aside | wc -l"), "8");
    buf_clear(&notes);
    SAME(tree_now(), tree);
    NOT_NOTED();
}
END_TEST

/* The history may be mounted at an empty .git while an agent works: it stays where it is. */
START_TEST(the_mount_point_stays)
{
    opened("task");
    put(WORK "/new", "n\n");
    sh("mkdir " WORK "/.git");
    const char *tree = tree_now();
    NOT_NOTED();
    ck_assert(exists(WORK "/.git"));
    OK(workspace_restore(&w, tree, &err));
    ck_assert(exists(WORK "/.git"));
    sh("echo x >" WORK "/.git/config"); /* not empty: no mount point */
    SAME(tree_now(), tree);
    NOTED(": .git\n");
    ck_assert(!exists(WORK "/.git"));
}
END_TEST

START_TEST(special_files_are_left_out)
{
    opened("task");
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", at(WORK "/sock"));
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(sock, (struct sockaddr *)&sa, sizeof sa), 0);
    close(sock);
    sh("cd task/work; mkfifo pipe src/pipe; rm a.txt; mkfifo a.txt; rm tool; mkdir tool; mkfifo tool/fifo");
    bool device = mknod(at(WORK "/dev"), S_IFCHR | 0666, 0x105) == 0;
    const char *tree = tree_now();
    SAME(listed(tree), "100644 .gitignore;120000 link;100644 src/deep/d.txt;100644 src/x.c;");
    NOTED("not a regular file: sock");
    NOTED("not a regular file: src/pipe");
    NOTED("not a regular file: a.txt");
    NOTED("not a regular file: tool/fifo");
    if (device)
        NOTED("not a regular file: dev");
    OK(workspace_restore(&w, w.base, &err));
    SAME(tree_now(), HEAD_TREE);
    ck_assert(!exists(WORK "/pipe") && !exists(WORK "/sock"));
}
END_TEST

START_TEST(what_git_refuses_is_named)
{
    opened("task");
    sh("cd task/work; echo x >git~1; mkdir 'sub'; echo ok >sub/ok");
    const char *files = listed(tree_now());
    ck_assert_msg(strstr(files, "sub/ok") && !strstr(files, "git~1"), "%s", files);
    NOTED("cannot be taken into a commit: git~1");
}
END_TEST

/* As a user without the powers of root; the workspace is made by that user too. */
static void closed_folders(void)
{
    if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
        _exit(9);
    mem *mine = mem_root();
    const char *tree, *before;
    if (workspace_open(mine, at("open/task"), &facts, facts.head, getuid(), getgid(), &w, &notes, &err) != RC_OK ||
        workspace_tree(mine, &w, &before, &notes, &err) != RC_OK)
        _exit(1);
    char *dir = mem_printf(mine, "%s/src/deep", w.dir), *file = mem_printf(mine, "%s/shut", w.dir),
         *known = mem_printf(mine, "%s/a.txt", w.dir);
    int fd = open(file, O_WRONLY | O_CREAT, 0);
    close(fd);
    FILE *f = fopen(known, "w");
    if (fd < 0 || !f || fputs("other\n", f) < 0 || fclose(f) != 0 || chmod(known, 0) < 0 || chmod(dir, 0) < 0)
        _exit(2);
    if (workspace_tree(mine, &w, &tree, &notes, &err) != RC_OK || notes.n)
        _exit(3);
    struct str text;
    if (repo_blob(mine, w.git_dir, tree, "a.txt", 100, &text, &err) != RC_OK || !str_eqz(text, "other\n") ||
        repo_blob(mine, w.git_dir, tree, "shut", 100, &text, &err) != RC_OK ||
        repo_blob(mine, w.git_dir, tree, "src/deep/d.txt", 100, &text, &err) != RC_OK)
        _exit(4);
    if (chmod(dir, 0) < 0 || workspace_restore(&w, w.base, &err) != RC_OK ||
        workspace_tree(mine, &w, &tree, &notes, &err) != RC_OK || strcmp(tree, before) != 0)
        _exit(5);
    mem_free(mine);
    mem_free(ctx);
    _exit(0);
}
START_TEST(closed_files_and_folders)
{
    ck_assert_int_eq(mkdir(at("open"), 0777) | chmod(at("open"), 0777), 0);
    pid_t pid = fork();
    if (pid == 0)
        closed_folders();
    int status;
    waitpid(pid, &status, 0);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x", status);
}
END_TEST

START_TEST(files_of_another_owner)
{
    if (geteuid() != 0)
        return;
    OK(workspace_open(ctx, at("task"), &facts, facts.head, 4711, 4712, &w, &notes, &err));
    SAME(sh("find task/work -printf '%%U:%%G\\n' | sort -u"), "4711:4712");
    SAME(sh("find task/git -uid 4711"), "");
    sh("cd task/work; rm tool; echo x >a.txt; echo n >new; chown 4711:4712 new; chmod 600 new");
    tree_now();
    OK(workspace_restore(&w, w.base, &err));
    SAME(sh("find task/work -printf '%%U:%%G\\n' | sort -u"), "4711:4712");
    SAME(sh("cd task/work; GIT_DIR=../git GIT_WORK_TREE=. git diff-files"), ""); /* the index knows it */
}
END_TEST

START_TEST(huge_files)
{
    opened("task");
    sh("cd task/work; truncate -s 300M huge; head -c 34000000 /dev/urandom >random");
    const char *tree = tree_now();
    struct str text;
    IS(repo_blob(ctx, w.git_dir, tree, "huge", 1000, &text, &err), RC_LIMIT);
    OK(repo_export(w.git_dir, tree, at("out"), getuid(), getgid(), &err));
    sh("cmp task/work/huge out/huge; cmp task/work/random out/random");
    struct repo_change *c;
    size_t n;
    OK(repo_changes(ctx, w.git_dir, w.base, tree, &c, &n, &err));
    ck_assert_uint_eq(n, 2);
}
END_TEST

START_TEST(deep_folders)
{
    opened("task");
    int fd = open(at("task/work"), O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < 2100; i++) {
        ck_assert_int_eq(mkdirat(fd, "d", 0755), 0);
        int next = openat(fd, "d", O_RDONLY | O_DIRECTORY);
        if (i == 100)
            close(openat(fd, "file", O_WRONLY | O_CREAT, 0644));
        close(fd);
        fd = next;
    }
    close(openat(fd, "too-deep", O_WRONLY | O_CREAT, 0644));
    close(fd);
    const char *tree = tree_now();
    SAME(sh("git --git-dir=task/git ls-tree -r --name-only %s | grep -c file", tree), "1");
    NOTED("the folder cannot be read");
    OK(path_remove_tree(at(WORK "/d"), &err));
}
END_TEST

/* ---- Spares ---- */

START_TEST(spares)
{
    workspace_set_cache(at("cache"));
    OK(workspace_stock(&facts, facts.head, getuid(), getgid(), &err));
    OK(workspace_stock(&facts, facts.head, getuid(), getgid(), &err)); /* one is there */
    SAME(sh("ls -d cache/spare-* | grep -vc lock"), "1");
    const char *inode = sh("stat -c %%i cache/spare-*/work/a.txt");
    opened("task");
    SAME(sh("stat -c %%i task/work/a.txt"), inode); /* taken, not copied */
    SAME(sh("ls task"), "git\nwork");
    SAME(sh("ls -d cache/spare-* | grep -vc lock || true"), "0");
    SAME(tree_now(), HEAD_TREE);
    SAME(sh("cd task/work; GIT_DIR=../git GIT_WORK_TREE=. git diff-files"), "");
    /* Of another commit: what differs is updated. */
    OK(workspace_stock(&facts, sh("git -C r rev-parse HEAD~1"), getuid(), getgid(), &err));
    sh("cd r; rm tool; mkdir tool; echo x >tool/x; git rm -q --cached tool; git add -A; git commit -qm Third");
    facts = inspect("r");
    opened("task2");
    SAME(tree_now(), HEAD_TREE);
    SAME(slurp("task2/work/a.txt"), "one\ntwo\n");
    SAME(sh("cat task2/git/HEAD"), facts.head);
    SAME(sh("cd task2/work; find . -type f -o -type l | wc -l"), "6");
}
END_TEST

START_TEST(spares_that_do_not_fit)
{
    const char *spoil[] = {
        "rm -r cache/spare-*/git",
        "rm -r cache/spare-*/work",
        "echo x | tee cache/spare-*/about",
        "rm cache/spare-*/about",
        "rm cache/spare-*/git/index",
        "sed -i 's/^[0-9a-f]\\{40\\}$/0123456789012345678901234567890123456789/' cache/spare-*/about"};
    workspace_set_cache(at("cache"));
    for (size_t i = 0; i < sizeof spoil / sizeof *spoil; i++) {
        OK(workspace_stock(&facts, sh("git -C r rev-parse HEAD~1"), getuid(), getgid(), &err));
        sh("%s", spoil[i]);
        opened(mem_printf(ctx, "task%zu", i));
        SAME(tree_now(), HEAD_TREE);
    }
    /* Of another owner: left alone. */
    if (geteuid() == 0) {
        OK(workspace_stock(&facts, facts.head, 4711, 4711, &err));
        opened("other");
        SAME(sh("find other/work -uid 4711"), "");
        OK(workspace_open(ctx, at("owned"), &facts, sh("git -C r rev-parse HEAD~1"), 4711, 4711, &w, NULL, &err));
        SAME(sh("find owned/work ! -uid 4711"), "");
        SAME(slurp("owned/work/a.txt"), "one\n");
    }
}
END_TEST

/* The spare that stands at the base is taken first, the others are brought there, and each is taken once. */
START_TEST(several_spares)
{
    const char *before = sh("git -C r rev-parse HEAD~1");
    workspace_set_cache(at("cache"));
    workspace_set_spares(2);
    OK(workspace_stock(&facts, before, getuid(), getgid(), &err));
    OK(workspace_stock(&facts, facts.head, getuid(), getgid(), &err));
    OK(workspace_stock(&facts, facts.head, getuid(), getgid(), &err));
    SAME(sh("ls -d cache/spare-*.[0-9] | wc -l"), "2");
    const char *exact = sh("stat -c %%i $(grep -l %s cache/*/about | xargs dirname)/work", facts.head);
    opened("task1");
    SAME(sh("stat -c %%i task1/work"), exact);
    opened("task2");
    SAME(tree_now(), HEAD_TREE);
    SAME(sh("ls -d cache/spare-*.[0-9] 2>/dev/null | wc -l"), "0");
    workspace_set_spares(1);
}
END_TEST

/* Every kind of difference between two commits, both ways, by a spare: files, index and owners are those of a workspace
 * that was made anew. */
START_TEST(a_spare_follows_every_change)
{
    sh("cd r; git checkout -q -b shift; mkdir -p d/sub x; echo 1 >d/sub/f; echo 2 >d/g; echo 3 >x/only; echo 4 >swap; "
       "ln -sfn a.txt link; echo 5 >'name with\tspace\nand line'; echo 6 >run; git add -A; git commit -qm A; "
       "git mv d e; rm x/only; echo new >x2; rm swap; mkdir swap; echo 7 >swap/in; rm link; echo 8 >link; chmod +x run; "
       "rm -rf a.txt; mkdir a.txt; ln -s ../run a.txt/l; git add -A; git commit -qm B");
    const char *a = sh("git -C r rev-parse shift~1"), *b = sh("git -C r rev-parse shift");
    workspace_set_cache(at("cache"));
    for (int way = 0; way < 2; way++) {
        const char *from = way ? b : a, *to = way ? a : b, *task = at(mem_printf(ctx, "task%d", way));
        uid_t uid = geteuid() == 0 ? 4711 : getuid();
        OK(workspace_stock(&facts, from, uid, uid, &err));
        OK(workspace_open(ctx, task, &facts, to, uid, uid, &w, NULL, &err));
        SAME(sh("ls -d cache/spare-*.[0-9] 2>/dev/null | wc -l"), "0");
        SAME(tree_now(), sh("git -C r rev-parse %s^{tree}", to));
        SAME(sh("find %s/work ! -uid %u", task, (unsigned)uid), "");
        SAME(sh("GIT_DIR=%s/git GIT_WORK_TREE=%s/work git -c safe.directory='*' status --porcelain", task, task), "");
        SAME(sh("find %s/work -type d -empty", task), "");
        workspace_set_cache(NULL);
        const char *plain = at(mem_printf(ctx, "plain%d", way));
        OK(workspace_open(ctx, plain, &facts, to, uid, uid, &w, NULL, &err));
        SAME(sh("diff -r --no-dereference %s/work %s/work && cd %s/work && find . -printf '%%P %%m %%y\n' | sort", task,
                plain, task),
             sh("cd %s/work && find . -printf '%%P %%m %%y\n' | sort", plain));
        workspace_set_cache(at("cache"));
    }
}
END_TEST

START_TEST(two_tasks_never_share_a_spare)
{
    workspace_set_cache(at("cache"));
    OK(workspace_stock(&facts, facts.head, getuid(), getgid(), &err));
    pid_t pids[4];
    for (int i = 0; i < 4; i++) {
        const char *task = at(mem_printf(ctx, "task%d", i));
        if ((pids[i] = fork()) == 0)
            _exit(workspace_open(ctx, task, &facts, facts.head, getuid(), getgid(), &w, NULL, &err) != RC_OK);
    }
    for (int i = 0; i < 4; i++) {
        int status;
        waitpid(pids[i], &status, 0);
        ck_assert_int_eq(status, 0);
    }
    SAME(sh("stat -c %%i task?/work/a.txt | sort -u | wc -l"), "4");
}
END_TEST

/* ---- Kills ---- */

START_TEST(killed_while_opening)
{
    /* Enough files that a kill can meet every stage. */
    sh("cd r; for i in $(seq 400); do mkdir -p many/$((i %% 20)); echo $i >many/$((i %% 20))/$i; done; git add -A; "
       "git commit -qm Many");
    facts = inspect("r");
    workspace_set_cache(at("cache"));
    const char *want = HEAD_TREE, *old = sh("git -C r rev-parse HEAD~2");
    srand(7);
    int killed = 0;
    for (int i = 0; i < 9; i++) {
        const char *task = at(mem_printf(ctx, "task%d", i));
        if (i % 3 == 0)
            OK(workspace_stock(&facts, i % 2 ? old : facts.head, getuid(), getgid(), &err));
        for (int round = 0; round < 3; round++) {
            pid_t pid = fork();
            if (pid == 0) {
                mem *mine = mem_root();
                enum rc rc = workspace_open(mine, task, &facts, facts.head, getuid(), getgid(), &w, NULL, &err);
                mem_free(mine);
                _exit(rc != RC_OK);
            }
            usleep((useconds_t)(rand() % 120000));
            kill(pid, SIGKILL);
            int status;
            waitpid(pid, &status, 0);
            killed += WIFSIGNALED(status);
        }
        opened(mem_printf(ctx, "task%d", i));
        SAME(tree_now(), want);
        SAME(sh("ls task%d", i), "git\nwork");
        SAME(sh("cd task%d/work; find . -type f -o -type l | wc -l", i), "406");
    }
    ck_assert_int_gt(killed, 0);
}
END_TEST

START_TEST(killed_while_snapshotting)
{
    sh("cd r; for i in $(seq 300); do echo $i >$i; done; git add -A; git commit -qm Many");
    facts = inspect("r");
    opened("task");
    srand(11);
    for (int i = 0; i < 6; i++) {
        sh("cd task/work; for i in $(seq 300); do echo $i %d >$i; done", i);
        const char *want =
            sh("cd task/work; export GIT_DIR=../git GIT_WORK_TREE=. GIT_INDEX_FILE=../other; rm -f ../other; "
               "git add -A; git write-tree");
        pid_t pid = fork();
        if (pid == 0) {
            mem *mine = mem_root();
            const char *tree;
            _exit(workspace_tree(mine, &w, &tree, NULL, &err) != RC_OK);
        }
        usleep((useconds_t)(rand() % 60000));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        opened("task");
        SAME(tree_now(), want);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("repo_workspace");
    TCase *t = tcase_create("workspace");
    tcase_add_checked_fixture(t, setup, fixture_teardown);
    tcase_set_timeout(t, 110);
    tcase_add_test(t, opens_exactly);
    tcase_add_test(t, user_repository_is_only_read);
    tcase_add_test(t, shapes_of_the_source);
    tcase_add_test(t, submodules_are_left_empty);
    tcase_add_test(t, bytes_are_not_changed);
    tcase_add_test(t, all_kinds_of_changes);
    tcase_add_test(t, temporary_files_of_ours_stay_out);
    tcase_add_test(t, nested_repositories_are_moved);
    tcase_add_test(t, the_mount_point_stays);
    tcase_add_test(t, special_files_are_left_out);
    tcase_add_test(t, what_git_refuses_is_named);
    tcase_add_test(t, closed_files_and_folders);
    tcase_add_test(t, files_of_another_owner);
    tcase_add_test(t, huge_files);
    tcase_add_test(t, deep_folders);
    tcase_add_test(t, spares);
    tcase_add_test(t, spares_that_do_not_fit);
    tcase_add_test(t, several_spares);
    tcase_add_test(t, a_spare_follows_every_change);
    tcase_add_test(t, two_tasks_never_share_a_spare);
    tcase_add_test(t, killed_while_opening);
    tcase_add_test(t, killed_while_snapshotting);
    suite_add_tcase(s, t);
    return suite_run(s);
}
