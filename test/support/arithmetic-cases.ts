/** Random cases of arithmetic, matrix products and the operators that change shapes. */
import fc from "fast-check";
import { anywhere, broadcastable, filled, ints, type OpCase, type OpInput, positive, shape } from "./op-checks.js";
import type { Cases } from "./op-suite.js";

const pick = fc.constantFrom;
const bit = fc.nat(1);
const upTo = (max: number, min = 0) => fc.integer({ min, max });
const flags = (length: number) => fc.array(fc.boolean(), { minLength: length, maxLength: length });
const axesOf = (dims: readonly unknown[]) => dims.map((_, axis) => axis);

// Element by element

type Elements = fc.Arbitrary<number>;

/** Operands that broadcast to each other, in any order. */
const operands = (elements: readonly Elements[], more: Partial<OpInput> = {}): fc.Arbitrary<OpInput[]> =>
  fc
    .tuple(shape(), fc.nat(elements.length - 1))
    .chain(([dims, whole]) =>
      fc.tuple(
        ...elements.map((each, k) =>
          (k === whole ? fc.constant(dims) : broadcastable(dims)).chain((own) => filled(own, each, more)),
        ),
      ),
    );

const binaryCases = (op: string, first: Elements = anywhere, second: Elements = anywhere): Cases =>
  operands([first, second]).map((inputs) => ({ op, inputs }));

/** Operands on grids of their own, so that no two elements are equal. */
const variadicCases = (op: string): Cases =>
  upTo(3, 1).chain((count) =>
    operands(Array.from({ length: count }, (_, k) => upTo(13, -13).map((i) => i * 0.15 + k * 0.05 + 0.013))).map(
      (inputs) => ({ op, inputs }),
    ),
  );

const awayFromZero = fc.tuple(positive, pick(-1, 1)).map(([x, sign]) => sign * (x + 0.4));
const base = upTo(40, 8).map((i) => i * 0.05 + 0.013);
const exponent = upTo(50, -50).map((i) => i * 0.05 + 0.013);

/** Quotients that stay off the integers, where it jumps. */
const modCases: Cases = fc.oneof(
  pick(1.25, -1.25, 2, -2).chain((divisor) => {
    const dividend = fc.tuple(upTo(2, -3), upTo(14, 6)).map(([whole, part]) => (whole + part * 0.05) * divisor);
    return fc.tuple(operands([dividend, fc.constant(divisor)]), upTo(1)).map(([inputs, fmod]) => ({
      op: "Mod",
      inputs,
      attributes: { fmod },
    }));
  }),
  operands([upTo(9, -9), pick(-4, -3, 2, 5)], { dtype: "int64" }).map((inputs) => ({ op: "Mod", inputs })),
);

const arithmetic: Record<string, Cases> = {
  Add: binaryCases("Add"),
  Sub: binaryCases("Sub"),
  Mul: binaryCases("Mul"),
  Div: binaryCases("Div", anywhere, awayFromZero),
  Pow: binaryCases("Pow", base, exponent),
  Mod: modCases,
  Neg: shape()
    .chain((dims) => filled(dims))
    .map((x) => ({ op: "Neg", inputs: [x] })),
  ...Object.fromEntries(["Sum", "Mean", "Max", "Min"].map((op) => [op, variadicCases(op)])),
};

// Products

const matmulCases: Cases = fc
  .tuple(shape(0, 2), upTo(3, 1), upTo(3, 1), upTo(3, 1), pick("matrices", "matrices", "left", "right", "both"))
  .chain(([batch, m, k, p, form]) =>
    fc.tuple(broadcastable(batch), broadcastable(batch)).chain(([left, right]) => {
      const a = form === "left" || form === "both" ? [k] : [...left, m, k];
      const b = form === "right" || form === "both" ? [k] : [...right, k, p];
      return fc.tuple(filled(a), filled(b)).map((inputs) => ({ op: "MatMul", inputs }));
    }),
  );

