// From a file to a video.

import assert from "node:assert/strict";
import { stat } from "node:fs/promises";
import { Visit } from "./harness.mjs";

/** Two files are dropped at once; one is watched to its end, played and kept. */
export async function dropWatchPlayAndKeep() {
  const visit = await Visit.open();
  const { page } = visit;
  await visit.go();
  await page.getByText("No jobs yet").waitFor();
  const files = await Promise.all([visit.music("first.wav", 1), visit.music("second.wav", 2)]);
  await page.getByLabel("Format").selectOption("flat-1080p-square");
  await page.getByLabel("Look").selectOption("mist");
  await page.getByLabel("Frame rate").selectOption("60");
  await drop(page, files);
  await page.getByRole("button", { name: "Render 2 files" }).click();
  await visit.wordsSay(/Rendering/);
  assert.ok(visit.requests.some(({ url }) => url.includes("/uploads/") && url.includes("X-Amz-Signature")), "it went straight to the store");
  await visit.row("first.wav").click();
  await visit.wordsSay(/^Done · 0:01 · /);
  await page.locator(".facts", { hasText: "1080p square" }).waitFor();
  await page.getByText("mist, 60 fps").waitFor();
  await page.locator(".timeline", { hasText: "The video is there" }).waitFor();
  await plays(page);
  const saving = page.waitForEvent("download");
  await page.getByRole("button", { name: "Download" }).click();
  const saved = await saving;
  assert.equal(saved.suggestedFilename(), "first.mp4");
  assert.ok((await stat(await saved.path())).size > 10_000);
  await visit.row("second.wav").filter({ hasText: "Done" }).waitFor();
  await visit.close();
}

/** A store that takes nothing from browsers: the file goes through the api. */
export async function sendThroughTheApi() {
  const visit = await Visit.open();
  visit.expected = [/ERR_FAILED/];
  await visit.page.route(/\/uploads\/.*X-Amz-Signature/, (route) => route.abort());
  await visit.go();
  await visit.submit(await visit.music("refused.wav", 1));
  await visit.wordsSay(/^Done/);
  await plays(visit.page);
  await visit.close();
}

/** What is refused says why, in words. */
export async function refuseInWords() {
  const visit = await Visit.open();
  visit.expected = [/422/];
  const { page } = visit;
  await visit.go();
  await visit.submit({ name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("not a sound") });
  await page.locator("[data-state=failed]", { hasText: "must end with the extension of a kind that is taken" }).waitFor();
  await page.getByRole("button", { name: "Remove notes.txt" }).click();
  await visit.submit({ name: "broken.wav", mimeType: "audio/wav", buffer: Buffer.from("RIFF\x24\0\0\0WAVE, and then nothing that is sound") });
  await visit.wordsSay(/^Failed · .+/);
  assert.ok(await page.getByRole("button", { name: "Render again" }).isVisible());
  await visit.close();
}

/** As a hand would drop files, which Playwright cannot. */
async function drop(page, paths) {
  const input = page.getByLabel("Drop audio here");
  await input.evaluate((node) => {
    // The files that are given to it come back out as a drop on the page.
    const catchOnce = (event) => {
      event.stopImmediatePropagation();
      const dataTransfer = new DataTransfer();
      for (const file of node.files) dataTransfer.items.add(file);
      document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer }));
    };
    node.addEventListener("change", catchOnce, { once: true, capture: true });
  });
  await input.setInputFiles(paths);
}

async function plays(page) {
  const video = page.locator("video");
  await video.waitFor();
  const time = await video.evaluate(async (node) => {
    node.muted = true;
    await node.play();
    await new Promise((resolve) => node.addEventListener("timeupdate", () => node.currentTime > 0.2 && resolve()));
    return node.currentTime;
  });
  assert.ok(time > 0.2, `it plays: ${time}`);
}
