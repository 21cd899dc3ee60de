/** Random cases of the operators that work element by element, along axes, or normalise. */
import fc from "fast-check";
import { anywhere, broadcastable, distinct, filled, ints, type OpCase, positive, shape } from "./op-checks.js";

export type Cases = fc.Arbitrary<OpCase>;
const pick = fc.constantFrom;
const bit = fc.nat(1);

// Element by element

const unaryCases = (
  op: string,
  elements = anywhere,
  attributes: fc.Arbitrary<Record<string, number | string>> = fc.constant({}),
): Cases =>
  fc
    .tuple(
      shape().chain((dims) => filled(dims, elements)),
      attributes,
    )
    .map(([x, own]) => ({ op, inputs: [x], attributes: own }));

/** Operands that broadcast to each other. */
const operands = (count: number, elements: fc.Arbitrary<number>, dtypes: readonly ("bool" | "float32")[]) =>
  shape().chain((dims) =>
    fc.tuple(
      ...Array.from({ length: count }, (_, k) => {
        const own = k === count - 1 ? fc.constant(dims) : broadcastable(dims);
        const dtype = dtypes[k] ?? "float32";
        return own.chain((to) => filled(to, dtype === "bool" ? bit : elements, { dtype }));
      }),
    ),
  );

const binaryCases = (op: string, dtype: "bool" | "float32" = "float32"): Cases =>
  operands(2, pick(-1, 0, 0.5, 2), [dtype, dtype]).map((inputs) => ({ op, inputs }));

const unitCases = (op: string, ...names: string[]): Cases =>
  unaryCases(op, anywhere, fc.record(Object.fromEntries(names.map((name) => [name, pick(0.01, 0.2, 0.7, 1.31)]))));

const awayFromZero = fc.tuple(positive, pick(-1, 1)).map(([x, sign]) => sign * (x + 0.4));
const inUnit = fc.integer({ min: -19, max: 18 }).map((i) => i * 0.05 + 0.013);
const aboveOne = positive.map((x) => x + 1);

const preluCases: Cases = shape()
  .chain((dims) =>
    fc.tuple(
      filled(dims),
      broadcastable(dims).chain((to) => filled(to)),
    ),
  )
  .map(([x, slope]) => ({ op: "PRelu", inputs: [x, slope] }));

const clipBound = (offset: number) =>
  fc.option(
    fc.integer({ min: -30, max: 30 }).map((i) => ({ dims: [], data: [i * 0.05 + offset], shared: true })),
    { nil: null },
  );
const clipCases: Cases = fc
  .tuple(
    shape().chain((dims) => filled(dims)),
    clipBound(0),
    clipBound(0.0225),
  )
  .map((inputs) => ({ op: "Clip", inputs }));

const castCases: Cases = fc
  .tuple(
    shape(),
    pick("float32" as const, "int32" as const, "int64" as const, "bool" as const),
    pick("float32", "float64", "int32", "int64", "bool"),
  )
  .chain(([dims, dtype, to]) =>
    filled(dims, dtype === "float32" ? anywhere : dtype === "bool" ? bit : fc.integer({ min: -5, max: 5 }), {
      dtype,
    }).map((x) => ({ op: "Cast", inputs: [x], attributes: { to } })),
  );

const castLikeCases: Cases = castCases.map(({ inputs, attributes }) => ({
  op: "CastLike",
  inputs: [
    inputs[0] ?? null,
    {
      dims: [2],
      data: [1, 0],
      dtype: attributes?.to === "float64" ? "float32" : (attributes?.to as "int32"),
      shared: true,
    },
  ],
}));

const swigluCases: Cases = fc
  .tuple(shape(), pick(1, 1.702, -0.5))
  .chain(([dims, alpha]) =>
    fc.tuple(filled(dims), filled(dims)).map((inputs) => ({ op: "SwiGLU", inputs, attributes: { alpha } })),
  );

const infinities = pick(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 1.5);

