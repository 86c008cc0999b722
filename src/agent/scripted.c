/* The scripted model server. Not a mock of any provider: just enough of each dialect for an agent to call one tool. Its
 * answers are made once, as a stream of Chat Completions, and taken into the client's dialect by the gateway's own
 * bridge. */
#include "agent/scripted.h"
#include "base/clock.h"
#include "llm/bridge.h"
#include "llm/endpoint.h"
#include "llm/llm.h"
#include "llm/request.h"
#include "net/http.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SCRIPTED_BODY_MAX = 32 << 20, SCRIPTED_ANSWER_MAX = 1 << 20, ANSWER_TOKENS = 12 };

struct scripted {
    pid_t pid;
    const char *command;
    struct scripted_counts *counts; /* shared */
};

/* Shell tools by the names that agents give them, and the argument that takes the command. */
static const struct shell {
    const char *name, *argument;
    bool list; /* the argument is a list of commands */
} shells[] = {
    {"exec_command", "cmd", false},     {"Bash", "command", false},
    {"bash", "command", false},         {"run_shell_command", "command", false},
    {"run_commands", "commands", true}, {"developer__shell", "command", false},
    {"shell", "command", false},
};

/* --- Reading a request --- */

struct offer {
    const struct shell *shell;
    struct json schema;
};

/* The tool's name and schema, in whichever dialect it is written. */
static bool tool_offer(struct json tool, struct offer *ret)
{
    struct json f = json_get(tool, "function"), inner = json_is(f) ? f : tool;
    static const char *const schemas[] = {"parameters", "input_schema", "parametersJsonSchema"};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        if (!json_eqz(json_get(inner, "name"), shells[i].name))
            continue;
        ret->shell = &shells[i];
        for (size_t k = 0; k < sizeof schemas / sizeof *schemas && !json_is(ret->schema); k++)
            ret->schema = json_get(inner, schemas[k]);
        return true;
    }
    return false;
}

static bool body_offer(struct json body, struct offer *ret)
{
    for (struct json_iter it = json_iter(json_get(body, "tools")); json_next(&it);) {
        if (tool_offer(it.value, ret))
            return true;
        for (struct json_iter in = json_iter(json_get(it.value, "functionDeclarations")); json_next(&in);)
            if (tool_offer(in.value, ret))
                return true;
    }
    return false;
}

/* Whether a result of a tool is among the messages. */
static bool message_has_result(struct json m)
{
    if (json_eqz(json_get(m, "role"), "tool") || json_eqz(json_get(m, "type"), "function_call_output"))
        return true;
    for (struct json_iter it = json_iter(json_get(m, "content")); json_next(&it);)
        if (json_eqz(json_get(it.value, "type"), "tool_result"))
            return true;
    for (struct json_iter it = json_iter(json_get(m, "parts")); json_next(&it);)
        if (json_is(json_get(it.value, "functionResponse")))
            return true;
    return false;
}

