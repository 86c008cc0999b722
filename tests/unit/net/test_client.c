/* Contract: a blocking call gives the whole answer or one code that says how far it came; a readable cancel descriptor
 * ends it at once; over a Unix socket as over TCP. */
#include "net/client.h"
#include "peer.h"

static mem *ctx;
static struct serving *s;
static struct err err;
static struct client_answer answer;

static void begin(void)
{
    ctx = mem_root();
    memset(&err, 0, sizeof err);
    s = calloc(1, sizeof *s);
    serving_start(s);
}

static void finish(void)
{
    serving_stop(s);
    free(s);
    mem_free(ctx);
}

static struct client_spec get(const char *path)
{
    return (struct client_spec){.unix_socket = s->path,
                                .method = "GET",
                                .url = mem_printf(ctx, "http://localhost%s", path),
                                .timeout_ms = 20000,
                                .cancel_fd = -1};
}

static enum rc call(struct client_spec spec)
{
    memset(&err, 0, sizeof err);
    return client_call(ctx, &spec, &answer, &err);
}

static bool collect(void *arg, struct str bytes)
{
    return buf_str(arg, bytes);
}

static bool stop(void *arg, struct str bytes)
{
    (void)bytes;
    ++*(int *)arg;
    return false;
}

START_TEST(whole_answers)
{
    ck_assert_msg(call(get("/stream?n=2")) == RC_OK, "%s", err.sentence);
    ck_assert(answer.status == 200 && str_eqz(answer.body, "data: 0\n\ndata: 1\n\n"));
    ck_assert(str_find(answer.headers, STR("Content-Type: text/event-stream\r\n")) >= 0);
    ck_assert_int_eq(s->uid, (int)getuid());
    struct client_spec spec = get("/echo");
    spec.method = "POST";
    spec.body = STR("a\0b");
    ck_assert(call(spec) == RC_OK && str_eq(answer.body, STR("a\0b")));
    ck_assert(call(get("/none")) == RC_OK && answer.status == 404 && str_eqz(answer.body, "/none"));
    ck_assert(call(get("/empty")) == RC_OK && answer.status == 204 && answer.body.n == 0);
    spec = get("/show");
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    spec.unix_socket = NULL;
    spec.url = mem_printf(ctx, "%s/show", s->url);
    spec.headers = (const char *const[]){"X-One: 1", NULL};
    ck_assert_msg(call(spec) == RC_OK, "%s %s", err.sentence, err.detail);
    ck_assert(str_find(answer.body, STR("X-One: 1\n")) > 0);
    ck_assert_int_eq(s->uid, (int)HTTP_NO_UID);
}
END_TEST

START_TEST(streamed_answers)
{
    struct buf got;
    buf_init(&got, ctx, 64 << 20);
    s->flood = 20 << 20;
    struct client_spec spec = get("/flood");
    spec.on_body = collect;
    spec.arg = &got;
    spec.max_body = 10;
    ck_assert_msg(call(spec) == RC_OK, "%s", err.sentence);
    ck_assert(got.n == s->flood && answer.body.n == 0);
    buf_clear(&got);
    spec.url = "http://localhost/none";
    ck_assert(call(spec) == RC_OK && answer.status == 404 && got.n == 0);
    ck_assert_msg(str_eqz(answer.body, "/none"), "an error's body is collected");
    int calls = 0;
    spec = get("/flood");
    spec.on_body = stop;
    spec.arg = &calls;
    ck_assert(call(spec) == RC_CANCELLED && calls == 1 && err.rc == RC_CANCELLED);
    EVENTUALLY(s->gone == 1);
}
END_TEST

START_TEST(bodies_are_capped)
{
    struct client_spec spec = get("/none/0123456789");
    spec.max_body = 16;
    ck_assert(call(spec) == RC_OK && answer.body.n == 16);
    spec.max_body = 15;
    ck_assert_int_eq(call(spec), RC_LIMIT);
}
END_TEST

START_TEST(nobody_listens)
{
    struct client_spec spec = get("/none");
    spec.unix_socket = mem_printf(ctx, "%s/missing", s->dir);
    ck_assert(call(spec) == RC_UNAVAILABLE && answer.status == 0);
    ck_assert_msg(strstr(err.sentence, "/missing") != NULL, "%s", err.sentence);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%s/stale", s->dir);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    close(fd);
    spec.unix_socket = un.sun_path;
    ck_assert_int_eq(call(spec), RC_UNAVAILABLE);
    unlink(un.sun_path);
}
END_TEST

START_TEST(broken_answers)
{
    ck_assert(call(get("/abort")) == RC_UNAVAILABLE && err.rc == RC_UNAVAILABLE && answer.status == 0);
    ck_assert(call(get("/broken")) == RC_UPSTREAM && answer.status == 200);
    ck_assert(str_eqz(answer.body, "half"));
}
END_TEST

START_TEST(time_is_limited)
{
    struct client_spec spec = get("/wait");
    spec.timeout_ms = 50;
    ck_assert(call(spec) == RC_TIMEOUT && answer.status == 0);
    spec.url = "http://localhost/hold";
    ck_assert_int_eq(call(spec), RC_TIMEOUT);
    EVENTUALLY(s->gone == 2);
}
END_TEST

static void *press(void *arg)
{
    EVENTUALLY(s->requests == 1);
    ck_assert_int_eq(write(*(int *)arg, "x", 1), 1);
    return NULL;
}

START_TEST(cancel_ends_at_once)
{
    int fds[2];
    pthread_t thread;
    ck_assert_int_eq(pipe(fds), 0);
    struct client_spec spec = get(_i ? "/wait" : "/hold");
    spec.timeout_ms = -1;
    spec.cancel_fd = fds[0];
    ck_assert_int_eq(pthread_create(&thread, NULL, press, &fds[1]), 0);
    ck_assert_int_eq(call(spec), RC_CANCELLED);
    pthread_join(thread, NULL);
    EVENTUALLY(s->gone == 1);
    ck_assert_msg(call(spec) == RC_CANCELLED && s->requests == 1, "nothing is sent when it is readable from the start");
    close(fds[0]);
    close(fds[1]);
}
END_TEST

START_TEST(wrong_specs_are_refused)
{
    struct client_spec spec = get("/none");
    spec.url = "file:///etc/passwd";
    ck_assert_int_eq(call(spec), RC_INVALID);
    spec.url = "localhost/none";
    ck_assert_int_eq(call(spec), RC_INVALID);
    spec = get("/none");
    spec.headers = (const char *const[]){"X: a\nY: b", NULL};
    ck_assert_int_eq(call(spec), RC_INVALID);
    spec = get("/none");
    spec.method = "GET /";
    ck_assert_int_eq(call(spec), RC_INVALID);
    spec = get("/none");
    spec.unix_socket = mem_printf(ctx, "/%0200d", 0);
    ck_assert_int_ne(call(spec), RC_OK);
    ck_assert_int_eq(s->requests, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client");
    TCase *t = tcase_create("client");
    tcase_add_checked_fixture(t, begin, finish);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, whole_answers);
    tcase_add_test(t, streamed_answers);
    tcase_add_test(t, bodies_are_capped);
    tcase_add_test(t, nobody_listens);
    tcase_add_test(t, broken_answers);
    tcase_add_test(t, time_is_limited);
    tcase_add_loop_test(t, cancel_ends_at_once, 0, 2);
    tcase_add_test(t, wrong_specs_are_refused);
    suite_add_tcase(suite, t);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
