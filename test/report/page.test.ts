/** A report in a browser: hover, sorting, search, filters, the keyboard, narrow and dark pages, and axe-core. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findIssues, losses, nn, sgd, train, writeReport } from "../../src/index.js";
import { reportContent } from "../../src/report/report.js";
import { writePage } from "../../src/report/write.js";
import { temporaryFolder } from "../support/folder.js";

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const samples = 120;
const [side, classes] = [8, 3];
const x = Float32Array.from({ length: samples * side * side }, (_, i) => {
  const n = Math.floor(i / (side * side));
  return Math.sin(i * i) + (i % (side * side) === 10 * (n % classes) ? 4 : 0);
});
const target = Array.from({ length: samples }, (_, n) => (n === 7 ? 0 : n % classes));
const data = { x, target };

interface Axe {
  run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }>;
}

describe.skipIf(!existsSync(executablePath))(`with Chromium at ${executablePath}`, () => {
  let browser: Browser;
  let address: string;
  let norms: number[];
  let folder = "";

  beforeAll(async () => {
    const network = nn.sequential(nn.linear(side * side, 8), nn.relu(), nn.linear(8, classes));
    const optimizer = sgd({ learningRate: 0.1 });
    const { model } = await train(network, data, {
      loss: "cross_entropy",
      optimizer,
      batchSize: 20,
      epochs: 8,
      seed: 1,
    });
    const { scores } = await findIssues(model, data, { loss: "cross_entropy", dims: 32 });
    folder = mkdtempSync(join(tmpdir(), "pergrad-report-"));
    const out = join(folder, "report.html");
    const ids = Array.from({ length: samples }, (_, n) => `<b>picture ${n}</b>`);
    const written = await writeReport(model, data, { loss: "cross_entropy", out, ids, scores });
    expect(written.map((path) => path.replace(/.*\./, ""))).toEqual(["html", "csv", "json"]);
    const { rows }: { rows: { norm: number }[] } = JSON.parse(readFileSync(written[2] ?? "", "utf8"));
    norms = rows.map(({ norm }) => norm);
    address = pathToFileURL(out).href;
    browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  });

  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A page that asks for nothing but itself, and whose script does not fail. */
  async function opened(options: Parameters<Browser["newPage"]>[0] = {}): Promise<Page> {
    const page = await browser.newPage(options);
    const problems: string[] = [];
    page.on("pageerror", ({ message }) => problems.push(message));
    page.on("request", (request) => {
      if (!request.url().startsWith("data:") && request.url() !== address) problems.push(request.url());
    });
    await page.goto(address);
    await page.waitForSelector("#list li");
    expect(problems).toEqual([]);
    return page;
  }

  const names = (page: Page) => page.locator("#list .name").allTextContents();

  test("samples are sorted, filtered and searched, with the keyboard alone", async () => {
    const page = await opened();
    await page.getByLabel("Sort by").focus();
    await page.getByLabel("Sort by").selectOption("norm");
    const order = norms.map((_, n) => n).sort((a, b) => (norms[b] ?? 0) - (norms[a] ?? 0));
    // Names are shown as they are, not as HTML.
    expect(await names(page)).toEqual(order.slice(0, 40).map((n) => `<b>picture ${n}</b>`));
    await page.getByLabel("Order").selectOption("rising");
    expect((await names(page))[0]).toBe(`<b>picture ${order.at(-1)}</b>`);
    await page.locator("select[name=label]").selectOption("1");
    expect(await page.locator("#found").textContent()).toMatch(/^39 of 120 samples/);
    await page.locator("select[name=label]").selectOption("");
    await page.getByLabel("Search").focus();
    await page.keyboard.type("picture 11");
    expect((await names(page)).sort()).toEqual(
      ["11", "110", "111", "112", "113", "114", "115", "116", "117", "118", "119"]
        .map((n) => `<b>picture ${n}</b>`)
        .sort(),
    );
    await page.getByLabel("Search").fill("");
    await page.locator("#more").focus();
    await page.keyboard.press("Enter");
    expect(await names(page)).toHaveLength(80);
    await page.close();
  });

  test("samples without a label are neither right nor wrong, and there is no class -1", async () => {
    const out = join(folder, "ignored.html");
    const some = target.map((label, n) => (n % 10 === 0 ? -1 : label));
    const loss = losses.crossEntropy({ ignoreIndex: -1 });
    await writeReport(nn.model(nn.linear(side * side, classes), { seed: 1 }), { x, target: some }, { loss, out });
    const page = await browser.newPage();
    await page.goto(pathToFileURL(out).href);
    await page.waitForSelector("#list li");
    expect(await page.locator("select[name=label] option").allTextContents()).toEqual(["all", "none", "0", "1", "2"]);
    const found = async () => Number((await page.locator("#found").textContent())?.split(" ")[0]);
    const counts: number[] = [];
    for (const kind of ["right", "wrong", ""]) {
      await page.locator("select[name=kind]").selectOption(kind);
      counts.push(await found());
    }
    const [right = 0, wrong = 0] = counts;
    expect([right + wrong, counts[2]]).toEqual([108, 120]);
    await page.locator("select[name=label]").selectOption("-1");
    expect(await found()).toBe(12);
    expect(await page.locator("#list em").count()).toBe(0);
    expect(await page.locator("#list li").first().textContent()).toContain("label none, predicted");
    await page.close();
  });

  test("a point of the chart tells its sample when it is hovered over, and brings it into the list", async () => {
    const page = await opened({ viewport: { width: 1000, height: 900 } });
    const chart = page.locator("#against");
    await chart.scrollIntoViewIfNeeded();
    const box = await chart.boundingBox();
    if (!box) throw new Error("the chart has no place");
    let told = "";
    search: for (let y = 40; y < box.height - 50; y += 4)
      for (let dx = 70; dx < box.width - 20; dx += 6) {
        await page.mouse.move(box.x + dx, box.y + y);
        told = (await chart.locator("div").last().textContent()) ?? "";
        if (!told.includes("norm")) continue;
        await page.mouse.click(box.x + dx, box.y + y);
        break search;
      }
    const [, n] = /<b>picture (\d+)<\/b>label \d, predicted \d.*norm [\d.]+/.exec(told) ?? [];
    expect(n).toBeDefined();
    expect(await page.locator("#list .chosen .name").textContent()).toBe(`<b>picture ${n}</b>`);
    await page.close();
  });

  test.each([
    ["wide", { viewport: { width: 1200, height: 900 } }],
    ["narrow", { viewport: { width: 360, height: 740 } }],
    ["dark", { colorScheme: "dark" }],
  ] as const)("a %s page fits, and axe-core finds nothing", async (_, options) => {
    const page = await opened(options);
    expect(await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")).toBe(true);
    await page.evaluate(axe);
    const { violations } = await page.evaluate<Awaited<ReturnType<Axe["run"]>>>("axe.run()");
    expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)).toEqual([]);
    // A picture has as many pixels as the input.
    expect(await page.evaluate("document.querySelector('#list img').naturalWidth")).toBe(side);
    await page.close();
  });
});

