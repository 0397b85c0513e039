// A back end's first steps, with the types that openapi-typescript makes of /openapi.json and nothing else. It has to
// compile as strictly as TypeScript can, and says what it saw: four sessions of one user, of which the last is refused.

import type { components, operations } from "./streamlimit.js";

type Opened = operations["open_session"];
type Form = Opened["requestBody"]["content"]["application/json"];
type Answers = Opened["responses"];
type Refusal = Answers[409]["content"]["application/problem+json"];
type Roster = operations["list_user_sessions"]["responses"][200]["content"]["application/json"];

async function open(base: string, form: Form): Promise<components["schemas"]["OpenedSession"] | Refusal> {
  const answer = await fetch(`${base}/v1/sessions`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(form),
  });
  return answer.json();
}

function words(told: components["schemas"]["OpenedSession"] | Refusal): string {
  if (!("code" in told)) return `${told.session?.session_id} ${told.session?.state}`; // none where limits are tried dry
  switch (told.code) {
    case "session-limit":
      return `${told.live_sessions} of ${told.limit} seats: ${told.sessions.map((each) => each.session_id).join(", ")}`;
    case "session-shared":
      return told.detail;
    default: {
      const never: never = told; // each refusal of this call is above
      return never;
    }
  }
}

export async function walk(base: string): Promise<string[]> {
  const said: string[] = [];
  for (const session_id of ["tv", "phone", "pad", "fourth"])
    said.push(words(await open(base, { user_id: "ada", stream_id: "clock", session_id, device: { type: "tv" } })));
  const answer = await fetch(`${base}/v1/users/ada/sessions`);
  const roster: Roster = await answer.json();
  said.push(`${roster.user_id}: ${roster.live_sessions} of ${roster.limit}`);
  return said;
}

// What the service would refuse does not compile.
// @ts-expect-error a user is missing
export const lacking: Form = { stream_id: "clock" };
// @ts-expect-error there is no such field
export const misspelt: Form = { user_id: "ada", stream_id: "clock", sesion_id: "tv" };
// @ts-expect-error a plan is named by text
export const mistyped: Form = { user_id: "ada", stream_id: "clock", plan: 4 };
