/** What leaving samples out does is foretold, with an error that holds; ridge regression is trained without them exactly. */
import { describe, expect, it } from "vitest";
import { fitted } from "../../src/attribution/retrained.js";
import { Table } from "../../src/attribution/table.js";
import { attribution, type Model, nn, type Tensor, tensor, withParameters } from "../../src/index.js";
import { Cholesky } from "../../src/solvers/cholesky.js";
import { random } from "../../src/tensor/random.js";

const [samples, width, decay] = [120, 4, 0.1];
const source = random(5);
const truth = source.normals(width, 1);
const drawn = (count: number, noise: number) => {
  const x = source.normals(count * width, 1);
  const y = source.normals(count, noise);
  for (let n = 0; n < count; n++)
    for (let k = 0; k < width; k++) y[n] = (y[n] ?? 0) + (x[n * width + k] ?? 0) * (truth[k] ?? 0);
  return { x, target: y };
};
const train = drawn(samples, 1);
const queries = drawn(6, 1);

/** The weights that make the mean of (w.x - y)^2 over some samples plus decay/2 |w|^2 least. */
function trained(kept: (n: number) => boolean): Float64Array {
  const [matrix, right] = [new Float64Array(width * width), new Float64Array(width)];
  const count = Array.from({ length: samples }, (_, n) => n).filter(kept).length;
  for (let n = 0; n < samples; n++) {
    if (!kept(n)) continue;
    const row = train.x.subarray(n * width, (n + 1) * width);
    for (let i = 0; i < width; i++) {
      right[i] = (right[i] ?? 0) + (2 / count) * (row[i] ?? 0) * (train.target[n] ?? 0);
      for (let j = 0; j < width; j++)
        matrix[i * width + j] = (matrix[i * width + j] ?? 0) + (2 / count) * (row[i] ?? 0) * (row[j] ?? 0);
    }
  }
  const solver = Cholesky.of(matrix, width, decay);
  if (!solver) throw new Error("not positive definite");
  return solver.solve(right);
}

function lossesOf(weights: Float64Array): Float64Array {
  return Float64Array.from(queries.target, (y, m) => {
    let out = 0;
    for (let k = 0; k < width; k++) out += (weights[k] ?? 0) * (queries.x[m * width + k] ?? 0);
    return (out - y) ** 2;
  });
}

const network = nn.model(nn.linear(width, 1, { bias: false }), { seed: 1 });
const [name = ""] = Object.keys(network.parameters);
const modelOf = (weights: Float64Array): Model =>
  withParameters(network, { [name]: tensor("float32", [1, width], Float32Array.from(weights)) });

const whole = trained(() => true);
const method = attribution.influence({ inverse: "exact", damping: decay });
const options = { loss: "mse", method, threads: 1 } as const;
const data = ({ x, target }: typeof train) => ({ x, target });

/** By how much the queries' losses grow without a group. */
const without = (group: readonly number[]) => {
  const [before, after] = [lossesOf(whole), lossesOf(trained((n) => !group.includes(n)))];
  return after.map((loss, m) => loss - (before[m] ?? 0));
};

function near(found: readonly number[], expected: readonly number[], tolerance: number): void {
  const size = Math.sqrt(expected.reduce((sum, each) => sum + each ** 2, 0));
  const off = Math.sqrt(expected.reduce((sum, each, k) => sum + (each - (found[k] ?? 0)) ** 2, 0));
  expect(off / size).toBeLessThan(tolerance);
}