describe.skipIf(!existsSync(executablePath))("samples of other kinds", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  });
  afterAll(() => browser?.close());

  /** Keeps what charts write on their canvas, with its font. */
  const kept = `window.written = []; const write = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
      window.written.push([text, parseFloat(/[\\d.]+px/.exec(this.font))]);
      return write.call(this, text, ...place);
    };`;

  /** A page in a narrow window, in which axe-core finds nothing and all texts of charts are at least 11 pixels high. */
  async function narrow(out: string): Promise<Page> {
    const page = await browser.newPage({ viewport: { width: 360, height: 740 } });
    await page.addInitScript(kept);
    await page.goto(pathToFileURL(out).href);
    await page.waitForSelector("#list li");
    expect(await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")).toBe(true);
    await page.evaluate(axe);
    const { violations } = await page.evaluate<Awaited<ReturnType<Axe["run"]>>>("axe.run()");
    expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)).toEqual([]);
    const sizes = (await written(page)).map(([, size]) => size);
    expect(Math.min(...sizes)).toBeGreaterThanOrEqual(11);
    return page;
  }

  const written = (page: Page) => page.evaluate<[text: string, size: number][]>("window.written");

  test("sounds are played, at their rate, five seconds at most", async () => {
    const out = join(temporaryFolder(), "sounds.html");
    const [rate, length] = [1000, 6000];
    const x = Float32Array.from({ length: 3 * length }, (_, i) => 2 * Math.sin(i / 5));
    const network = nn.model(nn.sequential(nn.linear(length, 2)), { input: { x: ["N", length] }, seed: 1 });
    await writeReport(network, { x, target: [0, 1, 0] }, { loss: "cross_entropy", out, rate });
    const page = await narrow(out);
    expect(await page.locator("audio").count()).toBe(3);
    const seconds = await page.evaluate(
      "new Promise((done, fail) => { const a = document.querySelector('audio'); a.onloadedmetadata = () => done(a.duration); a.onerror = () => fail(a.error); a.preload = 'metadata'; a.load(); })",
    );
    expect(seconds).toBeCloseTo(5, 2);
    const data = (await page.locator("audio").first().getAttribute("src"))?.replace(/^.*,/, "") ?? "";
    const file = Buffer.from(data, "base64");
    // Browsers play 3,000 numbers a second at least.
    expect([file.length, file.readUInt32LE(24)]).toEqual([44 + 3 * 2 * 5 * rate, 3 * rate]);
    // Louder than 1: all are scaled by the loudest.
    const peak = Math.max(...x.slice(0, 5000).map(Math.abs));
    expect(file.readInt16LE(44 + 3 * 2 * 7) / 32767).toBeCloseTo((x[7] ?? 0) / peak, 2);
    await page.close();
  });

  /** What a chart tells where the mouse meets the first thing that tells something. */
  async function told(page: Page, id: string, from: number, to: number): Promise<string> {
    const chart = page.locator(id);
    await chart.scrollIntoViewIfNeeded();
    const box = await chart.boundingBox();
    if (!box) throw new Error("the chart has no place");
    for (let y = from; y < to; y += 3)
      for (let x = 56; x < box.width - 10; x += 4) {
        await page.mouse.move(box.x + x, box.y + y);
        const tip = chart.locator("> div").nth(1);
        if ((await tip.count()) > 0 && (await tip.isVisible())) return (await tip.textContent()) ?? "";
      }
    return "";
  }

  test("numbers that are not finite are in no chart and no mean, and a norm of 0 is told as 0", async () => {
    const out = join(temporaryFolder(), "odd.html");
    const network = nn.model(nn.sequential(nn.linear(2, 2, { bias: false })), { input: { x: ["N", 2] }, seed: 1 });
    // Sample 0 has a gradient of 0, and sample 1 none that is finite.
    const x = Float32Array.of(0, 0, Number.NaN, 1, 1, 1, 2, 1);
    const loss = "cross_entropy";
    const files = await writeReport(network, { x, target: [1, 0, 0, 0] }, { loss, out, allowNotFinite: true });
    const { rows }: { rows: { norm: number }[] } = JSON.parse(readFileSync(files[2] ?? "", "utf8"));
    const page = await narrow(out);
    expect(await page.locator("#list li").first().textContent()).toContain("predicted nonegradient norm not finite");
    const mean = ((rows[2]?.norm ?? 0) + (rows[3]?.norm ?? 0)) / 2;
    expect(await told(page, "#classes", 200, 203)).toContain(`3 samplesmean norm ${Number(mean.toPrecision(3))}mean`);
    const lowest = await told(page, "#against", 286, 296);
    expect(lowest).toMatch(/^sample 0label 1, predicted 0norm 0, loss 0.693$/);
    await page.close();
  });

  test("of many samples and classes those with the highest numbers are shown, and all can be found", async () => {
    const [out, many, names] = [join(temporaryFolder(), "many.html"), 4000, 300];
    const network = nn.model(nn.sequential(nn.linear(2, names)), { input: { x: ["N", 2] }, seed: 1 });
    const x = Float32Array.from({ length: 2 * many }, (_, i) => Math.sin(i * i));
    const target = Array.from({ length: many }, (_, n) => n % names);
    await writeReport(network, { x, target }, { loss: "cross_entropy", out });
    const page = await narrow(out);
    expect(await page.locator("select[name=label] option").count()).toBe(1 + names);
    expect(await page.locator("#list .shown").count()).toBe(40);
    await page.getByLabel("Order").selectOption("rising");
    expect(await page.locator("#list .shown").count()).toBeLessThan(40);
    await page.getByLabel("Search").fill("sample 3999");
    expect(await page.locator("#found").textContent()).toBe("1 of 4,000 samples, 1 shown");
    await page.getByLabel("Search").fill("");
    await page.locator("select[name=label]").selectOption("299");
    expect(await page.locator("#found").textContent()).toBe("13 of 4,000 samples, 13 shown");
    await page.close();
  });

  test("long names of classes are cut short in the chart, and a page of one sample says so", async () => {
    const out = join(temporaryFolder(), "one.html");
    const network = nn.model(nn.sequential(nn.linear(2, 2)), { input: { x: ["N", 2] }, seed: 1 });
    const classNames = ["a class with a name that goes on and on and on and on and on and on", "b"];
    await writeReport(network, { x: [1, 2, 3, 4], target: [0, 1] }, { loss: "cross_entropy", out, classNames });
    const both = await narrow(out);
    const texts = (await written(both)).map(([text]) => text);
    expect(texts).toContain("b");
    expect(texts.find((text) => text.startsWith("a class"))).toMatch(/^a class with [a-z ]{0,40}\.\.\.$/);
    await both.close();
    await writeReport(network, { x: [1, 2], target: [0] }, { loss: "cross_entropy", out });
    const page = await narrow(out);
    expect(await page.locator("#found").textContent()).toBe("1 of 1 sample, 1 shown");
    await page.close();
  });

  test("rows of a regression have no classes, and rows of charts of the caller's own are drawn", async () => {
    const out = join(temporaryFolder(), "rows.html");
    const network = nn.model(nn.sequential(nn.linear(5, 1)), { input: { x: ["N", 5] }, seed: 1 });
    const x = Float32Array.from({ length: 200 }, (_, i) => Math.sin(i));
    const target = { dtype: "float32", dims: [40, 1], data: x.slice(0, 40) } as const;
    const content = await reportContent(network, { x, target }, { loss: "mse" });
    const chart = {
      label: "<costs>",
      axes: ["way", "ms"],
      at: ["a", "b"],
      series: [{ name: "t", values: [1, 2] }],
    } as const;
    const sections = [{ title: "Costs & more", html: "<p>text</p>", charts: [{ ...chart, kind: "bars" as const }] }];
    await writePage({ ...content, sections }, out);
    const page = await narrow(out);
    expect(await page.locator("select[name=label]").count()).toBe(0);
    expect(await page.locator("#list .shown").first().textContent()).toMatch(/^x: /);
    expect(await page.getByRole("img", { name: "<costs>" }).locator("canvas").count()).toBe(1);
    await page.close();
  });
});

