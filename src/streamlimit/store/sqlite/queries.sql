-- name: load
SELECT clock.offset_ms, ledgers.body, ledgers.due_at_ms
FROM clock LEFT JOIN ledgers ON ledgers.user_id = ?;

-- name: save
INSERT INTO ledgers (user_id, body, due_at_ms) VALUES (?, ?, ?)
ON CONFLICT (user_id) DO UPDATE SET body = excluded.body, due_at_ms = excluded.due_at_ms;

-- name: save_body
UPDATE ledgers SET body = ? WHERE user_id = ?;

-- name: remove
DELETE FROM ledgers WHERE user_id = ?;

-- name: due
SELECT user_id FROM ledgers WHERE due_at_ms <= ? ORDER BY due_at_ms LIMIT ?;

-- name: browse
SELECT user_id, body FROM ledgers WHERE user_id > ? ORDER BY user_id LIMIT ?;

-- name: put_event
INSERT OR IGNORE INTO outbox (event_id, user_id, type, body) VALUES (?, ?, ?, ?);

-- name: count_events
SELECT count(*) FROM outbox;

-- name: get_secret
SELECT value FROM secrets WHERE name = ?;

-- name: put_secret
INSERT OR IGNORE INTO secrets (name, value) VALUES (?, ?);

-- name: get_clock
SELECT boot_id, offset_ms, seen_ms FROM clock;

-- name: clear_clock
DELETE FROM clock;

-- name: put_clock
INSERT INTO clock (boot_id, offset_ms, seen_ms) VALUES (?, ?, ?);

-- name: see
UPDATE clock SET seen_ms = max(seen_ms, ?);

-- name: count_ledgers
SELECT count(*) FROM (SELECT 1 FROM ledgers LIMIT 1);
