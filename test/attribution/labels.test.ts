/** Methods that look at labels follow the loss: what it ignores, where its classes lie, how it smooths. */
import { describe, expect, it } from "vitest";
import {
  attribution,
  concat,
  constant,
  type Loss,
  losses,
  type Model,
  nn,
  type Tensor,
  type Traced,
  withParameters,
} from "../../src/index.js";
import { floats, labels } from "../cli/support.js";
import { expectNear } from "../curvature/support.js";

const labelled = (dims: readonly number[], ...given: readonly number[]): Tensor => ({ ...labels(...given), dims });
const trak = attribution.trak({ dims: 6, damping: 0.1 });

describe("TRAK", () => {
  const network = nn.model(nn.sequential(nn.linear(3, 4), nn.tanh(), nn.linear(4, 4)), { seed: 1 });

  it.each([-100, 3])("leaves labels out that the loss ignores: %i", async (ignoreIndex) => {
    const x = floats([5, 3]);
    const queries = { x: floats([2, 3], (k) => Math.cos(k * k)), target: labels(ignoreIndex, 2) };
    const loss = losses.crossEntropy({ ignoreIndex });
    const all = { x, target: labels(0, ignoreIndex, 2, 1, ignoreIndex) };
    const { scores } = await attribution.scores(network, all, queries, { loss, method: trak });
    const counted = { x: tensorOf(x, 0, 2, 3), target: labels(0, 2, 1) };
    const asked = { x: tensorOf(queries.x, 1), target: labels(2) };
    const some = await attribution.scores(network, counted, asked, { loss: "cross_entropy", method: trak });
    const [a, b, c] = some.scores.data;
    expectNear(scores.data, [0, 0, 0, 0, 0, a, 0, b, c, 0].map(Number), 1e-5, "scores");
  });

  it("keeps all numbers of gradients, if there are no more than dims", async () => {
    const train = { x: floats([7, 3]), target: labels(0, 1, 2, 1, 3, 0, 2) };
    const queries = { x: floats([2, 3], (k) => Math.cos(k * k)), target: labels(1, 2) };
    const size = 36;
    const projection = floats([size, size], (k) => Number(k % (size + 1) === 0));
    const of = async (options: attribution.TrakOptions) => {
      const method = attribution.trak({ damping: 0.3, ...options });
      const setting = { loss: "cross_entropy", method } as const;
      const { scores } = await attribution.scores(network, train, queries, setting);
      return [...scores.data, ...(await attribution.selfInfluence(network, train, setting)).data];
    };
    for (const options of [{}, { dims: size, seed: 3 }])
      expectNear(await of(options), await of({ projection }), 1e-5, "scores");
  });

  it("without damping, asks for fewer dims than samples only where there are not fewer yet", async () => {
    const train = { x: floats([50, 3]), target: labels(...Array.from({ length: 50 }, (_, n) => n % 4)) };
    const few = { x: floats([5, 3]), target: labels(0, 1, 2, 3, 0) };
    const of = (data: typeof train, dims: number) =>
      attribution.scores(network, data, few, { loss: "cross_entropy", method: attribution.trak({ dims, damping: 0 }) });
    await expect(of(few, 8)).rejects.toThrow(/give a larger damping, or fewer dims than samples\.$/);
    // The odds do not change if the same number is added to all logits, so all gradients are not independent.
    await expect(of(train, 36)).rejects.toThrow(/give a larger damping, or fewer dims\.$/);
  });

  it("finds classes along the axis that the loss names", async () => {
    // With a fifth position, whose label is ignored, no other axis fits; the fifth adds nothing.
    const long = floats([4, 5, 3]);
    const short = { dtype: "float32", dims: [4, 4, 3], data: firstFour(long) } as const;
    const four = [0, 1, 2, 3, 3, 1, 0, 2, 2, 2, 1, 0, 1, 3, 0, 0];
    const five = four.flatMap((label, k) => (k % 4 === 3 ? [label, -1] : [label]));
    const of = async (x: Tensor, target: Tensor, loss: ReturnType<typeof losses.crossEntropy>) => {
      const shape = ["N", ...x.dims.slice(1)] as const;
      const model = nn.trace({ x: shape }, { a: nn.linear(3, 4), b: nn.linear(4, 4) }, (own, { a, b }) => b(a(own.x)));
      return (await attribution.scores(model, { x, target }, { x, target }, { loss, method: trak })).scores.data;
    };
    const found = await of(short, labelled([4, 4], ...four), losses.crossEntropy({ classAxis: 2 }));
    const expected = await of(long, labelled([4, 5], ...five), losses.crossEntropy({ ignoreIndex: -1 }));
    expectNear(found, expected, 1e-5, "scores");
  });
});

