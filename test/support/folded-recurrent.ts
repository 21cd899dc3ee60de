/**
 * PyTorch's gradients of a GRU whose weights an exporter folded into those of ONNX's: the gates in another order, an
 * axis for the direction in front, and both biases in one tensor.
 */
import type { Tensor } from "../../src/tensor/tensor.js";

type Gradients = ReadonlyMap<string, Tensor>;

/** PyTorch has the gates r, z, n; ONNX z, r, h. */
const order = [1, 0, 2];

/** `[N, 3 * H, ...]` with the gates as ONNX has them. */
function reordered(gradients: Gradients, name: string, samples: number): Float64Array[] {
  const { data } = gradients.get(name) as Tensor<"float64">;
  const size = data.length / samples;
  return Array.from({ length: samples }, (_, n) => {
    const gates = order.map((gate) => data.subarray(n * size + (gate * size) / 3, n * size + ((gate + 1) * size) / 3));
    return Float64Array.from(gates.flatMap((gate) => [...gate]));
  });
}

/** The same gradients, with those of the layer named `r` under the names that the reader gives to ONNX's weights. */
export function foldedGru(gradients: Gradients, samples: number): Map<string, Tensor> {
  const [w, r, b, c] = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"].map((name) =>
    reordered(gradients, `r.${name}`, samples),
  ) as [Float64Array[], Float64Array[], Float64Array[], Float64Array[]];
  const hidden = (b[0]?.length ?? 0) / 3;
  const tensor = (rows: readonly Float64Array[], columns: number): Tensor => {
    const size = rows[0]?.length ?? 0;
    const dims = columns === 0 ? [samples, 1, size] : [samples, 1, size / columns, columns];
    return { dtype: "float64", dims, data: Float64Array.from(rows.flatMap((row) => [...row])) };
  };
  const both = b.map((row, n) => Float64Array.from([...row, ...(c[n] as Float64Array)]));
  const kept = [...gradients].filter(([name]) => !name.startsWith("r."));
  const folded = [
    ["r.W", tensor(w, (w[0]?.length ?? 0) / (3 * hidden))],
    ["r.R", tensor(r, hidden)],
    ["r.B", tensor(both, 0)],
  ] as const;
  return new Map([...kept, ...folded]);
}
