/**
 * Per-sample gradients keep their relative precision where activations and losses saturate: for inputs in [-30, 30]
 * they are within 1e-5 of formulas that do not cancel, evaluated in float64.
 */
import erfc from "@stdlib/math-base-special-erfc";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  constant,
  input,
  type Loss,
  losses,
  type Model,
  parameter,
  perSample,
  type Tensor,
  type Traced,
  want,
} from "../../src/index.js";

const sigmoid = (x: number) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));
const sigmoidSlope = (x: number) => sigmoid(x) * sigmoid(-x);
const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const sech2 = (x: number) => 4 * sigmoidSlope(2 * x);
const bell = (x: number) => (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x);
const normal = (x: number) => erfc(-x * Math.SQRT1_2) / 2;
const density = (x: number) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
const swishSlope = (x: number, a: number) => sigmoid(a * x) * (1 + a * x * sigmoid(-a * x));
const geluSlope = (x: number) => normal(x) + x * density(x);

function tanhGeluSlope(x: number): number {
  const k = 2 * Math.sqrt(2 / Math.PI);
  const [u, du] = [k * (x + 0.044715 * x ** 3), k * (1 + 3 * 0.044715 * x * x)];
  return sigmoid(u) * (1 + x * sigmoid(-u) * du);
}

function mishSlope(x: number): number {
  const e = Math.exp(x);
  const t = (e * (e + 2)) / (e * (e + 2) + 2);
  return t + x * sech2(softplus(x)) * sigmoid(x);
}

interface Activation {
  readonly of: (x: Traced) => Traced;
  readonly slope: (x: number) => number;
  /** Where the slope is 0, its relative error says nothing. */
  readonly zero?: number;
}

const unary =
  (op: string, attributes = {}) =>
  (x: Traced) =>
    x.onnx(op, [], attributes);

const activations: Readonly<Record<string, Activation>> = {
  Sigmoid: { of: unary("Sigmoid"), slope: sigmoidSlope },
  Tanh: { of: unary("Tanh"), slope: sech2 },
  Softplus: { of: unary("Softplus"), slope: sigmoid },
  Softsign: { of: unary("Softsign"), slope: (x) => 1 / (1 + Math.abs(x)) ** 2 },
  Erf: { of: unary("Erf"), slope: bell },
  Elu: { of: unary("Elu", { alpha: 1.5 }), slope: (x) => (x > 0 ? 1 : 1.5 * Math.exp(x)) },
  "Elu of alpha 1": { of: unary("Elu"), slope: (x) => (x > 0 ? 1 : Math.exp(x)) },
  Selu: {
    of: unary("Selu"),
    slope: (x) => 1.0507009873554805 * (x > 0 ? 1 : 1.6732632423543772 * Math.exp(x)),
  },
  Celu: { of: unary("Celu", { alpha: 2 }), slope: (x) => (x > 0 ? 1 : Math.exp(x / 2)) },
  HardSigmoid: { of: unary("HardSigmoid"), slope: (x) => (Math.abs(x) < 2.5 ? 0.2 : 0) },
  HardSwish: {
    of: unary("HardSwish"),
    slope: (x) => (x <= -3 ? 0 : x >= 3 ? 1 : x / 3 + 0.5),
    zero: -1.5,
  },
  Gelu: { of: unary("Gelu"), slope: geluSlope, zero: -0.7518 },
  "Gelu by tanh": { of: unary("Gelu", { approximate: "tanh" }), slope: tanhGeluSlope, zero: -0.7522 },
  Mish: { of: unary("Mish"), slope: mishSlope, zero: -1.1925 },
  Swish: { of: unary("Swish", { alpha: 1.7 }), slope: (x) => swishSlope(x, 1.7), zero: -0.752 },
  "x sigmoid(x)": { of: (x) => x.mul(x.sigmoid()), slope: (x) => swishSlope(x, 1), zero: -1.2785 },
  "Gelu in its parts": {
    of: (x) => x.div(Math.SQRT2).erf().add(1).mul(x).mul(0.5),
    slope: geluSlope,
    zero: -0.7518,
  },
  "Gelu by tanh in its parts": {
    of: (x) => {
      const inner = x
        .pow(3)
        .mul(0.044715)
        .add(x)
        .mul(Math.sqrt(2 / Math.PI));
      return x.mul(0.5).mul(inner.tanh().add(1));
    },
    slope: tanhGeluSlope,
    zero: -0.7522,
  },
  "Mish in its parts": { of: (x) => x.mul(x.softplus().tanh()), slope: mishSlope, zero: -1.1925 },
  "1 - sigmoid(x)": { of: (x) => x.sigmoid().neg().add(1), slope: (x) => -sigmoidSlope(x) },
  "x (1 - sigmoid(x))": {
    of: (x) => x.mul(x.sigmoid().neg().add(1)),
    slope: (x) => sigmoid(-x) * (1 - x * sigmoid(x)),
    zero: 1.2785,
  },
  "x (1 - erf(x))": {
    of: (x) => x.mul(x.erf().neg().add(1)),
    slope: (x) => erfc(x) - x * bell(x),
    zero: 0.5316,
  },
  "x (1 - tanh(x))": {
    of: (x) => x.mul(x.tanh().neg().add(1)),
    slope: (x) => 2 * sigmoid(-2 * x) - x * sech2(x),
    zero: 0.6393,
  },
  "squared sigmoid": { of: (x) => x.sigmoid().square(), slope: (x) => 2 * sigmoid(x) * sigmoidSlope(x) },
  "log(sigmoid(x))": { of: (x) => x.sigmoid().log(), slope: (x) => sigmoid(-x) },
  "log(1 - sigmoid(x))": { of: (x) => x.sigmoid().neg().add(1).log(), slope: (x) => -sigmoid(x) },
  "log(sigmoid(x)) by softplus": { of: (x) => x.neg().softplus().neg(), slope: (x) => sigmoid(-x) },
};

