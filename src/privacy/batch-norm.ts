/** Batch normalisation, which reads all samples of a batch at once, and its replacement for private training. */

import { PergradError } from "../errors.js";
import { type Dim, elementsOf, greatestCommonDivisor, isBatch, showShape } from "../graph/dim.js";
import type { Model } from "../graph/model.js";
import { inputsOf, outputOf } from "../graph/operands.js";
import { withInputs } from "../graph/remade.js";
import { describeNode, type Node, type Value } from "../graph/value.js";
import { leavesOf, nodesBefore } from "../graph/walk.js";
import { addOperators, build } from "../ops/registry.js";
import { normalisation } from "../ops/rules/normalisation.js";

/** Options of `replaceBatchNorm`. */
export interface ReplaceBatchNormOptions {
  /**
   * The number of groups of channels. Default: the greatest common divisor of the number of channels and 32; 1 if there
   * are no positions.
   */
  readonly groups?: number;
}

export function isBatchNorm({ op, domain }: Node): boolean {
  return op === "BatchNormalization" && domain === "";
}

/**
 * The model with each batch normalisation replaced by a group normalisation (Wu & He 2018) with the same weight and
 * bias, which normalises each sample by itself. This changes what the model computes, so train it anew, or further. The
 * stored statistics are not used.
 * @throws PergradError INVALID_ARGUMENT (groups that do not divide the channels), SHAPE_MISMATCH (nothing to normalise
 *   over).
 */
export function replaceBatchNorm(model: Model, options: ReplaceBatchNormOptions = {}): Model {
  const { graph } = model;
  const roots = graph.outputs.map(({ value }) => value);
  const current = new Map<Value, Value>();
  for (const node of nodesBefore(roots)) {
    const over = withInputs(node, current);
    const made = isBatchNorm(node) ? groupNorm(over, options) : over;
    // A batch normalisation may also return its statistics, for which there is no replacement.
    made.outputs.forEach((value, k) => {
      current.set(outputOf(node, k), value);
    });
  }
  const statistics = graph.outputs.filter(
    ({ value: { source } }) => source.kind === "node" && source.index > 0 && isBatchNorm(source.node),
  );
  const outputs = graph.outputs
    .filter((output) => !statistics.includes(output))
    .map(({ name, value }) => ({ name, value: current.get(value) ?? value }));
  const before = new Set(leavesOf(roots));
  const after = new Set(leavesOf(outputs.map(({ value }) => value)));
  const parameters = graph.parameters.filter((parameter) => after.has(parameter) || !before.has(parameter));
  const why = "it is a statistic of a batch normalisation, which was replaced.";
  return {
    ...model,
    graph: { ...graph, parameters, outputs },
    parameters: Object.fromEntries(
      parameters.flatMap(({ name }) => {
        const value = model.parameters[name];
        return value ? [[name, value]] : [];
      }),
    ),
    leftOut: { ...model.leftOut, ...Object.fromEntries(statistics.map(({ name }) => [name, why])) },
  };
}

function namesOf({ outputs }: Node): string[] {
  return outputs.map(({ name }) => name);
}

function groupNorm(node: Node, { groups }: ReplaceBatchNormOptions): Node {
  addOperators(normalisation);
  const [x, scale, bias] = inputsOf(node, 3);
  const epsilon = node.attributes.epsilon ?? 1e-5;
  const attributes = { num_groups: groupsFor(node, x, groups), epsilon };
  return build.node("GroupNormalization", [x, scale, bias], attributes, 1, {
    name: node.name,
    outputNames: namesOf(node).slice(0, 1),
  });
}

/**
 * The requested number of groups, or the number that Opacus's `ModuleValidator.fix` uses, unless each would hold one
 * element.
 */
function groupsFor(node: Node, { shape }: Value, asked: number | undefined): number {
  const [, channels, ...positions] = shape;
  const each: Dim | undefined = elementsOf(shape.slice(1));
  if (channels === undefined || isBatch(channels) || each === undefined || each === 1) {
    const problem = `the channels and positions of ${showShape(shape)} are not two elements or more of one sample`;
    throw new PergradError("SHAPE_MISMATCH", `${describeNode(node)} cannot become a group normalisation: ${problem}.`);
  }
  if (asked === undefined) return elementsOf(positions) === 1 ? 1 : greatestCommonDivisor(channels, 32);
  if (Number.isSafeInteger(asked) && asked >= 1 && channels % asked === 0) return asked;
  throw new PergradError(
    "INVALID_ARGUMENT",
    `${asked} groups do not divide the ${channels} channels of ${describeNode(node)}; give a number that divides all channels, or leave it out.`,
  );
}
