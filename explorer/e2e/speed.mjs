// How long it takes from a click to the panel of its cell: `npm run speed`. Measured, not tested: a machine may be busy.

import { cell, launch, open, serve, view } from "./harness.mjs";

const CLICKS = 25;

const browser = await launch();
for (const name of ["nguyen", "residual", "resnet50"]) {
  const server = await serve(name);
  const { page, close } = await open(browser, server.address);
  if (name !== "nguyen") await page.getByRole("button", { name: "unfold" }).first().click();
  for (const [what, shownAs] of [["value", "forward"], ["delta", "backward"]]) {
    await view(page, shownAs);
    await cell(page, what, "conv1", [0, 0, 0]);
    const times = await clicks(page, `${what} conv1`);
    const at = (share) => times[Math.floor(share * (CLICKS - 1))].toFixed(0);
    console.log(`${name}, ${shownAs}: ${at(0.5)} ms, the slowest of ${CLICKS} ${at(1)} ms`);
  }
  await close();
  await server.stop();
}
await browser.close();

/** Return the milliseconds from each click on another cell to its panel, in order. */
async function clicks(page, tensor) {
  const cells = page.locator(`[data-tensor="${tensor}"]`);
  await cells.locator("canvas").waitFor();
  await page.waitForTimeout(300);
  const times = [];
  for (let i = 0; i < CLICKS; i++) {
    times.push(await cells.evaluate(async (element, at) => {
      const box = element.getBoundingClientRect();
      const start = performance.now();
      const before = document.querySelector("article")?.dataset.cell;
      element.dispatchEvent(new MouseEvent("click", { bubbles: true, clientX: box.x + at, clientY: box.y + 30 }));
      for (;;) {
        const article = document.querySelector("article[aria-busy='false']");
        if (article && article.dataset.cell !== before && article.querySelector(".result")) return performance.now() - start;
        await new Promise((turn) => requestAnimationFrame(turn));
      }
    }, 5 + 9 * (i % 2) + 0.1 * i));
  }
  return times.sort((a, b) => a - b);
}