static bool body_has_result(struct json body)
{
    static const char *const lists[] = {"messages", "input", "contents"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (struct json_iter it = json_iter(json_get(body, lists[i])); json_next(&it);)
            if (message_has_result(it.value))
                return true;
    return false;
}

/* --- The answer --- */

static void write_arguments(struct json_out *o, const struct scripted *s, const struct offer *offer)
{
    jo_obj(o);
    jo_key(o, offer->shell->argument);
    if (offer->shell->list)
        jo_arr(o);
    jo_z(o, s->command);
    if (offer->shell->list)
        jo_end_arr(o);
    if (json_is(json_path(offer->schema, "properties.description")))
        jo_kz(o, "description", "Write the file");
    if (json_is(json_path(offer->schema, "properties.is_background")))
        jo_kb(o, "is_background", false);
    jo_end_obj(o);
}

static void chunk_begin(struct buf *b, struct json_out *o, const char *model)
{
    buf_z(b, "data: ");
    json_out_init(o, b);
    jo_obj(o);
    jo_kz(o, "id", "scripted");
    jo_kz(o, "object", "chat.completion.chunk");
    jo_ki(o, "created", 1767225600);
    jo_kz(o, "model", model);
}

static void chunk_choice(struct buf *b, const char *model, struct str delta, const char *finish)
{
    struct json_out o;
    chunk_begin(b, &o, model);
    jo_key(&o, "choices");
    jo_arr(&o);
    jo_obj(&o);
    jo_ki(&o, "index", 0);
    jo_kraw(&o, "delta", delta);
    jo_kz(&o, "finish_reason", finish);
    jo_end_obj(&o);
    jo_end_arr(&o);
    jo_end_obj(&o);
    buf_z(b, "\n\n");
}

static struct str delta_call(mem *ctx, const struct scripted *s, const struct offer *offer)
{
    struct buf arguments, b;
    struct json_out o;
    buf_init(&arguments, ctx, 65536);
    json_out_init(&o, &arguments);
    write_arguments(&o, s, offer);
    buf_init(&b, ctx, 1 << 18);
    json_out_init(&o, &b);
    jo_obj(&o);
    jo_kz(&o, "role", "assistant");
    jo_key(&o, "tool_calls");
    jo_arr(&o);
    jo_obj(&o);
    jo_ki(&o, "index", 0);
    jo_kz(&o, "id", "call_hello");
    jo_kz(&o, "type", "function");
    jo_key(&o, "function");
    jo_obj(&o);
    jo_kz(&o, "name", offer->shell->name);
    jo_ks(&o, "arguments", buf_view(&arguments));
    for (int i = 0; i < 2; i++)
        jo_end_obj(&o);
    jo_end_arr(&o);
    jo_end_obj(&o);
    return buf_view(&b);
}

/* A stream of Chat Completions, with its usage. */
static struct str answer_stream(mem *ctx, const struct scripted *s, const char *model, const struct offer *offer,
                                int64_t input)
{
    struct buf b;
    struct json_out o;
    buf_init(&b, ctx, SCRIPTED_ANSWER_MAX);
    if (offer->shell)
        chunk_choice(&b, model, delta_call(ctx, s, offer), NULL);
    else
        chunk_choice(&b, model, STR("{\"role\":\"assistant\",\"content\":\"All is done.\"}"), NULL);
    chunk_choice(&b, model, STR("{}"), offer->shell ? "tool_calls" : "stop");
    chunk_begin(&b, &o, model);
    jo_kraw(&o, "choices", STR("[]"));
    jo_key(&o, "usage");
    jo_obj(&o);
    jo_ki(&o, "prompt_tokens", input);
    jo_ki(&o, "completion_tokens", ANSWER_TOKENS);
    jo_ki(&o, "total_tokens", input + ANSWER_TOKENS);
    jo_end_obj(&o);
    jo_end_obj(&o);
    buf_z(&b, "\n\ndata: [DONE]\n\n");
    return buf_view(&b);
}

static void answer_error(struct http_request *r, const struct llm_dialect *d, int status, const char *words)
{
    struct buf b;
    struct err err = {0};
    err_set(&err, status == 404 ? RC_NOT_FOUND : RC_INVALID, "%s", words);
    buf_init(&b, r->ctx, 65536);
    llm_error_write(d, status, &err, NULL, -1, LLM_ERROR_BODY, &b);
    http_answer_whole(r, status, "application/json", buf_view(&b), NULL);
}

static void generate(struct scripted *s, struct http_request *r, const struct llm_endpoint *e)
{
    struct json body;
    struct offer offer = {0};
    if (json_parse(r->ctx, r->body, &body, NULL) != RC_OK) {
        answer_error(r, e->dialect, 400, "the body is not JSON");
        return;
    }
    if (body_has_result(body) || !body_offer(body, &offer))
        offer.shell = NULL;
    const char *model = e->model ? e->model : json_z(r->ctx, json_get(body, "model"), "scripted");
    bool stream = e->stream || json_bool(json_get(body, "stream"), false);
    int64_t input = (int64_t)(r->body.n / 4) + 1;
    struct llm_bridge_spec spec = {.client = e->dialect,
                                   .upstream = llm_dialect_find("chat"),
                                   .client_stream = stream,
                                   .upstream_stream = true,
                                   .client_array = e->array,
                                   .hide_usage =
                                       stream && !json_bool(json_path(body, "stream_options.include_usage"), false),
                                   .model = model,
                                   .id = "scripted",
                                   .created_s = 1767225600};
    struct llm_bridge *bridge = llm_bridge_new(r->ctx, &spec);
    struct buf out;
    struct err err = {0};
    const struct llm_answer *answer;
    buf_init(&out, r->ctx, SCRIPTED_ANSWER_MAX);
    struct str bytes = answer_stream(r->ctx, s, model, &offer, input);
    if (llm_bridge_feed(bridge, bytes.p, bytes.n, &out, &err) != RC_OK ||
        llm_bridge_end(bridge, &out, &answer, &err) != RC_OK) {
        answer_error(r, e->dialect, 400, err.sentence);
        return;
    }
    long long none = 0;
    atomic_compare_exchange_strong(&s->counts->first_ns, &none, clock_mono_ns());
    atomic_fetch_add(&s->counts->requests, 1);
    atomic_fetch_add(&s->counts->calls, offer.shell != NULL);
    atomic_fetch_add(&s->counts->input, input);
    atomic_fetch_add(&s->counts->output, ANSWER_TOKENS);
    http_answer_whole(r, 200, llm_bridge_content_type(bridge), buf_view(&out), NULL);
}

static void on_request(void *arg, struct http_request *r)
{
    struct scripted *s = arg;
    struct llm_endpoint e;
    struct buf b;
    bool anthropic = http_header(r, "anthropic-version").n > 0;
    const char *method = str_dup(r->ctx, r->method);
    if (!llm_endpoint_find(r->ctx, method, r->path, r->query, anthropic, &e)) {
        http_answer_whole(r, strcmp(method, "HEAD") == 0 ? 200 : 404, "application/json", STR("{}"), NULL);
        return;
    }
    static const struct llm_model_row model = {.id = "scripted", .owner = "nightmill", .context = 128000};
    buf_init(&b, r->ctx, 65536);
    if (e.kind == LLM_GENERATE) {
        generate(s, r, &e);
        return;
    }
    if (e.kind == LLM_MODELS)
        llm_models_write(e.dialect, &model, 1, &b);
    else if (e.kind == LLM_MODEL)
        llm_model_write(e.dialect, &model, &b);
    else if (e.kind == LLM_COUNT_TOKENS)
        llm_count_write(e.dialect, (int64_t)(r->body.n / 4) + 1, &b);
    else {
        answer_error(r, e.dialect, 404, "the scripted server makes no embeddings");
        return;
    }
    http_answer_whole(r, 200, "application/json", buf_view(&b), NULL);
}

/* --- The way out that leads nowhere --- */

struct asking { /* a connection to the second listener */
    uv_tcp_t tcp;
    uv_write_t write;
    struct scripted *s;
    char bytes[2048]; /* the beginning of its head */
    size_t n;
};

/* The host of a request line "CONNECT host:port HTTP/1.1" or "GET http://host/... HTTP/1.1". */
static struct str asked_host(struct str line)
{
    struct str word;
    if (!str_next(&line, ' ', &word) || !str_next(&line, ' ', &word))
        return STR("");
    long scheme = str_find(word, STR("://"));
    if (scheme >= 0)
        word = str_sub(word, (size_t)scheme + 3, word.n);
    long end = str_find(word, STR("/"));
    word = end >= 0 ? str_sub(word, 0, (size_t)end) : word;
    for (long at; (at = str_find(word, STR("@"))) >= 0;) /* a name and a password are not the host's */
        word = str_sub(word, (size_t)at + 1, word.n);
    return word;
}

static void host_note(struct scripted_counts *c, struct str host)
{
    if (!host.n || host.n >= SCRIPTED_HOST_MAX)
        return;
    for (size_t i = 0; i < host.n; i++)
        if (host.p[i] <= ' ' || host.p[i] >= 0x7f)
            return;
    for (size_t i = 0; i < SCRIPTED_HOSTS; i++) {
        if (!c->hosts[i][0])
            memcpy(c->hosts[i], host.p, host.n);
        if (str_eqz(host, c->hosts[i]))
            return;
    }
}

static void asking_freed(uv_handle_t *h)
{
    mem_free(h->data);
}

static void asking_close(struct asking *a)
{
    if (!uv_is_closing((uv_handle_t *)&a->tcp))
        uv_close((uv_handle_t *)&a->tcp, asking_freed);
}

static void asking_refused(uv_write_t *w, int status)
{
    (void)status;
    asking_close(w->data);
}

static void asking_room(uv_handle_t *h, size_t size, uv_buf_t *ret)
{
    (void)size;
    struct asking *a = h->data;
    *ret = uv_buf_init(a->bytes + a->n, (unsigned)(sizeof a->bytes - a->n));
}

static void asking_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    static char refusal[] = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    struct asking *a = stream->data;
    (void)buf;
    if (n == 0)
        return;
    if (n < 0) {
        asking_close(a);
        return;
    }
    a->n += (size_t)n;
    struct str text = str_n(a->bytes, a->n), line;
    if (str_find(text, STR("\n")) < 0 && a->n < sizeof a->bytes)
        return;
    if (str_line(&text, &line))
        host_note(a->s->counts, asked_host(line));
    uv_buf_t answer = uv_buf_init(refusal, sizeof refusal - 1);
    uv_read_stop(stream);
    a->write.data = a;
    if (uv_write(&a->write, stream, &answer, 1, asking_refused) != 0)
        asking_close(a);
}

