/* Marks on sealed reasoning that travels through a client of another family: "nm1.ORIGIN.NAME.ID.SEAL". ORIGIN is the
 * dialect that made it, NAME the kind of block ("redacted_thinking", "call": a seal that belongs to the tool call ID),
 * ID the provider's id of the item; "-" stands for none. Gemini's field holds base64, so there the mark is encoded once
 * more. A client can forge a mark; all it gains is that the provider refuses the seal. */
#include "llm/wire.h"

#define MARK "nm1."

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

struct str wire_base64(mem *ctx, struct str s)
{
    char *z = mem_zalloc(ctx, (s.n + 2) / 3 * 4 + 1), *at = z;
    for (size_t i = 0; i < s.n; i += 3) {
        uint32_t bits = (uint32_t)(unsigned char)s.p[i] << 16;
        bits |= i + 1 < s.n ? (uint32_t)(unsigned char)s.p[i + 1] << 8 : 0;
        bits |= i + 2 < s.n ? (uint32_t)(unsigned char)s.p[i + 2] : 0;
        *at++ = alphabet[bits >> 18];
        *at++ = alphabet[bits >> 12 & 63];
        *at++ = i + 1 < s.n ? alphabet[bits >> 6 & 63] : '=';
        *at++ = i + 2 < s.n ? alphabet[bits & 63] : '=';
    }
    return str_n(z, (size_t)(at - z));
}

static int value_of(char c)
{
    if (c == '-')
        c = '+';
    if (c == '_')
        c = '/';
    const char *at = c ? strchr(alphabet, c) : NULL;
    return at ? (int)(at - alphabet) : -1;
}

bool wire_base64_read(mem *ctx, struct str s, struct str *ret)
{
    while (s.n && s.p[s.n - 1] == '=')
        s.n--;
    char *z = mem_zalloc(ctx, s.n / 4 * 3 + 4), *at = z;
    uint32_t bits = 0;
    for (size_t i = 0; i < s.n; i++) {
        int v = value_of(s.p[i]);
        if (v < 0)
            return false;
        bits = bits << 6 | (uint32_t)v;
        if (i % 4)
            *at++ = (char)(bits >> (6 - i % 4 * 2) & 0xff);
    }
    *ret = str_n(z, (size_t)(at - z));
    return s.n % 4 != 1;
}

/* Letters that a field of the mark may have. */
static const char *field(const char *z)
{
    if (!z || !z[0] || strlen(z) > 128)
        return "-";
    for (const char *c = z; *c; c++)
        if (!((*c | 0x20) >= 'a' && (*c | 0x20) <= 'z') && !(*c >= '0' && *c <= '9') && *c != '_' && *c != '-')
            return "-";
    return z;
}

struct str wire_seal_write(mem *ctx, const struct wire_seal *seal, bool base64)
{
    const char *origin = seal->origin ? seal->origin : "-";
    char *z = mem_printf(ctx, MARK "%s.%s.%s.", origin, field(seal->name), field(seal->id));
    size_t n = strlen(z);
    z = mem_grow(ctx, z, n + seal->opaque.n + 1);
    memcpy(z + n, seal->opaque.p, seal->opaque.n);
    z[n + seal->opaque.n] = '\0';
    struct str s = str_n(z, n + seal->opaque.n);
    return base64 ? wire_base64(ctx, s) : s;
}

void wire_seal_read(mem *ctx, struct str text, bool base64, const char *in, struct wire_seal *ret)
{
    *ret = (struct wire_seal){.origin = in, .opaque = text};
    struct str rest = text;
    if (base64 && (!str_starts(text, STR("bm0xL")) || !wire_base64_read(ctx, text, &rest)))
        return;
    if (!str_starts(rest, STR(MARK)))
        return;
    rest = str_sub(rest, sizeof MARK - 1, rest.n);
    struct str piece[3];
    for (size_t i = 0; i < 3; i++) {
        const char *dot = memchr(rest.p, '.', rest.n);
        if (!dot)
            return;
        piece[i] = str_n(rest.p, (size_t)(dot - rest.p));
        rest = str_sub(rest, piece[i].n + 1, rest.n);
    }
    const struct llm_dialect *d = llm_dialect_find(str_dup(ctx, piece[0]));
    ret->origin = d ? d->name : "none";
    ret->name = str_eqz(piece[1], "-") ? NULL : str_dup(ctx, piece[1]);
    ret->id = str_eqz(piece[2], "-") ? NULL : str_dup(ctx, piece[2]);
    ret->opaque = str_of(str_dup(ctx, rest));
}

bool wire_seal_is_foreign(struct json v, bool base64)
{
    struct str raw = json_raw(v);
    if (json_type(v) != JSON_STRING || !str_starts(raw, base64 ? STR("\"bm0xL") : STR("\"" MARK)))
        return false;
    return true;
}

bool wire_origin_is(const struct llm_part *part, const struct llm_dialect *d)
{
    if (!part->origin)
        return true;
    const struct llm_dialect *made = llm_dialect_find(part->origin);
    return made && llm_same_family(made, d);
}
