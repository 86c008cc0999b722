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
