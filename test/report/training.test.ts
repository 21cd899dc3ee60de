/** The page of a training in a browser: it draws what the file gains, where it is scrolled to, until the training has ended. */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { nn, type StepDiagnostics, sgd, train, trainingPage } from "../../src/index.js";
import { temporaryFolder } from "../support/folder.js";

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

interface Axe {
  run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }>;
}

interface Embedded {
  readonly ended: boolean;
  readonly taken: number;
  readonly steps: readonly Record<string, number | null>[];
}

/** What the page holds. */
function dataOf(path: string): Embedded {
  const [, json = ""] =
    /<script type="application\/json" id="data">(.*?)<\/script>/s.exec(readFileSync(path, "utf8")) ?? [];
  return JSON.parse(json);
}

function stepAt(step: number, more: Partial<StepDiagnostics> = {}): StepDiagnostics {
  return {
    step,
    samples: 20,
    loss: 2 / step,
    lossAfter: 1.9 / step,
    gradientNorm: 1 / step,
    stepNorm: 0.1 / step,
    normTest: 0.3 * step,
    innerProductTest: 0.2 * step,
    orthogonalityTest: 0.25 * step,
    meanSignalToNoise: 0.1 / step,
    earlyStopping: -20 + step,
    cabsOverLearningRate: 3,
    noiseScale: step % 5 === 0 ? -3 : 4 * step,
    curvatureAlongStep: Math.cos(step),
    alpha: step % 7 === 0 ? Number.POSITIVE_INFINITY : -0.5 + Math.sin(step) / 3,
    ticTrace: null,
    ticDiagonal: null,
    ...more,
  };
}

describe("trainingPage", () => {
  test("is an observer of train, and holds what it is told", async () => {
    const out = join(temporaryFolder(), "run.html");
    const page = await trainingPage(out, { title: "</script><b>", seconds: 1e-9 });
    expect(dataOf(out)).toMatchObject({ ended: false, taken: 0, steps: [] });
    const seen: number[] = [];
    const x = Float32Array.from({ length: 80 }, (_, i) => Math.sin(i * i));
    await train(
      nn.sequential(nn.linear(4, 3)),
      { x, target: Array.from({ length: 20 }, (_, n) => n % 3) },
      {
        loss: "cross_entropy",
        optimizer: sgd({ learningRate: 0.1 }),
        batchSize: 10,
        steps: 5,
        diagnose: { every: 2, curvature: true, onDiagnostics: page },
        onStep: () => void seen.push(dataOf(out).taken),
      },
    );
    expect(seen).toEqual([1, 1, 2, 2, 3]);
    await page.end();
    const { ended, steps } = dataOf(out);
    expect(ended).toBe(true);
    expect(steps.map(({ step }) => step)).toEqual([1, 3, 5]);
    expect(steps.every(({ loss, ticTrace }) => Number(loss) > 0 && Number(ticTrace) > 0)).toBe(true);
    // A title cannot end the element that it stands in.
    expect(readFileSync(out, "utf8").match(/<\/script>/g)).toHaveLength(3);
  });

  test("of many steps it keeps some, and the last; what is no number is null", async () => {
    const out = join(temporaryFolder(), "run.html");
    const page = await trainingPage(out, { seconds: 3600 });
    for (let step = 1; step <= 4567; step++) await page(stepAt(step, { alpha: Number.POSITIVE_INFINITY }));
    await page.end();
    const { steps, taken } = dataOf(out);
    expect(taken).toBe(4567);
    expect(steps.length).toBeLessThanOrEqual(2000);
    expect(steps.at(-1)).toMatchObject({ step: 4567, alpha: null });
  });

  test("refuses what it cannot write", async () => {
    const folder = temporaryFolder();
    await expect(trainingPage(join(folder, "run.pdf"))).rejects.toThrow(/must end in .html/);
    await expect(trainingPage(join(folder, "run.html"), { seconds: 0 })).rejects.toThrow(/a number above 0/);
    await expect(trainingPage(join(folder, "none", "run.html"))).rejects.toMatchObject({ code: "FILE_UNWRITABLE" });
  });
});

describe.skipIf(!existsSync(executablePath))(`with Chromium at ${executablePath}`, () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  });
  afterAll(async () => {
    await browser?.close();
  });

  /** A page that asks for nothing but itself, and whose script does not fail. */
  async function opened(
    path: string,
    problems: string[],
    options: Parameters<Browser["newPage"]>[0] = {},
  ): Promise<Page> {
    const address = pathToFileURL(path).href;
    const page = await browser.newPage(options);
    page.on("pageerror", ({ message }) => problems.push(message));
    page.on("request", (request) => {
      if (request.url().replace(/\?newer=\d+$/, "") !== address) problems.push(request.url());
    });
    await page.goto(address);
    await page.waitForSelector("#loss canvas");
    return page;
  }

  test("draws new steps where it is scrolled to, and stops when the training has ended", async () => {
    const out = join(temporaryFolder(), "run.html");
    const writer = await trainingPage(out, { seconds: 1e-9 });
    await writer(stepAt(1));
    const problems: string[] = [];
    const page = await opened(out, problems, { viewport: { width: 900, height: 500 } });
    expect(await page.locator("#fact-step").textContent()).toBe("1");
    await page.evaluate("window.scrollTo(0, 700)");
    // A page that is loaded again would forget this.
    await page.evaluate("window.marked = true");
    const before = await page.evaluate("document.querySelector('#loss canvas').toDataURL()");
    for (let step = 2; step <= 9; step++) await writer(stepAt(step));
    await page.waitForFunction("document.getElementById('fact-step').textContent === '9'", null, { timeout: 60_000 });
    expect(await page.evaluate("window.marked && window.scrollY")).toBe(700);
    expect(await page.evaluate("document.querySelector('#loss canvas').toDataURL()")).not.toBe(before);
    await writer.end();
    await page.waitForFunction("document.getElementById('fact-state').textContent === 'ended'", null, {
      timeout: 60_000,
    });
    expect(await page.locator("iframe").count()).toBe(0);
    expect(problems).toEqual([]);
    await page.close();
  });

  test.each([
    ["wide", { viewport: { width: 1200, height: 900 } }],
    ["narrow", { viewport: { width: 360, height: 740 } }],
    ["dark", { colorScheme: "dark" }],
  ] as const)("a %s page fits, and axe-core finds nothing", async (name, options) => {
    const out = join(temporaryFolder(), "run.html");
    const writer = await trainingPage(out, { seconds: 3600 });
    for (let step = 1; step <= 40; step++) await writer(stepAt(step, { ticTrace: step, ticDiagonal: 3 * step }));
    await writer.end();
    const problems: string[] = [];
    const page = await opened(out, problems, options);
    expect(await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")).toBe(true);
    expect(await page.locator(".chart canvas").count()).toBe(9);
    await page.evaluate(axe);
    const { violations } = await page.evaluate<Awaited<ReturnType<Axe["run"]>>>("axe.run()");
    expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)).toEqual([]);
    if (process.env.SCREENSHOTS)
      await page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`), fullPage: true });
    expect(problems).toEqual([]);
    await page.close();
  });
});