describe("representer points", () => {
  const square = nn.trace({ x: ["N", 3] }, { head: nn.ones([3, 3]), bias: nn.ones([3]) }, ({ x }, { head, bias }) =>
    x.matmul(head).add(bias),
  );
  const weights = Float32Array.from([2, -1, 0.5, -0.3, 1.5, 1, 0.2, -0.8, 1]);
  const model = withParameters(square, {
    head: { dtype: "float32", dims: [3, 3], data: weights },
    bias: { dtype: "float32", dims: [3], data: new Float32Array(3) },
  });
  const [x, asked] = [floats([4, 3]), floats([3, 3], (k) => Math.cos(k * k))];

  /** (onehot, smoothed, less p) of the query's label times the inner product of the inputs, over 2 l2 N. */
  function byHand(target: readonly number[], asking: readonly number[], smoothing: number): number[] {
    const row = ({ data }: Tensor, n: number) => [0, 1, 2].map((k) => Number(data[n * 3 + k]));
    const chances = (n: number) => {
      const powers = [0, 1, 2].map((c) =>
        Math.exp(row(x, n).reduce((sum, each, k) => sum + each * (weights[k * 3 + c] ?? 0), 0)),
      );
      return powers.map((power) => power / powers.reduce((sum, each) => sum + each, 0));
    };
    return asking.flatMap((label, m) =>
      target.map((given, n) => {
        if (label < 0 || given < 0) return 0;
        const wanted = (1 - smoothing) * (given === label ? 1 : 0) + smoothing / 3;
        const product = row(x, n).reduce((sum, each, k) => sum + each * (row(asked, m)[k] ?? 0), 0);
        return ((wanted - (chances(n)[label] ?? 0)) * product) / (2 * 0.01 * target.length);
      }),
    );
  }

  it.each([
    ["a square weight whose columns are classes", [0, 1, 2, 1], [2, 0, 1], {}],
    ["smoothed labels", [0, 1, 2, 1], [2, 0, 1], { labelSmoothing: 0.6 }],
    ["ignored labels", [0, -1, 2, 1], [2, -1, 1], { ignoreIndex: -1 }],
  ])(
    "of %s",
    async (what, target, asking, options: { readonly labelSmoothing?: number; readonly ignoreIndex?: number }) => {
      const { scores } = await attribution.scores(
        model,
        { x, target: labels(...target) },
        { x: asked, target: labels(...asking) },
        { loss: losses.crossEntropy(options), method: attribution.representerPoints({ l2: 0.01 }) },
      );
      expectNear(scores.data, byHand(target, asking, options.labelSmoothing ?? 0), 1e-5, what);
    },
  );

  it("are of the layer that is used last, wherever the file has its weight", async () => {
    const parts = { head: nn.ones([3, 3]), body: nn.linear(3, 3, { bias: false }) };
    const late = nn.trace({ x: ["N", 3] }, parts, ({ x: input }, { head, body }) => body(input).tanh().matmul(head));
    const deep = withParameters(late, { head: { dtype: "float32", dims: [3, 3], data: weights } });
    const data = { x, target: labels(0, 1, 2, 1) };
    const of = async (layer?: string) => {
      const method = attribution.representerPoints({ l2: 0.01, ...(layer ? { layer } : {}) });
      return (await attribution.scores(deep, data, data, { loss: "cross_entropy", method })).scores.data;
    };
    expectNear(await of(), await of("head"), 1e-6, "scores");
  });

  it("are of the weight, not of a bias that is stored as a row", async () => {
    const parts = { bias: nn.ones([1, 3]), head: nn.ones([3, 3]) };
    const biased = nn.trace({ x: ["N", 3] }, parts, ({ x: input }, { bias, head }) => input.matmul(head).add(bias));
    const data = { x, target: labels(0, 1, 2, 1) };
    const of = async (layer?: string) => {
      const method = attribution.representerPoints({ l2: 0.01, ...(layer ? { layer } : {}) });
      return (await attribution.scores(biased, data, data, { loss: "cross_entropy", method })).scores.data;
    };
    expectNear(await of(), await of("head"), 1e-6, "scores");
  });

  const parts = { head: nn.ones([3, 3]) };
  const withHead = (made: Model) => withParameters(made, { head: { dtype: "float32", dims: [3, 3], data: weights } });
  const scored = async (made: Model, loss: Loss | "cross_entropy" = "cross_entropy") => {
    const data = { x, target: labels(0, 1, 2, 1) };
    const method = attribution.representerPoints({ l2: 0.01, layer: "head" });
    return (await attribution.scores(made, data, data, { loss, method })).scores.data;
  };
  const linear = withHead(nn.trace({ x: ["N", 3] }, parts, ({ x: input }, { head }) => input.matmul(head)));

  it.each([
    ["a head whose logarithms of probabilities are the output", (logits: Traced) => logits.logSoftmax(1)],
    ["a head whose logits are shifted alike for all classes", (logits: Traced) => logits.add(3)],
  ])("are of %s", async (_, f) => {
    const made = nn.trace({ x: ["N", 3] }, parts, ({ x: input }, { head }) => f(input.matmul(head)));
    for (const loss of ["cross_entropy", losses.crossEntropy({ labelSmoothing: 0.2, weights: [1, 2, 3] })] as const)
      expectNear(await scored(withHead(made), loss), await scored(linear, loss), 1e-5, "scores");
  });

  it("are of a head whose inputs are divided by their lengths", async () => {
    const of = (input: Traced) => input.div(input.square().sum(1, { keepDims: true }).sqrt());
    const made = nn.trace({ x: ["N", 3] }, parts, ({ x: input }, { head }) =>
      input
        .matmul(head)
        .mul(2)
        .div(input.square().sum(1, { keepDims: true }).sqrt()),
    );
    const expected = nn.trace({ x: ["N", 3] }, parts, ({ x: input }, { head }) => of(input).mul(2).matmul(head));
    expectNear(await scored(withHead(made)), await scored(withHead(expected)), 1e-5, "scores");
  });

  const mixing = constant({ dtype: "float32", dims: [3, 3], data: Float32Array.from([1, 0.5, 0, 0, 1, 0, 0.3, 0, 1]) });
  it.each<readonly [what: string, f: (input: Traced, head: Traced) => Traced]>([
    ["a layer that is followed by a tanh", (input, head) => input.matmul(head).tanh()],
    [
      "a layer that is followed by a relu, even one that changes nothing",
      (input, head) => input.matmul(head).add(100).relu(),
    ],
    ["a layer of cosines", (input, head) => input.matmul(head.div(head.square().sum(0, { keepDims: true }).sqrt()))],
    [
      "a layer of two opposite rows behind a tanh",
      (input, head) => {
        const logit = input.matmul(head.slice(1, 0, 1));
        return concat([logit, logit.neg(), logit.mul(0)], 1)
          .add(input.matmul(head).mul(0))
          .tanh();
      },
    ],
    [
      "a table that is used twice, of whose rows only the first is picked",
      (input, head) =>
        head
          .gather(input.mul(0).sum(1).cast("int64"))
          .tanh()
          .matmul(head.transpose([1, 0])),
    ],
    ["a layer that is used twice", (input, head) => input.matmul(head).tanh().matmul(head)],
    ["a layer whose results are mixed", (input, head) => input.matmul(head).matmul(mixing)],
  ])("are refused of %s", async (_, f) => {
    const made = nn.trace({ x: ["N", 3] }, parts, ({ x: input }, { head }) => f(input, head));
    await expect(scored(withHead(made))).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringMatching(/not linear in "head"|"head" is not only the weight/),
    });
  });

  it("are refused of a layer that is not there, and the message says which was meant", async () => {
    const method = attribution.representerPoints({ l2: 0.01, layer: "haed" });
    const data = { x, target: labels(0, 1, 2, 1) };
    await expect(attribution.scores(linear, data, data, { loss: "cross_entropy", method })).rejects.toThrow(
      /"haed".*did you mean "head"/,
    );
  });
});

/** Some rows. */
function tensorOf({ dims, data }: Tensor, ...rows: readonly number[]): Tensor {
  const [, width = 0] = dims;
  const numbers = rows.flatMap((row) => Array.from(data.subarray(row * width, (row + 1) * width), Number));
  return { dtype: "float32", dims: [rows.length, width], data: Float32Array.from(numbers) };
}

/** Of five positions of three numbers. */
function firstFour({ data }: Tensor): Float32Array {
  return Float32Array.from(Array.from(data, Number).filter((_, k) => k % 15 < 12));
}
