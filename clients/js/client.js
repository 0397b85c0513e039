// streamlimit in a page: keeps a session's seat while the picture moves.

const LOST = new Set([401, 403, 409, 410]);

// Resolves with a seat or without: then `refused` or `terminated` follows.
export async function open(options) {
  const session = new StreamSession(options);
  await session.retry();
  return session;
}

// The same for every session and after a reload.
export function deviceId() {
  const made = [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(36)).join("");
  try {
    return (localStorage["streamlimit.device"] ??= made);
  } catch {
    return made; // the storage is blocked
  }
}

export class StreamSession extends EventTarget {
  state = "closed"; // open, refused, terminated, failed, closed
  id;
  userId;
  grant;
  playbackUrl;
  #options;
  #base;
  #load;
  #stop;
  #video;
  #timer;
  #queue = Promise.resolve();
  #aborter = new AbortController();
  #listening = new AbortController();
  #everyMs = 2000; // until the service has set it
  #beatAt = 0;

  constructor(options) {
    super();
    const device = typeof options.device === "string" ? { id: options.device } : options.device;
    this.#options = { ...options, device: { id: deviceId(), ...device } };
  }

  // Asks for a seat, again or on another stream.
  retry(stream = this.#options.stream) {
    this.#options.stream = stream;
    return this.replace();
  }

  // Takes the seat of another session.
  async replace(sessionId) {
    const { stream, user, device, via, headers } = this.#options;
    const form = { stream_id: stream, device };
    if (user) form.user_id = user;
    if (this.id && this.state !== "terminated") form.session_id = this.id;
    if (sessionId) form.replace = sessionId;
    const answer = await this.#ask(() => (via.call ? via(form) : post(via, form, { headers })));
    if (answer.ok) this.#opened(answer);
    else this.#lost(answer.problem);
    return answer.ok;
  }

  // Gives the seat back, for good.
  async end() {
    const sat = this.state === "open";
    this.#quiet("closed");
    this.#listening.abort();
    if (sat) await this.#ask(() => this.#call("end", {}, { keepalive: true }));
  }

  attachHls(hls, video) {
    hls.on("hlsError", (_, { response }) => LOST.has(response?.code) && this.#beat());
    const load = (url, position) => {
      hls.config.startPosition = position || -1;
      hls.loadSource(url);
      if (hls.media !== video) hls.attachMedia(video);
    };
    this.#attach(video, load, () => hls.stopLoad());
  }

  attachShaka(player, video) {
    const doubt = () => this.#beat();
    player.addEventListener("error", doubt);
    const load = async (url, position) => {
      if (player.getMediaElement() !== video) await player.attach(video);
      await player.load(url, position || null).catch(doubt);
    };
    this.#attach(video, load, () => player.unload());
  }

  attachDash(player, video) {
    player.on("error", () => this.#beat());
    const load = (url, position) => player.initialize(video, at(url, position), video.autoplay);
    this.#attach(video, load, () => player.attachSource(null));
  }

  // What the browser plays by itself.
  attachVideo(video) {
    const load = (url, position) => (video.src = at(url, position));
    this.#attach(video, load, () => video.removeAttribute("src") || video.load());
    this.#on(video, "error", () => this.#beat());
  }

  #attach(video, load, stop) {
    [this.#video, this.#load, this.#stop] = [video, load, stop];
    this.#on(video, "timeupdate", () => video.paused || this.#beatIfDue()); // comes only while the picture moves
    this.#on(video, "playing", () => this.#resumed());
    this.#on(video, "pause", () => this.#paused());
    this.#on(window, "pagehide", () => this.#leave());
    if (this.state === "open") load(this.playbackUrl, 0);
  }

  #on(target, name, work) {
    target.addEventListener(name, work, { signal: this.#listening.signal });
  }

  #opened({ body, url }) {
    this.playbackUrl = new URL(body.playback_url, url).href;
    this.#base = this.playbackUrl.split("/play/")[0];
    this.id = body.session?.session_id ?? this.id;
    this.userId = body.session?.user_id ?? this.#options.user;
    this.grant = body.grant;
    this.#show("open", body);
    this.#load?.(this.playbackUrl, this.#video.currentTime);
  }

  // Nothing plays until `retry` or `replace`.
  #lost(problem) {
    const state = { 409: "refused", 410: "terminated" }[problem.status] ?? "failed";
    this.#quiet(state);
    setTimeout(() => this.#show(state, problem)); // who awaits `open` listens by then
  }

  #show(state, detail) {
    this.state = state;
    this.dispatchEvent(new CustomEvent(state, { detail }));
  }

  #quiet(state) {
    clearInterval(this.#timer);
    this.#abort();
    if (this.state === "open") {
      this.#video?.pause();
      this.#stop?.();
    }
    this.state = state;
  }

  #abort() {
    this.#aborter.abort();
    this.#aborter = new AbortController();
  }

