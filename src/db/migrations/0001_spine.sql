-- Tasks and what belongs to them. Times are nanoseconds since 1970 UTC (0: not yet), money is in pico-units (10^-12) of its
-- currency, identifiers of tasks and approvals are 7 random characters.

-- The narrow row that lists and counters touch. last_event and last_origin number the task's events without gaps.
CREATE TABLE task (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE CHECK (length(id) = 7),
    title TEXT NOT NULL,
    repo TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN
        ('queued', 'working', 'checking', 'needs_you', 'paused', 'done', 'unproven', 'stopped', 'failed')),
    reason TEXT NOT NULL,
    words TEXT NOT NULL,
    branch TEXT,
    commit_id TEXT,
    applied INTEGER NOT NULL CHECK (applied IN (0, 1)),
    iteration INTEGER NOT NULL CHECK (iteration >= 0),
    iteration_limit INTEGER NOT NULL,
    created_ns INTEGER NOT NULL,
    changed_ns INTEGER NOT NULL,
    started_ns INTEGER NOT NULL,
    ended_ns INTEGER NOT NULL,
    worked_ns INTEGER NOT NULL,
    limit_time_s INTEGER NOT NULL,
    limit_tokens INTEGER NOT NULL,
    limit_money INTEGER NOT NULL,
    currency TEXT NOT NULL,
    last_event INTEGER NOT NULL DEFAULT 0,
    last_origin INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX task_state ON task (state, number);
CREATE INDEX task_repo ON task (repo, number);
CREATE INDEX task_repo_state ON task (repo, state, number);
CREATE INDEX task_active ON task (number) WHERE state NOT IN ('done', 'unproven', 'stopped', 'failed');
CREATE INDEX task_repo_active ON task (repo, number) WHERE state NOT IN ('done', 'unproven', 'stopped', 'failed');

-- What may be long: kept apart, so that counting events does not rewrite it.
CREATE TABLE task_text (
    number INTEGER PRIMARY KEY REFERENCES task (number),
    text TEXT NOT NULL,
    spec TEXT NOT NULL
) STRICT;

-- Append-only. No reference to task: an event is inserted only after its number was taken from the task's row.
CREATE TABLE event (
    task_id TEXT NOT NULL,
    number INTEGER NOT NULL CHECK (number > 0),
    time_ns INTEGER NOT NULL,
    type TEXT NOT NULL,
    actor TEXT NOT NULL,
    data TEXT NOT NULL,
    origin INTEGER NOT NULL CHECK (origin >= 0),
    PRIMARY KEY (task_id, number)
) STRICT;
CREATE UNIQUE INDEX event_origin ON event (task_id, origin) WHERE origin > 0;

CREATE TABLE approval (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 7),
    task_id TEXT NOT NULL REFERENCES task (id),
    gate TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    subject TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('waiting', 'approved', 'refused', 'expired')),
    answer TEXT,
    answered_by TEXT,
    asked_ns INTEGER NOT NULL,
    answered_ns INTEGER NOT NULL,
    expires_ns INTEGER NOT NULL,
    UNIQUE (task_id, sequence)
) STRICT;
CREATE INDEX approval_waiting ON approval (asked_ns) WHERE outcome = 'waiting';

-- Rates are pico-units a token. A row is never changed: a new price is a new row with a later from_ns.
CREATE TABLE price (
    id INTEGER PRIMARY KEY,
    model TEXT NOT NULL,
    currency TEXT NOT NULL CHECK (length(currency) = 3),
    source TEXT NOT NULL,
    built_in INTEGER NOT NULL CHECK (built_in IN (0, 1)),
    from_ns INTEGER NOT NULL,
    input INTEGER NOT NULL CHECK (input >= 0),
    cache_read INTEGER NOT NULL CHECK (cache_read >= 0),
    cache_write INTEGER NOT NULL CHECK (cache_write >= 0),
    cache_write_1h INTEGER NOT NULL CHECK (cache_write_1h >= 0),
    output INTEGER NOT NULL CHECK (output >= 0),
    above_input INTEGER NOT NULL CHECK (above_input >= 0),
    above_cache_read INTEGER NOT NULL CHECK (above_cache_read >= 0),
    above_cache_write INTEGER NOT NULL CHECK (above_cache_write >= 0),
    above_cache_write_1h INTEGER NOT NULL CHECK (above_cache_write_1h >= 0),
    above_output INTEGER NOT NULL CHECK (above_output >= 0),
    above_tokens INTEGER NOT NULL CHECK (above_tokens >= 0)
) STRICT;
CREATE INDEX price_model ON price (model, built_in, from_ns);

-- One attempt of a model request: its upper bound is held before it is sent.
CREATE TABLE hold (
    id INTEGER PRIMARY KEY,
    task_id TEXT NOT NULL REFERENCES task (id),
    key TEXT NOT NULL,
    attempt INTEGER NOT NULL CHECK (attempt > 0),
    iteration INTEGER NOT NULL,
    model TEXT NOT NULL,
    price_id INTEGER NOT NULL,
    currency TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    tokens INTEGER NOT NULL CHECK (tokens >= 0),
    state TEXT NOT NULL CHECK (state IN ('open', 'settled', 'released', 'kept')),
    opened_ns INTEGER NOT NULL,
    UNIQUE (task_id, key, attempt)
) STRICT;
CREATE INDEX hold_live ON hold (task_id) WHERE state IN ('open', 'kept');
CREATE INDEX hold_open ON hold (id) WHERE state = 'open';

-- What was used, one row for each settled hold.
CREATE TABLE ledger (
    id INTEGER PRIMARY KEY,
    hold_id INTEGER NOT NULL UNIQUE REFERENCES hold (id),
    task_id TEXT NOT NULL REFERENCES task (id),
    iteration INTEGER NOT NULL,
    time_ns INTEGER NOT NULL,
    model TEXT NOT NULL,
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
CREATE INDEX ledger_task ON ledger (task_id, id);

-- Whole answers of model requests, until their task is final.
CREATE TABLE reply (
    task_id TEXT NOT NULL REFERENCES task (id),
    key TEXT NOT NULL,
    status INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (task_id, key)
) STRICT;
