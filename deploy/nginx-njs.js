// streamlimit in nginx's own memory, for deploy/nginx-njs.conf: who was let in is let in without a call, and what was
// delivered is reported in batches. njs 0.9.9 or newer (js_access). docs/how-to/edges.md compares it with the other recipes.
//
// State lives in shared dictionaries alone: a module's variables are made anew for every request.

const SERVICE = 'http://127.0.0.1:8080';
// How long who was let in goes on while streamlimit is down.
const SITTING_MS = 60000;
const BATCH = 1000;
// The least time between two reports of a session; edge_cache_seconds where that is less.
const AGAIN_MS = 3000;
// How long before it goes stale a yes is asked for again; a third of its time where that is less.
const AHEAD_MS = 1000;
// A timer's call works in rounds: nginx ends it when the timer's next one is due (2500 ms), so no call of streamlimit may
// take all of its time (2 s, js_fetch_timeout) but the first of these.
const EVERY_MS = 500, ROUNDS_MS = 2250;

const STATUS = {
    'session-limit': 409, 'session-shared': 409, 'session-terminated': 410,
    'too-many-requests': 429, 'too-many-visits': 429, 'store-unavailable': 503,
};
const DOWN = '{"type":"/problems/store-unavailable","title":"The store does not answer","status":503,"code":"store-unavailable"}';

// May this request be answered? Refuses it itself.
async function access(r) {
    const v = r.variables;
    // The whole identity, grant with its play and stream, and nothing that says which segment. Both are of the path as
    // nginx itself reads it, for that is what it hands out.
    const key = `${v.grant}/${v.stream}`;
    if (ngx.shared.sl_known.has(key)) {
        return;
    }
    const answer = await ask(v.request_uri, v.request_method, v.remote_addr);
    if (answer !== null && answer.status === 200) {
        keep(key, answer.headers.get('Cache-Control') || '');
    } else if (answer !== null && (answer.status === 401 || answer.status === 403)) {
        await refuse(r, key, answer);
    } else if (!ngx.shared.sl_sitting.has(key)) {
        problem(r, 503, DOWN, '2', 'store-unavailable');
    }
}

function ask(uri, method, address) {
    // None of the viewer's own headers goes along: who could add one could answer for another viewer.
    const headers = { 'X-Original-URI': uri, 'X-Original-Method': method, 'X-Forwarded-For': address };
    return call('/edge/auth', { headers });
}

// streamlimit's answer; null: there is none.
async function call(path, options) {
    try {
        return await ngx.fetch(`${SERVICE}${path}`, options);
    } catch (e) {
        return null;
    }
}

// streamlimit says for how long a yes counts: not at all for a newcomer, or a playlist. Kept: how long, and until when.
function keep(key, control) {
    const found = /max-age=(\d+)/.exec(control);
    const life = found === null ? 0 : Number(found[1]) * 1000;
    if (life > 0) {
        ngx.shared.sl_known.set(key, `${life} ${Date.now() + life}`, life);
        ngx.shared.sl_sitting.set(key, '1', SITTING_MS);
    }
}

async function refuse(r, key, answer) {
    const code = answer.headers.get('Streamlimit-Code') || '';
    if (code !== 'store-unavailable') {
        ngx.shared.sl_sitting.delete(key);
    }
    const text = await answer.text();
    problem(r, STATUS[code] || 403, text, answer.headers.get('Retry-After'), code);
}

function problem(r, status, text, retry, code) {
    r.headersOut['Content-Type'] = 'application/problem+json';
    r.headersOut['Cache-Control'] = 'no-store';
    r.headersOut['Access-Control-Allow-Origin'] = '*';
    r.headersOut['Streamlimit-Code'] = code;
    if (retry) {
        r.headersOut['Retry-After'] = retry;
    }
    r.return(status, text);
}

