/** Batch normalisations whose statistics are no batch's: those of one sample's channels, and of what all samples share. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { check } from "../../src/check/check.js";
import { losses } from "../../src/nn/losses.js";
import { nth } from "../../src/present.js";
import { predict } from "../../src/program/predict.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { expectAgreement, outputOf, refusalOf } from "../support/file-agreement.js";
import { expectClose } from "../support/per-sample.js";
import { decode, file, floats, initializer, int, int64s, node, tensor, valueInfo, waves } from "./models.js";

interface Normalised {
  /** The file's batch. */
  readonly N: number;
  readonly channels: number;
  readonly positions: readonly number[];
  /** With the statistics of each sample's own channels, not the running ones. */
  readonly own: boolean;
  /** How the vectors repeat those of a sample: by a node, or in the file. */
  readonly stored: boolean;
}

const constant = (name: string, ...values: number[]) =>
  node("Constant", [], [name], [tensor("value", int64s(...values))]);

/** No number of samples. */
const never = -1;

const vectors = ["scale", "shift", "mean", "variance"] as const;

const vectorOf = (channels: number, k: number) => Array.from({ length: channels }, (_, c) => 1 + Math.sin(k + c) / 2);

/** As TorchScript's exporter writes InstanceNorm with running statistics: `[N, C, ...]` as `[1, N * C, ...]`. */
function instanceNorm({ N, channels, positions, own, stored }: Normalised): Uint8Array {
  const shape = [N, channels, ...positions];
  const vector = (k: number) => vectorOf(channels, k);
  const repeated = (k: number) => Array.from({ length: N }, () => vector(k)).flat();
  const statistics = vectors
    .slice(2)
    .flatMap((name, k) =>
      stored
        ? [initializer(name, floats([N * channels], ...repeated(k + 2)))]
        : [initializer(`${name}1`, floats([channels], ...vector(k + 2)))],
    );
  const tiled = stored ? vectors.slice(0, 2) : vectors;
  return file({
    opset: 13,
    inputs: [valueInfo("x", shape)],
    initializers: [
      initializer("w", waves([channels, ...positions])),
      ...vectors.slice(0, 2).map((name, k) => initializer(`${name}1`, floats([channels], ...vector(k)))),
      ...statistics,
    ],
    nodes: [
      node("Mul", ["x", "w"], ["h"]),
      constant("times", N),
      ...tiled.map((name) => node("Tile", [`${name}1`, "times"], [name])),
      constant("folded", 1, N * channels, ...positions),
      node("Reshape", ["h", "folded"], ["images"]),
      node("BatchNormalization", ["images", ...vectors], own ? ["n", "m1", "v1", "m2", "v2"] : ["n"]),
      constant("back", ...shape),
      node("Reshape", ["n", "back"], ["y"]),
    ],
  });
}

/** The same by the operator for it. */
function instancesOf({ channels, positions }: Omit<Normalised, "N">): Uint8Array {
  return file({
    inputs: [valueInfo("x", ["N", channels, ...positions])],
    initializers: [
      initializer("w", waves([channels, ...positions])),
      ...vectors.slice(0, 2).map((name, k) => initializer(name, floats([channels], ...vectorOf(channels, k)))),
    ],
    nodes: [node("Mul", ["x", "w"], ["h"]), node("InstanceNormalization", ["h", "scale", "shift"], ["y"])],
  });
}

const drawn: fc.Arbitrary<Normalised> = fc.record({
  N: fc.integer({ min: 1, max: 3 }),
  channels: fc.integer({ min: 1, max: 3 }),
  positions: fc.array(fc.integer({ min: 3, max: 4 }), { minLength: 1, maxLength: 2 }),
  own: fc.boolean(),
  stored: fc.boolean(),
});

const feedsOf = ({ channels, positions }: Normalised, samples: number) => ({
  x: waves([samples, channels, ...positions]),
});

describe("a batch normalisation over the channels of all samples", () => {
  it("gives what the file gives for its own batch, and gradients for any", async () => {
    await fc.assert(
      fc.asyncProperty(drawn, fc.integer({ min: 1, max: 4 }), async (some, samples) => {
        for (const count of new Set([samples, some.N])) {
          // Of one sample, a batch's statistics are not told from its own.
          if (some.own && some.N === 1) continue;
          await expectAgreement({
            bytes: instanceNorm(some),
            feeds: feedsOf(some, count),
            samples: count,
            // The runtime has no batch normalisation in training mode.
            fixed: some.own ? never : some.N,
          });
        }
      }),
      { numRuns: 10 },
    );
  });

  it.each([true, false])("is the same whatever batch the file was written for (own statistics: %s)", async (own) => {
    const some = { channels: 2, positions: [3], own, stored: false };
    const feeds = feedsOf({ ...some, N: 1 }, 4);
    const [one, ...others] = await Promise.all(
      (own ? [2, 3] : [1, 2, 3]).map((N) => outputOf(instanceNorm({ ...some, N }), feeds)),
    );
    for (const other of others) expectClose(other, one ?? [], 1e-5, "output");
    if (own) expectClose(one ?? [], await outputOf(instancesOf(some), feeds), 1e-5, "output");
  });

  it("is refused where samples have vectors of their own", () => {
    const stored = initializer("scale", floats([4], 1, 2, 3, 4));
    const others = ["shift", "mean", "variance"].map((name) => initializer(name, floats([4], 1, 1, 1, 1)));
    const nodes = [
      constant("folded", 1, 4, 3),
      node("Reshape", ["x", "folded"], ["images"]),
      node("BatchNormalization", ["images", "scale", "shift", "mean", "variance"], ["n"]),
      constant("back", 2, 2, 3),
      node("Reshape", ["n", "back"], ["y"]),
    ];
    const bytes = file({ opset: 13, inputs: [valueInfo("x", [2, 2, 3])], initializers: [stored, ...others], nodes });
    expect(refusalOf(bytes)).toMatch(/^(SAMPLES_INTERACT|SHAPE_MISMATCH): /);
  });
});

