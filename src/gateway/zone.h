/* Calendar windows in a named time zone.
 *
 * A small reader of TZif files (RFC 8536, version 2 and later with the rule in the footer; version 1 as far as its
 * table reaches) below /usr/share/zoneinfo. The C library knows one zone for a whole process only. A window runs from
 * its first instant (inclusive) to the first instant of the next (exclusive), as nanoseconds since 1970 UTC: a day has
 * 23 or 25 hours where clocks change, and begins at the first instant that bears its date where midnight does not exist
 * or comes twice. Weeks begin on Monday; two weeks are counted from Monday, 1970-01-05, in every zone. Names are IANA
 * names
 * ("Europe/Berlin", "UTC"); what leads out of the folder, is longer than ZONE_NAME_MAX or larger than ZONE_FILE_MAX is
 * refused. Threads: a zone never changes after it was read. */
#pragma once
#include "base/str.h"
#include "store/store.h"

#define ZONE_NAME_MAX 64
#define ZONE_FILE_MAX (256 * 1024)

struct zone;
/* RC_INVALID for a name that is none, RC_NOT_FOUND, RC_IO for a file that makes no sense. In ctx. */
MUST_USE enum rc zone_open(mem *ctx, const char *name, struct zone **ret, struct err *err);
/* The same from the bytes of a file. */
MUST_USE enum rc zone_parse(mem *ctx, struct str bytes, struct zone **ret, struct err *err);
/* Seconds east of UTC at an instant (seconds since 1970). */
int32_t zone_offset(const struct zone *z, int64_t at_s);
/* The window around an instant. WINDOW_TOTAL: INT64_MIN to INT64_MAX. */
void zone_window(const struct zone *z, enum window window, int64_t at_ns, int64_t *ret_start_ns, int64_t *ret_end_ns);
/* "2026-03-29": the date in the zone. */
char *zone_date(mem *ctx, const struct zone *z, int64_t at_ns);
