/**
 * What was selected away contributes exactly 0, whatever its own derivative is; what was selected is not hidden.
 * Drawn: parameters, then an operator that is singular at places which a selection leaves out. The oracle is the same
 * graph with another selection before the operator ("double where"), which nothing singular ever reaches.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Oracle } from "../../src/check/oracle.js";
import { objectiveOf } from "../../src/compile/objective.js";
import type { Array64 } from "../../src/float64/array64.js";
import { array64 } from "../../src/float64/array64.js";
import { N } from "../../src/graph/dim.js";
import { leaf, type Value } from "../../src/graph/value.js";
import { losses } from "../../src/nn/losses.js";
import { build } from "../../src/ops/registry.js";
import { scan } from "../../src/ops/rules/scan.js";
import { perSample } from "../../src/program/per-sample.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { want } from "../../src/wants/want.js";
import { typed } from "../support/op-checks.js";
import { type Case, compareWithLoop, expectClose, loopGradients, numbers } from "../support/per-sample.js";
import { compare } from "../support/random-graph/compare.js";
import type { Drawn as Drawn32 } from "../support/random-graph/leaves.js";
import "../support/seed.js";

const [T, D] = [4, 3];
const number = (value: number, like: Value) => build.scalar(value, like);
const op = (name: string, inputs: readonly Value[], attributes = {}) => build.op(name, inputs, attributes);
const along = (value: Value, name: string) => build.reduce(name, value, [2], true);

interface Singular {
  /** Of `[N, T, D]`, to `[N, T, D]` or `[N, T, 1]`. */
  readonly f: (u: Value) => Value;
  /** Where its derivative is not finite, and where it is, also within 0.5 of it. */
  readonly at: number;
  readonly regular: number;
  /** Its value is finite where its derivative is not. */
  readonly finite?: boolean;
  /** Its value is larger than 1e3 in absolute value where it is singular, for a maximum or a bound to drop. */
  readonly sign?: 1 | -1;
}

const singular: Record<string, Singular> = {
  log: { f: build.log, at: 0, regular: 3, sign: -1 },
  sqrt: { f: build.sqrt, at: 0, regular: 3, finite: true },
  "sqrt of negatives": { f: build.sqrt, at: -7, regular: 3 },
  reciprocal: { f: (u) => op("Reciprocal", [u]), at: 0, regular: 3 },
  "division by it": { f: (u) => build.div(number(2, u), u), at: 0, regular: 3 },
  "0 / 0": { f: (u) => build.div(u, u), at: 0, regular: 3 },
  "negative power": { f: (u) => op("Pow", [u, number(-1.5, u)]), at: 0, regular: 3 },
  root: { f: (u) => op("Pow", [u, number(0.25, u)]), at: 0, regular: 3, finite: true },
  "exponent of a power": { f: (u) => op("Pow", [number(3, u), u]), at: 1e5, regular: 1 },
  exp: { f: build.exp, at: 1e5, regular: 0, sign: 1 },
  "softplus by hand": { f: (u) => build.log(build.add(build.exp(u), number(1, u))), at: 1e5, regular: 0, sign: 1 },
  "sigmoid by hand": {
    f: (u) => op("Reciprocal", [build.add(build.exp(build.neg(u)), number(1, u))]),
    at: -1e5,
    regular: 0,
    finite: true,
  },
  sinh: { f: (u) => op("Sinh", [u]), at: 1e5, regular: 0, sign: 1 },
  acos: { f: (u) => op("Acos", [u]), at: 1, regular: 0, finite: true },
  asin: { f: (u) => op("Asin", [u]), at: -1, regular: 0, finite: true },
  acosh: { f: (u) => op("Acosh", [u]), at: 1, regular: 3, finite: true },
  atanh: { f: (u) => op("Atanh", [u]), at: 1, regular: 0 },
  "norm by hand": { f: (u) => build.sqrt(along(build.square(u), "ReduceSum")), at: 0, regular: 1, finite: true },
  "normalised by L2": { f: (u) => build.div(u, along(u, "ReduceL2")), at: 0, regular: 1 },
  "layer norm by hand": {
    f: (u) => {
      const left = build.sub(u, along(u, "ReduceMean"));
      return build.div(left, build.sqrt(along(build.square(left), "ReduceMean")));
    },
    at: 0,
    regular: 1,
  },
  "log of a softmax": {
    f: (u) => build.log(op("Softmax", [build.mul(u, build.floats([1, 0, -1], [D], u))], { axis: 2 })),
    at: 1e5,
    regular: 1,
  },
  "log sum by hand": { f: (u) => op("ReduceLogSum", [build.square(u), build.ints([2])]), at: 0, regular: 1 },
};

