/** Case k of a seed, the same at every run: a file, and what is done with it. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { families } from "../src/ops/registry.js";
import { damaged } from "./damage.js";
import { type Draw, drawOf } from "./draw.js";
import { harmedOutside } from "./external.js";
import type { Beside } from "./folder.js";
import { hostileFile } from "./hostile.js";
import { mutate } from "./mutations.js";
import { operatorModel } from "./operators.js";

const lossNames = ["mse", "crossEntropy", "bceWithLogits", "smoothL1"] as const;

export interface Case {
  /** Which file was changed, and how. */
  readonly what: string;
  readonly bytes: Uint8Array;
  /** Files beside the model's; if there are any, the model is read from its path. */
  readonly files: readonly Beside[];
  readonly sampleAxes: Readonly<Record<string, number>>;
  /** Whether it is also differentiated and run; otherwise it is only read and emitted again. */
  readonly compile: boolean;
  readonly loss: (typeof lossNames)[number];
}

interface Golden {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly sampleAxes: Readonly<Record<string, number>>;
}

const operators = Object.values(families).flatMap((family) => family.map(({ op }) => op));

export class Cases {
  readonly #goldens: readonly Golden[];

  /** @param folder of the valid models to start from */
  constructor(
    private readonly seed: number,
    folder = join("test", "goldens"),
  ) {
    const found = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    this.#goldens = found
      .map(({ name }) => name)
      .sort()
      .map((name) => goldenOf(join(folder, name), name));
  }

  at(index: number): Case {
    const draw = drawOf(this.seed, index);
    const compile = draw.chance(0.25);
    const loss = draw.of(lossNames);
    if (draw.chance(0.05)) {
      const { name, bytes } = hostileFile(draw, compile);
      return { what: name, bytes: maybeDamaged(bytes, draw, 0.05), files: [], sampleAxes: {}, compile, loss };
    }
    if (draw.chance(0.25)) {
      const { name, bytes } = operatorModel(draw, operators);
      return { what: `one ${name}`, bytes, files: [], sampleAxes: {}, compile: draw.chance(0.7), loss };
    }
    const golden = draw.maybe(this.#goldens);
    if (!golden) throw new Error("there are no models to start from");
    const { name, sampleAxes } = golden;
    const { what, bytes, files } = changed(golden.bytes, draw);
    return { what: `${name}, ${what}`, bytes, files, sampleAxes, compile, loss };
  }
}

function changed(golden: Uint8Array, draw: Draw): Pick<Case, "what" | "bytes" | "files"> {
  if (draw.chance(0.25)) return { what: "bytes damaged", bytes: damaged(golden, draw), files: [] };
  const model = fromBinary(ModelProtoSchema, golden);
  const outside = draw.chance(0.1);
  const files = outside ? harmedOutside(model, draw) : [];
  if (!outside || draw.chance(0.2)) mutate(model, draw, operators);
  const bytes = toBinary(ModelProtoSchema, model);
  return { what: outside ? "weights outside" : "mutated", bytes: maybeDamaged(bytes, draw, 0.05), files };
}

function goldenOf(folder: string, name: string): Golden {
  const bytes = new Uint8Array(readFileSync(join(folder, "model.onnx")));
  const { inputs } = JSON.parse(readFileSync(join(folder, "case.json"), "utf8")) as {
    readonly inputs: Readonly<Record<string, { readonly sample_axis: number }>>;
  };
  // An axis of 0 need not be stated; stating it would refuse all files in which that input has another name.
  const axes = Object.entries(inputs).map(([input, { sample_axis }]) => [input, sample_axis] as const);
  return { name, bytes, sampleAxes: Object.fromEntries(axes.filter(([, axis]) => axis !== 0)) };
}

function maybeDamaged(bytes: Uint8Array, draw: Draw, probability: number): Uint8Array {
  return draw.chance(probability) ? damaged(bytes, draw) : bytes;
}
