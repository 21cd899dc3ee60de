/**
 * Takes factored gradients through a graph that is linear in them: the vector-Jacobian product of a node between
 * parameters alone. Operations along one axis apply to the factor that holds it; others apply to the materialised
 * gradients.
 */

import { Dense } from "../gradients/dense.js";
import { addCosts, cheapest, type Factored, sizeOfGradient } from "../gradients/factored.js";
import { firstOf, kind } from "../gradients/kinds.js";
import { Outer } from "../gradients/outer.js";
import { Sum, sumOf } from "../gradients/sum.js";
import { isZero } from "../graph/behind.js";
import { sameShape } from "../graph/dim.js";
import { allInputsOf, inputOf, outputOf } from "../graph/operands.js";
import { type Node, nodeOf, type Value } from "../graph/value.js";
import { dependentsOf, nodesBefore } from "../graph/walk.js";
import type { Build } from "../ops/build.js";
import type { LinearStep } from "../ops/definition.js";
import { definitionOf } from "../ops/registry.js";
import { reducedAxes } from "../ops/rules/reductions.js";
import { leadingOf, nth, present } from "../present.js";
import { type Hadamard, hadamard, sumHadamard } from "./hadamard.js";
import { batchOver } from "./vmap.js";

/**
 * The gradients that `values` become, given those of some values they depend on; null for a value that depends on none
 * of them.
 */
export function passThrough(
  build: Build,
  values: readonly (Value | null)[],
  given: ReadonlyMap<Value, Factored>,
): (Factored | null)[] {
  const present = values.filter((value) => value !== null);
  const dependent = dependentsOf(given.keys(), nodesBefore(present, given));
  const pass = new Pass(build, dependent, given);
  return values.map((value) => (value && dependent.has(value) ? pass.of(value) : null));
}

class Pass {
  readonly #found: Map<Value, Factored | Hadamard>;

  constructor(
    private readonly build: Build,
    private readonly dependent: ReadonlySet<Value>,
    given: ReadonlyMap<Value, Factored>,
  ) {
    this.#found = new Map(given);
  }

  of(value: Value): Factored {
    const found = this.#lazily(value);
    return found.kind === "hadamard" ? found.emit(this.build) : found;
  }