const elementwiseCases: Record<string, Cases> = {
  Relu: unaryCases("Relu"),
  LeakyRelu: unitCases("LeakyRelu", "alpha"),
  Elu: unitCases("Elu", "alpha"),
  Selu: fc.oneof(unaryCases("Selu"), unitCases("Selu", "alpha", "gamma")),
  Celu: unitCases("Celu", "alpha"),
  ThresholdedRelu: unitCases("ThresholdedRelu", "alpha"),
  Shrink: unaryCases("Shrink", anywhere, fc.record({ lambd: pick(0.5, 1.5), bias: pick(0, 0.25) })),
  HardSigmoid: unaryCases("HardSigmoid", anywhere, fc.record({ alpha: pick(0.2, 0.5), beta: pick(0.5, 0.25) })),
  HardSwish: unaryCases("HardSwish"),
  Gelu: unaryCases("Gelu", anywhere, fc.record({ approximate: pick("none", "tanh") })),
  Swish: unitCases("Swish", "alpha"),
  SwiGLU: swigluCases,
  ...Object.fromEntries(
    ["Sigmoid", "Softplus", "Softsign", "Tanh", "Erf", "Mish", "Exp", "Abs", "Sign", "Floor", "Ceil"].map((op) => [
      op,
      unaryCases(op),
    ]),
  ),
  Round: unaryCases("Round", fc.oneof(anywhere, pick(-2.25, 3.25))),
  Reciprocal: unaryCases("Reciprocal", awayFromZero),
  Log: unaryCases("Log", positive),
  Sqrt: unaryCases("Sqrt", positive),
  ...Object.fromEntries(["Sin", "Cos", "Sinh", "Cosh", "Asinh", "Atan"].map((op) => [op, unaryCases(op)])),
  ...Object.fromEntries(["Tan", "Asin", "Acos", "Atanh"].map((op) => [op, unaryCases(op, inUnit)])),
  Acosh: unaryCases("Acosh", aboveOne),
  PRelu: preluCases,
  Clip: clipCases,
  ...Object.fromEntries(
    ["Less", "Greater", "LessOrEqual", "GreaterOrEqual", "Equal"].map((op) => [op, binaryCases(op)]),
  ),
  ...Object.fromEntries(["And", "Or", "Xor"].map((op) => [op, binaryCases(op, "bool")])),
  Not: shape()
    .chain((dims) => filled(dims, bit, { dtype: "bool" }))
    .map((x) => ({ op: "Not", inputs: [x] })),
  IsNaN: unaryCases("IsNaN", infinities),
  IsInf: unaryCases("IsInf", infinities, fc.record({ detect_negative: bit, detect_positive: bit })),
  Where: operands(3, anywhere, ["bool"]).map((inputs) => ({ op: "Where", inputs })),
  Cast: castCases,
  CastLike: castLikeCases,
};

// Along axes

const reduceCases = (op: string, elements: (dims: readonly number[]) => ReturnType<typeof filled>): Cases =>
  shape(0, 4).chain((dims) => {
    const listed = fc
      .subarray(dims.map((_, axis) => axis))
      .chain((axes) =>
        fc
          .array(fc.boolean(), { minLength: axes.length, maxLength: axes.length })
          .map((negative) => ints(axes.map((axis, k) => (negative[k] ? axis - dims.length : axis)))),
      );
    return fc.tuple(elements(dims), fc.option(listed, { nil: null }), bit, bit).map(([x, axes, keepdims, noop]) => ({
      op,
      inputs: [x, axes],
      attributes: { keepdims, noop_with_empty_axes: noop },
    }));
  });

const axisOf = (rank: number) => fc.integer({ min: -rank, max: rank - 1 });

const lineCases = (
  op: string,
  elements = distinct,
  attributes: fc.Arbitrary<Record<string, number>> = fc.constant({}),
): Cases =>
  shape(1, 4).chain((dims) =>
    fc
      .tuple(elements(dims), axisOf(dims.length), attributes)
      .map(([x, axis, own]) => ({ op, inputs: [x], attributes: { axis, ...own } })),
  );

const argAttributes = fc.record({ keepdims: bit, select_last_index: bit });
const ties = (dims: readonly number[]) => filled(dims, pick(-1, 0.5, 2));

const cumSumCases: Cases = shape(1, 3).chain((dims) =>
  fc.tuple(filled(dims), axisOf(dims.length), bit, bit).map(([x, axis, exclusive, reverse]) => ({
    op: "CumSum",
    inputs: [x, ints([axis], [])],
    attributes: { exclusive, reverse },
  })),
);

const alongAxes: Record<string, Cases> = {
  ...Object.fromEntries(
    ["ReduceSum", "ReduceMean", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp"].map((op) => [
      op,
      reduceCases(op, (dims) => filled(dims)),
    ]),
  ),
  ReduceMax: reduceCases("ReduceMax", distinct),
  ReduceMin: reduceCases("ReduceMin", distinct),
  ReduceProd: reduceCases("ReduceProd", (dims) => filled(dims, pick(0, 0.5, -1.25, 1.5, -0.75))),
  ReduceLogSum: reduceCases("ReduceLogSum", (dims) => filled(dims, positive)),
  ArgMax: lineCases("ArgMax", ties, argAttributes),
  ArgMin: lineCases("ArgMin", ties, argAttributes),
  CumSum: cumSumCases,
  Softmax: lineCases("Softmax"),
  LogSoftmax: lineCases("LogSoftmax"),
  Hardmax: lineCases("Hardmax"),
};

