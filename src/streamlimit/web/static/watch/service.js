// The service's calls that are no session's own. They never throw: no answer at all is the problem "offline".
//
// The credential, where one is needed, lies in this tab's sessionStorage and goes nowhere else.

const PLACE = "streamlimit.token";
const TIMEOUT_MS = 5000;
let ahead = 0; // of the server's clock before ours, in ms
let token = remembered();

export const serverNow = () => Date.now() + ahead;
export const headers = () => (token ? { Authorization: `Bearer ${token}` } : {});
export const fetchMe = () => get("/v1/me");
export const fetchStreams = () => get("/v1/streams");
export const fetchRoster = (user) => get(`/v1/users/${encodeURIComponent(user)}/sessions`);

function remembered() {
  try {
    return sessionStorage.getItem(PLACE) ?? "";
  } catch {
    return ""; // the storage is blocked
  }
}

export function keepToken(given) {
  token = given;
  try {
    if (given) sessionStorage.setItem(PLACE, given);
    else sessionStorage.removeItem(PLACE);
  } catch {
    // It is kept until the page is left.
  }
}

// From the address's fragment (#token=… or #key=…), which goes into no log, and out of it.
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1));
  const found = given.get("token") ?? given.get("key");
  if (!found) return;
  keepToken(found);
  history.replaceState(null, "", location.pathname + location.search);
}

async function get(path) {
  try {
    const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS), headers: headers() });
    compareClocks(answer.headers.get("date"));
    const text = await answer.text();
    return answer.ok ? { ok: true, body: JSON.parse(text) } : { ok: false, problem: problemIn(answer.status, text) };
  } catch {
    return { ok: false, problem: { status: 0, code: "offline" } };
  }
}

// The header has whole seconds; a difference below that is none.
function compareClocks(date) {
  const difference = Date.parse(date) + 500 - Date.now();
  if (Number.isFinite(difference)) ahead = Math.abs(difference) < 1500 ? 0 : difference;
}

function problemIn(status, text) {
  try {
    const problem = JSON.parse(text);
    if (typeof problem.code === "string") return problem;
  } catch {
    // Not ours: a proxy's page, or nothing.
  }
  return { status, code: "unknown", title: `The service answered ${status}` };
}