  /** As `of`, but leaves a product with a whole tensor unevaluated, since it may be summed next. */
  #lazily(value: Value): Factored | Hadamard {
    const found = this.#found.get(value) ?? this.#compute(value);
    this.#found.set(value, found);
    return found;
  }

  #compute(value: Value): Factored | Hadamard {
    const node = present(nodeOf(value));
    const places = node.inputs.flatMap((input, k) => (input && this.dependent.has(input) ? [k] : []));
    const result = this.#sum(node, places) ?? this.#joined(node, places) ?? this.#single(node, value, places);
    return result ?? this.#multipliedOut(node, value);
  }

  /** Add, Sub and Sum of gradients. */
  #sum(node: Node, places: readonly number[]): Factored | null {
    if (node.op !== "Add" && node.op !== "Sub" && node.op !== "Sum") return null;
    const { shape } = outputOf(node, 0);
    const inputs = allInputsOf(node);
    if (places.length < inputs.length || !inputs.every((input) => sameShape(input.shape, shape))) return null;
    const parts = inputs.map((input) => this.of(input));
    if (node.op !== "Sub") return sumOf(this.build, parts);
    const [first, second] = leadingOf(parts, 2);
    const negative = second.scaled(this.build, this.build.scalar(-1, nth(inputs, 1)));
    return sumOf(this.build, [first, negative]);
  }

  /** Concat: the sum of its parts, each padded with zeros. */
  #joined(node: Node, places: readonly number[]): Factored | null {
    if (node.op !== "Concat") return null;
    if (!node.inputs.every((input, k) => places.includes(k) || isZero(input))) return null;
    const parts = places.map((k) => {
      const part = this.of(inputOf(node, k));
      const steps = definitionOf(node)?.linear?.(node, k, 0);
      return steps ? takeSteps(this.build, part, steps) : null;
    });
    return parts.every((part) => part !== null) ? sumOf(this.build, parts) : null;
  }

  /** A node that reads one gradient, once. */
  #single(node: Node, value: Value, places: readonly number[]): Factored | Hadamard | null {
    const [place, more] = places;
    if (place === undefined || more !== undefined || node.op === "Concat") return null;
    const given = this.#lazily(inputOf(node, place));
    if (node.op === "ReduceSum" && given.kind === "hadamard") {
      const summed = sumHadamard(this.build, given, reducedAxes(node), value.shape);
      if (summed) return summed;
    }
    const steps = linearSteps(node, place, node.outputs.indexOf(value));
    const scalings = steps?.flatMap((step) => (step.kind === "scaling" ? [step] : []));
    if (given.kind === "hadamard" && steps && scalings?.length === steps.length) {
      const of = scalings.reduce<Factored>((all, { factor }) => all.scaled(this.build, factor(this.build)), given.of);
      return hadamard(of, given.weight);
    }
    const gradient = this.of(inputOf(node, place));
    if (steps) return takeSteps(this.build, gradient, steps);
    const other = node.inputs[1 - place];
    const whole = node.op === "Mul" && other && sameShape(gradient.shape, value.shape);
    return whole && gradient.kind !== "dense" ? hadamard(gradient, this.build.expand(other, value.shape)) : null;
  }

  /** Applies the node itself to materialised gradients: with one more axis and, for sums over the batch, without it. */
  #multipliedOut(node: Node, value: Value): Dense {
    const parts = new Map(
      node.inputs.flatMap((input) => (input && this.dependent.has(input) ? [[input, this.of(input)] as const] : [])),
    );
    const replacements = new Map([...parts].map(([input, part]) => [input, part.materialise(this.build)]));
    const [result] = batchOver([value], replacements);
    const own = { operations: 0, floats: sizeOfGradient(value) };
    const sums = new Map([...parts].map(([input, part]) => [input, cheapest(part.weightedSums())]));
    return new Dense(present(result), undefined, {
      cost: addCosts([...[...parts.values()].map((part) => part.materialisation), own]),
      sum: {
        name: "sum first",
        dense: false,
        ...addCosts([...sums.values()]),
        emit: (build, weights) => {
          const inputs = node.inputs.map((input) => (input && sums.get(input)?.emit(build, weights)) ?? input);
          const { domain, outputs, attributes } = node;
          return outputOf(build.node(node.op, inputs, attributes, outputs.length, { domain }), outputs.indexOf(value));
        },
      },
    });
  }
}

/** The node as a function of one input, in steps; null if it does not have that form. */
function linearSteps(node: Node, input: number, output: number): readonly LinearStep[] | null {
  const definition = definitionOf(node);
  const view = input === 0 ? definition?.view?.(node) : undefined;
  if (!view) return definition?.linear?.(node, input, output) ?? null;
  if (view.kind === "reshape") return [{ kind: "reshape", shape: outputOf(node, 0).shape }];
  return [{ kind: "transpose", permutation: view.permutation.map((_, axis) => view.permutation.indexOf(axis)) }];
}

function takeSteps(build: Build, gradient: Factored, steps: readonly LinearStep[]): Factored {
  const taken = steps.reduce((result, step) => takeStep(build, result, step), gradient);
  return steps.some((step) => step.kind === "along") ? settled(build, taken) : taken;
}

function takeStep(build: Build, gradient: Factored, step: LinearStep): Factored {
  if (step.kind === "scaling") return gradient.scaled(build, step.factor(build));
  if (step.kind !== "along") return gradient.view(step);
  return gradient.along(build, step) ?? Dense.of(build, gradient).along(build, step);
}

/** Materialises outer products with a vector of one element: the factors would be no smaller. */
function settled(build: Build, gradient: Factored): Factored {
  return settledOf(gradient, build) ?? gradient;
}

const settledOf = firstOf([
  kind(Sum, ({ terms }, build: Build) =>
    sumOf(
      build,
      terms.map((term) => settled(build, term)),
    ),
  ),
  kind(Outer, (outer, build: Build) => (outer.narrow <= 1 ? Dense.of(build, outer) : outer)),
]);

/**
 * A sum on its way to the parameters, materialised if its factors would hold more than twice as much. Each use of a
 * value adds positions, and values that use each other in turn would add them without end.
 */
export function bounded(build: Build, sum: Factored, parts: readonly Factored[]): Factored {
  const grown = sum.held > Math.max(...parts.map((part) => part.held));
  return grown && sum.held > 2 * sizeOfGradient(sum) ? Dense.of(build, sum) : sum;
}
