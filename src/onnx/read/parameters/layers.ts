/** Operators of layers, and what their weights are called there, by input. */
export const layers: ReadonlyMap<string, readonly (string | undefined)[]> = new Map([
  ["BatchNormalization", [undefined, "weight", "bias"]],
  ["Conv", [undefined, "weight", "bias"]],
  ["ConvTranspose", [undefined, "weight", "bias"]],
  ["Einsum", []],
  ["GRU", [undefined, "W", "R", "B"]],
  ["Gather", ["weight"]],
  ["Gemm", [undefined, "weight", "bias"]],
  ["GroupNormalization", [undefined, "weight", "bias"]],
  ["InstanceNormalization", [undefined, "weight", "bias"]],
  ["LSTM", [undefined, "W", "R", "B"]],
  ["LayerNormalization", [undefined, "weight", "bias"]],
  ["MatMul", ["weight", "weight"]],
  ["PRelu", [undefined, "weight"]],
  ["RNN", [undefined, "W", "R", "B"]],
]);
