// Small helpers around the document. Nothing here ever makes markup of text.

/**
 * The one element that fits.
 * @param {string} selector
 * @param {ParentNode} [root]
 * @returns {any}
 */
export function find(selector, root = document) {
  const found = root.querySelector(selector);
  if (!found) throw new Error(`the page lacks ${selector}`);
  return found;
}

/**
 * @param {string} tag
 * @param {Record<string, any>} [properties] of the element; `class` and `data` too
 * @param {...(Node | string)} children
 * @returns {any}
 */
export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  const { class: name, data, ...rest } = properties;
  if (name) node.className = name;
  Object.assign(node.dataset, data);
  Object.assign(node, rest);
  node.append(...children);
  return node;
}

/**
 * The content of a template.
 * @param {string} id
 * @returns {DocumentFragment}
 */
export function stamp(id) {
  return find(`#${id}`).content.cloneNode(true);
}

/**
 * Writes only what is new, so that nothing is read out twice and no selection is lost.
 * @param {Element} node
 * @param {string} text
 */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Shows a text, or hides the element if there is none.
 * @param {HTMLElement} node
 * @param {string} [text]
 */
export function tell(node, text = "") {
  write(node, text);
  node.hidden = text === "";
}

/**
 * Makes the children of `parent` be those of `items`, keeping the elements that were there, and with them the focus.
 * @template T
 * @param {Element} parent
 * @param {T[]} items
 * @param {(item: T) => string} keyOf
 * @param {(item: T) => HTMLElement} create
 * @param {(node: HTMLElement, item: T) => void} [update]
 */
export function reconcile(parent, items, keyOf, create, update = () => {}) {
  const wanted = new Set(items.map(keyOf));
  /** @type {Map<string | undefined, HTMLElement>} */
  const present = new Map();
  for (const child of /** @type {HTMLElement[]} */ ([...parent.children])) {
    if (wanted.has(child.dataset.key ?? "")) present.set(child.dataset.key, child);
    else child.remove();
  }
  items.forEach((item, index) => {
    const key = keyOf(item);
    const node = present.get(key) ?? create(item);
    node.dataset.key = key;
    update(node, item);
    if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null);
  });
}

/**
 * A list of terms with what they mean; those without a value are left out.
 * @param {Element} list
 * @param {[string, string | Node | null | undefined][]} rows
 */
export function define(list, rows) {
  const shown = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  reconcile(list, shown, ([term]) => term, ([term]) => make("div", {}, make("dt", {}, term), make("dd")), (node, [, value]) => {
    const place = find("dd", node);
    if (typeof value === "string") write(place, value);
    else if (place.firstChild !== value) place.replaceChildren(/** @type {Node} */ (value));
  });
}

/**
 * The sign of a status: a ring that fills while a job renders.
 * @param {HTMLElement} node
 * @param {string} status
 * @param {number} [progress] in percent
 */
export function mark(node, status, progress = 0) {
  node.style.setProperty("--progress", String(progress));
  if (node.dataset.status === status) return;
  node.dataset.status = status;
  node.replaceChildren();
  if (status === "processing") return;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#mark-${status}`);
  svg.append(use);
  node.append(svg);
}

/**
 * Says something once to those who listen rather than look.
 * @param {string} text
 */
export function announce(text) {
  write(find("#announcer"), text);
}

/**
 * Asks before something that cannot be taken back.
 * @param {{title: string, words: string, yes: string, no: string}} question
 * @returns {Promise<boolean>}
 */
export function confirm({ title, words, yes, no }) {
  const dialog = find("#confirm");
  write(find("#confirm-title"), title);
  write(find("#confirm-words"), words);
  write(find("[value=yes]", dialog), yes);
  write(find("[value=no]", dialog), no);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
