// Usage: inspector.mjs [FOLDER]. Drops the digits CNN and 2,000 digits on the inspector in Chromium, and compares its
// exports with Node's numbers. Screenshots (wide, 360 px, dark) go to FOLDER.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { loadDigits } from "../../dist/examples/digits/data.js";
import { network } from "../../dist/examples/digits/network.js";
import { attribution, losses, perSample, saveModel, want } from "../../dist/src/index.js";
import { encodeNpz } from "../../dist/src/io/npz.js";
import { encodeSafetensors } from "../../dist/src/io/safetensors.js";
import { png } from "../../dist/src/report/png.js";
import { pickSamples } from "../../dist/src/tensor/take-samples.js";
import { buildInspector, serve } from "../../inspector/build.mjs";
import { testOddFiles, testOffline } from "./mishaps.mjs";

const count = 2000;
const options = { loss: losses.crossEntropy() };

function require(condition, what) {
  if (!condition) throw new Error(what);
}

/** Writes the digits CNN and 2,000 digits; returns them with Node's results. */
export async function digitsIn(folder) {
  const digits = await loadDigits();
  const chosen = Array.from({ length: count }, (_, n) => n * 5);
  const data = { x: pickSamples(digits.x, 0, chosen), target: pickSamples(digits.target, 0, chosen) };
  const model = network(1);
  await saveModel(model, join(folder, "digits.onnx"));
  writeFileSync(join(folder, "digits.safetensors"), encodeSafetensors(data));
  const program = await perSample(model, { ...options, want: { norms: want.norms(), losses: want.losses() } });
  const results = await program.runAll(data);
  await program.release();
  return { model, data, norms: results.norms.total.data, losses: results.losses.data };
}

/** @returns the page's download, as text */
async function downloaded(page, button) {
  const [offered] = await Promise.all([page.waitForEvent("download"), page.click(button)]);
  return readFileSync(await offered.path());
}

function worst(found, expected) {
  return found.reduce((most, each, n) => Math.max(most, Math.abs(each - expected[n]) / Math.abs(expected[n])), 0);
}

/** The page's content when the first samples appear, how long that took, and its content at the end. */
async function measured(page, folder, names) {
  const began = Date.now();
  await page.setInputFiles(
    "#files",
    names.map((name) => join(folder, name)),
  );
  await page.waitForSelector("#cards li, #problem:not(:empty)", { timeout: 60_000 });
  require((await page.textContent("#problem")) === "", await page.textContent("#problem"));
  const first = Date.now() - began;
  const early = await page.textContent("#summary");
  await page.waitForSelector("#results:not([aria-busy]), #problem:not(:empty)", { timeout: 60_000 });
  require((await page.textContent("#problem")) === "", await page.textContent("#problem"));
  return { first, early, all: Date.now() - began };
}

