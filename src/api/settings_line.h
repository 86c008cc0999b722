/* The settings of the running server; private to this room. s->settings is what held at the daemon's start, s->live
 * what holds now (conf/live.h). */
#pragma once
#include "api/server_room.h"

/* After the database was opened: makes s->live and s->settings. */
MUST_USE enum rc settings_open(struct server *s, struct err *err);
/* Reads the database anew, and writes down what it says for keeper and command line. Any thread but the loop's. */
MUST_USE enum rc settings_refresh(struct server *s, struct err *err);
/* On the loop, after a refresh: what applies at once and is kept elsewhere. */
void settings_changed(struct server *s);
/* Whether the value of a row means something: a zone that exists, hosts that can be read, ... RC_INVALID. Not on the
 * loop: some are files. */
MUST_USE enum rc setting_judge(const struct settings *set, const char *name, struct err *err);
