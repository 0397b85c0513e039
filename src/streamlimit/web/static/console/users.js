// One user: who holds the seats, stopping one with a message, another limit for a while, what happened; and each of these undone.

import { call, query, serverNow, sessionPath, userPath } from "./api.js";
import { copyOf, every, fill, fillRow, keyed, place, row } from "../dom.js";
import { atTime, deviceName, exactly, goneIn, lastSegment, ofEvent, onDay, seconds } from "./words.js";

const LOOK_MS = 2000;
const HOUR_MS = 3_600_000;
let page;
let silence = 18;
let user = "";
let limit = null; // the user's, as the service returned it last
let undo = null; // takes back what was done last
const looking = every(LOOK_MS, look);

export function furnish(settings, tools) {
  page = tools;
  silence = settings.segment_seconds * settings.missed_segments;
  place("look-up").addEventListener("submit", lookUp);
  place("limit").addEventListener("submit", setLimit);
  place("usual").addEventListener("click", usualLimit);
  place("forgive").addEventListener("click", () => forgive(""));
  place("undo").querySelector("button").addEventListener("click", () => undo?.());
}

export function show(detail) {
  const chosen = detail || user;
  if (chosen !== user) offerUndo("", null);
  user = chosen;
  place("look-up").elements.user.value = user;
  place("person").hidden = true;
  if (user) looking.start();
  else place("look-up").elements.user.focus();
}

export function hide() {
  looking.stop();
}

function lookUp(event) {
  event.preventDefault();
  const wanted = `#users/${encodeURIComponent(event.target.elements.user.value.trim())}`;
  if (location.hash === wanted) show(event.target.elements.user.value.trim());
  else location.hash = wanted;
}

async function look() {
  const whose = user;
  const [roster, limits, past] = await Promise.all([
    call("GET", `${userPath(whose)}/sessions`),
    call("GET", `${userPath(whose)}/limit`),
    call("GET", `${userPath(whose)}/history${query({ limit: 50 })}`),
  ]);
  if (whose !== user) return;
  page.showNotice(roster.ok ? "" : [roster.problem.title, roster.problem.detail].filter(Boolean).join(": "));
  if (!roster.ok && roster.problem.status === 400) looking.stop(); // what is no id will never be one
  if (!roster.ok) return;
  place("person").hidden = false;
  showSeats(roster.body);
  if (limits.ok) showLimit(limits.body, roster.body);
  showHistory(past.ok ? past.body.events : []);
}

function showSeats(roster) {
  fill(place("person"), { user: roster.user_id, seats: `${roster.live_sessions} of ${roster.limit} seats` });
  keyed(place("seats"), roster.sessions, (session) => session.session_id, makeSeat, showSeat);
}

function makeSeat(session) {
  const seat = copyOf("seat");
  const button = seat.querySelector("button");
  button.disabled = document.body.dataset.role !== "operator";
  button.addEventListener("click", () => askToStop(session));
  return seat;
}

function showSeat(seat, session) {
  const [device, now] = [deviceName(session.device), serverNow()];
  seat.dataset.state = session.state;
  fill(seat, {
    device,
    stream: session.stream_id,
    state: session.state,
    times: `since ${atTime(session.started_at)}, last segment ${lastSegment(session, now)}`,
    left: `gone in ${goneIn(session, now)} unless it goes on`,
  });
  seat.querySelector("button").setAttribute("aria-label", `Stop ${device}`);
}

function askToStop(session) {
  const dialog = place("stop");
  fill(dialog, { device: deviceName(session.device), silence: seconds(silence) });
  dialog.returnValue = "";
  dialog.onclose = () => dialog.returnValue === "stop" && stop(session, dialog.querySelector("input").value);
  dialog.showModal();
  dialog.querySelector("input").select();
}

async function stop(session, reason) {
  const path = sessionPath(session.user_id, session.session_id) + query({ reason });
  if (!(await done(call("DELETE", path), `${deviceName(session.device)} was stopped.`))) return;
  offerUndo(`${deviceName(session.device)} is stopped and stays out until it has been silent.`, () => forgive(session.session_id));
}

// Lets one stopped session come back, or all of the user's.
async function forgive(session) {
  const path = `${userPath(user)}/terminations${session ? `/${encodeURIComponent(session)}` : ""}`;
  const words = session ? "It may come back at once." : "All stopped sessions may come back at once.";
  if (await done(call("DELETE", path), words)) offerUndo("", null);
}

function showLimit(found, roster) {
  const first = limit === null || limit.user_id !== found.user_id || limit.max_sessions !== found.max_sessions;
  limit = found;
  const until = found.until ? `until ${onDay(found.until)}` : "for good";
  const note = found.note ? ` (${found.note})` : "";
  const usual = "The usual limit of their plan, or of the service.";
  fill(place("person"), { limit: found.own ? `A limit of their own: ${found.max_sessions}, ${until}${note}` : usual });
  place("usual").hidden = !found.own;
  const field = place("limit").elements.max_sessions;
  if (first && document.activeElement !== field) field.value = Math.min(Math.max(roster.limit, found.max_sessions) + 1, 64);
}

async function setLimit(event) {
  event.preventDefault();
  const { max_sessions: count, hours, note } = event.target.elements;
  const before = limit;
  const form = { max_sessions: Number(count.value), note: note.value };
  if (hours.value) form.until = new Date(serverNow() + hours.value * HOUR_MS).toISOString();
  const until = form.until ? `until ${onDay(form.until)}` : "for good";
  if (!(await done(call("PUT", `${userPath(user)}/limit`, form), `${count.value} screens ${until}.`))) return;
  note.value = "";
  offerUndo(`The limit is ${form.max_sessions} ${until}.`, () => backTo(before));
}

async function usualLimit() {
  const before = limit;
  if (await done(call("DELETE", `${userPath(user)}/limit`), "The usual limit holds again."))
    offerUndo("The limit of their own is gone.", () => backTo(before));
}

async function backTo(before) {
  const { max_sessions, until, note } = before;
  const form = { max_sessions, note, ...(until ? { until } : {}) };
  const path = `${userPath(user)}/limit`;
  if (await done(before.own ? call("PUT", path, form) : call("DELETE", path), "The limit is as it was.")) offerUndo("", null);
}

// Says what became of a call, and looks again.
async function done(asked, words) {
  const answer = await asked;
  page.say(answer.ok ? words : "");
  page.showNotice(answer.ok ? "" : [answer.problem.title, answer.problem.detail].filter(Boolean).join(": "));
  await look();
  return answer.ok;
}

function offerUndo(words, work) {
  undo = work;
  const isOffered = Boolean(work);
  const bar = place("undo");
  if (!isOffered && bar.contains(document.activeElement)) place("look-up").elements.user.focus();
  bar.hidden = !isOffered;
  fill(bar, { undo: words });
  const isLost = document.activeElement === document.body; // the button that did it went with its session
  if (isOffered && isLost) bar.querySelector("button").focus();
}

function showHistory(events) {
  place("no-history").hidden = events.length > 0;
  const items = events.map((event, index) => ({ event, index }));
  const show = (line, { event }) => {
    const { what, device, stream, why } = ofEvent(event);
    fillRow(line, [exactly(event.timestamp), what, device, stream, why]);
  };
  keyed(place("history"), items, ({ event, index }) => `${event.timestamp} ${event.type} ${index}`, () => row(5), show);
}
