/* Time zones from TZif files (RFC 8536) and the windows of their calendars. No names of zones, no leap seconds. */
#include "gateway/zone.h"
#include "os/path.h"

#define FOLDER      "/usr/share/zoneinfo"
#define DAY_S       INT64_C(86400)
#define NS          INT64_C(1000000000)
#define OFFSET_MOST (26 * 3600) /* RFC 8536, 3.2: -25 to 26 hours */
#define COUNT_MOST  20000       /* of transitions; the longest real table has about 250 */

/* A rule of the footer: the local instant of a year at which clocks change. */
struct rule {
    enum { RULE_JULIAN, RULE_DAY, RULE_MONTH } kind; /* Jn (no leap day), n (from 0, with it), Mm.w.d */
    int month, week, day;
    int32_t time_s; /* of the clock that is in force before */
};
struct zone {
    size_t count;
    const int64_t *at;     /* ascending, seconds UTC */
    const int32_t *offset; /* from at[i] on */
    int32_t first_offset;  /* before at[0] */
    bool ruled;            /* a footer tells what is after the last transition */
    bool summer;           /* the footer has two clocks */
    int32_t standard_s, summer_s;
    struct rule begin, end; /* of summer time */
};

/* ---- reading ---- */

struct reader {
    const unsigned char *p;
    size_t n;
};

static uint32_t number32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t number(const unsigned char *p, size_t size)
{
    if (size == 4)
        return (int32_t)number32(p);
    return (int64_t)((uint64_t)number32(p) << 32 | number32(p + 4));
}

struct header {
    int version;
    uint32_t isut, isstd, leap, time, type, chars;
};

static bool take(struct reader *r, size_t n, const unsigned char **ret)
{
    if (r->n < n)
        return false;
    *ret = r->p;
    r->p += n;
    r->n -= n;
    return true;
}

static bool header_read(struct reader *r, struct header *h)
{
    const unsigned char *p;
    if (!take(r, 44, &p) || memcmp(p, "TZif", 4) != 0 || (p[4] != 0 && (p[4] < '2' || p[4] > '9')))
        return false;
    h->version = p[4] ? p[4] - '0' : 1;
    uint32_t *const counts[] = {&h->isut, &h->isstd, &h->leap, &h->time, &h->type, &h->chars};
    for (size_t i = 0; i < 6; i++) {
        *counts[i] = number32(p + 20 + 4 * i);
        if (*counts[i] > COUNT_MOST)
            return false;
    }
    return h->type > 0;
}

static size_t block_size(const struct header *h, size_t size)
{
    return h->time * (size + 1) + h->type * 6 + h->chars + h->leap * (size + 4) + h->isstd + h->isut;
}

/* A data block with transition times of `size` bytes. */
static bool block_read(mem *ctx, struct reader *r, const struct header *h, size_t size, struct zone *z)
{
    const unsigned char *times, *kinds, *types, *rest;
    if (h->leap || !take(r, h->time * size, &times) || !take(r, h->time, &kinds) || !take(r, h->type * 6, &types) ||
        !take(r, h->chars + h->isstd + h->isut, &rest))
        return false;
    int64_t *at = mem_array(ctx, int64_t, h->time);
    int32_t *offset = mem_array(ctx, int32_t, h->time);
    for (uint32_t i = 0; i < h->type; i++) {
        int64_t o = number(types + 6 * i, 4);
        if (o < -OFFSET_MOST || o > OFFSET_MOST)
            return false;
    }
    for (uint32_t i = 0; i < h->time; i++) {
        at[i] = number(times + i * size, size);
        if (kinds[i] >= h->type || (i > 0 && at[i] <= at[i - 1]))
            return false;
        offset[i] = (int32_t)number(types + 6 * kinds[i], 4);
    }
    *z = (struct zone){.count = h->time, .at = at, .offset = offset, .first_offset = (int32_t)number(types, 4)};
    return true;
}

/* ---- the footer: a POSIX TZ string ---- */

