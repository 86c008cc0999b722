/* Fuzz target: what decides who asks and with which key: texts of user keys, sessions and access tokens,
 * service accounts, answers of token servers and lists of models. A user key that is taken has its check right; a token
 * that is taken can stand in a header. */
#include "auth/opaque.h"
#include "auth/token.h"
#include "crypt/jwt.h"
#include "gateway/provider.h"
#include "gateway/vertex.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void list_read(mem *ctx, const char *kind, struct str text)
{
    struct provider row = PROVIDER_STANDARD;
    struct provider_view view;
    struct err err = {0};
    const char *const *ids;
    row.id = row.kind = kind;
    BUG_ON(provider_view_make(&row, &view, &err) != RC_OK);
    if (provider_list_read(ctx, &view, text, &ids, &err) == RC_OK)
        while (*ids)
            BUG_ON(strlen(*ids++) > text.n);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct str text = str_n((const char *)data, size);
    struct token token;
    struct vertex_account account;
    struct err err = {0};
    struct opaque opaque;
    struct str claims;
    static const uint8_t nobody[JWT_PUBLIC] = {1};
    char *bearer;
    int64_t seconds;
    if (opaque_read("nms_", text, &opaque))
        BUG_ON(text.n != OPAQUE_LENGTH);
    (void)jwt_kid(ctx, text);
    BUG_ON(jwt_eddsa_open(ctx, text, nobody, &claims)); /* nobody has signed anything */
    if (token_read(text, &token, &err) == RC_OK)
        BUG_ON(!str_eqz(text, token.text) || strncmp(token.text + 3, token.prefix, TOKEN_PREFIX) != 0);
    if (vertex_account_read(ctx, text, &account, &err) == RC_OK)
        BUG_ON(!*account.project || !*account.key_pem || !*account.token_uri);
    if (vertex_token_read(ctx, 200, text, &bearer, &seconds, &err) == RC_OK)
        for (const char *c = bearer; *c; c++)
            BUG_ON(*c <= ' ' || *c > '~' || seconds <= 0);
    list_read(ctx, "openai", text);
    list_read(ctx, "gemini", text);
    (void)provider_headers_check(text, &err);
    return 0;
}
