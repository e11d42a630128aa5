// New renders: files are chosen, sent straight to the store with a bar, and then asked for by their keys.

import { find, make, reconcile, stamp, tell, write } from "./dom.js";
import { Problem, ask, askJson, problem, words } from "./api.js";
import { credentials } from "./key.js";
import { Backoff, pause } from "./patience.js";
import { refresh } from "./list.js";
import { FORMATS, size } from "./words.js";

/** Uploads at once; a browser opens six connections to a host, and lists and streams need theirs. */
const AT_ONCE = 2;
/** How often the same is asked for again, when nobody knows whether it was taken. */
const TRIES = 6;
const REMEMBERED = "kiln-settings";

/**
 * @typedef {{id: string, file: File, state: "chosen" | "queued" | "sending" | "failed", sent: number, words: string,
 *   settings: Record<string, any>, abort: AbortController}} Item
 */

/** @type {Item[]} */
let items = [];

/** @returns {HTMLFormElement} */
const form = () => find("#compose");

/** Makes the form work. */
export function start() {
  const formats = Object.entries(FORMATS).map(([value, label]) => make("option", { value }, label));
  find("[name=outputFormat]", form()).append(...formats);
  recall();
  form().addEventListener("change", remember);
  form().addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  const input = find("#files");
  input.addEventListener("change", () => {
    add(input.files);
    input.value = "";
  });
  takeDrops();
}

/** Wherever a file is dropped, it is meant for us. */
function takeDrops() {
  const drop = find("#drop");
  const over = (/** @type {boolean} */ isOver) => drop.classList.toggle("over", isOver);
  addEventListener("dragover", (event) => {
    event.preventDefault();
    over(true);
  });
  addEventListener("dragleave", (event) => event.relatedTarget === null && over(false));
  addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    if (event.dataTransfer) add(event.dataTransfer.files);
    location.hash = "#/";
  });
}

/** @param {Iterable<File>} files */
function add(files) {
  for (const file of files) {
    items.push({ id: token(), file, state: "chosen", sent: 0, words: size(file.size), settings: {}, abort: new AbortController() });
  }
  draw();
}

function submit() {
  const settings = { ...settingsNow(), fps: Number(settingsNow().fps) };
  for (const item of items) {
    if (item.state === "chosen" || item.state === "failed") Object.assign(item, { settings, state: "queued", words: "waits for the one before" });
  }
  draw();
  pump();
}

/** Sends as many as may be sent at once. */
function pump() {
  const free = AT_ONCE - items.filter((item) => item.state === "sending").length;
  const next = items.filter((item) => item.state === "queued").slice(0, Math.max(free, 0));
  for (const item of next) {
    item.state = "sending";
    send(item).then((job) => done(item, job), (error) => fail(item, error)).finally(pump);
  }
}

/**
 * @param {Item} item
 * @param {string} job
 */
function done(item, job) {
  items = items.filter((other) => other !== item);
  draw();
  refresh();
  if (items.length === 0) location.hash = `#/job/${job}`;
}

/**
 * @param {Item} item
 * @param {unknown} error
 */
function fail(item, error) {
  if (item.abort.signal.aborted) return;
  Object.assign(item, { state: "failed", words: words(error) });
  draw();
}

/**
 * The whole way of one file.
 * @param {Item} item
 * @returns {Promise<string>} the job's id
 */
async function send(item) {
  const { file, settings, abort: { signal } } = item;
  const key = token();
  const request = { ...settings, metadata: { filename: file.name.slice(0, 200) } };
  say(item, "asks for a place");
  const place = await askJson("POST", "/api/uploads", { json: { filename: file.name, sizeBytes: file.size }, signal });
  try {
    await transfer(item, place.method, place.url, file, place.headers);
  } catch (error) {
    if (signal.aborted) throw error;
    return sendAsForm(item, request, key);
  }
  say(item, "is being checked");
  const headers = { "Idempotency-Key": key };
  const again = () => askJson("POST", "/api/render", { json: { ...request, audio: { key: place.key } }, headers, signal });
  return (await insist(again, signal)).jobId;
}