/** Rows of -inf: all of a row is masked. */
const masked: Record<string, (u: Value) => Value> = {
  softmax: (u) => op("Softmax", [u], { axis: 2 }),
  "log softmax": (u) => op("LogSoftmax", [u], { axis: 2 }),
  "log sum of exponentials": (u) => op("ReduceLogSumExp", [u, build.ints([2])], { keepdims: 1 }),
  "softmax by hand": (u) => {
    const e = build.exp(build.sub(u, along(u, "ReduceMax")));
    return build.div(e, along(e, "ReduceSum"));
  },
};

const befores = ["scale", "matmul", "convolution", "table", "two layers"] as const;
const afters = ["nothing", "scale", "matmul", "convolution", "normalisation", "exponential"] as const;
const selections = ["where", "where not", "slice", "gather", "scatter", "concat", "is NaN", "bound", "mask"] as const;

interface Drawn {
  readonly kind: string;
  readonly before: (typeof befores)[number];
  readonly after: (typeof afters)[number];
  readonly selection: (typeof selections)[number];
  readonly samples: number;
  /** Which positions are selected: of each sample those whose bit is set, in turn. */
  readonly pattern: number;
}

interface Built {
  readonly test: Case;
  /** Without anything singular. */
  readonly safe: Case;
}

class Composition {
  readonly parameters = new Map<Value, Array64>();

  parameter(name: string, ...dims: number[]): Value {
    const value = leaf(name, { dtype: "float32", shape: dims }, { kind: "parameter" });
    const { data } = numbers(dims, this.parameters.size + 1);
    this.parameters.set(value, { dims, data: data.map((x) => x / 4) });
    return value;
  }

  /** `[N, T, D]`, a row of zeros for a row of zeros. */
  before(x: Value, ids: Value, how: Drawn["before"]): Value {
    switch (how) {
      case "scale":
        return build.mul(x, this.parameter("before", D));
      case "matmul":
        return build.matmul(x, this.parameter("before", D, D));
      case "convolution": {
        const images = build.transpose(x, [0, 2, 1]);
        return build.transpose(op("Conv", [images, this.parameter("before", D, D, 1)]), [0, 2, 1]);
      }
      case "table":
        return build.mul(build.gather(this.parameter("before", 5, D), ids, 0), build.abs(build.sign(x)));
      case "two layers": {
        const inner = op("Relu", [build.matmul(x, this.parameter("before", D, 5))]);
        return build.matmul(inner, this.parameter("second", 5, D));
      }
    }
  }

  after(y: Value, how: Drawn["after"]): Value {
    const size = y.shape[2] as number;
    switch (how) {
      case "nothing":
        return y;
      case "scale":
        return build.add(build.mul(y, this.parameter("gain", size)), this.parameter("shift", size));
      case "matmul":
        return build.add(build.matmul(y, this.parameter("after", size, D)), this.parameter("bias", D));
      case "convolution": {
        const images = build.transpose(y, [0, 2, 1]);
        return build.transpose(op("Conv", [images, this.parameter("after", 2, size, 1)]), [0, 2, 1]);
      }
      case "normalisation":
        return op("LayerNormalization", [y, this.parameter("gain", size)], { axis: -1, epsilon: 0.1 });
      case "exponential":
        return build.mul(build.exp(build.neg(build.square(y))), this.parameter("gain", size));
    }
  }
}

const places = (pattern: number) => Array.from({ length: T }, (_, t) => ((pattern >> t) & 1) === 1);

