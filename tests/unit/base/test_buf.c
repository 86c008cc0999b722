/* Contract: a buffer never passes its cap, loses nothing that it has, is always NUL-terminated, and says when it
 * overflowed. Memory and descriptors belong to their scope. */
#include "base/buf.h"
#include "base/err.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static mem *ctx;

static void begin(void)
{
    ctx = mem_root();
}

static void finish(void)
{
    ctx = mem_free(ctx);
}

START_TEST(grows_and_terminates)
{
    struct buf b;
    buf_init(&b, ctx, 100000);
    ck_assert_str_eq(buf_view(&b).p, "");
    for (int i = 0; i < 1000; i++)
        ck_assert(buf_printf(&b, "%03d,", i));
    ck_assert_uint_eq(b.n, 4000);
    ck_assert_uint_eq(strlen(b.p), 4000);
    buf_drop(&b, 3996);
    ck_assert_str_eq(b.p, "999,");
    ck_assert(buf_add(&b, "\0x", 2) && b.n == 6);
    buf_drop(&b, 99);
    ck_assert_str_eq(b.p, "");
}
END_TEST

START_TEST(cap_is_kept)
{
    struct buf b;
    buf_init(&b, ctx, 5);
    ck_assert(buf_z(&b, "abc"));
    ck_assert(!buf_z(&b, "def"));
    ck_assert(b.overflow);
    ck_assert_str_eq(b.p, "abc");
    ck_assert_msg(!buf_char(&b, 'd'), "after an overflow it takes nothing more, so that no hole appears in the text");
    buf_clear(&b);
    ck_assert(buf_z(&b, "12345") && !buf_printf(&b, "%d", 6));
    ck_assert_str_eq(b.p, "12345");
    buf_clear(&b);
    ck_assert(!buf_printf(&b, "%s", "123456") && b.n == 0);
    ck_assert_str_eq(b.p, "");
    buf_clear(&b);
    ck_assert(buf_printf(&b, "%s", "12345"));
}
END_TEST

START_TEST(reserve_and_advance)
{
    struct buf b;
    buf_init(&b, ctx, 10);
    char *at = buf_reserve(&b, 10);
    ck_assert_ptr_nonnull(at);
    memcpy(at, "0123456789", 10);
    buf_advance(&b, 10);
    ck_assert_str_eq(b.p, "0123456789");
    ck_assert_ptr_null(buf_reserve(&b, 1));
    struct buf huge;
    buf_init(&huge, ctx, SIZE_MAX);
    ck_assert_ptr_null(buf_reserve(&huge, SIZE_MAX)); /* overflows instead of ending the process */
}
END_TEST

START_TEST(take_moves_the_text)
{
    mem *other = mem_root();
    struct buf b;
    buf_init(&b, ctx, 100);
    ck_assert_str_eq(buf_take(&b, other), "");
    buf_z(&b, "kept");
    char *text = buf_take(&b, other);
    ck_assert_ptr_eq(talloc_parent(text), other);
    ck_assert_uint_eq(b.n, 0);
    ck_assert(buf_z(&b, "new"));
    buf_done(&b);
    ck_assert_str_eq(text, "kept");
    mem_free(other);
}
END_TEST

START_TEST(memory_belongs_to_scopes)
{
    mem *child = mem_zalloc(ctx, 10);
    {
        CLEANUP_MEM mem *tmp = mem_root();
        mem_str(tmp, "gone with the scope");
        mem_move(tmp, child);
        ck_assert_uint_eq(talloc_total_blocks(ctx), 1);
    }
    ck_assert_ptr_null(mem_str(ctx, NULL));
    int *numbers = mem_array(ctx, int, 4);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(numbers[i], 0);
    int fd = open("/dev/null", O_RDONLY), kept = -1;
    {
        CLEANUP_FD int mine = fd;
        ck_assert_int_ge(mine, 0);
        CLEANUP_FD int given = dup(fd);
        kept = fd_take(&given);
        ck_assert_int_eq(given, -1);
    }
    ck_assert(fcntl(fd, F_GETFD) < 0 && errno == EBADF);
    ck_assert_int_ge(fcntl(kept, F_GETFD), 0);
    close(kept);
}
END_TEST

START_TEST(array_too_large_aborts)
{
    (void)mem_array(ctx, uint64_t, SIZE_MAX / 4);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("buf");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, begin, finish);
    suite_add_tcase(s, t);
    tcase_add_test(t, grows_and_terminates);
    tcase_add_test(t, cap_is_kept);
    tcase_add_test(t, reserve_and_advance);
    tcase_add_test(t, take_moves_the_text);
    tcase_add_test(t, memory_belongs_to_scopes);
    tcase_add_test_raise_signal(t, array_too_large_aborts, SIGABRT);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
