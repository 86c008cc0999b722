/* What the files of this room share: the event splitter, the parts of an answer under construction, and what a dialect
 * tells about reading its answers. Private to this room. */
#pragma once
#include "llm/bridge.h"
#include "llm/request.h"

/* Server-sent events (WHATWG HTML, "Server-sent events"): lines end with LF, CR or CRLF; a blank line ends an event. */
struct sse {
    struct buf line, name, data;
    bool after_cr; /* a LF that comes next belongs to the CR before it */
    bool begun;    /* a line was seen: a byte order mark is dropped only before the first */
    bool has_data; /* a data line came, perhaps an empty one */
    bool foreign;  /* a whole line came before any field or comment: this is no event stream */
    bool known;    /* a field or comment was seen */
};
typedef enum rc (*sse_event_fn)(void *arg, struct str name, struct str data, struct err *err);
void sse_init(struct sse *s, mem *ctx);
MUST_USE enum rc sse_feed(struct sse *s, struct str bytes, sse_event_fn fn, void *arg, struct err *err);
/* Nothing of an event waits: the next byte begins one. */
bool sse_is_between(const struct sse *s);
/* What is left at the end: an unfinished line and an event without its blank line count as finished. */
MUST_USE enum rc sse_end(struct sse *s, sse_event_fn fn, void *arg, struct err *err);

/* Events that are like the one before but for a piece of text (alike.c). */
enum { ALIKE_PLACES = 6 };
struct alike_place {
    struct str text; /* while it is learned: of the parsed event; afterwards its length alone counts */
    size_t at;
    enum { ALIKE_PIECE, ALIKE_STRING, ALIKE_DIGITS } kind;
};
struct draft;
struct alike {
    bool known;       /* there is a pattern */
    bool has_piece;   /* the event at hand may become one */
    struct buf bytes; /* of the pattern; while it is learned: of the data */
    struct str data;
    struct alike_place places[ALIKE_PLACES]; /* in their order */
    size_t count;
    struct draft *draft; /* what grows */
    struct buf plain;    /* a piece without its escapes */
};
void alike_init(struct alike *a, mem *ctx);
/* Learning, by a dialect (struct llm_wire.vary): this value of the event may differ. is_piece: it is the text that
 * grows a part, and nothing else of the event has an effect that it has not had already. */
void alike_vary(struct alike *a, struct json v, bool is_piece);
void alike_forget(struct alike *a);
void alike_event(struct alike *a, struct str data); /* the event's data, while the dialect's values are valid */
void alike_learn(struct alike *a, struct str event, struct draft *grown);
/* Bytes of an event at the front of `in` that is alike, 0: none. */
size_t alike_take(struct alike *a, struct str in, struct str *ret_piece);

/* A part that is still growing. `part` is first: the list of an answer's message runs through it. */
struct draft {
    struct llm_part part;
    struct buf text;      /* text, reasoning, or the arguments of a call */
    struct buf seal;      /* signature of reasoning */
    int64_t index;        /* the provider's number of the part */
    struct str arguments; /* call: arguments that came whole, used when no pieces come */
    bool identified;
    /* Of `text` when it is the arguments of a call: */
    int depth;                    /* open brackets */
    bool quoted, escaped, closed; /* closed: a whole value was seen */
    size_t shown;                 /* bytes that were written for the client */
};
/* Counts as the provider names them; each only grows (figures are cumulative and may be repeated). */
struct counts {
    int64_t prompt, beside, cached, written, written_5m, written_1h, output, reasoning, total;
};
struct llm_parser {
    const struct llm_dialect *dialect;
    void (*on_delta)(void *arg, struct str text);
    void *arg;
    struct llm_answer answer;
    struct llm_message message;
    mem *scratch; /* of the event under way: emptied after it */
    struct sse sse;
    struct alike alike;
    struct json root;     /* of the event under way; JSON_NONE: none was parsed */
    struct draft *grown;  /* by the event under way, the last */
    size_t grows, events; /* how often a part has grown; events so far */
    struct buf document;  /* bytes of an answer that is no stream */
    enum { SHAPE_UNKNOWN, SHAPE_STREAM, SHAPE_DOCUMENT } shape;
    size_t bytes, part_count;
    struct counts counts;
    int64_t foreign;         /* number of a block of a kind that is not read; -1: none */
    bool at_end;             /* the input is over: an event that makes no sense was cut, not wrong */
    bool finished;           /* a dialect that ends by closing: the last event that counts was seen */
    bool ended;              /* llm_parser_end was called */
    const char *call_prefix; /* of ids for calls that have none */
    bool broken;
    struct err why; /* when broken */
};

