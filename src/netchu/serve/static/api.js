// Requests to the server. A failure is an Error whose message is the name of a text in words.js.

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

/** Send a request to a path below that of the page, with the API key if there is one; retry while the server is busy. */
async function request(path, options = {}) {
  const headers = new Headers(options.headers);
  const key = sessionStorage.getItem("key");
  if (key) headers.set("Authorization", `Bearer ${key}`);
  for (let left = RETRIES; ; left -= 1) {
    let response;
    try {
      response = await fetch(path, { ...options, headers });
    } catch {
      throw new Error("gone");
    }
    if (response.ok) return response;
    if (response.status !== 429 || !left) throw new Error(FAILURES[response.status] ?? "broken");
    await pause(1000 * Number(response.headers.get("Retry-After") ?? 1) * (1 + Math.random()));
  }
}

export const models = async () => (await request("api/models")).json();

/** Get three sample images: [{name, blob}]. */
export async function samples() {
  const drawn = (await (await request("api/samples")).json()).samples;
  return Promise.all(
    drawn.map(async ({ name, url }) => ({ name, blob: await (await request(url.replace(/^\//, ""))).blob() })),
  );
}

/** Read an image: an object as `netchu read --json` writes it, with the milliseconds it took. */
export async function read(blob, name, model) {
  const form = new FormData();
  form.append("images", blob, name);
  const response = await (
    await request(`api/read?model=${encodeURIComponent(model)}`, { method: "POST", body: form })
  ).json();
  return { ...joinPages(response.readings), milliseconds: response.milliseconds };
}

/** Return the readings of the pages of a file as one, without boxes on the picture. */
function joinPages(readings) {
  if (readings.length === 1) return readings[0];
  return {
    pages: readings.length,
    text: readings.map((page) => page.text ?? "").join("\n"),
    confidence: Math.min(...readings.map((page) => page.confidence ?? 0)),
    lines: readings.flatMap((page) => page.lines ?? []),
    unread: readings.flatMap((page) => page.unread ?? []),
    ...(readings.some((page) => page.error) && { failure: "badImage" }),
  };
}

/** Store a corrected line; return the number of stored lines. */
export async function addCorrection(blob, box, label, turns) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 32768)
    text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  const body = JSON.stringify({ image: btoa(text), box, label, turns });
  const headers = { "Content-Type": "application/json" };
  return (await (await request("api/corrections", { method: "POST", headers, body })).json())
    .corrections;
}
