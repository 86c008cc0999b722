/* A ring in a mapped file: a header with the length of the stream, then the bytes, position modulo size. */
#include "flow/scrollback.h"
#include "base/err.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "nightmill scrollback 1\n"

struct head {
    char magic[32];
    uint64_t size;
    uint64_t total;
};
struct scrollback {
    struct head *head;
    char *bytes;
    size_t size, mapped;
};

static int scrollback_free(struct scrollback *s)
{
    munmap(s->head, s->mapped);
    return 0;
}

static void *file_map(const char *path, size_t size)
{
    CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return MAP_FAILED;
    /* Room for all of it now: a page that finds none later would end the process. */
    if (((size_t)st.st_size != size && ftruncate(fd, (off_t)size) < 0) || posix_fallocate(fd, 0, (off_t)size) != 0)
        return MAP_FAILED;
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

struct scrollback *scrollback_open(mem *ctx, const char *path, size_t size)
{
    struct scrollback *s = mem_new(ctx, struct scrollback);
    void *at = file_map(path, sizeof(struct head) + size);
    if (at == MAP_FAILED)
        at = mmap(NULL, sizeof(struct head) + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    BUG_ON(at == MAP_FAILED);
    s->head = at;
    s->bytes = (char *)at + sizeof(struct head);
    s->size = size;
    s->mapped = sizeof(struct head) + size;
    talloc_set_destructor(s, scrollback_free);
    if (strncmp(s->head->magic, MAGIC, sizeof s->head->magic) != 0 || s->head->size != size) {
        *s->head = (struct head){.size = size};
        memcpy(s->head->magic, MAGIC, sizeof MAGIC);
    }
    return s;
}

void scrollback_add(struct scrollback *s, struct str bytes)
{
    s->head->total += bytes.n;
    uint64_t at = s->head->total - bytes.n;
    if (bytes.n > s->size) { /* only its end can stay */
        at += bytes.n - s->size;
        bytes = str_n(bytes.p + bytes.n - s->size, s->size);
    }
    while (bytes.n) {
        size_t from = (size_t)(at % s->size), part = s->size - from < bytes.n ? s->size - from : bytes.n;
        memcpy(s->bytes + from, bytes.p, part);
        at += part;
        bytes = str_n(bytes.p + part, bytes.n - part);
    }
}

uint64_t scrollback_begin(const struct scrollback *s)
{
    return s->head->total > s->size ? s->head->total - s->size : 0;
}

uint64_t scrollback_end(const struct scrollback *s)
{
    return s->head->total;
}

struct str scrollback_view(const struct scrollback *s, uint64_t from, size_t most)
{
    if (from < scrollback_begin(s))
        from = scrollback_begin(s);
    if (from >= s->head->total)
        return STR("");
    size_t at = (size_t)(from % s->size), n = s->size - at;
    if (n > s->head->total - from)
        n = (size_t)(s->head->total - from);
    return str_n(s->bytes + at, n < most ? n : most);
}
