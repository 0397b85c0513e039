/** What a viewer calls the thing it watches on. Without an `id` the client keeps one in the storage. */
export interface Device {
  id?: string;
  name?: string;
  type?: string;
}

/** A session as `GET /v1/users/<user_id>/sessions` shows it; times are RFC 3339. */
export interface Session {
  session_id: string;
  user_id: string;
  stream_id: string;
  state: "starting" | "active" | "idle";
  device: string | Device | null;
  segment: string | null;
  sequence: number | null;
  started_at: string;
  last_activity_at: string | null;
  expires_at: string;
  plan: string | null;
  limit: number | null;
}

/** What is asked of `via`: the form of `POST /v1/sessions`, without the user where the platform knows it. */
export interface OpenForm {
  stream_id: string;
  device: Device;
  user_id?: string;
  session_id?: string;
  replace?: string;
}

/** The answer of `POST /v1/sessions`, handed on. */
export interface Opened {
  session: Session | null;
  playback_url: string;
  grant: string;
  limit: number;
  live_sessions: number;
}

/** Why there is no seat: a problem document. `status` 0, `code` "offline": there was no answer at all. */
export interface Problem {
  status: number;
  code: string;
  title?: string;
  detail?: string;
  limit?: number;
  live_sessions?: number;
  sessions?: Session[];
  retry_after_seconds?: number;
  by?: string;
  reason?: string;
  at?: string;
  by_session_id?: string;
  by_device?: string | Device | null;
}

export interface Options {
  /** The platform's address that opens a session (it asks `POST /v1/sessions`, and hands the answer on), or a function. */
  via: string | ((form: OpenForm) => Response | Opened | Promise<Response | Opened>);
  stream: string;
  device?: string | Device;
  /** Only where `via` is streamlimit itself. */
  user?: string;
  /** Sent to `via`, say a token. */
  headers?: Record<string, string>;
  /** A paused player keeps its seat as long as it would without us ("lapse"), keeps it ("hold"), or gives it back at once ("release"). */
  pause?: "lapse" | "hold" | "release";
}

export interface Events {
  open: CustomEvent<Opened>;
  refused: CustomEvent<Problem>;
  terminated: CustomEvent<Problem>;
  failed: CustomEvent<Problem>;
}

export declare class StreamSession extends EventTarget {
  constructor(options: Options);
  readonly state: "closed" | "open" | "refused" | "terminated" | "failed";
  readonly id?: string;
  readonly userId?: string;
  readonly grant?: string;
  readonly playbackUrl?: string;
  /** Asks for a seat, again or on another stream. True: it sits. */
  retry(stream?: string): Promise<boolean>;
  /** Asks for the seat of another session of the user. True: it sits. */
  replace(sessionId?: string): Promise<boolean>;
  /** Gives the seat back, for good. */
  end(): Promise<void>;
  attachHls(hls: object, video: HTMLVideoElement): void;
  attachShaka(player: object, video: HTMLVideoElement): void;
  attachDash(player: object, video: HTMLVideoElement): void;
  attachVideo(video: HTMLVideoElement): void;
  addEventListener<K extends keyof Events>(
    type: K,
    listener: (event: Events[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof Events>(
    type: K,
    listener: (event: Events[K]) => void,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
}

/** Resolves when the service has answered, with a seat or without one: then `refused`, `terminated` or `failed` follows. */
export declare function open(options: Options): Promise<StreamSession>;

/** The id of this device: the same for every session, and after a reload. */
export declare function deviceId(): string;
