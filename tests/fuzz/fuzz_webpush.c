/* Keys of a subscription as a browser (or anybody) sends them: "p256dh auth". What must hold: nothing is read beyond
 * the input; what is taken is a point of the curve, to which a message can be sealed, and is written back as it came.
 */
#include "crypt/jwt.h"
#include "crypt/webpush.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct str rest = str_of(mem_strn(ctx, (const char *)data, size)), first = rest, sealed;
    struct webpush_receiver to;
    str_next(&rest, ' ', &first);
    const char *p256dh = str_dup(ctx, first), *auth = str_dup(ctx, rest);
    if (webpush_receiver_read(p256dh, auth, &to, NULL) != RC_OK)
        return 0;
    const char *back = base64url(ctx, str_n((const char *)to.point, WEBPUSH_PUBLIC));
    BUG_ON(strncmp(back, p256dh, strlen(back)) != 0);
    BUG_ON(webpush_seal(ctx, &to, STR("task x needs you"), &sealed, NULL) != RC_OK || sealed.n < 100);
    return 0;
}
