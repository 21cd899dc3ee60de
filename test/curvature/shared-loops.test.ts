/**
 * Second derivatives through a recurrent operator whose whole sequence all samples share: a prompt that is learned, or a
 * sequence of constants. Products are differences of gradients, symmetric, and the same from the runtime; the Gauss-Newton
 * product is that of the Jacobians.
 */
import { describe, it } from "vitest";
import { constant, losses, type Model, nn, type Tensor, want } from "../../src/index.js";
import { checkSecond } from "./second.js";
import { expectNear, inFloat64 } from "./support.js";

const samples = 2;
const hidden = 2;
const steps = 2;

function waves(dims: readonly number[], phase: number): Tensor<"float32"> {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return { dtype: "float32", dims, data: Float32Array.from({ length: size }, (_, k) => Math.sin(3.1 * k + phase)) };
}

const start = (dims: readonly number[], phase: number) => nn.startingAt(waves(dims, phase));

/** The last hidden states of a prompt are added to what is made of each sample. */
function prompted(op: "GRU" | "RNN", direction: "forward" | "bidirectional"): Model {
  const directions = direction === "forward" ? 1 : 2;
  const rows = (op === "GRU" ? 3 : 1) * hidden;
  return nn.trace(
    { x: ["N", 2] },
    {
      prompt: start([steps, 1, 2], 1),
      W: start([directions, rows, 2], 2),
      R: start([directions, rows, hidden], 3),
      V: start([2, directions * hidden], 4),
      U: start([directions * hidden, 3], 5),
    },
    ({ x }, { prompt, W, R, V, U }) => {
      const states = prompt.onnx(op, [W, R], { hidden_size: hidden, direction }).slice(0, steps - 1, steps);
      return x
        .matmul(V)
        .mul(states.reshape([1, directions * hidden]))
        .tanh()
        .matmul(U);
    },
  );
}

describe.each([
  ["GRU", "forward"],
  ["RNN", "bidirectional"],
] as const)("%s, %s", (op, way) => {
  const model = prompted(op, way);
  const options = { loss: losses.crossEntropy() };
  const target: Tensor = { dtype: "int64", dims: [samples], data: BigInt64Array.of(2n, 0n) };
  const data = { x: waves([samples, 2], 6), target };

  it("products of the Hessian are differences of gradients, and symmetric", async () => {
    await checkSecond(model, options, data, samples);
  });

  it("products of the Gauss-Newton matrix have its diagonal, by the Jacobians", () => {
    const all = inFloat64(model, options, { diagonal: want.ggnDiagonal() }, data);
    for (const [name, { dims, data: own }] of Object.entries(model.parameters)) {
      const unit = { dtype: "float32" as const, dims, data: own.map((_, k) => (k === 1 ? 1 : 0)) };
      const columns = inFloat64(model, options, { column: want.ggnProduct({ vector: { [name]: unit } }) }, data);
      const at = (found: ArrayLike<number> | undefined) =>
        Array.from({ length: samples }, (_, n) => found?.[n * own.length + 1] ?? Number.NaN);
      expectNear(at(columns.get(`column/${name}`)?.data), at(all.get(`diagonal/${name}`)?.data), 1e-10, name, 1e-6);
    }
  });
});

it("a sequence of constants", async () => {
  const sequence = constant([[[0.3]], [[-0.8]]]);
  const model = nn.trace(
    { x: ["N", 2] },
    { W: start([1, hidden, 1], 1), R: start([1, hidden, hidden], 2) },
    ({ x }, { W, R }) => {
      const states = sequence.onnx("RNN", [W, R], { hidden_size: hidden });
      return x
        .mul(states.slice(0, 1, 2).reshape([1, hidden]))
        .sum(1)
        .tanh();
    },
  );
  await checkSecond(model, { loss: losses.output() }, { x: waves([samples, 2], 6) }, samples);
});
