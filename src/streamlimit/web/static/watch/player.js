// One player: one session of the user, which moves between streams and keeps its seat.
//
// All requests for its session go one after another, and those of an older *turn* (each start, stop and
// move begins a new one) are not sent any more: no heartbeat comes after the end and takes a seat again.

import { endByBeacon, endSession, heartbeat, openSession, problemOfRequest } from "./service.js";
import { POSTERS, STATES, copyOf, describe, explain, fill, keyed } from "./words.js";

const FOR_GOOD = new Set([400, 403, 404, 410, 413, 415]);
const SEAT_LOST = new Set([401, 403, 409, 410]);
const SITS = new Set(["opening", "loading", "playing", "paused", "waiting"]);
const PLAYS = new Set(["loading", "playing", "paused"]);

export class Player {
  state = "stopped";
  #turn = 0;
  #queue = Promise.resolve();
  #aborter = new AbortController();
  #sessionId = "";
  #user = "";
  #hls = null;
  #retry = 0;
  #beatAt = 0;
  #recoveredAt = 0;
  #position = -1;
  #problem = null;

  // *page*: { settings, user(), titles, now() }; *device*: { id, name, type }.
  constructor(page, device, streamId) {
    this.page = page;
    this.device = device;
    this.element = copyOf("player-template");
    this.video = this.element.querySelector("video");
    this.select = this.element.querySelector("select");
    this.#renew();
    this.#furnish(streamId);
    this.#listen();
    this.#show("stopped");
  }

  get sessionId() {
    return this.#sessionId;
  }

  // Takes a seat and plays, or says why not. *replace*: the session that gives way.
  async start(replace) {
    if (this.state === "terminated") this.#renew();
    this.#user = this.page.user();
    const turn = this.#begin();
    if (this.state !== "waiting" || replace) this.#show("opening");
    const form = {
      user_id: this.#user,
      session_id: this.#sessionId,
      stream_id: this.select.value,
      device: this.device,
      ...(replace ? { replace } : {}),
    };
    const answer = await this.#ask(turn, (signal) => openSession(form, signal));
    if (answer === null) return;
    if (answer.ok) this.#play(answer.body.playback_url, turn);
    else this.#refused(answer.problem);
  }

  // Gives the seat back.
  stop() {
    const sat = SITS.has(this.state);
    this.#begin();
    this.#position = -1;
    this.#show("stopped");
    if (sat) this.#end();
  }

  // The page goes away: nothing can be awaited any more.
  leave() {
    if (!SITS.has(this.state)) return;
    this.#aborter.abort();
    this.#aborter = new AbortController();
    this.#begin();
    this.#show("stopped");
    endByBeacon(this.#user, this.#sessionId);
  }

  // Who sits now. A waiting player shows it, and asks at once when there is room.
  look(roster) {
    if (this.state !== "waiting" || this.#problem?.code !== "session-limit") return;
    if (roster.live_sessions < roster.limit) this.start();
    else this.#showHolders(roster.sessions);
  }

  #renew() {
    const random = crypto.getRandomValues(new Uint32Array(2));
    this.#sessionId = `w-${[...random].map((part) => part.toString(36)).join("")}`;
  }

  #furnish(streamId) {
    for (const [id, title] of this.page.titles) this.select.add(new Option(title, id));
    this.select.value = streamId;
    this.select.setAttribute("aria-label", `Stream of ${this.device.name}`);
    this.element.querySelector(".start").setAttribute("aria-label", `Start ${this.device.name}`);
    this.element.querySelector(".stop").setAttribute("aria-label", `Stop ${this.device.name}`);
    fill(this.element, { name: this.device.name });
  }

