/* git's lists are read exactly, and bytes that git would never print are refused without harm. */
#include "fixture.h"
#include "repo/parse.h"

#define ID "0123456789012345678901234567890123456789"

static struct repo_entry *entries;
static struct repo_change *changes;
static size_t n;

static void setup(void)
{
    ctx = mem_root();
}
static void teardown(void)
{
    mem_free(ctx);
}

static const char list[] = "100644 blob " ID "\ta\tb\n\xff\0"
                           "160000 commit " ID "\tsub\0"
                           "120000 blob " ID "\t \0";
static const char diff[] = ":100644 100755 " ID " " ID " M\0a\0"
                           ":000000 100644 " ID " " ID " A\0b\nc\0"
                           ":160000 000000 " ID " " ID " D\0sub\0"
                           "1\t2\ta\0"
                           "-\t-\tb\nc\0";

#define WHOLE(text) str_n(text, sizeof text - 1)

START_TEST(lists)
{
    ck_assert(entries_parse(ctx, WHOLE(list), &entries, &n));
    ck_assert_uint_eq(n, 3);
    SAME(entries[0].path, "a\tb\n\xff");
    SAME(entries[0].oid, ID);
    ck_assert_uint_eq(entries[1].mode, 0160000);
    SAME(entries[2].path, " ");
    ck_assert(entries_parse(ctx, STR(""), &entries, &n));
    ck_assert_uint_eq(n, 0);
}
END_TEST

START_TEST(differences)
{
    ck_assert(changes_parse(ctx, WHOLE(diff), &changes, &n));
    ck_assert_uint_eq(n, 3);
    ck_assert(changes[0].status == 'M' && changes[0].added == 1 && changes[0].removed == 2);
    ck_assert(changes[1].status == 'A' && changes[1].added == -1 && changes[1].removed == -1);
    ck_assert(changes[2].status == 'D' && changes[2].added == 0);
    SAME(changes[1].path, "b\nc");
}
END_TEST

START_TEST(refused)
{
    const struct str bad_lists[] = {STR("100644 blob " ID "\ta"), /* cut */
                                    STR("\0"),
                                    STR("100644 blob " ID " a\0"),
                                    STR("100644 blob " ID "\t\0"),
                                    STR("100648 blob " ID "\ta\0"),
                                    STR("-1 blob " ID "\ta\0"),
                                    STR(" 100644 blob " ID "\ta\0"),
                                    STR("1006440 blob " ID "\ta\0"),
                                    STR("100644 blob 123\ta\0"),
                                    STR("100644 blob\ta\0")};
    for (size_t i = 0; i < sizeof bad_lists / sizeof *bad_lists; i++)
        ck_assert_msg(!entries_parse(ctx, bad_lists[i], &entries, &n), "%zu", i);
    const struct str bad_diffs[] = {STR(":100644 100755 " ID " " ID " M\0a"),
                                    STR(":100644 100755 " ID " " ID " M\0"),
                                    STR(":100644 100755 " ID " " ID " X\0a\0"),
                                    STR(":100644 100755 " ID " " ID " M100\0a\0"),
                                    STR("1\t2\ta\0"), /* of no record */
                                    STR(":100644 100755 " ID " " ID " M\0a\0-1\t2\ta\0"),
                                    STR(":100644 100755 " ID " " ID " M\0a\0\0x\0"),
                                    STR(":100644 100755 " ID " " ID " M\0a\0"
                                        "99999999999999999999\t2\ta\0")};
    for (size_t i = 0; i < sizeof bad_diffs / sizeof *bad_diffs; i++)
        ck_assert_msg(!changes_parse(ctx, bad_diffs[i], &changes, &n), "%zu", i);
}
END_TEST

/* Bytes changed, taken away and put in, at places that a fixed seed chooses. */
START_TEST(altered_bytes)
{
    srand(5);
    for (int i = 0; i < 20000; i++) {
        CLEANUP_MEM mem *tmp = mem_root();
        bool first = i % 2;
        size_t size = first ? sizeof list - 1 : sizeof diff - 1;
        char *copy = malloc(size + 1); /* on its own, so that a byte read beyond it is noticed */
        memcpy(copy, first ? list : diff, size);
        for (int k = rand() % 4; k >= 0; k--) {
            size_t place = (size_t)rand() % size;
            if (rand() % 3)
                copy[place] = "\0\t\n :-19A\xff"[rand() % 10];
            else
                memmove(copy + place, copy + place + 1, size - place - 1), size -= size > 2;
        }
        char *exact = malloc(size);
        memcpy(exact, copy, size);
        free(copy);
        if (entries_parse(tmp, str_n(exact, size), &entries, &n))
            for (size_t e = 0; e < n; e++)
                ck_assert(entries[e].path[0] && strlen(entries[e].oid) >= 40);
        if (changes_parse(tmp, str_n(exact, size), &changes, &n))
            for (size_t e = 0; e < n; e++)
                ck_assert(changes[e].path[0] && strchr("AMDT", changes[e].status));
        free(exact);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("repo_parse");
    TCase *t = tcase_create("parse");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 100);
    tcase_add_test(t, lists);
    tcase_add_test(t, differences);
    tcase_add_test(t, refused);
    tcase_add_test(t, altered_bytes);
    suite_add_tcase(s, t);
    return suite_run(s);
}
