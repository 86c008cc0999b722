-- Notifications: an outbox that is filled in the transaction of the event that it tells of. Levels are bits: 1 now, 2 done, 4 digest; 0 is told to
-- nobody. Times are nanoseconds since 1970 UTC, 0: not yet.
CREATE TABLE channel (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('webhook', 'email', 'push')),
    name TEXT NOT NULL,
    target TEXT NOT NULL, -- URL, address, endpoint; secrets of webhooks stand in the table sealed
    levels INTEGER NOT NULL,
    p256dh TEXT NOT NULL, -- of push: keys of the subscription
    auth TEXT NOT NULL,
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    user_name TEXT NOT NULL,
    created_ns INTEGER NOT NULL,
    last_ok_ns INTEGER NOT NULL,
    failures INTEGER NOT NULL, -- deliveries given up since the last one that arrived
    problem TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX channel_push ON channel (target) WHERE kind = 'push';

CREATE TABLE notice (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uid TEXT NOT NULL UNIQUE, -- what receivers know it by
    key TEXT NOT NULL UNIQUE, -- what it tells of: the same is told once
    level INTEGER NOT NULL,
    kind TEXT NOT NULL,
    task TEXT NOT NULL,
    words TEXT NOT NULL,
    time_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX notice_time ON notice (time_ns);

CREATE TABLE delivery (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    notice INTEGER NOT NULL,
    channel TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'failed', 'dropped')),
    attempts INTEGER NOT NULL,
    next_ns INTEGER NOT NULL,
    sent_ns INTEGER NOT NULL,
    status INTEGER NOT NULL, -- the last answer's; 0: none
    words TEXT NOT NULL -- why the last try failed
) STRICT;
CREATE INDEX delivery_due ON delivery (next_ns, id) WHERE state = 'waiting';
CREATE INDEX delivery_notice ON delivery (notice, id);
CREATE INDEX delivery_channel ON delivery (channel) WHERE state = 'waiting';
