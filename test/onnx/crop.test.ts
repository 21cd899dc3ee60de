/** Resize that crops, as ONNX Runtime computes it, in files of any batch; its gradients are those of the float64 loop. */
import { describe, expect, it } from "vitest";
import { expectAgreement, refusalOf } from "../support/file-agreement.js";
import {
  type FileInit,
  file,
  float,
  floats,
  initializer,
  int64s,
  ints,
  node,
  text,
  valueInfo,
  waves,
} from "./models.js";

interface Crop {
  readonly mode: string;
  readonly corners: readonly number[];
  readonly axes?: readonly number[];
  readonly scales?: readonly number[];
  readonly sizes?: readonly number[];
  readonly outside?: number;
}

const crop = ({ mode, corners, axes, scales, sizes, outside }: Crop): FileInit => ({
  opset: 18,
  inputs: [valueInfo("x", ["N", 2, 5, 6])],
  initializers: [
    initializer("w", waves([2, 5, 6])),
    initializer("corners", floats([corners.length], ...corners)),
    ...(scales ? [initializer("by", floats([scales.length], ...scales))] : []),
    ...(sizes ? [initializer("by", int64s(...sizes))] : []),
  ],
  nodes: [
    node("Mul", ["x", "w"], ["m"]),
    node(
      "Resize",
      ["m", "corners", ...(sizes ? ["", "by"] : ["by"])],
      ["y"],
      [
        text("mode", mode),
        text("coordinate_transformation_mode", "tf_crop_and_resize"),
        ...(axes ? [ints("axes", axes)] : []),
        ...(outside === undefined ? [] : [float("extrapolation_value", outside)]),
      ],
    ),
  ],
});

describe("a Resize that crops", () => {
  it.each<[string, Crop]>([
    ["within", { mode: "linear", corners: [0, 0, 0.11, 0.2, 1, 1, 0.77, 0.9], scales: [1, 1, 1.3, 0.6] }],
    [
      "beyond the edges",
      { mode: "linear", corners: [-0.3, 0.13, 1.17, 1.4], axes: [2, 3], sizes: [7, 3], outside: 2.5 },
    ],
    ["beyond the edges, where nothing is said of it", { mode: "linear", corners: [-0.31, 1.2], axes: [3], sizes: [5] }],
    ["backwards", { mode: "linear", corners: [0.93, 0.12], axes: [-1], sizes: [4] }],
    ["to one element", { mode: "linear", corners: [0.13, 0.55], axes: [2], sizes: [1] }],
    [
      "to the nearest",
      { mode: "nearest", corners: [0.07, -0.2, 0.83, 1.33], axes: [3, 2], sizes: [4, 9], outside: -1 },
    ],
    ["nowhere", { mode: "linear", corners: [0, 0, 0, 0, 1, 1, 1, 1], scales: [1, 1, 1, 1] }],
  ])("takes its elements %s", async (_, given) => {
    await expectAgreement({ bytes: file(crop(given)), feeds: { x: waves([3, 2, 5, 6]) }, samples: 3 });
  });

  it.each<[string, Crop]>([
    ["by cubic interpolation", { mode: "cubic", corners: [0.1, 0.9], axes: [3], sizes: [4] }],
    ["through the samples", { mode: "linear", corners: [0.1, 0.9], axes: [0], sizes: [4] }],
  ])("is refused %s", (_, given) => {
    expect(refusalOf(file(crop(given)))).toMatch(/^UNSUPPORTED_OP: Resize node "y" crops \(tf_crop_and_resize\) /);
  });
});
