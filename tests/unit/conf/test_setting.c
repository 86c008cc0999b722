/* Contract: default < file < environment < flag; every value says where it came from; everything that is wrong is a
 * sentence with its place, and nothing wrong is taken; what a task takes with it is read back as it was. */
#include "conf/live.h"
#include "conf/setting.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static mem *ctx;
static struct err err;
static char folder[] = "/tmp/nightmill-test-XXXXXX";
static char *file;

static void begin(void)
{
    ctx = mem_root();
    err = (struct err){0};
    strcpy(folder, "/tmp/nightmill-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    file = mem_printf(ctx, "%s/config.yaml", folder);
}

static void finish(void)
{
    unlink(file);
    rmdir(folder);
    ctx = mem_free(ctx);
}

static void file_write(const char *text)
{
    FILE *f = fopen(file, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static struct setting_problem *problems;

static struct settings *load(const char *const *env, const char *const *flags, enum rc want)
{
    struct settings *set;
    static const char *const none[] = {NULL};
    struct settings_source source = {.flags = flags, .env = env ? env : none, .file = file};
    enum rc rc = settings_load(ctx, &source, &set, &problems, &err);
    ck_assert_msg(rc == want, "%s: %s", rc_name(rc), err.sentence);
    return set;
}

static const char *origin(const struct settings *set, const char *name)
{
    return setting_origin(set, setting_row_find(name));
}

static const char *shown(const struct settings *set, const char *name)
{
    return setting_shown(ctx, set, setting_row_find(name));
}

START_TEST(rows_are_whole)
{
    size_t n;
    const struct setting_row *rows = settings_rows(&n);
    struct settings *set = settings_default(ctx); /* aborts when a default is out of its range */
    ck_assert_uint_gt(n, 30);
    for (size_t i = 0; i < n; i++) {
        const char *dot = strchr(rows[i].name, '.');
        ck_assert_msg(dot && !strchr(dot + 1, '.'), "%s: section.name", rows[i].name);
        ck_assert_msg(strspn(rows[i].name, "abcdefghijklmnopqrstuvwxyz_.") == strlen(rows[i].name), "%s", rows[i].name);
        ck_assert_msg(strlen(rows[i].help) > 10 && rows[i].help[strlen(rows[i].help) - 1] == '.', "%s", rows[i].name);
        ck_assert_ptr_eq(setting_row_find(rows[i].name), &rows[i]);
        ck_assert_msg(setting_group_of(&rows[i]), "%s: its section has no line in groups.def", rows[i].name);
        ck_assert_msg(strcmp(setting_env_name(ctx, &rows[i]), "NIGHTMILL_MODEL_KEY") != 0,
                      "the credential's variable is no setting");
        const char *text = shown(set, rows[i].name);
        ck_assert_msg(setting_set(set, rows[i].name, text, "again", &err) == RC_OK, "%s: %s", rows[i].name,
                      err.sentence); /* what is shown can be written */
    }
}
END_TEST

START_TEST(precedence_and_origin)
{
    file_write("limits:\n  turns: 11\n  time: 1h30m\nretry:\n  first: 3\n");
    static const char *const env[] = {"NIGHTMILL_LIMITS_TURNS=12", "NIGHTMILL_LIMITS_TIME=2h",
                                      "NIGHTMILL_RETRY_MOST=", "PATH=/bin", NULL};
    static const char *const flags[] = {"limits.turns=13", NULL};
    struct settings *set = load(env, flags, RC_OK);
    ck_assert_int_eq(setting_int(set, "limits.turns"), 13);
    ck_assert_str_eq(origin(set, "limits.turns"), "flag --set");
    ck_assert_int_eq(setting_int(set, "limits.time"), 7200);
    ck_assert_str_eq(origin(set, "limits.time"), "environment NIGHTMILL_LIMITS_TIME");
    ck_assert_int_eq(setting_int(set, "retry.first"), 3);
    ck_assert_str_eq(origin(set, "retry.first"), mem_printf(ctx, "file %s:5", file));
    ck_assert_str_eq(origin(set, "retry.most"), "default"); /* an empty variable counts as not set */
    ck_assert_int_eq(setting_int(set, "tasks.parallel"), 2);
    bool exists;
    ck_assert_str_eq(settings_file(set, &exists), file);
    ck_assert(exists);
}
END_TEST

START_TEST(values_of_each_type)
{
    static const char *const flags[] = {
        "limits.adaptive=off", "sandbox.memory=512M", "limits.money=2.50",      "model.name=some-model",
        "model.wire=messages", "data.dir=~/x",        "approval.expires=1d12h", NULL};
    static const char *const env[] = {"HOME=/home/u", NULL};
    file_write("");
    struct settings *set = load(env, flags, RC_OK);
    ck_assert(!setting_bool(set, "limits.adaptive"));
    ck_assert_int_eq(setting_int(set, "sandbox.memory"), INT64_C(512) << 20);
    ck_assert_str_eq(shown(set, "sandbox.memory"), "512M");
    ck_assert_int_eq(setting_int(set, "limits.money"), INT64_C(2500000000000));
    ck_assert_str_eq(shown(set, "limits.money"), "2.50");
    ck_assert_str_eq(setting_text(set, "model.name"), "some-model");
    ck_assert_str_eq(setting_text(set, "data.dir"), "/home/u/x");
    ck_assert_str_eq(shown(set, "approval.expires"), "1d12h");
    ck_assert_str_eq(shown(set, "limits.adaptive"), "false");
}
END_TEST

START_TEST(every_problem_has_its_place)
{
    file_write("limits:\n"
               "  trns: 5\n"      /* 2:3 */
               "  turns: many\n"  /* 3:10 */
               "  time: {a: b}\n" /* 4:9 */
               "  tokens:\n"      /* 5 */
               "lmits:\n"         /* 6:1 */
               "  turns: 5\n"
               "tasks: 5\n"        /* 8:8 */
               "limits.turns: 5\n" /* 9:1 */
               "retry: \n"
               "stuck:\n"
               "  no_change: 1\n");
    static const char *const env[] = {"NIGHTMILL_LIMITS_TURN=5", "NIGHTMILL_LIMITS_TIME=x", "NIGHTMILL_OTHER=1",
                                      "NIGHTMILL_MODEL_KEY=secret-value", NULL};
    static const char *const flags[] = {"limits.turns", "limits.turn=5", "limits.turns=0", NULL};
    static const char *const want[] = {
        ":2:3: There is no setting \"limits.trns\". Did you mean limits.turns?",
        ":3:10: limits.turns must be a whole number (1 to 10000), not \"many\".",
        ":4:9: limits.time must be one value, not a map.",
        ":5:10: limits.tokens has no value; leave the line out for the default.",
        ":6:1: There is no section \"lmits\". Did you mean limits?",
        ":8:8: The section \"tasks\" must be a map of settings.",
        ":9:1: There is no section \"limits.turns\". Write the part before the dot as a section.",
        "environment NIGHTMILL_LIMITS_TURN: There is no such setting. Did you mean NIGHTMILL_LIMITS_TURNS?",
        "environment NIGHTMILL_LIMITS_TIME: limits.time must be a duration such as 90, 15m, 1h30m or 7d (0 to 365d), not \"x\".",
        "--set limits.turns: Write it as name=value.",
        "--set: There is no setting \"limits.turn\". Did you mean limits.turns?",
        "--set: limits.turns must be a whole number (1 to 10000), not \"0\".",
    };
    struct settings *set = load(env, flags, RC_INVALID);
    struct setting_problem *p = problems;
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++, p = p->next) {
        ck_assert_msg(p != NULL, "missing: %s", want[i]);
        ck_assert_msg(str_ends(str_of(p->sentence), str_of(want[i])), "%s\nwant %s", p->sentence, want[i]);
        ck_assert(i >= 7 || str_starts(str_of(p->sentence), str_of(file)));
        ck_assert_ptr_null(strstr(p->sentence, "secret-value"));
    }
    ck_assert_msg(!p, "%s", p ? p->sentence : "");
    ck_assert_str_eq(err.sentence, problems->sentence);
    ck_assert_int_eq(setting_int(set, "limits.turns"), 60); /* nothing wrong was taken */
    ck_assert_int_eq(setting_int(set, "stuck.no_change"), 1);
}
END_TEST

START_TEST(malformed_file)
{
    file_write("limits: [\n");
    load(NULL, NULL, RC_INVALID);
    ck_assert_msg(str_starts(str_of(err.sentence), str_of(mem_printf(ctx, "%s:2:1: Not well-formed", file))), "%s",
                  err.sentence);
    file_write("- a\n");
    load(NULL, NULL, RC_INVALID);
    ck_assert_ptr_nonnull(strstr(err.sentence, ":1:1: The file must be a map of sections."));
    file_write("~\n");
    load(NULL, NULL, RC_OK);
}
END_TEST

START_TEST(values_at_the_edges)
{
    static const char *const bad[] = {"money.currency=usd", "money.currency=EURO",
                                      "model.wire=grpc",    "data.dir=relative",
                                      "limits.turns=1.5",   "limits.turns=",
                                      "limits.money=-1",    "limits.adaptive=2",
                                      "sandbox.memory=1k",  "model.name=a\nb",
                                      "model.name=\xff",    "retry.first=0",
                                      "limits.turns= 5",    "=5",
                                      "sandbox.uid_base=0"};
    file_write("");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *flags[] = {bad[i], NULL};
        load(NULL, flags, RC_INVALID);
        ck_assert(str_utf8(str_of(err.sentence)) && !strchr(err.sentence, '\n'));
    }
}
END_TEST

START_TEST(file_is_found_by_the_rules)
{
    struct settings *set;
    static const char *const nowhere[] = {"NIGHTMILL_CONFIG=/nonexistent/c.yaml", NULL};
    struct settings_source source = {.env = nowhere};
    ck_assert_int_eq(settings_load(ctx, &source, &set, NULL, &err), RC_NOT_FOUND);
    ck_assert_ptr_null(set);
    ck_assert(err.hint[0]);
    const char *env[] = {"HOME=/nonexistent", mem_printf(ctx, "XDG_CONFIG_HOME=%s", folder),
                         mem_printf(ctx, "XDG_DATA_HOME=%s", folder), NULL};
    source.env = env;
    ck_assert_int_eq(settings_load(ctx, &source, &set, NULL, &err), RC_OK);
    bool exists, root = geteuid() == 0;
    const char *want = root ? "/etc/nightmill/config.yaml" : mem_printf(ctx, "%s/nightmill/config.yaml", folder);
    ck_assert_str_eq(settings_file(set, &exists), want);
    ck_assert_str_eq(setting_text(set, "data.dir"),
                     root ? "/var/lib/nightmill" : mem_printf(ctx, "%s/nightmill", folder));
}
END_TEST

START_TEST(a_task_takes_settings_with_it)
{
    static const char *const flags[] = {"limits.turns=7", "limits.money=0.000000000001", "model.name=m\xc3\xa4",
                                        "limits.adaptive=false", NULL};
    file_write("");
    struct settings *set = load(NULL, flags, RC_OK), *back;
    struct buf b;
    struct json_out out;
    buf_init(&b, ctx, 1 << 20);
    json_out_init(&out, &b);
    settings_json(set, &out);
    ck_assert_msg(settings_from_json(ctx, buf_view(&b), &back, &err) == RC_OK, "%s", err.sentence);
    size_t n;
    const struct setting_row *rows = settings_rows(&n);
    for (size_t i = 0; i < n; i++)
        ck_assert_str_eq(setting_shown(ctx, back, &rows[i]), setting_shown(ctx, set, &rows[i]));
    ck_assert_str_eq(origin(back, "limits.turns"), "task");
    ck_assert_int_eq(settings_from_json(ctx, STR(""), &back, &err), RC_OK);
    ck_assert_int_eq(setting_int(back, "limits.turns"), 60);
    ck_assert_int_eq(settings_from_json(ctx, STR("{\"gone.setting\":1,\"limits.turns\":5}"), &back, &err), RC_OK);
    ck_assert_int_eq(setting_int(back, "limits.turns"), 5);
    ck_assert_int_eq(settings_from_json(ctx, STR("{\"limits.turns\":0}"), &back, &err), RC_INVALID);
    ck_assert_int_eq(settings_from_json(ctx, STR("{\"limits.turns\":[1]}"), &back, &err), RC_INVALID);
    ck_assert_int_eq(settings_from_json(ctx, STR("[]"), &back, &err), RC_INVALID);
    ck_assert_int_eq(settings_from_json(ctx, STR("{"), &back, &err), RC_INVALID);
    struct json root;
    ck_assert_int_eq(json_parse(ctx, STR("{\"limits.turn\":5}"), &root, &err), RC_OK);
    ck_assert_int_eq(settings_overlay_json(set, root, "request", &err), RC_INVALID);
    ck_assert_str_eq(err.sentence, "There is no setting \"limits.turn\". Did you mean limits.turns?");
}
END_TEST

START_TEST(unknown_name_is_a_bug)
{
    (void)setting_int(settings_default(ctx), "no.such");
}
END_TEST

START_TEST(wrong_getter_is_a_bug)
{
    (void)setting_text(settings_default(ctx), "limits.turns");
}
END_TEST

START_TEST(markdown_has_every_row)
{
    struct buf b;
    size_t n, lines = 0;
    buf_init(&b, ctx, 1 << 20);
    settings_markdown(&b);
    settings_rows(&n);
    struct str rest = buf_view(&b), line;
    while (str_line(&rest, &line)) {
        size_t bars = 0;
        for (size_t i = 0; i < line.n; i++)
            bars += line.p[i] == '|' && (!i || line.p[i - 1] != '\\');
        ck_assert_msg(bars == 7, "%.*s", STR_FMT(line));
        lines++;
    }
    ck_assert_uint_eq(lines, n + 2);
    ck_assert_ptr_nonnull(strstr(b.p, "| `limits.turns` | `60` | 1 to 10000 | next task | `NIGHTMILL_LIMITS_TURNS` |"));
}
END_TEST

/* What was set in the database stands between default and file, and a value that is none is left out. */
START_TEST(stored_values)
{
    static const struct setting_stored rows[] = {{"limits.turns", "80", "ada", 1000000000},
                                                 {"retry.first", "7s", "ada", 0},
                                                 {"limits.tokens", "many", "ada", 0},
                                                 {"no.such", "1", "ada", 0},
                                                 {"data.dir", "/elsewhere", "ada", 0}};
    const char *path = settings_stored_path(ctx, folder);
    const char *const env[] = {mem_printf(ctx, "NIGHTMILL_DATA_DIR=%s", folder), "NIGHTMILL_RETRY_FIRST=9s", NULL};
    struct setting_stored *back;
    size_t n;
    file_write("");
    ck_assert_int_eq(settings_stored_write(path, rows, 5, &err), RC_OK);
    ck_assert_int_eq(settings_stored_read(ctx, path, &back, &n, &err), RC_OK);
    ck_assert_uint_eq(n, 5);
    ck_assert_str_eq(back[1].value, "7s");
    ck_assert_int_eq(back[0].at_ns, 1000000000);
    struct settings *set = load(env, NULL, RC_OK);
    ck_assert_int_eq(setting_int(set, "limits.turns"), 80);
    ck_assert_str_eq(origin(set, "limits.turns"), "database by ada at 1970-01-01T00:00:01.000Z");
    ck_assert_int_eq(setting_from(set, setting_row_find("limits.turns")), SETTING_FROM_DATABASE);
    ck_assert_int_eq(setting_int(set, "retry.first"), 9);
    ck_assert_int_eq(setting_int(set, "limits.tokens"), 0);
    ck_assert_str_eq(setting_text(set, "data.dir"), folder);
    ck_assert_uint_eq(settings_stored_apply(settings_copy(ctx, set), rows, 5), 2); /* wrong: "many", no.such */
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs("{", f);
    fclose(f);
    set = load(env, NULL, RC_OK); /* a damaged copy keeps nobody from working */
    ck_assert_int_eq(setting_int(set, "limits.turns"), 60);
    unlink(path);
}
END_TEST

START_TEST(live_values)
{
    static const struct setting_stored first[] = {{"limits.turns", "80", "ada", 0}};
    struct settings_live *live = settings_live_new(ctx, settings_default(ctx));
    ck_assert_int_eq(settings_live_int(live, "limits.turns"), 60);
    ck_assert_uint_eq(settings_live_store(live, first, 1), 0);
    struct settings *taken = settings_live_take(ctx, live);
    ck_assert_int_eq(settings_live_int(live, "limits.turns"), 80);
    ck_assert_uint_eq(settings_live_store(live, NULL, 0), 0);
    ck_assert_int_eq(settings_live_int(live, "limits.turns"), 60);
    ck_assert_int_eq(setting_int(taken, "limits.turns"), 80); /* a copy stays what it was */
    ck_assert_str_eq(settings_live_text(ctx, live, "money.zone"), "UTC");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("setting");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, begin, finish);
    suite_add_tcase(s, t);
    tcase_add_test(t, rows_are_whole);
    tcase_add_test(t, precedence_and_origin);
    tcase_add_test(t, stored_values);
    tcase_add_test(t, live_values);
    tcase_add_test(t, values_of_each_type);
    tcase_add_test(t, every_problem_has_its_place);
    tcase_add_test(t, malformed_file);
    tcase_add_test(t, values_at_the_edges);
    tcase_add_test(t, file_is_found_by_the_rules);
    tcase_add_test(t, a_task_takes_settings_with_it);
    tcase_add_test_raise_signal(t, unknown_name_is_a_bug, 6);
    tcase_add_test_raise_signal(t, wrong_getter_is_a_bug, 6);
    tcase_add_test(t, markdown_has_every_row);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
