/* Recordings as JSON lines. */
#include "gateway/recording.h"
#include "base/json.h"
#include "base/text.h"
#include "crypt/hash.h"
#include <uthash.h>

#define LINES_MOST 1000000

/* ---- hashes ---- */

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

void recording_hash(struct str body, const char *task_id, char ret[RECORDING_HASH])
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct str id = str_of(task_id);
    char *same = mem_zalloc(tmp, body.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < body.n;) {
        if (id.n && body.n - i >= id.n && memcmp(body.p + i, id.p, id.n) == 0) {
            same[n++] = '\0'; /* no JSON has it */
            i += id.n;
        } else if (digit(body.p[i])) {
            same[n++] = '0';
            while (i < body.n && digit(body.p[i]))
                i++;
        } else {
            same[n++] = body.p[i++];
        }
    }
    hash_sha256_hex(str_n(same, n), ret);
}

/* ---- writing ---- */

bool recording_write_head(struct buf *out, const char *task_id, const char *recorded_at, struct str model)
{
    struct json_out o;
    json_out_init(&o, out);
    jo_obj(&o);
    jo_kz(&o, "nightmill", "recording");
    jo_ki(&o, "version", 1);
    jo_kz(&o, "task", task_id);
    jo_kz(&o, "recorded_at", recorded_at);
    jo_kraw(&o, "model", model.n ? model : STR("{}"));
    jo_end_obj(&o);
    return buf_char(out, '\n') && !out->overflow;
}

bool recording_write(struct buf *out, const struct recorded *r)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct json_out o;
    json_out_init(&o, out);
    jo_obj(&o);
    jo_kz(&o, "request", r->hash);
    jo_kz(&o, "dialect", r->dialect);
    jo_ki(&o, "status", r->status);
    jo_kz(&o, "content_type", r->content_type);
    if (str_utf8(r->body))
        jo_ks(&o, "body", r->body);
    else
        jo_kz(&o, "body_base64", text_base64(tmp, r->body));
    jo_end_obj(&o);
    return buf_char(out, '\n') && !out->overflow;
}

/* ---- playing ---- */

struct line {
    struct recorded r;
    struct line *next;  /* of the same hash */
    struct line *after; /* of all */
};
struct answers { /* of one hash */
    char hash[RECORDING_HASH];
    struct line *first, *last, *at; /* at: the next to be given */
    UT_hash_handle hh;
};
struct player {
    struct answers *answers;
    struct line *first, *last;
    bool in_order;
    size_t n;
    const char *model;
};

static int player_done(struct player *p)
{
    HASH_CLEAR(hh, p->answers); /* the entries are talloc's */
    return 0;
}

static enum rc line_wrong(struct err *err, size_t number, const char *words)
{
    err_set(err, RC_INVALID, "line %zu of the recording %s", number, words);
    return err_hint(err,
                    "a recording is written by: nightmill run --record FILE, or nightmill request export TASK FILE");
}

static enum rc head_read(struct player *p, struct json v, struct err *err)
{
    struct json model = json_get(v, "model");
    if (!json_eqz(json_get(v, "nightmill"), "recording"))
        return line_wrong(err, 1, "does not say that this is one");
    if (json_int(json_get(v, "version"), 0) != 1)
        return line_wrong(err, 1, "names a version that this program does not read");
    p->in_order = json_bool(json_get(v, "order"), false);
    if (json_type(model) == JSON_OBJECT)
        p->model = str_dup(p, json_raw(model));
    return RC_OK;
}

