/** Changes to a model that leave it readable as protobuf, and mostly make it invalid. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProtoSchema,
  type GraphProto,
  AttributeProto_AttributeType as Kind,
  TensorProto_DataLocation as Location,
  type ModelProto,
  type NodeProto,
  NodeProtoSchema,
  StringStringEntryProtoSchema,
  type TensorProto,
  type TensorShapeProto_Dimension,
} from "onnx-buf";
import { type Draw, hostileDims, hostileFloat, hostileInt, hostileName } from "./draw.js";

/** A list that holds the model's own entries, to be changed in place. */
function changeList<T>(list: T[], draw: Draw): void {
  if (list.length === 0) return;
  const at = draw.below(list.length);
  const [first] = list.splice(at, 1);
  const action = draw.below(3);
  if (first === undefined || action === 0) return;
  // Places an entry elsewhere in the list; one action also repeats it.
  list.splice(draw.below(list.length + 1), 0, first);
  if (action === 2) list.splice(draw.below(list.length + 1), 0, first);
}

type Parts = Pick<GraphProto, "node" | "initializer" | "input" | "output">;

function graphOf({ graph }: ModelProto): Parts {
  return graph ?? { node: [], initializer: [], input: [], output: [] };
}

function namesOf(model: ModelProto): string[] {
  const { node, initializer, input } = graphOf(model);
  return [...node.flatMap(({ output }) => output), ...[...initializer, ...input].map(({ name }) => name)];
}

const nodeOf = (model: ModelProto, draw: Draw) => draw.maybe(graphOf(model).node);

function attributeOf(model: ModelProto, draw: Draw): AttributeProto | undefined {
  return draw.maybe(graphOf(model).node.flatMap(({ attribute }) => attribute));
}

function tensorOf(model: ModelProto, draw: Draw): TensorProto | undefined {
  const { node, initializer } = graphOf(model);
  const inNodes = node.flatMap(({ attribute }) => attribute.flatMap(({ t }) => (t ? [t] : [])));
  return draw.maybe([...initializer, ...inNodes]);
}

function rewire(model: ModelProto, draw: Draw): void {
  const node = nodeOf(model, draw);
  if (!node || node.input.length === 0) return;
  const name = draw.chance(0.1) ? hostileName(draw) : (draw.maybe(namesOf(model)) ?? "");
  node.input[draw.below(node.input.length)] = name;
}

function rename(model: ModelProto, draw: Draw): void {
  const { node, initializer, input, output } = graphOf(model);
  const named = draw.maybe([...node, ...initializer, ...input, ...output]);
  const name = draw.chance(0.5) ? hostileName(draw) : (draw.maybe(namesOf(model)) ?? "");
  if (named) named.name = name;
  const other = draw.maybe(node);
  if (draw.chance(0.3) && other && other.output.length > 0) other.output[draw.below(other.output.length)] = name;
}

function changeArity(model: ModelProto, draw: Draw): void {
  const node = nodeOf(model, draw);
  if (!node) return;
  const list = draw.chance(0.7) ? node.input : node.output;
  const names = list === node.input ? namesOf(model) : ["extra_1", "extra_2"];
  const count = draw.chance(0.05) ? 20_000 : 1 + draw.below(4);
  if (draw.chance(0.4)) list.length = draw.below(list.length + 1);
  else for (let k = 0; k < count; k++) list.push(draw.maybe(names) ?? "");
}

function changeAttribute(model: ModelProto, draw: Draw): void {
  const attribute = attributeOf(model, draw);
  if (!attribute) return;
  if (draw.chance(0.1)) attribute.name = draw.of(attributeNames);
  if (draw.chance(0.1)) attribute.type = draw.below(16);
  if (draw.chance(0.5)) attribute.i = hostileInt(draw);
  if (draw.chance(0.5)) attribute.f = hostileFloat(draw);
  if (draw.chance(0.2)) attribute.s = new TextEncoder().encode(draw.of(words));
  if (attribute.ints.length === 0 || draw.chance(0.2)) attribute.ints = hostileDims(draw);
  else attribute.ints[draw.below(attribute.ints.length)] = hostileInt(draw);
}