/** Zeros at the places that are not selected. */
function selected(y: Value, keep: Value, indices: Value, { selection, pattern }: Drawn): Value {
  const size = y.shape[2] as number;
  const kept = places(pattern).flatMap((kept, t) => (kept ? [t] : []));
  const zeros = number(0, y);
  switch (selection) {
    case "where":
      return build.where(keep, y, zeros);
    case "where not":
      return build.where(build.not(keep), zeros, y);
    case "is NaN":
      return build.where(build.op("Or", [build.op("IsNaN", [y]), build.not(keep)]), zeros, y);
    case "slice":
      return build.concat(
        kept.map((t) => build.slice(y, 1, t, t + 1)),
        1,
      );
    case "concat":
      return build.concat(
        places(pattern).map((kept, t) => build.slice(kept ? y : build.zeros(y.shape, y.dtype), 1, t, t + 1)),
        1,
      );
    case "gather":
      return op("GatherElements", [y, build.expand(indices, [N, kept.length, size])], { axis: 1 });
    case "scatter": {
      const gone = places(pattern).flatMap((kept, t) => (kept ? [] : [t]));
      const dims = [N, gone.length, size] as const;
      const at = build.expand(build.ints(gone, [1, gone.length, 1]), dims);
      return op("ScatterElements", [y, at, build.zeros(dims, y.dtype)], { axis: 1 });
    }
    case "bound":
      return y;
    case "mask":
      return build.mul(y, build.cast(keep, y.dtype));
  }
}

/** @param linear nothing behind the selection may saturate; `alsoSelected`: what sample 0 selects is singular too */
function make(drawn: Drawn, { linear = false, alsoSelected = false } = {}): Built {
  const { kind, samples, pattern } = drawn;
  const spec = singular[kind];
  const kept = places(pattern);
  const input = (name: string, dtype: "float32" | "bool" | "int64", shape: readonly number[]) =>
    leaf(name, { dtype, shape: [N, ...shape] }, { kind: "input" });
  const x = input("x", "float32", [T, D]);
  const ids = input("ids", "int64", [T]);
  const keep = input("keep", "bool", [T, 1]);
  const indices = input("indices", "int64", [kept.filter((one) => one).length, 1]);
  const offset = input("offset", "float32", [T, 1]);
  const graph = (safe: boolean) => {
    const composition = new Composition();
    const start = composition.before(x, ids, drawn.before);
    const raw = build.add(build.scale(start, 0.3), offset);
    const held = safe ? build.where(keep, raw, number(spec?.regular ?? 0, raw)) : raw;
    const mask = build.where(keep, number(0, x), number(Number.NEGATIVE_INFINITY, x));
    // The rows differ, so that nothing regular is singular by chance.
    const uneven = build.floats([0, 0.2, -0.1], [D], x);
    const lifted = kind === "0 / 0" || spec?.at !== 0 ? held : build.add(held, build.mul(uneven, build.abs(offset)));
    const argument = spec ? lifted : build.add(raw, safe ? number(0, x) : mask);
    const f = spec ? spec.f(argument) : (masked[kind] as (u: Value) => Value)(argument);
    const full = f.shape.length === 2 ? build.unsqueeze(f, [2]) : f;
    const limit = number(20, full);
    const bounded =
      drawn.selection !== "bound"
        ? full
        : spec?.sign === 1
          ? op("Min", [full, limit])
          : op("Max", [full, build.neg(limit)]);
    const picked = selected(composition.after(bounded, drawn.after), keep, indices, drawn);
    const own = safe && drawn.selection === "bound" ? build.where(keep, picked, number(0, picked)) : picked;
    const terms = linear ? own : build.square(build.tanh(own));
    return { losses: build.sum(terms, [1, 2]), parameters: composition.parameters };
  };
  const every = <V>(f: (n: number, t: number) => V) =>
    Array.from({ length: samples * T }, (_, k) => f(Math.floor(k / T), k % T));
  const row = numbers([samples, T, D], 7).data;
  const shown = (t: number) => kept[t] as boolean;
  const data = new Map<Value, Array64>([
    [
      x,
      array64(
        [samples, T, D],
        row.map((value, k) => (shown(Math.floor(k / D) % T) && !(alsoSelected && k < T * D) ? value / 2 : 0)),
      ),
    ],
    [
      ids,
      array64(
        [samples, T],
        every((n, t) => (n + 2 * t) % 5),
      ),
    ],
    [
      keep,
      array64(
        [samples, T, 1],
        every((_, t) => Number(shown(t))),
      ),
    ],
    [
      indices,
      array64(
        [samples, indices.shape[1] as number, 1],
        Array.from({ length: samples }, () => kept.flatMap((one, t) => (one ? [t] : []))).flat(),
      ),
    ],
    [
      offset,
      array64(
        [samples, T, 1],
        every((n, t) => (shown(t) && !(alsoSelected && n === 0) ? (spec?.regular ?? 0) : (spec?.at ?? 0))),
      ),
    ],
  ]);
  const inputs = new Map([...data].map(([value, array]) => [value, { axis: 0, array }] as const));
  return { test: { ...graph(false), inputs, samples }, safe: { ...graph(true), inputs, samples } };
}

