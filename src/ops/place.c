/* Folders by the XDG Base Directory Specification, or the system's for root. */
#include "ops/place.h"
#include "base/str.h"
#include <stdlib.h>
#include <unistd.h>

const char *place_data(mem *ctx, const struct settings *set)
{
    const char *dir = setting_text(set, "data.dir"), *xdg = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (*dir)
        return dir;
    if (geteuid() == 0)
        return "/var/lib/nightmill";
    if (xdg && xdg[0] == '/')
        return mem_printf(ctx, "%s/nightmill", xdg);
    return mem_printf(ctx, "%s/.local/share/nightmill", home && home[0] == '/' ? home : "/tmp");
}

const char *place_socket(mem *ctx, const struct settings *set)
{
    return mem_printf(ctx, "%s/run/nightmill.sock", place_data(ctx, set));
}
