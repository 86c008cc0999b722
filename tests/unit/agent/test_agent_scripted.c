/* Contract of the scripted model server: in every dialect, whole and streamed, the agent's own shell tool is called
 * once and what comes after its result is text; requests and tokens are counted as they are told; a second listener
 * notes whom an agent wanted to reach and lets nobody out. */
#include "agent/scripted.h"
#include "base/buf.h"
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static mem *ctx;
static struct scripted *server;
static int fds[2];
static uint16_t ports[2];

static void set_up(void)
{
    ctx = mem_root();
    for (int i = 0; i < 2; i++) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t n = sizeof a;
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(bind(fds[i], (struct sockaddr *)&a, sizeof a), 0);
        ck_assert_int_eq(listen(fds[i], 16), 0);
        ck_assert_int_eq(getsockname(fds[i], (struct sockaddr *)&a, &n), 0);
        ports[i] = ntohs(a.sin_port);
    }
    ck_assert_int_eq(scripted_start(fds[0], fds[1], "printf hi", &server, NULL), RC_OK);
}

static void tear_down(void)
{
    server = scripted_stop(server);
    for (int i = 0; i < 2; i++)
        close(fds[i]);
    ctx = mem_free(ctx);
}

/* Everything that comes back. */
static const char *exchange(uint16_t port, const char *request)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    for (size_t n = strlen(request), at = 0; at < n;) {
        ssize_t put = send(fd, request + at, n - at, MSG_NOSIGNAL);
        ck_assert_int_gt(put, 0);
        at += (size_t)put;
    }
    struct buf b;
    char piece[4096];
    ssize_t n;
    buf_init(&b, ctx, 1 << 20);
    while ((n = recv(fd, piece, sizeof piece, 0)) > 0)
        buf_add(&b, piece, (size_t)n);
    close(fd);
    return buf_view(&b).p;
}

