// What every scenario has: a real Chromium, a folder of music, and eyes on everything that must not happen.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** Nothing takes longer, also on a slow machine. */
export const PATIENCE_MS = 120_000;

const tools = createRequire(`${process.env.KILN_BROWSER_TOOLS}/`);
const { chromium } = tools("playwright-core");

export const url = process.env.KILN_URL;
const store = process.env.KILN_STORE;

/** A page of a browser of its own, as somebody would open it. */
export class Visit {
  static async open(options = {}) {
    const executablePath = process.env.KILN_CHROMIUM ?? "/usr/bin/chromium";
    // Containers often lack what the sandbox needs; the page is our own.
    const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"] });
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, acceptDownloads: true, ...options });
    const visit = new Visit();
    Object.assign(visit, { browser, context, folder: await mkdtemp(join(tmpdir(), "kiln-page-")) });
    visit.page = await context.newPage();
    visit.page.setDefaultTimeout(PATIENCE_MS);
    visit.watch();
    return visit;
  }

  errors = [];
  requests = [];
  /** What is an error elsewhere, and wanted here. */
  expected = [];

  watch() {
    this.page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) this.errors.push(`${message.text()} at ${message.location().url}`);
    });
    this.page.on("pageerror", (error) => this.errors.push(String(error)));
    this.page.on("request", (request) => this.requests.push({ url: request.url(), headers: request.headers() }));
  }

  /** Opens the page, or goes on in it. */
  async go(hash = "") {
    await this.page.goto(`${url}/${hash}`);
  }

  /** The file of a piece of music, made here. */
  async music(name, seconds) {
    const path = join(this.folder, name);
    await writeFile(path, tone(seconds));
    return path;
  }

  /** Chooses files and asks for their renders. */
  async submit(...files) {
    await this.page.getByLabel("Drop audio here").setInputFiles(files);
    await this.page.getByRole("button", { name: /^Render( \d+ files)?$/ }).click();
  }

  row(name) {
    return this.page.locator(".row", { hasText: name }).first();
  }

  /** The open job's line. */
  words() {
    return this.page.locator(".job-words");
  }

  async wordsSay(pattern) {
    await this.words().filter({ hasText: pattern }).waitFor();
  }

  /** What axe finds that is serious, as lines. */
  async findings() {
    // Evaluated from outside, so that the page's own policy stays as it is.
    await this.page.evaluate(await readFile(tools.resolve("axe-core/axe.min.js"), "utf8"));
    const { violations } = await this.page.evaluate(() => globalThis.axe.run());
    const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    return serious.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
  }

  /** By how many pixels the page is wider than the screen. */
  overhang() {
    return this.page.evaluate(() => Math.max(document.documentElement.scrollWidth - document.documentElement.clientWidth, 0));
  }

  /** Ends it; whatever the scenario did, no error was told and nobody else was asked. */
  async close() {
    await this.browser.close();
    await rm(this.folder, { recursive: true });
    const isExpected = (error) => this.expected.some((pattern) => pattern.test(error));
    assert.deepEqual(this.errors.filter((error) => !isExpected(error)), [], "the console is silent");
    const strangers = this.requests.map((request) => request.url).filter((address) => !/^(data|blob):/.test(address));
    assert.deepEqual(strangers.filter((address) => ![url, store].includes(new URL(address).origin)), [], "no other host is asked");
    assert.ok(this.requests.length > 0, "something was asked");
  }
}

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Has the test do something to the world: what cannot be done from a browser. */
export async function world(wish) {
  console.log(`world: ${wish}`);
  const { value } = await answers.next();
  assert.equal(value, "done");
}

/** Asks until it is so. */
export async function until(what, ask) {
  const end = Date.now() + PATIENCE_MS;
  while (Date.now() < end) {
    const answer = await ask();
    if (answer) return answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`waited for ${what}`);
}

/** A tone that swells and falls, as a WAV file. */
function tone(seconds) {
  const rate = 44_100;
  const samples = new Int16Array(rate * seconds);
  for (let n = 0; n < samples.length; n += 1) {
    const time = n / rate;
    samples[n] = 12_000 * Math.sin(2 * Math.PI * (220 + 110 * Math.floor(time * 2 % 4)) * time) * (0.5 + 0.5 * Math.sin(9 * time));
  }
  const head = Buffer.alloc(44);
  head.write("RIFF", 0);
  head.writeUInt32LE(36 + samples.byteLength, 4);
  head.write("WAVEfmt ", 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(2 * rate, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write("data", 36);
  head.writeUInt32LE(samples.byteLength, 40);
  return Buffer.concat([head, Buffer.from(samples.buffer)]);
}
