/* Contract: small files become a tree with places; whatever no such file needs is refused with line and column. */
#include "conf/yaml.h"
#include <check.h>
#include <stdlib.h>

static mem *ctx;
static struct err err;

static void begin(void)
{
    ctx = mem_root();
    err = (struct err){0};
}

static void finish(void)
{
    ctx = mem_free(ctx);
}

static struct yaml *parse(const char *text)
{
    struct yaml *root;
    ck_assert_msg(yaml_parse(ctx, str_of(text), "f.yaml", &root, &err) == RC_OK, "%s", err.sentence);
    return root;
}

START_TEST(tree_with_places)
{
    struct yaml *root = parse("a: 1\nlist:\n  - x\n  - 'null'\n  - {k: [v]}\nnone: ~\n");
    ck_assert_int_eq(root->kind, YAML_MAP);
    ck_assert_uint_eq(root->count, 3);
    ck_assert_str_eq(yaml_get(root, "a")->text, "1");
    struct yaml *list = yaml_get(root, "list");
    ck_assert_int_eq(list->kind, YAML_LIST);
    ck_assert_uint_eq(list->count, 3);
    ck_assert_int_eq(list->first->line, 3);
    ck_assert_int_eq(list->first->column, 5);
    ck_assert(!yaml_absent(list->first->next) && !list->first->next->plain);
    ck_assert_str_eq(yaml_get(list->first->next->next, "k")->first->text, "v");
    ck_assert(yaml_absent(yaml_get(root, "none")) && yaml_absent(yaml_get(root, "missing")));
    ck_assert_int_eq(yaml_get(root, "none")->key_line, 6);
    ck_assert_int_eq(yaml_fail(&err, "f.yaml", yaml_get(root, "none"), false, "Bad %d.", 1), RC_INVALID);
    ck_assert_str_eq(err.sentence, "f.yaml:6:7: Bad 1.");
    yaml_fail(&err, "f.yaml", yaml_get(root, "none"), true, "Bad.");
    ck_assert_str_eq(err.sentence, "f.yaml:6:1: Bad.");
}
END_TEST

START_TEST(empty_is_an_empty_map)
{
    ck_assert_uint_eq(parse("")->count, 0);
    ck_assert_uint_eq(parse("# only a comment\n")->count, 0);
    ck_assert_int_eq(parse("---\n")->kind, YAML_TEXT);
}
END_TEST

static const struct {
    const char *text, *start;
} refused[] = {
    {"a: &x 1\nb: *x\n", "f.yaml:1:4: Anchors"},
    {"b: *x\n", "f.yaml:1:4: Anchors"},
    {"a: &x [1]\n", "f.yaml:1:4: Anchors"},
    {"a: !!str 1\n", "f.yaml:1:4: Tags"},
    {"a: !local {}\n", "f.yaml:1:4: Tags"},
    {"a: 1\na: 2\n", "f.yaml:2:1: The key \"a\" stands there twice."},
    {"a: 1\n---\nb: 2\n", "f.yaml:2:1: The file must hold one document only."},
    {"[1]: 2\n", "f.yaml:1:1: A key must be a text."},
    {"? {a: b}\n: c\n", "f.yaml:1:3: A key must be a text."},
    {"a: \"\\0\"\n", "f.yaml:1:4: A text must not contain NUL."},
    {"a: [1, 2\n", "f.yaml:2:1: Not well-formed YAML"},
    {"a: b: c\n", "f.yaml:1:5: Not well-formed YAML"},
    {"a:\n\t- b\n", "f.yaml:2:1: Not well-formed YAML"},
    {"ok: 1\nbad: \xff\n", "f.yaml:2:6: The file is not UTF-8 here."},
    {"[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "f.yaml:1:17: The file is nested deeper than 16 levels."},
};

START_TEST(refuses)
{
    struct yaml *root;
    ck_assert_int_eq(yaml_parse(ctx, str_of(refused[_i].text), "f.yaml", &root, &err), RC_INVALID);
    ck_assert_ptr_null(root);
    ck_assert_msg(str_starts(str_of(err.sentence), str_of(refused[_i].start)), "%s", err.sentence);
}
END_TEST

START_TEST(caps_are_kept)
{
    struct yaml *root;
    size_t n = (256 << 10) + 1;
    char *text = mem_zalloc(ctx, n + 1);
    memset(text, '#', n);
    ck_assert_int_eq(yaml_parse(ctx, str_n(text, n), "f.yaml", &root, &err), RC_INVALID);
    ck_assert_int_eq(yaml_parse(ctx, str_n(text, n - 1), "f.yaml", &root, &err), RC_OK);
    memset(text, ',', n);
    text[0] = '[';
    for (size_t i = 1; i < 30000; i += 2)
        text[i] = '1';
    text[30000] = ']';
    ck_assert_int_eq(yaml_parse(ctx, str_n(text, 30001), "f.yaml", &root, &err), RC_INVALID);
    ck_assert_ptr_nonnull(strstr(err.sentence, "10000"));
    memset(text, '[', n); /* deep nesting ends at once, whatever its length */
    ck_assert_int_eq(yaml_parse(ctx, str_n(text, n - 1), "f.yaml", &root, &err), RC_INVALID);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("yaml");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, begin, finish);
    suite_add_tcase(s, t);
    tcase_add_test(t, tree_with_places);
    tcase_add_test(t, empty_is_an_empty_map);
    tcase_add_loop_test(t, refuses, 0, sizeof refused / sizeof refused[0]);
    tcase_add_test(t, caps_are_kept);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
