-- Version 1. A user is one row: all that counts against one limit is read and written together.
CREATE TABLE ledgers (
    user_id   TEXT PRIMARY KEY,
    body      BLOB NOT NULL,     -- JSON of streamlimit.rules.ledger.Ledger
    due_at_ms INTEGER            -- not later than the first moment at which anything in body lapses
) WITHOUT ROWID;

CREATE INDEX ledgers_due ON ledgers (due_at_ms) WHERE due_at_ms IS NOT NULL;

-- Events that wait for their call back, in the order in which they happened.
CREATE TABLE outbox (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    user_id  TEXT NOT NULL,
    type     TEXT NOT NULL,
    body     BLOB NOT NULL       -- JSON of streamlimit.model.Event
);

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
