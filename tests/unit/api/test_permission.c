/* Contract: every route of the register, asked by every kind of asker about a thing of a foreign project, is refused
 * as its row says; nothing is open that is not listed here; what shows or changes the whole installation is not reached
 * by a role in one project. */
#include "api/feed.h"
#include "api/route_rows.h"
#include "base/clock.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define OWN     "/home/ada/shop"
#define FOREIGN "/home/bert/mill"
static char folder[64];
static mem *root;
static struct server *server;

struct made {
    struct task own, foreign;
};
static struct made made;

static enum rc made_tx(struct store_tx *tx, void *arg, struct err *err)
{
    struct made *m = arg;
    bool fresh;
    struct task *tasks[] = {&m->own, &m->foreign};
    enum rc rc = RC_OK;
    for (size_t i = 0; i < 2 && rc == RC_OK; i++) {
        struct approval a = {.id = i ? "abcdef4" : "abcdef3",
                             .task_id = tasks[i]->id,
                             .gate = "plan",
                             .sequence = 1,
                             .subject = "x",
                             .outcome = "waiting"};
        rc = task_insert(tx, tasks[i], err);
        if (rc == RC_OK)
            rc = approval_insert(tx, &a, &fresh, err);
    }
    return rc;
}

static struct task task_of(const char *id, const char *repo)
{
    return (struct task){.id = id,
                         .title = "t",
                         .text = "t",
                         .repo = repo,
                         .state = "queued",
                         .reason = "",
                         .words = "",
                         .spec = "{}",
                         .limit_money = -1,
                         .currency = "USD",
                         .agent = "",
                         .agent_version = "",
                         .model = "",
                         .kind = ""};
}

