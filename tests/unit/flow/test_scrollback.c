/* Contract: the last bytes of a stream are there, in order, at their positions, also after it was opened again; what is
 * in the file already is no hindrance. */
#include "base/err.h"
#include "flow/scrollback.h"
#include "os/path.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SIZE = 4096 };

static mem *ctx;
static char dir[] = "/tmp/mill-scrollback-XXXXXX";
static const char *path;

static void begin(void)
{
    ctx = mem_root();
    strcpy(dir + strlen(dir) - 6, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    path = mem_printf(ctx, "%s/terminal-1", dir);
}

static void finish(void)
{
    ctx = mem_free(ctx);
    ck_assert_int_eq(path_remove_tree(dir, NULL), RC_OK);
}

/* The byte that stands at a position of the stream. */
static char byte_at(uint64_t position)
{
    return (char)('a' + position % 23);
}

static void add(struct scrollback *s, size_t n)
{
    char *bytes = mem_zalloc(ctx, n + 1);
    for (size_t i = 0; i < n; i++)
        bytes[i] = byte_at(scrollback_end(s) + i);
    scrollback_add(s, str_n(bytes, n));
}

/* Everything from the begin to the end, read by pieces. */
static void whole(const struct scrollback *s, uint64_t end, size_t piece)
{
    uint64_t at = end > SIZE ? end - SIZE : 0;
    ck_assert_uint_eq(scrollback_begin(s), at);
    ck_assert_uint_eq(scrollback_end(s), end);
    for (struct str part; (part = scrollback_view(s, at, piece)).n; at += part.n) {
        ck_assert_uint_le(part.n, piece);
        for (size_t i = 0; i < part.n; i++)
            ck_assert_int_eq(part.p[i], byte_at(at + i));
    }
    ck_assert_uint_eq(at, end);
}

START_TEST(the_last_bytes_are_there)
{
    struct scrollback *s = scrollback_open(ctx, path, SIZE);
    static const size_t steps[] = {0, 1, 100, SIZE - 101, 1, SIZE, 3 * SIZE + 17, 5, SIZE / 2, SIZE - 1};
    uint64_t end = 0;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        add(s, steps[i]);
        end += steps[i];
        whole(s, end, SIZE);
        whole(s, end, 7);
    }
    ck_assert_uint_eq(scrollback_view(s, 0, 1).n, 1); /* long gone: from the begin */
    ck_assert_int_eq(scrollback_view(s, 0, 1).p[0], byte_at(end - SIZE));
}
END_TEST

START_TEST(they_are_there_again)
{
    struct scrollback *s = scrollback_open(ctx, path, SIZE);
    add(s, SIZE + 1000);
    mem_free(s);
    s = scrollback_open(ctx, path, SIZE);
    whole(s, SIZE + 1000, 1000);
    add(s, 10);
    whole(s, SIZE + 1010, 1000);
    mem_free(s);
    s = scrollback_open(ctx, path, 2 * SIZE); /* another size: a new one */
    ck_assert_uint_eq(scrollback_end(s), 0);
}
END_TEST

START_TEST(a_strange_file_is_made_anew)
{
    FILE *f = fopen(path, "we");
    ck_assert(f && fputs("something else entirely\n", f) >= 0 && fclose(f) == 0);
    struct scrollback *s = scrollback_open(ctx, path, SIZE);
    add(s, 100);
    whole(s, 100, 100);
    mem_free(s);
    /* A place where nothing can be: it is kept in memory. */
    s = scrollback_open(ctx, mem_printf(ctx, "%s/no/such/folder", dir), SIZE);
    add(s, 2 * SIZE);
    whole(s, 2 * SIZE, 1000);
    ck_assert_int_eq(symlink("/etc/passwd", mem_printf(ctx, "%s/link", dir)), 0);
    s = scrollback_open(ctx, mem_printf(ctx, "%s/link", dir), SIZE);
    ck_assert_uint_eq(scrollback_end(s), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("scrollback");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, begin, finish);
    suite_add_tcase(s, t);
    tcase_add_test(t, the_last_bytes_are_there);
    tcase_add_test(t, they_are_there_again);
    tcase_add_test(t, a_strange_file_is_made_anew);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