/** x times a table that all samples share, `[5, 3, 2]`, normalised before or after the product. */
function network(shared: boolean): Uint8Array {
  const normalise = (from: string, ...to: string[]) =>
    node("BatchNormalization", [from, ...vectors], to, [int("training_mode", 1)]);
  const before = [normalise("table", "n", "m1", "v1"), node("Reshape", ["n", "flat"], ["rows"])];
  const after = [normalise("a", "n", "m1", "v1"), node("Add", ["n", "m"], ["y"])];
  return file({
    inputs: [valueInfo("x", ["N", 5])],
    initializers: [
      initializer("table", waves([5, 3, 2])),
      ...vectors.map((name, k) => initializer(name, floats([3], 1 + k, 2 - k / 2, 0.5))),
      initializer("last", int64s(1)),
    ],
    nodes: [
      constant("flat", -1, 6),
      constant("apart", -1, 3, 2),
      ...(shared ? before : [node("Reshape", ["table", "flat"], ["rows"])]),
      node("MatMul", ["x", "rows"], ["z"]),
      node("Reshape", ["z", "apart"], ["a"]),
      node("Unsqueeze", [shared ? "m1" : "mean", "last"], ["m"]),
      ...(shared ? [node("Add", ["a", "m"], ["y"])] : after),
    ],
  });
}

/** What `network(true)` gives, by hand. */
function byHand(x: Tensor<"float32">): number[] {
  const table = waves([5, 3, 2]).data;
  const at = (row: number, channel: number) => [0, 1].map((k) => table[(row * 3 + channel) * 2 + k] ?? 0);
  const all = [0, 1, 2].map((channel) => [0, 1, 2, 3, 4].flatMap((row) => at(row, channel)));
  const mean = all.map((own) => own.reduce((sum, v) => sum + v, 0) / own.length);
  const variance = all.map((own, c) => own.reduce((sum, v) => sum + (v - nth(mean, c)) ** 2, 0) / own.length);
  const [scale, shift] = [
    [1, 2, 0.5],
    [2, 1.5, 0.5],
  ];
  const running = [3, 1, 0.5].map((before, c) => 0.9 * before + 0.1 * nth(mean, c));
  return [0, 1, 2].flatMap((n) =>
    [0, 1, 2].flatMap((c) =>
      [0, 1].map((k) => {
        const rows = [0, 1, 2, 3, 4].map((row) => nth(at(row, c), k));
        const normed = rows.map(
          (v) => ((v - nth(mean, c)) / Math.sqrt(nth(variance, c) + 1e-5)) * nth(scale ?? [], c) + nth(shift ?? [], c),
        );
        return normed.reduce((sum, v, row) => sum + v * (x.data[n * 5 + row] ?? 0), nth(running, c));
      }),
    ),
  );
}

describe("a batch normalisation in training mode", () => {
  it("takes the statistics of what all samples share", async () => {
    const model = decode(network(true));
    const x = waves([3, 5]);
    const { y } = await predict(model, { x });
    expectClose(Array.from(y?.data ?? [], Number), byHand(x), 1e-5, "y");
    const target = floats([3, 3, 2], ...Array.from({ length: 18 }, (_, k) => Math.sin(k)));
    const { passed } = await check(model, { x, target }, { loss: losses.mse(), secondDerivatives: false });
    expect(passed).toBe(true);
  });

  it("is refused over samples", () => {
    expect(refusalOf(network(false))).toMatch(/^SAMPLES_INTERACT: .*training mode/);
  });

  it("is told by its outputs in old opsets, of which the last two are left out", () => {
    const initializers = vectors.map((name) => initializer(name, floats([3], 1, 2, 3)));
    const nodes = [node("BatchNormalization", ["x", ...vectors], ["y", "m1", "v1", "m2", "v2"])];
    const bytes = file({ opset: 11, inputs: [valueInfo("x", ["N", 3, 2])], initializers, nodes });
    expect(refusalOf(bytes)).toMatch(/^SAMPLES_INTERACT: .*training mode/);
  });
});
