// What changes the numbers: a sample, a drawing, a picture, a label, a nudge, and training.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { close, launch, open, picture, serve, shown, view } from "./harness.mjs";

let browser, server, page, faults, closePage;
before(async () => {
  browser = await launch();
  server = await serve("fresh");
  ({ page, faults, close: closePage } = await open(browser, server.address));
});
after(async () => {
  await closePage?.();
  await server?.stop();
  await browser.close();
});

const probabilities = () => page.locator("[data-probability]").evaluateAll((all) => all.map((e) => Number(e.dataset.probability)));
const revision = () => page.locator("[data-revision]").getAttribute("data-revision");
const changed = (before) => page.waitForFunction((b) => document.querySelector("[data-revision]").dataset.revision !== b, before);

test("another sample of the gallery gives another prediction", async () => {
  const [earlier, old] = [await revision(), await probabilities()];
  await page.getByRole("button", { name: /^sample 5,/ }).click();
  await changed(earlier);
  await page.getByText("test sample 5", { exact: true }).waitFor();
  assert.notDeepEqual(await probabilities(), old);
});

test("another label changes the loss to −ln of its probability", async () => {
  const earlier = await revision();
  await page.getByLabel("label", { exact: true }).selectOption("7");
  await changed(earlier);
  const loss = Number((await page.locator("[data-loss]").innerText()).replace("−", "-"));
  close(loss, -Math.log((await probabilities())[7]), 1e-4, "the loss");
});

test("a drawn digit gets a prediction", async () => {
  await page.getByRole("button", { name: "Draw", exact: true }).click();
  const pad = await page.locator(".drawing canvas").boundingBox();
  const [earlier, old] = [await revision(), await probabilities()];
  await page.mouse.move(pad.x + pad.width / 2, pad.y + 20);
  await page.mouse.down();
  await page.mouse.move(pad.x + pad.width / 2, pad.y + pad.height - 20, { steps: 8 });
  await page.mouse.up();
  await changed(earlier);
  await page.getByText("a drawing", { exact: true }).waitFor();
  const found = await probabilities();
  assert.notDeepEqual(found, old);
  close(found.reduce((a, b) => a + b), 1, 1e-5, "the sum of the probabilities");
  await picture(page, "drawing");
});

