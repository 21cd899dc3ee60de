import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { tensor } from "../../src/tensor/tensor.js";
import { adam, adamW, averageOf, averaging, type Optimizer, type Parameters, sgd } from "../../src/train/index.js";

const named = (values: Record<string, number[]>): Parameters =>
  Object.fromEntries(
    Object.entries(values).map(([name, data]) => [name, tensor("float32", [data.length], Float32Array.from(data))]),
  );

/** The parameter "w" after each of the steps. */
function follow<S>(optimizer: Optimizer<S>, start: number[], gradients: number[][]): number[][] {
  let parameters = named({ w: start });
  let state = optimizer.start(parameters);
  return gradients.map((gradient) => {
    ({ parameters, state } = optimizer.step(parameters, named({ w: gradient }), state));
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
] as [string, Optimizer<unknown>][])("%s follows a schedule of learning rates", (_, optimizer) => {
  expectClose(follow(optimizer, [1], [[1], [1], [1]]), [[0.9], [0.85], [0.825]]);
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

/** One number trained in float64, as the pseudo-code of PyTorch's documentation has it. */
type Scalar = (gradient: number) => number;

function torchSgd(start: number, lr: number, momentum: number, decay: number, nesterov: boolean): Scalar {
  let theta = start;
  let buffer: number | undefined;
  return (gradient) => {
    let g = gradient + decay * theta;
    if (momentum !== 0) {
      buffer = buffer === undefined ? g : momentum * buffer + g;
      g = nesterov ? g + momentum * buffer : buffer;
    }
    theta -= lr * g;
    return theta;
  };
}

function torchAdam(
  start: number,
  lr: number,
  betas: readonly [number, number],
  decay: number,
  decoupled: boolean,
): Scalar {
  let [theta, m, v, t] = [start, 0, 0, 0];
  return (gradient) => {
    t++;
    if (decoupled) theta -= lr * decay * theta;
    const g = decoupled ? gradient : gradient + decay * theta;
    m = betas[0] * m + (1 - betas[0]) * g;
    v = betas[1] * v + (1 - betas[1]) * g * g;
    theta -= (lr * (m / (1 - betas[0] ** t))) / (Math.sqrt(v / (1 - betas[1] ** t)) + 1e-8);
    return theta;
  };
}

describe("PyTorch's documented formulas", () => {
  const between = (min: number, max: number) => fc.double({ min, max, noNaN: true });
  /** Away from 0: there Adam's first step is the sign of next to nothing. */
  const gradient = fc.oneof(between(-10, -0.01), between(0.01, 10)).map(Math.fround);
  const gradients = fc.array(gradient, { minLength: 1, maxLength: 12 });
  const start = between(-3, 3).map(Math.fround);

  const agrees = (optimizer: Optimizer<unknown>, scalar: Scalar, from: number, along: readonly number[]) => {
    const found = follow(
      optimizer,
      [from],
      along.map((g) => [g]),
    );
    expectClose(
      found,
      along.map((g) => [scalar(g)]),
    );
  };

  it("are those of sgd, with momentum, Nesterov's too, and weight decay", () => {
    const momenta = fc.oneof(fc.constant(0), between(0.1, 0.95));
    fc.assert(
      fc.property(
        start,
        gradients,
        between(0, 0.1),
        momenta,
        between(0, 0.5),
        fc.boolean(),
        (from, along, lr, mu, wd, ahead) => {
          const nesterov = ahead && mu > 0;
          const optimizer = sgd({ learningRate: lr, momentum: mu, weightDecay: wd, nesterov });
          agrees(optimizer, torchSgd(from, lr, mu, wd, nesterov), from, along);
        },
      ),
    );
  });

  it.each([
    ["adam", adam, false],
    ["adamW", adamW, true],
  ] as const)("are those of %s", (_, make, decoupled) => {
    const betas = fc.tuple(between(0.1, 0.9), between(0.5, 0.999));
    fc.assert(
      fc.property(start, gradients, between(0, 0.1), betas, between(0, 0.5), (from, along, lr, both, wd) => {
        const optimizer = make({ learningRate: lr, betas: both, weightDecay: wd });
        agrees(optimizer, torchAdam(from, lr, both, wd, decoupled), from, along);
      }),
    );
  });

  it("differ between adam and adamW, whose weight decay is 0.01 unless given", () => {
    const after = (optimizer: Optimizer<unknown>) => follow(optimizer, [2], [[1]])[0]?.[0];
    expect(after(adam({ learningRate: 0.1 }))).toBeCloseTo(1.9, 6);
    expect(after(adamW({ learningRate: 0.1 }))).toBeCloseTo(2 - 0.1 * 0.01 * 2 - 0.1, 6);
  });
});

describe("averaging", () => {
  it("takes the optimizer's own steps and averages what they lead to", () => {
    const plain = sgd({ learningRate: 0.5, momentum: 0.5 });
    const along = [[1], [2], [-1], [0.5]];
    const wanted = follow(plain, [1], along).flat();
    const optimizer = averaging(plain, { decay: 0.75 });
    let parameters = named({ w: [1], frozen: [7] });
    let state = optimizer.start(parameters);
    expect(averageOf(parameters, state)).toEqual(parameters);
    let average = Number.NaN;
    along.forEach((gradient, k) => {
      ({ parameters, state } = optimizer.step(parameters, named({ w: gradient }), state));
      const now = wanted[k] as number;
      expect(parameters.w?.data[0]).toBe(now);
      average = k === 0 ? now : 0.75 * average + 0.25 * now;
      expect(averageOf(parameters, state).w?.data[0]).toBeCloseTo(average, 6);
      expect(averageOf(parameters, state).frozen).toEqual(parameters.frozen);
    });
  });
});

describe.each([
  ["sgd", sgd({ learningRate: 0.1, momentum: 0.9 })],
  ["sgd, looking ahead", sgd({ learningRate: 0.1, momentum: 0.9, nesterov: true, weightDecay: 0.1 })],
  ["adam", adam()],
  ["adamW", adamW()],
  ["averaging", averaging(adam(), { decay: 0.9 })],
] as [string, Optimizer<unknown>][])("%s", (_, optimizer) => {
  it("changes nothing it is given and keeps what has no gradient", () => {
    const parameters = named({ a: [1, 2], b: [3] });
    const state = optimizer.start(parameters);
    const before = structuredClone({ parameters, state });
    const stepped = optimizer.step(parameters, named({ a: [1, 1] }), state);
    expect({ parameters, state }).toEqual(before);
    expect(stepped.parameters.b).toEqual(parameters.b);
    expect(stepped.parameters.a?.data).not.toEqual(parameters.a?.data);
    // The state still fits both afterwards.
    const again = optimizer.step(stepped.parameters, named({ a: [1, 1], b: [1] }), stepped.state);
    expect(again.parameters.b?.data[0]).toBeLessThan(3);
  });

  it("works on empty tensors", () => {
    const parameters = named({ a: [] });
    expect(optimizer.step(parameters, parameters, optimizer.start(parameters)).parameters).toEqual(parameters);
  });

  it("names what does not fit", () => {
    const parameters = named({ a: [1, 2] });
    const state = optimizer.start(parameters);
    expect(() => optimizer.step(parameters, named({ c: [1] }), state)).toThrow('a gradient of "c"');
    expect(() => optimizer.step(parameters, named({ a: [1] }), state)).toThrow("[1], but the parameter is [2]");
    expect(() => optimizer.step(parameters, named({ a: [1, 1] }), optimizer.start(named({})))).toThrow("does not fit");
  });
});

it("refuses options out of range", () => {
  expect(() => sgd({ learningRate: -1 })).toThrow("learningRate is -1");
  expect(() => sgd({ learningRate: Number.NaN })).toThrow("learningRate is NaN");
  expect(() => sgd({ learningRate: 1, momentum: 1 })).toThrow("momentum is 1");
  expect(() => sgd({ learningRate: 1, nesterov: true })).toThrow("a momentum above 0");
  expect(() => sgd({ learningRate: 1, weightDecay: -1 })).toThrow("weightDecay is -1");
  expect(() => adamW({ weightDecay: Number.POSITIVE_INFINITY })).toThrow("weightDecay is Infinity");
  expect(() => averaging(adam(), { decay: 1 })).toThrow("decay is 1");
  expect(() => adam({ betas: [0.9, -1] })).toThrow("betas[1] is -1");
  expect(() => adam({ epsilon: 0 })).toThrow("epsilon is 0");
});
