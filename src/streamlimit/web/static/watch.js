// The page /watch: some players of one user, and above them who holds the user's seats.
//
// ?user=ID  whose seats (made up otherwise)   ?players=N  how many (4)   ?autostart=1  start them all   ?wall=1  a wall
// #token=…  the viewer's token, or a key, where access is not open: it leaves the address at once

import { Player } from "./watch/player.js";
import { fetchMe, fetchRoster, fetchStreams, headers, keepToken, serverNow, takeToken } from "./watch/service.js";
import { copyOf, fill, keyed } from "./dom.js";
import { describe, seconds } from "./watch/words.js";

const LOOK_MS = 1000;
const USER_ID = /^(?!\.{1,2}$)[^\p{Cc}\p{Cs}\u2028\u2029/\\]{1,128}$/u;
const DEVICES = [
  { name: "Living-room TV", type: "tv" },
  { name: "Tablet", type: "tablet" },
  { name: "Phone", type: "phone" },
  { name: "Laptop", type: "computer" },
];

const settings = JSON.parse(document.getElementById("settings").textContent);
const asked = new URLSearchParams(location.search);
const titles = new Map();
const players = [];
let user = "";
let standing = ""; // a notice that stays

const page = { settings, titles, user: () => user, now: serverNow, headers };

async function open() {
  takeToken();
  document.getElementById("credential").addEventListener("submit", signIn);
  document.getElementById("wall").addEventListener("click", () => showWall(!document.body.classList.contains("wall")));
  addEventListener("keydown", (event) => event.key === "Escape" && showWall(false));
  showWall(asked.get("wall") === "1");
  const me = await fetchMe();
  if (me.problem?.status === 401) return askForToken(headers().Authorization ? "This token is not valid here, or no longer." : "");
  await enter(me.body?.user_id ?? null);
}

// *own*: the user of a viewer's token, who watches as nobody else.
async function enter(own) {
  const chosen = own ?? asked.get("user") ?? "";
  setUser(USER_ID.test(chosen) ? chosen : `demo-${random(4)}`);
  document.getElementById("who").hidden = own !== null;
  const silence = settings.segment_seconds * settings.missed_segments;
  document.getElementById("silence").textContent = seconds(silence);
  document.getElementById("who").addEventListener("submit", changeUser);
  lookForever();
  await loadStreams();
  furnish();
  if (asked.get("autostart") === "1") for (const player of players) await player.start();
}

function askForToken(why) {
  document.getElementById("credential").hidden = false;
  for (const part of document.querySelectorAll("#who, .seats, #wall")) part.hidden = true;
  showNotice(why);
  document.getElementById("credential").elements.token.focus();
}

function signIn(event) {
  event.preventDefault();
  keepToken(event.target.elements.token.value.trim());
  location.reload();
}

// Four screens and nothing else; Escape leaves it.
function showWall(isOn) {
  document.body.classList.toggle("wall", isOn);
  document.getElementById("wall").setAttribute("aria-pressed", String(isOn));
}

function random(length) {
  const letters = "abcdefghjkmnpqrstuvwxyz23456789";
  return [...crypto.getRandomValues(new Uint8Array(length))].map((n) => letters[n % letters.length]).join("");
}

function setUser(chosen) {
  user = chosen;
  document.getElementById("user").value = chosen;
  asked.set("user", chosen);
  history.replaceState(null, "", `?${asked}`); // a reload, or another tab with this address, is the same user
}

function changeUser(event) {
  event.preventDefault();
  players.forEach((player) => player.stop());
  setUser(document.getElementById("user").value);
  look();
}

async function loadStreams() {
  let answer = await fetchStreams();
  while (!answer.ok) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    answer = await fetchStreams();
  }
  for (const stream of answer.body.streams) titles.set(stream.stream_id, stream.title);
}

function furnish() {
  if (!titles.size) standing = "There are no streams here: the setting `streams` names an empty folder.";
  if (!titles.size) return;
  const count = Math.min(Math.max(Number.parseInt(asked.get("players") ?? "4", 10) || 4, 1), 12);
  const tab = tabId();
  const streams = [...titles.keys()];
  for (let number = 0; number < count; number++) {
    const device = DEVICES[number] ?? { name: `Screen ${number + 1}`, type: "other" };
    const player = new Player(page, { id: `${tab}-${number + 1}`, ...device }, streams[number % streams.length]);
    players.push(player);
    document.getElementById("players").append(player.element);
  }
}

// Kept over a reload, so that a crashed tab's devices get their own seats back.
function tabId() {
  try {
    return (sessionStorage.streamlimitTab ??= `tab-${random(8)}`);
  } catch {
    return `tab-${random(8)}`;
  }
}

async function lookForever() {
  for (;;) {
    await look();
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

async function look() {
  const whose = user;
  const answer = await fetchRoster(whose);
  if (whose !== user) return;
  showNotice(answer.ok ? standing : (answer.problem.title ?? "The service does not answer. The page goes on trying."));
  if (!answer.ok) return;
  showSeats(answer.body);
  players.forEach((player) => player.look(answer.body));
}

function showNotice(text) {
  const notice = document.getElementById("notice");
  notice.hidden = !text;
  if (notice.textContent !== text) notice.textContent = text;
}

function showSeats(roster) {
  const title = document.getElementById("seats-title");
  const text = `${roster.live_sessions} of ${roster.limit} seats taken`;
  if (title.textContent !== text) title.textContent = text;
  const free = Array.from({ length: Math.max(roster.limit - roster.live_sessions, 0) }, () => null);
  const seats = [...roster.sessions, ...free].map((session, index) => ({ session, index }));
  const keyOf = ({ session, index }) => session?.session_id ?? ` free ${index}`;
  keyed(document.getElementById("sessions"), seats, keyOf, () => copyOf("seat-template"), showSeat);
}

function showSeat(seat, { session }) {
  seat.dataset.state = session?.state ?? "free";
  if (!session) return fill(seat, { device: "Free seat" });
  const here = players.some((player) => player.sessionId === session.session_id);
  fill(seat, { ...describe(session, titles, serverNow()), where: here ? "on this page" : "somewhere else" });
}

open();
