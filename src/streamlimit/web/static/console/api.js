// The service's calls, each with the key as a bearer token. They never throw: no answer at all is the problem "offline".
//
// The key lies in this tab's sessionStorage and goes nowhere else. No cookie: no other site can make a browser send it.

const PLACE = "streamlimit.key";
const TIMEOUT_MS = 8000;
let key = remembered();
let refused = () => {};
let ahead = 0; // of the server's clock before ours, in ms

export const hasKey = () => Boolean(key);
export const serverNow = () => Date.now() + ahead;
export const onRefused = (work) => (refused = work);

function remembered() {
  try {
    return sessionStorage.getItem(PLACE) ?? "";
  } catch {
    return ""; // the storage is blocked
  }
}

export function keepKey(given) {
  key = given;
  try {
    sessionStorage.setItem(PLACE, given);
  } catch {
    // It is kept until the page is left.
  }
}

export function forgetKey() {
  key = "";
  try {
    sessionStorage.removeItem(PLACE);
  } catch {
    // There is none.
  }
}

// With open access on this machine: the key that was made for this run, where there is one.
export async function localKey() {
  const answer = await fetch("/console/key", { method: "POST", cache: "no-store" }).catch(() => null);
  if (answer?.ok) keepKey((await answer.json()).key);
}

export const userPath = (user) => `/v1/users/${encodeURIComponent(user)}`;
export const sessionPath = (user, session) => `${userPath(user)}/sessions/${encodeURIComponent(session)}`;

export function query(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value != null);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

export async function call(method, path, body) {
  const request = { method, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS), headers: bearer() };
  if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.headers["Content-Type"] = "application/json";
  }
  try {
    const answer = await fetch(path, request);
    compareClocks(answer.headers.get("date"));
    const text = await answer.text();
    if (answer.ok) return { ok: true, body: text ? JSON.parse(text) : null };
    if (answer.status === 401) refused();
    return { ok: false, problem: problemIn(answer.status, text) };
  } catch {
    return { ok: false, problem: { status: 0, code: "offline", title: "The service does not answer." } };
  }
}

// A stream of server-sent events, read until it ends or *signal* says so: `onEvent(name, data, id)` for each.
// (EventSource cannot send a key.)
export async function listen(path, { signal, lastId, onOpen, onEvent }) {
  const headers = bearer();
  if (lastId) headers["Last-Event-ID"] = lastId;
  const answer = await fetch(path, { headers, signal, cache: "no-store" });
  if (answer.status === 401) refused();
  if (!answer.ok) throw Object.assign(new Error("refused"), { status: answer.status });
  onOpen();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) read(block, onEvent);
  }
}

function read(block, onEvent) {
  const fields = {};
  for (const line of block.split("\n")) {
    const [, name, value] = line.match(/^(\w+): ?(.*)$/) ?? [];
    if (name) fields[name] = value;
  }
  onEvent(fields.event ?? "", fields.data ? JSON.parse(fields.data) : null, fields.id ?? "");
}

const bearer = () => (key ? { Authorization: `Bearer ${key}` } : {});

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
  return { status, code: "unknown", title: `The service answered ${status}.` };
}
