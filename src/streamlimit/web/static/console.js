// The console: one section at a time, by the address's fragment (#users/ID, #sessions, #events, #charts, #health).
//
// #key=…  signs in with that key, which leaves the address at once.

import { call, forgetKey, hasKey, keepKey, localKey, onRefused } from "./console/api.js";
import { place, setText } from "./dom.js";
import * as charts from "./console/charts.js";
import * as events from "./console/events.js";
import * as health from "./console/health.js";
import * as sessions from "./console/sessions.js";
import * as users from "./console/users.js";

const SECTIONS = { users, sessions, events, charts, health };
const settings = JSON.parse(place("settings").textContent);
let shown = null;

async function open() {
  for (const section of Object.values(SECTIONS)) section.furnish(settings, { showNotice, say });
  place("sign-in").querySelector("form").addEventListener("submit", signIn);
  place("sign-out").addEventListener("click", () => signOut(""));
  onRefused(() => signOut("This key is not valid here, or no longer. Sign in again."));
  addEventListener("hashchange", go);
  takeKey();
  if (!hasKey() && settings.open) await localKey();
  if (hasKey()) await enter();
  else showSignIn("");
}

// From the address, and out of it: it shall be in no history.
function takeKey() {
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  if (!key) return;
  keepKey(key);
  history.replaceState(null, "", location.pathname);
}

async function signIn(event) {
  event.preventDefault();
  const field = event.target.elements.key;
  keepKey(field.value.trim());
  field.value = "";
  await enter();
}

async function enter() {
  const answer = await call("GET", "/v1/me");
  if (!answer.ok) return answer.problem.status === 401 ? undefined : showSignIn(answer.problem.title);
  const { role, name } = answer.body;
  if (role !== "operator" && role !== "reader") return signOut("That is no operator’s key.");
  document.body.dataset.role = role;
  setText(place("name"), name ?? role);
  place("looks").hidden = role === "operator";
  for (const button of document.querySelectorAll("[data-acts]")) button.disabled = role !== "operator";
  showFrame(true);
  showNotice("");
  go();
}

function signOut(why) {
  forgetKey();
  leave();
  showSignIn(why);
}

function showSignIn(why) {
  showFrame(false);
  showNotice(why);
  say("");
  place("sign-in").hidden = false;
  place("sign-in").querySelector("input").focus();
}

function showFrame(isIn) {
  document.querySelector("nav").hidden = place("reader").hidden = !isIn;
  if (isIn) place("sign-in").hidden = true;
}

// Shows the section that the address names.
function go() {
  if (location.hash === "#main" || !hasKey() || document.querySelector("nav").hidden) return;
  const [, name = "", detail = ""] = location.hash.match(/^#(\w+)\/?(.*)$/) ?? [];
  const wanted = name in SECTIONS ? name : "users";
  if (shown !== wanted) leave();
  shown = wanted;
  for (const each of Object.keys(SECTIONS)) place(each).hidden = each !== wanted;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${wanted}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  SECTIONS[wanted].show(decoded(detail));
}

function leave() {
  if (shown) SECTIONS[shown].hide();
  if (shown) place(shown).hidden = true;
  shown = null;
  say("");
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

// What is wrong, until it is right again; what was done.
function showNotice(text) {
  place("notice").hidden = !text;
  setText(place("notice"), text);
}

function say(text) {
  setText(place("said"), text);
}

open();
