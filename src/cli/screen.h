/* What is written to a terminal or a pipe: whole lines that are only added to and, on a terminal, one status line below
 * them that is rewritten in place. No cursor addressing, no other screen, no redrawing of what was said.
 *
 * Text from an agent or a repository must have gone through text_terminal before it comes here; colours are put around
 * it afterwards. Threads: one. */
#pragma once
#include "base/buf.h"

struct screen {
    int fd;
    bool live; /* a terminal that can rewrite a line */
    bool color;
    bool shown; /* the status line is on the screen */
    char status[512];
};
enum tone { TONE_PLAIN, TONE_STRONG, TONE_FAINT, TONE_GOOD, TONE_BAD, TONE_CARE };

/* when: "auto", "always", "never" (setting output.color). */
void screen_init(struct screen *s, int fd, const char *when);
/* The text in a colour, or as it is where there are none. In ctx. */
const char *screen_paint(mem *ctx, const struct screen *s, enum tone tone, const char *text);
void screen_write(struct screen *s, struct str text);   /* lines, each with its line feed */
void screen_status(struct screen *s, const char *text); /* plain text without colours; NULL takes it away */
int screen_columns(const struct screen *s);             /* 80 when unknown */
/* All of it, whatever the descriptor does; false when nobody reads any more. */
bool write_all(int fd, struct str bytes);
