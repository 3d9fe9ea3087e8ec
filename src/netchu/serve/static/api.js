// What the page asks of the server. A failure is an Error whose message is a name in words.js.

const RETRIES = 4;
const FAILURES = {
  400: "badImage",
  401: "locked",
  413: "tooLarge",
  422: "badImage",
  429: "busy",
  503: "slow",
};

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Whatever is asked, with the key if there is one; again where the server is busy. */
async function ask(path, options = {}) {
  const headers = new Headers(options.headers);
  const key = sessionStorage.getItem("key");
  if (key) headers.set("Authorization", `Bearer ${key}`);
  for (let left = RETRIES; ; left -= 1) {
    let answer;
    try {
      answer = await fetch(path, { ...options, headers });
    } catch {
      throw new Error("gone");
    }
    if (answer.ok) return answer;
    if (answer.status !== 429 || !left) throw new Error(FAILURES[answer.status] ?? "broken");
    await pause(1000 * Number(answer.headers.get("Retry-After") ?? 1) * (1 + Math.random()));
  }
}

export const models = async () => (await ask("/api/models")).json();

/** Three sample images: [{name, blob}]. */
export async function samples() {
  const drawn = (await (await ask("/api/samples")).json()).samples;
  return Promise.all(
    drawn.map(async ({ name, url }) => ({ name, blob: await (await ask(url)).blob() })),
  );
}

/** What a model reads in an image: an object as `netchu read --json` writes it, and milliseconds. */
export async function read(blob, name, model) {
  const form = new FormData();
  form.append("images", blob, name);
  const told = await (
    await ask(`/api/read?model=${encodeURIComponent(model)}`, { method: "POST", body: form })
  ).json();
  return { ...told.readings[0], milliseconds: told.milliseconds };
}

/** Keep a corrected line; how many are kept now. */
export async function keep(blob, box, label) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 32768)
    text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  const body = JSON.stringify({ image: btoa(text), box, label });
  const headers = { "Content-Type": "application/json" };
  return (await (await ask("/api/corrections", { method: "POST", headers, body })).json())
    .corrections;
}
