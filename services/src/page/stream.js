// Following one job: its states as server-sent events, read with `fetch`, since an `EventSource` can show no key.

import { Problem, ask } from "./api.js";
import { usable } from "./key.js";
import { Backoff, pause } from "./patience.js";

/** Nothing for so long, although the server sends a comment every 15 s: the connection is dead. */
const SILENCE_MS = 40_000;

/**
 * Tells each state of a job until its end, over lost connections and other keys.
 * @param {string} id
 * @param {(job: import("./api.js").Job, version: string) => void} show with the sequence in the log that it knows
 * @param {AbortSignal} signal
 * @throws {Problem} if there is nothing to follow
 */
export async function follow(id, show, signal) {
  const backoff = new Backoff();
  let last = "";
  while (!signal.aborted) {
    await usable();
    try {
      const response = await open(id, last, signal);
      if (response.status === 204) return;
      for await (const event of events(response, signal)) {
        backoff.reset();
        if (event.name === "end") return;
        last = event.id;
        show(JSON.parse(event.data), last.split(".")[0] ?? "");
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem && !error.isTransient && error.status !== 401) throw error;
    }
    await pause(backoff.next(), signal);
  }
}

/**
 * @param {string} id
 * @param {string} last
 * @param {AbortSignal} signal
 */
function open(id, last, signal) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "text/event-stream" };
  if (last !== "") headers["Last-Event-ID"] = last;
  return ask("GET", `/api/render/${encodeURIComponent(id)}`, { headers, signal });
}

/**
 * @param {Response} response
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<{id: string, name: string, data: string}>}
 */
async function* events(response, signal) {
  const body = /** @type {ReadableStream<BufferSource>} */ (response.body);
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    while (!signal.aborted) {
      const { done, value } = await chunk(reader);
      if (done) return;
      rest += value;
      const blocks = rest.split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const event = parse(block);
        if (event) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** @param {ReadableStreamDefaultReader<string>} reader */
async function chunk(reader) {
  let timer;
  const silence = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("the stream fell silent")), SILENCE_MS);
  });
  try {
    return await Promise.race([reader.read(), /** @type {Promise<never>} */ (silence)]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * @param {string} block
 * @returns {{id: string, name: string, data: string} | null} nothing for comments and times to come again
 */
function parse(block) {
  /** @type {Record<string, string>} */
  const fields = {};
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).trimStart();
  }
  const { id = "", event: name = "message", data } = fields;
  return data === undefined ? null : { id, name, data };
}
