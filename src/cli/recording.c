/* Recordings of tasks, exported and opened. */
#include "cli/recording.h"
#include "base/clock.h"
#include "base/text.h"
#include "gateway/recording.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PAGE      200
#define BODY_MOST (64 << 20) /* what the daemon keeps of a recorded body */

static enum rc kept_badly(struct cli *cli, struct json request, const char *task_id, struct err *err)
{
    const char *kept = json_z(cli->ctx, json_get(request, "answer_body"), "");
    err_set(err, RC_CONFLICT, "the answer to the request %s was not kept whole (%s)",
            shown_line(cli->ctx, request, "id", 64), *kept ? kept : "metadata alone");
    return err_hint(err, "record a run with: nightmill run --record FILE; the record of task %s cannot become a file",
                    task_id);
}

static bool body_take(mem *ctx, struct json body, struct str *ret)
{
    struct json packed = json_get(body, "base64");
    if (json_is(packed))
        return text_base64_read(ctx, json_str(ctx, packed), ret);
    *ret = json_str(ctx, json_get(body, "text"));
    return json_type(json_get(body, "text")) == JSON_STRING;
}

/* One exchange; those that never got an answer are no part of a recording. */
static enum rc exchange_add(struct cli *cli, struct json row, const char *task_id, struct buf *out, size_t *n,
                            struct err *err)
{
    const char *id = json_z(cli->ctx, json_get(row, "id"), "");
    struct json request;
    struct str body = {0};
    if (json_int(json_get(row, "status"), 0) == 0 || !json_eqz(json_get(row, "state"), "done"))
        return RC_OK;
    if (!json_eqz(json_get(row, "answer_body"), "whole") || json_eqz(json_get(row, "request_hash"), ""))
        return kept_badly(cli, row, task_id, err);
    const char *path = mem_printf(cli->ctx, "/api/v1/requests/%s?body=%d", text_url(cli->ctx, str_of(id)), BODY_MOST);
    enum rc rc = cli_ask(cli, "GET", path, STR(""), &request, err);
    if (rc != RC_OK)
        return rc;
    if (!body_take(cli->ctx, json_get(request, "answer"), &body))
        return kept_badly(cli, row, task_id, err);
    struct recorded r = {.hash = json_z(cli->ctx, json_get(request, "request_hash"), ""),
                         .dialect = json_z(cli->ctx, json_get(request, "dialect"), ""),
                         .content_type = json_z(cli->ctx, json_get(request, "content_type"), ""),
                         .status = (int)json_int(json_get(request, "status"), 0),
                         .body = body};
    ++*n;
    return recording_write(out, &r)
               ? RC_OK
               : err_set(err, RC_LIMIT, "the recording is larger than %u MiB", RECORDING_MAX >> 20);
}

static enum rc exchanges_add(struct cli *cli, const char *task_id, struct buf *out, size_t *n, struct err *err)
{
    int64_t after = 0;
    enum rc rc = RC_OK;
    for (bool more = true; more && rc == RC_OK;) {
        struct json page;
        const char *path = mem_printf(cli->ctx, "/api/v1/requests?task=%s&order=oldest&limit=%d&after=%lld",
                                      text_url(cli->ctx, str_of(task_id)), PAGE, (long long)after);
        rc = cli_ask(cli, "GET", path, STR(""), &page, err);
        if (rc != RC_OK)
            return rc;
        for (struct json_iter it = json_iter(json_get(page, "requests")); rc == RC_OK && json_next(&it);)
            rc = exchange_add(cli, it.value, task_id, out, n, err);
        after = json_int(json_get(page, "next"), 0);
        more = after > 0;
    }
    return rc;
}

static enum rc file_write(const char *file, struct str text, struct err *err)
{
    CLEANUP_MEM mem *tmp = mem_root();
    const char *new = mem_printf(tmp, "%s.%d.new", file, (int)getpid());
    CLEANUP_FD int fd = open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_sys(err, errno, "could not write the file %s", new);
    if (!write_all(fd, text) || fsync(fd) != 0 || rename(new, file) != 0) {
        err_sys(err, errno, "could not write the file %s", file);
        unlink(new);
        return err->rc;
    }
    return RC_OK;
}

enum rc recording_export(struct cli *cli, const char *task_id, const char *file, size_t *ret_n, struct err *err)
{
    struct json task;
    struct buf out;
    *ret_n = 0;
    enum rc rc = cli_ask(cli, "GET", task_path(cli, task_id, ""), STR(""), &task, err);
    if (rc != RC_OK)
        return rc;
    buf_init(&out, cli->ctx, RECORDING_MAX);
    recording_write_head(&out, task_id, clock_rfc3339(cli->ctx, clock_wall_ns()),
                         json_raw(json_path(task, "spec.model")));
    rc = exchanges_add(cli, task_id, &out, ret_n, err);
    if (rc == RC_OK && !*ret_n) {
        err_set(err, RC_NOT_FOUND, "there is no record of a model request of task %s", task_id);
        rc = err_hint(err, "the setting record.keep says what is kept; nightmill run --record FILE keeps all");
    }
    return rc == RC_OK ? file_write(file, buf_view(&out), err) : rc;
}

static enum rc file_read(mem *ctx, const char *path, struct str *ret, struct err *err)
{
    struct buf b;
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "could not read the recording %s", path);
    buf_init(&b, ctx, RECORDING_MAX);
    for (;;) {
        char bytes[65536];
        ssize_t n = read(fd, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "could not read the recording %s", path);
        if (!n)
            break;
        if (!buf_add(&b, bytes, (size_t)n))
            return err_set(err, RC_LIMIT, "the recording %s is larger than %u MiB", path, RECORDING_MAX >> 20);
    }
    *ret = buf_view(&b);
    return RC_OK;
}

enum rc recording_open(struct cli *cli, const char *file, const char **ret_path, struct model_choice *ret_model,
                       struct err *err)
{
    mem *ctx = cli->ctx;
    struct player *player;
    struct json model;
    struct str text;
    char *real = realpath(file, NULL);
    if (!real)
        return err_sys(err, errno, "could not read the recording %s", file);
    *ret_path = mem_str(ctx, real);
    free(real);
    enum rc rc = file_read(ctx, *ret_path, &text, err);
    if (rc == RC_OK)
        rc = player_read(ctx, text, &player, err);
    if (rc != RC_OK)
        return rc;
    rc = json_parse(ctx, str_of(player_model(player)), &model, err);
    if (rc != RC_OK)
        return rc;
    *ret_model = (struct model_choice){.wire = json_z(ctx, json_get(model, "wire"), "chat"),
                                       .url = json_z(ctx, json_get(model, "url"), ""),
                                       .name = json_z(ctx, json_get(model, "name"), ""),
                                       .key = "",
                                       .why = "as recorded; nothing is sent",
                                       .context = json_int(json_get(model, "context"), 0),
                                       .max_output = json_int(json_get(model, "max_output"), 0),
                                       .stronger = json_z(ctx, json_get(model, "stronger"), "")};
    return *ret_model->name ? RC_OK : err_set(err, RC_INVALID, "the recording %s names no model", file);
}
