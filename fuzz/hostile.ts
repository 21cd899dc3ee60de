/** Files written to do harm: deep, long, cyclic, or declared larger than they are. */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type FunctionProtoSchema,
  AttributeProto_AttributeType as Kind,
  ModelProtoSchema,
  type NodeProtoSchema,
} from "onnx-buf";
import type { Draw } from "./draw.js";
import { hostileInt } from "./draw.js";

type Node = MessageInitShape<typeof NodeProtoSchema>;
type Make = (draw: Draw, compile: boolean) => Uint8Array;

const input = (name: string, dims: readonly (bigint | string)[], elemType = 1) => {
  const dim = dims.map((size) =>
    typeof size === "string"
      ? { value: { case: "dimParam" as const, value: size } }
      : { value: { case: "dimValue" as const, value: size } },
  );
  return { name, type: { value: { case: "tensorType" as const, value: { elemType, shape: { dim } } } } };
};

const floats = (name: string, dims: readonly bigint[], floatData: number[] = []) => ({
  name,
  dims: [...dims],
  dataType: 1,
  floatData,
});

const constant = (name: string, int64Data: bigint[]): Node => ({
  opType: "Constant",
  output: [name],
  attribute: [{ name: "value", type: Kind.TENSOR, t: { dataType: 7, dims: [BigInt(int64Data.length)], int64Data } }],
});

/** Maps x `[N, 4]` and the weight w `[4]` to y. */
function model(
  node: Node[],
  dims: readonly (bigint | string)[] = ["N", 4n],
  functions: MessageInitShape<typeof FunctionProtoSchema>[] = [],
): Uint8Array {
  const graph = { node, initializer: [floats("w", [4n], [1, 2, 3, 4])], input: [input("x", dims)] };
  const opsetImport = [{ domain: "", version: 21n }];
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, { irVersion: 8n, opsetImport, functions, graph: { ...graph, output: [{ name: "y" }] } }),
  );
}

const weighted: Node = { opType: "Mul", input: ["x", "w"], output: ["h0"] };
const last = (from: string): Node => ({ opType: "Identity", input: [from], output: ["y"] });

function chain(length: number, link: (before: string, after: string) => Node[]): Uint8Array {
  const links = Array.from({ length }, (_, k) => link(`h${k}`, `h${k + 1}`)).flat();
  return model([weighted, ...links, last(`h${length}`)]);
}

const deepChain: Make = (draw, compile) => {
  const op = draw.of(["Tanh", "Neg", "Relu", "Identity", "Softmax", "Gelu"]);
  // ONNX Runtime takes seconds to load the graph of a deeper one with its derivative.
  return chain(compile ? 300 : 5000, (before, after) => [{ opType: op, input: [before], output: [after] }]);
};

/** Each node reads the previous one twice: 2^60 paths. */
const manyPaths: Make = (draw) => {
  const op = draw.of(["Add", "Mul", "MatMul", "Sub"]);
  return chain(60, (before, after) => [{ opType: op, input: [before, before], output: [after] }]);
};

/** Doubles a tensor again and again: computing it would exceed any memory. */
const doubling: Make = (draw) => {
  const axis = BigInt(draw.below(2));
  const join: Partial<Node> = { opType: "Concat", attribute: [{ name: "axis", type: Kind.INT, i: axis }] };
  const steps = draw.of([20, 40, 70]);
  return chain(steps, (before, after) => [{ ...join, input: [before, before], output: [after] }]);
};

const cyclic: Make = () =>
  model([
    { opType: "Add", input: ["x", "h1"], output: ["h0"] },
    { opType: "Mul", input: ["h0", "w"], output: ["h1"] },
    last("h1"),
  ]);

const unary = (op: string, ints: bigint[], more: Node["attribute"] = []): Uint8Array =>
  model([
    weighted,
    constant("ints", ints),
    { opType: op, input: ["h0", "ints"], output: ["y"], attribute: more ?? [] },
  ]);

const hugeExpand: Make = (draw) => unary(draw.of(["Expand", "Reshape", "Tile"]), [hostileInt(draw), hostileInt(draw)]);
const hugePad: Make = (draw) => unary("Pad", [0n, hostileInt(draw), 0n, hostileInt(draw)]);

/** Constants of few bytes that stand for many elements. */
const hugeFill: Make = (draw) => {
  const size = draw.of([10n ** 6n, 10n ** 8n, 10n ** 9n, 2n ** 40n]);
  const fill: Node = { opType: "ConstantOfShape", input: ["ints"], output: ["big"] };
  return model([
    weighted,
    constant("ints", [size]),
    fill,
    { opType: draw.of(["Add", "Gather", "Mul"]), input: ["h0", "big"], output: ["y"] },
  ]);
};

/** A large image and a large kernel, whose unfolding would take all memory. */
const hugeWindow: Make = (draw) => {
  const size = draw.of([100n, 10_000n, 10n ** 6n, 2n ** 31n]);
  const ints = (name: string, values: bigint[]) => ({ name, type: Kind.INTS, ints: values });
  const kernel = [draw.of([1n, 7n, 999n]), draw.of([1n, 50n])];
  const attribute = [ints("kernel_shape", kernel), ints("pads", [0n, 0n, draw.of([0n, 3n, 900n]), 0n])];
  const scaled: Node = { opType: "Mul", input: ["x", "h1"], output: ["h2"] };
  const one: Node = { opType: "ReduceSum", input: ["w"], output: ["h1"] };
  const pool = draw.of(["AveragePool", "MaxPool", "LpPool"]);
  return model([one, scaled, { opType: pool, input: ["h2"], output: ["y"], attribute }], ["N", 2n, size, size]);
};

