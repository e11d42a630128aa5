// Dead letters: messages of the log that nobody could read.

import { confirm, define, find, make, reconcile, tell, write } from "./dom.js";
import { askJson, words } from "./api.js";
import { at, count, size } from "./words.js";

/** @typedef {{id: string, time: string, subject: string, jobId: string | null, reason: string, stream: string, sequence: number}} Letter */

/** @type {Letter[]} */
let letters = [];
/** @type {string | null} */
let nextCursor = null;

/** Makes the view work. */
export function start() {
  find("#letters-more").addEventListener("click", () => load(nextCursor ?? ""));
}

/** Shows the newest ones. */
export async function open() {
  letters = [];
  await load("");
}

/**
 * How many there are.
 * @returns {Promise<void>}
 */
export async function tellTotal() {
  const { total } = await askJson("GET", "/api/deadletters?limit=1");
  tell(find("#letters-total"), total > 0 ? count(total) : "");
}

/** @param {string} cursor */
async function load(cursor) {
  const trouble = find("#letters-trouble");
  try {
    const answer = await askJson("GET", `/api/deadletters?${new URLSearchParams({ limit: "50", cursor })}`);
    letters = [...letters, ...answer.deadLetters];
    nextCursor = answer.nextCursor;
    tell(trouble);
    tell(find("#letters-total"), answer.total > 0 ? count(answer.total) : "");
  } catch (error) {
    tell(trouble, words(error));
    return;
  }
  find("#letters-more").hidden = nextCursor === null;
  find("#letters-empty").hidden = letters.length > 0;
  reconcile(find("#letters"), letters, (letter) => letter.id, create);
}

/** @param {Letter} letter */
function create(letter) {
  const body = make("div", { class: "letter-body" });
  const node = make("details", {},
    make("summary", {},
      make("span", { class: "letter-reason" }, letter.reason),
      make("span", { class: "note" }, `${letter.subject} · ${at(letter.time)}`)),
    body);
  node.addEventListener("toggle", () => node.open && body.childElementCount === 0 && show(letter, body));
  return node;
}

/**
 * @param {Letter} letter
 * @param {HTMLElement} place
 */
async function show(letter, place) {
  try {
    const whole = await askJson("GET", `/api/deadletters/${encodeURIComponent(letter.id)}`);
    const facts = make("dl", { class: "facts" });
    const job = letter.jobId === null ? null : make("a", { href: `#/job/${letter.jobId}` }, letter.jobId);
    define(facts, [
      ["Job", job],
      ["Where", `${letter.stream}, sequence ${letter.sequence}`],
      ["Size", size(whole.sizeBytes)],
      ...Object.entries(whole.headers),
    ]);
    const text = make("pre", { tabIndex: 0 }, whole.body === "" ? "(empty)" : whole.body);
    text.setAttribute("aria-label", "The message");
    text.setAttribute("role", "region");
    const cut = whole.bodyTruncated ? [make("p", { class: "note" }, "Only the beginning is shown.")] : [];
    place.replaceChildren(facts, text, ...cut, redrive(letter));
  } catch (error) {
    place.replaceChildren(make("p", { class: "trouble" }, words(error)));
  }
}

/** @param {Letter} letter */
function redrive(letter) {
  const told = make("p", { class: "note", hidden: true });
  told.setAttribute("role", "status");
  const button = make("button", { type: "button" }, "Redrive");
  button.addEventListener("click", async () => {
    const isSure = await confirm({
      title: "Redrive this message?",
      words: "The log is read again from there. That changes nothing that was read well.",
      yes: "Redrive",
      no: "Leave it",
    });
    if (!isSure) return;
    button.disabled = true;
    try {
      const { effect } = await askJson("POST", `/api/deadletters/${encodeURIComponent(letter.id)}/redrive`);
      tell(told, effect);
    } catch (error) {
      tell(told, words(error));
    }
    button.disabled = false;
  });
  return make("div", { class: "actions" }, button, told);
}
