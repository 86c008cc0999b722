/* trees_build: what the sealed and the red tree hold, whatever stands in the place of what. Real git. */
#include "sample.h"

#define LIB_CODE  "pub fn a() -> i32 { 1 }\n"
#define LIB_MORE  LIB_CODE "pub fn b() -> i32 { 2 }\n"
#define LIB_TESTS "\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn a() { assert_eq!(super::a(), 1); }\n}\n"
#define LIB_BENT  "\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn a() {}\n}\n"

static const struct project base = {
    .name = "trees",
    .files = {{"Makefile", "test:\n"},
              {"app.py", "1\n"},
              {"lib.rs", LIB_CODE LIB_TESTS},
              {"tests/a/test_a.py", "a\n"},
              {"tests/test_b.py", "b\n"},
              {"tests/run.sh", "run\n", 0755}},
};

struct built {
    mem *ctx;
    struct sample s;
    struct verify_spec spec;
    struct trees t;
};

static void build(struct built *b, const struct file *change, const char *const *allow)
{
    static const struct check check = {.name = "test", .command = "make test", .required = true};
    struct err err = {0};
    memset(b, 0, sizeof *b);
    b->ctx = mem_root();
    b->s = sample_new(b->ctx, &base, change);
    b->spec = sample_spec(b->ctx, &b->s, &check, 1);
    b->spec.allow_changes = allow;
    ck_assert_msg(trees_build(b->ctx, &b->spec, &b->t, &err) == RC_OK, "%s %s", err.sentence, err.detail);
}

/* NULL: not there. */
static const char *text_of(struct built *b, const char *tree, const char *path)
{
    struct str text;
    struct err err = {0};
    enum rc rc = repo_blob(b->ctx, b->spec.git_dir, tree, path, 1 << 16, &text, &err);
    ck_assert_msg(rc == RC_OK || rc == RC_NOT_FOUND, "%s %s", err.sentence, err.detail);
    return rc == RC_OK ? str_dup(b->ctx, text) : NULL;
}

static void expect(struct built *b, const char *tree, const char *path, const char *text)
{
    const char *is = text_of(b, tree, path);
    ck_assert_msg(!is == !text && (!is || strcmp(is, text) == 0), "%s: %s", path, is ? is : "(not there)");
}

static unsigned mode_of(struct built *b, const char *tree, const char *path)
{
    struct repo_entry *e;
    size_t n;
    ck_assert(repo_list(b->ctx, b->spec.git_dir, tree, &e, &n, NULL) == RC_OK);
    for (size_t i = 0; i < n; i++)
        if (strcmp(e[i].path, path) == 0)
            return e[i].mode;
    return 0;
}

START_TEST(sealed_and_red)
{
    struct built b;
    const struct file change[] = {
        {"app.py", "2\n"},           {"Makefile", "test:\n\ttrue\n"}, {"tests/test_b.py", "bent\n"},
        {"tests/a/test_a.py", NULL}, {"tests/test_new.py", "new\n"},  {"tests/conftest.py", "conftest\n"},
        {"argparse.py", "shadow\n"}, {"tests/run.sh", "run\n", 0644}, {0}};
    build(&b, change, NULL);
    expect(&b, b.t.sealed, "app.py", "2\n");
    expect(&b, b.t.sealed, "Makefile", "test:\n");
    expect(&b, b.t.sealed, "tests/test_b.py", "b\n");
    expect(&b, b.t.sealed, "tests/a/test_a.py", "a\n");
    expect(&b, b.t.sealed, "tests/test_new.py", "new\n");
    expect(&b, b.t.sealed, "tests/conftest.py", NULL);
    expect(&b, b.t.sealed, "argparse.py", NULL);
    ck_assert_uint_eq(mode_of(&b, b.t.sealed, "tests/run.sh"), 0100755); /* a mode is a change too */
    expect(&b, b.t.bare, "app.py", "2\n");
    expect(&b, b.t.bare, "tests/test_b.py", "b\n");
    expect(&b, b.t.bare, "tests/test_new.py", NULL);
    expect(&b, b.t.bare, "tests/conftest.py", NULL);
    expect(&b, b.t.red, "app.py", "1\n");
    expect(&b, b.t.red, "Makefile", "test:\n");
    expect(&b, b.t.red, "tests/test_b.py", "bent\n");
    expect(&b, b.t.red, "tests/a/test_a.py", "a\n");
    expect(&b, b.t.red, "tests/test_new.py", "new\n");
    expect(&b, b.t.red, "tests/conftest.py", NULL);
    mem_free(b.ctx);
}
END_TEST

