// Asking the server: one way for every request, errors in words, and whether it is there at all.

import { credentials, refused } from "./key.js";

/** @typedef {{code: string, message: string, retryable: boolean}} Failure */
/** @typedef {{format?: string, durationSeconds?: number, sizeBytes?: number, videoKey?: string}} Result */
/**
 * A job, as the server tells it.
 * @typedef {{jobId: string, status: "pending" | "processing" | "complete" | "failed" | "cancelled", progress: number,
 *   stage: string | null, attempt: number, queuePosition: number | null, waitingFor: string | null,
 *   until: string | null, result: Result | null, error: Failure | null, downloadUrl: string | null,
 *   metadata: Record<string, any>, createdAt: string, updatedAt: string}} Job
 */

/** An answer that is none, in words for people. */
export class Problem extends Error {
  /**
   * @param {number} status 0: there was no answer
   * @param {string} code
   * @param {string} detail
   */
  constructor(status, code, detail) {
    super(sentence(detail));
    this.status = status;
    this.code = code;
  }

  /** Whether the same request may succeed later. */
  get isTransient() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** Tells `lost` and `found`, as requests fail and succeed, and `stale` with every answer that may miss newer facts. */
export const connection = new EventTarget();

let skewMs = 0;

/** The server's time, in milliseconds. */
export function now() {
  return Date.now() + skewMs;
}

/**
 * @param {string} method
 * @param {string} path
 * @param {{headers?: Record<string, string>, body?: BodyInit, signal?: AbortSignal}} [options]
 * @returns {Promise<Response>} of a success
 */
export async function ask(method, path, { headers = {}, body, signal } = {}) {
  const shown = credentials();
  const request = { method, headers: { ...shown, ...headers }, body, signal };
  const response = await fetch(path, request).catch((error) => {
    if (signal?.aborted) throw error;
    connection.dispatchEvent(new Event("lost"));
    throw new Problem(0, "unreachable", "the server cannot be reached");
  });
  connection.dispatchEvent(new Event("found"));
  connection.dispatchEvent(new CustomEvent("stale", { detail: response.headers.has("kiln-stale") }));
  const date = Date.parse(response.headers.get("date") ?? "");
  // The header has whole seconds: only what is more than that says something.
  if (Math.abs(date - now()) > 1500) skewMs = date + 500 - Date.now();
  if (response.ok) return response;
  if (response.status === 401) refused(shown);
  throw await problem(response.status, await response.text().catch(() => ""));
}

/**
 * @param {string} method
 * @param {string} path
 * @param {{headers?: Record<string, string>, json?: unknown, signal?: AbortSignal}} [options]
 * @returns {Promise<any>}
 */
export async function askJson(method, path, { headers = {}, json, signal } = {}) {
  const withBody = json === undefined ? { headers } : {
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(json),
  };
  const response = await ask(method, path, { ...withBody, signal });
  return response.json().catch(() => {
    throw new Problem(0, "cut_off", "the server's answer broke off");
  });
}

/**
 * What a refusal says.
 * @param {number} status
 * @param {string} text
 */
export function problem(status, text) {
  try {
    const { code, detail, errors = [] } = JSON.parse(text);
    const fields = errors.map((/** @type {any} */ error) => `${error.pointer.slice(1)} ${error.detail}`);
    return new Problem(status, code, fields.join("; ") || detail);
  } catch {
    return new Problem(status, "unknown", `the server answered ${status}, without a reason`);
  }
}

/**
 * Any error, in words.
 * @param {unknown} error
 */
export function words(error) {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Begins with a capital and ends with a stop.
 * @param {string} text
 */
function sentence(text) {
  const plain = text.trim().replaceAll("`", "");
  return `${plain.charAt(0).toUpperCase()}${plain.slice(1)}${/[.?!]$/.test(plain) ? "" : "."}`;
}
