/** Inverses of matrices that are singular, or not positive, follow their definitions, or are refused. */
import { describe, expect, it } from "vitest";
import { attribution, losses, nn, type Tensor } from "../../src/index.js";
import { dot } from "../../src/solvers/vectors.js";
import { floats, labels } from "../cli/support.js";
import { expectNear } from "../curvature/support.js";

const { influence, relatIF } = attribution;

describe("arnoldi without damping, with a rank above that of the matrix", () => {
  const model = nn.model(nn.linear(4, 3), { seed: 1 });
  const train = { x: floats([5, 4]), target: labels(0, 1, 2, 0, 1) };

  // Five gradients that are linearly independent: N G (G' G)^+ G' is N times the identity.
  it.each([5, 8, 10, 15])("is the pseudo-inverse: rank %i", async (rank) => {
    const method = influence({ inverse: "arnoldi", of: "fisher", rank, damping: 0 });
    const { scores } = await attribution.scores(model, train, train, { loss: "cross_entropy", threads: 1, method });
    const identity = Array.from({ length: 25 }, (_, k) => (k % 6 === 0 ? 5 : 0));
    expectNear(scores.data, identity, 1e-3, "scores");
  });
});

describe("a Hessian that is not positive", () => {
  // The loss is x w^2 / 2: the Hessian has the means of x on its diagonal, -3, 1 and 0, and the gradient of a sample is x.
  const model = nn.trace({ x: ["N", 3] }, { w: nn.ones([3]) }, ({ x }, { w }) => x.mul(w.mul(w)).sum(1).mul(0.5));
  const x: Tensor<"float32"> = { dtype: "float32", dims: [2, 3], data: Float32Array.of(-2, 0, 1, -4, 2, -1) };
  const scored = (method: attribution.Method) =>
    attribution.scores(model, { x }, { x }, { loss: losses.output(), threads: 1, method });
  const refused = (message: RegExp) =>
    expect.objectContaining({ code: "INVALID_ARGUMENT", message: expect.stringMatching(message) });

  it("has no roots for relatIF, whose message says what to do", async () => {
    for (const inverse of ["arnoldi", "diagonal"] as const) {
      const of = "hessian";
      const loss = scored(relatIF({ inverse, of, damping: 0.5 }));
      await expect(loss).rejects.toEqual(refused(/training sample 0|not positive/));
    }
    const method = relatIF({ inverse: "arnoldi", of: "hessian", damping: 0.5, by: "parameters" });
    const { scores } = await scored(method);
    // In the eigenvectors, the axes, the damped eigenvalues are -2.5, 1.5 and 0.5.
    const rows = [Float64Array.of(-2, 0, 1), Float64Array.of(-4, 2, -1)];
    const divided = rows.map(([a = 0, b = 0, c = 0]) => Float64Array.of(a / -2.5, b / 1.5, c / 0.5));
    const wanted = rows.flatMap((query) => divided.map((own) => dot(query, own) / Math.hypot(...own)));
    expectNear(scores.data, wanted, 1e-4, "scores");
  });

  it.each([
    ["diagonal", /diagonal of the hessian plus the damping 0.5 is not positive at 1 of 3 numbers/],
    ["lissa", /series of lissa diverges/],
    ["cg", /not positive along a direction/],
    ["exact", /not positive definite/],
  ] as const)("is refused by the inverse %s", async (inverse, message) => {
    const terms = inverse === "lissa" ? { terms: 20 } : {};
    const scores = scored(influence({ inverse, of: "hessian", damping: 0.5, ...terms }));
    await expect(scores).rejects.toEqual(refused(message));
  });

  it("is taken with a damping that makes it positive, by all of them alike", async () => {
    const wanted = await scored(influence({ inverse: "exact", of: "hessian", damping: 5 }));
    for (const inverse of ["lissa", "cg", "arnoldi", "diagonal"] as const) {
      const { scores } = await scored(influence({ inverse, of: "hessian", damping: 5 }));
      expectNear(scores.data, wanted.scores.data, 1e-4, inverse);
    }
  });
});

describe("an output of 1,200 numbers a sample", () => {
  const model = nn.model(nn.sequential(nn.embedding(30, 3), nn.linear(3, 30)), {
    input: { ids: { shape: ["N", 40], dtype: "int64" } },
    seed: 1,
  });
  const ids = (count: number, factor: number): Tensor => ({
    ...labels(...Array.from({ length: count * 40 }, (_, k) => (k * k * factor) % 30)),
    dims: [count, 40],
  });
  const train = { ids: ids(20, 3), target: ids(20, 7) };
  const scored = (options: Parameters<typeof influence>[0]) =>
    attribution.scores(model, train, train, { loss: "cross_entropy", threads: 1, method: influence(options) });

  it.each(["exact", "cg", "lissa", "arnoldi"] as const)(
    "has no measured damping for %s, but takes one",
    async (inverse) => {
      const few = inverse === "lissa" ? { terms: 5 } : {};
      await expect(scored({ inverse, ...few })).rejects.toThrow(
        /A damping of the ggn is measured for outputs of at most 1024 elements a sample, but this one has 1200; give one/,
      );
      expect((await scored({ inverse, damping: 0.1, ...few })).scores.data.every(Number.isFinite)).toBe(true);
    },
  );

  it("is refused by gram of the ggn, and taken by what the message advises", async () => {
    await expect(scored({ inverse: "gram", of: "ggn", damping: 0.1 })).rejects.toThrow(
      /has 1200 elements, but inverse: "gram" of the ggn takes at most 1024; give inverse: "cg" or inverse: "ekfac"/,
    );
    for (const options of [{ inverse: "ekfac" }, { inverse: "gram", of: "fisher" }] as const)
      expect((await scored(options)).dampings?.[0]).toBeGreaterThan(0);
  });
});
