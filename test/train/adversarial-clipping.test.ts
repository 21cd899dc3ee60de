/**
 * Clipping against data that is chosen to round badly: what one sample adds to a step's sum is no longer than the norm, and
 * norms are those in float64. Losses are linear in the weights, so that the gradients are known from the data.
 */
import { describe, expect, it } from "vitest";
import { losses, type Model, nn, perSample, sgd, type Tensor, want } from "../../src/index.js";
import { type Random, random } from "../../src/tensor/random.js";
import { BatchClipper } from "../../src/train/clipped-batch.js";
import { setup } from "../../src/train/setup.js";

type Data = Readonly<Record<string, Tensor>>;

/** A sample's gradients, one after another, in float64; and the sum of its terms' magnitudes, element by element. */
type Exact = (data: Data, n: number) => { readonly gradient: Float64Array; readonly magnitudes: Float64Array };

interface Kind {
  readonly model: Model;
  /** Of one sample. */
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  /** Places in a table of so many rows. */
  readonly rows?: number;
  readonly exact: Exact;
  readonly strategies: readonly Readonly<Record<string, string>>[];
}

const sizeOf = (dims: readonly number[]) => dims.reduce((a, b) => a * b, 1);

const partOf = (tensor: Tensor | undefined, n: number) => {
  const data = tensor?.data as Float32Array | BigInt64Array;
  const size = data.length / (tensor?.dims[0] as number);
  const own = data.subarray(n * size, (n + 1) * size);
  return own instanceof Float32Array ? new Float64Array(own) : Float64Array.from(own, Number);
};

const ofPositions = [
  {},
  { norm: "Gram", sum: "contract" },
  { norm: "Gram in parts", sum: "contract" },
  { norm: "materialise", sum: "contract" },
  { norm: "materialise", sum: "materialise" },
];
const ofRows = [
  {},
  { norm: "Gram", sum: "scatter" },
  { norm: "merge rows", sum: "scatter" },
  { norm: "materialise", sum: "scatter" },
  { norm: "materialise", sum: "materialise" },
];

/** Adds up terms by element. */
function addingUp(size: number, each: (add: (element: number, term: number) => void) => void) {
  const [gradient, magnitudes] = [new Float64Array(size), new Float64Array(size)];
  each((element, term) => {
    gradient[element] = (gradient[element] as number) + term;
    magnitudes[element] = (magnitudes[element] as number) + Math.abs(term);
  });
  return { gradient, magnitudes };
}

function dense(size: number): Kind {
  return {
    model: nn.trace({ a: ["N", size] }, { weight: nn.ones([size]) }, ({ a }, { weight }) => ({
      loss: a.mul(weight).sum([1]),
    })),
    inputs: { a: [size] },
    exact: ({ a }, n) =>
      addingUp(size, (add) => {
        for (const [i, term] of partOf(a, n).entries()) add(i, term);
      }),
    strategies: [{}],
  };
}

/** The sum over t of a[t, i] d[t, o]. */
function outer(positions: number, rows: number, columns: number, ways: Kind["strategies"]): Kind {
  const [ts, dims] = positions === 1 ? [[], [1]] : [[positions], [1, 2]];
  return {
    model: nn.trace(
      { a: ["N", ...ts, rows], d: ["N", ...ts, columns] },
      { weight: nn.ones([rows, columns]) },
      ({ a, d }, { weight }) => ({ loss: a.matmul(weight).mul(d).sum(dims) }),
    ),
    inputs: { a: [...ts, rows], d: [...ts, columns] },
    exact: ({ a, d }, n) => {
      const [x, y] = [partOf(a, n), partOf(d, n)];
      return addingUp(rows * columns, (add) => {
        for (let t = 0; t < positions; t++)
          for (let i = 0; i < rows; i++)
            for (let o = 0; o < columns; o++)
              add(i * columns + o, (x[t * rows + i] as number) * (y[t * columns + o] as number));
      });
    },
    strategies: ways,
  };
}

