-- Who serves models and who may ask: providers, models, tiers, sealed secrets, user keys.

-- How a model server is reached. Empty texts and cancel -1: as the kind of provider says. No keys, only references.
CREATE TABLE provider (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    kind TEXT NOT NULL,
    base_url TEXT NOT NULL,
    credential TEXT NOT NULL,
    dialect TEXT NOT NULL,
    headers TEXT NOT NULL,
    concurrency INTEGER NOT NULL CHECK (concurrency >= 0),
    queue INTEGER NOT NULL CHECK (queue >= 0),
    weight INTEGER NOT NULL CHECK (weight BETWEEN 1 AND 1000),
    cooldown_ms INTEGER NOT NULL CHECK (cooldown_ms >= 0),
    cancel INTEGER NOT NULL CHECK (cancel IN (-1, 0, 1)),
    connect_ms INTEGER NOT NULL CHECK (connect_ms >= 0),
    first_byte_ms INTEGER NOT NULL CHECK (first_byte_ms >= 0),
    idle_ms INTEGER NOT NULL CHECK (idle_ms >= 0),
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    created_ns INTEGER NOT NULL,
    changed_ns INTEGER NOT NULL
) STRICT;

-- Rows of one id are equal upstreams. No reference to provider: one may exist by its key alone, without a row.
CREATE TABLE model (
    id TEXT NOT NULL CHECK (length(id) BETWEEN 1 AND 200),
    provider TEXT NOT NULL,
    upstream TEXT NOT NULL,
    context INTEGER NOT NULL CHECK (context >= 0),
    max_output INTEGER NOT NULL CHECK (max_output >= 0),
    abilities INTEGER NOT NULL,
    weight INTEGER NOT NULL CHECK (weight BETWEEN 1 AND 1000),
    created_ns INTEGER NOT NULL,
    changed_ns INTEGER NOT NULL,
    PRIMARY KEY (id, provider, upstream)
) STRICT;
CREATE INDEX model_provider ON model (provider);

-- Names for chains of models.
CREATE TABLE tier (
    name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    mode TEXT NOT NULL CHECK (mode IN ('normal', 'thinking')),
    position INTEGER NOT NULL CHECK (position >= 0),
    model TEXT NOT NULL,
    PRIMARY KEY (name, mode, position)
) STRICT;

-- Boxes that only the holder of the key file can open.
CREATE TABLE sealed (
    id TEXT NOT NULL PRIMARY KEY,
    box BLOB NOT NULL,
    created_ns INTEGER NOT NULL,
    changed_ns INTEGER NOT NULL
) STRICT;

-- The token is not here: its SHA-256 is. Times of 0: never.
CREATE TABLE user_key (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 7),
    prefix TEXT NOT NULL UNIQUE CHECK (length(prefix) = 8),
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    name TEXT NOT NULL,
    access TEXT NOT NULL CHECK (access IN ('read', 'use', 'admin')),
    models TEXT NOT NULL,
    project TEXT NOT NULL,
    organisation TEXT NOT NULL,
    user_name TEXT NOT NULL,
    requests_per_minute INTEGER NOT NULL CHECK (requests_per_minute >= 0),
    tokens_per_minute INTEGER NOT NULL CHECK (tokens_per_minute >= 0),
    streams INTEGER NOT NULL CHECK (streams >= 0),
    created_ns INTEGER NOT NULL,
    expires_ns INTEGER NOT NULL,
    last_used_ns INTEGER NOT NULL,
    revoked_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX user_key_project ON user_key (project, created_ns);
