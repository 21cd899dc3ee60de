/** Random cases of Resize, TopK and bit operations. */
import fc from "fast-check";
import { distinct, filled, ints, type OpInput, shape } from "./op-checks.js";
import type { Cases } from "./op-suite.js";

const pick = fc.constantFrom;
const upTo = (max: number, min = 0) => fc.integer({ min, max });

// Resize

const coordinates = pick("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric");
const sampling = fc.record({
  mode: pick("nearest", "nearest", "linear", "cubic"),
  coordinate_transformation_mode: coordinates,
  nearest_mode: pick("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
  exclude_outside: upTo(1),
  cubic_coeff_a: pick(-0.75, -0.5),
  antialias: upTo(1),
});
const scale = pick(1, 1, 2, 3, 0.5, 1.5, 0.6, 2.7);

/** As many scales or sizes as there are axes; the first two axes, of four, mostly stay. */
export const resizeCases: Cases = fc
  .tuple(shape(1, 4, 4), sampling, upTo(3), fc.boolean())
  .chain(([dims, how, form, keep]) =>
    fc
      .tuple(
        filled(dims),
        fc.array(scale, { minLength: 4, maxLength: 4 }),
        fc.array(upTo(7, 1), { minLength: 4, maxLength: 4 }),
      )
      .map(([x, scales, sizes]) => {
        const stays = (axis: number) => keep && dims.length === 4 && axis < 2;
        const antialias = how.mode === "nearest" ? 0 : how.antialias;
        const outside = how.mode === "cubic" || antialias === 1 ? {} : { exclude_outside: 0 };
        const attributes = { ...how, ...outside, antialias };
        const factors = dims.map((dim, axis) => {
          const factor = stays(axis) ? 1 : (scales[axis] ?? 1);
          return Math.floor(factor * dim) < 1 ? 1 : factor;
        });
        const counts = dims.map((dim, axis) => (stays(axis) ? dim : (sizes[axis] ?? 1)));
        const byScale = (list: readonly number[]): OpInput => ({ dims: [list.length], data: list, constant: true });
        const some = dims.map((_, axis) => axis).filter((axis) => axis >= Math.floor(dims.length / 2));
        if (form === 0) return { op: "Resize", inputs: [x, null, byScale(factors)], attributes };
        if (form === 1) return { op: "Resize", inputs: [x, null, null, ints(counts)], attributes };
        const axes = some.map((axis, k) => (k % 2 === 0 ? axis : axis - dims.length));
        const named = { ...attributes, axes };
        if (form === 2)
          return {
            op: "Resize",
            inputs: [x, null, byScale(some.map((axis) => factors[axis] ?? 1))],
            attributes: named,
          };
        return {
          op: "Resize",
          inputs: [x, null, null, ints(some.map((axis) => counts[axis] ?? 1))],
          attributes: named,
        };
      }),
  );

// TopK

const topCases: Cases = shape(1, 3, 4).chain((dims) =>
  fc.tuple(distinct(dims), upTo(dims.length - 1, -dims.length), upTo(1)).chain(([x, axis, largest]) =>
    upTo(dims.at(axis) ?? 1, 1).map((count) => ({
      op: "TopK",
      inputs: [x, ints([count])],
      attributes: { axis, largest },
      outputs: 2,
    })),
  ),
);

// Bits

const bits = (
  op: string,
  dtype: "int64" | "int32" | "uint8" | "uint32",
  attributes: { direction?: string } = {},
): Cases =>
  shape(0, 3).chain((dims) => {
    const signed = op === "BitShift" && dtype.startsWith("i") && attributes.direction === "RIGHT";
    const operand = filled(dims, signed ? upTo(200, -200) : upTo(op === "BitShift" ? 7 : 200), { dtype });
    // Negative numbers are shifted left in test/onnx/opset-cases. The sign is all that is left of a shift by a negative number, or by all bits.
    const amount = signed ? filled(dims, upTo(70, -3), { dtype }) : operand;
    return fc.tuple(operand, amount).map(([a, b]) => ({ op, inputs: op === "BitwiseNot" ? [a] : [a, b], attributes }));
  });

/** By operator. */
export const samplingTable: Record<string, Cases> = {
  Resize: resizeCases,
  TopK: topCases,
};

/** Of integers, by operator. */
export const bitwiseTable: Record<string, Cases> = {
  ...Object.fromEntries(
    ["BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot"].map((op) => [
      op,
      fc.oneof(bits(op, "int64"), bits(op, "int32"), bits(op, "uint8")),
    ]),
  ),
  BitShift: fc.oneof(
    ...["LEFT", "RIGHT"].flatMap((direction) => [
      bits("BitShift", "uint8", { direction }),
      bits("BitShift", "uint32", { direction }),
      bits("BitShift", "int32", { direction }),
      ...(direction === "RIGHT" ? [bits("BitShift", "int64", { direction })] : []),
    ]),
  ),
};
