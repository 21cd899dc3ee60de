/**
 * Kronecker factors in float64 from ordinary backward passes, one sample at a time: the second moments of a layer's
 * inputs, and of the cotangents of its outputs, at all positions. It uses no factored gradients, and no square root of
 * the loss.
 */
import { type Objective, targetName } from "../compile/objective.js";
import type { Array64 } from "../float64/array64.js";
import { factorOf } from "../graph/dim.js";
import { leaf, type Value } from "../graph/value.js";
import { grouped } from "../grouped.js";
import { build } from "../ops/registry.js";
import { nth, present } from "../present.js";
import type { KroneckerFactors, KroneckerFactorsOptions } from "../wants/kronecker.js";
import { type FloatRows, type Participation, partOf, rowsOf } from "./layer-uses.js";
import type { Reference } from "./oracle.js";
import { pulled, unitsLike } from "./products.js";

export type FactorsOptions = Required<Pick<KroneckerFactorsOptions, "approximation">> & {
  readonly kind: "empirical" | "type2";
};

type Matrix = readonly (readonly number[])[];

/** Reads values of one sample, with given values for others (vectors and seeds). */
type ReadValues = Reference["values"];

/** Pseudo-targets of one sample, the coefficients of the products of their gradients, and the inputs of layers. */
export interface SampleTargets {
  readonly inputs: ReadonlyMap<Value, Float64Array>;
  readonly coefficients: Matrix;
  /** For each pseudo-target, the derivatives in parameters and in outputs of operators, by value. */
  readonly derivatives: readonly ReadonlyMap<Value, Float64Array>[];
}

/** The factors that those of a program are compared with, for one model. */
export class PlainFactors {
  readonly #parameters: ReadonlyMap<string, Value>;
  readonly #parts: ReadonlyMap<string, Participation>;
  readonly #inputs: readonly Value[];
  /** The values in which derivatives are taken: parameters, and outputs of operators. */
  readonly #targets: readonly Value[];
  readonly #ofLoss: readonly Value[];
  readonly #ofOutput: readonly Value[];
  readonly #seed: Value;
  readonly #vector: Value;
  readonly #second: Value;
  readonly #terms: number;