  #resumed() {
    clearInterval(this.#timer);
    if (performance.now() - this.#beatAt > this.#everyMs) this.#beat(); // the seat may be another's by now
  }

  #paused() {
    const { pause } = this.#options;
    if (this.state !== "open" || this.#video.ended) return;
    if (pause === "hold") this.#timer = setInterval(() => this.#beatIfDue(), 1000);
    const release = () => this.#ask(() => this.#call("end", { keep_grant: true }));
    if (pause !== "release") return;
    release();
    this.#timer = setInterval(release, this.#everyMs); // players fill buffers
  }

  // The page may come back: the playback URL stays good.
  #leave() {
    if (this.state !== "open") return;
    this.#abort();
    navigator.sendBeacon(this.#address("end"), JSON.stringify({ grant: this.grant, keep_grant: true }));
  }

  // A little early: who plays shall not look idle.
  #beatIfDue() {
    if (performance.now() - this.#beatAt > this.#everyMs * 0.8) this.#beat();
  }

  // Also where the player was refused something: the answer says why.
  async #beat() {
    if (this.state !== "open") return;
    this.#beatAt = performance.now();
    const answer = await this.#ask(() => this.#call("heartbeat", { stream_id: this.#options.stream }));
    if (this.state !== "open") return;
    if (answer.ok) this.#everyMs = answer.body.heartbeat_seconds * 1000;
    else if (LOST.has(answer.problem.status)) this.#lost(answer.problem);
  }

  // One by one: no heartbeat comes after the end and takes a seat again.
  #ask(request) {
    return (this.#queue = this.#queue.then(() => sent(request)));
  }

  #address(call) {
    const [user, session] = [this.userId, this.id].map(encodeURIComponent);
    return `${this.#base}/v1/users/${user}/sessions/${session}/${call}`;
  }

  // As text with the grant in it: no preflight is needed.
  #call(name, form, more = { signal: this.#aborter.signal }) {
    const headers = { "Content-Type": "text/plain" };
    return post(this.#address(name), { grant: this.grant, ...form }, { headers, ...more });
  }
}

const at = (url, position) => (position ? `${url}#t=${position}` : url);

function post(url, form, more) {
  const headers = { "Content-Type": "application/json", ...more.headers };
  return fetch(url, { ...more, method: "POST", headers, body: JSON.stringify(form) });
}

// Never throws: no answer is the problem "offline".
async function sent(request) {
  try {
    const answer = await request();
    if (!(answer instanceof Response)) return { ok: true, body: answer, url: location.href };
    const text = await answer.text();
    if (answer.ok) return { ok: true, body: text && JSON.parse(text), url: answer.url };
    const problem = await new Response(text).json().catch(() => ({ code: "unknown" }));
    return { problem: { ...problem, status: answer.status } };
  } catch (error) {
    return { problem: { status: 0, code: "offline", title: String(error) } };
  }
}
