/* What the files of the register share. Nothing outside this room includes it. */
#pragma once
#include "conf/setting.h"

enum {
#define SETTING(...) +1
    SETTING_COUNT = 0
#include "conf/settings.def"
#undef SETTING
};

struct setting_value {
    int64_t number;
    const char *text;
    const char *origin;
};
struct settings {
    struct setting_value values[SETTING_COUNT]; /* the first row is data.dir */
    const char *home;
    const char *data_dir; /* what data.dir is when it is empty */
    const char *file;
    bool file_exists;
};

struct settings *settings_new(mem *ctx, const char *home, const char *xdg_data_home);
/* Absolute home folder: the one given, else the user database's. In ctx. */
char *home_folder(mem *ctx, const char *home);
MUST_USE enum rc setting_put(struct settings *set, const struct setting_row *row, const char *value, const char *origin,
                             struct err *err);
/* " Did you mean x?" or "". In ctx. */
char *setting_suggestion(mem *ctx, struct str name);
