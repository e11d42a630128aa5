// Ten thousand jobs.

import assert from "node:assert/strict";
import { Visit } from "./harness.mjs";

/** They are counted, filtered and paged through, with few elements and few requests. */
export async function leafThroughThousands() {
  const visit = await Visit.open();
  // They have entries alone, and nothing in the log.
  visit.expected = [/404 .*\/events$/];
  const { page } = visit;
  await visit.go();
  await page.getByRole("button", { name: /^All\s*10,000$/ }).waitFor();
  await page.getByText("Page 1 of 200").waitFor();
  assert.equal(await page.locator(".row").count(), 50);
  const first = await hashes(page);
  await page.getByRole("button", { name: "Older" }).click();
  await page.getByText("Page 2 of 200").waitFor();
  await page.locator(`.row[href="${first[0]}"]`).waitFor({ state: "detached" });
  const second = await hashes(page);
  assert.equal(new Set([...first, ...second]).size, 100, "no job is on both pages");
  await page.getByRole("button", { name: "Newer" }).click();
  await page.locator(`.row[href="${first[0]}"]`).waitFor();
  await page.getByRole("button", { name: /^Waiting\s*1,000$/ }).click();
  await page.getByText("Page 1 of 20").waitFor();
  await page.locator(".row[data-status=complete]").first().waitFor({ state: "detached" });
  assert.equal(await page.locator(".row[data-status=pending]").count(), 50);
  await page.getByLabel("Open a job by its id").fill(first[0].split("/").pop());
  await page.getByRole("button", { name: "Open", exact: true }).click();
  await visit.words().filter({ hasText: /\S/ }).waitFor();
  const asked = await perSecond(page, visit);
  assert.ok(asked <= 2, `${asked} requests a second for the list`);
  const open = visit.requests.filter(({ headers }) => headers.accept === "text/event-stream").length;
  assert.ok(open <= 2, `${open} streams were opened`);
  const elements = await page.locator("*").count();
  assert.ok(elements < 1500, `${elements} elements`);
  await visit.close();
}

function hashes(page) {
  return page.$$eval(".row", (rows) => rows.map((row) => row.hash));
}

/** How often the list is asked for while somebody only looks. */
async function perSecond(page, visit) {
  const before = visit.requests.length;
  const began = Date.now();
  for (let answers = 0; answers < 5; answers += 1) await page.waitForResponse((response) => response.url().includes("limit=50"));
  return visit.requests.slice(before).filter(({ url }) => url.includes("limit=50")).length / ((Date.now() - began) / 1000);
}