/** A bound drops what is infinite, and only what nothing follows; a mask of zeros only what is finite. */
function fits({ kind, after, selection }: Drawn): boolean {
  const spec = singular[kind];
  if (selection === "bound") return spec?.sign !== undefined && after === "nothing";
  if (selection === "mask") return spec?.finite === true;
  return true;
}

const drawn: fc.Arbitrary<Drawn> = fc
  .record({
    kind: fc.constantFrom(...Object.keys(singular), ...Object.keys(masked)),
    before: fc.constantFrom(...befores),
    after: fc.constantFrom(...afters),
    selection: fc.constantFrom(...selections),
    samples: fc.constantFrom(0, 1, 3),
    pattern: fc.integer({ min: 1, max: 2 ** T - 2 }),
  })
  .filter(fits);

function expectSame({ test, safe }: Built): void {
  const [found, wanted] = [loopGradients(test), loopGradients(safe)];
  const names = new Map([...wanted].map(([{ name }, gradients]) => [name, gradients]));
  for (const [{ name }, gradients] of found)
    gradients.forEach((gradient, n) => {
      const other = names.get(name)?.[n] as Float64Array;
      expect(other.every(Number.isFinite), `${name} of sample ${n}, the oracle`).toBe(true);
      expectClose(gradient, other, 1e-9, `${name} of sample ${n}`, 1e-6);
    });
}

/** The case as a model with data, its parameters in float32. */
function modelOf({ losses, parameters, inputs }: Case): Drawn32 {
  const tensor = ({ name, dtype }: Value, { dims, data }: Array64) =>
    [name, { dtype, dims, data: typed({ dims, data }, dtype).data } as Tensor] as const;
  return {
    model: {
      graph: {
        inputs: [...inputs.keys()],
        parameters: [...parameters.keys()],
        outputs: [{ name: "loss", value: losses }],
      },
      parameters: Object.fromEntries([...parameters].map(([value, array]) => tensor(value, array))) as Record<
        string,
        Tensor<"float32">
      >,
      sampleAxes: Object.fromEntries([...inputs].map(([{ name }, { axis }]) => [name, axis])),
      leftOut: {},
      notes: [],
    },
    data: Object.fromEntries([...inputs].map(([value, { array }]) => tensor(value, array))),
  };
}

/** Where what follows makes the derivative 0, as a sigmoid does of an infinite argument. */
const vanishing = (kind: string, after: Drawn["after"]) => kind === "sigmoid by hand" || after === "exponential";

const finite = (array: ArrayLike<number>) => Array.from(array).every(Number.isFinite);

describe("what a selection leaves out contributes nothing", () => {
  it("in the loop", () => {
    fc.assert(
      fc.property(drawn, (each) => expectSame(make(each))),
      { numRuns: 100 },
    );
  });

  it("by every way of every kind", () => {
    fc.assert(
      fc.property(drawn, (each) => {
        compareWithLoop(make(each).test);
      }),
      { numRuns: 30 },
    );
  });

  it("in programs, whatever is wanted", async () => {
    await fc.assert(
      fc.asyncProperty(drawn, (each) => compare(modelOf(make(each).test))),
      { numRuns: 15 },
    );
  });
});