const words = ["", "SAME_UPPER", "VALID", "reflect", "wrap", "none", "ij,jk->ik", "...,->", "i".repeat(5000)] as const;
const attributeNames = (
  "axis axes perm to keepdims strides pads dilations kernel_shape group auto_pad epsilon alpha beta transA transB mode " +
  "equation num_groups blocksize split num_outputs value ceil_mode storage_order count_include_pad output_padding " +
  "output_shape exclusive reverse batch_dims largest sorted p approximate allowzero start end select_last_index k upper"
).split(" ") as [string, ...string[]];

type AttributeInit = MessageInitShape<typeof AttributeProtoSchema>;

function addAttribute(model: ModelProto, draw: Draw): void {
  const name = draw.of(attributeNames);
  const forms: [AttributeInit, ...AttributeInit[]] = [
    { type: Kind.INT, i: hostileInt(draw) },
    { type: Kind.FLOAT, f: hostileFloat(draw) },
    { type: Kind.INTS, ints: hostileDims(draw) },
    { type: Kind.STRING, s: new TextEncoder().encode(draw.of(words)) },
  ];
  nodeOf(model, draw)?.attribute.push(create(AttributeProtoSchema, { name, ...draw.of(forms) }));
}

function changeDims(model: ModelProto, draw: Draw): void {
  const tensor = tensorOf(model, draw);
  if (!tensor) return;
  if (tensor.dims.length === 0 || draw.chance(0.3)) tensor.dims = hostileDims(draw);
  else if (draw.chance(0.5)) tensor.dims[draw.below(tensor.dims.length)] = hostileInt(draw);
  else if (draw.chance(0.6)) tensor.dims.reverse();
  else tensor.dims.splice(draw.below(tensor.dims.length + 1), 0, 1n);
}

function changeInput(model: ModelProto, draw: Draw): void {
  const input = draw.maybe(graphOf(model).input);
  const type = input?.type?.value;
  if (!input || type?.case !== "tensorType") return;
  const dims: TensorShapeProto_Dimension[] = type.value.shape?.dim ?? [];
  const dim = draw.maybe(dims);
  if (draw.chance(0.3)) type.value.elemType = draw.below(25);
  else if (draw.chance(0.1)) delete type.value.shape;
  else if (draw.chance(0.35)) changeList(dims, draw);
  else if (dim && draw.chance(0.2)) dim.value = { case: "dimParam", value: draw.of(["N", "batch", "T", ""]) };
  else if (dim) dim.value = { case: "dimValue", value: hostileInt(draw) };
}

function changeData(model: ModelProto, draw: Draw): void {
  const tensor = tensorOf(model, draw);
  if (!tensor) return;
  if (draw.chance(0.3)) tensor.dataType = draw.below(25);
  if (draw.chance(0.3)) tensor.rawData = tensor.rawData.subarray(0, draw.below(tensor.rawData.length + 1));
  if (draw.chance(0.05)) tensor.rawData = new Uint8Array(draw.of([10_000, 20_000_000]));
  if (draw.chance(0.1)) tensor.floatData = Array.from({ length: draw.below(9) }, () => hostileFloat(draw));
  if (draw.chance(0.1)) tensor.int64Data = hostileDims(draw);
  if (draw.chance(0.1)) tensor.int32Data = hostileDims(draw).map((int) => Number(BigInt.asIntN(32, int)));
}

/** Integers are shapes, axes, pads and indices, which do the most harm when they are wrong. */
function changeInts(model: ModelProto, draw: Draw): void {
  const { node, initializer } = graphOf(model);
  const inNodes = node.flatMap(({ attribute }) => attribute.flatMap(({ t }) => (t ? [t] : [])));
  const tensor = draw.maybe([...initializer, ...inNodes].filter(({ dataType }) => dataType === 7));
  if (!tensor || tensor.rawData.length < 8) return;
  const raw = tensor.rawData.slice();
  new DataView(raw.buffer).setBigInt64(8 * draw.below(Math.floor(raw.length / 8)), hostileInt(draw), true);
  tensor.rawData = raw;
}

