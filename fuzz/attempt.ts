/** The outcome of a case: a model, an error of the catalogue, or a finding. */
import "../src/target/onnxruntime/no-telemetry.js";

import { InferenceSession } from "onnxruntime-node";
import { type Objective, objectiveOf } from "../src/compile/objective.js";
import { PergradError } from "../src/errors.js";
import { bindShape, factorOf } from "../src/graph/dim.js";
import type { Model } from "../src/graph/model.js";
import { nodesBefore } from "../src/graph/walk.js";
import { losses } from "../src/nn/losses.js";
import { loadModel } from "../src/onnx/read/load.js";
import { encodeModel } from "../src/onnx/write/encode.js";
import { simplify } from "../src/optimise/simplify.js";
import { perSample } from "../src/program/per-sample.js";
import { aroundFaults } from "../src/target/onnxruntime/workarounds/index.js";
import { arrayOf, isFloat, sizeOf, type Tensor } from "../src/tensor/tensor.js";
import { want } from "../src/wants/want.js";
import type { Case } from "./cases.js";
import { inFolder } from "./folder.js";

export type Outcome =
  /** How far it got: read and emitted again, also differentiated, also run. */
  | { readonly kind: "loaded"; readonly as: "model" | "program" | "results" }
  | { readonly kind: "refused"; readonly code: string }
  | { readonly kind: "finding"; readonly problem: string };

export async function attempt(made: Case): Promise<Outcome> {
  try {
    const model = await loaded(made);
    return { kind: "loaded", as: made.compile ? await differentiate(model, made) : await emitted(model) };
  } catch (error) {
    return outcomeOf(error);
  }
}

function loaded({ bytes, files, sampleAxes }: Case): Promise<Model> {
  if (files.length === 0) return loadModel(bytes, { sampleAxes });
  return inFolder(bytes, files, (path) => loadModel(path, { sampleAxes }));
}

function outcomeOf(error: unknown): Outcome {
  if (!(error instanceof PergradError)) return finding(error);
  const { code } = error;
  if (code === "INTERNAL" || code === "RUNTIME" || !/\S/.test(error.message)) return finding(error);
  return { kind: "refused", code };
}

function finding(error: unknown): Outcome {
  return { kind: "finding", problem: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

/** The model as pergrad writes it for the runtime passes the runtime's own check. */
async function emitted({ graph, parameters }: Model): Promise<"model"> {
  const values = aroundFaults(simplify(graph.outputs.map(({ value }) => value)));
  const outputs = graph.outputs.map(({ name }, k) => ({ name, value: values[k] ?? graph.outputs[k]?.value }));
  const named = outputs.flatMap(({ name, value }) => (value ? [{ name, value }] : []));
  await check(encodeModel({ ...graph, outputs: named, parameters }));
  return "model";
}

/** The graph as it is; all of its shapes must equal those that the runtime infers. */
async function check(bytes: Uint8Array): Promise<void> {
  const session = await InferenceSession.create(bytes, {
    graphOptimizationLevel: "disabled",
    logSeverityLevel: 4,
    extra: { session: { strict_shape_type_inference: "1" } },
  });
  await session.release();
}

async function differentiate(model: Model, { loss: name }: Case): Promise<"program" | "results"> {
  const loss = losses[name]();
  const wants = { gradients: want.gradients(), norms: want.norms(), sum: want.clippedSum({ maxNorm: 1 }) };
  const program = await perSample(model, { loss, want: wants, threads: 1 });
  try {
    await check(program.encode({ for: "onnxruntime" }));
    const objective = objectiveOf(model, { loss });
    if (elementsIn(objective) > mostElements) return "program";
    await run(program, objective);
    return "results";
  } finally {
    await program.release();
  }
}

/** A model that computes more than this is not run: the time would not be pergrad's. */
const mostElements = 2 ** 18;
const samples = 2;

function elementsIn({ losses, expected }: Objective): number {
  const values = nodesBefore([losses]).flatMap(({ outputs }) => outputs);
  const all = [...values, ...[...expected.values()].map(({ value }) => value)];
  return all.reduce((sum, { shape }) => sum + samples * sizeOf(shape.map(factorOf)), 0);
}

interface Runnable {
  run(data: Readonly<Record<string, Tensor>>): Promise<unknown>;
}

async function run(program: Runnable, objective: Objective): Promise<void> {
  const data = [...objective.expected].map(([name, { value }]): [string, Tensor] => {
    const dims = bindShape(value.shape, samples);
    const { dtype } = value;
    const data = new (arrayOf(dtype))(sizeOf(dims));
    // Integers stay 0, because they may be labels or indices.
    if (isFloat(dtype)) for (let i = 0; i < data.length; i++) data[i] = Math.sin(i + 1);
    return [name, { dtype, dims, data } as Tensor];
  });
  await program.run(Object.fromEntries(data));
}
