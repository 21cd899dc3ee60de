/** Random networks of random shapes: the program on ONNX Runtime against the float64 loop, and the loop against finite differences. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Oracle } from "../../src/check/oracle.js";
import { objectiveOf } from "../../src/compile/objective.js";
import { losses, type Model, nn, PergradError, perSample, type Tensor, want } from "../../src/index.js";
import { expectClose, numbers } from "../support/per-sample.js";

/** Over a few nearly equal numbers a norm with the usual epsilon multiplies float32's rounding by hundreds, in any implementation. */
const epsilon = 0.1;

type Module = ReturnType<typeof nn.relu>;

/** A layer by its name and arguments, so that a counterexample can be read. */
interface Layer {
  readonly layer: string;
  readonly make: () => Module;
  readonly toString: () => string;
}

function layer(name: string, make: () => Module, ...args: readonly unknown[]): Layer {
  return { layer: name, make, toString: () => `${name}(${args.map((arg) => JSON.stringify(arg)).join(", ")})` };
}

const activation: fc.Arbitrary<Layer> = fc.constantFrom(
  ...[nn.tanh, nn.sigmoid, nn.softplus, nn.elu, nn.gelu, nn.silu, nn.leakyRelu].map((make) =>
    layer(make.name, () => make()),
  ),
  layer("softmax", () => nn.softmax(1)),
);

/** Layers on `[N, width]`. */
const dense = (width: number): fc.Arbitrary<Layer[]> =>
  fc.array(
    fc.oneof(
      activation,
      fc.boolean().map((bias) => layer("linear", () => nn.linear(width, width, { bias }), width, bias)),
      fc.constant(layer("layerNorm", () => nn.layerNorm(width, { epsilon }))),
      activation.map((inner) =>
        layer("residual", () => nn.residual(nn.sequential(nn.linear(width, width), inner.make())), String(inner)),
      ),
    ),
    { minLength: 1, maxLength: 4 },
  );

interface Convolutional {
  readonly rank: 1 | 2 | 3;
  readonly spatial: number[];
  readonly channels: number;
  readonly layers: Layer[];
}

const convolutions = [nn.conv1d, nn.conv2d, nn.conv3d];
const transposed = [nn.convTranspose1d, nn.convTranspose2d, nn.convTranspose3d];
const maxPools = [nn.maxPool1d, nn.maxPool2d, nn.maxPool3d];
const averagePools = [nn.avgPool1d, nn.avgPool2d, nn.avgPool3d];

const at = <T>(list: readonly T[], rank: number): T => list[rank - 1] as T;

/** Layers on `[N, channels, ...spatial]`; combinations that do not fit are thrown away by the caller. */
const convolutional: fc.Arbitrary<Convolutional> = fc
  .record({
    rank: fc.constantFrom<1 | 2 | 3>(1, 2, 3),
    groups: fc.integer({ min: 1, max: 3 }),
    per: fc.integer({ min: 1, max: 2 }),
  })
  .chain(({ rank, groups, per }) => {
    const channels = groups * per;
    const small = fc.integer({ min: 1, max: 3 });
    const each = (arbitrary: fc.Arbitrary<number>) => fc.array(arbitrary, { minLength: rank, maxLength: rank });
    const convolution = fc
      .record({
        kernel: each(small),
        stride: each(fc.integer({ min: 1, max: 2 })),
        padding: each(fc.integer({ min: 0, max: 2 })),
        dilation: each(fc.integer({ min: 1, max: 2 })),
        bias: fc.boolean(),
        shared: fc.boolean(),
      })
      .map(({ kernel, shared, ...rest }) => {
        const options = { ...rest, groups: shared ? 1 : groups };
        return layer(
          "conv",
          () => at(convolutions, rank)(channels, channels, kernel, options),
          channels,
          kernel,
          options,
        );
      });
    const deconvolution = fc
      .record({
        kernel: each(fc.integer({ min: 2, max: 3 })),
        stride: each(fc.integer({ min: 1, max: 2 })),
        padding: each(fc.integer({ min: 0, max: 1 })),
        dilation: each(fc.integer({ min: 1, max: 2 })),
      })
      .map(({ kernel, ...rest }) => {
        const options = { ...rest, groups };
        return layer(
          "convTranspose",
          () => at(transposed, rank)(channels, channels, kernel, options),
          channels,
          kernel,
          options,
        );
      });
    const pool = fc
      .record({
        kernel: each(fc.integer({ min: 1, max: 2 })),
        stride: each(fc.integer({ min: 1, max: 2 })),
        ceilMode: fc.boolean(),
        max: fc.boolean(),
      })
      .map(({ kernel, max, ...options }) => {
        const make = max ? at(maxPools, rank) : at(averagePools, rank);
        return layer(max ? "maxPool" : "avgPool", () => make(kernel, options), kernel, options);
      });
    const norm = fc.constantFrom(
      layer("groupNorm", () => nn.groupNorm(groups, channels, { epsilon }), groups, channels),
      layer("instanceNorm", () => nn.instanceNorm(channels, { affine: true, epsilon }), channels),
    );
    return fc.record({
      rank: fc.constant(rank),
      spatial: each(fc.integer({ min: 2, max: rank === 3 ? 4 : 6 })),
      channels: fc.constant(channels),
      layers: fc.array(fc.oneof(convolution, convolution, deconvolution, pool, norm, activation), {
        minLength: 1,
        maxLength: 4,
      }),
    });
  });