static void asking_came(uv_stream_t *listener, int status)
{
    if (status < 0)
        return;
    struct asking *a = mem_new(NULL, struct asking);
    a->s = listener->data;
    if (uv_tcp_init(listener->loop, &a->tcp) != 0) {
        mem_free(a);
        return;
    }
    a->tcp.data = a;
    if (uv_accept(listener, (uv_stream_t *)&a->tcp) != 0 ||
        uv_read_start((uv_stream_t *)&a->tcp, asking_room, asking_read) != 0)
        asking_close(a);
}

static bool outside_listen(struct scripted *s, uv_loop_t *loop, int fd)
{
    uv_tcp_t *tcp = mem_new(NULL, uv_tcp_t);
    if (uv_tcp_init(loop, tcp) != 0 || uv_tcp_open(tcp, fd) != 0)
        return false;
    tcp->data = s;
    return uv_listen((uv_stream_t *)tcp, 64, asking_came) == 0;
}

/* --- The process --- */

_Noreturn static void serve(struct scripted *s, int listener, int outside, pid_t parent)
{
    uv_loop_t loop;
    struct http_server *server;
    struct http_server_spec spec = {
        .loop = &loop, .max_body = SCRIPTED_BODY_MAX, .on_request = on_request, .arg = s, .max_connections = 256};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    if (getppid() != parent || uv_loop_init(&loop) != 0 || http_server_new(mem_root(), &spec, &server, NULL) != RC_OK ||
        http_server_listen_fd(server, listener, NULL) != RC_OK || (outside >= 0 && !outside_listen(s, &loop, outside)))
        _exit(1);
    uv_run(&loop, UV_RUN_DEFAULT);
    _exit(0);
}