function convolution(length: number, kernel: number): Kind {
  const positions = length - kernel + 1;
  return {
    model: nn.trace(
      { a: ["N", 1, length], d: ["N", 1, positions] },
      { weight: nn.ones([1, 1, kernel]) },
      ({ a, d }, { weight }) => ({ loss: a.onnx("Conv", [weight]).mul(d).sum([1, 2]) }),
    ),
    inputs: { a: [1, length], d: [1, positions] },
    exact: ({ a, d }, n) => {
      const [x, y] = [partOf(a, n), partOf(d, n)];
      return addingUp(kernel, (add) => {
        for (let t = 0; t < positions; t++)
          for (let k = 0; k < kernel; k++) add(k, (x[t + k] as number) * (y[t] as number));
      });
    },
    strategies: [{}, { norm: "materialise", sum: "materialise" }, { norm: "materialise", sum: "contract" }],
  };
}

function table(positions: number, rows: number, ways: Kind["strategies"]): Kind {
  const size = 2;
  return {
    model: nn.trace(
      { places: { shape: ["N", positions], dtype: "int64" }, d: ["N", positions, size] },
      { weight: nn.ones([rows, size]) },
      ({ places, d }, { weight }) => ({ loss: weight.gather(places).mul(d).sum([1, 2]) }),
    ),
    inputs: { places: [positions], d: [positions, size] },
    rows,
    exact: ({ places, d }, n) => {
      const [at, y] = [partOf(places, n), partOf(d, n)];
      return addingUp(rows * size, (add) => {
        for (const [k, term] of y.entries()) add((at[Math.floor(k / size)] as number) * size + (k % size), term);
      });
    },
    strategies: ways,
  };
}

/** A weight [I, O] that is used forth and, transposed, back. */
function forthAndBack(positions: number, rows: number, columns: number): Kind {
  return {
    model: nn.trace(
      {
        a: ["N", positions, rows],
        d: ["N", positions, columns],
        b: ["N", positions, columns],
        e: ["N", positions, rows],
      },
      { weight: nn.ones([rows, columns]) },
      ({ a, b, d, e }, { weight }) => ({
        loss: a
          .matmul(weight)
          .mul(d)
          .sum([1, 2])
          .add(
            b
              .matmul(weight.transpose([1, 0]))
              .mul(e)
              .sum([1, 2]),
          ),
      }),
    ),
    inputs: { a: [positions, rows], d: [positions, columns], b: [positions, columns], e: [positions, rows] },
    exact: ({ a, b, d, e }, n) => {
      const pairs = [
        [partOf(a, n), partOf(d, n)],
        [partOf(e, n), partOf(b, n)],
      ] as const;
      return addingUp(rows * columns, (add) => {
        for (const [x, y] of pairs)
          for (let t = 0; t < positions; t++)
            for (let i = 0; i < rows; i++)
              for (let o = 0; o < columns; o++)
                add(i * columns + o, (x[t * rows + i] as number) * (y[t * columns + o] as number));
      });
    },
    strategies: ofPositions,
  };
}

/** A table [V, R] whose rows are picked, and which is a layer's weight too. */
function tied(positions: number, rows: number, size: number): Kind {
  const picked = table(positions, rows, []);
  return {
    model: nn.trace(
      {
        places: { shape: ["N", positions], dtype: "int64" },
        d: ["N", positions, size],
        a: ["N", positions, size],
        e: ["N", positions, rows],
      },
      { weight: nn.ones([rows, size]) },
      ({ places, a, d, e }, { weight }) => ({
        loss: weight
          .gather(places)
          .mul(d)
          .sum([1, 2])
          .add(
            a
              .matmul(weight.transpose([1, 0]))
              .mul(e)
              .sum([1, 2]),
          ),
      }),
    ),
    inputs: { ...picked.inputs, a: [positions, size], e: [positions, rows] },
    rows,
    exact: (data, n) => {
      const one = picked.exact(data, n);
      const other = outer(positions, rows, size, []).exact({ a: data.e as Tensor, d: data.a as Tensor }, n);
      const sum = (key: "gradient" | "magnitudes") => one[key].map((x, i) => x + (other[key][i] as number));
      return { gradient: sum("gradient"), magnitudes: sum("magnitudes") };
    },
    strategies: [
      {},
      { norm: "cross terms", sum: "term by term" },
      { norm: "materialise", sum: "term by term" },
      { norm: "cross terms", sum: "materialise" },
    ],
  };
}

