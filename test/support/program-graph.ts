import { objectiveFor } from "../../src/compile/compile.js";
import type { Objective } from "../../src/compile/objective.js";
import { planFor } from "../../src/compile/planning.js";
import { optimised, type ProgramGraph, programGraph } from "../../src/compile/program-graph.js";
import { wantedResults } from "../../src/compile/results.js";
import type { Wants } from "../../src/index.js";
import { defaultTarget } from "../../src/target/default.js";

/** The graph of a program, adapted to the target that is used, before that schedules it. */
export function graphOf(given: Objective, wants: Wants): ProgramGraph {
  const objective = objectiveFor(given, wants);
  const wanted = wantedResults(objective, planFor(objective, wants, {}), wants, new Map());
  return defaultTarget.adapt(programGraph(objective, wants, optimised(objective, wanted)));
}
