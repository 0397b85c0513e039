// Events as they happen: what comes is put on the screen four times a second. Of a flood that nobody could read the
// newest are shown, and all are counted.

import { listen, query } from "./api.js";
import { fillRow, place, row, setText } from "../dom.js";
import { exactly, ofEvent } from "./words.js";

const ROWS = 100;
const AT_ONCE = 15;
const DRAW_MS = 250;
const AGAIN_MS = 2000;
let aborter = null;
let lastId = "";
let waiting = []; // the newest last
let seen = 0; // in this second
let isHeld = false;
let timers = [];

export function furnish() {
  place("choice").addEventListener("submit", (event) => {
    event.preventDefault();
    lastId = "";
    waiting = [];
    place("feed").replaceChildren();
    show();
  });
  place("hold").addEventListener("click", () => {
    isHeld = !isHeld;
    place("hold").setAttribute("aria-pressed", String(isHeld));
  });
}

export function show() {
  hide();
  aborter = new AbortController();
  follow(aborter.signal);
  timers = [setInterval(draw, DRAW_MS), setInterval(count, 1000)];
}

export function hide() {
  aborter?.abort();
  timers.forEach(clearInterval);
  timers = [];
}

async function follow(signal) {
  const { types, user_id } = Object.fromEntries(new FormData(place("choice")));
  while (!signal.aborted) {
    showNotice("Connecting …");
    try {
      const onOpen = () => showNotice("Connected. Refusals and changes of state of all workers.");
      await listen(`/v1/events${query({ type: types, user_id })}`, { signal, lastId, onOpen, onEvent: take });
      if (!signal.aborted) showNotice("The connection ended; it is made again.");
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 404) return showNotice("This service does not tell events.");
      showNotice("The service does not answer. The page goes on trying.");
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

function take(name, data, id) {
  if (id) lastId = id;
  if (name === "gap") showNotice("Some events before these are gone.");
  if (name === "outage") showNotice("The store does not answer; events come when it does.");
  if (name === "recovered") showNotice("Connected. The store answers again.");
  if (!name.startsWith("session.") || !data?.data) return;
  seen += 1;
  waiting.push(data);
  if (waiting.length > AT_ONCE) waiting.shift();
}

// Rows are used again: at two hundred events a second nothing is made or thrown away.
function draw() {
  if (isHeld || !waiting.length || document.hidden) return;
  const body = place("feed");
  const spare = [...body.children].slice(Math.max(ROWS - waiting.length, 0));
  const lines = waiting.reverse().map((event) => {
    const line = spare.pop() ?? row(6);
    const { what, device, stream, why } = ofEvent(event);
    fillRow(line, [exactly(event.timestamp), what, event.data.session.user_id, device, stream, why]);
    return line;
  });
  body.prepend(...lines);
  waiting = [];
}

function count() {
  const shown = (AT_ONCE * 1000) / DRAW_MS;
  setText(place("rate"), `${seen} a second${seen > shown ? `, the newest ${shown} of them shown` : ""}`);
  seen = 0;
}

function showNotice(text) {
  setText(place("connection"), text);
}
