// What the console says of sessions and events, in plain words.

const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const precise = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DAY = { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const day = new Intl.DateTimeFormat([], DAY);
const preciseDay = new Intl.DateTimeFormat([], { ...DAY, second: "2-digit" });

export const timeOfDay = (at) => clock.format(new Date(at));
export const secondOfDay = (at) => precise.format(new Date(at));
export const onDay = (text) => day.format(new Date(text));

// With the day where that is not today: what is asked after in the morning happened last night.
const isToday = (text) => new Date(text).toDateString() === new Date().toDateString();
export const atTime = (text) => (isToday(text) ? clock : day).format(new Date(text));
export const exactly = (text) => (isToday(text) ? precise : preciseDay).format(new Date(text));

export function deviceName(device) {
  if (device === null || device === undefined) return "A device without a name";
  return typeof device === "string" ? device : device.name || device.id || device.type || "A device";
}

export function seconds(number) {
  const whole = Math.max(Math.round(number), 0);
  if (whole < 120) return `${whole} s`;
  return whole < 7200 ? `${Math.round(whole / 60)} min` : `${Math.round(whole / 3600)} h`;
}

export const since = (text, now) => (now - Date.parse(text)) / 1000;

// "3 s ago", or that there was none yet.
export function lastSegment(session, now) {
  return session.last_activity_at === null ? "none yet" : `${seconds(since(session.last_activity_at, now))} ago`;
}

export const goneIn = (session, now) => seconds(-since(session.expires_at, now));

const TYPES = {
  "session.started": "started",
  "session.moved": "moved to another stream",
  "session.expired": "went silent and lost its seat",
  "session.ended": "stopped by its viewer",
  "session.terminated": "stopped",
  "session.abandoned": "never got its first segment",
  "session.refused": "refused",
};

const REFUSALS = {
  "session-limit": "all seats were taken",
  "session-shared": "two players used one session",
  "session-terminated": "it was stopped before",
  "too-many-visits": "too many streams one after the other",
  "too-many-requests": "it asked too often after a refusal",
  "store-unavailable": "the store did not answer",
};

const WITHIN = "its stream or type of device had no more seats";

export const refusal = (code) => REFUSALS[code] ?? code;

// One event as the cells of a table: when, what, device, stream, why.
export function ofEvent(event) {
  const { session, reason, by, limit, live_sessions: live } = event.data;
  const what = TYPES[event.type] ?? event.type;
  const who = event.type === "session.terminated" && by ? ` by ${by === "viewer" ? "another device" : by}` : "";
  let why = event.type === "session.refused" ? refusal(reason) : reason;
  if (["idle", "ended"].includes(reason)) why = "";
  if (live != null && limit != null && reason === "session-limit")
    why = live < limit ? `${WITHIN} (${live} of ${limit} taken)` : `${why} (${live} of ${limit})`;
  return { what: what + who, device: deviceName(session.device), stream: session.stream_id, why: why ?? "" };
}
