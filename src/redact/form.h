/* What the redactor looks for, as literal byte strings and the rules that follow them. Private to this room. */
#pragma once
#include "base/str.h"

/* Calls fn with every form of a secret, also of pieces of a long one; forms of fewer than REDACT_SECRET_MIN bytes and
 * repeated ones are left out. The bytes are fn's for the call alone. */
void redact_forms(struct str secret, void (*fn)(void *arg, struct str form), void *arg);

/* Sets of bytes. */
enum byte_set {
    SET_WORD = 1,     /* letters, digits, '_', '-' */
    SET_UPPER = 2,    /* capital letters, digits */
    SET_VALUE = 4,    /* what values of headers and queries are made of, without white space, quotes, brackets */
    SET_GAP = 8,      /* between a name and its value */
    SET_BLOCK = 16,   /* the inside of a PEM file, also as a JSON string */
    SET_LETTER = 32,  /* ASCII letters */
    SET_COOKIE = 64,  /* a list of cookies */
    SET_DOTTED = 128, /* SET_WORD and '.' */
};
extern const uint8_t byte_sets[256];

enum pattern_kind {
    PATTERN_RUN,     /* the literal, then at least `least` bytes of the set */
    PATTERN_KEYWORD, /* the literal, a gap with ':' or '=', perhaps a scheme, then a value of at least `least` bytes */
    PATTERN_VALUE,   /* as PATTERN_RUN, but the literal stays */
    PATTERN_JWT,     /* two or three parts of base64 URL, the first two are JSON objects */
    PATTERN_BLOCK,   /* the literal and all bytes of the set, to a PATTERN_BLOCK_END or BLOCK_MOST bytes */
    PATTERN_BLOCK_END,
};
#define BLOCK_MOST    16384
#define GAP_MOST      12
#define SCHEME_MOST   10   /* letters of "Bearer" and others */
#define JWT_HEAD_MOST 1024 /* bytes of the first part */
struct pattern {
    const char *name;
    enum pattern_kind kind;
    bool at_word; /* the byte before must not be one of a word */
    uint8_t set;
    uint32_t least;
    bool scheme;
    const char *const *literals; /* NULL-terminated */
};
#define PATTERNS_MOST 64
extern const struct pattern patterns[];
extern const size_t pattern_count;