START_TEST(nothing_protected)
{
    struct built b;
    const struct file change[] = {{"app.py", "2\n"}, {"new.py", "3\n"}, {0}};
    build(&b, change, NULL);
    ck_assert_str_eq(b.t.sealed, b.t.candidate);
    ck_assert_ptr_null(b.t.red);
    ck_assert_ptr_null(b.t.bare);
    ck_assert_uint_eq(b.t.change_count, 2);
    mem_free(b.ctx);
    build(&b, NULL, NULL);
    ck_assert_str_eq(b.t.base, b.t.candidate);
    mem_free(b.ctx);
}
END_TEST

/* A link or file in the place of a folder of tests, and a folder in the place of a file. */
START_TEST(in_the_place_of)
{
    struct built b;
    const struct file link[] = {{"tests", "/tmp", 0120000}, {0}};
    build(&b, link, NULL);
    expect(&b, b.t.sealed, "tests/a/test_a.py", "a\n");
    expect(&b, b.t.sealed, "tests/test_b.py", "b\n");
    ck_assert_uint_eq(mode_of(&b, b.t.sealed, "tests"), 0);
    mem_free(b.ctx);

    const struct file inner[] = {
        {"tests/a", NULL}, {"tests/a", "file\n"}, {"Makefile", NULL}, {"Makefile/x", "y\n"}, {0}};
    build(&b, inner, NULL);
    expect(&b, b.t.sealed, "tests/a/test_a.py", "a\n");
    expect(&b, b.t.sealed, "Makefile", "test:\n");
    expect(&b, b.t.sealed, "Makefile/x", NULL);
    mem_free(b.ctx);

    const struct file linked[] = {{"Makefile", "other", 0120000}, {"other", "test:\n\ttrue\n"}, {0}};
    build(&b, linked, NULL);
    ck_assert_uint_eq(mode_of(&b, b.t.sealed, "Makefile"), 0100644);
    mem_free(b.ctx);
}
END_TEST

START_TEST(leave)
{
    struct built b;
    const char *const allow[] = {"tests/**", NULL};
    const struct file change[] = {
        {"tests/test_b.py", "bent\n"}, {"tests/a/test_a.py", NULL}, {"Makefile", "x:\n"}, {0}};
    build(&b, change, allow);
    expect(&b, b.t.sealed, "tests/test_b.py", "bent\n");
    expect(&b, b.t.sealed, "tests/a/test_a.py", NULL);
    expect(&b, b.t.sealed, "Makefile", "test:\n");
    mem_free(b.ctx);
}
END_TEST

/* Tests at the end of a source are put back without the code above them, and tried on the old code. */
START_TEST(inline_tests)
{
    struct built b;
    const struct file change[] = {{"lib.rs", LIB_MORE LIB_BENT}, {0}};
    build(&b, change, NULL);
    expect(&b, b.t.sealed, "lib.rs", LIB_MORE LIB_TESTS);
    expect(&b, b.t.red, "lib.rs", LIB_CODE LIB_BENT);
    ck_assert_int_eq(b.t.changes[0].kind, PROTECTED_TEST);
    mem_free(b.ctx);

    const struct file gone[] = {{"lib.rs", LIB_MORE "// end"}, {0}};
    build(&b, gone, NULL);
    expect(&b, b.t.sealed, "lib.rs", LIB_MORE "// end" LIB_TESTS); /* on a line of its own */
    ck_assert_ptr_null(b.t.red);
    mem_free(b.ctx);

    const struct file code[] = {{"lib.rs", LIB_MORE LIB_TESTS}, {0}};
    build(&b, code, NULL);
    ck_assert_str_eq(b.t.sealed, b.t.candidate);
    mem_free(b.ctx);
}
END_TEST

/* Names that are no text, and names with line ends. */
START_TEST(strange_names)
{
    struct built b;
    const struct file change[] = {{"tests/test_\xff\xfe.py", "x\n"},
                                  {"tests/new\nline.py", "y\n"},
                                  {"tests/ -x\t\"'.py", "z\n"},
                                  {"tests/test_b.py", NULL},
                                  {0}};
    build(&b, change, NULL);
    expect(&b, b.t.sealed, "tests/test_b.py", "b\n");
    expect(&b, b.t.sealed, "tests/new\nline.py", "y\n");
    expect(&b, b.t.red, "tests/test_\xff\xfe.py", "x\n");
    expect(&b, b.t.red, "tests/ -x\t\"'.py", "z\n");
    mem_free(b.ctx);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("trees");
    TCase *t = tcase_create("trees");
    tcase_add_test(t, sealed_and_red);
    tcase_add_test(t, nothing_protected);
    tcase_add_test(t, in_the_place_of);
    tcase_add_test(t, leave);
    tcase_add_test(t, inline_tests);
    tcase_add_test(t, strange_names);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    return s;
}

int main(int argc, char **argv)
{
    return sample_main(argc, argv, suite);
}