const gemmCases: Cases = fc
  .tuple(fc.tuple(upTo(3, 1), upTo(3, 1), upTo(3, 1)), bit, bit, upTo(2), pick(1, 0.5, -1.5), pick(1, 2, 0), upTo(2))
  .chain(([[m, k, p], transA, transB, biased, alpha, beta, weight]) => {
    const own = (index: number): Partial<OpInput> => (weight === index ? { shared: true } : {});
    const bias: fc.Arbitrary<OpInput | null> = biased
      ? broadcastable([m, p]).chain((dims) => filled(dims, anywhere, weight < 2 ? { shared: true } : {}))
      : fc.constant(null);
    return fc
      .tuple(
        filled(transA ? [k, m] : [m, k], anywhere, own(0)),
        filled(transB ? [p, k] : [k, p], anywhere, own(1)),
        bias,
      )
      .map(([a, b, c]) => ({
        op: "Gemm",
        inputs: c ? [a, b, c] : [a, b],
        attributes: { transA, transB, alpha, beta },
      }));
  });

/** Any letters in any order, of which any are kept; now and then a diagonal, an ellipsis or no arrow. */
const einsumCases: Cases = fc
  .tuple(
    fc.array(
      fc.shuffledSubarray([..."abcd"], { maxLength: 3 }).map((letters) => letters.join("")),
      { minLength: 1, maxLength: 3 },
    ),
    fc.shuffledSubarray([..."abcd"]),
    fc.array(upTo(3, 1), { minLength: 4, maxLength: 4 }),
    pick("plain", "plain", "diagonal", "ellipsis", "implicit"),
  )
  .chain(([terms, kept, sizes, form]) => {
    const used = new Set(terms.join(""));
    const result = kept.filter((letter) => used.has(letter)).join("");
    const first = terms[0] ?? "";
    const written = form === "diagonal" ? [first + first.slice(0, 1), ...terms.slice(1)] : terms;
    const lead = (term: string) => (form === "ellipsis" ? `...${term}` : term);
    const arrow = form === "implicit" ? "" : `->${lead(result)}`;
    const own = (term: string) => [...term].map((letter) => sizes["abcd".indexOf(letter)] ?? 1);
    return fc
      .tuple(...written.map((term) => filled(form === "ellipsis" ? [2, ...own(term)] : own(term))))
      .map((inputs) => ({ op: "Einsum", inputs, attributes: { equation: written.map(lead).join(",") + arrow } }));
  });

// Shapes

/** Neighbouring axes merged, or one axis taken apart; with or without -1 and 0 in the target. */
const reshapeCases: Cases = shape(0, 4).chain((dims) =>
  fc
    .tuple(flags(dims.length), fc.boolean(), fc.option(fc.nat(4), { nil: null }), fc.boolean())
    .chain(([cuts, apart, free, copies]) => {
      const merged: number[] = [];
      for (const [axis, dim] of dims.entries()) {
        if (cuts[axis] || merged.length === 0) merged.push(dim);
        else merged.push((merged.pop() ?? 1) * dim);
      }
      const [from, to] = apart ? [merged, dims] : [dims, merged];
      const target = to.map((dim, axis) => (copies && from[axis] === dim ? 0 : dim));
      if (free !== null && target.length > 0) target[free % target.length] = -1;
      return filled(from).map((x) => ({ op: "Reshape", inputs: [x, ints(target)] }));
    }),
);

const flattenCases: Cases = shape(0, 4).chain((dims) =>
  fc
    .tuple(filled(dims), upTo(dims.length, -dims.length))
    .map(([x, axis]) => ({ op: "Flatten", inputs: [x], attributes: { axis } })),
);

const squeezeCases: Cases = fc.tuple(shape(0, 4, 2), fc.boolean(), fc.boolean()).chain(([dims, stated, negative]) => {
  const single = axesOf(dims).filter((axis) => dims[axis] === 1);
  return fc.tuple(filled(dims), fc.subarray(single)).map(([x, axes]) => ({
    op: "Squeeze",
    inputs: stated ? [x, ints(axes.map((axis) => (negative ? axis - dims.length : axis)))] : [x],
  }));
});

