/** Work-arounds for convolutions. */

import { factorOf } from "../../../graph/dim.js";
import { inputsOf, outputOf } from "../../../graph/operands.js";
import { extentOf } from "../../../graph/window.js";
import { groupsOf, transposedOf, windowOf } from "../../../ops/rules/convolution.js";
import { autoPadOf, perAxis, windowAttributes } from "../../../ops/subgraphs/window.js";
import type { Rewrite } from "../../../optimise/rule.js";
import { nth } from "../../../present.js";
import { decomposedWhere, restated, type Workaround } from "./workaround.js";

const explicitPadding: Rewrite = (node, build) => {
  const window = windowOf(node);
  if (autoPadOf(node) === "NOTSET" || window.dilations.every((dilation) => dilation === 1)) return null;
  return restated(node, build, { attributes: { ...windowAttributes(window), group: groupsOf(node) } });
};

/**
 * No element of the kernel reaches the elements that output padding of a stride or more adds: they hold the bias only.
 */
const reachedTransposed: Rewrite = (node, build) => {
  const [x, w, bias] = inputsOf(node, 2);
  const { window, output } = transposedOf(node);
  const extra = perAxis(node, "output_padding", output.length, 0, 0);
  if (extra.every((size, axis) => size < nth(window.strides, axis))) return null;
  const reach = output.map((_, axis) => {
    const steps = nth(window.strides, axis) * (factorOf(nth(x.shape, axis + 2)) - 1);
    return steps + extentOf(window, axis) - nth(window.before, axis);
  });
  const after = output.map((size, axis) => Math.max(0, nth(reach, axis) - size));
  const beyond = output.map((size, axis) => Math.max(0, size - nth(reach, axis)));
  const shape = outputOf(node, 0).shape;
  const attributes = { ...windowAttributes({ ...window, after }), group: groupsOf(node) };
  const reached = reach.every((size) => size > 0)
    ? build.pad(build.op("ConvTranspose", [x, w], attributes), Array(shape.length).fill(0), [0, 0, ...beyond])
    : build.zeros(shape, x.dtype);
  const channels = [...output.keys()].map((axis) => axis + 1);
  return [bias ? build.add(reached, build.unsqueeze(bias, channels)) : reached];
};

export const convolutions: readonly Workaround[] = [
  {
    name: "padding-of-dilated-convolution",
    ops: ["Conv"],
    why: "It refuses dilation where it is to find the padding itself.",
    versions: "1.30 to 1.32",
    rewrite: explicitPadding,
  },
  {
    name: "large-output-padding",
    ops: ["ConvTranspose"],
    why: "It refuses output padding of a stride or more.",
    versions: "1.30 to 1.32",
    rewrite: reachedTransposed,
  },
  {
    name: "deformed-volume",
    ops: ["DeformConv"],
    why: "Its kernel knows images alone.",
    versions: "1.30 to 1.32",
    rewrite: decomposedWhere(({ inputs: [x] }) => x?.shape.length !== 4),
  },
];