enum rc scripted_start(int listener, int outside, const char *command, struct scripted **ret, struct err *err)
{
    struct scripted *s = mem_new(NULL, struct scripted);
    s->command = mem_str(s, command);
    s->counts = mmap(NULL, sizeof *s->counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CLEANUP_FD int fd = fcntl(listener, F_DUPFD_CLOEXEC, 3);
    CLEANUP_FD int second = outside >= 0 ? fcntl(outside, F_DUPFD_CLOEXEC, 3) : -1;
    pid_t parent = getpid();
    bool ready = s->counts != MAP_FAILED && fd >= 0 && (outside < 0 || second >= 0);
    s->pid = ready ? fork() : -1;
    if (s->pid == 0)
        serve(s, fd, second, parent);
    if (s->pid > 0) {
        *ret = s;
        return RC_OK;
    }
    int saved = errno;
    if (s->counts != MAP_FAILED)
        munmap(s->counts, sizeof *s->counts);
    mem_free(s);
    return err_sys(err, saved, "could not start the scripted model server");
}

const struct scripted_counts *scripted_counts(const struct scripted *s)
{
    return s->counts;
}

struct scripted *scripted_stop(struct scripted *s)
{
    if (!s)
        return NULL;
    kill(s->pid, SIGKILL);
    while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    munmap(s->counts, sizeof *s->counts);
    return mem_free(s);
}
