/** What becomes of a case: a model, an error of the catalogue, or a finding. */
import { perSampleGradients } from "../src/autodiff/per-sample.js";
import { simplify } from "../src/emit/simplify.js";
import { PergradError } from "../src/errors.js";
import { leavesOf } from "../src/graph/walk.js";
import { modelOf } from "../src/load.js";
import type { Model } from "../src/model.js";
import { losses } from "../src/nn/losses.js";
import { encodeModel } from "../src/onnx/encode.js";
import { Plan } from "../src/plan/planner.js";
import { want } from "../src/plan/want.js";
import { objectiveOf } from "../src/program/objective.js";
import type { Case } from "./cases.js";

export type Outcome =
  | { readonly kind: "loaded" }
  | { readonly kind: "refused"; readonly code: string }
  | { readonly kind: "finding"; readonly problem: string };

export function attempt({ bytes, sampleAxes, compile, loss }: Case): Outcome {
  try {
    const model = modelOf(bytes, "fuzz.onnx", { sampleAxes });
    if (compile) program(model, loss);
    else encodeModel({ ...model.graph, parameters: model.parameters });
    return { kind: "loaded" };
  } catch (error) {
    if (error instanceof PergradError && error.code !== "INTERNAL" && /\S/.test(error.message)) {
      return { kind: "refused", code: error.code };
    }
    return { kind: "finding", problem: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

/** As a program is compiled, without a runtime. */
function program(model: Model, loss: Case["loss"]): void {
  const objective = objectiveOf(model, { loss: losses[loss]() });
  const found = perSampleGradients(objective.losses, [...objective.parameters.values()], objective.axes);
  const gradients = [...objective.parameters].flatMap(([name, parameter]) => {
    const gradient = found.get(parameter);
    return gradient ? [[name, gradient] as const] : [];
  });
  const plan = new Plan(new Map(gradients), { gradients: true, norms: true, sums: 1 });
  const wanted = { plan, losses: objective.losses, outputs: objective.outputs };
  const wants = [want.gradients(), want.norms(), want.clippedSum({ maxNorm: 1 })];
  const named = wants.flatMap((each, k) =>
    Object.entries(each.emit(wanted)).map(([name, value]) => ({ name: `${k}/${name}`, value })),
  );
  const values = simplify(named.map(({ value }) => value));
  const leaves = leavesOf(values).filter(({ source }) => source.kind === "input" || source.kind === "parameter");
  encodeModel({
    inputs: leaves,
    outputs: named.map(({ name }, k) => ({ name, value: values[k] ?? objective.losses })),
  });
}
