-- name: load
SELECT clock.offset_ms, ledgers.body FROM clock LEFT JOIN ledgers ON ledgers.user_id = ?;

-- name: load_with_grants
SELECT clock.offset_ms, ledgers.body, grants.body, grants.until_ms FROM clock
LEFT JOIN ledgers ON ledgers.user_id = ?1 LEFT JOIN grants ON grants.user_id = ?1;

-- name: save_grants
INSERT INTO grants (user_id, until_ms, body) VALUES (?, ?, ?)
ON CONFLICT (user_id) DO UPDATE SET until_ms = excluded.until_ms, body = excluded.body;

-- name: forget_grants
DELETE FROM grants WHERE user_id IN (SELECT user_id FROM grants WHERE until_ms <= ? LIMIT ?);

-- name: load_all
-- For so many users as there are `?` in the end (rows.py).
SELECT clock.offset_ms, ledgers.user_id, ledgers.body FROM clock LEFT JOIN ledgers ON ledgers.user_id IN (?);

-- name: change
-- One user's row becomes what the rule makes of it, in the middle of this one statement (rows.py): `new_due_at_ms` runs the
-- rule, `new_body` is what it left, and NULL there means that nothing is to be written.
INSERT OR IGNORE INTO ledgers (user_id, due_at_ms, body) VALUES (
    ?1,
    new_due_at_ms((SELECT body FROM ledgers WHERE user_id = ?1), (SELECT offset_ms FROM clock)),
    new_body()
) ON CONFLICT (user_id) DO UPDATE SET due_at_ms = excluded.due_at_ms, body = excluded.body;

-- name: add_new
INSERT INTO ledgers (user_id, due_at_ms, body) SELECT ?1, ?2, ?3
WHERE NOT EXISTS (SELECT 1 FROM grants WHERE user_id = ?1) ON CONFLICT DO NOTHING;

-- name: exchange
UPDATE ledgers SET due_at_ms = ?2, body = ?3 WHERE user_id = ?1 AND body = ?4
AND NOT EXISTS (SELECT 1 FROM grants WHERE user_id = ?1);

-- name: add
INSERT INTO ledgers (user_id, due_at_ms, body) VALUES (?, ?, ?);

-- name: replace
UPDATE ledgers SET due_at_ms = ?2, body = ?3 WHERE user_id = ?1;

-- name: save
INSERT INTO ledgers (user_id, due_at_ms, body) VALUES (?, ?, ?)
ON CONFLICT (user_id) DO UPDATE SET due_at_ms = excluded.due_at_ms, body = excluded.body;

-- name: remove
DELETE FROM ledgers WHERE user_id = ?;

-- name: end_of_chunk
SELECT user_id FROM ledgers WHERE user_id > ? ORDER BY user_id LIMIT 1 OFFSET ?;

-- name: due
-- Past its time, or so far away that it was written before the clock went back.
SELECT user_id, body FROM ledgers
WHERE user_id > ? AND user_id <= ? AND (due_at_ms <= ? OR due_at_ms > ?) ORDER BY user_id LIMIT ?;

-- name: browse
SELECT user_id, body FROM ledgers WHERE user_id > ? ORDER BY user_id LIMIT ?;

-- name: count_unsorted
-- The rows are estimated from the first and the last number, which have next to no gaps between them.
SELECT coalesce((SELECT max(number) FROM outbox) - (SELECT min(number) FROM outbox) + 1, 0);

-- name: put_event
INSERT INTO outbox (user_id, type, body) VALUES (?, ?, ?);

-- name: count_unkept
INSERT INTO unkept (type, count) VALUES (?, 1) ON CONFLICT (type) DO UPDATE SET count = count + 1;

-- name: unkept
SELECT type, count FROM unkept;

-- name: clear_unkept
DELETE FROM unkept;

-- name: count_events
SELECT (SELECT count(*) FROM outbox) + (SELECT coalesce(sum(pending), 0) FROM endpoints);

-- name: waits
SELECT EXISTS (SELECT 1 FROM outbox) OR (
    EXISTS (SELECT 1 FROM queues WHERE endpoint = ?1 AND due_at_ms <= ?2)
    AND NOT EXISTS (SELECT 1 FROM endpoints WHERE endpoint = ?1 AND disabled IS NOT NULL)
);

-- name: unsorted
SELECT number, user_id, type, body FROM outbox ORDER BY number LIMIT ?;

-- name: sorted
DELETE FROM outbox WHERE number <= ?;

-- name: put_endpoint
INSERT OR IGNORE INTO endpoints (endpoint) VALUES (?);

-- name: take_room
UPDATE endpoints SET pending = pending + 1 WHERE endpoint = ? AND pending < ? AND disabled IS NULL;

-- name: count_dropped
UPDATE endpoints SET dropped = dropped + ? WHERE endpoint = ?;

-- name: dropped
SELECT endpoint, dropped FROM endpoints;

-- name: put_letter
INSERT INTO letters (endpoint, user_id, number, since_ms, body) VALUES (?, ?, ?, ?, ?);