static void setup(void)
{
    struct err err = {0};
    snprintf(folder, sizeof folder, "/tmp/test_permission_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    root = mem_root();
    server = mem_new(root, struct server);
    ck_assert_msg(store_open(root, folder, &server->store, &err) == RC_OK, "%s", err.sentence);
    made = (struct made){task_of("abcdef1", OWN), task_of("abcdef2", FOREIGN)};
    ck_assert_msg(store_write(server->store, made_tx, &made, &err) == RC_OK, "%s", err.sentence);
}

static void teardown(void)
{
    char command[128];
    server->store = store_close(server->store);
    root = mem_free(root);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

/* ---- who asks ---- */

static const struct grant grants[][1] = {{{OWN, ACCESS_READ}}, {{OWN, ACCESS_USE}}, {{OWN, ACCESS_ADMIN}}};

static struct principal user(enum access everywhere, const struct grant *grant)
{
    return (struct principal){.access = everywhere,
                              .by = CAME_BY_SESSION,
                              .user_id = "abcdef9",
                              .name = "ada",
                              .project = "",
                              .organisation = "",
                              .user = "ada",
                              .grants = grant,
                              .grant_n = grant ? 1 : 0};
}

static struct principal key(enum access access, const char *project)
{
    return (struct principal){.access = access,
                              .by = CAME_BY_KEY,
                              .key_id = "abcdef8",
                              .name = "ci",
                              .project = project,
                              .organisation = "",
                              .user = ""};
}

/* What the row asks for, and what is asked about. */
static enum rc ask(const struct route *r, struct principal who, bool foreign)
{
    CLEANUP_MEM mem *ctx = mem_root();
    struct route_call *c = mem_new(ctx, struct route_call);
    *c = (struct route_call){.ctx = ctx, .server = server, .route = r, .principal = who};
    c->param = r->narrow == NARROW_APPROVAL ? (foreign ? "abcdef4" : "abcdef3") : foreign ? "abcdef2" : "abcdef1";
    ck_assert_int_eq(
        json_parse(ctx, str_of(mem_printf(ctx, "{\"repo\":\"%s\"}", foreign ? FOREIGN : OWN)), &c->json, NULL), RC_OK);
    enum rc rc = permission_check(c);
    if (rc == RC_OK)
        rc = permission_narrow(c);
    return rc;
}

static bool is_narrow(const struct route *r)
{
    return r->narrow == NARROW_TASK || r->narrow == NARROW_APPROVAL || r->narrow == NARROW_REPO;
}

START_TEST(things_of_a_foreign_project_are_not_there)
{
    for (size_t i = 0; i < route_count; i++) {
        const struct route *r = routes[i];
        enum access need = r->access ? r->access : ACCESS_OWNER;
        if (r->open || !is_narrow(r))
            continue;
        for (int a = ACCESS_READ; a <= ACCESS_ADMIN; a++) {
            enum rc user_rc = ask(r, user(ACCESS_NONE, grants[a - ACCESS_READ]), true);
            enum rc key_rc = ask(r, key((enum access)a, OWN), true);
            enum rc expected = (enum access)a >= need ? RC_NOT_FOUND : RC_DENIED; /* denied before anything is read */
            ck_assert_msg(user_rc == expected, "%s: user %d: %s", route_names[i], a, rc_name(user_rc));
            ck_assert_msg(key_rc == expected, "%s: key %d: %s", route_names[i], a, rc_name(key_rc));
            expected = (enum access)a >= need ? RC_OK : RC_DENIED;
            user_rc = ask(r, user(ACCESS_NONE, grants[a - ACCESS_READ]), false);
            ck_assert_msg(user_rc == expected, "%s: own, user %d: %s", route_names[i], a, rc_name(user_rc));
            key_rc = ask(r, key((enum access)a, OWN), false);
            ck_assert_msg(key_rc == expected, "%s: own, key %d: %s", route_names[i], a, rc_name(key_rc));
        }
    }
}
END_TEST

START_TEST(a_role_everywhere_reaches_what_its_row_allows)
{
    for (size_t i = 0; i < route_count; i++) {
        const struct route *r = routes[i];
        enum access need = r->access ? r->access : ACCESS_OWNER;
        if (r->open || r->narrow == NARROW_OWN)
            continue;
        for (int a = ACCESS_NONE; a <= ACCESS_OWNER; a++) {
            enum rc rc = ask(r, user((enum access)a, NULL), true);
            ck_assert_msg(rc == ((enum access)a >= need ? RC_OK : RC_DENIED), "%s: role %d: %s", route_names[i], a,
                          rc_name(rc));
        }
        ck_assert_int_eq(ask(r, principal_owner(), true), RC_OK);
        ck_assert_int_eq(ask(r, key(ACCESS_ADMIN, ""), true), RC_OK); /* as keys always could */
    }
}
END_TEST

START_TEST(a_role_in_one_project_does_not_reach_the_whole)
{
    size_t n = 0;
    for (size_t i = 0; i < route_count; i++) {
        const struct route *r = routes[i];
        if (r->open || r->narrow != NARROW_WHOLE)
            continue;
        n++;
        ck_assert_msg(ask(r, user(ACCESS_NONE, grants[2]), false) == RC_DENIED, "%s", route_names[i]);
        ck_assert_msg(ask(r, key(ACCESS_ADMIN, OWN), false) == RC_DENIED, "%s", route_names[i]);
    }
    ck_assert_uint_gt(n, 10);
}
END_TEST

/* One that is added here by mistake is a hole: the list is written by hand. */
START_TEST(nothing_is_open_by_accident)
{
    static const char *const open[] = {"health",         "ready",      "session_show", "session_post",
                                       "session_delete", "setup_post", "token_post"};
    for (size_t i = 0; i < route_count; i++) {
        bool listed = false;
        for (size_t k = 0; k < sizeof open / sizeof *open; k++)
            listed |= strcmp(open[k], route_names[i]) == 0;
        ck_assert_msg(!routes[i]->open || listed, "%s is open", route_names[i]);
        ck_assert_msg(!routes[i]->open || !routes[i]->access, "%s is open and asks for access", route_names[i]);
        /* own things need a handler that looks whose they are: also written by hand */
        static const char *const own[] = {"password_post", "sessions_list", "session_revoke"};
        listed = routes[i]->narrow != NARROW_OWN;
        for (size_t k = 0; k < sizeof own / sizeof *own; k++)
            listed |= strcmp(own[k], route_names[i]) == 0;
        ck_assert_msg(listed || strstr(routes[i]->pattern, "/notifications/"), "%s is for anybody", route_names[i]);
    }
}
END_TEST

START_TEST(what_only_owners_may_is_not_for_admins)
{
    static const char *const owners[] = {"daemon_stop", "credentials_put", "audit_accept", "setup_link"};
    for (size_t k = 0; k < sizeof owners / sizeof *owners; k++) {
        size_t i = 0;
        while (i < route_count && strcmp(route_names[i], owners[k]) != 0)
            i++;
        ck_assert_msg(i < route_count, "%s", owners[k]);
        ck_assert_int_eq(ask(routes[i], user(ACCESS_ADMIN, NULL), false), RC_DENIED);
        ck_assert_int_eq(ask(routes[i], user(ACCESS_OWNER, NULL), false), RC_OK);
    }
}
END_TEST

START_TEST(lists_are_narrowed_to_what_may_be_seen)
{
    struct principal several = user(ACCESS_NONE, (const struct grant[]){{OWN, ACCESS_READ}, {FOREIGN, ACCESS_ADMIN}});
    several.grant_n = 2;
    const char *const *list = principal_projects(root, &several, ACCESS_READ);
    ck_assert(list && list[0] && list[1] && !list[2]);
    list = principal_projects(root, &several, ACCESS_USE);
    ck_assert(list && list[0] && !list[1]);
    ck_assert_str_eq(list[0], FOREIGN);
    several.access = ACCESS_READ;
    ck_assert_ptr_null(principal_projects(root, &several, ACCESS_READ));
    struct principal one = key(ACCESS_READ, OWN);
    list = principal_projects(root, &one, ACCESS_READ);
    ck_assert(list && !strcmp(list[0], OWN) && !list[1]);
    list = principal_projects(root, &one, ACCESS_ADMIN);
    ck_assert(list && !list[0]);
}
END_TEST

START_TEST(what_is_told_has_somebody_who_may_see_it)
{
    const char *const *things = feed_things(root);
    for (size_t i = 0; i < route_count; i++) {
        bool known = !routes[i]->tells;
        for (const char *const *t = things; *t && !known; t++)
            known = strcmp(*t, routes[i]->tells) == 0;
        ck_assert_msg(known, "%s tells %s, which feed_event.c does not know", routes[i]->pattern, routes[i]->tells);
        ck_assert_msg(!routes[i]->tells || strcmp(routes[i]->method, "GET") != 0, "%s only reads", routes[i]->pattern);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("permission");
    TCase *c = tcase_create("permission");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, things_of_a_foreign_project_are_not_there);
    tcase_add_test(c, a_role_everywhere_reaches_what_its_row_allows);
    tcase_add_test(c, a_role_in_one_project_does_not_reach_the_whole);
    tcase_add_test(c, nothing_is_open_by_accident);
    tcase_add_test(c, what_only_owners_may_is_not_for_admins);
    tcase_add_test(c, what_is_told_has_somebody_who_may_see_it);
    tcase_add_test(c, lists_are_narrowed_to_what_may_be_seen);
    suite_add_tcase(suite, c);
    SRunner *run = srunner_create(suite);
    srunner_run_all(run, CK_NORMAL);
    int failed = srunner_ntests_failed(run);
    srunner_free(run);
    return failed ? 1 : 0;
}
