// Saving a video under a name of ours: a link alone would open it, since it lies on another host.

import { make } from "./dom.js";
import { Problem } from "./api.js";

/** Beyond this a browser may not hold it; the store's own page of the video is opened instead. */
const MOST_BYTES = 1_500_000_000;

/**
 * @param {string} url
 * @param {string} name
 * @param {(bytes: number) => void} progress
 */
export async function download(url, name, progress) {
  const response = await fetch(url, { referrerPolicy: "no-referrer" }).catch(() => null);
  if (!response?.ok || !response.body) throw new Problem(0, "store", "the store does not give the video now; try again");
  if (Number(response.headers.get("content-length")) > MOST_BYTES) {
    await response.body.cancel();
    window.open(url, "_blank", "noopener,noreferrer");
    return;
  }
  let got = 0;
  const counted = response.body.pipeThrough(new TransformStream({
    transform(chunk, controller) {
      got += chunk.byteLength;
      progress(got);
      controller.enqueue(chunk);
    },
  }));
  const blob = await new Response(counted, { headers: { "Content-Type": "video/mp4" } }).blob();
  const address = URL.createObjectURL(blob);
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
