/** Memory that kernels of ONNX Runtime allocate for themselves, beyond the tensors that they read and write. */
import { type Bytes, bytesOfValue, noBytes, plusBytes } from "../../graph/bytes.js";
import type { Node } from "../../graph/value.js";
import { presentInputs } from "../../graph/walk.js";
import { intAttribute } from "../../ops/checks.js";
import { definitionOf } from "../../ops/registry.js";
import { leadingOf } from "../../present.js";

/**
 * The number of channels in a block, in the layout in which the runtime convolves with constant kernels: 16 with
 * AVX-512, else 8.
 */
const channelBlock = 16;

/** The result of a convolution with a constant kernel in the runtime's own layout; it is then copied. */
function blocked(node: Node): Bytes {
  const [output] = node.outputs;
  const channels = output?.shape[1];
  if (!output || typeof channels !== "number" || node.inputs[1]?.source.kind !== "constant") return noBytes;
  const padded = Math.ceil(channels / channelBlock) * channelBlock;
  return bytesOfValue({ dtype: output.dtype, shape: output.shape.map((dim, axis) => (axis === 1 ? padded : dim)) });
}

/** What a transposed convolution adds up: for one image and group, a patch for each position. */
function unfoldedImage({ inputs }: Node): Bytes {
  const [x, w] = leadingOf(inputs, 2);
  return bytesOfValue({ dtype: x.dtype, shape: [...w.shape.slice(1), ...x.shape.slice(2)] });
}

/** Memory that a kernel allocates for itself, if it is large. A node's body is not included. */
export function scratch(node: Node): Bytes {
  if (node.op === "Conv") return blocked(node);
  if (node.op === "ConvTranspose") return unfoldedImage(node);
  if (node.op === "Einsum")
    return presentInputs(node).reduce((sum, input) => plusBytes(sum, bytesOfValue(input)), noBytes);
  if (!definitionOf(node)?.recurrent) return noBytes;
  // The gates of all steps: X·W for all positions at once, for each direction.
  const [x, w] = node.inputs;
  const [width, directions, gates] = [x?.shape.at(-1), w?.shape[0], w?.shape[1]];
  if (!x || typeof width !== "number" || typeof directions !== "number" || typeof gates !== "number") return noBytes;
  const positions = bytesOfValue(x);
  const hidden = intAttribute(node, "hidden_size", 0);
  const perPosition = (directions * (gates + hidden)) / Math.max(1, width);
  return plusBytes(noBytes, positions, perPosition);
}
