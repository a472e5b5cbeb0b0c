// What the end-to-end tests share: a server of a network, a browser, and a page that must stay free of errors.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const HERE = fileURLToPath(new URL(".", import.meta.url));
export const PYTHON = process.env.PELLUCID_PYTHON ?? fileURLToPath(new URL("../../.venv/bin/python", import.meta.url));
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
export const PICTURES = process.env.PELLUCID_PICTURES;

/** Serve a network; `expected` is what Network.trace says of its input's shape, its loss and of some of its cells, worked out apart from the server. */
export async function serve(name) {
  const process = spawn(PYTHON, [`${HERE}serve.py`, name], { stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface({ input: process.stdout })[Symbol.asyncIterator]();
  const stop = async () => {
    if (process.exitCode !== null) return;
    process.kill("SIGINT");
    await once(process, "exit");
  };
  const [expected, address] = [(await lines.next()).value, (await lines.next()).value];
  if (!address) {
    await stop();
    throw new Error(`serve.py ${name} ended before it listened; what it printed stands above`);
  }
  const { input, loss, cells } = JSON.parse(expected);
  return { address, input, loss, expected: cells, stop };
}

export function launch() {
  return chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
}

/**
 * Open a page that fails the test on any error it logs, and on any request to elsewhere. It asks for reduced motion:
 * where the network glides into view, a click would land on whatever is passing.
 */
export async function open(browser, address, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1366, height: 768 }, reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  const faults = [];
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("request", (request) => {
    const url = new URL(request.url());
    const own = url.origin === new URL(address).origin || url.protocol === "data:" || url.protocol === "blob:";
    if (!own) faults.push(`asked for ${request.url()}`);
  });
  page.setDefaultTimeout(30_000);
  await page.goto(address);
  await page.getByRole("heading", { level: 1 }).waitFor();
  return { page, faults, close: () => context.close() };
}

export const view = (page, name) => page.getByRole("button", { name, exact: true }).click();

/** Open a cell by its address and return what the panel shows of it. */
export async function cell(page, what, node, index) {
  const address = [what, node, index.join(",")].map(encodeURIComponent).join("/");
  await page.evaluate((hash) => (location.hash = hash), address);
  return shown(page, `${what} ${node} ${index.join(",")}`);
}

/** Wait for the panel of a cell; return its value, the total of its terms, and the text of the value. */
export async function shown(page, which) {
  const article = page.locator(`article[data-cell="${which}"][aria-busy="false"]`);
  const output = article.locator(".result output");
  await output.waitFor();
  const totals = article.locator("[data-total]");
  return {
    value: Number(await output.getAttribute("data-value")),
    text: await output.innerText(),
    total: (await totals.count()) ? Number(await totals.first().getAttribute("data-total")) : null,
  };
}

/** Return how many different colours a canvas shows. */
export function colours(canvas) {
  return canvas.evaluate((element) => {
    const { data } = element.getContext("2d").getImageData(0, 0, element.width, element.height);
    return new Set(new Uint32Array(data.buffer)).size;
  });
}

export function close(a, b, relative, what) {
  assert.ok(Math.abs(a - b) <= relative * Math.max(Math.abs(a), Math.abs(b), 1e-6), `${what}: ${a} is not ${b}`);
}

export async function picture(page, name) {
  if (PICTURES) await page.screenshot({ path: `${PICTURES}/${name}.png` });
}
