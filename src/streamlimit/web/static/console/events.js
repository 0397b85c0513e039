// Events as they happen: what comes is put on the screen four times a second, and only the newest two hundred stay.

import { listen, query } from "./api.js";
import { fillRow, place, row, setText } from "./dom.js";
import { exactly, ofEvent } from "./words.js";

const ROWS = 200;
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
  hear(aborter.signal);
  timers = [setInterval(draw, DRAW_MS), setInterval(count, 1000)];
}

export function hide() {
  aborter?.abort();
  timers.forEach(clearInterval);
  timers = [];
}

async function hear(signal) {
  const { types, user_id } = Object.fromEntries(new FormData(place("choice")));
  while (!signal.aborted) {
    tell("Connecting …");
    try {
      const onOpen = () => tell("Connected. Refusals and changes of state of all workers.");
      await listen(`/v1/events${query({ type: types, user_id })}`, { signal, lastId, onOpen, onEvent: take });
      if (!signal.aborted) tell("The connection ended; it is made again.");
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 404) return tell("This service does not tell events.");
      tell("The service does not answer. The page goes on trying.");
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

function take(name, data, id) {
  if (id) lastId = id;
  if (name === "gap") tell("Some events before these are gone.");
  if (name === "outage") tell("The store does not answer; events come when it does.");
  if (name === "recovered") tell("Connected. The store answers again.");
  if (!name.startsWith("session.") || !data?.data) return;
  seen += 1;
  waiting.push(data);
  if (waiting.length > ROWS) waiting.shift();
}

// Rows are used again: at two hundred events a second nothing is made or thrown away.
function draw() {
  if (isHeld || !waiting.length || document.hidden) return;
  const body = place("feed");
  for (const event of waiting) {
    const line = body.children.length < ROWS ? row(6) : body.lastChild;
    const { what, device, stream, why } = ofEvent(event);
    fillRow(line, [exactly(event.timestamp), what, event.data.session.user_id, device, stream, why]);
    body.prepend(line);
  }
  waiting = [];
}

function count() {
  setText(place("rate"), `${seen} a second`);
  seen = 0;
}

function tell(text) {
  setText(place("connection"), text);
}