static enum rc line_read(struct player *p, struct json v, size_t number, struct err *err)
{
    struct line *line = mem_new(p, struct line);
    struct json body = json_get(v, "body"), packed = json_get(v, "body_base64");
    const char *hash = json_z(p, json_get(v, "request"), "");
    int64_t status = json_int(json_get(v, "status"), 0);
    if (strlen(hash) != RECORDING_HASH - 1)
        return line_wrong(err, number, "has no request hash");
    if (status < 100 || status > 599)
        return line_wrong(err, number, "has no HTTP status");
    const char *type = json_z(p, json_get(v, "content_type"), "");
    for (const char *c = type; *c; c++) /* it becomes a header */
        if ((uint8_t)*c < 0x20 || (uint8_t)*c == 0x7f)
            return line_wrong(err, number, "has a content type that no answer can have");
    line->r = (struct recorded){.hash = hash,
                                .dialect = json_z(p, json_get(v, "dialect"), ""),
                                .content_type = *type ? type : "application/json",
                                .status = (int)status};
    if (json_type(body) == JSON_STRING)
        line->r.body = json_str(p, body);
    else if (json_type(packed) != JSON_STRING || !text_base64_read(p, json_str(p, packed), &line->r.body))
        return line_wrong(err, number, "has no body");
    struct answers *a;
    HASH_FIND_STR(p->answers, hash, a);
    if (!a) {
        a = mem_new(p, struct answers);
        memcpy(a->hash, hash, RECORDING_HASH);
        HASH_ADD_STR(p->answers, hash, a);
        a->first = a->at = line;
    } else {
        a->last->next = line;
    }
    a->last = line;
    if (p->last)
        p->last->after = line;
    else
        p->first = line;
    p->last = line;
    p->n++;
    return RC_OK;
}

enum rc player_read(mem *ctx, struct str file, struct player **ret, struct err *err)
{
    struct str line;
    if (file.n > RECORDING_MAX)
        return err_set(err, RC_LIMIT, "the recording is larger than %u MiB", RECORDING_MAX >> 20);
    struct player *p = mem_new(ctx, struct player);
    p->model = "{}";
    talloc_set_destructor(p, player_done);
    enum rc rc = RC_OK;
    size_t number = 0;
    while (rc == RC_OK && str_line(&file, &line)) {
        CLEANUP_MEM mem *tmp = mem_root();
        struct json v;
        number++;
        if (!line.n && number > 1)
            continue;
        struct err why;
        if (number > LINES_MOST)
            rc = err_set(err, RC_LIMIT, "the recording has more than %d lines", LINES_MOST);
        else if (json_parse(tmp, line, &v, &why) != RC_OK || json_type(v) != JSON_OBJECT)
            rc = line_wrong(err, number, "is no JSON object");
        else
            rc = number == 1 ? head_read(p, v, err) : line_read(p, v, number, err);
    }
    if (rc == RC_OK && !number)
        rc = line_wrong(err, 1, "is missing");
    if (rc != RC_OK) {
        mem_free(p);
        return rc;
    }
    *ret = p;
    return RC_OK;
}

size_t player_count(const struct player *p)
{
    return p->n;
}

const char *player_model(const struct player *p)
{
    return p->model;
}

bool player_in_order(const struct player *p)
{
    return p->in_order;
}

enum rc player_at(struct player *p, size_t n, struct recorded *ret, struct err *err)
{
    struct line *line = n < p->n ? p->first : NULL;
    while (line && n--)
        line = line->after;
    if (!line) {
        err_set(err, RC_NOT_FOUND, "the script of this run has no further answer");
        return err_hint(err, "its checks did not pass here as they do elsewhere: nightmill log shows what they said");
    }
    *ret = line->r;
    return RC_OK;
}

enum rc player_next(struct player *p, const char *hash, struct recorded *ret, struct err *err)
{
    struct answers *a;
    HASH_FIND_STR(p->answers, hash, a);
    if (!a) {
        err_set(err, RC_NOT_FOUND, "the recording has no answer to this request");
        err_detail(err, "request %.16s..., %zu answers in the recording", hash, p->n);
        return err_hint(err, "the task or the repository differs from what was recorded; record it anew with --record");
    }
    *ret = a->at->r;
    if (a->at->next)
        a->at = a->at->next;
    return RC_OK;
}
