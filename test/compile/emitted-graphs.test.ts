/**
 * What the compiler emits for the benchmark's workloads, as stored texts: a rewrite or a method that is lost, or a node
 * that is new, changes one. Of each graph the nodes are listed by operator and result, with how many there are.
 * After a change that is meant: `npx vitest run test/compile -u`, and read the difference.
 */
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeWorkload, workloads } from "../../bench/workloads.js";
import { objectiveOf } from "../../src/compile/objective.js";
import { isBody } from "../../src/graph/body.js";
import { type Body, showType, type Value } from "../../src/graph/value.js";
import { nodesBefore } from "../../src/graph/walk.js";
import { type Wants, want } from "../../src/index.js";
import { rowsScattered } from "../../src/target/onnxruntime/rows.js";
import { graphOf } from "../support/program-graph.js";

const wanted: Readonly<Record<string, Wants>> = {
  norms: { norms: want.norms() },
  "clipped sum": { clipped: want.clippedSum({ maxNorm: 1 }) },
  mean: { mean: want.mean() },
  gradients: { gradients: want.gradients() },
};

/** Each node as its operator and what it gives; those of bodies too. */
function nodesOf({ outputs, inputs }: Pick<Body, "outputs" | "inputs">, inside = ""): string[] {
  return nodesBefore(outputs, new Set(inputs)).flatMap((node) => {
    const bodies = Object.values(node.attributes).filter((value) => isBody(value));
    const results = node.outputs.map((value: Value) => showType(value)).join(", ");
    const own = `${inside}${node.op} ${results}`;
    return [own, ...bodies.flatMap((body) => nodesOf(body, `${inside}in ${node.op}: `))];
  });
}

/** Equal lines once, in order, with their number. */
function counted(lines: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1);
  return [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([line, count]) => `  ${count} ${line}\n`)
    .join("");
}

test.each(workloads.map((spec) => [spec.id, spec] as const))(
  "the programs of %s are those stored",
  async (id, spec) => {
    const { model, loss } = makeWorkload(spec, 2);
    const objective = objectiveOf(model, { loss });
    const texts = Object.entries(wanted).map(([name, wants]) => {
      const outputs = rowsScattered(graphOf(objective, wants).outputs.map(({ value }) => value));
      return `${name}\n${counted(nodesOf({ outputs, inputs: [] }))}`;
    });
    await expect(texts.join("\n")).toMatchFileSnapshot(join(import.meta.dirname, "emitted-graphs", `${id}.txt`));
  },
);
