/* Contract: a sandbox that fills the disk is ended within moments and the reason is told with its figures, however the
 * bytes are hidden; what stays below its limit is left alone. */
#include "rig.h"
#include <sys/statvfs.h>

static struct sandbox *open_on_disk(int64_t limit, int64_t floor)
{
    ck_assert_int_eq(sandbox_give(rig_path("work"), SANDBOX_AGENT, &err), RC_OK);
    struct sandbox_mount mounts[] = {{rig_path("work"), "/workspace", true}};
    struct sandbox_spec spec = {.mounts = mounts,
                                .mount_count = 1,
                                .cwd = "/workspace",
                                .label = "disk",
                                .limits = {.disk_bytes = limit, .disk_floor = floor}};
    return rig_open_spec(&spec);
}

/* Runs a line that must not come to its end. */
static void over(struct sandbox *sb, const char *line, const char *words)
{
    struct sandbox_result r;
    struct sandbox_command cmd = {.shell = line, .timeout_ms = RUN_MS, .cancel_fd = -1, .out_fd = -1, .keep = 4096};
    enum rc rc = sandbox_run(ctx, sb, &cmd, &r, &err);
    ck_assert_msg(rc == RC_LIMIT, "%s: %s %s, exit %d '%.*s'", line, rc_name(rc), err.sentence, r.exit_code,
                  STR_FMT(r.err));
    ck_assert_msg(strstr(err.sentence, words) && err.hint[0], "%s | %s", err.sentence, err.hint);
    struct err again = {0};
    ck_assert(sandbox_disk_over(sb, &again) && again.rc == RC_LIMIT);
    ck_assert_int_eq(sandbox_run(ctx, sb, &cmd, &r, &err), RC_LIMIT);
    sandbox_close(sb, NULL);
}

static const char *const ways[] = {
    "head -c 60M /dev/zero > big; sleep 50",
    "for i in $(seq 60); do head -c 1M /dev/zero > f$i; done; sleep 50",
    "mkdir -p a/b; head -c 60M /dev/zero > a/b/f; chmod 000 a/b a; sleep 50",
    "d=$(printf 'a\\nb\\033[2J'); mkdir \"$d\"; head -c 60M /dev/zero > \"$d/x\"; sleep 50",
    "(setsid sh -c 'head -c 60M /dev/zero > late; sleep 50' &) ; sleep 50",
    "trap '' TERM; head -c 60M /dev/zero > big; sleep 50",
};

START_TEST(what_is_too_much_is_ended)
{
    if (!rig_begin(_i))
        return;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        over(open_on_disk(32 << 20, 0), ways[i], "disk");
        ck_assert_int_eq(sandbox_take(rig_path("work"), &err), RC_OK);
        ck_assert_int_eq(path_remove_tree(rig_path("work"), &err), RC_OK);
        ck_assert_int_eq(mkdir(rig_path("work"), 0755), 0);
    }
    rig_end();
}
END_TEST

START_TEST(folders_in_folders_do_not_hide)
{
    if (!rig_begin(_i))
        return;
    over(open_on_disk(32 << 20, 0),
         "python3 -c 'import os, time\nfor i in range(1500): os.mkdir(\"d\"); os.chdir(\"d\")\n"
         "open(\"f\", \"wb\").write(bytes(60 << 20)); time.sleep(50)'",
         "nested");
    /* Beyond PATH_MAX in names of one letter; a tree that nobody could remove would stay in the test's folder. */
    ck_assert_int_eq(sandbox_take(rig_path("work"), &err), RC_OK);
    rig_end();
}
END_TEST

START_TEST(the_floor_is_kept)
{
    if (!rig_begin(_i))
        return;
    over(open_on_disk(0, INT64_MAX), "sleep 50", "must stay free");
    rig_end();
}
END_TEST

START_TEST(what_fits_is_left_alone)
{
    if (!rig_begin(_i))
        return;
    struct sandbox *sb = open_on_disk(64 << 20, 1);
    /* Names of one file count once, holes not at all. */
    rig_says(sb, "head -c 20M /dev/zero > f && ln f g && ln f h && ln f i && truncate -s 3G hole && sleep 1 && echo x",
             "x\n");
    rig_says(sb, "rm -f f g h i hole; sleep 1; echo y", "y\n");
    struct err none = {0};
    ck_assert(!sandbox_disk_over(sb, &none) && none.rc == RC_OK);
    ck_assert(sandbox_alive(sb));
    pid_t watching = sb->disk_pid;
    ck_assert_int_gt(watching, 0);
    sandbox_close(sb, NULL);
    ck_assert(kill(watching, 0) < 0 && errno == ESRCH);
    rig_end();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("disk");
    TCase *t = tcase_create("disk");
    tcase_set_timeout(t, 200);
    RIG(t, what_is_too_much_is_ended);
    RIG(t, folders_in_folders_do_not_hide);
    RIG(t, the_floor_is_kept);
    RIG(t, what_fits_is_left_alone);
    suite_add_tcase(s, t);
    return s;
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, suite, NULL);
}
