/** Models whose weights are in other files: in allowed places, and in places that are not allowed. */
import { create } from "@bufbuild/protobuf";
import {
  TensorProto_DataLocation as Location,
  type ModelProto,
  StringStringEntryProtoSchema,
  type TensorProto,
} from "onnx-buf";
import { type Draw, hostileInt } from "./draw.js";
import type { Beside } from "./folder.js";

interface Place {
  readonly location: string;
  readonly offset: number | bigint;
  readonly length: number | bigint;
}

function store(tensor: TensorProto, place: Partial<Place>): void {
  tensor.dataLocation = Location.EXTERNAL;
  tensor.rawData = new Uint8Array(0);
  tensor.externalData = Object.entries(place).map(([key, value]) =>
    create(StringStringEntryProtoSchema, { key, value: String(value) }),
  );
}

const initializersOf = ({ graph }: ModelProto): TensorProto[] => graph?.initializer ?? [];

/** Moves all weights into one file, as exporters do. */
export function storeOutside(model: ModelProto): Uint8Array {
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const tensor of initializersOf(model)) {
    const { rawData } = tensor;
    if (rawData.length === 0) continue;
    store(tensor, { location: "w.bin", offset, length: rawData.length });
    parts.push(rawData);
    offset += rawData.length;
  }
  const file = new Uint8Array(offset);
  parts.reduce((at, part) => {
    file.set(part, at);
    return at + part.length;
  }, 0);
  return file;
}

type Harm = (model: ModelProto, weights: Uint8Array, draw: Draw) => Beside[];

const asIs: Harm = (_, weights) => [{ path: "w.bin", bytes: weights }];

const locations = [
  "../w.bin",
  "../../../../../../etc/passwd",
  "/etc/passwd",
  "/dev/zero",
  "C:\\w.bin",
  "..\\w.bin",
  "sub/../../w.bin",
  "sub/../w.bin",
  "./w.bin",
  "w.bin/",
  "sub",
  ".",
  "",
  "model.onnx",
  "w.bin\u0000",
  "w".repeat(5000),
  "none.bin",
] as const;

const elsewhere: Harm = (model, weights, draw) => {
  const tensor = draw.maybe(initializersOf(model));
  const entry = tensor?.externalData.find(({ key }) => key === "location");
  if (entry) entry.value = draw.of(locations);
  return [
    { path: "../w.bin", bytes: weights },
    { path: "sub", folder: true },
    { path: "w.bin", bytes: weights },
  ];
};

/** Links that stay within the folder are allowed, others are not. */
const linked: Harm = (_, weights, draw) => [
  { path: "../outside.bin", bytes: weights },
  { path: "inside.bin", bytes: weights },
  { path: "w.bin", link: draw.of(["../outside.bin", "inside.bin", "w.bin", "/dev/zero", "/etc/passwd", "none.bin"]) },
];

const outOfRange: Harm = (model, weights, draw) => {
  const tensor = draw.maybe(initializersOf(model));
  const entry = tensor?.externalData.find(({ key }) => key === draw.of(["offset", "length"]));
  const numbers = ["", "-1", "1e3", "0x10", " 4", "4.0", "NaN", "9".repeat(400)] as const;
  if (entry) entry.value = draw.chance(0.5) ? String(hostileInt(draw)) : draw.of(numbers);
  return [{ path: "w.bin", bytes: weights }];
};

const truncated: Harm = (_, weights, draw) => {
  return [{ path: "w.bin", bytes: weights.subarray(0, draw.below(weights.length + 1)) }];
};

/** All weights in the same few bytes, or in a file of which they are only a small part. */
const overlapping: Harm = (model, weights, draw) => {
  for (const tensor of initializersOf(model)) {
    const entry = tensor.externalData.find(({ key }) => key === "offset");
    if (entry) entry.value = String(draw.of([0, 0, 1, 4, 3]));
  }
  return [draw.chance(0.5) ? { path: "w.bin", bytes: weights } : { path: "w.bin", zeros: draw.of([10 ** 6, 2 ** 33]) }];
};

/** Many tensors in one large range: a small model and one file that can stand for any amount of memory. */
const multiplied: Harm = (model, _, draw) => {
  const [count, length] = draw.of([
    [40, 2 ** 26],
    [4000, 2 ** 22],
    [3, 2 ** 24],
    [2, 2 ** 40],
  ]);
  const tensors = initializersOf(model);
  const first = tensors[0];
  if (!first || !model.graph) return [];
  const more = Array.from({ length: count }, (_, k) => {
    const tensor = { ...first, name: `more_${k}`, dims: [BigInt(length / 4)], dataType: 1 };
    store(tensor, { location: "w.bin", offset: 0, length });
    return tensor;
  });
  tensors.push(...more);
  // Only the parts that are read are loaded.
  const reader = model.graph.node[0];
  if (reader)
    model.graph.node.push({ ...reader, opType: "Concat", output: ["more"], input: more.map(({ name }) => name) });
  model.graph.output.push(...model.graph.output.slice(0, 1).map((output) => ({ ...output, name: "more" })));
  return [{ path: "w.bin", zeros: length }];
};

const anotherType: Harm = (model, weights, draw) => {
  const tensor = draw.maybe(initializersOf(model));
  if (tensor && draw.chance(0.5)) tensor.dataType = draw.below(25);
  else if (tensor) tensor.dims = [hostileInt(draw), hostileInt(draw)];
  return [{ path: "w.bin", bytes: weights }];
};

const harms: readonly [Harm, ...Harm[]] = [
  asIs,
  elsewhere,
  elsewhere,
  linked,
  outOfRange,
  outOfRange,
  truncated,
  overlapping,
  multiplied,
  anotherType,
];

/** Moves a model's weights out of it, mostly wrongly; returns the files beside it. */
export function harmedOutside(model: ModelProto, draw: Draw): Beside[] {
  return draw.of(harms)(model, storeOutside(model), draw);
}
