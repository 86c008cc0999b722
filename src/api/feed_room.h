/* What the files of the live stream share (feed.h). */
#pragma once
#include "api/feed.h"
#include "net/ws.h"
#include <pthread.h>

#define FEED_DATA_MOST    (128 << 10) /* data of one event in the stream; of a longer one its size is told */
#define FEED_PAGE         200         /* events of one read of the database */
#define FEED_RING         4096        /* events in memory */
#define FEED_RING_BYTES   (16u << 20)
#define FEED_REPLAY_MOST  50000 /* events that are replayed to who comes back; beyond it: resync */
#define FEED_TASKS_MOST   64    /* tasks that one viewer follows */
#define FEED_VIEWERS_MOST 5000
#define FEED_HEARTBEAT_S  15

/* Topics as bits; FEED_TASK stands for "task:ID", which is compared by the id. */
enum {
    FEED_TASKS = 1,
    FEED_APPROVALS = 2,
    FEED_MONEY = 4,
    FEED_SETTINGS = 8,
    FEED_SYSTEM = 16,
    FEED_PRESENCE = 32,
    FEED_TASK = 64,
    FEED_ACCESS = 128,
    FEED_MODELS = 256,
    FEED_NOTIFICATIONS = 512,
};
/* Of what an event tells, besides the access that it needs. */
enum feed_reach {
    FEED_PROJECT, /* of its project; of the whole installation when it has none */
    FEED_WHOLE,   /* of the whole installation */
    FEED_SHARED,  /* everybody's who has the access anywhere */
    FEED_OWN,     /* of one user, who sees it too */
};

/* One event, ready to be sent. */
struct feed_item {
    int64_t n;
    uint64_t task;       /* its id as one number; 0: of no task */
    unsigned topics;     /* those besides its task */
    const char *project; /* "" when it belongs to none */
    const char *user;    /* id, of FEED_OWN; "" */
    enum access needed;
    enum feed_reach reach;
    struct str text; /* the message */
};
/* Reads a page of events after a number and makes their messages; all in ctx. Any thread. */
MUST_USE enum rc feed_page(mem *ctx, struct store *s, int64_t after, struct feed_item **ret, size_t *ret_n,
                           struct err *err);
uint64_t feed_task_bits(struct str id); /* 0: no id of a task */
bool feed_may_see(const struct principal *p, const struct feed_item *i);

/* What a viewer wants to see. */
struct feed_wish {
    unsigned topics;
    uint64_t tasks[FEED_TASKS_MOST];
    size_t task_n;
};
static inline bool feed_wanted(const struct feed_wish *w, const struct feed_item *i)
{
    if (w->topics & i->topics)
        return true;
    for (size_t k = 0; i->task && k < w->task_n; k++)
        if (w->tasks[k] == i->task)
            return true;
    return false;
}

struct feed_viewer {
    mem *ctx; /* visits pool threads */
    struct feed *feed;
    struct ws *ws;                /* one of the two; both NULL once it is gone */
    struct http_request *request; /* server-sent events */
    struct feed_viewer *next;
    int64_t id;
    const char *user; /* for people */
    struct principal principal;
    mem *principal_ctx; /* what belongs to it once it was looked up again */
    int64_t checked_ms; /* monotonic: when it was last looked whether it still may */
    struct feed_wish wish;
    bool begun;   /* it has subscribed to something: `at` is meant */
    int64_t at;   /* everything up to here that is its own was sent */
    int64_t now;  /* newest number when it came */
    bool behind;  /* is fed from the database and was told so */
    bool reading; /* a page is read for it */
    bool queued;  /* waits for its turn to have one read */
    bool closing; /* no more is to be sent */
    /* Topics that joined later with an earlier number: what they missed is sent before anything else. */
    bool replaying;
    struct feed_wish more;
    int64_t replay_at, replay_to;
    struct feed_page_job *page;
    int64_t sent_ms; /* monotonic */
    char where[96];  /* presence; "": nowhere */
    char before[96]; /* as the others know it */
    int64_t where_ns;
    bool presence_lost; /* it was too slow for presence: gets a snapshot */
};

struct feed {
    mem *ctx;
    struct server *server;
    struct feed_viewer *viewers;
    size_t viewer_n;
    int64_t last_id;
    /* The ring: items[(first + i) % FEED_RING], i < n, by number. */
    struct feed_entry {
        mem *ctx;
        struct feed_item item;
    } ring[FEED_RING];
    size_t first, n, bytes;
    int64_t base;   /* everything after this number, up to newest, is in the ring */
    int64_t newest; /* 0: not known yet */
    int64_t oldest; /* of the database */
    size_t reads;   /* pages for viewers under way */
    int64_t sent, replayed, resyncs;
    /* Giving all viewers their turn, some at a time. */
    struct feed_viewer *turn;
    bool turning, again;
    /* The reading thread. */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool woken, busy, ending;
    int in_flight; /* batches that the loop has not taken yet */
    int64_t from;  /* it reads after this number; -1: nobody looks */
};

/* feed.c */
void feed_pump(struct feed_viewer *v); /* sends what is due, as far as the connection takes it */
void feed_start(struct feed *f, int64_t newest);
int64_t feed_newest(const struct feed *f, const struct feed_viewer *v);

/* feed_viewer.c */
void viewer_send(struct feed_viewer *v, struct str text, int64_t n); /* n 0: none */
size_t viewer_backlog(const struct feed_viewer *v);
void viewer_heartbeat(struct feed_viewer *v);
void viewer_end(struct feed_viewer *v, int code, const char *reason);
void viewer_gap(struct feed_viewer *v);
void viewer_unlink(struct feed_viewer *v); /* and frees it, unless a job holds it */
/* feed_standing.c: from time to time, whether the login or key of a viewer still holds, and what it may see. */
void standing_check(struct feed_viewer *v, int64_t now_ms);
void presence_tick(struct feed *f);
void presence_left(struct feed_viewer *v);
