/* nightmill.yaml: what a project says about itself. Parsed from the bytes of the base commit; this room never reads the
 * file from disk, and nothing in it may widen what the operator allowed (there is no key for changed checks).
 *
 *     checks:
 *       test: make test                 # short for {command: make test}
 *       lint: {command: ruff check ., timeout: 2m, required: false}
 *     setup: [npm ci]                   # once; what it makes and git ignores is there for agent and checks
 *     protect: ["**.snap", "golden/"]    # on top of the built-in globs
 *     hooks:
 *       before-done: [./scripts/gate.sh, {command: ./slow.sh, timeout: 5m}]
 *     limits: {iterations: 20, time: 2h, tokens: 2000000, money: 2.00}
 *     egress: {setup: [packages.example.org], work: [{host: docs.example.org, methods: [GET]}]}
 *     agent: {name: builtin, model: some-model, instructions: "Keep the public API.", arguments: [--verbose]}
 *     agents:
 *       careful: {agent: codex, instructions: "Write the test first.", arguments: [--verbose]}
 *     mcp:
 *       docs: {command: node, args: [tools/docs-server.js], env: {TOKEN: "${DOCS_TOKEN}"}}
 *
 * Strict: an unknown key, a wrong type or value is one sentence with line and column and the nearest right name.
 * Texts belong to the context given. Threads: no state. */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include "conf/egress.h"

#define PROJECT_FILE "nightmill.yaml"

struct project_check {
    const char *name, *command;
    int64_t timeout_s; /* 0: setting check.timeout */
    bool required;
};
struct project_hook {
    const char *when; /* "before-iteration", "after-iteration", "before-done", "on-stop" */
    const char *command;
    int64_t timeout_s; /* 0: setting hooks.timeout */
};
struct project_agent { /* a named configuration */
    const char *name, *agent;
    const char *model, *instructions; /* NULL: not said */
    const char *const *arguments;     /* NULL-terminated, never NULL */
};
struct project_server { /* an MCP server over stdio that agents are given */
    const char *name;
    const char *const *argv; /* NULL-terminated */
    const char *const *env;  /* "NAME=value", NULL-terminated; ${NAME} in a value stands for a secret that is lent */
};
struct project {
    const struct project_check *checks; /* in the order of the file */
    size_t check_count;
    const char *const *setup;   /* NULL-terminated, never NULL */
    const char *const *protect; /* NULL-terminated, never NULL */
    const struct project_hook *hooks;
    size_t hook_count;
    int64_t iterations, time_s, tokens;       /* 0: not said */
    int64_t money;                            /* pico-units of the setting money.currency; -1: not said */
    const char *agent, *model, *instructions; /* NULL: not said */
    const char *const *arguments;             /* of agents that are programs; NULL-terminated, never NULL */
    const struct project_agent *agents;
    size_t agent_count;
    const struct project_server *servers;
    size_t server_count;
    struct egress egress; /* what it needs of the outside */
};
/* `name` stands in errors, usually PROJECT_FILE. RC_INVALID with one sentence; *ret is then empty. */
MUST_USE enum rc project_parse(mem *ctx, struct str text, const char *name, struct project *ret, struct err *err);
/* The keys and what they mean as a Markdown table, for the docs. */
struct buf;
void project_markdown(struct buf *out);
