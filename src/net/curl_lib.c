/* Loading of libcurl; see curl_lib.h. The library is never unloaded. */
#include "net/curl_lib.h"
#include <dlfcn.h>
#include <pthread.h>

struct curl_lib curl;
static struct err failure;

static void *call_find(void *library, const char *name)
{
    void *address = dlsym(library, name);
    if (!address)
        err_set(&failure, RC_UNAVAILABLE, "The HTTP library libcurl.so.4 has no %s.", name);
    return address;
}

static void library_load(void)
{
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *why = dlerror();
        err_set(&failure, RC_UNAVAILABLE, "The HTTP library libcurl.so.4 cannot be loaded.");
        err_detail(&failure, "%s", why ? why : "no reason given");
        err_hint(&failure, "Install the package libcurl4.");
        return;
    }
#define CURL_FIND(name) *(void **)&curl.name = call_find(library, "curl_" #name);
    CURL_CALLS(CURL_FIND)
#undef CURL_FIND
    if (!failure.rc && curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        err_set(&failure, RC_UNAVAILABLE, "The HTTP library libcurl could not be started.");
}

enum rc curl_lib_open(struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, library_load);
    if (failure.rc && err)
        *err = failure;
    return failure.rc;
}
