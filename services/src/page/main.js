// The page: which view is shown, and what runs beside it.

import { find, write } from "./dom.js";
import { connection } from "./api.js";
import * as health from "./health.js";
import * as job from "./job.js";
import * as key from "./key.js";
import * as letters from "./letters.js";
import * as list from "./list.js";
import { Alarm } from "./patience.js";
import * as upload from "./upload.js";

/** How often health and the number of dead letters are asked for: while they are in view, and else. */
const NEAR_MS = 4000;
const FAR_MS = 30_000;

const VIEWS = ["jobs", "letters", "health"];
const alarm = new Alarm();
/** @type {string | null} */
let opened = null;
/** @type {string | null} */
let shown = null;

/** Where we are: `#/`, `#/job/ID`, `#/letters`, `#/health`. */
function route() {
  const [, name = "", id = ""] = location.hash.split("/");
  const view = VIEWS.includes(name) ? name : "jobs";
  for (const other of VIEWS) find(`#view-${other}`).hidden = other !== view;
  for (const link of document.querySelectorAll("[data-view]")) {
    if (/** @type {HTMLElement} */ (link).dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  openJob(name === "job" && id !== "" ? decodeURIComponent(id) : null);
  if (view !== shown) enter(view);
  shown = view;
}

/** @param {string} view */
function enter(view) {
  if (opened === null) document.title = view === "jobs" ? "kiln" : `${find(`#${view}-title`).textContent} · kiln`;
  if (view === "letters") letters.open();
  if (shown !== null && view !== "jobs") find(`#${view}-title`).focus({ preventScroll: true });
  alarm.wake();
}

/** @param {string | null} id */
function openJob(id) {
  document.body.classList.toggle("has-job", id !== null);
  for (const row of document.querySelectorAll(".row")) {
    if (/** @type {HTMLAnchorElement} */ (row).hash === `#/job/${id}`) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
  if (id === opened) return;
  const before = opened;
  opened = id;
  if (id !== null) return job.open(id);
  job.close();
  document.title = "kiln";
  /** @type {HTMLElement | null} */ (document.querySelector(`.row[href="#/job/${before}"]`))?.focus();
}

async function lookAround() {
  for (;;) {
    await key.usable();
    // What goes wrong is told by the views themselves.
    await Promise.allSettled([health.look(), letters.tellTotal()]);
    await alarm.wait(shown === "health" ? NEAR_MS : FAR_MS);
  }
}

addEventListener("hashchange", route);
addEventListener("keydown", (event) => {
  const isFree = !document.querySelector("dialog[open]");
  if (event.key === "Escape" && isFree && opened !== null) location.hash = "#/";
});
find("#find").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  const id = find("#find-id").value.trim().toLowerCase();
  if (id !== "") location.hash = `#/job/${encodeURIComponent(id)}`;
});
key.keys.addEventListener("change", () => alarm.wake());
connection.addEventListener("stale", (event) => {
  const isStale = /** @type {CustomEvent<boolean>} */ (event).detail;
  write(find("#stale"), isStale ? "kiln's log is not the one that it wrote before: newer facts may be missing, and nothing new is taken." : "");
  find("#stale").hidden = !isStale;
});
setInterval(job.tick, 1000);

key.start();
upload.start();
letters.start();
route();
lookAround();
list.start();