struct face;
/* A request while it is read. */
struct reading {
    struct llm_request *r;
    const struct llm_dialect *in;
    mem *tmp;
    struct buf dropped;
    int call_number; /* of calls that came without an id */
};
/* How a dialect reads. `event`: one event of a stream. `whole`: an answer that came as one document. */
struct llm_wire {
    enum rc (*event)(struct llm_parser *p, struct str name, struct str data, struct err *err);
    enum rc (*whole)(struct llm_parser *p, struct json root, struct err *err);
    /* An event that grew one part: names what may differ in it by alike_vary. NULL: nothing is ever alike. */
    void (*vary)(struct alike *a, struct json root);
    bool ends_by_closing; /* no end mark; a stream may also be one JSON array */
    /* Requests: */
    const char *cap;       /* name of the output cap that is added when there is none */
    const char *other_cap; /* another name that it may have, or NULL */
    const char *count;     /* answers asked for, or NULL */
    const char *group;     /* member that holds these three, NULL: the body itself. (Then model and stream are in the
                              path.) */
    bool asks_usage;       /* usage of a stream comes only when stream_options.include_usage asks for it */
    int64_t image_tokens;  /* most tokens of one image */
    enum rc (*decode)(struct reading *r, struct json root, struct err *err);
    enum rc (*encode)(struct llm_request *r, const struct llm_dialect *d, const char *model, int64_t max_output,
                      bool stream, struct buf *b, struct err *err);
    const struct face *face; /* answers for clients */
};
extern const struct llm_dialect llm_chat, llm_openai, llm_responses, llm_messages, llm_gemini;

/* RC_UPSTREAM in words, with the beginning of what came as detail. */
enum rc wire_nonsense(struct err *err, struct str seen, const char *sentence);
/* Parses an event's data. *ret is JSON_NONE (and RC_OK) for what is not an object or was cut by the end. */
MUST_USE enum rc wire_parse(mem *ctx, struct llm_parser *p, struct str data, struct json *ret, struct err *err);
/* NULL once the answer has too many parts; the parser is then broken. */
struct draft *draft_add(struct llm_parser *p, enum llm_part_kind kind, int64_t index);
/* The last part of that kind (of any when kind < 0) with that number, or NULL. */
struct draft *draft_find(struct llm_parser *p, int kind, int64_t index);
void draft_grow(struct llm_parser *p, struct draft *d, struct str piece);
/* Grows the last part when it has the kind, else begins one. Empty pieces change nothing. */
void draft_append(struct llm_parser *p, enum llm_part_kind kind, struct str piece);
/* Gives a call the id that it lacks, and one of its own when another call has it. Ids that were given stay. */
void draft_identify(struct llm_parser *p, struct draft *d);
/* A call's id or name: kept when there is none yet and it is sane (not empty, 1 to 256 bytes, no NUL). */
void draft_name(struct llm_parser *p, const char **member, struct json v);
/* Takes the provider's words from an error object (or string) in any of the shapes in use. */
void wire_failed(struct llm_parser *p, struct json error);
/* Larger of both; only whole numbers from 0 to 10^12 count. */
void count_raise(int64_t *count, struct json v);
/* Model and response id, the first that comes. */
void wire_identity(struct llm_parser *p, struct json object);
struct wire_stop {
    const char *word;
    enum llm_stop stop;
};
enum llm_stop wire_stop(const struct wire_stop *table, size_t n, struct json word);

/* Request bodies. */
/* A tool name that every provider takes: letters, digits, '_', '-', 1 to 64 of them. */
const char *wire_tool_name(mem *ctx, const char *name);
/* Arguments that are a JSON object; those that are none are wrapped into one that shows them. */
struct str wire_arguments(mem *ctx, const struct llm_part *call);
bool wire_blank(struct str text); /* nothing but white space */
/* A header line, or NULL when the key is NULL, empty or could break out of its line. */
const char *wire_key_line(mem *ctx, const char *prefix, const char *key);

/* A member of a body as it stands there: its value and its name between the quotes. */
struct wire_member {
    struct json v;
    struct str key_raw;
};
struct wire_members {
    struct json root;
    struct wire_member model, stream, options, group;
    struct wire_member cap, other_cap, count;
};
/* RC_INVALID for what is no object, has one of these twice, or of the wrong type. */
MUST_USE enum rc wire_members_read(mem *ctx, const struct llm_wire *w, struct str body, struct wire_members *ret,
                                   struct err *err);
/* The member's name, escapes resolved, is `name`; a name in camel case may also be written with underscores. */
bool wire_key(const struct json_iter *it, const char *name);
bool wire_named(struct str key, const char *name);
struct json wire_get(struct json object, const char *name);

/* Seals that travel through a client of another family. */
struct wire_seal {
    const char *origin; /* dialect */
    const char *name, *id;
    struct str opaque;
};
struct str wire_seal_write(mem *ctx, const struct wire_seal *seal, bool base64);
/* Text without a mark is a seal of the dialect `in` itself. */
void wire_seal_read(mem *ctx, struct str text, bool base64, const char *in, struct wire_seal *ret);
bool wire_seal_is_foreign(struct json v, bool base64); /* carries our mark */
/* The part's seal may be sent to that dialect. */
bool wire_origin_is(const struct llm_part *part, const struct llm_dialect *d);
struct str wire_base64(mem *ctx, struct str s);
bool wire_base64_read(mem *ctx, struct str s, struct str *ret); /* either alphabet, padding or none */
/* What Gemini takes in place of the signature of a call that another model made (its reference, "thought signatures").
 */
