-- A budget may limit everything that the installation spends: the scope 'all', whose one scope_id is 'all'.
CREATE TABLE budget_new (
    id INTEGER PRIMARY KEY,
    scope TEXT NOT NULL CHECK (scope IN ('organisation', 'project', 'task', 'agent', 'model', 'key', 'user', 'all')),
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
    UNIQUE (scope, scope_id, period, currency),
    CHECK (scope <> 'all' OR scope_id = 'all')
) STRICT;
INSERT INTO budget_new SELECT * FROM budget;

CREATE TABLE budget_carry_new (
    budget_id INTEGER NOT NULL REFERENCES budget_new (id),
    window_ns INTEGER NOT NULL,
    money INTEGER NOT NULL CHECK (money >= 0),
    tokens INTEGER NOT NULL CHECK (tokens >= 0),
    time_ns INTEGER NOT NULL,
    PRIMARY KEY (budget_id, window_ns)
) STRICT;
INSERT INTO budget_carry_new SELECT * FROM budget_carry;

DROP TABLE budget_carry;
DROP TABLE budget;
ALTER TABLE budget_new RENAME TO budget;
ALTER TABLE budget_carry_new RENAME TO budget_carry;
