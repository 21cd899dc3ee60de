/** Random cases of the operators on grids, regions, matrices and sequences. */
import fc from "fast-check";
import { sizeOf } from "../../src/tensor/tensor.js";
import { anywhere, distinct, filled, ints, type OpCase, type OpInput, positive, shape } from "./op-checks.js";
import type { Cases } from "./op-suite.js";

const pick = fc.constantFrom;
const upTo = (max: number, min = 0) => fc.integer({ min, max });
const lists = <T>(element: fc.Arbitrary<T>, length: number) =>
  fc.array(element, { minLength: length, maxLength: length });

// Grids

/** Points in and around -1..1 that lie neither on elements nor halfway, nor at the ends. */
const coordinate = upTo(90, -90).map((i) => i * 0.0213 + 0.00137);

const gridSampleCases = (mode: string, rank: number): Cases =>
  fc
    .tuple(
      lists(upTo(2, 1), 2),
      lists(upTo(4, 1), rank),
      lists(upTo(3, 1), rank),
      pick("zeros", "border", "reflection"),
      upTo(1),
    )
    .chain(([[n = 1, channels = 1], sizes, positions, padding_mode, align_corners]) =>
      fc
        .tuple(filled([n, channels, ...sizes]), filled([n, ...positions, rank], coordinate))
        .map((inputs) => ({ op: "GridSample", inputs, attributes: { mode, padding_mode, align_corners } })),
    );

export const gridCases: Cases = fc.oneof(
  gridSampleCases("linear", 2),
  gridSampleCases("linear", 3),
  gridSampleCases("nearest", 2),
  gridSampleCases("nearest", 3),
  gridSampleCases("cubic", 2),
  // What programs hold in parts: ONNX Runtime runs these not.
  gridSampleCases("linear", 1),
  gridSampleCases("nearest", 1),
  gridSampleCases("cubic", 1),
);

/** ONNX Runtime samples images, and volumes that are not sampled by cubes. */
export const gridNotInRuntime = ({ inputs, attributes }: OpCase): boolean => {
  const rank = (inputs[0]?.dims.length ?? 0) - 2;
  return rank === 1 || (rank === 3 && attributes?.mode === "cubic");
};

export const affineCases: Cases = fc.tuple(upTo(2, 1), pick(2, 3), upTo(1)).chain(([n, rank, align_corners]) =>
  fc.tuple(filled([n, rank, rank + 1]), lists(upTo(4, 1 + align_corners), rank)).map(([theta, sizes]) => ({
    op: "AffineGrid",
    inputs: [theta, ints([n, 3, ...sizes])],
    attributes: { align_corners },
  })),
);

// Regions

export const centreCases: Cases = shape(1, 4).chain((dims) =>
  fc
    .tuple(filled(dims), fc.subarray([...dims.keys()], { minLength: 1 }), lists(upTo(5, 1), 4), fc.boolean())
    .map(([x, axes, sizes, all]) => {
      const named = all ? [...dims.keys()] : axes;
      const given = named.map((axis, k) => (k % 2 === 0 ? axis : axis - dims.length));
      return {
        op: "CenterCropPad",
        inputs: [x, ints(named.map((axis) => sizes[axis] ?? 1))],
        attributes: all ? {} : { axes: given },
      };
    }),
);

/** One spatial axis: its size, kernel, stride, dilation and padding. */
const axisOfWindow = fc.record({
  size: upTo(5, 3),
  kernel: upTo(3, 1),
  stride: upTo(2, 1),
  dilation: upTo(2, 1),
  before: upTo(1),
  after: upTo(1),
});

