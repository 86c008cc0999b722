-- Trials: several attempts of one task side by side, of which at most one is delivered. Each attempt is an ordinary task.

CREATE TABLE trial (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE CHECK (length(id) = 7),
    title TEXT NOT NULL,
    repo TEXT NOT NULL,
    rule TEXT NOT NULL CHECK (rule IN ('first', 'cheapest')),
    currency TEXT NOT NULL,
    limit_money INTEGER NOT NULL, -- of all attempts together; -1: none
    limit_tokens INTEGER NOT NULL, -- likewise; 0: none
    winner TEXT, -- the attempt that is delivered; set once
    open INTEGER NOT NULL CHECK (open IN (0, 1)), -- something is to be decided or shared out yet
    created_ns INTEGER NOT NULL,
    decided_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX trial_open ON trial (number) WHERE open = 1;

ALTER TABLE task ADD COLUMN trial TEXT NOT NULL DEFAULT '';
ALTER TABLE task ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0; -- 1.. within its trial
CREATE INDEX task_trial ON task (trial, attempt) WHERE trial <> '';
