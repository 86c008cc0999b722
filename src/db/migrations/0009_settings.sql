-- Settings that were set over the API: every change, of which the last one of a name holds. NULL: the default. Secrets stand in the table
-- sealed; here is only a reference to them.
CREATE TABLE setting_change (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    from_value TEXT,
    to_value TEXT,
    changed_by TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    reverts INTEGER NOT NULL -- the change that this one undoes; 0: none
) STRICT;
CREATE INDEX setting_change_name ON setting_change (name, id);
