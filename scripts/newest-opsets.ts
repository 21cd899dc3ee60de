/**
 * What opsets 27 and 28 added and changed, for docs/ops.md: from the schemas of the Python package onnx 1.23.2
 * (`onnx.defs.get_schema`), and compared with its reference evaluator in test/onnx/opset-cases.
 */
export const newestOpsets: readonly string[] = [
  "CausalConvWithState (27): new; both outputs, every activation, with and without a past state.",
  "LinearAttention (27): new; the rules `linear`, `gated`, `delta` and `gated_delta`, queries that share keys, decay by head or by element of a key.",
  "Range (27): float16 is added up as `stash_type` says; pergrad adds up in float32 at the least.",
  "SwiGLU (28): new.",
  "BitShift (28): signed integers, whose sign is shifted in from the left; shifts by negative numbers or by all bits leave nothing but that sign.",
  "Mod (28): floats with `fmod=0` too (the remainder has the sign of the divisor), and integers with `fmod=1`.",
  "SpaceToDepth (28): `mode` `DCR` (as before) or `CRD`.",
  "Celu (28): all floating-point types.",
  "ReduceLogSum, ReduceLogSumExp (28): integers are no longer defined; files of older opsets that have them are read still.",
  "Compress, DepthToSpace, Einsum, OneHot, ReverseSequence, Unique (28): bfloat16, or a definition by other operators; computed as before.",
  "Cast, DequantizeLinear, QuantizeLinear (28): six-bit floats, which pergrad does not read.",
  "Optional, OptionalGetElement, OptionalHasElement (28): of more types.",
];
