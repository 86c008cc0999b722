-- Named configurations of agents, in numbered versions that never change: instructions, arguments, model. Those of a
-- project are what its nightmill.yaml said.
CREATE TABLE agent_configuration (
    number INTEGER PRIMARY KEY,
    project TEXT NOT NULL, -- '': of the installation
    name TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    configuration TEXT NOT NULL, -- JSON object
    created_ns INTEGER NOT NULL,
    retired INTEGER NOT NULL DEFAULT 0 CHECK (retired IN (0, 1)), -- kept for the record, found by no name
    UNIQUE (project, name, version)
) STRICT;

ALTER TABLE task ADD COLUMN agent_configuration TEXT NOT NULL DEFAULT ''; -- "name@version"
