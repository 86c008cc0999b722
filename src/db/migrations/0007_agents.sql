-- Who worked on a task, in columns of its row, so that track records need not read specifications. Texts are '' where nothing is known.
ALTER TABLE task ADD COLUMN agent TEXT NOT NULL DEFAULT '';
ALTER TABLE task ADD COLUMN agent_version TEXT NOT NULL DEFAULT '';
ALTER TABLE task ADD COLUMN model TEXT NOT NULL DEFAULT '';
ALTER TABLE task ADD COLUMN kind TEXT NOT NULL DEFAULT '';
ALTER TABLE task ADD COLUMN assigned INTEGER NOT NULL DEFAULT 0 CHECK (assigned IN (0, 1)); -- drawn at random, not chosen
ALTER TABLE task ADD COLUMN replayed INTEGER NOT NULL DEFAULT 0 CHECK (replayed IN (0, 1)); -- its requests are answered from a recording

-- Tasks of before: what their requests say. Those without any stay unknown.
UPDATE task SET agent = coalesce((SELECT max(l.agent) FROM ledger l WHERE l.task_id = task.id), ''),
    model = coalesce((SELECT max(l.model) FROM ledger l WHERE l.task_id = task.id), ''),
    replayed = CASE WHEN EXISTS (SELECT 1 FROM ledger l WHERE l.task_id = task.id AND l.price_id = -1) THEN 1 ELSE 0 END;
