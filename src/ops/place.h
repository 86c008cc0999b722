/* Where things are: the data folder and the daemon's socket, by settings. In ctx. */
#pragma once
#include "conf/setting.h"
const char *place_data(mem *ctx, const struct settings *set);
const char *place_socket(mem *ctx, const struct settings *set);
