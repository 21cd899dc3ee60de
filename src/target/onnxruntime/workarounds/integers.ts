/**
 * Work-arounds for operators that the runtime has for fewer integer types than ONNX defines: they are computed in a
 * type that holds their numbers.
 */
import { inputOf } from "../../../graph/operands.js";
import type { Node, Value } from "../../../graph/value.js";
import type { Build } from "../../../ops/build.js";
import { floatAttribute, intAttribute } from "../../../ops/checks.js";
import { nth } from "../../../present.js";
import { type DType, isFloat } from "../../../tensor/tensor.js";
import { decomposedWhere, restated, type Workaround } from "./workaround.js";

const versions = "1.30 to 1.32";

/**
 * The types that hold every number of a type, narrow ones first. Unsigned 64-bit numbers are held by their bits: sums,
 * products and moves of bits are the same for signed and unsigned numbers, comparisons are not.
 */
const holding: Readonly<Partial<Record<DType, readonly DType[]>>> = {
  bool: ["uint8", "int32", "int64"],
  int8: ["int16", "int32", "int64"],
  uint8: ["int16", "int32", "int64"],
  int16: ["int32", "int64"],
  uint16: ["int32", "int64"],
  int32: ["int64"],
  uint32: ["int64"],
  uint64: ["int64"],
};

interface Kernels {
  readonly ops: readonly string[];
  /** The inputs of the type that `types` lists; the others keep theirs. */
  readonly inputs: readonly number[] | "all";
  /** Whether the first output has that type. */
  readonly result: boolean;
  /** The types, apart from floats, for which there is a kernel. */
  readonly types: readonly DType[];
  /** Whether it compares its elements, which is wrong for the bits of unsigned numbers. */
  readonly compares?: boolean;
}

const [signed, bytes] = [
  ["int32", "int64"],
  ["int8", "uint8", "int32", "int64"],
] as const;
const sums = ["ReduceSum", "ReduceMean", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare"];
const logarithms = ["ReduceLogSum", "ReduceLogSumExp"];

const kernels: readonly Kernels[] = [
  { ops: ["Where"], inputs: [1, 2], result: true, types: ["uint8", ...signed] },
  { ops: ["Pow"], inputs: [1], result: false, types: signed },
  { ops: ["Max", "Min", "Clip"], inputs: "all", result: true, types: [...bytes, "uint32", "uint64"] },
  { ops: ["Relu"], inputs: [0], result: true, types: ["int8", "int32"] },
  { ops: ["ArgMax", "ArgMin"], inputs: [0], result: false, types: bytes, compares: true },
  { ops: ["ReduceMax", "ReduceMin"], inputs: [0], result: true, types: [...bytes, "bool"], compares: true },
  { ops: [...sums, ...logarithms, "CumSum"], inputs: [0], result: true, types: signed },
  { ops: ["TopK"], inputs: [0], result: true, types: [...bytes, "int16"], compares: true },
  { ops: ["Trilu"], inputs: [0], result: true, types: ["bool", ...signed] },
  { ops: ["Pad"], inputs: [0, 2], result: true, types: ["bool", ...bytes, "uint32", "uint64"] },
  { ops: ["MatMul"], inputs: [0, 1], result: true, types: [...signed, "uint32", "uint64"] },
  { ops: ["Einsum"], inputs: "all", result: true, types: signed },
];

function heldIn({ inputs, types, compares = false }: Kernels, node: Node): DType | undefined {
  const own = node.inputs[inputs === "all" ? 0 : nth(inputs, 0)]?.dtype;
  if (own === undefined || isFloat(own) || types.includes(own) || (own === "uint64" && compares)) return undefined;
  return holding[own]?.find((wider) => types.includes(wider));
}

function inWiderType(node: Node, build: Build): Value[] | null {
  const row = kernels.find(({ ops }) => ops.includes(node.op));
  const wider = row && heldIn(row, node);
  if (!row || !wider) return null;
  const { inputs, result } = row;
  const isCast = (k: number) => inputs === "all" || inputs.includes(k);
  const cast = node.inputs.map((input, k) => (input && isCast(k) ? build.cast(input, wider) : input));
  const [first, ...others] = restated(node, build, { inputs: cast });
  if (!first) return null;
  return [result ? build.cast(first, nth(node.outputs, 0).dtype) : first, ...others];
}

/** No type that holds 64 bits has a kernel. */
const reluOfInt64 = (node: Node, build: Build): Value[] | null => {
  const x = inputOf(node, 0);
  return x.dtype === "int64" ? [build.op("Max", [x, build.scalar(0, x)])] : null;
};

/** Indices and depth in int64, and values in one of the two types that there is a kernel for besides. */
function oneHotInInt64(node: Node, build: Build): Value[] | null {
  const [indices, depth, values] = [inputOf(node, 0), inputOf(node, 1), inputOf(node, 2)];
  const results: DType = isFloat(values.dtype) ? "float32" : "int64";
  if (indices.dtype === "int64" && depth.dtype === "int64" && values.dtype === results) return null;
  const inputs = [build.cast(indices, "int64"), build.cast(depth, "int64"), build.cast(values, results)];
  return restated(node, build, { inputs }).map((y) => build.cast(y, values.dtype));
}

/** alpha * a b + beta * c, if alpha and beta are whole numbers too. */
function productOfIntegers(node: Node, build: Build): Value[] | null {
  const [a, b, c] = [inputOf(node, 0), inputOf(node, 1), node.inputs[2]];
  const [alpha, beta] = [floatAttribute(node, "alpha", 1), floatAttribute(node, "beta", 1)];
  if (isFloat(a.dtype) || !Number.isInteger(alpha) || !Number.isInteger(beta)) return null;
  const turned = (x: Value, attribute: string) => (intAttribute(node, attribute, 0) ? build.transposeLast(x) : x);
  const scaled = (x: Value, factor: number) => (factor === 1 ? x : build.mul(x, build.scalar(factor, x)));
  const product = scaled(build.matmul(turned(a, "transA"), turned(b, "transB")), alpha);
  return [c ? build.add(product, scaled(c, beta)) : product];
}

export const integers: readonly Workaround[] = [
  {
    name: "relu-of-64-bits",
    ops: ["Relu"],
    why: "Its kernels take floats and integers of 8 and 32 bits.",
    versions,
    rewrite: reluOfInt64,
  },
  {
    name: "integers-without-kernel",
    ops: kernels.flatMap(({ ops }) => ops),
    why: "Its kernels are for some types of integers only.",
    versions,
    rewrite: inWiderType,
  },
  {
    name: "one-hot-of-other-types",
    ops: ["OneHot"],
    why: "It has kernels for few combinations of the types of indices, depth and values.",
    versions,
    rewrite: oneHotInInt64,
  },
  {
    name: "product-of-integers",
    ops: ["Gemm"],
    why: "Its kernels multiply floats only.",
    versions,
    rewrite: productOfIntegers,
  },
  {
    name: "blocks-of-integers",
    ops: ["DepthToSpace", "SpaceToDepth"],
    why: "Its kernels move floats and bytes only.",
    versions,
    rewrite: decomposedWhere((node) => !["float32", "float64", "int8", "uint8"].includes(inputOf(node, 0).dtype)),
  },
];
