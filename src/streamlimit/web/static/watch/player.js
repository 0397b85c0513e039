// One player: one session of the user, which moves between streams and keeps its seat. The session itself (its seat,
// heartbeats, end) is client.js's; here is what a person sees of it, and when it asks again.

import { StreamSession } from "/client.js";
import { copyOf, fill, keyed } from "../dom.js";
import { POSTERS, STATES, describe, explain } from "./words.js";

const FOR_GOOD = new Set([400, 401, 403, 404, 413, 415]);
const SITS = new Set(["opening", "loading", "playing", "paused", "waiting"]);
const PLAYS = new Set(["loading", "playing", "paused"]);

export class Player {
  state = "stopped";
  #session = null;
  #hls = null;
  #retry = 0;
  #recoveredAt = 0;
  #problem = null;

  // *page*: { settings, user(), titles, now(), headers() }; *device*: { id, name, type }.
  constructor(page, device, streamId) {
    this.page = page;
    this.device = device;
    this.element = copyOf("player-template");
    this.video = this.element.querySelector("video");
    this.select = this.element.querySelector("select");
    this.#furnish(streamId);
    this.#listen();
    this.#show("stopped");
  }

  get sessionId() {
    return this.#session?.id ?? "";
  }

  // Takes a seat and plays, or says why not. *replace*: the session that gives way.
  async start(replace) {
    clearTimeout(this.#retry);
    if (!self.Hls?.isSupported())
      return this.#show("failed", { headline: "This browser has no Media Source Extensions", detail: "" });
    if (this.state !== "waiting" || replace) this.#show("opening");
    const session = (this.#session ??= this.#newSession());
    await session.replace(replace);
  }

  // Gives the seat back.
  stop() {
    clearTimeout(this.#retry);
    this.#session?.end();
    this.#session = null;
    this.#hls?.destroy();
    this.#hls = null;
    this.#show("stopped");
  }

  // Who sits now. A waiting player shows it, and asks at once when there is room, unless a limit within the user's
  // is full (`scope`), of which the number of free seats says nothing.
  look(roster) {
    if (this.state !== "waiting" || this.#problem?.code !== "session-limit") return;
    if (roster.live_sessions < roster.limit && !this.#problem.scope) this.start();
    else this.#showHolders(roster.sessions);
  }

  #furnish(streamId) {
    for (const [id, title] of this.page.titles) this.select.add(new Option(title, id));
    this.select.value = streamId;
    this.select.setAttribute("aria-label", `Stream of ${this.device.name}`);
    this.video.setAttribute("aria-label", `Picture of ${this.device.name}`);
    for (const [button, words] of [["start", "Start"], ["stop", "Stop"], ["back", "Take the seat back for"]])
      this.#button(button).setAttribute("aria-label", `${words} ${this.device.name}`);
    fill(this.element, { name: this.device.name });
  }

  #button(name) {
    return this.element.querySelector(`.${name}`);
  }

  #listen() {
    this.#button("start").addEventListener("click", () => this.start());
    this.#button("stop").addEventListener("click", () => this.stop());
    this.#button("back").addEventListener("click", () => this.start(this.#problem?.by_session_id));
    this.select.addEventListener("change", () => this.#move());
    const whilePlaying = (work) => () => this.#hls && PLAYS.has(this.state) && work();
    this.video.addEventListener("playing", whilePlaying(() => this.#show("playing")));
    this.video.addEventListener("pause", whilePlaying(() => this.video.ended || this.#show("paused")));
    this.video.addEventListener("waiting", whilePlaying(() => this.#show("loading")));
    this.video.addEventListener("ended", whilePlaying(() => this.#finish()));
  }

  #newSession() {
    const { page, device, select } = this;
    const session = new StreamSession({
      via: "/v1/sessions",
      headers: page.headers(),
      user: page.user(),
      stream: select.value,
      device,
    });
    const on = (name, work) => session.addEventListener(name, ({ detail }) => session === this.#session && work(detail));
    on("open", () => this.#show("loading"));
    for (const name of ["refused", "terminated", "failed"]) on(name, (problem) => this.#lost(problem));
    this.#hls = this.#newHls();
    session.attachHls(this.#hls, this.video);
    return session;
  }

  #newHls() {
    const hls = new Hls(configuration(this.page.settings));
    hls.on(Hls.Events.MANIFEST_PARSED, () => this.video.play().catch(() => {}));
    // hls.js is still at work on its error: let it finish before anything is done about it.
    hls.on(Hls.Events.ERROR, (_event, data) => queueMicrotask(() => hls === this.#hls && data.fatal && this.#broken(data)));
    return hls;
  }

  // The session notices a lost seat by itself; this is about media that do not come, or are invalid.
  #broken({ type, response }) {
    const now = performance.now();
    if (type === Hls.ErrorTypes.MEDIA_ERROR && now - this.#recoveredAt > 5000) {
      this.#recoveredAt = now;
      return this.#hls.recoverMediaError();
    }
    const status = response?.code ?? 0;
    if (PLAYS.has(this.state) && !(status >= 400 && status < 500)) this.#lost({ status: 0, code: "offline" });
  }

  // Another stream on the same seat, from its beginning.
  #move() {
    if (!SITS.has(this.state)) {
      this.#session = null;
      return;
    }
    clearTimeout(this.#retry);
    this.#hls.stopLoad();
    this.video.currentTime = 0;
    this.#session.retry(this.select.value);
  }

  #finish() {
    this.stop();
    this.#show("finished", { headline: "", detail: "Its seat is free again." });
  }

  #lost(problem) {
    const every = this.#secondsToRetry(problem);
    const words = explain(problem, every);
    if (problem.code === "session-terminated") return this.#show("terminated", words, problem);
    if (FOR_GOOD.has(problem.status)) return this.#show("failed", words);
    this.#show("waiting", words, problem);
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.start(), every * 1000);
  }

  #secondsToRetry(problem) {
    const retry = problem.retry_after_seconds ?? 2;
    return Math.max(Math.min(retry, this.page.settings.segment_seconds), 1);
  }

  #show(state, words = this.#standing(state), problem = null) {
    this.state = state;
    this.#problem = problem;
    this.element.dataset.state = state;
    fill(this.element, { state: STATES[state], poster: POSTERS[state], ...words });
    this.#button("start").disabled = SITS.has(state);
    this.#button("stop").disabled = !SITS.has(state);
    this.#button("back").hidden = !problem?.by_session_id;
    this.#showHolders(problem?.sessions ?? []);
  }

  #standing(state) {
    const { segment_seconds, missed_segments } = this.page.settings;
    const detail =
      state === "paused" ? `Keeps its seat until ${segment_seconds * missed_segments} s after its last segment.` : "";
    return { headline: "", detail };
  }

  #showHolders(sessions) {
    const make = (session) => {
      const holder = copyOf("holder-template");
      holder.querySelector("button").addEventListener("click", () => this.start(session.session_id));
      return holder;
    };
    const update = (holder, session) => {
      const words = describe(session, this.page.titles, this.page.now());
      holder.dataset.state = session.state;
      fill(holder, words);
      holder.querySelector("button").setAttribute("aria-label", `Stop ${words.device} and watch here`);
    };
    keyed(this.element.querySelector(".holders"), sessions, (session) => session.session_id, make, update);
  }
}

function configuration(settings) {
  const ahead = Math.max(3 * settings.segment_seconds, 6); // seats count fetching: fetch steadily, not far ahead
  return {
    maxBufferLength: ahead,
    maxMaxBufferLength: ahead,
    backBufferLength: 30,
    fragLoadPolicy: patient(Hls.DefaultConfig.fragLoadPolicy),
    playlistLoadPolicy: patient(Hls.DefaultConfig.playlistLoadPolicy),
    manifestLoadPolicy: patient(Hls.DefaultConfig.manifestLoadPolicy),
  };
}

// hls.js gives up at once on a connection that breaks while the machine is online; a blip is retried here.
function patient(policy) {
  const errorRetry = {
    ...policy.default.errorRetry,
    shouldRetry: (retry, count, _timeout, answer, would) =>
      would || (answer?.code === 0 && count < retry.maxNumRetry),
  };
  return { default: { ...policy.default, errorRetry } };
}
