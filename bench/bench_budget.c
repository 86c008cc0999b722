/* What a budget costs a request: reserve and settle over five scopes, in memory, by one thread and by two at once.
 *
 *   bench_budget [FOLDER]   works in a new folder below FOLDER (/var/tmp) and removes it
 *
 * Prints one line a figure: name, median of the rounds, unit, and a remark, separated by tabs. Holds and ledger rows,
 * which go to the disk many at a time, are not in it: see bench_store. */
#include "base/clock.h"
#include "gateway/budget.h"
#include "os/path.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ROUNDS 9
#define PAIRS  200000

static struct budgets *budgets;
static const struct spender who = {
    .organisation = "mill", .project = "mill", .agent = "mill", .key = "mill", .user = "mill"};

static void need(bool ok, const char *what, const struct err *err)
{
    if (ok)
        return;
    fprintf(stderr, "bench_budget: %s: %s %s\n", what, err ? err->sentence : "", err ? err->detail : "");
    exit(1);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void *pairs_run(void *arg)
{
    const struct bound bound = {.currency = "USD", .amount = 20000000000, .tokens = 2000};
    int64_t now = clock_wall_ns();
    (void)arg;
    for (int i = 0; i < PAIRS; i++) {
        struct reservation r = {0};
        struct refusal refusal;
        struct err err = {0};
        need(budgets_reserve(budgets, &who, &bound, now + i, &r, &refusal, &err) == RC_OK, "reserve", &err);
        budgets_settle(budgets, &r, 1000000000, "USD", 100);
    }
    return NULL;
}

/* Nanoseconds a pair of calls, with that many threads at it. */
static double round_run(int threads)
{
    pthread_t other;
    int64_t began = clock_mono_ns();
    if (threads > 1)
        need(pthread_create(&other, NULL, pairs_run, NULL) == 0, "thread", NULL);
    pairs_run(NULL);
    if (threads > 1)
        pthread_join(other, NULL);
    return (double)(clock_mono_ns() - began) / PAIRS / threads;
}

static void figure(const char *name, int threads)
{
    double ns[ROUNDS];
    for (int i = 0; i < ROUNDS; i++)
        ns[i] = round_run(threads);
    qsort(ns, ROUNDS, sizeof *ns, compare);
    printf("%s\t%.0f\tns\tfive scopes, %d thread%s, median of %d, %.0f to %.0f\n", name, ns[ROUNDS / 2], threads,
           threads == 1 ? "" : "s at once", ROUNDS, ns[0], ns[ROUNDS - 1]);
}

int main(int argc, char **argv)
{
    static const enum scope scopes[] = {SCOPE_ORGANISATION, SCOPE_PROJECT, SCOPE_AGENT, SCOPE_KEY, SCOPE_USER};
    char folder[4096];
    mem *ctx = mem_root();
    struct err err = {0};
    struct store *store;
    snprintf(folder, sizeof folder, "%s/bench-budget-XXXXXX", argc > 1 ? argv[1] : "/var/tmp");
    need(mkdtemp(folder) != NULL, "folder", NULL);
    need(store_open(ctx, folder, &store, &err) == RC_OK, "store", &err);
    need(budgets_open(ctx, store, NULL, &budgets, &err) == RC_OK, "budgets", &err);
    for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++) {
        struct budget b = {.scope = scopes[i],
                           .scope_id = "mill",
                           .window = WINDOW_MONTH,
                           .zone = "Europe/Berlin",
                           .currency = "USD",
                           .money = INT64_MAX / 4,
                           .tokens = -1,
                           .hard = true,
                           .source = "bench"};
        need(budgets_set(budgets, &b, &err) == RC_OK, "budget", &err);
    }
    figure("budget_reserve_settle", 1);
    figure("budget_reserve_settle_contended", 2);
    mem_free((mem *)budgets);
    store_close(store);
    need(path_remove_tree(folder, &err) == RC_OK, "removing the folder", &err);
    mem_free(ctx);
    return 0;
}
