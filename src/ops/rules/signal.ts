/** HannWindow, HammingWindow, BlackmanWindow, MelWeightMatrix: constants, once their inputs are known. */

import type { Array64 } from "../../float64/array64.js";
import { array64, zeros64 } from "../../float64/array64.js";
import type { Node } from "../../graph/value.js";
import { leadingOf } from "../../present.js";
import { type DType, isFloat } from "../../tensor/tensor.js";
import type { Call } from "../call.js";
import { intAttribute, knownInt, part, shapeMismatch } from "../checks.js";
import { never, type OpDefinition } from "../definition.js";
import { requireConstant } from "../limits.js";
import { constantNumber } from "../subgraphs/constant-input.js";
import { dtypeAttribute } from "./random.js";

const outputType = (call: Call | Node): DType => dtypeAttribute(call, "output_datatype", "float32");

/** Converts numbers to a dtype. Integers are truncated, from float32: there a peak of 1 minus a rounding error is 1. */
function cast64({ dims, data }: Array64, dtype: DType): Array64 {
  return { dims, data: isFloat(dtype) ? data : data.map((x) => Math.trunc(Math.fround(x))) };
}

function countInput(call: Call | Node, index: number, what: string): number {
  const count = knownInt(call, index);
  if (count === undefined || count < 0)
    throw shapeMismatch(
      part(call, `the ${what}`),
      count === undefined ? "is missing" : `is ${count}, which is negative`,
    );
  requireConstant(call, count, "a table");
  return count;
}

/** The sum over k of (-1)^k * terms[k] * cos(2 pi k t / period). */
function cosineWindow(op: string, terms: readonly number[]): OpDefinition {
  return {
    op,
    infer: (call) => [{ dtype: outputType(call), shape: [countInput(call, 0, "size")] }],
    evaluate: ([size], node) => {
      const count = size?.data[0] ?? 0;
      const period = intAttribute(node, "periodic", 1) !== 0 ? count : count - 1;
      const data = Float64Array.from({ length: count }, (_, t) => {
        // The only element of a symmetric window of length 1 is its middle.
        const angle = period === 0 ? Math.PI : (2 * Math.PI * t) / period;
        return terms.reduce((sum, term, k) => sum + (k % 2 === 0 ? term : -term) * Math.cos(k * angle), 0);
      });
      return [cast64(array64([count], data), outputType(node))];
    },
    differentiate: "none",
  };
}

// MelWeightMatrix

interface Mel {
  /** Columns: triangular filters. */
  readonly filters: number;
  /** Rows: bins of the spectrum. */
  readonly bins: number;
  /** The edges of the filters. Each filter begins at one edge, peaks at the next and ends at the one after it. */
  readonly edges: readonly number[];
}

const toMel = (hertz: number) => 2595 * Math.log10(1 + hertz / 700);
const toHertz = (mel: number) => 700 * (10 ** (mel / 2595) - 1);

function melOf(call: Call | Node): Mel {
  const [filters, length, rate] = [
    countInput(call, 0, "num_mel_bins"),
    countInput(call, 1, "dft_length"),
    countInput(call, 2, "sample_rate"),
  ];
  const [low, high] = [toMel(constantNumber(call, 3, 0)), toMel(constantNumber(call, 4, 0))];
  const bins = Math.floor(length / 2) + 1;
  requireConstant(call, bins * (filters + 2), "a table");
  const step = (high - low) / (filters + 2);
  const binOf = (mel: number) => Math.floor(((length + 1) * toHertz(mel)) / rate);
  const edges = Array.from({ length: filters + 2 }, (_, k) => binOf(low + k * step));
  const within = [...edges, binOf(high)].every((edge, k) => edge >= (edges[k - 1] ?? 0) && edge < bins);
  if (!within) {
    throw shapeMismatch(
      part(call, "the edges"),
      `do not rise within the ${bins} bins of a spectrum of length ${length}`,
    );
  }
  return { filters, bins, edges };
}

/** Rises from the first edge to the second, and falls from there to the third. */
function triangle([first, peak, last]: readonly [number, number, number], bin: number): number {
  if (bin >= first && bin < peak) return (bin - first) / (peak - first);
  if (bin === peak) return 1;
  return bin > peak && bin < last ? (last - bin) / (last - peak) : 0;
}

const melWeightMatrix: OpDefinition = {
  op: "MelWeightMatrix",
  settings: { 3: never("a frequency"), 4: never("a frequency") },
  infer: (call) => {
    const { bins, filters } = melOf(call);
    return [{ dtype: outputType(call), shape: [bins, filters] }];
  },
  evaluate: (_, node) => {
    const { bins, filters, edges } = melOf(node);
    const result = zeros64([bins, filters]);
    const weights = result.data.map((_, at) => {
      const filter = at % filters;
      const [first, peak, last] = leadingOf(edges.slice(filter, filter + 3), 3);
      return triangle([first, peak, last], Math.floor(at / filters));
    });
    return [cast64({ dims: result.dims, data: weights }, outputType(node))];
  },
  differentiate: "none",
};

export const signal: readonly OpDefinition[] = [
  cosineWindow("HannWindow", [0.5, 0.5]),
  cosineWindow("HammingWindow", [25 / 46, 21 / 46]),
  cosineWindow("BlackmanWindow", [0.42, 0.5, 0.08]),
  melWeightMatrix,
];