describe("what was selected is not hidden", () => {
  it("one selected place that is singular spoils its own sample, and no other", () => {
    const three = drawn.filter(
      ({ kind, samples, selection, after }) =>
        samples === 3 &&
        singular[kind] !== undefined &&
        !["is NaN", "bound"].includes(selection) &&
        !vanishing(kind, after),
    );
    fc.assert(
      fc.property(three, (each) => {
        const [{ test }, { safe }] = [make(each, { linear: true, alsoSelected: true }), make(each, { linear: true })];
        const wanted = new Map([...loopGradients(safe)].map(([{ name }, gradients]) => [name, gradients]));
        const found = [...loopGradients(test)];
        expect(found.some(([, [first]]) => !finite(first as Float64Array))).toBe(true);
        for (const [{ name }, gradients] of found)
          for (const n of [1, 2])
            expectClose(gradients[n] as Float64Array, wanted.get(name)?.[n] as Float64Array, 1e-9, name, 1e-6);
      }),
      { numRuns: 50 },
    );
  });
});

const scalarLoss = (y: Value) => build.sum(build.square(y), y.shape.map((_, axis) => axis).slice(1));

/** Two graphs of the same inputs and parameters, in which nothing singular reaches the second. */
function pair(
  given: Readonly<Record<string, Array64 & { readonly dtype?: "bool" | "int64" }>>,
  parameters: Readonly<Record<string, readonly number[]>>,
  graph: (v: Readonly<Record<string, Value>>, safe: boolean) => Value,
): Built {
  const samples = Object.values(given)[0]?.dims[0] as number;
  const leaves = Object.entries(given).map(([name, { dims, data, dtype }]) => {
    const value = leaf(name, { dtype: dtype ?? "float32", shape: [N, ...dims.slice(1)] }, { kind: "input" });
    return [value, { axis: 0, array: { dims, data } }] as const;
  });
  const own = Object.entries(parameters).map(([name, dims], k) => {
    const { data } = numbers(dims, k + 3);
    const value = leaf(name, { dtype: "float32", shape: dims }, { kind: "parameter" });
    return [value, { dims, data: data.map((x) => Math.fround(x / 2)) }] as const;
  });
  const byName = Object.fromEntries([...leaves, ...own].map(([value]) => [value.name, value]));
  const common = { parameters: new Map(own), inputs: new Map(leaves), samples };
  return { test: { losses: graph(byName, false), ...common }, safe: { losses: graph(byName, true), ...common } };
}

const get = (v: Readonly<Record<string, Value>>, name: string) => v[name] as Value;
const bools = (dims: readonly number[], test: (k: number) => boolean) => {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return {
    ...array64(
      dims,
      Array.from({ length: size }, (_, k) => Number(test(k))),
    ),
    dtype: "bool" as const,
  };
};

describe("what a selection leaves out, in operators of many places", () => {
  const check = async (built: Built) => {
    expectSame(built);
    compareWithLoop(built.test);
    await compare(modelOf(built.test));
  };

  it("a convolution whose windows over a patch of infinite activations are all left out", async () => {
    const kinds: readonly (readonly [number, boolean])[] = [
      [1, false],
      [2, false],
      [1, true],
      [2, true],
    ];
    for (const [groups, transposed] of kinds)
      await check(
        pair(
          { x: numbers([2, 2, 6, 6], 1), patch: bools([2, 1, 6, 6], (k) => k % 36 === 7 || k % 36 === 8) },
          { a: [2, 1, 1], w: [2, 2 / groups, 3, 3], b: [2] },
          (v, safe) => {
            const [x, patch, w, b] = ["x", "patch", "w", "b"].map((name) => get(v, name)) as [
              Value,
              Value,
              Value,
              Value,
            ];
            const zero = number(0, x);
            const scaled = build.mul(build.where(patch, zero, x), get(v, "a"));
            const logs = build.log(build.square(safe ? build.where(patch, number(1, x), scaled) : scaled));
            const y = op(transposed ? "ConvTranspose" : "Conv", [logs, w, b], { pads: [1, 1, 1, 1], group: groups });
            // All windows that touch the patch, and no more.
            const touched = build.op("MaxPool", [build.cast(patch, "float32")], {
              kernel_shape: [3, 3],
              pads: [1, 1, 1, 1],
            });
            return scalarLoss(build.tanh(build.where(build.greater(touched, zero), zero, y)));
          },
        ),
      );
  });

  it("attention with rows that are masked fully, by -inf and by two masks of the lowest float", async () => {
    const lowest = -3.4028234663852886e38;
    for (const [first, second] of [
      [Number.NEGATIVE_INFINITY, 0],
      [lowest, lowest],
    ] as const)
      await check(
        pair(
          { x: numbers([2, 4, 3], 2), pad: bools([2, 4], (k) => k % 4 < Math.floor(k / 4) + 1) },
          { q: [3, 3], k: [3, 3], v: [3, 3], o: [3, 2] },
          (v, safe) => {
            const [x, pad] = [get(v, "x"), get(v, "pad")];
            const keys = build.unsqueeze(pad, [1]);
            const causal = build.floats(
              Array.from({ length: 16 }, (_, k) => (k % 4 > Math.floor(k / 4) ? (second === 0 ? first : second) : 0)),
              [4, 4],
              x,
            );
            const products = build.matmul(
              build.matmul(x, get(v, "q")),
              build.transposeLast(build.matmul(x, get(v, "k"))),
            );
            const padded = build.where(keys, number(safe ? -100 : first, x), number(0, x));
            const rows = build.unsqueeze(pad, [2]);
            const held = safe ? build.where(rows, number(0, x), build.add(causal, padded)) : build.add(causal, padded);
            const scores = build.add(products, held);
            const weights = op("Softmax", [scores], { axis: 2 });
            const mixed = build.matmul(build.matmul(weights, build.matmul(x, get(v, "v"))), get(v, "o"));
            return scalarLoss(build.tanh(build.where(rows, number(0, x), mixed)));
          },
        ),
      );
  });
});