export const col2ImCases: Cases = fc
  .tuple(upTo(2, 1), upTo(2, 1), lists(axisOfWindow, 2), fc.boolean())
  .chain(([n, channels, axes, plain]) => {
    const used = axes.map((axis) => (plain ? { ...axis, stride: 1, dilation: 1, before: 0, after: 0 } : axis));
    const fits = used.map((axis) => (axis.kernel === 3 && axis.dilation === 2 ? { ...axis, kernel: 2 } : axis));
    const positions = fits.map(({ size, kernel, stride, dilation, before, after }) =>
      Math.floor((size + before + after - (kernel - 1) * dilation - 1) / stride + 1),
    );
    const kernel = fits.map((axis) => axis.kernel);
    return filled([n, channels * sizeOf(kernel), sizeOf(positions)]).map((x) => ({
      op: "Col2Im",
      inputs: [x, ints(fits.map(({ size }) => size)), ints(kernel)],
      attributes: plain
        ? {}
        : {
            strides: fits.map(({ stride }) => stride),
            dilations: fits.map(({ dilation }) => dilation),
            pads: [...fits.map(({ before }) => before), ...fits.map(({ after }) => after)],
          },
    }));
  });

const corner = upTo(14, -6).map((i) => i * 0.4 + 0.03);

/** The regions are constant: which image they are of is no smooth number. */
export const roiCases: Cases = fc
  .tuple(upTo(2, 1), upTo(2, 1), lists(upTo(4, 1), 2), lists(upTo(3, 1), 2), pick(1, 0.5), upTo(3, 1))
  .chain(([n, channels, sizes, pooled_shape, spatial_scale, regions]) => {
    const region = fc
      .tuple(upTo(n - 1), corner, corner, upTo(8), upTo(8))
      .map(([image, x, y, width, height]) => [image, x, y, x + width * 0.4, y + height * 0.4]);
    return fc.tuple(distinct([n, channels, ...sizes]), lists(region, regions)).map(([x, rois]) => ({
      op: "MaxRoiPool",
      inputs: [x, { dims: [regions, 5], data: rois.flat(), constant: true }],
      attributes: { pooled_shape, spatial_scale },
    }));
  });

/** Which image a region is of, and how many samples it has, is no smooth number: regions are constant. */
export const roiAlignCases: Cases = fc
  .tuple(
    fc.tuple(upTo(2, 1), upTo(2, 1), lists(upTo(3, 1), 2), lists(upTo(3, 1), 2), upTo(2, 1)),
    fc.tuple(pick("avg", "max"), pick("half_pixel", "output_half_pixel", undefined), upTo(3), pick(1, 0.5)),
  )
  .chain(([[n, channels, sizes, pooled, regions], [mode, shift, sampling_ratio, spatial_scale]]) => {
    // Some have no extent, or a negative one; some lie outside.
    const region = fc
      .tuple(corner, corner, upTo(12, -3), upTo(12, -3))
      .map(([x, y, width, height]) => [x, y, x + width * 0.41, y + height * 0.41]);
    return fc
      .tuple(distinct([n, channels, ...sizes]), lists(region, regions), lists(upTo(n - 1), regions))
      .map(([x, rois, images]) => ({
        op: "RoiAlign",
        inputs: [x, { dims: [regions, 4], data: rois.flat(), constant: true }, ints(images)],
        attributes: {
          mode,
          sampling_ratio,
          spatial_scale,
          output_height: pooled[0] ?? 1,
          output_width: pooled[1] ?? 1,
          ...(shift ? { coordinate_transformation_mode: shift } : {}),
        },
      }));
  });

// Deformed convolutions

/** One spatial axis, small: differences are taken of every element. */
const axisOfDeformed = fc.record({
  size: upTo(3, 2),
  kernel: upTo(2, 1),
  stride: upTo(3, 2),
  dilation: upTo(2, 1),
  before: upTo(1),
  after: upTo(1),
});

/** All inputs are fed, or one of them: the others are constant. */
function oneOf(fed: number, inputs: readonly (OpInput | null)[]): (OpInput | null)[] {
  if (fed >= inputs.length) return [...inputs];
  const kept = inputs[fed] ? fed : 0;
  return inputs.map((input, k) => input && (k === kept ? input : { ...input, constant: true }));
}

