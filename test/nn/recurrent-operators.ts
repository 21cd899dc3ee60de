/** Recurrent layers by ONNX Runtime's own operators, one node for each layer. */
import { AttributeProto_AttributeType as Attribute } from "onnx-buf";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import type * as nn from "../../src/nn/index.js";
import { sizeOf, type Tensor } from "../../src/tensor/tensor.js";
import { file, int, node, valueInfo } from "../onnx/models.js";
import { sessionOptions } from "../support/session-options.js";
import { floats } from "./agreement.js";

export type Floats = Tensor<"float32">;
export type Kind = "lstm" | "gru" | "rnn";

export const int32 = (...data: number[]): Tensor<"int32"> => ({
  dtype: "int32",
  dims: [data.length],
  data: Int32Array.from(data),
});

/** Elements by index, from elements by index. */
export function build32(dims: readonly number[], element: (...index: number[]) => number): Floats {
  const data = new Float32Array(sizeOf(dims));
  data.forEach((_, position) => {
    let rest = position;
    const index = [...dims].reverse().map((size) => {
      const own = rest % size;
      rest = Math.floor(rest / size);
      return own;
    });
    data[position] = element(...index.reverse());
  });
  return { dtype: "float32", dims, data };
}

export function at({ dims, data }: Floats, ...index: readonly number[]): number {
  return data[dims.reduce((offset, size, axis) => offset * size + (index[axis] as number), 0)] as number;
}

/** The first two axes exchanged. */
export const exchanged = (x: Floats) => {
  const [first = 0, second = 0, ...rest] = x.dims;
  return build32([second, first, ...rest], (b = 0, a = 0, ...others) => at(x, a, b, ...others));
};

/** Tensors of equal shape, one after the other along a new first axis. */
const stacked = (parts: readonly Floats[]): Floats => ({
  dtype: "float32",
  dims: [parts.length, ...(parts[0]?.dims ?? [])],
  data: Float32Array.from(parts.flatMap(({ data }) => [...data])),
});

export const rowsOf = (x: Floats, from: number, to: number): Floats => {
  const size = sizeOf(x.dims.slice(1));
  return {
    dtype: "float32",
    dims: [to - from, ...x.dims.slice(1)],
    data: x.data.subarray(from * size, to * size),
  };
};

const text = (value: string) => new TextEncoder().encode(value);

export interface Given {
  readonly x: Floats;
  readonly lengths?: Tensor<"int32">;
  readonly hidden?: Floats;
  readonly cell?: Floats;
}

interface Results {
  readonly sequence: Floats;
  readonly last: Floats;
  readonly hidden: Floats;
  readonly cell?: Floats;
}

/** One node of the operator, by ONNX Runtime: X, W, R, B, lengths and states as ONNX has them. */
async function operator(
  op: string,
  fed: readonly (Tensor | null)[],
  flags: Readonly<Record<string, number>>,
  texts: Readonly<Record<string, string | readonly string[]>>,
): Promise<Floats[]> {
  const names = ["X", "W", "R", "B", "lengths", "h", "c"].slice(0, fed.length);
  const outputs = op === "LSTM" ? ["Y", "Y_h", "Y_c"] : ["Y", "Y_h"];
  const attributes = [
    ...Object.entries(flags).map(([name, value]) => int(name, value)),
    ...Object.entries(texts).map(([name, value]) =>
      typeof value === "string"
        ? { name, type: Attribute.STRING, s: text(value) }
        : { name, type: Attribute.STRINGS, strings: value.map(text) },
    ),
  ];
  const bytes = file({
    inputs: names.flatMap((name, k) => (fed[k] ? [valueInfo(name, fed[k].dims, name === "lengths" ? 6 : 1)] : [])),
    nodes: [
      node(
        op,
        names.map((name, k) => (fed[k] ? name : "")),
        outputs,
        attributes,
      ),
    ],
    outputs,
  });
  const session = await InferenceSession.create(bytes, sessionOptions);
  const feeds = names.flatMap((name, k) => {
    const tensor = fed[k];
    return tensor ? [[name, new OrtTensor(tensor.dtype as "float32", tensor.data as Float32Array, tensor.dims)]] : [];
  });
  const results = await session.run(Object.fromEntries(feeds) as Record<string, OrtTensor>);
  await session.release();
  return outputs.map((name) => {
    const { dims, data } = results[name] as OrtTensor;
    return { dtype: "float32", dims, data: data as Float32Array };
  });
}

/** All layers by nodes of their own, one for both directions, positions first in between. */
export async function byOperators(
  kind: Kind,
  { layers = 1, bidirectional = false, batchFirst = true, bias = true }: nn.RecurrentOptions,
  weights: Readonly<Record<string, Floats>>,
  given: Given,
  more: { readonly flags?: Record<string, number>; readonly texts?: Record<string, readonly string[]> } = {},
): Promise<Results> {
  const directions = bidirectional ? 2 : 1;
  const hidden = weights.hidden_weight_l0?.dims[1] as number;
  let x = batchFirst ? exchanged(given.x) : given.x;
  const states: Floats[][] = [];
  for (let layer = 0; layer < layers; layer++) {
    const both = (name: string) =>
      ["", "_reverse"].slice(0, directions).map((end) => weights[`${name}_l${layer}${end}`] as Floats);
    const [ingoing, recurrent] = [both("input_bias"), both("hidden_bias")];
    const biases = bias
      ? stacked(ingoing.flatMap((own, k) => [own, recurrent[k] as Floats]))
      : stacked(Array.from({ length: directions }, () => floats([0])));
    const initial = (all: Floats | undefined) =>
      all ? rowsOf(all, layer * directions, (layer + 1) * directions) : null;
    const fed = [
      x,
      stacked(both("input_weight")),
      stacked(both("hidden_weight")),
      bias ? { ...biases, dims: [directions, biases.data.length / directions] } : null,
      given.lengths ?? null,
      initial(given.hidden),
      ...(kind === "lstm" ? [initial(given.cell)] : []),
    ];
    const flags = { hidden_size: hidden, ...(kind === "gru" ? { linear_before_reset: 1 } : {}), ...more.flags };
    const texts = { direction: bidirectional ? "bidirectional" : "forward", ...more.texts };
    const [all, ...last] = (await operator(kind.toUpperCase(), fed, flags, texts)) as [Floats, ...Floats[]];
    const [steps = 0, , batch = 0] = all.dims;
    x = build32([steps, batch, directions * hidden], (t = 0, n = 0, c = 0) =>
      at(all, t, Math.floor(c / hidden), n, c % hidden),
    );
    states.push(last);
  }
  const joined = (k: number) => {
    const parts = states.map((own) => own[k] as Floats);
    return {
      dtype: "float32" as const,
      dims: [layers * directions, ...(parts[0]?.dims.slice(1) ?? [])],
      data: Float32Array.from(parts.flatMap(({ data }) => [...data])),
    };
  };
  const top = states.at(-1)?.[0] as Floats;
  return {
    sequence: batchFirst ? exchanged(x) : x,
    last: build32([top.dims[1] as number, directions * hidden], (n = 0, c = 0) =>
      at(top, Math.floor(c / hidden), n, c % hidden),
    ),
    hidden: joined(0),
    ...(kind === "lstm" ? { cell: joined(1) } : {}),
  };
}