const huge: Make = (draw) => {
  const node = draw.of([
    "Softmax",
    "CumSum",
    "Flatten",
    "Transpose",
    "LayerNormalization",
    "GlobalAveragePool",
    "MatMul",
    "Gather",
  ]);
  const dims = [draw.chance(0.5) ? "N" : 4n, hostileInt(draw), hostileInt(draw), 4n] as const;
  return model([weighted, { opType: node, input: ["h0", "w"], output: ["y"] }], dims);
};

/** A graph within an attribute within a graph ..., written as bytes, because writing messages would recurse. */
const nested: Make = (draw) => {
  const prefixes: number[][] = [];
  let length = 0;
  const wrap = (tag: number) => {
    const prefix = [tag, ...varint(length)];
    prefixes.push(prefix);
    length += prefix.length;
  };
  for (let left = draw.of([10, 100, 1000, 20_000]); left > 0; left--) {
    wrap(0x32); // AttributeProto.g
    wrap(0x2a); // NodeProto.attribute
    wrap(0x0a); // GraphProto.node
  }
  wrap(0x3a); // ModelProto.graph
  return Uint8Array.from([0x08, 0x08, 0x42, 0x02, 0x10, 0x15, ...prefixes.reverse().flat()]);
};

/** A graph inside a node, which returns some other values and then the result of its last node. */
const inner = (node: Node[], inputs: ReturnType<typeof input>[] = [], before: string[] = []) => ({
  node,
  input: inputs,
  output: [...before, node.at(-1)?.output?.[0] ?? ""].map((name) => ({ name })),
});

/** A loop that runs forever, or an If whose condition is its own result; graphs within graphs. */
const looping: Make = (draw) => {
  const [trips, next] = [constant("trips", [hostileInt(draw)]), draw.of(["go", "never", ""])];
  const body = inner(
    [{ opType: "Add", input: ["v", "w"], output: ["v2"] }],
    [input("i", [], 7), input("go", [], 9), input("v", ["N", 4n])],
    [next],
  );
  const loop: Node = {
    opType: draw.of(["Loop", "Scan"]),
    input: [draw.of(["trips", ""]), "", "h0"],
    output: ["y"],
    attribute: [{ name: "body", type: Kind.GRAPH, g: body }],
  };
  return model([weighted, trips, loop]);
};

/** An If in an If in an If: in one branch, deeply nested, or in both. */
const branches: Make = (draw) => {
  const condition: Node = { opType: "Cast", input: ["c"], output: ["condition"] };
  const to = [{ name: "to", type: Kind.INT, i: draw.of([9n, 1n]) }];
  const leaf = inner([{ opType: "Identity", input: [draw.of(["h0", "y", "nothing"])], output: ["b0"] }]);
  const both = draw.chance(0.5);
  let graph = leaf;
  for (let depth = draw.of(both ? [2, 10] : [2, 20, 30]); depth > 0; depth--) {
    const [yes, no] = [graph, both ? graph : leaf];
    const attribute = Object.entries({ then_branch: yes, else_branch: no }).map(([name, g]) => {
      return { name, type: Kind.GRAPH, g };
    });
    graph = inner([{ opType: "If", input: ["condition"], output: [`b${depth}`], attribute }]);
  }
  const [outermost] = graph.node;
  const nodes = outermost ? [outermost, last(outermost.output?.[0] ?? "")] : [];
  return model([weighted, constant("c", [1n]), { ...condition, attribute: to }, ...nodes]);
};

/** Functions that double at every call, call each other in a circle, or are deeply nested. */
const calls: Make = (draw) => {
  const domain = "own";
  const count = draw.of([3, 30, 3000, 20_000]);
  const times = draw.of([1, 2]);
  const functions = Array.from({ length: count }, (_, k) => {
    const callee = k + 1 < count ? k + 1 : draw.of([0, -1]);
    const call = (from: string, to: string): Node =>
      callee < 0
        ? { opType: "Tanh", input: [from], output: [to] }
        : { opType: `F${callee}`, domain, input: [from], output: [to] };
    const node = times === 1 ? [call("a", "b")] : [call("a", "c"), call("c", "b")];
    return { name: `F${k}`, domain, input: ["a"], output: ["b"], node, opsetImport: [{ domain: "", version: 21n }] };
  });
  return model([weighted, { opType: "F0", domain, input: ["h0"], output: ["y"] }], ["N", 4n], functions);
};

/** An Einsum of constants, with few numbers and much work. */
const longSum: Make = (draw) => {
  const size = draw.of([10n, 1000n, 100_000n]);
  const fill = (name: string): Node[] => [
    constant(`${name}_shape`, [size]),
    { opType: "ConstantOfShape", input: [`${name}_shape`], output: [name] },
  ];
  const equation = new TextEncoder().encode(draw.of(["i,j,k->", "i,i->ii", "ii->i", "i,j->ij", "...i,...j->..."]));
  const attribute = [{ name: "equation", type: Kind.STRING, s: equation }];
  const sum: Node = { opType: "Einsum", input: ["a", "b", "c"].slice(0, draw.of([1, 2, 3])), output: ["s"], attribute };
  return model([weighted, ...["a", "b", "c"].flatMap(fill), sum, { opType: "Add", input: ["h0", "s"], output: ["y"] }]);
};

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

const makers: readonly (readonly [string, Make])[] = Object.entries({
  deepChain,
  manyPaths,
  doubling,
  cyclic,
  hugeExpand,
  hugePad,
  hugeFill,
  hugeWindow,
  huge,
  nested,
  looping,
  branches,
  calls,
  longSum,
});

export function hostileFile(draw: Draw, compile: boolean): { readonly name: string; readonly bytes: Uint8Array } {
  const [name, make] = draw.maybe(makers) ?? ["cyclic", cyclic];
  return { name, bytes: make(draw, compile) };
}
