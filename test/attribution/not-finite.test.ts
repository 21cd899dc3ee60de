/** Samples whose gradients are not finite have no scores: every method says which these are, and of which data. */
import { describe, expect, it } from "vitest";
import { attribution, losses, type Model } from "../../src/index.js";
import { uniform } from "../../src/nn/initial-values.js";
import { trace } from "../../src/nn/model.js";
import { temporaryFolder } from "../support/folder.js";

/** The root has no derivative at 0, where a sample of zeros is. */
const rooted: Model = trace(
  { x: ["N", 3] },
  { weight: uniform([3, 2], 1), bias: uniform([2], 1) },
  ({ x }, { weight, bias }) => x.matmul(weight).square().sqrt().add(bias),
);

function batch(samples: number, ...zeros: readonly number[]) {
  const x = Float32Array.from({ length: samples * 3 }, (_, k) => Math.sin(1 + k));
  for (const n of zeros) x.fill(0, 3 * n, 3 * n + 3);
  return { x, target: Float32Array.from({ length: samples * 2 }, (_, k) => Math.cos(k)) };
}

const { influence, gradDot, gradCos, tracIn, trak, loGra, relatIF } = attribution;
const damping = 0.1;
const methods = {
  gradDot: gradDot(),
  gradCos: gradCos(),
  tracIn: tracIn(),
  trak: trak({ dims: 4, damping }),
  loGra: loGra({ dims: 4, damping }),
  exact: influence({ inverse: "exact", damping }),
  gram: influence({ inverse: "gram", damping }),
  ekfac: influence({ inverse: "ekfac", damping }),
  kfac: influence({ inverse: "kfac", damping }),
  cg: influence({ inverse: "cg", damping }),
  lissa: influence({ inverse: "lissa", damping }),
  arnoldi: influence({ inverse: "arnoldi", damping, rank: 2 }),
  diagonal: influence({ inverse: "diagonal", damping }),
  dataInf: influence({ inverse: "dataInf", damping }),
  relatIF: relatIF({ inverse: "gram", damping }),
};
const loss = losses.mse();

describe.each(Object.entries(methods))("%s", (_, method) => {
  it("names a query", async () => {
    await expect(attribution.scores(rooted, batch(6), batch(140, 1, 133), { loss, method })).rejects.toMatchObject({
      code: "NOT_FINITE",
      message: expect.stringMatching(/^The gradient of samples? 1\b.* is not finite; leave it out of the queries, /),
    });
  });

  it("names training samples", async () => {
    const named = {
      code: "NOT_FINITE",
      message: expect.stringMatching(/^The gradient of samples 2, 4 .*not finite; /),
    };
    await expect(attribution.scores(rooted, batch(6, 2, 4), batch(2), { loss, method })).rejects.toMatchObject(named);
    await expect(attribution.selfInfluence(rooted, batch(6, 2, 4), { loss, method })).rejects.toMatchObject(named);
  });
});

it("numbers queries as in their data set, beyond those that are multiplied at a time", async () => {
  const scored = attribution.scores(rooted, batch(4), batch(140, 133), { loss, method: gradDot() });
  await expect(scored).rejects.toThrow(
    /^The gradient of sample 133 \(in "weight"\) is not finite; leave it out of the q/,
  );
});

it("an index names them", async () => {
  const out = `${temporaryFolder()}/index`;
  const made = attribution.index(rooted, batch(6, 3), { loss, method: methods.loGra, out });
  await expect(made).rejects.toMatchObject({ code: "NOT_FINITE", message: expect.stringContaining("sample 3") });
});
