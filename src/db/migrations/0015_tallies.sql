-- Sums that are kept with the rows they are of, by triggers and so in the same transaction: how many tasks are in each
-- state, what each iteration used. Nothing writes to them but the triggers.
CREATE TABLE task_tally (
    repo TEXT NOT NULL,
    agent TEXT NOT NULL,
    state TEXT NOT NULL,
    n INTEGER NOT NULL CHECK (n >= 0),
    PRIMARY KEY (repo, agent, state)
) STRICT, WITHOUT ROWID;
INSERT INTO task_tally (repo, agent, state, n) SELECT repo, agent, state, count(*) FROM task GROUP BY repo, agent, state;
CREATE TRIGGER task_tally_insert AFTER INSERT ON task BEGIN
    INSERT INTO task_tally (repo, agent, state, n) VALUES (NEW.repo, NEW.agent, NEW.state, 1)
        ON CONFLICT (repo, agent, state) DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER task_tally_update AFTER UPDATE OF repo, agent, state ON task
    WHEN NEW.state <> OLD.state OR NEW.repo <> OLD.repo OR NEW.agent <> OLD.agent BEGIN
    UPDATE task_tally SET n = n - 1 WHERE repo = OLD.repo AND agent = OLD.agent AND state = OLD.state;
    INSERT INTO task_tally (repo, agent, state, n) VALUES (NEW.repo, NEW.agent, NEW.state, 1)
        ON CONFLICT (repo, agent, state) DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER task_tally_delete AFTER DELETE ON task BEGIN
    UPDATE task_tally SET n = n - 1 WHERE repo = OLD.repo AND agent = OLD.agent AND state = OLD.state;
END;

-- Money as whole units and the rest below one (10^12 pico are one unit), so that no sum leaves the range of an integer;
-- sums of tokens stop at 9 * 10^18. The ledger's rows are never changed and never removed.
CREATE TABLE ledger_tally (
    task_id TEXT NOT NULL,
    iteration INTEGER NOT NULL,
    currency TEXT NOT NULL,
    requests INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    cost_units INTEGER NOT NULL,
    cost_rest INTEGER NOT NULL,
    input INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    output INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    PRIMARY KEY (task_id, iteration, currency)
) STRICT, WITHOUT ROWID;
INSERT INTO ledger_tally (task_id, iteration, currency, requests, unpriced, cost_units, cost_rest, input, cache_read, cache_write,
                          cache_write_1h, output, reasoning)
    SELECT task_id, iteration, currency, count(*), sum(price_id = 0),
           sum(cost / 1000000000000) + sum(cost % 1000000000000) / 1000000000000, sum(cost % 1000000000000) % 1000000000000,
           sum(input), sum(cache_read), sum(cache_write), sum(cache_write_1h), sum(output), sum(reasoning)
    FROM ledger WHERE task_id IS NOT NULL GROUP BY task_id, iteration, currency;

-- What each quarter of an hour cost, by the time at which the request was opened: 900 s, and every time zone's day begins
-- with one. Written by who writes the ledger, in the same transaction, for many rows at once: a trigger would cost each
-- row a third more.
CREATE TABLE ledger_quarter (
    quarter INTEGER NOT NULL, -- opened_ns / 900000000000
    currency TEXT NOT NULL,
    requests INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    cost_units INTEGER NOT NULL,
    cost_rest INTEGER NOT NULL,
    PRIMARY KEY (quarter, currency)
) STRICT, WITHOUT ROWID;
INSERT INTO ledger_quarter (quarter, currency, requests, unpriced, cost_units, cost_rest)
    SELECT opened_ns / 900000000000, currency, count(*), sum(price_id = 0),
           sum(cost / 1000000000000) + sum(cost % 1000000000000) / 1000000000000, sum(cost % 1000000000000) % 1000000000000
    FROM ledger GROUP BY 1, 2;
CREATE TRIGGER ledger_tally_insert AFTER INSERT ON ledger WHEN NEW.task_id IS NOT NULL BEGIN
    INSERT INTO ledger_tally (task_id, iteration, currency, requests, unpriced, cost_units, cost_rest, input, cache_read,
                              cache_write, cache_write_1h, output, reasoning)
        VALUES (NEW.task_id, NEW.iteration, NEW.currency, 1, NEW.price_id = 0, NEW.cost / 1000000000000,
               NEW.cost % 1000000000000, NEW.input, NEW.cache_read, NEW.cache_write, NEW.cache_write_1h, NEW.output,
               NEW.reasoning)
        ON CONFLICT (task_id, iteration, currency) DO UPDATE SET
            requests = requests + 1, unpriced = unpriced + excluded.unpriced,
            cost_units = cost_units + excluded.cost_units + (cost_rest + excluded.cost_rest) / 1000000000000,
            cost_rest = (cost_rest + excluded.cost_rest) % 1000000000000,
            input = min(input + excluded.input, 9000000000000000000),
            cache_read = min(cache_read + excluded.cache_read, 9000000000000000000),
            cache_write = min(cache_write + excluded.cache_write, 9000000000000000000),
            cache_write_1h = min(cache_write_1h + excluded.cache_write_1h, 9000000000000000000),
            output = min(output + excluded.output, 9000000000000000000),
            reasoning = min(reasoning + excluded.reasoning, 9000000000000000000);
END;