/** What a sample holds. Large factors come with small ones, so that products are float32 numbers. */
const patterns: Readonly<Record<string, (source: Random, sign: number) => (i: number) => number>> = {
  equal: (source) => {
    const value = source.uniform(0.1, 3);
    return () => value;
  },
  "powers of two and a unit": (source) => {
    const value = 2 ** Math.floor(source.uniform(-8, 8)) * (1 + 2 ** -23);
    return (i) => (i % 3 === 0 ? value : value * 2);
  },
  "terms that cancel": (source) => {
    const value = source.normal() * 1e3;
    return (i) => value * (i % 2 === 0 ? 1 : -1) * (1 + (i % 5 === 0 ? 1e-6 : 0));
  },
  "all but one cancel": (source) => {
    const value = source.normal() * 1e6;
    return (i) => (i === 0 ? 1e-3 : i % 2 === 0 ? value : -value);
  },
  "magnitudes from 1e-20 to 1e20": (source, sign) => {
    const digits = sign * source.uniform(-20, 20);
    return () => source.normal() * 10 ** (digits + source.uniform(-1, 1));
  },
  "any magnitudes": (source) => () => source.normal() * 10 ** source.uniform(-20, 9),
  // Its square is no float32, and that of the other factor nearly is none.
  "too short to be squared": (source, sign) => () => (sign > 0 ? 1.5e-23 : 1e18) * (1 + 0.1 * source.uniform(0, 1)),
};

function dataFor({ inputs, rows }: Kind, samples: number, pattern: (n: number) => string, source: Random): Data {
  const entries = Object.entries(inputs).map(([name, dims], k) => {
    const size = sizeOf(dims);
    if (name === "places") {
      // Most positions hold one row.
      const at = Array.from({ length: samples * size }, (_, p) => BigInt(p % 3 === 0 ? p % (rows as number) : 0));
      return [name, { dtype: "int64", dims: [samples, ...dims], data: BigInt64Array.from(at) }] as const;
    }
    const data = new Float32Array(samples * size);
    for (let n = 0; n < samples; n++) {
      const element = (patterns[pattern(n)] as (typeof patterns)[string])(source, k % 2 === 0 ? 1 : -1);
      for (let i = 0; i < size; i++) data[n * size + i] = element(i);
    }
    return [name, { dtype: "float32", dims: [samples, ...dims], data }] as const;
  });
  return Object.fromEntries(entries) as Data;
}

const small: Readonly<Record<string, Kind>> = {
  dense: dense(7),
  outer: outer(1, 5, 3, [{}, { norm: "closed form", sum: "contract" }, { norm: "materialise", sum: "materialise" }]),
  "outer, over positions": outer(6, 5, 3, ofPositions),
  convolution: convolution(9, 4),
  table: table(6, 4, ofRows),
  "a weight used forth and back": forthAndBack(3, 4, 5),
  "a table and a layer's weight": tied(4, 5, 2),
};

const names = Object.keys(patterns);
const samples = 4 * names.length;

/** The sum of a batch: there is one parameter. */
function joined(sums: ReadonlyMap<string, Float64Array>): Float64Array {
  const [only] = sums.values();
  return (only as Float64Array).slice();
}

const lengthOf = (values: Float64Array) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));

