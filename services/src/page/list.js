// All jobs, a page at a time: however many there are, one short request a second keeps those in view up to date.

import { announce, find, make, mark, reconcile, stamp, tell, write } from "./dom.js";
import { Problem, askJson, connection, now, words } from "./api.js";
import { keys, usable } from "./key.js";
import { Alarm, Backoff } from "./patience.js";
import { STATUSES, count, isOver, length, nameOf, stand } from "./words.js";

/** @typedef {import("./api.js").Job} Job */

const PAGE = 50;
/** How often the page is asked for: while something moves, and while nothing does. */
const BUSY_MS = 1000;
const IDLE_MS = 4000;

let status = "";
/** Where each page from the newest to the one in view begins. */
let cursors = [""];
/** @type {string | null} */
let nextCursor = null;
/** @type {Record<string, number>} */
let counts = {};
/** Grows with each change of what is asked for, so that a late answer is not shown. */
let generation = 0;
/** @type {Map<string, string>} what was last said of each job in view */
let said = new Map();

const alarm = new Alarm();

/** There is news: asks at once. */
export function refresh() {
  alarm.wake();
}

/** Asks for as long as the page is open. */
export async function start() {
  find("#newer").addEventListener("click", () => turn(cursors.slice(0, -1)));
  find("#older").addEventListener("click", () => nextCursor && turn([...cursors, nextCursor]));
  keys.addEventListener("change", refresh);
  find("#connection button").addEventListener("click", refresh);
  connection.addEventListener("found", () => find("#connection").hidden || refresh());
  drawFilters();
  const backoff = new Backoff();
  for (;;) {
    await usable();
    await alarm.wait(await look(backoff));
  }
}

/**
 * One look.
 * @param {Backoff} backoff
 * @returns {Promise<number>} when to look again, in milliseconds
 */
async function look(backoff) {
  const asked = generation;
  try {
    const query = new URLSearchParams({ limit: String(PAGE), status, cursor: cursors.at(-1) ?? "" });
    const answer = await askJson("GET", `/api/render?${query}`);
    backoff.reset();
    tell(find("#list-trouble"));
    lost(false);
    if (asked !== generation) return 0;
    show(answer);
    return (counts.pending ?? 0) + (counts.processing ?? 0) > 0 ? BUSY_MS : IDLE_MS;
  } catch (error) {
    const isAway = error instanceof Problem && error.status === 0;
    lost(isAway);
    tell(find("#list-trouble"), isAway ? "" : words(error));
    return backoff.next();
  }
}

/** @param {boolean} isLost */
function lost(isLost) {
  const banner = find("#connection");
  if (isLost) write(find("span", banner), "Connection lost. Trying again…");
  else if (!banner.hidden) announce("The connection is back.");
  banner.hidden = !isLost;
}

/** @param {string[]} to */
function turn(to) {
  cursors = to;
  generation += 1;
  refresh();
  find("#filters").scrollIntoView({ block: "nearest" });
}

/** @param {string} wanted */
function choose(wanted) {
  status = wanted;
  drawFilters();
  turn([""]);
}

/** @param {{jobs: Job[], nextCursor: string | null, counts: Record<string, number>}} answer */
function show(answer) {
  counts = answer.counts;
  nextCursor = answer.nextCursor;
  drawFilters();
  drawPager();
  drawEmpty(answer.jobs.length === 0);
  reconcile(find("#jobs"), answer.jobs, (job) => job.jobId, create, update);
  tellChanges(answer.jobs);
}

function drawFilters() {
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  /** @typedef {[string, string]} Filter */
  /** @type {Filter[]} */
  const filters = [["", "All"], ...Object.entries(STATUSES)];
  const create = (/** @type {Filter} */ [wanted, label]) => {
    const button = make("button", { type: "button" }, label, make("span", { class: "badge" }));
    button.addEventListener("click", () => choose(wanted));
    return button;
  };
  reconcile(find("#filters"), filters, ([wanted]) => wanted, create, (button, [wanted]) => {
    button.setAttribute("aria-pressed", String(wanted === status));
    write(find(".badge", button), count(wanted === "" ? all : counts[wanted] ?? 0));
  });
}

function drawPager() {
  const total = status === "" ? Object.values(counts).reduce((sum, count) => sum + count, 0) : counts[status] ?? 0;
  const pages = Math.max(Math.ceil(total / PAGE), cursors.length);
  find("#pager").hidden = pages === 1;
  find("#newer").disabled = cursors.length === 1;
  find("#older").disabled = nextCursor === null;
  write(find("#page-number"), `Page ${count(cursors.length)} of ${count(pages)}`);
}

/** @param {boolean} isEmpty */
function drawEmpty(isEmpty) {
  const kind = STATUSES[/** @type {Job["status"]} */ (status)]?.toLowerCase();
  tell(find("#empty"), !isEmpty ? "" : kind ? `No job is ${kind}.` : "No jobs yet. Your first video begins with a file above.");
}

/**
 * @param {Job} job
 * @returns {HTMLElement}
 */
function create(job) {
  const item = find("li", stamp("row"));
  find("a", item).href = `#/job/${job.jobId}`;
  return item;
}

/**
 * @param {HTMLElement} item
 * @param {Job} job
 */
function update(item, job) {
  const row = find("a", item);
  row.dataset.status = job.status;
  mark(find(".mark", row), job.status, job.progress);
  write(find(".row-name", row), nameOf(job));
  write(find(".row-words", row), stand(job));
  const time = find(".row-time", row);
  time.dataset.since = job.createdAt;
  time.dataset.until = isOver(job) ? job.updatedAt : "";
  tick(time);
  if (row.hash === location.hash) row.setAttribute("aria-current", "true");
  else row.removeAttribute("aria-current");
}

/**
 * How long it took so far, or when it was, for what is over.
 * @param {HTMLElement} node
 */
function tick(node) {
  const { since = "", until = "" } = node.dataset;
  write(node, until === "" ? length((now() - Date.parse(since)) / 1000) : ago(Date.parse(until)));
}

/** @param {number} time */
function ago(time) {
  const minutes = Math.floor((now() - time) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  return minutes < 24 * 60 ? `${Math.floor(minutes / 60)} h ago` : new Date(time).toLocaleDateString("en", { dateStyle: "medium" });
}

/**
 * Says what became of jobs in view; progress alone is not worth a word.
 * @param {Job[]} jobs
 */
function tellChanges(jobs) {
  const changed = jobs.filter((job) => said.has(job.jobId) && said.get(job.jobId) !== job.status);
  said = new Map(jobs.map((job) => [job.jobId, job.status]));
  const told = changed.slice(0, 3).map((job) => `${nameOf(job)}: ${STATUSES[job.status]}`);
  if (told.length > 0) announce(told.join(". "));
}
