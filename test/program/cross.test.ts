/** want.cross: inner products with another batch's gradients, against those of all pairs of both together. */

import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { losses, type Model, nn, perSample, type Tensor, want, writeTensors } from "../../src/index.js";
import { withVectors } from "../../src/wants/cross.js";
import { temporaryFolder } from "../support/folder.js";

const waves = (dims: readonly number[], seed: number): Tensor<"float32"> => ({
  dtype: "float32",
  dims,
  data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(12.9898 * (i + 1) + seed)),
});
const ids = (dims: readonly number[], most: number, seed: number): Tensor<"int64"> => ({
  dtype: "int64",
  dims,
  data: BigInt64Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => BigInt((i * i + i * seed) % most)),
});

interface Tested {
  readonly model: Model;
  readonly batch: (samples: number, seed: number) => Record<string, Tensor>;
}

const words = nn.embedding(30, 3);
const tested: Readonly<Record<string, Tested>> = {
  "layers of one position": {
    model: nn.model(nn.sequential(nn.linear(40, 30), nn.tanh(), nn.layerNorm(30), nn.linear(30, 3))),
    batch: (samples, seed) => ({ x: waves([samples, 40], seed), target: ids([samples], 3, seed) }),
  },
  "a layer of several positions, used twice": {
    model: nn.trace({ x: ["N", 3, 20] }, { layer: nn.linear(20, 20), last: nn.linear(20, 3) }, ({ x }, parts) =>
      parts.last(parts.layer(parts.layer(x).tanh()).sum([1])),
    ),
    batch: (samples, seed) => ({ x: waves([samples, 3, 20], seed), target: ids([samples], 3, seed) }),
  },
  "grouped convolutions": {
    model: nn.model(
      nn.sequential(nn.conv2d(2, 4, 3, { groups: 2 }), nn.relu(), nn.conv2d(4, 3, 3), nn.flatten(), nn.linear(12, 3)),
      { input: { x: ["N", 2, 6, 6] } },
    ),
    batch: (samples, seed) => ({ x: waves([samples, 2, 6, 6], seed), target: ids([samples], 3, seed) }),
  },
  "a tied embedding": {
    model: nn.model(nn.sequential(words, nn.linear(3, 3), nn.tanh(), nn.tied(words)), {
      input: { x: { shape: ["N", 4], dtype: "int64" } },
    }),
    batch: (samples, seed) => ({ x: ids([samples, 4], 30, seed), target: ids([samples, 4], 30, seed + 1) }),
  },
  "a recurrent layer": {
    model: nn.trace({ x: ["N", 5, 3] }, { lstm: nn.lstm(3, 4), last: nn.linear(4, 3) }, ({ x }, parts) =>
      parts.last(parts.lstm(x).sum([1])),
    ),
    batch: (samples, seed) => ({ x: waves([samples, 5, 3], seed), target: ids([samples], 3, seed) }),
  },
};

const loss = losses.crossEntropy();
const programs: { release(): Promise<void> }[] = [];
afterAll(async () => {
  for (const program of programs) await program.release();
});

async function gradientsOf({ model }: Tested, data: Record<string, Tensor>, parameters = {}) {
  const program = await perSample(model, { loss, want: { gradients: want.gradients() } });
  programs.push(program);
  return (await program.run(data, { parameters })).gradients;
}

type Gradients = Awaited<ReturnType<typeof gradientsOf>>;

/** `[N, M]`, in float64. */
function products(a: Gradients, b: Gradients, n: number, m: number): number[] {
  const result = new Array<number>(n * m).fill(0);
  for (const [name, { data }] of Object.entries(a)) {
    const other = b[name]?.data ?? new Float32Array();
    const size = data.length / n;
    for (let i = 0; i < n; i++)
      for (let j = 0; j < m; j++)
        for (let k = 0; k < size; k++)
          result[i * m + j] = (result[i * m + j] ?? 0) + (data[i * size + k] ?? 0) * (other[j * size + k] ?? 0);
  }
  return result;
}

function expectNear(actual: ArrayLike<number>, expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length);
  const scale = Math.max(1e-6, ...expected.map(Math.abs));
  expected.forEach((value, i) => {
    expect(Math.abs((actual[i] as number) - value) / scale).toBeLessThan(2e-5);
  });
}

describe.each(Object.keys(tested))("of %s", (name) => {
  const one = tested[name] as Tested;
  it.each([
    [1, 1],
    [5, 2],
    [2, 40],
  ])("%i samples with %i others", async (samples, others) => {
    const [batch, other] = [one.batch(samples, 1), one.batch(others, 2)];
    const program = await perSample(one.model, { loss, want: { influence: want.cross(other), norms: want.norms() } });
    programs.push(program);
    const { influence } = await program.run(batch);
    expect(influence.dims).toEqual([samples, others]);
    expectNear(influence.data, products(await gradientsOf(one, batch), await gradientsOf(one, other), samples, others));
  });

  it.each([
    [3, 1],
    [1, 40],
  ])("%i samples with %i vectors that the run is given", async (samples, count) => {
    const [batch, vectors] = [one.batch(samples, 1), await gradientsOf(one, one.batch(count, 3))];
    const program = await perSample(one.model, { loss, want: { found: withVectors(count) } });
    programs.push(program);
    const { found } = await program.run(batch, { others: { found: vectors } });
    expect(found.dims).toEqual([samples, count]);
    expectNear(found.data, products(await gradientsOf(one, batch), vectors, samples, count));
    await expect(program.run(batch)).rejects.toMatchObject({ code: "MISSING_TENSOR" });
  });
});