// Normalisations. A large epsilon keeps differences accurate where a variance is 0.

const epsilon = pick(0.1, 0.5);
const shared = { shared: true };

const trailingCases = (op: string, outputs: number, bias: boolean): Cases =>
  fc.tuple(shape(1, 4), fc.nat(3), fc.boolean(), fc.boolean()).chain(([dims, from, negative, biased]) => {
    const first = from % dims.length;
    const scale = broadcastable(dims.slice(first)).chain((to) => filled(to, anywhere, shared));
    return fc
      .tuple(
        filled(dims),
        scale,
        bias && biased ? scale : fc.constant(null),
        epsilon,
        fc.integer({ min: 1, max: outputs }),
      )
      .map(([x, gain, shift, eps, count]) => ({
        op,
        inputs: shift ? [x, gain, shift] : [x, gain],
        attributes: { axis: negative ? first - dims.length : first, epsilon: eps },
        outputs: count,
      }));
  });

const channelCases = (op: string, minRank: number, vectors: number, grouped = false): Cases =>
  fc.tuple(shape(minRank, 4), fc.integer({ min: 1, max: 2 }), epsilon).chain(([dims, groups, eps]) => {
    const full = dims.map((dim, axis) => (grouped && axis === 1 ? dim * groups : dim));
    const vector = (k: number) => filled([full[1] ?? 1], k === 3 ? positive : anywhere, shared);
    return fc.tuple(filled(full), ...Array.from({ length: vectors }, (_, k) => vector(k))).map((inputs) => ({
      op,
      inputs,
      attributes: { epsilon: eps, ...(grouped ? { num_groups: groups } : {}) },
    }));
  });

const normalisations: Record<string, Cases> = {
  LayerNormalization: trailingCases("LayerNormalization", 3, true),
  RMSNormalization: trailingCases("RMSNormalization", 1, false),
  SimplifiedLayerNormalization: trailingCases("SimplifiedLayerNormalization", 2, false),
  InstanceNormalization: channelCases("InstanceNormalization", 3, 2),
  GroupNormalization: channelCases("GroupNormalization", 2, 2, true),
  BatchNormalization: channelCases("BatchNormalization", 1, 4),
  LRN: fc
    .tuple(
      shape(2, 4).chain((dims) => filled(dims)),
      fc.integer({ min: 1, max: 5 }),
      pick(0.5, 0.001),
      pick(0.75, 0.5),
      pick(1, 2),
    )
    .map(([x, size, alpha, beta, bias]) => ({ op: "LRN", inputs: [x], attributes: { size, alpha, beta, bias } })),
  LpNormalization: lineCases("LpNormalization", distinct, fc.record({ p: pick(1, 2) })),
  MeanVarianceNormalization: shape(4, 4)
    .filter((dims) => dims.reduce((count, dim) => count * dim, 1) > 2)
    .chain((dims) =>
      fc
        .tuple(
          distinct(dims),
          // Two elements become -1 and 1 whatever they are: of their gradient, rounding leaves nothing.
          fc
            .subarray([0, 1, 2, 3], { minLength: 1 })
            .filter((axes) => axes.reduce((count, axis) => count * (dims[axis] ?? 1), 1) > 2),
        )
        .map(([x, axes]) => ({ op: "MeanVarianceNormalization", inputs: [x], attributes: { axes } })),
    ),
  Dropout: fc
    .tuple(
      shape().chain((dims) => filled(dims)),
      fc.boolean(),
      fc.integer({ min: 1, max: 2 }),
    )
    .map(([x, flags, outputs]) => ({
      op: "Dropout",
      inputs: flags
        ? [x, { dims: [], data: [0.3], constant: true }, { dims: [], data: [0], dtype: "bool", constant: true }]
        : [x],
      outputs,
    })),
};

export const elementwiseTable: Record<string, Cases> = { ...elementwiseCases, ...alongAxes, ...normalisations };

/** Not in opset 21: emitted in parts. */
export const newer = ["RMSNormalization", "Swish", "SwiGLU"];

/** Where ONNX Runtime leaves the specification. */
export const runtimeDeviates: Record<string, (test: OpCase) => boolean> = {
  // Files hold no float64: the loader makes it float32.
  Cast: (test) => test.attributes?.to === "float64",
  // It has LRN of images only, and of odd sizes.
  LRN: (test) => test.inputs[0]?.dims.length !== 4 || Number(test.attributes?.size) % 2 === 0,
};
