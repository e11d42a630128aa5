// Dead letters, and how kiln's parts are.

import assert from "node:assert/strict";
import { Visit } from "./harness.mjs";

/** A message that nobody could read is shown with what stands in it, and redriven. */
export async function readADeadLetter() {
  const visit = await Visit.open();
  const { page } = visit;
  await visit.go("#/letters");
  await page.locator("#letters details").first().waitFor();
  assert.deepEqual(await visit.findings(), []);
  await page.locator("#letters summary").first().click();
  await page.getByLabel("The message").filter({ hasText: "nobody can read this" }).waitFor();
  assert.deepEqual(await visit.findings(), []);
  await page.getByRole("button", { name: "Redrive" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Redrive" }).click();
  await page.locator(".letter-body [role=status]").filter({ hasText: /\S/ }).waitFor();
  await visit.close();
}

/** Every part is named, with a sentence. */
export async function tellTheHealth() {
  const visit = await Visit.open();
  const { page } = visit;
  await visit.go("#/health");
  for (const part of ["Log", "Store", "GPU provider", "Projection", "Workers"]) {
    await page.locator("#parts > div", { has: page.getByText(part, { exact: true }) }).filter({ hasText: /\s/ }).waitFor();
  }
  await page.locator("#figures", { hasText: "In flight" }).waitFor();
  assert.deepEqual(await visit.findings(), []);
  await visit.close();
}