-- name: put_queue
INSERT OR IGNORE INTO queues (endpoint, user_id, due_at_ms) VALUES (?, ?, ?);

-- name: due_queues
SELECT user_id FROM queues
WHERE endpoint = ?1 AND due_at_ms <= ?2 AND NOT EXISTS (
    SELECT 1 FROM endpoints WHERE endpoint = ?1 AND disabled IS NOT NULL
) ORDER BY due_at_ms LIMIT ?3;

-- name: take_queue
UPDATE queues SET due_at_ms = ?, ticket = ? WHERE endpoint = ? AND user_id = ?;

-- name: next_letter
SELECT letters.number, letters.since_ms, letters.body, queues.attempts
FROM queues JOIN letters USING (endpoint, user_id)
WHERE endpoint = ? AND user_id = ? ORDER BY letters.number LIMIT 1;

-- name: holds
SELECT 1 FROM queues JOIN letters USING (endpoint, user_id)
WHERE endpoint = ? AND user_id = ? AND ticket = ? AND number = ?;

-- name: remove_letter
DELETE FROM letters WHERE endpoint = ? AND user_id = ? AND number = ?;

-- name: give_room
UPDATE endpoints SET pending = pending - 1 WHERE endpoint = ?;

-- name: renew_queue
UPDATE queues SET due_at_ms = ?, ticket = ?, attempts = 0, problem = NULL WHERE endpoint = ? AND user_id = ?;

-- name: remove_queue
DELETE FROM queues WHERE endpoint = ? AND user_id = ?;

-- name: retry_queue
UPDATE queues SET due_at_ms = ?, ticket = NULL, attempts = attempts + 1, problem = ?
WHERE endpoint = ? AND user_id = ?;

-- name: release_queue
UPDATE queues SET due_at_ms = ?, ticket = NULL WHERE endpoint = ? AND user_id = ?;

-- name: bury
INSERT OR REPLACE INTO dead_letters (endpoint, number, user_id, at_ms, problem, body)
SELECT endpoint, number, user_id, ?, ?, body FROM letters WHERE endpoint = ? AND user_id = ? AND number = ?;

-- name: more_dead
UPDATE endpoints SET dead = dead + ? WHERE endpoint = ?;

-- name: too_many_dead
SELECT min(number) FROM dead_letters WHERE endpoint = ?1
AND (SELECT dead FROM endpoints WHERE endpoint = ?1) > ?2;

-- name: remove_dead
DELETE FROM dead_letters WHERE endpoint = ? AND number = ?;

-- name: oldest_dead
SELECT number, user_id, body FROM dead_letters WHERE endpoint = ? ORDER BY number LIMIT ?;

-- name: youngest_dead
SELECT number, body, problem, at_ms FROM dead_letters WHERE endpoint = ? ORDER BY number DESC LIMIT ?;

-- name: hurry_queue
UPDATE queues SET due_at_ms = ?, attempts = 0 WHERE endpoint = ? AND user_id = ? AND ticket IS NULL;

-- name: put_back_room
UPDATE endpoints SET pending = pending + ?1, dead = dead - ?1 WHERE endpoint = ?2;

-- name: disable
UPDATE endpoints SET disabled = ? WHERE endpoint = ? AND disabled IS NULL;

-- name: enable
UPDATE endpoints SET disabled = NULL WHERE endpoint = ?;

-- name: backlog
SELECT endpoint, pending,
    (SELECT count(*) FROM queues WHERE queues.endpoint = endpoints.endpoint AND attempts > 0),
    dead, dropped,
    (SELECT problem FROM queues WHERE queues.endpoint = endpoints.endpoint AND attempts > 0
     ORDER BY attempts DESC LIMIT 1),
    disabled
FROM endpoints ORDER BY endpoint;

-- name: forget_letters
DELETE FROM letters WHERE (endpoint, user_id, number) IN (
    SELECT endpoint, user_id, number FROM letters WHERE endpoint = ? LIMIT ?
);

-- name: forget_queues
DELETE FROM queues WHERE (endpoint, user_id) IN (SELECT endpoint, user_id FROM queues WHERE endpoint = ? LIMIT ?);

-- name: forget_dead
DELETE FROM dead_letters WHERE (endpoint, number) IN (
    SELECT endpoint, number FROM dead_letters WHERE endpoint = ? LIMIT ?
);

-- name: forget_endpoint
DELETE FROM endpoints WHERE endpoint = ?;

-- name: put_refusal
INSERT INTO refusals (user_id, session_id, until_ms) VALUES (?1, ?2, ?3)
ON CONFLICT (user_id, session_id) DO UPDATE SET until_ms = excluded.until_ms WHERE until_ms <= ?4;

-- name: forget_refusals
DELETE FROM refusals WHERE (user_id, session_id) IN (
    SELECT user_id, session_id FROM refusals WHERE until_ms <= ? LIMIT 10
);

