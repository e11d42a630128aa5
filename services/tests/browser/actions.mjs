// What can be done about a job, with a mouse and without.

import assert from "node:assert/strict";
import { Visit } from "./harness.mjs";

/** A render is cancelled, and asked for again. */
export async function cancelAndRetry() {
  const visit = await Visit.open();
  const { page } = visit;
  await visit.go();
  await visit.submit(await visit.music("long.wav", 30));
  await visit.wordsSay(/^[3-7]\d % · Rendering/);
  const first = page.url();
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("button", { name: "Let it go on" }).click();
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("button", { name: "Cancel the render" }).click();
  await visit.wordsSay(/^Cancelled$/);
  await page.locator(".timeline", { hasText: "Cancelled: a client asked for it" }).waitFor();
  await page.getByRole("button", { name: "Render again" }).click();
  await page.waitForURL((url) => url.hash !== new URL(first).hash);
  await visit.wordsSay(/Rendering/);
  await page.getByRole("button", { name: /Cancelled\s*1/ }).click();
  await page.locator(".row:not([data-status=cancelled])").waitFor({ state: "detached" });
  assert.equal(await page.locator(".row").count(), 1);
  await page.getByRole("button", { name: /All\s*2/ }).click();
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("button", { name: "Cancel the render" }).click();
  await visit.wordsSay(/^Cancelled$/);
  await visit.close();
}

/** Everything once more, by keys alone. */
export async function useTheKeyboardAlone() {
  const visit = await Visit.open();
  const { page } = visit;
  await visit.go();
  // The dialog for files is the system's; all else is pressed.
  await tabTo(page, "#files");
  await page.locator("#files").setInputFiles(await visit.music("keys.wav", 20));
  await tabTo(page, "[name=mode]");
  await page.keyboard.press("ArrowDown");
  assert.equal(await page.locator("[name=mode]").inputValue(), "mist");
  await tabTo(page, "#render");
  await page.keyboard.press("Enter");
  await visit.wordsSay(/Rendering/);
  await page.locator("#job-title:focus").waitFor();
  await tabTo(page, "[data-do=cancel]");
  await page.keyboard.press("Enter");
  // What cannot be taken back is not what a second Enter does.
  await page.locator("#confirm [value=no]:focus").waitFor();
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Enter");
  await visit.wordsSay(/^Cancelled$/);
  await page.keyboard.press("Escape");
  await page.locator("#job").waitFor({ state: "hidden" });
  await page.locator(".row:focus", { hasText: "keys.wav" }).waitFor();
  await page.keyboard.press("Enter");
  await visit.wordsSay(/^Cancelled$/);
  for (const [link, title] of [["letters", "Dead letters"], ["health", "Health"]]) {
    await page.evaluate(() => document.activeElement?.blur());
    await tabTo(page, `[data-view=${link}]`);
    await page.keyboard.press("Enter");
    await page.locator("h1:focus", { hasText: title }).waitFor();
  }
  await visit.close();
}

/** Presses Tab until it is there; every stop on the way can be seen. */
async function tabTo(page, selector) {
  for (let presses = 0; presses < 60; presses += 1) {
    await page.keyboard.press("Tab");
    if (await page.evaluate((selector) => document.activeElement?.matches(selector), selector)) return;
  }
  throw new Error(`Tab does not lead to ${selector}`);
}
