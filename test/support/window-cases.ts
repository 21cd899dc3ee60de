/** Random cases of convolutions and pooling. */
import fc from "fast-check";
import { leaf } from "../../src/graph/value.js";
import { build } from "../../src/ops/registry.js";
import { anywhere, distinct, filled, type OpCase } from "./op-checks.js";
import type { Cases } from "./op-suite.js";

export const upTo = (max: number, min = 0) => fc.integer({ min, max });

interface Axis {
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly before: number;
  readonly after: number;
  readonly room: number;
  readonly extra: number;
}

/** One spatial axis: `room` is what the kernel has to move in, `extra` a choice of output padding. */
const axisCases = (maxPad: (kernel: number) => number): fc.Arbitrary<Axis> =>
  fc
    .tuple(upTo(3, 1), upTo(3, 1), upTo(2, 1), upTo(4), upTo(2))
    .chain(([kernel, stride, dilation, room, extra]) =>
      fc
        .tuple(upTo(maxPad(kernel)), upTo(maxPad(kernel)))
        .map(([before, after]) => ({ kernel, stride, dilation, room, extra, before, after })),
    );

export const axesCases = (maxPad: (kernel: number) => number) =>
  fc.oneof(
    { weight: 2, arbitrary: fc.array(axisCases(maxPad), { minLength: 1, maxLength: 1 }) },
    { weight: 3, arbitrary: fc.array(axisCases(maxPad), { minLength: 2, maxLength: 2 }) },
    {
      weight: 1,
      arbitrary: fc.array(
        axisCases(maxPad).map((axis) => ({ ...axis, room: axis.room % 2 })),
        { minLength: 3, maxLength: 3 },
      ),
    },
  );

/** The size of the side that the kernel slides over. */
export const sizeOn = ({ kernel, dilation, before, after, room }: Axis) =>
  Math.max(1, (kernel - 1) * dilation + 1 + room - before - after);

export const windowAttributes = (axes: readonly Axis[]) => ({
  strides: axes.map(({ stride }) => stride),
  dilations: axes.map(({ dilation }) => dilation),
  pads: [...axes.map(({ before }) => before), ...axes.map(({ after }) => after)],
});

const autoPads = fc.constantFrom("SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET", "NOTSET", "NOTSET");
type Attributes = NonNullable<OpCase["attributes"]>;

/** auto_pad and pads exclude each other. */
function padded(attributes: Attributes, mode: string): Attributes {
  if (mode === "NOTSET") return attributes;
  const { pads: _, ...rest } = attributes;
  return { ...rest, auto_pad: mode };
}

const fits = ({ dilation, kernel }: Axis, size: number) => size >= (kernel - 1) * dilation + 1;

export const channels = fc.record({
  n: upTo(2, 1),
  groups: fc.constantFrom(1, 1, 2, 3),
  i: upTo(2, 1),
  o: upTo(2, 1),
  biased: fc.boolean(),
});

const convCases: Cases = fc
  .tuple(
    axesCases(() => 2),
    channels,
    autoPads,
  )
  .chain(([axes, { n, groups, i, o, biased }, mode]) => {
    const sizes = axes.map(sizeOn);
    const safe = mode !== "VALID" || axes.every((axis, k) => fits(axis, sizes[k] ?? 0)) ? mode : "NOTSET";
    const kernel = axes.map((axis) => axis.kernel);
    return fc
      .tuple(
        filled([n, groups * i, ...sizes]),
        filled([groups * o, i, ...kernel], anywhere, { shared: true }),
        biased ? filled([groups * o], anywhere, { shared: true }) : fc.constant(null),
      )
      .map(([x, w, bias]) => ({
        op: "Conv",
        inputs: bias ? [x, w, bias] : [x, w],
        attributes: { ...padded(windowAttributes(axes), safe), group: groups },
      }));
  });

