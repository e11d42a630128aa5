// One job: its stream, its video, what happened to it, and what can be done about it.

import { announce, confirm, define, find, make, mark, reconcile, stamp, tell, write } from "./dom.js";
import { Problem, askJson, now, words } from "./api.js";
import { download } from "./download.js";
import { refresh } from "./list.js";
import { follow } from "./stream.js";
import { FORMATS, STATUSES, at, clockOf, happened, isOver, length, nameOf, size, stand } from "./words.js";

/** @typedef {import("./api.js").Job} Job */

/** Ends whatever goes on for the job in view. */
let leaving = new AbortController();
/** @type {Job | null} */
let job = null;
/** @type {Record<string, any>} what was asked for, once the history has told it */
let spec = {};

const place = () => find("#job");

/** Nothing is in view any more. */
export function close() {
  leaving.abort();
  job = null;
  place().hidden = true;
  place().replaceChildren();
}

/**
 * @param {string} id
 * @returns {void}
 */
export function open(id) {
  close();
  spec = {};
  place().append(stamp("job-body"));
  place().hidden = false;
  write(find("#job-title"), "Job");
  for (const [name, what] of Object.entries({ cancel, retry, download: fetchVideo })) {
    const button = find(`[data-do=${name}]`, place());
    button.addEventListener("click", () => act(what, button));
  }
  watch(id);
  find("#job-title").focus({ preventScroll: true });
  place().scrollIntoView({ block: "nearest" });
}

/**
 * A stream for the job in view, and only while somebody looks: a browser opens few connections to a server.
 * @param {string} id
 */
async function watch(id) {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  let known = "";
  try {
    await follow(id, (next, version) => {
      if (signal.aborted) return;
      show(next);
      if (version !== known) tellHistory(id, signal);
      known = version;
    }, signal);
  } catch (error) {
    if (!signal.aborted) trouble(error);
  }
}

document.addEventListener("visibilitychange", () => {
  if (job === null || isOver(job)) return;
  if (document.hidden) leaving.abort();
  else watch(job.jobId);
});

/** @param {Job} next */
function show(next) {
  const before = job;
  job = next;
  const name = nameOf(next);
  write(find("#job-title"), name);
  document.title = `${name} · kiln`;
  mark(find(".job-head .mark", place()), next.status, next.progress);
  write(find(".job-words", place()), stand(next));
  const bar = find(".job-progress", place());
  bar.hidden = isOver(next);
  bar.value = next.progress;
  bar.setAttribute("aria-label", `Progress of ${name}`);
  for (const [name, isShown] of Object.entries({ cancel: !isOver(next), retry: isOver(next), download: next.downloadUrl !== null })) {
    find(`[data-do=${name}]`, place()).hidden = !isShown;
  }
  showFacts();
  showVideo(next);
  if (before && before.status !== next.status) {
    announce(`${name}: ${STATUSES[next.status]}`);
    refresh();
  }
}

function showFacts() {
  if (job === null) return;
  const over = isOver(job);
  const elapsed = ((over ? Date.parse(job.updatedAt) : now()) - Date.parse(job.createdAt)) / 1000;
  define(find(".facts", place()), [
    ["Elapsed", length(elapsed)],
    ["Attempt", spec.maxAttempts ? `${job.attempt} of ${spec.maxAttempts}` : String(job.attempt)],
    ["Format", FORMATS[spec.outputFormat] ?? spec.outputFormat],
    ["Look", spec.mode && `${spec.mode}, ${spec.fps} fps`],
    ["Length", length(job.result?.durationSeconds)],
    ["Size", size(job.result?.sizeBytes)],
    ["Asked for", at(job.createdAt)],
    ["Id", job.jobId],
  ]);
}

/** Called each second. */
export function tick() {
  if (job !== null && !isOver(job)) showFacts();
}

/** @param {Job} job */
function showVideo({ downloadUrl, jobId }) {
  const screen = find(".screen", place());
  screen.hidden = downloadUrl === null;
  if (downloadUrl === null || screen.querySelector("video")) return;
  const video = make("video", { src: downloadUrl, controls: true, playsInline: true, preload: "metadata" });
  video.setAttribute("aria-label", "The finished video");
  // The address may have run out: a fresh one is tried once.
  video.addEventListener("error", () => freshen(video, jobId), { once: true });
  screen.append(video);
}

/**
 * @param {HTMLVideoElement} video
 * @param {string} id
 */
async function freshen(video, id) {
  try {
    video.addEventListener("error", () => trouble("The video cannot be played here; it can still be downloaded."), { once: true });
    video.src = (await askJson("GET", `/api/render/${id}`)).downloadUrl;
  } catch (error) {
    trouble(error);
  }
}

/**
 * @param {string} id
 * @param {AbortSignal} signal
 */
async function tellHistory(id, signal) {
  try {
    const { events } = await askJson("GET", `/api/render/${id}/events`, { signal });
    if (signal.aborted) return;
    spec = events.find((/** @type {any} */ event) => event.event === "requested")?.data?.spec ?? {};
    showFacts();
    const line = (/** @type {any} */ event) =>
      make("li", { data: { event: event.event } },
        make("time", { dateTime: event.time, title: at(event.time) }, clockOf(event.time)),
        make("span", {}, happened(event)));
    reconcile(find(".timeline", place()), events, (event) => String(event.seq), line);
  } catch (error) {
    if (!signal.aborted) trouble(error);
  }
}

/** @param {unknown} [error] */
function trouble(error) {
  const isGone = error instanceof Problem && error.status === 404;
  tell(find(".trouble", place()), error === undefined ? "" : isGone ? "There is no such job, or it is no longer kept." : words(error));
}

/**
 * Does it once, and says why not.
 * @param {(job: Job, button: HTMLElement) => Promise<void>} what
 * @param {HTMLElement} button
 */
async function act(what, button) {
  if (job === null || button.getAttribute("aria-busy") === "true") return;
  trouble();
  button.setAttribute("aria-busy", "true");
  try {
    await what(job, button);
  } catch (error) {
    trouble(error);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

/** @param {Job} wanted */
async function cancel(wanted) {
  const isSure = await confirm({
    title: `Cancel ${nameOf(wanted)}?`,
    words: "The render stops, and what was made so far is thrown away.",
    yes: "Cancel the render",
    no: "Let it go on",
  });
  if (!isSure) return;
  const cancelled = await askJson("DELETE", `/api/render/${wanted.jobId}`);
  refresh();
  if (job?.jobId !== wanted.jobId) return;
  show(cancelled);
  find("#job-title").focus();
}

/** @param {Job} ended */
async function retry(ended) {
  const { jobId } = await askJson("POST", `/api/render/${ended.jobId}/retry`);
  refresh();
  location.hash = `#/job/${jobId}`;
}

/**
 * @param {Job} ended
 * @param {HTMLElement} button
 */
async function fetchVideo(ended, button) {
  const label = button.textContent ?? "";
  const bytes = ended.result?.sizeBytes ?? 0;
  try {
    const { downloadUrl } = await askJson("GET", `/api/render/${ended.jobId}`);
    await download(downloadUrl, `${nameOf(ended).replace(/\.\w+$/, "")}.mp4`, (got) => {
      if (bytes > 0) write(button, `${Math.round((100 * got) / bytes)} %`);
    });
  } finally {
    write(button, label);
  }
}
