/* The one sanitizer for what programs print, before it is kept or reaches somebody's terminal (a page's, or a real
 * one).
 *
 * A stream goes in by pieces of any size, bytes that only paint come out. Whatever acts is left out: strings to the
 * terminal (OSC: title, clipboard, links; DCS, APC, PM, SOS), window operations, printing, and everything that is not
 * on the list in escape.c (ECMA-48, xterm's ctlseqs). Malformed UTF-8 and what reorders or hides text
 * (bidirectional controls, tags) become U+FFFD; C1 controls and concealed text are taken out. What comes out does not
 * depend on how the stream was cut. Linear time, no memory but the caller's buffer; at most 8 bytes come out for each
 * that goes in (and 16 more at once). */
#pragma once
#include "base/buf.h"

enum escape_level {
    /* Lines of text with colours, for logs: no move of the cursor, so nothing printed earlier can be painted over; a
     * lone carriage return begins a new line, line ends are CR LF, and colours end with their line. */
    ESCAPE_COLOURS,
    /* A screen to look at: cursor, erasing, scrolling, the alternate screen. */
    ESCAPE_SCREEN,
    /* A screen to work at: also the modes of keyboard and mouse, the bell, and (while `queries`) questions that the
     * terminal answers as if they were typed. */
    ESCAPE_WORK,
    /* One line that is kept: colours as above, left on at its end; every other control byte becomes a picture of it
     * (U+2400 and on, also the line's end), a C1 control U+FFFD: a log shows what was there. */
    ESCAPE_LINE,
};
enum { ESCAPE_SEQUENCE_MAX = 64 }; /* parameters of one sequence; a longer one is left out */

struct escape_filter {
    enum escape_level level;
    bool queries; /* may be changed between pieces */
    /* Private: */
    int state;
    bool string_escape; /* an ESC was the last byte of a string */
    bool carriage;      /* ESCAPE_COLOURS: a carriage return waits for what follows */
    bool painted;       /* ESCAPE_COLOURS: colours are on */
    unsigned char sequence[ESCAPE_SEQUENCE_MAX];
    size_t sequence_n;
    unsigned char partial[4]; /* of a character */
    size_t partial_n;
};
void escape_filter_init(struct escape_filter *f, enum escape_level level);
void escape_filter_feed(struct escape_filter *f, struct str in, struct buf *out);
/* The stream ends: what was begun is ended or left out, colours are off. */
void escape_filter_end(struct escape_filter *f, struct buf *out);