describe("what a loop leaves out", () => {
  it("contributes nothing to what the loop's body reads", async () => {
    const built = pair(
      { x: numbers([2, 4, 3], 2), live: bools([2, 4, 1], (k) => k % 4 < 2 + Math.floor(k / 4)) },
      { w: [3, 2], r: [2, 2], g: [2] },
      (v, safe) => {
        const [x, live] = [get(v, "x"), get(v, "live")];
        const held = build.where(live, x, number(0, x));
        const steps = build.transpose(held, [1, 0, 2]);
        const shown = build.transpose(build.cast(live, "float32"), [1, 0, 2]);
        const start = build.zeros([N, 2], x.dtype);
        const { states } = scan(build, { initial: [start], scanned: [steps, shown] }, ([h], [now, kept]) => {
          const [state, seen] = [h as Value, build.greater(kept as Value, number(0, x))];
          const entered = build.matmul(now as Value, get(v, "w"));
          const root = safe ? build.where(seen, build.abs(entered), number(1, x)) : build.abs(entered);
          const logs = build.mul(build.log(root), get(v, "g"));
          const next = build.tanh(build.add(build.matmul(logs, get(v, "r")), state));
          return { states: [build.where(seen, next, state)], results: [] };
        });
        return scalarLoss(states[0] as Value);
      },
    );
    expectSame(built);
    compareWithLoop(built.test);
    await compare(modelOf(built.test));
  });
});

describe("maxima and the largest of a row", () => {
  it.each([
    ["MaxPool", (y: Value) => op("MaxPool", [build.unsqueeze(y, [1])], { kernel_shape: [2], strides: [2] })],
    ["ReduceMax", (y: Value) => build.reduce("ReduceMax", y, [1])],
    ["TopK", (y: Value) => build.node("TopK", [y, build.ints([2])], { axis: 1 }, 2).outputs[0] as Value],
    ["Relu", (y: Value) => op("Relu", [build.add(y, number(3, y))])],
    ["Clip", (y: Value) => op("Clip", [y, number(-5, y), number(5, y)])],
    ["LeakyRelu", (y: Value) => op("Relu", [op("LeakyRelu", [build.add(y, number(3, y))])])],
    ["Softmax", (y: Value) => op("Softmax", [y], { axis: 1 })],
    ["LogSumExp", (y: Value) => op("ReduceLogSumExp", [y, build.ints([1])])],
    ["sigmoid", (y: Value) => build.sigmoid(y)],
  ] as const)("%s leaves out the logarithm of 0", async (_name, choose) => {
    const zero = (k: number) => k % 4 === 1 || k % 4 === 2;
    const { dims, data } = numbers([3, 4], 5);
    const built = pair(
      {
        x: array64(
          dims,
          data.map((value, k) => (zero(k) ? 0 : 0.2 + Math.abs(value))),
        ),
        live: bools([3, 4], (k) => !zero(k)),
      },
      { w: [4] },
      (v, safe) => {
        const [x, live] = [get(v, "x"), get(v, "live")];
        const scaled = build.abs(build.mul(x, get(v, "w")));
        const logs = safe
          ? build.where(live, build.log(build.where(live, scaled, number(1, x))), number(-1e30, x))
          : build.log(scaled);
        return scalarLoss(choose(logs));
      },
    );
    expectSame(built);
    compareWithLoop(built.test);
    await compare(modelOf(built.test));
  });
});

