/* Contract: offsets are those of another reader of the same files (Python's zoneinfo) in every zone; the windows of a
 * calendar are a partition of time, begin at the first instant of their first date and follow the clocks over every
 * change; what is no zone is refused. */
#include "gateway/zone.h"
#include "os/path.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NS INT64_C(1000000000)
/* As ck_assert, but silent when it holds: millions of them are checked here, and Check tells its parent of each. */
#define HOLDS(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            ck_abort_msg("%s", #condition);                                                                            \
    } while (0)
static mem *root;
static struct err err;

static void setup(void)
{
    root = mem_root();
}
static void teardown(void)
{
    mem_free(root);
}

static struct zone *zone(const char *name)
{
    struct zone *z = NULL;
    ck_assert_msg(zone_open(root, name, &z, &err) == RC_OK, "%s: %s", name, err.sentence);
    return z;
}

static int64_t utc(int year, int month, int day, int hour, int minute)
{
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour, .tm_min = minute};
    return timegm(&tm);
}

/* The date in the zone, by offset alone, in days. */
static int64_t date(const struct zone *z, int64_t at)
{
    int64_t local = at + zone_offset(z, at);
    return local / 86400 - (local % 86400 < 0);
}

/* A window's first instant: its date is new, and no instant in the three days before bears it or a later one. */
static void check_begin(const struct zone *z, int64_t begin)
{
    int64_t day = date(z, begin);
    for (int64_t at = begin - 1; at > begin - 3 * 3600; at -= 60)
        HOLDS(date(z, at) < day);
}

static void check_windows(const struct zone *z, int64_t at)
{
    int64_t start, end, day_start, day_end;
    zone_window(z, WINDOW_DAY, at * NS, &day_start, &day_end);
    for (enum window w = WINDOW_DAY; w < WINDOWS; w++) {
        int64_t s2, e2;
        zone_window(z, w, at * NS, &start, &end);
        HOLDS(start <= at * NS && at * NS < end);
        HOLDS(start <= day_start && day_end <= end); /* whole days */
        HOLDS(start % NS == 0 && end % NS == 0);
        check_begin(z, start / NS);
        check_begin(z, end / NS);
        zone_window(z, w, start, &s2, &e2); /* all of it is one window, and the next follows without a gap */
        HOLDS(s2 == start && e2 == end);
        zone_window(z, w, end - 1, &s2, &e2);
        HOLDS(s2 == start && e2 == end);
        zone_window(z, w, end, &s2, &e2);
        HOLDS(s2 == end && e2 > end);
        int64_t days = (end - start) / NS / 3600;
        const int64_t least[WINDOWS] = {0, 1, 6 * 24 - 3, 13 * 24 - 3, 27 * 24 - 3};
        const int64_t most[WINDOWS] = {0, 49, 8 * 24, 15 * 24, 32 * 24};
        HOLDS(days >= least[w] && days <= most[w]);
    }
}

START_TEST(every_zone_is_as_another_reader_says)
{
    char command[4096], name[128];
    const char *source = getenv("NIGHTMILL_SOURCE");
    snprintf(command, sizeof command, "python3 '%s/tests/unit/gateway/zones.py' 40", source ? source : ".");
    FILE *f = popen(command, "r");
    long long at;
    int offset, lines = 0, zones = 0;
    struct zone *z = NULL;
    char last[128] = "";
    ck_assert_ptr_nonnull(f);
    while (fscanf(f, "%127s %lld %d", name, &at, &offset) == 3) {
        if (strcmp(name, last) != 0) {
            z = zone(name);
            zones++;
        }
        strcpy(last, name);
        if (zone_offset(z, at) != offset)
            ck_abort_msg("%s at %lld: %d, not %d", name, at, zone_offset(z, at), offset);
        if (lines++ % 8 == 0)
            check_windows(z, at);
    }
    ck_assert_int_eq(pclose(f), 0);
    ck_assert_int_gt(zones, 300);
}
END_TEST

/* Around each change of clocks, where it is hard. */
START_TEST(windows_follow_the_clocks)
{
    static const char *const names[] = {
        "Europe/Berlin",     "America/New_York", "America/Sao_Paulo", "America/St_Johns",
        "Pacific/Apia",      "Asia/Beirut",      "Africa/Cairo",      "Australia/Lord_Howe",
        "America/Havana",    "Europe/Dublin",    "Asia/Tehran",       "America/Godthab",
        "Africa/Casablanca", "Antarctica/Troll", "Asia/Kathmandu",    "UTC"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct zone *z = zone(names[i]);
        int32_t before = zone_offset(z, utc(1985, 1, 1, 0, 0));
        for (int64_t at = utc(1985, 1, 1, 0, 0); at < utc(2040, 1, 1, 0, 0); at += 6 * 3600) {
            int32_t now = zone_offset(z, at);
            if (now != before)
                for (int64_t near = at - 27 * 3600; near <= at + 27 * 3600; near += 5400)
                    check_windows(z, near);
            before = now;
        }
    }
}
END_TEST

static int64_t hours(const char *name, enum window w, int64_t at)
{
    int64_t start, end;
    zone_window(zone(name), w, at * NS, &start, &end);
    return (end - start) / NS / 3600;
}

