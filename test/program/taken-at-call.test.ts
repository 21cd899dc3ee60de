/** What is given is taken at the call: whoever fills an array anew while a run is under way changes nothing of it. */
import { describe, expect, it } from "vitest";
import {
  compile,
  type Data,
  einsum,
  input,
  losses,
  nn,
  PrivateTrainer,
  parameter,
  perSample,
  sgd,
  type Tensor,
  Trainer,
  train,
  trainPrivately,
  want,
  workers,
} from "../../src/index.js";

const samples = 7;
const network = nn.sequential(nn.linear(4, 5), nn.tanh(), nn.linear(5, 3));
const model = nn.model(network, { input: { x: ["N", 4] }, seed: 1 });

function batch(seed: number, count = samples) {
  const x = Float32Array.from({ length: count * 4 }, (_, k) => Math.sin(seed + k));
  return { x, target: BigInt64Array.from({ length: count }, (_, k) => BigInt((k * 5 + seed) % 3)) };
}

function tensor(dims: readonly number[], seed: number): Tensor<"float32"> {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return { dtype: "float32", dims, data: Float32Array.from({ length: size }, (_, k) => Math.cos(seed + k) / 2) };
}

/** Fills every array under `given` with another one's numbers. */
function overwrite(given: unknown): void {
  if (given instanceof Float32Array) given.fill(9);
  else if (given instanceof BigInt64Array) given.fill(1n);
  else if (Array.isArray(given)) given.fill(8);
  else if (typeof given === "object" && given !== null) for (const each of Object.values(given)) overwrite(each);
}

const tuple = <A extends unknown[]>(...all: A): A => all;

/** The result of a call whose arguments are overwritten at once, beside that of one whose are not. */
async function both<A extends readonly unknown[], R>(
  make: () => A,
  call: (...given: A) => Promise<R>,
): Promise<[R, R]> {
  const undisturbed = await call(...make());
  const given = make();
  const promise = call(...given);
  overwrite(given);
  return [await promise, undisturbed];
}

const options = {
  loss: losses.crossEntropy(),
  want: { losses: want.losses(), norms: want.norms(), clipped: want.clippedSum({ maxNorm: 0.3 }), mean: want.mean() },
};

describe("run", () => {
  it.each<[string, object]>([
    ["at once", {}],
    ["in microbatches", { microbatchSize: 2 }],
    ["in a worker thread", { workers: true }],
  ])("takes its data at the call, %s", async (_, how) => {
    const program = await perSample(model, { ...options, ...how });
    const [found, wanted] = await both(
      () => tuple(batch(1)),
      (data) => program.run(data),
    );
    expect(found).toEqual(wanted);
    // The check can fail: other data have other losses.
    expect(await program.run(batch(2))).not.toEqual(wanted);
    await program.release();
  });

  it.each([undefined, 3])(
    "takes plain numbers, parameters, vectors and norms at the call, microbatch %s",
    async (microbatch) => {
      const names = Object.fromEntries(model.graph.parameters.map(({ name, shape }) => [name, shape.map(Number)]));
      const each = (seed: number) =>
        Object.fromEntries(Object.entries(names).map(([name, dims]) => [name, tensor(dims, seed)]));
      const program = await perSample(model, {
        loss: losses.crossEntropy(),
        want: {
          dot: want.dot(each(1)),
          clipped: want.clippedSum({ maxNorm: 1, adjustable: true }),
          losses: want.losses(),
        },
      });
      const given = () => {
        const { x, target } = batch(1);
        const data: Record<string, Data> = { x: [...x], target: [...target].map(Number) };
        return tuple(data, { parameters: each(2), vectors: { dot: each(3) }, maxNorms: { clipped: { all: 0.2 } } });
      };
      const [found, wanted] = await both(given, (data, more) =>
        program.run(data, { ...more, ...(microbatch === undefined ? {} : { microbatchSize: microbatch }) }),
      );
      expect(found).toEqual(wanted);
      await program.release();
    },
  );

  it.each([undefined, 3])(
    "takes another batch at the call, and the first one when it is wanted, microbatch %s",
    async (microbatch) => {
      const first = batch(4, 5);
      const parameters = Object.fromEntries(
        model.graph.parameters.map(({ name, shape }) => [name, tensor(shape.map(Number), 6)]),
      );
      const compiling = perSample(model, { loss: losses.crossEntropy(), want: { cross: want.cross(first) } });
      overwrite(first);
      const program = await compiling;
      const same = await perSample(model, { loss: losses.crossEntropy(), want: { cross: want.cross(batch(4, 5)) } });
      const how = microbatch === undefined ? {} : { microbatchSize: microbatch };
      expect(await program.run(batch(1), how)).toEqual(await same.run(batch(1), how));
      expect(await program.run(batch(1), { ...how, parameters })).toEqual(
        await same.run(batch(1), { ...how, parameters }),
      );
      const [found, wanted] = await both(
        () => tuple(batch(1), { others: { cross: batch(8, 5) } }),
        (data, more) => program.run(data, { ...more, ...how }),
      );
      expect(found).toEqual(wanted);
      await Promise.all([program.release(), same.release()]);
    },
  );

  it("computes several batches that are asked for at once, from one array filled again and again", async () => {
    const program = await perSample(model, options);
    const shared = batch(0);
    const runs = [1, 2, 3].map((seed) => {
      const { x, target } = batch(seed);
      shared.x.set(x);
      shared.target.set(target);
      return program.run(shared);
    });
    for (const [k, found] of (await Promise.all(runs)).entries())
      expect(found).toEqual(await program.run(batch(k + 1)));
    await program.release();
  });

  it("of expressions takes its data at the call, an empty batch's too", async () => {
    const x = input("x", ["N", 4]);
    const w = parameter("w", [4, 2]);
    const expressions = await compile({ y: einsum("ni,ij->nj", x, w), sum: w.sum() });
    for (const count of [3, 0]) {
      const [found, wanted] = await both(
        () => tuple({ x: batch(1, count).x, w: tensor([4, 2], 1) }),
        (data) => expressions.run(data),
      );
      expect(found).toEqual(wanted);
    }
    await expressions.release();
  });

  it("leaves timers their turns in a loop of runs", async () => {
    const program = await perSample(model, options);
    let ended = false;
    setTimeout(() => {
      ended = true;
    }, 5);
    const start = performance.now();
    while (!ended && performance.now() - start < 5000) await program.run(batch(1));
    expect(ended).toBe(true);
    await program.release();
  });
});