  #listen() {
    this.element.querySelector(".start").addEventListener("click", () => this.start());
    this.element.querySelector(".stop").addEventListener("click", () => this.stop());
    this.select.addEventListener("change", () => this.#move());
    const whilePlaying = (work) => () => this.#hls && PLAYS.has(this.state) && work();
    this.video.addEventListener("playing", whilePlaying(() => this.#resumed()));
    this.video.addEventListener("pause", whilePlaying(() => this.video.ended || this.#show("paused")));
    this.video.addEventListener("waiting", whilePlaying(() => this.#show("loading")));
    this.video.addEventListener("ended", whilePlaying(() => this.#finish()));
    // Comes four times a second while the picture moves, and only then.
    this.video.addEventListener("timeupdate", whilePlaying(() => this.video.paused || this.#beatIfDue()));
  }

  // Another stream on the same seat.
  #move() {
    this.#position = -1;
    if (SITS.has(this.state)) this.start();
  }

  #resumed() {
    if (this.state === "paused") this.#beatAt = 0; // it may have lost its seat meanwhile: ask at once
    this.#show("playing");
  }

  #finish() {
    this.stop();
    this.#show("finished", { headline: "", detail: "Its seat is free again." });
  }

  // A new turn: nothing of the last one plays, retries or is waited for.
  #begin() {
    clearTimeout(this.#retry);
    const hls = this.#hls;
    this.#hls = null;
    hls?.destroy();
    return ++this.#turn;
  }

  // One request at a time. Null: its turn is over, nobody wants the answer.
  #ask(turn, request) {
    const asked = this.#queue.then(async () => {
      if (turn !== this.#turn) return null;
      const answer = await request(this.#aborter.signal);
      return turn === this.#turn ? answer : null;
    });
    this.#queue = asked;
    return asked;
  }

  #end() {
    const [user, session] = [this.#user, this.#sessionId];
    this.#queue = this.#queue.then(() => endSession(user, session));
  }

  #play(url, turn) {
    if (!self.Hls?.isSupported()) {
      this.#end();
      return this.#show("failed", { headline: "This browser has no Media Source Extensions", detail: "" });
    }
    this.#show("loading");
    this.#beatAt = performance.now();
    const hls = (this.#hls = new Hls(configuration(this.page.settings, this.#position)));
    hls.on(Hls.Events.MANIFEST_PARSED, () => this.video.play().catch(() => {}));
    hls.on(Hls.Events.ERROR, (_event, data) => {
      // hls.js is still at work on its error: let it finish before it is destroyed.
      queueMicrotask(() => turn === this.#turn && this.#onMediaError(data));
    });
    hls.loadSource(url);
    hls.attachMedia(this.video);
  }

  #onMediaError(data) {
    const problem = problemOfRequest(data.networkDetails);
    if (problem && (data.fatal || SEAT_LOST.has(problem.status))) return this.#interrupted(problem);
    if (!data.fatal) return;
    const now = performance.now();
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR && now - this.#recoveredAt > 5000) {
      this.#recoveredAt = now;
      return this.#hls.recoverMediaError();
    }
    this.#interrupted({ status: 0, code: "offline" });
  }

  // What played plays no more; it goes on from here when it may.
  #interrupted(problem) {
    this.#position = this.video.currentTime;
    this.#begin();
    this.#refused(problem);
  }

  #refused(problem) {
    const every = this.#secondsToRetry(problem);
    const words = explain(problem, every);
    if (problem.code === "session-terminated") {
      this.#position = -1;
      return this.#show("terminated", words);
    }
    if (FOR_GOOD.has(problem.status)) return this.#show("failed", words);
    this.#show("waiting", words, problem);
    this.#retry = setTimeout(() => this.start(), every * 1000);
  }

  #secondsToRetry(problem) {
    const told = problem.retry_after_seconds ?? 2;
    return Math.max(Math.min(told, this.page.settings.segment_seconds), 1);
  }

  async #beatIfDue() {
    const now = performance.now();
    // Once per X, a little early: what plays shall not look idle in between.
    if (now - this.#beatAt < this.page.settings.segment_seconds * 800) return;
    this.#beatAt = now;
    const [user, session, stream] = [this.#user, this.#sessionId, this.select.value];
    const answer = await this.#ask(this.#turn, (signal) => heartbeat(user, session, stream, signal));
    if (answer && !answer.ok && SEAT_LOST.has(answer.problem.status)) this.#interrupted(answer.problem);
  }

  #show(state, words = this.#standing(state), problem = null) {
    this.state = state;
    this.#problem = problem;
    this.element.dataset.state = state;
    fill(this.element, { state: STATES[state], poster: POSTERS[state], ...words });
    this.element.querySelector(".start").disabled = SITS.has(state);
    this.element.querySelector(".stop").disabled = !SITS.has(state);
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
      const button = holder.querySelector("button");
      button.addEventListener("click", () => this.start(session.session_id));
      return holder;
    };
    const update = (holder, session) => {
      const words = describe(session, this.page.titles, this.page.now());
      holder.dataset.state = session.state;
      fill(holder, words);
      holder.querySelector("button").setAttribute("aria-label", `Watch here instead of on ${words.device}`);
    };
    keyed(this.element.querySelector(".holders"), sessions, (session) => session.session_id, make, update);
  }
}

function configuration(settings, position) {
  const ahead = Math.max(3 * settings.segment_seconds, 6); // seats count fetching: fetch steadily, not far ahead
  return {
    startPosition: position,
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