const unsqueezeCases: Cases = fc.tuple(shape(0, 3), upTo(2)).chain(([dims, more]) => {
  const rank = dims.length + more;
  return fc
    .tuple(filled(dims), fc.shuffledSubarray([...Array(rank).keys()], { minLength: more, maxLength: more }))
    .map(([x, axes]) => ({
      op: "Unsqueeze",
      inputs: [x, ints(axes.map((axis, k) => (k % 2 === 0 ? axis : axis - rank)))],
    }));
});

const transposeCases: Cases = shape(0, 4).chain((dims) => {
  const axes = axesOf(dims);
  const permutation = fc.shuffledSubarray(axes, { minLength: axes.length, maxLength: axes.length });
  return fc
    .tuple(filled(dims), fc.option(permutation, { nil: null }))
    .map(([x, perm]) => ({ op: "Transpose", inputs: [x], attributes: perm ? { perm } : {} }));
});

/** The stated shape may itself hold ones, and fewer axes than the tensor. */
const expandCases: Cases = shape(0, 4).chain((dims) =>
  broadcastable(dims).chain((own) =>
    fc.tuple(filled(own), flags(dims.length), fc.boolean()).map(([x, ones, fewer]) => {
      const stated = dims.map((dim, axis) => {
        const there = own[axis - dims.length + own.length] ?? 1;
        return there === dim && ones[axis] ? 1 : dim;
      });
      const lead = dims.length - own.length;
      const first = fewer && lead === 0 && stated[0] === 1 ? 1 : 0;
      return { op: "Expand", inputs: [x, ints(stated.slice(first))] };
    }),
  ),
);

const tileCases: Cases = shape(0, 4).chain((dims) =>
  fc
    .tuple(filled(dims), fc.array(pick(1, 1, 2, 3), { minLength: dims.length, maxLength: dims.length }))
    .map(([x, repeats]) => ({ op: "Tile", inputs: [x, ints(repeats)] })),
);

const shapeOfCases: Cases = shape(0, 4).chain((dims) =>
  fc
    .tuple(filled(dims), fc.option(upTo(4, -4), { nil: null }), fc.option(upTo(4, -4), { nil: null }))
    .map(([x, start, end]) => ({
      op: "Shape",
      inputs: [x],
      attributes: { ...(start === null ? {} : { start }), ...(end === null ? {} : { end }) },
    })),
);

const rangeCases: Cases = fc
  .tuple(upTo(5, -5), upTo(5, -5), pick(1, 2, -1, -3), fc.boolean())
  .map(([start, limit, step, float]): OpCase => {
    const scalar = (x: number): OpInput => ({
      dims: [],
      data: [float ? x + 0.25 : x],
      dtype: float ? "float32" : "int64",
      constant: true,
    });
    return { op: "Range", inputs: [scalar(start), scalar(limit), scalar(step)] };
  });

const shapes: Record<string, Cases> = {
  Reshape: reshapeCases,
  Identity: shape()
    .chain((dims) => filled(dims))
    .map((x) => ({ op: "Identity", inputs: [x] })),
  Flatten: flattenCases,
  Squeeze: squeezeCases,
  Unsqueeze: unsqueezeCases,
  Transpose: transposeCases,
  Expand: expandCases,
  Tile: tileCases,
};

/** By operator. */
export const arithmeticTable: Record<string, Cases> = {
  ...arithmetic,
  MatMul: matmulCases,
  Gemm: gemmCases,
  Einsum: einsumCases,
  ...shapes,
};

/** What makes numbers of shapes, or of nothing: by operator. */
export const countingTable: Record<string, Cases> = {
  Shape: shapeOfCases,
  Size: shape(0, 4)
    .chain((dims) => filled(dims))
    .map((x) => ({ op: "Size", inputs: [x] })),
  ConstantOfShape: fc.tuple(shape(0, 3), pick(0, 0.5, -2)).map(([dims, value]) => ({
    op: "ConstantOfShape",
    inputs: [ints(dims)],
    attributes: { value: { dtype: "float32", dims: [1], data: Float32Array.of(value) } },
  })),
  Range: rangeCases,
};