const axe = readFileSync(new URL("../../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

async function accessible(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const found = violations.map(({ id, nodes: [{ target }] }) => `${id} at ${target}`);
  require(found.length === 0, found.join("; "));
}

/** Smooth data of a small model, as a table: the last column is the target. */
const csv = `a,b,label\n${Array.from({ length: 40 }, (_, n) => `${Math.sin(n)},${Math.cos(2 * n)},${n % 2}`).join("\n")}\n`;

/** @param tell is called with each test's name, and with its problem if it has one */
export async function testInspector(browser, tell, screenshots) {
  const folder = mkdtempSync(join(tmpdir(), "pergrad-inspector-"));
  const built = await buildInspector(join(folder, "page"));
  const server = await serve(built, 0);
  const attempt = async (name, action) => {
    try {
      tell(`inspector: ${name}${(await action()) ?? ""}`);
    } catch (error) {
      tell(`inspector: ${name}`, error.message);
    }
  };
  try {
    const digits = await digitsIn(folder);
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    const complaints = [];
    const address = `http://127.0.0.1:${server.address().port}/`;
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("request", (request) => {
      if (!request.url().startsWith(address) && !/^(blob|data):/.test(request.url())) complaints.push(request.url());
    });
    const shoot = async (name) =>
      screenshots && page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true });
    await page.goto(address);
    // A user who drops files takes longer than this.
    await page.waitForLoadState("networkidle");
    await shoot("empty");
    await attempt("2,000 digits are measured with Node's numbers", async () => {
      const { first, early, all } = await measured(page, folder, ["digits.onnx", "digits.safetensors"]);
      require(/^\d+ of 2000 samples so far/.test(early), `the first that is shown is "${early}"`);
      const [header, ...lines] = String(await downloaded(page, "#csv"))
        .trim()
        .split("\n")
        .map((line) => line.split(","));
      require(header.slice(0, 5).join() === "sample,class,predicted,loss,norm", header.join());
      const column = (k) => lines.map((line) => Number(line[k]));
      require(lines.length === count, `${lines.length} rows`);
      require(worst(column(3), digits.losses) < 1e-5, `losses differ by ${worst(column(3), digits.losses)}`);
      // At a tie of a ReLU or a maximum, the two runtimes may choose different sides.
      const errors = column(4).map((each, n) => Math.abs(each - digits.norms[n]) / digits.norms[n]);
      const far = errors.filter((each) => each > 1e-5).length;
      require(far <= count / 200 && Math.max(...errors) < 1e-2, `${far} norms differ, by up to ${Math.max(...errors)}`);
      const largest = digits.norms.indexOf(Math.max(...digits.norms));
      require((await page.textContent("#cards li")).includes(`#${largest} `), "the largest norm is not first");
      return `, first shown after ${(first / 1000).toFixed(1)} s, all after ${(all / 1000).toFixed(1)} s`;
    });
    await shoot("wide");
    await attempt("cards follow what is chosen", async () => {
      await page.selectOption("#class", "7");
      await page.selectOption("#order", "1");
      const own = [...digits.norms.keys()].filter((n) => digits.data.target.data[n] === 7n);
      const least = own.reduce((best, n) => (digits.norms[n] < digits.norms[best] ? n : best), own[0]);
      require((await page.textContent("#cards li")).includes(`#${least} `), "the smallest norm is not first");
      const others = await page.locator("#cards li", { hasNotText: "class 7" }).count();
      require(others === 0, "other classes are shown");
    });
    await attempt("more cards, as many as there are", async () => {
      const shown = async () => [await page.locator("#cards li").count(), await page.textContent("#shown")].join(": ");
      const sevens = digits.data.target.data.filter((label) => label === 7n).length;
      require((await shown()) === `24: 24 of ${sevens} samples are shown.`, await shown());
      await page.focus("#more");
      await page.keyboard.press("Enter");
      require((await shown()) === `48: 48 of ${sevens} samples are shown.`, await shown());
      const at = await page.evaluate(() =>
        [...document.querySelectorAll("#cards li")].findIndex((each) => each.contains(document.activeElement)),
      );
      require(at === 24, `the focus is on card ${at}`);
      while (await page.locator("#more").isVisible()) await page.click("#more");
      require((await shown()) === `${sevens}: ${sevens} of ${sevens} samples are shown.`, await shown());
    });
    await attempt("what taught a sample is what Node finds", async () => {
      await page.focus("#cards li:first-child button");
      await page.keyboard.press("Enter");
      await page.waitForSelector("#attribution:not([hidden])", { timeout: 60_000 });
      const [, query] = /Sample (\d+)/.exec(await page.textContent("#query"));
      const one = Object.fromEntries(
        Object.entries(digits.data).map(([name, each]) => [name, pickSamples(each, 0, [Number(query)])]),
      );
      const { scores } = await attribution.scores(digits.model, digits.data, one, { ...options, method: "gradDot" });
      const [best] = [...scores.data.keys()]
        .filter((n) => n !== Number(query))
        .sort((a, b) => scores.data[b] - scores.data[a]);
      require((await page.textContent("#helpful li")).includes(`#${best} `), "another sample is first");
      const focused = await page.evaluate(() => document.activeElement.id);
      require(focused === "attribution-title", `the focus is on ${focused}`);
    });
    await attempt("a comparison can be cancelled, and begun again", async () => {
      await page.evaluate(() => {
        document.querySelector("#cards li button").click();
        document.querySelector("#cancel").click();
      });
      await page.waitForFunction(() => document.querySelector("#status").textContent === "Cancelled.");
      require(await page.isHidden("#progress"), "the bar is still shown");
      require((await page.textContent("#problem")) === "", await page.textContent("#problem"));
      await page.click("#cards li:nth-child(2) button");
      await page.waitForFunction(() => document.querySelector("#status").textContent === "", null, { timeout: 60_000 });
      const query = await page.textContent("#cards li:nth-child(2) .content");
      require((await page.textContent("#query")).startsWith(`Sample ${/#(\d+)/.exec(query)[1]} `), query);
    });
    await attempt("the exported program is an ONNX file that says what it is", async () => {
      const bytes = await downloaded(page, "#program");
      require(bytes.includes("pergrad.runtime"), "it holds no metadata of pergrad");
    });
    await attempt("axe finds nothing that a screen reader misses", () => accessible(page));
    await page.emulateMedia({ colorScheme: "dark" });
    await page.waitForTimeout(200);
    await shoot("dark");
    await attempt("axe finds nothing in the dark either", () => accessible(page));
    await attempt("fits a phone of 360 px", async () => {
      await page.setViewportSize({ width: 360, height: 740 });
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      require(width <= 360, `the page is ${width} px wide`);
      const cut = await page.evaluate(() =>
        [...document.querySelectorAll("#model table, #rest table, .cards li")]
          .filter((each) => each.getBoundingClientRect().right > 360 || each.scrollWidth > each.clientWidth + 1)
          .map((each) => each.textContent.slice(0, 40)),
      );
      require(cut.length === 0, `cut at the right: ${cut.join("; ")}`);
    });
    await page.emulateMedia({ colorScheme: "light" });
    await page.waitForTimeout(200);
    await shoot("phone");
    await page.setViewportSize({ width: 1280, height: 900 });
    await attempt("says what is wrong with a file, in the words of pergrad", async () => {
      writeFileSync(join(folder, "broken.onnx"), "no model");
      await page.setInputFiles("#files", join(folder, "broken.onnx"));
      await page.waitForSelector("#problem:not(:empty)");
      require(/broken\.onnx/.test(await page.textContent("#problem")), await page.textContent("#problem"));
    });
    await attempt("a table", async () => {
      const { nn } = await import("../../dist/src/index.js");
      await saveModel(nn.model(nn.sequential(nn.linear(2, 8), nn.tanh(), nn.linear(8, 2))), join(folder, "small.onnx"));
      writeFileSync(join(folder, "small.csv"), csv);
      await measured(page, folder, ["small.onnx", "small.csv"]);
      require(/a: .*b: /.test(await page.textContent("#cards li")), await page.textContent("#cards li"));
    });
    await attempt("texts beside numbers, and classes by their names", async () => {
      const lines = Array.from(
        { length: 40 },
        (_, n) => `${Math.sin(n)},${Math.cos(n)},"Dear ${n}, ""hello""",${n % 2 ? "spam" : "ham"}`,
      );
      writeFileSync(join(folder, "texts.csv"), `a,b,text,label\n${lines.join("\n")}\n`);
      await measured(page, folder, ["small.onnx", "texts.csv"]);
      const [card, summary] = [await page.textContent("#cards li"), await page.textContent("#summary")];
      require(/class (ham \(0\)|spam \(1\))/.test(card) && /Dear \d+, "hello"/.test(card), card);
      require(summary.includes("Classes: 0 ham, 1 spam."), summary);
      require((await page.textContent("#classes")).includes("spam (1)"), await page.textContent("#classes"));
      await page.selectOption("#class", { label: "spam (1)" });
      require((await page.locator("#cards li", { hasNotText: "spam" }).count()) === 0, "other classes are shown");
      await shoot("texts");
      await attempt("axe finds nothing among texts", () => accessible(page));
    });
    await attempt("one-hot labels are the same labels, and classes.txt names them", async () => {
      const own = pickSamples(digits.data.x, 0, [...Array(64).keys()]);
      const labels = [...digits.data.target.data.subarray(0, 64)].map(Number);
      const hot = new Float32Array(64 * 10);
      for (const [n, label] of labels.entries()) hot[10 * n + label] = 1;
      const target = { dtype: "float32", dims: [64, 10], data: hot };
      writeFileSync(join(folder, "hot.safetensors"), encodeSafetensors({ x: own, target }));
      writeFileSync(join(folder, "classes.txt"), "zero\none\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n");
      await measured(page, folder, ["digits.onnx", "hot.safetensors", "classes.txt"]);
      require((await page.inputValue("[name=loss]")) === "cross_entropy", await page.inputValue("[name=loss]"));
      const [, ...lines] = String(await downloaded(page, "#csv"))
        .trim()
        .split("\n");
      const rows = lines.map((line) => line.split(",").map(Number));
      require(rows.every(([n, label]) => label === labels[n]), "other classes");
      require(worst(
        rows.map((row) => row[3]),
        digits.losses,
      ) < 1e-5, "other losses");
      const names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
      const [, n] = /#(\d+)/.exec(await page.textContent("#cards li"));
      require((await page.textContent("#cards li")).includes(
        `class ${names[labels[n]]} (${labels[n]})`,
      ), await page.textContent("#cards li"));
    });
    await attempt("an .npz file", async () => {
      writeFileSync(join(folder, "digits.npz"), encodeNpz(new Map(Object.entries(digits.data))));
      await page.selectOption("#order", "-1");
      await measured(page, folder, ["digits.onnx", "digits.npz"]);
      const largest = digits.norms.indexOf(Math.max(...digits.norms));
      require((await page.textContent("#cards li")).includes(`#${largest} `), await page.textContent("#cards li"));
    });
    await attempt("images, of the classes that their names begin with", async () => {
      const names = [3, 5, 5].map((label, n) => `${label}-${n}.png`);
      const pixels = digits.data.x.data;
      const size = pixels.length / count;
      for (const [n, name] of names.entries()) {
        const own = Uint8Array.from(pixels.subarray(n * size, (n + 1) * size), (x) => Math.round(255 * Math.max(0, x)));
        writeFileSync(join(folder, name), png(own, Math.sqrt(size), Math.sqrt(size), 1));
      }
      await measured(page, folder, ["digits.onnx", ...names]);
      const cards = await page.locator("#cards li").allTextContents();
      require(cards.length === 3 && cards.filter((card) => card.includes("class 5")).length === 2, cards.join("; "));
      require((await page.locator("#cards li canvas:visible").count()) === 3, "their pictures are not shown");
    });
    await attempt("says that data without samples has none", async () => {
      const { tensor, writeTensors } = await import("../../dist/src/index.js");
      const target = tensor("int64", [0], new BigInt64Array());
      const none = { x: tensor("float32", [0, 2], new Float32Array()), target };
      await writeTensors(join(folder, "none.safetensors"), none);
      await page.goto(page.url());
      await page.setInputFiles("#files", [join(folder, "small.onnx"), join(folder, "none.safetensors")]);
      await page.waitForSelector("#problem:not(:empty)");
      require(/holds no samples/.test(await page.textContent("#problem")), await page.textContent("#problem"));
    });
    await testOddFiles(page, folder, attempt);
    await testOffline(browser, built, folder, attempt);
    tell("inspector: no error on the console, no request to anybody else", complaints.join("; "));
    await page.close();
  } finally {
    server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1]?.endsWith("inspector.mjs")) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox"],
  });
  const tell = (name, problem) =>
    console.log(`${problem ? "failed" : "passed"}: ${name}${problem ? ` (${problem})` : ""}`);
  await testInspector(browser, tell, process.argv[2]);
  await browser.close();
}