describe("leaving samples out", () => {
  it("changes losses as foretold: to first order, of one sample and of groups", async () => {
    const models = [modelOf(whole), modelOf(whole)];
    const alone = await attribution.leaveOut(models, data(train), data(queries), options);
    expect(alone.change.dims).toEqual([6, samples]);
    const column = ({ data: all, dims: [, count = 0] }: Tensor<"float64">, g: number) =>
      Array.from({ length: 6 }, (_, m) => all[m * count + g] ?? 0);
    for (const n of [0, 17, 60]) near(column(alone.change, n), [...without([n])], 0.15);
    const groups = [[0, 1, 2, 3, 4], Array.from({ length: 12 }, (_, k) => 10 * k), []];
    const together = await attribution.leaveOut(models, data(train), data(queries), { ...options, groups });
    for (const g of [0, 1]) near(column(together.change, g), [...without(groups[g] ?? [])], 0.3);
    expect(column(together.change, 2)).toEqual([0, 0, 0, 0, 0, 0]);
    // Two models that are the same do not differ.
    expect(Math.max(...together.error.data)).toBeLessThan(1e-9);
    expect(together).toMatchObject({ errorOf: "models", slope: 1 });
  });

  it("has the error of a mean of several models, by the jackknife", async () => {
    const moved = [0, 0.2, -0.3].map((by) => modelOf(whole.map((w, k) => w + by * (k + 1))));
    const groups = [[3], [5, 9]];
    const all = await attribution.leaveOut(moved, data(train), data(queries), { ...options, groups });
    const each: number[][] = [];
    for (const one of moved)
      each.push([
        ...(await attribution.leaveOut([one, one], data(train), data(queries), { ...options, groups })).change.data,
      ]);
    for (const [k, change] of all.change.data.entries()) {
      const values = each.map((list) => list[k] ?? 0);
      expect(change).toBeCloseTo(values.reduce((sum, value) => sum + value, 0) / 3, 10);
      const leftOut = values.map((_, i) => values.filter((_, j) => j !== i).reduce((sum, value) => sum + value, 0) / 2);
      const jackknife = Math.sqrt((2 / 3) * leftOut.reduce((sum, value) => sum + (value - change) ** 2, 0));
      expect(all.error.data[k]).toBeCloseTo(jackknife, 10);
    }
  });

  it("is calibrated by trainings: groups that were not among them lie within two errors, mostly", async () => {
    const subsets = attribution.subsets({ samples, count: 24, fraction: 0.9, seed: 3 });
    const row = (masks: Tensor, s: number) => (n: number) => Number(masks.data[s * samples + n]) === 1;
    const losses = Float64Array.from(
      Array.from({ length: 24 }, (_, s) => [...lossesOf(trained(row(subsets, s)))]).flat(),
    );
    const retrained = { subsets, losses: tensor("float64", [24, 6], losses) };
    const fresh = attribution.subsets({ samples, count: 40, fraction: 0.9, seed: 4 });
    const groups = Array.from({ length: 40 }, (_, s) =>
      Array.from({ length: samples }, (_, n) => n).filter((n) => !row(fresh, s)(n)),
    );
    const scaled = { ...options, method: attribution.gradDot() };
    for (const given of [options, scaled]) {
      const found = await attribution.leaveOut(modelOf(whole), data(train), data(queries), {
        ...given,
        groups,
        retrained,
      });
      expect(found.errorOf).toBe("retrained");
      let within = 0;
      for (const [g, group] of groups.entries())
        for (const [m, change] of without(group).entries()) {
          const at = m * groups.length + g;
          expect(found.error.data[at]).toBeGreaterThan(0);
          if (Math.abs(change - (found.change.data[at] ?? 0)) <= 2 * (found.error.data[at] ?? 0)) within++;
        }
      expect(within / (6 * groups.length)).toBeGreaterThan(0.88);
    }
    const { slope } = await attribution.leaveOut(modelOf(whole), data(train), data(queries), { ...options, retrained });
    expect(slope).toBeGreaterThan(0.8);
    expect(slope).toBeLessThan(1.3);
  });

  it("fits without each training as if it were not there", () => {
    const numbers = random(8);
    const [x, y] = [numbers.normals(3 * 7, 1), numbers.normals(3 * 7, 1)];
    const at = (list: Float32Array, m: number, s: number) => list[m * 7 + s] ?? 0;
    const losses = Float64Array.from({ length: 21 }, (_, k) => at(y, k % 3, Math.floor(k / 3)));
    const subsets = tensor("uint8", [7, 2], new Uint8Array(14).fill(1));
    const { errors } = fitted(new Table(3, 7, Float64Array.from(x)), {
      subsets,
      losses: tensor("float64", [7, 3], losses),
    });
    for (const m of [0, 1, 2]) {
      let squares = 0;
      for (let left = 0; left < 7; left++) {
        const others = [0, 1, 2, 3, 4, 5, 6].filter((s) => s !== left);
        const mean = (list: Float32Array, row: number) => others.reduce((sum, s) => sum + at(list, row, s), 0) / 6;
        let [xx, xy] = [0, 0];
        for (const row of [0, 1, 2])
          for (const s of others) {
            xx += (at(x, row, s) - mean(x, row)) ** 2;
            xy += (at(x, row, s) - mean(x, row)) * (at(y, row, s) - mean(y, row));
          }
        const foretold = mean(y, m) + (xy / xx) * (at(x, m, left) - mean(x, m));
        squares += (at(y, m, left) - foretold) ** 2 / 7;
      }
      expect(errors[m]).toBeCloseTo(Math.sqrt(squares), 10);
    }
  });

  it.each([
    ["one model and no trainings", modelOf(whole), {}, /several models/],
    [
      "scores that are no changes",
      [modelOf(whole), modelOf(whole)],
      { method: "gradDot" as const },
      /not changes of a loss/,
    ],
    ["a sample that is not there", [modelOf(whole), modelOf(whole)], { groups: [[samples]] }, /numbered from 0 to 119/],
    ["a sample twice", [modelOf(whole), modelOf(whole)], { groups: [[1, 1]] }, /twice/],
    [
      "all samples",
      [modelOf(whole), modelOf(whole)],
      { groups: [Array.from({ length: samples }, (_, n) => n)] },
      /leave some to train on/,
    ],
    [
      "masks of other samples",
      modelOf(whole),
      {
        retrained: {
          subsets: tensor("uint8", [3, 5], new Uint8Array(15)),
          losses: tensor("float32", [3, 6], new Float32Array(18)),
        },
      },
      /\[subsets, 120\]/,
    ],
    [
      "losses of other queries",
      modelOf(whole),
      {
        retrained: {
          subsets: attribution.subsets({ samples, count: 3 }),
          losses: tensor("float32", [3, 5], new Float32Array(15)),
        },
      },
      /\[3, 6\]/,
    ],
    [
      "two trainings",
      modelOf(whole),
      {
        retrained: {
          subsets: attribution.subsets({ samples, count: 2 }),
          losses: tensor("float32", [2, 6], new Float32Array(12)),
        },
      },
      /at least 3/,
    ],
  ])("refuses %s", async (_, model, given, message) => {
    await expect(attribution.leaveOut(model, data(train), data(queries), { ...options, ...given })).rejects.toThrow(
      message,
    );
  });
});
