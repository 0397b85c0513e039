// What the page says.

const clock = new Intl.DateTimeFormat([], {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});

export const STATES = {
  stopped: "stopped",
  opening: "opening",
  loading: "loading",
  playing: "playing",
  paused: "paused",
  waiting: "waiting",
  finished: "finished",
  terminated: "sent away",
  failed: "failed",
};

export const POSTERS = {
  stopped: "Press Start",
  opening: "Asking for a seat …",
  loading: "",
  playing: "",
  paused: "",
  waiting: "Waiting for a seat",
  finished: "Played to the end",
  terminated: "Sent away",
  failed: "Cannot play this",
};

export function deviceName(device) {
  if (device === null || device === undefined) return "A device without a name";
  return typeof device === "string" ? device : device.name || device.id || device.type || "A device";
}

export function atTime(text) {
  return clock.format(new Date(text));
}

export function seconds(number) {
  if (number >= 120) return `${Math.round(number / 60)} min`;
  return `${number >= 10 ? Math.round(number) : Math.round(number * 10) / 10} s`;
}

// Of one session, as of the server's time: who, what, since when, and when it may be gone.
export function describe(session, titles, now) {
  const last = session.last_activity_at;
  const silent = last === null ? null : Math.max(Math.round((now - Date.parse(last)) / 1000), 0);
  const left = Math.max((Date.parse(session.expires_at) - now) / 1000, 0);
  const activity = silent === null ? "nothing yet" : `active ${silent ? `${seconds(silent)} ago` : "just now"}`;
  return {
    device: deviceName(session.device),
    stream: titles.get(session.stream_id) ?? session.stream_id,
    state: session.state,
    times: `since ${atTime(session.started_at)} · ${activity}`,
    free: `free in ${seconds(Math.ceil(left))} unless it goes on`,
  };
}

const SCOPES = { stream: "for this stream", "device-type": "for devices of this type" };

// Which seats are taken: all of the user's, or those of a limit within.
function taken({ live_sessions, limit, scope, scope_limit }) {
  return scope ? `${scope_limit} of ${scope_limit} seats ${SCOPES[scope]}` : `${live_sessions} of ${limit} seats`;
}

// A refusal or an error in words: { headline, detail }. *every*: seconds between two tries.
export function explain(problem, every) {
  const again = `Asks again every ${seconds(every)} and starts by itself.`;
  switch (problem.code) {
    case "session-limit":
      return {
        headline: `${taken(problem)} are taken`,
        detail: `The next may come free in ${seconds(problem.retry_after_seconds)}. ${again}`,
      };
    case "session-shared":
      return {
        headline: "Back and forth too fast",
        detail: `It looks as if two players shared this session. ${again}`,
      };
    case "too-many-visits":
      return {
        headline: "Too many streams one after the other",
        detail: `The next may start in ${seconds(Math.ceil(problem.retry_after_seconds))}. ${again}`,
      };
    case "session-terminated":
      return { headline: terminator(problem), detail: `${atTime(problem.at)}: ${problem.reason}` };
    case "offline":
      return { headline: "The service does not answer", detail: again };
    default:
      return { headline: problem.title ?? "This does not work", detail: problem.detail ?? "" };
  }
}

function terminator(problem) {
  if (problem.by_device) return `${deviceName(problem.by_device)} took this seat`;
  if (problem.by === "viewer") return "Another session took this seat";
  return problem.by === "operator" ? "Stopped by the operator" : `Stopped by ${problem.by}`;
}