const transposeCases: Cases = fc
  .tuple(
    axesCases(() => 1),
    channels,
    autoPads,
    fc.boolean(),
    fc.array(upTo(2), { minLength: 3, maxLength: 3 }),
  )
  .filter(([axes]) =>
    axes.every(
      ({ kernel, dilation, before, after, room, stride }) =>
        room * stride + (kernel - 1) * dilation + 1 > before + after,
    ),
  )
  .chain(([axes, { n, groups, i, o, biased }, mode, stated, crop]) => {
    const sizes = axes.map(({ room }) => room + 1);
    const kernel = axes.map((axis) => axis.kernel);
    const extra = axes.map((axis) => axis.extra % Math.max(axis.stride, axis.dilation));
    const full = axes.map(
      (axis, k) => axis.room * axis.stride + (axis.kernel - 1) * axis.dilation + 1 + (extra[k] ?? 0),
    );
    const shape = full.map((size, k) => Math.max(1, size - (crop[k] ?? 0)));
    const base = { ...padded(windowAttributes(axes), mode), output_padding: extra, group: groups };
    const { pads: _, ...rest } = base as Attributes;
    return fc
      .tuple(
        filled([n, groups * i, ...sizes]),
        filled([groups * i, o, ...kernel], anywhere, { shared: true }),
        biased ? filled([groups * o], anywhere, { shared: true }) : fc.constant(null),
      )
      .map(([x, w, bias]) => ({
        op: "ConvTranspose",
        inputs: bias ? [x, w, bias] : [x, w],
        attributes: stated ? { ...rest, output_shape: shape } : base,
      }));
  });

export const poolCases = (op: string, more: fc.Arbitrary<Attributes>, data = distinct): Cases =>
  fc
    .tuple(
      axesCases((kernel) => kernel - 1),
      upTo(2, 1),
      upTo(2, 1),
      more,
      autoPads,
      fc.nat(1),
    )
    .chain(([axes, n, c, own, mode, ceil]) => {
      const sizes = axes.map((axis) => Math.min(sizeOn(axis), axes.length === 3 ? 3 : 6));
      const whole = axes.every((axis, k) =>
        fits(axis, (sizes[k] ?? 0) + (mode === "NOTSET" ? axis.before + axis.after : 0)),
      );
      const dilations =
        whole || (mode.startsWith("SAME") && axes.every(({ dilation }) => dilation === 1))
          ? axes
          : axes.map((axis) => ({ ...axis, kernel: 1, before: 0, after: 0 }));
      const attributes = {
        ...padded(windowAttributes(dilations), mode),
        kernel_shape: dilations.map((axis) => axis.kernel),
        ceil_mode: ceil,
      };
      return data([n, c, ...sizes].map((dim, k) => (axes.length === 3 && k < 2 ? 1 : dim))).map((x) => ({
        op,
        inputs: [x],
        attributes: { ...attributes, ...own },
      }));
    });

/** A window that lies in the padding altogether is refused. */
export const builds = ({ op, inputs, attributes }: OpCase): boolean => {
  try {
    build.op(
      op,
      inputs.map((input) => leaf("x", { dtype: "float32", shape: input?.dims ?? [] }, { kind: "input" })),
      attributes,
    );
    return true;
  } catch {
    return false;
  }
};
/** With its second output. */
export const indexedPoolCases: Cases = poolCases("MaxPool", fc.record({ storage_order: fc.nat(1) }))
  .filter(builds)
  .map((test) => ({ ...test, outputs: 2 }));
const globalCases = (op: string, more: fc.Arbitrary<Attributes> = fc.constant({})): Cases =>
  fc
    .tuple(fc.array(upTo(3, 1), { minLength: 3, maxLength: 4 }).chain(distinct), more)
    .map(([x, attributes]) => ({ op, inputs: [x], attributes }));
/** Indices as MaxPool gives them: a place of its own for each window, here of size 2 and stride 2. */
const unpoolCases: Cases = fc
  .tuple(upTo(2, 1), upTo(2, 1), upTo(3, 1), fc.array(fc.nat(1), { minLength: 12, maxLength: 12 }))
  .chain(([n, c, t, odd]) =>
    filled([n, c, t]).map((x) => ({
      op: "MaxUnpool",
      inputs: [
        x,
        { dims: [n, c, t], data: x.data.map((_, at) => 2 * at + (odd[at] ?? 0)), dtype: "int64", shared: true },
      ],
      attributes: { kernel_shape: [2], strides: [2] },
    })),
  );

/** By operator. */
export const windowTable: Record<string, Cases> = {
  Conv: convCases,
  ConvTranspose: transposeCases,
  MaxPool: poolCases("MaxPool", fc.record({ storage_order: fc.nat(1) })).filter(builds),
  AveragePool: poolCases("AveragePool", fc.record({ count_include_pad: fc.nat(1) }), (dims) => filled(dims)),
  LpPool: poolCases("LpPool", fc.record({ p: upTo(3, 1) })),
  GlobalAveragePool: globalCases("GlobalAveragePool"),
  GlobalMaxPool: globalCases("GlobalMaxPool"),
  GlobalLpPool: globalCases("GlobalLpPool", fc.record({ p: upTo(3, 1) })),
  MaxUnpool: unpoolCases,
};
