// How kiln's parts are, and what the queue waits for.

import { define, find, make, reconcile, write } from "./dom.js";
import { askJson, words } from "./api.js";
import { count, length } from "./words.js";

/** @typedef {{name: string, status: string, detail: string}} Part */

/** @type {Record<string, string>} */
const LEADS = {
  ok: "Everything works.",
  degraded: "It works, but not as well as it should.",
  down: "Something that kiln needs is away.",
};

/** @type {Record<string, string>} */
const PARTS = { log: "Log", store: "Store", provider: "GPU provider", projection: "Projection", workers: "Workers" };

/** @type {[string, string][]} */
const WAITS = [
  ["slot", "For a free place"],
  ["modal", "For the GPU provider"],
  ["container", "For a machine to start"],
  ["render", "Being rendered"],
  ["retry", "Between two attempts"],
  ["reconcile", "Being looked into"],
];

/** Asks once, and shows it: the sign in the head, and the view. */
export async function look() {
  try {
    show(await askJson("GET", "/api/health"));
  } catch (error) {
    dot("unknown", "nobody knows");
    write(find("#health-lead"), words(error));
  }
}

/** @param {{status: string, parts: Part[], queue: any}} health */
function show({ status, parts, queue }) {
  dot(status, LEADS[status] ?? status);
  write(find("#health-lead"), LEADS[status] ?? status);
  const create = (/** @type {Part} */ part) =>
    make("div", {}, make("dt", {}, PARTS[part.name] ?? part.name), make("dd", {}, make("b"), make("span")));
  reconcile(find("#parts"), parts, (part) => part.name, create, (node, part) => {
    node.dataset.health = part.status;
    write(find("b", node), part.status);
    write(find("span", node), part.detail);
  });
  const waits = queue.waitingFor ?? {};
  define(find("#figures"), [
    ["Waiting", count(queue.waiting)],
    ["The oldest has waited", queue.oldestWaitingSeconds === null ? "–" : length(queue.oldestWaitingSeconds)],
    ["In flight", count(queue.inFlight)],
    ...WAITS.map(([name, label]) => /** @type {[string, string]} */ ([label, count(waits[name] ?? 0)])),
  ]);
}

/**
 * @param {string} status
 * @param {string} text
 */
function dot(status, text) {
  const node = find("#health-dot");
  node.hidden = status === "ok";
  node.dataset.health = status;
  node.title = text;
  node.setAttribute("role", "img");
  node.setAttribute("aria-label", text);
}
