/* libcurl, loaded when it is first needed. With its thirty libraries it costs a process 4 MB and 15 ms at its start,
 * and most of ours (runners, the keeper, nearly all commands) never speak to a server elsewhere. Private to this room.
 */
#pragma once
#define CURL_DISABLE_TYPECHECK
#include "base/err.h"
#include <curl/curl.h>
/* curl.h makes macros of these in order to check the number of arguments. */
#undef curl_easy_setopt
#undef curl_easy_getinfo

/* The calls that are used, without "curl_". */
#define CURL_CALLS(CALL)                                                                                               \
    CALL(global_init)                                                                                                  \
    CALL(easy_init)                                                                                                    \
    CALL(easy_cleanup)                                                                                                 \
    CALL(easy_perform)                                                                                                 \
    CALL(easy_setopt)                                                                                                  \
    CALL(easy_getinfo)                                                                                                 \
    CALL(easy_strerror)                                                                                                \
    CALL(multi_init)                                                                                                   \
    CALL(multi_cleanup)                                                                                                \
    CALL(multi_add_handle)                                                                                             \
    CALL(multi_remove_handle)                                                                                          \
    CALL(multi_perform)                                                                                                \
    CALL(multi_poll)                                                                                                   \
    CALL(multi_info_read)                                                                                              \
    CALL(slist_append)                                                                                                 \
    CALL(slist_free_all)                                                                                               \
    CALL(url)                                                                                                          \
    CALL(url_set)                                                                                                      \
    CALL(url_get)                                                                                                      \
    CALL(url_cleanup)                                                                                                  \
    CALL(free)

struct curl_lib {
#define CURL_MEMBER(name) __typeof__(curl_##name) *name;
    CURL_CALLS(CURL_MEMBER)
#undef CURL_MEMBER
};
extern struct curl_lib curl; /* filled by curl_lib_open */
/* Loads the library once a process, from any thread. RC_UNAVAILABLE with what to install when it is missing. */
MUST_USE enum rc curl_lib_open(struct err *err);