static bool digits(struct str *s, int most, int *ret)
{
    int v = 0;
    size_t n = 0;
    while (n < s->n && n < 3 && s->p[n] >= '0' && s->p[n] <= '9')
        v = v * 10 + (s->p[n++] - '0');
    *s = str_sub(*s, n, s->n);
    *ret = v;
    return n > 0 && v <= most;
}

static bool mark(struct str *s, char c)
{
    if (!s->n || s->p[0] != c)
        return false;
    *s = str_sub(*s, 1, s->n);
    return true;
}

/* [+-]hh[:mm[:ss]], in seconds. */
static bool clock_read(struct str *s, int hours_most, int32_t *ret)
{
    int part[3] = {0, 0, 0};
    bool negative = mark(s, '-');
    if (!negative)
        (void)mark(s, '+');
    if (!digits(s, hours_most, &part[0]))
        return false;
    for (int i = 1; i < 3 && mark(s, ':'); i++)
        if (!digits(s, 59, &part[i]))
            return false;
    *ret = (part[0] * 3600 + part[1] * 60 + part[2]) * (negative ? -1 : 1);
    return true;
}

/* "CET" or "<+03>". */
static bool name_skip(struct str *s)
{
    bool quoted = mark(s, '<');
    size_t n = 0;
    while (n < s->n && (quoted ? s->p[n] != '>' : (s->p[n] | 32) >= 'a' && (s->p[n] | 32) <= 'z'))
        n++;
    *s = str_sub(*s, n, s->n);
    return n >= 1 && (!quoted || mark(s, '>'));
}

static bool rule_read(struct str *s, struct rule *r)
{
    *r = (struct rule){.time_s = 2 * 3600};
    bool fine;
    if (mark(s, 'M')) {
        r->kind = RULE_MONTH;
        fine = digits(s, 12, &r->month) && mark(s, '.') && digits(s, 5, &r->week) && mark(s, '.') &&
               digits(s, 6, &r->day) && r->month > 0 && r->week > 0;
    } else {
        r->kind = mark(s, 'J') ? RULE_JULIAN : RULE_DAY;
        fine = digits(s, 365, &r->day) && (r->kind == RULE_DAY || r->day > 0);
    }
    return fine && (!mark(s, '/') || clock_read(s, 167, &r->time_s));
}

static bool footer_read(struct str s, struct zone *z)
{
    int32_t west;
    z->ruled = s.n > 0;
    if (!z->ruled)
        return true;
    if (!name_skip(&s) || !clock_read(&s, 24, &west))
        return false;
    z->standard_s = -west; /* POSIX counts to the west */
    if (!s.n)
        return true;
    z->summer = true;
    z->summer_s = z->standard_s + 3600;
    if (!name_skip(&s))
        return false;
    if (s.n && s.p[0] != ',') {
        if (!clock_read(&s, 24, &west))
            return false;
        z->summer_s = -west;
    }
    return mark(&s, ',') && rule_read(&s, &z->begin) && mark(&s, ',') && rule_read(&s, &z->end) && !s.n;
}

enum rc zone_parse(mem *ctx, struct str bytes, struct zone **ret, struct err *err)
{
    struct reader r = {(const unsigned char *)bytes.p, bytes.n};
    struct header h;
    struct zone z;
    const unsigned char *skipped;
    mem *own = mem_new(ctx, struct zone);
    bool fine = bytes.n <= ZONE_FILE_MAX && header_read(&r, &h);
    if (fine && h.version == 1) {
        fine = block_read(own, &r, &h, 4, &z);
    } else if (fine) {
        fine = take(&r, block_size(&h, 4), &skipped) && header_read(&r, &h) && h.version > 1 &&
               block_read(own, &r, &h, 8, &z);
        struct str rest = str_n((const char *)r.p, r.n), line;
        long end = fine && mark(&rest, '\n') ? str_find(rest, STR("\n")) : -1;
        line = str_sub(rest, 0, end < 0 ? 0 : (size_t)end);
        fine = end >= 0 && footer_read(line, &z);
    }
    if (!fine) {
        mem_free(own);
        return err_set(err, RC_IO, "this is no time zone file that can be read (RFC 8536, without leap seconds)");
    }
    struct zone *made = own;
    *made = z;
    *ret = made;
    return RC_OK;
}