type Named = Readonly<Record<string, Tensor>>;

/** The gradients [N, C] of weights, all 1, by which the input x [N, C] is multiplied before the model sees it. */
async function gradientsOf(of: (x: Traced) => Traced, loss: Loss, data: Named & { x: Tensor }): Promise<Float32Array> {
  const classes = data.x.dims[1] as number;
  const [x, w] = [input("x", ["N", classes]), parameter("w", [classes])];
  const model: Model = {
    graph: {
      inputs: [x.value],
      parameters: [w.value],
      outputs: [{ name: "output", value: of(x.mul(w)).value }],
    },
    parameters: { w: floats([classes], new Float32Array(classes).fill(1)) },
    sampleAxes: { x: 0 },
    leftOut: {},
    notes: [],
  };
  const program = await perSample(model, { loss, want: { gradients: want.gradients() } });
  const { gradients } = await program.run(data);
  await program.release();
  return gradients.w?.data as Float32Array;
}

function floats(dims: readonly number[], data: Float32Array): Tensor<"float32"> {
  return { dtype: "float32", dims, data };
}

/**
 * Each sample's error, relative to the largest element of its gradient. Numbers that float32 does not hold with all
 * digits count as one that it does.
 */
function expectPrecise(found: Float32Array, expected: readonly number[][], what: (n: number) => unknown): void {
  expected.forEach((row, n) => {
    const scale = Math.max(...row.map(Math.abs), 2 ** -100);
    const own = found.subarray(n * row.length, (n + 1) * row.length);
    const error = Math.max(...row.map((element, c) => Math.abs((own[c] as number) - element))) / scale;
    if (!(error < 1e-5)) expect.fail(`${what(n)}: ${own} is not ${row}`);
  });
}

const grid = Array.from({ length: 601 }, (_, k) => -30 + k * 0.1);
const runs = { numRuns: 3 };
const numbers = fc.array(fc.double({ min: -30, max: 30, noNaN: true }), { minLength: 100, maxLength: 100 });

describe("activations keep the digits of their derivatives", () => {
  for (const [name, { of, slope, zero = Number.POSITIVE_INFINITY }] of Object.entries(activations)) {
    it(name, async () => {
      const property = fc.asyncProperty(numbers, async (drawn) => {
        const xs = Float32Array.from([...grid, ...drawn].filter((x) => Math.abs(x - zero) > 0.1));
        const found = await gradientsOf(of, losses.output(), { x: floats([xs.length, 1], xs) });
        expectPrecise(
          found,
          Array.from(xs, (x) => [x * slope(x)]),
          (n) => `x = ${xs[n]}`,
        );
      });
      await fc.assert(property, runs);
    });
  }
});

interface OfTwo {
  readonly of?: (x: Traced) => Traced;
  readonly loss: () => Loss;
  /** The derivative of the loss, of the logit and the target. */
  readonly slope: (x: number, target: number) => number;
}

const logistic = (x: number, t: number) => (1 - t) * sigmoid(x) - t * sigmoid(-x);
/** sigmoid(x) - t. */
const difference = (x: number, t: number) => (t === 1 ? -sigmoid(-x) : sigmoid(x) - t);
const sign = (x: number, t: number) => Math.sign(difference(x, t));
const probability = (x: Traced) => x.sigmoid();

