// How the parts are: the service, its workers, the store, webhooks; each with a word and the numbers behind it.

import { call } from "./api.js";
import { every, fill, keyed, place } from "../dom.js";
import { seconds } from "./words.js";

const LOOK_MS = 3000;
let page;
const looking = every(LOOK_MS, look);

export function furnish(_settings, tools) {
  page = tools;
}

export const show = () => looking.start();
export const hide = () => looking.stop();

async function look() {
  const [stats, ready] = await Promise.all([call("GET", "/v1/stats"), call("GET", "/readyz")]);
  page.showNotice(stats.ok ? "" : stats.problem.title);
  const parts = [service(stats), store(stats, ready), ...(stats.ok ? [workers(stats.body), webhooks(stats.body), crowd(stats.body)] : [])];
  keyed(place("parts"), parts, (part) => part.name, make, showPart);
}

function make() {
  const part = document.createElement("div");
  const [name, value] = ["dt", "dd"].map((tag) => part.appendChild(document.createElement(tag)));
  name.append(named("span", "name"), named("span", "word"));
  name.lastChild.className = "state";
  value.append(named("span", "detail"));
  return part;
}

function named(tag, text) {
  const element = document.createElement(tag);
  element.dataset.text = text;
  return element;
}

function showPart(element, { name, word, detail, isGood }) {
  element.querySelector(".state").dataset.state = isGood ? "good" : "bad";
  fill(element, { name, word, detail });
}

function service(stats) {
  const detail = stats.ok ? `${stats.body.admissions} requests let in, ${total(stats.body.refusals)} refused` : stats.problem.title;
  return { name: "Service", isGood: stats.ok, word: stats.ok ? "answers" : "does not answer", detail };
}

function store(stats, ready) {
  const isGood = ready.ok && !(stats.ok && stats.body.store.away);
  const latency = stats.ok && stats.body.store.latency_ms !== null ? `A call takes ${stats.body.store.latency_ms} ms on average. ` : "";
  const without = stats.ok ? `${stats.body.store.degraded_answers} answers were given without it.` : "";
  const wrong = ready.ok ? "" : `${ready.problem.detail ?? ready.problem.title}. `;
  return { name: "Store", isGood, word: isGood ? "answers and takes a write" : "unavailable", detail: wrong + latency + without };
}

function workers({ workers: { running, expected } }) {
  const isGood = running >= expected;
  return { name: "Workers", isGood, word: isGood ? "all run" : "some are missing", detail: `${running} of ${expected} on this machine` };
}

function webhooks({ callbacks: { pending, attempts, dropped } }) {
  const lost = total(dropped ?? {});
  const failing = Object.entries(attempts).filter(([name]) => name.endsWith("/given_up") && attempts[name]);
  const isGood = !lost && !failing.length;
  const counted = Object.entries(attempts).map(([name, count]) => `${name.replace("/", " ")}: ${count}`);
  const waiting = pending === null ? "not known how many wait" : `${pending} wait`;
  const detail = [waiting, ...counted, ...(lost ? [`${lost} dropped`] : [])].join("; ");
  return { name: "Webhooks", isGood, word: isGood ? "nothing lost" : "events were lost", detail };
}

function crowd({ sessions, users, users_at_limit: full, counted_seconds_ago: age }) {
  if (!sessions) return { name: "Viewers", isGood: true, word: "not counted yet", detail: "They are counted in the background." };
  const detail = `${total(sessions)} sessions (${sessions.active} active, ${sessions.idle} idle, ${sessions.starting} starting) of ${users} users, ${full} of them on all of their seats; counted ${seconds(age)} ago`;
  return { name: "Viewers", isGood: true, word: "counted", detail };
}

const total = (numbers) => Object.values(numbers).reduce((sum, number) => sum + number, 0);
