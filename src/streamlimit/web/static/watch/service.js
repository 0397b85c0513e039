// The service's calls. They never throw: no answer at all is the problem "offline".

const TIMEOUT_MS = 5000;
let ahead = 0; // of the server's clock before ours, in ms

export function serverNow() {
  return Date.now() + ahead;
}

const sessionsOf = (user) => `/v1/users/${encodeURIComponent(user)}/sessions`;
const sessionOf = (user, session) => `${sessionsOf(user)}/${encodeURIComponent(session)}`;

export const fetchStreams = () => call("GET", "/v1/streams");
export const fetchRoster = (user) => call("GET", sessionsOf(user));
export const openSession = (form, signal) => call("POST", "/v1/sessions", form, { signal });

export function heartbeat(user, session, stream, signal) {
  return call("POST", `${sessionOf(user, session)}/heartbeat`, { stream_id: stream }, { signal });
}

export function endSession(user, session) {
  return call("POST", `${sessionOf(user, session)}/end`, undefined, { keepalive: true });
}

export function endByBeacon(user, session) {
  navigator.sendBeacon(`${sessionOf(user, session)}/end`);
}

async function call(method, path, body, { signal, keepalive } = {}) {
  const limits = [AbortSignal.timeout(TIMEOUT_MS), ...(signal ? [signal] : [])];
  const request = { method, keepalive, cache: "no-store", signal: either(limits) };
  if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.headers = { "Content-Type": "application/json" };
  }
  try {
    const answer = await fetch(path, request);
    compareClocks(answer.headers.get("date"));
    const text = await answer.text();
    return answer.ok
      ? { ok: true, body: text ? JSON.parse(text) : null }
      : { ok: false, problem: problemIn(answer.status, text) };
  } catch {
    return { ok: false, problem: { status: 0, code: "offline" } };
  }
}

// Older browsers have no AbortSignal.any.
function either(signals) {
  const controller = new AbortController();
  for (const signal of signals) {
    if (signal.aborted) controller.abort();
    signal.addEventListener("abort", () => controller.abort(), { once: true });
  }
  return controller.signal;
}

// The header has whole seconds; a difference below that is none.
function compareClocks(date) {
  const difference = Date.parse(date) + 500 - Date.now();
  if (Number.isFinite(difference)) ahead = Math.abs(difference) < 1500 ? 0 : difference;
}

export function problemIn(status, text) {
  try {
    const problem = JSON.parse(text);
    if (typeof problem.code === "string") return problem;
  } catch {
    // Not ours: a proxy's page, or nothing.
  }
  return { status, code: "unknown", title: `The service answered ${status}` };
}

// The problem in a failed request of hls.js; null where there was no answer.
export function problemOfRequest(request) {
  if (!(request instanceof XMLHttpRequest) || request.status < 400) return null;
  const binary = request.response instanceof ArrayBuffer;
  const text = binary ? new TextDecoder().decode(request.response) : request.response;
  return problemIn(request.status, String(text ?? ""));
}