static const char *post(const char *path, const char *body)
{
    return exchange(ports[0], mem_printf(ctx,
                                         "POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nanthropic-version: 1\r\n"
                                         "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                                         path, strlen(body), body));
}

#define SCHEMA                                                                                                         \
    "{\"type\":\"object\",\"properties\":{\"command\":{\"type\":\"string\"},\"description\":{\"type\":\"string\"}}}"
static const struct dialect {
    const char *path, *ask, *result, *called;
} dialects[] = {
    {"/v1/chat/completions",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"go\"}],\"tools\":[{\"type\":\"function\",\"function\":{"
     "\"name\":\"bash\",\"parameters\":" SCHEMA "}}]}",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"tool\",\"tool_call_id\":\"x\",\"content\":\"ok\"}],\"tools\":[{\"type\":"
     "\"function\",\"function\":{\"name\":\"bash\",\"parameters\":{}}}]}",
     "\"tool_calls\""},
    {"/v1/responses",
     "{\"model\":\"m\",\"stream\":true,\"input\":\"go\",\"tools\":[{\"type\":\"function\",\"name\":\"exec_command\",\"parameters\":" SCHEMA
     "}]}",
     "{\"model\":\"m\",\"stream\":true,\"input\":[{\"type\":\"function_call_output\",\"call_id\":\"x\",\"output\":\"ok\"}],"
     "\"tools\":[{\"type\":\"function\",\"name\":\"exec_command\",\"parameters\":{}}]}",
     "\"function_call\""},
    {"/v1/messages?beta=true",
     "{\"model\":\"m\",\"max_tokens\":9,\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"go\"}],\"tools\":[{\"name\":"
     "\"Bash\",\"input_schema\":" SCHEMA "}]}",
     "{\"model\":\"m\",\"max_tokens\":9,\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
     "\"tool_use_id\":\"x\",\"content\":\"ok\"}]}],\"tools\":[{\"name\":\"Bash\",\"input_schema\":{}}]}",
     "\"tool_use\""},
    {"/v1beta/models/m:streamGenerateContent?alt=sse",
     "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"go\"}]}],\"tools\":[{\"functionDeclarations\":[{\"name\":"
     "\"run_shell_command\",\"parametersJsonSchema\":" SCHEMA "}]}]}",
     "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"name\":\"run_shell_command\",\"response\":{}}}]}],"
     "\"tools\":[{\"functionDeclarations\":[{\"name\":\"run_shell_command\"}]}]}",
     "\"functionCall\""},
};

START_TEST(test_dialects)
{
    const struct dialect *d = &dialects[_i];
    const char *text = post(d->path, d->ask);
    ck_assert_msg(strncmp(text, "HTTP/1.1 200", 12) == 0, "%s", text);
    ck_assert_msg(strstr(text, d->called) && strstr(text, "printf hi"), "%s", text);
    ck_assert_ptr_nonnull(strstr(text, "Write the file")); /* a description where the tool has one */
    text = post(d->path, d->result);
    ck_assert_msg(strncmp(text, "HTTP/1.1 200", 12) == 0 && strstr(text, "All is done."), "%s", text);
    ck_assert_ptr_null(strstr(text, "printf hi"));
    const struct scripted_counts *c = scripted_counts(server);
    ck_assert_int_eq(atomic_load(&c->requests), 2);
    ck_assert_int_eq(atomic_load(&c->calls), 1);
    ck_assert_int_eq(atomic_load(&c->output), 24);
    ck_assert_int_eq(atomic_load(&c->input), (long long)(strlen(d->ask) / 4 + 1 + strlen(d->result) / 4 + 1));
    ck_assert_int_gt(atomic_load(&c->first_ns), 0);
}
END_TEST

/* Requests without a shell tool (titles, summaries) get text; nonsense gets an error; nothing of it is a request. */
START_TEST(test_others)
{
    ck_assert_ptr_nonnull(strstr(post("/v1/chat/completions", "{\"model\":\"m\",\"messages\":[]}"), "All is done."));
    ck_assert_int_eq(strncmp(post("/v1/chat/completions", "{"), "HTTP/1.1 400", 12), 0);
    ck_assert_int_eq(strncmp(post("/elsewhere", "{}"), "HTTP/1.1 404", 12), 0);
    ck_assert_int_eq(strncmp(post("/v1/embeddings", "{}"), "HTTP/1.1 404", 12), 0);
    ck_assert_ptr_nonnull(strstr(post("/v1/messages/count_tokens", "{\"messages\":[]}"), "input_tokens"));
    const char *models = exchange(ports[0], "GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    ck_assert_ptr_nonnull(strstr(models, "scripted"));
    ck_assert_int_eq(atomic_load(&scripted_counts(server)->requests), 1);
}
END_TEST

START_TEST(test_outside)
{
    static const char *const asked[] = {"CONNECT telemetry.example:443 HTTP/1.1\r\n\r\n",
                                        "GET http://u:p@other.example/x HTTP/1.1\r\n\r\n",
                                        "CONNECT telemetry.example:443 HTTP/1.1\r\n\r\n",
                                        "GET http://bad\x01name/ HTTP/1.1\r\n\r\n",
                                        "nonsense\r\n\r\n",
                                        "GET\r\n\r\n"};
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
        ck_assert_int_eq(strncmp(exchange(ports[1], asked[i]), "HTTP/1.1 403", 12), 0);
    for (int i = 0; i < 40; i++)
        exchange(ports[1], mem_printf(ctx, "CONNECT h%d.example:1 HTTP/1.1\r\n\r\n", i));
    char *line = mem_zalloc(ctx, 6000);
    memset(line, 'x', 5999);
    exchange(ports[1], line); /* never a line */
    const struct scripted_counts *c = scripted_counts(server);
    ck_assert_str_eq(c->hosts[0], "telemetry.example:443");
    ck_assert_str_eq(c->hosts[1], "other.example");
    ck_assert_str_eq(c->hosts[2], "h0.example:1");
    ck_assert_str_eq(c->hosts[SCRIPTED_HOSTS - 1], "h13.example:1");
    ck_assert_int_eq(atomic_load(&c->requests), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("agent_scripted");
    TCase *c = tcase_create("all");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_loop_test(c, test_dialects, 0, (int)(sizeof dialects / sizeof *dialects));
    tcase_add_test(c, test_others);
    tcase_add_test(c, test_outside);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
