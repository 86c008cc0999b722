/* Contract: the runner's line hands the sandbox's listener to the server, again to the next server when one goes, tells
 * when the server says that a limit is reached, and gives back what the server counted. The other end is played here.
 */
#include "base/clock.h"
#include "flow/link.h"
#include "os/frame.h"
#include "os/path.h"
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static mem *ctx;
static struct err err;
static char dir[64], path[128];
static int server, conn;

static void say(const char *text)
{
    ck_assert_int_eq(frame_send(conn, str_of(text), NULL, 0, &err), RC_OK);
}

/* The next frame; *ret_fd what came with it, or -1. */
static struct json hear(int *ret_fd)
{
    struct str text;
    struct json root;
    int fds[FRAME_FDS], n = 0;
    ck_assert_int_eq(frame_recv(ctx, conn, 10000, &text, fds, &n, &err), RC_OK);
    ck_assert_int_eq(json_parse(ctx, text, &root, &err), RC_OK);
    *ret_fd = n > 0 ? fds[0] : -1;
    return root;
}

static void welcome(void)
{
    int fd;
    conn = accept4(server, NULL, NULL, SOCK_CLOEXEC);
    ck_assert_int_ge(conn, 0);
    ck_assert(json_is(json_get(hear(&fd), "hello")));
    say("{\"welcome\":{\"acked\":0,\"job\":\"run\",\"task\":{},\"spec\":{},\"inputs\":[]}}");
}

struct opened {
    struct link *link;
    struct link_welcome welcome;
};

static void *open_work(void *arg)
{
    struct opened *o = arg;
    if (link_open(ctx, path, "t1", "token", 10000, &o->link, &o->welcome, &err) != RC_OK)
        o->link = NULL;
    return NULL;
}

static struct link *open_link(void)
{
    struct opened o = {0};
    pthread_t t;
    ck_assert_int_eq(pthread_create(&t, NULL, open_work, &o), 0);
    conn = accept4(server, NULL, NULL, SOCK_CLOEXEC);
    struct str text;
    mem *own = mem_root(); /* the other thread uses ctx */
    ck_assert_int_eq(frame_recv(own, conn, 10000, &text, NULL, NULL, NULL), RC_OK);
    mem_free(own);
    say("{\"welcome\":{\"acked\":0,\"job\":\"run\",\"task\":{},\"spec\":{},\"inputs\":[]}}");
    pthread_join(t, NULL);
    ck_assert_ptr_nonnull(o.link);
    return o.link;
}

static void begin(void)
{
    ctx = mem_root();
    snprintf(dir, sizeof dir, "/tmp/mill-link-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/s", dir);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, path, strlen(path) + 1);
    server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert(bind(server, (struct sockaddr *)&a, sizeof a) == 0 && listen(server, 4) == 0);
}

static void end(void)
{
    close(server);
    close(conn);
    ck_assert_int_eq(path_remove_tree(dir, NULL), RC_OK);
    ctx = mem_free(ctx);
}

struct listen_job {
    struct link *link;
    int fd, proxy;
    enum rc rc;
    struct err err;
};

static void *listen_work(void *arg)
{
    struct listen_job *j = arg;
    struct link_listen spec = {
        .gateway = j->fd, .proxy = j->proxy, .iteration = 3, .requests = 7, .egress = STR("{\"phase\":\"work\"}")};
    j->rc = link_listen(j->link, &spec, 10000, &j->err);
    return NULL;
}

static void heard_listen(int like, int64_t *ret_id)
{
    int fd;
    struct stat a, b;
    struct json listen = json_get(hear(&fd), "listen");
    ck_assert(json_is(listen) && fd >= 0);
    ck_assert_int_eq(json_int(json_get(listen, "iteration"), 0), 3);
    ck_assert_int_eq(json_int(json_get(listen, "requests"), 0), 7);
    ck_assert(!json_bool(json_get(listen, "key"), true));
    ck_assert(fstat(fd, &a) == 0 && fstat(like, &b) == 0);
    ck_assert_msg(a.st_ino == b.st_ino, "another descriptor came");
    close(fd);
    *ret_id = json_int(json_get(listen, "id"), 0);
}

static int64_t give(struct link *l, int fd, const char *answer)
{
    struct listen_job j = {.link = l, .fd = fd, .proxy = -1};
    pthread_t t;
    int64_t id;
    pthread_create(&t, NULL, listen_work, &j);
    heard_listen(fd, &id);
    say(mem_printf(ctx, answer, (long long)id));
    pthread_join(t, NULL);
    err = j.err;
    return j.rc == RC_OK ? id : -(int64_t)j.rc;
}

struct leave_job {
    struct link *link;
    struct link_listened said;
    mem *own;
};

static void *leave_work(void *arg)
{
    struct leave_job *j = arg;
    link_unlisten(j->link, j->own, 10000, &j->said);
    return NULL;
}