describe("the other batch", () => {
  const one = tested["layers of one position"] as Tested;
  const compile = async (others: number) => {
    const program = await perSample(one.model, { loss, want: { influence: want.cross(one.batch(others, 2)) } });
    programs.push(program);
    return program;
  };

  it("may be replaced in a run by as many samples", async () => {
    const program = await compile(3);
    const [batch, other] = [one.batch(2, 1), one.batch(3, 7)];
    const { influence } = await program.run(batch, { others: { influence: other } });
    expectNear(influence.data, products(await gradientsOf(one, batch), await gradientsOf(one, other), 2, 3));
    await expect(program.run(batch, { others: { influence: one.batch(4, 7) } })).rejects.toMatchObject({
      code: "BATCH_MISMATCH",
      message: expect.stringContaining("holds 4 samples, but the program was compiled for 3"),
    });
    await expect(program.run(batch, { others: { nobody: other } })).rejects.toMatchObject({ code: "MISSING_TENSOR" });
  });

  it("may be a file, when the program is compiled and in a run", async () => {
    const folder = temporaryFolder();
    const [batch, first, second] = [one.batch(2, 1), one.batch(70, 2), one.batch(70, 7)];
    await writeTensors(join(folder, "first.safetensors"), first);
    await writeTensors(join(folder, "second.npz"), second);
    const influences = want.cross(join(folder, "first.safetensors"));
    const program = await perSample(one.model, { loss, want: { influences } });
    programs.push(program);
    const own = await gradientsOf(one, batch);
    expectNear((await program.run(batch)).influences.data, products(own, await gradientsOf(one, first), 2, 70));
    const { influences: found } = await program.run(batch, { others: { influences: join(folder, "second.npz") } });
    expectNear(found.data, products(own, await gradientsOf(one, second), 2, 70));
    await expect(
      perSample(one.model, { loss, want: { influences: want.cross(join(folder, "none.npz")) } }),
    ).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
  });

  it("has the gradients of the run's parameters", async () => {
    const program = await compile(3);
    const [batch, other] = [one.batch(2, 1), one.batch(3, 2)];
    const parameters = { "0.weight": waves([30, 40], 5) };
    const { influence } = await program.run(batch, { parameters });
    const expected = products(
      await gradientsOf(one, batch, parameters),
      await gradientsOf(one, other, parameters),
      2,
      3,
    );
    expectNear(influence.data, expected);
  });

  it("takes no part in what a run gives other wants", async () => {
    const model = nn.model(nn.sequential(nn.linear(4, 3)), { seed: 3 });
    const others = { x: waves([2, 4], 1), target: ids([2], 3, 1) };
    const wants = {
      cross: want.cross(others),
      dot: want.dot(),
      clipped: want.clippedSum({ maxNorm: 1, adjustable: true }),
    };
    const program = await perSample(model, { loss, want: wants });
    programs.push(program);
    const data = { x: waves([3, 4], 2), target: ids([3], 3, 2) };
    const given = { vectors: { dot: model.parameters }, maxNorms: { clipped: 0.5 } };
    const { cross } = await program.run(data, { ...given, parameters: model.parameters });
    expect(cross).toEqual((await program.run(data, given)).cross);
  });

  it("looks at as many positions of both batches beside a want that looks at all", async () => {
    // The second convolution leaves the last row and column of the first unread, whose input Kronecker factors count.
    const module = nn.sequential(
      ...[nn.conv2d(16, 32, 5), nn.relu(), nn.conv2d(32, 3, 2, { stride: 2 })],
      ...[nn.flatten(), nn.linear(12, 3)],
    );
    const model = nn.model(module, { input: { x: ["N", 16, 9, 9] }, seed: 3 });
    const [batch, others] = [2, 3].map((samples) => ({
      x: waves([samples, 16, 9, 9], samples),
      target: ids([samples], 3, 1),
    }));
    const cross = want.cross(others ?? {});
    const alone = await perSample(model, { loss, want: { cross } });
    const beside = await perSample(model, {
      loss,
      want: { cross, factors: want.kroneckerFactors({ kind: "empirical" }) },
    });
    programs.push(alone, beside);
    const expected = (await alone.run(batch ?? {})).cross.data;
    expectNear((await beside.run(batch ?? {})).cross.data, [...expected]);
    expect(alone.graph()).toContain("[N, 32, 4, 4]");
    expect(beside.graph()).toContain("[N, 32, 5, 5]");
  });

  it("may be empty, and so may the batch", async () => {
    expect((await (await compile(0)).run(one.batch(2, 1))).influence.dims).toEqual([2, 0]);
    expect((await (await compile(3)).run(one.batch(0, 1))).influence.dims).toEqual([0, 3]);
  });

  it("is multiplied out in several parts where it is large", async () => {
    const wide: Tested = {
      model: nn.trace({ x: ["N", 40, 550] }, { layer: nn.linear(550, 550), last: nn.linear(550, 3) }, ({ x }, parts) =>
        parts.last(parts.layer(x).tanh().sum([1])),
      ),
      batch: (samples, seed) => ({ x: waves([samples, 40, 550], seed), target: ids([samples], 3, seed) }),
    };
    const [batch, other] = [wide.batch(2, 1), wide.batch(60, 2)];
    const program = await perSample(wide.model, {
      loss,
      parameters: ["layer.weight"],
      want: { influence: want.cross(other), gradients: want.gradients() },
    });
    programs.push(program);
    expect(Buffer.from(program.encode()).includes("Concat")).toBe(true);
    const { influence, gradients } = await program.run(batch);
    const others = (await program.run(other)).gradients;
    expectNear(influence.data, products(gradients, others, 2, 60));
  });

  it("is checked as a batch is", async () => {
    const { x } = one.batch(2, 1);
    await expect(perSample(one.model, { loss, want: { c: want.cross({ x: x as Tensor }) } })).rejects.toMatchObject({
      code: "MISSING_TENSOR",
    });
  });
});
