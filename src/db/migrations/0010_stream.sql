-- One order for everything: an event has a number (n) in the whole installation, in the order of commits and without gaps, beside its
-- number in its task. Events of no task have a topic of their own. What was there keeps the order in which it was written.
CREATE TABLE event_ordered (
    n INTEGER PRIMARY KEY,
    topic TEXT NOT NULL DEFAULT 'task' CHECK (topic IN ('task', 'approvals', 'money', 'settings', 'system')),
    task_id TEXT CHECK ((task_id IS NULL) = (topic <> 'task')),
    number INTEGER CHECK (number > 0 AND task_id IS NOT NULL OR number IS NULL AND task_id IS NULL),
    time_ns INTEGER NOT NULL,
    type TEXT NOT NULL,
    actor TEXT NOT NULL,
    data TEXT NOT NULL,
    origin INTEGER NOT NULL CHECK (origin >= 0),
    UNIQUE (task_id, number)
) STRICT;
INSERT INTO event_ordered (n, topic, task_id, number, time_ns, type, actor, data, origin)
    SELECT rowid, 'task', task_id, number, time_ns, type, actor, data, origin FROM event ORDER BY rowid;
DROP TABLE event;
ALTER TABLE event_ordered RENAME TO event;
CREATE UNIQUE INDEX event_origin ON event (task_id, origin) WHERE origin > 0;
-- What tells how iterations went, without a walk over all that an agent said.
CREATE INDEX event_mark ON event (task_id, number) WHERE type IN
    ('iteration.started', 'agent.finished', 'iteration.committed', 'verdict', 'iteration.finished', 'delivered');

-- Lists by agent; substrings of titles and descriptions (a task's number is the rowid).
CREATE INDEX task_agent ON task (agent, number);
CREATE INDEX task_agent_state ON task (agent, state, number);
CREATE INDEX task_agent_active ON task (agent, number) WHERE state NOT IN ('done', 'unproven', 'stopped', 'failed');
CREATE VIRTUAL TABLE task_search USING fts5 (heading, body, content = '', tokenize = 'trigram');
INSERT INTO task_search (rowid, heading, body) SELECT t.number, t.title, x.text FROM task t JOIN task_text x ON x.number = t.number;

-- What a creation answered, by the client's Idempotency-Key: asked again, it is answered again and not done twice.
CREATE TABLE idempotency (
    who TEXT NOT NULL, -- the principal
    key TEXT NOT NULL,
    hash TEXT NOT NULL, -- of method, path and body
    status INTEGER NOT NULL, -- 0: it is under way
    body TEXT NOT NULL,
    time_ns INTEGER NOT NULL,
    PRIMARY KEY (who, key)
) STRICT;
CREATE INDEX idempotency_time ON idempotency (time_ns);
