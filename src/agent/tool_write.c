/* write: a whole file. Done again after a crash, it does no harm. */
#include "agent/work.h"
#include "crypt/hash.h"
#include "os/path.h"

int64_t tool_lines(struct str s)
{
    int64_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '\n';
    return n;
}

enum rc tool_file_put(struct tool_call *c, const char *path, struct str contents, const char *hash, struct err *err)
{
    const struct agent_spec *spec = c->agent->spec;
    bool later = sandbox_hands_over(spec->sandbox); /* with all files, before the next command */
    uid_t uid = later ? (uid_t)-1 : spec->uid;
    gid_t gid = later ? (gid_t)-1 : spec->gid;
    mode_t mode = str_starts(contents, STR("#!")) ? 0755 : 0644; /* of a new file */
    struct err why = {0};
    c->agent->tree = NULL;
    enum rc rc = path_write(c->agent->root, path, contents, mode, uid, gid, &why);
    if (rc == RC_LIMIT) {
        if (err)
            *err = why;
        return rc;
    }
    if (rc) {
        buf_clear(&c->out);
        return tool_refuse_err(c, &why);
    }
    jo_kz(&c->rec.o, "path", path);
    jo_kz(&c->rec.o, "after", hash);
    return RC_OK;
}

struct write_args {
    const char *path, *content;
};

static enum rc write_run(struct tool_call *c, const void *p, struct err *err)
{
    const struct write_args *args = p;
    const char *path = tool_path(c, args->path);
    if (!path)
        return RC_OK;
    struct str contents = str_of(args->content);
    char hash[HASH_SHA256_HEX];
    hash_sha256_hex(contents, hash);
    struct record *intent = tool_intent_begin(c);
    jo_kz(&intent->o, "path", path);
    jo_kz(&intent->o, "after", hash);
    enum rc rc = tool_intent_end(c, intent, err);
    if (rc)
        return rc;
    /* The words do not tell whether the file was there before: after a crash nobody knows any more. */
    buf_printf(&c->out, "Wrote %zu bytes, %lld lines, to %s.", contents.n, (long long)tool_lines(contents), path);
    return tool_file_put(c, path, contents, hash, err);
}

static const char *write_summary(mem *ctx, const void *p)
{
    return mem_printf(ctx, "write %s", ((const struct write_args *)p)->path);
}

static const struct json_bind write_fields[] = {
    BIND(write_args, path, BIND_STR, true, 0, 4096),
    BIND(write_args, content, BIND_STR, true, 0, TOOL_FILE_MOST),
};
const struct agent_tool tool_write = {
    .face =
        {"write",
         "Writes a whole file, new or in place of the old one; folders are made. A new file that begins with #! can be "
         "executed. For a change within a file use edit.",
         "{\"type\":\"object\",\"properties\":{"
         "\"path\":{\"type\":\"string\",\"description\":\"Path of the file, relative to /workspace\"},"
         "\"content\":{\"type\":\"string\",\"description\":\"The whole new text of the file\"}},"
         "\"required\":[\"path\",\"content\"]}"},
    .fields = write_fields,
    .field_count = sizeof write_fields / sizeof write_fields[0],
    .args_size = sizeof(struct write_args),
    .summary = write_summary,
    .run = write_run,
};
