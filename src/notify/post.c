/* Requests to addresses that people gave: every address is judged where it is dialled. */
#include "base/clock.h"
#include "net/client.h"
#include "net/http.h"
#include "net/url.h"
#include "notify/room.h"
#include <stdio.h>

enum { ANSWER_MOST = 64 << 10, BLOCKS_MOST = 64, RETRY_MOST_S = 86400 };

struct judge {
    struct address_block blocks[BLOCKS_MOST];
    size_t n;
    bool tls;
};

static void blocks_read(struct notifier *n, struct judge *j)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct str rest = str_of(settings_live_text(tmp, n->spec.live, "notify.private")), piece;
    while (j->n < BLOCKS_MOST && str_next(&rest, ',', &piece))
        if (str_trim(piece).n && address_block_parse(str_trim(piece), &j->blocks[j->n], NULL) == RC_OK)
            j->n++;
}

static bool address_allow(void *arg, const struct sockaddr *sa, const char **ret_why)
{
    const struct judge *j = arg;
    *ret_why = address_reserved(sa);
    if (!*ret_why && j->tls)
        return true;
    if (!*ret_why) {
        *ret_why = "public (which is sent to by https alone)";
        return false;
    }
    for (size_t i = 0; i < j->n; i++)
        if (address_block_holds(&j->blocks[i], sa))
            return true;
    return false;
}

void result_error(struct notify_result *ret, enum notify_outcome outcome, const struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    size_t n = strlen(err->sentence);
    if (n && err->sentence[n - 1] == '.')
        n--;
    const char *words = mem_printf(tmp, "%.*s%s%s", (int)n, err->sentence, err->detail[0] ? ": " : "", err->detail);
    n = str_utf8_cut(str_of(words), sizeof ret->words - 1);
    memcpy(ret->words, words, n);
    ret->words[n] = '\0';
    ret->outcome = outcome;
}

static enum notify_outcome status_judge(int status)
{
    if (status >= 200 && status < 300)
        return NOTIFY_SENT;
    if (status == 404 || status == 410)
        return NOTIFY_GONE;
    return status == 408 || status == 425 || status == 429 || status >= 500 ? NOTIFY_FAILED : NOTIFY_REFUSED;
}

void post_send(struct notifier *n, const struct post *p, struct notify_result *ret)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct err err = {0};
    struct url url;
    struct judge judge = {0};
    struct client_answer answer;
    struct str after;
    if (url_parse(tmp, p->url, &url, &err) != RC_OK) {
        result_error(ret, NOTIFY_REFUSED, &err);
        return;
    }
    judge.tls = url.tls;
    blocks_read(n, &judge);
    struct client_spec spec = {.method = "POST",
                               .url = p->url,
                               .headers = p->headers,
                               .body = p->body,
                               .max_body = ANSWER_MOST,
                               .timeout_ms = NOTIFY_MS,
                               .allow = address_allow,
                               .arg = &judge,
                               .cancel_fd = n->stop_fd};
    enum rc rc = client_call(tmp, &spec, &answer, &err);
    ret->status = answer.status;
    if (rc != RC_OK && !(rc == RC_LIMIT && answer.status)) { /* how long the answer is does not matter */
        result_error(ret, rc == RC_DENIED || rc == RC_INVALID ? NOTIFY_REFUSED : NOTIFY_FAILED, &err);
        return;
    }
    ret->outcome = status_judge(answer.status);
    snprintf(ret->words, sizeof ret->words, "%s answered with status %d", url.host, answer.status);
    if (http_block_find(answer.headers, "Retry-After", &after) && !str_int(after, 0, RETRY_MOST_S, &ret->retry_after_s))
        ret->retry_after_s = 0;
}
