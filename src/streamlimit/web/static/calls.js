// What the calls of both pages share: a credential of this tab, the server's clock, the problem in an answer.

let ahead = 0; // of the server's clock before ours, in ms

export const serverNow = () => Date.now() + ahead;

// A credential, in this tab's sessionStorage and nowhere else. No cookie: no other site can make a browser send it.
// Where the storage is blocked it is kept until the page is left.
export class Credential {
  constructor(name) {
    this.name = name;
    try {
      this.value = sessionStorage.getItem(name) ?? "";
    } catch {
      this.value = "";
    }
  }

  keep(value) {
    this.value = value;
    try {
      if (value) sessionStorage.setItem(this.name, value);
      else sessionStorage.removeItem(this.name);
    } catch {
      // It is kept until the page is left.
    }
  }

  headers() {
    return this.value ? { Authorization: `Bearer ${this.value}` } : {};
  }
}

// The answer: its body, or its problem. It never throws: no answer at all is the problem "offline".
export async function ask(path, request, milliseconds) {
  try {
    const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(milliseconds), ...request });
    compareClocks(answer.headers.get("date"));
    const text = await answer.text();
    if (answer.ok) return { ok: true, body: text ? JSON.parse(text) : null };
    return { ok: false, status: answer.status, problem: problemIn(answer.status, text) };
  } catch {
    return { ok: false, problem: { status: 0, code: "offline", title: "The service does not answer" } };
  }
}

// The header has whole seconds; a difference below that is none.
function compareClocks(date) {
  const difference = Date.parse(date) + 500 - Date.now();
  if (Number.isFinite(difference)) ahead = Math.abs(difference) < 1500 ? 0 : difference;
}

function problemIn(status, text) {
  try {
    const problem = JSON.parse(text);
    if (typeof problem.code === "string") return problem;
  } catch {
    // Not ours: a proxy's page, or nothing.
  }
  return { status, code: "unknown", title: `The service answered ${status}` };
}
