/* Figures for Prometheus: counters, a histogram and gauges, in the text format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).
 *
 * Labels are bounded: of each kind the first 200 values are kept, later ones are counted under "other"; a value is cut
 * at 64 bytes. Names begin with nightmill_. Money is counted in pico-units and shown as decimal units of its currency,
 * exact. Counters start at 0 with the process, as Prometheus expects. Threads: any; one lock, held for the addition. */
#pragma once
#include "base/buf.h"
#include "money/money.h"

struct metrics;
struct metrics *metrics_new(mem *ctx); /* freeing ctx ends it */

/* All functions below take NULL for the metrics and do nothing then. Texts may be NULL or "": shown as "none". */

/* A request was answered; status 0: the client left before. Shown by class: "2xx", "none". */
void metrics_request(struct metrics *m, const char *dialect, const char *provider, const char *model, int status);
/* One attempt at an upstream ended. */
void metrics_attempt(struct metrics *m, const char *provider, enum rc rc);
void metrics_usage(struct metrics *m, const char *model, const struct usage *u); /* negative counts are skipped */
void metrics_money(struct metrics *m, const char *currency, pico cost);
void metrics_first_byte(struct metrics *m, const char *provider,
                        int64_t ms);                       /* from the request to the client's first byte */
void metrics_refusal(struct metrics *m, const char *kind); /* "money", "tokens", "price", "rate", "queue", "access" */
void metrics_cache(struct metrics *m, bool hit);

/* Gauges: what is true now. Set when it changes or before metrics_write. */
void metrics_active(struct metrics *m, int64_t requests, int64_t queued);
void metrics_held_none(struct metrics *m); /* before metrics_held of each currency that has any */
void metrics_held(struct metrics *m, const char *currency, pico amount); /* of open and kept holds */
void metrics_upstream(struct metrics *m, const char *provider, bool up,
                      int64_t active); /* not up: in cool-down or off */

void metrics_write(struct metrics *m, struct buf *out); /* the whole page; any thread */
#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
