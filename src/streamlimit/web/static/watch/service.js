// The service's calls that are no session's own.

import { Credential, ask } from "../calls.js";

export { serverNow } from "../calls.js";

const TIMEOUT_MS = 5000;
const token = new Credential("streamlimit.token");

export const headers = () => token.headers();
export const keepToken = (given) => token.keep(given);
export const fetchMe = () => get("/v1/me");
export const fetchStreams = () => get("/v1/streams");
export const fetchRoster = (user) => get(`/v1/users/${encodeURIComponent(user)}/sessions`);

const get = (path) => ask(path, { headers: headers() }, TIMEOUT_MS);

// From the address's fragment (#token=… or #key=…), which goes into no log, and out of it.
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1));
  const found = given.get("token") ?? given.get("key");
  if (!found) return;
  keepToken(found);
  history.replaceState(null, "", location.pathname + location.search);
}