describe("datasets", () => {
  it("runAll takes a whole batch at the call", async () => {
    const program = await perSample(model, options);
    const [found, wanted] = await both(
      () => tuple(batch(1)),
      (data) => program.runAll(data, { chunkSize: 2 }),
    );
    expect(found).toEqual(wanted);
    await program.release();
  });

  it("a stream takes a whole batch at the call, and each of a generator's when it comes, whose arrays serve again", async () => {
    const program = await perSample(model, options);
    const collect = async (chunks: AsyncIterable<{ readonly results: unknown }>, between = () => {}) => {
      const found: unknown[] = [];
      for await (const { results } of chunks) {
        found.push(results);
        between();
      }
      return found;
    };
    const [found, wanted] = await both(
      () => tuple(batch(1)),
      (data) => collect(program.stream(data, { chunkSize: 3 })),
    );
    expect(found).toEqual(wanted);

    const shared = batch(0);
    async function* reused() {
      for (const seed of [1, 2, 3]) {
        const { x, target } = batch(seed);
        shared.x.set(x);
        shared.target.set(target);
        yield shared;
        overwrite(shared);
      }
    }
    const fresh = await collect(program.stream([batch(1), batch(2), batch(3)], { chunkSize: 3 }));
    expect(await collect(program.stream(reused(), { chunkSize: 3 }))).toEqual(fresh);
    // Whoever takes the chunks may fill the arrays too.
    expect(await collect(program.stream(reused(), { chunkSize: 3 }), () => overwrite(shared))).toEqual(fresh);
    expect(await program.runAll(reused(), { chunkSize: 3 })).toEqual(
      await program.runAll([batch(1), batch(2), batch(3)], { chunkSize: 3 }),
    );
    await program.release();
  });

  it("read in place, no copy is made", async () => {
    const program = await perSample(model, options);
    const given = batch(1);
    const promise = program.runAll(given, { chunkSize: 2, inPlace: true });
    overwrite(given);
    expect(await promise).not.toEqual(await program.runAll(batch(1), { chunkSize: 2 }));
    await program.release();
  });
});

describe("training", () => {
  const common = {
    loss: losses.crossEntropy(),
    optimizer: sgd({ learningRate: 0.1 }),
    batchSize: 3,
    microbatchSize: 2,
    steps: 4,
  };
  const secret = { ...common, maxNorm: 1, noiseMultiplier: 1, delta: 1e-5, seed: 3 };

  it.each<[string, (data: ReturnType<typeof batch>) => Promise<{ readonly model: { readonly parameters: object } }>]>([
    ["train", (data) => train(model, data, common)],
    ["trainPrivately", (data) => trainPrivately(model, data, secret)],
    ["a trainer", (data) => stepped(Trainer.create(model, data, common))],
    ["a private trainer", (data) => stepped(PrivateTrainer.create(model, data, secret))],
  ])("%s takes its data at the call", async (_, call) => {
    const [found, wanted] = await both(() => tuple(batch(1)), call);
    expect(found.model.parameters).toEqual(wanted.model.parameters);
  });

  async function stepped<S>(made: Promise<Trainer<S> | PrivateTrainer<S>>) {
    const trainer = await made;
    for (let k = 0; k < 4; k++) await trainer.step();
    await trainer.release();
    return { model: trainer.model };
  }

  it("takes what is made for a step when it is made", async () => {
    const seeds = new BigInt64Array(3);
    const dropping = nn.sequential(nn.linear(4, 5), nn.dropout(0.5), nn.linear(5, 3));
    const run = async (spoil: boolean) => {
      const made = nn.model(dropping, { input: { x: ["N", 4] }, seed: 1 });
      const inputs = (step: number, indices: Uint32Array) => {
        const own = spoil ? seeds.subarray(0, indices.length) : new BigInt64Array(indices.length);
        indices.forEach((n, k) => {
          own[k] = BigInt(100 * step + n);
        });
        return { seed: own };
      };
      const trainer = await Trainer.create(made, batch(1), { ...common, inputs });
      for (let k = 0; k < 3; k++) {
        const step = trainer.step();
        seeds.fill(7n);
        await step;
      }
      await trainer.release();
      return trainer.model.parameters;
    };
    expect(await run(true)).toEqual(await run(false));
  });
});

it("a pool of threads takes data at the call too", async () => {
  const pool = workers({ count: 1 });
  const program = await perSample(model, { ...options, workers: pool });
  const [found, wanted] = await both(
    () => tuple(batch(1)),
    (data) => program.run(data, { microbatchSize: 3 }),
  );
  expect(found).toEqual(wanted);
  await pool.release();
});