/** The model, or null where the layers do not fit each other (a kernel larger than what is left, say). */
function fitting(make: () => Model): Model | null {
  try {
    return make();
  } catch (error) {
    if (error instanceof PergradError) return null;
    throw error;
  }
}

async function compare(model: Model, shape: readonly number[], samples: number, classes: number): Promise<void> {
  const x: Tensor = {
    dtype: "float32",
    dims: [samples, ...shape],
    data: Float32Array.from(numbers([samples, ...shape], 3).data),
  };
  const target: Tensor = {
    dtype: "int64",
    dims: [samples],
    data: BigInt64Array.from({ length: samples }, (_, n) => BigInt(n % classes)),
  };
  const options = { loss: losses.crossEntropy({ labelSmoothing: 0.1 }) };
  const wants = {
    gradients: want.gradients(),
    norms: want.norms(),
    clipped: want.clippedSum({ maxNorm: 0.05 }),
    sum: want.sum(),
    mean: want.mean(),
  };
  const program = await perSample(model, { ...options, want: wants });
  const cheap = await perSample(model, {
    ...options,
    want: { norms: want.norms(), clipped: want.clippedSum({ maxNorm: 0.05 }) },
  });
  const [all, few] = [await program.run({ x, target }), await cheap.run({ x, target })];
  await Promise.all([program.release(), cheap.release()]);
  const oracle = new Oracle(objectiveOf(model, options), { x, target });
  const loop = Array.from({ length: samples }, (_, n) => oracle.sample(n).gradients);
  const largest = loop
    .flatMap((each) => [...each.values()])
    .reduce((max, data) => data.reduce((m, v) => Math.max(m, Math.abs(v)), max), 0);
  // A gradient that nearly cancels (of a weight before a normalisation, which does not see its scale) carries the
  // rounding of the terms that cancel, which are as large as the other gradients: it counts against those. And
  // activations and losses are of the order of 1, so that no result is more exact than a few times 1e-7.
  const floor = Math.max(0.1 * largest, 1e-2);
  const norms = loop.map((each) =>
    Math.sqrt([...each.values()].reduce((sum, data) => sum + data.reduce((s, v) => s + v * v, 0), 0)),
  );
  for (const name of program.parameters) {
    const wanted = loop.map((each) => each.get(name) as Float64Array);
    const size = oracle.sizeOf(name);
    const weighted = (factor: (n: number) => number) =>
      Array.from({ length: size }, (_, i) => wanted.reduce((sum, data, n) => sum + factor(n) * (data[i] as number), 0));
    expect(all.gradients[name]?.dims[0]).toBe(samples);
    expectClose(
      all.gradients[name]?.data ?? [],
      wanted.flatMap((data) => [...data]),
      1e-4,
      `gradients of ${name}`,
      floor,
    );
    for (const { norms: own } of [all, few])
      expectClose(
        own.parameters[name]?.data ?? [],
        wanted.map((data) => Math.hypot(...data)),
        1e-4,
        `norms of ${name}`,
        floor,
      );
    expectClose(
      all.sum[name]?.data ?? [],
      weighted(() => 1),
      1e-4,
      `sum of ${name}`,
      floor * samples,
    );
    expectClose(
      all.mean[name]?.data ?? [],
      weighted(() => (samples === 0 ? 0 : 1 / samples)),
      1e-4,
      `mean of ${name}`,
      floor,
    );
    for (const { clipped } of [all, few]) {
      expectClose(
        clipped.sum[name]?.data ?? [],
        weighted((n) => Math.min(1, 0.05 / (norms[n] as number))),
        1e-4,
        `clipped sum of ${name}`,
        floor * samples,
      );
    }
    if (samples > 0 && size > 0) {
      const index = size >> 1;
      const difference = oracle.difference(name, 0, index);
      expect(Math.abs(difference - (wanted[0]?.[index] as number)), `finite difference of ${name}`).toBeLessThanOrEqual(
        1e-5 * largest + 1e-9,
      );
    }
  }
}

describe("random networks", () => {
  it("of linear layers, activations, norms and residuals", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }).chain((width) => fc.record({ width: fc.constant(width), layers: dense(width) })),
        fc.integer({ min: 0, max: 5 }),
        async ({ width, layers }, samples) => {
          const model = nn.model(
            nn.sequential(nn.linear(3, width), ...layers.map((each) => each.make()), nn.linear(width, 4)),
            { input: { x: ["N", 3] }, seed: samples },
          );
          await compare(model, [3], samples, 4);
        },
      ),
      { numRuns: 30 },
    );
  });

  it("of convolutions, transposed convolutions, pooling and norms in 1, 2 and 3 dimensions", async () => {
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(
        convolutional,
        fc.integer({ min: 0, max: 4 }),
        async ({ spatial, channels, layers }, samples) => {
          const shape = [channels, ...spatial];
          const model = fitting(() =>
            nn.model(nn.sequential(...layers.map((each) => each.make()), nn.flatten(), nn.tanh()), {
              input: { x: ["N", ...shape] },
              seed: 1,
            }),
          );
          const classes = model?.graph.outputs[0]?.value.shape[1];
          if (
            !model ||
            typeof classes !== "number" ||
            classes < 2 ||
            classes > 400 ||
            model.graph.parameters.length === 0
          )
            return;
          compared++;
          await compare(model, shape, samples, classes);
        },
      ),
      { numRuns: 120 },
    );
    expect(compared, "networks that fit").toBeGreaterThan(30);
  });
});
