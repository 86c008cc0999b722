-- The record of model requests: what the gateway keeps of each exchange besides its money. Texts are '' where nothing applies; times are
-- nanoseconds since 1970 UTC, durations milliseconds (-1: none), money pico-units of its currency. Bodies were redacted before they came here.

CREATE TABLE exchange (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    time_ns INTEGER NOT NULL,
    organisation TEXT NOT NULL,
    project TEXT NOT NULL,
    task TEXT NOT NULL,
    agent TEXT NOT NULL,
    key TEXT NOT NULL,
    user_id TEXT NOT NULL,
    dialect TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    model TEXT NOT NULL,
    client TEXT NOT NULL,
    stream INTEGER NOT NULL CHECK (stream IN (0, 1)),
    state TEXT NOT NULL CHECK (state IN ('open', 'done', 'incomplete')),
    status INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    provider TEXT NOT NULL,
    model_served TEXT NOT NULL,
    content_type TEXT NOT NULL,
    usage_known INTEGER NOT NULL CHECK (usage_known IN (0, 1)),
    input INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    output INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    currency TEXT NOT NULL,
    cache_hit INTEGER NOT NULL CHECK (cache_hit IN (0, 1)),
    first_byte_ms INTEGER NOT NULL,
    ms INTEGER NOT NULL,
    words TEXT NOT NULL,
    attempts TEXT NOT NULL, -- JSON array
    request_hash TEXT NOT NULL,
    request_bytes INTEGER NOT NULL, -- as sent, not as kept
    answer_bytes INTEGER NOT NULL,
    request_body TEXT NOT NULL CHECK (request_body IN ('', 'whole', 'cut', 'expired')),
    answer_body TEXT NOT NULL CHECK (answer_body IN ('', 'whole', 'cut', 'expired'))
) STRICT;
CREATE INDEX exchange_task ON exchange (task, number) WHERE task <> '';
CREATE INDEX exchange_key ON exchange (key, number) WHERE key <> '';
CREATE INDEX exchange_project ON exchange (project, number) WHERE project <> '';
CREATE INDEX exchange_open ON exchange (number) WHERE state = 'open';
CREATE INDEX exchange_time ON exchange (time_ns);
CREATE INDEX exchange_bodies ON exchange (time_ns) WHERE request_body IN ('whole', 'cut') OR answer_body IN ('whole', 'cut');

-- Pieces of bodies in order, each a zlib stream (RFC 1950) of its own.
CREATE TABLE exchange_piece (
    exchange INTEGER NOT NULL,
    side TEXT NOT NULL CHECK (side IN ('request', 'answer')),
    piece INTEGER NOT NULL CHECK (piece > 0),
    bytes INTEGER NOT NULL CHECK (bytes > 0), -- before compression
    packed BLOB NOT NULL,
    PRIMARY KEY (exchange, side, piece)
) STRICT;

-- What is kept of a project's requests, where it differs from the settings.
CREATE TABLE record_policy (
    project TEXT NOT NULL PRIMARY KEY CHECK (project <> ''),
    keep TEXT NOT NULL CHECK (keep IN ('none', 'metadata', 'full')),
    days_metadata INTEGER NOT NULL CHECK (days_metadata >= 0),
    days_bodies INTEGER NOT NULL CHECK (days_bodies >= 0),
    body_max INTEGER NOT NULL CHECK (body_max >= 0)
) STRICT;
