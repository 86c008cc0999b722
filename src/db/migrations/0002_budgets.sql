-- Who asked (organisation, project, task, agent, model, key, user) stands in every hold and ledger row; budgets on any of them;
-- exchange rates. A request without a task (made with a key of a user) has no task_id and no iteration.

-- One attempt of a model request. request_id and attempt tell it from all others: for a request of a run it is the task
-- and the call key.
CREATE TABLE hold_new (
    id INTEGER PRIMARY KEY,
    request_id TEXT NOT NULL,
    attempt INTEGER NOT NULL CHECK (attempt > 0),
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
    price_id INTEGER NOT NULL,
    currency TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    tokens INTEGER NOT NULL CHECK (tokens >= 0),
    state TEXT NOT NULL CHECK (state IN ('open', 'settled', 'released', 'kept')),
    opened_ns INTEGER NOT NULL,
    UNIQUE (request_id, attempt)
) STRICT;
INSERT INTO hold_new (id, request_id, attempt, organisation, project, task_id, agent, model, key_id, user_id, provider,
        dialect, iteration, price_id, currency, amount, tokens, state, opened_ns)
    SELECT hold.id, hold.task_id || '/' || hold.key, hold.attempt, NULL, task.repo, hold.task_id, NULL, hold.model, NULL, NULL,
        '', '', hold.iteration, hold.price_id, hold.currency, hold.amount, hold.tokens, hold.state, hold.opened_ns
    FROM hold JOIN task ON task.id = hold.task_id;

-- What was used, one row for each settled hold, which it is numbered by. opened_ns is the hold's: it says in which window
-- of a budget the row counts.
CREATE TABLE ledger_new (
    hold_id INTEGER PRIMARY KEY REFERENCES hold_new (id),
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
INSERT INTO ledger_new (hold_id, request_id, attempt, organisation, project, task_id, agent, model, key_id, user_id, provider,
        dialect, iteration, opened_ns, time_ns, model_served, price_id, currency, input, cache_read, cache_write,
        cache_write_1h, output, reasoning, cost)
    SELECT h.id, h.request_id, h.attempt, h.organisation, h.project, h.task_id, h.agent, l.model, h.key_id, h.user_id,
        h.provider, h.dialect, l.iteration, h.opened_ns, l.time_ns, l.model_served, l.price_id, l.currency, l.input,
        l.cache_read, l.cache_write, l.cache_write_1h, l.output, l.reasoning, l.cost
    FROM ledger l JOIN hold_new h ON h.id = l.hold_id;

DROP TABLE ledger;
DROP TABLE hold;
ALTER TABLE hold_new RENAME TO hold;
ALTER TABLE ledger_new RENAME TO ledger;
-- Every index is written with every request: one to find what is under way, one for sums of a task, one for those of a time.
CREATE INDEX hold_live ON hold (task_id) WHERE state IN ('open', 'kept');
CREATE INDEX ledger_task ON ledger (task_id) WHERE task_id IS NOT NULL;
CREATE INDEX ledger_opened ON ledger (opened_ns);

-- One unit of from_currency is num/den units of to_currency from a time on. A row is never changed.
CREATE TABLE rate (
    id INTEGER PRIMARY KEY,
    from_currency TEXT NOT NULL CHECK (length(from_currency) = 3),
    to_currency TEXT NOT NULL CHECK (length(to_currency) = 3 AND to_currency <> from_currency),
    num INTEGER NOT NULL CHECK (num > 0),
    den INTEGER NOT NULL CHECK (den > 0),
    from_ns INTEGER NOT NULL,
    source TEXT NOT NULL
) STRICT;
CREATE INDEX rate_pair ON rate (from_currency, to_currency, from_ns);

-- The rates that a hold was made with, so that its settlement uses the same ones.
CREATE TABLE hold_rate (
    hold_id INTEGER NOT NULL REFERENCES hold (id),
    from_currency TEXT NOT NULL,
    to_currency TEXT NOT NULL,
    num INTEGER NOT NULL CHECK (num > 0),
    den INTEGER NOT NULL CHECK (den > 0),
    rate_id INTEGER NOT NULL,
    PRIMARY KEY (hold_id, from_currency, to_currency)
) STRICT;

-- A limit on what a scope may spend in a window of the calendar. -1: no limit of money, of tokens. noticed_ns: the window
-- for which its soft threshold was told.
CREATE TABLE budget (
    id INTEGER PRIMARY KEY,
    scope TEXT NOT NULL CHECK (scope IN ('organisation', 'project', 'task', 'agent', 'model', 'key', 'user')),
    scope_id TEXT NOT NULL,
    period TEXT NOT NULL CHECK (period IN ('total', 'day', 'week', 'two_weeks', 'month')),
    zone TEXT NOT NULL,
    currency TEXT NOT NULL,
    money INTEGER NOT NULL CHECK (money >= -1),
    tokens INTEGER NOT NULL CHECK (tokens >= -1),
    hard INTEGER NOT NULL CHECK (hard IN (0, 1)),
    soft_percent INTEGER NOT NULL CHECK (soft_percent BETWEEN 0 AND 100),
    pause INTEGER NOT NULL CHECK (pause IN (0, 1)),
    keep_unused INTEGER NOT NULL CHECK (keep_unused IN (0, 1)),
    source TEXT NOT NULL,
    set_ns INTEGER NOT NULL,
    changed_ns INTEGER NOT NULL,
    noticed_ns INTEGER NOT NULL,
    UNIQUE (scope, scope_id, period, currency)
) STRICT;

-- Allowance that was left in the windows before and is added to the one that begins at window_ns.
CREATE TABLE budget_carry (
    budget_id INTEGER NOT NULL REFERENCES budget (id),
    window_ns INTEGER NOT NULL,
    money INTEGER NOT NULL CHECK (money >= 0),
    tokens INTEGER NOT NULL CHECK (tokens >= 0),
    time_ns INTEGER NOT NULL,
    PRIMARY KEY (budget_id, window_ns)
) STRICT;
