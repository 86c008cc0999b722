/* A wish: what a person asks for in a browser or by a short request, made into a task's spec by the same preparation as
 * on the command line (ops/prepare.h), with the settings of the server. What it names, and what the project file of the
 * repository says, runs in sandboxes alone. */
#include "api/server_room.h"
#include "ops/prepare.h"

enum { WORDS_MOST = 64 };

static bool served(void *arg, const char *name)
{
    struct route_call *c = arg;
    const struct catalog *cat;
    struct catalog_target *targets;
    struct err ignored = {0};
    size_t n = 0;
    if (catalog_ref(c->server->catalogs, true, &cat, &ignored) != RC_OK)
        return false;
    bool found = catalog_targets(c->ctx, cat, name, false, &targets, &n, &ignored) == RC_OK && n > 0;
    catalog_unref(cat);
    return found;
}

static const char *text_of(struct route_call *c, const char *name)
{
    const char *text = json_z(c->ctx, json_get(c->json, name), NULL);
    return text && *text ? text : NULL;
}

/* NULL-terminated; NULL when there is no such list. */
static enum rc words_of(struct route_call *c, const char *name, const char *const **ret)
{
    struct json list = json_get(c->json, name);
    size_t n = json_len(list);
    *ret = NULL;
    if (!json_is(list))
        return RC_OK;
    if (json_type(list) != JSON_ARRAY || n > WORDS_MOST)
        return err_set(&c->err, RC_INVALID, "%s is a list of at most %d texts", name, WORDS_MOST);
    const char **words = mem_array(c->ctx, const char *, n + 1);
    n = 0;
    for (struct json_iter it = json_iter(list); json_next(&it); n++) {
        words[n] = json_z(c->ctx, it.value, NULL);
        if (!words[n])
            return err_set(&c->err, RC_INVALID, "%s is a list of texts", name);
    }
    words[n] = NULL;
    *ret = n ? words : NULL;
    return RC_OK;
}

static enum rc wish_read(struct route_call *c, struct prepare_wish *ret)
{
    *ret = (struct prepare_wish){.dir = text_of(c, "repo"),
                                 .text = text_of(c, "text"),
                                 .budget = text_of(c, "budget"),
                                 .iterations = json_int(json_get(c->json, "iterations"), 0),
                                 .time_s = json_int(json_get(c->json, "time_s"), 0),
                                 .tokens = json_int(json_get(c->json, "tokens"), 0),
                                 .model = text_of(c, "model"),
                                 .agent = text_of(c, "agent"),
                                 .approve = text_of(c, "approve"),
                                 .apply = json_bool(json_get(c->json, "apply"), false),
                                 .require_proof = json_bool(json_get(c->json, "require_proof"), false),
                                 .gateway = served,
                                 .arg = c};
    enum rc rc = words_of(c, "checks", &ret->checks);
    if (rc == RC_OK)
        rc = words_of(c, "allow_check_changes", &ret->allow_check_changes);
    if (rc != RC_OK)
        return rc;
    if (!ret->text)
        return err_set(&c->err, RC_INVALID, "text says what shall be done; it is missing");
    if (!ret->dir || *ret->dir != '/') {
        err_set(&c->err, RC_INVALID, "repo is the folder of a git repository on the server's machine");
        return err_hint(&c->err, "its whole path, such as /home/ada/project");
    }
    if (ret->iterations < 0 || ret->iterations > 1000 || ret->time_s < 0 || ret->tokens < 0)
        return err_set(&c->err, RC_INVALID, "limits are whole numbers from 0, iterations at most 1000");
    return RC_OK;
}

bool wish_is(const struct route_call *c)
{
    return !json_is(json_get(c->json, "git_dir"));
}

enum rc wish_prepare(struct route_call *c, struct json *ret_spec)
{
    struct prepare_wish wish;
    struct str spec;
    enum rc rc = wish_read(c, &wish);
    if (rc == RC_OK)
        rc = prepare_task(c->ctx, settings_live_take(c->ctx, c->server->live), &wish, &spec, &c->err);
    if (rc == RC_OK)
        rc = json_parse(c->ctx, spec, ret_spec, &c->err);
    /* The folder may have been another name of a repository. */
    return rc == RC_OK ? route_project(c, json_z(c->ctx, json_get(*ret_spec, "repo"), "")) : rc;
}