const deformed = (rank: number): Cases =>
  fc
    .tuple(
      fc.tuple(pick(1, 1, 2), pick(1, 2), pick(1, 2), upTo(2, 1), fc.boolean(), fc.boolean(), upTo(7)),
      lists(axisOfDeformed, rank),
    )
    .chain(([[n, group, offset_group, outputs, biased, masked, fed], axes]) => {
      const fits = axes.map((axis) => (axis.size === 2 && axis.dilation === 2 ? { ...axis, kernel: 1 } : axis));
      const kernel = fits.map((axis) => axis.kernel);
      const positions = fits.map(({ size, kernel, stride, dilation, before, after }) =>
        Math.floor((size + before + after - (kernel - 1) * dilation - 1) / stride + 1),
      );
      const places = [n, offset_group * sizeOf(kernel), ...positions];
      const offsets = places.map((dim, axis) => (axis === 1 ? dim * rank : dim));
      return fc
        .tuple(
          filled([n, 2, ...fits.map(({ size }) => size)]),
          filled([2 * outputs, 2 / group, ...kernel], undefined, { shared: true }),
          filled(offsets, coordinate),
          filled([2 * outputs], undefined, { shared: true }),
          filled(places),
        )
        .map(([x, weight, offset, bias, mask]) => ({
          op: "DeformConv",
          inputs: oneOf(fed, [x, weight, offset, biased ? bias : null, masked ? mask : null]),
          attributes: {
            group,
            offset_group,
            strides: fits.map(({ stride }) => stride),
            dilations: fits.map(({ dilation }) => dilation),
            pads: [...fits.map(({ before }) => before), ...fits.map(({ after }) => after)],
          },
        }));
    });

export const deformCases: Cases = fc.oneof(deformed(2), deformed(2), deformed(1));

/** ONNX Runtime's kernel is for images. */
export const deformNotInRuntime = ({ inputs }: OpCase): boolean => inputs[0]?.dims.length !== 4;

// Matrices

/** Now and then two rows are the same. */
export const detCases: Cases = fc.tuple(shape(0, 2, 2), upTo(5, 1), fc.boolean()).chain(([leading, side, singular]) =>
  filled([...leading, side, side]).map((x) => {
    const copied = x.data.map((element, at) =>
      Math.floor(at / side) % side === 1 ? (x.data[at - side] ?? 0) : element,
    );
    return { op: "Det", inputs: [singular ? { ...x, data: copied } : x] };
  }),
);

export const eyeCases: Cases = shape(2, 2, 4).chain((dims) =>
  fc.tuple(filled(dims), fc.option(upTo(4, -4)), pick(undefined, "float32", "int64", "int32")).map(([x, k, dtype]) => ({
    op: "EyeLike",
    inputs: [x],
    attributes: { ...(k === null ? {} : { k }), ...(dtype ? { dtype } : {}) },
  })),
);

// Sequences

export const reverseCases: Cases = fc
  .tuple(shape(2, 4), upTo(1), fc.boolean(), fc.boolean())
  .chain(([dims, batch_axis, constant, stated]) => {
    const axis = stated ? batch_axis : 1;
    const [count, size] = [dims[1 - axis] ?? 1, dims[axis] ?? 1];
    return fc.tuple(filled(dims), lists(upTo(count, 1), size)).map(([x, lengths]) => {
      const input: OpInput = { dims: [size], data: lengths, dtype: "int64", ...(constant ? { constant } : {}) };
      const attributes = stated ? { batch_axis: axis, time_axis: 1 - axis } : {};
      return { op: "ReverseSequence", inputs: [x, input], attributes };
    });
  });

export const cumProdCases: Cases = shape(1, 3, 5).chain((dims) =>
  fc
    .tuple(filled(dims, fc.oneof(anywhere, pick(0, 1.5))), upTo(dims.length - 1, -dims.length), upTo(1), upTo(1))
    .map(([x, axis, exclusive, reverse]) => ({
      op: "CumProd",
      inputs: [x, ints([axis], [])],
      attributes: { exclusive, reverse },
    })),
);

