/** jvp, vjp, hvp and jacobian of traced values agree with finite differences and with each other; a model can be traced. */
import { describe, expect, it } from "vitest";
import { compile, expand, grad, hvp, input, jacobian, jvp, nn, parameter, traced, vjp } from "../../src/index.js";
import type { Traced } from "../../src/trace/traced.js";
import { evaluate, wave } from "../nn/support.js";

const x = input("x", ["N", 3]);
const w = parameter("w", [3, 2]);
const v = input("v", [3, 2]);
const data = { x: wave([4, 3]), w: wave([3, 2], 1), v: wave([3, 2], 2) };

const y = x.matmul(w.mul(w).sin()).tanh();
const numbers = (value: Traced, given: Record<string, ReturnType<typeof wave>> = data) =>
  evaluate(value, given, 4).data;

/** The difference quotient of `value` as w moves along v. */
function quotient(value: Traced): number[] {
  const step = 1e-5;
  const at = (side: number) =>
    numbers(value, {
      ...data,
      w: { dims: data.w.dims, data: data.w.data.map((each, k) => each + side * step * (data.v.data[k] ?? 0)) },
    });
  const [up, down] = [at(1), at(-1)];
  return Array.from(up, (each, k) => (each - (down[k] ?? 0)) / (2 * step));
}

function expectAlike(found: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(found.length).toBe(expected.length);
  Array.from(found).forEach((each, k) => {
    const other = expected[k] ?? Number.NaN;
    expect(Math.abs(each - other)).toBeLessThan(1e-7 * (1 + Math.abs(other)));
  });
}

describe("jvp and vjp", () => {
  it("a Jacobian-vector product is a difference quotient", () => {
    const tangent = jvp(y, w, v);
    expect(tangent.shape).toEqual(["N", 2]);
    expectAlike(numbers(tangent), quotient(y));
  });

  it("are adjoint", () => {
    const u = y.sin();
    const left = jvp(y, w, v).mul(u).sum();
    const right = vjp(y, w, u).mul(v).sum();
    expectAlike(numbers(left), numbers(right));
  });

  it("of what does not depend are zeros", () => {
    const other = parameter("other", [2]);
    expectAlike(numbers(jvp(y, other, other.mul(2)), { ...data, other: wave([2]) }), new Float64Array(8));
    expectAlike(numbers(vjp(y, other, y)), new Float64Array(2));
  });
});

describe("hvp and jacobian", () => {
  const loss = y.square().sum();

  it("a Hessian's product is a difference quotient of the gradient", () => {
    expectAlike(numbers(hvp(loss, w, v)), quotient(grad(loss, w)));
  });

  it("of expanded weights it is each sample's own", () => {
    const ww = expand(w, "N");
    const own = x.unsqueeze(1).matmul(ww.mul(ww).sin()).squeeze(1).tanh().square().sum();
    const each = hvp(own, ww, expand(v, "N"));
    expect(each.shape).toEqual(["N", 3, 2]);
    expectAlike(numbers(each.sum(0)), numbers(hvp(loss, w, v)));
  });

  it("a Jacobian times a vector is the product, of the whole and of each sample", () => {
    const total = y.sum(0);
    const whole = jacobian(total, w);
    expect(whole.shape).toEqual([2, 3, 2]);
    expectAlike(numbers(whole.mul(v).sum([1, 2])), numbers(jvp(total, w, v)));
    const ww = expand(w, "N");
    const own = x.unsqueeze(1).matmul(ww.mul(ww).sin()).squeeze(1).tanh();
    const each = jacobian(own, ww);
    expect(each.shape).toEqual(["N", 2, 3, 2]);
    expectAlike(numbers(each.mul(v).sum([2, 3])), numbers(jvp(y, w, v)));
  });

  it("differentiates again", () => {
    const third = hvp(grad(loss, w).sum(), w, v);
    expectAlike(numbers(third), quotient(grad(grad(loss, w).sum(), w)));
  });
});

it("vectors of another number, shape or dtype are refused", () => {
  expect(() => jvp(y, w, x)).toThrowError(expect.objectContaining({ code: "SHAPE_MISMATCH" }));
  expect(() => vjp(y, w, w)).toThrowError(expect.objectContaining({ code: "SHAPE_MISMATCH" }));
  expect(() => jvp(y, [w, x], [v])).toThrowError(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  expect(() => hvp(y, w, v)).toThrowError(expect.objectContaining({ code: "SHAPE_MISMATCH" }));
  expect(() => jacobian(y, w)).toThrowError(expect.objectContaining({ code: "SHAPE_MISMATCH" }));
});

it("a model is traced, with its parameters' values", async () => {
  const model = nn.model(nn.sequential(nn.linear(3, 4), nn.tanh(), nn.linear(4, 2)), { seed: 1 });
  const { inputs, parameters, outputs } = traced(model);
  expect(Object.keys(parameters)).toEqual(Object.keys(model.parameters));
  const [output] = Object.values(outputs);
  const [given] = Object.values(inputs);
  const bias = parameters["2.bias"];
  if (!output || !given || !bias) throw new Error("the model has lost its names");
  const slope = jvp(output, bias, bias.mul(0).add(1));
  const program = await compile({ slope, sensitivity: grad(output.sum(), given) });
  const found = await program.run({ x: Float32Array.of(1, 2, 3, 4, 5, 6) });
  expect(found.slope).toMatchObject({ dims: [2, 2], data: Float32Array.of(1, 1, 1, 1) });
  expect(found.sensitivity.dims).toEqual([2, 3]);
  await program.release();
});
