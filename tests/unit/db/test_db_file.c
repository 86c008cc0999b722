/* Contract of opening: sole ownership, refusal of what is foreign, newer, changed or damaged in one clear sentence, and
 * nothing deleted or altered thereby. */
#include "db/db.h"
#include "os/path.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct db_migration steps[] = {
    {1, "first", "CREATE TABLE thing (n INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT"},
    {2, "second", "ALTER TABLE thing ADD COLUMN more TEXT; CREATE INDEX thing_name ON thing (name)"},
    {3, "broken", "CREATE TABLE half (n INTEGER) STRICT; CREATE TABLE half (n INTEGER) STRICT"},
};
static const struct db_migration edited[] = {
    {1, "first", "CREATE TABLE thing (n INTEGER PRIMARY KEY, name TEXT) STRICT"},
};
static char folder[64], file[128], note[160];
static mem *root;
static struct err err;

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/test_db_file_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/t.db", folder);
    snprintf(note, sizeof note, "%s/t.db.clean", folder);
    root = mem_root();
    memset(&err, 0, sizeof err);
}

static void teardown(void)
{
    char command[256];
    root = mem_free(root);
    snprintf(command, sizeof command, "chmod -R u+rwX '%s'; rm -rf '%s'", folder, folder);
    ck_assert_int_eq(system(command), 0);
}

static enum rc open_with(const struct db_migration *list, size_t n, struct db **ret)
{
    struct db_config config = {.dir = folder, .name = "t.db", .migrations = list, .migration_count = n};
    *ret = NULL;
    return db_open(root, &config, ret, &err);
}

static struct db *opened(void)
{
    struct db *db;
    ck_assert_msg(open_with(steps, 2, &db) == RC_OK, "%s (%s)", err.sentence, err.detail);
    return db;
}

static void refused(enum rc expected, const char *words)
{
    struct db *db;
    enum rc rc = open_with(steps, 2, &db);
    ck_assert_msg(rc == expected, "%s: %s (%s)", rc_name(rc), err.sentence, err.detail);
    ck_assert_msg(strstr(err.sentence, words) != NULL, "%s", err.sentence);
    ck_assert_ptr_nonnull(strstr(err.sentence, folder)); /* which file */
    ck_assert_str_ne(err.hint, "");                      /* what to do */
}

static enum rc fill(struct db_conn *c, void *arg, struct err *e)
{
    DB_SQL(sql, "INSERT INTO thing (name) VALUES ($1)");
    char text[500];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < *(int *)arg; i++) {
        enum rc rc = db_exec(c, &sql, DB_ARGS(db_text(text)), NULL, e);
        if (rc)
            return rc;
    }
    return RC_OK;
}

static void add_rows(struct db *db, int n)
{
    ck_assert_int_eq(db_write(db, fill, &n, NULL), RC_OK);
}

static int64_t rows(struct db *db)
{
    DB_SQL(sql, "SELECT count(*) FROM thing");
    int64_t n = -1;
    DB_READER struct db_conn *c = db_reader(db);
    ck_assert_int_eq(db_one_int(c, &sql, DB_NONE, &n, NULL), RC_OK);
    return n;
}

static struct str contents(void)
{
    struct str s;
    ck_assert_int_eq(path_slurp(root, file, 64 << 20, &s, NULL), RC_OK);
    return s;
}

static void overwrite(off_t at, size_t n)
{
    int fd = open(file, O_WRONLY);
    ck_assert_int_ge(fd, 0);
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(pwrite(fd, "\xa5", 1, at + (off_t)i), 1);
    close(fd);
}

START_TEST(files_are_private)
{
    struct stat st;
    char sub[80];
    struct db *db;
    snprintf(sub, sizeof sub, "%s/a/b", folder);
    struct db_config config = {.dir = sub, .name = "t.db", .migrations = steps, .migration_count = 2};
    ck_assert_int_eq(db_open(root, &config, &db, &err), RC_OK);
    add_rows(db, 1);
    static const char *const names[] = {"t.db", "t.db-wal", "t.db-shm", "t.db.lock"};
    ck_assert(stat(sub, &st) == 0 && (st.st_mode & 077) == 0);
    for (int i = 0; i < 4; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/%s", sub, names[i]);
        ck_assert_msg(stat(path, &st) == 0 && (st.st_mode & 077) == 0, "%s", path);
    }
    db_close(db);
}
END_TEST

START_TEST(second_owner_is_named)
{
    struct db *db = opened();
    char words[64];
    snprintf(words, sizeof words, "(process %d)", (int)getpid());
    refused(RC_CONFLICT, words);
    add_rows(db, 1); /* the first goes on */
    db_close(db);
    db = opened();
    ck_assert_int_eq(rows(db), 1);
    db_close(db);
}
END_TEST