test("a digit drawn with the finger gets a prediction", async () => {
  const phone = await open(browser, server.address, { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  const touched = phone.page;
  await touched.getByRole("button", { name: "Draw", exact: true }).click();
  const pad = touched.locator(".pad");
  await pad.scrollIntoViewIfNeeded();
  const box = await pad.boundingBox();
  const scrolled = await touched.evaluate(() => scrollY);
  const earlier = await touched.locator("[data-revision]").getAttribute("data-revision");
  const finger = await touched.context().newCDPSession(touched);
  const touch = (type, at) => finger.send("Input.dispatchTouchEvent", {
    type, touchPoints: at === null ? [] : [{ x: box.x + box.width / 2, y: box.y + at * box.height }],
  });
  await touch("touchStart", 0.15);
  for (let i = 1; i <= 8; i++) await touch("touchMove", 0.15 + 0.09 * i);
  await touch("touchEnd", null);
  await touched.waitForFunction((b) => document.querySelector("[data-revision]").dataset.revision !== b, earlier);
  await touched.getByText("a drawing", { exact: true }).waitFor();
  assert.equal(await touched.evaluate(() => scrollY), scrolled, "the page scrolled under the finger");
  const rows = await inkedRows(touched);
  assert.ok(rows > 0.6 * box.height, `${rows} rows of ink`);
  await picture(touched, "phone-drawing");
  assert.deepEqual(phone.faults, []);
  await phone.close();
});

test("a digit drawn with the keys gets a prediction", async () => {
  const drawn = await revision();
  await page.getByRole("button", { name: "clear", exact: true }).click();
  await changed(drawn); // or the empty pad's answer would pass for that of the digit
  const earlier = await revision();
  await page.locator(".pad").focus();
  for (let i = 0; i < 5; i++) await page.keyboard.press("ArrowUp");
  assert.equal(await inkedRows(page), 0, "the pen was up");
  await page.keyboard.press("Space");
  await page.locator("[aria-live]").filter({ hasText: "the pen is down" }).waitFor();
  for (let i = 0; i < 10; i++) await page.keyboard.press("ArrowDown");
  assert.ok((await inkedRows(page)) > 60);
  await page.keyboard.press("Space");
  await changed(earlier);
  await page.getByText("a drawing", { exact: true }).waitFor();
});

/** Return how many rows of the pad have ink. */
function inkedRows(where) {
  return where.locator(".pad canvas").evaluate((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const inked = (row) => data.subarray(4 * canvas.width * row, 4 * canvas.width * (row + 1)).some((v, i) => i % 4 === 0 && v > 100);
    return Array.from({ length: canvas.height }, (_, row) => row).filter(inked).length;
  });
}

test("a picture from disk is taken in", async () => {
  const earlier = await revision();
  await page.locator('input[type="file"]').setInputFiles({ name: "dot.png", mimeType: "image/png", buffer: DOT });
  await changed(earlier);
  await page.getByText("a picture of yours", { exact: true }).waitFor();
});

test("what is no picture is refused in words", async () => {
  await page.locator('input[type="file"]').setInputFiles({ name: "x.png", mimeType: "image/png", buffer: Buffer.from("no") });
  await page.locator("p.wrong").waitFor();
  await page.locator("p.wrong button").click();
  const noted = faults.splice(0);
  assert.ok(noted.every((text) => /400/.test(text)), String(noted)); // Chromium logs every answer of 4xx
});

test("a nudged weight: the prediction is a tangent, and the check agrees", async () => {
  await view(page, "parameters");
  await page.evaluate(() => (location.hash = "parameter/conv1.weight/0,0,1,1"));
  await shown(page, "parameter conv1.weight 0,0,1,1");
  await page.route("**/api/nudge", async (route) => {
    await new Promise((turn) => setTimeout(turn, 400));
    await route.continue();
  });
  await page.getByRole("button", { name: "Nudge it" }).click();
  await page.locator('.nudge[aria-busy="true"] progress').waitFor();
  const slider = page.locator('.nudge input[type="range"]');
  await slider.waitFor();
  await page.getByLabel("range ±").selectOption("0.1");
  await page.locator('.nudge input[type="range"]:disabled').waitFor(); // not over the old range
  await page.locator('.nudge[aria-busy="false"]').waitFor();
  await page.unroute("**/api/nudge");
  const before = await page.locator('[data-nudge="true"]').innerText();
  await slider.fill("40");
  assert.notEqual(await page.locator('[data-nudge="true"]').innerText(), before);
  const error = (await page.locator('[data-nudge="error"]').innerText()).replace(/·10⁻/, "e-");
  assert.ok(error === "0" || /⁻|e-/.test(error) || Number(error) < 1e-3, error);
  await picture(page, "nudge");
});

test("twenty steps of training, and the loss falls", async () => {
  await page.getByRole("button", { name: "Train", exact: true }).click();
  await page.getByRole("button", { name: "20 steps" }).click();
  await page.locator('[data-step="20"]').waitFor();
  const said = await page.locator(".plot svg").first().getAttribute("aria-label");
  const path = await page.locator(".plot path.blue").first().getAttribute("d");
  const heights = [...path.matchAll(/[ML][\d.]+ ([\d.]+)/g)].map((m) => Number(m[1]));
  assert.equal(heights.length, 20);
  const mean = (part) => part.reduce((a, b) => a + b) / part.length;
  assert.ok(mean(heights.slice(-5)) > mean(heights.slice(0, 5)) + 20, `${said}: ${heights}`); // down is larger in SVG
  await picture(page, "train");
});

test("run, pause, reset", async () => {
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.waitForFunction(() => Number(document.querySelector("[data-step]").dataset.step) > 25);
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByRole("button", { name: "Run", exact: true }).waitFor();
  const at = await page.locator("[data-step]").getAttribute("data-step");
  await page.waitForTimeout(300);
  assert.equal(await page.locator("[data-step]").getAttribute("data-step"), at);
  await page.getByRole("button", { name: "Reset" }).click();
  await page.locator('[data-step="0"]').waitFor();
});

test("another optimizer comes with its learning rate, and takes a step", async () => {
  await page.getByLabel("optimizer").selectOption("adam");
  assert.equal(await page.getByLabel("learning rate").inputValue(), "0.001");
  await page.getByRole("button", { name: "One step" }).click();
  await page.locator('[data-step="1"]').waitFor();
});

test("the model can be kept", async () => {
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save" }).click()]);
  assert.equal(download.suggestedFilename(), "fresh.safetensors");
});

test("no errors on the console, and nothing asked from elsewhere", () => assert.deepEqual(faults, []));

const DOT = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAE0lEQVR4nGNgYGD4/58BAihgAAA+Jg/xjUjdkQAAAABJRU5ErkJggg==",
  "base64",
);
