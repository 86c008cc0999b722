/* Contract of sandbox_owner, sandbox_give and sandbox_take: the two users are strangers to each other where the rung
 * allows, a tree changes hands as a whole and nothing outside it does, and the opening process gets everything back. */
#include "rig.h"

static void must(enum rc rc)
{
    ck_assert_msg(rc == RC_OK, "%s | %s", err.sentence, err.detail);
}

static struct stat stat_of(const char *path)
{
    struct stat st;
    ck_assert_msg(lstat(path, &st) == 0, "%s: %s", path, strerror(errno));
    return st;
}

START_TEST(users_are_strangers)
{
    if (!rig_begin(_i))
        return;
    struct sandbox *sb = rig_open(SANDBOX_AGENT);
    rig_says(
        sb,
        "echo mine > closed; chmod 600 closed; echo all > open; mkdir private; chmod 700 private; ls -a private | wc -l",
        "2\n");
    sandbox_close(sb, NULL);
    uid_t agent, verifier;
    gid_t group;
    sandbox_owner(SANDBOX_VERIFIER, &verifier, &group);
    sandbox_owner(SANDBOX_AGENT, &agent, &group);
    ck_assert_uint_eq(stat_of(rig_path("work/closed")).st_uid, agent);
    ck_assert_uint_eq(stat_of(rig_path("work/closed")).st_gid, group);
    struct sandbox_mount mounts[] = {{rig_path("work"), "/look", false}};
    struct sandbox_spec spec = {.user = SANDBOX_VERIFIER, .mounts = mounts, .mount_count = 1, .cwd = "/look"};
    sb = rig_open_spec(&spec);
    rig_says(sb, "cat open", "all\n");
    rig_refuses(sb, "echo x > open");
    if (agent != verifier) {
        rig_refuses(sb, "cat closed");
        rig_refuses(sb, "ls private");
    }
    sandbox_close(sb, NULL);
    /* The daemon's own user is a third where the rung allows: it cannot read what the agent closed (root can). */
    if (agent != geteuid() && geteuid() != 0)
        ck_assert_int_lt(open(rig_path("work/closed"), O_RDONLY), 0);
    must(sandbox_take(rig_path("work"), &err));
    struct str text;
    must(path_slurp(ctx, rig_path("work/closed"), 100, &text, &err));
    ck_assert(str_eqz(text, "mine\n"));
    rig_end();
}
END_TEST

START_TEST(trees_change_hands)
{
    if (!rig_begin(_i))
        return;
    mkdir(rig_path("work/a"), 0755);
    mkdir(rig_path("work/a/b"), 0755);
    rig_text(rig_path("work/a/b/file \xff\nname"), "x");
    rig_text(rig_path("outside"), "untouched");
    ck_assert_int_eq(symlink(rig_path("outside"), rig_path("work/a/link")), 0);
    ck_assert_int_eq(symlink(rig_dir, rig_path("work/folder")), 0);
    ck_assert_int_eq(mkfifo(rig_path("work/fifo"), 0644), 0);
    uid_t uid;
    gid_t gid;
    sandbox_owner(SANDBOX_VERIFIER, &uid, &gid);
    must(sandbox_give(rig_path("work"), SANDBOX_VERIFIER, &err));
    const char *const inner[] = {"work", "work/a", "work/a/b", "work/a/b/file \xff\nname", "work/a/link", "work/fifo"};
    for (size_t i = 0; i < 6; i++) {
        struct stat st = stat_of(rig_path(inner[i]));
        ck_assert_msg(st.st_uid == uid && st.st_gid == gid, "%s is %u's", inner[i], (unsigned)st.st_uid);
    }
    ck_assert_uint_eq(stat_of(rig_path("outside")).st_uid, geteuid());
    ck_assert_uint_eq(stat_of(rig_dir).st_uid, geteuid());
    must(sandbox_give(rig_path("work"), SANDBOX_AGENT, &err));
    must(sandbox_take(rig_path("work"), &err));
    for (size_t i = 0; i < 6; i++)
        ck_assert_uint_eq(stat_of(rig_path(inner[i])).st_uid, geteuid());
    ck_assert_int_eq(sandbox_give(rig_path("missing"), SANDBOX_AGENT, &err), RC_NOT_FOUND);
    rig_end();
}
END_TEST