  constructor(
    private readonly reference: Reference,
    { output, losses, parameters, loss, expected }: Objective,
    notFiniteInputs: boolean,
  ) {
    this.#parameters = parameters;
    this.#parts = new Map([...parameters].map(([name, value]) => [name, partOf(value, output)]));
    const uses = [...this.#parts.values()].flatMap((part) => ("uses" in part ? part.uses : []));
    this.#inputs = [...new Set(uses.map((use) => use.input))];
    this.#targets = [...new Set([...parameters.values(), ...uses.map((use) => use.output)])];
    const ones = build.expand(build.scalar(1, losses), losses.shape);
    this.#ofLoss = pulled(losses, ones, this.#targets, notFiniteInputs);
    this.#seed = leaf("seed", output, { kind: "input" });
    this.#ofOutput = pulled(output, this.#seed, this.#targets, notFiniteInputs);
    this.#vector = leaf("vector", output, { kind: "input" });
    const slope = build.sum(build.mul(nth(pulled(losses, ones, [output], notFiniteInputs), 0), this.#vector));
    this.#second = nth(pulled(slope, build.scalar(1, slope), [output], notFiniteInputs), 0);
    this.#terms = loss.terms?.(output.shape, expected.get(targetName)?.value.shape ?? null) ?? 1;
  }

  /**
   * The expected value of each of the program's tensors, by name: `A/<parameter>`, `B/<parameter>`, `block/<parameter>`
   * or `diagonal/<parameter>`. Parameters whose role in the model is not recognised are left out.
   * @param all the result of `sample` for that kind, for each of the program's samples
   */
  of(
    found: KroneckerFactors,
    { kind, approximation }: FactorsOptions,
    all: readonly SampleTargets[],
  ): Map<string, Float64Array> {
    const terms = kind === "empirical" ? this.#terms : 1;
    const result = new Map<string, Float64Array>();
    const put = (name: string, like: ArrayLike<number>, matrix: Matrix, size = matrix.length) =>
      result.set(name, Float64Array.from(like.length === size ? matrix.map((row, k) => nth(row, k)) : matrix.flat()));
    for (const [name, { data }] of [...Object.entries(found.blocks), ...Object.entries(found.diagonals)]) {
      const moments = meanOf(all.map((sample) => this.#alone(sample, name, 1).columns));
      put(`${name in found.blocks ? "block" : "diagonal"}/${name}`, data, moments);
    }
    for (const [name, { A, B }] of Object.entries(found.layers)) {
      const sides = this.#sides(all, name, approximation, { size: A.dims[0] ?? 0, terms });
      if (!sides) continue;
      put(`B/${name}`, B.data, sides.rows);
      // If no cotangent reaches a layer in any sample, the program need not know its inputs.
      if (sides.rows.some((row) => row.some((x) => x !== 0))) put(`A/${name}`, A.data, sides.columns);
    }
    return result;
  }

  /** The values that the empirical kind needs. */
  get readForLabels(): readonly Value[] {
    return [...this.#inputs, ...this.#ofLoss];
  }

  #sides(
    all: readonly SampleTargets[],
    name: string,
    approximation: "expand" | "reduce",
    { size, terms }: { readonly size: number; readonly terms: number },
  ): { readonly rows: Matrix; readonly columns: Matrix } | null {
    const part = present(this.#parts.get(name));
    if (part.kind === "other") return null;
    if (part.kind === "alone") {
      const { rows, columns } = meanOfSides(all.map((sample) => this.#alone(sample, name)));
      const trace = rows.reduce((sum, row, k) => sum + nth(row, k), 0);
      return { rows, columns: scaled(columns, 1 / (trace || 1)) };
    }
    if (!("uses" in part)) return null;
    // Uses of the same input count as one, with the sum of their cotangents.
    const uses = grouped(part.uses.map((use) => [use.input, use] as const));
    const reduced = (rows: FloatRows, by: (count: number) => number) =>
      approximation === "reduce" ? [sumOfRows(rows, by(rows.length))] : rows;
    return meanOfSides(
      all.map(({ inputs, coefficients, derivatives }) => {
        const own = [...uses].flatMap(([input, [use]]) => [...present(use).inputs(present(inputs.get(input)))]);
        const cotangents = derivatives.map((of) =>
          reduced(
            [...uses.values()].flatMap((same) => [
              ...sumOf(same.map((use) => use.outputs(present(of.get(use.output))))),
            ]),
            () => 1,
          ),
        );
        const rows = scaled(products(cotangents, coefficients), terms);
        if (part.kind === "table") return { rows, columns: picked(own, size) };
        const biased = size > nth(own, 0).length ? own.map((row) => Float64Array.of(...row, 1)) : own;
        const means = reduced(biased, (count) => 1 / count);
        return { rows, columns: scaled(products([means], [[1]]), 1 / means.length) };
      }),
    );
  }

  /** A parameter on its own: its gradients as a matrix, with its first axis as rows, or with a single row. */
  #alone({ coefficients, derivatives }: SampleTargets, name: string, least = 0) {
    const value = present(this.#parameters.get(name));
    const sizes = value.shape.map(factorOf).filter((size) => size !== 1);
    const rows = least || sizes[0] || 1;
    const gradients = derivatives.map((of) => {
      const gradient = present(of.get(value));
      return rowsOf(gradient, gradient.length / rows);
    });
    return {
      rows: products(gradients.map(turned), coefficients),
      columns: products(gradients, coefficients),
    };
  }

  /** @param readValues for the empirical kind: reads the values that `readForLabels` lists, if not in float64 */
  sample(
    n: number,
    kind: FactorsOptions["kind"],
    readValues: ReadValues = (...asked) => this.reference.values(...asked),
  ): SampleTargets {
    const values = (of: readonly Value[], given: ReadonlyMap<Value, Array64> = new Map()) => readValues(n, of, given);
    const byTarget = (found: readonly Float64Array[]) =>
      new Map(this.#targets.map((value, k) => [value, nth(found, k)]));
    const read = values(this.#inputs);
    const inputs = new Map(this.#inputs.map((value, k) => [value, nth(read, k)]));
    if (kind === "empirical") return { inputs, coefficients: [[1]], derivatives: [byTarget(values(this.#ofLoss))] };
    const units = unitsLike(this.#seed);
    return {
      inputs,
      coefficients: units.map((unit) => Array.from(nth(values([this.#second], new Map([[this.#vector, unit]])), 0))),
      derivatives: units.map((unit) => byTarget(values(this.#ofOutput, new Map([[this.#seed, unit]])))),
    };
  }
}

function turned(rows: FloatRows): FloatRows {
  return Array.from(rows[0] ?? [], (_, k) => Float64Array.from(rows, (row) => row[k] ?? Number.NaN));
}

function sumOf(all: readonly FloatRows[]): FloatRows {
  return nth(all, 0).map((row, s) => row.map((_, k) => all.reduce((sum, of) => sum + (of[s]?.[k] ?? Number.NaN), 0)));
}

function sumOfRows(rows: FloatRows, scale: number): Float64Array {
  return Float64Array.from(rows[0] ?? [], (_, k) => rows.reduce((sum, row) => sum + (row[k] ?? Number.NaN), 0) * scale);
}

/** The sum over pseudo-targets e, f and rows s of coefficient (e, f) times the outer product of e's row s and f's. */
function products(all: readonly FloatRows[], coefficients: Matrix): Matrix {
  const size = all[0]?.[0]?.length ?? 0;
  const result = Array.from({ length: size }, () => Array<number>(size).fill(0));
  for (const [e, own] of all.entries())
    for (const [s, row] of own.entries()) {
      const other = Array.from(row, (_, j) =>
        all.reduce((sum, of, f) => sum + nth(nth(coefficients, e), f) * (of[s]?.[j] ?? Number.NaN), 0),
      );
      for (const [i, sums] of result.entries())
        for (const [j, x] of other.entries()) sums[j] = nth(sums, j) + (row[i] ?? 0) * x;
    }
  return result;
}

/** How often each row of a table is picked, as a diagonal matrix; averaged over positions. */
function picked(places: FloatRows, size: number): Matrix {
  const result = Array.from({ length: size }, () => Array<number>(size).fill(0));
  for (const [place] of places) {
    const row = nth(result, place ?? 0);
    row[place ?? 0] = nth(row, place ?? 0) + 1 / places.length;
  }
  return result;
}

function scaled(matrix: Matrix, by: number): Matrix {
  return matrix.map((row) => row.map((x) => x * by));
}

function meanOf(all: readonly Matrix[]): Matrix {
  return nth(all, 0).map((row, i) =>
    row.map((_, j) => all.reduce((sum, of) => sum + nth(nth(of, i), j), 0) / all.length),
  );
}

function meanOfSides(all: readonly { readonly rows: Matrix; readonly columns: Matrix }[]) {
  return { rows: meanOf(all.map(({ rows }) => rows)), columns: meanOf(all.map(({ columns }) => columns)) };
}
