// A page's first steps with clients/js and its types. It has to compile as strictly as TypeScript can: it names all that
// the package has, compares its types with those of the contract, and says what it saw of four sessions of one user.

import * as streamlimit from "streamlimit";
import type { Device, Events, OpenForm, Opened, Options, Problem, Session, StreamSession } from "streamlimit";
import type { components, operations } from "./streamlimit.js";

type Contract = components["schemas"];
type Call = operations["open_session"];

// What the contract answers fits the package's types, and what the package sends fits the contract's.
export const session: (answer: Contract["Session"]) => Session = (answer) => answer;
export const opened: (answer: Contract["OpenedSession"]) => Opened = (answer) => answer;
export const device: (given: Device) => Contract["Device"] = (given) => given;
export const form: (given: OpenForm & { user_id: string }) => Call["requestBody"]["content"]["application/json"] = (given) => given;
export const refused: (answer: Call["responses"][409]["content"]["application/problem+json"]) => Problem = (answer) => answer;
export const terminated: (answer: Call["responses"][410]["content"]["application/problem+json"]) => Problem = (answer) => answer;

// All names that the types have, so that the test can look whether the module has them, too.
type Own = Exclude<keyof StreamSession, keyof EventTarget>;
const exported: Record<keyof typeof streamlimit, true> = { StreamSession: true, deviceId: true, open: true };
const members: Record<Own, true> = {
  attachDash: true,
  attachHls: true,
  attachShaka: true,
  attachVideo: true,
  end: true,
  grant: true,
  id: true,
  playbackUrl: true,
  replace: true,
  retry: true,
  state: true,
  userId: true,
};
export const named = { exported: Object.keys(exported), members: Object.keys(members) };

export function attach(each: StreamSession, player: object, video: HTMLVideoElement): void {
  each.attachHls(player, video);
  each.attachShaka(player, video);
  each.attachDash(player, video);
  each.attachVideo(video);
}

export async function walk(base: string): Promise<string[]> {
  const said: string[] = [];
  const plain: Options = { via: `${base}/v1/sessions`, stream: "clock", user: "ada", headers: { Accept: "application/json" }, pause: "hold" };
  const first = await streamlimit.open({ ...plain, device: { name: "TV", type: "tv" } });
  said.push(`${first.state}, ${first.userId}, ${typeof first.id}, ${typeof first.grant}, ${first.playbackUrl?.startsWith(base)}`);
  await streamlimit.open({ ...plain, device: "phone" });
  await streamlimit.open({ ...plain, via: (asked) => send(base, asked) });
  const fourth = new streamlimit.StreamSession({ ...plain, device: { id: `${streamlimit.deviceId()}-4` } });
  const heard = new Promise<Events["refused"]>((resolve) => fourth.addEventListener("refused", resolve));
  await fourth.retry();
  const { detail } = await heard;
  said.push(`${fourth.state}, ${detail.code}, ${detail.sessions?.map((each) => naming(each.device)).join(" ")}`);
  fourth.addEventListener("open", (event) => said.push(`${event.detail.live_sessions} of ${event.detail.limit}`), { once: true });
  said.push(`${await fourth.replace(first.id)}, ${fourth.state}`);
  const late = () => said.push("an event of a listener that was removed");
  fourth.addEventListener("failed", late);
  fourth.removeEventListener("failed", late);
  await fourth.end();
  said.push(fourth.state);
  return said;
}

function send(base: string, asked: OpenForm): Promise<Response> {
  const headers = { "Content-Type": "application/json" };
  return fetch(`${base}/v1/sessions`, { method: "POST", headers, body: JSON.stringify({ ...asked, device: { name: "pad" } }) });
}

function naming(device: Session["device"]): string {
  return device === null || typeof device === "string" ? `${device}` : (device.name ?? device.id ?? "?");
}

// What the client would not understand does not compile.
// @ts-expect-error a stream is missing
export const lacking: Options = { via: "/api/watch" };
// @ts-expect-error there is no such way to pause
export const mistyped: Options = { via: "/api/watch", stream: "clock", pause: "forever" };
// @ts-expect-error there is no such event
export const misspelt: keyof Events = "refusd";
