// How the page looks: on every screen, in both schemes, to those who listen; and its portrait.

import assert from "node:assert/strict";
import { Visit, until } from "./harness.mjs";

const SCREENS = [[320, 640], [768, 1024], [1440, 900]];

/** No view is wider than the screen, and axe finds nothing serious. */
export async function fitEveryScreen() {
  const visit = await Visit.open();
  const { page } = visit;
  await visit.go();
  const name = "a name that is so long that it would be wider than any telephone if nobody took care of it.wav";
  await visit.submit(await visit.music(name, 1));
  await visit.wordsSay(/^Done/);
  const job = new URL(page.url()).hash;
  await visit.submit({ name: "broken.wav", mimeType: "audio/wav", buffer: Buffer.from("RIFF\x24\0\0\0WAVE, and then nothing that is sound") });
  await visit.wordsSay(/^Failed/);
  const failed = new URL(page.url()).hash;
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    for (const [width, height] of SCREENS) {
      await page.setViewportSize({ width, height });
      for (const hash of ["#/", job, failed, "#/letters", "#/health"]) await fits(visit, hash, `${hash}, ${width} px, ${colorScheme}`);
    }
  }
  await visit.close();
}

async function fits(visit, hash, where) {
  const { page } = visit;
  await visit.go(hash);
  const is = { "#/": "#jobs .row", "#/letters": "#letters-title", "#/health": "#parts > div" };
  await page.locator(is[hash] ?? ".timeline li").first().waitFor();
  assert.equal(await visit.overhang(), 0, `it is as wide as the screen: ${where}`);
  assert.deepEqual(await visit.findings(), [], where);
}

/** The choice of colours outdoes the system's, and is remembered. */
export async function chooseTheColours() {
  const visit = await Visit.open({ colorScheme: "light" });
  const { page } = visit;
  await visit.go();
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  await page.getByLabel("Colours").selectOption("dark");
  const dark = await paper();
  assert.notEqual(dark, light);
  await page.reload();
  assert.equal(await paper(), dark);
  await page.getByLabel("Colours").selectOption("");
  assert.equal(await paper(), light);
  await visit.close();
}

/** A world with something of everything, for the README. */
export async function sitForThePortrait() {
  const visit = await Visit.open({ colorScheme: "light", viewport: { width: 1280, height: 860 } });
  const { page } = visit;
  await visit.go();
  await page.getByLabel("Format").selectOption("flat-1080p-landscape");
  await visit.submit({ name: "Broken tape.wav", mimeType: "audio/wav", buffer: Buffer.from("RIFF\x24\0\0\0WAVE, and then nothing that is sound") });
  await visit.wordsSay(/^Failed/);
  await visit.submit(await visit.music("Northern Lights.wav", 6));
  await visit.wordsSay(/^Done/);
  const job = new URL(page.url()).hash;
  await visit.submit(await visit.music("Harbour.wav", 60));
  await visit.wordsSay(/Rendering/);
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("button", { name: "Cancel the render" }).click();
  await visit.wordsSay(/^Cancelled/);
  const more = ["Embers.wav", "Slow Water.wav", "Afterglow.wav", "Salt.wav"];
  await visit.submit(...(await Promise.all(more.map((name) => visit.music(name, 40)))));
  await visit.row("2nd in line").waitFor();
  await until("two renders to be on their way", async () => (await page.locator(".row-words", { hasText: /^[4-9]\d % · Rendering/ }).count()) === 2);
  await page.evaluate((hash) => (location.hash = hash), job);
  await page.locator("video").evaluate(async (video) => {
    video.currentTime = 4;
    await new Promise((resolve) => video.addEventListener("seeked", resolve, { once: true }));
  });
  await page.locator(".timeline li").first().waitFor();
  await page.evaluate(() => document.activeElement?.blur());
  await page.mouse.move(0, 0);
  const portrait = await page.screenshot({ path: process.env.KILN_SCREENSHOT, type: "jpeg", quality: 88 });
  assert.ok(portrait.length < 200_000, `it is small enough for a README: ${portrait.length} bytes`);
  await visit.close();
}