describe.each(Object.entries(small))("clipping a gradient that is %s", (_, kind) => {
  it.each(kind.strategies)("a sample moves the sum by the norm at most (%o)", async (strategy) => {
    const source = random(5);
    const all = dataFor(kind, 2 * samples, (n) => names[n % names.length] as string, source);
    const steps = {
      loss: losses.output(),
      output: "loss",
      optimizer: sgd({ learningRate: 1 }),
      batchSize: samples,
      maxNorm: 1,
      strategy,
    };
    const own = await setup(kind.model, all, steps, true);
    const clipper = await BatchClipper.compile(own, steps);
    let [worst, dropped] = [0, 0];
    for (const maxNorm of [1e-12, 1e-5, 1]) {
      const run = { parameters: own.parameters, groups: { all: maxNorm } };
      // Of one pattern, so that roundings conspire, and of all.
      for (const every of [names.length, 1]) {
        const batch = Uint32Array.from({ length: samples }, (_, k) => (k * every) % (2 * samples));
        const distinct = Uint32Array.from(new Set(batch));
        const found = await clipper.run(distinct, 0, run);
        dropped += found.dropped.length;
        const whole = joined(found.sums);
        for (const without of distinct.filter((_, k) => (every === 1 ? k < names.length : k % 3 === 0))) {
          const fewer = joined(
            (
              await clipper.run(
                distinct.filter((n) => n !== without),
                0,
                run,
              )
            ).sums,
          );
          worst = Math.max(worst, lengthOf(whole.map((x, i) => x - (fewer[i] as number))) / maxNorm);
        }
      }
    }
    await clipper.release();
    expect(worst).toBeLessThanOrEqual(1);
    expect(worst).toBeGreaterThan(0.98);
    expect(dropped).toBeLessThan(4 * samples);
  });

  it.each(kind.strategies)("norms are those in float64 (%o)", async (strategy) => {
    const source = random(6);
    const data = dataFor(kind, samples, (n) => names[n % (names.length - 1)] as string, source);
    const program = await perSample(kind.model, {
      loss: losses.output(),
      output: "loss",
      want: { norms: want.norms() },
      strategy,
    });
    const { norms } = await program.run(data, { notFinite: "ignore" });
    await program.release();
    let compared = 0;
    for (let n = 0; n < samples; n++) {
      const { gradient, magnitudes } = kind.exact(data, n);
      const [exact, terms] = [lengthOf(gradient), lengthOf(magnitudes)];
      // Their squares are float32 numbers of full precision.
      const largest = Object.entries(data).flatMap(([name, tensor]) =>
        name === "places" ? [] : [partOf(tensor, n).reduce((most, x) => Math.max(most, Math.abs(x)), 0)],
      );
      if (!largest.every((x) => x > 1e-15 && x < 1e15) || terms < 1e-15 || terms > 1e15) continue;
      compared++;
      // Where terms cancel, errors are as large as the terms make them.
      const scale = exact > 0.5 * terms ? exact : Math.sqrt(exact ** 2 + terms ** 2);
      const error = Math.abs((norms.total.data[n] as number) ** 2 - exact ** 2) / scale ** 2 / 2;
      expect(error).toBeLessThan(1e-6);
    }
    expect(compared).toBeGreaterThan(samples / 4);
  });
});

const long: Readonly<Record<string, Kind>> = {
  "a million elements": dense(1_000_000),
  "400,000 features": outer(1, 400_000, 1, [{}, { norm: "closed form" }, { norm: "materialise" }]),
  "60,000 positions": outer(60_000, 2, 1, [{}]),
  "12,000 positions": outer(12_000, 1, 3, [{}, { norm: "materialise", sum: "contract" }]),
  "a convolution over 80,000 positions": convolution(80_002, 3),
  "a table of 5 rows and 50,000 positions": table(50_000, 5, [{ norm: "materialise" }]),
  "3,000 positions of a table": table(3_000, 5, ofRows),
};

describe.each(Object.entries(long))("with %s", (_, kind) => {
  it.each(kind.strategies)("norms are those in float64, and no sample moves the sum by more (%o)", async (strategy) => {
    const source = random(8);
    const data = dataFor(kind, 2, (n) => (n === 0 ? "equal" : "powers of two and a unit"), source);
    const steps = {
      loss: losses.output(),
      output: "loss",
      optimizer: sgd({ learningRate: 1 }),
      batchSize: 2,
      maxNorm: 1e-3,
      strategy,
    };
    const program = await perSample(kind.model, {
      loss: losses.output(),
      output: "loss",
      want: { norms: want.norms() },
      strategy,
    });
    const { norms } = await program.run(data);
    await program.release();
    for (let n = 0; n < 2; n++) {
      const exact = lengthOf(kind.exact(data, n).gradient);
      expect(Math.abs((norms.total.data[n] as number) / exact - 1)).toBeLessThan(1e-6);
    }
    const own = await setup(kind.model, data, steps, true);
    const clipper = await BatchClipper.compile(own, steps);
    const run = { parameters: own.parameters, groups: { all: 1e-3 } };
    const both = joined((await clipper.run(Uint32Array.of(0, 1), 0, run)).sums);
    const one = joined((await clipper.run(Uint32Array.of(1), 0, run)).sums);
    await clipper.release();
    const moved = lengthOf(both.map((x, i) => x - (one[i] as number))) / 1e-3;
    expect(moved).toBeLessThanOrEqual(1);
    expect(moved).toBeGreaterThan(0.98);
  });
});
