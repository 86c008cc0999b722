/* The tree of processes, by parents. */
#include "os/census.h"
#include "base/mem.h"
#include "base/str.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PROCESSES_MOST = 32768, DEPTH_MOST = 64 };

struct seen {
    pid_t pid, parent;
    int64_t rss_pages;
};

/* /proc/PID/stat: "pid (name) state ppid ..."; the name may hold anything, so what counts begins behind its end. */
static bool stat_read(const char *pid, struct seen *ret)
{
    char path[64], text[1024];
    int parent;
    long long rss;
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    const char *end = strrchr(text, ')');
    if (!end ||
        sscanf(end + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %*u %*u %lld",
               &parent, &rss) != 2)
        return false;
    *ret = (struct seen){.pid = atoi(pid), .parent = parent, .rss_pages = rss};
    return true;
}

static int by_pid(const void *a, const void *b)
{
    pid_t x = ((const struct seen *)a)->pid, y = ((const struct seen *)b)->pid;
    return (x > y) - (x < y);
}

static void count(struct census *entries, size_t n, const struct seen *all, size_t total, const struct seen *one)
{
    pid_t at = one->parent;
    for (int depth = 0; depth < DEPTH_MOST && at > 1; depth++) {
        for (size_t i = 0; i < n; i++) {
            if (entries[i].root != at)
                continue;
            entries[i].processes++;
            entries[i].rss_bytes += one->rss_pages * sysconf(_SC_PAGESIZE);
            return;
        }
        struct seen key = {.pid = at};
        const struct seen *parent = bsearch(&key, all, total, sizeof *all, by_pid);
        at = parent ? parent->parent : 0;
    }
}

void census_take(struct census *entries, size_t n)
{
    CLEANUP_MEM mem *tmp = mem_root();
    struct seen *all = mem_array(tmp, struct seen, PROCESSES_MOST);
    size_t total = 0;
    DIR *proc = opendir("/proc");
    for (size_t i = 0; i < n; i++)
        entries[i].processes = entries[i].rss_bytes = 0;
    for (struct dirent *e; proc && total < PROCESSES_MOST && (e = readdir(proc));)
        if (e->d_name[0] >= '0' && e->d_name[0] <= '9' && stat_read(e->d_name, &all[total]))
            total++;
    if (proc)
        closedir(proc);
    qsort(all, total, sizeof *all, by_pid);
    for (size_t i = 0; i < total; i++)
        count(entries, n, all, total, &all[i]);
}
