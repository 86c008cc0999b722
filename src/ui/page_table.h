/* The table of the packed files, as src/ui/embed.py writes it. Private to this room. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct page_file {
    const char *path; /* "/assets/index-BTi7H6dN.js" */
    const char *type;
    size_t offset, packed, size; /* of its gzip member in page_bytes; size: unpacked */
    const char *etag;
    bool forever; /* its name changes with its content */
};
extern const struct page_file page_files[];
extern const size_t page_file_count;
extern const unsigned char page_bytes[];
