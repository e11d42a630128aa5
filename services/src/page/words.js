// What the server tells, in words for people.

/** @typedef {import("./api.js").Job} Job */

/** @type {Record<Job["status"], string>} */
export const STATUSES = {
  pending: "Waiting",
  processing: "Rendering",
  complete: "Done",
  failed: "Failed",
  cancelled: "Cancelled",
};

/** @type {Record<string, string>} */
export const FORMATS = {
  "flat-1080p-landscape": "1080p landscape",
  "flat-1080p-portrait": "1080p portrait",
  "flat-1080p-square": "1080p square",
  "flat-4k-landscape": "4K landscape",
  "flat-4k-portrait": "4K portrait",
  "360-mono-4k": "360° 4K",
  "360-mono-6k": "360° 6K",
  "360-mono-8k": "360° 8K",
  "360-stereo-8k": "360° 8K stereo",
};

/** @type {Record<string, string>} */
const WAITS = {
  slot: "waits for a free place among the renders",
  modal: "the GPU provider is busy or away; kiln keeps asking",
  container: "a machine is starting for it",
  render: "",
  retry: "pauses before the next attempt",
  reconcile: "nothing was heard for a while; kiln is finding out why",
};

/** @type {Record<string, string>} */
const STAGES = {
  "dispatched-to-modal": "Sent to a GPU",
  "downloading-audio": "Fetching the audio",
  "rendering": "Rendering",
  "uploading-video": "Storing the video",
};

/** @param {Job} job */
export function nameOf(job) {
  const { filename, name, title } = job.metadata;
  const told = [filename, name, title].find((text) => typeof text === "string" && text !== "");
  return told ?? `Job ${job.jobId.slice(0, 8)}…${job.jobId.slice(-4)}`;
}

/** @param {Job} job */
export function isOver({ status }) {
  return status === "complete" || status === "failed" || status === "cancelled";
}

/**
 * Where a job stands, in one line.
 * @param {Job} job
 */
export function stand(job) {
  const wait = waits(job);
  const again = job.attempt > 1 ? `attempt ${job.attempt}` : "";
  switch (job.status) {
    case "pending":
      return list(capital(place(job.queuePosition)), wait || stage(job.stage ?? "waits to be taken"), again);
    case "processing":
      return list(`${job.progress} %`, job.stage === null ? "Rendering" : stage(job.stage), wait, again);
    case "complete":
      return list("Done", length(job.result?.durationSeconds), size(job.result?.sizeBytes), again);
    case "failed":
      return list("Failed", job.error?.message ?? "");
    case "cancelled":
      return "Cancelled";
  }
}

/** @param {Job} job */
function waits({ waitingFor, until }) {
  if (waitingFor === "modal" && until === null) return "the GPU provider is asked to take it";
  const wait = WAITS[waitingFor ?? ""] ?? "";
  return wait === "" || until === null ? wait : `${wait}, next at ${clockOf(until)}`;
}

/** @param {string} name */
function stage(name) {
  return STAGES[name] ?? capital(name.replaceAll("-", " "));
}

/** @param {number | null} position */
function place(position) {
  if (position === null) return "";
  return position === 1 ? "next in line" : `${ordinal(position)} in line`;
}

/** @param {number} n */
function ordinal(n) {
  const endings = { one: "st", two: "nd", few: "rd", other: "th" };
  const rule = new Intl.PluralRules("en", { type: "ordinal" }).select(n);
  return `${count(n)}${endings[/** @type {keyof typeof endings} */ (rule)]}`;
}

/**
 * What happened, in a sentence.
 * @param {{event: string, attempt: number | null, data: any}} event
 */
export function happened({ event, attempt, data }) {
  const message = data?.failure?.message ?? "";
  switch (event) {
    case "requested":
      return "The request was taken.";
    case "dispatched":
      return `Attempt ${attempt} was sent to ${data?.gpu ? "a GPU" : "a machine"}.`;
    case "started":
      return `A machine began attempt ${attempt}.`;
    case "attempt_failed":
      return `Attempt ${attempt} failed: ${message}`;
    case "completed":
      return `The video is there, made by attempt ${data?.attempt ?? 1}.`;
    case "cancelled":
      return `Cancelled: ${data?.reason || "no reason was given"}.`;
    case "failed":
      return `Given up: ${message}`;
    default:
      return `${capital(event.replaceAll("_", " "))}.`;
  }
}

/** @param {number} n */
export function count(n) {
  return n.toLocaleString("en");
}

/** @param {number | null | undefined} bytes */
export function size(bytes) {
  if (bytes === null || bytes === undefined) return "";
  const units = ["bytes", "kB", "MB", "GB"];
  const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), 3);
  const amount = bytes / 1000 ** power;
  return `${amount.toFixed(power > 0 && amount < 100 ? 1 : 0)} ${units[power]}`;
}

/**
 * As on a clock: 0:05, 12:40, 3:02:11.
 * @param {number | null | undefined} seconds
 */
export function length(seconds) {
  if (seconds === null || seconds === undefined) return "";
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** @param {string | number} time */
export function at(time) {
  return new Date(time).toLocaleString("en", { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
}

/** @param {string} time */
export function clockOf(time) {
  return new Date(time).toLocaleTimeString("en", { hourCycle: "h23", timeStyle: "medium" });
}

/** @param {string} text */
function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** @param {...string} parts */
function list(...parts) {
  const told = parts.filter((part) => part !== "");
  return told.map((part, index) => (index === 0 ? capital(part) : part)).join(" · ");
}
