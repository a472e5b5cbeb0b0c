// The tour of docs/explorer.md, with the network of the README: from the loss to the pixel in seven clicks.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { launch, open, picture, PYTHON, shown, view } from "./harness.mjs";

const README = fileURLToPath(new URL("../../README.md", import.meta.url));
/** Runs the README's first example, which saves digits.safetensors, where it is called. */
const EXAMPLE = `import re; exec(re.search(r"\`\`\`python\\n(.*?)\`\`\`", open(${JSON.stringify(README)}).read(), re.S)[1])`;
const EXPLORE = "from pellucid.cli import app; app()";

let folder, server, browser, page, faults, closePage;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "pellucid-"));
  execFileSync(PYTHON, ["-c", EXAMPLE], { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
  const asked = ["explore", "digits.safetensors", "--data", "digits", "--index", "2", "--no-browser", "--port", "0"];
  server = spawn(PYTHON, ["-u", "-c", EXPLORE, ...asked], { cwd: folder, stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(createInterface({ input: server.stdout }), "line");
  browser = await launch();
  ({ page, faults, close: closePage } = await open(browser, line.split(" ")[0]));
});
after(async () => {
  await closePage?.();
  await browser?.close();
  server.kill("SIGINT");
  await once(server, "exit");
  rmSync(folder, { recursive: true });
});

/** Click a cell of a map or a bar of a vector, where the keyboard finds it. */
async function click(node, index) {
  const cells = page.locator(`[data-tensor="delta ${node}"]`);
  await page.mouse.move(0, 0); // a map that scrolls under the mouse would take the cursor to where it is
  await cells.scrollIntoViewIfNeeded();
  await cells.focus();
  await page.keyboard.press("Home");
  const keys = index.length === 1 ? ["ArrowDown"] : ["PageDown", "ArrowDown", "ArrowRight"];
  for (const [axis, key] of keys.entries()) for (let i = 0; i < index[axis]; i++) await page.keyboard.press(key);
  const cursor = await cells.locator("rect.cursor").evaluate(({ x, y, width, height }) => ({
    x: x.baseVal.value + width.baseVal.value / 2,
    y: y.baseVal.value + height.baseVal.value / 2,
  }));
  await cells.click({ position: cursor });
  return shown(page, `delta ${node} ${index.join(",")}`);
}

/** The numbers that the panel's terms are made of, by where they lead. */
const doors = () => page.locator("article button.factor").evaluateAll((all) => all.map((door) => door.dataset.link));

test("the loss, opened", async () => {
  await picture(page, "forward");
  await view(page, "backward");
  await page.locator('[data-door="loss loss "]').click();
  assert.equal((await shown(page, "loss loss ")).value.toFixed(3), "1.113");
  await picture(page, "loss");
});

test("its own difference at the right class", async () => {
  await page.locator('[data-door="delta 4 9"]').click();
  const found = await shown(page, "delta 4 9");
  assert.equal(found.value.toFixed(3), "-0.671");
  assert.ok((await doors()).includes("prediction loss 9"));
  await picture(page, "difference");
});

for (const [what, node, index, value, from] of [
  ["flatten: the weights, the other way round", "3", [50], "-0.671", "delta 4 9"],
  ["max pool: where each went", "2", [5, 1, 2], "-0.671", "delta 3 50"],
  ["ReLU: the one that won its window", "1", [5, 3, 4], "-0.671", "delta 2 5,1,2"],
  ["convolution: it was positive", "0", [5, 3, 4], "-0.671", "delta 1 5,3,4"],
  ["the pixel: the filters, turned", "input", [0, 3, 5], "-2.660", "delta 0 5,3,4"],
]) {
  test(what, async () => {
    const found = await click(node, index);
    assert.equal(found.value.toFixed(3), value);
    assert.equal(found.total.toFixed(3), value);
    assert.ok((await doors()).includes(from), `${from} is not among the terms`);
    await picture(page, `delta-${node}`);
  });
}

test("the pixel, nudged: a line and the truth", async () => {
  await page.getByRole("button", { name: "Nudge it" }).click();
  const slider = page.locator('.nudge input[type="range"]');
  await slider.waitFor();
  await slider.fill("32"); // 0.375 + 0.6
  const [predicted, exact] = await page.locator(".nudge tr td").evaluateAll((cells) => cells.slice(1, 3).map((cell) => cell.innerText));
  assert.equal(predicted.slice(0, 6), "−0.483");
  assert.equal(exact.slice(0, 5), "0.121");
  await picture(page, "nudge");
});

test("no errors on the way", () => assert.deepEqual(faults, []));