describe("data that holds NaN and infinity, and is allowed to", () => {
  const masked = (tested: boolean) =>
    pair(
      {
        x: (() => {
          const { dims, data } = numbers([3, 4, 2], 3);
          return array64(
            dims,
            data.map((value, k) =>
              k % 8 < 2 ? ([Number.NaN, Number.POSITIVE_INFINITY][k % 2] ?? 0) : Math.fround(value),
            ),
          );
        })(),
        live: bools([3, 4, 1], (k) => k % 4 > 0),
      },
      { w: [2, 3], b: [3], g: [3], o: [3, 2] },
      (v, safe) => {
        const [x, live] = [get(v, "x"), get(v, "live")];
        const known = tested ? build.not(build.op("IsNaN", [build.slice(x, 2, 0, 1)])) : live;
        const held = safe ? build.where(live, x, number(0, x)) : x;
        const inner = op("Relu", [build.add(build.matmul(held, get(v, "w")), get(v, "b"))]);
        const normal = op("LayerNormalization", [inner, get(v, "g")], { axis: -1, epsilon: 1e-5 });
        const y = build.tanh(build.matmul(normal, get(v, "o")));
        return scalarLoss(build.where(safe ? live : known, y, number(0, x)));
      },
    );

  it.each([
    ["the model masks it", false],
    ["the model asks whether it is NaN", true],
  ])("contributes nothing where %s", async (_name, tested) => {
    const { test, safe } = masked(tested);
    const clean = new Map(
      [...safe.inputs].map(([value, { axis, array }]) => [
        value,
        {
          axis,
          array: array64(
            array.dims,
            array.data.map((x) => (Number.isFinite(x) ? x : 0)),
          ),
        },
      ]),
    );
    const wanted = new Map([...loopGradients({ ...safe, inputs: clean })].map(([{ name }, all]) => [name, all]));
    const { model, data } = modelOf(test);
    const options = { loss: losses.output() };
    const oracle = new Oracle(objectiveOf(model, options), data);
    const program = await perSample(model, { ...options, want: { gradients: want.gradients(), norms: want.norms() } });
    await expect(program.run(data)).rejects.toThrow("NaN or infinity");
    const { gradients, norms } = await program.run(data, { allowNotFinite: true });
    await program.release();
    expect(finite(norms.total.data)).toBe(true);
    for (const [name, all] of wanted) {
      const flat = all.flatMap((each) => [...each]);
      expectClose(gradients[name]?.data ?? [], flat, 1e-4, name, 1e-2);
      all.forEach((each, n) => {
        expectClose(oracle.sample(n).gradients.get(name) ?? [], each, 1e-9, name, 1e-6);
      });
    }
  });

  it("comes through where it is not left out", async () => {
    const { test } = masked(false);
    const [live] = [...test.inputs].filter(([{ name }]) => name === "live").map(([value]) => value) as [Value];
    const all = test.inputs.get(live) as { axis: number; array: Array64 };
    const inputs = new Map(test.inputs).set(live, {
      axis: 0,
      // The first sample reads everything.
      array: array64(
        all.array.dims,
        all.array.data.map((x, k) => (k < 4 ? 1 : x)),
      ),
    });
    const { model, data } = modelOf({ ...test, inputs });
    const program = await perSample(model, { loss: losses.output(), want: { norms: want.norms() } });
    const { norms } = await program.run(data, { allowNotFinite: true });
    await program.release();
    for (const each of Object.values(norms.parameters))
      expect(Array.from(each.data, Number.isFinite)).toEqual([false, true, true]);
  });
});
