// Every view of every kind of network, and the numbers in the panel against Network.trace.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { cell, close, colours, launch, open, picture, serve, shown, view } from "./harness.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

for (const name of ["digits", "nguyen", "grishin", "residual"]) {
  describe(name, () => {
    let server, page, faults, closePage;
    before(async () => {
      server = await serve(name);
      ({ page, faults, close: closePage } = await open(browser, server.address));
    });
    after(async () => {
      await closePage?.();
      await server?.stop();
    });

    for (const shownAs of ["forward", "backward", "parameters"]) {
      test(`${shownAs} draws what is on the screen`, async () => {
        await view(page, shownAs);
        if (name === "residual" && shownAs === "parameters") await page.getByRole("button", { name: "unfold" }).first().click();
        const canvas = page.locator(".flow canvas").first();
        await canvas.waitFor();
        await page.waitForFunction((c) => c.width > 1 && c.getContext("2d").getImageData(0, 0, 1, 1).data[3] > 0, await canvas.elementHandle());
        assert.ok((await colours(canvas)) > 1, "the drawing is empty");
        await picture(page, `${name}-${shownAs}`);
      });
    }

    test("the panel's numbers are those of Network.trace, and its sums come to them", async () => {
      for (const { what, node, index, value } of server.expected) {
        const found = await cell(page, what, node, index);
        close(found.value, value, 1e-6, `${what} ${node} ${index}`);
        close(plainNumber(found.text), value, 1e-5, `as printed, ${what} ${node} ${index}`);
        if (found.total !== null) assert.ok(Math.abs(found.total - value) <= 2e-4 * Math.max(1e-3, Math.abs(value)), `sum of ${what} ${node} ${index}: ${found.total}, not ${value}`);
      }
    });

    test("a click on a map opens the cell under it and lights up what it reads", async () => {
      await view(page, "forward");
      const node = name === "residual" ? "conv1" : server.expected[0].node;
      const maps = page.locator(`[data-tensor="value ${node}"]`);
      await maps.scrollIntoViewIfNeeded();
      await maps.click({ position: { x: 9, y: 9 } });
      await page.locator(`article[data-cell^="value ${node} 0,"][aria-busy="false"] .result`).waitFor();
      await page.locator('[data-tensor="value input"] rect.reads').first().waitFor({ state: "attached" });
    });

    test("the cell of a click is the pixel that is drawn there", async () => {
      const [, rows, columns] = server.input;
      const image = page.locator('[data-tensor="value input"]');
      await image.scrollIntoViewIfNeeded();
      const { width, height } = await image.boundingBox();
      await image.click({ position: { x: 0.7 * width, y: 0.2 * height } });
      await shown(page, `value input 0,${Math.floor(0.2 * rows)},${Math.floor(0.7 * columns)}`);
    });

    test("in backward the loss shows its own difference, and each number opens", async () => {
      await view(page, "backward");
      const last = server.expected.at(-1).node;
      for (const { index, value } of server.expected.filter((e) => e.node === last && e.what === "delta")) {
        const door = page.locator(`[data-door="delta ${last} ${index}"]`);
        close(plainNumber((await door.locator("b").innerText())), value, 1e-3, `on the card, ${index}`);
        await door.click();
        const found = await shown(page, `delta ${last} ${index}`);
        close(found.value, value, 1e-6, `opened, ${index}`);
      }
    });

    test("from the loss to a pixel, one click a layer", async () => {
      await page.locator('[data-door="loss loss "]').click();
      const loss = await shown(page, "loss loss ");
      close(loss.value, server.loss, 1e-6, "J");
      close(loss.total, server.loss, 1e-5, "the sum of the samples' losses");
      for (let clicks = 0; clicks < 200; clicks++) {
        const article = page.locator('article[aria-busy="false"]');
        const here = await article.getAttribute("data-cell");
        if (here.startsWith("value input ")) break;
        // The numbers that were multiplied lead a layer down; under the loss they are p and what p is made of.
        const next = await article.locator("button.factor").evaluateAll((buttons) => {
          const ways = [/^value /, /^sample_loss /, /^prediction /, /^inner .*normalized/, /^inner /, /^share /, /^delta /];
          return ways.map((way) => buttons.findIndex((b) => way.test(b.dataset.link))).find((place) => place >= 0);
        });
        assert.notEqual(next, undefined, `no way on from ${here}`);
        await article.locator("button.factor").nth(next).click();
        await page.waitForFunction((before) => document.querySelector("article[aria-busy='false']")?.dataset.cell !== before, here);
      }
      const end = await page.locator("article").getAttribute("data-cell");
      assert.match(end, /^value input /);
      const pixel = await shown(page, end);
      assert.ok(Number.isFinite(pixel.value));
    });

    test("no errors on the console, and nothing asked from elsewhere", () => assert.deepEqual(faults, []));
  });
}

/** Return the number that the page prints. */
const plainNumber = (text) => Number(text.replace("−", "-").replace(/·10(.*)/, (_, e) => `e${plain(e)}`));
const plain = (raised) => [...raised].map((c) => (c === "⁻" ? "-" : "⁰¹²³⁴⁵⁶⁷⁸⁹".indexOf(c))).join("");
