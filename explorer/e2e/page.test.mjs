// The page itself: its size, its speed, who can use it, and the hand-out.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { cell, close, launch, open, picture, serve, shown, view } from "./harness.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const BUILT = fileURLToPath(new URL("../../src/pellucid/explain/explorer/page/", import.meta.url));

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

test("the first load is less than 1 MB compressed", () => {
  const size = readdirSync(BUILT).reduce((sum, name) => sum + gzipSync(readFileSync(join(BUILT, name))).length, 0);
  assert.ok(size < 1_000_000, `${size} bytes`);
});

/** Return the serious faults that axe-core finds, as short texts. */
async function faultsOf(page) {
  // Added by the test's own protocol, not by the page, so that the page's content policy stays as it is.
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  return violations
    .filter((v) => v.impact === "serious" || v.impact === "critical")
    .map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 120)).join(" | ")}`);
}

describe("nguyen", () => {
  let server;
  before(async () => (server = await serve("nguyen")));
  after(() => server.stop());

  for (const colorScheme of ["light", "dark"]) {
    test(`axe-core finds no serious fault, ${colorScheme}`, async () => {
      const { page, close: closePage } = await open(browser, server.address, { colorScheme });
      await cell(page, "delta", "fc", [3]);
      for (const shownAs of ["forward", "backward", "parameters"]) {
        await view(page, shownAs);
        assert.deepEqual(await faultsOf(page), [], shownAs);
        await picture(page, `nguyen-${shownAs}-${colorScheme}`);
      }
      await page.getByRole("button", { name: "Train", exact: true }).click();
      assert.deepEqual(await faultsOf(page), [], "train");
      await closePage();
    });
  }

  test("a telephone shows it without scrolling sideways", async () => {
    const { page, close: closePage } = await open(browser, server.address, { viewport: { width: 390, height: 844 }, hasTouch: true });
    await cell(page, "value", "conv1", [2, 3, 4]);
    const [wide, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(wide <= width, `${wide} > ${width}`);
    await picture(page, "phone");
    await closePage();
  });

  test("everything by keyboard: from the top of the page to a cell", async () => {
    const { page, close: closePage } = await open(browser, server.address);
    const maps = page.locator('[data-tensor="value conv1"]');
    for (let i = 0; i < 80 && !(await maps.evaluate((m) => m === document.activeElement)); i++) await page.keyboard.press("Tab");
    assert.ok(await maps.evaluate((m) => m === document.activeElement), "Tab does not reach the maps");
    for (const key of ["Home", "PageDown", "PageDown", "ArrowDown", "ArrowRight", "ArrowRight"]) await page.keyboard.press(key);
    await page.locator("[aria-live]").filter({ hasText: "conv1[2, 1, 2] =" }).waitFor();
    await page.keyboard.press("Enter");
    await page.locator('article[data-cell="value conv1 2,1,2"][aria-busy="false"]').waitFor();
    await closePage();
  });
});

for (const name of ["nguyen", "grishin", "residual"]) {
  test(`the hand-out of ${name} opens from disk and holds the same numbers`, async (t) => {
    const server = await serve(name);
    t.after(server.stop);
    const { page, close: closePage } = await open(browser, server.address);
    page.setDefaultTimeout(60_000);
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "hand-out" }).click()]);
    assert.equal(download.suggestedFilename(), `${name}.html`);
    const folder = mkdtempSync(join(tmpdir(), "pellucid-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const path = join(folder, `${name}.html`);
    await download.saveAs(path);
    const size = statSync(path).size;
    assert.ok(size < 6_000_000, `${size} bytes`);
    const { page: disk, faults, close: closeDisk } = await open(browser, pathToFileURL(path).href);
    const largest = new Map();
    for (const { what, node, value } of server.expected) {
      const array = `${what} ${node}`;
      largest.set(array, Math.max(largest.get(array) ?? 0, Math.abs(value)));
    }
    let whole = 0;
    for (const { what, node, index, value } of server.expected) {
      const found = await cell(disk, what, node, index);
      const without = await disk.getByText("no room for the sum").count();
      // In a large hand-out, numbers of arrays are rounded; those of cells never are.
      if (without && name === "residual") assert.ok(Math.abs(found.value - value) <= 0.006 * largest.get(`${what} ${node}`) + 0.05 * Math.abs(value));
      else close(found.value, value, 1e-6, `${what} ${node} ${index}`);
      if (!without) assert.ok(Math.abs(found.total - value) <= 2e-4 * Math.max(1e-3, Math.abs(value)), `sum of ${what} ${node} ${index}`);
      whole += without ? 0 : 1;
    }
    assert.ok(whole >= server.expected.length / 6, `${whole} of ${server.expected.length} cells have their sum`);

    await disk.locator('[data-door="loss loss "]').click();
    close((await shown(disk, "loss loss ")).value, server.loss, 1e-6, "J");
    await disk.locator('button.factor[data-link^="sample_loss loss"]').first().click();
    await disk.locator('button.factor[data-link^="prediction loss"]').first().click();
    await disk.locator('article[data-cell^="prediction loss"] .terms').waitFor();
    assert.equal(await disk.getByText("no room for the sum").count(), 0);

    await view(disk, "forward");
    const first = disk.locator('.tensor:has(circle.held):not(:has([data-tensor="value input"]))').first();
    await first.scrollIntoViewIfNeeded();
    await disk.waitForTimeout(800); // the flow glides to the cell that was opened last
    await first.scrollIntoViewIfNeeded();
    const dot = await first.locator("circle.held").first().boundingBox();
    await disk.mouse.click(dot.x + dot.width / 2, dot.y + dot.height / 2);
    await disk.locator('article[aria-busy="false"] .terms').waitFor();
    await picture(disk, `handout-${name}`);
    for (const shownAs of ["forward", "backward", "parameters"]) await view(disk, shownAs);
    assert.deepEqual(faults, []);
    await closeDisk();
    await closePage();
  });
}

describe("grishin, with batch norm", () => {
  let server;
  before(async () => (server = await serve("grishin")));
  after(() => server?.stop());

  for (const [what, node, width] of [["value", "bn1", 1366], ["delta", "conv1", 1366], ["delta", "conv1", 1180], ["delta", "conv1", 390]]) {
    test(`the formula of ${what} ${node} has room, ${width} wide`, async () => {
      const { page, close: closePage } = await open(browser, server.address, { viewport: { width, height: 768 } });
      await cell(page, what, node, [0, 2, 2]);
      await page.evaluate(() => document.fonts.ready);
      await page.waitForTimeout(200);
      const { wide, room, equals } = await page.locator(".display").evaluate((box) => ({
        wide: box.scrollWidth, room: box.clientWidth, equals: box.querySelectorAll(".katex-html .mrel").length,
      }));
      assert.ok(wide <= room, `${wide} > ${room}`);
      assert.equal(equals, what === "value" ? 4 : 1); // nothing of it is lost
      await picture(page, `formula-${what}-${width}`);
      await closePage();
    });
  }
});

test("fifty layers: folded at first, unfolded by a click", async (t) => {
  const server = await serve("resnet50");
  t.after(server.stop);
  const { page, faults, close: closePage } = await open(browser, server.address);
  const cards = page.locator(".card");
  const folded = await cards.count();
  assert.ok(folded < 20, `${folded} cards at first`);
  await picture(page, "resnet50");
  await page.getByRole("button", { name: "unfold" }).first().click();
  assert.ok((await cards.count()) > folded);
  await cell(page, "value", "conv1", [0, 5, 5]);
  assert.deepEqual(faults, []);
  await closePage();
});

const JOINTS = [["residual", "layer1.0.bn2", "layer1.0.add", 2], ["googlenet", "inception3a.branch1.conv", "inception3a.concat", 4]];
for (const [name, inside, joint, branches] of JOINTS) {
  test(`${name} unfolded: every branch has its arrow, and none runs through a card`, async (t) => {
    const server = await serve(name);
    t.after(server.stop);
    const { page, faults, close: closePage } = await open(browser, server.address, { viewport: { width: 1366, height: 900 } });
    await page.evaluate((node) => (location.hash = `value/${node}/0,0,0`), inside);
    await page.locator(`[data-item="${joint}"]`).waitFor();
    await page.waitForTimeout(500);
    const { arrows, crossed } = await page.evaluate((node) => {
      const cards = [...document.querySelectorAll("[data-item]")].map((c) => ({ id: c.dataset.item, box: c.getBoundingClientRect() }));
      const paths = [...document.querySelectorAll(".edges path[data-ends]")];
      const crossed = paths.flatMap((path) => {
        const [, from, to] = cards.reduce((found, { id }) =>
          path.dataset.ends.startsWith(`${id} `) && cards.some((c) => path.dataset.ends === `${id} ${c.id}`)
            ? ["", id, path.dataset.ends.slice(id.length + 1)] : found, []);
        const frame = path.ownerSVGElement.getBoundingClientRect();
        const points = Array.from({ length: 200 }, (_, i) => path.getPointAtLength((path.getTotalLength() * i) / 199));
        return cards
          .filter(({ id, box }) => id !== from && id !== to && points.some(({ x, y }) =>
            x + frame.x > box.left && x + frame.x < box.right && y + frame.y > box.top && y + frame.y < box.bottom))
          .map(({ id }) => `${path.dataset.ends} through ${id}`);
      });
      return { arrows: paths.filter((p) => p.dataset.ends.endsWith(` ${node}`)).length, crossed };
    }, joint);
    assert.equal(arrows, branches);
    assert.deepEqual(crossed, []);
    await picture(page, `${name}-unfolded`);
    assert.deepEqual(faults, []);
    await closePage();
  });
}
