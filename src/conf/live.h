/* The settings of a running server, which change while it runs.
 *
 * `base` is what default, file, environment and flags say; stored values are laid over it (stored.h) as often as they
 * change. Readers take a value, or a copy of all, from any thread; nobody holds a pointer into what may be replaced. */
#pragma once
#include "conf/stored.h"

struct settings_live;
/* base is copied. */
struct settings_live *settings_live_new(mem *ctx, const struct settings *base);
/* Replaces all stored values; returns how many were left out because the register does not take them. */
size_t settings_live_store(struct settings_live *live, const struct setting_stored *rows, size_t n);
/* A copy of what holds now, in ctx. */
struct settings *settings_live_take(mem *ctx, struct settings_live *live);
int64_t settings_live_int(struct settings_live *live, const char *name); /* as setting_int */
bool settings_live_bool(struct settings_live *live, const char *name);
char *settings_live_text(mem *ctx, struct settings_live *live, const char *name); /* as setting_text, in ctx */
