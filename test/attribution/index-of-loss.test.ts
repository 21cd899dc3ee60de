/** An index belongs to the scalars whose gradients it holds: to a loss with its options, and to the output that it reads. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { attribution, constant, type Loss, losses, nn, type Tensor, type Traced } from "../../src/index.js";
import { floats, labels } from "../cli/support.js";

const root = mkdtempSync(join(tmpdir(), "pergrad-index-of-loss-"));
afterAll(() => rmSync(root, { recursive: true }));
let folders = 0;
const folder = () => join(root, `${folders++}`);

/** Eight positions of eight classes: the classes may lie along either axis. */
const model = nn.trace({ x: ["N", 8, 8] }, { net: nn.linear(8, 8) }, ({ x }, { net }) => ({
  first: net(x),
  second: net(x).tanh(),
}));
const x = floats([6, 8, 8]);
const classes: Tensor = { ...labels(...Array.from({ length: 48 }, (_, k) => k % 8)), dims: [6, 8] };
const numbers = floats([6, 8, 8], (k) => Math.cos(k));
const weights = Array.from({ length: 8 }, (_, k) => 1 + k / 8);
/** More numbers than a printed graph shows. */
const many = (factor: number) => Array.from({ length: 64 }, (_, k) => (k === 63 ? factor : 1));
const weighted = (factor: number) =>
  losses.custom((output: Traced, target: Traced) =>
    output
      .sub(target)
      .square()
      .mul(constant(many(factor)).reshape([8, 8]))
      .mean([1, 2]),
  );
const { crossEntropy, nll } = losses;

interface Options {
  readonly loss: Loss;
  readonly output?: string;
}

const cases: readonly (readonly [what: string, target: Tensor, made: Options, other: Options])[] = [
  ["class weights", classes, { loss: crossEntropy({ weights }) }, { loss: crossEntropy() }],
  ["an ignored label", classes, { loss: crossEntropy({ ignoreIndex: 3 }) }, { loss: crossEntropy({ ignoreIndex: 4 }) }],
  ["smoothed labels", classes, { loss: crossEntropy({ labelSmoothing: 0.1 }) }, { loss: crossEntropy() }],
  ["the axis of classes", classes, { loss: crossEntropy({ classAxis: 1 }) }, { loss: crossEntropy({ classAxis: 2 }) }],
  ["weights of nll", classes, { loss: nll({ weights }) }, { loss: nll({ weights: weights.map((each) => 2 * each) }) }],
  ["the delta of huber", numbers, { loss: losses.huber() }, { loss: losses.huber({ delta: 0.5 }) }],
  ["the beta of smoothL1", numbers, { loss: losses.smoothL1() }, { loss: losses.smoothL1({ beta: 0.5 }) }],
  ["the output", numbers, { loss: losses.mse() }, { loss: losses.mse(), output: "second" }],
  ["constants of a loss of one's own", numbers, { loss: weighted(2) }, { loss: weighted(3) }],
];

describe.each(cases)("an index that was made with other options: %s", (_, target, made, other) => {
  it("is neither opened nor continued", async () => {
    const [out, data] = [folder(), { x, target }];
    const common = { method: "gradDot", threads: 1, target: { shape: ["N", ...target.dims.slice(1)] } } as const;
    await (await attribution.index(model, data, { ...common, ...made, out })).release();
    await (await attribution.openIndex(out, model, { ...common, ...made })).release();
    const refused = { code: "INVALID_ARGUMENT", message: expect.stringMatching(/other options of the loss/) };
    await expect(attribution.openIndex(out, model, { ...common, ...other })).rejects.toMatchObject(refused);
    await expect(attribution.index(model, data, { ...common, ...other, out })).rejects.toMatchObject(refused);
  });
});

describe("an index", () => {
  const data = { x: floats([6, 3]), target: labels(0, 1, 2, 0, 1, 2) };
  const plain = nn.model(nn.linear(3, 3), { seed: 1 });

  it("fits a loss that is stated otherwise, but is the same", async () => {
    const [out, method] = [folder(), "gradDot"] as const;
    await (await attribution.index(plain, data, { method, loss: "cross_entropy", out })).release();
    const loss = crossEntropy({ labelSmoothing: 0, classAxis: 1 });
    await (await attribution.openIndex(out, plain, { method, loss })).release();
  });

  it("of TRAK does not depend on what the odds of a label do not depend on", async () => {
    const [out, method] = [folder(), attribution.trak({ dims: 8, damping: 1 })];
    await (await attribution.index(plain, data, { method, loss: "cross_entropy", out })).release();
    await (
      await attribution.openIndex(out, plain, {
        method,
        loss: crossEntropy({ labelSmoothing: 0.1, weights: [1, 2, 3] }),
      })
    ).release();
    const ignoring = attribution.openIndex(out, plain, { method, loss: crossEntropy({ ignoreIndex: 0 }) });
    await expect(ignoring).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  it("of an older version, which says nothing of the loss but its name, is read", async () => {
    const [out, method] = [folder(), "gradDot"] as const;
    await (await attribution.index(plain, data, { method, loss: "cross_entropy", out })).release();
    const file = join(out, "manifest.json");
    const { scalars, ...older } = JSON.parse(readFileSync(file, "utf8"));
    expect(scalars).toMatch(/^[0-9a-f]{64}$/);
    writeFileSync(file, JSON.stringify(older));
    await (await attribution.openIndex(out, plain, { method, loss: "cross_entropy" })).release();
    await (await attribution.index(plain, data, { method, loss: "cross_entropy", out })).release();
  });
});
