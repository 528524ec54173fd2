// Requests of the page. Its secret lives in this tab alone (sessionStorage): other ports of this
// machine, other tabs and the next start of the browser do not get it, and no browser sends it by itself.

const KEY = "hanse-session";
let refused = () => {};

export function onRefused(act) { refused = act; }

function session() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY));
    return kept && kept.expires_s * 1000 > Date.now() ? kept : null;
  } catch { return null; }
}

export function isIn() { return session() !== null; }

export function leave() { sessionStorage.removeItem(KEY); }

async function request(path, signal) {
  const kept = session();
  const headers = kept ? { authorization: `Bearer ${kept.secret}` } : {};
  const answer = await fetch(path, { headers, signal, cache: "no-store", credentials: "omit", redirect: "error" });
  if (answer.status === 401) {
    leave();
    refused();
  }
  if (!answer.ok) throw new Error(await problem(answer));
  return answer;
}

async function problem(answer) {
  try {
    const told = await answer.json();
    return [told.title, told.detail].filter(Boolean).join(": ");
  } catch { return `the answer has the status ${answer.status}`; }
}

export async function ask(path, signal) {
  return (await request(path, signal)).json();
}

// A parcel without values: the length of its label, and the label, in msgpack.
function parcel(code) {
  const text = new TextEncoder().encode(code);
  const label = [0x92, 0x81, 0xa4, ...new TextEncoder().encode("code"), 0xd9, text.length, ...text, 0x90];
  return new Uint8Array([0, 0, label.length >> 8, label.length & 255, ...label]);
}

// Exchange a code, or an address with one, for a session.
export async function enter(words) {
  const code = words.trim().replace(/^.*code=/, "");
  if (!code || code.length > 200) throw new Error("That is no code.");
  const answer = await fetch("/dash/session", {
    method: "POST", headers: { "content-type": "application/vnd.hanse.parcel" }, body: parcel(code),
    cache: "no-store", credentials: "omit", redirect: "error",
  });
  if (!answer.ok) throw new Error("This code was used, or is too old: hanse dash makes another.");
  sessionStorage.setItem(KEY, JSON.stringify(await answer.json()));
}

// Server-sent events, for as long as the page is open; a lost connection is tried again. EventSource
// would be shorter, and cannot send a secret but in its URL.
export async function follow(path, on, status, signal) {
  let wait = 500;
  while (isIn() && !signal.aborted) {
    try {
      const answer = await request(path, signal);
      on.begin();
      status("live");
      wait = 500;
      await read(answer.body.getReader(), on);
      status("lost");
    } catch (error) {
      if (signal.aborted) return;
      status("lost", error.message);
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(2 * wait, 10_000);
  }
}

async function read(reader, on) {
  const decoder = new TextDecoder();
  let left = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const pieces = (left + decoder.decode(value, { stream: true })).split("\n\n");
    left = pieces.pop();
    for (const piece of pieces) {
      const found = /^event: (\w+)\ndata: (.*)$/.exec(piece);
      if (found && on[found[1]]) on[found[1]](JSON.parse(found[2]));
    }
  }
}
