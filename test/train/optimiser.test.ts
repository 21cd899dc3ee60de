import { describe, expect, it } from "vitest";
import { tensor } from "../../src/tensor.js";
import { adam, type Optimiser, type Parameters, sgd } from "../../src/train/index.js";

const named = (values: Record<string, number[]>): Parameters =>
  Object.fromEntries(
    Object.entries(values).map(([name, data]) => [name, tensor("float32", [data.length], Float32Array.from(data))]),
  );

/** The parameter "w" after each of the steps. */
function follow<S>(optimiser: Optimiser<S>, start: number[], gradients: number[][]): number[][] {
  let parameters = named({ w: start });
  let state = optimiser.start(parameters);
  return gradients.map((gradient) => {
    ({ parameters, state } = optimiser.step(parameters, named({ w: gradient }), state));
    return [...(parameters.w?.data ?? [])];
  });
}

function expectClose(found: number[][], wanted: number[][]): void {
  expect(found.map((row) => row.length)).toEqual(wanted.map((row) => row.length));
  found.flat().forEach((value, i) => {
    expect(value).toBeCloseTo(wanted.flat()[i] ?? Number.NaN, 5);
  });
}

describe("sgd", () => {
  it("goes down the gradient", () => {
    expectClose(
      follow(
        sgd({ learningRate: 0.1 }),
        [1, -2],
        [
          [2, -4],
          [1, 0],
        ],
      ),
      [
        [0.8, -1.6],
        [0.7, -1.6],
      ],
    );
  });

  it("keeps a share of its velocity", () => {
    // v = 1, then 0.5 * 1 + 2 = 2.5, then 0.5 * 2.5 - 1 = 0.25
    expectClose(follow(sgd({ learningRate: 0.1, momentum: 0.5 }), [1], [[1], [2], [-1]]), [[0.9], [0.65], [0.625]]);
  });
});

it.each([
  ["sgd", sgd({ learningRate: (step) => 0.1 * 0.5 ** step })],
  ["adam", adam({ learningRate: (step) => 0.1 * 0.5 ** step })],
] as [string, Optimiser<unknown>][])("%s follows a schedule of learning rates", (_, optimiser) => {
  expectClose(follow(optimiser, [1], [[1], [1], [1]]), [[0.9], [0.85], [0.825]]);
});

describe("adam", () => {
  it("takes a first step of the learning rate, whatever the gradient's size", () => {
    expectClose(follow(adam({ learningRate: 0.01 }), [1, 1, 1], [[1e-3, -1, 100]]), [[0.99, 1.01, 0.99]]);
  });

  it("follows the paper's formulas", () => {
    // betas [0.5, 0.75], gradients 1 then 3: m = 0.5, 1.75; v = 0.25, 2.4375
    // corrected by 1 - 0.25 = 0.75 and 1 - 0.5625 = 0.4375: 2.333333 / sqrt(5.571429) = 0.988534
    const found = follow(adam({ learningRate: 0.1, betas: [0.5, 0.75] }), [1], [[1], [3]]);
    expectClose(found, [[0.9], [0.9 - 0.1 * 0.988534]]);
  });

  it("does not move where the gradient is 0", () => {
    expectClose(follow(adam(), [5], [[0], [0]]), [[5], [5]]);
  });
});

describe.each([
  ["sgd", sgd({ learningRate: 0.1, momentum: 0.9 })],
  ["adam", adam()],
] as [string, Optimiser<unknown>][])("%s", (_, optimiser) => {
  it("changes nothing it is given and keeps what has no gradient", () => {
    const parameters = named({ a: [1, 2], b: [3] });
    const state = optimiser.start(parameters);
    const before = structuredClone({ parameters, state });
    const stepped = optimiser.step(parameters, named({ a: [1, 1] }), state);
    expect({ parameters, state }).toEqual(before);
    expect(stepped.parameters.b).toEqual(parameters.b);
    expect(stepped.parameters.a?.data).not.toEqual(parameters.a?.data);
    // The state still fits both afterwards.
    const again = optimiser.step(stepped.parameters, named({ a: [1, 1], b: [1] }), stepped.state);
    expect(again.parameters.b?.data[0]).toBeLessThan(3);
  });

  it("works on empty tensors", () => {
    const parameters = named({ a: [] });
    expect(optimiser.step(parameters, parameters, optimiser.start(parameters)).parameters).toEqual(parameters);
  });

  it("names what does not fit", () => {
    const parameters = named({ a: [1, 2] });
    const state = optimiser.start(parameters);
    expect(() => optimiser.step(parameters, named({ c: [1] }), state)).toThrow('a gradient of "c"');
    expect(() => optimiser.step(parameters, named({ a: [1] }), state)).toThrow("[1], but the parameter is [2]");
    expect(() => optimiser.step(parameters, named({ a: [1, 1] }), optimiser.start(named({})))).toThrow("does not fit");
  });
});

it("refuses options out of range", () => {
  expect(() => sgd({ learningRate: -1 })).toThrow("learningRate is -1");
  expect(() => sgd({ learningRate: Number.NaN })).toThrow("learningRate is NaN");
  expect(() => sgd({ learningRate: 1, momentum: 1 })).toThrow("momentum is 1");
  expect(() => adam({ betas: [0.9, -1] })).toThrow("betas[1] is -1");
  expect(() => adam({ epsilon: 0 })).toThrow("epsilon is 0");
});
