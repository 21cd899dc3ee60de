/** Work-arounds for operators that move, cut, resize and convert elements. */
import { dimsValue, type Node } from "../../../graph/value.js";
import { knownDims, knownInts, requireInput, stringAttribute } from "../../../ops/checks.js";
import { lowerShift } from "../../../ops/rules/bitwise.js";
import { paddingOf } from "../../../ops/rules/padding.js";
import { isAntialiased, stretchByGather, stretchesOf, stretchMode } from "../../../ops/rules/resize.js";
import { beyondAll, isBeyondAll } from "../../../ops/rules/slicing.js";
import type { Rewrite } from "../../../optimise/rule.js";
import { decomposed, decomposedWhere, type Workaround } from "./workaround.js";

const plainEnds: Rewrite = (node, build) => {
  const [ends, steps] = [knownDims(node, 2) ?? [], knownInts(node, 4) ?? []];
  const plain = ends.map((end, k) => ((steps[k] ?? 1) < 0 && isBeyondAll(end) ? -beyondAll : end));
  if (plain.every((end, k) => end === ends[k])) return null;
  return [build.op("Slice", [...node.inputs.slice(0, 2), dimsValue(plain), ...node.inputs.slice(3)])];
};

/** Axes of size 1 that are to become empty are cut off. */
const expandToNothing: Rewrite = ({ inputs: [x], outputs: [y] }, build) => {
  const [from, shape] = [x?.shape ?? [], y?.shape ?? []];
  const emptied = shape.flatMap((dim, axis) =>
    dim === 0 && from[axis - shape.length + from.length] !== 0 ? [axis] : [],
  );
  if (emptied.length === 0 || !x) return null;
  const wide = build.expand(
    x,
    shape.map((dim, axis) => (emptied.includes(axis) ? 1 : dim)),
  );
  return [emptied.reduce((value, axis) => build.slice(value, axis, 0, 0), wide)];
};

/**
 * It interpolates along the last axes of `[n, channels, ...]`, and in matrices. Beside a transposition it moves that
 * behind the Resize, where its cubic kernel finds the channels last, which it does not know.
 */
function isResized(node: Node): boolean {
  const mode = stretchMode(node);
  if (mode === "nearest") return true;
  if (mode === "cubic") return false;
  const rank = requireInput(node, 0).shape.length;
  const planes = stretchesOf(node).every(({ axis }) => axis >= 2);
  return rank === 2 || (planes && (rank === 4 || (rank === 5 && mode === "linear" && !isAntialiased(node))));
}

const resizeByGather: Rewrite = (node, build) =>
  isResized(node)
    ? null
    : [stretchesOf(node).reduce((x, stretch) => stretchByGather(build, x, node, stretch), requireInput(node, 0))];

/** Of all axes, in their order; that a Pad names all of them keeps it apart from an average (pools.ts). */
const padOfAllAxes: Rewrite = (node, build) => {
  const [x, , value, axes] = node.inputs;
  if (!axes || !x || knownInts(node, 3)?.join() === [...x.shape.keys()].join()) return null;
  const { before, after } = paddingOf(node);
  const amounts = build.ints([...before, ...after]);
  return [build.op("Pad", [x, amounts, ...(value ? [value] : [])], node.attributes)];
};

const plainCast: Rewrite = ({ inputs: [x], attributes, outputs: [y] }, build) =>
  Object.hasOwn(attributes, "saturate") && x && y ? [build.cast(x, y.dtype)] : null;

export const shapes: readonly Workaround[] = [
  {
    name: "ends-of-slice",
    ops: ["Slice"],
    why: "Of a slice backwards to INT_MAX it infers another shape than it computes.",
    versions: "1.30 to 1.32",
    rewrite: plainEnds,
  },
  {
    name: "expand-to-nothing",
    ops: ["Expand"],
    why: "It keeps axes of size 1 that are to become empty.",
    versions: "1.30 to 1.32",
    rewrite: expandToNothing,
  },
  {
    name: "pad-with-axes",
    ops: ["Pad"],
    why: "It moves a transposition past a Pad as if its amounts were for all axes, and then refuses its own graph.",
    versions: "1.30",
    rewrite: padOfAllAxes,
  },
  {
    name: "resize-by-gather",
    ops: ["Resize"],
    why: "It interpolates in few ranks and along few axes, and loses its cubic kernel beside a transposition.",
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
    name: "saturating-cast",
    ops: ["Cast", "CastLike"],
    why: '"saturate" is of casts to 8-bit floats; it refuses it at others.',
    versions: "1.30 to 1.32",
    rewrite: plainCast,
  },
  {
    name: "shift-of-16-bits",
    ops: ["BitShift"],
    why: "Its kernels shift unsigned integers of 8, 32 and 64 bits.",
    versions: "1.30 to 1.32",
    rewrite: (node, build) => (requireInput(node, 0).dtype === "uint16" ? lowerShift(node, build) : null),
  },
  {
    name: "scatter-in-parallel",
    ops: ["ScatterND"],
    why: "Its threads combine updates of the same element at the same time, and lose some.",
    versions: "1.30 to 1.32",
    rewrite: decomposedWhere((node) => stringAttribute(node, "reduction", "none") !== "none"),
  },
  {
    name: "expanded-loss",
    ops: ["NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"],
    why: "It expands these too, but not for an empty batch.",
    versions: "1.30 to 1.32",
    rewrite: decomposed,
  },
];
