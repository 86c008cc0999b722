-- What left sandboxes through the egress proxy. Texts are '' where nothing applies; times are nanoseconds since 1970 UTC, durations
-- milliseconds (-1: none). Everything was redacted before it came here. Rows are written in the order in which exchanges ended.
CREATE TABLE traffic (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    time_ns INTEGER NOT NULL,
    task TEXT NOT NULL,
    project TEXT NOT NULL,
    agent TEXT NOT NULL,
    phase TEXT NOT NULL,
    host TEXT NOT NULL,
    port INTEGER NOT NULL,
    scheme TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    status INTEGER NOT NULL,
    bytes_up INTEGER NOT NULL,
    bytes_down INTEGER NOT NULL,
    first_byte_ms INTEGER NOT NULL,
    ms INTEGER NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('allowed', 'denied', 'tunnelled', 'failed', 'alarm')),
    reason TEXT NOT NULL,
    address TEXT NOT NULL
) STRICT;
CREATE INDEX traffic_task ON traffic (task, number) WHERE task <> '';
CREATE INDEX traffic_project ON traffic (project, number) WHERE project <> '';
CREATE INDEX traffic_alarm ON traffic (number) WHERE verdict = 'alarm';

-- Fields and bodies live shorter than rows, so they stand apart. A row is there when anything of it is kept.
CREATE TABLE traffic_head (
    number INTEGER PRIMARY KEY,
    request TEXT NOT NULL,
    answer TEXT NOT NULL
) STRICT;
CREATE TABLE traffic_body (
    number INTEGER PRIMARY KEY,
    request TEXT NOT NULL,
    answer TEXT NOT NULL,
    cut INTEGER NOT NULL CHECK (cut IN (0, 1)) -- there was more
) STRICT;

-- How far the rows of each proxy process have come: what is sent again after a crash is written once.
CREATE TABLE traffic_origin (
    origin TEXT PRIMARY KEY,
    row INTEGER NOT NULL,
    time_ns INTEGER NOT NULL
) STRICT;

-- What people said about hosts, by project.
CREATE TABLE egress_host (
    project TEXT NOT NULL,
    host TEXT NOT NULL,
    port INTEGER NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('allow', 'deny')),
    said_by TEXT NOT NULL,
    said_ns INTEGER NOT NULL,
    PRIMARY KEY (project, host, port)
) STRICT;