/** A constant of integers in place of an input: a hostile shape, axes, pads. */
function feedInts(model: ModelProto, draw: Draw): void {
  const ints = hostileDims(draw);
  const dims = draw.chance(0.1) ? [] : [BigInt(ints.length)];
  const node = nodeOf(model, draw);
  if (!node) return;
  const t = { dataType: 7, dims, int64Data: ints };
  const attribute = [{ name: "value", type: Kind.TENSOR, t }];
  const name = `ints_${draw.below(1e6)}`;
  node.input[draw.below(node.input.length + 1)] = name;
  for (let k = 0; k < node.input.length; k++) node.input[k] ??= "";
  graphOf(model).node.unshift(create(NodeProtoSchema, { opType: "Constant", output: [name], attribute }));
}

function storeOutside(model: ModelProto, draw: Draw): void {
  const tensor = tensorOf(model, draw);
  if (!tensor) return;
  const location = draw.of([
    "../secret",
    "/etc/passwd",
    "C:\\x",
    "..\\..\\x",
    "",
    "a/../../b",
    "weights\u0000",
    "w.bin",
  ]);
  const entries = { location, offset: String(hostileInt(draw)), length: String(hostileInt(draw)) };
  tensor.dataLocation = Location.EXTERNAL;
  if (draw.chance(0.5)) tensor.rawData = new Uint8Array(0);
  tensor.externalData = Object.entries(entries).map(([key, value]) =>
    create(StringStringEntryProtoSchema, { key, value }),
  );
}

function changeOperator(model: ModelProto, draw: Draw, operators: readonly string[]): void {
  const node: NodeProto | undefined = nodeOf(model, draw);
  if (!node) return;
  if (draw.chance(0.1)) node.domain = draw.of(["ai.onnx", "com.microsoft", "__proto__", ""]);
  else node.opType = draw.chance(0.05) ? hostileName(draw) : (draw.maybe(operators) ?? "");
}

function changeOpset(model: ModelProto, draw: Draw): void {
  const opset = draw.maybe(model.opsetImport);
  if (opset) opset.version = draw.chance(0.8) ? BigInt(1 + draw.below(30)) : hostileInt(draw);
}

/** A node that reads a later one. */
function close(model: ModelProto, draw: Draw): void {
  const node = nodeOf(model, draw);
  const name = draw.maybe(graphOf(model).node.flatMap(({ output }) => output));
  if (node && name !== undefined) node.input[draw.below(Math.max(1, node.input.length))] = name;
}

type Mutation = (model: ModelProto, draw: Draw, operators: readonly string[]) => void;

const mutations: readonly [Mutation, ...Mutation[]] = [
  (model, draw) => changeList(graphOf(model).node, draw),
  (model, draw) => changeList(graphOf(model).initializer, draw),
  (model, draw) => changeList(graphOf(model).input, draw),
  (model, draw) => changeList(graphOf(model).output, draw),
  (model, draw) => changeList(nodeOf(model, draw)?.input ?? [], draw),
  (model, draw) => changeList(nodeOf(model, draw)?.attribute ?? [], draw),
  rewire,
  rename,
  changeArity,
  changeAttribute,
  changeAttribute,
  addAttribute,
  addAttribute,
  changeDims,
  changeDims,
  changeInput,
  changeInput,
  changeData,
  changeInts,
  changeInts,
  feedInts,
  feedInts,
  storeOutside,
  changeOperator,
  changeOperator,
  changeOperator,
  changeOpset,
  close,
];

/** Applies one to three of them. */
export function mutate(model: ModelProto, draw: Draw, operators: readonly string[]): void {
  for (let left = 1 + draw.below(3); left > 0; left--) draw.of(mutations)(model, draw, operators);
}