-- name: put_told
INSERT INTO told (user_id, session_id, until_ms) VALUES (?1, ?2, ?3)
ON CONFLICT (user_id, session_id) DO UPDATE SET until_ms = excluded.until_ms WHERE told.until_ms <= ?4;

-- name: forget_told
DELETE FROM told WHERE (user_id, session_id) IN (SELECT user_id, session_id FROM told WHERE until_ms <= ? LIMIT 10);

-- name: forget_told_of
DELETE FROM told WHERE user_id = ?;

-- name: put_in_feed
INSERT INTO feed (user_id, body) VALUES (?, ?);

-- name: bound_feed
DELETE FROM feed WHERE number <= (SELECT max(number) FROM feed) - ?;

-- name: newest_in_feed
SELECT seq FROM sqlite_sequence WHERE name = 'feed';

-- name: read_feed
SELECT number, body FROM feed WHERE number > ? ORDER BY number LIMIT ?;

-- name: user_in_feed
SELECT number, body FROM feed WHERE user_id = ?;

-- name: forget_in_feed
DELETE FROM feed WHERE number = ?;

-- name: put_in_history
INSERT OR IGNORE INTO history (user_id, at_ms, body) VALUES (?, ?, ?);

-- name: bound_history
DELETE FROM history WHERE (user_id, at_ms, body) IN (
    SELECT user_id, at_ms, body FROM history WHERE user_id = ? ORDER BY at_ms DESC, body DESC LIMIT -1 OFFSET ?
);

-- name: read_history
SELECT body FROM history WHERE user_id = ? AND at_ms >= ? ORDER BY at_ms DESC, body DESC LIMIT ?;

-- name: forget_history
DELETE FROM history WHERE user_id = ?;

-- name: end_of_histories
SELECT max(user_id) FROM (SELECT user_id FROM history WHERE user_id > ? ORDER BY user_id LIMIT ?);

-- name: forget_old_history
DELETE FROM history WHERE user_id > ? AND user_id <= ? AND at_ms < ?;

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

-- name: next_batch
-- Changes nothing where it was added already.
INSERT INTO report_batches (worker, number, at_ms) VALUES (?1, ?2, ?3)
ON CONFLICT (worker) DO UPDATE SET number = excluded.number, at_ms = excluded.at_ms WHERE number < excluded.number;

-- name: find_report
SELECT id, is_open FROM reports WHERE period = ? AND at_ms = ? AND grouping = ? AND value = ?;

-- name: put_report
-- A value that would be one too many in its bucket is counted as another one, ?10.
INSERT INTO reports (period, at_ms, grouping, value, ends_at_ms, admissions, refusals, peak, at_limit_ms)
VALUES (?1, ?2, ?3, iif(
    EXISTS (SELECT 1 FROM reports WHERE period = ?1 AND at_ms = ?2 AND grouping = ?3 AND value = ?4)
    OR (SELECT count(*) FROM reports WHERE period = ?1 AND at_ms = ?2 AND grouping = ?3) < ?11, ?4, ?10
), ?5, ?6, ?7, ?8, ?9) ON CONFLICT (period, at_ms, grouping, value) DO UPDATE SET
    admissions = admissions + excluded.admissions, refusals = refusals + excluded.refusals,
    peak = max(peak, excluded.peak), at_limit_ms = at_limit_ms + excluded.at_limit_ms
RETURNING id, is_open;

-- name: report_marks
SELECT digest, marks FROM report_users WHERE digest IN (SELECT value FROM json_each(?));

-- name: some_report_marks
SELECT digest, marks FROM report_users WHERE digest >= ? ORDER BY digest LIMIT ?;

-- name: put_report_marks
INSERT INTO report_users (digest, marks) VALUES (?, ?) ON CONFLICT (digest) DO UPDATE SET marks = excluded.marks;

-- name: forget_report_user
DELETE FROM report_users WHERE digest = ?;

-- name: open_reports
SELECT id FROM reports WHERE is_open AND id IN (SELECT value FROM json_each(?));

-- name: add_report_users
UPDATE reports SET users = users + ?2, refused_users = refused_users + ?3 WHERE id = ?1;

-- name: reports
SELECT at_ms, value, admissions, refusals, refused_users, users, peak, at_limit_ms FROM reports
WHERE period = ? AND grouping = ? AND at_ms >= ? AND at_ms < ? ORDER BY at_ms, value LIMIT ?;

-- name: claim_sample
UPDATE report_samples SET at_ms = ?1 WHERE at_ms <= ?1 - ?2 OR at_ms > ?1;

-- name: last_sample
SELECT at_ms FROM report_samples;

-- name: put_sample
INSERT INTO report_samples (at_ms) VALUES (?);

-- name: close_reports
UPDATE reports SET is_open = 0 WHERE id IN (SELECT id FROM reports WHERE is_open AND ends_at_ms <= ? LIMIT ?);

-- name: forget_reports
DELETE FROM reports WHERE id IN (SELECT id FROM reports WHERE NOT is_open AND ends_at_ms <= ? LIMIT ?);

-- name: forget_batches
DELETE FROM report_batches WHERE at_ms < ?;
