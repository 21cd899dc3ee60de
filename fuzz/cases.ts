/** Case k of a seed, the same at every run: a file, and what is done with it. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { families } from "../src/ops/registry.js";
import { damaged } from "./damage.js";
import { type Draw, drawOf } from "./draw.js";
import { hostileFile } from "./hostile.js";
import { mutate } from "./mutations.js";

const lossNames = ["mse", "crossEntropy", "bceWithLogits", "smoothL1"] as const;

export interface Case {
  /** What was made of which file. */
  readonly what: string;
  readonly bytes: Uint8Array;
  readonly sampleAxes: Readonly<Record<string, number>>;
  /** Differentiate and plan too; otherwise only decode. */
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
      const { name, bytes } = hostileFile(draw);
      return { what: name, bytes: maybeDamaged(bytes, draw, 0.05), sampleAxes: {}, compile, loss };
    }
    const golden = draw.maybe(this.#goldens);
    if (!golden) throw new Error("there are no models to start from");
    const { name, sampleAxes } = golden;
    const bytewise = draw.chance(0.25);
    const bytes = bytewise ? damaged(golden.bytes, draw) : maybeDamaged(mutated(golden.bytes, draw), draw, 0.05);
    return { what: `${name}, ${bytewise ? "bytes damaged" : "mutated"}`, bytes, sampleAxes, compile, loss };
  }
}

function goldenOf(folder: string, name: string): Golden {
  const bytes = new Uint8Array(readFileSync(join(folder, "model.onnx")));
  const { inputs } = JSON.parse(readFileSync(join(folder, "case.json"), "utf8")) as {
    readonly inputs: Readonly<Record<string, { readonly sample_axis: number }>>;
  };
  // Where it is 0 it need not be said, and would refuse all files in which that input has another name.
  const axes = Object.entries(inputs).map(([input, { sample_axis }]) => [input, sample_axis] as const);
  return { name, bytes, sampleAxes: Object.fromEntries(axes.filter(([, axis]) => axis !== 0)) };
}

function mutated(bytes: Uint8Array, draw: Draw): Uint8Array {
  const model = fromBinary(ModelProtoSchema, bytes);
  mutate(model, draw, operators);
  return toBinary(ModelProtoSchema, model);
}

function maybeDamaged(bytes: Uint8Array, draw: Draw, probability: number): Uint8Array {
  return draw.chance(probability) ? damaged(bytes, draw) : bytes;
}