describe("writeReport", () => {
  const network = nn.model(nn.sequential(nn.linear(4, 3)), { seed: 1 });
  const small = { x: Float32Array.from({ length: 12 }, (_, i) => i / 3), target: [0, 1, 2] };

  test("shows rows where no input looks like pictures, and texts where there are some", async () => {
    const out = join(temporaryFolder(), "rows.html");
    await writeReport(network, small, { loss: "cross_entropy", out });
    expect(readFileSync(out, "utf8")).toContain('"shown":{"0":"x: 0, 0.333, 0.667, 1"');
    const texts = ["one </script><b>", "two", "three"];
    await writeReport(network, small, { loss: "cross_entropy", out, texts });
    const page = readFileSync(out, "utf8");
    expect(page).toContain('"show":"text"');
    // A text cannot end the element that it stands in.
    expect(page.match(/<\/script/g)).toHaveLength(2);
    const csv = readFileSync(out.replace("html", "csv"), "utf8").split("\n");
    expect(csv[0]).toBe("sample,label,predicted_label,norm,loss");
    expect(csv).toHaveLength(5);
  });

  test("refuses what it cannot show", async () => {
    const out = join(temporaryFolder(), "refused.html");
    const write = (options: object) => writeReport(network, small, { loss: "cross_entropy", out, ...options });
    await expect(write({ show: "image" })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(write({ show: "text" })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(write({ show: "sound" })).rejects.toThrow(/need their sampling rate/);
    await expect(write({ rate: 8000, show: "table" })).rejects.toThrow(/does not use rate; .* give show: "sound"/);
    await expect(write({ classNames: ["a", "b"] })).rejects.toThrow(
      /classNames has 2 names, but the model has 3 classes/,
    );
    await expect(write({ rate: 0 })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(write({ ids: ["a"] })).rejects.toThrow(/1 ids for 3 samples/);
    await expect(write({ out: "report.pdf" })).rejects.toThrow(/must end in .html/);
    expect(existsSync(out)).toBe(false);
  });
});
