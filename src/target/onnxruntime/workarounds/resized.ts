/** Work-arounds for operators that resize and sample, shift bits, or are losses. */
import type { Node } from "../../../graph/value.js";
import { requireInput, stringAttribute } from "../../../ops/checks.js";
import { lowerShift } from "../../../ops/rules/bitwise.js";
import { isAntialiased, stretchByGather, stretchesOf, stretchMode } from "../../../ops/rules/resize.js";
import type { Rewrite } from "../../../optimise/rule.js";
import { type DType, isFloat } from "../../../tensor/tensor.js";
import { decomposed, decomposedWhere, type Workaround } from "./workaround.js";

const hasKernel = (dtype: DType) => isFloat(dtype) || ["int8", "uint8", "int32"].includes(dtype);

/**
 * Resize interpolates along the last axes of `[n, channels, ...]`, and in matrices. If a transposition precedes it, the
 * runtime moves that after the Resize; channels are then last, a layout that its cubic kernel does not support. It
 * repeats numbers of only a few types.
 */
function isResized(node: Node): boolean {
  const mode = stretchMode(node);
  if (mode === "nearest") return hasKernel(requireInput(node, 0).dtype);
  if (mode === "cubic") return false;
  const rank = requireInput(node, 0).shape.length;
  const planes = stretchesOf(node).every(({ axis }) => axis >= 2);
  return rank === 2 || (planes && (rank === 4 || (rank === 5 && mode === "linear" && !isAntialiased(node))));
}

const resizeByGather: Rewrite = (node, build) =>
  isResized(node)
    ? null
    : [stretchesOf(node).reduce((x, stretch) => stretchByGather(build, x, node, stretch), requireInput(node, 0))];

export const resized: readonly Workaround[] = [
  {
    name: "resize-by-gather",
    ops: ["Resize"],
    why: "It interpolates in few ranks and along few axes, loses its cubic kernel beside a transposition, and repeats few types of integers.",
    versions: "1.30 to 1.32",
    rewrite: resizeByGather,
  },
  {
    name: "sampled-volume",
    ops: ["GridSample"],
    why: "Its kernel samples images, and volumes but not by cubes.",
    versions: "1.30 to 1.32",
    rewrite: decomposedWhere((node) => {
      const rank = requireInput(node, 0).shape.length - 2;
      const cubes = stringAttribute(node, "mode", "linear").endsWith("cubic");
      return !(rank === 2 || (rank === 3 && !cubes));
    }),
  },
  {
    name: "shift-of-16-bits",
    ops: ["BitShift"],
    why: "Its kernels shift unsigned integers of 8, 32 and 64 bits.",
    versions: "1.30 to 1.32",
    rewrite: (node, build) => (requireInput(node, 0).dtype === "uint16" ? lowerShift(node, build) : null),
  },
  {
    name: "expanded-loss",
    ops: ["NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"],
    why: "It expands these too, but not for an empty batch.",
    versions: "1.30 to 1.32",
    rewrite: decomposed,
  },
];
