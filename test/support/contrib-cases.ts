/** Random cases of the operators of com.microsoft, but attention. */
import fc from "fast-check";
import type { Attributes } from "../../src/graph/value.js";
import { broadcastable, filled, type OpInput, shape } from "./op-checks.js";
import type { Cases } from "./op-suite.js";

const domain = "com.microsoft";
const pick = fc.constantFrom;
const upTo = (max: number, min = 1) => fc.integer({ min, max });
const shared = { shared: true };
/** Inputs in order; trailing ones that are absent are left out. */
function inOrder(inputs: readonly (OpInput | null | undefined)[]): (OpInput | null)[] {
  const list = inputs.map((input) => input ?? null);
  while (list.at(-1) === null) list.pop();
  return list;
}

const maybe = <T>(make: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(make, { nil: null });
const vector = (size: number) => filled([size], undefined, shared);

// Activations

const biasedCases = (
  op: string,
  minRank: number,
  bias: "none" | "may" | "must",
  attributes: fc.Arbitrary<Attributes>,
): Cases =>
  shape(minRank, 3).chain((dims) => {
    const own = vector(dims.at(-1) ?? 1);
    return fc
      .tuple(filled(dims), bias === "must" ? own : bias === "may" ? maybe(own) : fc.constant(null), attributes)
      .map(([x, b, more]) => ({ op, domain, inputs: inOrder([x, b]), attributes: more }));
  });

const plain = fc.constant({});
const biasedOps: [string, number, "none" | "may" | "must", fc.Arbitrary<Attributes>][] = [
  ["Gelu", 0, "none", plain],
  ["QuickGelu", 0, "none", fc.record({ alpha: pick(1, 1.702, 0.3) })],
  ["FastGelu", 1, "may", plain],
  ["BiasGelu", 1, "must", plain],
];
const splitCases: Cases = shape(1, 3).chain((dims) => {
  const even = [...dims.slice(0, -1), (dims.at(-1) ?? 1) * 2];
  return fc.tuple(filled(even), vector(even.at(-1) ?? 1)).map((inputs) => ({ op: "BiasSplitGelu", domain, inputs }));
});
const addCases: Cases = shape(1, 3).chain((dims) =>
  fc.tuple(filled(dims), vector(dims.at(-1) ?? 1), filled(dims)).map((inputs) => ({ op: "BiasAdd", domain, inputs })),
);
const softmaxCases: Cases = shape(1, 4).chain((dims) =>
  fc
    .tuple(
      filled(dims),
      broadcastable(dims).chain((to) => filled(to, undefined, shared)),
      fc.nat(dims.length - 1),
    )
    .map(([x, bias, axis]) => ({
      op: "BiasSoftmax",
      domain,
      inputs: [x, bias],
      attributes: { axis, is_inner_broadcast: 0 },
    })),
);
const dropoutCases: Cases = shape(1, 3).chain((dims) =>
  fc
    .tuple(filled(dims), vector(dims.at(-1) ?? 1), maybe(filled(dims)), upTo(2))
    .map(([x, bias, residual, outputs]) => ({
      op: "BiasDropout",
      domain,
      inputs: inOrder([x, bias, residual]),
      outputs,
    })),
);
// Products

const matmulCases: Cases = fc
  .record({
    batch: fc.array(upTo(2), { maxLength: 2 }),
    rows: upTo(3),
    inner: upTo(3),
    columns: upTo(3),
    flags: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
    flat: fc.boolean(),
    alpha: pick(1, 0.5, -2),
    op: pick("FusedMatMul", "TransposeMatMul"),
  })
  .chain(({ batch, rows, inner, columns, flags, flat, alpha, op }) => {
    const [transA, transB, early, late] = flags as [boolean, boolean, boolean, boolean];
    // Its shape inference has these for equal ranks only.
    const [transBatchA, transBatchB] = batch.length > 0 && !flat ? [early, late] : [false, false];
    const operand = (own: number[], last: [number, number], turned: boolean, moved: boolean) => {
      const [first, second] = turned ? [last[1], last[0]] : last;
      return moved ? [first, ...own, second] : [...own, first, second];
    };
    const a = operand(batch, [rows, inner], transA, transBatchA);
    const b = operand(flat ? [] : batch, [inner, columns], transB, transBatchB);
    const number = (flag: boolean) => Number(flag);
    const attributes: Attributes = {
      alpha,
      transA: number(transA),
      transB: number(transB),
      ...(op === "FusedMatMul" ? { transBatchA: number(transBatchA), transBatchB: number(transBatchB) } : {}),
    };
    const fair =
      op === "FusedMatMul"
        ? { a, b }
        : {
            a: operand(batch, [rows, inner], transA, false),
            b: operand(flat ? [] : batch, [inner, columns], transB, false),
          };
    return fc
      .tuple(filled(fair.a), filled(fair.b, undefined, shared))
      .map((inputs) => ({ op, domain, inputs, attributes }));
  });
/** A matrix and a vector. */
export const vectorCases: Cases = fc
  .record({ n: upTo(3), m: upTo(3), transA: fc.nat(1), transB: fc.nat(1), left: fc.boolean() })
  .chain(({ n, m, transA, transB, left }) => {
    const matrix = left ? (transB ? [m, n] : [n, m]) : transA ? [n, m] : [m, n];
    const dims = left ? [[n], matrix] : [matrix, [n]];
    return fc
      .tuple(...dims.map((own) => filled(own)))
      .map((inputs) => ({ op: "FusedMatMul", domain, inputs, attributes: { transA, transB } }));
  });
/** Whole numbers: with the biases they keep sums off the points where activations bend. */
const whole = fc.integer({ min: -2, max: 2 });
const offBends = fc.integer({ min: -2, max: 2 }).map((i) => i + 0.37);
const smooth = ["Tanh", "Sigmoid"];

const gemmActivations: [string, Attributes][] = [
  ["Celu", { activation_alpha: 0.7 }],
  ["Elu", { activation_alpha: 0.7 }],
  ["HardSigmoid", { activation_alpha: 0.31, activation_beta: 0.4 }],
  ["LeakyRelu", { activation_alpha: 0.3 }],
  ["Relu", {}],
  ["Selu", { activation_alpha: 1.5, activation_gamma: 1 }],
  ["Sigmoid", {}],
  ["Softplus", {}],
  ["Softsign", {}],
  ["Tanh", {}],
];

const gemmCases: Cases = fc
  .record({
    rows: upTo(3),
    inner: upTo(3),
    columns: upTo(3),
    transA: fc.nat(1),
    transB: fc.nat(1),
    alpha: pick(1, 0.5),
    beta: pick(1, 0.25),
    bias: fc.boolean(),
    activation: pick(...gemmActivations),
  })
  .chain(({ rows, inner, columns, transA, transB, alpha, beta, bias, activation: [activation, own] }) =>
    fc
      .tuple(
        filled(transA ? [inner, rows] : [rows, inner], whole),
        filled(transB ? [columns, inner] : [inner, columns], whole, shared),
        bias || !smooth.includes(activation) ? filled([columns], offBends, shared) : fc.constant(null),
      )
      .map((inputs) => ({
        op: "FusedGemm",
        domain,
        inputs: inOrder(inputs),
        attributes: { transA, transB, alpha, beta, activation, ...own },
      })),
  );
const convActivations: [string, number[]][] = [
  ["Relu", []],
  ["Tanh", []],
  ["Sigmoid", []],
  ["LeakyRelu", [0.3]],
  ["Clip", [-1, 2]],
  ["HardSigmoid", [0.31, 0.4]],
  ["HardSwish", []],
];

const convCases: Cases = fc
  .record({
    n: upTo(2),
    groups: upTo(2),
    spatial: fc.array(upTo(4, 3), { minLength: 1, maxLength: 2 }),
    biased: fc.boolean(),
    added: fc.boolean(),
    activation: pick(...convActivations),
  })
  .chain(({ n, groups, spatial, biased, added, activation: [activation, activation_params] }) =>
    fc
      .tuple(
        filled([n, groups, ...spatial], whole),
        filled([2 * groups, 1, ...spatial.map(() => 2)], whole, shared),
        biased || !smooth.includes(activation) ? filled([2 * groups], offBends, shared) : fc.constant(null),
        added ? filled([n, 2 * groups, ...spatial.map((size) => size - 1)], whole) : fc.constant(null),
      )
      .map((inputs) => ({
        op: "FusedConv",
        domain,
        inputs: inOrder(inputs),
        attributes: { group: groups, activation, ...(activation_params.length > 0 ? { activation_params } : {}) },
      })),
  );
// Normalisations

const epsilon = pick(0.1, 0.5);

const skipCases = (op: string, withBeta: boolean): Cases =>
  fc
    .tuple(shape(1, 4), fc.nat(1), epsilon, upTo(4), fc.boolean(), fc.boolean())
    .chain(([dims, drop, eps, outputs, beta, biased]) => {
      const size = dims.at(-1) ?? 1;
      const skip = drop === 1 && dims.length > 2 ? filled(dims.slice(1), undefined, shared) : filled(dims);
      const shift = (there: boolean) => (there ? vector(size) : fc.constant(null));
      return fc
        .tuple(filled(dims), skip, vector(size), ...(withBeta ? [shift(beta), shift(biased)] : [shift(biased)]))
        .map((inputs) => ({ op, domain, inputs: inOrder(inputs), attributes: { epsilon: eps }, outputs }));
    });

const groupCases = (op: string, skips: boolean): Cases =>
  fc
    .record({
      n: upTo(2),
      spatial: fc.array(upTo(2), { maxLength: 2 }),
      groups: upTo(2),
      perGroup: upTo(2),
      channels_last: fc.nat(1),
      activation: fc.nat(1),
      epsilon,
      form: pick("full", "positions", "flat"),
      biased: fc.boolean(),
      outputs: upTo(skips ? 2 : 1),
    })
    .chain(({ n, spatial, groups, perGroup, channels_last, activation, epsilon: eps, form, biased, outputs }) => {
      const channels = groups * perGroup;
      const at = (own: number[]) => (channels_last ? [n, ...own, channels] : [n, channels, ...own]);
      const other = form === "full" ? at(spatial) : form === "flat" ? [n, channels] : at(spatial.map(() => 1));
      return fc
        .tuple(
          filled(at(spatial)),
          vector(channels),
          vector(channels),
          skips ? filled(other) : fc.constant(null),
          skips && biased ? vector(channels) : fc.constant(null),
        )
        .map((inputs) => ({
          op,
          domain,
          inputs: inOrder(inputs),
          attributes: { groups, channels_last, activation, epsilon: eps },
          outputs,
        }));
    });
const indices = (dims: number[], below: number): fc.Arbitrary<OpInput> => {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return fc
    .array(fc.nat(below - 1), { minLength: size, maxLength: size })
    .map((data) => ({ dims, data, dtype: "int32" as const }));
};

const embedCases: Cases = fc
  .record({
    batch: upTo(2),
    length: upTo(3),
    hidden: upTo(3),
    segments: fc.boolean(),
    masked: fc.boolean(),
    placed: pick("no", "once", "each"),
    epsilon,
    outputs: upTo(3),
  })
  .chain(({ batch, length, hidden, segments, masked, placed, epsilon: eps, outputs }) => {
    const none = fc.constant(null);
    const table = (entries: number) => filled([entries, hidden], undefined, shared);
    return fc
      .tuple(
        indices([batch, length], 2),
        segments ? indices([batch, length], 2) : none,
        table(4),
        table(4),
        segments ? table(2) : none,
        vector(hidden),
        vector(hidden),
        masked ? indices([batch, length], 2) : none,
        placed === "no" ? none : indices([placed === "once" ? 1 : batch, length], 2),
      )
      .map((inputs) => ({
        op: "EmbedLayerNormalization",
        domain,
        inputs: inOrder(inputs),
        attributes: { epsilon: eps },
        outputs,
      }));
  });

/** Of com.microsoft, by operator. */
export const contribTable: Record<string, Cases> = {
  ...Object.fromEntries(biasedOps.map((row) => [row[0], biasedCases(...row)])),
  BiasSplitGelu: splitCases,
  BiasAdd: addCases,
  BiasSoftmax: softmaxCases,
  BiasDropout: dropoutCases,
  FusedMatMul: matmulCases,
  FusedGemm: gemmCases,
  FusedConv: convCases,
  SkipLayerNormalization: skipCases("SkipLayerNormalization", true),
  SkipSimplifiedLayerNormalization: skipCases("SkipSimplifiedLayerNormalization", false),
  GroupNorm: groupCases("GroupNorm", false),
  SkipGroupNorm: groupCases("SkipGroupNorm", true),
  EmbedLayerNormalization: embedCases,
};
