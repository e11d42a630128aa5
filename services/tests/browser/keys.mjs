// A server that asks who somebody is.

import assert from "node:assert/strict";
import { Visit } from "./harness.mjs";

/** The key is asked for in words, sent in the header alone, and gone with the tab. */
export async function askForTheKey() {
  const visit = await Visit.open();
  visit.expected = [/401/];
  const { page } = visit;
  await visit.go();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("This server asks for an API key").waitFor();
  await dialog.getByLabel("API key", { exact: true }).fill("kiln_of_nobody");
  await page.keyboard.press("Enter");
  await dialog.getByText("The server does not know this key").waitFor();
  await dialog.getByLabel("API key", { exact: true }).fill(process.env.KILN_KEY);
  await page.keyboard.press("Enter");
  await page.getByText("No jobs yet").waitFor();
  await visit.submit(await visit.music("keyed.wav", 1));
  await visit.wordsSay(/^Done/);
  await page.reload();
  await visit.wordsSay(/^Done/);
  assert.ok(!visit.requests.some(({ url }) => url.includes(process.env.KILN_KEY)), "no address holds the key");
  const toStore = visit.requests.filter(({ url }) => url.startsWith(process.env.KILN_STORE));
  assert.ok(toStore.length > 0 && !toStore.some(({ headers }) => headers.authorization), "the store never sees it");
  assert.ok(visit.requests.some(({ headers }) => headers.authorization === `Bearer ${process.env.KILN_KEY}`));
  assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes("kiln_")), false, "it is not kept");
  const other = await visit.context.newPage();
  await other.goto(page.url());
  await other.getByText("This server asks for an API key").waitFor();
  await visit.close();
}

/** A key that may only look says so, where more is wanted. */
export async function tellWhatAKeyMayNot() {
  const visit = await Visit.open();
  visit.expected = [/401|403/];
  const { page } = visit;
  await visit.go();
  await page.getByLabel("API key", { exact: true }).last().fill(process.env.KILN_READ_KEY);
  await page.keyboard.press("Enter");
  await page.getByText("No jobs yet").waitFor();
  await visit.submit(await visit.music("forbidden.wav", 1));
  await page.locator("[data-state=failed]", { hasText: "This key has not the scope submit" }).waitFor();
  await visit.close();
}
