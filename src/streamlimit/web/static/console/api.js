// The service's calls, each with the key as a bearer token.

import { Credential, ask } from "../calls.js";

export { serverNow } from "../calls.js";

const TIMEOUT_MS = 8000;
const key = new Credential("streamlimit.key");
let refused = () => {};

export const hasKey = () => Boolean(key.value);
export const keepKey = (given) => key.keep(given);
export const forgetKey = () => key.keep("");
export const onRefused = (work) => (refused = work);

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
  const request = { method, headers: key.headers() };
  if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.headers["Content-Type"] = "application/json";
  }
  const answer = await ask(path, request, TIMEOUT_MS);
  if (answer.status === 401) refused();
  return answer;
}

// A stream of server-sent events, read until it ends or *signal* says so: `onEvent(name, data, id)` for each.
// (EventSource cannot send a key.)
export async function listen(path, { signal, lastId, onOpen, onEvent }) {
  const headers = key.headers();
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
