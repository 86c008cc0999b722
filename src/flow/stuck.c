/* Circles: the same failure three times, or iterations that change nothing. Not a judgement of the agent, only of its
 * traces. */
#include "crypt/hash.h"
#include "flow/run.h"
#include <ctype.h>

#define SIGNATURE_MAX (64u << 10)

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

/* Words that hold a digit become '#': line numbers, times, addresses, temporary names, counts. */
char *failure_signature(mem *ctx, struct str failure)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct buf b;
    buf_init(&b, tmp, SIGNATURE_MAX + 64);
    if (failure.n > SIGNATURE_MAX)
        failure = str_sub(failure, failure.n - SIGNATURE_MAX, SIGNATURE_MAX);
    bool blank = false;
    for (size_t i = 0; i < failure.n;) {
        size_t end = i;
        bool digit = false;
        while (end < failure.n && is_word(failure.p[end]))
            digit |= isdigit((unsigned char)failure.p[end++]) != 0;
        if (end > i) {
            if (digit)
                buf_char(&b, '#');
            else
                buf_add(&b, failure.p + i, end - i);
            i = end;
            blank = false;
        } else {
            bool space = isspace((unsigned char)failure.p[i]) != 0;
            if (!space || !blank)
                buf_char(&b, space ? ' ' : failure.p[i]);
            blank = space;
            i++;
        }
    }
    char *hex = mem_array(ctx, char, HASH_SHA256_HEX);
    hash_sha256_hex(buf_view(&b), hex);
    return hex;
}

const char *run_stuck(mem *ctx, const struct run *run, const char **ret_reason)
{
    size_t from = run_last_input(run);
    int64_t same_limit = setting_int(run->settings, "stuck.same_failure");
    int64_t idle_limit = setting_int(run->settings, "stuck.no_change");
    int64_t same = 0, idle = 0; /* unbroken, counted from the newest iteration back */
    bool same_goes_on = true, idle_goes_on = true;
    const char *signature = NULL;
    for (size_t i = journal_count(run->journal); i > from; i--) {
        const struct journal_entry *e = journal_at(run->journal, i - 1);
        if (strcmp(e->type, "iteration.finished") != 0)
            continue;
        const char *sig = json_z(ctx, json_get(e->json, "signature"), "");
        if (!signature)
            signature = sig;
        same_goes_on = same_goes_on && *sig && strcmp(sig, signature) == 0;
        idle_goes_on = idle_goes_on && !json_bool(json_get(e->json, "changed"), true);
        same += same_goes_on;
        idle += idle_goes_on;
    }
    if (idle_limit > 0 && idle >= idle_limit) {
        *ret_reason = "stuck_no_change";
        return mem_printf(ctx, "%lld iterations in a row changed nothing", (long long)idle);
    }
    if (same_limit > 0 && same >= same_limit) {
        *ret_reason = "stuck_same_failure";
        return mem_printf(ctx, "the same failure came %lld times in a row", (long long)same);
    }
    return NULL;
}
