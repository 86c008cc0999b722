/* An event as lines for people. One table from event type to words; text of agents and repositories is made harmless
 * here. Threads: no state. */
#pragma once
#include "base/json.h"
#include "cli/screen.h"

enum narrate_detail {
    NARRATE_RUN, /* what one wants to see pass by */
    NARRATE_LOG, /* everything, with the time before each line */
};
/* Appends the lines of the event, each with its line feed; nothing when there is nothing to say. */
void narrate_event(struct json event, enum narrate_detail detail, const struct screen *screen, struct buf *out);
/* How somebody else's agent ended, from the data of agent.finished: Nightmill's words, not the agent's. In ctx. */
char *agent_end_shown(mem *ctx, struct json data);
/* Milliseconds since 1970 of an RFC 3339 time in UTC, as events have it; -1 when malformed. */
int64_t time_read_ms(struct str rfc3339);
/* "12:34:05" in local time; "" when malformed. In ctx. */
char *time_shown(mem *ctx, struct str rfc3339, bool with_date);
