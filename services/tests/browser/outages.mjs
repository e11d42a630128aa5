// A page that is loaded anew, and a server that is.

import assert from "node:assert/strict";
import { Visit, world } from "./harness.mjs";

/** Loading the page in the middle of a render loses nothing. */
export async function reloadInTheMiddle() {
  const visit = await Visit.open();
  const { page } = visit;
  await visit.go();
  await page.getByLabel("Look").selectOption("mist");
  await visit.submit(await visit.music("reloaded.wav", 8));
  await visit.wordsSay(/^[3-7]\d % · Rendering/);
  const address = page.url();
  await page.reload();
  assert.equal(page.url(), address);
  await visit.wordsSay(/Rendering/);
  assert.equal(await page.getByLabel("Look").inputValue(), "mist", "what was chosen is remembered");
  await visit.wordsSay(/^Done/);
  await page.goBack();
  await page.locator("#job").waitFor({ state: "hidden" });
  await visit.close();
}

/** The server goes, and comes back; the page says so and goes on. */
export async function outliveTheServer() {
  const visit = await Visit.open();
  visit.expected = [/ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE_CHUNKED_ENCODING|503/];
  const { page } = visit;
  await visit.go();
  await visit.submit(await visit.music("survivor.wav", 20));
  await visit.wordsSay(/^[3-7]\d % · Rendering/);
  await page.evaluate(() => (globalThis.isTheSame = true));
  await world("stop");
  await page.getByText("Connection lost. Trying again").waitFor();
  await world("start");
  await page.getByText("Connection lost. Trying again").waitFor({ state: "hidden" });
  await visit.wordsSay(/^Done/);
  await visit.row("survivor.wav").filter({ hasText: "Done" }).waitFor();
  assert.ok(await page.evaluate(() => globalThis.isTheSame), "it was not loaded anew");
  await visit.close();
}
