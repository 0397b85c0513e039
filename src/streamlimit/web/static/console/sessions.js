// All live sessions, a page at a time: the service filters and pages, so ten thousand are as quick as ten.

import { call, query, serverNow } from "./api.js";
import { every, fillRow, keyed, place, row, setText } from "../dom.js";
import { atTime, deviceName, goneIn, lastSegment } from "./words.js";

const LOOK_MS = 3000;
const PAGE = 25;
let page;
let cursors = [null]; // of the pages up to this one
let following = null;
const looking = every(LOOK_MS, look);

export function furnish(_settings, tools) {
  page = tools;
  place("filters").addEventListener("submit", (event) => {
    event.preventDefault();
    cursors = [null];
    looking.start();
  });
  place("back").addEventListener("click", () => turn(cursors.slice(0, -1)));
  place("forth").addEventListener("click", () => turn([...cursors, following]));
}

export const show = () => looking.start();
export const hide = () => looking.stop();

function turn(wanted) {
  cursors = wanted;
  looking.start();
}

async function look() {
  const filters = Object.fromEntries(new FormData(place("filters")));
  const asked = cursors;
  const answer = await call("GET", `/v1/sessions${query({ ...filters, limit: PAGE, cursor: cursors.at(-1) })}`);
  if (asked !== cursors) return;
  page.showNotice(answer.ok ? "" : [answer.problem.title, answer.problem.detail].filter(Boolean).join(": "));
  if (!answer.ok) return;
  following = answer.body.cursor;
  const keyOf = (session) => `${session.user_id}/${session.session_id}`;
  keyed(place("rows"), answer.body.sessions, keyOf, makeRow, showRow);
  place("back").disabled = cursors.length === 1;
  place("forth").disabled = following === null;
  const none = answer.body.sessions.length === 0;
  setText(place("page-number"), none ? "No sessions here" : `Page ${cursors.length}, ${answer.body.sessions.length} sessions`);
}

function makeRow() {
  const line = row(7);
  const link = document.createElement("a");
  const name = line.firstChild.firstChild;
  line.firstChild.replaceChildren(link);
  link.append(name);
  return line;
}

function showRow(line, session) {
  const now = serverNow();
  const link = line.firstChild.firstChild;
  setText(link.firstChild, session.user_id);
  link.href = `#users/${encodeURIComponent(session.user_id)}`;
  const texts = [deviceName(session.device), session.stream_id, session.state, atTime(session.started_at)];
  texts.push(lastSegment(session, now), goneIn(session, now));
  fillRow({ children: [...line.children].slice(1) }, texts);
}
