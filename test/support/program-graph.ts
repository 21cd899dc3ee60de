import type { Objective } from "../../src/compile/objective.js";
import { planFor } from "../../src/compile/planning.js";
import { type ProgramGraph, programGraph } from "../../src/compile/program-graph.js";
import { wantedResults } from "../../src/compile/results.js";
import type { Wants } from "../../src/index.js";

/** The graph of a program, before a target schedules it. */
export function graphOf(objective: Objective, wants: Wants): ProgramGraph {
  return programGraph(
    objective,
    { want: wants },
    wantedResults(objective, planFor(objective, wants, {}), wants, new Map()),
  );
}
