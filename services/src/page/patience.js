// Waiting: for a while, for a sign, for a server that is away.

const FIRST_MS = 500;
const LONGEST_MS = 8000;

/** Each wait is twice as long as the one before, and none is as long as another page's. */
export class Backoff {
  #next = FIRST_MS;

  /** How long to wait now, in milliseconds. */
  next() {
    const wait = this.#next * (0.75 + Math.random() / 2);
    this.#next = Math.min(this.#next * 2, LONGEST_MS);
    return wait;
  }

  /** It worked. */
  reset() {
    this.#next = FIRST_MS;
  }
}

/**
 * @param {number} ms
 * @param {AbortSignal} [signal] ends the wait at once
 * @returns {Promise<void>}
 */
export function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

/** A wait that can be cut short: by `wake`, and by the page being looked at again. */
export class Alarm {
  #ring = () => {};

  constructor() {
    document.addEventListener("visibilitychange", () => document.hidden || this.wake());
  }

  wake() {
    this.#ring();
  }

  /**
   * Nothing goes on in a page that nobody sees.
   * @param {number} ms
   */
  async wait(ms) {
    const rung = new Promise((resolve) => (this.#ring = () => resolve(undefined)));
    await Promise.race([rung, document.hidden ? rung : pause(ms)]);
  }
}
