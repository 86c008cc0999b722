/* Traffic as a file for other programs: JSON lines, HAR 1.2 (http://www.softwareishard.com/blog/har-12-spec/), and the
 * bulk interface of Elasticsearch and OpenSearch. Rows are read page by page, oldest first, so that memory does not
 * grow with their number (but for HAR's one document, which goes out as it is made). */
#pragma once
#include "cli/session.h"

enum export_form { EXPORT_JSONL, EXPORT_HAR };
struct export_spec {
    const char *filter; /* "&host=...&task=..." */
    int64_t after;      /* numbers above this */
    bool texts;         /* with fields and bodies */
};
/* To a file (0600, whole or not at all), or to standard output where file is NULL. */
MUST_USE enum rc traffic_export(struct cli *cli, const struct export_spec *spec, enum export_form form,
                                const char *file, size_t *ret_n, struct err *err);
struct ship_spec {
    const char *url, *index;
    const char *cursor_file; /* where the number of the last row that arrived is kept; NULL: nowhere */
    const char *header;      /* "Authorization: ..."; NULL: none */
};
/* Pages to URL/_bulk, one at a time: the next one is read when the last one has arrived. A server that is busy (429,
 * 503, also of single rows) is asked again after 1 s, 2 s, 4 s ... 60 s, for ten minutes in all. A row's name there is
 * its number here, so what arrives twice is one document. */
MUST_USE enum rc traffic_ship(struct cli *cli, const struct export_spec *spec, const struct ship_spec *ship,
                              size_t *ret_n, struct err *err);
