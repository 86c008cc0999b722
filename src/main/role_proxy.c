/* Role "proxy": the intercepting egress proxy. Started by the keeper when the server asks for it. */
#include "base/log.h"
#include "main/role.h"
#include "proxy/proxy.h"

int role_proxy(int argc, char **argv)
{
    log_open("proxy", LOG_INFO);
    return argc == 4 ? proxy_main(argv[2], argv[3]) : 2;
}