export const tensorScatterCases: Cases = fc
  .tuple(shape(2, 4), upTo(2), pick("linear", "circular"), fc.boolean())
  .chain(([dims, more, mode, started]) => {
    const axis = dims.length === 2 ? 1 : dims.length - 2;
    const count = dims[axis] ?? 1;
    const cache = dims.map((dim, k) => (k === axis ? dim + more : dim));
    const start = lists(upTo(mode === "circular" ? count + more - 1 : more), dims[0] ?? 1);
    return fc.tuple(filled(cache), filled(dims), start).map(([past, update, places]) => ({
      op: "TensorScatter",
      inputs: [past, update, ...(started ? [{ dims: [places.length], data: places, dtype: "int64" } as const] : [])],
      attributes: { mode, ...(axis === dims.length - 2 ? {} : { axis }) },
    }));
  });

// Selections

export const compressCases: Cases = shape(1, 3, 4).chain((dims) =>
  fc
    .tuple(filled(dims), fc.option(upTo(dims.length - 1, -dims.length)), lists(upTo(1), sizeOf(dims)), upTo(2))
    .map(([x, axis, flags, fewer]) => {
      const size = axis === null ? sizeOf(dims) : (dims.at(axis) ?? 1);
      const condition = flags.slice(0, Math.max(1, size - fewer));
      return {
        op: "Compress",
        inputs: [x, { dims: [condition.length], data: condition, dtype: "bool", constant: true } as const],
        attributes: axis === null ? {} : { axis },
      };
    }),
);

const fixed = (input: OpInput): OpInput => ({ ...input, constant: true });

const nonZeroCases: Cases = shape(1, 3).chain((dims) =>
  filled(dims, pick(0, 0, 1, -2.5)).map((x) => ({ op: "NonZero", inputs: [fixed(x)] })),
);

const uniqueCases: Cases = shape(1, 3).chain((dims) =>
  fc
    .tuple(filled(dims, pick(1, 2, -3)), fc.option(upTo(dims.length - 1, -dims.length)), upTo(1), upTo(4, 1))
    .map(([x, axis, sorted, outputs]) => ({
      op: "Unique",
      inputs: [fixed(x)],
      attributes: { sorted, ...(axis === null ? {} : { axis }) },
      outputs,
    })),
);

const suppressionCases: Cases = fc
  .tuple(lists(upTo(3, 1), 3), upTo(1), upTo(3), upTo(10), fc.option(upTo(8)))
  .chain(([[images = 1, classes = 1, boxes = 1], center_point_box, most, overlap, threshold]) =>
    fc
      .tuple(
        filled([images, boxes, 4], positive),
        filled(
          [images, classes, boxes],
          upTo(10).map((i) => i / 10),
        ),
      )
      .map(([corners, scores]) => ({
        op: "NonMaxSuppression",
        inputs: [
          fixed(corners),
          fixed(scores),
          ints([most]),
          fixed({ dims: [1], data: [overlap / 10] }),
          ...(threshold === null ? [] : [fixed({ dims: [1], data: [threshold / 10 + 0.05] })]),
        ],
        attributes: { center_point_box },
      })),
  );

// Constants

const windowCases = (op: string): Cases =>
  fc.tuple(upTo(9, 2), fc.option(upTo(1)), pick(undefined, "float32", "int32")).map(([size, periodic, type]) => ({
    op,
    inputs: [ints([size], [])],
    attributes: { ...(periodic === null ? {} : { periodic }), ...(type ? { output_datatype: type } : {}) },
  }));

const melCases: Cases = fc.tuple(upTo(8, 1), upTo(40, 8), upTo(50), upTo(50, 1)).map(([bins, length, low, span]) => {
  const rate = 8000;
  const edge = (share: number) => fixed({ dims: [], data: [share * 0.01 * 0.9 * (rate / 2)] });
  const inputs = [ints([bins], []), ints([length], []), ints([rate], []), edge(low), edge(low + span)];
  return { op: "MelWeightMatrix", inputs };
});

/** Whose results are known once their inputs are: by operator. */
export const constantTable: Record<string, Cases> = {
  NonZero: nonZeroCases,
  Unique: uniqueCases,
  NonMaxSuppression: suppressionCases,
  HannWindow: windowCases("HannWindow"),
  HammingWindow: windowCases("HammingWindow"),
  BlackmanWindow: windowCases("BlackmanWindow"),
  MelWeightMatrix: melCases,
};