/**
 * By way of the api, where the store does not take files from browsers.
 * @param {Item} item
 * @param {Record<string, any>} request
 * @param {string} key
 */
async function sendAsForm(item, request, key) {
  const again = async () => {
    const body = new FormData();
    body.append("request", new Blob([JSON.stringify(request)], { type: "application/json" }));
    body.append("audio", item.file);
    const text = await transfer(item, "POST", "/api/render", body, { ...credentials(), "Idempotency-Key": key });
    return JSON.parse(text);
  };
  return (await insist(again, item.abort.signal)).jobId;
}

/**
 * Asks again, with the same Idempotency-Key, until there is an answer that counts.
 * @param {() => Promise<any>} again
 * @param {AbortSignal} signal
 */
async function insist(again, signal) {
  const backoff = new Backoff();
  for (let tries = 1; ; tries += 1) {
    try {
      return await again();
    } catch (error) {
      const isOver = !(error instanceof Problem && error.isTransient) || tries === TRIES;
      if (signal.aborted || isOver) throw error;
    }
    await pause(backoff.next(), signal);
  }
}

/**
 * Sends a body with a bar, which `fetch` cannot.
 * @param {Item} item
 * @param {string} method
 * @param {string} url
 * @param {XMLHttpRequestBodyInit} body
 * @param {Record<string, string>} headers
 * @returns {Promise<string>}
 */
function transfer(item, method, url, body, headers) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    Object.entries(headers).forEach(([name, value]) => request.setRequestHeader(name, value));
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      item.sent = loaded / Math.max(total, 1);
      say(item, `${Math.round(100 * item.sent)} % of ${size(item.file.size)}`);
    });
    request.addEventListener("load", () => {
      if (request.status < 300) resolve(request.responseText);
      else reject(problem(request.status, request.responseText));
    });
    request.addEventListener("error", () => reject(new Problem(0, "unreachable", "the file could not be sent")));
    request.addEventListener("abort", () => reject(new Problem(0, "aborted", "the upload was stopped")));
    item.abort.signal.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}

/**
 * @param {Item} item
 * @param {string} text
 */
function say(item, text) {
  item.words = text;
  draw();
}

function draw() {
  reconcile(find("#uploads"), items, (item) => item.id, create, update);
  const ready = items.filter((item) => item.state === "chosen" || item.state === "failed").length;
  const button = find("#render");
  button.disabled = ready === 0;
  write(button, ready > 1 ? `Render ${ready} files` : "Render");
}

/** @param {Item} item */
function create(item) {
  const node = find("li", stamp("upload"));
  write(find(".file-name", node), item.file.name);
  find("progress", node).setAttribute("aria-label", `Upload of ${item.file.name}`);
  find("button", node).addEventListener("click", () => {
    item.abort.abort();
    items = items.filter((other) => other !== item);
    draw();
    find("#files").focus();
  });
  return node;
}

/**
 * @param {HTMLElement} node
 * @param {Item} item
 */
function update(node, item) {
  node.dataset.state = item.state;
  write(find(".file-words", node), item.words);
  const bar = find("progress", node);
  bar.hidden = item.state !== "sending";
  bar.value = item.sent;
  const button = find("button", node);
  write(button, item.state === "sending" ? "Stop" : "Remove");
  button.setAttribute("aria-label", `${button.textContent} ${item.file.name}`);
}

function settingsNow() {
  return /** @type {Record<string, string>} */ (Object.fromEntries([...new FormData(form())].filter(([, value]) => typeof value === "string")));
}

function remember() {
  localStorage.setItem(REMEMBERED, JSON.stringify(settingsNow()));
}

function recall() {
  for (const [name, value] of Object.entries(JSON.parse(localStorage.getItem(REMEMBERED) ?? "{}"))) {
    const select = form().elements.namedItem(name);
    const isKnown = select instanceof HTMLSelectElement && [...select.options].some((option) => option.value === value);
    if (isKnown) select.value = String(value);
  }
}

/** A name that nobody else gives; `randomUUID` is missing where the page came by plain http. */
function token() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
