// The API key: asked for in words, kept for as long as the tab lives, and never part of an address.

import { find, write } from "./dom.js";

const NAME = "kiln-key";

/** Tells `change` whenever there is another key. */
export const keys = new EventTarget();

/** Whether the server has refused us, so that nothing needs to be asked again before there is another key. */
let isRefused = false;

/**
 * The headers that show the key, if there is one.
 * @returns {Record<string, string>}
 */
export function credentials() {
  const key = sessionStorage.getItem(NAME);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** Waits for another key, if the last one was refused. */
export function usable() {
  if (!isRefused) return Promise.resolve();
  return new Promise((resolve) => keys.addEventListener("change", resolve, { once: true }));
}

/**
 * The server answered 401: asks for a key, once, however many requests were refused.
 * @param {Record<string, string>} shown the credentials of that request, which may be older than those of now
 */
export function refused(shown) {
  if (isRefused || shown.Authorization !== credentials().Authorization) return;
  isRefused = true;
  const had = sessionStorage.getItem(NAME) !== null;
  open(had ? "The server does not know this key, or it was revoked." : "Without one it answers nothing.");
}

/** @param {string} words */
function open(words) {
  write(find("#key-words"), words);
  find("#key").value = "";
  const dialog = find("#key-dialog");
  if (!dialog.open) dialog.showModal();
}

/** Makes the dialog and its button work. */
export function start() {
  find("#key-open").addEventListener("click", () => open("It says who asks, and what may be done."));
  const dialog = find("#key-dialog");
  dialog.addEventListener("close", () => {
    const key = find("#key").value.trim();
    find("#key").value = "";
    if (dialog.returnValue !== "use" || key === "") return;
    sessionStorage.setItem(NAME, key);
    isRefused = false;
    keys.dispatchEvent(new Event("change"));
  });
}