static void make_foreign(const char *sql)
{
    sqlite3 *h;
    ck_assert_int_eq(sqlite3_open(file, &h), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(h, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(h);
}

START_TEST(foreign_files_are_refused_and_kept)
{
    make_foreign("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)");
    struct str before = contents();
    refused(RC_INVALID, "another program");
    ck_assert(str_eq(before, contents()));
}
END_TEST

START_TEST(foreign_application_is_refused)
{
    make_foreign("PRAGMA application_id=77");
    refused(RC_INVALID, "another program");
}
END_TEST

START_TEST(what_is_no_database_is_refused)
{
    ck_assert_int_eq(
        path_write_durable(file, STR("Dear diary, this is a letter and not a database at all.\n"), 0600, NULL), RC_OK);
    struct str before = contents();
    refused(RC_IO, "damaged");
    ck_assert(str_eq(before, contents()));
}
END_TEST

START_TEST(folder_in_the_place_of_the_file)
{
    ck_assert_int_eq(mkdir(file, 0700), 0);
    struct db *db;
    ck_assert_int_ne(open_with(steps, 2, &db), RC_OK);
    ck_assert_ptr_nonnull(strstr(err.sentence, file));
}
END_TEST

START_TEST(fifo_in_the_place_of_the_file)
{
    ck_assert_int_eq(mkfifo(file, 0600), 0);
    refused(RC_INVALID, "regular file");
}
END_TEST

/* ---- migrations ---- */

START_TEST(migrations_run_once_and_forward)
{
    struct db *db;
    ck_assert_int_eq(open_with(steps, 1, &db), RC_OK);
    add_rows(db, 3);
    db_close(db);
    db = opened(); /* the second step comes */
    ck_assert_int_eq(rows(db), 3);
    db_close(db);
    db = opened();
    db_close(db);
    ck_assert_int_eq(open_with(steps, 1, &db), RC_CONFLICT);
    ck_assert_ptr_nonnull(strstr(err.sentence, "newer Nightmill"));
    db = opened();
    ck_assert_int_eq(rows(db), 3);
    db_close(db);
}
END_TEST

START_TEST(edited_migration_is_refused)
{
    struct db *db;
    ck_assert_int_eq(open_with(steps, 1, &db), RC_OK);
    db_close(db);
    ck_assert_int_eq(open_with(edited, 1, &db), RC_CONFLICT);
    ck_assert_ptr_nonnull(strstr(err.sentence, "differs"));
    ck_assert_str_ne(err.hint, "");
    db_close(opened());
}
END_TEST

START_TEST(failed_migration_leaves_no_half)
{
    struct db *db;
    ck_assert_int_ne(open_with(steps, 3, &db), RC_OK);
    ck_assert_ptr_nonnull(strstr(err.sentence, "Migration 3 (broken)"));
    db = opened(); /* the first two are done and recorded */
    DB_SQL(sql, "SELECT count(*) FROM sqlite_schema WHERE name = 'half'");
    int64_t n = -1;
    {
        DB_READER struct db_conn *c = db_reader(db);
        ck_assert_int_eq(db_one_int(c, &sql, DB_NONE, &n, NULL), RC_OK);
    }
    ck_assert_int_eq(n, 0);
    db_close(db);
}
END_TEST

/* ---- unclean ends and damage ---- */

/* A process that writes, and ends without closing. */
static void leave_unclean(int n)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        struct db *db;
        struct db_config config = {.dir = folder, .name = "t.db", .migrations = steps, .migration_count = 2};
        mem *own = mem_root();
        bool ok = db_open(own, &config, &db, NULL) == RC_OK && db_write(db, fill, &n, NULL) == RC_OK;
        _exit(ok ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}

START_TEST(acknowledged_rows_survive_an_unclean_end)
{
    leave_unclean(100);
    ck_assert_int_ne(access(note, F_OK), 0);
    struct db *db = opened();
    ck_assert_int_eq(rows(db), 100);
    ck_assert_int_eq(db_check(db, NULL), RC_OK);
    db_close(db);
    ck_assert_int_eq(access(note, F_OK), 0);
    db = opened();
    ck_assert_int_ne(access(note, F_OK), 0); /* gone while open: a crash from here on is seen */
    db_close(db);
}
END_TEST

START_TEST(damage_is_seen_after_an_orderly_end)
{
    struct db *db = opened();
    add_rows(db, 2000);
    db_close(db);
    usleep(20000); /* file times have the grain of the kernel's clock */
    overwrite(40 * 4096, 4096);
    struct str before = contents();
    refused(RC_IO, "is damaged");
    ck_assert_ptr_nonnull(strstr(err.hint, "Nothing was changed"));
    ck_assert(str_eq(before, contents()));
    refused(RC_IO, "is damaged"); /* and again: a refusal is no orderly end */
}
END_TEST

START_TEST(damage_is_seen_after_an_unclean_end)
{
    struct db *db = opened();
    add_rows(db, 2000);
    db_close(db);
    leave_unclean(1);
    usleep(20000); /* file times have the grain of the kernel's clock */
    overwrite(40 * 4096, 4096);
    refused(RC_IO, "is damaged");
}
END_TEST

/* What opening says on standard error. */
static struct str told_by_opening(void)
{
    char path[160];
    snprintf(path, sizeof path, "%s/said", folder);
    int before = dup(STDERR_FILENO), fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    ck_assert(before >= 0 && fd >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    db_close(opened());
    ck_assert(dup2(before, STDERR_FILENO) >= 0);
    char *text = mem_zalloc(root, 4096);
    ssize_t n = pread(fd, text, 4095, 0);
    close(before);
    close(fd);
    return str_n(text, n > 0 ? (size_t)n : 0);
}

START_TEST(a_kill_costs_no_check_of_all_pages)
{
    const struct str words = STR("was not closed in order");
    char left[160];
    snprintf(left, sizeof left, "%s/t.db.left", folder);
    leave_unclean(100);
    ck_assert_int_lt((int)str_find(told_by_opening(), words), 0);
    ck_assert_int_ne(access(left, F_OK), 0); /* closed in order again */

    leave_unclean(100); /* somebody else was at the file */
    usleep(20000);
    ck_assert_int_eq(chmod(file, 0640), 0);
    ck_assert_int_ge((int)str_find(told_by_opening(), words), 0);

    leave_unclean(100); /* the machine went down */
    int fd = open(left, O_WRONLY);
    ck_assert(fd >= 0 && pwrite(fd, "00000000", 8, 0) == 8);
    close(fd);
    ck_assert_int_ge((int)str_find(told_by_opening(), words), 0);
    struct db *db = opened();
    ck_assert_int_eq(rows(db), 300);
    db_close(db);
}
END_TEST

START_TEST(cut_off_file_is_refused)
{
    struct db *db = opened();
    add_rows(db, 2000);
    db_close(db);
    ck_assert_int_eq(truncate(file, 100 * 4096), 0);
    refused(RC_IO, "is damaged");
}
END_TEST

START_TEST(damage_met_while_open_is_told)
{
    DB_SQL(sql, "SELECT sum(length(name)) FROM thing");
    struct db *db = opened();
    add_rows(db, 2000);
    ck_assert_int_eq(db_checkpoint(db, NULL), RC_OK);
    overwrite(4096, 100 * 4096);
    int64_t n;
    {
        DB_READER struct db_conn *c = db_reader(db);
        ck_assert_int_eq(db_one_int(c, &sql, DB_NONE, &n, &err), RC_IO);
    }
    ck_assert_ptr_nonnull(strstr(err.sentence, "is damaged"));
    db_close(db);
}
END_TEST

/* ---- folders that cannot be written ---- */

static void become_nobody(void)
{
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(folder, 65534, 65534), 0);
        ck_assert_int_eq(seteuid(65534), 0);
    }
}

static void become_root(void)
{
    if (getuid() == 0)
        ck_assert_int_eq(seteuid(0), 0);
}

START_TEST(read_only_folder_is_told)
{
    ck_assert_int_eq(chmod(folder, 0555), 0);
    become_nobody();
    struct db *db;
    enum rc rc = open_with(steps, 2, &db);
    become_root();
    ck_assert_msg(rc == RC_DENIED, "%s: %s", rc_name(rc), err.sentence);
    ck_assert_ptr_nonnull(strstr(err.sentence, folder));
    ck_assert_ptr_nonnull(strstr(err.hint, "writable"));
}
END_TEST

START_TEST(read_only_file_is_told)
{
    db_close(opened());
    ck_assert_int_eq(chmod(file, 0444), 0);
    if (getuid() == 0) {
        char command[200];
        snprintf(command, sizeof command, "chown -R 65534 '%s'", folder);
        ck_assert_int_eq(system(command), 0);
    }
    become_nobody();
    struct db *db;
    enum rc rc = open_with(steps, 2, &db);
    become_root();
    ck_assert_msg(rc == RC_DENIED, "%s: %s", rc_name(rc), err.sentence);
    ck_assert_ptr_nonnull(strstr(err.hint, "writable"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("db file");
    TCase *tc = tcase_create("file");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, files_are_private);
    tcase_add_test(tc, second_owner_is_named);
    tcase_add_test(tc, foreign_files_are_refused_and_kept);
    tcase_add_test(tc, foreign_application_is_refused);
    tcase_add_test(tc, what_is_no_database_is_refused);
    tcase_add_test(tc, folder_in_the_place_of_the_file);
    tcase_add_test(tc, fifo_in_the_place_of_the_file);
    tcase_add_test(tc, migrations_run_once_and_forward);
    tcase_add_test(tc, edited_migration_is_refused);
    tcase_add_test(tc, failed_migration_leaves_no_half);
    tcase_add_test(tc, acknowledged_rows_survive_an_unclean_end);
    tcase_add_test(tc, damage_is_seen_after_an_orderly_end);
    tcase_add_test(tc, damage_is_seen_after_an_unclean_end);
    tcase_add_test(tc, a_kill_costs_no_check_of_all_pages);
    tcase_add_test(tc, cut_off_file_is_refused);
    tcase_add_test(tc, damage_met_while_open_is_told);
    tcase_add_test(tc, read_only_folder_is_told);
    tcase_add_test(tc, read_only_file_is_told);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