/* A local clone shares its objects with the origin by hard links: the origin keeps its owner and mode. */
START_TEST(shared_files_are_copied_first)
{
    if (!rig_begin(_i))
        return;
    rig_text(rig_path("origin"), "shared contents");
    ck_assert_int_eq(chmod(rig_path("origin"), 0640), 0);
    mkdir(rig_path("work/deep"), 0755);
    ck_assert_int_eq(link(rig_path("origin"), rig_path("work/deep/copy")), 0);
    uid_t uid;
    gid_t gid;
    sandbox_owner(SANDBOX_AGENT, &uid, &gid);
    must(sandbox_give(rig_path("work"), SANDBOX_AGENT, &err));
    struct stat copy = stat_of(rig_path("work/deep/copy")), origin = stat_of(rig_path("origin"));
    ck_assert_uint_eq(copy.st_uid, uid);
    ck_assert_uint_eq(origin.st_uid, geteuid());
    ck_assert_uint_eq(origin.st_mode & 07777, 0640);
    if (uid != geteuid()) {
        ck_assert_uint_ne(copy.st_ino, origin.st_ino);
        ck_assert_uint_eq(origin.st_nlink, 1);
        ck_assert_uint_eq(copy.st_mode & 07777, 0640);
        ck_assert_int_eq(copy.st_mtim.tv_sec, origin.st_mtim.tv_sec);
    }
    must(sandbox_take(rig_path("work"), &err));
    struct str text;
    must(path_slurp(ctx, rig_path("work/deep/copy"), 100, &text, &err));
    ck_assert(str_eqz(text, "shared contents"));
    ck_assert_uint_eq(stat_of(rig_path("origin")).st_mode & 07777, 0640);
    rig_end();
}
END_TEST

/* What an agent closes to everybody, itself included, comes back open. */
START_TEST(taking_opens_everything)
{
    if (!rig_begin(_i))
        return;
    struct sandbox *sb = rig_open(SANDBOX_AGENT);
    rig_says(
        sb,
        "mkdir -p a/b/c && echo x > a/b/c/f && ln a/b/c/f twin && cp /usr/bin/true suid && chmod 6755 suid && ln -s /nowhere l && "
        "chmod 0 a/b/c/f a/b/c a/b a && echo ok",
        "ok\n");
    sandbox_close(sb, NULL);
    must(sandbox_take(rig_path("work"), &err));
    ck_assert_uint_eq(stat_of(rig_path("work/a")).st_mode & 0777, 0700);
    ck_assert_uint_eq(stat_of(rig_path("work/a/b/c/f")).st_mode & 0777, 0400);
    ck_assert_uint_eq(stat_of(rig_path("work/twin")).st_mode & 0777, 0400);
    ck_assert_uint_eq(stat_of(rig_path("work/suid")).st_mode & 07777, 0755);
    struct stat st = stat_of(rig_path("work/suid"));
    ck_assert(st.st_uid == geteuid() && S_ISLNK(stat_of(rig_path("work/l")).st_mode));
    must(path_remove_tree(rig_path("work"), &err));
    rig_end();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("owner");
    TCase *t = tcase_create("owner");
    tcase_set_timeout(t, 100);
    RIG_ALL(t, users_are_strangers);
    RIG_ALL(t, trees_change_hands);
    RIG_ALL(t, shared_files_are_copied_first);
    RIG_ALL(t, taking_opens_everything);
    suite_add_tcase(s, t);
    return s;
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, suite, NULL);
}
