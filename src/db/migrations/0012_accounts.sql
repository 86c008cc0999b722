-- Who works here: users with their roles, sessions, refresh tokens, one-time links, keys that sign, and the audit log.

-- role: everywhere; '' when it has roles in projects alone. password: argon2id as libsodium writes it, '' when there is
-- none. subject: of a client certificate, '' when there is none. Times of 0: never.
CREATE TABLE user_account (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 7),
    name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 64),
    kind TEXT NOT NULL CHECK (kind IN ('person', 'service')),
    role TEXT NOT NULL CHECK (role IN ('', 'viewer', 'member', 'admin', 'owner')),
    password TEXT NOT NULL,
    subject TEXT NOT NULL,
    created_ns INTEGER NOT NULL,
    changed_ns INTEGER NOT NULL,
    seen_ns INTEGER NOT NULL,
    disabled_ns INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX user_account_subject ON user_account (subject) WHERE subject <> '';
CREATE INDEX user_account_owner ON user_account (id) WHERE role = 'owner';

CREATE TABLE user_role (
    user_id TEXT NOT NULL REFERENCES user_account (id),
    project TEXT NOT NULL CHECK (length(project) BETWEEN 1 AND 4096),
    role TEXT NOT NULL CHECK (role IN ('viewer', 'member', 'admin')),
    PRIMARY KEY (user_id, project)
) STRICT;

-- A login. Its token is not here: its SHA-256 is. kind: a browser with a cookie, or a family of refresh tokens (then the
-- hash is random and opens nothing). key_id: the key that it came from; it ends with that key.
CREATE TABLE session (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 12),
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    user_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('browser', 'token')),
    key_id TEXT NOT NULL,
    address TEXT NOT NULL,
    agent TEXT NOT NULL,
    created_ns INTEGER NOT NULL,
    seen_ns INTEGER NOT NULL,
    expires_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX session_user ON session (user_id, created_ns);
CREATE INDEX session_expires ON session (expires_ns);

-- Each is used once and replaced; used_ns tells a late copy from an honest second try.
CREATE TABLE refresh_token (
    hash BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    session_id TEXT NOT NULL REFERENCES session (id),
    created_ns INTEGER NOT NULL,
    used_ns INTEGER NOT NULL,
    expires_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX refresh_token_session ON refresh_token (session_id);

-- Links that work once: the first owner's, and those that set a user's password.
CREATE TABLE ticket (
    hash BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    kind TEXT NOT NULL CHECK (kind IN ('setup', 'password')),
    user_id TEXT NOT NULL,
    created_ns INTEGER NOT NULL,
    expires_ns INTEGER NOT NULL
) STRICT;

-- Ed25519 keys of access tokens; the private half is a sealed box.
CREATE TABLE signing_key (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 8),
    public_key BLOB NOT NULL CHECK (length(public_key) = 32),
    box BLOB NOT NULL,
    created_ns INTEGER NOT NULL
) STRICT;

-- Append-only. hash: of this row and the one before; mac: of number and hash, with a key that is not in this database.
CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    time_ns INTEGER NOT NULL,
    actor TEXT NOT NULL,
    actor_kind TEXT NOT NULL,
    credential TEXT NOT NULL,
    address TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    text_before TEXT NOT NULL,
    text_after TEXT NOT NULL,
    outcome TEXT NOT NULL,
    hash BLOB NOT NULL,
    mac BLOB NOT NULL
) STRICT;
CREATE INDEX audit_action ON audit (action, number);
CREATE INDEX audit_actor ON audit (actor, number);
CREATE INDEX audit_object ON audit (object, number) WHERE object <> '';

-- A key of a user does at most what that user may, and ends with it.
ALTER TABLE user_key ADD COLUMN account TEXT NOT NULL DEFAULT '';