static bool name_valid(const char *name)
{
    size_t n = name ? strlen(name) : 0;
    if (n == 0 || n > ZONE_NAME_MAX || name[0] == '/' || name[n - 1] == '/' || strstr(name, "//"))
        return false;
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/") == n;
}

enum rc zone_open(mem *ctx, const char *name, struct zone **ret, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    CLEANUP_FD int root = -1;
    struct str bytes;
    int64_t size;
    if (!name_valid(name)) {
        err_set(err, RC_INVALID, "\"%.64s\" is no name of a time zone", name ? name : "");
        return err_hint(err, "write an IANA name such as Europe/Berlin, America/New_York or UTC");
    }
    if (path_open_root(FOLDER, &root, NULL) != RC_OK ||
        path_read(tmp, root, name, ZONE_FILE_MAX + 1, &bytes, &size, NULL) != RC_OK) {
        if (strcmp(name, "UTC") == 0) { /* needs no file */
            *ret = mem_new(ctx, struct zone);
            return RC_OK;
        }
        err_set(err, RC_NOT_FOUND, "there is no time zone %s on this machine", name);
        return err_hint(err, "its file would be " FOLDER "/%s; zones come with the package tzdata", name);
    }
    enum rc rc = zone_parse(ctx, bytes, ret, err);
    return rc == RC_OK ? rc : err_context(err, FOLDER "/%s", name);
}