const ofTwo: Readonly<Record<string, OfTwo>> = {
  bce_with_logits: { loss: losses.bceWithLogits, slope: logistic },
  "bce of a sigmoid": { of: probability, loss: losses.bce, slope: logistic },
  "bce of a sigmoid that is seen in other shapes": {
    of: (x) => x.unsqueeze(1).sigmoid().squeeze(1).transpose([1, 0]).transpose([1, 0]).reshape(["N", 1]),
    loss: losses.bce,
    slope: logistic,
  },
  "mse of a sigmoid": {
    of: probability,
    loss: losses.mse,
    slope: (x, t) => 2 * difference(x, t) * sigmoidSlope(x),
  },
  "l1 of a sigmoid": { of: probability, loss: losses.l1, slope: (x, t) => sign(x, t) * sigmoidSlope(x) },
  "smooth_l1 of a sigmoid": {
    of: probability,
    loss: () => losses.smoothL1({ beta: 2 }),
    slope: (x, t) => (difference(x, t) * sigmoidSlope(x)) / 2,
  },
  "huber of a sigmoid": {
    of: probability,
    loss: () => losses.huber({ delta: 3 }),
    slope: (x, t) => difference(x, t) * sigmoidSlope(x),
  },
  "a hinge": {
    loss: () => losses.custom((x, t) => x.mul(t.mul(2).sub(1)).neg().add(1).relu().mean([1])),
    slope: (x, t) => ((2 * t - 1) * x < 1 ? 1 - 2 * t : 0),
  },
  "a logistic loss of one's own": {
    loss: () => losses.custom((x, t) => x.mul(t.mul(2).sub(1)).neg().softplus().mean([1])),
    slope: (x, t) => (1 - 2 * t) * sigmoid((1 - 2 * t) * x),
  },
  "a cross entropy of one's own": {
    loss: () =>
      losses.custom((x, t) => {
        const p = x.sigmoid();
        const complement = (y: Traced) => y.neg().add(1);
        return t
          .mul(p.log())
          .add(complement(t).mul(complement(p).log()))
          .neg()
          .mean([1]);
      }),
    slope: logistic,
  },
};

describe("losses of two classes keep the digits of well-classified samples", () => {
  for (const [name, { of = (x: Traced) => x, loss, slope }] of Object.entries(ofTwo)) {
    it(name, async () => {
      const property = fc.asyncProperty(numbers, async (drawn) => {
        const all = [0, ...grid, ...drawn].flatMap((x) => [0, 1].map((t) => [Math.fround(x), t] as const));
        const data = {
          x: floats(
            [all.length, 1],
            Float32Array.from(all, ([x]) => x),
          ),
        };
        const target = floats(
          [all.length, 1],
          Float32Array.from(all, ([, t]) => t),
        );
        const found = await gradientsOf(of, loss(), { ...data, target });
        expectPrecise(
          found,
          all.map(([x, t]) => [x * slope(x, t)]),
          (n) => `(x, target) = ${all[n]}`,
        );
      });
      await fc.assert(property, runs);
    });
  }
});

const classes = 4;

/** softmax(x) less one at the label, as the sum of all others. */
function likelihoodSlope(x: readonly number[], label: number): number[] {
  const most = Math.max(...x);
  const exps = x.map((each) => Math.exp(each - most));
  const total = exps.reduce((sum, each) => sum + each, 0);
  const others = exps.reduce((sum, each, c) => (c === label ? sum : sum + each), 0);
  return exps.map((each, c) => (c === label ? -others : each) / total);
}

const ofMany: Readonly<Record<string, { of?: (x: Traced) => Traced; loss: Loss }>> = {
  cross_entropy: { loss: losses.crossEntropy() },
  "cross_entropy with labels that do not count": { loss: losses.crossEntropy({ ignoreIndex: -100 }) },
  "nll of LogSoftmax": { of: (x) => x.logSoftmax(), loss: losses.nll() },
  "nll of the logarithm of Softmax": { of: (x) => x.softmax().log(), loss: losses.nll() },
  SoftmaxCrossEntropyLoss: {
    loss: losses.custom((x, labels) => x.onnx("SoftmaxCrossEntropyLoss", [labels], { reduction: "none" }), {
      target: ({ shape }) => ({ dtype: "int64", shape: shape.slice(0, 1) }),
    }),
  },
  "a cross entropy with all classes' targets": {
    loss: losses.custom(
      (x, labels) => {
        const one = labels
          .unsqueeze(1)
          .equal(constant([[0, 1, 2, 3]], "int64"))
          .cast("float32");
        return x.logSoftmax().mul(one).sum([1]).neg();
      },
      { target: ({ shape }) => ({ dtype: "int64", shape: shape.slice(0, 1) }) },
    ),
  },
};

const rows = fc.array(
  fc.tuple(
    fc.array(fc.double({ min: -15, max: 15, noNaN: true }), { minLength: classes, maxLength: classes }),
    fc.nat(classes - 1),
    fc.boolean(),
  ),
  { minLength: 300, maxLength: 300 },
);

