-- Version 7. A user is one row: all that counts against one limit is read and written together.
-- No index by time: it would cost each new session more than the sweep spends on walking through the users.
CREATE TABLE ledgers (
    user_id   TEXT PRIMARY KEY,
    due_at_ms INTEGER,           -- the first moment at which anything in body lapses; none where nothing ever does
    body      BLOB NOT NULL      -- streamlimit.rules.ledger.Ledger as MessagePack (rows.py)
) WITHOUT ROWID;

-- Grants that were ended. Not in the user's row: a session with a seat does not read them, and they outlive it.
CREATE TABLE grants (
    user_id  TEXT PRIMARY KEY,
    until_ms INTEGER NOT NULL,   -- from then on nothing in body matters
    body     BLOB NOT NULL       -- streamlimit.rules.grants.Grants as MessagePack
) WITHOUT ROWID;

CREATE INDEX grants_by_time ON grants (until_ms);

-- Events for call backs, in the order in which they happened, until they are sorted into letters.
CREATE TABLE outbox (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice: it orders a user's letters
    user_id TEXT NOT NULL,
    type    TEXT NOT NULL,
    body    BLOB NOT NULL        -- JSON of streamlimit.model.Event
);

-- Events that found the outbox full, until they are counted for the endpoints that wanted them.
CREATE TABLE unkept (
    type  TEXT PRIMARY KEY,
    count INTEGER NOT NULL
) WITHOUT ROWID;

-- One event on its way to one endpoint.
CREATE TABLE letters (
    endpoint TEXT NOT NULL,
    user_id  TEXT NOT NULL,
    number   INTEGER NOT NULL,   -- the event's
    since_ms INTEGER NOT NULL,   -- put here, or replayed
    body     BLOB NOT NULL,
    PRIMARY KEY (endpoint, user_id, number)
) WITHOUT ROWID;

-- One user's letters to one endpoint: there as long as there are any.
CREATE TABLE queues (
    endpoint  TEXT NOT NULL,
    user_id   TEXT NOT NULL,
    due_at_ms INTEGER NOT NULL,  -- when the next letter may be claimed; a claim puts its own end here
    ticket    TEXT,              -- of the claim
    attempts  INTEGER NOT NULL DEFAULT 0,  -- of the next letter
    problem   TEXT,
    PRIMARY KEY (endpoint, user_id)
) WITHOUT ROWID;

CREATE INDEX queues_due ON queues (endpoint, due_at_ms);

CREATE TABLE dead_letters (
    endpoint TEXT NOT NULL,
    number   INTEGER NOT NULL,
    user_id  TEXT NOT NULL,
    at_ms    INTEGER NOT NULL,
    problem  TEXT NOT NULL,
    body     BLOB NOT NULL,
    PRIMARY KEY (endpoint, number)
) WITHOUT ROWID;

CREATE TABLE endpoints (
    endpoint TEXT PRIMARY KEY,
    pending  INTEGER NOT NULL DEFAULT 0,  -- rows of letters and dead_letters: counting them would take too long
    dead     INTEGER NOT NULL DEFAULT 0,
    dropped  INTEGER NOT NULL DEFAULT 0,
    disabled TEXT
) WITHOUT ROWID;

-- Sessions whose refusal was put into the outbox, until the next one may be.
CREATE TABLE refusals (
    user_id    TEXT NOT NULL,
    session_id TEXT NOT NULL,
    until_ms   INTEGER NOT NULL,
    PRIMARY KEY (user_id, session_id)
) WITHOUT ROWID;

CREATE INDEX refusals_until ON refusals (until_ms);

-- The feed: the last events of all users (feed.py).
CREATE TABLE feed (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice: a listener goes on behind it
    user_id TEXT NOT NULL,
    body    BLOB NOT NULL        -- streamlimit.store.feed.pack
);

-- Each user's last events. No index by time: with each event's body it would be as large as the table.
CREATE TABLE history (
    user_id TEXT NOT NULL,
    at_ms   INTEGER NOT NULL,
    body    BLOB NOT NULL,
    PRIMARY KEY (user_id, at_ms, body)
) WITHOUT ROWID;

-- Sessions with a refusal in the feed, until the next one may be added.
CREATE TABLE told (
    user_id    TEXT NOT NULL,
    session_id TEXT NOT NULL,
    until_ms   INTEGER NOT NULL,
    PRIMARY KEY (user_id, session_id)
) WITHOUT ROWID;

CREATE INDEX told_until ON told (until_ms);

CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- The store's clock is the machine's uptime plus this offset: a step of the wall clock moves nothing.
CREATE TABLE clock (
    boot_id   TEXT NOT NULL,
    offset_ms INTEGER NOT NULL,
    seen_ms   INTEGER NOT NULL   -- the latest time known to have been, for a reboot without a wall clock
);

-- Reports: one row a bucket and value of a group (streamlimit.store.reporting).
CREATE TABLE reports (
    id            INTEGER PRIMARY KEY,
    period        TEXT NOT NULL,     -- hour, day, month, hour-of-day
    at_ms         INTEGER NOT NULL,
    grouping      TEXT NOT NULL,     -- all, plan, stream, device_type
    value         TEXT NOT NULL,     -- empty: none
    ends_at_ms    INTEGER NOT NULL,
    is_open       INTEGER NOT NULL DEFAULT 1,  -- it still takes users, whose digests are in report_users
    admissions    INTEGER NOT NULL DEFAULT 0,
    refusals      INTEGER NOT NULL DEFAULT 0,
    refused_users INTEGER NOT NULL DEFAULT 0,
    users         INTEGER NOT NULL DEFAULT 0,
    peak          INTEGER NOT NULL DEFAULT 0,
    at_limit_ms   INTEGER NOT NULL DEFAULT 0,
    UNIQUE (period, at_ms, grouping, value)
);

CREATE INDEX reports_by_end ON reports (ends_at_ms);
CREATE INDEX reports_open ON reports (ends_at_ms) WHERE is_open;

-- Users that open buckets have counted, as digests: the first 64 bits of a keyed hash. One row a user, who is in a dozen
-- buckets at once: a row each would be as many pages to write.
CREATE TABLE report_users (
    digest INTEGER PRIMARY KEY,
    marks  TEXT NOT NULL             -- JSON: of each bucket twice its id, and one more where it has counted a refused user
);

-- The last batch of each worker that was added, so that none is added twice.
CREATE TABLE report_batches (
    worker TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    at_ms  INTEGER NOT NULL
) WITHOUT ROWID;

-- When live sessions were counted for the reports.
CREATE TABLE report_samples (
    at_ms INTEGER NOT NULL
);