/* ---- offsets ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Days since 1970-01-01 of a Gregorian date; the year begins in March, so that the leap day is its last. */
static int64_t days_of(int64_t year, int month, int day)
{
    int64_t y = year - (month <= 2), era = floor_div(y, 400), of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_of(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day)
{
    int64_t z = days + 719468, era = floor_div(z, 146097), of_era = z - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t m = (5 * of_year + 2) / 153;
    *ret_day = (int)(of_year - (153 * m + 2) / 5 + 1);
    *ret_month = (int)(m < 10 ? m + 3 : m - 9);
    *ret_year = year + era * 400 + (*ret_month <= 2);
}

static bool year_is_leap(int64_t y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

/* Local seconds since 1970 at which the clocks change in a year. */
static int64_t rule_local(const struct rule *r, int64_t year)
{
    int64_t day;
    if (r->kind == RULE_JULIAN) {
        day = days_of(year, 1, 1) + r->day - 1 + (year_is_leap(year) && r->day >= 60);
    } else if (r->kind == RULE_DAY) {
        day = days_of(year, 1, 1) + r->day;
    } else {
        int64_t first = days_of(year, r->month, 1);
        int64_t next = r->month == 12 ? days_of(year + 1, 1, 1) : days_of(year, r->month + 1, 1);
        int64_t weekday = (first + 4) - floor_div(first + 4, 7) * 7; /* 1970-01-01 was a Thursday; Sunday is 0 */
        day = first + (r->day - weekday + 7) % 7 + 7 * (r->week - 1);
        while (day >= next)
            day -= 7;
    }
    return day * DAY_S + r->time_s;
}

/* The stretch of time around an instant in which the offset is the same: [from, to). */
struct stretch {
    int64_t from, to;
    int32_t offset;
};

/* The footer's changes of four years in order; the stretch between two of them. */
static struct stretch ruled_stretch(const struct zone *z, int64_t at)
{
    struct stretch s = {INT64_MIN, INT64_MAX, z->standard_s};
    if (!z->summer)
        return s;
    struct {
        int64_t at;
        bool summer;
    } changes[8], swap;
    int64_t year;
    int month, day, n = 0;
    date_of(floor_div(at + z->standard_s, DAY_S), &year, &month, &day);
    for (int64_t y = year - 2; y <= year + 1; y++) { /* a rule may lead a week into the next year */
        changes[n].at = rule_local(&z->begin, y) - z->standard_s;
        changes[n++].summer = true;
        changes[n].at = rule_local(&z->end, y) - z->summer_s;
        changes[n++].summer = false;
    }
    for (int i = 1; i < n; i++) { /* of two at the same instant, summer is the later: it then lasts all year */
        for (int j = i; j > 0 && (changes[j].at < changes[j - 1].at ||
                                  (changes[j].at == changes[j - 1].at && !changes[j].summer && changes[j - 1].summer));
             j--) {
            swap = changes[j];
            changes[j] = changes[j - 1];
            changes[j - 1] = swap;
        }
    }
    for (int i = 0; i < n && changes[i].at <= at; i++) {
        s.from = changes[i].at;
        s.offset = changes[i].summer ? z->summer_s : z->standard_s;
        s.to = i + 1 < n ? changes[i + 1].at : INT64_MAX;
    }
    return s;
}

static struct stretch stretch_at(const struct zone *z, int64_t at)
{
    size_t low = 0, high = z->count; /* the transitions at or before `at` are those below low */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (z->at[middle] <= at)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < z->count || !z->ruled)
        return (struct stretch){low ? z->at[low - 1] : INT64_MIN, low < z->count ? z->at[low] : INT64_MAX,
                                low ? z->offset[low - 1] : z->first_offset};
    struct stretch s = ruled_stretch(z, at);
    if (z->count && s.from < z->at[z->count - 1])
        s.from = z->at[z->count - 1];
    return s;
}

int32_t zone_offset(const struct zone *z, int64_t at_s)
{
    return stretch_at(z, at_s).offset;
}

/* ---- windows ---- */

/* The first instant whose local date is `day` or later. Two such instants are ordered like their days, so that days
 * are a partition of time whatever the clocks do. */
static int64_t day_begin(const struct zone *z, int64_t day)
{
    int64_t midnight = day * DAY_S, at = midnight - OFFSET_MOST;
    for (;;) {
        struct stretch s = stretch_at(z, at);
        int64_t found = midnight - s.offset;
        if (found < at)
            found = at;
        if (found < s.to)
            return found;
        at = s.to; /* below midnight + OFFSET_MOST, where every offset has found it */
    }
}

/* The day whose stretch of time holds the instant: its local date, or a later one that had begun before clocks went
 * back. */
static int64_t day_of(const struct zone *z, int64_t at)
{
    int64_t day = floor_div(at + zone_offset(z, at), DAY_S);
    while (day_begin(z, day + 1) <= at)
        day++;
    return day;
}

static int64_t nanoseconds(int64_t s)
{
    int64_t ns;
    if (__builtin_mul_overflow(s, NS, &ns))
        return s < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

#define MONDAY 4 /* 1970-01-05, in days since 1970-01-01 */

void zone_window(const struct zone *z, enum window window, int64_t at_ns, int64_t *ret_start_ns, int64_t *ret_end_ns)
{
    *ret_start_ns = INT64_MIN;
    *ret_end_ns = INT64_MAX;
    if (window == WINDOW_TOTAL)
        return;
    int64_t first = day_of(z, floor_div(at_ns, NS)), last = first + 1, year;
    int month, day;
    if (window == WINDOW_MONTH) {
        date_of(first, &year, &month, &day);
        first = days_of(year, month, 1);
        last = month == 12 ? days_of(year + 1, 1, 1) : days_of(year, month + 1, 1);
    } else if (window != WINDOW_DAY) {
        int64_t length = window == WINDOW_WEEK ? 7 : 14;
        first = MONDAY + floor_div(first - MONDAY, length) * length;
        last = first + length;
    }
    *ret_start_ns = nanoseconds(day_begin(z, first));
    *ret_end_ns = nanoseconds(day_begin(z, last));
}

char *zone_date(mem *ctx, const struct zone *z, int64_t at_ns)
{
    int64_t year;
    int month, day;
    date_of(day_of(z, floor_div(at_ns, NS)), &year, &month, &day);
    return mem_printf(ctx, "%04lld-%02d-%02d", (long long)year, month, day);
}
