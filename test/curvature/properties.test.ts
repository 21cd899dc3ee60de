/**
 * Second derivatives of random networks and graphs: products of the Hessian are differences of gradients, the Hessian is
 * symmetric, the Gauss-Newton matrix has no negative part, diagonals and traces are those of the products.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { losses, type Model, nn, type Tensor, want } from "../../src/index.js";
import { assemble } from "../support/random-graph/assemble.js";
import { casesOf, definitions, fixedIndices, nameOf, smooth } from "../support/random-graph/cases.js";
import { checkSecond, direction } from "./second.js";
import { inFloat64 } from "./support.js";

const samples = 3;

function numbers(dims: readonly number[], seed: number): Tensor {
  const size = dims.reduce((product, dim) => product * dim, 1);
  const data = Float32Array.from({ length: size }, (_, k) => Math.sin(12.9898 * (k + 1) + 78.233 * seed));
  return { dtype: "float32", dims, data };
}

function labels(dims: readonly number[], classes: number): Tensor {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return { dtype: "int64", dims, data: BigInt64Array.from({ length: size }, (_, k) => BigInt((5 * k + 2) % classes)) };
}

interface Network {
  readonly name: string;
  readonly make: (seed: number, steps: number, width: number) => Model;
  readonly data: (seed: number, steps: number) => Readonly<Record<string, Tensor>>;
}

const sequence = (name: string, make: (width: number) => ReturnType<typeof nn.rnn>): Network => ({
  name,
  make: (seed, steps, width) =>
    nn.model(nn.sequential(make(width), nn.linear(width, 4)), { input: { x: ["N", steps, 3] }, seed }),
  data: (seed, steps) => ({ x: numbers([samples, steps, 3], seed), target: labels([samples, steps], 4) }),
});

const networks: readonly Network[] = [
  sequence("an LSTM", (width) => nn.lstm(3, width)),
  sequence("a GRU", (width) => nn.gru(3, width)),
  sequence("an Elman network", (width) => nn.rnn(3, width)),
  {
    name: "a tied language model",
    make: (seed, steps, width) => {
      const words = nn.embedding(5, width);
      const layers = nn.sequential(words, nn.linear(width, width), nn.gelu(), nn.tied(words));
      return nn.model(layers, { input: { x: { shape: ["N", steps], dtype: "int64" } }, seed });
    },
    data: (_, steps) => ({ x: labels([samples, steps], 5), target: labels([samples, steps], 5) }),
  },
  {
    name: "a convolution with normalisation and attention",
    make: (seed, steps, width) =>
      nn.model(
        nn.sequential(
          nn.conv1d(2, 2 * width, 3, { padding: 1 }),
          nn.groupNorm(width, 2 * width, { epsilon: 0.1 }),
          nn.silu(),
          nn.flatten(),
          nn.linear(2 * width * steps, 4),
        ),
        { input: { x: ["N", 2, steps] }, seed },
      ),
    data: (seed, steps) => ({ x: numbers([samples, 2, steps], seed), target: labels([samples], 4) }),
  },
];

describe.each(networks)("$name", ({ make, data }) => {
  const drawn = fc.record({
    seed: fc.integer({ min: 0, max: 1000 }),
    steps: fc.integer({ min: 2, max: 4 }),
    width: fc.integer({ min: 1, max: 3 }),
  });
  const loss = losses.crossEntropy();

  it("products are differences of gradients, and symmetric", async () => {
    await fc.assert(
      fc.asyncProperty(drawn, async ({ seed, steps, width }) => {
        await checkSecond(make(seed, steps, width), { loss }, data(seed, steps), samples);
      }),
      { numRuns: 1 },
    );
  });

  it("the Gauss-Newton matrix has no negative part, and diagonals are those of products", () => {
    fc.assert(
      fc.property(drawn, ({ seed, steps, width }) => {
        const model = make(seed, steps, width);
        const vector = direction(model, seed);
        const unit = unitIn(model, seed);
        const wants = {
          product: want.ggnProduct({ vector }),
          column: want.ggnProduct({ vector: unit }),
          row: want.hvp({ vector: unit }),
          ggn: want.ggnDiagonal(),
          hessian: want.hessianDiagonal(),
        };
        const found = inFloat64(model, { loss }, wants, data(seed, steps));
        const along = (name: string, of: Readonly<Record<string, Tensor<"float32">>>, n: number) =>
          Object.entries(of).reduce((total, [parameter, { data: own }]) => {
            const all = found.get(`${name}/${parameter}`)?.data ?? [];
            return own.reduce((sum, x, k) => sum + x * (all[n * own.length + k] ?? 0), total);
          }, 0);
        for (let n = 0; n < samples; n++) {
          expect(along("product", vector, n)).toBeGreaterThanOrEqual(-1e-12);
          expect(along("ggn", unit, n)).toBeCloseTo(along("column", unit, n), 10);
          expect(along("hessian", unit, n)).toBeCloseTo(along("row", unit, n), 10);
        }
      }),
      { numRuns: 1 },
    );
  });
});

/** 1 at one element of one parameter. */
function unitIn({ parameters }: Model, seed: number): Record<string, Tensor<"float32">> {
  const all = Object.entries(parameters);
  const [name, { dims, data }] = all[seed % all.length] as (typeof all)[number];
  const own = data.map((_, k) => (k === seed % data.length ? 1 : 0));
  return { [name]: { dtype: "float32", dims, data: own } };
}

/** Operators whose derivative is an expression of many others, or is found by places. */
const through: readonly string[] = [
  "Conv",
  "ConvTranspose",
  "MaxPool",
  "GatherElements",
  "ScatterElements",
  "LayerNormalization",
  "Attention",
  "CumSum",
  "Resize",
  "Einsum",
  "Softmax",
  "ReduceProd",
];

describe("a random graph", () => {
  const chosen = definitions.filter((definition) => through.includes(nameOf(definition)));
  it.each(chosen.map((definition) => [nameOf(definition), definition] as const))(
    "through %s",
    async (name, definition) => {
      const cases = casesOf(definition);
      if (!cases) throw new Error(`${name} is not drawn`);
      const step = fc.tuple(cases, fc.nat()).map(([test, seed]) => ({
        test,
        seed,
        smooth: smooth.has(name),
        fixed: fixedIndices.has(name),
      }));
      await fc.assert(
        fc.asyncProperty(step, fc.nat(), async (own, seed) => {
          const { model, data } = assemble({ samples, seed, steps: [own] });
          await checkSecond(model, { loss: losses.output() }, data, samples);
        }),
        { numRuns: 1 },
      );
    },
  );
});