// The log phase: notes what became of a segment. It may not wait for anything, so the batch takes it along. Says
// nothing, and so no line is written.
function delivered(r) {
    const v = r.variables;
    if (v.request_method !== 'GET' || !v.grant || /\.(m3u8|mpd)$/.test(v.file)) {
        return '';
    }
    const status = Number(v.status);
    if (status !== 200 && status !== 206) {
        return '';
    }
    // `OK` alone is said of an upstream's short answer, too.
    const sent = Number(v.body_bytes_sent), length = v.sent_http_content_length;
    const complete = v.request_completion === 'OK' && (length === undefined || sent >= Number(length));
    // One of each rendition of a session: what was handed out last speaks for what was before it.
    const key = `${v.grant}/${v.stream}/${v.file.replace(/\d+(?=\D*(\.\w+)?$)/, '')}`;
    if (!complete && ngx.shared.sl_reports.has(key)) {
        return '';
    }
    // Of what was handed out, not as the viewer spelled it.
    const path = `/play/${[v.grant, v.stream].concat(v.file.split('/')).map(encodeURIComponent).join('/')}`;
    const report = { path, complete, at: Number(v.msec), status, bytes: sent };
    // Its time stands first: sorted as they are, they are in order.
    ngx.shared.sl_reports.set(key, `${v.msec} ${v.remote_addr} ${JSON.stringify(report)}`);
    return '';
}

// Of what is kept: the viewer's address; the report.
function addressOf(value) {
    return value.split(' ', 2)[1];
}

function reportOf(value) {
    return value.slice(value.indexOf('{'));
}

// Two timers of one worker. A question that hangs does not hold up the reports.
function questions() {
    return inRounds(askAhead);
}

function reports() {
    return inRounds(report);
}

async function inRounds(once) {
    const until = Date.now() + ROUNDS_MS;
    while (Date.now() < until) {
        await once();
        await new Promise((done) => { setTimeout(done, EVERY_MS); });
    }
}

// Asks again for sessions that play before their yes goes stale, in the name of the newest segment: so no viewer who
// plays waits for an answer. By HEAD, a look, which gives nobody a seat: a session may have ended since. A streamlimit
// that is down is asked once; who is refused asks for itself, and is told why.
async function askAhead() {
    const items = ngx.shared.sl_reports.items();
    for (let i = 0; i < items.length; i++) {
        const session = sessionOf(items[i][0]), value = items[i][1];
        if (isLost(value) || !isStaleSoon(session)) {
            continue;
        }
        const answer = await ask(JSON.parse(reportOf(value)).path, 'HEAD', addressOf(value));
        if (answer !== null && answer.status === 200) {
            keep(session, answer.headers.get('Cache-Control') || '');
        } else if (answer !== null && (answer.status === 401 || answer.status === 403)) {
            ngx.shared.sl_known.delete(session);
        } else {
            return;
        }
    }
}

function isStaleSoon(session) {
    const known = (ngx.shared.sl_known.get(session) || '').split(' ');
    return Number(known[1]) - Date.now() < Math.min(AHEAD_MS, Number(known[0]) / 3);  // never of NaN: it is not known
}

// Tells what was delivered, and forgets whom streamlimit knows no more.
async function report() {
    const items = ngx.shared.sl_reports.items().filter(isDue);
    if (items.length === 0) {
        return;
    }
    // In the order in which they happened, which a dictionary does not keep: the last one says where the session is.
    items.sort((a, b) => (a[1] < b[1] ? -1 : 1));
    const batch = items.slice(0, BATCH);
    const answer = await call('/edge/reports', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: `[${batch.map((item) => reportOf(item[1])).join(',')}]`,
    });
    if (answer === null || answer.status >= 500) {
        return;  // they are reported later, with their times in `at`
    }
    const gone = answer.status === 200 ? (await answer.json()).gone : [];
    batch.forEach((item) => noteReported(item[0], item[1], gone));
}

// Is a report due? Those of new sessions and aborts are at once; a session that plays is reported now and then.
function isDue(item) {
    const session = sessionOf(item[0]);
    const isReported = ngx.shared.sl_told.has(session) && ngx.shared.sl_known.has(session);
    return !isReported || isLost(item[1]);
}

function isLost(value) {
    return value.includes('"complete":false');
}

function noteReported(key, value, gone) {
    if (ngx.shared.sl_reports.get(key) === value) {
        ngx.shared.sl_reports.delete(key);
    }
    const session = sessionOf(key);
    if (gone.includes(key.slice(0, key.indexOf('/')))) {
        ngx.shared.sl_known.delete(session);
        ngx.shared.sl_sitting.delete(session);
    }
    const known = ngx.shared.sl_known.get(session);
    if (known) {
        ngx.shared.sl_told.set(session, '1', Math.min(Number(known.split(' ')[0]), AGAIN_MS));
    }
}

// Grant and stream, of grant, stream and rendition.
function sessionOf(key) {
    return key.slice(0, key.indexOf('/', key.indexOf('/') + 1));
}

export default { access, delivered, questions, reports };