START_TEST(known_days)
{
    int64_t start, end;
    ck_assert_int_eq(hours("Europe/Berlin", WINDOW_DAY, utc(2026, 3, 29, 12, 0)), 23);
    ck_assert_int_eq(hours("Europe/Berlin", WINDOW_DAY, utc(2026, 10, 25, 12, 0)), 25);
    ck_assert_int_eq(hours("Europe/Berlin", WINDOW_DAY, utc(2026, 6, 1, 12, 0)), 24);
    ck_assert_int_eq(hours("Europe/Berlin", WINDOW_DAY, utc(2090, 3, 26, 12, 0)), 23); /* by the footer's rule */
    ck_assert_int_eq(hours("Pacific/Apia", WINDOW_DAY, utc(2011, 12, 29, 20, 0)), 24); /* the 30th did not exist */
    ck_assert_int_eq(hours("Europe/Berlin", WINDOW_MONTH, utc(2026, 3, 10, 0, 0)), 31 * 24 - 1);
    ck_assert_int_eq(hours("UTC", WINDOW_MONTH, utc(2024, 2, 10, 0, 0)), 29 * 24);
    zone_window(zone("Europe/Berlin"), WINDOW_WEEK, utc(2026, 5, 6, 12, 0) * NS, &start, &end); /* a Wednesday */
    ck_assert_int_eq(start, utc(2026, 5, 3, 22, 0) * NS);
    ck_assert_int_eq(end, utc(2026, 5, 10, 22, 0) * NS);
    zone_window(zone("UTC"), WINDOW_TWO_WEEKS, utc(1970, 1, 18, 23, 59) * NS, &start, &end);
    ck_assert_int_eq(start, utc(1970, 1, 5, 0, 0) * NS);
    ck_assert_int_eq(end, utc(1970, 1, 19, 0, 0) * NS);
    zone_window(zone("UTC"), WINDOW_TOTAL, 5, &start, &end);
    ck_assert(start == INT64_MIN && end == INT64_MAX);
    /* Clocks go back from 00:01 to 23:01: the new day has begun all the same, and stays. */
    int64_t change = utc(2010, 11, 7, 2, 31);
    zone_window(zone("America/St_Johns"), WINDOW_DAY, (change + 600) * NS, &start, &end);
    ck_assert_int_eq(start, (change - 60) * NS);
    ck_assert_str_eq(zone_date(root, zone("America/St_Johns"), (change + 600) * NS), "2010-11-07");
    ck_assert_str_eq(zone_date(root, zone("Asia/Tokyo"), utc(2026, 1, 31, 15, 0) * NS), "2026-02-01");
    int64_t far[] = {INT64_MIN, INT64_MAX, 0};
    for (int i = 0; i < 3; i++)
        for (enum window w = WINDOW_TOTAL; w < WINDOWS; w++) {
            zone_window(zone("Europe/Berlin"), w, far[i], &start, &end);
            ck_assert(start <= far[i] && far[i] <= end);
        }
}
END_TEST

START_TEST(what_is_no_zone_is_refused)
{
    struct zone *z;
    static const char *const bad[] = {
        "",     "/etc/passwd", "../../../etc/passwd", "Europe/../../../../etc/passwd", "Europe/",
        "a//b", "zone.tab",    "Europe/Berlin\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(zone_open(root, bad[i], &z, &err) == RC_INVALID, "%s", bad[i]);
    ck_assert_int_eq(zone_open(root, NULL, &z, &err), RC_INVALID);
    ck_assert_int_eq(zone_open(root, "Europe", &z, &err), RC_NOT_FOUND);
    ck_assert_int_eq(zone_open(root, "Mars/Olympus_Mons", &z, &err), RC_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.hint, "tzdata"));
    ck_assert_int_eq(zone_open(root, "leapseconds", &z, &err), RC_IO);
}
END_TEST

/* Every cut of a real file, and every bit turned, ends in an error or in a zone whose windows hold. */
START_TEST(damaged_files_do_no_harm)
{
    struct str bytes;
    struct zone *z;
    int refused = 0;
    ck_assert_int_eq(path_slurp(root, "/usr/share/zoneinfo/Europe/Berlin", ZONE_FILE_MAX, &bytes, &err), RC_OK);
    for (size_t n = 0; n < bytes.n; n++)
        HOLDS(zone_parse(root, str_sub(bytes, 0, n), &z, &err) == RC_IO);
    for (size_t i = 0; i < bytes.n * 8; i++) {
        char *copy = mem_strn(root, bytes.p, bytes.n);
        copy[i / 8] = (char)(copy[i / 8] ^ (1 << i % 8));
        if (zone_parse(root, str_n(copy, bytes.n), &z, &err) == RC_OK) {
            int64_t start, end;
            zone_window(z, WINDOW_DAY, utc(2026, 3, 29, 1, 0) * NS, &start, &end);
            HOLDS(start < end);
        } else {
            refused++;
        }
        mem_free(copy);
    }
    ck_assert_int_gt(refused, 100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("zone");
    TCase *tc = tcase_create("zone");
    tcase_set_timeout(tc, 200);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, every_zone_is_as_another_reader_says);
    tcase_add_test(tc, windows_follow_the_clocks);
    tcase_add_test(tc, known_days);
    tcase_add_test(tc, what_is_no_zone_is_refused);
    tcase_add_test(tc, damaged_files_do_no_harm);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
