import { expect, it } from "vitest";
import { Checkpoint } from "../../src/attribution/checkpoint.js";
import { InEigenvectors } from "../../src/attribution/inverses/kronecker.js";
import { RowProducts } from "../../src/attribution/products.js";
import { nn, type Tensor } from "../../src/index.js";

const samples = 6;
const numbersOf = (length: number, seed: number) => Float32Array.from({ length }, (_, i) => Math.sin(seed + 1.7 * i));

/** Matrices, a table, and gains, which have a block of their own. */
const model = nn.trace(
  { x: ["N", 5, 3], word: { shape: ["N"], dtype: "int64" } },
  { table: nn.embedding(4, 3), norm: nn.layerNorm(3), linear: nn.linear(3, 2), gain: nn.ones([2]) },
  ({ x, word }, { table, norm, linear, gain }) => {
    const out = linear(norm(x.add(table(word).unsqueeze([1]))))
      .tanh()
      .mul(gain);
    return { out: out.mean([1]) };
  },
  { seed: 3 },
);
const train = {
  x: { dtype: "float32", dims: [samples, 5, 3], data: numbersOf(samples * 15, 1) },
  word: { dtype: "int64", dims: [samples], data: BigInt64Array.from({ length: samples }, (_, n) => BigInt(n % 4)) },
  target: { dtype: "int64", dims: [samples], data: BigInt64Array.from({ length: samples }, (_, n) => BigInt(n % 2)) },
} satisfies Record<string, Tensor>;

it("gradients in the eigenvectors are scored against one another as the damped inverse says", async () => {
  const checkpoint = Checkpoint.of(model, { loss: "cross_entropy" });
  const products = new RowProducts(1);
  try {
    const curvature = await checkpoint.kronecker(train, "type2", true);
    const moved = await InEigenvectors.of(checkpoint, curvature.parts, [train, train], products);
    const rows: Float32Array[] = [];
    for await (const found of checkpoint.rows([train, train])) rows.push(found.rows);
    const { space } = checkpoint;
    const all = Float32Array.from(rows.flatMap((each) => [...each]));
    for (const damping of [1e-3, 0.1]) {
      const scores = await moved.scores(damping);
      const solved = await curvature.solveEach(space.apart(all), { damping });
      const others = space.rows(solved, 2 * samples);
      expect([scores.rows, scores.columns]).toEqual([2 * samples, 2 * samples]);
      for (let m = 0; m < 2 * samples; m++)
        for (let n = 0; n < 2 * samples; n++) {
          let wanted = 0;
          for (let k = 0; k < space.size; k++)
            wanted += (all[m * space.size + k] ?? 0) * (others[n * space.size + k] ?? 0);
          const size = Math.sqrt(scores.at(m, m) * scores.at(n, n));
          expect(Math.abs(scores.at(m, n) - wanted)).toBeLessThan(1e-5 * size);
        }
    }
  } finally {
    await products.release();
    await checkpoint.release();
  }
});
