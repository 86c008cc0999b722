/* Exchanges: the record of model requests as rows. One row of metadata for each request, its attempts, and the pieces
 * of its bodies. Written by the gateway's recorder (gateway/record.h), read by faces; bodies are redacted before they
 * get here.
 *
 * A body is a row of pieces in order, each compressed by itself (zlib, RFC 1950), so that a crash in mid-stream leaves
 * what was written. Retention is by field: bodies go first, metadata later. */
#pragma once
#include "store/store.h"

enum record_keep { RECORD_NONE, RECORD_METADATA, RECORD_FULL };
const char *record_keep_name(enum record_keep); /* "none", "metadata", "full" */
bool record_keep_find(const char *name, enum record_keep *ret);

/* What is kept, and how long. */
struct record_policy {
    const char *project; /* "" for that of the settings */
    enum record_keep keep;
    int64_t days_metadata, days_bodies; /* 0: kept for good */
    int64_t body_max;                   /* bytes of one body before compression; the rest is not kept */
};