START_TEST(listener_is_handed_over_counted_and_taken_back)
{
    begin();
    struct link *l = open_link();
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), none;
    int64_t id = give(l, fd, "{\"listening\":{\"id\":%lld}}");
    ck_assert_int_gt(id, 0);
    struct pollfd p = {.fd = link_cut_fd(l), .events = POLLIN};
    ck_assert_int_eq(poll(&p, 1, 0), 0);
    say("{\"cut\":{\"id\":999,\"limit\":\"money\"}}"); /* of another one: not ours */
    say(mem_printf(ctx, "{\"cut\":{\"id\":%lld,\"requests\":7,\"rc\":\"limit\",\"limit\":\"requests\"}}",
                   (long long)id));
    ck_assert_int_eq(poll(&p, 1, 10000), 1);
    struct leave_job j = {.link = l, .own = mem_root()};
    pthread_t t;
    pthread_create(&t, NULL, leave_work, &j);
    ck_assert_int_eq(json_int(json_path(hear(&none), "unlisten.id"), 0), id);
    say(mem_printf(ctx,
                   "{\"unlistened\":{\"id\":%lld,\"requests\":9,\"rc\":\"upstream\",\"refused\":false,"
                   "\"limit\":\"requests\",\"title\":\"why\",\"hint\":\"do\",\"retry_after_s\":4}}",
                   (long long)id));
    pthread_join(t, NULL);
    ck_assert_int_eq(j.said.requests, 9);
    ck_assert_int_eq(j.said.rc, RC_UPSTREAM);
    ck_assert_str_eq(j.said.limit, "requests");
    ck_assert_str_eq(j.said.title, "why");
    ck_assert_int_eq(j.said.retry_after_s, 4);
    ck_assert_msg(poll(&p, 1, 0) == 0, "the next listener begins uncut");
    mem_free(j.own);
    link_close(l);
    close(fd);
    end();
}
END_TEST

START_TEST(next_server_gets_it_too)
{
    begin();
    struct link *l = open_link();
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), none;
    int64_t id = give(l, fd, "{\"listening\":{\"id\":%lld}}"), again;
    close(conn);
    welcome();
    heard_listen(fd, &again);
    ck_assert_int_eq(again, id);
    say(mem_printf(ctx, "{\"listening\":{\"id\":%lld}}", (long long)id));
    struct leave_job j = {.link = l, .own = mem_root()};
    pthread_t t;
    pthread_create(&t, NULL, leave_work, &j);
    ck_assert(json_is(json_get(hear(&none), "unlisten")));
    say(mem_printf(ctx, "{\"unlistened\":{\"id\":%lld,\"requests\":2,\"rc\":\"ok\"}}", (long long)id));
    pthread_join(t, NULL);
    ck_assert_msg(j.said.requests == -1, "a count of one server alone is not the whole");
    mem_free(j.own);
    link_close(l);
    close(fd);
    end();
}
END_TEST

static int hear_two(int *ret_first, int *ret_second, struct json *ret)
{
    struct str text;
    int fds[FRAME_FDS], n = 0;
    ck_assert_int_eq(frame_recv(ctx, conn, 10000, &text, fds, &n, &err), RC_OK);
    ck_assert_int_eq(json_parse(ctx, text, ret, &err), RC_OK);
    *ret_first = n > 0 ? fds[0] : -1;
    *ret_second = n > 1 ? fds[1] : -1;
    return n;
}

START_TEST(both_listeners_go_together)
{
    begin();
    struct link *l = open_link();
    int gateway = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
        proxy = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct listen_job j = {.link = l, .fd = gateway, .proxy = proxy};
    struct stat a, b;
    struct json root;
    int first, second;
    pthread_t t;
    pthread_create(&t, NULL, listen_work, &j);
    ck_assert_int_eq(hear_two(&first, &second, &root), 2);
    ck_assert(fstat(first, &a) == 0 && fstat(gateway, &b) == 0 && a.st_ino == b.st_ino);
    ck_assert(fstat(second, &a) == 0 && fstat(proxy, &b) == 0 && a.st_ino == b.st_ino);
    ck_assert(json_bool(json_path(root, "listen.gateway"), false));
    ck_assert(json_eqz(json_path(root, "listen.proxy.phase"), "work"));
    say(mem_printf(ctx, "{\"listening\":{\"id\":%lld}}", (long long)json_int(json_path(root, "listen.id"), 0)));
    pthread_join(t, NULL);
    ck_assert_int_eq(j.rc, RC_OK);
    int all[] = {first, second, gateway, proxy};
    for (size_t i = 0; i < 4; i++)
        close(all[i]);
    link_close(l);
    end();
}
END_TEST

START_TEST(refusal_is_told)
{
    begin();
    struct link *l = open_link();
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(give(l, fd, "{\"listening\":{\"id\":%lld,\"problem\":\"it is full\",\"code\":\"limit\"}}"),
                     -(int64_t)RC_LIMIT);
    ck_assert(strstr(err.sentence, "it is full"));
    link_close(l);
    close(fd);
    end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("link");
    TCase *t = tcase_create("link");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, listener_is_handed_over_counted_and_taken_back);
    tcase_add_test(t, next_server_gets_it_too);
    tcase_add_test(t, both_listeners_go_together);
    tcase_add_test(t, refusal_is_told);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? 1 : 0;
}