#define GEMINI_NO_SEAL "skip_thought_signature_validator"

/* Reading requests. Each returns RC_INVALID with the field's name. */
enum field_use { FIELD_READ, FIELD_DROP, FIELD_REFUSE };
struct field {
    const char *name;
    enum field_use use;
};
/* Members of an object against a table: what may be dropped (and what is not known) is listed, what cannot be carried
 * is refused where it is set (not null, false, or empty). */
MUST_USE enum rc read_fields(struct reading *rd, struct json object, const struct field *table, size_t n,
                             struct err *err);
enum rc read_refuse(struct err *err, const char *field, const char *why);
enum rc read_uncarried(struct err *err,
                       const char *field); /* "... cannot be carried to another provider's wire format" */
void read_drop(struct reading *rd, const char *what);
MUST_USE enum rc read_number(struct reading *rd, struct json v, const char *name, struct str *slot, struct err *err);
MUST_USE enum rc read_stop(struct reading *rd, struct json v, const char *name, struct err *err);
MUST_USE enum rc read_cap(struct json v, const char *name, int64_t *slot, struct err *err);
/* A text without NUL bytes (they become visible), in the request's memory. NULL when it is no string. */
const char *read_z(struct reading *rd, struct json v);
void read_system_add(struct reading *rd, struct str text);
/* The message that a part of that role goes into: the last one when `join` and it has the role, else a new one. */
struct llm_message *read_message(struct reading *rd, enum llm_role role, bool join);
struct llm_part *read_part(struct reading *rd, struct llm_message *m, enum llm_part_kind kind, struct json text);
struct llm_part *read_media(struct reading *rd, struct llm_message *m, struct llm_part *result);
/* "data:TYPE;base64,..." or an address. False for other data. */
bool read_url(struct reading *rd, struct json v, struct llm_part *media);
MUST_USE enum rc read_tool(struct reading *rd, struct json name, struct json description, struct json schema,
                           bool strict, struct llm_tool **ret, struct err *err);
/* What OpenAI's two wires say alike. name: where the wire has the name of the one tool; of_schema: where it has name,
 * schema and strict. */
MUST_USE enum rc read_openai_choice(struct reading *rd, struct json choice, struct json name, struct err *err);
MUST_USE enum rc read_openai_format(struct reading *rd, struct json format, struct json of_schema, const char *field,
                                    struct err *err);
#define READ_CHECK(call)                                                                                               \
    do {                                                                                                               \
        enum rc rc_ = (call);                                                                                          \
        if (rc_)                                                                                                       \
            return rc_;                                                                                                \
    } while (0)

/* Writing requests. */
struct writing {
    struct llm_request *r;
    const struct llm_conversation *c;
    const struct llm_dialect *d;
    const char *model;
    int64_t max_output;
    bool stream;
    struct json_out o;
    mem *tmp;
};
void write_begin(struct writing *w, struct llm_request *r, const struct llm_dialect *d, const char *model,
                 int64_t max_output, bool stream, struct buf *b);
void write_drop(struct writing *w, const char *what); /* lists it */
enum rc write_uncarried(struct writing *w, const char *what, struct err *err);
void write_number(struct writing *w, const char *name, struct str number); /* nothing when it is empty */
/* Lists each of these that is set and has no name in the dialect. */
void write_drop_numbers(struct writing *w, bool top_k, bool seed, bool penalties);
/* An effort in words, from the effort or the budget; NULL: not set. */
const char *write_effort(const struct llm_request *r);
/* Whether OpenAI's dialects ask for reasoning, and the effort (NULL: the model's own). Models that do not reason refuse
 * it: what the client did not name as an effort is asked only of models that are known to. What is not is listed. */
bool write_openai_effort(struct writing *w, const char **ret_effort);
/* A budget from the budget or the effort; LLM_BUDGET_UNSET: not set. */
int64_t write_budget(const struct llm_request *r);
/* The conversation alone, as the agent asks: streamed, nothing else set. */
void write_conversation(const struct llm_dialect *d, const struct llm_conversation *c, const char *model,
                        int64_t max_output, struct buf *b);
const char *wire_call_id(mem *ctx, const char *id); /* letters, digits, '_', '-' */
bool wire_is_image(const struct llm_part *media);
char *wire_data_url(mem *ctx, const struct llm_part *media);
/* Sets a call's arguments; what is no object of bounded depth becomes bad_arguments. */
void wire_call_arguments(struct llm_part *call, struct str arguments);

enum rc chat_decode(struct reading *rd, struct json root, struct err *err);
enum rc messages_decode(struct reading *rd, struct json root, struct err *err);
enum rc responses_decode(struct reading *rd, struct json root, struct err *err);
enum rc gemini_decode(struct reading *rd, struct json root, struct err *err);
extern const struct face chat_face, messages_face, responses_face, gemini_face;
/* The error event of a Responses stream, with its number. */
void error_responses_event(int status, const struct err *err, int64_t sequence, struct buf *ret);
