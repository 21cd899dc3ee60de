/**
 * What compiles runs: each operator with its floating-point inputs stored in the file, where a program feeds them as
 * parameters. The runtime's optimizer then no longer folds what it computes of them, and meets kernels that it never
 * meets in the model itself. With transpositions around too, as exporters of images write them: the runtime moves those.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Oracle } from "../../src/check/oracle.js";
import { objectiveOf } from "../../src/compile/objective.js";
import { PergradError } from "../../src/errors.js";
import { N } from "../../src/graph/dim.js";
import { constantValue, leaf, type Value } from "../../src/graph/value.js";
import { loadModel, losses, perSample, type Tensor, want } from "../../src/index.js";
import { encodeModel } from "../../src/onnx/write/encode.js";
import { build } from "../../src/ops/registry.js";
import { isFloat, sizeOf } from "../../src/tensor/tensor.js";
import { arithmeticTable } from "../support/arithmetic-cases.js";
import { contribTable } from "../support/contrib-cases.js";
import { elementwiseTable } from "../support/elementwise-cases.js";
import { type OpCase, type OpInput, typed } from "../support/op-checks.js";
import { samplingTable } from "../support/sampling-cases.js";
import { structuralTable } from "../support/structural-cases.js";
import { windowTable } from "../support/window-cases.js";

/** Parameters on the way to being a file's initializers. */
class Stored {
  readonly values: Value[] = [];
  readonly tensors: Record<string, Tensor> = {};

  parameter(tensor: Tensor): Value {
    const name = `w${this.values.length}`;
    const value = leaf(name, { dtype: tensor.dtype, shape: tensor.dims }, { kind: "parameter" });
    this.values.push(value);
    this.tensors[name] = tensor;
    return value;
  }
}

/** Axis 1 last. */
function channelsLast(rank: number): number[] {
  return [0, ...Array.from({ length: rank - 2 }, (_, k) => k + 2), 1];
}

function inverse(permutation: readonly number[]): number[] {
  return permutation.map((_, axis) => permutation.indexOf(axis));
}

/** The input of an operator, stored as it is, or with its channels last and transposed before it is read. */
function inputOf(input: OpInput, stored: Stored, transposed: boolean): Value {
  const tensor = typed(input, input.dtype ?? "float32");
  if (input.constant || !isFloat(tensor.dtype)) return constantValue(tensor);
  const rank = input.dims.length;
  if (!transposed || rank < 3) return stored.parameter(tensor);
  const permutation = channelsLast(rank);
  const dims = permutation.map((axis) => input.dims[axis] as number);
  // The elements in another order, which any will do.
  const parameter = stored.parameter({ ...tensor, dims } as Tensor);
  return build.op("Transpose", [parameter], { perm: inverse(permutation) });
}

/** The sum over the elements of an output, each weighed by another number; null where it has no numbers. */
function summed(output: Value, transposed: boolean): Value | null {
  if (!isFloat(output.dtype)) return null;
  const rank = output.shape.length;
  const seen = transposed && rank > 2 ? build.op("Transpose", [output], { perm: channelsLast(rank) }) : output;
  const dims = seen.shape as readonly number[];
  const waves = Float32Array.from({ length: sizeOf(dims) }, (_, k) => Math.sin(k + 1));
  return build.op("ReduceSum", [build.mul(seen, constantValue({ dtype: "float32", dims, data: waves }))], {
    keepdims: 0,
  });
}

/** The file of x times the sum of what an operator makes of stored parameters. */
function fileOf({ op, domain = "", inputs, attributes, outputs }: OpCase, transposed: boolean): Uint8Array | null {
  const stored = new Stored();
  const given = inputs.map((input) => (input ? inputOf(input, stored, transposed) : null));
  const node = build.node(op, given, attributes, outputs, { domain });
  const sums = node.outputs.flatMap((output) => summed(output, transposed) ?? []);
  if (sums.length === 0 || stored.values.length === 0) return null;
  const x = leaf("x", { dtype: "float32", shape: [N, 1] }, { kind: "input" });
  const total = sums.reduce((sum, each) => build.add(sum, each));
  return encodeModel({
    inputs: [x],
    outputs: [{ name: "y", value: build.mul(x, total) }],
    parameters: stored.tensors,
  });
}

const data = { x: { dtype: "float32" as const, dims: [2, 1], data: Float32Array.of(1, -0.5) } };

/** Whether the model compiles; then it must run, and give the loop's gradients. */
async function runs(file: Uint8Array, what: OpCase): Promise<boolean> {
  const loss = losses.output();
  try {
    const model = await loadModel(file, { parameters: ["w*"] });
    const program = await perSample(model, { loss, want: { gradients: want.gradients() } });
    const { gradients } = await program.run(data);
    await program.release();
    const oracle = new Oracle(objectiveOf(model, { loss }), data);
    for (const n of [0, 1]) {
      for (const [name, expected] of oracle.sample(n).gradients) {
        const all = gradients[name]?.data as Float32Array;
        const found = all.subarray(n * expected.length, (n + 1) * expected.length);
        const scale = expected.reduce((most, element) => Math.max(most, Math.abs(element)), 1);
        const worst = expected.reduce(
          (most, element, k) => Math.max(most, Math.abs(element - (found[k] as number))),
          0,
        );
        if (!(worst / scale < 1e-4))
          expect.fail(`${name} of sample ${n} is ${found}, not ${expected}: ${JSON.stringify(what)}`);
      }
    }
    return true;
  } catch (error) {
    const refused = error instanceof PergradError && error.code !== "RUNTIME";
    if (!refused) throw new Error(`${JSON.stringify(what)}: ${error}`, { cause: error });
    return false;
  }
}

const tables = {
  elementwise: elementwiseTable,
  structural: structuralTable,
  window: windowTable,
  sampling: samplingTable,
  arithmetic: arithmeticTable,
  contrib: contribTable,
};

describe.each(Object.entries(tables))("stored parameters of %s operators", (_, table) => {
  let accepted = 0;
  it.each(Object.keys(table))("%s", async (op) => {
    const property = fc.asyncProperty(table[op] as fc.Arbitrary<OpCase>, fc.boolean(), async (test, transposed) => {
      if (test.inputs.some((input) => input?.dims.includes(0))) return;
      const file = fileOf(test, transposed);
      if (file && (await runs(file, test))) accepted++;
    });
    await fc.assert(property, { numRuns: 3, endOnFailure: true });
  });

  it("most of them compile", () => {
    expect(accepted).toBeGreaterThan(Object.keys(table).length);
  });
});

it.each(["linear", "cubic", "nearest"])("a grid of positions is resized with mode %s", async (mode) => {
  const sizes = fc.tuple(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 7 }));
  const property = fc.asyncProperty(sizes, sizes, fc.integer({ min: 1, max: 3 }), async (from, to, channels) => {
    const dims = [1, channels, ...from];
    const test: OpCase = {
      op: "Resize",
      inputs: [
        { dims, data: Array.from({ length: sizeOf(dims) }, (_, k) => Math.sin(3 * k)) },
        null,
        null,
        { dims: [4], data: [1, channels, ...to], dtype: "int64", constant: true },
      ],
      attributes: { mode, coordinate_transformation_mode: "half_pixel", nearest_mode: "floor", cubic_coeff_a: -0.75 },
    };
    expect(await runs(fileOf(test, true) as Uint8Array, test)).toBe(true);
  });
  await fc.assert(property, { numRuns: 8 });
});