describe("losses of many classes keep the digits of well-classified samples", () => {
  for (const [name, { of = (x: Traced) => x, loss }] of Object.entries(ofMany)) {
    it(name, async () => {
      const property = fc.asyncProperty(rows, async (drawn) => {
        // Half of the samples have the label that the logits say.
        const all = drawn.map(([logits, label, right]) => {
          const x = logits.map(Math.fround);
          return { x, label: right ? x.indexOf(Math.max(...x)) : label };
        });
        const found = await gradientsOf(of, loss, {
          x: floats([all.length, classes], Float32Array.from(all.flatMap(({ x }) => x))),
          target: { dtype: "int64", dims: [all.length], data: BigInt64Array.from(all, ({ label }) => BigInt(label)) },
        });
        const expected = all.map(({ x, label }) =>
          likelihoodSlope(x, label).map((slope, c) => slope * (x[c] as number)),
        );
        expectPrecise(found, expected, (n) => JSON.stringify(all[n]));
      });
      await fc.assert(property, runs);
    });
  }

  it("a Softmax that one class fills", async () => {
    const property = fc.asyncProperty(rows, async (drawn) => {
      const xs = drawn.map(([logits]) => logits.map((x) => Math.fround(2 * x)));
      const weights = [0.3, -0.8, 0.5, 1.1];
      const of = (x: Traced) =>
        x
          .softmax()
          .mul(constant([weights]))
          .sum([1]);
      const found = await gradientsOf(of, losses.output(), {
        x: floats([xs.length, classes], Float32Array.from(xs.flat())),
      });
      const expected = xs.map((x) => {
        // p_i times the sum over j of p_j (w_i - w_j), in which nothing cancels but the weights.
        const most = Math.max(...x);
        const exps = x.map((each) => Math.exp(each - most));
        const total = exps.reduce((sum, each) => sum + each, 0);
        return x.map((each, i) => {
          const gap = exps.reduce(
            (sum, e, j) => sum + (e / total) * ((weights[i] as number) - (weights[j] as number)),
            0,
          );
          return each * ((exps[i] as number) / total) * gap;
        });
      });
      expectPrecise(found, expected, (n) => JSON.stringify(xs[n]));
    });
    await fc.assert(property, runs);
  });
});

/** The derivatives of the state after a step from zeros, with respect to what goes into each gate. */
const steps: Readonly<Record<string, { width: number; slopes: (x: readonly number[]) => number[] }>> = {
  RNN: { width: 1, slopes: ([x = 0]) => [sech2(x)] },
  // (1 - sigmoid(z)) tanh(c)
  GRU: {
    width: 3,
    slopes: ([z = 0, , c = 0]) => [-sigmoidSlope(z) * Math.tanh(c), 0, sigmoid(-z) * sech2(c)],
  },
  // sigmoid(o) tanh(sigmoid(i) tanh(c))
  LSTM: {
    width: 4,
    slopes: ([i = 0, o = 0, , c = 0]) => {
      const cell = sigmoid(i) * Math.tanh(c);
      const through = sigmoid(o) * sech2(cell);
      return [
        through * sigmoidSlope(i) * Math.tanh(c),
        sigmoidSlope(o) * Math.tanh(cell),
        0,
        through * sigmoid(i) * sech2(c),
      ];
    },
  },
};

describe("recurrent layers", () => {
  // One step of one unit: the gates are saturated to either side.
  const gates = fc.array(fc.array(fc.double({ min: -30, max: 30, noNaN: true }), { minLength: 4, maxLength: 4 }), {
    minLength: 200,
    maxLength: 200,
  });
  for (const [op, { width, slopes }] of Object.entries(steps)) {
    it(`the gates of one step of ${op} keep the digits of their derivatives`, async () => {
      const property = fc.asyncProperty(gates, async (drawn) => {
        const xs = drawn.map((each) => each.slice(0, width).map(Math.fround));
        const one = Float32Array.from({ length: width * width }, (_, k) => Number(k % (width + 1) === 0));
        const weights = [floats([1, width, width], one), floats([1, width, 1], new Float32Array(width))];
        const of = (x: Traced) =>
          x
            .unsqueeze(0)
            .onnx(
              op,
              weights.map((weight) => constant(weight)),
              { hidden_size: 1 },
            )
            .reshape(["N", 1]);
        const data = floats([xs.length, width], Float32Array.from(xs.flat()));
        const found = await gradientsOf(of, losses.output(), { x: data });
        expectPrecise(
          found,
          xs.map((x) => slopes(x).map((slope, k) => slope * (x[k] as number))),
          (n) => JSON.stringify(xs[n]),
        );
      });
      await fc.assert(property, runs);
    });
  }
});
