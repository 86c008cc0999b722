-- How far the file of the books (src/store/books.h) stands in the tables. store_id tells it from the file of another database.
CREATE TABLE books (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    store_id TEXT NOT NULL,
    seq INTEGER NOT NULL CHECK (seq >= 0)
) STRICT;

-- A hold that has ended before it became a row leaves its ledger row alone: hold_id is the number of the hold, which need not be there.
CREATE TABLE ledger_new (
    hold_id INTEGER PRIMARY KEY,
    request_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    organisation TEXT,
    project TEXT,
    task_id TEXT REFERENCES task (id),
    agent TEXT,
    model TEXT NOT NULL,
    key_id TEXT,
    user_id TEXT,
    provider TEXT NOT NULL,
    dialect TEXT NOT NULL,
    iteration INTEGER NOT NULL,
    opened_ns INTEGER NOT NULL,
    time_ns INTEGER NOT NULL,
    model_served TEXT NOT NULL,
    price_id INTEGER NOT NULL,
    currency TEXT NOT NULL,
    input INTEGER NOT NULL CHECK (input >= 0),
    cache_read INTEGER NOT NULL CHECK (cache_read >= 0),
    cache_write INTEGER NOT NULL CHECK (cache_write >= 0),
    cache_write_1h INTEGER NOT NULL CHECK (cache_write_1h >= 0),
    output INTEGER NOT NULL CHECK (output >= 0),
    reasoning INTEGER NOT NULL CHECK (reasoning >= 0),
    cost INTEGER NOT NULL CHECK (cost >= 0)
) STRICT;
INSERT INTO ledger_new SELECT * FROM ledger;
DROP TABLE ledger;
ALTER TABLE ledger_new RENAME TO ledger;
CREATE INDEX ledger_task ON ledger (task_id) WHERE task_id IS NOT NULL;
CREATE INDEX ledger_opened ON ledger (opened_ns);

-- The same table with checks that cost less: for IN with more than two texts SQLite makes a table at each insert.
CREATE TABLE exchange_new (
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
    state TEXT NOT NULL CHECK (state = 'open' OR state = 'done' OR state = 'incomplete'),
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
    request_body TEXT NOT NULL CHECK (request_body = '' OR request_body = 'whole' OR request_body = 'cut' OR request_body = 'expired'),
    answer_body TEXT NOT NULL CHECK (answer_body = '' OR answer_body = 'whole' OR answer_body = 'cut' OR answer_body = 'expired')
) STRICT;
INSERT INTO exchange_new SELECT * FROM exchange;
DROP TABLE exchange;
ALTER TABLE exchange_new RENAME TO exchange;
CREATE INDEX exchange_task ON exchange (task, number) WHERE task <> '';
CREATE INDEX exchange_key ON exchange (key, number) WHERE key <> '';
CREATE INDEX exchange_project ON exchange (project, number) WHERE project <> '';
CREATE INDEX exchange_open ON exchange (number) WHERE state = 'open';
CREATE INDEX exchange_time ON exchange (time_ns);
CREATE INDEX exchange_bodies ON exchange (time_ns) WHERE request_body IN ('whole', 'cut') OR answer_body IN ('whole', 'cut');
